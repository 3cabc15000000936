"""Decoders of a configured counter or link: the roster gives items their configured ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from gateway.commands.decoder import Decoder
from gateway.config import Config, load
from gateway.errors import ConfigurationError
from gateway.model import Booking, Ignored, Item, Transactions
from gateway.roster import Roster, Source, topic_fits


def decoders(path: Path, counter: str | None, link: str | None, topic: str) -> Iterator[Decoder]:
    """One for each decoder instance that would hear the input. Raises ConfigurationError."""
    config = load(path)
    roster = Roster(config)
    for source in roster.sources(_link_of(config, counter, link)):
        if counter is not None and counter not in source.counters:
            continue
        if topic and source.topics and not any(topic_fits(one, topic) for one in source.topics):
            continue
        resolve = partial(_resolved, roster, source, counter, topic)
        yield Decoder(source.family, source.device, source.driver, resolve)


def _link_of(config: Config, counter: str | None, link: str | None) -> str:
    if link is not None:
        if link not in config.link:
            raise ConfigurationError(
                [f"there is no link {link!r}; there is {', '.join(config.link) or 'none'}"]
            )
        return link
    member = config.counter.get(counter or "") or config.till.get(counter or "")
    if member is None:
        known = ", ".join([*config.counter, *config.till]) or "none"
        raise ConfigurationError([f"there is no counter or till {counter!r}; there is {known}"])
    return member.link


def _resolved(roster: Roster, source: Source, counter: str | None, topic: str, item: Item) -> Iterator[Item]:
    """The item under its configured names, once for each line that it counts for."""
    found = roster.resolve(source, [item], topic)
    named = [(booking.counter, _named(booking)) for booking in found.bookings + found.unwatched]
    named += [(name, replace(status, counter=name)) for name, status in found.statuses]
    yield from (known for name, known in named if counter in (None, name))
    yield from found.damaged
    yield from found.ignored
    if not named and not found.damaged and not found.ignored:
        yield Ignored("not a configured counter and line")


def _named(booking: Booking) -> Item:
    if isinstance(booking.reading, Transactions):
        return replace(booking.reading, till=booking.counter)
    return replace(booking.reading, counter=booking.counter, line=booking.line)
