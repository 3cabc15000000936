"""What judging counters costs when windows close, in CPU and bytes: with the detectors and without.

One shop a line. The last of DAYS simulated days is measured; the ones before teach.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from gateway.model import Booking, Crossings, LineRule, Member, Parcel, Role, Stamp, ZoneSpec  # noqa: E402
from gateway.store import Grid, Hours, Store, UpstreamPlan  # noqa: E402
from gateway.store.quality import Judge  # noqa: E402

LINES = int(os.environ.get("BENCH_LINES", "200"))
DAYS = int(os.environ.get("BENCH_DAYS", "2"))
MONDAY, QUARTER, DAY = 1_795_392_000_000, 900_000, 86_400_000
OPEN = Hours((((600, 1260),),) * 7)


def written_bytes() -> int:
    """What this process has given to write(), whether or not the disk has it yet."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["wchar"])


async def day(store: Store, start_ms: int, chance: random.Random) -> tuple[float, int]:
    """Seconds of CPU spent closing, and bytes written meanwhile."""
    spent, wrote = 0.0, 0
    for at_ms in range(start_ms, start_ms + DAY, QUARTER):
        now = Stamp("bench", at_ms + QUARTER + 61_000, at_ms + QUARTER + 61_000)
        opened = 10 <= at_ms % DAY // 3_600_000 < 21
        parcels = []
        for index in range(LINES):
            ins, outs = (max(0, round(chance.gauss(24, 5))) if opened else 0 for _ in range(2))
            reading = Crossings(f"door-{index}", "main", at_ms, at_ms + QUARTER, ins, outs)
            parcels.append(Parcel("bench", now, [Booking(reading.counter, "main", reading)]))
        await store.record(parcels)
        later = Stamp("bench", now.mono_ms + 1_100_000, now.wall_ms + 1_100_000)
        before, began = written_bytes(), time.process_time()
        while (await store.close(later, 100)).more:
            pass
        spent += time.process_time() - began
        wrote += written_bytes() - before
    return spent, wrote


async def run(folder: Path) -> dict[str, float]:
    store = await Store.open(folder, now=Stamp("bench", 0, MONDAY))
    rules = [LineRule(f"door-{index}", "main", expect_s=60) for index in range(LINES)]
    zones = [
        ZoneSpec(f"shop-{index}", "store", (Member(f"door-{index}", "main", Role.ENTRANCE),))
        for index in range(LINES)
    ]
    hours = {zone.id: OPEN for zone in zones}
    plans = {"office": UpstreamPlan(alarms=True)}
    await store.configure(rules, zones, plans, [], Grid(), Stamp("bench", 0, MONDAY), hours)
    chance = random.Random(7)
    for number in range(DAYS):
        spent, wrote = await day(store, MONDAY + number * DAY, chance)
    windows = LINES * DAY // QUARTER
    alarms = len(store.reader().alarms_between(0, 1 << 62))
    await store.aclose()
    return {
        "cpu_us_per_line_window": round(spent / windows * 1e6, 1),
        "cpu_ms_per_quarter": round(spent / (DAY // QUARTER) * 1e3, 1),
        "mb_a_day": round(wrote / 1e6, 2),
        "kb_per_quarter": round(wrote / (DAY // QUARTER) / 1e3, 1),
        "alarms": alarms,
    }


def main() -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{LINES} lines and zones, day {DAYS} of {DAYS}, n = {LINES * DAY // QUARTER} line windows each")
    for name in ("on", "off"):
        if name == "off":
            Judge.advance = lambda *_: None  # type: ignore[method-assign]
        with tempfile.TemporaryDirectory() as folder:
            print(name, json.dumps(asyncio.run(run(Path(folder)))), flush=True)


if __name__ == "__main__":
    main()
