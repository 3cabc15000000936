"""SAF-T exports in a watched folder of the real daemon: overlapping, repeated, cut, mended; counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp

from gateway import app, config
from simulators.receipts import Receipt, put
from simulators.saft import Exported, audit_file
from tests import patience
from tests.daemon_rig import NOON, Ahead, push_url

until = partial(patience.until, look_s=0.02)
OSLO = ZoneInfo("Europe/Oslo")
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
[http]
listen = "127.0.0.1:0"
[link.exports]
over = "folder"
options = {{ path = "{folder}", pattern = "*.xml", poll_s = 0.02, max_file_bytes = 67108864 }}
[till]
pos-1 = {{ link = "exports", driver = "saft", match = {{ till = "1" }} }}
pos-2 = {{ link = "exports", driver = "saft", match = {{ till = "2" }} }}
[zone]
shop = {{ kind = "store", tills = ["pos-1", "pos-2"] }}
"""
Sums = Counter[tuple[str, str]]


class Shop:
    """The folder, the daemon that watches it, and what was sold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "exports"
        self.folder.mkdir()
        self.config = folder / "gateway.toml"
        self.config.write_text(TEXT.format(folder=self.folder))
        self.registers = Exported(self.folder, OSLO, "NOK", seed=3)
        self.began_ms = NOON - 6 * 3_600_000
        self.truth: Sums = Counter()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[app.Gateway]:
        async with app.gateway(config.load(self.config), Ahead()) as daemon:
            yield daemon

    def sell(self, hour: int, number: int = 40) -> list[Receipt]:
        """An hour of both registers; each seventh receipt gives money back."""
        receipts = []
        for one in range(1, number + 1):
            gone = one % 7 == 0
            at_ms = self.began_ms + hour * 3_600_000 + one * 60_000
            receipts.append(Receipt(str(1 + one % 2), str(one), at_ms, 0 if gone else 100 * one + hour, gone))
        for sold in receipts:
            self.truth[f"pos-{sold.till}", "sales"] += not sold.returned
            self.truth[f"pos-{sold.till}", "returns"] += sold.returned
            self.truth[f"pos-{sold.till}", "amount_minor"] += sold.amount_minor
        return receipts

    def export(self, receipts: list[Receipt]) -> None:
        """Everything since the first, for each register; some files come twice."""
        for till in ("1", "2"):
            mine = [one for one in receipts if one.till == till]
            self.registers.report(till, mine[0].at_ms, mine[-1].at_ms + 1, mine)

    async def put_away(self) -> None:
        await until(lambda: not list(self.folder.glob("*.xml")))

    async def refusal(self) -> str:
        """Why a file was set aside, which is written when it lies there."""
        why = self.folder / "refused" / "export.xml.why"
        await until(lambda: why.exists() and why.read_text())
        return why.read_text()


def told(daemon: app.Gateway) -> Sums:
    sums: Sums = Counter()
    for row in daemon.reader.readings(0, 1 << 60):
        for fact in ("sales", "returns", "amount_minor"):
            sums[row["counter"], fact] += row[fact]
    return sums


async def test_exports_that_overlap_count_each_receipt_once_also_over_a_restart(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    for hours in ((0, 1), (2, 3, 4)):
        async with shop.open() as daemon:
            for hour in hours:
                shop.export(shop.sell(hour))
                await shop.put_away()
            first = min((shop.folder / "archive").iterdir())
            put(shop.folder, f"again-{hours[0]}.xml", first.read_bytes())
            await shop.put_away()
            assert told(daemon) == shop.truth
            assert daemon.reader.books().balanced
    assert len(list((shop.folder / "archive").iterdir())) == shop.registers.written + 2
    assert not (shop.folder / "refused").exists()


async def test_a_cut_file_counts_what_was_whole_and_the_mended_one_the_rest(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    whole = audit_file("1", [one for one in shop.sell(0) if one.till == "1"], OSLO).encode()
    cut = whole[: len(whole) * 2 // 3]
    async with shop.open() as daemon:
        put(shop.folder, "export.xml", cut)
        refusal = await shop.refusal()
        assert 5 < told(daemon)["pos-1", "sales"] < shop.truth["pos-1", "sales"]
        assert "the others are counted" in refusal
        put(shop.folder, "export.xml", whole)
        await shop.put_away()
        assert told(daemon)["pos-1", "sales"] == shop.truth["pos-1", "sales"]
        assert told(daemon)["pos-1", "amount_minor"] == shop.truth["pos-1", "amount_minor"]


async def test_a_receipt_that_is_corrected_in_a_later_export_replaces(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    first = Receipt("1", "1", shop.began_ms, 10_000)
    async with shop.open() as daemon:
        for minor in (10_000, 12_500):
            content = audit_file("1", [Receipt("1", "1", first.at_ms, minor)], OSLO).encode()
            put(shop.folder, "export.xml", content)
            await shop.put_away()
        assert told(daemon) == {
            ("pos-1", "sales"): 1,
            ("pos-1", "amount_minor"): 12_500,
            ("pos-1", "returns"): 0,
        }
        assert daemon.reader.books().balanced


async def test_a_document_type_is_set_aside_unread(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    content = audit_file("1", [Receipt("1", "1", shop.began_ms, 10_000)], OSLO)
    entity = '<!DOCTYPE auditfile [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
    async with shop.open() as daemon:
        put(shop.folder, "export.xml", content.replace("?>\n", f"?>{entity}", 1).encode())
        assert "damaged (syntax)" in await shop.refusal()
        assert told(daemon) == {}


async def test_an_export_may_be_pushed_as_well(tmp_path: Path) -> None:
    """With the same keys: what came in the file already counts nobody twice."""
    shop = Shop(tmp_path)
    sold = [one for one in shop.sell(0) if one.till == "1"]
    async with shop.open():
        put(shop.folder, "export.xml", audit_file("1", sold, OSLO).encode())
        await shop.put_away()
    sold += [one for one in shop.sell(1) if one.till == "1"]
    over = (
        'over = "push"\noptions = { auth = "none" }\n[push]\nlisten = "127.0.0.1:0"\nallow = ["127.0.0.1"]\n'
    )
    text = shop.config.read_text()
    start = text.index('over = "folder"')
    shop.config.write_text(text[:start] + over + text[text.index("[till]") :])
    async with shop.open() as daemon, aiohttp.ClientSession() as web:
        await until(lambda: daemon.links[0].state.up)
        xml = {"Content-Type": "application/xml"}
        async with web.post(push_url(daemon), data=audit_file("1", sold, OSLO), headers=xml) as answer:
            assert answer.status == 200
        assert told(daemon)["pos-1", "sales"] == shop.truth["pos-1", "sales"]


async def test_a_register_nobody_configured_is_a_stranger(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    async with shop.open() as daemon:
        put(shop.folder, "export.xml", audit_file("9", [Receipt("9", "1", shop.began_ms, 1)], OSLO).encode())
        await shop.put_away()
        assert [(one.link, one.device) for one in daemon.ingest.strangers.told()] == [("exports", "9")]
