"""The application: topics, tables and agents on Faust, put together by `create_app`."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any, Final

import faust
from yarl import URL

from agents.calls import CallsAgent
from agents.core import Core, Fail, Fold, leave
from agents.crm import CrmAgent
from agents.delivery import transport
from agents.delivery.assignor import Assignor
from agents.leads import LeadsAgent
from agents.outcomes import OutcomesAgent
from agents.state.rocksdb import Store
from agents.state.tables import Kind, OnDisk
from streams.calendars import local_time
from streams.contract import topics
from streams.settings.settings import Kafka, Settings
from streams.tables import changelog as records
from streams.tables.lead import codec
from streams.tables.lead.fold import LeadFold
from streams.tables.lead.row import LeadRecords, LeadRow
from streams.tables.manager.codec import ManagerRecords
from streams.tables.outcome.fold import OutcomeRecords

MAX_REQUEST: Final = 4 * 1024 * 1024


class Callpulse(faust.App):
    """The Faust application of one worker. Use `create_app`."""

    delivery: transport.Delivery
    callpulse: Core

    async def on_first_start(self) -> None:
        """Make the worker's own folder, which Faust expects to be there."""
        self.conf.datadir.parent.mkdir(parents=True, exist_ok=True)
        self.callpulse.open_stores()
        await super().on_first_start()

    async def on_shutdown(self) -> None:
        """Close what lies on disk, when nothing works on it any more."""
        await super().on_shutdown()
        self.callpulse.close_stores()

    def _new_transport(self) -> Any:
        return transport.Transport(self.conf.broker_consumer, self, loop=self.loop)


def create_app(settings: Settings, fail: Fail = leave) -> Callpulse:
    """Return the application for `settings`, not started. `fail` is called when it must not go on.

    Call it inside the event loop that will run it: Faust binds what it makes to a loop.
    """
    kafka = settings.kafka
    credentials, context = _security(kafka)
    app = Callpulse(
        kafka.group,
        broker=[URL(f"kafka://{server.strip()}") for server in kafka.bootstrap.split(",")],
        broker_credentials=credentials,
        ssl_context=context,
        broker_session_timeout=kafka.session_timeout_ms / 1000,
        broker_heartbeat_interval=kafka.heartbeat_interval_ms / 1000,
        broker_commit_interval=kafka.commit_interval_ms / 1000,
        broker_max_poll_records=settings.worker.batch_records,
        broker_rebalance_timeout=max(60.0, kafka.session_timeout_ms / 1000),
        consumer_auto_offset_reset="earliest",
        # A worker that comes back under its name takes its partitions up at once, even after kill -9; a nameless one
        # would wait until the session of its predecessor has run out.
        consumer_group_instance_id=settings.worker.id,
        PartitionAssignor=Assignor,
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_batch_size=1 << 18,
        producer_max_request_size=MAX_REQUEST,
        topic_partitions=kafka.partitions,
        topic_replication_factor=kafka.replication,
        topic_disable_leader=True,
        topic_allow_declare=True,
        table_standby_replicas=0,
        stream_buffer_maxsize=64,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        # What is on disk may be ahead of a changelog that was made anew; agents/delivery/transport.py sees to it.
        recovery_consistency_check=False,
        store="memory://",
        datadir=f"{settings.worker.data_dir}/{settings.worker.id}",
        web_enabled=False,
        autodiscover=False,
    )
    app.delivery = transport.Delivery(
        (kafka.topic_prefix + topic.name for topic in topics.TAKEN_IN),
        (topics.changelog(name, kafka.group).name for name in topics.TABLES),
    )
    app.callpulse = core = Core(app, settings, _kinds(settings), fail, _on_disk(settings))
    _declare(app, core)
    return app


def _declare(app: Callpulse, core: Core) -> None:
    """Make the agents and the background tasks known to Faust."""
    core.agents = _agents(core)
    for name, fold in core.agents.items():
        source = topics.TABLES.get(name, topics.CRM)
        channel = app.topic(
            core.name(source),
            key_serializer="raw",
            value_serializer=transport.CODEC,
            partitions=app.conf.topic_partitions,
        )

        async def agent(stream: Any, fold: Fold = fold, topic: str = core.name(source)) -> None:
            await core.consume(stream, fold, topic)

        agent.__name__ = f"{source.name}_agent"
        app.agent(channel, name=f"callpulse.{source.name}", concurrency=1)(agent)

    for work in (core.outbox.run, core.watch_delivery, core.sweep, core.expire):
        app.task(work)


def _agents(core: Core) -> dict[str, Fold]:
    """Return the agents by the table that they fold into; the one of `crm` has none."""
    settings, tables, contacts = core.settings, core.tables, core.name(topics.CONTACTS)
    calls = core.intake(topics.CALLS, contract=True)
    crm = core.intake(topics.CRM, contract=True)
    leads = core.intake(topics.CONTACTS, contract=False)
    outcomes = core.intake(topics.OUTCOMES, contract=False)
    lead_fold = LeadFold(
        settings.results,
        settings.thresholds,
        settings.economics,
        lambda manager: local_time(settings.manager(manager).timezone),
    )
    told = core.name(topics.OUTCOMES)
    return {
        "managers": CallsAgent(settings, tables["managers"], calls, core.outbox, core.place, contacts),
        "crm": CrmAgent(settings, crm, core.outbox, core.place, contacts),
        "leads": LeadsAgent(tables["leads"], lead_fold, leads, core.outbox, core.place, told),
        "outcomes": OutcomesAgent(tables["outcomes"], outcomes),
    }


def _on_disk(settings: Settings) -> dict[str, OnDisk[Any]]:
    """Return where the rows of tables live that do not live in memory."""
    if settings.worker.store == "memory":
        return {}
    kafka = settings.kafka
    identity: dict[str, str | int] = {
        "changelog": topics.changelog("leads", kafka.group).name,
        "partitions": kafka.partitions,
        "layout": f"{records.LAYOUT}.{codec.VERSION}",
    }
    folder = Path(settings.worker.data_dir) / settings.worker.id / "leads"
    return {"leads": OnDisk(Store(folder, identity), LeadRow)}


def _kinds(settings: Settings) -> dict[str, Kind[Any]]:
    """Return what each table's rows are."""
    managers = ManagerRecords(
        lambda manager: local_time(settings.manager(manager).timezone), settings.thresholds.day_rows
    )
    return {"managers": managers, "leads": LeadRecords(), "outcomes": OutcomeRecords()}


def _security(kafka: Kafka) -> tuple[Any, ssl.SSLContext | None]:
    """Return Faust's credentials and TLS context for the settings; never logged."""
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
        context.check_hostname = kafka.ssl_check_hostname
        if kafka.ssl_certfile:
            password = kafka.ssl_password.reveal() or None
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, password)
    if not kafka.security_protocol.startswith("SASL"):
        return None, context
    credentials = faust.SASLCredentials(
        username=kafka.sasl_username,
        password=kafka.sasl_password.reveal(),
        mechanism=kafka.sasl_mechanism,
        ssl_context=context,
    )
    with contextlib.suppress(AttributeError):
        credentials.ssl_context = context
    return credentials, context
