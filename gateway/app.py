"""The composition root: configuration → objects → running layers.

Layers are nested (store → web → forward → closing → ingest → links); unwinding them is the order of stopping,
each step time-boxed. Edges retry for ever by themselves; an error in a core layer ends the run.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gateway import amending, systemd
from gateway.clock import Clock
from gateway.closing import Closing
from gateway.config import Config
from gateway.control import IDLE_S, ControlServer
from gateway.entries import Entries, Findings, place_of
from gateway.forward import Pump
from gateway.health import HealthSource
from gateway.ingest import Ingest
from gateway.links import Link, open_link, open_listener
from gateway.model import EntryKind
from gateway.roster import Roster
from gateway.store import Grid, Reader, Store, UpstreamPlan
from gateway.strangers import Heard, Strangers, fits
from gateway.strangers.looking import Look
from gateway.upstreams import load_upstream
from gateway.web import serve

log = logging.getLogger("gateway.app")

STEP_S = 3.0  # each layer's time to stop; six layers stay under systemd's 20 s

Run = Callable[[asyncio.Event], Awaitable[None]]


@dataclass(slots=True)
class Gateway:
    """The objects of one run, for whoever wants to look at them."""

    config: Config
    clock: Clock
    store: Store
    reader: Reader
    roster: Roster
    ingest: Ingest
    closing: Closing
    pumps: Sequence[Pump]
    links: Sequence[Link]
    health: HealthSource
    failed: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def sizes_of(config: Config) -> list[int]:
    """The configured window size and every size an upstream asks for, in seconds."""
    sizes = {config.windows.size_s}
    for upstream in config.upstream.values():
        sizes.update(upstream.send.sizes_s or ())
    return sorted(sizes)


def plans_of(config: Config) -> dict[str, UpstreamPlan]:
    """What each upstream is to be sent."""
    return {
        name: UpstreamPlan(
            zones=tuple(upstream.send.zones) if upstream.send.zones else None,
            sizes_s=tuple(upstream.send.sizes_s or (config.windows.size_s,)),
            from_ms=upstream.from_ms,
            alarms=upstream.send.alarms,
        )
        for name, upstream in config.upstream.items()
    }


async def run(config: Config, clock: Clock, stop: asyncio.Event, reload: asyncio.Event | None = None) -> bool:
    """Run until `stop` (False) or `reload` (True) is set. Raises what a core layer could not survive."""
    reload = reload or asyncio.Event()
    async with gateway(config, clock) as running:
        systemd.notify("READY=1\nSTATUS=counting")
        log.info("ready: %d links, %d lines", len(running.links), len(running.roster.rules))
        await _first(stop, reload, running.failed)
        systemd.notify("STOPPING=1" if not reload.is_set() else "RELOADING=1")
    if running.failed.done():
        running.failed.result()
    return reload.is_set() and not stop.is_set()


async def _first(stop: asyncio.Event, reload: asyncio.Event, failed: asyncio.Future[None]) -> None:
    waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(event.wait()) for event in (stop, reload)]
    await asyncio.wait([*waits, failed], return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


@asynccontextmanager
async def gateway(config: Config, clock: Clock) -> AsyncIterator[Gateway]:
    """All layers running; leaving stops them from the edges inwards."""
    roster = Roster(config)
    async with _store(config, clock, roster) as store:
        roster.recall(await store.adopted())
        overs = {name: link.over for name, link in config.link.items()}
        strangers = Strangers(roster, overs, _aside)
        ingest = Ingest(store, roster, clock, config.gateway.commit_interval_s, strangers)
        reader = store.reader()
        pumps = [_pump(name, config, store, clock) for name in config.upstream]
        closing = Closing(store, clock, lambda: _wake(pumps), ingest.clock_offset_ms)
        ingest.listeners.add(closing.stir)
        links = _links(config, roster, clock, ingest, store, reader)
        health = HealthSource(config, roster, reader, links, pumps, ingest, clock, closing)
        running = Gateway(config, clock, store, reader, roster, ingest, closing, pumps, links, health)
        control = ControlServer(config.gateway.data_dir, health, ingest)
        _offer(control, store, pumps, roster, clock)
        amending.offer(control, store, clock, closing.stir)
        entry = _entry(config, store, reader, roster, clock, closing.stir)
        _offer_entries(control, entry[0])
        control.register("discover", partial(_discover, strangers, health))
        control.register_stream("sample", partial(_sample, strangers))
        async with (
            serve(config, health, entry),
            control,
            _layer(running, "forward", [pump.run for pump in pumps]),
            _layer(running, "closing", [closing.run, _watchdog(store)]),
            _layer(running, "ingest", [ingest.run]),
            _layer(running, "links", [link.run for link in links]),
        ):
            health.ready = True
            yield running


@asynccontextmanager
async def _store(config: Config, clock: Clock, roster: Roster) -> AsyncIterator[Store]:
    now = clock.stamp()
    simulated = str(clock.simulation) if clock.simulation else None
    store = await Store.open(config.gateway.data_dir, now=now, simulated=simulated)
    try:
        site, windows = config.site, config.windows
        grid = Grid(
            site=site.id,
            gateway=config.gateway.id,
            size_s=windows.size_s,
            timezone=site.timezone,
            day_start_min=site.day_start_min,
            currency=site.currency,
            allowed_lateness_s=windows.allowed_lateness_s,
            min_completeness=windows.min_completeness,
            readings_days=windows.readings_days,
            retention_days=windows.retention_days,
        )
        await store.configure(
            roster.rules, roster.zones, plans_of(config), sizes_of(config), grid, now, config.open_hours()
        )
        yield store
    finally:
        await store.aclose()


def _aside(work: Callable[[], Look], then: Callable[[Look], None]) -> None:
    """Families are imported and a payload is read while the loop goes on."""
    looking = asyncio.get_running_loop().run_in_executor(None, work)
    looking.add_done_callback(lambda done: None if done.cancelled() else then(done.result()))


def _wake(pumps: Sequence[Pump]) -> None:
    for pump in pumps:
        pump.wake()


def _offer(control: ControlServer, store: Store, pumps: Sequence[Pump], roster: Roster, clock: Clock) -> None:
    """What an operator may ask of the buffer."""

    async def release(args: Mapping[str, Any]) -> int:
        named = args.get("upstream")
        names = [pump.state.name for pump in pumps] if named is None else [str(named)]
        released = sum([await store.release_rejected(name) for name in names])
        _wake(pumps)
        return released

    async def forget(args: Mapping[str, Any]) -> int:
        return await store.forget_upstream(str(args.get("upstream")))

    async def replace_counter(args: Mapping[str, Any]) -> int:
        counter = str(args.get("counter"))
        registers = await store.replace_counter(counter, clock.stamp())
        roster.readopt(counter)
        log.info("counter %s: another device, serial %s", counter, args.get("serial") or "not told")
        return registers

    async def dismiss(args: Mapping[str, Any]) -> int:
        return await store.dismiss_breaks(str(args.get("line")), clock.stamp())

    async def believe(args: Mapping[str, Any]) -> str:
        number = args.get("alarm")
        line = await store.believe_alarm(number if isinstance(number, int) else 0, clock.stamp())
        log.info("alarm %s of %s: believed by %s", number, line, args.get("by") or "?")
        return line

    control.register("believe", believe)
    control.register("dismiss", dismiss)
    control.register("replace-counter", replace_counter)
    control.register("release", release)
    control.register("forget", forget)


def _entry(
    config: Config, store: Store, reader: Reader, roster: Roster, clock: Clock, stir: Callable[[], None]
) -> tuple[Entries, Findings]:
    """What people may enter, and what it comes to."""
    place = place_of(config.site, config.zone, roster.rules)
    findings = Findings(reader, place, clock)
    return Entries(place, store, findings, clock, stir), findings


def _offer_entries(control: ControlServer, entries: Entries) -> None:
    """What `tally` and `campaign` send."""

    async def enter(args: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        bodies, by = args.get("bodies"), str(args.get("by") or "")
        kept = await entries.enter(
            EntryKind(str(args.get("kind"))), bodies if isinstance(bodies, list) else [], by
        )
        return [{**entry, "new": new} for entry, new in kept]

    async def withdraw(args: Mapping[str, Any]) -> Mapping[str, Any]:
        kind = EntryKind(str(args.get("kind")))
        return await entries.withdraw(kind, str(args.get("id")), str(args.get("by") or ""))

    async def accept(args: Mapping[str, Any]) -> Mapping[str, Any]:
        body = {name: args[name] for name in ("id", "line", "side", "from") if args.get(name) is not None}
        kept, new = await entries.accept(body, str(args.get("by") or ""))
        return {**kept, "new": new}

    control.register("enter", enter)
    control.register("accept", accept)
    control.register("withdraw", withdraw)


async def _discover(strangers: Strangers, health: HealthSource, _args: Mapping[str, Any]) -> Any:
    """Who talks and is unknown, and who is known and does not talk."""
    counters = (await health.snapshot()).counters
    return {"unknown": strangers.told(), "silent": [one for one in counters if one.state == "silent"]}


async def _sample(strangers: Strangers, args: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
    """The next payload of a stranger from `place`, for one who waits for it; it is kept nowhere."""
    loop = asyncio.get_running_loop()
    caught: asyncio.Future[bytes] = loop.create_future()
    place, ends_at = str(args.get("place")), loop.time() + float(args.get("seconds", 0))

    def catch(heard: Heard) -> None:
        if not caught.done() and fits(place, heard):
            caught.set_result(heard.payload)

    strangers.catching.add(catch)
    try:
        while not caught.done() and (left_s := ends_at - loop.time()) > 0:
            await asyncio.wait({caught}, timeout=min(IDLE_S, left_s))
            yield base64.b64encode(caught.result()).decode() if caught.done() else None
    finally:
        strangers.catching.discard(catch)


def _pump(name: str, config: Config, store: Store, clock: Clock) -> Pump:
    upstream = config.upstream[name]
    driver = load_upstream(upstream.driver)
    receiver = driver.open(upstream.options, Path, clock)
    return Pump(name, receiver, store, clock, upstream.replay_per_s)


def _links(
    config: Config, roster: Roster, clock: Clock, ingest: Ingest, store: Store, reader: Reader
) -> list[Link]:
    listener = open_listener(config.push, config.link.values(), clock)
    around = (clock, ingest, config.gateway.id, store.sessions, reader, listener)
    return [open_link(name, link, roster.sources(name), *around) for name, link in config.link.items()]


@asynccontextmanager
async def _layer(running: Gateway, name: str, runs: Sequence[Run]) -> AsyncIterator[None]:
    """Tasks that stop by themselves when told, within STEP_S; one that fails ends the whole run."""
    stop = asyncio.Event()

    def ended(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error and not running.failed.done():
            log.error("%s failed", name, exc_info=error)
            running.failed.set_exception(error)

    tasks = [asyncio.create_task(_as_coroutine(run, stop), name=name) for run in runs]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        stop.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STEP_S)
            for task in late:
                log.warning("%s did not stop within %g s", name, STEP_S)
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _as_coroutine(run: Run, stop: asyncio.Event) -> None:
    await run(stop)


def _watchdog(store: Store) -> Run:
    """A sign of life to systemd, if it watches us; only after a round trip through the store."""
    interval_s = systemd.watchdog_interval_s()

    async def run(stop: asyncio.Event) -> None:
        while interval_s and not stop.is_set():
            await store.ping()
            systemd.notify("WATCHDOG=1")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), interval_s)

    return run
