"""People inside: drift taken out by what earlier days say, and a day that is over restated by its own exits.

Oracles O2 and O2c: two small days worked out by hand and with scipy beside the definitions of the measures.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.amendments import Correction, LineFactor
from gateway.model import Member, Role, ZoneSpec
from gateway.store import Grid, UpstreamPlan, ZoneLive
from gateway.store.exits import ExitRatio, closed_day, one_step
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, T0, Box

MakeBox = Callable[..., Awaitable[Box]]
DAY, QUARTER = 24 * HOUR, 15 * MINUTE
FIRST = T0 // DAY * DAY + DAY  # the first whole business day
INS, OUTS = (0, 12, 20, 15, 8, 3, 0), (0, 2, 9, 14, 16, 12, 11)
O2 = list(zip(INS, OUTS, strict=True))
THOUSANDTHS = [(ins * 1000, outs * 1000) for ins, outs in O2]
Steps = Sequence[tuple[int, int]]


async def day(box: Box, start: int, steps: Steps, quarters: int = 96) -> None:
    """A business day, quarter by quarter, each closed before the next; the rest of it nobody crosses."""
    for quarter in range(quarters):
        low = start + quarter * QUARTER
        box.at(low + QUARTER)
        await box.delta(low, low + QUARTER, *(steps[quarter] if quarter < len(steps) else (0, 0)))
    box.pass_ms(20 * MINUTE)
    await box.close()
    box.balanced()


def shown(
    box: Box, start: int, column: str = "occupancy", n: int = 7, as_of_ms: int | None = None
) -> list[Any]:
    reader = box.store.reader()
    try:
        return [row[column] for row in reader.aggregates("shop", start, start + n * QUARTER, 900, as_of_ms)]
    finally:
        reader.close_file()


def live(box: Box) -> ZoneLive:
    reader = box.store.reader()
    try:
        [zone] = reader.live(box.wall)
        return zone
    finally:
        reader.close_file()


def test_the_live_rule_is_the_oracles() -> None:
    inside, found = 0, []
    for step in THOUSANDTHS:
        inside = one_step(inside, step, ExitRatio(0.95, False))
        found.append(inside / 1000)
    assert found == [0, 10.1, 21.55, 23.25, 16.05, 7.65, 0]


def test_a_day_that_is_over_ends_empty() -> None:
    """R = 58/64."""
    inside, imbalance = closed_day(THOUSANDTHS, ExitRatio(0.95, False))
    assert not imbalance
    exact = [0, 10.1875, 22.03125, 24.34375, 17.84375, 9.96875, 0]
    assert [count / 1000 for count in inside] == pytest.approx(exact, abs=0.00051)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=60), st.floats(0.8, 1.25))
def test_nobody_is_ever_fewer_than_none_and_a_balanced_day_ends_empty(steps: Steps, r: float) -> None:
    inside, imbalance = closed_day(steps, ExitRatio(r, False))
    assert all(count >= 0 for count in inside)
    ins, outs = sum(step[0] for step in steps), sum(step[1] for step in steps)
    assert imbalance == (max(ins, outs) > 0 and not 0.8 * outs <= ins <= 1.25 * outs)
    if steps and not imbalance:
        assert inside[-1] == 0


async def test_exits_count_as_earlier_days_say(box: Box) -> None:
    """95 in and 100 out yesterday: each exit counts 0.95, and nothing is lost to rounding on the way."""
    await day(box, FIRST, [(95, 100)])
    await day(box, FIRST + DAY, O2, 40)
    assert live(box).exit_ratio == 0.95
    assert shown(box, FIRST + DAY) == [0, 10, 22, 23, 16, 8, 0]
    assert shown(box, FIRST + DAY, "occupancy_raw") == [0, 10, 21, 22, 14, 5, -6]
    stored = box.store._con.execute(
        "SELECT inside FROM zone_aggregates WHERE start_ms>=? ORDER BY start_ms, revision LIMIT 7",
        (FIRST + DAY,),
    ).fetchall()
    assert [row[0] for row in stored] == [0, 10_100, 21_550, 23_250, 16_050, 7_650, 0]


async def test_three_days_teach_as_the_oracle_says(box: Box) -> None:
    for number, step in enumerate([(200, 210), (220, 228), (210, 214)]):
        await day(box, FIRST + number * DAY, [step])
    assert live(box).exit_ratio == pytest.approx(0.967249, abs=1e-6)
    assert live(box).residual == -4


async def test_one_reader_learns_every_night(box: Box) -> None:
    """What it remembers of a zone's exits does not outlive a day that is added or restated."""
    reader = box.store.reader()
    learned = []
    for number, outs in enumerate((100, 110, 120)):
        await day(box, FIRST + number * DAY, [(100, outs)])
        learned.append(reader.live(box.wall)[0].exit_ratio)
    box.pass_ms(MINUTE)
    await box.store.calibrate(LineFactor("door", "in", 1.1, 0.0, FIRST + 2 * DAY), box.now())
    await box.close()
    learned.append(reader.live(box.wall)[0].exit_ratio)
    reader.close_file()
    assert learned == [
        1,
        pytest.approx((0.9 * 100 + 100) / (0.9 * 100 + 110)),
        pytest.approx((0.81 * 100 + 0.9 * 100 + 100) / (0.81 * 100 + 0.9 * 110 + 120)),
        pytest.approx((0.81 * 100 + 0.9 * 100 + 110) / (0.81 * 100 + 0.9 * 110 + 120)),
    ]


async def test_a_day_that_was_hardly_watched_teaches_nothing(box: Box) -> None:
    await day(box, FIRST, [(95, 100)], 80)
    box.at(FIRST + DAY + HOUR)
    await box.close()
    assert (live(box).exit_ratio, live(box).residual) == (1.0, -5)


async def test_a_day_that_is_over_is_restated_once(box: Box) -> None:
    await day(box, FIRST, [(95, 100)])
    second = FIRST + DAY
    await day(box, second, O2, 95)
    before = box.wall
    assert shown(box, second, "revision") == [1] * 7
    box.at(second + DAY)
    await box.delta(second + 95 * QUARTER, second + DAY, 0, 0)
    box.pass_ms(20 * MINUTE)
    await box.close()
    assert shown(box, second) == [0, 10, 22, 24, 18, 10, 0]
    assert shown(box, second, as_of_ms=before) == [0, 10, 22, 23, 16, 8, 0]
    assert shown(box, second, "revision") == [1, 1, 1, 2, 2, 2, 1]
    assert shown(box, second, "reason")[3] == "retrospective"
    assert shown(box, second, "ins") == [*INS]
    for _ in range(3):
        box.pass_ms(HOUR)
        await box.close()
    assert max(shown(box, second, "revision", 96)) == 2
    box.balanced()


async def test_late_counts_restate_the_day_again_only_where_a_figure_differs(box: Box) -> None:
    """The last quarter comes a day late, with people in it."""
    await day(box, FIRST, O2, 95)
    box.at(FIRST + DAY + 2 * HOUR)
    await box.close()
    assert shown(box, FIRST) == [0, 10, 22, 24, 18, 10, 0]
    revisions = shown(box, FIRST, "revision", 96)
    await box.delta(FIRST + 95 * QUARTER, FIRST + DAY, 0, 0)
    box.pass_ms(MINUTE)
    await box.close()
    assert shown(box, FIRST, "revision", 96) == [*revisions[:95], revisions[95] + 1]
    await box.delta(FIRST + 95 * QUARTER, FIRST + DAY, 6, 0)
    box.pass_ms(MINUTE)
    await box.close()
    assert shown(box, FIRST) == [0, 10, 21, 22, 14, 5, 0], "64 in, 64 out: R is 1"
    assert shown(box, FIRST, "ins", 96)[95] == 6
    assert shown(box, FIRST, "occupancy_raw", 96)[95] == 0
    assert shown(box, FIRST, "residual")[0] == 0
    box.balanced()


async def test_the_night_begins_empty_whatever_was_left(box: Box) -> None:
    await day(box, FIRST, [(10, 9)], 96)
    assert shown(box, FIRST + 95 * QUARTER, "residual", 1) == [1]
    await day(box, FIRST + DAY, [(1, 0)], 1)
    assert shown(box, FIRST + DAY, n=1) == [1]
    assert live(box).residual == 1


async def test_what_cannot_be_corrected_is_flagged(box: Box) -> None:
    """One direction is dead: 60 in, 20 out. The day keeps the plain clamp and says so; so does the next."""
    await day(box, FIRST, [(30, 10), (30, 10)])
    assert shown(box, FIRST, n=3) == [20, 40, 40]
    assert shown(box, FIRST, "flags", 2) == [["imbalance"]] * 2
    assert shown(box, FIRST, "residual", 1) == [40]
    await day(box, FIRST + DAY, [(5, 5)], 2)
    assert live(box).flags == ("imbalance",)
    assert live(box).exit_ratio == 1.25
    assert shown(box, FIRST + DAY, "flags", 1) == [["imbalance"]]


async def test_a_late_count_after_a_flagged_day_does_not_flap(box: Box) -> None:
    """The flag of a day that is over is the day's own, not what earlier days would say."""
    await day(box, FIRST, [(30, 10), (30, 10)], 95)
    box.at(FIRST + DAY + 2 * HOUR)
    await box.close()
    revisions = shown(box, FIRST, "revision", 96)
    await box.delta(FIRST + 95 * QUARTER, FIRST + DAY, 0, 0)
    box.pass_ms(MINUTE)
    await box.close()
    assert shown(box, FIRST, "revision", 96) == [*revisions[:95], revisions[95] + 1]


async def test_a_zone_without_entrances_has_no_residual(make_box: MakeBox) -> None:
    lane = ZoneSpec("shop", "street", (Member("door", "main", Role.PASSING),))
    box = await make_box(zones=[lane])
    await day(box, FIRST, [(30, 10)])
    assert shown(box, FIRST, "residual", 1) == [None]
    assert shown(box, FIRST, "revision", 96) == [1] * 96


async def test_other_window_sizes_are_restated_too_and_a_day_is_kept_once(make_box: MakeBox) -> None:
    box = await make_box(upstreams={"hq": UpstreamPlan(sizes_s=(900, 3600))})
    await day(box, FIRST, O2)
    reader = box.store.reader()
    hours = reader.aggregates("shop", FIRST, FIRST + 2 * HOUR, 3600)
    days = reader.days("shop", FIRST, FIRST + DAY)
    reader.close_file()
    assert [row["occupancy"] for row in hours] == [24, 0]
    assert [(one.residual, one.completeness, one.imbalance) for one in days] == [(-6, 1.0, 0)]


async def test_a_long_absence_is_made_up_for_day_by_day(box: Box) -> None:
    """Off for three days: their days are closed and over at once, in bounded steps."""
    await day(box, FIRST, [(95, 100)])
    box.pass_ms(3 * DAY)
    steps = 0
    while (await box.store.close(box.now(), 100)).more:
        steps += 1
    assert steps >= 2
    reader = box.store.reader()
    assert [one.residual for one in reader.days(None, FIRST, FIRST + 4 * DAY)] == [-5, 0, 0, 0]
    reader.close_file()
    box.balanced()


async def test_a_kill_between_the_end_of_the_day_and_its_restating_loses_nothing(box: Box) -> None:
    await day(box, FIRST, O2, 96)
    box.store._con.execute("DELETE FROM zone_days")
    box.store._con.execute("INSERT INTO drift VALUES (1, 900, ?, 0)", (FIRST,))
    await box.restart(reboot=True)
    await box.close()
    assert shown(box, FIRST, "residual", 1) == [-6]
    assert shown(box, FIRST) == [0, 10, 22, 24, 18, 10, 0]


async def test_occupancy_is_made_of_calibrated_counts(box: Box) -> None:
    await box.store.calibrate(LineFactor("door", "in", 1.25, 0.01, FIRST), box.now())
    await day(box, FIRST, [(4, 0), (4, 5), (0, 4)], 4)
    assert shown(box, FIRST, n=3) == [5, 5, 1]
    assert shown(box, FIRST, "occupancy_raw", 3) == [4, 3, -1]
    box.at(FIRST + DAY)
    await box.close()


async def test_a_calibration_since_yesterday_restates_yesterdays_occupancy(box: Box) -> None:
    await day(box, FIRST, [(50, 0), (0, 60)])
    before = box.wall
    assert shown(box, FIRST, n=2) == [50, 0]
    await box.store.calibrate(LineFactor("door", "in", 1.2, 0.01, FIRST), box.now())
    box.pass_ms(MINUTE)
    await box.close()
    assert shown(box, FIRST, n=2) == [60, 0]
    assert shown(box, FIRST, "reason", 1) == ["retrospective"]
    assert shown(box, FIRST, n=2, as_of_ms=before) == [50, 0]
    assert shown(box, FIRST, "residual", 1) == [-10], "of what was counted"


async def test_the_history_shows_what_was_known_when(make_box: MakeBox) -> None:
    """Closed, corrected, undone, calibrated, the day over: one moment each, and all of them still there."""
    box = await make_box(rules=[DOOR], grid=Grid(size_s=900, allowed_lateness_s=60))
    known: list[int] = []

    async def moment() -> None:
        box.pass_ms(20 * MINUTE)
        await box.close()
        box.balanced()
        known.append(box.wall)
        box.pass_ms(MINUTE)

    await day(box, FIRST, [(10, 2), (10, 4)], 4)
    await moment()
    said = Correction("c", "door", FIRST, FIRST + QUARTER, 20, 2, reason="by eye")
    await box.store.correct(said, box.now())
    await moment()
    await box.store.undo_correction("c", "not by eye", "", box.now())
    await moment()
    await box.store.calibrate(LineFactor("door", "in", 1.1, 0.01, FIRST), box.now())
    await moment()
    for quarter in range(8, 96):
        low = FIRST + quarter * QUARTER
        box.at(low + QUARTER)
        await box.delta(low, low + QUARTER, 0, 14 if quarter == 90 else 0)
    await moment()
    await day(box, FIRST + DAY, [], 2)
    await moment()

    def told(column: str) -> list[Any]:
        return [shown(box, FIRST, column, 1, at)[0] for at in known]

    assert told("ins") == [10, 20, 10, 10, 10, 10]
    calibrated = [one and one.to_json()["ins"] for one in told("calibrated")]
    assert calibrated == [None, None, None, 11, 11, 11]
    assert told("flags") == [[], ["corrected"], [], [], [], []]
    assert told("reason")[:4] == ["closed", "correction", "correction", "calibration"]
    assert told("residual") == [None, None, None, None, 0, 0]
    second = [shown(box, FIRST + QUARTER, "occupancy", 1, at)[0] for at in known]
    assert (second[0], second[-1]) == (14, 15), "22 in, 20 out: each exit counts 1.1"


async def test_a_day_cut_by_another_timezone_and_size_holds_nothing_back_for_ever(make_box: MakeBox) -> None:
    """Midnight is now another hour, and no window of the old size will ever be closed up to it."""
    box = await make_box()
    box.at(FIRST + HOUR)
    await box.close()
    box.grid = replace(box.grid, size_s=3600)
    await box.configure()
    box.at(FIRST + DAY + HOUR)
    await box.close()
    box.grid = replace(box.grid, timezone="Europe/Oslo")
    await box.configure()
    await box.delta(FIRST + DAY - 10 * MINUTE, FIRST + DAY - 9 * MINUTE, 5, 4)
    box.pass_ms(2 * DAY)
    await box.close()
    assert box.store._con.execute("SELECT count(*) FROM drift").fetchone() == (0,)
    box.balanced()


async def test_what_a_day_left_inside_is_shown_though_no_window_of_it_was_restated(make_box: MakeBox) -> None:
    """Its exits are dead, as the day before; a reading was replaced and replaced back: nothing differs."""
    box = await make_box()
    await day(box, FIRST, [(7, 0)])
    start = FIRST + DAY
    for quarter in range(96):
        low = start + quarter * QUARTER
        box.at(low + QUARTER)
        await box.delta(low, low + QUARTER, 0 if quarter else 4, 0)
    await box.close()
    box.at(start + DAY + 19 * MINUTE)
    for ins in (5, 4):
        await box.delta(start, start + QUARTER, ins, 0)
    await box.close()
    reader = box.store.reader()
    [before] = reader.live(box.wall)
    box.pass_ms(5_000)
    assert await box.close() == 0
    [after] = reader.live(box.wall)
    reader.close_file()
    assert (before.residual, after.residual) == (7, 4)
