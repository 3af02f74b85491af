"""Translates settings of callpulse into the oracle's own types."""

from __future__ import annotations

from streams.contract import topics
from streams.settings.settings import Settings
from tests.oracle.practice import Practice


def practice_of(settings: Settings) -> Practice:
    """Return the settings of results in the oracle's own type."""
    results, economics, targets = settings.results, settings.economics, settings.targets
    plans = {id_: manager.plan_deals for id_, manager in settings.managers.items()}
    return Practice(
        stages=results.stages,
        reasons=results.reasons,
        products=results.products,
        client_types=results.client_types,
        channels=results.channels,
        max_values=results.max_values,
        mentor_after=results.mentor_after,
        stuck_after=results.stuck_after,
        attention_series=results.attention_series,
        permitted_from_minute=results.permitted_from_minute,
        permitted_to_minute=results.permitted_to_minute,
        currency=economics.currency,
        currencies=economics.currencies,
        costs={channel: economics.costs[channel] for channel in ("call", "email", "messenger", "meeting")},
        gain=targets.gain,
        floor=targets.floor,
        cap=targets.cap,
        plans={id_: plan for id_, plan in plans.items() if plan is not None},
        teams={id_: manager.team for id_, manager in settings.managers.items()},
        place=lambda manager: topics.partition_of(manager.encode(), settings.kafka.partitions),
    )
