"""counter-gateway schema: JSON Schema of the configuration."""

from __future__ import annotations

import json

import click


@click.command()
def command() -> None:
    """Print the JSON Schema of the configuration file, drivers' options included."""
    from gateway.config.schema import schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))
