from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agents.gateway.live import LinkState
from agents.gateway.live_service import LinkMetrics
from agents.gateway.metrics import UNKNOWN, GatewayMetrics
from streams.contract.events import CallAnswered
from streams.metrics.gateway import GATEWAY_METRICS
from streams.units import HOUR_MS

NOW_S = 1_795_435_200.0


def event(number: int, late_ms: int = 0) -> CallAnswered:
    at = int(NOW_S * 1000) - late_ms
    return CallAnswered(v=1, id=f"e{number}", at=at, source="pbx", call="c", manager="m")


def samples(metrics: GatewayMetrics) -> dict[tuple[str, tuple[str, ...]], float]:
    metrics.refresh()
    found = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.values()))
            found[sample.name.removeprefix("callpulse_"), labels] = sample.value
    return found


def test_results_of_a_source_are_counted_and_its_last_word_is_known() -> None:
    metrics = GatewayMetrics(lambda: NOW_S)
    metrics.announce("mine")
    metrics.stored("mine", [event(1), event(2), event(1)], ["accepted", "accepted", "duplicate"])
    metrics.rejected("mine", ["not_json", "not_json", "future"])
    metrics.not_stored("mine", 4)
    metrics.unauthenticated()
    metrics.polled("mine", ["accepted", "duplicate"])
    metrics.gap("mine")
    metrics.gaps_filled("mine", 2, 3)
    metrics.link_moved("mine", messages=9, lost=4, gap_s=0.5)
    metrics.statements_left_out("mine", 7)
    found = samples(metrics)
    assert {name: found[f"source_{name}", ("mine",)] for name in ("received_total", "accepted_total")} == {
        "received_total": 10,
        "accepted_total": 2,
    }
    assert found["source_duplicates_total", ("mine",)] == 1
    assert found["source_rejected_total", ("mine", "not_json")] == 2
    assert found["source_not_stored_total", ("mine",)] == 4
    assert found["source_unauthenticated_total", ("mine",)] == 0
    assert found["source_unauthenticated_total", (UNKNOWN,)] == 1
    assert found["source_polled_unpushed_total", ("mine",)] == 1
    assert found["source_gaps_total", ("mine",)] == 1
    assert found["source_gaps_filled_total", ("mine",)] == 2
    assert found["source_gaps_unfilled", ("mine",)] == 3
    assert found["source_messages_total", ("mine",)] == 9
    assert found["source_messages_lost_total", ("mine",)] == 4
    assert found["source_statements_left_out_total", ("mine",)] == 7
    assert found["source_last_heard_timestamp_seconds", ("mine",)] == NOW_S


def test_what_a_link_lost_is_counted_once() -> None:
    metrics, state = GatewayMetrics(lambda: NOW_S), LinkState(heard=9, lost=4)
    link = LinkMetrics("mine", metrics)
    link.update(state, 0)
    link.update(state, 0)
    assert samples(metrics)["source_messages_lost_total", ("mine",)] == 4
    state.lost += 1
    link.update(state, 0)
    assert samples(metrics)["source_messages_lost_total", ("mine",)] == 5


def test_the_skew_is_a_running_median_of_new_events_and_a_zone_is_flagged() -> None:
    metrics = GatewayMetrics(lambda: NOW_S)
    for number in range(101):
        metrics.stored("zone", [event(number, 3 * HOUR_MS + number)], ["accepted"])
        metrics.stored("mine", [event(number, number)], ["accepted"])
        metrics.stored("mine", [event(number, 3 * HOUR_MS)], ["duplicate"])  # a retry is late for a different reason
    found = samples(metrics)
    assert found["source_skew_seconds", ("zone",)] == 3 * 3600 + 0.05
    assert found["source_skew_seconds", ("mine",)] == 0.05
    assert found["source_skew_zone", ("zone",)] == 1
    assert found["source_skew_zone", ("mine",)] == 0
    for number in range(101):
        metrics.stored("zone", [event(number)], ["accepted"])  # corrected
    assert samples(metrics)["source_skew_zone", ("zone",)] == 0


def test_every_metric_of_the_catalogue_is_exported_with_its_labels() -> None:
    registry = GatewayMetrics().registry
    kinds = {family.name: (family.type, family.documentation) for family in registry.collect()}
    for metric in GATEWAY_METRICS:
        assert kinds[metric.full_name.removesuffix("_total")] == (metric.type, metric.help)
        assert metric.labels in {(), ("source",), ("source", "reason"), ("source", "result")}
