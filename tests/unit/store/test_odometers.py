"""Odometers that come round: any order, any repetition, any window between gives the same books."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Basis, LineRule, Register
from tests.unit.store.conftest import MINUTE, T0, Box
from tests.unit.store.test_histories import GATE_ZONE, SLOW, in_a_box

SPAN = 400  # distinct values of the register; a quarter of it is the longest way round


@SLOW
@given(
    st.lists(st.integers(0, 20), min_size=2, max_size=6),
    st.integers(0, SPAN - 1),
    st.sampled_from([0, 7]),
    st.booleans(),
    st.data(),
)
def test_a_register_that_comes_round_counts_the_same_in_any_order(
    steps: list[int], first: int, restart: int, down: bool, data: st.DataObject
) -> None:
    """All that crosses is less than a quarter of the register: no order of arrival is ambiguous."""
    total, sights = first, []
    for index, step in enumerate(steps):
        total += -step if down else step
        shown = restart + (total - restart) % SPAN
        sights.append((T0 - (len(steps) - index) * 10 * MINUTE, shown))
    arriving = data.draw(st.permutations(sights + sights[:2]))
    order = data.draw(st.lists(st.booleans(), min_size=len(arriving), max_size=len(arriving)))

    async def script(box: Box) -> None:
        for (at, shown), closing in zip(arriving, order, strict=True):
            reading = Register("gate", "main", at, total_in=shown, modulus=restart + SPAN, restart=restart)
            await box.take_in(reading, counter="gate")
            box.balanced()
            if closing:
                box.pass_ms(7 * MINUTE)
                await box.close()
        ledger = box.ledger(line="gate")
        assert (ledger["counted"], ledger["refused"]) == (sum(steps[1:]), 0)
        await box.drain()
        assert box.delivered() == sum(steps[1:])
        rows = box.store._con.execute("SELECT start_ms, ins FROM readings ORDER BY start_ms").fetchall()
        expected = [(at, step) for (at, _), step in zip(sights, steps[1:], strict=False) if step]
        assert rows == expected

    rule = LineRule("gate", "main", basis=Basis.TOTAL, max_per_s=1.0, down=down)
    in_a_box(script, rules=[rule], zones=[GATE_ZONE])


@SLOW
@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 3)), max_size=14), st.booleans(), st.booleans())
@pytest.mark.parametrize("restart", [0, 300])
def test_a_register_that_lies_never_makes_more_people_than_could_have_crossed(
    restart: int, sights: list[tuple[int, int]], polled: bool, reboots: bool
) -> None:
    """Whatever it shows: at most `max_per_s` in every stretch between two answers, and one more."""

    async def script(box: Box) -> None:
        began = box.wall
        for total, minutes in sights:
            box.pass_ms(minutes * MINUTE + 1000)
            at = None if polled else box.wall
            reading = Register("gate", "main", at, total_in=total, modulus=701, restart=restart)
            await box.take_in(reading, counter="gate")
            box.balanced()
            if reboots and total % 5 == 0:
                await box.restart(reboot=True)
        possible = (box.wall - began) / 1000 * 0.1 + len(sights)
        assert box.ledger(line="gate")["counted"] <= possible
        await box.drain()
        box.balanced()

    rule = LineRule("gate", "main", basis=Basis.TOTAL, max_per_s=0.1, polled=polled, expect_s=600)
    in_a_box(script, rules=[rule], zones=[GATE_ZONE])
