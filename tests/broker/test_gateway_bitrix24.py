"""A portal of Bitrix24, a gateway process, Kafka and a worker process: the figures count each call and deal once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from streams.settings.access import hashed
from tests.broker.installation import Installation
from tests.broker.test_gateway_http import ask, gateway, samples
from tests.gateway.polled import Api
from tests.kafka_fixture import consume, eventually
from tests.sources.bitrix24_portal import Portal
from tests.sources.test_bitrix24_poll import EMPTY, call, deal, iso

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(280)]

TOKEN, APPLICATION_TOKEN = "a-token-of-the-tests", "an-application-token"
CODE, NUMBER = "7a3e00f519e0704f", "4950000101"
MINUTE_MS = 60_000


def value(url: str, name: str, **labels: str) -> float:
    return sum(
        held for (named, has), held in samples(url).items() if named == f"callpulse_{name}" and labels.items() <= has
    )


async def test_what_a_portal_says_is_in_the_figures(bootstrap: str, tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    rows = [call(n, now_ms - n * MINUTE_MS, now_ms - n * MINUTE_MS + 30_000) for n in (2, 3, 4)]
    contact = {"ID": "5", "DATE_CREATE": iso(now_ms), "HAS_PHONE": "Y", "PHONE": [{"VALUE": f"+7{NUMBER}"}]}
    won = deal(1, now_ms - MINUTE_MS, STAGE_ID="C1:WON", OPPORTUNITY="1200.50", CURRENCY_ID="RUB", CONTACT_ID="5")
    moved = {"ID": 9, "OWNER_ID": 1, "CREATED_TIME": iso(now_ms - MINUTE_MS), "STAGE_ID": "C1:WON", "appears_ms": 0}
    user = {"ID": "7", "NAME": "Вера", "UF_PHONE_INNER": "201", "EMAIL": "vera@example.org"}
    data: dict[str, Any] = EMPTY | {
        "statistic": rows,
        "contacts": {"5": contact},
        "deals": {"1": [won]},
        "stagehistory": {"2": [moved | {"STAGE_SEMANTIC_ID": "S"}]},
        "users": [user, {"ID": "8", "NAME": "Somebody Else"}],
    }
    portal = Portal(data, lambda: time.time_ns() // 1_000_000)
    here = Installation(bootstrap, tmp_path)
    config = tmp_path / "callpulse.toml"
    async with Api(portal).serving() as api:
        config.write_text(
            f"""privacy.region = "RU"
[economics]
currency = "RUB"
currencies = ["RUB"]
[sources.bitrix24]
tokens = ["{hashed(TOKEN)}"]
application_token = "{APPLICATION_TOKEN}"
webhook = "{api.url}/rest/1/{CODE}/"
[[managers]]
id = "vera"
identities = {{ extension = "201" }}
""",
            encoding="utf-8",
        )
        assert (await asyncio.to_thread(here, "topics", "create")).returncode == 0
        await asyncio.to_thread(played, here, config, portal, rows)
        unmapped = await asyncio.to_thread(here, "unmapped", "--config", config)
        assert "Somebody Else" in unmapped.stdout
        await asyncio.to_thread(check, here)


def check(here: Installation) -> None:
    """Assert that no kept file or record has a number or a secret."""
    prefix = here.environment["CALLPULSE_KAFKA__TOPIC_PREFIX"]
    topics = [consume(here.bootstrap, prefix + name) for name in ("calls", "crm", "cursors", "contacts")]
    kept = b"".join((record.key or b"") + (record.value or b"") for records in topics for record in records)
    logs = b"".join(path.read_bytes() for path in here.folder.glob("*.log"))
    for secret in (NUMBER, CODE, APPLICATION_TOKEN, TOKEN):
        assert secret.encode() not in kept + logs


def played(here: Installation, config: Path, portal: Portal, rows: list[Any]) -> None:
    """The steps with the processes. They run in a thread: the portal answers meanwhile."""
    with here.worker("--config", config) as (_process, worker):

        def calls() -> float:
            return value(worker, "calls", manager="vera", window="1h")

        with gateway(here, config, "one", is_measured=False) as (process, one):
            eventually(lambda: calls() == 3, within_s=90, what="3 calls of vera")
            eventually(lambda: value(worker, "won_deals", window="30d") >= 1, within_s=60, what="the deal")
            assert value(one["status"], "source_polls_total", source="bitrix24", result="done") >= 1
            done = here("sources", "--at", one["status"], "--config", config)
            assert "polled" in done.stdout, done.stdout
            process.kill()
        now_ms = time.time_ns() // 1_000_000
        rows.append(call(50, now_ms - MINUTE_MS, now_ms))
        with gateway(here, config, "two", is_measured=False) as (_process, two):
            eventually(lambda: calls() == 4, within_s=90, what="the call of the outage")
            form = f"event=ONCRMDEALUPDATE&data[FIELDS][ID]=1&auth[application_token]={APPLICATION_TOKEN}"
            before = portal.batches
            url = f"{two['url']}/hooks/bitrix24/{TOKEN}"
            headers = {"Content_Type": "application/x-www-form-urlencoded"}
            assert ask(url, form.encode(), **headers)[0] == 200
            eventually(lambda: portal.batches > before, within_s=30, what="a poll at once")
            assert calls() == 4
            assert value(two["status"], "source_duplicates_total", source="bitrix24") >= 3
