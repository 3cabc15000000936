"""Where links deliver what they hear: `gateway.ingest.Ingest`, or one that only listens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from gateway.model import Delivery, Item, Stamp


class Ingest(Protocol):
    """What links need of the core. `fault`: why acknowledgements are withheld; "" while they are not."""

    @property
    def full(self) -> bool: ...
    @property
    def fault(self) -> str: ...
    async def wait_room(self) -> None:
        """Returns when links may read again."""

    def hurry(self) -> None:
        """An acknowledging link is stalled: commit what there is."""

    def deliver(
        self,
        link: str,
        source: Any,
        items: Iterable[Item],
        stamp: Stamp,
        *,
        topic: str = "",
        delivery: Delivery | None = None,
        done: Callable[[], None] | None = None,
        patient: bool = False,
        payload: bytes = b"",
        peer: str = "",
    ) -> None:
        """One message's or poll's items. `done` is called after the commit; `patient`: no hurry to commit."""

    def overheard(
        self, link: str, payload: bytes, stamp: Stamp, why: str, *, topic: str = "", peer: str = ""
    ) -> None:
        """A message that no driver saw, because nobody here waits for it."""
