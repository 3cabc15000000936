"""How much of some business days is known, and of each line in them, as plain data. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.instants import rfc3339_seconds
from gateway.measures import DIGITS, completeness
from gateway.measures.imputing import tier
from gateway.measures.ratios import PROFILE_FACTOR
from gateway.reports.gaps import CLOSED, SIDES, TIERS, Cell, Doors, Filled, Side, joined, missing, tier_of
from gateway.windows import Span


@dataclass(slots=True)
class Gaps:
    """Days by tier and what they lack, added up. `told`: days of which that is known; `why` some are not."""

    days: Counter[str] = field(default_factory=Counter)
    filled: Filled = field(default_factory=Filled)
    told: int = 0
    why: str = ""

    def add(self, tier: str, day: Filled) -> None:
        self.days[tier] += 1
        if day.why:
            self.why = self.why or day.why
        else:
            self.told += 1
            self.filled.add(day)

    def to_json(self, counted: Mapping[str, int]) -> dict[str, Any]:
        """`counted`: ins, outs and passersby beside which this stands."""
        sides = self.filled.sides if self.told else {}
        return {
            "tier": tier_of(self.days),
            **{f"days_{name}": self.days[name] for name in TIERS},
            **{f"imputed_{name}": _rounded(sides[name].imputed) if sides else None for name in SIDES},
            "imputed_error": _rounded(sides["ins"].error) if sides else None,
            "imputed": {
                name: _told(side, None if self.why else counted[name]) for name, side in sides.items()
            },
            "why": self.why,
        }


def _told(side: Side, counted: int | None) -> dict[str, Any]:
    """Without a total where some day is not known: what is known of it would be less than all."""
    total = low = high = None
    if counted is not None:
        total, (low, high) = counted + side.imputed, side.bounds(counted)
    return {
        "persons": _rounded(side.imputed),
        "standard_error": _rounded(side.error),
        "total": _rounded(total),
        "low": _rounded(low),
        "high": _rounded(high),
        "factor": _rounded(side.factor),
        "formula": PROFILE_FACTOR,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


@dataclass(slots=True)
class _Line:
    line: str
    role: str
    open_ms: int = 0
    watched_ms: int | None = 0
    persons: list[int] = field(default_factory=lambda: [0, 0, 0])
    missing: list[Span] = field(default_factory=list)

    def add(self, cells: Iterable[Cell]) -> None:
        for cell in cells:
            self.open_ms += cell.open_ms
            self.persons = [sum(both) for both in zip(self.persons, cell.persons, strict=True)]
            if cell.open_ms:
                known = self.watched_ms is not None and cell.watched_ms is not None
                self.watched_ms = (self.watched_ms or 0) + (cell.watched_ms or 0) if known else None

    def to_json(self) -> dict[str, Any]:
        covered = completeness(self.watched_ms, self.open_ms)
        return {
            "line": self.line,
            "role": self.role,
            **dict(zip(SIDES, self.persons, strict=True)),
            "open_s": self.open_ms // 1000,
            "watched_s": None if self.watched_ms is None else self.watched_ms // 1000,
            "completeness": _rounded(covered),
            "tier": tier(covered) if self.open_ms else CLOSED,
            "missing": spans(joined(self.missing)),
        }


class Lines:
    """The same for each line of a zone: which door was not watched, and when."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def add(self, doors: Doors) -> None:
        for key, door in doors.items():
            one = self._lines.setdefault(key, _Line(door.line, door.role))
            one.add(door.cells)
            one.missing += missing(door.cells)

    def to_json(self) -> list[dict[str, Any]]:
        return [one.to_json() for one in sorted(self._lines.values(), key=lambda one: (one.line, one.role))]


def spans(found: Iterable[Span]) -> list[dict[str, str]]:
    """As RFC 3339 text."""
    return [{"from": rfc3339_seconds(low_ms), "to": rfc3339_seconds(high_ms)} for low_ms, high_ms in found]
