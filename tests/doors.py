"""Three doors of a centre that never was: what passes them, and a store that lives through it by hand."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from gateway.model import Basis, Booking, Crossings, LineRule, Member, Parcel, Role, ZoneSpec
from gateway.store import Grid, UpstreamPlan
from gateway.windows import Hours
from tests.unit.store.conftest import HOUR, MINUTE, T0, Box

Q, DAY = 15 * MINUTE, 24 * HOUR
MONDAY = T0 - 10 * HOUR - 2 * DAY  # 2026-11-23, midnight of the grid's UTC
DOORS = ("north", "south", "east")
OPEN = Hours((((600, 1260),),) * 7)
TAUGHT_DAYS = 9
TODAY = MONDAY + TAUGHT_DAYS * DAY
Then = Callable[[Box], Awaitable[None]]


def outfit(box: Box, size_s: int = 900) -> None:
    box.wall = MONDAY
    box.rules = [LineRule(name, "main", basis=Basis.DELTA, max_per_s=5, expect_s=60) for name in DOORS]
    box.zones = [ZoneSpec("mall", "mall", tuple(Member(name, "main", Role.ENTRANCE) for name in DOORS))]
    box.upstreams = {"hq": UpstreamPlan(alarms=True)}
    box.hours = {"mall": OPEN}
    box.grid = Grid(size_s=size_s, allowed_lateness_s=60, readings_days=35)


def people(
    name: str, start_ms: int, dead: frozenset[str], busy: float, zone: ZoneInfo | None = None
) -> tuple[int, int]:
    """Who came and went in a quarter of an hour: the same for the same door and quarter."""
    chance = random.Random(f"{name} {start_ms}")
    ins, outs = (max(0, round(chance.gauss(24, 5) * busy)) for _ in range(2))
    at = datetime.fromtimestamp(start_ms / 1000, zone or UTC)
    opened = 10 <= at.hour < 21
    return (ins, outs) if opened and name not in dead else (0, 0)


async def live(
    box: Box,
    until_ms: int,
    then: Then | None = None,
    *,
    dead: frozenset[str] = frozenset(),
    silent: frozenset[str] = frozenset(),
    busy: float = 1.0,
    local: ZoneInfo | None = None,
) -> None:
    """Each quarter is pushed when it is over, and closed; `silent` doors push nothing at all."""
    for start_ms in range((box.wall + Q - 1) // Q * Q - Q, until_ms, Q):
        box.at(start_ms + Q + MINUTE)
        parcels = []
        for name in DOORS:
            came = people(name, start_ms, dead, busy, local)
            reading = Crossings(name, "main", start_ms, start_ms + Q, *came)
            if name not in silent:
                parcels.append(Parcel("lan", box.now(), [Booking(name, "main", reading)]))
        await box.store.record(parcels)
        box.pass_ms(5_000)
        await box.close()
        if then:
            await then(box)
