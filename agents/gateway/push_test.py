"""The test of a source that is pushed: what the running gateways count while it listens, and who its events name."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final

from msgspec import Struct

from agents.gateway import people_heard
from agents.gateway.metrics import UNKNOWN
from agents.gateway.source_report import Report, span_text
from agents.kafka.clients import KafkaUnusableError
from agents.telemetry.scrape import Scrape, fetch_all, samples
from streams.settings.settings import Settings
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.people import People
from streams.sources.unmapped import Unmapped
from streams.units import DAY_MS, SECOND_MS

_COUNTED: Final = ("received", "accepted", "duplicates", "rejected", "not_stored", "unauthenticated")
_WANTED: Final = frozenset(
    {
        *(f"source_{name}_total" for name in _COUNTED),
        *("source_last_heard_timestamp_seconds", "source_skew_seconds", "source_skew_zone"),
    }
)


class Counts(Struct):
    """What the gateways say about one source, since they began."""

    totals: Counter[str]
    reasons: Counter[str]
    heard_s: float = 0.0
    skew_s: float | None = None
    is_zone: bool = False
    strangers: float = 0.0
    """Requests of nobody whom the settings know."""


class Pushed(Struct, frozen=True, kw_only=True):
    """A source that is pushed. `is_meant` tells whether an event may be its own, by the source that the event names."""

    name: str
    is_meant: Callable[[str], bool]
    cannot_know: Sequence[str] = ()


async def test(settings: Settings, pushed: Pushed, urls: Collection[str], seconds: float, secret: bytes) -> Report:
    """Return what the gateways at `urls` heard of a source in `seconds`."""
    report = Report(source=pushed.name, seconds=seconds, cannot_know=list(pushed.cannot_know))
    before = await fetch_all(urls)
    report.problems += [f"no gateway answers at {one.url}: {one.error}" for one in before if one.error]
    if report.problems:
        report.problems.append("start `callpulse gateway`, or name the gateway.status_port of each with --at")
        return report
    await asyncio.sleep(seconds)
    earlier, later = (counts(scrapes, pushed.name) for scrapes in (before, await fetch_all(urls)))
    if not later.totals:
        report.problems.append("the gateway has no such source: restart it with these settings")
        return report
    _say(report, earlier, later)
    await _say_people(report, settings, pushed, secret)
    return report


def counts(scrapes: Collection[Scrape], name: str) -> Counts:
    """Return what some gateways say about one source."""
    made = Counts(Counter(), Counter())
    for sample in (one for scrape in scrapes for one in samples(scrape.text, _WANTED)):
        source, key = sample.labels["source"], sample.name.removeprefix("source_").removesuffix("_total")
        if source == UNKNOWN and key == "unauthenticated":
            made.strangers += sample.value
        if source != name:
            continue
        if key in _COUNTED:
            made.totals[key] += int(sample.value)
        if key == "rejected":
            made.reasons[sample.labels["reason"]] += int(sample.value)
        elif key == "last_heard_timestamp_seconds":
            made.heard_s = max(made.heard_s, sample.value)
        elif key == "skew_seconds":
            made.skew_s = sample.value
        elif key == "skew_zone":
            made.is_zone |= bool(sample.value)
    return made


def _say(report: Report, earlier: Counts, later: Counts) -> None:
    new, all_of = later.totals - earlier.totals, later.totals
    report.heard = new["received"]
    report.events = new["accepted"]
    report.understood = new["accepted"] + new["duplicates"]
    report.facts.append(
        f"since the gateway was started: received {all_of['received']}, accepted {all_of['accepted']}, duplicates "
        f"{all_of['duplicates']}, rejected {all_of['rejected']}"
    )
    if later.heard_s:
        report.last_at_ms = int(later.heard_s * SECOND_MS)
    if later.skew_s is not None:
        way = "after" if later.skew_s >= 0 else "before"
        span = span_text(int(abs(later.skew_s) * SECOND_MS))
        report.facts.append(f"its events come {span} {way} their moment, by the median")
    if later.is_zone:
        report.problems.append("its moments look like those of another time zone: they must be in UTC")
    for reason, count in (later.reasons - earlier.reasons).most_common():
        report.problems.append(f"events refused: {count}, {reason}; `callpulse rejected list` shows them")
    if new["not_stored"]:
        report.problems.append(f"events not stored: {new['not_stored']}; Kafka is away, and the spool is full")
    if new["unauthenticated"]:
        report.problems.append(f"requests with a wrong token, signature or network: {new['unauthenticated']}")
    strangers = int(later.strangers - earlier.strangers)
    if strangers:
        report.problems.append(f"requests of nobody whom the settings know: {strangers}; a wrong token?")
    if not all_of["received"]:
        report.problems.append("nothing has come of it since the gateway was started")


async def _say_people(report: Report, settings: Settings, pushed: Pushed, secret: bytes) -> None:
    found = Unmapped(settings, People.of(settings, secret), {settings.source(AsteriskMapping).outside_manager})
    since_ms = int(time.time() * SECOND_MS) - DAY_MS
    try:
        types = await people_heard.read(settings.kafka, found, since_ms, wanted=pushed.is_meant)
    except KafkaUnusableError as error:
        report.facts.append(f"who is not on the roster is not known: {error}")
        return
    told = ", ".join(f"{kind} {count}" for kind, count in types.most_common()) or "none"
    report.facts.append(f"its events of the last 24 hours in Kafka: {told}")
    report.unmapped = found.lines()
