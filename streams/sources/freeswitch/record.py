"""One channel of FreeSWITCH when it is over: the facts on which its legs depend, read from its variables.

The variables are those of a record of mod_json_cdr, and of the events of the event socket as `variable_NAME`. Moments
are `*_uepoch`, microseconds since epoch; 0 stands for never. The text times (`*_stamp`) have no zone and are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from msgspec import Struct

from streams.contract.events import EARLIEST_MS, LATEST_MS, LONGEST_MS
from streams.sources.frame import UnreadableError

LONGEST_ID: Final = 64
_UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"
"""What a byte becomes that is not UTF-8."""
_DIGITS: Final = re.compile(r"\d{1,20}", re.ASCII)
_MOST_LISTED: Final = 200
_DIRECTIONS: Final = frozenset(("inbound", "outbound"))
_US: Final = 1000  # microseconds in a millisecond

How: TypeAlias = Literal["blind", "attended"]
_HOW: Final[Mapping[str, How]] = {"bl_xfer": "blind", "att_xfer": "attended"}


class Transfer(NamedTuple):
    """An entry of `transfer_history`: its second, and the two parties. A blind one does not have the first."""

    second: int
    how: How
    source: str
    target: str


class Profile(NamedTuple):
    """A stretch of the dialplan: its destination, and the moment at which a transfer ended it (0: none did)."""

    destination: str
    transferred_at: int = 0


class Record(Struct, frozen=True, kw_only=True):
    """One channel. Moments are milliseconds; 0 is never; None and "" stand for missing values.

    - `is_originated`: the PBX dialled it, on behalf of the channel `originator` or, without one, by itself.
    - `caller`, `dialled`: the caller's number, and the number that was dialled first.
    - `profiles`: the stretches of the dialplan, the oldest first.
    - `legs`: the ids of the channels that were dialled on its behalf, and their numbers.
    - `queue_result`: the end of a caller's wait, `answered` or `cancel`.
    - `member`: the id of the waiting caller for whom a queue rang this agent.
    """

    uuid: str
    call: str
    name: str
    is_originated: bool
    started_at: int
    answered_at: int
    ended_at: int
    bridged_at: int | None = None
    rang_at: int | None = None
    context: str = ""
    originator: str = ""
    caller: str = ""
    dialled: str = ""
    login: str = ""
    user: str = ""
    gateway: str = ""
    cause: str = ""
    dial_result: str = ""
    bridged_to: str = ""
    bridged_name: str = ""
    last_app: str = ""
    queue: str = ""
    agent: str = ""
    queue_result: str = ""
    member: str = ""
    profiles: tuple[Profile, ...] = ()
    legs: tuple[tuple[str, str], ...] = ()
    transfers: tuple[Transfer, ...] = ()

    @property
    def connected_at(self) -> int:
        """The earliest moment of a talk with the far end: its answer, and its bridge if recorded. 0: never."""
        if not self.answered_at or self.bridged_at is None:
            return self.answered_at
        return max(self.answered_at, self.bridged_at) if self.bridged_at else 0


def read_record(variables: Mapping[str, str], profiles: tuple[Profile, ...] = (), context: str = "") -> Record:
    """Return the channel of these variables. Raises UnreadableError.

    The fields of a caller profile are in `variables` as `caller_id_number` and `destination_number`.
    """
    get = variables.get
    uuid = _id(_needed(variables, "uuid"))
    direction = _needed(variables, "direction")
    if direction not in _DIRECTIONS:
        raise UnreadableError("unknown_type", "`direction` is neither inbound nor outbound")
    started, ended = _moment(variables, "start_uepoch"), _moment(variables, "end_uepoch")
    answered = _moment(variables, "answer_uepoch", is_needed=False) or 0
    if not started or not ended:
        raise UnreadableError("invalid_time", "`start_uepoch` or `end_uepoch` is 0: the channel is not over")
    if ended < started or answered > ended or ended - started > LONGEST_MS:
        raise UnreadableError("invalid_time", "start, answer and end cannot be in this order")
    history = tuple(_transfers(get("transfer_history", "") or get("transfer_source", "")))
    return Record(
        uuid=uuid,
        call=_id(get("call_uuid", "") or uuid),
        name=_needed(variables, "channel_name"),
        is_originated=direction == "outbound",
        started_at=started,
        answered_at=answered,
        ended_at=ended,
        bridged_at=_moment(variables, "bridge_uepoch", is_needed=False),
        rang_at=_rang(variables),
        context=context,
        originator=get("originator", "") or get("originating_leg_uuid", ""),
        caller=get("cc_member_cid_number", "") or get("caller_id_number", "") or get("sip_from_user", ""),
        dialled=get("destination_number", "") or get("sip_to_user", "") or get("sip_req_user", ""),
        login=get("sip_auth_username", "") or get("user_name", ""),
        user=get("dialed_user", ""),
        gateway=get("sip_gateway_name", "") or get("sip_gateway", ""),
        cause=get("hangup_cause", ""),
        dial_result=get("originate_disposition", ""),
        bridged_to=get("last_bridge_to", "") or get("bridge_uuid", ""),
        bridged_name=get("bridge_channel", ""),
        last_app=get("last_app", ""),
        queue=get("cc_queue", ""),
        agent=get("cc_agent", ""),
        queue_result=get("cc_cause", ""),
        member=get("cc_member_session_uuid", ""),
        profiles=profiles,
        legs=tuple(_legs(get("originated_legs", ""))),
        transfers=history,
    )


def moment_ms(text: str) -> int:
    """Return microseconds since epoch in milliseconds; 0 stays 0. Raises ValueError."""
    if _DIGITS.fullmatch(text) is None:
        raise ValueError("is no number of microseconds since epoch")
    found = int(text) // _US
    if found and not EARLIEST_MS <= found <= LATEST_MS:
        raise ValueError("is before 2000 or after 2100; it has microseconds since epoch")
    return found


def user_of(address: str) -> str:
    """Return the user of an address such as `201@pbx.example`."""
    return address.partition("@")[0].removeprefix("sip:")


def _needed(variables: Mapping[str, str], name: str) -> str:
    found = variables.get(name, "").strip()
    if not found:
        raise UnreadableError("missing_field", f"`{name}` is missing")
    return found


def _id(text: str) -> str:
    if len(text) > LONGEST_ID or not text.isprintable():
        raise UnreadableError("invalid_field", "an id is too long, or has control characters")
    if _UNKNOWN in text:  # two ids could become one
        raise UnreadableError("not_utf8", "a byte of an id is not UTF-8")
    return text


def _moment(variables: Mapping[str, str], name: str, *, is_needed: bool = True) -> int | None:
    text = variables.get(name, "").strip()
    if not text:
        if is_needed:
            raise UnreadableError("missing_field", f"`{name}` is missing")
        return None
    try:
        return moment_ms(text)
    except ValueError as error:
        raise UnreadableError("invalid_time", f"`{name}` {error}") from None


def _rang(variables: Mapping[str, str]) -> int | None:
    said = [_moment(variables, f"{name}_uepoch", is_needed=False) for name in ("progress", "progress_media")]
    known = [at for at in said if at is not None]
    return min((at for at in known if at), default=0) if known else None


def array(text: str) -> list[str]:
    """Return the parts of a variable that may be an array: `ARRAY::one|:two`, or one part alone."""
    return text.removeprefix("ARRAY::").split("|:", _MOST_LISTED)[:_MOST_LISTED] if text else []


def _legs(text: str) -> Iterator[tuple[str, str]]:
    for part in array(text):
        uuid, _, rest = part.partition(";")
        yield uuid, rest.rpartition(";")[2]


def _transfers(text: str) -> Iterator[Transfer]:
    """Yield `SECOND:ID:bl_xfer:TARGET/CONTEXT/DIALPLAN` and `SECOND:ID:att_xfer:FROM/TO` in their order."""
    found: Iterable[list[str]] = (part.split(":", 3) for part in array(text))
    for parts in found:
        how = _HOW.get(parts[2]) if len(parts) == 4 else None  # noqa: PLR2004  the four parts of the form above
        if how is None or not (parts[0].isascii() and parts[0].isdigit() and len(parts[0]) <= 10):  # noqa: PLR2004
            continue
        first, _, rest = parts[3].partition("/")
        if how == "blind":
            yield Transfer(int(parts[0]), how, "", user_of(first))
        else:
            yield Transfer(int(parts[0]), how, user_of(first), user_of(rest))
