"""The settings that are folded into rows, key by key, and the messages about changes of them."""

from __future__ import annotations

import msgspec
import pytest

from streams.settings import compatibility as meaning
from streams.settings.compatibility import FOLDED, Change
from streams.settings.sections import RosterEntry
from streams.settings.settings import Settings, Team, explain, load

FOLDED_HERE, READ = "folded", "read"
KEYS = {
    "kafka.bootstrap": READ,
    "kafka.security_protocol": READ,
    "kafka.sasl_mechanism": READ,
    "kafka.sasl_username": READ,
    "kafka.sasl_password": READ,
    "kafka.ssl_cafile": READ,
    "kafka.ssl_certfile": READ,
    "kafka.ssl_keyfile": READ,
    "kafka.ssl_password": READ,
    "kafka.ssl_check_hostname": READ,
    "kafka.partitions": READ,  # a worker does not start where the topics have another number
    "kafka.replication": READ,
    "kafka.session_timeout": READ,
    "kafka.heartbeat_interval": READ,
    "kafka.commit_interval": READ,
    "kafka.group": READ,  # another group has other tables
    "kafka.topic_prefix": FOLDED_HERE,
    "worker.id": READ,
    "worker.data_dir": READ,
    "worker.http_host": READ,
    "worker.http_port": READ,
    "worker.restore_deadline": READ,
    "worker.stall_deadline": READ,
    "worker.batch_records": READ,
    "worker.batch": READ,
    "worker.advertised_url": READ,
    "worker.store": READ,
    "worker.web_config": READ,
    "worker.web_client": READ,
    "thresholds.conversation": FOLDED_HERE,
    "thresholds.short": FOLDED_HERE,
    "thresholds.meaningful": FOLDED_HERE,
    "thresholds.meaningful_target": READ,
    "thresholds.attempts_target": READ,
    "thresholds.work_gap": FOLDED_HERE,
    "thresholds.work_block": READ,
    "thresholds.break_after": READ,
    "thresholds.max_call": FOLDED_HERE,
    "thresholds.retry_horizon": FOLDED_HERE,
    "thresholds.future": FOLDED_HERE,  # by the intake, before the fold
    "thresholds.calls_per_lead_day": FOLDED_HERE,
    "thresholds.day_rows": FOLDED_HERE,
    "thresholds.histogram": FOLDED_HERE,
    "calendar.country": READ,
    "calendar.subdivision": READ,
    "calendar.extra_holidays": READ,
    "calendar.working_days": READ,
    "links.lead": READ,
    "links.deal": READ,
    "links.call": READ,
    "links.manager": READ,
    "privacy.lead_secret": READ,  # by the sources: it names leads
    "privacy.region": READ,
    "results.stages": FOLDED_HERE,
    "results.reasons": FOLDED_HERE,
    "results.products": READ,
    "results.client_types": READ,
    "results.channels": READ,
    "results.max_values": READ,
    "results.mentor_after": FOLDED_HERE,
    "results.stuck_after": FOLDED_HERE,
    "results.attention_series": READ,
    "results.lead_expiry": READ,  # a row that goes has left every window
    "results.permitted_hours": FOLDED_HERE,
    "results.long_first_call": READ,
    "results.quick_close": READ,
    "economics.currency": READ,
    "economics.currencies": FOLDED_HERE,
    "economics.costs.call": READ,
    "economics.costs.email": READ,
    "economics.costs.messenger": READ,
    "economics.costs.meeting": READ,
    "gateway.http_host": READ,
    "gateway.http_port": READ,
    "gateway.status_host": READ,
    "gateway.status_port": READ,
    "gateway.status_web_config": READ,
    "gateway.data_dir": READ,
    "gateway.spool_max_bytes": READ,
    "gateway.spool_after": READ,
    "gateway.deadline": READ,
    "gateway.max_in_flight": READ,
    "gateway.memory_bytes": READ,
    "gateway.memory_rebuild": READ,
    "gateway.http.max_body_bytes": READ,
    "gateway.http.max_header_bytes": READ,
    "gateway.http.max_requests": READ,
    "gateway.http.max_request_bytes": READ,
    "gateway.http.max_connections": READ,
    "gateway.http.header_deadline": READ,
    "gateway.http.body_deadline": READ,
    "gateway.http.idle_deadline": READ,
    "gateway.http.stop_delay": READ,
    "gateway.http.reuse_port": READ,
    "gateway.http.metrics": READ,
    "gateway.http.trusted_proxies": READ,
    "gateway.http.forwarded": READ,
    "gateway.http.public_url": READ,
    "gateway.http.tls_certfile": READ,
    "gateway.http.tls_keyfile": READ,
    "gateway.http.tls_password": READ,
    "gateway.http.tls_client_cafile": READ,
    "gateway.http.web_config": READ,
    "gateway.polls.enabled": READ,
    "gateway.polls.deadline": READ,
    "gateway.polls.max_body_bytes": READ,
    "gateway.polls.proxy": READ,
    "gateway.polls.cafile": READ,
    "targets.gain": READ,
    "targets.floor": READ,
    "targets.cap": READ,
    "speech.enabled": READ,
    "speech.lexicons": READ,  # facts of calls carry the lexicon's version
    "speech.grace": READ,  # by the sweep, which sends the end as an event
    "speech.word_gap": FOLDED_HERE,
    "speech.longest_word": FOLDED_HERE,
    "speech.silence": FOLDED_HERE,
    "speech.overlap": FOLDED_HERE,
    "speech.monologue_pause": FOLDED_HERE,
    "speech.plausible_overlap": FOLDED_HERE,
    "speech.plausible_overlap_share": FOLDED_HERE,
    "speech.back_channel_words": FOLDED_HERE,
    "speech.flag_fillers": FOLDED_HERE,
    "speech.flag_monologue": FOLDED_HERE,
    "speech.flag_interruptions": FOLDED_HERE,
    "speech.long_turn": READ,
    "speech.min_calls": READ,
    "timezone": FOLDED_HERE,
}
"""Every setting outside the sources, and whether a fold reads it. A new setting needs an entry here."""
OF_TEAMS = {"id": READ, "name": READ, "timezone": FOLDED_HERE, "shifts": READ, "calendar": READ, "plan_deals": READ}
OF_MANAGERS = {
    "id": READ,
    "name": READ,
    "team": READ,
    "timezone": FOLDED_HERE,
    "shifts": READ,
    "plan_deals": READ,
    "identities": READ,  # by the sources: they name managers
}

OTHERWISE = {
    "kafka.topic_prefix": '"other."',
    "thresholds.conversation": '"61s"',
    "thresholds.short": '"121s"',
    "thresholds.meaningful": '"301s"',
    "thresholds.work_gap": '"16m"',
    "thresholds.max_call": '"5h"',
    "thresholds.retry_horizon": '"24h"',
    "thresholds.future": '"301s"',
    "thresholds.day_rows": "401",
    "thresholds.histogram": '["1m"]',
    "thresholds.calls_per_lead_day": "4",
    "results.stages": '["presentation", "proposal", "won", "lost"]',
    "results.reasons": '["reminder"]',
    "results.mentor_after": "2",
    "results.stuck_after": "6",
    "results.permitted_hours": '"09:00-21:00"',
    "economics.currencies": '["EUR", "USD"]',
    "speech.word_gap": '"400ms"',
    "speech.longest_word": '"3s"',
    "speech.silence": '"3s"',
    "speech.overlap": '"700ms"',
    "speech.monologue_pause": '"4s"',
    "speech.plausible_overlap": '"3s"',
    "speech.plausible_overlap_share": "0.3",
    "speech.back_channel_words": "2",
    "speech.flag_fillers": "4",
    "speech.flag_monologue": '"3m"',
    "speech.flag_interruptions": "4",
    "timezone": '"Europe/Berlin"',
}


def told(was: str, now: str) -> list[str]:
    return [str(change) for change in meaning.changes(meaning.of(load(was, {})), meaning.of(load(now, {})))]


def roster(**zones: str) -> str:
    return "".join(f'[[managers]]\nid = "{name}"\ntimezone = "{zone}"\n' for name, zone in zones.items())


def test_of_every_setting_it_is_known_whether_a_fold_reads_it() -> None:
    keys = [line.key for line in explain(Settings()) if not line.key.startswith("sources.")]
    assert sorted(KEYS) == sorted(keys)
    assert {key for key, kind in KEYS.items() if kind == FOLDED_HERE} == FOLDED.keys()
    assert OF_TEAMS.keys() == {field.name for field in msgspec.structs.fields(Team)}
    assert OF_MANAGERS.keys() == {field.name for field in msgspec.structs.fields(RosterEntry)}


@pytest.mark.parametrize("key", FOLDED)
def test_a_folded_setting_that_changes_is_named_with_its_old_and_new_value(key: str) -> None:
    assert OTHERWISE.keys() == FOLDED.keys()
    (change,) = meaning.changes(meaning.of(Settings()), meaning.of(load(f"{key} = {OTHERWISE[key]}", {})))
    assert change.key == key
    assert change.old == meaning.of(Settings()).settings[key] != change.new
    assert change.effect == FOLDED[key]


def test_a_change_reads_as_one_would_write_it() -> None:
    (change,) = told("", 'thresholds.short = "90s"')
    assert change == 'thresholds.short: "2m" -> "90s"'


def test_what_is_only_read_may_change() -> None:
    read = """
    kafka.commit_interval = "2s"
    worker.store = "memory"
    thresholds.meaningful_target = [1, 2]
    thresholds.work_block = "3h"
    calendar.country = "DE"
    privacy.lead_secret = "a secret of sixteen characters"
    results.products = ["gold"]
    results.lead_expiry = "200d"
    economics.costs.call = 2.0
    targets.cap = 0.9
    """
    people = '[[teams]]\nid = "a"\nshifts = [{ days = "mon-fri", start = "09:00", end = "17:00" }]\nplan_deals = 3\n'
    assert told("", read) == []
    assert told(roster(anna="UTC"), people + '[[managers]]\nid = "anna"\nname = "Anna"\nteam = "a"\n') == []


def test_the_order_of_what_is_a_set_to_the_fold_says_nothing() -> None:
    assert told('results.reasons = ["a", "b"]', 'results.reasons = ["b", "a"]') == []
    assert told('economics.currencies = ["EUR", "USD"]', 'economics.currencies = ["USD", "EUR"]') == []
    assert told("", 'results.stages = ["presentation", "qualified", "proposal", "won", "lost"]') != []


@pytest.mark.parametrize(
    ("was", "now", "changed"),
    [
        (roster(anna="Europe/Berlin"), roster(anna="Europe/Paris"), ['"Europe/Berlin" -> "Europe/Paris"']),
        (roster(anna="Europe/Berlin"), "", ['"Europe/Berlin" -> "UTC"']),  # now in the default zone
        (roster(anna="UTC"), "", []),
        ("", roster(anna="Europe/Berlin"), []),  # a new manager may be in any zone
        (roster(anna="UTC"), roster(anna="UTC", bert="Asia/Tokyo"), []),
    ],
)
def test_the_zone_of_a_manager_is_folded(was: str, now: str, changed: list[str]) -> None:
    assert told(was, now) == [f"managers.anna.timezone: {change}" for change in changed]


def test_the_zone_of_a_team_is_that_of_its_managers() -> None:
    was, now = (
        f'[[teams]]\nid = "a"\ntimezone = "{zone}"\n[[managers]]\nid = "x.y"\nteam = "a"\n'
        for zone in ("Asia/Tokyo", "Asia/Seoul")
    )
    assert told(was, now) == ['managers."x.y".timezone: "Asia/Tokyo" -> "Asia/Seoul"']


def test_a_setting_that_an_earlier_release_did_not_know_was_at_its_default() -> None:
    was = meaning.of(Settings())
    del was.settings["results.mentor_after"]
    assert meaning.changes(was, meaning.of(Settings())) == []
    now = meaning.of(load("results.mentor_after = 2", {}))
    assert meaning.changes(was, now) == [Change("results.mentor_after", "3", "2", "wrong")]
