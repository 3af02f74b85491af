"""queue_log: the lines that app_queue writes about its callers and its members. Times are whole seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from streams.simulator.rendering.pbx_facts import PbxFact


def lines(facts: Iterable[PbxFact]) -> Iterator[bytes]:
    """Yield the lines of the file, the first one as of a start of Asterisk."""
    begun = False
    for fact in facts:
        second = fact.at_us // 1_000_000
        if not begun:
            begun = True
            yield f"{second}|NONE|NONE|NONE|QUEUESTART|\n".encode()
        for event in _events(fact):
            yield f"{second}|{event}\n".encode()


def _events(fact: PbxFact) -> Iterator[str]:
    about, caller = fact.about, fact.channel.uid
    queue = about.get("queue", "")
    member = f"{caller}|{queue}|{about.get('device', '')}"
    match fact.what:
        case "join":
            yield f"{caller}|{queue}|NONE|ENTERQUEUE||{fact.channel.number}|1"
        case "abandon":
            yield f"{caller}|{queue}|NONE|ABANDON|1|1|{about['hold']}"
        case "left" if "timeout" in about:
            yield f"{caller}|{queue}|NONE|EXITWITHTIMEOUT|1|1|{about['hold']}"
        case "connect":
            yield f"{member}|CONNECT|{about['hold']}|{fact.others['dest'].uid}|{about['ring']}"
        case "complete" if about["by"] != "transfer":
            by = "COMPLETEAGENT" if about["by"] == "agent" else "COMPLETECALLER"
            yield f"{member}|{by}|{about['hold']}|{about['talk']}|1"
        case "blind" if queue:
            member = f"{fact.others['transferee'].uid}|{queue}|{about['device']}"
            yield f"{member}|BLINDTRANSFER|{about['exten']}|from-internal|{about['hold']}|{about['talk']}|1"
        case "attended" if queue:
            member = f"{fact.others['transferee'].uid}|{queue}|{about['device']}"
            yield f"{member}|ATTENDEDTRANSFER|BRIDGE|{about['second_bridge']}|{about['hold']}|{about['talk']}|1"
        case "member_added" | "member_removed" | "member_paused" | "member_unpaused":
            name, reason = _MEMBER[fact.what]
            yield f"{'REALTIME' if name.endswith('MEMBER') else 'NONE'}|{queue}|{about['device']}|{name}|" + (
                about["reason"] if reason else ""
            )
        case _:
            return


_MEMBER: Final = {
    "member_added": ("ADDMEMBER", False),
    "member_removed": ("REMOVEMEMBER", False),
    "member_paused": ("PAUSE", True),
    "member_unpaused": ("UNPAUSE", False),
}
