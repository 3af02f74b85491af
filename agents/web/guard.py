"""The access control of a port, by its web file: a password or a token, and the right to read the path."""

from __future__ import annotations

import binascii
import hmac
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from aiohttp import web

from agents.web.files import WatchedFile
from agents.web.form import PATHS, WebFile
from agents.web.passwords import BusyError, Passwords
from streams.settings.access import hashed

log = logging.getLogger("callpulse")

_RETRY_AFTER_S: Final = 1
_LONGEST: Final = 4096

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Basic(NamedTuple):
    """A name and a password, as a client sends them."""

    name: str
    password: str


class Guard:
    """Guards a port by the web file at `path`; without one every client may read. `setting` is the key of the file.

    Raise OSError, with the setting, for a file that cannot be used.
    """

    def __init__(self, path: str | None, setting: str, passwords: Passwords | None = None) -> None:
        self._file = None if path is None else WatchedFile(path, setting)
        self._passwords = passwords or Passwords()

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS for the port; None: plain HTTP."""
        return None if self._file is None else self._file.listening_context()

    def close(self) -> None:
        """Check no more passwords."""
        self._passwords.close()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through, or refuse it, and put the headers of the file on the answer."""
        try:
            refused = await self.refusal(request)
            answer = await handler(request) if refused is None else refused
        except web.HTTPException as error:  # such as 404
            self.add_headers(error)
            raise
        self.add_headers(answer)
        return answer

    def add_headers(self, answer: web.StreamResponse) -> None:
        """Put the headers of the file on an answer."""
        if self._file is not None:
            for name, value in self._file.current().web.http_server_config.headers.items():
                if value:
                    answer.headers[name] = value

    async def refusal(self, request: web.BaseRequest, *, open_to_all: bool = False) -> web.Response | None:
        """Return the answer to a client that may not read the path, or None.

        With `open_to_all` the path has a check of its own, so that only the names of certificates are checked here.
        """
        if self._file is None:
            return None
        file = self._file.current().web
        if not _certificate_allowed(file, request):
            return _text(403, "this certificate has none of the names that client_allowed_sans lists")
        readers = None if open_to_all else file.readers(request.path)
        if readers is None:
            return None
        try:
            name = await self._name(file, request)
        except BusyError:
            return _text(503, "too many passwords are being checked", {"Retry-After": str(_RETRY_AFTER_S)})
        if name is None:
            answer = _text(401, "a name and a password, or a token, are needed")
            if file.basic_auth_users:
                answer.headers.add("WWW-Authenticate", 'Basic realm="callpulse", charset="UTF-8"')
            if file.callpulse.bearer_tokens:
                answer.headers.add("WWW-Authenticate", 'Bearer realm="callpulse"')
            return answer
        return None if name in readers else _text(403, "this name may not read this path")

    async def _name(self, file: WebFile, request: web.BaseRequest) -> str | None:
        """Return the name whose password or token the request has, or None."""
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if not shown:
            return None
        name = None
        if scheme.lower() == "bearer":
            name = _owner(file, shown.strip())
        elif scheme.lower() == "basic" and (basic := read_basic(shown)) is not None and file.basic_auth_users:
            right = await self._passwords.is_right(file.basic_auth_users, *basic, request.remote or "")
            name = basic.name if right else None
        if name is None:
            # Without the name and the path of the request: people type passwords into the wrong field.
            path = request.path if request.path in PATHS else "another path"
            log.warning("a wrong password or token for %s from %s", path, request.remote)
        return name


def read_basic(shown: str) -> Basic | None:
    """Return the name and the password of a `Basic` header, or None where it has none."""
    if len(shown) > _LONGEST:
        return None
    try:
        name, colon, password = binascii.a2b_base64(shown.strip(), strict_mode=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return Basic(name, password) if colon else None


def _owner(file: WebFile, token: str) -> str | None:
    """Return the name that owns the token. All hashes are compared, so the time taken reveals nothing."""
    given = hashed(token).encode()
    found = None
    for name, hashes in file.callpulse.bearer_tokens.items():
        for one in hashes:
            if hmac.compare_digest(given, one.encode()):
                found = name
    return found


def _certificate_allowed(file: WebFile, request: web.BaseRequest) -> bool:
    tls = file.tls_server_config
    if tls is None or not tls.client_allowed_sans:
        return True
    shown = None if request.transport is None else request.transport.get_extra_info("peercert")
    return any(value in tls.client_allowed_sans for _, value in (shown or {}).get("subjectAltName", ()))


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers={"Cache-Control": "no-store", **(headers or {})})
