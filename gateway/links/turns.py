"""Devices that are asked in turn: each on a grid of its own, a silent one less often."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gateway.driver import Driver

LONGEST_SILENT_S = (
    60.0  # a silent device is asked at least this often, or every `every_s` when that is longer
)

D = TypeVar("D")


class Source(Protocol):
    """One decoder on one link, as the roster hands it out."""

    @property
    def driver(self) -> Driver: ...
    @property
    def counters(self) -> Sequence[str]: ...


@dataclass(slots=True)
class Turn(Generic[D]):
    """One asked-and-answered device and when it is asked next, on a grid that does not drift."""

    source: Source
    driver: D
    every_s: float
    due_at: float
    missed: int = 0  # polls in a row without any answer
    garbled: int = 0  # answers in a row that did not come twice alike

    @property
    def family(self) -> type:
        """Whose replies can be taken for this one's."""
        return type(self.driver)

    def schedule(self, now: float, answered: bool) -> None:
        """The next point of the grid that is not past; twice as far after each silent poll."""
        self.missed = 0 if answered else min(self.missed + 1, 30)
        pause_s = max(self.every_s, min(LONGEST_SILENT_S, self.every_s * 2.0**self.missed))
        self.due_at += math.floor(pause_s / self.every_s) * self.every_s
        if self.due_at < now:
            self.due_at += math.ceil((now - self.due_at) / self.every_s) * self.every_s


class Turns(Generic[D]):
    """At once at first; after that the devices' turns are spread over the interval."""

    def __init__(self, devices: Sequence[tuple[Source, D]], every_s: float, now: float) -> None:
        began, step_s = now - every_s, every_s / max(1, len(devices))
        self._turns = [
            Turn(source, driver, every_s, began + number * step_s)
            for number, (source, driver) in enumerate(devices)
        ]
        self._queue = [(turn.due_at, number) for number, turn in enumerate(self._turns)]

    @property
    def due_at(self) -> float:
        """When somebody is to be asked next, loop time; never where there is nobody."""
        return self._queue[0][0] if self._queue else math.inf

    @property
    def next(self) -> Turn[D]:
        """Who that is."""
        return self._turns[self._queue[0][1]]

    def settle(self, now: float, answered: bool) -> None:
        """`next` was asked."""
        number = self._queue[0][1]
        self._turns[number].schedule(now, answered)
        heapq.heapreplace(self._queue, (self._turns[number].due_at, number))
