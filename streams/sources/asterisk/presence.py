"""Presence of managers, from events of queues and agent logins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.contract.events import ManagerPresence, PresenceState
from streams.phone_numbers import has_number
from streams.sources.asterisk.mapping import Directory

EVENTS: Final = ("queuememberpause", "queuememberadded", "queuememberremoved", "agentlogin", "agentlogoff")
_STATE: Final[Mapping[str, PresenceState]] = {
    "queuememberremoved": "offline",
    "agentlogin": "available",
    "agentlogoff": "offline",
}
_LONGEST_REASON: Final = 256


def presence(ami: Mapping[str, str], directory: Directory, now: int) -> ManagerPresence | None:
    """Return the presence of a queue member by an event, or None if no rule names its manager."""
    name = ami["event"].lower()
    agent = ami.get("agent", "")
    interface = ami.get("interface", "") or ami.get("location", "") or (f"Agent/{agent}" if agent else "")
    manager = directory.member_manager(ami.get("membername", "") or agent, interface)
    if manager is None:
        return None
    state = _STATE.get(name) or ("paused" if ami.get("paused") == "1" else "available")
    reason = (ami.get("pausedreason", "") or ami.get("reason", ""))[:_LONGEST_REASON]
    return ManagerPresence(
        v=1,
        id=f"{directory.mapping.source}:presence:{directory.call_name(manager)}:{state}:{now}",
        at=now,
        source=directory.mapping.source,
        manager=manager,
        state=state,
        reason=reason if reason and state == "paused" and not has_number(reason) else None,
    )
