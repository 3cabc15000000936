"""counter-gateway replace-counter: another device hangs where a counter hung, under the same id."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.commands import config_option, load_or_exit


@click.command()
@config_option
@click.argument("counter")
@click.option("--serial", help="Serial number of the new device, for the log.")
def command(config_path: Path, counter: str, serial: str | None) -> None:
    """Begin COUNTER's registers anew: what the new device shows first counts nobody. Needs the daemon."""
    from gateway.control import ask
    from gateway.errors import GatewayError

    config = load_or_exit(config_path)
    try:
        [registers] = ask(config.gateway.data_dir, "replace-counter", {"counter": counter, "serial": serial})
    except GatewayError as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)
    click.echo(f"{counter}: {registers} registers begin anew with the next reading; its history stays")
    if serial:
        click.echo(f'if the configuration names a serial for {counter}, change it to "{serial}" there too')
