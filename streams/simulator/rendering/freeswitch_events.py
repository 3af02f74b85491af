"""The event socket of FreeSWITCH, framed as it is sent: the events of the channels whose records `freeswitch` has.

A channel is created, rings, is answered and bridged, and hangs up. Its last event has the variables of its record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from streams.simulator.rendering.freeswitch import Record, calls
from streams.simulator.rendering.history import History
from streams.simulator.rendering.phone_book import PhoneBook

LOGIN: Final = (
    b"Content-Type: auth/request\n\n"
    b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
    b"Content-Type: command/reply\nReply-Text: +OK event listener enabled plain\n\n"
)
"""The bytes before the events: the request to log in, and the answers to the login and the subscription."""
_CORE: Final = "5d1e7a52-0c1b-4f0e-9a35-8a4d0e2f7b11"
_ORDER: Final = (
    *("CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_ANSWER", "CHANNEL_BRIDGE", "CHANNEL_HANGUP"),
    "CHANNEL_HANGUP_COMPLETE",
)
"""The order of events of one moment."""
_QUEUE: Final = ("cc_queue", "cc_agent", "cc_member_session_uuid")
"""The variables that an agent's channel has from its beginning."""


class _Said(NamedTuple):
    """An event of a channel. `is_dialled`: the PBX made the channel, so it is created after the dialling channel."""

    at_us: int
    place: int
    is_dialled: bool
    number: int
    headers: Mapping[str, str]


def stream(history: History, book: PhoneBook) -> Iterator[bytes]:
    """Yield the events in the order in which they happen, each with its frame."""
    said = [one for channels in calls(history, book) for one in _of_call(channels)]
    for sequence, one in enumerate(sorted(said, key=lambda one: one[:4]), 1):
        about = {"Core-UUID": _CORE, "Event-Date-Timestamp": str(one.at_us), "Event-Sequence": str(sequence)}
        headers = {"Event-Name": _ORDER[one.place], **about, **one.headers}
        body = "".join(f"{name}: {quote(value, safe='/@.:-_ ')}\n" for name, value in headers.items()) + "\n"
        yield f"Content-Length: {len(body)}\nContent-Type: text/event-plain\n\n{body}".encode()


def _of_call(channels: list[Record]) -> Iterator[_Said]:
    """Yield the events of the channels of a call."""
    variables = {record.said["variables"]["uuid"]: record.said["variables"] for record in channels}
    customer = next((one for one in variables.values() if "sip_gateway_name" in one), None)
    for number, record in enumerate(channels):
        yield from _of_channel(record, number)
        held = record.said["variables"]
        asking = variables.get(held.get("originator", ""))
        if asking is None:
            continue
        if held["answer_uepoch"] != "0":
            yield _bridge(int(held["answer_uepoch"]), asking, held, number)
        if customer is not None and asking["hangup_cause"] == "ATTENDED_TRANSFER" and "last_bridge_to" in asking:
            yield _bridge(int(asking["end_uepoch"]), customer, held, number)


def _of_channel(record: Record, number: int) -> Iterator[_Said]:
    held = record.said["variables"]
    is_dialled = held["direction"] == "outbound"
    early = {f"variable_{name}": held[name] for name in _QUEUE if name in held and is_dialled}
    created, answered, ended = int(held["start_uepoch"]), int(held["answer_uepoch"]), int(held["end_uepoch"])

    flows = record.said["callflow"]
    place = {
        "Caller-Destination-Number": flows[-1]["caller_profile"]["destination_number"],
        "Caller-Context": flows[0]["caller_profile"]["context"],
    }

    def said(kind: str, at_us: int, more: Mapping[str, str]) -> _Said:
        headers = {**_about(held, at_us), **place, **more}
        return _Said(at_us, _ORDER.index(kind), is_dialled, number, headers)

    yield said("CHANNEL_CREATE", created, early)
    if is_dialled:
        yield said("CHANNEL_PROGRESS", int(held.get("progress_uepoch", created)), early)
    if answered:
        yield said("CHANNEL_ANSWER", answered, early)
    over = {"Hangup-Cause": held["hangup_cause"]}
    yield said("CHANNEL_HANGUP", ended, {**early, **over})
    everything = {f"variable_{name}": value for name, value in held.items() if name != "start_stamp"}
    yield said("CHANNEL_HANGUP_COMPLETE", ended, {**over, **everything})


def _about(held: Mapping[str, str], at_us: int) -> dict[str, str]:
    """Return the headers that all events of a channel have."""
    moments = {"Answered": held["answer_uepoch"], "Hangup": held["end_uepoch"]}
    about = {
        "Unique-ID": held["uuid"],
        "Channel-Call-UUID": held["call_uuid"],
        "Channel-Name": held["channel_name"],
        "Call-Direction": held["direction"],
        "Caller-Caller-ID-Number": held["caller_id_number"],
        "Caller-Channel-Created-Time": held["start_uepoch"],
        **{f"Caller-Channel-{name}-Time": at if int(at) <= at_us else "0" for name, at in moments.items()},
    }
    if "originator" in held:
        about |= {"Other-Type": "originator", "Other-Leg-Unique-ID": held["originator"]}
    return about


def _bridge(at_us: int, first: Mapping[str, str], second: Mapping[str, str], number: int) -> _Said:
    """Return the event of two channels that are connected, which is one of the first."""
    headers = {
        **_about(first, at_us),
        "Bridge-A-Unique-ID": first["uuid"],
        "Bridge-B-Unique-ID": second["uuid"],
        "Other-Type": "originatee",
        "Other-Leg-Unique-ID": second["uuid"],
    }
    history = first.get("transfer_history", "").removeprefix("ARRAY::").split("|:")
    before = [one for one in history if one and int(one.partition(":")[0]) * 1_000_000 <= at_us]
    if before:
        headers["variable_transfer_history"] = "ARRAY::" + "|:".join(before)
    return _Said(at_us, _ORDER.index("CHANNEL_BRIDGE"), False, number, headers)
