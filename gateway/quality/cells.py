"""What is usual: a cell for each slot of the day, with the moments of three kinds of day and two sides.

A cell is one small row for a store: 109 bytes, so that a slot writes one row and not the whole profile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from gateway.quality import chances
from gateway.quality.nouns import DayType
from gateway.quality.packing import Layout

VERSION = 1
POOL_WEIGHT = 10  # days that the pooled dispersion counts beside a cell's own
SIDES = 2
_MOMENTS = len(DayType) * SIDES
SEEN_NOBODY = 0.5  # persons: what a cell that never saw anybody may still expect over all its days


class Moments(NamedTuple):
    """Welford's running mean and sum of squared deviations of `n` values; with a memory, older ones fade."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    @property
    def variance(self) -> float:
        """Of the sample; 0 below two values."""
        return self.m2 / (self.n - 1) if self.n > 1 else 0.0

    def learn(self, value: float, memory: int = 65_535) -> Moments:
        """One more value. At `memory` values the oldest weigh less instead of the newest weighing nothing."""
        m2 = self.m2
        if self.n >= memory:
            m2 *= (memory - 1) / memory
        n = min(self.n + 1, memory)
        step = value - self.mean
        mean = self.mean + step / n
        return Moments(n, mean, m2 + step * (value - mean))


NOTHING = Moments()
MOMENTS = "Hdd"  # as in `struct`
LAYOUT = Layout(*[(Moments._make, MOMENTS)] * _MOMENTS)


@dataclass(frozen=True, slots=True)
class Cell:
    """One slot of the day: `moments[day type · 2 + side]`."""

    moments: tuple[Moments, ...] = (NOTHING,) * _MOMENTS

    def of(self, day: DayType, side: int) -> Moments:
        return self.moments[day * SIDES + side]

    def learn(self, day: DayType, values: tuple[float | None, float | None], memory: int) -> Cell:
        moments = list(self.moments)
        for side, value in enumerate(values):
            if value is not None:
                at = day * SIDES + side
                moments[at] = moments[at].learn(value, memory)
        return Cell(tuple(moments))

    def encode(self) -> bytes:
        return bytes([VERSION]) + LAYOUT.pack(self.moments)

    @staticmethod
    def decode(state: bytes) -> Cell:
        """Raises ValueError when the bytes are not a cell of this version: begin with `Cell()` then."""
        if len(state) != 1 + LAYOUT.size or state[0] != VERSION:
            raise ValueError("not a cell of this version")
        return Cell(tuple(LAYOUT.unpack(state, 1)))


class Expected(NamedTuple):
    """A mean and a dispersion; `n` values stand behind it.

    `learned`: what the mean would be without the benefit of the doubt: 0 where nobody was ever seen.
    """

    mean: float
    a: float
    n: int
    learned: float

    @property
    def deviation(self) -> float:
        return math.sqrt(self.mean + self.mean * self.mean * self.a)


def expected(moments: Moments, pooled: float, factor: float) -> Expected | None:
    """What a slot should bring, `factor` times its mean; None of a kind of day that was never seen.

    The dispersion is the line's pooled one, or more where the cell's own days say so (Fridays among
    weekdays), and is widened by how little the mean itself is known.
    """
    n = moments.n
    if not n:
        return None
    own = chances.dispersion(moments.mean, moments.variance) if n > 1 else pooled
    a = max(pooled, (n * own + POOL_WEIGHT * pooled) / (n + POOL_WEIGHT))
    learned = moments.mean * factor
    mean = max(learned, SEEN_NOBODY / (n + 1))
    return Expected(mean, min(a + (a + 1 / mean) / n, chances.MAX_DISPERSION), n, learned)
