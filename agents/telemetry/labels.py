"""Values of labels in the text format of Prometheus."""

from __future__ import annotations


def escape(value: str) -> str:
    """Return the value of a label as the text format writes it."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
