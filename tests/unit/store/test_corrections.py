"""What a person enters stands in the place of what was counted: masked, shared out, audited, undoable."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.amendments import Correction
from gateway.errors import EntryConflict, EntryRefused
from gateway.model import Basis, Crossings, LineRule, Member, Register, Role, Stamp, ZoneSpec
from gateway.store import Grid, Store
from gateway.store.migrations import FIRST, SECOND
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, ZONE, Box
from tests.unit.store.conftest import T0 as BEGIN

MakeBox = Callable[..., Awaitable[Box]]
T0 = BEGIN + HOUR  # the first windows of a buffer are partial
QUARTER, DAY = 15 * MINUTE, 24 * HOUR
BEAM = LineRule("door", "main", basis=Basis.EVENT, max_per_s=0)


def entered(start: int = T0, end: int = T0 + HOUR, ins: int | None = 40, **more: Any) -> Correction:
    return Correction(**{
        "id": "c1", "line": "door", "start_ms": start, "end_ms": end, "ins": ins, "reason": "blocked", **more
    })  # fmt: skip


def windows(box: Box, column: str = "ins") -> list[int]:
    """Current figures of the zone's quarters from T0 on."""
    reader = box.store.reader()
    try:
        return [row[column] for row in reader.aggregates("shop", T0, box.wall, 900)]
    finally:
        reader.close_file()


def rows(box: Box, as_of_ms: int | None = None) -> list[dict[str, Any]]:
    reader = box.store.reader()
    try:
        return reader.aggregates("shop", T0, T0 + HOUR, 900, as_of_ms)
    finally:
        reader.close_file()


async def counted(box: Box, minutes: int = 60) -> None:
    """One in and two out each minute from T0 on, closed."""
    for minute in range(minutes):
        start = T0 + minute * MINUTE
        box.at(start + MINUTE)
        await box.delta(start, start + MINUTE, 1, 2)
    await settled(box)


async def settled(box: Box, minutes: int = 20) -> None:
    box.pass_ms(minutes * MINUTE)
    await box.close()
    box.balanced()


async def test_what_is_entered_is_what_crossed(box: Box) -> None:
    await counted(box)
    made = await box.store.correct(entered(ins=41, outs=5, by="operator"), box.now())
    assert (made.made_ms, made.by, made.undone_ms) == (box.wall, "operator", None)
    box.balanced()  # while its windows are dirty
    await settled(box)
    assert windows(box)[:4] == [10, 10, 10, 11]
    assert windows(box, "outs")[:4] == [1, 1, 1, 2]
    ledger = box.ledger()
    assert (ledger["received"], ledger["counted"], ledger["corrected"], ledger["closed"]) == (60, 60, -19, 41)
    [first, *_] = rows(box)
    assert (first["reason"], first["flags"], first["revision"]) == ("correction", ["corrected"], 2)
    assert first["estimated_ins"] == 10, "an hour's figure does not know its quarters"


async def test_only_the_part_of_a_reading_inside_the_span_is_masked(box: Box) -> None:
    """Ten minutes with twenty people, and five of them corrected: half of the reading stays."""
    box.at(T0 + HOUR)
    await box.delta(T0, T0 + 10 * MINUTE, 20)
    await box.store.correct(entered(T0 + 5 * MINUTE, T0 + QUARTER, 3), box.now())
    await settled(box)
    assert windows(box)[0] == 13


async def test_a_side_left_out_stays_as_it_was_counted(box: Box) -> None:
    await counted(box)
    await box.store.correct(entered(ins=None, outs=0), box.now())
    await settled(box)
    assert windows(box)[:4] == [15] * 4
    assert windows(box, "outs")[:4] == [0] * 4


async def test_what_comes_late_is_stored_and_stays_masked(box: Box) -> None:
    box.at(T0 + HOUR)
    await box.store.correct(entered(T0, T0 + QUARTER, 7), box.now())
    await settled(box)
    await box.delta(T0 + MINUTE, T0 + 2 * MINUTE, 100)
    box.balanced()
    await settled(box)
    assert windows(box)[0] == 7
    assert rows(box)[0]["revision"] == 1, "nothing differs: no revision"
    ledger = box.ledger()
    assert (ledger["received"], ledger["counted"], ledger["corrected"]) == (100, 100, -93)
    await box.store.undo_correction("c1", "wrong door", "berit", box.now())
    await settled(box)
    assert windows(box)[0] == 100


async def test_undoing_brings_the_readings_back_and_keeps_the_story(box: Box) -> None:
    await counted(box)
    await box.store.correct(entered(), box.now())
    await settled(box)
    undone = await box.store.undo_correction("c1", "wrong door", "berit", box.now())
    assert (undone.undone_by, undone.undone_reason, undone.undone_ms) == ("berit", "wrong door", box.wall)
    box.balanced()
    await settled(box)
    assert windows(box)[:4] == [15] * 4
    assert [(row["reason"], row["flags"], row["revision"]) for row in rows(box)] == [
        ("correction", [], 3)
    ] * 4
    assert await box.store.undo_correction("c1", "again", "carl", box.now()) == undone
    assert box.ledger()["corrected"] == 0
    reader = box.store.reader()
    assert reader.corrections() == [undone]
    reader.close_file()


async def test_the_history_shows_what_was_known_when(box: Box) -> None:
    await counted(box)
    before = box.wall
    box.pass_ms(MINUTE)
    await box.store.correct(entered(), box.now())
    await settled(box)
    between = box.wall
    box.pass_ms(MINUTE)
    await box.store.undo_correction("c1", "wrong door", "", box.now())
    await settled(box)
    assert [sum(row["ins"] for row in rows(box, at)) for at in (before, between, None)] == [60, 40, 60]


async def test_a_person_vouches_for_a_corrected_span(box: Box) -> None:
    """The counter was dead for half an hour; somebody stood at the door."""
    box.at(T0 + HOUR)
    for minute in (*range(15), *range(45, 60)):
        await box.delta(T0 + minute * MINUTE, T0 + (minute + 1) * MINUTE, 1)
    await settled(box)
    assert [row["completeness"] for row in rows(box)] == [1, 0, 0, 1]
    await box.store.correct(entered(T0 + 14 * MINUTE, T0 + 40 * MINUTE, 30), box.now())
    await settled(box)
    assert [row["completeness"] for row in rows(box)] == [1, 1, pytest.approx(10 / 15), 1]


async def test_where_silence_says_nothing_a_person_does(make_box: MakeBox) -> None:
    box = await make_box(rules=[BEAM])
    box.at(T0 + HOUR)
    await box.store.correct(entered(T0, T0 + 20 * MINUTE, 4), box.now())
    await settled(box)
    assert [row["completeness"] for row in rows(box)] == [1, None, None, None]
    assert rows(box)[0]["flags"] == ["corrected"]
    assert rows(box)[1]["flags"] == ["assumed", "corrected"]


async def test_the_same_figures_still_make_the_windows_corrected_ones(box: Box) -> None:
    await counted(box)
    await box.store.correct(entered(T0, T0 + QUARTER, 15, outs=30), box.now())
    await settled(box)
    first = rows(box)[0]
    assert (first["ins"], first["flags"], first["reason"]) == (15, ["corrected"], "correction")


async def test_a_correction_in_the_open_window_shows_at_once(box: Box) -> None:
    """Also to a reader that has looked before."""
    box.at(T0 + 10 * MINUTE)
    await box.delta(T0, T0 + MINUTE, 50, 1)
    reader = box.store.reader()
    seen = [reader.live(box.wall)[0]]
    await box.store.correct(entered(T0, T0 + 5 * MINUTE, 3), box.now())
    box.balanced()
    seen.append(reader.live(box.wall)[0])
    await box.store.undo_correction("c1", "wrong door", "", box.now())
    seen.append(reader.live(box.wall)[0])
    reader.close_file()
    assert [(zone.ins, zone.outs, zone.flags) for zone in seen] == [
        (50, 1, ()),
        (3, 1, ("corrected",)),
        (50, 1, ()),
    ]


async def test_passes_are_halved_without_losing_one_after_a_correction(box: Box) -> None:
    """An odd number of passes turns the halves of all windows after it."""
    box.at(T0 + HOUR)
    for quarter in range(4):
        start = T0 + quarter * QUARTER
        await box.take_in(Crossings("door", "main", start, start + QUARTER, passes=3))
    await settled(box)
    assert windows(box)[:4] == [1, 2, 1, 2]
    await box.store.correct(entered(T0, T0 + QUARTER, None, passes=4), box.now())
    await settled(box)
    assert windows(box)[:4] == [2, 1, 2, 1]
    assert windows(box, "outs")[:4] == [2, 2, 1, 2]


async def test_from_the_other_side_a_correction_is_seen_from_the_other_side(make_box: MakeBox) -> None:
    box = await make_box(zones=[ZoneSpec("shop", "store", (Member("door", "main", Role.ENTRANCE, -1),))])
    await counted(box)
    await box.store.correct(entered(T0, T0 + QUARTER, 9, outs=4), box.now())
    await settled(box)
    assert (windows(box)[0], windows(box, "outs")[0]) == (4, 9)


async def test_a_correction_outlives_what_it_masks(make_box: MakeBox) -> None:
    """Readings are pruned half-way through its span, then all of them, then the aggregates."""
    grid = Grid(size_s=900, readings_days=1, retention_days=3)
    box = await make_box(grid=grid, upstreams={})
    await counted(box, 120)
    await box.store.correct(entered(T0 + QUARTER, T0 + 2 * HOUR, 11, outs=3), box.now())
    await settled(box)
    figures = windows(box)[:8]
    for wait in (DAY - HOUR, HOUR, 3 * HOUR):
        box.pass_ms(wait)
        await box.close()
        await box.store.prune(box.now())
        box.balanced()
        assert windows(box)[:8] == figures
    frozen = box.store._memory.frozen_ms
    assert frozen > T0 + 2 * HOUR
    assert box.ledger()["corrected"] == 11 - 105
    with pytest.raises(EntryRefused, match="final"):
        await box.store.undo_correction("c1", "too late", "", box.now())
    box.pass_ms(4 * DAY)
    await box.close()
    await box.store.prune(box.now())
    assert box.ledger()["expired"] >= 15 + 11
    box.balanced()


async def test_it_holds_through_a_kill(box: Box) -> None:
    await counted(box)
    await box.store.correct(entered(), box.now())
    await box.restart(reboot=True)
    box.balanced()
    await settled(box)
    assert sum(windows(box)[:4]) == 40


async def test_the_same_again_is_the_same_correction(box: Box) -> None:
    await counted(box)
    made = await box.store.correct(entered(by="operator"), box.now())
    box.pass_ms(MINUTE)
    assert await box.store.correct(entered(by="berit"), box.now()) == made
    with pytest.raises(EntryConflict, match="id: c1"):
        await box.store.correct(entered(ins=39), box.now())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": ""}, "id: "),
        ({"id": "a b"}, "id: "),
        ({"line": "gate"}, "line: no line gate has ever counted here; there is door"),
        ({"end_ms": T0}, "to: must lie after from"),
        ({"start_ms": T0 + 2 * HOUR}, "to: must lie after from"),
        ({"start_ms": T0 - 32 * DAY}, "to: a correction spans 31 days at most"),
        ({"end_ms": T0 + 3 * HOUR}, "to: 2026-11-25T14:00:00Z is not over yet"),
        ({"ins": -1}, "ins: -1 is not a number of persons"),
        ({"ins": 10**9 + 1}, "ins: 1000000001 is not a number of persons"),
        ({"ins": 3601}, "ins: 3601 persons in 3600 s are more than max_per_s = 1"),
        ({"ins": None}, "ins, outs or passes: say how many"),
        ({"passes": 4}, "passes: door does not count passes, it counts ins, outs"),
        ({"reason": " "}, "reason: say why"),
        ({"reason": "x" * 501}, "reason: say why"),
    ],
)
async def test_what_cannot_be_true_is_refused_by_name(
    make_box: MakeBox, change: dict[str, Any], words: str
) -> None:
    box = await make_box(rules=[replace(DOOR, max_per_s=1.0)])
    await counted(box)
    with pytest.raises(EntryRefused) as caught:
        await box.store.correct(replace(entered(), **change), box.now())
    assert str(caught.value).startswith(words)
    box.balanced()
    assert box.ledger()["corrected"] == 0


async def test_two_corrections_never_speak_for_the_same_time(box: Box) -> None:
    await counted(box)
    await box.store.correct(entered(), box.now())
    other = entered(T0 + 59 * MINUTE, T0 + HOUR + MINUTE, 1, id="c2")
    with pytest.raises(EntryRefused, match="c1 is in force for door"):
        await box.store.correct(other, box.now())
    await box.store.correct(entered(T0 + HOUR, T0 + HOUR + MINUTE, 1, id="c3"), box.now())
    await box.store.undo_correction("c1", "two at once", "", box.now())
    with pytest.raises(EntryRefused, match="c3"):
        await box.store.correct(other, box.now())
    box.balanced()


async def test_before_the_frozen_edge_nothing_is_corrected(make_box: MakeBox) -> None:
    box = await make_box(grid=Grid(size_s=900, readings_days=1))
    await counted(box)
    box.pass_ms(2 * DAY)
    await box.close()
    await box.store.prune(box.now())
    with pytest.raises(EntryRefused, match=r"from: windows before .* are final"):
        await box.store.correct(entered(), box.now())


async def test_without_a_clock_nothing_is_corrected(box: Box) -> None:
    box.trusted = False
    with pytest.raises(EntryRefused, match="clock"):
        await box.store.correct(entered(T0 - HOUR, T0, 1), box.now())


async def test_undoing_what_is_not_there_is_refused(box: Box) -> None:
    with pytest.raises(EntryRefused, match="id: there is no correction c9"):
        await box.store.undo_correction("c9", "why", "", box.now())


async def test_a_register_is_corrected_like_anything_else(make_box: MakeBox) -> None:
    """Its difference over an hour is masked for a quarter; the next total knows nothing of it."""
    gate = LineRule("door", "main", basis=Basis.TOTAL, max_per_s=0)
    box = await make_box(rules=[gate], zones=[ZONE])
    box.at(T0 + 2 * HOUR)
    for at, total in ((T0, 100), (T0 + HOUR, 160), (T0 + 2 * HOUR, 170)):
        await box.take_in(Register("door", "main", at, total_in=total))
    await box.store.correct(entered(T0, T0 + QUARTER, 1), box.now())
    await settled(box, 80)
    assert windows(box)[:8] == [1, 15, 15, 15, 2, 3, 2, 3]
    with pytest.raises(EntryRefused, match="outs: door does not count outs"):
        await box.store.correct(entered(T0 + HOUR, T0 + 2 * HOUR, None, id="c2", outs=1), box.now())


async def test_a_buffer_of_before_learns_its_sides(tmp_path: Path) -> None:
    """An older file, brought up to date: lines know which sides they have counted."""
    con = sqlite3.connect(tmp_path / "buffer.db")
    con.executescript(FIRST + SECOND)
    con.executescript(
        "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT,"
        " applied_at TEXT); INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES"
        " ('buffer', 'first', ''), ('buffer', 'second', '');"
        "INSERT INTO meta VALUES ('simulated', ''), ('generation', '1795000000'), ('frozen_ms', '0'),"
        " ('trusted_ms', '0');"
        "INSERT INTO lines VALUES (1, 'door', 'main', 0, 'delta'), (2, 'gate', 'main', 0, 'total'),"
        " (3, 'new', 'main', 0, 'delta');"
        "INSERT INTO pulse SELECT id, 0, 1, 0, 0, 0, NULL, NULL, 0 FROM lines;"
        "INSERT INTO readings VALUES (0, 1, 1, 2, 3, 0, 1, 1, 0, 0, 0, 0, NULL, 0);"
        "INSERT INTO heads VALUES (2, 4, '', 1, 1, 1, 1, '', 1, NULL, NULL, NULL, 0);"
    )
    con.close()
    store = await Store.open(tmp_path, now=Stamp("boot", 1, T0))
    assert [store._memory.by_id[line].sides for line in (1, 2, 3)] == [3, 4, 0]
    await store.aclose()


async def test_the_same_again_under_the_full_name_of_its_line_is_the_same(box: Box) -> None:
    await counted(box)
    made = await box.store.correct(entered(line="door/main"), box.now())
    assert made.line == "door"
    assert await box.store.correct(entered(line="door/main"), box.now()) == made
    assert await box.store.correct(entered(), box.now()) == made
