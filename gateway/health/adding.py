"""Days, weeks, months and periods out of the buffer: who reads what the report adds up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gateway.health.buffer import Buffer
from gateway.health.history import Place
from gateway.health.stretches import Report, Spans
from gateway.reports.gaps import LOOK_BACK_WEEKS, Cell, Door, Doors, Usual, usual
from gateway.windows import Span, day_bounds, minute_of

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.store.events import AlarmFacts
    from gateway.store.reader import Kept
    from gateway.store.zone_lines import ZoneLine

CHUNK_MS = 86_400_000  # a day at a time: memory stays flat however long the span
REMEMBERED_DAYS = 512  # usual days of zones; several days are judged by the same
MALL = "mall"
IMPOSSIBLE = "spike_impossible"  # more persons than can pass
FAR_MS = 1 << 62  # an alarm that has not ended
Rows = Iterator[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """`span`: ms. `zones` empty: all. `size_s` None: windows of the configured size of their time.

    `undecided`: line → when a fault of it is suspected and nobody has decided; None: as alarms
    tell.
    """

    by: str
    span: Span
    zones: tuple[str, ...] = ()
    size_s: int | None = None
    as_of_ms: int | None = None
    lines: bool = False
    undecided: Mapping[str, Spans] | None = None


def chunks(span: Span) -> Iterator[Span]:
    for low_ms in range(span[0], span[1], CHUNK_MS):
        yield low_ms, min(low_ms + CHUNK_MS, span[1])


def windows(
    reader: Buffer, zones: Iterable[str], span: Span, size_s: int | None, as_of_ms: int | None
) -> Rows:
    """A zone's windows in order, zone by zone; without zones those of all by time."""
    for zone in tuple(zones) or (None,):
        for chunk in chunks(span):
            yield from reader.aggregates(zone, *chunk, size_s, as_of_ms)


def place_of(config: Config) -> Place:
    groups = {name: zone.group for name, zone in config.zone.items() if zone.group is not None}
    return Place(config.site.id, config.site.currency, config.windows.min_completeness, groups)


def added_up(config: Config, reader: Buffer, asked: Asked) -> Rows:
    """Rows of a report, by time and zone."""
    doubted = _undecided(reader, asked.span)
    if asked.undecided is None:
        asked = replace(asked, undecided=_spans(doubted))
    site, kept, zones = config.site, reader.kept(asked.size_s), reader.zones()
    centres = _centres(zones)
    read = dict.fromkeys([*asked.zones, *(centres[zone] for zone in asked.zones if zone in centres)])
    report = Report(
        by=asked.by,
        weeks=site.weeks,
        span=asked.span,
        bounds=lambda first, last: _bounds(config, first, last),
        open_of=lambda zone, low, high: kept[zone].openings.base_ms(low, high),
        through={} if asked.as_of_ms is not None else {zone: one.through_ms for zone, one in kept.items()},
        place=place_of(config),
        days=DoorDays(config, reader, kept, asked),
        centres=centres,
        suspected=_suspected(zones, asked.undecided or {}),
        impossible=_suspected(zones, _spans(one for one in doubted if one.kind == IMPOSSIBLE)),
        shown=frozenset(asked.zones),
        lines=asked.lines,
    )
    return report.rows(windows(reader, read, asked.span, asked.size_s, asked.as_of_ms))


def _undecided(reader: Buffer, span: Span) -> list[AlarmFacts]:
    """Of lines whose counts are no counts, in the report's time and in that of the days it is judged by.

    Who has corrected all of it, or believes the line, has decided.
    """
    low_ms = span[0] - LOOK_BACK_WEEKS * 7 * CHUNK_MS
    told = [one for one in reader.corrections() if one.undone_ms is None]
    return [
        alarm
        for alarm in reader.doubted(low_ms, span[1])
        if not any(
            one.line == alarm.ref and one.start_ms <= alarm.since_ms and _end_ms(alarm) <= one.end_ms
            for one in told
        )
    ]


def _spans(alarms: Iterable[AlarmFacts]) -> dict[str, list[Span]]:
    """By line."""
    found: dict[str, list[Span]] = {}
    for alarm in alarms:
        found.setdefault(alarm.ref, []).append((alarm.since_ms, _end_ms(alarm)))
    return found


def _end_ms(alarm: AlarmFacts) -> int:
    return FAR_MS if alarm.until_ms is None else alarm.until_ms


def _bounds(config: Config, first: date, last: date) -> Span:
    timezone, start_min = config.site.timezone, config.site.day_start_min
    return day_bounds(first, timezone, start_min)[0], day_bounds(last, timezone, start_min)[1]


def _centres(zones: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Zone → the nearest mall around it."""
    about = {zone["zone"]: zone for zone in zones}
    found: dict[str, str] = {}
    for name, zone in about.items():
        around = about.get(zone["parent"])
        while around is not None and around["kind"] != MALL:
            around = about.get(around["parent"])
        if around is not None:
            found[name] = around["zone"]
    return found


def _suspected(zones: Sequence[Mapping[str, Any]], undecided: Mapping[str, Spans]) -> dict[str, Spans]:
    """By zone: a till is no door."""
    return {
        zone["zone"]: [span for line in zone["members"] for span in undecided.get(line["line"], ())]
        for zone in zones
    }


class DoorDays:
    """The lines of zones, day by day; usual days are remembered."""

    def __init__(self, config: Config, reader: Buffer, kept: Mapping[str, Kept], asked: Asked) -> None:
        self._config, self._reader, self._kept, self._asked = config, reader, kept, asked
        self.usual = lru_cache(REMEMBERED_DAYS)(self._usual)

    def doors(self, zone: str, span: Span) -> Doors:
        """Each line's windows of a span, those too of which there is none; {} where there is no window."""
        asked = self._asked
        rows = self._reader.zone_lines(zone, *span, asked.size_s, asked.as_of_ms)
        if not rows:
            return {}
        timezone, size_s = self._config.site.timezone, rows[-1].size_s
        minutes = {start_ms: minute_of(start_ms, timezone) for start_ms in {row.start_ms for row in rows}}
        cells: dict[tuple[str, str], list[Cell]] = {(row.line, row.role): [] for row in rows}
        for row in rows:
            suspected = (asked.undecided or {}).get(row.line, ())
            cells[row.line, row.role].append(_cell(row, minutes[row.start_ms], suspected))
        gone = list(self._gone(zone, span, size_s, minutes))
        return {f"{role} {line}": Door(line, role, [*found, *gone]) for (line, role), found in cells.items()}

    def tills_heard(self, zone: str, span: Span) -> bool:
        return self._reader.tills_heard(zone, *span)

    def _gone(self, zone: str, span: Span, size_s: int, kept: Collection[int]) -> Iterator[Cell]:
        """The open windows of a span of which there is none; `kept`: starts of the others."""
        openings, size_ms = self._kept[zone].openings, size_s * 1000
        for start_ms in range(-(-span[0] // size_ms) * size_ms, span[1], size_ms):
            if start_ms not in kept and (open_ms := openings.base_ms(start_ms, start_ms + size_ms)):
                minute = minute_of(start_ms, self._config.site.timezone)
                yield Cell(start_ms, size_s, minute, open_ms, 0, (0, 0, 0))

    def _usual(self, zone: str, day: date) -> Usual | None:
        """None for a day with hours of its own, too: holidays are like no other day."""
        span = _bounds(self._config, day, day)
        openings = self._kept[zone].openings
        hours = openings.at(span[0]).hours
        if hours is not None and day in hours.dates:
            return None
        return usual(self.doors(zone, span), openings.base_ms(*span))


def _cell(row: ZoneLine, minute: int, suspected: Collection[Span]) -> Cell:
    end_ms = row.start_ms + row.size_s * 1000
    fault = any(low < end_ms and row.start_ms < high for low, high in suspected)
    watched_ms = 0 if fault or row.base_ms is None else row.watched_ms
    persons = (row.ins, row.outs, row.passersby)
    return Cell(row.start_ms, row.size_s, minute, row.base_ms or 0, watched_ms, persons)
