"""counter-gateway check: is the configuration right? Nothing is opened."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from gateway.commands import EXIT_WRONG, config_option


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.option("--effective", is_flag=True, help="Print the merged file with the origin of each key.")
def command(config_path: Path, as_json: bool, effective: bool) -> None:
    """Validate the configuration without opening anything; every problem is named at once.

    Exit 0 when it is right (warnings do not count), 2 when it is not.
    """
    from gateway import config
    from gateway.errors import ConfigurationError

    problems: list[str] = []
    warnings: list[str] = []
    rows: list[tuple[str, Any, Path]] = []
    try:
        loaded = config.load(config_path)
        warnings, rows = list(loaded.warnings), config.effective(loaded.merged)
    except ConfigurationError as error:
        problems = error.problems
    if as_json:
        found: dict[str, Any] = {"ok": not problems, "problems": problems, "warnings": warnings}
        if effective and not problems:
            found["effective"] = [
                {"key": key, "value": value, "file": str(file)} for key, value, file in rows
            ]
        click.echo(json.dumps(found, ensure_ascii=False, default=str))
    else:
        _print(config_path, problems, warnings, rows if effective else [])
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


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return json.dumps(value, ensure_ascii=False, default=str)
