"""A door with a known way of life, fed to the gateway's judgement hour by hour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from gateway.quality import (
    Alarm,
    Break,
    Cell,
    Day,
    DayType,
    Detectors,
    Kind,
    Rules,
    Slot,
    end_of_day,
    level_today,
    step,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# persons in, per hour of a weekday; those that go out do so about an hour and a half later
DAY_SHAPE = (0, 0, 0, 0, 0, 0, 2, 10, 60, 120, 150, 160, 190, 200, 180, 170, 190, 200, 120, 60, 30, 10, 2, 0)
OPENS, CLOSES = 8, 21
Spoil = Callable[[Slot], Slot]


def kind_of(day: int) -> DayType:
    return DayType(max(0, day % 7 - 4))


@dataclass
class Door:
    """A door of a shop; day 0 is a Monday, instants begin at 0."""

    rules: Rules = field(default_factory=Rules)
    seed: int = 1
    hours: bool = True  # opening hours are configured
    scale: float = 1.0
    two_sided: bool = True
    detectors: Detectors = field(default_factory=Detectors)
    cells: dict[int, Cell] = field(default_factory=dict)
    changes: list[Alarm] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    day: int = 0

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)

    def slots(self, day: int) -> list[Slot]:
        busy = self.dice.gauss(1, 0.05) * self.scale * (0.5 if kind_of(day) else 1)
        left = [(DAY_SHAPE[hour - 1] + DAY_SHAPE[hour - 2]) / 2 for hour in range(24)]
        shut = {hour for hour in range(24) if self.hours and not OPENS <= hour < CLOSES}
        return [
            Slot(
                "door",
                day * DAY_MS + hour * HOUR_MS,
                3600,
                hour,
                kind_of(day),
                open=OPENS <= hour < CLOSES if self.hours else None,
                ins=0 if hour in shut else self._count(DAY_SHAPE[hour] * busy),
                outs=self._count(left[hour] * busy),  # the last leave after closing
            )
            for hour in range(24)
        ]

    def _count(self, mean: float) -> int:
        return max(0, round(self.dice.gauss(mean, mean**0.5))) if mean else 0

    def feed(self, slot: Slot) -> None:
        if not self.two_sided:
            slot = replace(slot, passes=(slot.ins or 0) + (slot.outs or 0), ins=None, outs=None)
        done = step(self.detectors, self.cells.get(slot.index, Cell()), slot, self.rules)
        self.detectors, self.cells[slot.index] = done.detectors, done.cell
        self.changes += done.changes

    def live(self, days: int, spoil: Spoil = lambda slot: slot, neighbour: float | None = None) -> Door:
        """So many days more; `spoil` is what becomes of each slot; one neighbour of that level, or none."""
        for _ in range(days):
            for slot in self.slots(self.day):
                self.feed(spoil(slot))
            self.close(neighbour)
        return self

    def close(self, neighbour: float | None = None) -> None:
        day = Day("door", self.day * DAY_MS, (self.day + 1) * DAY_MS)
        done = end_of_day(self.detectors, day, [] if neighbour is None else [neighbour], self.rules)
        self.detectors = done.detectors
        self.changes += done.changes
        self.breaks += [done.broken] if done.broken else []
        self.day += 1

    @property
    def level(self) -> float | None:
        return level_today(self.detectors, self.rules)

    def begun(self) -> set[Kind]:
        return {alarm.kind for alarm in self.changes if alarm.until_ms is None}

    def first(self, kind: Kind) -> Alarm:
        return next(alarm for alarm in self.changes if alarm.kind is kind and alarm.until_ms is None)

    def ended(self, kind: Kind) -> list[Alarm]:
        return [alarm for alarm in self.changes if alarm.kind is kind and alarm.until_ms is not None]

    def known(self, weeks: int = 6) -> Door:
        """After weeks of which nothing is told."""
        self.live(7 * weeks, neighbour=0.0)
        assert self.changes == []
        return self


def hour_of(slot: Slot) -> int:
    return slot.start_ms % DAY_MS // HOUR_MS
