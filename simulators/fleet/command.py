"""`counter-simulator fleet`."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from simulators.fleet.configuration import Around
from simulators.fleet.plan import draw
from simulators.fleet.play import Fleet
from simulators.timing import Clock


@click.command("fleet")
@click.option("--counters", default=200, show_default=True, help="Of ten families, at least 13.")
@click.option("--tills", default=20, show_default=True, help="Each with a shop of its own.")
@click.option("--hours", default=1.0, show_default=True, help="Whole quarters of an hour are played.")
@click.option("--seed", default=1, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="A new one, for all files.")
@click.option("--broker", default=1883, show_default=True, help="Port of the MQTT broker on this machine.")
@click.option("--push", default=8081, show_default=True, help="Port that the gateway will listen on.")
@click.option("--page", default=8080, show_default=True, help="Port of the gateway's page.")
@click.option("--office", default="http://127.0.0.1:8090/events", show_default=True, help="Head office.")
@click.option("--timezone", default="Europe/Oslo", show_default=True)
@click.option("--truth", type=click.Path(path_type=Path), help="Write what head office must have.")
@click.option("--withhold", help="A counter that forgets one period: truth and head office must then differ.")
@click.option("--simulated-clock", metavar="START,SPEED[,ANCHOR]")
def command(
    counters: int,
    tills: int,
    hours: float,
    seed: int,
    folder: Path,
    broker: int,
    push: int,
    page: int,
    office: str,
    timezone: str,
    truth: Path | None,
    withhold: str | None,
    simulated_clock: str | None,
) -> None:
    """A centre of many counters of ten families and its tills, at their real rates and with their troubles.

    Writes FOLDER/gateway.toml, waits until a gateway that reads it has asked every register, and begins with
    the next quarter of an hour.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    clock = Clock(simulated_clock)
    folder.mkdir(parents=True)
    around = Around(folder.resolve(), broker, push, page, office, timezone, clock.speed)
    try:
        plan = draw(seed, counters, tills)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with Fleet(plan, around, clock, withhold=withhold) as fleet:
        simulated = f" --simulated-clock {simulated_clock}" if simulated_clock else ""
        click.echo(f"counter-gateway run -c {fleet.config}{simulated}")
        while not fleet.ready():
            clock.sleep(0.1 * clock.speed)
        click.echo("every register was read; people come from the next quarter of an hour on")
        fleet.play(hours)
        if truth:
            fleet.expected.truth.write(truth)
        fleet.stay()
    click.echo(f"{fleet.sent} messages, {fleet.expected.persons} persons")
