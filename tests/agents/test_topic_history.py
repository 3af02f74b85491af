"""Topics that were deleted and created again get another generation, and their tables are rebuilt."""

from __future__ import annotations

import pytest

from agents.kafka.topic_history import (
    ChangelogLostError,
    GroupTopics,
    KnownTopic,
    advance,
    commit_tag,
    position_base,
    read_tag,
)
from streams.contract import topics
from streams.contract.facts import SLOTS
from streams.settings.settings import Kafka

KAFKA = Kafka(group="g")
LEADS = topics.changelog("leads", "g").name
MANAGERS = topics.changelog("managers", "g").name


def advanced(known: dict[str, KnownTopic], now: GroupTopics) -> tuple[dict[str, KnownTopic], list[str]]:
    said: list[str] = []
    return advance(KAFKA, known, now, said.append), said


def test_a_new_group_counts_the_topics_that_are_there() -> None:
    found, said = advanced({}, GroupTopics(ids={"calls": "a", LEADS: "b"}))
    assert found == {"calls": KnownTopic("a"), LEADS: KnownTopic("b")}
    assert said == []


def test_a_topic_with_another_id_has_the_next_generation_and_is_told() -> None:
    found, said = advanced({"calls": KnownTopic("a", 2)}, GroupTopics(ids={"calls": "b"}))
    assert found == {"calls": KnownTopic("b", 3)}
    assert said == ["topic calls was deleted and created again: its records are counted from its start"]


def test_one_with_the_same_id_stays_even_if_its_log_was_cut() -> None:
    known = {"calls": KnownTopic("a", 2)}
    found, said = advanced(known, GroupTopics(ids={"calls": "a"}, ahead=frozenset({"calls"})))
    assert (found, said) == (known, [])


@pytest.mark.parametrize("known", [{}, {"calls": KnownTopic("")}])
def test_without_an_id_a_committed_offset_above_the_end_tells(known: dict[str, KnownTopic]) -> None:
    found, said = advanced(known, GroupTopics(ids={"calls": "a"}, ahead=frozenset({"calls"})))
    assert found == {"calls": KnownTopic("a", 1)}
    assert len(said) == 1


def test_a_topic_that_is_missing_keeps_its_generation_until_it_is_there_again() -> None:
    known = {"calls": KnownTopic("a", 1)}
    found, said = advanced(known, GroupTopics(ids={}))
    assert (found, said) == (known, [])
    assert advanced(found, GroupTopics(ids={"calls": "c"}))[0] == {"calls": KnownTopic("c", 2)}


def test_facts_that_were_not_counted_are_lost_with_their_topic() -> None:
    _, said = advanced({"contacts": KnownTopic("a")}, GroupTopics(ids={"contacts": "b"}))
    assert said[0].endswith("facts of the old topic that were not counted yet are lost")


@pytest.mark.parametrize("now", [{"ids": {LEADS: "b"}}, {"ids": {LEADS: "a"}, "empty": frozenset({LEADS})}], ids=str)
def test_a_changelog_that_was_deleted_is_made_again_from_the_source_topic(now: dict[str, object]) -> None:
    known = {LEADS: KnownTopic("a" if "empty" not in now else "")}
    found, said = advanced(known, GroupTopics(**now))  # type: ignore[arg-type]  # one of the parameters above
    assert found[LEADS].generation == 1
    assert said == [f"the changelog {LEADS} was deleted: table leads is rebuilt from the start of topic contacts"]


def test_it_is_refused_where_facts_are_gone_and_said_where_calls_are() -> None:
    cut = frozenset({"contacts", "calls"})
    with pytest.raises(ChangelogLostError, match=r"table leads was made of.*callpulse rebuild"):
        advanced({LEADS: KnownTopic("a")}, GroupTopics(ids={LEADS: "b"}, cut=cut))
    _, said = advanced({MANAGERS: KnownTopic("a")}, GroupTopics(ids={MANAGERS: "b"}, cut=cut))
    assert said[0].endswith("its first records are gone, so older figures are missing")


def test_positions_grow_with_the_generation_and_fit_in_eight_bytes() -> None:
    assert position_base(0) == 0
    assert position_base(3) + 5 > position_base(2) + (1 << 40) - 1
    assert (position_base(1000) + (1 << 40)) * SLOTS < 1 << 63


def test_a_group_that_never_lost_a_topic_commits_as_before() -> None:
    assert commit_tag(0, 0) == ""
    assert len({commit_tag(source, changelog) for source in range(3) for changelog in range(3)}) == 9


def test_a_group_whose_settings_log_is_gone_goes_on_with_the_generations_of_its_commits() -> None:
    found, said = advanced({}, GroupTopics(ids={"calls": "a"}, generations={"calls": 2}))
    assert (found, said) == ({"calls": KnownTopic("a", 2)}, [])
    assert [read_tag(text) for text in ("", commit_tag(2, 0), commit_tag(0, 31), "by hand", "1.x")] == [
        (0, 0), (2, 0), (0, 31), (0, 0), (0, 0),
    ]  # fmt: skip
