"""Making room: what may go, what must stay, and that the books know of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.store import Grid, UpstreamPlan
from gateway.store.room import BALLAST_BYTES, Room
from tests.unit.store.conftest import HOUR, MINUTE, T0, Box

MakeBox = Callable[..., Awaitable[Box]]
DAY = 24 * HOUR
SHORT = Grid(size_s=900, readings_days=1, retention_days=3)


async def old_count(box: Box) -> None:
    """Five persons in a window that every retention has long passed; nothing delivered yet."""
    await box.delta(T0, T0 + MINUTE, 5)
    box.pass_ms(6 * DAY)
    await box.close()


async def settle_all(box: Box, upstream: str, *, reject: bool = False) -> None:
    """Answer everything there is; `reject`: the oldest window is refused."""
    held, box.upstream = box.upstream, upstream
    events = sorted(await box.everything(), key=lambda event: event.start_ms)
    refused = {events[0].id: "unknown zone"} if reject else {}
    await box.settle(
        events, accepted=frozenset(event.id for event in events if event.id not in refused), rejected=refused
    )
    box.upstream = held


async def test_a_rejected_event_expires_in_its_time(make_box: MakeBox) -> None:
    box = await make_box(grid=SHORT)
    await old_count(box)
    await settle_all(box, "hq", reject=True)
    windows = box.books().upstreams[0].closed
    await box.store.prune(box.now())
    assert (box.ledger()["closed"], box.ledger()["expired"]) == (0, 5)
    [queue] = box.books().upstreams
    assert (queue.closed, queue.rejected) == (windows, 0)
    assert queue.expired > 0
    box.balanced()


async def test_pending_windows_never_expire_and_hold_back_only_what_is_later(make_box: MakeBox) -> None:
    box = await make_box(grid=SHORT)
    await old_count(box)
    await box.store.prune(box.now())
    assert (box.ledger()["closed"], box.ledger()["expired"]) == (5, 0)
    assert box.books().upstreams[0].expired == 0
    box.balanced()


async def test_a_removed_upstream_does_not_hold_back(make_box: MakeBox) -> None:
    box = await make_box(grid=SHORT, upstreams={"hq": UpstreamPlan(), "old": UpstreamPlan()})
    box.upstreams = {"hq": UpstreamPlan()}
    await box.configure()
    await old_count(box)
    await settle_all(box, "hq")
    await box.store.prune(box.now())
    assert (box.ledger()["closed"], box.ledger()["expired"]) == (0, 5)
    box.balanced()


async def test_an_occupancy_still_to_be_restated_keeps_its_day(make_box: MakeBox) -> None:
    """The restating looks at what was watched: it must not be pruned before."""
    box = await make_box(grid=SHORT)
    await old_count(box)
    box.store._con.execute("INSERT INTO drift VALUES (1, 900, ?, 0)", (T0 // DAY * DAY,))
    await box.store.prune(box.now())
    assert box.store._memory.frozen_ms <= T0


async def test_a_buffer_at_its_quota_makes_room_of_what_nobody_waits_for(make_box: MakeBox) -> None:
    """Oldest first, a day at a time; what is pending stays, and the books know of all of it."""
    box = await make_box(upstreams={})
    for _ in range(12):
        await box.delta(box.wall - MINUTE, box.wall, 5)
        box.pass_ms(DAY)
        await box.close()
    con = box.store._con
    assert await box.store.prune(box.now()) == 0
    pages = (
        con.execute("PRAGMA page_count").fetchone()[0] - con.execute("PRAGMA freelist_count").fetchone()[0]
    )
    con.execute(f"PRAGMA max_page_count={pages}")
    assert await box.store.prune(box.now()) > 0
    ledger = box.ledger()
    assert 0 < ledger["expired"] < ledger["counted"] == 60
    box.balanced()
    await box.delta(box.wall - MINUTE, box.wall, 5)  # there is room again
    box.balanced()


async def test_a_quota_never_takes_what_is_owed(make_box: MakeBox) -> None:
    box = await make_box(grid=SHORT)
    await old_count(box)
    con = box.store._con
    con.execute(f"PRAGMA max_page_count={con.execute('PRAGMA page_count').fetchone()[0]}")
    await box.store.prune(box.now())
    assert box.ledger()["expired"] == 0
    box.balanced()


def test_ballast_is_thrown_off_a_full_card_and_taken_aboard_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(sqlite3.connect(":memory:"), tmp_path / "buffer.db")
    free = 1 << 30
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=1 << 33, free=free))
    room.make()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= BALLAST_BYTES
    assert not room.short()
    free = 1 << 20
    room.make()
    assert room.short()
    assert not (tmp_path / "ballast").exists()
    free = 1 << 30
    room.make()
    assert (tmp_path / "ballast").exists()
