"""Network counters and tills as a centre has them: they store their own minutes and send what is unsent.

The encodings follow the makers' documents: a Xovis v5 logics package, and JSON of the kind that a `[mapping]`
describes.
"""

from __future__ import annotations

import json
from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from simulators.mqtt import Record, xovis_package
from simulators.people import Crossing, Sale
from simulators.timing import rfc3339

RECORDS_PER_PACKAGE = 60


class Device(Protocol):
    """`unsent` gives the payloads for everything complete before `until_ms` and forgets it."""

    topic: str

    def unsent(self, until_ms: int, step_ms: int) -> Iterator[bytes]: ...


@dataclass(slots=True)
class Recorder:
    """Crossings of some lines since `since_ms`, cut into intervals on demand; empty ones too."""

    lines: tuple[str, ...]
    since_ms: int
    crossings: list[Crossing] = field(default_factory=list)

    def note(self, crossing: Crossing) -> None:
        insort(self.crossings, crossing)

    def packages(self, until_ms: int, step_ms: int) -> Iterator[dict[str, list[Record]]]:
        """Line → records, at most RECORDS_PER_PACKAGE intervals in each."""
        while self.since_ms + step_ms <= until_ms:
            steps = min(RECORDS_PER_PACKAGE, (until_ms - self.since_ms) // step_ms)
            yield self._cut(steps, step_ms)

    def _cut(self, steps: int, step_ms: int) -> dict[str, list[Record]]:
        begin, end = self.since_ms, self.since_ms + steps * step_ms
        sums = {line: [[0, 0] for _ in range(steps)] for line in self.lines}
        for crossing in self.crossings:
            if begin <= crossing.at_ms < end:
                sums[crossing.line][(crossing.at_ms - begin) // step_ms][0 if crossing.inward else 1] += 1
        self.crossings = [crossing for crossing in self.crossings if crossing.at_ms >= end]
        self.since_ms = end
        return {
            line: [
                (begin + i * step_ms, begin + (i + 1) * step_ms, ins, outs)
                for i, (ins, outs) in enumerate(parts)
            ]
            for line, parts in sums.items()
        }


@dataclass(slots=True)
class XovisSensor:
    """`logics`: line → the sensor's own name for it."""

    topic: str
    logics: Mapping[str, str]
    recorder: Recorder
    serial: str = "80:1F:12:00:00:01"
    _package: int = 0

    def unsent(self, until_ms: int, step_ms: int) -> Iterator[bytes]:
        for package in self.recorder.packages(until_ms, step_ms):
            self._package += 1
            records = {self.logics[line]: records for line, records in package.items()}
            yield xovis_package(records, self._package)

    def status(self, at_ms: int, light: str) -> bytes:
        """A status package; `light` as the sensor judges its own view (OK, TOO_DARK …)."""
        states = {
            "device": {"state": {"state": "OK"}},
            "time": {"state": {"state": "OK", "details": {"time": rfc3339(at_ms)}}},
            "network": {"state": {"state": "OK"}},
            "singlesensor": {"status": {"illumination": light}},
        }
        return json.dumps({"status_data": {"states": states}}).encode()


@dataclass(slots=True)
class JsonCounter:
    """One line, told apart by its MAC address."""

    topic: str
    mac: str
    recorder: Recorder

    def unsent(self, until_ms: int, step_ms: int) -> Iterator[bytes]:
        for package in self.recorder.packages(until_ms, step_ms):
            data = [
                {"Lines": [_json_line(record)]}
                for (records,) in [tuple(package.values())]
                for record in records
            ]
            yield json.dumps({"Device": {"Mac": self.mac}, "Data": data}).encode()


def _json_line(record: Record) -> dict[str, object]:
    start_ms, end_ms, ins, outs = record
    return {"Name": "main", "From": rfc3339(start_ms), "To": rfc3339(end_ms), "In": ins, "Out": outs}


@dataclass(slots=True)
class JsonTill:
    """Receipts one by one, under the number the till printed on them."""

    topic: str
    till: str
    currency: str = "NOK"
    sales: list[Sale] = field(default_factory=list)
    _receipt: int = 0

    def note(self, sale: Sale) -> None:
        insort(self.sales, sale)

    def unsent(self, until_ms: int, step_ms: int) -> Iterator[bytes]:
        del step_ms
        due = [sale for sale in self.sales if sale.at_ms < until_ms]
        self.sales = self.sales[len(due) :]
        for first in range(0, len(due), RECORDS_PER_PACKAGE):
            receipts = [self._print(sale) for sale in due[first : first + RECORDS_PER_PACKAGE]]
            yield json.dumps({"till": self.till, "receipts": receipts}).encode()

    def _print(self, sale: Sale) -> dict[str, object]:
        self._receipt += 1
        return {
            "number": f"{self.till}-{self._receipt}",
            "at": rfc3339(sale.at_ms),
            "sales": 0 if sale.returned else 1,
            "returns": 1 if sale.returned else 0,
            "amount_minor": 0 if sale.returned else sale.amount_minor,
            "currency": self.currency,
        }
