"""The portal's REST interface: several calls in one request (`batch`), and the meanings of its errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from streams.sources.polls import Ask, Asking, DeniedError, Pause, PollError, Response, Verdict, ask

PAGE: Final = 50
"""Rows of a page, and commands of a batch."""
_LIMITS: Final = ("QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT")
_DENIED: Final = (
    *("expired_token", "invalid_token", "NO_AUTH_FOUND", "INVALID_CREDENTIALS", "insufficient_scope"),
    *("ACCESS_DENIED", "USER_ACCESS_ERROR", "ERROR_METHOD_NOT_FOUND"),
)
_CODE: Final = re.compile(r"[A-Za-z_]{3,40}")
_MOST_TRIES: Final = 20
_FIRST_PAUSE_S: Final = 2.0
_OPERATING_S: Final = 400.0  # of the 480 within ten minutes after which the portal refuses the method
_OPERATING_PAUSE_S: Final = 60.0

Param: TypeAlias = "str | int | Sequence[str | int] | Mapping[str, Param]"


class Command(NamedTuple):
    """A call of a method."""

    method: str
    params: Mapping[str, Param]


class Failure(Struct, frozen=True):
    """The error of a command of a batch."""

    error: int | str = ""


class Timing(Struct, frozen=True):
    """The seconds of the portal's time that a method has used within ten minutes."""

    operating: float = 0.0


class _Results(Struct, frozen=True):
    # PHP writes an empty table as an empty list.
    result: dict[str, Raw] | list[Raw] = {}
    result_error: dict[str, Failure] | list[Failure] = {}
    result_time: dict[str, Timing] | list[Timing] = {}


class _Answer(Struct, frozen=True):
    result: _Results


class _Error(Struct, frozen=True):
    error: int | str = ""


def batch(commands: Mapping[str, Command]) -> Asking[dict[str, Raw]]:
    """Call several methods in as few requests as possible; return their results by the same names.

    Raises:
        PollError: a method failed.
    """
    found: dict[str, Raw] = {}
    waiting = dict(commands)
    for number in range(_MOST_TRIES):
        part = dict(list(waiting.items())[:PAGE])
        if not part:
            return found
        lines = {name: f"{one.method}?{query(one.params)}" for name, one in part.items()}
        response = yield from ask(Ask(method="POST", path="batch.json", json={"halt": 0, "cmd": lines}))
        said = response.json(_Answer).result
        failed = said.result_error if isinstance(said.result_error, dict) else {}
        results = said.result if isinstance(said.result, dict) else {}
        found |= {name: raw for name, raw in results.items() if name in part and name not in failed}
        limited = {name for name, one in failed.items() if str(one.error) in _LIMITS}
        for name in failed.keys() - limited:
            if name in part:
                raise _failed(part[name].method, str(failed[name].error))
        if not limited and any(name not in found for name in part):
            raise PollError("the portal left a method of a batch unanswered")
        waiting = {name: one for name, one in waiting.items() if name not in found}
        if limited:
            yield Pause(_FIRST_PAUSE_S * (number + 1))
        elif isinstance(said.result_time, dict) and _is_near(said.result_time):
            yield Pause(_OPERATING_PAUSE_S)
    if waiting:
        raise PollError("the portal's limits let too few methods through")
    return found


def verdict(response: Response) -> Verdict | None:
    """Return the meaning of an error of the portal; None where its status alone decides."""
    if response.status < 400:  # noqa: PLR2004 - no error
        return None
    try:
        code = str(msgspec.json.decode(response.body, type=_Error).error)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if code in _LIMITS:
        return Verdict("wait")
    if code in _DENIED or response.status in (401, 402, 403):
        return Verdict("denied", why=f"the webhook is not valid, lacks a right, or the plan has no REST{_shown(code)}")
    return Verdict("broken", why=f"the portal answers {response.status}{_shown(code)}") if _shown(code) else None


def _shown(code: str) -> str:
    return f" ({code})" if _CODE.fullmatch(code) else ""


def query(params: Mapping[str, Param]) -> str:
    """Return parameters in PHP's notation: `filter[>ID]=5&select[0]=ID`."""
    return "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in _flat(params))


def _flat(params: Mapping[str, Param], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in params.items():
        name = f"{prefix}[{key}]" if prefix else key
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        elif isinstance(value, str | int):
            yield name, str(value)
        else:
            yield from ((f"{name}[{place}]", str(one)) for place, one in enumerate(value))


def _is_near(times: Mapping[str, Timing]) -> bool:
    return any(one.operating > _OPERATING_S for one in times.values())


def _failed(method: str, code: str) -> PollError:
    shown = code if _CODE.fullmatch(code) else "an error"
    if code in _DENIED:
        return DeniedError(f"the webhook lacks the right to call {method} ({shown})")
    return PollError(f"{method} fails ({shown})")
