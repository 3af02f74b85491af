"""The open calls of a partition: their joins, the statements that a restart reads again, and forgotten calls."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import CallAnswered
from streams.sources.frame import Joined, KeptStatement
from streams.sources.joins import MOST_STATEMENTS, LeftOut, OpenCalls, Ready

AT = 1_795_435_200_000
KEEP_MS = 1_000


class Pairs:
    """Joins `a1` and `b1` to the event `1`. A lone half waits; a call that has `later` waits until AT + 500."""

    keep_ms = KEEP_MS

    def join(self, statements: Sequence[KeptStatement], now_ms: int) -> Joined:
        said = {one.body.decode() for one in statements}
        numbers = {text[1:] for text in said if text != "later"}
        pairs = sorted(number for number in numbers if {"a" + number, "b" + number} <= said)
        waits = "later" in said and now_ms < AT + 500
        return Joined(
            events=[] if waits else [event(number) for number in pairs],
            again_ms=AT + 500 if waits else None,
            missing="" if len(pairs) == len(numbers) else "a half is missing",
        )


def event(number: str) -> CallAnswered:
    return CallAnswered(v=1, id=number, at=AT, source="pairs", call="c", manager="m")


def said(text: str, at_ms: int = AT) -> KeptStatement:
    return KeptStatement(at_ms, text.encode())


def ids(ready: Ready) -> list[str]:
    return [event.id for event in ready.events]


def test_an_event_is_returned_until_it_is_stored_and_then_no_more() -> None:
    calls = OpenCalls({"pairs": Pairs()})
    calls.take("pairs", "c", 0, said("a1"))
    assert list(calls.ready(AT)) == []
    calls.take("pairs", "c", 1, said("b1"))
    (ready,) = calls.ready(AT)
    assert (ready.source, ready.call, ids(ready)) == ("pairs", "c", ["1"])
    calls.take("pairs", "c", 2, said("b1"))
    assert list(calls.ready(AT)) == [], "nothing new was said"
    calls.take("pairs", "c", 3, said("a2"))
    (again,) = calls.ready(AT)
    assert ids(again) == ["1"], "it was not stored"
    calls.done(again)
    calls.take("pairs", "c", 4, said("b2"))
    (second,) = calls.ready(AT)
    assert ids(second) == ["2"]


def test_a_call_that_waits_is_asked_again_at_its_moment() -> None:
    calls = OpenCalls({"pairs": Pairs()})
    for offset, text in enumerate(("a1", "b1", "later")):
        calls.take("pairs", "c", offset, said(text))
    assert list(calls.ready(AT + 499)) == []
    assert [ids(ready) for ready in calls.ready(AT + 500)] == [["1"]]


def test_a_restart_reads_from_the_first_statement_of_a_call_that_is_open() -> None:
    calls = OpenCalls({"pairs": Pairs()})
    assert OpenCalls({}).oldest_offset is None
    calls.take("pairs", "old", 5, said("a1"))
    calls.take("pairs", "new", 6, said("a1", AT + 800))
    calls.take("another source", "c", 1, said("a1"))
    list(calls.ready(AT))
    assert calls.oldest_offset == 5
    assert calls.forget(AT + KEEP_MS) == []
    assert [(one.source, one.missing) for one in calls.forget(AT + KEEP_MS + 1)] == [("pairs", "a half is missing")]
    assert calls.oldest_offset == 6


def test_a_complete_call_is_forgotten_without_a_word_and_one_that_waits_is_kept() -> None:
    calls = OpenCalls({"pairs": Pairs()})
    for offset, text in enumerate(("a1", "b1")):
        calls.take("pairs", "whole", offset, said(text))
    calls.take("pairs", "unasked", 2, said("a1"))
    for ready in calls.ready(AT):
        calls.done(ready)
    calls.take("pairs", "unasked", 3, said("b1"))
    assert calls.forget(AT + 2 * KEEP_MS) == []
    assert len(calls) == 1, "its new statement was not looked at"


def test_the_statements_of_one_call_are_bounded() -> None:
    calls = OpenCalls({"pairs": Pairs()})
    for number in range(MOST_STATEMENTS + 1):
        calls.take("pairs", "c", number, said(f"a{number}"))
    calls.take("pairs", "c", 0, said(f"b{MOST_STATEMENTS}"))
    assert list(calls.ready(AT)) == []


def test_what_is_left_out_is_said_once_and_a_repeat_is_not_left_out() -> None:
    calls = OpenCalls({"pairs": Pairs(), "others": Pairs()})
    for call in ("c", "d"):
        for number in range(MOST_STATEMENTS):
            calls.take("pairs", call, number, said(f"a{number}"))
    calls.take("pairs", "c", 0, said("a0"))
    calls.take("others", "c", 0, said("a0"))
    assert calls.left_out() == []
    for text in ("b1", "b2", "b1"):
        calls.take("pairs", "c", 0, said(text))
    calls.take("pairs", "d", 0, said("b1"))
    assert calls.left_out() == [LeftOut("pairs", 4, 2)]
    assert calls.left_out() == []
    calls.take("pairs", "c", 0, said("b3"))
    assert calls.left_out() == [LeftOut("pairs", 1, 0)], "the call is known to be full"
    calls.take("pairs", "c", 0, said("b4"))
    calls.recall(AT)
    assert calls.left_out() == [], "the gateway before this one has said it"


def test_what_was_stored_before_a_restart_is_recalled_and_what_waited_then_is_not() -> None:
    calls = OpenCalls({"pairs": Pairs()})
    for offset, text in enumerate(("a1", "b1")):
        calls.take("pairs", "stored", offset, said(text))
        calls.take("pairs", "waits", offset, said(text))
    calls.take("pairs", "waits", 2, said("later"))
    calls.recall(AT + 499)
    calls.take("pairs", "stored", 3, said("a2"))
    calls.take("pairs", "stored", 4, said("b2"))
    assert [(ready.call, ids(ready)) for ready in calls.ready(AT + 500)] == [("waits", ["1"]), ("stored", ["2"])]


def test_a_join_that_breaks_costs_its_call_and_no_other() -> None:
    class Broken(Pairs):
        def join(self, statements: Sequence[KeptStatement], now_ms: int) -> Joined:
            if any(one.body == b"a9" for one in statements):
                raise KeyError("+74950000101")
            return super().join(statements, now_ms)

    calls = OpenCalls({"pairs": Broken()})
    for offset, (call, text) in enumerate((("bad", "a9"), ("good", "a1"), ("good", "b1"))):
        calls.take("pairs", call, offset, said(text))
    bad, good = calls.ready(AT)
    assert (bad.call, bad.events, bad.defect) == ("bad", [], "a defect of the adapter: KeyError")
    assert (good.call, ids(good), good.defect) == ("good", ["1"], "")
    assert list(calls.ready(AT)) == [], "it is tried again at its next statement"


@given(
    st.lists(st.sampled_from(["a1", "b1", "a2", "b2", "a3", "b3", "later"]), max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.integers(0, 11),
)
def test_order_batches_repeats_and_restarts_make_no_difference(
    texts: list[str], looks: list[bool], restart: int
) -> None:
    stored: set[str] = set()
    calls = OpenCalls({"pairs": Pairs()})
    committed = 0

    def look(now_ms: int) -> None:
        for ready in calls.ready(now_ms):
            stored.update(ids(ready))
            calls.done(ready)

    for offset, text in enumerate(texts):
        if offset == restart:
            calls = OpenCalls({"pairs": Pairs()})
            for earlier in range(committed, offset):
                calls.take("pairs", "c", earlier, said(texts[earlier]))
        calls.take("pairs", "c", offset, said(text))
        if looks[offset]:
            look(AT)
            committed = calls.oldest_offset or 0
    look(AT + 500)
    assert stored == {number for number in "123" if {"a" + number, "b" + number} <= set(texts)}
