"""A department moves to another Kafka: `callpulse topics grow --to` and `callpulse rebuild` keep every figure."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from agents.embedded import EmbeddedKafka
from streams.contract import events
from tests.broker.installation import Installation
from tests.broker.leads_fixture import annotated
from tests.broker.test_topics_grow import calls, counted
from tests.kafka_fixture import consume, eventually, produce

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]


def test_figures_are_the_same_in_another_kafka(bootstrap: str, own_kafka: EmbeddedKafka, tmp_path: Path) -> None:
    place = Installation(bootstrap, tmp_path)
    place.environment["CALLPULSE_KAFKA__PARTITIONS"] = "2"
    prefix = place.environment["CALLPULSE_KAFKA__TOPIC_PREFIX"]
    assert place("topics", "create").returncode == 0
    with place.worker() as (_, url):
        notes = [annotated(number, f"lead-{number % 20}", f"c{number}") for number in range(0, 60, 4)]
        produce(bootstrap, place.crm, [(note.lead.encode(), events.encode(note)) for note in notes])
        produce(bootstrap, place.calls, calls(range(60)))
        eventually(lambda: counted(url) == 60, within_s=60, what="the calls are counted")

        command = ("topics", "grow", "--partitions", 2, "--prefix", prefix)
        refused = place(*command)
        assert refused.returncode == 2
        assert "--prefix must be another one" in refused.stderr
        moved = place(*command, "--to", own_kafka.bootstrap)
        assert moved.returncode == 0, moved.stderr
        assert f'kafka.bootstrap = "{own_kafka.bootstrap}"' in moved.stdout
        again = orjson.loads(place(*command, "--to", own_kafka.bootstrap, "--json").stdout)["topics"]
        assert [topic["copied"] for topic in again] == [0, 0, 0]
        assert len(consume(own_kafka.bootstrap, place.calls)) == len(consume(bootstrap, place.calls))

        place.environment["CALLPULSE_BOOTSTRAP"] = own_kafka.bootstrap
        rebuilt = place("rebuild", "--json", "--group", f"{place.environment['CALLPULSE_KAFKA__GROUP']}-new", url)
        assert rebuilt.returncode == 0, rebuilt.stderr
        told = orjson.loads(rebuilt.stdout)
        assert told["compared"]
        assert told["figures"] > 1000
        assert told["differences"] == []
