"""Pure: window edges, the business day, opening hours, and sharing out readings that straddle windows.

Instants are milliseconds since the epoch, UTC; a day has 23, 24 or 25 hours (metrics 15, 16; semantics 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

Span = tuple[int, int]
DAY_MIN = 1440

# Integer division throughout: equals floor(c*F(hi)) - floor(c*F(lo)), so the parts add up to c and no product
# leaves 63 bits while counts, money and lengths keep the limits of `model` (semantics 2).
SHARE_SQL = (
    "({c}/(end_ms-start_ms))*(min(max(:hi,start_ms),end_ms)-min(max(:lo,start_ms),end_ms))"
    "+(({c}%(end_ms-start_ms))*(min(max(:hi,start_ms),end_ms)-start_ms))/(end_ms-start_ms)"
    "-(({c}%(end_ms-start_ms))*(min(max(:lo,start_ms),end_ms)-start_ms))/(end_ms-start_ms)"
)


@dataclass(frozen=True, slots=True)
class Hours:
    """Opening hours in local minutes of the day they belong to; a close beyond 1440 is after midnight.

    `weekly` has seven days from Monday; `dates` overrides whole days.
    """

    weekly: tuple[tuple[Span, ...], ...]
    dates: Mapping[date, tuple[Span, ...]] = field(default_factory=dict)

    def of(self, day: date) -> tuple[Span, ...]:
        """The spans that open on that date."""
        return self.dates.get(day, self.weekly[day.weekday()])


def share(count: int, start_ms: int, end_ms: int, lo_ms: int, hi_ms: int) -> int:
    """Persons of a reading `count` on `[start, end)` that belong to `[lo, hi)`."""
    length = end_ms - start_ms
    first = min(max(lo_ms, start_ms), end_ms)
    last = min(max(hi_ms, start_ms), end_ms)
    whole, rest = divmod(count, length)
    return whole * (last - first) + rest * (last - start_ms) // length - rest * (first - start_ms) // length


def floor_ms(at_ms: int, size_s: int) -> int:
    """Start of the window that contains the instant."""
    return at_ms - at_ms % (size_s * 1000)


def next_edge_ms(at_ms: int, size_s: int) -> int:
    """The first window start after the instant."""
    return floor_ms(at_ms, size_s) + size_s * 1000


def starts(start_ms: int, end_ms: int, size_s: int) -> range:
    """Starts of all windows that `[start, end)` touches."""
    return range(floor_ms(start_ms, size_s), end_ms, size_s * 1000)


@lru_cache(maxsize=8)
def zone_of(timezone: str) -> ZoneInfo:
    return ZoneInfo(timezone)


def local_ms(day: date, minutes: int, timezone: str) -> int:
    """The instant at which a local clock first shows that minute of that date; spring skips some."""
    naive = datetime.combine(day, time()) + timedelta(minutes=minutes)
    return round(naive.replace(tzinfo=zone_of(timezone)).timestamp() * 1000)


def _local(at_ms: int, timezone: str) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone_of(timezone))


def local_hour(at_ms: int, timezone: str) -> int:
    """0…23, as a clock on the wall shows it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone_of(timezone)).hour


def minute_of(at_ms: int, timezone: str) -> int:
    """Minutes that a local clock shows; in autumn an hour of them comes twice."""
    shown = _local(at_ms, timezone)
    return shown.hour * 60 + shown.minute


def business_date(at_ms: int, timezone: str, day_start_min: int = 0) -> date:
    """The date of the business day around an instant: by the day's own beginning, never by subtraction.

    In an autumn hour that a clock shows twice the day begins once, with the first.
    """
    day = _local(at_ms, timezone).date()
    low_ms, high_ms = day_bounds(day, timezone, day_start_min)
    return day + timedelta(days=(at_ms >= high_ms) - (at_ms < low_ms))


@lru_cache(maxsize=64)
def day_bounds(day: date, timezone: str, day_start_min: int = 0) -> Span:
    """`[start, end)` of a business day, 23, 24 or 25 hours long."""
    after = day + timedelta(days=1)
    return local_ms(day, day_start_min, timezone), local_ms(after, day_start_min, timezone)


@lru_cache(maxsize=256)
def _day_around(hour: int, timezone: str, day_start_min: int) -> tuple[Span, ...]:
    """The business days that may hold an instant of that UTC hour: found once, asked a thousand times."""
    day = business_date(hour * 3_600_000, timezone, day_start_min)
    return tuple(day_bounds(day + timedelta(days=step), timezone, day_start_min) for step in (-1, 0, 1))


def day_of(at_ms: int, timezone: str, day_start_min: int = 0) -> Span:
    """Bounds of the business day around an instant."""
    for low, high in _day_around(at_ms // 3_600_000, timezone, day_start_min):
        if low <= at_ms < high:
            return low, high
    return day_bounds(business_date(at_ms, timezone, day_start_min), timezone, day_start_min)


@lru_cache(maxsize=1024)  # a day's hours are asked for with each of its windows
def _clock_ms(day: date, minutes: int, timezone: str) -> int:
    """As `local_ms`, but what spring skips is the moment of the change: later minutes are never earlier."""
    while True:
        at_ms = local_ms(day, minutes, timezone)
        shown = _local(at_ms, timezone).replace(tzinfo=None)
        if shown == datetime.combine(day, time()) + timedelta(minutes=minutes):
            return at_ms
        minutes += 1


def open_spans(hours: Hours, timezone: str, lo_ms: int, hi_ms: int) -> Iterator[Span]:
    """The open stretches inside `[lo, hi)`, in order. "10:00-02:00" belongs to the date it opens."""
    day = business_date(lo_ms, timezone) - timedelta(days=1)
    last = business_date(hi_ms, timezone)
    reached = lo_ms
    while day <= last:
        for opens, closes in sorted(hours.of(day)):
            low = max(_clock_ms(day, opens, timezone), reached)
            high = min(_clock_ms(day, closes, timezone), hi_ms)
            if low < high:
                reached = high
                yield low, high
        day += timedelta(days=1)


def open_ms(hours: Hours | None, timezone: str, lo_ms: int, hi_ms: int) -> int | None:
    """Open milliseconds of `[lo, hi)`: all of it without hours; None when hours are set and none is open."""
    if hours is None:
        return hi_ms - lo_ms
    return sum(high - low for low, high in open_spans(hours, timezone, lo_ms, hi_ms)) or None


def open_share(count: int, opened: Iterable[Span], lo_ms: int, hi_ms: int) -> int:
    """What of a day's `count` falls into `[lo, hi)` when it is spread evenly over the open stretches.

    The parts add up to `count` for every partition of the day; 0 when nothing is open.
    """
    spans = list(opened)
    whole = sum(high - low for low, high in spans)
    if not whole:
        return 0
    before, until = (sum(max(0, min(high, at) - low) for low, high in spans) for at in (lo_ms, hi_ms))
    return count * until // whole - count * before // whole
