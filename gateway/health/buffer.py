"""What a report reads of the buffer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gateway.amendments import Correction
    from gateway.store.events import AlarmFacts
    from gateway.store.reader import Kept
    from gateway.store.zone_lines import ZoneLine


class Buffer(Protocol):
    """What a report reads; `gateway.store.Reader` is one."""

    def aggregates(
        self, zone: str | None, from_ms: int, to_ms: int, size_s: int | None, as_of_ms: int | None = None
    ) -> Sequence[Mapping[str, Any]]: ...
    def zone_lines(
        self, zone: str, from_ms: int, to_ms: int, size_s: int | None, as_of_ms: int | None = None
    ) -> Sequence[ZoneLine]: ...
    def tills_heard(self, zone: str, from_ms: int, to_ms: int) -> bool: ...
    def kept(self, size_s: int | None = None) -> Mapping[str, Kept]: ...
    def zones(self) -> Sequence[Mapping[str, Any]]: ...
    def doubted(self, from_ms: int, to_ms: int) -> Sequence[AlarmFacts]: ...
    def corrections(self) -> Sequence[Correction]: ...
