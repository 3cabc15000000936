"""Serial buses of a centre: modules by address on pseudo-terminals with stable names."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from simulators.bus import Bus
from simulators.dcon import Module

Place = tuple[str, str, int, int]  # bus, address, channel counting in, channel counting out


class Port(Bus[Module]):
    """A bus that knows which of its figures have reached the master."""

    def count(self, address: str, channel: int) -> None:
        self.cross(address, ins=int(channel == 0), outs=int(channel == 1))

    def known(self, address: str) -> bool:
        """Was what both channels of this module show read, and the answer heard?"""
        return all(self.devices[address].heard)

    def show(self, address: str, *totals: int) -> None:
        """From now on the module shows these totals, which nobody has read yet."""
        self.do(lambda: self.devices[address].show(*totals))


class Ports:
    """`with Ports(folder, places) as ports:` every bus named by `places` appears as `folder/<bus>`."""

    def __init__(self, folder: Path, places: Iterable[Place]) -> None:
        self.folder = folder
        self._modules: dict[str, list[Module]] = {}
        for bus, address, _in, _out in places:
            self._modules.setdefault(bus, []).append(Module(address))
        self.buses: dict[str, Port] = {}
        self._stack = ExitStack()

    @property
    def paths(self) -> dict[str, Path]:
        return {name: self.folder / name for name in self.buses}

    def bus(self, name: str) -> Port:
        return self.buses[name]

    def __enter__(self) -> Self:
        for name, modules in self._modules.items():
            self.buses[name] = self._stack.enter_context(Port(modules, link=self.folder / name))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
