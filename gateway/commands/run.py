"""counter-gateway run: the daemon."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.commands import config_option, load_or_exit

if TYPE_CHECKING:
    from gateway.clock import Simulated
    from gateway.config import Config

log = logging.getLogger("gateway")


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
            runner.run(_run(config_path, simulated))
    except (ConfigurationError, BufferRefused) as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(2)
    except (GatewayError, OSError) as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)


async def _run(config_path: Path, simulated: Simulated | None) -> None:
    from gateway import app, clock, config

    stop, hangup, reload = asyncio.Event(), asyncio.Event(), asyncio.Event()
    _listen_to_signals(stop, hangup)
    now = config.load(config_path)
    watch = clock.Clock(now.clock.trust, simulated)
    while True:
        reread = asyncio.create_task(_reread(config_path, now, hangup, reload, simulated=bool(simulated)))
        again = await app.run(now, watch, stop, reload)
        reread.cancel()
        if not again:
            return
        now = await reread
        reload.clear()


async def _reread(
    path: Path, now: Config, hangup: asyncio.Event, reload: asyncio.Event, *, simulated: bool
) -> Config:
    """Wait for SIGHUP and a good file. A bad one is refused and the old one stays in force."""
    from gateway import config
    from gateway.errors import ConfigurationError

    while True:
        await hangup.wait()
        hangup.clear()
        try:
            new = config.load(path)
        except ConfigurationError as error:
            log.error("configuration refused, the old one stays in force: %s", error)  # noqa: TRY400
            continue
        problems = config.loopback_only(new) if simulated else []
        if new.gateway.data_dir != now.gateway.data_dir:
            problems.append("data_dir cannot change in a running daemon")
        if problems:
            log.error("configuration refused, the old one stays in force: %s", "; ".join(problems))
            continue
        reload.set()
        return new


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
