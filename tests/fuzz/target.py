"""What counts as a finding: a crash, an insane item, an input that takes too long, a driver that grows."""

from __future__ import annotations

import gc
import sys
import time
import types
from typing import Any, cast

from gateway.driver import Exchange, Family, Kind, Response
from gateway.model import Item
from tests.families import AT_MS, HELD_BYTES, SAMPLES, assert_sane, hear, opened

SLOWEST_S = 0.1
MEASURE_EVERY = 2_000  # inputs between two looks at what the driver holds
SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def held_bytes(thing: object) -> int:
    """Everything reachable from here that is data, each object once."""
    seen: dict[int, object] = {}
    open_ = [thing]
    while open_:
        one = open_.pop()
        if id(one) in seen or isinstance(one, SHARED):
            continue
        seen[id(one)] = one
        open_ += gc.get_referents(one)
    return sum(sys.getsizeof(one) for one in seen.values())


class Target:
    """One driver that hears input after input, as on a line that never falls silent."""

    def __init__(self, name: str, made: tuple[Family, Any] | None = None) -> None:
        self.name = name
        self.family: Family
        self.driver: Any
        self.family, self.driver = made or opened(name)
        self._inputs = 0
        self._at_first = 0

    def __call__(self, data: bytes) -> None:
        began = time.thread_time()
        items = self._items(data)
        spent_s = time.thread_time() - began
        assert_sane(items)
        assert spent_s < SLOWEST_S, f"{self.name}: {spent_s:.3f} s for {len(data)} bytes"
        self._inputs += 1
        if self._inputs % MEASURE_EVERY == 0:
            self._weigh()

    def _items(self, data: bytes) -> list[Item]:
        """Of a device that is asked the first byte says where the question ends and the answer begins."""
        items = hear(self.name, self.family, self.driver, data)
        if self.family.kind is Kind.EXCHANGE and data:
            cut = data[0] % len(data) + 1
            items += cast("Exchange", self.driver).answer(data[1:cut], Response(data[cut:], AT_MS))
        return items

    def _weigh(self) -> None:
        held = held_bytes(self.driver)
        self._at_first = self._at_first or held
        assert held < self._at_first + HELD_BYTES, (
            f"{self.name}: holds {held} bytes, {self._at_first} at first"
        )


def seeds(name: str) -> dict[str, bytes]:
    """Intact input to begin from."""
    sample = SAMPLES[name]
    question = bytes([len(sample.request) or 1]) + sample.request
    return {"telegram": sample.telegram, "twice": sample.telegram * 2, "asked": question + sample.telegram}
