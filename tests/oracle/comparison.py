"""Compares the metrics of a worker with the answers of the oracle: reads a scrape, and names the differences."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from tests.oracle.names import METRICS, RESULTS, TEAMS
from tests.oracle.oracle import Answers, Labels

TOLERANCE: Final = 1e-9
ANSWERED: Final = METRICS | RESULTS | TEAMS


def from_exposition(text: str) -> Answers:
    """Return the samples of a scrape that the oracle answers, too.

    Those of managers come without the label `team`, those of teams only where they are not 0. Raises ValueError for a
    duplicate sample.
    """
    found: Answers = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name not in ANSWERED or (sample.name in TEAMS and sample.value == 0):
                continue
            # A state that the manager is not in may be exported as 0 or not at all: both have the same meaning.
            if sample.name == "callpulse_presence" and sample.value == 0:
                continue
            labels = {label: _plain(label, value) for label, value in sample.labels.items()}
            if sample.name not in TEAMS:
                del labels["team"]
            key = sample.name, tuple(sorted(labels.items()))
            if key in found:
                raise ValueError(f"{named(*key)} is exported twice")
            found[key] = sample.value
    return found


def differences(
    ours: Answers, truth: Answers, tolerance: float = TOLERANCE, leaving_out: Collection[str] = ()
) -> list[str]:
    """Return a line for every sample that differs from the truth; `leaving_out` has full names of metrics.

    `tolerance` is absolute below 1 and relative above.
    """
    lines = []
    for key in sorted(ours.keys() | truth.keys()):
        if key[0] in leaving_out:
            continue
        mine, true = ours.get(key), truth.get(key)
        if mine is None:
            lines.append(f"{named(*key)} is missing; it should be {true:.15g}")
        elif true is None:
            lines.append(f"{named(*key)} is {mine:.15g}; it should not be there")
        elif not math.isclose(mine, true, rel_tol=tolerance, abs_tol=tolerance):
            lines.append(f"{named(*key)} is {mine:.15g}; it should be {true:.15g}")
    return lines


def named(name: str, labels: Labels) -> str:
    """Return a sample's name as Prometheus writes it."""
    pairs = ",".join(f'{label}="{value}"' for label, value in labels)
    return f"{name}{{{pairs}}}"


def _plain(label: str, value: str) -> str:
    """Return one spelling of a histogram's bound: `6`, `6.0` and `6.00` are one number."""
    if label != "le" or value == "+Inf":
        return value
    return f"{float(value):g}"


def apart(ours: Mapping[Any, int], truth: Mapping[Any, int]) -> list[str]:
    """Return a line for every number that differs from the truth; one that is 0 may be missing."""
    return [
        f"{key} is {ours.get(key, 0)}; it should be {truth.get(key, 0)}"
        for key in sorted(ours.keys() | truth.keys())
        if ours.get(key, 0) != truth.get(key, 0)
    ]
