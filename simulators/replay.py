"""`counter-simulator replay`: recorded counts and receipts, told again by devices that might have made them.

Over MQTT everything is device-stamped and comes late, in any order and partly twice, as after a long outage;
registers can also be read over RS-485 from modules on a pseudo-terminal whose totals follow the file. The
truth is the sums of the file; for registers those of the written rules.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import TypeVar

import click

from simulators.oracle import Booked, book, share
from simulators.publisher import Publisher
from simulators.recorded import DATASETS, Delta, Recording, Sold, Total, load
from simulators.timing import rfc3339
from simulators.truth import FACTS, Truth, Zone

ROWS = 20  # in one message
REPEATED = 0.05  # share of messages that come twice
DAY_MS = 86_400_000
DCON_MODULUS = 1 << 32
BUS_MODULES = 120  # at most, on one bus
Told = TypeVar("Told", Delta, Total, Sold)

MAPPINGS = """
[mapping.deltas]
[[mapping.deltas.reading]]
rows = "rows[*]"
counter = "$.device"
start = "start"
end = "end"
ins = "in"
outs = "out"
[mapping.totals]
[[mapping.totals.reading]]
rows = "rows[*]"
counter = "$.device"
at = "at"
total_in = "in"
total_out = "out"
[mapping.receipts]
[[mapping.receipts.reading]]
rows = "rows[*]"
till = "$.device"
at = "at"
sales = "=1"
amount_minor = "amount_minor"
key = "number"
"""


def zones_of(recording: Recording) -> dict[str, Zone]:
    """One zone for every device, named like it."""
    zones = {name: Zone("area", entrances=(name,)) for name in (*recording.deltas, *recording.totals)}
    return zones | {f"store-{till}": Zone("store", tills=(till,)) for till in recording.receipts}


def registers(
    recording: Recording, name: str, *, max_per_s: float = 5.0, modulus: int | None = None
) -> tuple[Booked, Booked]:
    """What the ins and the outs of one device's registers come to by the rules."""
    told, down = sorted(recording.totals[name], key=lambda total: total.at_ms), name in recording.down
    return (
        book([(t.at_ms, t.total_in) for t in told], max_per_s=max_per_s, modulus=modulus, down=down),
        book([(t.at_ms, t.total_out) for t in told], max_per_s=max_per_s, modulus=modulus, down=down),
    )


def truth_of(recording: Recording) -> Truth:
    """Per zone and window: the file's own intervals and receipts; registers shared out by the rules."""
    truth = Truth(zones_of(recording), recording.size_s)
    for name, deltas in recording.deltas.items():
        for delta in deltas:
            truth.cross(name, delta.start_ms, "in", delta.ins)
            truth.cross(name, delta.start_ms, "out", delta.outs)
    for name in recording.totals:
        ins, outs = registers(recording, name)
        for start_ms, persons in _shares(ins, recording.size_s):
            truth.cross(name, start_ms, "in", persons)
        for start_ms, persons in _shares(outs, recording.size_s):
            truth.cross(name, start_ms, "out", persons)
    for till, receipts in recording.receipts.items():
        for sold in receipts:
            truth.sell(till, sold.at_ms, sold.amount_minor)
    return truth


def _shares(booked: Booked, size_s: int) -> Iterator[tuple[int, int]]:
    for start_ms, end_ms, persons in booked.spans:
        yield from share(persons, start_ms, end_ms, size_s * 1000).items()


def messages(recording: Recording, seed: int) -> list[tuple[str, bytes]]:
    """Topic and payload of everything, some of it twice. Registers keep their order; the rest has none."""
    chance = random.Random(seed)
    loose = [_message(name, rows) for name, told in recording.deltas.items() for rows in _cut(told)]
    loose += [_message(till, rows) for till, told in recording.receipts.items() for rows in _cut(told)]
    loose += chance.sample(loose, ceil(len(loose) * REPEATED))
    chance.shuffle(loose)
    for name, told in recording.totals.items():
        for rows in _cut(told):
            loose += [_message(name, rows)] * (2 if chance.random() < REPEATED else 1)
    return loose


def _cut(told: Sequence[Told]) -> Iterator[Sequence[Told]]:
    for first in range(0, len(told), ROWS):
        yield told[first : first + ROWS]


def _message(device: str, rows: Sequence[Delta | Total | Sold]) -> tuple[str, bytes]:
    body = {"device": device, "rows": [_row(row) for row in rows]}
    return f"recorded/{device}", json.dumps(body).encode()


def _row(row: Delta | Total | Sold) -> dict[str, object]:
    if isinstance(row, Delta):
        return {"start": rfc3339(row.start_ms), "end": rfc3339(row.end_ms), "in": row.ins, "out": row.outs}
    if isinstance(row, Total):
        return {"at": rfc3339(row.at_ms), "in": row.total_in, "out": row.total_out}
    return {"at": rfc3339(row.at_ms), "number": row.number, "amount_minor": row.amount_minor}


def start_of(recording: Recording) -> str:
    """When a daemon's simulated clock should start: a day after the file's last instant."""
    return rfc3339(recording.last_ms - recording.last_ms % DAY_MS + 2 * DAY_MS)


def configuration(
    recording: Recording, *, broker: str, office: str, data_dir: Path, bus: Path | None = None, listen: str
) -> str:
    """A gateway.toml that reads this recording; registers over `bus` when it is given."""
    host, _, port = broker.partition(":")
    size_s = 60 if bus else recording.size_s  # polled registers count now, not when the file was written
    lines = [
        f'[gateway]\nid = "replay"\ndata_dir = "{data_dir}"',
        f'[site]\nid = "{recording.name.replace("_", "-")}"\ntimezone = "{recording.timezone}"',
        f'currency = "{recording.currency}"',
        f"[windows]\nsize_s = {size_s}\nallowed_lateness_s = 1",
        f'readings_days = 400\nretention_days = 800\n[http]\nlisten = "{listen}"\n[link]',
    ]
    if bus:
        lines.append(f'bus = {{ over = "serial", options = {{ port = "{bus}", poll_s = 0.2 }} }}')
    else:
        lines.append(
            f'broker = {{ over = "mqtt", options = {{ host = "{host}", port = {port}, version = "3.1.1" }} }}'
        )
    lines += ["[counter]", *_counters(recording, bus), "[till]"]
    lines += [
        f'{till} = {{ {_mapped("receipts", till)}, match = {{ till = "{till}" }} }}'
        for till in recording.receipts
    ]
    lines += ["[zone]", *(_zone(name, zone) for name, zone in zones_of(recording).items()), MAPPINGS]
    lines.append(f'[upstream.office]\ndriver = "http"\noptions = {{ url = "{office}" }}\n')
    return "\n".join(lines)


def _counters(recording: Recording, bus: Path | None) -> Iterator[str]:
    for name in recording.deltas:
        yield f'{name} = {{ {_mapped("deltas", name)}, match = {{ counter = "{name}" }} }}'
    for number, name in enumerate(recording.totals, 1):
        extra = ', counts = "down"' if name in recording.down else ""
        if bus:
            module = (
                f'link = "bus", driver = "dcon", address = "{number:02X}", in = 0, out = 1, max_per_s = 0'
            )
            yield f"{name} = {{ {module}{extra} }}"
        else:
            yield f'{name} = {{ {_mapped("totals", name)}, match = {{ counter = "{name}" }}{extra} }}'


def _mapped(mapping: str, device: str) -> str:
    return f'link = "broker", driver = "mapping", mapping = "{mapping}", topic = "recorded/{device}"'


def _zone(name: str, zone: Zone) -> str:
    members = (
        f"entrances = {json.dumps(zone.entrances)}" if zone.entrances else f"tills = {json.dumps(zone.tills)}"
    )
    return f'{name} = {{ kind = "{zone.kind}", {members} }}'


def publish(recording: Recording, broker: str, seed: int) -> int:
    """Everything, acknowledged by the broker. Gives the number of messages."""
    host, _, port = broker.partition(":")
    told = messages(recording, seed)
    with Publisher(host, int(port or 1883)) as publisher:
        for topic, payload in told:
            publisher.publish(topic, payload)
    return len(told)


def play_registers(recording: Recording, folder: Path, patience_s: float = 120.0) -> Iterator[Path]:
    """Yields the port once; then lets every module follow the file, a step each time it has been read.

    Raises TimeoutError when nobody reads for `patience_s`.
    """
    from simulators.ports import Ports

    places = {name: ("bus", f"{number:02X}", 0, 1) for number, name in enumerate(recording.totals, 1)}
    with Ports(folder, places.values()) as ports:
        bus = ports.bus("bus")
        for name, place in places.items():
            bus.show(place[1], *_totals(recording.totals[name][0]))
        yield ports.paths["bus"]
        steps = {name: list(told) for name, told in recording.totals.items()}
        deadline = time.monotonic() + patience_s
        while steps:
            for name in [name for name in steps if bus.known(places[name][1])]:
                deadline = time.monotonic() + patience_s
                if steps[name]:
                    bus.show(places[name][1], *_totals(steps[name].pop(0)))
                else:
                    del steps[name]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(steps)} modules are not read any more")
            time.sleep(0.01)


def _totals(total: Total) -> tuple[int, int]:
    return total.total_in, total.total_out


def explain(recording: Recording) -> Iterator[str]:
    """The file's sums, and each register's exceptions by kind."""
    truth = truth_of(recording)
    for zone, facts in truth.totals().items():
        counted = ", ".join(f"{fact} {facts[fact]}" for fact in FACTS if facts[fact])
        yield f"{zone}: {counted or 'nothing'}"
    for name in recording.totals:
        for side, booked in zip(("in", "out"), registers(recording, name), strict=True):
            for kind, persons in booked.exceptions.items():
                yield f"{name}, {side}: {kind} {persons}, not counted"


@click.command()
@click.argument("dataset", type=click.Choice(list(DATASETS)))
@click.option("--whole", is_flag=True, help="The whole file (folder in COUNTER_DATA) instead of the excerpt.")
@click.option("--broker", default="127.0.0.1:1883", show_default=True, metavar="HOST:PORT")
@click.option("--bus", is_flag=True, help="Registers as modules on a pseudo-terminal instead of MQTT.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(), help="Where the port appears.")
@click.option("--seed", default=1, show_default=True, help="Order and repetitions of the messages.")
@click.option("--truth", type=click.Path(path_type=Path), help="Write the expected sums.")
@click.option("--config", type=click.Path(path_type=Path), help="Write a configuration that reads this.")
@click.option("--office", default="http://127.0.0.1:8090/events", show_default=True, help="Used by --config.")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="Used by --config.")
@click.option("--dry", is_flag=True, help="Only write and explain; send nothing.")
def command(
    dataset: str,
    whole: bool,
    broker: str,
    bus: bool,
    folder: Path,
    seed: int,
    truth: Path | None,
    config: Path | None,
    office: str,
    listen: str,
    dry: bool,
) -> None:
    """Play a recorded data set through a running gateway."""
    try:
        recording = load(dataset, whole=whole)
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from None
    if bus and not recording.totals:
        raise click.UsageError(f"{dataset} has no registers; --bus is for mta_turnstile")
    if truth:
        truth_of(recording).write(truth)
    if config:
        port = folder / "bus" if bus else None
        text = configuration(
            recording, broker=broker, office=office, data_dir=config.parent / "data", bus=port, listen=listen
        )
        config.write_text(text)
        click.echo(f"counter-gateway run -c {config} --simulated-clock {start_of(recording)},10")
    click.echo("\n".join(explain(recording)))
    if not dry:
        _play(recording, broker, folder if bus else None, seed)


def _play(recording: Recording, broker: str, folder: Path | None, seed: int) -> None:
    if folder is None:
        click.echo(f"{publish(recording, broker, seed)} messages, all acknowledged by the broker")
        return
    for port in play_registers(recording, folder):
        click.echo(f"modules at {port}")
    click.echo("every reading of the file was asked for")
