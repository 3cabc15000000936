"""counter-gateway status: what the running daemon knows of itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.commands import config_option, load_or_exit


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="The whole snapshot as JSON.")
def command(config_path: Path, as_json: bool) -> None:
    """Links, counters, zones, buffer and upstreams of the running daemon. Exit 1 without one."""
    from gateway.control import ask
    from gateway.errors import GatewayError

    config = load_or_exit(config_path)
    try:
        snapshot = next(ask(config.gateway.data_dir, "status"))
    except GatewayError as error:
        click.echo(f"counter-gateway: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(snapshot, ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(lines(snapshot)))


def lines(snapshot: Mapping[str, Any]) -> Iterator[str]:
    """The snapshot as text for a person at a terminal."""
    site = snapshot["site"]
    version, config_hash = snapshot["version"], snapshot["config_hash"]
    yield f"{site['gateway']} · counter-gateway {version} · configuration {config_hash}"
    trust = "trusted" if snapshot["clock_trusted"] else "NOT TRUSTED"
    yield f"{snapshot['at']} · clock {trust}" + (" · SIMULATED" if snapshot["simulated"] else "")
    if snapshot["fault"]:
        yield f"ACKNOWLEDGEMENTS WITHHELD: {snapshot['fault']}"
    if snapshot["unserved"]:
        yield f"NO PAGE AND NO METRICS: {snapshot['unserved']}"
    for title, part, text in _PARTS:
        yield ""
        yield title if snapshot[part] else f"{title}: none"
        yield from (f"  {text(entry)}" for entry in snapshot[part])
    yield ""
    yield _buffer(snapshot["buffer"])
    yield _books(snapshot["books"])


def _link(link: Mapping[str, Any]) -> str:
    state = "up" if link["up"] else "DOWN"
    since = f" since {link['since']}" if link["since"] else ""
    counts = ", ".join(f"{result} {number}" for result, number in sorted(link["telegrams"].items()) if number)
    unknown = f"{link['unknown']} unknown: see discover" if link["unknown"] else ""
    tail = " · ".join(part for part in (counts, unknown, link["error"]) if part)
    return f"{link['link']:<16} {link['over']:<7} {state}{since}" + (f" · {tail}" if tail else "")


def _counter(counter: Mapping[str, Any]) -> str:
    heard = counter["last_reading"] or "never"
    detail = f" · {counter['detail']}" if counter["detail"] else ""
    return f"{counter['counter']:<16} {counter['driver']:<8} {counter['state']:<8} last {heard}{detail}"


def _alarm(alarm: Mapping[str, Any]) -> str:
    mark = {"fault": "FAULT", "warning": "look", "info": "note"}[alarm["severity"]]
    return f"{alarm['line']:<16} {mark} since {alarm['since']} · {alarm['says']} {alarm['remedy']}".rstrip()


def _zone(zone: Mapping[str, Any]) -> str:
    complete = zone["completeness"]
    share = "unknown" if complete is None else f"{100 * complete:.0f} %"
    return (
        f"{zone['zone']:<16} {zone['ins']:>6} in {zone['outs']:>6} out {zone['occupancy']:>5} inside · "
        f"conversion {_ratio(zone['conversion'])} · completeness {share}"
    )


def _ratio(ratio: Mapping[str, Any]) -> str:
    if ratio["value"] is None:
        return f"unknown ({ratio['why']})"
    return f"{100 * ratio['value']:.1f} % ({100 * ratio['low']:.1f}–{100 * ratio['high']:.1f})"


def _upstream(upstream: Mapping[str, Any]) -> str:
    oldest = f" (oldest {upstream['oldest_pending']})" if upstream["oldest_pending"] else ""
    state = "MISCONFIGURED" if upstream["misconfigured"] else "failing" if upstream["failures"] else "well"
    why = f" · {upstream['why']}" if upstream["why"] else ""
    alarms = f" and {upstream['pending_alarms']} alarms" if upstream["pending_alarms"] else ""
    return (
        f"{upstream['upstream']:<16} {upstream['driver']:<7} {state} · {upstream['pending']} pending{oldest}"
        f"{alarms}"
        f" · {upstream['rejected']} rejected{why}"
    )


def _buffer(buffer: Mapping[str, Any]) -> str:
    left = "" if buffer["left_s"] is None else f" · full in {buffer['left_s'] / 86_400:.0f} days"
    return f"buffer {buffer['bytes'] / 1e6:.1f} MB · {buffer['queued']} readings on their way{left}"


def _books(books: Mapping[str, Any]) -> str:
    verdict = "balanced" if books["balanced"] else f"OFF BY {books['imbalance']}"
    return f"books {verdict} · checked {books['checked']}"


_PARTS = (
    ("links", "links", _link),
    ("counters and tills", "counters", _counter),
    ("alarms", "alarms", _alarm),
    ("zones today", "zones", _zone),
    ("upstreams", "upstreams", _upstream),
)
