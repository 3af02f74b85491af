"""Leads for tests, by hand and generated: facts, rows, and the sums that managers receive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from streams.calendars import local_time
from streams.contract.events import (
    ActivityLogged,
    CallAnnotated,
    CrmEvents,
    DealDeleted,
    DealStageChanged,
    LeadConsulted,
    NextStep,
)
from streams.contract.facts import Contact, Forwarded
from streams.settings.settings import Economics, Results, Thresholds
from streams.tables.lead.contributions import Totals
from streams.tables.lead.effect import LeadEffect
from streams.tables.lead.fold import LeadFold
from streams.tables.lead.row import LeadRow

HOUR = 3_600_000
DAY = 86_400_000
TODAY = 20_000
NOON = TODAY * DAY + 12 * HOUR
ZONES = {"anna": "UTC", "boris": "Europe/Amsterdam", "chen": "Asia/Kathmandu"}
ANYWHERE = "contacts/0"


def local(manager: str) -> Any:
    return local_time(ZONES.get(manager, "UTC"))


def fold_by(calls_per_lead_day: int = 3, **results: Any) -> LeadFold:
    thresholds = Thresholds(calls_per_lead_day=calls_per_lead_day)
    return LeadFold(Results(**results), thresholds, Economics(currencies=("EUR", "USD")), local)


FOLD = fold_by()


def leg(call: str = "c1", at: int = NOON, manager: str = "anna", **more: Any) -> Contact:
    """Return an answered conversation of five minutes that the manager dialled."""
    said = {
        "src": f"calls/{manager}-{call}",  # a source per leg, so that legs may come in any order
        "seq": at // 1000,
        "lead": "lead-1",
        "day": local(manager).day(at),
        "started_at": at - 320_000,
        "direction": "outbound",
        "kind": "cold",
        "disposition": "answered",
        "answered": True,
        "conversation": True,
        "talk_ms": 300_000,
        **more,
    }
    return Contact(call=call, at=at, manager=manager, **said)


def dial(call: str = "c1", at: int = NOON, manager: str = "anna", **more: Any) -> Contact:
    """Return an unanswered call."""
    said = {"disposition": "no_answer", "answered": False, "conversation": False, "talk_ms": 0, **more}
    return leg(call, at, manager, started_at=said.pop("started_at", at - 20_000), **said)


def note(call: str = "c1", at: int = NOON + HOUR, due_at: int | None = None, **more: Any) -> CallAnnotated:
    agreed = more.pop("agreed", due_at is not None)
    said = {"id": f"note-{call}-{at}", "lead": "lead-1", "next_step": NextStep(agreed=agreed, due_at=due_at), **more}
    return CallAnnotated(v=1, source="crm", call=call, at=at, **said)


def stage(stage: str, at: int = NOON, deal: str = "deal-1", **more: Any) -> DealStageChanged:
    said = {"id": f"{deal}-{stage}-{at}", "lead": "lead-1", "source": "crm", **more}
    return DealStageChanged(v=1, deal=deal, stage=stage, at=at, **said)


def deleted(at: int = NOON, deal: str = "deal-1", **more: Any) -> DealDeleted:
    said = {"id": f"{deal}-deleted-{at}", "lead": "lead-1", "source": "crm", **more}
    return DealDeleted(v=1, deal=deal, at=at, **said)


def consulted(at: int = NOON, **more: Any) -> LeadConsulted:
    return LeadConsulted(v=1, source="crm", mentor="mo", at=at, **{"id": f"help-{at}", "lead": "lead-1", **more})


def touched(channel: str = "email", at: int = NOON, **more: Any) -> ActivityLogged:
    said = {"id": f"touch-{at}", "lead": "lead-1", **more}
    return ActivityLogged(v=1, source="crm", channel=channel, at=at, **said)  # type: ignore[arg-type]  # a literal, in each case


Said = Contact | CrmEvents


class Received:
    """The state of managers: the sums of all deltas that they received, and their lists of leads that need help."""

    def __init__(self) -> None:
        self.sums: Counter[tuple[str, str, int]] = Counter()
        self.listed: dict[tuple[str, str], Any] = {}

    def take(self, effect: LeadEffect) -> None:
        managers = [manager for manager, _, _ in effect.deltas]
        assert len(managers) == len(set(managers))  # at most one Outcome per record and manager
        for manager, changes, attention in effect.deltas:
            assert manager
            assert changes or attention
            assert len({(measure, day) for measure, day, _ in changes}) == len(changes)
            for measure, day, n in changes:
                assert n
                self.sums[manager, measure, day] += n
            for lead, entry in attention.items():
                if entry is None:
                    del self.listed[manager, lead]
                else:
                    self.listed[manager, lead] = entry

    @property
    def totals(self) -> Totals:
        return {key: n for key, n in self.sums.items() if n}


def fold_crm(row: LeadRow, event: CrmEvents, src: str, seq: int) -> LeadEffect:
    """Fold an event that topic `crm` holds at (`src`, `seq`), as the crm agent passes it on."""
    fact = Forwarded(src=src, seq=seq, lead=event.lead, event=event)
    return FOLD.contact(row, fact, f"{src}/leads", seq)


class Lead:
    """One lead, folded fact by fact. Each time, the deltas are compared with the difference of all contributions."""

    def __init__(self, fold: LeadFold = FOLD) -> None:
        self.fold = fold
        self.row = LeadRow()
        self.received = Received()
        self.seq = 0
        self.effects: list[LeadEffect] = []

    def take(self, *said: Said) -> Lead:
        for fact in said:
            self.seq += 1
            offset = self.seq
            if isinstance(fact, Contact):
                effect = self.fold.contact(self.row, fact, ANYWHERE, offset)
            else:
                passed_on = Forwarded(src="crm/0", seq=offset, lead=fact.lead, event=fact)
                effect = self.fold.contact(self.row, passed_on, ANYWHERE, offset)
            self.effects.append(effect)
            self.received.take(effect)
            self.check(fact.lead)
        return self

    def take_unchecked(self, *said: CrmEvents) -> Lead:
        """Take events of which retention may drop some: dropped ones stay counted."""
        for fact in said:
            self.seq += 1
            passed_on = Forwarded(src="crm/0", seq=self.seq, lead=fact.lead, event=fact)
            self.received.take(self.fold.contact(self.row, passed_on, ANYWHERE, self.seq))
        return self

    def check(self, lead: str) -> None:
        fresh = LeadRow(unpacked=self.row.state)  # without the summary that the fold keeps
        assert self.received.totals == self.fold.totals(fresh.state)
        listed = self.fold.attention(fresh.state)
        assert self.received.listed == ({} if listed is None else {(listed[0], lead): listed[1]})

    @property
    def totals(self) -> Totals:
        return self.fold.totals(self.row.state)

    def of(self, manager: str = "anna") -> dict[str, dict[int, int]]:
        """Return the lead's totals for one manager: measure → day, counted from today → n."""
        totals: dict[str, dict[int, int]] = {}
        for (owner, measure, day), n in sorted(self.totals.items()):
            if owner == manager:
                totals.setdefault(measure, {})[day - TODAY] = n
        return totals

    def some(self, *measures: str, manager: str = "anna") -> dict[str, dict[int, int]]:
        """Return the same for the given measures; one that ends with ":" or "@" stands for all that begin with it."""
        return {
            measure: days
            for measure, days in self.of(manager).items()
            if any(measure == name or (name[-1] in ":@" and measure.startswith(name)) for name in measures)
        }


def lead(*said: Said, fold: LeadFold = FOLD) -> Lead:
    return Lead(fold).take(*said)


# -- drawn

DAYS = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 29, 30, 31, 32, 40])
MOMENTS = st.builds(lambda day, minute: NOON - day * DAY + minute * 60_000, DAYS, st.integers(-700, 700))
MANAGERS = st.sampled_from(["anna", "anna", "anna", "boris", "chen"])
CALLS = st.sampled_from([f"c{number}" for number in range(9)])
STAGES = st.sampled_from(["qualified", "presentation", "proposal", "won", "lost", "dreaming"])


@st.composite
def contacts(draw: st.DrawFn) -> Contact:
    at = draw(MOMENTS)
    answered = draw(st.booleans())
    talk_ms = draw(st.sampled_from([None, 30_000, 400_000])) if answered else 0
    return leg(
        draw(CALLS),
        at,
        draw(MANAGERS),
        started_at=at - draw(st.sampled_from([0, 20_000, 20_000, 3 * HOUR])),
        direction=draw(st.sampled_from(["outbound", "outbound", "inbound"])),
        kind=draw(st.sampled_from(["cold", "repeat", "unknown"])),
        answered=answered,
        conversation=bool(talk_ms and talk_ms >= 60_000),
        talk_ms=talk_ms,
    )


@st.composite
def notes(draw: st.DrawFn) -> CallAnnotated:
    at = draw(MOMENTS)
    due_at = draw(st.sampled_from([None, None, -DAY, HOUR, DAY, 3 * DAY, 399 * DAY, 500 * DAY]))
    return note(
        draw(CALLS),
        at,
        None if due_at is None else at + due_at,
        id=f"n{draw(st.integers(0, 99))}",
        agreed=draw(st.booleans()),
        manager=draw(st.none() | MANAGERS),
        kind=draw(st.sampled_from([None, "cold", "targeted"])),
        stages=tuple(draw(st.lists(STAGES, max_size=3))),
        reason=draw(st.sampled_from([None, None, "reminder", "weather"])),
        revision=draw(st.integers(0, 2)),
    )


@st.composite
def stage_changes(draw: st.DrawFn) -> DealStageChanged:
    number = draw(st.integers(0, 30))  # the same id is the same change
    at = NOON - number % 8 * 23 * HOUR  # some changes of a deal have the same time
    return stage(
        ["qualified", "presentation", "proposal", "won", "won", "lost", "dreaming"][number % 7],
        at,
        f"deal-{number % 3}",
        id=f"change-{number}",
        manager=[None, "anna", "boris"][number % 5 % 3],
        amount=["12.345", "-3", "1e12", "1e13", "twelve"][number % 5],
        currency=[None, "EUR", "XAU", "euros"][number % 4],
        product=[None, "gold", "tin"][number % 4 % 3],
        channel=[None, "phone"][number % 2],
        client_type=[None, "new"][number // 2 % 2],
    )


@st.composite
def activities(draw: st.DrawFn) -> ActivityLogged:
    number = draw(st.integers(0, 9))
    at = NOON - number * 17 * HOUR
    return touched(["email", "meeting"][number % 2], at, id=f"a{number}", manager=[None, "anna", "boris"][number % 3])


CRM: st.SearchStrategy[CrmEvents] = st.one_of(
    notes(),
    notes(),
    stage_changes(),
    activities(),
    st.builds(consulted, MOMENTS),
    st.builds(deleted, MOMENTS, st.sampled_from(["deal-0", "deal-1"])),
)


@st.composite
def histories(draw: st.DrawFn, most: int = 14) -> list[Said]:
    """Draw the events of a lead: legs by (call, manager), each once or with versions that replace each other."""
    notes: dict[tuple[object, ...], CallAnnotated] = {}
    said: list[Said] = [
        fact
        for fact in draw(st.lists(CRM, max_size=most))
        # The same id is the same note: between two that differ, only the order of arrival could decide.
        if not isinstance(fact, CallAnnotated)
        or notes.setdefault((fact.call, fact.revision, fact.at, fact.id), fact) == fact
    ]
    legs: dict[tuple[str, str], Contact] = {}
    for contact in draw(st.lists(contacts(), max_size=most)):
        legs.setdefault((contact.call, contact.manager), contact)
    for seq, contact in enumerate(legs.values()):
        versions = [(contact, False)]
        if draw(st.integers(0, 4)) == 0:
            versions.append((contact, True))
            if draw(st.booleans()):
                versions.append((draw(contacts()), False))
        for place, (version, withdrawn) in enumerate(versions):
            fields = {name: getattr(version, name) for name in version.__struct_fields__}
            fields |= {"call": contact.call, "manager": contact.manager, "day": local(contact.manager).day(version.at)}
            fields |= {"src": f"calls/{contact.manager}", "seq": 10 * seq + place, "withdrawn": withdrawn}
            said.append(Contact(**fields))
    return said


def in_order_of_their_sources(said: Sequence[Said], order: Iterable[int]) -> list[Said]:
    """Return the facts in another order, in which those of one manager's calls still follow each other."""
    mixed = [said[place] for place in order]
    queues: dict[str, list[Contact]] = {}
    for fact in said:
        if isinstance(fact, Contact):
            queues.setdefault(fact.src, []).append(fact)
    for queue in queues.values():
        queue.sort(key=lambda contact: -contact.seq)
    return [queues[fact.src].pop() if isinstance(fact, Contact) else fact for fact in mixed]
