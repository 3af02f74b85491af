"""A real Prometheus with the invented day of `scene.py`, which it scrapes on, and with our rules.

`python -m tests.grafana.backdrop --hours 9 --port 9090` keeps one running to look at boards over; Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from agents.embedded.ports import find_free
from tests.grafana.live import Worker, eventually, get
from tests.grafana.scene import Scene
from tests.grafana.tooling import RULES, run, tool
from tests.yaml_text import parsed


def _text(scene: Scene, at: float) -> str:
    """Return the present metrics of a worker."""
    told = (sample for sample in scene.samples(at) if sample.name != "up")
    return "".join(f"{sample.name}{{{_inside(sample.labels)}}} {sample.value}\n" for sample in told)


def _inside(labels: Mapping[str, str]) -> str:
    return ",".join(f'{key}="{said}"' for key, said in labels.items())


def _openmetrics(path: Path, scene: Scene, now: float, hours: float, instance: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        for at in range(int(now - hours * 3600), int(now), 60):
            for name, labels, value in scene.samples(at):
                inside = _inside({**labels, "job": "callpulse", "instance": instance})
                file.write(f"{name}{{{inside}}} {value} {at}\n")
        file.write("# EOF\n")


def rules_now(folder: Path) -> list[Path]:
    """Write the rules, evaluated and alerting after two seconds; no other change."""
    made = []
    for path in RULES:
        whole = parsed(path.read_text("utf-8"))
        for group in whole["groups"]:
            group["interval"] = "2s"
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = "2s"
        made.append(folder / path.name)
        made[-1].write_text(yaml.safe_dump(whole), "utf-8")
    return made


def _past(folder: Path) -> Path:
    """Write the rules whose series a board draws over time, and those that they read."""
    drawn = re.compile(
        r"manager:callpulse_(on_shift:max|state|manager_info:name|calls_1h:sum|expect.*)|callpulse:(managers_on_shift|feed_quiet)"
        r"|callpulse:newest_event_age_seconds|team:callpulse_conversion_ratio:90d"
    )
    groups = []
    for path in RULES:
        for group in parsed(path.read_text("utf-8"))["groups"]:
            some = [rule for rule in group["rules"] if drawn.fullmatch(rule.get("record", ""))]
            groups.append({"name": group["name"], "rules": some})
    made = folder / "past.yaml"
    made.write_text(yaml.safe_dump({"groups": groups}), "utf-8")
    return made


@contextmanager
def running(folder: Path, scene: Scene, *, hours: float, passes: int = 0, port: int = 0) -> Iterator[str]:
    """Run a Prometheus with the last `hours`, which scrapes on. Yield its address, and end it.

    With `passes` the recorded series that boards draw over time have a past, too: each pass computes those that read
    the ones of the earlier pass.
    """
    data, port, now = folder / "data", port or find_free(), time.time()
    worker = Worker()
    worker.says = lambda: _text(scene, time.time())
    _openmetrics(folder / "scene.txt", scene, now, hours, worker.address)
    done = run("promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "scene.txt", data)
    assert done.returncode == 0, done.stderr
    rules, past = rules_now(folder), _past(folder)
    try:
        for number in range(passes + 1):
            last = number == passes
            config = {
                "global": {"scrape_interval": "5s", "evaluation_interval": "2s"},
                "rule_files": [str(path) for path in rules] if last else [],
                "scrape_configs": [{"job_name": "callpulse", "static_configs": [{"targets": [worker.address]}]}],
            }
            (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
            with prometheus(folder, data, port) as address:
                if last:
                    yield address
                else:
                    _record(address, data, past, now, hours)
    finally:
        worker.stop()


@contextmanager
def prometheus(folder: Path, data: Path, port: int, *options: str) -> Iterator[str]:
    """Run a Prometheus over a data folder with the configuration of `folder`; yield its address once it answers.

    `options` are further ones of its command.
    """
    address = f"http://127.0.0.1:{port}"
    command = (
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=10y",
        *options,
    )
    process = subprocess.Popen(
        [tool("prometheus"), *command, f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: _answers(address), "Prometheus answers")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def _record(address: str, data: Path, rules: Path, now: float, hours: float) -> None:
    times = (f"--start={int(now - hours * 3600)}", f"--end={int(now)}")
    command = ("promtool", "tsdb", "create-blocks-from", "rules", *times, f"--url={address}", "--eval-interval=120s")
    done = run(*command, f"--output-dir={data}", rules)
    assert done.returncode == 0, done.stderr


def _answers(address: str) -> bool:
    try:
        return bool(get(f"{address}/api/v1/query?query=vector(1)")["data"]["result"])
    except OSError:
        return False


def main() -> None:
    """Keep one running."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--hours", type=float, default=9)
    asked.add_argument("--passes", type=int, default=4)
    asked.add_argument("--port", type=int, default=9090)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(time.time() + 300)  # about when a reader has opened a board
        with running(Path(folder), scene, hours=given.hours, passes=given.passes, port=given.port) as address:
            print(address, flush=True)
            while True:
                time.sleep(60)


if __name__ == "__main__":
    main()
