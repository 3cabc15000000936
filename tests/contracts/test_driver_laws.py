"""The laws of the driver seam, for every installed family."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any, cast
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.driver import (
    Exchange,
    Kind,
    Request,
    Response,
    family_names,
    load_family,
)
from gateway.model import (
    Damaged,
    Ignored,
)
from tests.families import AT_MS, HELD_BYTES, SAMPLES, assert_sane, hear, opened

families = pytest.mark.parametrize("name", family_names())
examples = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_every_installed_family_is_under_these_laws() -> None:
    assert set(SAMPLES) == set(family_names())


@families
def test_an_intact_telegram_is_read(name: str) -> None:
    family, driver = opened(name)
    items = hear(name, family, driver, SAMPLES[name].telegram)
    assert items
    assert not [item for item in items if isinstance(item, Damaged | Ignored)]
    assert_sane(items)


@families
@given(noise=st.binary(max_size=400))
@examples
def test_never_raises_for_any_bytes(name: str, noise: bytes) -> None:
    family, driver = opened(name)
    assert_sane(hear(name, family, driver, noise))


@families
@given(data=st.data())
@examples
def test_never_raises_for_a_damaged_telegram(name: str, data: st.DataObject) -> None:
    telegram = bytearray(SAMPLES[name].telegram)
    for _ in range(data.draw(st.integers(1, 4))):
        telegram[data.draw(st.integers(0, len(telegram) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(telegram)))
    family, driver = opened(name)
    assert_sane(hear(name, family, driver, bytes(telegram)))
    assert_sane(hear(name, family, driver, bytes(telegram[:cut])))


BAD_BODIES = {
    "nothing": b"",
    "blanks": b" \r\n",
    "not UTF-8": b"\xff\xfe\x00{",
    "nesting bomb of lists": b"[" * 200_000,
    "nesting bomb of objects": b'{"a":' * 100_000,
    "a megabyte of text": b'"' + b"x" * 1_000_000 + b'"',
    "a number without end": b'{"in":' + b"9" * 10_000 + b"}",
    "half a surrogate": b'{"in":1,"sensor":"\\ud800"}',
    "infinity": b'{"in":1e999}',
    "two bodies": b"{}{}",
}


@families
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_known_bad_bodies_end_as_damaged_or_ignored(name: str, body: bytes) -> None:
    family, driver = opened(name)
    items = hear(name, family, driver, body)
    assert all(isinstance(item, Damaged | Ignored) for item in items)


@families
def test_the_next_intact_telegram_is_found_after_garbage(name: str) -> None:
    family, driver = opened(name)
    expected = hear(name, *opened(name), SAMPLES[name].telegram)
    source = random.Random(7)
    for _ in range(50):
        hear(name, family, driver, source.randbytes(source.randrange(200)))
    assert hear(name, family, driver, SAMPLES[name].telegram)[-len(expected) :] == expected


@families
def test_nothing_is_held_however_much_noise_comes(name: str) -> None:
    family, driver = opened(name)
    source = random.Random(8)
    noises = [source.randbytes(300) for _ in range(1000)]
    for noise in noises[:200]:
        hear(name, family, driver, noise)
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for noise in noises:
        hear(name, family, driver, noise)
    grown = sum(stat.size_diff for stat in tracemalloc.take_snapshot().compare_to(before, "filename"))
    tracemalloc.stop()
    assert grown < HELD_BYTES


@families
def test_the_same_items_however_the_bytes_are_cut(name: str) -> None:
    telegram = SAMPLES[name].telegram * 3
    family, driver = opened(name)
    if family.kind is Kind.STREAM:
        whole = hear(name, *opened(name), telegram)
        assert [item for byte in telegram for item in hear(name, family, driver, bytes([byte]))] == whole
    else:  # whole telegrams: none leaves a trace in the next
        first = hear(name, family, driver, SAMPLES[name].telegram)
        assert hear(name, family, driver, SAMPLES[name].telegram) == first


ASKING = [n for n in family_names() if load_family(n).kind is Kind.EXCHANGE]


@pytest.mark.parametrize("name", ASKING)
@given(answers=st.lists(st.none() | st.binary(max_size=40), max_size=60))
@examples
def test_a_poll_ends_whatever_is_answered(name: str, answers: list[bytes | None]) -> None:
    driver = opened(name)[1]
    remaining = iter(answers)
    asks = [cast("Exchange", driver).poll] * 3
    if hasattr(driver, "recall"):
        asks.append(lambda now_ms: driver.recall(now_ms - 86_400_000, now_ms))
    for ask in asks:
        poll = ask(AT_MS)
        try:
            request = next(poll)
            for _step in range(100):
                if isinstance(request, Request):
                    request.end(next(remaining, b"") or b"")
                request = poll.send(Response(next(remaining, None), AT_MS))
        except StopIteration as done:
            assert_sane(done.value or [])
        else:
            pytest.fail("a poll asks without end")


MESSAGES = [n for n in family_names() if load_family(n).kind is Kind.MESSAGES]
IN_XML = [n for n in MESSAGES if n in SAMPLES and SAMPLES[n].telegram.startswith(b"<")]
strange: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.just([])
    | st.just({})
)


def _leaves(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*place, key))]
    if isinstance(value, list) and value:
        return [leaf for at, inner in enumerate(value) for leaf in _leaves(inner, (*place, at))]
    return [place]


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in IN_XML])
@given(data=st.data())
@examples
def test_any_value_anywhere_in_a_body_gives_only_sane_items(name: str, data: st.DataObject) -> None:
    body = json.loads(SAMPLES[name].telegram)
    place = data.draw(st.sampled_from(_leaves(body)))
    inner = body
    for step in place[: (depth := data.draw(st.integers(0, len(place) - 1)))]:
        inner = inner[step]
    inner[place[depth]] = data.draw(strange)
    telegram = json.dumps(body).encode(errors="replace")
    assert_sane(hear(name, *opened(name), telegram))


@pytest.mark.parametrize("name", IN_XML)
@given(data=st.data())
@examples
def test_any_text_anywhere_in_a_body_gives_only_sane_items(name: str, data: st.DataObject) -> None:
    body = ElementTree.fromstring(SAMPLES[name].telegram)
    element = data.draw(st.sampled_from(list(body.iter())))
    text, changed = (
        str(data.draw(strange)),
        data.draw(st.sampled_from(["text", "twice", "gone", *element.attrib])),
    )
    if changed == "twice":
        element.append(ElementTree.fromstring(ElementTree.tostring(element)))
    elif changed == "gone":
        element.clear()
    elif changed == "text":
        element.text = text
    else:
        element.set(changed, text)
    telegram = ElementTree.tostring(body, "unicode").encode(errors="replace")
    assert_sane(hear(name, *opened(name), telegram))
