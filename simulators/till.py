"""`counter-simulator till`: tills that report receipts over MQTT, one by one or summed, as files, by webhook.

One sale: `{"till":…, "receipt":…, "at":…, "sales":1, "returns":0, "amount":129.5, "currency":"NOK"}` on
`tills/<till>/receipt`. An interval: `from`, `to` instead of `receipt`, `at`, on `tills/<till>/interval`.
A file: one row a till, semicolons, cp1252, decimal commas and blanks between thousands, local time.
"""

from __future__ import annotations

import json
import math
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import click

from simulators.mqtt import busy, poisson
from simulators.publisher import Publisher
from simulators.receipts import Receipt, put
from simulators.saft import Exported
from simulators.timing import Clock, rfc3339
from simulators.truth import Truth, Zone
from simulators.webhooks import STYLES, Hooked

BUSIEST_PER_HOUR = 60.0
RETURNED_SHARE = 0.03


def receipt_message(one: Receipt, currency: str) -> bytes:
    return _json(
        till=one.till,
        receipt=one.number,
        at=rfc3339(one.at_ms),
        sales=int(not one.returned),
        returns=int(one.returned),
        amount=one.amount_minor / 100,
        currency=currency,
    )


def interval_message(
    till: str, start_ms: int, end_ms: int, receipts: Sequence[Receipt], currency: str
) -> bytes:
    """What one till took in `[start, end)`; sent for an empty interval too."""
    return _json(
        till=till,
        **{"from": rfc3339(start_ms), "to": rfc3339(end_ms)},
        sales=sum(not one.returned for one in receipts),
        returns=sum(one.returned for one in receipts),
        amount=sum(one.amount_minor for one in receipts) / 100,
        currency=currency,
    )


def interval_file(rows: Sequence[tuple[str, int, int, int]], start_ms: int, zone: ZoneInfo) -> bytes:
    """What tills (name, sales, returns, minor units) took from `start_ms` on."""
    local = datetime.fromtimestamp(start_ms / 1000, zone).strftime("%d.%m.%Y %H:%M")
    lines = ["Kasse;Fra;Kvitteringer;Returer;Omsetning"]
    for till, sales, returns, minor in rows:
        whole = f"{minor // 100:,}".replace(",", "\u00a0")
        lines.append(f"{till};{local};{sales};{returns};{whole},{minor % 100:02}")
    return "".join(f"{line}\r\n" for line in lines).encode("cp1252")


def _json(**body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def receipts_between(seed: int, till: str, start_ms: int, end_ms: int) -> Iterator[Receipt]:
    """The sales of one till in `[start, end)`, in order of time."""
    source = random.Random(f"{seed}/{till}/{start_ms}/{end_ms}")
    count = poisson(source, BUSIEST_PER_HOUR * busy(start_ms) * (end_ms - start_ms) / 3_600_000)
    for number, at_ms in enumerate(
        sorted(source.sample(range(start_ms, end_ms), min(count, end_ms - start_ms)))
    ):
        returned = source.random() < RETURNED_SHARE
        amount_minor = 0 if returned else 50 * round(source.lognormvariate(6.0, 0.8))
        yield Receipt(till, f"{till}-{start_ms}-{number}", at_ms, amount_minor, returned)


class Way(Protocol):
    """How a till reports what it took in `[start, end)`; `done` says in words how much went that way."""

    def report(self, till: str, start_ms: int, end_ms: int, receipts: Sequence[Receipt]) -> None: ...
    def done(self) -> str: ...


@dataclass(slots=True)
class Posted:
    """Over MQTT; `each`: every receipt by itself, not summed."""

    publisher: Publisher
    seed: int
    currency: str
    each: bool
    duplicates: float

    def report(self, till: str, start_ms: int, end_ms: int, receipts: Sequence[Receipt]) -> None:
        if self.each:
            for one in receipts:
                self._send(f"tills/{till}/receipt", receipt_message(one, self.currency), one.number)
        else:
            payload = interval_message(till, start_ms, end_ms, receipts, self.currency)
            self._send(f"tills/{till}/interval", payload, f"{till}-{start_ms}")

    def done(self) -> str:
        self.publisher.flush()
        return f"{self.publisher.acknowledged} messages acknowledged"

    def _send(self, topic: str, payload: bytes, number: str) -> None:
        twice = random.Random(f"{self.seed}/{number}").random() < self.duplicates
        for _ in range(1 + twice):
            self.publisher.publish(topic, payload)


@dataclass(slots=True)
class Filed:
    """As a file for each till and interval."""

    folder: Path
    zone: ZoneInfo
    written: int = 0

    def report(self, till: str, start_ms: int, end_ms: int, receipts: Sequence[Receipt]) -> None:  # noqa: ARG002
        returned = sum(one.returned for one in receipts)
        minor = sum(one.amount_minor for one in receipts)
        content = interval_file([(till, len(receipts) - returned, returned, minor)], start_ms, self.zone)
        put(self.folder, f"{till}-{start_ms}.csv", content)
        self.written += 1

    def done(self) -> str:
        return f"{self.written} files written"


@dataclass(slots=True)
class Tills:
    names: Sequence[str]
    seed: int
    way: Way
    truth: Truth

    def step(self, till: str, start_ms: int, end_ms: int) -> None:
        receipts = list(receipts_between(self.seed, till, start_ms, end_ms))
        for one in receipts:
            self.truth.sell(
                till, one.at_ms, one.amount_minor, sales=int(not one.returned), returns=int(one.returned)
            )
        self.way.report(till, start_ms, end_ms, receipts)


def sell(tills: Tills, clock: Clock, step_ms: int, end_ms: float) -> None:
    """Each till reports once a step, after it, from the step now running on."""
    now_ms = clock.now_ms()
    start_ms = now_ms - now_ms % step_ms
    while start_ms + step_ms <= end_ms:
        clock.sleep(max(0, start_ms + step_ms - clock.now_ms()) / 1000)
        for till in tills.names:
            tills.step(till, start_ms, start_ms + step_ms)
        start_ms += step_ms


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command is told."""

    host: str
    port: int
    username: str | None
    password: str | None
    count: int
    each: bool
    folder: Path | None
    saft: bool
    webhooks: str | None
    url: str
    signed_url: str
    key: str
    trouble: float
    timezone: str
    interval_s: float
    currency: str
    duplicates: float
    seed: int
    for_s: float
    truth_file: Path | None
    size_s: int
    simulated_clock: str | None

    def way(self, stack: ExitStack) -> Way:
        if self.webhooks:
            style = STYLES[self.webhooks](self.currency)
            return Hooked(self.url, style, self.key, self.seed, self.signed_url, self.trouble)
        if self.folder and self.saft:
            return Exported(self.folder, ZoneInfo(self.timezone), self.currency, self.seed)
        if self.folder:
            return Filed(self.folder, ZoneInfo(self.timezone))
        way = Publisher(self.host, self.port, username=self.username, password=self.password)
        publisher = stack.enter_context(way)
        return Posted(publisher, self.seed, self.currency, self.each, self.duplicates)


@click.command("till")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=1883, show_default=True)
@click.option("--username")
@click.option("--password")
@click.option("--tills", "count", default=2, show_default=True)
@click.option(
    "--each/--summed", default=True, show_default=True, help="Single receipts or sums per interval."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="As files in here instead: sums as CSV, or SAF-T.",
)
@click.option("--saft", is_flag=True, help="Files of SAF-T Cash Register, with every receipt of the day.")
@click.option("--webhooks", type=click.Choice(sorted(STYLES)), help="Each sale by webhook, in this style.")
@click.option("--url", default="http://127.0.0.1:8081/push/shop", show_default=True, help="Of the webhooks.")
@click.option("--signed-url", default="", help="The address as the maker knows it; default: --url.")
@click.option("--key", default="", help="That signs the webhooks.")
@click.option("--trouble", default=0.0, help="Share of webhooks that come twice, late, forged, ...; 0 to 1.")
@click.option("--timezone", default="Europe/Oslo", show_default=True, help="Of the stamps in files.")
@click.option("--interval", "interval_s", default=60.0, show_default=True, help="Seconds between reports.")
@click.option("--currency", default="NOK", show_default=True)
@click.option("--duplicates", default=0.0, help="Share of messages sent twice.")
@click.option("--seed", default=1, show_default=True)
@click.option("--for", "for_s", default=math.inf, help="Seconds to run; default: until interrupted.")
@click.option("--truth", "truth_file", type=click.Path(path_type=Path), help="Write what was sold.")
@click.option("--size", "size_s", default=900, show_default=True, help="Seconds in a window of the truth.")
@click.option("--simulated-clock", help="START,SPEED[,ANCHOR] as told to the gateway.")
def command(**options: Any) -> None:
    """Tills that report receipts."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the truth is written then, too
    plan = Plan(**options)
    clock = Clock(plan.simulated_clock)
    names = [f"pos-{number + 1}" for number in range(plan.count)]
    truth = Truth({name: Zone("store", tills=(name,)) for name in names}, plan.size_s)
    with ExitStack() as stack:
        tills = Tills(names, plan.seed, plan.way(stack), truth)
        step_ms = max(1000, round(plan.interval_s * 1000))
        try:
            sell(tills, clock, step_ms, clock.now_ms() + plan.for_s * 1000)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
        told = tills.way.done()
        if plan.truth_file:
            truth.write(plan.truth_file)
    click.echo(told, err=True)
