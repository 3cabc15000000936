"""How long people stay, from nothing but ins and outs: Little's law, L = λ·W, whatever the distribution.

W = ∫ O dt / Σ in over a window that starts and ends empty, which is mean exit time - mean entry time. A
missed exit sits inside until closing, so exits are weighted by the day's own R and nothing is said above 5
% imbalance. Source: Little 1961; oracle O6. Times are seconds since the start of the business day: kept
small, because R multiplies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.measures.counts import imbalance
from gateway.measures.ratios import (
    IMBALANCE,
    LITTLE_EVENTS,
    LITTLE_WINDOWS,
    NO_DENOMINATOR,
    PROVISIONAL,
    TOO_COARSE,
    Ratio,
    unknown,
)

MOST_IMBALANCE = 0.05
LEAST_WINDOWS = 2  # a stay shorter than this cannot be seen in windows


def dwell_events(ins: int, in_sum_s: float, outs: int, out_sum_s: float) -> Ratio:
    """Minutes per visit on a closed day, from the numbers of ins and outs and the sums of their times."""
    return _stay(ins, in_sum_s, outs, out_sum_s, LITTLE_EVENTS)


def dwell_windows(ins: Sequence[float], outs: Sequence[float], size_s: int) -> Ratio:
    """Minutes per visit on a closed day, from counts per window; unknown below two windows' length."""
    in_sum_s = size_s * sum(at * count for at, count in enumerate(ins))
    out_sum_s = size_s * sum(at * count for at, count in enumerate(outs))
    return _fine(_stay(sum(ins), in_sum_s, sum(outs), out_sum_s, LITTLE_WINDOWS), size_s)


def dwell_so_far(ins: float, in_sum_s: float, outs: float, out_sum_s: float, now_s: float) -> Ratio:
    """Minutes per visit of the open day until `now_s`, those inside counted until now; always
    `provisional`.

    Too short while the day is young, and not corrected: only the end of the day shows which exits were
    missed.
    """
    if ins <= 0:
        return unknown(NO_DENOMINATOR)
    inside_s = out_sum_s + (ins - outs) * now_s - in_sum_s
    if outs > ins or inside_s < 0:
        return unknown(IMBALANCE)
    return Ratio(inside_s / ins / 60, formula=LITTLE_EVENTS, flags=(PROVISIONAL,))


def dwell_windows_so_far(ins: Sequence[float], outs: Sequence[float], size_s: int, r: float) -> Ratio:
    """As `dwell_so_far`, from counts of the windows until now.

    Exits are weighted by `r`, entries per exit of earlier days, but never so that more have left than came.
    """
    came, left = sum(ins), sum(outs)
    off = imbalance(r, 1.0)
    if came > 0 and (off is None or abs(off) > MOST_IMBALANCE):
        return unknown(IMBALANCE)
    weight = min(r, came / left) if left else r
    in_sum_s, out_sum_s = (size_s * sum(at * count for at, count in enumerate(side)) for side in (ins, outs))
    now_s = size_s * (len(ins) - 0.5)  # windows are dated by their start, and people come in their middle
    gone = min(weight * left, came)  # in fractions it may come out the least bit above
    return _fine(dwell_so_far(came, in_sum_s, gone, weight * out_sum_s, now_s), size_s)


def _fine(stay: Ratio, size_s: int) -> Ratio:
    """Of windows; what is shorter than two of them is unknown."""
    if stay.value is None:
        return stay
    if stay.value * 60 < LEAST_WINDOWS * size_s:
        return unknown(TOO_COARSE)
    return replace(stay, formula=LITTLE_WINDOWS)


def missed_exit_bias(share_missed: float, open_min: float) -> float:
    """Minutes that missed exits add to an uncorrected dwell: each sits inside for half the day on average."""
    return share_missed * open_min / 2


def _stay(ins: float, in_sum_s: float, outs: float, out_sum_s: float, formula: str) -> Ratio:
    if ins <= 0:
        return unknown(NO_DENOMINATOR)
    off = imbalance(ins, outs)
    if off is None or abs(off) > MOST_IMBALANCE:
        return unknown(IMBALANCE)
    minutes = (ins / outs * out_sum_s - in_sum_s) / ins / 60
    return Ratio(minutes, formula=formula) if minutes >= 0 else unknown(IMBALANCE)
