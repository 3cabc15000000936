"""Files in a watched folder: stored first, put away then; never lost, never twice, never read for ever."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.mapping.family import FAMILY
from gateway import config
from gateway.app import Gateway, gateway
from gateway.clock import Clock
from gateway.config import FolderOptions
from gateway.driver import Device, Driver, Message, Site
from gateway.links.folder import PART, FolderLink
from gateway.links.shelf import Shelf, Sight
from gateway.model import Damaged, Delivery, Ignored, Item, Stamp, Transactions
from tests.daemon_rig import NOON, Ahead
from tests.patience import until
from tests.serial_rig import kept, quick

CSV = {
    "format": {"csv": {"separator": ";", "decimal": ","}},
    "reading": [{"till": "till", "start": "from", "end": "to", "sales": "n", "amount": "sum"}],
}
HEADER = "till;from;to;n;sum\n"
ROW = "1001;2026-11-23T09:00:00Z;2026-11-23T09:15:00Z;4;1299,00\n"


def driver(table: dict[str, Any]) -> Driver:
    return FAMILY.open(Device(FAMILY.options.model_validate(table), site=Site("Europe/Oslo", "NOK")))


@dataclass(eq=False)
class Source:
    driver: Driver = field(default_factory=lambda: driver(CSV))


@dataclass
class Ingest:
    """Keeps what is delivered and commits at once, or when the test does."""

    by_hand: bool = False
    items: list[Item] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)

    async def wait_room(self) -> None:
        return

    def deliver(
        self,
        link: str,
        source: Any,
        items: Iterable[Item],
        stamp: Stamp,
        *,
        delivery: Delivery | None = None,
        done: Callable[[], None] | None = None,
        payload: bytes = b"",
    ) -> None:
        items = list(items)
        self.items += items
        self.sizes.append(len(items))
        self.waiting += [done] if done else []
        if not self.by_hand:
            self.commit()

    def commit(self) -> None:
        for done in self.waiting:
            done()
        self.waiting.clear()

    @property
    def sales(self) -> list[int]:
        return [item.sales for item in self.items if isinstance(item, Transactions)]


class Sessions:
    def __init__(self) -> None:
        self.forgotten = 0

    async def begin(self, link: str, present: bool) -> int:
        return 1

    async def forget(self, link: str, round_: int) -> None:
        self.forgotten += 1


@dataclass
class Watched:
    """A link at work on a folder."""

    folder: Path
    link: FolderLink
    ingest: Ingest
    sessions: Sessions

    def put(self, name: str, text: str) -> Path:
        """Whole and at once, as a careful sender does."""
        hidden = self.folder / f".{name}"
        hidden.write_text(text)
        return hidden.rename(self.folder / name)

    def files(self, where: str = "") -> set[str]:
        folder = self.folder / where
        return {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()

    async def looks(self, number: int = 3) -> None:
        """Wait so many looks into the folder."""
        seen = 0
        look = self.link._shelf.look

        def counted() -> list[Sight]:
            nonlocal seen
            seen += 1
            return look()

        self.link._shelf.look = counted  # type: ignore[method-assign]
        await until(lambda: seen > number)
        self.link._shelf.look = look  # type: ignore[method-assign]


@asynccontextmanager
async def watching(
    folder: Path, *, by_hand: bool = False, sources: list[Source] | None = None, **options: Any
) -> AsyncIterator[Watched]:
    settings = FolderOptions(path=str(folder), **{"poll_s": 0.02, "pattern": "*.csv", **options})
    ingest, sessions = Ingest(by_hand), Sessions()
    link = FolderLink(
        "files", settings, sources or [Source()], Clock("always"), ingest, sessions, backoff=quick()
    )
    async with kept(link):
        yield Watched(folder, link, ingest, sessions)


async def test_the_reason_beside_a_refused_file_names_cell_and_column(tmp_path: Path) -> None:
    described = SimpleNamespace(
        driver=driver(CSV), family=FAMILY, device=Device(FAMILY.options.model_validate(CSV))
    )
    async with watching(tmp_path, sources=[described]) as box:
        box.put("a.csv", HEADER + ROW + ROW.replace(";4;", ";vier;"))
        await until(lambda: box.files("refused") == {"a.csv", "a.csv.why"})
        why = (tmp_path / "refused" / "a.csv.why").read_text()
    assert why.splitlines() == [
        "damaged (sanity): 1 of 2 records; the others are counted",
        "[1].n: no count from 0 to 1000000000",
    ]


async def test_a_file_is_archived_only_when_it_is_stored(tmp_path: Path) -> None:
    async with watching(tmp_path, by_hand=True) as box:
        box.put("a.csv", HEADER + ROW)
        await until(lambda: box.ingest.sales == [4])
        await box.looks()
        assert box.files() == {"a.csv"}
        assert box.ingest.sales == [4]
        box.ingest.commit()
        await until(lambda: box.files("archive") == {"a.csv"})
        assert box.files() == set()
        assert box.link.state.up


async def test_a_stored_file_is_deleted_where_that_is_wished(tmp_path: Path) -> None:
    async with watching(tmp_path, done="delete") as box:
        box.put("a.csv", HEADER + ROW)
        await until(lambda: box.ingest.sales == [4] and not box.files())
        assert not (tmp_path / "archive").exists()


async def test_what_is_not_meant_or_not_finished_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sub.csv").mkdir()
    (tmp_path / "link.csv").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe.csv")
    names = {"a.csv.tmp", ".b.csv", "c.xml", "d.csv.part", "e.CSV"}
    for name in names:
        (tmp_path / name).write_text(HEADER + ROW)
    async with watching(tmp_path) as box:
        await until(lambda: box.files("archive") == {"e.CSV"})
        await box.looks()
        assert box.files() - {"link.csv"} == names - {"e.CSV"}
        assert box.ingest.sales == [4]


async def test_a_file_that_is_being_written_waits(tmp_path: Path) -> None:
    async with watching(tmp_path, poll_s=0.2) as box:
        path = tmp_path / "a.csv"
        with path.open("w") as file:
            file.write(HEADER)
            for number in range(12):
                file.write(ROW.replace("09:00", f"09:{number:02}", 1))
                file.flush()
                await asyncio.sleep(0.08)
                assert box.ingest.items == []
        await until(lambda: len(box.ingest.sales) == 12)


async def test_a_file_that_grows_after_it_was_read_is_read_again(tmp_path: Path) -> None:
    async with watching(tmp_path, by_hand=True) as box:
        path = box.put("a.csv", HEADER + ROW)
        await until(lambda: box.ingest.sales == [4])
        with path.open("a") as file:
            file.write(ROW.replace(";4;", ";5;"))
        box.ingest.commit()
        await until(lambda: box.ingest.sales == [4, 4, 5])
        assert box.files("archive") == set()
        box.ingest.commit()
        await until(lambda: box.files("archive") == {"a.csv"})


@pytest.mark.parametrize(("torn", "where"), [("", "archive"), ("1001;20", "refused")])
async def test_a_sender_that_paused_and_goes_on_is_heard_to_its_end(
    tmp_path: Path, torn: str, where: str
) -> None:
    async with watching(tmp_path) as box:
        path = tmp_path / "a.csv"
        with path.open("w") as file:
            file.write(HEADER + ROW + torn)
            file.flush()
            await until(lambda: "a.csv" in box.files(where))
            file.write((ROW * 2)[len(torn) :])
        await until(lambda: box.ingest.sales == [4, 4, 4, 4])
        await until(lambda: box.files("archive") == {"a.csv"})
        assert box.files("refused") == set()


async def test_the_oldest_file_is_read_first(tmp_path: Path) -> None:
    for age, (name, sales) in enumerate({"a": 1, "c": 2, "b": 3}.items()):
        path = tmp_path / f"{name}.csv"
        path.write_text(HEADER + ROW.replace(";4;", f";{sales};"))
        os.utime(path, ns=(1, 1_700_000_000_000_000_000 + age))
    async with watching(tmp_path) as box:
        await until(lambda: len(box.ingest.sales) == 3)
        assert box.ingest.sales == [1, 2, 3]


async def test_damage_is_set_aside_with_its_reason_and_what_is_sound_counts(tmp_path: Path) -> None:
    async with watching(tmp_path) as box:
        box.put("a.csv", HEADER + ROW + "1001;2026\n")
        box.put("b.csv", "\x00\x01;")
        await until(lambda: len(box.files("refused")) == 4)
        assert box.files("refused") == {"a.csv", "a.csv.why", "b.csv", "b.csv.why"}
        why = (tmp_path / "refused" / "a.csv.why").read_text()
        assert why == "damaged (length): 1 of 2 records; the others are counted\n"
        assert box.ingest.sales == [4]
        await box.looks()
        assert box.ingest.sales == [4]


async def test_a_file_in_another_encoding_is_set_aside(tmp_path: Path) -> None:
    async with watching(tmp_path) as box:
        (tmp_path / "a.csv").write_bytes("till;på\n1;2\n".encode("cp1252"))
        await until(lambda: box.files("refused") == {"a.csv", "a.csv.why"})
        assert "damaged (syntax)" in (tmp_path / "refused" / "a.csv.why").read_text()


async def test_a_file_above_the_bound_is_set_aside_unread(tmp_path: Path) -> None:
    async with watching(tmp_path, max_file_bytes=256) as box:
        box.put("a.csv", HEADER + ROW * 10)
        await until(lambda: box.files("refused") == {"a.csv", "a.csv.why"})
        assert "too_large: " in (tmp_path / "refused" / "a.csv.why").read_text()
        assert box.link.state.telegrams["too_large"] == 1
        assert box.ingest.items == []


@pytest.mark.parametrize("done", ["archive", "delete"])
async def test_an_empty_file_is_done_with(tmp_path: Path, done: str) -> None:
    async with watching(tmp_path, done=done) as box:
        box.put("a.csv", "\n")
        await until(lambda: not box.files())
        assert box.files("refused") == set()


async def test_nothing_is_deleted_that_was_not_counted(tmp_path: Path) -> None:
    table = {**CSV, "reading": [{**CSV["reading"][0], "where": {"till": "final"}}]}  # type: ignore[index]
    async with watching(tmp_path, done="delete", sources=[Source(driver(table))]) as box:
        box.put("a.csv", HEADER + ROW)
        await until(lambda: box.files("refused") == {"a.csv", "a.csv.why"})
        assert "no count in it" in (tmp_path / "refused" / "a.csv.why").read_text()


async def test_a_name_that_comes_again_overwrites_nothing(tmp_path: Path) -> None:
    async with watching(tmp_path) as box:
        for sales in (1, 2, 3):
            box.put("a.csv", HEADER + ROW.replace(";4;", f";{sales};"))
            await until(lambda: len(box.files("archive")) == sales)  # noqa: B023
        assert box.files("archive") == {"a.csv", "a.1.csv", "a.2.csv"}
        assert box.ingest.sales == [1, 2, 3]
        assert ";2;" in (tmp_path / "archive" / "a.1.csv").read_text()


def test_the_hundred_thousandth_of_a_name_is_put_away_as_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text(ROW)
    shelf, looks = Shelf(str(tmp_path), "*", delete=False), []

    def taken(path: Path) -> bool:
        looks.append(path.name)
        return path.name == "a.csv" or int(path.name.split(".")[1]) < 100_000

    monkeypatch.setattr("os.path.lexists", taken)
    assert shelf.put_away(shelf.look()[0], "")
    assert (tmp_path / "archive" / "a.100000.csv").exists()
    assert len(looks) < 50


async def test_whoever_brings_files_does_not_choose_where_they_go(tmp_path: Path) -> None:
    elsewhere, box_path = tmp_path / "elsewhere", tmp_path / "in"
    elsewhere.mkdir()
    box_path.mkdir()
    (box_path / "archive").symlink_to(elsewhere)
    async with watching(box_path) as box:
        box.put("a.csv", HEADER + ROW)
        await until(lambda: "archive is a link" in box.link.state.error)
        assert box.ingest.sales == [4]
    assert list(elsewhere.iterdir()) == []


async def test_of_two_formats_in_a_folder_each_reads_its_own(tmp_path: Path) -> None:
    xml = {"format": "xml", "reading": [{"till": "till", "sales": "n"}]}
    async with watching(tmp_path, pattern="*", sources=[Source(driver(xml)), Source()]) as box:
        box.put("a.csv", HEADER + ROW)
        box.put("b.xml", "<day><till>7</till><n>9</n></day>")
        await until(lambda: sorted(box.ingest.sales) == [4, 9])
        assert not [item for item in box.ingest.items if isinstance(item, Damaged | Ignored)]
        await until(lambda: box.files("archive") == {"a.csv", "b.xml"})
        box.put("c.csv", HEADER + ROW.replace(";4;", ";-4;"))
        await until(lambda: "c.csv.why" in box.files("refused"))
    assert "damaged (sanity)" in (tmp_path / "refused" / "c.csv.why").read_text()


async def test_a_large_file_is_stored_in_parts(tmp_path: Path) -> None:
    async with watching(tmp_path, by_hand=True) as box:
        box.put("a.csv", HEADER + ROW * (PART + 10))
        await until(lambda: len(box.ingest.sales) == PART + 10)
        assert box.ingest.sizes == [PART, 10]
        assert len(box.ingest.waiting) == 1


async def test_a_folder_that_is_not_there_is_told_and_awaited(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    async with watching(folder) as box:
        await until(lambda: "No such file or directory" in box.link.state.error)
        assert not box.link.state.up
        folder.mkdir()
        box.put("a.csv", HEADER + ROW)
        await until(lambda: box.files("archive") == {"a.csv"})
        assert box.link.state.error == ""


class Denied:
    """A folder in which the daemon lacks a right, until it is granted (root would not notice a mode)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
        self.asked, self.granted = 0, False
        real = getattr(Shelf, what)

        def denied(shelf: Shelf, *given: Any) -> Any:
            self.asked += 1
            if not self.granted:
                raise PermissionError(13, "Permission denied")
            return real(shelf, *given)

        monkeypatch.setattr(Shelf, what, denied)


async def test_a_file_that_may_not_be_read_is_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    denied = Denied(monkeypatch, "read")
    async with watching(tmp_path) as box:
        box.put("a.csv", HEADER + ROW)
        await until(lambda: denied.asked > 4)
        assert [record.message for record in caplog.records] == [
            "link files: 'a.csv' cannot be read: Permission denied"
        ]
        await until(lambda: box.link.state.error == "'a.csv' cannot be read: Permission denied")
        assert box.link.state.up
        denied.granted = True
        await until(lambda: box.files("archive") == {"a.csv"})
        await until(lambda: box.link.state.error == "")


async def test_a_file_that_may_not_be_moved_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = Denied(monkeypatch, "put_away")
    async with watching(tmp_path) as box:
        box.put("a.csv", HEADER + ROW)
        await until(lambda: denied.asked > 4)
        await until(lambda: "cannot be put away: Permission denied" in box.link.state.error)
        assert box.ingest.sales == [4]
        assert box.sessions.forgotten == 0
        denied.granted = True
        await until(lambda: box.files("archive") == {"a.csv"})
        await until(lambda: box.sessions.forgotten)


async def test_a_driver_with_a_bug_does_not_stop_the_link(tmp_path: Path) -> None:
    class Faulty:
        def decode(self, message: Message) -> list[Item]:
            raise RuntimeError("a bug")

    async with watching(tmp_path, sources=[Source(Faulty())]) as box:
        box.put("a.csv", HEADER + ROW)
        await until(lambda: box.files("refused") == {"a.csv", "a.csv.why"})


# With the real buffer

CONFIG = """
[gateway]
data_dir = "{folder}/data"
[clock]
trust = "always"
[site]
id = "hall"
timezone = "UTC"
currency = "NOK"
[http]
listen = "127.0.0.1:0"
[link]
files = {{ over = "folder", options = {{ path = "{folder}/in", pattern = "*.csv", poll_s = 0.02 }} }}
[mapping.day]
format = "csv"
time = {{ format = "unix_s", span_s = 900 }}
reading = [ {keys} ]
[till]
pos = {{ link = "files", driver = "mapping", mapping = "day" }}
[zone]
shop = {{ kind = "store", tills = ["pos"] }}
"""
NAMELESS, EVENTS, TIMED = '{ sales = "n" }', '{ at = "t", sales = "n" }', '{ start = "t", sales = "n" }'


@asynccontextmanager
async def daemon(folder: Path, keys: str) -> AsyncIterator[Gateway]:
    (folder / "in").mkdir(exist_ok=True)
    (folder / "gateway.toml").write_text(CONFIG.format(folder=folder, keys=keys))
    async with gateway(config.load(folder / "gateway.toml"), Ahead()) as running:
        yield running


def counted(running: Gateway) -> int:
    return sum(line.sales for line in running.reader.lines())


@pytest.mark.parametrize("keys", [NAMELESS, EVENTS, TIMED])
async def test_a_crash_before_the_file_is_put_away_counts_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    recent = NOON // 1000 - 1800
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(f"t,n\n{recent},3\n")
    denied = Denied(monkeypatch, "put_away")
    async with daemon(tmp_path, keys) as running:
        await until(lambda: denied.asked)
        assert counted(running) == 3
    denied.granted = True
    async with daemon(tmp_path, keys) as running:
        await until(lambda: (tmp_path / "in" / "archive" / "a.csv").exists())
        assert counted(running) == 3


async def test_equal_files_without_time_are_each_counted(tmp_path: Path) -> None:
    async with daemon(tmp_path, NAMELESS) as running:
        for number in (1, 2, 3):
            (tmp_path / "in" / "a.csv").write_text("n\n3\n")
            await until(lambda: not (tmp_path / "in" / "a.csv").exists())
            assert counted(running) == 3 * number


async def test_a_later_file_for_the_same_interval_replaces(tmp_path: Path) -> None:
    recent = NOON // 1000 - 1800
    async with daemon(tmp_path, TIMED) as running:
        for sales in (5, 4, 4):
            (tmp_path / "in" / "a.csv").write_text(f"t,n\n{recent},{sales}\n")
            await until(lambda: not (tmp_path / "in" / "a.csv").exists())
            (row,) = running.reader.readings(0, 1 << 45)
            assert row["sales"] == sales
        assert running.reader.books().balanced
