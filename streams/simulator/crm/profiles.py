"""CRM profiles: the success of a manager's conversations, and the share of them that reaches the CRM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from streams.contract.events import Kind

STAGES: Final = ("qualified", "presentation", "proposal", "won")
"""The stages of a deal in order, but `lost`; the place in it is a stage's rank."""


class CrmProfile(Struct, frozen=True, kw_only=True):
    """The CRM part of a personality. Shares and probabilities from 0 to 1.

    `steps` holds four conversion rates of leads with a conversation: to qualified, from there to presentation, to
    proposal and to a won deal. The furthest stage of a lead is drawn once, at its first conversation; the lead then
    gets there step by step. The first rate also depends on the kind of the first call (`FACTOR_BY_KIND`).

    From day `change_day` of the simulation on, the last step is `change` times as likely.
    """

    noted: float = 0.92  # of the conversations
    steps: tuple[float, float, float, float] = (0.75, 0.75, 0.75, 0.4)
    leap: float = 0.6  # that a conversation brings one stage more than the one before
    agree: float = 0.5  # a next step, where there was progress
    agree_idle: float = 0.2  # and where there was none
    keeps: float = 0.55  # of the next steps: the manager writes to the lead by the day due, even if they talk again
    reminders: float = 0.2  # of the follow-ups: calls that only remind
    written: float = 0.25  # of the deals: brought to their end by e-mail or messenger
    mails: float = 0.1  # leads a day that write and never talk
    change_day: int = 0
    change: float = 1.0


FACTOR_BY_KIND: Final[Mapping[Kind, float]] = {"cold": 0.3, "targeted": 0.75, "inbound": 1.25, "repeat": 1.3}
"""The factor of the probability that a lead is qualified, by the kind of its first call."""

AVERAGE: Final = CrmProfile()
NOISY: Final = CrmProfile(
    steps=(0.45, 0.6, 0.5, 0.2), agree=0.25, keeps=0.2, agree_idle=0.08, reminders=0.5, written=0.1, mails=0.02
)
CLOSER: Final = CrmProfile(
    steps=(0.95, 0.95, 0.95, 0.8),
    leap=0.8,
    agree=0.8,
    keeps=0.8,
    agree_idle=0.5,
    reminders=0.03,
    written=0.35,
    mails=0.4,
)
BEGINNER: Final = CrmProfile(
    steps=(0.6, 0.6, 0.6, 0.3), noted=0.8, keeps=0.4, agree=0.3, agree_idle=0.1, reminders=0.35
)
FAST: Final = CrmProfile(steps=(0.8, 0.8, 0.75, 0.42), agree=0.6)
KEEPER: Final = CrmProfile(steps=(0.85, 0.75, 0.75, 0.42), agree=0.6, agree_idle=0.4, reminders=0.15, mails=0.25)
