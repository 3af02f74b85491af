"""Reads lists of the portal to their ends: by ids that grow, several lists in one request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from streams.sources.bitrix24.rest import PAGE, Command, Param, batch
from streams.sources.polls import Asking, PollError

T = TypeVar("T")
_MOST_ROUNDS: Final = 400
_MILLISECONDS: Final = 1000


class _Id(Struct):
    ID: int


class _Items(Struct):
    items: list[Raw]


class List:
    """A list that is read by pages behind the last id. `after` is the id behind which it begins.

    A row that is added meanwhile is on a later page or in a later poll; one that is removed shifts no other.
    """

    def __init__(self, method: str, filtered: Mapping[str, Param], fields: Iterable[str] = (), after: int = 0) -> None:
        self.method = method
        self.rows: list[Raw] = []
        self.is_read = False
        self._filter = dict(filtered)
        self._fields = list(fields)
        self._after = after

    @property
    def last(self) -> int:
        """The greatest id that was read."""
        return self._after

    def command(self) -> Command:
        """Return the call for the next page."""
        filtered: dict[str, Param] = {**self._filter, ">ID": self._after}
        if self.method.startswith("voximplant."):
            return Command(self.method, {"FILTER": filtered, "SORT": "ID", "ORDER": "ASC"})
        params: dict[str, Param] = {"filter": filtered, "order": {"ID": "ASC"}, "select": self._fields, "start": -1}
        if self.method.startswith("crm.stagehistory."):
            params = {"entityTypeId": 2, **params}
            del params["start"]  # pages are behind the last id here, too
        return Command(self.method, params)

    def take(self, result: Raw) -> None:
        """Add a page. Raises PollError for one without progress."""
        rows, ids = _rows(self.method, result)
        new = [row for row, id_ in zip(rows, ids, strict=True) if id_ > self._after]
        self.rows += new
        self.is_read = len(rows) < PAGE or not new
        self._after = max([self._after, *ids])


def read(lists: Mapping[str, List]) -> Asking[None]:
    """Read lists to their ends. Raises PollError."""
    for _ in range(_MOST_ROUNDS):
        open_ = {name: one.command() for name, one in lists.items() if not one.is_read}
        if not open_:
            return
        results = yield from batch(open_)
        for name, result in results.items():
            lists[name].take(result)
    raise PollError(f"a list has more than {_MOST_ROUNDS * PAGE} rows: set a shorter `since`")


def _rows(method: str, result: Raw) -> tuple[list[Raw], list[int]]:
    """Return the rows of a list, and their ids. Raises PollError."""
    try:
        found = msgspec.json.decode(result, type=list[Raw] | _Items, strict=False)
        rows = found.items if isinstance(found, _Items) else found
        return rows, [msgspec.json.decode(row, type=_Id, strict=False).ID for row in rows]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise PollError(f"{method} answers in a form that is not expected") from None


def by_ids(method: str, fields: Iterable[str], ids: Iterable[int]) -> Asking[dict[int, Raw]]:
    """Return the rows with these ids by them, as far as there are such rows. Raises PollError."""
    wanted = sorted(set(ids))
    parts = [wanted[place : place + PAGE] for place in range(0, len(wanted), PAGE)]
    chosen = list(fields)
    commands = {
        f"p{number}": Command(method, {"filter": {"@ID": part}, "order": {"ID": "ASC"}, "select": chosen, "start": -1})
        for number, part in enumerate(parts)
    }
    results = yield from batch(commands)
    found: dict[int, Raw] = {}
    for result in results.values():
        rows, there = _rows(method, result)
        found |= zip(there, rows, strict=True)
    return found


def iso(ms: int) -> str:
    """Return a moment in the form of the portal's filters."""
    return datetime.fromtimestamp(ms // _MILLISECONDS, UTC).isoformat()
