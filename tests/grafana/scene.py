"""A department on one working day in the form of the workers' metrics: twelve invented people with a story each.

`Scene(now).samples(at)` is a scrape at that moment, with the names and labels of the catalogue. Boards are shown and
tested over it. The day began six and a half hours before `now`; the lunch breaks are over.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from streams.contract.events import KINDS
from streams.phone_numbers import digest
from streams.speech.flags import FLAGS
from tests.grafana.people import NAMES, PEOPLE, TEAM_NAMES, Person
from tests.grafana.sample import Labels, Sample
from tests.grafana.scene_operations import operations, way_in

HOUR: Final = 3600
BOUNDS: Final = (6, 20, 60, 120, 180, 300, 600, 1200)
STAGES: Final = ("none", "qualified", "presentation", "proposal")
SHARES: Final = {"7d": 0.08, "30d": 0.34, "90d": 1.0}


class Call(NamedTuple):
    """A finished or running leg; talk None: it was not answered."""

    start: float
    end: float
    talk: float | None
    direction: str
    kind: str


def _calls(who: Person, begin: float, now: float) -> list[Call]:
    rng = random.Random(who.name)
    made, at = [], begin
    while at < now + HOUR:
        lunch = begin + 3.75 * HOUR <= at < begin + 4.5 * HOUR
        stopped = who.stops_s is not None and at > now - who.stops_s
        if lunch or stopped:
            at += 300
            continue
        talk = rng.lognormvariate(0, 0.9) * who.talk_s * 0.67 if rng.random() < who.connect else None
        kind = rng.choices(KINDS, [max(who.given.get(kind, 0), 1) for kind in KINDS])[0]
        lasts = 25 if talk is None else 12 + talk
        made.append(Call(at, at + lasts, talk, "inbound" if kind == "inbound" else "outbound", kind))
        at += lasts + rng.expovariate(1 / max(HOUR / who.pace - 25 - who.connect * who.talk_s, 20))
    return made


class Scene:
    """The department; `now` is the end of its day so far, in seconds."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.begin = now - 6.5 * HOUR
        self.calls = {who.name: _calls(who, self.begin, now) for who in PEOPLE}

    def samples(self, at: float) -> Iterator[Sample]:
        """Yield every sample of a scrape at the moment."""
        yield Sample("up", {"job": "callpulse", "instance": "worker:8787"}, 1)
        for team, name in TEAM_NAMES.items():
            yield Sample("callpulse_team_info", {"team": team, "name": name}, 1)
        for who in PEOPLE:
            for name, value, labels in (*self._day(who, at), *_history(who), *_leads(who), *_heard(who, at)):
                yield Sample(f"callpulse_{name}", {"manager": who.name, "team": who.team, **labels}, value)
            named = {"manager": who.name, "team": who.team, "name": NAMES[who.name]}
            yield Sample("callpulse_manager_info", named, 1)
        yield from _reconciled(self.now)
        yield from _queues(at)
        yield from _teams()
        yield from operations(at)
        yield from way_in(self.now, at)

    def _day(self, who: Person, at: float) -> Iterator[tuple[str, float, Labels]]:
        shift = self.begin <= at and not self.begin + 3.75 * HOUR <= at < self.begin + 4.5 * HOUR
        calls = [call for call in self.calls[who.name] if call.end <= at]
        busy = [at - call.start for call in self.calls[who.name] if call.start <= at < call.end]
        hour = [call for call in calls if call.end > at - HOUR]
        last = max((call.end for call in calls), default=self.begin)
        for window, some in (("1h", hour), ("today", calls)):
            for direction in ("inbound", "outbound"):
                yield "calls", sum(call.direction == direction for call in some), _of(window, direction=direction)
            yield "talk_time_seconds", sum(call.talk or 0 for call in some), _of(window)
            yield "internal_talk_seconds", 40 * len(some), _of(window)
            yield "answered_calls", sum(call.talk is not None for call in some), _of(window)
        for kind in KINDS:
            yield "calls_by_kind", sum(call.kind == kind for call in calls), _of("today", kind=kind)
        talks = [call.talk for call in calls if call.talk is not None]
        for disposition, count in (("answered", len(talks)), ("no_answer", len(calls) - len(talks))):
            yield "calls_by_disposition", count, _of("today", disposition=disposition)
        for bound in BOUNDS:
            yield "calls_talked", sum(talk <= bound for talk in talks), _of("today", le=str(bound))
        yield "calls_talked", len(talks), _of("today", le="+Inf")
        yield "meaningful_calls", sum(talk >= 300 for talk in talks), _of("today")
        yield "conversations", sum(talk >= 60 for talk in talks), _of("today")
        if dials := [call for call in calls if call.direction == "outbound"]:
            yield "connect_ratio", sum(call.talk is not None for call in dials) / len(dials), _of("today")
        if talks:
            yield "short_call_ratio", sum(talk < 120 for talk in talks) / len(talks), _of("today")
        yield "on_shift", float(shift), {}
        yield "calls_in_progress", len(busy), {}
        yield "longest_call_in_progress_seconds", max(busy, default=0), {}
        yield "idle_seconds", max(at - max(last, self.begin), 0) if shift and not busy else 0, {}
        paused = who.name == "sophie" and at > self.now - 240
        yield "presence", 1, {"state": "paused" if paused else "available" if shift else "offline"}
        since = self.begin if at < self.begin + 3.75 * HOUR else self.begin + 4.5 * HOUR
        resting = not shift or (not busy and at - last > 900)
        yield "work_block_seconds", 0 if resting else at - since, {}
        yield "breaks_missed", float(who.pace > 11 and at > self.begin + 3 * HOUR), _of("today")
        yield "leads_over_called", who.over_called, _of("today")
        yield "calls_off_hours", float(who.name == "jonas") * 3, _of("today")
        yield "calls_timed_out", float(who.name == "jonas"), _of("today")
        yield from self._expected(who, at)

    def _expected(self, who: Person, at: float) -> Iterator[tuple[str, float, Labels]]:
        passed = max(at - self.begin, 0)
        lunch = min(max(passed - 3.75 * HOUR, 0), 0.75 * HOUR)
        begun = min(passed, HOUR) / HOUR
        gone = min(max(passed - 3.75 * HOUR, 0), HOUR, max(5.5 * HOUR - passed, 0)) / HOUR
        usual = who.pace * who.wont * max(begun - 0.75 * gone, 0)
        yield "expectation_days", who.days, {}
        if who.days:
            yield "expected_calls", usual, _of("1h")
            yield "expected_calls", who.pace * who.wont * (passed - lunch) / HOUR, _of("today")
            yield "expected_talk_seconds", usual * who.connect * who.talk_s, _of("1h")
        if who.days > 1:
            made = sum(at - HOUR < call.end <= at for call in self.calls[who.name])
            yield "calls_zscore", (made - usual) / (2 * usual + 1) ** 0.5, _of("1h")


def _of(window: str, **labels: str) -> Labels:
    return {"window": window, **labels}


def _history(who: Person) -> Iterator[tuple[str, float, Labels]]:
    quarter = who.pace * 7.2 * 62
    won = sum(who.won.values())
    for window, share in SHARES.items():
        total = round(quarter * share)
        for direction, part in (("inbound", who.inbound), ("outbound", 1 - who.inbound)):
            yield "calls", round(total * part), _of(window, direction=direction)
        count = round(won * share * (who.week if window == "7d" else 1))
        yield "won_deals", count, _of(window)
        yield "conversion_ratio", count / (who.proposals * share), _of(window)
        if window != "30d":
            yield "proposal_calls", round(who.proposals * share), _of(window)
        if window != "90d":
            yield "connect_ratio", who.connect, _of(window)
            yield "meaningful_calls", round(total * who.connect * 0.35), _of(window)
            yield "answered_calls", round(total * who.connect), _of(window)
    low, high = _wilson(won, who.proposals)
    yield "conversion_ratio_lower", low, _of("90d")
    yield "conversion_ratio_upper", high, _of("90d")
    given = sum(who.given.values())
    for kind in KINDS:
        share = who.given.get(kind, 0) / given
        yield "leads_given", who.given.get(kind, 0), _of("90d", kind=kind)
        yield "presentation_ratio", min(0.08 + 0.2 * share + 0.1 * (kind != "cold"), 0.5), _of("90d", kind=kind)
        for window in ("30d", "90d"):
            yield "calls_by_kind", round(quarter * SHARES[window] * share), _of(window, kind=kind)
    norm = quarter / won
    yield "calls_per_won_deal", norm, _of("90d")
    yield "calls_per_won_deal", norm / who.drift, _of("previous")
    yield "first_call_deal_ratio", won / given, _of("90d")
    yield "first_call_deal_ratio", won / given * who.drift, _of("previous")
    yield "target_ratio", min(max(won / given + 0.0075, 0.01), 0.05), {}
    yield "plan_calls_per_day", who.plan * norm / 21, {}
    yield "cost_per_won_deal", norm * 1.1, _of("90d")
    yield "mean_won_amount", who.amount, _of("90d", currency="EUR")
    yield "won_first_call_talk_seconds", who.talk_s * 1.2, _of("90d")
    yield "won_calls_per_deal", who.calls_to_win, _of("90d")
    yield "attempts_per_contact", 1 / who.connect, _of("30d")
    yield "stage_moves_per_call", 0.21 * who.agrees * 2, _of("30d")
    yield "next_step_ratio", who.agrees, _of("30d")
    yield "conversations", round(quarter * SHARES["30d"] * who.connect * 0.6), _of("30d")


def _leads(who: Person) -> Iterator[tuple[str, float, Labels]]:
    leads = sum(who.given.values()) // 6
    for calls, share in zip("12345", (0.5, 0.24, 0.13, 0.08, 0.05), strict=True):
        yield "open_leads_by_calls", round(leads * share), {"calls": calls if calls != "5" else "5+"}
    for talks, count in zip(("1", "2", "3", "4", "5+"), who.without_progress, strict=True):
        yield "open_leads_by_conversations", count, {"conversations": talks}
    yield "calls_per_lead", 2 + who.pace / 12, _of("30d")
    yield "leads_consultation_due", sum(who.without_progress[2:]) // 2, {}
    yield "leads_stuck", who.without_progress[4], {}
    shares = (0.55, 0.22, 0.14, 0.09)
    for stage, share, days in zip(STAGES, shares, (6, 11, 9, 16 * who.slow), strict=True):
        yield "open_leads_by_stage", round(leads * share), {"stage": stage}
        yield "mean_stage_age_seconds", days * 24 * HOUR, {"stage": stage}
    for reason, share in who.reasons.items():
        yield "follow_up_calls", round(who.pace * 60 * share), _of("30d", reason=reason)
    yield "next_steps_due", round(leads * 0.3), _of("30d")
    yield "next_steps_kept_ratio", who.keeps, _of("30d")
    urgent = [("stuck", 5 + n % 3) for n in range(who.without_progress[4])]
    urgent += [("consultation", 4)] * who.without_progress[3] + [("consultation", 3)] * (who.without_progress[2] // 2)
    for number, (why, talks_) in enumerate(urgent[:8]):
        reference = f"L-{4000 + 97 * len(who.name) + 13 * number + sum(map(ord, who.name)) % 500}"
        caller = f"phone:{digest(reference, b'made up')}"  # the CRM lacks every fourth one
        yield "lead_attention", talks_, {"lead": caller if number % 4 == 3 else reference, "why": why}


def _heard(who: Person, at: float) -> Iterator[tuple[str, float, Labels]]:
    """Of the calls of the team in Berlin; those of the others have no transcripts."""
    if who.team != "berlin":
        return
    answered = round(who.pace * 7.2 * 62 * SHARES["30d"] * who.connect)
    chatty = who.talk_s / 200
    yield "heard_calls", 9 + int(at) % 3, _of("today")
    yield "heard_calls", round(answered * 0.8), _of("30d")
    yield "heard_call_ratio", round(answered * 0.8) / answered, _of("30d")
    yield "flagged_calls", 2, _of("today", flag="any")
    for place, flag in enumerate(FLAGS):
        yield "flagged_calls", round(answered * 0.06 * (1 + place % 3) / chatty), _of("30d", flag=flag)
    for kind, share in zip(KINDS, (1.0, 1.3, 1.6, 0.7), strict=True):
        yield "heard_stage_moves_per_call", 1.1 * share * who.agrees * 2, _of("30d", kind=kind)
        yield "heard_talk_seconds", who.talk_s * share, _of("30d", kind=kind)
    yield "talk_share_ratio", min(0.45 + 0.15 / chatty, 0.8), _of("30d")
    yield "fillers_per_ten_minutes", 3.5 / chatty, _of("30d")
    yield "questions_per_call", 4.2 * chatty, _of("30d")
    yield "open_question_ratio", 0.5, _of("30d")
    yield "clarifying_question_ratio", 0.35 * min(chatty, 1.5), _of("30d")
    yield "longest_monologue_seconds", 42 / chatty, _of("30d")
    yield "patience_seconds", 0.9 * chatty, _of("30d")
    yield "interruptions_per_call", 0.7 / chatty, _of("30d")
    yield "silence_ratio", 0.08, _of("30d")
    yield "objections_met_ratio", min(0.6 * chatty, 1), _of("30d")
    yield "heard_next_step_ratio", min(who.agrees * 1.2, 1), _of("30d")
    if who.name == "anna":
        yield "talking_seconds", 104, {}


def _wilson(won: int, of: int) -> tuple[float, float]:
    share, z = min(won / of, 1), 1.96
    middle, half = share + z * z / 2 / of, z * (share * (1 - share) / of + z * z / 4 / of / of) ** 0.5
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


PRODUCTS: Final = {"crm": (0.5, 1.2), "telephony": (0.35, 0.8), "training": (0.15, 0.9)}
CLIENTS: Final = {"small": (0.6, 0.9), "medium": (0.3, 1.2), "large": (0.1, 1.1)}
CHANNELS: Final = {"phone": (0.72, 0.8), "email": (0.16, 3.0), "messenger": (0.05, 1.0), "meeting": (0.07, 1.6)}
STEPS: Final = {"call": 1.0, "presentation": 0.5, "proposal": 0.36}
WEEK: Final = {"mon": (1.0, 1.3), "tue": (1.08, 1), "wed": (1.05, 1), "thu": (0.78, 1), "fri": (1.0, 0.95)}


def _teams() -> Iterator[Sample]:
    for team in sorted({who.team for who in PEOPLE}):
        some = [who for who in PEOPLE if who.team == team]
        for name, value, labels in (*_values(some), *_channels(some), *_steps(some), *_week(some)):
            yield Sample(f"callpulse_team_{name}", {"team": team, "partition": "0", **labels}, round(value))


def _values(some: list[Person]) -> Iterator[tuple[str, float, Labels]]:
    won, asked = sum(sum(who.won.values()) for who in some), sum(who.proposals for who in some)
    for dimension, shares in (("product", PRODUCTS), ("client_type", CLIENTS), ("channel", CHANNELS)):
        for value, (share, better) in shares.items():
            of = _of("90d", dimension=dimension, value=value)
            yield "won_deals", won * share, of
            yield "proposal_calls", asked * share / better, of
    for kind in KINDS:
        of = _of("90d", dimension="first_kind", value=kind)
        deals = sum(who.won.get(kind, 0) for who in some)
        yield "won_deals", deals, of
        yield "proposal_calls", deals * (14 if kind == "cold" else 7), of


def _channels(some: list[Person]) -> Iterator[tuple[str, float, Labels]]:
    won, legs = sum(sum(who.won.values()) for who in some), sum(who.pace * 7.2 * 62 for who in some)
    touched = {"call": (legs, 1.0), "email": (legs * 0.6, 0.1), "messenger": (legs * 0.1, 0.1), "meeting": (90, 25)}
    for (channel, (touches, cost)), (share, _) in zip(touched.items(), CHANNELS.values(), strict=True):
        yield "touches", touches, _of("90d", channel=channel)
        yield "cost", touches * cost, _of("90d", channel=channel)
        yield (
            "won_amount",
            won * share * some[0].amount,
            _of("90d", channel=channel.replace("call", "phone"), currency="EUR"),
        )


def _steps(some: list[Person]) -> Iterator[tuple[str, float, Labels]]:
    won, talked = sum(sum(who.won.values()) for who in some), sum(sum(who.given.values()) for who in some) * 0.6
    for window in ("30d", "90d"):
        for step, share in STEPS.items():
            leak = 0.35 if some[0].team == "berlin" and step == "proposal" else 1
            yield "funnel_leads", talked * share * leak * SHARES[window], _of(window, step=step)
        yield "funnel_leads", won * SHARES[window], _of(window, step="won")
    for stage, share in {"none": 0.2, "qualified": 0.35, "presentation": 0.25, "proposal": 0.2}.items():
        for reason in some[0].reasons:
            count = sum(who.pace * 60 * who.reasons[reason] for who in some) * share
            yield "follow_up_calls", count, _of("30d", reason=reason, stage=stage)


def _week(some: list[Person]) -> Iterator[tuple[str, float, Labels]]:
    calls, talk = sum(who.pace * 7.2 for who in some), sum(who.connect * who.talk_s for who in some) / len(some)
    for weekday, (busy, long) in WEEK.items():
        yield "weekday_days", 8 * len(some), {"weekday": weekday}
        yield "weekday_calls", 8 * calls * busy, {"weekday": weekday}
        yield "weekday_talk_seconds", 8 * calls * busy * talk * long, {"weekday": weekday}


def _reconciled(now: float) -> Iterator[Sample]:
    """Records of yesterday: the link broke in the afternoon, and jonas lost most; marek's day is not repaired."""
    midnight = now - now % (24 * HOUR)
    for number, who in enumerate(PEOPLE):
        whose = {"manager": who.name, "team": who.team}
        of = {**whose, "source": "asterisk"}
        provisional = {"marek": 2, "jonas": 1}.get(who.name, 0)
        lost = {"marek": 3, "jonas": 11}.get(who.name, 0)
        found = {"both": round(who.pace * 7.4), "missing": lost, "lost_end": lost // 3, "extra": number % 5 == 4}
        found |= {"other_talk": number % 4 == 3, "other_disposition": number % 7 == 6}
        for result, count in found.items():
            yield Sample("callpulse_reconciled_legs", {**of, "result": result}, float(count))
        yield Sample("callpulse_reconciled_talk_difference_seconds", of, lost * 41.0 - number % 3)
        yield Sample("callpulse_reconciled_until_timestamp_seconds", of, midnight)
        yield Sample("callpulse_final_until_timestamp_seconds", whose, midnight - 24 * HOUR * bool(provisional))
        yield Sample("callpulse_provisional_days", whose, provisional)


def _queues(at: float) -> Iterator[Sample]:
    for number, queue in enumerate(("queue:sales", "queue:support"), start=1):
        whose = {"manager": queue, "team": "unassigned"}
        yield Sample("callpulse_manager_info", {**whose, "name": queue}, 1)
        yield Sample("callpulse_on_shift", whose, 0)
        yield Sample("callpulse_calls_in_progress", whose, 0)
        yield Sample("callpulse_idle_seconds", whose, 0)
        for window, calls in (("1h", 2 * number), ("today", 7 * number + at % HOUR // 900)):
            yield Sample("callpulse_calls", {**whose, "window": window, "direction": "inbound"}, calls)
            yield Sample("callpulse_calls", {**whose, "window": window, "direction": "outbound"}, 0)
