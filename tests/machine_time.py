"""The machine's clock, for processes of their own, who know no other: nothing else in the tests reads it."""

from __future__ import annotations

import time


def now_s() -> float:
    return time.time()


def from_now(start: str, speed: float) -> str:
    """A simulated clock that several processes share: it is `start` now."""
    return f"{start},{speed:g},{now_s():.3f}"
