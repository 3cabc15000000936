"""Irisys Vector 4D: registers that only rise, several log entries in a body, and what is no count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.irisys.family import FAMILY, IrisysLine, IrisysOptions
from gateway import config
from gateway.driver import Device, Message
from gateway.model import Crossings, Damaged, DamageReason, Ignored, Item, Register
from gateway.roster import Roster

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parents[2] / "vectors/irisys_vector4d.json").read_text())[
        "vectors"
    ]
}
AT_2018 = 1_543_846_860_000  # 2018-12-03T14:21:00Z
FROM_2020, TO_2020 = 1_596_615_000_000, 1_596_615_060_000  # 2020-08-05T08:10:00Z and a minute later


def decode(body: Any, **lines: dict[str, Any]) -> list[Item]:
    device = Device(IrisysOptions(serial=None), {name: IrisysLine(**keys) for name, keys in lines.items()})
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(FAMILY.open(device).decode(Message(payload, TO_2020)))  # type: ignore[union-attr]


def payload(name: str) -> Any:
    return json.loads(json.dumps(VECTORS[name]["payload"]))


def test_without_lines_every_register_is_told_by_its_own_name() -> None:
    items = decode(payload("http-post"))
    assert items == [
        Register("V4D-17020025", name, AT_2018, total_passes=total, key=f"353493/{number}")
        for number, (name, total) in enumerate(
            [("Line 1", 121), ("Line 2", 127), ("Zone 1", 156), ("Dwell", 382), ("LineExclude", 125)]
        )
    ]
    told = {str(number): item.total_passes for number, item in enumerate(items) if isinstance(item, Register)}
    assert told == VECTORS["http-post"]["expect"]["registers"]


@pytest.mark.parametrize("line", [{"in": "Line 1", "out": "Line 2"}, {"in": 0, "out": 1}])
def test_a_line_is_two_registers_by_name_or_by_number(line: dict[str, Any]) -> None:
    assert decode(payload("http-post"), main=line) == [
        Register("V4D-17020025", "main", AT_2018, 121, 127, key="353493/0+1")
    ]


def test_newer_firmware_tells_the_rise_of_the_period_too() -> None:
    assert decode(payload("http-post-periods"), main={"in": "Line 1", "out": "Line 2"}) == [
        Register("V4D-20050095", "main", TO_2020, 4, 7, key="3994/0+1"),
        Crossings("V4D-20050095", "main", FROM_2020, TO_2020, 1, 1, key="3994/0+1"),
    ]


def test_direction_tags_are_believed_where_nothing_is_configured() -> None:
    registers = [item for item in decode(payload("http-post-periods")) if isinstance(item, Register)]
    assert [(one.line, one.total_in, one.total_out) for one in registers] == [
        ("Line 1", 4, None),
        ("Line 2", None, 7),
    ]


def test_several_entries_of_a_body_are_several_readings() -> None:
    body = payload("http-post")
    later = json.loads(json.dumps(body["CountLogs"][0]))
    later |= {"LogEntryId": 353494, "Timestamp": "2018-12-03T14:36:00Z"}
    later["Counts"][0]["Value"] = 130
    body["CountLogs"].append(later)
    assert decode(body, main={"in": "Line 1"}) == [
        Register("V4D-17020025", "main", AT_2018, 121, key="353493/0"),
        Register("V4D-17020025", "main", AT_2018 + 900_000, 130, key="353494/0"),
    ]


def test_several_lines_of_one_device() -> None:
    items = decode(
        payload("http-post"), d5={"in": "Line 1"}, d6={"both": "LineExclude"}, d7={"in": "No such"}
    )
    assert items == [
        Register("V4D-17020025", "d5", AT_2018, 121, key="353493/0"),
        Register("V4D-17020025", "d6", AT_2018, total_passes=125, key="353493/4"),
    ]


def test_a_name_that_two_registers_bear_is_never_guessed() -> None:
    body = payload("http-post")
    body["CountLogs"][0]["Counts"][1]["Name"] = "Line 1"
    assert decode(body, main={"in": "Line 1"}) == [Ignored("registers of no line")]
    assert [item.line for item in decode(body) if isinstance(item, Register)][:2] == [
        "Line 1 #0",
        "Line 1 #1",
    ]
    assert decode(body, main={"in": 1}) == [Register("V4D-17020025", "main", AT_2018, 127, key="353493/1")]


def test_a_clock_that_was_set_is_no_count() -> None:
    assert decode(payload("clock-changed")) == [Ignored("the clock was set")]


@pytest.mark.parametrize(
    ("body", "item"),
    [
        (b"", Ignored("empty message")),
        ({}, Ignored("no count logs")),
        ({"CountLogs": "none"}, Ignored("no count logs")),
        ({"CountLogs": [{"Timestamp": "2018-12-03T14:21:00Z"}]}, Ignored("log entry without counts")),
        ([], Damaged(DamageReason.SYNTAX, 2)),
    ],
)
def test_bodies_without_counts(body: Any, item: Item) -> None:
    assert decode(body) == [item]


@pytest.mark.parametrize("value", [-1, 2**53, 1.5, "many", None, True, 1e999])
def test_an_absurd_register_damages_itself_alone(value: object) -> None:
    body = payload("http-post")
    body["CountLogs"][0]["Counts"][0]["Value"] = value
    damaged, register = decode(body, main={"in": "Line 1", "out": "Line 2"})
    assert isinstance(damaged, Damaged)
    assert register == Register("V4D-17020025", "main", AT_2018, None, 127, key="353493/1")


@pytest.mark.parametrize("start", ["2020-08-05T08:12:00Z", "2020-08-05T08:11:00Z", "soon", 7])
def test_an_interval_that_ends_before_it_has_begun_is_damage(start: object) -> None:
    body = payload("http-post-periods")
    body["CountLogs"][0]["StartTimestamp"] = start
    (item,) = decode(body)
    assert isinstance(item, Damaged)
    assert item.reason is DamageReason.SANITY


def test_an_interval_of_months_is_no_check_but_its_totals_are_sound() -> None:
    body = payload("http-post-periods")
    body["CountLogs"][0]["StartTimestamp"] = "2020-06-05T08:10:00Z"
    assert decode(body, main={"in": "Line 1", "out": "Line 2"}) == [
        Register("V4D-20050095", "main", TO_2020, 4, 7, key="3994/0+1")
    ]


def test_ten_thousand_entries_in_one_body() -> None:
    body = payload("http-post")
    entry = json.dumps(body["CountLogs"][0])
    body["CountLogs"] = [
        json.loads(entry)
        | {
            "LogEntryId": number,
            "Timestamp": f"2018-12-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:00Z",
        }
        for number in range(10_000)
    ]
    items = decode(body, main={"in": 0, "out": 1})
    assert len({item.at_ms for item in items if isinstance(item, Register)}) == 10_000


@pytest.mark.parametrize("keys", [{}, {"in": "a", "both": "b"}, {"in": "a", "out": "a"}, {"inn": "a"}])
def test_a_line_needs_its_registers(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        IrisysLine(**keys)


LINK = """
[gateway]
id = "box"
[site]
id = "here"
timezone = "UTC"
[push]
listen = "127.0.0.1:0"
allow = ["127.0.0.1"]
[link]
lan = { over = "push", options = { auth = "none" } }
[counter]
north = { link = "lan", driver = "irisys", serial = "V4D-17020025", in = "Line 1", out = "Line 2" }
south = { link = "lan", driver = "irisys", serial = "V4D-2", in = "Line 1", out = "Line 2", reversed = true }
[counter.west]
link = "lan"
driver = "irisys"
serial = "V4D-3"
lines = { a = { in = 0 }, b = { both = "LineExclude" } }
"""


def test_devices_of_one_link_are_told_apart_and_each_has_its_own_registers(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(LINK)
    roster = Roster(config.load(tmp_path / "gateway.toml"))
    sources = roster.sources("lan")
    assert sorted(source.counters for source in sources) == [("north", "south"), ("west",)]
    booked: dict[str, list[tuple[str, int | None, int | None, int | None]]] = {}
    for serial in ("V4D-17020025", "V4D-2", "V4D-3"):
        body = json.dumps(payload("http-post") | {"FriendlyDeviceSerial": serial}).encode()
        for source in sources:
            resolved = roster.resolve(source, source.driver.decode(Message(body, TO_2020)))  # type: ignore[union-attr]
            for booking in resolved.bookings:
                reading = booking.reading
                assert isinstance(reading, Register)
                totals = (booking.line, reading.total_in, reading.total_out, reading.total_passes)
                booked.setdefault(booking.counter, []).append(totals)
    assert booked == {
        "north": [("main", 121, 127, None)],
        "south": [("main", 127, 121, None)],
        "west": [("a", 121, None, None), ("b", None, None, 125)],
    }
