"""A week of a simulated department through real Kafka, beside the batch oracle: every manager, window and measure."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.faults.department import Installation, chosen_seed
from tests.oracle.contract import why_not

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_week_of_a_hundred_thousand_events_gives_what_the_oracle_counts(bootstrap: str, tmp_path: Path) -> None:
    with Installation(bootstrap, tmp_path, chosen_seed(7), managers=40) as place:
        records = place.history(7, intensity=0.4)
        assert 80_000 < len(records) < 140_000
        feeding = place.feed(records)
        place.start("worker-1").await_url()
        feeding.join()
        found = place.assert_exact()
        print(found)
        assert found.records - found.own == len(records)
        assert found.duplicates > 1_000
        assert found.own > 100  # legs that transfers began, and ends that never came
        assert sum(found.rejected.values()) > 100
        # The comparison can see a single call in a hundred thousand events.
        raw = place.raw()
        ends = [
            record
            for record in raw
            if b'"hangup"' in (record.value or b"") and record.topic == "calls" and why_not(record) is None
        ]
        call = orjson.loads(ends[-1].value or b"")["call"].encode()
        without = [record for record in raw if call not in (record.value or b"")]
        assert place.differences(place.scrapes(), without)
