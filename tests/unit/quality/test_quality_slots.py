"""What a single slot can show, and what must not be taken for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.quality import NOT_COUNTED, DayType, Kind, Rules, Severity, Slot
from gateway.quality.cells import Expected
from gateway.quality.detectors import Run
from gateway.quality.judging import silence, too_silent
from tests.door import DAY_MS, HOUR_MS, Door, hour_of


def silent(slot: Slot) -> Slot:
    return replace(slot, ins=0, outs=0)


def times(factor: float) -> object:
    return lambda slot: replace(slot, ins=round(slot.ins * factor), outs=round(slot.outs * factor))


def test_a_door_that_nobody_comes_through_is_dead_within_two_busy_hours() -> None:
    door = Door().known()
    began = door.day * DAY_MS + 10 * HOUR_MS
    door.live(1, lambda slot: silent(slot) if hour_of(slot) >= 10 else slot)
    alarm = door.first(Kind.DEAD)
    assert alarm.since_ms == began
    assert alarm.severity is Severity.FAULT
    assert alarm.evidence["expected"] > 100
    assert alarm.evidence["unlikely"] >= 6
    assert Kind.DEAD in NOT_COUNTED


def test_the_end_of_a_silence_is_when_people_came_again() -> None:
    door = Door().known()
    began = door.day * DAY_MS
    door.live(1, lambda slot: silent(slot) if 10 <= hour_of(slot) < 15 else slot)
    (ended,) = door.ended(Kind.DEAD)
    assert (ended.since_ms, ended.until_ms) == (began + 10 * HOUR_MS, began + 15 * HOUR_MS)


def test_a_single_person_in_between_does_not_make_the_alarm_flap() -> None:
    door = Door().known()
    door.live(
        1, lambda slot: replace(slot, ins=int(hour_of(slot) % 3 == 0), outs=0) if hour_of(slot) >= 9 else slot
    )
    assert len([alarm for alarm in door.changes if alarm.kind is Kind.DEAD]) == 1


def test_a_closed_shop_is_not_dead() -> None:
    door = Door().known()
    holiday = door.day
    door.live(1, lambda slot: replace(silent(slot), open=False))
    door.live(7)
    assert holiday % 7 == 0, "a Monday, on which many were expected"
    assert Kind.DEAD not in door.begun()


def test_a_shop_without_hours_learns_that_it_is_closed_on_sundays_and_at_night() -> None:
    door = Door(hours=False)
    door.live(7 * 8, lambda slot: silent(slot) if slot.day == 2 else slot, neighbour=0.0)
    assert Kind.DEAD not in door.begun()


def test_a_holiday_without_hours_is_told_once_and_teaches_no_silence() -> None:
    door = Door(hours=False, seed=2).known()
    door.live(1, silent)
    door.live(14)
    (ended,) = door.ended(Kind.DEAD)
    midnight = (door.day - 14) * DAY_MS
    assert midnight <= ended.until_ms <= midnight + 7 * HOUR_MS, "as soon as anybody came by"
    assert len([one for one in door.changes if one.kind is Kind.DEAD]) == 2


def test_what_nobody_watched_is_missing_and_not_zero() -> None:
    door = Door().known()
    door.live(1, lambda slot: replace(silent(slot), watched=0.2))
    door.live(1, lambda slot: replace(slot, ins=None, outs=None))
    assert door.changes == []
    assert door.level is None


def test_silence_goes_on_across_a_gap_that_nobody_watched() -> None:
    door = Door().known()
    door.live(1, lambda slot: replace(silent(slot), watched=1.0 if hour_of(slot) != 10 else 0.0))
    assert door.first(Kind.DEAD).since_ms % DAY_MS == 8 * HOUR_MS


def test_one_direction_silent() -> None:
    door = Door().known()
    door.live(1, lambda slot: replace(slot, outs=0))
    alarm = door.first(Kind.ONE_SIDED)
    assert (alarm.evidence["outs"], alarm.evidence["ins"] > 0) == (0, True)
    assert Kind.DEAD not in door.begun()


def test_nearly_one_direction_only_is_seen_the_same_day() -> None:
    """Brooklyn Bridge on 2018-07-13: 20,062 against 94."""
    door = Door().known()
    door.live(1, lambda slot: replace(slot, outs=slot.outs // 50))
    assert Kind.ONE_SIDED in door.begun()


@pytest.mark.parametrize("two_sided", [True, False])
def test_the_same_count_again_and_again(two_sided: bool) -> None:
    door = Door(two_sided=two_sided).known()
    door.live(1, lambda slot: replace(slot, ins=31, outs=30) if hour_of(slot) >= 9 else slot)
    alarm = door.first(Kind.STUCK)
    assert (alarm.evidence["count"], alarm.evidence["times"]) == (61, 5)
    assert door.changes.index(alarm) == 0, "told from the fifth on, before anything else is"


def test_small_counts_repeat_themselves_by_chance() -> None:
    door = Door(scale=0.02, hours=False)
    door.live(60)
    assert Kind.STUCK not in door.begun()


def test_a_long_reading_shared_over_many_slots_is_not_stuck() -> None:
    door = Door().known()
    door.live(1, lambda slot: replace(slot, ins=90, outs=90, estimated=1.0))
    assert door.changes == []


def test_more_than_a_door_can_pass_is_impossible_and_teaches_nothing() -> None:
    door = Door(rules=Rules(max_per_s=1.0)).known()
    before = dict(door.cells)
    door.live(1, lambda slot: replace(slot, ins=36_010) if hour_of(slot) == 12 else slot)
    assert door.first(Kind.SPIKE_IMPOSSIBLE).evidence["limit"] == 3600
    assert door.cells[12] == before[12]
    assert door.begun() == {Kind.SPIKE_IMPOSSIBLE}, "what is no count is not lopsided and no crowd either"
    assert Kind.SPIKE_IMPOSSIBLE in NOT_COUNTED


def test_a_busy_event_is_an_event_and_not_a_fault() -> None:
    door = Door().known()
    door.live(1, lambda slot: times(1.8)(slot) if hour_of(slot) >= 14 else slot)  # type: ignore[operator]
    assert door.begun() == {Kind.EVENT_HIGH}
    assert door.first(Kind.EVENT_HIGH).severity is Severity.INFO
    assert Kind.EVENT_HIGH not in NOT_COUNTED
    assert len(door.ended(Kind.EVENT_HIGH)) == 1


def test_a_busy_week_moves_the_level_and_is_no_fault() -> None:
    door = Door().known()
    door.live(21, times(1.3), neighbour=0.26)  # type: ignore[arg-type]
    assert door.begun() <= {Kind.EVENT_HIGH}


def test_far_more_than_ever_is_looked_at_and_still_counted() -> None:
    door = Door().known()
    door.live(1, lambda slot: times(5)(slot) if hour_of(slot) == 12 else slot)  # type: ignore[operator]
    assert door.first(Kind.SPIKE).severity is Severity.WARNING
    assert Kind.SPIKE not in NOT_COUNTED


def test_counts_while_closed() -> None:
    door = Door().known()
    door.live(1, lambda slot: replace(slot, ins=9, outs=9) if hour_of(slot) < 6 else slot)
    alarm = door.first(Kind.CLOSED_COUNTS)
    assert (alarm.evidence["count"], alarm.evidence["slots"]) == (36, 4)


def test_staff_in_the_morning_is_not_worth_an_alarm() -> None:
    door = Door().known()
    door.live(7, lambda slot: replace(slot, ins=2, outs=1) if hour_of(slot) < 8 else slot)
    assert door.changes == []


def test_a_wrong_clock_is_told_and_ends_when_it_is_right_again() -> None:
    door = Door().known()
    offsets = {9: 130.0, 10: 100.0, 11: 121.0, 12: 40.0, 13: -20.0}
    door.live(1, lambda slot: replace(slot, clock_offset_s=offsets.get(hour_of(slot))))
    assert [alarm.kind for alarm in door.changes] == [Kind.CLOCK, Kind.CLOCK], "between the limits it stays"
    assert door.first(Kind.CLOCK).evidence == {"offset_s": 130.0}
    assert door.ended(Kind.CLOCK)[0].until_ms == (door.day - 1) * DAY_MS + 12 * HOUR_MS


def test_nothing_is_judged_by_a_profile_in_the_first_week() -> None:
    door = Door()
    door.live(7, lambda slot: silent(slot) if slot.start_ms // DAY_MS >= 4 else slot)
    assert door.changes == []


@pytest.mark.parametrize(("days", "length_s"), [(2, 0), (3, 3600)])
def test_a_slot_known_from_two_days_cannot_be_too_silent(days: int, length_s: int) -> None:
    slot = Slot("door", 0, 3600, 10, DayType.WEEKDAY, ins=0, outs=0)
    run = silence(Run(), 0, Expected(50, 0.05, days, 50), slot, Rules())
    assert run.length_s == length_s


@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        (Run(0, 3600, -6.0, 25.0), True),
        (Run(0, 3600, -5.9, 25.0), False),
        (Run(0, 3600, -6.0, 24.9), False),
        (Run(0, 899, -6.0, 25.0), False),
    ],
)
def test_silence_needs_odds_persons_and_a_quarter_of_an_hour(run: Run, verdict: bool) -> None:
    assert too_silent(run, Rules()) is verdict


def test_a_slot_that_comes_again_changes_nothing() -> None:
    door = Door().known()
    last = door.slots(door.day - 1)[-1]
    before, cells = door.detectors, dict(door.cells)
    door.feed(last)
    assert (door.detectors, door.cells) == (before, cells)
