"""A call on the terminal: what was said, from topic `speech`, and what is read out of it, from topic `features`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streams.contract.events import SpeechEvents, SpeechUtterance
from streams.contract.features import CallFeatures, Sides


def transcript(events: Iterable[SpeechEvents]) -> Iterator[str]:
    """Yield what was said, in the order of time. For the terminal of the demo: no program of callpulse shows this."""
    said = [event for event in events if isinstance(event, SpeechUtterance)]
    for one in sorted(said, key=lambda event: event.start_ms):
        yield f"{one.start_ms / 1000:6.1f}  {one.role:8}  {one.text}"


def lines(found: CallFeatures) -> Iterator[str]:
    """Yield the features of a call, one a line. What is not known is "unknown"."""
    yield f"talk share of the manager  {_share(found.talk)}"
    yield f"longest monologue          {_span(found.monologue)}"
    yield f"longest customer story     {_span(found.story)}"
    yield f"patience                   {_span(found.patience)}"
    yield f"silence                    {_span(found.silence)}"
    yield f"interruptions              {_both(found.interruptions)}"
    yield f"words                      {_both(found.words)}"
    yield f"questions of the manager   {_counts(found.questions)}"
    yield f"fillers                    {_counts(found.fillers)}"
    yield f"stages                     {', '.join(f'{_at(at)} {name}' for name, at in found.stages) or 'none'}"
    met = {True: "met", False: "not met"}
    objections = ", ".join(f"{_at(at)} {name} ({met[reacted]})" for name, at, reacted in found.objections)
    yield f"objections                 {objections or 'none'}"
    yield f"next step                  {_step(found.next_step)}"
    yield f"flags                      {', '.join(found.flags) or 'none'}"


def _share(talk: Sides | None) -> str:
    return "unknown" if talk is None else f"{talk.manager / max(1, talk.manager + talk.customer):.0%}"


def _span(span_ms: int | None) -> str:
    return "unknown" if span_ms is None else f"{span_ms / 1000:.1f} s"


def _both(sides: Sides | None) -> str:
    return "unknown" if sides is None else f"manager {sides.manager}, customer {sides.customer}"


def _counts(counts: dict[str, int] | None) -> str:
    if counts is None:
        return "unknown"
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _at(moment_ms: int) -> str:
    return f"{moment_ms / 1000:.1f}"


def _step(step: tuple[bool, int] | None) -> str:
    if step is None:
        return "none"
    agreed, at = step
    return f"{_at(at)} {'agreed' if agreed else 'offered'}"
