"""Xovis over TCP, the bundles of older firmware, and the sensor's own store."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.objects import LONGEST, Objects
from drivers.xovis.family import FAMILY, Xovis, XovisOptions
from drivers.xovis.stream import ROOT
from gateway.driver import Device, Fetch, Message, Response, Side
from gateway.model import Basis, Crossings, Damaged, DamageReason, Ignored, Item
from tests.contracts.test_driver_laws import _leaves, examples, strange
from tests.families import assert_sane

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for file in ("xovis_v5_json.json", "xovis_legacy_and_history.json")
    for vector in json.loads((FOLDER / file).read_text())["vectors"]
}
SERIAL = "80:1F:12:D5:30:DC"
TWENTY_PAST = 1_632_385_200_000  # 2021-09-23T08:20:00Z
MINUTE = 60_000
NOON = 1_645_792_860_000  # 2022-02-25T12:41:00Z


def opened(serial: str | None = None) -> Xovis:
    driver = FAMILY.open(Device(XovisOptions(topic=None, serial=serial)))
    assert isinstance(driver, Xovis)
    return driver


def payload(name: str) -> Any:
    return json.loads(json.dumps(VECTORS[name]["payload"]))


def decode(body: Any) -> list[Item]:
    return list(opened().decode(Message(json.dumps(body).encode(), NOON)))


def fed(driver: Xovis, data: bytes) -> list[Item]:
    return list(driver.feed(data, NOON))


def package(name: str = "logics-4x1min") -> bytes:
    return json.dumps(VECTORS[name]["payload"], separators=(",", ":")).encode()


PACKAGES = [package("logics-4x1min"), package("live-line-cross"), package("status")]


# TCP: objects without anything between them


def whole() -> list[Item]:
    return [item for one in PACKAGES for item in opened().decode(Message(one, NOON))]


def test_objects_without_a_delimiter_are_cut_apart() -> None:
    assert fed(opened(), b"".join(PACKAGES)) == whole()


@pytest.mark.parametrize("between", [b"\r\n", b" ", b"\0", b"\n\n"])
def test_blanks_between_objects_are_no_damage(between: bytes) -> None:
    assert fed(opened(), between.join(PACKAGES)) == whole()


def test_cut_anywhere_gives_the_same() -> None:
    stream = b"noise}" + PACKAGES[0] + b'{"half":"of' + PACKAGES[1] + b"\r\n" + PACKAGES[2] + b'{"logics_'
    expected, driver = fed(opened(), stream), opened()
    assert [item for byte in stream for item in fed(driver, bytes([byte]))] == expected
    source = random.Random(4)
    for _ in range(20):
        driver, at, items = opened(), 0, list[Item]()
        while at < len(stream):
            step = source.randrange(1, 400)
            items += fed(driver, stream[at : at + step])
            at += step
        assert items == expected


PIECES = [
    *(b'{"logics_data":{"a":"x"}}', b'{"live_data":[]}', b'{  "status_data":{}}', b'{"x":"\\"}"}'),
    *(
        b"{",
        b"}",
        b'"',
        b"\\",
        b" ",
        b"abc",
        b"\0",
        b'{"logics_',
        b'{"connection_test"',
        b'{"a":"' + b"y" * 200,
    ),
]


def test_whatever_comes_and_however_it_is_cut_the_objects_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("drivers.objects.LONGEST", 300)
    last, source = b'{"live_data":[1]}', random.Random(5)
    for _ in range(3000):
        stream = b"".join(source.choice(PIECES) for _ in range(source.randrange(1, 14))) + b'"}' + last
        expected, objects, found, at = Objects(ROOT).feed(stream), Objects(ROOT), list[bytes | Damaged](), 0
        while at < len(stream):
            step = source.choice((1, 2, 3, 7, 40))
            found += objects.feed(stream[at : at + step])
            at += step
        assert found == expected
        assert found[-1] == last


def test_a_whole_object_is_told_without_waiting_for_the_next() -> None:
    driver = opened()
    assert fed(driver, b'{"connection_test":{}}') == [Ignored("connection test")]


def test_braces_and_quotes_inside_names_are_no_signs() -> None:
    body = payload("logics-4x1min")
    body["logics_data"]["logics"][1]["name"] = 'a "}{" \\'
    stream = json.dumps(body).encode() + PACKAGES[2]
    lines = {item.line for item in fed(opened(), stream) if isinstance(item, Crossings)}
    assert lines == {'a "}{" \\'}


@pytest.mark.parametrize("garbage", [b"\xff\x00}}]]", b'{"never', b"{{{{", b'{"a":{"b":"\\', b"x" * 3000])
def test_the_next_package_after_garbage_is_whole(garbage: bytes) -> None:
    items = fed(opened(), garbage + PACKAGES[0])
    assert [item for item in items if not isinstance(item, Damaged)] == fed(opened(), PACKAGES[0])
    assert sum(item.bytes for item in items if isinstance(item, Damaged)) <= len(garbage)
    assert isinstance(items[0], Damaged)


def test_the_half_of_a_lost_connection_spoils_nothing() -> None:
    driver = opened()
    assert fed(driver, PACKAGES[0][:500]) == []
    driver.reopened(Side.DEVICE)
    assert fed(driver, PACKAGES[0]) == fed(opened(), PACKAGES[0])


@pytest.mark.parametrize("endless", [b"x", b'{"a":"', b"{", b'{"logics_data":["'])
def test_what_never_ends_is_dropped_in_pieces(endless: bytes) -> None:
    driver, items = opened(), list[Item]()
    filler = endless[-1:] if endless in (b"x", b"{") else b"y"
    for data in [endless, *[filler * 65_536] * 40]:
        items += fed(driver, data)
        assert len(driver._objects._held) <= LONGEST + 65_536
    assert sum(item.bytes for item in items if isinstance(item, Damaged)) >= LONGEST
    assert fed(driver, b'"' + PACKAGES[0])[-4:] == fed(opened(), PACKAGES[0])[-4:]


def test_ten_thousand_objects_at_once() -> None:
    items = fed(opened(), PACKAGES[1] * 10_000)
    assert len([item for item in items if isinstance(item, Crossings)]) == 10_000


# firmware 3 and 4


def test_a_bundle_of_counts() -> None:
    crossing = Crossings(SERIAL, "Line 0", TWENTY_PAST, TWENTY_PAST + MINUTE, 1, 0)
    assert decode(payload("legacy-counts")) == [crossing]


def test_of_a_bundle_of_events_one_counts() -> None:
    items = decode(payload("legacy-events"))
    (event,) = [item for item in items if isinstance(item, Crossings)]
    assert (event.counter, event.line, event.ins, event.outs) == (SERIAL, "Line 0", 1, 0)
    assert (event.start_ms, event.basis) == (1_632_385_264_305, Basis.EVENT)
    assert event.key
    assert "3006" not in event.key
    assert len(items) == 5


@pytest.mark.parametrize("kind", ["GROUP", "CART"])
def test_groups_and_things_are_not_counted(kind: str) -> None:
    body = payload("legacy-events")
    body["values"][2]["objectType"] = kind
    assert not [item for item in decode(body) if isinstance(item, Crossings)]


def test_two_elements_of_one_name_never_replace_each_other() -> None:
    body = payload("legacy-counts")
    twin = json.loads(json.dumps(body["content"]["element"][0])) | {"element-id": 7}
    body["content"]["element"].append(twin)
    assert [item.line for item in decode(body) if isinstance(item, Crossings)] == ["Line 0 #0", "Line 0 #7"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("from", "2021-09-23T10:22:00+02:00"),
        ("from", "2021-09-23T10:20:00"),
        ("from", "2021-05-23T10:20:00+02:00"),
        ("to", None),
        ("value", [{"label": "fw", "value": -1}]),
    ],
)
def test_absurd_measurements_are_damage(key: str, value: object) -> None:
    body = payload("legacy-counts")
    body["content"]["element"][0]["measurement"][0][key] = value
    (item,) = decode(body)
    assert isinstance(item, Damaged)
    assert item.reason is DamageReason.SANITY


@pytest.mark.parametrize(
    "body", [{"content": 1}, {"content": {"element": [{"data-type": "ZONE"}]}}, {"values": []}]
)
def test_bundles_without_lines_are_ignored(body: Any) -> None:
    assert [type(item) for item in decode(body)] == [Ignored]


def test_an_event_without_a_way_is_damage() -> None:
    body = payload("legacy-events")
    body["values"][2]["direction"] = "sideways"
    assert [type(item) for item in decode(body)].count(Damaged) == 1


# the sensor's store


def test_a_gap_waits_for_the_end_of_its_last_minute() -> None:
    assert opened(None).told_at(NOON + 10_000) == NOON + MINUTE
    assert opened(None).told_at(NOON) == NOON


def recalled(body: bytes | None, serial: str | None = None) -> tuple[Fetch, list[Item]]:
    talk = opened(serial).recall(NOON + 10_000, NOON + MINUTE + 1)
    fetch = next(talk)
    with pytest.raises(StopIteration) as end:
        talk.send(Response(body, NOON, 200 if body else 0))
    return fetch, list(end.value.value)


def test_history_is_asked_for_in_whole_minutes_and_told_like_packages() -> None:
    fetch, items = recalled(package("history"))
    assert fetch.line == f"GET {VECTORS['history']['path']}".encode()
    pushed = [item for item in decode(payload("logics-4x1min")) if isinstance(item, Crossings)]
    assert [(one.line, one.start_ms, one.end_ms, one.ins, one.outs) for one in pushed][:2] == [
        (one.line, one.start_ms, one.end_ms, one.ins, one.outs) for one in items if isinstance(one, Crossings)
    ]


def test_history_bears_the_configured_serial_number() -> None:
    assert {
        item.counter for item in recalled(package("history"), SERIAL)[1] if isinstance(item, Crossings)
    } == {SERIAL}


def test_minutes_without_a_record_stay_unwatched() -> None:
    body = payload("history")
    body["measurements"][1] |= {"records": 0, "counts": [{"id": 2, "value": 0}, {"id": 3, "value": 0}]}
    assert len(recalled(json.dumps(body).encode())[1]) == 1


def test_two_logics_of_one_name_are_not_mixed() -> None:
    body = payload("history")
    body["config"]["logics"].append({"id": 9, "name": "Line 0"})
    body["config"]["counts"].append({"id": 20, "logic_id": 9, "name": "fw"})
    lines = {item.line for item in recalled(json.dumps(body).encode())[1] if isinstance(item, Crossings)}
    assert lines == {"Line 0 #2"}


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"measurements":[{"begin":2,"end":1}]}'])
def test_other_answers_are_damage(body: bytes) -> None:
    assert [type(item) for item in recalled(body)[1]] == [Damaged]


def test_no_answer_tells_nothing() -> None:
    assert recalled(None)[1] == []


@pytest.mark.parametrize("name", ["legacy-counts", "legacy-events", "history", "live-line-cross", "status"])
@given(data=st.data())
@examples
def test_any_value_anywhere_gives_only_sane_items(name: str, data: st.DataObject) -> None:
    body = inner = payload(name)
    place = data.draw(st.sampled_from(_leaves(body)))
    for step in place[: (depth := data.draw(st.integers(0, len(place) - 1)))]:
        inner = inner[step]
    inner[place[depth]] = data.draw(strange)
    assert_sane(recalled(json.dumps(body).encode())[1] if name == "history" else decode(body))


@given(noise=st.binary(max_size=400))
@examples
def test_any_bytes_on_a_stream_and_from_the_store(noise: bytes) -> None:
    assert_sane(fed(opened(), noise + PACKAGES[0]))
    assert_sane(recalled(noise)[1])
