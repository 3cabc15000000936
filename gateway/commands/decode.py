"""`decode`: what a driver makes of bytes or messages, one JSON object a line."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from pydantic import BaseModel, ValidationError

from gateway.commands import telegrams
from gateway.commands.decoder import Decoder
from gateway.driver import (
    Device,
    Exchange,
    Family,
    Kind,
    Message,
    Messages,
    Options,
    Response,
    Stream,
    family_names,
    load_family,
)
from gateway.errors import BrokenDriver, ConfigurationError, UnknownDriver
from gateway.items import to_line
from gateway.model import MAIN_LINE, Damaged, Ignored, Item

DEFAULT_CONFIGURATION = "/etc/counter-gateway/gateway.toml"
NEEDS_REQUEST = "this device answers questions: give --request TEXT, or --as transcript with TX and RX lines"
NO_TRANSCRIPT = r"no line of this input begins with TX or RX, as in 'TX #010\r' and 'RX >0000001E\r'"
T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What came with the payload."""

    at_ms: int | None = None
    topic: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    retained: bool = False
    link: str = ""

    def message(self, payload: bytes) -> Message:
        return Message(payload, self.at_ms or 0, self.topic, self.headers, self.retained, self.link)


@click.command(short_help="Show what a driver makes of bytes or messages.")
@click.argument("words", nargs=-1, metavar="[DRIVER] [FILE]")
@click.option(
    "-c",
    "--config",
    "config_path",
    envvar="COUNTER_GATEWAY_CONFIG",
    default=DEFAULT_CONFIGURATION,
    help="Configuration, for --counter and --link.",
)
@click.option("--counter", "counter_id", help="Decode as this configured counter (or till).")
@click.option("--link", "link_id", help="Decode as everything configured on this link.")
@click.option("--options", "options_text", help="The driver's options: JSON, or @FILE.toml.")
@click.option("--at", "at_text", metavar="TIME", help="Time of receipt, RFC 3339.")
@click.option("--as", "way", type=click.Choice(telegrams.WAYS), default="bytes", help="How FILE is written.")
@click.option(
    "--request",
    "request_text",
    help=r"The question that the input answers, as in '#010\r' or '01 03 00 44 …'.",
)
@click.option("--topic", default="", help="MQTT topic of the message.")
@click.option("--retained", is_flag=True, help="The message was retained by the broker.")
@click.option("--header", "headers", multiple=True, metavar="'N: V'", help="A header; may be repeated.")
@click.option(
    "--explain", is_flag=True, help="Each path, its value and the leaves unused, to standard error."
)
def command(
    words: tuple[str, ...],
    config_path: str,
    counter_id: str | None,
    link_id: str | None,
    options_text: str | None,
    at_text: str | None,
    way: str,
    request_text: str | None,
    topic: str,
    retained: bool,
    headers: tuple[str, ...],
    explain: bool,
) -> None:
    """Write what DRIVER (or a configured counter or link) makes of FILE or standard input."""
    configured = bool(counter_id or link_id)
    if counter_id and link_id:
        raise click.UsageError("--counter or --link, not both")
    driver_name, file = _words(words, configured=configured)
    envelope = Envelope(_instant(at_text), topic, _headers(headers), retained, link_id or "")
    if configured:
        if options_text:
            raise click.UsageError("--options: a configured counter has its own")
        decoders = _configured(Path(config_path), counter_id, link_id, topic)
    else:
        decoders = [_bare(driver_name, options_text)]
    recorded = _input(file)
    request = None if request_text is None else telegrams.telegram(request_text)
    _print(decoders, recorded, way, request, envelope, explain=explain)


def _words(words: tuple[str, ...], *, configured: bool) -> tuple[str, str]:
    given = ("", *words) if configured else words
    if not given:
        raise click.UsageError(f"give a driver ({', '.join(family_names())}), --counter or --link")
    if len(given) > 2:
        raise click.UsageError(f"one FILE, not {len(given) - 1}")
    return given[0], given[1] if len(given) == 2 else "-"


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--at: {text!r} is not an RFC 3339 time") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _headers(given: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for text in given:
        key, colon, value = text.partition(":")
        if not colon:
            raise click.UsageError(f"--header: {text!r} is not 'Name: value'")
        headers[key.strip()] = value.strip()
    return headers


def _input(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from None


def _bare(name: str, options_text: str | None) -> Decoder:
    try:
        family = load_family(name)
    except (UnknownDriver, BrokenDriver) as error:
        raise click.UsageError(str(error)) from None
    given = {} if options_text is None else _options(options_text)
    try:
        device = _device(family, given)
        return Decoder(family, device, family.open(device))
    except ConfigurationError as error:
        raise click.UsageError("\n".join(f"options.{problem}" for problem in error.problems)) from None


def _options(text: str) -> dict[str, Any]:
    try:
        if text.startswith("@"):
            return tomllib.loads(Path(text[1:]).read_text(encoding="utf-8"))
        given = json.loads(text)
    except OSError as error:
        raise click.UsageError(f"--options: {text[1:]}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--options: {error}") from None
    if not isinstance(given, dict):
        raise click.UsageError("--options: not a JSON object")
    return given


def _keys(model: type[BaseModel]) -> set[str]:
    return {name for key, value in model.model_fields.items() for name in (key, value.alias or key)}


def _device(family: Family, given: Mapping[str, Any]) -> Device:
    """As in a [counter] table: the main line's keys may stand beside the device's."""
    of_line = _keys(family.line_options) - _keys(family.options)
    lines = _line_tables(given.get("lines", {}))
    main = {key: value for key, value in given.items() if key in of_line}
    if main:
        lines.setdefault(MAIN_LINE, {}).update(main)
    own = {key: value for key, value in given.items() if key not in of_line and key != "lines"}
    options: Options = _validated(family.options, own, of_line, "options")
    return Device(
        options,
        {
            name: _validated(family.line_options, table, (), "options.lines." + name)
            for name, table in lines.items()
        },
    )


def _line_tables(given: object) -> dict[str, dict[str, Any]]:
    if not isinstance(given, dict) or not all(isinstance(table, dict) for table in given.values()):
        raise click.UsageError("options.lines: must be a table of lines")
    return {name: dict(table) for name, table in given.items()}


def _validated(model: type[T], table: Mapping[str, Any], known: Iterable[str], where: str) -> T:
    from gateway.config.wording import sentences

    try:
        return model.model_validate(table)
    except ValidationError as error:
        found = sentences(model, error, known)
        raise click.UsageError(
            "\n".join(f"{'.'.join((where, *key))}: {words}" for key, words in found)
        ) from None


def _configured(path: Path, counter: str | None, link: str | None, topic: str) -> list[Decoder]:
    from gateway.commands.configured import decoders

    try:
        return list(decoders(path, counter, link, topic))
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(2)


def _print(
    decoders: list[Decoder],
    recorded: bytes,
    way: str,
    request: bytes | None,
    envelope: Envelope,
    *,
    explain: bool,
) -> None:
    """Of several decoders on a link only those that understand speak, if any does."""
    if way == "transcript" and recorded.strip() and not telegrams.transcript(recorded):
        click.echo(NO_TRANSCRIPT, err=True)
    heard = [
        [
            resolved
            for item in _decode(decoder, recorded, way, request, envelope, explain=explain)
            for resolved in decoder.resolve(_undated(item, envelope.at_ms))
        ]
        for decoder in decoders
    ]
    understood = [items for items in heard if any(not isinstance(item, Damaged | Ignored) for item in items)]
    for item in chain.from_iterable(understood or heard[:1]):
        click.echo(to_line(item, envelope.at_ms).encode("utf-8", "backslashreplace"))


def _undated(item: Item, at_ms: int | None) -> Item:
    """Without --at there is no time of receipt to stamp an answer with."""
    if at_ms is None and getattr(item, "at_ms", None) == 0:
        return cast("Item", replace(cast("Any", item), at_ms=None))
    return item


def _decode(
    decoder: Decoder, recorded: bytes, way: str, request: bytes | None, envelope: Envelope, *, explain: bool
) -> Iterator[Item]:
    kind, driver = decoder.family.kind, decoder.driver
    if kind is Kind.EXCHANGE:
        yield from _exchange(cast("Exchange", driver), recorded, way, request, envelope.at_ms or 0)
    elif kind is Kind.STREAM:
        yield from _stream(cast("Stream", driver), recorded, way, envelope.at_ms or 0)
    else:
        for payload in _payloads(recorded, way):
            message = envelope.message(payload)
            if explain:
                _explain(decoder, message)
            yield from cast("Messages", driver).decode(message)


def _payloads(recorded: bytes, way: str) -> list[bytes]:
    if way == "transcript":
        return [said.data for said in telegrams.transcript(recorded) if said.side == "device"]
    try:
        return telegrams.payloads(recorded, way)
    except ValueError as error:
        raise click.UsageError(f"--as {way}: {error}") from None


def _stream(driver: Stream, recorded: bytes, way: str, at_ms: int) -> Iterator[Item]:
    if way == "transcript":
        for said in telegrams.transcript(recorded):
            yield from driver.feed(said.data, at_ms, said.side)
    else:
        for payload in _payloads(recorded, way):
            yield from driver.feed(payload, at_ms)


def _exchange(
    driver: Exchange, recorded: bytes, way: str, request: bytes | None, at_ms: int
) -> Iterator[Item]:
    if way == "transcript":
        for asked, answer in telegrams.pairs(telegrams.transcript(recorded)):
            yield from driver.answer(asked, Response(answer, at_ms))
        return
    heard = [
        item
        for payload in _payloads(recorded, way)
        for item in driver.answer(request or b"", Response(payload or None, at_ms))
    ]
    if request is None and all(isinstance(item, Ignored) for item in heard):  # it does not name itself
        click.echo(NEEDS_REQUEST, err=True)
        heard = [Ignored("an answer without its question")]
    yield from heard


def _explain(decoder: Decoder, message: Message) -> None:
    if decoder.family.explain is None:
        click.echo(f"{decoder.family.name} has nothing to explain", err=True)
        return
    for path, value, used in decoder.family.explain(decoder.device, message):
        line = f"{path} = {value}" if used else f"{path} = {value}  (unused)"
        click.echo(line.encode("utf-8", "backslashreplace"), err=True)
