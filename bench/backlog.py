"""A head office that was away for three days: 200 zones at 15 minutes, drained while live windows go first.

Real store, pump and HTTP upstream; the head office is `counter-simulator upstream`, a process of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from gateway.clock import Clock  # noqa: E402 - found beside this file
from gateway.forward import LIVE_S, Pump  # noqa: E402
from gateway.model import (  # noqa: E402
    Booking,
    Crossings,
    Event,
    LineRule,
    Member,
    Parcel,
    Receipt,
    Role,
    Stamp,
    ZoneSpec,
)
from gateway.store import Grid, Store, UpstreamPlan  # noqa: E402
from gateway.upstreams.http import HttpOptions, HttpUpstream  # noqa: E402
from simulators.office import Ledger  # noqa: E402

ZONES, HOURS, SIZE_S, REPLAY_PER_S = 200, 72, 900, 2000
EXPECTED = ZONES * HOURS * 3600 // SIZE_S
LIVE_EVERY_S = 0.5


class Timed(HttpUpstream):
    """Remembers how long each live event waited from its closing to the head office's answer."""

    waits_ms: list[float]

    async def send(self, batch: Sequence[Event]) -> Receipt:
        receipt = await super().send(batch)
        now = time.time()
        for event in batch:
            if not event.replayed and event.revision > 1:
                closed = datetime.fromisoformat(str(event.body["time"]))
                self.waits_ms.append((now - closed.timestamp()) * 1000)
        return receipt


def zone(index: int) -> ZoneSpec:
    return ZoneSpec(f"shop-{index:03d}", "store", (Member(f"door-{index:03d}", "main", Role.ENTRANCE),))


def stamp(clock: Clock, wall_ms: int) -> Stamp:
    return Stamp(clock.boot, clock.mono_ms() + wall_ms - clock.wall_ms(), wall_ms)


def delta(index: int, start_ms: int, ins: int, now: Stamp) -> Parcel:
    reading = Crossings(f"door-{index:03d}", "main", start_ms, start_ms + 60_000, ins, 1)
    return Parcel("bench", now, [Booking(reading.counter, "main", reading)])


async def fill(store: Store, clock: Clock) -> int:
    """Persons of HOURS hours before the live ones, and all windows closed; the start of the last window."""
    size_ms = SIZE_S * 1000
    end_ms = (clock.wall_ms() - 120_000) // size_ms * size_ms
    start_ms = end_ms - HOURS * 3_600_000 - LIVE_S * 1000
    rules = [LineRule(f"door-{index:03d}", "main", expect_s=60) for index in range(ZONES)]
    zones = [zone(index) for index in range(ZONES)]
    grid = Grid(size_s=SIZE_S, site="bench", gateway="bench")
    await store.configure(rules, zones, {"office": UpstreamPlan()}, [], grid, stamp(clock, start_ms))
    for at_ms in range(start_ms, end_ms, size_ms):
        now = stamp(clock, at_ms + 61_000)
        await store.record([delta(index, at_ms, index % 7 + 1, now) for index in range(ZONES)])
    now = stamp(clock, clock.wall_ms())
    while (await store.close(now, 2000)).more:
        pass
    return end_ms - size_ms


async def trickle(store: Store, clock: Clock, pump: Pump, last_ms: int) -> None:
    """A late minute for one shop every so often: a new revision of a live window."""
    for index in itertools.count():
        await asyncio.sleep(LIVE_EVERY_S)
        now = clock.stamp()
        await store.record([delta(index % ZONES, last_ms + (1 + index // ZONES) * 60_000, 5, now)])
        if (await store.close(now)).revisions:
            pump.wake()


async def drain(folder: Path, url: str) -> None:
    clock = Clock("always")
    began = time.monotonic()
    store = await Store.open(folder / "data", now=stamp(clock, clock.wall_ms() - 80 * 3_600_000))
    last_ms = await fill(store, clock)
    [queue] = await asyncio.to_thread(store.reader().pending)
    print(f"filled in {time.monotonic() - began:.1f} s: {queue.count} aggregates pending")
    upstream = Timed(HttpOptions(url=url), Path, clock)
    upstream.waits_ms = []
    pump = Pump("office", upstream, store, clock, REPLAY_PER_S)
    stop, cpu, began = asyncio.Event(), time.process_time(), time.monotonic()
    running = asyncio.create_task(pump.run(stop))
    extra = asyncio.create_task(trickle(store, clock, pump, last_ms))
    while (await asyncio.to_thread(store.reader().pending))[0].count:
        await asyncio.sleep(0.5)
    took, used = time.monotonic() - began, time.process_time() - cpu
    extra.cancel()
    stop.set()
    await running
    sent, waits = pump.state.results["delivered"], upstream.waits_ms
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"backlog {EXPECTED}, delivered {sent} in {took:.1f} s: {sent / took:.0f} a second")
    print(
        f"gateway {used / sent * 1e6:.0f} us of CPU an event, {used / took:.0%} of a core, peak {peak:.0f} MB"
    )
    typical, worst = statistics.median(waits), max(waits)
    print(f"{len(waits)} live revisions meanwhile: stored after {typical:.0f} ms, the slowest {worst:.0f} ms")
    await store.aclose()


def check(db: Path) -> None:
    ledger = Ledger(db)
    windows = ledger.windows()
    backlog = ZONES * (HOURS * 3600 + LIVE_S) // SIZE_S
    print(f"head office: {len(windows)} windows (of {backlog}), {ledger.tally()}")
    ledger.close()
    assert len(windows) == backlog, "lost"


def main() -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        program = Path(sys.executable).with_name("counter-simulator")
        command = [str(program), "upstream", "--port", str(port), "--db", str(folder / "office.db")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as office:
            assert office.stdout
            office.stdout.readline()
            asyncio.run(drain(folder, f"http://127.0.0.1:{port}/events"))
            fields = Path(f"/proc/{office.pid}/stat").read_text().rsplit(")", 1)[1].split()
            seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            print(f"head office {seconds / EXPECTED * 1e6:.0f} us of CPU an event")
            office.terminate()
        check(folder / "office.db")


if __name__ == "__main__":
    main()
