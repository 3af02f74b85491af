"""The words by which the texts of the catalogue name the settings: one per number, filled in by `catalogue`.

`{short}` in a text stands for `thresholds.short`, and so on; the words are the keys of `words`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

from streams.settings.settings import Settings
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

Language: TypeAlias = Literal["en", "ru"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

_UNITS: Final[Mapping[Language, Mapping[int, str]]] = {
    "en": {DAY_MS: "days", HOUR_MS: "h", MINUTE_MS: "min", SECOND_MS: "s", 1: "ms"},
    "ru": {DAY_MS: "дней", HOUR_MS: "ч", MINUTE_MS: "мин", SECOND_MS: "с", 1: "мс"},
}


def span(ms: int, language: Language = "en") -> str:
    """Return a span of milliseconds for a reader, in the largest unit of which it has two or more: "60 s", "2 min"."""
    units = _UNITS[language]
    for unit in (DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS):
        if ms % unit == 0 and ms >= 2 * unit:
            count, name = ms // unit, units[unit]
            return f"{count} {plural(count, 'день', 'дня', name) if name == 'дней' else name}"
    return f"{ms // SECOND_MS} {units[SECOND_MS]}" if ms % SECOND_MS == 0 else f"{ms} {units[1]}"


def plural(count: int, one: str, few: str, many: str) -> str:
    """Return the Russian form of a noun after a number: 21 день, 22 дня, 25 дней, 11 дней."""
    tens, units = divmod(count % 100, 10)
    if tens == 1 or units in {0, 5, 6, 7, 8, 9}:
        return many
    return one if units == 1 else few


def decimal(number: float, language: Language = "en") -> str:
    """Return a number for a reader: "0.75", in Russian "0,75"."""
    return f"{number:g}" if language == "en" else f"{number:g}".replace(".", ",")


def percent(ratio: float, language: Language = "en") -> str:
    """Return a ratio for a reader: "0.75 %"."""
    return f"{decimal(ratio * 100, language)} %"


def times(count: int, language: Language = "en") -> str:
    """Return a frequency for a reader: "once", "3 times".

    In Russian in the genitive, for texts that say "more than" before it.
    """
    if language == "ru":
        return f"{count} {plural(count, 'раза', 'раз', 'раз')}"
    return "once" if count == 1 else f"{count} times"


def between(low: object, high: object, language: Language = "en") -> str:
    """Return a range for a reader: "40 to 60", in Russian "40–60"."""
    return f"{low}–{high}" if language == "ru" else f"{low} to {high}"


def words(settings: Settings, language: Language = "en") -> Mapping[str, str]:
    """Return the values of the words in the texts."""
    thresholds, results, targets, speech = settings.thresholds, settings.results, settings.targets, settings.speech
    spans = {
        "conversation": thresholds.conversation_ms,
        "short": thresholds.short_ms,
        "meaningful": thresholds.meaningful_ms,
        "work_gap": thresholds.work_gap_ms,
        "work_block": thresholds.work_block_ms,
        "break_after": thresholds.break_after_ms,
        "max_call": thresholds.max_call_ms,
        "long_first_call": results.long_first_call_ms,
        "flag_monologue": speech.flag_monologue_ms,
        "silence": speech.silence_ms,
        "long_turn": speech.long_turn_ms,
    }
    first, last = results.permitted_hours.split("-")
    return {
        **{name: span(ms, language) for name, ms in spans.items()},
        "meaningful_target": between(*thresholds.meaningful_target, language),
        "attempts_target": between(*thresholds.attempts_target, language),
        "calls_per_lead_day": times(thresholds.calls_per_lead_day, language),
        "mentor_after": str(results.mentor_after),
        "stuck_after": str(results.stuck_after),
        "attention_series": str(results.attention_series),
        "permitted_hours": between(first, last, language),
        "quick_close": str(results.quick_close),
        "gain": decimal(targets.gain * 100, language),
        "floor": percent(targets.floor, language),
        "cap": percent(targets.cap, language),
        "flag_fillers": times(speech.flag_fillers, language),
        "flag_interruptions": str(speech.flag_interruptions),
        "min_calls": str(speech.min_calls),
    }
