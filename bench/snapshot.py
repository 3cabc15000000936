"""What a live snapshot of a hundred zones costs, read from a real buffer (goal: under 20 ms)."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from gateway.health import to_json
from gateway.health.zones import zones
from gateway.model import (
    Basis,
    Booking,
    Crossings,
    LineRule,
    Member,
    Parcel,
    Role,
    Stamp,
    Transactions,
    ZoneSpec,
)
from gateway.store import Grid, Store

ZONES, QUARTER_MS, DAY_MS = 100, 900_000, 86_400_000
T0 = 1_795_564_800_000  # 2026-11-25T00:00:00Z
TURNS = 20


def lines(n: int) -> list[LineRule]:
    return [
        LineRule(f"c{n}", "main", basis=Basis.DELTA, max_per_s=0),
        LineRule(f"c{n}", "front", basis=Basis.DELTA, max_per_s=0),
        LineRule(f"t{n}", "main", till=True),
    ]


def zone(n: int) -> ZoneSpec:
    door, front = Member(f"c{n}", "main", Role.ENTRANCE), Member(f"c{n}", "front", Role.PASSING)
    return ZoneSpec(
        f"z{n}", "store", (door, front, Member(f"t{n}", "main", Role.TILL)), parent="z0" if n else None
    )


def parcels(start: int) -> list[Parcel]:
    """One quarter of an hour of everybody."""
    end, found = start + QUARTER_MS, []
    for n in range(ZONES):
        bookings = [
            Booking(f"c{n}", "main", Crossings(f"c{n}", "main", start, end, 20 + n % 7, 20)),
            Booking(f"c{n}", "front", Crossings(f"c{n}", "front", start, end, 50, 40)),
            Booking(f"t{n}", "main", Transactions(f"t{n}", start, end, 5, 0, 1000)),
        ]
        found.append(Parcel("bench", Stamp("bench", end - T0, end), bookings))
    return found


async def filled(folder: Path, days: int) -> tuple[Store, float, int]:
    """A buffer of closed days and 80 quarters of today: (store, seconds of closing a window of all, now)."""
    store = await Store.open(folder, now=Stamp("bench", 1, T0))
    rules = [rule for n in range(ZONES) for rule in lines(n)]
    specs = [zone(n) for n in range(ZONES)]
    await store.configure(rules, specs, {}, [], Grid(size_s=900), Stamp("bench", 1, T0))
    took, now_ms = [], T0
    for quarter in range(days * 96 + 80):
        start = T0 + quarter * QUARTER_MS
        await store.record(parcels(start))
        now_ms = start + 3 * QUARTER_MS
        began, more = time.process_time(), True
        while more:
            more = (await store.close(Stamp("bench", now_ms - T0, now_ms))).more
        took.append(time.process_time() - began)
    return store, statistics.median(took), now_ms


def timed(work: Callable[[], object]) -> float:
    """Median milliseconds of processor time."""
    took = []
    for _ in range(TURNS):
        began = time.process_time()
        work()
        took.append(1000 * (time.process_time() - began))
    return round(statistics.median(took), 2)


async def _costs(folder: Path, days: int) -> dict[str, object]:
    store, closing_s, now_ms = await filled(folder, days)
    reader = store.reader()
    began = time.process_time()
    live = reader.live(now_ms)
    first_ms = round(1000 * (time.process_time() - began), 2)
    shown = list(zones(live, {}, {}, {}, 0.8))
    costs = {
        "n": TURNS,
        "zones": ZONES,
        "closed_days": days,
        "first_look_after_closing_ms": first_ms,
        "read_ms": timed(lambda: reader.live(now_ms)),
        "measures_ms": timed(lambda: list(zones(live, {}, {}, {}, 0.8))),
        "as_json_ms": timed(lambda: to_json(shown)),
        "closing_one_window_of_all_ms": round(1000 * closing_s, 1),
    }
    reader.close_file()
    await store.aclose()
    return costs


def costs(days: int = 2) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_costs(Path(folder), days))


if __name__ == "__main__":
    print(costs())
