"""counter-gateway discover: who is talking here that nothing is configured for."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands import EXIT_PROBLEM, EXIT_WRONG, config_option, load_or_exit

if TYPE_CHECKING:
    from gateway import config as configuration
    from gateway.strangers import Heard

SAMPLE_S = 60.0
ALONE = "`discover --for 30` listens by itself, without a daemon"

Row = Mapping[str, Any]


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Listen for so many seconds, read-only: brokers; without a daemon every link.",
)
@click.option("--topic", "topics", multiple=True, help="With --for: MQTT filter to listen to.  [default: #]")
@click.option(
    "--sample",
    "place",
    metavar="LINK[/TOPIC]",
    help="Write the next payload from there to standard output, and nothing else.",
)
def command(
    config_path: Path, as_json: bool, seconds: float | None, topics: tuple[str, ...], place: str | None
) -> None:
    """Unknown devices on known links, each with a line for the configuration.

    What the running daemon has heard since its start; with --for also what is heard meanwhile. Nothing is
    stored or acknowledged. Exit 1 without a daemon (unless --for), or when no sample came.
    """
    config = load_or_exit(config_path)
    if topics and (seconds is None or place):
        raise click.UsageError("--topic: goes with --for")
    if place is not None:
        sys.exit(_write_sample(config, place, seconds or SAMPLE_S))
    found = _of_daemon(config) if seconds is None else _listened(config, seconds, topics or ("#",))
    click.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else "\n".join(lines(found)))


def _of_daemon(config: configuration.Config) -> Row:
    """Its answer; without one a sentence, and exit 1."""
    from gateway.control import ask
    from gateway.errors import GatewayError

    try:
        answer: Row = next(ask(config.gateway.data_dir, "discover"))
    except GatewayError as error:
        click.echo(f"counter-gateway: {error}; {ALONE}", err=True)
        sys.exit(EXIT_PROBLEM)
    return answer


def _answer_if_any(config: configuration.Config) -> Row | None:
    from gateway.control import NoDaemonError, ask

    with suppress(NoDaemonError):
        answer: Row = next(ask(config.gateway.data_dir, "discover"))
        return answer
    return None


def _listened(config: configuration.Config, seconds: float, topics: Sequence[str]) -> Row:
    """What we heard ourselves, before what the daemon had heard."""
    from gateway.health import to_json

    answer = _answer_if_any(config)
    ear = _Ear(config, beside_daemon=answer is not None)
    asyncio.run(ear.listen(seconds, topics))
    for problem in ear.problems:
        click.echo(problem, err=True)
    rows = [to_json(one) for one in ear.strangers.told()]
    met = {_name(row) for row in rows}
    rows += [row for row in (answer or {}).get("unknown", ()) if _name(row) not in met]
    return {"unknown": rows, "silent": (answer or {}).get("silent", [])}


def _name(row: Row) -> tuple[str, ...]:
    return row["link"], row["topic"], row["peer"]


class _Ear:
    """Listens to every broker and, where no daemon has them, to the other links."""

    def __init__(self, config: configuration.Config, *, beside_daemon: bool) -> None:
        from gateway.commands.listening import Listening
        from gateway.roster import Roster
        from gateway.strangers import Strangers

        self._config = config
        roster = Roster(config)
        self.strangers = Strangers(roster, {name: link.over for name, link in config.link.items()})
        self._ingest = Listening(roster, self.strangers)
        self.problems: list[str] = []
        self._names = [
            name
            for name, link in config.link.items()
            if link.over == "mqtt" or (not beside_daemon and (link.over == "push" or roster.sources(name)))
        ]

    async def listen(self, seconds: float, topics: Sequence[str], place: str | None = None) -> bytes | None:
        """Until the time is up, or the first payload from `place` has come: that payload."""
        from gateway.commands.listening import listening
        from gateway.strangers import fits

        caught: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def catch(heard: Heard) -> None:
            if place is not None and heard.payload and not caught.done() and fits(place, heard):
                caught.set_result(heard.payload)

        self._ingest.catch = catch
        async with listening(self._config, self._ingest, self._names, topics) as links:
            await asyncio.wait({caught}, timeout=seconds)
            self.problems = [
                f"link {name}: {link.state.error}" for name, link in links.items() if link.state.error
            ]
        return caught.result() if caught.done() else None


def _write_sample(config: configuration.Config, place: str, seconds: float) -> int:
    """The exit code."""
    link, _, topic = place.partition("/")
    if link not in config.link:
        known = ", ".join(config.link) or "none"
        click.echo(f"--sample: there is no link {link!r}; there is {known}", err=True)
        return EXIT_WRONG
    payload, problems = _sample(config, place, seconds, topic)
    if payload is None:
        told = "".join(f"; {problem}" for problem in problems)
        click.echo(f"nothing came from {place} in {seconds:g} s{told}", err=True)
        return EXIT_PROBLEM
    sys.stdout.buffer.write(payload)
    return 0


def _sample(
    config: configuration.Config, place: str, seconds: float, topic: str
) -> tuple[bytes | None, Sequence[str]]:
    from gateway.control import NoDaemonError

    link = config.link[place.partition("/")[0]]
    if link.over != "mqtt":
        with suppress(NoDaemonError):
            return _sample_of_daemon(config, place, seconds), ()
    ear = _Ear(config, beside_daemon=link.over == "mqtt")
    return asyncio.run(ear.listen(seconds, (topic or "#",), place)), ear.problems


def _sample_of_daemon(config: configuration.Config, place: str, seconds: float) -> bytes | None:
    """It keeps no payload: the next one of a stranger is handed through."""
    from gateway.control import ask

    caught = next(ask(config.gateway.data_dir, "sample", {"place": place, "seconds": seconds}), None)
    return None if caught is None else base64.b64decode(caught)


def lines(found: Row) -> Iterator[str]:
    """As text for a person at a terminal, to whom no topic and no payload sends control characters."""
    return map(_harmless, _lines(found))


def _harmless(line: str) -> str:
    """With escapes that TOML reads back."""
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in line)


def _lines(found: Row) -> Iterator[str]:
    unknown, silent = found["unknown"], found["silent"]
    yield "unknown" if unknown else "unknown: nobody"
    for row in unknown:
        yield from _stranger(row)
    if silent:
        yield ""
        yield "configured, and not heard"
        yield from (f"  {_silent(one)}" for one in silent)


def _stranger(row: Row) -> Iterator[str]:
    place = " ".join(part for part in (f"link {row['link']}", row["topic"], _from(row["peer"])) if part)
    yield ""
    yield f"  {place} · {_what(row)}"
    yield f"    {row['times']} times, first {row['first_heard']}, last {row['last_heard']}"
    yield f"    {row['why']}"
    yield from (f"    line {line}: {words}" for line, words in row["lines"].items())
    width = max((len(path) for path, _ in row["paths"]), default=0)
    if not row["driver"]:
        yield from (f"    {path:<{width}}  {shape}".rstrip() for path, shape in row["paths"])
    if row["suggestion"]:
        yield f"    [{row['table']}]"
        yield f"    {row['suggestion']}"


def _from(peer: str) -> str:
    return f"from {peer}" if peer else ""


def _what(row: Row) -> str:
    device = f"device {row['device']}" if row["device"] else "device without an id"
    if row["driver"]:
        return f"{device} · {row['driver']}" + (" (it understands the payload)" if row["guessed"] else "")
    return f"{row['format'] or 'payload'}, {row['bytes']} bytes" if row["bytes"] else "not looked at yet"


def _silent(one: Row) -> str:
    detail = f": {one['detail']}" if one["detail"] else ""
    return f"{one['counter']} (link {one['link']}, {one['driver']}){detail}"
