"""Whoever reads XML: no entity but the five of XML, no document type, nothing outside the body, no bombs."""

from __future__ import annotations

import re
import socket
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.driver import Device, Message, Messages, family_names, load_family
from gateway.model import Damaged, DamageReason, Ignored, Item
from tests.families import AT_MS, SAMPLES

ROOT = Path(__file__).parents[2]
MAPPED = {"format": "xml", "reading": [{"counter": "id", "at": "t", "ins": "n"}]}
BODY = b'<?xml version="1.0"?><d><id>door</id><t>2026-11-23T09:00:00Z</t><n>70</n></d>'
SAMPLES_IN_XML: dict[str, tuple[dict[str, Any], bytes]] = {
    "mapping": (MAPPED, BODY),
    **{name: (one.options, one.telegram) for name, one in SAMPLES.items() if one.telegram.startswith(b"<")},
}
HELD_BYTES = 4 << 20
MOST_BYTES = 64 << 20  # the service may have 256 MB
SLOWEST_S = 2.0

LOL = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
TYPES = {  # what stands in the document type, and the entity that is used
    "an entity": ('<!ENTITY e "7">', "e"),
    "a billion laughs": (f'<!ENTITY l0 "7">{LOL}', "l9"),
    "one long entity a thousand times": (f'<!ENTITY e "{"7" * 100_000}">', "e;" + "&e;" * 1000 + "&e"),
    "an entity that holds itself": ('<!ENTITY e "&e;">', "e"),
    "a file": ('<!ENTITY e SYSTEM "file:///etc/hostname">', "e"),
    "an address": ('<!ENTITY e SYSTEM "http://127.0.0.1:{port}/e">', "e"),
    "a parameter that is a file": ('<!ENTITY % p SYSTEM "file:///etc/hostname">%p;<!ENTITY e "7">', "e"),
    "a parameter that is an address": ('<!ENTITY % p SYSTEM "http://127.0.0.1:{port}/p">%p;', "amp"),
    "a given attribute": ('<!ATTLIST d x CDATA "7">', "amp"),
}


@cache
def driver(name: str) -> Messages:
    """One that has read before: what is loaded at first use is loaded."""
    family = load_family(name)
    opened = cast("Messages", family.open(Device(family.options.model_validate(SAMPLES_IN_XML[name][0]))))
    assert list(opened.decode(Message(SAMPLES_IN_XML[name][1], AT_MS)))
    return opened


def decode(name: str, body: bytes) -> list[Item]:
    return list(driver(name).decode(Message(body, AT_MS)))


def with_type(name: str, inside: str, entity: str, outside: str = "") -> bytes:
    """The intact body with a document type in front, and the entity for each digit of its texts."""
    body = SAMPLES_IN_XML[name][1].decode()
    start = body.index("?>") + 2 if body.startswith("<?xml") else 0
    root = re.search(r"<([\w:.-]+)", body[start:])
    assert root
    rest = re.sub(r">(\d+)<", f">&{entity};<", body[start:])
    assert rest != body[start:] or not re.search(r">\d+<", body)
    return f"{body[:start]}<!DOCTYPE {root[1]} {outside}[{inside}]>{rest}".encode()


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is opened and where is connected to meanwhile."""
    touched: list[str] = []
    on = True

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if on and event in ("open", "socket.connect", "socket.getaddrinfo", "urllib.Request"):
            touched.append(f"{event} {given[0]}")

    sys.addaudithook(hook)
    try:
        yield touched
    finally:
        on = False


def test_every_family_that_reads_xml_is_under_these_laws() -> None:
    """Those whose folder reads XML, however it does that."""
    words = re.compile(r"\b(markup|expat|ElementTree|minidom|lxml)\b")
    readers = {
        path.parent.name
        for path in (ROOT / "drivers").glob("*/*.py")
        if words.search(path.read_text(encoding="utf-8"))
    }
    assert readers == set(SAMPLES_IN_XML) & set(family_names())
    assert {"brickstream", "hikvision", "mapping", "saft"} <= readers


def test_only_one_module_has_a_parser() -> None:
    parsers = re.compile(r"\b(expat|ElementTree|minidom|lxml|sax)\b")
    found = {
        str(path.relative_to(ROOT))
        for room in ("drivers", "gateway")
        for path in (ROOT / room).rglob("*.py")
        if parsers.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"drivers/markup.py"}


@pytest.mark.parametrize("name", SAMPLES_IN_XML)
def test_the_body_itself_is_read(name: str) -> None:
    items = decode(name, SAMPLES_IN_XML[name][1])
    assert items
    assert not any(isinstance(item, Damaged | Ignored) for item in items)


@pytest.mark.parametrize("attack", TYPES)
@pytest.mark.parametrize("name", SAMPLES_IN_XML)
def test_a_document_type_is_refused_at_once_and_nothing_is_fetched(name: str, attack: str) -> None:
    inside, entity = TYPES[attack]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        port = server.getsockname()[1]
        body = with_type(name, inside.replace("{port}", str(port)), entity)
        driver(name)
        tracemalloc.start()
        began = time.thread_time()
        with watched() as touched:
            items = decode(name, body)
        spent_s, (_, peak) = time.thread_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        with pytest.raises(TimeoutError):
            server.accept()
    assert items == [Damaged(DamageReason.SYNTAX, len(body))]
    assert touched == []
    assert peak < HELD_BYTES
    assert spent_s < SLOWEST_S


@pytest.mark.parametrize("outside", ['SYSTEM "file:///etc/hostname" ', 'PUBLIC "x" "http://127.0.0.1:1/x" '])
@pytest.mark.parametrize("name", SAMPLES_IN_XML)
def test_a_document_type_elsewhere_is_not_fetched(name: str, outside: str) -> None:
    body = with_type(name, "", "amp", outside)
    driver(name)
    with watched() as touched:
        assert decode(name, body) == [Damaged(DamageReason.SYNTAX, len(body))]
    assert touched == []


BOMBS = {
    "depth": lambda root, rest: b"<" + root + b">" + b"<a>" * 100_000 + rest,
    "elements": lambda root, rest: b"<" + root + b">" + b"<a/>" * 260_000 + rest,
    "attributes": lambda root, rest: (
        b"<" + root + b" " + b" ".join(b'a%d="1"' % n for n in range(260_000)) + b">" + rest
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("name", ["mapping", "saft"])  # whole, and in passing: there is no third way
def test_a_body_that_is_large_in_one_thing_is_refused_or_passed_over_in_bounded_memory(
    name: str, bomb: str
) -> None:
    """Each is shorter than what a link takes in."""
    root = re.search(rb"<([A-Za-z][\w:.-]*)", SAMPLES_IN_XML[name][1])
    assert root
    body = BOMBS[bomb](root[1], b"</" + root[1] + b">")
    tracemalloc.start()
    items = decode(name, body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(isinstance(item, Damaged | Ignored) for item in items)
    assert peak < MOST_BYTES


@pytest.mark.parametrize("name", SAMPLES_IN_XML)
def test_the_five_entities_of_xml_and_characters_by_number_are_read(name: str) -> None:
    """A seven by its number is still a seven."""
    body = SAMPLES_IN_XML[name][1]
    spelled = re.sub(rb">(\d)(\d*)<", lambda found: b">&#%d;%s<" % (found[1][0], found[2]), body)
    items = decode(name, spelled)
    assert [item for item in items if isinstance(item, Damaged)] == []
    assert len(items) == len(decode(name, body))
