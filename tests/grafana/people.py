"""The people of the invented department: their way of working, and so the expected content of the boards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

REASONS: Final = {
    "spec_clarification": 0.25,
    "sending_proposal": 0.3,
    "price_objection": 0.15,
    "reminder": 0.2,
    "other": 0.1,
}
REMINDS: Final = {
    "spec_clarification": 0.05,
    "sending_proposal": 0.08,
    "price_objection": 0.05,
    "reminder": 0.75,
    "other": 0.07,
}


class Person(NamedTuple):
    """A salesperson: pace in calls an hour, talk in seconds; leads given and won in 90 days by kind of first call."""

    name: str
    team: str
    pace: float
    connect: float
    talk_s: float
    given: Mapping[str, int]
    won: Mapping[str, int]
    proposals: int
    inbound: float = 0.05
    without_progress: tuple[int, int, int, int, int] = (60, 22, 4, 1, 0)
    drift: float = 1.0
    plan: float = 18
    amount: float = 1900
    calls_to_win: float = 4.2
    agrees: float = 0.46
    keeps: float = 0.86
    reasons: Mapping[str, float] = REASONS
    over_called: int = 0
    stops_s: int | None = None
    days: int = 8
    wont: float = 1.0
    week: float = 1.0
    slow: float = 1.0


def _by_kind(cold: int = 0, targeted: int = 0, inbound: int = 0, repeat: int = 0) -> Mapping[str, int]:
    return {"cold": cold, "targeted": targeted, "inbound": inbound, "repeat": repeat}


PEOPLE: Final = (
    Person("anna", "berlin", 14, 0.42, 170, _by_kind(1400, 400, 60, 40), _by_kind(30, 18, 6, 4), 760),
    # Busy noise: most calls of all, short ones, and few deals.
    Person(
        "jonas",
        "berlin",
        24,
        0.29,
        75,
        _by_kind(2600, 300, 30, 20),
        _by_kind(14, 5, 1, 1),
        640,
        calls_to_win=9.1,
        agrees=0.18,
        keeps=0.55,
        over_called=2,
        drift=1.5,
        plan=6,
        without_progress=(110, 40, 17, 8, 6),
    ),
    # The quiet closer: few calls, long ones, most deals.
    Person(
        "leyla",
        "berlin",
        7,
        0.55,
        340,
        _by_kind(600, 420, 60, 40),
        _by_kind(22, 34, 9, 6),
        540,
        calls_to_win=2.4,
        agrees=0.71,
        keeps=0.97,
        amount=2600,
        drift=0.9,
        without_progress=(21, 6, 1, 0, 0),
    ),
    # Stopped calling an hour ago, and won none of the week's proposals.
    Person(
        "marek",
        "berlin",
        16,
        0.4,
        130,
        _by_kind(1500, 350, 40, 40),
        _by_kind(26, 15, 4, 4),
        700,
        stops_s=4300,
        week=0.0,
        without_progress=(70, 26, 9, 4, 2),
    ),
    # Only reminds: her leads stand still.
    Person(
        "sophie",
        "berlin",
        13,
        0.38,
        120,
        _by_kind(1000, 400, 60, 90),
        _by_kind(12, 13, 4, 9),
        580,
        reasons=REMINDS,
        agrees=0.14,
        keeps=0.78,
        drift=1.3,
        without_progress=(80, 45, 24, 15, 11),
        slow=2.4,
    ),
    # Inherited warm clients: the highest conversion, which is the usual one for such leads.
    Person(
        "ines",
        "lisbon",
        7,
        0.55,
        300,
        _by_kind(40, 100, 150, 420),
        _by_kind(1, 6, 18, 58),
        420,
        inbound=0.3,
        amount=1400,
        plan=26,
    ),
    Person(
        "joao",
        "lisbon",
        9,
        0.45,
        260,
        _by_kind(150, 160, 140, 220),
        _by_kind(3, 9, 18, 32),
        480,
        inbound=0.3,
        amount=1500,
    ),
    Person(
        "rui",
        "lisbon",
        10,
        0.42,
        210,
        _by_kind(200, 180, 100, 160),
        _by_kind(3, 8, 11, 20),
        430,
        inbound=0.25,
        amount=1400,
        stops_s=1900,
        drift=1.2,
    ),
    # Calls cold, and wins more of it than others do.
    Person(
        "beatriz",
        "lisbon",
        12,
        0.42,
        190,
        _by_kind(900, 200, 60, 40),
        _by_kind(27, 13, 8, 7),
        690,
        amount=1600,
        drift=0.8,
    ),
    Person("tim", "inbound", 8, 0.75, 260, _by_kind(0, 10, 700, 60), _by_kind(0, 1, 64, 6), 640, inbound=0.85),
    Person("olena", "inbound", 9, 0.75, 240, _by_kind(0, 8, 520, 50), _by_kind(0, 1, 61, 6), 470, inbound=0.85),
    # In her second week: few data.
    Person(
        "priya",
        "inbound",
        6,
        0.72,
        250,
        _by_kind(0, 2, 60, 6),
        _by_kind(0, 0, 2, 0),
        24,
        inbound=0.85,
        days=1,
        plan=1,
        without_progress=(9, 3, 0, 0, 0),
    ),
)

NAMES: Final = {
    "anna": "Anna Weber",
    "jonas": "Jonas Krüger",
    "leyla": "Leyla Demir",
    "marek": "Marek Nowak",
    "sophie": "Sophie Lang",
    "ines": "Inês Carvalho",
    "joao": "João Ferreira",
    "rui": "Rui Santos",
    "beatriz": "Beatriz Lopes",
    "tim": "Tim Hoffmann",
    "olena": "Olena Shevchenko",
    "priya": "Priya Nair",
}
"""The names on the roster."""

TEAM_NAMES: Final = {"berlin": "Berlin, new business", "lisbon": "Lisbon, renewals", "inbound": "Inbound"}
"""The names of the teams on the roster."""
