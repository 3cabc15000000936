"""One file per command, each exposing `command`; what they share stands here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.config import Config

DEFAULT_CONFIG = "/etc/counter-gateway/gateway.toml"
EXIT_PROBLEM = 1
EXIT_WRONG = 2

config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="COUNTER_GATEWAY_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)


def load_or_exit(path: Path, *, simulated: bool = False) -> Config:
    """The configuration, or every problem on standard error and exit 2; `simulated` allows loopback only."""
    from gateway import config
    from gateway.errors import ConfigurationError

    try:
        loaded = config.load(path)
        problems = config.loopback_only(loaded) if simulated else []
    except ConfigurationError as error:
        problems = error.problems
    if problems:
        click.echo("\n".join(problems), err=True)
        sys.exit(EXIT_WRONG)
    return loaded
