"""What counts mean: footfall, occupancy, completeness, capture rate, conversion; formulas live only here.

A ratio is computed from sums at read time and carries its 95 % interval and the id of its formula.
What is not known is `None` with a reason, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

Z_95 = 1.959964
PHI_START = 2.0  # over-dispersion of receipts given entries, until a site's own history says better
SMALL_SALES = 10  # below this the log interval is not to be trusted: Wilson with the effective counts
VISITORS = "visitors/1"
PASSERSBY = "passersby/1"
DIGITS = 6

NO_DENOMINATOR = "no_denominator"
INCOMPLETE = "completeness"
NOT_CONFIGURED = "not_configured"
RATIO_GT_1 = "ratio_gt_1"


@dataclass(frozen=True, slots=True)
class Ratio:
    """0…1 (above 1 shown and flagged). `value` None: unknown, and `why` says so."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    formula: str = ""
    why: str = ""
    flags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """As in an upstream event: value, low, high, formula; or a null value and why."""
        if self.value is None:
            return {"value": None, "why": self.why}
        figures = {"value": self.value, "low": self.low, "high": self.high}
        shown: dict[str, object] = {
            name: None if figure is None else round(figure, DIGITS) for name, figure in figures.items()
        }
        shown["formula"] = self.formula
        return {**shown, "flags": list(self.flags)} if self.flags else shown


def unknown(why: str) -> Ratio:
    """The null ratio with its reason: no_denominator, completeness, not_configured."""
    return Ratio(why=why)


def footfall(ins: Iterable[int]) -> int:
    """Persons that came in over a zone's entrances."""
    return sum(ins)


def footfall_average(ins: int, outs: int) -> float:
    """(in + out) / 2: for a closed day only, intraday it lags by half a dwell."""
    return (ins + outs) / 2


def imbalance(ins: int, outs: int) -> float | None:
    """(in - out) / average of a closed day; None when nobody crossed."""
    average = footfall_average(ins, outs)
    return (ins - outs) / average if average else None


def occupancy_raw(before: int, ins: int, outs: int) -> int:
    """One step of the plain sum; drifts, and may go below zero."""
    return before + ins - outs


def occupancy(before: int, ins: int, outs: int) -> int:
    """One step of the clamped sum: never below zero, biased up after each clamp."""
    return max(0, before + ins - outs)


def completeness(watched_ms: int | None, base_ms: int | None) -> float | None:
    """Share of the base that was watched, 0…1. None: nothing watches, or the zone was closed."""
    if watched_ms is None or not base_ms or base_ms < 0:
        return None
    return min(1.0, max(0, watched_ms) / base_ms)


def wilson(hits: float, trials: float) -> tuple[float, float]:
    """95 % interval of a binomial share; `0 <= hits <= trials`, `trials > 0`. Sane at 0 and at all."""
    share, z2 = hits / trials, Z_95 * Z_95
    scale = 1 + z2 / trials
    centre = (share + z2 / (2 * trials)) / scale
    half = Z_95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def log_interval(value: float, relative_variance: float) -> tuple[float, float]:
    """value × exp(∓ z × relative standard error); for `value > 0`."""
    factor = math.exp(Z_95 * math.sqrt(relative_variance))
    return value / factor, value * factor


def conversion(sales: int, ins: int, *, staff: int = 0, phi: float = PHI_START, s_k: float = 0.0) -> Ratio:
    """Receipts per visitor (entries less staff). `s_k`: relative standard error of the calibration."""
    visitors = ins - staff
    if visitors <= 0:
        return unknown(NO_DENOMINATOR)
    value = sales / visitors
    if sales > visitors:
        low, high = log_interval(value, phi * (1 / sales + 1 / visitors) + s_k * s_k)
        return Ratio(value, low, high, VISITORS, flags=(RATIO_GT_1,))
    if sales < SMALL_SALES:
        low, high = wilson(sales / phi, visitors / phi)
    else:
        low, high = log_interval(value, phi * (1 - value) / sales + s_k * s_k)
    return Ratio(value, low, high, VISITORS)


def capture_rate(entries: int, passersby: int) -> Ratio:
    """Store entries per passage at the front, both directions."""
    if passersby <= 0:
        return unknown(NO_DENOMINATOR)
    value = entries / passersby
    if entries > passersby:
        low, high = log_interval(value, 1 / entries + 1 / passersby)
        return Ratio(value, low, high, PASSERSBY, flags=(RATIO_GT_1,))
    low, high = wilson(entries, passersby)
    return Ratio(value, low, high, PASSERSBY)


def gate(ratio: Ratio, complete: float | None, min_completeness: float) -> Ratio:
    """The ratio, or unknown when too little was watched (or nobody can say how much was)."""
    if ratio.value is None or (complete is not None and complete >= min_completeness):
        return ratio
    return replace(unknown(INCOMPLETE), flags=ratio.flags)
