"""The figures of a coaching row on a local day: quotients of sums over the manager's calls with a transcript.

The reader leaves out a figure of fewer calls than `speech.min_calls`, and one that no source of the manager can give.
"""

from __future__ import annotations

from itertools import accumulate, product
from typing import Final

from msgspec import Struct

from streams.contract.events import KINDS
from streams.settings.settings import Settings
from streams.speech.flags import FLAGS
from streams.tables import measures
from streams.tables.coaching.contributions import ANY
from streams.tables.measures import all_labelled, labelled
from streams.tables.outcome.fold import OutcomeRow
from streams.tables.outcome.fold import totals as totals_of
from streams.tables.outcome.totals import Layout, Totals
from streams.tables.outcome.view import Series, Value
from streams.windows import TODAY

_MONTH: Final = "30d"
_QUOTIENTS: Final = (
    ("talk_share_ratio", measures.TALK_MANAGER_MS, None, 1.0),
    ("fillers_per_ten_minutes", measures.FILLERS, measures.FILLERS_TALK_MS, 600_000.0),
    ("questions_per_call", measures.QUESTIONS, measures.QUESTIONED, 1.0),
    ("open_question_ratio", measures.OPEN_QUESTIONS, measures.QUESTIONS, 1.0),
    ("clarifying_question_ratio", measures.CLARIFYING, measures.CLARIFIABLE, 1.0),
    ("longest_monologue_seconds", measures.MONOLOGUE_MS, measures.MONOLOGUES, 0.001),
    ("patience_seconds", measures.PATIENCE_MS, measures.PATIENCES, 0.001),
    ("interruptions_per_call", measures.INTERRUPTIONS, measures.INTERRUPTIBLE, 1.0),
    ("silence_ratio", measures.SILENCE_MS, measures.SILENCE_SPAN_MS, 1.0),
    ("objections_met_ratio", measures.OBJECTIONS_MET, measures.OBJECTIONS, 1.0),
    ("heard_next_step_ratio", measures.STEPS_HEARD, measures.HEARD_CONVERSATIONS, 1.0),
)
"""(metric, numerator, denominator, factor) over 30 days. The talk share is of the talk of both sides."""


class CoachingView(Struct, gc=False):
    """The figures of a manager's transcripts on a day.

    `values` are aligned with `CoachingReader.series`. `heard` is the number of calls with a transcript in 30 days.
    """

    values: list[Value]
    heard: int


class CoachingCache:
    """The last reading of one row. It may be used with another row: it starts anew. Use it with one reader only."""

    __slots__ = ("revision", "row", "today", "view")

    def __init__(self) -> None:
        self.row: OutcomeRow | None = None
        self.view: CoachingView | None = None
        self.today = self.revision = 0


class CoachingReader:
    """Reads coaching rows under the given settings. Stateless; a `CoachingCache` makes repeated readings fast."""

    def __init__(self, settings: Settings) -> None:
        self._min_calls = settings.speech.min_calls
        blocks = {
            "of kind": (
                *all_labelled(measures.HEARD_OF_KIND, KINDS),
                *all_labelled(measures.HEARD_MOVES, KINDS),
                *all_labelled(measures.HEARD_TALK_MS, KINDS),
            ),
            "flags": all_labelled(measures.FLAG, FLAGS),
            "single": (measures.HEARD, labelled(measures.FLAG, ANY), measures.TALK_CUSTOMER_MS),
            "quotients": tuple(
                measure for _, part, whole, _ in _QUOTIENTS for measure in (part, whole or measures.TALK_CUSTOMER_MS)
            ),
        }
        self._layout = Layout(*(measure for block in blocks.values() for measure in block))
        ends = [*accumulate(map(len, blocks.values()))]
        self._slices = {
            name: slice(end - len(block), end)
            for (name, block), end in zip(list(blocks.items())[:3], ends[:3], strict=True)
        }
        self._places = [
            (self._layout.places[part], self._layout.places[whole or measures.TALK_CUSTOMER_MS], whole is None, factor)
            for _, part, whole, factor in _QUOTIENTS
        ]
        self.series = self._series()
        self.nothing = CoachingView([None] * len(self.series), 0)

    def _series(self) -> tuple[Series, ...]:
        """Return the series of `_values`, in the same order."""
        of: dict[str, list[tuple[str, ...]]] = {
            "heard_calls": [(TODAY,), (_MONTH,)],
            "flagged_calls": [(TODAY, ANY), *product((_MONTH,), FLAGS)],
            "heard_stage_moves_per_call": list(product((_MONTH,), KINDS)),
            "heard_talk_seconds": list(product((_MONTH,), KINDS)),
            **{name: [(_MONTH,)] for name, *_ in _QUOTIENTS},
        }
        return tuple((name, labels) for name, all_labels in of.items() for labels in all_labels)

    def read(self, row: OutcomeRow, today: int, cache: CoachingCache | None = None) -> CoachingView:
        """Return the figures of the manager's transcripts on the local day `today`.

        `cache` is the one of the previous reading, if any.
        """
        cache = cache or CoachingCache()
        revision = row.state.revision
        if cache.view is not None and cache.row is row and (cache.today, cache.revision) == (today, revision):
            return cache.view
        totals = totals_of(row, today, self._layout)
        view = CoachingView(self._values(totals), totals.month[self._slices["single"].start])
        cache.row, cache.today, cache.revision, cache.view = row, today, revision, view
        return view

    def _values(self, totals: Totals) -> list[Value]:
        month = totals.month
        heard_today, flagged_today, _ = totals.today[self._slices["single"]]
        heard = month[self._slices["single"].start]
        of_kind = month[self._slices["of kind"]]
        number = len(KINDS)
        calls, moves, talk_ms = of_kind[:number], of_kind[number : 2 * number], of_kind[2 * number :]
        values: list[Value] = [heard_today, heard, flagged_today, *month[self._slices["flags"]]]
        values += [self._of_enough(part, whole, whole, 1.0) for part, whole in zip(moves, calls, strict=True)]
        values += [self._of_enough(part, whole, whole, 0.001) for part, whole in zip(talk_ms, calls, strict=True)]
        for part, whole, of_both, factor in self._places:
            over = month[whole] + month[part] if of_both else month[whole]
            values.append(self._of_enough(month[part], over, heard, factor))
        return values

    def _of_enough(self, part: int, whole: int, calls: int, factor: float) -> Value:
        return part * factor / whole if whole and calls >= self._min_calls else None
