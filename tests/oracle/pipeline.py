"""All folds in sequence, without Kafka: from raw records to rows of managers, leads and outcomes.

Partitions are lists, read in an order drawn by a seed. The hops behind `contacts` can crash: facts that were sent
stay, unsent facts are lost, and each row comes back as some checkpoint wrote it, at or behind the offsets.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from streams.calendars import LocalTime, local_time
from streams.contract import facts
from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, CrmEvents, DealDeleted, DealStageChanged, Rejection
from streams.contract.facts import SLOTS, Forwarded, Outcome
from streams.metrics.catalogue import CATALOGUE, TEAM_METRICS
from streams.settings.settings import Settings
from streams.tables.lead.fold import LeadFold
from streams.tables.lead.mapping import outcomes_of
from streams.tables.lead.row import LeadRow, dump, load
from streams.tables.manager.contacts import contact_of
from streams.tables.manager.effect import LegChange
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.series import VARYING, ManagerSeries
from streams.tables.manager.view import NO_ROSTER, ManagerCache, ManagerReader
from streams.tables.outcome import fold as outcomes
from streams.tables.outcome.fold import OutcomeRow
from streams.tables.team.series import Teams, TeamSeries
from tests.oracle.chaos import place
from tests.oracle.comparison import ANSWERED
from tests.oracle.contract import Raw, why_not
from tests.oracle.names import TEAMS
from tests.oracle.oracle import Answers, Labels

DAY_MS: Final = 86_400_000
LOOKS: Final = 0.996
_LABELS: Final = {metric.name: metric.labels for metric in CATALOGUE}
Log = dict[int, list[Any]]
Table = dict[int, dict[str, Any]]


class Pipeline:
    """Rows, and the logs between them. `crashes` is the share of records of `contacts` and `outcomes` with a crash."""

    def __init__(self, settings: Settings, partitions: int = 3, seed: int = 0, crashes: float = 0.0) -> None:
        self.settings = settings
        self.partitions = partitions
        self.random = random.Random(seed)
        self.folded: Counter[str] = Counter()
        self.crashed = 0
        self._now_ms = 0
        self._crashes = crashes
        self._manager_fold = ManagerFold(settings.thresholds)
        self.lead_fold = LeadFold(settings.results, settings.thresholds, settings.economics, self.local)
        self.managers: dict[str, ManagerRow] = {}
        self._logs: dict[str, Log] = {
            topic: {partition: [] for partition in range(partitions)}
            for topic in ("calls", "crm", "contacts", "outcomes")
        }
        self._at = {(topic, partition): 0 for topic, log in self._logs.items() for partition in log}
        self.leads: dict[str, LeadRow] = {}
        self.outcomes: dict[str, OutcomeRow] = {}
        self._unsent: list[tuple[str, str, Any]] = []
        self._saved_at = dict(self._at)
        self._saved: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
        self._reader = ManagerReader(settings)
        self._caches: dict[str, ManagerCache] = {}
        self._series = ManagerSeries(settings)
        self._of_teams = TeamSeries(settings)
        self._teams = {partition: Teams() for partition in range(partitions)}
        self._hops: dict[str, Callable[[int, int, Any], None]] = {
            "calls": self._call,
            "crm": self._crm,
            "contacts": self._contact,
            "outcomes": self._outcome,
        }

    def local(self, manager: str) -> LocalTime:
        return local_time(self.settings.manager(manager).timezone)

    def run(self, records: Iterable[Raw], now_ms: int) -> None:
        """Take all records in and everything that follows from them; legs time out at `now_ms`.

        Rows are also read now and then, so that an error in their caches shows.
        """
        self._now_ms = now_ms
        calls, crm = Decoder[CallsEvent]("calls"), Decoder[CrmEvents]("crm")
        for record in records:
            if why_not(record) is not None:
                continue
            event = (crm if record.topic == "crm" else calls).decode(record.value)
            assert not isinstance(event, Rejection), event
            self._logs[record.topic][record.partition].append(event)
        self._drain()
        for row in list(self.managers.values()):
            for end in self._manager_fold.timeouts(row, now_ms):
                self._send_at_once("calls", end.manager, end)
        self._drain()

    def _drain(self) -> None:
        while True:
            ready = [where for where, at in self._at.items() if at < len(self._logs[where[0]][where[1]])]
            if not ready:
                if not self._unsent:
                    return
                self._flush()
                continue
            topic, partition = self.random.choice(ready)
            for _ in range(self.random.randint(1, 20)):
                offset = self._at[topic, partition]
                if offset == len(self._logs[topic][partition]):
                    break
                self._hops[topic](partition, offset, self._logs[topic][partition][offset])
                self._at[topic, partition] = offset + 1
                self._perhaps_crash()

    def _perhaps_crash(self) -> None:
        drawn = self.random.random()
        if drawn > LOOKS:
            self.answers(self._now_ms - self.random.choice((0, 0, DAY_MS)))
        if drawn < 0.05:
            self._flush()
        if self._crashes and drawn < self._crashes:
            if self.random.random() < 0.5:
                self._checkpoint(torn=self.random.random() < 0.5)
            else:
                self._crash()

    def _flush(self) -> None:
        for topic, key, fact in self._unsent:
            self._logs[topic][place(key, self.partitions)].append(fact)
        self._unsent.clear()

    def _checkpoint(self, *, torn: bool) -> None:
        """Write rows, after the sent facts have arrived; a torn one writes some rows, does not commit, and crashes."""
        self._flush()
        lead_rows, outcome_rows = self._saved
        for key, lead in self.leads.items():
            if not torn or self.random.random() < 0.5:
                lead_rows[key] = dump(lead)
        for key, outcome in self.outcomes.items():
            if not torn or self.random.random() < 0.5:
                outcome_rows[key] = outcomes.dump(outcome)
        if torn:
            self._crash()
        else:
            self._saved_at = dict(self._at)

    def _crash(self) -> None:
        """Lose the rows, and all unsent facts but the first ones of each partition."""
        self.crashed += 1
        cuts: dict[tuple[str, int], bool] = {}
        for topic, key, fact in self._unsent:
            where = topic, place(key, self.partitions)
            cuts[where] = cuts.get(where, False) or self.random.random() < 0.3
            if not cuts[where]:
                self._logs[topic][where[1]].append(fact)
        self._unsent.clear()
        self._teams = {partition: Teams() for partition in range(self.partitions)}
        self.leads = {key: load(value) for key, value in self._saved[0].items()}
        self.outcomes = {key: outcomes.load(value) for key, value in self._saved[1].items()}
        for where in self._at:
            if where[0] != "calls":
                self._at[where] = self._saved_at[where]

    def _send(self, topic: str, key: str, what: Any) -> None:
        self._unsent.append((topic, key, what))

    def _send_at_once(self, topic: str, key: str, what: Any) -> None:
        """Send the facts that follow from `calls`: that hop does not crash here."""
        self._logs[topic][place(key, self.partitions)].append(what)

    # -- the hops, as the agents do them

    def row(self, manager: str) -> ManagerRow:
        if manager not in self.managers:
            self.managers[manager] = ManagerRow(manager, self.local(manager))
        return self.managers[manager]

    def _call(self, partition: int, offset: int, event: CallsEvent) -> None:
        row = self.row(event.manager)
        effect = self._manager_fold.fold(row, event, offset)
        self.folded[f"calls {effect.outcome}"] += 1
        for slot, emitted in enumerate(effect.emitted):
            if isinstance(emitted, LegChange) and emitted.finished.lead is None:
                continue  # for its transcript alone
            if isinstance(emitted, LegChange):
                least_ms = self.settings.thresholds.conversation_ms
                contact = contact_of(row, emitted, f"calls/{partition}", offset * SLOTS + slot, least_ms)
                self._send_at_once("contacts", contact.lead, contact)
            else:
                self._send_at_once("calls", emitted.manager, emitted)

    def _crm(self, partition: int, offset: int, event: CrmEvents) -> None:
        to = event.lead
        if isinstance(event, DealStageChanged | DealDeleted):
            to = facts.deal_key(event.source, event.deal)
        self._send("contacts", to, Forwarded(src=f"crm/{partition}", seq=offset * SLOTS, lead=to, event=event))

    def _contact(self, partition: int, offset: int, fact: Any) -> None:
        fact = facts.contacts_decoder.decode(facts.encode(fact))
        row = self.leads.setdefault(fact.lead, LeadRow())
        src, seq = f"contacts/{partition}", offset * SLOTS
        effect = self.lead_fold.contact(row, fact, src, seq)
        self.folded[f"contacts {effect.outcome}"] += 1
        assert effect.rejection is None
        for outcome in outcomes_of(effect.deltas, src, seq):
            self._send("outcomes", outcome.manager, outcome)
        for sent in effect.facts:
            self._send("contacts", sent.lead, sent)

    def _outcome(self, _partition: int, _offset: int, fact: Outcome) -> None:
        fact = facts.outcome_decoder.decode(facts.encode(fact))
        row = self.outcomes.setdefault(fact.manager, OutcomeRow())
        self.folded[f"outcomes {outcomes.fold(row, fact)}"] += 1

    # -- results

    def answers(self, now_ms: int) -> Answers:
        """Return the series of every manager and team that the oracle answers, by its names."""
        series = self._series
        found: Answers = {}
        for id_ in sorted(self.managers.keys() | self.settings.managers.keys()):
            manager = self.settings.manager(id_)
            view = self._reader.read(
                self.row(id_),
                now_ms,
                NO_ROSTER,
                self.outcomes.get(id_),
                manager.plan_deals,
                self._caches.setdefault(id_, ManagerCache()),
            )
            told = [*zip(series.series, series.values(view), strict=True)]
            for name, varying in zip(VARYING, series.varying(view), strict=True):
                told += [((name, labels), value) for labels, value in varying]
            for (name, labels), value in told:
                if value is not None and f"callpulse_{name}" in ANSWERED:
                    found[_key(name, (id_, manager.team, *labels))] = float(value)
            self._teams[place(id_, self.partitions)].update(id_, manager.team, view)
        for partition, teams in self._teams.items():
            for team, sums in teams.sums.items():
                for metric, lines in zip(TEAM_METRICS, self._of_teams.series(sums), strict=True):
                    for labels, value in lines:
                        if value:
                            found[_key(metric.name, (team, str(partition), *labels))] = float(value)
        return found

    def claimed(self) -> dict[tuple[str, str, int], int]:
        """Return the sums of the totals of all lead rows, without those that are 0."""
        found: Counter[tuple[str, str, int]] = Counter()
        for row in self.leads.values():
            for (manager, measure, day), n in self.lead_fold.totals(row.state).items():
                found[manager, measure, day] += n
        return {key: n for key, n in found.items() if n}

    def told(self) -> dict[tuple[str, str, int], int]:
        """Return the sums in the rows of outcomes."""
        return dict(self._steps())

    def _steps(self) -> Iterator[tuple[tuple[str, str, int], int]]:
        for manager, row in self.outcomes.items():
            for measure, days in row.state.steps.items():
                for day, n in days.items():
                    if n:
                        yield (manager, measure, day), n


def _key(name: str, values: Iterable[str]) -> tuple[str, Labels]:
    full = f"callpulse_{name}"
    pairs = zip(_LABELS[name], values, strict=True)
    return full, tuple(sorted(pair for pair in pairs if full in TEAMS or pair[0] != "team"))
