"""Days of a store that never was: people enter, some of them buy, later. Knows nothing of the gateway.

Figures by which days are made, each found in recorded counts: a day's crowd varies by a gamma factor with
CV 0.2; a quarter of an hour is negative binomial around its share, with k 60…140 at a large door and 5 at a
small one; shapes over the day are those of a mall street (Bourke Street Mall, Melbourne) and of a bakery's
receipts. Receipts come by chance from those who entered, with a rate that an episode of half an hour to an
hour and a half shares, so that they scatter `phi` times as much as chance; the rate itself changes from day
to day. Who buys pays after a gamma (shape 2) or a log-normal (log-sd 0.72) time. The counter misses some.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

QUARTER_S = 900
MALL_STREET = (4.62, 6.75, 10.03, 11.30, 10.00, 9.77, 9.56, 9.81, 7.82, 5.13, 3.34)  # 10 h … 20 h
BAKERY = (3.93, 10.57, 13.29, 15.16, 14.13, 12.20, 11.86, 9.69, 6.12, 1.68)  # 8 h … 17 h
DAY_CV = 0.2
TAIL = 8  # quarters after closing in which the last buyers pay
LOG_SD = 0.72


@dataclass(frozen=True, slots=True)
class Store:
    """What is true of a store. `rate`: receipts per person; `mean_lag_s`: from entering to paying."""

    shape: tuple[float, ...]
    persons: float  # a day
    slot_k: float
    rate: float
    rate_cv: float  # from day to day
    phi: float
    mean_lag_s: float
    log_normal: bool
    seen: float  # share of persons that the counter sees


@dataclass(frozen=True, slots=True)
class Day:
    """A quarter of an hour each. `rate` is this day's truth; `counted` is what the counter saw of
    `entered`."""

    rate: float
    entered: tuple[int, ...]
    counted: tuple[int, ...]
    receipts: tuple[int, ...]


def store(dice: Random) -> Store:
    """A store drawn from the ranges that stores have."""
    large = dice.random() < 0.5
    return Store(
        shape=dice.choice((MALL_STREET, BAKERY)),
        persons=dice.uniform(1200, 3000) if large else dice.uniform(300, 900),
        slot_k=dice.uniform(60, 140) if large else 5,
        rate=dice.uniform(0.10, 0.40),
        rate_cv=dice.choice((0.0, 0.1)),
        phi=dice.uniform(1, 4),
        mean_lag_s=dice.uniform(300, 1500),
        log_normal=dice.random() < 0.5,
        seen=dice.uniform(0.90, 1.0),
    )


def day(dice: Random, of: Store) -> Day:
    """One day of it."""
    crowd = dice.gammavariate(1 / DAY_CV**2, DAY_CV**2) * of.persons
    total = sum(of.shape)
    quarters = [crowd * share / total / 4 for share in of.shape for _ in range(4)]
    entered = [poisson(dice, dice.gammavariate(of.slot_k, mean / of.slot_k)) for mean in quarters]
    rate = of.rate if not of.rate_cv else of.rate * dice.gammavariate(1 / of.rate_cv**2, of.rate_cv**2)
    entered += [0] * TAIL
    receipts = [0] * len(entered)
    for first, length in episodes(dice, len(quarters)):
        chance = shared_chance(dice, rate, sum(entered[first : first + length]), of.phi)
        for quarter in range(first, first + length):
            for _ in range(binomial(dice, entered[quarter], chance)):
                paid = quarter + dice.random() + lag(dice, of) / QUARTER_S
                receipts[min(int(paid), len(receipts) - 1)] += 1
    counted = tuple(binomial(dice, many, of.seen) for many in entered)
    return Day(rate, tuple(entered), counted, tuple(receipts))


def episodes(dice: Random, quarters: int) -> list[tuple[int, int]]:
    """(first, length) of stretches that share a cause: two to six quarters each."""
    found, first = [], 0
    while first < quarters:
        length = min(dice.randint(2, 6), quarters - first)
        found.append((first, length))
        first += length
    return found


def shared_chance(dice: Random, rate: float, persons: int, phi: float) -> float:
    """An episode's own rate: mean `rate`, and receipts of it have `phi` times the binomial variance."""
    if phi <= 1 or persons <= phi:
        return rate
    weight = (persons - phi) / (phi - 1)
    return dice.betavariate(rate * weight, (1 - rate) * weight)


def lag(dice: Random, of: Store) -> float:
    """Seconds from entering to paying."""
    if of.log_normal:
        return dice.lognormvariate(math.log(of.mean_lag_s) - LOG_SD**2 / 2, LOG_SD)
    return dice.gammavariate(2, of.mean_lag_s / 2)


def tally(dice: Random, of: Store, persons: int) -> tuple[int, int]:
    """(by hand, by the counter) of a window with that many persons; the hand does not err."""
    return persons, binomial(dice, persons, of.seen)


def poisson(dice: Random, mean: float) -> int:
    """By counting gaps; the mean of a quarter is small enough."""
    many, left = 0, mean
    while (left := left - dice.expovariate(1)) > 0:
        many += 1
    return many


def binomial(dice: Random, many: int, chance: float) -> int:
    return sum(dice.random() < chance for _ in range(many))
