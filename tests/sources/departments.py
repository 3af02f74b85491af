"""Story A of each system through its real adapter: the events that a gateway would store of the whole day.

A department has a telephone system and a CRM. A system with only one of the two is played with another one beside
it: deals come from Pipedrive then, calls from the event socket of FreeSWITCH.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from streams.contract.events import (
    QUEUE_PREFIX,
    CallAnswered,
    CallEnded,
    CallStarted,
    CallTransferred,
    DealDeleted,
    DealStageChanged,
    Event,
    LeadLinked,
)
from streams.phone_numbers import lead_key
from streams.sources.freeswitch import FreeSwitchHook
from tests.gateway.polled import MemoryCursors, Polling, Time
from tests.gateway.raw_http import exchange
from tests.gateway.served import MemorySink, serving
from tests.gateway.test_http_story import SETTINGS as CLOUDEVENTS
from tests.sources import (
    test_aircall,
    test_amazon_connect,
    test_amocrm,
    test_bitrix24,
    test_hubspot,
    test_mango,
    test_mango_poll,
    test_megafon,
    test_pipedrive,
    test_ringcentral,
    test_twilio_poll,
    test_zadarma,
)
from tests.sources.story import FIXTURES, HOUR_MS, SECRET, ms_of
from tests.streams import freeswitch_cases, test_freeswitch_esl, test_freeswitch_json_cdr

PLACE: Final = FIXTURES / "storyA"
TRUTH: Final[Any] = json.loads((PLACE / "story.json").read_bytes())
DAY: Final = test_amocrm.DAY
EVENING: Final = test_amocrm.EVENING
MINUTE_MS: Final = HOUR_MS // 60
_POLLS: Final = 24
_SECRETS: Final = (SECRET, freeswitch_cases.SECRET)
_NUMBERS: Final = {
    lead_key(number, secret.encode()): number
    for contact in TRUTH["contacts"].values()
    for number in contact["phones"]
    for secret in _SECRETS
}


class Told(NamedTuple):
    """The systems of a department for its calls and for its deals: the expected.json of both."""

    play: Callable[[], Awaitable[list[Event]]]
    calls: str
    deals: str


# -- telephone systems


async def _mango() -> list[Event]:
    made = await test_mango_poll.polled(test_mango_poll.Statistics())
    return test_mango_poll.joined(test_mango.STORY.deliveries, made.sink.statements)


async def _twilio() -> list[Event]:
    deliveries = test_twilio_poll.STORY.deliveries
    sink, _ = await test_twilio_poll.polled(test_twilio_poll.Account(test_twilio_poll.calls_of(deliveries)))
    return test_twilio_poll.joined([*test_twilio_poll.pushed(deliveries), *sink.statements])


async def _zadarma() -> list[Event]:
    return test_zadarma.STORY.play(test_zadarma.STORY.deliveries)


async def _megafon() -> list[Event]:
    return test_megafon.STORY.play(test_megafon.STORY.deliveries)


async def _aircall() -> list[Event]:
    return test_aircall.STORY.play(test_aircall.STORY.deliveries)


async def _ringcentral() -> list[Event]:
    return test_ringcentral.STORY.play(test_ringcentral.STORY.deliveries)


async def _amazon_connect() -> list[Event]:
    return test_amazon_connect.STORY.play(test_amazon_connect.STORY.deliveries)


async def _freeswitch_esl() -> list[Event]:
    return test_freeswitch_esl.story().events


async def _freeswitch_json_cdr() -> list[Event]:
    basic = test_freeswitch_json_cdr.BASIC
    posted = test_freeswitch_json_cdr.posted(
        FreeSwitchHook(freeswitch_cases.settings(basic)), freeswitch_cases.deliveries("raw")
    )
    return posted + test_freeswitch_json_cdr.from_folder()


# -- CRMs


async def _polled(made: Polling, time: Time) -> list[Event]:
    """Poll a CRM all day long."""
    for number in range(1, _POLLS + 1):
        time.now_ms = max(time.now_ms, DAY + number * (EVENING - DAY) // _POLLS)
        assert await made.poller.once() == "done", made.poller.trouble
    return made.sink.events


async def _amocrm() -> list[Event]:
    time = Time(DAY)
    async with test_amocrm.asked(time, sink=MemorySink(), cursors=MemoryCursors()) as (made, _, _):
        return await _polled(made, time)


async def _hubspot() -> list[Event]:
    time = Time(DAY)
    async with test_hubspot.asked(time, 'sweep = "5m"', sink=MemorySink(), cursors=MemoryCursors()) as (made, _, _):
        return await _polled(made, time)


async def _pipedrive() -> list[Event]:
    time = Time(DAY)
    async with test_pipedrive.asked(time, 'sweep = "5m"', sink=MemorySink(), cursors=MemoryCursors()) as (made, _, _):
        return await _polled(made, time)


# -- both


async def _bitrix24() -> list[Event]:
    story = test_bitrix24.Story(PLACE)
    events, _, _ = await test_bitrix24.watched(story, story.deliveries, 10 * MINUTE_MS)
    found: list[Event] = events
    return found


async def _cloudevents() -> list[Event]:
    now_ms = 0
    async with serving(CLOUDEVENTS, clock=lambda: now_ms) as served:
        for one in json.loads((PLACE / "cloudevents/deliveries.json").read_bytes()):
            now_ms = one["received_at_ms"]
            await exchange(served.url, (PLACE / "cloudevents" / one["file"]).read_bytes())
        return served.sink.events


def _with_deals(calls: Callable[[], Awaitable[list[Event]]]) -> Callable[[], Awaitable[list[Event]]]:
    async def both() -> list[Event]:
        return await calls() + await _pipedrive()

    return both


def _with_calls(deals: Callable[[], Awaitable[list[Event]]]) -> Callable[[], Awaitable[list[Event]]]:
    async def both() -> list[Event]:
        return await _freeswitch_esl() + await deals()

    return both


TELEPHONY: Final = {
    "aircall": _aircall,
    "amazon_connect": _amazon_connect,
    "freeswitch_esl": _freeswitch_esl,
    "freeswitch_json_cdr": _freeswitch_json_cdr,
    "mango": _mango,
    "megafon": _megafon,
    "ringcentral": _ringcentral,
    "twilio": _twilio,
    "zadarma": _zadarma,
}
CRMS: Final = {"amocrm": _amocrm, "hubspot": _hubspot, "pipedrive": _pipedrive}
BOTH: Final = {"bitrix24": _bitrix24, "cloudevents": _cloudevents}
DEPARTMENTS: Final[dict[str, Told]] = {
    **{name: Told(_with_deals(play), name, "pipedrive") for name, play in TELEPHONY.items()},
    **{name: Told(_with_calls(play), "freeswitch_esl", name) for name, play in CRMS.items()},
    **{name: Told(play, name, name) for name, play in BOTH.items()},
}


# -- the truth


def truth() -> list[Event]:
    """The events of a complete source: story.json in the form of the contract."""
    return [*_calls(), *_deals(), *_links()]


def _calls() -> Iterator[Event]:
    for leg in TRUTH["legs"]:
        about: dict[str, Any] = {"v": 1, "source": "truth", "call": leg["call"], "manager": leg["manager"]}
        about["lead"] = leg["lead"] and lead_key(leg["lead"], SECRET.encode())
        name = f"{leg['call']}:{leg['manager']}"
        internal: dict[str, Any] = {"internal": True} if leg["consult"] else {}
        way = {"direction": leg["direction"], **internal}
        if not leg["manager"].startswith(QUEUE_PREFIX):
            yield CallStarted(**about, **way, id=f"{name}:s", at=leg["started"])
        if leg["answered"] is not None:
            yield CallAnswered(**about, id=f"{name}:a", at=leg["answered"])
        if leg["transferred_to"]:
            to = {"to_manager": leg["transferred_to"], "how": leg["how"]}
            yield CallTransferred(**about, **to, id=f"{name}:t", at=leg["ended"])
        talk = {"started_at": leg["started"], "answered_at": leg["answered"], "talk_ms": leg["talk_ms"]}
        end = {"at": leg["ended"], "disposition": leg["disposition"], **talk}
        yield CallEnded(**about, **way, **end, id=f"{name}:e")


def _deals() -> Iterator[Event]:
    for name, deal in TRUTH["deals"].items():
        about: dict[str, Any] = {"v": 1, "source": "truth", "deal": name, "lead": f"contact:{deal['lead']}"}
        changes = {one["at_ms"] for part in ("stages", "amounts", "managers") for one in deal[part]}
        for at in sorted(changes):
            stage, amount, manager = (_last(deal[part], at) for part in ("stages", "amounts", "managers"))
            priced = {"amount": amount["amount"], "currency": deal["currency"]} if amount else {}
            said = {"stage": stage["stage"], "manager": manager["manager"], **priced}
            yield DealStageChanged(**about, **said, id=f"{name}:{at}", at=at)
        if deal["deleted"]:
            yield DealDeleted(**about, id=f"{name}:deleted", at=ms_of(deal["deleted"]))


def _last(changes: list[dict[str, Any]], at: int) -> dict[str, Any]:
    return next((one for one in reversed(changes) if one["at_ms"] <= at), {})


def _links() -> Iterator[Event]:
    for name, contact in TRUTH["contacts"].items():
        for number in contact["phones"]:
            key = lead_key(number, SECRET.encode())
            about: dict[str, Any] = {"v": 1, "source": "truth", "lead": f"contact:{name}", "old_key": key}
            yield LeadLinked(**about, id=f"link:{key}", at=DAY)


# -- several departments beside each other


def placed(events: Iterable[Event], name: str, by_ms: int) -> list[Event]:
    """The events as those of department `name`, `by_ms` later: managers, calls, leads and deals are its own."""
    return [_placed(event, name, by_ms) for event in events]


def manager_of(name: str, manager: str) -> str:
    """The id of a manager of a department."""
    prefix = QUEUE_PREFIX if manager.startswith(QUEUE_PREFIX) else ""
    return f"{prefix}{name}.{manager.removeprefix(prefix)}"


def _placed(event: Event, name: str, by_ms: int) -> Event:
    changed: dict[str, Any] = {"id": f"{zlib.crc32(name.encode()):x}:{event.id}"}
    for field in ("at", "started_at", "answered_at"):
        if (at := getattr(event, field, None)) is not None:
            changed[field] = at + by_ms
    for field in ("manager", "to_manager"):
        if manager := getattr(event, field, None):
            changed[field] = manager_of(name, manager)
    for field in ("call", "deal"):
        if (held := getattr(event, field, None)) is not None:
            changed[field] = f"{name}.{held}"
    for field in ("lead", "old_key"):
        if (lead := getattr(event, field, None)) is not None:
            number = _NUMBERS.get(lead)
            changed[field] = f"{name}.{lead}" if number is None else lead_key(number, f"{SECRET}{name}".encode())
    return replace(event, **changed)
