"""`POST /v1/events`: forms of bodies, results in order, reasons, and data that is never published."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from agents.gateway.http_receiver import clock_ms
from agents.gateway.sink import NotStoredError
from streams.contract.events import CallAnnotated, CallStarted, DealStageChanged
from tests.gateway.raw_http import exchange
from tests.gateway.served import TOKEN, Served, encoded, ended, serving

KEY = "phone:68299e23426fcbf9ef60918af7894d45"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as made:
        yield made


def deal(**more: Any) -> dict[str, Any]:
    made = {"v": 1, "id": "d-1", "type": "deal.stage_changed", "at": clock_ms() - 1000, "source": "crm"}
    return made | {"lead": "crm-1", "deal": "d", "stage": "won"} | more


# -- forms


@pytest.mark.parametrize(
    ("kind", "body", "count"),
    [
        ("application/json", encoded(ended(1)), 1),
        ("application/json; charset=utf-8", b" \n" + encoded(ended(1)), 1),
        ("Application/JSON", encoded([ended(1), ended(2)]), 2),
        ("application/json", b"\xef\xbb\xbf" + encoded([ended(1)]), 1),
        ("application/x-ndjson", encoded(ended(1)) + b"\n\r\n" + encoded(ended(2)) + b"\r\n", 2),
        ("application/jsonl", encoded(ended(1)), 1),
        ("application/json", b"[]", 0),
    ],
)
async def test_the_content_type_says_what_the_body_is(served: Served, kind: str, body: bytes, count: int) -> None:
    answer = await served.post(body, Content_Type=kind)
    assert answer.status == 202, answer.body
    assert [result["status"] for result in answer.json["results"]] == ["accepted"] * count
    assert len(served.sink.events) == count


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/xml", "application/cloudevents+xml", "application/json; charset=cp1251"]
)
async def test_it_is_never_guessed(served: Served, kind: str) -> None:
    answer = await served.post(encoded(ended()), Content_Type=kind)
    assert (answer.status, answer.problem) == (415, "unsupported-media-type")
    assert "application/json" in answer.headers["Accept-Post"]


async def test_bodies_come_packed(served: Served) -> None:
    first, second = encoded(ended(1)), encoded(ended(2))
    padding = bytes(512)  # as tapes and blocks have it; gzip itself reads over it
    members = [gzip.compress(part) + padding for part in (second[:9], second[9:])]
    for packed in (gzip.compress(first) + padding, b"".join(members)):
        answer = await served.post(packed, Content_Encoding="gzip")
        assert answer.status == 202


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "gzip, gzip", "nonsense"])
async def test_other_encodings_are_refused(served: Served, coding: str) -> None:
    answer = await served.post(zlib.compress(encoded(ended())), Content_Encoding=coding)
    assert (answer.status, answer.problem) == (415, "unsupported-encoding")
    assert answer.headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize(
    "body",
    [
        b"not gzip",
        bytes(9),
        bytes(9) + gzip.compress(b"{}", mtime=0),
        gzip.compress(b"{}", mtime=0) + b"\0x",
        gzip.compress(b"{}", mtime=0)[:-4],
        b"",
        gzip.compress(b"", mtime=0) * 9,
    ],
)
async def test_broken_gzip_is_refused(served: Served, body: bytes) -> None:
    answer = await served.post(body, Content_Encoding="gzip")
    assert (answer.status, answer.problem) == (400, "malformed-request")


async def test_a_batch_has_at_most_500_events(served: Served) -> None:
    batch = [ended(number) for number in range(501)]
    for kind, body in (
        ("application/json", encoded(batch)),
        ("application/x-ndjson", b"\n".join(map(encoded, batch))),
    ):
        answer = await served.post(body, Content_Type=kind)
        assert (answer.status, answer.problem) == (413, "too-many-events")
    assert served.sink.events == []
    assert (await served.post(encoded(batch[:500]))).json["accepted"] == 500


# -- results


async def test_one_bad_event_fails_no_other_and_results_are_in_order(served: Served) -> None:
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    body = b"[%b,{},%b,%b,%b,[],%b]" % (
        encoded(ended(1)),
        b"[" * 20_000 + b"]" * 20_000,
        encoded(ended(1)),
        encoded(deal(lead="\u0001")),
        encoded(ended(2, text='a "quoted" ] , [ bracket \\')),
    )
    answer = await served.post(body)
    found = [(result["id"], result["status"], result.get("reason")) for result in answer.json["results"]]
    assert found == [
        ("call-1", "accepted", None),
        (None, "rejected", "missing_field"),
        (None, "rejected", "too_deep"),
        ("call-1", "duplicate", None),
        ("d-1", "accepted", None),
        (None, "rejected", "not_json"),
        ("call-2", "accepted", None),
    ]
    assert {key: answer.json[key] for key in ("accepted", "duplicates", "rejected")} == {
        "accepted": 3,
        "duplicates": 1,
        "rejected": 3,
    }
    assert [refused.where for refused in served.sink.refused] == ["event 2", "event 3", "event 6"]


FUTURE_MS = 5 * 60_000


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"{}", "missing_field"),
        (b"[", "not_json"),
        (b"\xff", "not_utf8"),
        (b"{" * 5000, "not_json"),
        (b"NaN", "not_json"),
        (b'{"a":' + b"9" * 5000 + b"}", "not_json"),
        (encoded(ended(v=2)), "unknown_version"),
        (encoded(ended(type="call.began")), "unknown_type"),
        (encoded(ended(disposition="fine")), "invalid_field"),
        (encoded(ended(talk_ms=-1)), "invalid_field"),
        (encoded(ended(at=1_795_000_000)), "invalid_time"),
        (encoded(ended(started_at=clock_ms())), "invalid_time"),
        (encoded(ended(at=clock_ms() + FUTURE_MS + 3_600_000)), "future"),  # collected long before it runs
        (encoded(ended(note="x" * 70_000)), "too_large"),
        (encoded(ended(manager="a\u0000b")), "invalid_field"),
        (encoded(ended(manager="")), "invalid_field"),
        (encoded(deal(type="lead.linked", old_key="crm-1")), "invalid_field"),
    ],
)
async def test_what_the_worker_would_refuse_is_refused_by_the_same_reason(
    served: Served, event: bytes, reason: str
) -> None:
    answer = await served.post(event)
    assert (answer.status, answer.problem) == (422, "none-accepted")
    assert [result["reason"] for result in answer.json["results"]] == [reason]
    assert [refused.reason for refused in served.sink.refused] == [reason]
    assert served.sink.events == []


async def test_an_event_a_little_ahead_of_the_clock_is_taken(served: Served) -> None:
    assert (await served.post(encoded(ended(at=clock_ms() + FUTURE_MS - 30_000)))).status == 202


# -- numbers


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "74950000101"),
        ("source", "pbx +7495000"),
        ("manager", "+74950000101"),
        ("manager", "sip:74950000101@pbx"),
        ("lead", "+74950000101"),
        ("lead", "8 (495) 000-01-01-1"),
        ("lead", "tel:74950000101"),
        ("lead", "74950000101"),
        ("id", "call of +74950000101"),
        ("call", "+74950000101-1"),
    ],
)
async def test_what_could_be_a_number_is_refused_where_a_name_belongs(served: Served, field: str, value: str) -> None:
    answer = await served.post(encoded(ended() | {field: value}))
    (result,) = answer.json["results"]
    assert (answer.status, result["reason"]) == (422, "invalid_field")
    assert f"`{field}`" in result["detail"]
    assert value not in result["detail"]
    assert b"0000101" not in served.sink.refused[0].shape


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("manager", "150010001"),
        ("manager", "3fa85f64-5717-4562-b3fc-2c1234567890ab"),
        ("manager", "queue:sales"),
        ("lead", "4711007"),
        ("lead", "crm-15234567890"),
        ("lead", KEY),
        ("lead", "00Q5e00000ABCDEFGH"),
        ("call", "1794895331.240"),
        ("call", "1794895331240"),
        ("id", "1794895331240"),
    ],
)
async def test_ids_that_are_no_numbers_are_taken(served: Served, field: str, value: str) -> None:
    answer = await served.post(encoded(ended() | {field: value}))
    assert answer.status == 202, answer.body
    assert getattr(served.sink.events[0], field) == value


async def test_a_label_that_could_be_a_number_counts_as_other(served: Served) -> None:
    note = {"stages": ["proposal", "+74950000101"], "reason": "4950000101"}
    batch = [
        deal(product="+74950000101", channel="site", client_type="74950000101", amount="call 7495", currency="what"),
        deal(id="d-2", type="call.annotated", call="c", **note),
        ended(1) | {"type": "call.started", "team": "74950000101", "queue": "+7495000010"},
    ]
    answer = await served.post(encoded(batch))
    assert answer.json["accepted"] == 3, answer.body
    first, second, third = served.sink.events
    assert isinstance(first, DealStageChanged)
    assert isinstance(second, CallAnnotated)
    assert isinstance(third, CallStarted)
    assert (first.product, first.channel, first.client_type) == ("other", "site", "other")
    assert (first.amount, first.currency) == ("?", "?")
    assert (second.stages, second.reason) == (("proposal", "other"), "other")
    assert (third.team, third.queue) == (None, None)


async def test_fields_outside_the_contract_are_not_stored(served: Served) -> None:
    await served.post(encoded(ended(customer="+74950000101", note="words of a customer")))
    stored = msgspec.json.encode(served.sink.events)
    assert b"4950000101" not in stored
    assert b"words" not in stored


async def test_readable_amounts_stay(served: Served) -> None:
    await served.post(encoded([deal(id=str(n), amount=a) for n, a in enumerate(["1 200,50", 12.5, "1,000"])]))
    assert [str(getattr(event, "amount", None)) for event in served.sink.events] == ["1200.50", "12.5", "1000"]


# -- CloudEvents


def cloud(data: Any, /, **more: Any) -> dict[str, Any]:
    made = {"specversion": "1.0", "id": "e-1", "source": "/pbx", "type": "callpulse.call.ended", "data": data}
    return {name: value for name, value in (made | more).items() if value is not None}


CLOUD = "application/cloudevents+json"


async def test_what_the_data_leaves_out_comes_from_the_envelope(served: Served) -> None:
    event = ended(1)
    at = event.pop("at")
    for name in ("v", "id", "type", "source"):
        del event[name]
    stamp = datetime.fromtimestamp(at / 1000, UTC).isoformat()
    answer = await served.post(encoded(cloud(event, time=stamp)), Content_Type=CLOUD)
    assert answer.status == 202, answer.body
    (stored,) = served.sink.events
    assert (stored.id, stored.at, stored.source, stored.v) == ("/pbx:e-1", at, "crm", 1)


async def test_a_long_id_is_hashed_and_stays_the_same(served: Served) -> None:
    event = ended(1)
    del event["id"]
    for _ in range(2):
        await served.post(encoded(cloud(event, source="x" * 300)), Content_Type=CLOUD)
    (stored,) = served.sink.events
    assert stored.id.startswith("ce:")
    assert len(stored.id) == 35


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"specversion": None}, "missing_field"),
        ({"specversion": "0.3"}, "unknown_version"),
        ({"id": ""}, "invalid_field"),
        ({"source": 5}, "invalid_field"),
        ({"type": "call.ended"}, "unknown_type"),
        ({"type": "callpulse.call.started"}, "invalid_field"),
        ({"datacontenttype": "text/xml"}, "invalid_field"),
        ({"data": None}, "empty"),
        ({"data": None, "data_base64": "***"}, "invalid_field"),
        ({"data": "text"}, "not_json"),
    ],
)
async def test_an_envelope_that_is_none_is_refused(served: Served, changed: dict[str, Any], reason: str) -> None:
    answer = await served.post(encoded(cloud(ended(1), **changed)), Content_Type=CLOUD)
    assert [result["reason"] for result in answer.json["results"]] == [reason]


# -- not stored


async def test_events_that_are_not_stored_are_answered_so(served: Served) -> None:
    served.sink.error = NotStoredError("away", 9)
    answer = await served.post(encoded([ended(1), {}]))
    assert (answer.status, answer.problem) == (503, "not-stored")
    assert 9 <= int(answer.headers["Retry-After"]) <= 12
    assert served.sink.refused == []  # the sender will send them again
    assert [count for _, count in served.counts.lost] == [1]


async def test_after_the_deadline_the_events_may_be_there(served: Served) -> None:
    served.sink.error = NotStoredError("the deadline is over", 5, maybe=True)
    answer = await served.post(encoded(ended(1)))
    assert (answer.status, answer.problem) == (503, "maybe-stored")
    assert "may be stored" in answer.json["detail"]
    assert 5 <= int(answer.headers["Retry-After"]) <= 6


# -- paths and the protocol


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_events_are_posted(served: Served, method: str) -> None:
    answer = await served.ask(method, "/v1/events", Authorization=f"Bearer {TOKEN}")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/events/", "/V1/events", "/hooks/", "/hooks/a", "/hooks/a/b/c", "/%"])
async def test_there_is_nothing_else(served: Served, path: str) -> None:
    raw = await exchange(served.url, f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    assert (raw.status, raw.problem) in {(404, "not-found"), (400, "malformed-request")}


async def test_pages_are_read(served: Served) -> None:
    for path in ("/-/ready", "/-/healthy", "/metrics", "/v1/openapi.json"):
        answer = await served.ask("GET", path)
        head = await served.ask("HEAD", path)
        assert (answer.status, head.status, head.body) == (200, 200, b"")
        assert (await served.ask("POST", path)).headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense +74950000101\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /-/ready HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_problem_too_and_is_not_quoted(
    served: Served, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await exchange(served.url, request_)
    assert (answer.status, answer.problem) == (400, "malformed-request")
    assert "4950000101" not in caplog.text + str(answer.body)
    assert (await served.ask("GET", "/-/ready")).status == 200


async def test_headers_are_bounded(served: Served) -> None:
    long = await exchange(served.url, b"GET /-/ready HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n")
    assert (long.status, long.problem) == (431, "headers-too-large")
    many = b"".join(b"X-%d: a\r\n" % number for number in range(500))
    answer = await exchange(served.url, b"GET /-/ready HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")
    assert answer.status in {400, 431}


async def test_a_sender_that_asks_first_is_told_to_go_on(served: Served) -> None:
    body = encoded(ended())
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    first = await exchange(served.url, head.encode() + body)
    assert first.status == 100
    refused = await exchange(served.url, head.replace(TOKEN, "wrong").encode())
    assert refused.status == 401
