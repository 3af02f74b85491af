"""Every fixture through real processes: no number of a customer and no secret is anywhere afterwards."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rocksdict
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.settings.access import hashed
from tests.broker.installation import ROOT, Installation
from tests.broker.leaks import Needles, customers, files, rows
from tests.gateway.ami_server import Account, AmiServer, connections_of
from tests.gateway.raw_http import exchange
from tests.kafka_fixture import consume
from tests.streams.files_cases import ROSTER, STORY
from tests.streams.test_files_bad import TABLES

FIXTURES = ROOT / "tests/fixtures"
pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.slow, pytest.mark.timeout(900)]

AT_DEBUG = """
import logging, runpy
set_level = logging.Logger.setLevel
logging.Logger.setLevel = lambda self, level: set_level(self, logging.DEBUG)
logging.Handler.setLevel = lambda self, level: None
logging.getLogger().setLevel(logging.DEBUG)
runpy.run_module("agents.cli", run_name="__main__", alter_sys=True)
"""
"""Program that runs the command line with every logger at debug, also those with a level of their own."""
HTTP = FIXTURES / "sources"
STORY_HTTP = HTTP / "storyA/cloudevents"
BAD_HTTP = HTTP / "bad/cloudevents"
BEARERS = (
    msgspec.json.decode((STORY_HTTP / "expected.json").read_bytes())["settings"]["bearer"],
    msgspec.json.decode((BAD_HTTP / "index.json").read_bytes())["keys"]["bearer"],
)
SIGNING = "whsec_" + base64.b64encode(b"a signing secret of the test, 32").decode()
IN_A_URL = "a-token-in-the-url-of-a-hook"
WRONG = "a-token-that-is-nobodys-at-all"
NUMBER = "+74950000101"
ALSO_A_TELEPHONE = ("31260010001", "0260010001")
"""A customer's number in the oldest recordings. Its last nine digits alone are the name of a telephone there."""
SENDERS = f"""
[gateway.http]
body_deadline = "1s"
[sources.http.story]
tokens = ["{hashed(BEARERS[0])}"]
[sources.http.wrong]
tokens = ["{hashed(BEARERS[1])}"]
[sources.http.signed]
secrets = ["{SIGNING}"]
[sources.asterisk]
trunks = ["trunk-msk"]
"""


class Run(Installation):
    """An installation whose processes log everything, and their answers."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        super().__init__(bootstrap, folder)
        self.prefix = self.environment["CALLPULSE_KAFKA__GROUP"]
        self.lead_secret = "the lead secret of this run"  # noqa: S105 - of the test
        config = folder / "given/callpulse.toml"
        config.parent.mkdir()
        config.write_text(ROSTER + STORY + TABLES % "utf-8" + SENDERS, "utf-8")
        self.environment |= {
            "CALLPULSE_CONFIG": str(config),
            "CALLPULSE_LEAD_SECRET": self.lead_secret,
            "CALLPULSE_DATA_DIR": str(folder / "left/worker"),
            "CALLPULSE_GATEWAY__DATA_DIR": str(folder / "left/gateway"),
            "CALLPULSE_GATEWAY__HTTP_PORT": "0",
            "CALLPULSE_GATEWAY__STATUS_PORT": "0",
        }
        self.left = folder / "left"
        self.left.mkdir()
        self.answers: list[tuple[str, bytes]] = []

    async def command(self, *arguments: object, **environment: str) -> bytes:
        """Run a command to its end, and keep its output."""
        process = await self._start(*arguments, **environment)
        out, err = await asyncio.wait_for(process.communicate(), 300)
        name = " ".join(map(str, arguments[:2]))
        self.answers += [(f"{name}: stdout", out), (f"{name}: stderr", err)]
        assert b"Traceback" not in err, err[-3000:].decode()
        return out

    @contextlib.asynccontextmanager
    async def process(self, *arguments: object, **environment: str) -> AsyncIterator[dict[str, str]]:
        """Run a command that serves until SIGTERM, with its log among the kept files; yield its first line."""
        name = f"{'-'.join(Path(str(word)).name for word in arguments)}-{secrets.token_hex(2)}"
        with (self.left / f"{name}.log").open("wb") as log:
            process = await self._start(*arguments, "--json", stderr=log, **environment)
        assert process.stdout is not None
        try:
            said = await process.stdout.readline()
            assert said, (self.left / f"{name}.log").read_text()[-3000:]
            yield msgspec.json.decode(said)
            process.send_signal(signal.SIGTERM)
            rest = await asyncio.wait_for(process.stdout.read(), 60)
            self.answers.append((f"{name}: stdout", said + rest))
            assert await asyncio.wait_for(process.wait(), 60) == 0, (self.left / f"{name}.log").read_text()[-3000:]
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def post(self, url: str, request: bytes, name: str) -> int:
        """Send the bytes of a request, and keep the answer."""
        answer = await exchange(url, request)
        self.answers.append((f"answer to {name}", repr(sorted(answer.headers.items())).encode() + answer.body))
        return answer.status

    async def look(self, url: str, *paths: str) -> bytes:
        """Get pages, and keep them."""
        last = b""
        for path in paths:
            answer = await exchange(url, f"GET {path} HTTP/1.0\r\n\r\n".encode())
            last = answer.body
            self.answers.append((path, last))
        return last

    async def _start(
        self, *arguments: object, stderr: Any = asyncio.subprocess.PIPE, **environment: str
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", AT_DEBUG, *map(str, arguments)),
            cwd=ROOT,
            env=self.environment | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )

    async def topics(self) -> list[str]:
        """The topics of this run, changelogs among them."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            return sorted(name for name in await consumer.topics() if self.prefix in name)
        finally:
            await consumer.stop()

    async def everything(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield all data that is left, by its place."""
        for topic in await self.topics():
            for record in await asyncio.to_thread(consume, self.bootstrap, topic):
                headers = b"\n".join(name.encode() + b"=" + value for name, value in record.headers)
                yield topic, b"\n".join((topic.encode(), record.key or b"", record.value or b"", headers))
        for place, data in files(self.left):
            yield place, data
        for place, data in self.answers:
            yield place, data


async def found(run: Run, needles: Needles) -> dict[str, str]:
    """Return the places in which a number or a secret is found."""
    places: dict[str, list[bytes]] = {}
    async for place, data in run.everything():
        places.setdefault(place, []).append(data)
    joined = {place: b"\n\0\n".join(parts) for place, parts in places.items()}
    return {place: " | ".join(leaks)[:600] for place, data in joined.items() if (leaks := list(needles.within(data)))}


def requests() -> Iterator[tuple[str, bytes]]:
    """Yield every request of the fixtures, and some to unknown hooks."""
    for path in (*sorted((STORY_HTTP / "deliveries").glob("*.http")), *sorted(BAD_HTTP.glob("*.http"))):
        yield path.name, path.read_bytes()
    body = f'{{"number": "{NUMBER}"}}'
    head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    yield "a hook", f"POST /hooks/none/{IN_A_URL} HTTP/1.1\r\n{head}\r\n{body}".encode()
    yield "a query", f"POST /v1/events?phone={NUMBER}&token={IN_A_URL} HTTP/1.1\r\n{head}\r\n{body}".encode()
    yield "a path", f"POST /v1/{NUMBER} HTTP/1.1\r\n{head}X-Phone: {NUMBER}\r\n\r\n{body}".encode()
    yield "a wrong token", f"POST /v1/events HTTP/1.1\r\n{head}Authorization: Bearer {WRONG}\r\n\r\n{body}".encode()
    yield (
        "a number as field",
        f"POST /v1/events HTTP/1.1\r\n{head}Authorization: Bearer {BEARERS[0]}\r\n\r\n{body}".encode(),
    )


async def through_http(run: Run) -> None:
    async with run.process("gateway") as at:
        answers = [await run.post(at["url"], request, name) for name, request in requests()]
        assert answers.count(202) > 50
        assert answers.count(401) >= 2
        await run.look(at["status"], "/-/ready", "/-/healthy", "/metrics")
        await run.command("sources", "--at", at["status"])
    # The same with Kafka away, so that the spool has it.
    away = {"CALLPULSE_KAFKA__BOOTSTRAP": "127.0.0.1:1", "CALLPULSE_BOOTSTRAP": "127.0.0.1:1"}
    async with run.process("gateway", "--name", "away", CALLPULSE_GATEWAY__SPOOL_AFTER="50ms", **away) as at:
        for name, request in requests():
            await run.post(at["url"], request, name)
        page = await run.look(at["status"], "/-/ready", "/metrics")
        assert float(re.findall(rb"\ncallpulse_spool_bytes (\S+)", page)[0]) > 10_000


async def through_files(run: Run) -> None:
    for mapping, names in (
        ("csv_ru", ("csv_ru/calls-1.csv", "csv_ru/calls-2.csv")),
        ("csv_en", ("csv_en/calls-1.csv", "csv_en/calls-2.csv", "csv_ru/calls-1.csv")),
        ("deals_ru", ("csv_ru/deals.csv", "csv_en/deals.csv")),
    ):
        await run.command("import", "-m", mapping, *(HTTP / "storyA" / name for name in names))
    bad = sorted((HTTP / "bad/csv").glob("*.csv"))
    for mapping in ("bad", "deals"):
        await run.command("import", "-m", mapping, "--json", *bad)


async def through_asterisk(run: Run) -> None:
    german = {"CALLPULSE_PRIVACY__REGION": "DE"}
    recordings = [*(FIXTURES / "asterisk/cases").iterdir(), *(FIXTURES / "ami").glob("*.json")]
    await run.command("replay", "ami", *sorted(recordings), **german)
    async with AmiServer() as server:
        ami = {"HOST": "127.0.0.1", "PORT": str(server.port), "SECRET": Account().secret}
        given = german | {f"CALLPULSE_SOURCES__ASTERISK__AMI__{key}": value for key, value in ami.items()}
        await run.command("sources", "test", "asterisk", "--seconds", "1", **given)
        await run.command(
            "sources",
            "test",
            "asterisk",
            "--seconds",
            "1",
            **given | {"CALLPULSE_SOURCES__ASTERISK__AMI__SECRET": WRONG},
        )
        async with run.process("listen", "ami", **given) as at:
            await server.until(lambda: server.up and server.up[0].asked == {"CoreShowChannels", "QueueStatus"}, 60)
            for path in sorted((FIXTURES / "asterisk/ami").glob("*.ami")):
                for part in connections_of(path.read_bytes()):
                    await server.send(part.events)
            server.send_now(f"Event: Ha\x00lf {NUMBER}\r\n\r\nEvent {NUMBER}\r\nCallerIDNum: {NUMBER}\r\n\r\n".encode())
            await asyncio.to_thread(consume, run.bootstrap, run.calls, at_least=300, within_s=60)
            accepted = 0.0
            async with asyncio.timeout(60):
                while accepted <= 500:
                    await asyncio.sleep(2)
                    page = await run.look(at["url"], "/-/ready", "/metrics")
                    found = re.findall(rb'\ncallpulse_source_accepted_total{source="asterisk"} (\S+)', page)
                    accepted = sum(map(float, found))


RECORDS = {
    "cel": ("records/cel", "asterisk/cel", "records/bad_cel"),
    "queue-log": ("records/queue_log", "records/bad_queue_log"),
    "cdr": ("records/cdr", "asterisk/cdr", "records/bad_cdr"),
}
"""The folders of each kind of record files, sound ones first."""


async def through_records(run: Run) -> None:
    for kind, folders in RECORDS.items():
        growing = run.folder / f"given/{kind}"
        paths = [path for folder in folders for path in sorted((FIXTURES / folder).rglob("*")) if path.is_file()]
        parts = [path.read_bytes() for path in paths if path.suffix != ".json" or "index" not in path.name]
        growing.write_bytes(b"\n".join(parts))
        async with run.process("listen", kind, growing) as at:
            async with asyncio.timeout(120):
                before = -1.0
                while not 10 < (now := await received(run, at["status"])) == before:
                    before = now
                    await asyncio.sleep(3)
            await run.look(at["status"], "/-/ready", "/metrics")


async def received(run: Run, url: str) -> float:
    page = await run.look(url, "/metrics")
    return sum(map(float, re.findall(rb"\ncallpulse_source_received_total\{[^}]*\} (\S+)", page)))


@contextlib.asynccontextmanager
async def everything_through(bootstrap: str, folder: Path) -> AsyncIterator[Run]:
    run = Run(bootstrap, folder)
    await run.command("check-config")
    await run.command("topics", "create")
    async with run.process("worker") as worker:
        await through_http(run)
        await through_files(run)
        await through_asterisk(run)
        await through_records(run)
        await asyncio.to_thread(consume, bootstrap, run.crm, at_least=10)
        letters = await run.command("rejected", "list", "--show-value", "--json", "--limit", "1000000")
        sources = {letter.get("source") for letter in msgspec.json.decode(letters)["letters"]}
        assert sources >= {"asterisk", "bad", "story", "wrong"}
        for words in (
            ("rejected", "list", "--show-value", "--limit", "1000000"),
            ("unmapped",),
            ("top", worker["url"], "--json"),
            ("leads",),
            ("explain", "vera.lisina"),
        ):
            await run.command(*words)
        await run.look(worker["url"], "/metrics", "/leads/attention", "/-/ready")
        # Time for a checkpoint: rows go to the changelogs and to the disk.
        await asyncio.sleep(3)
    yield run


async def test_no_number_of_a_customer_and_no_secret_is_left_anywhere(bootstrap: str, tmp_path: Path) -> None:
    numbers = customers([FIXTURES / name for name in ("sources", "asterisk", "records", "ami")])
    assert len(numbers) > 25
    async with everything_through(bootstrap, tmp_path) as run:
        hidden = (*ALSO_A_TELEPHONE, *BEARERS, SIGNING, IN_A_URL, WRONG, Account().secret, run.lead_secret)
        needles = Needles(numbers, hidden)
        leaks = await found(run, needles)
        for place, what in leaks.items():
            print(place, what)
        assert leaks == {}
        assert sum(1 for store in run.left.rglob("CURRENT") for _ in rows(store.parent)) > 20
        # The control: a number or secret that is planted in each kind of place is found there.
        places = await planted(run)
        assert places <= (await found(run, needles)).keys()


async def planted(run: Run) -> set[str]:
    """Put a number or a secret into each kind of place, and return the places."""
    names = await run.topics()
    changelog = next(name for name in names if "changelog" in name)
    letters = next(name for name in names if name.endswith("rejected") or "dead" in name)
    producer = AIOKafkaProducer(bootstrap_servers=run.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(run.calls, key=b"8 (495) 000-01-01", value=b"{}")
        await producer.send_and_wait(letters, value=base64.b64encode(f"a row: {NUMBER};".encode()))
        await producer.send_and_wait(changelog, key=b"x", value=b"\xcf" + int(NUMBER).to_bytes(8, "big"))
        await producer.send_and_wait(run.crm, value=b"{}", headers=[("why", b"no 000-01-01 / 0000101")])
    finally:
        await producer.stop()
    store = next(path.parent for path in run.left.rglob("CURRENT"))
    options = rocksdict.Options(raw_mode=True)
    families = {name: rocksdict.Options(raw_mode=True) for name in rocksdict.Rdict.list_cf(str(store), options)}
    database = rocksdict.Rdict(str(store), options, column_families=families)
    family = next(iter(families))
    database.get_column_family(family)[b"planted"] = b"x" * 100 + NUMBER.encode() + b"x" * 100
    database.flush()
    database.close()
    assert any(NUMBER.encode() in data for _, data in rows(store))
    (run.left / "planted.log").write_text(f"POST /hooks/none/{IN_A_URL}")
    spool = next(path for path in (run.left / "gateway").rglob("*") if path.is_file() and path.stat().st_size > 100)
    spool.write_bytes(spool.read_bytes() + run.lead_secret.encode())
    run.answers.append(("an answer", b'{"detail": "' + BEARERS[1].encode() + b'"}'))
    return {
        *(run.calls, run.crm, letters, changelog, "planted.log", "an answer"),
        *(f"{store.name} {family}", str(spool.relative_to(run.left))),
    }
