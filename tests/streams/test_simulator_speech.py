"""The simulated speaker: talks with a known truth, and their simulated transcripts."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.decoding import Decoder
from streams.contract.events import Rejection, SpeechEnded, SpeechEvents, SpeechUtterance
from streams.simulator import Department, FaultRates, Recognition, Record, SpeechOptions, Truth, simulate
from streams.simulator.rng import SeededRandom
from streams.simulator.speech.dialogue import SHORTEST_MS, Habits, talk
from streams.simulator.speech.lines import OBJECTIONS, PURPOSES, Line, Lines
from streams.simulator.speech.recognition import Due, transcript
from streams.simulator.speech.speakers import LANGUAGES, Transcribed
from streams.simulator.speech.talks import Talk
from streams.simulator.telephony.legs import SimulatedLeg
from streams.speech.timing import Timing, timing
from streams.units import HOUR_MS, MINUTE_MS
from tests.examples import examples
from tests.streams.speech_cases import AT, SPEECH, marked

DEPARTMENT: Final = Department.make(3, 6, 2, always=True)
DECODER: Final[Decoder[SpeechEvents]] = Decoder("speech")
BELIEVING: Final = msgspec.structs.replace(SPEECH, plausible_overlap_share=1.0)
"""A drawn talk may have more interruptions than people make."""
IN_PIECES: Final = Recognition(
    crumbled=0.5, interims=0.5, revised=0.4, late=0.2, repeated=0.3, dropped=0, replaced=0, afterwards=0.3
)
"""All faults that change an utterance on its way, and none that changes its final words."""

HABITS = st.builds(
    Habits,
    fills=st.floats(0, 1),
    asks=st.integers(0, 4),
    presents=st.integers(0, 9),
    interrupts=st.floats(0, 1),
    takes_up=st.floats(0, 1),
    agrees=st.floats(0, 1),
)
TALKS = st.builds(
    lambda seed, lines, habits, length_ms: talk(SeededRandom(seed), lines, habits, length_ms),
    st.integers(0, 10**9),
    st.sampled_from(LANGUAGES),
    HABITS,
    st.integers(SHORTEST_MS, 5 * MINUTE_MS),
)


def transcribed(said: Talk, recognition: Recognition, seed: int = 1) -> list[Due]:
    """Return the events of a talk in the order in which they arrive."""
    leg = SimulatedLeg("c-1", "anna", "outbound", "cold", "lead-1", AT - 9_000)
    leg.answered_at = AT
    leg.talk_ms = max(one.end_ms for one in said.said) + 1_000
    lines = next(lines for lines in LANGUAGES if lines.language == said.language)
    return sorted(transcript(SeededRandom(seed), recognition, lines.words, leg, said), key=lambda one: one.due_ms)


def settled(events: Iterable[SpeechEvents]) -> dict[str, SpeechUtterance]:
    """Keep of each utterance the version by the contract: a final one, then the higher revision."""
    kept: dict[str, SpeechUtterance] = {}
    for event in events:
        if isinstance(event, SpeechUtterance):
            before = kept.get(event.utterance)
            if before is None or (event.final, event.revision) >= (before.final, before.revision):
                kept[event.utterance] = event
    return kept


def timed(kept: dict[str, SpeechUtterance], said: Talk) -> Timing:
    nods = {one.name for one in said.said if one.nod}
    return timing({name: marked(event, nod=name in nods) for name, event in kept.items()}, BELIEVING, None)


def must_be_as_said(found: Timing, said: Talk) -> None:
    assert found.span == (said.said[0].start_ms, max(one.end_ms for one in said.said))
    if {one.role for one in said.said} != {"manager", "customer"}:
        return
    assert found.silences == said.silences
    assert (found.manager.talk_ms, found.customer.talk_ms) == (said.talk_ms("manager"), said.talk_ms("customer"))
    assert (found.manager.back_channels, found.customer.back_channels) == (said.nods("manager"), said.nods("customer"))
    for role, side in (("manager", found.manager), ("customer", found.customer)):
        assert side.interruptions == tuple(at for at, by in said.interruptions if by == role)
        assert side.talk_overs == ()


# -- talks and their truth


@examples(200)
@given(TALKS)
def test_the_features_of_time_of_a_transcript_without_errors_are_the_truth(said: Talk) -> None:
    events = [one.event for one in transcribed(said, Recognition.none())]
    assert len(events) == len(said.said) + 1
    kept = settled(events)
    assert {name: event.text for name, event in kept.items()} == {one.name: one.text for one in said.said}
    must_be_as_said(timed(kept, said), said)


@examples(200)
@given(TALKS, st.integers(0, 10**9))
def test_pieces_interims_revisions_lateness_and_repeats_change_no_feature_of_time(said: Talk, seed: int) -> None:
    kept = settled(one.event for one in transcribed(said, IN_PIECES, seed))
    must_be_as_said(timed(kept, said), said)
    assert all(event.final for event in kept.values())
    words = Counter(word.strip("«»,.!?:").lower() for one in said.said for word in one.text.split())
    assert Counter(word.strip("«»,.!?:").lower() for event in kept.values() for word in event.text.split()) == words


@examples(100)
@given(TALKS)
def test_what_is_true_of_the_words_stands_in_them(said: Talk) -> None:
    texts = {one.name: one for one in said.said}
    for filler in said.fillers:
        assert f", {filler.phrase}" in texts[filler.utterance].text
        assert texts[filler.utterance].role == filler.role
    asked = {question.utterance for question in said.questions}
    assert asked == {one.name for one in said.said if "?" in one.text}
    for question in said.questions:
        assert texts[question.utterance].role == question.role
    starts = [texts[name].start_ms for _, name in said.stages]
    assert starts == sorted(starts)
    assert said.stages[0][0] == "introduction"
    for objection in said.objections:
        assert texts[objection.utterance].role == "customer"
        assert objection.reaction is None or texts[objection.reaction].role == "manager"
    if said.next_step is not None and said.next_step.agreed:
        assert said.next_step.when
        assert said.next_step.when in texts[said.next_step.utterance].text
    assert said.language == ("ru" if any("а" <= letter <= "я" for letter in said.said[0].text.lower()) else "en")


def test_a_talk_of_habit() -> None:
    """A manager who fills, presents and never takes up an objection, and one who does the opposite."""
    noisy = Habits(fills=1, presents=9, asks=1, takes_up=0, agrees=0, interrupts=1)
    quiet = Habits(fills=0, presents=1, asks=4, takes_up=1, agrees=1, interrupts=0)
    for lines in LANGUAGES:
        talks = {
            habits: [talk(SeededRandom(seed), lines, habits, 4 * MINUTE_MS) for seed in range(20)]
            for habits in (noisy, quiet)
        }
        assert all(sum(one.groups("manager").values()) > 5 for one in talks[noisy])
        assert all(not one.groups("manager") for one in talks[quiet])
        assert all(objection.reaction is None for one in talks[noisy] for objection in one.objections)
        assert all(objection.reaction for one in talks[quiet] for objection in one.objections)
        assert all(one.next_step is None or not one.next_step.agreed for one in talks[noisy])
        assert sum(one.next_step is not None and one.next_step.agreed for one in talks[quiet]) > 17
        assert sum(len(one.interruptions) for one in talks[noisy]) > 10
        assert not any(one.interruptions for one in talks[quiet])
        shares = {
            habits: sum(one.talk_ms("manager") for one in many)
            / sum(one.talk_ms("manager") + one.talk_ms("customer") for one in many)
            for habits, many in talks.items()
        }
        assert shares[noisy] > shares[quiet] + 0.2


@pytest.mark.parametrize("lines", LANGUAGES, ids=lambda lines: lines.language)
def test_each_purpose_has_lines_with_the_slots_that_are_filled(lines: Lines) -> None:
    assert lines.manager.keys() == set(PURPOSES)
    assert lines.customer.keys() == {*PURPOSES, "refusal"}
    assert lines.objections.keys() == set(OBJECTIONS)
    everything = [*lines.manager.values(), *lines.customer.values()]
    for objection in lines.objections.values():
        everything += [objection.said, objection.adequate, objection.ignored]
    for line in (line for some in everything for line in some):
        assert isinstance(line, Line)
        slots = {name for _, name, _, _ in string.Formatter().parse(line.text) if name is not None}
        assert slots <= {"f", "name", "product", "time"}
        assert line.text.count("?") == len(line.questions)


# -- recognition


def test_words_are_dropped_and_replaced_as_often_as_asked() -> None:
    said = [talk(SeededRandom(seed), LANGUAGES[seed % 2], Habits(), 10 * MINUTE_MS) for seed in range(20)]
    recognition = msgspec.structs.replace(Recognition.none(), dropped=0.1, replaced=0.2, word_times=0.5)
    spoken = kept = changed = 0
    timed_legs = 0
    for seed, one in enumerate(said):
        events = settled(due.event for due in transcribed(one, recognition, seed))
        timed_legs += any(event.words for event in events.values())
        for utterance in one.said:
            heard = events[utterance.name].text.split()
            spoken += len(utterance.words)
            kept += len(heard)
            changed += (Counter(heard) - Counter(utterance.text.split())).total()
    assert kept / spoken == pytest.approx(0.9, abs=0.02)
    assert changed / kept == pytest.approx(0.2, abs=0.02)
    assert 3 < timed_legs < 17


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_events_are_late_repeated_and_preceded_by_interims_as_often_as_asked(share: float) -> None:
    said = talk(SeededRandom(2), LANGUAGES[0], Habits(), 60 * MINUTE_MS)
    way = {"late": share, "repeated": share, "interims": share, "revised": share, "crumbled": share}
    sent = transcribed(said, msgspec.structs.replace(Recognition.none(), **way))
    ids = Counter(one.event.id for one in sent)
    assert sum(count > 1 for count in ids.values()) / len(ids) == pytest.approx(share, abs=0.05)
    firsts = {one.event.id: one for one in reversed(sent)}
    late = sum(one.due_ms > one.event.at + 1 for one in firsts.values())
    assert late / len(firsts) == pytest.approx(share, abs=0.05)
    events = [one.event for one in firsts.values() if isinstance(one.event, SpeechUtterance)]
    names = {event.utterance for event in events}
    interims = sum(not event.final for event in events)
    revisions = len(events) - len(names) - interims
    assert interims / len(names) == pytest.approx(share * 0.75, abs=0.1)  # a piece of two words has none
    assert revisions / len(names) == pytest.approx(share, abs=0.05)
    long = [one for one in said.said if len(one.words) > 3]
    assert (len(names) - len(said.said)) / len(long) == pytest.approx(share, abs=0.05)


def test_a_recogniser_says_what_it_can_give() -> None:
    said = talk(SeededRandom(1), LANGUAGES[0], Habits(), MINUTE_MS)
    for timed_words in (0, 1):
        for punctuation in (0, 1):
            recognition = msgspec.structs.replace(Recognition.none(), word_times=timed_words, punctuation=punctuation)
            *utterances, ended = [one.event for one in transcribed(said, recognition)]
            assert isinstance(ended, SpeechEnded)
            assert ended.capabilities is not None
            assert (ended.capabilities.word_times, ended.capabilities.punctuation) == (timed_words, punctuation)
            for event in utterances:
                assert isinstance(event, SpeechUtterance)
                assert bool(event.words) == timed_words
                assert bool(set(event.text) & set(".,!?")) <= punctuation
                if event.words:
                    assert event.text.split() == [word.text for word in event.words]
                    assert (event.words[0].start_ms, event.words[-1].end_ms) == (event.start_ms, event.end_ms)
                    gaps = zip(event.words, event.words[1:], strict=False)
                    assert all(0 <= after.start_ms - before.end_ms < 100 for before, after in gaps)


@pytest.mark.parametrize(
    "wrong", [{"dropped": 1.1}, {"late": -0.1}, {"word_times": float("nan")}, {"late_ms": 0}], ids=str
)
def test_what_is_no_share_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recognition(**wrong)


def test_a_share_of_legs_is_refused_that_is_none() -> None:
    with pytest.raises(ValueError, match="share"):
        SpeechOptions(share=1.5)


# -- the transcripts of a department


def department(speech: SpeechOptions | None, *, faults: FaultRates | None = None, seed: int = 3) -> list[Record]:
    of = DEPARTMENT if seed == 3 else Department.make(seed, 6, 2, always=True)
    return list(simulate(of, AT, AT + 2 * HOUR_MS, faults=faults, crm=True, speech=speech))


@cache
def with_speech() -> tuple[list[Record], list[Transcribed]]:
    heard: list[Transcribed] = []
    return department(SpeechOptions(share=0.7, heard=heard.append)), heard


def test_the_same_calls_happen_with_and_without_transcripts() -> None:
    records, _ = with_speech()
    assert [record for record in records if record.topic != "speech"] == department(None)
    truth, other = Truth(DEPARTMENT.settings), Truth(DEPARTMENT.settings)
    for listener, speech in ((truth, None), (other, SpeechOptions())):
        list(simulate(DEPARTMENT, AT, AT + HOUR_MS, truth=listener, speech=speech))
    assert truth.counts() == other.counts()


def test_the_same_seed_gives_the_same_transcripts() -> None:
    records, heard = with_speech()
    again: list[Transcribed] = []
    assert department(SpeechOptions(share=0.7, heard=again.append)) == records
    assert again == heard
    others: list[Transcribed] = []
    department(SpeechOptions(share=0.7, heard=others.append), seed=4)
    assert {one.talk for one in others}.isdisjoint({one.talk for one in heard})


def test_records_come_in_order_and_a_worker_takes_every_one() -> None:
    records, heard = with_speech()
    assert [record.due_ms for record in records] == sorted(record.due_ms for record in records)
    legs = {(one.call, one.manager): one for one in heard}
    seen: Counter[tuple[str, str]] = Counter()
    ended = set()
    for record in records:
        if record.topic != "speech":
            continue
        event = DECODER.decode(record.value)
        assert not isinstance(event, Rejection)
        assert record.key == event.manager
        assert event.at <= record.due_ms
        leg = (event.call, event.manager)
        assert event.at >= legs[leg].answered_at
        seen[leg] += 1
        if isinstance(event, SpeechEnded):
            ended.add(leg)
    assert seen.keys() == ended == legs.keys()
    assert len({one.talk.language for one in heard}) == 2
    beginnings = Counter((one.manager, *(said.text for said in one.talk.said[:8])) for one in heard)
    assert beginnings.most_common(1)[0][1] < 3  # talks of a manager are not all the same
    assert {(one.manager, one.talk.language) for one in heard} == {
        (manager, next(one.talk.language for one in heard if one.manager == manager))
        for manager in {one.manager for one in heard}
    }


def test_the_share_is_one_of_the_answered_legs_and_a_leg_keeps_its_transcript() -> None:
    alls: list[Transcribed] = []
    department(SpeechOptions(heard=alls.append), faults=FaultRates.none())
    _, some = with_speech()
    assert len(some) / len(alls) == pytest.approx(0.7, abs=0.15)
    assert {(one.call, one.manager, one.talk) for one in some} <= {(one.call, one.manager, one.talk) for one in alls}
    none: list[Transcribed] = []
    assert department(SpeechOptions(share=0, heard=none.append)) == department(None)
    assert none == []


def test_an_utterance_arrives_while_its_call_goes_on() -> None:
    heard: list[Transcribed] = []
    records = department(SpeechOptions(recognition=Recognition.none(), heard=heard.append))
    legs = {(one.call, one.manager): one for one in heard}
    live = late = 0
    for record in records:
        if record.topic == "speech":
            event = DECODER.decode(record.value)
            if isinstance(event, SpeechUtterance):
                moment = legs[event.call, event.manager].answered_at + event.end_ms
                live += record.due_ms <= moment + 1_000
                late += record.due_ms > moment + 1_000
    assert live > 10 * late  # of legs that were transferred it is known only then that they ended
