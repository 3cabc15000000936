"""When: device times of every notation, in ms UTC."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Any

from drivers.bodies import EPOCH, MAX_NAME, MILLISECOND, Noise, parse_aware, sane_ms, to_ms, unix_ms
from drivers.local import alone, both, zone_of
from drivers.mapping.paths import Scope

Clock = Callable[[Any, Scope, str], int | None]  # (value, scope, field) → ms; None: no time given
SAME_DATE = "end by the start's date"  # the field of such an end

DAY = timedelta(days=1)
MIDNIGHT = re.compile(r"(?<![\d:+-])24(?=:00(?::00(?:[.,]0+)?)?(?![\d:.,]))")  # that ends a day
STEPS_MS = ((1000, "STXcs"), (60_000, "MR"), (3_600_000, "HI"))  # what one tick is with one of these codes


def clock(notation: str, zone: str, site: str, *, inclusive: bool = False) -> Clock:
    """The reader of one notation. Raises ValueError (zoneinfo's too) in words for a zone that is not one."""
    if notation == "unix_s":
        return lambda value, _scope, _field: None if value in (None, "") else unix_ms(value, 1000)
    if notation == "unix_ms":
        return lambda value, _scope, _field: None if value in (None, "") else unix_ms(value, 1)
    place = zone_of(site if zone == "site" else zone)
    if notation == "rfc3339":
        return _rfc3339(place)
    return _strptime(notation, place, timedelta(days=inclusive and not unit_ms(notation)))


def _rfc3339(place: tzinfo) -> Clock:
    parse = datetime.fromisoformat

    def read(value: Any, scope: Scope, field: str) -> int | None:
        if value is None or value == "":
            return None
        if not isinstance(value, str) or not 16 <= len(value) <= MAX_NAME:
            raise Noise
        try:
            moment = parse(value)
        except ValueError:
            moment = _at_24(parse, value) or parse_aware(value)
        if moment.tzinfo is None:
            return resolve(moment, place, scope, field)
        return sane_ms((moment - EPOCH) // MILLISECOND)

    return read


def _strptime(notation: str, place: tzinfo, beyond: timedelta) -> Clock:
    """`beyond`: from the date that an end names to its last moment; by the calendar, days differ."""

    def parse(text: str) -> datetime:
        return datetime.strptime(text, notation)  # noqa: DTZ007 - zone follows

    def read(value: Any, scope: Scope, field: str) -> int | None:
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Noise
        text = str(value).strip()[:MAX_NAME]
        try:
            moment = (_at_24(parse, text) if "24:00" in text else None) or parse(text)
            moment += beyond if field == "end" else timedelta()
        except (ValueError, OverflowError):
            raise Noise from None
        return to_ms(moment) if moment.tzinfo else resolve(moment, place, scope, field)

    return read


def _at_24(parse: Callable[[str], datetime], text: str) -> datetime | None:
    """What 24:00 means, which few parsers take."""
    try:
        begun, times = MIDNIGHT.subn("00", text)
        return parse(begun) + DAY if times else None
    except (ValueError, OverflowError):
        return None


def _told_by_date(end: datetime, place: tzinfo, begun: datetime) -> datetime:
    """An end not after its start stands on the next day, unless clocks went back in between."""
    if end <= begun and both(end, place)[1] <= both(begun, place)[0]:
        return end + DAY
    return end


def resolve(naive: datetime, place: tzinfo, scope: Scope, field: str) -> int:
    """A local stamp. Autumn hour: of two equal stamps the second is the later; alone, as `local` says."""
    if field == "start":
        scope.begun = naive
    elif field == SAME_DATE and scope.begun is not None:
        try:
            naive = _told_by_date(naive, place, scope.begun)
        except OverflowError:
            raise Noise from None
    early, late = both(naive, place)
    if late == early or scope.folds is None:
        return early
    scope.early, scope.late_ms = {**(scope.early or {}), field: early}, late
    folds, key = scope.folds, (scope.series, field, naive)
    if folds.taken is None:
        folds.seen[key] = folds.seen.get(key, 0) + 1
    elif folds.seen.get(key, 0) > 1:
        folds.taken[key] = folds.taken.get(key, 0) + 1
        scope.told = True
        return early if folds.taken[key] == 1 else late
    return alone(early, late, scope.message.at_ms)


def began(scope: Scope, start_ms: int, span_ms: int) -> int:
    """When a span began of which the start alone is told: in the autumn hour its end tells better."""
    early_ms = (scope.early or {}).get("start")
    if early_ms is None or scope.told:
        return start_ms
    return alone(early_ms, scope.late_ms, scope.message.at_ms, span_ms)


def earlier(scope: Scope, start_ms: int) -> int:
    """An interval across the autumn change, delivered late: its start is the earlier of the two."""
    return (scope.early or {}).get("start", start_ms)


def unit_ms(notation: str) -> int:
    """The step of an inclusive end: what one tick of this notation is; 0 where it tells days."""
    codes = set(re.findall(r"%-?([A-Za-z])", notation)) or {"S"}
    return next((step_ms for step_ms, ticks in STEPS_MS if codes & set(ticks)), 0)


def exclusive(end_ms: int, unit: int) -> int:
    """:59 means up to the full minute, :59.999 too."""
    return end_ms + (1 if end_ms % 1000 == 999 else unit)
