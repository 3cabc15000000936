"""Business days as a report sees them: how many came or bought, and whether somebody was watching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Protocol

from gateway.measures import completeness
from gateway.windows import Span, day_bounds

LEAST_COVERAGE = 0.95
ONE = timedelta(days=1)


class DaySum(Protocol):
    """What is needed of a day's sums; `gateway.store.plan.DaySum` is one."""

    @property
    def ins(self) -> int: ...
    @property
    def staff(self) -> int: ...
    @property
    def sales(self) -> int: ...
    @property
    def watched_ms(self) -> int | None: ...
    @property
    def base_ms(self) -> int | None: ...


class Days(Protocol):
    """Who adds days up; `gateway.store.Reader` is one."""

    def zone_days(self, zone: str, days: list[Span]) -> Sequence[DaySum | None]: ...

    def door_days(self, zone: str, days: list[Span]) -> Mapping[str, Sequence[DaySum | None]]: ...


def between(first: date, last: date) -> list[date]:
    """Every date from the first to the last."""
    return [first + n * ONE for n in range((last - first).days + 1)]


def bounds(days: Sequence[date], timezone: str, day_start_min: int) -> list[Span]:
    return [day_bounds(day, timezone, day_start_min) for day in days]


def covered(day: DaySum) -> float | None:
    """Share of the open time that was watched; None: closed, or nobody can say."""
    return completeness(day.watched_ms, day.base_ms)


def whole(day: DaySum | None) -> bool:
    """Open and watched for 95 %."""
    seen = None if day is None else covered(day)
    return seen is not None and seen >= LEAST_COVERAGE
