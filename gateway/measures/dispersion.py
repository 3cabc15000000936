"""How much more receipts scatter than chance alone, learnt from closed days.

Interval formulas need phi, the variance of receipts given entries over the binomial one. It is learnt from
the kind of window it is used for: the part of a closed day that such a window would have shown, against
what the whole day's rate says of it. A part (T, E) of a day (T', E') with rate p = T'/E' has, by chance,

    (T - pE)² / (p(1 - p)·E·(1 - E/E'))

as expectation 1; the last factor is because the day contains the part. A rate that changes from day to day
does not enter, and what persists from hour to hour does (docs/decisions/011). E are lagged entries where
the rate has them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.measures.converting import PHI_START

DECAY = 27 / 28  # of a day's weight, each day: four weeks decide
PRIOR_DAYS = 4.0  # what the starting value weighs
LEAST_SHARE = 0.05  # of the day on either side of a part, below which it says nothing

Part = tuple[int, float]  # receipts, entries


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Decayed sums for one kind of window (and one class of hours): squared residuals, and days."""

    squares: float = 0.0
    days: float = 0.0


def phi(seen: Dispersion) -> float:
    """The over-dispersion to use, at least 1; 2 before the first day."""
    return max(1.0, (PRIOR_DAYS * PHI_START + seen.squares) / (PRIOR_DAYS + seen.days))


def after_day(seen: Dispersion, squares: Iterable[float]) -> Dispersion:
    """One more closed day with the squared residuals of its parts; without any it teaches nothing."""
    known = list(squares)
    if not known:
        return seen
    return Dispersion(DECAY * seen.squares + math.fsum(known) / len(known), DECAY * seen.days + 1)


def to_date(sales: Sequence[int], entries: Sequence[float], every: int) -> Iterator[Part]:
    """What a day of windows had shown up to each `every` windows, the whole day left out."""
    for end in range(every, len(sales), every):
        yield sum(sales[:end]), math.fsum(entries[:end])


def rolling(sales: Sequence[int], entries: Sequence[float], length: int) -> Iterator[Part]:
    """What each whole rolling window of `length` windows had shown, without overlap."""
    for end in range(length, len(sales) + 1, length):
        yield sum(sales[end - length : end]), math.fsum(entries[end - length : end])


def squares(parts: Iterable[Part], day_sales: int, day_entries: float) -> Iterator[float]:
    """The squared residual of each part of a day; none for parts or days that say nothing.

    Pass the parts of one class of hours to learn that class alone.
    """
    if not 0 < day_sales < day_entries:
        return
    p = day_sales / day_entries
    for sales, entries in parts:
        share = entries / day_entries
        if LEAST_SHARE <= share <= 1 - LEAST_SHARE:
            yield (sales - p * entries) ** 2 / (p * (1 - p) * entries * (1 - share))


def group_dispersion(sizes: Mapping[int, int]) -> tuple[float, float] | None:
    """(mean size, variance over mean of persons) of groups given as size → how many; None without groups.

    The second is E[g²]/E[g], what groups alone add where groups arrive by chance: the design effect of a
    survey.
    """
    groups = sum(sizes.values())
    persons = sum(size * many for size, many in sizes.items())
    if not groups or not persons:
        return None
    return persons / groups, sum(size * size * many for size, many in sizes.items()) / persons
