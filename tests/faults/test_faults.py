"""Workers and brokers that are killed, suspended, or come and go under load: in the end every figure is exact.

Calls and the events of the CRM about them arrive together, so at any moment facts are under way between all hops, links
between leads among them.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from aiokafka.errors import NotEnoughReplicasError, RequestTimedOutError

from agents.embedded import EmbeddedKafka
from agents.kafka import clients
from streams.contract import topics
from streams.simulator import Record
from tests.faults.cluster import CONTROLLER, NODES, Cluster
from tests.faults.department import Feeding, Installation, Watch, chosen_seed, reached
from tests.faults.workers import WorkerProcess
from tests.kafka_fixture import eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(300)]

DAYS = 14
"""Long enough for leads to be linked, won and lost; a quarter would exercise no further code."""
KILLS = 10
EVENTS_S = 900.0
REFUSALS = {NotEnoughReplicasError, RequestTimedOutError}
"""The errors of a producer whose records Kafka refuses: it sends them again, and reports the refusal or a timeout."""
LEAVES = 70
"""The status of a worker that must not go on."""


def progress(place: Installation) -> int:
    """Records of `calls` that the running workers have folded since they began."""
    return sum(folded(worker) for worker in place.alive)


def folded(worker: WorkerProcess) -> int:
    """Records of `calls` that a worker has folded; 0 before it answers."""
    scrape = worker.scrape()
    if scrape is None:
        return 0
    lines = [line for line in scrape.text.splitlines() if line.startswith("callpulse_records_total{")]
    return int(sum(float(line.split()[-1]) for line in lines if '.calls"' in line))


def moments(place: Installation, count: int) -> Iterator[float]:
    """Random parts of the feed, in order, with a fault in every section of it."""
    width = 0.95 / count
    for number in range(count):
        yield number * width + place.random.uniform(0.1, 1.0) * width


def test_kill_9_at_ten_random_moments(bootstrap: str, tmp_path: Path) -> None:
    with Installation(bootstrap, tmp_path, chosen_seed(11)) as place:
        feeding = place.feed(place.history(DAYS, intensity=0.07), EVENTS_S)
        print(feeding.total, "records")
        worker = place.start("worker-1")
        back_s = []
        for part in moments(place, KILLS):
            eventually(reached(feeding, part), within_s=120)
            # Some fall into the start and the restore; most into the fold, the sends, the checkpoint.
            if place.random.random() < 0.8:
                worker.await_url()
                enough = place.random.randint(1, 1500)
                eventually(lambda: folded(worker) >= enough or feeding.done, within_s=60, what="something is folded")  # noqa: B023 - called within the iteration
            worker.kill()
            begun = time.monotonic()
            worker = place.start("worker-1")
            if place.random.random() < 0.3:
                eventually(lambda: worker.ready, within_s=60, what="the worker is ready again")  # noqa: B023 - called within the iteration
                back_s.append(round(time.monotonic() - begun, 1))
        feeding.join()
        found = place.assert_exact()
        print("ready again after", back_s, "s;", found)
        assert found.crm > 2_000


def test_sigterm_under_load(bootstrap: str, tmp_path: Path) -> None:
    with Installation(bootstrap, tmp_path, chosen_seed(12)) as place:
        feeding = place.feed(place.history(DAYS, intensity=0.035), EVENTS_S)
        for part in (0.15, 0.4, 0.65):
            worker = place.start("worker-1")
            worker.await_url()
            eventually(lambda: folded(worker) > 0, within_s=60, what="something is folded")  # noqa: B023 - called within the iteration
            eventually(reached(feeding, part), within_s=120)
            before = place.committed()
            assert worker.terminate() == 0
            assert place.committed() >= before
        place.start("worker-1")
        feeding.join()
        place.assert_exact()


def test_a_rebalance_storm_from_one_worker_to_three_and_back(bootstrap: str, tmp_path: Path) -> None:
    with Installation(bootstrap, tmp_path, chosen_seed(13)) as place, Watch(place) as watch:
        feeding = place.feed(place.history(DAYS, intensity=0.09), EVENTS_S)

        def until(part: float) -> None:
            eventually(reached(feeding, part), within_s=180)

        def ready(*names: str) -> None:
            for name in names:
                worker = place.workers[name]
                worker.await_url()
                eventually(lambda: worker.ready, within_s=90, what=f"{name} is ready")  # noqa: B023 - called within the iteration

        place.start("a")
        ready("a")
        until(0.1)
        place.start("b")
        place.start("c")
        ready("a", "b", "c")
        until(0.35)
        place.workers["b"].terminate(signal.SIGTERM)
        place.start("b")
        until(0.5)
        place.workers["c"].kill()
        place.workers["a"].terminate(signal.SIGINT)
        place.start("c")
        until(0.65)
        place.start("a")
        ready("a", "b", "c")
        until(0.8)
        place.workers["b"].kill()
        place.workers["c"].terminate(signal.SIGTERM)
        feeding.join()
        assert [worker.name for worker in place.alive] == ["a"]
        place.assert_exact()
    watch.assert_never_twice()


def test_kill_9_and_restart_of_the_broker_under_load(
    own_kafka: EmbeddedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The feed has to outlast the broker's absence, also where a busy machine takes its time to start another.
    monkeypatch.setattr(clients, "REQUEST_TIMEOUT_MS", 90_000)
    with Installation(own_kafka.bootstrap, tmp_path, chosen_seed(14)) as place:
        feeding = place.feed(place.history(DAYS, intensity=0.035), EVENTS_S)
        place.start("worker-1").await_url()
        for part in (0.25, 0.6):
            eventually(reached(feeding, part), within_s=120)
            eventually(lambda: restarted_if_ended(place) and progress(place) > 0, within_s=60, what="it folds")
            own_kafka.kill()
            own_kafka.restart()
        eventually(lambda: restarted_if_ended(place) and feeding.done, within_s=120, what="the feed is in Kafka")
        feeding.join()
        eventually(
            lambda: restarted_if_ended(place) and place.workers["worker-1"].ready, within_s=90, what="it is ready"
        )
        place.assert_exact()


def test_kill_9_of_one_broker_of_three_and_then_of_two_under_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The feed has to outlast the brokers' absence, as above.
    monkeypatch.setattr(clients, "REQUEST_TIMEOUT_MS", 90_000)
    with (
        Cluster(tmp_path) as kafka,
        Installation(kafka.bootstrap, tmp_path, chosen_seed(16), replication=len(NODES)) as place,
    ):
        names = [topic.name for topic in topics.declared(place.group, place.settings.kafka.topic_prefix)]
        kafka.await_in_sync(names)
        worker = place.start("worker-1")
        eventually(lambda: worker.ready, within_s=60, what="the worker is ready")
        history = place.history(DAYS, intensity=0.02)
        print(len(history), "records")
        first, second, third, last = quarters(history)

        feeding = begun(place, first)
        kafka.kill(2)
        all_folded(place, feeding)  # with one broker down
        feeding = begun(place, second)
        kafka.restart(2)
        kafka.await_in_sync(names)
        all_folded(place, feeding)

        feeding = begun(place, third)
        kafka.kill(CONTROLLER)
        kafka.restart(CONTROLLER)
        kafka.await_in_sync(names)
        all_folded(place, feeding)

        feeding = begun(place, last)
        kafka.kill(2, 3)
        kafka.await_in_sync(names, [1])
        acknowledged = feeding.acknowledged
        # Kafka may keep a record that it has not acknowledged. Only sources may write records without an event.
        sources = [place.topic(topic) for topic in (topics.CALLS, topics.CRM, topics.SPEECH)]
        assert {type(answer) for answer in kafka.send_one_to_each(sources)} <= REFUSALS
        assert feeding.acknowledged == acknowledged
        assert not feeding.done
        kafka.restart(2, 3)
        all_folded(place, feeding)

        assert restarted_if_ended(place)
        place.assert_exact()
        kept = Counter(record.value for record in place.raw() if record.value is not None)
        lost = Counter(record.value for record in history) - kept
        assert not lost


def quarters(records: list[Record]) -> Iterator[list[Record]]:
    """Cut into four parts, each later than the one before it."""
    for number in range(4):
        yield records[len(records) * number // 4 : len(records) * (number + 1) // 4]


def begun(place: Installation, records: list[Record]) -> Feeding:
    """Begin to send records, and return when the first of them are on their way."""
    feeding = place.feed(records, EVENTS_S)
    eventually(reached(feeding, 0.2), within_s=60, what="the feed is under way")
    return feeding


def all_folded(place: Installation, feeding: Feeding) -> None:
    """Wait until all records are acknowledged, folded and committed."""
    eventually(lambda: restarted_if_ended(place) and feeding.done, within_s=120, what="the feed is in Kafka")
    feeding.join()
    eventually(lambda: restarted_if_ended(place) and place.caught_up, within_s=90, every_s=0.3, what="it is committed")


def restarted_if_ended(place: Installation) -> bool:
    """Restart workers that ended by themselves, as a supervisor would."""
    for name, worker in list(place.workers.items()):
        if worker.status is not None:
            assert worker.status == LEAVES, f"status {worker.status}\n{worker.tail()}"
            place.start(name)
    return True


def test_a_worker_suspended_beyond_its_session_leaves_by_itself(bootstrap: str, tmp_path: Path) -> None:
    with Installation(bootstrap, tmp_path, chosen_seed(15)) as place, Watch(place) as watch:
        feeding = place.feed(place.history(DAYS, intensity=0.055), EVENTS_S)
        for name in ("a", "b"):
            place.start(name)
        for worker in place.workers.values():
            worker.await_url()
        stopped, other = place.workers["a"], place.workers["b"]
        eventually(lambda: shared(place, feeding), within_s=90, what="both have partitions and fold")
        stopped.send(signal.SIGSTOP)
        theirs = place.settings.kafka.partitions
        eventually(lambda: owned(other) == theirs, within_s=60, what="the other takes over all partitions")
        before = folded(other)
        eventually(lambda: folded(other) > before or feeding.done, within_s=30, what="the other folds")
        stopped.send(signal.SIGCONT)
        eventually(lambda: stopped.status is not None, within_s=30, what="the suspended worker ends by itself")
        assert stopped.status == LEAVES, stopped.tail()
        place.start("a")
        feeding.join()
        eventually(lambda: all(worker.ready for worker in place.alive), within_s=60, what="both are ready")
        place.assert_exact()
        assert [worker.name for worker in place.alive] == ["a", "b"]
    watch.assert_never_twice()


def owned(worker: WorkerProcess) -> int:
    """Return the number of partitions of the table of managers that a worker owns."""
    answer = worker.get("/-/ready")
    return 0 if answer is None else len(orjson.loads(answer[1])["partitions"]["managers"])


def shared(place: Installation, feeding: Feeding) -> bool:
    """Return whether every worker has partitions and has folded records."""
    return feeding.sent > 0 and all(owned(worker) and folded(worker) for worker in place.alive)
