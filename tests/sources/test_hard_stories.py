"""The day of the fixtures on nights on which the clocks change, and over midnight, in the form of each system."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from streams.contract.events import CallEnded, CallStarted
from streams.settings.settings import load
from streams.sources.amazon_connect.hook import ConnectHook
from streams.sources.amazon_connect.join import ConnectJoin
from streams.sources.amocrm.hook import AmocrmHook
from streams.sources.bitrix24.hook import Bitrix24Hook
from streams.sources.frame import Request
from streams.sources.freeswitch import FreeSwitchHook
from streams.sources.mango.hook import MangoHook
from streams.sources.mango.join import MangoJoin
from streams.sources.megafon.hook import MegafonHook
from streams.sources.megafon.join import MegafonJoin
from streams.sources.pipedrive.hook import PipedriveHook
from streams.sources.registry import SOURCES
from streams.sources.twilio.hook import TwilioHook
from streams.sources.twilio.join import TwilioJoin
from streams.sources.zadarma.hook import ZadarmaHook
from streams.sources.zadarma.join import ZadarmaJoin
from tests.gateway.polled import MemoryCursors, Time
from tests.gateway.served import MemorySink
from tests.sources import (
    test_amazon_connect,
    test_amocrm,
    test_bitrix24,
    test_hubspot,
    test_mango,
    test_mango_poll,
    test_megafon,
    test_pipedrive,
    test_twilio,
    test_twilio_poll,
    test_zadarma,
)
from tests.sources.deals import deal_differences
from tests.sources.moved import Move, believing, moved_story
from tests.sources.story import HOUR_MS, HookStory, keys_of, legs_of, ms_of
from tests.sources.story import differences as of_legs
from tests.streams.freeswitch_cases import CDR, ESL, Played, deliveries, differences, joined, settings

MOSCOW: Final = 'timezone = "Europe/Moscow"'


class System(NamedTuple):
    """The parts that play the story of a system. `settings` has Moscow as the zone of its local times."""

    settings: str
    hook: Callable[[Any], Any]
    join: Callable[[Any], Any] | None
    story: type[HookStory] = HookStory


SYSTEMS: Final = {
    "amazon_connect": System(
        test_amazon_connect.settings_text(keys_of("amazon_connect")),
        ConnectHook,
        ConnectJoin,
        test_amazon_connect.WithoutLeads,
    ),
    "mango": System(test_mango.SETTINGS, MangoHook, MangoJoin),
    "megafon": System(test_megafon.SETTINGS, MegafonHook, MegafonJoin),
    "twilio": System(
        test_twilio.settings_text(keys_of("twilio")),
        TwilioHook,
        TwilioJoin,
        test_twilio.PushedStory,
    ),
    "zadarma": System(test_zadarma.SETTINGS, ZadarmaHook, ZadarmaJoin),
}


class Night(NamedTuple):
    """The shift of a story: the moment `was` (UTC, on the day of the story) becomes `is_` in `zone`."""

    was: str
    is_: str
    zone: str

    @property
    def by_s(self) -> int:
        return int((_utc(self.is_) - _utc(f"2026-11-17T{self.was}")).total_seconds())


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


AUTUMN, SPRING = "2026-10-25T01:00:00", "2026-03-29T01:00:00"
"""The nights on which the clocks change in Europe."""
NIGHTS: Final = [
    Night("06:05:00", AUTUMN, "Europe/Berlin"),
    Night("08:42:00", SPRING, "Europe/Berlin"),
    Night("10:02:00", "2026-11-17T21:00:00", "Europe/Moscow"),
]
MORE: Final = [
    Night("08:12:00", AUTUMN, "Europe/Berlin"),
    *(Night(was, AUTUMN, "Europe/Berlin") for was in ("06:45:00", "07:20:40", "07:50:00", "08:42:00", "09:16:00")),
    *(Night(was, AUTUMN, "Europe/Berlin") for was in ("10:02:00", "11:31:00", "12:00:00")),
    *(Night(was, AUTUMN, "Europe/Lisbon") for was in ("06:31:04", "10:50:00")),
    *(Night(was, SPRING, "Europe/Berlin") for was in ("06:05:00", "07:50:00", "09:40:00", "10:02:00")),
    *(Night(was, "2026-11-01T06:00:00", "America/New_York") for was in ("06:05:00", "08:12:00", "10:02:00")),
    *(Night(was, "2026-11-17T21:00:00", "Europe/Moscow") for was in ("06:05:00", "07:50:00", "08:12:00")),
    *(Night(was, "2026-12-31T23:00:00", "Europe/Berlin") for was in ("06:05:00", "10:02:00")),
    Night("08:42:00", "2027-02-28T21:00:00", "Europe/Moscow"),
]


def named(night: Night) -> str:
    return f"{night.is_[:10]}-{night.was}"


ALL: Final = [*NIGHTS, *(pytest.param(night, marks=pytest.mark.slow) for night in MORE)]
SOME: Final = [NIGHTS[0], *(pytest.param(night, marks=pytest.mark.slow) for night in MORE[::3])]


def told(folder: Path, system: str, night: Night) -> HookStory:
    """The story of a system on a night."""
    one = SYSTEMS[system]
    move = Move(night.by_s, "Europe/Moscow", night.zone)
    settings = load(one.settings.replace(MOSCOW, f'timezone = "{night.zone}"'), {}, SOURCES)
    story = one.story(system, settings, believing(one.hook), one.join, folder=moved_story(folder, system, move))
    story.__dict__["deliveries"] = [each for each in story.deliveries if each.kind != "refused"]
    return story


@pytest.mark.parametrize("night", ALL, ids=named)
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_day_comes_out_as_it_happened(system: str, night: Night, tmp_path: Path) -> None:
    story = told(tmp_path, system, night)
    assert story.differences(story.play(story.deliveries)) == []
    assert story.differences(story.play(next(story.orders()))) == []


@pytest.mark.parametrize("restart", ["07:50:00", "08:41:20", "11:31:00"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_call_over_midnight_that_a_restart_of_the_pbx_cuts_is_open_and_no_other_call_changes(
    system: str, restart: str, tmp_path: Path
) -> None:
    """No later messages come about the calls of that moment. Earlier ones stay."""
    night = Night(restart, "2026-11-17T21:00:00", "Europe/Moscow")
    story = told(tmp_path, system, night)
    at_ms = ms_of("2026-11-17T21:00:00Z")
    cut = {leg["call"] for leg in story.truth["legs"] if leg["started"] < at_ms < leg["ended"]}
    of = {one["file"]: set(one["of"]) for one in json.loads((tmp_path / system / "deliveries.json").read_bytes())}
    kept = [one for one in story.deliveries if not (of[one.file] & cut and one.request.received_at_ms > at_ms)]
    assert len(kept) < len(story.deliveries)
    whole, left = legs_of(story.play(story.deliveries)), legs_of(story.play(kept))
    ours = {(leg["source_call"], leg["manager"]) for leg in story.expected["legs"] if leg["call"] in cut}
    assert {key: leg for key, leg in left.items() if key not in ours} == {
        key: leg for key, leg in whole.items() if key not in ours
    }
    for key in left.keys() & ours:
        ended = whole[key].ended
        # A state of MegaFon is dated by its receipt until the record of the call comes.
        assert abs((left[key].answered or 0) - (whole[key].answered or 0)) < 2_000 or left[key].answered is None
        if ended is not None and ended < at_ms:
            assert left[key].ended == ended
        else:
            assert (left[key].ended, left[key].talk_ms) == (None, None), key


def move_of(night: Night) -> Move:
    return Move(night.by_s, "Europe/Moscow", night.zone)


@pytest.mark.parametrize("night", SOME, ids=named)
def test_freeswitch_says_the_same_on_its_socket_and_in_its_records(night: Night) -> None:
    move = move_of(night)

    def moved(path: Path) -> bytes:
        return move.text(path.read_bytes().decode("latin-1")).encode("latin-1")

    played = Played()
    played.now_ms += night.by_s * 1000
    for number in (1, 2):
        played.connection(moved(ESL / f"connection-{number}.bin"))
    assert played.refused == []
    assert differences(played.events, json.loads(moved(ESL / "expected.json"))) == []
    hook = FreeSwitchHook(settings())
    bodies = [moved(CDR / one["file"]).partition(b"\r\n\r\n")[2] for one in deliveries("raw")]
    bodies += map(moved, sorted((CDR / "err-log-dir").iterdir()))
    json_ = {"content-type": "application/json"}
    made = [
        hook.translate(Request(method="POST", url="", query="", headers=json_, body=body, received_at_ms=0))
        for body in bodies
    ]
    events = [event for one in made for event in one.events]
    events += joined(said for one in made for said in one.statements)
    assert differences(events, json.loads(moved(CDR / "expected.json"))) == []


HEAD: Final = re.compile(rb"Content-Length: (\d+)\nContent-Type: text/event-plain\n\n")
CORE, NEW_CORE = b"1f111c37-ea56-42a7-8871-6e0f5b5492ed", b"2a222c37-ea56-42a7-8871-6e0f5b549299"
BOOT_MS: Final = 4_000


def frames(data: bytes) -> tuple[bytes, list[bytes]]:
    """The bytes before the first event of a connection, and its events."""
    begin = place = data.index(HEAD.search(data)[0])  # type: ignore[index]  # there is one
    found = []
    while place < len(data):
        head = HEAD.match(data, place)
        assert head is not None
        place = head.end() + int(head[1])
        found.append(data[head.end() : place])
    return data[:begin], found


def sent(events: list[bytes]) -> bytes:
    return b"".join(b"Content-Length: %d\nContent-Type: text/event-plain\n\n" % len(event) + event for event in events)


def header(event: bytes, name: bytes) -> str:
    found = re.search(rb"^%s: (.*)$" % name, event, re.MULTILINE)
    return "" if found is None else found[1].decode()


def channels(event: bytes) -> set[str]:
    return {header(event, b"Unique-ID"), header(event, b"Channel-Call-UUID")} - {""}


@pytest.mark.parametrize("has_list", [True, False])
@pytest.mark.parametrize("restart", ["07:50:00", "08:41:20"])
def test_a_freeswitch_that_starts_anew_over_midnight_numbers_its_events_from_one_and_tells_the_calls_after(
    restart: str, *, has_list: bool
) -> None:
    """Earlier channels are gone without an event; the numbers of events begin again, and the core has another id.

    Without the list of channels, only the id shows that.
    """
    move = move_of(Night(restart, "2026-11-17T21:00:00", "Europe/Moscow"))
    at_ms = ms_of("2026-11-17T21:00:00Z")
    first, second = (
        move.text((ESL / f"connection-{number}.bin").read_bytes().decode("latin-1")).encode("latin-1")
        for number in (1, 2)
    )
    expected = json.loads(move.text((ESL / "expected.json").read_text(encoding="utf-8")))
    (greeting, early), (empty_list, late) = frames(first), frames(second)
    before = [one for one in early if int(header(one, b"Event-Date-Timestamp")) < at_ms * 1000]
    gone = {channel for one in before for channel in channels(one)}
    after = [one for one in [*early[len(before) :], *late] if not channels(one) & gone]
    after = [one for one in after if int(header(one, b"Event-Date-Timestamp")) > (at_ms + BOOT_MS) * 1000]
    anew = [
        re.sub(rb"Event-Sequence: \d+", b"Event-Sequence: %d" % number, one.replace(CORE, NEW_CORE))
        for number, one in enumerate(after, 1)
    ]
    played = Played()
    played.now_ms += move.by_s * 1000
    played.connection(greeting + sent(before))
    played.now_ms = at_ms + BOOT_MS
    played.connection((empty_list if has_list else greeting) + sent(anew))
    cut = [leg for leg in expected["legs"] if leg["started_ms"] < at_ms < (leg["ended_ms"] or 0)]
    calls = {leg["call"] for leg in cut} | {"A11"}  # A11 is in the list, which is requested later
    untold = {leg["source_call"] for leg in expected["legs"] if leg["call"] in calls}
    wrong = differences(played.events, expected)
    assert [text for text in wrong if not any(call in text for call in untold)] == []
    ends = {(end.call, end.manager): end for end in played.events if isinstance(end, CallEnded)}
    begun = {(one.call, one.manager) for one in played.events if isinstance(one, CallStarted)}
    heard = begun & {(leg["source_call"], leg["manager"]) for leg in cut}
    assert heard
    assert {(ends[leg].ended_by, ends[leg].talk_ms, ends[leg].at >= at_ms) for leg in heard} == {("timeout", 0, True)}


# -- polls


@pytest.mark.parametrize("night", SOME, ids=named)
async def test_bitrix24_says_the_same_by_polls_and_pushes(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_bitrix24, "Bitrix24Hook", believing(Bitrix24Hook))
    story = test_bitrix24.Story(moved_story(tmp_path, "bitrix24", move_of(night)))
    events, _, _ = await test_bitrix24.watched(story, authentic(story), HOUR_MS // 2)
    assert test_bitrix24.differences(story, events, exact=True) == []


@pytest.mark.parametrize("night", SOME, ids=named)
async def test_the_statistics_of_mango_repair_the_night(night: Night, tmp_path: Path) -> None:
    story = told(tmp_path, "mango", night)
    rows = (tmp_path / "mango/poll/stats_result.csv").read_text(encoding="utf-8")
    evening = EVENING + night.by_s * 1000
    made = await test_mango_poll.polled(test_mango_poll.Statistics(rows), now_ms=evening)
    assert made.sink.refused == []
    events = story.with_polled(story.deliveries, made.sink.statements, evening)
    assert of_legs(repaired(story), story.truth, events) == []


@pytest.mark.parametrize("night", SOME, ids=named)
async def test_the_list_of_calls_of_twilio_repairs_the_night(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = told(tmp_path, "twilio", night)
    evening = EVENING + night.by_s * 1000
    monkeypatch.setattr(test_twilio_poll, "EVENING", evening)
    monkeypatch.setattr(test_twilio_poll, "STORY", story)
    listed = json.loads((tmp_path / "twilio/poll/Calls.json").read_bytes())["calls"]
    monkeypatch.setattr(test_twilio_poll, "LIST", listed)
    calls = test_twilio_poll.calls_of(story.deliveries)
    sink, _ = await test_twilio_poll.polled(test_twilio_poll.Account(calls), now_ms=evening)
    assert sink.refused == []
    for pushed in ([], test_twilio_poll.pushed(story.deliveries)):
        events = test_twilio_poll.joined([*pushed, *sink.statements])
        assert of_legs(repaired(story), story.truth, events) == []


EVENING: Final = test_amocrm.EVENING


def authentic(story: HookStory) -> list[Any]:
    return [one for one in story.deliveries if one.kind != "refused"]


def repaired(story: HookStory) -> Any:
    return {**story.expected, "legs": [{**leg, "push_only": {}} for leg in story.expected["legs"]]}


CRM_HOOKS: Final = {
    "amocrm": (test_amocrm.settings_text(), AmocrmHook),
    "pipedrive": (test_pipedrive.settings_text(), PipedriveHook),
}


@pytest.mark.parametrize("night", SOME, ids=named)
@pytest.mark.parametrize("system", CRM_HOOKS)
def test_a_crm_pushes_the_same_deals(system: str, night: Night, tmp_path: Path) -> None:
    text, hook = CRM_HOOKS[system]
    folder = moved_story(tmp_path, system, move_of(night))
    story = HookStory(system, load(text, {}, SOURCES), believing(hook), folder=folder)
    events = story.play(authentic(story))
    assert deal_differences(story.expected, events, {}, has_currency=False) == []


@pytest.mark.parametrize("night", SOME, ids=named)
async def test_hubspot_has_the_same_deals(night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move = move_of(night)
    folder = moved_story(tmp_path, "hubspot", move) / "hubspot"
    monkeypatch.setattr(test_hubspot, "PLACE", folder)
    monkeypatch.setattr(test_hubspot, "EXPECTED", json.loads((folder / "expected.json").read_bytes()))
    monkeypatch.setattr(test_hubspot, "DAY", test_hubspot.DAY + night.by_s * 1000)
    for name in ("GONE", "DELETED", "OWNERS"):
        monkeypatch.setattr(test_hubspot, name, json.loads(move.text(json.dumps(getattr(test_hubspot, name)))))
    time = Time(test_hubspot.DAY)
    async with test_hubspot.asked(time, 'sweep = "5m"', sink=MemorySink(), cursors=MemoryCursors()) as (made, _, _):
        for _ in range(24):
            time.now_ms += HOUR_MS // 2
            assert await made.poller.once() == "done", made.poller.trouble
    assert test_hubspot.differences(made.sink.events, but=("nothing",)) == []
