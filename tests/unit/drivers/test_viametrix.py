"""Portals: what is asked for, and what rows mean, from the little that is public."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.viametrix.family import FAMILY, Portal, ViametrixOptions
from gateway.driver import Device, Fetch, Response, Site
from gateway.model import Crossings, Damaged, DamageReason, Ignored, Item

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parents[2] / "vectors/viametrix.json").read_text())["vectors"]
}
NINE = 1_795_424_400_000  # 2026-11-23T09:00:00Z
QUARTER = 900_000
EVERYBODY = {
    "time": {"format": "unix_s", "span_s": 900, "label": "start"},
    "reading": [{"rows": "Counters[*].Rows[*]", "counter": "^.Id", "start": "T", "ins": "In", "outs": "Out"}],
}


def opened(**options: Any) -> Portal:
    driver = FAMILY.open(Device(ViametrixOptions(**options), site=Site("Europe/Oslo")))
    assert isinstance(driver, Portal)
    return driver


def said(name: str, driver: Portal) -> list[Item]:
    vector = VECTORS[name]
    body = json.dumps(vector["payload"]).encode()
    return list(driver.answer(f"GET {vector['path']}".encode(), Response(body, NINE, 200)))


def asked(talk: Any, body: bytes | None = b"[]") -> tuple[Fetch, list[Item]]:
    fetch = next(talk)
    try:
        talk.send(Response(body, NINE, 200 if body is not None else 500))
    except StopIteration as end:
        return fetch, list(end.value)
    pytest.fail("a second question")


def test_quarters_with_their_persons_the_empty_one_too() -> None:
    assert said("quarters", opened(counter="1001")) == [
        Crossings("1001", "main", NINE, NINE + QUARTER, 12, 9),
        Crossings("1001", "main", NINE + QUARTER, NINE + 2 * QUARTER, 0, 0),
    ]


def test_local_time_and_numbers_as_text() -> None:
    driver = opened(counter="1001", interval_s=3600)
    assert said("local-time-numbers-as-text", driver) == [
        Crossings("1001", "main", NINE, NINE + 4 * QUARTER, 7, 0)
    ]


def test_other_names_and_rows_of_other_counters() -> None:
    driver = opened(counter="1002", path="/counts?from={from}&to={to}", mapping=EVERYBODY)
    assert said("all-counters-of-a-client", driver) == [
        Ignored("row of another counter"),
        Crossings("1002", "main", NINE, NINE + QUARTER, 40, 50),
    ]


def test_rows_that_name_nobody_are_of_the_counter_that_was_asked_for() -> None:
    nameless = {**EVERYBODY, "reading": [{"rows": "[*]", "start": "T", "ins": "In", "outs": "Out"}]}
    driver = opened(counter="1002", mapping=nameless)
    body = b'[{"T": 1795424400, "In": 1, "Out": 2}]'
    assert list(driver.answer(b"GET /", Response(body, NINE))) == [
        Crossings("1002", "main", NINE, NINE + QUARTER, 1, 2)
    ]


def test_an_error_page_counts_nobody() -> None:
    assert said("no-such-counter", opened(counter="9")) == [Ignored("no reading of the mapping fits")]
    for body in (b"<html>please log in", b'[{"CounterId'):
        (item,) = opened().answer(b"GET /", Response(body, NINE))
        assert item == Damaged(DamageReason.SYNTAX, len(body))


@pytest.mark.parametrize(
    "row",
    [
        {"I": -1},
        {"I": 10**12},
        {"O": "many"},
        {"Time": "soon"},
        {"Time": "2026-11-31T09:00:00Z"},
        {"I": 1.5},
    ],
    ids=str,
)
def test_a_row_beyond_reason_is_damaged_and_takes_no_neighbour_along(row: dict[str, Any]) -> None:
    sound = {"CounterId": "1", "Time": "2026-11-23T09:00:00Z", "I": 1, "O": 2}
    body = json.dumps([{**sound, **row}, sound]).encode()
    items = list(opened(counter="1").answer(b"GET /", Response(body, NINE)))
    assert items == [
        Damaged(DamageReason.SANITY, len(body)),
        Crossings("1", "main", NINE, NINE + QUARTER, 1, 2),
    ]


def test_a_poll_asks_for_what_is_over_and_may_still_change() -> None:
    fetch, items = asked(opened(counter="10/1", look_back_s=1800).poll(NINE + QUARTER + 1))
    path = "/counters/10%2F1/counts?from=2026-11-23T08%3A45%3A00Z&to=2026-11-23T09%3A15%3A00Z"
    assert (fetch.method, fetch.path) == ("GET", path)
    assert items == [Ignored("no reading of the mapping fits")]


def test_without_looking_back_it_asks_for_one_interval() -> None:
    fetch, _ = asked(opened(counter="1", look_back_s=0, time_format="unix_s").poll(NINE + 5))
    assert fetch.path == "/counters/1/counts?from=1795423500&to=1795424400"


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"time_format": "unix_ms"}, "1795424400000"),
        ({"time_format": "%Y-%m-%d %H:%M"}, "2026-11-23%2010%3A00"),
        ({"time_format": "%Y%m%d%H%M", "zone": "utc"}, "202611230900"),
        ({"time_format": "%H%z", "zone": "America/New_York"}, "04-0500"),
    ],
    ids=str,
)
def test_instants_are_written_as_the_portal_wants_them(options: dict[str, Any], written: str) -> None:
    fetch, _ = asked(opened(path="/x?{from}", **options).recall(NINE, NINE + QUARTER))
    assert fetch.path == f"/x?{written}"


def test_memory_is_asked_for_whole_intervals() -> None:
    fetch, _ = asked(opened(path="/{from}/{to}", time_format="unix_ms").recall(NINE + 1, NINE + QUARTER + 1))
    assert fetch.path == f"/{NINE}/{NINE + 2 * QUARTER}"


def test_no_answer_tells_nothing() -> None:
    assert asked(opened(counter="1").poll(NINE), None)[1] == []


@pytest.mark.parametrize(
    "options",
    [
        {"path": "counts"},
        {"path": "/{counter"},
        {"path": "/{0}"},
        {"path": "/a b"},
        {"path": "/\r\nHost: x"},
        {"time_format": "iso"},
        {"zone": "Oslo"},
        {"interval_s": 1},
        {"mapping": {"reading": [{"inns": "I"}]}},
    ],
    ids=str,
)
def test_options_without_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ViametrixOptions(**options)


def test_what_only_the_whole_can_tell() -> None:
    assert FAMILY.problems(Device(ViametrixOptions())) == ["counter: missing: the path asks for it"]
    named = Device(ViametrixOptions(counter="1", mapping="hours"))
    assert FAMILY.problems(named) == ["mapping: there is no [mapping.hours]"]
