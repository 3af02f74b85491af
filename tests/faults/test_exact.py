"""A simulated quarter through real Kafka, beside the batch oracle: every manager, team, window and measure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.faults.department import Installation, chosen_seed
from tests.oracle.contract import Raw, why_not
from tests.oracle.names import RESULTS, TEAMS

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(400)]

DAYS = 115
"""A quarter, and enough of the one before it for figures of the window `previous`."""
# With these the history has about 50 stuck leads, whenever it ends; with the defaults it has none at some hours.
MORE = """
[results]
products = ["starter"]
max_values = 4
mentor_after = 2
stuck_after = 3
attention_series = 5
[economics]
currencies = ["EUR", "USD"]
"""


def test_a_quarter_gives_what_the_oracle_counts(bootstrap: str, tmp_path: Path) -> None:
    with Installation(bootstrap, tmp_path, chosen_seed(7), managers=10, more=MORE) as place:
        records = place.history(DAYS, intensity=0.04)
        assert 100_000 < len(records) < 220_000
        feeding = place.feed(records)
        place.start("worker-1").await_url()
        feeding.join()
        found = place.assert_exact()
        print(found)
        assert found.records - found.own + found.crm == len(records)
        assert found.duplicates > 1_000
        assert found.own > 100  # legs that began with a transfer, and legs without an end
        assert found.crm > 10_000
        assert sum(found.rejected.values()) > 100
        raw = place.raw()
        scrapes = place.scrapes()
        shown = {line.partition("{")[0] for line in scrapes[0].text.splitlines() if not line.endswith((" 0", " 0.0"))}
        assert shown >= RESULTS | TEAMS
        # The comparison detects a single call and a single deal among all these.
        hangup = newest(raw, lambda event: event.get("ended_by") == "hangup")
        assert place.differences(
            scrapes, [record for record in raw if hangup["call"].encode() not in (record.value or b"")]
        )
        # The simulator also writes edge cases, which name no manager and change no figure; the newest may be one.
        won = newest(raw, lambda event: event.get("stage") == "won" and "manager" in event)
        assert place.differences(scrapes, [record for record in raw if won["id"].encode() not in (record.value or b"")])


def newest(raw: list[Raw], which: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the newest accepted event of a type. The last one to arrive may be days late, and count in no figure."""
    events: list[dict[str, Any]] = [
        orjson.loads(record.value or b"")
        for record in raw
        if record.topic in {"calls", "crm"} and why_not(record) is None
    ]
    return max(filter(which, events), key=lambda event: event["at"])
