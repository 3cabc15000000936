"""What is usual: a cell for each slot of the day, with the moments of three kinds of day and two sides.

A cell is one small row for a store: 109 bytes, so that a slot writes one row and not the whole profile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from gateway.quality import chances
from gateway.quality.nouns import DayType, Rules
from gateway.quality.packing import Packed

VERSION = 1
SIDES = 2
_MOMENTS = len(DayType) * SIDES
SEEN_NOBODY = 0.5  # persons: what a cell that never saw anybody may still expect over all its days


@dataclass(frozen=True, slots=True)
class Moments(Packed):
    """Welford's running mean and sum of squared deviations of `n` values; with a memory, older ones fade."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    FORMAT: ClassVar[str] = "Hdd"

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

    def join(self, other: Moments) -> Moments:
        """As if all values of both had been learned by one."""
        n = self.n + other.n
        if not n:
            return self
        step = other.mean - self.mean
        share = other.n / n
        return Moments(n, self.mean + step * share, self.m2 + other.m2 + step * step * self.n * share)


NOTHING = Moments()


@dataclass(frozen=True, slots=True)
class Cell:
    """One slot of the day: `moments[day type · 2 + side]`."""

    moments: tuple[Moments, ...] = (NOTHING,) * _MOMENTS

    def of(self, day: DayType, side: int) -> Moments:
        return self.moments[day * SIDES + side]

    def pooled(self, side: int) -> Moments:
        """All kinds of day together."""
        first, second, third = self.moments[side::SIDES]
        return first.join(second).join(third)

    def known(self, day: DayType, side: int, rules: Rules) -> Moments | None:
        """The kind of day itself, or all of them while it is young; None while there is nothing to go by."""
        own = self.of(day, side)
        if own.n >= rules.warm_cell:
            return own
        pooled = self.pooled(side)
        return pooled if pooled.n >= rules.warm_cell else None

    def learn(self, day: DayType, values: tuple[float | None, float | None], memory: int) -> Cell:
        moments = list(self.moments)
        for side, value in enumerate(values):
            if value is not None:
                at = day * SIDES + side
                moments[at] = moments[at].learn(value, memory)
        return Cell(tuple(moments))

    def encode(self) -> bytes:
        return bytes([VERSION]) + b"".join(one.pack() for one in self.moments)

    @staticmethod
    def decode(state: bytes) -> Cell:
        """Raises ValueError when the bytes are not a cell of this version: begin with `Cell()` then."""
        size = Moments.size()
        if len(state) != 1 + size * _MOMENTS or state[0] != VERSION:
            raise ValueError("not a cell of this version")
        return Cell(tuple(Moments.unpack(state, at) for at in range(1, len(state), size)))


class Expected(NamedTuple):
    """A mean and a dispersion; `n` values stand behind it."""

    mean: float
    a: float
    n: int

    @property
    def deviation(self) -> float:
        return math.sqrt(self.mean + self.mean * self.mean * self.a)


def expected(moments: Moments, a: float, factor: float) -> Expected:
    """What a slot should bring; the line's dispersion is widened by how little the mean itself is known."""
    mean = max(moments.mean * factor, SEEN_NOBODY / (moments.n + 1))
    wide = a + (a + 1 / mean) / moments.n
    return Expected(mean, min(wide, chances.MAX_DISPERSION), moments.n)
