"""A running box is configured anew, or configured before it knows the time: counts stay what they were."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.model import Basis, Crossings, LineRule
from gateway.store import Grid, UpstreamPlan
from tests.unit.store.conftest import HOUR, HQ, MINUTE, T0, Box

MakeBox = Callable[..., Awaitable[Box]]
BEAM = LineRule("door", "main", basis=Basis.EVENT, max_per_s=0)
Q = 15 * MINUTE
DAY = 24 * HOUR


def event(key: str, ins: int = 1) -> Crossings:
    return Crossings("door", "main", None, None, ins, basis=Basis.EVENT, key=key)


async def test_a_new_box_without_a_clock_begins_when_it_knows_the_time(make_box: MakeBox) -> None:
    """Windows since 1970 would fill the card, and its generation would lose against the old card's."""
    box = await make_box(rules=[BEAM], trusted=False, wall=5_000, mono=5_000)
    await box.take_in(event("a", 3))
    await box.store.close(box.now())
    box.pass_ms(MINUTE)
    box.wall, box.trusted = T0 + MINUTE, True
    assert await box.store.hold_release(box.now()) == 1
    assert box.store.generation == (T0 + MINUTE) // 1000
    box.at(T0 + HOUR + 2 * MINUTE)
    assert await box.close() == 4
    await box.drain()
    assert box.delivered() == 3
    box.balanced()


async def test_a_count_can_be_the_first_to_know_the_time(make_box: MakeBox) -> None:
    box = await make_box(trusted=False, wall=5_000, mono=5_000)
    box.wall, box.trusted = T0 + 20 * MINUTE, True
    await box.delta(T0, T0 + MINUTE, 3)  # of a window before the one in which the time became known
    box.balanced()
    await box.drain()
    assert box.delivered() == 3
    box.balanced()


async def test_a_clock_gone_back_undoes_no_window_size(make_box: MakeBox) -> None:
    box = await make_box()
    box.grid = Grid(size_s=3600)
    await box.configure()
    box.pass_ms(2 * DAY)
    await box.close()
    before = box.store._con.execute("SELECT * FROM grids ORDER BY 1").fetchall()
    wall, box.wall, box.trusted = box.wall, 5_000, False
    await box.restart(reboot=True)
    box.wall, box.trusted = wall + HOUR, True
    await box.close()
    assert box.store._con.execute("SELECT * FROM grids ORDER BY 1").fetchall() == before
    box.balanced()


async def test_a_clock_ahead_closes_nothing_early_and_keeps_nothing_waiting(make_box: MakeBox) -> None:
    box = await make_box()
    wall, box.wall, box.trusted = box.wall, box.wall + 4000 * DAY, False
    box.upstreams = {**HQ, "owner": UpstreamPlan()}
    await box.restart(reboot=True)
    box.wall, box.trusted = wall + HOUR, True
    await box.close()
    box.pass_ms(HOUR)
    await box.close()
    box.upstream = "owner"
    assert len(await box.everything()) >= 2
    box.balanced()
