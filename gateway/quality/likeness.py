"""Does the day look like another one: the mirror image of itself, or itself an hour earlier or later?

Each hypothesis is scored by how much better it explains where the people are, not how many they are; the
score of a usual day and that of a day under the hypothesis are added up beside it, so that the place
between them is a number without a unit. What the profile does not tell apart (a door with as many in as out
at any hour) cannot be found.
"""

from __future__ import annotations

import math

from gateway.quality.detectors import MAX_RING, Detectors
from gateway.quality.view import View

HOUR_S = 3600
MAX_LOG_RATIO = 1.5  # one slot cannot decide what a whole day looks like
CERTAIN = 4.0  # variances: what is within two standard deviations of nothing is nothing
ROUNDING = 0.5  # persons, so that empty slots have a ratio too


def compare(detectors: Detectors, view: View) -> None:
    """Add one judged slot to the three comparisons of the day."""
    if view.both is None:
        detectors.ring = ()
        return
    if view.two_sided:
        _mirror(detectors, view)
    per_hour = max(1, HOUR_S // view.slot.size_s)
    if per_hour <= MAX_RING and HOUR_S % view.slot.size_s == 0:
        _shift(detectors, view, per_hour)


def _mirror(detectors: Detectors, view: View) -> None:
    known = _known(view)
    if known:
        ratio = known * _log_ratio(view.usual_outs, view.usual_ins)
        apart = known * (view.usual_ins - view.usual_outs)
        detectors.mirror = detectors.mirror.add(view.ins - view.outs, apart, -apart, ratio)


def _known(view: View) -> float:
    """How much of in less out is the door's own and not the chance of the few days behind it: 0…1.

    A door with as many in as out has a difference in every cell; nobody comes as that says.
    """
    ins, outs, usual = view.usual_ins, view.usual_outs, view.both
    if usual is None or ins == outs:
        return 0.0
    chance = (ins + outs + usual.a * (ins * ins + outs * outs)) / usual.n
    return max(0.0, 1 - CERTAIN * chance / (ins - outs) ** 2)


def _shift(detectors: Detectors, view: View, per_hour: int) -> None:
    """`early`: the people of an hour ago should come now; `late`: the people of now should have come then."""
    ring, now = detectors.ring, (float(view.total), view.usual)
    detectors.ring = (*ring[-per_hour + 1 :], now) if per_hour > 1 else (now,)
    if len(ring) < per_hour:
        return
    seen, usual = ring[0]
    ratio = _log_ratio(view.usual, usual)
    detectors.early = detectors.early.add(seen, usual, view.usual, ratio)
    detectors.late = detectors.late.add(now[0], view.usual, usual, -ratio)


def _log_ratio(over: float, under: float) -> float:
    ratio = math.log((over + ROUNDING) / (under + ROUNDING))
    return min(max(ratio, -MAX_LOG_RATIO), MAX_LOG_RATIO)
