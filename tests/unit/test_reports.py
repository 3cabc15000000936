"""Growth and campaigns over made-up days: what is compared, what is not, and when nobody can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from gateway.calendars import ISO
from gateway.entries import bodies as entered
from gateway.entries.findings import Findings
from gateway.model import Entry, EntryKind
from gateway.quality import Break
from gateway.reports import campaigns
from gateway.reports.campaigns import Place, report
from gateway.reports.days import between
from gateway.reports.growth import growth
from gateway.windows import Span, day_bounds

OSLO, DAY = "Europe/Oslo", timedelta(days=1)
PLACE = Place(OSLO, 240)


@dataclass(frozen=True)
class Sum:
    ins: int
    sales: int = 0
    staff: int = 0
    watched_ms: int | None = 1000
    base_ms: int | None = 1000


class Past:
    """Days by zone (and door), looked up by where they begin."""

    def __init__(self, zones: Mapping[str, Mapping[date, Sum]], doors: Any = None) -> None:
        self._zones = {zone: self._by_start(days) for zone, days in zones.items()}
        self._doors = {line: self._by_start(days) for line, days in (doors or {}).items()}

    def _by_start(self, days: Mapping[date, Sum]) -> dict[int, Sum]:
        return {day_bounds(day, OSLO, 240)[0]: one for day, one in days.items()}

    def zone_days(self, zone: str, days: list[Span]) -> Sequence[Sum | None]:
        return [self._zones[zone].get(start) for start, _end in days]

    def door_days(self, _zone: str, days: list[Span]) -> Mapping[str, Sequence[Sum | None]]:
        return {line: [of.get(start) for start, _end in days] for line, of in self._doors.items()}


# the worked example of metrics, section 18: Monday to Sunday
BASE = (
    (512, 498, 530, 561, 640, 890, 402),
    (498, 520, 541, 575, 655, 861, 398),
    (530, 505, 522, 590, 671, 902, 415),
    (507, 511, 538, 566, 648, 877, 409),
)
CAMPAIGN = (566, 571, 590, 640, 730, 985, 455)
MONDAY = date(2026, 11, 2)


def entry(first: date, last: date, *, id_: str = "lights", **content: Any) -> Entry:
    span = day_bounds(first, OSLO, 240)[0], day_bounds(last, OSLO, 240)[1]
    about = {"zones": ["shop"], "controls": [], "measure": "visitors", "purpose": "", "goal": None}
    return Entry(EntryKind.CAMPAIGN, id_, "", *span, {**about, **content})


def weeks(rows: Sequence[Sequence[int]], first: date) -> dict[date, Sum]:
    return {
        first + (7 * at + day) * DAY: Sum(ins) for at, row in enumerate(rows) for day, ins in enumerate(row)
    }


def judged(past: Past, campaign: Entry, *others: Entry, now: date = MONDAY + 40 * DAY) -> dict[str, Any]:
    return report(past, campaign, [campaign, *others], PLACE, day_bounds(now, OSLO, 240)[0] + 1)


def noise(seed: int, spread: float, n: int, uplift: float = 1.0) -> list[list[int]]:
    """Weeks before a campaign week (the last), each with a level of its own."""
    dice = Random(seed)
    levels = [dice.lognormvariate(0, spread) for _ in range(n)] + [uplift]
    return [[dice.gauss(1, 0.01) * level * day // 1 for day in BASE[0]] for level in levels]  # type: ignore[misc]


def test_the_worked_example_without_a_history_cannot_tell() -> None:
    past = Past({"shop": weeks((*BASE, CAMPAIGN), MONDAY - 28 * DAY)})
    told = judged(past, entry(MONDAY, MONDAY + 6 * DAY))
    assert told["effect"]["value"] == pytest.approx(0.115290, abs=1e-6)
    assert (told["verdict"], told["why"]) == ("cannot tell", "no_history")
    assert len(told["base_weeks"]) == 4
    assert told["days"] == 7


def test_an_effect_beyond_what_the_place_does_by_itself_shows() -> None:
    past = Past(
        {"shop": weeks([[round(n) for n in row] for row in noise(1, 0.03, 30, 1.3)], MONDAY - 210 * DAY)}
    )
    told = judged(past, entry(MONDAY, MONDAY + 6 * DAY, goal=0.1))
    assert told["verdict"] == "up"
    assert told["effect"]["low"] < 0.3 < told["effect"]["high"]
    assert told["detectable"] < 0.15
    assert told["placebo"]["weeks"] == 26


def test_a_restless_place_hides_the_same_effect_and_says_how_large_one_would_have_shown() -> None:
    past = Past(
        {"shop": weeks([[round(n) for n in row] for row in noise(1, 0.2, 30, 1.3)], MONDAY - 210 * DAY)}
    )
    told = judged(past, entry(MONDAY, MONDAY + 6 * DAY, goal=0.1))
    assert told["verdict"] == "cannot tell"
    assert told["detectable"] > 0.3
    assert told["goal_met"] == "cannot tell"


def test_what_the_controls_did_too_was_not_the_campaign() -> None:
    rows = [[round(n) for n in row] for row in noise(1, 0.02, 30, 1.3)]
    past = Past({"shop": weeks(rows, MONDAY - 210 * DAY), "other": weeks(rows, MONDAY - 210 * DAY)})
    told = judged(past, entry(MONDAY, MONDAY + 6 * DAY, controls=["other"]))
    assert told["verdict"] == "cannot tell"
    assert told["effect"]["value"] == pytest.approx(0, abs=0.001)
    assert told["effect"]["formula"] == "against-control/1"


def test_weeks_of_another_campaign_are_no_base() -> None:
    rows = [*BASE[:2], CAMPAIGN, *BASE[2:], CAMPAIGN]
    past = Past({"shop": weeks(rows, MONDAY - 35 * DAY)})
    other = entry(MONDAY - 21 * DAY, MONDAY - 15 * DAY, id_="earlier")
    told = judged(past, entry(MONDAY, MONDAY + 6 * DAY), other)
    assert told["effect"]["value"] == pytest.approx(0.115290, abs=1e-6)
    assert (MONDAY - 21 * DAY).isoformat() not in told["base_weeks"]


def test_two_campaigns_at_once_cannot_be_told_apart() -> None:
    past = Past({"shop": weeks((*BASE, CAMPAIGN), MONDAY - 28 * DAY)})
    told = judged(
        past, entry(MONDAY, MONDAY + 6 * DAY), entry(MONDAY + 3 * DAY, MONDAY + 9 * DAY, id_="music")
    )
    assert (told["verdict"], told["why"], told["overlaps"]) == ("cannot tell", "overlap", ["music"])
    elsewhere = entry(MONDAY, MONDAY + 6 * DAY, id_="music", zones=["other"])
    assert judged(past, entry(MONDAY, MONDAY + 6 * DAY), elsewhere)["why"] != "overlap"


def test_a_campaign_that_has_not_begun_is_too_early() -> None:
    told = judged(Past({"shop": {}}), entry(MONDAY, MONDAY + 6 * DAY), now=MONDAY)
    assert (told["verdict"], told["why"], told["over"]) == ("cannot tell", "too_early", False)


def test_a_day_that_was_not_watched_is_left_out_of_the_base_too() -> None:
    days = weeks((*BASE, CAMPAIGN), MONDAY - 28 * DAY)
    days[MONDAY + 5 * DAY] = replace(days[MONDAY + 5 * DAY], ins=3, watched_ms=500)
    told = judged(Past({"shop": days}), entry(MONDAY, MONDAY + 6 * DAY))
    without = sum(CAMPAIGN) - CAMPAIGN[5], sum(map(sum, BASE)) - sum(week[5] for week in BASE)
    assert told["effect"]["value"] == pytest.approx(without[0] * 4 / without[1] - 1, abs=1e-6)
    assert told["days"] == 6


def test_a_place_that_is_closed_on_sundays_has_whole_weeks() -> None:
    rows = [[round(n) for n in row] for row in noise(1, 0.03, 30, 1.3)]
    days = {day: one for day, one in weeks(rows, MONDAY - 210 * DAY).items() if day.weekday() != 6}
    assert judged(Past({"shop": days}), entry(MONDAY, MONDAY + 6 * DAY))["verdict"] == "up"


def test_all_doors_dead_is_unknown_and_not_a_fall() -> None:
    days = weeks((*BASE, (0,) * 7), MONDAY - 28 * DAY)
    dead = {day: replace(one, watched_ms=0) if day >= MONDAY else one for day, one in days.items()}
    told = judged(Past({"shop": dead}), entry(MONDAY, MONDAY + 6 * DAY))
    assert told["effect"]["value"] is None
    assert told["verdict"] == "cannot tell"


def test_receipts_can_be_what_a_campaign_is_measured_by() -> None:
    days = {day: Sum(1, sales=one.ins) for day, one in weeks((*BASE, CAMPAIGN), MONDAY - 28 * DAY).items()}
    told = judged(Past({"shop": days}), entry(MONDAY, MONDAY + 6 * DAY, measure="sales"))
    assert told["effect"]["value"] == pytest.approx(0.115290, abs=1e-6)


@pytest.mark.parametrize(("rate", "verdict"), [(0.30, "up"), (0.12, "down"), (0.21, "cannot tell")])
def test_a_campaign_for_conversion_is_judged_by_its_own_spread(rate: float, verdict: str) -> None:
    dice = Random(3)
    days = {}
    for at, day in enumerate(between(MONDAY - 210 * DAY, MONDAY + 6 * DAY)):
        usual = 0.2 + dice.gauss(0, 0.005)
        days[day] = Sum(1000, sales=round(1000 * (rate if at >= 210 else usual)))
    told = judged(Past({"shop": days}), entry(MONDAY, MONDAY + 6 * DAY, measure="conversion"))
    assert told["verdict"] == verdict
    assert told["effect"]["value"] == pytest.approx(rate - 0.2, abs=0.005)
    assert told["effect"]["formula"] == "difference/1"
    assert 0 < told["detectable"] < 0.05


def test_conversion_without_a_till_or_anybody_cannot_be_told() -> None:
    nobody = {day: Sum(0) for day in between(MONDAY - 210 * DAY, MONDAY + 6 * DAY)}
    told = judged(Past({"shop": nobody}), entry(MONDAY, MONDAY + 6 * DAY, measure="conversion"))
    assert (told["verdict"], told["why"]) == ("cannot tell", "no_denominator")


def test_a_till_that_was_never_heard_is_no_conversion_of_zero() -> None:
    days = {day: Sum(1000) for day in between(MONDAY - 210 * DAY, MONDAY + 6 * DAY)}
    told = judged(Past({"shop": days}), entry(MONDAY, MONDAY + 6 * DAY, measure="conversion"))
    assert (told["effect"], told["why"]) == ({"value": None, "why": "no_denominator"}, "no_denominator")


@pytest.mark.parametrize("dead", ["before", "meanwhile"])
def test_a_till_that_is_heard_in_one_of_the_two_times_is_no_change(dead: str) -> None:
    days = {
        day: Sum(1000, sales=0 if (day < MONDAY) is (dead == "before") else 200)
        for day in between(MONDAY - 210 * DAY, MONDAY + 6 * DAY)
    }
    told = judged(Past({"shop": days}), entry(MONDAY, MONDAY + 6 * DAY, measure="conversion"))
    assert (told["verdict"], told["why"]) == ("cannot tell", "no_denominator")


def test_staff_does_not_convert_in_a_campaign_either() -> None:
    days = {day: Sum(1000, sales=180, staff=100) for day in between(MONDAY - 28 * DAY, MONDAY - DAY)}
    days |= {day: Sum(1100, sales=270, staff=200) for day in between(MONDAY, MONDAY + 6 * DAY)}
    told = judged(Past({"shop": days}), entry(MONDAY, MONDAY + 6 * DAY, measure="conversion"))
    assert told["effect"]["value"] == pytest.approx(270 / 900 - 180 / 900)


def test_the_look_back_is_bounded() -> None:
    assert campaigns.HISTORY_WEEKS * 7 < 400


def doors(*rows: tuple[str, int | None, int | None], watched_ms: int | None = 1000) -> Past:
    """Each door's (name, now, a year before), all on one day."""
    day, before = MONDAY, ISO.comparable(MONDAY)
    of = {
        name: {at: Sum(n, watched_ms=watched_ms) for at, n in ((day, now), (before, then)) if n is not None}
        for name, now, then in rows
    }
    return Past({}, of)


def grown(past: Past, broken: Sequence[str] = ()) -> dict[str, Any]:
    return growth(past, "mall", MONDAY, MONDAY, ISO.comparable, broken, OSLO, 240)


def test_the_worked_example_of_like_for_like() -> None:
    told = grown(doors(("a", 1200, 1100), ("b", 800, 900), ("c", 300, None), ("d", None, 400)))
    assert told["like_for_like"]["value"] == 0
    assert told["total"]["value"] == pytest.approx(-0.041667, abs=1e-6)
    assert (told["doors"], told["of_doors"]) == (2, 4)
    assert told["share_now"] == pytest.approx(2000 / 2300, abs=1e-6)


def test_a_door_with_a_break_is_left_out_and_named() -> None:
    told = grown(doors(("a", 1200, 1100), ("b", 1350, 1000)), broken=["b"])
    assert told["like_for_like"]["value"] == pytest.approx(1200 / 1100 - 1, abs=1e-6)
    assert [(one["line"], one["compared"]) for one in told["each"]] == [("a", True), ("b", False)]


class Broken(Past):
    """One of its doors began to count at another level at some instant."""

    def __init__(self, past: Past, line: str, at_ms: int) -> None:
        super().__init__({})
        self._doors, self._break = past._doors, Break(line, at_ms, 0.7)

    def breaks(self, from_ms: int, to_ms: int) -> list[Break]:
        return [self._break] if from_ms <= self._break.since_ms < to_ms else []


@pytest.mark.parametrize(
    ("day", "compared"),
    [
        (ISO.comparable(MONDAY) - DAY, True),
        (ISO.comparable(MONDAY), False),
        (date(2026, 5, 4), False),
        (MONDAY, False),
        (MONDAY + DAY, True),
    ],
)
def test_a_break_between_the_two_periods_is_known_from_the_counters_alarms(day: date, compared: bool) -> None:
    past = Broken(doors(("a", 1200, 1100), ("b", 1350, 1000)), "b", day_bounds(day, OSLO, 240)[0])
    place = entered.Place(OSLO, 240, frozenset({"mall"}), frozenset())
    told = Findings(past, place, None).growth("mall", "2026-11-02", "2026-11-02")  # type: ignore[arg-type]
    assert [one["compared"] for one in told["each"]] == [True, compared]


@pytest.mark.parametrize("watched_ms", [900, None])
def test_doors_that_were_not_watched_are_not_compared(watched_ms: int | None) -> None:
    told = grown(doors(("a", 1200, 1100), watched_ms=watched_ms))
    assert told["like_for_like"] == {"value": None, "why": "not_comparable"}


def test_half_a_period_is_no_period() -> None:
    told = growth(doors(("a", 1200, 1100)), "mall", MONDAY, MONDAY + DAY, ISO.comparable, (), OSLO, 240)
    assert told["like_for_like"]["value"] is None


def test_dates_between() -> None:
    assert between(MONDAY, MONDAY) == [MONDAY]
    assert between(MONDAY, MONDAY - DAY) == []
