"""What commands share that enter or withdraw something: asking the daemon, and reading what it comes to."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gateway.commands import EXIT_PROBLEM, load_or_exit

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.entries import Findings
    from gateway.store import Reader


def own_id() -> str:
    """For whoever names none: made anew, so that entering twice is two entries."""
    return uuid.uuid4().hex


def fail(error: object) -> NoReturn:
    click.echo(f"counter-gateway: {error}", err=True)
    sys.exit(EXIT_PROBLEM)


def send(config: Config, command: str, args: Mapping[str, Any]) -> Any:
    """The daemon's answer; exit 1 with its sentence when it refuses or is not there."""
    from gateway.control import ask
    from gateway.errors import GatewayError

    try:
        [answer] = ask(config.gateway.data_dir, command, {**args, "for": os.environ.get("SUDO_USER")})
    except GatewayError as error:
        fail(error)
    return answer


def enter(config_path: Path, kind: str, bodies: Sequence[Mapping[str, Any]]) -> None:
    """Send them and say what is new."""
    for entry in send(load_or_exit(config_path), "enter", {"kind": kind, "bodies": list(bodies)}):
        click.echo(f"{kind} {entry['id']}: {'entered' if entry['new'] else 'known already'}")


def withdraw(config_path: Path, kind: str, id_: str) -> None:
    send(load_or_exit(config_path), "withdraw", {"kind": kind, "id": id_})
    click.echo(f"{kind} {id_} no longer counts")


def findings(config: Config) -> Findings:
    """Read from the buffer, daemon or not. Raises StoreError."""
    from gateway.clock import Clock
    from gateway.entries import Findings, place_of
    from gateway.roster import Roster
    from gateway.store import Reader

    place = place_of(config.site, config.zone, Roster(config).rules)
    return Findings(Reader(config.gateway.data_dir), place, Clock(config.clock.trust))


def report(
    config_path: Path,
    find: Callable[[Findings], Mapping[str, Any]],
    in_words: Callable[[Mapping[str, Any]], Iterable[str]],
    *,
    as_json: bool,
) -> None:
    """What the buffer says, as one JSON object or in lines for people; exit 1 when it cannot be told."""
    from gateway.errors import GatewayError

    config = load_or_exit(config_path)
    try:
        told = find(findings(config))
    except GatewayError as error:
        fail(error)
    tell([told] if as_json else in_words(told))


def kept(config: Config, read: Callable[[Reader], Iterable[Any]]) -> list[Any]:
    """The rows that `read` finds in the buffer, as plain data, daemon or not; exit 1 when there is none."""
    from gateway.errors import GatewayError
    from gateway.health import to_json
    from gateway.store import Reader

    try:
        return [to_json(row) for row in read(Reader(config.gateway.data_dir))]
    except GatewayError as error:
        fail(error)


def tell(rows: Iterable[Any]) -> None:
    """A line each: text as it is, anything else as JSON."""
    for row in rows:
        click.echo(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False))
