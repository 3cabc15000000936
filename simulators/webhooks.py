"""Tills that tell each sale by webhook, as Shopify and Square do: signed, at least once, in no order.

Written from shopify.dev (webhooks: delivery structure; REST resources Order and Refund) and
developer.squareup.com (webhooks; objects Payment and PaymentRefund). With trouble, messages come twice or in
another order, answers are lost, cards fail before another pays, the online shop sells too, and somebody tests
or forges.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit
from zlib import crc32

from simulators.receipts import Receipt
from simulators.timing import rfc3339

RETRY_S = 0.2
TIMEOUT_S = 30.0
PATIENCE_S = 60.0
FEE_MINOR = 6


@dataclass(frozen=True, slots=True)
class Hook:
    """One message. `forged`: signed with a key that is not the shop's."""

    topic: str
    body: dict[str, Any]
    forged: bool = False


class Style(Protocol):
    """A maker's messages; those of one sale stand in the order in which things happened."""

    def sale(self, sale: Receipt, chance: random.Random, trouble: float) -> Iterator[Hook]: ...
    def headers(self, hook: Hook, body: bytes, key: str, url: str) -> dict[str, str]: ...


def signature(key: str, signed: bytes) -> str:
    """HMAC-SHA256 in base64, as both makers write it."""
    return base64.b64encode(hmac.digest(key.encode(), signed, "sha256")).decode()


@dataclass(frozen=True, slots=True)
class Shopify:
    """A paid order comes as orders/create and as orders/paid; money given back as refunds/create."""

    currency: str = "NOK"

    def sale(self, sale: Receipt, chance: random.Random, trouble: float) -> Iterator[Hook]:
        if sale.returned:
            yield Hook("refunds/create", self._refund(sale))
            return
        order = self._order(sale)
        yield Hook("orders/create", order)
        yield Hook("orders/paid", order)
        if chance.random() < trouble:
            other = {**order, "id": order["id"] + 1}
            nobody = [
                {**other, "test": True},
                {**other, "source_name": "web", "location_id": None},
                {**other, "financial_status": "pending"},
            ]
            yield Hook("orders/create", chance.choice(nobody))
        if chance.random() < trouble:
            yield Hook("orders/paid", {**order, "id": order["id"] + 2}, forged=True)

    def headers(self, hook: Hook, body: bytes, key: str, url: str) -> dict[str, str]:
        del url
        return {
            "X-Shopify-Topic": hook.topic,
            "X-Shopify-Hmac-Sha256": signature(key, body),
            "X-Shopify-Shop-Domain": "simulated.myshopify.com",
            "X-Shopify-Webhook-Id": str(uuid.UUID(int=crc32(body))),
            "X-Shopify-Event-Id": str(uuid.UUID(int=hook.body["id"])),
        }

    def _order(self, sale: Receipt) -> dict[str, Any]:
        at = rfc3339(sale.at_ms)
        return {
            "id": _number(sale),
            "name": "#1001",
            "created_at": at,
            "processed_at": at,
            "cancelled_at": None,
            "test": False,
            "currency": self.currency,
            "financial_status": "paid",
            "total_price": f"{sale.amount_minor / 100:.2f}",
            "total_tip_received": "0.00",
            "source_name": "pos",
            "location_id": location(sale.till),
        }

    def _refund(self, sale: Receipt) -> dict[str, Any]:
        at, place = rfc3339(sale.at_ms), location(sale.till)
        paid = {"kind": "refund", "status": "success", "amount": "49.90", "source_name": "pos"}
        line = {"quantity": 1, "restock_type": "return", "location_id": place}
        return {
            "id": _number(sale),
            "order_id": 1,
            "created_at": at,
            "processed_at": at,
            "refund_line_items": [line],
            "transactions": [{**paid, "currency": self.currency, "test": False, "location_id": place}],
        }


@dataclass(frozen=True, slots=True)
class Square:
    """A payment is created, approved, completed, and told again with its fee."""

    currency: str = "NOK"

    def sale(self, sale: Receipt, chance: random.Random, trouble: float) -> Iterator[Hook]:
        if sale.returned:
            yield from (self._refund(sale, status) for status in ("PENDING", "COMPLETED"))
            return
        if chance.random() < trouble:
            yield self.payment(sale, "FAILED", "0")
        first = sale.amount_minor // 2 if chance.random() < trouble else sale.amount_minor
        for part, minor in enumerate(filter(None, (first, sale.amount_minor - first)), 1):
            yield self.payment(sale, "APPROVED", str(part), minor)
            yield self.payment(sale, "COMPLETED", str(part), minor)
            fee = [{"amount_money": self._money(FEE_MINOR)}]
            yield self.payment(sale, "COMPLETED", str(part), minor, processing_fee=fee)
        if chance.random() < trouble:
            online = {"square_product": "ONLINE_STORE"}
            order = f"{sale.number}-web"
            yield self.payment(sale, "COMPLETED", "web", application_details=online, order_id=order)
        if chance.random() < trouble:
            hook = self.payment(sale, "COMPLETED", "forged", order_id=f"{sale.number}-forged")
            yield Hook(hook.topic, hook.body, forged=True)

    def headers(self, hook: Hook, body: bytes, key: str, url: str) -> dict[str, str]:
        del hook
        return {
            "x-square-hmacsha256-signature": signature(key, url.encode() + body),
            "square-environment": "Production",
        }

    def _money(self, minor: int) -> dict[str, Any]:
        return {"amount": minor, "currency": self.currency}

    def payment(self, sale: Receipt, status: str, part: str, minor: int | None = None, **more: Any) -> Hook:
        """One message of one payment; `part` tells those of a sale apart."""
        payment = {
            "id": f"{sale.number}-{part}",
            "order_id": sale.number,
            "created_at": rfc3339(sale.at_ms + (1000 if part == "2" else 0)),
            "status": status,
            "amount_money": self._money(sale.amount_minor if minor is None else minor),
            "location_id": sale.till,
            "application_details": {"square_product": "SQUARE_POS"},
            **more,
        }
        return self._hook("payment", payment)

    def _refund(self, sale: Receipt, status: str) -> Hook:
        refund = {
            "id": sale.number,
            "created_at": rfc3339(sale.at_ms),
            "status": status,
            "amount_money": self._money(4990),
            "location_id": sale.till,
        }
        return self._hook("refund", refund)

    def _hook(self, kind: str, told: dict[str, Any]) -> Hook:
        topic = f"{kind}.updated"
        data = {"type": kind, "id": told["id"], "object": {kind: told}}
        return Hook(topic, {"merchant_id": "M1", "type": topic, "event_id": str(uuid.uuid4()), "data": data})


STYLES: dict[str, Callable[[str], Style]] = {"shopify": Shopify, "square": Square}


def location(till: str) -> int:
    """The number of the shop's location: that in the till's name."""
    return int(re.sub(r"\D", "", till) or 0)


def _number(sale: Receipt) -> int:
    """Far enough from its neighbours' for what is made up beside it."""
    return crc32(sale.number.encode()) * 10 + (5 if sale.returned else 0)


@dataclass(slots=True)
class Hooked:
    """Posts each message until it is taken; what is forged must be refused."""

    url: str
    style: Style
    key: str
    seed: int
    signed_url: str = ""  # the address as the maker knows it; default: the one that is posted to
    trouble: float = 0.0
    taken: int = 0
    refused: int = 0
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed}/webhooks")

    def report(self, till: str, start_ms: int, end_ms: int, receipts: Sequence[Receipt]) -> None:  # noqa: ARG002
        hooks = [hook for one in receipts for hook in self.style.sale(one, self._chance, self.trouble)]
        hooks += [hook for hook in hooks if self._chance.random() < self.trouble]
        if self.trouble:
            self._chance.shuffle(hooks)
        for hook in hooks:
            self._deliver(hook)

    def done(self) -> str:
        return f"{self.taken} messages taken, {self.refused} forged ones refused"

    def _deliver(self, hook: Hook) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while (status := self._post(hook)) != (401 if hook.forged else 200):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{hook.topic}: {status or 'no answer'}")
            time.sleep(RETRY_S)
        if hook.forged:
            self.refused += 1
        else:
            self.taken += 1

    def _post(self, hook: Hook) -> int:
        """The answer's status; 0 where there was none, or it was lost."""
        body = json.dumps(hook.body).encode()
        key = "not the key" if hook.forged else self.key
        headers = self.style.headers(hook, body, key, self.signed_url or self.url)
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", parts.path, body, {"Content-Type": "application/json", **headers})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
        return 0 if self._chance.random() < self.trouble else status
