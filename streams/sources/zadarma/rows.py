"""Rows of the statistics beside notifications: a row stands for an end of which no notification came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from streams.sources.zadarma.hook import Piece

_ROWS: Final = ("row", "out_row")
_ENDS: Final = ("end", "out_end")


def repaired(pieces: Mapping[Piece, int]) -> tuple[Mapping[Piece, int], bool]:
    """Return the notifications of a call, with the end by its rows if none was notified, and whether that is so.

    Rows have no facts that notifications lack. A row has the beginning of the call and its length, but not the time of
    ringing: a notified answer is dated better.
    """
    heard = {piece: at for piece, at in pieces.items() if piece.what not in _ROWS}
    rows = sorted(
        ((one, at) for one, at in pieces.items() if one.what in _ROWS), key=lambda row: (row[1], row[0].manager)
    )
    if not rows or any(piece.what in _ENDS for piece in heard):
        return heard, False
    if heard:  # the beginning of a call is a part of each notification: the zone of the statistics makes no difference
        begun = next(iter(heard)).begun
        rows = [(replace(row, begun=begun), at + begun[0] - row.begun[0]) for row, at in rows]
    last, ended = rows[-1]
    answers = [at for piece, at in heard.items() if piece.what == "answer"]
    if len(answers) == 1:
        ended = answers[0] + last.duration_ms
    made = dict(heard)
    if last.what == "out_row":
        made[replace(last, what="out_end")] = ended
        return made, True
    for row, at in () if answers else rows:
        if row.manager and row.disposition == "answered":
            made[replace(row, what="answer", duration_ms=0, disposition=None)] = at - row.duration_ms
    made[replace(last, what="end")] = max(ended, *answers, 0)
    return made, True
