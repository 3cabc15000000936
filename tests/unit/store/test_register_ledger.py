"""The register ledger: every way a total can fall, counted by kind, and nobody invented."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import StoreError
from gateway.model import Basis, LineRule, Register, Resets
from tests.unit.store.conftest import MINUTE, Box

MakeBox = Callable[..., Awaitable[Box]]
GATE = LineRule("door", "main", basis=Basis.TOTAL, max_per_s=5)
DOWN = LineRule("door", "main", basis=Basis.TOTAL, max_per_s=5, down=True)
NEVER = LineRule("door", "main", basis=Basis.TOTAL, max_per_s=5, resets=Resets.NEVER)
POLL_S = 10


async def poll(
    box: Box, total: int, modulus: int | None, restart: int = 0, epoch: str = "", seconds: float = POLL_S
) -> None:
    box.pass_ms(round(seconds * 1000))
    reading = Register("door", "main", None, total_in=total, epoch=epoch, modulus=modulus, restart=restart)
    await box.take_in(reading)


def outcome(box: Box) -> tuple[int, int, dict[str, int]]:
    """(counted, refused, kinds) of the one line."""
    reader = box.store.reader()
    [line] = reader.lines()
    reader.close_file()
    box.balanced()
    return box.ledger()["counted"], box.ledger()["refused"], dict(line.resets)


@pytest.mark.parametrize("modulus", [1 << 16, 1 << 24, 1 << 32, 10**10], ids=str)
async def test_a_rollover_of_each_width(make_box: MakeBox, modulus: int) -> None:
    box = await make_box(rules=[GATE])
    for total in (modulus - 9, modulus - 4, 7, 12):
        await poll(box, total, modulus)
    assert outcome(box) == (5 + 11 + 5, 0, {"rollover": 1})


async def test_a_rollover_at_a_programmed_maximum_restarts_at_the_preset(make_box: MakeBox) -> None:
    """A module told to count 100 … 39 999: after the maximum comes the preset."""
    box = await make_box(rules=[GATE])
    for total in (39_995, 105, 110):
        await poll(box, total, 40_000, restart=100)
    assert outcome(box) == (10 + 5, 0, {"rollover": 1})


@pytest.mark.parametrize(("restart", "low", "persons"), [(0, 3, 3), (100, 104, 4)])
async def test_a_reset_to_zero_or_to_the_preset(
    make_box: MakeBox, restart: int, low: int, persons: int
) -> None:
    box = await make_box(rules=[GATE])
    for total in (20_000, low, low + 6):
        await poll(box, total, 40_000, restart)
    assert outcome(box) == (persons + 6, 0, {"reset": 1})


async def test_another_device_under_the_same_name_books_nothing_between(make_box: MakeBox) -> None:
    box = await make_box(rules=[GATE])
    await poll(box, 500, 65536, epoch="serial 1")
    await poll(box, 510, 65536, epoch="serial 1")
    await poll(box, 900, 65536, epoch="serial 2")
    await poll(box, 903, 65536, epoch="serial 2")
    assert outcome(box) == (13, 0, {"swap": 1})


async def test_a_replaced_counter_begins_anew_under_the_same_id(make_box: MakeBox) -> None:
    """The new device shows a higher total: without a word from the installer those are persons."""
    box = await make_box(rules=[GATE])
    for total in (500, 510):
        await poll(box, total, 65536)
    assert await box.store.replace_counter("door", box.now()) == 1
    await box.restart()
    for total in (530, 533):
        await poll(box, total, 65536)
    assert outcome(box) == (13, 0, {"swap": 1})
    with pytest.raises(StoreError, match="no counter window"):
        await box.store.replace_counter("window", box.now())


async def test_a_backward_glitch_is_forgotten(make_box: MakeBox) -> None:
    box = await make_box(rules=[GATE])
    for total in (30_000, 120, 30_006):
        await poll(box, total, 65536)
    assert outcome(box) == (6, 0, {"glitch": 1})


async def test_a_counter_that_really_counts_down(make_box: MakeBox) -> None:
    box = await make_box(rules=[DOWN])
    for total in (1000, 993, 990):
        await poll(box, total, None)
    assert outcome(box) == (10, 0, {})


async def test_counting_down_unasked_is_refused(make_box: MakeBox) -> None:
    box = await make_box(rules=[GATE])
    for total in (1000, 993, 990, 985):
        await poll(box, total, 65536)
    counted, refused, kinds = outcome(box)
    assert counted == 0
    assert refused == 15 - 5  # the last fall still waits for the next reading
    assert kinds == {"backward": 1} or kinds == {"backward": 2}


async def test_a_family_that_never_resets_books_no_reset(make_box: MakeBox) -> None:
    box = await make_box(rules=[NEVER])
    for total in (20_000, 3, 9):
        await poll(box, total, 65536)
    counted, refused, kinds = outcome(box)
    assert counted == 6
    assert refused == 20_000 - 3
    assert kinds == {"backward": 1}


async def test_ten_hours_off_and_a_low_total_invent_nobody(make_box: MakeBox) -> None:
    """Semantics 1: without the quarter rule this is 45 541 people."""
    box = await make_box(rules=[GATE])
    await poll(box, 20_000, 65536)
    await poll(box, 5, 65536, seconds=36_000)
    await poll(box, 8, 65536)
    assert outcome(box) == (8, 0, {"reset": 1})


@asynccontextmanager
async def fresh(rule: LineRule) -> AsyncIterator[Box]:
    """A box of its own for each example."""
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder))
        box.rules = [rule]
        await box.open()
        await box.configure()
        try:
            yield box
        finally:
            await box.store.aclose()


@settings(max_examples=25, deadline=None)
@given(
    totals=st.lists(st.integers(0, 65_535), min_size=2, max_size=9),
    gaps_s=st.lists(st.integers(1, 3_600), min_size=9, max_size=9),
    max_per_s=st.sampled_from([0.5, 5.0]),
)
def test_no_classification_invents_more_than_a_door_can_pass(
    totals: list[int], gaps_s: list[int], max_per_s: float
) -> None:
    async def counted() -> int:
        rule = LineRule("door", "main", basis=Basis.TOTAL, max_per_s=max_per_s)
        async with fresh(rule) as box:
            for total, gap_s in zip(totals, gaps_s, strict=False):
                await poll(box, total, 65536, seconds=gap_s)
            return outcome(box)[0]

    elapsed_s = sum(gaps_s[1 : len(totals)])
    assert asyncio.run(counted()) <= max_per_s * elapsed_s + len(totals)  # one a stretch is always believed


def device_stamped(source: random.Random, first: int, leap: int) -> list[tuple[int, int]]:
    """(ms, total) of a 16-bit register, with one step of its own size."""
    total, at_ms, told = first, 0, []
    for number in range(8):
        at_ms += source.randrange(1, 10) * 10_000
        total += leap if number == 5 else source.randrange(0, 50)
        told.append((at_ms, total % 65_536))
    return told


@pytest.mark.parametrize(("first", "leap"), [(65_400, 40), (1_000, 2_000)], ids=["comes round", "leaps"])
@pytest.mark.parametrize("seed", range(6))
def test_any_order_and_any_duplicates_give_the_same_books(seed: int, first: int, leap: int) -> None:
    source = random.Random(seed)
    told = device_stamped(source, first, leap)

    async def books(mixed: Sequence[tuple[int, int]]) -> tuple[int, int]:
        async with fresh(GATE) as box:
            start_ms = box.wall - 60 * MINUTE
            for at_ms, total in mixed:
                reading = Register("door", "main", start_ms + at_ms, total_in=total, modulus=65536)
                await box.take_in(reading)
            counted, refused, _ = outcome(box)
            return counted, refused

    expected = asyncio.run(books(told))
    assert expected[0] > 0
    for _ in range(3):
        mixed = source.sample(told + told[2:4], len(told) + 2)
        assert asyncio.run(books(mixed)) == expected
