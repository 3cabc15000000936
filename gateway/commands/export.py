"""counter-gateway export: what was counted, as CSV or JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands import config_option, load_or_exit

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.store import Reader

CHUNK_MS = 86_400_000  # a day at a time: memory stays flat however long the span


def instant(text: str) -> int:
    """RFC 3339, a date, or Unix seconds → ms. Raises BadParameter."""
    from gateway.web.tables import parse_instant

    try:
        return parse_instant(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no RFC 3339 time") from None


@click.command()
@config_option
@click.option("--from", "from_ms", type=instant, required=True, help="First instant (UTC unless it says).")
@click.option("--to", "to_ms", type=instant, required=True, help="The instant after the last.")
@click.option("--zone", "zones", multiple=True, help="Only this zone; may be repeated.")
@click.option("--size", "size_s", type=click.IntRange(1, 86_400), help="Window size, default the configured.")
@click.option("--as-of", "as_of_ms", type=instant, help="Revisions as they stood at this instant.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--readings", is_flag=True, help="Stored readings instead of aggregates.")
def command(
    config_path: Path,
    from_ms: int,
    to_ms: int,
    zones: tuple[str, ...],
    size_s: int | None,
    as_of_ms: int | None,
    form: str,
    readings: bool,
) -> None:
    """Aggregates (or stored readings) of a span, read from the buffer, daemon or not."""
    from gateway.errors import GatewayError
    from gateway.store import Reader
    from gateway.web.tables import AGGREGATE_COLUMNS, READING_COLUMNS, as_csv

    config = load_or_exit(config_path)
    if to_ms <= from_ms:
        raise click.UsageError("--to must lie after --from")
    try:
        columns: tuple[str, ...] = READING_COLUMNS if readings else AGGREGATE_COLUMNS
        reader = Reader(config.gateway.data_dir)
        if readings:
            rows = _readings(reader, from_ms, to_ms)
        else:
            _refuse_strange(config, reader, zones, size_s)
            size_s = size_s or config.windows.size_s
            rows = _aggregates(config, reader, zones, from_ms, to_ms, size_s, as_of_ms)
        if form == "csv":
            click.echo(as_csv((), columns), nl=False)
        for row in rows:
            line = as_csv((row,), columns, header=False) if form == "csv" else f"{json.dumps(row)}\n"
            click.echo(line, nl=False)
    except GatewayError as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)


def _spans(from_ms: int, to_ms: int) -> Iterator[tuple[int, int]]:
    for start_ms in range(from_ms, to_ms, CHUNK_MS):
        yield start_ms, min(start_ms + CHUNK_MS, to_ms)


def _refuse_strange(config: Config, reader: Reader, zones: tuple[str, ...], size_s: int | None) -> None:
    known = {*reader.zone_names(), *config.zone} if zones else set()
    if strange := sorted({*zones} - known):
        raise click.UsageError(f"--zone: no zone {', '.join(strange)}; known: {', '.join(sorted(known))}")
    kept = [] if size_s is None else [*map(str, reader.sizes_s())]
    if kept and str(size_s) not in kept:
        raise click.UsageError(f"--size: no windows of {size_s} s; kept: {', '.join(kept)}")


def _aggregates(
    config: Config,
    reader: Reader,
    zones: tuple[str, ...],
    from_ms: int,
    to_ms: int,
    size_s: int,
    as_of_ms: int | None,
) -> Iterator[Mapping[str, Any]]:
    from gateway.health import history

    site = config.site
    roles = {zone["zone"]: frozenset(line["role"] for line in zone["members"]) for zone in reader.zones()}
    place = history.Place(site.id, site.currency, config.windows.min_completeness, roles)
    for zone in zones or (None,):
        for low, high in _spans(from_ms, to_ms):
            for row in reader.aggregates(zone, low, high, size_s, as_of_ms):
                yield history.aggregate(row, place)


def _readings(reader: Reader, from_ms: int, to_ms: int) -> Iterator[Mapping[str, Any]]:
    from gateway.health import history

    for low, high in _spans(from_ms, to_ms):
        for row in reader.readings(low, high):
            yield from history.readings(row)
