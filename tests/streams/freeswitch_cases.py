"""The story of FreeSWITCH: its settings, its deliveries, and the resulting legs, by the plainest reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from streams.contract.events import CallEnded, CallTransferred, Event
from streams.phone_numbers import lead_key
from streams.settings.access import hashed
from streams.settings.settings import Secret, Settings, load
from streams.sources.frame import KeptStatement, Refused, Request, Statement
from streams.sources.freeswitch.access import EslAccess
from streams.sources.freeswitch.hook import parties_of
from streams.sources.freeswitch.joins import FreeSwitchJoin
from streams.sources.freeswitch.mapping import FreeSwitchMapping
from streams.sources.freeswitch.parties import Parties
from streams.sources.freeswitch.session import EslSession, Listed, Unread
from streams.sources.freeswitch.translator import FreeSwitch
from streams.sources.registry import SOURCES

FIXTURES: Final = Path(__file__).parents[1] / "fixtures/sources"
CDR: Final = FIXTURES / "storyA/freeswitch_json_cdr"
ESL: Final = FIXTURES / "storyA/freeswitch_esl"
BAD_CDR: Final = FIXTURES / "bad/freeswitch_json_cdr"
BAD_ESL: Final = FIXTURES / "bad/freeswitch_esl"
SECRET: Final = "fixture-lead-secret-A-3461527012cb"  # noqa: S105 - of the fixtures
TOKEN: Final = "a-token-of-the-tests"  # noqa: S105 - it protects nothing
NUMBERS: Final = ("4950000", "8120000", "8430000")
"""A part of every customer's number of the story."""
RANKS: Final = {"timeout": 0, "cdr": 1, "hangup": 2}
SETTINGS: Final = f"""
[gateway]
http_port = 0
[privacy]
lead_secret = "{SECRET}"
region = "RU"
[thresholds]
retry_horizon = "24h"
[[managers]]
id = "vera.lisina"
identities = {{ extension = "201" }}
[[managers]]
id = "gleb.ostrov"
identities = {{ extension = "202" }}
[[managers]]
id = "rimma.zueva"
identities = {{ extension = "203" }}
[sources.freeswitch]
tokens = ["{hashed(TOKEN)}"]
"""


@lru_cache
def settings(basic_auth: str = "", more: str = "") -> Settings:
    """Return the settings of the story; `basic_auth` is the login of the PBX."""
    return load(text(basic_auth, more), {}, SOURCES)


def text(basic_auth: str = "", more: str = "") -> str:
    """Return the settings of the story as a file."""
    username, _, password = basic_auth.partition(":")
    shown = f'username = "{username}"\npassword = "{password}"\n' if password else ""
    return SETTINGS + shown + more


@lru_cache
def parties() -> Parties:
    """Return the people of the story."""
    found = settings()
    return parties_of(found, found.source(FreeSwitchMapping))


def decoded(path: Path) -> Any:
    """Return a JSON file."""
    return msgspec.json.decode(path.read_bytes())


def deliveries(variant: str) -> list[dict[str, Any]]:
    """Return the requests of one rendering: raw, form or base64."""
    return [one for one in decoded(CDR / "deliveries.json") if one["file"].startswith(f"deliveries-{variant}/")]


def request(path: Path, received_at_ms: int = 0) -> Request:
    """Return a request from its exact bytes."""
    head, _, body = path.read_bytes().partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    query = target.partition("?")[2]
    url = "https://callpulse.example" + target
    return Request(method=method, url=url, query=query, headers=headers, body=body, received_at_ms=received_at_ms)


def pieces(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Cut bytes into pieces of these sizes, again and again."""
    place = number = 0
    while place < len(data):
        size = sizes[number % len(sizes)]
        yield data[place : place + size]
        place, number = place + size, number + 1


def joined(statements: Iterable[Statement]) -> list[Event]:
    """Return the join of the statements."""
    by_call: dict[str, list[KeptStatement]] = {}
    for said in statements:
        by_call.setdefault(said.call, []).append(KeptStatement(0, said.body))
    return [event for kept in by_call.values() for event in FreeSwitchJoin().join(kept, 0).events]


class Played:
    """The events of a stream of the event socket, over several connections."""

    def __init__(self, translator: FreeSwitch | None = None) -> None:
        self.translator = translator or FreeSwitch(parties())
        self.events: list[Event] = []
        self.refused: list[Refused] = []
        self.ignored = 0
        self.now_ms = 1_794_895_326_240

    def connection(self, data: bytes, sizes: Sequence[int] = (65_536,), *, times: int = 1) -> EslSession:
        """Play one connection; each message comes `times` times. The clock of the PBX counts."""
        self.translator.begin_connection()
        session = EslSession(EslAccess(host="pbx.example", password=Secret("ClueCon-of-the-tests")))
        for piece in pieces(data, sizes):
            for one in session.receive(piece, self.now_ms):
                for _ in range(times):
                    self._take(one)
        session.take_output()
        return session

    def _take(self, one: Any) -> None:
        if isinstance(one, Listed):
            self.now_ms += 60_000
            one = Listed(one.rows, self.now_ms)
        elif not isinstance(one, Unread) and (at := one.get("Event-Date-Timestamp", "")).isdigit():
            self.now_ms = max(self.now_ms, int(at) // 1000)
        translation = self.translator.take(one, self.now_ms)
        self.events += translation.events + self.translator.settle(self.now_ms - 3_000)
        self.refused += translation.refused
        self.ignored += translation.ignored


def legs(events: Iterable[Event]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the legs as they count: each id once, and of several ends the most reliable one."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for event in {event.id: event for event in reversed(list(events))}.values():
        if isinstance(event, CallTransferred):
            leg = found.setdefault((event.call, event.manager), {})
            leg |= {"transferred_to": event.to_manager, "how": event.how}
        elif isinstance(event, CallEnded):
            leg = found.setdefault((event.call, event.manager), {})
            if RANKS[event.ended_by] >= RANKS.get(leg.get("ended_by", ""), -1):
                leg |= {
                    "started_ms": event.started_at,
                    "answered_ms": event.answered_at,
                    "ended_ms": event.at,
                    "talk_s": event.talk_ms / 1000,
                    "disposition": event.disposition,
                    "direction": event.direction,
                    "lead": event.lead,
                    "ended_by": event.ended_by,
                }
    return found


def differences(events: Iterable[Event], expected: dict[str, Any], *, slack_ms: int = 0) -> list[str]:
    """Return the differences from the expectation. With `slack_ms`, moments and talk may differ by as much."""
    found = legs(events)
    wanted = {(leg["source_call"], leg["manager"]): leg for leg in expected["legs"]}
    said = [f"{leg} is too much" for leg in found.keys() - wanted.keys()]
    for key, leg in wanted.items():
        made = found.get(key)
        if made is None:
            said.append(f"{key} is missing")
            continue
        lead = leg["lead"] and lead_key(leg["lead"], SECRET.encode())
        exact = {name: leg[name] for name in ("disposition", "direction", "ended_by", "transferred_to", "how")}
        if slack_ms:
            del exact["ended_by"]
        for name, value in {**exact, "lead": lead}.items():
            if made.get(name) != value:
                said.append(f"{key} has {name} {made.get(name)}, not {value}")
        for name, unit in (("started_ms", 1), ("answered_ms", 1), ("ended_ms", 1), ("talk_s", 1000)):
            value = leg[name]
            if name in ("ended_ms", "talk_s") and value is None:
                continue  # the end is not known: the fields of a timeout do not count
            if (made[name] is None) != (value is None) or (value and abs(made[name] - value) * unit > slack_ms + 0.5):
                said.append(f"{key} has {name} {made[name]}, not {value}")
    return said
