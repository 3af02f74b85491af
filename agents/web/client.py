"""The login of commands and workers at the ports of callpulse: a file in the form of promtool's `--http.config.file`.

<https://prometheus.io/docs/prometheus/latest/configuration/promtool/> defines the form; the keys that callpulse takes
are those of `ClientFile`.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from agents.web.form import VERSIONS, Versions, WebFileError, mapping, read, web_file
from streams.settings.fields import Secret, SecretForm, Text
from streams.settings.reader import Conflict, Reader


class BasicAuth(Struct, frozen=True, kw_only=True):
    """A name, and a password or the file that holds one."""

    username: Text
    password: SecretForm = Secret()
    password_file: Text | None = None

    def conflicts(self) -> Iterator[Conflict]:
        """Yield an error for each conflict between two fields."""
        if bool(self.password) == bool(self.password_file):
            yield ("password", "password_file"), "write one of password and password_file"


class Authorization(Struct, frozen=True, kw_only=True):
    """A token, or the file that holds one."""

    type: Text = "Bearer"
    credentials: SecretForm = Secret()
    credentials_file: Text | None = None

    def conflicts(self) -> Iterator[Conflict]:
        """Yield an error for each conflict between two fields."""
        if bool(self.credentials) == bool(self.credentials_file):
            yield ("credentials", "credentials_file"), "write one of credentials and credentials_file"


class ClientTls(Struct, frozen=True, kw_only=True):
    """The trusted authorities, and the client's own certificate. Names of files are relative to the client file."""

    ca_file: Text | None = None
    cert_file: Text | None = None
    key_file: Text | None = None
    server_name: Text | None = None
    insecure_skip_verify: bool = False
    min_version: Versions = "TLS12"

    def conflicts(self) -> Iterator[Conflict]:
        """Yield an error for each conflict between two fields."""
        if bool(self.cert_file) != bool(self.key_file):
            yield ("cert_file", "key_file"), "write both of cert_file and key_file"


class ClientFile(Struct, frozen=True, kw_only=True):
    """The credentials of a client, and its TLS."""

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    tls_config: ClientTls = ClientTls()


class Addressed(NamedTuple):
    """A URL without a name and a password, and the headers that identify the client."""

    url: str
    headers: dict[str, str]


class WebClient:
    """Opens sessions that log in. Without a file, a URL may hold a name and a password.

    `probe_tls` shows the same certificate as `tls`, and verifies none.
    """

    def __init__(
        self, authorization: str = "", tls: ssl.SSLContext | None = None, probe_tls: ssl.SSLContext | None = None
    ) -> None:
        self._authorization = authorization
        self._tls = tls
        self._probe_tls = probe_tls

    def session(self, timeout_s: float) -> aiohttp.ClientSession:
        """Return a session; an answer takes `timeout_s` at most."""
        connector = aiohttp.TCPConnector() if self._tls is None else aiohttp.TCPConnector(ssl=self._tls)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_s))

    def probe_session(self, timeout_s: float) -> aiohttp.ClientSession:
        """Return a session for servers of this machine that get no data: their certificates may be for other names."""
        connector = aiohttp.TCPConnector(ssl=self._probe_tls or False)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_s))

    def addressed(self, url: str) -> Addressed:
        """Return the URL and the login for it: a name in the URL takes precedence. Raise ValueError for no URL."""
        parsed = URL(url)
        headers = {"Authorization": self._authorization} if self._authorization else {}
        if parsed.user is not None:
            headers = {"Authorization": _basic(parsed.user, parsed.password or "")}
            url = str(parsed.with_user(None))
        return Addressed(url, headers)


NOBODY: Final = WebClient()


def web_client(path: str | None, setting: str = "worker.web_client") -> WebClient:
    """Return the client that a file describes. Raise OSError, with the setting, for a file that cannot be used."""
    if path is None:
        return NOBODY
    file = Path(path)
    found = read(file, setting, _client_file)
    tls = found.tls_config
    contexts = (_context(one, file, setting) for one in (tls, replace(tls, insecure_skip_verify=True)))
    return WebClient(_authorization(found, file, setting), *contexts)


def own_url(host: str, port: int, web_config: str | None) -> str:
    """Return the URL of a port of these settings. A web file that cannot be read here counts as one with TLS.

    Otherwise a password could leave this machine unencrypted.
    """
    scheme = "http"
    if web_config is not None:
        try:
            tls = web_file(Path(web_config).read_text(encoding="utf-8")).tls_server_config
            scheme = "http" if tls is None else "https"
        except (OSError, ValueError):
            scheme = "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _client_file(text: str) -> ClientFile:
    reader = Reader()
    found = reader.struct(ClientFile, mapping(text), "")
    if found is not None and found.basic_auth is not None and found.authorization is not None:
        reader.refuse("authorization", "write one of basic_auth and authorization")
    if reader.problems or found is None:
        raise WebFileError(reader.problems)
    return found


def _authorization(found: ClientFile, file: Path, setting: str) -> str:
    if found.basic_auth is not None:
        basic = found.basic_auth
        return _basic(basic.username, _secret(basic.password, basic.password_file, file, setting))
    if found.authorization is not None:
        shown = found.authorization
        return f"{shown.type} {_secret(shown.credentials, shown.credentials_file, file, setting)}"
    return ""


def _secret(given: Secret, name: str | None, file: Path, setting: str) -> str:
    if name is None:
        return given.reveal()
    path = file.parent / name
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise OSError(getattr(error, "errno", 0), f"{setting}: {file}: {path} cannot be read: {reason}") from None
    if not text.isprintable() or not text:
        raise OSError(0, f"{setting}: {file}: {path} must hold one line")
    return text


def _basic(name: str, password: str) -> str:
    return f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"


class _Context(ssl.SSLContext):
    """Verifies the name that the file gives, where it gives one, in place of that of the URL."""

    server_name: str | None = None

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        if self.server_name is not None:
            options["server_hostname"] = self.server_name
        return super().wrap_bio(*args, **options)


def _context(tls: ClientTls, file: Path, setting: str) -> ssl.SSLContext:
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = tls.server_name
    context.minimum_version = VERSIONS[tls.min_version]
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if tls.ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(file.parent / tls.ca_file)
        if tls.cert_file is not None and tls.key_file is not None:
            context.load_cert_chain(file.parent / tls.cert_file, file.parent / tls.key_file, lambda: "")
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"{setting}: {file}: a file of tls_config cannot be used: {reason}") from None
    return context
