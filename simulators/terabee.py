"""Terabee TeraRanger Evo people counters from the device's side, written from the manuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from simulators.bus import Device, Faults

RESET = bytes.fromhex("00 55 08 00 00 00 00 7c")
SPAN = 1 << 16
NET_SPAN = 1 << 32


def crc8(said: bytes) -> int:
    """Bit by bit: polynomial x8 + x2 + x + 1, from 0."""
    rest = int.from_bytes(said + b"\0", "big")
    for bit in range(8 * len(said) - 1, -1, -1):
        if rest >> bit + 8 & 1:
            rest ^= 0x107 << bit
    return rest


def framed(said: bytes) -> bytes:
    return said + bytes((crc8(said),))


@dataclass
class Sensor:
    """One sensor: speaks with every passage. `number` None is the Swipe Plus, which sends no number."""

    number: int | None = 1
    totals: list[int] = field(default_factory=lambda: [0, 0])
    net: int = 0
    faults: Faults = field(default_factory=Faults)
    written: list[bytes] = field(default_factory=list)  # commands heard: nobody here should send any
    _pending: bytes = b""

    def hear(self, data: bytes) -> list[bytes]:
        self._pending = (self._pending + data)[-len(RESET) :]
        if self._pending != RESET:
            return []
        self.written.append(RESET)
        self._zero()
        return [self._passage()]

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:
        """One frame for each person, those going in first."""
        return [self._pass(0) for _ in range(ins)] + [self._pass(1) for _ in range(outs)]

    def reset(self) -> list[bytes]:
        """Power loss: zero, without a word."""
        self._zero()
        return []

    def distances(self, first_mm: int = 1200, second_mm: int = 1190) -> bytes:
        """What it says many times a second."""
        return framed(b"DD" + first_mm.to_bytes(2, "big") + second_mm.to_bytes(2, "big"))

    def _zero(self) -> None:
        self.totals, self.net = [0, 0], 0

    def _pass(self, side: int) -> bytes:
        self.totals[side] = (self.totals[side] + 1) % SPAN
        self.net += 1 - 2 * side
        return self._passage()

    def _passage(self) -> bytes:
        number = b"" if self.number is None else self.number.to_bytes(4, "big")
        totals = b"".join(total.to_bytes(2, "big") for total in self.totals)
        return framed(b"PC" + number + (self.net % NET_SPAN).to_bytes(4, "big") + totals)


def devices(addresses: Sequence[str] = ("1",), *, swipe: bool = False, start: int = 0) -> list[Device]:
    """One sensor for each number, all alike; there is room for one on a line."""
    return [Sensor(None if swipe else int(address), [start, start]) for address in addresses]
