"""One intact telegram of every family, how each is heard, and what a sane item is: for laws and fuzzer.

A new family adds one entry to SAMPLES.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from gateway.driver import (
    Device,
    Driver,
    Exchange,
    Family,
    Kind,
    Message,
    Messages,
    Response,
    Stream,
    load_family,
)
from gateway.model import (
    MAX_COUNT,
    MAX_INTERVAL_MS,
    MAX_MONEY_MINOR,
    Crossings,
    Damaged,
    Ignored,
    Item,
    Occupancy,
    Register,
    Status,
    Transactions,
)

VECTORS = Path(__file__).parent / "vectors"
AT_MS = 1_795_424_400_000
LONGEST_NAME = 160
HELD_BYTES = 100_000


@dataclass(frozen=True)
class Sample:
    """One intact telegram of a family: what was asked (exchanges only) and what came."""

    options: dict[str, Any]
    telegram: bytes
    request: bytes = b""


def _frame(file: str, name: str) -> bytes:
    vectors = json.loads((VECTORS / file).read_text(encoding="utf-8"))["vectors"]
    return next(bytes.fromhex(vector["hex"]) for vector in vectors if vector["id"] == name)


def _said(file: str, protocol: str, name: str) -> bytes:
    """One line of text that the vectors hold by its name."""
    line: str = json.loads((VECTORS / file).read_text(encoding="utf-8"))[protocol][name]
    return line.encode("ascii")


def _first_body(file: str) -> bytes:
    body: str = json.loads((VECTORS / file).read_text(encoding="utf-8"))["vectors"][0]["body"]
    return body.encode()


def _first_payload(file: str) -> bytes:
    return _payload(file, 0)


def _payload(file: str, number: int) -> bytes:
    vectors = json.loads((VECTORS / file).read_text(encoding="utf-8"))["vectors"]
    return json.dumps(vectors[number]["payload"]).encode()


def _forwarded(file: str, name: str) -> bytes:
    """As the maker's platform posts it."""
    vectors = json.loads((VECTORS / file).read_text(encoding="utf-8"))["vectors"]
    vector = next(vector for vector in vectors if vector["id"] == name)
    decoded = {"received_at": vector["expect"]["received_at"]}
    return json.dumps({"devicePayload": vector["base64"], "decoded": decoded}).encode()


AXIS = {
    "reading": [
        {
            "rows": "data.measurements[*].items[*]",
            "where": {"direction": way},
            "counter": "$.sensor.serial",
            "start": "^.utcFrom",
            "end": "^.utcTo",
            field: "count",
        }
        for way, field in (("in", "ins"), ("out", "outs"))
    ]
}
COUNTED_ALOUD = {
    "reading": [
        {"pattern": r"Person entered\. Count: (?P<persons>\d+)", "ins": "=1"},
        {"pattern": r"Person exited\. Count: (?P<persons>\d+)", "outs": "=1"},
    ]
}
SAMPLES = {
    "axis": Sample({}, _first_payload("axis_retail_data_push.json")),
    # the vendor's own example of live-sum.json
    "axis-tvpc": Sample(
        {}, _first_payload("axis_people_counter.json"), b"GET /local/tvpc/.api?live-sum.json"
    ),
    "brickstream": Sample({}, _first_body("brickstream_xml.json")),
    "cleancash": Sample({}, _said("serial-pos-control-units.json", "cleancash", "sale")),
    # vendor manual: channel 0 of module 01 stands at hexadecimal 1E
    "dcon": Sample({}, b">0000001E\r", b"#010\r"),
    # a public sketch; the greeting of a board, or noise, may stand before it without a line's end
    "lines": Sample(COUNTED_ALOUD, b"\r\nPerson entered. Count: 7\r\n"),
    "escpos": Sample({}, b"\x1b@Kaffe 39,00\nTotalt 39,00 SEK\n\x1dV\x00"),
    "gate7e": Sample(
        {}, _frame("serial-gate-7e7f.json", "status"), _frame("serial-gate-7e7f.json", "query-m1")
    ),
    "hikvision": Sample({}, _first_body("hikvision_isapi_xml.json")),
    "hpc168": Sample(
        {}, _frame("serial-hpc168.json", "reply-300-287"), _frame("serial-hpc168.json", "query-0001")
    ),
    "imbuildings": Sample({}, _forwarded("imbuildings.json", "t2v6-cloud-base64")),
    "irisys": Sample({}, _first_payload("irisys_vector4d.json")),
    "mapping": Sample(AXIS, _first_payload("axis_retail_data_push.json")),
    "milesight": Sample({}, _payload("milesight_http_mqtt_json.json", 1)),
    "saft": Sample({}, _first_body("saft_cash_register.json")),
    "shopify": Sample({}, _first_payload("shopify_webhooks.json")),
    "skattedosan": Sample({}, _said("serial-pos-control-units.json", "skattedosan", "sale")),
    "square": Sample({}, _first_payload("square_webhooks.json")),
    "terabee": Sample({}, _frame("serial-terabee-evo.json", "pc-2021")),
    # a contact closes for 120 ms, watched from before
    "pulse": Sample({}, b"\r\n17 =0 1000\n17 1 2000\n17 0 2120\n"),
    # constructed from the makers' register map: in 65541, out 65535, low words first
    "modbus": Sample(
        {"map": "lot"},
        bytes.fromhex("010308 0005 0001 ffff 0000 fd33"),
        bytes.fromhex("0103 0044 0004 041c"),
    ),
    # constructed: of the portal's description only the first part is public
    "viametrix": Sample({"counter": "1001"}, _first_payload("viametrix.json"), b"GET /counters/1001/counts"),
    "xovis": Sample({}, _first_payload("xovis_v5_json.json")),
}


def opened(name: str) -> tuple[Family, Driver]:
    family = load_family(name)
    device = Device(family.options.model_validate(SAMPLES[name].options))
    return family, family.open(device)


def hear(name: str, family: Family, driver: Driver, telegram: bytes) -> list[Item]:
    """Whatever carries it: one telegram in, items out."""
    if family.kind is Kind.STREAM:
        return list(cast("Stream", driver).feed(telegram, AT_MS))
    if family.kind is Kind.EXCHANGE:
        answer = cast("Exchange", driver).answer(SAMPLES[name].request, Response(telegram, AT_MS))
        return list(answer)
    return list(cast("Messages", driver).decode(Message(telegram, AT_MS, "a/b")))


def assert_sane(items: Iterable[Item]) -> None:
    for item in items:
        for value in (
            getattr(item, key, None) for key in ("counter", "line", "till", "key", "detail", "reason")
        ):
            assert value is None or (len(value) <= LONGEST_NAME and value.isprintable()), item
        CHECKS[type(item)](item)


def _sane_span(item: Crossings | Transactions) -> None:
    assert (item.start_ms is None) == (item.end_ms is None)
    if item.start_ms is not None and item.end_ms is not None:
        assert 0 < item.start_ms < item.end_ms <= item.start_ms + MAX_INTERVAL_MS


def _sane_crossings(item: Crossings) -> None:
    _sane_span(item)
    counts = [count for count in (item.ins, item.outs, item.passes) if count is not None]
    assert counts
    assert all(type(count) is int and 0 <= count <= MAX_COUNT for count in counts)


def _sane_register(item: Register) -> None:
    totals = [total for total in (item.total_in, item.total_out, item.total_passes) if total is not None]
    assert totals
    assert all(type(total) is int and 0 <= total < 2**53 for total in totals)
    assert item.modulus is None or all(total < item.modulus for total in totals)


def _sane_transactions(item: Transactions) -> None:
    _sane_span(item)
    assert 0 <= item.sales <= MAX_COUNT
    assert 0 <= item.returns <= MAX_COUNT
    assert 0 <= item.amount_minor <= MAX_MONEY_MINOR


def _sane_occupancy(item: Occupancy) -> None:
    assert 0 <= item.persons <= MAX_COUNT


def _sane_damage(item: Damaged) -> None:
    assert item.bytes >= 0


CHECKS: dict[type, Callable[[Any], None]] = {
    Crossings: _sane_crossings,
    Register: _sane_register,
    Transactions: _sane_transactions,
    Occupancy: _sane_occupancy,
    Damaged: _sane_damage,
    Status: lambda _item: None,
    Ignored: lambda _item: None,
}
