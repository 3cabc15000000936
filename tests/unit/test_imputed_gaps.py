"""What nobody watched: imputed by line, beside what was counted, and never where nothing can be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.measures import imputing
from gateway.measures.ratios import NO_HISTORY
from gateway.reports.gaps import (
    SIDES,
    Cell,
    Door,
    Filled,
    Usual,
    filled,
    joined,
    missing,
    tier_of,
    usual,
    usual_days,
)
from gateway.reports.lacks import Gaps, Lines

HOUR_MS = 3_600_000
THURSDAY = date(2026, 11, 26)


def cell(hour: int, ins: int, watched: float | None = 1.0, open_: float = 1.0) -> Cell:
    open_ms = round(open_ * HOUR_MS)
    watched_ms = None if watched is None else round(watched * open_ms)
    return Cell(hour * HOUR_MS, 3600, hour * 60 % 1440, open_ms, watched_ms, (ins, 2 * ins, 0))


def door(*cells: Cell) -> Door:
    return Door("d", "entrance", cells)


def usual_of(**doors: Sequence[Cell]) -> Usual:
    """A day that others are judged by, whole by itself."""
    cells = {line: Door(line, "entrance", list(each)) for line, each in doors.items()}
    found = usual(cells, sum({one.start_ms: one.open_ms for each in doors.values() for one in each}.values()))
    assert found is not None
    return found


# --- the oracle


def test_a_busy_day_stays_busy() -> None:
    """Oracle O8: 131 of 144 cells seen, 1250 persons where 1322 are usual; 118 are usual in the others.

    Usual days that are all alike leave the smallest dispersion, so the error is that of O8 by sqrt(2.5).
    """
    usual_counts = [10] * 130 + [22] + [9] * 12 + [10]
    day = [
        Cell(n * 600_000, 600, n * 10, 600_000, 600_000, (count, 0, 0))
        for n, count in enumerate(usual_counts)
    ]
    before = [usual({"d": door(*day)}, 144 * 600_000)] * 4
    seen = [replace(one, persons=(0, 0, 0)) for one in day]
    seen[0] = replace(seen[0], persons=(1250, 0, 0))
    seen[131:] = [replace(one, watched_ms=0) for one in seen[131:]]
    side = filled({"d": door(*seen)}, [one for one in before if one], 131 / 144).sides["ins"]
    assert (side.usual, side.factor) == (pytest.approx(1322), pytest.approx(0.945537, abs=5e-7))
    assert side.imputed == pytest.approx(111.573374, abs=5e-7)
    assert side.error == pytest.approx(17.430739 / 2.5**0.5, abs=5e-7)
    low, high = side.bounds(1250)
    t = 2.570582  # Student's t, 97.5 %, of the four days and what is assumed
    assert (low, high) == pytest.approx(
        (1361.573374 - t * side.error, 1361.573374 + t * side.error), abs=1e-4
    )


def test_while_one_door_is_blind_the_others_count_on() -> None:
    """A zone that is scaled as a whole would add the persons of the open door twice."""
    usual_day = usual_of(north=[cell(10, 100), cell(11, 100)], south=[cell(10, 50), cell(11, 50)])
    today = {
        "north": door(cell(10, 110), cell(11, 0, 0.0)),
        "south": door(cell(10, 60), cell(11, 40)),
    }
    found = filled(today, [usual_day, usual_day], 0.9)
    assert found.sides["ins"].imputed == pytest.approx(110)  # the north door's alone, busy as it was
    assert found.sides["outs"].imputed == pytest.approx(220)


def test_a_window_that_was_watched_for_a_while_counts_by_its_share() -> None:
    usual_day = usual_of(d=[cell(10, 100), cell(11, 100)])
    found = filled({"d": door(cell(10, 100), cell(11, 75, 0.75))}, [usual_day] * 2, 0.9)
    assert found.sides["ins"].imputed == pytest.approx(25)


def test_an_hour_that_was_shorter_is_usual_by_its_open_time() -> None:
    """Opened at half past: half of what the whole hour brings."""
    usual_day = usual_of(d=[cell(9, 60), cell(10, 100)])
    found = filled({"d": door(cell(9, 0, 0.0, open_=0.5), cell(10, 100))}, [usual_day] * 2, 0.9)
    assert found.sides["ins"].imputed == pytest.approx(30)


# --- what cannot be said


@pytest.mark.parametrize("days", [0, 1])
def test_fewer_than_two_usual_days_are_no_history(days: int) -> None:
    usual_day = usual_of(d=[cell(10, 100), cell(11, 100)])
    assert filled({"d": door(cell(10, 100), cell(11, 0, 0.0))}, [usual_day] * days, 0.9).why == NO_HISTORY


def test_a_late_opening_hour_that_no_usual_day_had_has_no_history() -> None:
    usual_day = usual_of(d=[cell(10, 100)])
    assert filled({"d": door(cell(10, 100), cell(21, 0, 0.0))}, [usual_day] * 4, 0.9).why == NO_HISTORY


def test_a_new_door_has_no_history_and_a_whole_one_needs_none() -> None:
    usual_day = usual_of(old=[cell(10, 100), cell(11, 100)])
    lost = {"new": door(cell(10, 5), cell(11, 0, 0.0)), "old": door(cell(10, 100), cell(11, 100))}
    assert filled(lost, [usual_day] * 4, 0.9).why == NO_HISTORY
    whole = {"new": door(cell(10, 5), cell(11, 5)), "old": door(cell(10, 100), cell(11, 0, 0.0))}
    assert filled(whole, [usual_day] * 4, 0.9).sides["ins"].imputed == pytest.approx(100)


def test_nobody_knows_what_nobody_ever_watched() -> None:
    assert usual({"d": door(cell(10, 100, None))}, HOUR_MS) is None


def test_a_day_with_a_hole_is_not_usual() -> None:
    day = [cell(hour, 10, 1.0 if hour else 0.0) for hour in range(20)]
    assert usual({"d": door(*day)}, 20 * HOUR_MS) is not None  # 95 %
    assert usual({"d": door(*day[:19])}, 20 * HOUR_MS) is None  # the last window is gone altogether
    assert (
        usual({"d": door(*day), "e": door(*[replace(one, watched_ms=0) for one in day])}, 20 * HOUR_MS)
        is None
    )


def test_four_same_weekdays_of_a_quarter() -> None:
    day = usual_of(d=[cell(10, 1)])
    known = {THURSDAY - timedelta(weeks=n): day for n in (1, 3, 4, 12, 13)}
    asked: list[date] = []

    def of(one: date) -> Usual | None:
        asked.append(one)
        return known.get(one)

    assert len(usual_days(THURSDAY, of)) == 4
    assert {one.weekday() for one in asked} == {3}
    del known[THURSDAY - timedelta(weeks=3)]
    assert len(usual_days(THURSDAY, of)) == 3  # not the one of 13 weeks ago


# --- two hours at one time of day


def test_an_hour_that_comes_twice_is_usual_once_and_missing_twice() -> None:
    """The night to winter time: two windows show 02:00."""
    twice = [cell(1, 10), cell(2, 20), replace(cell(3, 40), minute=120)]
    usual_day = usual_of(d=twice)
    assert usual_day["d"][120, 3600][0] * HOUR_MS == pytest.approx(30)
    lost = [cell(1, 10), cell(2, 0, 0.0), replace(cell(3, 0, 0.0), minute=120)]
    assert filled({"d": door(*lost)}, [usual_day] * 2, 0.9).sides["ins"].imputed == pytest.approx(60)


def test_an_hour_that_spring_skips_is_not_missed_by_others() -> None:
    """Of four days one has no 02:00: the mean is of the three that had."""
    short, long = usual_of(d=[cell(1, 10), cell(3, 10)]), usual_of(d=[cell(1, 10), cell(2, 10), cell(3, 10)])
    lost = {"d": door(cell(1, 10), cell(2, 0, 0.0), cell(3, 10))}
    assert filled(lost, [short, long, long, long], 0.9).sides["ins"].imputed == pytest.approx(10)


# --- laws

hours = st.lists(
    st.tuples(
        st.integers(0, 500),
        st.floats(0, 1),
        st.sampled_from([0.0, 0.25, 1.0]),
        st.lists(st.integers(0, 500), min_size=4, max_size=4),
    ),
    min_size=1,
    max_size=24,
)


def day_and_usual(drawn: list[tuple[int, float, float, list[int]]]) -> tuple[list[Cell], list[Usual]]:
    today = [cell(hour, ins, share, open_) for hour, (ins, share, open_, _) in enumerate(drawn)]
    before = []
    for n in range(4):
        day = [cell(hour, counts[n], 1.0, open_) for hour, (_, _, open_, counts) in enumerate(drawn)]
        if (one := usual({"d": door(*day)}, sum(c.open_ms for c in day))) is not None:
            before.append(one)
    return today, before


@given(hours, st.floats(0.80, 0.979))
def test_what_is_imputed_is_never_less_than_nothing(
    drawn: list[tuple[int, float, float, list[int]]], covered: float
) -> None:
    today, before = day_and_usual(drawn)
    found = filled({"d": door(*today)}, before, covered)
    counted = sum(one.persons[0] for one in today)
    for side in found.sides.values():
        assert side.imputed >= 0
        assert side.variance >= 0
    low, high = found.sides["ins"].bounds(counted)
    assert counted <= low <= counted + found.sides["ins"].imputed + 1e-6
    assert high >= counted + found.sides["ins"].imputed - 1e-6


@given(hours, st.randoms())
def test_the_order_of_windows_and_days_does_not_matter(
    drawn: list[tuple[int, float, float, list[int]]], dice: object
) -> None:
    today, before = day_and_usual(drawn)
    one = filled({"d": door(*today)}, before, 0.9)
    dice.shuffle(today)  # type: ignore[attr-defined]
    dice.shuffle(before)  # type: ignore[attr-defined]
    other = filled({"d": door(*today)}, before, 0.9)
    assert one.why == other.why
    for name in SIDES:
        assert one.sides[name].imputed == pytest.approx(other.sides[name].imputed)
        assert one.sides[name].variance == pytest.approx(other.sides[name].variance)


@given(hours)
def test_nothing_is_imputed_for_closed_windows(drawn: list[tuple[int, float, float, list[int]]]) -> None:
    today, before = day_and_usual([(ins, 0.0, 0.0, counts) for ins, _, _, counts in drawn])
    found = filled({"d": door(*today)}, before, 0.9)
    assert (found.why, [found.sides[name].imputed for name in SIDES]) == ("", [0, 0, 0])


@given(hours, hours)
def test_a_zone_is_the_sum_of_its_doors(
    first: list[tuple[int, float, float, list[int]]], second: list[tuple[int, float, float, list[int]]]
) -> None:
    (north, usual_north), (south, usual_south) = day_and_usual(first), day_and_usual(second)
    before = [{"n": a["d"], "s": b["d"]} for a, b in zip(usual_north, usual_south, strict=False)]
    alone = [
        filled({"n": door(*north)}, before, 0.9),
        filled({"s": door(*south)}, before, 0.9),
    ]
    both = filled({"n": door(*north), "s": door(*south)}, before, 0.9)
    assert bool(both.why) == any(one.why for one in alone)
    if not both.why:
        for name in SIDES:
            assert both.sides[name].imputed == pytest.approx(sum(one.sides[name].imputed for one in alone))
            assert both.sides[name].variance == pytest.approx(sum(one.sides[name].variance for one in alone))


# --- dispersion of persons


def test_days_that_are_alike_leave_only_chance() -> None:
    assert imputing.dispersion([(100, 10)] * 4) == 1
    assert imputing.dispersion([]) == 2  # what is taken until a zone's own is known


def test_days_that_differ_make_the_error_wider() -> None:
    """Each imputed from the other: (10 - 30)² / (30 + 9) and (30 - 10)² / (10 + 1), and 2 to begin with."""
    assert imputing.dispersion([(100, 10), (100, 30)]) == pytest.approx((2 + 400 / 39 + 400 / 11) / 3)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=6))
def test_dispersion_is_never_below_chance(days: list[tuple[float, float]]) -> None:
    assert imputing.dispersion(days) >= 1


# --- tiers


@pytest.mark.parametrize(
    ("covered", "tier"),
    [
        (1.0, "measured"),
        (0.98, "measured"),
        (0.9799, "estimated"),
        (0.80, "estimated"),
        (0.7999, "unknown"),
        (0.0, "unknown"),
        (None, "unknown"),
    ],
)
def test_tiers(covered: float | None, tier: str) -> None:
    assert imputing.tier(covered) == tier


@pytest.mark.parametrize(
    ("days", "tier"),
    [
        ({"measured": 7}, "measured"),
        ({"measured": 6, "closed": 1}, "measured"),
        ({"measured": 6, "estimated": 1}, "estimated"),
        ({"estimated": 5, "unknown": 1}, "partly_unknown"),
        ({"unknown": 2, "closed": 5}, "unknown"),
        ({"closed": 7}, "closed"),
    ],
)
def test_a_stretch_is_as_good_as_its_worst_day(days: dict[str, int], tier: str) -> None:
    assert tier_of(days) == tier


def test_a_stretch_with_an_unknown_day_has_no_total() -> None:
    gaps, one = Gaps(), Filled()
    one.sides["ins"].imputed, one.sides["ins"].variance = 12.0, 9.0
    gaps.add("estimated", one)
    gaps.add("estimated", one)
    told = gaps.to_json({"ins": 100, "outs": 0, "passersby": 0})
    assert (told["imputed_ins"], told["imputed_error"]) == (24, pytest.approx(18**0.5, abs=1e-6))
    assert told["imputed"]["ins"]["total"] == 124
    gaps.add("unknown", Filled(why="completeness"))
    told = gaps.to_json({"ins": 100, "outs": 0, "passersby": 0})
    assert (told["tier"], told["days_estimated"], told["days_unknown"]) == ("partly_unknown", 2, 1)
    assert (told["imputed_ins"], told["imputed"]["ins"]["total"], told["why"]) == (24, None, "completeness")


def test_an_unknown_day_imputes_nothing() -> None:
    gaps = Gaps()
    gaps.add("unknown", Filled(why="completeness"))
    told = gaps.to_json({"ins": 100, "outs": 0, "passersby": 0})
    assert (told["tier"], told["imputed_ins"], told["imputed_error"], told["imputed"]) == (
        "unknown",
        None,
        None,
        {},
    )


# --- which door, and when


def test_spans_that_touch_are_one() -> None:
    assert list(joined([(30, 40), (0, 10), (10, 20), (5, 12)])) == [(0, 20), (30, 40)]
    assert list(joined([])) == []


def test_a_trifle_of_a_window_is_not_missing() -> None:
    cells = [
        cell(8, 0, 0.0, open_=0),
        cell(9, 1, 0.985),
        cell(10, 1, 0.97),
        cell(11, 0, 0.0),
        cell(13, 0, None),
    ]
    assert list(missing(cells)) == [(10 * HOUR_MS, 12 * HOUR_MS), (13 * HOUR_MS, 14 * HOUR_MS)]


def test_each_line_tells_when_it_was_blind() -> None:
    lines = Lines()
    south, north = (cell(10, 4), cell(11, 4)), (cell(10, 3), cell(11, 0, 0.0))
    lines.add({"s": Door("south", "entrance", south), "n": Door("north", "entrance", north)})
    blind, seeing = lines.to_json()
    assert (blind["line"], blind["ins"], blind["outs"], blind["completeness"], blind["tier"]) == (
        "north",
        3,
        6,
        0.5,
        "unknown",
    )
    assert blind["missing"] == [{"from": "1970-01-01T11:00:00Z", "to": "1970-01-01T12:00:00Z"}]
    assert (seeing["completeness"], seeing["tier"], seeing["missing"]) == (1.0, "measured", [])
