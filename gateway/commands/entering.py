"""What `tally` and `campaign` share: sending entries to the daemon, and reading what they come to."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gateway.commands import EXIT_PROBLEM, load_or_exit

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.entries import Findings


def own_id() -> str:
    """For whoever names none: made anew, so that entering twice is two entries."""
    return uuid.uuid4().hex


def fail(error: object) -> NoReturn:
    click.echo(f"counter-gateway: {error}", err=True)
    sys.exit(EXIT_PROBLEM)


def send(config_path: Path, command: str, args: Mapping[str, Any]) -> Any:
    """The daemon's answer; exit 1 with its sentence when it refuses or is not there."""
    from gateway.control import ask
    from gateway.errors import GatewayError

    config = load_or_exit(config_path)
    try:
        [answer] = ask(config.gateway.data_dir, command, {**args, "for": os.environ.get("SUDO_USER")})
    except GatewayError as error:
        fail(error)
    return answer


def enter(config_path: Path, kind: str, bodies: Sequence[Mapping[str, Any]]) -> None:
    """Send them and say what is new."""
    for entry in send(config_path, "enter", {"kind": kind, "bodies": list(bodies)}):
        click.echo(f"{kind} {entry['id']}: {'entered' if entry['new'] else 'known already'}")


def withdraw(config_path: Path, kind: str, id_: str) -> None:
    send(config_path, "withdraw", {"kind": kind, "id": id_})
    click.echo(f"{kind} {id_} no longer counts")


def findings(config: Config) -> Findings:
    """Read from the buffer, daemon or not. Raises StoreError."""
    from gateway.clock import Clock
    from gateway.entries import Findings, place_of
    from gateway.roster import Roster
    from gateway.store import Reader

    place = place_of(config.site, config.zone, Roster(config).rules)
    return Findings(Reader(config.gateway.data_dir), place, Clock(config.clock.trust))


def tell(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))
