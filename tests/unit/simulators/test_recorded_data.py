"""Recorded data are read as their files mean them, and registers come to what the rules say."""

from __future__ import annotations

import pytest

from simulators.oracle import book, share
from simulators.recorded import DATASETS, load, whole_file
from simulators.replay import configuration, messages, registers, start_of, truth_of

MINUTE = 60_000


def steps(*totals: int) -> list[tuple[int, int]]:
    return [(number * MINUTE, total) for number, total in enumerate(totals)]


def test_the_stamp_of_a_half_hour_is_its_end() -> None:
    first = load("calit2").deltas["main-door"][0]
    assert (first.start_ms, first.end_ms) == (
        1122186600000,
        1122188400000,
    )  # 23:30 to 00:00, seven hours west


def test_excerpts_come_to_the_sums_of_their_files() -> None:
    assert truth_of(load("calit2")).totals()["main-door"]["ins"] == 1169
    receipts = truth_of(load("complete_journey_receipts")).totals()
    assert sum(zone["sales"] for zone in receipts.values()) == 400
    assert sum(zone["amount_minor"] for zone in receipts.values()) == 1_394_451


def test_a_turnstile_that_counts_backwards_is_refused_and_said_so() -> None:
    ins, outs = registers(load("mta_turnstile"), "a011-01-00-03")
    assert (ins.persons, ins.exceptions) == (8604, {})
    assert (outs.persons, outs.exceptions) == (0, {"backward": 8765, "held": 421})


def test_a_turnstile_configured_to_count_down_counts() -> None:
    ins, outs = registers(load("mta_turnstile"), "a011-01-00-00")
    assert (ins.persons, outs.persons) == (17_640, 18_394)


@pytest.mark.parametrize(
    ("totals", "modulus", "persons", "exceptions"),
    [
        ((7, 7, 9, 12), None, 5, {}),
        ((100, 110, 3, 8), None, 18, {"reset": 3}),  # 10, then 3 since the reset, then 5
        ((100, 110, 3, 112), None, 12, {"glitch": 1}),
        ((100, 90, 80, 70), None, 0, {"backward": 20, "held": 10}),
        ((65_530, 4), 65_536, 10, {}),
        ((0, 10_000), None, 0, {"jump": 10_000}),
    ],
)
def test_totals_become_persons(
    totals: tuple[int, ...], modulus: int | None, persons: int, exceptions: dict[str, int]
) -> None:
    booked = book(steps(*totals), modulus=modulus)
    assert (booked.persons, booked.exceptions) == (persons, exceptions)


def test_a_share_adds_up() -> None:
    parts = share(17, 5_000, 255_000, MINUTE)
    assert sum(parts.values()) == 17
    assert list(parts) == [0, MINUTE, 2 * MINUTE, 3 * MINUTE, 4 * MINUTE]


def test_messages_come_in_another_order_and_some_twice() -> None:
    recording = load("complete_journey_receipts")
    told = messages(recording, seed=1)
    assert told == messages(recording, seed=1)
    assert told != messages(recording, seed=2)
    assert len(told) > len(set(told))


def test_a_data_set_without_a_licence_is_not_shipped() -> None:
    assert DATASETS["bread_basket"][2] is None
    if whole_file("bread_basket") is None:
        with pytest.raises(FileNotFoundError, match="COUNTER_DATA"):
            load("bread_basket")


def test_the_configuration_names_every_device(tmp_path: object) -> None:
    import tomllib
    from pathlib import Path

    text = configuration(
        load("mta_turnstile"),
        broker="127.0.0.1:1",
        office="http://x",
        data_dir=Path("d"),
        listen="127.0.0.1:2",
    )
    config = tomllib.loads(text)
    assert len(config["counter"]) == len(config["zone"]) == 8
    assert config["counter"]["a011-01-00-04"]["counts"] == "down"
    assert start_of(load("mta_turnstile")) == "2015-06-29T00:00:00.000Z"
