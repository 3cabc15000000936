"""counter-gateway alarms: what looked wrong with lines, and which of them counted right all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.commands import config_option, load_or_exit
from gateway.commands.entering import fail, send
from gateway.commands.export import instant

if TYPE_CHECKING:
    from gateway.config import Config

MONTH_MS = 30 * 86_400_000


@click.command()
@config_option
@click.option("--from", "from_ms", type=instant, help="Those since then; default: the last 30 days.")
@click.option("--believe", "alarm", type=int, metavar="NUMBER", help="What was counted then is right.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(config_path: Path, from_ms: int | None, alarm: int | None, as_json: bool) -> None:
    """What looked wrong with lines, open or over, by number.

    While a line was `stuck`, `dead` or `spike_impossible` its counts are not believed: reports take that
    time as not watched, until it is corrected (`correct`) or the running daemon is told to believe it.
    """
    from gateway.errors import GatewayError

    config = load_or_exit(config_path)
    if alarm is not None:
        line = send(config, "believe", {"alarm": alarm})
        click.echo(f"alarm {alarm}: what {line} counted then is believed")
        return
    try:
        _show(config, from_ms, as_json)
    except GatewayError as error:
        fail(error)


def _show(config: Config, from_ms: int | None, as_json: bool) -> None:
    """Read from the buffer, daemon or not. Raises StoreError."""
    from gateway.clock import Clock
    from gateway.instants import rfc3339
    from gateway.store import Reader

    now_ms = Clock(config.clock.trust).wall_ms()
    since_ms = now_ms - MONTH_MS if from_ms is None else from_ms
    reader = Reader(config.gateway.data_dir)
    doubted = {one.id for one in reader.doubted(since_ms, now_ms)}
    found = reader.alarms_between(since_ms, now_ms)
    if not (found or as_json):
        click.echo("nothing looked wrong")
    for one in found:
        row = {"alarm": one.id, "line": one.ref, "kind": one.kind, "severity": one.severity}
        ended = None if one.until_ms is None else rfc3339(one.until_ms)
        row |= {"since": rfc3339(one.since_ms), "until": ended, "doubted": one.id in doubted}
        if as_json:
            click.echo(json.dumps(row))
            continue
        until = f"to {ended}" if ended else "until now"
        mark = ", its counts are not believed" if row["doubted"] else ""
        says = one.says(config.site.timezone)
        click.echo(f"{one.id:>5}  {one.ref:<16} {one.kind} from {row['since']} {until}{mark}: {says}")
