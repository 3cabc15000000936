"""Faults put into clean recorded stretches: how long until each is told?

A site is run once as it was recorded. At random moments of each line its state is kept; from there the same
days are fed again with a fault in them, beside the neighbours as they were, until the alarm is told or the
horizon is over. The same stretch without the fault is fed too: what it tells is a false alarm, and such a
stretch is not clean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from random import Random
from statistics import quantiles

from gateway.quality import Detectors, Kind, Rules, level_today
from tests.evaluate.feeding import DAY_S, Watched
from tests.evaluate.recorded import Count, Line, ms

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
WORKING_HOUR = 10
RAMP_DAYS = 28
LAST_DAYS = 22  # too near to the end of a line to begin anything
Spoil = Callable[[Line, datetime, datetime], Count | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """`spoil(line, at, since)`: the count that the faulty counter gives for the interval at `at`."""

    name: str
    tells: frozenset[Kind]
    spoil: Spoil
    horizon_days: int


def _dead(line: Line, at: datetime, _since: datetime) -> Count | None:
    count = line.counts.get(at)
    return count and Count(0, None if count.outs is None else 0)


def _stuck(line: Line, at: datetime, since: datetime) -> Count | None:
    return line.counts.get(at) and line.counts.get(since - timedelta(seconds=line.size_s))


def _losing(share: float, ramp_days: int) -> Spoil:
    def spoil(line: Line, at: datetime, since: datetime) -> Count | None:
        count = line.counts.get(at)
        if count is None:
            return None
        grown = min(1.0, (at - since) / timedelta(days=ramp_days)) if ramp_days else 1.0
        left = 1 - share * grown
        return Count(round(count.ins * left), None if count.outs is None else round(count.outs * left))

    return spoil


def _shifted(hours: int) -> Spoil:
    return lambda line, at, _since: line.counts.get(at - hours * HOUR)


def _swapped(line: Line, at: datetime, _since: datetime) -> Count | None:
    count = line.counts.get(at)
    return count and Count(count.outs or 0, count.ins)


def _one_way(line: Line, at: datetime, _since: datetime) -> Count | None:
    count = line.counts.get(at)
    return count and Count(count.ins, 0)


DEAD, STUCK = frozenset({Kind.DEAD}), frozenset({Kind.STUCK})
LOSS, SHIFT = frozenset({Kind.SLOW_LOSS, Kind.LEVEL_SHIFT}), frozenset({Kind.LEVEL_SHIFT})
CLOCK = frozenset({Kind.CLOCK_SHIFTED})
ANY_COUNTER = (
    Fault("dead", DEAD, _dead, 3),
    Fault("stuck", STUCK, _stuck, 3),
    Fault("clock one hour late", CLOCK, _shifted(1), 21),
    Fault("clock one hour early", CLOCK, _shifted(-1), 21),
    Fault("10 % lost over 28 days", LOSS, _losing(0.1, RAMP_DAYS), 120),
    Fault("20 % lost over 28 days", LOSS, _losing(0.2, RAMP_DAYS), 120),
    Fault("30 % lost over 28 days", LOSS, _losing(0.3, RAMP_DAYS), 120),
    Fault("+35 % at once", SHIFT, _losing(-0.35, 0), 120),
)
TWO_SIDED = (
    Fault("dead", DEAD, _dead, 3),
    Fault("one direction dead", frozenset({Kind.ONE_SIDED}), _one_way, 3),
    Fault("in and out swapped", frozenset({Kind.SWAPPED}), _swapped, 21),
    Fault("clock one hour late", CLOCK, _shifted(1), 21),
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A line's state at the start of a day, to begin from again."""

    day: date
    line: Line
    cells: dict[int, object]
    detectors: Detectors


@dataclass(slots=True)
class Recorded:
    """A site as it was: what it told, where one can begin again, and each line's level of each day."""

    watched: dict[str, Watched]
    moments: list[Moment]
    levels: dict[date, dict[str, float]]


def record(lines: Mapping[str, Line], rules: Rules, each: int, seed: int) -> Recorded:
    """Run the site; keep `each` moments of every line, after its first hundred days or first third."""
    dice = Random(seed)
    watched = {name: Watched(line, rules) for name, line in lines.items()}
    chosen = {name: _days(line, each, dice) for name, line in lines.items()}
    kept = Recorded(watched, [], {})
    first = min(min(line.counts) for line in lines.values()).date()
    last = max(max(line.counts) for line in lines.values()).date()
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        for name, one in watched.items():
            if day in chosen[name]:
                kept.moments.append(Moment(day, one.line, dict(one.cells), one.detectors))
        _one_day(watched, day, kept.levels)
    return kept


def _days(line: Line, each: int, dice: Random) -> frozenset[date]:
    days = sorted({at.date() for at in line.counts})
    days = days[min(100, len(days) // 3) : -LAST_DAYS]
    return frozenset(dice.sample(days, min(each, len(days))))


def _one_day(watched: Mapping[str, Watched], day: date, levels: dict[date, dict[str, float]]) -> None:
    for one in watched.values():
        _feed(one, day)
    known = {name: level_today(one.detectors, one.rules) for name, one in watched.items()}
    levels[day] = {name: level for name, level in known.items() if level is not None}
    for name, one in watched.items():
        one.end(day, _others(levels[day], name))


def _feed(one: Watched, day: date) -> None:
    midnight = datetime.combine(day, time())
    for n in range(DAY_S // one.line.size_s):
        one.feed(midnight + timedelta(seconds=n * one.line.size_s))


def _others(levels: Mapping[str, float], name: str) -> list[float]:
    return [level for other, level in levels.items() if other != name]


@dataclass(frozen=True, slots=True)
class Told:
    """Delays in hours of those that were told, of `clean` stretches tried; `dirty`: told without a fault."""

    fault: Fault
    clean: int
    dirty: int
    hours: tuple[float, ...]

    def row(self, site: str) -> str:
        return (
            f"| {site} | {self.fault.name} | {len(self.hours)} of {self.clean} | {_delay(self.hours, 5)} |"
            f" {_delay(self.hours, 9)} | {self.dirty} of {self.clean + self.dirty} |"
        )


def _delay(hours: Sequence[float], tenths: int) -> str:
    if len(hours) < 2:
        return "-"
    value = quantiles(hours, n=10, method="inclusive")[tenths - 1]
    return f"{value:.0f} h" if value < 72 else f"{value / 24:.0f} d"


def try_fault(fault: Fault, kept: Recorded, rules: Rules) -> Told:
    """Every kept moment, with the fault and without it."""
    hours, clean, dirty = [], 0, 0
    for moment in kept.moments:
        since = datetime.combine(moment.day, time(WORKING_HOUR))
        if any(one.kind in fault.tells for one in moment.detectors.opens) or _until(
            None, moment, kept, rules, fault
        ):
            dirty += 1
            continue
        clean += 1
        told = _until(since, moment, kept, rules, fault)
        if told is not None:
            hours.append((told - ms(since)) / HOUR_MS)
    return Told(fault, clean, dirty, tuple(hours))


def _until(since: datetime | None, moment: Moment, kept: Recorded, rules: Rules, fault: Fault) -> int | None:
    """When one of the fault's alarms was first told; the fault begins at `since`, or never."""
    last = moment.day + timedelta(days=fault.horizon_days)
    line = moment.line.between(moment.day, last)
    if since is not None:
        line = _spoilt(moment.line, line, since, fault)
    one = Watched(line, rules, dict(moment.cells), moment.detectors)  # type: ignore[arg-type]
    day = moment.day
    while day <= last:
        _feed(one, day)
        one.end(day, _others(kept.levels.get(day, {}), line.name))
        for at, alarm in one.changes:
            if alarm.kind in fault.tells and alarm.until_ms is None and _down(alarm.evidence, fault):
                return at
        one.changes.clear()
        day += timedelta(days=1)
    return None


def _down(evidence: Mapping[str, float], fault: Fault) -> bool:
    """A shift the other way is not the loss that was put in."""
    return fault.tells != LOSS or evidence.get("change", -1) < 0


def _spoilt(whole: Line, part: Line, since: datetime, fault: Fault) -> Line:
    counts: dict[datetime, Count] = {}
    for at, count in part.counts.items():
        given = count if at < since else fault.spoil(whole, at, since)
        if given is not None:
            counts[at] = given
    return replace(part, counts=counts)
