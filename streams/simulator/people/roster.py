"""The people of the simulated department: teams, time zones, shifts and personalities.

A department is settings, and a personality per manager. `make` invents both; `from_settings` takes the roster of the
settings. A personality is drawn from the seed and the manager's id, so adding a manager changes no other one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from streams.settings.settings import Manager, Settings, load
from streams.simulator.crm import profiles
from streams.simulator.crm.profiles import CrmProfile
from streams.simulator.rng import SeededRandom
from streams.units import MINUTE_MS


class Personality(Struct, frozen=True, kw_only=True):
    """The work of a manager. Spans in milliseconds; shares and probabilities from 0 to 1.

    `pause_ms` is the mean pause between two calls in an hour of average rhythm, `talk_ms` the median talk time of an
    answered call and `spread` the sigma of its lognormal distribution. `persistence` is the number of dials after which
    a lead without an answer is given up. `inbound` is the weight of this person when the queue chooses one.
    """

    name: str
    pause_ms: int
    connect: float
    talk_ms: int
    spread: float = 1.1
    cold: float = 0.5  # of the new leads; the others are targeted
    inherited: float = 0.0  # of the new leads: existing clients whom another manager called before
    fresh: float = 0.35  # of the dials go to a new lead, although a known lead is due
    persistence: int = 5
    retry_ms: int = 150 * MINUTE_MS  # typical time until the next dial after a call without an answer
    follow_up: float = 0.5  # of the conversations lead to another call
    transfer: float = 0.02
    inbound: float = 1.0
    absent: float = 0.03  # of the days
    paces: tuple[float, ...] = ()  # the factor of activity on each weekday, Monday first; none: all days are equal
    talks: tuple[float, ...] = ()  # the factor of talk times on each weekday
    crm_profile: CrmProfile = profiles.AVERAGE


BUSY_DIALLER: Final = Personality(
    name="busy dialler",
    pause_ms=70_000,
    connect=0.28,
    talk_ms=45_000,
    cold=0.8,
    fresh=0.5,
    persistence=9,
    retry_ms=55 * MINUTE_MS,
    follow_up=0.25,
    crm_profile=profiles.NOISY,
)
QUIET_CLOSER: Final = Personality(
    name="quiet closer",
    pause_ms=420_000,
    connect=0.55,
    talk_ms=300_000,
    spread=0.8,
    cold=0.1,
    fresh=0.2,
    persistence=4,
    retry_ms=240 * MINUTE_MS,
    follow_up=0.8,
    crm_profile=profiles.CLOSER,
)
AVERAGE: Final = Personality(name="average", pause_ms=150_000, connect=0.38, talk_ms=90_000)
BEGINNER: Final = Personality(
    name="beginner",
    pause_ms=210_000,
    connect=0.32,
    talk_ms=60_000,
    cold=0.7,
    fresh=0.6,
    persistence=3,
    follow_up=0.3,
    transfer=0.06,
    inbound=0.5,
    crm_profile=profiles.BEGINNER,
)
FAST_HAND: Final = Personality(
    name="fast hand",
    pause_ms=100_000,
    connect=0.4,
    talk_ms=110_000,
    inbound=1.5,
    follow_up=0.6,
    crm_profile=profiles.FAST,
)
KEEPER: Final = Personality(
    name="keeper of accounts",
    pause_ms=260_000,
    connect=0.5,
    talk_ms=180_000,
    cold=0.0,
    fresh=0.08,
    follow_up=0.9,
    inbound=1.5,
    crm_profile=profiles.KEEPER,
)

PERSONALITIES: Final[Mapping[Personality, int]] = {
    BUSY_DIALLER: 3,
    QUIET_CLOSER: 2,
    AVERAGE: 6,
    BEGINNER: 3,
    FAST_HAND: 4,
    KEEPER: 2,
}
"""All personalities, with the number of managers among twenty that have each."""


class Member(Struct, frozen=True):
    """A manager and their personality; `index` is the place on the roster."""

    index: int
    manager: Manager
    personality: Personality


class Department(Struct, frozen=True, kw_only=True):
    """Managers with their settings and personalities. With `always`, all work round the clock."""

    seed: int
    settings: Settings
    members: tuple[Member, ...]
    always: bool = False
    text: str = ""

    @classmethod
    def make(
        cls,
        seed: int,
        managers: int = 60,
        teams: int = 5,
        *,
        always: bool = False,
        personalities: Mapping[str, Personality] | None = None,
    ) -> Department:
        """Invent a department. With `always`, shifts run round the clock, so that it is active at any hour.

        `personalities` sets some of them by manager id. Raises ValueError for less than one manager or team.
        """
        if managers < 1 or teams < 1:
            raise ValueError(f"a department needs a manager and a team; asked for {managers} and {teams}")
        text = _invent(SeededRandom(seed, "roster"), managers, min(teams, managers), always=always)
        made = cls.from_settings(load(text, {}), seed, always=always, personalities=personalities)
        return msgspec.structs.replace(made, text=text)

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        seed: int,
        *,
        always: bool = False,
        personalities: Mapping[str, Personality] | None = None,
    ) -> Department:
        """Return the department of the managers in `settings`.

        Raises ValueError if there are none, or if `personalities` names an id that is not on the roster.
        """
        if not settings.managers:
            raise ValueError("the settings name no managers; add [[managers]], or let a department be invented")
        chosen = personalities or {}
        if strangers := chosen.keys() - settings.managers.keys():
            raise ValueError(f"not on the roster: {', '.join(sorted(strangers))}")
        members = tuple(
            Member(index, manager, chosen.get(manager.id) or _personality(seed, manager.id))
            for index, manager in enumerate(settings.managers.values())
        )
        return cls(seed=seed, settings=settings, members=members, always=always)

    def roster(self) -> Mapping[str, Manager]:
        """Return the managers by id."""
        return self.settings.managers

    def toml(self) -> str:
        """Return teams and managers as the text of a settings file. Raises ValueError if they came from settings."""
        if not self.text:
            raise ValueError("this department was made from settings; their file is its text")
        return self.text


def _personality(seed: int, manager_id: str) -> Personality:
    """Draw a personality, and vary its numbers."""
    rng = SeededRandom(seed, "person", manager_id)
    base = rng.choices(tuple(PERSONALITIES), tuple(PERSONALITIES.values()))[0]
    return msgspec.structs.replace(
        base,
        pause_ms=round(base.pause_ms * rng.uniform(0.8, 1.25)),
        connect=min(0.9, base.connect * rng.uniform(0.9, 1.1)),
        talk_ms=round(base.talk_ms * rng.uniform(0.8, 1.25)),
    )


_FIRST: Final = (
    "Anna", "Boris", "Carla", "David", "Elena", "Farid", "Greta", "Hugo", "Irina", "Jonas", "Katya", "Leon",
    "Maria", "Nikolai", "Olga", "Pavel", "Rosa", "Sergei", "Tanja", "Viktor", "Wanda", "Yusuf", "Zoe", "Emil",
)  # fmt: skip
_LAST: Final = (
    "Adler", "Bauer", "Costa", "Dietz", "Ember", "Fischer", "Gruber", "Horn", "Ivanova", "Jansen", "Keller",
    "Lorenz", "Moreau", "Novak", "Orlova", "Petrov", "Quast", "Richter", "Sommer", "Tran", "Ullrich", "Vogel",
    "Weber", "Zimmer",
)  # fmt: skip
_TEAMS: Final = (
    ("new-business", "New business", "Europe/Berlin", ("mon-fri 09:00-18:00",)),
    ("key-accounts", "Accounts", "Europe/Berlin", ("mon-thu 08:30-13:00", "mon-thu 14:00-18:00", "fri 08:30-14:00")),
    ("renewals", "Renewals", "Europe/Lisbon", ("mon-fri 09:00-18:00",)),
    ("inbound", "Inbound desk", "Europe/Berlin", ("mon-sat 10:00-19:00",)),
    ("east", "East", "Asia/Yekaterinburg", ("mon-fri 09:00-18:00",)),
    ("partners", "Partners", "America/Sao_Paulo", ("mon-fri 08:00-17:00",)),
    ("evening", "Evening desk", "Asia/Kolkata", ("mon-fri 17:00-01:00",)),
    ("south", "South", "Australia/Adelaide", ("mon-fri 09:00-17:30",)),
)  # fmt: skip


def _invent(rng: SeededRandom, managers: int, teams: int, *, always: bool) -> str:
    """Return a settings file with these numbers of teams and managers."""
    lines = ["# An invented department."]
    ids = []
    for number in range(teams):
        slug, name, zone, shifts = _TEAMS[number % len(_TEAMS)]
        again = number // len(_TEAMS)
        ids.append(f"{slug}-{again + 1}" if again else slug)
        shown = f"{name} {again + 1}" if again else name
        lines += ["", "[[teams]]", f'id = "{ids[-1]}"', f'name = "{shown}"', f'timezone = "{zone}"']
        lines.append(f"shifts = {_strings(['mon-sun 00:00-24:00'] if always else shifts)}")
    pairs = [(first, last) for first in _FIRST for last in _LAST]
    rng.shuffle(pairs)
    for number in range(managers):
        first, last = pairs[number % len(pairs)]
        again = number // len(pairs)
        suffix = str(again + 1) if again else ""
        lines += ["", "[[managers]]", f'id = "{first.lower()}.{last.lower()}{suffix}"']
        lines += [f'name = "{first} {last}{" " if suffix else ""}{suffix}"', f'team = "{ids[number % teams]}"']
    return "\n".join([*lines, ""])


def _strings(texts: Sequence[str]) -> str:
    quoted = (f'"{text}"' for text in texts)
    return f"[{', '.join(quoted)}]"
