"""A wrong mapping is told in words when the configuration is read, never later."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from drivers.mapping.family import FAMILY
from gateway.driver import Device
from gateway.errors import ConfigurationError

GOOD: dict[str, Any] = {"reading": [{"ins": "in"}]}


def complaint(options: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        FAMILY.options.model_validate(options)
    return "\n".join(error["msg"] for error in caught.value.errors())


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"reading": [{"inns": "a"}]}, "reading[0].inns: unknown key (did you mean ins?)"),
        ({"reading": [{"ins": "a"}], "tme": {}}, "tme: unknown key (did you mean time?)"),
        ({"reading": [{"ins": "a", "time": {"spans_s": 1}}]}, "(did you mean span_s?)"),
        ({"reading": [{"ins": "a[*]"}]}, "reading[0].ins: 'a[*]': [*] stands for many values"),
        ({"reading": [{"ins": "a[b]"}]}, "reading[0].ins: 'a[b]': not a path"),
        ({"reading": [{"ins": "a..b"}]}, "not a path"),
        ({"reading": [{"ins": ""}]}, "an empty path"),
        ({"reading": [{"rows": "a[x]", "ins": "a"}]}, "reading[0].rows:"),
        ({"reading": [{"ins": "a", "where": {"b[": 1}}]}, "reading[0].where:"),
        ({"reading": [{"ins": "a", "where": {"b": {}}}]}, "asks nothing"),
        ({"reading": [{"ins": "a", "key": ["b", "c["]}]}, "reading[0].key:"),
        ({"reading": [{"counter": "a"}]}, "counts nothing"),
        ({"reading": []}, "reading:"),
        ({"reading": [{"ins": "a", "sales": "b"}]}, "persons and receipts need a reading each"),
        ({"reading": [{"ins": "a", "passes": "b"}]}, "passes"),
        ({"reading": [{"ins": "a", "factor": 0.5}]}, "a fraction of a delta loses persons"),
        ({"reading": [{"ins": "a"}], "time": {"format": "iso"}}, "time.format: neither rfc3339"),
        ({"reading": [{"ins": "a"}], "time": {"zone": "Mars/Base"}}, "time.zone: 'Mars/Base' is not"),
        ({"reading": [{"ins": "a"}], "format": "xlm"}, "format.xlm: unknown key (did you mean xml?)"),
        ({"reading": [{"ins": "a"}], "format": {"csv": {}, "xml": {}}}, "format: one of json, xml, csv"),
        ({"reading": [{"ins": "a"}], "format": {"csv": {"seperator": ";"}}}, "did you mean separator?"),
        ({"reading": [{"ins": "a"}], "format": {"csv": {"separator": "||"}}}, "format.csv.separator:"),
        ({"reading": [{"ins": "a"}], "format": {"csv": {"encoding": "cp12522"}}}, "'cp12522' is not an"),
        ({"reading": [{"ins": "a"}], "format": {"csv": {"encoding": "hex"}}}, "'hex' is not an encoding"),
        ({"reading": [{"ins": "a"}], "format": {"xml": {"decimal": ",", "thousands": ","}}}, "the same as"),
        ({"reading": [{"ins": "a", "rows": "[*]"}], "format": "csv"}, "rows: in CSV each line is a row"),
        ({"reading": [{"sales": "No. of"}], "format": "csv"}, "'No. of': in CSV the name of a column"),
    ],
)
def test_each_mistake_names_its_key(table: dict[str, Any], words: str) -> None:
    assert words in complaint({"mapping": table})
    named = Device(FAMILY.options(mapping="acme"), shared={"mapping": {"acme": table}})
    assert words in "\n".join(FAMILY.problems(named))
    with pytest.raises(ConfigurationError):
        FAMILY.open(named)


def test_all_mistakes_are_told_at_once() -> None:
    told = complaint({"mapping": {"reading": [{"inns": "a"}, {"outs": "b[*]"}], "tme": 1}})
    assert len(told.splitlines()) == 3


def test_a_mapping_that_is_not_there_is_named_with_those_that_are() -> None:
    device = Device(FAMILY.options(mapping="acne"), shared={"mapping": {"acme": GOOD}})
    assert list(FAMILY.problems(device)) == ["mapping: there is no [mapping.acne]; known: acme"]


@pytest.mark.parametrize("options", [GOOD, {"mapping": GOOD}, {"mapping": {"acme": GOOD}}])
def test_the_table_may_stand_bare_inline_or_named(options: dict[str, Any]) -> None:
    device = Device(FAMILY.options.model_validate(options))
    assert list(FAMILY.problems(device)) == []
    assert FAMILY.open(device)


def test_two_tables_in_one_file_are_a_question() -> None:
    assert "several mappings (a, b)" in complaint({"mapping": {"a": GOOD, "b": GOOD}})


AT, SPAN = {"at": "t"}, {"time": {"span_s": 60}}


@pytest.mark.parametrize(
    ("over", "table", "words"),
    [
        (
            "pull",
            {"reading": [{"persons": "p"}, {"ins": "n"}]},
            "reading[1]: over pull this would be counted",
        ),
        ("pull", {"reading": [{"ins": "n", **AT}]}, "give key (the device's own id of it), or start and end"),
        ("pull", {"reading": [{"sales": "n"}], **SPAN}, "counted again"),
        ("pull", {"reading": [{"ins": "n", "key": "id"}, {"sales": "n", **AT, "key": "id"}]}, ""),
        ("pull", {"reading": [{"ins": "n", "start": "s", "end": "e"}, {"total_in": "n"}]}, ""),
        ("pull", {"reading": [{"ins": "n", **AT}], **SPAN}, ""),
        ("mqtt", {"reading": [{"ins": "n", "counter": "link"}]}, ""),
        ("tcp", {"reading": [{"ins": "n", "counter": "link"}]}, 'over tcp nothing is known of the "link"'),
        ("pull", {"reading": [{"persons": "n", "where": {"link": "a"}}]}, "over pull nothing is known"),
        ("tcp", {"reading": [{"ins": "n"}], "format": {"csv": {"encoding": "utf-16"}}}, "over tcp;"),
        ("tcp", {"reading": [{"ins": "n"}], "format": {"csv": {"encoding": "utf-32-be"}}}, "over tcp;"),
        ("tcp", {"reading": [{"ins": "n"}], "format": {"csv": {"encoding": "cp1252"}}}, ""),
        ("folder", {"reading": [{"ins": "n"}], "format": {"csv": {"encoding": "utf-16"}}}, ""),
    ],
)
def test_what_a_link_cannot_carry_is_refused(over: str, table: dict[str, Any], words: str) -> None:
    told = "\n".join(FAMILY.problems(Device(FAMILY.options(mapping=table), over=over)))
    assert words in told
    assert bool(words) == bool(told)


def test_ids_and_lines_are_matched_by_what_the_payload_says() -> None:
    lines = {"d5": FAMILY.line_options.model_validate({"line": "A"})}
    options = FAMILY.options.model_validate({"mapping": GOOD, "match": {"counter": "0002D1"}, "topic": "t/+"})
    match = FAMILY.match(Device(options, lines))
    assert (match.counter, dict(match.lines)) == ("0002D1", {"A": "d5"})
    till = FAMILY.options.model_validate({"mapping": GOOD, "match": {"till": "1001"}})
    assert FAMILY.match(Device(till)).counter == "1001"
    assert tuple(FAMILY.topics(Device(options))) == ("t/+",)
