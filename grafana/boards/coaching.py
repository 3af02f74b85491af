"""The board *Coaching*: figures from transcripts, per manager, beside the team and the manager's own past."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as options

from grafana import common, queries, tables
from grafana.common import BLUE, GREY, YELLOW, bars, instant, lines, number, query
from grafana.config import Config
from grafana.queries import manager
from grafana.tables import Column, quiet, share, whole
from streams.contract.events import KINDS
from streams.speech.flags import FLAGS

_ABSENT: Final = (
    "A dot: fewer than <<min_calls>> calls with a transcript in 30 days, or a source that cannot give the figure."
)
_NOTHING: Final = "No call was heard: coaching needs transcripts. While Data is not Live, none is known."
_OF: Final = {"name": "Manager", "manager": tables.HIDDEN}
_FLAG_WORDS: Final = {
    "fillers": "one filler phrase again and again",
    "no_clarifying_question": "no clarifying question",
    "monologue": "long monologue",
    "interruptions": "interrupts the customer",
    "objection_unmet": "an objection without a reaction",
    "no_next_step": "no next step",
}


def _mean(metric: str) -> str:
    return queries.mean(metric, window="30d")


def coverage() -> stat.Panel:
    """Return the share of answered calls with a transcript."""
    return number(
        "Heard",
        "Answered calls of 30 days with a transcript ÷ answered calls, of all selected managers. All figures of this "
        "board are of these calls alone. Much less than usual: is the recogniser's feed broken? See the board Sources.",
        "percentunit",
        _mean("heard_call_ratio"),
        ((None, GREY),),
        empty="not heard",
    )


def flagged() -> stat.Panel:
    """Return the calls of today with a flag."""
    return number(
        "Flagged today",
        "Calls of today that may be worth listening to. callpulse coaching MANAGER names them, with the moments.",
        "none",
        f"sum({manager('flagged_calls', window='today', flag='any')})",
        empty="not heard",
    )


def talk_share() -> stat.Panel:
    """Return the manager's share of the talk."""
    return number(
        "Talk share",
        "Speech of the manager ÷ speech of both sides, 30 days. No target: compare managers with the same kinds of "
        "calls, and each with the own past, below.",
        "percentunit",
        _mean("talk_share_ratio"),
        ((None, GREY),),
        empty="not heard",
    )


def questions() -> stat.Panel:
    """Return the questions of a call."""
    return number(
        "Questions per call",
        "Questions of the manager ÷ calls in which questions can be recognised, 30 days. Sources without punctuation "
        "hide Russian yes-no questions, so their calls are left out.",
        "none",
        _mean("questions_per_call"),
        ((None, GREY),),
        empty="not heard",
    ).decimals(1)


def next_steps() -> stat.Panel:
    """Return the share of conversations with a next step, by transcripts and by the CRM."""
    return (
        number(
            "Next step",
            "Conversations of 30 days in which a next step was agreed: as it was heard, and as the CRM notes it. Heard "
            "and not noted: the agreement is lost when the manager is away.",
            "percentunit",
            _mean("heard_next_step_ratio"),
            ((None, GREY),),
            empty="not heard",
        )
        .with_target(instant(_mean("next_step_ratio"), "noted", "B"))
        .override_by_query("A", common.override(displayName="heard"))
        .override_by_query("B", common.override(displayName="noted"))
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME)
    )


def objections() -> stat.Panel:
    """Return the share of objections that were taken up."""
    return number(
        "Objections met",
        "Objections to which the manager reacted ÷ objections that were heard, 30 days.",
        "percentunit",
        _mean("objections_met_ratio"),
        ((None, GREY),),
        empty="not heard",
    )


def talking(config: Config) -> table.Panel:
    """Return the managers with a long monologue in a call in progress."""
    limit = config.settings.speech.long_turn_ms / 1000
    return tables.of_columns(
        "Talking without a pause now",
        "Managers who have talked for <<long_turn>> or longer in a call that is in progress, without a pause and "
        "without an answer of the customer. Listen in, or ask afterwards what the customer said.",
        tables.MANAGER,
        [Column("For", f"{manager('talking_seconds')} >= {limit:g}", "s", ((None, YELLOW),), more={"decimals": 0})],
        "For",
    ).no_value("Nobody. While Data is not Live, none is known.")


def flags() -> bargauge.Panel:
    """Return the number of calls by flag."""
    return bars(
        "Flags, 30 days",
        "Calls with each flag, of the selected managers. A flag is no verdict: listen to the moments that callpulse "
        "coaching MANAGER shows. Filler phrases are a matter of style.",
        "none",
        [
            instant(
                f"sum({manager('flagged_calls', window='30d', flag=flag)})", _FLAG_WORDS[flag], chr(ord("A") + place)
            )
            for place, flag in enumerate(FLAGS)
        ],
    ).no_value("No transcript yet. While Data is not Live, none is known.")


def habits() -> table.Panel:
    """Return the habits of each manager."""

    def of(metric: str) -> str:
        return manager(metric, window="30d")

    noted = f"{of('next_step_ratio')} and on (manager, team) {of('heard_calls')}"
    return tables.of_columns(
        "Habits, 30 days",
        "Heard: calls with a transcript; Of all: their part of answered calls. Talk: the manager's part of the talk. "
        "Asks: questions per call. Clarify: clarifying ones of all. Longest: mean of the longest monologue of each "
        "call, seconds. Pause: before a reply, seconds. Cuts in: interruptions per call. Met: objections with a "
        "reaction. Step, Noted: conversations with a next step, as heard and as in the CRM. Fillers: phrases for ten "
        "minutes of own speech, a matter of style. callpulse coaching MANAGER: which two habits to train, compared "
        f"with the team in the same kinds of calls. {_ABSENT}",
        _OF,
        [
            whole("Heard", of("heard_calls")),
            share("Of all", f"{of('heard_call_ratio')} > 0"),  # else 300 lines of dots where nothing is heard
            share("Talk", of("talk_share_ratio")),
            Column("Asks", of("questions_per_call"), more={"decimals": 1}),
            share("Clarify", of("clarifying_question_ratio")),
            share("Open", of("open_question_ratio")),
            Column("Longest", of("longest_monologue_seconds"), more={"decimals": 0}),
            Column("Pause", of("patience_seconds"), more={"decimals": 1}),
            Column("Cuts in", of("interruptions_per_call"), more={"decimals": 1}),
            share("Silence", of("silence_ratio")),
            share("Met", of("objections_met_ratio")),
            share("Step", of("heard_next_step_ratio")),
            share("Noted", noted),
            Column("Fillers", of("fillers_per_ten_minutes"), more={"decimals": 1}),
        ],
        "Heard",
    ).no_value(_NOTHING)


def movement() -> table.Panel:
    """Return the progress of calls beside their length, per manager and kind."""
    columns: list[Column] = []
    for kind in KINDS:
        moves = manager("heard_stage_moves_per_call", window="30d", kind=kind)
        talk = manager("heard_talk_seconds", window="30d", kind=kind)
        columns += [
            Column(f"{kind}: moves", moves, thresholds=((None, BLUE),), more={"decimals": 1, "mappings": quiet()}),
            Column(f"{kind}: talk", talk, "s", more={"decimals": 0}),
        ]
    return tables.of_columns(
        "Does talk move? 30 days",
        "Changes of the stage of the conversation that were heard, per call, beside the mean talk time of these calls; "
        "by kind of call. A call that moves is better than a long one that stands still: few moves in long calls are "
        f"worth a training. {_ABSENT}",
        _OF,
        columns,
        f"{KINDS[0]}: moves",
    ).no_value(_NOTHING)


def course(metric: str, title: str, text: str, unit: str) -> timeseries.Panel:
    """Return a habit of each selected manager over time, beside the mean of all that are selected."""
    most = f"topk({common.MOST_LINES}, {queries.at_end('heard_calls', window='30d')})"
    each = f"{manager(metric, window='30d')} and on (manager, team) {most}"
    panel = lines(
        title,
        f"{text} Each point is of the 30 days before it. The eight selected managers of whom most calls were heard; "
        "dashed: the mean of all that are selected.",
        unit,
        [query(queries.with_name(each), "{{name}}"), query(_mean(metric), "mean", "B")],
        least=None,
    )
    return panel.fill_opacity(0).override_by_name("mean", common.dashed()).no_value(_NOTHING)


def board(config: Config) -> dashboards.Dashboard:
    """Return the board."""
    top = (coverage(), flagged(), talk_share(), questions(), objections(), next_steps())
    return common.assemble(
        config,
        "coaching",
        "Coaching",
        "What is heard in calls: questions, talk, objections, next steps; beside the team and the own past.",
        [
            *((4 * place, 0, 4, 4, panel) for place, panel in enumerate(top)),
            (0, 4, 8, 7, talking(config)),
            (8, 4, 16, 7, flags()),
            (0, 11, 24, 10, habits()),
            (0, 21, 24, 10, movement()),
            (0, 31, 8, 8, course("talk_share_ratio", "Talk share", "The manager's part of the talk.", "percentunit")),
            (8, 31, 8, 8, course("questions_per_call", "Questions per call", "Questions of the manager.", "none")),
            (
                16,
                31,
                8,
                8,
                course(
                    "longest_monologue_seconds",
                    "Longest monologue",
                    "Mean of the longest monologue of each call.",
                    "s",
                ),
            ),
        ],
        since="now-30d",
    )
