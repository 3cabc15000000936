"""counter-gateway run: the daemon."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.commands import config_option, load_or_exit

if TYPE_CHECKING:
    from gateway.clock import Clock
    from gateway.config import Config

log = logging.getLogger("gateway")

AHEAD_DAYS = 31  # in December the next year's holidays are needed
RENEW_S = 6 * 3600.0
UNTRUSTED_S = 10.0


@click.command()
@config_option
@click.option(
    "--simulated-clock",
    metavar="START,SPEED[,ANCHOR]",
    help="Run SPEED times faster from START (RFC 3339); the buffer is marked as simulated for good.",
)
def command(config_path: Path, simulated_clock: str | None) -> None:
    """Run the daemon. SIGTERM and SIGINT stop it in order; SIGHUP reads the configuration again."""
    from gateway import clock
    from gateway.errors import BufferRefused, ConfigurationError, GatewayError

    try:
        simulated = clock.parse_simulated(simulated_clock) if simulated_clock else None
    except ValueError as error:
        raise click.UsageError(f"--simulated-clock: {error}") from error
    config = load_or_exit(config_path, simulated=simulated is not None)
    set_up_logging(config.log.level, dict(config.log.rooms))
    loop = clock.new_loop(simulated)
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(_run(config_path, clock.Clock(config.clock.trust, simulated)))
    except (ConfigurationError, BufferRefused) as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(2)
    except (GatewayError, OSError) as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)


async def _run(config_path: Path, watch: Clock) -> None:
    from gateway import app, config

    stop, hangup, reload = asyncio.Event(), asyncio.Event(), asyncio.Event()
    _listen_to_signals(stop, hangup)
    now = config.load(config_path, _years(watch), keep=True)
    _say(now.warnings)
    while True:
        following = asyncio.create_task(_following(config_path, now, watch, hangup, reload))
        again = await app.run(now, watch, stop, reload)
        following.cancel()
        if not again:
            return
        now = await following
        reload.clear()


def _say(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        log.warning("%s", warning)


def _years(watch: Clock) -> range:
    """The years whose holidays are looked up."""
    from gateway import config

    return config.years_around(datetime.fromtimestamp(watch.wall_ms() / 1000, UTC).year)


async def _following(
    path: Path, now: Config, watch: Clock, hangup: asyncio.Event, reload: asyncio.Event
) -> Config:
    """The next configuration: a good file after SIGHUP, or this one with the holidays of more years."""
    tasks = [
        asyncio.create_task(_reread(path, now, watch, hangup)),
        asyncio.create_task(_renewed(now, watch)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        reload.set()
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()


async def _reread(path: Path, now: Config, watch: Clock, hangup: asyncio.Event) -> Config:
    """Wait for SIGHUP and a good file. A bad one is refused and the old one stays in force."""
    from gateway import config
    from gateway.errors import ConfigurationError

    while True:
        await hangup.wait()
        hangup.clear()
        try:
            new = await asyncio.to_thread(config.load, path, _years(watch), keep=True)
        except ConfigurationError as error:
            log.error("configuration refused, the old one stays in force: %s", error)  # noqa: TRY400
            continue
        problems = config.loopback_only(new) if watch.simulated else []
        if new.gateway.data_dir != now.gateway.data_dir:
            problems.append("data_dir cannot change in a running daemon")
        if problems:
            log.error("configuration refused, the old one stays in force: %s", "; ".join(problems))
            continue
        _say(new.warnings)
        return new


async def _renewed(now: Config, watch: Clock) -> Config:
    """Wait until holidays of this year or the one that comes are not known, and then for an answer.

    Also mends what was looked up while the box believed another year.
    """
    from gateway import config
    from gateway.errors import ConfigurationError

    while True:
        if now.has_holidays and watch.trusted() and not _known(now, watch):
            try:
                new = await asyncio.to_thread(config.renewed, now, _years(watch))
            except ConfigurationError as error:
                log.error("holidays: %s", error)  # noqa: TRY400
            else:
                _say(new.warnings)
                if _known(new, watch):
                    log.info("holidays are known from %d to %d", *_ends(new.holiday_years))
                    return new
        await asyncio.sleep(RENEW_S if watch.trusted() else UNTRUSTED_S)


def _ends(years: range) -> tuple[int, int]:
    return years[0], years[-1]


def _known(config: Config, watch: Clock) -> bool:
    """Are the holidays of now and of the next weeks in the opening hours?"""
    today = datetime.fromtimestamp(watch.wall_ms() / 1000, UTC)
    return {today.year, (today + timedelta(days=AHEAD_DAYS)).year} <= {*config.holiday_years}


def _listen_to_signals(stop: asyncio.Event, hangup: asyncio.Event) -> None:
    """Signals only set events; a second SIGTERM or SIGINT ends at once."""
    loop = asyncio.get_running_loop()

    def ask_to_stop() -> None:
        if stop.is_set():
            sys.stderr.write("stopped at once\n")
            signal.raise_signal(signal.SIGKILL)
        stop.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ask_to_stop)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)


def set_up_logging(level: str, rooms: dict[str, str]) -> None:
    """Lines on standard error, times in UTC; a room's own level where it is set."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for room, room_level in rooms.items():
        logging.getLogger(f"gateway.{room}").setLevel(room_level.upper())
