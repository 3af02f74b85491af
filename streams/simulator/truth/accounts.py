"""The legs and events that have arrived, by manager and by lead: the base of the expected figures."""

from __future__ import annotations

from array import array
from typing import Final

from streams.calendars import LocalTime, local_time
from streams.contract.events import DealDeleted, DealStageChanged
from streams.settings.results import LOST, WON
from streams.settings.settings import Manager, Settings
from streams.simulator.telephony.legs import Presence, SimulatedLeg
from streams.simulator.truth.leg_outcomes import LegOutcome, Tally

_MOST_LINKS: Final = 8
DELETED: Final = ""
"""The stage of a deal that was deleted."""


class Account:
    """The part of one manager that has arrived. `legs` may get further pieces, or ended recently."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        self.local: LocalTime = local_time(manager.timezone)
        self.watermark = 0
        self.active_at = 0
        self.presence: Presence | None = None
        self.legs: list[SimulatedLeg] = []
        self.days: dict[int, array[int]] = {}
        self.spans = array("q")  # starts and ends of activity, in pairs, in no order
        self.runs: list[tuple[int, int]] = []  # merged spans of earlier days

    def active(self, start_ms: int, end_ms: int) -> None:
        """Note activity in [start_ms, end_ms]."""
        self.spans.append(start_ms)
        self.spans.append(end_ms)
        self.active_at = max(self.active_at, end_ms)

    def all_runs(self, gap_ms: int) -> list[tuple[int, int]]:
        """Return the runs of activity: spans less than `gap_ms` apart are merged."""
        spans = sorted([*self.runs, *zip(self.spans[::2], self.spans[1::2], strict=True)])
        runs: list[tuple[int, int]] = []
        for start, end in spans:
            if runs and start < runs[-1][1] + gap_ms:
                runs[-1] = (runs[-1][0], max(runs[-1][1], end))
            else:
                runs.append((start, end))
        return runs


class LeadAccount:
    """Finished legs of one lead: per local day calls and dials; the manager of the newest owns it."""

    __slots__ = ("days", "newest")

    def __init__(self) -> None:
        self.days: dict[int, list[int]] = {}
        self.newest: tuple[int, str, str] = (0, "", "")

    def add(self, day: int, leg: SimulatedLeg, outcome: LegOutcome) -> None:
        """Add a finished leg."""
        counts = self.days.setdefault(day, [0, 0])
        counts[0] += 1
        counts[1] += leg.direction == "outbound"
        self.newest = max(self.newest, (outcome.started_at, leg.call, leg.manager))

    def join(self, other: LeadAccount) -> None:
        """Add the legs of another lead, which is the same one under another key."""
        for day, (calls, dials) in other.days.items():
            counts = self.days.setdefault(day, [0, 0])
            counts[0] += calls
            counts[1] += dials
        self.newest = max(self.newest, other.newest)


def home(links: dict[str, str], key: str) -> str:
    """Return the lead that `key` is linked to in the end, at most eight links away; `key` itself without a link."""
    for _ in range(_MOST_LINKS):
        if key not in links:
            break
        key = links[key]
    return key


class DealAccount:
    """The newest change of a deal: its sort key and its stage. `lead` is the one that the newest stage names."""

    __slots__ = ("change", "lead", "stage", "stage_change")

    def __init__(self) -> None:
        self.change: tuple[int, int, str] = (0, -1, "")
        self.stage_change: tuple[int, int, str] = (0, -1, "")
        self.stage = ""
        self.lead = ""


class Accounts:
    """The accounts of all managers and leads. `leads` is None without counts by lead.

    `links` maps old keys of leads to new ones.
    """

    def __init__(self, settings: Settings, *, leads: bool = True) -> None:
        self.settings = settings
        self.thresholds = settings.thresholds
        self.tally = Tally(settings.thresholds)
        self.accounts: dict[str, Account] = {}
        for manager in settings.managers:
            self.account(manager)
        self.leads: dict[str, LeadAccount] | None = {} if leads else None
        self.links: dict[str, str] = {}
        self.deals: dict[tuple[str, str], DealAccount] = {}
        self._stage_order = {stage: index for index, stage in enumerate((*settings.results.stages, DELETED))}

    def account(self, manager: str) -> Account:
        """Return the account of a manager, on the roster or not."""
        found = self.accounts.get(manager)
        if found is None:
            found = self.accounts[manager] = Account(self.settings.manager(manager))
        return found

    def deal(self, event: DealStageChanged | DealDeleted) -> None:
        """Note a change of a deal. Of changes at the same time, that to the later stage is the newer one."""
        deal = self.deals.setdefault((event.source, event.deal), DealAccount())
        stage = DELETED if isinstance(event, DealDeleted) else event.stage
        change = event.at, self._stage_order.get(stage, -1), event.id
        if change > deal.change:
            deal.change, deal.stage = change, stage
        if stage != DELETED and change > deal.stage_change:
            deal.stage_change, deal.lead = change, event.lead

    def closed_leads(self) -> set[str]:
        """Return the keys of the leads that have deals, all of them won or lost."""
        is_closed: dict[str, bool] = {}
        for deal in self.deals.values():
            if deal.stage == DELETED:
                continue
            lead = home(self.links, deal.lead)
            is_closed[lead] = is_closed.get(lead, True) and deal.stage in (WON, LOST)
        return {lead for lead, closed in is_closed.items() if closed}
