"""Local times as devices write them, without an offset, as instants.

In the hour that autumn repeats a label names two instants. Of two equal labels in one body the second is the
later; one alone is the one nearest its receipt that is not still to come (semantics 9).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from drivers.bodies import MAX_NAME, MILLISECOND, Noise, to_ms
from gateway.driver import Site
from gateway.model import Crossings, Item

AHEAD_MS = 120_000  # a device's clock may be so far ahead of ours


def zone_of(name: str) -> tzinfo:
    """Raises ValueError in words for what is no zone."""
    if name.lower() == "utc":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone (site, utc or a name like Europe/Oslo)") from None


def _zone_name(text: str) -> str:
    if text != "site":
        zone_of(text)
    return text


ZoneName: TypeAlias = Annotated[str, AfterValidator(_zone_name)]  # site, utc or an IANA name


def zone_for(name: str, site: Site) -> tzinfo:
    return zone_of(site.timezone if name == "site" else name)


def wall_clock(text: object) -> datetime:
    """Year to second (or minute), whatever stands between the figures: 1971 to 9998. Raises Noise."""
    if not isinstance(text, str) or len(text) > MAX_NAME or not text.isascii():
        raise Noise
    digits = re.sub(r"\D", "", text)
    if not 12 <= len(digits) <= 14:
        raise Noise
    try:
        moment = datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S")  # noqa: DTZ007 - has no zone
    except ValueError:
        raise Noise from None
    if not 1970 < moment.year < 9999:
        raise Noise
    return moment


def instants(labels: Sequence[datetime], zone: tzinfo, at_ms: int) -> list[int]:
    """The labels of one body, in its order, as ms UTC; `at_ms` is its receipt."""
    often, taken = Counter(labels), set[datetime]()
    found = []
    for label in labels:
        early, late = both(label, zone)
        if often[label] > 1:
            found.append(late if label in taken else early)
            taken.add(label)
        else:
            found.append(alone(early, late, at_ms))
    return found


def both(label: datetime, zone: tzinfo) -> tuple[int, int]:
    """The instants that a label names, the earlier first; equal except in the repeated hour. Raises Noise."""
    early = to_ms(label.replace(tzinfo=zone, fold=0))
    return early, max(early, to_ms(label.replace(tzinfo=zone, fold=1)))


def alone(early_ms: int, late_ms: int, at_ms: int, length_ms: int = 0) -> int:
    """Which of the two a single label means: what began there and lasted `length_ms` ended nearest receipt.

    Never what is still to come.
    """
    if late_ms > at_ms + AHEAD_MS:
        return early_ms
    return min(early_ms, late_ms, key=lambda start_ms: abs(at_ms - start_ms - length_ms))


def end_of(start: datetime, start_ms: int, stop: datetime, zone: tzinfo) -> int:
    """When a piece of at most an hour ends, that began at `start_ms`. Raises Noise when it does not."""
    ends = [start_ms + (stop - start) // MILLISECOND, *both(stop, zone)]
    later = [end_ms for end_ms in ends if end_ms > start_ms]
    if not later:
        raise Noise
    return min(later)


def local(at_ms: int, zone: tzinfo) -> datetime:
    """What a clock in the zone shows, to the second."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone).replace(tzinfo=None)


def days(from_ms: int, to_ms: int, zone: tzinfo) -> list[datetime]:
    """The local days that `[from, to)` touches, oldest first."""
    first, last = local(from_ms, zone).date(), local(max(from_ms, to_ms - 1), zone).date()
    return [datetime.combine(first + timedelta(days=n), time()) for n in range((last - first).days + 1)]


def step_end(at_ms: int, step_ms: int, zone: tzinfo) -> int:
    """The end of the piece of local time, minutes or an hour long, in which `at_ms` lies or ends."""
    offset = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone).utcoffset() or timedelta()
    shift_ms = offset // MILLISECOND
    return -(-(at_ms + shift_ms) // step_ms) * step_ms - shift_ms


def within(items: Iterable[Item], from_ms: int, to_ms: int) -> list[Item]:
    """Without the intervals that end before, or begin after."""
    return [
        item
        for item in items
        if not isinstance(item, Crossings) or ((item.end_ms or 0) > from_ms and (item.start_ms or 0) < to_ms)
    ]
