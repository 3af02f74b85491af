"""Commands and workers that log in at guarded ports, and their errors where they cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.cli import leads
from agents.cli.common import UserError
from agents.cli.ports import status_metrics, worker_metrics
from agents.cli.up.supervisor import is_up
from agents.telemetry.attention import Query
from agents.telemetry.http import Server
from agents.telemetry.scrape import fetch_all, metrics_url
from agents.web.client import NOBODY, own_url, web_client
from streams.contract import topics
from streams.settings.settings import load
from tests.agents.cli_runner import Runner
from tests.agents.stand_in import stand_in
from tests.broker.security import Certificates
from tests.web.test_ports import worker
from tests.web.web_files import HASH, PASSWORD, TOKEN, TOKENS, USERS, put, tls, written


def login(folder: Path, certificates: Certificates | None = None, **more: Any) -> Path:
    tables: dict[str, Any] = {"basic_auth": {"username": "alice", "password": PASSWORD}, **more}
    if certificates is not None:
        tables.setdefault("tls_config", {"ca_file": str(certificates.path("ca.pem"))})
    return put(folder / "web-client.yml", tables)


@pytest.mark.parametrize(
    "table",
    [
        {"basic_auth": {"username": "alice", "password": PASSWORD}},
        {"basic_auth": {"username": "alice", "password_file": "secret"}},
        {"authorization": {"credentials": TOKEN}},
        {"authorization": {"type": "Bearer", "credentials_file": "secret"}},
    ],
)
async def test_a_file_logs_in(tmp_path: Path, certificates: Certificates, table: dict[str, Any]) -> None:
    (tmp_path / "secret").write_text(f"{PASSWORD if 'basic_auth' in table else TOKEN}\n", encoding="utf-8")
    trust = {"tls_config": {"ca_file": str(certificates.path("ca.pem"))}}
    client = web_client(str(put(tmp_path / "web-client.yml", {**table, **trust})))
    async with worker(written(tmp_path, **tls(certificates), **USERS, **TOKENS)) as server:
        (scrape,) = await fetch_all([metrics_url(server.url)], client)
        assert scrape.error == ""
        assert "callpulse_calls" in scrape.text


async def test_another_name_may_be_verified_than_that_of_the_url(tmp_path: Path, certificates: Certificates) -> None:
    ca = str(certificates.path("ca.pem"))
    async with worker(written(tmp_path, **tls(certificates))) as server:
        url = metrics_url(server.url)
        for more, good in (
            ({"server_name": "worker-1.example"}, False),
            ({"server_name": "worker-1.example", "insecure_skip_verify": True}, True),
            ({"server_name": "127.0.0.1"}, True),
        ):
            client = web_client(str(login(tmp_path, tls_config={"ca_file": ca, **more})))
            (scrape,) = await fetch_all([url], client)
            assert (scrape.error == "") is good, scrape.error
        client = web_client(str(login(tmp_path, tls_config={"ca_file": ca, "server_name": "127.0.0.1"})))
        (scrape,) = await fetch_all([url.replace("127.0.0.1", "localhost")], client)
        assert scrape.error == ""


async def test_a_certificate_of_the_client_is_shown(tmp_path: Path, certificates: Certificates) -> None:
    ca = str(certificates.path("ca.pem"))
    demands = tls(certificates, client_ca_file=ca, client_auth_type="RequireAndVerifyClientCert")
    own = {"cert_file": str(certificates.path("broker.pem")), "key_file": str(certificates.path("broker.key"))}
    async with worker(written(tmp_path, **demands)) as server:
        for more, good in ((own, True), ({}, False)):
            client = web_client(str(login(tmp_path, tls_config={"ca_file": ca, **more})))
            (scrape,) = await fetch_all([metrics_url(server.url)], client)
            assert (scrape.error == "") is good


async def test_a_url_may_hold_the_name_and_it_is_not_shown_again(tmp_path: Path) -> None:
    async with worker(written(tmp_path, **USERS)) as server:
        address = server.url.replace("http://", "")
        for given in (f"http://alice:{PASSWORD}@{address}", f"alice:{PASSWORD}@{address}"):
            (scrape,) = await fetch_all([metrics_url(given)], NOBODY)
            assert scrape.error == ""
            assert scrape.url == f"{server.url}/metrics"
        (scrape,) = await fetch_all([metrics_url(f"alice:wrong@{address}")], NOBODY)
        assert scrape.error == "HTTP status 401; worker.web_client says how to log in"
        found = await leads._fetch(f"http://alice:{PASSWORD}@{address}", {}, 1)
        assert found["total"] == 0
        with pytest.raises(UserError) as refused:
            await leads._fetch(f"http://alice:wrong@{address}", {}, 1)
        assert "wrong" not in str(refused.value)
        assert "401" in str(refused.value)


async def test_workers_log_in_at_each_other(tmp_path: Path, certificates: Certificates) -> None:
    guarded = written(tmp_path, **tls(certificates), **USERS)
    for client, missing in ((login(tmp_path, certificates), []), (None, [2, 3])):
        line = "" if client is None else f'web_client = "{client}"\n'
        text = f'[worker]\nhttp_port = 0\nweb_config = "{guarded}"\n{line}'
        owners: dict[str, dict[str, list[int]]] = {}
        servers: list[Server] = []
        for partitions in ([0, 1], [2, 3]):
            one = stand_in(text).own(*partitions)
            one.app.assignor.tables_metadata = lambda owners=owners: owners
            servers.append(await one.serve())
            owners[servers[-1].url] = {topics.changelog("outcomes").name: partitions}
        try:
            assert (await servers[0].attention.page(Query())).missing_partitions == missing
        finally:
            for server in servers:
                await server.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("basic_auth: {username: a}", "write one of password and password_file"),
        ("basic_auth: {username: a, password: secret-4711, password_file: b}", "write one of password and"),
        ("authorization: {}", "write one of credentials and credentials_file"),
        ("{basic_auth: {username: a, password: b}, authorization: {credentials: c}}", "one of basic_auth and auth"),
        ("basic_auth: {username: a, password_file: gone}", "gone cannot be read: No such file"),
        ("basic_auth: {username: a, password_file: web-client.yml}", ""),
        ("tls_config: {cert_file: a}", "write both of cert_file and key_file"),
        ("tls_config: {ca_file: gone}", "a file of tls_config cannot be used: No such file"),
        ("oauth2: {}", "unknown key"),
        ("basic_auth: [secret-4711]", "a table was expected"),
        ("basic_auth: {username: a, password: [secret-4711]}", "text was expected"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "web-client.yml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    if not said:
        assert web_client(str(path)) is not NOBODY
        return
    with pytest.raises(OSError, match=r"worker\.web_client") as refused:
        web_client(str(path))
    assert said in str(refused.value.strerror)
    assert "secret-4711" not in str(refused.value.strerror)


def test_where_the_ports_are(tmp_path: Path) -> None:
    guarded, plain = tmp_path / "web.yml", tmp_path / "plain.yml"
    guarded.write_text("tls_server_config: {cert_file: a, key_file: b}", encoding="utf-8")
    plain.write_text(f"basic_auth_users: {{alice: '{HASH}'}}", encoding="utf-8")
    assert own_url("127.0.0.1", 1, None) == "http://127.0.0.1:1"
    assert own_url("127.0.0.1", 1, str(plain)) == "http://127.0.0.1:1"
    assert own_url("127.0.0.1", 1, str(guarded)) == "https://127.0.0.1:1"
    assert own_url("::1", 1, str(tmp_path / "gone")) == "https://[::1]:1", "no password goes out in the clear"
    settings = load(f'[worker]\nweb_config = "{guarded}"\n[gateway]\nstatus_web_config = "{guarded}"\n', {})
    assert worker_metrics(settings, None) == ["https://127.0.0.1:8787/metrics"]
    assert worker_metrics(settings, ["w:1"]) == ["http://w:1/metrics"]
    assert status_metrics(settings, None) == ["https://127.0.0.1:8791/metrics"]


class TestCheckConfig:
    def test_good_files_pass(self, callpulse: Runner, tmp_path: Path, certificates: Certificates) -> None:
        guarded, client = written(tmp_path, **tls(certificates), **USERS), login(tmp_path, certificates)
        done = callpulse(
            "check-config",
            CALLPULSE_WORKER__WEB_CONFIG=str(guarded),
            CALLPULSE_GATEWAY__STATUS_WEB_CONFIG=str(guarded),
            CALLPULSE_GATEWAY__HTTP__WEB_CONFIG=str(guarded),
            CALLPULSE_WORKER__WEB_CLIENT=str(client),
        )
        assert done.code == 0, done.err
        assert PASSWORD not in done.out

    def test_bad_ones_are_named_by_their_keys(self, callpulse: Runner, tmp_path: Path) -> None:
        bad = written(tmp_path, basic_auth_users={"alice": "secret-4711"})
        done = callpulse(
            "check-config",
            "--json",
            CALLPULSE_GATEWAY__STATUS_WEB_CONFIG=str(bad),
            CALLPULSE_WORKER__WEB_CLIENT=str(tmp_path / "gone.yml"),
        )
        assert done.code == 2
        problems = {problem["key"]: problem["message"] for problem in done.json["problems"]}
        assert problems.keys() == {"gateway.status_web_config", "worker.web_client"}
        assert "basic_auth_users.alice: is no bcrypt hash" in problems["gateway.status_web_config"]
        assert "secret-4711" not in done.out


def test_top_and_leads_log_in(callpulse: Runner, tmp_path: Path) -> None:
    done = callpulse("top", "--once", CALLPULSE_WORKER__WEB_CLIENT=str(tmp_path / "gone.yml"))
    assert done.code == 2
    assert "worker.web_client" in done.err
    done = callpulse("leads", CALLPULSE_WORKER__WEB_CLIENT=str(tmp_path / "gone.yml"))
    assert done.code == 2
    assert "worker.web_client" in done.err


@pytest.mark.parametrize("version", ["TLS12", "TLS13"])
async def test_up_asks_a_port_for_its_readiness_that_wants_a_certificate(
    tmp_path: Path, certificates: Certificates, version: str
) -> None:
    required = {
        "client_ca_file": str(certificates.path("ca.pem")),
        "client_auth_type": "RequireAndVerifyClientCert",
        "max_version": version,
    }
    pair = {"cert_file": str(certificates.path("broker.pem")), "key_file": str(certificates.path("broker.key"))}
    shows = web_client(str(login(tmp_path, tls_config=pair)))
    one = stand_in(f'[worker]\nhttp_port = 0\nweb_config = "{written(tmp_path, **tls(certificates, **required))}"\n')
    server = await one.serve()
    found = []
    for is_ready in (False, True):
        if is_ready:
            one.own(0, 1, 2, 3)
        for client in (shows, NOBODY):
            async with client.probe_session(10) as session:
                found.append(await is_up(session, f"{server.url}/-/ready"))
    url = server.url
    await server.close()
    async with NOBODY.probe_session(10) as session:
        found.append(await is_up(session, f"{url}/-/ready"))
    # Without a certificate it is only known that somebody listens.
    assert found == [False, True, True, True, False]
