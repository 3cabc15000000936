"""7E/7F gate controllers from the device's side, written from the description of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from simulators.bus import Device, Faults

REQUEST_BYTES = 8
SPAN = 1 << 24
QUERY, RESET_LEFT, RESET_RIGHT = 0x10, 0x20, 0x21


@dataclass
class Gate:
    """One gate: persons by the left and the right side, 24 bit each. Every command gets the same status."""

    address: str = "1"
    totals: list[int] = field(default_factory=lambda: [0, 0])
    fault: int = 0
    alarm: int = 0
    infrared: int = 0
    faults: Faults = field(default_factory=Faults)
    written: list[int] = field(default_factory=list)  # commands that change or move something
    _pending: bytes = b""

    def hear(self, data: bytes) -> list[bytes]:
        self._pending += data
        answers = []
        while len(self._pending) >= REQUEST_BYTES:
            request = self._pending[:REQUEST_BYTES]
            if request[:2] != b"\x7e\x00" or (sum(request) + 1) % 256:
                self._pending = self._pending[1:]
                continue
            self._pending = self._pending[REQUEST_BYTES:]
            if request[2] == int(self.address):
                answers.append(self._obey(request[3]))
        return answers

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:
        """In is by the left side."""
        self.totals = [(self.totals[0] + ins) % SPAN, (self.totals[1] + outs) % SPAN]
        return []

    def reset(self) -> list[bytes]:
        self.totals = [0, 0]
        return []

    def _obey(self, command: int) -> bytes:
        if command != QUERY:
            self.written.append(command)
        if command in (RESET_LEFT, RESET_RIGHT):
            self.totals[command - RESET_LEFT] = 0
        return self._status()

    def _status(self) -> bytes:
        head = bytes((0x7F, 1, int(self.address), self.fault, 0, self.alarm))
        counts = b"".join(total.to_bytes(3, "big") for total in self.totals)
        said = head + counts + bytes((self.infrared, 0, 24, 0, 0))
        return said + bytes((0xFF - sum(said) % 256,))


def devices(
    addresses: Sequence[str] = ("1",), *, start: int = 0, infrared: int = 0, fault: int = 0, alarm: int = 0
) -> list[Device]:
    """One gate for each machine number, all alike."""
    return [Gate(address, [start, start], fault, alarm, infrared) for address in addresses]
