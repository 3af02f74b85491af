"""The test of a source that is pushed or polled: the counts of the running processes, and the people in its events."""

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
from agents.web.client import WebClient
from streams.contract.topics import Topic
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
        *("source_poll_failures", "source_poll_status"),
    }
)


class Counts(Struct):
    """The counts of the running processes for one source, since they began.

    `gauges` are the largest of each, `strangers` the requests whose sender is not in the settings.
    """

    totals: Counter[str]
    reasons: Counter[str]
    gauges: dict[str, float]
    strangers: float = 0.0


class Pushed(Struct, frozen=True, kw_only=True):
    """A source that is pushed. `is_meant` returns whether an event may be its own, by the source that the event names.

    `topics` are those that its events are in.
    """

    name: str
    is_meant: Callable[[str], bool]
    cannot_know: Sequence[str] = ()
    topics: Sequence[Topic] = people_heard.TOPICS


async def test(
    settings: Settings,
    pushed: Pushed,
    urls: Collection[str],
    seconds: float,
    secret: bytes,
    client: WebClient,
) -> Report:
    """Return the report of a source, by the processes at `urls` over `seconds`. `client` logs in at them."""
    report = Report(source=pushed.name, seconds=seconds, cannot_know=list(pushed.cannot_know))
    before = await fetch_all(urls, client)
    report.problems += [f"nothing answers at {one.url}: {one.error}" for one in before if one.error]
    if report.problems:
        report.problems.append("start the process that takes this source in, or name its gateway.status_port by --at")
        return report
    await asyncio.sleep(seconds)
    earlier, later = (counts(scrapes, pushed.name) for scrapes in (before, await fetch_all(urls, client)))
    if not later.totals:
        report.problems.append(
            "this process has no such source: restart it with these settings, or name another one by --at"
        )
        return report
    _say(report, earlier, later)
    await _say_people(report, settings, pushed, secret)
    return report


def counts(scrapes: Collection[Scrape], name: str) -> Counts:
    """Return the counts of some processes for one source."""
    made = Counts(Counter(), Counter(), {})
    for sample in (one for scrape in scrapes for one in samples(scrape.text, _WANTED)):
        source, key = sample.labels["source"], sample.name.removeprefix("source_").removesuffix("_total")
        if source == UNKNOWN and key == "unauthenticated":
            made.strangers += sample.value
        if source != name:
            continue
        if key == "rejected":
            made.reasons[sample.labels["reason"]] += int(sample.value)
        if key in _COUNTED:
            made.totals[key] += int(sample.value)
        else:
            made.gauges[key] = max(made.gauges.get(key, sample.value), sample.value)
    return made


def _say(report: Report, earlier: Counts, later: Counts) -> None:
    new, all_of = later.totals - earlier.totals, later.totals
    report.heard = new["received"]
    report.events = new["accepted"]
    report.understood = new["accepted"] + new["duplicates"]
    report.facts.append(
        f"since the start of the process: received {all_of['received']}, accepted {all_of['accepted']}, duplicates "
        f"{all_of['duplicates']}, rejected {all_of['rejected']}"
    )
    gauges = later.gauges
    if heard_s := gauges.get("last_heard_timestamp_seconds"):
        report.last_at_ms = int(heard_s * SECOND_MS)
    if (skew_s := gauges.get("skew_seconds")) is not None:
        way = "after" if skew_s >= 0 else "before"
        span = span_text(int(abs(skew_s) * SECOND_MS))
        report.facts.append(f"its events come {span} {way} their moment, by the median")
    if gauges.get("skew_zone"):
        report.problems.append("its moments look like those of another time zone: they must be in UTC")
    for reason, count in (later.reasons - earlier.reasons).most_common():
        report.problems.append(f"events refused: {count}, {reason}; `callpulse rejected list` shows them")
    if new["not_stored"]:
        report.problems.append(f"events not stored: {new['not_stored']}; Kafka is away, and the spool is full")
    if new["unauthenticated"]:
        report.problems.append(f"requests with a wrong token, signature or network: {new['unauthenticated']}")
    if failures := gauges.get("poll_failures"):
        status = f"{gauges.get('poll_status', 0):g}"
        report.problems.append(f"polls that failed one after the other: {failures:g}; HTTP status {status}")
    strangers = int(later.strangers - earlier.strangers)
    if strangers:
        report.problems.append(f"requests of nobody whom the settings know: {strangers}; a wrong token?")
    if not all_of["received"]:
        report.problems.append("nothing has come of it since the start of the process")


async def _say_people(report: Report, settings: Settings, pushed: Pushed, secret: bytes) -> None:
    found = Unmapped(settings, People.of(settings, secret), {settings.source(AsteriskMapping).outside_manager})
    since_ms = int(time.time() * SECOND_MS) - DAY_MS
    try:
        types = await people_heard.read(settings.kafka, found, since_ms, wanted=pushed.is_meant, of=pushed.topics)
    except KafkaUnusableError as error:
        report.facts.append(f"who is not on the roster is not known: {error}")
        return
    listed = ", ".join(f"{kind} {count}" for kind, count in types.most_common()) or "none"
    report.facts.append(f"its events of the last 24 hours in Kafka: {listed}")
    report.unmapped = found.lines()
