"""What snapshots and events show: unknown with a reason, never zero; strange counts shown and flagged."""

from __future__ import annotations

import pytest

from gateway import measures


def six(*figures: float | None) -> tuple[float, ...]:
    assert all(figure is not None for figure in figures)
    return tuple(round(figure, 6) for figure in figures if figure is not None)


def test_imbalance_of_an_empty_day_is_unknown() -> None:
    assert measures.imbalance(0, 0) is None


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
    assert measures.gate(ratio, 0.98, 0.8) == ratio
    assert measures.gate(ratio, 0.97, 0.8) == measures.flagged(ratio, "estimated")
    assert measures.gate(measures.unknown("not_configured"), 0.1, 0.8).why == "not_configured"
