"""The common part of the readers of all formats. An unreadable part does not affect others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from streams.contract.events import Capabilities
from streams.sources.frame import Refused, Translation, UnreadableError
from streams.sources.transcripts.leg import Asked, Leg
from streams.sources.transcripts.utterances import Said, Speech
from streams.sources.transcripts.values import Json

Documents: TypeAlias = Sequence[Sequence[Json]]
"""The values of each document: of one request, or of each file in the order in which they were named."""
_MOST_REFUSED: Final = 50
Reader: TypeAlias = Callable[[Documents, Asked], Translation]


class Reading:
    """Collects the events and the refusals of a transcript."""

    def __init__(self) -> None:
        self.found = Translation()
        self._unnamed = 0
        self._speech: dict[tuple[str, str], Speech] = {}

    def speech(self, source: str, leg: Leg, received_at_ms: int | None) -> Speech:
        """Return the maker of the events of a leg: the same for all messages about it."""
        return self._speech.setdefault((leg.call, leg.manager), Speech(source, leg, received_at_ms))

    @contextmanager
    def part(self, where: str) -> Iterator[None]:
        """Refuse the part that is read inside, if it is unreadable."""
        try:
            yield
        except UnreadableError as error:
            self.refuse(error, where)

    def refuse(self, error: UnreadableError, where: str) -> None:
        """Refuse a part. Of many only the first are named: each becomes a dead letter."""
        if len(self.found.refused) < _MOST_REFUSED:
            self.found.refused.append(Refused(reason=error.reason, detail=str(error), where=where))
        else:
            self._unnamed += 1

    def done(self) -> Translation:
        """Return the result of the reading."""
        if self._unnamed:
            last = self.found.refused[-1]
            self.found.refused.append(
                Refused(reason=last.reason, detail="many more cannot be read", where=f"{self._unnamed} more")
            )
        return self.found

    def say(self, speech: Speech, said: Said) -> None:
        """Take an utterance. Raises UnreadableError."""
        events = speech.events(said)
        self.found.events += events
        self.found.ignored += not events

    def end(self, speech: Speech, leg: Leg, capabilities: Capabilities) -> None:
        """Take the end of the transcript, unless more of it comes."""
        if not leg.more:
            self.found.events.append(speech.ended(capabilities))
