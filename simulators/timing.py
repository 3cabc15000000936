"""The simulators' clock. `--simulated-clock START,SPEED[,ANCHOR]` agrees with a daemon told the same."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Wall time in ms since the Unix epoch; `speed` times faster than real when simulated."""

    def __init__(self, simulated: str | None = None) -> None:
        self.text = simulated
        self.speed = 1.0
        self._start_s = self._anchor_s = 0.0
        if simulated:
            start, speed, *anchor = simulated.split(",")
            moment = datetime.fromisoformat(start)
            self._start_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            self.speed = float(speed)
            self._anchor_s = float(anchor[0]) if anchor else time.time()

    def now_ms(self) -> int:
        real = time.time()
        return int((self._start_s + (real - self._anchor_s) * self.speed if self.text else real) * 1000)

    def sleep(self, seconds: float) -> None:
        """Sleeps `seconds` of this clock."""
        time.sleep(seconds / self.speed)


def rfc3339(at_ms: int) -> str:
    """`2026-11-23T09:00:00.000Z`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def window_name(start_ms: int) -> str:
    """A window's start as the events write it: `2026-11-23T09:00:00Z`."""
    return datetime.fromtimestamp(start_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
