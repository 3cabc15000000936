"""The time between coming in and paying, and conversion with it taken into account.

Receipts of a window belong to people who entered earlier. Divided by the entries of the same window,
conversion is too low while a store fills and too high while it empties. So receipts are divided by *lagged
entries*, (E*h)(t) = sum over j of h(j)·E(t-j), where h(j) is the share of buyers who pay j windows after
they entered.

h has one number: the mean lag, learnt from closed days by moments (mean time of receipts - mean time of
entries, valid where conversion is flat over the day) and then frozen for a month. Its shape is a gamma of
shape 2: fitted to visits of a small store the shape is 1.98. Entries are taken as uniform within their
window. Oracle O12.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.measures.converting import PHI_START, rate
from gateway.measures.ratios import LAGGED, SHORT_WINDOW, Ratio, flagged

TAIL = 1e-4  # of the buyers, later than the kernel's end: counted with its last window
MOST_BUCKETS = 200
LEAST_LAG = 1000  # a shorter part of a window is no lag
LEAST_RECEIPTS = 200  # before a mean lag is worth more than none
MEAN_LAGS = 4  # a rolling window must be this long
SHARE_OF_DWELL = 0.8  # of a visit has passed when the receipt is printed

Pmf = tuple[float, ...]


def kernel(mean_s: float, size_s: int) -> Pmf:
    """h: shares of buyers by whole windows of `size_s` between entry and receipt; sums to 1.

    Its mean is `mean_s / size_s` windows but for the cut tail. No lag: (1,).
    """
    if mean_s * LEAST_LAG < size_s:
        return (1.0,)
    theta = mean_s / 2 / size_s
    shares: list[float] = []
    rest = 1.0
    while rest > TAIL and len(shares) < MOST_BUCKETS:
        j = len(shares)
        shares.append(max(0.0, _area(j + 1, theta) - 2 * _area(j, theta) + _area(j - 1, theta)))
        rest -= shares[-1]
    shares[-1] += max(0.0, rest)
    total = math.fsum(shares)
    return tuple(share / total for share in shares)


def _area(x: float, theta: float) -> float:
    """Integral from 0 to x of the gamma(2, theta) distribution function; in windows."""
    return 0.0 if x <= 0 else x - 2 * theta + math.exp(-x / theta) * (x + 2 * theta)


def lagged(entries: Sequence[float], h: Pmf) -> tuple[float, ...]:
    """E*h, one figure for each window of `entries`; nobody entered before the first."""
    return tuple(
        math.fsum(h[j] * entries[at - j] for j in range(min(len(h), at + 1))) for at in range(len(entries))
    )


def lag_step(recent: tuple[float, ...], entries: float, h: Pmf) -> tuple[tuple[float, ...], float]:
    """One window more, with the last `len(h)` entries as all the memory: (recent, lagged entries of this
    window)."""
    recent = (entries, *recent[: len(h) - 1])
    return recent, math.fsum(share * came for share, came in zip(h, recent, strict=False))


@dataclass(frozen=True, slots=True)
class LagSums:
    """What closed days say of the lag: Σ receipts × (mean time of receipts - mean time of entries), in
    windows."""

    weighted: float = 0.0
    receipts: int = 0


def of_day(entries: Sequence[int], sales: Sequence[int]) -> LagSums:
    """What one closed day of windows says; without entries or receipts nothing."""
    paid = sum(sales)
    if not sum(entries) or not paid:
        return LagSums()
    return LagSums(paid * (_centre(sales) - _centre(entries)), paid)


def learn(days: Iterable[LagSums]) -> LagSums:
    """The sums of several closed days, in any order."""
    known = list(days)
    return LagSums(math.fsum(day.weighted for day in known), sum(day.receipts for day in known))


def mean_lag(sums: LagSums) -> float | None:
    """Windows between entry and receipt, at least 0; None below 200 receipts."""
    if sums.receipts < LEAST_RECEIPTS:
        return None
    return max(0.0, sums.weighted / sums.receipts)


def lag_of_dwell(dwell_s: float) -> float:
    """Seconds from entry to receipt where only the mean dwell is known."""
    return SHARE_OF_DWELL * dwell_s


def rolling_length(mean_windows: float, least: int) -> int:
    """Windows a rolling figure needs: `least` (an hour's), or four mean lags where those are longer."""
    return max(least, math.ceil(MEAN_LAGS * mean_windows))


def conversion_lagged(
    sales: int,
    visitors: float,
    *,
    phi: float = PHI_START,
    s_k: float = 0.0,
    window_s: float | None = None,
    mean_s: float = 0.0,
) -> Ratio:
    """Receipts per lagged visitor (staff taken off before lagging), both of the same windows: day to date
    (`window_s` None) or a rolling window.

    `short_window` where a rolling window is shorter than four mean lags.
    """
    ratio = rate(sales, visitors, LAGGED, phi, s_k)
    short = window_s is not None and window_s < MEAN_LAGS * mean_s and ratio.value is not None
    return flagged(ratio, SHORT_WINDOW) if short else ratio


def _centre(counts: Sequence[int]) -> float:
    """Mean position of the counted, in windows."""
    return sum(at * count for at, count in enumerate(counts)) / sum(counts)
