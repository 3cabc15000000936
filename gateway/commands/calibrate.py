"""counter-gateway calibrate: factors that are applied when figures are read, by line, side and version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands import config_option, load_or_exit
from gateway.commands.entering import kept, send, tell
from gateway.commands.instants import at_site, typed

if TYPE_CHECKING:
    from gateway.config import Config

NEEDED = ("line", "side", "factor", "error")


@click.command()
@config_option
@click.option("--line", help="The line, as zones write it: COUNTER or COUNTER/LINE.")
@click.option("--side", type=click.Choice(["in", "out", "passes"]), help="What of it is calibrated.")
@click.option("--factor", type=float, help="Persons for each one counted, 0.8 to 1.25.")
@click.option("--error", type=float, help="Relative standard error of the factor, as 0.01.")
@click.option(
    "--from",
    "from_ms",
    type=typed,
    help="Since when (site's time unless it says); default: from the next window on.",
)
@click.option("--source", default="", help="Where the factor comes from, for whoever looks later.")
@click.option("--end", "version", type=int, metavar="VERSION", help="No longer calibrate by this version.")
@click.option(
    "--to", "to_ms", type=typed, metavar="TIME", help="Where --end ends it; default: the next window."
)
@click.option("--list", "listed", is_flag=True, help="Every version, ended ones too; daemon or not.")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines.")
def command(config_path: Path, listed: bool, as_json: bool, **given: Any) -> None:
    """Calibrate one side of a line. What was counted is never rewritten: calibrated figures stand beside it.

    A factor that holds since an earlier moment restates the windows from then on. Needs the daemon, --list
    does not.
    """
    missing = [f"--{name}" for name in NEEDED if given[name] is None]
    if not listed and given["version"] is None and missing:
        raise click.UsageError(f"missing {', '.join(missing)}")
    config = load_or_exit(config_path)
    rows = kept(config, lambda buffer: buffer.calibrations()) if listed else [_send(config, given)]
    tell(rows if as_json else map(words, rows))


def _send(config: Config, given: Mapping[str, Any]) -> Any:
    ending = given["version"] is not None
    names = ("version", "to_ms") if ending else (*NEEDED, "from_ms", "source")
    args = {name: given[name] for name in names}
    args |= {name: at_site(config, given[name]) for name in ("from_ms", "to_ms") if name in names}
    return send(config, "end-calibration" if ending else "calibrate", args)


def words(row: Mapping[str, Any]) -> str:
    """One version on one line."""
    text = f"version {row['version']}: {row['line']} {row['side']} × {row['factor']:g} ± {row['error']:.2%}"
    text += f" from {row['from']}" + (f" to {row['to']}" if row["to"] else "")
    return f"{text} ({row['source'] or 'no source named'}; {row['by'] or 'nobody named'}, {row['made']})"
