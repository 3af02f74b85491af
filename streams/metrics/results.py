"""The catalogue of results: deals, leads, funnel, norms, costs, expectations; per manager and per team.

Figures of leads and deals are the contributions of leads (`streams/tables/lead/contributions.py`), summed by local
day. Words in braces stand for settings; `streams.metrics.wording` fills them in.
"""

from __future__ import annotations

from typing import Final

from streams.metrics.metric import Count, of_manager, of_team

RESULTS: Final = (
    of_manager(
        "won_deals",
        "Deals that stand at won and came there in the window (7d, 30d, 90d); of the manager whom the deal names, "
        "else of the lead's.",
        "window",
        measure=5,
    ),
    of_manager(
        "proposal_calls",
        "Answered legs in the window (7d, 90d) after which the CRM noted that a proposal was discussed.",
        "window",
        measure=5,
    ),
    of_manager(
        "conversion_ratio",
        "Won deals divided by calls in which a proposal was discussed, in the window (7d, 30d, 90d).",
        "window",
        unit="ratio",
        measure=5,
        over=(Count("won deals", "won_deals"), Count("calls in which a proposal was discussed", "proposal_calls")),
    ),
    of_manager(
        "conversion_ratio_lower",
        "Lower end of the 95 % Wilson interval of won deals among calls in which a proposal was discussed (90d).",
        "window",
        unit="ratio",
        measure=5,
    ),
    of_manager(
        "conversion_ratio_upper",
        "Upper end of the 95 % Wilson interval of won deals among calls in which a proposal was discussed (90d).",
        "window",
        unit="ratio",
        measure=5,
    ),
    of_manager(
        "presentation_ratio",
        "Answered legs with a presentation divided by answered legs of the kind, in the window (90d); calls of "
        "unknown kind are left out.",
        "window",
        "kind",
        unit="ratio",
        measure=1,
        over=(Count("answered legs with a presentation"), Count("answered legs of the kind")),
    ),
    of_manager(
        "stage_moves_per_call",
        "Conversation stages that a lead had not come to before, divided by answered legs, in the window (30d).",
        "window",
        unit="ratio",
        measure=2,
        over=(
            Count("stages that a lead had not come to before"),
            Count("answered legs with a lead", "answered_calls", exact=False),
        ),
    ),
    of_manager(
        "next_step_ratio",
        "Conversations in which a next step was agreed, divided by conversations, in the window (30d).",
        "window",
        unit="ratio",
        measure=12,
        over=(
            Count("conversations in which a next step was agreed"),
            Count("conversations with a lead", "conversations", exact=False),
        ),
    ),
    of_manager(
        "open_leads_by_conversations",
        "Open leads of the manager that were called in the last 30 days, by number of conversations in a row without "
        "progress (conversations: 1, 2, 3, 4, 5+).",
        "conversations",
        measure=17,
    ),
    of_manager(
        "leads_consultation_due",
        "Open leads of the manager, called in the last 30 days, with so many conversations ({mentor_after}) since the "
        "last progress and the last consultation that a mentor should look at them.",
        measure=17,
    ),
    of_manager(
        "leads_stuck",
        "Open leads of the manager, called in the last 30 days, with so many conversations ({stuck_after}) in a row "
        "without progress that they count as stuck.",
        measure=17,
    ),
    of_manager(
        "open_leads_by_stage",
        "Open leads of the manager that were called in the last 30 days, by stage of their deal: none without a deal, "
        "other for a stage that the settings do not name.",
        "stage",
        measure=19,
    ),
    of_manager(
        "mean_stage_age_seconds",
        "How long those open leads have been in their stage, in whole days: sum of ages divided by leads; for none, "
        "since the first call.",
        "stage",
        unit="seconds",
        measure=19,
        over=(Count("sum of the ages"), Count("open leads in the stage", "open_leads_by_stage")),
    ),
    of_manager(
        "leads_given",
        "Leads of the manager whose first leg ended in the window (90d), by kind of that first call.",
        "window",
        "kind",
        measure=21,
    ),
    of_manager(
        "first_call_deal_ratio",
        "Won deals divided by leads given, in the window (90d; previous: the 90 days before those).",
        "window",
        unit="ratio",
        measure=10,
        over=(Count("won deals", "won_deals"), Count("leads given", "leads_given")),
    ),
    of_manager(
        "target_ratio",
        "Realistic target for won deals per lead given: the ratio of the last 90 days plus a quarter's gain ({gain} "
        "percentage points), not below the floor ({floor}) nor above the cap ({cap}).",
        unit="ratio",
        measure=10,
    ),
    of_manager(
        "calls_per_won_deal",
        "Personal norm: finished legs divided by won deals, in the window (90d; previous: the 90 days before those).",
        "window",
        unit="ratio",
        measure=13,
        over=(Count("finished legs", "calls"), Count("won deals", "won_deals")),
    ),
    of_manager(
        "plan_calls_per_day",
        "Calls a working day that the plan needs: planned deals of a month times calls per won deal (90d), divided by "
        "21 working days; not exported without a plan or a norm.",
        measure=13,
    ),
    of_manager(
        "cost_per_won_deal",
        "What the touches of the window (90d) cost, divided by won deals: legs, e-mails, messages and meetings, each "
        "at its cost in the settings, in economics.currency.",
        "window",
        measure=7,
        over=(Count("cost of all touches"), Count("won deals", "won_deals")),
    ),
    of_manager(
        "mean_won_amount",
        "Mean amount of the deals won in the window (90d) whose amount is known, in economics.currency.",
        "window",
        "currency",
        measure=7,
        over=(
            Count("sum of the amounts"),
            Count("won deals whose amount in the currency is known", "won_deals", exact=False),
        ),
    ),
    of_manager(
        "won_first_call_talk_seconds",
        "Deals won in the window (90d): talk time of the lead's first answered leg, divided by the deals of which it "
        "is known.",
        "window",
        unit="seconds",
        measure=18,
        over=(
            Count("talk time of the first answered leg"),
            Count("won deals of which it is known", "won_deals", exact=False),
        ),
    ),
    of_manager(
        "won_calls_per_deal",
        "Deals won in the window (90d): legs on the lead until it was won, divided by the deals whose lead has any "
        "leg.",
        "window",
        unit="ratio",
        measure=18,
        over=(
            Count("legs until the deal was won"),
            Count("won deals whose lead has any leg", "won_deals", exact=False),
        ),
    ),
    of_manager(
        "follow_up_calls",
        "Legs in the window (30d) for which the CRM noted why the lead was called again, by reason; other for reasons "
        "that the settings do not name.",
        "window",
        "reason",
        measure=19,
    ),
    of_manager(
        "next_steps_due",
        "Next steps agreed with leads that came due in the window (30d), today's among them.",
        "window",
        measure=22,
    ),
    of_manager(
        "next_steps_kept_ratio",
        "Next steps that were kept (a call or another touch of the lead by the end of the day due) divided by next "
        "steps due, in the window (30d).",
        "window",
        unit="ratio",
        measure=22,
        over=(Count("next steps that were kept"), Count("next steps due", "next_steps_due")),
    ),
    of_manager(
        "calls_off_hours",
        "Dials of today that began outside the hours in which leads may be called ({permitted_hours}, the manager's "
        "local time).",
        "window",
        measure=23,
    ),
    of_manager(
        "expected_calls",
        "Calls that the manager's own last 8 weeks let expect, by weekday and hour, days present only: of the last "
        "hour (1h), of today so far (today).",
        "window",
        measure=3,
    ),
    of_manager(
        "expected_talk_seconds",
        "Talk time that the manager's own last 8 weeks let expect of the last hour.",
        "window",
        unit="seconds",
        measure=3,
    ),
    of_manager(
        "calls_zscore",
        "Standard deviations by which the calls of the last hour lie above what was expected (negative: below); not "
        "exported with fewer than 2 days to compare with.",
        "window",
        measure=3,
    ),
    of_manager(
        "talk_zscore",
        "Standard deviations by which the talk time of the last hour lies above what was expected (negative: below); "
        "not exported with fewer than 2 days to compare with.",
        "window",
        measure=3,
    ),
    of_manager(
        "expectation_days",
        "Days behind the expectation: how many of the last 8 days of today's weekday the manager was present, 0 to 8.",
        measure=3,
    ),
    of_manager(
        "lead_attention",
        "Conversations in a row without progress of the leads that need help most ({attention_series} a manager), "
        "called in the last 30 days: stuck before consultation due, then by conversations, then by time in the stage.",
        "lead",
        "why",
        measure=17,
    ),
)

TEAMS: Final = (
    of_team(
        "won_deals",
        "Won deals of the window (90d) by value of a dimension: product, client_type, channel, first_kind (kind of "
        "the lead's first call).",
        "window",
        "dimension",
        "value",
        measure=6,
    ),
    of_team(
        "proposal_calls",
        "Answered legs of the window (90d) in which a proposal was discussed, by value of a dimension: what won deals "
        "are divided by.",
        "window",
        "dimension",
        "value",
        measure=6,
    ),
    of_team(
        "won_amount",
        "Sum of the amounts of the deals won in the window (90d), by channel of the deal and currency; in that "
        "currency.",
        "window",
        "channel",
        "currency",
        measure=7,
    ),
    of_team(
        "touches",
        "Touches of leads in the window (90d) by channel: finished legs (call), e-mails, messages, meetings.",
        "window",
        "channel",
        measure=20,
    ),
    of_team(
        "cost",
        "What the touches of the window (90d) cost, by channel, in economics.currency.",
        "window",
        "channel",
        measure=7,
    ),
    of_team(
        "funnel_leads",
        "Leads that first came to a step of the funnel in the window (30d, 90d): call (a conversation), presentation, "
        "proposal, won.",
        "window",
        "step",
        measure=8,
    ),
    of_team(
        "follow_up_calls",
        "Legs in the window (30d) for which the CRM noted why the lead was called again, by reason and by stage of "
        "the deal at that time.",
        "window",
        "reason",
        "stage",
        measure=19,
    ),
    of_team(
        "weekday_days",
        "Days of the last 56 complete days on which a manager finished a leg, by weekday, added up over the managers.",
        "weekday",
        measure=3,
    ),
    of_team(
        "weekday_calls",
        "Finished legs on those days, by weekday.",
        "weekday",
        measure=3,
    ),
    of_team(
        "weekday_talk_seconds",
        "Talk time on those days, by weekday.",
        "weekday",
        unit="seconds",
        measure=3,
    ),
)
