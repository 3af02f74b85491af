"""How the texts of the catalogue name the settings: one word per number, filled in by `catalogue`.

`{short}` in a text stands for `thresholds.short`, and so on; the words are the keys of `words`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.settings.settings import Settings
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

_UNITS: Final = ((DAY_MS, "days"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (SECOND_MS, "s"))


def span(ms: int) -> str:
    """Return a span of milliseconds for a reader, in the largest unit of which it has two or more: "60 s", "2 min"."""
    for unit, name in _UNITS:
        if ms % unit == 0 and ms >= 2 * unit:
            return f"{ms // unit} {name}"
    return f"{ms // SECOND_MS} s" if ms % SECOND_MS == 0 else f"{ms} ms"


def percent(ratio: float) -> str:
    """Return a ratio for a reader: "0.75 %"."""
    return f"{ratio * 100:g} %"


def times(count: int) -> str:
    """Return how often: "once", "3 times"."""
    return "once" if count == 1 else f"{count} times"


def words(settings: Settings) -> Mapping[str, str]:
    """Return what the words in the texts stand for."""
    thresholds, results, targets, speech = settings.thresholds, settings.results, settings.targets, settings.speech
    (low, high), (few, many) = thresholds.meaningful_target, thresholds.attempts_target
    return {
        "conversation": span(thresholds.conversation_ms),
        "short": span(thresholds.short_ms),
        "meaningful": span(thresholds.meaningful_ms),
        "meaningful_target": f"{low} to {high}",
        "attempts_target": f"{few} to {many}",
        "work_gap": span(thresholds.work_gap_ms),
        "work_block": span(thresholds.work_block_ms),
        "break_after": span(thresholds.break_after_ms),
        "max_call": span(thresholds.max_call_ms),
        "calls_per_lead_day": times(thresholds.calls_per_lead_day),
        "mentor_after": str(results.mentor_after),
        "stuck_after": str(results.stuck_after),
        "attention_series": str(results.attention_series),
        "permitted_hours": results.permitted_hours.replace("-", " to "),
        "long_first_call": span(results.long_first_call_ms),
        "quick_close": str(results.quick_close),
        "gain": f"{targets.gain * 100:g}",
        "floor": percent(targets.floor),
        "cap": percent(targets.cap),
        "flag_fillers": times(speech.flag_fillers),
        "flag_monologue": span(speech.flag_monologue_ms),
        "flag_interruptions": str(speech.flag_interruptions),
        "silence": span(speech.silence_ms),
        "long_turn": span(speech.long_turn_ms),
        "min_calls": str(speech.min_calls),
    }
