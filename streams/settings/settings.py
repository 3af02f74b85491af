"""The settings: one frozen, validated object made from one TOML file and the environment.

`load` reads text and a mapping, so that tests and tools can pass their own; its caller opens the file. All problems are
reported at once, each under the dotted key that has to change. Spans of time are written with a unit ("15m") and held
in milliseconds.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec
from msgspec import Struct

from streams.settings import environment, identities
from streams.settings.environment import CONFIG_VARIABLE, PREFIX, SHORT_NAMES, overlay
from streams.settings.fields import Secret, Weekday, Zone
from streams.settings.gateway import Gateway
from streams.settings.identities import Identity
from streams.settings.links import Links
from streams.settings.reader import (
    Problem,
    Reader,
    did_you_mean,
    duration_text,
    join,
    toml_key,
)
from streams.settings.results import Costs, Economics, Results, Targets
from streams.settings.sections import (
    UNASSIGNED,
    Calendar,
    Kafka,
    Manager,
    Privacy,
    RosterEntry,
    Shift,
    Team,
    Thresholds,
    Worker,
)
from streams.settings.speech import Speech

__all__ = [
    "CONFIG_VARIABLE",
    "PREFIX",
    "SHORT_NAMES",
    "UNASSIGNED",
    "Calendar",
    "Costs",
    "Economics",
    "Gateway",
    "Kafka",
    "Links",
    "Manager",
    "Named",
    "Privacy",
    "Problem",
    "Results",
    "Secret",
    "Setting",
    "Settings",
    "SettingsError",
    "Shift",
    "Sources",
    "Speech",
    "Targets",
    "Team",
    "Thresholds",
    "Weekday",
    "Worker",
    "explain",
    "load",
    "secret_files",
]

T = TypeVar("T", bound=Struct)
NAME_OF_A_SOURCE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class SettingsError(ValueError):
    """The settings cannot be used. `problems` has all problems, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Sources(Struct, frozen=True, kw_only=True):
    """The table `[sources]`. `load` adds a field for each source that it is given, with that source's own settings."""


class Named(NamedTuple):
    """The form of a source of which there are several: each is a table `[sources.SOURCE.NAME]`."""

    form: type[Struct]


class _Sections(Struct, frozen=True, kw_only=True):
    kafka: Kafka = Kafka()
    worker: Worker = Worker()
    gateway: Gateway = Gateway()
    thresholds: Thresholds = Thresholds()
    calendar: Calendar = Calendar()
    privacy: Privacy = Privacy()
    results: Results = Results()
    economics: Economics = Economics()
    targets: Targets = Targets()
    speech: Speech = Speech()
    links: Links = Links()
    sources: Sources = Sources()
    timezone: Zone = "UTC"


class _Document(_Sections, frozen=True, kw_only=True):
    """The file before the roster is complete: its entries depend on each other."""

    teams: tuple[Any, ...] = ()
    managers: tuple[Any, ...] = ()


class Settings(_Sections, frozen=True, kw_only=True):
    """All settings. `origins` has the place where a dotted key was set; a key that is not in it has its default."""

    teams: Mapping[str, Team] = MappingProxyType({})
    managers: Mapping[str, Manager] = MappingProxyType({})
    origins: Mapping[str, str] = MappingProxyType({})

    def manager(self, manager_id: str) -> Manager:
        """Return the manager; one who is not on the roster is in team `unassigned`, in the default zone."""
        known = self.managers.get(manager_id)
        return known or Manager(id=manager_id, name=manager_id, timezone=self.timezone)

    def source(self, kind: type[T]) -> T:
        """Return the settings of a source, or its defaults if `load` did not get that source."""
        held = (getattr(self.sources, name) for name in self.sources.__struct_fields__)
        return next((one for one in held if isinstance(one, kind)), None) or kind()

    def named(self, source: str, kind: type[T]) -> Mapping[str, T]:
        """Return the settings of a source of which there are several, by their names. `kind` is their form."""
        held: Mapping[str, T] = getattr(self.sources, source, {})
        assert all(isinstance(one, kind) for one in held.values())  # noqa: S101 - detects a wrong `kind`
        return held

    def calendar_of(self, manager: Manager) -> Calendar:
        """Return the calendar that decides the manager's holidays: the team's own, or the general one."""
        team = self.teams.get(manager.team)
        return team.calendar if team is not None and team.calendar is not None else self.calendar


class Setting(NamedTuple):
    """One line of `explain`: the key, its value as TOML would write it, and "default", "file" or a variable's name."""

    key: str
    value: str
    source: str


def load(
    text: str, environ: Mapping[str, str], sources: Mapping[str, type[Struct] | Named] = MappingProxyType({})
) -> Settings:
    """Return the settings of a TOML document, overlaid with the CALLPULSE_ variables of `environ`.

    `sources` names the tables allowed under `[sources]` and the form of each; `streams.sources.registry` has them all.

    Raises:
        SettingsError: with every problem of the text and of the variables.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        detail = str(error).replace("at end of document", f"at line {text.count(chr(10)) + 1}, the last")
        raise SettingsError([Problem("", f"the file is not TOML: {detail}")]) from None
    reader = Reader()
    form = _form(tuple(sources.items()))
    overlay(document, environ, form, reader)
    sections = reader.struct(form, document, "")
    if sections is None:
        raise SettingsError(reader.problems)
    _check_names(sections, reader)
    teams = _teams(sections, reader)
    managers = _managers(sections, teams, reader, identities.names(sections.sources) if sources else None)
    if reader.problems:
        raise SettingsError(dict.fromkeys(reader.problems))
    held = {name: getattr(sections, name) for name in _Sections.__struct_fields__}
    return Settings(
        **(held | {"sources": _sources(sections, reader)}),
        teams=MappingProxyType(teams),
        managers=MappingProxyType(managers),
        origins=MappingProxyType(reader.origins),
    )


def secret_files(environ: Mapping[str, str], sources: Mapping[str, type[Struct] | Named]) -> list[str]:
    """Return the variables that name the file of a secret. The caller reads the files: `load` takes their contents."""
    return environment.secret_files(environ, _form(tuple(sources.items())))


def explain(settings: Settings) -> list[Setting]:
    """Return every setting with its value and its origin, for a person to read. Secrets stay masked."""
    lines = list(_explain_struct(settings, _Sections.__struct_fields__, "", settings.origins))
    for team in settings.teams.values():
        parts = [team.name, team.timezone or settings.timezone, *map(str, team.shifts)]
        parts += [*_plan(team.plan_deals), *_free_days(team.calendar)]
        lines.append(Setting(join("teams", team.id), "; ".join(parts), "file"))
    for manager in settings.managers.values():
        parts = [manager.name, f"team {manager.team}", manager.timezone, *map(str, manager.shifts)]
        parts += [*_plan(manager.plan_deals), *map(str, manager.identities)]
        lines.append(Setting(join("managers", manager.id), "; ".join(parts), "file"))
    return lines


@lru_cache(maxsize=8)
def _form(sources: tuple[tuple[str, type[Struct] | Named], ...]) -> type[_Document]:
    """Return the form of a file with these sources. Cached: settings are only equal if their classes are the same."""
    if not sources:
        return _Document
    tables = [_table(name, form) for name, form in sources]
    held = msgspec.defstruct("Sources", tables, bases=(Sources,), frozen=True, kw_only=True)
    fields = [("sources", held, held())]
    made = msgspec.defstruct("_Form", fields, bases=(_Document,), frozen=True, kw_only=True)
    return cast("type[_Document]", made)  # as in `bases`


def _table(name: str, form: type[Struct] | Named) -> tuple[str, Any, Any]:
    if isinstance(form, Named):
        kind: Any = form.form
        return name, Mapping[str, kind], MappingProxyType({})
    return name, form, form()


def _check_names(sections: _Document, reader: Reader) -> None:
    """Refuse names of sources that could not be a label or a part of a URL."""
    for source in sections.sources.__struct_fields__:
        held = getattr(sections.sources, source)
        for name in held if isinstance(held, Mapping) else ():
            if NAME_OF_A_SOURCE.fullmatch(name) is None:
                text = "is no name of a source: a letter, then up to 31 letters, digits, dashes or underscores"
                reader.refuse(join(f"sources.{source}", name), f"{text}, in lower case")
            if {name, getattr(held[name], "source", None)} & identities.RESERVED:
                reader.refuse(join(f"sources.{source}", name), "has a name that stands for something else")


def _sources(sections: _Document, reader: Reader) -> Sources:
    """Return the settings of the sources. One that reads telephone numbers takes `privacy.region` by default."""
    region = sections.privacy.region
    return sections.sources if region is None else _in_region(sections.sources, region, "sources", reader.origins)


def _in_region(held: T, region: str, key: str, origins: dict[str, str]) -> T:
    """Return `held` with `region` wherever it has a region that is not set, and in the tables inside it."""
    if hasattr(held, "region") and held.region is None:
        held, origins[f"{key}.region"] = msgspec.structs.replace(held, region=region), "privacy.region"
    region = getattr(held, "region", region)
    for name in held.__struct_fields__:
        inner, place = getattr(held, name), f"{key}.{name}"
        if isinstance(inner, Struct):
            held = msgspec.structs.replace(held, **{name: _in_region(inner, region, place, origins)})
        elif isinstance(inner, Mapping) and any(isinstance(one, Struct) for one in inner.values()):
            each = {table: _in_region(one, region, join(place, table), origins) for table, one in inner.items()}
            held = msgspec.structs.replace(held, **{name: each})
    return held


def _teams(sections: _Document, reader: Reader) -> dict[str, Team]:
    teams: dict[str, Team] = {}
    first: dict[str, str] = {}
    for at, raw in enumerate(sections.teams):
        key = f"teams[{at}]"
        team = reader.struct(Team, raw, key)
        if team is None:
            continue
        if team.id in first:
            reader.refuse(f"{key}.id", f'"{team.id}" is {first[team.id]} already')
            continue
        first[team.id] = key
        teams[team.id] = msgspec.structs.replace(team, name=team.name or team.id)
    return teams


def _managers(
    sections: _Document, teams: Mapping[str, Team], reader: Reader, sources: Collection[str] | None
) -> dict[str, Manager]:
    managers: dict[str, Manager] = {}
    first: dict[str, str] = {}
    written = {raw["id"] for raw in sections.teams if isinstance(raw, dict) and isinstance(raw.get("id"), str)}
    for at, raw in enumerate(sections.managers):
        key = f"managers[{at}]"
        entry = reader.struct(RosterEntry, raw, key)
        if entry is None:
            continue
        if entry.id in first:
            reader.refuse(f"{key}.id", f'"{entry.id}" is {first[entry.id]} already')
            continue
        first[entry.id] = key
        if entry.team not in written and entry.team != UNASSIGNED:
            hint = did_you_mean(entry.team, written) or "; declare it under [[teams]]"
            reader.refuse(f"{key}.team", f'"{entry.team}" is no team{hint}')
        team = teams.get(entry.team)
        managers[entry.id] = Manager(
            id=entry.id,
            name=entry.name or entry.id,
            team=entry.team,
            timezone=entry.timezone or (team and team.timezone) or sections.timezone,
            shifts=entry.shifts if entry.shifts is not None else team.shifts if team is not None else (),
            plan_deals=entry.plan_deals if entry.plan_deals is not None or team is None else team.plan_deals,
            identities=tuple(Identity(kind, value) for kind, values in entry.identities.items() for value in values),
        )
    roster = {first[manager.id]: (manager.id, manager.identities) for manager in managers.values()}
    for key, why in identities.problems(roster, sections.privacy.region, sources):
        reader.refuse(key, why)
    return managers


def _explain_struct(held: Struct, fields: Iterable[str], key: str, origins: Mapping[str, str]) -> Iterator[Setting]:
    for field in fields:
        value = getattr(held, field)
        name = join(key, toml_key(field))
        if isinstance(value, Struct):
            yield from _explain_struct(value, value.__struct_fields__, name, origins)
        elif isinstance(value, Mapping) and any(isinstance(one, Struct) for one in value.values()):
            for table, one in value.items():
                yield from _explain_struct(one, one.__struct_fields__, join(name, table), origins)
        else:
            yield Setting(name, _written(value, spans=field.endswith("_ms")), origins.get(name, "default"))


def _free_days(calendar: Calendar | None) -> list[str]:
    if calendar is None:
        return []
    place = " ".join(part for part in (calendar.country, calendar.subdivision) if part)
    return [f"holidays {place or 'none'}, {len(calendar.extra_holidays)} more, {len(calendar.working_days)} worked"]


def _plan(deals: float | None) -> list[str]:
    return [] if deals is None else [f"plan {deals:g} deals a month"]


def _written(value: object, *, spans: bool) -> str:
    """Return a value in TOML; of a secret only whether it is set."""
    if value is None or isinstance(value, Secret):
        return "(secret)" if value else "(not set)"
    if isinstance(value, tuple):
        return f"[{', '.join(_written(one, spans=spans) for one in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name} = {_written(one, spans=False)}' for name, one in value.items())}}}"
    if isinstance(value, Struct):
        fields = ((name, name.endswith("_ms")) for name in value.__struct_fields__)
        held = (f"{toml_key(name)} = {_written(getattr(value, name), spans=span)}" for name, span in fields)
        return f"{{{', '.join(held)}}}"
    if spans and isinstance(value, int):
        value = duration_text(value)
    return value.isoformat() if isinstance(value, date) else msgspec.json.encode(value).decode()
