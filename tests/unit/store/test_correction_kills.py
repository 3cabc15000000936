"""SIGKILL among corrections, undoing, closing and pruning: what was answered holds, and the books balance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.amendments import Correction
from gateway.store import Grid
from tests.unit.store.conftest import HOUR, MINUTE, T0, Box

ROOT = Path(__file__).parents[3]
CHILD = """
import asyncio, sys
from pathlib import Path
from tests.unit.store.test_correction_kills import live_on
asyncio.run(live_on(Path(sys.argv[1])))
"""


def said(number: int) -> Correction:
    """Three minutes of every ten, one correction after the other."""
    start = T0 + number * 10 * MINUTE
    return Correction(f"c{number}", "door", start, start + 3 * MINUTE, 7 + number, 2, reason="by eye")


async def opened(folder: Path) -> Box:
    box = Box(folder)
    box.upstreams, box.grid = {}, Grid(size_s=900, readings_days=1)
    await box.open()
    await box.configure()
    return box


async def live_on(folder: Path) -> None:
    """Counts, corrects, undoes every third correction, closes and prunes, and tells each answer; for ever."""
    box, number = await opened(folder), 0
    while True:
        start = T0 + number * 10 * MINUTE
        box.at(start + 10 * MINUTE)
        await box.delta(start, start + 10 * MINUTE, 20, 30)
        await box.store.correct(said(number), box.now())
        print("made", number, flush=True)
        if number % 3 == 0:
            await box.store.undo_correction(f"c{number}", "not by eye", "", box.now())
            print("undone", number, flush=True)
        await box.store.close(box.now(), 3)
        await box.store.prune(box.now())
        number += 1


@pytest.mark.parametrize("answers", [1, 2, 7, 30, 251])
async def test_an_answered_correction_outlives_a_kill(tmp_path: Path, answers: int) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        told = [child.stdout.readline().split() for _ in range(answers)]
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    box = await opened(tmp_path)
    try:
        box.balanced()
        reader = box.store.reader()
        kept = {one.id: one for one in reader.corrections()}
        reader.close_file()
        made = [int(number) for word, number in told if word == "made"]
        assert all(kept[f"c{number}"].content == said(number).content for number in made)
        assert all(kept[f"c{number}"].undone_ms for word, number in told if word == "undone")
        box.at(T0 + made[-1] * 10 * MINUTE + HOUR)
        assert await box.store.correct(said(made[-1]), box.now()) == kept[f"c{made[-1]}"]
        await box.close()
        box.balanced()
    finally:
        await box.store.aclose()
