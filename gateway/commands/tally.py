"""counter-gateway tally: persons counted by hand, and what they say of the counter."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.commands import config_option, entering, load_or_exit
from gateway.commands.entering import enter, fail, own_id, send, withdraw

SIDES = ("ins", "outs", "passes")


@click.group()
def command() -> None:
    """Persons counted by hand at a door, and what they say of its counter."""


@command.command()
@config_option
@click.option("--line", required=True, help="Counter, or counter/line.")
@click.option("--from", "start", required=True, help="When counting began (site's time unless it says).")
@click.option("--to", "end", required=True, help="When it ended.")
@click.option("--ins", type=int, help="Persons that came in.")
@click.option("--outs", type=int, help="Persons that went out.")
@click.option("--passes", type=int, help="Persons in either direction.")
@click.option("--id", "id_", default=own_id, help="An id of your own: the same again is the same tally.")
def add(config_path: Path, line: str, start: str, end: str, id_: str, **sides: int | None) -> None:
    """Enter one tally. Needs the daemon."""
    given = {side: n for side, n in sides.items() if n is not None}
    enter(config_path, "tally", [{"id": id_, "line": line, "from": start, "to": end, **given}])


@command.command("import")
@config_option
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_(config_path: Path, file: Path) -> None:
    """Enter the tallies of a CSV file with the columns line, from, to and ins, outs or passes.

    A column id makes importing twice harmless; without it the row's content is its id. All are entered or
    none; `entry 1` of a refusal is the first row below the names.
    """
    try:
        bodies = list(rows(file))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        fail(f"{file}: {error}")
    enter(config_path, "tally", bodies)


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """The bodies of a file's rows. Raises ValueError that names the row."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        dialect = ";" if ";" in text.readline() else ","
        text.seek(0)
        for number, row in enumerate(csv.DictReader(text, delimiter=dialect, strict=True), 2):
            yield body(row, number)


def body(row: Mapping[str | None, Any], number: int) -> dict[str, Any]:
    """One row; numbers are numbers."""
    given: dict[str, Any] = {}
    for name, value in row.items():
        if name is None or value is None:
            raise ValueError(f"row {number}: not as many cells as the first row has")
        if value.strip():
            given[name.strip()] = value.strip()
    for side in SIDES:
        if side in given:
            if not given[side].isdecimal():
                raise ValueError(f"row {number}: {side}: must be a whole number, not {given[side]!r}")
            given[side] = int(given[side])
    content = "|".join(f"{name}={given[name]}" for name in sorted(given))
    return {"id": f"row-{_digest(content)}", **given}


def _digest(content: str) -> str:
    import hashlib

    return hashlib.sha256(content.encode()).hexdigest()[:32]


@command.command()
@config_option
@click.argument("id_", metavar="ID")
def remove(config_path: Path, id_: str) -> None:
    """A tally that was wrong no longer counts; it stays to be seen. Needs the daemon."""
    withdraw(config_path, "tally", id_)


@command.command()
@config_option
@click.argument("line")
@click.option("--side", type=click.Choice(["in", "out", "passes"]), required=True)
@click.option("--from", "start", help="Since when; default: from the next window on.")
@click.option("--id", "id_", default=own_id, help="An id of your own: the same again is the same acceptance.")
def accept(config_path: Path, line: str, side: str, start: str | None, id_: str) -> None:
    """Put the factor that the tallies of LINE give in force. Needs the daemon."""
    body = {"id": id_, "line": line, "side": side, "from": start}
    kept = send(load_or_exit(config_path), "accept", body)
    factor, since = f"{kept['factor']:.4f}", kept["from"]
    click.echo(f"{line} {side} × {factor} from {since} on, as version {kept['version']}")


@command.command()
@config_option
@click.argument("line")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def report(config_path: Path, line: str, as_json: bool) -> None:
    """Each tally of LINE beside what its counter counted, and the factor that would make them equal."""
    entering.report(config_path, lambda found: found.tallies(line), in_words, as_json=as_json)


def in_words(told: Mapping[str, Any]) -> Iterator[str]:
    """The report for people."""
    yield from map(_row, told["tallies"])
    for side, factor in told["sides"].items():
        if factor["tallies"]:
            yield f"{side}: {_factor(factor)}"


def _row(row: Mapping[str, Any]) -> str:
    sides = [side for side in SIDES if side in row]
    if row["counted"] is None:
        beside = "not compared: the counter was not heard all that time, or its readings are gone"
    else:
        beside = ", ".join(f"{side} {row[side]} by hand, {row['counted'][side]} counted" for side in sides)
    return f"{row['id']}: {row['from']} to {row['to']}: {beside}"


def _factor(factor: Mapping[str, Any]) -> str:
    from gateway.entries import NO_FACTOR

    shown = f"{factor['tallies']} tallies, {factor['manual']} by hand, {factor['counted']} counted"
    if factor["factor"] is None:
        return f"{shown}; no factor: {NO_FACTOR.get(factor['why'], factor['why'])}"
    return f"{shown}; factor {factor['factor']:.4f} ({factor['low']:.4f} to {factor['high']:.4f})"
