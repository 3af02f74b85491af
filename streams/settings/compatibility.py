"""The settings that decide the meaning of rows: those that the folds read. Their effect on a row is permanent.

All other settings are read when rows are read, or concern a process; they may change at any time. `changes` lists the
differences of the first kind between two settings, and their effect on rows that stay in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from streams.settings.reader import join
from streams.settings.settings import Settings, explain

Effect: TypeAlias = Literal["mixed", "wrong", "unusable"]
"""The effect on existing rows when the setting changes.

`mixed`: counts keep their old meaning, and later counts have the new one. `wrong`: a change subtracts the count of the
new settings from a sum with the count of the old ones, so figures stay wrong, even below 0, until they have left their
windows. `unusable`: the rows can be used no more.
"""

FOLDED: Final[Mapping[str, Effect]] = MappingProxyType(
    {
        "kafka.topic_prefix": "unusable",  # rows hold offsets of the old topics
        "thresholds.conversation": "mixed",
        "thresholds.short": "mixed",
        "thresholds.meaningful": "mixed",
        "thresholds.work_gap": "mixed",
        "thresholds.max_call": "mixed",
        "thresholds.retry_horizon": "mixed",
        "thresholds.future": "mixed",
        "thresholds.day_rows": "mixed",
        "thresholds.histogram": "unusable",  # a day's counts are a list with a place for each bound
        "thresholds.calls_per_lead_day": "wrong",
        "results.stages": "wrong",
        "results.reasons": "mixed",
        "results.mentor_after": "wrong",
        "results.stuck_after": "wrong",
        "results.permitted_hours": "wrong",
        "economics.currencies": "wrong",
        "speech.word_gap": "mixed",
        "speech.longest_word": "mixed",
        "speech.silence": "mixed",
        "speech.overlap": "mixed",
        "speech.monologue_pause": "mixed",
        "speech.plausible_overlap": "mixed",
        "speech.plausible_overlap_share": "mixed",
        "speech.back_channel_words": "mixed",
        "speech.flag_fillers": "mixed",
        "speech.flag_monologue": "mixed",
        "speech.flag_interruptions": "mixed",
        "timezone": "wrong",
    }
)
"""The settings that folds read, by their dotted keys; and the zone of each manager, which is `wrong` too."""


class Meaning(Struct, frozen=True, kw_only=True):
    """The settings by which rows are made: folded settings as in TOML, and the time zone per manager on the roster."""

    settings: dict[str, str]
    zones: dict[str, str]


class Change(NamedTuple):
    """A folded setting that has changed."""

    key: str
    old: str
    new: str
    effect: Effect

    def __str__(self) -> str:
        return f"{self.key}: {self.old} -> {self.new}"


def of(settings: Settings) -> Meaning:
    """Return the meaning of rows that are folded by `settings`."""
    results, economics = settings.results, settings.economics
    in_any_order = replace(
        settings,
        results=replace(results, reasons=tuple(sorted(results.reasons))),
        economics=replace(economics, currencies=tuple(sorted(economics.currencies))),
        teams={},
        managers={},
    )
    return Meaning(
        settings={line.key: line.value for line in explain(in_any_order) if line.key in FOLDED},
        zones={manager.id: manager.timezone for manager in settings.managers.values()},
    )


_DEFAULT: Final = of(Settings()).settings


def changes(was: Meaning, now: Meaning) -> list[Change]:
    """Return the differences, in the order of `FOLDED`, then by manager.

    A setting that `was` lacks, because an earlier release wrote it, had its default. A manager who is new on the roster
    is no change, and has the zone of the roster from now on. A manager who has left it is in the default zone again.
    """
    found = []
    for key, effect in FOLDED.items():
        old, new = was.settings.get(key, _DEFAULT[key]), now.settings[key]
        if old != new:
            found.append(Change(key, old, new, effect))
    default = now.settings["timezone"].strip('"')
    for manager, zone in sorted(was.zones.items()):
        new = now.zones.get(manager, default)
        if new != zone:
            found.append(Change(f"{join('managers', manager)}.timezone", f'"{zone}"', f'"{new}"', "wrong"))
    return found
