"""The board *Conversion and funnel*: results and costs by product, client, channel, team and manager."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as options

from grafana import common, queries, tables
from grafana.common import BLUE, GREEN, GREY, MOST_LINES, ORANGE, RED, YELLOW, bars, instant, lines, number, query
from grafana.config import Config
from grafana.queries import manager, of_teams, recorded
from grafana.tables import Column, share

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHANNELS = ("call", "email", "messenger", "meeting")
STEPS = ("presentation", "proposal", "won")
WON, ASKED = "team_value:callpulse_won_deals_90d:sum", "team_value:callpulse_proposal_calls_90d:sum"


def _won(window: str) -> str:
    return f"sum({manager('won_deals', window=window)})"


def _asked(window: str) -> str:
    return f"(sum({manager('proposal_calls', window=window)}) > 0)"


def won() -> stat.Panel:
    """Return the deals won in a month."""
    return number("Won 30 days", "Deals won in the last 30 days by all selected managers.", "none", _won("30d"))


def week() -> stat.Panel:
    """Return the conversion of the week."""
    return number(
        "Conv. 7 days",
        "Won deals ÷ calls in which a proposal was discussed, of the last 7 days, over all selected managers.",
        "percentunit",
        f"{_won('7d')} / {_asked('7d')}",
    ).decimals(1)


def quarter() -> stat.Panel:
    """Return the conversion of the quarter."""
    return number(
        "Conv. 90 days",
        "Won deals ÷ calls in which a proposal was discussed, of the last 90 days: 14 deals of 200 such calls are 7 %.",
        "percentunit",
        f"{_won('90d')} / {_asked('90d')}",
    ).decimals(1)


def confidence_interval() -> stat.Panel:
    """Return the interval of the conversion of the quarter."""
    ratio = f"({_won('90d')} / {_asked('90d')})"
    return (
        number(
            "95 % interval",
            "The 95 % interval (Wilson) of the conversion of 90 days. It is wide with few calls.",
            "percentunit",
            queries.bound(ratio, _asked("90d"), "-"),
            ((None, GREY),),
        )
        .decimals(1)
        .with_target(instant(queries.bound(ratio, _asked("90d"), "+"), "and", "B"))
        .override_by_query("A", common.override(displayName="at least"))
        .override_by_query("B", common.override(displayName="at most"))
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME)
    )


def norm() -> stat.Panel:
    """Return the calls per deal."""
    legs = f"sum({queries.calls('90d')})"
    return number(
        "Calls per deal",
        "Calls of the last 90 days ÷ deals won in them: 1,200 calls for 10 deals are 120 calls per deal.",
        "none",
        f"{legs} / ({_won('90d')} > 0)",
        empty="no deal yet",
    ).decimals(0)


def cost_per_deal() -> stat.Panel:
    """Return the cost per deal."""
    return number(
        "Cost per deal",
        "Cost of the calls, e-mails, messages and meetings of 90 days, by the prices in the settings and in their "
        "currency, ÷ deals won.",
        "none",
        f"sum({of_teams('team_channel:callpulse_cost_90d:sum')}) / (sum({of_teams(WON, dimension='channel')}) > 0)",
        empty="no deal yet",
    ).decimals(0)


def amount_per_deal() -> stat.Panel:
    """Return the mean amount of a deal."""
    return number(
        "Amount per deal",
        "Mean amount of a deal won in 90 days, in the currency of the costs: the mean of each manager, weighted with "
        "the deals won.",
        "none",
        queries.mean("mean_won_amount", window="90d"),
        empty="no deal yet",
    ).decimals(0)


def return_ratio() -> stat.Panel:
    """Return the amounts won per cost."""
    return number(
        "Return",
        "Amounts won ÷ cost of all touches, 90 days. 10: one euro of cost brought ten.",
        "none",
        f"sum({of_teams('team_channel:callpulse_won_amount_90d:sum')}) "
        f"/ (sum({of_teams('team_channel:callpulse_cost_90d:sum')}) > 0)",
        ((None, RED), (1, YELLOW), (3, GREEN)),
        empty="no deal yet",
    ).decimals(1)


def funnel() -> bargauge.Panel:
    """Return the leads by the step that they reached."""
    names = (("call", "talked to"), ("presentation", "presentation"), ("proposal", "proposal"), ("won", "won"))
    series = "team_step:callpulse_funnel_leads:sum"
    return bars(
        "Funnel, 90 days",
        "Leads that reached each step for the first time in 90 days: a conversation, a presentation, a proposal, a won "
        "deal.",
        "none",
        [
            instant(f"sum({of_teams(series, window='90d', step=step)})", name, chr(ord("A") + index))
            for index, (step, name) in enumerate(names)
        ],
    )


def step_rates() -> table.Panel:
    """Return the rates from step to step, and the step with the lowest one."""
    rate, every = "team_step:callpulse_funnel_rate:ratio", "step:callpulse_funnel_rate:ratio"
    leak = "team:callpulse_leakiest_step:rate"
    lost = "\nor ".join(
        f"sum by (team) ({of_teams(leak, window='90d', step=step)}) * 0 + {code}"
        for code, step in enumerate(STEPS, start=1)
    )
    said = {code: (step, ORANGE) for code, step in enumerate(STEPS, start=1)}
    columns = []
    for step in STEPS:
        own = f"sum by (team) ({of_teams(rate, window='90d', step=step)})"
        against = f'{own} / on () group_left () (sum({every}{{window="90d", step="{step}"}}) > 0)'
        columns += [
            share(f"To {step}", own),
            Column(
                f"{step[:4]} ÷ all",
                against,
                thresholds=((None, RED), (0.8, "text"), (1.2, GREEN)),
                more={"decimals": 2},
            ),
        ]
    return tables.of_columns(
        "Where leads are lost, 90 days",
        "Share of the leads at one step that reached the next. ÷ all: this rate ÷ the rate of all teams; 0.5 is half "
        "of the department's rate. Loses before: the step with the lowest rate, of the steps that <<funnel_leads>> "
        "leads or more could take.",
        {"name": "Team"},
        (
            *columns,
            Column("Loses before", lost, more={"mappings": common.words(said), "custom.width": 120}),
        ),
        "Team",
        down=False,
    )


def by(dimension: str, title: str, head: str) -> table.Panel:
    """Return the conversion by the values of a dimension."""
    deals = f"sum by (value) ({of_teams(WON, dimension=dimension)})"
    proposals = f"sum by (value) ({of_teams(ASKED, dimension=dimension)})"
    ratio = f"(({deals} or {proposals} * 0) / ({proposals} > 0))"
    return tables.of_columns(
        title,
        "Won deals and calls in which a proposal was discussed, 90 days, of the selected teams. Conversion: deals ÷ "
        "calls. At least and At most: its 95 % interval, which is wide with few calls. None: the CRM named no value.",
        {"value": head},
        (
            Column("Won", f"{deals} or {proposals} * 0", thresholds=((None, BLUE),)),
            Column("Proposals", proposals),
            share("Conversion", ratio, 1),
            share("At least", queries.bound(ratio, proposals, "-"), 1),
            share("At most", queries.bound(ratio, proposals, "+"), 1),
        ),
        "Won",
    )


def _by_channel(title: str, text: str, unit: str, exprs: Sequence[str]) -> bargauge.Panel:
    return bars(
        title,
        text,
        unit,
        [
            instant(expr, channel, chr(ord("A") + index))
            for index, (channel, expr) in enumerate(zip(CHANNELS, exprs, strict=True))
        ],
        empty="No deal yet. While Data is not Live, none is known.",
    )


def _channel(series: str, channel: str) -> str:
    return f"sum({of_teams(series, channel=channel)})"


def cost_per_deal_by_channel() -> bargauge.Panel:
    """Return the cost per deal by channel."""
    cost, won_ = "team_channel:callpulse_cost_90d:sum", "team_channel:callpulse_won_deals_90d:sum"
    return _by_channel(
        "Cost per deal by channel",
        "Cost of the channel's touches in 90 days, by the prices in the settings, ÷ its deals.",
        "none",
        [f"{_channel(cost, channel)} / ({_channel(won_, channel)} > 0)" for channel in CHANNELS],
    ).decimals(0)


def return_by_channel() -> bargauge.Panel:
    """Return the amounts won per cost by channel."""
    brought, cost = "team_channel:callpulse_won_amount_90d:sum", "team_channel:callpulse_cost_90d:sum"
    return _by_channel(
        "Return by channel",
        "Amounts won through the channel ÷ cost of its touches, 90 days.",
        "none",
        [f"{_channel(brought, channel)} / ({_channel(cost, channel)} > 0)" for channel in CHANNELS],
    ).decimals(1)


def weekdays(title: str, text: str, part: str, whole: str, *, per: int, decimals: int) -> bargauge.Panel:
    """Return a figure by weekday, in units of `per`: a metric of teams ÷ another, added up over the teams picked."""

    def of_day(metric: str, day: str) -> str:
        return f"sum({queries.team(metric, weekday=day)})"

    return bars(
        title,
        text,
        "none",
        [
            instant(f"{of_day(part, day)} / ({of_day(whole, day)} > 0) / {per}", day, chr(ord("A") + index))
            for index, day in enumerate(WEEKDAYS)
        ],
        empty="After the first whole day. While Data is not Live, none is known.",
    ).decimals(decimals)


def managers() -> table.Panel:
    """Return norms, targets and the fair comparison per manager."""
    said = {0: ("·", GREY), 1: ("long talk", GREEN), 2: ("many calls", YELLOW)}
    return tables.of_columns(
        "Norms and fair comparison, 90 days",
        "Conversion: won deals ÷ calls in which a proposal was discussed. Fair index: won deals ÷ deals that the "
        "department wins from the same kinds of leads; from and to: its 95 % interval. Per deal: calls per deal, the "
        "personal norm. Drift: this quarter ÷ the one before. Plan: calls per working day that the plan needs. Of "
        "leads: won deals ÷ leads given, beside a realistic Target. Wins by: a long first call and a quick close, or "
        "many short calls.",
        tables.MANAGER,
        (
            Column("Fair index", recorded("manager:callpulse_mix_adjusted_index:90d"), more={"decimals": 2}),
            # Coloured if it is significant: the lower end is better than the others, or the upper end worse.
            Column(
                "from",
                recorded("manager:callpulse_mix_adjusted_index_lower:90d"),
                thresholds=((None, "text"), (1, GREEN)),
                more={"decimals": 2},
            ),
            Column(
                "to",
                recorded("manager:callpulse_mix_adjusted_index_upper:90d"),
                thresholds=((None, ORANGE), (1, "text")),
                more={"decimals": 2},
            ),
            Column("Won", manager("won_deals", window="90d"), thresholds=((None, BLUE),)),
            share("Conversion", manager("conversion_ratio", window="90d"), 1),
            Column("Per deal", manager("calls_per_won_deal", window="90d"), more={"decimals": 0}),
            Column(
                "Drift",
                recorded("manager:callpulse_norm:drift"),
                thresholds=((None, GREEN), (0.95, "text"), (1.25, ORANGE)),
                more={"decimals": 2},
            ),
            Column("Plan", manager("plan_calls_per_day"), more={"decimals": 0}),
            share("Of leads", manager("first_call_deal_ratio", window="90d"), 1),
            share("Target", manager("target_ratio"), 1),
            Column(
                "Wins by",
                recorded("manager:callpulse_skill_signature"),
                more={"mappings": common.words(said), "custom.width": 110},
            ),
        ),
        "Fair index",
    )


def course() -> timeseries.Panel:
    """Return the course of the conversion of the teams."""
    each = of_teams("team:callpulse_conversion_ratio:90d")
    lowest = f"{each} and on (team) bottomk({MOST_LINES}, {each} @ end())"
    return lines(
        "Conversion of the teams",
        "Won deals ÷ calls in which a proposal was discussed in the 90 days before: the eight selected teams with the "
        "lowest conversion now.",
        "percentunit",
        [query(queries.with_team_name(lowest), "{{name}}")],
    ).fill_opacity(0)


def board(config: Config) -> dashboards.Dashboard:
    """Return the board."""
    top = (
        won(),
        week(),
        quarter(),
        confidence_interval(),
        norm(),
        cost_per_deal(),
        amount_per_deal(),
        return_ratio(),
    )
    return common.assemble(
        config,
        "conversion",
        "Conversion and funnel",
        "Results and costs of calls: by product, client, channel, kind of lead, team and manager.",
        [
            *((3 * column, 0, 3, 4, panel) for column, panel in enumerate(top)),
            (0, 4, 8, 8, funnel()),
            (8, 4, 16, 8, step_rates()),
            (0, 12, 24, 14, managers()),
            (0, 26, 12, 7, by("product", "By product", "Product")),
            (12, 26, 12, 7, by("client_type", "By type of client", "Client")),
            (0, 33, 12, 7, by("channel", "By channel of the deal", "Channel")),
            (12, 33, 12, 7, by("first_kind", "By kind of the first call", "First call")),
            (0, 40, 12, 7, cost_per_deal_by_channel()),
            (12, 40, 12, 7, return_by_channel()),
            (
                0,
                47,
                7,
                9,
                weekdays(
                    "Calls per day, by weekday",
                    "Calls per manager and working day, mean of the last eight weeks and of the selected teams.",
                    "weekday_calls",
                    "weekday_days",
                    per=1,
                    decimals=0,
                ),
            ),
            (
                7,
                47,
                7,
                9,
                weekdays(
                    "Minutes of talk per call, by weekday",
                    "Talk time ÷ finished calls, mean of the last eight weeks and of the selected teams.",
                    "weekday_talk_seconds",
                    "weekday_calls",
                    per=60,
                    decimals=1,
                ),
            ),
            (14, 47, 10, 9, course()),
        ],
        since="now-30d",
    )
