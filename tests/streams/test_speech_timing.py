"""Features of time: cases by hand, features that a source cannot show, and utterances in any order."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import Capabilities, Role
from streams.speech.marks import UtteranceMarks
from streams.speech.timing import SideTiming, Timing, open_monologue, timing
from tests.streams.speech_cases import SPEECH, Span, marks, numbered

NOTHING: Final = Capabilities()
BETWEEN_SIDES: Final = ("silences", "quiet_ms", "overlap_ms", "patience_ms", "replies", "talk_share", "silence_share")


def timed(*utterances: UtteranceMarks, capabilities: Capabilities | None = None) -> Timing:
    return timing(numbered(*utterances), SPEECH, capabilities)


def manager(*spans: Span, **more: Any) -> UtteranceMarks:
    return marks("manager", *spans, **more)


def customer(*spans: Span, **more: Any) -> UtteranceMarks:
    return marks("customer", *spans, **more)


# -- talk, silence, overlap


def test_talk_is_the_union_of_the_utterances_with_short_gaps_bridged() -> None:
    found = timed(manager((1_000, 3_000)), manager((2_500, 4_000)), manager((4_500, 5_001)), customer((6_000, 7_000)))
    assert (found.manager.talk_ms, found.customer.talk_ms) == (4_001, 1_000)
    assert found.talk_share == 4_001 / 5_001
    assert found.span == (1_000, 7_000)


def test_a_gap_longer_than_word_gap_is_no_talk() -> None:
    assert timed(manager((0, 1_000), (1_501, 2_000)), customer((3_000, 3_007))).manager.talk_ms == 1_499


def test_silence_is_what_nobody_fills_for_long_enough() -> None:
    found = timed(
        manager((1_003, 2_000)), customer((4_000, 5_000)), manager((6_999, 9_000)), customer((12_000, 13_000))
    )
    assert found.silences == ((2_000, 4_000), (9_000, 12_000))
    assert found.silence_ms == 5_000
    assert found.quiet_ms == 5_000 + 1_999
    assert found.silence_share == 5_000 / 11_997
    assert found.quiet_share == 6_999 / 11_997


def test_what_was_heard_and_not_understood_is_no_silence() -> None:
    before, after = manager((0, 1_000)), customer((20_000, 21_003), unclear=((3_000, 18_000),))
    assert timed(before, after).silences == ((1_000, 3_000), (18_000, 20_000))
    assert timed(before, after).quiet_ms == 19_000  # no word was heard
    assert timed(manager((5_000, 6_001)), customer((7_000, 8_000), unclear=((0, 4_000),))).silences == ()


def test_overlap_is_when_both_speak() -> None:
    found = timed(manager((0, 10_000)), customer((2_000, 2_500), nod=True), customer((9_500, 12_003)))
    assert found.overlap_ms == 1_000
    assert found.overlap_share == 1_000 / 12_003


# -- interruptions, talk over the other, back-channels


@pytest.mark.parametrize(
    ("first", "second", "interruptions", "talk_overs"),
    [
        ((0, 10_000), (9_499, 12_003), (9_499,), ()),
        ((0, 10_000), (9_500, 12_003), (), ()),  # not longer than speech.overlap
        ((0, 10_000), (5_000, 10_001), (5_000,), ()),
        ((0, 10_000), (5_000, 10_000), (), (5_000,)),  # both stop at once: neither side has the floor
        ((0, 10_000), (5_000, 5_501), (), (5_000,)),
        ((0, 10_000), (5_000, 5_500), (), ()),
        ((0, 10_000), (0, 12_003), (), ()),  # both begin at once: neither side was interrupted
        ((0, 10_000), (10_000, 12_003), (), ()),
    ],
)
def test_an_interruption(
    first: Span, second: Span, interruptions: tuple[int, ...], talk_overs: tuple[int, ...]
) -> None:
    """The customer speaks enough elsewhere that the overlap is plausible."""
    rest = (100_000, 200_007)
    found = timed(manager(first), customer(second), customer(rest), manager(rest[:1] * 2, (300_000, 400_000)))
    assert (found.customer.interruptions, found.customer.talk_overs) == (interruptions, talk_overs)
    assert (found.manager.interruptions, found.manager.talk_overs) == ((), ())
    mirrored = timed(customer(first), manager(second), manager(rest), customer((300_000, 400_000)))
    assert (mirrored.manager.interruptions, mirrored.manager.talk_overs) == (interruptions, talk_overs)


def test_a_back_channel_inside_the_others_speech_is_no_interruption() -> None:
    nod = customer((4_000, 4_600), words=1, nod=True)
    found = timed(manager((0, 10_003)), nod, customer((11_000, 15_000)))
    assert (found.customer.back_channels, found.customer.talk_overs) == (1, ())
    said = timed(manager((0, 10_003)), customer((4_000, 4_600), words=1), customer((11_000, 15_000)))
    assert (said.customer.back_channels, said.customer.talk_overs) == (0, (4_000,))


def test_a_back_channel_that_begins_in_a_pause_is_speech_like_any_other() -> None:
    found = timed(manager((0, 4_003)), customer((4_600, 5_000), nod=True), manager((5_400, 9_000)))
    assert found.customer.back_channels == 0
    assert found.manager.longest_turn == (0, 4_003)


@pytest.mark.parametrize(("begins", "counted"), [(1_003, 0), (1_004, 1), (8_999, 1), (9_000, 0)])
def test_a_back_channel_begins_while_the_other_speaks(begins: int, counted: int) -> None:
    found = timed(manager((1_003, 9_000)), customer((begins, begins + 300), nod=True), customer((20_000, 21_000)))
    assert found.customer.back_channels == counted


def test_an_utterance_in_crumbs_interrupts_once() -> None:
    long = manager((0, 10_003)), customer((20_000, 40_000)), manager((50_000, 70_000))
    whole = timed(*long, customer((9_000, 13_000)))
    crumbs = timed(*long, *(customer((at, at + 300)) for at in range(9_000, 13_000, 400)), customer((12_700, 13_000)))
    assert crumbs.customer.interruptions == (9_000,)
    assert crumbs == msgspec.structs.replace(
        whole, customer=msgspec.structs.replace(whole.customer, words=crumbs.customer.words)
    )


# -- monologues, stories, patience, pace


@pytest.mark.parametrize(
    ("said", "monologue"),
    [
        ([manager((1_003, 5_000)), manager((8_000, 9_000))], (1_003, 9_000)),  # over a pause of monologue_pause
        ([manager((1_003, 5_000)), manager((8_001, 9_000))], (1_003, 5_000)),  # a longer one ends it
        ([manager((1_003, 5_000)), customer((5_200, 5_400)), manager((5_600, 9_999))], (5_600, 9_999)),
        ([manager((0, 5_000)), customer((2_000, 2_400), nod=True), manager((5_600, 9_000))], (0, 9_000)),
        ([manager((0, 9_003)), customer((2_000, 2_400))], (2_400, 9_003)),  # the other's speech cuts it
        ([manager((0, 9_003)), customer((8_000, 12_000))], (0, 8_000)),
        (
            [manager((0, 3_000)), customer((10_003, 11_000)), manager((20_000, 23_000))],
            (0, 3_000),
        ),  # the first of equals
    ],
)
def test_the_longest_monologue_and_story(said: list[UtteranceMarks], monologue: Span) -> None:
    assert timed(*said, customer((60_000, 61_003))).manager.longest_turn == monologue
    roles: dict[Role, Role] = {"manager": "customer", "customer": "manager"}
    mirrored = [msgspec.structs.replace(one, role=roles[one.role]) for one in said]
    assert timed(*mirrored, manager((60_000, 61_003))).customer.longest_turn == monologue


def test_patience_is_the_median_pause_before_a_reply() -> None:
    found = timed(
        manager((0, 1_000)),
        customer((2_000, 5_000)),
        manager((5_800, 9_000)),  # 800 ms
        manager((12_000, 13_000)),  # goes on: no reply
        customer((14_000, 18_000)),
        manager((17_900, 20_000)),  # too early: 0
        customer((15_000, 15_100)),
        customer((21_000, 22_000)),
        manager((24_001, 25_000)),  # 2,001 ms
    )
    assert (found.patience_ms, found.replies) == (800, 3)


def test_patience_of_an_even_number_of_replies() -> None:
    found = timed(customer((0, 1_003)), manager((2_000, 3_000)), customer((4_000, 5_000)), manager((5_100, 6_000)))
    assert (found.patience_ms, found.replies) == ((997 + 100) // 2, 2)


def test_speech_inside_the_others_is_no_reply_and_no_turn_to_reply_to() -> None:
    found = timed(manager((0, 10_003)), customer((4_000, 4_400)), manager((12_000, 13_000)))
    assert (found.patience_ms, found.replies) == (None, 0)


def test_words_per_minute_are_of_the_sides_own_speech() -> None:
    found = timed(manager((0, 30_000), words=70), customer((40_000, 40_500), words=2), customer((50_000, 50_501)))
    assert found.manager.words_per_minute == 140
    assert found.customer.words == 7


# -- unknown features are absent


def between_sides(found: Timing) -> list[object]:
    sides = [
        getattr(side, name) for side in (found.manager, found.customer) for name in SideTiming.__struct_fields__[2:]
    ]
    return [*(getattr(found, name) for name in BETWEEN_SIDES), *sides]


def test_a_call_without_speech() -> None:
    for none in (timed(), timed(manager((0, 900), words=0)), timed(manager((700, 700)))):
        assert none.span is None
        assert none.manager.talk_ms is None
        assert set(between_sides(none)) == {None}
        assert none.manager.words_per_minute is None


def test_of_one_side_alone_only_its_own_talk_is_known() -> None:
    found = timed(manager((1_000, 3_003)), customer((9_000, 9_500), words=0))
    assert found.manager.talk_ms == 2_003
    assert found.manager.words_per_minute is not None
    assert found.customer.talk_ms is None
    assert found.span == (1_000, 3_003)
    assert set(between_sides(found)) == {None}


CALL: Final = (
    manager((403, 6_000)),
    customer((2_000, 2_300), nod=True),
    customer((5_000, 12_000)),
    manager((13_000, 20_000)),
    customer((25_000, 30_000)),
)


def test_the_call_of_the_next_tests_has_everything() -> None:
    found = timed(*CALL, capabilities=NOTHING)
    assert None not in between_sides(found)
    assert found == timed(*CALL)
    assert found.customer.interruptions == (5_000,)
    assert found.customer.back_channels == 1


def test_sides_on_one_channel_show_no_simultaneous_speech() -> None:
    found = timed(*CALL, capabilities=Capabilities(channels_apart=False))
    for side in (found.manager, found.customer):
        assert (side.interruptions, side.talk_overs, side.back_channels) == (None, None, None)
        assert side.talk_ms
        assert side.longest_turn
    assert found.overlap_ms is None
    assert (found.patience_ms, found.silences) == (1_000, ((20_000, 25_000),))


def absent_in_whole_seconds(found: Timing) -> None:
    for side in (found.manager, found.customer):
        assert (side.interruptions, side.talk_overs, side.back_channels) == (None, None, None)
    assert (found.overlap_ms, found.patience_ms, found.replies, found.quiet_ms) == (None, None, None, None)
    assert found.talk_share is not None
    assert found.silences is not None
    assert found.manager.longest_turn is not None


def test_declared_whole_seconds_show_no_interruptions_and_no_patience() -> None:
    absent_in_whole_seconds(timed(*CALL, capabilities=Capabilities(fine_times=False)))


def moved(said: UtteranceMarks, by: int, grain: int = 1) -> UtteranceMarks:
    spans = tuple((start // grain * grain + by, end // grain * grain + by) for start, end in said.stretches)
    return msgspec.structs.replace(said, stretches=spans)


@pytest.mark.parametrize("offset", [0, 377])
def test_whole_seconds_are_seen_in_the_times(offset: int) -> None:
    """Also where an adapter moved them to the moment of answer, and cut off the part before it."""
    call = [moved(said, offset, 1_000) for said in (*CALL, manager((31_000, 35_000)))]
    absent_in_whole_seconds(timed(*call))
    absent_in_whole_seconds(timed(*call, capabilities=NOTHING))
    assert timed(*call, capabilities=Capabilities(fine_times=True)).manager.interruptions is not None
    finer = timed(*call, customer((40_000, 41_200)))
    assert finer.manager.interruptions is not None
    cut = [manager((0, 1_000 + offset)), *call[2:]]
    absent_in_whole_seconds(timed(*cut))


def turns(count: int, length: int, pause: int) -> list[UtteranceMarks]:
    return [
        marks("customer" if number % 2 else "manager", (at, at + length))
        for number, at in enumerate(range(403, 403 + count * (length + pause), length + pause))
    ]


@pytest.mark.parametrize("shift", [2_000, -2_000, 5_000])
@pytest.mark.parametrize("timed_words", [False, True])
def test_channels_with_different_zeros_say_nothing_of_both_sides(shift: int, timed_words: bool) -> None:
    straight = [msgspec.structs.replace(said, timed=timed_words) for said in turns(21, 4_000, 300)]
    assert None not in between_sides(timed(*straight))
    found = timed(*(moved(said, 20_000 + shift if said.role == "customer" else 20_000) for said in straight))
    talk = (44_000, 40_000) if timed_words else (None, None)  # whole utterances may also be too long
    assert (found.manager.talk_ms, found.customer.talk_ms) == talk
    for side in (found.manager, found.customer):
        assert (side.longest_turn, side.interruptions, side.talk_overs, side.back_channels) == (None,) * 4
    assert {found.silences, found.quiet_ms, found.overlap_ms, found.patience_ms} == {None}


def test_one_utterance_without_times_of_words_makes_the_talk_uncertain() -> None:
    long = manager((7, 100_003), timed=True), customer((50_000, 60_000), timed=True)
    assert timed(*long).manager.talk_ms == 99_996
    for place in range(3):
        coarse = manager((110_000, 111_000))
        said = (*long[:place], coarse, *long[place:])
        assert timed(*said).manager.talk_ms is None


def test_how_much_overlap_is_plausible() -> None:
    long, brief = manager((7, 100_003)), customer((98_003, 110_000))
    assert timed(long, brief).overlap_ms == 2_000  # plausible_overlap
    assert timed(long, customer((98_002, 110_000))).overlap_ms == 2_001  # less than a quarter of 12 s
    assert timed(long, customer((97_003, 109_003))).overlap_ms == 3_000  # a quarter of 12 s
    assert timed(long, customer((97_002, 109_002))).overlap_ms is None


def test_back_channels_make_no_overlap_implausible() -> None:
    nods = [customer((at, at + 900), nod=True) for at in range(1_003, 90_000, 5_000)]
    found = timed(manager((0, 100_000)), *nods)
    assert (found.overlap_ms, found.customer.back_channels) == (18 * 900, 18)
    assert found.manager.longest_turn == (0, 100_000)
    assert found.customer.longest_turn is None


# -- a call in progress


@pytest.mark.parametrize(
    ("said", "open_turn"),
    [
        ([customer((0, 1_000)), manager((2_000, 95_000))], (2_000, 95_000)),
        ([customer((0, 1_000)), manager((2_000, 50_000)), manager((53_000, 95_000))], (2_000, 95_000)),
        ([customer((0, 1_000)), manager((2_000, 50_000)), manager((53_001, 95_000))], (53_001, 95_000)),
        ([manager((0, 95_000)), customer((96_000, 97_000))], None),
        ([manager((0, 95_000)), customer((94_000, 97_000))], None),
        ([manager((0, 95_000)), customer((90_000, 91_000))], (91_000, 95_000)),
        ([manager((0, 95_000)), customer((90_000, 91_000), nod=True)], (0, 95_000)),
        ([manager((0, 95_000)), customer((94_000, 98_000), nod=True)], (0, 95_000)),
        ([manager((0, 95_000)), customer((94_000, 98_001), nod=True)], None),
        ([manager((0, 95_000))], None),  # the customer was not heard yet: two turns look like one
        ([customer((0, 95_000))], None),
        ([], None),
        ([manager((0, 95_000)), customer((10_000, 60_000))], None),  # no such call exists
    ],
)
def test_the_monologue_that_is_going_on(said: list[UtteranceMarks], open_turn: Span | None) -> None:
    assert open_monologue(numbered(*said), SPEECH) == open_turn


# -- a function of the set of utterances

SPAN = st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda pair: (pair[0] * 250, (pair[0] + pair[1]) * 250))
MARKS = st.builds(
    UtteranceMarks,
    revision=st.integers(0, 2),
    final=st.booleans(),
    role=st.sampled_from(["manager", "customer"]),
    stretches=st.lists(SPAN, min_size=1, max_size=3).map(lambda spans: tuple(sorted(spans))),
    words=st.integers(0, 4),
    timed=st.booleans(),
    back_channel=st.booleans(),
    unclear=st.lists(SPAN, max_size=1).map(tuple),
)
CAPABILITIES = st.sampled_from([None, NOTHING, Capabilities(channels_apart=False), Capabilities(fine_times=True)])


def settled(deliveries: list[tuple[str, UtteranceMarks]]) -> Mapping[str, UtteranceMarks]:
    """Keep of each utterance the version by the contract: a final one, then the higher revision."""
    kept: dict[str, UtteranceMarks] = {}
    for name, said in deliveries:
        before = kept.get(name)
        if before is None or (said.final, said.revision) >= (before.final, before.revision):
            kept[name] = said
    return kept


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), MARKS), unique_by=lambda one: (one[0], one[1].final, one[1].revision)
    ),
    CAPABILITIES,
    st.randoms(use_true_random=False),
)
def test_order_repetition_and_revision_cannot_matter(
    deliveries: list[tuple[str, UtteranceMarks]], capabilities: Capabilities | None, chance: Random
) -> None:
    expected = timing(settled(deliveries), SPEECH, capabilities)
    monologue = open_monologue(settled(deliveries), SPEECH)
    again = deliveries + [chance.choice(deliveries) for _ in deliveries]
    chance.shuffle(again)
    found = settled(again)
    assert timing(found, SPEECH, capabilities) == expected
    assert open_monologue(found, SPEECH) == monologue
    renamed = {f"{number}": said for number, said in enumerate(found.values())}
    assert timing(renamed, SPEECH, capabilities) == expected
    assert open_monologue(renamed, SPEECH) == monologue


@given(st.lists(MARKS, max_size=8), CAPABILITIES)
def test_an_interim_counts_like_a_final(said: list[UtteranceMarks], capabilities: Capabilities | None) -> None:
    interim = [msgspec.structs.replace(one, final=False) for one in said]
    assert timing(numbered(*interim), SPEECH, capabilities) == timing(numbered(*said), SPEECH, capabilities)


@given(st.lists(MARKS, max_size=8))
def test_an_utterance_in_pieces_counts_like_the_whole(said: list[UtteranceMarks]) -> None:
    """Back-channels are recognised by a whole utterance, so they stay whole."""
    whole = [one if one.back_channel else msgspec.structs.replace(one, words=len(one.stretches)) for one in said]
    pieces = [
        msgspec.structs.replace(one, stretches=(span,), words=1) if not one.back_channel else one
        for one in whole
        for span in (one.stretches if not one.back_channel else one.stretches[:1])
    ]
    assert timing(numbered(*pieces), SPEECH, None) == timing(numbered(*whole), SPEECH, None)


@given(st.lists(MARKS, max_size=10), CAPABILITIES)
def test_nothing_is_out_of_its_bounds(said: list[UtteranceMarks], capabilities: Capabilities | None) -> None:
    found = timing(numbered(*said), SPEECH, capabilities)
    for share in (found.talk_share, found.silence_share, found.quiet_share, found.overlap_share):
        assert share is None or 0 <= share <= 1
    if found.silence_ms is not None and found.quiet_ms is not None:
        assert found.silence_ms <= found.quiet_ms <= found.span_ms
    for side in (found.manager, found.customer):
        assert side.talk_ms is None or 0 < side.talk_ms <= found.span_ms
        if side.longest_turn:
            assert found.span
            assert found.span[0] <= side.longest_turn[0] < side.longest_turn[1] <= found.span[1]
