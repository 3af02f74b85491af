"""The events of a call of RingCentral, by the states of its parties and by the call log.

Notifications come first: they have the moment of the answer. The call log closes a leg without a notified end, gives
its result to one without a notified answer, and makes a leg without any notification; such ends are uncertain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from streams.contract.events import QUEUE_PREFIX, CallEnded, Disposition, EndedBy, Event
from streams.settings.settings import Settings
from streams.sources.gathering import GatheringJoin, LegEvents
from streams.sources.ringcentral.pieces import ATTENDED, REASONS, TAKEN, TRANSFERS, Logged, Piece, State
from streams.sources.ringcentral.settings import NAME, RingCentralSettings
from streams.units import SECOND_MS

SETTLE_MS: Final = 10 * SECOND_MS
"""The delay of a missed call, for notifications of another telephone that are still on their way."""


class RingCentralJoin(GatheringJoin[Piece]):
    """A leg is a party of an extension. A queue has the leg of a call that all its telephones missed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(Piece)
        self._default_queue = settings.source(RingCentralSettings).default_queue

    def again_ms(self, call: str, pieces: Mapping[Piece, int], now_ms: int) -> int | None:
        """Return the moment from which a missed call counts."""
        due_ms = max(pieces.values()) + SETTLE_MS
        return due_ms if due_ms > now_ms and _is_missed(_parties(call, pieces)) else None

    def events(self, call: str, pieces: Mapping[Piece, int], now_ms: int) -> Iterator[Event]:
        """Yield the events of a call."""
        parties = _parties(call, pieces)
        for party in parties:
            yield from party.events()
        logged = sorted(
            (one for one in pieces if isinstance(one, Logged)),
            key=lambda one: (one.manager, one.started, one.ended, one.disposition, one.lead or "", one.queue),
        )
        alone = sum(bool(one.answered) for one in parties) <= 1
        for one in logged:
            if one.manager:
                yield from _by_log(call, one, [party for party in parties if party.manager == one.manager], alone=alone)
        missed = _missed_by_log(logged)
        if _is_missed(parties):
            if now_ms >= max(pieces.values()) + SETTLE_MS:
                began, ended = min(one.began for one in parties), max(one.ended for one in parties)
                name = next((one.queue for one in parties if one.queue), "")
                lead = next((one.lead for one in parties if one.lead), None)
                count = sum(len(one.states) for one in parties)
                yield self._missed(call, name, lead).ended(ended, began if began < ended else None, pieces=count)
        elif missed is not None and not any(party.answered for party in parties):
            ended = max(missed.ended, missed.started + 1)
            yield self._missed(call, missed.queue, missed.lead).ended(
                ended, missed.started, ended_by="cdr", uncertain=True
            )

    def _missed(self, call: str, queue: str, lead: str | None) -> LegEvents:
        return LegEvents(
            source=NAME,
            stem=f"{NAME}:{call}:queue",
            call=call,
            manager=QUEUE_PREFIX + (queue or self._default_queue),
            lead=lead,
            direction="inbound",
        )


class _Party:
    """The part of an extension in a session, by its states. Moments are 0 where they are not known."""

    def __init__(self, call: str, states: Sequence[State]) -> None:
        self.states = sorted(states, key=lambda one: (one.sequence, one.at, one.code))
        first = self.states[0]
        self.call = call
        self.id = first.party
        self.manager = first.manager
        self.outbound = first.outbound
        self.lead = next((one.lead for one in self.states if one.lead), None)
        self.queue = next((one.queue for one in self.states if one.queue), "")
        self.is_queued = any(one.queued for one in self.states)
        ends = [one for one in self.states if one.code in {"gone", "disconnected"}]
        self.end = ends[-1] if ends else None
        self.began = min(one.at for one in self.states)
        self.ended = max((one.at for one in ends), default=0)
        self.answered = min((one.at for one in self.states if one.code in {"answered", "held"}), default=0)
        self.began_sequence = first.sequence
        is_consulted = any(one.code == "gone" and one.reason == ATTENDED and one.is_elsewhere for one in ends)
        self.is_internal = is_consulted or first.colleague
        self.given_by = next((one.reason for one in ends if one.reason in TRANSFERS), "")
        # A party that transfers a call has answered it. Without a notification of the answer, the talk may include the
        # ringing.
        self.is_guessed = bool(self.given_by) and not self.answered
        if self.is_guessed:
            self.answered = self.began
        self.is_only_end = len(ends) == len(self.states)
        self.receiver: _Party | None = None

    @property
    def is_vain(self) -> bool:
        """True if the call was certainly not answered."""
        said = self.states
        return not self.answered and any(
            one.missed or one.code == "voicemail" or one.reason in REASONS or one.reason in TAKEN for one in said
        )

    @property
    def is_doubtful(self) -> bool:
        """True if it is over, and neither an answer nor a missing answer was reported."""
        return bool(self.ended) and not self.answered and not self.is_vain

    def takes_over(self, other: _Party) -> None:
        """Note that this party has the call that another one transferred."""
        other.receiver = self
        self.outbound = other.outbound
        self.lead = other.lead or self.lead
        self.is_internal = other.is_internal

    def maker(self) -> LegEvents:
        """Return the maker of its events."""
        return LegEvents(
            source=NAME,
            stem=f"{NAME}:{self.call}:{self.id}",
            call=self.call,
            manager=self.manager,
            lead=None if self.is_internal else self.lead,
            direction="outbound" if self.outbound else "inbound",
            queue=self.queue or None,
            internal=self.is_internal,
        )

    def events(self) -> Iterator[Event]:
        """Yield its events. A queue's own party has none."""
        if not self.manager:
            return
        maker = self.maker()
        first = next((one for one in self.states if one.code == "ringing"), None)
        if first is not None:
            # An earlier state that comes later is another start.
            yield replace(maker, stem=f"{maker.stem}:{first.sequence}").started(first.at)
        if self.answered and not self.is_guessed:
            yield maker.answered(self.answered)
        if self.receiver is not None and not self.is_internal and self.receiver.manager not in {"", self.manager}:
            yield maker.transferred(self.ended, self.receiver.manager, attended=self.given_by == ATTENDED)
        if self.ended:
            yield self.over(self.ended, answered=self.answered)

    def over(
        self,
        ended: int,
        *,
        answered: int,
        logged_at: int = 0,
        disposition: Disposition | None = None,
        ended_by: EndedBy | None = None,
        uncertain: bool = False,
    ) -> CallEnded:
        """Return its end: of its own state, or of the call log, in which it began at `logged_at`."""
        if disposition is None:
            disposition = REASONS.get("" if self.end is None else self.end.reason, "no_answer")
        is_weak = self.is_guessed or self.is_only_end or (self.is_doubtful and not answered)
        began = (logged_at or None) if self.is_only_end else self.began
        # The fold would count an end at its own start as another stretch.
        return self.maker().ended(
            ended if began is None else max(ended, answered, began + 1),
            began,
            answered_at=answered or None,
            disposition=disposition if self.outbound else "no_answer",
            ended_by=ended_by or ("cdr" if is_weak else "hangup"),
            uncertain=uncertain or is_weak,
            pieces=len(self.states) + (self.receiver is not None) + bool(logged_at),
        )


def _parties(call: str, pieces: Mapping[Piece, int]) -> list[_Party]:
    """Return the parties of a call, in the order in which they began."""
    states: dict[str, list[State]] = {}
    for one in pieces:
        if isinstance(one, State):
            states.setdefault(one.party, []).append(one)
    parties = sorted((_Party(call, said) for said in states.values()), key=lambda one: (one.began_sequence, one.id))
    for party in parties:
        if party.given_by and party.end is not None:
            later = [one for one in parties if one.began_sequence > party.end.sequence and one.manager]
            if later:
                later[0].takes_over(party)
    return parties


def _is_missed(parties: Sequence[_Party]) -> bool:
    """Return whether a queue missed a call: certainly none of its telephones answered."""
    rung = [one for one in parties if one.manager]
    is_queue = any(one.is_queued for one in parties) or len({one.manager for one in rung}) > 1
    is_inbound = all(not one.outbound and not one.is_internal for one in parties)
    return bool(parties) and is_queue and is_inbound and all(one.ended and one.is_vain for one in rung or parties)


def _by_log(call: str, logged: Logged, parties: Sequence[_Party], *, alone: bool) -> Iterator[CallEnded]:
    """Yield the additions of the call log to the legs of a manager. `alone`: no other manager talked in the call."""
    answered = logged.disposition == "answered"
    lacking = next((one for one in reversed(parties) if not one.ended or one.is_doubtful or one.is_only_end), None)
    if lacking is not None and logged.ended + SECOND_MS >= lacking.began:
        is_heard = bool(lacking.answered) and not lacking.is_only_end
        began = min(logged.started, lacking.ended - 1) if lacking.is_only_end else lacking.began
        yield lacking.over(
            lacking.ended or logged.ended,
            answered=lacking.answered if is_heard else began if answered else 0,
            logged_at=began,
            disposition=logged.disposition,
            ended_by="cdr",
            uncertain=not (alone and (is_heard or not answered)),
        )
    elif not parties:
        maker = LegEvents(
            source=NAME,
            stem=f"{NAME}:{call}:log:{logged.manager}",
            call=call,
            manager=logged.manager,
            lead=logged.lead,
            direction="outbound" if logged.outbound else "inbound",
            queue=logged.queue or None,
        )
        yield maker.ended(
            max(logged.ended, logged.started + 1),
            logged.started,
            answered_at=logged.started if answered else None,
            disposition=logged.disposition if logged.outbound else "no_answer",
            ended_by="cdr",
            uncertain=True,
        )


def _missed_by_log(logged: Sequence[Logged]) -> Logged | None:
    """Return the entry of the call log for an inbound call that its queue missed; None for any other call."""
    queue = [one for one in logged if not one.manager]
    if any(one.outbound or one.disposition == "answered" for one in logged):
        return None
    return queue[0] if queue else logged[0] if len({one.manager for one in logged}) > 1 else None
