"""Do the 95 % intervals of conversion hold the truth on 93 to 97 of 100 days? `python -m
tests.evaluate.intervals`

Stores are made by `days`. Nothing about them is told: calibration comes from tallied windows, the lag and
the dispersion from the days before, exactly as a box learns them. Beside the shipped interval stand three
that must do worse: dispersion forced to 1, dispersion learnt from single hours, and entries of the same
window instead of lagged ones.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from gateway.measures import calibration, dispersion, lag
from gateway.measures.converting import rate_interval
from tests.evaluate.days import QUARTER_S, Day, Store, day, store, tally

LEARNING_DAYS = 28
HOUR = 3600 // QUARTER_S
AT_HOURS = (1, 2, 4, 6, 8)
TALLIED = (110, 180, 95, 160, 140, 205, 120, 150)  # persons in each tallied window
SHIPPED, PHI_1, HOURLY, SAME_WINDOW = "shipped", "phi 1", "hourly phi", "same window"


@dataclass(slots=True)
class Learnt:
    """What a box knows of a store after its closed days."""

    factor: float
    s_k: float
    kernel: lag.Pmf
    rolling: int
    dispersions: dict[str, dispersion.Dispersion]

    def close(self, done: Day) -> None:
        """A day is over: learn how much each kind of window was off."""
        entries = self.lagged(done.counted)
        sales, total = sum(done.receipts), math.fsum(entries)
        kinds = {
            "to date": dispersion.to_date(done.receipts, entries, HOUR),
            "rolling": dispersion.rolling(done.receipts, entries, self.rolling),
            "hour": dispersion.rolling(done.receipts, entries, HOUR),
        }
        for kind, parts in kinds.items():
            squares = dispersion.squares(parts, sales, total)
            self.dispersions[kind] = dispersion.after_day(self.dispersions[kind], squares)

    def lagged(self, counted: Sequence[int]) -> tuple[float, ...]:
        return lag.lagged([self.factor * persons for persons in counted], self.kernel)

    def phi(self, kind: str) -> float:
        return dispersion.phi(self.dispersions[kind])


@dataclass(slots=True)
class Score:
    """How often an interval held the truth, and how wide it was in parts of the truth."""

    n: int = 0
    held: int = 0
    low_misses: int = 0  # the truth lay below
    widths: list[float] = field(default_factory=list)
    receipts: int = 0

    @property
    def percent(self) -> float:
        return 100 * self.held / self.n

    def add(self, low: float, high: float, truth: float, receipts: int) -> None:
        self.n += 1
        self.held += low <= truth <= high
        self.low_misses += truth < low
        self.widths.append((high - low) / truth)
        self.receipts += receipts


Scores = dict[tuple[str, str], Score]


def learn(dice: Random, of: Store, past: Sequence[Day]) -> Learnt:
    """Calibrate by hand, learn the lag from past days, then the dispersion with that lag."""
    pairs = [calibration.Tally(*tally(dice, of, persons)) for persons in TALLIED]
    found = calibration.calibrate(pairs)
    mean = (
        lag.mean_lag(lag.learn(lag.of_day(past_day.counted, past_day.receipts) for past_day in past)) or 0.0
    )
    learnt = Learnt(
        factor=found.factor or 1.0,
        s_k=found.s_k,
        kernel=lag.kernel(mean * QUARTER_S, QUARTER_S),
        rolling=lag.rolling_length(mean, HOUR),
        dispersions=defaultdict(dispersion.Dispersion),
    )
    for past_day in past:
        learnt.close(past_day)
    return learnt


def spans(open_quarters: int, windows: int, rolling: int) -> Iterator[tuple[str, str, int, int]]:
    """(kind, name, first, end) of what is looked at: day to date, rolling, the whole day."""
    for hours in AT_HOURS:
        yield "to date", f"to date, {hours} h after opening", 0, hours * HOUR
    for hours in AT_HOURS[1:]:
        if rolling <= hours * HOUR <= open_quarters:
            yield "rolling", f"rolling, {hours} h after opening", hours * HOUR - rolling, hours * HOUR
    yield "to date", "whole day", 0, windows


def judge(scores: Scores, learnt: Learnt, now: Day) -> None:
    """Every interval of one day against that day's truth."""
    lagged = learnt.lagged(now.counted)
    same = [learnt.factor * persons for persons in now.counted]
    open_quarters = max(at for at, many in enumerate(now.entered) if many) + 1
    for kind, name, first, end in spans(open_quarters, len(now.receipts), learnt.rolling):
        receipts = sum(now.receipts[first:end])
        base, plain = math.fsum(lagged[first:end]), math.fsum(same[first:end])
        if base <= 0 or plain <= 0:
            continue
        for variant, entries, phi in (
            (SHIPPED, base, learnt.phi(kind)),
            (PHI_1, base, 1.0),
            (HOURLY, base, learnt.phi("hour")),
            (SAME_WINDOW, plain, learnt.phi(kind)),
        ):
            low, high = rate_interval(receipts, entries, phi, learnt.s_k)
            scores[variant, name].add(low, high, now.rate, receipts)


def evaluate(seed: int, stores: int, days_each: int) -> Scores:
    """Score by (variant, name) over `stores` × `days_each` days, each after its 28 days of learning."""
    scores: Scores = defaultdict(Score)
    dice = Random(seed)
    for _ in range(stores):
        of = store(dice)
        learnt = learn(dice, of, [day(dice, of) for _ in range(LEARNING_DAYS)])
        for _ in range(days_each):
            now = day(dice, of)
            judge(scores, learnt, now)
            learnt.close(now)
    return scores


def pooled(scores: Scores, variant: str) -> float:
    """Per cent of all intervals of a variant that held the truth."""
    of = [score for (name, _), score in scores.items() if name == variant]
    return 100 * sum(score.held for score in of) / sum(score.n for score in of)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stores", type=int, default=200)
    parser.add_argument("--days", type=int, default=25, help="for each store, after 28 days of learning")
    asked = parser.parse_args()
    began = time.monotonic()
    scores = evaluate(asked.seed, asked.stores, asked.days)
    print(f"seed {asked.seed}, {asked.stores} stores x {asked.days} days, {time.monotonic() - began:.0f} s")
    heads = "".join(f"{head:>8}" for head in ("n", "shipped", "phi 1", "hourly", "same"))
    print(f"{'holds the truth, %':27}{heads}")
    for (variant, name), score in scores.items():
        if variant == SHIPPED:
            others = [scores[other, name].percent for other in (PHI_1, HOURLY, SAME_WINDOW)]
            width, below = sum(score.widths) / score.n, 100 * score.low_misses / score.n
            figures = "".join(f"{other:8.1f}" for other in others)
            extra = (
                f"   width {width:.2f}, truth below {below:.1f} %, receipts {score.receipts / score.n:.0f}"
            )
            print(f"{name:27}{score.n:8}{score.percent:8.1f}{figures}{extra}")
    everything = "  ".join(
        f"{name} {pooled(scores, name):.1f}" for name in (SHIPPED, PHI_1, HOURLY, SAME_WINDOW)
    )
    print(f"all: {everything}")


if __name__ == "__main__":
    main()
