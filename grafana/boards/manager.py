"""One manager: now, the day against its expectation, results against the own norm, structure of calls, leads."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as options

from grafana import common, queries, tables
from grafana.boards import team_now
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW, bars, instant, lines, number, query
from grafana.queries import calls, manager, recorded
from streams.units import DAY_S

BELOW = ((None, RED), (-2, YELLOW), (-1, GREEN))
KINDS = ("cold", "targeted", "inbound", "repeat")


def doing() -> stat.Panel:
    """Return what the manager does now."""
    return (
        number(
            "Now",
            "On a call, ready, paused, silent for more than 20 min, off shift. No feed: nothing arrives of anybody, so "
            "nobody can tell.",
            "none",
            queries.state(),
        )
        .mappings(common.words(team_now.STATES))
        .color_mode(options.BigValueColorMode.BACKGROUND)
    )


def since() -> stat.Panel:
    """Return for how long."""
    return number(
        "For",
        "How long the call in progress has lasted, or how long nothing has happened.",
        "s",
        f"{manager('longest_call_in_progress_seconds')} > 0 or {manager('idle_seconds')}",
    ).decimals(0)


def last_hour() -> stat.Panel:
    """Return the calls of the last hour."""
    return number("Last hour", "Finished calls of the last 60 min.", "none", recorded("manager:callpulse_calls_1h:sum"))


def usual_hour() -> stat.Panel:
    """Return what is usual in an hour like this."""
    return number(
        "Usual hour",
        "What this manager makes in this hour of this weekday: the last eight weeks, days of absence left out; thin "
        "history leans on the team.",
        "none",
        queries.usual(),
        ((None, GREY),),
    ).decimals(0)


def deviation() -> stat.Panel:
    """Return how unusual the hour is."""
    return number(
        "Against usual",
        "By how many standard deviations the last hour lies above (+) or below (-) the usual. Between -1 and +1: as "
        "always. Below -2: chance alone does so once in fifty hours.",
        "none",
        recorded("manager:callpulse_calls_zscore:shrunk"),
        BELOW,
    ).decimals(1)


def today() -> stat.Panel:
    """Return the calls of today."""
    return number("Today", "Finished calls of today, made and taken.", "none", calls("today"))


def by_now() -> stat.Panel:
    """Return what is usual by this time of the day."""
    return number(
        "Usual by now",
        "Calls that this manager has usually made by this time of this weekday.",
        "none",
        queries.expected("today"),
        ((None, GREY),),
    ).decimals(0)


def meaningful() -> stat.Panel:
    """Return the meaningful calls of today."""
    return number(
        "5 min + today",
        "Meaningful calls today: answered, with 5 min of talk or more. A good day has 40 to 60.",
        "none",
        manager("meaningful_calls", window="today"),
        ((None, BLUE), (40, GREEN)),
    )


def course() -> timeseries.Panel:
    """Return calls of the last hour through the day, against the usual."""
    return lines(
        "Calls in the last hour, and usual ones",
        "Finished calls of the 60 min before; beside it what is usual for this manager at that hour of that weekday.",
        "none",
        [query(recorded("manager:callpulse_calls_1h:sum"), "made"), query(queries.usual(), "usual", "B")],
    ).override_by_name("usual", common.dashed())


def talk() -> timeseries.Panel:
    """Return talk of the last hour through the day, against the usual."""
    return lines(
        "Talk in the last hour, and usual talk",
        "Talk time of the 60 min before; beside it what is usual for this manager at that hour of that weekday.",
        "s",
        [
            query(manager("talk_time_seconds", window="1h"), "talk"),
            query(recorded("manager:callpulse_expected_talk_1h_seconds:shrunk"), "usual", "B"),
        ],
    ).override_by_name("usual", common.dashed())


def day() -> statetimeline.Panel:
    """Return the course of the day in one line."""
    return team_now.day().title("The day")


def won() -> stat.Panel:
    """Return the deals won in a month."""
    return number(
        "Won 30 days", "Deals of this manager won in the last 30 days.", "none", manager("won_deals", window="30d")
    )


def busy_place() -> stat.Panel:
    """Return the place within the team by calls."""
    return number(
        "Place by calls",
        "Place within the team by calls of 30 days; 1 is the most. Beside it the place by deals: first by calls and "
        "last by deals is noise.",
        "none",
        recorded("manager:callpulse_activity_30d:rank"),
        ((None, GREY),),
    )


def won_place() -> stat.Panel:
    """Return the place within the team by won deals."""
    return number(
        "Place by deals",
        "Place within the team by won deals of 30 days; 1 is the most, equals share one.",
        "none",
        recorded("manager:callpulse_result_30d:rank"),
    )


def fair() -> stat.Panel:
    """Return the fair comparison."""
    return number(
        "Fair index",
        "Won deals ÷ deals that the department wins from the same kinds of leads (cold, targeted, inbound, repeat). 1: "
        "as good as the others with such leads, however high or low the conversion.",
        "none",
        recorded("manager:callpulse_mix_adjusted_index:90d"),
    ).decimals(2)


def norm() -> stat.Panel:
    """Return the personal norm."""
    return number(
        "Calls a deal",
        "Personal norm: calls of the last 90 days ÷ deals won in them. 1,200 calls for 10 deals: 120 calls a deal.",
        "none",
        manager("calls_per_won_deal", window="90d"),
    ).decimals(0)


def drift() -> stat.Panel:
    """Return how the norm drifts."""
    return number(
        "Norm drift",
        "Calls a deal, this quarter ÷ the one before. 1.3: a deal costs 30 % more calls than it did; then look for "
        "why, or plan with the new norm. From five deals on.",
        "none",
        recorded("manager:callpulse_norm:drift"),
        ((None, GREEN), (1.1, BLUE), (1.25, ORANGE)),
    ).decimals(2)


def planned() -> stat.Panel:
    """Return the calls a day that the plan needs."""
    return number(
        "Plan a day",
        "Calls a working day that the plan needs: planned deals of a month times calls a deal, divided by 21 days.",
        "none",
        manager("plan_calls_per_day"),
        ((None, GREY),),
    ).decimals(0)


def target() -> stat.Panel:
    """Return the deals of the leads given, and the realistic target."""
    return (
        number(
            "Leads to deals",
            "Won deals ÷ leads given, 90 days, and the realistic target of the next quarter: 0.75 percentage points "
            "more, at least 1 % and at most 5 %.",
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
    """Return what the conversion is, was, and surely is."""
    asked = (
        ("7 days", manager("conversion_ratio", window="7d")),
        ("30 days", manager("conversion_ratio", window="30d")),
        ("90 days", manager("conversion_ratio", window="90d")),
        ("surely at least", manager("conversion_ratio_lower", window="90d")),
        ("surely at most", manager("conversion_ratio_upper", window="90d")),
        ("the team", queries.of_teams("team:callpulse_conversion_ratio:90d") + f" and on (team) {manager('on_shift')}"),
    )
    return bars(
        "Conversion",
        "Won deals ÷ calls in which a proposal was discussed. Surely at least and at most: the 95 % interval of the 90 "
        "days; the fewer calls, the wider.",
        "percentunit",
        [instant(expr, name, chr(ord("A") + index)) for index, (name, expr) in enumerate(asked)],
    ).decimals(1)


def kinds() -> bargauge.Panel:
    """Return what kinds of calls there were."""
    return bars(
        "Calls by kind, 30 days",
        "Finished calls of 30 days by kind; unknown where no source said.",
        "none",
        [instant(manager("calls_by_kind", "kind", window="30d"), "{{kind}}")],
    )


def presentations() -> bargauge.Panel:
    """Return how often a call of each kind becomes a presentation."""
    return bars(
        "Presentation, by kind of call",
        "Answered calls with a presentation ÷ answered calls of that kind, 90 days.",
        "percentunit",
        [instant(manager("presentation_ratio", "kind", window="90d"), "{{kind}}")],
    ).decimals(0)


def habits() -> bargauge.Panel:
    """Return the ratios that coaching works on."""
    asked = (
        ("dials answered", manager("connect_ratio", window="30d")),
        ("short calls", manager("short_call_ratio", window="today")),
        ("next step agreed", manager("next_step_ratio", window="30d")),
        ("next step kept", manager("next_steps_kept_ratio", window="30d")),
    )
    return (
        bars(
            "Habits",
            "Dials answered by a person (30 days). Short: under 2 min of talk ÷ answered (today). Next step agreed ÷ "
            "conversations, and kept ÷ due (30 days).",
            "percentunit",
            [instant(expr, name, chr(ord("A") + index)) for index, (name, expr) in enumerate(asked)],
        )
        .decimals(0)
        .max(1)
    )


def signature() -> stat.Panel:
    """Return how this manager wins."""
    said = {0: ("mixed", GREY), 1: ("long first call, quick close", GREEN), 2: ("many short calls", YELLOW)}
    return number(
        "How deals are won",
        "Long first call, quick close: first calls of won leads last 5 min and more, and a deal takes at most 3 calls. "
        "Many short calls: the reverse. From three deals on.",
        "none",
        recorded("manager:callpulse_skill_signature"),
    ).mappings(common.words(said))


def stages() -> bargauge.Panel:
    """Return where the open leads stand."""
    return bars(
        "Open leads by stage",
        "Open leads called in the last 30 days, by stage of their deal; none: no deal yet.",
        "none",
        [instant(manager("open_leads_by_stage", "stage"), "{{stage}}")],
    )


def ages() -> bargauge.Panel:
    """Return for how long they have stood there."""
    return bars(
        "Days in stage",
        "How many days those leads have stood in their stage, on average.",
        "none",
        [instant(f"{manager('mean_stage_age_seconds', 'stage')} / {DAY_S}", "{{stage}}")],
    ).decimals(0)


def vain() -> bargauge.Panel:
    """Return how many conversations in a row brought nothing."""
    return bars(
        "Conversations without progress",
        "Open leads by conversations in a row that brought no next step and no new stage. From three on a mentor "
        "should look at them, from five on they are stuck.",
        "none",
        [instant(manager("open_leads_by_conversations", "conversations"), "{{conversations}} in a row")],
    )


def reasons() -> bargauge.Panel:
    """Return why leads were called again."""
    return bars(
        "Why leads are called again",
        "Follow-up calls of 30 days by reason. Mostly reminders: the calls bring no news.",
        "none",
        [instant(f"sort_desc({manager('follow_up_calls', 'reason', window='30d')})", "{{reason}}")],
    )


def attention() -> table.Panel:
    """Return the leads that need help."""
    return tables.attention({"lead": "Lead", "why": "Why"})


def board() -> dashboards.Dashboard:
    """Return the board."""
    top = (doing(), since(), last_hour(), usual_hour(), deviation(), today(), by_now(), meaningful())
    norms = (won(), won_place(), busy_place(), fair(), norm(), drift(), planned(), target())
    return common.assemble(
        "callpulse-manager",
        "Manager",
        "One manager: now, the day against what is usual, results against the own norm, and the leads.",
        [
            *((3 * column, 0, 3, 4, panel) for column, panel in enumerate(top)),
            (0, 4, 12, 8, course()),
            (12, 4, 12, 8, talk()),
            (0, 12, 24, 3, day()),
            (0, 15, 24, 1, dashboards.Row("Result, against the own norm")),
            *((3 * column, 16, 3, 4, panel) for column, panel in enumerate(norms)),
            (0, 20, 24, 1, dashboards.Row("How the calls are made up")),
            (0, 21, 6, 8, conversions()),
            (6, 21, 6, 8, kinds()),
            (12, 21, 6, 8, presentations()),
            (18, 21, 6, 5, habits()),
            (18, 26, 6, 3, signature()),
            (0, 29, 24, 1, dashboards.Row("Leads")),
            (0, 30, 8, 10, attention()),
            (8, 30, 8, 5, stages()),
            (16, 30, 8, 5, ages()),
            (8, 35, 8, 5, vain()),
            (16, 35, 8, 5, reasons()),
        ],
        one=True,
    )
