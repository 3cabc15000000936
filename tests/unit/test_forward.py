"""The pump against a store and receivers made of lists, in virtual time."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from gateway.errors import StoreError
from gateway.forward import BATCH, SMALLEST_BATCH, Pace, Pump, Result
from gateway.model import Event, Receipt
from tests.upstream_events import QUARTER_MS, START_MS, event
from tests.virtual_time import run_virtually

NOW_MS = START_MS + 400 * QUARTER_MS
Key = tuple[str, int]


@dataclass
class FakeStore:
    """The outbox rules that matter here: current revision only, settled only if it was the one sent."""

    pending: dict[Key, Event] = field(default_factory=dict)
    delivered: dict[Key, Event] = field(default_factory=dict)
    rejected: dict[Key, str] = field(default_factory=dict)
    takes: int = 0
    crash: bool = False

    def put(self, *events: Event) -> None:
        self.pending |= {(one.zone, one.start_ms): one for one in events}

    async def take(self, upstream: str, limit: int, *, live: bool, live_from_ms: int) -> list[Event]:
        assert upstream == "office"
        self.takes += 1
        chosen = [one for one in self.pending.values() if (one.start_ms >= live_from_ms) == live]
        return sorted(chosen, key=lambda one: one.start_ms, reverse=live)[:limit]

    async def settle(self, upstream: str, events: Sequence[Event], receipt: Receipt, now_ms: int) -> None:
        assert upstream == "office"
        assert now_ms >= NOW_MS
        if self.crash:
            raise RuntimeError("crash before settle")
        for one in events:
            key = (one.zone, one.start_ms)
            if key not in self.pending or self.pending[key].revision != one.revision:
                continue
            if one.id in receipt.accepted:
                self.delivered[key] = self.pending.pop(key)
            elif one.id in receipt.rejected:
                del self.pending[key]
                self.rejected[key] = receipt.rejected[one.id]


class LoopClock:
    """Wall time that follows the virtual loop."""

    def wall_ms(self) -> int:
        return NOW_MS + int(asyncio.get_running_loop().time() * 1000)


Answer = Callable[[Sequence[Event]], Receipt | Awaitable[Receipt]]


class FakeUpstream:
    """Answers by a rule that tests change; remembers what came when."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or stored
        self.sent: list[tuple[float, list[Event]]] = []
        self.closed = False

    async def send(self, batch: Sequence[Event]) -> Receipt:
        self.sent.append((asyncio.get_running_loop().time(), list(batch)))
        answer = self.answer(batch)
        return answer if isinstance(answer, Receipt) else await answer

    async def close(self) -> None:
        self.closed = True

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]


def stored(batch: Sequence[Event]) -> Receipt:
    return Receipt(accepted=frozenset(one.id for one in batch))


def later(_batch: Sequence[Event]) -> Receipt:
    return Receipt(why_kept="503 Service Unavailable")


def misconfigured(_batch: Sequence[Event]) -> Receipt:
    return Receipt(why_kept="401 Unauthorized", misconfigured=True)


class World:
    """A pump with a store and a receiver; `during` runs beside it, then the pump is stopped."""

    def __init__(self, answer: Answer | None = None, replay_per_s: float = 1e6, batch: int = BATCH) -> None:
        self.store = FakeStore()
        self.upstream = FakeUpstream(answer)
        self.pump = Pump(
            "office", self.upstream, self.store, LoopClock(), replay_per_s, batch, rng=random.Random(7)
        )

    def run(self, during: Callable[[], Awaitable[None]] | float) -> World:
        async def both() -> None:
            stop = asyncio.Event()
            pump = asyncio.create_task(self.pump.run(stop))
            await (asyncio.sleep(during) if isinstance(during, float | int) else during())
            stop.set()
            await pump

        run_virtually(both())
        return self


def live(count: int, zone: str = "mall") -> list[Event]:
    """Windows that began within the last two hours: at most eight a zone."""
    assert count <= 8
    return [event(399 - index, zone) for index in range(count)]


def backlog(count: int, zone: str = "mall") -> list[Event]:
    return [event(index, zone) for index in range(count)]


def test_live_windows_go_before_the_backlog_and_newest_first() -> None:
    world = World(batch=4)
    world.store.put(*backlog(10), *live(6))
    world.run(5.0)
    order = [one.start_ms for _, batch in world.upstream.sent for one in batch]
    fresh, old = order[:6], order[6:]
    assert fresh == sorted(fresh, reverse=True)
    assert min(fresh) > max(old)
    assert not world.store.pending
    assert world.pump.state.results[Result.DELIVERED] == 16


def test_only_the_backlog_is_marked_replayed_and_batches_are_never_mixed() -> None:
    world = World()
    world.store.put(*backlog(3), *live(3))
    world.run(5.0)
    assert [[one.replayed for one in batch] for _, batch in world.upstream.sent] == [[False] * 3, [True] * 3]


def test_windows_are_never_merged() -> None:
    world = World()
    world.store.put(*backlog(50))
    world.run(5.0)
    assert [one.body for _, batch in world.upstream.sent for one in batch] == [
        one.body for one in backlog(50)
    ]


def test_a_window_closed_during_the_replay_overtakes_it() -> None:
    world = World(replay_per_s=100, batch=50)
    world.store.put(*backlog(390))

    async def close_one() -> None:
        await asyncio.sleep(1.2)
        world.store.put(*live(1))
        world.pump.wake()
        await asyncio.sleep(10)

    world.run(close_one)
    at = next(when for when, batch in world.upstream.sent if not batch[0].replayed)
    assert at == pytest.approx(1.2, abs=0.001)
    assert not world.store.pending


@pytest.mark.parametrize("rate", [1, 50, 300])
def test_the_backlog_keeps_its_pace(rate: float) -> None:
    world = World(replay_per_s=rate)
    world.store.put(*backlog(390))
    world.run(600.0)
    for since, (start, _) in enumerate(world.upstream.sent):
        sent = 0
        for at, batch in world.upstream.sent[since:]:
            sent += len(batch)
            assert sent <= rate * (at - start) + max(1, rate) + 0.001
    assert not world.store.pending
    assert world.upstream.times[-1] == pytest.approx(390 / rate, abs=1.5)


def test_pace_holds_a_second_at_most() -> None:
    pace = Pace(10, now_s=0)
    assert pace.fit(500) == 10
    assert pace.wait_s(10, now_s=1000) == 0
    pace.spend(10)
    assert pace.wait_s(5, now_s=1000) == pytest.approx(0.5)


def test_an_idle_pump_sleeps_until_woken() -> None:
    world = World()

    async def close_after_half_a_minute() -> None:
        await asyncio.sleep(30)
        takes = world.store.takes
        assert takes == 2
        world.store.put(*live(1))
        world.pump.wake()
        await asyncio.sleep(1)

    world.run(close_after_half_a_minute)
    assert world.upstream.times == [pytest.approx(30)]


def test_a_missed_wake_costs_a_minute_at_most() -> None:
    world = World()

    async def close_without_wake() -> None:
        await asyncio.sleep(1)
        world.store.put(*live(1))
        await asyncio.sleep(61)

    world.run(close_without_wake)
    assert not world.store.pending


def test_back_off_doubles_to_a_minute_with_full_jitter() -> None:
    world = World(later)
    world.store.put(*live(1))
    world.run(3600.0)
    gaps = [b - a for a, b in zip(world.upstream.times, world.upstream.times[1:], strict=False)]
    for failures, gap in enumerate(gaps):
        assert gap <= min(60, 2**failures) + 0.001
    assert max(gaps) > 45
    assert min(gaps[6:]) < 15, "full jitter reaches down, not only up"
    assert 60 <= len(gaps) <= 300
    assert world.pump.state.failures == len(world.upstream.sent)


def test_ten_thousand_boxes_do_not_come_back_together() -> None:
    def second_try(seed: int) -> float:
        world = World(later)
        world.pump._rng = random.Random(seed)
        world.store.put(*live(1))
        world.run(1.1)
        return world.upstream.times[1]

    tries = [second_try(seed) for seed in range(50)]
    assert max(tries) - min(tries) > 0.5
    assert len({round(at, 3) for at in tries}) > 40


def test_a_wake_does_not_cut_short_a_back_off() -> None:
    world = World(lambda _: Receipt(why_kept="503", retry_after_s=100))
    world.store.put(*live(1))

    async def wake_often() -> None:
        for _ in range(90):
            await asyncio.sleep(1)
            world.pump.wake()

    world.run(wake_often)
    assert len(world.upstream.sent) == 1


def test_retry_after_is_the_least_wait() -> None:
    world = World(lambda _: Receipt(why_kept="429", retry_after_s=120))
    world.store.put(*live(1))
    world.run(1000.0)
    gaps = [b - a for a, b in zip(world.upstream.times, world.upstream.times[1:], strict=False)]
    assert len(gaps) >= 4
    assert all(120 <= gap <= 181 for gap in gaps)


def test_success_resets_the_back_off_and_tells_health(caplog: pytest.LogCaptureFixture) -> None:
    world = World(later)
    world.store.put(*live(2))

    async def mend() -> None:
        await asyncio.sleep(300)
        state = world.pump.state
        assert state.why == "503 Service Unavailable"
        assert state.retry_at_ms is not None
        assert state.last_ok_ms is None
        world.upstream.answer = stored
        await asyncio.sleep(61)

    with caplog.at_level(logging.DEBUG, "gateway.forward"):
        world.run(mend)
    state = world.pump.state
    assert (state.why, state.failures, state.retry_at_ms, state.misconfigured) == ("", 0, None, False)
    assert state.last_ok_ms == NOW_MS + int(world.upstream.times[-1] * 1000)
    assert state.results == {
        "delivered": 2,
        "rejected": 0,
        "kept": 2 * (len(world.upstream.sent) - 1),
        "misconfigured": 0,
    }
    levels = [record.levelname for record in caplog.records]
    assert levels[0] == "WARNING"
    assert set(levels[1:-1]) == {"DEBUG"}
    assert levels[-1] == "INFO"


def test_misconfigured_is_retried_slowly_for_ever_and_loses_nothing() -> None:
    world = World(misconfigured)
    world.store.put(*backlog(3))
    world.run(24 * 3600.0)
    gaps = [b - a for a, b in zip(world.upstream.times, world.upstream.times[1:], strict=False)]
    assert all(60 <= gap <= 300.001 for gap in gaps)
    assert max(gaps) > 240
    assert len(world.store.pending) == 3
    assert world.pump.state.misconfigured
    assert world.pump.state.results["misconfigured"] == 3 * len(world.upstream.sent)


def test_a_rejected_event_never_blocks_the_rest() -> None:
    bad = live(4)[2]

    def rejecting(batch: Sequence[Event]) -> Receipt:
        refused = {one.id: "no such zone" for one in batch if one.id == bad.id}
        return Receipt(stored(batch).accepted - refused.keys(), refused)

    world = World(rejecting)
    world.store.put(*live(4), *backlog(20))
    world.run(5.0)
    assert world.store.rejected == {(bad.zone, bad.start_ms): "no such zone"}
    assert len(world.store.delivered) == 23
    assert world.pump.state.why == ""


def refusing_alone(batch: Sequence[Event]) -> Receipt:
    """Refuses the zone `bad`, as a receiver without any company for it must be understood."""
    bad = frozenset(one.id for one in batch if one.zone == "bad")
    good = frozenset(one.id for one in batch) - bad
    if good:
        return Receipt(good, dict.fromkeys(bad, "422"))
    return Receipt(why_kept="422", suspects=bad)


def test_a_lone_refused_live_window_does_not_hold_up_the_backlog() -> None:
    world = World(refusing_alone)
    world.store.put(*live(1, "bad"), *backlog(30))
    world.run(30.0)
    assert len(world.store.delivered) == 30
    assert list(world.store.pending) == [("bad", live(1)[0].start_ms)]


def test_a_lone_refused_backlog_window_does_not_hold_up_the_next_live_one() -> None:
    world = World(refusing_alone)
    world.store.put(*backlog(1, "bad"))

    async def close_later() -> None:
        await asyncio.sleep(1000)
        world.store.put(*live(1))
        world.pump.wake()
        await asyncio.sleep(1)

    world.run(close_later)
    assert len(world.store.delivered) == 1


def test_a_crash_between_send_and_settle_only_resends() -> None:
    world = World()
    world.store.put(*live(3))
    world.store.crash = True
    with pytest.raises(RuntimeError, match="crash before settle"):
        world.run(1.0)
    assert len(world.store.pending) == 3
    again = World()
    again.store.pending = world.store.pending
    again.run(1.0)
    first, second = world.upstream.sent[0][1], again.upstream.sent[0][1]
    assert [one.id for one in first] == [one.id for one in second]
    assert [one.body for one in first] == [one.body for one in second]
    assert not again.store.pending


def test_a_revision_made_during_the_send_is_sent_too() -> None:
    world = World()
    [old] = live(1)
    new = event(399, revision=2)

    async def slow(batch: Sequence[Event]) -> Receipt:
        await asyncio.sleep(2)
        return stored(batch)

    async def correct() -> None:
        await asyncio.sleep(1)
        world.store.put(new)
        await asyncio.sleep(10)

    world.upstream.answer = slow
    world.store.put(old)
    world.run(correct)
    assert [one.revision for _, batch in world.upstream.sent for one in batch] == [1, 2]
    assert not world.store.pending


def test_a_thin_line_gets_smaller_batches_and_then_larger_ones() -> None:
    world = World(lambda batch: later(batch) if len(batch) > 20 else stored(batch))
    world.store.put(*backlog(390))
    world.run(3600.0)
    assert not world.store.pending
    sizes = [len(batch) for _, batch in world.upstream.sent]
    assert sizes[0] == 390
    assert min(sizes) < SMALLEST_BATCH * 2


def test_an_unforeseen_fault_of_a_driver_is_retried_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_batch: Sequence[Event]) -> Receipt:
        raise ZeroDivisionError("oops")

    world = World(broken)
    world.store.put(*live(1))

    async def mend() -> None:
        await asyncio.sleep(10)
        world.upstream.answer = stored
        await asyncio.sleep(60)

    world.run(mend)
    assert not world.store.pending
    assert any(record.exc_info for record in caplog.records if record.levelname == "ERROR")


def test_a_receipt_that_answers_for_nothing_makes_no_busy_loop() -> None:
    world = World(lambda _: Receipt())
    world.store.put(*live(1))
    world.run(600.0)
    assert len(world.upstream.sent) < 60
    assert world.pump.state.why == "not answered for"


def test_stop_waits_for_an_answer_on_its_way_but_not_for_a_silent_receiver() -> None:
    async def after(seconds: float, batch: Sequence[Event]) -> Receipt:
        await asyncio.sleep(seconds)
        return stored(batch)

    async def stop_at(seconds: float) -> tuple[float, int]:
        world = World(lambda batch: after(seconds, batch))
        world.store.put(*live(1))
        stop = asyncio.Event()
        task = asyncio.create_task(world.pump.run(stop))
        await asyncio.sleep(1)
        stop.set()
        await task
        return asyncio.get_running_loop().time(), len(world.store.pending)

    assert run_virtually(stop_at(2)) == (2, 0)
    assert run_virtually(stop_at(500)) == (4, 1)


def test_stop_closes_the_upstream() -> None:
    assert World().run(1.0).upstream.closed


def test_a_failing_card_is_waited_for_and_what_was_not_settled_goes_again() -> None:
    world = World()
    world.store.put(*live(2))
    settle = world.store.settle

    async def full(*_args: object) -> None:
        raise StoreError("the buffer cannot be written: disk full")

    async def make_room() -> None:
        world.store.settle = full  # type: ignore[method-assign,assignment]
        await asyncio.sleep(100)
        assert "disk full" in world.pump.state.why
        assert world.pump.state.failures == len(world.upstream.sent)
        world.store.settle = settle  # type: ignore[method-assign]
        await asyncio.sleep(61)

    world.run(make_room)
    assert not world.store.pending
    assert world.pump.state.why == ""
    assert len(world.upstream.sent) < 30


def test_stop_ends_a_back_off_at_once() -> None:
    async def stopped_in_back_off() -> float:
        world = World(misconfigured)
        world.store.put(*live(1))
        stop = asyncio.Event()
        task = asyncio.create_task(world.pump.run(stop))
        await asyncio.sleep(5)
        stop.set()
        await task
        return asyncio.get_running_loop().time()

    assert run_virtually(stopped_in_back_off()) == 5


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_everything_arrives_once_the_faults_end(seed: int) -> None:
    """Random faults, revisions and closes for an hour; then peace, and the outbox must drain."""
    rng = random.Random(seed)
    office: dict[Key, Event] = {}

    def keep(batch: Sequence[Event]) -> None:
        for one in batch:
            known = office.get((one.zone, one.start_ms))
            if known is None or known.revision < one.revision:
                office[one.zone, one.start_ms] = one

    def moody(batch: Sequence[Event]) -> Receipt:
        mood = rng.choice(["ok", "later", "lost", "half", "misconfigured", "boom"])
        if mood == "ok":
            keep(batch)
            return stored(batch)
        if mood == "half":
            keep(batch[: len(batch) // 2])
            return Receipt(stored(batch[: len(batch) // 2]).accepted, why_kept="cut off")
        if mood == "lost":
            keep(batch)
        if mood == "boom":
            raise OSError("boom")
        return misconfigured(batch) if mood == "misconfigured" else later(batch)

    world = World(moody, replay_per_s=rng.choice([5, 500]), batch=rng.choice([1, 7, 500]))
    written: dict[Key, Event] = {}

    async def history() -> None:
        for _ in range(60):
            fresh = event(rng.randrange(400), rng.choice(["mall", "shop"]), rng.randrange(10**6))
            key = (fresh.zone, fresh.start_ms)
            if key not in written or written[key].revision < fresh.revision:
                written[key] = fresh
                world.store.put(fresh)
            world.pump.wake()
            await asyncio.sleep(rng.expovariate(1 / 60))
        world.upstream.answer = lambda batch: (keep(batch), stored(batch))[1]
        await asyncio.sleep(900)

    world.run(history)
    assert not world.store.pending
    assert {key: one.id for key, one in office.items()} == {key: one.id for key, one in written.items()}
