"""What only whole days show: loss, shift, balance, direction, clock."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gateway.quality import Day, DayType, Detectors, Kind, Rules, Slot, end_of_day
from gateway.quality.detectors import Level
from tests.door import DAY_MS, Door, hour_of


def lost(share: float) -> object:
    return lambda slot: replace(slot, ins=round(slot.ins * (1 - share)), outs=round(slot.outs * (1 - share)))


def test_a_lens_that_gets_dirty_is_found() -> None:
    door = Door().known(8)
    door.live(60, lost(0.15), neighbour=0.0)  # type: ignore[arg-type]
    alarm = door.first(Kind.SLOW_LOSS)
    assert alarm.evidence["change"] == pytest.approx(-0.15, abs=0.03)


def test_a_quiet_season_that_the_neighbours_share_is_no_loss() -> None:
    door = Door().known(8)
    door.live(60, lost(0.2), neighbour=-0.22)  # type: ignore[arg-type]
    assert door.begun() <= {Kind.EVENT_HIGH}


def test_a_level_of_its_own_opens_a_break_and_a_shared_one_does_not() -> None:
    door, shared = Door().known(8), Door().known(8)
    began = door.day * DAY_MS
    door.live(150, lost(-0.4), neighbour=0.0)  # type: ignore[arg-type]
    shared.live(80, lost(-0.4), neighbour=0.3)  # type: ignore[arg-type]
    (broken,) = door.breaks
    assert abs(broken.since_ms - began) <= 3 * DAY_MS
    assert broken.factor == pytest.approx(1.4, abs=0.07)
    assert Kind.LEVEL_SHIFT in door.begun()
    assert len(door.ended(Kind.LEVEL_SHIFT)) == 1, "told, seen, and over: the new level is the level"
    assert shared.breaks == []


def test_after_a_break_the_new_level_is_the_usual_one() -> None:
    door = Door().known(8)
    before = door.detectors.gap.mean
    while not door.breaks:
        door.live(1, lost(-0.4), neighbour=0.0)  # type: ignore[arg-type]
    moved = door.detectors.gap.mean - before
    assert moved == pytest.approx(math.log(door.breaks[0].factor), abs=0.03)


def test_days_that_were_strange_are_not_a_lens_that_gets_dirty() -> None:
    door = Door().known(8)
    door.live(3, lost(0.7), neighbour=0.0)  # type: ignore[arg-type]
    door.live(40, neighbour=0.0)
    assert Kind.SLOW_LOSS not in door.begun()
    assert abs(door.detectors.gap.mean) < 0.05


def test_a_line_alone_cannot_tell_a_shift_from_the_season() -> None:
    door = Door().known(8)
    door.live(80, lost(-0.4))  # type: ignore[arg-type]
    assert door.breaks == []


def test_ins_without_outs_for_a_day() -> None:
    door = Door().known()
    door.live(1, lambda slot: replace(slot, outs=round(slot.outs * 0.6)), neighbour=0.0)
    alarm = door.first(Kind.IMBALANCE)
    assert alarm.evidence["imbalance"] == pytest.approx(0.5, abs=0.1)


def test_a_small_imbalance_counts_after_three_days() -> None:
    door = Door().known()
    tilted = lambda slot: replace(slot, outs=round(slot.outs * 0.88))  # noqa: E731
    door.live(2, tilted, neighbour=0.0)
    assert Kind.IMBALANCE not in door.begun()
    door.live(1, tilted, neighbour=0.0)
    assert Kind.IMBALANCE in door.begun()


def test_a_door_that_people_leave_by_another_way_is_in_balance_with_itself() -> None:
    door = Door()
    door.live(70, lambda slot: replace(slot, outs=round(slot.outs * 0.7)), neighbour=0.0)
    assert door.begun() == set()


def test_where_there_is_no_other_way_the_same_is_an_imbalance() -> None:
    door = Door(rules=Rules(closed_perimeter=True))
    door.live(1, lambda slot: replace(slot, outs=round(slot.outs * 0.7)))
    assert door.begun() == {Kind.IMBALANCE}


def test_too_few_persons_say_nothing_of_a_balance() -> None:
    """110 in and 95 out are 15 % apart and may be chance."""
    door = Door(rules=Rules(closed_perimeter=True), hours=False)
    for day in range(5):
        slot = Slot("door", day * DAY_MS, 3600, 0, DayType.WEEKDAY, ins=110, outs=95)
        door.feed(slot)
        door.close()
    assert door.changes == []


def test_in_and_out_exchanged() -> None:
    door = Door().known()
    door.live(2, lambda slot: replace(slot, ins=slot.outs, outs=slot.ins), neighbour=0.0)
    alarm = door.first(Kind.SWAPPED)
    assert alarm.evidence["likeness"] == pytest.approx(1, abs=0.3)
    assert alarm.evidence["sag"] > alarm.evidence["usual_sag"]


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("size_s", [3600, 900])
def test_a_clock_that_does_not_know_of_summer_time(hours: int, size_s: int) -> None:
    """The people of the day come an hour late, or early."""
    door = Door()
    shape = [0, 0, 5, 9, 30, 90, 160, 200, 150, 80, 30, 9]

    def slots(day: int, moved: int) -> list[Slot]:
        per_hour = 3600 // size_s
        slots = []
        for n in range(24 * per_hour):
            count = shape[(n // per_hour - moved) % 24 // 2] + (day * 7 + n * 5) % 11
            slots.append(
                Slot("door", day * DAY_MS + n * size_s * 1000, size_s, n, DayType.WEEKDAY, passes=count)
            )
        return slots

    for day in range(30):
        for slot in slots(day, hours if day >= 25 else 0):
            door.feed(slot)
        door.close(0.0)
    assert door.begun() <= {Kind.CLOCK_SHIFTED, Kind.EVENT_HIGH}
    alarm = door.first(Kind.CLOCK_SHIFTED)
    assert alarm.evidence["hours"] == -hours, "it fits when moved back"
    assert alarm.since_ms == 27 * DAY_MS, "the third such day"


def test_a_day_that_is_judged_again_changes_nothing() -> None:
    door = Door().known()
    day = Day("door", (door.day - 1) * DAY_MS, door.day * DAY_MS)
    assert end_of_day(door.detectors, day, [0.5], door.rules).detectors == door.detectors


def test_the_order_of_the_neighbours_is_nothing() -> None:
    door = Door().known()
    for slot in door.slots(door.day):
        door.feed(slot)
    day = Day("door", door.day * DAY_MS, (door.day + 1) * DAY_MS)
    levels = [0.3, -0.2, 0.1, 0.0]
    assert end_of_day(door.detectors, day, levels, door.rules) == end_of_day(
        door.detectors, day, sorted(levels), door.rules
    )


def test_a_dead_day_has_no_level() -> None:
    door = Door().known()
    for slot in door.slots(door.day):
        door.feed(replace(slot, ins=0, outs=0) if hour_of(slot) > 12 else slot)
    assert Kind.DEAD in door.begun()
    assert door.level is None


def test_a_day_of_nothing_is_a_day_once_somebody_came() -> None:
    for days, then in ((0, 0), (3, 4)):
        ended = end_of_day(Detectors(level=Level(days)), Day("door", 0, DAY_MS), [], Rules())
        assert (ended.changes, ended.broken, ended.detectors.level.days) == ((), None, then)
