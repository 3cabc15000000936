"""What is wrong, in our own words: the operator never reads a validator's."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.config.files import Key

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "text in quotes",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "a table",
    "model": "a table",
    "model_attributes": "a table",
    "mapping": "a table",
}
FEW = 8  # keys of a table that may all be named where none is near
LIMITS = {
    "greater_than": "more than {gt:.12g}",
    "greater_than_equal": "at least {ge:.12g}",
    "less_than": "less than {lt:.12g}",
    "less_than_equal": "at most {le:.12g}",
}


def hint(word: str, known: Iterable[str]) -> str:
    """` (did you mean address?)`, or nothing when no known word is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def names_of(model: type[BaseModel]) -> list[str]:
    """The keys a table may have, as they are written in a file."""
    return [info.alias or name for name, info in model.model_fields.items()]


def shown(value: object) -> str:
    """A value as the operator wrote it, cut short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def sentences(
    model: type[BaseModel], error: ValidationError, also: Iterable[str] = ()
) -> list[tuple[Key, str]]:
    """(key below the table, sentence) of every fault; `also`: further keys of this table."""
    found: list[tuple[Key, str]] = []
    for fault in error.errors():
        key = _key(fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = _keys_at(model, fault["loc"][:-1]) + (list(also) if len(key) == 1 else [])
            near = hint(str(fault["loc"][-1]), known)
            few = f"; known: {', '.join(known)}" if 0 < len(known) <= FEW else ""
            found.append((key, f"unknown key{near or few}"))
        elif fault["type"] == "value_error":
            found += [_told(key, line) for line in str(fault["ctx"]["error"]).splitlines()]
        else:
            found.append((key, _sentence(fault["type"], fault.get("ctx", {}), fault["input"])))
    return found


def _told(key: Key, line: str) -> tuple[Key, str]:
    """A validator may name a key below its own: `key: sentence`."""
    below, colon, sentence = line.partition(": ")
    if colon and below and " " not in below:
        return ((*key, below), sentence)
    return key, line


def _sentence(kind: str, context: Mapping[str, Any], given: object) -> str:
    if kind == "missing":
        return "missing"
    if kind in LIMITS:
        return f"must be {LIMITS[kind].format(**context)}, not {shown(given)}"
    if kind in ("literal_error", "enum"):
        known = context["expected"].replace("'", "").replace(" or ", ", ")
        near = hint(given, known.split(", ")) if isinstance(given, str) else ""
        return f"must be one of {known}, not {shown(given)}{near}"
    if kind == "string_pattern_mismatch":
        return f"does not look like {context['pattern']}: {shown(given)}"
    if kind == "finite_number":
        return f"must be a finite number, not {shown(given)}"
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    if kind == "int_from_float":
        return f"must be a whole number, not {shown(given)}"
    base = kind.removesuffix("_type").removesuffix("_parsing")
    if base in KINDS:
        return f"must be {KINDS[base]}, not {shown(given)}"
    return f"not accepted here: {shown(given)}"


def _key(loc: tuple[int | str, ...]) -> Key:
    """The key as written: aliases, `[0]` for list positions, no labels of unions."""
    key: list[str] = []
    for part in loc:
        if isinstance(part, int):
            key.append(f"[{part}]")
        elif part not in ("[key]", "str", "int", "float", "bool") and not part.startswith(
            ("dict[", "list[", "function-", "lax-or-strict")
        ):
            key.append(part)
    return tuple(key)


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc:
        info = next((one for name, one in model.model_fields.items() if part in (name, one.alias)), None)
        inner = _model_in(info.annotation) if info else None
        if inner is not None:
            model = inner
    return names_of(model)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in typing.get_args(annotation) if (found := _model_in(one))), None)
