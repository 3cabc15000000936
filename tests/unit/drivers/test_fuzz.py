"""A second of `make fuzz` for each driver, and proof that it can find something."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from gateway.driver import Kind, family_names, load_family
from gateway.model import Damaged, DamageReason, Register
from tests.fuzz.__main__ import run
from tests.fuzz.target import MEASURE_EVERY, Target


@pytest.mark.needs_module("atheris")
@pytest.mark.parametrize("name", family_names())
def test_a_second_of_fuzzing_finds_nothing(name: str) -> None:
    code, inputs, printed = run(name, 1)
    assert code == 0, printed[-4000:]
    assert inputs > 100


class Broken:
    """A stream driver with one fault."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.held: list[bytes] = []

    def feed(self, data: bytes, at_ms: int) -> list[Any]:
        if self.fault == "crash":
            data.decode("ascii")
        if self.fault == "slow":
            began = time.thread_time()
            while time.thread_time() - began < 0.15:
                pass
        if self.fault == "insane":
            return [Register("c", "main", at_ms, total_in=-1)]
        if self.fault == "growing":
            self.held.append(bytes(100))
        return [Damaged(DamageReason.SYNTAX, 1)]


@pytest.mark.parametrize("fault", ["crash", "slow", "insane", "growing"])
def test_each_kind_of_fault_is_a_finding(fault: str) -> None:
    with pytest.raises((AssertionError, UnicodeDecodeError)):
        hear_much(Broken(fault))


def test_a_sound_driver_is_none() -> None:
    hear_much(Broken(""))


def hear_much(driver: Broken) -> None:
    target = Target("xovis", (replace(load_family("xovis"), kind=Kind.STREAM), driver))
    for _ in range(MEASURE_EVERY * 2):
        target(b"\xff")
