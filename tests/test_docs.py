"""The pages are true of the code: their paths and names exist, their numbers and algorithms are the code's."""

from __future__ import annotations

import importlib
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from agents.kafka import dead_letter as rejected
from agents.telemetry import attention
from agents.web import paths
from grafana.config import Config
from streams.contract import events, facts, topics
from streams.phone_numbers import lead_key
from streams.settings.reader import toml_key
from streams.settings.settings import Settings, explain, load
from streams.simulator.people.stories import STORIES
from streams.simulator.truth.figures import NAMES
from streams.sources.registry import SOURCES
from streams.tables.lead.policy import FARTHEST_DUE_MS, MAX_THOUSANDTHS
from streams.tables.outcome.fold import ATTENTION_DAYS, DAYS_KEPT, MAX_ATTENTION, days_kept
from streams.tables.transcript.fold import KEPT_MS
from tests.test_repository import FILES, ROOT, named
from tests.yaml_text import parsed

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "grafana/runbook.md"])
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.-]*(?:/[\w.*-]*)*\.(?:py|md|toml|ya?ml|sql|lock|json)|[a-z]+/(?:[a-z_]+/)*[a-z_]*")
DOTTED = re.compile(r"[a-z_]+(?:\.[A-Za-z_]+)+")
FOREIGN = {
    "compression.type": "a setting of Kafka",
    "min.insync.replicas": "a setting of Kafka",
    "manager.conf": "a file of Asterisk",
    **dict.fromkeys(("callpulse.env", "gateway.env"), "files of variables of the systemd units"),
    **dict.fromkeys(("cel.conf", "cel_custom.conf", "cdr.conf", "queues.conf"), "files of Asterisk"),
    **dict.fromkeys(("telephony.call.attachTranscription", "voximplant.statistic.get"), "methods of Bitrix24"),
    "orjson.loads": "of a package that only the benchmarks use",
    "truth.rejected": "an attribute of the object that the page has made above",
}
TOP = {"benchmarks", "speech_demo", "streams", "agents", "grafana", "tests", "deploy", "docs"}
DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000


@cache
def text(page: str) -> str:
    """A page with single spaces for line breaks, so that a sentence can be looked for."""
    return re.sub(r"\s+", " ", (ROOT / page).read_text(encoding="utf-8"))


def spans(page: Path) -> set[str]:
    return set(SPAN.findall(FENCED.sub("", page.read_text(encoding="utf-8"))))


@cache
def modules() -> dict[str, list[str]]:
    """The modules of the project by the last part of their name."""
    found = defaultdict(list)
    for name in map(named, FILES):
        if name.startswith(("streams/", "agents/", "grafana/")) and name.endswith(".py"):
            dotted = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            found[dotted.rpartition(".")[2]].append(dotted)
    return found


@cache
def words() -> set[str]:
    """Dotted words that are not names of the code: keys of settings, types of events, managers of the simulator."""
    settings = {line.key for line in explain(load("", {}, SOURCES))}
    types = {str(cls.__struct_config__.tag) for classes in events.EVENT_TYPES.values() for cls in classes}
    tables = {"prometheus": BOARDS.prometheus, "alerts": BOARDS.alerts, "boards": BOARDS.boards}
    boards = {f"{name}.{toml_key(field)}" for name, table in tables.items() for field in table.__struct_fields__}
    return {
        *settings,
        *boards,
        "economics.costs",
        "kafka.sasl_",
        *types,
        *(story.subject for story in STORIES),
        *FOREIGN,
    }


def exists(path: str) -> bool:
    """A path from the root, from `benchmarks`, or the bare name of a file; `*` stands for any name."""
    if "/" not in path:
        return any(known.name == path for known in FILES)
    return any(any(folder.glob(path.rstrip("/"))) for folder in (ROOT, ROOT / "benchmarks"))


def resolves(name: str) -> bool:
    """Return whether a dotted name exists in a module. The last part of the module's name is enough."""
    first, *rest = name.split(".")
    starts = [first] if first in TOP else modules().get(first, [])
    return any(_leads_to_something(start, rest) for start in starts)


def _leads_to_something(start: str, rest: list[str]) -> bool:
    found: object = importlib.import_module(start)
    so_far = start
    for part in rest:
        so_far = f"{so_far}.{part}"
        if hasattr(found, part):
            found = getattr(found, part)
        elif part in getattr(found, "__annotations__", {}):
            found = None
        elif so_far in modules().get(part, []):
            found = importlib.import_module(so_far)
        else:
            return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    missing = {
        span
        for span in spans(page) - FOREIGN.keys()
        if PATH.fullmatch(span) and ("." in span or span.split("/")[0] in TOP) and span not in words()
        if not span.startswith("/") and not exists(span)  # paths of a machine are not of the project
    }
    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_dotted_name_that_a_page_names_exists(page: Path) -> None:
    named_here = {span for span in spans(page) if DOTTED.fullmatch(span)} - words()
    assert {name for name in named_here if not exists(name) and not resolves(name)} == set()


def test_a_path_or_a_name_that_does_not_exist_is_seen() -> None:
    assert exists("streams/phone_numbers.py")
    assert not exists("streams/number.py")
    assert resolves("streams.phone_numbers.lead_key")
    assert resolves("phone_numbers.lead_key")
    assert not resolves("phone_numbers.lead_lock")
    assert not resolves("streams.number")


def test_a_source_that_is_built_by_the_contract_makes_the_lead_keys_of_the_code() -> None:
    page = text("docs/events.md")
    (vector,) = re.findall(r"\| `([^`]+)` \| `(\+\d+)` \| `(phone:[^`]+)` \|", page)
    secret, number, key = vector
    assert lead_key(number, secret.encode()) == key
    assert "HMAC-SHA256" in page


def test_no_page_names_another_hash() -> None:
    assert [page.name for page in PAGES if re.search("BLAKE|SHA-1|MD5", page.read_text(encoding="utf-8"))] == []


SETTINGS = Settings()
BOARDS = Config()
LARGEST_AMOUNT = MAX_THOUSANDTHS // 1000
KEPT_DAYS = {topic.name: topic.retention_ms // DAY_MS for topic in (topics.CALLS, topics.REJECTED, topics.SPEECH)}
SAID = [
    ("docs/events.md", r"at most (\d+) KiB", events.MAX_BYTES // 1024),
    ("docs/events.md", r"more than (\d+) KiB", events.MAX_BYTES // 1024),
    ("docs/events.md", r"an amount in another currency does not count, nor one above 10([⁰¹²³⁴-⁹]+)", LARGEST_AMOUNT),
    ("docs/events.md", r"a promise more than (\d+) days ahead", FARTHEST_DUE_MS // DAY_MS),
    ("docs/events.md", r"within (\d+) hours of event time", SETTINGS.thresholds.retry_horizon_ms // HOUR_MS),
    ("docs/events.md", r"is closed after (\d+) hours", SETTINGS.thresholds.max_call_ms // HOUR_MS),
    ("docs/events.md", r"dated more than (\d+) minutes", SETTINGS.thresholds.future_ms // MINUTE_MS),
    ("docs/events.md", r"Kept for (a week) only", KEPT_DAYS["speech"]),
    ("docs/architecture.md", r"`topics.REMOVALS_KEPT_MS`, (\d+) days", topics.REMOVALS_KEPT_MS // DAY_MS),
    ("docs/architecture.md", r"links that lead round in a circle end after (eight) hops", facts.MAX_HOPS),
    ("docs/operations.md", r"a page, at most (\d+) long", paths.LARGEST_PAGE),
    ("docs/operations.md", r"no worker answered within (\d+) s", attention.PEER_TIMEOUT_S),
    ("docs/operations.md", r"A record above (\d+) MiB is kept only in part", rejected.MAX_KEPT >> 20),
    ("docs/operations.md", r"in the topic `rejected` for (\d+) days", KEPT_DAYS["rejected"]),
    ("docs/operations.md", r"All tables anew from the topics\*\* \((\d+) days", KEPT_DAYS["calls"]),
    ("docs/privacy.md", r"days: (\d+) days", SETTINGS.thresholds.day_rows),
    ("docs/privacy.md", r"that ended up to (\d+) hours", SETTINGS.thresholds.retry_horizon_ms // HOUR_MS),
    ("docs/privacy.md", r"(\d+) days after the last event", SETTINGS.results.lead_expiry_days),
    ("docs/privacy.md", r"a deal's row (\d+) days", 2 * SETTINGS.results.lead_expiry_days),
    ("docs/privacy.md", r"up to (\d+) leads that need help", MAX_ATTENTION),
    ("docs/privacy.md", r"leads: (\d+) days after their last call", ATTENTION_DAYS + 2),
    ("docs/privacy.md", r"sums: (\d+) days", DAYS_KEPT),
    ("docs/privacy.md", r"(\d+) days after the last record", KEPT_MS // DAY_MS),
    ("docs/privacy.md", r"no calls, no leads \| (\d+) days", days_kept("heard")),
    ("docs/privacy.md", r"stays for (\d+) days", topics.REMOVALS_KEPT_MS // DAY_MS),
    ("docs/privacy.md", r"help most, (\d+) a manager", SETTINGS.results.attention_series),
    ("docs/privacy.md", r"`speech.min_calls` \(default (\d+)\)", SETTINGS.speech.min_calls),
    ("docs/simulator.md", r"counts the (\d+) metrics of", len(NAMES)),
    ("grafana/runbook.md", r"the stall deadline \((\d+) min\)", SETTINGS.worker.stall_deadline_ms // MINUTE_MS),
    ("grafana/runbook.md", r"Kafka keeps them \((\d+) days for `calls`\)", KEPT_DAYS["calls"]),
    ("grafana/runbook.md", r"within the session timeout \((\d+) s\)", SETTINGS.kafka.session_timeout_ms // 1000),
    (
        "grafana/runbook.md",
        r"no outbound or inbound call for more than (\d+) min",
        BOARDS.alerts.silence_ms // MINUTE_MS,
    ),
    ("grafana/runbook.md", r"`SourceSilent` fires after (\d+) min", BOARDS.alerts.source_silence_ms // MINUTE_MS),
    ("grafana/runbook.md", r"on shift for (\d+) minutes, and no", BOARDS.alerts.feed_silence_ms // MINUTE_MS),
    ("grafana/runbook.md", r"sent nothing for (\d+) minutes", BOARDS.alerts.source_silence_ms // MINUTE_MS),
    ("grafana/runbook.md", r"`SilenceOnShift` for (\d+) minutes after", BOARDS.alerts.silence_ms // MINUTE_MS),
    ("grafana/runbook.md", r"had (\d+) conversations in a row or more", SETTINGS.results.mentor_after),
    ("grafana/runbook.md", r"has (\d+) leads or more with", BOARDS.alerts.stuck_leads),
    ("grafana/runbook.md", r"or more with (\d+) conversations", SETTINGS.results.stuck_after),
    ("grafana/runbook.md", r"on shift for (six) hours", BOARDS.alerts.consultation_shift_ms // HOUR_MS),
    ("grafana/runbook.md", r"fast by more than (\d+) min", SETTINGS.thresholds.future_ms // MINUTE_MS),
    ("grafana/runbook.md", r"closed them after (\d+) h", SETTINGS.thresholds.max_call_ms // HOUR_MS),
    ("docs/alerts.md", r"no telephony event for more than (\d+) min", BOARDS.alerts.silence_ms // MINUTE_MS),
    ("docs/alerts.md", r"has sent nothing for (\d+) min", BOARDS.alerts.source_silence_ms // MINUTE_MS),
    ("docs/alerts.md", r"has been on shift for (\d+) min", BOARDS.alerts.feed_silence_ms // MINUTE_MS),
    ("docs/alerts.md", r"the manager was on shift for (\d+) h", BOARDS.alerts.consultation_shift_ms // HOUR_MS),
    ("docs/alerts.md", r"has (\d+) stuck leads or more", BOARDS.alerts.stuck_leads),
    ("docs/alerts.md", r"more than (\d+) records, and more than 1 %", BOARDS.alerts.rejected_records),
    ("docs/alerts.md", r"at least (\d+) calls of a team, and more than 2 %", BOARDS.alerts.call_ends_lost),
    ("README.md", r"every activity figure \((\d+) of the metrics", len(NAMES)),
    ("README.md", r"as far back as the topic keeps them, (\d+) days", KEPT_DAYS["calls"]),
    ("README.md", r"it closes legs after (four) hours", SETTINGS.thresholds.max_call_ms // HOUR_MS),
    ("README.md", r"An event id is remembered for (six) hours", SETTINGS.thresholds.retry_horizon_ms // HOUR_MS),
]
IN_WORDS = {"a week": 7, "four": 4, "six": 6, "eight": 8}


@pytest.mark.parametrize(("page", "sentence", "value"), SAID, ids=[f"{page}: {sentence}" for page, sentence, _ in SAID])
def test_a_number_on_a_page_is_that_of_the_code(page: str, sentence: str, value: float) -> None:
    found = re.findall(sentence, text(page), re.IGNORECASE)
    assert found, "the page says this in other words; look for them here"
    for number in found:
        raised = re.fullmatch("[⁰¹²³⁴-⁹]+", number)
        plain = number.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789"))
        assert (10 ** int(plain) if raised else IN_WORDS.get(number) or int(plain)) == value


def test_the_page_on_privacy_lists_every_topic_and_table_with_its_retention() -> None:
    page = (ROOT / "docs/privacy.md").read_text("utf-8")
    said, tables = (
        dict(re.findall(r"^\| `([\w-]+)` \| .* \| ([^|]+) \|$", part, re.MULTILINE))
        for part in re.split(r"^## ", page, flags=re.MULTILINE)
        if part.startswith(("Topics", "Tables"))
    )
    declared = {topic.name: topic for topic in topics.declared()}
    assert said.keys() == declared.keys()
    assert tables.keys() == topics.TABLES.keys()
    changelogs = {topics.changelog(table).name for table in topics.TABLES}
    for name, topic in declared.items():
        if topic.retention_ms > 0:
            assert said[name] == f"{topic.retention_ms // DAY_MS} days", name
        elif name in changelogs:
            assert said[name] == "as the row", name
        else:
            assert said[name] == ("the last record of each source" if topic.cleanup == "compact" else "for ever"), name


def test_an_alert_fires_after_the_time_that_the_page_says() -> None:
    rules = [
        rule
        for path in (ROOT / "grafana/rules").glob("*.yaml")
        for group in parsed(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    after = {rule["alert"]: rule["for"].replace("60m", "1h") for rule in rules}
    rows = re.findall(
        r"^\| `(\w+)` \| .* \| (\d+ (?:min|h)) \| [^|]+ \|$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE
    )
    assert {name: said.replace(" min", "m").replace(" h", "h") for name, said in rows} == after


def measured(what: str) -> str:
    """The median of a row of the benchmarks."""
    (median,) = re.findall(
        rf"^\| {re.escape(what)} \| ([\d,]+) \|", (ROOT / "docs/benchmarks.md").read_text(), re.MULTILINE
    )
    return str(median)


def test_the_speeds_of_the_readme_are_those_that_were_measured_and_it_says_of_what() -> None:
    page = text("README.md")
    agent = measured("callpulse, calls agent: whole fold, changelog, facts, commits")
    worker = measured("callpulse, whole worker: the leads and outcomes that follow from the calls too")
    topology = measured("callpulse: the worker as it is")
    assert f"the calls agent alone folds {agent} telephony events a second" in page
    assert f"The whole worker, leads and outcomes included, takes {worker} a second" in page
    assert f"{topology} calls and CRM events a second" in page
    ((missed, target),) = re.findall(
        r"(MISSED|met) +callpulse, events/s: [\d,]+ \(at least ([\d,]+)\)", text("docs/benchmarks.md")
    )
    assert (f"short of the target of {target}" in page) is (missed == "MISSED")
    times = {
        peer: float(ratio)
        for peer, ratio in re.findall(r"callpulse ÷ (kstreams|faust): ([\d.]+)", text("docs/benchmarks.md"))
    }
    assert (
        f"{times['kstreams']:g} times as many as Kafka Streams and {times['faust']:.0f} times as many as Faust" in page
    )


def test_a_term_of_the_glossary_means_one_thing() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text("utf-8"), re.MULTILINE)
    terms = [term.strip() for row in rows for term in row.split(",") if term.strip(" -") not in ("", "Term")]
    assert len(terms) > 100
    assert [term for term in set(terms) if terms.count(term) > 1] == []
