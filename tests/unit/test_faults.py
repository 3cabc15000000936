"""What is wrong with a body, told to whoever sent it: short, without values, never at its price."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.driver import Message
from gateway.links.faults import MAX_TOLD_BYTES, SHOWN, faults


def source(find: Any) -> Any:
    return SimpleNamespace(family=SimpleNamespace(name="acme", faults=find), device=None)


def test_many_faults_are_cut_short() -> None:
    told = faults(
        source(lambda _device, _message: [(f"r[{n}].in", "no count") for n in range(99)]), Message(b"x", 0)
    )
    assert told.split("; ") == [*(f"r[{n}].in: no count" for n in range(SHOWN)), "and more"]


def test_a_driver_that_stumbles_over_its_own_words_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def stumble(_device: Any, _message: Message) -> Any:
        raise KeyError("secret")

    assert faults(source(stumble), Message(b"x", 0)) == ""
    assert "driver acme could not tell what is wrong" in caplog.text


@pytest.mark.parametrize("family", [None, SimpleNamespace(name="acme", faults=None)])
def test_a_family_that_tells_nothing(family: Any) -> None:
    assert faults(SimpleNamespace(family=family, device=None), Message(b"x", 0)) == ""


def test_a_long_body_is_not_read_twice() -> None:
    read: list[Message] = []
    assert (
        faults(source(lambda _device, message: read.append(message)), Message(b"x" * (MAX_TOLD_BYTES + 1), 0))
        == ""
    )
    assert read == []
