"""counter-gateway check: is the configuration right? Nothing is opened."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands import EXIT_WRONG, config_option

if TYPE_CHECKING:
    from gateway.config import Observed


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.option("--effective", is_flag=True, help="Print the merged file with the origin of each key.")
def command(config_path: Path, as_json: bool, effective: bool) -> None:
    """Validate the configuration without opening anything; every problem is named at once.

    --effective also lists the days whose opening hours a holiday decides. Exit 0 when it is right (warnings
    do not count), 2 when it is not.
    """
    from gateway import config
    from gateway.clock import Clock
    from gateway.errors import ConfigurationError

    problems: list[str] = []
    warnings: list[str] = []
    rows: list[tuple[str, Any, Path]] = []
    days: list[dict[str, str]] = []
    today = datetime.fromtimestamp(Clock("always").wall_ms() / 1000, UTC).date()
    try:
        loaded = config.load(config_path, config.years_around(today.year))
        warnings, rows = list(loaded.warnings), config.effective(loaded.merged)
        days = [
            _day(name, one) for name, found in loaded.observed.items() for one in found if one.day >= today
        ]
    except ConfigurationError as error:
        problems = error.problems
    if as_json:
        found: dict[str, Any] = {"ok": not problems, "problems": problems, "warnings": warnings}
        if effective and not problems:
            found["effective"] = [
                {"key": key, "value": value, "file": str(file)} for key, value, file in rows
            ]
            found["holidays"] = days
        click.echo(json.dumps(found, ensure_ascii=False, default=str))
    else:
        _print(config_path, problems, warnings, rows if effective else [])
        _print_days(days, effective)
    if problems:
        sys.exit(EXIT_WRONG)


def _print(path: Path, problems: list[str], warnings: list[str], rows: list[tuple[str, Any, Path]]) -> None:
    for key, value, file in rows:
        click.echo(f"{key} = {_toml(value)}  # {file}")
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    for problem in problems:
        click.echo(problem)
    if not problems and not rows:
        click.echo(f"{path}: ok")


def _day(hours: str, one: Observed) -> dict[str, str]:
    times = ", ".join(f"{_clock(opens)}-{_clock(closes)}" for opens, closes in one.spans)
    return {"hours": hours, "date": one.day.isoformat(), "name": one.name, "open": times or "closed"}


def _clock(minutes: int) -> str:
    hour, minute = divmod(minutes, 60)
    return f"{hour - 24 if hour > 24 or (hour == 24 and minute) else hour:02}:{minute:02}"


def _print_days(days: list[dict[str, str]], effective: bool) -> None:
    """All that are known as remarks, so that the rest stays a configuration; else the next one."""
    if effective:
        for day in days:
            click.echo("# hours.{hours}: {date} {name}: {open}".format(**day))
        return
    for hours in dict.fromkeys(day["hours"] for day in days):
        own = [day for day in days if day["hours"] == hours]
        until = own[-1]["date"][:4]
        click.echo(
            "hours.{hours}: next holiday {date} {name}: {open}".format(**own[0])
            + f"; {len(own)} until {until}, see --effective"
        )


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return json.dumps(value, ensure_ascii=False, default=str)
