"""One session of the event socket, without any input or output: the bytes to send, and the meaning of answers.

The order: the request to log in, the login, the subscription, the list of channels, a ping. Events may come between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from streams.sources.freeswitch.access import EslAccess
from streams.sources.freeswitch.record import moment_ms
from streams.sources.freeswitch.wire import EslParser, Event, Frame, read_event, read_json_event
from streams.sources.live import CannotListenError

EVENTS: Final = (
    *("CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER", "CHANNEL_BRIDGE"),
    *("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "HEARTBEAT"),
)
"""The events that are requested."""
_LIST: Final = "show channels as json"
_GOODBYE: Final = "text/disconnect-notice"
_PING: Final = "strmicroepoch"
_MOST_RATE: Final = 3  # heartbeats between two lists that were requested because of a heartbeat

State: TypeAlias = Literal["greeting", "login", "up"]
Row: TypeAlias = dict[str, object]


class Listed(Struct, frozen=True):
    """The channels that the PBX has. `asked_at_ms` is the moment of the request."""

    rows: Sequence[Row]
    asked_at_ms: int


class Unread(Struct, frozen=True):
    """A message that could not be read, and the reason."""

    detail: str


Received: TypeAlias = list[Event | Listed | Unread]


class EslSession:
    """The state of one connection. It never raises.

    - `error`: the reason why no more can be read, None before an error.
    - `is_listed`: the requested list of channels has come, or is refused.
    - `denied`: the PBX gives no list of channels.
    - `lost`: events that were sent and did not come, known only with a subscription to all events.
    """

    def __init__(self, access: EslAccess) -> None:
        self._access = access
        self._parser = EslParser()
        self._output: list[bytes] = []
        self._commands: deque[str] = deque()
        self._answers: deque[tuple[str, int]] = deque()
        self._state: State = "greeting"
        self._sequence: dict[str, int] = {}
        self._since_list = 0
        self.error: CannotListenError | None = None
        self.clock_ahead_ms: int | None = None
        self.said_goodbye = False
        self.denied = False
        self.lost = 0
        self.heard = 0

    @property
    def is_up(self) -> bool:
        """True if the login was accepted."""
        return self._state == "up"

    @property
    def waits_for_ping(self) -> bool:
        """True if a ping is not answered yet."""
        return any(name == _PING for name, _ in self._answers)

    @property
    def is_listed(self) -> bool:
        """True if no list of channels is on its way."""
        return self.is_up and not self._commands and not any(name == _LIST for name, _ in self._answers)

    def take_output(self) -> bytes:
        """Return the bytes to send now."""
        output, self._output = b"".join(self._output), []
        return output

    def ping(self, now_ms: int) -> None:
        """Request the PBX's clock."""
        self._api(_PING, now_ms)

    def ask_for_channels(self, now_ms: int) -> None:
        """Request the list of channels, unless it is refused or on its way."""
        if not self.denied and not any(name == _LIST for name, _ in self._answers):
            self._since_list = 0
            self._api(_LIST, now_ms)

    def log_off(self) -> None:
        """End the session in good order."""
        self._command("exit")

    def is_torn(self) -> bool:
        """Return whether the stream, which has ended, ended within a message."""
        return self._parser.is_torn

    def receive(self, data: bytes, received_at_ms: int) -> Received:
        """Take a piece of the stream of any size. Never raises; `error` has the reason why no more can be read."""
        received: Received = []
        if self.said_goodbye or self.error is not None:
            return received
        for frame in self._parser.feed(data):
            try:
                self._take(frame, received_at_ms, received)
            except CannotListenError as error:
                self.error = error
                return received
            if frame.kind == _GOODBYE:
                self.said_goodbye = True
                return received  # later bytes have no meaning
        if self._parser.broken:
            self.error = CannotListenError("wrong_server", self._unexpected(self._parser.broken))
        return received

    def expect_channels(self, count: int, event: Event, now_ms: int) -> None:
        """Compare a heartbeat with the `count` of channels that are known. If it differs, request the list."""
        self._since_list += 1
        said = event.get("Session-Count", "")
        if said.isascii() and said.isdigit() and said != str(count) and self._since_list >= _MOST_RATE:
            self.ask_for_channels(now_ms)

    def _unexpected(self, why: str) -> str:
        if self._state != "greeting":
            return f"what the PBX sends cannot be read any more ({why}): the link is made anew"
        access = self._access
        return (
            f"what answers at {access.host}:{access.port} is no event socket of FreeSWITCH: set "
            "sources.freeswitch.esl.host and port to listen-ip and listen-port of event_socket.conf.xml"
        )

    def _take(self, frame: Frame, now_ms: int, received: Received) -> None:
        kind = frame.kind
        if kind == "text/event-plain":
            self._event(read_event(frame.body), received, now_ms)
        elif kind == "text/event-json":
            self._event(read_json_event(frame.body), received, now_ms)
        elif kind == "auth/request":
            self._log_in()
        elif kind == "command/reply":
            self._reply(frame.headers.get("Reply-Text", ""), now_ms)
        elif kind == "api/response":
            self._answer(frame.body, now_ms, received)
        elif kind == "text/rude-rejection":
            raise CannotListenError(
                "refused", "the PBX refuses this address: apply-inbound-acl in event_socket.conf.xml must let it in"
            )
        elif not kind:
            received.append(Unread("a message without Content-Type"))

    # -- the login

    def _log_in(self) -> None:
        if self._state != "greeting":
            return
        self._state = "login"
        password, user = self._access.password.reveal(), self._access.user
        self._command(f"userauth {user}:{password}" if user else f"auth {password}", "auth")

    def _reply(self, text: str, now_ms: int) -> None:
        command = self._commands.popleft() if self._commands else ""
        if self._state == "login":
            if not text.startswith("+OK"):
                raise CannotListenError(
                    "refused",
                    "the PBX refuses the password: set sources.freeswitch.esl.password to that of "
                    "event_socket.conf.xml, and after a change there: reload mod_event_socket",
                )
            self._state = "up"
            events = "ALL" if self._access.subscription == "all" else " ".join(EVENTS)
            self._command(f"event plain {events}", "event")
            self.ask_for_channels(now_ms)
            self.ping(now_ms)
        elif command == "event" and text.startswith("-ERR"):
            raise CannotListenError(
                "refused", "the PBX sends no events to this user: esl-allowed-events in the directory must name them"
            )

    # -- answers and events

    def _answer(self, body: bytes, now_ms: int, received: Received) -> None:
        name, asked_at_ms = self._answers.popleft() if self._answers else ("", now_ms)
        if name == _PING:
            try:
                self.clock_ahead_ms = moment_ms(body.strip().decode("ascii", "replace")) - (asked_at_ms + now_ms) // 2
            except ValueError:
                return
        elif name == _LIST:
            rows = _rows(body)
            if rows is None:
                self.denied = True
            else:
                received.append(Listed(rows, asked_at_ms))

    def _event(self, event: Event | None, received: Received, now_ms: int) -> None:
        if not self.is_up:
            return
        if event is None:
            received.append(Unread("an event without a name"))
            return
        self.heard += 1
        if self._access.subscription == "all":
            self._count_lost(event, now_ms)
        if event["Event-Name"] in EVENTS:
            received.append(event)

    def _count_lost(self, event: Event, now_ms: int) -> None:
        """Count missing events. The numbers are those of one core, and begin anew when it starts."""
        core, text = event.get("Core-UUID", ""), event.get("Event-Sequence", "")
        if not (text.isascii() and text.isdigit() and len(text) < 20):  # noqa: PLR2004  no 64-bit number has more
            return
        number, last = int(text), self._sequence.get(core)
        if last is not None and number > last + 1:
            self.lost += number - last - 1
            self.ask_for_channels(now_ms)
        self._sequence = {core: max(number, last or 0)}

    def _command(self, command: str, name: str = "") -> None:
        self._commands.append(name)
        self._output.append(f"{command}\n\n".encode())

    def _api(self, command: str, now_ms: int) -> None:
        self._answers.append((command, now_ms))
        self._output.append(f"api {command}\n\n".encode())


def _rows(body: bytes) -> list[Row] | None:
    """Return the rows of a list; None for a body that is no list."""
    try:
        found = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    rows = found.get("rows", [])
    if "row_count" not in found or not isinstance(rows, list):
        return None
    return [row for row in rows if isinstance(row, dict)]
