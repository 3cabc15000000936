"""What head office must have of a fleet, worked out from what its devices say and the written rules.

Nothing is shared with the gateway: these are rules 1, 2 and 9 of docs/semantics.md a second time, as far as
a fleet needs them.
"""

from __future__ import annotations

from collections import Counter as Sums
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from simulators.fleet.plan import Counter
from simulators.oracle import share
from simulators.truth import Truth

Side = tuple[str, str]  # counter, "ins" or "outs" as the gateway turns it


@dataclass(slots=True)
class Expected:
    """`refused`: persons in what was told and must not be counted. `persons`: all that must be.

    `forgotten`: those of them whom a counter was made to forget, so that a loss is seen to be seen.
    """

    truth: Truth
    refused: Sums[Side] = field(default_factory=Sums)
    forgotten: Sums[Side] = field(default_factory=Sums)
    persons: int = 0

    def pass_(self, counter: Counter, at_ms: int, ins: int, outs: int) -> None:
        """As the device sees them, at an instant."""
        self.told(counter, at_ms, at_ms + 1, ins, outs)

    def told(self, counter: Counter, start_ms: int, end_ms: int, ins: int, outs: int) -> None:
        """An interval that counts, shared out over the windows by rule 2."""
        ins, outs = turned(counter, ins, outs)
        size_ms = self.truth.size_s * 1000
        self.persons += ins + outs
        for window_ms, persons in share(ins, start_ms, end_ms, size_ms).items():
            self.truth.cross(counter.id, window_ms, "in", persons)
        for window_ms, persons in share(outs, start_ms, end_ms, size_ms).items():
            self.truth.cross(counter.id, window_ms, "out", persons)

    def refuse(self, counter: Counter, ins: int, outs: int) -> None:
        ins, outs = turned(counter, ins, outs)
        self.refused[counter.id, "ins"] += ins
        self.refused[counter.id, "outs"] += outs

    def totals(self, counter: Counter, readings: Iterable[tuple[int, int, int]]) -> None:
        """(at, total in, total out) that arrived, in any order: differences between neighbours in time."""
        for (start_ms, ins, outs), (end_ms, more_ins, more_outs) in pairwise(sorted(set(readings))):
            self.told(counter, start_ms, end_ms, more_ins - ins, more_outs - outs)

    def forget(self, counter: Counter, ins: int, outs: int) -> None:
        ins, outs = turned(counter, ins, outs)
        self.forgotten[counter.id, "ins"] += ins
        self.forgotten[counter.id, "outs"] += outs


def turned(counter: Counter, ins: int, outs: int) -> tuple[int, int]:
    return (outs, ins) if counter.turned else (ins, outs)
