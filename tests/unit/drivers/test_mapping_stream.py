"""Mapped bodies one after the other on a TCP connection."""

from __future__ import annotations

import random
from typing import Any

import pytest

from drivers.mapping.family import FAMILY, Mapped, MappingOptions
from drivers.mapping.stream import PAUSE_MS
from gateway.driver import Device, Side
from gateway.model import Crossings, Damaged, Item

LONGEST = 8000  # bytes of one body, for once
AT_MS = 1_795_424_400_000
JSON = {"reading": [{"ins": "n"}]}
XML = {"format": "xml", "reading": [{"ins": "n", "counter": "@id"}]}
CSV = {"format": "csv", "reading": [{"ins": "n", "counter": "door"}]}


def opened(table: dict[str, Any]) -> Mapped:
    driver = FAMILY.open(Device(MappingOptions(mapping=table), over="tcp"))
    assert isinstance(driver, Mapped)
    return driver


def told(items: list[Item]) -> list[object]:
    """Persons, and how many bytes were damage."""
    return [item.ins if isinstance(item, Crossings) else getattr(item, "bytes", item) for item in items]


def fed(driver: Mapped, *pieces: bytes, at_ms: int = AT_MS) -> list[object]:
    return told([item for piece in pieces for item in driver.feed(piece, at_ms)])


CASES: dict[str, tuple[dict[str, Any], bytes, list[object]]] = {
    "objects without a delimiter": (JSON, b'{"n":1}{"n":2,"x":"}"}{"n":3', [1, 2]),
    "lines, a list, a separator": (
        JSON,
        b'{"n":1}\r\n[{"n":2},{"n":3}]\n\x1e{"n":4}\n,{"n":5}',
        [1, 2, 3, 4, 5],
    ),
    "words before an object": (JSON, b'hello {"n":1}', [5, 1]),
    "an object that is none": (JSON, b'{"n":1,}{"n":2}', [8, 2]),
    "an object that lost its end": (
        JSON,
        b'{"n":1,"d":[{"n":7}{"n":2} {"n":3,\r\n{"n":4}{"d":[3}{"n":5}',
        [19, 2, 9, 4, 8, 5],
    ),
    "a list that lost its end": (JSON, b'[{"n":7}\n[{"n":2}][{"n":3}', [9, 2]),
    "a list within objects": (JSON, b'{"d":[[],{} , [{}] ],"n":1}{"n":2}', [1, 2]),
    "documents with a prolog": (
        XML,
        b'<?xml version="1.0"?><r><n>1</n></r>\n<?xml version="1.0"?>\n<r><n>2</n></r>',
        [1, 2],
    ),
    "documents without, one without content": (
        XML,
        b'<r><n>1</n></r><r id="a>b"/><r id="c>d"><n>3</n></r ><r>',
        [1, "no", 3],
    ),
    "a document cut off": (
        XML,
        b'<r><n>1</n></r><r><n>2</n><?xml version="1.0"?><r><n>3</n></r>',
        [1, 11, 3],
    ),
    "a tag that is none": (XML, b"<r><n>1</n></r><r><n>2</m></r> <r><n>3</n></r>", [1, 15, 3]),
    "a document type": (XML, b'<!DOCTYPE r [<!ENTITY e "1">]><r><n>&e;</n></r><r><n>2</n></r>', [47, 2]),
    "rows under a header": (CSV, b'door,n,note\na,1,\nb,2,"two\nlines"\n\nc,3,x', [1, 2]),
    "a new header": (CSV, b"door,n\na,1\nn,door\r\n2,b\r\n", [1, 2]),
    "cells that are equal": (CSV, b"door,n,note\na,3,3\n0,0,0\n4,4,\n", [3, 0, 4]),
    "a header that names one column twice": (CSV, b"door,n\na,1\ndoor,n,n\nb,2\n", [1, 8, 2]),
    "lines that end in a carriage return": (CSV, b"door,n\ra,1\rb,2\r\nc,3\r", [1, 2, 3]),
    "inches": (CSV, b'door,n,note\na,1,19"\nb,2, "a ""b""\nc"\nc,3,x "y"\n', [1, 2, 3]),
    "a quoted header behind a mark": (CSV, b'\xef\xbb\xbf"door","n"\na,1\n', [1]),
    "a row that is torn": (CSV, b"door,n\na\nb,2\n", [1, 2]),
    "columns without a header": (
        {**CSV, "format": {"csv": {"columns": ["door", "n"]}}},
        b"a,1\nb,2\n",
        [1, 2],
    ),
}


@pytest.mark.parametrize(("table", "stream", "expected"), CASES.values(), ids=CASES.keys())
def test_bodies_are_cut_apart_the_same_however_they_come(
    table: dict[str, Any], stream: bytes, expected: list[object]
) -> None:
    heard = fed(opened(table), stream)
    assert [one if isinstance(one, int) else "no" for one in heard] == expected
    assert fed(opened(table), *(bytes([byte]) for byte in stream)) == heard
    source = random.Random(3)
    for _ in range(20):
        driver, at, found = opened(table), 0, list[object]()
        while at < len(stream):
            step = source.randrange(1, 30)
            found += fed(driver, stream[at : at + step])
            at += step
        assert found == heard


WHOLE = [(JSON, b'{"n":2}'), (XML, b"<r><n>2</n></r>"), (CSV, b"b,2\n")]
wholes = pytest.mark.parametrize(("table", "body"), WHOLE, ids=["json", "xml", "csv"])


def begun(table: dict[str, Any], body: bytes) -> Mapped:
    """A device that was understood before."""
    driver = opened(table)
    fed(driver, b"door,n\n" if table is CSV else body)
    return driver


@wholes
def test_half_a_body_that_nobody_goes_on_with_is_damage(table: dict[str, Any], body: bytes) -> None:
    driver = begun(table, body)
    assert fed(driver, body[:2]) == []
    assert fed(driver, body, at_ms=AT_MS + PAUSE_MS + 1) == [2, 2]


@wholes
def test_the_half_of_a_lost_connection_spoils_nothing(table: dict[str, Any], body: bytes) -> None:
    driver = begun(table, body)
    fed(driver, body[:2])
    driver.reopened(Side.DEVICE)
    assert fed(driver, body) == [2]


@pytest.mark.parametrize(
    "endless", [b"x", b"<", b"<a", b"<a>", b'"', b"{", b'<a b="', b"<!--", b"[", b"<a/>"]
)
@pytest.mark.parametrize("table", [JSON, XML, CSV], ids=["json", "xml", "csv"])
def test_what_never_ends_is_not_held(
    monkeypatch: pytest.MonkeyPatch, table: dict[str, Any], endless: bytes
) -> None:
    monkeypatch.setattr("drivers.objects.LONGEST", LONGEST)
    monkeypatch.setattr("drivers.markup.LONGEST", LONGEST)
    monkeypatch.setattr("drivers.mapping.stream.LONGEST_ROW", LONGEST)
    driver, items = opened(table), list[Item]()
    for _ in range(60):
        items += driver.feed(endless * 200, AT_MS)
        assert driver._bodies._cutter.pending < LONGEST + 5000
    assert [item for item in items if isinstance(item, Damaged)] or endless == b"<a/>"
