"""Shopify: options, and which till an order belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from pydantic import Field

from drivers.shopify import codec
from gateway.driver import Device, Family, Kind, LineOptions, Match, Message, Options
from gateway.model import Basis, Item, Resets


class ShopifyMatch(Options):
    """Which orders are this till's."""

    location: str | None = Field(
        default=None, description="id of the shop's location; orders without one go by their source_name"
    )


class ShopifyOptions(Options):
    """One shop, or one of its locations."""

    match: ShopifyMatch = Field(default_factory=ShopifyMatch, description="the location the order must carry")
    sources: list[str] = Field(
        default=["pos"],
        description='source_name of the orders that count: pos is the till, web the online shop, "*" all',
    )


class Shopify:
    """Messages: stateless."""

    def __init__(self, device: Device) -> None:
        self._sources = frozenset(cast("ShopifyOptions", device.options).sources)
        self._currency = device.site.currency

    def decode(self, message: Message) -> Iterable[Item]:
        return codec.decode(message.payload, self._sources, self._currency)


FAMILY = Family(
    name="shopify",
    summary="Shopify POS and shops: orders and refunds by webhook",
    kind=Kind.MESSAGES,
    over=frozenset({"push"}),
    options=ShopifyOptions,
    line_options=LineOptions,
    open=Shopify,
    match=lambda device: Match(cast("ShopifyOptions", device.options).match.location),
    basis=Basis.EVENT,
    resets=Resets.NEVER,
)
