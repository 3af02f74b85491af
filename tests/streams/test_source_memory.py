"""`thresholds.retry_horizon` must be as long as a configured source may send an event again."""

from __future__ import annotations

from typing import ClassVar

import pytest
from msgspec import Struct

from streams.settings.settings import load
from streams.sources import memory
from streams.sources.registry import SOURCES
from tests.streams.files_cases import STORY, settings_of


def test_without_sources_nothing_is_needed() -> None:
    assert memory.needed(load("", {}, SOURCES)) == {}
    assert memory.problems(load("[sources.asterisk]\nregion = 'DE'", {}, SOURCES)) == []


def test_files_need_a_day() -> None:
    (problem,) = memory.problems(settings_of(STORY))
    assert problem.key == "thresholds.retry_horizon"
    assert problem.message.startswith('is "6h"; set "24h" or more: sources.files.csv_ru, sources.files.csv_en, ')


@pytest.mark.parametrize("kind", ["cel", "queue_log", "cdr"])
def test_record_files_of_asterisk_need_a_day(kind: str) -> None:
    (problem,) = memory.problems(load(f"sources.asterisk.{kind}.path = '/var/log/records'", {}, SOURCES))
    assert problem.message.startswith(f'is "6h"; set "24h" or more: sources.asterisk.{kind} may send')


@pytest.mark.parametrize("span", ["24h", "1d", "2d"])
def test_a_horizon_that_is_long_enough_is_no_problem(span: str) -> None:
    assert memory.problems(settings_of(f'thresholds.retry_horizon = "{span}"\n{STORY}', "")) == []


class Records(Struct, frozen=True, kw_only=True):
    """A table inside a source, for rows that come days later."""

    memory_ms: ClassVar[int] = 48 * 3_600_000
    path: str = ""
    region: str | None = None


class Pbx(Struct, frozen=True, kw_only=True):
    """A source with such a table."""

    host: str = ""
    records: Records = Records()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ('privacy.region = "DE"', {}),
        ('sources.pbx.host = "x"', {}),
        ('sources.pbx.records.path = "x"', {"sources.pbx.records": 48 * 3_600_000}),
    ],
)
def test_a_table_inside_a_source_counts_once_it_is_set(text: str, expected: dict[str, int]) -> None:
    assert memory.needed(load(text, {}, {"pbx": Pbx})) == expected
