"""Random lives in which people correct, calibrate and configure what has long been told; clocks are set back.

After every step: the books balance, every revision says what it said, what is frozen has no new one, and a
page that has been open all the time shows what one opened now shows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.amendments import Correction, LineFactor
from gateway.errors import EntryRefused
from gateway.model import Basis, LineRule, Role, Transactions, ZoneSpec
from gateway.store import Grid
from gateway.store.events import FACTS, Facts, Place, render
from gateway.windows import Hours
from tests.unit.store.conftest import HOUR, MINUTE, Box
from tests.unit.store.test_change_histories import ALL, LINES, Life
from tests.unit.store.test_change_histories import steps as changes
from tests.unit.store.test_histories import SLOW, in_a_box
from tests.unit.store.test_teaching import TILL

PLACES = tuple(
    Grid(size_s=size, timezone=timezone, day_start_min=day_start, readings_days=1, retention_days=2)
    for size in (900, 3600)
    for timezone, day_start in (("UTC", 0), ("Europe/Oslo", 360))
)
SHOP = replace(ALL, members=(*ALL.members, replace(ALL.members[0], counter="pos", role=Role.TILL)))
NINE_TO_FIVE = Hours(tuple(((9 * 60, 17 * 60),) for _ in range(7)))
EVERY = f"SELECT {FACTS} FROM zone_aggregates a JOIN zones z ON z.id=a.zone_id"
NEWEST = "SELECT zone_id, size_s, start_ms, max(revision) FROM zone_aggregates GROUP BY 1, 2, 3"
MOST_STEPS = 2000


class Amended(Life):
    """Whoever looks afterwards knows better, again and again."""

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self.told: dict[str, object] = {}
        self.final: dict[tuple[int, int, int], int] = {}
        self.page = box.store.reader()
        self.said = self.factors = 0
        self.exports: dict[int, list[dict[str, Any]]] = {}  # moment → what was known then

    async def step(self, name: str, *args: Any) -> None:
        """As the daemon does it: whatever happens, a little later is closed what is due."""
        await super().step(name, *args)
        self.box.pass_ms(3_000)
        await self.close(40)
        self.box.balanced()
        self.nothing_told_has_changed()
        self.what_is_frozen_stays()
        if name == "say":
            moment = self.box.store._memory.told_ms
            self.exports[moment] = self.known(moment)
        fresh = self.box.store.reader()
        assert self.page.live(self.box.wall) == fresh.live(self.box.wall)
        fresh.close_file()

    def nothing_told_has_changed(self) -> None:
        memory = self.box.store._memory
        for row in self.box.store._con.execute(EVERY).fetchall():
            facts = Facts(*row)
            event = render(facts, Place(memory.plans.at(facts.closed_ms), memory.generation, False))
            assert self.told.setdefault(event.id, event.body) == event.body

    def known(self, as_of_ms: int) -> list[dict[str, Any]]:
        return self.page.aggregates("shop", 0, 1 << 62, 900, as_of_ms)

    def exports_say_what_they_said(self) -> None:
        """Of windows that are still kept."""
        kept = {row["start_ms"] for row in self.known(1 << 62)}
        for moment, rows in self.exports.items():
            assert self.known(moment) == [row for row in rows if row["start_ms"] in kept]

    def what_is_frozen_stays(self) -> None:
        con, frozen_ms = self.box.store._con, self.box.store._memory.frozen_ms
        rows = con.execute(
            "SELECT zone_id, size_s, start_ms, max(revision) FROM zone_aggregates GROUP BY 1, 2, 3"
        )
        now = {(zone, size, start): revision for zone, size, start, revision in rows}
        for key, revision in self.final.items():
            assert now.get(key, revision) == revision, key
        self.final |= {key: revision for key, revision in now.items() if key[2] < frozen_ms}

    async def configure(self) -> None:
        rules = [
            LineRule(line, "main", basis=one, max_per_s=0, expect_s=600) for line, one in self.basis.items()
        ]
        self.box.rules = [*rules, TILL]
        await self.box.configure()

    async def zones(self, zones: list[ZoneSpec]) -> None:
        self.box.zones = [SHOP, *zones]
        await self.configure()

    async def say(self, line: str, start_min: int, length: int, ins: int, outs: int | None) -> None:
        start = self.box.wall // MINUTE * MINUTE + start_min * MINUTE
        said = Correction(f"c{self.said}", line, start, start + length * MINUTE, ins, outs, reason="by hand")
        try:
            await self.box.store.correct(said, self.box.now())
        except EntryRefused:
            return
        self.said += 1

    async def unsay(self, number: int) -> None:
        if self.said:
            try:
                id_ = f"c{number % self.said}"
                await self.box.store.undo_correction(id_, "a mistake", "", self.box.now())
            except EntryRefused:
                return

    async def calibrate(self, line: str, side: str, factor: float, start_min: int | None) -> None:
        from_ms = None if start_min is None else self.box.wall + start_min * MINUTE
        try:
            wanted = LineFactor(line, side, factor, 0.02, from_ms)
            self.factors = (await self.box.store.calibrate(wanted, self.box.now())).version
        except EntryRefused:
            return

    async def uncalibrate(self, number: int, start_min: int | None) -> None:
        to_ms = None if start_min is None else self.box.wall + start_min * MINUTE
        try:
            await self.box.store.end_calibration(number % 5, "", self.box.now(), to_ms)
        except EntryRefused:
            return

    async def set_back(self, minutes: int) -> None:
        """By somebody whose word the box takes."""
        self.box.wall -= minutes * MINUTE

    async def sell(self, at_min: int) -> None:
        at = self.box.wall - self.skew_ms + at_min * MINUTE
        self.crossed += 1
        sale = Transactions("pos", at, at + 1, 1, 0, 500, basis=Basis.EVENT, key=str(self.crossed))
        await self.box.take_in(sale, counter="pos")

    async def manage(self, kind: str, staff: int, opened: bool) -> None:
        """Another kind of place, another roster, other hours."""
        zone = replace(self.box.zones[0], kind=kind, staff_a_day=(staff,) * 7 if staff else ())
        self.box.zones = [zone, *self.box.zones[1:]]
        self.box.hours = {"shop": NINE_TO_FIVE} if opened else {}
        await self.configure()

    async def end(self) -> None:
        box = self.box
        await self.believe()
        await box.store.hold_release(box.now())
        for _ in range(2):
            box.pass_ms(30 * HOUR)
            await self.settle()
        con = box.store._con
        for table in ("dirty", "recalibrate", "held"):
            assert con.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
        await box.drain()
        self.nothing_told_has_changed()
        self.exports_say_what_they_said()
        box.balanced()
        self.page.close_file()

    async def settle(self) -> None:
        """Until nothing is due, and that must come."""
        for _ in range(MOST_STEPS):
            if not (await self.box.store.close(self.box.now(), 40)).more:
                return
        raise AssertionError("closing never comes to an end")


lines = st.sampled_from(LINES)
back = st.integers(-2000, 0)
some = st.integers(0, 200)
quick = changes.filter(lambda step: step[0] not in ("grid", "owner", "pass_time"))
sides = st.sampled_from(("in", "out"))
amending = st.one_of(
    st.tuples(st.just("say"), lines, back, st.integers(1, 200), some, st.none() | some),
    st.tuples(st.just("unsay"), some),
    st.tuples(
        st.just("calibrate"), lines, st.sampled_from(("in", "out")), st.floats(0.8, 1.25), st.none() | back
    ),
    st.tuples(st.just("uncalibrate"), st.integers(0, 4), st.none() | back),
    st.tuples(st.just("set_back"), st.integers(1, 200)),
    st.tuples(st.just("sell"), st.integers(-90, 0)),
    st.tuples(st.just("manage"), st.sampled_from(("mall", "store")), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("grid"), st.sampled_from(PLACES)),
    st.tuples(st.just("pass_time"), st.integers(60, 1000)),
)


@SLOW
@given(st.lists(st.one_of(amending, quick), min_size=5, max_size=20))
def test_whoever_knows_better_afterwards_changes_nothing_that_was_told(life: list[tuple[Any, ...]]) -> None:
    async def script(box: Box) -> None:
        living = Amended(box)
        for name, *args in life:
            await living.step({"basis": "basis_of"}.get(name, name), *args)
        await living.end()

    rules = [LineRule(line, "main", basis=Basis.DELTA, max_per_s=0, expect_s=600) for line in LINES]
    in_a_box(script, rules=[*rules, TILL], zones=[SHOP], grid=PLACES[0])
