"""Boards that print, on a real pseudo-terminal: each style, a plug pulled in mid-line, a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drivers.lines.family import FAMILY, LinesOptions
from gateway.driver import Device
from gateway.model import Crossings, Damaged, DeviceState, Occupancy, Register, Status
from simulators.bus import Bus
from simulators.lines import Board
from tests.patience import until
from tests.serial_rig import Ingest, Lines, Settings, Source, running

TOTALS = {"pattern": r"IN (?P<total_in>\d+) OUT (?P<total_out>\d+)", "base": {"register": {"width_bits": 16}}}
STYLES: dict[str, dict[str, Any]] = {
    "aloud": {
        "reading": [
            {"pattern": r"Person entered\. Count: (?P<persons>-?\d+)", "ins": "=1"},
            {"pattern": r"Person exited\. Count: (?P<persons>-?\d+)", "outs": "=1"},
        ]
    },
    "csv": {"csv": ["total_in", "total_out"]},
    "json": {"json": True, "reading": [{"total_in": "in", "total_out": "out"}]},
    "signs": {},
    "totals": TOTALS,
}


def board(options: dict[str, Any]) -> Source:
    return Source(FAMILY.open(Device(LinesOptions.model_validate(options))), ("door",))


def booked(ingest: Ingest) -> tuple[int, int]:
    """Persons as the core would see them: events added up, or the last total."""
    items = [item for _, item in ingest.delivered]
    events = [item for item in items if isinstance(item, Crossings)]
    totals = [item for item in items if isinstance(item, Register)]
    if totals:
        return totals[-1].total_in or 0, totals[-1].total_out or 0
    return sum(one.ins or 0 for one in events), sum(one.outs or 0 for one in events)


@pytest.mark.parametrize("style", STYLES)
async def test_every_person_a_board_tells_of_is_heard(style: str) -> None:
    with Bus([Board(style)], baudrate=115_200) as bus:
        async with running(Settings(bus.path), [board(STYLES[style])]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.cross("0", 30, 12)
            await until(lambda: booked(ingest) == (30, 12))
            assert not ingest.has(Damaged)
        assert not bus.heard


async def test_a_board_that_knows_only_how_many_are_inside_says_so() -> None:
    inside = {"pattern": r"Number of people inside : (?P<persons>-?\d+)"}
    with Bus([Board("inside")]) as bus:
        async with running(Settings(bus.path), [board(inside)]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.cross("0", 3, 1)
            await until(lambda: ingest.has(Occupancy) and len(ingest.delivered) >= 8)
    levels = [item.persons for _, item in ingest.delivered if isinstance(item, Occupancy)]
    states = {item.state for _, item in ingest.delivered if isinstance(item, Status)}
    assert (levels, states) == ([1, 2, 3, 2], {DeviceState.DEGRADED})
    assert booked(ingest) == (0, 0)


@pytest.mark.parametrize("style", ["totals", "csv"])
async def test_a_plug_pulled_in_mid_line_loses_nobody_where_totals_are_kept(
    tmp_path: Path, style: str
) -> None:
    """The half of a line is never glued to the next, not even where a line begins with its number."""
    door = Board(style, ins=1200)
    port, stand = tmp_path / "port", Lines()
    with Bus([door], link=port) as bus:
        both = [board(STYLES[style]), Source(stand, ("tap",))]
        async with running(Settings(port), both) as (link, ingest):
            await until(lambda: link.state.up)
            bus.cross("0", 1)
            await until(lambda: booked(ingest) == (1201, 0))
            bus.do(lambda: vars(door).update(ins=1234))  # nobody heard of these
            bus.say(b"IN 12" if style == "totals" else b"12")
            await until(lambda: stand.heard.endswith(b"12"))
            bus.unplug()
            await until(lambda: not link.state.up)
            bus.plug()
            await until(lambda: link.state.up)
            bus.cross("0", 0, 1)
            bus.cross("0", 0, 1)
            await until(lambda: booked(ingest) == (1234, 2))
    totals = [item.total_in for _, item in ingest.delivered if isinstance(item, Register)]
    assert set(totals) <= {1201, 1234}


async def test_a_board_that_restarts_begins_anew_after_its_greeting() -> None:
    greeted = {
        "reading": [
            {"pattern": "Door counter ready", "total_in": "=0", "total_out": "=0"},
            {"pattern": TOTALS["pattern"]},
        ]
    }
    with Bus([Board("totals", ins=2)]) as bus:
        async with running(Settings(bus.path, resets_on_open=True), [board(greeted)]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.cross("0", 1)
            await until(lambda: booked(ingest) == (3, 0))
            bus.reset("0")
            await until(lambda: booked(ingest) == (0, 0))
            bus.cross("0", 5)
            await until(lambda: booked(ingest) == (5, 0))
    totals = [item.total_in for _, item in ingest.delivered if isinstance(item, Register)]
    assert totals[:2] == [3, 0]


async def test_of_totals_heard_in_one_breath_the_end_of_each_rise_is_told() -> None:
    """They share one instant, at which the register can have only one figure."""
    with Bus([Board("totals")]) as bus:
        async with running(Settings(bus.path), [board(TOTALS)]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.say(b"IN 1 OUT 0\nIN 2 OUT 0\nIN 2 OUT 1\nIN 0 OUT 0\nIN 4 OUT 0\n")
            await until(lambda: booked(ingest) == (4, 0))
    told = [(item.total_in, item.total_out) for _, item in ingest.delivered if isinstance(item, Register)]
    assert told == [(2, 1), (4, 0)]


async def test_a_spoilt_line_costs_itself_alone() -> None:
    with Bus([Board("aloud")]) as bus:
        async with running(Settings(bus.path), [board(STYLES["aloud"])]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.say(b"Person ent\xf8red. Count: 1\r\nDoor counter ready\r\n")
            await until(lambda: ingest.has(Damaged))
            bus.cross("0", 2)
            await until(lambda: booked(ingest) == (2, 0))
