"""Axis counters, from developer.axis.com: Retail Data that is pushed, sums and statistics that are asked for.

Of `export-csv` the description gives no sample; the names of its columns are those a public program reads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from simulators.mqtt import Record

COLUMNS = (
    "Interval start",
    "Interval stop",
    "Camera serial number",
    "Counter name",
    "Pedestrians coming in",
    "Pedestrians going out",
)


def retail_data(serial: str, records: Sequence[Record]) -> bytes:
    """One push of a 3D counter; without records its connection test."""
    measurements = [
        {
            "kind": "people-counts",
            **_span(start_ms, end_ms),
            "items": [
                {"direction": way, "count": count, "adults": 0}
                for way, count in (("in", forward), ("out", backward))
            ],
        }
        for start_ms, end_ms, forward, backward in records
    ]
    whole = _span(records[0][0], records[-1][1]) if records else {}
    return json.dumps(
        {
            "apiName": "Axis Retail Data",
            "apiVersion": "0.4",
            "data": {**whole, "measurements": measurements},
            "sensor": {"application": "AXIS 3D People Counter", "timeZone": "UTC", "serial": serial},
        }
    ).encode()


def _span(start_ms: int, end_ms: int) -> dict[str, str]:
    start, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (start_ms, end_ms))
    return {
        "utcFrom": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "utcTo": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "localFrom": f"{start:%Y-%m-%dT%H:%M:%S}",
        "localTo": f"{end:%Y-%m-%dT%H:%M:%S}",
    }


@dataclass(slots=True)
class AxisVoice:
    """A 3D counter that pushes; its name is its serial number."""

    name: str
    content_type: str = "application/json"

    def topic(self) -> str:
        return f"axis/{self.name}"

    def tell(self, package: int, records: Sequence[Record]) -> bytes:
        del package
        return retail_data(self.name, records)

    def test(self, package: int) -> bytes:
        del package
        return retail_data(self.name, ())


def _shown(at_ms: int, zone: tzinfo, notation: str) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).strftime(notation)


def live_sum(serial: str, at_ms: int, zone: tzinfo, ins: int, outs: int) -> bytes:
    """Since local midnight."""
    shown = _shown(at_ms, zone, "%Y%m%d%H%M%S")
    return json.dumps(
        {"serial": serial, "name": "Entrance", "timestamp": shown, "in": ins, "out": outs}
    ).encode()


def export_csv(serial: str, zone: tzinfo, records: Sequence[Record]) -> bytes:
    """Stored quarters of an hour, local time."""
    rows = [
        ",".join(
            (
                _shown(start_ms, zone, "%Y-%m-%d %H:%M:%S"),
                _shown(end_ms, zone, "%Y-%m-%d %H:%M:%S"),
                serial,
                "Entrance",
                str(forward),
                str(backward),
            )
        )
        for start_ms, end_ms, forward, backward in records
    ]
    return "\n".join((",".join(COLUMNS), *rows, "")).encode()


def export_json(zone: tzinfo, records: Sequence[Record]) -> bytes:
    """Stored minutes of a 3D counter, local time."""
    rows = [
        {
            "start": _shown(start_ms, zone, "%Y-%m-%d %H:%M:%S"),
            "end": _shown(end_ms, zone, "%Y-%m-%d %H:%M:%S"),
            "in": forward,
            "out": backward,
        }
        for start_ms, end_ms, forward, backward in records
    ]
    return json.dumps({"data": rows}).encode()
