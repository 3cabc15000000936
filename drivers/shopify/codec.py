"""Shopify webhooks: an order that is paid for is a sale, a refund is a return.

What a body means stands in the body: every topic of an order carries the whole order. A sale is named by its
order, so that `orders/create`, `orders/paid` and every repetition are one.
"""

from __future__ import annotations

from collections.abc import Collection

from drivers.bodies import Noise, Table, name, opaque, parse_json, table, tables, utc_ms
from drivers.money import currency_code, minor_digits, minor_units
from gateway.model import DEVICE, MAX_MONEY_MINOR, Basis, Damaged, DamageReason, Ignored, Item, Transactions

PAID = frozenset({"paid", "partially_refunded", "refunded"})
PAID_BACK = frozenset({"success", "pending"})  # a card's bank takes days; the customer has left
ANY_SOURCE = "*"


def decode(payload: bytes, sources: Collection[str], currency: str) -> list[Item]:
    """The items of one body; `currency` where it names none. Never raises."""
    if not payload.strip():
        return [Ignored("empty message")]
    try:
        return [_read(table(parse_json(payload)), sources, currency)]
    except Noise as noise:
        return [Damaged(noise.reason, len(payload))]


def _read(body: Table, sources: Collection[str], currency: str) -> Item:
    if "refund_line_items" in body:
        return _refund(body, sources)
    if "financial_status" in body:
        return _order(body, sources, currency)
    return Ignored("no order and no refund")


def _order(order: Table, sources: Collection[str], currency: str) -> Item:
    source, place = name(order.get("source_name")), name(order.get("location_id"))
    if order.get("test") is True:
        return Ignored("test order")
    if not _wanted(source, place, sources):
        return Ignored("order from elsewhere")
    if name(order.get("financial_status")) not in PAID:
        return Ignored("order that is not paid")
    currency = currency_code(order.get("currency"), currency)
    amount = _amount(order, minor_digits(currency))
    if amount == 0:
        return Ignored("order over nothing")
    till = place or source or DEVICE
    return _event("order", order, till, sales=1, amount_minor=amount, currency=currency)


def _amount(order: Table, digits: int) -> int:
    """What was sold, before later refunds; tips are not. Raises Noise."""
    amount = minor_units(order.get("total_price"), digits)
    tip = order.get("total_tip_received")
    amount -= minor_units(tip, digits) if tip else 0
    if not 0 <= amount <= MAX_MONEY_MINOR:
        raise Noise
    return amount


def _refund(refund: Table, sources: Collection[str]) -> Item:
    """Goods that came back, or money that was given back. Raises Noise."""
    paid = [one for one in tables(refund.get("transactions")) if one.get("kind") == "refund"]
    lines = tables(refund.get("refund_line_items"))
    first: Table = paid[0] if paid else {}
    if any(one.get("test") is True for one in paid):
        return Ignored("test refund")
    places = [name(one.get("location_id")) for one in (first, *lines)]
    source = name(first.get("source_name"))
    if not _wanted(source, places[0], sources):
        return Ignored("refund from elsewhere")
    if not any(map(_gives_back, paid)) and not any(one.get("restock_type") == "return" for one in lines):
        return Ignored("refund of nothing")
    return _event("refund", refund, next(filter(None, places), source) or DEVICE, returns=1)


def _gives_back(transaction: Table) -> bool:
    return name(transaction.get("status")) in PAID_BACK and minor_units(transaction.get("amount"), 3) > 0


def _wanted(source: str | None, place: str | None, sources: Collection[str]) -> bool:
    """What says nothing of its source is a till's where it names a location."""
    if source is None and place is not None and "pos" in sources:
        return True
    return ANY_SOURCE in sources or source in sources


def _event(
    kind: str,
    told: Table,
    till: str,
    *,
    sales: int = 0,
    returns: int = 0,
    amount_minor: int = 0,
    currency: str | None = None,
) -> Transactions:
    """Raises Noise where it has no id or no time."""
    number = name(told.get("id"))
    if number is None:
        raise Noise(DamageReason.SYNTAX)
    at_ms = utc_ms(told.get("processed_at") or told.get("created_at"))
    key = opaque(f"shopify/{kind}/{number}")
    return Transactions(
        till, at_ms, at_ms + 1, sales, returns, amount_minor, currency, key, Basis.EVENT, once=True
    )
