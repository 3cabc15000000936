"""Keep a link running for ever: edges are supervised, so a lost port or broker is normal and tried again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from gateway.errors import LinkError
from gateway.model import RESULTS

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
HEALTHY_S = 300.0


log = logging.getLogger(__name__)


class WallClock(Protocol):
    def wall_ms(self) -> int: ...


@dataclass(slots=True)
class LinkState:
    """What health and metrics read of one link. `error` is the last failure's sentence, "" while up."""

    up: bool = False
    since_ms: int = 0  # wall time of the last change of `up`
    error: str = ""
    attempts: int = 0  # openings since the link was last healthy for five minutes
    telegrams: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(RESULTS, 0)))
    unanswered: set[str] = field(default_factory=set)  # counters that let question after question pass
    on_up: Callable[[], None] = lambda: None

    def opened(self, now_ms: int) -> None:
        """The port or broker is there; the link calls this, again and again if it likes."""
        self.error = ""
        if not self.up:
            self.up, self.since_ms = True, now_ms
            self.on_up()

    def lost(self, now_ms: int, why: str) -> None:
        if self.up or not self.since_ms:
            self.up, self.since_ms = False, now_ms
        self.error = why


@dataclass(slots=True)
class Backoff:
    """1 s doubling to 60 s, full jitter; a run of five healthy minutes starts it anew."""

    chance: Callable[[], float] = random.random
    ceiling_s: float = FIRST_PAUSE_S

    def next_s(self, healthy_s: float) -> float:
        if healthy_s >= HEALTHY_S:
            self.ceiling_s = FIRST_PAUSE_S
        pause = self.chance() * self.ceiling_s
        self.ceiling_s = min(LONGEST_PAUSE_S, self.ceiling_s * 2)
        return pause


class _Voice:
    """First failure WARNING, repeats DEBUG, recovery INFO, the unforeseen ERROR with its traceback."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failing = False

    def failed(self, error: Exception) -> None:
        if not isinstance(error, LinkError | OSError):
            log.error("link %s: unforeseen", self._name, exc_info=error)
        else:
            log.log(logging.DEBUG if self._failing else logging.WARNING, "link %s: %s", self._name, error)
        self._failing = True

    def recovered(self) -> None:
        if self._failing:
            log.info("link %s: up again", self._name)
        self._failing = False


async def keep(
    run: Callable[[], Awaitable[None]],
    state: LinkState,
    clock: WallClock,
    stop: asyncio.Event,
    *,
    name: str,
    backoff: Backoff | None = None,
) -> None:
    """Run `run()` again and again until `stop`.

    `run` calls `state.opened(wall_ms)` once it is connected, returns when stopped and raises LinkError (or
    any other error) when the edge is lost.
    """
    loop, pauses, voice = asyncio.get_running_loop(), backoff or Backoff(), _Voice(name)
    while not stop.is_set():
        up_at: list[float] = []
        state.on_up = partial(_note_up, up_at, voice, loop)
        state.attempts += 1
        why = "closed"
        try:
            await run()
        except Exception as error:  # an edge may fail in any way and is tried again
            voice.failed(error)
            why = str(error) or type(error).__name__
        state.lost(clock.wall_ms(), "" if stop.is_set() else why)
        healthy_s = loop.time() - up_at[0] if up_at else 0.0
        if healthy_s >= HEALTHY_S:
            state.attempts = 0
        await pause(stop, pauses.next_s(healthy_s))


def _note_up(up_at: list[float], voice: _Voice, loop: asyncio.AbstractEventLoop) -> None:
    up_at.append(loop.time())
    voice.recovered()


async def pause(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, but not longer than until `stop`. True when stopped."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return stop.is_set()
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
