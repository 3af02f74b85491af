"""YAML, read by libyaml: ten times as fast as by Python."""

from __future__ import annotations

from typing import Any

import yaml


def parsed(text: str) -> Any:
    """Return the content of a text."""
    return yaml.load(text, yaml.CSafeLoader)
