"""The span in which a source's senders may repeat an event, compared with the memory of the workers.

A sender that tries again for a day, or an export of yesterday, repeats events whose ids the workers have forgotten by
then, and they would count twice. The form of a source's settings has it as `memory_ms`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from streams.settings.reader import Problem, duration_text, join
from streams.settings.settings import Settings

_KEY: Final = "thresholds.retry_horizon"


def needed(settings: Settings) -> dict[str, int]:
    """Return the span in milliseconds that each configured source needs, by its key; sources without one left out."""
    return dict(_walk(settings.sources, "sources", settings.origins))


def problems(settings: Settings) -> list[Problem]:
    """Return the problems of `thresholds.retry_horizon`: none, or one that names the sources."""
    held = settings.thresholds.retry_horizon_ms
    short = {key: span for key, span in needed(settings).items() if span > held}
    if not short:
        return []
    longest = max(short.values())
    names = ", ".join(short)
    why = "may send an event again so long after it, and it would count twice"
    return [Problem(_KEY, f'is "{duration_text(held)}"; set "{_hours(longest)}" or more: {names} {why}')]


def _walk(held: Struct, key: str, origins: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for name in held.__struct_fields__:
        inner, place = getattr(held, name), join(key, name)
        tables = inner.items() if isinstance(inner, Mapping) else ()
        for table, one in tables:
            if isinstance(one, Struct) and (span := getattr(one, "memory_ms", 0)):
                yield join(place, table), span
        if isinstance(inner, Struct):
            span = getattr(inner, "memory_ms", 0)
            if span and any(
                _is_inside(set_key, place) and origin != "privacy.region" for set_key, origin in origins.items()
            ):
                yield place, span
            yield from _walk(inner, place, origins)


def _is_inside(key: str, table: str) -> bool:
    return key == table or key.startswith(f"{table}.")


def _hours(ms: int) -> str:
    """Write a span in the notation of the documentation: a day is 24 hours."""
    return f"{ms // 3_600_000}h" if ms % 3_600_000 == 0 else duration_text(ms)
