"""Times of a mapping: notations, spans, labels, inclusive ends and the repeated autumn hour."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from drivers.mapping.family import FAMILY
from gateway.driver import Device, Message, Messages, Site
from gateway.model import Crossings, Damaged, Item, Transactions

NINE = 1_795_424_400_000  # 2026-11-23T09:00:00Z
MINUTE, QUARTER, HOUR = 60_000, 900_000, 3_600_000
AUTUMN = 1_792_886_400_000  # 2026-10-25T00:00:00Z, 02:00 in Oslo, one hour before the clocks go back


def spans(time: dict[str, Any], body: Any, at_ms: int = NINE, **keys: str) -> list[Any]:
    table = {"time": time, "reading": [{"ins": "=1", "line": "line", **keys}]}
    device = Device(FAMILY.options.model_validate(table), site=Site("Europe/Oslo"))
    message = Message(json.dumps(body).encode(), at_ms)
    return [_span(item) for item in cast("Messages", FAMILY.open(device)).decode(message)]


def _span(item: Item) -> Any:
    if isinstance(item, Crossings | Transactions):
        return item.start_ms, item.end_ms
    return type(item)


@pytest.mark.parametrize(
    ("notation", "value"),
    [
        ("rfc3339", "2026-11-23T09:00:00Z"),
        ("rfc3339", "2026-11-23t09:00:00.000z"),
        ("rfc3339", "2026-11-23T10:00:00+01:00"),
        ("rfc3339", "2026-11-23 10:00:00"),
        ("unix_s", NINE // 1000),
        ("unix_s", str(NINE // 1000)),
        ("unix_s", NINE / 1000),
        ("unix_ms", NINE),
        ("%Y%m%d%H%M%S", "20261123100000"),
        ("%Y%m%d%H%M%S", 20261123100000),
        ("%Y/%m/%d %H:%M:%S", "2026/11/23 10:00:00"),
        ("%d.%m.%Y %H:%M %z", "23.11.2026 11:00 +0200"),
    ],
)
def test_every_notation_is_the_same_instant(notation: str, value: object) -> None:
    assert spans({"format": notation}, {"t": value}, at="t") == [(NINE, NINE + 1)]


@pytest.mark.parametrize("value", ["", None])
def test_an_absent_time_is_the_receipts_affair(value: object) -> None:
    assert spans({}, {"t": value}, at="t") == [(None, None)]
    assert spans({}, {"t": value}, start="t", end="u") == [(None, None)]


@pytest.mark.parametrize(
    ("notation", "value"),
    [
        ("rfc3339", "yesterday"),
        ("rfc3339", "2026-11-23"),
        ("rfc3339", "0001-01-01T00:00:00+14:00"),
        ("rfc3339", 17),
        ("unix_s", -5),
        ("unix_s", 1e30),
        ("unix_ms", "now"),
        ("unix_ms", True),
        ("%Y%m%d", "20261399"),
        ("%H:%M", []),
    ],
)
def test_a_time_that_is_none_is_damage(notation: str, value: object) -> None:
    assert spans({"format": notation}, {"t": value}, at="t") == [Damaged]


@pytest.mark.parametrize(
    ("time", "keys", "expected"),
    [
        ({"span_s": 900}, {"end": "t"}, (NINE - QUARTER, NINE)),
        ({"span_s": 900}, {"start": "t"}, (NINE, NINE + QUARTER)),
        ({"span_s": 900}, {"at": "t"}, (NINE - QUARTER, NINE)),
        ({"span_s": 900, "label": "start"}, {"at": "t"}, (NINE, NINE + QUARTER)),
        ({"span_s": 900, "label": "end"}, {"at": "t"}, (NINE - QUARTER, NINE)),
        ({"span_s": 0.5}, {"start": "t"}, (NINE, NINE + 500)),
    ],
)
def test_one_stamp_and_a_span_make_an_interval(time: Any, keys: Any, expected: tuple[int, int]) -> None:
    assert spans(time, {"t": "2026-11-23T09:00:00Z"}, **keys) == [expected]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"d": "23.11.2026", "k": "10:00"}, (NINE, NINE + QUARTER)),
        ({"d": "23.11.2026"}, Damaged),
        ({"d": 23, "k": []}, Damaged),
        ({"d": "", "k": None}, (None, None)),
    ],
)
def test_a_date_and_a_time_of_day_that_stand_apart_are_one_time(body: Any, expected: object) -> None:
    assert spans({"format": "%d.%m.%Y %H:%M", "span_s": 900}, body, start=["d", "k"]) == [expected]


@pytest.mark.parametrize(
    ("date", "begun", "end", "length_ms"),
    [
        ("23.11.2026", "23:45", "00:00", QUARTER),
        ("23.11.2026", "23:45", "24:00", QUARTER),
        ("23.11.2026", "22:00", "23:00", HOUR),
        ("25.10.2026", "00:00", "00:00", 25 * HOUR),
        ("29.03.2026", "00:00", "24:00", 23 * HOUR),
        ("25.10.2026", "02:45", "02:00", QUARTER),  # the clocks went back, no day went by
    ],
)
def test_an_end_told_by_the_date_of_its_start_is_after_it(
    date: str, begun: str, end: str, length_ms: int
) -> None:
    body = {"d": date, "f": begun, "t": end}
    keys: Any = {"start": ["d", "f"], "end": ["d", "t"]}
    time = {"format": "%d.%m.%Y %H:%M"}
    ((start_ms, end_ms),) = spans(time, body, at_ms=AUTUMN + 5 * HOUR, **keys)
    assert end_ms - start_ms == length_ms


def test_24_00_is_midnight_in_every_notation() -> None:
    for time, told in (({}, "2026-11-22 24:00"), ({"format": "%d.%m.%Y %H:%M:%S"}, "22.11.2026 24:00:00")):
        assert spans(time, {"t": told}, at="t") == [(NINE - 10 * HOUR, NINE - 10 * HOUR + 1)]
    assert spans({}, {"t": "2026-11-22T10:24:00Z"}, at="t") == [
        (NINE - 22 * HOUR - 36 * MINUTE, NINE - 22 * HOUR - 36 * MINUTE + 1)
    ]


def test_half_an_interval_or_an_impossible_one_is_damage() -> None:
    nine, ten = "2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z"
    for body in ({"s": nine}, {"e": nine}, {"s": ten, "e": nine}, {"s": nine, "e": nine}):
        assert spans({}, body, start="s", end="e") == [Damaged]
    for begun in ("2026-11-22T07:59:59Z", "2026-01-01T00:00:00Z"):  # longer than any day
        assert spans({}, {"s": begun, "e": nine}, start="s", end="e") == [Damaged]
    assert spans({}, {"s": "2026-11-22T08:00:00Z", "e": nine}, start="s", end="e") == [
        (NINE - 25 * HOUR, NINE)
    ]
    week = 7 * 24 * HOUR
    assert spans({"span_s": week // 1000}, {"t": nine}, end="t") == [(NINE - week, NINE)]


@pytest.mark.parametrize(
    ("notation", "end"),
    [
        ("rfc3339", "2026-11-23T09:59:59Z"),
        ("rfc3339", "2026-11-23T09:59:59.999Z"),
        ("unix_s", NINE // 1000 + 3599),
        ("unix_ms", NINE + HOUR - 1),
        ("%Y-%m-%d %H:%M", "2026-11-23 10:59"),
    ],
)
def test_inclusive_ends_become_exclusive(notation: str, end: object) -> None:
    starts = {"rfc3339": "2026-11-23T09:00:00Z", "unix_s": NINE // 1000, "unix_ms": NINE}
    start = starts.get(notation, "2026-11-23 10:00")
    found = spans({"format": notation, "end": "inclusive"}, {"s": start, "e": end}, start="s", end="e")
    assert found == [(NINE, NINE + HOUR)]


@pytest.mark.parametrize(
    ("notation", "first", "last", "hours"),
    [
        ("%Y-%m-%d %H", "2026-11-23 10", "2026-11-23 11", 2),
        ("%d.%m.%Y", "23.11.2026", "23.11.2026", 24),
        ("%d.%m.%Y", "29.03.2026", "29.03.2026", 23),
        ("%d.%m.%Y", "25.10.2026", "25.10.2026", 25),
    ],
)
def test_an_inclusive_end_without_minutes_or_hours_is_over_with_them(
    notation: str, first: str, last: str, hours: int
) -> None:
    ((start_ms, end_ms),) = spans(
        {"format": notation, "end": "inclusive"}, {"s": first, "e": last}, start="s", end="e"
    )
    assert end_ms - start_ms == hours * HOUR


LOCAL = {"format": "%Y-%m-%d %H:%M", "span_s": 900, "label": "start"}


def test_a_lone_stamp_of_the_autumn_hour_is_the_one_nearest_receipt() -> None:
    body = {"t": "2026-10-25 02:15"}
    first, second = AUTUMN + QUARTER, AUTUMN + HOUR + QUARTER
    assert spans(LOCAL, body, at_ms=first + MINUTE, at="t") == [(first, first + QUARTER)]
    assert spans(LOCAL, body, at_ms=second + MINUTE, at="t") == [(second, second + QUARTER)]


def test_a_lone_stamp_of_the_autumn_hour_is_never_still_to_come() -> None:
    """A row 40 minutes old is nearer to the stamp's second meaning, which nobody can have counted yet."""
    first = AUTUMN + QUARTER
    assert spans(LOCAL, {"t": "2026-10-25 02:15"}, at_ms=first + 40 * MINUTE, at="t") == [
        (first, first + QUARTER)
    ]


@pytest.mark.parametrize(("after", "begins"), [(HOUR, 0), (2 * HOUR, HOUR)])
def test_an_hour_of_autumn_is_told_when_it_is_over(after: int, begins: int) -> None:
    """The stamp of its start comes an hour later, when the same stamp stands on the clock again."""
    time = {**LOCAL, "span_s": 3600}
    found = spans(time, {"t": "2026-10-25 02:00"}, at_ms=AUTUMN + after + 5_000, at="t")
    assert found == [(AUTUMN + begins, AUTUMN + begins + HOUR)]


def test_of_two_equal_stamps_of_the_autumn_hour_the_second_is_the_later() -> None:
    stamps = ["01:45", "02:00", "02:15", "02:30", "02:45", "02:00", "02:15", "02:30", "02:45", "03:00"]
    body = [{"t": f"2026-10-25 {stamp}"} for stamp in stamps]
    found = spans(LOCAL, body, at_ms=AUTUMN + 9 * HOUR, at="t")
    first = AUTUMN - QUARTER
    assert [start for start, _ in found] == [first + QUARTER * number for number in range(10)]


def test_two_lines_do_not_share_the_autumn_hour() -> None:
    body = [{"t": "2026-10-25 02:15", "line": name} for name in ("a", "b")]
    found = spans(LOCAL, body, at_ms=AUTUMN + QUARTER, at="t")
    assert [start for start, _ in found] == [AUTUMN + QUARTER] * 2


def test_several_kinds_of_one_row_are_not_two_stamps() -> None:
    reading = {"ins": "=1", "total_in": "=5", "persons": "=2", "at": "t"}
    table = {"time": {"format": "%Y-%m-%d %H:%M"}, "reading": [reading, reading]}
    device = Device(FAMILY.options.model_validate(table), site=Site("Europe/Oslo"))
    message = Message(b'{"t":"2026-10-25 02:15"}', AUTUMN + 2 * HOUR)
    items = cast("Messages", FAMILY.open(device)).decode(message)
    instants = {getattr(item, "at_ms", None) or getattr(item, "start_ms", None) for item in items}
    assert instants == {AUTUMN + HOUR + QUARTER}


def test_an_interval_over_the_change_keeps_its_length_when_it_comes_late() -> None:
    time = {"format": "%Y-%m-%d %H:%M"}
    body = {"s": "2026-10-25 02:45", "e": "2026-10-25 02:00"}
    found = spans(time, body, at_ms=AUTUMN + 5 * HOUR, start="s", end="e")
    assert found == [(AUTUMN + HOUR - QUARTER, AUTUMN + HOUR)]


def test_the_hour_that_spring_skips_is_still_an_instant() -> None:
    assert spans({"format": "%Y-%m-%d %H:%M"}, {"t": "2026-03-29 02:30"}, at="t") == [
        (1_774_747_800_000, 1_774_747_800_001)  # 01:30Z, as if the clocks had not moved
    ]


def test_a_zone_of_its_own_and_utc() -> None:
    body = {"t": "2026-11-23 09:00"}
    assert spans({"format": "%Y-%m-%d %H:%M", "zone": "utc"}, body, at="t") == [(NINE, NINE + 1)]
    assert spans({"format": "%Y-%m-%d %H:%M", "zone": "Europe/Helsinki"}, body, at="t") == [
        (NINE - 2 * HOUR, NINE - 2 * HOUR + 1)
    ]


def test_a_growing_interval_says_so() -> None:
    table = {"time": {"growing": True}, "reading": [{"ins": "i", "start": "s", "end": "e"}]}
    body = {"i": 1, "s": "2026-11-23T09:00:00Z", "e": "2026-11-23T09:10:00Z"}
    driver = cast("Messages", FAMILY.open(Device(FAMILY.options.model_validate(table))))
    (item,) = driver.decode(Message(json.dumps(body).encode(), NINE))
    assert isinstance(item, Crossings)
    assert item.growing
