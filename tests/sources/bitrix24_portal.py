"""A portal of Bitrix24 for tests: it answers from a fixture's portal.json as it was at its clock.

It has the limit of a portal (two requests a second, 50 at once). `bitrix24_rest` answers the methods.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from streams.simulator.rendering.bitrix24_rest import PAGE, batch, call, moment_ms
from tests.gateway.polled import BODY, answer

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
        self.batches += 1
        self.methods += [command.partition("?")[0] for command in commands.values()]
        return batch(commands, self.call, self.denied)

    def call(self, method: str, params: dict[str, Any]) -> Any:
        return call(method, params, self._rows)

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
                if moment_ms(row["DATE_CREATE"]) <= self.now_ms():
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
