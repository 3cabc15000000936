"""Xovis 5.x: packages of many records, live events, status, tests; what must not be counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.xovis import codec
from drivers.xovis.family import FAMILY
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
    Status,
)

VECTORS = {
    vector["id"]: vector
    for vector in json.loads(
        (Path(__file__).parents[2] / "vectors" / "xovis_v5_json.json").read_text(encoding="utf-8")
    )["vectors"]
}


def decode(body: Any) -> list[Item]:
    return codec.decode(json.dumps(body).encode())


def logics(**changes: Any) -> dict[str, Any]:
    """One package with one record of one line; the keywords replace the logic's keys."""
    record = {
        "from": 1645792860000,
        "to": 1645792920000,
        "counts": [{"id": 2, "name": "fw", "value": 3}, {"id": 3, "name": "bw", "value": 2}],
    }
    logic = {"id": 2, "name": "Line 0", "info": "XLT_LINE_IN_OUT_COUNT", "records": [record], **changes}
    package: dict[str, Any] = {"package_info": {"version": "5.0", "id": 28, "agent_id": 1008}}
    return {"logics_data": {**package, "logics": [logic]}}


def record_of(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["logics_data"]["logics"][0]["records"][0]
    return found


def live(kind: str = "PERSON", event: str = "LINE_CROSS_FORWARD", **attributes: Any) -> dict[str, Any]:
    about = {"track_id": 490, "sequence_number": 0, "geometry_id": 2, "geometry_name": "Line 0", **attributes}
    frame = {
        "time": 1645780665470,
        "tracked_objects": [{"track_id": about["track_id"], "type": kind}],
        "events": [{"category": "SCENE", "type": event, "attributes": about}],
    }
    return {"live_data": {"package_info": {"id": 150, "agent_id": 1005}, "frames": [frame]}}


def test_a_package_of_four_minutes_is_four_deltas() -> None:
    vector = VECTORS["logics-4x1min"]
    crossings = [item for item in decode(vector["payload"]) if isinstance(item, Crossings)]
    assert [(item.ins, item.outs) for item in crossings] == [
        (minute["fw"], minute["bw"]) for minute in vector["expect"]["minutes"]
    ]
    assert {(item.counter, item.line, item.basis) for item in crossings} == {
        ("device", "Line 0", Basis.DELTA)
    }
    assert all(item.start_ms and item.end_ms == item.start_ms + 60_000 for item in crossings)
    assert crossings[0].end_ms == 1645792920000  # 2022-02-25T12:42:00Z
    assert len({item.key for item in crossings}) == 4


def test_a_zone_is_a_level_at_the_end_of_its_record() -> None:
    levels = [item for item in decode(VECTORS["logics-4x1min"]["payload"]) if isinstance(item, Occupancy)]
    assert levels[0] == Occupancy("device", "Zone 0", 1645792920000, 0)
    assert len(levels) == 4


def test_a_live_crossing_is_one_event_at_its_instant() -> None:
    (event,) = decode(VECTORS["live-line-cross"]["payload"])
    assert isinstance(event, Crossings)
    assert (event.ins, event.outs, event.basis) == (0, 1, Basis.EVENT)
    assert (event.start_ms, event.end_ms) == (1645780665470, 1645780665471)


def test_status_is_a_status_with_the_device_clock() -> None:
    assert decode(VECTORS["status"]["payload"]) == [Status("device", 1645784405000, DeviceState.OK)]


def test_a_dark_scene_degrades_the_device() -> None:
    body = json.loads(json.dumps(VECTORS["status"]["payload"]))
    body["status_data"]["states"]["singlesensor"]["status"]["illumination"] = "INSUFFICIENT"
    (status,) = decode(body)
    assert isinstance(status, Status)
    assert (status.state, status.detail) == (DeviceState.DEGRADED, "illumination INSUFFICIENT")


def test_a_failed_device_is_a_fault() -> None:
    body = {"status_data": {"states": {"device": {"state": {"state": "ERROR"}}}}}
    assert decode(body) == [Status("device", None, DeviceState.FAULT, "device ERROR")]


def test_a_connection_test_is_not_a_count() -> None:
    assert decode({"connection_test": {"text": "hello"}}) == [Ignored("connection test")]


def test_the_serial_number_names_the_counter_when_it_is_sent() -> None:
    body = logics()
    body["logics_data"]["sensor_info"] = {"serial_number": "80:1F:12:D5:30:DC", "type": "SINGLE_SENSOR"}
    (item,) = decode(body)
    assert isinstance(item, Crossings)
    assert item.counter == "80:1F:12:D5:30:DC"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (1645792860000, 1645792920000),
        (1645792860, 1645792920),
        ("2022-02-25T12:41:00Z", "2022-02-25T12:42:00Z"),
        ("2022-02-25T13:41:00.000+01:00", "2022-02-25T13:42:00.000+01:00"),
    ],
    ids=["milliseconds", "seconds", "RFC 3339", "RFC 3339 with an offset"],
)
def test_every_time_format_of_the_agent_is_the_same_instant(start: object, end: object) -> None:
    body = logics()
    record_of(body).update({"from": start, "to": end})
    assert decode(body) == decode(logics())


@pytest.mark.parametrize(
    "template",
    ["XLT_GROUP_LINE_IN_OUT_COUNT", "XLT_BICYCLE_LINE_IN_OUT_COUNT", "XLT_NEW"],
)
def test_templates_that_count_no_persons_are_ignored(template: str | None) -> None:
    (item,) = decode(logics(info=template))
    assert isinstance(item, Ignored)


@pytest.mark.parametrize("template", ["XLT_LINE_LATE_COUNT", None])
def test_late_counts_and_packages_without_templates_count_persons(template: str | None) -> None:
    assert decode(logics(info=template)) == decode(logics())


@pytest.mark.parametrize("kind", ["GROUP", "SHOPPING_CART", "WHEELCHAIR"])
def test_the_echo_of_a_group_is_not_counted_again(kind: str) -> None:
    assert not [item for item in decode(live(kind)) if isinstance(item, Crossings)]


def test_a_group_without_its_track_in_the_frame_is_known_by_its_id() -> None:
    body = live(track_id=2**31 + 5)
    body["live_data"]["frames"][0]["tracked_objects"] = []
    assert not [item for item in decode(body) if isinstance(item, Crossings)]


def test_the_other_events_of_a_passage_are_not_crossings() -> None:
    for event in ("TRACK_CREATE", "ZONE_ENTRY", "COUNT_INCREMENT"):
        assert not [item for item in decode(live(event=event)) if isinstance(item, Crossings)]


def test_a_repeated_event_has_the_same_key_and_another_track_another() -> None:
    (first,), (again,), (other,) = decode(live()), decode(live()), decode(live(track_id=491))
    assert isinstance(first, Crossings)
    assert isinstance(other, Crossings)
    assert first == again
    assert first.key != other.key
    assert "490" not in (first.key or "")


def test_two_lines_of_one_name_stay_apart() -> None:
    body = logics()
    twin = {**body["logics_data"]["logics"][0], "id": 7}
    body["logics_data"]["logics"].append(twin)
    assert [item.line for item in decode(body) if isinstance(item, Crossings)] == ["Line 0 #2", "Line 0 #7"]


@pytest.mark.parametrize("late_first", [False, True])
def test_a_late_count_beside_its_line_leaves_the_line_its_name(late_first: bool) -> None:
    body = logics()
    found = body["logics_data"]["logics"]
    found.insert(0 if late_first else 1, {**found[0], "id": 3, "info": "XLT_LINE_LATE_COUNT"})
    assert [item for item in decode(body) if isinstance(item, Crossings)] == decode(logics())


def test_two_late_counts_of_one_name_stay_apart() -> None:
    body = logics(info="XLT_LINE_LATE_COUNT")
    body["logics_data"]["logics"].append({**body["logics_data"]["logics"][0], "id": 7})
    assert [item.line for item in decode(body) if isinstance(item, Crossings)] == ["Line 0 #2", "Line 0 #7"]


@pytest.mark.parametrize("called", [[], {}, None, 7])
def test_a_count_without_a_name_raises_nothing_where_the_template_is_left_out(called: object) -> None:
    body = logics(info=None)
    record_of(body)["counts"] = [{"name": called, "value": 1}]
    (item,) = decode(body)
    assert isinstance(item, Ignored)


def test_a_bad_record_does_not_lose_its_sisters() -> None:
    body = logics()
    good, bad = record_of(body), json.loads(json.dumps(record_of(body)))
    bad["counts"][0]["value"] = -1
    body["logics_data"]["logics"][0]["records"] = [bad, good]
    damaged, crossings = decode(body)
    assert isinstance(damaged, Damaged)
    assert damaged.reason is DamageReason.SANITY
    assert isinstance(crossings, Crossings)
    assert crossings.ins == 3


@pytest.mark.parametrize("value", [-1, 2**63, 1.5, "many", True, [], float("nan"), float("inf")])
def test_a_count_out_of_range_is_damage(value: object) -> None:
    body = logics()
    record_of(body)["counts"][0]["value"] = value
    (item,) = decode(body)
    assert isinstance(item, Damaged)
    assert item.reason is DamageReason.SANITY


@pytest.mark.parametrize(
    "end",
    [
        1645792860000,
        1645792850000,
        1645792860000 + 90_000_001,
        10**14,
        None,
        "yesterday",
        "2022-02-25T12:42:00",
    ],
)
def test_an_interval_that_cannot_be_is_damage(end: object) -> None:
    body = logics()
    record_of(body)["to"] = end
    (item,) = decode(body)
    assert isinstance(item, Damaged)


def test_one_direction_only_leaves_the_other_absent() -> None:
    body = logics()
    record_of(body)["counts"].pop()
    (item,) = decode(body)
    assert isinstance(item, Crossings)
    assert (item.ins, item.outs) == (3, None)


def test_an_empty_retained_message_is_ignored() -> None:
    driver = FAMILY.open(Device(FAMILY.options()))
    assert list(driver.decode(Message(b"", 0, retained=True))) == [Ignored("empty message")]  # type: ignore[union-attr]


def test_logics_are_matched_by_name() -> None:
    lines = {ours: FAMILY.line_options.model_validate({"logic": theirs}) for ours, theirs in (("d5", "A"),)}
    device = Device(FAMILY.options.model_validate({"topic": "xovis/c"}), lines)
    assert FAMILY.match(device).lines == {"A": "d5"}
    assert tuple(FAMILY.topics(device)) == ("xovis/c",)
