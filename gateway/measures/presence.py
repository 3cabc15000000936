"""Persons inside: the plain sum, the clamp, and the drift taken out by what earlier closed days say of the
door.

O(t) = O(t-1) + in - r·out. The sum of two imperfect counts drifts without bound, so it starts at 0 with the
business day. Source: the daily reset and the clamp are what makers of counters require (Irisys, Occupancy
Counting); learning the ratio from closed days is the idea of PreCount (Energy Informatics 1:12, 2018) with
two numbers of state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.measures.ratios import IMBALANCE

DECAY = 0.9  # of a day's weight, each day: about the last ten days decide
LEAST_COVERAGE = 0.95
RATIO_LIMITS = (0.8, 1.25)


@dataclass(frozen=True, slots=True)
class Drift:
    """Decayed sums of ins and outs over closed, well watched days; the whole memory of a zone's drift."""

    ins: float = 0.0
    outs: float = 0.0


def after_day(drift: Drift, ins: int, outs: int, coverage: float | None) -> Drift:
    """The drift with one more closed day. A day that was not watched for 95 % teaches nothing."""
    if coverage is None or coverage < LEAST_COVERAGE:
        return drift
    return Drift(DECAY * drift.ins + ins, DECAY * drift.outs + outs)


def live_ratio(drift: Drift) -> tuple[float, tuple[str, ...]]:
    """(r, flags): entries per exit as learnt, 1 before the first day. Outside 0.8…1.25: clipped and
    `imbalance`."""
    if not drift.outs:
        return 1.0, (IMBALANCE,) if drift.ins else ()
    low, high = RATIO_LIMITS
    r = drift.ins / drift.outs
    return min(max(r, low), high), () if low <= r <= high else (IMBALANCE,)


def occupancy_raw(before: int, ins: int, outs: int) -> int:
    """One step of the plain sum; drifts, and may go below zero."""
    return before + ins - outs


def occupancy(before: int, ins: int, outs: int) -> int:
    """One step of the clamped sum: never below zero, biased up after each clamp."""
    return max(0, before + ins - outs)


def occupancy_live(before: float, ins: int, outs: int, r: float) -> float:
    """One step with exits weighted by the live ratio; never below zero. Not rounded: that would add up."""
    return max(0.0, before + ins - r * outs)


def series(steps: Iterable[tuple[int, int]], r: float = 1.0) -> Iterator[int]:
    """Whole persons inside after each (ins, outs) of a business day that starts empty."""
    inside = 0.0
    for ins, outs in steps:
        inside = occupancy_live(inside, ins, outs, r)
        yield round(inside)


def retrospective(steps: Iterable[tuple[int, int]]) -> tuple[float, ...]:
    """Persons inside after each step of a closed day: exits weighted by the day's own R, so that it ends
    empty.

    Not clamped and not rounded. A day without exits keeps R = 1.
    """
    day = tuple(steps)
    ins, outs = sum(step[0] for step in day), sum(step[1] for step in day)
    r = ins / outs if outs else 1.0
    inside, came, left = [], 0, 0
    for step_ins, step_outs in day:
        came, left = came + step_ins, left + step_outs
        inside.append(came - r * left)
    return tuple(inside)


def residual(ins: int, outs: int) -> int:
    """Persons the plain sum says are still inside when the day is reset; what the door lost or invented."""
    return ins - outs


def safety_peak(steps: Iterable[tuple[int, int]]) -> int:
    """The most persons that may have been inside: for fire safety never corrected downwards, clamped at
    zero."""
    inside = peak = 0
    for ins, outs in steps:
        inside = occupancy(inside, ins, outs)
        peak = max(peak, inside)
    return peak


def symmetric_factors(ins: int, outs: int) -> tuple[float, float] | None:
    """(factor of ins, factor of outs) that make a closed day balance where neither side is trusted more."""
    if ins <= 0 or outs <= 0:
        return None
    return math.sqrt(outs / ins), math.sqrt(ins / outs)
