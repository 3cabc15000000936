"""counter-gateway audit: do the books balance?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.commands import config_option, load_or_exit

if TYPE_CHECKING:
    from gateway.store.plan import Books


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Every line of the books as JSON.")
def command(config_path: Path, as_json: bool) -> None:
    """The books, read from the buffer in one transaction, daemon or not. Exit 1 if they do not balance."""
    from gateway.errors import GatewayError
    from gateway.health.source import audit_json
    from gateway.store import Reader

    config = load_or_exit(config_path)
    try:
        books = Reader(config.gateway.data_dir).books()
    except GatewayError as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(audit_json(books), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(lines(books)))
    sys.exit(0 if books.balanced else 1)


def lines(books: Books) -> Iterator[str]:
    """A row for each line and quantity, a row for each upstream, the verdict."""
    from gateway.store.plan import LineBooks

    names = [name for name in LineBooks.__slots__ if name not in ("line", "column")]
    yield f"{'line':<20} {'what':<8} " + " ".join(f"{name:>9}" for name in (*names, "off by"))
    for row in books.lines:
        figures = (*(getattr(row, name) for name in names), row.imbalance)
        yield f"{row.line:<20} {row.column:<8} " + " ".join(f"{figure:>9}" for figure in figures)
    for queue in books.upstreams:
        yield (
            f"upstream {queue.upstream}: closed {queue.closed} = delivered {queue.delivered}"
            f" + pending {queue.pending} + rejected {queue.rejected} + expired {queue.expired}"
        )
    for zone in books.wrong_zones:
        yield f"zone {zone} differs from the line windows it names"
    yield "balanced" if books.balanced else f"NOT BALANCED: off by {books.imbalance}"
