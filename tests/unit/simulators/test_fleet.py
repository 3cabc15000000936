"""A fleet of 200 counters of ten families: its words and its truth agree, whatever goes wrong."""

from __future__ import annotations

import json
from collections import Counter as Sums
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import config
from simulators.fleet.configuration import Around, write
from simulators.fleet.expected import Expected
from simulators.fleet.makes import MAKES, numbers
from simulators.fleet.plan import Counter, Fault, Plan, Till, Way, draw
from simulators.fleet.polled import PortalThread, Registers
from simulators.fleet.selling import Seller
from simulators.fleet.speaking import SPREAD_MS, Span, Speaker
from simulators.mqtt import XovisVoice
from simulators.office import compare, read_truth
from simulators.timing import Clock, window_name
from simulators.truth import Truth, Zone

NOON = 1_795_435_200_000  # 2026-11-23T12:00:00Z
MINUTE, QUARTER, HOUR = 60_000, 900_000, 3_600_000
XOVIS = next(make for make in MAKES if make.name == "xovis")


@given(st.integers(len(MAKES), 1000))
def test_makes_have_their_shares_and_add_up(counters: int) -> None:
    many = numbers(counters)
    assert sum(many.values()) == counters
    assert min(many.values()) >= 1


def test_two_hundred_counters_are_of_ten_families_and_hang_in_one_place_each() -> None:
    plan = draw(seed=1)
    assert len({counter.make.driver for counter in plan.counters}) == 10
    members = [name.lstrip("-") for zone in plan.zones.values() for name in (*zone.entrances, *zone.passing)]
    assert sorted(members) == sorted(counter.id for counter in plan.counters)
    assert len(set(members)) == 200
    shops = [zone for name, zone in plan.zones.items() if name != "mall"]
    assert len(shops) == 20
    assert all(zone.entrances and zone.passing and len(zone.tills) == 1 for zone in shops)
    assert plan == draw(seed=1) != draw(seed=2)


@pytest.mark.parametrize(("counters", "tills"), [(12, 1), (200, 0)])
def test_a_fleet_too_small_is_refused(counters: int, tills: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        draw(1, counters, tills)


@pytest.mark.parametrize("plan", [draw(1), draw(2, 13, 1)], ids=["200", "13"])
def test_the_gateway_understands_the_file_of_a_fleet(tmp_path: Path, plan: Plan) -> None:
    office = "http://127.0.0.1:8090/events"
    around = Around(tmp_path, 1883, 8081, 8080, office, "Europe/Oslo", speed=120)
    around.receipts.mkdir()
    with Registers(plan, tmp_path) as registers, PortalThread(plan, Clock()) as portal:
        read = config.load(write(plan, around, registers.ports, portal))
    assert set(read.counter) == {counter.id for counter in plan.counters}
    assert set(read.till) == {till.id for till in plan.tills}
    assert set(read.zone) == set(plan.zones)


def expecting(counter: Counter) -> Expected:
    return Expected(Truth({"shop": Zone("store", entrances=(counter.id,))}, 900))


def figures(expected: Expected) -> dict[int, tuple[int, int]]:
    return {
        start: (facts["ins"], facts["outs"]) for start, facts in expected.truth.sums.get("shop", {}).items()
    }


def test_totals_are_shared_out_between_those_that_arrived() -> None:
    """By hand: 10 and 1 persons over [12:13, 12:23), two thirds of a quarter; the one at 12:20 was lost."""
    counter = Counter("xovis-01", XOVIS, "shop")
    expected = expecting(counter)
    begin = NOON + 13 * MINUTE
    expected.totals(counter, [(begin + 10 * MINUTE, 60, 8), (begin, 50, 7), (begin, 50, 7)])
    assert figures(expected) == {NOON: (2, 0), NOON + QUARTER: (8, 1)}
    assert expected.persons == 11


def test_a_counter_that_hangs_the_wrong_way_round_is_turned() -> None:
    counter = Counter("xovis-01", XOVIS, "shop", turned=True)
    expected = expecting(counter)
    expected.told(counter, NOON, NOON + MINUTE, 3, 1)
    expected.refuse(counter, 5, 0)
    assert figures(expected) == {NOON: (1, 3)}
    assert expected.refused == {("xovis-01", "outs"): 5, ("xovis-01", "ins"): 0}


def test_persons_whom_a_register_that_nobody_asks_kept_away_are_told(tmp_path: Path) -> None:
    """Without them a gateway that has stopped asking would have nobody to lose."""
    plan = draw(2, 13, 1)
    registers = Registers(plan, tmp_path)
    counter = next(counter for counter in plan.counters if counter.bus)
    expected = expecting(counter)
    for _, happen in registers.life(counter, 1, Span(NOON, NOON + 2 * HOUR), Stopped(), expected):
        happen()
    assert (expected.persons, registers.passed) == (0, 0)
    assert registers.barred > 20


def test_persons_in_a_zone_where_nobody_came_are_a_difference(tmp_path: Path) -> None:
    truth = Truth({"shop": Zone("store"), "mall": Zone("mall")}, 900)
    truth.watch(NOON)
    truth.write(tmp_path / "truth.jsonl")
    told = [{"zone": "mall", "size_s": 900, "start": window_name(NOON + QUARTER), "ins": 3}]
    assert [(one.figure, one.office) for one in compare(read_truth(tmp_path / "truth.jsonl"), told)] == [
        ("ins", 3)
    ]


class Stopped(Clock):
    """Nobody is held up."""

    def now_ms(self) -> int:
        return NOON


def spoken(counter: Counter, seed: int, *, withheld: bool = False) -> tuple[Expected, list[bytes], list[int]]:
    """What a Xovis sensor of a fleet says in two hours, and when."""
    expected, bodies, times = expecting(counter), [], []
    span = Span(NOON, NOON + 2 * HOUR)
    speaker = Speaker(
        counter,
        XovisVoice(counter.id),
        seed,
        span,
        expected,
        lambda _topic, body: bodies.append(body),
        Stopped(),
        withheld=withheld,
    )
    for at_ms, happen in speaker.life():
        times.append(at_ms)
        happen()
    return expected, bodies, times


def records(bodies: list[bytes]) -> dict[tuple[int, int], tuple[int, int]]:
    """By their times; a record told again must be the same."""
    told: dict[tuple[int, int], tuple[int, int]] = {}
    for body in map(json.loads, bodies):
        for record in body["logics_data"]["logics"][0]["records"] if "logics_data" in body else ():
            forward, backward = (count["value"] for count in record["counts"])
            assert told.setdefault((record["from"], record["to"]), (forward, backward)) == (forward, backward)
    return told


def by_quarter(told: dict[tuple[int, int], tuple[int, int]]) -> dict[int, tuple[int, int]]:
    sums: Sums[tuple[int, int]] = Sums()
    for (start, _), both in told.items():
        for side, persons in enumerate(both):
            sums[start - start % QUARTER, side] += persons
    starts = {start for start, _ in sums}
    return {s: (sums[s, 0], sums[s, 1]) for s in sorted(starts) if sums[s, 0] or sums[s, 1]}


@pytest.mark.parametrize("seed", range(8))
def test_whatever_goes_wrong_everything_seen_is_told_in_the_end(seed: int) -> None:
    expected, bodies, times = spoken(Counter("xovis-01", XOVIS, "shop"), seed)
    told = records(bodies)
    assert len(told) == 120
    assert by_quarter(told) == figures(expected)
    assert times == sorted(times)
    assert len(bodies) != 120  # some twice, some together


@pytest.mark.parametrize(
    ("fault", "first"),
    [(Fault(25.0), NOON), (Fault(-3600.0, mended=True), NOON - HOUR)],
    ids=["25 s ahead", "an hour behind until it is mended"],
)
def test_a_believed_clock_stamps_its_own_time(fault: Fault, first: int) -> None:
    expected, bodies, times = spoken(replace(Counter("xovis-01", XOVIS, "shop"), fault=fault), 3)
    told = records(bodies)
    assert (min(told)[0], max(end for _, end in told)) == (first, NOON + 2 * HOUR)
    assert by_quarter(told) == figures(expected)
    assert 0 <= times[0] - (first + MINUTE - round(fault.off_s * 1000)) < SPREAD_MS
    assert not expected.refused


def test_what_is_told_an_hour_ahead_is_refused_until_somebody_sets_the_clock_right() -> None:
    """Of two hours the first is told as the second, and the second once more."""
    fault = Fault(3600.0, mended=True, refused="future")
    expected, bodies, _ = spoken(replace(Counter("xovis-01", XOVIS, "shop"), fault=fault), 3)
    ahead, right = records(bodies[:60]), records(bodies[60:])
    assert (
        set(ahead) == set(right) == {(at, at + MINUTE) for at in range(NOON + HOUR, NOON + 2 * HOUR, MINUTE)}
    )
    assert by_quarter(right) == figures(expected)
    assert sum(expected.refused.values()) == sum(sum(both) for both in ahead.values()) > 0


def test_what_a_counter_forgets_is_missing_from_what_it_says() -> None:
    expected, bodies, _ = spoken(Counter("xovis-01", XOVIS, "shop"), 3, withheld=True)
    told = records(bodies)
    assert len(told) == 119
    lost = Sums(expected.truth.lines)
    lost.subtract({("xovis-01", "in"): sum(ins for ins, _ in told.values())})
    lost.subtract({("xovis-01", "out"): sum(outs for _, outs in told.values())})
    assert sum(lost.values()) == sum(expected.forgotten.values()) > 0


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_to_a_till_its_last_word_on_each_quarter_is_what_it_took(
    tmp_path: Path, seed: int
) -> None:
    expected = Expected(Truth({"shop": Zone("store", tills=("pos-01",))}, 900))
    bodies: list[bytes] = []
    around = Span(NOON, NOON + 4 * HOUR), expected, lambda _topic, body: bodies.append(body)
    seller = Seller(Till("pos-01", "shop", Way.MQTT), seed, *around, tmp_path, ZoneInfo("Europe/Oslo"))
    for _, happen in seller.life():
        happen()
    last = {body["from"]: (body["sales"], body["returns"]) for body in map(json.loads, bodies)}
    wanted = [(facts["sales"], facts["returns"]) for _, facts in sorted(expected.truth.sums["shop"].items())]
    assert [both for _, both in sorted(last.items())] == wanted
    assert len(last) == 16
