"""The mapping language over the payloads of real makers, and over nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from drivers.mapping.family import FAMILY
from gateway.driver import Device, Message, Messages, Site
from gateway.model import (
    Basis,
    Crossings,
    Damaged,
    DamageReason,
    Ignored,
    Item,
    Occupancy,
    Register,
    Resets,
    Transactions,
)

VECTORS = Path(__file__).parents[2] / "vectors"
NINE = 1_795_424_400_000  # 2026-11-23T09:00:00Z
OSLO = Site("Europe/Oslo", "NOK")


def vector(file: str, name: str) -> Any:
    vectors = json.loads((VECTORS / file).read_text(encoding="utf-8"))["vectors"]
    return next(entry["payload"] for entry in vectors if entry["id"] == name)


def device(table: dict[str, Any], site: Site = OSLO) -> Device:
    return Device(FAMILY.options.model_validate(table), site=site)


def decode(table: dict[str, Any], body: Any, site: Site = OSLO, **envelope: Any) -> list[Item]:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    message = Message(payload, envelope.pop("at_ms", NINE), **envelope)
    return list(cast("Messages", FAMILY.open(device(table, site))).decode(message))


def reading(**keys: Any) -> dict[str, Any]:
    return {"reading": [keys]}


def test_the_example_of_the_contract() -> None:
    table = reading(
        rows="Data[*].Lines[*]",
        counter="$.Device.Mac",
        line="Name",
        start="From",
        end="To",
        ins="In",
        outs="Out",
    )
    line = {"Name": "A", "From": "2026-11-23T09:00:00Z", "To": "2026-11-23T10:01:00+01:00", "In": 3, "Out": 2}
    body = {"Device": {"Mac": "0002D1A2B3C4"}, "Data": [{"Lines": [line]}]}
    assert decode(table, body) == [Crossings("0002D1A2B3C4", "A", NINE, NINE + 60_000, 3, 2)]


def test_axis_gives_each_direction_from_a_row_of_its_own() -> None:
    table = {
        "base": {
            "rows": "data.measurements[*].items[*]",
            "counter": "$.sensor.serial",
            "start": "^.utcFrom",
            "end": "^.utcTo",
        },
        "reading": [
            {"where": {"direction": "in"}, "ins": "count"},
            {"where": {"direction": "out"}, "outs": "count"},
        ],
    }
    start, end = 1607429940000, 1607430000000
    assert decode(table, vector("axis_retail_data_push.json", "vendor-doc")) == [
        Crossings("accc8ef3d92e", "main", start, end, ins=0),
        Crossings("accc8ef3d92e", "main", start, end, outs=0),
    ]
    (test,) = decode(table, vector("axis_retail_data_push.json", "connection-test"))
    assert isinstance(test, Ignored)


def test_irisys_registers_are_totals_named_by_their_text() -> None:
    table = reading(
        rows="CountLogs[*].Counts[*]",
        where={"Name": {"like": "Line ?"}},
        counter="$.FriendlyDeviceSerial",
        line="Name",
        at="^.Timestamp",
        key="^.LogEntryId",
        total_passes="Value",
        register={"width_bits": 32},
    )
    at = 1543846860000
    assert decode(table, vector("irisys_vector4d.json", "http-post")) == [
        Register("V4D-17020025", "Line 1", at, total_passes=121, key="353493", modulus=2**32),
        Register("V4D-17020025", "Line 2", at, total_passes=127, key="353493", modulus=2**32),
    ]
    assert FAMILY.basis_for(device(table)) is Basis.TOTAL


def test_milesight_sends_deltas_totals_and_levels_in_one_body() -> None:
    table = {
        "base": {
            "counter": "$.device_info.device_sn",
            "start": "$.time_info.start_time",
            "end": "$.time_info.end_time",
        },
        "reading": [
            {"rows": "line_periodic_data[*]", "line": "line", "ins": "total.in", "outs": "total.out"},
            {
                "rows": "line_total_data[*]",
                "line": "line",
                "total_in": "total.in_counted",
                "total_out": "total.out_counted",
                "epoch": "line_uuid",
            },
            {
                "rows": "region_data.region_count_data[*]",
                "line": "region_name",
                "persons": "total.current_total",
            },
        ],
    }
    start, end, sn = 1717071649000, 1717071709000, "6384E16179950009"
    assert decode(table, vector("milesight_http_mqtt_json.json", "vs125-periodic")) == [
        Crossings(sn, "1", start, end, 0, 0),
        Crossings(sn, "2", start, end, 0, 0),
        Register(sn, "1", end, 0, 0, epoch="9a0440de-3188-4f6d-b886-bb20c97bd26b"),
        Occupancy(sn, "Region1", end, 2),
    ]
    assert FAMILY.basis_for(device(table)) is Basis.DELTA


def test_a_row_with_only_an_instant_is_an_event_with_a_hashed_id() -> None:
    table = reading(counter="sensor", line="line", at="ts", key="seq", ins="in", outs="out")
    body = {"sensor": "door-07", "line": 1, "seq": 42, "ts": "2026-11-23T09:00:00.123Z", "in": 3, "out": 1}
    (event,) = decode(table, body)
    assert isinstance(event, Crossings)
    assert (event.counter, event.line, event.ins, event.outs) == ("door-07", "1", 3, 1)
    assert (event.start_ms, event.end_ms, event.basis) == (NINE + 123, NINE + 124, Basis.EVENT)
    assert event.key
    assert event.key != "42"
    assert decode(table, body) == [event]
    assert decode(table, {**body, "seq": 43}) != [event]


def test_receipts_of_a_quarter_of_an_hour_in_local_time() -> None:
    table = {
        "time": {"format": "%d.%m.%Y %H:%M", "zone": "site", "span_s": 900, "label": "start"},
        "format": {"json": {"decimal": ","}},
        "reading": [
            {
                "till": "Kasse",
                "start": "Fra",
                "sales": "Kvitteringer",
                "returns": "Returer",
                "amount": "Omsetning",
                "currency": "=NOK",
            }
        ],
    }
    body = {
        "Kasse": 1001,
        "Fra": "23.11.2026 10:00",
        "Kvitteringer": "4",
        "Returer": 1,
        "Omsetning": "1 299,00",
    }
    assert decode(table, body) == [
        Transactions("1001", NINE, NINE + 900_000, 4, 1, 129_900, "NOK"),
    ]


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [
        ("NOK", 129.9, 12_990),
        ("NOK", "129.90", 12_990),
        ("ISK", 1299, 1299),
        ("BHD", "1.234", 1234),
        ("SEK", 0.1 + 0.2, 30),
    ],
)
def test_money_is_in_minor_units_of_its_currency(currency: str, amount: object, minor: int) -> None:
    table = reading(till="t", sales="=1", at="at", amount="a", currency="c")
    body = {"t": "p", "a": amount, "c": currency, "at": "2026-11-23T09:00:00Z"}
    (sale,) = decode(table, body)
    assert isinstance(sale, Transactions)
    assert (sale.sales, sale.amount_minor, sale.currency) == (1, minor, currency)
    assert (sale.start_ms, sale.end_ms, sale.basis) == (NINE, NINE + 1, Basis.EVENT)


@pytest.mark.parametrize("amount", [-1, "abc", 1e999, 1e29, 10**11, True, [], "1_0"])
def test_money_out_of_range_is_damage(amount: object) -> None:
    (item,) = decode(reading(sales="=1", amount="a"), {"a": amount})
    assert isinstance(item, Damaged)
    assert item.reason is DamageReason.SANITY


def test_the_envelope_can_name_counter_and_line() -> None:
    table = reading(counter="topic[1]", line="header.X-Line", ins="in", epoch="link")
    (item,) = decode(table, {"in": 1}, topic="shop/door-3/count", headers={"x-line": "B"}, link="broker")
    assert isinstance(item, Crossings)
    assert (item.counter, item.line) == ("door-3", "B")


def test_without_time_ids_or_lines_there_is_still_a_count() -> None:
    assert decode(reading(ins="in"), {"in": 2}) == [Crossings("device", "main", None, None, 2)]


def test_reversed_swaps_both_kinds() -> None:
    table = reading(ins="i", outs="o", total_in="ti", total_out="to", reversed=True)
    crossings, register = decode(table, {"i": 1, "o": 2, "ti": 10, "to": 20})
    assert isinstance(crossings, Crossings)
    assert isinstance(register, Register)
    assert (crossings.ins, crossings.outs) == (2, 1)
    assert (register.total_in, register.total_out) == (20, 10)


def test_a_factor_scales_units_to_persons() -> None:
    (tens,) = decode(reading(ins="i", factor=10), {"i": 3})
    (halves,) = decode(reading(total_passes="t", factor=0.5), {"t": 7})
    assert isinstance(tens, Crossings)
    assert isinstance(halves, Register)
    assert (tens.ins, halves.total_passes) == (30, 3)


def test_a_bad_row_and_a_bad_field_lose_nothing_else() -> None:
    table = reading(rows="r[*]", ins="i", total_in="t")
    rows = [{"i": -1, "t": 5}, {"i": 2, "t": "x"}, {"i": 3, "t": 7}, 17, None]
    items = decode(table, {"r": rows})
    assert [type(item) for item in items] == [Damaged, Register, Crossings, Damaged, Crossings, Register]


@pytest.mark.parametrize("value", [-1, 2**63, 10**9 + 1, 1.5, "x", "1_0", True, [], {}, 1e999, float("nan")])
def test_a_count_that_cannot_be_is_damage(value: object) -> None:
    payload = json.dumps({"in": value}).encode()
    assert decode(reading(ins="in"), payload) == [Damaged(DamageReason.SANITY, len(payload))]


@pytest.mark.parametrize("value", [3, 3.0, "3", " 3 ", "3.0"])
def test_numbers_as_text_are_numbers(value: object) -> None:
    assert decode(reading(ins="in"), {"in": value}) == [Crossings("device", "main", None, None, 3)]


def test_a_total_may_be_wider_than_a_count_but_not_than_its_register() -> None:
    (wide,) = decode(reading(total_in="t"), {"t": 2**32 - 1})
    assert isinstance(wide, Register)
    assert wide.total_in == 2**32 - 1
    (item,) = decode(reading(total_in="t", register={"width_bits": 16}), {"t": 65_536})
    assert isinstance(item, Damaged)


@pytest.mark.parametrize("body", [{}, [], 3, "text", None, {"in": None}, {"in": ""}, {"other": 1}])
def test_a_body_that_no_reading_fits_is_ignored(body: object) -> None:
    (item,) = decode(reading(ins="in"), body)
    assert isinstance(item, Ignored)


def test_a_list_without_rows_is_read_element_by_element() -> None:
    items = decode(reading(ins="in"), [{"in": 1}, {"in": 2}])
    assert [item.ins for item in items if isinstance(item, Crossings)] == [1, 2]


def test_retained_deltas_without_time_or_id_are_ignored_and_totals_used() -> None:
    table = reading(ins="in", total_in="t")
    delta, total = decode(table, {"in": 1, "t": 5}, retained=True)
    assert isinstance(delta, Ignored)
    assert isinstance(total, Register)
    (kept,) = decode(reading(ins="in", start="s", end="e"), TIMED, retained=True)
    assert isinstance(kept, Crossings)
    (wanted,) = decode(reading(ins="in", retained=True), {"in": 1}, retained=True)
    assert isinstance(wanted, Crossings)
    (refused,) = decode({"retained": False, "reading": [{"total_in": "t"}]}, {"t": 5}, retained=True)
    assert isinstance(refused, Ignored)


TIMED = {"in": 1, "s": "2026-11-23T09:00:00Z", "e": "2026-11-23T09:15:00Z"}


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ({"like": "b*"}, ["b", "bc"]),
        ({"like": "[a]"}, []),
        ({"not": "a"}, ["b", "bc", None]),
        ({"not": ["a", "b"]}, ["bc", None]),
        ({"exists": True}, ["a", "b", "bc"]),
        ({"exists": False}, [None]),
    ],
)
def test_conditions_choose_rows(condition: object, passes: list[str | None]) -> None:
    body = [{"k": kind, "in": 1, "name": str(kind)} for kind in ("a", "b", "bc", None)]
    found = decode(reading(ins="in", line="name", where={"k": condition}), body)
    assert [item.line for item in found if isinstance(item, Crossings)] == [str(kind) for kind in passes]
    others = decode(reading(ins="in", line="name", **{"except": {"k": condition}}), body)
    assert sum(isinstance(item, Crossings) for item in others) == 4 - len(passes)


def test_conditions_on_numbers() -> None:
    table = reading(ins="in", where={"q": {"above": 10, "below": 20}, "v": 1})
    rows = [
        {"in": 1, "q": q, "v": v} for q, v in ((15, 1), (10, 1), (20, 1), ("15", "1"), (None, 1), (15, True))
    ]
    assert sum(isinstance(item, Crossings) for item in decode(table, rows)) == 2


def test_an_element_above_is_reached_over_several_lists() -> None:
    table = reading(
        rows="sites[*].doors[*].lines[*]", counter="^.id", line="n", ins="i", key="^.^.site", at="t"
    )
    lines = [{"n": "x", "i": 1, "t": "2026-11-23T09:00:00Z"}]
    body = {"sites": [{"site": "s", "doors": [{"id": "d1", "lines": lines}, {"id": "d2", "lines": lines}]}]}
    items = decode(table, body)
    assert [item.counter for item in items if isinstance(item, Crossings)] == ["d1", "d2"]


def test_quoted_names_may_hold_dots() -> None:
    (item,) = decode(reading(ins='counts."in.total"[1]'), {"counts": {"in.total": [5, 6]}})
    assert isinstance(item, Crossings)
    assert item.ins == 6


def test_explain_names_every_leaf_and_whether_it_was_used() -> None:
    table = reading(rows="r[*]", where={"k": "a"}, ins="in")
    body = {"r": [{"k": "a", "in": 1, "x": 0}, {"k": "b", "in": 2}], "z": []}
    assert FAMILY.explain
    told = FAMILY.explain(device(table), Message(json.dumps(body).encode(), 0))
    assert list(told) == [
        ("r[0].k", "'a'", True),
        ("r[0].in", "1", True),
        ("r[0].x", "0", False),
        ("r[1].k", "'b'", True),
        ("r[1].in", "2", False),
        ("z", "[]", False),
    ]


def test_resets_follow_the_register() -> None:
    assert FAMILY.resets_for(device(reading(total_in="t"))) is Resets.POWER
    table = reading(total_in="t", register={"restarts_at": "daily"})
    assert FAMILY.resets_for(device(table)) is Resets.DAILY
    (item,) = decode(reading(total_in="t", register={"restarts_at": 1_000_000}), {"t": 999_999})
    assert isinstance(item, Register)
    assert item.modulus == 1_000_000
