"""Features of time compared with oracles that share no code with callpulse.

A timeline in steps of 10 ms, by the words of the definitions; the package call-ai-metrics; and the figures that people
and recognisers gave to real and written calls.
"""

from __future__ import annotations

import json
import statistics
from functools import cache
from typing import Any, Final

import msgspec
import pytest
from call_ai_metrics import CallReport, analyze
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import Capabilities, Role
from streams.settings.speech import Speech
from streams.speech.intervals import common, total, union
from streams.speech.marks import UtteranceMarks
from streams.speech.reading import Reader
from streams.speech.timing import Timing, timing
from tests.examples import examples
from tests.lexicons import lexicon
from tests.streams.speech_cases import (
    FIXTURES,
    RECORDINGS,
    SPEECH,
    Span,
    dialogues,
    events_of,
    heard,
    marked,
    marks,
    numbered,
    utterance,
    whisper,
)

ROLES: Final[tuple[Role, Role]] = ("manager", "customer")
BELIEVING: Final = msgspec.structs.replace(SPEECH, plausible_overlap_share=1.0, plausible_overlap_ms=10**9)
"""Settings for drawn times, in which both sides talk at once more than people do."""

# -- a timeline in steps of 10 ms

STEP: Final = 10
QUICK: Final = Speech(
    word_gap_ms=50,
    overlap_ms=50,
    silence_ms=120,
    monologue_pause_ms=150,
    plausible_overlap_ms=10**9,
    plausible_overlap_share=1.0,
)
"""Limits of a few steps, so that short timelines reach all of them."""


class Timeline:
    """The definitions, step by step: the state of a step follows from the speech of each side in the steps."""

    def __init__(self, said: list[UtteranceMarks]) -> None:
        self.length = max((span[1] for one in said for span in one.stretches), default=0) // STEP + 2
        everything = {role: self.bridged(self.steps(said, role)) for role in ROLES}
        self.talk = everything
        self.floor: dict[Role, list[bool]] = {}
        self.nods: dict[Role, int] = {}
        for role, other in (ROLES, ROLES[::-1]):
            inside = [
                one
                for one in said
                if one.role == role and one.back_channel and self.within(one.stretches[0][0] // STEP, everything[other])
            ]
            self.floor[role] = self.bridged(self.steps([one for one in said if one not in inside], role))
            self.nods[role] = len(self.starts(self.bridged(self.steps(inside, role))))

    def steps(self, said: list[UtteranceMarks], role: Role) -> list[bool]:
        line = [False] * self.length
        for one in said:
            for start, end in one.stretches if one.role == role else ():
                for step in range(start // STEP, end // STEP):
                    line[step] = True
        return line

    def bridged(self, line: list[bool]) -> list[bool]:
        filled = list(line)
        for first, last in self.runs([not step for step in line]):
            inner = first > 0 and last < self.length
            if inner and (last - first) * STEP <= QUICK.word_gap_ms:
                filled[first:last] = [True] * (last - first)
        return filled

    def runs(self, line: list[bool]) -> list[Span]:
        found = []
        for step in self.starts(line):
            last = step
            while last < len(line) and line[last]:
                last += 1
            found.append((step, last))
        return found

    def starts(self, line: list[bool]) -> list[int]:
        return [step for step, on in enumerate(line) if on and (step == 0 or not line[step - 1])]

    def within(self, step: int, line: list[bool]) -> bool:
        return step > 0 and line[step] and line[step - 1]

    def overlaps(self, role: Role, other: Role) -> tuple[tuple[int, ...], tuple[int, ...]]:
        mine, theirs = self.floor[role], self.floor[other]
        taken: list[int] = []
        missed: list[int] = []
        for step in self.starts(mine):
            if not self.within(step, theirs):
                continue
            now = step
            while mine[now] and theirs[now]:
                now += 1
            if (now - step) * STEP > QUICK.overlap_ms:
                (taken if mine[now] else missed).append(step * STEP)
        return tuple(taken), tuple(missed)

    def longest_turn(self, role: Role, other: Role) -> Span | None:
        """Let the side hold its turn in each step, until the other speaks or it has paused for too long."""
        mine, theirs = self.floor[role], self.floor[other]
        best: Span | None = None
        first = last = -1
        for step in range(self.length):
            alone = mine[step] and not theirs[step]
            if alone and first < 0:
                first = step
            if alone:
                last = step
                if best is None or last + 1 - first > best[1] - best[0]:
                    best = (first, last + 1)
            elif theirs[step] or (step + 1 - (last + 1)) * STEP > QUICK.monologue_pause_ms:
                first = -1
        return (best[0] * STEP, best[1] * STEP) if best else None

    def pauses(self) -> list[int]:
        """Return the pauses before the manager's replies: the last to have stopped before it was the customer."""
        found = []
        for start, end in self.runs(self.floor["manager"]):
            others = [run for run in self.runs(self.floor["customer"]) if run[0] < start]
            own = [run for run in self.runs(self.floor["manager"]) if run[0] < start]
            stopped = others[-1][1] if others else -1
            if stopped > (own[-1][1] if own else -1) and stopped < end:
                found.append(max(0, start - stopped) * STEP)
        return sorted(found)

    def nobody(self) -> list[bool]:
        either = [one or other for one, other in zip(*self.talk.values(), strict=True)]
        first, last = self.starts(either)[0], self.runs(either)[-1][1]
        return [first <= step < last and not either[step] for step in range(self.length)]


DRAWN_SPAN = st.tuples(st.integers(0, 80), st.integers(1, 30)).map(
    lambda pair: (pair[0] * STEP, (pair[0] + pair[1]) * STEP)
)
DRAWN_MARKS = st.builds(
    marks, st.sampled_from(ROLES), DRAWN_SPAN, nod=st.sampled_from([False, False, True]), timed=st.just(value=True)
)


@examples(500)
@given(st.lists(DRAWN_MARKS, min_size=2, max_size=9))
def test_a_timeline_in_steps_of_10_ms_says_the_same(said: list[UtteranceMarks]) -> None:
    if {one.role for one in said} != set(ROLES):
        return
    found = timing(numbered(*said), QUICK, Capabilities(fine_times=True))
    line = Timeline(said)
    for role, other, side in zip(ROLES, ROLES[::-1], (found.manager, found.customer), strict=True):
        assert side.talk_ms == sum(line.talk[role]) * STEP
        assert (side.interruptions, side.talk_overs) == line.overlaps(role, other)
        assert side.back_channels == line.nods[role]
        assert side.longest_turn == line.longest_turn(role, other)
    both = zip(line.talk["manager"], line.talk["customer"], strict=True)
    assert found.overlap_ms == sum(one and other for one, other in both) * STEP
    nobody = line.nobody()
    assert found.quiet_ms == sum(nobody) * STEP
    silences = [(first * STEP, last * STEP) for first, last in line.runs(nobody)]
    assert found.silences == tuple(run for run in silences if run[1] - run[0] >= QUICK.silence_ms)
    pauses = line.pauses()
    assert found.replies == len(pauses)
    assert found.patience_ms == (int(statistics.median(pauses)) if pauses else None)


# -- call-ai-metrics

GRID: Final = 400
"""Moments of the two sides lie half of it apart, so its tolerance of 100 ms and its bridges of 250 ms cannot matter."""


@st.composite
def drawn_side(draw: st.DrawFn, shift: int) -> list[Span]:
    """Draw a side's speech with pauses of at least 1,200 ms, so that nothing is bridged; starts differ by side."""
    spans = []
    at = shift
    for pause, length in draw(st.lists(st.tuples(st.integers(3, 30), st.integers(1, 30)), min_size=1, max_size=8)):
        start = at + pause * GRID
        at = start + length * GRID
        spans.append((start, at))
    return spans


def its_report(sides: dict[Role, list[Span]]) -> CallReport:
    segments = [(start / 1_000, end / 1_000, role) for role, spans in sides.items() for start, end in spans]
    return analyze(segments, speakers=list(ROLES))


def agree(found: Timing, report: CallReport) -> None:
    """Compare the features that both define alike.

    It counts an interruption with either floor after it: ours and `talk_overs` together. Its silence is our quiet.
    """
    assert found.talk_share == pytest.approx(report["manager"].talk_share, abs=1e-6)
    assert found.quiet_share == pytest.approx(report.silence_share, abs=1e-6)
    assert found.overlap_share == pytest.approx(report.overlap_share, abs=1e-6)
    for role, side in (("manager", found.manager), ("customer", found.customer)):
        assert side.talk_ms == pytest.approx(report[role].talk_time_s * 1_000)
        assert side.interruptions is not None
        assert side.talk_overs is not None
        its_moments = [event.time_s * 1_000 for event in report.interruption_events if event.by == role]
        assert sorted(side.interruptions + side.talk_overs) == pytest.approx(its_moments)
    its_pause = report["manager"].response_latency_s
    assert found.patience_ms == (None if its_pause is None else pytest.approx(its_pause * 1_000, abs=1))


@examples(400)
@given(drawn_side(0), drawn_side(GRID // 2))
def test_call_ai_metrics_says_the_same_of_drawn_speech(manager: list[Span], customer: list[Span]) -> None:
    said = [marks("manager", span) for span in manager] + [marks("customer", span) for span in customer]
    found = timing(numbered(*said), BELIEVING, Capabilities(fine_times=True))
    report = its_report({"manager": manager, "customer": customer})
    agree(found, report)


@examples(200)
@given(st.lists(st.tuples(st.sampled_from(ROLES), st.integers(3, 40), st.integers(1, 30)), min_size=2, max_size=12))
def test_call_ai_metrics_says_the_same_of_turns(drawn: list[tuple[Role, int, int]]) -> None:
    """Its turn goes on while the other talks along, ours does not: turns without such talk are compared."""
    at = 0
    sides: dict[Role, list[Span]] = {"manager": [], "customer": []}
    for role, pause, length in drawn:
        start = at + pause * GRID
        at = start + length * GRID
        sides[role].append((start, at))
    if not all(sides.values()):
        return
    said = [marks(role, span) for role, spans in sides.items() for span in spans]
    found = timing(numbered(*said), SPEECH, Capabilities(fine_times=True))
    report = its_report(sides)
    agree(found, report)
    for role, side in (("manager", found.manager), ("customer", found.customer)):
        assert side.longest_turn
        assert side.longest_turn[1] - side.longest_turn[0] == pytest.approx(report[role].longest_monologue_s * 1_000)


@pytest.mark.parametrize("dialogue", dialogues(), ids=lambda dialogue: str(dialogue["id"]))
def test_call_ai_metrics_says_the_same_of_the_dialogues(dialogue: dict[str, Any]) -> None:
    """It reads our speech, as it bridges no gap between 250 and 500 ms.

    It recognises back-channels by their length alone, so no utterance is marked as one here.
    """
    said = [marked(event) for event in events_of(dialogue)]
    sides: dict[Role, list[Span]] = {
        role: union([span for one in said if one.role == role for span in one.stretches], SPEECH.word_gap_ms)
        for role in ROLES
    }
    found = timing(numbered(*said), BELIEVING, None)
    report = its_report(sides)
    assert found.talk_share == pytest.approx(report["manager"].talk_share, abs=1e-6)
    assert found.quiet_share == pytest.approx(report.silence_share, abs=1e-6)
    assert found.overlap_share == pytest.approx(report.overlap_share, abs=1e-6)
    for role, side in (("manager", found.manager), ("customer", found.customer)):
        assert side.interruptions is not None
        assert side.talk_overs is not None
        its_moments = [event.time_s * 1_000 for event in report.interruption_events if event.by == role]
        assert sorted(side.interruptions + side.talk_overs) == pytest.approx(its_moments)


# -- labels of people, and counts of recognisers


@cache
def reader() -> Reader:
    return Reader(lexicon(), SPEECH)


@pytest.mark.parametrize("read", [True, False], ids=["as read", "as labelled"])
@pytest.mark.parametrize("dialogue", dialogues(), ids=lambda dialogue: str(dialogue["id"]))
def test_the_labelled_dialogues(dialogue: dict[str, Any], *, read: bool) -> None:
    """With the back-channels of the shipped lexicon, and with those of the labels."""
    nods = {label["utterance"] for label in dialogue["labels"]["back_channels"]}
    said = {
        event.utterance: reader().read(event) if read else marked(event, nod=event.utterance in nods)
        for event in events_of(dialogue)
    }
    found = timing(said, SPEECH, None)
    labelled = dialogue["features"]
    assert found.span_ms == labelled["span_ms"]
    assert (found.manager.talk_ms, found.customer.talk_ms) == (
        labelled["manager_talk_ms"],
        labelled["customer_talk_ms"],
    )
    assert found.talk_share == pytest.approx(labelled["manager_talk_share"], abs=5e-5)
    assert found.overlap_ms == labelled["overlap_ms"]
    assert found.silences == tuple((each["start_ms"], each["end_ms"]) for each in labelled["silences"])
    assert found.silence_ms == labelled["silence_ms"]
    monologue, story = found.manager.longest_turn, found.customer.longest_turn
    assert monologue
    assert monologue[0] == labelled["longest_manager_monologue_start_ms"]
    assert monologue[1] - monologue[0] == labelled["longest_manager_monologue_ms"]
    assert story
    assert story[1] - story[0] == labelled["longest_customer_story_ms"]
    assert labelled["overlap_other"] == []
    for role, side in (("manager", found.manager), ("customer", found.customer)):
        moments = [each["at_ms"] for each in labelled["interruptions"]["list"] if each["by"] == role]
        assert (side.interruptions, side.talk_overs) == (tuple(moments), ())
        assert side.back_channels == labelled["back_channels"][role]


@pytest.mark.parametrize("call", RECORDINGS)
def test_two_real_calls_by_the_words_of_whisper(call: str) -> None:
    """Compared with the same definitions over the stretches of each side in the audio.

    Its README has the share of the whole recording without any speech, in which nothing is bridged.
    """
    found = timing({event.utterance: marked(event) for event in whisper(call)}, SPEECH, None)
    audio = timing(heard(call), SPEECH, None)
    assert found.talk_share == pytest.approx(audio.talk_share, abs=0.03)
    assert found.talk_share == pytest.approx({"40": 0.514, "49": 0.780}[call], abs=0.03)
    assert found.silence_share == pytest.approx(audio.silence_share, abs=0.05)
    assert found.quiet_share == pytest.approx(audio.quiet_share, abs=0.05)
    assert found.quiet_ms is not None
    outside = RECORDINGS[call] - found.span_ms
    assert (found.quiet_ms + outside) / RECORDINGS[call] == pytest.approx({"40": 0.295, "49": 0.285}[call], abs=0.0505)
    assert found.manager.longest_turn
    monologue = found.manager.longest_turn[1] - found.manager.longest_turn[0]
    assert monologue == pytest.approx({"40": 27_700, "49": 37_600}[call], abs=500)


@pytest.mark.parametrize(("call", "longer"), [("40", 0), ("49", 4)])
def test_how_often_real_speakers_talk_over_each_other(call: str, longer: int) -> None:
    """Count speech that begins inside the other's and lasts over it for longer than half a second.

    By the words of Whisper, four in call 49: "Got it." with the floor after it, "No problem, no problem.", "A 2019."
    and one of the customer. In the audio there are two of more than half a second; none gets the floor.
    """
    found = timing({event.utterance: marked(event) for event in whisper(call)}, SPEECH, None)
    assert len(both_kinds(found)) == longer
    assert found.manager.interruptions == ((34_060,) if longer else ())
    assert found.customer.interruptions == ()
    audio = timing(heard(call), SPEECH, None)
    assert both_kinds(audio) == ([65_218, 103_074] if longer else [])
    assert audio.manager.interruptions == audio.customer.interruptions == ()


def both_kinds(found: Timing) -> list[int]:
    moments: list[int] = []
    for side in (found.manager, found.customer):
        assert side.interruptions is not None
        assert side.talk_overs is not None
        moments += [*side.interruptions, *side.talk_overs]
    return sorted(moments)


@pytest.mark.parametrize("call", RECORDINGS)
def test_the_segments_of_whisper_are_not_believed_without_their_words(call: str) -> None:
    """They span pauses of seconds: taken as utterances, the manager's share of call 49 would be 0.51, not 0.78."""
    found = timing({event.utterance: marked(event) for event in whisper(call, timed=False)}, SPEECH, None)
    for side in (found.manager, found.customer):
        assert (side.talk_ms, side.longest_turn, side.interruptions) == (None, None, None)
    assert (found.talk_share, found.silences, found.patience_ms, found.overlap_ms) == (None,) * 4


@pytest.mark.parametrize("shift", [-5_000, -3_000, 3_000, 5_000])
@pytest.mark.parametrize("dialogue", dialogues(), ids=lambda dialogue: str(dialogue["id"]))
def test_a_dialogue_with_different_zeros_is_not_believed(dialogue: dict[str, Any], shift: int) -> None:
    """Only for shifts by which the sides speak at once: in short calls with long pauses they may not."""
    said = [marked(event) for event in events_of(dialogue)]
    spans = {
        role: union(
            [
                (start + 5_000 + shift * (role == "customer"), end + 5_000 + shift * (role == "customer"))
                for one in said
                if one.role == role
                for start, end in one.stretches
            ],
            0,
        )
        for role in ROLES
    }
    moved = [marks(role, span, timed=True) for role in ROLES for span in spans[role]]
    found = timing(numbered(*moved), SPEECH, None)
    believed = common(spans["manager"], spans["customer"]) <= max(2_000, min(map(total, spans.values())) / 4)
    assert (found.overlap_ms is not None) == believed
    assert found.talk_share is not None
    assert not believed or dialogue["id"][3:] in {"008", "011", "021", "048", "005"}


def turns_of_contact_lens() -> dict[str, UtteranceMarks]:
    output = json.loads((FIXTURES / "contact_lens/example_original.json").read_text(encoding="utf-8"))
    roles: dict[str, Role] = {"AGENT": "manager", "CUSTOMER": "customer"}
    return {
        turn["Id"]: marked(
            utterance(
                turn["Id"],
                roles[turn["ParticipantId"]],
                turn["BeginOffsetMillis"],
                turn["EndOffsetMillis"],
                turn["Content"],
            )
        )
        for turn in output["Transcript"]
    }


def test_the_talk_times_of_contact_lens() -> None:
    """Its own figures: talk time by a definition of its own, no interruption, no time without talk."""
    found = timing(turns_of_contact_lens(), SPEECH, None)
    assert found.manager.talk_ms == pytest.approx(15_079, rel=0.01)
    assert found.customer.talk_ms == pytest.approx(13_619, rel=0.01)
    assert found.talk_share == pytest.approx(15_079 / 28_698, abs=0.001)
    assert found.manager.interruptions == found.customer.interruptions == ()
    assert found.silences == ()
    assert found.span_ms == 32_110
    assert found.manager.words_per_minute == pytest.approx(239, rel=0.01)
    assert found.customer.words_per_minute == pytest.approx(163, rel=0.01)


def test_the_figures_of_post_call_analytics() -> None:
    """Its turns span pauses, so that both talk at once for a quarter of the time, and callpulse does not believe them.

    Without that check they agree with its own figures, as far as it measures the same: no time without talk,
    and an interruption at 0.74 s, unless it is bridged to the "Mm" 490 ms before it. Its talk is
    measured inside the turns: the manager's six words in 5.1 s are less.
    """
    output = json.loads((FIXTURES / "post_call_analytics/testfile.json").read_text(encoding="utf-8"))
    names: dict[str, Role] = {"Agent": "manager", "Customer": "customer"}
    labels = output["ConversationAnalytics"]["SpeakerLabels"]
    roles = {label["Speaker"]: names[label["DisplayText"]] for label in labels}
    said = {
        str(number): marked(
            utterance(
                str(number),
                roles[turn["SegmentSpeaker"]],
                round(turn["SegmentStartTime"] * 1_000),
                round(turn["SegmentEndTime"] * 1_000),
                turn["DisplayText"],
            )
        )
        for number, turn in enumerate(output["SpeechSegments"])
    }
    assert timing(said, SPEECH, None).talk_share is None
    found = timing(said, BELIEVING, None)
    its_talk = output["ConversationAnalytics"]["SpeakerTime"]
    its_seconds = {role: its_talk[name]["TotalTimeSecs"] for name, role in roles.items()}
    assert found.customer.talk_ms == pytest.approx(its_seconds["customer"] * 1_000, rel=0.04)
    assert found.manager.talk_ms == pytest.approx(its_seconds["manager"] * 1_000 + 1_700, abs=100)
    assert found.silences == ()
    its_moments = [turn["SegmentStartTime"] for turn in output["SpeechSegments"] if turn["SegmentInterruption"]]
    assert its_moments == [0.74]
    apart = timing(said, msgspec.structs.replace(BELIEVING, word_gap_ms=0), None)
    assert apart.manager.interruptions
    assert apart.manager.interruptions[0] == 740
