"""counter-gateway forget: an upstream that is no longer configured leaves the books."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.commands import config_option, load_or_exit


@click.command()
@config_option
@click.argument("upstream")
def command(config_path: Path, upstream: str) -> None:
    """Take UPSTREAM out of the books, with what it was never sent. Exit 1 while it is configured."""
    from gateway.control import ask
    from gateway.errors import GatewayError

    config = load_or_exit(config_path)
    try:
        [owed] = ask(config.gateway.data_dir, "forget", {"upstream": upstream})
    except GatewayError as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)
    click.echo(f"{upstream} is forgotten; {owed} windows were never delivered to it")
