"""What families of counters with one line share: the line's name, and that there is only one."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.driver import Device, Match
from gateway.model import MAIN_LINE


def match(device: Device, counter: str | None = None) -> Match:
    """The counter's only line, whatever it is called here."""
    return Match(counter, dict(zip((MAIN_LINE,), device.lines, strict=False)))


def problems(device: Device) -> Sequence[str]:
    """Said at check time."""
    return () if len(device.lines) <= 1 else ("lines: this counter has one line",)
