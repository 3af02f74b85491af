"""The records of FreeSWITCH's mod_json_cdr: a JSON document for each channel, written when the channel is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from streams.contract.events import QUEUE_PREFIX, Disposition
from streams.simulator.rendering.call_script import OWN_NUMBER
from streams.simulator.rendering.history import Call, History, Leg
from streams.simulator.rendering.phone_book import NO_NUMBER, PhoneBook
from streams.units import SECOND_MS

_CAUSES: Final[Mapping[Disposition, str]] = MappingProxyType(
    {"busy": "USER_BUSY", "canceled": "ORIGINATOR_CANCEL", "failed": "NORMAL_TEMPORARY_FAILURE"}
)
_CLEAR: Final = "NORMAL_CLEARING"
_TRANSFERS: Final = MappingProxyType({"blind": "BLIND_TRANSFER", "attended": "ATTENDED_TRANSFER"})
_TRUNK: Final = "trunk"


class Record(NamedTuple):
    """A record: when it is written, in milliseconds, and its document."""

    at_ms: int
    said: dict[str, Any]


def records(history: History, book: PhoneBook) -> Iterator[Record]:
    """Yield the records in the order in which channels end."""
    made = (record for channels in calls(history, book) for record in channels)
    yield from sorted(made, key=lambda record: record.at_ms)


def calls(history: History, book: PhoneBook) -> Iterator[list[Record]]:
    """Yield the records of each call. The customer's is the last one; a call between colleagues has none."""
    for call in history.calls:
        yield list(_Script(call, book).run())


def lines(history: History, book: PhoneBook) -> Iterator[bytes]:
    """Yield a line for each record: its document."""
    for record in records(history, book):
        yield msgspec.json.encode(record.said) + b"\n"


class _Script:
    """The channels of one call. The customer's channel is there from the first leg to the last."""

    def __init__(self, call: Call, book: PhoneBook) -> None:
        self._call = call
        self._book = book
        self._first = call[0]
        self._id = f"c{self._first.call}"
        lead = self._first.lead
        self._number = NO_NUMBER if lead is None else book.number(lead)
        self._is_out = self._first.direction == "outbound"
        # A call has the id of its first channel: that of the customer, or of the telephone that dialled.
        self._customer = f"{self._id}-customer" if self._is_out else self._id

    def run(self) -> Iterator[Record]:
        if self._first.internal:
            yield from self._inside()
            return
        before: Leg | None = None
        for number, leg in enumerate(self._call):
            if before is not None and before.how == "attended" and leg.answered_at is not None:
                yield self._asking(before, leg, number)
                yield self._asked(before, leg, number)
            elif not leg.manager.startswith(QUEUE_PREFIX):
                yield self._telephone(leg, number)
            before = leg if leg.transfer_at is not None else None
        yield self._of_customer()

    def _telephone(self, leg: Leg, number: int) -> Record:
        """Return the channel of the telephone that dialled, or that was rung."""
        is_dialling = self._is_out and number == 0
        exten = self._book.extensions[leg.manager]
        cause = _TRANSFERS[leg.how] if leg.transfer_at is not None else _cause(leg)
        said = {
            **self._about(self._id if is_dialling else f"{self._id}-{number}", f"sofia/internal/{exten}@pbx.example"),
            **_moments(leg.started_at, leg.answered_at, _end(leg)),
            "hangup_cause": cause,
            "bridge_channel": f"sofia/external/{self._number}@{_TRUNK}",
        }
        if is_dialling:
            said |= {"direction": "inbound", "sip_auth_username": exten, "caller_id_number": exten}
            said |= {"destination_number": self._number, "originated_legs": f"{self._customer};x;{self._number}"}
            said["originate_disposition"] = "SUCCESS" if leg.answered_at is not None else cause
            return _record(_end(leg), said, "default", self._number)
        said |= {"direction": "outbound", "dialed_user": exten, "originator": self._customer}
        said |= {"caller_id_number": self._number, "progress_uepoch": _us(leg.started_at)}
        if leg.queue:
            queue = {"cc_queue": f"{leg.queue}@default", "cc_member_session_uuid": self._customer}
            said |= {**queue, "cc_agent": f"{exten}@pbx.example", "call_uuid": self._id}
        return _record(_end(leg), said, "default", exten)

    def _asking(self, leg: Leg, then: Leg, number: int) -> Record:
        """Return the channel by which a manager consults a colleague, until the colleague has the customer."""
        mine, other = self._book.extensions[leg.manager], self._book.extensions[then.manager]
        at = leg.transfer_at or 0
        said = {
            **self._about(
                f"{self._id}-asking-{number}", f"sofia/internal/{mine}@pbx.example", f"{self._id}-asking-{number}"
            ),
            **_moments(then.started_at, then.answered_at, at),
            "direction": "inbound",
            "sip_auth_username": mine,
            "caller_id_number": mine,
            "destination_number": other,
            "hangup_cause": _TRANSFERS["attended"],
            "originate_disposition": "SUCCESS",
            "last_bridge_to": f"{self._id}-asked-{number}",
            "bridge_channel": f"sofia/internal/{other}@pbx.example",
        }
        return _record(at, said, "default", other)

    def _asked(self, leg: Leg, then: Leg, number: int) -> Record:
        """Return the channel of the colleague, who has the customer after the talk with the manager."""
        mine, other = self._book.extensions[leg.manager], self._book.extensions[then.manager]
        asking = f"{self._id}-asking-{number}"
        said = {
            **self._about(f"{self._id}-asked-{number}", f"sofia/internal/{other}@pbx.example", asking),
            **_moments(then.started_at, then.answered_at, _end(then)),
            "direction": "outbound",
            "dialed_user": other,
            "originator": asking,
            "caller_id_number": mine,
            "progress_uepoch": _us(then.started_at),
            "hangup_cause": _CLEAR,
        }
        return _record(_end(then), said, "default", other)

    def _inside(self) -> Iterator[Record]:
        leg, then = self._call[0], self._call[1]
        mine, other = self._book.extensions[leg.manager], self._book.extensions[then.manager]
        numbers = {"caller_id_number": mine, "destination_number": other}
        common = {**_moments(leg.started_at, leg.answered_at, leg.ended_at), **numbers, "hangup_cause": _cause(leg)}
        dialling = {"direction": "inbound", "sip_auth_username": mine, "originate_disposition": _cause(leg)}
        bridged = {"bridge_channel": f"sofia/internal/{other}@pbx.example", "last_bridge_to": f"{self._id}-1"}
        first = self._about(self._id, f"sofia/internal/{mine}@pbx.example")
        yield _record(leg.ended_at, {**first, **common, **dialling, **bridged}, "default", other)
        second = self._about(f"{self._id}-1", f"sofia/internal/{other}@pbx.example")
        rung = {"direction": "outbound", "dialed_user": other, "originator": self._id}
        rung["progress_uepoch"] = _us(leg.started_at)
        yield _record(leg.ended_at, {**second, **common, **rung}, "default", other)

    def _of_customer(self) -> Record:
        first, answered = self._first, [leg for leg in self._call if leg.answered_at is not None]
        ended_at = max(map(_end, self._call))
        answered_at = answered[0].answered_at if answered else None
        said = {
            **self._about(self._customer, f"sofia/external/{self._number}@{_TRUNK}"),
            **_moments(first.started_at, answered_at, ended_at),
            "hangup_cause": _CLEAR if answered else _cause(first),
            "sip_gateway_name": _TRUNK,
        }
        history, flows = self._transfers()
        if history:
            said["transfer_history"] = f"ARRAY::{'|:'.join(history)}"
        if self._is_out:
            said |= {"direction": "outbound", "originator": self._id, "caller_id_number": OWN_NUMBER}
            return _record(ended_at, {**said, "destination_number": self._number}, "default", self._number, flows)
        queue = first.manager.removeprefix(QUEUE_PREFIX) if first.manager.startswith(QUEUE_PREFIX) else first.queue
        dialled = OWN_NUMBER if queue else self._book.extensions[first.manager]
        said |= {"direction": "inbound", "caller_id_number": self._number, "destination_number": dialled}
        if queue:
            said |= {"cc_queue": f"{queue}@default", "cc_cause": "answered" if answered else "cancel"}
            if answered:
                said["cc_agent"] = f"{self._book.extensions[first.manager]}@pbx.example"
        return _record(ended_at, said, "public", dialled, flows)

    def _transfers(self) -> tuple[list[str], list[dict[str, Any]]]:
        """Return the transfers, and the stretches of the dialplan that blind ones ended, the newest first."""
        history, flows = list[str](), list[dict[str, Any]]()
        for place, leg in enumerate(self._call):
            if leg.transfer_at is None:
                continue
            target = self._book.extensions[self._call[place + 1].manager]
            if leg.how == "blind":
                way, flow = f"bl_xfer:{target}/default/XML", {"times": {"transfer_time": _us(leg.transfer_at)}}
                flows.insert(0, {**flow, "caller_profile": {"destination_number": self._book.extensions[leg.manager]}})
            else:
                mine = self._book.extensions[leg.manager]
                way = f"att_xfer:{mine}@pbx.example/{target}@pbx.example"
            history.append(f"{leg.transfer_at // SECOND_MS}:{self._id}-{place}:{way}")
        return history, flows

    def _about(self, uuid: str, name: str, call: str = "") -> dict[str, str]:
        return {"uuid": uuid, "call_uuid": call or self._id, "channel_name": name}


def _record(
    at_ms: int, said: dict[str, str], context: str, destination: str, flows: list[dict[str, Any]] | None = None
) -> Record:
    profile = {"context": context, "caller_id_number": said["caller_id_number"], "destination_number": destination}
    now = {"caller_profile": profile, "times": {"transfer_time": "0"}}
    stamp = {"start_stamp": "1970-01-01 00:00:00"}  # records have it, but no adapter reads it
    return Record(at_ms, {"variables": {**said, **stamp}, "callflow": [now, *(flows or ())]})


def _moments(started_at: int, answered_at: int | None, ended_at: int) -> dict[str, str]:
    answered = "0" if answered_at is None else _us(answered_at)
    return {
        "start_uepoch": _us(started_at),
        "answer_uepoch": answered,
        "bridge_uepoch": answered,
        "end_uepoch": _us(ended_at),
    }


def _cause(leg: Leg) -> str:
    return _CLEAR if leg.answered_at is not None else _CAUSES.get(leg.disposition, "NO_ANSWER")


def _end(leg: Leg) -> int:
    return leg.ended_at if leg.transfer_at is None else leg.transfer_at


def _us(at_ms: int) -> str:
    return str(at_ms * 1000)
