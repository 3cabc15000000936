"""Like-for-like growth: this period over the one a year before, of the doors that were whole in both.

The reference of a day is `calendars.Weeks.comparable`. Oracle O7b.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.measures.ratios import LIKE_FOR_LIKE, NOT_COMPARABLE, Ratio, unknown

LEAST_COVERAGE = 0.95
BREAK = (
    0.20  # a level that moved by more than this, and not its neighbours', is a moved counter and no headline
)
LEAST_NEIGHBOURS = 2


@dataclass(frozen=True, slots=True)
class Door:
    """Persons of a door (or store) in both periods. None: it was not open. `broken`: refitted or moved in
    between."""

    name: str
    now: int | None
    reference: int | None
    coverage_now: float | None = 1.0
    coverage_reference: float | None = 1.0
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Growth:
    """`ratio`: the relative change; `doors` were compared of `of_doors`; they hold `share_now` of today's
    persons."""

    ratio: Ratio
    doors: tuple[str, ...]
    of_doors: int
    share_now: float | None


def comparable(door: Door) -> bool:
    """Was it open and watched for 95 % in both periods, and the same counter?"""
    coverages = (door.coverage_now, door.coverage_reference)
    watched = all(covered is not None and covered >= LEAST_COVERAGE for covered in coverages)
    return door.now is not None and door.reference is not None and watched and not door.broken


def like_for_like(doors: Sequence[Door]) -> Growth:
    """Σ now / Σ reference - 1 over comparable doors. No interval: compare with the spread in
    `campaign.placebo`."""
    same = [door for door in doors if comparable(door)]
    now, reference = sum(door.now or 0 for door in same), sum(door.reference or 0 for door in same)
    everybody = sum(door.now or 0 for door in doors)
    ratio = Ratio(now / reference - 1, formula=LIKE_FOR_LIKE) if reference > 0 else unknown(NOT_COMPARABLE)
    names = tuple(sorted(door.name for door in same))
    return Growth(ratio, names, len(doors), now / everybody if everybody > 0 else None)


def suspected_breaks(doors: Sequence[Door]) -> tuple[str, ...]:
    """Doors whose level moved by more than 20 % against the median of at least two neighbours: mark a
    break."""
    logs = {
        door.name: math.log(door.now / door.reference)
        for door in doors
        if comparable(door) and door.now and door.reference
    }
    if len(logs) <= LEAST_NEIGHBOURS:
        return ()
    limit = math.log1p(BREAK)
    return tuple(
        name
        for name in sorted(logs)
        if abs(logs[name] - median([other for at, other in logs.items() if at != name])) > limit
    )


def median(figures: Sequence[float]) -> float:
    """Of at least one figure. The standard library's costs a box half a megabyte of other things."""
    ranked, half = sorted(figures), len(figures) // 2
    return ranked[half] if len(figures) % 2 else (ranked[half - 1] + ranked[half]) / 2
