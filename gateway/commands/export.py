"""counter-gateway export: what was counted, as CSV or JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.calendars import BY
from gateway.commands import config_option, load_or_exit

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.store import Reader
    from gateway.windows import Span


LAST_DAY = "it is the day after the last"
LIKE = "date or time like 2026-11-23 or 2026-11-23T10:00+01:00"


def moment(text: str) -> int | date:
    """RFC 3339 or Unix seconds → ms; a bare date stays one. Raises BadParameter."""
    from gateway.instants import parse

    try:
        return date.fromisoformat(text) if text.count("-") == 2 and ":" not in text else parse(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no {LIKE}") from None


def instant(text: str) -> int:
    """As `moment`; a date begins at midnight UTC."""
    return _utc_ms(moment(text))


def _utc_ms(at: int | date) -> int:
    return at if isinstance(at, int) else round(datetime.combine(at, time(), UTC).timestamp() * 1000)


@click.command()
@config_option
@click.option("--from", "first", type=moment, required=True, help="First instant (UTC unless it says).")
@click.option(
    "--to", "after", type=moment, required=True, help="The instant (with --by: the day) after the last."
)
@click.option("--by", type=click.Choice(BY), help="Add up business days; dates are then business days.")
@click.option("--zone", "zones", multiple=True, help="Only this zone; may be repeated.")
@click.option("--size", "size_s", type=click.IntRange(1, 86_400), help="Window size, default the configured.")
@click.option("--as-of", "as_of_ms", type=instant, help="Revisions as they stood at this instant.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--readings", is_flag=True, help="Stored readings instead of aggregates.")
def command(
    config_path: Path,
    first: int | date,
    after: int | date,
    by: str | None,
    zones: tuple[str, ...],
    size_s: int | None,
    as_of_ms: int | None,
    form: str,
    readings: bool,
) -> None:
    """Aggregates (or stored readings) of a span, read from the buffer, daemon or not.

    --by adds windows up over business days, weeks and periods of [site] week, or months.
    """
    from gateway.errors import GatewayError
    from gateway.store import Reader
    from gateway.web.tables import as_csv

    config = load_or_exit(config_path)
    from_ms, to_ms = (_business_ms(config, at) if by else _utc_ms(at) for at in (first, after))
    if to_ms <= from_ms:
        raise click.UsageError("--to must lie after --from" + (f"; {LAST_DAY}" if by else ""))
    if by and readings:
        raise click.UsageError("--by adds up aggregates, not --readings")
    if by == "period" and config.site.week == "iso":
        raise click.UsageError('--by period: [site] week = "iso" has none; 4-5-4 and 4-4-5 have')
    try:
        reader = Reader(config.gateway.data_dir)
        if readings:
            rows = _readings(reader, from_ms, to_ms)
        else:
            _refuse_strange(config, reader, zones, size_s)
            shown = partial(_added_up, config, reader, by) if by else partial(_aggregates, config, reader)
            rows = shown(zones, (from_ms, to_ms), size_s, as_of_ms)
        columns = _columns(by, readings=readings)
        if form == "csv":
            click.echo(as_csv((), columns), nl=False)
        for row in rows:
            line = as_csv((row,), columns, header=False) if form == "csv" else f"{json.dumps(row)}\n"
            click.echo(line, nl=False)
    except GatewayError as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)


def _columns(by: str | None, *, readings: bool) -> tuple[str, ...]:
    from gateway.web.tables import AGGREGATE_COLUMNS, READING_COLUMNS, STRETCH_COLUMNS

    if readings:
        return READING_COLUMNS
    return STRETCH_COLUMNS if by else AGGREGATE_COLUMNS


def _business_ms(config: Config, at: int | date) -> int:
    from gateway.windows import day_bounds

    if isinstance(at, int):
        return at
    return day_bounds(at, config.site.timezone, config.site.day_start_min)[0]


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
    span: Span,
    size_s: int | None,
    as_of_ms: int | None,
) -> Iterator[Mapping[str, Any]]:
    from gateway.health import history
    from gateway.health.adding import place_of, windows

    place = place_of(config)
    for row in windows(reader, zones, span, size_s or config.windows.size_s, as_of_ms):
        yield history.aggregate(row, place)


def _added_up(
    config: Config,
    reader: Reader,
    by: str,
    zones: tuple[str, ...],
    span: Span,
    size_s: int | None,
    as_of_ms: int | None,
) -> Iterator[Mapping[str, Any]]:
    from gateway.health.adding import Asked, added_up

    return added_up(config, reader, Asked(by, span, zones, size_s, as_of_ms))


def _readings(reader: Reader, from_ms: int, to_ms: int) -> Iterator[Mapping[str, Any]]:
    from gateway.health import history
    from gateway.health.adding import chunks

    for chunk in chunks((from_ms, to_ms)):
        for row in reader.readings(*chunk):
            yield from history.readings(row)
