"""Who talks and is nobody's: what is remembered of them, what not, and the line that makes them count."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway import config
from gateway.commands.discover import lines
from gateway.driver import Message, Messages
from gateway.errors import ConfigurationError
from gateway.health import to_json
from gateway.model import Crossings, Damaged, DamageReason, Ignored, Item, Stamp, Transactions
from gateway.roster import Roster, Source
from gateway.strangers import (
    LOOK_PAUSE_MS,
    MAX_BURST,
    MAX_LINES,
    MAX_LOGGED,
    MAX_LOOKED_BYTES,
    MAX_LOOKING,
    MAX_STRANGERS,
    Heard,
    Strangers,
    Told,
    fits,
)
from gateway.strangers.looking import MAX_PATHS, shape_of
from gateway.strangers.suggesting import identity, inline

VECTORS = Path(__file__).parents[1] / "vectors"
AT_MS = 1_795_424_400_000  # 2026-11-23T09:00:00Z
BASE = """
[gateway]
id = "box"
[site]
id = "here"
timezone = "UTC"
[push]
listen = "127.0.0.1:8081"
allow = ["127.0.0.0/8"]
[link]
broker = { over = "mqtt", options = { host = "127.0.0.1" } }
lan = { over = "push", options = { auth = "none" } }
[mapping]
acme = { reading = [{ counter = "id", line = "name", ins = "i", outs = "o" }] }
receipts = { reading = [{ till = "pos", sales = "n" }] }
"""
COUNTERS = """
[counter]
shop = { link = "broker", driver = "mapping", mapping = "acme", topic = "acme/+", match = { counter = "M1" } }
[till]
pos-1 = { link = "broker", driver = "mapping", mapping = "receipts", topic = "tills", match = TILL }
"""
COUNTERS = COUNTERS.replace("TILL", '{ till = "1001" }')
OVERS = {"broker": "mqtt", "lan": "push"}


def roster_of(folder: Path, text: str = COUNTERS) -> Roster:
    path = folder / "gateway.toml"
    path.write_text(BASE + text)
    return Roster(config.load(path))


@pytest.fixture
def roster(tmp_path: Path) -> Roster:
    return roster_of(tmp_path)


@pytest.fixture(scope="module")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Roster:
    """Links, and no counter on them."""
    return roster_of(tmp_path_factory.mktemp("nobody"), "")


def crossing(counter: str = "device", line: str = "main") -> Crossings:
    return Crossings(counter, line, AT_MS, AT_MS + 60_000, 3, 1)


def source_of(roster: Roster, counter: str) -> Source:
    return next(one for one in roster.sources("broker") if counter in one.counters)


def heard(
    payload: bytes = b"", topic: str = "", *, link: str = "broker", peer: str = "", at_ms: int = AT_MS
) -> Heard:
    return Heard(link, Stamp("boot", at_ms - AT_MS, at_ms), payload, topic, peer)


def note(strangers: Strangers, source: Source, roster: Roster, told: Heard, *items: Item) -> None:
    strangers.note(source, roster.resolve(source, items, topic=told.topic), told)


def suggested(folder: Path, told: Told) -> Roster:
    """The configuration with the line pasted."""
    return roster_of(folder, f"[{told.table}]\n{told.suggestion}\n")


def test_a_device_with_another_id_is_told_with_the_line_that_makes_it_count(
    roster: Roster, tmp_path: Path
) -> None:
    strangers = Strangers(roster, OVERS)
    for line in ("A", "B", "A"):
        note(strangers, source_of(roster, "shop"), roster, heard(topic="acme/7"), crossing("M2", line))
    [told] = strangers.told()
    assert (told.device, told.driver, told.topic, told.times) == ("M2", "mapping", "acme/7", 3)
    words = "3 in, 1 out, 2026-11-23T09:00:00.000Z to 2026-11-23T09:01:00.000Z"
    assert told.lines == {"A": words, "B": words}
    assert told.why == "no counter or till here has this id"
    grown = suggested(tmp_path, told)
    items = [crossing("M2", "A"), crossing("M2", "B")]
    resolved = grown.resolve(grown.sources("broker")[0], items, topic="acme/7")
    assert [(one.counter, one.line) for one in resolved.bookings] == [("m2", "a"), ("m2", "b")]


def test_an_unknown_till_is_told_as_a_till(roster: Roster, tmp_path: Path) -> None:
    strangers = Strangers(roster, OVERS)
    sale = Transactions("1002", None, None, 4, 1)
    note(strangers, source_of(roster, "pos-1"), roster, heard(topic="tills"), sale)
    [told] = strangers.told()
    assert (told.table, told.lines) == ("till", {"main": "4 receipts, 1 returns"})
    assert 'match = { till = "1002" }' in told.suggestion
    grown = suggested(tmp_path, told)
    resolved = grown.resolve(grown.sources("broker")[0], [sale], topic="tills")
    assert [one.counter for one in resolved.bookings] == ["1002"]


@pytest.mark.parametrize("driver", ["shopify", "square"])
def test_another_shops_sales_are_not_offered_to_a_line_that_takes_all_shops(
    driver: str, tmp_path: Path
) -> None:
    ours = f'[till]\npos-1 = {{ link = "lan", driver = "{driver}", match = {{ location = "1" }} }}\n'
    roster = roster_of(tmp_path, ours)
    [source] = roster.sources("lan")
    strangers = Strangers(roster, OVERS)
    note(strangers, source, roster, heard(topic="/", link="lan"), Transactions("7", AT_MS, AT_MS + 1, 1))
    [told] = strangers.told()
    grown = roster_of(tmp_path, ours + told.suggestion)
    [source] = grown.sources("lan")
    for till, wanted in (("1", "pos-1"), ("7", "7"), ("8", "nobody")):
        resolved = grown.resolve(source, [Transactions(till, AT_MS, AT_MS + 1, 1)], topic="/")
        assert [one.counter for one in resolved.bookings] == [wanted] * (wanted != "nobody")


def test_another_line_of_a_known_device_is_told_as_such(tmp_path: Path) -> None:
    roster = roster_of(tmp_path, COUNTERS.partition("[till]")[0])
    strangers, source = Strangers(roster, OVERS), source_of(roster, "shop")
    note(strangers, source, roster, heard(topic="acme/7"), crossing("M1", "A"))
    assert strangers.told() == []
    note(strangers, source, roster, heard(topic="acme/7"), crossing("M1", "B"))
    assert [one.why for one in strangers.told()] == [
        "its line 'B' is not configured; others of it count as shop"
    ]


def _vector(file: str, key: str, number: int = 0) -> bytes:
    vector = json.loads((VECTORS / file).read_text(encoding="utf-8"))["vectors"][number][key]
    return vector.encode() if isinstance(vector, str) else json.dumps(vector).encode()


GUESSED = {
    "axis": ("lan", _vector("axis_retail_data_push.json", "payload")),
    "brickstream": ("lan", _vector("brickstream_xml.json", "body")),
    "hikvision": ("lan", _vector("hikvision_isapi_xml.json", "body")),
    "irisys": ("lan", _vector("irisys_vector4d.json", "payload")),
    "milesight": ("broker", _vector("milesight_http_mqtt_json.json", "payload", 1)),
    "xovis": ("broker", _vector("xovis_v5_json.json", "payload")),
}


@pytest.mark.parametrize("driver", GUESSED)
def test_a_makers_payload_on_a_topic_of_nobodys_is_recognised(driver: str, tmp_path: Path) -> None:
    link, payload = GUESSED[driver]
    strangers = Strangers(roster_of(tmp_path, ""), OVERS)
    strangers.overheard(heard(payload, "maker/7", link=link), "no counter has this topic")
    [told] = strangers.told()
    assert (told.driver, told.guessed) == (driver, True)
    if driver == "irisys":  # which register is which way only a person can tell
        with pytest.raises(ConfigurationError, match="a register is missing: `in` and `out`, or `both`"):
            suggested(tmp_path, told)
        return
    grown = suggested(tmp_path, told)
    [source] = grown.sources(link)
    items = cast("Messages", source.driver).decode(Message(payload, AT_MS, "maker/7"))
    resolved = grown.resolve(source, items, topic="maker/7")
    assert resolved.bookings or resolved.statuses
    assert resolved.unknown == []


NOVEL = b"""{"hub": "7C:9E:BD:01", "groups": [{"g": "north", "since": 1795424460, "gates": [
  {"gate": "left", "n": {"fwd": 3, "back": 1}}, {"gate": "right", "n": {"fwd": 0, "back": 2}}]}],
  "ok": true}"""


def test_of_an_unknown_payload_paths_are_told_and_no_value(roster: Roster, tmp_path: Path) -> None:
    strangers = Strangers(roster, OVERS)
    strangers.overheard(heard(NOVEL, "novel/1"), "no counter has this topic")
    [told] = strangers.told()
    assert (told.format, told.bytes, told.driver) == ("json", len(NOVEL), "")
    assert dict(told.paths) == {
        "hub": "9A:9A:AA:99",
        "groups[*].g": "aaaaa",
        "groups[*].since": "9999999999 (unix_s?)",
        "groups[*].gates[*].gate": "aaaa",
        "groups[*].gates[*].n.fwd": "9",
        "groups[*].gates[*].n.back": "9",
        "ok": "true or false",
    }
    wanted = 'novel-1 = { link = "broker", driver = "mapping", mapping = "my-mapping", topic = "novel/1" }'
    assert told.suggestion == wanted
    assert all(value not in repr(told) for value in ("7C:9E", "north", "left", "1795424460"))


@pytest.mark.parametrize(
    ("payload", "form", "paths"),
    [
        (
            b'<?xml version="1.0"?><R Id="4"><Row at="2026-11-23T10:00:00">7</Row></R>',
            "xml",
            {"@Id": "9", "Row": "9", "Row.@at": "9999-99-99A99:99:99 (rfc3339)"},
        ),
        (b"Dato;Inn\n23.11.2026;1,5\n", "csv, separator ';'", {"Dato": "99.99.9999", "Inn": "9,9"}),
        (b"IN 12 OUT 7", "text", {"": "AA 99 AAA 9"}),
        (b"\x01\x02\xff", "bytes", {}),
        (b'{"tracks": {"8842": {"age": 4}}}', "json", {"tracks.….age": "9"}),
        (b'{"+4791234567": {"n": 4}, "someone@example.org": 1}', "json", {"….n": "9", "…": "9"}),
        (b'{"7C:9E:BD:01:02:03": 1, "person-4711-88": 2}', "json", {"…": "9"}),
        (b'{"line1": 1, "count_15min": 2}', "json", {"line1": "9", "count_15min": "9"}),
        (b"Fornavn Etternavn;91234567;3\nName Surname;92345678;1\n", "csv, separator ';'", {"…": "9"}),
    ],
)
def test_every_form_has_its_outline(payload: bytes, form: str, paths: dict[str, str], roster: Roster) -> None:
    strangers = Strangers(roster, OVERS)
    strangers.overheard(heard(payload, "x"), "nobody's")
    [told] = strangers.told()
    assert (told.format, dict(told.paths)) == (form, paths)


def test_a_topic_that_is_claimed_and_not_understood_is_told(roster: Roster) -> None:
    strangers, source = Strangers(roster, OVERS), source_of(roster, "shop")
    damaged, ignored = Damaged(DamageReason.SYNTAX, 3), Ignored("no reading of the mapping fits")
    note(strangers, source, roster, heard(b"{,}", "acme/1"), damaged)
    note(strangers, source, roster, heard(b'{"battery": 7}', "acme/2"), ignored)
    assert [(one.topic, one.why) for one in strangers.told()] == [
        ("acme/2", "mapping (for shop) makes no count of it: ignored (no reading of the mapping fits)"),
        ("acme/1", "mapping (for shop) makes no count of it: damaged (syntax)"),
    ]


def test_the_heartbeat_of_a_counter_that_counts_is_no_stranger(roster: Roster) -> None:
    strangers, source = Strangers(roster, OVERS), source_of(roster, "shop")
    note(strangers, source, roster, heard(b"{}", "acme/1"), crossing("M1"))
    note(strangers, source, roster, heard(b'{"battery": 7}', "acme/1"), Ignored("no reading fits"))
    assert strangers.told() == []


def test_a_device_that_another_decoder_takes_is_no_stranger(tmp_path: Path) -> None:
    [shop] = [line for line in COUNTERS.splitlines() if line.startswith("shop")]
    more = shop.replace("shop", "twin").replace('"acme"', '"twin"').replace("M1", "M2") + "\n"
    table = '[mapping.twin]\nreading = [{ counter = "id", ins = "i" }]\n'
    roster = roster_of(tmp_path, COUNTERS.replace("[till]", more + "[till]") + table)
    strangers = Strangers(roster, OVERS)
    note(strangers, source_of(roster, "shop"), roster, heard(topic="acme/1"), crossing("M2"))
    assert strangers.told() == []
    note(strangers, source_of(roster, "shop"), roster, heard(topic="acme/1"), crossing("M3"))
    assert [one.device for one in strangers.told()] == ["M3"]


def test_a_flood_of_new_devices_is_bounded_and_the_last_are_known(
    roster: Roster, caplog: pytest.LogCaptureFixture
) -> None:
    strangers, source = Strangers(roster, OVERS), source_of(roster, "shop")
    for number in range(MAX_STRANGERS + 50):
        note(strangers, source, roster, heard(topic=f"acme/{number}"), crossing(f"N{number}"))
    told = strangers.told()
    assert len(told) == strangers.count("broker") == MAX_STRANGERS
    assert told[0].device == f"N{MAX_STRANGERS + 49}"
    assert len(caplog.records) == MAX_LOGGED


def test_a_device_with_ever_new_lines_is_bounded(roster: Roster) -> None:
    strangers, source = Strangers(roster, OVERS), source_of(roster, "shop")
    for number in range(MAX_LINES + 5):
        note(strangers, source, roster, heard(topic="acme/1"), crossing("M2", f"L{number}"))
    assert len(strangers.told()[0].lines) == MAX_LINES


def test_an_unknown_device_is_logged_once_and_without_its_payload(
    roster: Roster, caplog: pytest.LogCaptureFixture
) -> None:
    strangers, source = Strangers(roster, OVERS), source_of(roster, "shop")
    for counter, line in (("M9", "q"), ("M9", "q"), ("M9", "r"), ("M8\n", "q")):
        note(strangers, source, roster, heard(b"secret", "acme/7"), crossing(counter, line))
    strangers.overheard(heard(b"secret", "other"), "nobody's")
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("WARNING", "link broker: counts of unknown device 'M9', line 'q', are left out"),
        ("WARNING", "link broker: counts of unknown device 'M8\\n', line 'q', are left out"),
    ]


def test_of_many_new_places_a_few_are_looked_at_and_then_one_a_second(roster: Roster) -> None:
    strangers = Strangers(roster, OVERS)
    places = [f"t/{number}" for number in range(MAX_BURST + 5)]

    def seen(after_ms: int) -> int:
        for place in places:
            strangers.overheard(heard(NOVEL, place, at_ms=AT_MS + after_ms), "nobody's")
        return sum(one.format == "json" for one in strangers.told())

    assert [seen(0), seen(LOOK_PAUSE_MS), seen(3 * LOOK_PAUSE_MS)] == [
        MAX_BURST,
        MAX_BURST + 1,
        MAX_BURST + 3,
    ]


def test_a_long_payload_is_only_measured(roster: Roster) -> None:
    strangers = Strangers(roster, OVERS)
    long = b'{"x": "' + b"y" * MAX_LOOKED_BYTES + b'"}'
    strangers.overheard(heard(long, "t"), "nobody's")
    assert [(one.format, one.bytes, one.paths) for one in strangers.told()] == [("", len(long), ())]


def test_looks_that_take_their_time_delay_nobody_and_are_few(roster: Roster) -> None:
    waiting: list[Any] = []
    strangers = Strangers(roster, OVERS, lambda work, then: waiting.append((work, then)))
    for number in range(MAX_LOOKING + 3):
        strangers.overheard(heard(NOVEL, f"t/{number}"), "nobody's")
    assert len(waiting) == MAX_LOOKING
    for work, then in waiting:
        then(work())
    strangers.overheard(heard(NOVEL, "late"), "nobody's")
    assert len(waiting) == MAX_LOOKING + 1


def test_who_waits_for_a_sample_gets_the_next_of_that_place_only(roster: Roster) -> None:
    strangers = Strangers(roster, OVERS)
    strangers.overheard(heard(NOVEL, "a/b"), "nobody's")
    caught: list[bytes] = []
    strangers.catching.add(lambda one: caught.append(one.payload) if fits("broker/a/+", one) else None)
    strangers.overheard(heard(b"1", "a/b/c"), "nobody's")
    strangers.overheard(heard(b"2", "a/b"), "nobody's")
    strangers.overheard(heard(b"3", "a/b", link="lan"), "nobody's")
    assert caught == [b"2"]


def test_pushes_are_told_apart_by_address(roster: Roster) -> None:
    strangers = Strangers(roster, OVERS)
    for peer in ("10.0.0.7", "10.0.0.8", "10.0.0.7"):
        strangers.overheard(heard(b"{}", "/", link="lan", peer=peer), "no counter is configured on this link")
    assert {one.peer: one.times for one in strangers.told()} == {"10.0.0.7": 2, "10.0.0.8": 1}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_no_payload_can_hurt(nobody: Roster, payload: bytes) -> None:
    strangers = Strangers(nobody, OVERS)
    strangers.overheard(heard(payload, "x"), "nobody's")
    [told] = strangers.told()
    assert len(told.paths) <= MAX_PATHS
    json.dumps(asdict(told))


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1), st.text())
@example("a\x1b[2J\x9b31m\n", "\x1b]0;owned\x07 \u202e")
def test_no_stranger_writes_to_the_terminal(nobody: Roster, topic: str, value: str) -> None:
    strangers = Strangers(nobody, OVERS)
    payload = json.dumps({"a": value, value: 1}).encode()
    strangers.overheard(heard(payload, topic), "nobody's")
    rows = [to_json(one) for one in strangers.told()]
    said = list(lines({"unknown": rows, "silent": []}))
    assert all(line.isprintable() for line in said)
    [offered] = [line for line in said if "my-mapping" in line]
    assert tomllib.loads(offered.strip())[identity(topic)]["topic"] == topic


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@settings(max_examples=200, deadline=None)
@given(JSON, st.text(alphabet="qwxz", min_size=12, max_size=20))
def test_no_text_of_a_value_is_kept(nobody: Roster, around: Any, secret: str) -> None:
    payload = json.dumps({"a": [around, {"b": secret}], "c": secret}).encode()
    strangers = Strangers(nobody, OVERS)
    strangers.overheard(heard(payload, "x"), "nobody's")
    [told] = strangers.told()
    assert secret not in repr(told)


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers(-9, 9) | st.booleans()))
def test_suggested_values_are_toml(table: dict[str, Any]) -> None:
    assert tomllib.loads(f"x = {inline(table)}")["x"] == table


def test_shapes_say_what_could_be_a_time() -> None:
    assert shape_of(1_795_424_400_000) == "9999999999999 (unix_ms?)"
    assert shape_of("2026-11-23T10:00:00+01:00") == "9999-99-99A99:99:99+99:99 (rfc3339)"
    assert shape_of("23.11.2026 10:00") == "99.99.9999 99:99"
    assert shape_of(3.5) == "9.9"
    assert shape_of(None) == "null"
