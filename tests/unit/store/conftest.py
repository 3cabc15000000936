"""A store on a temporary card, driven by hand: every test says what time it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.model import (
    Basis,
    Booking,
    Crossings,
    Event,
    LineRule,
    Member,
    Parcel,
    Reading,
    Receipt,
    Role,
    Stamp,
    ZoneSpec,
)
from gateway.store import Books, Grid, Recorded, Store, UpstreamPlan
from gateway.windows import Hours

T0 = 1_795_600_800_000  # 2026-11-25T10:00:00Z, a whole hour
MINUTE, HOUR = 60_000, 3_600_000
DOOR = LineRule("door", "main", basis=Basis.DELTA, max_per_s=0, expect_s=60)
ZONE = ZoneSpec("shop", "store", (Member("door", "main", Role.ENTRANCE),))
HQ = {"hq": UpstreamPlan()}


class Box:
    """The store with a clock of its own and a head office that remembers."""

    def __init__(self, path: Path) -> None:
        self.path, self.wall, self.mono, self.boot = path, T0, 1000, "boot-1"
        self.trusted = True
        self.simulated: str | None = None
        self.upstream = "hq"  # who takes and answers
        self.rules: list[LineRule] = [DOOR]
        self.zones: list[ZoneSpec] = [ZONE]
        self.upstreams: dict[str, UpstreamPlan] = dict(HQ)
        self.grid = Grid(size_s=900, allowed_lateness_s=60, readings_days=35)
        self.hours: dict[str, Hours] = {}
        self.office: dict[tuple[str, int, int], tuple[int, int, dict[str, object]]] = {}

    async def open(self) -> None:
        self.store = await Store.open(self.path, now=self.now(), simulated=self.simulated)

    def now(self) -> Stamp:
        return Stamp(self.boot, self.mono, self.wall, self.trusted)

    def pass_ms(self, ms: int) -> None:
        self.wall += ms
        self.mono += ms

    def at(self, wall_ms: int) -> None:
        """Move the clock on to an instant."""
        self.pass_ms(max(0, wall_ms - self.wall))

    async def configure(self) -> None:
        await self.store.configure(
            self.rules, self.zones, self.upstreams, [], self.grid, self.now(), self.hours
        )

    async def restart(self, *, reboot: bool = False) -> None:
        """As after a kill: nothing in memory survives."""
        self.store.close_file()
        if reboot:
            self.boot, self.mono = self.boot + "+", 500
        await self.open()
        await self.configure()

    async def take_in(
        self, *readings: Reading, counter: str = "door", line: str = "main", **parcel: object
    ) -> Recorded:
        bookings = [Booking(counter, line, reading) for reading in readings]
        [outcome] = await self.store.record([Parcel("link", self.now(), bookings, **parcel)])  # type: ignore[arg-type]
        return outcome

    async def delta(
        self, start: int, end: int, ins: int | None = None, outs: int | None = None, **more: object
    ) -> Recorded:
        return await self.take_in(Crossings("door", "main", start, end, ins, outs), **more)  # type: ignore[arg-type]

    async def close(self, limit: int = 500) -> int:
        """Close until nothing is due; returns zone revisions written."""
        written, more = 0, True
        while more:
            summary = await self.store.close(self.now(), limit)
            written += sum(summary.revisions.values())
            more = summary.more
        return written

    async def take(self, limit: int = 100) -> list[Event]:
        live = await self.store.take(self.upstream, limit, live=True, live_from_ms=self.wall - HOUR)
        return live or await self.store.take(self.upstream, limit, live=False, live_from_ms=self.wall - HOUR)

    async def everything(self) -> list[Event]:
        return await self.store.take(self.upstream, 10_000, live=True, live_from_ms=0)

    def receive(self, events: list[Event]) -> None:
        """The receiver's rule: the highest (generation, revision) of a window wins."""
        for event in events:
            data = event.body["data"]
            assert isinstance(data, dict)
            key = (event.zone, event.size_s, event.start_ms)
            rank = (data["generation"], data["revision"])
            if key not in self.office or self.office[key][:2] < rank:
                self.office[key] = (*rank, data)

    async def settle(self, events: list[Event], **receipt: object) -> None:
        given = receipt or {"accepted": frozenset(event.id for event in events)}
        await self.store.settle(self.upstream, events, Receipt(**given), self.wall)  # type: ignore[arg-type]

    async def drain(self) -> None:
        self.pass_ms(3 * HOUR)
        await self.close()
        self.pass_ms(5_000)
        await self.close()
        while events := await self.take():
            self.receive(events)
            await self.settle(events)

    def delivered(self, column: str = "ins", zone: str = "shop", size_s: int = 900) -> int:
        return sum(
            int(str(data[column]))
            for (name, size, _), (_, _, data) in self.office.items()
            if (name, size) == (zone, size_s)
        )

    def books(self) -> Books:
        reader = self.store.reader()
        try:
            return reader.books()
        finally:
            reader.close_file()

    def balanced(self) -> None:
        books = self.books()
        assert books.balanced, books

    def ledger(self, column: str = "ins", line: str = "door") -> dict[str, int]:
        for row in self.books().lines:
            if row.line == line and row.column == column:
                return {name: getattr(row, name) for name in row.__slots__ if name not in ("line", "column")}
        return dict.fromkeys(
            ("received", "counted", "replaced", "refused", "open", "closed", "held", "expired"), 0
        )


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    made = Box(tmp_path)
    await made.open()
    await made.configure()
    yield made
    await made.store.aclose()


@pytest.fixture
async def make_box(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Box]]]:
    """A box with other lines, zones or upstreams, configured."""
    boxes: list[Box] = []

    async def make(**fields: object) -> Box:
        made = Box(tmp_path)
        for name, value in fields.items():
            setattr(made, name, value)
        await made.open()
        boxes.append(made)
        await made.configure()
        return made

    yield make
    for made in boxes:
        await made.store.aclose()
