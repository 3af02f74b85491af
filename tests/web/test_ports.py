"""The ports themselves: a worker's, that of the state of a process of the way in, and the gateway's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agents.embedded import config
from agents.gateway.service import Service
from agents.telemetry.http import Server
from agents.web import files
from streams.settings.access import hashed
from streams.settings.settings import SettingsError, load
from tests.agents.stand_in import eventually, stand_in
from tests.broker.security import Certificates
from tests.gateway.served import OTHER_TOKEN, SETTINGS, encoded, ended, serving
from tests.gateway.served import TOKEN as SENDERS_TOKEN
from tests.web.web_files import HASH, PASSWORD, TOKEN, TOKENS, USERS, tls, trusting, written

PATHS = ("/", "/metrics", "/leads/attention", "/-/healthy", "/-/ready", "/nothing")


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


NOTHING: dict[str, str] = {}
ALICE, CRM = basic("alice", PASSWORD), bearer(TOKEN)


@contextlib.asynccontextmanager
async def worker(path: Path | None) -> AsyncIterator[Server]:
    line = "" if path is None else f'web_config = "{path}"\n'
    server = await stand_in(f"[worker]\nhttp_port = 0\n{line}").own(0, 1, 2, 3).serve()
    try:
        yield server
    finally:
        await server.close()


async def statuses(url: str, headers: dict[str, str], verify: Any = True) -> list[int]:
    connector = aiohttp.TCPConnector(ssl=verify)
    async with aiohttp.ClientSession(url, connector=connector) as session:
        found = []
        for path in PATHS:
            async with session.get(path, headers=headers) as answer:
                found.append(answer.status)
        return found


OPEN = [200, 200, 200, 200, 200, 404]
CLOSED = [401, 401, 401, 200, 200, 401]


def test_by_default_every_port_is_of_this_machine_alone() -> None:
    settings = load("", {})
    hosts = (settings.worker.http_host, settings.gateway.http_host, settings.gateway.status_host, config.HOST)
    assert all(ip_address(host).is_loopback for host in hosts)


async def test_without_a_file_anybody_may_read() -> None:
    async with worker(None) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert await statuses(server.url, NOTHING) == OPEN


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (NOTHING, CLOSED),
        (ALICE, OPEN),
        (CRM, OPEN),
        ({"Authorization": CRM["Authorization"].replace("Bearer", "bEARER")}, OPEN),
        (basic("alice", "wrong"), CLOSED),
        (basic("bob", PASSWORD), CLOSED),
        (basic("alice", HASH), CLOSED),
        (bearer("wrong"), CLOSED),
        (bearer(hashed(TOKEN)), CLOSED),
        ({"Authorization": "Basic ???"}, CLOSED),
        ({"Authorization": f"Basic {b64encode(b'alice').decode()}"}, CLOSED),
        ({"Authorization": "Basic /////w=="}, CLOSED),
        ({"Authorization": f"Basic {'A' * 8000}"}, CLOSED),
        ({"Authorization": f"Digest {PASSWORD}"}, CLOSED),
        ({"Authorization": "Basic"}, CLOSED),
    ],
)
async def test_passwords_and_tokens_open_a_port(tmp_path: Path, headers: dict[str, str], expected: list[int]) -> None:
    async with worker(written(tmp_path, **USERS, **TOKENS)) as server:
        assert await statuses(server.url, headers) == expected


async def test_the_refusal_says_what_is_asked_for(tmp_path: Path) -> None:
    async with (
        worker(written(tmp_path, **USERS, **TOKENS)) as server,
        aiohttp.ClientSession() as session,
        session.get(f"{server.url}/metrics") as answer,
    ):
        assert answer.headers.getall("WWW-Authenticate") == [
            'Basic realm="callpulse", charset="UTF-8"',
            'Bearer realm="callpulse"',
        ]
        assert "callpulse_" not in await answer.text()


async def test_paths_are_restricted_apart_however_they_are_written(tmp_path: Path) -> None:
    rules = {"/metrics": ["prometheus"], "/leads/attention": ["crm"], "/-/ready": ["alice"], "/": ["alice"]}
    table = {"callpulse": TOKENS["callpulse"] | {"access": rules}}
    async with worker(written(tmp_path, **USERS, **table)) as server:
        assert await statuses(server.url, basic("prometheus", PASSWORD)) == [403, 200, 403, 200, 403, 403]
        assert await statuses(server.url, CRM) == [403, 403, 200, 200, 403, 403]
        assert await statuses(server.url, ALICE) == [200, 403, 403, 200, 200, 404]
        port = int(server.url.rpartition(":")[2])
        for path in ("/%6Detrics", "/metrics?a", "/metrics/", "//metrics", "/-/../metrics", "/-/healthy/../../metrics"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            shown = f"Authorization: {ALICE['Authorization']}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{shown}\r\n\r\n".encode())
            said = await reader.read()
            writer.close()
            assert said.split()[1] in (b"403", b"404"), path
            assert b"callpulse_calls" not in said


async def test_headers_are_on_every_answer(tmp_path: Path) -> None:
    headers = {"X-Frame-Options": "deny", "Content-Security-Policy": "default-src 'none'", "X-XSS-Protection": ""}
    async with (
        worker(written(tmp_path, **USERS, http_server_config={"headers": headers})) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        for path, shown in (("/metrics", ALICE), ("/metrics", NOTHING), ("/nothing", ALICE), ("/-/ready", NOTHING)):
            async with session.get(path, headers=shown) as answer:
                assert answer.headers["X-Frame-Options"] == "deny"
                assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
                assert "X-XSS-Protection" not in answer.headers


async def test_a_port_speaks_tls_and_nothing_else(tmp_path: Path, certificates: Certificates) -> None:
    async with worker(written(tmp_path, **tls(certificates), **USERS)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert server.attention.own_url == server.url
        assert await statuses(server.url, ALICE, trusting(certificates)) == OPEN
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await statuses(server.url, ALICE, trusting(certificates, "other-ca"))
        with pytest.raises(aiohttp.ClientError):
            await statuses(server.url.replace("https", "http"), ALICE)


@pytest.mark.parametrize(
    ("more", "shows", "expected"),
    [
        ({"client_auth_type": "RequireAndVerifyClientCert"}, "", None),
        ({"client_auth_type": "RequireAndVerifyClientCert"}, "broker", OPEN),
        ({"client_auth_type": "RequireAndVerifyClientCert"}, "other-ca", None),
        ({"client_auth_type": "VerifyClientCertIfGiven"}, "", OPEN),
        ({"client_auth_type": "VerifyClientCertIfGiven"}, "other-ca", None),
        (
            {"client_auth_type": "RequireAndVerifyClientCert", "client_allowed_sans": ["x", "127.0.0.1"]},
            "broker",
            OPEN,
        ),
        ({"client_auth_type": "RequireAndVerifyClientCert", "client_allowed_sans": ["x"]}, "broker", [403] * 6),
    ],
)
async def test_certificates_of_clients(
    tmp_path: Path, certificates: Certificates, more: Any, shows: str, expected: list[int] | None
) -> None:
    context = trusting(certificates)
    if shows:
        context.load_cert_chain(certificates.path(f"{shows}.pem"), certificates.path(f"{shows}.key"))
    more = {"client_ca_file": str(certificates.path("ca.pem")), **more}
    async with worker(written(tmp_path, **tls(certificates, **more))) as server:
        if expected is None:
            with pytest.raises(aiohttp.ClientError):
                await statuses(server.url, NOTHING, context)
        else:
            assert await statuses(server.url, NOTHING, context) == expected


async def test_the_least_version_of_tls_is_kept(tmp_path: Path, certificates: Certificates) -> None:
    old = trusting(certificates)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with worker(written(tmp_path, **tls(certificates, min_version="TLS13"))) as server:
        with pytest.raises(aiohttp.ClientError):
            await statuses(server.url, NOTHING, old)
        assert await statuses(server.url, NOTHING, trusting(certificates)) == OPEN
    suites = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
    async with worker(written(tmp_path, **tls(certificates, cipher_suites=suites))) as server:
        assert await statuses(server.url, NOTHING, old) == OPEN


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LOOK_EVERY_S", 0.0)


@pytest.mark.usefixtures("_at_once")
class TestChangesOfTheFile:
    async def test_passwords_and_rules_are_read_again(self, tmp_path: Path) -> None:
        path = written(tmp_path, **USERS)
        async with worker(path) as server:
            assert await statuses(server.url, ALICE) == OPEN
            written(tmp_path, basic_auth_users={"bob": HASH})
            assert await statuses(server.url, ALICE) == CLOSED, "who is taken out is out, though the password was known"
            assert await statuses(server.url, basic("bob", PASSWORD)) == OPEN

    async def test_a_new_certificate_is_shown_to_the_next_connection(
        self, tmp_path: Path, certificates: Certificates
    ) -> None:
        key, pem = tmp_path / "server.key", tmp_path / "server.pem"
        key.write_bytes(certificates.path("other-ca.key").read_bytes())
        pem.write_bytes(certificates.path("other-ca.pem").read_bytes())
        path = written(tmp_path, tls_server_config={"cert_file": "server.pem", "key_file": "server.key"})
        async with worker(path) as server:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await statuses(server.url, NOTHING, trusting(certificates))
            key.write_bytes(certificates.path("broker.key").read_bytes())
            pem.write_bytes(certificates.path("broker.pem").read_bytes())
            assert await statuses(server.url, NOTHING, trusting(certificates)) == OPEN
            written(
                tmp_path,
                **tls(
                    certificates,
                    client_ca_file=str(certificates.path("ca.pem")),
                    client_auth_type="RequireAndVerifyClientCert",
                ),
            )
            with pytest.raises(aiohttp.ClientError):
                await statuses(server.url, NOTHING, trusting(certificates))

    def test_a_certificate_may_come_after_the_file_that_names_it(
        self, tmp_path: Path, certificates: Certificates
    ) -> None:
        def put(name: str) -> None:
            for ending in ("pem", "key"):
                (tmp_path / f"{name}.{ending}").write_bytes(certificates.path(f"broker.{ending}").read_bytes())

        def name(pair: str) -> Path:
            return written(tmp_path, tls_server_config={"cert_file": f"{pair}.pem", "key_file": f"{pair}.key"})

        def held() -> str | None:
            tls = watched.current().web.tls_server_config
            return None if tls is None else tls.cert_file

        put("old")
        watched = files.WatchedFile(str(name("old")), "worker.web_config")
        name("new")
        assert held() == "old.pem"
        put("new")
        assert held() == "new.pem"

    @pytest.mark.parametrize("then", ["broken: [", None, "tls_server_config: {cert_file: gone, key_file: gone}"])
    async def test_a_file_that_becomes_bad_changes_nothing_and_is_told_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, then: str | None
    ) -> None:
        path = written(tmp_path, **USERS)
        async with worker(path) as server:
            if then is None:
                path.unlink()
            else:
                path.write_text(then, encoding="utf-8")
            assert await statuses(server.url, NOTHING) == CLOSED
            assert await statuses(server.url, ALICE) == OPEN
            told = [record for record in caplog.records if record.levelno == logging.ERROR]
            assert len(told) == 1
            assert "worker.web_config" in told[0].getMessage()
            written(tmp_path, basic_auth_users={"bob": HASH})
            assert await statuses(server.url, ALICE) == CLOSED

    async def test_tls_does_not_begin_without_a_restart(
        self, tmp_path: Path, certificates: Certificates, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with worker(written(tmp_path, **USERS)) as server:
            written(tmp_path, **tls(certificates))
            assert await statuses(server.url, NOTHING) == CLOSED
            assert "takes a restart" in caplog.text


async def test_a_changed_file_is_seen_within_seconds(tmp_path: Path) -> None:
    watched = files.WatchedFile(str(written(tmp_path, **USERS)), "worker.web_config")
    written(tmp_path, basic_auth_users={"bob": HASH})
    await eventually(lambda: "bob" in watched.current().web.basic_auth_users)


async def test_no_secret_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with worker(written(tmp_path, **USERS, **TOKENS)) as server:
        await statuses(server.url, ALICE)
        await statuses(server.url, CRM)
        await statuses(server.url, basic("secret-name-4711", "secret-word-4711"))
        await statuses(server.url, bearer("secret-token-4711"))
    assert "wrong password or token for /metrics from 127.0.0.1" in caplog.text
    for secret in ("4711", PASSWORD, TOKEN, HASH, ALICE["Authorization"].partition(" ")[2]):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "worker.web_config: {path} cannot be read: No such file"),
        ("tls_server_config: {cert_file: a.pem, key_file: a.key}", "a.pem and key_file"),
        ("tls_server_config: {cert_file: web.yml, key_file: web.yml}", "no certificate and key in PEM"),
        ("basic_auth_users: {alice: secret-4711}", "basic_auth_users.alice: is no bcrypt hash"),
        ('tls_server_config: {cert_file: "\\ud800", key_file: a}', "the file is not YAML (line 1, column 32)"),
        (b"\xff\xfe", "is not a text file in UTF-8"),
    ],
)
async def test_a_bad_file_is_told_at_the_start(tmp_path: Path, text: str | bytes | None, said: str) -> None:
    path = tmp_path / "web.yml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(OSError, match=r"worker\.web_config") as refused:
        async with worker(path):
            pass
    told = str(refused.value.strerror)
    assert said.format(path=path) in told
    assert "secret-4711" not in told


async def test_a_key_of_another_certificate_or_with_a_password_is_told(
    tmp_path: Path, certificates: Certificates
) -> None:
    for key, said in (("ca.key", "the key is not that of the certificate"), ("client.key", "a key with a password")):
        path = written(tmp_path, **tls(certificates, key_file=str(certificates.path(key))))
        with pytest.raises(OSError, match="key_file") as refused:
            async with worker(path):
                pass
        assert said in str(refused.value.strerror)


async def test_so_does_the_port_of_the_state(tmp_path: Path, certificates: Certificates) -> None:
    path = written(tmp_path, **tls(certificates), **USERS)
    settings = load(f'[gateway]\nstatus_port = 0\nstatus_web_config = "{path}"\n', {})
    service = Service(settings, "ami", fail=lambda _: None)
    await service._listen()  # the rest of a start needs Kafka
    try:
        connector = aiohttp.TCPConnector(ssl=trusting(certificates))
        async with aiohttp.ClientSession(service.url, connector=connector) as session:
            for shown, status in ((NOTHING, 401), (ALICE, 404)):
                async with session.get("/nothing", headers=shown) as answer:
                    assert answer.status == status
    finally:
        await service._runner.cleanup()  # type: ignore[union-attr]  # it listens
        for task in service._tasks:
            task.cancel()


class TestTheGateway:
    def settings(self, path: Path) -> str:
        return SETTINGS.replace("[sources.http.crm]", f'[gateway.http]\nweb_config = "{path}"\n[sources.http.crm]')

    async def test_senders_keep_their_tokens_and_pages_have_the_file(
        self, tmp_path: Path, certificates: Certificates
    ) -> None:
        path = written(tmp_path, **tls(certificates), **USERS, **TOKENS)
        async with serving(self.settings(path), verify=trusting(certificates)) as served:
            assert served.url.startswith("https://")
            assert (await served.post(encoded(ended(1)), token=SENDERS_TOKEN)).status == 202
            assert (await served.post(encoded(ended(2)), token=OTHER_TOKEN)).status == 202
            assert (await served.post(encoded(ended(3)), token=TOKEN)).problem == "unauthenticated"
            assert (await served.post(encoded(ended(4)), token="")).problem == "unauthenticated"
            assert (await served.ask("GET", "/hooks/nobody/token")).status == 404
            for path_, shown, status in (
                ("/metrics", NOTHING, 401),
                ("/metrics", bearer(SENDERS_TOKEN), 401),
                ("/metrics", ALICE, 200),
                ("/v1/openapi.json", CRM, 200),
                ("/v1/openapi.json", NOTHING, 401),
                ("/nothing", NOTHING, 401),
                ("/-/healthy", NOTHING, 200),
            ):
                assert (await served.ask("GET", path_, b"", **shown)).status == status, path_

    async def test_headers_are_on_answers_to_senders_too(self, tmp_path: Path) -> None:
        path = written(tmp_path, http_server_config={"headers": {"X-Frame-Options": "deny"}})
        async with serving(self.settings(path)) as served:
            assert (await served.post(encoded(ended(1)))).headers["X-Frame-Options"] == "deny"
            assert (await served.ask("GET", "/metrics")).status == 200

    def test_tls_stands_in_one_place(self) -> None:
        with pytest.raises(SettingsError, match=r"gateway\.http\.web_config: and tls_certfile both stand for TLS"):
            load('[gateway.http]\nweb_config = "web.yml"\ntls_certfile = "a.pem"\n', {})
