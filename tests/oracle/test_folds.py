"""The folds of all hops, without Kafka, beside the oracle: every claim, every sum and every series."""

from __future__ import annotations

import pytest

from streams.settings import Settings, load
from tests.oracle.chaos import Chaos, roster
from tests.oracle.comparison import apart
from tests.oracle.contract import Raw
from tests.oracle.handmade import DAY, NOON
from tests.oracle.oracle import claims
from tests.oracle.pipeline import Pipeline

ROSTER = roster(5)
LONGEST = {"won": 180, "given": 180} | dict.fromkeys(
    "calls sum over streak mentor stuck stage since reason moves talks agreed off_hours due kept".split(), 30
)
Sums = dict[tuple[str, str, int], int]
PARTITIONS = 3


def settings(more: str = "") -> Settings:
    managers = "".join(
        f'[[managers]]\nid = "{manager}"\nteam = "t{number % 2}"\ntimezone = "{zone}"\n'
        for number, (manager, zone) in enumerate(ROSTER.items())
    )
    return load(f'timezone = "UTC"\n{more}\n[[teams]]\nid = "t0"\n[[teams]]\nid = "t1"\n{managers}', {})


def chaos(seed: int) -> list[Raw]:
    return Chaos(seed=seed, now_ms=NOON, roster=ROSTER, leads=40).records(PARTITIONS)


def in_window(told: Sums) -> Sums:
    """Return what is inside the longest window that reads the measure; what is older, rows may have dropped."""
    today = (NOON + DAY) // DAY
    return {key: n for key, n in told.items() if key[2] > today - LONGEST.get(key[1].partition(":")[0], 90)}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("crashes", [0.0, 0.03], ids=["calm", "crashes"])
def test_what_leads_claim_and_what_managers_are_told_is_what_the_oracle_finds(seed: int, crashes: float) -> None:
    records = chaos(seed)
    folds = Pipeline(settings(), PARTITIONS, seed, crashes)
    folds.run(records, NOON + DAY)
    assert (folds.crashed > 3) == bool(crashes)
    truth = claims(records, ROSTER, "UTC", NOON + DAY)
    mine = {key: n for key, n in folds.claimed().items() if not key[1].startswith(("calls:", "sum", "over"))}
    assert apart(mine, truth) == []
    assert apart(in_window(folds.told()), in_window(folds.claimed())) == []
