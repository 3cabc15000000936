"""Windows added up over business days, weeks, months or retail periods. Pure.

Ratios are of the sums, never averages of ratios; completeness is the watched share of all open time, also of
that whose windows are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from gateway import measures
from gateway.calendars import Stretch, Weeks, stretch
from gateway.health import history
from gateway.measures.calibrated import Together
from gateway.model import TimeQuality
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


@dataclass(slots=True)
class Sum:
    """One zone's windows of one stretch, in order; `reached_ms`: until where its time is accounted for."""

    zone: str
    kind: str
    stretch: Stretch
    reached_ms: int
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUMMED, 0))
    open_ms: int = 0
    watched_ms: int | None = 0
    missing_ms: int = 0
    quality: int = 0
    flags: dict[str, None] = field(default_factory=dict)
    together: Together = field(default_factory=Together)

    def add(self, row: Mapping[str, Any], open_of: OpenMs) -> None:
        """The next window, and the open time before it of which there is none."""
        self.miss(row["start_ms"], open_of)
        self.reached_ms = max(self.reached_ms, row["start_ms"] + row["size_s"] * 1000)
        for name in SUMMED:
            self.sums[name] += row[name]
        self.together.add(row.get("calibrated"), (row["ins"], row["outs"], row["passersby"]))
        if row["base_ms"] is not None:
            self.open_ms += row["base_ms"]
            known = row["watched_ms"] is not None and self.watched_ms is not None
            self.watched_ms = self.watched_ms + row["watched_ms"] if known else None
        self.quality = max(self.quality, QUALITIES.index(row["time_quality"]))
        self.flags |= dict.fromkeys(row["flags"])

    def miss(self, until_ms: int, open_of: OpenMs) -> None:
        """No window up to there: that time was not watched."""
        if until_ms > self.reached_ms:
            missing_ms = open_of(self.zone, self.reached_ms, until_ms)
            self.missing_ms += missing_ms
            self.open_ms += missing_ms
            self.reached_ms = until_ms


@dataclass(frozen=True, slots=True)
class Report:
    """What is asked for. `span`: ms; `bounds` of the business days from one date to another, ms.

    `through`: zone → until when its windows are closed, where known; what comes after is not yet missing.
    """

    by: str
    weeks: Weeks
    span: Span
    bounds: Callable[[date, date], Span]
    open_of: OpenMs
    through: Mapping[str, int]
    place: history.Place

    def rows(self, windows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """One row for each zone and stretch that has windows, by time; each zone's windows come in order."""
        found: dict[tuple[date, str], Sum] = {}
        through = dict(self.through)
        for row in windows:
            where = stretch(self.by, date.fromisoformat(row["business_date"]), self.weeks)
            key = (where.first, row["zone"])
            if key not in found:
                start_ms = max(self.bounds(where.first, where.last)[0], self.span[0])
                found[key] = Sum(row["zone"], row["kind"], where, start_ms)
            found[key].add(row, self.open_of)
            through[row["zone"]] = max(through.get(row["zone"], 0), found[key].reached_ms)
        for key in sorted(found):
            yield self._row(found[key], through[key[1]])

    def _row(self, one: Sum, closed_ms: int) -> dict[str, Any]:
        low_ms, high_ms = self.bounds(one.stretch.first, one.stretch.last)
        one.miss(min(high_ms, self.span[1], closed_ms), self.open_of)
        asked = self.span[0] <= low_ms and high_ms <= self.span[1]
        complete = None if one.watched_ms is None else measures.completeness(one.watched_ms, one.open_ms)
        calibrated = one.together.result()
        sums = {"zone": one.zone, "completeness": complete, "calibrated": calibrated, **one.sums}
        conversion, capture = history.ratios(sums, self.place)
        return {
            "site": self.place.site,
            "zone": one.zone,
            "kind": one.kind,
            "calendar": self.weeks.name,
            "by": self.by,
            "label": one.stretch.label,
            "first": one.stretch.first.isoformat(),
            "last": one.stretch.last.isoformat(),
            "whole": asked and high_ms <= closed_ms and not one.missing_ms,
            "compares_with": self._compared(one.stretch),
            **one.sums,
            "currency": self.place.currency,
            "open_s": one.open_ms // 1000,
            "watched_s": None if one.watched_ms is None else one.watched_ms // 1000,
            "completeness": None if complete is None else round(complete, measures.DIGITS),
            "time_quality": QUALITIES[one.quality],
            "flags": [*one.flags],
            "calibration": calibrated and calibrated.to_json(),
            "conversion": conversion.to_json(),
            "capture_rate": capture.to_json(),
        }

    def _compared(self, one: Stretch) -> str | None:
        """The label of the same stretch a year before; weekdays and holidays make months a poor match."""
        if self.by == "month":
            return None
        return stretch(self.by, self.weeks.comparable(one.first), self.weeks).label
