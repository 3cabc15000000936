"""The simulated counters and tills say what they saw, whatever happens to their messages."""

from __future__ import annotations

import json
import random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.mqtt import Counter, poisson, voice, xovis_package
from simulators.till import interval_file, interval_message, receipt_message, receipts_between

OSLO = ZoneInfo("Europe/Oslo")
NOON = 1_795_435_200_000  # 2026-11-23T12:00:00Z
MINUTE = 60_000

# akenza-io/device-type-library, types/xovis/PC2SV5/uplink.spec.js (MIT): the first records of "Line 0"
CAPTURED_RECORDS = [
    {"from": 1645792860000, "to": 1645792920000, "counts": [("fw", 1), ("bw", 0)]},
    {"from": 1645792920000, "to": 1645792980000, "counts": [("fw", 3), ("bw", 1)]},
]


def test_a_package_has_the_shape_of_a_captured_one() -> None:
    records = [(1645792860000, 1645792920000, 1, 0), (1645792920000, 1645792980000, 3, 1)]
    body = json.loads(xovis_package({"Line 0": records}, 28))["logics_data"]
    assert body["package_info"] == {"version": "5.0", "id": 28, "agent_id": 1008}
    (logic,) = body["logics"]
    assert (logic["name"], logic["info"]) == ("Line 0", "XLT_4X_LINE_IN_OUT_COUNT")
    found = [
        {**record, "counts": [(count["name"], count["value"]) for count in record["counts"]]}
        for record in logic["records"]
    ]
    assert found == CAPTURED_RECORDS


def rows(payload: bytes) -> list[tuple[Any, ...]]:
    body = json.loads(payload)
    if "logics_data" in body:
        return [
            (record["from"], *(count["value"] for count in record["counts"]))
            for logic in body["logics_data"]["logics"]
            for record in logic["records"]
        ]
    return [(row["from"], row["in"], row["out"]) for row in body.get("rows", [])]


@pytest.mark.parametrize("kind", ["xovis", "json"])
def test_late_double_and_overlapping_packages_still_tell_everything(kind: str) -> None:
    counter = Counter("door", 7, voice(kind, 0, "door"), trouble=0.3)
    quiet = Counter("door", 7, voice(kind, 0, "door"))
    sent, told = [], []
    for start_ms in range(NOON, NOON + 200 * MINUTE, MINUTE):
        record = counter.saw(start_ms, start_ms + MINUTE)
        sent += [row for payload in counter.payloads(record) for row in rows(payload)]
        told += rows(quiet.tell([quiet.saw(start_ms, start_ms + MINUTE)]))
    sent += [row for payload in counter.release(1000) for row in rows(payload)]
    assert set(sent) == set(told)
    assert len(sent) > len(told), "no trouble happened"
    assert [row[0] for row in sent] != sorted(row[0] for row in sent), "nothing was out of order"


def test_poisson_has_its_mean_and_variance() -> None:
    source = random.Random(1)
    draws = [poisson(source, 3.0) for _ in range(4000)]
    mean = sum(draws) / len(draws)
    variance = sum((draw - mean) ** 2 for draw in draws) / len(draws)
    assert mean == pytest.approx(3.0, abs=0.15)
    assert variance == pytest.approx(3.0, abs=0.4)
    assert poisson(source, 0.0) == 0


def test_an_interval_message_is_the_sum_of_its_receipts() -> None:
    receipts = list(receipts_between(3, "pos-1", NOON, NOON + 60 * MINUTE))
    body = json.loads(interval_message("pos-1", NOON, NOON + 60 * MINUTE, receipts, "NOK"))
    single = [json.loads(receipt_message(receipt, "NOK")) for receipt in receipts]
    assert len(receipts) > 20
    for fact in ("sales", "returns"):
        assert body[fact] == sum(one[fact] for one in single)
    assert body["amount"] == pytest.approx(sum(one["amount"] for one in single))
    assert (body["from"], body["to"]) == ("2026-11-23T12:00:00.000Z", "2026-11-23T13:00:00.000Z")


def test_a_file_is_written_as_a_cash_register_system_writes_it() -> None:
    assert interval_file([("1001", 4, 1, 129_905), ("1002", 0, 0, 0)], NOON, OSLO) == (
        b"Kasse;Fra;Kvitteringer;Returer;Omsetning\r\n"
        b"1001;23.11.2026 13:00;4;1;1\xa0299,05\r\n"
        b"1002;23.11.2026 13:00;0;0;0,00\r\n"
    )
