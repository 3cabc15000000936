"""Recorded counts as lines of slots; each file's known defects are taken out here and named (data READMEs).

Files stamp naive local time: it is kept as if it were UTC, so that a day has 24 slots of an hour everywhere.
"""

from __future__ import annotations

import calendar
import csv
import gzip
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path

from gateway.quality import DayType, Slot

HERE = Path(__file__).parent
HALF_HOUR = timedelta(minutes=30)
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Count:
    """Persons of one interval; `outs` None where the counter knows no direction."""

    ins: int
    outs: int | None = None


@dataclass(slots=True)
class Line:
    """One recorded counter: counts by the start of their interval; what is absent was not watched."""

    name: str
    size_s: int
    counts: dict[datetime, Count] = field(default_factory=dict)

    def days(self) -> Iterator[date]:
        first, last = min(self.counts).date(), max(self.counts).date()
        return (first + timedelta(days=n) for n in range((last - first).days + 1))

    def slot(self, at: datetime) -> Slot | None:
        count = self.counts.get(at)
        if count is None:
            return None
        index = (at.hour * MINUTE_S + at.minute) * MINUTE_S // self.size_s
        passes = count.ins if count.outs is None else None
        ins = None if count.outs is None else count.ins
        return Slot(
            self.name, ms(at), self.size_s, index, day_type(at), ins=ins, outs=count.outs, passes=passes
        )

    def between(self, first: date, last: date) -> Line:
        """Both days included."""
        kept = {at: count for at, count in self.counts.items() if first <= at.date() <= last}
        return Line(self.name, self.size_s, kept)


def ms(at: datetime) -> int:
    return round(at.replace(tzinfo=UTC).timestamp() * 1000)


def day_type(at: datetime) -> DayType:
    return DayType(max(0, at.weekday() - 4))


def folder() -> Path | None:
    """Where the whole recorded sets are, if anywhere."""
    named = os.environ.get("COUNTER_DATA")
    return Path(named) if named else None


def calit2(path: Path) -> Line:
    """Flow 9 is in, 7 is out; the stamp is the END of the half hour."""
    sides: dict[datetime, dict[str, int]] = defaultdict(dict)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = list(csv.reader(file))
    for flow, day, end, count in rows:
        at = datetime.strptime(f"{day} {end}", "%m/%d/%y %H:%M:%S") - HALF_HOUR  # noqa: DTZ007
        sides[at][flow] = int(count)
    counts = {at: Count(both["9"], both["7"]) for at, both in sorted(sides.items())}
    return Line("calit2", 1800, counts)


def calit2_events(path: Path) -> list[tuple[datetime, datetime]]:
    events = []
    for day, begin, end, _name in csv.reader(path.read_text().splitlines()):
        first, last = (datetime.strptime(f"{day} {at}", "%m/%d/%y %H:%M:%S") for at in (begin, end))  # noqa: DTZ007
        events.append((first, last))
    return events


def leeds(path: Path) -> dict[str, Line]:
    """Three date formats in one column, exact repeats, and a spring hour that never was and is written 0."""
    lines: dict[str, Line] = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            at = datetime.combine(_leeds_day(row["Date"]), time(int(row["Hour"])))
            name = row["LocationName"]
            line = lines.setdefault(name, Line(name, 3600))
            line.counts[at] = Count(int(row["InCount"]))
    for line in lines.values():
        line.counts = {
            at: line.counts[at] for at in sorted(line.counts) if at != spring_hour(at.year, 3, -1, 1)
        }
    return lines


@cache
def _leeds_day(written: str) -> date:
    form = "%d/%m/%Y" if "/" in written else "%d-%b-%y" if written[2] == "-" else "%Y-%m-%d"
    return datetime.strptime(written, form).date()  # noqa: DTZ007


def spring_hour(year: int, month: int, week: int, hour: int) -> datetime:
    """The hour that the clocks skip, on a Sunday of the month: -1 the last, 1 the second."""
    weeks = calendar.monthcalendar(year, month)
    sundays = [days[calendar.SUNDAY] for days in weeks if days[calendar.SUNDAY]]
    return datetime(year, month, sundays[week], hour)  # noqa: DTZ001


def melbourne(path: Path) -> dict[str, Line]:
    """Both directions together; offsets are written out and dropped here, gaps are absent rows."""
    lines: dict[str, Line] = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["date_time_local"]).replace(tzinfo=None)
            line = lines.setdefault(row["sensor"], Line(row["sensor"], 3600))
            line.counts[at] = Count(int(row["count"]))
    for line in lines.values():
        line.counts = dict(sorted(line.counts.items()))
    return lines


def brooklyn(path: Path) -> Line:
    """In is towards Manhattan. Rows are out of order; two rows have a total and no direction: not watched."""
    line = Line("brooklyn", 3600)
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            at = datetime.strptime(row["hour_beginning"], "%m/%d/%Y %I:%M:%S %p")  # noqa: DTZ007
            count = Count(int(row["Towards Manhattan"]), int(row["Towards Brooklyn"]))
            if int(row["Pedestrians"]) == count.ins + (count.outs or 0) and at != spring_hour(
                at.year, 3, 2, 2
            ):
                line.counts[at] = count
    line.counts = dict(sorted(line.counts.items()))
    return line
