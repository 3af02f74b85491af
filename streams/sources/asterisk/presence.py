"""Presence of managers: their state over all queues that they are members of, and over all their devices.

A manager is offline after leaving the last queue and logging off, paused while paused in any queue, else available.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from streams.contract.events import ManagerPresence, PresenceState
from streams.phone_numbers import has_number
from streams.sources.asterisk.mapping import Directory

EVENTS: Final = ("queuememberpause", "queuememberadded", "queuememberremoved", "agentlogin", "agentlogoff")
LIST_EVENTS: Final = ("queuemember", "queuememberstatus")
_LONGEST_REASON: Final = 256

_Place = tuple[str, str]
"""A queue and the device that is a member of it, in lower case. The queue is "" for an agent login."""


class _Member:
    """The memberships of one manager. `pauses` holds the reason of a pause, or None for a membership without a pause.

    `logged_off` holds the agents that have logged off; `emitted` the state and reason of the last event.
    """

    __slots__ = ("emitted", "logged_off", "pauses")

    def __init__(self) -> None:
        self.pauses: dict[_Place, str | None] = {}
        self.logged_off: set[str] = set()
        self.emitted: tuple[PresenceState, str] | None = None

    @property
    def state(self) -> tuple[PresenceState, str]:
        """The state over all memberships of devices that are logged on, and the reason of a pause."""
        pauses = [pause for (_, device), pause in self.pauses.items() if device not in self.logged_off]
        if not pauses:
            return "offline", ""
        reasons = [pause for pause in pauses if pause is not None]
        return ("paused", next(filter(None, reasons), "")) if reasons else ("available", "")


class PresenceTracker:
    """Keeps the memberships of all managers, and makes an event of each change of a manager's state."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._members: dict[str, _Member] = {}
        self._listed: set[tuple[str, _Place]] = set()

    def take(self, ami: Mapping[str, str], now: int) -> Iterator[ManagerPresence]:
        """Yield the presence that an event of a queue member or an agent changes.

        Nothing for a member without a rule.
        """
        name, agent = ami["event"].lower(), ami.get("agent", "")
        interface = ami.get("interface", "") or ami.get("location", "") or (f"Agent/{agent}" if agent else "")
        label = ami.get("membername", "") or (ami.get("name", "") if name in LIST_EVENTS else "") or agent
        manager = self._directory.member_manager(label, interface)
        if manager is None:
            return
        member = self._members.setdefault(manager, _Member())
        place = (ami.get("queue", "").casefold(), interface.replace(":", "/", 1).casefold())
        if name == "agentlogin":
            member.logged_off.discard(place[1])
            member.pauses.setdefault(place, None)
        elif name == "agentlogoff":
            member.logged_off.add(place[1])
            member.pauses.pop(place, None)
        elif name == "queuememberremoved":
            member.pauses.pop(place, None)
        else:
            member.pauses[place] = _reason(ami) if ami.get("paused") == "1" else None
        if name in LIST_EVENTS:
            self._listed.add((manager, place))
            if member.emitted is None:  # a list shows a state, not a change
                member.emitted = member.state
        yield from self._changed(manager, member, now)

    def recall(self, presences: Mapping[str, tuple[PresenceState, str]]) -> None:
        """Take the states that were written before a start: a different state in a list is a change."""
        for manager, state in presences.items():
            self._members.setdefault(manager, _Member()).emitted = state

    def begin_list(self) -> None:
        """Drop the entries of a list so far: a list begins, or will never be complete."""
        self._listed = set()

    def list_complete(self, now: int) -> Iterator[ManagerPresence]:
        """Drop the memberships that a complete list of queues did not name: they ended in a gap."""
        listed, self._listed = self._listed, set()
        if not listed:
            return
        for manager, member in self._members.items():
            for place in [place for place in member.pauses if place[0] and (manager, place) not in listed]:
                del member.pauses[place]
            yield from self._changed(manager, member, now)

    def _changed(self, manager: str, member: _Member, now: int) -> Iterator[ManagerPresence]:
        if member.emitted == member.state:
            return
        state, reason = member.emitted = member.state
        source = self._directory.mapping.source
        yield ManagerPresence(
            v=1,
            id=f"{source}:presence:{self._directory.call_name(manager)}:{state}:{now}",
            at=now,
            source=source,
            manager=manager,
            state=state,
            reason=reason or None,
        )


def _reason(ami: Mapping[str, str]) -> str:
    reason = (ami.get("pausedreason", "") or ami.get("reason", ""))[:_LONGEST_REASON]
    return "" if has_number(reason) else reason
