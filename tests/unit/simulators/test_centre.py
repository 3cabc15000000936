"""The simulated centre: seeded, in order, and its devices report what it remembers as the truth."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from simulators.dcon import Module
from simulators.devices import JsonTill, Recorder, XovisSensor
from simulators.mall import SERIAL_DOORS, SHOPS, ZONES, open_mall
from simulators.people import Centre, Crossing, Sale
from simulators.ports import Ports
from simulators.timing import Clock
from simulators.truth import Truth

NOON = 1_795_435_200_000
ZONE = "Etc/GMT"


def centre(seed: int) -> Centre:
    return Centre(seed, ZONE, NOON, (*SERIAL_DOORS, "door-s"), SHOPS)


def test_equal_seeds_make_equal_people_however_they_are_asked() -> None:
    at_once = list(centre(3).until(NOON + 3_600_000))
    stepwise, another = centre(3), centre(4)
    bit_by_bit = [what for minute in range(60) for what in stepwise.until(NOON + (minute + 1) * 60_000)]
    assert at_once == bit_by_bit
    assert at_once != list(another.until(NOON + 3_600_000))


def test_everything_happens_in_order_and_everybody_leaves() -> None:
    day = list(centre(1).until(NOON + 86_400_000))
    assert [what.at_ms for what in day] == sorted(what.at_ms for what in day)
    doors = Counter(
        what.inward for what in day if isinstance(what, Crossing) and what.line.startswith("door")
    )
    assert doors[True] > 5_000
    assert 0 <= doors[True] - doors[False] < 200  # those still inside


def test_a_sensor_reports_empty_minutes_too_and_each_minute_once() -> None:
    sensor = XovisSensor("t", {"a": "Line 0"}, Recorder(("a",), NOON))
    sensor.recorder.note(Crossing(NOON + 61_000, "a", inward=True))
    sensor.recorder.note(Crossing(NOON + 185_000, "a", inward=False))
    (payload,) = sensor.unsent(NOON + 185_500, 60_000)
    (logic,) = json.loads(payload)["logics_data"]["logics"]
    assert [record["counts"][0]["value"] for record in logic["records"]] == [0, 1, 0]
    (payload,) = sensor.unsent(NOON + 240_000, 10_000)
    (logic,) = json.loads(payload)["logics_data"]["logics"]
    assert [record["counts"][1]["value"] for record in logic["records"]] == [1, 0, 0, 0, 0, 0]


def test_a_till_prints_every_receipt_once() -> None:
    till = JsonTill("t", "1004")
    for second in (5, 1, 9):
        till.note(Sale(NOON + second * 1000, "pos-04", 1000, returned=second == 9))
    (payload,) = till.unsent(NOON + 9_000, 10_000)
    assert [receipt["number"] for receipt in json.loads(payload)["receipts"]] == ["1004-1", "1004-2"]
    (payload,) = till.unsent(NOON + 10_000, 10_000)
    (receipt,) = json.loads(payload)["receipts"]
    assert (receipt["number"], receipt["sales"], receipt["returns"]) == ("1004-3", 0, 1)


def test_a_line_seen_from_the_other_side_swaps_its_directions() -> None:
    truth = Truth(ZONES, 60)
    truth.cross("corner/d5", NOON, "in")
    truth.cross("corner/d6", NOON, "in", 2)
    truth.cross("corner/front", NOON, "out", 5)
    assert truth.totals()["shop-05"] == {
        "ins": 1,
        "outs": 2,
        "passersby": 5,
        "sales": 0,
        "returns": 0,
        "amount_minor": 0,
    }


def test_a_door_counts_for_the_truth_once_its_module_was_read(tmp_path: Path) -> None:
    clock = Clock("2026-11-23T12:00:00Z,300")
    with Ports(tmp_path, SERIAL_DOORS.values()) as ports:
        mall = open_mall(clock, ports.buses, 1, ZONE, 60)
        deadline = clock.now_ms() + 600_000
        while clock.now_ms() < deadline:
            mall.step()
        assert mall.truth.totals()["shop-04"]["ins"] > 0
        door_s = mall.truth.totals()["mall"]["ins"]
        modules = [module for bus in ports.buses.values() for module in bus.devices.values()]
        assert sum(sum(module.crossed) for module in modules) == 0
        assert door_s > 0
        assert not mall.ready()


@pytest.mark.parametrize(
    ("questions", "heard"),
    [
        ("$2 #0 #1 #0", True),
        ("$2 #0 #1 $51", True),
        ("$2 #0 #0 #1 #1 #0", True),  # a doubtful master asks everything twice
        ("$2 #0 #1", False),
        ("$2 #0 #1 #1", False),
        ("$2 #0 #1 $2 #0 #1", False),  # the second answer was lost: it begins anew
        ("$2 #0 $2 #0 #1", False),
        ("$2 #0 #1 #0 $2", True),  # once known, for ever known
    ],
)
def test_a_total_is_heard_when_the_master_goes_on_to_something_else(questions: str, heard: bool) -> None:
    module = Module("01")
    for question in questions.split():
        module.hear(f"{question[0]}01{question[1:]}\r".encode())
    assert all(module.heard) is heard


class StepClock(Clock):
    """Time goes on when told to."""

    at_ms = NOON

    def now_ms(self) -> int:
        return self.at_ms


class Collector:
    """Keeps what would have been published."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def publish(self, topic: str, payload: bytes) -> None:
        if topic == "acme/shop-04":
            self.payloads.append(payload)


def test_who_crosses_just_before_the_network_comes_back_is_reported() -> None:
    clock = StepClock()
    mall = open_mall(clock, {}, 1, ZONE, 60)
    while mall.truth.totals()["shop-04"]["ins"] < 100:
        clock.at_ms += 60_000
        mall.step()
    before = mall.truth.totals()["shop-04"]["ins"]
    clock.at_ms += 180_000  # and nobody looked
    told = Collector()
    mall.connect(told)  # type: ignore[arg-type]
    fresh = set(told.payloads)
    rows = [line for payload in fresh for data in json.loads(payload)["Data"] for line in data["Lines"]]
    assert sum(row["In"] for row in rows) == mall.truth.totals()["shop-04"]["ins"] > before
