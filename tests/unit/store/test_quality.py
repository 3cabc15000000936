"""The detectors at work in the store: each slot is fed once and in order, whatever happens to the process."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Basis, Booking, Crossings, Event, LineRule, Member, Parcel, Role, ZoneSpec
from gateway.quality import Break, Cell, Day, DayEnd, Detectors, end_of_day
from gateway.store.events import AlarmFacts
from gateway.windows import Hours
from tests.doors import DAY, DOORS, MONDAY, TAUGHT_DAYS, TODAY, Q, live, outfit
from tests.unit.store.conftest import HOUR, MINUTE, Box


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A buffer that has seen nine ordinary days."""
    folder = tmp_path_factory.mktemp("taught")

    async def teach() -> None:
        box = Box(folder)
        outfit(box)
        await box.open()
        await box.configure()
        await live(box, MONDAY + TAUGHT_DAYS * DAY)
        await box.store.aclose()

    asyncio.run(teach())
    return folder


@pytest.fixture
async def mall(taught: Path, tmp_path: Path) -> AsyncIterator[Box]:
    """The tenth day is about to begin."""
    async with reopened(taught, tmp_path / "mall") as box:
        yield box


@asynccontextmanager
async def reopened(source: Path, folder: Path) -> AsyncIterator[Box]:
    shutil.copytree(source, folder)
    box = Box(folder)
    outfit(box)
    box.pass_ms(TAUGHT_DAYS * DAY + 2 * MINUTE)
    await box.open()
    await box.configure()
    yield box
    await box.store.aclose()


def alarms(box: Box) -> list[AlarmFacts]:
    """All there ever were, but not what only says that it was busy."""
    reader = box.store.reader()
    try:
        return [one for one in reader.alarms_between(0, 1 << 62) if one.severity != "info"]
    finally:
        reader.close_file()


def rows(box: Box, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(box.path / "buffer.db") as con:
        return con.execute(query).fetchall()


async def told(box: Box) -> list[Event]:
    return [event for event in await box.everything() if event.alarm is not None]


async def test_ordinary_days_raise_nothing(mall: Box) -> None:
    assert alarms(mall) == []
    await live(mall, TODAY + DAY)
    assert alarms(mall) == []


async def test_a_dead_counter_in_opening_hours_is_told_with_its_evidence_and_ends_when_people_come_back(
    mall: Box,
) -> None:
    await live(mall, TODAY + 12 * HOUR)
    await live(mall, TODAY + 15 * HOUR, dead=frozenset({"south"}))
    [raised] = alarms(mall)
    assert (raised.ref, raised.kind, raised.severity, raised.until_ms) == ("south", "dead", "fault", None)
    assert raised.since_ms == TODAY + 12 * HOUR
    assert raised.written_ms < TODAY + 14 * HOUR
    assert raised.says("UTC").startswith("dead: nobody since 2026-12-02 12:00 where ")
    [event] = await told(mall)
    await mall.settle([event])
    await live(mall, TODAY + 17 * HOUR)
    [ended] = alarms(mall)
    assert ended.until_ms == TODAY + 15 * HOUR
    assert ended.evidence == raised.evidence
    [event] = await told(mall)
    assert event.body["data"]["state"] == "cleared"  # type: ignore[index]
    mall.balanced()


async def test_a_door_whose_counter_is_silent_is_missing_and_not_dead(mall: Box) -> None:
    """Not heard is no count: link, completeness and `silent` tell it already."""
    await live(mall, TODAY + 14 * HOUR, silent=frozenset({"south"}))
    assert alarms(mall) == []


async def test_a_crowd_raises_nothing(mall: Box) -> None:
    await live(mall, TODAY + 13 * HOUR)
    await live(mall, TODAY + 17 * HOUR, busy=3.0)
    await live(mall, TODAY + DAY)
    assert alarms(mall) == []


async def test_more_than_a_door_can_pass_is_not_believed_until_somebody_has_decided(mall: Box) -> None:
    await live(mall, TODAY + 12 * HOUR)
    start = TODAY + 12 * HOUR
    mall.at(start + Q + MINUTE)
    reading = Crossings("south", "main", start, start + Q, 40_000, 20)
    await mall.take_in(reading, counter="south")
    await live(mall, TODAY + 14 * HOUR)
    reader = mall.store.reader()
    kinds = [(one.ref, one.kind, one.since_ms) for one in reader.doubted(TODAY, TODAY + DAY)]
    reader.close_file()
    assert ("south", "spike_impossible", start) in kinds


async def test_nobody_at_night_is_nothing(mall: Box) -> None:
    await live(mall, TODAY + DAY + 9 * HOUR, dead=frozenset())
    assert alarms(mall) == []


async def test_people_in_a_closed_centre_are_told(mall: Box) -> None:
    mall.hours = {"mall": Hours((((600, 1080),),) * 7)}  # closes at six from today on, and nobody went
    await mall.configure()
    await live(mall, TODAY + DAY)
    assert {one.kind for one in alarms(mall)} == {"closed_counts"}


async def test_who_only_passes_by_a_closed_shop_is_no_alarm(mall: Box) -> None:
    passing = tuple(Member(name, "main", Role.PASSING) for name in DOORS)
    mall.zones = [ZoneSpec("mall", "mall", passing)]
    mall.hours = {"mall": Hours((((600, 1080),),) * 7)}
    await mall.configure()
    await live(mall, TODAY + DAY)
    assert alarms(mall) == []


async def test_a_kill_after_each_close_changes_nothing(taught: Path, tmp_path: Path) -> None:
    """States, cells, alarms and what is owed are the same whether or not the process lives on."""

    async def kill(box: Box) -> None:
        await box.restart()

    async def roll_back(box: Box) -> None:
        with pytest.raises(sqlite3.OperationalError):
            await box.store._write(lambda: _fail(box))

    dumps = []
    for name, then in (("calm", None), ("killed", kill), ("rolled back", roll_back)):
        async with reopened(taught, tmp_path / name) as box:
            await live(box, TODAY + 11 * HOUR, then)
            await live(box, TODAY + 14 * HOUR, then, dead=frozenset({"south"}))
            await live(box, TODAY + 16 * HOUR, then)
            dumps.append([rows(box, query) for query in STATE])
    assert dumps[0] == dumps[1] == dumps[2]
    assert len(dumps[0][2]) == 1


STATE = (
    "SELECT * FROM cells ORDER BY 1, 2",
    "SELECT * FROM detectors",
    "SELECT id, line_id, kind, since_ms, until_ms, revision FROM alarms",
    "SELECT alarm_id, revision, severity, until_ms, evidence FROM alarm_revisions",
    "SELECT * FROM day_levels",
    "SELECT * FROM alarm_outbox",
)


def _fail(box: Box) -> None:
    """All that is due is closed, and then the card fails."""
    from gateway.store.aggregates import Closer

    Closer(box.store._con, box.store._memory).close(box.now(), 500, {})
    box.store._con.execute("DELETE FROM detectors")
    raise sqlite3.OperationalError("the card")


@pytest.mark.parametrize("size_s", [60, 300])
async def test_short_windows_are_added_up_to_the_same_slots(
    taught: Path, tmp_path: Path, size_s: int
) -> None:
    box = Box(tmp_path)
    outfit(box, size_s)
    await box.open()
    await box.configure()
    await live(box, MONDAY + DAY + 12 * HOUR)
    reference = Box(tmp_path / "900")
    outfit(reference)
    await reference.open()
    await reference.configure()
    await live(reference, MONDAY + DAY + 12 * HOUR)
    assert learned(box) == learned(reference)
    await box.store.aclose()
    await reference.store.aclose()


def learned(box: Box) -> tuple[list[Detectors], list[tuple[int, int, Cell]]]:
    detectors = [
        Detectors.decode(zlib.decompress(state)) for (state,) in rows(box, "SELECT state FROM detectors")
    ]
    return detectors, [
        (slot, line, Cell.decode(zlib.decompress(state))) for slot, line, state in rows(box, STATE[0])
    ]


async def test_a_longer_window_is_a_slot_of_its_own(tmp_path: Path) -> None:
    box = Box(tmp_path)
    outfit(box, 3600)
    await box.open()
    await box.configure()
    await live(box, MONDAY + DAY + 12 * HOUR)
    slots = {slot for (slot,) in rows(box, "SELECT DISTINCT slot FROM cells")}
    assert slots == set(range(410, 421))
    await box.store.aclose()


@pytest.mark.parametrize("state", ["63ff", "789c4b040000620062"])  # no packed state; a packed "a"
@pytest.mark.parametrize("table", ["detectors", "cells"])
async def test_what_cannot_be_read_is_learned_anew_and_said(
    mall: Box, table: str, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    mall.store.close_file()
    with sqlite3.connect(mall.path / "buffer.db") as con:
        con.execute(f"UPDATE {table} SET state=x'{state}' WHERE line_id=2")
    con.close()
    await mall.open()
    await mall.configure()
    with caplog.at_level(logging.WARNING):
        await live(mall, TODAY + 11 * HOUR)
    assert "learned anew" in caplog.text
    assert "south" in caplog.text
    assert "north" not in caplog.text
    visited = f"SELECT state FROM {table}" + " WHERE slot=140" * (table == "cells")  # 10:00
    kind = Cell if table == "cells" else Detectors
    assert len([kind.decode(zlib.decompress(one)) for (one,) in rows(mall, visited)]) == 3


async def test_the_slot_of_all_lines_lies_on_neighbouring_pages(mall: Box) -> None:
    """A quarter of an hour must not touch a page for each line."""
    plan = rows(mall, "EXPLAIN QUERY PLAN SELECT state FROM cells WHERE slot=140")
    assert "PRIMARY KEY (slot=?)" in plan[0][3]


async def test_days_end_together(mall: Box) -> None:
    """Each door is judged beside the others' day."""
    await live(mall, TODAY + DAY + HOUR)
    noted = rows(mall, f"SELECT line_id FROM day_levels WHERE day_ms={TODAY + DAY}")
    assert [line for (line,) in noted] == [1, 2, 3]
    assert ended(mall, DOORS) == {TODAY + DAY}


def ended(box: Box, doors: Iterable[str]) -> set[int]:
    """Ends of the last days that were judged."""
    names = ",".join(f"'{name}'" for name in doors)
    found = rows(box, f"SELECT state FROM detectors JOIN lines ON id=line_id WHERE counter IN ({names})")
    return {Detectors.decode(zlib.decompress(state)).ended_ms for (state,) in found}


async def test_a_counter_that_tells_its_day_in_two_pieces_keeps_the_others_waiting_for_three_hours_at_most(
    mall: Box,
) -> None:
    slow = LineRule("slow", "main", basis=Basis.DELTA, max_per_s=0, expect_s=60)
    mall.rules.append(slow)
    mall.zones.append(ZoneSpec("yard", "area", (Member("slow", "main", Role.ENTRANCE),)))
    await mall.configure()

    async def halves(box: Box) -> None:
        """Twelve hours at once, from TODAY on."""
        if (start_ms := box.wall // Q * Q - 12 * HOUR) % (12 * HOUR) == 0 and start_ms >= TODAY:
            reading = Crossings("slow", "main", start_ms, start_ms + 12 * HOUR, 700, 700)
            await box.store.record([Parcel("lan", box.now(), [Booking("slow", "main", reading)])])

    await live(mall, TODAY + DAY + 2 * HOUR, halves)
    assert ended(mall, DOORS) == {TODAY}
    await live(mall, TODAY + DAY + 4 * HOUR, halves)
    assert ended(mall, DOORS) == {TODAY + DAY}
    assert ended(mall, ["slow"]) != {TODAY + DAY}
    await live(mall, TODAY + 2 * DAY + 2 * HOUR, halves)
    assert ended(mall, ["slow"]) == {TODAY + DAY}


async def test_a_break_that_a_day_shows_is_stored_once(mall: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(detectors: Detectors, day: Day, *rest: Any) -> DayEnd:
        broken = Break(day.line, TODAY - 14 * DAY, 0.7) if day.line == "south" else None
        return replace(end_of_day(detectors, day, *rest), broken=broken)

    monkeypatch.setattr("gateway.store.quality.end_of_day", shifted)
    await live(mall, TODAY + 2 * DAY + HOUR)
    reader = mall.store.reader()
    assert reader.breaks(0, TODAY) == [Break("south", TODAY - 14 * DAY, 0.7)]
    reader.close_file()


async def test_a_counter_that_was_taken_out_keeps_nobody_waiting(mall: Box) -> None:
    await live(mall, TODAY + 12 * HOUR)
    mall.rules, mall.zones = mall.rules[:2], [ZoneSpec("mall", "mall", mall.zones[0].members[:2])]
    await mall.configure()
    await live(mall, TODAY + DAY + HOUR, silent=frozenset({"east"}))
    assert ended(mall, DOORS[:2]) == {TODAY + DAY}


async def test_a_box_that_was_off_for_a_week_goes_on(mall: Box) -> None:
    await live(mall, TODAY + 12 * HOUR)
    mall.store.close_file()
    mall.pass_ms(7 * DAY)
    await mall.open()
    await mall.configure()
    await live(mall, TODAY + 8 * DAY + 20 * HOUR)
    assert alarms(mall) == []
    state = rows(mall, "SELECT state FROM detectors")
    assert {Detectors.decode(zlib.decompress(one)).through_ms for (one,) in state} == {
        TODAY + 8 * DAY + 20 * HOUR - 2 * Q
    }


async def test_another_device_begins_anew_and_its_alarms_end(mall: Box) -> None:
    await live(mall, TODAY + 11 * HOUR)
    await live(mall, TODAY + 13 * HOUR, dead=frozenset({"south"}))
    assert alarms(mall)[0].until_ms is None
    await mall.store.replace_counter("south", mall.now())
    assert alarms(mall)[0].until_ms == mall.wall
    await live(mall, TODAY + 15 * HOUR, dead=frozenset({"south"}))
    assert len(alarms(mall)) == 1, "nothing is known of the new device yet"


async def test_a_clock_that_runs_ahead_is_told_and_one_that_delivers_late_is_not(mall: Box) -> None:
    for offset_ms, kinds in ((-7_200_000, []), (600_000, ["clock"])):
        mall.at(mall.wall // Q * Q + Q + MINUTE)
        await mall.store.close(mall.now(), 500, {"south": offset_ms})
        assert [(one.kind, one.ref) for one in alarms(mall)] == [(kind, "south") for kind in kinds]


async def test_breaks_are_listed_until_somebody_dismisses_them(mall: Box) -> None:
    insert = "INSERT INTO breaks VALUES (2, ?, 0.7, ?, NULL)"
    await mall.store._write(lambda: mall.store._con.execute(insert, (TODAY - DAY, TODAY)))
    reader = mall.store.reader()
    assert reader.breaks(TODAY - DAY, TODAY) == [Break("south", TODAY - DAY, 0.7)]
    assert reader.breaks(TODAY, TODAY + DAY) == reader.breaks(0, TODAY - DAY) == []
    assert await mall.store.dismiss_breaks("south", mall.now()) == 1
    assert reader.breaks(0, TODAY) == []
    assert await mall.store.dismiss_breaks("south", mall.now()) == 0
    reader.close_file()
