"""A transcript that is forgotten: its row keeps only its position, and withdraws no sent features."""

from __future__ import annotations

from msgspec.structs import replace

from streams.contract.events import SpeechEnded, SpeechUtterance
from streams.contract.features import SpokenLeg
from streams.settings.settings import load
from streams.speech.lexicon import Lexicon
from streams.speech.reading import Reader
from streams.tables.changelog import FORGOTTEN_AT
from streams.tables.transcript.fold import NOTHING, TranscriptFold, is_due, live_marks
from streams.tables.transcript.row import TranscriptRecords, TranscriptRow, TranscriptState

SPEECH = load("", {}).speech
FOLD = TranscriptFold(Reader(Lexicon.load([]), SPEECH), SPEECH, "test")
LEG = SpokenLeg(
    src="calls/0", seq=4, manager="m", call="c", day=20_000, at=9, direction="outbound", kind="cold", lead="crm-7"
)
SAID = SpeechUtterance(
    v=1,
    id="u",
    at=5,
    source="stt",
    call="c",
    manager="m",
    utterance="u",
    role="manager",
    start_ms=0,
    end_ms=4_000,
    text="hello",
    final=True,
)
ENDED = SpeechEnded(v=1, id="end", at=9, source="stt", call="c", manager="m")


def heard() -> TranscriptRow:
    row = TranscriptRow()
    row.state.pos, row.state.heard_at = 41, 1_000
    assert FOLD.utterance(row, SAID) == "applied"
    assert FOLD.leg(row, LEG) == NOTHING
    assert FOLD.ended(row, ENDED).now is not None
    return row


def test_an_emptied_row_keeps_its_position_and_nothing_else() -> None:
    row = heard()
    assert FOLD.forget(row) == NOTHING
    assert row.state == TranscriptState(pos=41, heard_at=FORGOTTEN_AT, ended=True)
    ((_, value),) = TranscriptRecords().changelog(b"m\x1fc", row)
    assert value is not None
    assert b"crm-7" not in value
    assert TranscriptRow(value).heard_at == FORGOTTEN_AT
    assert live_marks(row.state) is None
    assert not is_due(row.state, 10**12, 0)


def test_a_better_end_of_the_call_takes_nothing_back_and_adds_nothing() -> None:
    row = heard()
    FOLD.forget(row)
    assert FOLD.leg(row, replace(LEG, seq=8, withdrawn=True)) == NOTHING
    assert FOLD.leg(row, replace(LEG, seq=9)) == NOTHING
    assert FOLD.ended(row, ENDED) == NOTHING
