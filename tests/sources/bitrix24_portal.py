"""A portal of Bitrix24 for tests: it answers from a fixture's portal.json as it was at its clock.

It has the limit of a portal (two requests a second, 50 at once), pages of 50, `batch`, and filters as they are used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from tests.gateway.polled import BODY, answer

PAGE = 50
REST = "https://portal.example/rest/1/7a3e00f519e0704f/"
Row = Mapping[str, Any]


class Portal:
    """The handler of a `tests.gateway.polled.Api`. `now_ms` is its clock; `denied` are methods without a right."""

    def __init__(self, data: Mapping[str, Any], now_ms: Callable[[], int]) -> None:
        self.data = data
        self.now_ms = now_ms
        self.path = urlsplit(data.get("rest", REST)).path
        self.denied: set[str] = set()
        self.batches = 0
        self.limited = 0
        self.methods: list[str] = []
        self._used = 0.0
        self._at_ms = 0

    def __call__(self, request: web.Request) -> web.Response:
        if request.path != self.path + "batch.json":
            return answer({"error": "INVALID_CREDENTIALS"}, 401)
        self._used = max(0.0, self._used - (self.now_ms() - self._at_ms) / 500) + 1
        self._at_ms = self.now_ms()
        if self._used > PAGE:
            self._used -= 1
            self.limited += 1
            return answer({"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}, 503)
        return answer(self.batch(json.loads(request[BODY])["cmd"]))

    def batch(self, commands: Mapping[str, str]) -> Any:
        assert len(commands) <= PAGE
        self.batches += 1
        results: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, command in commands.items():
            method, _, query = command.partition("?")
            self.methods.append(method)
            if method in self.denied:
                errors[name] = {"error": "insufficient_scope", "error_description": "The request requires more"}
            else:
                results[name] = self.call(method, nested(query))
        # PHP: what is empty is a list.
        return {"result": {"result": results or [], "result_error": errors or [], "result_time": []}}

    def call(self, method: str, params: dict[str, Any]) -> Any:
        params = {key.casefold(): value for key, value in params.items()}
        filtered = params.get("filter", {})
        rows = list(self._rows(method, filtered))
        if method in {"user.get", "crm.category.list", "crm.status.list"}:
            return rows if method != "crm.category.list" else {"categories": rows}
        start = max(0, int(params.get("start", 0)))
        page = [row for row in sorted(rows, key=lambda row: int(row["ID"])) if matches(row, filtered)]
        page = page[start : start + PAGE]
        return {"items": page} if method == "crm.stagehistory.list" else page

    def _rows(self, method: str, filtered: Mapping[str, Any]) -> Iterator[Row]:
        if method == "crm.stagehistory.list":
            gone = {deal for deal, versions in self.data["deals"].items() if self._version(versions) is None}
            yield from (
                row for row in self._appeared(self.data["stagehistory"]["2"]) if str(row["OWNER_ID"]) not in gone
            )
        elif method == "voximplant.statistic.get":
            yield from self._appeared(self.data["statistic"])
        elif method == "crm.deal.list":
            yield from (row for versions in self.data["deals"].values() if (row := self._version(versions)) is not None)
        elif method in {"crm.contact.list", "crm.lead.list"}:
            rows = self.data["contacts" if "contact" in method else "leads"].values()
            for row in rows:
                if ms(row["DATE_CREATE"]) <= self.now_ms():
                    yield {"DATE_MODIFY": row["DATE_CREATE"], **row}
        elif method == "user.get":
            yield from self.data["users"]
        elif method == "crm.category.list":
            yield {"id": 1, "name": "Продажи", "entityTypeId": 2}
        elif method == "crm.status.list":
            yield from (row for row in self.data["stages"] if row["ENTITY_ID"] == filtered["ENTITY_ID"])

    def _appeared(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            if row["appears_ms"] <= self.now_ms():
                yield {key: value for key, value in row.items() if key != "appears_ms"}

    def _version(self, versions: Iterable[Row]) -> Row | None:
        for one in versions:
            if one["from_ms"] <= self.now_ms() and (one["until_ms"] is None or self.now_ms() < one["until_ms"]):
                fields: Row = one["fields"]
                return fields
        return None


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def matches(row: Row, filtered: Mapping[str, Any]) -> bool:
    """Whether a row passes a filter, by the operators that are used."""
    for key, wanted in filtered.items():
        operator, name = re.fullmatch(r"([>=@]*)(\w+)", key).groups()  # type: ignore[union-attr]  # else it raises
        value = row.get(name)
        if operator == "@":
            good = str(value) in set(wanted.values())
        elif value is None:
            good = False
        elif "DATE" in name or "TIME" in name:
            assert operator == ">="
            good = ms(value) >= ms(wanted)
        elif operator == ">":
            good = int(value) > int(wanted)
        else:
            assert operator == ""
            good = str(value) == wanted
        if not good:
            return False
    return True


def nested(query: str) -> dict[str, Any]:
    """Parameters as PHP reads them."""
    made: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        first, *rest = re.findall(r"[^\[\]]+", name)
        held = made
        for part, after in zip([first, *rest], [*rest, None], strict=True):
            if after is None:
                held[part] = value
            else:
                held = held.setdefault(part, {})
    return made
