"""When was a counter not watched, between two times that it was?"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from gateway.model import Basis, LineRule
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, T0, Box

MakeBox = Callable[..., Awaitable[Box]]
Q = 15 * MINUTE
BACK = LineRule("door", "back", basis=Basis.DELTA, max_per_s=0)
OTHER = LineRule("other", "main", basis=Basis.DELTA, max_per_s=0)
BEAM = LineRule("beam", "main", basis=Basis.EVENT, max_per_s=0)


def gaps(
    box: Box, low: int = T0 - 100 * HOUR, high: int = T0 + 100 * HOUR, counter: str = "door"
) -> list[tuple[int, int]]:
    reader = box.store.reader()
    try:
        return [(gap.start_ms, gap.end_ms) for gap in reader.gaps(counter, low, high)]
    finally:
        reader.close_file()


async def test_what_lies_between_is_a_gap_what_comes_before_and_after_is_none(box: Box) -> None:
    assert gaps(box) == []
    for quarter in (0, 1, 5, 6, 9):
        box.at(T0 + (quarter + 1) * Q)
        await box.delta(T0 + quarter * Q, T0 + (quarter + 1) * Q, 1)
    assert gaps(box) == [(T0 + 2 * Q, T0 + 5 * Q), (T0 + 7 * Q, T0 + 9 * Q)]
    assert gaps(box, T0 + 3 * Q, T0 + 8 * Q) == [(T0 + 3 * Q, T0 + 5 * Q), (T0 + 7 * Q, T0 + 8 * Q)]
    assert gaps(box, T0 + 20 * Q) == []
    assert gaps(box, counter="nobody") == []


async def test_a_filled_gap_is_none_and_half_a_filling_leaves_halves(box: Box) -> None:
    box.at(T0 + 10 * Q)
    for quarter in (0, 8, 4):
        await box.delta(T0 + quarter * Q, T0 + (quarter + 1) * Q, 1)
    assert gaps(box) == [(T0 + Q, T0 + 4 * Q), (T0 + 5 * Q, T0 + 8 * Q)]
    await box.delta(T0 + Q, T0 + 4 * Q, 0)
    await box.restart()
    assert gaps(box) == [(T0 + 5 * Q, T0 + 8 * Q)]


async def test_a_counter_is_missed_where_any_of_its_delta_lines_is(make_box: MakeBox) -> None:
    box = await make_box(rules=[DOOR, BACK, OTHER, BEAM])
    box.at(T0 + 10 * Q)
    for line, quarters in (("main", (0, 3, 4, 5)), ("back", (0, 1, 5))):
        for quarter in quarters:
            await box.delta(T0 + quarter * Q, T0 + (quarter + 1) * Q, 1, line=line)
    assert gaps(box) == [(T0 + Q, T0 + 5 * Q)]
    assert gaps(box, counter="other") == gaps(box, counter="beam") == []


@pytest.mark.parametrize("seed", range(20))
async def test_gaps_are_what_no_reading_covers_in_any_order(box: Box, seed: int) -> None:
    chance = random.Random(seed)
    quarters = chance.sample(range(40), 12)
    box.at(T0 + 41 * Q)
    for quarter in quarters:
        await box.delta(T0 + quarter * Q, T0 + (quarter + 1) * Q, 1)
    low, high = sorted(chance.sample(range(41), 2))
    missed = {
        quarter
        for start, end in gaps(box, T0 + low * Q, T0 + high * Q)
        for quarter in range((start - T0) // Q, (end - T0) // Q)
    }
    between = range(max(low, min(quarters)), min(high, max(quarters)))
    assert missed == set(between) - set(quarters)


async def test_what_is_frozen_or_was_counted_otherwise_is_not_missed(make_box: MakeBox) -> None:
    box = await make_box(rules=[LineRule("door", "main", basis=Basis.EVENT, max_per_s=0)])
    box.at(T0 + 4 * Q)
    box.rules = [DOOR]
    await box.restart()
    box.at(T0 + 5 * Q)
    await box.delta(T0 + 4 * Q, T0 + 5 * Q, 1)
    box.at(T0 + 8 * Q)
    await box.delta(T0 + 7 * Q, T0 + 8 * Q, 1)
    assert gaps(box) == [(T0 + 5 * Q, T0 + 7 * Q)]
