"""`correct` against a running store: who said what, what is refused in words, what came of it."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result

from gateway import amending
from gateway.clock import Clock
from gateway.control import ControlFaultError, ControlServer
from gateway.model import Booking, Crossings, LineRule, Member, Parcel, Role, ZoneSpec
from gateway.store import Grid, Store
from gateway.windows import floor_ms
from tests.daemon_rig import Ahead
from tests.health_sample import FakeHealth
from tests.integration.test_control import FakeIngest, asked, run_beside

QUARTER = 900_000
DOOR = LineRule("door-n", "main", expect_s=900, max_per_s=0)
SHOP = ZoneSpec("shop", "store", (Member("door-n", "main", Role.ENTRANCE),))


class Running:
    """A store with one door that counted 60 in two quarters which ended an hour ago, and its socket."""

    def __init__(self, folder: Path, store: Store, clock: Clock) -> None:
        self.folder, self.store, self.clock = folder, store, clock
        self.stirred = 0
        self.start_ms = floor_ms(clock.wall_ms(), 900) - 6 * QUARTER

    def stir(self) -> None:
        self.stirred += 1

    async def count(self) -> None:
        for start in (self.start_ms, self.start_ms + QUARTER):
            reading = Crossings("door-n", "main", start, start + QUARTER, 30, 28)
            booking = Booking("door-n", "main", reading)
            await self.store.record([Parcel("bus", self.clock.stamp(), [booking])])

    async def run(self, *args: str) -> Result:
        return await asyncio.to_thread(run_beside, self.folder, "correct", *args)

    def span(self, quarters: int = 1) -> list[str]:
        """--from and --to in Unix seconds, as scripts give them."""
        end_ms = self.start_ms + quarters * QUARTER
        return ["--from", str(self.start_ms // 1000), "--to", str(end_ms // 1000)]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    clock = Ahead()
    store = await Store.open(tmp_path, now=clock.stamp())
    server = ControlServer(tmp_path, FakeHealth(), FakeIngest())
    made = Running(tmp_path, store, clock)
    try:
        await store.configure([DOOR], [SHOP], {}, [], Grid(), clock.stamp())
        await made.count()
        amending.offer(server, store, clock, made.stir)
        async with server:
            yield made
    finally:
        await store.aclose()


async def test_a_correction_names_who_made_it_and_can_be_listed_and_undone(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    args = ("--line", "door-n", *running.span(), "--ins", "40", "--outs", "41", "--reason", "beam blocked")
    made = await running.run(*args, "--id", "monday")
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("monday: door-n from ")
    assert "40 ins, 41 outs (beam blocked; " + getpass.getuser() in made.stdout
    assert running.stirred == 1
    undone = await running.run("--undo", "monday", "--reason", "the other door", "--json")
    assert json.loads(undone.stdout)["undone_reason"] == "the other door"
    listed = [json.loads(line) for line in (await running.run("--list", "--json")).stdout.splitlines()]
    assert [(row["id"], row["ins"], row["passes"]) for row in listed] == [("monday", 40, None)]
    assert listed[0]["undone"] is not None
    assert "undone" in (await running.run("--list")).stdout


async def test_an_id_is_made_where_none_is_given(running: Running) -> None:
    args = ("--line", "door-n", *running.span(), "--ins", "40", "--reason", "beam blocked")
    assert (await running.run(*args)).exit_code == 0
    again = await running.run(*args)
    assert again.exit_code == 1
    assert "is in force for door-n" in again.stderr


async def test_a_time_without_an_offset_is_by_the_clock_of_the_site(running: Running) -> None:
    """As UTC it would correct hours that were right."""
    first = datetime.fromtimestamp(running.start_ms / 1000, ZoneInfo("Asia/Tokyo"))
    span = [f"{at:%Y-%m-%d %H:%M}" for at in (first, first + timedelta(minutes=15))]
    args = ("correct", "--line", "door-n", "--from", span[0], "--to", span[1], "--ins", "40", "--reason", "x")
    made = await asyncio.to_thread(run_beside, running.folder, *args, "--json", timezone="Asia/Tokyo")
    assert made.exit_code == 0, made.output
    told = datetime.fromisoformat(json.loads(made.stdout)["start"])
    assert round(told.timestamp() * 1000) == running.start_ms


async def test_what_is_no_time_is_told_with_one_that_is(running: Running) -> None:
    refused = await running.run("--line", "door-n", "--from", "22:40", "--to", "22:50", "--ins", "1")
    assert refused.exit_code == 2
    assert "'22:40' is no time like '2026-11-23 10:00'" in refused.stderr


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--line", "door-x", "--ins", "1", "--reason", "x"], 1, "line: no line door-x"),
        (["--line", "door-n", "--ins", "-1", "--reason", "x"], 1, "ins: -1"),
        (["--line", "door-n", "--reason", "x"], 1, "ins, outs or passes"),
        (["--line", "door-n", "--passes", "3", "--reason", "x"], 1, "passes: door-n does not count passes"),
        (["--line", "door-n", "--ins", "1"], 2, "missing --reason"),
        (["--undo", "nobody", "--reason", "x"], 1, "id: there is no correction nobody"),
    ],
)
async def test_a_refusal_names_the_key(running: Running, args: list[str], code: int, words: str) -> None:
    refused = await running.run(*args, *running.span())
    assert (refused.exit_code, running.stirred) == (code, 0)
    assert words in refused.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"line": 4}, "line: missing"),
        ({"from_ms": "now"}, "from_ms: "),
        ({"from_ms": 1 << 70}, "from_ms: out of range"),
        ({"from_ms": 10**18, "to_ms": 10**18 + 1}, "from_ms: out of range"),
        ({"ins": True}, "ins: "),
        ({"reason": None}, "reason: "),
    ],
)
async def test_what_is_no_correction_is_refused(running: Running, change: dict[str, Any], words: str) -> None:
    args = {"id": "c", "line": "door-n", "from_ms": 1, "to_ms": 2, "ins": 1, "reason": "x", **change}
    with pytest.raises(ControlFaultError, match=words):
        await asked(running.folder, "correct", args)


async def test_without_a_daemon_corrections_can_still_be_listed(running: Running, tmp_path: Path) -> None:
    (tmp_path / "control.sock").rename(tmp_path / "gone.sock")
    assert (await running.run("--list")).exit_code == 0
    missing = await running.run("--undo", "c", "--reason", "x")
    assert (missing.exit_code, "no daemon answers" in missing.stderr) == (1, True)
    (tmp_path / "gone.sock").rename(tmp_path / "control.sock")


async def calibrated(running: Running, *args: str) -> Result:
    return await asyncio.to_thread(run_beside, running.folder, "calibrate", *args)


async def test_a_calibration_is_put_in_force_listed_and_ended(running: Running) -> None:
    args = ("--line", "door-n", "--side", "in", "--factor", "1.052", "--error", "0.0097")
    put = await calibrated(running, *args, "--source", "tally of 7 November")
    assert put.exit_code == 0, put.output
    assert put.stdout.startswith("version 1: door-n in × 1.052 ± 0.97% from ")
    ended = await calibrated(running, "--end", "1", "--json")
    row = json.loads(ended.stdout)
    assert (row["version"], row["to"] is None, row["ended_by"]) == (1, False, getpass.getuser())
    listed = await calibrated(running, "--list")
    assert "tally of 7 November" in listed.stdout
    assert running.stirred == 2


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--line", "door-n", "--side", "in", "--factor", "1.5", "--error", "0.01"], 1, "mend the counter"),
        (["--line", "door-n", "--side", "up", "--factor", "1.05", "--error", "0.01"], 2, "--side"),
        (["--line", "door-n", "--side", "in"], 2, "missing --factor, --error"),
        (["--end", "4"], 1, "version: there is no calibration 4"),
        (["--end", str(1 << 70)], 1, "version: out of range"),
    ],
)
async def test_a_calibration_refused_names_the_key(
    running: Running, args: list[str], code: int, words: str
) -> None:
    refused = await calibrated(running, *args)
    assert (refused.exit_code, running.stirred) == (code, 0)
    assert words in refused.stderr
