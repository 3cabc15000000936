"""Intervals of ratios whose sums were calibrated, and how calibrated figures are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import measures
from gateway.measures.calibrated import Calibrated, persons, rate_basis
from gateway.measures.intervals import log_interval, widened


@given(st.floats(0.01, 2.0), st.floats(0.0, 0.2), st.floats(0.0, 0.2))
def test_two_unrelated_errors_add_up_as_squares(value: float, first: float, second: float) -> None:
    """On the log scale an interval of one error, widened by another, is that of both."""
    both = log_interval(value, first * first + second * second)
    assert widened(value, *log_interval(value, first * first), second) == pytest.approx(both)


def test_nobody_entered_keeps_the_lower_limit_at_zero() -> None:
    ratio, plain = measures.capture_rate(0, 40, 0.05), measures.capture_rate(0, 40)
    assert (ratio.value, ratio.low) == (0, 0)
    assert ratio.high is not None
    assert plain.high is not None
    assert ratio.high > plain.high


def test_without_calibration_nothing_changes() -> None:
    assert widened(0.2, 0.1, 0.3, 0.0) == (0.1, 0.3)
    of = rate_basis(31, 412, None)
    assert (of.entries, of.passersby, of.s_entries, of.s_capture) == (31, 412, 0, 0)


def test_whole_persons_are_shown_as_whole_numbers() -> None:
    assert [repr(persons(count)) for count in (5250, 6000, 0, 1)] == ["5.25", "6", "0", "0.001"]
    of = rate_basis(5, 0, Calibrated(1, 5250, 6000, 0, 30_000, 0))
    assert (of.entries, of.s_entries, of.s_capture) == (5.25, 0.03, 0.03)
