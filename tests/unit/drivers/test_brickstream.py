"""Brickstream metrics: local time, many rows in a body, and zeros that nobody counted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from drivers.brickstream.family import FAMILY, BrickstreamLine, BrickstreamOptions
from gateway.driver import Device, Match, Message
from gateway.model import Crossings, Damaged, DamageReason, DeviceState, Ignored, Item, Status

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parents[2] / "vectors/brickstream_xml.json").read_text())[
        "vectors"
    ]
}
MAC = "00:b0:9d:be:30:13"
FIVE = 300_000
TEN_TO = 1_750_024_200_000  # 2025-06-15T21:50:00Z, ten to midnight in summer's local time


def decode(body: str, believed: list[int] | None = None) -> list[Item]:
    options = BrickstreamOptions(serial=None, believed_status=believed or [])
    driver: Any = FAMILY.open(Device(options))
    return list(driver.decode(Message(body.encode(), TEN_TO)))


def body(name: str) -> str:
    text: str = VECTORS[name]["body"]
    return text


def row(**changes: str) -> str:
    """One body of one row; the keywords replace its attributes, "" takes them away."""
    keys = {
        "StartTime": "12:00:00",
        "EndTime": "12:05:00",
        "Enters": "4",
        "Exits": "3",
        "Status": "0",
    } | changes
    attributes = " ".join(f'{key}="{value}"' for key, value in keys.items() if value and key[0] != "_")
    return (
        "<Metrics><Properties><MacAddress>00:b0:9d:be:30:13</MacAddress>"
        f"<Timezone>{changes.get('_zone', '1')}</Timezone>"
        f"<DST>{changes.get('_summer', '0')}</DST></Properties>"
        f'<ReportData Interval="{changes.get("_interval", "5")}">'
        f'<Report Date="{changes.get("_day", "2025-01-15")}"><Object Id="0" Name="North">'
        f"<Count {attributes}/></Object></Report></ReportData></Metrics>"
    )


def crossing(items: list[Item]) -> Crossings:
    (found,) = [item for item in items if isinstance(item, Crossings)]
    return found


def counted(items: list[Item]) -> list[Crossings]:
    return [one for one in items if isinstance(one, Crossings) and not one.unwatched]


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize("name", ["v1", "v5"])
def test_the_instants_of_real_bodies(name: str) -> None:
    """Their only row has zeros and status 4; believed, it tells when it was."""
    expect = VECTORS[name]["expect"]
    found = crossing(decode(body(name), believed=[4]))
    assert [found.start_ms, found.end_ms] == [ms(one) for one in expect["interval_utc"]]
    assert (found.counter, found.line, found.ins, found.outs) == (expect["mac"], "1", 0, 0)


def test_zeros_of_a_device_that_was_away_are_no_watched_time() -> None:
    detail = "status 4: 1 of 1 rows not watched"
    for name, told_ms in (("v5", 1_750_002_324_000), ("v1", ms("2025-06-15T15:50:00Z"))):
        made_up, status = decode(body(name))
        assert made_up == replace(crossing(decode(body(name), believed=[4])), unwatched=True)
        assert status == Status(MAC, told_ms, DeviceState.DEGRADED, detail)


def test_days_zones_and_rows_of_one_body() -> None:
    items = decode(body("batch"))
    assert items == [
        Crossings(MAC, "North", TEN_TO, TEN_TO + FIVE, 3, 1),
        Crossings(MAC, "North", TEN_TO + FIVE, TEN_TO + 2 * FIVE, 0, 0, unwatched=True),
        Crossings(MAC, "South", TEN_TO, TEN_TO + FIVE, 2, 2),
        Crossings(MAC, "North", TEN_TO + 2 * FIVE, TEN_TO + 3 * FIVE, 0, 0),
        Ignored("zone of another kind"),
        Status(MAC, 1_750_024_920_000, DeviceState.OK, "status 1: 1 of 4 rows not watched"),
    ]
    told = [[one.line, one.start_ms, one.ins, one.outs] for one in counted(items)]
    assert told == [[line, ms(at), *counts] for line, at, *counts in VECTORS["batch"]["expect"]["rows"]]


def test_persons_are_counted_under_any_status() -> None:
    items = decode(row(Status="3"))
    assert (crossing(items).ins, crossing(items).outs) == (4, 3)
    assert [item.state for item in items if isinstance(item, Status)] == [DeviceState.DEGRADED]


def test_local_time_is_the_zone_and_the_hours_of_summer() -> None:
    assert crossing(decode(row())).start_ms == ms("2025-01-15T11:00:00Z")
    assert crossing(decode(row(_summer="1"))).start_ms == ms("2025-01-15T10:00:00Z")
    assert crossing(decode(row(_zone="-5"))).start_ms == ms("2025-01-15T17:00:00Z")


def test_unix_time_is_believed_before_local_time() -> None:
    found = crossing(decode(row(UnixStartTime="1736939100")))
    assert (found.start_ms, found.end_ms) == (1_736_939_100_000, 1_736_939_100_000 + FIVE)


@pytest.mark.parametrize(("start", "end"), [("01:55:00", "03:00:00"), ("02:55:00", "02:00:00")])
def test_a_row_across_a_change_of_the_clock_is_as_long_as_its_interval(start: str, end: str) -> None:
    found = crossing(decode(row(StartTime=start, EndTime=end)))
    assert found.start_ms is not None
    assert found.end_ms == found.start_ms + FIVE


def test_a_whole_day_and_a_piece_of_an_interval() -> None:
    day = crossing(decode(row(StartTime="00:00:00", EndTime="00:00:00", _interval="1440")))
    piece = crossing(decode(row(EndTime="12:02:30")))
    assert [one.end_ms - one.start_ms for one in (day, piece) if one.end_ms and one.start_ms] == [
        86_400_000,
        150_000,
    ]


def test_zones_of_one_name_never_replace_each_other() -> None:
    items = decode(body("batch").replace('Name="South"', 'Name="North"'))
    lines = [item.line for item in counted(items)]
    assert lines == ["North #0", "North #1", "North #0"]


@pytest.mark.parametrize(
    "changes",
    [
        {"Enters": "-1"},
        {"Enters": "4000000000"},
        {"Enters": "few"},
        {"StartTime": "25:00:00"},
        {"EndTime": ""},
        {"EndTime": "12:00:00"},
        {"EndTime": "11:58:00"},
        {"_day": "15.01.2025"},
        {"_day": "0001-01-01"},
        {"UnixStartTime": "soon"},
        {"UnixStartTime": "-5"},
        {"_zone": "99"},
        {"Status": "fine"},
    ],
)
def test_absurd_rows_are_damage(changes: dict[str, str]) -> None:
    (item,) = decode(row(**changes))
    assert isinstance(item, Damaged)
    assert item.reason is DamageReason.SANITY


def test_a_damaged_row_spoils_no_other() -> None:
    items = decode(body("batch").replace('Enters="3"', 'Enters="3e"'))
    assert [type(item) for item in items].count(Damaged) == 1
    assert [item.line for item in counted(items)] == ["South", "North"]


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("", Ignored("empty message")),
        ("<Heartbeat/>", Ignored("no metrics")),
        ("<Metrics/>", Ignored("no rows")),
        ("<Metrics>", Damaged(DamageReason.SYNTAX, 9)),
        ('<!DOCTYPE a [<!ENTITY b "c">]><Metrics>&b;</Metrics>', Damaged(DamageReason.SYNTAX, 52)),
    ],
)
def test_bodies_without_rows(text: str, item: Item) -> None:
    assert decode(text) == [item]


def test_ten_thousand_rows_in_one_body() -> None:
    one = re.search("<Count .*?/>", row())
    assert one
    rows = "".join(f'{one[0][:-2]} UnixStartTime="{1_736_899_200 + 300 * at}"/>' for at in range(10_000))
    items = decode(row().replace(one[0], rows))
    assert len({item.start_ms for item in items if isinstance(item, Crossings)}) == 10_000


def test_sensors_are_told_apart_by_their_mac_and_zones_by_their_name() -> None:
    options = BrickstreamOptions(serial="00:B0:9D:BE:30:13", believed_status=[])
    device = Device(options, {"main": BrickstreamLine(zone="North")})
    assert FAMILY.match(device) == Match(MAC, {"North": "main"})
