"""A zone's day so far as ratios: which are shown, which are unknown and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.health.figures import Sums, figures
from gateway.learning import Learnt
from gateway.measures import capture_rate
from gateway.measures.ratios import INCOMPLETE, NO_DENOMINATOR, NO_HISTORY, RATIO_GT_1, SHRUNK

# the worked day of metrics, section 12: 25 in a hundred buy, 1.1 windows later
ENTERED = (0, 40, 80 - 20, 80, 60, 40, 20, 0, 0)
PAID = (0, 2, 8, 14, 18, 15, 11, 5, 2)
LEARNT = Learnt(lag_s=1.1 * 900, priors={"0": (0.25, 200.0)}, days=28)
CLOSED = tuple(zip(map(float, ENTERED), PAID, strict=True))
DAY = Sums(
    ins=320,
    visitors=300,
    sales=75,
    amount_minor=750_000,
    size_s=900,
    weekday=0,
    closed=CLOSED,
    lagged=LEARNT.lagged([float(came) for came in ENTERED], 900),
    learnt=LEARNT,
    has_tills=True,
)


def test_each_rate_has_its_own_name_and_formula() -> None:
    found = figures(replace(DAY, group=1.5, centre=3000.0, taps=(40, 10)), 1.0, 0.8, 1.0)
    assert found["conversion_crude"].value == 75 / 320
    assert found["conversion_units"].value == 75 / 200
    assert found["atv"].value == 10_000
    assert found["spv"].value == 2500
    assert found["mall_share"].value == 0.1
    assert found["bag_rate"].value == 0.25
    known = [ratio.formula for ratio in found.values() if ratio.value is not None]
    assert len(set(known)) == len(known) - 1  # two are lagged


def test_while_a_store_fills_the_lagged_rate_is_the_true_one() -> None:
    morning = replace(DAY, closed=CLOSED[:4], lagged=DAY.lagged[:4], visitors=180, sales=24)
    found = figures(morning, 1.0, 0.8)
    lagged = found["conversion_lagged"].value
    assert lagged is not None
    assert found["conversion_crude"].value < 0.15  # type: ignore[operator]
    assert lagged == pytest.approx(0.25, abs=0.04)


def test_the_trailing_rate_waits_for_four_mean_lags() -> None:
    assert figures(replace(DAY, closed=DAY.closed[:4]), 1.0, 0.8)["conversion_trailing"].why == NO_HISTORY
    assert figures(DAY, 1.0, 0.8)["conversion_trailing"].value is not None


def test_without_a_learnt_lag_nothing_is_said_by_lag() -> None:
    found = figures(replace(DAY, learnt=Learnt()), 1.0, 0.8)
    assert found["conversion_lagged"].why == found["conversion_trailing"].why == NO_HISTORY


def test_early_in_the_day_the_rate_is_pulled_towards_the_usual_one_and_says_so() -> None:
    found = figures(replace(DAY, ins=7, visitors=7, sales=2, closed=()), 1.0, 0.8)
    assert found["conversion_shrunk"].value == pytest.approx((2 + 50) / 207)
    assert SHRUNK in found["conversion_shrunk"].flags
    assert "conversion_shrunk" not in figures(DAY, 1.0, 0.8)


def test_what_was_not_watched_makes_rates_unknown_but_not_the_value_of_a_receipt() -> None:
    found = figures(DAY, 0.5, 0.8)
    assert found["conversion_crude"].why == INCOMPLETE
    assert found["atv"].value == 10_000


def test_the_share_of_a_centre_needs_the_centre_to_be_watched() -> None:
    assert figures(replace(DAY, centre=3000.0), 1.0, 0.8, 0.5)["mall_share"].why == INCOMPLETE
    assert figures(replace(DAY, centre=3000.0), 1.0, 0.8, 0.9)["mall_share"].value == 0.1


def test_a_zone_without_tills_shows_none_of_theirs() -> None:
    found = figures(replace(DAY, has_tills=False, centre=3000.0), 1.0, 0.8, 1.0)
    assert set(found) == {"mall_share", "dwell", "dwell_so_far"}


def test_a_zone_without_doors_has_no_rates_of_nobody() -> None:
    """A street that is only passed, a till that stands alone: 0 in would look like a fact."""
    found = figures(replace(DAY, has_doors=False, ins=0, visitors=0, passersby=300.0, centre=3000.0), 1, 0.8)
    assert set(found) == {"atv"}


def test_turnover_per_visitor_is_conversion_times_turnover_per_receipt_also_after_calibration() -> None:
    found = figures(replace(DAY, ins=320.4, visitors=300.4, group=1.5, centre=3000.4), 1.0, 0.8, 1.0)
    assert found["spv"].value == pytest.approx(75 / 300.4 * 10_000)
    assert found["conversion_crude"].value == 75 / 320.4
    assert found["conversion_units"].value == pytest.approx(75 / (300.4 / 1.5))
    assert found["mall_share"].value == 300.4 / 3000.4


def test_both_ways_to_say_how_many_come_in_have_their_own_id() -> None:
    turned_in = figures(replace(DAY, ins=100, passersby=300.0), 1.0, 0.8)["turn_in_rate"]
    captured = capture_rate(100, 300)
    assert (turned_in.value, captured.value) == (0.25, pytest.approx(1 / 3))
    assert (turned_in.formula, captured.formula) == ("turn-in/1", "passersby/1")
    assert "turn_in_rate" not in figures(DAY, 1.0, 0.8)


def test_nobody_is_not_nothing() -> None:
    found = figures(
        replace(DAY, ins=0, visitors=0, sales=0, amount_minor=0, closed=(), taps=(0, 0)), 1.0, 0.8
    )
    for name in ("conversion_crude", "spv", "atv", "bag_rate"):
        assert (name, found[name].why) == (name, NO_DENOMINATOR)


@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.lists(st.tuples(st.integers(0, 90).map(float), st.integers(0, 90)), max_size=40),
)
def test_no_figure_leaves_its_range_unflagged(ins: int, sales: int, closed: list[tuple[float, int]]) -> None:
    came = LEARNT.lagged([visitors for visitors, _sales in closed], 900)
    now = replace(DAY, ins=ins, visitors=ins, sales=sales, closed=closed, lagged=came, centre=100.0)
    found = figures(now, 1.0, 0.8, 1.0)
    for name, ratio in found.items():
        if name in ("atv", "spv", "dwell", "dwell_so_far") or ratio.value is None:
            continue
        assert 0 <= ratio.value <= 1 or RATIO_GT_1 in ratio.flags, name
        if ratio.low is not None and ratio.high is not None:
            assert ratio.low <= ratio.value <= ratio.high, name


def test_receipts_that_nobody_told_of_are_not_none() -> None:
    quiet = replace(DAY, sales=0, amount_minor=0, group=1.5, passersby=300.0, tills_heard=False)
    found = figures(quiet, 1.0, 0.8)
    for name in ("conversion_crude", "conversion_lagged", "conversion_shrunk", "conversion_units", "spv"):
        assert (name, found[name].why) == (name, INCOMPLETE)
    assert (found["atv"].why, found["turn_in_rate"].value is None) == (NO_DENOMINATOR, False)
    nobody = figures(replace(quiet, ins=0, visitors=0), 1.0, 0.8)
    assert nobody["conversion_crude"].why == NO_DENOMINATOR, "a closed day is not a dead till"
