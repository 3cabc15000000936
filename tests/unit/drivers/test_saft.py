"""SAF-T Cash Register files: which receipts are sales, once each, in files that overlap, are long or cut."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.saft import codec
from drivers.saft.family import FAMILY
from gateway.driver import Device, Message, Site
from gateway.items import to_json
from gateway.model import Damaged, DamageReason, Ignored, Item, Transactions
from simulators.receipts import Receipt
from simulators.saft import audit_file

OSLO = ZoneInfo("Europe/Oslo")
VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parents[2] / "vectors/saft_cash_register.json").read_text())[
        "vectors"
    ]
}
NEXT_DAY = 1_795_500_000_000
EXAMPLE: str = VECTORS["example-file"]["body"]
TEN = 1_795_424_400_000  # 2026-11-23T10:00+01:00


def decode(body: str | bytes, at_ms: int = NEXT_DAY, **options: Any) -> list[Item]:
    device = Device(FAMILY.options.model_validate(options), site=Site("Europe/Oslo", "XXX"))
    driver: Any = FAMILY.open(device)
    return list(driver.decode(Message(body.encode() if isinstance(body, str) else body, at_ms)))


def sold(items: list[Item]) -> list[Transactions]:
    return [item for item in items if isinstance(item, Transactions)]


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_files_of_the_documents(vector: dict[str, Any]) -> None:
    told = [to_json(item) for item in decode(vector["body"])]
    for one in told:
        one.pop("key", None)
        one.pop("bytes", None)
    assert told == vector["expect"]


def test_a_receipt_is_known_by_a_key_that_tells_no_number() -> None:
    keys = [item.key for item in sold(decode(EXAMPLE))]
    assert len(set(keys)) == 4
    assert all(key is not None and len(key) == 24 for key in keys)
    assert all(item.once for item in sold(decode(EXAMPLE)))


@pytest.mark.parametrize(
    ("given", "other"),
    [
        ("999999999", "888888888"),
        ("11.222-33.44.567", "11.222-33.44.568"),
        ("<nr>1000</nr><transID>1000</transID>", "<nr>1000</nr><transID>2000</transID>"),
        ("<transDate>2020-01-01</transDate>", "<transDate>2021-01-01</transDate>"),
    ],
)
def test_the_same_number_elsewhere_is_another_receipt(given: str, other: str) -> None:
    assert given in EXAMPLE
    assert sold(decode(EXAMPLE))[0].key != sold(decode(EXAMPLE.replace(given, other)))[0].key


@pytest.mark.parametrize("tag", ["voidTransaction", "trainingID"])
@pytest.mark.parametrize("true", ["true", "1", "True", "TRUE"])
def test_voids_and_training_are_no_receipts_however_it_is_written(tag: str, true: str) -> None:
    body = EXAMPLE.replace(f"<{tag}>false<", f"<{tag}>{true}<")
    assert sold(decode(body)) == []
    assert len(decode(body)) == 4


def test_a_receipt_has_the_same_key_whatever_else_is_in_the_file() -> None:
    receipts = list(some(30))
    whole = {item.key: item for item in sold(decode(audit_file("1", receipts, OSLO)))}
    early = {item.key: item for item in sold(decode(audit_file("1", receipts[:17], OSLO)))}
    assert early.items() <= whole.items()
    assert len(whole) == 30


def some(number: int) -> Iterator[Receipt]:
    """One each ten seconds; each seventh gives money back."""
    for one in range(1, number + 1):
        yield Receipt("1", str(one), TEN + 10_000 * one, 0 if one % 7 == 0 else 100 * one, one % 7 == 0)


def test_simulated_registers_are_read_as_their_truth_says() -> None:
    receipts = list(some(50))
    items = sold(decode(audit_file("kasse 1", receipts, OSLO)))
    assert [(item.till, item.start_ms, item.amount_minor, item.returns) for item in items] == [
        ("kasse 1", one.at_ms, one.amount_minor, int(one.returned)) for one in receipts
    ]


def test_codes_of_the_company_can_be_named() -> None:
    body = EXAMPLE.replace("<predefinedBasicID>11001</predefinedBasicID>", "")
    assert [type(item) for item in decode(body)] == [Damaged, Damaged, Damaged, Transactions]
    items = sold(decode(body, sales=["CASHSAL"]))
    assert [item.sales for item in items] == [1, 1, 1, 0]
    assert decode(EXAMPLE, sales=["11002"])[0] == Ignored("transaction of another kind")


def test_a_file_of_another_company_is_not_counted() -> None:
    assert sold(decode(EXAMPLE, organisation="999999999")) == sold(decode(EXAMPLE))
    assert decode(EXAMPLE, organisation="888888888") == [Ignored("file of another company")]


def test_the_hour_that_autumn_repeats_is_the_later_one_unless_that_is_still_to_come() -> None:
    """Oslo, 2026-10-25: half past two comes at 00:30 and at 01:30 UTC. One key: counted once all the same."""
    body = EXAMPLE.replace("2020-01-01</transDate><transTime>09:00", "2026-10-25</transDate><transTime>02:30")
    early = sold(decode(body, at_ms=1_792_888_800_000))[0]  # a file of 00:40
    late = sold(decode(body, at_ms=NEXT_DAY))[0]
    assert (early.start_ms, late.start_ms) == (1_792_888_200_000, 1_792_891_800_000)
    assert early.key == late.key


@settings(deadline=None)
@given(st.integers(0, len(EXAMPLE)))
def test_a_file_that_is_cut_counts_what_was_whole(cut: int) -> None:
    items = decode(EXAMPLE[:cut])
    whole = sold(decode(EXAMPLE))
    assert sold(items) == whole[: len(sold(items))]
    assert len(sold(items)) == EXAMPLE[:cut].count("</cashtransaction>")
    assert isinstance(items[-1], Damaged) == (cut < len(EXAMPLE))


def test_five_times_the_file_needs_no_more_memory() -> None:
    rules = codec.Rules(("11001",), ("11006",), OSLO, "NOK")
    peaks = []
    for number in (500, 2_500):
        body = audit_file("1", list(some(number)), OSLO).encode()
        tracemalloc.start()
        count = sum(isinstance(item, Transactions) for item in codec.decode(body, NEXT_DAY, rules))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == number
    assert peaks[1] < 1.2 * peaks[0] < 1 << 20 < len(body)


@pytest.mark.parametrize("inside", ["<!--{}-->", "<?x {}?>", '<event id="{}"/>', "<{}/>"])
def test_one_endless_tag_or_comment_is_not_gathered(inside: str) -> None:
    body = EXAMPLE.replace("<event>", inside.format("x" * (3 << 20)) + "<event>", 1).encode()
    tracemalloc.start()
    items = decode(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert items == [Damaged(DamageReason.LENGTH, len(body))]
    assert peak < 3 << 20


def test_a_receipt_of_endless_text_or_parts_is_not_gathered() -> None:
    for inside in (f"<desc>{'x' * (2 << 20)}</desc>", "<part/>" * 30_000, "<part>" * 100):
        body = EXAMPLE.replace("<transAmntIn>", f"{inside}<transAmntIn>", 1)
        (item,) = decode(body)
        assert isinstance(item, Damaged)
        assert item.reason is DamageReason.LENGTH


def test_a_thousand_lines_of_one_receipt_are_passed_over() -> None:
    line = "<ctLine><nr>1</nr><lineID>1</lineID><vat><vatCode>3</vatCode></vat></ctLine>"
    body = EXAMPLE.replace("<ctLine>", f"{line * 40_000}<ctLine>", 1)
    assert sold(decode(body)) == sold(decode(EXAMPLE))


@pytest.mark.parametrize("inside", ["<n{}/>", '<event n{}=""/>', '<event xmlns:n{}="n"/>'])
def test_a_file_of_ever_new_names_is_not_learned_by_heart(inside: str) -> None:
    body = EXAMPLE.replace("<event>", "".join(inside.format(one) for one in range(2000)) + "<event>", 1)
    assert decode(body) == [Damaged(DamageReason.LENGTH, len(body))]


def told(body: str | bytes, **options: Any) -> list[tuple[str, str]]:
    payload = body.encode() if isinstance(body, str) else body
    device = Device(FAMILY.options.model_validate(options), site=Site("Europe/Oslo", "NOK"))
    assert FAMILY.faults is not None
    return list(FAMILY.faults(device, Message(payload, NEXT_DAY)))


def test_a_code_that_nothing_explains_is_named_where_it_stands() -> None:
    """The remedy is to name it in the configuration: so it must be told."""
    receipts = EXAMPLE.count("<cashtransaction>")
    body = re.sub("<transType>[^<]*", "<transType>K7", EXAMPLE)
    assert told(body) == [
        (f"cashtransaction[{number}].transType", "neither basics nor sales nor returns explain 'K7'")
        for number in range(receipts)
    ]
    assert told(body, sales=["K7"]) == []
    assert told(EXAMPLE) == []


def test_damage_is_told_with_its_place() -> None:
    assert told(EXAMPLE.replace("<transTime>", "<transTime>x", 1)) == [
        ("cashtransaction[0]", "its number, date, time or amount is missing or no such")
    ]
    ended = "no XML behind that: cut off, another encoding than declared, or a document type"
    assert told(EXAMPLE[: EXAMPLE.index("</cashtransaction>") + 40]) == [("receipt 1", ended)]
    assert told(b"PK\x03\x04") == [("receipt 0", ended)]
    assert told("<!DOCTYPE a [<!ENTITY b 'c'>]><auditfile>&b;</auditfile>") == [("receipt 0", ended)]
    huge = EXAMPLE.replace("<transAmntIn>", f"{'<part/>' * 30_000}<transAmntIn>", 1)
    assert told(huge) == [("receipt 0", "behind that something is longer or deeper than any till writes")]
