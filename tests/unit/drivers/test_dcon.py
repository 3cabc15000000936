"""DCON: the manuals' frames, what can be asked, and what answers mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.dcon import codec
from drivers.dcon.codec import Answer, Ask, Dialect, Question
from drivers.dcon.family import FAMILY, RUNNING_EVERY, DconLine, DconOptions
from gateway.driver import Device, Exchange, Response
from gateway.model import (
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Register,
    Status,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/serial-dcon.json").read_text())
READS = [vector for vector in VECTORS["vectors"] if "action" not in vector["decoded"]]
READS = [vector for vector in READS if "overflow" not in vector["decoded"]]
REST = [vector for vector in VECTORS["vectors"] if vector not in READS]


def opened(lines: dict[str, dict[str, int]] | None = None, **options: Any) -> Exchange:
    device = Device(
        DconOptions(**options),
        {name: DconLine.model_validate(line) for name, line in (lines or {}).items()},
    )
    driver = FAMILY.open(device)
    assert hasattr(driver, "poll")
    return driver


def poll(driver: Exchange, answers: dict[bytes, bytes]) -> tuple[list[bytes], list[Item]]:
    """One poll against a table of answers without CR; what was asked, and the items."""
    asked: list[bytes] = []
    talk = driver.poll(0)
    try:
        request = next(talk)
        while True:
            asked.append(request.payload.removesuffix(b"\r"))
            reply = answers.get(asked[-1])
            request = talk.send(Response(None if reply is None else reply + b"\r", 0))
    except StopIteration as end:
        return asked, list(end.value)


def registers(items: Iterable[Item]) -> list[Register]:
    return [item for item in items if isinstance(item, Register)]


HEALTHY = {
    b"$012": b"!01500600",
    b"$0130": b"!010000FFFF",
    b"@01G0": b"!0100000000",
    b"$0150": b"!011",
    b"#010": b">0000001E",
    b"$0131": b"!010000FFFF",
    b"@01G1": b"!0100000000",
    b"$0151": b"!011",
    b"#011": b">00000007",
}
DOOR = {"main": {"in": 0, "out": 1}}


@pytest.mark.parametrize("vector", VECTORS["checksum_vectors"], ids=lambda vector: vector["text"])
def test_checksums_are_those_of_the_manuals(vector: dict[str, str]) -> None:
    assert codec.checksum(vector["text"].encode()) == vector["checksum"].encode()


@pytest.mark.parametrize("vector", READS, ids=lambda vector: vector["id"])
def test_every_read_of_the_manuals_is_built_and_understood(vector: dict[str, Any]) -> None:
    request, reply = vector["request_ascii"].encode() + b"\r", vector["reply_ascii"].encode() + b"\r"
    question = codec.read_question(request, summed=False)
    assert question is not None
    assert codec.build(question, summed=False) == request
    meant = vector["decoded"]
    found = codec.read_reply(question, reply, Dialect(vector["dialect"].split("-")[0]), summed=False)
    expected = {
        Ask.COUNT: lambda: meant["count"],
        Ask.MAXIMUM: lambda: meant["max_count"],
        Ask.PRESET: lambda: meant["preset"],
        Ask.RUNNING: lambda: int(meant["counting"]),
        Ask.CONFIG: lambda: int(meant["type"][:2], 16),
    }[question.ask]()
    assert found == Answer(expected)
    assert question.channel == meant.get("channel")


@pytest.mark.parametrize("vector", REST, ids=lambda vector: vector["id"])
def test_what_resets_or_reads_destructively_is_no_question_of_ours(vector: dict[str, Any]) -> None:
    request, reply = vector["request_ascii"].encode() + b"\r", vector["reply_ascii"].encode() + b"\r"
    assert codec.read_question(request, summed=False) is None
    assert list(opened().answer(request, Response(reply, 0))) == [Ignored("not a question of ours")]


def every_request(*, summed: bool) -> Iterator[bytes]:
    for ask, number, channel in product(Ask, range(256), (None, 0, 1)):
        if (channel is not None) is ask.value[2]:
            yield codec.build(Question(ask, f"{number:02X}", channel), summed=summed)


def test_nothing_that_writes_can_be_built() -> None:
    """No reset (`$AA6N`), no start or stop (`$AA5NS`), no set (`%`, `@AAP`), no clearing read."""
    reads = re.compile(rb"(#AA[01]|[$]AA2|[$]AA3[01]|[$]AA5[01]|@AAG[01])\r".replace(b"AA", b"[0-9A-F]{2}"))
    requests = set(every_request(summed=False))
    assert len(requests) == 256 * 9
    assert all(reads.fullmatch(request) for request in requests)
    plain = {request[:-3] + b"\r" for request in every_request(summed=True)}
    assert plain == requests


@pytest.mark.parametrize(
    ("ask", "address", "channel"),
    [
        (Ask.RUNNING, "01", 10),  # $015 10: would be a start
        (Ask.COUNT, "**", 0),
        (Ask.COUNT, "1", 0),
        (Ask.COUNT, "01\r%", 0),
        (Ask.COUNT, "01", None),
        (Ask.CONFIG, "01", 0),
        (Ask.PRESET, "01", 2),
    ],
)
def test_what_is_no_address_or_channel_is_not_sent(ask: Ask, address: str, channel: int | None) -> None:
    with pytest.raises(ValueError, match="no such question"):
        codec.build(Question(ask, address, channel), summed=False)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b">0000001\r", DamageReason.LENGTH),
        (b">000000001E\r", DamageReason.LENGTH),
        (b">\r", DamageReason.LENGTH),
        (b">0000001E", DamageReason.LENGTH),
        (b"", DamageReason.LENGTH),
        (b">0000 01E\r", DamageReason.SYNTAX),
        (b">+000001E\r", DamageReason.SYNTAX),
        (b"x0000001E\r", DamageReason.SYNTAX),
        (b">0000001E\r>0000001F\r", DamageReason.SYNTAX),
        (b">0000001E\r0", DamageReason.SYNTAX),
    ],
)
def test_a_reply_that_is_not_whole_is_damage(reply: bytes, reason: DamageReason) -> None:
    found = codec.read_reply(Question(Ask.COUNT, "01", 0), reply, Dialect.ICP, summed=False)
    assert found == Damaged(reason, len(reply))


def test_stray_bytes_of_the_turn_round_are_no_part_of_a_reply() -> None:
    reply = codec.read_reply(Question(Ask.COUNT, "01", 0), b"\x00\xff>0000001E\r", Dialect.ICP, summed=False)
    assert reply == Answer(30)


def test_a_decimal_module_writes_ten_digits() -> None:
    question = Question(Ask.COUNT, "01", 0)
    assert codec.read_reply(question, b">0000000123\r", Dialect.DECIMAL, summed=False) == Answer(123)
    assert codec.read_reply(question, b">4294967296\r", Dialect.DECIMAL, summed=False) == Damaged(
        DamageReason.SANITY, 12
    )
    assert codec.read_reply(question, b">00000123\r", Dialect.DECIMAL, summed=False) == Damaged(
        DamageReason.LENGTH, 10
    )


def test_adam_writes_small_letters() -> None:
    found = codec.read_reply(Question(Ask.MAXIMUM, "24", 0), b"!240000ffff\r", Dialect.ADAM, summed=False)
    assert found == Answer(0xFFFF)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b">0000001ED4\r", Answer(30)),
        (b">0000001ED5\r", Damaged(DamageReason.CHECKSUM, 12)),
        (b">0000001E\r", Damaged(DamageReason.CHECKSUM, 10)),
        (b">0\r", Damaged(DamageReason.LENGTH, 3)),
    ],
)
def test_a_checksum_is_verified_when_it_is_on(reply: bytes, expected: codec.Reply) -> None:
    assert codec.read_reply(Question(Ask.COUNT, "01", 0), reply, Dialect.ICP, summed=True) == expected


@pytest.mark.parametrize("reply", [b"!02500600\r", b">0000001E\r", b"?02\r"])
def test_an_answer_of_another_module_is_not_ours(reply: bytes) -> None:
    found = codec.read_reply(Question(Ask.CONFIG, "01"), reply, Dialect.ICP, summed=False)
    assert found is codec.NOT_OURS


def test_a_door_is_one_register_with_its_wrap() -> None:
    asked, items = poll(opened(DOOR), HEALTHY)
    assert asked == [b"$012", b"$0130", b"@01G0", b"$0150", b"$0131", b"@01G1", b"$0151", b"#010", b"#011"]
    assert items == [
        Status("01", None, DeviceState.OK),
        Register("01", "main", None, total_in=30, total_out=7, epoch="01/0,1", modulus=0x10000, restart=0),
    ]


def test_after_the_survey_only_counts_are_asked() -> None:
    driver = opened(DOOR)
    poll(driver, HEALTHY)
    assert poll(driver, HEALTHY)[0] == [b"#010", b"#011"]


def test_now_and_then_a_module_is_asked_whether_it_counts() -> None:
    driver = opened({"main": {"both": 0}})
    rounds = [poll(driver, HEALTHY) for _ in range(RUNNING_EVERY)]
    assert sum(b"$0150" in asked for asked, _ in rounds) == 1
    _, items = poll(driver, HEALTHY | {b"$0150": b"!010"})
    assert items[0] == Status("01", None, DeviceState.DEGRADED, "counter stopped (channel 0)")
    assert registers(items)[0].total_passes == 30


def test_sides_that_wrap_apart_are_registers_apart() -> None:
    _, items = poll(opened(DOOR), HEALTHY | {b"$0131": b"!01FFFFFFFF", b"@01G1": b"!0100000005"})
    into, out = registers(items)
    assert (into.total_in, into.total_out, into.modulus, into.restart) == (30, None, 0x10000, 0)
    assert (out.total_in, out.total_out, out.modulus, out.restart) == (None, 7, 1 << 32, 5)
    assert into.epoch == out.epoch


def test_without_lines_each_channel_reports_by_itself() -> None:
    _, items = poll(opened(), HEALTHY)
    found = [(one.counter, one.line, one.total_passes) for one in registers(items)]
    assert found == [("01", "0", 30), ("01", "1", 7)]


@pytest.mark.parametrize(
    ("reply", "detail"),
    [(b"!01510600", "channel is a frequency input"), (b"!01400600", "module type 40 is no counter")],
)
def test_what_is_no_counter_is_a_fault_and_counts_nothing(reply: bytes, detail: str) -> None:
    driver = opened(DOOR)
    answers = HEALTHY | {b"$012": reply}
    assert poll(driver, answers) == ([b"$012"], [Status("01", None, DeviceState.FAULT, detail)])
    assert poll(driver, HEALTHY)[1][0] == Status("01", None, DeviceState.OK)


def test_silence_ends_a_poll_and_a_survey_comes_first_again() -> None:
    driver = opened(DOOR)
    assert poll(driver, {}) == ([b"$012"], [])
    poll(driver, HEALTHY)
    asked, items = poll(driver, {b"#011": b">00000007"})
    assert (asked, items) == ([b"#010"], [])
    assert poll(driver, HEALTHY)[0][0] == b"$012"


def test_a_refusal_is_told_and_leads_to_a_survey() -> None:
    driver = opened(DOOR, dialect="adam")
    poll(driver, HEALTHY)
    _, items = poll(driver, HEALTHY | {b"#010": b"?01"})
    assert items == [Status("01", None, DeviceState.DEGRADED, "command refused")]
    assert poll(driver, HEALTHY)[0][0] == b"$012"


def test_a_module_that_knows_no_maximum_still_counts() -> None:
    spare = {request: HEALTHY[request] for request in (b"$012", b"#010", b"#011")}
    asked, items = poll(opened(DOOR), spare)
    assert asked == [b"$012", b"$0130", b"@01G0", b"$0150", b"#010", b"#011"]
    assert registers(items)[0].modulus is None


def test_a_maximum_lost_to_noise_is_asked_again() -> None:
    driver = opened(DOOR)
    poll(driver, HEALTHY | {b"$0130": b"!01\xf00000FFFF"})
    assert b"$0130" in poll(driver, HEALTHY)[0]
    assert registers(poll(driver, HEALTHY)[1])[0].modulus == 0x10000


def test_a_total_above_the_maximum_is_damage() -> None:
    _, items = poll(opened({"main": {"both": 0}}), HEALTHY | {b"#010": b">00010000"})
    assert Damaged(DamageReason.SANITY, 10) in items
    assert not registers(items)


def test_a_late_answer_of_another_kind_is_dropped() -> None:
    _, items = poll(opened({"main": {"both": 0}}), HEALTHY | {b"#010": b"!010000FFFF"})
    assert Ignored("answer to something else") in items
    assert not registers(items)


def test_an_interrupted_poll_leaves_the_driver_usable() -> None:
    driver = opened(DOOR)
    talk = driver.poll(0)
    next(talk)
    talk.close()
    assert registers(poll(driver, HEALTHY)[1])


def test_a_transcript_pair_stands_alone() -> None:
    (bare,) = opened().answer(b"#0A0\r", Response(b">0000001E\r", 0))
    assert bare == Register("0A", "0", None, total_passes=30, epoch="0A/0")
    (door,) = opened(DOOR, address="0a").answer(b"#0A1\r", Response(b">0000001E\r", 0))
    assert isinstance(door, Register)
    assert (door.line, door.total_in, door.total_out) == ("main", None, 30)
    assert list(opened(DOOR).answer(b"#021\r", Response(b">0000001E\r", 0))) == [Ignored("another module")]
    assert list(opened().answer(b"#010\r", Response(None, 0))) == []


@pytest.mark.parametrize(
    "line",
    [{}, {"in": 0, "both": 1}, {"in": 1, "out": 1}, {"in": 2}, {"both": -1}, {"inn": 0}],
)
def test_a_wrong_line_is_refused(line: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        DconLine.model_validate(line)


@pytest.mark.parametrize("address", ["1", "0G", "001", "", "**"])
def test_a_wrong_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        DconOptions.model_validate({"address": address})


noise = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda head, body, tail: head + body + tail,
        st.sampled_from([b">", b"!01", b"?01", b"!", b"\x00>"]),
        st.binary(max_size=12) | st.from_regex(rb"[0-9A-Fa-f]{0,12}", fullmatch=True),
        st.sampled_from([b"\r", b"", b"\r\r"]),
    ),
)


@given(
    request=st.one_of(
        st.binary(max_size=12), st.sampled_from(sorted(HEALTHY)).map(lambda text: text + b"\r")
    ),
    reply=noise,
    summed=st.booleans(),
)
def test_no_bytes_make_an_answer_fail(request: bytes, reply: bytes, summed: bool) -> None:
    for item in opened(checksum=summed).answer(request, Response(reply, 0)):
        if isinstance(item, Register):
            assert item.total_passes is not None
            assert 0 <= item.total_passes < 1 << 32


@given(st.lists(st.one_of(st.none(), noise), max_size=40))
def test_no_bytes_make_a_poll_fail_and_the_next_one_is_right(replies: list[bytes | None]) -> None:
    driver = opened(DOOR)
    rest = iter(replies)
    for _ in range(5):
        talk = driver.poll(0)
        try:
            next(talk)
            while True:
                talk.send(Response(next(rest, None), 0))
        except StopIteration:
            pass
    poll(driver, HEALTHY)
    (door,) = registers(poll(driver, HEALTHY)[1])
    assert (door.total_in, door.total_out) == (30, 7)
