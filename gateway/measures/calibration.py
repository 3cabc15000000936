"""What a counter is worth: people tallied by hand (or on video) against what it counted in the same
windows.

The factor k = ΣM/ΣC is applied when figures are read, never to what is stored: a new calibration does not
rewrite history. Both directions apart; six windows of a hundred people at least, busy and quiet, weekend
too. Standard error by the jackknife, interval by Student's t with n - 1. Oracles O9 and O9b.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.measures.quantiles import t_quantile
from gateway.measures.ratios import IMPLAUSIBLE, NO_DENOMINATOR, NO_HISTORY, TALLY_FACTOR, TREND

LEAST_WINDOWS = 6
LEAST_PERSONS = 100  # a window, on average
FACTOR_LIMITS = (0.8, 1.25)  # outside: mend the counter, do not multiply


@dataclass(frozen=True, slots=True)
class Tally:
    """One window of one direction: persons by hand and by the counter."""

    manual: int
    counted: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Errors as shares of the manual count. `net` hides errors that cancel: quote `wape`."""

    bias: float
    net: float
    wape: float
    mape: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """`factor` None: not to be applied, and `why` says so. `s_k`: relative standard error, for intervals of
    rates."""

    windows: int
    accuracy: Accuracy | None = None
    factor: float | None = None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    s_k: float = 0.0
    formula: str = TALLY_FACTOR
    why: str = ""
    flags: tuple[str, ...] = ()


def accuracy(tallies: Sequence[Tally]) -> Accuracy | None:
    """How far counts are off; None when nobody was tallied. `mape` over windows in which somebody was."""
    manual, counted = sum(tally.manual for tally in tallies), sum(tally.counted for tally in tallies)
    if manual <= 0:
        return None
    errors = [abs(tally.counted - tally.manual) for tally in tallies]
    shares = [abs(tally.counted - tally.manual) / tally.manual for tally in tallies if tally.manual > 0]
    return Accuracy(
        bias=counted / manual - 1,
        net=1 - abs(counted - manual) / manual,
        wape=sum(errors) / manual,
        mape=math.fsum(shares) / len(shares),
    )


def calibrate(tallies: Sequence[Tally], least_windows: int = LEAST_WINDOWS) -> Calibration:
    """The factor with its interval, or why there is none: too little tallied, nothing counted, or
    implausible."""
    seen, n = accuracy(tallies), len(tallies)
    manual, counted = sum(tally.manual for tally in tallies), sum(tally.counted for tally in tallies)
    if n < max(2, least_windows) or manual < least_windows * LEAST_PERSONS:
        return Calibration(n, seen, why=NO_HISTORY)
    if min(counted - tally.counted for tally in tallies) <= 0:
        return Calibration(n, seen, why=NO_DENOMINATOR)
    factor, error = manual / counted, jackknife_error(tallies)
    half = t_quantile(0.975, n - 1) * error
    low, high = FACTOR_LIMITS
    return Calibration(
        n,
        seen,
        factor=factor if low <= factor <= high else None,
        low=factor - half,
        high=factor + half,
        standard_error=error,
        s_k=error / factor,
        why="" if low <= factor <= high else IMPLAUSIBLE,
        flags=(TREND,) if grows_with_flow(tallies) else (),
    )


def jackknife_error(tallies: Sequence[Tally]) -> float:
    """Standard error of ΣM/ΣC; at least two windows, and no single one holds all that was counted."""
    manual, counted = sum(tally.manual for tally in tallies), sum(tally.counted for tally in tallies)
    n = len(tallies)
    left_out = [(manual - tally.manual) / (counted - tally.counted) for tally in tallies]
    mean = math.fsum(left_out) / n
    return math.sqrt((n - 1) / n * math.fsum((factor - mean) ** 2 for factor in left_out))


def grows_with_flow(tallies: Sequence[Tally]) -> bool:
    """Do people walking side by side hide each other? Slope of M/C over C, weighted by C, against Student's
    t."""
    known = [(tally.counted, tally.manual / tally.counted) for tally in tallies if tally.counted > 0]
    weight = sum(flow for flow, _ in known)
    if len(known) < 3:
        return False
    flow_mean = sum(flow * flow for flow, _ in known) / weight
    ratio_mean = math.fsum(flow * ratio for flow, ratio in known) / weight
    spread = math.fsum(flow * (flow - flow_mean) ** 2 for flow, _ in known)
    if spread == 0:
        return False
    slope = math.fsum(flow * (flow - flow_mean) * (ratio - ratio_mean) for flow, ratio in known) / spread
    rest = math.fsum(
        flow * (ratio - ratio_mean - slope * (flow - flow_mean)) ** 2 for flow, ratio in known
    ) / (len(known) - 2)
    return abs(slope) > t_quantile(0.975, len(known) - 2) * math.sqrt(rest / spread)


def calibrated(count: int, calibration: Calibration) -> float:
    """Persons after calibration; unchanged where there is no factor."""
    return count if calibration.factor is None else calibration.factor * count
