"""Milesight: JSON reports and LoRaWAN frames; what repeats, what is no count, what is not understood."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pytest

from drivers.milesight.family import FAMILY, MilesightLine
from gateway.driver import Device, Message
from gateway.model import (
    Basis,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Occupancy,
    Register,
    Status,
)

FOLDER = Path(__file__).parents[2] / "vectors"


def _vectors(file: str) -> dict[str, Any]:
    return {one["id"]: one for one in json.loads((FOLDER / file).read_text(encoding="utf-8"))["vectors"]}


FRAMES, REPORTS = _vectors("milesight_lora.json"), _vectors("milesight_http_mqtt_json.json")
HEARD_MS = 1_795_424_400_000
MINUTE = 60_000


def decode(payload: bytes, **options: Any) -> list[Item]:
    device = Device(FAMILY.options.model_validate(options))
    return list(FAMILY.open(device).decode(Message(payload, HEARD_MS, "a/b")))  # type: ignore[union-attr]


def uplinked(frame: str, count: int = 7, **options: Any) -> list[Item]:
    """Through ChirpStack."""
    body = {
        "time": "2026-11-23T09:00:00Z",
        "deviceInfo": {"devEui": "24e124716d123456"},
        "fCnt": count,
        "fPort": 85,
        "data": base64.b64encode(bytes.fromhex(frame)).decode(),
    }
    return decode(json.dumps(body).encode(), **options)


def reported(name: str = "vs125-periodic", **changes: Any) -> list[Item]:
    return decode(json.dumps(copy.deepcopy(REPORTS[name]["payload"]) | changes).encode())


def frame(name: str, model: str | None = None) -> list[Item]:
    return uplinked(FRAMES[name]["hex"], **modelled(model))


def modelled(model: str | None) -> dict[str, Any]:
    return {"model": model} if model else {}


def of_kind(items: list[Item], kind: type) -> list[Any]:
    return [item for item in items if isinstance(item, kind)]


@pytest.mark.parametrize("model", [None, "vs133", "vs135"])
def test_totals_of_four_lines(model: str | None) -> None:
    registers = of_kind(frame("vs133-totals", model), Register)
    assert {item.line: {"in": item.total_in, "out": item.total_out} for item in registers} == (
        FRAMES["vs133-totals"]["expect"]["lines"]
    )
    assert {(item.counter, item.at_ms, item.modulus) for item in registers} == {
        ("24e124716d123456", HEARD_MS, 2**32)
    }


@pytest.mark.parametrize("model", [None, "vs132"])
def test_periods_of_four_lines(model: str | None) -> None:
    items = frame("vs133-period", model)
    assert {item.line: {"in": item.ins, "out": item.outs} for item in of_kind(items, Crossings)} == (
        FRAMES["vs133-period"]["expect"]["lines"]
    )
    assert len({item.key for item in of_kind(items, Crossings)}) == 4


def test_regions_are_levels() -> None:
    levels = of_kind(frame("vs133-region"), Occupancy)
    assert [(item.line, item.persons) for item in levels] == [
        ("region 1", 2), ("region 2", 16), ("region 3", 7), ("region 4", 9),
    ]  # fmt: skip
    assert [
        (item.line, item.persons) for item in frame("vs121-occupancy") if isinstance(item, Occupancy)
    ] == [("all regions", 3)]


def test_an_undated_period_is_one_event_per_frame() -> None:
    [once] = frame("vs121-passing", "vs121")
    assert once == Crossings(
        "24e124716d123456",
        "main",
        HEARD_MS,
        HEARD_MS + 1,
        2,
        1,
        key="24e124716d123456/7/main",
        basis=Basis.EVENT,
    )
    assert frame("vs121-passing", "vs121") == [once]
    assert uplinked(FRAMES["vs121-passing"]["hex"], count=8)[0].key != once.key  # type: ignore[union-attr]


def test_a_join_frame_counts_nobody() -> None:
    assert frame("vs121-identity") == [Ignored("identity: no counts")]


def test_a_total_of_16_bits_and_a_period_larger_than_it() -> None:
    total, period = frame("vs350-total-and-period", "vs350")
    assert total == Register("24e124716d123456", "main", HEARD_MS, 18, 22, modulus=65_536)
    assert isinstance(period, Crossings)
    assert (period.ins, period.outs) == (19, 20)


def test_an_alarm_tells_the_total_and_not_the_period_again() -> None:
    [total] = frame("vs350-alarm-frames", "vs350")
    assert isinstance(total, Register)
    assert (total.total_in, total.total_out) == (4353, 4360)


@pytest.mark.parametrize(("report_s", "length"), [(0, 1), (600, 600_000)])
def test_a_stored_period_ends_at_its_own_time(report_s: int, length: int) -> None:
    [period] = uplinked(FRAMES["vs350-history-short"]["hex"], model="vs350", report_s=report_s)
    end_ms = 1_693_530_747_000
    assert period == Crossings("24e124716d123456", "main", end_ms - length, end_ms, 11, 4)


def test_a_stored_record_with_totals_and_the_report_it_repeats_are_equal() -> None:
    """Vendor's example of the long record; the same counts as a live report on the dot."""
    stored = uplinked("20CEFF3DF16401070002001D000800", model="vs350")
    live = uplinked("0AEFFF3DF164 04CC1D000800 05CC07000200", count=8, model="vs350")
    assert stored == live
    assert of_kind(stored, Register) == [
        Register("24e124716d123456", "main", 1_693_531_647_000, 29, 8, modulus=65_536)
    ]


def test_each_model_stores_its_records_its_own_way() -> None:
    """Kind 3 is 32 bits of line 1 for a VS133 and one byte of the most persons for a VS121."""
    lines = uplinked("20CE7B3AF1640348000000 20CE7B3AF16404C8000000", model="vs133")
    assert lines == [
        Register("24e124716d123456", "1", 1_693_530_747_000, 72, 200, modulus=2**32),
    ]
    [ignored] = uplinked("20CE7B3AF1640305", model="vs121")
    assert isinstance(ignored, Ignored)
    [unknown] = uplinked("20CE7B3AF1640305", model="vs350")
    assert unknown == Ignored("channel 20 CE is not known: 8 bytes not read")


def test_a_record_stored_before_the_clock_was_set_has_no_date() -> None:
    assert uplinked("20CE00000000000B000400", model="vs350") == [Ignored("stored before the clock was set")]


def test_a_clock_that_was_never_set_leaves_it_to_the_network_server() -> None:
    total, period = uplinked("0AEF00000000 04CC12001600 05CC13001400", model="vs360")
    assert isinstance(total, Register)
    assert isinstance(period, Crossings)
    assert (total.at_ms, period.start_ms, period.basis) == (HEARD_MS, HEARD_MS, Basis.EVENT)


def test_a_report_on_the_dot_is_dated_by_the_sensor() -> None:
    [period] = uplinked(FRAMES["vs360-on-the-dot"]["hex"], model="vs360", report_s=600)
    assert period == Crossings(
        "24e124716d123456", "main", 1_754_912_400_000 - 600_000, 1_754_912_400_000, 12, 5
    )


def test_what_the_sensor_complains_of_is_its_status() -> None:
    [status] = frame("vs360-events", "vs360")
    assert status == Status(
        "24e124716d123456",
        HEARD_MS,
        DeviceState.DEGRADED,
        "counting anomaly, node does not respond, devices misaligned",
    )
    assert of_kind(uplinked("03F40000", model="vs360"), Status)[0].state is DeviceState.OK
    assert of_kind(uplinked("017505", model="vs350"), Status)[0].detail == "battery 5 %"


@pytest.mark.parametrize("model", ["vs121", None])
def test_a_negative_period_is_damage(model: str | None) -> None:
    items = uplinked("05CCFFFF0100", **modelled(model))
    assert items == [Damaged(DamageReason.SANITY, 6)]
    assert of_kind(uplinked("05CCFFFF0100", model="vs350"), Crossings)[0].ins == 65_535


def test_what_stands_before_a_channel_of_newer_firmware_counts() -> None:
    total, unread = uplinked("04CC12001600 77770102030405", model="vs350")
    assert isinstance(total, Register)
    assert unread == Ignored("channel 77 77 is not known: 7 bytes not read")


def test_a_frame_cut_anywhere_keeps_what_is_whole() -> None:
    whole = bytes.fromhex("04CC1200160005CC13001400")
    for cut in range(len(whole)):
        items = uplinked(whole[:cut].hex(), model="vs350")
        assert len(of_kind(items, Register)) == (cut >= 6)
        assert not of_kind(items, Crossings)
        assert (cut in (0, 6)) != bool(of_kind(items, Damaged))


def test_a_bare_frame_has_neither_device_nor_time() -> None:
    [total, period] = decode(bytes.fromhex("04CC1200160005CC13001400"))
    assert total == Register("device", "main", None, 18, 22, modulus=65_536)
    assert period == Crossings("device", "main", None, None, 19, 20, basis=Basis.EVENT)
    assert decode(bytes.fromhex("7777" + "04CC12001600")) == [Damaged(DamageReason.SYNTAX, 8)]


def test_a_periodic_report_is_all_people_of_each_line() -> None:
    rows = REPORTS["vs125-periodic"]["payload"]["line_periodic_data"]
    rows = [row | {"total": {"in": 5, "out": 3}, "group": {"in": 2, "out": 1}} for row in rows]
    crossings = of_kind(reported(line_periodic_data=rows), Crossings)
    start_ms = 1_717_071_649_000  # 2024-05-30T12:20:49Z
    assert crossings == [
        Crossings("6384E16179950009", line, start_ms, start_ms + MINUTE, 5, 3) for line in ("1", "2")
    ]


def test_running_totals_and_regions_stand_beside_the_periods() -> None:
    items = reported()
    end_ms = 1_717_071_709_000
    uuid = "9a0440de-3188-4f6d-b886-bb20c97bd26b"
    assert of_kind(items, Register) == [Register("6384E16179950009", "1", end_ms, 0, 0, epoch=uuid)]
    assert of_kind(items, Occupancy) == [Occupancy("6384E16179950009", "region 1", end_ms, 2)]


def test_triggered_lines_are_events() -> None:
    events = of_kind(reported("vs125-line-trigger"), Crossings)
    at_ms = 1_717_071_092_000  # 2024-05-30T12:11:32Z
    assert [(item.line, item.ins, item.outs) for item in events] == [("1", 27, 27), ("3", 27, 27)]
    assert {(item.start_ms, item.end_ms, item.basis) for item in events} == {(at_ms, at_ms + 1, Basis.EVENT)}


@pytest.mark.parametrize(
    ("times", "start_ms"),
    [
        (
            {
                "start_time": "2022/12/20 18:15:52",
                "end_time": "2022/12/20 19:15:52",
                "timezone": "UTC+8:00",
                "dst_status": False,
            },
            1_671_531_352_000,
        ),
        (
            {
                "start_time": "2022/06/20 18:15:52",
                "end_time": "2022/06/20 19:15:52",
                "timezone": "UTC-5:00",
                "dst_status": True,
            },
            1_655_763_352_000,
        ),
        ({"start_time": "2022-12-20T10:15:52Z", "end_time": "2022-12-20T11:15:52Z"}, 1_671_531_352_000),
    ],
)
def test_older_models_leave_the_offset_out(times: dict[str, Any], start_ms: int) -> None:
    assert of_kind(reported(time_info=times), Crossings)[0].start_ms == start_ms


@pytest.mark.parametrize(
    "times",
    [
        {},
        {"start_time": "2024-05-30T20:21:49+08:00", "end_time": "2024-05-30T20:20:49+08:00"},
        {"start_time": "2024-03-30T20:20:49+08:00", "end_time": "2024-05-30T20:21:49+08:00"},
    ],
)
def test_a_period_that_is_none_counts_nobody(times: dict[str, str]) -> None:
    items = reported(time_info=times)
    assert not of_kind(items, Crossings)
    assert len(of_kind(items, Damaged)) == 2


def test_a_damaged_line_takes_no_other_with_it() -> None:
    rows = copy.deepcopy(REPORTS["vs125-periodic"]["payload"]["line_periodic_data"])
    rows[0]["total"]["in"] = -3
    items = reported(line_periodic_data=rows)
    assert [item.line for item in of_kind(items, Crossings)] == ["2"]
    assert of_kind(items, Damaged)[0].reason is DamageReason.SANITY


def test_ten_thousand_lines_in_one_report() -> None:
    row = {"line": 1, "total": {"in": 1, "out": 0}}
    assert len(of_kind(reported(line_periodic_data=[row] * 10_000), Crossings)) == 10_000


@pytest.mark.parametrize("body", [{"test": True}, {"device_info": {"device_sn": "1"}}, {"rows": []}])
def test_tests_and_reports_without_counts_are_ignored(body: dict[str, Any]) -> None:
    [item] = decode(json.dumps(body).encode())
    assert isinstance(item, Ignored)


@pytest.mark.parametrize("model", ["vs121", "vs350", "vs133"])
def test_a_lorawan_sensor_counts_by_its_totals(model: str) -> None:
    device = Device(FAMILY.options.model_validate({"model": model, "serial": "24:E1:24:71:6D:12:34:56"}))
    assert FAMILY.basis_for(device) is Basis.TOTAL
    assert FAMILY.match(device).counter == "24e124716d123456"


def test_a_camera_counts_by_its_periods_and_its_lines_have_numbers() -> None:
    device = Device(
        FAMILY.options.model_validate({"serial": "6384E16179950009"}),
        {"left": MilesightLine(line=1), "right": MilesightLine(line=2)},
    )
    assert FAMILY.basis_for(device) is Basis.DELTA
    assert FAMILY.match(device).counter == "6384E16179950009"
    assert FAMILY.match(device).lines == {"1": "left", "2": "right"}


def test_a_lorawan_sensor_configured_as_a_camera_says_so() -> None:
    [_, status] = uplinked("04CC12001600", topic="sensors/up")
    assert isinstance(status, Status)
    assert status.state is DeviceState.DEGRADED
    assert "model" in status.detail
    assert not of_kind(uplinked("04CC12001600", topic="sensors/up", model="vs350"), Status)


def test_check_asks_for_the_model_behind_a_network_server() -> None:
    topic = "application/7/device/+/event/up"
    assert FAMILY.problems(Device(FAMILY.options.model_validate({"topic": topic})))
    assert not FAMILY.problems(Device(FAMILY.options.model_validate({"topic": topic, "model": "vs350"})))
