"""What is remembered of one line between two slots: constant in size, whatever happens.

Every part is a small record; `_RECORDS` says how it is packed.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from gateway.quality import chances
from gateway.quality.cells import MOMENTS, NOTHING, Moments
from gateway.quality.nouns import Kind
from gateway.quality.packing import Layout

VERSION = 1
MAX_RING = 4  # slots in an hour
KINDS = tuple(Kind)  # an open alarm is packed as its place here: append, never reorder


class Run(NamedTuple):
    """Slots in a row in which nobody came: log10 of the chance of that, and how many should have come."""

    since_ms: int = 0
    length_s: int = 0
    log10: float = 0.0
    expected: float = 0.0


class Repeat(NamedTuple):
    """The same counts again and again; `ins` or `outs` is -1 where a side is absent."""

    since_ms: int = 0
    times: int = 0
    ins: int = -1
    outs: int = -1
    log10: float = 0.0


class Excess(NamedTuple):
    """More people than usual over consecutive slots: `score` is a fading log likelihood ratio."""

    since_ms: int = 0
    score: float = 0.0
    seen: float = 0.0
    expected: float = 0.0


class Likeness(NamedTuple):
    """How far a day looks like another hypothesis: 0 as usual, 1 as the other one would make it."""

    score: float = 0.0
    usual: float = 0.0  # what the score would be on a usual day
    other: float = 0.0  # and under the other hypothesis

    def add(self, seen: float, usual: float, other: float, log_ratio: float) -> Likeness:
        return Likeness(
            self.score + seen * log_ratio, self.usual + usual * log_ratio, self.other + other * log_ratio
        )

    def place(self, factor: float) -> float:
        """Between usual (0) and other (1); `factor`: how busy the day was. 0 where the two do not differ."""
        apart = (self.other - self.usual) * factor
        return (self.score - self.usual * factor) / apart if apart > 0 else 0.0


class Closing(NamedTuple):
    """The closed slots since the last open one in which more than staff came."""

    slots: int = 0
    persons: int = 0
    since_ms: int = 0


class Today(NamedTuple):
    """Sums since the day began."""

    ins: int = 0
    outs: int = 0
    sag: int = 0  # lowest balance of in less out
    seen: float = 0.0  # persons in the slots that were judged
    usual_ins: float = 0.0  # what the profile has for those
    usual_outs: float = 0.0
    usual_sag: float = 0.0
    all_usual: float = 0.0  # and for all open slots, missing ones too

    @property
    def usual(self) -> float:
        return self.usual_ins + self.usual_outs

    @property
    def factor(self) -> float:
        """How busy the day is beside its profile."""
        return self.seen / self.usual if self.usual > 0 else 1.0


class Cusum(NamedTuple):
    """What a one-sided sum has piled up since it last was nothing.

    `base`: what was usual when it began, for what is usual follows; `total`: how far from it the days were.
    """

    value: float = 0.0
    days: int = 0
    base: float = 0.0
    total: float = 0.0
    since_ms: int = 0

    def add(self, amount: float, value: float, usual: float, start_ms: int, most: float = math.inf) -> Cusum:
        """`amount` is piled up for a day of `value`, beginning at `start_ms`, when `usual` was usual."""
        piled = min(self.value + amount, most)
        if piled <= 0:
            return Cusum()
        base, since_ms = (self.base, self.since_ms) if self.days else (usual, start_ms)
        return Cusum(piled, self.days + 1, base, self.total + value - base, since_ms)

    @property
    def mean(self) -> float:
        """How far from `base` the days were."""
        return self.total / self.days if self.days else 0.0


class Level(NamedTuple):
    """From day to day, in logarithms of day by profile: how busy the line is these days."""

    days: int = 0
    level: float = 0.0


class Streaks(NamedTuple):
    """Days in a row."""

    imbalance: int = 0
    swapped: int = 0
    early: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    """An alarm that has begun; `calm` judgements in a row found nothing, the first of them at `calm_ms`."""

    kind: Kind
    since_ms: int
    calm: int = 0
    calm_ms: int = 0


_HEAD = "<Bqqddd"
_OPEN = "<BqBq"
_RECORDS = (  # name, how it is made, its fields as in `struct`
    ("nobody", Run._make, "qidd"),
    ("no_ins", Run._make, "qidd"),
    ("no_outs", Run._make, "qidd"),
    ("repeat", Repeat._make, "qiqqd"),
    ("excess", Excess._make, "qddd"),
    ("closing", Closing._make, "iqq"),
    ("mirror", Likeness._make, "ddd"),
    ("early", Likeness._make, "ddd"),
    ("late", Likeness._make, "ddd"),
    ("today", Today._make, "qqqddddd"),
    ("level", Level._make, "id"),
    ("gap", Moments._make, MOMENTS),
    ("loss", Cusum._make, "diddq"),
    ("up", Cusum._make, "diddq"),
    ("down", Cusum._make, "diddq"),
    ("imbalance", Moments._make, MOMENTS),
    ("streaks", Streaks._make, "iiii"),
)
_PARTS = tuple(name for name, _make, _fields in _RECORDS)
_parts_of = attrgetter(*_PARTS)
LAYOUT = Layout(*((make, fields) for _name, make, fields in _RECORDS))


NO_RUN, NO_REPEAT, NO_EXCESS, NO_CLOSING, NO_STREAKS = Run(), Repeat(), Excess(), Closing(), Streaks()
NO_LIKENESS, NO_TODAY, NO_CUSUM, NO_LEVEL = Likeness(), Today(), Cusum(), Level()


@dataclass(slots=True)
class Detectors:
    """All detectors of one line. `through_ms`: end of the last slot; a repeated one changes nothing.

    Not frozen, for speed: a step works on a copy of its own.
    """

    through_ms: int = 0
    ended_ms: int = 0  # end of the last day that was judged
    over: float = 0.0  # sums behind the line's dispersion: squared surprises less Poisson's share
    square: float = 0.0  # squared means
    peak: float = 0.0  # the most that a clean slot brought
    nobody: Run = NO_RUN
    no_ins: Run = NO_RUN
    no_outs: Run = NO_RUN
    repeat: Repeat = NO_REPEAT
    excess: Excess = NO_EXCESS
    closing: Closing = NO_CLOSING
    mirror: Likeness = NO_LIKENESS
    early: Likeness = NO_LIKENESS
    late: Likeness = NO_LIKENESS
    today: Today = NO_TODAY
    level: Level = NO_LEVEL
    gap: Moments = NOTHING  # of the line's level to its neighbours', day by day
    loss: Cusum = NO_CUSUM  # of standard deviations
    up: Cusum = NO_CUSUM  # of logarithms
    down: Cusum = NO_CUSUM
    imbalance: Moments = NOTHING  # of a day's (in - out) / average
    streaks: Streaks = NO_STREAKS
    ring: tuple[tuple[float, float], ...] = ()  # (seen, usual) of the slots of the last hour, oldest first
    opens: tuple[Open, ...] = ()

    @property
    def dispersion(self) -> float:
        """1/k, pooled over all cells; wide until something was learned."""
        if self.square <= 0:
            return chances.MAX_DISPERSION / 2
        return chances.bounded_dispersion(self.over / self.square)

    def copy(self) -> Detectors:
        return Detectors(*_all_of(self))

    def away(self, until_ms: int) -> Detectors:
        """Nobody judged the slots before that: what was going on is over, of the day nothing is known."""
        after = self.copy()
        after.through_ms, after.today, after.ring = until_ms, NO_TODAY, ()
        after.mirror = after.early = after.late = NO_LIKENESS
        after.repeat, after.excess = NO_REPEAT, NO_EXCESS
        return after

    def encode(self) -> bytes:
        head = struct.pack(_HEAD, VERSION, self.through_ms, self.ended_ms, self.over, self.square, self.peak)
        parts = LAYOUT.pack(_parts_of(self))
        ring = struct.pack(
            f"<B{2 * len(self.ring)}d", len(self.ring), *(n for pair in self.ring for n in pair)
        )
        opens = [struct.pack(_OPEN, KINDS.index(o.kind), o.since_ms, o.calm, o.calm_ms) for o in self.opens]
        return b"".join([head, parts, ring, *opens])

    @staticmethod
    def decode(state: bytes) -> Detectors:
        """Raises ValueError when the bytes are none of this version: begin with `Detectors()` then."""
        try:
            return _decode(state)
        except (struct.error, IndexError):
            raise ValueError("not detectors of this version") from None


_all_of = attrgetter(*Detectors.__slots__)


def _decode(state: bytes) -> Detectors:
    version, *head = struct.unpack_from(_HEAD, state)
    if version != VERSION:
        raise ValueError(f"detectors of version {version}")
    at = struct.calcsize(_HEAD)
    parts = LAYOUT.unpack(state, at)
    at += LAYOUT.size
    pairs = state[at]
    flat = struct.unpack_from(f"<{2 * pairs}d", state, at + 1)
    at += 1 + 16 * pairs
    opens = [Open(KINDS[kind], *rest) for kind, *rest in struct.iter_unpack(_OPEN, state[at:])]
    ring = tuple(zip(flat[::2], flat[1::2], strict=True))
    detectors = Detectors(*head)
    for name, part in zip(_PARTS, parts, strict=True):
        setattr(detectors, name, part)
    detectors.ring, detectors.opens = ring, tuple(opens)
    return detectors
