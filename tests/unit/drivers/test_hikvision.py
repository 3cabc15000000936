"""Hikvision alerts: windows and running totals under the same tags, wrong offsets, what is no count."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drivers.hikvision.family import FAMILY, Hikvision, HikvisionLine, HikvisionOptions
from gateway.driver import Device, Fetch, Message, Response, Site
from gateway.model import Crossings, Damaged, DamageReason, Ignored, Item, Register

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads(
        (Path(__file__).parents[2] / "vectors" / "hikvision_isapi_xml.json").read_text(encoding="utf-8")
    )["vectors"]
}
MAC = "24:28:fd:f3:3a:11"
HOUR = 3_600_000
WINDOW = VECTORS["psia-timerange-15min"]["body"]
RUNNING = VECTORS["psia-realtime"]["body"]


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def camera(site: str = "Europe/Oslo", lines: Any = (), **options: Any) -> Hikvision:
    driver = FAMILY.open(Device(HikvisionOptions(**options), dict(lines), Site(site)))
    assert isinstance(driver, Hikvision)
    return driver


def decode(body: str, at: str = "2026-11-23T12:00:00", **options: Any) -> list[Item]:
    return list(camera(**options).decode(Message(body.encode(), utc(at))))


def window(start: str, end: str) -> str:
    return (
        f"<EventNotificationAlert><macAddress>{MAC}</macAddress><eventType>PeopleCounting</eventType>"
        f"<peopleCounting><statisticalMethods>timeRange</statisticalMethods><TimeRange><startTime>{start}"
        f"</startTime><endTime>{end}</endTime></TimeRange><enter>3</enter><exit>4</exit></peopleCounting>"
        "</EventNotificationAlert>"
    )


def span(items: list[Item]) -> tuple[int | None, int | None]:
    (item,) = items
    assert isinstance(item, Crossings)
    return item.start_ms, item.end_ms


def test_a_running_total_is_a_total_and_childrens_are_not_taken_for_it() -> None:
    at_ms = utc("2020-07-09T04:07:07")
    assert decode(RUNNING) == [Register("84:9a:40:ec:f1:6d", "1", at_ms, 70, 75)]


def test_a_window_is_a_delta() -> None:
    start, end = utc("2021-10-12T11:00:00"), utc("2021-10-12T11:15:00")
    assert decode(WINDOW) == [Crossings(MAC, "1", start, end, 0, 1)]


def test_newer_firmware_in_another_namespace_without_a_region() -> None:
    at_ms = utc("2024-07-08T04:27:24")
    body = VECTORS["isapi20-realtime-retransmission-flag"]["body"]
    assert decode(body) == [Register("3c:1b:f8:c1:3a:6d", "1", at_ms, 15, 14)]


def test_the_third_namespace_and_a_prefix_change_nothing() -> None:
    body = WINDOW.replace("urn:psialliance-org", "http://www.hikvision.com/ver20/XMLSchema")
    prefixed = window("2021-10-12T19:00:00+08:00", "2021-10-12T19:15:00+08:00").replace("</", "</i:")
    prefixed = prefixed.replace("<", "<i:").replace("<i:/i:", "</i:")
    prefixed = prefixed.replace("<i:EventNotificationAlert", '<i:EventNotificationAlert xmlns:i="urn:x"', 1)
    assert span(decode(body)) == span(decode(prefixed)) == span(decode(WINDOW))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-08-12T11:45:00-5:00", "2026-08-12T12:00:00-5:00"),
        ("2026-08-12T11:45:00-0500", "2026-08-12T12:00:00-0500"),
        ("2026-08-12T16:45:00Z", "2026-08-12T17:00:00Z"),
        ("2026-08-12T16:45:00.000Z", "2026-08-12T16:59:59Z"),
        ("2026-08-12T18:45:00", "2026-08-12T19:00:00"),
    ],
    ids=["no leading nought", "no colon", "UTC", "fraction and inclusive end", "no offset: the site's zone"],
)
def test_offsets_as_cameras_write_them(start: str, end: str) -> None:
    assert span(decode(window(start, end))) == (utc("2026-08-12T16:45:00"), utc("2026-08-12T17:00:00"))


def test_an_offset_that_is_not_believed() -> None:
    body = window("2026-08-12T11:45:00-5:00", "2026-08-12T12:00:00-5:00")
    told = decode(body, trust="wall", zone="Europe/Helsinki")
    assert span(told) == (utc("2026-08-12T08:45:00"), utc("2026-08-12T09:00:00"))


def test_a_wall_clock_in_the_hour_that_autumn_repeats() -> None:
    body = window("2026-10-25T02:45:00+08:00", "2026-10-25T03:00:00+08:00")
    first = decode(body, at="2026-10-25T01:00:05", trust="wall")
    assert span(first) == (utc("2026-10-25T00:45:00"), utc("2026-10-25T01:00:00"))
    second = decode(body, at="2026-10-25T02:00:05", trust="wall")
    assert span(second) == (utc("2026-10-25T01:45:00"), utc("2026-10-25T02:00:00"))


def test_several_regions_in_one_alert_are_lines_of_their_own() -> None:
    first = RUNNING[RUNNING.index("<peopleCounting>") : RUNNING.index("<childCounting>")]
    second = first.replace("<regionsID>1<", "<regionsID>2<").replace("<enter>70<", "<enter>8<")
    told = decode(RUNNING.replace(first, first + second))
    assert [(item.line, item.total_in) for item in told if isinstance(item, Register)] == [
        ("1", 70),
        ("1/2", 8),
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (RUNNING.replace("PeopleCounting", "videoloss"), "heartbeat"),
        (RUNNING.replace("PeopleCounting", "linedetection"), "event of another kind"),
        (
            RUNNING.replace("<enter>", "<in>").replace("</enter>", "</in>").replace("exit>", "out>"),
            "no counts",
        ),
        (
            "<EventNotificationAlert><eventType>PeopleCounting</eventType></EventNotificationAlert>",
            "no counts",
        ),
        ("  ", "empty message"),
    ],
)
def test_what_is_no_count_is_ignored_with_its_reason(body: str, reason: str) -> None:
    assert decode(body) == [Ignored(reason)]


@pytest.mark.parametrize(
    "body",
    [
        window("2026-08-12T12:00:00Z", "2026-08-12T11:45:00Z"),
        window("2026-08-12T12:00:00Z", "2026-08-14T12:00:00Z"),
        window("2026-08-12T12:00:00+95:00", "2026-08-12T12:15:00+95:00"),
        window("", ""),
        WINDOW.replace("<enter>0</enter>\r\n<exit>1", "<enter>0</enter><enter>5</enter>\r\n<exit>1"),
        WINDOW.replace("<exit>1<", "<exit>-1<"),
        RUNNING.replace("<statisticalMethods>realTime", "<statisticalMethods>monthly"),
        WINDOW.replace("<statisticalMethods>timeRange</statisticalMethods>", "").replace("TimeRange", "Span"),
    ],
    ids=[
        "backwards",
        "two days",
        "no such offset",
        "no time",
        "enter twice",
        "negative",
        "unknown",
        "neither",
    ],
)
def test_what_could_invent_people_is_damage(body: str) -> None:
    assert decode(body) == [Damaged(DamageReason.SANITY, len(body))]


def test_the_method_may_be_missing_where_the_element_tells() -> None:
    bare = RUNNING.replace("<statisticalMethods>realTime</statisticalMethods>", "")
    assert [type(item) for item in decode(bare)] == [Register]
    bare = WINDOW.replace("<statisticalMethods>timeRange</statisticalMethods>", "")
    assert [type(item) for item in decode(bare)] == [Crossings]


def test_a_document_type_is_refused() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY e "70">]>' + RUNNING.partition("?>")[2].replace(">70<", ">&e;<")
    assert decode(bomb) == [Damaged(DamageReason.SYNTAX, len(bomb))]


def test_lines_are_named_by_channel_and_region() -> None:
    lines = {
        "left": HikvisionLine.model_validate({"channel": 1}),
        "right": HikvisionLine.model_validate({"region": 2}),
        "yard": HikvisionLine.model_validate({"channel": 3, "region": 2}),
    }
    match = FAMILY.match(Device(HikvisionOptions.model_validate({"serial": "24-28-FD-F3-3A-11"}), lines))
    assert match.counter == MAC
    assert match.lines == {"1": "left", "1/2": "right", "3/2": "yard"}


SEARCHED = VECTORS["counting-search"]["body"].encode()


def recalled(
    driver: Hikvision, from_ms: int, to_ms: int, *answers: Response
) -> tuple[list[Fetch], list[Item]]:
    talk, remaining = driver.recall(from_ms, to_ms), list(answers)
    asked = [next(talk)]
    try:
        while True:
            asked.append(talk.send(remaining.pop(0)))
    except StopIteration as end:
        assert not remaining
        return asked, list(end.value)


def test_hours_that_touch_a_gap_are_searched_for() -> None:
    begin = utc("2017-01-29T23:00:00")
    asked, told = recalled(
        camera(serial=MAC),
        begin + HOUR // 2,
        begin + 2 * HOUR - 60_000,
        Response(SEARCHED, begin + 20 * HOUR, 200),
    )
    assert [fetch.line for fetch in asked] == [b"POST /ISAPI/System/Video/inputs/channels/1/counting/search"]
    assert b"<startTime>2017-01-30T00:00:00</startTime>" in (asked[0].body or b"")
    assert told == [
        Crossings(MAC, "1", begin, begin + HOUR, 4, 1),
        Crossings(MAC, "1", begin + HOUR, begin + 2 * HOUR, 7, 2),
    ]


def test_an_hour_that_is_not_over_is_left_to_itself_and_silence_tells_nothing() -> None:
    begin = utc("2017-01-29T23:00:00")
    _, told = recalled(camera(), begin, begin + 3 * HOUR, Response(SEARCHED, begin + 2 * HOUR + 60_000, 200))
    assert [item.start_ms for item in told if isinstance(item, Crossings)] == [begin, begin + HOUR]
    silent = [Response(None, begin + 30 * HOUR)] * 2
    assert len(recalled(camera(), begin, begin + 25 * HOUR, *silent)[0]) == 2


def searched(*hours: tuple[str, str, int]) -> bytes:
    rows = "".join(
        f"<matchElement><timeSpan><startTime>{start}</startTime><endTime>{end}</endTime></timeSpan>"
        f"<enterCount>{ins}</enterCount><exitCount>0</exitCount></matchElement>"
        for start, end, ins in hours
    )
    return f"<CountingStatisticsResult><matchList>{rows}</matchList></CountingStatisticsResult>".encode()


def test_of_two_equal_hours_in_autumn_the_second_is_the_later() -> None:
    body = searched(
        ("2026-10-25T01:00:00", "2026-10-25T01:59:59", 1),
        ("2026-10-25T02:00:00", "2026-10-25T02:59:59", 2),
        ("2026-10-25T02:00:00", "2026-10-25T02:59:59", 3),
        ("2026-10-25T03:00:00", "2026-10-25T03:59:59", 4),
    )
    begin = utc("2026-10-24T23:00:00")
    _, told = recalled(camera(), begin, begin + 4 * HOUR, Response(body, begin + 20 * HOUR, 200))
    spans = [(item.start_ms, item.end_ms, item.ins) for item in told if isinstance(item, Crossings)]
    assert spans == [(begin + n * HOUR, begin + (n + 1) * HOUR, n + 1) for n in range(4)]


def test_a_gap_waits_for_the_end_of_its_last_local_hour() -> None:
    at = utc("2026-07-01T10:40:00")
    assert camera().told_at(at) == utc("2026-07-01T11:00:00")
    assert camera("Asia/Kolkata").told_at(at) == utc("2026-07-01T11:30:00")
    assert camera().told_at(utc("2026-07-01T11:00:00")) == utc("2026-07-01T11:00:00")
