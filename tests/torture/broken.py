"""The daemon with one promise broken: negative controls, each of which the torture must catch.

python -m tests.torture.broken FAULT run -c gateway.toml
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any


def acknowledge_early() -> None:
    """Says "received" before the commit: a kill in between loses what the broker has forgotten."""
    from gateway.ingest import Ingest

    deliver = Ingest.deliver

    def early(self: Ingest, *args: Any, done: Callable[[], None] | None = None, **kwargs: Any) -> None:
        if done:
            done()
        deliver(self, *args, **kwargs)

    Ingest.deliver = early  # type: ignore[method-assign]
    import gateway.ingest

    gateway.ingest.IMPATIENT_S = 1.0  # a wide door for the kill
    gateway.ingest.BATCH_READINGS = 1_000_000
    Ingest.hurry = lambda self: None  # type: ignore[method-assign]


def delete_early() -> None:
    """Delivered when taken, not when the receiver said "stored"."""
    from gateway.forward import Pump
    from gateway.model import Event, Receipt

    send = Pump._send

    async def settled_first(self: Pump, batch: list[Event]) -> Receipt:
        receipt = Receipt(accepted=frozenset(event.id for event in batch))
        await self._store.settle(self.state.name, batch, receipt, self._clock.wall_ms())
        await asyncio.sleep(1)  # a wide door for the kill
        return await send(self, batch)

    Pump._send = settled_first  # type: ignore[method-assign,assignment]


def _store_with(fault: str) -> Callable[[], None]:
    def patch() -> None:
        from gateway.store import Store

        opened = Store.open

        async def faulty(*args: Any, **kwargs: Any) -> Store:
            return await opened(*args, faults=frozenset({fault}), **kwargs)

        Store.open = faulty  # type: ignore[method-assign,assignment]

    return patch


FAULTS: dict[str, Callable[[], None]] = {
    "acknowledge-early": acknowledge_early,
    "delete-early": delete_early,
    "synchronous-normal": _store_with("synchronous_normal"),
    "settle-any-revision": _store_with("settle_any_revision"),
}


def main() -> None:
    fault = sys.argv.pop(1)
    FAULTS[fault]()
    from gateway.__main__ import main as command

    command()


if __name__ == "__main__":
    main()
