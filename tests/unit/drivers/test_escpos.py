"""A tap on a receipt printer: receipts are counted, not cuts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.escpos.codec import LARGEST_PAYLOAD
from drivers.escpos.family import PAUSE_MS, Escpos
from gateway.driver import Device, Side, Site, load_family
from gateway.model import Damaged, DamageReason, Ignored, Item, Transactions

FILE = Path(__file__).parents[2] / "vectors" / "serial-escpos.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
CUT = b"\x1d\x56\x00"
RECEIPT = b"\x1b@Kaffe 39,00\nTotalt 39,00 SEK\n" + CUT
NO_TOTAL = Ignored("print without a total: no receipt")
LEFT_OUT = Ignored("copy, training or report")
KICKED = Ignored("drawer opened")


def opened(currency: str = "SEK", **options: str) -> Escpos:
    family = load_family("escpos")
    device = Device(family.options.model_validate(options), site=Site(currency=currency))
    return cast("Escpos", family.open(device))


def hear(data: bytes, driver: Escpos | None = None, **options: str) -> list[Item]:
    return list((driver or opened(**options)).feed(data, 0))


def sales(items: list[Item]) -> list[tuple[int, int, int]]:
    return [(item.sales, item.returns, item.amount_minor) for item in items if isinstance(item, Transactions)]


@pytest.mark.parametrize("cut", VECTORS["cuts"].values(), ids=VECTORS["cuts"].keys())
def test_every_cut_ends_a_receipt(cut: str) -> None:
    items = hear(b"TOTAL 39,00\n" + bytes.fromhex(cut) + RECEIPT)
    assert sales(items) == [(1, 0, 3900)] * 2
    assert len(items) == 2


@pytest.mark.parametrize("payload", VECTORS["payloads"].values(), ids=VECTORS["payloads"].keys())
def test_a_cut_inside_a_commands_payload_is_none(payload: str) -> None:
    items = hear(b"Totalt 39,00\n" + bytes.fromhex(payload) + b"Tack!\n" + CUT)
    assert sales(items) == [(1, 0, 3900)]
    assert len(items) == 1


@pytest.mark.parametrize("kick", VECTORS["drawer"].values(), ids=VECTORS["drawer"].keys())
def test_a_drawer_kick_alone_is_no_sale(kick: str) -> None:
    assert hear(bytes.fromhex(kick)) == [KICKED]
    assert sales(hear(b"Total 5,00\n" + bytes.fromhex(kick) + CUT)) == [(1, 0, 500)]


def test_a_raster_larger_than_a_piece_is_skipped_byte_by_byte() -> None:
    raster = b"\x1d\x76\x30\x00" + bytes([72, 0, 0, 1]) + CUT * (72 * 256 // 3)
    driver = opened()
    stream = b"Sum 10,00\n" + raster + CUT
    items = [item for byte in stream for item in hear(bytes([byte]), driver)]
    assert sales(items) == [(1, 0, 1000)]


def test_a_port_lost_inside_a_raster_does_not_swallow_the_receipts_after_it() -> None:
    driver = opened()
    raster = b"\x1d\x76\x30\x00" + bytes([72, 0, 0, 1]) + b"\x55" * 100
    assert hear(b"Totalt 10,00\n" + raster, driver) == []
    for side in Side:
        driver.reopened(side)
    assert sales(hear(RECEIPT, driver)) == [(1, 0, 1000), (1, 0, 3900)]


def test_a_payload_that_never_comes_swallows_no_receipt_after_a_pause() -> None:
    """Noise, or the middle of a logo, may look like the head of a megabyte."""
    driver = opened()
    assert list(driver.feed(b"\x1d\x38\x4c\xff\xff\x0f\x00" + b"\x55" * 100, 0)) == []
    assert list(driver.feed(RECEIPT, PAUSE_MS)) == []
    items = list(driver.feed(RECEIPT, 3 * PAUSE_MS))
    assert items[0] == Damaged(DamageReason.LENGTH, 7 + 100 + len(RECEIPT))
    assert sales(items) == [(1, 0, 3900)]


@pytest.mark.parametrize("at", range(len(RECEIPT)))
def test_a_printer_that_waits_for_paper_makes_no_second_receipt(at: int) -> None:
    driver = opened()
    items = [*driver.feed(RECEIPT[:at], 0), *driver.feed(RECEIPT[at:], 3 * PAUSE_MS)]
    assert sales(items) == [(1, 0, 3900)]


def test_a_logo_that_waits_for_paper_makes_no_second_receipt() -> None:
    driver = opened()
    logo = b"\x1d\x76\x30\x00" + bytes([72, 0, 0, 1]) + CUT * (72 * 256 // 3)
    heard = b"Totalt 39,00\n" + logo + b"Tack!\n" + CUT
    items = [*driver.feed(heard[:999], 0), *driver.feed(heard[999:], 3 * PAUSE_MS)]
    assert sales(items) == [(1, 0, 3900)]


def test_a_print_cut_off_before_its_total_is_no_receipt_and_marks_no_other() -> None:
    driver = opened()
    assert hear(b"KOPIA\nKaffe 39,00\nTotalt 39", driver) == []
    driver.reopened(Side.DEVICE)
    assert sales(hear(RECEIPT, driver)) == [(1, 0, 3900)]


def test_the_printers_own_wire_opened_anew_cuts_nothing() -> None:
    driver = opened()
    assert list(driver.feed(RECEIPT[:20], 0, Side.HOST)) == []
    driver.reopened(Side.DEVICE)
    assert sales(list(driver.feed(RECEIPT[20:], 0, Side.HOST))) == [(1, 0, 3900)]


def test_a_kitchen_ticket_and_an_empty_cut_are_no_receipts() -> None:
    assert hear(b"Bord 4\n2 x Kaffe\n" + CUT) == [NO_TOTAL]
    assert hear(CUT + CUT) == []


@pytest.mark.parametrize(
    "line",
    ["*** KOPIA ***", "COPY", "Z-RAPPORT nr 12", "X report", "ÖVNING", "EJ KVITTO", "Kopi av kvittering"],
)
def test_copies_training_and_reports_are_no_sales(line: str) -> None:
    assert hear(line.encode("cp858") + b"\nTotalt 39,00\n" + CUT) == [LEFT_OUT]


def test_one_print_leaves_no_trace_in_the_next() -> None:
    assert sales(hear(b"KOPIA\nTotal 1,00\n" + CUT + b"RETUR\nTotal 2,00\n" + CUT + RECEIPT)) == [
        (0, 1, 0),
        (1, 0, 3900),
    ]


@pytest.mark.parametrize(
    ("line", "currency", "minor"),
    [
        ("Totalt: 1 299,50 kr", "SEK", 129950),
        ("TOTAL     $ 14.25", "USD", 1425),
        ("Å betale 1.299,00", "NOK", 129900),
        ("YHTEENSÄ 12,95", "EUR", 1295),
        ("Total (4 st) 129", "SEK", 12900),
        ("Total 1.299 kr", "ISK", 1299),
        ("Total 1.299,00 kr", "ISK", 1299),
        ("Total 12.950", "KWD", 12950),
        ("SUMMA", "SEK", 0),
    ],
)
def test_the_amount_is_the_last_number_of_the_total_line(line: str, currency: str, minor: int) -> None:
    items = hear(line.encode("cp858") + b"\n" + CUT, opened(currency))
    assert sales(items) == [(1, 0, minor)]
    assert cast("Transactions", items[0]).currency == currency


@pytest.mark.parametrize("line", ["Subtotal 9,00", "Delsumma 9,00", "Sum mva 2,00", "Total discount 3,00"])
def test_lines_that_only_look_like_a_total(line: str) -> None:
    assert hear(line.encode() + b"\n" + CUT) == [NO_TOTAL]


@pytest.mark.parametrize("line", [b"Total -40,00", b"Total 40,00-", b"Total - 40,00"])
def test_a_negative_total_is_a_return(line: bytes) -> None:
    assert sales(hear(line + b"\n" + CUT)) == [(0, 1, 0)]


def test_a_receipt_over_nothing_is_no_sale() -> None:
    assert hear(b"Total 0,00\n" + CUT) == [Ignored("receipt over nothing")]


def test_a_total_line_printed_by_a_feed_and_not_by_a_line_end_is_seen() -> None:
    assert sales(hear(b"Total 39,00\x1bd\x03" + CUT)) == [(1, 0, 3900)]
    assert sales(hear(b"Total 39,00" + CUT)) == [(1, 0, 3900)]


def test_what_is_not_printed_is_not_read() -> None:
    assert hear(b"Total 39,00\x1b@Bord 4\n" + CUT) == [NO_TOTAL]


def test_patterns_and_code_page_are_the_shops_own() -> None:
    ours = {"total": "^I ALT", "except": "^PRØVE$", "encoding": "cp865"}
    assert sales(hear(b"I alt 20,00\n" + CUT, **ours)) == [(1, 0, 2000)]
    assert hear("prøve\nI alt 20,00\n".encode("cp865") + CUT, **ours) == [LEFT_OUT]


@pytest.mark.parametrize("option", [{"total": "("}, {"except": "*"}, {"encoding": "cp9999"}])
def test_a_pattern_or_code_page_that_is_none_is_told_at_check(option: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        opened(**option)


def test_what_the_printer_answers_is_no_print() -> None:
    driver = opened()
    items = [*driver.feed(b"\x10\x1d", 0, Side.DEVICE), *driver.feed(RECEIPT, 0, Side.HOST)]
    items += [*driver.feed(b"\x1d\x76", 0, Side.DEVICE), *driver.feed(RECEIPT, 0, Side.HOST)]
    assert sales(items) == [(1, 0, 3900)] * 2


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("1d384c00001000", DamageReason.SANITY),  # GS 8 L with 2^20 bytes and more
        ("1b2a05ff03", DamageReason.SANITY),  # ESC * of no known mode
        ("1d7630000000ffff", None),  # nothing wide: nothing follows
        ("1d6b40", DamageReason.SYNTAX),
        ("1d5607", DamageReason.SYNTAX),
        ("1bff", DamageReason.SYNTAX),
    ],
)
def test_no_length_swallows_the_day(command: str, reason: DamageReason | None) -> None:
    raw = bytes.fromhex(command)
    if raw[1:3] == b"8L":
        raw = raw[:3] + (LARGEST_PAYLOAD + 1).to_bytes(4, "little")
    items = hear(raw + b"\n" + RECEIPT)
    assert [item.reason for item in items if isinstance(item, Damaged)] == ([reason] if reason else [])
    assert sales(items) == [(1, 0, 3900)]


NO_CUTS = [bytes.fromhex(text) for kind in ("drawer", "payloads") for text in VECTORS[kind].values()]


@given(
    prints=st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from(NO_CUTS), max_size=5)), max_size=6),
    step=st.integers(1, 50),
)
def test_receipts_are_the_prints_with_a_total_whatever_is_between_and_however_it_is_cut(
    prints: list[tuple[bool, list[bytes]]], step: int
) -> None:
    stream = b"".join(
        b"Kaffe\n" + b"".join(between) + (b"Totalt 39,00\n" if total else b"") + CUT
        for total, between in prints
    )
    driver = opened()
    items = [item for at in range(0, len(stream), step) for item in hear(stream[at : at + step], driver)]
    assert sales(items) == [(1, 0, 3900)] * sum(total for total, _ in prints)
    assert items.count(NO_TOTAL) == sum(not total for total, _ in prints)
