"""counter-gateway compare: like-for-like growth, over the doors that were whole in both periods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.commands import config_option
from gateway.commands.entering import report


@click.command()
@config_option
@click.option("--zone", required=True, help="The zone whose doors are compared.")
@click.option("--from", "first", required=True, metavar="DATE", help="First business day.")
@click.option("--to", "last", required=True, metavar="DATE", help="Last business day.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def command(config_path: Path, zone: str, first: str, last: str, as_json: bool) -> None:
    """Growth against the same weekdays a year before (364 days, 371 across a year of 53 weeks).

    Only doors that were open, watched for 95 % and the same counter in both periods are compared.
    """
    report(config_path, lambda found: found.growth(zone, first, last), in_words, as_json=as_json)


def in_words(told: Mapping[str, Any]) -> Iterator[str]:
    """The report for people."""
    now, before = (f"{told[f'{of}from']} to {told[f'{of}to']}" for of in ("", "reference_"))
    yield f"{told['zone']}: {now} against {before}"
    ratio, share = told["like_for_like"], told["share_now"]
    if ratio["value"] is None:
        yield f"like for like: unknown, none of {told['of_doors']} doors was whole in both periods"
    else:
        of = f"{told['doors']} of {told['of_doors']} doors"
        whose = "" if share is None else f", {100 * share:.0f} % of the persons of today"
        yield f"like for like: {100 * ratio['value']:+.1f} % over {of}{whose}"
    for door in told["each"]:
        persons = f"{_persons(door['now'])} against {_persons(door['reference'])}"
        yield f"  {door['line']}: {persons}{_left_out(door)}"
    for line in told["suspected_breaks"]:
        yield f"  {line} moved away from the others by more than a fifth: was its counter changed?"


def _persons(n: int | None) -> str:
    return "unknown" if n is None else str(n)


def _left_out(door: Mapping[str, Any]) -> str:
    if door["compared"]:
        return ""
    return ", not compared: its counter broke with its past" if door["broken"] else ", not compared"
