"""Bitrix24: the transcription that is attached to a call by `telephony.call.attachTranscription`.

Its times are whole seconds from the beginning of the talk, and a message has no id: the side and the second of its
beginning name it. The portal's REST interface has no method that returns a transcription, so the application that
attaches it sends the same JSON here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import UNSET

from streams.contract.events import Role
from streams.sources.frame import Translation, UnreadableError
from streams.sources.transcripts.leg import Asked
from streams.sources.transcripts.reading import Documents, Reading
from streams.sources.transcripts.utterances import Said, Speech, capabilities_of
from streams.sources.transcripts.values import Fields, fields, flat, items, seconds, text

NAME: Final = "bitrix24"
_ROLES: Final[Mapping[str, Role]] = {"USER": "manager", "CLIENT": "customer"}


def read(documents: Documents, asked: Asked) -> Translation:
    """Return the events of transcriptions."""
    reading = Reading()
    for number, value in enumerate((one for document in documents for one in _calls(document)), 1):
        with reading.part(f"transcription {number}"):
            _transcription(reading, fields(value, "the transcription"), asked)
    return reading.done()


def _calls(document: object) -> list[object]:
    """Return the transcriptions of a document; an array of messages is one."""
    values = flat(document) if isinstance(document, (list, tuple)) else []
    if values and all(isinstance(one, dict) and "SIDE" in one for one in values):
        return [{"MESSAGES": values}]
    return values


def _transcription(reading: Reading, call: Fields, asked: Asked) -> None:
    named = text(call, "CALL_ID")
    leg = asked.leg({"call": named} if named else {})
    if "MESSAGES" not in call:
        raise UnreadableError("missing_field", "MESSAGES is missing")
    speech = reading.speech(NAME, leg, asked.received_at_ms)
    speech.begin_document()
    for number, message in enumerate(items(call, "MESSAGES"), 1):
        with reading.part(f"message {number}"):
            _message(reading, fields(message, "MESSAGES"), speech)
    capabilities = capabilities_of(asked.own, word_times=False, channels_apart=UNSET, fine_times=False)
    reading.end(speech, leg, capabilities)


def _message(reading: Reading, message: Fields, speech: Speech) -> None:
    side = text(message, "SIDE").upper()
    if side not in _ROLES:
        raise UnreadableError("invalid_field", "SIDE is neither User nor Client")
    start, end = seconds(message.get("START_TIME"), "START_TIME"), seconds(message.get("STOP_TIME"), "STOP_TIME")
    said = text(message, "MESSAGE")
    if not said.strip():
        reading.found.ignored += 1
        return
    key = speech.numbered(f"{side.lower()}-{start}")
    reading.say(speech, Said(key=key, role=_ROLES[side], start_ms=start, end_ms=end, text=said))
