"""The archive of Kafka's classes, without a JVM; `tests/broker/test_embedded_kafka.py` has one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.embedded import class_archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "classes-1.jsa"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "broker"
    made.mkdir()
    return made


def test_a_java_or_a_jar_that_was_replaced_has_another_archive(tmp_path: Path) -> None:
    java, jar = tmp_path / "java", tmp_path / "one.jar"
    java.write_bytes(b"java")
    jar.write_bytes(b"jar")
    found = [class_archive.place(tmp_path, java, [jar])]
    for path in (java, jar):
        os.utime(path, ns=(1, 1))
        found.append(class_archive.place(tmp_path, java, [jar]))
    assert len(set(found)) == 3
    assert class_archive.place(tmp_path, java, [jar]) == found[-1]


def test_the_archive_is_written_once_and_then_read(archive: Path, folder: Path) -> None:
    assert class_archive.options(archive, None) == []
    (written,) = class_archive.options(archive, folder)
    path = Path(written.removeprefix("-XX:ArchiveClassesAtExit="))
    assert path.parent == folder
    class_archive.keep(folder, archive)  # nothing was written
    assert not archive.exists()
    path.write_bytes(b"classes")
    class_archive.keep(folder, archive)
    assert archive.read_bytes() == b"classes"
    assert class_archive.options(archive, folder) == [f"-XX:SharedArchiveFile={archive}"]
    path.write_bytes(b"others")
    class_archive.keep(folder, archive)
    assert archive.read_bytes() == b"classes"
    assert {one.name for one in archive.parent.iterdir()} == {"classes-1.jsa", "classes-1.sha256", ".lock", "broker"}


@pytest.mark.parametrize("damage", [b"", b"clas", b"klasses"], ids=["empty", "truncated", "altered"])
def test_a_damaged_archive_is_not_read_and_is_replaced(archive: Path, folder: Path, damage: bytes) -> None:
    (written,) = class_archive.options(archive, folder)
    Path(written.removeprefix("-XX:ArchiveClassesAtExit=")).write_bytes(b"classes")
    class_archive.keep(folder, archive)
    archive.write_bytes(damage)
    assert class_archive.options(archive, None) == []
    assert class_archive.options(archive, folder) == [written]
    class_archive.keep(folder, archive)
    assert archive.read_bytes() == b"classes"
    assert class_archive.options(archive, None) == [f"-XX:SharedArchiveFile={archive}"]


def test_where_it_cannot_be_kept_there_is_none(archive: Path, folder: Path) -> None:
    (written,) = class_archive.options(archive, folder)
    Path(written.removeprefix("-XX:ArchiveClassesAtExit=")).write_bytes(b"classes")
    class_archive.keep(folder, archive.parent / "nowhere" / archive.name)
