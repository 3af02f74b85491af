"""The link over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.broker.security import Certificates
from tests.gateway.ami_listening import at_once, listening
from tests.gateway.ami_server import AmiServer
from tests.gateway.fake_sink import FakeSink


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificates.path("broker.pem"), certificates.path("broker.key"))
    return made


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)


async def test_a_certificate_that_is_known_is_trusted(certificates: Certificates, context: ssl.SSLContext) -> None:
    ca = str(certificates.path("ca.pem"))
    async with (
        AmiServer(tls=context) as server,
        listening(server, FakeSink(), tls=True, ca_file=ca, login="plain") as listener,
    ):
        await server.until(lambda: listener.state.listed)


async def test_another_certificate_is_refused_and_the_secret_is_not_sent(
    certificates: Certificates, context: ssl.SSLContext
) -> None:
    ca = str(certificates.path("other-ca.pem"))
    async with (
        AmiServer(tls=context) as server,
        listening(server, FakeSink(), tls=True, ca_file=ca, login="plain") as listener,
    ):
        await server.until(lambda: listener.state.trouble)
        assert "certificate" in listener.state.trouble
        assert "ca_file" in listener.state.trouble
        assert not any(session.heard for session in server.sessions)


async def test_another_name_is_refused_unless_the_settings_say_so(
    certificates: Certificates, context: ssl.SSLContext
) -> None:
    ca = str(certificates.path("ca.pem"))
    async with AmiServer(tls=context) as server:
        async with listening(server, FakeSink(), host="localhost", tls=True, ca_file=ca) as listener:
            await server.until(lambda: "certificate" in listener.state.trouble)
        access: dict[str, Any] = {"host": "localhost", "tls": True, "ca_file": ca, "check_hostname": False}
        async with listening(server, FakeSink(), **access) as listener:
            await server.until(lambda: listener.state.listed)


async def test_a_port_without_tls_says_so() -> None:
    async with AmiServer() as server, listening(server, FakeSink(), tls=True) as listener:
        await server.until(lambda: listener.state.trouble)
        assert "does not speak TLS" in listener.state.trouble


async def test_a_port_with_tls_that_is_asked_without_says_so(context: ssl.SSLContext) -> None:
    async with AmiServer(tls=context) as server, listening(server, FakeSink(), connect_timeout_ms=500) as listener:
        await server.until(lambda: listener.state.trouble)
        assert not listener.state.connected


async def test_a_file_that_cannot_be_read_says_so(context: ssl.SSLContext, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    async with AmiServer(tls=context) as server, listening(server, FakeSink(), tls=True, ca_file=missing) as listener:
        await server.until(lambda: listener.state.trouble)
        assert "ca_file" in listener.state.trouble
