"""Calls of Aircall that are not in the story of a day: transfers, voicemail, withheld callers, lost events."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import CallEnded, Event
from streams.settings.settings import Settings, load
from streams.sources.aircall.hook import AircallHook
from streams.sources.aircall.join import AircallJoin
from streams.sources.aircall.poll import AircallPoll
from streams.sources.frame import Request
from streams.sources.gathering import statement
from streams.sources.registry import SOURCES
from streams.tables.manager.results import result_of
from tests.sources.story import TOKEN, FoundLeg, Gateway, keys_of, legs_of, rows_of
from tests.sources.test_aircall import SETTINGS

VERA, GLEB, RIMMA = "vera.lisina", "gleb.ostrov", "rimma.zueva"
IDS: Final = {VERA: 795718, GLEB: 731538, RIMMA: 704188}
AT: Final = 1_794_906_000
CALL: Final = "700"
Said = dict[str, Any]


def user(name: str) -> Said | None:
    return {"id": IDS[name], "email": f"{name}@romashka.example"} if name else None


@cache
def settings_of(more: str) -> Settings:
    return load(SETTINGS + more, {}, SOURCES)


class Line:
    """A call in the form of Aircall: each event has the whole state at its moment, in seconds from the start."""

    def __init__(self, direction: str = "inbound", **data: Any) -> None:
        self.data: Said = {
            "id": int(CALL),
            "direction": direction,
            "status": "initial",
            "started_at": AT,
            "answered_at": None,
            "ended_at": None,
            "raw_digits": "+7 495 000-01-01",
            "number": {"id": 484639},
        }
        self.data |= data
        self.events: list[Said] = []

    def say(self, event: str, second: int, **data: Any) -> Line:
        self.data |= data
        now = json.loads(json.dumps(self.data))
        said = {"resource": "call", "event": f"call.{event}", "timestamp": AT + second, "data": now}
        self.events.append({**said, "token": keys_of("aircall")["token"]})
        return self

    def ring(self, name: str, second: int) -> Line:
        before = self.data.get("user")
        self.say("ringing_on_agent", second, user=user(name))
        self.data["user"] = before
        return self

    def answer(self, name: str, second: int) -> Line:
        first = self.data["answered_at"] or AT + second
        return self.say("answered", second, user=user(name), answered_at=first, status="answered")

    def move(self, by: str, to: str, second: int, event: str = "transferred", **data: Any) -> Line:
        self.say(event, second, transferred_by=user(by), transferred_to=user(to), **data)
        if event == "transferred" and to:
            self.data["user"] = user(to)
        return self

    def end(self, second: int, **data: Any) -> Line:
        self.say("hungup", second, ended_at=AT + second, status="done", **data)
        return self.say("ended", second + 30)


class Heard:
    """A gateway that takes events, and its results."""

    def __init__(self, more: str = "") -> None:
        self.gateway = Gateway("aircall", settings_of(more), AircallHook, AircallJoin)
        self.events: list[Event] = []
        self.ignored = 0
        self.now_ms = 0

    def take(self, said: Iterable[Said]) -> Heard:
        for one in said:
            # A second and a half after it happened, by a gateway that goes on meanwhile.
            request = Request(
                method="POST",
                url=f"https://callpulse.example/hooks/aircall/{TOKEN}",
                query="",
                headers={},
                body=json.dumps(one).encode(),
                received_at_ms=one["timestamp"] * 1000 + 1500,
            )
            self.now_ms = max(self.now_ms, request.received_at_ms)
            result = self.gateway.deliver(request, self.now_ms)
            assert result is not None
            assert result.refused == []
            self.events += result.events
            self.ignored += result.ignored
        return self

    def poll(self, row: Said) -> Heard:
        """Read a row of the list, 40 s after the call ended."""
        self.now_ms = max(self.now_ms, row["ended_at"] * 1000 + 40_000)
        found = AircallPoll(settings_of(""))._reader.listed(json.dumps(row).encode(), self.now_ms)
        assert found is not None
        self.gateway.keep(statement(found[0], found[1].ended, found[1]), self.now_ms)
        self.events += self.gateway.joined(self.now_ms).events
        return self

    def legs(self) -> dict[str, FoundLeg]:
        self.events += self.gateway.joined(2**42).events
        return {manager: leg for (_, manager), leg in legs_of(self.events).items()}

    def counted(self) -> dict[str, Any]:
        """Return the result of the call's leg in the row of each manager."""
        self.events += self.gateway.joined(2**42).events
        found = {}
        for manager, row in rows_of(self.events).items():
            held = row.live.open.get(CALL) or row.past.get(CALL)
            result = None if held is None else result_of(held)
            found[manager] = None if result is None else result.packed()[:7]
        return found


def talks(line: Line) -> dict[str, tuple[str | None, int | None]]:
    """The disposition and the talk in seconds of each leg of a call."""
    return {
        manager: (leg.disposition, None if leg.talk_ms is None else leg.talk_ms // 1000)
        for manager, leg in Heard().take(line.events).legs().items()
    }


def test_a_transfer_gives_each_user_the_talk_that_was_theirs() -> None:
    line = Line().ring(VERA, 1).answer(VERA, 5).move(VERA, GLEB, 65).move(GLEB, RIMMA, 100).end(160)
    assert talks(line) == {VERA: ("answered", 60), GLEB: ("answered", 35), RIMMA: ("answered", 60)}


def test_the_answer_of_the_receiver_begins_the_talk_where_it_is_said() -> None:
    line = Line().answer(VERA, 5).move(VERA, GLEB, 65).ring(GLEB, 66).answer(GLEB, 75).end(175)
    heard = Heard().take(line.events)
    assert talks(line) == {VERA: ("answered", 60), GLEB: ("answered", 100)}
    (end,) = {one.id: one for one in heard.events if isinstance(one, CallEnded) and one.manager == GLEB}.values()
    assert end.uncertain is not True
    told = Heard().take(Line().answer(VERA, 5).move(VERA, GLEB, 65).end(175).events)
    (end,) = {one.id: one for one in told.events if isinstance(one, CallEnded) and one.manager == GLEB}.values()
    assert end.uncertain is True, "its talk may hold the ringing"


def test_a_transfer_that_comes_back_is_none() -> None:
    line = Line().answer(VERA, 5).move(VERA, GLEB, 65).move(VERA, GLEB, 85, "unsuccessful_transfer", user=user(VERA))
    assert talks(line.end(165)) == {VERA: ("answered", 160), GLEB: ("no_answer", 0)}


def test_a_call_that_leaves_the_department_ends_its_talk() -> None:
    line = Line("outbound", user=user(VERA)).say("created", 0).answer(VERA, 10)
    line.move(VERA, "", 70, "external_transferred")
    assert talks(line) == {VERA: ("answered", 60)}
    assert talks(line.end(300)) == {VERA: ("answered", 60)}


def test_a_transfer_to_a_team_is_that_of_whoever_answers() -> None:
    team = {"id": 9, "direct_link": "https://api.aircall.io/v1/teams/9"}
    line = Line().answer(VERA, 5).say("transferred", 65, transferred_by=user(VERA), transferred_to=team)
    line.ring(GLEB, 66).ring(RIMMA, 66).answer(RIMMA, 80).end(180)
    assert talks(line) == {VERA: ("answered", 60), GLEB: ("no_answer", 0), RIMMA: ("answered", 100)}


def test_a_user_who_gets_a_call_back_has_one_leg_with_both_talks() -> None:
    line = Line().answer(VERA, 5).move(VERA, GLEB, 65).answer(GLEB, 70).move(GLEB, VERA, 100).answer(VERA, 105).end(155)
    counted = Heard().take(line.events).counted()
    assert (counted[VERA][5], counted[GLEB][5]) == (110_000, 30_000)


@pytest.mark.parametrize("reason", ["out_of_opening_hours", "abandoned_in_ivr", "no_available_agent"])
def test_a_call_that_goes_to_voicemail_is_missed_by_its_queue(reason: str) -> None:
    line = Line(missed_call_reason=reason).say("created", 0).end(30)
    line.say("voicemail_left", 70, voicemail="https://x.example/v")
    assert talks(line) == {"queue:inbound": ("no_answer", 0)}
    named = Heard('queues = { "484639" = "sales" }\n').take(line.events)
    assert set(named.legs()) == {"queue:sales"}


def test_a_missed_call_waits_for_its_last_event_or_for_a_minute() -> None:
    line = Line().say("created", 0).end(30)
    heard = Heard()
    now = (AT + 32) * 1000
    hungup = json.dumps(line.events[1]).encode()
    request = Request(method="POST", url="", query="", headers={}, body=hungup, received_at_ms=now)
    assert [delivered.events for delivered in [heard.gateway.deliver(request)] if delivered] == [[]]
    assert heard.gateway.joined(now + 59_000).events == []
    assert {manager for _, manager in legs_of(heard.gateway.joined(now + 60_000).events)} == {"queue:inbound"}
    assert set(Heard().take(line.events[2:]).legs()) == {"queue:inbound"}


def test_a_declined_call_ends_at_that_moment() -> None:
    line = Line().ring(VERA, 1).ring(GLEB, 1).say("agent_declined", 4, user=user(VERA)).answer(GLEB, 9).end(60)
    legs = Heard().take(line.events).legs()
    assert (legs[VERA].disposition, legs[VERA].ended) == ("no_answer", (AT + 4) * 1000)
    assert legs[GLEB].talk_ms == 51_000


@pytest.mark.parametrize("digits", ["anonymous", "", None, "+266696687", "Unknown"])
def test_a_withheld_caller_is_no_lead(digits: str | None) -> None:
    legs = Heard().take(Line(raw_digits=digits).answer(VERA, 5).end(60).events).legs()
    assert (legs[VERA].lead, legs[VERA].talk_ms) == (None, 55_000)


def test_a_user_of_no_roster_entry_keeps_the_id_and_nobody_is_unknown() -> None:
    stranger = {"id": 5, "email": "new@romashka.example"}
    assert set(Heard().take(Line("outbound", user=stranger).say("created", 0).end(9).events).legs()) == {"aircall:5"}
    assert set(Heard().take(Line("outbound").say("created", 0).end(9).events).legs()) == {"aircall:unknown"}


def test_a_user_is_known_by_e_mail_without_an_id_on_the_roster() -> None:
    known = {"id": 6, "email": "Vera.Lisina@romashka.example"}
    assert set(Heard().take(Line("outbound", user=known).say("created", 0).end(9).events).legs()) == {VERA}


def test_a_transfer_that_was_never_heard_of_gives_the_talk_to_the_last_user() -> None:
    line = Line().answer(VERA, 5).move(VERA, GLEB, 65).end(165)
    lost = [one for one in line.events if one["event"] != "call.transferred"]
    counted = Heard().take(lost).counted()
    assert (counted[VERA][4:6], counted[GLEB][4:6]) == (("answered", 0), ("answered", 160_000))
    again = Heard().take(lost).take(line.events).counted()
    assert (again[VERA][5], again[GLEB][5]) == (60_000, 100_000)
    assert again == Heard().take(line.events).counted()


def test_the_list_alone_has_the_whole_call_and_a_push_makes_it_exact() -> None:
    line = Line().ring(VERA, 1).answer(VERA, 5).move(VERA, GLEB, 65).end(165)
    row = line.events[-1]["data"]
    alone = Heard().poll(row).counted()
    assert (alone[VERA][5], alone[GLEB][5]) == (0, 160_000)
    whole = Heard().take(line.events).counted()
    assert Heard().poll(row).take(line.events).counted() == whole
    assert Heard().take(line.events).poll(row).counted() == whole


def test_what_concerns_no_figure_is_ignored() -> None:
    line = Line().answer(VERA, 5).say("hold", 7).say("tagged", 8).say("voicemail_left", 9)
    user_event = {"resource": "user", "event": "user.opened", "timestamp": AT, "data": {"id": 1}}
    heard = Heard().take([*line.events, {**user_event, "token": keys_of("aircall")["token"]}])
    assert heard.ignored == 4


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """A call: it rings, is answered or not, goes from hand to hand, and ends or not."""
    names = st.sampled_from(list(IDS))
    second = itertools.count(1, draw(st.integers(1, 9)))
    is_outbound = draw(st.booleans())
    line = Line("outbound" if is_outbound else "inbound", user=user(draw(names)) if is_outbound else None)
    line.say("created", 0)
    rung: list[str] = [] if is_outbound else draw(st.lists(names, max_size=3, unique=True))
    for name in rung:
        line.ring(name, next(second))
    is_declined = draw(st.booleans())
    if rung and is_declined:
        line.say("agent_declined", next(second), user=user(rung[0]))
        line.data["user"] = None
    if draw(st.booleans()):
        holder = next(name for name in IDS if user(name) == line.data["user"]) if is_outbound else draw(names)
        line.answer(holder, next(second))
        had = {holder}
        for _ in range(draw(st.integers(0, 3))):
            # For a user who has the call twice, no single event shows which of the two times it ended.
            fresh = [name for name in IDS if name not in had]
            if not fresh:
                break
            to = draw(st.sampled_from(fresh))
            had.add(to)
            line.move(holder, to, next(second))
            if draw(st.booleans()):
                line.answer(to, next(second))
                holder = to
            elif draw(st.booleans()):
                line.move(holder, to, next(second), "unsuccessful_transfer", user=user(holder))
            else:
                holder = to
    came_back = any(one["event"] == "call.unsuccessful_transfer" for one in line.events)
    if came_back or draw(st.booleans()):
        line.end(next(second) + 1)
    return line


@given(lines(), st.randoms(), st.booleans())
def test_no_order_of_the_events_changes_what_counts(line: Line, random: Any, has_row: bool) -> None:
    in_order, shuffled = Heard().take(line.events), Heard()
    order = [*line.events, *line.events[::2]]
    random.shuffle(order)
    if has_row and line.data["ended_at"]:
        in_order.poll(line.events[-1]["data"])
        shuffled.poll(line.events[-1]["data"])
    assert shuffled.take(order).counted() == in_order.counted(), [one["event"] for one in order]
