"""An Irisys Vector 4D, from sample and captured bodies: count logs with one register per direction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from simulators.timing import rfc3339

Record = tuple[int, int, int, int]  # start_ms, end_ms, forward, backward
WAYS = ("In", "Out")  # names of its registers, by their numbers


def count_logs(serial: str, entries: Sequence[dict[str, Any]]) -> bytes:
    """What is posted: one or several log entries."""
    return json.dumps({"CountLogs": list(entries), "FriendlyDeviceSerial": serial}).encode()


def log_entry(number: int, record: Record, totals: Sequence[int]) -> dict[str, Any]:
    """`totals` at the end of the record, by register."""
    start_ms, end_ms, *rises = record
    counts = [
        {"LogPeriodValue": rise, "Name": name, "RegisterId": register, "RegisterType": "Line", "Value": total}
        for register, (name, rise, total) in enumerate(zip(WAYS, rises, totals, strict=True))
    ]
    return {
        "Counts": counts,
        "LogEntryId": number,
        "StartTimestamp": rfc3339(start_ms),
        "Timestamp": rfc3339(end_ms),
    }


@dataclass(slots=True)
class IrisysVoice:
    """A device whose registers rise since it was switched on; its name is its serial number."""

    name: str
    content_type: str = "application/json"
    _entries: dict[int, dict[str, Any]] = field(default_factory=dict)  # by the end of the interval
    _totals: list[int] = field(default_factory=lambda: [0, 0])

    def topic(self) -> str:
        return f"irisys/{self.name}"

    def tell(self, package: int, records: Sequence[Record]) -> bytes:
        del package
        return count_logs(self.name, [self._entry(record) for record in records])

    def _entry(self, record: Record) -> dict[str, Any]:
        """An entry is written once, when its interval is over, and sent as often as need be."""
        end_ms = record[1]
        if end_ms not in self._entries:
            self._totals = [total + rise for total, rise in zip(self._totals, record[2:], strict=True)]
            self._entries[end_ms] = log_entry(len(self._entries) + 1, record, self._totals)
        return self._entries[end_ms]

    def test(self, package: int) -> bytes:
        """Somebody sets the clock: an entry without counts."""
        del package
        last_ms = max(self._entries, default=1)
        changed = {"ClockChangedFrom": rfc3339(last_ms), "Timestamp": rfc3339(last_ms)}
        return count_logs(self.name, [changed])
