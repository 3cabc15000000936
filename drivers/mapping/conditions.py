"""`where` and `except`: which rows a reading means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from drivers.bodies import Noise, decimal
from drivers.mapping import paths
from drivers.mapping.paths import Getter, Scope

Value = str | bool | int | float
Test = Callable[[Any], bool]


class Comparison(BaseModel):
    """All that are given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    like: str | None = Field(None, description="text with * and ?")
    not_: Value | list[Value] | None = Field(None, alias="not", description="neither of these")
    below: float | None = None
    above: float | None = None
    exists: bool | None = Field(None, description="true: given and not null")


Condition = Value | list[Value] | Comparison


def condition_problems(conditions: Mapping[str, Condition]) -> list[str]:
    return [
        f"where: {path!r} asks nothing (like, not, below, above, exists)"
        for path, condition in conditions.items()
        if isinstance(condition, Comparison) and not condition.model_fields_set
    ]


def compile_where(conditions: Mapping[str, Condition]) -> list[tuple[Getter, Test]]:
    return [(paths.getter(paths.parse(path)), _test(wanted)) for path, wanted in conditions.items()]


def fits(scope: Scope, where: list[tuple[Getter, Test]], unless: list[tuple[Getter, Test]]) -> bool:
    for get, test in where:
        if not test(get(scope)):
            return False
    return not any(test(get(scope)) for get, test in unless)


def _test(wanted: Condition) -> Test:
    if isinstance(wanted, Comparison):
        return _comparison(wanted)
    if isinstance(wanted, list):
        return _one_of(wanted)
    return _equals(wanted)


def _equals(wanted: Value) -> Test:
    """`1` means the number and the text "1", never `true`."""
    text = str(wanted)
    if isinstance(wanted, bool):
        return lambda value: value is wanted or (isinstance(value, str) and value.lower() == text.lower())
    if isinstance(wanted, str):
        return lambda value: value == wanted or (type(value) is int and str(value) == wanted)
    return lambda value: (not isinstance(value, bool) and value == wanted) or value == text


def _one_of(wanted: list[Value]) -> Test:
    tests = [_equals(one) for one in wanted]
    return lambda value: any(test(value) for test in tests)


def _comparison(wanted: Comparison) -> Test:
    tests: list[Test] = []
    if wanted.exists is not None:
        exists = wanted.exists
        tests.append(lambda value: (value is not None) is exists)
    if wanted.not_ is not None:
        same = _one_of(wanted.not_ if isinstance(wanted.not_, list) else [wanted.not_])
        tests.append(lambda value: not same(value))
    if wanted.like is not None:
        like = re.compile(translate(wanted.like.replace("[", "[[]")))
        tests.append(lambda value: isinstance(value, str | int) and like.match(str(value)) is not None)
    if wanted.below is not None:
        below = wanted.below
        tests.append(lambda value: _number(value, float("inf")) < below)
    if wanted.above is not None:
        above = wanted.above
        tests.append(lambda value: _number(value, float("-inf")) > above)
    return lambda value: all(test(value) for test in tests)


def _number(value: Any, otherwise: float) -> float:
    try:
        return float(decimal(value))
    except (Noise, OverflowError):
        return otherwise
