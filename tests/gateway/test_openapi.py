"""The OpenAPI document: it is current, it describes the contract, and the server keeps to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from agents.cli.schema import schema
from streams.sources.http.openapi import document
from streams.sources.http.problems import PROBLEMS
from tests.examples import examples
from tests.gateway.served import TOKEN, serving

PAGE = Path(__file__).parents[2] / "docs/openapi.json"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A gateway in a thread of its own: schemathesis is synchronous."""
    loop = asyncio.new_event_loop()
    started: asyncio.Future[str] = loop.create_future()
    stop = asyncio.Event()

    async def serve() -> None:
        async with serving() as served:
            started.set_result(served.url)
            await stop.wait()

    async def first() -> str:
        return await started

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(first(), loop).result(20)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


def test_the_document_is_current(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    schema("openapi")
    assert capfdbinary.readouterr().out == PAGE.read_bytes(), "run `make docs`"


def test_it_names_every_problem_but_a_defect() -> None:
    text = PAGE.read_text(encoding="utf-8")
    elsewhere = {"internal-error", "not-found", "method-not-allowed", "stopping"}
    for slug in PROBLEMS.keys() - elsewhere:
        assert f"`urn:callpulse:problem:{slug}`" in text
    assert document(version("callpulse"))["openapi"] == "3.1.0"


@schemathesis.serializer("application/x-ndjson", "application/ndjson", "application/jsonl")
def as_it_is(_: Any, value: Any) -> bytes:
    """Lines, or other values in their place."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else msgspec.json.encode(value)


DOCUMENT = schemathesis.openapi.from_dict(msgspec.json.decode(PAGE.read_bytes()))
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.mark.slow
@DOCUMENT.exclude(path="/v1/cloudevents").parametrize()  # it is the same endpoint; each takes a minute
@examples(60, suppress_health_check=list(hypothesis.HealthCheck))
def test_the_server_keeps_to_the_document(case: Any, url: str) -> None:
    if case.method.upper() == "POST":
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {TOKEN}"}
    case.call_and_validate(base_url=url, checks=CHECKS)
