"""Tills that report by the quarter of an hour: late, in blocks, twice, corrected by a later file or message.

As with counters, `life` yields when to do what, in order of time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from simulators.fleet.expected import Expected
from simulators.fleet.plan import Till, Way
from simulators.fleet.speaking import OFFLINE, QUARTER_MS, Due, Send, Span
from simulators.receipts import Receipt, put
from simulators.till import interval_file, interval_message, receipts_between

TROUBLE = 0.1
CORRECTED_AFTER_MS = 600_000
SPREAD_MS = 60_000
CURRENCY = "NOK"


@dataclass(frozen=True, slots=True)
class Report:
    """What one till says of `[start, start + a quarter of an hour)`."""

    till: str
    start_ms: int
    receipts: Sequence[Receipt]

    def message(self) -> bytes:
        return interval_message(self.till, self.start_ms, self.start_ms + QUARTER_MS, self.receipts, CURRENCY)

    def file(self, zone: ZoneInfo) -> bytes:
        returned = sum(one.returned for one in self.receipts)
        minor = sum(one.amount_minor for one in self.receipts)
        row = (self.till, len(self.receipts) - returned, returned, minor)
        return interval_file([row], self.start_ms, zone)


@dataclass
class Seller:
    """`folder`: where the tills that write files put them."""

    till: Till
    seed: int
    span: Span
    expected: Expected
    send: Send
    folder: Path
    zone: ZoneInfo
    _files: int = 0
    _untold: list[Report] = field(default_factory=list)

    def life(self) -> Iterator[Due]:
        chance = random.Random(f"{self.seed}/{self.till.id}/trouble")
        offline = self._offline(chance)
        due: list[Due] = []
        for start_ms in range(self.span.begin_ms, self.span.end_ms, QUARTER_MS):
            report = self._sold(start_ms)
            at_ms = start_ms + QUARTER_MS + chance.randrange(SPREAD_MS)
            if offline[0] <= start_ms < offline[1]:
                due.append((at_ms, partial(self._untold.append, report)))
                continue
            if chance.random() < TROUBLE:
                wrong = replace(report, receipts=report.receipts[: len(report.receipts) // 2])
                due.append((at_ms, partial(self._tell, wrong)))
                at_ms += CORRECTED_AFTER_MS
            elif chance.random() < TROUBLE:
                at_ms += chance.randrange(QUARTER_MS, 3 * QUARTER_MS)
            at_ms = min(at_ms, self.span.end_ms + CORRECTED_AFTER_MS)
            due += [(at_ms, partial(self._tell, report))] * (1 + (chance.random() < TROUBLE))
        due.append((self.span.end_ms, self._block))
        yield from sorted(due, key=lambda one: one[0])

    def _offline(self, chance: random.Random) -> tuple[int, int]:
        if chance.random() >= 2 * OFFLINE:
            return 0, 0
        length_ms = self.span.end_ms - self.span.begin_ms
        return self.span.begin_ms + length_ms // 4, self.span.begin_ms + length_ms // 2

    def _sold(self, start_ms: int) -> Report:
        receipts = list(receipts_between(self.seed, self.till.id, start_ms, start_ms + QUARTER_MS))
        for one in receipts:
            sales, returns = int(not one.returned), int(one.returned)
            self.expected.truth.sell(self.till.id, one.at_ms, one.amount_minor, sales=sales, returns=returns)
        return Report(self.till.id, start_ms, receipts)

    def _tell(self, report: Report) -> None:
        self._block()
        self._report(report)

    def _block(self) -> None:
        """Everything of the time it was offline."""
        for report in self._untold:
            self._report(report)
        self._untold.clear()

    def _report(self, report: Report) -> None:
        if self.till.way is Way.FOLDER:
            self._files += 1
            name = f"{self.till.id}-{self._files:04d}.csv"
            put(self.folder, name, report.file(self.zone))
        else:
            self.send(f"tills/{self.till.id}/interval", report.message())
