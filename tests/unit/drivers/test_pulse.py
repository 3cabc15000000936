"""Dry contacts: what is a pulse, what is bounce, and what is said of lost edges and stuck contacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.pulse.family import FAMILY, TELL_EVERY_MS, TOLD_FOR_MS, Pulse, PulseOptions
from gateway import config
from gateway.driver import Device, Stream
from gateway.errors import ConfigurationError
from gateway.model import (
    Booking,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Item,
    Status,
)
from gateway.roster import Roster
from simulators.pulse import Box

AT_MS = 1_795_424_400_000


def opened(**options: Any) -> Stream:
    given_options = {"in": "17", "out": "18", **options}
    return Pulse(PulseOptions.model_validate(given_options))


def heard(text: str, driver: Stream | None = None, **options: Any) -> list[Item]:
    lines = text.replace(", ", "\n") + "\n"
    return list((driver or opened(**options)).feed(lines.encode(), AT_MS))


def persons(items: list[Item]) -> tuple[int, int, int]:
    crossings = [item for item in items if isinstance(item, Crossings)]
    return (
        sum(item.ins or 0 for item in crossings),
        sum(item.outs or 0 for item in crossings),
        sum(item.passes or 0 for item in crossings),
    )


def said(items: list[Item]) -> list[tuple[str, str]]:
    return [(str(item.state), item.detail) for item in items if isinstance(item, Status)]


def test_each_pulse_is_one_person_whichever_way_it_goes() -> None:
    items = heard("17 =0 0, 18 =0 0, 17 1 1000, 17 0 1120, 18 1 1500, 18 0 1620, 17 1 2000, 17 0 2100")
    assert persons(items) == (2, 1, 0)
    assert said(items) == [("ok", "")]
    assert {item.counter for item in items if isinstance(item, Crossings)} == {"17+18"}


@pytest.mark.parametrize("bounces", [0, 1, 4])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("edge", ["rising", "falling"])
def test_bounce_is_no_person(bounces: int, inverted: bool, edge: str) -> None:
    box = Box("17", "18", bounces, inverted)
    said_by_it = b"".join([*box.reset(), *box.cross(40, 17)])
    driver = opened(inverted=inverted, edge=edge)
    assert persons(list(driver.feed(said_by_it, AT_MS))) == (40, 17, 0)


@pytest.mark.parametrize(("stays_ms", "counted"), [(1, 0), (19, 0), (20, 1), (500, 1)])
def test_a_spike_shorter_than_the_debounce_is_nobody(stays_ms: int, counted: int) -> None:
    items = heard(f"17 =0 0, 17 1 1000, 17 0 {1000 + stays_ms}, 17 =0 2000")
    assert persons(items) == (counted, 0, 0)
    assert not [item for item in items if isinstance(item, Damaged)]


def test_a_pulse_is_told_as_soon_as_it_has_stayed_long_enough() -> None:
    driver = opened()
    assert persons(heard("17 =0 0, 17 1 1000", driver)) == (0, 0, 0)
    assert persons(heard("17 =1 1500", driver)) == (1, 0, 0)
    assert persons(heard("17 0 1600, 17 =0 2500", driver)) == (0, 0, 0)


def test_a_contact_that_is_closed_when_the_watch_begins_is_nobody() -> None:
    assert persons(heard("17 =1 0, 17 =1 5000, 17 0 6000, 17 =0 7000")) == (0, 0, 0)


def test_a_recording_without_levels_begins_with_an_edge() -> None:
    assert persons(heard("17 1 1000, 17 0 1100")) == (1, 0, 0)
    assert persons(heard("17 0 1000, 17 1 1100, 17 0 1200")) == (1, 0, 0)


def test_persons_in_a_pulse() -> None:
    assert persons(heard("17 1 1000, 17 0 1100", per_pulse=10)) == (10, 0, 0)


def test_a_beam_without_direction_counts_passes() -> None:
    options: dict[str, Any] = {"in": None, "out": None, "both": "dcd"}
    assert persons(heard("dcd 1 1000, dcd 0 1100, cts 1 1500, cts 0 1600", **options)) == (0, 0, 1)


def test_a_stuck_contact_is_a_fault_until_it_opens() -> None:
    beats = ", ".join(f"17 =1 {at}" for at in range(2000, 90_000, 1000))
    items = heard(f"17 =0 0, 17 1 1000, {beats}, 17 0 90000, 17 =0 91000")
    states = said(items)
    assert states[0] == ("ok", "")
    assert ("fault", "contact 17 stuck for over 60 s") in states
    assert states[-1] == ("ok", "")
    assert persons(items) == (1, 0, 0)
    assert said(heard(f"17 =0 0, 17 1 1000, {beats}", stuck_s=0))[-1] == ("ok", "")


def test_lost_edges_are_damage_and_told_for_a_quarter_of_an_hour() -> None:
    driver = opened()
    items = heard("17 =0 0, 17 1 1000, 17 0 1100, 17 !3 2000, 17 =0 2000", driver)
    assert persons(items) == (1, 0, 0)
    assert [item for item in items if isinstance(item, Damaged)] == [Damaged(DamageReason.LENGTH, 10)]
    assert said(items)[-1] == ("degraded", "edges lost: 3; persons may have passed uncounted")
    assert said(heard(f"17 =0 {1999 + TOLD_FOR_MS}", driver))[-1][0] == "degraded"
    assert said(heard(f"17 =0 {2000 + TOLD_FOR_MS}", driver)) == [("ok", "")]


@pytest.mark.parametrize(
    "text", ["17 1 1000, 17 1 2000", "17 =0 500, 17 =1 1000", "17 1 1000, 17 0 1100, 17 0 1500"]
)
def test_an_edge_that_cannot_follow_shows_another_was_lost(text: str) -> None:
    items = heard(f"17 =0 0, {text}")
    assert Damaged(DamageReason.LENGTH, 9) in items or Damaged(DamageReason.LENGTH, 10) in items
    assert said(items)[-1][0] == "degraded"


def test_how_long_nobody_watched_is_told() -> None:
    driver = opened()
    heard("17 !0 0, 17 =0 0, 17 =0 4000", driver)
    items = heard("17 !0 16500, 18 !0 16500, 17 =1 16500, 18 =0 16500, 17 0 17000", driver)
    assert said(items) == [("degraded", "not watched for 12.5 s: who passed then is not counted")]
    assert persons(items) == (0, 0, 0)


@pytest.mark.parametrize("behind_ms", [0, 1, 20])
def test_edges_of_two_contacts_told_out_of_turn_lose_nobody(behind_ms: int) -> None:
    """Each line has an interrupt of its own, and levels are looked up while edges are on their way."""
    text = f"17 =0 0, 18 =0 0, 17 1 1000, 18 1 {1000 - behind_ms}, 17 =1 1100, 18 =1 1100"
    assert persons(heard(text)) == (1, 1, 0)


def test_a_clock_that_began_anew_loses_nobody_after_it() -> None:
    driver = opened()
    heard("17 =0 0, 17 1 900000, 17 0 900100", driver)
    assert persons(heard("17 =0 5, 17 1 1000, 17 0 1100", driver)) == (1, 0, 0)


def test_a_resting_contact_is_a_sign_of_life_now_and_then() -> None:
    items = heard(", ".join(f"17 =0 {at}" for at in range(0, 60_001, 1000)))
    assert said(items) == [("ok", "")] * (60_000 // TELL_EVERY_MS + 1)


@pytest.mark.parametrize("line", ["17", "17 2 5", "17 =2 5", "17 1 x", "17 1 5 6", "\xff", "x" * 40 + " 1 5"])
def test_what_is_no_line_of_contacts_is_damage(line: str) -> None:
    driver = opened()
    raw = line.encode("latin-1")
    assert list(driver.feed(raw + b"\n", AT_MS)) == [Damaged(DamageReason.SYNTAX, len(raw))]


@given(
    pulses=st.lists(st.tuples(st.integers(25, 400), st.integers(25, 400)), max_size=20),
    lost=st.sets(st.integers(0, 39)),
)
def test_whatever_lines_are_lost_nobody_is_invented(pulses: list[tuple[int, int]], lost: set[int]) -> None:
    at_ms, lines = 1000, []
    for closed_ms, open_ms in pulses:
        lines += [f"17 1 {at_ms}", f"17 0 {at_ms + closed_ms}"]
        at_ms += closed_ms + open_ms
    kept = [line for number, line in enumerate(lines) if number not in lost]
    assert persons(heard(", ".join(["17 =0 0", *lines, f"17 =0 {at_ms}"]))) == (len(pulses), 0, 0)
    assert persons(heard(", ".join(["17 =0 0", *kept, f"17 =0 {at_ms}"])))[0] <= len(pulses)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"in": "17", "out": "17"}, "the same contact"),
        ({"in": "17", "both": "18"}, "either `both`"),
        ({"in": "17", "debounce_s": -1}, "greater than"),
        ({"in": "17", "bounce": 1}, "Extra inputs"),
    ],
)
def test_contacts_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PulseOptions.model_validate(options)


def test_a_number_is_a_name_and_none_at_all_is_a_problem() -> None:
    assert PulseOptions.model_validate({"in": 17}).contacts == ("17",)
    assert FAMILY.problems(Device(PulseOptions.model_validate({}))) != []


def configured(tmp_path: Path, link: str, counters: str) -> config.Config:
    path = tmp_path / "gateway.toml"
    text = f'[gateway]\nid = "g"\n[site]\nid = "s"\ntimezone = "UTC"\n[link]\n{link}\n[counter]\n{counters}\n'
    path.write_text(text)
    return config.load(path)


PORT = 'c = { over = "gpio", options = { port = "p" } }'
TWO = """a = { link = "c", driver = "pulse", in = "cts", out = "dsr" }
b = { link = "c", driver = "pulse", both = "dcd", reversed = true }"""


def test_counters_that_share_a_link_are_booked_apart(tmp_path: Path) -> None:
    roster = Roster(configured(tmp_path, 'c = { over = "gpio", options = { port = "/dev/null" } }', TWO))
    booked: list[Booking] = []
    for source in roster.sources("c"):
        items = source.driver.feed(b"cts 1 1000\ncts 0 1100\ndcd 1 1200\ndcd 0 1400\n", AT_MS)  # type: ignore[union-attr]
        resolved = roster.resolve(source, items)
        assert not resolved.unknown
        assert [counter for counter, _ in resolved.statuses] == list(source.counters)
        booked += resolved.bookings
    assert sorted((one.counter, one.line, one.reading.ins, one.reading.passes) for one in booked) == [  # type: ignore[union-attr]
        ("a", "main", 1, None),
        ("b", "main", None, 1),
    ]


@pytest.mark.parametrize(
    ("link", "counters", "words"),
    [
        (
            'c = { over = "gpio", options = {} }',
            TWO,
            "link.c.options: chip: either a chip or a port|link.c.options.chip",
        ),
        ('c = { over = "gpio", options = { port = "p", bias = "none" } }', TWO, "no such resistors"),
        (
            PORT + '\nd = { over = "serial", options = { port = "p" } }',
            TWO,
            "link c has this port too",
        ),
        (
            PORT,
            TWO.replace('both = "dcd", ', ""),
            "a contact is missing",
        ),
        (
            PORT,
            TWO.replace('both = "dcd"', 'in = "cts", out = "dsr"'),
            "the same device",
        ),
    ],
)
def test_what_cannot_be_right_is_said(tmp_path: Path, link: str, counters: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(tmp_path, link, counters)
    assert any(word in problem for problem in caught.value.problems for word in words.split("|"))


def test_a_chip_without_its_package_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = 'c = { over = "gpio", options = { chip = "/dev/gpiochip0", bias = "pull-up" } }'
    monkeypatch.setattr("gateway.config.links.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError) as caught:
        configured(tmp_path, link, TWO)
    assert any("venv/bin/pip install 'gpiod>=2.1,<3'" in problem for problem in caught.value.problems)
    monkeypatch.setattr("gateway.config.links.find_spec", lambda name: name)
    assert configured(tmp_path, link, TWO).link["c"].over == "gpio"


def test_status_is_of_the_configured_device() -> None:
    assert heard("17 =0 0")[0] == Status("17+18", None, DeviceState.OK)
