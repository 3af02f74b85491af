"""The events of a call of Aircall, made of its webhooks and its list of calls.

A call has one user at a time. Each piece has the whole call as it was at that moment, so a later piece replaces most of
a lost one. Only the event of a transfer has its moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from streams.contract.events import QUEUE_PREFIX, Event
from streams.settings.settings import Settings
from streams.sources.aircall.pieces import FINAL, Said
from streams.sources.aircall.settings import NAME, AircallSettings
from streams.sources.gathering import GatheringJoin, LegEvents
from streams.sources.people import UNKNOWN
from streams.units import MINUTE_MS, SECOND_MS

_NOBODY: Final = f"{NAME}:{UNKNOWN}"
SETTLE_MS: Final = MINUTE_MS
"""The delay of conclusions, since events may be on their way.

Conclusions are a missed call without `call.ended` so far, and the user of a call with an unreported transfer.
"""


@dataclass(slots=True, kw_only=True)
class _Spell:
    """The time in which a user has the call: from `begun` to `until`, 0 while it lasts.

    `answered` is 0 for never. `talked_until` is set if the talk was over before. `waited`: its talk may include the
    ringing of the telephone. `guessed`: it may be another user's talk. `is_first`: it began with the call. `is_new`:
    its beginning is known.
    """

    user: str
    begun: int
    answered: int
    until: int = 0
    talked_until: int = 0
    waited: bool = False
    guessed: bool = False
    is_first: bool = False
    is_new: bool = True


class _Call:
    """All pieces of a call, in the order of their moments."""

    def __init__(self, pieces: Mapping[Said, int]) -> None:
        self.said = sorted(pieces, key=lambda one: (one.at, one.kind in FINAL, msgspec.json.encode(one)))
        finals = [one for one in self.said if one.kind in FINAL]
        complete = [one for one in finals if one.kind != "hungup"]
        self.final = max(complete or finals, key=lambda one: one.ended, default=None)
        self.is_complete = bool(complete)
        first = self.said[0]
        self.outbound = first.outbound
        self.started = min(one.started for one in self.said)
        self.lead = next((one.lead for one in self.said if one.lead), None)
        self.number = next((one.number for one in self.said if one.number), "")
        self.rings = _first_of(self.said, "ringing")
        self.declined = _first_of(self.said, "declined")
        self.moves = [one for one in self.said if one.moved]
        self.answers = [one for one in self.said if one.kind == "answered"]
        self.answered = min((one.answered for one in self.said if one.answered), default=0)
        if not self.answered and self.answers:
            self.answered = self.answers[0].at
        self._moments = [one.at for one in self.said if one.kind not in {"created", *FINAL}]
        self._ends = len({msgspec.structs.replace(one, kind="ended", at=one.ended) for one in finals})

    def known(self, until: int) -> int:
        """Return the number of pieces that may change an end at `until`."""
        return 1 + self._ends + sum(at <= until for at in self._moments)


class AircallJoin(GatheringJoin[Said]):
    """A leg for each user who had the call or whose telephone rang, and one of the queue for a missed call."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(Said)
        own = settings.source(AircallSettings)
        self._queues = own.queues
        self._default_queue = own.default_queue

    def again_ms(self, call: str, pieces: Mapping[Said, int], now_ms: int) -> int | None:  # noqa: ARG002 - the pieces have the moments
        """Return the moment from which conclusions count."""
        all_ = _Call(pieces)
        due_ms = max(pieces.values()) + SETTLE_MS
        is_waiting = (_is_missed(all_) and not all_.is_complete) or any(one.guessed for one in _spells(all_))
        return due_ms if is_waiting and due_ms > now_ms else None

    def events(self, call: str, pieces: Mapping[Said, int], now_ms: int) -> Iterator[Event]:
        """Yield the events of a call."""
        all_ = _Call(pieces)
        is_settled = now_ms >= max(pieces.values()) + SETTLE_MS
        spells = _spells(all_)
        for spell in spells:
            if is_settled or not spell.guessed:
                yield from self._spell(call, all_, spell)
        for move in all_.moves:
            by = move.by or move.user
            if move.kind == "transferred" and by and move.to and by != move.to:
                maker = self._maker(call, all_, by)
                yield maker.transferred(move.at, move.to, attended=False)
        for user, rang in all_.rings.items():
            is_theirs = any(one.user == user and (one.is_first or one.begun <= rang) for one in spells)
            yield from self._rang(call, all_, user, rang, is_theirs=is_theirs)
        if _is_missed(all_) and all_.final is not None and (is_settled or all_.is_complete):
            name = QUEUE_PREFIX + (self._queues.get(all_.number) or self._default_queue)
            yield self._maker(call, all_, name).ended(all_.final.ended, all_.started, pieces=all_.known(0))

    def _spell(self, call: str, all_: _Call, spell: _Spell) -> Iterator[Event]:
        maker = self._maker(call, all_, spell.user, "" if spell.is_first else f":{spell.begun // SECOND_MS}")
        if spell.is_new:
            yield maker.started(spell.begun)
            if spell.answered:
                yield maker.answered(spell.answered)
        if spell.until:
            # The fold would count an end at its own start as another stretch.
            until = max(spell.until, spell.begun + 1)
            talk_ms = max(0, (spell.talked_until or until) - spell.answered) if spell.answered else None
            yield maker.ended(
                until,
                spell.begun,
                answered_at=spell.answered or None,
                talk_ms=talk_ms,
                uncertain=spell.guessed or spell.waited,
                pieces=all_.known(until),
            )

    def _rang(self, call: str, all_: _Call, user: str, rang: int, *, is_theirs: bool) -> Iterator[Event]:
        """Yield the leg of a user whose telephone rang without an answer.

        `is_theirs`: the user had the call in the end.
        """
        maker = self._maker(call, all_, user)
        declined = all_.declined.get(user, 0)
        if declined > rang:
            yield maker.ended(declined, rang, pieces=all_.known(declined))
        if is_theirs:
            return
        yield maker.started(rang)
        taken = next((at for at in (all_.answered, *(one.at for one in all_.answers)) if at >= rang), 0)
        if declined > rang:
            return
        if taken:
            yield maker.ended(max(taken, rang + 1), rang, ended_by="cdr", pieces=all_.known(taken))
        elif all_.final is not None:
            ended = max(all_.final.ended, rang + 1)
            yield maker.ended(ended, rang, ended_by="cdr", uncertain=True, pieces=all_.known(ended))

    def _maker(self, call: str, all_: _Call, manager: str, suffix: str = "") -> LegEvents:
        queue = None if all_.outbound else self._queues.get(all_.number)
        return LegEvents(
            source=NAME,
            stem=f"{NAME}:{call}:{manager}{suffix}",
            call=call,
            manager=manager,
            lead=all_.lead,
            direction="outbound" if all_.outbound else "inbound",
            queue=None if manager.startswith(QUEUE_PREFIX) else queue,
        )


def _is_missed(call: _Call) -> bool:
    return not call.outbound and call.final is not None and not call.answered


def _first_of(said: Sequence[Said], kind: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in said:
        if one.kind == kind and one.user:
            found.setdefault(one.user, one.at)
    return found


def _spells(call: _Call) -> list[_Spell]:
    """Return the spells of the users who had the call, in order. An inbound call without an answer has none."""
    if not (call.outbound or call.answered):
        return _missed(call)
    holder = _first(call)
    done: list[_Spell] = []
    for move in call.moves:
        if holder is not None and move.kind != "returned":
            holder = _moved(call, holder, move, done)
    if holder is not None:
        if call.final is not None:
            holder = _handed(call, holder, call.final, done)
            holder.user = holder.user or _NOBODY
            holder.until = call.final.ended
            # The last transfer that the end names must be one that an event reported.
            last = call.moves[-1] if call.moves else None
            holder.guessed |= bool(call.final.by) and (last is None or (last.by or last.user) != call.final.by)
        done.append(holder)
    return [spell for spell in done if spell.user]


def _missed(call: _Call) -> list[_Spell]:
    """Return the spell of a user whom only the end of a missed call names."""
    final = call.final
    if final is None or not final.user or final.user in call.rings:
        return []
    return [_Spell(user=final.user, begun=call.started, answered=0, until=final.ended, is_first=True)]


def _first(call: _Call) -> _Spell | None:
    """Return the spell of the user who had the call first, None while the user is not known.

    Only pieces before any transfer name this user for certain.
    """
    until = call.moves[0].at if call.moves else 1 << 62
    for one in call.said:
        is_named = one.kind in FINAL or (one.kind != "ringing" and (call.outbound or one.kind == "answered"))
        if is_named and one.user and not (one.moved or one.by) and one.at <= until:
            return _begun(call, one.user, is_new=True)
    later = [*call.moves[:1], *([] if call.final is None else [call.final])]
    if not later:
        return None
    return _begun(call, next((one.by or one.user for one in later if one.by or one.user), _NOBODY), is_new=False)


def _begun(call: _Call, user: str, *, is_new: bool) -> _Spell:
    rang = 0 if call.outbound else call.rings.get(user, 0)
    return _Spell(
        user=user,
        begun=rang if 0 < rang <= call.answered else call.started,
        answered=call.answered,
        guessed=bool(call.moves) and not is_new,
        is_first=True,
        is_new=is_new,
    )


def _moved(call: _Call, holder: _Spell, move: Said, done: list[_Spell]) -> _Spell | None:
    """Return the user who has the call after a transfer, None for a person outside the department."""
    holder = _handed(call, holder, move, done)
    holder.waited = False  # a user who transfers a call has answered it
    returned = _returned(call, move)
    if returned:
        done.append(_Spell(user=move.to, begun=move.at, answered=0, until=returned))
        return holder
    done.append(holder)
    if move.kind == "external":
        holder.until = move.at if call.final is None else call.final.ended
        holder.talked_until = move.at
        return None
    holder.until = move.at
    return _after(call, move)


def _handed(call: _Call, holder: _Spell, said: Said, done: list[_Spell]) -> _Spell:
    """Return the spell of the user who has the call when it is transferred, or ends."""
    user = (said.by or said.user) if said.moved else said.user
    holder.user = holder.user or user
    if not user or user == holder.user or not call.answered:
        return holder
    if done and done[-1].user == user and holder.waited and (said.moved or said.by != holder.user):
        # The transfer to `holder` came back, or `holder` transferred it back: no event tells the two apart.
        mine = done.pop()
        done.append(_Spell(user=holder.user, begun=holder.begun, answered=0, until=said.at, guessed=True))
        mine.guessed = True
        return mine
    # No event reported a transfer, and its moment is unknown, so all of the talk is the last user's.
    holder.until, holder.talked_until = max(holder.answered, holder.begun + 1), holder.answered
    holder.guessed = True
    done.append(holder)
    return _Spell(user=user, begun=holder.answered, answered=holder.answered, guessed=True, is_new=False)


def _returned(call: _Call, move: Said) -> int:
    """Return the moment at which a transfer proved to be none, 0 for a real one."""
    later = [one for one in call.moves if one.at >= move.at and one is not move and one.to in {"", move.to}]
    return later[0].at if later and later[0].kind == "returned" else 0


def _after(call: _Call, move: Said) -> _Spell:
    """Return the spell that a transfer begins. Without the answer of its user, the talk may hold the ringing."""
    following = next((one.at for one in call.moves if one.at > move.at and one.kind != "returned"), 1 << 62)
    answers = [one for one in call.answers if move.at <= one.at < following and one.user]
    if move.to:
        answers = [one for one in answers if one.user == move.to]
    answer = answers[0] if answers else None
    return _Spell(
        user=move.to or (answer.user if answer is not None else ""),
        begun=move.at,
        answered=move.at if answer is None else answer.at,
        waited=answer is None,
    )
