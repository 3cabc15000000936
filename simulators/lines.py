"""Boards that print lines, as public sketches do, from the device's side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulators.bus import Device, Faults

STYLES = ("aloud", "csv", "inside", "json", "signs", "totals")


@dataclass
class Board:
    """Counts from zero at each restart, and cannot be asked. `style`: how it prints, one of STYLES."""

    style: str = "totals"
    ins: int = 0
    outs: int = 0
    modulus: int = 1 << 16  # of its totals
    greeting: str = "Door counter ready"
    faults: Faults = field(default_factory=Faults)

    def hear(self, data: bytes) -> list[bytes]:  # noqa: ARG002 - deaf
        return []

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:
        """A line for each person."""
        said = []
        for step_in, step_out in [(1, 0)] * ins + [(0, 1)] * outs:
            self.ins = (self.ins + step_in) % self.modulus
            self.outs = (self.outs + step_out) % self.modulus
            said.append(self.line(entered=bool(step_in)))
        return said

    def reset(self) -> list[bytes]:
        self.ins = self.outs = 0
        return [] if self.style == "signs" else [f"{self.greeting}\r\n".encode()]

    def line(self, *, entered: bool) -> bytes:
        """What is printed after a passage."""
        inside = self.ins - self.outs
        if self.style == "signs":
            return b"+" if entered else b"-"
        text = {
            "aloud": f"Person {'entered' if entered else 'exited'}. Count: {inside}",
            "csv": f"{self.ins},{self.outs}",
            "inside": f"Number of people inside : {inside}",
            "json": json.dumps({"in": self.ins, "out": self.outs}),
            "totals": f"IN {self.ins} OUT {self.outs}",
        }[self.style]
        return f"{text}\r\n".encode()


def devices(addresses: Sequence[str] = ("0",), style: str = "totals", start: int = 0) -> list[Device]:
    """Boards have no addresses: one for each name given."""
    if style not in STYLES:
        raise TypeError(f"style: one of {', '.join(STYLES)}")
    return [Board(style, start, start) for _ in addresses]
