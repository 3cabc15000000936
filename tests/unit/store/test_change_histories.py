"""Random lives of a box whose configuration and clock change under it.

The books balance after every step; head office ends with what was counted, whatever its window sizes were.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Basis, Crossings, LineRule, Member, Register, Role, ZoneSpec
from gateway.store import Grid, UpstreamPlan
from tests.unit.store.conftest import HOUR, HQ, MINUTE, Box
from tests.unit.store.test_histories import SLOW, in_a_box

LINES = ("north", "south")
ALL = ZoneSpec("shop", "mall", tuple(Member(line, "main", Role.ENTRANCE) for line in LINES))
OTHERS = (
    ZoneSpec("one", "store", (Member("north", "main", Role.ENTRANCE, -1),)),
    ZoneSpec("one", "store", (Member("south", "main", Role.PASSING),)),
    ZoneSpec("two", "store", ALL.members),
    ZoneSpec("none", "area", ()),
)
OWNERS = (UpstreamPlan(), UpstreamPlan(sizes_s=(300, 3600)), UpstreamPlan(zones=("shop",), from_ms=1))
GRIDS = tuple(Grid(size_s=size, readings_days=1, retention_days=2) for size in (300, 900, 3600))

steps = st.one_of(
    st.tuples(st.just("delta"), st.sampled_from(LINES), st.integers(-300, 0), st.integers(1, 200)),
    st.tuples(st.just("delta"), st.sampled_from(LINES), st.integers(-20, 0), st.just(1)),
    st.tuples(st.just("beam"), st.sampled_from(LINES), st.integers(-90, 0), st.integers(1, 3)),
    st.tuples(st.just("wander"), st.booleans()),
    st.tuples(st.just("total"), st.sampled_from(LINES), st.integers(-60, 0)),
    st.tuples(st.just("pass_time"), st.integers(1, 900)),
    st.tuples(st.just("close"), st.integers(1, 40)),
    st.tuples(st.just("grid"), st.sampled_from(GRIDS)),
    st.tuples(
        st.just("zones"), st.lists(st.sampled_from(OTHERS), max_size=2, unique_by=lambda zone: zone.id)
    ),
    st.tuples(st.just("owner"), st.sampled_from((None, *OWNERS))),
    st.tuples(st.just("basis"), st.sampled_from(LINES), st.sampled_from((Basis.DELTA, Basis.TOTAL))),
    st.tuples(st.just("doubt"), st.sampled_from((-1, 1)), st.integers(0, 20_000)),
    st.tuples(st.just("believe")),
    st.tuples(st.just("kill"), st.booleans()),
    st.tuples(st.just("prune")),
    st.tuples(st.just("answer")),
)


class Life:
    """One box, its installer and the clock it has been given."""

    def __init__(self, box: Box) -> None:
        self.box, self.skew_ms, self.crossed = box, 0, 0
        self.basis = dict.fromkeys(LINES, Basis.DELTA)

    async def step(self, name: str, *args: Any) -> None:
        await getattr(self, name)(*args)
        self.box.balanced()

    async def configure(self) -> None:
        self.box.rules = [
            LineRule(line, "main", basis=basis, max_per_s=0, expect_s=600)
            for line, basis in self.basis.items()
        ]
        await self.box.configure()

    async def delta(self, line: str, start_min: int, length: int) -> None:
        now = self.box.wall - self.skew_ms
        start = now // MINUTE * MINUTE + start_min * MINUTE
        end = min(start + length * MINUTE, now)
        if start < end:
            self.crossed += 7
            await self.box.take_in(Crossings(line, "main", start, end, self.crossed), counter=line)

    async def beam(self, line: str, at_min: int, passes: int) -> None:
        """A single channel that knows no direction."""
        at = self.box.wall - self.skew_ms + at_min * MINUTE
        await self.box.take_in(Crossings(line, "main", at, at + 1, passes=passes), counter=line)

    async def wander(self, away: bool) -> None:
        """A counter is taken away or hung up again, in a zone of its own."""
        lines = [line for line in (*LINES, "west") if not away or line != "west"]
        self.basis = {line: self.basis.get(line, Basis.DELTA) for line in lines}
        await self.configure()
        if not away:
            await self.delta("west", -40, 20)

    async def total(self, line: str, at_min: int) -> None:
        """An odometer that turns once a second."""
        at = self.box.wall - self.skew_ms + at_min * MINUTE
        await self.box.take_in(Register(line, "main", at, total_in=at // 1000), counter=line)

    async def pass_time(self, minutes: int) -> None:
        self.box.pass_ms(minutes * MINUTE)

    async def close(self, limit: int) -> None:
        if self.box.trusted:
            await self.box.store.hold_release(self.box.now())
            await self.box.store.close(self.box.now(), limit)

    async def grid(self, grid: Grid) -> None:
        self.box.grid = grid
        await self.configure()

    async def zones(self, zones: list[ZoneSpec]) -> None:
        self.box.zones = [ALL, *zones]
        await self.configure()

    async def owner(self, plan: UpstreamPlan | None) -> None:
        self.box.upstreams = {**HQ, **({} if plan is None else {"owner": plan})}
        await self.configure()

    async def basis_of(self, line: str, basis: Basis) -> None:
        self.basis[line] = basis
        await self.configure()

    async def doubt(self, sign: int, hours: int) -> None:
        await self.believe()
        self.skew_ms = sign * hours * HOUR
        self.box.wall += self.skew_ms
        self.box.trusted = False

    async def believe(self) -> None:
        self.box.wall -= self.skew_ms
        self.skew_ms, self.box.trusted = 0, True

    async def kill(self, reboot: bool) -> None:
        await self.box.restart(reboot=reboot)

    async def prune(self) -> None:
        if self.box.trusted:
            await self.box.store.prune(self.box.now())

    async def answer(self) -> None:
        if self.box.trusted:
            events = await self.box.take()
            self.box.receive(events)
            await self.box.settle(events)

    async def end(self) -> None:
        box = self.box
        await self.believe()
        await box.store.hold_release(box.now())
        box.pass_ms(30 * HOUR)
        await box.drain()
        box.balanced()
        counted = 0
        for line in (*LINES, "west"):
            for column in ("ins", "passes"):
                ledger = box.ledger(column, line)
                counted += ledger["counted"] if line in LINES else 0
                assert ledger.get("restating", 0) == ledger["open"] == ledger["held"] == 0
        assert self.arrived() == counted

    def arrived(self) -> int:
        """Head office's sum over the windows of each stretch of time that has a size of its own."""
        grids = self.box.store._con.execute(
            "SELECT size_s, from_ms, to_ms FROM grids WHERE base=1"
        ).fetchall()
        return sum(
            int(str(data["ins"])) + int(str(data["outs"]))
            for (zone, size, start), (_, _, data) in self.box.office.items()
            if zone == "shop"
            and any(size == s and low <= start and (to is None or start < to) for s, low, to in grids)
        )


@SLOW
@given(st.lists(steps, max_size=25))
def test_whatever_is_configured_the_books_balance_and_all_arrives(life: list[tuple[Any, ...]]) -> None:
    async def script(box: Box) -> None:
        living = Life(box)
        for name, *args in life:
            await living.step({"basis": "basis_of"}.get(name, name), *args)
        await living.end()

    rules = [LineRule(line, "main", basis=Basis.DELTA, max_per_s=0, expect_s=600) for line in LINES]
    in_a_box(script, rules=rules, zones=[ALL], grid=GRIDS[1])
