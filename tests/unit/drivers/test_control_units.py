"""Taps on Swedish control units: one signed receipt is one sale, whatever happens on the two wires."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.journal import UnitTap
from gateway.driver import Device, Side, Site, load_family
from gateway.model import Damaged, DamageReason, DeviceState, Ignored, Item, Status, Transactions
from simulators import cleancash, skattedosan

FILE = Path(__file__).parents[2] / "vectors" / "serial-pos-control-units.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
UNCONFIRMED = "unconfirmed: the unit's answers are not heard"
AGAIN = Ignored("receipt asked for again")
FAMILIES = pytest.mark.parametrize(
    ("family", "yes", "no", "why"),
    [
        ("cleancash", "registered", "not operational", "not operational"),
        ("skattedosan", "signed", "CRC error", "CRC error"),
    ],
)


class Tap:
    """A family's driver; `till` and `unit` say a frame of the vectors on their wire."""

    def __init__(self, family: str) -> None:
        made = load_family(family)
        device = Device(made.options(), site=Site(currency="SEK"))
        self.driver = cast("UnitTap", made.open(device))
        self.frames: dict[str, str] = VECTORS[family]

    def hear(self, text: str, side: Side = Side.DEVICE) -> list[Item]:
        return list(self.driver.feed(text.encode("latin-1"), 0, side))

    def till(self, name: str) -> list[Item]:
        return self.hear(self.frames[name], Side.HOST)

    def unit(self, name: str) -> list[Item]:
        return self.hear(self.frames[name])


def sales(items: list[Item]) -> list[tuple[int, int, int]]:
    return [(item.sales, item.returns, item.amount_minor) for item in items if isinstance(item, Transactions)]


def told(items: list[Item]) -> list[tuple[DeviceState, str]]:
    return [(item.state, item.detail) for item in items if isinstance(item, Status)]


@FAMILIES
def test_a_receipt_counts_when_the_unit_has_accepted_it(family: str, yes: str, no: str, why: str) -> None:
    tap = Tap(family)
    assert sales(tap.till("sale")) == []
    heard = tap.unit(yes)
    assert sales(heard) == [(1, 0, 12950)]
    assert told(heard) == []  # said to be in order when the till asked
    sale = next(item for item in heard if isinstance(item, Transactions))
    assert (sale.till, sale.currency, sale.start_ms) == ("7", "SEK", None)


@FAMILIES
def test_a_refused_receipt_is_no_sale_until_its_retry_is_accepted(
    family: str, yes: str, no: str, why: str
) -> None:
    tap = Tap(family)
    tap.till("sale")
    heard = tap.unit(no)
    assert sales(heard) == []
    assert Ignored(f"receipt refused: {why}") in heard
    assert told(heard) == [(DeviceState.DEGRADED, f"unit refuses: {why}")]
    assert sales(tap.till("sale")) == []
    heard = tap.unit(yes)
    assert sales(heard) == [(1, 0, 12950)]
    assert told(heard) == [(DeviceState.OK, "")]


@FAMILIES
def test_a_retry_after_a_lost_answer_counts_once(family: str, yes: str, no: str, why: str) -> None:
    tap = Tap(family)
    tap.till("sale")
    assert tap.till("sale") == [AGAIN]
    assert sales(tap.unit(yes)) == [(1, 0, 12950)]
    assert tap.till("sale") == [AGAIN]
    assert sales(tap.unit(yes)) == []


@FAMILIES
def test_a_retry_heard_before_the_refusal_it_follows_counts(family: str, yes: str, no: str, why: str) -> None:
    """The two wires are read one after the other: their order within a moment is not known."""
    tap = Tap(family)
    tap.till("sale")
    tap.till("sale")
    assert sales(tap.unit(no)) == []
    assert sales(tap.unit(yes)) == [(1, 0, 12950)]


@FAMILIES
def test_a_refusal_of_a_repeated_receipt_takes_nothing_back(family: str, yes: str, no: str, why: str) -> None:
    tap = Tap(family)
    tap.till("sale")
    tap.unit(yes)
    tap.till("sale")
    assert sales(tap.unit(no)) == []


@FAMILIES
def test_with_one_wire_a_receipt_counts_at_once_and_is_marked(
    family: str, yes: str, no: str, why: str
) -> None:
    tap = Tap(family)
    heard = tap.hear(tap.frames["sale"])
    assert sales(heard) == [(1, 0, 12950)]
    assert told(heard) == [(DeviceState.OK, UNCONFIRMED)]
    assert sales(tap.hear(tap.frames["return"])) == [(0, 1, 0)]


@FAMILIES
def test_both_directions_on_one_wire_are_told_apart_and_a_refusal_takes_the_receipt_back(
    family: str, yes: str, no: str, why: str
) -> None:
    tap = Tap(family)
    first = tap.hear(tap.frames["sale"])[0]
    heard = tap.hear(tap.frames[no])
    assert heard[0] == replace(cast("Transactions", first), sales=0, amount_minor=0)
    assert sales(tap.hear(tap.frames["sale"])) == []  # the unit is heard: now its word is awaited
    assert tap.hear(tap.frames[yes])[0] == first


@FAMILIES
def test_a_till_without_the_units_wire_is_counted_from_its_next_receipt_on(
    family: str, yes: str, no: str, why: str
) -> None:
    tap = Tap(family)
    assert sales(tap.till("sale")) == []
    heard = tap.till("return")
    assert sales(heard) == [(1, 0, 12950), (0, 1, 0)]
    assert told(heard) == [(DeviceState.OK, UNCONFIRMED)]


@FAMILIES
def test_a_unit_that_falls_silent_is_told(family: str, yes: str, no: str, why: str) -> None:
    tap = Tap(family)
    tap.till("sale")
    tap.unit(yes)
    tap.till("return")
    gap = "after a gap of four" if family == "cleancash" else "after a gap of two"
    heard = tap.till(gap)
    assert len(sales(heard)) == 2  # the return, and this one at once
    missed = 3 if family == "cleancash" else 2
    assert told(heard) == [(DeviceState.DEGRADED, f"{missed} receipts missed; {UNCONFIRMED}")]
    assert told(tap.unit(yes)) == [(DeviceState.DEGRADED, f"{missed} receipts missed")]


@FAMILIES
def test_an_answer_after_a_lost_port_is_not_taken_for_the_one_that_was_missed(
    family: str, yes: str, no: str, why: str
) -> None:
    """What the till asked meanwhile was not heard: the refusal is of something else."""
    tap = Tap(family)
    tap.till("sale")
    tap.driver.reopened(Side.HOST)
    assert sales(tap.unit(no)) == []
    assert sales(tap.till("return")) == [(1, 0, 12950), (0, 1, 0)]


@FAMILIES
def test_half_a_frame_heard_before_a_lost_port_is_not_glued_to_another(
    family: str, yes: str, no: str, why: str
) -> None:
    tap = Tap(family)
    frame = tap.frames["sale"]
    tap.hear(frame[:30], Side.HOST)
    tap.driver.reopened(Side.HOST)
    assert [type(item) for item in tap.hear(frame[30:], Side.HOST)] == [Damaged]


def test_a_header_heard_before_a_lost_port_is_not_what_is_signed_after_it() -> None:
    tap = Tap("cleancash")
    for said, answer in (("start", "acknowledged"), ("header", "acknowledged")):
        tap.till(said)
        tap.unit(answer)
    tap.driver.reopened(Side.HOST)
    assert tap.till("sign") == [Ignored("signature asked for an unknown receipt")]


@FAMILIES
def test_returns_are_counted_apart(family: str, yes: str, no: str, why: str) -> None:
    tap = Tap(family)
    tap.till("return")
    assert sales(tap.unit(yes)) == [(0, 1, 0)]


@FAMILIES
def test_a_copy_is_no_sale_whatever_the_unit_answers(family: str, yes: str, no: str, why: str) -> None:
    for answer in (yes, no):
        tap = Tap(family)
        tap.till("sale")
        tap.unit(yes)
        assert Ignored("copy of a receipt") in tap.till("copy")
        assert sales(tap.unit(answer)) == []


@pytest.mark.parametrize(
    ("frame", "reason"), [("training", "training receipt"), ("pro forma", "pro forma receipt")]
)
def test_other_types_are_no_sales_and_break_no_series(frame: str, reason: str) -> None:
    tap = Tap("cleancash")
    tap.till("sale")
    tap.unit("registered")
    assert tap.till(frame) == [Ignored(reason)]
    tap.unit("registered")
    tap.till("return")
    assert told(tap.unit("registered")) == []


@FAMILIES
def test_a_question_about_something_else_is_not_the_receipts_answer(
    family: str, yes: str, no: str, why: str
) -> None:
    tap = Tap(family)
    tap.till("sale")
    other = "status" if family == "cleancash" else "version"
    assert tap.till(other) == [Ignored("no receipt")]
    assert sales(tap.unit(yes)) == []


def test_the_first_version_signs_in_three_steps_and_counts_the_last() -> None:
    tap = Tap("cleancash")
    for said, answer in (("start", "acknowledged"), ("header", "acknowledged")):
        assert sales(tap.till(said) + tap.unit(answer)) == []
    tap.till("sign")
    assert sales(tap.unit("signed")) == [(1, 0, 5900)]


def test_a_signature_for_a_receipt_that_was_not_heard_is_no_guess() -> None:
    tap = Tap("cleancash")
    assert tap.till("sign") == [Ignored("signature asked for an unknown receipt")]
    assert sales(tap.unit("signed")) == []


def test_what_the_unit_says_of_itself_is_its_status() -> None:
    tap = Tap("cleancash")
    assert told(tap.unit("unit fatal")) == [(DeviceState.FAULT, "unit reports a fatal error")]
    assert told(tap.unit("unit in order")) == [(DeviceState.OK, "")]


@pytest.mark.parametrize("family", ["cleancash", "skattedosan"])
def test_one_wrong_byte_is_damage_and_the_next_frame_is_read(family: str) -> None:
    tap = Tap(family)
    frame = tap.frames["sale"]
    spoilt = frame[:40] + ("0" if frame[40] != "0" else "1") + frame[41:]
    assert tap.hear(spoilt) == [Damaged(DamageReason.CHECKSUM, len(frame.strip()))]
    assert sales(tap.hear(frame)) == [(1, 0, 12950)]


def test_noise_before_a_frame_does_not_spoil_it() -> None:
    tap = Tap("cleancash")
    heard = tap.hear("\x00#!#05\xfe" + tap.frames["sale"])
    assert heard[0] == Damaged(DamageReason.SYNTAX, 6)
    assert sales(heard) == [(1, 0, 12950)]


@pytest.mark.parametrize("noise", ["\x00\xfe12\xff", "0 12"])
def test_noise_before_a_line_without_a_start_mark_does_not_spoil_it(noise: str) -> None:
    tap = Tap("skattedosan")
    heard = tap.hear(noise + tap.frames["sale"])
    assert isinstance(heard[0], Damaged)
    assert sales(heard) == [(1, 0, 12950)]


def test_a_length_that_is_not_the_frames_is_damage() -> None:
    tap = Tap("cleancash")
    assert tap.hear("#!#00F#SIQ#2E\r") == [Damaged(DamageReason.LENGTH, 13)]


@pytest.mark.parametrize("family", ["cleancash", "skattedosan"])
def test_an_endless_line_is_one_damage_however_it_is_cut(family: str) -> None:
    line = "x" * 10_000 + "\r"
    for step in (1, 4095, 4097, 10_001):
        tap = Tap(family)
        heard = [item for at in range(0, len(line), step) for item in tap.hear(line[at : at + step])]
        assert heard == [Damaged(DamageReason.LENGTH, 10_000)]


# Sums computed apart from the driver: XOR and length by hand, CRC with binascii.crc_hqx.
@pytest.mark.parametrize(
    ("family", "frame", "reason"),
    [
        ("cleancash", "#!#014#RR#1#2026#23\r", DamageReason.SYNTAX),
        (
            "cleancash",
            "#!#05B#RR#1#202611231015#1041#7#5566778899#99999999999,50#0,00#normal#25,00;25,90# # # #6B\r",
            DamageReason.SANITY,
        ),
        ("skattedosan", "kd 202611231015 x 0x1A57\r\n", DamageReason.SYNTAX),
    ],
)
def test_absurd_fields_under_a_right_sum_are_damage(family: str, frame: str, reason: DamageReason) -> None:
    heard = Tap(family).hear(frame)
    assert [item.reason for item in heard if isinstance(item, Damaged)] == [reason]
    assert not sales(heard)


def receipt(number: int, *, till: str = "7", total: int = 100, kind: str = "normal") -> str:
    """One CCSP 2 frame of a simulated till."""
    made = cleancash.Till(till).steps(cleancash.Slip(number, total, kind))
    return made[0].decode("ascii")


def test_a_gap_is_told_until_fifty_receipts_came_without_one() -> None:
    tap = Tap("cleancash")
    tap.hear(receipt(1))
    said = [told(tap.hear(receipt(number))) for number in range(5, 56)]
    assert said[0] == [(DeviceState.DEGRADED, f"3 receipts missed; {UNCONFIRMED}")]
    assert [at for at, statuses in enumerate(said) if statuses] == [0, 50]
    assert said[50] == [(DeviceState.OK, UNCONFIRMED)]


@pytest.mark.parametrize("numbers", [(100, 1, 2), (1, 5000, 5001)])
def test_numbers_that_begin_anew_are_no_gap_and_no_retry(numbers: tuple[int, ...]) -> None:
    tap = Tap("cleancash")
    heard = [item for number in numbers for item in tap.hear(receipt(number))]
    assert len({item.key for item in heard if isinstance(item, Transactions)}) == 3
    assert told(heard) == [(DeviceState.OK, UNCONFIRMED)]


def test_tills_that_share_a_unit_have_numbers_of_their_own() -> None:
    tap = Tap("cleancash")
    frames = [receipt(number, till=till) for number in (1, 2) for till in ("7", "8")]
    heard = [item for frame in frames for item in tap.hear(frame)]
    assert len({item.key for item in heard if isinstance(item, Transactions)}) == 4
    assert told(heard) == [(DeviceState.OK, UNCONFIRMED)]


def test_copies_in_the_tills_own_series_leave_no_gap() -> None:
    tap = Tap("cleancash")
    heard = [
        item
        for number, kind in enumerate(("normal", "kopia", "normal", "normal"), 1)
        for item in tap.hear(receipt(number, kind=kind))
    ]
    assert len(sales(heard)) == 3
    assert told(heard) == [(DeviceState.OK, UNCONFIRMED)]


@pytest.mark.parametrize(
    ("total", "kind", "reason"),
    [(0, "normal", "receipt over nothing"), (100, "faktura", "receipt of an unknown type")],
)
def test_what_is_neither_sale_nor_return_is_ignored(total: int, kind: str, reason: str) -> None:
    assert Ignored(reason) in Tap("cleancash").hear(receipt(1, total=total, kind=kind))


def test_a_retry_stamped_in_another_minute_is_still_one() -> None:
    tap = Tap("cleancash")
    frame = receipt(1)
    later = cleancash.framed(
        frame.split("#", 3)[3].rpartition("#")[0].replace("202611231001", "202611231002")
    )
    assert sales(tap.hear(frame)) == [(1, 0, 100)]
    assert tap.hear(later.decode("ascii")) == [AGAIN]


attempts = st.lists(st.sampled_from(["yes", "no", "lost"]), min_size=1, max_size=4)


@given(receipts=st.lists(attempts, max_size=8), cut=st.integers(1, 40), one_wire=st.booleans())
def test_whatever_is_refused_lost_and_repeated_the_books_hold_what_was_signed(
    receipts: list[list[str]], cut: int, one_wire: bool
) -> None:
    """`lost`: the unit signs, nobody hears it, and the till asks again; each receipt is signed in the end."""
    tap = Tap("cleancash")
    heard: list[Item] = []
    yes, no = tap.frames["registered"], tap.frames["not operational"]

    def say(text: str, side: Side) -> None:
        for at in range(0, len(text), cut):
            heard.extend(tap.hear(text[at : at + cut], Side.DEVICE if one_wire else side))

    for number, answers in enumerate(receipts, 1):
        for answer in (*answers, "yes"):
            say(receipt(number), Side.HOST)
            if answer in ("yes", "no"):
                say(yes if answer == "yes" else no, Side.DEVICE)
            if answer == "yes":
                break
    books = {item.key: item for item in heard if isinstance(item, Transactions)}
    assert sales(list(books.values())) == [(1, 0, 100)] * len(receipts)


def test_the_simulated_units_speak_as_in_the_sources() -> None:
    said = {
        family: {name: text.encode("ascii") for name, text in VECTORS[family].items()}
        for family in ("cleancash", "skattedosan")
    }
    ccsp, words = said["cleancash"], said["skattedosan"]
    unit = cleancash.Unit(refuse="006", state="4")
    assert unit.hear(ccsp["status"][:5]) == []
    assert unit.hear(ccsp["status"][5:] + ccsp["sale"]) == [ccsp["unit fatal"], ccsp["not operational"]]
    assert unit.hear(ccsp["start"] + ccsp["header"]) == [ccsp["acknowledged"]] * 2
    other = skattedosan.Unit(refuse="-2")
    assert other.hear(words["sale"]) == [words["CRC error"]]
    assert other.hear(words["version"].replace(b"5F", b"5E")) == [words["CRC error"]]
    assert skattedosan.line("ver").encode("ascii") + b"\r\n" == words["version"]
    assert cleancash.Till(version=1).steps(cleancash.Slip(1, 100))[::2] == [ccsp["start"], ccsp["sign"]]
