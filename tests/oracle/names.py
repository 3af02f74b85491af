"""The metrics that the oracle answers."""

from __future__ import annotations

from typing import Final

METRICS: Final = frozenset(
    f"callpulse_{name}"
    for name in (
        "calls",
        "calls_by_kind",
        "calls_by_disposition",
        "answered_calls",
        "connect_ratio",
        "short_call_ratio",
        "meaningful_calls",
        "conversations",
        "attempts_per_contact",
        "talk_time_seconds",
        "calls_talked",
        "calls_timed_out",
        "internal_calls",
        "internal_talk_seconds",
        "calls_in_progress",
        "longest_call_in_progress_seconds",
        "last_activity_timestamp_seconds",
        "presence",
        "work_block_seconds",
        "work_blocks",
        "breaks_missed",
        "open_leads_by_calls",
        "calls_per_lead",
        "leads_over_called",
    )
)
"""The metrics of activity that the oracle answers."""
RESULTS: Final = frozenset(
    f"callpulse_{name}"
    for name in (
        "won_deals",
        "proposal_calls",
        "conversion_ratio",
        "conversion_ratio_lower",
        "conversion_ratio_upper",
        "presentation_ratio",
        "stage_moves_per_call",
        "next_step_ratio",
        "open_leads_by_conversations",
        "leads_consultation_due",
        "leads_stuck",
        "open_leads_by_stage",
        "mean_stage_age_seconds",
        "leads_given",
        "first_call_deal_ratio",
        "target_ratio",
        "calls_per_won_deal",
        "plan_calls_per_day",
        "cost_per_won_deal",
        "mean_won_amount",
        "won_first_call_talk_seconds",
        "won_calls_per_deal",
        "follow_up_calls",
        "next_steps_due",
        "next_steps_kept_ratio",
        "calls_off_hours",
        "expected_calls",
        "expected_talk_seconds",
        "calls_zscore",
        "talk_zscore",
        "expectation_days",
        "lead_attention",
    )
)
"""The metrics of result, and of activity compared with the expectation."""
TEAMS: Final = frozenset(
    f"callpulse_team_{name}"
    for name in (
        "won_deals",
        "proposal_calls",
        "won_amount",
        "touches",
        "cost",
        "funnel_leads",
        "follow_up_calls",
        "weekday_days",
        "weekday_calls",
        "weekday_talk_seconds",
    )
)
"""The metrics of teams, by partition; series at 0 are left out."""

GLIDING: Final = frozenset(
    f"callpulse_{name}"
    for name in ("expected_calls", "expected_talk_seconds", "calls_zscore", "talk_zscore", "expectation_days")
)
"""Metrics that change with every millisecond of the clock, also between two events."""
