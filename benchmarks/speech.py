"""Speech: the cost of reading a transcript, from an event's bytes to the row of its leg, in one process."""

from __future__ import annotations

import subprocess
from typing import Any, Final

import msgspec

from benchmarks import native, speech_load
from benchmarks.measures import Result, Target
from benchmarks.peers.catalogue import ROOT
from benchmarks.speech_work import SIZES, UTTERANCES, Found

RATE: Final = 30_000
FLAT: Final = 1.25
"""The greatest factor of the time among 10,000 phrases over that among 100."""


def measure(_bootstrap: str, **_: Any) -> Result:
    """Measure the compiled callpulse, if there is one, and its source."""
    pure = _found(compiled=False)
    best = _found(compiled=True) if native.is_built() else pure
    rate = 1e6 / best.all_finals
    ratio = best.sizes[SIZES[-1]] / best.sizes[SIZES[0]]
    wrong = [] if len(set(best.hits.values())) == 1 else [f"lexicons of all sizes find different things: {best.hits}"]
    table = [["µs of processor time an utterance", "compiled" if native.is_built() else "source", "source"]]
    table += [[name, f"{best.parts[name]:.1f}", f"{pure.parts[name]:.1f}"] for name in best.parts]
    table += [[f"find among {size:,} phrases", f"{best.sizes[size]:.1f}", f"{pure.sizes[size]:.1f}"] for size in SIZES]
    table += [
        ["all, finals", f"{best.all_finals:.1f}", f"{pure.all_finals:.1f}"],
        ["all, interims and finals", f"{best.all_interims:.1f}", f"{pure.all_interims:.1f}"],
        ["utterances/s, finals", f"{rate:,.0f}", f"{1e6 / pure.all_finals:,.0f}"],
        ["utterances/s, interims and finals", f"{1e6 / best.all_interims:,.0f}", f"{1e6 / pure.all_interims:,.0f}"],
    ]
    kib = UTTERANCES / 1024
    of_what = (
        f"{best.utterances:,} utterances of {speech_load.WORDS} words, Russian and English in turn, half of the calls "
        f"with times of words, {best.bytes_of_record:.0f} bytes an event; both shipped lexicons, {best.phrases:,} "
        f"phrases; {speech_load.INTERIMS} interims a final. `read` is words, phrases, questions, stretches and the "
        "marks made of them; `all` decodes, reads, folds and encodes the rows once. Without Kafka."
    )
    sizes = (
        f"An utterance takes {best.bytes_of_row:,.0f} bytes in the row of its leg. The record of a leg with "
        f"{UTTERANCES} utterances has {best.bytes_of_row * kib:,.0f} KiB, and each checkpoint before which the leg "
        f"changed writes all of it. In memory, such a leg holds {best.bytes_in_memory * kib:,.0f} KiB while it is open."
    )
    figures = {"best": msgspec.to_builtins(best, str_keys=True), "source": msgspec.to_builtins(pure, str_keys=True)}
    targets = [
        Target("utterances/s in one process", rate, at_least=RATE),
        Target("10,000 phrases to 100, times as long", ratio, at_most=FLAT),
    ]
    return Result("speech", figures, table, targets, [of_what, sizes], wrong)


def _found(*, compiled: bool) -> Found:
    done = subprocess.run(
        [*native.python(native=compiled), "-m", "benchmarks.speech_work"],
        cwd=ROOT,
        env=native.environment(native=compiled),
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Found)
