"""A day of a department as CloudEvents, in the exact bytes of its requests: the expected legs, deals and links."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.contract.events import (
    CallEnded,
    CallStarted,
    CallTransferred,
    DealStageChanged,
    Event,
    LeadLinked,
)
from streams.settings.access import hashed
from tests.gateway.raw_http import exchange
from tests.gateway.served import Served, serving

FOLDER = Path(__file__).parents[1] / "fixtures/sources/storyA/cloudevents"
EXPECTED = msgspec.json.decode((FOLDER / "expected.json").read_bytes())
DELIVERIES = msgspec.json.decode((FOLDER / "deliveries.json").read_bytes())
BEARER = EXPECTED["settings"]["bearer"]
SETTINGS = f'[gateway]\nhttp_port = 0\n[sources.http.gw]\ntokens = ["{hashed(BEARER)}"]\n'


class Clock:
    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
async def story() -> AsyncIterator[tuple[Served, Clock]]:
    clock = Clock()
    async with serving(SETTINGS, clock=clock) as served:
        yield served, clock


async def deliver(served: Served, clock: Clock, deliveries: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Send the requests, each at its time; return the answers by the file of the request."""
    answers = defaultdict(list)
    for one in deliveries:
        clock.now_ms = one["received_at_ms"]
        answers[one["file"]].append(await exchange(served.url, (FOLDER / one["file"]).read_bytes()))
    return answers


def legs(events: Sequence[Event]) -> dict[tuple[str, str], dict[str, Any]]:
    """The legs that ended or were transferred, by the plainest reading of the contract."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for event in sorted(events, key=lambda event: event.at):
        if isinstance(event, CallStarted):
            found.setdefault((event.call, event.manager), {"started_ms": event.at, "direction": event.direction})
        if isinstance(event, CallTransferred):
            found[event.call, event.manager] |= {"transferred_to": event.to_manager, "how": event.how}
        if isinstance(event, CallEnded):
            leg = found.setdefault((event.call, event.manager), {"started_ms": event.started_at})
            leg |= {
                "ended_ms": event.at,
                "answered_ms": event.answered_at,
                "talk_s": leg.get("talk_s", 0) + event.talk_ms / 1000,
                "disposition": event.disposition,
                "direction": event.direction,
                "lead_key": event.lead,
                "ended_by": event.ended_by,
            }
    return found


def check(events: Sequence[Event]) -> None:
    found = legs(events)
    assert found.keys() == {(leg["source_call"], leg["manager"]) for leg in EXPECTED["legs"]}
    for leg in EXPECTED["legs"]:
        made = found[leg["source_call"], leg["manager"]]
        if leg["ended"] is None:
            assert "ended_ms" not in made  # the worker closes it
            continue
        compared = ("started_ms", "answered_ms", "ended_ms", "disposition", "direction", "lead_key", "ended_by")
        assert {name: made[name] for name in compared} == {name: leg[name] for name in compared}
        assert made["talk_s"] == pytest.approx(leg["talk_s"])
        assert (made.get("transferred_to"), made.get("how")) == (leg["transferred_to"], leg["how"])
    links = {(event.lead, event.old_key) for event in events if isinstance(event, LeadLinked)}
    assert links == {(link["lead"], key) for link in EXPECTED["lead_links"] for key in link["old_keys"]}
    for deal in EXPECTED["deals"]:
        changes = sorted(
            (one for one in events if isinstance(one, DealStageChanged) and one.deal == deal["source_deal"]),
            key=lambda change: change.at,
        )
        assert {change.lead for change in changes} == {deal["lead"]}
        stages = [(change.stage, change.at) for change in changes]
        moves = [stages[0], *(now for before, now in itertools.pairwise(stages) if now[0] != before[0])]
        assert moves == [(stage["stage"], stage["at_ms"]) for stage in deal["stages"]]
        amounts = [change.amount for change in changes if change.amount is not None]
        assert (amounts[-1] if amounts else None) == (deal["amount"] and Decimal(deal["amount"]))
        assert [change.manager for change in changes if change.manager][-1] == deal["manager"]


async def test_the_story_gives_its_legs_deals_and_links(story: tuple[Served, Clock]) -> None:
    served, clock = story
    answers = await deliver(served, clock, DELIVERIES)
    for one in DELIVERIES:
        (answer,) = answers[one["file"]]
        assert answer.status == (401 if one["class"] == "refused" else 202), one
        if one["class"] == "duplicate":
            assert answer.json["accepted"] == answer.json["rejected"] == 0
        if "mixed" in one["file"]:
            assert [result["status"] for result in answer.json["results"]] == ["accepted", "rejected", "accepted"]
            assert answer.json["results"][1]["reason"] == "missing_field"
    assert served.counts.strangers == [""]
    check(served.sink.events)


@pytest.mark.parametrize("seed", range(3))
async def test_so_it_does_in_any_order_with_repeats(story: tuple[Served, Clock], seed: int) -> None:
    served, clock = story
    chance = random.Random(seed)
    doubled = [{**one, "received_at_ms": DELIVERIES[-1]["received_at_ms"]} for one in (*DELIVERIES, *DELIVERIES)]
    chance.shuffle(doubled)
    await deliver(served, clock, doubled)
    assert len({event.id for event in served.sink.events}) == len(served.sink.events)
    check(served.sink.events)
