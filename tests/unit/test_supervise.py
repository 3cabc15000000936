"""Links are tried again for ever, less and less often, and say so once."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.errors import LinkError
from gateway.links.supervise import RESULTS, Backoff, LinkState, keep
from tests.virtual_time import run_virtually


class Edge:
    """An edge that fails by a plan: (seconds until it is up or None, seconds it stays up, what ends it)."""

    def __init__(self, plan: list[tuple[bool, float, Exception]], stop: asyncio.Event) -> None:
        self.plan, self.stop, self.state = plan, stop, LinkState()
        self.tries: list[float] = []

    def wall_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)

    async def run(self) -> None:
        self.tries.append(asyncio.get_running_loop().time())
        if len(self.tries) > len(self.plan):
            self.stop.set()
            return
        up, seconds, error = self.plan[len(self.tries) - 1]
        if up:
            self.state.opened(self.wall_ms())
        await asyncio.sleep(seconds)
        raise error


def kept(plan: list[tuple[bool, float, Exception]]) -> Edge:
    async def keep_it() -> Edge:
        edge = Edge(plan, asyncio.Event())
        await keep(edge.run, edge.state, edge, edge.stop, name="bus", backoff=Backoff(chance=lambda: 1.0))
        return edge

    return run_virtually(keep_it())


def pauses(edge: Edge, lasted_s: list[float]) -> list[float]:
    return [
        round(later - earlier - lasted, 3)
        for earlier, later, lasted in zip(edge.tries, edge.tries[1:], lasted_s, strict=False)
    ]


def test_pauses_double_to_a_minute() -> None:
    edge = kept([(False, 0, LinkError("gone"))] * 9)
    assert pauses(edge, [0] * 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_five_healthy_minutes_start_the_pauses_anew() -> None:
    gone = LinkError("gone")
    edge = kept([(False, 0, gone)] * 3 + [(True, 299, gone), (True, 300, gone), (False, 0, gone)])
    assert pauses(edge, [0, 0, 0, 299, 300, 0]) == [1, 2, 4, 8, 1, 2]


def test_jitter_is_full() -> None:
    shares = iter([0.0, 0.5, 1.0])
    backoff = Backoff(chance=lambda: next(shares))
    assert [backoff.next_s(0) for _ in range(3)] == [0.0, 1.0, 4.0]


def test_first_failure_warns_repeats_whisper_recovery_informs(caplog: pytest.LogCaptureFixture) -> None:
    gone = LinkError("gone")
    with caplog.at_level(logging.DEBUG, "gateway.links"):
        kept([(False, 0, gone), (False, 0, gone), (True, 10, gone), (False, 0, gone)])
    levels = [record.levelname for record in caplog.records if record.name == "gateway.links.supervise"]
    assert levels == ["WARNING", "DEBUG", "INFO", "WARNING", "DEBUG"]


def test_the_unforeseen_is_an_error_with_its_traceback_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    edge = kept([(True, 1, ZeroDivisionError("a bug"))])
    assert len(edge.tries) == 2
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None


def test_the_state_tells_since_when_and_why() -> None:
    state = LinkState()
    assert set(state.telegrams) == set(RESULTS)
    state.lost(1000, "no such port")
    state.lost(2000, "still none")
    assert (state.up, state.since_ms, state.error) == (False, 1000, "still none")
    state.opened(3000)
    state.opened(4000)
    assert (state.up, state.since_ms, state.error) == (True, 3000, "")


def test_stopping_ends_a_pause() -> None:
    async def stop_early() -> float:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        edge = Edge([(False, 0, LinkError("gone"))] * 100, stop)
        loop.call_later(20, stop.set)
        await keep(edge.run, edge.state, edge, stop, name="bus", backoff=Backoff(chance=lambda: 1.0))
        return loop.time()

    assert run_virtually(stop_early()) == pytest.approx(20)
