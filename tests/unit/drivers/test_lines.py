"""Text lines: what public sketches print, every way to describe a line, and patterns that stay quick."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.lines import codec, patterns
from drivers.lines.family import FAMILY, LEVEL_ONLY, UNFIT, Lines, LinesOptions
from drivers.mapping.family import MappingLine
from gateway import config
from gateway.driver import Device, Side
from gateway.model import (
    Basis,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Occupancy,
    Register,
    Resets,
    Status,
    Transactions,
)
from gateway.roster import Roster

AT_MS = 1_795_424_400_000  # 2026-11-23 09:00 UTC
SLOWEST_S = 0.1
VECTORS = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parents[2] / "vectors/serial-ascii-lines.json").read_text())[
        "vectors"
    ]
}
TOTALS = r"IN (?P<total_in>\d+) OUT (?P<total_out>\d+)"
ALOUD = {
    "reading": [
        {"pattern": r"Person entered\. Count: (?P<persons>-?\d+)", "ins": "=1"},
        {"pattern": r"Person exited\. Count: (?P<persons>-?\d+)", "outs": "=1"},
    ],
    "status": [{"pattern": "Error: .*"}],
}
INSIDE = {"pattern": r"Number of people inside : (?P<persons>-?\d+)"}
SKETCHES: dict[str, tuple[dict[str, Any], list[Item]]] = {
    "plus": ({}, [Crossings("device", "main", None, None, ins=1, basis=Basis.EVENT)]),
    "minus": ({}, [Crossings("device", "main", None, None, outs=1, basis=Basis.EVENT)]),
    "entered": (
        ALOUD,
        [
            Crossings("device", "main", None, None, ins=1, basis=Basis.EVENT),
            Occupancy("device", "main", None, 7),
        ],
    ),
    "exited": (
        ALOUD,
        [
            Crossings("device", "main", None, None, outs=1, basis=Basis.EVENT),
            Occupancy("device", "main", None, 6),
        ],
    ),
    "net-inside": (
        INSIDE,
        [Occupancy("device", "main", None, 4), Status("device", None, DeviceState.DEGRADED, LEVEL_ONLY)],
    ),
    "error-line": (
        ALOUD,
        [Status("device", None, DeviceState.DEGRADED, "Error: negative number of people.")],
    ),
    "count-command": (ALOUD, [UNFIT]),
}


def device(options: dict[str, Any]) -> Device:
    return Device(LinesOptions.model_validate(options))


def opened(options: dict[str, Any]) -> Lines:
    driver = FAMILY.open(device(options))
    assert isinstance(driver, Lines)
    return driver


def heard(options: dict[str, Any], data: bytes) -> list[Item]:
    return list(opened(options).feed(data, AT_MS))


@pytest.mark.parametrize("id_", VECTORS)
def test_what_public_sketches_print(id_: str) -> None:
    options, items = SKETCHES[id_]
    assert heard(options, VECTORS[id_]["ascii"].encode()) == items


def test_totals_by_a_pattern() -> None:
    items = heard({"pattern": TOTALS}, b"Counter v2 ready\r\nIN 120 OUT 7\r\nIN 121 OUT 7\n")
    assert items == [
        UNFIT,
        Register("device", "main", None, 120, 7),
        Register("device", "main", None, 121, 7),
    ]


def test_columns_by_their_names() -> None:
    options = {"csv": ["at", "", "ins", "outs"], "separator": ";", "time": {"format": "unix_s"}}
    assert heard(options, b"door counter\n1795424340;B4;3;2\n1795424340;3;2\n1795424340;B4;three;2\n") == [
        UNFIT,
        Crossings("device", "main", AT_MS - 60_000, AT_MS - 59_999, 3, 2, basis=Basis.EVENT),
        Damaged(DamageReason.LENGTH, 14),
        Damaged(DamageReason.SANITY, 21),
    ]


def test_an_interval_of_a_device_with_a_clock() -> None:
    options = {
        "csv": ["end", "ins", "outs"],
        "time": {"format": "%d.%m.%Y %H:%M:%S", "zone": "Europe/Oslo", "span_s": 60},
    }
    assert heard(options, b"23.11.2026 10:00:00,3,2\n") == [
        Crossings("device", "main", AT_MS - 60_000, AT_MS, 3, 2)
    ]


def test_json_lines_are_read_by_the_paths_of_a_mapping() -> None:
    options = {
        "json": True,
        "reading": [{"counter": "id", "total_in": "count.in", "total_out": "count.out"}],
        "base": {"register": {"width_bits": 16}},
    }
    assert heard(
        options, b'boot\n{"id":"esp-7","count":{"in":3,"out":65535}}\n{"count":{"in":65536}}\n{"id":\n'
    ) == [
        UNFIT,
        Register("esp-7", "main", None, 3, 65535, modulus=65536),
        Damaged(DamageReason.SANITY, 22),
        Damaged(DamageReason.SYNTAX, 6),
    ]


def test_a_greeting_can_begin_the_register_anew() -> None:
    """What a board counted between its restart and its first line is then not lost in the decrease."""
    options = {"reading": [{"pattern": "Ready", "total_in": "=0"}, {"pattern": r"(?P<total_in>\d+)"}]}
    assert heard(options, b"120\nReady\n3\n") == [
        Register("device", "main", None, total) for total in (120, 0, 3)
    ]


def test_several_lines_and_counters_on_one_port() -> None:
    options = {"pattern": r"(?P<counter>\w+)/(?P<line>\w+): (?P<ins>\d+)", "match": {"counter": "box2"}}
    assert heard(options, b"box2/A: 1\n") == [Crossings("box2", "A", None, None, 1, basis=Basis.EVENT)]
    configured = Device(
        LinesOptions.model_validate(options), {"door": MappingLine(line="A"), "shop": MappingLine(line="B")}
    )
    match = FAMILY.match(configured)
    assert (match.counter, match.lines) == ("box2", {"A": "door", "B": "shop"})


def test_a_board_that_knows_only_a_level_is_shown_and_counts_nobody(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[gateway]\nid = "g"\n[site]\nid = "s"\ntimezone = "UTC"\n'
        '[link]\nb = { over = "serial", options = { port = "/dev/null" } }\n'
        f"[counter]\nd = {{ link = 'b', driver = 'lines', pattern = '{INSIDE['pattern']}' }}\n"
    )
    roster = Roster(config.load(path))
    source = roster.sources("b")[0]
    resolved = roster.resolve(source, heard(INSIDE, b"Number of people inside : 4\r\n"))
    assert [(one.counter, one.line, one.reading) for one in resolved.bookings] == [
        ("d", "main", Occupancy("device", "main", None, 4))
    ]
    assert [counter for counter, _ in resolved.statuses] == ["d"]
    assert not resolved.unknown


def test_a_till_that_prints_its_receipts() -> None:
    options = {"pattern": r"SALE (?P<amount>\d+\.\d\d)", "base": {"sales": "=1", "currency": "=NOK"}}
    assert heard(options, b"SALE 129.00\n") == [
        Transactions("device", None, None, 1, 0, 12900, "NOK", None, Basis.EVENT)
    ]


@pytest.mark.parametrize(
    ("options", "basis"),
    [
        ({}, Basis.EVENT),
        ({"pattern": TOTALS}, Basis.TOTAL),
        (INSIDE, Basis.TOTAL),
        ({"pattern": r"(?P<ins>\d+)"}, Basis.EVENT),
        ({"csv": ["at", "ins"], "time": {"format": "unix_s"}}, Basis.EVENT),
        ({"csv": ["at", "ins"], "time": {"format": "unix_s", "span_s": 60}}, Basis.DELTA),
    ],
)
def test_what_a_line_counts_by(options: dict[str, Any], basis: Basis) -> None:
    assert FAMILY.basis_for(device(options)) is basis


def test_when_totals_restart_is_told_by_the_register() -> None:
    never = {"pattern": TOTALS, "base": {"register": {"restarts_at": "never"}}}
    assert FAMILY.resets_for(device(never)) is Resets.NEVER
    assert FAMILY.resets_for(device({"pattern": TOTALS})) is Resets.POWER


def test_a_level_below_zero_is_damage_and_no_crossing() -> None:
    assert heard(INSIDE, b"Number of people inside : -2\r\n") == [Damaged(DamageReason.SANITY, 28)]


def test_the_state_a_device_tells_of_itself() -> None:
    options: dict[str, Any] = {
        "status": [
            {"pattern": "OK", "state": "ok"},
            {"pattern": "BEAM", "state": "fault", "detail": "beam blocked"},
        ]
    }
    options |= {"pattern": TOTALS, "match": {"counter": "b1"}}
    assert heard(options, b"OK\nBEAM\n") == [
        Status("b1", None, DeviceState.OK, "OK"),
        Status("b1", None, DeviceState.FAULT, "beam blocked"),
    ]


# --- bare signs


def test_signs_between_noise_and_a_greeting() -> None:
    """A glitch costs itself; text costs its line, and says so where it may have swallowed somebody."""
    items = heard({}, b"+\xff- \r\nReady\r\n-\r\nBooting - wait\r\n+")
    counted = [(item.ins, item.outs) for item in items if isinstance(item, Crossings)]
    assert counted == [(1, None), (None, 1), (None, 1), (1, None)]
    assert [item for item in items if not isinstance(item, Crossings)] == [
        Damaged(DamageReason.SYNTAX, 1),
        codec.TEXT,
        Damaged(DamageReason.SYNTAX, 14),
    ]


def test_text_without_an_end_does_not_silence_the_signs_for_ever() -> None:
    driver = opened({"signs": "IO"})
    assert list(driver.feed(b"Ix", AT_MS)) == [Crossings("device", "main", None, None, 1, basis=Basis.EVENT)]
    assert list(driver.feed(b"O", AT_MS + codec.PAUSE_MS)) == []
    assert [type(item) for item in driver.feed(b"O", AT_MS + 3 * codec.PAUSE_MS)] == [Damaged, Crossings]


# --- lines


def test_a_line_torn_by_a_lost_port_is_never_glued_to_the_next() -> None:
    driver = opened({"pattern": r"(?P<total_in>\d+)"})
    assert list(driver.feed(b"12", AT_MS)) == []
    assert list(driver.feed(b"45\r\n46\r\n", AT_MS + codec.PAUSE_MS + 1)) == [
        Damaged(DamageReason.LENGTH, 2),
        Damaged(DamageReason.LENGTH, 2),
        Register("device", "main", None, 46),
    ]


@pytest.mark.parametrize("noise", [b"\0", b"\xff\xfe", b" "])
def test_noise_on_a_resting_line_does_not_cost_the_next_person(noise: bytes) -> None:
    """What no line begins with was not torn from the line that follows."""
    driver = opened({"pattern": "IN(?P<ins>)", "reading": [{"ins": "=1"}]})
    assert list(driver.feed(noise, AT_MS)) == []
    assert list(driver.feed(b"IN\n", AT_MS + 5 * codec.PAUSE_MS)) == [
        Damaged(DamageReason.LENGTH, len(noise)),
        Crossings("device", "main", None, None, 1, basis=Basis.EVENT),
    ]


def test_a_port_opened_anew_at_once_glues_nothing_and_costs_no_whole_line() -> None:
    driver = opened({"pattern": r"(?P<total_in>\d+)"})
    assert list(driver.feed(b"12", AT_MS)) == []
    driver.reopened(Side.DEVICE)
    driver.reopened(Side.DEVICE)
    assert list(driver.feed(b"45\r\n", AT_MS)) == [
        Damaged(DamageReason.LENGTH, 2),
        Register("device", "main", None, 45),
    ]


def test_a_port_opened_anew_ends_the_text_between_signs() -> None:
    driver = opened({})
    assert list(driver.feed(b"Boot", AT_MS)) == []
    driver.reopened(Side.DEVICE)
    assert list(driver.feed(b"+", AT_MS)) == [
        codec.TEXT,
        Crossings("device", "main", None, None, 1, basis=Basis.EVENT),
    ]


def test_the_two_sides_of_a_tap_are_not_mixed() -> None:
    driver = opened({"pattern": r"(?P<total_in>\d+)"})
    assert list(driver.feed(b"12", AT_MS, Side.HOST)) == []
    assert list(driver.feed(b"9", AT_MS, Side.DEVICE)) == []
    driver.reopened(Side.DEVICE)
    assert list(driver.feed(b"45\n", AT_MS, Side.HOST)) == [Register("device", "main", None, 1245)]


def test_a_slow_line_is_still_one() -> None:
    driver = opened({"pattern": r"(?P<total_in>\d+)"})
    for number, byte in enumerate(b"1245\n"):
        items = list(driver.feed(bytes([byte]), AT_MS + 1000 * number, Side.DEVICE))
    assert items == [Register("device", "main", None, 1245)]


def test_too_long_a_line_is_damage_in_pieces_and_nothing_is_held() -> None:
    driver = opened({"pattern": r"(?P<total_in>\d+)"})
    assert set(driver.feed(b"1" * 100_000, AT_MS)) == {Damaged(DamageReason.LENGTH, codec.LONGEST_LINE)}
    assert list(driver.feed(b"1\n7\n", AT_MS))[1:] == [Register("device", "main", None, 7)]
    assert heard({"pattern": r"(?P<total_in>\d+)"}, b"1" * 300 + b"\n") == [Damaged(DamageReason.LENGTH, 300)]


@given(data=st.binary(max_size=6000), cuts=st.lists(st.integers(1, 3000), max_size=8))
def test_lines_are_the_same_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b"7", b"\n") + b"x" * 3000 + b"\n5\n"
    driver, pieces = opened({"pattern": r"(?P<total_in>\d+)"}), []
    rest = data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    items = [item for piece in [*pieces, rest] for item in driver.feed(piece, AT_MS)]
    assert items == heard({"pattern": r"(?P<total_in>\d+)"}, data)


@given(data=st.text("+-x \r\n\xff", max_size=60), cut=st.integers(0, 60))
def test_signs_are_the_same_however_they_are_cut(data: str, cut: int) -> None:
    raw = data.encode("latin-1")
    driver = opened({})
    assert [*driver.feed(raw[:cut], AT_MS), *driver.feed(raw[cut:], AT_MS)] == heard({}, raw)


# --- patterns


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pattern": "(a+)+(?P<ins>1)"}, "pattern: a repeated group"),
        ({"pattern": r".*.*.*(?P<ins>\d+)"}, "pattern: could take too long"),
        ({"pattern": r"(?P<ins>\d)(?=x)"}, "pattern: not allowed"),
        ({"pattern": r"(?P<ins>\d)\bx"}, "pattern: not allowed"),
        ({"pattern": r"(?P<ins>\d"}, "pattern: not a pattern"),
        ({"pattern": "hello"}, "counts nothing"),
        ({"pattern": TOTALS, "csv": ["ins"]}, "csv: a line is described by one of"),
        ({"json": True}, "reading: missing"),
        ({"reading": [{"ins": "=1"}]}, "pattern: missing"),
        ({"reading": [{"pattern": "(x", "ins": "=1"}]}, "pattern: not a pattern"),
        ({"pattern": r"(?P<ins>\d)", "time": {"zone": "Mars"}}, "time.zone: 'Mars'"),
        ({"pattern": r"(?P<ins>\d)", "status": [{"pattern": "(a*)*"}]}, "a repeated group"),
        ({"reading": [{"pattern": f".*.*{n}", "ins": "=1"} for n in range(4)]}, "all patterns together"),
        ({"signs": "++"}, "two different"),
    ],
)
def test_what_is_no_description_is_said_in_words(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match="(?s)" + said.replace(".", r"\.")):
        LinesOptions.model_validate(options)


def test_a_site_without_a_zone_is_a_problem_of_the_configuration() -> None:
    assert FAMILY.problems(device({"pattern": TOTALS})) == []


WORDS = ("a", "1", " ", "in: 1out: ", "ab", "1,")
QUICK = (
    r".*.*a?x",
    r".*.*[^b]*b",
    r".*in: (\d++).*out: (\d+)x",
    r"\w*?\d*?,\s*\d+\s*,?\s*x",
    r"(?:a|ab|b)?(?:a|ab|b)?.*x",
    r"a{1,200}a{1,200}x",
)


@pytest.mark.parametrize("pattern", QUICK)
def test_an_accepted_pattern_is_quick_whatever_comes(pattern: str) -> None:
    compiled = patterns.compile_pattern(pattern)
    for word in WORDS:
        began = time.thread_time()
        compiled.fullmatch((word * patterns.LONGEST)[: patterns.LONGEST])
        assert time.thread_time() - began < SLOWEST_S


ATOMS = st.sampled_from(["a", "b", r"\d", ".", "[ab]", "[^b]", r"\w", "1", r"\."])
QUANTIFIERS = st.sampled_from(["", "", "*", "+", "?", "{2,9}", "{,40}", "*?", "++", "{3}"])
SEQUENCES = st.lists(st.tuples(ATOMS, QUANTIFIERS).map("".join), min_size=1, max_size=6).map("".join)
GROUPS = st.tuples(st.lists(SEQUENCES, min_size=1, max_size=3), st.sampled_from(["", "?", "*"])).map(
    lambda group: f"(?:{'|'.join(group[0])}){group[1]}"
)


@given(parts=st.lists(SEQUENCES | GROUPS, min_size=1, max_size=4), word=st.sampled_from(WORDS))
def test_no_pattern_that_is_accepted_takes_long(parts: list[str], word: str) -> None:
    pattern = "".join(parts)
    try:
        compiled = patterns.compile_pattern(pattern)
    except ValueError:
        return
    for tail in ("", "!"):
        began = time.thread_time()
        compiled.fullmatch((word * patterns.LONGEST)[: patterns.LONGEST - 1] + tail)
        assert time.thread_time() - began < SLOWEST_S, pattern


@pytest.mark.parametrize(
    ("pattern", "open_ends"),
    [
        (r"\d+,\d+", 0),
        (r"-?\d+\s*,\s*(?P<n>\d+)$", 0),
        (r".*x", 1),
        (r".*in: (\d++).*out", 2),
        (r"(?:\d+)?1", 1),
    ],
)
def test_only_repetitions_that_may_end_anywhere_cost(pattern: str, open_ends: int) -> None:
    assert patterns.steps(pattern) >= patterns.LONGEST ** (open_ends + 1) / 6
    assert patterns.steps(pattern) < patterns.LONGEST ** (open_ends + 2) / 24


def test_ignored_and_damaged_lines_are_told_apart() -> None:
    assert heard({"pattern": TOTALS}, b"hello\n\xc3\x28 IN 1 OUT 2\n\x07\n") == [
        Ignored("no pattern fits"),
        Damaged(DamageReason.SYNTAX, 13),
        Damaged(DamageReason.SYNTAX, 1),
    ]
