"""Square: options, and which till a payment belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from pydantic import Field

from drivers.square import codec
from gateway.driver import Device, Family, Kind, LineOptions, Match, Message, Options
from gateway.model import Basis, Ignored, Item, Resets

ENVIRONMENT, SANDBOX = "square-environment", "sandbox"


class SquareMatch(Options):
    """Which payments are this till's."""

    location: str | None = Field(default=None, description="id of the seller's location")


class SquareOptions(Options):
    """One seller, or one of the locations."""

    match: SquareMatch = Field(default_factory=SquareMatch, description="the location the payment must carry")
    elsewhere: list[str] = Field(
        default=["ECOMMERCE_API", "INVOICES", "ONLINE_STORE"],
        description="square_product of the payments that are made nowhere near the till, and do not count",
    )


class Square:
    """Messages: stateless."""

    def __init__(self, device: Device) -> None:
        self._elsewhere = frozenset(cast("SquareOptions", device.options).elsewhere)
        self._currency = device.site.currency

    def decode(self, message: Message) -> Iterable[Item]:
        headers = {key.lower(): value.lower() for key, value in message.headers.items()}
        if headers.get(ENVIRONMENT) == SANDBOX:
            return [Ignored("of the sandbox")]
        return codec.decode(message.payload, self._elsewhere, self._currency)


FAMILY = Family(
    name="square",
    summary="Square Point of Sale and terminals: payments and refunds by webhook",
    kind=Kind.MESSAGES,
    over=frozenset({"push"}),
    options=SquareOptions,
    line_options=LineOptions,
    open=Square,
    match=lambda device: Match(cast("SquareOptions", device.options).match.location),
    basis=Basis.EVENT,
    resets=Resets.NEVER,
)
