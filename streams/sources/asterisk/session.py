"""One session of the manager interface, without any input or output: the bytes to send, and the meaning of answers.

The order: greeting, login, then the clock, the version, the rights and the lists of channels and queues. Events may
come from the login on, between the answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

from streams.sources.asterisk.access import AmiAccess
from streams.sources.asterisk.translator import HANDLED
from streams.sources.asterisk.wire import UNSUPPORTED, AmiParser, BadLine
from streams.sources.live import CannotListenError

State: TypeAlias = Literal["greeting", "challenge", "login", "up"]

CLASSES: Final = "call,agent,dialplan,system"
"""The classes of events that are requested at the login. An account with more rights does not send the others."""
_USED: Final = HANDLED | {b"fullybooted"}
_USED_NAMES: Final = frozenset(name.decode() for name in _USED)
_MD5: Final = "MD5"
_PREFIX: Final = "callpulse-"
_GREETING_BYTES: Final = 512
_GREETING: Final = b"Asterisk Call Manager/"
_RETRIES: Final = 6
_LISTS: Final = ("CoreShowChannels", "QueueStatus")


class AmiError(CannotListenError):
    """The listener cannot work before an operator changes something."""


class Received(NamedTuple):
    """The result of a piece of the stream: complete events, in their order, and lines that could not be read."""

    events: list[dict[str, str]]
    bad: list[BadLine]


class AmiSession:
    """The state of one connection. It never raises but `AmiError`.

    - `state`: `up` once the login was accepted.
    - `interface`, `asterisk`: the versions, "" while they are not known (`asterisk` needs `write = reporting`).
    - `actions`: the actions that the account may use, None while that is not known.
    - `clock_ahead_ms`: the PBX's clock minus that of callpulse, None before the first answer to a ping.
    - `denied`: lists that the account may not request.
    - `pending`: lists that were requested, and are not complete.
    """

    def __init__(self, access: AmiAccess) -> None:
        self._access = access
        self._parser = AmiParser(_USED)
        self._start: bytes | None = b""
        self._output: list[bytes] = []
        self._pings: dict[str, int] = {}
        self._count = 0
        self._counts: list[int] = []
        self.state: State = "greeting"
        self.interface = ""
        self.asterisk = ""
        self.actions: frozenset[str] | None = None
        self.clock_ahead_ms: int | None = None
        self.denied: set[str] = set()
        self.pending: dict[str, str] = {}
        self._unknown: list[str] = []
        self._retries = _RETRIES
        self.said_goodbye = False

    def take_output(self) -> bytes:
        """Return the bytes to send now."""
        output, self._output = b"".join(self._output), []
        return output

    @property
    def is_up(self) -> bool:
        """True if the login was accepted."""
        return self.state == "up"

    @property
    def skipped(self) -> int:
        """The number of messages that no figure needs."""
        return self._parser.skipped

    @property
    def waits_for_ping(self) -> bool:
        """True if a ping is not answered yet."""
        return bool(self._pings)

    def ping(self, now_ms: int) -> None:
        """Send a ping, whose answer has the PBX's clock. Request again a list that a booting PBX did not have."""
        self._pings[self._send("Ping")] = now_ms
        if self._unknown and self._retries > 0:
            self._retries -= 1
            for action in self._unknown:
                self.pending[self._send(action)] = action
            self._unknown = []

    def ask_for_lists(self) -> None:
        """Request the channels and the queues, except those that the account may not read."""
        self._unknown = []
        for action in _LISTS:
            if action not in self.denied and action not in self.pending.values():
                self.pending[self._send(action)] = action

    def ask_for_counts(self) -> None:
        """Request the number of calls that the PBX has counted; `new_calls` is the difference to the first answer."""
        self._send("CoreStatus")

    @property
    def new_calls(self) -> int | None:
        """The number of calls that the PBX counted between the first and the last answer, None without two answers."""
        return self._counts[-1] - self._counts[0] if len(self._counts) > 1 else None

    def log_off(self) -> None:
        """End the session in good order."""
        self._send("Logoff")

    def receive(self, data: bytes, received_at_ms: int) -> Received:
        """Take a piece of the stream of any size. Raises AmiError."""
        received = Received([], [])
        if self._start is not None:
            self._start += data
            if not self._greeted():
                return received
            data, self._start = self._start, None
            self._begin_login()
        for read in self._parser.feed(data):
            if isinstance(read, BadLine):
                if read.reason == "unsupported":
                    raise AmiError("unsupported", UNSUPPORTED)
                received.bad.append(read)
            elif "Response" in read:
                self._response(read, received_at_ms)
            elif self.state == "up":
                self._event(read, received)
        return received

    def is_torn(self) -> bool:
        """Return whether the stream, which has ended, ended within a message."""
        return any(isinstance(read, BadLine) for read in self._parser.finish())

    # -- the login

    def _greeted(self) -> bool:
        """Return whether the greeting is complete. It is the only line that is no part of a message."""
        assert self._start is not None  # noqa: S101 - for mypy; the caller has checked it
        line, newline, _ = self._start.partition(b"\n")
        begun = line[: len(_GREETING)]
        if begun != _GREETING[: len(begun)] or len(line) > _GREETING_BYTES:
            raise AmiError(
                "wrong_server",
                f"what answers at {self._access.host}:{self._access.port} is no manager interface of Asterisk: set "
                "sources.asterisk.ami.host and port to those of manager.conf (bindaddr, port), and tls as it is there",
            )
        if newline:
            self.interface = line[len(_GREETING) :].strip().decode("utf-8", "replace")
        return bool(newline)

    def _begin_login(self) -> None:
        if self._access.login == "plain":
            self._log_in({"Secret": self._access.secret.reveal()})
        else:
            self.state = "challenge"
            self._send("Challenge", {"AuthType": _MD5})

    def _log_in(self, proof: dict[str, str]) -> None:
        self.state = "login"
        self._send("Login", {"Username": self._access.username, **proof, "Events": CLASSES})

    def _answer_challenge(self, response: dict[str, str]) -> None:
        challenge = response.get("Challenge", "")
        if response["Response"] != "Success" or not challenge:
            raise self._refused(response, 'it offers no challenge: set sources.asterisk.ami.login = "plain", with tls')
        # The interface has no other digest. It proves the secret without sending it, and protects no stored data.
        text = (challenge + self._access.secret.reveal()).encode()
        self._log_in({"AuthType": _MD5, "Key": hashlib.md5(text, usedforsecurity=False).hexdigest()})

    def _refused(self, response: dict[str, str], why: str) -> AmiError:
        message = response.get("Message", "") or "no reason given"
        user = self._access.username
        return AmiError("refused", f'the PBX refuses the login of "{user}" ({_plain(message)}): {why}')

    def _logged_in(self, response: dict[str, str], now_ms: int) -> None:
        if response["Response"] != "Success":
            in_use = "in use" in response.get("Message", "").casefold()
            raise self._refused(
                response,
                "allowmultiplelogin = no in manager.conf, and another client uses this account: give callpulse its own"
                if in_use
                else "the username or the secret is wrong, or deny and permit of this user in manager.conf keep this "
                "address out; after a change there: manager reload",
            )
        self.state = "up"
        self.ping(now_ms)
        self._send("CoreSettings")
        self._send("ListCommands")
        self.ask_for_counts()
        self.ask_for_lists()

    # -- answers and events

    def _response(self, response: dict[str, str], now_ms: int) -> None:
        if self.state == "challenge":
            self._answer_challenge(response)
        elif self.state == "login":
            self._logged_in(response, now_ms)
        else:
            self._answer(response, now_ms)

    def _answer(self, response: dict[str, str], now_ms: int) -> None:
        action_id = response.get("ActionID", "")
        if action_id in self._pings:
            sent_ms = self._pings.pop(action_id)
            # Later pings may be lost, but never earlier ones: answers come in the order of their actions.
            self._clock(response.get("Timestamp", ""), (sent_ms + now_ms) // 2)
        elif action_id in self.pending and response["Response"] == "Error":
            action = self.pending.pop(action_id)
            if "permission" in response.get("Message", "").casefold():
                self.denied.add(action)
            else:
                self._unknown.append(action)
        elif "AsteriskVersion" in response:
            self.asterisk = response["AsteriskVersion"]
        elif response.get("CoreProcessedCalls", "").isdecimal():
            self._counts.append(int(response["CoreProcessedCalls"][:18]))
        elif "Ping" in response and "Logoff" in response:
            self._rights(response)
        elif response["Response"] == "Goodbye":
            self.said_goodbye = True

    def _clock(self, timestamp: str, ours_ms: int) -> None:
        try:
            self.clock_ahead_ms = round(float(timestamp) * 1000) - ours_ms
        except (ValueError, OverflowError):
            return

    def _rights(self, commands: Iterable[str]) -> None:
        self.actions = frozenset(commands) - {"Response", "ActionID", "Message"}
        if "CoreShowChannels" not in self.actions:
            self.denied.add("CoreShowChannels")
        if "Filter" in self.actions:
            for event in ("VarSet", "RTCP"):
                self._send("Filter", {"Operation": "Add", "Filter": f"!Event: {event}"})

    def _event(self, event: dict[str, str], received: Received) -> None:
        name = event.get("Event", "")
        if name.lower() not in _USED_NAMES:
            return
        if name.endswith("Complete") and event.get("ActionID", "") in self.pending:
            del self.pending[event["ActionID"]]
        elif name == "FullyBooted":
            self.ask_for_lists()  # during its start the PBX may not have known its queues
        received.events.append(event)

    def _send(self, action: str, fields: dict[str, str] | None = None) -> str:
        self._count += 1
        action_id = f"{_PREFIX}{self._count}"
        lines = [f"Action: {action}", f"ActionID: {action_id}"]
        lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
        self._output.append(("\r\n".join(lines) + "\r\n\r\n").encode())
        return action_id


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:200]
