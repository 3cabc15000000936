"""SAF-T Cash Register: options, and which till a receipt belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from pydantic import Field

from drivers.local import ZoneName, zone_for
from drivers.saft import codec
from gateway.driver import Device, Family, Kind, LineOptions, Match, Message, Options
from gateway.model import Basis, Item, Resets


class SaftMatch(Options):
    """Which receipts are this till's."""

    till: str | None = Field(default=None, description="registerID of the cash register")


class SaftOptions(Options):
    """One cash register, or all of a file."""

    match: SaftMatch = Field(default_factory=SaftMatch, description="the register the receipt must come from")
    organisation: str | None = Field(
        default=None, description="companyIdent the file must carry, when files of several companies come"
    )
    sales: list[str] = Field(
        default=["11001", "11002", "11012", "11015", "11016", "11017"],
        description="transaction codes that are sales: of the list, or the company's own",
    )
    returns: list[str] = Field(
        default=["11006", "11013"], description="transaction codes that are returns, likewise"
    )
    zone: ZoneName = Field(
        default="site", description="time zone of the cash register's clock: site, utc or a name"
    )


class Saft:
    """Messages: stateless."""

    def __init__(self, device: Device) -> None:
        self._rules = _rules(device)

    def decode(self, message: Message) -> Iterable[Item]:
        return codec.decode(message.payload, message.at_ms, self._rules)


def _rules(device: Device) -> codec.Rules:
    options = cast("SaftOptions", device.options)
    return codec.Rules(
        tuple(options.sales),
        tuple(options.returns),
        zone_for(options.zone, device.site),
        device.site.currency,
        options.organisation,
    )


def faults(device: Device, message: Message) -> Iterable[tuple[str, str]]:
    return codec.faults(message.payload, message.at_ms, _rules(device))


FAMILY = Family(
    name="saft",
    summary="SAF-T Cash Register files (Norway, Denmark): every receipt of a cash register's journal",
    kind=Kind.MESSAGES,
    over=frozenset({"folder", "push"}),
    options=SaftOptions,
    line_options=LineOptions,
    open=Saft,
    match=lambda device: Match(cast("SaftOptions", device.options).match.till),
    basis=Basis.EVENT,
    resets=Resets.NEVER,
    faults=faults,
)
