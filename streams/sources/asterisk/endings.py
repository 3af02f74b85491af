"""Ends of unanswered legs whose disposition is not known yet: canceled by the caller, or by a time limit.

Asterisk ends the dial of a ringing telephone with CANCEL in both cases. A leg is canceled if its caller hangs up, or if
another telephone answered. Hangups of one moment come in any order, so such an end waits for a second.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from streams.contract.events import Disposition, EndedBy
from streams.sources.asterisk.channels import ChannelRegistry
from streams.sources.asterisk.model import Channel, Conversation, PbxLeg
from streams.sources.asterisk.writer import EventWriter

_WAIT_MS: Final = 1_000
_ANSWERED_ELSEWHERE: Final = 26


class _End(NamedTuple):
    leg: PbxLeg
    channel: Channel
    at: int
    ended_by: EndedBy
    last_serial: int


class PendingEnds:
    """Ended legs that wait for an event of their caller."""

    def __init__(self, channels: ChannelRegistry, writer: EventWriter) -> None:
        self._channels = channels
        self._writer = writer
        self._ends: list[_End] = []

    def __len__(self) -> int:
        """Return the number of waiting ends."""
        return len(self._ends)

    def add(self, leg: PbxLeg, channel: Channel, at: int, ended_by: EndedBy) -> None:
        """Write the end of a leg if its disposition is clear, else keep it waiting. `channel` was its last channel."""
        end = _End(leg, channel, at, ended_by, self._channels.added)
        if self._is_canceled(end):
            self._write(end, "canceled")
        else:
            self._ends.append(end)

    def settle(self, now: int) -> None:
        """Write the ends that have waited long enough: their caller is still there, so a time limit ended the dial."""
        if self._ends:
            self._settle([end for end in self._ends if now - end.at > _WAIT_MS])

    def settle_leg(self, conversation: Conversation, manager: str) -> None:
        """Write the waiting end of a manager's leg, because a new one begins in the same conversation."""
        if self._ends:
            self._settle(
                [end for end in self._ends if end.leg.manager == manager and end.leg.conversation is conversation]
            )

    def settle_all(self) -> None:
        """Write all waiting ends."""
        self._settle(list(self._ends))

    def channel_gone(self, uid: str, now: int) -> None:
        """Write the ends that wait for this channel: it hangs up at `now`."""
        for end in [end for end in self._ends if end.channel.caller_uid == uid]:
            self._ends.remove(end)
            self._write(end, "canceled" if now - end.at <= _WAIT_MS else "no_answer")

    def _settle(self, ends: list[_End]) -> None:
        for end in ends:
            self._ends.remove(end)
            self._write(end, "canceled" if self._is_canceled(end) else "no_answer")

    def _is_canceled(self, end: _End) -> bool:
        """Return whether the caller hung up, or another telephone that was dialled at the same time was picked up."""
        if end.channel.end_cause == _ANSWERED_ELSEWHERE:
            return True
        caller = self._channels.by_uid.get(end.channel.caller_uid)
        if caller is None or caller.hangup_requested:
            return True
        connected = {party.uid for party in self._channels.parties(caller)}
        return any(
            other is not caller
            and other.is_party
            and not other.done
            and other.serial <= end.last_serial
            and (other.uid in connected or (other.seen_up and other.caller_uid == caller.uid))
            for other in end.leg.conversation.channels.values()
        )

    def _write(self, end: _End, disposition: Disposition) -> None:
        self._writer.ended(end.leg, end.at, disposition, end.ended_by)
