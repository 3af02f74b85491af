"""The event contract, version 1: every event that callpulse takes in, and how bytes become one.

An event is one JSON object in UTF-8, at most 64 KiB, in a Kafka record of its own. `decode` takes the bytes and returns
an event or a `Rejection`; it never raises. Unknown fields are ignored, so an event may have more fields than the
contract; an unknown `type` or `v` is rejected, because guessing would make a figure wrong without a trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, final, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import force_setattr

from streams.contract.money import read_amount, read_currency
from streams.units import DAY_MS

VERSION: Final = 1
QUEUE_PREFIX: Final = "queue:"
"""The prefix of the pseudo-manager `queue:NAME`, which has the inbound calls that no manager answered."""
MAX_BYTES: Final = 64 * 1024
# No source records calls from before 2000 or after 2100: such a moment is in the wrong unit (seconds) or garbage.
EARLIEST_MS: Final = 946_684_800_000
LATEST_MS: Final = 4_102_444_800_000
LONGEST_MS: Final = 7 * DAY_MS
_AMOUNT: Final = Meta(
    description='A decimal string or a number: "1200.50". Written with care, as a last resort: "1 200,50".'
)
_CURRENCY: Final = Meta(description="A code of ISO 4217, in any case, or a common symbol.")

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Text: TypeAlias = Annotated[str, Meta(max_length=256)]
Moment: TypeAlias = Annotated[int, Meta(ge=EARLIEST_MS, le=LATEST_MS, description="Milliseconds since epoch, UTC.")]
Millis: TypeAlias = Annotated[int, Meta(ge=0, le=LONGEST_MS, description="A span in milliseconds.")]

Direction: TypeAlias = Literal["inbound", "outbound"]
Kind: TypeAlias = Literal["cold", "targeted", "inbound", "repeat"]
Disposition: TypeAlias = Literal["answered", "no_answer", "busy", "failed", "canceled", "voicemail"]
EndedBy: TypeAlias = Literal["hangup", "timeout", "cdr"]
PresenceState: TypeAlias = Literal["available", "paused", "after_call", "offline"]
Channel: TypeAlias = Literal["email", "messenger", "meeting"]
Role: TypeAlias = Literal["manager", "customer"]

DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
KINDS_AND_UNKNOWN: Final[tuple[str, ...]] = (*KINDS, "unknown")
"""`KINDS`, and the kind of a call whose kind no source names."""
DISPOSITIONS: Final[tuple[Disposition, ...]] = get_args(Disposition)


class Event(Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """The fields of every event. `id` is permanent: the same id twice is the same event."""

    v: Literal[1]
    id: Name
    at: Moment
    source: Name


class CallEvent(Event, frozen=True, kw_only=True, gc=False):
    """An event of one leg, that is, of one manager's part in a call: the pair (call, manager)."""

    call: Name
    manager: Name
    lead: Name | None = None


@final
class CallStarted(CallEvent, frozen=True, kw_only=True, gc=False, tag="call.started"):
    """A leg began or began again: the manager dialled, or the manager's telephone began to ring.

    `internal` is true for a leg between colleagues: no customer is on the line. It is no call of the figures.
    """

    direction: Direction
    kind: Kind | None = None
    team: Name | None = None
    queue: Name | None = None
    internal: bool | UnsetType = UNSET


@final
class CallAnswered(CallEvent, frozen=True, kw_only=True, gc=False, tag="call.answered"):
    """The two parties of the leg can talk from `at` on."""


@final
class CallTransferred(CallEvent, frozen=True, kw_only=True, gc=False, tag="call.transferred"):
    """The manager handed the call to `to_manager`: this leg ends at `at` and the other manager's leg begins."""

    to_manager: Name
    how: Literal["blind", "attended"]


@final
class CallEnded(CallEvent, frozen=True, kw_only=True, gc=False, tag="call.ended"):
    """The leg is over. Self-contained, so that it counts even if its start or answer was lost.

    `talk_ms` is the time during which both parties were connected. `at` is the moment at which the leg ended; it
    selects the window in which the leg counts. A leg that begins again (a parked call that comes back) ends again: each
    end has the `started_at` and the `talk_ms` of its own stretch. The leg counts as one, with the sum of their talk.

    `uncertain` is true where the source did not see all of the leg, or cannot distinguish talk from waiting. An end of
    a source that saw all of the leg replaces this one.
    """

    direction: Direction
    started_at: Moment
    talk_ms: Millis
    disposition: Disposition
    ended_by: EndedBy = "hangup"
    answered_at: Moment | None = None
    kind: Kind | None = None
    internal: bool | UnsetType = UNSET
    uncertain: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse an impossible order of moments."""
        if self.started_at > self.at:
            raise ValueError("started_at is later than at")
        if self.answered_at is not None and self.answered_at > self.at:
            raise ValueError("answered_at is later than at")


@final
class ManagerPresence(Event, frozen=True, kw_only=True, gc=False, tag="manager.presence"):
    """Presence as reported by the telephone, the agent desktop or the manager: ready for calls or not."""

    manager: Name
    state: PresenceState
    reason: Text | None = None


class NextStep(Struct, frozen=True, kw_only=True, gc=False):
    """The next step that was agreed with a lead, and when it is due."""

    agreed: bool
    due_at: Moment | None = None


class CrmEvent(Event, frozen=True, kw_only=True, gc=False):
    """An event about one lead."""

    lead: Name
    manager: Name | None = None


class CallAnnotated(CrmEvent, frozen=True, kw_only=True, gc=False, tag="call.annotated"):
    """A note on a call, made after it by the manager's form, the CRM or a classifier.

    A higher `revision` replaces a lower one of the same call.
    """

    call: Name
    kind: Kind | None = None
    stages: Annotated[tuple[Name, ...], Meta(max_length=32)] = ()
    reason: Name | None = None
    next_step: NextStep | None = None
    revision: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


class DealStageChanged(CrmEvent, frozen=True, kw_only=True, gc=False, tag="deal.stage_changed"):
    """A deal of the lead came to a stage.

    `amount` and `currency` are read as `streams.contract.money` describes; a decoded event has a Decimal and a code of
    ISO 4217. A value that cannot be read stays as it is, and counts as folded. An empty text stands for no value.
    """

    deal: Name
    stage: Name
    amount: Annotated[Any, _AMOUNT] = None
    currency: Annotated[Any, _CURRENCY] = None
    product: Text | None = None
    channel: Text | None = None
    client_type: Text | None = None

    def __post_init__(self) -> None:
        """Read the amount and the currency."""
        for name, value, read in (("amount", self.amount, read_amount), ("currency", self.currency, read_currency)):
            if value is not None:
                is_empty = isinstance(value, str) and not value.strip()
                readable = None if is_empty else read(value)
                if is_empty or readable is not None:
                    force_setattr(self, name, readable)


class DealDeleted(CrmEvent, frozen=True, kw_only=True, gc=False, tag="deal.deleted"):
    """A deal no longer exists: it was deleted, or merged into another deal. It counts nowhere from then on.

    A later change of its stage brings it back.
    """

    deal: Name


class LeadConsulted(CrmEvent, frozen=True, kw_only=True, gc=False, tag="lead.consulted"):
    """A mentor talked the lead over with the manager: the consultation that the mentor rule asks for."""

    mentor: Name


class ActivityLogged(CrmEvent, frozen=True, kw_only=True, gc=False, tag="activity.logged"):
    """The lead was reached by something other than a call."""

    channel: Channel


class LeadLinked(CrmEvent, frozen=True, kw_only=True, gc=False, tag="lead.linked"):
    """A caller known only as `old_key` (`phone:` and a keyed hash) turned out to be `lead`."""

    old_key: Name


class SpeechEvent(Event, frozen=True, kw_only=True, gc=False):
    """An event of the transcript of one leg."""

    call: Name
    manager: Name
    lead: Name | None = None


class SpokenWord(Struct, frozen=True, kw_only=True, gc=False):
    """A word of an utterance and its time, counted like the utterance's own."""

    text: Annotated[str, Meta(max_length=256)]
    start_ms: Millis
    end_ms: Millis


class Capabilities(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The capabilities of a recogniser. A capability without a field is unknown; the transcript itself decides.

    `word_times`: words have their own times. `punctuation`: sentences end with marks, questions with "?". `fillers`:
    sounds and filler phrases are kept as they were said. `channels_apart`: each side was recorded on a channel of its
    own, so that speech at the same time is heard. `fine_times`: times are finer than a second.
    """

    word_times: bool | UnsetType = UNSET
    punctuation: bool | UnsetType = UNSET
    fillers: bool | UnsetType = UNSET
    channels_apart: bool | UnsetType = UNSET
    fine_times: bool | UnsetType = UNSET


@final
class SpeechUtterance(SpeechEvent, frozen=True, kw_only=True, gc=False, tag="speech.utterance"):
    """One stretch of speech of one side; `start_ms` and `end_ms` count from the moment of answer, half-open.

    Both sides count from the same moment, the `answered_at` of the leg. `final` is false while the recogniser may still
    change the text. Of two events about an `utterance`, a final one replaces one that is not; then the higher
    `revision` replaces the lower one; then the later in the topic the earlier. `words` are the words of `text` with
    their times, where the source has them. `language` is a tag of BCP 47; `confidence` is the recogniser's, 0 to 1.
    """

    utterance: Name
    role: Role
    start_ms: Millis
    end_ms: Millis
    text: Annotated[str, Meta(max_length=16_384)]
    final: bool
    words: Annotated[tuple[SpokenWord, ...], Meta(max_length=4_096)] = ()
    revision: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    language: Annotated[str, Meta(min_length=1, max_length=35)] | None = None
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None

    def __post_init__(self) -> None:
        """Refuse speech that ends before it begins."""
        if self.end_ms < self.start_ms:
            raise ValueError("end_ms is before start_ms")
        for word in self.words:
            if word.end_ms < word.start_ms:
                raise ValueError("end_ms is before start_ms in words")


@final
class SpeechEnded(SpeechEvent, frozen=True, kw_only=True, gc=False, tag="speech.ended"):
    """No more utterances of this leg will come. `capabilities` are those of the source, where it names them."""

    capabilities: Capabilities | None = None


CallsEvent: TypeAlias = CallStarted | CallAnswered | CallTransferred | CallEnded | ManagerPresence
CrmEvents: TypeAlias = CallAnnotated | DealStageChanged | DealDeleted | LeadConsulted | ActivityLogged | LeadLinked
SpeechEvents: TypeAlias = SpeechUtterance | SpeechEnded

TOPIC_EVENTS: Final[Mapping[str, object]] = {"calls": CallsEvent, "crm": CrmEvents, "speech": SpeechEvents}
EVENT_TYPES: Final[Mapping[str, tuple[type[Event], ...]]] = {
    topic: get_args(union) for topic, union in TOPIC_EVENTS.items()
}

Reason: TypeAlias = Literal[
    "empty",  # a record without a value
    "too_large",  # more than MAX_BYTES
    "not_utf8",
    "not_json",  # not JSON at all: NaN, a broken object, a second object behind the first
    "too_deep",  # nested beyond what any event needs
    "unknown_type",
    "unknown_version",
    "missing_field",
    "invalid_field",  # a wrong type, or a value outside its range or list
    "invalid_time",  # a moment that cannot be: negative, in seconds, after 2100, an end before its start
    "future",  # later than the record's arrival by more than the allowed clock skew
    "no_key",
    "wrong_key",  # the record's key is not the manager (calls, speech) or the lead (crm) of the event
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


@final
class Rejection(Struct, frozen=True, gc=False):
    """The reason why a record is not an event.

    `detail` is for the person who repairs the source; it never quotes a value.
    """

    reason: Reason
    detail: str


def encode(event: Event) -> bytes:
    """Return the event as the bytes of a record's value."""
    return msgspec.json.encode(event)
