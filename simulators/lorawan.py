"""LoRaWAN counters behind a network server, and a Milesight camera that sends JSON itself.

Frames and envelopes follow the makers' documents: Milesight VS350 (totals and periods in 16 bits, stored
records `20 CE`), IMBuildings type 2 variant 6, ChirpStack v4 and The Things Stack v3.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from struct import pack

from simulators.timing import rfc3339

Record = tuple[int, int, int, int]  # start_ms, end_ms, forward, backward
RECORDS_PER_FRAME = 12
START = 65_400  # totals come round soon
MODULUS = 1 << 16


def dev_eui(name: str) -> str:
    return blake2b(name.encode(), digest_size=8).hexdigest()


def chirpstack(name: str, frame: bytes, port: int, count: int, at_ms: int) -> bytes:
    """An uplink event of ChirpStack v4."""
    body = {
        "deduplicationId": blake2b(f"{name}/{count}".encode(), digest_size=16).hexdigest(),
        "time": rfc3339(at_ms),
        "deviceInfo": {
            "applicationName": "counters",
            "deviceName": name,
            "devEui": dev_eui(name),
            "tags": {},
        },
        "dr": 5,
        "fCnt": count,
        "fPort": port,
        "confirmed": False,
        "data": base64.b64encode(frame).decode(),
        "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -57, "snr": 10.5}],
    }
    return json.dumps(body).encode()


def things_stack(name: str, frame: bytes, port: int, count: int, at_ms: int) -> bytes:
    """An uplink message of The Things Stack v3."""
    message = {
        "f_port": port,
        "f_cnt": count,
        "frm_payload": base64.b64encode(frame).decode(),
        "received_at": rfc3339(at_ms),
    }
    ids = {"device_id": name, "application_ids": {"application_id": "mall"}, "dev_eui": dev_eui(name).upper()}
    body = {"end_device_ids": ids, "received_at": rfc3339(at_ms), "uplink_message": message}
    return json.dumps(body).encode()


@dataclass(slots=True)
class Odometer:
    """What was counted up to the end of each record; a record told again is known again."""

    totals: dict[int, tuple[int, int]] = field(default_factory=dict)
    last: tuple[int, int] = (START, START)

    def up_to(self, record: Record) -> tuple[int, int]:
        _, end_ms, forward, backward = record
        if end_ms not in self.totals:
            self.last = (self.last[0] + forward) % MODULUS, (self.last[1] + backward) % MODULUS
            self.totals[end_ms] = self.last
        return self.totals[end_ms]


@dataclass(slots=True)
class Vs350Voice:
    """A Milesight VS350 behind ChirpStack: stored records first, then the report with its time."""

    name: str
    content_type: str = "application/json"
    odometer: Odometer = field(default_factory=Odometer)

    def topic(self) -> str:
        return f"application/counters/device/{dev_eui(self.name)}/event/up"

    def tell(self, package: int, records: Sequence[Record]) -> bytes:
        told = [(record, self.odometer.up_to(record)) for record in records][-RECORDS_PER_FRAME:]
        stored = [
            b"\x20\xce" + pack("<IBHHHH", end_ms // 1000, 1, forward, backward, *totals)
            for (_, end_ms, forward, backward), totals in told[:-1]
        ]
        (_, end_ms, forward, backward), totals = told[-1]
        report = pack(
            "<2sI2sHH2sHH", b"\x0a\xef", end_ms // 1000, b"\x04\xcc", *totals, b"\x05\xcc", forward, backward
        )
        return chirpstack(self.name, b"".join(stored) + report, 85, package, end_ms + 900)

    def test(self, package: int) -> bytes:
        """The join frame: who I am, and that I am on."""
        frame = bytes.fromhex("ff0bff ff0101 ff166123456789012345 ff090100 ff0a0101")
        return chirpstack(self.name, frame, 85, package, 1_795_424_400_000)


@dataclass(slots=True)
class ImbuildingsVoice:
    """An IMBuildings counter behind The Things Stack: totals, and what came since the last payload."""

    name: str
    content_type: str = "application/json"
    odometer: Odometer = field(default_factory=Odometer)

    def topic(self) -> str:
        return f"v3/mall@ttn/devices/{self.name}/up"

    def tell(self, package: int, records: Sequence[Record]) -> bytes:
        totals = [self.odometer.up_to(record) for record in records][-1]
        _, end_ms, forward, backward = records[-1]
        header = b"\x02\x06" + bytes.fromhex(dev_eui(self.name))
        frame = header + pack(">BHHHBHHB", 0, 266, forward, backward, 0, *totals, package % 256)
        return things_stack(self.name, frame, 26, package, end_ms + 900)

    def test(self, package: int) -> bytes:
        """A heartbeat without counts."""
        frame = b"\x02\x08" + bytes.fromhex(dev_eui(self.name)) + pack(">BHB", 0, 266, 0)
        return things_stack(self.name, frame, 28, package, 1_795_424_400_000)


@dataclass(slots=True)
class Vs125Voice:
    """A Milesight VS125: one report is one period, as long as all that it has not told yet."""

    name: str
    content_type: str = "application/json"
    told_ms: int = 0

    def topic(self) -> str:
        return f"milesight/{self.name}"

    def tell(self, package: int, records: Sequence[Record]) -> bytes:
        del package
        records = [record for record in records if record[0] >= self.told_ms] or records[-1:]
        self.told_ms = max(self.told_ms, records[-1][1])
        people = {"in": sum(record[2] for record in records), "out": sum(record[3] for record in records)}
        groups = {side: persons // 2 for side, persons in people.items()}
        line = {"line": 1, "line_name": "Line1", "line_uuid": "9a0440de-3188-4f6d-b886-bb20c97bd26b"}
        return self._report(
            {"start_time": rfc3339(records[0][0]), "end_time": rfc3339(records[-1][1])},
            {"line_periodic_data": [{**line, "total": people, "group": groups}]},
        )

    def test(self, package: int) -> bytes:
        """A report that counts nobody."""
        del package
        return self._report({"time": rfc3339(1_795_424_400_000)}, {})

    def _report(self, times: dict[str, str], data: dict[str, object]) -> bytes:
        about = {"device_name": self.name, "device_sn": dev_eui(self.name).upper(), "running_time": 58}
        return json.dumps({"device_info": about, "time_info": times, **data}).encode()
