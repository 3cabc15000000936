"""How tests wait: for something to become true, as long as a busy machine needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SOON_S = 90.0


async def until(true: Callable[[], object], look_s: float = 0.005) -> None:
    async with asyncio.timeout(SOON_S):
        while not true():
            await asyncio.sleep(look_s)
