"""IMBuildings: every variant with and without its header, what a sensor complains of, what went missing."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from drivers.imbuildings.family import FAMILY, REMEMBERED, Imbuildings
from gateway.driver import Device, Message
from gateway.model import (
    Basis,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Register,
    Status,
)

VECTORS = {
    vector["id"]: vector
    for vector in json.loads(
        (Path(__file__).parents[2] / "vectors" / "imbuildings.json").read_text(encoding="utf-8")
    )["vectors"]
}
README, CLOUD, NB_IOT = (VECTORS[name] for name in ("t2v6-readme", "t2v6-cloud-base64", "t2v4-nbiot"))
HEARD_MS = 1_795_424_400_000
DEVICE = "0004a30b00f6b569"


def opened(**options: Any) -> Imbuildings:
    return Imbuildings(Device(FAMILY.options.model_validate(options)))


def decode(payload: bytes, driver: Imbuildings | None = None) -> list[Item]:
    return list((driver or opened()).decode(Message(payload, HEARD_MS, "a/b")))


def uplinked(frame: str, port: int, driver: Imbuildings | None = None, device: str = DEVICE) -> list[Item]:
    """Through The Things Stack."""
    message = {
        "f_port": port,
        "f_cnt": 5,
        "frm_payload": base64.b64encode(bytes.fromhex(frame)).decode(),
        "received_at": "2026-11-23T09:00:00Z",
    }
    body = {"end_device_ids": {"dev_eui": device.upper()}, "uplink_message": message}
    return decode(json.dumps(body).encode(), driver)


def of_kind(items: list[Item], kind: type) -> list[Any]:
    return [item for item in items if isinstance(item, kind)]


def test_the_payload_of_the_readme() -> None:
    expected = README["expect"]
    assert uplinked(README["hex"], 26) == [
        Register(DEVICE, "main", HEARD_MS, expected["total_a"], expected["total_b"], modulus=65_536),
        Crossings(
            DEVICE, "main", HEARD_MS, HEARD_MS + 1, expected["delta_a"], expected["delta_b"],
            key=f"{DEVICE}/97", basis=Basis.EVENT,
        ),
        Status(DEVICE, HEARD_MS, DeviceState.DEGRADED, "receiver battery low"),
    ]  # fmt: skip


def test_the_webhook_of_the_platform() -> None:
    expected = CLOUD["expect"]
    decoded = {"received_at": expected["received_at"], "total_counter_a": 9_999}
    body = {"devicePayload": CLOUD["base64"], "decoded": decoded, "metadata": {"name": "Entrance-1"}}
    total, since, status = decode(json.dumps(body).encode())
    at_ms = 1_676_234_386_266  # 2023-02-12T20:39:46.266Z
    assert total == Register(
        expected["device_id"], "main", at_ms, expected["total_a"], expected["total_b"], modulus=65_536
    )
    assert isinstance(since, Crossings)
    assert (since.ins, since.outs) == (expected["delta_a"], expected["delta_b"])
    assert status == Status(expected["device_id"], at_ms, DeviceState.OK)


@pytest.mark.parametrize(("report_s", "length"), [(0, 1), (900, 900_000)])
def test_variant_4_says_when_itself(report_s: int, length: int) -> None:
    """Its clock is 25 s ahead of the platform's, which is the gateway's affair."""
    since, status = decode(bytes.fromhex(NB_IOT["hex"]), opened(report_s=report_s))
    end_ms = 1_675_420_500_000  # 2023-02-03T10:35:00Z
    assert since == Crossings("e8eb1b4f131d", "main", end_ms - length, end_ms, 0, 0)
    assert status == Status("e8eb1b4f131d", end_ms, DeviceState.OK)


@pytest.mark.parametrize(
    ("port", "headed", "bare"),
    [
        (24, None, NB_IOT["hex"][24:]),
        (26, README["hex"], README["hex"][20:]),
        (27, "0207" + DEVICE + "00060305E6", "00060305E6"),
        (28, "0208" + DEVICE + "0000F880", "0000F880"),
        (212, "020C" + DEVICE + "0000F80000100020", "0000F80000100020"),
    ],
)
def test_without_its_header_the_port_tells_the_variant(port: int, headed: str | None, bare: str) -> None:
    items = uplinked(bare, port)
    assert not of_kind(items, Damaged)
    if headed:
        assert items == uplinked(headed, 1)
    [damaged] = uplinked(bare + "00", port)
    assert isinstance(damaged, Damaged)
    assert damaged.reason is DamageReason.LENGTH


def test_variant_7_has_totals_only_and_8_has_none() -> None:
    total, status = uplinked("00060305E6", 27)
    assert total == Register(DEVICE, "main", HEARD_MS, 1539, 1510, modulus=65_536)
    assert isinstance(status, Status)
    [heartbeat] = uplinked("0000F880", 28)
    assert heartbeat == Status(DEVICE, HEARD_MS, DeviceState.DEGRADED, "beam blocked")


def test_variant_9_is_6_with_its_reception() -> None:
    nine = "0209" + README["hex"][4:] + "8F01"
    assert uplinked(nine, 1) == uplinked(README["hex"], 26)


@pytest.mark.parametrize(
    ("sensor", "news", "state", "detail"),
    [
        ("00", "00", DeviceState.OK, ""),
        ("80", "00", DeviceState.DEGRADED, "beam blocked"),
        ("62", "00", DeviceState.DEGRADED, "receiver disturbed, receiver battery low, beam weak"),
        ("04", "01", DeviceState.OK, "started, sensor powered up"),
        ("00", "06", DeviceState.OK, "connected anew, settings changed"),
    ],
)
def test_what_the_bits_say(sensor: str, news: str, state: DeviceState, detail: str) -> None:
    assert uplinked(f"{news}00F8{sensor}", 28) == [Status(DEVICE, HEARD_MS, state, detail)]


def numbered(number: int, driver: Imbuildings, device: str = DEVICE) -> str:
    frame = README["hex"][20:-2] + f"{number:02X}"
    detail: str = of_kind(uplinked(frame, 26, driver, device), Status)[0].detail
    return detail.removeprefix("receiver battery low").removeprefix(", ")


def test_payloads_that_went_missing_are_told() -> None:
    driver = opened()
    assert [numbered(number, driver) for number in (250, 251, 254, 254, 252, 255, 2)] == [
        "", "", "2 payloads missing before this one", "", "", "", "2 payloads missing before this one",
    ]  # fmt: skip
    assert numbered(200, driver, "0004a30b00f6b570") == ""


def test_only_so_many_counters_are_remembered() -> None:
    driver = opened()
    for number in range(REMEMBERED + 1):
        numbered(1, driver, f"{number:016x}")
    assert numbered(9, driver, f"{0:016x}") == ""
    assert numbered(9, driver, f"{REMEMBERED:016x}") == "7 payloads missing before this one"


def test_other_devices_of_the_maker_are_ignored() -> None:
    for port in (10, 13, 16, 33):
        [item] = uplinked("00112233445566", port)
        assert isinstance(item, Ignored)


@pytest.mark.parametrize("frame", ["0206", "020600", "03" * 23, "02" * 23])
def test_a_frame_that_is_none_is_damage(frame: str) -> None:
    [item] = uplinked(frame, 1)
    assert isinstance(item, Damaged)


def test_a_date_that_is_none_is_damage() -> None:
    [item] = decode(bytes.fromhex(NB_IOT["hex"].replace("20230203", "20231303")))
    assert isinstance(item, Damaged)
    assert item.reason is DamageReason.SANITY


def test_it_has_one_line_and_goes_by_its_id() -> None:
    device = Device(
        FAMILY.options.model_validate({"serial": "00-04-A3-0B-00-F6-B5-69"}), {"main": FAMILY.line_options()}
    )
    assert FAMILY.match(device).counter == DEVICE
    assert FAMILY.basis_for(device) is Basis.TOTAL
    two = Device(FAMILY.options(), {"a": FAMILY.line_options(), "b": FAMILY.line_options()})
    assert FAMILY.problems(two)
