"""Recorded counts: the CalIt2 building, with the thirty events that were known to take place there."""

from __future__ import annotations

from datetime import datetime

import pytest

from gateway.quality import Kind, Rules
from gateway.quality.cells import Moments
from gateway.quality.chances import imbalance_z
from tests.evaluate.events import NB_K4, learned, score, threshold
from tests.evaluate.feeding import run
from tests.evaluate.recorded import HALF_HOUR, HERE, Line, calit2, calit2_events, ms

FOLDER = HERE / "data"


@pytest.fixture(scope="module")
def line() -> Line:
    return calit2(FOLDER / "calit2.data.gz")


@pytest.fixture(scope="module")
def events() -> list[tuple[datetime, datetime]]:
    return calit2_events(FOLDER / "calit2.events")


def test_the_file_is_whole(line: Line, events: list[tuple[datetime, datetime]]) -> None:
    assert len(line.counts) == 5040
    assert sum(count.ins for count in line.counts.values()) == 19_597
    assert sum(count.outs or 0 for count in line.counts.values()) == 18_837
    assert len(events) == 30


def test_o13e_in_and_out_are_closer_than_chance(line: Line) -> None:
    days: dict[object, list[int]] = {}
    for at, count in line.counts.items():
        stamp = at + HALF_HOUR  # the oracle's days go by the file's own stamps
        if stamp.weekday() < 5:
            day = days.setdefault(stamp.date(), [0, 0])
            day[0] += count.ins
            day[1] += count.outs or 0
    z = Moments()
    for ins, outs in days.values():
        z = z.learn(imbalance_z(ins, outs))
    assert (z.n, round(z.mean, 6), round(z.variance, 6)) == (75, 0.678849, 0.475304)
    assert round(z.variance * 74 / 75 + z.mean**2, 6) == 0.929803  # about nought


def test_most_events_are_found_and_little_else(line: Line, events: list[tuple[datetime, datetime]]) -> None:
    found = score("shipped", learned(line, Rules()), events, 105)
    assert found.hits >= 19
    assert found.alarms <= 0.25
    assert found.share < 0.06, "an alarm that is always on finds everything"


def test_it_is_better_than_a_threshold_of_single_slots(
    line: Line, events: list[tuple[datetime, datetime]]
) -> None:
    poisson = score("Poisson", threshold(line, 0.00135, 0.0), events, 105)
    wide = score("NB", threshold(line, 0.00135, NB_K4), events, 105)
    assert (poisson.hits, wide.hits) == (28, 13)
    assert poisson.slots == pytest.approx(0.90, abs=0.06)
    assert wide.slots == pytest.approx(0.32, abs=0.03)
    shipped = score("shipped", learned(line, Rules()), events, 105)
    assert shipped.hits > wide.hits
    assert shipped.alarms < wide.alarms < poisson.alarms


def test_a_clock_that_missed_the_end_of_summer_time_is_found(line: Line) -> None:
    """It does not follow the change of 2005-10-30: from then on everybody seems to come an hour late."""
    (door,) = run({"door": line}, Rules()).values()
    (alarm,) = door.begun(Kind.CLOCK_SHIFTED)
    assert alarm.since_ms == ms(datetime(2005, 11, 2))  # noqa: DTZ001
    assert alarm.evidence["hours"] == -1
    assert door.begun(Kind.STUCK) == door.begun(Kind.SWAPPED) == door.begun(Kind.SPIKE_IMPOSSIBLE) == []
