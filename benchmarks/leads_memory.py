"""Memory of leads: that of a worker while it folds all facts about a million leads, and after restores of them."""

from __future__ import annotations

import time
from typing import Any, Final

from msgspec import Struct

from benchmarks import broker, many_leads
from benchmarks.installation import Installation, Worker
from benchmarks.many_leads import CALLS_A_LEAD, DAYS, LEADS, MAILS
from benchmarks.measures import Result, Target
from benchmarks.restore import GONE, INTACT, MEMORY, SELLERS, restart
from benchmarks.watched_worker import Restored

MOST_MIB: Final = 1_536
MOST_RESTORE_S: Final = 20
CONTACTS: Final = LEADS * CALLS_A_LEAD
EVENTS: Final = LEADS
FOLD: Final = "fold"
WAYS: Final = (GONE, INTACT, MEMORY)
FOLD_DEADLINE_S: Final = 1_800.0


class Held(Struct, frozen=True):
    """Resident memory, MiB: now, and the most so far (None if the system does not report it).

    `restored` is the last restore of the worker, with its rows.
    """

    now: float
    peak: float | None
    restored: Restored

    @property
    def most(self) -> float:
        """The greatest known value."""
        return self.now if self.peak is None else self.peak


def measure(bootstrap: str, **_: Any) -> Result:
    """Fold and measure; restore without the folder, with it and into memory, and measure each time."""
    wrong: list[str] = []
    with Installation(bootstrap, SELLERS) as installation:
        now_ms = int(time.time() * 1000)
        sellers = installation.managers
        broker.fill(bootstrap, installation.contacts, many_leads.contacts(installation.calls, sellers, now_ms))
        broker.fill(bootstrap, installation.crm, many_leads.crm(sellers, now_ms))
        worker = installation.start()
        worker.wait_ready()
        begun = time.time()
        # Events of the CRM pass through `contacts`, too.
        worker.wait_applied({installation.contacts: CONTACTS + EVENTS}, FOLD_DEADLINE_S)
        seconds = time.time() - begun
        held = {FOLD: _looked(worker, FOLD, wrong)}
        for way in WAYS:
            worker = restart(installation, way)
            held[way.name] = _looked(worker, way.name, wrong)
    return _result(held, seconds, wrong)


def _looked(worker: Worker, name: str, wrong: list[str]) -> Held:
    """Return the memory of a worker, and end it. Differences of its figures from the expected ones go to `wrong`."""
    metrics = worker.metrics()  # besides, the memory of a scrape is part of the worker's memory
    now, peak = worker.rss_mib(), worker.peak_mib()
    held = Held(now, peak, worker.restored())
    found = {
        "rows": held.restored.rows,
        "leads given": metrics.sum("leads_given", window="90d"),
        "leads talked to": metrics.sum("team_funnel_leads", window="90d", step="call"),
        "e-mails": metrics.sum("team_touches", window="90d", channel="email"),
    }
    known = {"rows": LEADS, "leads given": LEADS, "leads talked to": LEADS, "e-mails": MAILS}
    wrong += [
        f"{name}: {found[key]:,.0f} {key} instead of {count:,}" for key, count in known.items() if found[key] != count
    ]
    return held


def _result(held: dict[str, Held], seconds: float, wrong: list[str]) -> Result:
    restores = {name: found.restored for name, found in held.items() if name != FOLD}
    seconds_of = {name: one.whole_at - one.assigned_at for name, one in restores.items()}
    figures = {
        "leads": LEADS,
        "contacts": CONTACTS,
        "crm": EVENTS,
        "fold_seconds": seconds,
        **{f"{name}_mib": {"now": found.now, "peak": found.peak} for name, found in held.items()},
        "records_read": {name: one.records for name, one in restores.items()},
        "restore_seconds": seconds_of,
    }
    titles = {way.name: f"after a restore, {way.title}" for way in WAYS}
    titles[FOLD] = f"after folding {CONTACTS:,} contacts and {EVENTS:,} events of the CRM"
    table = [
        ["resident memory, MiB", "now", "peak"],
        *([titles[name], f"{found.now:.0f}", _mib(found.peak)] for name, found in held.items()),
    ]
    targets = [
        Target("while folding, MiB", held[FOLD].most, at_most=MOST_MIB),
        Target("in a restore, MiB", max(held[name].most for name in restores), at_most=MOST_MIB),
        Target("folder gone, the restore, seconds", seconds_of[GONE.name], at_most=MOST_RESTORE_S),
    ]
    load_note = (
        f"{LEADS:,} leads of {SELLERS} managers over {DAYS} days, all partitions in one worker; each has "
        f"{CALLS_A_LEAD} calls and a note, a stage of a deal or an e-mail. All of it was folded in {seconds:,.0f} s."
    )
    restores_note = "Restores: " + "; ".join(
        f"{way.title}, {restores[way.name].records:,} changelog records in {seconds_of[way.name]:.1f} s" for way in WAYS
    )
    return Result("leads-memory", figures, table, targets, [load_note, f"{restores_note}."], wrong)


def _mib(value: float | None) -> str:
    return "not told" if value is None else f"{value:.0f}"
