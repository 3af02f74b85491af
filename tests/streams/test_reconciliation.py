"""Records compared with counted legs: on the calls of a real Asterisk, with changes in the live events."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from streams.calendars import local_time
from streams.contract.events import CallEnded, CallEvent, Event
from streams.explain.explainer import CallLog
from streams.settings.settings import Thresholds
from streams.sources.reconciliation import CountedLeg, Reconciled, RecordLeg, Terms, legs_of, reconcile
from streams.tables.manager.row import ManagerRow
from tests.streams.test_asterisk_real import EXPECTED
from tests.streams.test_records_cdr import real as cdr
from tests.streams.test_records_folded import live, records

NAMES = [name for name in EXPECTED if not name.startswith(("30", "31")) and EXPECTED[name]["expected"] != "won"]
EVER = Terms(since_ms=0, until_ms=1 << 62, knows_missed=False)


def counted(events: Iterable[Event]) -> list[CountedLeg]:
    """Return the legs that the tables count."""
    logs: dict[str, CallLog] = {}
    for pos, event in enumerate(events, 1):
        assert isinstance(event, CallEvent)
        if event.manager not in logs:
            logs[event.manager] = CallLog(ManagerRow(event.manager, local_time("UTC")), Thresholds())
        logs[event.manager].feed(event, pos)  # type: ignore[arg-type]  # an event of topic `calls`
    return [CountedLeg(call, name, leg) for name, log in logs.items() for call, leg in log.all()]


def ends(events: Iterable[Event]) -> list[CallEnded]:
    return [event for event in events if isinstance(event, CallEnded)]


def total(result: Reconciled, field: str) -> int:
    return sum(getattr(day, field) for day in result.days)


@pytest.mark.parametrize("name", NAMES)
def test_cel_agrees_with_what_was_heard(name: str) -> None:
    result = reconcile(counted(live(name)), legs_of(ends(records(name))), EVER)
    assert result.agrees, [day.differences for day in result.days]
    assert result.repairs == ()
    assert abs(total(result, "talk_difference_ms")) <= 200 * max(total(result, "both"), 1)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_not_heard_is_missing_and_its_repair_makes_it_count(name: str) -> None:
    said = list(legs_of(ends(records(name))))
    result = reconcile([], said, EVER)
    assert total(result, "missing") == len(said)
    again = reconcile(counted(result.repairs), said, EVER)
    assert again.agrees
    assert total(again, "both") == len(said)
    assert total(again, "talk_difference_ms") == 0


@pytest.mark.parametrize("name", ["02-out-answered-customer-hangs-up", "101-blind-refer", "47-queue-answered"])
def test_an_end_that_was_lost_is_repaired_and_one_too_many_is_named(name: str) -> None:
    events = list(live(name))
    heard = ends(events)
    lost = [
        msgspec.structs.replace(event, ended_by="timeout", id=f"{event.id}:timeout") if event in heard[:1] else event
        for event in events
        if isinstance(event, CallEnded)
    ]
    said = list(legs_of(ends(records(name))))
    result = reconcile(counted(lost), said, EVER)
    assert (total(result, "lost_ends"), total(result, "missing")) == (1, 0)
    assert reconcile(counted([*lost, *result.repairs]), said, EVER).agrees
    extra = reconcile(counted(heard), said[1:], EVER)
    assert (total(extra, "extra"), total(extra, "missing")) == (1, 0)
    outside = Terms(since_ms=0, until_ms=1, knows_missed=False)
    assert reconcile(counted(heard), said[1:], outside).agrees  # the records do not reach that far


def test_an_uncertain_end_is_repaired_where_the_records_say_otherwise() -> None:
    (end,) = ends(records("02-out-answered-customer-hangs-up"))
    short = msgspec.structs.replace(end, id="heard", ended_by="hangup", uncertain=True, talk_ms=end.talk_ms - 3_000)
    for counted_end, repaired in ((short, True), (msgspec.structs.replace(short, uncertain=False), False)):
        result = reconcile(counted([counted_end]), [RecordLeg(end, (end,))], EVER)
        assert total(result, "other_talk") == 1
        assert bool(result.repairs) is repaired
        assert reconcile(counted([counted_end, *result.repairs]), [RecordLeg(end, (end,))], EVER).agrees is repaired
    assert reconcile(counted([short]), [RecordLeg(end, (end,), is_exact=False)], EVER).repairs == ()


def test_other_talk_and_other_dispositions_are_told_apart_with_a_tolerance() -> None:
    (end,) = ends(records("02-out-answered-customer-hangs-up"))

    def compared(terms: Terms = EVER, *, is_exact: bool = True, **changes: object) -> list[str]:
        other = msgspec.structs.replace(end, **changes)
        result = reconcile(counted([end]), [RecordLeg(other, (other,), is_exact)], terms)
        return [one.kind for day in result.days for one in day.differences]

    assert compared(talk_ms=end.talk_ms + 2_000) == []
    assert compared(talk_ms=end.talk_ms + 2_001) == ["talk"]
    assert compared(talk_ms=end.talk_ms + 60_000, is_exact=False) == []
    assert compared(disposition="busy") == ["disposition"]
    unanswered = msgspec.structs.replace(end, disposition="canceled", talk_ms=0)
    record = msgspec.structs.replace(unanswered, disposition="no_answer")
    for knows, agrees in ((True, False), (False, True)):
        terms = msgspec.structs.replace(EVER, knows_cancels=knows)
        assert reconcile(counted([unanswered]), [RecordLeg(record, (record,))], terms).agrees is agrees


def test_a_cdr_row_is_matched_by_its_uniqueid_before_its_linkedid() -> None:
    (end,) = ends(records("02-out-answered-customer-hangs-up"))
    other = msgspec.structs.replace(end, call="1795000000.1")
    result = reconcile(counted([end]), [RecordLeg(other, (other,), other_calls=frozenset({end.call}))], EVER)
    assert result.agrees
    missing = reconcile(
        counted([msgspec.structs.replace(end, manager="102")]),
        [RecordLeg(other, (other,), other_calls=frozenset({end.call}))],
        EVER,
    )
    assert [repair.call for repair in missing.repairs] == [end.call]  # the id under which the call is known


def test_cdr_of_a_real_asterisk_misses_and_adds_few_answered_legs() -> None:
    both = differing = 0
    terms = Terms(since_ms=0, until_ms=0, knows_cancels=False, knows_missed=False)
    for name in NAMES:
        said = [RecordLeg(leg.end, (leg.end,), leg.is_exact, leg.other_calls) for leg in cdr(name, custom=True)]
        result = reconcile(counted(live(name)), said, terms)
        both += total(result, "both")
        differing += total(result, "other_talk") + total(result, "missing")
    assert both > 180
    assert differing <= 8


def test_the_result_can_be_encoded() -> None:
    result = reconcile([], legs_of(ends(records("101-blind-refer"))), EVER)
    assert msgspec.json.decode(msgspec.json.encode(result), type=Reconciled) == result
