"""Web files for the tests: passwords of the least cost, tokens, and certificates of the tests' own authority."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

import bcrypt
import orjson

from streams.settings.access import hashed
from tests.broker.security import Certificates

PASSWORD: Final = "a-password-4721"  # noqa: S105 - opens nothing but the ports of these tests
TOKEN: Final = "a-token-4722"  # noqa: S105 - as above
HASH: Final = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
USERS: Final[dict[str, Any]] = {"basic_auth_users": {"alice": HASH, "prometheus": HASH}}
TOKENS: Final[dict[str, Any]] = {"callpulse": {"bearer_tokens": {"crm": hashed(TOKEN)}}}


def written(folder: Path, **tables: Any) -> Path:
    """Write a web file. JSON is YAML."""
    return put(folder / "web.yml", tables)


def put(path: Path, tables: dict[str, Any]) -> Path:
    path.write_bytes(orjson.dumps(tables))
    return path


def tls(certificates: Certificates, **more: Any) -> dict[str, Any]:
    return {
        "tls_server_config": {
            "cert_file": str(certificates.path("broker.pem")),
            "key_file": str(certificates.path("broker.key")),
            **more,
        }
    }


def trusting(certificates: Certificates, name: str = "ca") -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.path(f"{name}.pem")))
