"""Makes and connects the parts of a worker: tables, delivery, agents, the application. Enter at `create_worker`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

from faust.types import TP

from agents.application import Callpulse, faust_application
from agents.calls import CallsAgent
from agents.crm import CrmAgent
from agents.delivery import transport
from agents.delivery.intake import Intake, PrivateIntake
from agents.delivery.lost_records import LostRecords
from agents.delivery.offsets import OffsetTracker
from agents.delivery.outbox import Outbox
from agents.delivery.session import Session
from agents.delivery.worker_metrics import WorkerMetrics
from agents.exit import Fail, abort
from agents.kafka.clients import full_name
from agents.kafka.topic_history import KnownTopic, commit_tag, position_base
from agents.leads import LeadsAgent
from agents.lexicons import lexicon_of
from agents.loop import Fold, FoldLoop, sweep
from agents.outcomes import OutcomesAgent
from agents.speech import SpeechAgent
from agents.state.checkpoint import Checkpoint
from agents.state.expiry import Expiry
from agents.state.in_memory import Kind
from agents.state.recovery import Recovery
from agents.state.rocksdb import MEMTABLES, SMALL_MEMTABLES, Store
from agents.state.tables import OnDisk, RowTable
from agents.state.worker_state import WorkerState
from agents.telemetry.lag import Lag
from streams.calendars import manager_time
from streams.contract import topics
from streams.settings.settings import Kafka, Settings
from streams.speech.reading import Reader
from streams.tables import changelog as records
from streams.tables.coaching.contributions import outcome_of
from streams.tables.lead import codec
from streams.tables.lead.fold import LeadFold
from streams.tables.lead.row import LeadRecords, LeadRow
from streams.tables.manager.codec import ManagerRecords
from streams.tables.outcome.fold import OutcomeRecords
from streams.tables.transcript.fold import TranscriptFold
from streams.tables.transcript.row import TranscriptRecords, TranscriptRow
from streams.units import DAY_MS


class Worker(NamedTuple):
    """The parts of one worker. `fail` is called with an error that the worker cannot survive."""

    settings: Settings
    app: Callpulse
    metrics: WorkerMetrics
    tracker: OffsetTracker
    outbox: Outbox
    state: WorkerState
    session: Session
    recovery: Recovery
    lag: Lag
    loop: FoldLoop
    agents: Mapping[str, Fold]
    fail: Fail

    def name(self, topic: topics.Topic) -> str:
        """Return the name of a topic in this installation."""
        return full_name(self.settings.kafka, topic)

    def partition_for(self, key: bytes) -> int:
        """Return the partition that a key belongs to."""
        return topics.partition_of(key, self.settings.kafka.partitions)

    @property
    def consumer(self) -> transport.BatchConsumer:
        """The consumer. Faust makes it at the first access."""
        return cast(transport.BatchConsumer, self.app.consumer)


def create_worker(
    settings: Settings,
    fail: Fail = abort,
    known: Mapping[str, KnownTopic] = {},
    *,
    named_facts: bool = False,
    deal_rows: bool = False,
) -> Worker:
    """Return the parts of a worker for `settings`, connected and not started.

    `known` are the group's topics; they, `named_facts` and `deal_rows` are from the settings log
    (`agents/kafka/settings_log.py`).

    Call it inside the event loop that will run the worker: Faust binds its objects to a loop.
    """
    app = faust_application(settings)

    def consumer() -> transport.BatchConsumer:
        return cast(transport.BatchConsumer, app.consumer)

    async def commit(offsets: Mapping[TP, int]) -> bool:
        return await consumer().commit_offsets(offsets)

    kafka = settings.kafka
    generations = {name: topic.generation for name, topic in known.items()}
    metrics, tracker = WorkerMetrics(), OffsetTracker()
    session = Session(
        timeout_ms=kafka.session_timeout_ms,
        heartbeat_ms=kafka.heartbeat_interval_ms,
        worker=settings.worker.id,
        group=kafka.group,
        fail=fail,
    )
    restoring: dict[TP, int] = {}
    on_disk = _on_disk(settings)
    outbox = Outbox(
        lambda: cast(Any, app.producer)._producer,  # noqa: SLF001 - Faust has no batch interface
        fail,
        watched=frozenset(topics.changelog(name, kafka.group).name for name in on_disk),
    )
    tables: dict[str, RowTable[Any]] = {
        name: RowTable(
            app, name=name, kind=kind, tracker=tracker, restoring=restoring, fail=fail, disk=on_disk.get(name)
        )
        for name, kind in _kinds(settings).items()
    }
    for table in tables.values():
        app.tables.add(table)
    sources = {name: full_name(kafka, topics.TABLES[name]) for name in tables}
    state = WorkerState(tables, sources, Checkpoint(list(tables.values()), outbox, tracker, commit), fail)
    app.worker_state = state
    app.delivery = transport.Delivery(
        sources=(full_name(kafka, topic) for topic in topics.TAKEN_IN),
        changelogs=(topics.changelog(name, kafka.group).name for name in topics.TABLES),
        tracker=tracker,
        restoring=restoring,
        commit_tags=_commit_tags(kafka, generations),
        session=session,
        checkpoint=state.run_checkpoint,
        release=state.release,
    )
    loop = FoldLoop(
        tracker=tracker,
        outbox=outbox,
        state=state,
        consumer=consumer,
        crash_error=app.crash_error,
        step_ms=settings.worker.batch_ms,
        fail=fail,
    )
    worker = Worker(
        settings=settings,
        app=app,
        metrics=metrics,
        tracker=tracker,
        outbox=outbox,
        state=state,
        session=session,
        recovery=Recovery(app, tables, restoring, kafka, session),
        lag=Lag(tracker, consumer),
        loop=loop,
        agents=_agents(
            settings,
            tables,
            metrics,
            outbox,
            generations,
            kafka.group.encode() if named_facts else None,
            deal_rows=deal_rows,
        ),
        fail=fail,
    )
    _declare(worker)
    return worker


def _declare(worker: Worker) -> None:
    """Register the agents and the background tasks with Faust."""
    app, loop = worker.app, worker.loop
    for name, fold in worker.agents.items():
        source = topics.TABLES.get(name, topics.CRM)
        topic = worker.name(source)
        channel = app.topic(
            topic, key_serializer="raw", value_serializer=transport.CODEC, partitions=app.conf.topic_partitions
        )

        async def agent(stream: Any, fold: Fold = fold, topic: str = topic) -> None:
            await loop.consume(stream, fold, topic)

        agent.__name__ = f"{source.name}_agent"
        app.agent(channel, name=f"callpulse.{source.name}", concurrency=1)(agent)

    async def send() -> None:
        await worker.outbox.run()  # Faust looks at the signature, which a compiled method does not have

    lost = LostRecords(worker.tracker, lambda: worker.consumer, worker.metrics)
    for work in (send, loop.watch_delivery, lost.watch, *_background(worker)):
        app.task(work)


def _background(worker: Worker) -> list[Any]:
    """Return the tasks that maintain rows: ends that never came, and leads and transcripts that expire."""
    lag = worker.lag

    async def sweep_legs() -> None:
        calls = worker.agents["managers"]
        assert isinstance(calls, CallsAgent)  # noqa: S101 - tells mypy
        await sweep(calls, partial(lag.caught_up, worker.name(topics.CALLS)))

    async def sweep_transcripts() -> None:
        speech = worker.agents["transcripts"]
        assert isinstance(speech, SpeechAgent)  # noqa: S101 - tells mypy
        await sweep(speech, partial(lag.caught_up, worker.name(topics.SPEECH)))

    async def expire_leads() -> None:
        after_ms = worker.settings.results.lead_expiry_days * DAY_MS
        expiry = Expiry(worker.state.tables["leads"], after_ms)
        # While a history is fed in, a lead that is old by the clock may still get events.
        await expiry.run(partial(lag.caught_up, worker.name(topics.CONTACTS)))

    return [sweep_legs, sweep_transcripts, expire_leads]


def _agents(
    settings: Settings,
    tables: Mapping[str, RowTable[Any]],
    metrics: WorkerMetrics,
    outbox: Outbox,
    generations: Mapping[str, int],
    maker: bytes | None,
    *,
    deal_rows: bool,
) -> dict[str, Fold]:
    """Return the agents by the table that they fold into; the agent of `crm` has no table."""
    kafka = settings.kafka
    partition_for = topics.partitioner(kafka.partitions)
    contacts, outcomes = full_name(kafka, topics.CONTACTS), full_name(kafka, topics.OUTCOMES)
    speech, features = full_name(kafka, topics.SPEECH), full_name(kafka, topics.FEATURES)

    def intake(topic: topics.Topic, key_rule: str | None = None, kind: type[Intake] = Intake) -> Intake:
        return kind(
            full_name(kafka, topic),
            outbox=outbox,
            metrics=metrics,
            partition_for=partition_for,
            rejected=full_name(kafka, topics.REJECTED),
            key_rule=key_rule,
            position_base=position_base(generations.get(full_name(kafka, topic), 0)),
            maker=maker,
        )

    calls = intake(topics.CALLS, "the key of a record of `calls` is its manager")
    crm = intake(topics.CRM, "the key of a record of `crm` is its lead")
    spoken = intake(topics.SPEECH, "the key of a record of `speech` is its manager", PrivateIntake)
    lexicon = lexicon_of(settings)
    transcript_fold = TranscriptFold(Reader(lexicon, settings.speech), settings.speech, lexicon.version)
    lead_fold = LeadFold(settings.results, settings.thresholds, settings.economics, partial(manager_time, settings))
    return {
        "managers": CallsAgent(settings, tables["managers"], calls, outbox, partition_for, contacts, speech),
        "crm": CrmAgent(settings, crm, outbox, partition_for, contacts, deal_rows=deal_rows),
        "leads": LeadsAgent(tables["leads"], lead_fold, intake(topics.CONTACTS), outbox, partition_for, outcomes),
        "outcomes": OutcomesAgent(tables["outcomes"], intake(topics.OUTCOMES)),
        "transcripts": SpeechAgent(
            settings, tables["transcripts"], transcript_fold, spoken, outbox, partition_for, features
        ),
        "coaching": OutcomesAgent(tables["coaching"], intake(topics.FEATURES), outcome_of),
    }


def _commit_tags(kafka: Kafka, generations: Mapping[str, int]) -> dict[str, str]:
    """Return, by source topic, the text that is committed with its offsets."""
    changelogs = {source.name: topics.changelog(table, kafka.group).name for table, source in topics.TABLES.items()}
    return {
        full_name(kafka, source): commit_tag(
            generations.get(full_name(kafka, source), 0), generations.get(changelogs.get(source.name, ""), 0)
        )
        for source in topics.TAKEN_IN
    }


def _on_disk(settings: Settings) -> dict[str, OnDisk[Any]]:
    """Return the stores of the tables: all rows of leads are there, and copies of the rows that are in memory."""
    if settings.worker.store == "memory":
        return {}
    kafka = settings.kafka
    folder = Path(settings.worker.data_dir) / settings.worker.id

    def store(table: str, layout: str, memtables: int) -> Store:
        identity: dict[str, str | int] = {
            "changelog": topics.changelog(table, kafka.group).name,
            "partitions": kafka.partitions,
            "layout": layout,
        }
        return Store(folder / table, identity, memtables)

    layout = str(records.LAYOUT)
    return {
        "managers": OnDisk(store("managers", layout, SMALL_MEMTABLES)),
        "leads": OnDisk(store("leads", f"{records.LAYOUT}.{codec.LAYOUT}", MEMTABLES), LeadRow),
        "outcomes": OnDisk(store("outcomes", layout, SMALL_MEMTABLES)),
        "transcripts": OnDisk(store("transcripts", layout, MEMTABLES), TranscriptRow),
        "coaching": OnDisk(store("coaching", layout, SMALL_MEMTABLES)),
    }


def _kinds(settings: Settings) -> dict[str, Kind[Any]]:
    """Return the row format of each table."""
    managers = ManagerRecords(partial(manager_time, settings), settings.thresholds.day_rows)
    return {
        "managers": managers,
        "leads": LeadRecords(),
        "outcomes": OutcomeRecords(),
        "transcripts": TranscriptRecords(),
        "coaching": OutcomeRecords(),
    }
