"""A seeded centre: who arrives when, walks past which front, turns in, buys and leaves.

Shapes are those of recorded places: hours and weekdays of a mall street (Melbourne, Bourke Street Mall,
2015-2016), a day factor with a coefficient of variation of 0.2, over-dispersed half hours, groups as seen at
a store door. Receipts are Poisson given the day.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from math import exp
from zoneinfo import ZoneInfo

HOUR_SHARE = (  # per cent of a day's arrivals, hours 0..23
    *(0.46, 0.29, 0.18, 0.15, 0.11, 0.13, 0.30, 0.80, 2.05, 2.86, 4.62, 6.75),
    *(10.03, 11.30, 10.00, 9.77, 9.56, 9.81, 7.82, 5.13, 3.34, 2.25, 1.44, 0.84),
)
WEEKDAY_INDEX = (0.915, 0.916, 0.973, 1.040, 1.186, 1.087, 0.880)  # Monday first
GROUP_SHARE = (0.921, 0.072, 0.006, 0.001)  # 1, 2, 3, 4 persons
DAY_CV = 0.2
DOOR_K = 100.0  # negative binomial k of a big mall door's half hour
SHOP_DWELL = (0.440, 0.725)  # log-mean and log-sd of minutes in a small store
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, order=True)
class Crossing:
    at_ms: int
    line: str
    inward: bool


@dataclass(frozen=True, slots=True, order=True)
class Sale:
    at_ms: int
    till: str
    amount_minor: int
    returned: bool


Happening = Crossing | Sale


@dataclass(frozen=True, slots=True)
class Shop:
    """`doors`: (line, seen from inside?) – a line mounted inside out counts a visitor's entry as out."""

    name: str
    doors: tuple[tuple[str, bool], ...]
    till: str
    front: str | None = None
    passes: float = 0.6  # share of the centre's visitors who walk past
    turns_in: float = 0.4  # share of those who enter
    buys: float = 0.25  # share of visitors who buy


@dataclass(slots=True)
class Centre:
    """`until(t)` gives everything that happens before t, in order, once; equal seeds give equal centres."""

    seed: int
    timezone: str
    start_ms: int  # a whole minute
    doors: tuple[str, ...]
    shops: tuple[Shop, ...]
    visitors_per_day: float = 12_000.0
    _random: random.Random = field(init=False)
    _minute_ms: int = field(init=False)
    _slot: tuple[int, float] = (-1, 1.0)
    _coming: list[tuple[int, int, Happening]] = field(default_factory=list)
    _made: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._minute_ms = self.start_ms

    def until(self, end_ms: int) -> Iterator[Happening]:
        while self._minute_ms < end_ms:
            self._populate(self._minute_ms)
            self._minute_ms += MINUTE_MS
        while self._coming and self._coming[0][0] < end_ms:
            yield heapq.heappop(self._coming)[2]

    def _populate(self, minute_ms: int) -> None:
        for _ in range(_poisson(self._random, self._rate(minute_ms))):
            arrival_ms = minute_ms + self._random.randrange(MINUTE_MS)
            (size,) = self._random.choices((1, 2, 3, 4), GROUP_SHARE)
            door = self._random.choice(self.doors)
            for member in range(size):
                self._visit(arrival_ms + member * 700, door)

    def _rate(self, minute_ms: int) -> float:
        """Groups expected in this minute."""
        local = datetime.fromtimestamp(minute_ms / 1000, ZoneInfo(self.timezone))
        slot = minute_ms // (30 * MINUTE_MS)
        if slot != self._slot[0]:
            self._slot = (slot, self._random.gammavariate(DOOR_K, 1 / DOOR_K))
        shape = 1 / DAY_CV**2
        day = random.Random(f"{self.seed}/{local.date()}").gammavariate(shape, 1 / shape)
        share = HOUR_SHARE[local.hour] / 100 * WEEKDAY_INDEX[local.weekday()]
        return self.visitors_per_day * share * day * self._slot[1] / 60

    def _visit(self, at_ms: int, door: str) -> None:
        self._happens(Crossing(at_ms, door, inward=True))
        at_ms += self._minutes(0.5, 0.4)
        for shop in self._random.sample(self.shops, len(self.shops)):
            if self._random.random() < shop.passes:
                at_ms = self._pass(shop, at_ms)
        self._happens(Crossing(at_ms, self._random.choice(self.doors), inward=False))

    def _pass(self, shop: Shop, at_ms: int) -> int:
        if shop.front:
            self._happens(Crossing(at_ms, shop.front, inward=self._random.random() < 0.5))
        if self._random.random() < shop.turns_in:
            at_ms += self._random.randrange(1_000, 6_000)
            self._enter(shop, at_ms, entering=True)
            leave_ms = at_ms + self._minutes(*SHOP_DWELL)
            if self._random.random() < shop.buys:
                self._buy(shop.till, leave_ms - min(10_000, (leave_ms - at_ms) // 2))
            self._enter(shop, leave_ms, entering=False)
            at_ms = leave_ms
        return at_ms + self._minutes(0.2, 0.5)

    def _enter(self, shop: Shop, at_ms: int, *, entering: bool) -> None:
        line, inside_out = self._random.choice(shop.doors)
        self._happens(Crossing(at_ms, line, inward=entering != inside_out))

    def _buy(self, till: str, at_ms: int) -> None:
        amount_minor = 100 * round(self._random.lognormvariate(5.2, 0.8)) - self._random.choice((0, 10, 100))
        returned = self._random.random() < 0.03
        self._happens(Sale(at_ms, till, max(amount_minor, 100), returned))

    def _minutes(self, log_mean: float, log_sd: float) -> int:
        return int(self._random.lognormvariate(log_mean, log_sd) * MINUTE_MS)

    def _happens(self, what: Happening) -> None:
        self._made += 1  # breaks ties in the order in which people were made
        heapq.heappush(self._coming, (what.at_ms, self._made, what))


def _poisson(source: random.Random, mean: float) -> int:
    """Knuth's product for small means; halves larger ones."""
    if mean > 30:
        return _poisson(source, mean / 2) + _poisson(source, mean / 2)
    limit, product, count = exp(-mean), source.random(), 0
    while product > limit:
        product *= source.random()
        count += 1
    return count
