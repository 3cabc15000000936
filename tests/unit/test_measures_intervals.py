"""A small run of tests/evaluate/intervals.py: do the intervals hold the truth, and would it be seen if not?

600 days of 30 stores, so the bounds are wide; the figures of many days stand in docs/measures.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from tests.evaluate import days, intervals
from tests.evaluate.intervals import HOURLY, PHI_1, SAME_WINDOW, SHIPPED, Scores, evaluate, pooled


@pytest.fixture(scope="module")
def scores() -> Scores:
    return evaluate(seed=3, stores=30, days_each=20)


def test_the_interval_of_conversion_holds_the_truth(scores: Scores) -> None:
    assert 92 <= pooled(scores, SHIPPED) <= 97


def test_at_no_time_of_the_day_is_it_far_off(scores: Scores) -> None:
    shipped = {name: score for (variant, name), score in scores.items() if variant == SHIPPED}
    assert len(shipped) == 10
    assert {name: score.n for name, score in shipped.items() if score.n < 500} == {}
    off = {name: score.percent for name, score in shipped.items() if not 90 <= score.percent <= 99}
    assert off == {}


def test_without_over_dispersion_it_would_hold_too_seldom(scores: Scores) -> None:
    assert pooled(scores, PHI_1) < 88


def test_dispersion_of_single_hours_is_too_small_for_the_day_to_date(scores: Scores) -> None:
    assert scores[HOURLY, "whole day"].percent < scores[SHIPPED, "whole day"].percent - 0.5


def test_entries_of_the_same_window_are_wrong_while_a_store_fills(scores: Scores) -> None:
    filling = "to date, 2 h after opening"
    assert scores[SAME_WINDOW, filling].percent < scores[SHIPPED, filling].percent - 2


def test_the_figures_are_printed_for_each_window(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["intervals", "--stores", "1", "--days", "2"])
    intervals.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("seed 1, 1 stores x 2 days")
    assert [line[:9] for line in lines[-2:]] == ["whole day", "all: ship"]


def test_the_simulated_store_is_what_it_says_it_is() -> None:
    """Mean, spread and lag of the days, so that a mistake in them is not taken for one in the intervals."""
    dice = Random(4)
    of = days.Store(days.MALL_STREET, 800, 5, 0.25, 0.0, 3.0, 900, log_normal=True, seen=0.95)
    made = [days.day(dice, of) for _ in range(300)]
    entered = sum(sum(one.entered) for one in made)
    receipts = sum(sum(one.receipts) for one in made)
    assert abs(entered / 300 / 800 - 1) < 0.05
    assert abs(receipts / entered / 0.25 - 1) < 0.02
    assert abs(sum(sum(one.counted) for one in made) / entered - 0.95) < 0.005
    lags = [(centre(one.receipts) - centre(one.entered)) * days.QUARTER_S for one in made]
    assert abs(sum(lags) / 300 / 900 - 1) < 0.15
    squares = [(sum(one.receipts) - 0.25 * sum(one.entered)) ** 2 / sum(one.entered) for one in made]
    assert 2.2 < sum(squares) / 300 / (0.25 * 0.75) < 3.8


def centre(counts: Sequence[int]) -> float:
    return sum(at * many for at, many in enumerate(counts)) / sum(counts)
