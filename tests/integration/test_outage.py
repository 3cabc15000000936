"""An adapter that was out, with the real store behind it: the books close the gap, no minute gets a spike."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway import app, config
from gateway.links import supervise
from gateway.links.supervise import Backoff
from gateway.store.plan import LineTotals
from simulators.bus import Bus
from simulators.dcon import Module
from tests.daemon_rig import Ahead
from tests.patience import until

MINUTE = 60_000
TEXT = """
[gateway]
data_dir = "data"
commit_interval_s = 0.02
[site]
id = "site"
timezone = "Europe/Oslo"
[windows]
size_s = 60
allowed_lateness_s = 0
[http]
listen = "127.0.0.1:0"
[link.bus]
over = "serial"
options = {{ port = "{port}", poll_s = 0.02, resets_on_open = {resets_on_open} }}
[counter]
door = {{ link = "bus", driver = "dcon", address = "01", in = 0, out = 1, max_per_s = 1000 }}
[zone]
shop = {{ kind = "store", entrances = ["door"] }}
"""


@contextlib.asynccontextmanager
async def counting(
    folder: Path, bus: Bus[Module], *, resets_on_open: bool = False
) -> AsyncIterator[app.Gateway]:
    path = folder / "gateway.toml"
    path.write_text(TEXT.format(port=folder / "port", resets_on_open=str(resets_on_open).lower()))
    async with app.gateway(config.load(path), Ahead()) as daemon:
        await until(lambda: bus.asked(b"#01") > 4)
        yield daemon


def pass_by(daemon: app.Gateway, milliseconds: int) -> None:
    assert isinstance(daemon.clock, Ahead)
    daemon.clock.ahead_ms += milliseconds


def door(daemon: app.Gateway) -> LineTotals:
    return daemon.reader.lines()[0]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports are opened again after thousandths of a second."""
    monkeypatch.setattr(supervise, "Backoff", lambda: Backoff(chance=lambda: 0.0005))


async def test_the_first_total_after_an_outage_closes_the_gap(tmp_path: Path) -> None:
    with Bus([Module("01", totals=[100, 900])], link=tmp_path / "port") as bus:
        async with counting(tmp_path, bus) as daemon:
            bus.cross("01", ins=3)
            await until(lambda: door(daemon).ins == 3)
            went_ms = daemon.clock.wall_ms()
            bus.unplug()
            await until(lambda: not daemon.links[0].state.up)
            pass_by(daemon, 10 * MINUTE)
            bus.cross("01", ins=40, outs=20)
            bus.plug()
            await until(lambda: (door(daemon).ins, door(daemon).outs) == (43, 20))
            pass_by(daemon, 2 * MINUTE)
            first_ms = went_ms // MINUTE * MINUTE

            def windows() -> list[dict[str, Any]]:
                return daemon.reader.aggregates("shop", first_ms, first_ms + 12 * MINUTE, 60)

            await until(lambda: sum(one["ins"] for one in windows()[:12]) == 43)
            assert daemon.reader.books().balanced
            between = windows()[1:10]
    assert all(one["ins"] <= 4 and one["outs"] <= 2 for one in between)
    assert all((one["estimated_ins"], one["estimated_outs"]) == (one["ins"], one["outs"]) for one in between)
    assert sum(one["ins"] for one in between) >= 32


@pytest.mark.parametrize(
    ("resets_on_open", "kind", "ins"), [(True, "reset", 5), (False, "rollover", 11)], ids=["board", "module"]
)
async def test_a_lower_total_after_an_opening_is_a_reset_where_opening_resets(
    tmp_path: Path, resets_on_open: bool, kind: str, ins: int
) -> None:
    """65530, then 4: ten persons of a register that came round, or four of a board that began anew."""
    module = Module("01", totals=[65_530, 0], maximum=[65_535] * 2)
    with Bus([module], link=tmp_path / "port") as bus:
        async with counting(tmp_path, bus, resets_on_open=resets_on_open) as daemon:
            await until(lambda: daemon.ingest.last_heard_ms)
            bus.unplug()
            await until(lambda: not daemon.links[0].state.up)
            pass_by(daemon, MINUTE)
            bus.reset("01")
            bus.cross("01", ins=4)
            asked = bus.asked(b"#01")
            bus.plug()
            await until(lambda: bus.asked(b"#01") > asked + 4)
            bus.cross("01", ins=1)
            await until(lambda: door(daemon).ins)
            await until(lambda: door(daemon).ins == ins)
            assert door(daemon).resets == {kind: 1}


async def test_a_hundred_pulled_plugs_in_mid_frame_cost_nobody(tmp_path: Path) -> None:
    module = Module("01")
    people = random.Random(7)
    with Bus([module], link=tmp_path / "port") as bus:
        async with counting(tmp_path, bus) as daemon:
            for _ in range(100):
                bus.do(lambda: setattr(module.faults, "silent", True))
                asked = bus.asked(b"\r")  # any question: the last count may have been asked for just now
                await until(lambda asked=asked: bus.asked(b"\r") > asked)
                bus.say(b">0000"[: people.randrange(6)])
                bus.unplug()
                bus.cross("01", people.randrange(4), people.randrange(4))
                await until(lambda: not daemon.links[0].state.up)
                bus.do(lambda: setattr(module.faults, "silent", False))
                asked = bus.asked(b"#01")
                bus.plug()
                await until(lambda asked=asked: bus.asked(b"#01") > asked + 4)
            await until(lambda: [door(daemon).ins, door(daemon).outs] == module.crossed)
            assert daemon.reader.books().balanced
            assert door(daemon).refused == {}
