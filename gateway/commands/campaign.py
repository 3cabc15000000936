"""counter-gateway campaign: what was done where and why, and afterwards whether it shows."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.commands import config_option, entering
from gateway.commands.entering import enter, fail, own_id, withdraw


@click.group()
def command() -> None:
    """Campaigns: enter them, list them, and ask whether they show."""


@command.command()
@config_option
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--from", "start", help="First day (or instant, site's time unless it says).")
@click.option("--to", "end", help="Last day (or the instant after the last).")
@click.option("--zone", "zones", multiple=True, help="Where it is; may be repeated.")
@click.option("--control", "controls", multiple=True, help="Zones it does not touch; may be repeated.")
@click.option("--measure", default="visitors", show_default=True, help="visitors, sales or conversion.")
@click.option("--purpose", default="", help="Why, in your words.")
@click.option("--goal", type=float, help="What it should bring, 0.1 for ten per cent more.")
@click.option("--id", "id_", help="An id of your own: the same again is the same campaign.")
def add(
    config_path: Path, file: Path | None, start: str | None, end: str | None, id_: str | None, **about: Any
) -> None:
    """Enter a campaign, or those of FILE (TOML: [campaign.ID] tables; or JSON). Needs the daemon."""
    if file is not None:
        try:
            bodies = in_file(file)
        except (OSError, UnicodeDecodeError, ValueError) as error:
            fail(f"{file}: {error}")
        enter(config_path, "campaign", bodies)
        return
    if start is None or end is None or not about["zones"]:
        raise click.UsageError("give FILE, or --from, --to and --zone")
    lists = {key: list(about.pop(key)) for key in ("zones", "controls")}
    body = {"id": id_ or own_id(), "from": start, "to": end, **lists, **about}
    enter(config_path, "campaign", [body])


def in_file(file: Path) -> list[dict[str, Any]]:
    """`[campaign.ID]` tables of a TOML file, or a JSON list of bodies. Raises ValueError."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        told = json.loads(text)
        bodies = told if isinstance(told, list) else [told]
    else:
        tables = tomllib.loads(text).get("campaign")
        if not isinstance(tables, dict):
            raise ValueError("has no [campaign.ID] table")
        bodies = [{"id": id_, **table} for id_, table in tables.items() if isinstance(table, dict)]
    return [{key: _plain(value) for key, value in body.items()} for body in bodies]


def _plain(value: Any) -> Any:
    """TOML knows dates; a body has text."""
    return value.isoformat() if hasattr(value, "isoformat") else value


@command.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def list_(config_path: Path, as_json: bool) -> None:
    """Every campaign that was entered."""
    entering.report(config_path, lambda found: found.campaigns(), listing, as_json=as_json)


def listing(told: Mapping[str, Any]) -> Iterator[str]:
    """Every campaign and its purpose, for people."""
    for one in told["campaigns"]:
        gone = ", withdrawn" if "withdrawn" in one else ""
        yield f"{one['id']}: {one['from']} to {one['to']}, {', '.join(one['zones'])}{gone}"
        if one["purpose"]:
            yield f"    {one['purpose']}"


@command.command()
@config_option
@click.argument("id_", metavar="ID")
def remove(config_path: Path, id_: str) -> None:
    """A campaign that was entered by mistake; it stays to be seen. Needs the daemon."""
    withdraw(config_path, "campaign", id_)


@command.command()
@config_option
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def report(config_path: Path, id_: str, as_json: bool) -> None:
    """Does campaign ID show? "cannot tell" is an answer, and says how large an effect would have shown."""
    entering.report(config_path, lambda found: found.report(id_), in_words, as_json=as_json)


WHY = {
    "no_history": "fewer than eight weeks without a campaign are known: nobody can say what is usual here",
    "no_denominator": "nobody was counted in it or before it",
    "overlap": "another campaign ran in the same place at the same time",
    "too_early": "no day of it is over yet",
    "completeness": "too little was watched",
}


def in_words(told: Mapping[str, Any]) -> Iterator[str]:
    """The report for people."""
    yield f"{told['id']}: {told['from']} to {told['to']}, {', '.join(told['zones'])}, by {told['measure']}"
    effect, points = told["effect"], told["measure"] == "conversion"
    if effect["value"] is not None:
        yield f"change {_change(effect['value'], points)} over the same weekdays of the four weeks before"
    if effect["value"] is not None and effect["low"] is not None:
        low, high = (_change(effect[end], points) for end in ("low", "high"))
        yield f"beyond what this place does by itself: {low} to {high}"
    yield f"verdict: {told['verdict']}{', ' + WHY.get(told['why'], told['why']) if told['why'] else ''}"
    if told["verdict"] == "cannot tell" and told["detectable"] is not None:
        yield f"an effect of {_change(told['detectable'], points)} or more would have shown"
    if told.get("goal_met"):
        yield f"goal {_change(told['goal'], points)}: {told['goal_met']}"


def _change(value: float, points: bool) -> str:
    return f"{100 * value:+.1f} {'points' if points else '%'}"
