"""People without a roster entry, and the printed lines, which add them."""

from __future__ import annotations

import tomllib

import pytest

from streams.settings.settings import Settings, load
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.sources import QueueLogSource
from streams.sources.directory import Known
from streams.sources.people import UNKNOWN, Heard, People
from streams.sources.registry import SOURCES
from streams.sources.unmapped import NOBODY, UNCOUNTED, Stranger, Unmapped

SECRET = b"a secret of the tests, long enough"
ROSTER = '[[managers]]\nid = "anna.weber"\nidentities = { extension = "201" }\n'
AT = 1_794_900_000_000


def settings(text: str = ROSTER) -> Settings:
    return load(f'privacy.region = "DE"\n{text}', {}, SOURCES)


def people(text: str = ROSTER) -> People:
    return People.of(settings(text), SECRET)


def found(*managers: str, source: str = "asterisk") -> list[Stranger]:
    collected = Unmapped(settings(), people(), {"outside"})
    for number, manager in enumerate(managers):
        collected.take(source, manager, AT + number)
    return collected.found()


def test_events_are_counted_with_their_first_and_last_time() -> None:
    collected = Unmapped(settings(), people())
    for at in (AT + 5, AT, AT + 9):
        collected.take("asterisk", "299", at)
    collected.take("asterisk", "299", 0, refused=True)
    collected.take("crm", "299", AT)
    one, two = collected.found()
    assert (one.source, one.events, one.refused, one.first_ms, one.last_ms) == ("asterisk", 3, 1, AT, AT + 9)
    assert (two.source, two.events) == ("crm", 1)


def test_who_is_on_the_roster_or_is_nobody_is_left_out() -> None:
    assert found("anna.weber", "queue:sales", "outside", "") == []
    assert found("x", source="callpulse") == []


def test_a_person_whose_source_says_nothing_has_no_lines() -> None:
    assert found("asterisk:unknown")[0].note == NOBODY
    assert found("asterisk:unknown")[0].lines == []


def test_somebody_who_has_no_events_gets_the_line_that_adds_them_and_is_told_once_it_is_there() -> None:
    collected = Unmapped(settings(), people())
    collected.take_uncounted("asterisk", "Vera Lisina", 3, AT, AT + 9)
    (one,) = collected.found()
    assert (one.events, one.first_ms, one.last_ms, one.note) == (3, AT, AT + 9, UNCOUNTED)
    roster = f'[[managers]]\nid = "vera"\n{one.lines[0]}\n'
    later = Unmapped(settings(roster), people(roster))
    later.take_uncounted("asterisk", "Vera Lisina", 3, AT, AT + 9)
    (one,) = later.found()
    assert (one.lines, one.note) == ([], "is vera by now; what came before counts for nobody")
    mapping = AsteriskMapping()
    log = QueueLogSource(mapping.queue_log, mapping, SECRET, people(roster))
    line = b"1794900033|1794900030.1|sales|Vera Lisina|CONNECT|3|1794900030.7|3"
    assert [getattr(event, "manager", "") for event in log.take(line, 0, AT * 2).events] == ["vera", "vera"]


def test_a_person_who_is_on_the_roster_by_now_is_told() -> None:
    (one,) = found("asterisk:201")
    assert one.note.startswith("is anna.weber by now")
    assert one.lines == []


def test_an_id_that_looks_like_a_number_is_not_shown() -> None:
    (one,) = found("+49 30 23125000")
    assert "23125000" not in f"{one}"
    assert "looks like a telephone number" in one.note


@pytest.mark.parametrize(
    "heard",
    [
        Heard(user="4711"),
        Heard(user='quote " and \\ backslash'),
        Heard(user="Вера Лисина"),
        Heard(endpoint="PJSIP/299"),
        Heard(extension="299"),
        Heard(login="Boris"),
        Heard(email="B@x.org"),
        Heard(number="030 23125000"),
        Heard(user="464505208276"),
        Heard(user="x" * 200),
    ],
)
def test_the_lines_add_the_person(heard: Heard) -> None:
    unknown = people().resolve("asterisk", heard)
    (one,) = found(unknown.manager)
    (line,) = one.lines
    assert tomllib.loads(line)["identities"].keys() == {"asterisk"}
    after = people(f'[[managers]]\nid = "boris"\n{line}\n')
    assert after.resolve("asterisk", heard).manager == "boris"


def test_an_id_that_a_source_sent_as_it_is_becomes_an_entry() -> None:
    (one,) = found("299")
    assert settings("\n".join(one.lines)).managers["299"].id == "299"


def test_refused_parts_are_counted_by_source() -> None:
    collected = Unmapped(settings(), people())
    collected.refused_parts["mango"] += 2
    assert (collected.found(), dict(collected.refused_parts)) == ([], {"mango": 2})


def test_users_of_a_directory_are_listed_with_their_names_whether_they_were_heard_or_not() -> None:
    collected = Unmapped(settings(), people())
    collected.take("bitrix24", "bitrix24:303", AT)
    collected.take_directory(
        "bitrix24", Known(managers={"7": "anna.weber"}, strangers={"303": "Vera L", "310": UNKNOWN})
    )
    one, two = collected.found()
    assert (one.manager, one.events, one.note) == ("bitrix24:303", 1, "Vera L")
    assert (two.manager, two.events, two.note) == ("bitrix24:310", 0, "")
    assert two.lines == ['identities = { bitrix24 = "310" }']
