"""The parts of the demo and of the simulation that need no broker: pace, comparison, probe, and held back records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from agents.cli.demo.probe import Probe
from agents.cli.demo.verdict import mismatches
from agents.cli.simulate import Pending, records
from agents.kafka.feeder import Feeder
from agents.telemetry.scrape import Sample, Scrape, metrics_url, samples
from streams.metrics.catalogue import MANAGER_METRICS
from streams.simulator import Department, FaultRates, Truth, simulate

NOON_MS = 1_795_435_200_000
HOUR_MS = 3_600_000


class Arrived(NamedTuple):
    """A record with the fields that the feeder uses."""

    due_ms: int
    topic: str = "calls"
    key: str | None = "anna"
    value: bytes = b"{}"


class Kafka:
    """Replaces the producer: keeps records, with the time at which they came."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.got: list[tuple[float, str, bytes | None]] = []

    async def add(self, topic: str, key: bytes | None, _value: bytes) -> None:
        self.got.append((self.clock.now, topic, key))

    async def push(self) -> None:
        """Do nothing: no record is held back."""

    async def flush(self) -> None:
        """Do nothing: all records are stored."""


class Clock:
    """A clock that the feeder's pauses advance."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    async def nap(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(NOON_MS / 1000)
    monkeypatch.setattr("agents.kafka.feeder.asyncio.sleep", made.nap)
    return made


def feeder(kafka: Kafka, **more: object) -> Feeder[Arrived]:
    return Feeder(kafka, clock=kafka.clock, **more)  # type: ignore[arg-type]  # stands for a producer


class TestFeeder:
    async def test_history_leaves_at_once_and_the_present_when_it_is_due(self, clock: Clock) -> None:
        kafka = Kafka(clock)
        await feeder(kafka).run([Arrived(NOON_MS - 5000), Arrived(NOON_MS - 1), Arrived(NOON_MS + 2000)])
        assert [round(at - NOON_MS / 1000, 3) for at, _, _ in kafka.got] == [0, 0, 2]

    async def test_history_is_played_as_fast_as_it_is_asked_for(self, clock: Clock) -> None:
        kafka = Kafka(clock)
        due = [NOON_MS - 20_000, NOON_MS - 10_000, NOON_MS]
        await feeder(kafka, speed=10).run(map(Arrived, due))
        assert [round(at - NOON_MS / 1000, 3) for at, _, _ in kafka.got] == [0, 1, 2]

    async def test_a_rate_is_kept(self, clock: Clock) -> None:
        kafka = Kafka(clock)
        await feeder(kafka, rate=4).run(Arrived(NOON_MS - 1000) for _ in range(5))
        assert [round(at - NOON_MS / 1000, 3) for at, _, _ in kafka.got] == [0, 0.25, 0.5, 0.75, 1]

    async def test_what_is_due_after_the_end_is_not_sent(self, clock: Clock) -> None:
        kafka = Kafka(clock)
        await feeder(kafka).run(
            [Arrived(NOON_MS - 1), Arrived(NOON_MS + 1000), Arrived(NOON_MS + 9000)], NOON_MS + 5000
        )
        assert len(kafka.got) == 2

    async def test_being_stopped_ends_the_wait_without_sending(self, clock: Clock) -> None:
        kafka = Kafka(clock)
        made: Feeder[Arrived] = feeder(kafka, on_sent=lambda _record: made.stop.set())
        await made.run([Arrived(NOON_MS - 1), Arrived(NOON_MS - 1)])
        assert len(kafka.got) == 1

    async def test_live_begins_with_the_first_record_that_is_not_due_yet(self, clock: Clock) -> None:
        kafka = Kafka(clock)
        live: list[bool] = []
        made: Feeder[Arrived] = feeder(kafka, on_sent=lambda _record: live.append(made.live.is_set()))
        await made.run([Arrived(NOON_MS - 1), Arrived(NOON_MS + 100)])
        assert live == [False, True]

    async def test_the_prefix_of_the_installation_goes_before_the_topic(self, clock: Clock) -> None:
        kafka = Kafka(clock)
        await feeder(kafka, prefix="test.").run([Arrived(NOON_MS), Arrived(NOON_MS, key=None)])
        assert [(topic, key) for _, topic, key in kafka.got] == [("test.calls", b"anna"), ("test.calls", None)]

    @pytest.mark.parametrize("pace", [{"speed": 2, "rate": 2}, {"speed": 0}, {"rate": -1}])
    def test_a_pace_that_cannot_be_is_refused(self, clock: Clock, pace: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="speed and rate"):
            feeder(Kafka(clock), **pace)


class TestHeldBack:
    def test_the_truth_hears_of_a_record_only_when_it_is_sent(self) -> None:
        department, truth = a_department()
        for sent, record in enumerate(records(department, NOON_MS - HOUR_MS, NOON_MS, truth, FaultRates())):
            assert truth.produced + truth.crm["produced"] == sent
            record.sent()
            assert truth.produced + truth.crm["produced"] == sent + 1
        assert truth.crm["produced"]

    def test_the_figures_are_those_of_a_truth_that_hears_directly(self) -> None:
        department, truth = a_department()
        for record in records(department, NOON_MS - HOUR_MS, NOON_MS, truth, FaultRates()):
            record.sent()
        direct = Truth(department.settings)
        for _ in simulate(department, NOON_MS - HOUR_MS, NOON_MS, truth=direct, crm=True):
            pass
        assert truth.figures(truth.now_ms) == direct.figures(truth.now_ms)


class TestVerdict:
    def test_figures_that_are_right_are_not_told(self) -> None:
        truth = worked()
        assert mismatches(scrape_of(truth), truth) == []

    def test_a_figure_that_is_wrong_by_one_is_told_with_what_it_should_be(self) -> None:
        truth = worked()
        right = scrape_of(truth)
        name, labels, value = next(
            (name, labels, value)
            for (name, labels), value in truth.figures(truth.now_ms).items()
            if value and name == "calls"
        )
        wrong = right._replace(text=right.text.replace(line(name, labels, value), line(name, labels, value + 1)))
        (told,) = mismatches(wrong, truth)
        assert told == f"calls{labels} is {value + 1}; it should be {value}"

    def test_a_figure_that_is_missing_or_should_not_be_there_is_told(self) -> None:
        truth = worked()
        right = scrape_of(truth)
        some = next(text for text in right.text.splitlines() if "calls_in_progress" in text)
        assert len(mismatches(right._replace(text=right.text.replace(some + "\n", "")), truth)) == 1
        more = some.replace("calls_in_progress{", "calls{").replace("}", ',window="2h",direction="outbound"}')
        assert len(mismatches(right._replace(text=right.text + more + "\n"), truth)) == 1

    def test_an_empty_scrape_is_wrong_in_every_figure(self) -> None:
        truth = worked()
        assert len(mismatches(scrape_of(truth)._replace(text=""), truth)) > 100

    def test_managers_whom_the_simulator_does_not_know_are_left_out(self) -> None:
        truth = worked()
        right = scrape_of(truth)
        assert (
            mismatches(right._replace(text=right.text + line("calls_in_progress", ("pbx-101", "x"), 3) + "\n"), truth)
            == []
        )

    def test_a_figure_that_grows_with_the_clock_may_be_of_any_moment_of_the_scrape(self) -> None:
        truth = worked()
        long = scrape_of(truth, took_ms=5000)
        assert mismatches(long, truth) == []
        assert mismatches(
            scrape_of(truth)._replace(began_ms=truth.now_ms + 60_000, ended_ms=truth.now_ms + 61_000), truth
        )


class TestProbe:
    def test_the_delay_is_from_sending_to_the_first_scrape_that_shows_the_record(self) -> None:
        probe = Probe("http://nowhere/metrics", "calls")
        now = 1000.0
        probe.sent(Arrived(NOON_MS + 50, value=b'{"at": %d}' % NOON_MS))
        probe.seen(newest((NOON_MS - 1) / 1000), now)
        assert probe.delays_ms == []
        probe.seen(newest(NOON_MS / 1000), now + 3)
        (delay,) = probe.delays_ms
        assert probe.percentile(0.99) == round(delay, 1)

    def test_only_a_record_that_is_newer_than_all_before_it_is_measured(self) -> None:
        probe = Probe("http://nowhere/metrics", "calls")
        for at in (NOON_MS, NOON_MS - 5, NOON_MS):
            probe.sent(Arrived(NOON_MS + 50, value=b'{"at": %d}' % at))
        for odd in (b"no json", b'{"at": 4070908800000}', b"[" * 100_000):
            probe.sent(Arrived(NOON_MS + 50, value=odd))
        probe.seen(newest(NOON_MS / 1000), 1e9)
        assert len(probe.delays_ms) == 1

    def test_without_a_record_there_is_no_delay(self) -> None:
        assert Probe("http://nowhere/metrics", "calls").percentile(0.5) is None


class TestScrape:
    def test_samples_have_plain_labels_and_no_prefix(self) -> None:
        text = (
            "# HELP callpulse_calls Calls.\n"
            'callpulse_calls{manager="a\\"b\\\\c\\nd",window="today"} 3\n'
            "callpulse_rebalances_total 1e+03\n"
            "process_cpu_seconds_total 5\n"
            "callpulse_broken{\n"
        )
        assert list(samples(text)) == [
            Sample("calls", {"manager": 'a"b\\c\nd', "window": "today"}, 3.0),
            Sample("rebalances_total", {}, 1000.0),
        ]
        assert [sample.name for sample in samples(text, {"calls"})] == ["calls"]

    @pytest.mark.parametrize(
        ("address", "url"),
        [
            ("localhost:8787", "http://localhost:8787/metrics"),
            ("http://worker-1:8787", "http://worker-1:8787/metrics"),
            ("https://worker-1/", "https://worker-1/metrics"),
            ("http://proxy/worker-1/metrics", "http://proxy/worker-1/metrics"),
        ],
    )
    def test_an_address_may_be_short(self, address: str, url: str) -> None:
        assert metrics_url(address) == url


def a_department() -> tuple[Department, Truth]:
    department = Department.make(5, 6, 2, always=True)
    return department, Truth(department.settings)


def worked() -> Truth:
    """The truth of a department that has worked for three hours."""
    department, truth = a_department()
    for record in all_until(records(department, NOON_MS - 3 * HOUR_MS, NOON_MS, truth, FaultRates()), NOON_MS):
        record.sent()
    return truth


def all_until(made: Iterator[Pending], until_ms: int) -> Iterator[Pending]:
    for record in made:
        if record.due_ms > until_ms:
            return
        yield record


def scrape_of(truth: Truth, took_ms: int = 0) -> Scrape:
    """A scrape with the true answers, read in the middle of it."""
    now_ms = truth.now_ms
    answers = truth.figures(now_ms + took_ms // 2)
    text = "".join(line(name, labels, value) + "\n" for (name, labels), value in answers.items())
    return Scrape("http://nowhere/metrics", now_ms, now_ms + took_ms, text)


def line(name: str, values: tuple[str, ...], value: float) -> str:
    labels = next(metric.labels for metric in MANAGER_METRICS if metric.name == name)
    pairs = ",".join(f'{label}="{value}"' for label, value in zip(labels, values, strict=True))
    return f"callpulse_{name}{{{pairs}}} {value!r}"


def newest(seconds: float) -> str:
    return f'callpulse_newest_event_timestamp_seconds{{topic="calls"}} {seconds!r}\n'
