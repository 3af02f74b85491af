"""The catalogue of coaching: figures from the transcripts of a manager's calls.

Figures are quotients of sums over the calls with a transcript; docs/coaching.md defines the sums. A figure of fewer
than `speech.min_calls` calls is not exported, nor is one that no source can give.
"""

from __future__ import annotations

from typing import Final

from streams.metrics.metric import Count, of_manager

_HEARD: Final = Count("calls with a transcript", "heard_calls", exact=False)
_HEARD_OF_KIND: Final = Count("calls of the kind with a transcript", "heard_calls", exact=False)

COACHING: Final = (
    of_manager(
        "heard_call_ratio",
        "Answered calls with a transcript divided by answered calls, in the window (30d): the coverage of all figures "
        "of coaching.",
        "window",
        unit="ratio",
        measure=4,
        over=(Count("calls with a transcript", "heard_calls"), Count("answered calls", "answered_calls")),
    ),
    of_manager(
        "talking_seconds",
        "How long the manager has talked without a pause or an answer in a call that is in progress.",
        unit="seconds",
        measure=4,
    ),
    of_manager("heard_calls", "Answered calls with a transcript, in the window (today, 30d).", "window", measure=4),
    of_manager(
        "flagged_calls",
        "Calls with a flag, in the window: any flag (today), and each flag (30d). fillers: one filler phrase "
        "{flag_fillers} or more; no_clarifying_question: a conversation without one; monologue: {flag_monologue} or "
        "longer; interruptions: {flag_interruptions} or more by the manager; objection_unmet: no reaction followed; "
        "no_next_step: a conversation without one.",
        "window",
        "flag",
        measure=4,
    ),
    of_manager(
        "heard_stage_moves_per_call",
        "Changes of the stage that were heard, divided by calls of the kind with a transcript, in the window (30d). A "
        "call that moves is better than a long one that stands still.",
        "window",
        "kind",
        unit="ratio",
        measure=2,
        over=(Count("changes of the stage that were heard"), _HEARD_OF_KIND),
    ),
    of_manager(
        "heard_talk_seconds",
        "Mean talk time of the calls of the kind with a transcript, in the window (30d).",
        "window",
        "kind",
        unit="seconds",
        measure=2,
        over=(Count("talk time"), _HEARD_OF_KIND),
    ),
    of_manager(
        "talk_share_ratio",
        "Speech of the manager divided by the speech of both sides, in the window (30d).",
        "window",
        unit="ratio",
        measure=4,
        over=(Count("speech of the manager"), Count("speech of both sides", "heard_calls", exact=False)),
    ),
    of_manager(
        "fillers_per_ten_minutes",
        "Filler phrases divided by ten minutes of the manager's own speech, in the window (30d). A matter of style.",
        "window",
        measure=4,
        over=(Count("filler phrases"), Count("ten minutes of own speech", "heard_calls", exact=False)),
    ),
    of_manager(
        "questions_per_call",
        "Questions of the manager divided by calls in which questions can be recognised, in the window (30d).",
        "window",
        measure=4,
        over=(Count("questions of the manager"), _HEARD),
    ),
    of_manager(
        "open_question_ratio",
        "Open questions and questions with a question word, divided by questions of the manager, in the window (30d).",
        "window",
        unit="ratio",
        measure=4,
        over=(Count("open questions"), Count("questions of the manager", "heard_calls", exact=False)),
    ),
    of_manager(
        "clarifying_question_ratio",
        "Clarifying questions divided by questions of the manager, in the window (30d).",
        "window",
        unit="ratio",
        measure=4,
        over=(Count("clarifying questions"), Count("questions of the manager", "heard_calls", exact=False)),
    ),
    of_manager(
        "longest_monologue_seconds",
        "Mean of the longest monologue of the manager in each call, in the window (30d).",
        "window",
        unit="seconds",
        measure=4,
        over=(Count("longest monologues"), _HEARD),
    ),
    of_manager(
        "patience_seconds",
        "Mean of the median pause before the manager's replies in each call, in the window (30d).",
        "window",
        unit="seconds",
        measure=4,
        over=(Count("median pauses"), _HEARD),
    ),
    of_manager(
        "interruptions_per_call",
        "Interruptions by the manager divided by calls in which they can be heard, in the window (30d).",
        "window",
        measure=4,
        over=(Count("interruptions by the manager"), _HEARD),
    ),
    of_manager(
        "silence_ratio",
        "Silence of {silence} or longer divided by the time from the first speech to the last, in the window (30d).",
        "window",
        unit="ratio",
        measure=4,
        over=(Count("silence"), Count("time of the calls", "heard_calls", exact=False)),
    ),
    of_manager(
        "objections_met_ratio",
        "Objections to which the manager reacted, divided by objections that were heard, in the window (30d).",
        "window",
        unit="ratio",
        measure=4,
        over=(Count("objections with a reaction"), Count("objections", "heard_calls", exact=False)),
    ),
    of_manager(
        "heard_next_step_ratio",
        "Conversations in which a next step was heard to be agreed, divided by conversations with a transcript, in the "
        "window (30d).",
        "window",
        unit="ratio",
        measure=4,
        over=(
            Count("conversations in which a next step was heard to be agreed"),
            Count("conversations with a transcript", "heard_calls", exact=False),
        ),
    ),
)
