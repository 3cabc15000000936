"""Every figure of tests/vectors/metrics_oracles.json, computed elsewhere, met to six digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway import measures
from gateway.measures import (
    calibration,
    campaign,
    capture,
    converting,
    dispersion,
    dwell,
    growth,
    imputing,
    intervals,
    lag,
    money,
    presence,
    quantiles,
)

ORACLES = json.loads((Path(__file__).parents[1] / "vectors" / "metrics_oracles.json").read_text())
KEYS = {key for key in ORACLES if key not in ("origin", "data")}


def oracle(key: str) -> Any:
    return ORACLES[key]


def six(*figures: float | None) -> list[float]:
    assert all(figure is not None for figure in figures)
    return [round(figure, 6) for figure in figures if figure is not None]


def band(ratio: measures.Ratio) -> list[float]:
    return six(ratio.low, ratio.high)


def test_o1_footfall() -> None:
    o = oracle("O1_footfall")
    assert measures.footfall_average(o["total_in"], o["total_out"]) == o["total_avg"]
    assert measures.footfall([120, o["day_in"] - 120]) == o["day_in"]
    assert measures.footfall_average(o["day_in"], o["day_out"]) == o["day_avg"]
    assert six(measures.imbalance(o["day_in"], o["day_out"])) == [o["imbalance"]]
    assert measures.footfall_undirected([o["day_in"], o["day_out"]]) == o["day_avg"]


DAY = list(zip([0, 12, 20, 15, 8, 3, 0], [0, 2, 9, 14, 16, 12, 11], strict=True))


def test_o2_occupancy() -> None:
    o = oracle("O2_occupancy")
    raw, clamped, live = [0], [0], [0.0]
    for ins, outs in DAY:
        raw.append(measures.occupancy_raw(raw[-1], ins, outs))
        clamped.append(measures.occupancy(clamped[-1], ins, outs))
        live.append(measures.occupancy_live(live[-1], ins, outs, 0.95))
    assert (raw[1:], clamped[1:], six(*live[1:])) == (o["raw"], o["clamped"], o["live_r095"])
    assert six(*presence.retrospective(DAY)) == o["retro"]
    assert list(presence.series(DAY, 0.95)) == [round(inside) for inside in o["live_r095"]]
    assert presence.residual(58, 64) == o["raw"][-1]
    factors = presence.symmetric_factors(58, 64)
    assert factors is not None
    assert six(58 * factors[0], 64 * factors[1]) == [o["symmetric_total"]] * 2
    assert six(58 / 64) == [o["r"]]


# CalIt2 building people counts, 2005-08-03, (in, out) per half hour; UCI, CC BY 4.0
CALIT2 = (
    "0,0 0,0 0,1 0,0 0,0 0,0 0,0 0,0 0,0 0,0 1,0 0,0 0,0 3,2 1,1 4,1 0,0 4,1 4,2 8,4 19,4 6,6 13,13 18,3 "
    "17,15 4,8 13,6 21,26 15,9 12,5 6,10 13,9 8,13 10,8 7,8 2,6 3,7 "
    "0,3 1,0 3,12 0,1 1,0 3,0 1,4 1,0 1,2 0,0 0,3"
)


def test_o2b_a_real_day_clamped_and_corrected() -> None:
    o = oracle("O2b_calit2_day")
    day = [(int(ins), int(outs)) for ins, outs in (pair.split(",") for pair in CALIT2.split())]
    raw, clamped = [0], [0]
    for came, left in day:
        raw.append(measures.occupancy_raw(raw[-1], came, left))
        clamped.append(measures.occupancy(clamped[-1], came, left))
    assert (raw[-1], min(raw), max(raw)) == (o["end"], o["min"], o["max"])
    assert (clamped[-1], presence.safety_peak(day)) == (o["clamped_end"], o["clamped_max"])
    assert six(max(presence.retrospective(day))) == [o["retro_max"]]
    assert six(sum(ins for ins, _ in day) / sum(outs for _, outs in day)) == [o["r"]]


def test_o2c_the_ratio_learnt_from_closed_days() -> None:
    o = oracle("O2c_ratio_ewma")
    drift = presence.Drift()
    for ins, outs in zip(o["days_in"], o["days_out"], strict=True):
        drift = presence.after_day(drift, ins, outs, 1.0)
    assert six(presence.live_ratio(drift)[0]) == [o["r"]]


def test_o3_capture() -> None:
    o = oracle("O3_capture")
    ratio = measures.capture_rate(o["entries"], o["passers"])
    assert six(ratio.value) == [o["capture"]]
    assert band(ratio) == o["capture_ci"]
    assert ratio.formula == "passersby/1"
    share = capture.mall_share(o["entries"], o["mall_visitors"])
    assert (six(share.value), share.formula) == ([o["mall_share"]], "mall-share/1")


def test_o4_conversion_by_each_definition() -> None:
    o = oracle("O4_conversion")
    sales, ins, staff = o["transactions"], o["entries"], o["staff"]
    assert six(converting.conversion_crude(sales, ins).value) == [o["crude"]]
    assert six(measures.conversion(sales, ins, staff=staff).value) == [o["cr_visitors"]]
    assert six(converting.conversion_units(sales, ins, o["group"], staff=staff).value) == [o["cr_units"]]
    assert converting.staff_entries(21) == staff
    assert ins - staff == o["visitors"]
    assert six(o["visitors"] / o["group"]) == [o["buying_units"]]


def test_o5_money() -> None:
    o = oracle("O5_atv_spv")
    minor = round(o["revenue"] * 100)
    atv, spv = money.average_transaction(minor, 212), money.sales_per_visitor(minor, 212, 1166)
    assert atv.value is not None
    assert spv.value is not None
    assert six(atv.value / 100, spv.value / 100) == [o["atv"], o["spv"]]
    rate = measures.conversion(212, 1166).value
    assert rate is not None
    assert abs(rate * atv.value - spv.value) < 1e-9
    assert six(rate * atv.value / 100) == [o["identity"]]


def test_o6_little_from_the_sums_of_event_times() -> None:
    o = oracle("O6_little")
    people, day = o["people"], o["day"]
    stay = dwell.dwell_events(people, day["in_sum_min"] * 60, people, day["out_sum_min"] * 60)
    assert stay.value is not None
    assert six(stay.value) == [o["W"]]
    assert round(stay.value * people, 4) == o["person_minutes"]
    assert six(people / o["window_min"], people / o["window_min"] * stay.value) == [o["lam"], o["L"]]
    assert six(stay.value + dwell.missed_exit_bias(0.03, o["window_min"])) == [o["W_if_3pct_of_exits_missed"]]


@pytest.mark.parametrize("side", ["exit_left_closed", "exit_right_closed"])
def test_o6_little_from_counts_shows_the_band_of_half_a_bucket(side: str) -> None:
    o = oracle("O6_little")
    for size in (1, 5):
        in_sum, out_sum = o["day"][f"bucket_sums_{size}min_{side}"]
        stay = dwell.dwell_events(o["people"], in_sum * size * 60, o["people"], out_sum * size * 60)
        assert six(stay.value) == [o[f"W_{size}min_buckets_{side}"]]
    quarters = o["day"][f"quarters_{side}"]
    sums = [900 * sum(at * count for at, count in enumerate(quarters[way])) for way in ("ins", "outs")]
    stay = dwell.dwell_events(o["people"], sums[0], o["people"], sums[1])
    assert six(stay.value) == [o[f"W_15min_buckets_{side}"]]
    assert dwell.dwell_windows(quarters["ins"], quarters["outs"], 900) == measures.unknown("too_coarse")


def test_o7_like_for_like_of_a_street_over_a_year() -> None:
    o = oracle("O7_lfl_headrow")
    same = growth.like_for_like([growth.Door("headrow", o["cur"], o["ref"])])
    assert six(same.ratio.value) == [o["lfl"]]
    calendar = growth.like_for_like([growth.Door("headrow", o["cal_2013"], o["cal_2012"])])
    assert six(calendar.ratio.value) == [o["calendar"]]


def test_o7b_a_new_and_a_closed_store_are_no_growth() -> None:
    o = oracle("O7b_lfl_storeset")
    doors = [
        growth.Door("A", *o["A"]),
        growth.Door("B", *o["B"]),
        growth.Door("C", o["C_new"][0], None),
        growth.Door("D", None, o["D_closed"][1]),
    ]
    same = growth.like_for_like(doors)
    assert six(same.ratio.value) == [o["lfl"]]
    assert (same.doors, same.of_doors, six(same.share_now)) == (("A", "B"), 4, six(2000 / 2300))
    everything = growth.like_for_like([growth.Door("all", 1200 + 800 + 300, 1100 + 900 + 400)])
    assert six(everything.ratio.value) == [o["total_growth"]]


def test_o8_imputing() -> None:
    o = oracle("O8_missing")
    covered = imputing.coverage([131, 140], 144)
    assert covered is not None
    assert six(covered, 1 - covered) == [o["coverage"], o["missing"]]
    seen = imputing.estimate(1250, 1440 - 118, 118, covered, phi=o["phi"])
    assert six(seen.factor, seen.imputed, seen.total) == [o["factor"], o["imputed"], o["total"]]
    assert six(seen.standard_error) == [o["se_imputed"]]
    assert seen.total is not None
    assert six(1250 / covered) == [o["naive_upscale"]]  # what is not done: the missing hours were quiet ones
    assert seen.total < o["naive_upscale"]


def test_o9_calibration() -> None:
    o = oracle("O9_calibration")
    tallies = [calibration.Tally(manual, seen) for manual, seen in zip(o["M"], o["C"], strict=True)]
    found = calibration.calibrate(tallies)
    assert found.accuracy is not None
    assert six(found.factor) == [o["k"]]
    assert six(found.accuracy.bias, found.accuracy.net) == [o["bias"], o["accuracy_net"]]
    assert six(found.accuracy.wape, found.accuracy.mape) == [o["wape"], o["mape"]]
    assert six(found.standard_error, found.s_k) == [o["se_jackknife"], o["rel_se"]]
    assert six(found.low, found.high) == o["ci"]


def test_o9b_errors_that_cancel_are_seen_in_wape() -> None:
    o = oracle("O9b_hidden_error")
    seen = calibration.accuracy([calibration.Tally(100, 90), calibration.Tally(100, 110)])
    assert seen is not None
    assert six(seen.net, seen.wape) == [o["net_accuracy"], o["wape"]]


@pytest.mark.parametrize(("hits", "trials"), [(47, 210), (0, 40), (40, 40), (3, 12)])
def test_o10_a_sampled_share(hits: int, trials: int) -> None:
    o = oracle(f"O10_prop_{hits}_{trials}")
    ratio = converting.bag_rate(hits, trials)
    assert (six(ratio.value), band(ratio)) == ([o["p"]], o["wilson"])
    assert six(*intervals.clopper_pearson(hits, trials)) == o["clopper_pearson"]
    low, high = intervals.jeffreys(hits, trials)
    # by convention the limit at no hit is 0 and at all 1; the oracle keeps the quantile
    expected = [0.0 if hits == 0 else o["jeffreys"][0], 1.0 if hits == trials else o["jeffreys"][1]]
    assert six(low, high) == expected


@pytest.mark.parametrize(("hits", "base"), [(212, 1166), (58, 51)])
def test_o11_two_counts_that_are_both_noisy(hits: int, base: int) -> None:
    o = oracle(f"O11_poisson_ratio_{hits}_{base}")
    assert six(hits / base) == [o["ratio"]]
    assert six(*intervals.poisson_ratio(hits, base)) == o["log_delta"]
    assert six(*intervals.poisson_ratio_exact(hits, base)) == o["exact_conditional"]


@pytest.mark.parametrize(("hits", "base"), [(212, 1166), (58, 51)])
def test_o11_the_score_interval_is_that_of_a_share_of_both_counts(hits: int, base: int) -> None:
    o = oracle(f"O11_poisson_ratio_{hits}_{base}")
    low, high = intervals.wilson(hits, hits + base)
    assert six(low / (1 - low), high / (1 - high)) == o["score"]


def test_o11_more_than_one_by_chance() -> None:
    o = oracle("O11_poisson_ratio_58_51")
    assert six(quantiles.beta_cdf(0.5, 58, 51 + 1)) == [o["p_one_sided_ratio_le_1"]]


def test_o11_more_receipts_than_visitors() -> None:
    ratio = measures.conversion(58, 51, phi=1)
    assert band(ratio) == oracle("O11_poisson_ratio_58_51")["log_delta"]
    assert ratio.flags == ("ratio_gt_1",)


def test_o11b_thinning() -> None:
    o = oracle("O11b_thinning")
    ratio = measures.conversion(212, 1166, phi=1)
    assert (six(ratio.value), band(ratio)) == ([o["p"]], o["log_binomial"])
    assert six(*intervals.wilson(212, 1166)) == o["wilson"]


def test_o11c_over_dispersion_and_calibration_widen_the_band() -> None:
    o = oracle("O11c_live_ci")
    assert band(measures.conversion(212, 1166, phi=o["phi"], s_k=o["s_k"])) == o["ci"]
    assert six(*intervals.wilson(212 / o["phi"], 1166 / o["phi"])) == o["wilson_neff"]
    value = 212 / 1166
    assert six((o["phi"] * (1 - value) / 212 + o["s_k"] ** 2) ** 0.5) == [o["rel_se"]]


def test_o11d_early_in_the_day() -> None:
    o = oracle("O11d_shrunk_live")
    ratio = converting.conversion_shrunk(o["early_T"], o["early_E"], 0.20, 200)
    assert (six(ratio.value), band(ratio)) == ([o["shrunk"]], o["ci"])
    assert ratio.flags == ("shrunk",)
    assert six(measures.conversion(o["early_T"], o["early_E"]).value) == [o["raw"]]


def test_o12_lag() -> None:
    o = oracle("O12_lag")
    entries, h, sales = o["entries"], tuple(o["h"]), o["transactions"]
    moved = lag.lagged(entries, h)
    assert six(*moved) == o["lagged_entries"]
    recent: tuple[float, ...] = ()
    for came, expected in zip(entries, o["lagged_entries"], strict=True):
        recent, now = lag.lag_step(recent, came, h)
        assert six(now) == [expected]
        assert len(recent) <= len(h)
    assert six(sum(at * share for at, share in enumerate(h))) == [o["mean_lag_buckets"]]
    for at in range(len(sales)):
        for key, counts, so_far in (
            ("naive", entries, False),
            ("lagged", moved, False),
            ("naive_day_to_date", entries, True),
            ("lagged_day_to_date", moved, True),
        ):
            first = 0 if so_far else at
            paid, came = sum(sales[first : at + 1]), sum(counts[first : at + 1])
            value = lag.conversion_lagged(paid, came).value
            expected = o[key][at]
            assert (None if value is None else round(value, 6)) == expected, (key, at)


def test_o12_the_mean_lag_by_moments() -> None:
    o = oracle("O12_lag")
    # the oracle's receipts are halves of persons; ten such days twice over are whole ones, and enough of them
    day = lag.of_day([2 * came for came in o["entries"]], [round(2 * paid) for paid in o["transactions"]])
    assert six(lag.mean_lag(lag.learn([day] * 10))) == [o["moment_lag"]]


BASE = [
    [512, 498, 530, 561, 640, 890, 402],
    [498, 520, 541, 575, 655, 861, 398],
    [530, 505, 522, 590, 671, 902, 415],
    [507, 511, 538, 566, 648, 877, 409],
]
CAMPAIGN = [566, 571, 590, 640, 730, 985, 455]


def test_o18_the_closed_form_of_the_poisson_regression() -> None:
    o = oracle("O18_uplift")
    found = campaign.matched(BASE, CAMPAIGN)
    assert found.ratio.value is not None
    assert six(1 + found.ratio.value, found.ratio.value) == [o["ratio"], o["uplift"]]
    assert six(found.b, found.standard_error, found.phi) == [o["glm_beta"], o["se_poisson"], o["phi"]]
    assert found.ratio.low is not None
    assert found.ratio.high is not None
    assert six(1 + found.ratio.low, 1 + found.ratio.high) == o["ci_phi_floor_1"]
    assert six(found.standard_error * found.phi**0.5) == [o["se_quasi"]]  # what is not done: too narrow


def test_o18b_week_totals() -> None:
    o = oracle("O18b_week_level")
    totals = [sum(week) for week in BASE]
    assert totals == o["week_totals"]
    found = campaign.week_level(totals, sum(CAMPAIGN))
    assert found is not None
    assert six(found.mean, found.deviation) == [o["mean"], o["sd"]]
    assert six(found.t, found.p) == [o["t"], o["p"]]
    assert six(found.deviation * 1.25**0.5) == [o["pred_se"]]


def test_o18c_control_doors() -> None:
    o = oracle("O18c_did")
    control = campaign.matched([[o["control_base"]]], [o["control_camp"]])
    assert control.ratio.value is not None
    assert six(1 + control.ratio.value) == [o["control_ratio"]]
    found = campaign.against_control(campaign.matched(BASE, CAMPAIGN), control)
    assert six(found.ratio.value) == [o["did"]]


def test_o18d_stores_drawn_by_lot() -> None:
    o = oracle("O18d_cuped")
    found = campaign.cuped(o["Y"], o["X"], [bool(group) for group in o["group"]])
    assert found is not None
    assert six(found.theta, found.correlation) == [o["theta"], o["corr"]]
    assert six(found.raw, found.adjusted) == [o["diff_raw"], o["diff_cuped"]]
    assert six(found.variance_ratio, 1 - found.correlation**2) == [o["var_ratio"], o["one_minus_rho2"]]


def test_o18e_two_conversion_rates() -> None:
    o = oracle("O18e_conv_diff")
    ratio = converting.conversion_difference((212, 1166), (180, 1120))
    assert (six(ratio.value), band(ratio)) == ([o["diff"]], o["newcombe"])
    assert six(212 / 1166, 180 / 1120) == [o["p1"], o["p2"]]


def test_o21_groups() -> None:
    o = oracle("O21_group_dispersion")
    found = dispersion.group_dispersion({int(size): many for size, many in o["sizes"].items()})
    assert found is not None
    assert six(*found) == [o["mean_g"], o["fano_people_given_poisson_visits"]]


def test_no_oracle_is_left_out() -> None:
    text = Path(__file__).read_text()
    assert [key for key in KEYS if f'"{key}"' not in text and not key.startswith(("O10_", "O11_"))] == []
