"""counter-gateway drivers: what can be read, and with which options."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from gateway.commands import EXIT_PROBLEM, EXIT_WRONG

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gateway.driver import Family


@click.command()
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the drivers, or show one with its options, units and defaults."""
    from gateway.driver import families, load_family
    from gateway.errors import GatewayError

    if name is None:
        _list(*families())
        return
    try:
        _show(load_family(name))
    except GatewayError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_WRONG)


def _list(sound: list[Family], broken: list[str]) -> None:
    width = max((len(family.name) for family in sound), default=0)
    for family in sound:
        click.echo(f"{family.name:<{width}}  {family.summary} (over {', '.join(sorted(family.over))})")
    for words in broken:
        click.echo(words, err=True)
    if broken:
        sys.exit(EXIT_PROBLEM)


def _show(family: Family) -> None:
    click.echo(f"{family.name}: {family.summary}")
    click.echo(f"over: {', '.join(sorted(family.over))}; counts by: {family.basis}")
    for title, model in (("options", family.options), ("of each line", family.line_options)):
        click.echo(f"\n{title}:")
        for row in _rows(model):
            click.echo(f"  {row}")


def _rows(model: type[BaseModel]) -> list[str]:
    """`key  default  description`, one a field."""
    cells = []
    for name, field in model.model_fields.items():
        default = (
            "required" if field.is_required() else _written(field.get_default(call_default_factory=True))
        )
        cells.append((field.alias or name, default, field.description or ""))
    widths = [max((len(cell[column]) for cell in cells), default=0) for column in (0, 1)]
    return [f"{key:<{widths[0]}}  {default:<{widths[1]}}  {text}" for key, default, text in cells] or ["none"]


def _written(default: object) -> str:
    if default is None:
        return "-"
    dump = getattr(default, "model_dump", None)
    return json.dumps({} if dump else default, default=str)
