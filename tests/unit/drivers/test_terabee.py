"""TeraRanger Evo: the manuals' frames, two lengths behind one header, and finding frames in noise."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.terabee import codec
from drivers.terabee.family import ALIVE_EVERY_MS, FAMILY, Terabee, TerabeeOptions
from gateway.driver import Device, LineOptions, Side
from gateway.model import Damaged, DamageReason, DeviceState, Item, Register, Status
from simulators.terabee import Sensor

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parents[2] / "vectors/serial-terabee-evo.json").read_text())[
        "vectors"
    ]
}
FRAMES = {name: bytes.fromhex(vector["hex"]) for name, vector in VECTORS.items()}
LONG, SHORT, DISTANCES, PRESENCE = (FRAMES[name] for name in ("pc-2021", "pc-2020", "dd", "tt"))


def opened() -> Terabee:
    return Terabee(Device(TerabeeOptions()))


def heard(data: bytes) -> list[Item]:
    return list(opened().feed(data, 0))


def totals(items: list[Item]) -> list[tuple[int | None, int | None]]:
    return [(item.total_in, item.total_out) for item in items if isinstance(item, Register)]


@pytest.mark.parametrize(
    "name", [name for name, vector in VECTORS.items() if vector["dir"] == "host->device"]
)
def test_the_check_bytes_that_the_vendor_printed(name: str) -> None:
    *said, check = FRAMES[name]
    assert codec.crc8(bytes(said)) == check


@pytest.mark.parametrize(
    "name", [name for name, vector in VECTORS.items() if "count_in" in vector["decoded"]]
)
def test_passages_as_in_the_manuals(name: str) -> None:
    told = VECTORS[name]["decoded"]
    sensor = str(told["sensor"]) if "sensor" in told else None
    assert heard(FRAMES[name]) == [
        Register(
            sensor or "device",
            "main",
            None,
            told["count_in"],
            told["count_out"],
            epoch=sensor or "",
            modulus=65536 if name == "pc-rolled" else None,
        )
    ]


@pytest.mark.parametrize(("number", "name"), [(16909060, "pc-2021"), (None, "pc-2020")])
def test_the_simulated_sensor_speaks_as_in_the_manuals(number: int | None, name: str) -> None:
    sensor = Sensor(number)
    assert sensor.cross(57, 49)[-1] == FRAMES[name]
    assert sensor.distances(1200, 1187) == DISTANCES


def test_a_reset_answer_is_a_total_of_zero_and_no_passage() -> None:
    (item,) = heard(FRAMES["pc-reset"])
    assert isinstance(item, Register)
    assert (item.total_in, item.total_out) == (0, 0)


def moduli(items: list[Item]) -> list[int | None]:
    return [item.modulus for item in items if isinstance(item, Register)]


@pytest.mark.parametrize("way", [(1, 0), (0, 1)])
def test_a_total_that_comes_round_leaves_the_net_alone(way: tuple[int, int]) -> None:
    sensor, driver = Sensor(7, [65_534, 65_534]), opened()
    said = [moduli(list(driver.feed(sensor.cross(*way)[0], 0))) for _ in range(4)]
    assert said == [[None], [65536], [65536], [65536]]
    assert min(sensor.totals) == 2


@pytest.mark.parametrize("before", [[60_000, 59_000], [65_530, 0], [0, 65_530], [65_530, 65_530]])
def test_a_power_loss_is_not_taken_for_totals_that_came_round(before: list[int]) -> None:
    """60 000, a night without power, 5: that is five persons, and not five thousand."""
    sensor, driver = Sensor(7, before, before[0] - before[1]), opened()
    said = sensor.cross(1, 1)
    sensor.reset()
    said += sensor.cross(2, 2)
    assert moduli(list(driver.feed(b"".join(said), 0)))[2] is None


@pytest.mark.parametrize("lost", ["port", "sensor"])
def test_what_nobody_saw_is_not_taken_for_totals_that_came_round(lost: str) -> None:
    sensor, driver = Sensor(7, [65_000, 64_000], 1_000), opened()
    driver.feed(sensor.cross(1)[0], 0)
    if lost == "port":
        driver.reopened(Side.DEVICE)
    else:
        sensor = Sensor(8)
    assert moduli(list(driver.feed(sensor.cross(2)[1], 0))) == [None]


def test_a_net_that_is_not_the_difference_proves_that_a_total_came_round_unseen() -> None:
    sensor, driver = Sensor(7, [65_534, 300], 65_234), opened()
    sensor.cross(5)
    assert moduli(list(driver.feed(sensor.cross(1)[0], 0))) == [65536]


def test_distances_are_signs_of_life_told_now_and_then() -> None:
    driver = opened()
    told = [
        at_ms
        for at_ms in range(0, 3 * ALIVE_EVERY_MS, 100)
        for item in driver.feed(DISTANCES, at_ms)
        if item == Status("device", None, DeviceState.OK)
    ]
    assert told == [0, ALIVE_EVERY_MS, 2 * ALIVE_EVERY_MS]


def test_presence_mode_counts_nobody_and_says_so_at_once() -> None:
    driver = opened()
    states = [
        item.state
        for frame in (DISTANCES, DISTANCES, PRESENCE, PRESENCE, DISTANCES)
        for item in driver.feed(frame, 0)
        if isinstance(item, Status)
    ]
    assert states == [DeviceState.OK, DeviceState.DEGRADED, DeviceState.OK]


def test_a_clock_set_back_does_not_silence_the_signs_of_life() -> None:
    driver = opened()
    assert driver.feed(DISTANCES, 10_000_000)
    assert driver.feed(DISTANCES, 5_000_000)


@pytest.mark.parametrize("frame", [LONG, SHORT])
def test_a_passage_is_told_with_its_last_byte(frame: bytes) -> None:
    """Nobody has to pass again before the one before is counted."""
    driver = opened()
    for _ in range(3):
        told = [totals(list(driver.feed(bytes([byte]), 0))) for byte in frame]
        assert told == [[]] * (len(frame) - 1) + [[(57, 49)]]


@pytest.mark.parametrize("number", [None, 0, 1, 0x50430000, 0xFFFF_FFFF, 0x0000_0008])
def test_both_lengths_are_told_apart_over_many_passages(number: int | None) -> None:
    sensor, source = Sensor(number), random.Random(3)
    driver, truth = opened(), []
    for _ in range(5_000):
        way = source.randrange(2)
        (frame,) = sensor.cross(1 - way, way)
        said = sensor.distances(source.randrange(4000), source.randrange(4000)) + frame
        truth.append((sensor.totals[0], sensor.totals[1]))
        items = list(driver.feed(said, 0))
        assert totals(items) == truth[-1:]
        assert not [item for item in items if isinstance(item, Damaged)]


def test_another_model_behind_the_same_port_is_understood() -> None:
    assert totals(heard(LONG + SHORT + DISTANCES + SHORT + LONG + LONG)) == [(57, 49)] * 5


@pytest.mark.parametrize("at", range(2, 15))
def test_a_spoilt_passage_is_damaged_at_once(at: int) -> None:
    spoilt = LONG[:at] + bytes([LONG[at] ^ 0x10]) + LONG[at + 1 :]
    assert heard(spoilt) == [Damaged(DamageReason.CHECKSUM, 15)]
    items = heard(spoilt + LONG)
    assert items == [Damaged(DamageReason.CHECKSUM, 15), *heard(LONG)]


def test_a_right_check_byte_over_a_net_that_is_none_is_not_believed() -> None:
    absurd = LONG[:9] + b"\x09" + LONG[10:14]
    assert heard(absurd + bytes([codec.crc8(absurd)])) == [Damaged(DamageReason.SANITY, 15)]


@pytest.mark.parametrize("cut", range(1, 15))
def test_a_cut_passage_costs_only_itself(cut: int) -> None:
    items = heard(LONG[:cut] + LONG + DISTANCES)
    assert totals(items) == [(57, 49)]
    assert isinstance(items[0], Damaged)


def test_noise_is_told_in_pieces_and_hides_nothing() -> None:
    items = heard(b"\x00" * 30 + LONG + b"\xff" * 5 + LONG)
    assert totals(items) == [(57, 49)] * 2
    noise = [item for item in items if isinstance(item, Damaged)]
    assert sum(item.bytes for item in noise) == 35
    assert {item.reason for item in noise} == {DamageReason.SYNTAX}


pieces = st.sampled_from([LONG, SHORT, DISTANCES, PRESENCE, LONG[:7], SHORT[3:], b"P", b"PC", b"D", b"\x00"])


@given(parts=st.lists(pieces | st.binary(max_size=20), max_size=20), cuts=st.lists(st.integers(1, 30)))
def test_any_cut_gives_the_same_items(parts: list[bytes], cuts: list[int]) -> None:
    said = b"".join(parts)
    driver, items, at = opened(), list[Item](), 0
    for size in (*cuts, len(said)):
        items += driver.feed(said[at : at + size], 0)
        at += size
    assert items == heard(said)


@given(st.binary(max_size=300))
def test_after_any_noise_the_second_passage_at_the_latest_is_found(noise: bytes) -> None:
    assert totals(heard(noise + LONG + LONG))[-1:] == [(57, 49)]


def test_it_has_one_line() -> None:
    assert FAMILY.problems(Device(TerabeeOptions(), {"a": LineOptions(), "b": LineOptions()}))
    assert FAMILY.match(Device(TerabeeOptions(), {"front": LineOptions()})).lines == {"main": "front"}
