"""Receivers that come, go and refuse: where they begin, what they are owed, what the books say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.errors import StoreError
from gateway.model import Member, Role, ZoneSpec
from gateway.store import UpstreamPlan
from tests.unit.store.conftest import HOUR, HQ, MINUTE, T0, ZONE, Box

MakeBox = Callable[..., Awaitable[Box]]
Q = 15 * MINUTE
MIDNIGHT = T0 + 14 * HOUR
TWIN = ZoneSpec("twin", "store", (Member("door", "main", Role.ENTRANCE),))


async def starts(box: Box, upstream: str) -> list[int]:
    """Which windows wait for an upstream, in quarters since T0."""
    events = await box.store.take(upstream, 100, live=True, live_from_ms=0)
    return sorted((event.start_ms - T0) // Q for event in events)


async def history(box: Box) -> None:
    """Four closed quarters; the first of them twice."""
    await box.delta(T0, T0 + MINUTE, 3)
    box.at(T0 + HOUR + 2 * MINUTE)
    await box.close()
    await box.delta(T0 + MINUTE, T0 + 2 * MINUTE, 4)
    box.pass_ms(3_000)
    await box.close()


@pytest.mark.parametrize(("instant", "first"), [(T0, 0), (T0 + 1, 1), (T0 + Q, 1), (T0 + HOUR + Q, 5)])
async def test_a_new_upstream_is_sent_the_backlog_from_an_instant_on(
    box: Box, instant: int, first: int
) -> None:
    await history(box)
    box.upstreams = {**HQ, "owner": UpstreamPlan(from_ms=instant)}
    await box.configure()
    box.balanced()
    box.at(T0 + 2 * HOUR + 2 * MINUTE)
    await box.close()
    assert await starts(box, "owner") == list(range(first, 8))
    events = await box.store.take("owner", 100, live=True, live_from_ms=0)
    assert [event.revision for event in events if event.start_ms == T0] == [2] * (first == 0)
    box.balanced()


async def test_an_instant_is_for_newcomers(box: Box) -> None:
    """Who has already been sent its windows is not sent them again, however often the file is read."""
    await history(box)
    box.upstreams = {**HQ, "owner": UpstreamPlan(from_ms=T0)}
    for _ in range(2):
        await box.configure()
    box.upstream = "owner"
    await box.settle(await box.everything())
    box.upstreams = dict(HQ)
    await box.configure()
    box.upstreams = {**HQ, "owner": UpstreamPlan(from_ms=T0)}
    await box.restart()
    assert await starts(box, "owner") == []
    box.balanced()


async def test_a_removed_upstream_is_forgotten(box: Box) -> None:
    await history(box)
    box.upstreams = {"owner": UpstreamPlan(from_ms=T0)}
    await box.configure()
    with pytest.raises(StoreError, match="in the configuration"):
        await box.store.forget_upstream("owner")
    assert await box.store.forget_upstream("hq") == 4
    assert [queue.upstream for queue in box.books().upstreams] == ["owner"]
    box.balanced()
    with pytest.raises(StoreError, match="knows no upstream"):
        await box.store.forget_upstream("hq")
    box.upstreams = {**HQ, "owner": UpstreamPlan()}  # it comes back as a newcomer
    await box.configure()
    assert await starts(box, "hq") == []
    box.balanced()


async def test_nobody_unknown_is_released(box: Box) -> None:
    with pytest.raises(StoreError, match="knows no upstream"):
        await box.store.release_rejected("nobody")


async def test_a_zone_that_is_new_to_an_upstream_begins_with_the_next_window(make_box: MakeBox) -> None:
    box = await make_box(zones=[ZONE, TWIN], upstreams={"hq": UpstreamPlan(zones=("shop",))})
    await history(box)
    box.upstreams = {"hq": UpstreamPlan(zones=("shop", "twin"))}
    await box.configure()
    box.balanced()
    box.at(T0 + 2 * HOUR + 2 * MINUTE)
    await box.close()
    events = await box.store.take("hq", 100, live=True, live_from_ms=0)
    twins = sorted((event.start_ms - T0) // Q for event in events if event.zone == "twin")
    assert twins == [5, 6, 7]
    box.balanced()


@pytest.mark.parametrize("answer", ["accepted", "rejected"])
async def test_a_later_revision_is_owed_again_whatever_became_of_the_first(box: Box, answer: str) -> None:
    box.at(T0 + 16 * MINUTE)
    await box.close()
    events = await box.everything()
    ids = [event.id for event in events]
    await box.settle(events, **{answer: frozenset(ids) if answer == "accepted" else dict.fromkeys(ids, "no")})
    assert await box.everything() == []
    await box.delta(T0, T0 + MINUTE, 4)
    box.pass_ms(3_000)
    await box.close()
    assert [event.revision for event in await box.everything()] == [2]
    box.balanced()
    await box.settle(events)  # the first answer once more: it says nothing of the second revision
    assert [event.revision for event in await box.everything()] == [2]


@pytest.mark.parametrize("newcomer", ["owner", "hq"])
async def test_what_begins_on_the_day_of_another_size_is_sent_the_old_one_until_then(
    box: Box, newcomer: str
) -> None:
    """An upstream or a zone that comes in the same edit: nobody of the rest of the day is lost."""
    box.grid = replace(box.grid, size_s=3600)
    box.zones = [*box.zones, TWIN]
    box.upstreams = {newcomer: UpstreamPlan(), **HQ}
    for _ in range(2):
        await box.configure()
    box.at(T0 + 21 * MINUTE)
    await box.delta(T0 + 20 * MINUTE, T0 + 21 * MINUTE, 5)
    box.upstream = newcomer
    box.pass_ms(15 * HOUR)
    await box.drain()
    assert box.delivered(zone="twin", size_s=900) == 5
    assert {size for _, size, start in box.office if start >= MIDNIGHT} == {3600}
    box.balanced()


async def test_the_old_size_is_sent_until_the_new_one_begins_also_when_that_is_put_off(box: Box) -> None:
    """A later edit moves the business day, and with it the hour from which the new size holds."""
    for day_start_min in (0, 240):
        box.grid = replace(box.grid, size_s=3600, day_start_min=day_start_min)
        await box.configure()
    late = MIDNIGHT + 2 * HOUR
    box.at(late + MINUTE)
    await box.delta(late, late + MINUTE, 5)
    box.at(MIDNIGHT + 5 * HOUR)
    await box.drain()
    assert box.delivered(size_s=900) == 5
    box.balanced()


async def test_an_upstream_removed_by_a_clock_gone_back_keeps_what_it_was_owed(box: Box) -> None:
    box.upstreams = {**HQ, "owner": UpstreamPlan(from_ms=T0)}
    await box.configure()
    await history(box)
    box.wall = T0
    box.upstreams = dict(HQ)
    await box.configure()
    box.balanced()
