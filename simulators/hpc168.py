"""MRB HPC168 door counters from the device's side, written from the description of their frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulators.bus import Device, Faults

REQUEST = re.compile(rb"\x02([0-9]{4})([0-9A-F]{2})00([0-9A-F]{2})\x03")
LONGEST_REQUEST = 12
COUNTS, RESET, DOOR = "13", "12", "66"


def frame(text: str) -> bytes:
    """ID, CMD, LEN and DATA as hexadecimal text, with its checksum between STX and ETX."""
    return b"\x02" + f"{text}{sum(bytes.fromhex(text)) % 256:02X}".encode() + b"\x03"


@dataclass
class Counter:
    """One counter: totals of persons boarding and leaving, 32 bit each."""

    address: str = "0001"
    totals: list[int] = field(default_factory=lambda: [0, 0])
    door_open: bool = True
    faults: Faults = field(default_factory=Faults)
    written: list[bytes] = field(default_factory=list)  # resets heard: nobody here should send them
    _pending: bytes = b""

    def hear(self, data: bytes) -> list[bytes]:
        self._pending += data
        answers, end = [], 0
        for request in REQUEST.finditer(self._pending):
            end = request.end()
            if frame(request[0][1:-3].decode()) == request[0] and request[1].decode() == self.address:
                answers += self._answer(request[2].decode())
        self._pending = self._pending[end:][-LONGEST_REQUEST:]
        return answers

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:
        self.totals = [(self.totals[0] + ins) % 2**32, (self.totals[1] + outs) % 2**32]
        return []

    def reset(self) -> list[bytes]:
        """Power loss, or another master's reset at an opening door."""
        self.totals = [0, 0]
        return []

    def _answer(self, command: str) -> list[bytes]:
        if command == COUNTS:
            return [frame(f"{self.address}9310{self.totals[0]:08X}{self.totals[1]:08X}" + "0" * 16)]
        if command == DOOR:
            return [frame(f"{self.address}E606" + ("01" if self.door_open else "00") * 6)]
        if command == RESET:
            self.written.append(command.encode())
            self.reset()
            return [frame(f"{self.address}920106")]
        return []


def devices(addresses: Sequence[str] = ("0001",), *, start: int = 0, closed: bool = False) -> list[Device]:
    """One counter for each address, all alike."""
    return [Counter(address, [start, start], not closed) for address in addresses]
