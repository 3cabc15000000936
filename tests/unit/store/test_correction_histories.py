"""Random histories with corrections and undoing between late data, replacement, crashes and pruning.

The books balance after every step; every window equals a model that knows nothing of SQL or revisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.amendments import Correction
from gateway.errors import EntryRefused
from gateway.model import Crossings
from gateway.store import Grid
from tests.unit.store.conftest import MINUTE, Box
from tests.unit.store.test_histories import (
    SLOW,
    WILD_RULES,
    WILD_ZONE,
    History,
    in_a_box,
    operations,
    wild,
    wild_step,
)

SIZE, DAY = 900_000, 24 * 60 * MINUTE
Counts = tuple[int | None, int | None]


@dataclass
class Said:
    """What somebody entered, in the plainest words."""

    start: int
    end: int
    counts: Counts
    in_force: bool = True


def gone(ins: int) -> int:
    return ins - ins // 10


def part(count: int, start: int, end: int, low: int, high: int) -> int:
    """Persons of `[start, end)` in `[low, high)`: the difference of two rounded-down running totals."""

    def until(at: int) -> int:
        return floor(count * Fraction(min(max(at, start), end) - start, end - start))

    return until(high) - until(low)


class Corrected(History):
    """A history in which people change their minds."""

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self.said: list[Said] = []
        self.final: dict[int, int] = {}  # start of a frozen window → its revision

    async def deliver(self, start: int, end: int, ins: int) -> None:
        """As in any history, with nine out of ten going out again."""
        frozen = max(self.box.store._memory.frozen_ms, self.box.wall - DAY)
        await self.box.take_in(Crossings("door", "main", start, end, ins, gone(ins)))
        self.truth.add(start, end, ins, frozen)

    async def correct(self, start_min: int, length: int, counts: Counts) -> None:
        box, ins = self.box, counts[0]
        start = box.wall // MINUTE * MINUTE + start_min * MINUTE
        end = min(start + length * MINUTE, box.wall)
        if start >= end or counts == (None, None):
            return
        wanted = Correction(str(len(self.said)), "door", start, end, ins, counts[1], reason="a person")
        meets = any(one.in_force and one.start < end and start < one.end for one in self.said)
        if meets or start < box.store._memory.frozen_ms:
            with pytest.raises(EntryRefused, match="from: "):
                await box.store.correct(wanted, box.now())
            return
        made = await box.store.correct(wanted, box.now())
        assert await box.store.correct(wanted, box.now()) == made
        self.said.append(Said(start, end, counts))

    async def undo(self, index: int) -> None:
        if not self.said:
            return
        box, number = self.box, index % len(self.said)
        one = self.said[number]
        if one.in_force and one.start < box.store._memory.frozen_ms:
            with pytest.raises(EntryRefused, match="final"):
                await box.store.undo_correction(str(number), "a person", "", box.now())
            return
        await box.store.undo_correction(str(number), "a person", "", box.now())
        one.in_force = False

    async def age(self, minutes: int) -> None:
        """Long enough for readings to be pruned, perhaps half-way through a correction."""
        self.box.pass_ms(DAY - 2 * 60 * MINUTE + minutes * MINUTE)
        await self.box.close()
        await self.box.store.prune(self.box.now())
        frozen = self.box.store._memory.frozen_ms
        self.final |= {start: last for start, last in self.revisions() if start < frozen}

    def revisions(self) -> list[tuple[int, int]]:
        statement = "SELECT start_ms, max(revision) FROM zone_aggregates GROUP BY start_ms"
        return self.box.store._con.execute(statement).fetchall()

    def expected(self, low: int, high: int) -> tuple[int, ...]:
        """(ins, outs) of a window: what was counted where nobody said otherwise, and what was said."""
        told = [one for one in self.said if one.in_force]
        sums = []
        for side in (0, 1):
            spoken = [one for one in told if one.counts[side] is not None]
            total = sum(part(one.counts[side] or 0, one.start, one.end, low, high) for one in spoken)
            for (start, end), ins in self.truth.stored.items():
                count = ins if side == 0 else gone(ins)
                total += part(count, start, end, low, high)
                for one in spoken:
                    a, b = max(low, one.start), min(high, one.end)
                    total -= part(count, start, end, a, b) if a < b else 0
            sums.append(total)
        return tuple(sums)

    async def end(self) -> None:
        await self.box.store.release_rejected("hq")
        await self.box.drain()
        self.box.balanced()
        for (_zone, _size, start), (_, _, data) in self.box.office.items():
            assert (data["ins"], data["outs"]) == self.expected(start, start + SIZE), start
        assert all(last == self.final.get(start, last) for start, last in self.revisions())
        self.days_end_empty()
        for column in ("ins", "outs"):
            ledger = self.box.ledger(column)
            assert ledger.get("restating", 0) == ledger["open"] == 0
            assert ledger["counted"] + ledger.get("corrected", 0) == self.box.delivered(column)

    def days_end_empty(self) -> None:
        """Occupancy of every day that is over and not yet frozen: nobody stays, or it is flagged."""
        windows = sorted((start, data) for (_, _, start), (_, _, data) in self.box.office.items())
        memory = self.box.store._memory
        through = memory.zone_through[1, 900]
        for day, found in groupby(windows, key=lambda window: window[0] // DAY):
            if (day + 1) * DAY > through or day * DAY < memory.frozen_ms:
                continue
            rows: list[Any] = [data for _, data in found]
            ins, outs = sum(row["ins"] for row in rows), sum(row["outs"] for row in rows)
            balanced = ins == outs == 0 or (4 * outs <= 5 * ins and 4 * ins <= 5 * outs)
            came = left = 0
            for row in rows:
                came, left = came + row["ins"], left + row["outs"]
                assert row["occupancy_raw"] == came - left
                assert ("imbalance" in row["flags"]) != balanced
                if balanced:
                    exact = max(Fraction(0), came - Fraction(ins, outs or 1) * left)
                    assert abs(row["occupancy"] - exact) <= Fraction(501, 1000)


counts = st.tuples(st.none() | st.integers(0, 500), st.none() | st.integers(0, 500))
corrections = st.tuples(st.just("correct"), st.integers(-240, 0), st.integers(1, 120), counts)
ages = st.tuples(st.just("age"), st.integers(0, 240))
undoing = st.tuples(st.just("undo"), st.integers(0, 9))
records = st.tuples(st.just("record"), st.integers(-240, 0), st.integers(1, 90), st.integers(1, 9999))
steps = st.one_of(operations, *[records] * 6, *[corrections] * 6, *[ages] * 4, *[undoing] * 2)


@SLOW
@given(st.lists(steps, max_size=30))
def test_any_history_with_corrections_balances_and_arrives(life: list[tuple[Any, ...]]) -> None:
    async def script(box: Box) -> None:
        history = Corrected(box)
        for name, *args in life:
            await history.step({"pass": "pass_"}.get(name, name), *args)
        await history.end()

    in_a_box(script, grid=Grid(size_s=900, allowed_lateness_s=60, readings_days=1, retention_days=2))


sides = st.tuples(*[st.none() | st.integers(0, 90)] * 3)
lines = st.sampled_from([rule.counter for rule in WILD_RULES])


@SLOW
@given(st.lists(st.one_of(wild, st.tuples(st.just("say"), lines, st.integers(1, 90), sides)), max_size=30))
def test_corrections_of_registers_and_events_balance(life: list[tuple[Any, ...]]) -> None:
    """Registers that lie, clocks that are not believed: what can be corrected is, and the books balance."""

    async def say(box: Box, number: int, line: str, minutes: int, told: tuple[int | None, ...]) -> None:
        start, end = box.wall - minutes * MINUTE, box.wall - minutes * MINUTE // 2
        try:
            correction = Correction(f"c{number}", line, start, end, *told, reason="a person")
            await box.store.correct(correction, box.now())
        except EntryRefused:
            return

    async def script(box: Box) -> None:
        for number, (name, *args) in enumerate(life):
            await (say(box, number, *args) if name == "say" else wild_step(box, name, *args))
            box.pass_ms(1_000)
            box.balanced()
        box.trusted = True
        await box.store.hold_release(box.now())
        box.pass_ms(DAY)
        await box.drain()
        box.balanced()
        counted = [row for row in box.books().lines if row.line in {rule.counter for rule in WILD_RULES}]
        arrived = box.delivered("ins") + box.delivered("outs")
        assert sum(row.counted + row.corrected for row in counted) == arrived

    in_a_box(script, rules=WILD_RULES, zones=[WILD_ZONE])
