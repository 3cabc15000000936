"""Receipts by interval, late, in blocks and corrected, by push, MQTT and a folder: the books are the truth.

The last thing told of an interval is what counts; every window that it changes goes out again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from gateway import app, config
from simulators.publisher import Publisher
from simulators.receipts import put
from tests import patience
from tests.brokers import Mosquitto
from tests.daemon_rig import Ahead, push_url

until = partial(patience.until, look_s=0.03)
QUARTER, HOUR = 900_000, 3_600_000
OSLO = ZoneInfo("Europe/Oslo")
TOPIC = "tills/sums"
TEXT = """
[gateway]
data_dir = "data"
commit_interval_s = 0.02
[clock]
trust = "always"
[site]
id = "site"
timezone = "Europe/Oslo"
currency = "NOK"
[windows]
allowed_lateness_s = 0
[http]
listen = "127.0.0.1:0"
{link}
[mapping.json]
[[mapping.json.reading]]
rows = "rows[*]"
till = "till"
start = "from"
end = "to"
sales = "receipts"
returns = "returns"
amount = "turnover"
[mapping.csv]
format = {{ csv = {{ separator = ";", encoding = "cp1252", decimal = "," }} }}
time = {{ format = "%d.%m.%Y %H:%M", zone = "site", span_s = 900, label = "start" }}
[[mapping.csv.reading]]
till = "Kasse"
start = "Fra"
sales = "Kvitteringer"
returns = "Returer"
amount = "Omsetning"
[till]
pos-1 = {{ link = "tills", driver = "mapping", mapping = "{format}", match = {{ till = "1001" }}{topic} }}
pos-2 = {{ link = "tills", driver = "mapping", mapping = "{format}", match = {{ till = "1002" }}{topic} }}
[zone]
shop = {{ kind = "store", tills = ["pos-1", "pos-2"] }}
"""
LINKS = {
    "push": '[push]\nlisten = "127.0.0.1:0"\nallow = ["127.0.0.1"]\n'
    '[link]\ntills = {{ over = "push", options = {{ auth = "none" }} }}',
    "mqtt": '[link]\ntills = {{ over = "mqtt", options = {{ host = "127.0.0.1", port = {port} }} }}',
    "folder": '[link]\ntills = {{ over = "folder", options = {{ path = "{folder}", poll_s = 0.02 }} }}',
}
COUNTERS = {"1001": "pos-1", "1002": "pos-2"}
Send = Callable[[bytes], Any]


@dataclass(frozen=True)
class Row:
    till: str
    start_ms: int
    sales: int
    returns: int
    amount_minor: int


def as_json(rows: Sequence[Row]) -> bytes:
    def instant(at_ms: int) -> str:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()

    told = [
        {
            "till": int(row.till),
            "from": instant(row.start_ms),
            "to": instant(row.start_ms + QUARTER),
            "receipts": row.sales,
            "returns": row.returns,
            "turnover": row.amount_minor / 100,
        }
        for row in rows
    ]
    return json.dumps({"rows": told}).encode()


def as_csv(rows: Sequence[Row]) -> bytes:
    """Local time, a comma in the amount, a no-break blank between its thousands."""
    lines = ["Kasse;Fra;Kvitteringer;Returer;Omsetning;Kassør"]
    for row in rows:
        local = datetime.fromtimestamp(row.start_ms / 1000, OSLO)
        whole = f"{row.amount_minor // 100:,}".replace(",", "\u00a0")
        amount = f"{whole},{row.amount_minor % 100:02}"
        lines.append(f"{row.till};{local:%d.%m.%Y %H:%M};{row.sales};{row.returns};{amount};Å. B.")
    return "\r\n".join(lines).encode("cp1252")


WRITTEN = {"json": as_json, "csv": as_csv}


def day(from_ms: int) -> list[Row]:
    """Three hours of two tills; the third quarter sells nothing."""
    return [
        Row(
            till, from_ms + number * QUARTER, *((0, 0, 0) if number == 2 else (number + 1, number % 3, minor))
        )
        for number in range(12)
        for till, minor in (("1001", 129_900 + number), ("1002", 4_990 * number))
    ]


@asynccontextmanager
async def counting(
    folder: Path, way: str, form: str, port: int
) -> AsyncIterator[tuple[app.Gateway, Ahead, Send]]:
    """The daemon, its clock, and the tills' way to it: `Send` returns when the body was taken in."""
    files = folder / "files"
    files.mkdir()
    link = LINKS[way].format(port=port, folder=files)
    topic = f', topic = "{TOPIC}"' if way == "mqtt" else ""
    (folder / "gateway.toml").write_text(TEXT.format(link=link, format=form, topic=topic))
    clock = Ahead()
    async with AsyncExitStack() as stack:
        daemon = await stack.enter_async_context(app.gateway(config.load(folder / "gateway.toml"), clock))
        await until(lambda: daemon.links[0].state.up)
        if way == "folder":
            yield daemon, clock, partial(_put, files)
        elif way == "push":
            web = await stack.enter_async_context(aiohttp.ClientSession())
            yield daemon, clock, partial(_push, web, push_url(daemon), form)
        else:
            publisher = stack.enter_context(Publisher("127.0.0.1", port))
            yield daemon, clock, partial(_publish, publisher)


async def _put(folder: Path, body: bytes) -> None:
    put(folder, f"sums-{time.monotonic_ns()}.txt", body)
    await until(lambda: not [path for path in folder.iterdir() if path.is_file()])


async def _push(web: aiohttp.ClientSession, url: str, form: str, body: bytes) -> None:
    kind = {"json": "application/json", "csv": "text/csv"}[form]
    async with web.post(url, data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == 200


async def _publish(publisher: Publisher, body: bytes) -> None:
    publisher.publish(TOPIC, body)
    await asyncio.to_thread(publisher.flush)


def told(daemon: app.Gateway) -> set[Row]:
    tills = {counter: till for till, counter in COUNTERS.items()}
    return {
        Row(tills[row["counter"]], row["start_ms"], row["sales"], row["returns"], row["amount_minor"])
        for row in daemon.reader.readings(0, 1 << 60)
    }


def windows(daemon: app.Gateway, from_ms: int) -> dict[int, tuple[int, int, int]]:
    """What head office is to get: (sales, returns, minor units) by window."""
    rows = daemon.reader.aggregates("shop", from_ms, from_ms + 3 * HOUR, 900)
    return {row["start_ms"]: (row["sales"], row["returns"], row["amount_minor"]) for row in rows}


def summed(rows: Sequence[Row]) -> dict[int, tuple[int, int, int]]:
    sums: dict[int, tuple[int, int, int]] = {}
    for row in rows:
        old = sums.get(row.start_ms, (0, 0, 0))
        sums[row.start_ms] = (old[0] + row.sales, old[1] + row.returns, old[2] + row.amount_minor)
    return sums


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("way", LINKS)
async def test_late_in_blocks_twice_and_corrected(
    tmp_path: Path, mosquitto: Mosquitto, way: str, form: str
) -> None:
    write = WRITTEN[form]
    async with counting(tmp_path, way, form, mosquitto.port) as (daemon, clock, send):
        from_ms = (clock.wall_ms() // QUARTER + 1) * QUARTER
        rows = day(from_ms)
        blocks = [rows[at : at + 6] for at in range(0, len(rows), 6)]
        clock.ahead_ms += 5 * HOUR  # everything below is late: the windows are closed, and empty
        await until(lambda: len(windows(daemon, from_ms)) == 12)
        for block in (blocks[3], blocks[0], blocks[2], blocks[0], blocks[1]):
            await send(write(block))
        await until(lambda: told(daemon) == set(rows))
        await until(lambda: windows(daemon, from_ms) == summed(rows))
        rows[4] = replace(rows[4], sales=rows[4].sales + 3, amount_minor=rows[4].amount_minor + 30_000)
        rows[5] = replace(rows[5], sales=0, returns=0, amount_minor=0)
        await send(write(rows[0:6]))
        await until(lambda: told(daemon) == set(rows))
        clock.ahead_ms += 60_000  # a window is not restated each second
        await until(lambda: windows(daemon, from_ms) == summed(rows))
        assert daemon.reader.books().balanced
        ledger = {line.counter: line.refused for line in daemon.reader.lines()}
        assert ledger == {"pos-1": {}, "pos-2": {}}


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize("way", LINKS)
async def test_an_hour_that_comes_later_takes_the_place_of_its_quarters(
    tmp_path: Path, mosquitto: Mosquitto, way: str
) -> None:
    """And a quarter that comes behind its hour is refused: it is covered."""
    async with counting(tmp_path, way, "json", mosquitto.port) as (daemon, clock, send):
        from_ms = (clock.wall_ms() // HOUR + 1) * HOUR
        clock.ahead_ms += 5 * HOUR
        quarters = [Row("1001", from_ms + at, 2, 0, 1000) for at in range(0, HOUR, QUARTER)]
        await send(as_json(quarters))
        await until(lambda: told(daemon) == set(quarters))
        hour = json.loads(as_json([Row("1001", from_ms, 9, 1, 5000)]))
        hour["rows"][0]["to"] = datetime.fromtimestamp((from_ms + HOUR) / 1000, UTC).isoformat()
        await send(json.dumps(hour).encode())
        await until(lambda: told(daemon) == {Row("1001", from_ms, 9, 1, 5000)})
        await send(as_json(quarters[1:2]))
        await until(lambda: any(line.refused for line in daemon.reader.lines()))
        assert told(daemon) == {Row("1001", from_ms, 9, 1, 5000)}
        assert daemon.reader.books().balanced
