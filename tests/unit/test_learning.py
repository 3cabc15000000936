"""What closed days teach a zone, and that days which were not watched teach nothing."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from gateway.learning import CLASSES, NOTHING, Day, Learnt, Window, hour_class, teach
from gateway.measures import PHI_START
from gateway.measures.ratios import IMBALANCE, NO_HISTORY

QUARTER_S = 900
SHAPE = [0, 10, 20, 30, 40, 40, 30, 20, 10, 0, 0, 0]  # visitors of a day, by half hours


def day(
    weekday: int, rate: float = 0.2, lag: int = 2, *, scale: int = 4, completeness: float | None = 1.0
) -> Day:
    """Everybody who buys pays `lag` windows later."""
    ins = [scale * n for n in SHAPE]
    paid = [0] * lag + [round(rate * n) for n in ins]
    outs = [0] * 3 + ins
    windows = [
        Window(10 + at // 2, ins[at], outs[at], 0, paid[at] if at < len(paid) else 0)
        for at in range(len(ins))
    ]
    return Day(weekday, 1800, completeness, windows)


def noisy(dice: Random, weekday: int, phi: float) -> Day:
    """Receipts whose rate changes from window to window as much as `phi` says."""
    windows = []
    for at in range(44):
        visitors = 100
        weight = (visitors - phi) / (phi - 1) if phi > 1 else 1e9
        chance = dice.betavariate(0.2 * weight, 0.8 * weight)
        sales = sum(dice.random() < chance for _ in range(visitors))
        windows.append(Window(10 + at // 4, visitors, visitors, 0, sales))
    return Day(weekday, QUARTER_S, 1.0, windows)


def test_before_the_first_day_there_is_only_what_is_assumed() -> None:
    assert teach([]) == replace(NOTHING, phi=dict.fromkeys([name for _, name in CLASSES], PHI_START))
    assert NOTHING.phi_at(12) == PHI_START
    assert NOTHING.prior_of(0) is None
    assert NOTHING.dwell.why == NO_HISTORY


def test_the_lag_is_found() -> None:
    learnt = teach([day(n % 7) for n in range(14)])
    assert learnt.lag_s == pytest.approx(2 * 1800)


def test_few_receipts_teach_no_lag() -> None:
    assert teach([day(0, scale=1)]).lag_s is None


def test_a_rate_that_changes_within_the_day_scatters_more() -> None:
    dice = Random(5)
    steady = teach([noisy(dice, n % 7, 1.0) for n in range(28)])
    restless = teach([noisy(dice, n % 7, 4.0) for n in range(28)])
    for _before, name in CLASSES:
        assert 1.0 <= steady.phi[name] < 1.5
        assert 3.0 < restless.phi[name] < 4.5
    assert restless.phi_day > 2 > 1.5 > steady.phi_day >= 1


def test_days_that_were_not_watched_teach_nothing() -> None:
    good = [day(n % 7) for n in range(14)]
    dead = [replace(day(n % 7, rate=0.9), completeness=lost) for n, lost in enumerate((0.5, None, 0.94))]
    learnt = teach([*good, *dead])
    assert (learnt.lag_s, learnt.priors, learnt.days) == (teach(good).lag_s, teach(good).priors, 14)


def test_the_usual_rate_is_that_of_the_last_same_weekdays() -> None:
    learnt = teach([day(0, rate=0.1) for _ in range(3)] + [day(0, rate=0.3) for _ in range(4)] + [day(1)])
    found = learnt.prior_of(0)
    assert found is not None
    assert found[0] == pytest.approx(0.3, abs=0.01)
    assert learnt.prior_of(2) is None


def test_how_long_people_stayed_is_told_of_the_last_closed_day_only() -> None:
    learnt = teach([day(0), day(1)])
    assert learnt.dwell.value == pytest.approx(90, abs=1)  # three half hours
    lame = replace(day(2), windows=[replace(window, outs=window.outs // 2) for window in day(2).windows])
    assert teach([day(0), lame]).dwell.why == IMBALANCE
    assert teach([day(0), replace(day(1), completeness=0.5)]).dwell.why == NO_HISTORY


def test_staff_is_no_visitor() -> None:
    assert Window(10, 5, 0, 7, 0).visitors == 0
    assert Window(10, 5, 0, 2, 0).visitors == 3


def test_what_was_learnt_survives_the_card() -> None:
    learnt = teach([day(n % 7) for n in range(14)])
    assert Learnt.from_text(learnt.to_text()) == learnt


@pytest.mark.parametrize(
    ("hour", "name"), [(0, "morning"), (11, "midday"), (16, "afternoon"), (23, "evening")]
)
def test_hours_have_a_class(hour: int, name: str) -> None:
    assert hour_class(hour) == name
