"""The state of a line: bytes and back, of constant size, never a number that is none; and what it costs."""

from __future__ import annotations

import math
import struct
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.quality import Cell, Day, DayType, Detectors, Kind, Rules, Slot, end_of_day, step
from gateway.quality.cells import Moments
from gateway.quality.detectors import Open

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MAX_DETECTORS_BYTES = 1100  # with all kinds of alarms open
COUNT = st.one_of(st.none(), st.integers(0, 30), st.integers(0, 10**9))


@st.composite
def stories(draw: st.DrawFn) -> list[Slot | float]:
    """Slots in order of time, with gaps, of any counts; a number ends a day beside such a neighbour."""
    story: list[Slot | float] = []
    at = 0
    for _ in range(draw(st.integers(1, 60))):
        if draw(st.integers(0, 5)) == 0:
            story.append(draw(st.floats(-3, 3)))
        at += HOUR_MS * draw(st.sampled_from([1, 1, 1, 2, 30, 700]))
        one_way = draw(st.booleans())
        story.append(
            Slot(
                "door",
                at,
                3600,
                at // HOUR_MS % 24,
                draw(st.sampled_from(DayType)),
                draw(st.sampled_from([None, True, True, False])),
                ins=None if one_way else draw(COUNT),
                outs=None if one_way else draw(COUNT),
                passes=draw(COUNT) if one_way else None,
                watched=draw(st.sampled_from([None, 1.0, 1.0, 0.5, 0.0])),
                estimated=draw(st.sampled_from([0.0, 0.0, 1.0])),
                clock_offset_s=draw(st.sampled_from([None, 0.0, 1e6, -300.0])),
            )
        )
    return story


def numbers(value: Any) -> list[float]:
    if isinstance(value, list | tuple):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, int | float) else []


def live(story: list[Slot | float], rules: Rules) -> tuple[Detectors, dict[int, Cell]]:
    """Every state on the way is packed, unpacked and looked at."""
    detectors, cells = Detectors(), dict[int, Cell]()
    for event in story:
        before = detectors.encode()
        if isinstance(event, Slot):
            done = step(detectors, cells.get(event.index, Cell()), event, rules)
            assert Cell.decode(done.cell.encode()) == done.cell
            assert all(map(math.isfinite, numbers(astuple(done.cell))))
            cells[event.index] = done.cell
        else:
            day = Day("door", detectors.through_ms - DAY_MS, detectors.through_ms)
            done = end_of_day(detectors, day, [event], rules)  # type: ignore[assignment]
        assert detectors.encode() == before, "what was given stays as it was"
        detectors = done.detectors
        assert Detectors.decode(detectors.encode()) == detectors
        assert all(map(math.isfinite, numbers(astuple(detectors))))
        assert len(detectors.encode()) <= MAX_DETECTORS_BYTES
        assert all(isinstance(alarm.kind, Kind) for alarm in done.changes)
    return detectors, cells


@settings(deadline=None, max_examples=60)
@given(stories())
def test_any_story_leaves_a_state_that_is_bounded_finite_and_survives_being_stored(
    story: list[Slot | float],
) -> None:
    live(story, Rules(warm_days=0, warm_shape_days=0, warm_level_days=0, min_day=0, min_apart=0.0))


@settings(deadline=None, max_examples=30)
@given(stories())
def test_alarms_begin_before_they_end_and_one_of_a_kind_at_a_time(story: list[Slot | float]) -> None:
    detectors, cells, running = Detectors(), dict[int, Cell](), set[Kind]()
    rules = Rules(warm_days=0, warm_shape_days=0, warm_level_days=0)
    for slot in (event for event in story if isinstance(event, Slot)):
        done = step(detectors, cells.get(slot.index, Cell()), slot, rules)
        detectors, cells[slot.index] = done.detectors, done.cell
        for alarm in done.changes:
            assert (alarm.until_ms is None) == (alarm.kind not in running)
            assert alarm.until_ms is None or alarm.until_ms >= alarm.since_ms
            running ^= {alarm.kind}
    assert running == {one.kind for one in detectors.opens}


def test_all_alarms_open_at_once_is_the_largest_state() -> None:
    opens = tuple(Open(kind, 1, 13, 2) for kind in Kind)
    detectors = Detectors(ring=((1.0, 2.0),) * 4, opens=opens)
    assert Detectors.decode(detectors.encode()) == detectors
    assert len(detectors.encode()) <= MAX_DETECTORS_BYTES


@pytest.mark.parametrize(
    "damage", [b"", b"\x01", b"\x63" + Detectors().encode()[1:], Detectors().encode()[:-9]]
)
def test_a_state_of_another_version_or_cut_short_is_refused(damage: bytes) -> None:
    with pytest.raises(ValueError):
        Detectors.decode(damage)
    with pytest.raises(ValueError):
        Cell.decode(damage)


def test_a_cell_is_a_small_row() -> None:
    cell = Cell((Moments(60, 123.5, 1e9),) * 6)
    assert len(cell.encode()) == 1 + 6 * struct.calcsize("<Hdd") == 109
    assert Cell.decode(cell.encode()) == cell


def test_a_value_of_another_kind_of_day_teaches_that_day_only() -> None:
    cell = Cell().learn(DayType.SATURDAY, (10.0, None), 60)
    assert cell.of(DayType.SATURDAY, 0) == Moments(1, 10.0, 0.0)
    assert cell.of(DayType.SATURDAY, 1) == cell.of(DayType.WEEKDAY, 0) == Moments()
