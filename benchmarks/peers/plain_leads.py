"""The leads and their outcomes for a framework whose state is values by key, not objects.

A lead is one JSON object: its legs by call and manager, the newest note of each call, its deals by id and the ids of
its activities. Its contributions are computed anew before and after each event, and the difference goes to the
managers. A lead that was linked sends its records to the new lead, and passes later ones on. Topics have no common
order, so notes wait for their call and for links.

It does less than callpulse's own fold: no memory of applied events, so a repeated event without an id counts twice; no
windows of attempts, funnel steps, promises, reasons, breakdowns by product, channel and client type, time zones,
bounds, or lists of leads that need help.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from benchmarks.mix import CONVERSATION_MS, CURRENCY
from streams.units import DAY_MS

State: TypeAlias = dict[str, Any]
Fact: TypeAlias = dict[str, Any]
_MENTOR_AFTER: Final = 3
_MOST_HOPS: Final = 8


def empty() -> State:
    """Return an empty lead."""
    return {"legs": {}, "notes": {}, "deals": {}, "touches": {}, "to": ""}


def contact_of(event: Fact) -> Fact | None:
    """Return the fact of a `call.ended` for its lead, None without one."""
    if event.get("lead") is None:
        return None
    answered = event["disposition"] == "answered"
    return {
        "type": "contact",
        "lead": event["lead"],
        "manager": event["manager"],
        "call": event["call"],
        "at": event["at"],
        "started_at": event["started_at"],
        "kind": event.get("kind") or "unknown",
        "answered": answered,
        "conversation": answered and event["talk_ms"] >= CONVERSATION_MS,
    }


def apply(state: State, fact: Fact) -> list[Fact]:
    """Apply a fact to its lead; return the facts for managers (`outcome`) and for other leads."""
    if fact["type"] == "lead.linked":
        return [{"type": "linked", "lead": fact["old_key"], "to": fact["lead"]}]
    if fact["type"] == "linked":
        return _linked(state, fact)
    if state["to"] and fact.get("hops", 0) < _MOST_HOPS:
        return [{**fact, "lead": state["to"], "hops": fact.get("hops", 0) + 1}]
    before = _counts(state)
    _merge(state, fact) if fact["type"] == "moved" else _add(state, fact)
    return list(_difference(before, _counts(state)))


def _linked(state: State, fact: Fact) -> list[Fact]:
    if state["to"]:
        return []
    before = _counts(state)
    moved = {"type": "moved", "lead": fact["to"], "state": {**state}}
    state.update(empty())
    state["to"] = fact["to"]
    return [moved, *_difference(before, Counter())]


def _add(state: State, fact: Fact) -> None:
    kind = fact["type"]
    if kind == "contact":
        leg = [fact["manager"], fact["started_at"], fact["at"], fact["answered"], fact["conversation"], fact["kind"]]
        state["legs"][f"{fact['call']} {fact['manager']}"] = leg
    elif kind == "call.annotated":
        step = fact.get("next_step") or {}
        note = [
            [fact.get("revision", 0), fact["at"], fact["id"]],
            fact.get("manager"),
            bool(step.get("agreed")),
            fact.get("stages") or [],
        ]
        known = state["notes"].get(fact["call"])
        if known is None or known[0] < note[0]:
            state["notes"][fact["call"]] = note
    elif kind == "deal.stage_changed":
        amount, currency = fact.get("amount"), fact.get("currency")
        change = [fact["at"], fact["id"], fact["stage"], fact.get("manager"), amount, currency]
        state["deals"].setdefault(fact["deal"], []).append(change)
        state["deals"][fact["deal"]].sort()
    elif kind == "activity.logged":
        state["touches"][fact["id"]] = [fact["at"], fact.get("manager")]


def _merge(state: State, fact: Fact) -> None:
    other = fact["state"]
    state["legs"].update(other["legs"])
    state["touches"].update(other["touches"])
    for call, note in other["notes"].items():
        if call not in state["notes"] or state["notes"][call][0] < note[0]:
            state["notes"][call] = note
    for deal, changes in other["deals"].items():
        state["deals"][deal] = sorted(state["deals"].get(deal, []) + changes)


def _counts(state: State) -> Counter[tuple[str, str, int]]:
    """Return the contributions of the lead: (manager, measure, day) → n."""
    counts: Counter[tuple[str, str, int]] = Counter()
    legs = sorted(state["legs"].values(), key=_begun)
    owner = legs[-1][0] if legs else None
    progress_at = _count_legs(counts, state, owner, legs[0] if legs else None)
    closed = _count_deals(counts, state["deals"], owner)
    for at, named in state["touches"].values():
        manager = named or owner
        if manager:
            counts[manager, "touches", at // DAY_MS] += 1
    if owner is not None and not closed:
        for leg in legs:
            counts[owner, "contacts", leg[2] // DAY_MS] += 1
        newest = max(leg[2] for leg in legs) // DAY_MS
        without = sum(leg[4] and leg[2] > progress_at for leg in legs)
        counts[owner, "open", newest] += 1
        if without:
            counts[owner, f"streak:{min(without, 5)}", newest] += 1
        if without >= _MENTOR_AFTER:
            counts[owner, "mentor", newest] += 1
    return counts


def _count_legs(counts: Counter[tuple[str, str, int]], state: State, owner: str | None, first: list[Any] | None) -> int:
    """Count legs and their notes; return the moment of the last progress."""
    progress_at = max(
        (change[0] for changes in state["deals"].values() for change in changes if change[2] != "lost"), default=0
    )
    if owner is not None and first is not None:
        counts[owner, "leads", first[2] // DAY_MS] += 1
    notes = state["notes"]
    meant: dict[str, str] = {}
    for name, leg in state["legs"].items():
        call = name.rpartition(" ")[0]
        note = notes.get(call)
        if note is not None and note[1] in (None, leg[0]):
            best = meant.get(call)
            if best is None or _begun(state["legs"][best]) < _begun(leg):
                meant[call] = name
    for name, (manager, _, at, answered, conversation, kind) in state["legs"].items():
        day = at // DAY_MS
        if not answered:
            continue
        counts[manager, f"answered:{kind}", day] += 1
        counts[manager, "conversations", day] += conversation
        call = name.rpartition(" ")[0]
        if meant.get(call) == name:
            _, _, agreed, stages = notes[call]
            if conversation and agreed:
                counts[manager, "agreed", day] += 1
                progress_at = max(progress_at, at)
            if "presentation" in stages:
                counts[manager, "presented", day] += 1
    return progress_at


def _count_deals(counts: Counter[tuple[str, str, int]], deals: dict[str, list[list[Any]]], owner: str | None) -> bool:
    """Count won and lost deals; return whether there are deals and all are closed."""
    for changes in deals.values():
        at, _, stage = changes[-1][:3]
        manager = next((change[3] for change in reversed(changes) if change[3]), owner)
        if stage not in ("won", "lost") or manager is None:
            continue
        day = at // DAY_MS
        counts[manager, stage, day] += 1
        if stage == "won":
            amount = next((change[4] for change in reversed(changes) if change[4] is not None), None)
            currency = next((change[5] for change in reversed(changes) if change[5] is not None), None)
            if amount is not None and currency == CURRENCY:
                counts[manager, "amount", day] += round(float(amount) * 1000)
    return bool(deals) and all(changes[-1][2] in ("won", "lost") for changes in deals.values())


def _begun(leg: list[Any]) -> tuple[int, str]:
    return leg[1], leg[0]


def _difference(before: Counter[tuple[str, str, int]], after: Counter[tuple[str, str, int]]) -> Iterator[Fact]:
    changes: dict[str, list[list[Any]]] = {}
    for key in before.keys() | after.keys():
        by = after[key] - before[key]
        if by:
            manager, measure, day = key
            changes.setdefault(manager, []).append([measure, day, by])
    for manager, changed in changes.items():
        yield {"type": "outcome", "manager": manager, "changes": changed}
