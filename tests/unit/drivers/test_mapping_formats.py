"""Mappings of XML and CSV: bodies of real makers, receipts of a till, and what must be refused."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.mapping.family import FAMILY
from drivers.mapping.formats import MAX_ROWS
from drivers.markup import MAX_DEPTH, MAX_NODES
from gateway.driver import Device, Message, Messages, Site
from gateway.model import Crossings, Damaged, DamageReason, Ignored, Item, Register, Transactions

VECTORS = Path(__file__).parents[2] / "vectors"
OSLO = Site("Europe/Oslo", "NOK")
NINE = 1_795_424_400_000  # 2026-11-23T09:00:00Z, ten in Oslo
QUARTER = 900_000
RECEIPTS = {
    "format": {"csv": {"separator": ";", "encoding": "cp1252", "decimal": ","}},
    "time": {"format": "%d.%m.%Y %H:%M", "zone": "site", "span_s": 900, "label": "start"},
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
HEADER = "Kasse;Fra;Kvitteringer;Returer;Omsetning\r\n"
BRICKSTREAM = {
    "format": "xml",
    "time": {"format": "unix_s", "span_s": 60},
    "reading": [
        {
            "rows": "ReportData.Report[*].Object[*].Count[*]",
            "counter": "$.Properties.MacAddress",
            "line": "^.@Name",
            "start": "@UnixStartTime",
            "ins": "@Enters",
            "outs": "@Exits",
        }
    ],
}
HIKVISION = {
    "format": "xml",
    "base": {"rows": "peopleCounting", "counter": "$.macAddress", "where": {"$.eventType": "PeopleCounting"}},
    "reading": [
        {
            "where": {"statisticalMethods": "realTime"},
            "at": "RealTime.time",
            "total_in": "enter",
            "total_out": "exit",
        },
        {
            "where": {"statisticalMethods": "timeRange"},
            "start": "TimeRange.startTime",
            "end": "TimeRange.endTime",
            "ins": "enter",
            "outs": "exit",
        },
    ],
}
SALE = Transactions("1001", NINE, NINE + QUARTER, 4, 1, 129_900, "NOK")


def body(file: str, name: str) -> str:
    vectors = json.loads((VECTORS / file).read_text(encoding="utf-8"))["vectors"]
    found: str = next(entry["body"] for entry in vectors if entry["id"] == name)
    return found


def device(table: dict[str, Any]) -> Device:
    return Device(FAMILY.options.model_validate(table), site=OSLO)


def decode(table: dict[str, Any], payload: str | bytes, encoding: str = "utf-8") -> list[Item]:
    payload = payload.encode(encoding) if isinstance(payload, str) else payload
    driver = cast("Messages", FAMILY.open(device(table)))
    return list(driver.decode(Message(payload, NINE)))


def explained(table: dict[str, Any], payload: str) -> dict[str, tuple[str, bool]]:
    assert FAMILY.explain
    told = FAMILY.explain(device(table), Message(payload.encode(), NINE))
    return {path: (value, used) for path, value, used in told}


def test_brickstream_counts_every_row_of_every_object_of_every_day() -> None:
    payload = body("brickstream_xml.json", "v5")
    minute = Crossings("00:b0:9d:be:30:13", "1", 1_750_001_820_000, 1_750_001_880_000, 0, 0)
    assert decode(BRICKSTREAM, payload) == [minute]
    row = '<Count StartTime="17:38:00" UnixStartTime="1750001880" Enters="3" Exits="2" Status="0"/>'
    payload = payload.replace("</Object>", row + '</Object><Object Name="2">' + row + "</Object>")
    later = Crossings("00:b0:9d:be:30:13", "1", 1_750_001_880_000, 1_750_001_940_000, 3, 2)
    other = Crossings("00:b0:9d:be:30:13", "2", 1_750_001_880_000, 1_750_001_940_000, 3, 2)
    assert decode(BRICKSTREAM, payload) == [minute, later, other]


def test_hikvision_tells_totals_and_windows_apart_in_any_namespace() -> None:
    first = decode(HIKVISION, body("hikvision_isapi_xml.json", "psia-realtime"))
    assert first == [Register("84:9a:40:ec:f1:6d", "main", 1_594_267_627_000, 70, 75)]
    second = decode(HIKVISION, body("hikvision_isapi_xml.json", "psia-timerange-15min"))
    assert second == [Crossings("24:28:fd:f3:3a:11", "main", 1_634_036_400_000, 1_634_037_300_000, 0, 1)]
    third = decode(HIKVISION, body("hikvision_isapi_xml.json", "isapi20-realtime-retransmission-flag"))
    assert [(item.total_in, item.total_out) for item in third if isinstance(item, Register)] == [(15, 14)]


@pytest.mark.parametrize("path", ["d.n", "$.d.n", "n", "$.n", "n[0]", "d.n[0]"])
def test_the_outermost_element_need_not_be_named(path: str) -> None:
    (item,) = decode({"format": "xml", "reading": [{"ins": path}]}, "<x:d xmlns:x='u'><x:n>4</x:n></x:d>")
    assert isinstance(item, Crossings)
    assert item.ins == 4


def test_of_several_elements_none_is_taken_for_the_only_one() -> None:
    table = {"format": "xml", "reading": [{"ins": "n"}]}
    assert decode(table, "<d><n>4</n><n>5</n></d>") == [Damaged(DamageReason.SANITY, 23)]
    assert decode(table, "<d><n><a>1</a></n><n>5</n></d>") == [Damaged(DamageReason.SANITY, 30)]
    (item,) = decode({"format": "xml", "reading": [{"ins": "n[1]"}]}, "<d><n>4</n><n>5</n></d>")
    assert isinstance(item, Crossings)
    assert item.ins == 5


def test_text_beside_attributes_sections_and_encodings_are_text() -> None:
    table = {"format": "xml", "reading": [{"counter": "name", "ins": "n", "outs": "n.@o"}]}
    text = '<?xml version="1.0" encoding="iso-8859-1"?><d><name>Sør</name>'
    text += '<!-- x --><n o="2"><![CDATA[ 3 ]]></n></d>'
    assert decode(table, text, "iso-8859-1") == [Crossings("Sør", "main", None, None, ins=3, outs=2)]


BOMB = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><d><n>&b;</n></d>'


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (BOMB, "syntax"),
        ('<!DOCTYPE d SYSTEM "file:///etc/passwd"><d><n>1</n></d>', "syntax"),
        ('<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d><n>&x;</n></d>', "syntax"),
        ("<d><n>&undefined;</n></d>", "syntax"),
        ("<d><n>1</n>", "syntax"),
        ("<d/><d/>", "syntax"),
        ("<d>" * (MAX_DEPTH + 1), "length"),
        ("<d>" + "<n/>" * MAX_NODES + "</d>", "length"),
    ],
)
def test_xml_that_is_broken_or_means_harm_is_damaged(payload: str, reason: str) -> None:
    found = decode({"format": "xml", "reading": [{"ins": "n"}]}, payload)
    assert found == [Damaged(DamageReason(reason), len(payload))]


def test_receipts_in_the_shape_of_the_contract() -> None:
    text = HEADER + "1001;23.11.2026 10:00;4;1;1 299,00\r\n1002;23.11.2026 10:15;0;0;0,00\r\n"
    empty = Transactions("1002", NINE + QUARTER, NINE + 2 * QUARTER, 0, 0, 0, "NOK")
    assert decode(RECEIPTS, text, "cp1252") == [SALE, empty]


def csv_amount(keys: dict[str, Any], text: str) -> int | None:
    """Minor units of one quoted cell; None where it is damaged."""
    table = {"format": {"csv": keys}, "reading": [{"amount": "a"}]}
    (item,) = decode(table, f'a\n"{text}"\n')
    return item.amount_minor if isinstance(item, Transactions) else None


@pytest.mark.parametrize(
    ("keys", "text", "minor"),
    [
        ({"decimal": ","}, "1 299,00", 129_900),
        ({"decimal": ","}, "1\u00a0299,5", 129_950),
        ({"decimal": ","}, "12.345.678,90", 1_234_567_890),
        ({"decimal": ","}, "12.50", None),  # a decimal point, or a thousand cut short: never 1250
        ({"decimal": ","}, "1.2999,00", None),
        ({"decimal": ","}, "1,299.00", None),
        ({"decimal": ".", "thousands": ","}, "1,299.00", 129_900),
        ({"decimal": "."}, "1,299.00", None),
        ({"decimal": ".", "thousands": "'"}, "1'299.05", 129_905),
        ({"decimal": ","}, "9007199254740,93", None),  # above what a till can take, never rounded into range
        ({"decimal": ","}, "9007199254,93", 900_719_925_493),
        ({"decimal": ","}, "0,1", 10),
        ({"decimal": ","}, "-5,00", None),
        ({"decimal": ","}, "NaN", None),
    ],
)
def test_amounts_are_exact_or_damaged(keys: dict[str, Any], text: str, minor: int | None) -> None:
    assert csv_amount(keys, text) == minor


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "iso-8859-1", "utf-16", "cp850"])
def test_headers_in_any_encoding(encoding: str) -> None:
    table = {
        "format": {"csv": {"encoding": encoding}},
        "reading": [{"till": "Kassenummer på gulv", "sales": "Bøker"}],
    }
    text = 'Kassenummer på gulv,Bøker\n"1001",3\n'
    assert decode(table, text, encoding) == [Transactions("1001", None, None, 3, 0, 0, "NOK")]


def test_a_name_with_dots_is_quoted() -> None:
    table = {"format": "csv", "reading": [{"till": "Kassa", "sales": '"Ant. kvitt."'}]}
    assert decode(table, "Kassa,Ant. kvitt.\n7,3\n") == [Transactions("7", None, None, 3, 0, 0, "NOK")]


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    table = {"format": {"csv": {"encoding": "utf-8"}}, "reading": [{"till": "a", "sales": "b"}]}
    assert decode(table, "\ufeffa,b\n7,3\n") == [Transactions("7", None, None, 3, 0, 0, "NOK")]


def test_a_byte_order_mark_in_an_encoding_that_keeps_it() -> None:
    table = {"format": {"csv": {"encoding": "utf-16-le"}}, "reading": [{"till": "a", "sales": "b"}]}
    assert decode(table, "\ufeffa,b\n7,3\n", "utf-16-le") == [Transactions("7", None, None, 3, 0, 0, "NOK")]


@pytest.mark.parametrize("above", ["sep=;\n", "Receipts;;\n\nCentre;Centre;\n", "\n" * 50, "x\n" * 20])
def test_what_stands_above_the_header_is_passed_over(above: str) -> None:
    assert decode(RECEIPTS, above + HEADER + "1001;23.11.2026 10:00;4;1;1299,00\n") == [SALE]


def test_blanks_may_stand_before_a_quotation() -> None:
    table = {"format": "csv", "reading": [{"till": "Till no", "sales": "n"}]}
    text = '"Till no", "n"\n"7", "3"\n'
    assert decode(table, text) == [Transactions("7", None, None, 3, 0, 0, "NOK")]


def test_another_encoding_than_said_is_damage_not_other_letters() -> None:
    payload = "Kasse på,x\n1,2\n".encode("cp1252")
    assert decode({"format": "csv", "reading": [{"sales": "x"}]}, payload) == [
        Damaged(DamageReason.SYNTAX, len(payload))
    ]


def test_a_torn_row_damages_itself_only() -> None:
    text = (
        HEADER
        + "1001;23.11.2026 10:00;4;1;1299,00\n1001;23.11.2026 10:15;4\n1002;23.11.2026 10:15;2;0;10,00;x\n"
    )
    items = decode(RECEIPTS, text)
    assert items == [SALE, Damaged(DamageReason.LENGTH, 23), Damaged(DamageReason.LENGTH, 33)]


def test_empty_cells_at_the_end_of_a_row_are_no_tear() -> None:
    assert decode(RECEIPTS, HEADER + "1001;23.11.2026 10:00;4;1;1299,00;;\n\n;;;;\n") == [SALE]


def test_a_sum_below_the_rows_is_not_counted_at_receipt() -> None:
    text = HEADER + "1001;23.11.2026 10:00;4;1;1299,00\nSum;;4;1;1299,00\n"
    assert decode(RECEIPTS, text) == [SALE, Ignored("row without its time")]


def test_a_broken_quotation_damages_what_follows() -> None:
    text = HEADER + '1001;23.11.2026 10:00;4;1;1299,00\n"1002;23.11.2026 10:15;2;0;10,00\n'
    assert decode(RECEIPTS, text) == [SALE, Damaged(DamageReason.SYNTAX, len(text))]


def test_columns_without_a_header_row() -> None:
    keys = {**RECEIPTS["format"]["csv"], "columns": HEADER.strip().split(";")}  # type: ignore[index]
    assert decode({**RECEIPTS, "format": {"csv": keys}}, "1001;23.11.2026 10:00;4;1;1299,00\n") == [SALE]


@pytest.mark.parametrize("text", ["", " \r\n", HEADER, HEADER + "\r\n\r\n"])
def test_a_file_without_rows_is_empty_and_no_damage(text: str) -> None:
    assert decode(RECEIPTS, text) == [Ignored("empty message")]


@pytest.mark.parametrize("header", [HEADER.replace("Returer", "Retur"), HEADER.replace(";", ","), "x\n"])
def test_a_file_without_a_column_that_the_mapping_names_is_damage(header: str) -> None:
    text = header + "1001;23.11.2026 10:00;4;1;1299,00\n"
    assert decode(RECEIPTS, text)[0] == Damaged(DamageReason.SYNTAX, len(text))


def test_a_name_that_stands_twice_means_nothing() -> None:
    assert decode({"format": "csv", "reading": [{"sales": "n"}]}, "n,n\n1,2\n") == [
        Damaged(DamageReason.SYNTAX, 8)
    ]


def test_a_file_of_too_many_rows_is_refused_in_time() -> None:
    payload = b"n\n" + b"1\n" * (MAX_ROWS + 1)
    began = time.process_time()
    assert decode({"format": "csv", "reading": [{"sales": "n"}]}, payload) == [
        Damaged(DamageReason.LENGTH, len(payload))
    ]
    assert time.process_time() - began < 5


@pytest.mark.parametrize("table", [RECEIPTS, BRICKSTREAM, HIKVISION])
@given(noise=st.binary(max_size=300) | st.text(alphabet="<>/a ;&\"'=\n1,", max_size=200).map(str.encode))
def test_no_bytes_make_it_raise(table: dict[str, Any], noise: bytes) -> None:
    items = decode(table, noise)
    assert all(isinstance(item, Damaged | Ignored) for item in items)


@given(cut=st.integers(0, 1240))
def test_a_body_cut_anywhere_is_damage(cut: int) -> None:
    payload = body("brickstream_xml.json", "v5").encode()
    whole = decode(BRICKSTREAM, payload)
    found = decode(BRICKSTREAM, payload[:cut])
    assert found == whole or all(isinstance(item, Damaged | Ignored) for item in found)


def test_explain_walks_xml_and_names_what_is_unused() -> None:
    told = explained(BRICKSTREAM, body("brickstream_xml.json", "v5"))
    row = "ReportData.Report.Object.Count"
    assert told[f"{row}.@Enters"] == ("'0'", True)
    assert told[f"{row}.@Status"] == ("'4'", False)
    assert told["Properties.MacAddress"] == ("'00:b0:9d:be:30:13'", True)
    assert told["@SiteId"] == ("'site_id'", False)


def test_explain_knows_the_outermost_element_and_numbers_several() -> None:
    told = explained(
        {"format": "xml", "reading": [{"rows": "d.n[*]", "ins": "@i"}]}, "<d><n i='1'/><n i='2'>x</n></d>"
    )
    assert told == {"n[0].@i": ("'1'", True), "n[1].@i": ("'2'", True), "n[1]": ("'x'", False)}


def test_explain_names_the_field_that_damages() -> None:
    told = explained(RECEIPTS, HEADER + "1001;23.11.2026 10:00;four;1;12.50\n1001;2026-11-23;1;1;1,00\n")
    assert told["[0].Kvitteringer"][0] == "'four'  (damaged: no count from 0 to 1000000000)"
    assert told["[0].Omsetning"][0] == "'12.50'  (damaged: no amount)"
    assert told["[0].Fra"] == ("'23.11.2026 10:00'", True)
    assert "damaged: no time of the format %d.%m.%Y %H:%M" in told["[1].Fra"][0]
    assert told["[1].Returer"] == ("'1'", True)


def test_explain_names_the_field_that_damages_json() -> None:
    told = explained(
        {"reading": [{"ins": "n", "start": "a", "end": "b"}]},
        '{"n": -1, "a": "2026-11-23T09:00:00Z", "b": "2026-11-23T08:00:00Z"}',
    )
    assert "damaged: no count" in told["n"][0]
    assert "not of this interval" in told["a"][0]
    assert "not of this interval" in told["b"][0]


def test_explain_says_of_a_body_that_is_not_of_its_format_that_it_is_not() -> None:
    assert explained(BRICKSTREAM, "{}") == {"$": ("2 bytes, not xml  (damaged: syntax)", True)}


def test_explain_names_a_column_that_is_not_there() -> None:
    told = explained(RECEIPTS, HEADER.replace("Returer", "Retur") + "1001;23.11.2026 10:00;4;1;1299,00\n")
    assert told["Returer"] == ("no such column", True)
    assert told["[0].Retur"] == ("'1'", False)


NESTED = {"reading": [{"rows": "groups[*].gates[*]", "line": "gate", "ins": "n.in", "outs": "n.out"}]}


def faults(table: dict[str, Any], text: str) -> list[tuple[str, str]]:
    device = Device(FAMILY.options.model_validate({"mapping": table}))
    assert FAMILY.faults is not None
    return list(FAMILY.faults(device, Message(text.encode(), 0)))


@pytest.mark.parametrize(
    ("text", "path", "why"),
    [
        ('{"group": []}', "groups[*].gates[*]", "leads to no row"),
        ('{"groups": [{"gates": [{"gate": "a", "n": {"in": 3}}]}]}', "n.out", "nothing stands there"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(text: str, path: str, why: str) -> None:
    assert explained(NESTED, text)[path] == (f"({why})", True)
    assert (path, why) in faults(NESTED, text)


def test_a_condition_that_no_row_meets_is_named() -> None:
    table = {"reading": [{"rows": "r[*]", "where": {"kind": "in"}, "ins": "n"}]}
    assert faults(table, '{"r": [{"kind": "IN", "n": 1}, {"n": 2}]}') == [
        ("where kind", "none of 2 rows is as it says")
    ]


def test_faults_name_the_path_and_the_reason_and_never_the_value() -> None:
    text = '{"groups": [{"gates": [{"gate": "a", "n": {"in": "secret", "out": 2}}]}]}'
    assert faults(NESTED, text) == [("groups[0].gates[0].n.in", "no count from 0 to 1000000000")]
    rows = "1001;23.11.2026 10:00;4;1;1299,00\n1001;23.11.2026\n"
    assert faults(RECEIPTS, HEADER + rows) == [("1 rows", "have more or fewer cells than the header")]
    gone = HEADER.replace("Returer", "Retur") + "1001;23.11.2026 10:00;4;1;1299,00\n"
    assert ("Returer", "no such column") in faults(RECEIPTS, gone)
    assert faults(BRICKSTREAM, "{}") == [("$", "not xml (syntax)")]


RECORDED = Path(__file__).parents[3] / "simulators" / "data" / "complete_journey_receipts.csv"


def test_recorded_receipts_to_the_cent() -> None:
    reading = {"till": "store_id", "at": "ts", "key": "receipt", "sales": "=1", "amount": "sales_usd"}
    table = {"format": "csv", "time": {"zone": "utc"}, "reading": [{**reading, "currency": "=USD"}]}
    items = [item for item in decode(table, RECORDED.read_bytes()) if isinstance(item, Transactions)]
    amounts = [line.rpartition(",")[2] for line in RECORDED.read_text().splitlines()[1:]]
    cents = [
        int(units) * 100 + int(f"{rest}00"[:2])
        for units, _, rest in (text.partition(".") for text in amounts)
    ]
    assert [item.amount_minor for item in items] == cents
    assert {item.till for item in items} == {"343", "367", "406"}
    assert items[0].start_ms == 1_483_273_590_000  # 2017-01-01T12:26:30Z
    assert len({item.key for item in items}) == len(items) == 400


def test_a_path_may_keep_the_prefix_that_the_body_writes() -> None:
    table = {"format": "xml", "reading": [{"rows": "p:r.p:c[*]", "counter": "$.p:id", "ins": "@p:i"}]}
    text = '<p:r xmlns:p="urn:x"><p:id>K9</p:id><p:c p:i="3"/></p:r>'
    assert decode(table, text) == [Crossings("K9", "main", None, None, 3)]
    assert all(used for _, used in explained(table, text).values())
