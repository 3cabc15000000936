"""What makes people switch alarms off: those of ordinary doors, and those that do not end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.quality import Kind, Severity, Slot
from tests.door import DAY_MS
from tests.door import Door as Hourly


class Door(Hourly):
    """In quarters of an hour, as windows are unless somebody wants others."""

    def slots(self, day: int) -> list[Slot]:
        return [quarter for slot in super().slots(day) for quarter in self._quarters(slot)]

    def _quarters(self, slot: Slot) -> Iterator[Slot]:
        at = (
            [self.dice.randrange(4) for _ in range(slot.ins or 0)],
            [self.dice.randrange(4) for _ in range(slot.outs or 0)],
        )
        for n in range(4):
            ins, outs = (side.count(n) for side in at)
            start_ms, index = slot.start_ms + n * 900_000, 4 * slot.index + n
            yield replace(slot, start_ms=start_ms, size_s=900, index=index, ins=ins, outs=outs)


LOUD = (Severity.WARNING, Severity.FAULT)


def told(door: Door) -> list[tuple[Kind, int]]:
    """What somebody was alarmed by, and on which day."""
    return [
        (one.kind, one.since_ms // DAY_MS)
        for one in door.changes
        if one.until_ms is None and one.severity in LOUD
    ]


def still(door: Door) -> set[Kind]:
    return {one.kind for one in door.detectors.opens if one.kind is not Kind.EVENT_HIGH}


def nobody(slot: Slot) -> Slot:
    return replace(slot, ins=0, outs=0)


def test_a_door_that_nobody_has_used_yet_is_not_dead_and_its_first_day_is_no_spike() -> None:
    """Counters hang for weeks before the shop opens."""
    door = Door(hours=False).live(24, nobody)
    assert told(door) == []
    door.live(28)
    assert told(door) == []


def test_the_first_persons_of_a_quiet_new_door_are_nothing() -> None:
    door = Door(hours=False, scale=0.05).live(21, nobody)
    door.live(28)
    assert told(door) == []


def test_a_shop_that_is_closed_on_sundays_is_well_for_months_without_hours() -> None:
    door = Door(hours=False).live(7 * 16, lambda slot: nobody(slot) if slot.day == 2 else slot)
    assert told(door) == []


@pytest.mark.parametrize("seed", range(3))
def test_two_persons_a_day_are_a_life(seed: int) -> None:
    door = Door(hours=False, scale=0.001, seed=seed).live(120)
    assert told(door) == []


def test_a_counter_that_says_out_0_for_ever_counts_one_way() -> None:
    door = Door(hours=False).live(56, lambda slot: replace(slot, outs=0))
    assert told(door) == []


def test_an_entrance_that_hardly_anybody_leaves_by_is_no_imbalance() -> None:
    door = Door().live(56, lambda slot: replace(slot, outs=slot.ins // 25))
    assert told(door) == []


def test_a_door_that_begins_to_run_one_way_after_a_week_is_told() -> None:
    door = Door().live(10)
    door.live(1, lambda slot: replace(slot, outs=slot.outs // 50))
    assert {kind for kind, _day in told(door)} & {Kind.IMBALANCE, Kind.ONE_SIDED}


def test_the_morning_after_a_silence_is_not_one_sided() -> None:
    """The first who come have not left yet; nobody left while the door was dead either."""
    door = Door(hours=False).live(42)
    door.live(2, nobody)
    door.live(7)
    assert [kind for kind, _day in told(door)] == [Kind.DEAD]
    assert still(door) == set()


@pytest.mark.parametrize("scale", [0.006, 0.02])
def test_silence_of_a_quiet_door_ends_when_people_come_back(scale: float) -> None:
    """Ten to thirty persons a day: no slot of it ever expects many."""
    door = Door(hours=False, scale=scale).live(42)
    door.live(8, nobody)
    assert still(door) == {Kind.DEAD}
    door.live(3)
    assert still(door) == set()


def test_a_lost_direction_of_a_quiet_door_ends_when_it_is_found() -> None:
    door = Door(hours=False, scale=0.02).live(42)
    door.live(6, lambda slot: replace(slot, outs=0))
    assert still(door) == {Kind.ONE_SIDED}
    door.live(4)
    assert still(door) == set()


def test_a_lost_direction_does_not_end_while_it_is_lost() -> None:
    door = Door(hours=False, scale=0.02).live(42)
    door.live(12, lambda slot: replace(slot, outs=0))
    assert door.ended(Kind.ONE_SIDED) == []


def test_a_dead_quiet_door_does_not_end_by_itself() -> None:
    door = Door(hours=False, scale=0.02).live(42)
    door.live(30, nobody)
    assert told(door)[0][0] is Kind.DEAD
    assert len(told(door)) == 1
    assert still(door) == {Kind.DEAD}


def test_a_class_of_children_in_a_quiet_door_is_no_spike() -> None:
    door = Door(scale=0.01).live(42)
    door.live(1, lambda slot: replace(slot, ins=26) if slot.index == 42 else slot)
    assert told(door) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_door_with_as_many_in_as_out_at_any_hour_is_never_exchanged(seed: int) -> None:
    """Two Sundays tell of a difference in each quarter, and all of it is chance."""

    class Balanced(Door):
        def slots(self, day: int) -> list[Slot]:
            return [
                replace(one, ins=self._all_day(one), outs=self._all_day(one)) for one in super().slots(day)
            ]

        def _all_day(self, slot: Slot) -> int:
            return max(0, round(self.dice.gauss(24, 5))) if slot.open else 0

    assert told(Balanced(seed=seed).live(63)) == []
