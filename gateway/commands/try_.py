"""counter-gateway try: listen to the real devices without taking anything from the daemon."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.commands import EXIT_PROBLEM, EXIT_WRONG, config_option, load_or_exit

if TYPE_CHECKING:
    from gateway import config as configuration
    from gateway.links import Link
    from gateway.model import Booking, Item, Stamp, Status
    from gateway.roster import Resolved, Source
    from gateway.strangers import Strangers

LOOK_S = 0.1  # between two looks at the links
IN_USE = "in use by another program"
IN_FLIGHT = 20  # what brokers commonly send of MQTT 3.1.1 before they wait for an acknowledgement
HELD_BACK = "the broker may hold it back: {} messages before it were not acknowledged"
TOLD = 5  # kinds of messages told of one silent counter
REMEMBERED = 100  # of each counter: reasons may quote what came


@click.command()
@config_option
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Longest wait, seconds.",
)
def command(config_path: Path, seconds: float) -> None:
    """Connect to the real devices read-only and print each counter's and till's first reading.

    Nothing is stored, nothing acknowledged. Exit 1 if one stays silent or a port is in use.
    """
    config = load_or_exit(config_path)
    if not (config.counter or config.till):
        click.echo(f"{config_path}: no counter or till to try", err=True)
        sys.exit(EXIT_WRONG)
    problems = asyncio.run(_listen(config, seconds))
    if problems:
        click.echo("\n".join(problems), err=True)
        sys.exit(EXIT_PROBLEM)


@dataclass(slots=True)
class FirstReadings:
    """Prints each counter's and till's first reading; `silent` are those that have had none yet."""

    strangers: Strangers
    silent: set[str]
    say: Callable[[str], None] = click.echo
    statuses: dict[str, Status] = field(default_factory=dict)
    withheld: Counter[str] = field(default_factory=Counter)  # link → acknowledgements not given
    heard: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # no readings
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    def take(
        self, link: str, source: Source, resolved: Resolved, stamp: Stamp, topic: str, withheld: bool
    ) -> None:
        """What came, as the links' ingest tells it."""
        self.withheld[link] += withheld
        self.statuses.update(resolved.statuses)
        kinds = [f"damaged ({one.reason})" for one in resolved.damaged]
        kinds += [f"ignored ({one.reason})" for one in resolved.ignored]
        if kinds:
            self._note(kinds, [route.counter for route in source.hearing(topic)])
        for booking in resolved.bookings:
            if booking.counter in self.silent:
                self._first(booking, stamp)

    def _note(self, kinds: Iterable[str], counters: Iterable[str]) -> None:
        """What came for these counters and was no reading; bounded."""
        for heard in (self.heard[name] for name in counters if name in self.silent):
            heard.update(kind for kind in kinds if kind in heard or len(heard) < REMEMBERED)

    def came(self, counter: str, link: str) -> str:
        """What came instead of the counter's reading; "" if nothing did."""
        strangers = Counter(
            {
                f"of unknown device {one.device!r}, line {line!r}": one.times
                for one in self.strangers.of_link(link)
                for line in one.lines
            }
        )
        told = [f"{number} {kind}" for kind, number in (self.heard[counter] + strangers).most_common(TOLD)]
        return "heard: " + ", ".join(told) if told else ""

    def _first(self, booking: Booking, stamp: Stamp) -> None:
        from gateway.items import to_line

        self.silent.discard(booking.counter)
        self.say(to_line(_named(booking), stamp.wall_ms))
        if not self.silent:
            self.complete.set()


def _named(booking: Booking) -> Item:
    from gateway.model import Transactions

    if isinstance(booking.reading, Transactions):
        return replace(booking.reading, till=booking.counter)
    return replace(booking.reading, counter=booking.counter, line=booking.line)


async def _listen(config: configuration.Config, seconds: float) -> list[str]:
    """What is wrong after at most `seconds`, a sentence each."""
    from gateway.commands.listening import Listening, listening
    from gateway.roster import Roster
    from gateway.strangers import Strangers

    roster = Roster(config)
    strangers = Strangers(roster, {})
    first = FirstReadings(strangers, {*config.counter, *config.till})
    ingest = Listening(roster, strangers, first.take)
    async with listening(config, ingest, [name for name in config.link if roster.sources(name)]) as links:
        busy = await _until_complete(first, links, seconds)
        # taken before the goodbyes: a link that was stopped has no error to tell
        errors = {name: link.state.error for name, link in links.items()}
    return busy or [_silence(config, name, first, errors, seconds) for name in sorted(first.silent)]


async def _until_complete(first: FirstReadings, links: Mapping[str, Link], seconds: float) -> list[str]:
    """Waits for every first reading; the ports that another program has, as soon as there is one."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + seconds
    while not first.complete.is_set() and (left_s := ends_at - loop.time()) > 0:
        busy = [
            f"link {name}: {link.state.error}" for name, link in links.items() if IN_USE in link.state.error
        ]
        if busy:
            return busy
        with suppress(TimeoutError):
            await asyncio.wait_for(first.complete.wait(), min(LOOK_S, left_s))
    return []


def _silence(
    config: configuration.Config, name: str, first: FirstReadings, errors: Mapping[str, str], seconds: float
) -> str:
    link = (config.counter.get(name) or config.till[name]).link
    why, status, withheld = errors.get(link), first.statuses.get(name), first.withheld[link]
    if not why and status:
        why = f"it says {status.state} {status.detail}".rstrip()
    elif not why and withheld >= IN_FLIGHT and not first.heard[name]:
        why = HELD_BACK.format(withheld)
    told = "; ".join(part for part in (why, first.came(name, link)) if part)
    return f"{name}: no reading in {seconds:g} s on link {link}" + (f": {told}" if told else "")
