"""The Faust application of a worker: its connection to Kafka, and its configuration. Enter at `faust_application`."""

from __future__ import annotations

import ssl
from typing import Any, Final, cast

import faust
from yarl import URL

from agents.delivery import transport
from agents.delivery.assignor import Assignor
from agents.kafka.clients import tls_context
from agents.state.worker_state import WorkerState
from streams.settings.settings import Kafka, Settings

MAX_REQUEST: Final = 4 * 1024 * 1024


class Callpulse(faust.App):
    """The Faust application of one worker. Use `agents.app.create_worker`."""

    delivery: transport.Delivery
    worker_state: WorkerState

    async def on_first_start(self) -> None:
        """Make the worker's own folder, which Faust expects."""
        self.conf.datadir.parent.mkdir(parents=True, exist_ok=True)
        self.worker_state.open_stores()
        await super().on_first_start()

    async def on_shutdown(self) -> None:
        """Close the stores, once they are no longer in use."""
        await super().on_shutdown()
        self.worker_state.close_stores()

    def crash_error(self) -> BaseException | None:
        """Return the error of a part of Faust that crashed, None while all run: Faust lets the others go on."""
        services: tuple[Any, ...] = (
            self,
            self._consumer,
            self._fetcher,
            self._producer,
            self.tables,
            cast(Any, self.tables).recovery,
        )
        for service in services:
            if service is not None and service.crashed:
                return service.crash_reason or RuntimeError(f"{service.label} crashed; the log says why")
        return None

    def _new_transport(self) -> Any:
        return transport.Transport(self.conf.broker_consumer, self, loop=self.loop)


def faust_application(settings: Settings) -> Callpulse:
    """Return the Faust application, with neither tables nor agents."""
    kafka = settings.kafka
    context = tls_context(kafka) if kafka.security_protocol.endswith("SSL") else None
    return Callpulse(
        kafka.group,
        broker=[URL(f"kafka://{server.strip()}") for server in kafka.bootstrap.split(",")],
        broker_credentials=_credentials(kafka, context),
        ssl_context=context,
        broker_session_timeout=kafka.session_timeout_ms / 1000,
        broker_heartbeat_interval=kafka.heartbeat_interval_ms / 1000,
        broker_commit_interval=kafka.commit_interval_ms / 1000,
        broker_max_poll_records=settings.worker.batch_records,
        broker_rebalance_timeout=max(60.0, kafka.session_timeout_ms / 1000),
        consumer_auto_offset_reset="earliest",
        # Static membership: a worker that restarts with its id gets its partitions back at once, even after kill -9.
        # Without it the group would wait for the session timeout of the old process.
        consumer_group_instance_id=settings.worker.id,
        PartitionAssignor=Assignor,
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_batch_size=1 << 18,
        producer_max_request_size=MAX_REQUEST,
        topic_partitions=kafka.partitions,
        topic_replication_factor=kafka.replication,
        topic_disable_leader=True,
        # `callpulse topics create` makes the topics. Faust would ask Kafka to create those that it does not know yet,
        # and a worker may not create topics.
        topic_allow_declare=False,
        table_standby_replicas=0,
        stream_buffer_maxsize=64,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        # Rows on disk may be ahead of a changelog that was made anew; agents/delivery/transport.py handles that.
        recovery_consistency_check=False,
        store="memory://",
        datadir=f"{settings.worker.data_dir}/{settings.worker.id}",
        web_enabled=False,
        autodiscover=False,
    )


def _credentials(kafka: Kafka, context: ssl.SSLContext | None) -> Any:
    """Return Faust's credentials for SASL, None without SASL. Never logged."""
    if not kafka.security_protocol.startswith("SASL"):
        return None
    return faust.SASLCredentials(
        username=kafka.sasl_username,
        password=kafka.sasl_password.reveal(),
        mechanism=kafka.sasl_mechanism,
        ssl_context=context,
    )
