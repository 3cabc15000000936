"""`decode` from outside: the shapes of the contract, and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.commands.decode import command
from gateway.items import to_json
from gateway.model import (
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Occupancy,
    Register,
    Status,
    Transactions,
)

NINE = 1_795_424_400_000
AT = "2026-11-23T09:00:00Z"
SMALL = '{"reading":[{"counter":"id","ins":"in","outs":"out"}]}'


def decode(*arguments: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(command, list(arguments), input=given)


def items(*arguments: str, given: bytes = b"") -> list[dict[str, Any]]:
    result = decode(*arguments, given=given)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("item", "shape"),
    [
        (
            Crossings("door-s", "main", NINE, NINE + 60_000, 3, 2, key="k"),
            (
                '{"type":"crossings","counter":"door-s","line":"main","start":"2026-11-23T09:00:00.000Z",'
                '"end":"2026-11-23T09:01:00.000Z","ins":3,"outs":2,"key":"k"}'
            ),
        ),
        (
            Register("door-n", "main", NINE + 60_000, 1042, 998, key="k"),
            (
                '{"type":"register","counter":"door-n","line":"main","at":"2026-11-23T09:01:00.000Z",'
                '"total_in":1042,"total_out":998,"key":"k"}'
            ),
        ),
        (
            Transactions("pos-12", NINE, NINE + 1, 4, 1, 129_900, "NOK", "k"),
            (
                '{"type":"transactions","till":"pos-12","start":"2026-11-23T09:00:00.000Z",'
                '"end":"2026-11-23T09:00:00.001Z","sales":4,"returns":1,"amount_minor":129900,'
                '"currency":"NOK","key":"k"}'
            ),
        ),
        (
            Occupancy("c", "l", NINE, 17),
            '{"type":"occupancy","counter":"c","line":"l","at":"2026-11-23T09:00:00.000Z","persons":17}',
        ),
        (
            Status("door-n", NINE, DeviceState.DEGRADED, "beam blocked"),
            (
                '{"type":"status","counter":"door-n","at":"2026-11-23T09:00:00.000Z","state":"degraded",'
                '"detail":"beam blocked"}'
            ),
        ),
        (Damaged(DamageReason.CHECKSUM, 18), '{"type":"damaged","reason":"checksum","bytes":18}'),
        (Ignored("connection test"), '{"type":"ignored","reason":"connection test"}'),
    ],
)
def test_every_item_has_the_shape_of_the_contract(item: Item, shape: str) -> None:
    assert json.dumps(to_json(item), separators=(",", ":")) == shape


def test_what_the_device_did_not_give_is_absent() -> None:
    assert items("mapping", "--options", SMALL, given=b'{"in":3}') == [
        {"type": "crossings", "counter": "device", "line": "main", "ins": 3}
    ]


def test_an_answer_is_read_with_its_question() -> None:
    arguments = ("dcon", "--request", r"#010\r", "--at", AT, "--options", '{"in":0}')
    assert items(*arguments, given=b">0000001E\r") == [
        {
            "type": "register",
            "counter": "01",
            "line": "main",
            "at": "2026-11-23T09:00:00.000Z",
            "total_in": 30,
        }
    ]


def test_a_transcript_pairs_questions_and_answers() -> None:
    given = b"TX #010\\r\nRX >0000001E\\r\nTX #011\\r\nRX >garbage\\r\n"
    kinds = [item["type"] for item in items("dcon", "--as", "transcript", given=given)]
    assert kinds == ["register", "damaged"]


@pytest.mark.parametrize(
    "lines",
    [
        b"TX 01 03 00 44 00 04 04 1c\nRX 01 03 08 00 05 00 01 ff ff 00 00 fd 33\n",
        b"TX 0x010300440004041C\nRX 0x01030800050001ffff0000fd33\n",
        b"TX \\x01\\x03\\0D\\0\\x04\\x04\\x1c\nRX \\x01\\x03\\x08\\0\\x05\\0\\x01\\xff\\xff\\0\\0\\xfd3\n",
    ],
    ids=["pairs", "prefixed", "escapes"],
)
def test_binary_telegrams_of_a_transcript_are_pairs_of_hexadecimal_digits_or_escapes(lines: bytes) -> None:
    (register,) = items("modbus", "--as", "transcript", given=lines)
    assert (register["total_in"], register["total_out"]) == (65541, 65535)


def test_a_channel_without_options_counts_passes_and_without_at_has_no_time() -> None:
    (register,) = items("dcon", "--request", r"#010\r", given=b">0000001E\r")
    assert register["total_passes"] == 30
    assert "at" not in register


def test_an_answer_that_names_itself_needs_no_question() -> None:
    """Frames of tests/vectors: ID and command, or the machine number, stand in the answer."""
    hpc = b"02 30303031 3933 3130 3030303030313243 3030303030313146 30303030303030303030303030303030 4631 03"
    (register,) = items("hpc168", "--as", "hex", given=hpc)
    assert (register["counter"], register["total_in"], register["total_out"]) == ("0001", 300, 287)
    gate = b"7f 01 01 00 00 00 00 04 d2 00 04 c3 00 00 18 00 00 c9"
    register, status = items("gate7e", "--as", "hex", "--options", '{"in": "right"}', given=gate)
    assert (register["counter"], register["total_in"], register["total_out"]) == ("1", 1219, 1234)
    assert status["state"] == "ok"


def test_an_answer_without_its_question_is_no_failure() -> None:
    result = decode("dcon", given=b">0000001E\r")
    assert result.exit_code == 0
    assert "--request" in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        '[mapping.acme]\nreading = [{ counter = "id", ins = "in" }]\n',
        'reading = [{ counter = "id", ins = "in" }]\n',
        'mapping = { reading = [{ counter = "id", ins = "in" }] }\n',
    ],
    ids=["named", "bare", "inline"],
)
def test_a_mapping_may_come_from_a_file_in_three_ways(text: str, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(text)
    (item,) = items("mapping", "--options", f"@{file}", given=b'{"id":"a","in":1}')
    assert (item["counter"], item["ins"]) == ("a", 1)


def test_one_payload_a_line_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "payloads.jsonl"
    file.write_bytes(b'{"in":1}\n\nnot json\n{"in":2}\n')
    found = items("mapping", "--options", SMALL, "--as", "jsonl", str(file))
    assert [item["type"] for item in found] == ["crossings", "damaged", "crossings"]


def test_topic_header_and_retained_reach_the_driver() -> None:
    options = '{"reading":[{"counter":"topic[1]","line":"header.X-Line","ins":"in","retained":true}]}'
    more = ("--topic", "a/door", "--header", "x-line: B", "--retained")
    (item,) = items("mapping", "--options", options, *more, given=b'{"in":1}')
    assert (item["counter"], item["line"]) == ("door", "B")
    (left,) = items("mapping", "--options", SMALL, "--retained", given=b'{"in":1}')
    assert left["type"] == "ignored"


def test_explain_goes_to_standard_error() -> None:
    result = decode("mapping", "--options", SMALL, "--explain", given=b'{"in":1,"x":2}')
    leaves, nowhere = result.stderr.splitlines()[:2], result.stderr.splitlines()[2:]
    assert leaves == ["in = 1", "x = 2  (unused)"]
    assert all(line.endswith(" = (nothing stands there)") for line in nowhere)
    assert json.loads(result.stdout)["ins"] == 1


@pytest.mark.parametrize("given", [b"", b"\xff\x00", b"{", b"[" * 100_000, b'{"in":1e999}', b"\\ud800"])
@pytest.mark.parametrize("driver", ["xovis", "mapping", "dcon"])
def test_nothing_a_device_can_send_makes_it_fail(driver: str, given: bytes) -> None:
    options = ["--options", SMALL] if driver == "mapping" else []
    found = items(driver, *options, "--request", r"#010\r", given=given)
    assert {item["type"] for item in found} <= {"damaged", "ignored"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nix"], "unknown driver"),
        ([], "give a driver"),
        (["xovis", "--options", '{"topik":"x"}'], "options.topik: unknown key (did you mean topic?)"),
        (["xovis", "--options", "[]"], "not a JSON object"),
        (["xovis", "--options", "@/nowhere.toml"], "--options: /nowhere.toml: No such file"),
        (["mapping", "--options", '{"reading":[{"inns":"a"}]}'], "reading[0].inns: unknown key"),
        (["mapping", "--options", '{"mapping":"acme"}'], "there is no [mapping.acme]"),
        (["xovis", "--at", "noon"], "--at"),
        (["xovis", "--header", "X"], "--header"),
        (["xovis", "--as", "hex"], "not hexadecimal"),
        (["xovis", "a", "b"], "one FILE"),
        (["xovis", "/nowhere/file"], "/nowhere/file"),
        (["--counter", "a", "--link", "b"], "not both"),
    ],
)
def test_wrong_usage_is_exit_2_in_words(arguments: list[str], words: str) -> None:
    result = decode(*arguments, given=b"zz")
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_transcript_without_a_side_is_told_how_to_write_one() -> None:
    result = decode("dcon", "--as", "transcript", given=b"#010\\r\n>0000001E\\r\n")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "TX" in result.stderr


def test_neither_the_broker_nor_the_web_is_loaded() -> None:
    program = (
        "import sys, gateway.commands.decode; print([m for m in ('aiohttp', 'paho') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


CONFIGURATION = """
[gateway]
data_dir = "data"
[site]
id = "strommen"
timezone = "Europe/Oslo"
currency = "NOK"
[link]
broker = { over = "mqtt", options = { host = "127.0.0.1" } }
bus-a = { over = "serial", options = { port = "/dev/ttyUSB9", baudrate = 9600, poll_s = 5 } }
[counter]
door-n = { link = "bus-a", driver = "dcon", address = "01", in = 0, out = 1 }
door-s = { link = "broker", driver = "xovis", topic = "xovis/south", logic = "Line 0" }
door-w = { link = "broker", driver = "xovis", topic = "xovis/west", reversed = true }
[till]
pos-01 = { link = "broker", driver = "mapping", mapping = "till", topic = "till", match = { till = "1001" } }
[mapping]
till = { reading = [ { till = "t", at = "at", sales = "=1", amount = "a" } ] }
[zone]
mall = { kind = "mall", entrances = ["door-n", "door-s", "door-w"], tills = ["pos-01"] }
"""
PACKAGE = json.dumps(
    json.loads((Path(__file__).parents[1] / "vectors" / "xovis_v5_json.json").read_text())["vectors"][0][
        "payload"
    ]
).encode()


@pytest.fixture
def configuration(tmp_path: Path) -> str:
    file = tmp_path / "gateway.toml"
    file.write_text(CONFIGURATION)
    return str(file)


@pytest.mark.parametrize(("counter", "first"), [("door-s", (1, 0)), ("door-w", (0, 1))])
def test_a_configured_counter_has_its_own_name_line_and_direction(
    configuration: str, counter: str, first: tuple[int, int]
) -> None:
    found = items("-c", configuration, "--counter", counter, given=PACKAGE)
    crossings = [item for item in found if item["type"] == "crossings"]
    assert {(item["counter"], item["line"]) for item in crossings} == {(counter, "main")}
    assert (crossings[0]["ins"], crossings[0]["outs"]) == first


def test_a_link_finds_who_is_meant_by_the_topic(configuration: str) -> None:
    sale = b'{"t":1001,"at":"2026-11-23T09:00:00Z","a":"12.5"}'
    (item,) = items("-c", configuration, "--link", "broker", "--topic", "till", given=sale)
    assert (item["till"], item["amount_minor"], item["currency"]) == ("pos-01", 1250, "NOK")
    found = items("-c", configuration, "--link", "broker", "--topic", "xovis/south", given=PACKAGE)
    assert {item["counter"] for item in found if item["type"] == "crossings"} == {"door-s"}


def test_a_bus_answers_for_its_configured_module(configuration: str) -> None:
    arguments = ("-c", configuration, "--link", "bus-a", "--request", r"#010\r")
    (item,) = items(*arguments, given=b">0000001E\r")
    assert (item["counter"], item["line"], item["total_in"]) == ("door-n", "main", 30)


def test_who_is_not_configured_is_said(configuration: str) -> None:
    stranger = b'{"t":1002,"at":"2026-11-23T09:00:00Z","a":"12.5"}'
    (item,) = items("-c", configuration, "--counter", "pos-01", given=stranger)
    assert item == {"type": "ignored", "reason": "not a configured counter and line"}
    result = decode("-c", configuration, "--counter", "door-x")
    assert result.exit_code == 2
    assert "door-n" in result.stderr
    assert decode("-c", "/nowhere.toml", "--link", "bus-a").exit_code == 2
