"""A real Prometheus that scrapes a guarded port: over TLS, with a password, and with a token."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from agents.embedded.ports import find_free
from tests.broker.security import Certificates
from tests.grafana.tooling import run, tool
from tests.web.test_ports import worker
from tests.web.web_files import PASSWORD, TOKEN, TOKENS, USERS, put, tls, written


async def health(url: str) -> dict[str, tuple[str, str]]:
    """Return the health of each job and its last error, once all were scraped."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/api/v1/targets") as answer:
                    targets = (await answer.json())["data"]["activeTargets"]
                found = {one["labels"]["job"]: (one["health"], one["lastError"]) for one in targets}
                if found and all(state != "unknown" for state, _ in found.values()):
                    return found
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_a_real_prometheus_scrapes_with_a_password_and_with_a_token(
    tmp_path: Path, certificates: Certificates
) -> None:
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    rules = {"callpulse": TOKENS["callpulse"] | {"access": {"/metrics": ["prometheus", "crm"]}}}
    trust = {"ca_file": str(certificates.path("ca.pem"))}
    logins: dict[str, Any] = {
        "password": {"basic_auth": {"username": "prometheus", "password_file": "password"}},
        "token": {"authorization": {"credentials": TOKEN}},
        "not-allowed": {"basic_auth": {"username": "alice", "password_file": "password"}},
        "nobody": {},
    }
    async with worker(written(tmp_path, **tls(certificates), **USERS, **rules)) as server:
        target = [{"targets": [server.url.removeprefix("https://")]}]
        jobs = [
            {"job_name": name, "scheme": "https", "tls_config": trust, "static_configs": target, **login}
            for name, login in logins.items()
        ]
        config = put(tmp_path / "prometheus.yml", {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs})
        assert orjson.loads(config.read_bytes())
        checked = await asyncio.to_thread(run, "promtool", "check", "config", config)
        assert checked.returncode == 0, checked.stderr
        address = f"127.0.0.1:{find_free()}"
        process = await asyncio.create_subprocess_exec(
            tool("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=error",
        )
        try:
            found = await health(f"http://{address}")
        finally:
            process.terminate()
            await process.wait()
    assert found["password"] == ("up", "")
    assert found["token"] == ("up", "")
    assert found["not-allowed"][0] == "down"
    assert "403" in found["not-allowed"][1]
    assert found["nobody"][0] == "down"
    assert "401" in found["nobody"][1]
