"""What measures do where counts are missing, impossible or too few: say so, each with its own reason."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from gateway import measures
from gateway.measures import (
    capture,
    converting,
    dispersion,
    dwell,
    intervals,
    lag,
    money,
    presence,
    quantiles,
    ratios,
)

DOCS = Path(__file__).parents[2] / "docs" / "measures.md"
FLAGS_AND_REASONS = (
    "no_denominator completeness not_configured no_history imbalance too_coarse implausible_factor "
    "undecided_fault not_comparable ratio_gt_1 provisional estimated shrunk short_window trend"
)


def test_every_formula_reason_and_flag_is_explained_to_readers() -> None:
    text = DOCS.read_text()
    words = [*ratios.UNIT_OF, *FLAGS_AND_REASONS.split()]
    assert [word for word in words if f"`{word}`" not in text] == []


def test_every_word_that_is_published_is_in_that_list() -> None:
    words = {
        value
        for name, value in vars(ratios).items()
        if name.isupper() and isinstance(value, str) and "/" not in value
    }
    assert words == set(FLAGS_AND_REASONS.split())


def test_formula_ids_have_a_version_and_a_unit() -> None:
    ids = {
        value for value in vars(ratios).values() if isinstance(value, str) and re.fullmatch(r".+/\d", value)
    }
    assert ids == set(ratios.UNIT_OF)


# --- conversion


def test_no_receipts_is_a_rate_of_zero_with_a_band_above() -> None:
    ratio = measures.conversion(0, 40, phi=1)
    assert (ratio.value, ratio.low) == (0, 0)
    assert ratio.high == pytest.approx(0.087622, abs=5e-7)


def test_a_unit_of_less_than_a_person_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not 0\.5"):
        converting.conversion_units(3, 40, 0.5)


def test_only_staff_came_in() -> None:
    for ratio in (
        measures.conversion(1, 8, staff=8),
        converting.conversion_units(1, 8, 1.3, staff=8),
        converting.conversion_crude(1, 0),
        converting.conversion_shrunk(0, 0, 0.2, 200),
        converting.conversion_difference((1, 0), (1, 5)),
        lag.conversion_lagged(1, 0.0),
        converting.bag_rate(0, 0),
        measures.mall_share(4, 0),
        money.average_transaction(500, 0),
        money.sales_per_visitor(500, 2, 0),
    ):
        assert ratio == measures.unknown("no_denominator")


def test_a_survey_in_clumps_tells_less() -> None:
    single, clumped = converting.bag_rate(47, 210), converting.bag_rate(47, 210, group=1.36)
    assert single.value == clumped.value
    assert clumped.low is not None
    assert single.low is not None
    assert clumped.low < single.low


def test_more_bags_than_people_is_shown_and_flagged() -> None:
    assert converting.bag_rate(5, 4).flags == ("ratio_gt_1",)


def test_receipts_from_bags_say_that_they_are_an_estimate() -> None:
    ratio = converting.receipts_from_bags(50, 0.8, 0.7, 0.9)
    assert (ratio.value, ratio.low, ratio.high, ratio.flags) == (40, 35, 45, ("provisional",))


def test_the_shrunken_rate_of_a_dead_door_counter_is_the_plain_one() -> None:
    ratio = converting.conversion_shrunk(9, 4, 0.2, 200)
    assert (ratio.value, ratio.formula, ratio.flags) == (2.25, "visitors/1", ("ratio_gt_1",))


def test_a_prior_weighs_more_where_days_are_alike() -> None:
    alike = converting.prior([(200, 1000), (198, 1000), (203, 1000), (199, 1000)])
    unlike = converting.prior([(120, 1000), (290, 1000), (180, 1000), (210, 1000)])
    assert alike is not None
    assert unlike is not None
    assert alike == (0.2, 2000)  # not more apart than chance: as much weight as is allowed
    assert 20 < unlike[1] < 60  # variance between days about 0.005, m(1-m) 0.16
    assert converting.prior([(0, 50), (0, 0)]) is None
    assert converting.prior([(10, 50)]) == (0.2, 20)


def test_a_difference_with_a_dead_counter_has_no_interval() -> None:
    ratio = converting.conversion_difference((8, 4), (10, 40))
    assert (ratio.value, ratio.low, ratio.flags) == (1.75, None, ("ratio_gt_1",))


def test_over_dispersion_makes_a_difference_less_certain() -> None:
    plain = converting.conversion_difference((212, 1166), (180, 1120))
    wide = converting.conversion_difference((212, 1166), (180, 1120), phi=2)
    assert wide.low is not None
    assert plain.low is not None
    assert wide.low < plain.low


# --- capture


def test_a_calibration_that_is_not_certain_widens_turnover_per_visitor_and_shares_too() -> None:
    for plain, wide in (
        (money.sales_per_visitor(4876050, 212, 1166), money.sales_per_visitor(4876050, 212, 1166, s_k=0.1)),
        (capture.mall_share(674, 5310), capture.mall_share(674, 5310, s_k=0.1)),
    ):
        assert wide.value == plain.value
        assert wide.high is not None
        assert plain.high is not None
        assert plain.value is not None
        before, after = (math.log(ratio.high / plain.value) / 1.959964 for ratio in (plain, wide))
        assert after == pytest.approx(math.hypot(before, 0.1), rel=1e-6)


def test_shares_of_stores_may_add_up_to_more_than_one_and_none_is_flagged() -> None:
    shares = [capture.mall_share(entries, 1000) for entries in (600, 500, 300)]
    assert sum(share.value or 0 for share in shares) == pytest.approx(1.4)
    assert {share.flags for share in shares} == {()}
    assert capture.mall_share(1200, 1000).flags == ("ratio_gt_1",)


def test_nobody_yet_of_many_is_a_share_of_zero_with_a_band() -> None:
    ratio = capture.mall_share(0, 1000)
    assert ratio.value == ratio.low == 0
    assert ratio.high == pytest.approx(0.0077, abs=1e-4)  # z² phi / 1000


# --- lag and dispersion


def test_a_kernel_keeps_its_mean_and_adds_up() -> None:
    for mean_s, size_s in ((720, 900), (900, 60), (3000, 300), (30, 900)):
        h = lag.kernel(mean_s, size_s)
        assert math.fsum(h) == pytest.approx(1, abs=1e-12)
        assert min(h) >= 0
        mean = math.fsum(at * share for at, share in enumerate(h)) * size_s
        assert mean == pytest.approx(mean_s, rel=2e-3, abs=0.5)


def test_a_very_long_lag_does_not_make_an_endless_kernel() -> None:
    assert len(lag.kernel(10 * 86400, 60)) == lag.MOST_BUCKETS


def test_without_a_lag_nothing_moves() -> None:
    assert lag.kernel(0, 900) == lag.kernel(-3, 900) == (1.0,)
    assert lag.lagged([3, 4], (1.0,)) == (3, 4)


def test_the_gamma_kernel_is_that_of_people_uniform_in_their_window() -> None:
    """Mean lag of one window, shape 2: P(paid in the same window) is the integral of the gamma's distribution
    function over the window, 1 - 2·(1/2) + e^-2·(1 + 2·(1/2)) = 2 e^-2."""
    assert lag.kernel(900, 900)[0] == pytest.approx(2 * math.exp(-2), abs=2e-4)


def test_receipts_before_entries_are_no_lag() -> None:
    early = lag.of_day([0, 0, 300], [300, 0, 0])
    assert lag.mean_lag(early) == 0


def test_too_few_receipts_teach_no_lag() -> None:
    assert lag.mean_lag(lag.learn([lag.of_day([0, 40], [0, 19])] * 10)) is None
    assert lag.of_day([0, 0], [3, 4]) == lag.of_day([3, 4], [0, 0]) == lag.LagSums()


def test_a_lag_where_only_the_dwell_is_known() -> None:
    assert lag.lag_of_dwell(600) == 480


def test_a_rolling_window_shorter_than_four_lags_is_flagged() -> None:
    assert lag.rolling_length(1.1, 4) == 5
    assert lag.rolling_length(0.2, 4) == 4
    short = lag.conversion_lagged(20, 100.0, window_s=3600, mean_s=1000)
    assert short.flags == ("short_window",)
    assert lag.conversion_lagged(20, 100.0, window_s=3600, mean_s=900).flags == ()
    assert lag.conversion_lagged(20, 0.0, window_s=60, mean_s=900) == measures.unknown("no_denominator")


def test_dispersion_starts_at_two_and_never_falls_below_one() -> None:
    seen = dispersion.Dispersion()
    assert dispersion.phi(seen) == 2
    for _ in range(200):
        seen = dispersion.after_day(seen, [0.1, 0.3])
    assert dispersion.phi(seen) == 1
    for _ in range(200):
        seen = dispersion.after_day(seen, [3.0])
    assert dispersion.phi(seen) == pytest.approx(3, abs=0.15)
    assert dispersion.after_day(seen, []) == seen


def test_what_part_of_a_day_deviates_is_measured_against_that_day() -> None:
    """40 of 100 where the day has 60 of 200: (40 - 30)² / (0.3·0.7·100·(1 - 1/2)) = 100 / 10.5."""
    found = list(dispersion.squares([(40, 100.0)], 60, 200.0))
    assert found == pytest.approx([100 / 10.5])
    assert list(dispersion.squares([(1, 2.0), (59, 199.0)], 60, 200.0)) == []  # almost nothing, almost all
    assert list(dispersion.squares([(5, 10.0)], 300, 200.0)) == []  # a dead counter teaches nothing


def test_parts_of_a_day() -> None:
    sales, entries = [1, 2, 3, 4], [10.0, 20.0, 30.0, 40.0]
    assert list(dispersion.to_date(sales, entries, 2)) == [(3, 30)]
    assert list(dispersion.rolling(sales, entries, 2)) == [(3, 30), (7, 70)]
    assert list(dispersion.rolling(sales, entries, 3)) == [(6, 60)]


def test_no_groups_have_no_dispersion() -> None:
    assert dispersion.group_dispersion({}) is None


# --- presence


def test_a_badly_watched_day_teaches_no_drift() -> None:
    drift = presence.Drift(100, 100)
    assert presence.after_day(drift, 10, 90, 0.94) == presence.after_day(drift, 10, 90, None) == drift


@pytest.mark.parametrize(
    ("drift", "expected"),
    [
        (presence.Drift(), (1.0, ())),
        (presence.Drift(95, 100), (0.95, ())),
        (presence.Drift(60, 100), (0.8, ("imbalance",))),
        (presence.Drift(198, 100), (1.25, ("imbalance",))),
        (presence.Drift(50, 0), (1.0, ("imbalance",))),
    ],
)
def test_a_door_that_is_too_far_off_is_flagged_and_corrected_only_so_far(
    drift: presence.Drift, expected: tuple[float, tuple[str, ...]]
) -> None:
    assert presence.live_ratio(drift) == expected


def test_fire_safety_is_not_corrected_downwards() -> None:
    assert presence.safety_peak([(10, 0), (5, 2), (0, 20), (4, 0)]) == 13


def test_days_without_exits_or_entries() -> None:
    assert presence.retrospective([(3, 0), (2, 0)]) == (3, 5)
    assert presence.symmetric_factors(0, 4) is None


# --- money


def test_spv_is_conversion_times_atv() -> None:
    spv = money.sales_per_visitor(4876050, 212, 1166).value
    atv, rate = money.average_transaction(4876050, 212).value, measures.conversion(212, 1166).value
    assert spv is not None
    assert atv is not None
    assert rate is not None
    assert abs(spv - atv * rate) < 1e-9


def test_the_interval_of_a_mean_receipt_follows_from_how_receipts_differ() -> None:
    """CV 1.119 over 212 receipts is 7.7 %; z times that in logarithms."""
    ratio = money.average_transaction(4876050, 212)
    assert ratio.high is not None
    assert ratio.value is not None
    assert math.log(ratio.high / ratio.value) == pytest.approx(1.959964 * 1.119 / math.sqrt(212))


def test_returns_that_outweigh_sales_leave_no_interval() -> None:
    ratio = money.average_transaction(-500, 3)
    assert (ratio.low, ratio.high) == (None, None)
    assert ratio.value == pytest.approx(-500 / 3)
    assert money.sales_per_visitor(-500, 0, 10).low is None


def test_turnover_of_more_receipts_than_visitors_is_still_shown() -> None:
    ratio = money.sales_per_visitor(9000, 20, 10)
    assert ratio.value == 900
    assert ratio.low is not None


def test_how_receipts_differ() -> None:
    amounts = [100, 200, 300, 1000]
    squares = sum(amount * amount for amount in amounts)
    assert money.receipt_cv(4, 1600, squares) == pytest.approx(408.248290 / 400)
    assert money.receipt_cv(1, 100, 10_000) is None
    assert [money.receipt_quantile(amounts, share) for share in (0.25, 0.5, 0.99)] == [100, 200, 1000]
    assert money.receipt_quantile([], 0.5) is None


# --- dwell


def test_missed_exits_above_five_per_cent_make_dwell_unknown() -> None:
    fine = dwell.dwell_events(100, 100 * 3600.0, 96, 96 * 4200.0)
    assert fine.value == pytest.approx(10)
    assert dwell.dwell_events(100, 100 * 3600.0, 94, 94 * 4200.0) == measures.unknown("imbalance")
    assert dwell.dwell_events(100, 360_000, 0, 0) == measures.unknown("imbalance")
    assert dwell.dwell_events(0, 0, 3, 10) == measures.unknown("no_denominator")


def test_people_who_leave_before_they_come_are_no_dwell() -> None:
    assert dwell.dwell_events(10, 36_000, 10, 18_000) == measures.unknown("imbalance")


def test_a_stay_below_two_windows_cannot_be_seen_in_windows() -> None:
    ins, outs = [10, 0, 0, 0], [0, 0, 10, 0]
    assert dwell.dwell_windows(ins, outs, 900).value == 30
    assert dwell.dwell_windows([10, 0], [0, 10], 900) == measures.unknown("too_coarse")


def test_dwell_of_an_open_day_counts_those_inside_until_now() -> None:
    ratio = dwell.dwell_so_far(3, 0 + 600 + 1200, 1, 1800, 2400)  # one left after 30 min; two are inside
    assert ratio.value == pytest.approx((30 + 30 + 20) / 3)
    assert ratio.flags == ("provisional",)
    assert dwell.dwell_so_far(1, 0, 2, 100, 200) == measures.unknown("imbalance")
    assert dwell.dwell_so_far(0, 0, 0, 0, 60) == measures.unknown("no_denominator")


def test_dwell_of_an_open_day_from_windows_counts_those_inside_until_now() -> None:
    """Four stayed an hour, four are inside since 82.5 minutes: from the middle of their window until now."""
    ratio = dwell.dwell_windows_so_far([4, 4, 0, 0, 0, 0, 0], [0, 0, 0, 0, 4, 0, 0], 900, 1.0)
    assert (ratio.value, ratio.formula, ratio.flags) == (71.25, "little-windows/1", ("provisional",))
    missed = dwell.dwell_windows_so_far([20] * 10 + [0] * 4, [0] * 4 + [19.6] * 10, 900, 20 / 19.6)
    assert missed.value == pytest.approx(60), "who was missed on earlier days is not inside until now"
    assert dwell.dwell_windows_so_far([20], [0], 900, 1.2) == measures.unknown("imbalance")
    assert dwell.dwell_windows_so_far([], [], 900, 1.0) == measures.unknown("no_denominator")
    assert dwell.dwell_windows_so_far([9, 0], [0, 9], 900, 1.0) == measures.unknown("too_coarse")
    assert dwell.dwell_windows_so_far([9, 0, 0], [0, 0, 10], 900, 1.0).value == 30
    assert dwell.dwell_windows_so_far([29, 0, 0], [0, 0, 35], 900, 1.0).value == 30  # the least bit above


# --- quantiles (figures of the t and beta distributions: scipy 1.17.1)


@pytest.mark.parametrize(
    ("share", "df", "expected"),
    [
        (0.975, 1, 12.706205),
        (0.975, 3, 3.182446),
        (0.975, 5, 2.570582),
        (0.975, 10_000, 1.960201),
        (0.5, 4, 0),
    ],
)
def test_students_t(share: float, df: float, expected: float) -> None:
    assert quantiles.t_quantile(share, df) == pytest.approx(expected, abs=5e-7)
    assert quantiles.t_quantile(1 - share, df) == pytest.approx(-expected, abs=5e-7)


def test_the_ends_of_the_beta_distribution() -> None:
    assert (quantiles.beta_cdf(0, 2, 3), quantiles.beta_cdf(1, 2, 3)) == (0, 1)
    assert quantiles.beta_cdf(0.3, 1, 1) == pytest.approx(0.3)
    assert quantiles.beta_quantile(0.3, 1, 1) == pytest.approx(0.3)


def test_few_of_two_counts_have_a_sane_interval() -> None:
    low, high = intervals.poisson_ratio(0, 50)
    assert low == 0
    assert 0 < high < 0.2
