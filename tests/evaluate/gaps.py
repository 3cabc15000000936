"""Hours hidden in clean recorded days, and filled in again: how far from the truth?

The gateway's way (`measures.imputing`), `f × profile(missing)` with `f = observed / profile(observed)` of
the same day (metrics 8), beside a straight line between the neighbours of the gap and the same hours a week
before. The gateway publishes no day of which more than a fifth is missing; longer gaps are filled here all
the same, to show what that is worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from random import Random

from gateway.measures.imputing import LEAST, estimate
from gateway.quality import Cell
from tests.evaluate.faults import Moment
from tests.evaluate.recorded import day_type

HOUR = timedelta(hours=1)
DAY_HOURS = 24
FIRST_HOUR, LAST_HOUR = 8, 20  # gaps begin in these hours


@dataclass(slots=True)
class Error:
    """Of one way of filling, over all gaps: of single hours and of the sums of whole gaps."""

    hours: float = 0.0
    sums: float = 0.0
    truth: float = 0.0
    n_hours: int = 0
    n: int = 0

    def add(self, truth: Sequence[int], filled: Sequence[float]) -> None:
        self.hours += sum(abs(a - b) for a, b in zip(truth, filled, strict=True))
        self.sums += abs(sum(truth) - sum(filled))
        self.truth += sum(truth)
        self.n_hours += len(truth)
        self.n += 1

    def row(self, site: str, hours: int, way: str) -> str:
        return (
            f"| {site} | {hours} h | {way} | {self.n} | {self.hours / self.n_hours:.0f} |"
            f" {self.hours / self.truth:.1%} | {self.sums / self.truth:.1%} |"
        )


WAYS = ("profile of the day", "straight line", "a week before")


def fill(moments: Iterable[Moment], hours: int, seed: int) -> Mapping[str, Error]:
    """One gap of so many hours on the day of each moment."""
    dice = Random(seed)
    errors = {way: Error() for way in WAYS}
    for moment in moments:
        first = 0 if hours >= DAY_HOURS else dice.randrange(FIRST_HOUR, LAST_HOUR - hours + 2)
        gap = [datetime.combine(moment.day, time(first)) + n * HOUR for n in range(hours)]
        around = (gap[0] - HOUR, gap[-1] + HOUR, *(at - timedelta(days=7) for at in gap))
        if all(at in moment.line.counts for at in (*gap, *around)):
            truth = [moment.line.counts[at].ins for at in gap]
            for way, filled in zip(WAYS, _ways(moment, gap), strict=True):
                errors[way].add(truth, filled)
    return errors


def _ways(moment: Moment, gap: Sequence[datetime]) -> tuple[list[float], list[float], list[float]]:
    counts = moment.line.counts
    before, after = counts[gap[0] - HOUR].ins, counts[gap[-1] + HOUR].ins
    step = (after - before) / (len(gap) + 1)
    straight = [before + step * (n + 1) for n in range(len(gap))]
    week = [float(counts[at - timedelta(days=7)].ins) for at in gap]
    return _by_profile(moment, gap), straight, week


def _by_profile(moment: Moment, gap: Sequence[datetime]) -> list[float]:
    """Without an hour of the day observed, the level of the days before stands for the day's own."""
    hours = [datetime.combine(moment.day, time(hour)) for hour in range(DAY_HOURS)]
    seen = [at for at in hours if at not in gap and at in moment.line.counts]
    usual = sum(_mean(moment, at) for at in seen)
    observed = sum(moment.line.counts[at].ins for at in seen)
    missing = sum(_mean(moment, at) for at in gap)
    factor = estimate(observed, usual, missing, LEAST).factor
    if factor is None:
        factor = math.exp(moment.detectors.level.level)
    return [factor * _mean(moment, at) for at in gap]


def _mean(moment: Moment, at: datetime) -> float:
    cell = moment.cells.get(at.hour)
    return cell.of(day_type(at), 0).mean if isinstance(cell, Cell) else 0.0
