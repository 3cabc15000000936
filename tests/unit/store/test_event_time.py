"""The worked example of event time (O14) by our rules: first close is revision 1, and late is not lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.store import Grid
from tests.unit.store.conftest import HOUR, MINUTE, T0, Box

WINDOW = 5 * MINUTE


def at(minute: int, second: int) -> int:
    """10:mm:ss of the day."""
    return T0 + minute * MINUTE + second * 1000


def shown(box: Box, start_ms: int) -> tuple[int, int]:
    """(persons, revision) of the window as it stands."""
    reader = box.store.reader()
    [row] = reader.aggregates("shop", start_ms, start_ms + WINDOW, 300)
    reader.close_file()
    return row["ins"], row["revision"]


async def test_o14_late_counts_restate_their_own_window_and_none_is_dropped(
    make_box: Callable[..., Awaitable[Box]],
) -> None:
    box = await make_box(grid=Grid(size_s=300, allowed_lateness_s=30, readings_days=35))

    async def arrive(event_ms: int, persons: int, wall_ms: int) -> int:
        box.at(wall_ms)
        await box.delta(event_ms, event_ms + 1000, persons)
        box.pass_ms(3_000)
        return await box.close()

    assert await arrive(at(0, 10), 3, at(0, 11)) == 0
    assert await arrive(at(4, 50), 2, at(4, 51)) == 0
    assert await arrive(at(5, 20), 4, at(5, 21)) == 0
    assert await arrive(at(4, 58), 1, at(5, 25)) == 0  # out of order, not late
    assert await arrive(at(5, 40), 2, at(5, 41)) == 1
    assert shown(box, T0) == (6, 1)
    assert await arrive(at(3, 0), 5, at(5, 50)) == 1
    assert shown(box, T0) == (11, 2)  # the new total, not the difference
    assert await arrive(at(12, 0), 1, at(12, 1)) == 1
    assert shown(box, T0 + WINDOW) == (6, 1)
    await arrive(T0 - HOUR - 5 * MINUTE, 7, at(12, 10))  # 08:55: the oracle drops it after an hour, we do not
    box.at(at(16, 0))
    await box.close()
    assert [shown(box, T0 + index * WINDOW)[0] for index in range(3)] == [11, 6, 1]
    reader = box.store.reader()
    rows = reader.aggregates("shop", T0 - 2 * HOUR, T0 + HOUR, 300)
    reader.close_file()
    assert sum(row["ins"] for row in rows) == 25
    box.balanced()
