"""What entries come to: the bag rate of a survey, what tallies say of a counter, how a campaign went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Protocol

from gateway.amendments import Correction
from gateway.config.wording import hint, shown
from gateway.entries.place import OUT_OF_TIME, YEARS, Place, check_known
from gateway.entries.shown import correction_json, to_json
from gateway.errors import EntryRefused
from gateway.instants import rfc3339
from gateway.measures.calibration import Tally, calibrate
from gateway.measures.converting import bag_rate
from gateway.model import MAIN_LINE, Entry, EntryKind
from gateway.reports.days import Days
from gateway.windows import day_bounds, day_of

SIDES = ("ins", "outs", "passes")


class Break(Protocol):
    """Where a line began to count at another level."""

    @property
    def line(self) -> str: ...


class Counts(Days, Protocol):
    """What is asked of the store; `gateway.store.Reader` is one."""

    def entries(
        self, kind: EntryKind, subject: str | None = None, *, withdrawn: bool = False
    ) -> Sequence[Entry]: ...

    def taps(self, from_ms: int, to_ms: int) -> Mapping[str, tuple[int, int]]: ...

    def corrections(self) -> Sequence[Correction]: ...

    def breaks(self, from_ms: int, to_ms: int) -> Sequence[Break]: ...

    def counted(self, counter: str, line: str, from_ms: int, to_ms: int) -> tuple[int, int, int] | None: ...


class WallClock(Protocol):
    def wall_ms(self) -> int: ...


class Findings:
    """Each answer to those who ask is plain data. Raises EntryRefused where a name is unknown."""

    def __init__(self, counts: Counts, place: Place, clock: WallClock) -> None:
        self._counts, self._place, self._clock = counts, place, clock

    def taps(self, zone: str, from_ms: int | None, to_ms: int | None) -> Mapping[str, Any]:
        """The bag rate of a zone's taps, of today's business day unless a span is named."""
        check_known("zone", zone, self._place.zones)
        today = day_of(self._clock.wall_ms(), self._place.timezone, self._place.day_start_min)
        low, high = today[0] if from_ms is None else from_ms, today[1] if to_ms is None else to_ms
        if high <= low:
            raise EntryRefused("to: must lie after from")
        taps, bags = self._counts.taps(low, high).get(zone, (0, 0))
        rate = bag_rate(bags, taps, self._place.groups.get(zone, 1.0)).to_json()
        span = {"from": rfc3339(low), "to": rfc3339(high)}
        return {"zone": zone, **span, "taps": taps, "bags": bags, "bag_rate": rate}

    def tallies(self, line: str) -> Mapping[str, Any]:
        """A line's tallies beside what it counted meanwhile, and what a factor would be for each side."""
        check_known("line", line, self._place.lines)
        rows = [self._beside(entry) for entry in self._counts.entries(EntryKind.TALLY, line)]
        return {"line": line, "tallies": rows, "sides": {side: _factor(side, rows) for side in SIDES}}

    def _beside(self, tally: Entry) -> dict[str, Any]:
        counter, _, line = tally.subject.partition("/")
        counted = self._counts.counted(counter, line or MAIN_LINE, tally.start_ms, tally.end_ms)
        row = to_json(tally)
        row["counted"] = None if counted is None else dict(zip(SIDES, counted, strict=True))
        return row

    def accepted(self) -> Sequence[Entry]:
        """Calibrations that were accepted from tallies."""
        return self._counts.entries(EntryKind.ACCEPTANCE)

    def acceptances(self) -> Mapping[str, Any]:
        """All there are."""
        return {"acceptances": [to_json(one) for one in self.accepted()]}

    def corrections(self) -> Mapping[str, Any]:
        """All there are, those undone too."""
        return {"corrections": [correction_json(one) for one in self._counts.corrections()]}

    def report(self, campaign: str) -> Mapping[str, Any]:
        """Whether a campaign shows."""
        from gateway.reports import campaigns  # asked for seldom

        known = {one.id: one for one in self._counts.entries(EntryKind.CAMPAIGN)}
        if campaign not in known:
            raise EntryRefused(f"id: there is no campaign {shown(campaign)}{hint(campaign, known)}")
        place = campaigns.Place(self._place.timezone, self._place.day_start_min)
        others = list(known.values())
        return campaigns.report(self._counts, known[campaign], others, place, self._clock.wall_ms())

    def growth(self, zone: str, first: str, last: str) -> Mapping[str, Any]:
        """Like-for-like growth of a zone's doors over business days, `2026-11-01` to `2026-11-30`."""
        from gateway.reports import growth

        check_known("zone", zone, self._place.zones)
        span = _date("from", first), _date("to", last)
        if span[1] < span[0]:
            raise EntryRefused("to: must not lie before from")
        if (span[1] - span[0]).days >= growth.MOST_DAYS:
            raise EntryRefused(f"to: more than {growth.MOST_DAYS} days after from")
        where, weeks = (self._place.timezone, self._place.day_start_min), self._place.weeks
        low_ms, high_ms = day_bounds(weeks.comparable(span[0]), *where)[0], day_bounds(span[1], *where)[1]
        broken = {one.line for one in self._counts.breaks(low_ms, high_ms)}
        return growth.growth(self._counts, zone, *span, weeks.comparable, broken, *where)

    def campaigns(self) -> Mapping[str, Any]:
        """All there are, those withdrawn too."""
        return {
            "campaigns": [to_json(one) for one in self._counts.entries(EntryKind.CAMPAIGN, withdrawn=True)]
        }


def _factor(side: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The calibration of one side over the tallies that have it and whose time was watched."""
    seen = [Tally(row[side], row["counted"][side]) for row in rows if side in row and row["counted"]]
    found = calibrate(seen)
    named = ("factor", "low", "high", "standard_error", "s_k")
    figures = {name: value if (value := getattr(found, name)) is None else round(value, 6) for name in named}
    errors = {} if found.accuracy is None else {"bias": found.accuracy.bias, "wape": found.accuracy.wape}
    return {
        "tallies": len(seen),
        "manual": sum(one.manual for one in seen),
        "counted": sum(one.counted for one in seen),
        **{name: round(error, 6) for name, error in errors.items()},
        **figures,
        "why": found.why,
        "flags": list(found.flags),
    }


def _date(key: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise EntryRefused(f'{key}: must be a date like "2026-11-01", not {shown(text)}') from None
    if day.year not in YEARS:
        raise EntryRefused(f"{key}: {OUT_OF_TIME}")
    return day
