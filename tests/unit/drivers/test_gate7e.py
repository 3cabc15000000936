"""7E/7F gates: the frames of the source, that nothing but the query can be built, and what a status means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.gate7e import codec, family
from drivers.gate7e.codec import State
from drivers.gate7e.family import FAMILY, GateLine, GateOptions
from gateway.driver import Device, Exchange, Response
from gateway.model import Damaged, DamageReason, DeviceState, Ignored, Item, Register, Status
from simulators.gate7e import Gate

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parents[2] / "vectors/serial-gate-7e7f.json").read_text())[
        "vectors"
    ]
}
FRAMES = {name: bytes.fromhex(vector["hex"]) for name, vector in VECTORS.items()}
QUERY, STATUS, BEAM = FRAMES["query-m1"], FRAMES["status"], FRAMES["status-beam"]
OTHER = FRAMES["status-24-bit"]  # of machine 7; the lead byte stands in its counts


def opened(lines: dict[str, str] | None = None, **options: Any) -> Exchange:
    named = {name: GateLine.model_validate({"in": side}) for name, side in (lines or {}).items()}
    driver = FAMILY.open(Device(GateOptions(**options), named))
    assert hasattr(driver, "poll")
    return driver


def poll(driver: Exchange, answer: bytes | None, now_ms: int = 0) -> tuple[list[bytes], list[Item]]:
    """One poll with that answer: what was asked, and the items."""
    talk = driver.poll(now_ms)
    asked = []
    try:
        asked.append(next(talk).payload)
        while True:
            asked.append(talk.send(Response(answer, now_ms)).payload)
    except StopIteration as end:
        return asked, list(end.value)


def heard(answer: bytes, **options: Any) -> list[Item]:
    return poll(opened(**options), answer)[1]


@pytest.mark.parametrize("name", [name for name, vector in VECTORS.items() if "left" in vector["decoded"]])
def test_states_as_in_the_source(name: str) -> None:
    told = VECTORS[name]["decoded"]
    state = codec.read_reply(None, FRAMES[name])
    assert isinstance(state, State)
    assert {key: getattr(state, key) for key in told if key != "volt"} == {
        key: value for key, value in told.items() if key != "volt"
    }


def test_the_simulated_gate_speaks_as_in_the_source() -> None:
    gate = Gate("1", [1234, 1219])
    assert [*gate.hear(OTHER + QUERY[:3]), *gate.hear(QUERY[3:])] == [STATUS]
    gate.hear(FRAMES["reset-left-m1"])
    assert (gate.totals, gate.written) == ([0, 1219], [0x20])


def test_the_question_as_in_the_source() -> None:
    assert codec.query(1) == QUERY
    assert codec.read_question(QUERY) == 1
    assert codec.read_question(FRAMES["reset-left-m1"]) is None


def test_the_codec_makes_bytes_of_nothing_but_the_query() -> None:
    """The command byte also opens doors: only `query` may build, and it takes no command."""
    builders = [
        name
        for module in (codec, family)
        for name, made in vars(module).items()
        if callable(made) and getattr(made, "__annotations__", {}).get("return") == "bytes"
    ]
    assert builders == ["query"]
    for machine in range(-300, 300):
        if 1 <= machine <= 99:
            asked = codec.query(machine)
            assert asked[:7] == bytes((0x7E, 0, machine, 0x10, 0, 0, 0))
            assert sum(asked) % 256 == 0xFF
        else:
            with pytest.raises(ValueError, match="no such machine"):
                codec.query(machine)


@given(
    machine=st.integers(1, 99),
    answers=st.lists(st.none() | st.binary(max_size=60) | st.sampled_from([STATUS, OTHER, BEAM]), max_size=8),
)
def test_whatever_is_answered_only_the_query_is_sent(machine: int, answers: list[bytes | None]) -> None:
    driver = opened(address=machine)
    for answer in answers:
        assert poll(driver, answer)[0] == [codec.query(machine)]


@pytest.mark.parametrize(("side", "ins", "outs"), [("left", 1234, 1219), ("right", 1219, 1234)])
def test_which_side_is_in_is_configuration(side: str, ins: int, outs: int) -> None:
    register = heard(STATUS, lines={"main": side})[0]
    assert register == Register("1", "main", None, ins, outs, epoch=f"1/{side}", modulus=1 << 24)


def test_without_lines_each_side_is_one_without_direction() -> None:
    sides = [item for item in heard(STATUS) if isinstance(item, Register)]
    assert [(item.line, item.total_passes) for item in sides] == [("left", 1234), ("right", 1219)]
    assert all(item.total_in is None and item.total_out is None for item in sides)


def test_a_side_must_be_named() -> None:
    for table in ({}, {"in": "north"}):
        with pytest.raises(ValidationError):
            GateLine.model_validate(table)


def test_health_is_told_in_words_and_when_it_changes() -> None:
    driver = opened({"main": "left"})
    told = [
        [item for item in poll(driver, answer)[1] if isinstance(item, Status)]
        for answer in (STATUS, STATUS, FRAMES["status-fault-alarm"], STATUS)
    ]
    assert told == [
        [Status("1", None, DeviceState.OK)],
        [],
        [Status("1", None, DeviceState.FAULT, "fault 03, alarm 04")],
        [Status("1", None, DeviceState.OK)],
    ]


def test_a_person_in_the_beam_is_no_blocked_beam() -> None:
    driver = opened({"main": "left"}, blocked_s=15)
    told = []
    for second, answer in enumerate([STATUS, BEAM, STATUS, *[BEAM] * 17, STATUS]):
        items = poll(driver, answer, 1000 * second)[1]
        told += [(second, item.detail) for item in items if isinstance(item, Status)]
        assert any(isinstance(item, Register) for item in items)
    assert told == [(0, ""), (18, "beam blocked"), (20, "")]


def test_a_clock_set_back_blocks_no_beam() -> None:
    driver = opened({"main": "left"})
    details = [
        item.detail
        for now_ms in (10_000_000, 5_000_000, 5_010_000, 5_016_000)
        for item in poll(driver, BEAM, now_ms)[1]
        if isinstance(item, Status)
    ]
    assert details == ["", "beam blocked"]


def test_silence_says_nothing() -> None:
    assert poll(opened({"main": "left"}), None)[1] == []


@pytest.mark.parametrize("stray", [b"\x00", b"\xff\xff", b"\x7f", QUERY, STATUS[:9], OTHER])
def test_what_comes_before_a_status_does_not_matter(stray: bytes) -> None:
    assert heard(stray + STATUS, lines={"main": "left"})[0] == heard(STATUS, lines={"main": "left"})[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", DamageReason.SYNTAX),
        (QUERY, DamageReason.SYNTAX),
        (STATUS[:17], DamageReason.LENGTH),
        (STATUS[:-1] + b"\xca", DamageReason.CHECKSUM),
        (STATUS[:8] + b"\x52" + STATUS[9:], DamageReason.CHECKSUM),
    ],
)
def test_damage_is_told_with_its_reason(answer: bytes, reason: DamageReason) -> None:
    (item,) = heard(answer)
    assert isinstance(item, Damaged)
    assert item.reason is reason


def test_another_machine_is_no_answer() -> None:
    assert heard(OTHER) == [Ignored("status of another machine")]
    assert not codec.whole(1, OTHER)
    assert codec.whole(1, OTHER + STATUS)
    assert codec.whole(7, OTHER)


def test_an_answer_ends_with_its_last_byte() -> None:
    assert [end for end in range(19) if codec.whole(1, STATUS[:end])] == [18]
    assert codec.whole(1, STATUS[:-1] + b"\xca")
    assert codec.whole(1, b"\x00" * codec.MAX_RECEIVED_BYTES)


def test_a_transcript_names_the_machine_that_was_asked() -> None:
    items = list(opened().answer(codec.query(7), Response(OTHER, 0)))
    registers = [item for item in items if isinstance(item, Register)]
    assert [(item.counter, item.total_passes) for item in registers] == [("7", 0xFF_FFFF), ("7", 127)]
    assert list(opened().answer(FRAMES["reset-left-m1"], Response(STATUS, 0))) == [
        Ignored("not a question of ours")
    ]
    assert Status("1", None, DeviceState.DEGRADED, "beam blocked") in list(
        opened().answer(QUERY, Response(BEAM, 0))
    )
