"""What the events of topic `speech` say of a call, in lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from streams.contract.events import Capabilities, SpeechEnded, SpeechEvents, SpeechUtterance
from streams.settings.speech import Speech
from streams.speech.conversation import heard
from streams.speech.marks import UtteranceMarks
from streams.speech.reading import Reader
from streams.speech.shipped import lexicon
from streams.speech.timing import Timing, timing


class Call(NamedTuple):
    """What is kept of a call: the marks of its utterances, and the features of time that they give."""

    marks: Mapping[str, UtteranceMarks]
    timing: Timing


def of_call(events: Iterable[SpeechEvents], speech: Speech) -> Call:
    """Return what is read out of one call, from its events in any order."""
    reader = Reader(lexicon(), speech)
    marks: dict[str, UtteranceMarks] = {}
    capabilities: Capabilities | None = None
    for event in events:
        if isinstance(event, SpeechEnded):
            capabilities = event.capabilities
        elif event.final:
            held = marks.get(event.utterance)
            if held is None or event.revision >= held.revision:
                marks[event.utterance] = reader.read(event)
    return Call(marks, timing(marks, speech, capabilities))


def lines(call: Call) -> Iterator[str]:
    """Yield the features of time, and the phrases of the lexicon. What is not known is "unknown"."""
    found = call.timing
    manager, customer = found.manager, found.customer
    yield f"talk share of the manager  {_percent(found.talk_share)}"
    yield f"silence                    {_percent(found.silence_share)}"
    yield f"longest monologue          {_span(manager.longest_turn)}"
    yield f"longest customer story     {_span(customer.longest_turn)}"
    yield f"patience                   {_seconds(found.patience_ms)}"
    yield f"interruptions              {_both(_count(manager.interruptions), _count(customer.interruptions))}"
    yield f"words a minute             {_both(_rate(manager.words_per_minute), _rate(customer.words_per_minute))}"
    yield from phrases(call)


def phrases(call: Call) -> Iterator[str]:
    """Yield each phrase of the lexicon that was heard: when, of whom, its group, and how the lexicon writes it."""
    hits = [(hit, call.marks[name].role) for name, found in heard(call.marks).items() for hit in found]
    for hit, role in sorted(hits, key=lambda one: one[0].at_ms):
        if hit.kind != "cue":
            yield f"{hit.at_ms / 1000:6.1f}  {role:8}  {hit.kind} {hit.group}: {hit.phrase}"


def transcript(events: Iterable[SpeechEvents]) -> Iterator[str]:
    """Yield what was said, in the order of time. For the terminal of the demo: no program of callpulse shows this."""
    said = [event for event in events if isinstance(event, SpeechUtterance)]
    for one in sorted(said, key=lambda event: event.start_ms):
        yield f"{one.start_ms / 1000:6.1f}  {one.role:8}  {one.text}"


def _both(manager: str, customer: str) -> str:
    return f"manager {manager}, customer {customer}"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"


def _seconds(span_ms: int | None) -> str:
    return "unknown" if span_ms is None else f"{span_ms / 1000:.1f} s"


def _span(interval: tuple[int, int] | None) -> str:
    return "unknown" if interval is None else _seconds(interval[1] - interval[0])


def _count(moments: tuple[int, ...] | None) -> str:
    return "unknown" if moments is None else str(len(moments))


def _rate(words: float | None) -> str:
    return "unknown" if words is None else f"{words:.0f}"
