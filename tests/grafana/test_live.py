"""Silence against outage, for real: Prometheus scrapes, rules fire, Alertmanager routes and inhibits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.grafana.live import Live, Worker, eventually, hastened, paging, running
from tests.grafana.tooling import RULES

SILENT = ("SilenceOnShift", "anna")


def department(*, newest_age_s: float, idle_s: float, partitions: int = 2) -> Any:
    """Return a worker's metrics of one manager on shift and of the feed."""

    def says() -> str:
        lines = [
            'callpulse_on_shift{manager="anna",team="berlin"} 1',
            f'callpulse_idle_seconds{{manager="anna",team="berlin"}} {idle_s}',
            f'callpulse_newest_event_timestamp_seconds{{topic="calls"}} {time.time() - newest_age_s}',
            f'callpulse_records_total{{topic="calls"}} {int(time.time())}',
            *(f'callpulse_lag_records{{topic="calls",partition="{number}"}} 0' for number in range(partitions)),
        ]
        return "\n".join(lines) + "\n"

    return says


def pages(live: Live) -> list[tuple[str, ...]]:
    """Return the pages of all receivers, sorted, without those from before the first scrape."""
    return sorted(tuple(page) for page in live.pager.pages if page.alert != "WorkerDown")


@pytest.mark.slow
def test_an_outage_is_told_from_silence_and_holds_it_back_all_the_way_to_the_supervisor(tmp_path: Path) -> None:
    with running(tmp_path) as live:
        # All managers are quiet: the feed is down, and no manager is silent.
        live.worker.says = department(newest_age_s=3600, idle_s=3600)
        eventually(lambda: ("FeedDown", "") in live.firing(), "FeedDown fires")
        assert SILENT not in live.firing()
        eventually(
            lambda: live.delivered().get("FeedDown") == ("active", ["ops", "supervisors"]), "both hear of the outage"
        )
        eventually(lambda: len(pages(live)) >= 2, "both are paged")
        assert pages(live) == [("ops", "FeedDown", "", "firing"), ("supervisors", "FeedDown", "", "firing")]

        # Others call again, Anna does not: once the feed has been up for long enough, she is silent.
        live.worker.says = department(newest_age_s=1, idle_s=3600)
        eventually(lambda: ("FeedDown", "") not in live.firing(), "FeedDown ends")
        assert SILENT not in live.firing()
        eventually(lambda: SILENT in live.firing(), "SilenceOnShift fires")
        eventually(
            lambda: live.delivered().get("SilenceOnShift") == ("active", ["supervisors"]), "the supervisor hears of it"
        )
        # One page by the route of supervisors, and before it the end of the outage to both; no other pages.
        eventually(lambda: len(pages(live)) >= 5, "the supervisor is paged")
        assert pages(live) == [
            ("ops", "FeedDown", "", "firing"),
            ("ops", "FeedDown", "", "resolved"),
            ("supervisors", "FeedDown", "", "firing"),
            ("supervisors", "FeedDown", "", "resolved"),
            ("supervisors", *SILENT, "firing"),
        ]

        # She calls: the supervisor gets the end of the silence, and there are no other messages.
        live.worker.says = department(newest_age_s=1, idle_s=0)
        eventually(lambda: len(pages(live)) >= 6, "the end is told")
        assert pages(live)[-2:] == [("supervisors", *SILENT, "firing"), ("supervisors", *SILENT, "resolved")]

        live.worker.says = department(newest_age_s=1, idle_s=3600)
        eventually(lambda: SILENT in live.firing(), "SilenceOnShift fires again")

        # A partition without a worker: alerts on managers may be wrong, so they are held back.
        live.worker.says = department(newest_age_s=1, idle_s=3600, partitions=1)
        eventually(lambda: ("PartitionsUnowned", "") in live.firing(), "PartitionsUnowned fires")
        eventually(
            lambda: live.delivered().get("SilenceOnShift") == ("suppressed", ["supervisors"]), "silence is inhibited"
        )

        # No worker at all: the figures end, and so do the alerts on managers.
        live.worker.up = False
        eventually(lambda: ("WorkerDown", "") in live.firing(), "WorkerDown fires")
        eventually(lambda: SILENT not in live.firing(), "SilenceOnShift ends without figures")
        eventually(lambda: live.delivered()["PartitionsUnowned"][0] == "suppressed", "what follows is held back")


def test_a_worker_that_stopped_has_left_its_port() -> None:
    worker = Worker()
    worker.stop()
    again = Worker()
    again.stop()
    assert worker.address.startswith("127.0.0.1:")


def test_the_hastened_rules_are_the_rules_with_spans_of_a_sixtieth() -> None:
    whole = {path.stem: path.read_text("utf-8") for path in RULES}
    fast = {name: hastened(text) for name, text in whole.items()}
    assert "feed_quiet[20000ms]" in fast["activity"]
    assert "[5760000ms:10s] offset 60000ms" in fast["activity"]
    assert "callpulse_idle_seconds:max > 1200" in fast["activity"]
    assert "for: 3s" in fast["operations"]
    assert all("m]" not in text for text in fast.values())


def test_the_pages_go_to_webhooks_by_the_routes_that_are_deployed() -> None:
    route = {"receiver": "ops", "group_wait": "15s", "routes": [{"receiver": "ops", "repeat_interval": "119h"}]}
    assert paging({"route": route, "receivers": [{"name": "ops"}]}, "http://pager") == {
        "route": {
            "receiver": "ops",
            "group_wait": "250ms",
            "routes": [{"receiver": "ops", "repeat_interval": "7140000ms"}],
        },
        "receivers": [{"name": "ops", "webhook_configs": [{"url": "http://pager/ops"}]}],
    }
