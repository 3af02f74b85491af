"""The command line of `moments.py`: the queries without a result, and the boards as if a moment were now."""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from grafana import build
from tests.grafana.live import get
from tests.grafana.moments import MOMENTS, PATIENT_S, History, ask, known, queries
from tests.grafana.silent_queries import reasons

HOURS = {"team-now": 9, "manager": 9, "operations": 9, "sources": 9, "conversion": 720, "coaching": 720}


@contextmanager
def shifted(address: str, moment_s: int, port: int = 0) -> Iterator[str]:
    """Answer for the Prometheus at `address` as if the moment were now; yield the address."""
    by = int(time.time()) - moment_s

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, asked = self.path.partition("?")
            self._pass_on(path, urllib.parse.parse_qs(asked))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._pass_on(self.path, urllib.parse.parse_qs(body.decode()))

        def _pass_on(self, path: str, asked: dict[str, list[str]]) -> None:
            for name in ("time", "start", "end"):
                if name in asked:
                    asked[name] = [str(float(asked[name][0]) - by)]
            body = _moved(get(f"{address}{path}?{urllib.parse.urlencode(asked, doseq=True)}", PATIENT_S), by)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _moved(body: Any, by: int) -> Any:
    for one in body.get("data", {}).get("result", []) if isinstance(body.get("data"), dict) else []:
        if "value" in one:
            one["value"][0] += by
        for value in one.get("values", []):
            value[0] += by
    return body


def pictures(address: str, at: int, chosen: Mapping[str, Path], command: Path, manager: str) -> None:
    """Let `command` take pictures of boards at the moment; `chosen`: the file of each picture, by that of its board."""
    for file, out in chosen.items():
        out.parent.mkdir(parents=True, exist_ok=True)
        board = Path(file).stem
        span = ("--range", str(HOURS.get(board, 24) * 3600))
        picked = ("--var", f"manager={manager}") if board == "manager" else ()
        with shifted(address, at) as now:  # anew for each: a minute later, there would be no scrape
            asked = (command, build.FOLDER / file, out, "--prometheus", now, *span, *picked)
            subprocess.run(list(map(str, asked)), check=True, stdout=subprocess.DEVNULL)
        print(out, flush=True)


def main() -> None:
    """Show the boards from the command line."""
    asked = argparse.ArgumentParser(prog="python -m tests.grafana.moments", description=__doc__)
    asked.add_argument("--managers", type=int, default=8, help="8 and 25 are the stories, others are invented")
    asked.add_argument("--days", type=int, default=36, help="days of history before the last one")
    asked.add_argument("--whole", action="store_true", help="scrape the whole last day, for charts of it")
    asked.add_argument("--course", action="store_true", help="scrape the days before, too, for charts of weeks")
    asked.add_argument("--speech", type=float, default=0, help="share of the answered calls with a transcript")
    asked.add_argument("--manager", default="clara.still", help="whom the board Manager is about")
    asked.add_argument("--at", action="append", choices=MOMENTS, help="the moments; all of them without it")
    asked.add_argument("--serve", type=int, metavar="PORT", help="answer as if the first of the moments were now")
    asked.add_argument("--pictures", type=Path, nargs=2, metavar=("COMMAND", "FOLDER"), help="COMMAND BOARD PICTURE")
    asked.add_argument("--board", action="append", choices=[Path(file).stem for file in build.BOARDS], help="of which")
    asked.add_argument("--language", choices=("en", "ru"), default="en", help="the language of the pictures")
    given = asked.parse_args()
    boards = "ru/dashboards" if given.language == "ru" else "dashboards"
    history = History(
        managers=given.managers, days=given.days, whole=given.whole, course=given.course, speech=given.speech
    )
    chosen = given.at or list(MOMENTS)
    with tempfile.TemporaryDirectory() as folder, known(Path(folder), history) as address:
        for name in chosen:
            at = history.at(MOMENTS[name])
            empty = [query for query in queries() if not ask(address, query, at, given.manager)]
            unknown = [query for query in empty if not any(reasons(query, name))]
            print(f"{name}: {len(empty)} queries find nothing, {len(unknown)} for no known reason")
            for query in unknown:
                print(f"  {query.board}: {query.panel} {query.ref}")
            if given.pictures:
                command, into = given.pictures
                of = given.board or [Path(file).stem for file in build.BOARDS]
                mark = f"-{name.replace(' ', '-')}" if len(chosen) > 1 else ""
                made = {f"{boards}/{board}.json": into / f"{board}{mark}.png" for board in of}
                pictures(address, at, made, command, given.manager)
        if given.serve:
            with shifted(address, history.at(MOMENTS[chosen[0]]), given.serve) as now:
                print(f"{now} answers as at the moment {chosen[0]}; Ctrl-C ends it", flush=True)
                while True:
                    time.sleep(60)
