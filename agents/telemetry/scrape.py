"""Reads the metrics of workers: fetches /metrics and takes the samples out of the text format.

`prometheus_client.parser` takes seven times as long for the 140,000 samples of a thousand managers (27 s instead of 4 s
on a busy machine), and cannot leave out the families that are not needed (0.3 s for two of 140).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Collection, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, NamedTuple

import aiohttp

from agents.web.client import NOBODY, WebClient

PREFIX: Final = "callpulse_"
TIMEOUT_S: Final = 5.0
_LINE: Final = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?$")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE: Final = re.compile(r"\\(.)")
_HINTS: Final = MappingProxyType({401: "; worker.web_client says how to log in", 403: "; this name may not read it"})


class Sample(NamedTuple):
    """One line of a scrape; `name` is without the prefix of the product."""

    name: str
    labels: Mapping[str, str]
    value: float


class Scrape(NamedTuple):
    """The answer of one worker between two moments (milliseconds since epoch), or the reason for none (`error`)."""

    url: str
    began_ms: int
    ended_ms: int
    text: str
    error: str = ""


def metrics_url(address: str) -> str:
    """Return the URL of a worker's metrics: `host`, `host:port` and URLs of any path are understood."""
    url = address if "://" in address else f"http://{address}"
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}/{path}" if slash and path else f"{scheme}://{host}/metrics"


def samples(text: str, wanted: Collection[str] | None = None) -> Iterator[Sample]:
    """Yield the samples of the product's own metrics; with `wanted` (names without prefix) only those."""
    for line in text.splitlines():
        if not line.startswith(PREFIX):
            continue
        if wanted is not None and line[len(PREFIX) :].partition("{")[0].partition(" ")[0] not in wanted:
            continue
        found = _LINE.match(line)
        if found is None:
            continue
        labels = {name: _plain(value) for name, value in _LABEL.findall(found[2] or "")}
        yield Sample(found[1].removeprefix(PREFIX), labels, float(found[3]))


async def fetch(session: aiohttp.ClientSession, url: str, client: WebClient = NOBODY) -> Scrape:
    """Return the answer of the worker at `url`. Never raises for a worker that cannot be reached.

    The `url` of the answer is without a name and a password.
    """
    began_ms = _now_ms()
    text = error = ""
    try:
        url, headers = client.addressed(url)
        async with session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as answer:
            text = await answer.text()
            if answer.status != HTTPStatus.OK:
                hint = _HINTS.get(answer.status, "")
                text, error = "", f"HTTP status {answer.status}{hint}"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
        error = "no answer in time" if isinstance(problem, TimeoutError) else str(problem) or type(problem).__name__
    return Scrape(url, began_ms, _now_ms(), text, error)


async def fetch_all(urls: Collection[str], client: WebClient = NOBODY) -> list[Scrape]:
    """Return the answers of the workers, requested at the same time. `client` logs in at them."""
    async with client.session(TIMEOUT_S) as session:
        return list(await asyncio.gather(*(fetch(session, url, client) for url in urls)))


def _plain(value: str) -> str:
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], value)


def _now_ms() -> int:
    return int(time.time() * 1000)
