"""Semantics 1, 8 and 9: what counts once, what is refused, what waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.model import (
    MAX_COUNT,
    Adopted,
    Basis,
    Crossings,
    Delivery,
    LineRule,
    Member,
    Register,
    Role,
    Stamp,
    Transactions,
    ZoneSpec,
)
from gateway.store import Grid
from gateway.store.recording import key_hash
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, T0, Box

MakeBox = Callable[..., Awaitable[Box]]
BEAM = LineRule("door", "main", basis=Basis.EVENT, max_per_s=0)
GATE = LineRule("door", "main", basis=Basis.TOTAL, max_per_s=5, polled=True, expect_s=15)
Q = 15 * MINUTE


def books(box: Box) -> tuple[int, int, int, int]:
    ledger = box.ledger()
    return ledger["received"], ledger["counted"], ledger["replaced"], ledger["refused"]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ((0, 15, 5), (5, 5, 0, 0)),  # repeated
        ((0, 15, 8), (13, 8, 5, 0)),  # replaces
        ((-15, 30, 9), (14, 9, 5, 0)),  # supersedes
        ((5, 10, 2), (7, 5, 0, 2)),  # covered
        ((10, 20, 2), (7, 5, 0, 2)),  # overlap
        ((15, 20, 2), (7, 7, 0, 0)),  # touches: both count
    ],
)
async def test_identity_of_deltas(box: Box, second: tuple[int, int, int], expected: tuple[int, ...]) -> None:
    box.at(T0 + HOUR)
    await box.delta(T0, T0 + Q, 5)
    start, end, ins = second
    outcome = await box.delta(T0 + start * MINUTE, T0 + end * MINUTE, ins)
    assert books(box) == expected
    assert sum(outcome.refused.values()) == expected[3]
    box.balanced()


async def test_fifteen_pushed_minutes_are_not_doubled_by_a_back_fill(box: Box) -> None:
    box.at(T0 + HOUR)
    for minute in range(15):
        await box.delta(T0 + minute * MINUTE, T0 + (minute + 1) * MINUTE, 2)
    await box.delta(T0, T0 + Q, 30)
    assert books(box) == (60, 30, 30, 0)
    await box.delta(T0 + MINUTE, T0 + 2 * MINUTE, 2)
    assert books(box) == (62, 30, 30, 2)
    box.balanced()


async def test_one_side_at_a_time(box: Box) -> None:
    box.at(T0 + HOUR)
    await box.delta(T0, T0 + Q, 5)
    await box.delta(T0, T0 + Q, None, 4)
    assert (box.ledger()["counted"], box.ledger("outs")["counted"]) == (5, 4)
    await box.delta(T0, T0 + Q, 5, 4)
    assert (box.ledger()["counted"], box.ledger("outs")["counted"]) == (5, 4)
    box.balanced()


async def test_another_basis_is_a_check_and_never_counted(box: Box) -> None:
    await box.take_in(Crossings("door", "main", T0 - 5, T0 - 4, 3, basis=Basis.EVENT, key="a"))
    await box.take_in(Register("door", "main", T0 - 5, total_in=7))
    assert books(box) == (0, 0, 0, 0)


async def test_an_event_is_its_id(make_box: MakeBox) -> None:
    box = await make_box(rules=[BEAM])
    for key in ("a", "a", "b"):
        await box.take_in(Crossings("door", "main", T0 - 5, T0 - 4, 1, basis=Basis.EVENT, key=key))
    assert books(box) == (2, 2, 0, 0)
    await box.take_in(Crossings("door", "main", T0 - 5, T0 - 4, 3, basis=Basis.EVENT, key="a"))
    assert books(box) == (5, 4, 1, 0)


TILL = LineRule("pos", "main", till=True, basis=Basis.EVENT)
SHOP = ZoneSpec("shop", "store", (Member("pos", "main", Role.TILL),))


def sale(currency: str | None, amount_minor: int = 10_000) -> Transactions:
    event = Basis.EVENT
    return Transactions("pos", T0 - 5, T0 - 4, 1, 0, amount_minor, currency, f"{currency}", event, once=True)


async def test_yen_are_not_added_to_crowns(make_box: MakeBox) -> None:
    box = await make_box(rules=[TILL], zones=[SHOP], grid=Grid(size_s=900, currency="NOK"))
    for currency in ("NOK", None, "XXX", "JPY"):
        outcome = await box.take_in(sale(currency), counter="pos")
        assert outcome.result == "ok"
    assert outcome.foreign == {"pos": "JPY"}
    assert (await box.take_in(sale("JPY"), counter="pos")).foreign == {}  # told again, it is refused once
    sales, money = box.ledger("sales", "pos"), box.ledger("amount", "pos")
    assert (sales["received"], sales["counted"], sales["refused"]) == (4, 4, 0)
    assert (money["received"], money["counted"], money["refused"]) == (40_000, 30_000, 10_000)
    box.balanced()


async def test_yen_told_while_the_time_was_unknown_are_not_added_either(make_box: MakeBox) -> None:
    box = await make_box(rules=[TILL], zones=[SHOP], grid=Grid(size_s=900, currency="NOK"))
    box.trusted = False
    for currency in ("NOK", "JPY", "JPY"):
        await box.take_in(sale(currency), counter="pos")
    box.balanced()
    await box.restart()
    box.trusted = True
    box.pass_ms(MINUTE)
    await box.store.hold_release(box.now())
    sales, money = box.ledger("sales", "pos"), box.ledger("amount", "pos")
    assert (sales["counted"], money["counted"], money["held"]) == (2, 10_000, 0)
    box.balanced()


async def test_an_edited_amount_replaces_what_was_told_in_another_currency(make_box: MakeBox) -> None:
    box = await make_box(rules=[TILL], zones=[SHOP], grid=Grid(size_s=900, currency="NOK"))
    for currency, amount in (("NOK", 500), ("JPY", 900), ("NOK", 700)):
        sold = Transactions("pos", T0 - 5, T0 - 4, 1, 0, amount, currency, "order 1", Basis.EVENT, once=True)
        await box.take_in(sold, counter="pos")
        box.balanced()
    assert box.ledger("sales", "pos")["counted"] == 1
    assert box.ledger("amount", "pos")["counted"] == 700


async def test_where_the_site_names_no_currency_any_will_do(make_box: MakeBox) -> None:
    box = await make_box(rules=[TILL], zones=[SHOP])
    assert (await box.take_in(sale("SEK"), counter="pos")).foreign == {}
    assert box.ledger("amount", "pos")["counted"] == 10_000


async def test_a_telegram_of_which_all_was_stored_before_is_a_duplicate(make_box: MakeBox) -> None:
    box = await make_box(rules=[DOOR])
    first, second = (Crossings("door", "main", T0 - back, T0 - back + 1000, 2, 1) for back in (3000, 2000))
    told = [(first,), (first,), (first, second), (second, first), (replace(first, ins=3),)]
    results = [(await box.take_in(*readings)).result for readings in told]
    assert results == ["ok", "duplicate", "ok", "duplicate", "ok"]
    box.balanced()


async def test_an_id_without_a_time_counts_once_whenever_it_comes_again(make_box: MakeBox) -> None:
    box = await make_box(rules=[BEAM])
    for _ in range(3):
        await box.take_in(Crossings("door", "main", None, None, 1, basis=Basis.EVENT, key="a"))
        box.pass_ms(20 * MINUTE)
        await box.restart()
    assert books(box) == (1, 1, 0, 0)


async def test_a_redelivered_message_without_time_or_id_is_skipped_whole(make_box: MakeBox) -> None:
    box = await make_box(rules=[BEAM])
    session = await box.store.sessions.begin("link", present=False)
    reading = Crossings("door", "main", None, None, 1, basis=Basis.EVENT)

    async def deliver(mid: int, digest: bytes, *, dup: bool) -> str:
        box.pass_ms(10)
        given = Delivery(await box.store.sessions.begin("link", present=True), mid, digest, dup)
        return (await box.take_in(reading, reading, delivery=given)).result

    assert await deliver(1, b"x", dup=False) == "ok"
    await box.restart()
    assert await deliver(1, b"x", dup=True) == "duplicate"
    assert await deliver(1, b"y", dup=True) == "ok"  # another payload under a reused mid
    assert await deliver(2, b"x", dup=True) == "ok"  # its first delivery never reached the file
    assert books(box) == (6, 6, 0, 0)
    assert await box.store.sessions.begin("link", present=False) == session + 1
    assert await deliver(2, b"x", dup=True) == "ok"  # a new session reuses its mids
    box.balanced()


async def test_a_delivery_is_remembered_until_it_is_acknowledged_and_no_longer(make_box: MakeBox) -> None:
    """Brokers give a packet id again; two people in front of a beam look alike."""
    box = await make_box(rules=[BEAM])
    session = await box.store.sessions.begin("link", present=False)
    person = Crossings("door", "main", None, None, 1, basis=Basis.EVENT)

    async def deliver(round_: int, *, dup: bool) -> str:
        box.pass_ms(10)
        return (await box.take_in(person, delivery=Delivery(session, 1, b"x", dup, round_))).result

    assert await deliver(3, dup=False) == "ok"
    await box.store.sessions.forget("link", 3)
    assert await deliver(3, dup=True) == "duplicate"
    await box.restart()  # killed between the commit and the acknowledgement
    assert await box.store.sessions.begin("link", present=True) == session
    assert await deliver(0, dup=True) == "duplicate"
    await box.store.sessions.forget("another", 9)
    assert await deliver(1, dup=True) == "duplicate"
    await box.store.sessions.forget("link", 1)
    assert await deliver(1, dup=True) == "duplicate"  # its acknowledgement was owed anew
    await box.store.sessions.forget("link", 2)
    assert await deliver(2, dup=True) == "ok"  # the first we see of the next person
    assert books(box) == (2, 2, 0, 0)
    box.balanced()


async def test_ids_are_kept_as_63_bit_hashes(make_box: MakeBox) -> None:
    box = await make_box(rules=[BEAM])
    await box.take_in(Crossings("door", "main", T0 - 5, T0 - 4, 1, basis=Basis.EVENT, key="receipt 4711"))
    reader = box.store.reader()
    [row] = reader.readings(T0 - HOUR, T0)
    reader.close_file()
    assert row["key"] == key_hash("receipt 4711")
    assert 0 < row["key"] < 2**63


@pytest.mark.parametrize(
    ("start", "reason", "result"),
    [(T0 + 3 * MINUTE, "future", "future"), (T0 - 36 * 24 * HOUR, "ancient", "ancient")],
)
async def test_absurd_times_are_refused(box: Box, start: int, reason: str, result: str) -> None:
    outcome = await box.delta(start, start + MINUTE, 4)
    assert (outcome.result, outcome.refused) == (result, {reason: 4})
    assert books(box) == (4, 0, 0, 4)
    box.balanced()


async def test_an_end_in_the_future_is_cut_at_receipt(box: Box) -> None:
    for _ in range(3):  # a running hour, whose later copies replace
        await box.delta(T0, T0 + HOUR, 6)
        box.pass_ms(10 * MINUTE)
    box.at(T0 + HOUR + MINUTE)
    await box.delta(T0, T0 + HOUR, 9)
    reader = box.store.reader()
    [row] = reader.readings(T0, T0 + HOUR)
    reader.close_file()
    assert (row["end_ms"], row["ins"]) == (T0 + HOUR, 9)
    box.balanced()


@pytest.mark.parametrize("ins", [MAX_COUNT + 1, -1, 2**63])
async def test_numbers_out_of_range_are_refused(box: Box, ins: int) -> None:
    outcome = await box.delta(T0 - MINUTE, T0, ins)
    assert "sanity" in outcome.refused
    assert books(box) == (0, 0, 0, 0)


async def test_a_poison_message_is_refused_alone(box: Box) -> None:
    from gateway.model import Booking, Parcel

    good = [Booking("door", "main", Crossings("door", "main", T0 - MINUTE, T0, 5))]
    bad = [Booking("door", "main", Crossings("door", "main", T0, T0 + 1, "many"))]  # type: ignore[arg-type]
    more = [Booking("door", "main", Crossings("door", "main", T0 - 2 * MINUTE, T0 - MINUTE, 6))]
    outcomes = await box.store.record([Parcel("link", box.now(), part) for part in (good, bad, more)])
    assert [outcome.result for outcome in outcomes] == ["ok", "poison", "ok"]
    assert books(box) == (11, 11, 0, 0)
    reader = box.store.reader()
    assert reader.poison() == 1
    reader.close_file()
    box.balanced()


async def poll(box: Box, total: int, seconds: int = 5, epoch: str = "") -> None:
    box.pass_ms(seconds * 1000)
    await box.take_in(Register("door", "main", None, total_in=total, epoch=epoch, modulus=65536))


@pytest.mark.parametrize(
    ("totals", "counted", "refused", "kinds"),
    [
        ([100, 105, 105, 111], 11, 0, {}),
        ([65530, 4, 10], 16, 0, {"rollover": 1}),
        ([40, 3, 9], 9, 0, {"reset": 1}),
        ([40, 3, 45], 5, 0, {"glitch": 1}),
        ([40, 540, 541], 1, 500, {"jump": 1}),
        ([1000, 990, 980], 0, 10, {"backward": 1}),
    ],
)
async def test_polled_totals(
    make_box: MakeBox, totals: list[int], counted: int, refused: int, kinds: dict[str, int]
) -> None:
    box = await make_box(rules=[GATE])
    for total in totals:
        await poll(box, total)
        await box.restart()
    assert (box.ledger()["counted"], box.ledger()["refused"]) == (counted, refused)
    reader = box.store.reader()
    [line] = reader.lines()
    reader.close_file()
    assert line.resets == kinds
    box.balanced()


async def test_a_changed_device_books_nothing_for_the_gap(make_box: MakeBox) -> None:
    box = await make_box(rules=[GATE])
    await poll(box, 100, epoch="serial-1")
    await poll(box, 7, epoch="serial-2")
    await poll(box, 9, epoch="serial-2")
    assert books(box) == (2, 2, 0, 0)


async def test_polled_totals_follow_the_monotonic_clock(make_box: MakeBox) -> None:
    """The wall clock steps back an hour between two polls: nothing is lost, nothing runs backwards."""
    box = await make_box(rules=[GATE])
    await poll(box, 100)
    box.wall -= HOUR
    await poll(box, 110)
    await poll(box, 118)
    assert books(box) == (18, 18, 0, 0)
    rows = box.store._con.execute("SELECT start_ms, end_ms FROM readings ORDER BY start_ms").fetchall()
    assert rows[0][1] == rows[1][0]


async def test_zero_differences_write_no_row_but_watch(make_box: MakeBox) -> None:
    box = await make_box(rules=[GATE])
    for _ in range(181):
        await poll(box, 100)
    assert box.store._con.execute("SELECT count(*) FROM readings").fetchone() == (0,)
    box.at(T0 + 17 * MINUTE)
    await box.close()
    [event] = await box.take()
    assert event.body["data"]["completeness"] == pytest.approx(895 / 900, abs=1e-6)  # type: ignore[index]


async def test_a_register_gap_is_booked_however_long(make_box: MakeBox) -> None:
    box = await make_box(rules=[GATE])
    await poll(box, 100)
    await poll(box, 5_100, seconds=40 * 24 * 3600)
    assert books(box) == (5000, 5000, 0, 0)
    box.balanced()
    await box.drain()
    box.balanced()


@pytest.mark.parametrize("reboot", [False, True])
async def test_untrusted_readings_are_held_then_booked_once(make_box: MakeBox, reboot: bool) -> None:
    box = await make_box(rules=[BEAM])
    true_wall = box.wall
    box.trusted, box.wall = False, 5_000
    for _ in range(2):  # a redelivery while the time is unknown
        await box.take_in(Crossings("door", "main", None, None, 4, basis=Basis.EVENT, key="a"))
        box.pass_ms(1000)
    assert box.ledger()["held"] == 8
    box.balanced()
    await box.restart(reboot=reboot)
    box.trusted, box.wall = True, true_wall + MINUTE
    assert await box.store.hold_release(box.now()) == 2
    assert books(box) == (4, 4, 0, 0)
    assert box.ledger()["held"] == 0
    reader = box.store.reader()
    [row] = reader.readings(T0 - HOUR, T0 + HOUR)
    reader.close_file()
    if reboot:
        assert (row["start_ms"], row["end_ms"], row["quality"]) == (true_wall, true_wall + MINUTE, 3)
    else:
        assert (row["start_ms"], row["quality"]) == (true_wall + MINUTE - 2000, 2)
    box.balanced()


async def test_held_totals_keep_their_order(make_box: MakeBox) -> None:
    box = await make_box(rules=[GATE])
    await poll(box, 100)
    box.trusted = False
    wall, box.wall = box.wall, 0
    await poll(box, 103)
    await poll(box, 109)
    box.trusted, box.wall = True, wall + 15_000
    await box.store.hold_release(Stamp(box.boot, box.mono + 5_000, box.wall))
    assert books(box) == (9, 9, 0, 0)
    box.balanced()


async def test_an_adopted_line_is_remembered_with_the_first_of_its_readings(box: Box) -> None:
    taken = Adopted("door", "broker xovis x", "Line 7")
    await box.delta(T0 - MINUTE, T0, 1, adopted=[taken])
    await box.restart(reboot=True)
    assert await box.store.adopted() == [taken]


async def test_a_difference_that_no_reading_can_hold_is_a_jump(make_box: MakeBox) -> None:
    box = await make_box(rules=[LineRule("door", "main", basis=Basis.TOTAL, max_per_s=0)])
    for minute, total in ((3, 100), (2, 6_000_000_000), (1, 6_000_000_007)):
        await box.take_in(Register("door", "main", T0 - minute * MINUTE, total_in=total))
        box.balanced()
    assert books(box) == (6_000_000_007 - 100, 7, 0, 6_000_000_000 - 100)
