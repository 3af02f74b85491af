"""Reads a web file and the certificates it names, and reads them again once they have changed on disk."""

from __future__ import annotations

import logging
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from agents.web.form import CIPHERS, VERSIONS, Tls, WebFile, read, web_file

log = logging.getLogger("callpulse")

_LOOK_EVERY_S: Final = 1.0
Stamps = tuple[tuple[int, int, int] | None, ...]


class Loaded(NamedTuple):
    """A web file and the TLS that it describes; None: plain HTTP."""

    web: WebFile
    tls: ssl.SSLContext | None


class WatchedFile:
    """A web file on disk. `setting` is the key that names it, for errors.

    Raise OSError, with the setting, for a file that cannot be used at the start. A file that becomes unusable later
    has no effect but an error in the log: the last usable one holds.
    """

    def __init__(self, path: str, setting: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(path)
        self._setting = setting
        self._clock = clock
        self._looked = clock()
        self._named: tuple[str, ...] = ()
        self._stamps = self._now()
        self._loaded = self._read()
        self.has_tls = self._loaded.tls is not None

    def current(self) -> Loaded:
        """Return the file that holds now. The disk is checked once a second at most."""
        now = self._clock()
        if now - self._looked >= _LOOK_EVERY_S:
            self._looked = now
            stamps = self._now()
            if stamps != self._stamps:
                self._stamps = stamps
                self._reload()
        return self._loaded

    def listening_context(self) -> ssl.SSLContext | None:
        """Return the TLS for a port; every new connection uses the file that holds at that moment."""
        return _Current(self) if self.has_tls else None

    def _reload(self) -> None:
        try:
            loaded = self._read()
        except OSError as error:
            log.error("%s; what it said before holds", error.strerror)  # noqa: TRY400 - the text is complete
            return
        if (loaded.tls is not None) != self.has_tls:
            log.error("%s begins or ends TLS, which takes a restart; what it said before holds", self._setting)
            return
        self._loaded = loaded
        log.info("%s has changed and is read again", self._setting)

    def _read(self) -> Loaded:
        web = read(self._path, self._setting, web_file)
        # It may name other files now. Those that are not there yet are looked for, too.
        tls = web.tls_server_config
        names = () if tls is None else (tls.cert_file, tls.key_file, tls.client_ca_file)
        self._named = tuple(name for name in names if name)
        self._stamps = (self._stamps[0], *self._now()[1:])
        return _with_tls(web, self._path, self._setting)

    def _now(self) -> Stamps:
        return tuple(map(_stamp, (self._path, *(self._path.parent / name for name in self._named))))


class _Current(ssl.SSLContext):
    """Wraps each new connection in the present context: all of TLS may change without a restart."""

    def __new__(cls, watched: WatchedFile) -> Self:
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made.watched = watched
        return made

    watched: WatchedFile

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        context = self.watched.current().tls
        assert context is not None  # noqa: S101 - TLS does not end while the process runs
        return context.wrap_bio(*args, **options)


def loaded(path: Path, setting: str) -> Loaded:
    """Return a web file with its TLS. Raise OSError, with the setting, for a file that cannot be used."""
    return _with_tls(read(path, setting, web_file), path, setting)


def _with_tls(web: WebFile, path: Path, setting: str) -> Loaded:
    tls = web.tls_server_config
    return Loaded(web, None if tls is None else _context(tls, path, setting))


def _context(tls: Tls, path: Path, setting: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[tls.min_version]
    context.maximum_version = VERSIONS[tls.max_version]
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    folder = path.parent
    try:
        # Without a password a key that has one would ask at the terminal.
        context.load_cert_chain(folder / tls.cert_file, folder / tls.key_file, lambda: "")
    except (OSError, ssl.SSLError) as error:
        named = f"cert_file {folder / tls.cert_file} and key_file {folder / tls.key_file}"
        raise OSError(error.errno, f"{setting}: {path}: {named} cannot be used: {_said(error)}") from None
    if tls.client_ca_file is not None:
        try:
            context.load_verify_locations(folder / tls.client_ca_file)
        except (OSError, ssl.SSLError) as error:
            named = f"client_ca_file {folder / tls.client_ca_file}"
            raise OSError(error.errno, f"{setting}: {path}: {named} cannot be used: {_said(error)}") from None
        only = tls.client_auth_type == "RequireAndVerifyClientCert"
        context.verify_mode = ssl.CERT_REQUIRED if only else ssl.CERT_OPTIONAL
    if tls.cipher_suites:
        context.set_ciphers(":".join(CIPHERS[name] for name in tls.cipher_suites))
    return context


def _said(error: OSError | ssl.SSLError) -> str:
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    if isinstance(error, ssl.SSLError):
        return (
            "no certificate and key in PEM, or a key with a password"
            if reason is None or "PEM" in str(reason)
            else str(reason)
        )
    return error.strerror or str(error)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a hot path: `Path.stat` takes twice as long
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
