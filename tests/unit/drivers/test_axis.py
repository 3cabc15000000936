"""Axis counters: minutes that are pushed, sums and quarters that are asked for, local time in autumn."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.axis.family import FAMILY, Axis, AxisOptions
from drivers.axis.tvpc import FAMILY as TVPC
from drivers.axis.tvpc import PeopleCounter, TvpcOptions
from gateway.driver import Device, Fetch, Message, Response, Site
from gateway.model import Crossings, Damaged, DamageReason, Ignored, Item, Register, Resets

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for file in ("axis_retail_data_push.json", "axis_people_counter.json")
    for vector in json.loads((FOLDER / file).read_text(encoding="utf-8"))["vectors"]
}
STOCKHOLM = Site("Europe/Stockholm")
MINUTE, QUARTER, HOUR, DAY = 60_000, 900_000, 3_600_000, 86_400_000
HEADS = VECTORS["quarters"]["csv"].splitlines()[0]


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def camera(**options: Any) -> Axis:
    driver = FAMILY.open(Device(AxisOptions(**options), site=STOCKHOLM))
    assert isinstance(driver, Axis)
    return driver


def application(**options: Any) -> PeopleCounter:
    driver = TVPC.open(Device(TvpcOptions(**options), site=STOCKHOLM))
    assert isinstance(driver, PeopleCounter)
    return driver


def pushed(body: Any) -> list[Item]:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(camera().decode(Message(payload, utc("2020-12-08T12:20:13"))))


def push(**changes: Any) -> dict[str, Any]:
    """The vendor's example with keys of its measurement replaced."""
    body: dict[str, Any] = json.loads(json.dumps(VECTORS["vendor-doc"]["payload"]))
    body["data"]["measurements"][0].update(changes)
    return body


def items(**counts: int) -> list[dict[str, Any]]:
    return [{"direction": way, "count": count, "adults": 0} for way, count in counts.items()]


def csv(*rows: str) -> bytes:
    return "\n".join([HEADS, *rows, ""]).encode()


def row(start: str, stop: str, ins: int, outs: int, day: str = "2017-05-03") -> str:
    return f"{day} {start}:00,{day} {stop}:00,00408CAC512B,Exit south,{ins},{outs}"


def talk(generator: Any, *answers: Response) -> tuple[list[Fetch], list[Item]]:
    """All questions, and what was told; nothing more is answered than given."""
    asked, remaining = [next(generator)], list(answers)
    try:
        while True:
            asked.append(generator.send(remaining.pop(0)))
    except StopIteration as end:
        assert not remaining
        return asked, list(end.value)


# Pushed


def test_the_vendors_minute_without_people_is_a_minute_that_was_watched() -> None:
    start = utc("2020-12-08T12:19:00")
    assert pushed(push()) == [Crossings("accc8ef3d92e", "main", start, start + MINUTE, 0, 0)]


def test_both_directions_are_one_delta_and_adults_are_not_read() -> None:
    start = utc("2020-12-08T12:19:00")
    assert pushed(push(items=items(out=5, **{"in": 3}))) == [
        Crossings("accc8ef3d92e", "main", start, start + MINUTE, 3, 5)
    ]
    assert pushed(push(items=items(**{"in": 3}))) == [
        Crossings("accc8ef3d92e", "main", start, start + MINUTE, 3, None)
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (VECTORS["connection-test"]["payload"], "connection test"),
        (push(kind="queue-lengths"), "measurement of another kind"),
        (push(items=[]), "interval without counts"),
        (b"", "empty message"),
    ],
)
def test_what_is_no_count_is_ignored_with_its_reason(body: Any, reason: str) -> None:
    assert pushed(body) == [Ignored(reason)]


@pytest.mark.parametrize(
    "changes",
    [
        {"utcTo": "2020-12-08T12:18:00Z"},
        {"utcTo": "2020-12-09T12:20:00Z"},
        {"utcFrom": "yesterday"},
        {"utcFrom": 1607430000},
        {"items": items(**{"in": -1})},
        {"items": items(**{"in": 10**10})},
        {"items": [*items(**{"in": 1}), *items(**{"in": 2})]},
    ],
    ids=["ends before it begins", "over a day", "no time", "a number", "negative", "absurd", "in twice"],
)
def test_what_no_camera_means_is_damage(changes: dict[str, Any]) -> None:
    assert [type(item) for item in pushed(push(**changes))] == [Damaged]


def test_ten_thousand_minutes_in_one_body_with_a_bad_one_among_them() -> None:
    body = push()
    one = body["data"]["measurements"][0]
    body["data"]["measurements"] = [one] * 5000 + [{**one, "utcTo": "?"}] + [one] * 5000
    found = pushed(body)
    assert [at for at, item in enumerate(found) if isinstance(item, Damaged)] == [5000]
    assert len(found) == 10_001


def test_a_serial_number_is_known_in_any_notation() -> None:
    options = AxisOptions.model_validate({"serial": "AC:CC:8E:F3:D9:2E"})
    assert FAMILY.match(Device(options)).counter == "accc8ef3d92e"


# The 3D counter's memory


def test_a_gap_is_asked_for_by_the_minute_and_only_the_gap_is_told() -> None:
    body = {
        "data": [
            {"start": "2020-06-23 00:00:00", "end": "2020-06-23 00:01:00", "in": 1, "out": 0},
            {"start": "2020-06-23 00:01:00", "end": "2020-06-23 00:02:00", "in": 2, "out": 4},
            {"start": "2020-06-23 00:02:00", "end": "2020-06-23 00:03:00", "in": None, "out": None},
            {"start": "2020-06-23 00:03:00", "end": "2020-06-23 00:04:00", "in": 9, "out": 9},
        ]
    }
    start = utc("2020-06-22T22:01:00")
    recall = camera(serial="ACCC8EF3D92E").recall(start, start + 2 * MINUTE)
    asked, told = talk(recall, Response(json.dumps(body).encode(), start + HOUR, 200))
    assert [fetch.line for fetch in asked] == [
        b"GET /a3dpc/api/export/json?start=20200623&end=20200624&resolution=minute"
    ]
    assert told == [
        Crossings("accc8ef3d92e", "main", start, start + MINUTE, 2, 4),
        Ignored("interval without counts"),
    ]


def test_the_vendors_export_is_read_in_the_cameras_zone() -> None:
    body = json.dumps(VECTORS["3d-export"]["payload"]).encode()
    start = utc("2020-06-22T22:00:00")
    _, told = talk(camera().recall(start, start + HOUR), Response(body, start + DAY, 200))
    assert told == [Crossings("device", "main", start, start + HOUR, 0, 0)]


# The application


def test_a_poll_asks_for_the_sum_and_for_the_quarters_that_are_over() -> None:
    body = json.dumps(VECTORS["live-sum"]["payload"]).encode()
    now = utc("2017-05-03T09:27:58")
    asked, told = talk(
        application().poll(now),
        Response(body, now, 200),
        Response(VECTORS["quarters"]["csv"].encode(), now, 200),
    )
    assert [fetch.line for fetch in asked] == [
        b"GET /local/tvpc/.api?live-sum.json",
        b"GET /local/tvpc/.api?export-csv&date=20170503&res=15m",
    ]
    start = utc("2017-05-03T09:00:00")
    assert told == [
        Register("00408cac512b", "main", None, 12, 318, epoch="00408cac512b"),
        Crossings("00408cac512b", "main", start, start + QUARTER, 3, 41),
    ]
    assert TVPC.resets is Resets.DAILY


def test_soon_after_midnight_yesterday_is_asked_for_too() -> None:
    now = utc("2017-05-02T22:10:00")
    live = b'{"serial":"00408CAC512B","timestamp":"20170503001000","in":0,"out":0}'
    quarters = csv(
        row("21:00", "21:15", 8, 8, "2017-05-02"),
        "2017-05-02 23:45:00,2017-05-03 00:00:00,00408CAC512B,x,2,1",
    )
    asked, told = talk(application().poll(now), Response(live, now, 200), Response(quarters, now, 200))
    assert asked[1].path.endswith("&date=20170502-20170503&res=15m")
    last = utc("2017-05-02T21:45:00")
    assert told[1:] == [Crossings("00408cac512b", "main", last, last + QUARTER, 2, 1)]


def test_a_camera_twenty_years_off_is_asked_for_its_own_day() -> None:
    live = b'{"serial":"00408CAC512B","timestamp":"20000101101500","in":5,"out":4}'
    now = utc("2020-06-01T10:00:00")
    asked, _ = talk(application().poll(now), Response(live, now, 200), Response(csv(), now, 200))
    assert asked[1].path.endswith("date=20000101&res=15m")


def test_who_does_not_answer_is_asked_once_and_who_has_no_sum_is_asked_for_quarters() -> None:
    now = utc("2017-05-03T09:27:58")
    asked, told = talk(application().poll(now), Response(None, now))
    assert (len(asked), told) == (1, [])
    asked, told = talk(
        application(path="/local/people-counter/.api").poll(now),
        Response(None, now, 404),
        Response(csv(row("11:00", "11:15", 3, 41)), now, 200),
    )
    assert asked[1].path == "/local/people-counter/.api?export-csv&date=20170503&res=15m"
    assert [type(item) for item in told] == [Crossings]


def test_what_a_camera_stored_of_two_days_is_recalled() -> None:
    from_ms = utc("2017-05-02T21:45:00")
    rows = csv(
        "2017-05-02 23:45:00,2017-05-03 00:00:00,00408CAC512B,x,2,1",
        row("00:00", "00:15", 1, 0),
        row("00:15", "00:30", 7, 7),
    )
    recall = application().recall(from_ms, from_ms + 2 * QUARTER)
    asked, told = talk(recall, Response(rows, from_ms + DAY, 200))
    assert asked[0].path.endswith("date=20170502-20170503&res=15m")
    assert [(item.start_ms, item.ins) for item in told if isinstance(item, Crossings)] == [
        (from_ms, 2),
        (from_ms + QUARTER, 1),
    ]


AUTUMN = [row(f"02:{m:02}", f"02:{m + 15:02}", m, 0, "2026-10-25") for m in (0, 15, 30)]


def test_of_two_equal_labels_in_autumn_the_second_is_the_later() -> None:
    last = "2026-10-25 02:45:00,2026-10-25 03:00:00,00408CAC512B,x,45,0"
    first = "2026-10-25 02:45:00,2026-10-25 02:00:00,00408CAC512B,x,45,0"
    response = Response(csv(*AUTUMN, first, *AUTUMN, last), utc("2026-10-25T10:00:00"), 200)
    found = [
        item for item in application().answer(b"GET /x?export-csv", response) if isinstance(item, Crossings)
    ]
    begin = utc("2026-10-25T00:00:00")
    assert [(item.start_ms, item.end_ms) for item in found] == [
        (begin + n * QUARTER, begin + (n + 1) * QUARTER) for n in range(8)
    ]


@pytest.mark.parametrize(
    ("received", "begins"),
    [("2026-10-25T00:20:00", "2026-10-25T00:00:00"), ("2026-10-25T01:20:00", "2026-10-25T01:00:00")],
)
def test_one_label_in_autumn_is_never_read_as_a_time_to_come(received: str, begins: str) -> None:
    response = Response(csv(AUTUMN[0]), utc(received), 200)
    (found,) = application().answer(b"GET /x?export-csv", response)
    assert isinstance(found, Crossings)
    assert found.start_ms == utc(begins)
    assert found.end_ms == utc(begins) + QUARTER


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", [Ignored("empty answer")]),
        (b"<html>Unauthorized</html>", [Damaged(DamageReason.SYNTAX, 25)]),
        (b"a,b,c\n1,2,3\n", [Damaged(DamageReason.SYNTAX, 12)]),
    ],
)
def test_an_answer_that_is_no_statistics_says_so(answer: bytes, expected: list[Item]) -> None:
    response = Response(answer, utc("2026-10-25T10:00:00"), 200)
    assert list(application().answer(b"GET /x?export-csv", response)) == expected


def test_a_row_that_is_cut_off_damages_only_itself() -> None:
    response = Response(csv(row("11:00", "11:15", 3, 41), "2017-05-03 11:1"), utc("2017-05-03T10:00:00"), 200)
    found = application().answer(b"GET /x?export-csv", response)
    assert sorted(type(item).__name__ for item in found) == ["Crossings", "Damaged"]


def test_a_zone_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(ValidationError, match="is not a time zone"):
        TvpcOptions.model_validate({"zone": "Mars/Olympus"})
