"""Asterisk as a source: AMI events in, contract events out. See docs/asterisk.md for the rules."""

from streams.sources.asterisk.captures import read_recording
from streams.sources.asterisk.checks import Endpoint, RecordingChecks
from streams.sources.asterisk.mapping import AsteriskMapping, Rule
from streams.sources.asterisk.recording import DRY_RUN_SECRET, RecordingClock, replay
from streams.sources.asterisk.translator import Asterisk
from streams.sources.asterisk.wire import AmiParser, BadLine

__all__ = [
    "DRY_RUN_SECRET",
    "AmiParser",
    "Asterisk",
    "AsteriskMapping",
    "BadLine",
    "Endpoint",
    "RecordingChecks",
    "RecordingClock",
    "Rule",
    "read_recording",
    "replay",
]
