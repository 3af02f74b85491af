"""Record files of Asterisk for a reconciliation: the legs in CEL or CDR."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.contract.events import CallEnded
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.sources import CdrSource, CelSource
from streams.sources.people import People
from streams.sources.reconciliation import RecordLeg, Records, legs_of, records_of

_EVER_MS: Final = 1 << 62


def of_cel(
    files: Iterable[Iterable[bytes]], mapping: AsteriskMapping, secret: bytes, zone: str, people: People
) -> Records:
    """Return the records in files of CEL.

    Each is read separately. `zone` is that of the PBX if its settings name none.
    """
    ends: list[CallEnded] = []
    refused = 0
    knows_missed = True
    for lines in files:
        cel = CelSource(mapping.cel, mapping, secret, zone, people)
        for place, line in enumerate(lines):
            done = cel.take(line, place, _EVER_MS)
            ends += [event for event in done.events if isinstance(event, CallEnded)]
            refused += len(done.refused)
        ends += [event for event in cel.quiet(0) if isinstance(event, CallEnded)]
        knows_missed &= cel.calls.knows_applications
    legs = legs_of(end for end in ends if end.ended_by != "timeout")
    return records_of("cel", mapping.source, legs, refused, knows_missed=knows_missed)


def of_cdr(
    files: Iterable[Iterable[bytes]], mapping: AsteriskMapping, secret: bytes, zone: str, people: People
) -> Records:
    """Return the records in files of CDR.

    Each is read separately. `zone` is that of the PBX if its settings name none.
    """
    legs: list[RecordLeg] = []
    refused = 0
    for lines in files:
        cdr = CdrSource(mapping.cdr, mapping, secret, zone, people)
        for place, line in enumerate(lines):
            found, bad = cdr.legs(line, place, _EVER_MS)
            legs += [RecordLeg(leg.end, (leg.end,), leg.is_exact, leg.other_calls) for leg in found]
            refused += len(bad)
        legs += [RecordLeg(leg.end, (leg.end,), leg.is_exact, leg.other_calls) for leg in cdr.calls.finish()]
    return records_of("cdr", mapping.source, legs, refused, knows_cancels=False)
