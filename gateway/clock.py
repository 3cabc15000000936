"""The only place that asks for the time: wall clock, monotonic clock, boot id, and whether to believe it.

Under `--simulated-clock START,SPEED[,ANCHOR]` wall and monotonic time run SPEED times faster from START,
which holds at the real instant ANCHOR (Unix seconds; default: now), and the event loop's clock is scaled too.
"""

from __future__ import annotations

import asyncio
import ctypes
import selectors
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.model import Stamp

MAX_SPEED = 300.0
STEP_MS = 5 * 60_000  # a larger step against the monotonic clock makes the wall clock untrusted
CONFIRM_MS = 60_000
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
RTC = Path("/sys/class/rtc/rtc0")
CPUINFO = Path("/proc/cpuinfo")
STA_UNSYNC = 0x40  # linux/timex.h


@dataclass(frozen=True, slots=True)
class Simulated:
    """`start_s` held at the real Unix instant `anchor_s`; since then time runs `speed` times faster."""

    start_s: float
    speed: float
    anchor_s: float

    def wall_s(self) -> float:
        return self.start_s + (time.time() - self.anchor_s) * self.speed

    def __str__(self) -> str:
        start = datetime.fromtimestamp(self.start_s, UTC).isoformat().replace("+00:00", "Z")
        return f"{start},{self.speed:g},{self.anchor_s:.3f}"


def parse_simulated(text: str) -> Simulated:
    """`START,SPEED[,ANCHOR]`; START in RFC 3339. Raises ValueError in words."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (2, 3):
        raise ValueError("expected START,SPEED or START,SPEED,ANCHOR")
    start = datetime.fromisoformat(parts[0])
    if start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
    speed = float(parts[1])
    if not 0 < speed <= MAX_SPEED:
        raise ValueError(f"SPEED must be above 0 and at most {MAX_SPEED:g}")
    anchor = float(parts[2]) if len(parts) == 3 else time.time()
    return Simulated(start.timestamp(), speed, anchor)


def kernel_synchronised() -> bool:
    """Does the kernel say that something disciplines its clock (adjtimex without STA_UNSYNC)?"""
    with suppress(OSError, AttributeError):
        timex = ctypes.create_string_buffer(512)  # struct timex; modes = 0 asks and changes nothing
        if ctypes.CDLL(None).adjtimex(timex) < 0:
            return False  # refused (a sandbox): nothing was filled in
        # `status` follows modes, offset, freq, maxerror and esterror, each a long
        offset = 5 * ctypes.sizeof(ctypes.c_long)
        status = ctypes.c_int.from_buffer(timex, offset).value
        return not status & STA_UNSYNC
    return False


def virtual_machine() -> bool:
    """A guest's clock comes from its host at boot, as from a clock chip."""
    with suppress(OSError):
        return " hypervisor" in CPUINFO.read_text()
    return False


class Clock:
    """Wall and monotonic time in ms, the boot's id, and trust by the configured rule."""

    def __init__(self, trust: str = "kernel", simulated: Simulated | None = None) -> None:
        self.boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else f"{time.time():.0f}"
        self.simulation = simulated
        self._rule = "always" if simulated else trust
        self._believed = False
        self._offset_ms: int | None = None  # wall - monotonic when last believed
        self._doubt_since_ms: int | None = None
        self._asked_ms = -CONFIRM_MS
        if simulated:
            self.boot = f"simulated-{simulated}"

    @property
    def simulated(self) -> bool:
        return self.simulation is not None

    def wall_ms(self) -> int:
        return int((self.simulation.wall_s() if self.simulation else time.time()) * 1000)

    def mono_ms(self) -> int:
        if self.simulation:
            return self.wall_ms()
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def trusted(self) -> bool:
        """Believe the wall clock? A step of over five minutes is doubted until it has held for a minute."""
        if self._rule == "always":
            return True
        mono = self.mono_ms()
        if mono - self._asked_ms >= 1000 or not self._believed:
            self._asked_ms = mono
            self._believed = self._confirmed(self.wall_ms() - mono, mono)
        return self._believed

    def _confirmed(self, offset_ms: int, mono_ms: int) -> bool:
        if not self._source():
            return False
        if self._offset_ms is None or abs(offset_ms - self._offset_ms) <= STEP_MS:
            self._offset_ms, self._doubt_since_ms = offset_ms, None
            return True
        if self._doubt_since_ms is None:
            self._doubt_since_ms = mono_ms
        if mono_ms - self._doubt_since_ms >= CONFIRM_MS:
            self._offset_ms, self._doubt_since_ms = offset_ms, None
            return True
        return False

    def _source(self) -> bool:
        if self._rule == "rtc" and RTC.exists():
            return True
        return kernel_synchronised() or virtual_machine()

    def stamp(self) -> Stamp:
        return Stamp(self.boot, self.mono_ms(), self.wall_ms(), self.trusted())


class _ScaledSelector(selectors.DefaultSelector):
    """Waits `speed` times shorter, because the loop's seconds are that much shorter."""

    speed = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else max(0.0, timeout) / self.speed)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock runs `speed` times faster: every time-out and sleep scales with it."""

    def __init__(self, simulated: Simulated) -> None:
        selector = _ScaledSelector()
        selector.speed = simulated.speed
        self._speed = simulated.speed
        super().__init__(selector)

    def time(self) -> float:
        return time.monotonic() * self._speed


def new_loop(simulated: Simulated | None) -> asyncio.AbstractEventLoop:
    """The event loop that goes with the clock."""
    return SimulatedLoop(simulated) if simulated else asyncio.new_event_loop()


__all__: Sequence[str] = ("Clock", "Simulated", "new_loop", "parse_simulated")
