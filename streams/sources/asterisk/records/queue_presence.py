"""Presence of queue members by queue_log: memberships of queues, and pauses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from msgspec import Struct

from streams.contract.events import PresenceState
from streams.phone_numbers import has_number

_LONGEST_REASON: Final = 256


class Member(Struct):
    """The memberships of one manager: the reason of the pause by `queue device`, None without a pause."""

    pauses: dict[str, str | None] = {}
    state: PresenceState | None = None
    reason: str = ""


class QueuePresence(Struct):
    """The memberships of all managers. Members that `queues.conf` names are known once they pause."""

    EVENTS: ClassVar[tuple[str, ...]] = (
        *("ADDMEMBER", "REMOVEMEMBER", "PAUSE", "UNPAUSE", "PAUSEALL", "UNPAUSEALL"),
        *("AGENTLOGIN", "AGENTLOGOFF"),
    )
    members: dict[str, Member] = {}

    def take(
        self, event: str, queue: str, agent: str, data: Sequence[str], manager: str
    ) -> tuple[PresenceState, str] | None:
        """Return the state of a manager and the reason of a pause, if a line changes them."""
        member = self.members.get(manager)
        if member is None:
            member = self.members[manager] = Member()
        device = agent.casefold()
        place = f"{queue.casefold()} {device}"
        reason = (data[0] if data else "")[:_LONGEST_REASON]
        if has_number(reason):
            reason = ""
        if event in ("ADDMEMBER", "UNPAUSE"):
            member.pauses[place] = None
        elif event == "AGENTLOGIN":
            member.pauses[f" {device}"] = None
        elif event == "PAUSE":
            member.pauses[place] = reason
        elif event == "REMOVEMEMBER":
            member.pauses.pop(place, None)
        elif event == "AGENTLOGOFF":
            member.pauses.pop(f" {device}", None)
        else:
            for known in [known for known in member.pauses if known.endswith(f" {device}")]:
                member.pauses[known] = reason if event == "PAUSEALL" else None
        now = _state(member)
        if now == (member.state, member.reason):
            return None
        member.state, member.reason = now
        return now


def _state(member: Member) -> tuple[PresenceState, str]:
    """Return the state over all memberships, and the reason of a pause."""
    if not member.pauses:
        return "offline", ""
    reasons = [reason for reason in member.pauses.values() if reason is not None]
    return ("paused", next(filter(None, reasons), "")) if reasons else ("available", "")
