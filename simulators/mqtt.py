"""`counter-simulator mqtt`: counters that push what they counted to a broker, with the troubles of real ones.

Xovis 5.x logics packages on `xovis/<counter>/push` and plain JSON on `counters/<counter>`; other makes have a
`Voice` in a module of their own. What a counter saw
in an interval depends only on seed, counter and interval, so history sent again is the same history.
"""

from __future__ import annotations

import json
import math
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import click

from simulators.publisher import Publisher
from simulators.timing import Clock, rfc3339
from simulators.truth import Truth, Zone

__all__ = ["Publisher", "command", "connection_test", "json_message", "xovis_package"]

AGENT_ID = 1008
LINE = "Line 0"
HISTORY_RECORDS = 60  # records in one package of stored history
BUSIEST_PER_HOUR = 240.0
Record: TypeAlias = tuple[int, int, int, int]  # start_ms, end_ms, forward, backward


def xovis_package(logics: Mapping[str, Sequence[Record]], package_id: int, agent_id: int = AGENT_ID) -> bytes:
    """A logics package: line name → records of (from, to, fw, bw)."""
    body = [
        {
            "id": number,
            "name": name,
            "info": "XLT_4X_LINE_IN_OUT_COUNT",
            "geometries": [{"id": number, "type": "LINE", "name": name}],
            "records": [
                {
                    "from": start_ms,
                    "to": end_ms,
                    "counts": [
                        {"id": 2 * number, "name": "fw", "value": forward},
                        {"id": 2 * number + 1, "name": "bw", "value": backward},
                    ],
                }
                for start_ms, end_ms, forward, backward in records
            ],
        }
        for number, (name, records) in enumerate(logics.items(), 1)
    ]
    return _json({"logics_data": {"package_info": _info(package_id, agent_id), "logics": body}})


def connection_test(package_id: int, agent_id: int = AGENT_ID) -> bytes:
    """What a sensor sends when somebody presses the button; not a count."""
    return _json({"connection_test": {"package_info": _info(package_id, agent_id)}})


def json_message(counter: str, records: Sequence[Record]) -> bytes:
    """`{"sensor":…, "rows":[{"from":…, "to":…, "in":…, "out":…}]}`, times in RFC 3339."""
    rows = [
        {"from": rfc3339(start_ms), "to": rfc3339(end_ms), "in": forward, "out": backward}
        for start_ms, end_ms, forward, backward in records
    ]
    return _json({"sensor": counter, "rows": rows})


def _info(package_id: int, agent_id: int) -> dict[str, object]:
    return {"version": "5.0", "id": package_id, "agent_id": agent_id}


def _json(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def poisson(source: random.Random, mean: float) -> int:
    """Arrivals of a Poisson process with `mean` expected, counted by their exponential gaps."""
    count, at = -1, 0.0
    while at < mean:
        at += source.expovariate(1.0)
        count += 1
    return max(count, 0)


def busy(at_ms: int) -> float:
    """Share of the busiest hour: a hill over the day, from 9 to 21 UTC."""
    hour = at_ms / 3_600_000 % 24
    return max(0.02, math.sin(math.pi * (hour - 9) / 12)) if 9 <= hour <= 21 else 0.02


class Voice(Protocol):
    """How one counter of a make speaks; made of the counter's name. `content_type`: over HTTP."""

    content_type: str

    def topic(self) -> str: ...
    def tell(self, package: int, records: Sequence[Record]) -> bytes: ...
    def test(self, package: int) -> bytes:
        """What it sends when somebody presses the button, or when nothing happens; not a count."""


@dataclass(slots=True)
class XovisVoice:
    name: str
    content_type: str = "application/json"

    def topic(self) -> str:
        return f"xovis/{self.name}/push"

    def tell(self, package: int, records: Sequence[Record]) -> bytes:
        return xovis_package({LINE: records}, package)

    def test(self, package: int) -> bytes:
        return connection_test(package)


@dataclass(slots=True)
class JsonVoice:
    name: str
    content_type: str = "application/json"

    def topic(self) -> str:
        return f"counters/{self.name}"

    def tell(self, package: int, records: Sequence[Record]) -> bytes:
        del package
        return json_message(self.name, records)

    def test(self, package: int) -> bytes:
        del package
        return b'{"test":true}'


VOICES = {  # make → module:class
    "xovis": "simulators.mqtt:XovisVoice",
    "json": "simulators.mqtt:JsonVoice",
    "axis": "simulators.axis:AxisVoice",
    "hikvision": "simulators.hikvision:HikvisionVoice",
    "milesight": "simulators.lorawan:Vs125Voice",
    "milesight-lora": "simulators.lorawan:Vs350Voice",
    "imbuildings": "simulators.lorawan:ImbuildingsVoice",
    "irisys": "simulators.irisys:IrisysVoice",
    "brickstream": "simulators.brickstream:BrickstreamVoice",
}
BY_TURNS = {"both": ("xovis", "json")}


def voice(kind: str, number: int, name: str) -> Voice:
    """That of the counter with this number."""
    makes = BY_TURNS.get(kind, (kind,))
    module, made = VOICES[makes[number % len(makes)]].split(":")
    speaking: Voice = getattr(import_module(module), made)(name)
    return speaking


@dataclass(slots=True)
class Counter:
    """One device: what it saw, how it says so, and the packages it holds back."""

    name: str
    seed: int
    voice: Voice
    trouble: float = 0.0
    packages: int = 0
    _last: Record | None = None
    _held: list[tuple[int, bytes]] = field(default_factory=list)
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed}/{self.name}/trouble")

    def saw(self, start_ms: int, end_ms: int) -> Record:
        source = random.Random(f"{self.seed}/{self.name}/{start_ms}/{end_ms}")
        mean = BUSIEST_PER_HOUR * busy(start_ms) * (end_ms - start_ms) / 3_600_000
        return start_ms, end_ms, poisson(source, mean), poisson(source, mean)

    def tell(self, records: Sequence[Record]) -> bytes:
        self.packages += 1
        return self.voice.tell(self.packages, records)

    def payloads(self, record: Record) -> Iterator[bytes]:
        """What goes out because of this record: itself, earlier ones, twice, in a wrong order, later."""
        overlapping = [self._last, record] if self._last and self._unlucky() else [record]
        payload, self._last = self.tell(overlapping), record
        self._held = [(wait - 1, held) for wait, held in self._held]
        if self._unlucky():
            self._held.append((self._chance.randint(1, 5), payload))
        else:
            yield payload
            if self._unlucky():
                yield payload
        if self._unlucky():
            yield self.voice.test(self.packages)
        yield from self.release(0)

    def release(self, most: int) -> Iterator[bytes]:
        """Packages held back that have at most `most` rounds to wait."""
        due = [held for wait, held in self._held if wait <= most]
        self._held = [(wait, held) for wait, held in self._held if wait > most]
        yield from due

    def _unlucky(self) -> bool:
        return self._chance.random() < self.trouble


class Sender(Protocol):
    """What carries payloads; `flush` returns when all of them are acknowledged."""

    def publish(self, topic: str, payload: bytes) -> None: ...
    def flush(self) -> None: ...


@dataclass(slots=True)
class Field:
    """All counters, step by step; adds to `truth` what was counted, once."""

    counters: Sequence[Counter]
    senders: Sequence[Sender]
    truth: Truth
    sent: int = 0

    def history(self, since_ms: int, until_ms: int, step_ms: int) -> None:
        """Stored records of the time before, many in a package, as after an outage."""
        for number, counter in enumerate(self.counters):
            records = [counter.saw(at, at + step_ms) for at in range(since_ms, until_ms, step_ms)]
            for record in records:
                self._count(counter, record)
            for at in range(0, len(records), HISTORY_RECORDS):
                self._send(number, counter.tell(records[at : at + HISTORY_RECORDS]))

    def step(self, number: int, start_ms: int, end_ms: int) -> None:
        counter = self.counters[number]
        record = counter.saw(start_ms, end_ms)
        self._count(counter, record)
        for payload in counter.payloads(record):
            self._send(number, payload)

    def finish(self) -> None:
        """Everything held back goes out; returns when it is acknowledged."""
        for number, counter in enumerate(self.counters):
            for payload in counter.release(1000):
                self._send(number, payload)
        for sender in self.senders:
            sender.flush()

    def _count(self, counter: Counter, record: Record) -> None:
        start_ms, _, forward, backward = record
        self.truth.cross(counter.name, start_ms, "in", forward)
        self.truth.cross(counter.name, start_ms, "out", backward)

    def _send(self, number: int, payload: bytes) -> None:
        self.senders[number % len(self.senders)].publish(self.counters[number].voice.topic(), payload)
        self.sent += 1


def live(around: Field, clock: Clock, start_ms: int, step_ms: int, end_ms: float) -> None:
    """Each counter speaks once a step, spread over it, from the step beginning at `start_ms` on."""
    while start_ms + step_ms <= end_ms:
        for number in range(len(around.counters)):
            due_ms = start_ms + step_ms + step_ms * number // len(around.counters)
            clock.sleep(max(0, due_ms - clock.now_ms()) / 1000)
            around.step(number, start_ms, start_ms + step_ms)
        start_ms += step_ms


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played, whatever carries it; the options of the same names."""

    clients: int
    kind: str
    seed: int
    interval_s: float
    rate: float
    for_s: float
    since: str | None
    trouble: float
    truth_file: Path | None
    size_s: int
    simulated_clock: str | None

    def counters(self) -> list[Counter]:
        names = [f"sim-{number + 1}" for number in range(self.clients)]
        return [
            Counter(name, self.seed, voice(self.kind, number, name), self.trouble)
            for number, name in enumerate(names)
        ]

    def play(self, counters: Sequence[Counter], senders: Sequence[Sender]) -> int:
        """Until it is over or interrupted, then the truth is written; the messages sent."""
        clock = Clock(self.simulated_clock)
        step_ms = max(1, round(self.clients / self.rate * 1000 if self.rate else self.interval_s * 1000))
        truth = Truth({one.name: Zone("area", entrances=(one.name,)) for one in counters}, self.size_s)
        around = Field(counters, senders, truth)
        now_ms = clock.now_ms()
        start_ms = now_ms - now_ms % step_ms
        if self.since:
            since_ms = int(datetime.fromisoformat(self.since).timestamp() * 1000)
            around.history(since_ms - since_ms % step_ms, start_ms, step_ms)
        try:
            live(around, clock, start_ms, step_ms, now_ms + self.for_s * 1000)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
        around.finish()
        if self.truth_file:
            truth.write(self.truth_file)
        return around.sent


OPTIONS = (
    click.option("--clients", default=4, show_default=True, help="Counters."),
    click.option(
        "--kind",
        type=click.Choice([*VOICES, *BY_TURNS]),
        default="both",
        show_default=True,
        help="How they speak; both: Xovis and JSON by turns.",
    ),
    click.option("--seed", default=1, show_default=True),
    click.option("--interval", "interval_s", default=60.0, show_default=True, help="Seconds in one record."),
    click.option("--rate", default=0.0, help="Messages a second over all counters; overrides --interval."),
    click.option("--for", "for_s", default=math.inf, help="Seconds to run; default: until interrupted."),
    click.option("--since", help="First send the stored records since this time (RFC 3339) again."),
    click.option(
        "--trouble", default=0.0, help="Share of packages late, double, overlapping, tests; 0 to 1."
    ),
    click.option("--truth", "truth_file", type=click.Path(path_type=Path), help="Write what was counted."),
    click.option(
        "--size", "size_s", default=900, show_default=True, help="Seconds in a window of the truth."
    ),
    click.option("--simulated-clock", help="START,SPEED[,ANCHOR] as told to the gateway."),
)


def plan_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a Plan."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command("mqtt")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=1883, show_default=True)
@click.option("--username")
@click.option("--password")
@plan_options
def command(host: str, port: int, username: str | None, password: str | None, **options: Any) -> None:
    """Counters that publish over MQTT."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the truth is written then, too
    plan = Plan(**options)
    began = time.monotonic()
    with ExitStack() as stack:
        publishers = [
            stack.enter_context(Publisher(host, port, username=username, password=password))
            for _ in range(min(plan.clients, 8))
        ]
        sent = plan.play(plan.counters(), publishers)
    click.echo(f"{sent} messages acknowledged in {time.monotonic() - began:.1f} s", err=True)
