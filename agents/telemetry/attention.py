"""The leads that need help now: the answer of `GET /leads/attention`, from the rows of this worker and its peers.

Any worker answers for all. The assignment of each member of the group contains the partitions of all workers, and the
URL of each. The answer names the partitions for which no worker answered, so that an incomplete list is not mistaken
for a complete one.
"""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import aiohttp
import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from agents.state.tables import RowTable
from agents.telemetry.managers import Managers
from agents.web.client import NOBODY, WebClient
from agents.web.paths import ATTENTION, LARGEST_PAGE
from streams.settings.links import Links
from streams.tables.outcome.fold import OutcomeRow, attention

FARTHEST: Final = 100_000
PEER_TIMEOUT_S: Final = 3.0
_SLICE_S: Final = 0.005

Why = Literal["consultation", "stuck"]
WHYS: Final[tuple[Why, ...]] = ("stuck", "consultation")  # in the order of urgency


class QueryError(ValueError):
    """A query that cannot be answered. The text names the parameter and its allowed values."""


class Query(Struct, frozen=True, kw_only=True):
    """A page of the leads of a manager, a team or all, for one reason or any.

    `offset` counts in the order of urgency. With `local` only the rows of this worker are looked at. With `csv` the
    answer is CSV, not JSON.
    """

    manager: str | None = None
    team: str | None = None
    why: Why | None = None
    offset: int = 0
    limit: int = 100
    local: bool = False
    csv: bool = False

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> Query:
        """Return the query that the parameters of a URL make. Raise QueryError for parameters that make none."""
        known = {"manager", "team", "why", "offset", "limit", "scope", "format"}
        if unknown := sorted(set(parameters) - known):
            raise QueryError(f"unknown parameter {unknown[0]!r}; known are {', '.join(sorted(known))}")
        why = parameters.get("why")
        if why is not None and why not in WHYS:
            raise QueryError(f"why is one of {', '.join(WHYS)}")
        scope = parameters.get("scope", "all")
        if scope not in {"all", "worker"}:
            raise QueryError("scope is `all` or `worker`")
        form = parameters.get("format", "json")
        if form not in {"json", "csv"}:
            raise QueryError("format is `json` or `csv`")
        return cls(
            manager=parameters.get("manager"),
            team=parameters.get("team"),
            why=why,
            offset=_whole(parameters, "offset", 0, 0, FARTHEST),
            limit=_whole(parameters, "limit", 100, 1, LARGEST_PAGE),
            local=scope == "worker",
            csv=form == "csv",
        )


class Listed(Struct, frozen=True, kw_only=True):
    """A lead that needs help. `lead` is its reference; never a telephone number. `link` is its page in the CRM.

    `attempts` counts all dials, `without_progress` the conversations since the last progress, `days_in_stage` whole
    local days. `reason` is that of the last follow-up. `why`: a consultation is due, or the lead is stuck.
    """

    team: str
    manager: str
    lead: str
    why: Why
    without_progress: int
    attempts: int
    reason: str
    stage: str
    days_in_stage: int
    link: str | UnsetType = UNSET

    @property
    def urgency(self) -> tuple[Any, ...]:
        """The sort key of the list: the smallest is the most urgent."""
        return (WHYS.index(self.why), -self.without_progress, -self.days_in_stage, self.manager, self.lead)


class Page(Struct, frozen=True, kw_only=True):
    """A page of the list. `total` leads match the query; `next_offset` is None on the last page.

    `missing_partitions` are those for which no worker answered. Their leads are not in the list.
    """

    leads: list[Listed]
    total: int
    next_offset: int | None
    missing_partitions: list[int]


class Answer(Struct, frozen=True, kw_only=True):
    """The answer of one worker: its most urgent leads for the query, the number that match, and its partitions."""

    leads: list[Listed]
    total: int
    partitions: list[int]


_answer: Final = msgspec.json.Decoder(Answer)


class AttentionList:
    """Answers queries from the outcome rows of this worker and, over HTTP, of the others in its group."""

    def __init__(
        self,
        managers: Managers,
        outcomes: RowTable[OutcomeRow],
        *,
        partition_for: Callable[[bytes], int],
        partitions: int,
        owners: Callable[[], Mapping[str, Mapping[str, Any]]],
        links: Links,
        client: WebClient = NOBODY,
    ) -> None:
        """`owners` returns, by URL of a worker, its partitions by changelog. `client` sends the requests."""
        self.links = links
        self._managers = managers
        self._outcomes = outcomes
        self._partition_for = partition_for
        self._partitions = range(partitions)
        self._owners = owners
        self._client = client
        self.own_url = ""

    async def page(self, query: Query) -> Page:
        """Return the page of `query` for all workers."""
        answers = [await self.local(query)]
        if not query.local:
            answers += await self._peers(query)
        leads = sorted((lead for answer in answers for lead in answer.leads), key=lambda lead: lead.urgency)
        total = sum(answer.total for answer in answers)
        end = query.offset + query.limit
        answered = {partition for answer in answers for partition in answer.partitions}
        return Page(
            leads=[self._linked(lead) for lead in leads[query.offset : end]],
            total=total,
            next_offset=end if end < min(total, FARTHEST) else None,
            missing_partitions=[] if query.local else [p for p in self._partitions if p not in answered],
        )

    def _linked(self, lead: Listed) -> Listed:
        address = self.links.of_lead(lead.lead)
        return lead if address is None else replace(lead, link=address)

    async def local(self, query: Query) -> Answer:
        """Return this worker's most urgent leads, enough of them for the page of `query`."""
        now_ms = time.time_ns() // 1_000_000
        found: list[Listed] = []
        partitions = []
        deadline = time.monotonic() + _SLICE_S
        for partition in self._managers.partitions():
            snapshot = self._managers.snapshot(partition)
            of_partition: list[Listed] = []
            for key in self._keys(partition, query):
                of_partition += self._of_manager(partition, key, query, now_ms)
                if time.monotonic() > deadline:
                    await asyncio.sleep(0)
                    deadline = time.monotonic() + _SLICE_S
            if self._managers.is_current(snapshot):  # else it was revoked while it was read
                found += of_partition
                partitions.append(partition)
        found = await asyncio.to_thread(sorted, found, key=lambda lead: lead.urgency)
        return Answer(leads=found[: query.offset + query.limit], total=len(found), partitions=partitions)

    def _keys(self, partition: int, query: Query) -> Iterable[bytes]:
        if query.manager is None:
            return self._managers.keys(partition)
        key = query.manager.encode()
        return [key] if self._partition_for(key) == partition else []

    def _of_manager(self, partition: int, key: bytes, query: Query, now_ms: int) -> Iterable[Listed]:
        part = self._outcomes.parts.get(partition)
        row = None if part is None else part.rows.get(key)
        if row is None:
            return
        entry = self._managers.entry(key)
        if query.team is not None and entry.team != query.team:
            return
        local = entry.blank.local
        today = local.day(now_ms)
        for lead, known in attention(row, today):
            if query.why is None or known.why == query.why:
                yield Listed(
                    team=entry.team,
                    manager=entry.id,
                    lead=lead,
                    why=known.why,
                    without_progress=known.without_progress,
                    attempts=known.attempts,
                    reason=known.reason or "",
                    stage=known.stage,
                    days_in_stage=max(0, today - local.day(known.stage_since)),
                )

    async def _peers(self, query: Query) -> list[Answer]:
        """Return the answers of the other workers of the group; none of a worker that does not answer in time."""
        urls = self.peers()
        if not urls:
            return []
        async with self._client.session(PEER_TIMEOUT_S) as session:
            answers = await asyncio.gather(*(self._ask(session, url, query) for url in urls))
        return [answer for answer in answers if answer is not None]

    async def _ask(self, session: aiohttp.ClientSession, url: str, query: Query) -> Answer | None:
        parameters = {"scope": "worker", "limit": str(min(LARGEST_PAGE, query.limit)), "offset": str(query.offset)}
        for name in ("manager", "team", "why"):
            if (value := getattr(query, name)) is not None:
                parameters[name] = value
        try:
            url, headers = self._client.addressed(url)
            async with session.get(f"{url}{ATTENTION}", params=parameters, headers=headers) as response:
                if response.status == 200:  # noqa: PLR2004 - HTTP's own number
                    return _answer.decode(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError, ValueError):
            pass  # its partitions are named as missing
        return None

    def peers(self) -> list[str]:
        """Return the URLs of the other workers that own partitions, by the group's last assignment."""
        changelog = self._outcomes.changelog
        urls = (url.rstrip("/") for url, tables in self._owners().items() if tables.get(changelog))
        return sorted(url for url in urls if url != self.own_url.rstrip("/"))


def as_csv(page: Page, *, linked: bool) -> str:
    """Return the leads of a page as CSV with a header; the column `link` only where links are set.

    A text that a spreadsheet would read as a formula is quoted.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    names = [name for name in Listed.__struct_fields__ if linked or name != "link"]
    writer.writerow(names)
    for lead in page.leads:
        writer.writerow([_quoted(getattr(lead, name)) for name in names])
    return out.getvalue()


def _quoted(value: object) -> object:
    if value is UNSET:
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def _whole(parameters: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not least <= int(text) <= most:  # noqa: PLR2004 - no number of ours is longer
        raise QueryError(f"{name} is a whole number from {least} to {most}")
    return int(text)
