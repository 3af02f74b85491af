"""Amazon Contact Lens: the segments of its live stream, and the file that it writes after a call.

`Utterance` segments are pieces of a later, complete `Transcript` segment; both have the id of the transcript, so the
whole replaces the pieces. Offsets count from the beginning of the contact. Words have no times.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET

from streams.contract.events import Role
from streams.sources.frame import Translation, UnreadableError
from streams.sources.transcripts.leg import Asked, Leg, tag
from streams.sources.transcripts.reading import Documents, Reading
from streams.sources.transcripts.utterances import Said, Speech, capabilities_of
from streams.sources.transcripts.values import Fields, Json, fields, first, flat, items, millis, text

NAME: Final = "contact_lens"
_ROLES: Final[Mapping[str, Role]] = {"AGENT": "manager", "CUSTOMER": "customer"}
_OTHERS: Final = ("SYSTEM", "CUSTOM_BOT", "SUPERVISOR")
_NO_TRANSCRIPT: Final = ("Categories", "PostContactSummary", "Issues", "Event", "Attachments")
_OVER: Final = ("COMPLETED", "FAILED")
_REVISION_MS: Final = 10


def read(documents: Documents, asked: Asked) -> Translation:
    """Return the events of a file, or of events of the stream in any number."""
    reading = Reading()
    for number, value in enumerate((one for document in documents for one in flat(document)), 1):
        with reading.part(f"event {number}"):
            _event(reading, _plain(fields(value, "the event")), asked)
    return reading.done()


def _plain(event: Fields) -> Fields:
    """Return an event without the envelope in which Kinesis puts it."""
    record = event.get("kinesis")
    data = record.get("data") if isinstance(record, dict) else event.get("data")
    if isinstance(data, dict):
        return data
    if not isinstance(data, str):
        return event
    try:
        return fields(msgspec.json.decode(base64.b64decode(data, validate=True)), "data")
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        raise UnreadableError("not_json", "data is no JSON in base64") from None


def _event(reading: Reading, event: Fields, asked: Asked) -> None:
    if text(event, "Channel") not in ("", "VOICE"):
        raise UnreadableError("invalid_field", "Channel is not VOICE: only calls are read")
    kind, leg = text(event, "EventType"), asked.leg(_call(event))
    speech = reading.speech(NAME, leg, asked.received_at_ms)
    if "Transcript" in event:
        _file(reading, event, speech, leg, asked)
    elif "Segments" in event:
        for number, segment in enumerate(items(event, "Segments"), 1):
            with reading.part(f"segment {number}"):
                _segment(reading, fields(segment, "Segments"), event, speech)
    elif kind in _OVER:
        _end(reading, speech, leg, asked)
    elif kind == "STARTED":
        reading.found.ignored += 1
    else:
        raise UnreadableError("unknown_type", "neither the file of a contact nor an event of the stream")


def _call(event: Fields) -> Mapping[str, str]:
    contact = text(event, "ContactId")
    if not contact and isinstance(metadata := event.get("CustomerMetadata"), dict):
        contact = text(metadata, "ContactId")
    return {"call": contact} if contact else {}


def _file(reading: Reading, event: Fields, speech: Speech, leg: Leg, asked: Asked) -> None:
    if text(event, "JobStatus") not in ("", "COMPLETED"):
        raise UnreadableError("invalid_field", "JobStatus is not COMPLETED")
    roles: dict[str, str] = {}
    for one in items(event, "Participants"):
        participant = fields(one, "Participants")
        roles[text(participant, "ParticipantId")] = text(participant, "ParticipantRole")
    for number, turn in enumerate(items(event, "Transcript"), 1):
        with reading.part(f"turn {number}"):
            _say(reading, fields(turn, "Transcript"), speech, event, roles)
    _end(reading, speech, leg, asked)


def _segment(reading: Reading, segment: Fields, event: Fields, speech: Speech) -> None:
    if isinstance(whole := segment.get("Transcript"), dict):
        _say(reading, whole, speech, event, {})
    elif isinstance(piece := segment.get("Utterance"), dict):
        _say(reading, piece, speech, event, {}, final=False)
    elif any(name in segment for name in _NO_TRANSCRIPT):
        reading.found.ignored += 1
    else:
        raise UnreadableError("unknown_type", "a segment of no known kind")


def _say(
    reading: Reading, one: Fields, speech: Speech, event: Fields, roles: Mapping[str, str], *, final: bool = True
) -> None:
    who = text(one, "ParticipantId")
    role = text(one, "ParticipantRole") or roles.get(who, who)
    if role in _OTHERS:
        reading.found.ignored += 1
        return
    if role not in _ROLES:
        raise UnreadableError("invalid_field", "the participant is neither AGENT nor CUSTOMER")
    key = text(one, "Id") if final else text(one, "TranscriptId")
    if not key:
        raise UnreadableError("missing_field", "the id of the transcript is missing")
    start, end = _offset(one, "BeginOffsetMillis"), _offset(one, "EndOffsetMillis")
    said = text(one, "Content") if final else text(one, "PartialContent")
    reading.say(
        speech,
        Said(
            key=key,
            role=_ROLES[role],
            start_ms=start,
            end_ms=end,
            text=said,
            final=final,
            revision=0 if final else end // _REVISION_MS,
            language=tag(text(event, "LanguageCode")),
        ),
    )


def _offset(one: Fields, name: str) -> int:
    value: Json = first(one, name)
    if value is None and isinstance(one.get("Time"), dict):
        value = fields(one["Time"], "Time").get(name)
    return millis(value, name)


def _end(reading: Reading, speech: Speech, leg: Leg, asked: Asked) -> None:
    reading.end(
        speech,
        leg,
        capabilities_of(
            asked.own,
            word_times=False,
            punctuation=True,
            fillers=UNSET,
            channels_apart=not leg.guessed,
            fine_times=True,
        ),
    )
