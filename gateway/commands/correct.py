"""counter-gateway correct: what really crossed a line, in place of what was counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from gateway.commands import config_option, load_or_exit
from gateway.commands.entering import kept, send, tell
from gateway.commands.instants import at_site, typed

if TYPE_CHECKING:
    from gateway.config import Config

SIDES = ("ins", "outs", "passes")


@click.command()
@config_option
@click.option("--line", help="The line, as zones write it: COUNTER or COUNTER/LINE.")
@click.option(
    "--from", "from_ms", type=typed, metavar="TIME", help="First instant (site's time unless it says)."
)
@click.option("--to", "to_ms", type=typed, metavar="TIME", help="The instant after the last.")
@click.option("--ins", type=int, help="Persons that came in; left out: as it was counted.")
@click.option("--outs", type=int, help="Persons that went out.")
@click.option("--passes", type=int, help="Persons that passed, where the device knows no direction.")
@click.option("--reason", help="Why, for whoever looks later.")
@click.option("--id", "id_", help="Your own id: entering the same again changes nothing. Default: a new one.")
@click.option("--undo", metavar="ID", help="Let what was counted stand again.")
@click.option("--list", "listed", is_flag=True, help="Every correction, undone ones too; daemon or not.")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines.")
def command(config_path: Path, listed: bool, as_json: bool, **given: Any) -> None:
    """Enter what crossed a line in a span of time: readings of that time are kept but no longer count.

    Windows that it touches are restated and flagged `corrected`. Needs the daemon, --list does not.
    """
    if not listed and not given["undo"] and (missing := _missing(given)):
        raise click.UsageError(f"missing {missing}")
    config = load_or_exit(config_path)
    rows = kept(config, lambda buffer: buffer.corrections()) if listed else [_send(config, given)]
    tell(rows if as_json else map(words, rows))


def _missing(given: Mapping[str, Any]) -> str:
    needed = {"--line": "line", "--from": "from_ms", "--to": "to_ms", "--reason": "reason"}
    return ", ".join(option for option, name in needed.items() if given[name] is None)


def _send(config: Config, given: Mapping[str, Any]) -> Any:
    if given["undo"]:
        return send(config, "undo-correction", {"id": given["undo"], "reason": given["reason"]})
    names = ("line", "from_ms", "to_ms", *SIDES, "reason")
    span = {name: at_site(config, given[name]) for name in ("from_ms", "to_ms")}
    args = {name: given[name] for name in names} | span
    return send(config, "correct", args | {"id": given["id_"] or uuid4().hex[:12]})


def words(row: Mapping[str, Any]) -> str:
    """One correction on one line."""
    counts = ", ".join(f"{row[side]} {side}" for side in SIDES if row[side] is not None)
    text = f"{row['id']}: {row['line']} from {row['start']} to {row['end']}: {counts}"
    text += f" ({row['reason']}; {row['by'] or 'nobody named'}, {row['made']})"
    if row["undone"]:
        text += f", undone {row['undone']} ({row['undone_reason']}; {row['undone_by'] or 'nobody named'})"
    return text
