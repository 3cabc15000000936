"""counter-gateway release: rejected events are to be delivered once more."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.commands import config_option, load_or_exit


@click.command()
@config_option
@click.argument("upstream", required=False)
def command(config_path: Path, upstream: str | None) -> None:
    """Make events that UPSTREAM (default: any) rejected pending again. Exit 1 without a daemon."""
    from gateway.control import ask
    from gateway.errors import GatewayError

    config = load_or_exit(config_path)
    try:
        [released] = ask(config.gateway.data_dir, "release", {"upstream": upstream})
    except GatewayError as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)
    click.echo(f"{released} events are pending again")
