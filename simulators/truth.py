"""What really happened, per zone and window: the other side of every comparison."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from simulators.timing import window_name

Direction = Literal["in", "out"]
FACTS = ("ins", "outs", "passersby", "sales", "returns", "amount_minor")


@dataclass(frozen=True, slots=True)
class Zone:
    """`entrances` and `passing` name lines; a leading minus is the line seen from the other side."""

    kind: str
    entrances: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()
    tills: tuple[str, ...] = ()


@dataclass(slots=True)
class Truth:
    """Adds up persons and sales; `write` gives one JSON object a line: zone, size_s, start and the facts.

    `lines`: (line, direction) → persons, as the line itself is turned.
    """

    zones: Mapping[str, Zone]
    size_s: int
    sums: dict[str, dict[int, dict[str, int]]] = field(default_factory=dict)
    lines: Counter[tuple[str, Direction]] = field(default_factory=Counter)

    def cross(self, line: str, at_ms: int, direction: Direction, persons: int = 1) -> None:
        self.lines[line, direction] += persons
        other: Direction = "out" if direction == "in" else "in"
        for name, zone in self.zones.items():
            if line in zone.entrances:
                self._add(name, at_ms, f"{direction}s", persons)
            if f"-{line}" in zone.entrances:
                self._add(name, at_ms, f"{other}s", persons)
            if line in zone.passing:
                self._add(name, at_ms, "passersby", persons)

    def sell(self, till: str, at_ms: int, amount_minor: int, *, sales: int = 1, returns: int = 0) -> None:
        for name, zone in self.zones.items():
            if till in zone.tills:
                self._add(name, at_ms, "sales", sales)
                self._add(name, at_ms, "returns", returns)
                self._add(name, at_ms, "amount_minor", amount_minor)

    def watch(self, at_ms: int) -> None:
        """Each zone is there, though perhaps nobody comes: then nobody may be told of it."""
        for zone in self.zones:
            self._add(zone, at_ms, "ins", 0)

    def totals(self) -> dict[str, dict[str, int]]:
        """Zone → facts over all windows."""
        return {
            zone: {fact: sum(w.get(fact, 0) for w in self.sums.get(zone, {}).values()) for fact in FACTS}
            for zone in self.zones
        }

    def write(self, path: Path) -> None:
        lines = [
            json.dumps({"zone": zone, "size_s": self.size_s, "start": window_name(start), **facts})
            for zone, windows in sorted(self.sums.items())
            for start, facts in sorted(windows.items())
        ]
        path.write_text("\n".join(lines) + "\n")

    def _add(self, zone: str, at_ms: int, fact: str, amount: int) -> None:
        start_ms = at_ms - at_ms % (self.size_s * 1000)
        facts = self.sums.setdefault(zone, {}).setdefault(start_ms, dict.fromkeys(FACTS, 0))
        facts[fact] += amount
