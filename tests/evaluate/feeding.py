"""Recorded lines through `gateway.quality` as the daemon would feed them: slot by slot, day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from gateway.quality import Alarm, Break, Cell, Day, Detectors, Kind, Rules, end_of_day, level_today, step
from tests.evaluate.recorded import Line, ms

DAY_S = 86_400


@dataclass(slots=True)
class Watched:
    """One line's state, and what was told of it."""

    line: Line
    rules: Rules
    cells: dict[int, Cell] = field(default_factory=dict)
    detectors: Detectors = field(default_factory=Detectors)
    changes: list[tuple[int, Alarm]] = field(default_factory=list)  # (when it was told, what)
    breaks: list[Break] = field(default_factory=list)
    slots: int = 0

    def feed(self, at: datetime) -> None:
        slot = self.line.slot(at)
        if slot is None:
            return
        done = step(self.detectors, self.cells.get(slot.index, Cell()), slot, self.rules)
        self.detectors, self.cells[slot.index] = done.detectors, done.cell
        self.changes += [(slot.end_ms, change) for change in done.changes]
        self.slots += 1

    def end(self, day: date, neighbours: Sequence[float]) -> None:
        start_ms = ms(datetime.combine(day, datetime.min.time()))
        end_ms = start_ms + DAY_S * 1000
        done = end_of_day(self.detectors, Day(self.line.name, start_ms, end_ms), neighbours, self.rules)
        self.detectors = done.detectors
        self.changes += [(end_ms, change) for change in done.changes]
        if done.broken:
            self.breaks.append(done.broken)

    def begun(self, kind: Kind) -> list[Alarm]:
        return [alarm for _, alarm in self.changes if alarm.kind is kind and alarm.until_ms is None]

    def told(self, kind: Kind, from_ms: int) -> int | None:
        """When the first alarm of this kind was told from then on."""
        found = (
            at for at, alarm in self.changes if alarm.kind is kind and alarm.until_ms is None and at > from_ms
        )
        return next(found, None)


def run_day(lines: Sequence[Watched], day: date) -> None:
    """A site's day: all slots, then every line beside the others."""
    for one in lines:
        midnight = datetime.combine(day, datetime.min.time())
        for n in range(DAY_S // one.line.size_s):
            one.feed(midnight + timedelta(seconds=n * one.line.size_s))
    levels = [level_today(one.detectors, one.rules) for one in lines]
    for at, one in enumerate(lines):
        one.end(day, [level for n, level in enumerate(levels) if n != at and level is not None])


def run(lines: Mapping[str, Line], rules: Rules) -> dict[str, Watched]:
    """A whole site from its first day to its last."""
    watched = {name: Watched(line, rules) for name, line in lines.items()}
    first = min(min(line.counts) for line in lines.values()).date()
    last = max(max(line.counts) for line in lines.values()).date()
    for n in range((last - first).days + 1):
        run_day(list(watched.values()), first + timedelta(days=n))
    return watched
