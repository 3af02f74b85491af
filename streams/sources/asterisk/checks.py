"""Checks of a recording against the settings: the role of each endpoint, and signs that something is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from streams.phone_numbers import has_number, is_outside_number
from streams.sources.asterisk.headers import Ami
from streams.sources.asterisk.mapping import Role
from streams.sources.asterisk.model import Channel
from streams.units import MINUTE_MS

_SHOWN_DIGITS: Final = 3
_MOST_ENDPOINTS: Final = 10_000
_CALLERS_OF_A_LINE: Final = 2


class Endpoint(Struct):
    """An endpoint, its role, the setting that decided this, and the number of its channels.

    `name` is the technology and the endpoint, shortened if it could be a telephone number.
    """

    name: str
    role: Role
    manager: str | None
    reason: str
    channels: int = 0


class RecordingChecks:
    """Watches the events and channels of one recording."""

    def __init__(self) -> None:
        self._endpoints: dict[tuple[str, str | None, str], Endpoint] = {}
        self._callers: dict[str, set[str]] = {}
        self._answered: dict[str, int] = {}
        self._long_calls = 0
        self._bridges = 0

    def event(self, ami: Ami, now: int) -> None:
        """Take an event, with header names in lower case."""
        name = ami.get("event", "").lower()
        if name.startswith("bridge"):
            self._bridges += 1
        elif name == "dialend" and ami.get("dialstatus", "").upper() == "ANSWER":
            self._answered[ami.get("destuniqueid", "")] = now
        elif name == "hangup":
            since = self._answered.pop(ami.get("uniqueid", ""), now)
            self._long_calls += now - since >= MINUTE_MS

    def channel(self, channel: Channel) -> None:
        """Take a channel at its end, after it was classified."""
        found = channel.classified
        technology = channel.name.partition("/")[0]
        name = f"{technology}/{shortened(channel.endpoint)}"
        key = f"{technology}/{channel.endpoint}", found.manager, found.reason
        if key not in self._endpoints and len(self._endpoints) >= _MOST_ENDPOINTS:
            return
        self._endpoints.setdefault(key, Endpoint(name, found.role, found.manager, found.reason)).channels += 1
        if found.reason == "internal" and channel.dialled_by is None and is_outside_number(channel.first_number):
            self._callers.setdefault(name, set()).add(channel.first_number)

    def endpoints(self) -> list[Endpoint]:
        """Return all endpoints, managers first."""
        order: Mapping[Role, int] = {"manager": 0, "trunk": 1, "outside": 2}
        return sorted(self._endpoints.values(), key=lambda one: (order[one.role], one.name, one.reason))

    def warnings(self) -> Iterator[str]:
        """Yield likely problems of the recording or of its settings."""
        if self._long_calls and not self._bridges:
            yield (
                f"{self._long_calls} calls were answered and lasted for minutes, but there is no bridge event, so they "
                "count as unanswered: the event filter of the manager account must let Bridge events through"
            )
        for name, numbers in sorted(self._callers.items()):
            if len(numbers) >= _CALLERS_OF_A_LINE:
                yield (
                    f"{name} is taken for a manager, but calls with {len(numbers)} outside numbers come from it: if it "
                    "is a line, name it in sources.asterisk.trunks (--who lists all endpoints)"
                )


def shortened(endpoint: str) -> str:
    """Return the name of an endpoint, without the middle of what could be a telephone number."""
    if not has_number(endpoint):
        return endpoint
    return f"{endpoint[:_SHOWN_DIGITS]}…{endpoint[-_SHOWN_DIGITS:]}"
