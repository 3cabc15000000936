"""Square webhooks: a completed payment is a sale, a completed refund a return.

A payment is told many times: created, approved, completed, then again with its fees and refunds. Only the
completed one counts, named by its payment. The sale is named by the order, so that an order that two cards
pay for is one sale.
"""

from __future__ import annotations

from collections.abc import Collection

from drivers.bodies import Noise, Table, name, opaque, parse_json, table, utc_ms, whole
from drivers.money import currency_code
from gateway.model import DEVICE, MAX_MONEY_MINOR, Basis, Damaged, DamageReason, Ignored, Item, Transactions

COMPLETED = "COMPLETED"


def decode(payload: bytes, elsewhere: Collection[str], currency: str) -> list[Item]:
    """The items of one body; `elsewhere`: products that are no till. Never raises."""
    if not payload.strip():
        return [Ignored("empty message")]
    try:
        told = table(table(table(parse_json(payload)).get("data")).get("object"))
        if "payment" in told:
            return _payment(table(told["payment"]), elsewhere, currency)
        if "refund" in told:
            return [_refund(table(told["refund"]), currency)]
    except Noise as noise:
        return [Damaged(noise.reason, len(payload))]
    return [Ignored("no payment and no refund")]


def _payment(payment: Table, elsewhere: Collection[str], currency: str) -> list[Item]:
    if name(payment.get("status")) != COMPLETED:
        return [Ignored("payment that is not completed")]
    if name(table(payment.get("application_details")).get("square_product")) in elsewhere:
        return [Ignored("payment from elsewhere")]
    currency, amount = _money(payment, currency)
    if not amount:
        return [Ignored("payment over nothing")]
    offline = table(payment.get("offline_payment_details")).get("client_created_at")
    at_ms = utc_ms(offline or payment.get("created_at"))
    till, number, order = _till(payment), _id(payment), name(payment.get("order_id"))
    if order is None:
        return [_event(till, at_ms, f"payment/{number}", sales=1, amount_minor=amount, currency=currency)]
    return [
        _event(till, at_ms, f"order/{order}", sales=1, currency=currency),
        _event(till, at_ms, f"payment/{number}", amount_minor=amount, currency=currency),
    ]


def _refund(refund: Table, currency: str) -> Item:
    if name(refund.get("status")) != COMPLETED:
        return Ignored("refund that is not completed")
    currency, amount = _money(refund, currency)
    if not amount:
        return Ignored("refund of nothing")
    at_ms = utc_ms(refund.get("created_at"))
    return _event(_till(refund), at_ms, f"refund/{_id(refund)}", returns=1, currency=currency)


def _money(told: Table, default: str) -> tuple[str, int]:
    """In the smallest denomination, which is the minor unit; without the tip. Raises Noise."""
    money = table(told.get("amount_money"))
    return currency_code(money.get("currency"), default), whole(money.get("amount"), MAX_MONEY_MINOR) or 0


def _till(told: Table) -> str:
    return name(told.get("location_id")) or DEVICE


def _id(told: Table) -> str:
    number = name(told.get("id"))
    if number is None:
        raise Noise(DamageReason.SYNTAX)
    return number


def _event(
    till: str, at_ms: int, key: str, *, sales: int = 0, returns: int = 0, amount_minor: int = 0, currency: str
) -> Transactions:
    key = opaque(f"square/{key}")
    return Transactions(
        till, at_ms, at_ms + 1, sales, returns, amount_minor, currency, key, Basis.EVENT, once=True
    )
