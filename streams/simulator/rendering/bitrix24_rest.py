"""The REST interface of a Bitrix24 portal: `batch`, pages of 50, and the filters that a poll uses.

It answers from the given rows. The portal of the demo and that of the tests share it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

PAGE: Final = 50
"""Rows of a page, and commands of a batch."""
_WHOLE: Final = ("user.get", "crm.category.list", "crm.status.list")
_FIELD: Final = re.compile(r"([>=@]*)(\w+)")
_MILLISECONDS: Final = 1000

Row: TypeAlias = Mapping[str, object]
Parameter: TypeAlias = "str | dict[str, Parameter]"
Rows: TypeAlias = Callable[[str, Mapping[str, Parameter]], Iterable[Row]]
"""Returns the rows of a method, before the filter."""
Method: TypeAlias = Callable[[str, dict[str, Parameter]], object]
"""Returns the result of a method with its parameters."""


def batch(commands: Mapping[str, str], run: Method, denied: Container[str] = ()) -> dict[str, object]:
    """Return the answer to a batch of commands. `denied` are the methods for which the webhook has no right.

    Raises ValueError for more commands than a batch may have, and for an unknown filter.
    """
    if len(commands) > PAGE:
        raise ValueError(f"a batch has up to {PAGE} commands")
    results: dict[str, object] = {}
    errors: dict[str, object] = {}
    for name, command in commands.items():
        method, _, query = command.partition("?")
        if method in denied:
            errors[name] = {"error": "insufficient_scope", "error_description": "The request requires more"}
        else:
            results[name] = run(method, nested(query))
    # PHP: an empty table is a list.
    return {"result": {"result": results or [], "result_error": errors or [], "result_time": []}}


def call(method: str, parameters: Mapping[str, Parameter], rows: Rows) -> object:
    """Return the result of a method. Raises ValueError for an unknown filter."""
    named = {name.casefold(): value for name, value in parameters.items()}
    wanted, start = named.get("filter", {}), named.get("start", "0")
    filtered = wanted if isinstance(wanted, dict) else {}
    found = rows(method, filtered)
    if method in _WHOLE:
        return {"categories": list(found)} if method == "crm.category.list" else list(found)
    first = max(0, int(start)) if isinstance(start, str) else 0
    passes = passing(filtered)
    ordered = sorted(found, key=lambda row: int(str(row["ID"])))
    page = list(islice((row for row in ordered if passes(row)), first, first + PAGE))
    return {"items": page} if method == "crm.stagehistory.list" else page


def passing(filtered: Mapping[str, Parameter]) -> Callable[[Row], bool]:
    """Return the test whether a row passes a filter. Raises ValueError for an unknown operator."""
    tests = [_test(key, wanted) for key, wanted in filtered.items()]
    return lambda row: all(passes(row) for passes in tests)


def _test(key: str, wanted: Parameter) -> Callable[[Row], bool]:
    found = _FIELD.fullmatch(key)
    operator, name = found.groups() if found else ("?", key)
    if isinstance(wanted, dict) and operator == "@":
        values = set(wanted.values())
        return lambda row: str(row.get(name)) in values
    if isinstance(wanted, str):
        if operator == ">=" and ("DATE" in name or "TIME" in name):
            since = moment_ms(wanted)
            return lambda row: row.get(name) is not None and moment_ms(str(row[name])) >= since
        if operator == ">":
            after = int(wanted)
            return lambda row: row.get(name) is not None and int(str(row[name])) > after
        if not operator:
            return lambda row: row.get(name) is not None and str(row[name]) == wanted
    raise ValueError(f"a filter of a kind that is not known: {key}")


def moment_ms(text: str) -> int:
    """Return a moment of the portal in milliseconds since epoch."""
    return int(datetime.fromisoformat(text).timestamp() * _MILLISECONDS)


def nested(query: str) -> dict[str, Parameter]:
    """Return the parameters of a query as PHP reads them: `filter[>ID]=5` is a table `filter`."""
    made: dict[str, Parameter] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        *tables, last = re.findall(r"[^\[\]]+", name)
        held = made
        for table in tables:
            inner = held.setdefault(table, {})
            if not isinstance(inner, dict):
                raise ValueError(f"{table} is a value and a table")  # noqa: TRY004 - a wrong value
            held = inner
        held[last] = value
    return made
