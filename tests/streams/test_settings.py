import contextlib
import pickle
import re
import tomllib
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings.reader import duration, duration_text
from streams.settings.results import CHANNELS
from streams.settings.settings import (
    SHORT_NAMES,
    UNASSIGNED,
    Calendar,
    Kafka,
    Manager,
    Results,
    Secret,
    Settings,
    SettingsError,
    Shift,
    Targets,
    Thresholds,
    explain,
)
from streams.settings.settings import load as load_without_sources
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.registry import SOURCES

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "callpulse.example.toml").read_text()
SECRET = "a-secret-nobody-may-see"  # noqa: S105  it protects nothing


load = partial(load_without_sources, sources=SOURCES)
STAGES = ["presentation", "proposal", "won", "lost"]


def problems(text: str, environ: dict[str, str] | None = None) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(text, environ or {})
    return {problem.key: problem.message for problem in caught.value.problems}


def test_nothing_said_is_all_defaults() -> None:
    settings = load("", {})
    assert settings.kafka == Kafka()
    assert settings.thresholds == Thresholds()
    assert settings.timezone == "UTC"
    assert dict(settings.managers) == {}
    assert load_without_sources("", {}) == Settings()


def test_every_kind_of_value_is_read_from_toml() -> None:
    settings = load(
        """
        timezone = "Europe/Lisbon"
        [kafka]
        bootstrap = "one:9092, [::1]:9093"
        ssl_check_hostname = false
        partitions = 12
        [thresholds]
        max_call = "1h30m"
        attempts_target = [3, 5]
        histogram = ["500ms", "2s"]
        [calendar]
        country = "PT"
        extra_holidays = [2026-12-24]
        """,
        {},
    )
    assert settings.timezone == "Europe/Lisbon"
    assert settings.kafka.bootstrap == "one:9092,[::1]:9093"
    assert settings.kafka.ssl_check_hostname is False
    assert settings.kafka.partitions == 12
    assert settings.thresholds.max_call_ms == 5_400_000
    assert settings.thresholds.attempts_target == (3, 5)
    assert settings.thresholds.histogram_ms == (500, 2_000)
    assert settings.calendar == Calendar(country="PT", extra_holidays=(date(2026, 12, 24),))


def test_a_manager_takes_zone_and_shifts_from_the_team_and_then_from_the_general_settings() -> None:
    settings = load(
        """
        timezone = "Europe/Berlin"
        teams = [
          { id = "far", timezone = "Asia/Kolkata", shifts = ["mon-fri 09:00-18:00"] },
          { id = "near" },
        ]
        managers = [
          { id = "a", team = "far" },
          { id = "b", team = "far", timezone = "Asia/Kathmandu", shifts = [] },
          { id = "c", team = "near", name = "Cleo" },
          { id = "d" },
        ]
        """,
        {},
    )
    week = Shift(days=("mon", "tue", "wed", "thu", "fri"), start="09:00", end="18:00")
    assert dict(settings.managers) == {
        "a": Manager(id="a", name="a", team="far", timezone="Asia/Kolkata", shifts=(week,)),
        "b": Manager(id="b", name="b", team="far", timezone="Asia/Kathmandu", shifts=()),
        "c": Manager(id="c", name="Cleo", team="near", timezone="Europe/Berlin", shifts=()),
        "d": Manager(id="d", name="d", team=UNASSIGNED, timezone="Europe/Berlin", shifts=()),
    }


def test_a_manager_has_the_plan_of_the_team_unless_there_is_an_own_one() -> None:
    settings = load(
        """
        teams = [{ id = "t", plan_deals = 12 }, { id = "none" }]
        managers = [
          { id = "a", team = "t" },
          { id = "b", team = "t", plan_deals = 2.5 },
          { id = "c", team = "t", plan_deals = 0 },
          { id = "d", team = "none" },
          { id = "e", plan_deals = 3 },
        ]
        """,
        {},
    )
    plans = {manager.id: manager.plan_deals for manager in settings.managers.values()}
    assert plans == {"a": 12, "b": 2.5, "c": 0, "d": None, "e": 3}
    assert settings.manager("nobody").plan_deals is None
    told = {line.key: line.value for line in explain(settings)}
    assert told["teams.t"] == "t; UTC; plan 12 deals a month"
    assert told["managers.b"] == "b; team t; UTC; plan 2.5 deals a month"
    assert told["managers.d"] == "d; team none; UTC"


def test_results_economics_and_targets_are_read() -> None:
    settings = load(
        """
        [worker]
        advertised_url = "http://[::1]:8787/"
        store = "memory"
        [results]
        stages = ["presentation", "demo", "proposal", "won", "lost"]
        products = ["desk"]
        lead_expiry = "26w"
        permitted_hours = "9:30 - 24:00"
        long_first_call = "7m"
        [economics]
        currency = "CHF"
        currencies = ["EUR", "CHF"]
        [economics.costs]
        call = 2
        [targets]
        floor = 0.02
        """,
        {"CALLPULSE_ECONOMICS__COSTS__MEETING": "40", "CALLPULSE_RESULTS__PRODUCTS": "desk, chair"},
    )
    assert settings.worker.advertised_url == "http://[::1]:8787"
    assert settings.worker.store == "memory"
    assert settings.results == Results(
        stages=("presentation", "demo", "proposal", "won", "lost"),
        products=("desk", "chair"),
        lead_expiry_ms=182 * 86_400_000,
        permitted_hours="09:30-24:00",
        long_first_call_ms=420_000,
    )
    assert settings.results.lead_expiry_days == 182
    assert settings.results.permitted_from_minute == 570
    assert settings.results.permitted_to_minute == 1440
    assert {name: settings.economics.costs[name] for name in CHANNELS} == {
        "call": 2.0,
        "email": 0.1,
        "messenger": 0.1,
        "meeting": 40.0,
    }
    assert type(settings.economics.costs.call) is float
    with pytest.raises(KeyError):
        settings.economics.costs["conflicts"]
    assert settings.targets == Targets(gain=0.0075, floor=0.02, cap=0.05)


def test_an_unknown_manager_is_unassigned_in_the_default_zone() -> None:
    settings = load('timezone = "Europe/Berlin"\nmanagers = [{ id = "anna" }]', {})
    assert settings.manager("anna") is settings.managers["anna"]
    assert settings.manager("queue:sales") == Manager(
        id="queue:sales", name="queue:sales", team="unassigned", timezone="Europe/Berlin", shifts=()
    )


@pytest.mark.parametrize(
    ("written", "days", "start", "end"),
    [
        ('"mon-fri 09:00-18:00"', "mon-fri", "09:00", "18:00"),
        ('"Mon, Wed 9:00 - 18:00"', "mon,wed", "09:00", "18:00"),
        ('"sat-mon 22:00-06:00"', "mon,sat-sun", "22:00", "06:00"),
        ('"sun 00:00-24:00"', "sun", "00:00", "24:00"),
        ('{ days = ["fri", "tue"], start = 09:30:00, end = "24:00" }', "tue,fri", "09:30", "24:00"),
    ],
)
def test_a_shift_is_a_line_or_a_table(written: str, days: str, start: str, end: str) -> None:
    settings = load(f'managers = [{{ id = "a", shifts = [{written}] }}]', {})
    assert str(settings.managers["a"].shifts[0]) == f"{days} {start}-{end}"


def test_all_problems_come_at_once_under_their_keys() -> None:
    found = problems(
        """
        timezonee = "UTC"
        [kafka]
        partitions = "four"
        replication = 0
        bootstrap = "localhost"
        security_protocol = "SASL_SLL"
        [thresholds]
        max_call = 4
        future = "2d"
        histogram = ["6s", "soon"]
        [calendar]
        country = "GER"
        [[managers]]
        id = "anna"
        timezone = "Europe/Berln"
        [[managers]]
        name = "nobody"
        """,
        {"CALLPULSE_WORKER__HTTP_PROT": "80"},
    )
    assert found == {
        "CALLPULSE_WORKER__HTTP_PROT": "unknown variable; did you mean CALLPULSE_WORKER__HTTP_PORT?",
        "timezonee": "unknown key; did you mean timezone?",
        "kafka.partitions": 'a whole number was expected, not "four"',
        "kafka.replication": "must be at least 1, not 0",
        "kafka.bootstrap": '"localhost" is no server; write "host:port", several with commas between',
        "kafka.security_protocol": '"SASL_SLL" is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL; '
        "did you mean SASL_SSL?",
        "thresholds.max_call": '4 has no unit; write "4s", "4m" or "4h"',
        "thresholds.future": "must be at most 1d, not 2d",
        "thresholds.histogram[1]": '"soon" is no duration; write for example "90s", "15m", "4h" or "30d"',
        "calendar.country": '"GER" is no country whose holidays are known; did you mean GR?',
        "managers[0].timezone": '"Europe/Berln" is no IANA time zone; did you mean Europe/Berlin?',
        "managers[1].id": "is missing",
    }


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('kafka = "here"', "kafka", "a table was expected, not text"),
        ("kafka = []", "kafka", "a table was expected, not an array"),
        ("[kafka]\nbootstrap = 9092", "kafka.bootstrap", "text was expected, not a whole number"),
        ('[kafka]\nbootstrap = "a:99999"', "kafka.bootstrap", "is no server"),
        ('[kafka]\nbootstrap = "a:9092,,b:9092"', "kafka.bootstrap", '"" is no server'),
        ("[kafka]\npartitions = true", "kafka.partitions", "a whole number was expected, not true or false"),
        ("[kafka]\npartitions = 4.0", "kafka.partitions", "a whole number was expected, not a number"),
        ("[kafka]\nssl_check_hostname = 1", "kafka.ssl_check_hostname", "true or false was expected"),
        ('[kafka]\ngroup = "call pulse"', "kafka.group", "cannot name a topic"),
        ('[kafka]\ngroup = ""', "kafka.group", "must have at least 1 characters"),
        ('[kafka]\nheartbeat_interval = "5s"', "kafka.heartbeat_interval", "a third of session_timeout"),
        ('[kafka]\nsession_timeout = "6s"', "kafka.heartbeat_interval", "a third of session_timeout"),
        ('[kafka]\nsecurity_protocol = "SASL_SSL"', "kafka.sasl_mechanism", "is needed"),
        ('[kafka]\nsasl_username = "me"', "kafka.sasl_username", "has no effect"),
        ('[kafka]\nssl_cafile = "ca.pem"', "kafka.ssl_cafile", "has no effect"),
        ('[kafka]\nsecurity_protocol = "SSL"\nssl_keyfile = "k"', "kafka.ssl_certfile", "needed with ssl_keyfile"),
        ("[worker]\nhttp_port = 65536", "worker.http_port", "must be at most 65535, not 65536"),
        ('[worker]\nid = ".."', "worker.id", "cannot be the name of a folder"),
        ('[worker]\nid = "a/b"', "worker.id", "letters, digits"),
        ('[worker]\ndata_dir = " "', "worker.data_dir", "must not be empty"),
        ('[thresholds]\nshort = "6m"', "thresholds.short", "cannot be short and meaningful"),
        ('[thresholds]\nconversation = "6m"', "thresholds.conversation", "a meaningful call is a conversation"),
        ('[thresholds]\nwork_gap = "3h"', "thresholds.work_gap", "a pause that ends a block"),
        ('[thresholds]\nwork_block = "4h"', "thresholds.work_block", "a break is due after a block"),
        ('[thresholds]\nmax_call = "7h"', "thresholds.max_call", "is longer than retry_horizon"),
        ('[thresholds]\nhistogram = ["6s", "6s"]', "thresholds.histogram", "must increase"),
        ('[thresholds]\nhistogram = ["0s", "6s"]', "thresholds.histogram", "above zero"),
        ("[thresholds]\nhistogram = []", "thresholds.histogram", "must have at least 1 values"),
        ('[thresholds]\nhistogram = "6s"', "thresholds.histogram", "an array was expected, not text"),
        ("[thresholds]\nattempts_target = [10, 8]", "thresholds.attempts_target", "10 to 8 is no range"),
        (
            "[thresholds]\nattempts_target = [1, 2, 3]",
            "thresholds.attempts_target",
            "2 values are needed, 3 were given",
        ),
        ("[thresholds]\nattempts_target = [-1, 2]", "thresholds.attempts_target[0]", "at least 0, not -1"),
        ("[thresholds]\nday_rows = 90", "thresholds.day_rows", "at least 91"),
        ('[thresholds]\nmax_call = "0s"', "thresholds.max_call", "must be at least 1m, not 0s"),
        ('[thresholds]\nmax_call = "-4h"', "thresholds.max_call", "is no duration"),
        ("[thresholds]\nmax_call_ms = 5", "thresholds.max_call_ms", "did you mean max_call?"),
        ('[calendar]\nsubdivision = "BE"', "calendar.subdivision", "needs a country"),
        ('[calendar]\ncountry = "DE"\nsubdivision = "XX"', "calendar.subdivision", "is no subdivision of DE"),
        ("[calendar]\nextra_holidays = [2026-13-01]", "", "is not TOML"),
        ('[calendar]\nextra_holidays = ["24.12."]', "calendar.extra_holidays[0]", "is no date"),
        ("[calendar]\nextra_holidays = [2026-12-24T00:00:00]", "calendar.extra_holidays[0]", "is no date"),
        (
            "[calendar]\nextra_holidays = [2026-12-24]\nworking_days = [2026-12-24]",
            "calendar.working_days",
            "2026-12-24 is in extra_holidays too",
        ),
        ('[privacy]\nregion = "UK"', "privacy.region", "no region of telephone numbers"),
        ('[privacy]\nlead_secret = "short"', "privacy.lead_secret", "at least 16 characters"),
        ('timezone = "berlin"', "timezone", "did you mean Europe/Berlin?"),
        ('timezone = "europe/berlin"', "timezone", "did you mean Europe/Berlin?"),
        ('timezone = "../../etc/passwd"', "timezone", "is no IANA time zone"),
        ("[teams.berlin]", "teams", "an array was expected, not a table"),
        ('teams = ["a"]', "teams[0]", "a table was expected, not text"),
        ('teams = [{ id = "a" }, { id = "a" }]', "teams[1].id", '"a" is teams[0] already'),
        ('managers = [{ id = "a" }, { id = "b" }, { id = "a" }]', "managers[2].id", '"a" is managers[0] already'),
        ('teams = [{ id = "sales" }]\nmanagers = [{ id = "a", team = "slaes" }]', "managers[0].team", "mean sales?"),
        ('managers = [{ id = "a", team = "sales" }]', "managers[0].team", "declare it under [[teams]]"),
        ('managers = [{ id = "a\\u0007" }]', "managers[0].id", "control characters"),
        (f'managers = [{{ id = "{"x" * 129}" }}]', "managers[0].id", "is 129 characters long; at most 128"),
        ('managers = [{ id = " a" }]', "managers[0].id", "begins or ends with a space"),
        ('managers = [{ id = "" }]', "managers[0].id", "must not be empty"),
        ('managers = [{ id = "a", shifts = ["mon-fro 09:00-18:00"] }]', "managers[0].shifts[0].days", "no weekday"),
        ('managers = [{ id = "a", shifts = ["9 to 5"] }]', "managers[0].shifts[0]", "is no shift"),
        ('managers = [{ id = "a", shifts = ["mon 09:00-25:00"] }]', "managers[0].shifts[0].end", "no time of day"),
        ('managers = [{ id = "a", shifts = ["mon 09:60-11:00"] }]', "managers[0].shifts[0].start", "no time of day"),
        ('managers = [{ id = "a", shifts = ["mon 24:00-09:00"] }]', "managers[0].shifts[0].start", "before"),
        ('managers = [{ id = "a", shifts = ["mon 09:00-09:00"] }]', "managers[0].shifts[0].end", "is the start too"),
        ('managers = [{ id = "a", shifts = [{ days = [] }] }]', "managers[0].shifts[0].days", "at least one weekday"),
        (
            'managers = [{ id = "a", shifts = ["mon-fri 09:00-13:00", "fri 12:00-18:00"] }]',
            "managers[0].shifts",
            '"mon-fri 09:00-13:00" and "fri 12:00-18:00" overlap on fri',
        ),
        (
            'teams = [{ id = "a", shifts = ["mon 01:00-09:00", "sun 22:00-02:00"] }]',
            "teams[0].shifts",
            '"sun 22:00-02:00" and "mon 01:00-09:00" overlap on mon',
        ),
        ('[worker]\nadvertised_url = "worker-1:8787"', "worker.advertised_url", "is no address"),
        ('[worker]\nadvertised_url = "ftp://worker-1"', "worker.advertised_url", "is no address"),
        ('[worker]\nadvertised_url = "http://a:99999"', "worker.advertised_url", "is no address"),
        ('[worker]\nadvertised_url = "http://me:pw@a:80"', "worker.advertised_url", "is no address"),
        ('[worker]\nstore = "rocks"', "worker.store", '"rocks" is none of rocksdb, memory; did you mean rocksdb?'),
        ('[results]\nstages = ["proposal", "won", "lost"]', "results.stages", 'must name "presentation"'),
        ('[results]\nstages = ["presentation", "proposal", "won"]', "results.stages", "the last two must be"),
        ('[results]\nstages = ["proposal", "presentation", "won", "lost"]', "results.stages", "must come before"),
        ('[results]\nstages = ["presentation", "proposal", "a", "a", "won", "lost"]', "results.stages", '"a" twice'),
        (f"[results]\nstages = {[*'abcd', *STAGES]}", "results.stages", "must have at most 7 values"),
        (f"[results]\nstages = {['other', *STAGES]}", "results.stages", '"other" is kept for'),
        (f"[results]\nstages = {['a@b', *STAGES]}", "results.stages[0]", 'must not hold "@"'),
        (f"[results]\nreasons = {[*'abcdefg']}", "results.reasons", "must have at most 6 values"),
        ('[results]\nreasons = ["none"]', "results.reasons", '"none" is kept for'),
        ('[results]\nproducts = ["a", "a"]', "results.products", 'names "a" twice'),
        ('[results]\nproducts = ["a", ""]', "results.products[1]", "must not be empty"),
        ("[results]\nmax_values = 3", "results.max_values", "is less than the 4 values that channels names"),
        ("[results]\nmax_values = 21", "results.max_values", "must be at most 20, not 21"),
        ("[results]\nmentor_after = 0", "results.mentor_after", "must be at least 1, not 0"),
        ("[results]\nstuck_after = 2", "results.stuck_after", "is less than mentor_after (3)"),
        ("[results]\nattention_series = 21", "results.attention_series", "must be at most 20, not 21"),
        ('[results]\nlead_expiry = "180d"', "results.lead_expiry", "must be at least 181d, not 180d"),
        ('[results]\nlead_expiry = "181d1h"', "results.lead_expiry", "is no whole number of days"),
        ('[results]\npermitted_hours = "8-21"', "results.permitted_hours", "is no range of times"),
        ('[results]\npermitted_hours = "21:00-08:00"', "results.permitted_hours", "must end later than it begins"),
        ('[results]\npermitted_hours = "08:00-25:00"', "results.permitted_hours", '"25:00" is no time of day'),
        ('[results]\nquick_close = "3"', "results.quick_close", "a whole number was expected"),
        ('[economics]\ncurrency = "eur"', "economics.currency", "did you mean EUR?"),
        ('[economics]\ncurrency = "Euro"', "economics.currency", "is no currency"),
        ('[economics]\ncurrency = "CHF"', "economics.currencies", 'must name "CHF"'),
        ('[economics]\ncurrencies = ["EUR", "EUR"]', "economics.currencies", "twice"),
        ("[economics]\ncurrencies = []", "economics.currencies", "must have at least 1 values"),
        ("[economics]\ncosts = 1", "economics.costs", "a table was expected"),
        ("[economics.costs]\ncall = -1", "economics.costs.call", "must be at least 0"),
        ("[economics.costs]\ncall = nan", "economics.costs.call", "a number was expected, not nan"),
        ("[economics.costs]\nmail = 1", "economics.costs.mail", "did you mean email?"),
        ("[targets]\nfloor = 0.2", "targets.floor", "is more than cap (0.05)"),
        ("[targets]\ngain = 1.5", "targets.gain", "must be at most 1"),
        ("[targets]\ncap = inf", "targets.cap", "a number was expected, not inf"),
        ('teams = [{ id = "a", plan_deals = -1 }]', "teams[0].plan_deals", "must be at least 0"),
        ('managers = [{ id = "a", plan_deals = "12" }]', "managers[0].plan_deals", "a number was expected"),
        ("[sources.asteriks]", "sources.asteriks", "did you mean asterisk?"),
        ('"odd key" = 1', '"odd key"', "unknown key; known here: kafka, worker"),
    ],
)
def test_a_wrong_value_is_refused_under_its_key(text: str, key: str, message: str) -> None:
    found = problems(text)
    assert message in found.get(key, f"no such key in {found}")


def test_the_mapping_of_channels_is_read_and_checked_by_its_own_rules() -> None:
    rule = '{ by = "account", pattern = "[a-z]+" }'
    settings = load(f"[sources.asterisk]\nrules = [{rule}]", {"CALLPULSE_SOURCES__ASTERISK__REGION": "DE"})
    assert settings.source(AsteriskMapping).rules[0].by == "account"
    assert settings.source(AsteriskMapping).region == "DE"
    wrong = '{ by = "acount", pattern = "[a-z]+" }, { by = "account", pattern = "[" }'
    assert "did you mean account?" in problems(f"[sources.asterisk]\nrules = [{wrong}]")["sources.asterisk.rules[0].by"]
    broken = rule.replace("[a-z]+", "[")
    assert "sources.asterisk.rules[0].pattern" in problems(f"[sources.asterisk]\nrules = [{broken}]")


def test_the_source_reads_numbers_of_the_general_region_unless_it_has_its_own() -> None:
    general = load('[privacy]\nregion = "DE"', {})
    assert general.source(AsteriskMapping).region == "DE"
    assert ("sources.asterisk.region", '"DE"', "privacy.region") in explain(general)
    assert (
        load('[privacy]\nregion = "DE"\n[sources.asterisk]\nregion = "PT"', {}).source(AsteriskMapping).region == "PT"
    )


def test_the_settings_know_only_the_sources_that_they_are_given() -> None:
    assert load_without_sources('[privacy]\nregion = "DE"', {}).source(AsteriskMapping) == AsteriskMapping()
    with pytest.raises(SettingsError, match="unknown key"):
        load_without_sources("[sources.asterisk]", {})


def test_shifts_that_touch_do_not_overlap() -> None:
    load(
        'managers = [{ id = "a", shifts = ["mon-sun 09:00-17:00", "mon-sun 17:00-01:00", "mon-sun 01:00-09:00"] }]', {}
    )


def test_a_wrong_value_causes_no_second_problem_in_what_depends_on_it() -> None:
    assert list(problems('[kafka]\nsession_timeout = "soon"\nheartbeat_interval = "9s"')) == ["kafka.session_timeout"]
    teams = '[[teams]]\nid = "sales"\ntimezone = "nowhere"\n[[managers]]\nid = "a"\nteam = "sales"'
    assert list(problems(teams)) == ["teams[0].timezone"]
    lost = '[[teams]]\nid = "sales"\nshifts = 9\n[[teams]]\nid = "b"\nid_ = 1\n[[managers]]\nid = "a"\nteam = "b"'
    assert list(problems(lost)) == ["teams[0].shifts", "teams[1].id_"]


def test_broken_toml_is_refused_with_its_line() -> None:
    assert "line 3" in problems('[kafka]\npartitions = 4\nbootstrap = "x')[""]


def test_an_error_lists_every_problem_on_its_own_line() -> None:
    with pytest.raises(SettingsError) as caught:
        load('timezone = "x"\nzone = 1', {})
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    assert len(caught.value.problems) == 2


def test_the_environment_wins_over_the_file_and_text_becomes_what_the_setting_is() -> None:
    settings = load(
        "[kafka]\npartitions = 2\nssl_check_hostname = true",
        {
            "CALLPULSE_KAFKA__PARTITIONS": "8",
            "CALLPULSE_KAFKA__SSL_CHECK_HOSTNAME": "no",
            "CALLPULSE_THRESHOLDS__MAX_CALL": "2h",
            "CALLPULSE_THRESHOLDS__HISTOGRAM": "6s, 20s",
            "CALLPULSE_THRESHOLDS__ATTEMPTS_TARGET": "3,5",
            "CALLPULSE_CALENDAR__WORKING_DAYS": "2026-12-26",
            "CALLPULSE_TIMEZONE": "Europe/Lisbon",
            "CALLPULSE_PRIVACY__LEAD_SECRET": SECRET,
            "CALLPULSE_KAFKA__GROUP": "",
            "PATH": "/usr/bin",
        },
    )
    assert settings.kafka.partitions == 8
    assert settings.kafka.ssl_check_hostname is False
    assert settings.thresholds.max_call_ms == 7_200_000
    assert settings.thresholds.histogram_ms == (6_000, 20_000)
    assert settings.thresholds.attempts_target == (3, 5)
    assert settings.calendar.working_days == (date(2026, 12, 26),)
    assert settings.timezone == "Europe/Lisbon"
    assert type(settings.timezone) is str
    assert settings.privacy.lead_secret.reveal() == SECRET
    assert settings.kafka.group == "callpulse"


@pytest.mark.parametrize("variable", SHORT_NAMES)
def test_a_short_name_sets_the_key_it_stands_for(variable: Any) -> None:
    key = SHORT_NAMES[variable]
    value = {"kafka.bootstrap": "there:1", "worker.http_port": "99"}.get(key, "x" * 20)
    section, name = key.split(".")
    held = getattr(getattr(load("", {variable: value}), section), name)
    assert (held.reveal() if isinstance(held, Secret) else str(held)) == value


def test_the_variable_that_names_the_file_passes() -> None:
    assert load("", {"CALLPULSE_CONFIG": "/etc/callpulse.toml"}) == load("", {})


@pytest.mark.parametrize(
    ("environ", "key", "message"),
    [
        ({"CALLPULSE_KAFKA__BOOTSTRP": "x:1"}, "CALLPULSE_KAFKA__BOOTSTRP", "mean CALLPULSE_KAFKA__BOOTSTRAP?"),
        ({"CALLPULSE_MANAGERS__0__ID": "x"}, "CALLPULSE_MANAGERS__0__ID", "the roster is set in the file"),
        ({"CALLPULSE_KAFKA": "x"}, "CALLPULSE_KAFKA", "unknown variable"),
        ({"CALLPULSE_KAFKA__PARTITIONS": "many"}, "kafka.partitions", "(from CALLPULSE_KAFKA__PARTITIONS)"),
        ({"CALLPULSE_KAFKA__PARTITIONS": "9" * 5000}, "kafka.partitions", "a whole number was expected"),
        ({"CALLPULSE_KAFKA__SSL_CHECK_HOSTNAME": "maybe"}, "kafka.ssl_check_hostname", "true or false was expected"),
        (
            {"CALLPULSE_THRESHOLDS__HISTOGRAM": "6s,x"},
            "thresholds.histogram[1]",
            "(from CALLPULSE_THRESHOLDS__HISTOGRAM)",
        ),
        (
            {"CALLPULSE_BOOTSTRAP": "a:1", "CALLPULSE_KAFKA__BOOTSTRAP": "b:1"},
            "CALLPULSE_KAFKA__BOOTSTRAP",
            "says something else than CALLPULSE_BOOTSTRAP, and both set kafka.bootstrap",
        ),
    ],
)
def test_a_wrong_variable_is_refused(environ: Any, key: str, message: str) -> None:
    assert message in problems("", environ)[key]


def test_a_variable_into_a_file_that_holds_no_table_there_is_one_problem_of_the_file() -> None:
    assert problems("kafka = 1", {"CALLPULSE_BOOTSTRAP": "a:1"}) == {
        "kafka": "a table was expected, not a whole number"
    }


def test_a_secret_is_seen_nowhere() -> None:
    text = f"""
        [kafka]
        security_protocol = "SASL_SSL"
        sasl_mechanism = "PLAIN"
        sasl_username = "me"
        sasl_password = "{SECRET}"
        ssl_password = "{SECRET}"
        [privacy]
        lead_secret = "{SECRET}"
    """
    settings = load(text, {})
    assert settings.kafka.sasl_password.reveal() == SECRET
    shown = [repr(settings), str(settings), f"{settings.kafka.sasl_password}", repr(explain(settings))]
    assert not any(SECRET in text for text in shown)
    for serialise in (msgspec.json.encode, msgspec.to_builtins, pickle.dumps):
        with pytest.raises(TypeError):
            serialise(settings.kafka)
    wrong = text.replace(f'sasl_password = "{SECRET}"', f'sasl_pasword = "{SECRET}"')
    assert SECRET not in str(problems(wrong))
    assert "tiny" not in str(problems("", {"CALLPULSE_LEAD_SECRET": "tiny"}))


def test_secrets_are_equal_by_value_and_false_when_empty() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret()
    assert Secret("a")


def test_the_settings_cannot_be_changed() -> None:
    settings = load('managers = [{ id = "a" }]', {})
    with pytest.raises(AttributeError):
        settings.kafka.bootstrap = "x:1"  # type: ignore[misc]  # what must fail
    with pytest.raises(TypeError):
        settings.managers["b"] = settings.managers["a"]  # type: ignore[index]  # what must fail


def test_explain_says_for_each_setting_where_it_comes_from() -> None:
    settings = load(
        '[kafka]\npartitions = 2\n[[teams]]\nid = "t"\nshifts = ["mon-fri 09:00-17:00"]\n'
        '[[managers]]\nid = "a b"\nteam = "t"',
        {"CALLPULSE_BOOTSTRAP": "there:9092", "CALLPULSE_LEAD_SECRET": SECRET, "CALLPULSE_THRESHOLDS__SHORT": "90s"},
    )
    told = {line.key: (line.value, line.source) for line in explain(settings)}
    assert told["kafka.partitions"] == ("2", "file")
    assert told["kafka.bootstrap"] == ('"there:9092"', "CALLPULSE_BOOTSTRAP")
    assert told["kafka.ssl_check_hostname"] == ("true", "default")
    assert told["thresholds.short"] == ('"90s"', "CALLPULSE_THRESHOLDS__SHORT")
    assert told["thresholds.histogram"] == ('["6s", "20s", "1m", "2m", "3m", "5m", "10m", "20m"]', "default")
    assert told["privacy.lead_secret"] == ("(secret)", "CALLPULSE_LEAD_SECRET")
    assert told["kafka.sasl_password"] == ("(not set)", "default")
    assert told['managers."a b"'] == ("a b; team t; UTC; mon-fri 09:00-17:00", "file")


def test_what_explain_writes_is_read_back_as_the_same_settings() -> None:
    settings = load('[thresholds]\nmax_call = "90m"\n[calendar]\nextra_holidays = [2026-12-24]', {})
    written = [f"{key} = {value}" for key, value, _ in explain(settings) if not value.startswith("(")]
    again = load("\n".join(written), {})
    assert msgspec.structs.replace(again, origins=settings.origins) == settings


@given(st.integers(0, 10**12))
def test_a_duration_survives_being_written_and_read(ms: Any) -> None:
    assert duration(duration_text(ms)) == ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("500ms", 500),
        ("90s", 90_000),
        ("1.5h", 5_400_000),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        ("30d", 2_592_000_000),
    ],
)
def test_durations_are_written_with_their_unit(text: str, ms: int) -> None:
    assert duration(text) == ms


@pytest.mark.parametrize(
    "value", ["", "90", "1x", "h", "0.1ms", "-1s", 90, 1.5, True, None, [], "1e3s", "٣s" * 2, "9" * 400 + "d"]
)
def test_what_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"duration|unit|whole number"):
        duration(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(
        [
            *("kafka", "worker", "thresholds", "calendar", "privacy", "sources", "timezone", "teams", "managers"),
            *("results", "economics", "targets"),
        ]
    ),
)
def test_no_document_makes_load_fail_with_anything_but_a_settings_error(monkey_value: Any, key: bytes) -> None:
    # What TOML parses to is what counts here, so the parser is left out.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            tomllib, "loads", lambda _: {key: monkey_value, "teams": [{"id": monkey_value, "shifts": monkey_value}]}
        )
        with contextlib.suppress(SettingsError):
            assert load("", {}).teams is not None


def test_the_example_is_valid_and_its_roster_is_whole() -> None:
    settings = load(EXAMPLE, {})
    assert len(settings.teams) == 3
    assert len(settings.managers) == 12
    assert {manager.team for manager in settings.managers.values()} == set(settings.teams)
    assert {"Europe/Berlin", "Europe/Lisbon"} <= {manager.timezone for manager in settings.managers.values()}
    assert all(manager.shifts for manager in settings.managers.values())


def test_the_example_shows_every_setting_and_the_true_defaults() -> None:
    defaults = {line.key: line.value for line in explain(load("", {}))}
    security = {"security_protocol", "sasl_mechanism", "sasl_username", "ssl_cafile", "ssl_certfile", "ssl_keyfile"}
    shown, section = set(), ""
    told, meant = "", ""
    for line in EXAMPLE.split("[[teams]]")[0].splitlines():
        if header := re.match(r"\[([\w.]+)\]", line):
            section = f"{header[1]}."
        elif section.startswith("sources."):
            continue  # examples, not defaults
        elif setting := re.match(r"(# )?([a-z_]+) = (.+?)(?: +#.*)?$", line):
            commented, name, value = setting.groups()
            key = section + name
            shown.add(key)
            if commented and name not in security and defaults[key] != "(not set)":
                told += f"{key} = {value}\n"
                meant += f"{key} = {defaults[key]}\n"
    # Both are read, so that "60s" and "1m" are the same.
    read, default = load(told, {}), load(meant, {})
    assert {line.key: line.value for line in explain(read)} == {line.key: line.value for line in explain(default)}
    assert read == msgspec.structs.replace(default, origins=read.origins)
    assert shown == {key for key in defaults if not key.startswith("sources.")}


def test_the_documentation_lists_every_setting_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*?) \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
    expected = {line.key: line.value for line in explain(load("", {}))}
    documented = {key: "(not set)" if told == "not set" else told.strip("`") for key, told in rows.items()}
    # The rules of a source are on its own page; those listed here must be true.
    listed = (key for key in expected if not key.startswith("sources.") or key in documented)
    assert documented == {key: expected[key] for key in listed}


def test_the_documentation_lists_every_short_name() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    assert dict(re.findall(r"^\| `(CALLPULSE_\w+)` \| `([a-z_.]+)` \|", text, re.MULTILINE)) == dict(SHORT_NAMES)
