"""The mappings of docs/files.md load, and each reads its sample rows in full."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from streams.settings.settings import load
from streams.sources.files.mapping import Columns, FileMapping
from streams.sources.registry import SOURCES
from tests.streams.files_cases import key, read, settings_of

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
EXAMPLES = {
    found[1]: (found[0], found[2])
    for found in re.findall(r"```toml\n(\[sources\.files\.(\w+)\].*?)```\s*```csv\n(.*?)```", PAGE, re.DOTALL)
}
LEAD = {"exports": "+74950000101", "tcx": "+74950000101", "freepbx": "+74950000101"}


def test_there_is_an_example_for_each_system() -> None:
    assert EXAMPLES.keys() == {"exports", "tcx", "freepbx", "amo", "b24"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_reads_its_sample_rows(name: str) -> None:
    mapping, sample = EXAMPLES[name]
    settings = settings_of(mapping)
    held = settings.named("files", FileMapping)[name]
    found = read(sample.encode(held.encoding), settings, name)
    rows = sample.strip().count("\n") + (0 if held.header else 1)
    assert found.refused == []
    assert found.ignored == 0
    ends = [event for event in found.events if not hasattr(event, "old_key")]
    assert len(ends) == rows
    first = ends[0]
    if held.what == "calls":
        assert (getattr(first, "manager", ""), getattr(first, "direction", "")) == ("vera.lisina", "outbound")
        assert getattr(first, "lead", None) == key(LEAD[name])
        assert getattr(first, "talk_ms", 0) == 317_000
    else:
        assert getattr(first, "stage", "") in ("qualified", "won")
        assert getattr(first, "amount", None) is not None
        assert getattr(first, "currency", "") == "RUB"
        assert any(hasattr(event, "old_key") for event in found.events)


def least(more: str = "") -> FileMapping:
    columns = 'columns = { deal = "a", changed = "b", stage = "c" }'
    settings = load(f'[sources.files.x]\nwhat = "deals"\n{more}\n{columns}', {}, SOURCES)
    return settings.named("files", FileMapping)["x"]


def test_the_page_has_a_row_for_each_key_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", PAGE.partition("## Columns of calls")[0], re.MULTILINE))
    assert rows.keys() == {field.name for field in msgspec.structs.fields(FileMapping)}
    for name, told in rows.items():
        if told.startswith("`") and name not in ("source", "region"):
            assert least(f"{name} = {told.strip('`')}") == least(), name


def test_the_page_names_every_column() -> None:
    tables = PAGE.partition("## Columns of calls")[2].partition("## Words")[0]
    named = set(re.findall(r"`([a-z_]+)`", tables))
    assert named >= set(Columns.__struct_fields__)
