"""Sales by webhook into the real daemon: signed, at least once, in any order; the books are the truth."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway import app, config
from simulators.receipts import Receipt
from simulators.webhooks import STYLES, Hooked, Shopify, Square, signature
from tests import patience
from tests.daemon_rig import NOON, Ahead, push_url

until = partial(patience.until, look_s=0.02)
KEY, PUBLIC = "hush", "https://tills.example.com/push/shop"
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
[push]
listen = "127.0.0.1:0"
[link.shop]
over = "push"
[link.shop.options]
auth = "hmac"
key_file = "shop.key"
{options}
[till]
pos-1 = {{ link = "shop", driver = "{driver}", match = {{ location = "{first}" }} }}
pos-2 = {{ link = "shop", driver = "{driver}", match = {{ location = "{second}" }} }}
[zone]
shop = {{ kind = "store", tills = ["pos-1", "pos-2"] }}
"""
SHOPIFY = TEXT.format(
    options='signature_header = "X-Shopify-Hmac-Sha256"', driver="shopify", first="1", second="2"
)
SQUARE = TEXT.format(
    options=f'signature_header = "x-square-hmacsha256-signature"\nnotification_url = "{PUBLIC}"',
    driver="square",
    first="pos-1",
    second="pos-2",
)
TEXTS = {"shopify": SHOPIFY, "square": SQUARE}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.webhooks.RETRY_S", 0.01)


@asynccontextmanager
async def counting(folder: Path, text: str) -> AsyncIterator[app.Gateway]:
    (folder / "gateway.toml").write_text(text)
    (folder / "shop.key").write_text(f"{KEY}\n")
    (folder / "shop.key").chmod(0o600)
    async with app.gateway(config.load(folder / "gateway.toml"), Ahead()) as daemon:
        await until(lambda: daemon.links[0].state.up)
        yield daemon


def receipts(number: int = 14) -> list[Receipt]:
    """Of the two hours before noon; each fifth gives money back."""
    began_ms = NOON - 7_200_000
    return [
        Receipt(
            f"pos-{1 + one % 2}", f"r-{one}", began_ms + 480_000 * one, 0 if gone else 100 * one + 5, gone
        )
        for one in range(1, number + 1)
        for gone in (one % 5 == 0,)
    ]


def told(daemon: app.Gateway) -> Counter[tuple[str, str]]:
    """What the readings add up to."""
    sums: Counter[tuple[str, str]] = Counter()
    for row in daemon.reader.readings(0, 1 << 60):
        for fact in ("sales", "returns", "amount_minor"):
            sums[row["counter"], fact] += row[fact]
    return sums


def truth(sold: list[Receipt]) -> Counter[tuple[str, str]]:
    sums: Counter[tuple[str, str]] = Counter()
    for one in sold:
        sums[one.till, "sales"] += not one.returned
        sums[one.till, "returns"] += one.returned
        sums[one.till, "amount_minor"] += one.amount_minor
    return sums


def unsigned(daemon: app.Gateway) -> int:
    return daemon.links[0].state.telegrams["unsigned"]


async def play(daemon: app.Gateway, name: str, sold: list[Receipt], trouble: float, seed: int = 1) -> Hooked:
    way = Hooked(push_url(daemon), STYLES[name]("NOK"), KEY, seed, PUBLIC, trouble)
    await asyncio.to_thread(way.report, "", 0, 0, sold)
    return way


@pytest.mark.parametrize("name", TEXTS)
async def test_receipts_with_all_their_troubles_are_counted_once(tmp_path: Path, name: str) -> None:
    sold = receipts()
    async with counting(tmp_path, TEXTS[name]) as daemon:
        way = await play(daemon, name, sold, trouble=0.3)
        assert told(daemon) == truth(sold)
        assert way.refused > 0
        assert unsigned(daemon) >= way.refused  # a refusal may be lost on its way, and asked for again
        assert way.taken > len(sold)
        assert daemon.reader.books().balanced


@pytest.mark.parametrize("name", TEXTS)
async def test_the_same_messages_after_a_restart_count_nobody_twice(tmp_path: Path, name: str) -> None:
    sold = receipts()
    async with counting(tmp_path, TEXTS[name]) as daemon:
        await play(daemon, name, sold[:9], trouble=0.0)
    async with counting(tmp_path, TEXTS[name]) as daemon:
        await play(daemon, name, sold, trouble=0.3, seed=2)
        assert told(daemon) == truth(sold)
        assert daemon.reader.books().balanced


async def test_no_receipt_number_is_kept(tmp_path: Path) -> None:
    """Keys are kept as hashes only."""
    (order,) = (hook.body for hook in Shopify().sale(receipts(1)[0], NoChance(), 0.0) if "paid" in hook.topic)
    async with counting(tmp_path, SHOPIFY) as daemon:
        await play(daemon, "shopify", receipts(1), trouble=0.0)
        assert told(daemon)["pos-2", "sales"] == 1
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir() if path.is_file())
    assert str(order["id"]).encode() not in kept
    assert b"r-1" not in kept


class NoChance:
    def random(self) -> float:
        return 1.0


async def post(daemon: app.Gateway, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json", **headers}
    async with (
        aiohttp.ClientSession() as session,
        session.post(push_url(daemon), data=body, headers=headers) as answer,
    ):
        text = await answer.text()
        return answer.status, json.loads(text) if text else {}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "a signature is needed in X-Shopify-Hmac-Sha256"),
        ({"X-Shopify-Hmac-Sha256": "?"}, "a signature is needed in X-Shopify-Hmac-Sha256"),
        (
            {"X-Shopify-Hmac-Sha256": signature("another key", b"{}")},
            "the signature in X-Shopify-Hmac-Sha256 ",
        ),
        (
            {"X-Shopify-Hmac-Sha256": signature(KEY, b"{} ")},
            "the signature in X-Shopify-Hmac-Sha256 does not ",
        ),
        (
            {"X-Shopify-Hmac-Sha256": signature(KEY, b"{}")[:20]},
            "a signature is needed in X-Shopify-Hmac-Sha256: sha256 in base64",
        ),
    ],
)
async def test_what_nobody_signed_is_refused_with_a_reason_and_counted(
    tmp_path: Path, headers: dict[str, str], why: str
) -> None:
    async with counting(tmp_path, SHOPIFY) as daemon:
        status, problem = await post(daemon, b"{}", headers)
        assert status == 401
        assert problem["detail"].startswith(why)
        assert unsigned(daemon) == 1
        assert daemon.reader.readings(0, 1 << 60) == []
        assert (await post(daemon, b"{}", {"X-Shopify-Hmac-Sha256": signature(KEY, b"{}")}))[0] == 200


async def test_an_order_that_two_cards_pay_for_in_the_store_is_one_sale(tmp_path: Path) -> None:
    """Also when the second card is told first, and told again with another time."""
    one = receipts(1)[0]
    parts = [("P2", one.at_ms + 60_000, 300), ("P1", one.at_ms, 205), ("P1", one.at_ms + 1, 205)]
    async with counting(tmp_path, SQUARE) as daemon:
        for number, at_ms, minor in parts:
            sold = Receipt("pos-1", "order", at_ms, minor)
            hook = Square().payment(sold, "COMPLETED", "", id=number)
            body = json.dumps(hook.body).encode()
            given = {"x-square-hmacsha256-signature": signature(KEY, PUBLIC.encode() + body)}
            assert (await post(daemon, body, given))[0] == 200
        assert told(daemon) == {
            ("pos-1", "sales"): 1,
            ("pos-1", "returns"): 0,
            ("pos-1", "amount_minor"): 505,
        }


async def test_a_location_nobody_configured_is_a_stranger_and_not_sent_for_ever(tmp_path: Path) -> None:
    async with counting(tmp_path, SHOPIFY) as daemon:
        sold = [Receipt("pos-77", "r-1", NOON - 60_000, 100)]
        await play(daemon, "shopify", sold, trouble=0.0)
        assert told(daemon) == {}
        assert [(one.link, one.device) for one in daemon.ingest.strangers.told()] == [("shop", "77")]
