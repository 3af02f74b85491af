"""The interval of a ratio, the realistic target for it, and the calls per day that a plan needs."""

from __future__ import annotations

from math import sqrt
from typing import Final

from streams.settings.settings import Targets

Z_95: Final = 1.96
"""The 97.5 % quantile of the standard normal distribution: a two-sided interval with it holds in 95 % of cases."""
WORKING_DAYS_A_MONTH: Final = 21


def wilson(successes: int, trials: int, z: float = Z_95) -> tuple[float, float] | None:
    """Return the score interval of a ratio, (lower, upper) within 0-1, or None without trials.

    With p = successes / trials and n = trials, its ends are

        (p + z² / 2n ± z √(p (1 - p) / n + z² / 4n²)) / (1 + z² / n)

    without a correction for continuity: E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", Journal of the American Statistical Association 22 (1927) 209-212; why it is the one to take where
    trials are few: Brown, Cai, DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16
    (2001) 101-133. Successes outside 0 to `trials` count as the nearer of the two.
    """
    if trials <= 0:
        return None
    ratio = min(max(successes, 0), trials) / trials
    square = z * z / trials
    middle = ratio + square / 2
    reach = sqrt(ratio * (1 - ratio) * square + square * square / 4)
    # Both ends are exact where nothing or everything succeeded, and the ratio lies between them, whatever is rounded.
    lower = min((middle - reach) / (1 + square), ratio) if ratio else 0.0
    upper = max((middle + reach) / (1 + square), ratio) if ratio < 1 else 1.0
    return max(lower, 0.0), min(upper, 1.0)


def target(own: float | None, targets: Targets) -> float:
    """Return the realistic target for a ratio: `own`, that of the last 90 days, and a gain, within floor and cap.

    `own` is None where there is no history; the target is then the floor.
    """
    if own is None:
        return targets.floor
    return min(max(own + targets.gain, targets.floor), targets.cap)


def plan_calls_per_day(plan_deals: float | None, calls_per_won_deal: float | None) -> float | None:
    """Return the calls per working day that the plan of a month needs, or None without a plan or a norm.

    `plan_deals` are deals a month, `calls_per_won_deal` is the manager's own norm; a month has 21 working days.
    """
    if plan_deals is None or calls_per_won_deal is None:
        return None
    return plan_deals * calls_per_won_deal / WORKING_DAYS_A_MONTH
