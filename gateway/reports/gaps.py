"""What nobody watched: how much of a day that is, and what usually comes in those hours. Pure.

Each line is imputed by itself, because while one door is not watched the others count on; a zone's figures
are the sums over its lines. The profile of a line is the mean of the same window, by the clock of the place,
of the last four same weekdays that were whole. Persons only, never receipts or ratios.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from gateway.measures.imputing import MEASURED, UNKNOWN, dispersion, estimate
from gateway.measures.quantiles import t_quantile
from gateway.measures.ratios import ESTIMATED, NO_HISTORY, WHOLE
from gateway.windows import Span

SIDES = ("ins", "outs", "passersby")
LEAST_COVERAGE = 0.95  # of a day, and of a window, that others are judged by
USUAL_DAYS = 4
LEAST_USUAL_DAYS = 2
LOOK_BACK_WEEKS = 12  # what was a quarter of a year ago is another season
Persons = tuple[float, float, float]  # ins, outs, passersby
Key = tuple[int, int]  # minute of the day by the clock of the place, window size in seconds
Profile = Mapping[Key, Persons]  # persons for each open millisecond of a line's windows
CLOSED, PARTLY_UNKNOWN = "closed", "partly_unknown"
TIERS = (MEASURED, ESTIMATED, UNKNOWN, CLOSED)  # of a day


@dataclass(frozen=True, slots=True)
class Cell:
    """A line in one window. `open_ms` 0: closed; `watched_ms`, of the open time, None: nobody can say.

    `minute`: of the day by the clock of the place, at its start.
    """

    start_ms: int
    size_s: int
    minute: int
    open_ms: int
    watched_ms: int | None
    persons: tuple[int, int, int]  # ins, outs, passersby

    @property
    def share(self) -> float:
        """Of the open time that was watched, 0…1; 0 where nobody can say."""
        return min(1.0, (self.watched_ms or 0) / self.open_ms) if self.open_ms else 1.0


@dataclass(frozen=True, slots=True)
class Door:
    """A line's part in a zone's day; `role`: entrance, passing or staff."""

    line: str
    role: str
    cells: Sequence[Cell]


Doors = Mapping[str, Door]  # by what tells a line in its role from all others
Usual = Mapping[str, Profile]  # the same of a day that others are judged by


@dataclass(slots=True)
class Side:
    """Persons imputed on one side, and what they were imputed from. Sides add up, variance included.

    `degrees`: of freedom, of the days that the variance was learnt from.
    """

    imputed: float = 0.0
    variance: float = 0.0
    observed: float = 0.0
    usual: float = 0.0
    degrees: int = 0

    def add(self, other: Side) -> None:
        self.imputed += other.imputed
        self.variance += other.variance
        self.observed += other.observed
        self.usual += other.usual
        self.degrees += other.degrees

    @property
    def error(self) -> float:
        return math.sqrt(self.variance)

    @property
    def factor(self) -> float | None:
        """Today over what is usual, where anything had to be imputed."""
        return self.observed / self.usual if self.usual else None

    def bounds(self, counted: int) -> tuple[float, float]:
        """95 % of all persons, by Student's t; those that were counted are certain."""
        total = counted + self.imputed
        far = t_quantile(0.975, self.degrees) * self.error if self.degrees else 0.0
        return max(float(counted), total - far), total + far


@dataclass(slots=True)
class Filled:
    """What a day lacks, by side; `why`: nothing can be said."""

    sides: dict[str, Side] = field(default_factory=lambda: {name: Side() for name in SIDES})
    why: str = ""

    def add(self, other: Filled) -> None:
        for name in SIDES:
            self.sides[name].add(other.sides[name])


def tier_of(days: Mapping[str, int]) -> str:
    """Of several days, from how many there are of each tier: the worst; some unknown make it partly so."""
    if days.get(UNKNOWN):
        return PARTLY_UNKNOWN if days.get(MEASURED) or days.get(ESTIMATED) else UNKNOWN
    return next((name for name in (ESTIMATED, MEASURED) if days.get(name)), CLOSED)


def usual(doors: Doors, open_ms: int) -> Usual | None:
    """A day's profiles; None when too little of it was watched for others to be judged by."""
    worst: dict[int, int] = {}
    for door in doors.values():
        for cell in door.cells:
            if cell.watched_ms is None:
                return None
            worst[cell.start_ms] = min(cell.watched_ms, worst.get(cell.start_ms, cell.watched_ms))
    if not open_ms or sum(worst.values()) < LEAST_COVERAGE * open_ms:
        return None
    return {key: _profile(door.cells) for key, door in doors.items()}


def usual_days(day: date, of: Callable[[date], Usual | None]) -> list[Usual]:
    """The last four same weekdays that can be judged by; `of` gives one, or None."""
    found: list[Usual] = []
    for weeks in range(1, LOOK_BACK_WEEKS + 1):
        if one := of(day - timedelta(weeks=weeks)):
            found.append(one)
        if len(found) == USUAL_DAYS:
            break
    return found


def filled(doors: Doors, days: Sequence[Usual], covered: float | None) -> Filled:
    """Persons that a day in between (`estimated`) lacks. `covered`: share of it that its zone was watched."""
    total = Filled()
    for key, door in doors.items():
        if all(cell.share == 1.0 for cell in door.cells):
            continue
        one = _fill(door.cells, [day[key] for day in days if key in day], covered)
        if one.why:
            return one
        total.add(one)
    return total


def _profile(cells: Iterable[Cell]) -> Profile:
    """An hour that a clock shows twice is the mean of both; what was not watched is absent."""
    same: dict[Key, list[Cell]] = {}
    for cell in cells:
        if cell.open_ms and cell.share >= LEAST_COVERAGE:
            same.setdefault((cell.minute, cell.size_s), []).append(cell)
    return {key: _rate(each) for key, each in same.items()}


def _rate(cells: Sequence[Cell]) -> Persons:
    open_ms = sum(cell.open_ms for cell in cells)
    ins, outs, passersby = (
        math.fsum(side) / open_ms for side in zip(*(c.persons for c in cells), strict=True)
    )
    return ins, outs, passersby


def _fill(cells: Sequence[Cell], before: Sequence[Profile], covered: float | None) -> Filled:
    """One line. Windows that no usual day had are left out; if one of them is missing there is no history."""
    expected: list[tuple[Cell, list[Persons]]] = []
    for cell in cells:
        rates = [one.get((cell.minute, cell.size_s)) for one in before] if cell.open_ms else []
        known = [rate for rate in rates if rate is not None]
        if known:
            expected.append((cell, [_scaled(rate or _mean(known), cell.open_ms) for rate in rates]))
        elif cell.open_ms and cell.share < WHOLE:
            return Filled(why=NO_HISTORY)
    if len(before) < LEAST_USUAL_DAYS:
        return Filled(why=NO_HISTORY)
    found = Filled()
    for at, name in enumerate(SIDES):
        side = _side(at, expected, len(before), covered)
        if side is None:
            return Filled(why=NO_HISTORY)
        found.sides[name] = side
    return found


def _side(
    at: int, expected: Sequence[tuple[Cell, list[Persons]]], days: int, covered: float | None
) -> Side | None:
    """None where nothing can be said."""
    usual = [
        (
            math.fsum(cell.share * persons[day][at] for cell, persons in expected),
            math.fsum((1 - cell.share) * persons[day][at] for cell, persons in expected),
        )
        for day in range(days)
    ]
    watched, missing = (math.fsum(part) / days for part in zip(*usual, strict=True))
    if not missing:
        return Side()
    observed = math.fsum(cell.persons[at] for cell, _persons in expected)
    found = estimate(round(observed), watched, missing, covered, phi=dispersion(usual))
    if found.total is None:
        return None
    degrees = days + 1  # what is assumed of the dispersion counts as one more day
    return Side(found.imputed, found.standard_error**2, observed, watched, degrees)


def _mean(rates: Sequence[Persons]) -> Persons:
    ins, outs, passersby = (math.fsum(side) / len(rates) for side in zip(*rates, strict=True))
    return ins, outs, passersby


def _scaled(rate: Persons, open_ms: int) -> Persons:
    return rate[0] * open_ms, rate[1] * open_ms, rate[2] * open_ms


def missing(cells: Iterable[Cell]) -> Iterator[Span]:
    """When a line was not watched though it was open, in whole windows; a trifle of one does not count."""
    lacking = (cell for cell in cells if cell.open_ms and cell.share < WHOLE)
    return joined((cell.start_ms, cell.start_ms + cell.size_s * 1000) for cell in lacking)


def joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Spans that touch as one, by time."""
    low_ms = high_ms = -1
    for start_ms, end_ms in sorted(spans):
        if start_ms > high_ms:
            if high_ms >= 0:
                yield low_ms, high_ms
            low_ms = start_ms
        high_ms = max(high_ms, end_ms)
    if high_ms >= 0:
        yield low_ms, high_ms
