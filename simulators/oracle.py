"""What a register's readings mean, worked out a second time from the written rules (docs/semantics.md).

Nothing here is shared with the gateway: readings in time order, one register at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(slots=True)
class Booked:
    """`spans`: (start_ms, end_ms, persons) that count; `exceptions`: kind → persons that do not."""

    spans: list[tuple[int, int, int]] = field(default_factory=list)
    exceptions: Counter[str] = field(default_factory=Counter)

    @property
    def persons(self) -> int:
        return sum(persons for _, _, persons in self.spans)


def book(
    readings: Sequence[tuple[int, int]],
    *,
    max_per_s: float = 5.0,
    modulus: int | None = None,
    down: bool = False,
) -> Booked:
    """`readings`: (at_ms, total) in time order. The first books nothing."""
    if down:
        turned = [(at, -total) for at, total in readings]
        return book(turned, max_per_s=max_per_s)
    booked = Booked()
    held: tuple[int, int, int] | None = None  # at_ms and total of the low reading, total before it
    for (before_ms, before), (at_ms, total) in pairwise(readings):
        if held is not None:
            low_ms, low, old = held
            if total >= old:
                booked.exceptions["glitch"] += 1
                _forward(booked, (low_ms, old), (at_ms, total), max_per_s)
                held = None
                continue
            booked.exceptions["backward" if total < low else "reset"] += old - low if total < low else low
            if total >= low:
                booked.spans.append((low_ms, low_ms, low))
            held = None
        if total >= before:
            _forward(booked, (before_ms, before), (at_ms, total), max_per_s)
        elif modulus and (total - before) % modulus <= modulus // 4:
            booked.spans.append((before_ms, at_ms, (total - before) % modulus))
        else:
            held = (at_ms, total, before)
    if held is not None:
        booked.exceptions["held"] += held[2] - held[1]
    return booked


def _forward(booked: Booked, early: tuple[int, int], late: tuple[int, int], max_per_s: float) -> None:
    persons, elapsed_s = late[1] - early[1], (late[0] - early[0]) / 1000
    if max_per_s and persons > max(1, max_per_s * elapsed_s):
        booked.exceptions["jump"] += persons
    elif persons:
        booked.spans.append((early[0], late[0], persons))


def share(persons: int, start_ms: int, end_ms: int, size_ms: int) -> dict[int, int]:
    """Window start → persons: floor(c·F(x)) differences, which add up to c."""
    shares: dict[int, int] = {}
    for window_ms in range(start_ms - start_ms % size_ms, end_ms, size_ms):
        upper = min(window_ms + size_ms, end_ms) - start_ms
        lower = max(window_ms, start_ms) - start_ms
        part = persons * upper // (end_ms - start_ms) - persons * lower // (end_ms - start_ms)
        if part:
            shares[window_ms] = part
    return shares
