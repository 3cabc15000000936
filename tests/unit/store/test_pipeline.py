"""Close, take, settle: the way of a count from the file to head office."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path

import pytest

from gateway.model import Basis, Booking, Crossings, LineRule, Member, Parcel, Role, Transactions, ZoneSpec
from gateway.store import Grid, Hours, Store, UpstreamPlan
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, T0, Box

MakeBox = Callable[..., Awaitable[Box]]
TILL = LineRule("pos", "main", till=True, basis=Basis.EVENT)


def data_of(event: object) -> dict[str, object]:
    data = event.body["data"]  # type: ignore[attr-defined]
    assert isinstance(data, dict)
    return data


async def test_a_minute_becomes_an_event(box: Box) -> None:
    await box.delta(T0, T0 + MINUTE, 3, 1)
    box.at(T0 + 16 * MINUTE)
    assert await box.close() == 1
    [event] = await box.take()
    data = data_of(event)
    assert event.id == f"site/shop/900/2026-11-25T10:00:00Z/{T0 // 1000}/1"
    assert (data["ins"], data["outs"], data["occupancy"], data["reason"]) == (3, 1, 2, "closed")
    assert data["completeness"] == pytest.approx(60 / 900, abs=1e-6)
    assert data["flags"] == ["partial"]
    box.balanced()
    await box.settle([event])
    assert await box.take() == []
    box.balanced()


async def test_empty_windows_are_closed_and_sent_also_those_missed_while_off(box: Box) -> None:
    await box.restart()
    box.at(T0 + 3 * HOUR + 5 * MINUTE)
    assert await box.close() == 12
    assert [data_of(event)["ins"] for event in await box.everything()] == [0] * 12


async def test_late_data_restates_only_what_differs(box: Box) -> None:
    await box.delta(T0, T0 + 10 * MINUTE, 10)
    box.at(T0 + HOUR)
    await box.close()
    await box.delta(T0 + 10 * MINUTE, T0 + 11 * MINUTE, 4)
    assert await box.close() == 0  # a stream of late minutes is restated once
    box.balanced()
    box.pass_ms(2_500)
    assert await box.close() == 1
    await box.delta(T0 + 10 * MINUTE, T0 + 11 * MINUTE, 4)
    box.pass_ms(2_500)
    assert await box.close() == 0
    revisions = {
        event.start_ms: (event.revision, data_of(event)["reason"]) for event in await box.everything()
    }
    assert revisions[T0] == (2, "late")
    assert revisions[T0 + 15 * MINUTE] == (1, "closed")


async def test_an_answer_to_revision_1_never_settles_revision_2(box: Box) -> None:
    await box.delta(T0, T0 + MINUTE, 3)
    box.at(T0 + 16 * MINUTE)
    await box.close()
    first = await box.take()
    await box.delta(T0 + MINUTE, T0 + 2 * MINUTE, 5)
    box.pass_ms(3_000)
    await box.close()
    await box.settle(first)
    [again] = await box.take()
    assert (again.revision, data_of(again)["ins"]) == (2, 8)
    box.balanced()


async def test_a_rejected_event_is_set_aside_until_released(box: Box) -> None:
    box.at(T0 + 16 * MINUTE)
    await box.close()
    [event] = await box.take()
    await box.settle([event], rejected={event.id: "unknown zone"})
    assert await box.take() == []
    assert box.books().upstreams[0].rejected == 1
    assert await box.store.release_rejected("hq") == 1
    assert [again.id for again in await box.take()] == [event.id]


async def test_a_silent_line_is_waited_for_only_three_periods(box: Box) -> None:
    box.at(T0 + 30 * MINUTE)
    await box.delta(T0, T0 + 30 * MINUTE, 1)
    box.at(T0 + 50 * MINUTE)
    assert await box.close() == 0  # it reports every half hour: 1.2 x 30 min after a window's end
    box.at(T0 + 52 * MINUTE)
    assert await box.close() == 1
    box.at(T0 + 121 * MINUTE)
    assert await box.close() == 7


async def test_a_half_hour_is_shared_out_and_called_estimated(box: Box) -> None:
    box.at(T0 + 31 * MINUTE)
    await box.delta(T0, T0 + 30 * MINUTE, 7, 2)
    box.at(T0 + 3 * HOUR)
    await box.close()
    rows = box.store.reader()
    halves = rows.aggregates("shop", T0, T0 + 30 * MINUTE, 900)
    rows.close_file()
    assert [(row["ins"], row["estimated_ins"]) for row in halves] == [(3, 3), (4, 4)]
    assert [(row["outs"], row["estimated_outs"]) for row in halves] == [(1, 1), (1, 1)]


async def test_a_sign_turns_a_line_and_a_till_gives_conversion(make_box: MakeBox) -> None:
    members = (
        Member("door", "main", Role.ENTRANCE, -1),
        Member("front", "main", Role.PASSING),
        Member("pos", "main", Role.TILL),
    )
    box = await make_box(
        rules=[DOOR, LineRule("front", "main", max_per_s=0), TILL], zones=[ZoneSpec("shop", "store", members)]
    )
    box.at(T0 + 15 * MINUTE)
    await box.delta(T0, T0 + 15 * MINUTE, 2, 40)
    await box.take_in(Crossings("front", "main", T0, T0 + 15 * MINUTE, 300, 100), counter="front")
    for sale in range(5):
        receipt = Transactions("pos", T0 + sale, T0 + sale + 1, 1, 0, 900, key=f"r{sale}", basis=Basis.EVENT)
        await box.take_in(receipt, counter="pos")
    box.at(T0 + 40 * MINUTE)
    await box.close()
    event = next(event for event in await box.everything() if event.start_ms == T0)
    data = data_of(event)
    assert (data["ins"], data["outs"], data["passersby"]) == (40, 2, 400)
    assert (data["sales"], data["amount_minor"], data["completeness"]) == (5, 4500, 1.0)
    assert data["conversion"]["value"] == 0.125  # type: ignore[index]
    assert data["capture_rate"]["value"] == 0.1  # type: ignore[index]
    box.balanced()


async def test_only_receipts_changed_is_a_revision_for_the_till(make_box: MakeBox) -> None:
    zone = ZoneSpec(
        "shop", "store", (Member("door", "main", Role.ENTRANCE), Member("pos", "main", Role.TILL))
    )
    box = await make_box(rules=[DOOR, TILL], zones=[zone])
    box.at(T0 + 17 * MINUTE)
    await box.close()
    await box.take_in(
        Transactions("pos", T0 + 5, T0 + 6, 1, 0, 900, key="r", basis=Basis.EVENT), counter="pos"
    )
    box.pass_ms(3_000)
    await box.close()
    [event] = await box.take()
    assert (event.revision, data_of(event)["reason"]) == (2, "till")


@pytest.mark.parametrize(("once", "sales"), [(True, [1, 0]), (False, [1, 1])])
async def test_a_receipt_that_its_key_alone_names_keeps_its_first_time(
    make_box: MakeBox, once: bool, sales: list[int]
) -> None:
    """Told again with another time and amount: the amount replaces. Other keys may begin anew each day."""
    zone = ZoneSpec("shop", "store", (Member("pos", "main", Role.TILL),))
    box = await make_box(rules=[TILL], zones=[zone])
    box.at(T0 + 40 * MINUTE)
    for at_ms, minor in ((T0 + 5, 900), (T0 + 20 * MINUTE, 950)):
        sold = Transactions("pos", at_ms, at_ms + 1, 1, 0, minor, key="r", basis=Basis.EVENT, once=once)
        await box.take_in(sold, counter="pos")
    await box.close()
    told = [data_of(event) for event in sorted(await box.take(), key=lambda event: event.start_ms)]
    assert [data["sales"] for data in told] == sales
    assert told[0]["amount_minor"] == (950 if once else 900)
    box.balanced()


async def test_completeness_is_of_the_open_time(make_box: MakeBox) -> None:
    """2026-11-25 is a Wednesday; the shop opens at 10:10 UTC."""
    hours = Hours(weekly=(((610, 1200),),) * 7, dates={date(2026, 11, 26): ()})
    box = await make_box(hours={"shop": hours})
    box.at(T0 + 15 * MINUTE)
    await box.delta(T0 + 10 * MINUTE, T0 + 15 * MINUTE, 1)
    box.at(T0 + 22 * MINUTE)
    await box.close()
    [event] = await box.take()
    assert data_of(event)["completeness"] == 1.0


async def test_an_event_line_without_heartbeat_is_assumed(make_box: MakeBox) -> None:
    box = await make_box(rules=[LineRule("door", "main", basis=Basis.EVENT, max_per_s=0)])
    box.at(T0 + 17 * MINUTE)
    await box.close()
    [event] = await box.take()
    assert data_of(event)["completeness"] is None
    assert "assumed" in data_of(event)["flags"]  # type: ignore[operator]


async def test_heartbeats_watch_an_event_line(make_box: MakeBox) -> None:
    box = await make_box(rules=[LineRule("door", "main", basis=Basis.EVENT, max_per_s=0, expect_s=60)])
    for minute in (0, 1, 2, 10, 11):  # eight minutes of silence
        box.at(T0 + minute * MINUTE)
        await box.store.record([Parcel("link", box.now(), [], heard=("door",))])
    box.at(T0 + 17 * MINUTE)
    await box.close()
    [event] = await box.take()
    assert data_of(event)["completeness"] == pytest.approx(3 / 15, abs=1e-6)


async def test_a_changed_zone_holds_from_the_next_window(make_box: MakeBox) -> None:
    box = await make_box()
    side = LineRule("side", "main", max_per_s=0, expect_s=60)
    box.rules = [DOOR, side]
    members = (Member("door", "main", Role.ENTRANCE), Member("side", "main", Role.ENTRANCE))
    box.zones = [ZoneSpec("shop", "store", members)]
    await box.configure()
    for start in (T0, T0 + 15 * MINUTE):
        await box.take_in(Crossings("side", "main", start, start + MINUTE, 5), counter="side")
        box.at(start + 15 * MINUTE)
    box.at(T0 + 40 * MINUTE)
    await box.close()
    assert {event.start_ms: data_of(event)["ins"] for event in await box.take()} == {
        T0: 0,
        T0 + 15 * MINUTE: 5,
    }
    box.balanced()


async def test_a_new_size_begins_at_the_next_business_day(make_box: MakeBox) -> None:
    box = await make_box()
    box.grid = Grid(size_s=3600, day_start_min=0)
    box.upstreams = {"hq": UpstreamPlan(sizes_s=(900, 3600))}
    await box.configure()
    midnight = T0 + 14 * HOUR
    await box.delta(T0, T0 + MINUTE, 5)
    box.at(midnight + 30 * MINUTE)
    await box.delta(midnight, midnight + MINUTE, 7)
    box.at(midnight + 2 * HOUR)
    await box.close()
    box.balanced()
    reader = box.store.reader()
    quarters = reader.aggregates("shop", T0, midnight + HOUR, 900)
    hours = reader.aggregates("shop", T0, midnight + HOUR, 3600)
    reader.close_file()
    assert (sum(row["ins"] for row in quarters), [row["ins"] for row in hours]) == (12, [7])


async def test_occupancy_follows_late_counts_when_the_day_is_over(box: Box) -> None:
    await box.delta(T0, T0 + MINUTE, 3)
    box.at(T0 + 5 * HOUR)
    await box.close()
    await box.delta(T0 + MINUTE, T0 + 2 * MINUTE, 4)
    box.pass_ms(3_000)
    assert await box.close() == 1
    box.at(T0 + 15 * HOUR)  # past midnight
    await box.close()
    reader = box.store.reader()
    rows = reader.aggregates("shop", T0, T0 + 14 * HOUR, 900)
    reader.close_file()
    assert {row["occupancy"] for row in rows} == {7}
    box.balanced()


async def test_live_figures_hold_closed_and_open_windows(box: Box) -> None:
    await box.delta(T0, T0 + MINUTE, 3, 1)
    box.at(T0 + 17 * MINUTE)
    await box.close()
    await box.delta(T0 + 15 * MINUTE, T0 + 16 * MINUTE, 4)
    reader = box.store.reader()
    [zone] = reader.live(box.wall)
    reader.close_file()
    assert (zone.ins, zone.outs, zone.occupancy, zone.business_date) == (7, 1, 6, "2026-11-25")


async def test_a_cancelled_await_does_not_stop_the_commit(box: Box) -> None:
    parcel = Parcel(
        "link", box.now(), [Booking("door", "main", Crossings("door", "main", T0, T0 + MINUTE, 5))]
    )
    task = asyncio.create_task(box.store.record([parcel]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await box.store.ping()
    assert box.ledger()["counted"] == 5


async def test_pruning_keeps_the_books(box: Box) -> None:
    box.grid = Grid(size_s=900, readings_days=1, retention_days=3)
    await box.configure()
    await box.delta(T0, T0 + MINUTE, 5)
    box.pass_ms(2 * 24 * HOUR)
    await box.close()
    assert await box.store.prune(box.now()) == 1
    assert box.ledger()["closed"] == 5
    box.balanced()
    box.pass_ms(3 * 24 * HOUR)
    await box.close()
    await box.store.prune(box.now())
    assert box.ledger()["closed"] == 5  # not delivered everywhere: kept
    await box.drain()
    await box.store.prune(box.now())
    assert (box.ledger()["closed"], box.ledger()["expired"]) == (0, 5)
    box.balanced()


async def test_late_data_of_a_line_added_later_finds_the_old_grid(make_box: MakeBox) -> None:
    box = await make_box()
    midnight = T0 + 14 * HOUR
    box.grid = Grid(size_s=3600)
    await box.configure()
    box.at(midnight + 3 * HOUR)
    await box.close()
    box.rules = [DOOR, LineRule("side", "main", max_per_s=0, expect_s=60)]
    await box.configure()
    await box.take_in(Crossings("side", "main", midnight - HOUR, midnight + HOUR, 9), counter="side")
    box.balanced()
    box.pass_ms(3_000)
    await box.close()
    box.balanced()
    assert box.ledger(line="side")["closed"] == 9


async def test_books_balance_when_a_size_comes_back(make_box: MakeBox) -> None:
    box = await make_box()
    for size_s in (3600, 900):
        await box.delta(box.wall - MINUTE, box.wall, 4)
        box.grid = Grid(size_s=size_s)
        await box.configure()
        box.pass_ms(30 * HOUR)
        await box.close()
        box.balanced()
    await box.delta(T0 - 20 * MINUTE, T0 + 50 * HOUR, 7)
    box.pass_ms(3_000)
    await box.close()
    box.balanced()


async def test_a_new_upstream_starts_at_the_next_window(make_box: MakeBox) -> None:
    box = await make_box()
    box.at(T0 + 20 * MINUTE)
    await box.close()
    box.upstreams = {"hq": UpstreamPlan(), "owner": UpstreamPlan(zones=("shop",))}
    await box.configure()
    box.at(T0 + HOUR)
    await box.close()
    events = await box.store.take("owner", 100, live=True, live_from_ms=0)
    assert [event.start_ms for event in events] == [T0 + 30 * MINUTE]
    box.balanced()


async def test_control_settling_any_revision_loses_the_second(tmp_path: Path) -> None:
    """The fault that torture puts back must show, or the torture proves nothing."""
    box = Box(tmp_path)
    box.store = await Store.open(tmp_path, now=box.now(), faults=frozenset({"settle_any_revision"}))
    await box.configure()
    box.at(T0 + 16 * MINUTE)
    await box.close()
    first = await box.take()
    await box.delta(T0 + MINUTE, T0 + 2 * MINUTE, 5)
    box.pass_ms(3_000)
    await box.close()
    await box.settle(first)
    assert await box.take() == []
    assert not box.books().balanced
    await box.store.aclose()


async def test_a_line_of_no_zone_catches_up_in_small_steps(make_box: MakeBox) -> None:
    """After half a year in a drawer one transaction must not keep a watchdog waiting."""
    box = await make_box(rules=[DOOR, LineRule("side", "main", max_per_s=0)])
    await box.take_in(Crossings("side", "main", T0, T0 + MINUTE, 5), counter="side")
    box.pass_ms(2 * 24 * HOUR)
    summary = await box.store.close(box.now(), 10)
    assert (summary.line_windows, summary.more) == (20, True)
    box.balanced()
    await box.close(50)
    assert box.ledger(line="side")["closed"] == 5
    box.balanced()
