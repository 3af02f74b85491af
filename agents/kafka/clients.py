"""Clients of Kafka outside the worker: their options from the settings, and errors that name the remedy.

aiokafka reports every failed connection as "unable to bootstrap" and only logs the cause; here the cause is caught and
put into words. A password is never part of an error.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

from aiokafka import errors

from streams.contract import topics
from streams.settings.settings import Kafka

REQUEST_TIMEOUT_MS: Final = 15_000
LARGEST_REQUEST: Final = 4 * 1024 * 1024
_REFUSED: Final = (
    errors.AuthenticationFailedError,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
)
DENIED: Final = (
    errors.TopicAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
)
_WORDS: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    (
        _REFUSED,
        (
            "{where} refuses to authenticate ({error}): check kafka.sasl_mechanism ({mechanism}), "
            "kafka.sasl_username and kafka.sasl_password."
        ),
    ),
    (
        DENIED,
        (
            "{where} does not allow {user} to do this ({error}): give it the access rights (ACL) of its role, as "
            "`callpulse topics rights` prints them."
        ),
    ),
    (
        (ssl.SSLCertVerificationError,),
        "{where} shows a certificate that is not trusted ({said}): check kafka.ssl_cafile.",
    ),
    (
        (ssl.SSLError,),
        "{where}: the TLS connection fails ({said}): check kafka.security_protocol and the kafka.ssl_ settings.",
    ),
    ((socket.gaierror,), "{where}: the name is not known here ({said}): check kafka.bootstrap."),
    (
        (ConnectionRefusedError,),
        (
            "{where}: nobody answers there. Start the broker (`callpulse kafka` starts one on this machine) or correct "
            "kafka.bootstrap."
        ),
    ),
    (
        (TimeoutError, errors.KafkaTimeoutError, errors.RequestTimedOutError),
        (
            "{where} does not answer in time: check kafka.bootstrap, the network, and whether the broker expects "
            "kafka.security_protocol {protocol}."
        ),
    ),
    (
        (errors.KafkaConnectionError, ConnectionResetError),
        (
            "{where} closes the connection ({said}): check whether the broker expects kafka.security_protocol "
            "{protocol} and, with TLS, a certificate of this client (kafka.ssl_certfile)."
        ),
    ),
    (
        (errors.UnknownTopicOrPartitionError,),
        "{where} does not know a topic that is needed: `callpulse topics create` makes them.",
    ),
    (
        (errors.MessageSizeTooLargeError,),
        "{where} refuses a record for its size: raise max.message.bytes of the topic.",
    ),
)
Client = TypeVar("Client")


class KafkaUnusableError(RuntimeError):
    """Kafka cannot be used as it is. The text names the remedy."""


def full_name(kafka: Kafka, topic: topics.Topic) -> str:
    """Return the name that a topic of the contract has in this installation."""
    return kafka.topic_prefix + topic.name


def client_options(kafka: Kafka) -> dict[str, Any]:
    """Return the options of every aiokafka client. Raises KafkaUnusableError for certificates that cannot be used."""
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap,
        "security_protocol": kafka.security_protocol,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
    }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = tls_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password.reveal(),
        }
    return options


def reading_options(kafka: Kafka) -> dict[str, Any]:
    """Return the options of an aiokafka consumer that reads a topic from its start, without a group.

    It leaves out records of transactions that were aborted or are open. Raises KafkaUnusableError as `client_options`.
    """
    return client_options(kafka) | {
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
    }


@asynccontextmanager
async def connected(client: Client, kafka: Kafka) -> AsyncIterator[Client]:
    """Start an aiokafka client and stop it at the end. Raises KafkaUnusableError for all its errors."""
    started: Any = client
    with _causes() as causes:
        try:
            await started.start()
        except (errors.KafkaError, OSError, TimeoutError) as error:
            await _stop(started)
            raise KafkaUnusableError(put_into_words(causes[0] if causes else error, kafka)) from None
    try:
        yield client
    except (errors.KafkaError, OSError, TimeoutError) as error:
        raise KafkaUnusableError(put_into_words(error, kafka)) from error
    finally:
        await _stop(started)


def put_into_words(error: BaseException, kafka: Kafka) -> str:
    """Return the meaning of a client's error, and the remedy."""
    if isinstance(error, _REFUSED) and not kafka.security_protocol.startswith("SASL"):
        words = "{where} asks for authentication: set kafka.security_protocol and the kafka.sasl_ settings."
    else:
        words = next((words for types, words in _WORDS if isinstance(error, types)), "{where} cannot be used: {said}.")
    said = getattr(error, "verify_message", None) or getattr(error, "reason", None) or str(error).strip()
    return words.format(
        where=f"Kafka at {kafka.bootstrap}",
        said=said or type(error).__name__,
        error=_named(error),
        mechanism=kafka.sasl_mechanism,
        protocol=kafka.security_protocol,
        user=kafka.sasl_username or "this client",
    )


def _named(error: BaseException) -> str:
    """Return the error's name; with the name of the topic, group or transactional id of one about access rights."""
    about = error.args[0] if isinstance(error, DENIED) and error.args else None
    names = about if isinstance(about, str) else ", ".join(sorted(map(str, about or ())))
    return f"{type(error).__name__}: {names}" if names else type(error).__name__


def quiet() -> None:
    """Keep the clients' own log off the terminal: their errors are put into words."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def tls_context(kafka: Kafka) -> ssl.SSLContext:
    """Return the TLS context for the settings. Raises KafkaUnusableError for a file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
    except (OSError, ssl.SSLError) as error:
        raise KafkaUnusableError(f"kafka.ssl_cafile {kafka.ssl_cafile} cannot be used: {_said(error)}.") from None
    context.check_hostname = kafka.ssl_check_hostname
    # keytool makes certificates without the identifiers that Python requires from 3.13 on.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if kafka.ssl_certfile:
        try:
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, kafka.ssl_password.reveal() or None)
        except (OSError, ssl.SSLError) as error:
            raise KafkaUnusableError(
                f"kafka.ssl_certfile {kafka.ssl_certfile} with kafka.ssl_keyfile {kafka.ssl_keyfile or '(the same)'} "
                f"cannot be used: {_said(error)}. Is kafka.ssl_password right?"
            ) from None
    return context


def _said(error: OSError) -> str:
    return error.strerror or str(error)


class _Collector(logging.Handler):
    """Keeps the exceptions that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.causes: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.causes.extend(argument for argument in arguments if isinstance(argument, BaseException))


class _ClientLog:
    """The log of aiokafka, which is collected while clients connect. Several may connect at the same time."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("aiokafka")
        self._collectors: list[_Collector] = []
        self._level, self._propagate = logging.NOTSET, True

    def begin(self) -> _Collector:
        """Collect from now on."""
        if not self._collectors:
            self._level, self._propagate = self._logger.level, self._logger.propagate
            self._logger.setLevel(logging.WARNING)
            self._logger.propagate = False
        collector = _Collector()
        self._collectors.append(collector)
        self._logger.addHandler(collector)
        return collector

    def end(self, collector: _Collector) -> None:
        """Collect no more. The last one restores the log as it was before the first one."""
        self._logger.removeHandler(collector)
        self._collectors.remove(collector)
        if not self._collectors:
            self._logger.setLevel(self._level)
            self._logger.propagate = self._propagate


_client_log: Final = _ClientLog()


@contextmanager
def _causes() -> Iterator[list[BaseException]]:
    """Collect the exceptions that aiokafka logs while it connects, instead of printing them."""
    collector = _client_log.begin()
    try:
        yield collector.causes
    finally:
        _client_log.end(collector)


async def _stop(client: Any) -> None:
    close = getattr(client, "stop", None) or client.close
    await close()
