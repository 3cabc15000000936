"""Comparisons that must not say more than the counts do: calibration, imputing, growth, campaigns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway import measures
from gateway.measures import calibration, campaign, growth, imputing

# --- calibration


def tallies(*pairs: tuple[int, int]) -> list[calibration.Tally]:
    return [calibration.Tally(*pair) for pair in pairs]


GOOD = tallies((118, 112), (205, 197), (97, 95), (164, 151), (143, 139), (188, 176))


def test_too_little_tallied_gives_no_factor_but_says_how_far_off() -> None:
    few = calibration.calibrate(GOOD[:5])
    assert (few.factor, few.why, few.windows) == (None, "no_history", 5)
    assert few.accuracy is not None
    small = calibration.calibrate([calibration.Tally(10, 9)] * 6)
    assert (small.factor, small.why) == (None, "no_history")


def test_a_counter_that_misses_a_third_is_to_be_mended_not_multiplied() -> None:
    found = calibration.calibrate([calibration.Tally(150, 100 + at) for at in range(6)])
    assert (found.factor, found.why) == (None, "implausible_factor")
    assert found.low is not None
    assert calibration.calibrated(100, found) == 100


def test_a_dead_counter_has_no_factor() -> None:
    found = calibration.calibrate([calibration.Tally(150, 0)] * 6)
    assert (found.factor, found.why) == (None, "no_denominator")
    alone = calibration.calibrate([calibration.Tally(150, 0)] * 5 + [calibration.Tally(150, 700)])
    assert alone.why == "no_denominator"


def test_nobody_to_tally_is_no_accuracy() -> None:
    assert calibration.accuracy(tallies((0, 3))) is None


def test_a_factor_is_applied_when_read() -> None:
    assert calibration.calibrated(1000, calibration.calibrate(GOOD)) == pytest.approx(1051.724, abs=1e-3)


def test_side_by_side_walkers_in_busy_windows_are_noticed() -> None:
    hidden = tallies((52, 50), (104, 100), (165, 150), (230, 200), (302, 250), (379, 300))
    assert calibration.calibrate(hidden).flags == ("trend",)
    assert calibration.calibrate(GOOD).flags == ()
    assert not calibration.grows_with_flow(tallies((100, 95), (100, 95), (100, 95)))


# --- imputing


@pytest.mark.parametrize(
    ("covered", "undecided", "why"),
    [(0.9, True, "undecided_fault"), (0.79, False, "completeness"), (None, False, "completeness")],
)
def test_what_is_not_imputed(covered: float | None, undecided: bool, why: str) -> None:
    seen = imputing.estimate(900, 950, 100, covered, undecided=undecided)
    assert (seen.total, seen.imputed, seen.why, seen.observed) == (None, 0, why, 900)


def test_a_whole_day_is_published_as_measured() -> None:
    seen = imputing.estimate(900, 950, 10, 0.98)
    assert (seen.total, seen.imputed, seen.flags) == (900, 0, ())


def test_without_a_profile_nothing_is_invented() -> None:
    assert imputing.estimate(900, 0, 0, 0.9).why == "no_history"


def test_an_estimate_is_kept_apart_and_never_below_what_was_counted() -> None:
    seen = imputing.estimate(10, 900, 100, 0.9)
    assert seen.observed + seen.imputed == seen.total
    assert seen.flags == ("estimated",)
    assert seen.low is not None
    assert seen.low >= seen.observed
    nobody = imputing.estimate(0, 900, 100, 0.9)
    assert (nobody.total, nobody.standard_error) == (0, 0)


def test_coverage_of_a_zone_is_that_of_its_worst_line() -> None:
    assert imputing.coverage([36_000, 18_000], 36_000) == 0.5
    assert imputing.coverage([40_000], 36_000) == 1
    assert imputing.coverage([], 36_000) is None
    assert imputing.coverage([0], 0) is None


# --- growth


def test_doors_that_were_not_whole_in_both_periods_stay_out() -> None:
    fine = growth.Door("a", 120, 100)
    left_out = [
        growth.Door("moved", 500, 100, broken=True),
        growth.Door("dead", 10, 100, coverage_now=0.5),
        growth.Door("unknown", 10, 100, coverage_reference=None),
    ]
    found = growth.like_for_like([fine, *left_out])
    assert found.doors == ("a",)
    assert found.ratio.value == pytest.approx(0.2)
    assert found.share_now == pytest.approx(120 / 640)
    assert growth.like_for_like(left_out).ratio == measures.unknown("not_comparable")
    assert growth.like_for_like([]).share_now is None


def test_a_moved_camera_is_a_break_and_no_headline() -> None:
    street = [growth.Door(name, now, 1000) for name, now in (("a", 930), ("b", 950), ("c", 1355), ("d", 910))]
    assert growth.suspected_breaks(street) == ("c",)
    boom = [replace(door, now=1355) for door in street]
    assert growth.suspected_breaks(boom) == ()  # shared by all: a good year
    assert growth.suspected_breaks(street[:2]) == ()
    assert growth.suspected_breaks([*street, growth.Door("e", 0, 1000)]) == ("c",)


# --- campaign


WEEKS = [1000, 1100, 950, 1020, 1080, 990, 1150, 900, 1010, 1070, 980, 1060, 1030, 940]


def test_a_weekday_missing_in_any_week_is_left_out_of_all() -> None:
    whole = campaign.matched([[100, 200], [110, 190]], [120, 210])
    part = campaign.matched([[100, None], [110, 190]], [120, 210])
    assert whole.ratio.value == pytest.approx(330 / 300 - 1)
    assert part.ratio.value == pytest.approx(120 / 105 - 1)


def test_a_campaign_without_base_or_without_people_is_unknown() -> None:
    assert campaign.matched([], [1, 2]).ratio.why == "no_history"
    assert campaign.matched([[0, 0]], [1, 2]).ratio.why == "no_denominator"
    nothing = campaign.matched([[None]], [3])
    assert nothing.ratio.why == "no_denominator"
    assert campaign.against_control(nothing, campaign.matched([[5]], [3])).ratio == nothing.ratio
    assert campaign.against_control(campaign.matched([[5]], [3]), nothing).ratio == nothing.ratio
    assert campaign.verdict(nothing, None).word == "cannot tell"


def test_without_a_history_of_its_own_one_cannot_tell() -> None:
    found = campaign.verdict(campaign.matched([[500]], [900]), campaign.placebo(WEEKS[:11]))
    assert (found.word, found.detectable, found.why) == ("cannot tell", None, "no_history")


def test_up_and_down_only_beyond_what_the_site_does_by_itself() -> None:
    usual = campaign.placebo(WEEKS)
    assert usual is not None
    assert usual.weeks == 10
    words = [campaign.verdict(campaign.matched([[1000]] * 4, [now]), usual).word for now in (500, 1040, 2000)]
    assert words == ["down", "cannot tell", "up"]


def test_the_word_and_what_could_have_been_seen_agree() -> None:
    usual = campaign.placebo(WEEKS)
    assert usual is not None
    small = campaign.verdict(campaign.matched([[100_000]] * 4, [100_000]), usual)
    assert small.detectable is not None
    seen = campaign.verdict(
        campaign.matched([[100_000]] * 4, [round(100_001 * (1 + small.detectable))]), usual
    )
    not_seen = campaign.verdict(
        campaign.matched([[100_000]] * 4, [round(99_900 * (1 + small.detectable))]), usual
    )
    assert (seen.word, not_seen.word) == ("up", "cannot tell")
    assert not_seen.effect.low is not None
    assert not_seen.effect.low < 0


def test_the_placebo_spread_of_a_real_street() -> None:
    """A standard deviation of 0.132 in logarithms makes +30 % the least that shows; 0.092 makes it +20 %."""
    assert campaign.detectable(0.132) == pytest.approx(0.295, abs=0.001)
    assert campaign.detectable(0.092) == pytest.approx(0.198, abs=0.001)
    assert campaign.detectable(0.132, 9) > campaign.detectable(0.132)


def test_a_control_takes_the_weather_out_of_the_placebo() -> None:
    control = [round(week * 0.7) for week in WEEKS]
    with_control, without = campaign.placebo(WEEKS, control), campaign.placebo(WEEKS)
    assert with_control is not None
    assert without is not None
    assert with_control.deviation < without.deviation / 10
    assert with_control.low <= with_control.high


def test_a_gap_in_the_history_is_no_week_of_zero() -> None:
    gappy: list[int | None] = [*WEEKS, None, *WEEKS]
    found = campaign.placebo(gappy)
    assert found is not None
    assert found.weeks == 20
    assert found.deviation < 0.12


def test_weeks_that_do_not_differ_allow_no_t() -> None:
    assert campaign.week_level([100, 100, 100], 120) is None
    assert campaign.week_level([100], 120) is None


def test_a_single_weekday_leaves_no_dispersion_to_see() -> None:
    assert campaign.matched([[100]], [110]).phi == 1
    assert campaign.pearson([[0, 0]], [0, 0], 1.0) == 0


def test_stores_that_cannot_be_compared() -> None:
    assert campaign.cuped([1, 2], [1, 2], [True, False]) is None
    assert campaign.cuped([1, 2, 3], [1, 1, 1], [True, False, True]) is None
    assert campaign.cuped([1, 2, 3], [1, 2, 4], [True, True, True]) is None
