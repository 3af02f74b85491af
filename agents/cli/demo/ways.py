"""The ways in of the demo: the way of each record, and the check that all of them are stored and counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any, Final

import msgspec
from msgspec import Struct

from agents.cli.common import FAILED, UserError
from agents.cli.demo.crm import Crm
from agents.cli.demo.installation import CRM, Place
from agents.cli.demo.portal_check import Polled
from agents.gateway.live_service import stored_events
from agents.kafka.producer import BatchProducer
from agents.telemetry.scrape import Scrape, fetch_all, samples
from streams.contract import topics
from streams.contract.events import Event

HEARD_DEADLINE_S: Final = 90.0
_LOOK_S: Final = 0.3
_COUNTED: Final = ("events_applied_total", "duplicates_total", "rejected_total", "too_late_total")


class _OfLead(Struct):
    lead: str = ""


class Ways:
    """Takes records of the simulator: those of telephony go straight into Kafka, those of the CRM to the gateway.

    A record of the CRM whose Kafka key is wrong on purpose goes into Kafka, too: a request has no key.
    """

    def __init__(self, producer: BatchProducer, crm: Crm) -> None:
        self._producer = producer
        self._crm = crm
        self._decode = msgspec.json.Decoder(_OfLead).decode
        self.direct = {topics.CALLS.name: 0, topics.CRM.name: 0}

    async def add(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Take a record; waits while too many are on their way. Raises UserError if the gateway does not take them."""
        if topic == topics.CRM.name and not self._is_for_another(key, value):
            await self._crm.add(value)
        else:
            self.direct[topic] += 1
            await self._producer.add(topic, key, value)

    async def push(self) -> None:
        """Send the records that are held back."""
        await self._producer.push()

    async def flush(self) -> None:
        """Wait until Kafka has its records, and the gateway has answered for the rest."""
        await self._producer.flush()
        await self._crm.flush()

    def _is_for_another(self, key: bytes | None, value: bytes) -> bool:
        try:
            lead = self._decode(value).lead
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        return bool(lead) and (key is None or lead.encode() != key)


class Heard(Struct):
    """The result of the recorded sessions: messages on the socket, events in Kafka, and the errors in these."""

    sessions: int = 0
    messages: int = 0
    events: int = 0
    managers: frozenset[str] = frozenset()
    wrong: list[str] = []


async def hear(place: Place, history: asyncio.Event) -> Heard:
    """Play the recorded sessions to the listener, and compare the stored events with the expected ones.

    Kafka is read once the `history` is stored: before that, reading takes too long, and the end of the topic moves on.
    """
    heard = Heard(sessions=place.pbx.sessions)
    if not heard.sessions:
        return heard
    source, expected = "asterisk", place.pbx.expected(place.settings)
    try:
        async with asyncio.timeout(HEARD_DEADLINE_S):
            await place.pbx.play()
    except TimeoutError:
        logged = "\n".join(child.tail() for child in place.children if child.name == "listener")
        raise UserError(f"the listener has not logged in at the PBX. It said last:\n{logged}", FAILED) from None
    heard.messages = place.pbx.sent
    deadline_s = time.monotonic() + HEARD_DEADLINE_S
    while await accepted(place.listener, source) < len(expected) and time.monotonic() < deadline_s:  # noqa: ASYNC110 - another process
        await asyncio.sleep(_LOOK_S)
    await history.wait()
    found = {event.id: event for event in await stored_events(place.settings, source)}
    heard.events = len(found)
    heard.managers = frozenset(getattr(event, "manager", "") for event in expected.values()) - {""}
    heard.wrong = differences(expected, found)
    return heard


def differences(expected: dict[str, Event], found: dict[str, Event]) -> list[str]:
    """Return a line for each event of the PBX that is missing, wrong, or superfluous."""
    lines = [
        f"{name} of the PBX was heard and is not in Kafka"
        if name not in found
        else f"{name} of the PBX is not the same"
        for name, event in expected.items()
        if found.get(name) != event
    ]
    return lines + [f"{name} of the PBX is in Kafka and was never heard" for name in found.keys() - expected.keys()]


async def accepted(url: str, source: str) -> int:
    """Return the number of events of a source that a process of the way in has stored, by its own metrics."""
    scrape = (await fetch_all([f"{url}/metrics"]))[0]
    return int(
        sum(
            sample.value
            for sample in samples(scrape.text, ("source_accepted_total",))
            if sample.labels.get("source") == source
        )
    )


async def uncounted(
    place: Place, scrape: Scrape, crm: Crm, ways: Ways, *, more: int, heard: Heard, polled: Polled
) -> list[str]:
    """Return a line for each way whose records the worker has not counted in full.

    `more` are records of telephony that the demo itself sent into Kafka.
    """
    stored = await accepted(place.gateway_state, CRM)
    sent = ways.direct[topics.CALLS.name] + more + heard.events + polled.calls
    return [
        *of_crm(scrape, acknowledged=len(crm.acknowledged), stored=stored, polled=polled.crm),
        *of_calls(scrape, sent, heard.managers),
    ]


def of_crm(scrape: Scrape, *, acknowledged: int, stored: int, polled: int = 0) -> list[str]:
    """Return the errors in the events of the CRM: exactly the acknowledged events must be stored and counted.

    The worker refuses records with a wrong key in Kafka, so they are not among the applied ones. `polled` are the
    events of a portal in the same topic.
    """
    lines = []
    if stored != acknowledged:
        lines.append(f"the gateway stored {stored} events of the CRM; it acknowledged {acknowledged}")
    applied = counted(scrape, topics.CRM.name)["events_applied_total"]
    if applied != acknowledged + polled:
        more = f" and stored {polled} of the portal" if polled else ""
        lines.append(f"the worker counted {applied} events of the CRM; the gateway acknowledged {acknowledged}{more}")
    return lines


def of_calls(scrape: Scrape, sent: int, managers: Collection[str]) -> list[str]:
    """Return the errors in telephony: the worker must have read all `sent` records, and export the PBX's managers.

    It reads more than that: it writes ends that never came, and second legs of transfers, into the topic itself.
    """
    lines = []
    read = sum(counted(scrape, topics.CALLS.name).values())
    if read < sent:
        lines.append(f"the worker counted {read} records of telephony; {sent} went in")
    known = {sample.labels.get("manager") for sample in samples(scrape.text, ("calls_in_progress",))}
    lines += [f"{manager} of the PBX has no figures" for manager in sorted({*managers} - known)]
    return lines


def counted(scrape: Scrape, topic: str) -> dict[str, int]:
    """Return the number of records of a topic that the worker has counted: applied, duplicate, refused or too late."""
    totals = dict.fromkeys(_COUNTED, 0)
    for sample in samples(scrape.text, _COUNTED):
        if sample.labels.get("topic") == topic:
            totals[sample.name] += int(sample.value)
    return totals


def in_report(crm: Crm, ways: Ways, heard: Heard) -> dict[str, Any]:
    """Return the number of records of each way, for the report."""
    return {
        "kafka": dict(ways.direct),
        "gateway": crm.counts(),
        "socket": {"sessions": heard.sessions, "messages": heard.messages, "events": heard.events},
    }
