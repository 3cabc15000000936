"""Sales by webhook: repeated, late, in any order, from elsewhere; one sale is one sale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.driver import Device, Family, Message, Site, load_family
from gateway.items import to_json
from gateway.model import Damaged, DamageReason, Ignored, Item, Transactions

NOW_MS = 1_795_424_400_000
FILES = {name: f"{name}_webhooks.json" for name in ("shopify", "square")}
VECTORS: dict[tuple[str, str], dict[str, Any]] = {
    (family, vector["id"]): vector
    for family, file in FILES.items()
    for vector in json.loads((Path(__file__).parents[2] / "vectors" / file).read_text())["vectors"]
}


def decode(name: str, payload: Any, headers: dict[str, str] | None = None, **options: Any) -> list[Item]:
    family = load_family(name)
    driver: Any = family.open(Device(family.options.model_validate(options), site=Site("Europe/Oslo", "NOK")))
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return list(driver.decode(Message(body, NOW_MS, headers=headers or {})))


def changed(name: str, vector: str, **changes: Any) -> dict[str, Any]:
    """The body of a vector with other values in its order or payment."""
    payload = json.loads(json.dumps(VECTORS[name, vector]["payload"]))
    told = payload if name == "shopify" else next(iter(payload["data"]["object"].values()))
    told.update(changes)
    return dict(payload)


def sales(items: list[Item]) -> list[Transactions]:
    return [item for item in items if isinstance(item, Transactions)]


@pytest.mark.parametrize(("name", "vector"), VECTORS)
def test_bodies_of_the_makers_documents(name: str, vector: str) -> None:
    told = [to_json(item) for item in decode(name, VECTORS[name, vector]["payload"])]
    for one in told:
        one.pop("key", None)
    assert told == VECTORS[name, vector]["expect"]


@pytest.mark.parametrize(("name", "vector"), [("shopify", "pos-order"), ("square", "completed")])
def test_a_sale_is_known_by_a_key_that_names_no_receipt(name: str, vector: str) -> None:
    first = decode(name, VECTORS[name, vector]["payload"])
    again = decode(name, changed(name, vector, updated_at="2026-11-23T12:00:00Z", note="fee booked"))
    assert again == first
    for item in sales(first):
        assert item.once
        assert item.key
        assert len(item.key) == 24
        assert not {"11748933635", "KkAkhdMsgzn59SM8A89WgKwekxLZY", "CAISENgvhpdP05f1DWG9H8yMn4kZY"} & {
            item.key
        }


def test_an_order_and_its_refund_have_different_keys() -> None:
    order = sales(decode("shopify", changed("shopify", "pos-order", id=5)))[0]
    refund = sales(decode("shopify", changed("shopify", "pos-refund", id=5)))[0]
    assert order.key != refund.key


@pytest.mark.parametrize("status", ["paid", "partially_refunded", "refunded"])
def test_whatever_topic_brings_a_paid_order_it_is_the_same_sale(status: str) -> None:
    """orders/create, orders/paid, orders/updated and orders/cancelled all carry the whole order."""
    body = changed("shopify", "pos-order", financial_status=status, cancelled_at="2017-10-31T10:00:00-04:00")
    assert decode("shopify", body) == decode("shopify", VECTORS["shopify", "pos-order"]["payload"])


@pytest.mark.parametrize("status", ["pending", "authorized", "partially_paid", "voided", "expired", None])
def test_an_order_without_its_money_is_no_sale(status: str | None) -> None:
    items = decode("shopify", changed("shopify", "pos-order", financial_status=status))
    assert items == [Ignored("order that is not paid")]


def test_which_sources_count_is_said_in_the_configuration() -> None:
    web = VECTORS["shopify", "web-order"]["payload"]
    assert sales(decode("shopify", web, sources=["web"]))[0].till == "web"
    assert sales(decode("shopify", web, sources=["*"]))[0].sales == 1
    assert sales(decode("shopify", VECTORS["shopify", "pos-order"]["payload"], sources=["web"])) == []


def test_what_names_a_location_and_no_source_is_a_tills() -> None:
    order = changed("shopify", "pos-order", source_name=None)
    assert decode("shopify", order) == decode("shopify", VECTORS["shopify", "pos-order"]["payload"])
    assert sales(decode("shopify", order, sources=["web"])) == []
    paid = [{**VECTORS["shopify", "pos-refund"]["payload"]["transactions"][0], "source_name": None}]
    refund = changed("shopify", "pos-refund", transactions=paid)
    assert decode("shopify", refund) == decode("shopify", VECTORS["shopify", "pos-refund"]["payload"])


def test_a_refund_in_the_shop_of_an_order_from_elsewhere_counts_where_it_was_made() -> None:
    body = changed("shopify", "pos-refund", refund_line_items=[])
    assert sales(decode("shopify", body))[0].till == "5791776832"


def test_goods_that_come_back_without_money_are_a_return_where_every_source_counts() -> None:
    body = changed("shopify", "pos-refund", transactions=[])
    assert sales(decode("shopify", body)) == []
    assert sales(decode("shopify", body, sources=["*"]))[0].returns == 1


def test_a_refund_of_a_test_order_is_no_return() -> None:
    paid = [{**VECTORS["shopify", "pos-refund"]["payload"]["transactions"][0], "test": True}]
    assert decode("shopify", changed("shopify", "pos-refund", transactions=paid)) == [Ignored("test refund")]


@pytest.mark.parametrize(
    "changes",
    [
        {"total_price": "-1.00"},
        {"total_price": "1e29"},
        {"total_price": None},
        {"total_price": "10.00", "total_tip_received": "11.00"},
        {"currency": "CROWNS"},
        {"processed_at": "yesterday", "created_at": "2026-11-23T10:00:00Z"},
        {"processed_at": None, "created_at": None},
        {"financial_status": ["paid"]},
    ],
)
def test_an_order_that_cannot_be_is_damaged(changes: dict[str, Any]) -> None:
    (item,) = decode("shopify", changed("shopify", "pos-order", **changes))
    assert isinstance(item, Damaged)
    assert item.reason is DamageReason.SANITY


def test_a_sale_without_an_id_is_damaged_since_nothing_would_know_it_again() -> None:
    (item,) = decode("shopify", changed("shopify", "pos-order", id=None))
    assert item == Damaged(DamageReason.SYNTAX, item.bytes)  # type: ignore[union-attr]
    (item,) = decode("square", changed("square", "completed", id=None))
    assert item == Damaged(DamageReason.SYNTAX, item.bytes)  # type: ignore[union-attr]


UPDATES = [
    changed("square", "completed", status=status, updated_at=f"2026-05-20T14:25:{second}Z", **more)
    for status, second, more in (
        ("PENDING", 28, {}),
        ("APPROVED", 29, {}),
        ("COMPLETED", 30, {}),
        ("COMPLETED", 31, {"processing_fee": [{"amount_money": {"amount": 6, "currency": "USD"}}]}),
        ("COMPLETED", 59, {"refunded_money": {"amount": 100, "currency": "USD"}, "refund_ids": ["R"]}),
    )
]


@settings(deadline=None)
@given(st.permutations(UPDATES), st.integers(1, 3))
def test_the_many_updates_of_one_payment_are_one_sale_in_any_order(updates: list[Any], times: int) -> None:
    """What the books hold is what was last told of each key."""
    books = {sale.key: sale for update in updates * times for sale in sales(decode("square", update))}
    assert sum(sale.sales for sale in books.values()) == 1
    assert sum(sale.amount_minor for sale in books.values()) == 200


def test_a_card_that_failed_before_another_paid_is_no_sale_of_its_own() -> None:
    failed = changed("square", "completed", id="P1", status="FAILED")
    paid = changed("square", "completed", id="P2", created_at="2026-05-20T14:26:00Z")
    assert sales(decode("square", failed)) == []
    assert sum(sale.sales for sale in sales(decode("square", paid))) == 1


def test_an_order_that_two_cards_pay_for_is_one_sale_with_both_amounts() -> None:
    one = changed("square", "completed", id="P1")
    two = changed("square", "completed", id="P2", created_at="2026-05-20T14:26:00Z")
    books = {sale.key: sale for update in (one, two) for sale in sales(decode("square", update))}
    assert [sale.sales for sale in books.values()] == [1, 0, 0]
    assert sum(sale.amount_minor for sale in books.values()) == 400


def test_the_sandbox_sells_nothing() -> None:
    payload = VECTORS["square", "completed"]["payload"]
    assert decode("square", payload, {"Square-Environment": "Sandbox"}) == [Ignored("of the sandbox")]
    assert len(sales(decode("square", payload, {"square-environment": "Production"}))) == 2


@pytest.mark.parametrize("name", FILES)
def test_the_location_tells_the_till(name: str) -> None:
    family: Family = load_family(name)
    assert family.match(Device(family.options.model_validate({}))).counter is None
    chosen = family.options.model_validate({"match": {"location": "L1"}})
    assert family.match(Device(chosen)).counter == "L1"


@pytest.mark.parametrize("name", FILES)
def test_an_empty_body_is_ignored_and_noise_is_damaged(name: str) -> None:
    assert decode(name, b" \n") == [Ignored("empty message")]
    assert decode(name, b"{") == [Damaged(DamageReason.SYNTAX, 1)]
