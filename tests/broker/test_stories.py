"""One day of a department in the form of each system: its events through Kafka and a worker, and `/metrics`.

Each system has managers of its own in one worker. Their figures are compared twice: with expected.json of the system,
by plain arithmetic, and series by series with those of the complete department.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from agents.gateway.kafka_sink import KafkaSink
from streams.settings.settings import load
from streams.sources.registry import SOURCES
from tests.broker.clock import evening_zone
from tests.broker.installation import Installation
from tests.broker.test_gateway_http import samples
from tests.sources.departments import DEPARTMENTS, PLACE, TRUTH, manager_of, placed, truth
from tests.sources.figures import Series, figures, story_end_ms

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(280)]

KNOWN: Final = "truth"
"""The complete department, whose source loses nothing."""
MINUTE_MS: Final = 60_000
SINCE_MS: Final = 16 * MINUTE_MS
"""Time since the end of the story: the leg whose end was lost has timed out by then."""
WITHIN_S: Final = 60
PREFIX: Final = "callpulse_"
NOT_COMPARED: Final = {"manager_info"}

Read = dict[Series, float]


class Unknown(NamedTuple):
    """The losses of some systems, and the metrics of a manager that differ for that reason."""

    reason: str
    systems: tuple[str, ...]
    metrics: frozenset[str]


ESL: Final = ("freeswitch_esl", "amocrm", "hubspot", "pipedrive")
"""The systems whose calls are those of FreeSWITCH's event socket."""
MACHINES: Final = frozenset(
    {
        *("answered_calls", "attempts_per_contact", "calls_by_disposition", "calls_talked", "connect_ratio"),
        *("short_call_ratio", "talk_time_seconds"),
    }
)
LEADS: Final = frozenset(
    {
        *("calls_per_lead", "first_call_deal_ratio", "leads_given", "open_leads_by_calls"),
        *("open_leads_by_conversations", "open_leads_by_stage"),
    }
)
UNKNOWN: Final = (
    Unknown(
        "whether a machine answered",
        (*ESL, "freeswitch_json_cdr", "aircall", "amazon_connect", "bitrix24", "mango", "megafon", "ringcentral"),
        MACHINES,
    ),
    Unknown(
        "whether a machine answered, nor an answer before the end, which is lost: one more answer, and one less",
        ("zadarma",),
        frozenset({"calls_by_disposition", "calls_talked", "short_call_ratio", "talk_time_seconds"}),
    ),
    Unknown(
        "an end that was lost and that nobody can ask for: the leg times out, and its talk is not known",
        (*ESL, "aircall", "amazon_connect", "cloudevents", "megafon", "ringcentral", "zadarma"),
        frozenset(
            {
                *("calls_talked", "calls_timed_out", "conversations", "last_activity_timestamp_seconds"),
                *("open_leads_by_conversations", "short_call_ratio", "talk_time_seconds"),
            }
        ),
    ),
    Unknown(
        "when the lost end was, not even that it was: the leg counts four hours later",
        ("aircall", "amazon_connect", "cloudevents", "megafon", "ringcentral", "zadarma"),
        frozenset({"calls"}),
    ),
    Unknown(
        "what colleagues say to each other: one of them, or neither, has a leg",
        ("aircall", "amazon_connect", "bitrix24", "cloudevents", "megafon", "ringcentral", "twilio", "zadarma"),
        frozenset({"internal_calls", "internal_talk_seconds"}),
    ),
    Unknown(
        "fractions of seconds",
        ("aircall", "bitrix24", "mango", "megafon", "twilio", "zadarma"),
        frozenset({"last_activity_timestamp_seconds", "talk_time_seconds", "won_first_call_talk_seconds"}),
    ),
    Unknown(
        "whose telephones rang in vain",
        ("amazon_connect", "bitrix24"),
        frozenset({"calls", "calls_by_disposition", "calls_by_kind", "calls_per_lead", "open_leads_by_calls"}),
    ),
    Unknown(
        "the number of the customer, without a tag that the flow sets: the calls are on no lead",
        ("amazon_connect",),
        LEADS
        | {
            *("calls_per_won_deal", "cost_per_won_deal", "mean_stage_age_seconds", "next_step_ratio"),
            *("stage_moves_per_call", "target_ratio", "won_calls_per_deal", "won_first_call_talk_seconds"),
        },
    ),
    Unknown(
        "which of three telephones rang last: states are dated by their receipt",
        ("megafon",),
        LEADS - {"open_leads_by_conversations"},
    ),
    Unknown(
        "that the colleague who was asked got the customer",
        ("twilio",),
        LEADS
        | {
            *("answered_calls", "calls", "calls_by_disposition", "calls_by_kind", "calls_per_won_deal"),
            *("calls_talked", "conversations", "cost_per_won_deal", "short_call_ratio"),
        },
    ),
    Unknown("the decimals of an amount", ("amocrm",), frozenset({"mean_won_amount"})),
    Unknown(
        "that a leg is one between colleagues: its events do not say it, so it is a call",
        ("cloudevents",),
        MACHINES | {"calls", "calls_by_kind", "calls_per_won_deal", "cost_per_won_deal"},
    ),
    Unknown("that a deal was deleted: its events do not say it", ("cloudevents",), frozenset({"open_leads_by_stage"})),
)
KNOWS_MORE: Final = {"cloudevents": frozenset({"presence"})}
"""Figures of a system that are not in story.json."""
TAKEN_BACK: Final = {"megafon": frozenset({"internal_calls"})}
"""Beside expected.json: the second part of a transferred call begins as a call, and is closed as an internal one."""


def settings_text(now_ms: int) -> str:
    """All managers of all departments, in a zone in which it is evening now."""
    managers = [
        f'[[managers]]\nid = "{manager_of(name, manager)}"'
        for name in (KNOWN, *DEPARTMENTS)
        for manager in TRUTH["managers"]
    ]
    return f"""timezone = "{evening_zone(now_ms)}"
[economics]
currency = "RUB"
currencies = ["RUB"]
[results]
attention_series = 5
stages = {json.dumps(TRUTH["stages_setting"])}
""" + "\n".join(managers)


def read(url: str) -> dict[str, Read]:
    """The series of `/metrics` by manager."""
    found: dict[str, Read] = {}
    for (name, labels), value in samples(url).items():
        manager = dict(labels).get("manager")
        if manager is not None and name.removeprefix(PREFIX) not in NOT_COMPARED:
            own = frozenset(label for label in labels if label[0] not in ("manager", "team", "lead"))
            found.setdefault(manager, {})[Series(name.removeprefix(PREFIX), own)] = value
    return found


def expected(system: str) -> Any:
    if system == KNOWN:
        deals = [{**deal, "final_stage": deal["stages"][-1]["stage"]} for deal in TRUTH["deals"].values()]
        return {"legs": [as_expected(leg) for leg in TRUTH["legs"]], "deals": deals}
    found = json.loads((PLACE / system / "expected.json").read_bytes())
    if system == "cloudevents":  # it has no field for it
        found["legs"] = [leg | {"consultation": False} for leg in found["legs"]]
    return found


def as_expected(leg: Any) -> Any:
    return leg | {"talk_s": leg["talk_ms"] / 1000, "consultation": leg["consult"], "ended_by": "hangup"}


def wrong(name: str, found: dict[str, Read]) -> list[str]:
    """Return the differences between the figures of a department and its expected.json."""
    told = DEPARTMENTS.get(name)
    calls, deals = (KNOWN, KNOWN) if told is None else (told.calls, told.deals)
    return [
        f"{name} {manager}: {one.name} {dict(one.labels)} is {value} instead of {right}"
        for manager in TRUTH["managers"]
        for one, right in figures(expected(calls), expected(deals), manager).items()
        if one.name not in TAKEN_BACK.get(name, ())
        and not right.holds(value := found.get(manager_of(name, manager), {}).get(one))
    ]


def declared(name: str) -> set[str]:
    """The metrics of a department that may differ, and must."""
    metrics = {metric for one in UNKNOWN if name in one.systems for metric in one.metrics}
    return metrics | KNOWS_MORE.get(name, frozenset())


def unlike(name: str, found: dict[str, Read]) -> set[str]:
    """Return the metrics of a department that differ from those of the complete one."""
    differing = set()
    for manager in TRUTH["managers"]:
        ours, all_known = (found.get(manager_of(one, manager), {}) for one in (name, KNOWN))
        differing |= {one.name for one in {*ours, *all_known} if ours.get(one) != all_known.get(one)}
    return differing


async def test_every_system_gives_the_same_figures_but_for_what_it_cannot_know(bootstrap: str, tmp_path: Path) -> None:
    here = Installation(bootstrap, tmp_path)
    now_ms = time.time_ns() // 1_000_000
    by_ms = now_ms - SINCE_MS - story_end_ms(TRUTH)
    config = tmp_path / "callpulse.toml"
    config.write_text(settings_text(now_ms), encoding="utf-8")
    assert (await asyncio.to_thread(here, "topics", "create")).returncode == 0
    async with KafkaSink(load(config.read_text(encoding="utf-8"), here.environment, SOURCES)) as sink:
        for name, told in DEPARTMENTS.items():
            events = placed(await told.play(), name, by_ms)
            assert set(await sink.store(name, events)) <= {"accepted", "duplicate"}
        await sink.store(KNOWN, placed(truth(), KNOWN, by_ms))
    await asyncio.to_thread(check, here, config)


def check(here: Installation, config: Path) -> None:
    """Wait for the figures, and assert that each department has the expected ones."""
    with here.worker("--config", config) as (_process, worker):

        def differences() -> list[str]:
            found = read(worker)
            return [text for name in (KNOWN, *DEPARTMENTS) for text in wrong(name, found)]

        deadline = time.monotonic() + WITHIN_S
        while differences() and time.monotonic() < deadline:
            time.sleep(0.5)
        found = read(worker)
        assert differences() == []
    assert {name: unlike(name, found) for name in DEPARTMENTS} == {name: declared(name) for name in DEPARTMENTS}
