"""The snapshot and the commands that read the buffer, over a real store."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.commands import audit, export
from gateway.health import Health, HealthSource, to_json
from gateway.links.supervise import LinkState
from gateway.model import (
    Basis,
    Booking,
    Crossings,
    DeviceState,
    Histogram,
    LineRule,
    Member,
    Parcel,
    Role,
    Stamp,
    Status,
    Transactions,
    ZoneSpec,
)
from gateway.store import Grid, Reader, Store, UpstreamPlan
from gateway.windows import Hours

T0 = 1_795_600_800_000  # 2026-11-25T10:00:00Z, 11:00 in Oslo
MINUTE = 60_000
QUARTER = 15 * MINUTE
RULES = [
    LineRule("door", "main", basis=Basis.DELTA, max_per_s=0, expect_s=900),
    LineRule("front", "main", basis=Basis.DELTA, max_per_s=0, expect_s=900),
    LineRule("pos", "main", till=True, max_per_s=0, expect_s=900),
]
ZONES = [
    ZoneSpec(
        "shop",
        "store",
        (
            Member("door", "main", Role.ENTRANCE),
            Member("front", "main", Role.PASSING),
            Member("pos", "main", Role.TILL),
        ),
        name="The shop",
    )
]


def configuration(data_dir: Path) -> Any:
    member = {"link": "bus", "driver": "dcon", "name": None}
    return SimpleNamespace(
        hash="cafe",
        gateway=SimpleNamespace(id="box", data_dir=data_dir),
        site=SimpleNamespace(
            id="fjord", name="Fjord", timezone="Europe/Oslo", currency="NOK", day_start_min=240
        ),
        windows=SimpleNamespace(size_s=900, min_completeness=0.8),
        link={"bus": SimpleNamespace(over="serial")},
        counter={name: SimpleNamespace(**member) for name in ("door", "front")},
        till={"pos": SimpleNamespace(**{**member, "name": "Till 1"})},
        zone={"shop": SimpleNamespace(group=None)},
        open_hours=lambda: {"shop": Hours((((600, 1260),),) * 7)},
        upstream={"hq": SimpleNamespace(driver="http")},
    )


class FakeIngest(SimpleNamespace):
    """What health reads of ingest."""

    def __init__(self) -> None:
        commits = Histogram()
        commits.observe(0.003)
        super().__init__(
            telegrams={"bus": Counter(ok=7, damaged=1)},
            statuses={},
            last_heard_ms={},
            clock_offset_ms={"door": 1500},
            commit_times=commits,
            waiting=3,
            fault="",
            strangers=SimpleNamespace(count={"bus": 2}.get),
        )


class Box:
    """A store with four quarters in it, and the health of it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store, self.wall = folder, store, T0
        self.link = SimpleNamespace(id="bus", state=LinkState())
        self.link.state.opened(T0)
        self.pump = SimpleNamespace(
            state=SimpleNamespace(
                name="hq",
                results={"delivered": 2},
                last_ok_ms=T0,
                failures=1,
                why="503",
                misconfigured=False,
            )
        )
        self.ingest = FakeIngest()
        self.reader = Reader(folder)
        clock = SimpleNamespace(wall_ms=lambda: self.wall, simulated=False, trusted=lambda: True)
        config, roster = configuration(folder), SimpleNamespace(rules=RULES, zones=ZONES)
        closing = SimpleNamespace(revisions=Counter(closed=4))
        parts: list[Any] = [
            config,
            roster,
            self.reader,
            [self.link],
            [self.pump],
            self.ingest,
            clock,
            closing,
        ]
        self.source = HealthSource(*parts)

    def now(self) -> Stamp:
        return Stamp("boot", self.wall - T0 + 1, self.wall)

    async def quarter(self, number: int, ins: int, sales: int) -> None:
        start = T0 + number * QUARTER
        self.wall = max(self.wall, start + QUARTER)
        bookings = [
            Booking("door", "main", Crossings("d", "l", start, start + QUARTER, ins, ins - 1)),
            Booking("front", "main", Crossings("f", "l", start, start + QUARTER, 50, 50)),
            Booking("pos", "main", Transactions("t", start, start + QUARTER, sales, 1, 900, "NOK")),
        ]
        [recorded] = await self.store.record([Parcel("bus", self.now(), bookings)])
        assert recorded.result == "ok"

    async def close(self) -> None:
        self.wall += 20 * MINUTE  # a window waits for 1.2 reporting periods
        while (await self.store.close(self.now())).more:
            pass

    async def look(self) -> Health:
        self.source._due_s = 0.0  # as if enough time had passed
        self.source._books_due_s = 0.0
        return await self.source.snapshot()


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    store = await Store.open(tmp_path, now=Stamp("boot", 1, T0))
    grid = Grid(
        size_s=900, timezone="Europe/Oslo", day_start_min=240, currency="NOK", site="fjord", gateway="box"
    )
    await store.configure(RULES, ZONES, {"hq": UpstreamPlan()}, [900], grid, Stamp("boot", 1, T0))
    made = Box(tmp_path, store)
    for number in range(4):
        await made.quarter(number, 100, 20)
    await made.close()
    yield made
    made.reader.close_file()
    await store.aclose()


async def test_today_of_a_zone(box: Box) -> None:
    [zone] = (await box.look()).zones
    assert (zone.zone, zone.name, zone.kind) == ("shop", "The shop", "store")
    assert (zone.ins, zone.outs, zone.passersby, zone.sales) == (400, 396, 400, 80)
    assert zone.occupancy == 4
    assert (zone.completeness, zone.tier) == (1.0, "measured")
    assert zone.conversion.value == 0.2
    assert zone.conversion.formula == "visitors/1"
    assert zone.capture_rate.value == 1.0


async def test_what_is_not_yet_closed_counts_too(box: Box) -> None:
    await box.quarter(4, 7, 1)
    [zone] = (await box.look()).zones
    assert (zone.ins, zone.sales) == (407, 81)


async def test_everything_else(box: Box) -> None:
    health = await box.look()
    assert health.site.size_s == 900
    assert health.site.day_start_ms == T0 - 7 * 3_600_000  # 04:00 in Oslo
    assert [line.line for line in health.lines] == ["door", "front", "pos"]
    assert (health.lines[0].ins, health.lines[2].sales) == (400, 80)
    assert health.books.balanced
    assert health.buffer.bytes > 1000
    assert health.buffer.queued == 3
    [upstream] = health.upstreams
    assert (upstream.pending, upstream.rejected, upstream.why) == (4, 0, "503")
    assert upstream.oldest_pending_ms is not None
    assert health.links[0].telegrams["damaged"] == 1
    assert health.links[0].unknown == 2
    assert health.revisions == {"closed": 4}
    assert health.commits.cumulative()[-1] == ("+Inf", 1)


async def test_a_device_speaks_for_itself(box: Box) -> None:
    box.ingest.statuses["door"] = Status("door", T0, DeviceState.DEGRADED, "beam blocked")
    door, front, till = (await box.look()).counters
    assert (door.state, door.detail, door.clock_offset_s) == ("degraded", "beam blocked", 1.5)
    assert (front.state, front.last_reading_ms) == ("ok", T0 + 4 * QUARTER)
    assert (till.till, till.name) == (True, "Till 1")


async def test_behind_a_lost_link_all_is_silent(box: Box) -> None:
    box.link.state.lost(box.wall, "unplugged")
    health = await box.look()
    assert {one.state for one in health.counters} == {"silent"}
    assert (health.links[0].up, health.links[0].error) == (False, "unplugged")


async def test_a_counter_that_lets_questions_pass_is_silent_and_says_so(box: Box) -> None:
    box.link.state.unanswered.add("door")
    states = {one.counter: (one.state, one.detail) for one in (await box.look()).counters}
    assert states["door"] == ("silent", "does not answer")
    assert states["front"] == ("ok", "")


async def test_a_snapshot_is_shared_for_a_moment(box: Box) -> None:
    first = await box.source.snapshot()
    box.source._due_s = float("inf")
    assert await box.source.snapshot() is first
    box.source.ready = True
    assert (await box.source.snapshot()).ready  # readiness is never late


async def test_history_has_the_shape_of_an_event(box: Box) -> None:
    rows = await box.source.aggregates("shop", T0, T0 + QUARTER, 900)
    [event] = [
        event for event in await box.store.take("hq", 9, live=True, live_from_ms=0) if event.start_ms == T0
    ]
    data = event.body["data"]
    assert isinstance(data, dict)
    only_in_events = {"generation"}
    assert {name: rows[0][name] for name in data if name not in only_in_events} == {
        name: value for name, value in data.items() if name not in only_in_events
    }


async def test_a_zone_says_whether_it_is_open_and_until_when(box: Box) -> None:
    [zone] = to_json(await box.source.snapshot())["zones"]
    assert zone["opening"] == {
        "open": True,
        "until": "2026-11-25T20:00:00.000Z",
        "today": [{"opens": "2026-11-25T09:00:00.000Z", "closes": "2026-11-25T20:00:00.000Z"}],
    }


async def test_audit_as_data(box: Box) -> None:
    books = await box.source.audit()
    assert (books["balanced"], books["imbalance"]) == (True, 0)
    assert {"line", "column", "received", "imbalance"} <= set(books["lines"][0])
    assert books["upstreams"][0]["pending"] == 4


def call(command: Any, box: Box, monkeypatch: pytest.MonkeyPatch, *args: str) -> Result:
    monkeypatch.setattr(
        f"gateway.commands.{command.callback.__module__.rsplit('.', 1)[1]}.load_or_exit",
        lambda _path: configuration(box.folder),
    )
    return CliRunner().invoke(command, ["-c", "x.toml", *args])


async def test_audit_command(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call(audit.command, box, monkeypatch)
    assert done.exit_code == 0
    assert done.output.endswith("balanced\n")
    shown = json.loads(call(audit.command, box, monkeypatch, "--json").output)
    assert shown["balanced"] is True


async def test_audit_of_nothing_fails(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box.folder = tmp_path / "elsewhere"
    done = call(audit.command, box, monkeypatch)
    assert done.exit_code == 1
    assert "no buffer" in done.output


async def test_audit_says_when_books_are_off(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    books = box.reader.books()
    wrong = SimpleNamespace(**{name: getattr(books, name) for name in books.__slots__})
    wrong.balanced, wrong.imbalance, wrong.wrong_zones = False, 7, ("shop",)
    monkeypatch.setattr("gateway.store.Reader.books", lambda _reader: wrong)
    done = call(audit.command, box, monkeypatch)
    assert done.exit_code == 1
    assert "NOT BALANCED: off by 7" in done.output
    assert "zone shop differs" in done.output


SPAN = ("--from", "2026-11-25T10:00:00Z", "--to", "2026-11-26")


async def test_export_of_aggregates(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call(export.command, box, monkeypatch, *SPAN)
    rows = list(csv.DictReader(done.output.splitlines()))
    assert [row["ins"] for row in rows] == ["100"] * 4
    assert rows[0]["start"] == "2026-11-25T10:00:00Z"
    assert rows[0]["conversion"] == "0.2"
    lines = call(export.command, box, monkeypatch, *SPAN, "--format", "jsonl", "--zone", "shop").output
    assert [json.loads(line)["sales"] for line in lines.splitlines()] == [20] * 4


async def test_export_as_of_an_earlier_instant(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call(export.command, box, monkeypatch, *SPAN, "--as-of", "2026-11-25T10:00:00Z")
    assert len(done.output.splitlines()) == 1


async def test_export_of_readings(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call(export.command, box, monkeypatch, *SPAN, "--readings")
    rows = list(csv.DictReader(done.output.splitlines()))
    sums: Counter[tuple[str, str]] = Counter()
    for row in rows:
        sums[row["counter"], row["side"]] += int(row["persons"])
    assert sums == {
        ("door", "in"): 400,
        ("door", "out"): 396,
        ("front", "in"): 200,
        ("front", "out"): 200,
        ("pos", "sales"): 80,
        ("pos", "returns"): 4,
        ("pos", "amount"): 3600,
    }
    assert list(rows[0]) == ["counter", "line", "side", "start", "end", "key", "persons"]
    assert rows[0]["end"] == "2026-11-25T10:15:00.000Z"


async def test_export_takes_unix_seconds_too(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    span = ("--from", str(T0 // 1000), "--to", str(T0 // 1000 + 1800))
    assert len(call(export.command, box, monkeypatch, *span).output.splitlines()) == 3


@pytest.mark.parametrize(
    "span", [("--from", "soon", "--to", "2026-11-26"), ("--from", "2026-11-26", "--to", "2026-11-25")]
)
async def test_a_wrong_span_is_wrong_usage(
    box: Box, monkeypatch: pytest.MonkeyPatch, span: tuple[str, ...]
) -> None:
    assert call(export.command, box, monkeypatch, *span).exit_code == 2


async def test_a_zone_nobody_has_heard_of_is_wrong_usage(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call(export.command, box, monkeypatch, *SPAN, "--zone", "shpo")
    assert done.exit_code == 2
    assert "no zone shpo; known: " in done.output
    assert "shop" in done.output.split("known: ")[1]


async def test_a_size_that_is_not_kept_is_wrong_usage(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call(export.command, box, monkeypatch, *SPAN, "--size", "77")
    assert done.exit_code == 2
    assert "no windows of 77 s; kept: 900" in done.output
    assert call(export.command, box, monkeypatch, *SPAN, "--size", "900").exit_code == 0


@pytest.mark.parametrize("more", [(), ("--readings",)])
async def test_export_of_nothing_fails_before_its_header(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    box.folder = tmp_path / "elsewhere"
    done = call(export.command, box, monkeypatch, *SPAN, *more)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no buffer" in done.stderr
