"""One file a subcommand; each imports what it needs only when it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.config import Config

DEFAULT = Path("/etc/counter-gateway/gateway.toml")
ENVIRONMENT = "COUNTER_GATEWAY_CONFIG"

config_option = click.option(
    "-c",
    "--config",
    "config_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=lambda: Path(os.environ.get(ENVIRONMENT) or DEFAULT),
    help=f"Configuration file (default ${ENVIRONMENT}, then {DEFAULT}).",
)


def load_or_exit(path: Path, *, simulated: bool = False) -> Config:
    """The configuration, or every problem on standard error and exit 2. `simulated`: loopback only."""
    from gateway import config
    from gateway.errors import ConfigurationError

    try:
        return config.load(path, simulated=simulated)
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(2)
