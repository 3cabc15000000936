"""counter-gateway breaks: lines that are not comparable with their past, and which of them are again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from gateway.commands import config_option, load_or_exit

FOR_EVER_MS = 1 << 62


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--dismiss", "line", metavar="LINE", help="It has been looked at: compare LINE with its past again."
)
def command(config_path: Path, as_json: bool, line: str | None) -> None:
    """Where lines began to count at another level, which their neighbours do not share.

    Comparisons across such a day leave the line out, until the running daemon is told to dismiss the break.
    """
    from gateway.control import ask
    from gateway.errors import GatewayError

    config = load_or_exit(config_path)
    try:
        if line is None:
            show(config.gateway.data_dir, as_json)
        else:
            [number] = ask(config.gateway.data_dir, "dismiss", {"line": line})
            click.echo(f"{line}: {number} {'break' if number == 1 else 'breaks'} dismissed")
    except GatewayError as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)


def show(data_dir: Path, as_json: bool) -> None:
    """Read from the buffer, daemon or not. Raises StoreError."""
    from gateway.instants import rfc3339
    from gateway.store import Reader

    found = Reader(data_dir).breaks(0, FOR_EVER_MS)
    if not (found or as_json):
        click.echo("no line began to count at another level")
    for one in found:
        row = {"line": one.line, "since": rfc3339(one.since_ms), "factor": round(one.factor, 6)}
        change = f"{one.factor - 1:+.0%}"
        click.echo(json.dumps(row) if as_json else f"{row['since']}  {one.line:<16} {change}")
