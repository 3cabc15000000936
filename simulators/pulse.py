"""Contacts that close for each person, told as the text of contacts: `CONTACT WHAT MS`.

This is a box that watches contacts at the end of a serial line.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulators.bus import Device, Faults

PULSE_MS = 120
PAUSE_MS = 180
BOUNCE_MS = 3


@dataclass
class Box:
    """Two contacts, in and out, on a clock of its own that moves with the pulses. `bounces` per movement."""

    ins: str = "in"
    outs: str = "out"
    bounces: int = 0
    inverted: bool = False
    now_ms: int = 1000
    seed: int = 0
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def hear(self, data: bytes) -> list[bytes]:  # noqa: ARG002 - deaf
        return []

    def reset(self) -> list[bytes]:
        """Its clock begins anew, and what the contacts are is looked up."""
        self.now_ms = 0
        rest = int(self.inverted)
        return [
            f"{name} {word} 0\n".encode() for name in (self.ins, self.outs) for word in ("!0", f"={rest}")
        ]

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:
        """A pulse for each person, and the level looked up after it."""
        return [self.pulse(name) for name in [self.ins] * ins + [self.outs] * outs]

    def pulse(self, name: str) -> bytes:
        lines = self._move(name, active=True, stays_ms=PULSE_MS)
        lines += self._move(name, active=False, stays_ms=PAUSE_MS)
        lines.append(f"{name} ={int(self.inverted)} {self.now_ms}")
        return "".join(f"{line}\n" for line in lines).encode()

    def _move(self, name: str, *, active: bool, stays_ms: int) -> list[str]:
        """The contact moves, bounces, and stays."""
        lines = []
        for step in range(2 * self.bounces + 1):
            level = int((active ^ bool(step % 2)) is not self.inverted)
            lines.append(f"{name} {level} {self.now_ms}")
            self.now_ms += self._random.randint(1, BOUNCE_MS) if step < 2 * self.bounces else stays_ms
        return lines


def devices(addresses: Sequence[str] = ("in,out",), bounces: int = 2, inverted: bool = False) -> list[Device]:
    """One box for each pair of contacts, `in,out` by name."""
    boxes: list[Device] = []
    for number, pair in enumerate(addresses):
        ins, _, outs = pair.partition(",")
        boxes.append(Box(ins, outs or f"{ins}-out", bounces, inverted, seed=number))
    return boxes
