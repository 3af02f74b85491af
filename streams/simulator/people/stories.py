"""A department with known stories, to check that the figures show them.

The other managers are ordinary, some of them faster than others, so that each story is visible in its measures only.
The default volume is two quarters, because some measures compare a quarter with the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from streams.settings.settings import load
from streams.simulator.crm.profiles import CrmProfile
from streams.simulator.people.roster import Department, Personality
from streams.units import MINUTE_MS, SECOND_MS

LONG_DAYS: Final = 200
"""Days of history in which every story can be seen."""
_QUARTER_DAYS: Final = 90
_DECISION_DAYS: Final = 6  # mean time from a first talk to a won deal


class Story(Struct, frozen=True, kw_only=True):
    """One story. `subject` is the id of a manager or a team, `sees` the expected observation of a supervisor.

    `measures` are metrics of the catalogue without prefix, or recording rules. The story needs `days` of history.
    """

    name: str
    subject: str
    sees: str
    measures: tuple[str, ...]
    days: int = 30


STORIES: Final = (
    Story(
        name="busy noise-maker",
        subject="bruno.laut",
        sees="Dials more than anybody else in the team and wins next to nothing.",
        measures=("calls", "won_deals", "manager:callpulse_busy_noise"),
    ),
    Story(
        name="quiet closer",
        subject="clara.still",
        sees="Makes the fewest calls of the team and wins the most.",
        measures=("calls", "won_deals", "manager:callpulse_quiet_closer"),
    ),
    Story(
        name="only reminds",
        subject="rita.mahn",
        sees="Calls the same leads again and again to remind them; nothing is agreed, and they get stuck.",
        measures=("follow_up_calls", "next_step_ratio", "open_leads_by_conversations", "leads_stuck"),
    ),
    Story(
        name="inherits warm clients",
        subject="wanda.erbe",
        sees="Wins more of her leads than others do, because she is given warm ones: fairly compared, she does not.",
        measures=("first_call_deal_ratio", "leads_given", "manager:callpulse_mix_adjusted_index:90d"),
        days=90,
    ),
    Story(
        name="cold caller",
        subject="kolja.frost",
        sees="Calls nobody but strangers and wins more of them than anybody else would.",
        measures=("leads_given", "manager:callpulse_mix_adjusted_index:90d"),
        days=90,
    ),
    Story(
        name="leaks before the proposal",
        subject="bridge",
        sees="Shows the product to as many as others do, and then sends no proposal.",
        measures=("team_funnel_leads", "team_step:callpulse_funnel_rate:ratio", "team:callpulse_leakiest_step:rate"),
        days=90,
    ),
    Story(
        name="Thursday dip",
        subject="ferry",
        sees="Calls half as much on Thursdays as on other days.",
        measures=("team_weekday_calls", "team_weekday:callpulse_calls_per_day:ratio56d"),
        days=56,
    ),
    Story(
        name="Monday of long talks",
        subject="garden",
        sees="Talks twice as long on Mondays.",
        measures=("team_weekday_talk_seconds", "team_weekday:callpulse_talk_per_call_seconds:ratio56d"),
        days=56,
    ),
    Story(
        name="norm that drifts",
        subject="dora.weiler",
        sees="Needs twice and more the calls for a won deal that she needed a quarter ago.",
        measures=("calls_per_won_deal", "manager:callpulse_norm:drift"),
        days=186,
    ),
)


def department(seed: int, days: int = LONG_DAYS) -> Department:
    """Return the department of the stories, for a simulation of `days` before the moment of observation.

    Only the norm that drifts depends on `days`; a story is visible if its own `days` are not more.
    """
    teams = _teams(days)
    text = _settings(teams)
    personalities = {id_: personality for members in teams.values() for id_, personality in members.items()}
    made = Department.from_settings(load(text, {}), seed, personalities=personalities)
    return msgspec.structs.replace(made, text=text)


_Teams: TypeAlias = Mapping[str, Mapping[str, Personality]]

# All managers dial less often than in `people.py`, so that two quarters of all of them are half a million records.
_DEFT: Final = CrmProfile(steps=(0.8, 0.78, 0.76, 0.43))
_HESITANT: Final = CrmProfile(steps=(0.73, 0.72, 0.72, 0.39))
_STEADY: Final = Personality(
    name="steady", pause_ms=750 * SECOND_MS, connect=0.5, talk_ms=100 * SECOND_MS, cold=0.66, inherited=0.1
)
_BRISK: Final = msgspec.structs.replace(_STEADY, name="brisk", pause_ms=420 * SECOND_MS, crm_profile=_DEFT)
_SLOW: Final = msgspec.structs.replace(
    _STEADY, name="slow", pause_ms=1_250 * SECOND_MS, inbound=0.3, crm_profile=_HESITANT
)

_NOISY: Final = CrmProfile(
    steps=(0.3, 0.5, 0.4, 0.15), keeps=0.2, agree=0.3, agree_idle=0.1, reminders=0.3, written=0.1, mails=0.0
)
_CLOSING: Final = CrmProfile(
    steps=(0.85, 0.9, 0.85, 0.6), leap=0.9, keeps=0.8, agree=0.8, agree_idle=0.5, reminders=0.05, written=0.4
)
_REMINDING: Final = CrmProfile(steps=(0.35, 0.5, 0.4, 0.3), agree=0.05, agree_idle=0.01, reminders=0.96, mails=0.02)
# A little less than average: with warm leads like hers this means far more deals than others have.
_INHERITING: Final = CrmProfile(steps=(0.7, 0.74, 0.72, 0.395))
_COLD: Final = CrmProfile(steps=(0.96, 0.9, 0.9, 0.53), mails=0.0)
# Of the few proposals many are won, so that the losses are at one stage.
_LEAKING: Final = CrmProfile(steps=(0.8, 0.8, 0.24, 0.7))


def _like(base: Personality, crm_profile: CrmProfile | None = None, **changed: object) -> Personality:
    return msgspec.structs.replace(base, crm_profile=crm_profile or base.crm_profile, **changed)


def _teams(days: int) -> _Teams:
    """Return the personalities by team and manager."""
    change_day = max(0, days - _QUARTER_DAYS - _DECISION_DAYS)
    drifting = CrmProfile(steps=(0.86, 0.82, 0.8, 0.48), change_day=change_day, change=0.16)
    return {
        "harbour": {
            "bruno.laut": _like(
                _STEADY, _NOISY, pause_ms=210 * SECOND_MS, talk_ms=55 * SECOND_MS, cold=0.85, inherited=0.0, fresh=0.5,
                connect=0.3, persistence=8, retry_ms=60 * MINUTE_MS, follow_up=0.3, inbound=0.2,
            ),
            "clara.still": _like(
                _STEADY, _CLOSING, pause_ms=2_300 * SECOND_MS, talk_ms=320 * SECOND_MS, spread=0.7, cold=0.05,
                fresh=0.5, connect=0.6, persistence=4, follow_up=0.8, inbound=0.3,
            ),
            "felix.stern": _like(_BRISK),
            "mira.baum": _like(_STEADY),
            "olaf.wiese": _like(_STEADY),
            "paula.neu": _like(_SLOW),
        },
        "meadow": {
            "wanda.erbe": _like(_STEADY, _INHERITING, pause_ms=450 * SECOND_MS, cold=0.0, inherited=0.95, inbound=5.0),
            "kolja.frost": _like(
                _STEADY, _COLD, pause_ms=580 * SECOND_MS, cold=1.0, inherited=0.0, inbound=0.01, transfer=0.0,
            ),
            "hanna.berg": _like(_BRISK),
            "igor.tal": _like(_SLOW),
            "julia.see": _like(_SLOW),
        },
        "lantern": {
            "rita.mahn": _like(
                _STEADY, _REMINDING, pause_ms=1_000 * SECOND_MS, connect=0.6, fresh=0.06, cold=0.2, follow_up=0.97,
                talk_ms=110 * SECOND_MS, spread=0.5, inbound=0.2,
            ),
            "dora.weiler": _like(_STEADY, drifting, pause_ms=530 * SECOND_MS),
            "lars.feld": _like(_BRISK, pause_ms=360 * SECOND_MS),
            "nina.hof": _like(_BRISK, pause_ms=360 * SECOND_MS),
            "otto.rain": _like(_SLOW),
        },
        "bridge": {
            "anton.steg": _like(_BRISK, _LEAKING),
            "berta.bogen": _like(_BRISK, _LEAKING),
        },
        "ferry": {
            id_: _like(base, paces=(1.0, 1.0, 1.0, 0.45, 1.0, 1.0, 1.0))
            for id_, base in (("doris.faehr", _BRISK), ("emil.ufer", _STEADY))
        },
        "garden": {
            id_: _like(base, talks=(2.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0))
            for id_, base in (("gerd.beet", _BRISK), ("heidi.laub", _STEADY))
        },
    }  # fmt: skip


def _settings(teams: _Teams) -> str:
    """Return the department's settings file."""
    lines = ["# The department of the stories.", 'timezone = "Europe/Berlin"']
    for team, members in teams.items():
        lines += ["", "[[teams]]", f'id = "{team}"', f'name = "{team.title()}"', 'shifts = ["mon-fri 09:00-17:30"]']
        for id_ in members:
            name = id_.replace(".", " ").title()
            lines += ["", "[[managers]]", f'id = "{id_}"', f'name = "{name}"', f'team = "{team}"', "plan_deals = 12"]
    return "\n".join([*lines, ""])
