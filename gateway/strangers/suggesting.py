"""The line that would make a stranger a counter, found by trial against the family's own match. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.driver import Device, Family, LineOptions, Match
from gateway.errors import GatewayError
from gateway.model import DEVICE, MAIN_LINE

BARE = re.compile(r"[A-Za-z0-9_-]+")
NO_ID = re.compile(r"[^a-z0-9]+")
MAX_ID = 40

Shared = Mapping[str, Mapping[str, object]]


def suggestion(
    link: str,
    topic: str,
    device: str,
    lines: Mapping[str, str],
    family: Family | None,
    options: Mapping[str, object],
    shared: Shared,
    *,
    till: bool = False,
) -> str:
    """`id = { … }` for [counter] or [till]; without a family one for a mapping yet to be written."""
    name = identity(device if device not in ("", DEVICE) else topic or link)
    if family is None:
        own: dict[str, Any] = {"mapping": "my-mapping"}
        return f"{name} = {inline({'link': link, 'driver': 'mapping', **own, **_topic(topic)})}"
    keys = {**options, **(_topic(topic) if "topic" in _names(family.options) else {})}
    keys |= _naming_device(family, keys, device, shared, "till" if till else "counter")
    keys |= _naming_lines(family, keys, lines, shared)
    return f"{name} = {inline({'link': link, 'driver': family.name, **keys})}"


def identity(text: str) -> str:
    """An id made of what the device calls itself."""
    return NO_ID.sub("-", text.lower()).strip("-")[-MAX_ID:].strip("-") or "new"


def inline(value: Any) -> str:
    """A value as TOML writes it in one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {inline(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else inline(name)


def _topic(topic: str) -> dict[str, Any]:
    return {"topic": topic} if topic else {}


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _naming_device(
    family: Family, keys: Mapping[str, Any], device: str, shared: Shared, what: str
) -> dict[str, Any]:
    """The option by which the family tells this device from its neighbours."""
    if device in ("", DEVICE):
        return {}
    options: list[dict[str, Any]] = [{"serial": device}]
    options += [{"match": {name: device}} for name in sorted(_ids(family), key=lambda name: name != what)]
    for option in options:
        found = _match(family, {**keys, **option}, {}, shared)
        if found is not None and found.counter == device:
            return option
    return {}


def _ids(family: Family) -> list[str]:
    """The keys of its `match`: counter, till, location … as each family calls its devices."""
    found = family.options.model_fields.get("match")
    model = found.annotation if found else None
    return _names(model) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _naming_lines(
    family: Family, keys: Mapping[str, Any], lines: Mapping[str, str], shared: Shared
) -> dict[str, Any]:
    """How its lines are called: beside the counter's own keys for one, in `lines` for several.

    Those that cannot be named (a level, a whole) are left out: the others are then chosen.
    """
    named = {theirs: _naming_line(family, keys, theirs, shared) for theirs in lines if theirs != MAIN_LINE}
    known = {theirs: option for theirs, option in named.items() if option}
    if len(lines) == 1:
        return next(iter(known.values()), {})
    return {"lines": dict(zip(_apart(known), known.values(), strict=True))} if known else {}


def _naming_line(family: Family, keys: Mapping[str, Any], theirs: str, shared: Shared) -> dict[str, Any]:
    for name in _names(family.line_options):
        for value in (theirs, int(theirs)) if theirs.isdecimal() and len(theirs) < 10 else (theirs,):
            found = _match(family, keys, {name: value}, shared)
            if found is not None and found.lines.get(theirs) == MAIN_LINE:
                return {name: value}
    return {}


def _apart(names: Mapping[str, Any]) -> Iterator[str]:
    taken: set[str] = set()
    for name in names:
        ours = identity(name)
        while ours in taken:
            ours += "-2"
        taken.add(ours)
        yield ours


def _match(family: Family, keys: Mapping[str, Any], line: Mapping[str, Any], shared: Shared) -> Match | None:
    """Whom a counter with these keys would take; None where the family does not know them."""
    try:
        lines: dict[str, LineOptions] = {MAIN_LINE: family.line_options.model_validate(line)} if line else {}
        return family.match(Device(family.options.model_validate(keys), lines, shared=shared))
    except (ValidationError, GatewayError, ValueError):
        return None
