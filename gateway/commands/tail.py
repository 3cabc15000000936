"""counter-gateway tail: readings and aggregates as they happen."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.commands import config_option, load_or_exit

NAMES = ("type", "counter", "till", "line", "zone", "start", "end", "at", "size_s", "link")
SHOWN = ("ins", "outs", "passes", "total_in", "total_out", "total_passes", "persons", "sales", "returns")


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(config_path: Path, as_json: bool) -> None:
    """Live readings and aggregates of the running daemon, until interrupted. Exit 1 without a daemon."""
    from gateway.control import ask
    from gateway.errors import GatewayError

    config = load_or_exit(config_path)
    try:
        for item in ask(config.gateway.data_dir, "tail"):
            click.echo(json.dumps(item, ensure_ascii=False) if as_json else text(item))
    except GatewayError as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(0)


def text(item: Mapping[str, Any]) -> str:
    """One line for a person: when, who, how many."""
    when = item.get("end") or item.get("at") or item.get("start") or "(at receipt)"
    who = item.get("till") or item.get("zone") or item.get("counter", "")
    if item.get("line", "main") != "main":
        who = f"{who}/{item['line']}"
    figures = "  ".join(f"{name} {item[name]}" for name in SHOWN if item.get(name) is not None)
    if item["type"] == "aggregate":
        figures = f"revision {item.get('revision')} ({item.get('reason')})  {figures}"
    return f"{when}  {item['type']:<12} {who:<20} {figures}"
