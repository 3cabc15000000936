"""Oracles computed elsewhere with numpy, scipy and statsmodels, compared to six digits."""

from __future__ import annotations

import pytest

from gateway import measures


def six(*figures: float | None) -> tuple[float, ...]:
    assert all(figure is not None for figure in figures)
    return tuple(round(figure, 6) for figure in figures if figure is not None)


def test_o1_footfall_of_a_weekday() -> None:
    assert measures.footfall([120, 103]) == 223
    assert measures.footfall_average(223, 193) == 208
    assert measures.footfall_average(19597, 18837) == 19217
    assert six(measures.imbalance(223, 193)) == (0.144231,)


def test_imbalance_of_an_empty_day_is_unknown() -> None:
    assert measures.imbalance(0, 0) is None


def test_o2_occupancy_step_by_step() -> None:
    ins, outs = [0, 12, 20, 15, 8, 3, 0], [0, 2, 9, 14, 16, 12, 11]
    raw, clamped, seen_raw, seen_clamped = 0, 0, [], []
    for came, left in zip(ins, outs, strict=True):
        raw, clamped = measures.occupancy_raw(raw, came, left), measures.occupancy(clamped, came, left)
        seen_raw.append(raw)
        seen_clamped.append(clamped)
    assert seen_raw == [0, 10, 21, 22, 14, 5, -6]
    assert seen_clamped == [0, 10, 21, 22, 14, 5, 0]


# CalIt2 building people counts, 2005-08-03, (in, out) per half hour; UCI, CC BY 4.0
CALIT2_DAY = (
    "0,0 0,0 0,1 0,0 0,0 0,0 0,0 0,0 0,0 0,0 1,0 0,0 0,0 3,2 1,1 4,1 0,0 4,1 4,2 8,4 19,4 6,6 13,13 18,3 "
    "17,15 4,8 13,6 21,26 15,9 12,5 6,10 13,9 8,13 10,8 7,8 2,6 3,7 "
    "0,3 1,0 3,12 0,1 1,0 3,0 1,4 1,0 1,2 0,0 0,3"
)


def test_o2b_a_clamp_lifts_the_rest_of_a_real_day() -> None:
    raw, clamped = [0], [0]
    for came, left in (map(int, pair.split(",")) for pair in CALIT2_DAY.split()):
        raw.append(measures.occupancy_raw(raw[-1], came, left))
        clamped.append(measures.occupancy(clamped[-1], came, left))
    assert (raw[-1], min(raw), max(raw)) == (30, -1, 56)
    assert (clamped[-1], max(clamped)) == (31, 57)


def test_o3_capture_rate() -> None:
    ratio = measures.capture_rate(674, 8420)
    assert six(ratio.value, ratio.low, ratio.high) == (0.080048, 0.074441, 0.086037)
    assert ratio.formula == "passersby/1"


def test_o4_conversion_leaves_staff_out() -> None:
    assert six(measures.conversion(212, 1250).value) == (0.1696,)
    assert six(measures.conversion(212, 1250, staff=84).value) == (0.181818,)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (47, 210, 0.172688, 0.284854),
        (0, 40, 0.0, 0.087622),
        (40, 40, 0.912378, 1.0),
        (3, 12, 0.088942, 0.532305),
        (212, 1166, 0.160737, 0.20499),
    ],
)
def test_o10_wilson(hits: float, trials: float, low: float, high: float) -> None:
    assert six(*measures.wilson(hits, trials)) == (low, high)


def test_o11c_wilson_with_an_effective_n() -> None:
    assert six(*measures.wilson(212 / 3, 1166 / 3)) == (0.146649, 0.223215)


def test_o11_independent_poissons() -> None:
    value = 212 / 1166
    assert six(*measures.log_interval(value, 1 / 212 + 1 / 1166)) == (0.157067, 0.21047)


def test_o11_more_receipts_than_visitors_is_shown_and_flagged() -> None:
    ratio = measures.conversion(58, 51, phi=1)
    assert six(ratio.value, ratio.low, ratio.high) == (1.137255, 0.780656, 1.656745)
    assert ratio.flags == ("ratio_gt_1",)
    assert ratio.to_json()["flags"] == ["ratio_gt_1"]


def test_o11b_thinning() -> None:
    ratio = measures.conversion(212, 1166, phi=1)
    assert six(ratio.low, ratio.high) == (0.160975, 0.205361)


def test_o11c_overdispersion_and_calibration_widen_the_band() -> None:
    ratio = measures.conversion(212, 1166, phi=3, s_k=0.013)
    assert six(ratio.value, ratio.low, ratio.high) == (0.181818, 0.147022, 0.22485)


def test_the_contracts_example() -> None:
    shown = measures.conversion(6, 31).to_json()
    assert shown["value"] == 0.193548
    assert (round(float(str(shown["low"])), 2), round(float(str(shown["high"])), 2)) == (0.07, 0.44)
    assert list(shown) == ["value", "low", "high", "formula"]
    assert shown["formula"] == "visitors/1"


@pytest.mark.parametrize(("sales", "ins", "staff"), [(0, 0, 0), (3, 0, 0), (3, 4, 4), (3, 4, 9)])
def test_nobody_to_convert_is_unknown(sales: int, ins: int, staff: int) -> None:
    assert measures.conversion(sales, ins, staff=staff).to_json() == {"value": None, "why": "no_denominator"}


def test_no_sale_yet_is_zero_with_a_band() -> None:
    ratio = measures.conversion(0, 40, phi=1)
    assert six(ratio.value, ratio.low, ratio.high) == (0, 0, 0.087622)


def test_few_sales_but_more_than_visitors() -> None:
    ratio = measures.conversion(3, 2)
    assert ratio.value == 1.5
    assert ratio.flags == ("ratio_gt_1",)
    assert six(ratio.low, ratio.high) == (0.119452, 18.835959)


def test_capture_without_passersby_is_unknown() -> None:
    assert measures.capture_rate(4, 0).why == "no_denominator"
    assert measures.capture_rate(4, 2).flags == ("ratio_gt_1",)


@pytest.mark.parametrize(
    ("watched", "base", "expected"),
    [(882_000, 900_000, 0.98), (0, 900_000, 0.0), (950_000, 900_000, 1.0), (5, 0, None), (None, 9, None)],
)
def test_completeness(watched: int | None, base: int, expected: float | None) -> None:
    assert measures.completeness(watched, base) == expected


def test_completeness_of_a_closed_day_is_unknown() -> None:
    assert measures.completeness(0, None) is None


@pytest.mark.parametrize("complete", [None, 0.0, 0.79])
def test_too_little_watched_makes_a_ratio_unknown(complete: float | None) -> None:
    gated = measures.gate(measures.conversion(6, 31), complete, 0.8)
    assert gated.to_json() == {"value": None, "why": "completeness"}


def test_enough_watched_leaves_the_ratio_alone() -> None:
    ratio = measures.conversion(6, 31)
    assert measures.gate(ratio, 0.8, 0.8) == ratio
    assert measures.gate(measures.unknown("not_configured"), 0.1, 0.8).why == "not_configured"
