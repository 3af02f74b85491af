"""The command line without a broker: help, settings, metrics, recordings, and errors in words."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from agents.cli.metrics import page
from agents.embedded.ports import find_free
from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, Rejection
from streams.metrics.catalogue import CATALOGUE
from streams.metrics.gateway import GATEWAY_METRICS
from streams.metrics.wording import Language
from tests.agents.cli_runner import Runner

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests/fixtures/ami"
SECRET = {"CALLPULSE_LEAD_SECRET": "correct horse battery staple"}
COMMANDS = (
    ("check-config",),
    ("kafka",),
    ("demo",),
    ("explain",),
    ("lead-key",),
    ("leads",),
    ("metrics",),
    ("rejected", "list"),
    ("rejected", "redrive"),
    ("schema",),
    ("simulate",),
    ("top",),
    ("worker",),
    ("replay", "ami"),
    ("listen", "ami"),
    ("listen", "esl"),
    ("listen", "json-cdr"),
    ("sources",),
    ("sources", "test"),
    ("topics", "create"),
    ("topics", "check"),
    ("topics", "grow"),
    ("topics", "rights"),
    ("rebuild",),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(callpulse: Runner, command: tuple[str, ...]) -> None:
    done = callpulse(*command, "--help")
    assert done.code == 0
    assert f"callpulse {' '.join(command)}" in done.out
    assert "For example" in done.out


def test_without_a_command_the_help_is_shown_and_the_exit_code_tells_of_misuse(callpulse: Runner) -> None:
    done = callpulse()
    assert done.code == 2
    assert "check-config" in done.out + done.err


def test_the_version_is_printed(callpulse: Runner) -> None:
    done = callpulse("--version")
    assert (done.code, done.out.split()[0]) == (0, "callpulse")


def test_the_package_runs_as_a_module_too() -> None:
    done = subprocess.run([sys.executable, "-m", "agents.cli", "--version"], capture_output=True, check=False, cwd=ROOT)
    assert done.returncode == 0
    assert done.stdout.startswith(b"callpulse ")


def test_an_unknown_command_is_a_usage_error(callpulse: Runner) -> None:
    assert callpulse("replya").code == 2


class TestCheckConfig:
    def test_the_example_of_the_project_is_in_order(self, callpulse: Runner) -> None:
        done = callpulse("check-config", "--config", ROOT / "callpulse.example.toml")
        assert done.code == 0, done.err
        assert "kafka.bootstrap" in done.out
        assert re.search(r"Nothing is wrong\. 12 managers in 3 teams, 1[0-8]\d series a manager at most\.", done.out)
        assert r'"[a-z]+\\.[a-z]+"' in done.out  # the brackets are no markup

    def test_every_problem_is_named_by_its_key_and_the_exit_code_is_two(
        self, callpulse: Runner, tmp_path: Path
    ) -> None:
        file = tmp_path / "wrong.toml"
        file.write_text('[kafka]\npartitions = 0\ngruop = "x"\n[thresholds]\nshort = 90\n')
        done = callpulse("check-config", "--config", file)
        assert done.code == 2
        for key in ("kafka.partitions", "kafka.gruop", "thresholds.short"):
            assert key in done.err
        assert "3 things are wrong" in done.err

    def test_more_series_than_a_manager_may_have_are_refused_with_what_makes_them(
        self, callpulse: Runner, tmp_path: Path
    ) -> None:
        file = tmp_path / "wide.toml"
        file.write_text("[results]\nattention_series = 20\n")
        done = callpulse("check-config", "--config", file)
        assert done.code == 2
        assert "results.attention_series" in done.err
        assert re.search(r"make 19[1-9] series a manager, and at most 190 are allowed", done.err)
        assert "thresholds.histogram makes 9" in " ".join(done.err.split())

    def test_json_tells_the_problems_to_scripts(self, callpulse: Runner, tmp_path: Path) -> None:
        file = tmp_path / "wrong.toml"
        file.write_text("[kafka]\npartitions = 0\n")
        done = callpulse("check-config", "--config", file, "--json")
        assert done.code == 2
        assert [problem["key"] for problem in done.json["problems"]] == ["kafka.partitions"]

    def test_json_tells_every_setting_with_its_origin(self, callpulse: Runner) -> None:
        done = callpulse("check-config", "--json", CALLPULSE_THRESHOLDS__SHORT="90s")
        settings = {line["key"]: (line["value"], line["source"]) for line in done.json["settings"]}
        assert settings["thresholds.short"] == ('"90s"', "CALLPULSE_THRESHOLDS__SHORT")
        assert settings["kafka.partitions"] == ("4", "default")

    def test_a_secret_is_never_shown(self, callpulse: Runner) -> None:
        for more in ((), ("--json",)):
            done = callpulse("check-config", *more, **SECRET)
            assert done.code == 0
            assert "horse" not in done.out + done.err
            assert "(secret)" in done.out

    def test_the_file_in_the_current_folder_is_read_without_being_named(
        self, callpulse: Runner, tmp_path: Path
    ) -> None:
        (tmp_path / "callpulse.toml").write_text('[kafka]\nbootstrap = "kafka-7:9092"\n')
        assert "kafka-7:9092" in callpulse("check-config").out

    def test_the_file_can_be_named_by_the_environment(self, callpulse: Runner, tmp_path: Path) -> None:
        (tmp_path / "other.toml").write_text('[kafka]\nbootstrap = "kafka-8:9092"\n')
        assert "kafka-8:9092" in callpulse("check-config", CALLPULSE_CONFIG=str(tmp_path / "other.toml")).out

    @pytest.mark.parametrize(
        ("content", "told"), [(None, "No such file"), (b"\xff\xfe", "not a text file in UTF-8 (byte 0)")]
    )
    def test_a_file_that_cannot_be_read_is_told_without_a_traceback(
        self, callpulse: Runner, tmp_path: Path, content: bytes | None, told: str
    ) -> None:
        file = tmp_path / "some.toml"
        if content is not None:
            file.write_bytes(content)
        done = callpulse("check-config", "--config", file)
        assert done.code == 2
        assert told in done.err
        assert "Traceback" not in done.err


class TestMetrics:
    @pytest.mark.parametrize(("language", "file"), [("en", "docs/metrics.md"), ("ru", "docs/ru/metrics.md")])
    def test_the_page_in_docs_is_what_the_catalogue_says(self, language: Language, file: str) -> None:
        current = (ROOT / file).read_text(encoding="utf-8")
        assert current == page(language), "run `make docs`"

    def test_the_meanings_are_said_in_russian_too(self, callpulse: Runner) -> None:
        done = callpulse("metrics", "--language", "ru", "--json")
        texts = {metric["name"]: metric["help"] for metric in done.json}
        assert len(texts) == len((*CATALOGUE, *GATEWAY_METRICS))
        assert texts["callpulse_calls_in_progress"] == "Звонки, которые начались и не закончились, без внутренних."
        assert "показатель" in callpulse("metrics", "--language", "ru").out

    def test_json_has_every_metric_with_its_full_name(self, callpulse: Runner) -> None:
        done = callpulse("metrics", "--json")
        assert [metric["name"] for metric in done.json] == [
            metric.full_name for metric in (*CATALOGUE, *GATEWAY_METRICS)
        ]

    def test_the_table_shows_name_and_meaning(self, callpulse: Runner) -> None:
        done = callpulse("metrics")
        assert "callpulse_calls_in_progress" in done.out
        assert "Legs that have begun and not ended" in done.out

    def test_the_meanings_name_the_numbers_of_the_settings(self, callpulse: Runner, tmp_path: Path) -> None:
        (tmp_path / "own.toml").write_text("[results]\nmentor_after = 4\n")
        told = {
            metric["name"]: metric["help"]
            for metric in callpulse("metrics", "--json", "-c", tmp_path / "own.toml").json
        }
        assert "(4)" in told["callpulse_leads_consultation_due"]
        assert "(3)" in callpulse("metrics", "--markdown", "-c", tmp_path / "own.toml").out


class TestReplayDryRun:
    def test_every_recording_comes_out_as_contract_events(self, callpulse: Runner) -> None:
        files = sorted(path for path in RECORDINGS.glob("*.json") if path.name != "peer_expected.json")
        done = callpulse("replay", "ami", "--dry-run", *files)
        assert done.code == 0, done.err
        decoder: Decoder[CallsEvent] = Decoder("calls")
        events = [decoder.decode(line.encode()) for line in done.out.splitlines()]
        assert len(events) > len(files)
        assert not [event for event in events if isinstance(event, Rejection)]

    def test_the_same_session_as_raw_text_gives_the_same_events(self, callpulse: Runner, tmp_path: Path) -> None:
        recording = RECORDINGS / "ab_success_a_hangup.json"
        raw = tmp_path / "session.txt"
        text = "Asterisk Call Manager/5.0.0\r\n"
        for event in orjson.loads(recording.read_bytes()):
            text += "".join(f"{name}: {value}\r\n" for name, value in event.items()) + "\r\n"
        raw.write_text(text, newline="")
        assert (
            callpulse("replay", "ami", "--dry-run", raw).out == callpulse("replay", "ami", "--dry-run", recording).out
        )

    def test_the_settings_say_which_channel_is_whose(self, callpulse: Runner, tmp_path: Path) -> None:
        recording = RECORDINGS / "ab_success_a_hangup.json"
        managers = {
            orjson.loads(line)["manager"]
            for line in callpulse("replay", "ami", "--dry-run", recording).out.splitlines()
        }
        file = tmp_path / "callpulse.toml"
        file.write_text("[sources.asterisk]\nrules = [{ by = 'endpoint', pattern = '.*', manager = 'anna' }]\n")
        done = callpulse("replay", "ami", "--dry-run", recording)
        assert {orjson.loads(line)["manager"] for line in done.out.splitlines()} == {"anna"} != managers

    def test_now_moves_a_session_as_a_whole(self, callpulse: Runner) -> None:
        recording = RECORDINGS / "ab_success_a_hangup.json"
        then = [orjson.loads(line) for line in callpulse("replay", "ami", "--dry-run", recording).out.splitlines()]
        now = [
            orjson.loads(line) for line in callpulse("replay", "ami", "--dry-run", "--now", recording).out.splitlines()
        ]
        by = {moved["at"] - event["at"] for event, moved in zip(then, now, strict=True)}
        by |= {
            moved["started_at"] - event["started_at"]
            for event, moved in zip(then, now, strict=True)
            if "started_at" in event
        }
        assert len(by) == 1
        assert by.pop() > 0

    def test_what_cannot_be_read_is_told_by_file_and_line_and_the_rest_is_taken(
        self, callpulse: Runner, tmp_path: Path
    ) -> None:
        good = RECORDINGS / "ab_reject.json"
        torn = tmp_path / "torn.json"
        torn.write_bytes(good.read_bytes()[:-100])
        done = callpulse("replay", "ami", "--dry-run", torn, good)
        assert done.code == 1
        assert "torn.json: line " in done.err
        assert done.out.count("call.ended") > 0

    def test_a_missing_file_is_a_usage_error(self, callpulse: Runner) -> None:
        done = callpulse("replay", "ami", "--dry-run", "nowhere.json")
        assert done.code == 2
        assert "nowhere.json cannot be read: No such file" in done.err

    def test_without_a_secret_nothing_goes_to_kafka(self, callpulse: Runner) -> None:
        done = callpulse("replay", "ami", RECORDINGS / "ab_reject.json")
        assert done.code == 2
        assert "CALLPULSE_LEAD_SECRET" in done.err


class TestKafkaOutOfReach:
    @pytest.mark.parametrize(
        "command",
        [("topics", "check"), ("topics", "create"), ("replay", "ami", RECORDINGS / "ab_reject.json")],
        ids=lambda command: str(command[0]),
    )
    def test_every_command_says_who_is_missing_and_what_to_do(
        self, callpulse: Runner, command: tuple[str, ...]
    ) -> None:
        port = find_free()
        done = callpulse(*command, "--bootstrap", f"127.0.0.1:{port}", **SECRET)
        assert done.code == 70
        assert f"Kafka at 127.0.0.1:{port}: nobody answers there" in done.err
        assert "callpulse kafka" in done.err
        assert "Traceback" not in done.err

    def test_a_name_that_nobody_knows_is_told(self, callpulse: Runner) -> None:
        done = callpulse("topics", "check", "--bootstrap", "no-such-host.invalid:9092")
        assert done.code == 70
        assert "the name is not known here" in done.err

    def test_a_certificate_file_that_is_missing_is_told_by_its_key(self, callpulse: Runner) -> None:
        done = callpulse(
            "topics", "check", CALLPULSE_KAFKA__SECURITY_PROTOCOL="SSL", CALLPULSE_KAFKA__SSL_CAFILE="nowhere.pem"
        )
        assert done.code == 70
        assert "kafka.ssl_cafile nowhere.pem cannot be used: No such file" in done.err
