"""What polled families share: registers whose sides come round apart, under our own line names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from gateway.driver import Device, Match
from gateway.model import Register

Turned: TypeAlias = tuple[str, int, int | None, int]  # field of a Register, its total, modulus, restart


def match(device: Device, counter: str | None = None) -> Match:
    """The driver already speaks of our lines."""
    return Match(counter, {name: name for name in device.lines})


def registers(counter: str, line: str, epoch: str, sides: Iterable[Turned]) -> list[Register]:
    """One register, or one for each side where the two come round at different values."""
    turns: dict[tuple[int | None, int], dict[str, int]] = {}
    for side, total, modulus, restart in sides:
        turns.setdefault((modulus, restart), {})[side] = total
    return [
        Register(
            counter,
            line,
            None,
            total_in=totals.get("total_in"),
            total_out=totals.get("total_out"),
            total_passes=totals.get("total_passes"),
            epoch=epoch,
            modulus=modulus,
            restart=restart,
        )
        for (modulus, restart), totals in turns.items()
    ]
