"""The form of a web file: that of Prometheus' exporter toolkit, and the table `callpulse` of callpulse's own keys.

<https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md> defines the first four tables.
A value that may be a secret is never quoted in an error.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from msgspec import Struct

from agents.web.paths import ATTENTION, HEALTHY, INDEX, METRICS, OPENAPI, READY
from streams.settings.access import TokenHash
from streams.settings.fields import Identifier, Text
from streams.settings.reader import Conflict, Parse, Problem, Reader, did_you_mean, kind_of

T = TypeVar("T")
ANYONE: Final = "anyone"
PROBES: Final = (HEALTHY, READY)
PATHS: Final = (INDEX, METRICS, ATTENTION, HEALTHY, READY, OPENAPI)
"""The paths that rules can name. `/` is the index, and every path without a rule of its own."""
_DEAREST: Final = 16
VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
# Of the last character of a salt, bcrypt uses two bits, and refuses each that has more.
_HASH: Final = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
CIPHERS: Final[Mapping[str, str]] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""Suites of TLS 1.2 by the names of Go, with those of OpenSSL."""
_UNVERIFIED: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_NOT_TAKEN: Final[Mapping[str, Mapping[str, str]]] = {
    "": {"rate_limit": "the ports of callpulse have limits of their own; leave it out"},
    "tls_server_config": {
        "cert": "write the certificate to a file, and name that in cert_file",
        "key": "write the key to a file, and name that in key_file",
        "client_ca": "write the certificate to a file, and name that in client_ca_file",
        "curve_preferences": "the curves are those of OpenSSL; leave it out",
    },
}
"""Keys of the toolkit that callpulse does not take, by table."""


def _bcrypt_hash(value: object) -> str:
    found = _HASH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is no bcrypt hash; `htpasswd -nBC 10 NAME` prints one, which begins with $2y$10$")
    if not 4 <= int(found[1]) <= _DEAREST:  # noqa: PLR2004 - bcrypt's own least cost
        raise ValueError(f"costs too much: each password would take seconds; hash it at a cost from 4 to {_DEAREST}")
    return found[0]


def _version(value: object) -> str:
    if value in ("TLS10", "TLS11"):
        raise ValueError("TLS12 or TLS13 is needed: TLS 1.0 and 1.1 are not secure")
    return _one_of(value, ("TLS12", "TLS13"))


def _client_auth(value: object) -> str:
    if value in _UNVERIFIED:
        raise ValueError(
            "asks for certificates without verifying them; write VerifyClientCertIfGiven or RequireAndVerifyClientCert"
        )
    return _one_of(value, ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"))


def _cipher(value: object) -> str:
    return _one_of(value, CIPHERS)


def _headers(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    for name, text in value.items():
        _one_of(name, _HEADERS)
        if not isinstance(text, str) or not text.isprintable():
            raise ValueError(f"{name} is no text")
        if (allowed := _HEADERS[name]) and text not in allowed:
            raise ValueError(f"{name} is one of {', '.join(allowed)}")
    return value


def _one_of(value: object, known: Collection[str]) -> str:
    if value not in known:
        raise ValueError(f"is none of {', '.join(known)}{did_you_mean(str(value), known)}")
    return str(value)


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Versions: TypeAlias = Annotated[Literal["TLS12", "TLS13"], Parse(_version)]
ClientAuth: TypeAlias = Annotated[
    Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"], Parse(_client_auth)
]
PasswordHash: TypeAlias = Annotated[str, Parse(_bcrypt_hash)]
TokenHashes: TypeAlias = Annotated[tuple[TokenHash, ...], Parse(_several)]
Names: TypeAlias = Annotated[tuple[Identifier, ...], Parse(_several)]


class Tls(Struct, frozen=True, kw_only=True):
    """The certificate of the port, and the requirements on clients. Names of files are relative to the web file."""

    cert_file: Text
    key_file: Text
    client_auth_type: ClientAuth = "NoClientCert"
    client_ca_file: Text | None = None
    client_allowed_sans: tuple[Text, ...] = ()
    min_version: Versions = "TLS12"
    max_version: Versions = "TLS13"
    cipher_suites: tuple[Annotated[str, Parse(_cipher)], ...] = ()
    prefer_server_cipher_suites: bool = True

    def conflicts(self) -> Iterator[Conflict]:
        """Yield an error for each conflict between two fields."""
        if self.min_version > self.max_version:
            yield ("min_version", "max_version"), "is newer than max_version"
        asks = self.client_auth_type != "NoClientCert"
        if asks and self.client_ca_file is None:
            yield ("client_ca_file", "client_auth_type"), f"is needed with {self.client_auth_type}"
        if self.client_ca_file is not None and not asks:
            yield ("client_auth_type", "client_ca_file"), "is needed with client_ca_file: RequireAndVerifyClientCert"
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            yield ("client_allowed_sans", "client_auth_type"), "needs client_auth_type RequireAndVerifyClientCert"


class Http(Struct, frozen=True, kw_only=True):
    """Headers of each answer. `http2` is read and has no effect: the ports speak HTTP/1.1."""

    http2: bool = True
    headers: Annotated[Mapping[str, str], Parse(_headers)] = MappingProxyType({})


class Extension(Struct, frozen=True, kw_only=True):
    """The keys of callpulse itself: hashes of bearer tokens by name, and the names that may read each path."""

    bearer_tokens: Mapping[str, TokenHashes] = MappingProxyType({})
    access: Mapping[str, Names] = MappingProxyType({})


class WebFile(Struct, frozen=True, kw_only=True):
    """A web file. `basic_auth_users` has hashes of passwords by name."""

    tls_server_config: Tls | None = None
    http_server_config: Http = Http()
    basic_auth_users: Mapping[str, PasswordHash] = MappingProxyType({})
    callpulse: Extension = Extension()

    @property
    def names(self) -> frozenset[str]:
        """The names that can log in."""
        return frozenset((*self.basic_auth_users, *self.callpulse.bearer_tokens))

    def readers(self, path: str) -> frozenset[str] | None:
        """Return the names that may read a path; None: every client, without a password or a token.

        `path` is decoded. The probes of a supervisor are open unless a rule names them.
        """
        if not self.names:
            return None
        rules = self.callpulse.access
        rule = rules.get(path)
        if rule is None:
            if path in PROBES:
                return None
            rule = rules.get(INDEX)
        if rule is None:
            return self.names
        return None if rule == (ANYONE,) else frozenset(rule)


class WebFileError(ValueError):
    """A web file cannot be used. The text has a line for each error."""

    def __init__(self, problems: Collection[Problem]) -> None:
        super().__init__("\n".join(f"  {problem}" for problem in problems))


def mapping(text: str) -> Mapping[str, Any]:
    """Return the table that is written in YAML. Raise WebFileError where there is none, without a quote of the text."""
    from agents.web import yaml_tables  # noqa: PLC0415 - most installations have no such file

    try:
        held = yaml_tables.load(text)
    except RecursionError:
        raise WebFileError([Problem("", "the file is nested too deeply")]) from None
    except Exception as error:  # noqa: BLE001 - PyYAML has no class of its own for a value that cannot be converted
        said = str(error) if isinstance(error, yaml_tables.KeyProblemError) else "the file is not YAML"
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise WebFileError([Problem("", f"{said}{place}")]) from None
    if held is None:
        return {}
    if not isinstance(held, dict):
        raise WebFileError([Problem("", f"a table was expected, not {kind_of(held)}")])
    return held


def web_file(text: str) -> WebFile:
    """Return the web file of a text in YAML. Raise WebFileError with all its errors."""
    document = dict(mapping(text))
    reader = Reader()
    for table, keys in _NOT_TAKEN.items():
        held = document.get(table) if table else document
        if not isinstance(held, dict):
            continue
        for name in keys.keys() & held.keys():
            reader.refuse(f"{table}.{name}" if table else name, f"callpulse does not take it: {keys[name]}")
        left = {name: value for name, value in held.items() if name not in keys}
        document = document | {table: left} if table else left
    empty = [name for name, value in document.items() if value is None or value == {}]
    found = reader.struct(WebFile, {name: value for name, value in document.items() if name not in empty}, "")
    if found is not None:
        _check_access(found, reader)
    if reader.problems or found is None:
        raise WebFileError(reader.problems)
    return found


def _check_access(file: WebFile, reader: Reader) -> None:
    for name in sorted(file.names):
        if ":" in name or name == ANYONE or not name.isprintable() or not name:
            reader.refuse(
                "callpulse.bearer_tokens" if name in file.callpulse.bearer_tokens else "basic_auth_users",
                'a name must not be empty, hold ":", or be "anyone"',
            )
    rules = file.callpulse.access
    if rules and not file.names:
        reader.refuse("callpulse.access", "has no effect: there are no basic_auth_users and no bearer_tokens")
        return
    for path, names in rules.items():
        key = f'callpulse.access."{path}"'
        if path not in PATHS:
            hint = did_you_mean(path, PATHS) or f"; there are {', '.join(PATHS)}"
            reader.refuse(key, f"is no path that a rule can name{hint}")
        if names == (ANYONE,):
            continue
        for name in names:
            if name not in file.names:
                reader.refuse(key, f'"{name}" has neither a password nor a token{did_you_mean(name, file.names)}')


def read(path: Path, setting: str, parse: Callable[[str], T]) -> T:
    """Return the result of `parse` for the text of a file. Raise OSError, with the setting, for an unusable file."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except WebFileError as error:
        raise OSError(0, f"{setting}: {path} cannot be used:\n{error}") from None
    except UnicodeDecodeError:
        raise OSError(0, f"{setting}: {path} is not a text file in UTF-8") from None
    except OSError as error:
        raise OSError(error.errno, f"{setting}: {path} cannot be read: {error.strerror}") from None
