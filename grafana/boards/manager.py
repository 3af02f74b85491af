"""The board *Manager*: one manager now, over the day, in results, in kinds of calls, and in leads."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as options

from grafana import common, queries, tables
from grafana.boards import team_now, team_now_table
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW, bars, instant, lines, number, query
from grafana.config import Config
from grafana.queries import calls, manager, recorded
from streams.sources.reconciled import LOOK_BACK_DAYS
from streams.units import DAY_S

_COUNTED = {days: (f"{days} provisional", YELLOW) for days in range(2, LOOK_BACK_DAYS + 1)}
BELOW = ((None, RED), (-2, YELLOW), (-1, GREEN))


def doing() -> stat.Panel:
    """Return the manager's present state."""
    return (
        number(
            "Now",
            "On a call, ready, paused, silent for more than <<silence.text>>, off shift. No feed: no event of any "
            "manager arrives, so the state is unknown.",
            "none",
            queries.state(),
        )
        .mappings(common.words(team_now.STATES))
        .color_mode(options.BigValueColorMode.BACKGROUND_SOLID)
    )


def since() -> stat.Panel:
    """Return the time since the state began."""
    return number(
        "For",
        "How long the call in progress has lasted, or how long no event has arrived; orange from an hour on, because "
        "the end of the call may be lost.",
        "s",
        f"{manager('longest_call_in_progress_seconds')} > 0 or {manager('idle_seconds')}",
        ((None, BLUE), (team_now_table.LONG_S, ORANGE)),
    ).decimals(0)


def last_hour() -> stat.Panel:
    """Return the calls of the last hour."""
    return number("Last hour", "Finished calls of the last 60 min.", "none", recorded("manager:callpulse_calls_1h:sum"))


def usual_hour() -> stat.Panel:
    """Return the usual number of calls in this hour of the week."""
    return number(
        "Usual hour",
        "This manager's usual number of calls in this hour of this weekday, from the last eight weeks without days of "
        "absence. With little history, the mean of the team counts too.",
        "none",
        queries.usual(),
        ((None, GREY),),
        empty="after days",
    ).decimals(0)


def deviation() -> stat.Panel:
    """Return the deviation of the hour from the usual."""
    return number(
        "Against usual",
        "Standard deviations of the last hour above (+) or below (-) the usual. Between -1 and +1 is normal. Chance "
        "alone leads below -2 once in fifty hours.",
        "none",
        recorded("manager:callpulse_calls_zscore:shrunk"),
        BELOW,
        empty="after days",
    ).decimals(1)


def today() -> stat.Panel:
    """Return the calls of today."""
    return number("Today", "Finished calls of today, outbound and inbound.", "none", calls("today"))


def by_now() -> stat.Panel:
    """Return the usual number of calls by this time of the day."""
    return number(
        "Usual by now",
        "The usual number of this manager's calls by this time of this weekday.",
        "none",
        queries.expected("today"),
        ((None, GREY),),
        empty="after days",
    ).decimals(0)


def meaningful(config: Config) -> stat.Panel:
    """Return the meaningful calls of today."""
    return number(
        "<<meaningful>> + today",
        "Meaningful calls today: answered, with <<meaningful>> of talk or more. The target is <<meaningful_target>> "
        "per day.",
        "none",
        manager("meaningful_calls", window="today"),
        ((None, BLUE), (config.settings.thresholds.meaningful_target[0], GREEN)),
    )


def course() -> timeseries.Panel:
    """Return calls of the last hour through the day, against the usual."""
    return lines(
        "Calls in the last hour, and usual ones",
        "Finished calls of the 60 min before. Dashed: this manager's usual number at that hour of that weekday.",
        "none",
        [query(recorded("manager:callpulse_calls_1h:sum"), "made"), query(queries.usual(), "usual", "B")],
    ).override_by_name("usual", common.dashed())


def talk() -> timeseries.Panel:
    """Return talk of the last hour through the day, against the usual."""
    return lines(
        "Talk in the last hour, and usual talk",
        "Talk time of the 60 min before. Dashed: this manager's usual talk time at that hour of that weekday.",
        "s",
        [
            query(manager("talk_time_seconds", window="1h"), "talk"),
            query(recorded("manager:callpulse_expected_talk_1h_seconds:shrunk"), "usual", "B"),
        ],
    ).override_by_name("usual", common.dashed())


def day() -> statetimeline.Panel:
    """Return the course of the day in one line."""
    return team_now.day().title("The day")


def before_today() -> stat.Panel:
    """Return whether the figures of the days before today are final."""
    return number(
        "Before today",
        "Are the figures of the last 7 days final? Final: records of the telephone system cover each day, and every "
        "call of theirs counts. Otherwise so many days are provisional and may change. Today always may. Not "
        "compared: no day was compared with records; see the board Sources.",
        "none",
        manager("provisional_days"),
        ((None, GREEN), (1, YELLOW)),
        empty="not compared",
        says={0: ("Final", GREEN), 1: ("1 provisional", YELLOW), **_COUNTED},
    )


def won() -> stat.Panel:
    """Return the deals won in a month."""
    return number(
        "Won 30 days", "Deals of this manager won in the last 30 days.", "none", manager("won_deals", window="30d")
    )


def activity_rank() -> stat.Panel:
    """Return the rank in the team by calls."""
    return number(
        "Rank by calls",
        "Rank in the team by calls of 30 days; 1 is the most. The first by calls and the last by deals is busy without "
        "results.",
        "none",
        recorded("manager:callpulse_activity_30d:rank"),
        ((None, GREY),),
    )


def result_rank() -> stat.Panel:
    """Return the rank in the team by won deals."""
    return number(
        "Rank by deals",
        "Rank in the team by won deals of 30 days; 1 is the most. Equal numbers share a rank.",
        "none",
        recorded("manager:callpulse_result_30d:rank"),
    )


def fair_index() -> stat.Panel:
    """Return the fair comparison."""
    return number(
        "Fair index",
        "Won deals ÷ deals that the department wins from the same kinds of leads (cold, targeted, inbound, repeat). 1 "
        "equals the others with such leads, whatever the conversion is.",
        "none",
        recorded("manager:callpulse_mix_adjusted_index:90d"),
        empty="too few leads",
    ).decimals(2)


def norm() -> stat.Panel:
    """Return the personal norm."""
    return number(
        "Calls per deal",
        "Personal norm: calls of the last 90 days ÷ deals won in them. 1,200 calls for 10 deals are 120 calls per "
        "deal.",
        "none",
        manager("calls_per_won_deal", window="90d"),
        empty="no deal yet",
    ).decimals(0)


def drift() -> stat.Panel:
    """Return the drift of the norm."""
    return number(
        "Norm drift",
        "Calls per deal, this quarter ÷ the one before. 1.3: a deal takes 30 % more calls than before. Find the "
        "reason, or plan with the new norm. Shown from <<norm_deals>> deals on.",
        "none",
        recorded("manager:callpulse_norm:drift"),
        ((None, GREEN), (1.1, BLUE), (1.25, ORANGE)),
        empty="too few deals",
    ).decimals(2)


def planned() -> stat.Panel:
    """Return the calls per day that the plan needs."""
    return number(
        "Plan per day",
        "Calls per working day that the plan needs: planned deals per month times calls per deal, divided by 21 days.",
        "none",
        manager("plan_calls_per_day"),
        ((None, GREY),),
        empty="no plan",
    ).decimals(0)


def target() -> stat.Panel:
    """Return the deals of the leads given, and the realistic target."""
    return (
        number(
            "Leads to deals",
            "Won deals ÷ leads given, 90 days, and a realistic target for the next quarter: <<gain>> percentage "
            "points more, at least <<floor>> and at most <<cap>>.",
            "percentunit",
            manager("first_call_deal_ratio", window="90d"),
        )
        .decimals(1)
        .with_target(instant(manager("target_ratio"), "target", "B"))
        .override_by_query("A", common.override(displayName="now"))
        .override_by_query("B", common.override(displayName="target", color={"mode": "fixed", "fixedColor": GREY}))
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME)
    )


def conversions() -> bargauge.Panel:
    """Return the conversion of several windows, its interval, and that of the team."""
    series = (
        ("7 days", manager("conversion_ratio", window="7d")),
        ("30 days", manager("conversion_ratio", window="30d")),
        ("90 days", manager("conversion_ratio", window="90d")),
        ("at least (95 %)", manager("conversion_ratio_lower", window="90d")),
        ("at most (95 %)", manager("conversion_ratio_upper", window="90d")),
        ("the team", queries.of_teams("team:callpulse_conversion_ratio:90d") + f" and on (team) {manager('on_shift')}"),
    )
    return bars(
        "Conversion",
        "Won deals ÷ calls in which a proposal was discussed. At least and at most: the 95 % interval of the 90 days. "
        "It is wide with few calls.",
        "percentunit",
        [instant(expr, name, chr(ord("A") + index)) for index, (name, expr) in enumerate(series)],
        empty="No proposal was discussed yet. While Data is not Live, none is known.",
    ).decimals(1)


def ends() -> bargauge.Panel:
    """Return today's calls by their result."""
    found = manager("calls_by_disposition", "disposition", window="today")
    return bars(
        "How calls end today",
        "Finished calls of today by how they ended. Many without an answer: other hours, or other numbers. Many busy "
        "or failed: look at the telephone line.",
        "none",
        [instant(f"sort_desc({found} > 0)", "{{disposition}}")],
    ).no_value("No call has ended today. While Data is not Live, none is known.")


def kinds() -> bargauge.Panel:
    """Return the calls by kind."""
    return bars(
        "Calls by kind, 30 days",
        "Finished calls of 30 days by kind. Unknown: no source named the kind.",
        "none",
        [instant(manager("calls_by_kind", "kind", window="30d"), "{{kind}}")],
    )


def presentations() -> bargauge.Panel:
    """Return the share of presentations by kind of call."""
    return bars(
        "Presentation, by kind",
        "Answered calls with a presentation ÷ answered calls of that kind, 90 days.",
        "percentunit",
        [instant(manager("presentation_ratio", "kind", window="90d"), "{{kind}}")],
    ).decimals(0)


def coaching_ratios() -> bargauge.Panel:
    """Return the ratios for coaching."""
    series = (
        ("dials answered", manager("connect_ratio", window="30d")),
        ("short calls", manager("short_call_ratio", window="today")),
        ("next step agreed", manager("next_step_ratio", window="30d")),
        ("next step kept", manager("next_steps_kept_ratio", window="30d")),
    )
    return (
        bars(
            "Coaching ratios",
            "Dials answered by a person (30 days). Short: calls under <<short>> of talk ÷ answered calls (today). Next "
            "steps agreed ÷ conversations, and next steps kept ÷ due (30 days).",
            "percentunit",
            [instant(expr, name, chr(ord("A") + index)) for index, (name, expr) in enumerate(series)],
        )
        .decimals(0)
        .max(1)
    )


def signature() -> stat.Panel:
    """Return the manager's way of winning deals: long first calls, or many short ones."""
    said = {0: ("mixed", GREY), 1: ("long first call, quick close", GREEN), 2: ("many short calls", YELLOW)}
    return number(
        "How deals are won",
        "Long first call, quick close: the first calls of won leads last <<long_first_call>> or more, and a deal "
        "takes at most <<quick_close>> calls. Many short calls: the reverse. Shown from <<signature_deals>> deals on.",
        "none",
        recorded("manager:callpulse_skill_signature"),
        empty="too few deals",
        says=said,
    )


def attempts(config: Config) -> stat.Panel:
    """Return the dials per contact."""
    _, high = config.settings.thresholds.attempts_target
    return number(
        "Attempts",
        "Dials ÷ dials that a person answered, 30 days: the attempts per contact. Usual: <<attempts_target>>.",
        "none",
        manager("attempts_per_contact", window="30d"),
        ((None, BLUE), (high, ORANGE)),
    ).decimals(1)


def stages() -> bargauge.Panel:
    """Return the open leads by stage."""
    return bars(
        "Open leads by stage",
        "Open leads called in the last 30 days, by stage of their deal. None: no deal yet.",
        "none",
        [instant(manager("open_leads_by_stage", "stage"), "{{stage}}")],
    )


def ages() -> bargauge.Panel:
    """Return the time of leads in their stage."""
    return bars(
        "Days in stage",
        "How many days these leads have been in their stage, on average.",
        "none",
        [instant(f"{manager('mean_stage_age_seconds', 'stage')} / {DAY_S}", "{{stage}}")],
    ).decimals(0)


def without_progress() -> bargauge.Panel:
    """Return the open leads by conversations in a row without progress."""
    return bars(
        "Conversations without progress",
        "Open leads by conversations in a row without a next step or a new stage. From <<mentor_after>> on a mentor "
        "should discuss them, from <<stuck_after>> on they are stuck.",
        "none",
        [instant(manager("open_leads_by_conversations", "conversations"), "{{conversations}} in a row")],
    )


def reasons() -> bargauge.Panel:
    """Return the follow-up calls by reason."""
    return bars(
        "Why leads are called again",
        "Follow-up calls of 30 days by reason. Mostly reminders: the calls offer the customer nothing new.",
        "none",
        [instant(f"sort_desc({manager('follow_up_calls', 'reason', window='30d')})", "{{reason}}")],
    )


def attention(config: Config) -> table.Panel:
    """Return the leads that need help."""
    return tables.attention(config, {"lead": "Lead", "why": "Why"})


def board(config: Config) -> dashboards.Dashboard:
    """Return the board."""
    top = (doing(), since(), last_hour(), usual_hour(), deviation(), today(), by_now(), meaningful(config))
    norms = (won(), result_rank(), activity_rank(), fair_index(), norm(), drift(), planned(), target())
    return common.assemble(
        config,
        "manager",
        "Manager",
        "One manager: now, the day against the usual day, results against the personal norm, and the leads.",
        [
            *((3 * column, 0, 3, 4, panel) for column, panel in enumerate(top)),
            (0, 4, 12, 8, course()),
            (12, 4, 12, 8, talk()),
            (0, 12, 21, 3, day()),
            (21, 12, 3, 3, before_today()),
            (0, 15, 24, 1, dashboards.Row("Results against the personal norm")),
            *((3 * column, 16, 3, 4, panel) for column, panel in enumerate(norms)),
            (0, 20, 24, 1, dashboards.Row("What the calls consist of")),
            (0, 21, 6, 10, conversions()),
            (6, 21, 5, 5, kinds()),
            (6, 26, 5, 5, presentations()),
            (11, 21, 5, 10, ends()),
            (16, 21, 8, 7, coaching_ratios()),
            (16, 28, 5, 3, signature()),
            (21, 28, 3, 3, attempts(config)),
            (0, 31, 24, 1, dashboards.Row("Leads")),
            (0, 32, 8, 10, attention(config)),
            (8, 32, 8, 5, stages()),
            (16, 32, 8, 5, ages()),
            (8, 37, 8, 5, without_progress()),
            (16, 37, 8, 5, reasons()),
        ],
        one=True,
    )
