"""Queries of rules and boards find the topics of an installation with `kafka.topic_prefix`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

GRAFANA = Path(__file__).parents[2] / "grafana"
FILES = sorted([*GRAFANA.glob("rules/*.yaml"), *GRAFANA.glob("dashboards/*.json")])
MATCHER = re.compile(r'\btopic\s*(=~|!~|!=|=)\s*"([^"]*)"')


def matchers(path: Path) -> list[tuple[str, str]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        text = json.dumps(json.loads(text), ensure_ascii=False).replace('\\"', '"')
    return MATCHER.findall(text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_query_names_a_topic_with_and_without_a_prefix(path: Path) -> None:
    for operator, value in matchers(path):
        assert operator in {"=~", "!~"}, (path.name, value)
        names = [name for name in ("calls", "crm", "speech", "contacts", "outcomes") if re.fullmatch(value, name)]
        assert names, (path.name, value)
        assert all(re.fullmatch(value, f"prod.{name}") for name in names), (path.name, value)


def test_rules_and_boards_name_topics() -> None:
    assert sum(len(matchers(path)) for path in FILES) > 10
