"""The facts that a file of a mapping lacks, by its columns."""

from __future__ import annotations

from collections.abc import Iterator

from streams.sources.files.mapping import FileMapping


def cannot_know(mapping: FileMapping) -> Iterator[str]:
    """Yield the facts that no row of such a file has."""
    given = {*mapping.columns.used(), *mapping.constants}
    if mapping.what == "deals":
        yield "calls"
        yield "when a deal came to a stage that no row names"
    else:
        yield from _of_calls(given)
    if given.isdisjoint({"lead", "lead_number", "caller"}):
        yield "the customer: no column names a lead or a number"


def _of_calls(given: set[str]) -> Iterator[str]:
    yield "calls in progress: a row comes after its call"
    yield "presence"
    if given.isdisjoint({"talk", "answered"}):
        yield "the talk without the ringing before it: no column says talk or answered"
    if "kind" not in given:
        yield "whether a call was cold, targeted or a repeat: the CRM says that"
    if "transferred_to" not in given:
        yield "transfers"
