"""The facts that each record file of Asterisk lacks. docs/asterisk.md lists the same; a test compares them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CANNOT_KNOW: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "cel": (
            "when a telephone rings: a leg begins with its channel, and counts unless it was refused within a second",
            "presence",
            "without `APP_START`: the queue of a call that nobody answered",
            "without `APP_START`: the number that was dialled and not answered, where the dialplan changes it",
            "the number of a customer whom the PBX itself called first",
            "who listens: a person or an answering machine",
            "the end of a call whose last rows were lost",
        ),
        "queue_log": (
            "calls outside queues, and outbound calls",
            "who received a transferred call, and the talk after the transfer",
            "whether a caller who left the queue was answered elsewhere, or had talked before",
            "the telephone on which a member was rung in vain",
            "members that `queues.conf` names, until they pause",
            "parts of a second",
        ),
        "cdr": (
            "when a queue member's telephone began and stopped ringing",
            "whether there was a transfer, and of which kind",
            "talk apart from waiting, where the dialplan or the PBX answered before the manager",
            "canceled and not answered apart, unless `canceldispositionenabled` is set",
            "presence",
            "without `linkedid`: which rows belong to one call",
            "calls that dialled nobody, where `unanswered` is not set",
            "parts of a second, in `Master.csv`",
        ),
    }
)
"""By kind of file."""
