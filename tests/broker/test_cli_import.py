"""`callpulse import` into Kafka: each row once, also with overlapping files and repeated imports."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import orjson
import pytest

from agents.gateway.cursors import Cursors
from agents.gateway.file_identity import Identity
from agents.gateway.following import Position
from streams.settings.settings import Kafka
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.settings import QueueLogSettings
from streams.sources.asterisk.records.sources import QueueLogSource
from tests.broker.installation import Installation
from tests.kafka_fixture import consume
from tests.streams.files_cases import FIXTURES, ROSTER, STORY

pytestmark = [pytest.mark.broker, pytest.mark.slow]

CALLS = FIXTURES / "storyA" / "csv_ru"


@pytest.fixture
def callpulse(bootstrap: str, tmp_path: Path) -> Installation:
    made = Installation(bootstrap, tmp_path)
    config = tmp_path / "files.toml"
    config.write_text(ROSTER + STORY, encoding="utf-8")
    made.environment["CALLPULSE_CONFIG"] = str(config)
    made.environment["CALLPULSE_GATEWAY__DATA_DIR"] = str(tmp_path / "gateway")
    assert made("topics", "create").returncode == 0
    return made


def imported(callpulse: Installation, *arguments: object) -> list[dict[str, object]]:
    done = callpulse("import", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = orjson.loads(done.stdout)
    return found


def test_rows_of_files_that_overlap_are_in_kafka_once(callpulse: Installation) -> None:
    dry = callpulse("import", "-m", "csv_ru", "--dry-run", "--events", CALLS / "calls-1.csv", CALLS / "calls-2.csv")
    expected = {orjson.loads(line)["id"] for line in dry.stdout.splitlines()}
    one, two = imported(callpulse, "-m", "csv_ru", CALLS / "calls-1.csv", CALLS / "calls-2.csv")
    assert (one["stored"], one["known"]) == (12, 0)
    assert (two["stored"], two["known"]) == (7, 5)
    again = imported(callpulse, "-m", "csv_ru", CALLS / "calls-2.csv", CALLS / "calls-1.csv")
    assert [(each["stored"], each["known"]) for each in again] == [(0, 12), (0, 12)]
    records = consume(callpulse.bootstrap, callpulse.calls, at_least=19)
    assert sorted(orjson.loads(record.value)["id"] for record in records) == sorted(expected)
    assert all(record.key.decode() == orjson.loads(record.value)["manager"] for record in records)
    assert not any(b"4950000" in record.value for record in records)


def test_deals_and_their_links_come_into_crm_and_refused_rows_are_dead_letters(
    callpulse: Installation, tmp_path: Path
) -> None:
    (deals,) = imported(callpulse, "-m", "deals_ru", CALLS / "deals.csv")
    records = consume(callpulse.bootstrap, callpulse.crm, at_least=int(str(deals["stored"])))
    assert {orjson.loads(record.value)["type"] for record in records} == {
        *("deal.stage_changed", "deal.deleted", "lead.linked")
    }
    bad = tmp_path / "bad.csv"
    text = (CALLS / "calls-1.csv").read_bytes()
    bad.write_bytes(text.replace("Отвечен".encode("cp1251"), "Кто знает".encode("cp1251")))
    done = callpulse("import", "-m", "csv_ru", bad)
    assert done.returncode == 1
    assert "without a meaning in values.disposition" in done.stderr
    letters = orjson.loads(callpulse("rejected", "list", "--json", "--show-value").stdout)["letters"]
    refused = done.stdout.partition("concern, ")[2].partition(" rows not")[0]
    assert len(letters) == int(refused) > 0
    assert {(letter["source"], letter["reason"]) for letter in letters} == {("csv_ru", "invalid_field")}
    assert "4950000" not in orjson.dumps(letters).decode()


def test_importing_into_nothing_is_told(callpulse: Installation) -> None:
    callpulse.environment["CALLPULSE_KAFKA__TOPIC_PREFIX"] = "nowhere."
    done = callpulse("import", "-m", "csv_ru", CALLS / "calls-1.csv")
    assert done.returncode == 70
    assert "callpulse topics create" in done.stderr
    assert "Traceback" not in done.stderr


async def keep_a_member(callpulse: Installation) -> None:
    """Keep the state that the follower of a queue_log keeps after one line of an unknown member."""
    source = QueueLogSource(QueueLogSettings(), AsteriskMapping(), b"a secret of the tests, long enough")
    source.take(
        f"{int(time.time()) - 60}|1794900030.1|sales|Eve of queues|CONNECT|3|1794900030.7|3".encode(), 0, 1 << 42
    )
    kafka = Kafka(bootstrap=callpulse.bootstrap, topic_prefix=callpulse.environment["CALLPULSE_KAFKA__TOPIC_PREFIX"])
    position = Position(Identity("", 0, 0), 0, source.snapshot())
    async with Cursors(kafka) as cursors:
        await cursors.put("asterisk/queue_log /var/log/asterisk/queue_log", msgspec.msgpack.encode(position))
        await cursors.flush()


def test_who_is_on_no_roster_entry_is_listed_with_the_line_that_adds_them(
    callpulse: Installation, tmp_path: Path
) -> None:
    assert imported(callpulse, "-m", "csv_ru", CALLS / "calls-1.csv")
    nobody = callpulse("unmapped")
    assert nobody.returncode == 0, nobody.stderr
    assert nobody.stdout.startswith("Everybody who was heard since ")
    bad = tmp_path / "bad.csv"
    strangers = (CALLS / "calls-1.csv").read_text("cp1251").replace("Римма Зуева", "Новый Сотрудник")
    bad.write_text(strangers.replace(";203;", ";299;").replace("A0", "B0").replace("Занято", "?"), "cp1251")
    assert callpulse("import", "-m", "csv_ru", bad).returncode == 1
    told = orjson.loads(callpulse("unmapped", "--since", "1h", "--json").stdout)
    (one,) = told["people"]
    assert (one["source"], one["manager"]) == ("csv_ru", "csv_ru:новый сотрудник")
    assert one["lines"] == ['identities = { csv_ru = "новый сотрудник" }']
    assert one["events"] == strangers.count("Новый Сотрудник")
    assert told["refused"] == {"csv_ru": 1}
    asyncio.run(keep_a_member(callpulse))
    done = callpulse("unmapped")
    assert 'identities = { asterisk = "Eve of queues" }' in done.stdout
    assert "lines count for nobody" in " ".join(done.stdout.split())
    assert 'identities = { csv_ru = "новый сотрудник" }' in done.stdout
    assert "Refused parts of csv_ru: 1" in done.stderr
