"""The board *Leads and follow-ups*: leads that need help, next steps kept, reasons for calling again."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, table
from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as options

from grafana import common, queries, tables
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW, bars, instant, number
from grafana.config import Config
from grafana.queries import manager, mean
from grafana.tables import Column, quiet, share
from streams.units import DAY_S


def crm_status() -> stat.Panel:
    """Return the state of the CRM's events, on which the progress of leads depends."""
    states = {0: ("No CRM", RED), 1: ("Live", GREEN), 2: ("CRM silent", RED), 3: ("Catching up", ORANGE)}
    return (
        number(
            "CRM",
            "Live: the CRM reports progress. CRM silent: somebody has been on shift for <<crm_silence.text>>, and the "
            "CRM sent nothing; then leads only look stuck. Catching up: its events wait in Kafka. No CRM: no event "
            "within four days.",
            "none",
            "(callpulse:results_behind == 1) * 3\n"
            "or on () (callpulse:crm_quiet == 1) * 2\n"
            "or on () callpulse:newest_crm_event_age_seconds * 0 + 1\n"
            "or on () vector(0)",
        )
        .mappings(common.words(states))
        .color_mode(options.BigValueColorMode.BACKGROUND_SOLID)
    )


def consultations() -> stat.Panel:
    """Return the number of leads that wait for a mentor."""
    return number(
        "Consult due",
        "Leads with <<mentor_after>> conversations or more in a row without a next step or a new stage, and without a "
        "consultation since.",
        "none",
        f"sum({manager('leads_consultation_due')})",
        ((None, GREEN), (1, YELLOW)),
    )


def stuck() -> stat.Panel:
    """Return the number of stuck leads. It has one colour: a large department has more of them than a small one."""
    return number(
        "Stuck",
        "Leads with <<stuck_after>> conversations or more in a row without progress: hand over, change the offer, or "
        "close. The board Leads and follow-ups shows whose they are.",
        "none",
        f"sum({manager('leads_stuck')})",
    )


def open_leads() -> stat.Panel:
    """Return the number of open leads."""
    return number(
        "Open leads",
        "Leads called in the last 30 days whose deal is neither won nor lost.",
        "none",
        f"sum({manager('open_leads_by_stage', 'stage')})",
    )


def next_steps_agreed(config: Config) -> stat.Panel:
    """Return the share of conversations with a next step."""
    fair, good = config.boards.next_step_ratio
    return number(
        "Next steps",
        "Conversations in which a next step was agreed ÷ conversations, 30 days, over all managers.",
        "percentunit",
        mean("next_step_ratio", window="30d"),
        ((None, ORANGE), (fair, BLUE), (good, GREEN)),
    ).decimals(0)


def next_steps_kept(config: Config) -> stat.Panel:
    """Return the share of next steps that were kept."""
    fair, good = config.boards.kept_ratio
    return number(
        "Next steps kept",
        "Next steps kept by the end of their day ÷ next steps due, 30 days, over all managers.",
        "percentunit",
        mean("next_steps_kept_ratio", window="30d"),
        ((None, RED), (fair, YELLOW), (good, GREEN)),
        empty="none due",
    ).decimals(0)


def over_called() -> stat.Panel:
    """Return the number of leads that were dialled too often."""
    return number(
        "Called too often",
        "Leads dialled more than <<calls_per_lead_day>> today.",
        "none",
        f"sum({manager('leads_over_called', window='today')})",
        ((None, GREEN), (1, ORANGE)),
    )


def off_hours() -> stat.Panel:
    """Return the number of dials outside the permitted hours."""
    return number(
        "Off hours",
        "Today's dials outside the permitted hours (<<permitted_hours>>, the manager's local time).",
        "none",
        f"sum({manager('calls_off_hours', window='today')})",
        ((None, GREEN), (1, ORANGE)),
    )


def attention(config: Config) -> table.Panel:
    """Return the leads that need help."""
    return tables.attention(config, tables.LEAD)


def managers(config: Config) -> table.Panel:
    """Return the progress of the leads per manager."""

    def some(conversations: str) -> str:
        return manager("open_leads_by_conversations", conversations=conversations)

    fair, good = config.boards.kept_ratio
    many = config.alerts.stuck_leads
    warned = ((None, GREY), (1, YELLOW), (many, ORANGE))
    long = {str(count) for count in range(config.settings.results.mentor_after, 5)} | {"5+"}
    return tables.of_columns(
        "Leads without progress, per manager",
        "Stuck and Consult: as in the list above. 1x to 5+x: open leads by conversations in a row without progress. "
        "Agreed: next steps agreed ÷ conversations. Kept: next steps kept ÷ due, 30 days. Per lead: calls per lead.",
        {"name": "Manager", "manager": tables.HIDDEN},
        (
            Column("Stuck", manager("leads_stuck"), thresholds=((None, GREY), (1, ORANGE), (many, RED))),
            Column("Consult", manager("leads_consultation_due"), thresholds=((None, GREY), (1, YELLOW))),
            *(
                Column(f"{count}x", some(count), thresholds=warned if count in long else ())
                for count in ("1", "2", "3", "4", "5+")
            ),
            share("Agreed", manager("next_step_ratio", window="30d")),
            Column(
                "Kept",
                manager("next_steps_kept_ratio", window="30d"),
                "percentunit",
                ((None, RED), (fair, YELLOW), (good, GREEN)),
                more={"decimals": 0},
            ),
            Column("Per lead", manager("calls_per_lead", window="30d"), more={"decimals": 1, "mappings": quiet()}),
        ),
        "Stuck",
        then="Consult",
    )


def stages() -> bargauge.Panel:
    """Return the open leads by stage."""
    return bars(
        "Open leads by stage",
        "Open leads of all selected managers, by stage of their deal. None: no deal yet.",
        "none",
        [instant(f"sort_desc(sum by (stage) ({manager('open_leads_by_stage', 'stage')}))", "{{stage}}")],
    )


def ages() -> bargauge.Panel:
    """Return the time of leads in their stage."""
    return bars(
        "Days in stage",
        "How many days these leads have been in their stage, on average over all leads.",
        "none",
        [instant(f"sort_desc({mean('mean_stage_age_seconds', 'stage')}) / {DAY_S}", "{{stage}}")],
    ).decimals(0)


def without_progress() -> bargauge.Panel:
    """Return the open leads by conversations in a row without progress."""
    return bars(
        "Conversations without progress",
        "Open leads by conversations in a row without a next step or a new stage. From <<mentor_after>> on a mentor "
        "should discuss them, from <<stuck_after>> on they are stuck.",
        "none",
        [
            instant(
                f"sum by (conversations) ({manager('open_leads_by_conversations', 'conversations')})",
                "{{conversations}} in a row",
            )
        ],
    )


def reasons() -> bargauge.Panel:
    """Return the follow-up calls by reason and by stage of the deal."""
    some = f"sum by (reason, stage) ({queries.team('follow_up_calls', 'reason', 'stage', window='30d')})"
    return bars(
        "Why leads are called again",
        "Follow-up calls of 30 days by reason and by stage of the deal at that time: the twelve most frequent, of the "
        "selected teams.",
        "none",
        [instant(f"sort_desc(topk(12, {some} > 0))", "{{reason}}, {{stage}}")],
    ).text(shared.VizTextDisplayOptions().title_size(11).value_size(14))  # Grafana cuts long names in its own size


def main_reasons() -> table.Panel:
    """Return the most frequent reason per manager."""
    each = manager("follow_up_calls", "reason", window="30d")
    part = f"({each}) / on (manager, team) group_left () (sum by (manager, team) ({each}) > 0)"
    return tables.of_columns(
        "Most frequent reason per manager",
        "The most frequent reason of each manager's follow-up calls of 30 days, and its share. A manager with mostly "
        "reminders offers the customer nothing new.",
        {"name": "Manager", "manager": tables.HIDDEN, "reason": "Reason"},
        (
            Column(
                "Share",
                f"topk by (manager) (1, {part})",
                "percentunit",
                ((None, BLUE), (0.5, ORANGE)),
                tables.GAUGE,
                {"decimals": 0, "min": 0, "max": 1},
            ),
        ),
        "Share",
    )


def board(config: Config) -> dashboards.Dashboard:
    """Return the board."""
    top = (
        crm_status(),
        stuck(),
        consultations(),
        open_leads(),
        next_steps_agreed(config),
        next_steps_kept(config),
        over_called(),
        off_hours(),
    )
    return common.assemble(
        config,
        "leads",
        "Leads and follow-ups",
        "Leads that need help now, progress per manager, next steps kept, and reasons for calling again.",
        [
            *((3 * column, 0, 3, 4, panel) for column, panel in enumerate(top)),
            (0, 4, 12, 14, attention(config)),
            (12, 4, 12, 14, main_reasons()),
            (0, 18, 24, 14, managers(config)),
            (0, 32, 8, 7, without_progress()),
            (8, 32, 8, 7, stages()),
            (16, 32, 8, 7, ages()),
            (0, 39, 24, 13, reasons()),
        ],
    )
