"""The peers by name: command, requirements and notes of each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from benchmarks import native
from benchmarks.peers import plain
from benchmarks.peers.job import Answer, Job

ROOT: Final = Path(__file__).parents[2]
KSTREAMS: Final = ROOT / "benchmarks" / "kstreams"
KSTREAMS_BUILD: Final = ROOT / "build" / "kstreams"
# Quix Streams needs other versions of shared packages than the tools of development, so peers may have an environment
# of their own beside the project's.
PEERS_PYTHON: Final = (sys.executable, os.environ.get("CALLPULSE_BENCH_PYTHON"), str(ROOT / ".venv-bench/bin/python"))
CALLPULSE: Final = "callpulse"
RUN_DEADLINE_S: Final = 600


class Peer(Struct, frozen=True, kw_only=True):
    """One way to aggregate the topic. `slow`: it gets a short topic. `own_topic`: it may write to the topic.

    `native`: it is callpulse as it is deployed, compiled where that has been built.
    """

    name: str
    title: str
    module: str = ""
    needs: tuple[str, ...] = ()
    slow: bool = False
    own_topic: bool = False
    variant: str = ""
    store: str = "rocksdb"
    native: bool = False

    def command(self, job: Job) -> list[str] | None:
        """Return the command line, None if a requirement is not installed."""
        if self.module:
            python = _python_with(self.needs)
            return (
                None
                if python is None
                else [
                    *native.python(native=self.native and native.is_built(), executable=python),
                    "-m",
                    f"benchmarks.peers.{self.module}",
                    msgspec.json.encode(job).decode(),
                ]
            )
        if not _build_kstreams():
            return None
        jars = f"{KSTREAMS_BUILD / 'kstreams.jar'}{os.pathsep}{KSTREAMS_BUILD / 'dependency'}/*"
        return [
            "java",
            "-XX:+UseParallelGC",
            "-Xmx1g",
            "-cp",
            jars,
            "Main",
            job.bootstrap,
            job.topic,
            str(job.events),
            job.run,
            job.folder,
        ]


PEERS: Final[tuple[Peer, ...]] = (
    Peer(name="raw", title="aiokafka getmany + orjson.loads, nothing else (the limit)", module="raw_aiokafka"),
    Peer(
        name="loop", title="hand-written aiokafka loop, same fold on a plain dict, no durable state", module="dict_loop"
    ),
    Peer(name="faust", title="Faust as in its tutorial: Record model and table", module="tutorial_faust", slow=True),
    Peer(
        name="quix",
        title="Quix Streams, stateful apply, changelog on",
        module="quix",
        needs=("quixstreams",),
    ),
    Peer(
        name="bytewax",
        title="Bytewax stateful operator, same fold, recovery off",
        module="bytewax_stateful",
        needs=("bytewax",),
    ),
    Peer(name="kstreams", title="Kafka Streams, one thread, RocksDB and changelog"),
    Peer(
        name=CALLPULSE,
        title="callpulse, calls agent: whole fold, changelog, facts, commits",
        module="callpulse_worker",
        native=True,
        own_topic=True,
        variant="calls",
    ),
    Peer(
        name="pure",
        title="the same, not compiled",
        module="callpulse_worker",
        own_topic=True,
        variant="calls",
    ),
    Peer(
        name="worker",
        title="callpulse, whole worker: the leads and outcomes that follow from the calls too",
        module="callpulse_worker",
        native=True,
        own_topic=True,
    ),
)
LEADS: Final[tuple[Peer, ...]] = (
    Peer(
        name=CALLPULSE,
        title="callpulse: CRM, leads and outcomes; lead rows in RocksDB, changelogs, commits",
        module="callpulse_worker",
        native=True,
        own_topic=True,
        variant="leads",
    ),
    Peer(
        name="memory",
        title="the same with the lead rows in memory",
        module="callpulse_worker",
        native=True,
        own_topic=True,
        variant="leads",
        store="memory",
    ),
)
TOPOLOGY: Final[tuple[Peer, ...]] = (
    Peer(
        name="quix",
        title="Quix Streams: three stateful dataframes in one application, RocksDB and changelogs",
        module="quix_topology",
        needs=("quixstreams",),
    ),
    Peer(
        name=CALLPULSE,
        title="callpulse: the worker as it is",
        module="callpulse_worker",
        native=True,
        own_topic=True,
        variant="topology",
    ),
)


class PeerError(RuntimeError):
    """A peer gave no answer; the text has its output."""


def run(peer: Peer, job: Job) -> Answer | None:
    """Run the peer once, in a process of its own. None if it cannot run on this machine."""
    command = peer.command(job)
    if command is None:
        return None
    compiled = peer.native and native.is_built()
    environment = {**native.environment(native=compiled), "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=RUN_DEADLINE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"{peer.name} gave no answer in {RUN_DEADLINE_S} s: {_end(error.stderr)}") from error
    lines = [text for text in done.stdout.splitlines() if text.startswith('{"events"')]
    if not lines:
        raise PeerError(f"{peer.name} ended with status {done.returncode} and no answer: {_end(done.stderr)}")
    raw = msgspec.json.decode(lines[-1])
    if "counts" in raw:
        raw["totals"] = msgspec.to_builtins(plain.totals([raw.pop("counts")]))
    return msgspec.convert(raw, Answer)


@cache
def _python_with(modules: tuple[str, ...]) -> str | None:
    for python in filter(None, PEERS_PYTHON):
        if not Path(python).exists():
            continue
        check = "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))"
        if subprocess.run([python, "-c", check, "aiokafka", *modules], check=False).returncode == 0:
            return python
    return None


@cache
def _build_kstreams() -> bool:
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        return False
    goals = ["package", "dependency:copy-dependencies", "-DincludeScope=runtime"]
    built = subprocess.run([maven, "-q", "-B", *goals], cwd=KSTREAMS, capture_output=True, text=True, check=False)
    if built.returncode:
        raise PeerError(f"the Kafka Streams peer could not be built: {_end(built.stdout + built.stderr)}")
    return True


def _end(text: Any) -> str:
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    return "\n".join((text or "(nothing said)").splitlines()[-15:])
