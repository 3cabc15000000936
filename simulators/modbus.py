"""Modbus counters from the device's side: register layouts of the makers' documents, RTU and TCP."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from simulators.bus import Device, Faults

COILS, INPUTS, HOLDING, INPUT = 1, 2, 3, 4
LONGEST_REQUEST = 264
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
Tables: TypeAlias = dict[int, dict[int, int]]  # function → address → register or bit


def crc(frame: bytes) -> bytes:
    """As the serial line guide describes it: polynomial 0xA001, from 0xFFFF, low byte first."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def low_first(*totals: int) -> list[int]:
    return [word for total in totals for word in (total & 0xFFFF, total >> 16)]


def high_first(*totals: int) -> list[int]:
    return [word for total in totals for word in (total >> 16, total & 0xFFFF)]


def floats(*totals: int) -> list[int]:
    """Single precision, its low word at the lower address."""
    return low_first(*(struct.unpack(">I", struct.pack(">f", total))[0] for total in totals))


def row(first: int, values: Iterable[int]) -> dict[int, int]:
    return {first + at: int(value) for at, value in enumerate(values)}


@dataclass
class Unit:
    """One device that counts ins and outs. `layout` names what stands where."""

    address: str = "1"
    layout: str = "lot"
    totals: list[int] = field(default_factory=lambda: [0, 0])
    maximum: list[int] = field(default_factory=lambda: [0xFFFF_FFFF] * 2)
    preset: list[int] = field(default_factory=lambda: [0, 0])
    saturates: bool = False
    running: list[bool] = field(default_factory=lambda: [True, True])
    blocked: list[bool] = field(default_factory=lambda: [False, False])
    overflow: list[bool] = field(default_factory=lambda: [False, False])
    error: int = 0
    restless: int = 0  # persons that go in and out after every reply: who reads twice reads two moments
    refusals: dict[int, int] = field(default_factory=dict)  # first address → exception
    crossed: list[int] = field(default_factory=lambda: [0, 0])  # the truth: persons since the start
    written: list[bytes] = field(default_factory=list)  # what nobody should send
    faults: Faults = field(default_factory=Faults)
    _pending: bytes = b""

    def hear(self, data: bytes) -> list[bytes]:
        """RTU requests, found by length and CRC among everything else that is on the line."""
        self._pending = (self._pending + data)[-2 * LONGEST_REQUEST :]
        answers = []
        at = 0
        while at + 8 <= len(self._pending):
            size = self._request_bytes(at)
            frame = self._pending[at : at + size]
            if len(frame) == size and crc(frame[:-2]) == frame[-2:]:
                at += size
                if frame[0] == int(self.address):
                    said = frame[:1] + self.obey(frame[1:-2])
                    answers.append(said + crc(said))
            elif len(frame) < size and frame[0] == int(self.address):
                break
            else:
                at += 1
        self._pending = self._pending[at:]
        return answers

    def _request_bytes(self, at: int) -> int:
        many = self._pending[at + 1] in (0x0F, 0x10)
        return 9 + self._pending[at + 6] if many else 8

    def obey(self, pdu: bytes) -> bytes:
        """The reply to a function code and its data, and those who pass afterwards."""
        said = self._obey(pdu)
        self.cross(self.restless, self.restless)
        return said

    def _obey(self, pdu: bytes) -> bytes:
        function, address, count = struct.unpack_from(">BHH", pdu)
        if function not in (COILS, INPUTS, HOLDING, INPUT):
            self.written.append(pdu)
            if self.layout == "trumeter-898x" and address == 0:
                self.totals = [0, 0]
            return bytes([function | 0x80, ILLEGAL_FUNCTION])
        table = LAYOUTS[self.layout](self).get(function, {})
        values = [table.get(address + at) for at in range(count)]
        known = [value for value in values if value is not None]
        code = self.refusals.get(address, 0 if len(known) == count else ILLEGAL_ADDRESS)
        if self.layout == "trumeter-898x" and (count != 2 or address % 2):
            code = ILLEGAL_VALUE  # values can only be processed as a whole
        if code:
            return bytes([function | 0x80, code])
        data = _bits(known) if function in (COILS, INPUTS) else struct.pack(f">{count}H", *known)
        return bytes([function, len(data)]) + data

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:
        for side, persons in enumerate((ins, outs)):
            self.crossed[side] += persons
            if self.running[side] and not self.blocked[side]:
                self._count(side, persons)
        return []

    def _count(self, side: int, persons: int) -> None:
        total, last = self.totals[side] + persons, self.maximum[side]
        if total > last:
            self.overflow[side] = True
            span = last + 1 - self.preset[side]
            total = last if self.saturates else self.preset[side] + (total - last - 1) % span
        self.totals[side] = total

    def reset(self) -> list[bytes]:
        self.totals = list(self.preset)
        return []


def _bits(values: Sequence[int]) -> bytes:
    packed = sum(value << at for at, value in enumerate(values))
    return packed.to_bytes((len(values) + 7) // 8, "little")


def _lot(unit: Unit) -> Tables:
    """TurnstileModbusSDK, table of registers: free passage both ways, no card read."""
    registers = {
        **row(0x40, (0xFFFF, 0xFFFF)),
        **row(0x42, unit.blocked),
        **row(0x44, low_first(*unit.totals)),
        0x48: unit.error,
        0x0100: 0,
        0x3000: 0,
    }
    return {HOLDING: registers}


def _adam_4080(unit: Unit) -> Tables:
    return {HOLDING: row(0, low_first(*unit.totals))}


def _m_7084(unit: Unit) -> Tables:
    """M-7084 manual A1.3, section 3.1; the last six channels are at rest."""
    rest = [0] * 6
    started = sum(int(running) << at for at, running in enumerate((*unit.running, *[True] * 6)))
    return {
        INPUT: row(0, low_first(*unit.totals, *rest)),
        HOLDING: {
            **row(64, low_first(*unit.maximum, *[0xFFFF_FFFF] * 6)),
            **row(96, low_first(*unit.preset, *rest)),
            **row(256, [0x50] * 8),
            489: started,
        },
    }


def _iologik_r1212(unit: Unit) -> Tables:
    """ioLogik R1200 manual, R1212: sixteen inputs, the last fourteen at rest."""
    return {
        COILS: {
            **row(0x00, (*unit.running, *[True] * 14)),
            **row(0x40, (*unit.overflow, *[False] * 14)),
        },
        HOLDING: row(0, [1] * 16),
        INPUT: row(0x20, high_first(*unit.totals, *[0] * 14)),
    }


def _trumeter_898x(unit: Unit) -> Tables:
    """898X manual, pages 7 and 11: status in byte 2, four bits for each counter."""
    status = unit.overflow[0] << 8 | unit.overflow[1] << 12
    return {HOLDING: row(0, floats(*unit.totals)) | row(0x14, low_first(status))}


def _hardwario_gauger(unit: Unit) -> Tables:
    """Gauger documentation: closings, openings and state of four inputs, 45301 and on."""
    closed = [*unit.blocked, False, False]
    closings = [*(total & 0xFFFF for total in unit.totals), 0, 0]
    openings = [(count - shut) & 0xFFFF for count, shut in zip(closings, closed, strict=True)]
    return {HOLDING: row(5300, (*closings, *openings, *closed))}


LAYOUTS: dict[str, Callable[[Unit], Tables]] = {
    "adam-4080": _adam_4080,
    "hardwario-gauger": _hardwario_gauger,
    "iologik-r1212": _iologik_r1212,
    "lot": _lot,
    "m-7084": _m_7084,
    "trumeter-898x": _trumeter_898x,
}


class TcpServer:
    """Units behind Modbus TCP on 127.0.0.1; `port` is where. `stale`: a late answer comes before each."""

    def __init__(self, units: Iterable[Unit], *, stale: bool = False) -> None:
        self.units = {int(unit.address): unit for unit in units}
        self.heard: list[bytes] = []
        self.stale = stale
        self._lock = threading.Lock()
        outer = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while len(head := self.rfile.read(7)) == 7:
                    transaction, protocol, size, unit = struct.unpack(">HHHB", head)
                    pdu = self.rfile.read(size - 1)
                    if protocol or len(pdu) != size - 1:
                        return
                    self.wfile.write(outer.answer(transaction, unit, pdu))

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Connection)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        with self._lock:
            self.heard.append(pdu)
            if unit not in self.units:
                return self._frame(transaction, unit, bytes([pdu[0] | 0x80, 11]))
            said = self.units[unit].obey(pdu)
            late = self._frame(transaction - 1 & 0xFFFF, unit, said[:2] + bytes(len(said) - 2))
            return (late if self.stale else b"") + self._frame(transaction, unit, said)

    def _frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def devices(
    addresses: Sequence[str] = ("1",),
    *,
    map: str = "lot",  # noqa: A002 - as the option of the driver is called
    start: int = 0,
    maximum: int = 0xFFFF_FFFF,
    preset: int = 0,
    saturates: bool = False,
    restless: int = 0,
) -> list[Device]:
    """One unit for each address, all alike."""
    if map not in LAYOUTS:
        raise TypeError(f"no layout {map!r}; known: {', '.join(LAYOUTS)}")
    return [
        Unit(
            address,
            map,
            totals=[start, start],
            maximum=[maximum, maximum],
            preset=[preset, preset],
            saturates=saturates,
            restless=restless,
        )
        for address in addresses
    ]
