"""Windows added up over business days, weeks, months or retail periods. Pure.

Ratios are of the sums, never averages of ratios; completeness is the watched share of all open time, also of
that whose windows are missing. What a day lacks is imputed beside what was counted, day by day, and added up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, partial
from typing import Any, Protocol

from gateway import measures
from gateway.calendars import Stretch, Weeks, stretch
from gateway.health import history
from gateway.measures.calibrated import Calibrated, Together, rate_basis
from gateway.measures.dwell import dwell_windows
from gateway.measures.imputing import UNKNOWN, tier
from gateway.measures.ratios import (
    ESTIMATED,
    INCOMPLETE,
    LITTLE_WINDOWS,
    NOT_CONFIGURED,
    UNDECIDED,
    WHOLE,
    Ratio,
)
from gateway.model import Role, TimeQuality
from gateway.reports.days import LEAST_COVERAGE, between
from gateway.reports.gaps import CLOSED, Doors, Filled, Usual, filled, joined, usual_days
from gateway.reports.lacks import Gaps, Lines, spans
from gateway.reports.rates import Base, Centre, rates
from gateway.windows import Span

SUMMED = (
    "ins",
    "outs",
    "passersby",
    "staff",
    "sales",
    "returns",
    "amount_minor",
    "estimated_ins",
    "estimated_outs",
)
QUALITIES = [quality.value for quality in TimeQuality]  # the best first
OpenMs = Callable[[str, int, int], int]  # zone, from, to → open ms
Spans = Sequence[Span]


@dataclass(slots=True)
class Sum:
    """One zone's windows of one business day, in order; `reached_ms`: until where its time is accounted for.

    Days are added to a stretch by `plus`. `scatter`: receipts, each times the dispersion that was known of
    its zone's days. `steps`: ins and outs of each window, calibrated where they are. `roles` that its lines
    had. `lacking`: windows that were not watched though open. `undecided`: a fault of one of its lines is
    suspected in it, and what it counted meanwhile counts as not watched.
    """

    zone: str
    kind: str
    reached_ms: int
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUMMED, 0))
    open_ms: int = 0
    watched_ms: int | None = 0
    missing_ms: int = 0
    quality: int = 0
    flags: dict[str, None] = field(default_factory=dict)
    together: Together = field(default_factory=Together)
    scatter: float = 0.0
    steps: list[tuple[float, float]] = field(default_factory=list)
    size_s: int = 0
    roles: frozenset[str] = frozenset()
    lacking: list[Span] = field(default_factory=list)
    undecided: bool = False
    doubted: int = 0  # persons counted while more came than can pass

    def add(
        self, row: Mapping[str, Any], open_of: OpenMs, suspected: Spans = (), impossible: Spans = ()
    ) -> None:
        """The next window, and the open time before it of which there is none."""
        start_ms, end_ms = row["start_ms"], row["start_ms"] + row["size_s"] * 1000
        self.miss(start_ms, open_of)
        self.reached_ms = max(self.reached_ms, end_ms)
        for name in SUMMED:
            self.sums[name] += row[name]
        self.together.add(row.get("calibrated"), (row["ins"], row["outs"], row["passersby"]))
        self.scatter += row["sales"] * row["phi_day"]
        self.roles |= row["roles"]
        self._step(row)
        if row["base_ms"] is not None:
            fault = _touches((start_ms, end_ms), suspected)
            self._watch((start_ms, end_ms), row["base_ms"], 0 if fault else row["watched_ms"])
            self.undecided = self.undecided or fault
            self.doubted += row["ins"] + row["passersby"] if _touches((start_ms, end_ms), impossible) else 0
        self.quality = max(self.quality, QUALITIES.index(row["time_quality"]))
        self.flags |= dict.fromkeys(row["flags"])

    def _step(self, row: Mapping[str, Any]) -> None:
        one: Calibrated | None = row.get("calibrated")
        self.steps.append((row["ins"], row["outs"]) if one is None else (one.ins / 1000, one.outs / 1000))
        self.size_s = row["size_s"]

    def _watch(self, span: Span, open_ms: int, watched_ms: int | None) -> None:
        self.open_ms += open_ms
        known = watched_ms is not None and self.watched_ms is not None
        self.watched_ms = (self.watched_ms or 0) + (watched_ms or 0) if known else None
        if (watched_ms or 0) < WHOLE * open_ms:
            self.lacking.append(span)

    def miss(self, until_ms: int, open_of: OpenMs) -> None:
        """No window up to there: that time was not watched."""
        if until_ms > self.reached_ms:
            missing_ms = open_of(self.zone, self.reached_ms, until_ms)
            self.missing_ms += missing_ms
            self.open_ms += missing_ms
            if missing_ms:
                self.lacking.append((self.reached_ms, until_ms))
            self.reached_ms = until_ms

    def plus(self, day: Sum) -> None:
        """The next day of a stretch."""
        for name in SUMMED:
            self.sums[name] += day.sums[name]
        self.open_ms += day.open_ms
        known = self.watched_ms is not None and day.watched_ms is not None
        self.watched_ms = (self.watched_ms or 0) + (day.watched_ms or 0) if known else None
        self.missing_ms += day.missing_ms
        self.quality = max(self.quality, day.quality)
        self.flags |= day.flags
        self.together.plus(day.together)
        self.scatter += day.scatter
        self.roles |= day.roles
        self.lacking += day.lacking
        self.doubted += day.doubted

    def base(self, *, tills_heard: bool = True) -> Base:
        """What rates are made of."""
        of = rate_basis(self.sums["ins"], self.sums["passersby"], self.together.result())
        counts = (self.sums["staff"], self.sums["sales"], self.sums["amount_minor"])
        return Base(of.entries, of.passersby, *counts, of.s_entries, of.s_capture, self.phi, tills_heard)

    @property
    def phi(self) -> float:
        """How much more than by chance its receipts scatter: days do so each by themselves."""
        sales = self.sums["sales"]
        return self.scatter / sales if sales else measures.PHI_START

    @property
    def dwell(self) -> Ratio:
        """Minutes per visit, of a day that is over and whole."""
        if self.complete is None or self.complete < LEAST_COVERAGE:
            return measures.unknown(INCOMPLETE)
        ins, outs = zip(*self.steps, strict=True)
        return dwell_windows(ins, outs, self.size_s)

    @property
    def believed(self) -> bool:
        """Whether nearly all who were counted are believed to have come."""
        return self.doubted <= (1 - WHOLE) * (self.sums["ins"] + self.sums["passersby"])

    @property
    def complete(self) -> float | None:
        return None if self.watched_ms is None else measures.completeness(self.watched_ms, self.open_ms)

    @property
    def tier(self) -> str:
        return tier(self.complete) if self.open_ms else CLOSED


class Days(Protocol):
    """Who knows the lines of a zone day by day; `gateway.health.adding.DoorDays` is one."""

    def doors(self, zone: str, span: Span) -> Doors: ...

    def usual(self, zone: str, day: date) -> Usual | None: ...

    def tills_heard(self, zone: str, span: Span) -> bool: ...


@dataclass(frozen=True, slots=True)
class Report:
    """What is asked for. `span`: ms; `bounds` of the business days from one date to another, ms.

    `through`: zone → until when its windows are closed, where known; what comes after is not yet missing.
    `centres`: zone → the mall around it. `suspected`: zone → when a fault of one of its lines is suspected
    and nobody has decided; `impossible`: of these, when more were told of than can pass. `shown`: these
    zones only; empty: all. `lines`: tell of each line, too.
    """

    by: str
    weeks: Weeks
    span: Span
    bounds: Callable[[date, date], Span]
    open_of: OpenMs
    through: Mapping[str, int]
    place: history.Place
    days: Days
    centres: Mapping[str, str] = field(default_factory=dict)
    suspected: Mapping[str, Spans] = field(default_factory=dict)
    impossible: Mapping[str, Spans] = field(default_factory=dict)
    shown: Collection[str] = ()
    lines: bool = False

    def rows(self, windows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """One row for each zone and stretch that has windows, by time; each zone's windows come in order."""
        found: dict[tuple[date, str], Sum] = {}
        through = dict(self.through)
        for row in windows:
            zone, day = row["zone"], date.fromisoformat(row["business_date"])
            if (day, zone) not in found:
                found[day, zone] = self._begin(zone, row["kind"], day)
            found[day, zone].add(
                row, self.open_of, self.suspected.get(zone, ()), self.impossible.get(zone, ())
            )
            through[zone] = max(through.get(zone, 0), found[day, zone].reached_ms)
        keys = {(stretch(self.by, day, self.weeks), zone): one.kind for (day, zone), one in found.items()}
        parts = {key: self._parts(*key, kind, found, through[key[1]]) for key, kind in keys.items()}
        sums = {key: _added(part) for key, part in parts.items()}
        for key in sorted(keys, key=lambda key: (key[0].first, key[1])):
            if not self.shown or key[1] in self.shown:
                centre = sums.get((key[0], self.centres.get(key[1], "")))
                row = self._row(sums[key], key[0], through[key[1]], centre)
                dwell = self._dwell(parts[key], through[key[1]])
                yield row | {"dwell": dwell.to_json()} | self._lacks(parts[key], sums[key], through[key[1]])

    def _begin(self, zone: str, kind: str, day: date) -> Sum:
        return Sum(zone, kind, max(self.bounds(day, day)[0], self.span[0]))

    def _clipped(self, day: date, closed_ms: int) -> Span:
        """What is asked for and closed of a day."""
        low_ms, high_ms = self.bounds(day, day)
        return max(low_ms, self.span[0]), min(high_ms, self.span[1], closed_ms)

    def _parts(
        self, one: Stretch, zone: str, kind: str, found: Mapping[tuple[date, str], Sum], closed_ms: int
    ) -> dict[date, Sum]:
        """A zone's days, those too of which there is no window at all."""
        parts: dict[date, Sum] = {}
        for day in between(one.first, one.last):
            low_ms, high_ms = self._clipped(day, closed_ms)
            if low_ms < high_ms or (day, zone) in found:  # a window keeps its date when days begin elsewhere
                parts[day] = found.get((day, zone)) or self._begin(zone, kind, day)
                parts[day].miss(high_ms, self.open_of)
        return parts

    def _row(self, one: Sum, where: Stretch, closed_ms: int, centre: Sum | None) -> dict[str, Any]:
        low_ms, high_ms = self.bounds(where.first, where.last)
        asked = self.span[0] <= low_ms and high_ms <= self.span[1]
        complete, calibrated = one.complete, one.together.result()
        heard = self._tills_heard(one, (low_ms, high_ms))
        known = {"completeness": complete, "calibrated": calibrated, "phi": one.phi, "roles": one.roles}
        sums = {"zone": one.zone, "tills_heard": heard, **known, **one.sums}
        conversion, capture = history.ratios(sums, self.place)
        around = None if centre is None else Centre(centre.base(), centre.complete)
        group = self.place.groups.get(one.zone)
        base = one.base(tills_heard=heard)
        found = {"conversion": conversion, "capture_rate": capture}
        found |= rates(base, one.roles, complete, around, self.place.min_completeness, group)
        return {
            "site": self.place.site,
            "zone": one.zone,
            "kind": one.kind,
            "calendar": self.weeks.name,
            "by": self.by,
            "label": where.label,
            "first": where.first.isoformat(),
            "last": where.last.isoformat(),
            "whole": asked and high_ms <= closed_ms and not one.missing_ms,
            "compares_with": self._compared(where),
            **one.sums,
            "currency": self.place.currency,
            "open_s": one.open_ms // 1000,
            "watched_s": None if one.watched_ms is None else one.watched_ms // 1000,
            "completeness": None if complete is None else round(complete, measures.DIGITS),
            "time_quality": QUALITIES[one.quality],
            "flags": [*one.flags],
            "calibration": calibrated and calibrated.to_json(),
            **{name: _of_believed(ratio, one, name).to_json() for name, ratio in found.items()},
        }

    def _tills_heard(self, one: Sum, span: Span) -> bool:
        """Of the whole stretch, however little of it is asked for: many tills say nothing for hours."""
        told = any(one.sums[name] for name in ("sales", "returns", "amount_minor"))
        return told or Role.TILL not in one.roles or self.days.tills_heard(one.zone, span)

    def _dwell(self, parts: Mapping[date, Sum], closed_ms: int) -> Ratio:
        """Minutes per visit over those days of which it is known, each weighing by its visits."""
        if not any(Role.ENTRANCE in one.roles for one in parts.values()):
            return measures.unknown(NOT_CONFIGURED)
        over = [one for day, one in parts.items() if self._clipped(day, closed_ms) == self.bounds(day, day)]
        stays = [(one.dwell, one.sums["ins"]) for one in over if not one.missing_ms]
        known = [(stay.value, visits) for stay, visits in stays if stay.value is not None]
        if not known:
            return stays[0][0] if stays else measures.unknown(INCOMPLETE)
        visits = sum(each for _minutes, each in known)
        return Ratio(sum(minutes * each for minutes, each in known) / visits, formula=LITTLE_WINDOWS)

    def _lacks(self, parts: Mapping[date, Sum], total: Sum, closed_ms: int) -> dict[str, Any]:
        """How much of the stretch is known, and what is imputed."""
        gaps, doors = Gaps(), Lines()
        for day, part in parts.items():
            read = cache(partial(self.days.doors, part.zone, self._clipped(day, closed_ms)))
            gaps.add(part.tier, self._filled(day, part, read))
            if self.lines:
                doors.add(read())
        found = gaps.to_json(total.sums)
        if self.by == "day":
            found["missing"] = spans(joined(total.lacking))
        return found | ({"lines": doors.to_json()} if self.lines else {})

    def _filled(self, day: date, part: Sum, read: Callable[[], Doors]) -> Filled:
        if part.undecided:
            return Filled(why=UNDECIDED)
        if part.tier == UNKNOWN:
            return Filled(why=INCOMPLETE)
        if part.tier != ESTIMATED:
            return Filled()
        before = usual_days(day, partial(self.days.usual, part.zone))
        return filled(read(), before, part.complete)

    def _compared(self, one: Stretch) -> str | None:
        """The label of the same stretch a year before; weekdays and holidays make months a poor match."""
        if self.by == "month":
            return None
        return stretch(self.by, self.weeks.comparable(one.first), self.weeks).label


def _added(parts: Mapping[date, Sum]) -> Sum:
    first = next(iter(parts.values()))
    total = Sum(first.zone, first.kind, first.reached_ms)
    for part in parts.values():
        total.plus(part)
    return total


def _touches(span: Span, others: Spans) -> bool:
    return any(low < span[1] and span[0] < high for low, high in others)


def _of_believed(ratio: Ratio, one: Sum, name: str) -> Ratio:
    """A rate of persons of whom too many may never have come is unknown; receipts are not in doubt."""
    return ratio if one.believed or name == "atv" or ratio.value is None else measures.unknown(UNDECIDED)
