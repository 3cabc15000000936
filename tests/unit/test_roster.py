"""A device's own id and line become a configured counter and line, and in is in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway import config
from gateway.model import (
    Basis,
    Booking,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Register,
    Status,
    Transactions,
)
from gateway.roster import REMEMBERED_TOPICS, Roster, topic_fits

TEXT = """
[gateway]
id = "box"
[site]
id = "here"
timezone = "UTC"
[link]
bus = { over = "serial", options = { port = "/dev/null", poll_s = 2 } }
broker = { over = "mqtt", options = { host = "127.0.0.1" } }
[mapping]
acme = { reading = [{ counter = "id", line = "name", ins = "i", outs = "o" }] }
receipts = { reading = [{ till = "pos", sales = "n" }] }
[counter]
door-n = { link = "bus", driver = "dcon", address = "01", in = 0, out = 1 }
door-e = { link = "bus", driver = "dcon", address = "02", in = 0, out = 1, reversed = true, serial = "S2" }
south = { link = "broker", driver = "xovis", topic = "x/south" }
turned = { link = "broker", driver = "xovis", topic = "x/turned", logic = "L", reversed = true }
corner = { link = "broker", driver = "xovis", topic = "x/corner", LINES }
up = { link = "broker", driver = "xovis", topic = "x/stairs", serial = "S-UP" }
down = { link = "broker", driver = "xovis", topic = "x/stairs", serial = "S-DOWN" }
shop = { link = "broker", driver = "mapping", ACME, match = { counter = "M1" } }
shop2 = { link = "broker", driver = "mapping", ACME, match = { counter = "M2" } }
[till]
pos-1 = { link = "broker", driver = "mapping", TILLS, match = { till = "1001" } }
pos-2 = { link = "broker", driver = "mapping", TILLS, match = { till = "1002" } }
[zone]
mall = { kind = "mall", entrances = ["door-n", "-door-e"], tills = ["pos-1"] }
"""
TEXT = TEXT.replace("LINES", 'lines = { a = { logic = "A" }, b = { logic = "B" } }')
TEXT = TEXT.replace("ACME", 'mapping = "acme", topic = "acme/+"')
TEXT = TEXT.replace("TILLS", 'mapping = "receipts", topic = "tills"')


@pytest.fixture
def roster(tmp_path: Path) -> Roster:
    path = tmp_path / "gateway.toml"
    path.write_text(TEXT)
    return Roster(config.load(path))


def crossing(counter: str = "device", line: str = "main", ins: int = 3, outs: int = 1) -> Crossings:
    return Crossings(counter, line, 0, 60_000, ins, outs, None, "k")


def source_of(roster: Roster, counter: str):  # type: ignore[no-untyped-def]
    (found,) = [one for link in ("bus", "broker") for one in roster.sources(link) if counter in one.counters]
    return found


def booked(roster: Roster, counter: str, *items: Item, topic: str = "") -> list[tuple[str, str]]:
    bookings = roster.resolve(source_of(roster, counter), items, topic=topic).bookings
    return [(one.counter, one.line) for one in bookings]


def test_a_polled_device_has_a_decoder_of_its_own(roster: Roster) -> None:
    assert [source.counters for source in roster.sources("bus")] == [("door-e",), ("door-n",)]


def test_messages_that_can_be_told_apart_share_a_decoder(roster: Roster) -> None:
    groups = [set(source.counters) for source in roster.sources("broker")]
    assert {"south", "turned", "corner", "up", "down"} in groups
    assert {"shop", "shop2"} in groups
    assert {"pos-1", "pos-2"} in groups


def test_topics_are_those_of_all_counters_once(roster: Roster) -> None:
    assert source_of(roster, "up").topics == ("x/south", "x/turned", "x/corner", "x/stairs")
    assert source_of(roster, "shop").topics == ("acme/+",)


def test_exact_topic_says_which_counter(roster: Roster) -> None:
    assert booked(roster, "south", crossing(line="Line 0"), topic="x/south") == [("south", "main")]


def test_payload_says_which_counter(roster: Roster) -> None:
    items = [crossing("S-DOWN"), crossing("S-UP")]
    assert booked(roster, "up", *items, topic="x/stairs") == [("down", "main"), ("up", "main")]


def test_wildcard_topic_and_payload_say_which_counter(roster: Roster) -> None:
    assert booked(roster, "shop", crossing("M2", "any"), topic="acme/7") == [("shop2", "main")]


def test_till_is_found_by_its_own_id(roster: Roster) -> None:
    sale = Transactions("1002", None, None, 1)
    assert booked(roster, "pos-1", sale, topic="tills") == [("pos-2", "main")]


def test_till_id_never_names_a_counter(roster: Roster) -> None:
    resolved = roster.resolve(source_of(roster, "pos-1"), [crossing("1001")], topic="tills")
    assert (resolved.bookings, resolved.unknown) == ([], [crossing("1001")])


def test_lines_get_our_names(roster: Roster) -> None:
    items = [crossing(line="B"), crossing(line="A")]
    assert booked(roster, "corner", *items, topic="x/corner") == [("corner", "b"), ("corner", "a")]


def test_only_line_is_the_first_one_heard_and_stays(roster: Roster) -> None:
    items = [crossing(line="Line 7"), crossing(line="Line 8"), crossing(line="Line 7")]
    assert booked(roster, "south", *items, topic="x/south") == [("south", "main")] * 2


def test_only_line_stays_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(TEXT)
    first = Roster(config.load(path))
    adopted = first.resolve(source_of(first, "south"), [crossing(line="Line 7")], topic="x/south").adopted
    assert [(one.counter, one.line) for one in adopted] == [("south", "Line 7")]
    again = Roster(config.load(path))
    again.recall(adopted)
    found = again.resolve(
        source_of(again, "south"), [crossing(line="Line 8"), crossing(line="Line 7")], topic="x/south"
    )
    assert [booking.reading.line for booking in found.bookings] == ["Line 7"]  # type: ignore[union-attr]
    assert found.adopted == []
    path.write_text(TEXT.replace("x/south", "x/west"))  # another device: it names its lines as it likes
    moved = Roster(config.load(path))
    moved.recall(adopted)
    assert booked(moved, "south", crossing(line="Line 8"), topic="x/west") == [("south", "main")]


def test_a_replaced_counter_may_name_its_line_otherwise(roster: Roster) -> None:
    assert booked(roster, "south", crossing(line="Line 7"), topic="x/south") == [("south", "main")]
    roster.readopt("south")
    items = [crossing(line="Line 8"), crossing(line="Line 7")]
    assert booked(roster, "south", *items, topic="x/south") == [("south", "main")]
    assert booked(roster, "south", crossing(line="Line 7"), topic="x/south") == []


def test_a_register_read_from_another_line_begins_anew(tmp_path: Path) -> None:
    """Else the difference between two doors' totals would be people."""
    path = tmp_path / "gateway.toml"
    epochs = set()
    for serial, line in (("M1", "A"), ("M1", "B"), ("M3", "A")):
        path.write_text(TEXT.replace('"M1"', f'"{serial}"'))
        roster = Roster(config.load(path))
        register = Register(serial, line, 0, 10, 20, None, "k", "e")
        [booking] = roster.resolve(source_of(roster, "shop"), [register], topic="acme/7").bookings
        assert isinstance(booking.reading, Register)
        epochs.add(booking.reading.epoch)
    assert len(epochs) == 3


def test_line_that_was_not_chosen_is_no_stranger(roster: Roster) -> None:
    resolved = roster.resolve(source_of(roster, "corner"), [crossing(line="Z")], topic="x/corner")
    assert (resolved.bookings, resolved.unknown, resolved.unchosen) == ([], [], 1)


def test_items_of_an_unknown_device_are_kept_apart(roster: Roster) -> None:
    items = [crossing("M9", "q")] * 2
    resolved = roster.resolve(source_of(roster, "shop"), items, topic="acme/7")
    assert (resolved.bookings, resolved.unknown) == ([], items)


def test_memory_for_topics_is_bounded(roster: Roster) -> None:
    source = source_of(roster, "shop")
    for number in range(REMEMBERED_TOPICS + 10):
        roster.resolve(source, [crossing(f"M-{number}")], topic=f"acme/{number}")
    assert len(source.by_topic) <= REMEMBERED_TOPICS


def test_reversed_line_swaps_its_sides(roster: Roster) -> None:
    source = source_of(roster, "turned")
    (booking,) = roster.resolve(source, [crossing(line="L", ins=3, outs=1)], topic="x/turned").bookings
    assert booking == Booking("turned", "main", crossing(line="L", ins=1, outs=3))


def test_reversed_register_swaps_its_totals_and_a_serial_number_makes_an_epoch(roster: Roster) -> None:
    register = Register("02", "main", None, 10, 20, None, "k", "02/0,1", 65536, 4)
    (booking,) = roster.resolve(source_of(roster, "door-e"), [register]).bookings
    assert booking.reading == Register("02", "main", None, 20, 10, None, "k", "S2/02/0,1", 65536, 4)


def test_line_that_is_not_reversed_keeps_the_drivers_reading(roster: Roster) -> None:
    reading = Register("01", "main", None, 10, 20)
    (booking,) = roster.resolve(source_of(roster, "door-n"), [reading]).bookings
    assert booking.reading is reading


def test_what_is_no_count_is_kept_apart(roster: Roster) -> None:
    status = Status("device", None, DeviceState.DEGRADED, "beam blocked")
    damaged, ignored = Damaged(DamageReason.SYNTAX, 4), Ignored("connection test")
    resolved = roster.resolve(source_of(roster, "south"), [status, damaged, ignored], topic="x/south")
    assert resolved.statuses == [("south", status)]
    assert (resolved.damaged, resolved.ignored, resolved.bookings) == ([damaged], [ignored], [])


def test_zeros_that_a_device_makes_up_are_named_and_not_booked(roster: Roster) -> None:
    made_up = replace(crossing(line="L", ins=0, outs=0), unwatched=True)
    found = roster.resolve(source_of(roster, "turned"), [made_up, crossing(line="L")], topic="x/turned")
    assert found.unwatched == [Booking("turned", "main", made_up)]
    assert found.bookings == [Booking("turned", "main", crossing(line="L", ins=1, outs=3))]


def test_zeros_that_a_device_makes_up_are_never_taken_for_the_only_line(roster: Roster) -> None:
    made_up = replace(crossing(line="New zone", ins=0, outs=0), unwatched=True)
    items = [made_up, crossing(line="Door")]
    found = roster.resolve(source_of(roster, "south"), items, topic="x/south")
    assert [one.line for one in found.adopted] == ["Door"]
    assert found.unwatched == [Booking("south", "main", made_up)]
    assert found.bookings == [Booking("south", "main", items[1])]


def test_rules_of_lines_and_tills(roster: Roster) -> None:
    rules = {rule.ref: rule for rule in roster.rules}
    assert set(rules) == {
        *("door-n", "door-e", "south", "turned", "corner/a", "corner/b", "up", "down", "shop", "shop2"),
        *("pos-1", "pos-2"),
    }
    assert (rules["door-n"].polled, rules["door-n"].basis, rules["door-n"].expect_s) == (True, Basis.TOTAL, 6)
    assert (rules["pos-1"].till, rules["south"].till, rules["south"].polled) == (True, False, False)


@pytest.mark.parametrize(
    ("wanted", "topic", "fits"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("+/b/#", "a/b/c", True),
    ],
)
def test_topic_filters(wanted: str, topic: str, fits: bool) -> None:
    assert topic_fits(wanted, topic) is fits
