"""Leads and follow-ups: which leads need help now, whose promises are kept, why leads are called again."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, table
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as options

from grafana import common, queries, tables
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW, bars, instant, number
from grafana.queries import manager, mean
from grafana.tables import Column, quiet, share
from streams.units import DAY_S


def trust() -> stat.Panel:
    """Return whether progress can be known at all."""
    states = {0: ("No CRM", RED), 1: ("Live", GREEN), 2: ("CRM silent", RED), 3: ("Catching up", ORANGE)}
    return (
        number(
            "CRM",
            "Live: the CRM tells of progress. CRM silent: somebody has been on shift for two hours, and it told "
            "nothing; then leads only look stuck. Catching up: its events wait in Kafka. No CRM: nothing within "
            "four days.",
            "none",
            "(callpulse:results_behind == 1) * 3\n"
            "or on () (callpulse:crm_quiet == 1) * 2\n"
            "or on () callpulse:newest_crm_event_age_seconds * 0 + 1\n"
            "or on () vector(0)",
        )
        .mappings(common.words(states))
        .color_mode(options.BigValueColorMode.BACKGROUND)
    )


def consultations() -> stat.Panel:
    """Return how many leads wait for a mentor."""
    return number(
        "Consult due",
        "Leads with three conversations or more in a row without a next step or a new stage, and no consultation "
        "since.",
        "none",
        f"sum({manager('leads_consultation_due')})",
        ((None, GREEN), (1, YELLOW)),
    )


def stuck() -> stat.Panel:
    """Return how many leads are stuck."""
    return number(
        "Stuck",
        "Leads with five conversations or more in a row without progress: hand over, change the offer, or close.",
        "none",
        f"sum({manager('leads_stuck')})",
        ((None, GREEN), (1, ORANGE), (10, RED)),
    )


def open_leads() -> stat.Panel:
    """Return how many leads are open."""
    return number(
        "Open leads",
        "Leads called in the last 30 days whose deal is neither won nor lost.",
        "none",
        f"sum({manager('open_leads_by_stage', 'stage')})",
    )


def agreed() -> stat.Panel:
    """Return how often a conversation ends with a next step."""
    return number(
        "Next steps",
        "Conversations in which a next step was agreed ÷ conversations, 30 days, over all managers.",
        "percentunit",
        mean("next_step_ratio", window="30d"),
        ((None, ORANGE), (0.3, BLUE), (0.5, GREEN)),
    ).decimals(0)


def kept() -> stat.Panel:
    """Return how many promises are kept."""
    return number(
        "Promises kept",
        "Next steps that were kept by the end of their day ÷ next steps due, 30 days, over all managers.",
        "percentunit",
        mean("next_steps_kept_ratio", window="30d"),
        ((None, RED), (0.7, YELLOW), (0.9, GREEN)),
    ).decimals(0)


def over_called() -> stat.Panel:
    """Return how many leads were dialled too often."""
    return number(
        "Called too often",
        "Leads dialled more than 3 times today.",
        "none",
        f"sum({manager('leads_over_called', window='today')})",
        ((None, GREEN), (1, ORANGE)),
    )


def off_hours() -> stat.Panel:
    """Return how many dials came at a wrong time."""
    return number(
        "Off hours",
        "Dials today outside the hours in which leads may be called (08:00 to 21:00, the manager's time).",
        "none",
        f"sum({manager('calls_off_hours', window='today')})",
        ((None, GREEN), (1, ORANGE)),
    )


def attention() -> table.Panel:
    """Return the leads that need help."""
    return tables.attention({"manager": "Manager", "lead": "Lead", "why": "Why"})


def managers() -> table.Panel:
    """Return how the leads of each manager stand."""

    def some(conversations: str) -> str:
        return manager("open_leads_by_conversations", conversations=conversations)

    warned = ((None, GREY), (1, YELLOW), (5, ORANGE))
    return tables.of_columns(
        "Whose leads stand still",
        "Stuck and Consult: leads as in the list beside. 1x to 5x: open leads by conversations in a row without "
        "progress. Agreed: next steps agreed ÷ conversations. Kept: promises kept ÷ due, 30 days. A lead: calls a "
        "lead.",
        {"manager": "Manager"},
        (
            Column("Stuck", _one(manager("leads_stuck")), thresholds=((None, GREY), (1, ORANGE), (5, RED))),
            Column("Consult", _one(manager("leads_consultation_due")), thresholds=((None, GREY), (1, YELLOW))),
            *(
                Column(f"{count}x", _one(some(count)), thresholds=warned if count in ("3", "4", "5+") else ())
                for count in ("1", "2", "3", "4", "5+")
            ),
            share("Agreed", _one(manager("next_step_ratio", window="30d"))),
            Column(
                "Kept",
                _one(manager("next_steps_kept_ratio", window="30d")),
                "percentunit",
                ((None, RED), (0.7, YELLOW), (0.9, GREEN)),
                more={"decimals": 0},
            ),
            Column("A lead", _one(manager("calls_per_lead", window="30d")), more={"decimals": 1, "mappings": quiet()}),
        ),
        "Stuck",
    )


def _one(expr: str) -> str:
    return f"max by (manager) ({expr})"


def stages() -> bargauge.Panel:
    """Return where the open leads stand."""
    return bars(
        "Open leads by stage",
        "Open leads of all managers picked, by stage of their deal; none: no deal yet.",
        "none",
        [instant(f"sort_desc(sum by (stage) ({manager('open_leads_by_stage', 'stage')}))", "{{stage}}")],
    )


def ages() -> bargauge.Panel:
    """Return for how long they have stood there."""
    return bars(
        "Days in stage",
        "How many days those leads have stood in their stage, on average over all leads.",
        "none",
        [instant(f"sort_desc({mean('mean_stage_age_seconds', 'stage')}) / {DAY_S}", "{{stage}}")],
    ).decimals(0)


def vain() -> bargauge.Panel:
    """Return how many conversations in a row brought nothing."""
    return bars(
        "Conversations without progress",
        "Open leads by conversations in a row without a next step or a new stage. From three on a mentor should look "
        "at them, from five on they are stuck.",
        "none",
        [
            instant(
                f"sum by (conversations) ({manager('open_leads_by_conversations', 'conversations')})",
                "{{conversations}} in a row",
            )
        ],
    )


def reasons() -> bargauge.Panel:
    """Return why leads are called again, and where their deals stand."""
    some = f"sum by (reason, stage) ({queries.team('follow_up_calls', 'reason', 'stage', window='30d')})"
    return bars(
        "Why we call again",
        "Follow-up calls of 30 days by reason and by stage of the deal at that time: the twelve most frequent. Of the "
        "teams picked.",
        "none",
        [instant(f"sort_desc(topk(12, {some} > 0))", "{{reason}}, {{stage}}")],
    )


def habits() -> table.Panel:
    """Return the reason that each manager gives most."""
    each = manager("follow_up_calls", "reason", window="30d")
    part = f"({each}) / on (manager, team) group_left () (sum by (manager, team) ({each}) > 0)"
    return tables.of_columns(
        "The reason each gives most",
        "Of the follow-up calls of 30 days: the most frequent reason of each manager, and its share. Someone who "
        "mostly reminds has nothing new to say.",
        {"manager": "Manager", "reason": "Reason"},
        (
            Column(
                "Share",
                f"max by (manager, reason) (topk by (manager) (1, {part}))",
                "percentunit",
                ((None, BLUE), (0.5, ORANGE)),
                tables.GAUGE,
                {"decimals": 0, "min": 0, "max": 1},
            ),
        ),
        "Share",
    )


def board() -> dashboards.Dashboard:
    """Return the board."""
    top = (trust(), stuck(), consultations(), open_leads(), agreed(), kept(), over_called(), off_hours())
    return common.assemble(
        "callpulse-leads",
        "Leads and follow-ups",
        "Which leads need help now, whose stand still, whose promises are kept, and why leads are called again.",
        [
            *((3 * column, 0, 3, 4, panel) for column, panel in enumerate(top)),
            (0, 4, 10, 14, attention()),
            (10, 4, 14, 14, managers()),
            (0, 18, 8, 7, vain()),
            (8, 18, 8, 7, stages()),
            (16, 18, 8, 7, ages()),
            (0, 25, 14, 13, reasons()),
            (14, 25, 10, 13, habits()),
        ],
    )
