"""What the kernel does not say is not believed."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import clock


def test_a_refused_adjtimex_means_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def library(_name: Any) -> SimpleNamespace:
        return SimpleNamespace(adjtimex=lambda _timex: -1)

    monkeypatch.setattr(ctypes, "CDLL", library)
    assert not clock.kernel_synchronised()
