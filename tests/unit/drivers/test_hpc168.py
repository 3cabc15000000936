"""HPC168: the frames of the sources, what can be asked, and what answers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.hpc168 import codec
from drivers.hpc168.codec import Ask, Counts, Door, Question
from drivers.hpc168.family import FAMILY, HpcOptions
from gateway.driver import Device, Exchange, LineOptions, Request, Response
from gateway.model import Damaged, DamageReason, Ignored, Item, Register, Status
from simulators.hpc168 import Counter

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parents[2] / "vectors/serial-hpc168.json").read_text())[
        "vectors"
    ]
}
FRAMES = {name: bytes.fromhex(vector["hex"]) for name, vector in VECTORS.items()}
QUERY, DOOR = FRAMES["query-0001"], FRAMES["door-0001"]
REPLY = FRAMES["reply-300-287"]
COUNTS = Question(Ask.COUNTS, "0001")


def opened(**options: Any) -> Exchange:
    driver = FAMILY.open(Device(HpcOptions(**options)))
    assert hasattr(driver, "poll")
    return driver


def poll(driver: Exchange, answers: Mapping[bytes, bytes | None]) -> tuple[list[Request], list[Item]]:
    """One poll against a table of answers: what was asked, and the items."""
    asked: list[Request] = []
    talk = driver.poll(0)
    try:
        asked.append(next(talk))
        while True:
            asked.append(talk.send(Response(answers.get(asked[-1].payload), 0)))
    except StopIteration as end:
        return asked, list(end.value)


def heard(reply: bytes, **options: Any) -> list[Item]:
    return poll(opened(**options), {QUERY: reply})[1]


@pytest.mark.parametrize(
    "name", [name for name, vector in VECTORS.items() if "count_in" in vector["decoded"]]
)
def test_counts_as_in_the_sources(name: str) -> None:
    told = VECTORS[name]["decoded"]
    assert codec.read_reply(None, FRAMES[name]) == Counts(told["id"], told["count_in"], told["count_out"])


@pytest.mark.parametrize(("name", "is_open"), [("door-open", True), ("door-closed", False)])
def test_doors_as_in_the_sources(name: str, is_open: bool) -> None:
    assert codec.read_reply(Question(Ask.DOOR, "0001"), FRAMES[name]) == Door("0001", is_open)


def test_the_simulated_counter_speaks_as_in_the_sources() -> None:
    counter = Counter("0001", [300, 287])
    asked = FRAMES["reply-largest-other-id"] + QUERY + DOOR[:5]
    assert [*counter.hear(asked), *counter.hear(DOOR[5:])] == [REPLY, FRAMES["door-open"]]
    assert counter.hear(FRAMES["reset-0001"]) == [FRAMES["reset-ack"]]
    assert counter.written == [b"12"]


def test_questions_as_in_the_sources() -> None:
    assert codec.build(COUNTS) == QUERY
    assert codec.build(Question(Ask.DOOR, "0001")) == DOOR
    assert codec.read_question(QUERY) == COUNTS


@given(st.integers(0, 9999))
def test_nothing_that_changes_a_counter_can_be_built(number: int) -> None:
    commands = {codec.build(Question(ask, f"{number:04d}"))[5:7] for ask in Ask}
    assert commands == {b"13", b"66"}
    with pytest.raises(ValueError, match="not a valid"):
        codec.build(Question(0x12, f"{number:04d}"))  # type: ignore[arg-type]
    assert codec.read_question(FRAMES["reset-0001"]) is None


@pytest.mark.parametrize("address", ["", "1", "00011", "00A1", "0 01", "\u0660001"])
def test_what_is_no_address_cannot_be_asked(address: str) -> None:
    with pytest.raises(ValueError, match="no such question"):
        codec.build(Question(Ask.COUNTS, address))
    with pytest.raises(ValidationError):
        HpcOptions(address=address)


def test_a_poll_gives_one_register_that_knows_its_width() -> None:
    asked, items = poll(opened(), {QUERY: REPLY})
    assert [request.payload for request in asked] == [QUERY]
    register = Register("0001", "main", None, 300, 287, epoch="0001", modulus=1 << 32)
    assert items == [register]


def test_silence_says_nothing() -> None:
    assert poll(opened(door=True), {})[1] == []
    assert list(opened().answer(QUERY, Response(None, 0))) == []


@pytest.mark.parametrize("stray", [b"\x00", b"\xff", b"0", b"\x03", b"\x02", b"\x02000193", REPLY[:20]])
def test_stray_bytes_before_an_answer_do_not_matter(stray: bytes) -> None:
    (item,) = heard(stray + REPLY)
    assert isinstance(item, Register)
    assert item.total_in == 300


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"", DamageReason.SYNTAX),
        (b"\x02", DamageReason.LENGTH),
        (REPLY[:-1], DamageReason.LENGTH),
        (b"\x02\x03", DamageReason.SYNTAX),
        (REPLY[:20] + b"\x03", DamageReason.SYNTAX),
        (REPLY[:21] + b"\x03", DamageReason.LENGTH),
        (REPLY[:16] + b"4" + REPLY[17:], DamageReason.CHECKSUM),
        (REPLY[:16] + b"G" + REPLY[17:], DamageReason.SYNTAX),
        (b"\x0200019308" + b"0" * 16 + b"9C\x03", DamageReason.LENGTH),  # intact, but no two counts of 32 bit
    ],
)
def test_damage_is_told_with_its_reason(reply: bytes, reason: DamageReason) -> None:
    (item,) = heard(reply)
    assert isinstance(item, Damaged)
    assert item.reason is reason


@pytest.mark.parametrize(
    "other", [QUERY, FRAMES["reply-largest-other-id"], FRAMES["door-open"], FRAMES["reset-ack"]]
)
def test_intact_frames_of_others_are_waited_past(other: bytes) -> None:
    assert heard(other) == [Ignored("answer to something else")]
    assert not codec.whole(COUNTS, other)
    assert codec.whole(COUNTS, other + REPLY)
    (item,) = heard(other + REPLY + other)
    assert isinstance(item, Register)


def test_an_answer_ends_with_its_frame_and_noise_ends_the_wait_too() -> None:
    assert [end for end in range(len(REPLY) + 1) if codec.whole(COUNTS, REPLY[:end])] == [len(REPLY)]
    assert codec.whole(COUNTS, REPLY[:20] + b"\x03")
    assert codec.whole(COUNTS, b"x" * codec.MAX_RECEIVED_BYTES)


def test_a_short_answer_leaves_no_trace_in_the_next() -> None:
    driver = opened()
    first = poll(driver, {QUERY: REPLY[:30]})[1]
    assert isinstance(first[0], Damaged)
    (item,) = poll(driver, {QUERY: REPLY})[1]
    assert isinstance(item, Register)


def test_a_reset_by_another_master_is_passed_on_as_it_is() -> None:
    driver, zero = opened(), FRAMES["reply-above-65535"]
    totals = [poll(driver, {QUERY: reply})[1][0] for reply in (zero, REPLY)]
    assert [item.total_in for item in totals if isinstance(item, Register)] == [65537, 300]


def test_the_door_is_asked_only_where_wanted_and_told_when_it_changes() -> None:
    driver = opened(door=True)
    told = []
    for door in ("door-open", "door-open", "door-closed", "door-closed", "door-open"):
        asked, items = poll(driver, {QUERY: REPLY, DOOR: FRAMES[door]})
        assert [request.payload for request in asked] == [QUERY, DOOR]
        told.append([item.detail for item in items if isinstance(item, Status)])
    assert told == [["door open"], [], ["door closed"], [], ["door open"]]


def test_a_transcript_names_the_counter_that_was_asked() -> None:
    other = codec.build(Question(Ask.COUNTS, "0042"))
    (item,) = opened().answer(other, Response(FRAMES["reply-largest-other-id"], 0))
    assert isinstance(item, Register)
    assert (item.counter, item.total_in) == ("0042", 0xFFFF_FFFF)
    assert list(opened().answer(other, Response(REPLY, 0))) == [Ignored("answer to something else")]
    assert list(opened().answer(FRAMES["reset-0001"], Response(REPLY, 0))) == [
        Ignored("not a question of ours")
    ]


def test_it_has_one_line() -> None:
    two = Device(HpcOptions(), {"a": LineOptions(), "b": LineOptions()})
    assert FAMILY.problems(two) == ("lines: this counter has one line",)
    one = Device(HpcOptions(address="0042"), {"a": LineOptions()})
    assert FAMILY.problems(one) == ()
    assert FAMILY.match(one).lines == {"main": "a"}
    assert FAMILY.match(one).counter == "0042"
