"""Modbus: what is asked of a device, and what its registers mean for the lines."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.codec import Function
from drivers.modbus.family import FAMILY, LOOK_EVERY, ModbusOptions
from drivers.modbus.lines import ModbusLine
from drivers.modbus.maps import MAPS
from gateway.driver import Device, Exchange, Response
from gateway.model import Damaged, DamageReason, DeviceState, Ignored, Item, Register, Status
from simulators.modbus import LAYOUTS, Unit, crc

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/serial-modbus-counters.json").read_text())
BY_ID = {vector["id"]: vector for vector in VECTORS["vectors"]}
OF_MAPS = [vector for vector in BY_ID.values() if "map" in vector["decoded"]]
LOT_QUESTION = bytes.fromhex(BY_ID["lot-read-both"]["hex"])
LOT_REPLY = bytes.fromhex(BY_ID["lot-reply"]["hex"])
SIDES = ("total_in", "total_out", "total_passes")
DOOR = {"main": {"in": 0, "out": 1}}


def framed(text: str) -> bytes:
    frame = bytes.fromhex(text)
    return frame + crc(frame)


def opened(lines: dict[str, dict[str, Any]] | None = None, **options: Any) -> Exchange:
    device = Device(
        ModbusOptions.model_validate(options),
        {name: ModbusLine.model_validate(line) for name, line in (lines or {}).items()},
    )
    driver = FAMILY.open(device)
    assert hasattr(driver, "poll")
    return driver


def poll(driver: Exchange, answer: Callable[[bytes], bytes | None]) -> tuple[list[bytes], list[Item]]:
    """One poll; what was asked, and the items."""
    asked: list[bytes] = []
    talk = driver.poll(0)
    try:
        request = next(talk)
        while True:
            asked.append(request.payload)
            data = answer(request.payload)
            assert data is None or request.end(data)
            request = talk.send(Response(data, 0))
    except StopIteration as end:
        return asked, list(end.value)


def heard(unit: Unit) -> Callable[[bytes], bytes | None]:
    return lambda request: next(iter(unit.hear(request)), None)


def registers(items: list[Item]) -> list[Register]:
    return [item for item in items if isinstance(item, Register)]


def states(items: list[Item]) -> list[tuple[DeviceState, str]]:
    return [(item.state, item.detail) for item in items if isinstance(item, Status)]


@pytest.mark.parametrize("vector", OF_MAPS, ids=lambda vector: vector["id"])
def test_what_a_register_of_a_shipped_map_means(vector: dict[str, Any]) -> None:
    meant = vector["decoded"]
    line = {key: meant[key] for key in ("in", "out", "both") if key in meant}
    options = {key: meant[key] for key in ("map", "framing", "address") if key in meant}
    driver = opened({"main": line} if line else None, **options)
    request, reply = bytes.fromhex(vector["request_hex"]), bytes.fromhex(vector["reply_hex"])
    items = list(driver.answer(request, Response(reply, 0)))
    totals = {side: getattr(one, side) for one in registers(items) for side in SIDES if getattr(one, side)}
    assert totals == {side: meant[side] for side in SIDES if side in meant}
    expected = [(DeviceState(meant["state"]), meant.get("detail", ""))] if "state" in meant else []
    assert states(items) == expected


def test_a_turnstile_is_read_in_one_request_that_the_makers_map_allows() -> None:
    asked, _ = poll(opened(map="lot", address=1), lambda _request: None)
    assert asked == [bytes.fromhex(BY_ID["lot-read-both"]["hex"])]


@pytest.mark.parametrize("name", sorted(MAPS))
def test_no_poll_of_any_map_asks_anything_but_reads(name: str) -> None:
    unit = Unit(layout=name)
    totals = list(MAPS[name]["totals"])
    driver = opened({"main": {"in": totals[0], "out": totals[1]}}, map=name, address=1)
    asked = [request for _ in range(2 * LOOK_EVERY) for request in poll(driver, heard(unit))[0]]
    assert {request[1] for request in asked} <= {1, 2, 3, 4}
    assert unit.written == []


@pytest.mark.parametrize("vector", [BY_ID["relay-board-write"]["hex"], "01 06 00 00 00 01 48 0a", "", "01"])
def test_what_writes_is_no_question_of_ours(vector: str) -> None:
    answer = opened(map="lot").answer(bytes.fromhex(vector), Response(LOT_REPLY, 0))
    assert list(answer) == [Ignored("not a question of ours")]


def test_a_door_is_one_register_with_its_wrap_and_what_it_is_read_from() -> None:
    unit = Unit("7", totals=[70_000, 12])
    asked, items = poll(opened(map="lot", address=7), heard(unit))
    assert len(asked) == 3  # totals, beams, errors
    assert items == [
        Status("7", None, DeviceState.OK),
        Register("7", "main", None, 70_000, 12, epoch="7/3:68:32l,3:70:32l", modulus=1 << 32),
    ]


@pytest.mark.parametrize("name", sorted(set(LAYOUTS) - {"lot"}))
def test_each_layout_of_the_simulator_is_read_by_the_map_of_its_name(name: str) -> None:
    first, second = list(MAPS[name]["totals"])[:2]
    unit = Unit(layout=name, totals=[40_000, 12])
    driver = opened({"a": {"in": first, "out": second}, "b": {"both": second}}, map=name, address=1)
    _, items = poll(driver, heard(unit))
    assert states(items) == [(DeviceState.OK, "")]
    door, beam = registers(items)
    assert (door.line, door.total_in, door.total_out) == ("a", 40_000, 12)
    assert (beam.line, beam.total_passes) == ("b", 12)


@pytest.mark.parametrize("name", sorted(set(LAYOUTS) - {"hardwario-gauger", "trumeter-898x"}))
def test_a_32_bit_total_is_never_torn(name: str) -> None:
    """Somebody passes between any two replies, at the edge of the low word."""
    first, second = list(MAPS[name]["totals"])[:2]
    unit = Unit(layout=name, totals=[0xFFFD, 0x2FFFE], restless=1)
    driver = opened({"main": {"in": first, "out": second}}, map=name, address=1)
    for _ in range(5):
        before = list(unit.totals)
        (door,) = registers(poll(driver, heard(unit))[1])
        assert before[0] <= (door.total_in or 0) <= unit.totals[0]
        assert before[1] <= (door.total_out or 0) <= unit.totals[1]


def test_who_reads_the_halves_of_a_total_one_by_one_reads_two_moments() -> None:
    """The simulated trap bites: high word first, then low word, as in the maker's kit."""
    unit = Unit(totals=[0xFFFF, 0], restless=1)
    high, low = (
        int.from_bytes((heard(unit)(framed(f"01 03 00 {address} 00 01")) or b"")[3:5], "big")
        for address in ("45", "44")
    )
    assert (high, low) == (0, 0)
    assert unit.totals[0] == 0x1_0001


def test_a_trumeter_is_asked_for_one_value_at_a_time() -> None:
    unit = Unit(layout="trumeter-898x", totals=[5, 6])
    lines = {"main": {"in": "main", "out": "secondary"}}
    asked, items = poll(opened(lines, map="trumeter-898x", address=1), heard(unit))
    assert [request[2:6].hex() for request in asked] == ["00000002", "00020002", "00140002"]
    assert (registers(items)[0].total_in, registers(items)[0].modulus) == (5, None)


@pytest.mark.parametrize("value", [1.5, -1.0, float("nan"), float("inf"), 2.0**25, 1e-40])
def test_a_float_that_counts_nobody_is_damage(value: float) -> None:
    data = struct.pack(">f", value)
    reply = framed("01 03 04" + (data[2:] + data[:2]).hex())
    driver = opened({"main": {"both": "main"}}, map="trumeter-898x")
    assert list(driver.answer(framed("01 03 00 00 00 02"), Response(reply, 0))) == [
        Damaged(DamageReason.SANITY, 4)
    ]


def test_a_programmed_maximum_and_preset_travel_with_the_total() -> None:
    unit = Unit(layout="m-7084", totals=[9_999, 3], maximum=[9_999, 9_999], preset=[1, 1])
    driver = opened(DOOR, map="m-7084", address=1)
    (door,) = registers(poll(driver, heard(unit))[1])
    assert (door.total_in, door.modulus, door.restart) == (9_999, 10_000, 1)
    unit.cross(1, 0)
    assert registers(poll(driver, heard(unit))[1])[0].total_in == 1
    unit.maximum[1] = 2
    unit.totals[0] = 10_000
    _, items = poll(driver, heard(unit))
    assert Damaged(DamageReason.SANITY, 4) in items
    assert registers(items)[0].total_in is None


def test_sides_that_wrap_apart_are_registers_apart() -> None:
    unit = Unit(layout="m-7084", totals=[5, 6], maximum=[99, 999])
    into, out = registers(poll(opened(DOOR, map="m-7084", address=1), heard(unit))[1])
    assert (into.total_in, into.total_out, into.modulus) == (5, None, 100)
    assert (out.total_in, out.total_out, out.modulus) == (None, 6, 1000)
    assert into.epoch == out.epoch


def test_a_device_that_knows_no_maximum_still_counts_but_its_wrap_is_not_known() -> None:
    unit = Unit(layout="m-7084", totals=[5, 6], refusals={64: 2, 96: 2})
    _, items = poll(opened(DOOR, map="m-7084", address=1), heard(unit))
    assert (registers(items)[0].total_in, registers(items)[0].modulus) == (5, None)
    assert states(items) == [(DeviceState.OK, "")]


OWN = {"totals": {"a": {"address": 0, "order": "low", "full": "saturate", "maximum": 999}}}


def test_a_total_that_stands_at_its_end_is_a_fault_and_nothing_is_invented() -> None:
    unit = Unit(layout="adam-4080", totals=[998, 0], maximum=[999, 999], saturates=True)
    driver = opened({"main": {"both": "a"}}, map=OWN, address=1)
    (door,) = registers(poll(driver, heard(unit))[1])
    assert (door.total_passes, door.modulus) == (998, None)
    unit.cross(5, 0)
    _, items = poll(driver, heard(unit))
    assert items == [Status("1", None, DeviceState.FAULT, "total a is full and counts no more")]
    unit.reset()
    _, items = poll(driver, heard(unit))
    assert registers(items)[0].total_passes == 0
    assert states(items) == [(DeviceState.OK, "")]


@pytest.mark.parametrize("order", ["low", "high"])
@pytest.mark.parametrize(
    ("width", "expected"), [(16, {"low": 1, "high": 1}), (32, {"low": 0x20001, "high": 0x10002})]
)
def test_width_and_word_order_are_the_maps(order: str, width: int, expected: dict[str, int]) -> None:
    total = {"function": 4, "address": 8, "width": width, "order": order}
    driver = opened({"main": {"both": "a"}}, map={"totals": {"a": total}}, address=9)
    request = framed(f"09 04 00 08 00 0{width // 16}")
    reply = framed("09 04 02 00 01" if width == 16 else "09 04 04 00 01 00 02")
    (register,) = registers(list(driver.answer(request, Response(reply, 0))))
    assert (register.total_passes, register.modulus) == (expected[order], 1 << width)


def test_half_of_a_total_is_no_total() -> None:
    driver = opened(map="lot", address=1)
    answer = driver.answer(framed("01 03 00 44 00 01"), Response(framed("01 03 02 00 05"), 0))
    assert list(answer) == [Ignored("tells neither totals nor trouble")]


def looks(driver: Exchange, unit: Unit) -> list[tuple[DeviceState, str]]:
    """Polls until the device was looked at once."""
    found = [status for _ in range(LOOK_EVERY) for status in states(poll(driver, heard(unit))[1])]
    assert found
    return found


def test_somebody_in_the_passage_is_no_blocked_beam_but_one_who_stays_is() -> None:
    unit, driver = Unit("7"), opened(map="lot", address=7)
    well, blocked = (DeviceState.OK, ""), (DeviceState.DEGRADED, "beam blocked on the way in")
    unit.blocked[0] = True
    assert looks(driver, unit) == [well]
    unit.cross(0, 1)
    assert looks(driver, unit) == [well]  # somebody was counted in between
    assert looks(driver, unit) == [blocked]
    unit.error = 4
    assert looks(driver, unit) == [(DeviceState.FAULT, "turnstile reports an error")]
    unit.error, unit.blocked[0] = 0, False
    assert looks(driver, unit) == [well]


def test_a_stopped_counter_and_an_overflow_are_told() -> None:
    unit, driver = Unit(layout="iologik-r1212"), opened(DOOR, map="iologik-r1212", address=1)
    assert looks(driver, unit) == [(DeviceState.OK, "")]
    unit.running[1], unit.overflow[0] = False, True
    assert looks(driver, unit) == [(DeviceState.DEGRADED, "counter stopped: DI 1; counter overflowed: DI 0")]


def test_a_contact_that_stays_closed_is_told_and_both_edges_are_read_at_once() -> None:
    unit = Unit(layout="hardwario-gauger", totals=[300, 4])
    driver = opened({"main": {"both": "1"}}, map="hardwario-gauger", address=1)
    asked, _ = poll(driver, heard(unit))
    assert [request[2:6].hex() for request in asked] == ["14b40005"]
    unit.blocked[0] = True
    assert looks(driver, unit) == [(DeviceState.OK, "")]
    assert looks(driver, unit) == [(DeviceState.DEGRADED, "contact 1 stays closed")]
    assert registers(poll(driver, heard(unit))[1])[0].modulus == 1 << 16


def test_a_sign_that_the_device_refuses_is_not_asked_again() -> None:
    unit, driver = Unit("7", refusals={0x42: 2}), opened(map="lot", address=7)
    assert looks(driver, unit) == [(DeviceState.OK, "")]
    asked, items = poll(driver, heard(unit))
    assert [request[3] for request in asked] == [0x44, 0x48]
    assert states(items) == [(DeviceState.OK, "")]


def test_a_sign_that_is_never_answered_is_given_up_and_costs_no_counts() -> None:
    unit, driver = Unit("7"), opened(map="lot", address=7)

    def counts_only(request: bytes) -> bytes | None:
        return heard(unit)(request) if request[3] == 0x44 else None

    asked = [request[3] for _ in range(4 * LOOK_EVERY) for request in poll(driver, counts_only)[0]]
    assert asked.count(0x44) == 4 * LOOK_EVERY
    assert (asked.count(0x42), asked.count(0x48)) == (2, 2)


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (2, DeviceState.FAULT, "refused: illegal data address (02)"),
        (6, DeviceState.DEGRADED, "refused: device busy (06)"),
        (11, DeviceState.DEGRADED, "refused: no answer from the device behind the gateway (11)"),
        (99, DeviceState.FAULT, "refused: unknown exception (99)"),
    ],
)
def test_an_exception_is_told_in_words_and_counts_nothing(code: int, state: DeviceState, words: str) -> None:
    unit, driver = Unit("7", totals=[5, 6]), opened(map="lot", address=7)
    poll(driver, heard(unit))
    unit.refusals[0x44] = code
    assert poll(driver, heard(unit))[1] == [Status("7", None, state, words)]
    unit.refusals.clear()
    _, items = poll(driver, heard(unit))
    assert registers(items)
    assert states(items) == [(DeviceState.OK, "")]


def test_silence_ends_a_poll_and_the_settings_are_asked_first_again() -> None:
    driver = opened(DOOR, map="m-7084", address=1)
    asked, items = poll(driver, lambda _request: None)
    assert ([request[3] for request in asked], items) == ([64], [])
    unit = Unit(layout="m-7084")
    assert poll(driver, heard(unit))[0][0][3] == 64
    assert poll(driver, heard(unit))[0][0][1] == Function.INPUT_REGISTERS
    assert poll(driver, lambda _request: None)[1] == []
    assert poll(driver, heard(unit))[0][0][3] == 64


def test_a_damaged_setting_is_asked_again_before_anything_is_counted() -> None:
    driver, unit = opened(DOOR, map="m-7084", address=1), Unit(layout="m-7084")
    spoilt = poll(driver, lambda request: (heard(unit)(request) or b"")[:-1] + b"\x00")
    assert spoilt[1] == [Damaged(DamageReason.CHECKSUM, 13)]
    assert registers(poll(driver, heard(unit))[1])


def test_another_device_of_a_transcript_is_not_ours() -> None:
    request, reply = LOT_QUESTION, LOT_REPLY
    assert list(opened(map="lot", address=7).answer(request, Response(reply, 0))) == [
        Ignored("another device")
    ]
    assert registers(list(opened().answer(request, Response(reply, 0))))[0].counter == "1"
    assert list(opened().answer(request, Response(None, 0))) == []


def test_without_lines_each_total_reports_by_itself() -> None:
    driver = opened(map="adam-4080")
    items = list(
        driver.answer(framed("01 03 00 00 00 04"), Response(framed("01 03 08 00 05 00 00 00 07 00 00"), 0))
    )
    assert [(one.line, one.total_passes) for one in registers(items)] == [("0", 5), ("1", 7)]


answers = st.binary(max_size=80) | st.builds(
    lambda head, body: framed((head + body).hex()),
    st.sampled_from([b"\x01\x03", b"\x01\x03\x08", b"\x01\x83", b"\x02\x03", b"\x01\x04"]),
    st.binary(max_size=12),
)


@given(replies=st.lists(st.none() | answers, max_size=40), name=st.sampled_from(sorted(MAPS)))
def test_no_bytes_make_a_poll_fail_and_the_next_ones_are_right(
    replies: list[bytes | None], name: str
) -> None:
    first = next(iter(MAPS[name]["totals"]))
    driver = opened({"main": {"both": first}}, map=name, address=1)
    rest = iter(replies)
    for _ in range(5):
        talk = driver.poll(0)
        try:
            next(talk)
            while True:
                talk.send(Response(next(rest, None), 0))
        except StopIteration:
            pass
    unit = Unit(layout=name, totals=[30, 7])
    poll(driver, heard(unit))
    (door,) = registers(poll(driver, heard(unit))[1])
    assert door.total_passes == 30


def test_every_question_over_tcp_has_a_transaction_of_its_own() -> None:
    driver = opened(map="lot", framing="tcp", address=1)
    seen = [poll(driver, lambda _request: None)[0][0][:2] for _ in range(0x10001)]
    assert len(set(seen)) == 0x10000
    assert seen[0] == seen[-1]


def test_an_adapter_that_hears_itself_is_told() -> None:
    _, items = poll(opened(map="lot", address=1), lambda request: request)
    assert states(items) == [(DeviceState.DEGRADED, "hears our own questions: set echo on its link")]
