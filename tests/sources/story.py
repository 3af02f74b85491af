"""Plays a story of tests/fixtures/sources through a hook, and compares the resulting legs with expected.json.

    story = HookStory("mango", settings, MangoHook, MangoJoin)
    assert story.differences(story.play(story.deliveries)) == []

A hook is played as the gateway uses it: authenticity, translation, the join of its statements if it has one, and the
gateway's own checks.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from streams.calendars import local_time
from streams.contract.events import (
    CallAnswered,
    CallEnded,
    CallStarted,
    CallTransferred,
    Event,
    ManagerPresence,
    Rejection,
    encode,
)
from streams.phone_numbers import lead_key
from streams.settings.settings import Settings, Thresholds
from streams.sources.frame import Hook, Join, KeptStatement, Refused, Request, Statement
from streams.sources.http.acceptance import Acceptance
from streams.sources.joins import OpenCalls
from streams.tables.manager.effect import LegChange
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.results import result_of
from streams.tables.manager.row import ManagerRow

HOUR_MS: Final = 3_600_000
FIXTURES: Final = Path(__file__).parents[1] / "fixtures" / "sources"
SECRET: Final = "a lead secret of the tests of stories"  # noqa: S105 - it protects nothing
TOKEN: Final = "a-token-of-a-story"  # noqa: S105 - as above
SLACK_MS: Final = 15_000
"""Allowed difference from the truth of a moment that a source does not send and that is taken from the receipt."""
ACCEPTANCE: Final = Acceptance(future_ms=300_000)
RANKS: Final = {"timeout": 0, "cdr": 2, "hangup": 3}


def roster(system: str, folder: Path = FIXTURES / "storyA") -> str:
    """The settings of a department: secret, region and roster, where each manager has the ids of `system`."""
    managers = json.loads((folder / "mapping.json").read_bytes())["managers"]
    lines = [f'privacy.region = "RU"\nprivacy.lead_secret = "{SECRET}"']
    for id_, manager in managers.items():
        ids = json.dumps(manager["systems"].get(system, []))
        lines.append(
            f'[[managers]]\nid = "{id_}"\nname = "{manager["name"]}"\n'
            f'identities = {{ extension = "{manager["extension"]}", email = "{manager["email"]}", {system} = {ids} }}'
        )
    return "\n".join(lines) + "\n"


def keys_of(system: str, folder: Path = FIXTURES / "storyA") -> Any:
    """The signature keys, tokens and paths of a system."""
    return json.loads((folder / "keys.json").read_bytes()).get(system, {})


class Delivery(NamedTuple):
    """One request of a story. `kind` is its class in deliveries.json."""

    file: str
    kind: str
    request: Request


def parsed(data: bytes, system: str, path: str, received_at_ms: int) -> Request:
    """A request from its exact bytes. The part behind `path` in its target stays behind the path of the hook."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    place, _, query = target.partition("?")
    rest = place.removeprefix(path)
    return Request(
        method=method,
        url=f"https://callpulse.example/hooks/{system}/{TOKEN}{rest}",
        query=query,
        headers=headers,
        body=body,
        received_at_ms=received_at_ms,
    )


class HookStory:
    """A story of one system. `hook` and `join` are made anew at each start of the gateway."""

    def __init__(
        self,
        system: str,
        settings: Settings,
        hook: Callable[[Settings], Hook],
        join: Callable[[Settings], Join] | None = None,
        *,
        folder: Path = FIXTURES / "storyA",
    ) -> None:
        self.system = system
        self.settings = settings
        self.folder = folder
        self.expected: Any = json.loads((folder / system / "expected.json").read_bytes())
        self.truth: Any = json.loads((folder / "story.json").read_bytes())
        self._hook = hook
        self._join = join

    @cached_property
    def deliveries(self) -> list[Delivery]:
        """The requests in the order of their arrival."""
        place = self.folder / self.system
        path = keys_of(self.system, self.folder).get("path", "")
        return [
            Delivery(
                entry["file"],
                entry["class"],
                parsed((place / entry["file"]).read_bytes(), self.system, path, entry["received_at_ms"]),
            )
            for entry in json.loads((place / "deliveries.json").read_bytes())
        ]

    def play(self, deliveries: Sequence[Delivery], *, restarts: bool = False) -> list[Event]:
        """The events of the deliveries, each id once, the first one, at last those for which a join waits.

        Checks the class of each delivery. With `restarts`, the gateway is killed behind each delivery, and the delivery
        comes again after the start.
        """
        found: dict[str, Event] = {}
        gateway = Gateway(self.system, self.settings, self._hook, self._join)
        now_ms = 0
        for delivery in deliveries:
            # A shuffled delivery keeps its time of receipt, and the clock does not go back.
            now_ms = max(now_ms, delivery.request.received_at_ms)
            for event in _played(gateway, delivery, now_ms):
                found.setdefault(event.id, event)
            if restarts:
                gateway = gateway.restarted()
                again = _played(gateway, delivery, now_ms)
                assert {event.id for event in again} <= found.keys(), (delivery.file, "a repeat made other events")
        for event in gateway.joined(now_ms + HOUR_MS).events:
            found.setdefault(event.id, event)
        return list(found.values())

    def orders(self, seeds: int = 5) -> Iterator[list[Delivery]]:
        """Other orders of the deliveries: reversed, then shuffled. Each delivery keeps its time of receipt.

        Of deliveries with the same content, the first one has the first time of receipt in every order.
        """
        yield _in_time(self.deliveries[::-1])
        for seed in range(seeds):
            yield _in_time(random.Random(seed).sample(self.deliveries, len(self.deliveries)))

    def with_polled(
        self,
        deliveries: Sequence[Delivery],
        statements: Sequence[Statement],
        now_ms: int,
        *,
        polled_first: bool = False,
    ) -> list[Event]:
        """The events of deliveries and of the statements of a poll, which come behind them or before them."""
        gateway = Gateway(self.system, self.settings, self._hook, self._join)
        events: list[Event] = []

        def keep_polled() -> None:
            for statement in statements:
                gateway.keep(statement, now_ms)
                events.extend(gateway.joined(now_ms).events)

        if polled_first:
            keep_polled()
        for delivery in deliveries:
            result = gateway.deliver(delivery.request, now_ms)
            events.extend([] if result is None else result.events)
        if not polled_first:
            keep_polled()
        return events + gateway.joined(now_ms + HOUR_MS).events

    def assert_as_expected(self) -> None:
        """Assert that the deliveries make the expected events, without a customer's number."""
        events = self.play(self.deliveries)
        assert self.differences(events) == []
        assert has_number(self.numbers(), events) == []

    def assert_free_of_order(self, part: int | None = None) -> None:
        """Assert that no order, repeat or restart changes a leg. Restarts in a part of the deliveries, too."""
        for order in (*self.orders(2), [*self.deliveries, *self.deliveries]):
            assert self.differences(self.play(order)) == []
        for order in (self.deliveries, next(self.orders())):
            some = order[:part]
            assert self.differences(self.play(some, restarts=True)) == self.differences(self.play(some))
        assert self.differences(self.play(self.deliveries, restarts=True)) == []

    def differences(self, events: Sequence[Event]) -> list[str]:
        """Return the differences from expected.json, in words."""
        return differences(self.expected, self.truth, events)

    def numbers(self) -> set[bytes]:
        """The customers' numbers of the story, without plus and country code: they must not appear anywhere."""
        return {leg["lead"][2:].encode() for leg in self.truth["legs"] if leg["lead"]}


def _in_time(deliveries: list[Delivery]) -> list[Delivery]:
    alike: dict[tuple[bytes, ...], list[Delivery]] = {}
    for one in deliveries:
        alike.setdefault(tuple(sorted(one.request.body.split(b"&"))), []).append(one)
    receipts = {
        id(one): at
        for same in alike.values()
        for one, at in zip(same, sorted(each.request.received_at_ms for each in same), strict=True)
    }
    return [one._replace(request=replace(one.request, received_at_ms=receipts[id(one)])) for one in deliveries]


class Delivered(NamedTuple):
    """The data that the gateway stores of one request, dead letters included."""

    events: list[Event]
    refused: list[Refused]
    statements: list[Statement]
    ignored: int = 0


class Gateway:
    """A hook and its join, from a request to the stored events."""

    def __init__(
        self,
        system: str,
        settings: Settings,
        hook: Callable[[Settings], Hook],
        join: Callable[[Settings], Join] | None = None,
        statements: Sequence[tuple[int, Statement]] = (),
    ) -> None:
        self._made = (system, settings, hook, join)
        self._system = system
        self.hook = hook(settings)
        self._calls = OpenCalls({} if join is None else {system: join(settings)})
        self.statements: list[tuple[int, Statement]] = []
        for at_ms, statement in statements:
            self.keep(statement, at_ms)

    def restarted(self) -> Gateway:
        """The gateway that follows after this one was killed. The statements are in Kafka."""
        return Gateway(*self._made, statements=self.statements)

    def deliver(self, request: Request, now_ms: int = 0) -> Delivered | None:
        """Take a request at its receipt, or at `now_ms` if that is later; None for one that is not authentic."""
        now_ms = max(now_ms, request.received_at_ms)
        if not self.hook.is_authentic(request):
            return None
        translation = self.hook.translate(request)
        events, refused = _accepted(translation.events, now_ms)
        for statement in translation.statements:
            self.keep(statement, now_ms)
        joined = self.joined(now_ms)
        return Delivered(
            events + joined.events,
            [*translation.refused, *refused, *joined.refused],
            translation.statements,
            translation.ignored,
        )

    def joined(self, now_ms: int) -> Delivered:
        """Return the new results of the join of the statements."""
        found = Delivered([], [], [])
        for ready in self._calls.ready(now_ms):
            events, refused = _accepted(ready.events, now_ms)
            found.events.extend(events)
            found.refused.extend(refused)
            self._calls.done(ready)
        return found

    def keep(self, statement: Statement, at_ms: int) -> None:
        """Take a statement, of a delivery or of a poll."""
        self.statements.append((at_ms, statement))
        self._calls.take(self._system, statement.call, len(self.statements), KeptStatement(at_ms, statement.body))


def _accepted(made: Iterable[Event], now_ms: int) -> tuple[list[Event], list[Refused]]:
    events, refused = list[Event](), list[Refused]()
    for one in made:
        event = ACCEPTANCE.of(one, now_ms)
        if isinstance(event, Rejection):
            refused.append(Refused(reason=event.reason, detail=event.detail))
        else:
            events.append(event)
    return events, refused


def _played(gateway: Gateway, delivery: Delivery, now_ms: int) -> list[Event]:
    result = gateway.deliver(delivery.request, now_ms)
    if result is None:
        assert delivery.kind == "refused", (delivery.file, "is not authentic")
        return []
    assert delivery.kind != "refused", (delivery.file, "is taken for authentic")
    assert result.refused == [], (delivery.file, result.refused)
    if delivery.kind == "ignored":
        assert (result.statements, result.ignored > 0) == ([], True), delivery.file
    return result.events


# -- legs


class FoundLeg(NamedTuple):
    """A leg that is no internal one, from its events alone. None: it is not known."""

    direction: str
    started: int
    answered: int | None
    ended: int | None
    talk_ms: int | None
    disposition: str | None
    ended_by: str
    lead: str | None
    transfers: tuple[tuple[str, str], ...]


def legs_of(events: Iterable[Event]) -> dict[tuple[str, str], FoundLeg]:
    """The legs of the events by call and manager. Independent of the product's fold; a leg has one stretch here."""
    by_leg: dict[tuple[str, str], dict[str, Any]] = {}
    for event in {event.id: event for event in reversed(list(events))}.values():
        if isinstance(event, CallStarted | CallAnswered | CallTransferred | CallEnded):
            by_leg.setdefault((event.call, event.manager), {}).setdefault(type(event).__name__, []).append(event)
    return {key: leg for key, parts in by_leg.items() if (leg := _leg(parts)) is not None}


def _leg(parts: dict[str, Any]) -> FoundLeg | None:
    starts = sorted(parts.get("CallStarted", ()), key=lambda event: (event.at, event.id))
    answers = sorted(event.at for event in parts.get("CallAnswered", ()))
    transfers = tuple((event.to_manager, event.how) for event in parts.get("CallTransferred", ()))
    end = max(
        parts.get("CallEnded", ()),
        key=lambda event: (RANKS[event.ended_by], event.disposition == "answered", event.at, event.id),
        default=None,
    )
    described = end or (starts[0] if starts else None)
    if described is None or described.internal is True:
        return None
    if end is None:
        started = min([starts[0].at, *answers])
        answered = answers[0] if answers else None
        said = "answered" if answers else None
        return FoundLeg(described.direction, started, answered, None, None, said, "timeout", described.lead, transfers)
    answered = end.answered_at or (answers[0] if answers and end.disposition == "answered" else None)
    return FoundLeg(
        end.direction,
        end.started_at,
        answered,
        end.at,
        end.talk_ms,
        end.disposition,
        end.ended_by,
        end.lead,
        transfers,
    )


def differences(expected: Any, truth: Any, events: Sequence[Event]) -> list[str]:
    """Return the differences, in words: superfluous legs, missing legs, fields that differ.

    `hangup` and `cdr` are both an end from the source: the kind only decides between two ends of one leg.
    """
    found = legs_of(events)
    wrong = _miscounted(events, found)
    told: set[tuple[str, str]] = set()
    for leg in expected["legs"]:
        if leg.get("consultation"):
            continue
        key = (leg["source_call"], leg["manager"])
        told.add(key)
        if key not in found:
            wrong.append(f"{leg['call']} {leg['manager']}: no such leg")
            continue
        really = [one for one in truth["legs"] if (one["call"], one["n"]) == (leg["call"], leg["truth_leg"])]
        mine = {"tolerance_ms": expected.get("tolerance_ms", 0), **leg}
        wrong += [f"{leg['call']} {leg['manager']}: {text}" for text in _unlike(mine, really[0], found[key])]
    return wrong + [f"{key}: a leg too many: {found[key]}" for key in found.keys() - told]


def _unlike(leg: Any, truth: Any, found: FoundLeg) -> Iterator[str]:
    leg = leg | leg.get("push_only", {})
    for field in ("started", "answered", "ended"):
        yield from _unlike_moment(field, leg, truth, getattr(found, field))
    yield from _unlike_talk(leg, found.talk_ms)
    for field in ("disposition", "direction"):
        allowed = [leg[field], *leg.get(f"{field}_accept", ())]
        if "unknown" not in allowed and getattr(found, field) not in allowed:
            yield f"{field} is {getattr(found, field)} instead of {' or '.join(map(str, allowed))}"
    if (found.ended_by == "timeout") is not (leg["ended_by"] == "timeout"):
        yield f"ended_by is {found.ended_by} instead of {leg['ended_by']}"
    want = None if leg["lead"] is None else lead_key(leg["lead"], SECRET.encode())
    if found.lead != want:
        yield f"lead is {found.lead} instead of {want}"
    yield from _unlike_transfer(leg, found)


def _unlike_moment(field: str, leg: Any, truth: Any, found: int | None) -> Iterator[str]:
    want = leg[field]
    if want in {"receipt", "computed"}:
        if found is None or abs(found - truth[field]) > SLACK_MS:
            yield f"{field} is {found}, and was {truth[field]}"
    elif want != "unknown":
        exact = None if want is None else leg[f"{field}_ms"]
        accepted = [None if one is None else ms_of(one) for one in leg.get(f"{field}_accept", ())]
        is_near = found is not None and exact is not None and abs(found - exact) <= leg["tolerance_ms"]
        if found not in {exact, *accepted} and not is_near:
            yield f"{field} is {found} instead of {exact}"


def ms_of(moment: str | int) -> int:
    """A moment in milliseconds since epoch, from ISO 8601 or as it is."""
    return moment if isinstance(moment, int) else int(datetime.fromisoformat(moment).timestamp() * 1000)


def _unlike_talk(leg: Any, found: int | None) -> Iterator[str]:
    want, slack = leg["talk_s"], leg.get("talk_s_tolerance", 0.001)
    accepted = [one for one in (want, *leg.get("talk_s_accept", ())) if one is not None]
    if want is None and found is not None:
        yield f"talk is {found} ms, and is not known"
    unlike = found is None or all(abs(found / 1000 - one) > slack for one in accepted if one != "unknown")
    if accepted and "unknown" not in accepted and unlike:
        yield f"talk is {found} ms instead of {want} s"


def _unlike_transfer(leg: Any, found: FoundLeg) -> Iterator[str]:
    targets = {to for to, _ in found.transfers}
    if leg["transferred_to"] is None:
        if targets:
            yield f"is transferred to {targets}"
    elif leg["how"] == "unknown":
        if targets - {leg["transferred_to"]}:
            yield f"is transferred to {targets} instead of {leg['transferred_to']}"
    elif set(found.transfers) != {(leg["transferred_to"], leg["how"])}:
        yield f"is transferred {found.transfers} instead of {leg['how']} to {leg['transferred_to']}"


def rows_of(events: Iterable[Event]) -> dict[str, ManagerRow]:
    """The rows of managers after the events, as a worker folds them."""
    rows: dict[str, ManagerRow] = {}
    fold = ManagerFold(Thresholds())

    def take(event: Event) -> None:
        assert isinstance(event, CallStarted | CallAnswered | CallTransferred | CallEnded | ManagerPresence)
        row = rows.setdefault(event.manager, ManagerRow(event.manager, local_time("Europe/Moscow")))
        for emitted in fold.fold(row, event, row.live.pos + 1).emitted:
            if not isinstance(emitted, LegChange):
                take(emitted)

    for event in events:
        take(event)
    return rows


def _miscounted(events: Iterable[Event], found: dict[tuple[str, str], FoundLeg]) -> list[str]:
    """Return the legs that the fold of managers counts differently."""
    wrong: list[str] = []
    rows = rows_of(events)
    for (call, manager), leg in found.items():
        row = rows[manager]
        held = row.live.open.get(call) or row.past.get(call) or row.timed_out.get(call)
        result = None if held is None else result_of(held)
        if leg.ended is None:
            if held is None or result is not None:
                wrong.append(f"{call} {manager}: is not open in the row")
        elif result is None:
            wrong.append(f"{call} {manager}: is open in the row")
        elif (result.at, result.disposition, result.talk_ms, result.lead) != (
            *(leg.ended, leg.disposition, leg.talk_ms, leg.lead),
        ):
            wrong.append(f"{call} {manager}: counts as {result.packed()} instead of {leg}")
    return wrong


def has_number(numbers: Iterable[bytes], events: Iterable[Event], more: Iterable[bytes] = ()) -> list[bytes]:
    """Return the numbers in events, or in other stored bytes."""
    text = b"\n".join([*map(encode, events), *more])
    return [number for number in numbers if number in text]
