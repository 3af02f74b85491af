"""The arithmetic of the benchmarks."""

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks import __main__ as command
from benchmarks import delay, load, scrape, speech_paced, workload
from benchmarks.installation import Metrics
from benchmarks.measures import Result, Target, percentile
from benchmarks.peers import plain, rows
from benchmarks.peers.tutorial_faust import TelephonyEvent, fold
from streams.contract.decoding import Decoder
from streams.contract.events import CallEnded, CallsEvent, Rejection, SpeechEvents, SpeechUtterance
from streams.settings.speech import Speech
from streams.speech.lexicon import Lexicon
from streams.speech.reading import Reader
from streams.speech.timing import open_monologue
from streams.tables.manager.row import ManagerRow
from streams.tables.transcript.fold import TranscriptFold
from streams.tables.transcript.row import TranscriptRow
from streams.units import DAY_MS

EVENTS = 20_000


def decoder() -> Decoder[CallsEvent]:
    return Decoder("calls")


@pytest.fixture(scope="module")
def work() -> workload.Workload:
    return workload.make(EVENTS)


def test_there_is_a_module_for_every_benchmark() -> None:
    for name in (*command.BENCHMARKS, *command.SIZING):
        assert callable(command.module(name).measure)


@pytest.mark.slow
def test_the_workload_is_the_same_every_time(work: Any) -> None:
    assert workload.make(EVENTS) == work
    assert len(work.records) == EVENTS


@pytest.mark.slow
def test_a_smaller_workload_is_a_prefix_but_for_calls_cut_off_at_its_end(work: Any) -> None:
    larger = {value: place for place, (*_, value) in enumerate(work.records)}
    places = [larger.get(value) for *_, value in workload.make(EVENTS // 2).records]
    kept = [place for place in places if place is not None]
    assert kept == sorted(kept)
    assert len(places) == EVENTS // 2
    assert len(kept) > 0.95 * len(places)


@pytest.mark.slow
def test_the_fold_of_callpulse_comes_to_the_known_totals(work: Any) -> None:
    decode, manager_fold = decoder().decode, rows.manager_fold().fold
    table: dict[bytes, ManagerRow] = {}
    for offset, (_, key, value) in enumerate(work.records):
        row = table.setdefault(key, rows.new_row(key.decode()))
        event = decode(value)
        assert not isinstance(event, Rejection)
        manager_fold(row, event, offset)
    assert rows.totals(table.values()) == work.totals


@pytest.mark.slow
def test_the_plain_fold_comes_to_the_known_totals(work: Any) -> None:
    table: dict[bytes, dict[str, Any]] = {}
    for _, key, value in work.records:
        known = {name: given for name, given in orjson.loads(value).items() if name in TelephonyEvent._options.fields}
        fold(table.setdefault(key, {}), TelephonyEvent(**known))
    assert plain.totals(day for row in table.values() for day in row["days"].values()) == work.totals


@pytest.mark.slow
def test_totals_that_miss_one_call_are_not_the_known_ones(work: Any) -> None:
    ends = [
        event for event in map(decoder().decode, (value for *_, value in work.records)) if isinstance(event, CallEnded)
    ]
    assert workload._totals(ends) == work.totals
    assert workload._totals(ends[1:]) != work.totals


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (0.999, 100), (1.0, 100), (0.001, 1)]
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_a_mark_is_seen_with_the_first_scrape_that_shows_it_and_warm_up_does_not_count() -> None:
    # sent        0      10     11     12
    # scrapes         1 (1)         11.5 (3)   13 (4)
    assert delay.delays_of([0.0, 10.0, 11.0, 12.0], [(0.5, 0), (1.0, 1), (11.5, 3), (13.0, 4)], 10.0) == [1.5, 0.5, 1.0]


def stalls(*buckets: tuple[str, int]) -> Metrics:
    lines = [f'callpulse_loop_stall_seconds_bucket{{le="{bound}"}} {count}' for bound, count in buckets]
    return Metrics("\n".join(lines).encode())


def test_only_stalls_since_the_first_look_count() -> None:
    before = stalls(("0.05", 10), ("0.2", 10), ("0.5", 12), ("+Inf", 12))
    after = stalls(("0.05", 20), ("0.2", 25), ("0.5", 27), ("+Inf", 27))
    assert scrape.longest_stall(before, after) == 0.2
    assert scrape.stalls_over(before, after, 0.2) == 0
    worse = stalls(("0.05", 20), ("0.2", 25), ("0.5", 27), ("+Inf", 28))
    assert scrape.longest_stall(before, worse) == float("inf")
    assert scrape.stalls_over(before, worse, 0.2) == 1


def test_samples_are_found_by_any_of_their_labels() -> None:
    scraped = Metrics(
        b"# HELP callpulse_calls Calls.\n"
        b'callpulse_calls{manager="a",window="1h",direction="outbound"} 3\n'
        b'callpulse_calls{manager="a",window="1h",direction="inbound"} 4\n'
        b'callpulse_calls_by_kind{manager="a",window="1h",kind="cold"} 5\n'
        b"callpulse_commits_total 6\n"
    )
    assert scraped.sum("calls", manager="a") == 7
    assert scraped.sum("calls", direction="inbound", window="1h") == 4
    assert scraped.sum("commits_total") == 6
    assert scraped.series == 4


def test_history_is_in_order_inside_its_days_and_not_in_the_future() -> None:
    now = 1_740_960_000_000 + 12 * 3_600_000
    decode = decoder().decode
    decoded = [decode(value) for *_, value in load.history(["a", "b"], days=3, calls_a_day=5, now_ms=now)]
    events = [event for event in decoded if not isinstance(event, Rejection)]
    assert len(events) == len(decoded)
    ends = [event.at for event in events]
    assert ends == sorted(ends)
    assert max(ends) <= now
    assert len({end // DAY_MS for end in ends}) == 3
    assert len({event.id for event in events}) == len(events)


def test_a_target_knows_on_which_side_it_is() -> None:
    assert Target("a", 0.25, at_least=0.25).met
    assert not Target("a", 0.24, at_least=0.25).met
    assert Target("a", 1.0, at_most=1.0).met
    assert not Target("a", 1.01, at_most=1.0).met


def test_results_replace_what_stands_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{command.BEGIN}\nold\n{command.END}\nafter\n")
    options = argparse.Namespace(
        json=tmp_path / "figures.json", docs=page, plots=None, runs=5, only=list(command.BENCHMARKS)
    )
    result = Result(
        "delay", {"p99_seconds": 0.5}, [["what", "p99"], ["delay", "0.5 s"]], [Target("p99", 0.5, at_most=1)], [], []
    )
    machine = dict.fromkeys(("cores", "processor", "memory_gib", "system", "python", "kafka", "load_before"), "x")
    command._write(options, {"date": "2026-11-23T10:00:00", **machine}, [result])
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| delay | 0.5 s |" in text
    assert "2026-11-23" in text
    told = orjson.loads(options.json.read_bytes())
    assert told["benchmarks"]["delay"]["targets"][0]["met"] is True


def test_benchmarks_that_did_not_run_keep_their_results_and_those_that_ran_say_where(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    kept = "### scrape\n\n| kept |\n"
    page.write_text(f"before\n{command.BEGIN}\n\nOf all.\n\n### delay\n\n| old |\n\n{kept}\n{command.END}\nafter\n")
    machine = dict.fromkeys(("cores", "processor", "memory_gib", "system", "python", "kafka", "load_before"), "x")
    options = argparse.Namespace(json=None, docs=page, plots=None, runs=5, only=["delay", "growth"])
    results = [Result(name, {}, [["what"], ["new"]], [], [], []) for name in options.only]
    for _ in range(2):  # the second time changes nothing
        command._write(options, {"date": "2026-11-30T10:00:00", **machine}, results)
        text = page.read_text()
        between = text.partition(command.BEGIN)[2].partition(command.END)[0]
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert between.startswith("\n\nOf all.\n\n### delay\n\nMeasured on 2026-11-30: x cores")
        assert kept in between
        assert "old" not in between
        assert [line for line in between.splitlines() if line.startswith("### ")] == [
            "### delay",
            "### scrape",
            "### growth",
        ]
        assert between.count("Measured on") == 2


def test_the_stream_of_transcripts_is_ten_interims_to_a_final_in_every_call_and_none_is_the_marked_manager_s() -> None:
    decode = Decoder[SpeechEvents]("speech").decode
    calls, rounds = 4, 2
    records = list(islice(speech_paced.stream(3, calls), calls * speech_paced.VERSIONS * rounds))
    said = [decode(value) for _, _, value in records]
    assert all(isinstance(one, SpeechUtterance) for one in said)
    utterances = [one for one in said if isinstance(one, SpeechUtterance)]
    assert sum(one.final for one in utterances) == calls * rounds
    assert len({one.id for one in utterances}) == len(utterances)
    assert {one.call for one in utterances} == {f"live-{call:05d}" for call in range(calls)}
    assert {one.manager for one in utterances} == {"manager-0001", "manager-0002"}
    assert [key.decode() for _, key, _ in records] == [one.manager for one in utterances]
    assert {bool(one.words) for one in utterances} == {True, False}


def test_the_seconds_of_the_marked_manager_s_monologue_say_which_mark_has_arrived() -> None:
    speech = Speech()
    fold = TranscriptFold(Reader(Lexicon.load([]), speech), speech, "")
    row = TranscriptRow()
    for number, event in enumerate(islice(speech_paced.marks(), 30)):
        assert event.manager == speech_paced.MARKED
        fold.utterance(row, event)
        monologue = open_monologue(row.state.marks, speech)
        assert number == (0 if monologue is None else (monologue[1] - monologue[0]) / 1_000)
