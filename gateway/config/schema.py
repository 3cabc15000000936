"""JSON Schema of the configuration, for editors; drivers' own keys included."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gateway.config.links import LINK_OPTIONS
from gateway.config.tables import ID, KEYED, SINGLE, CounterTable, LineKeys, Table
from gateway.driver import Family, families
from gateway.upstreams import DRIVERS, load_upstream

DIALECT = "https://json-schema.org/draft/2020-12/schema"
IDS = {"pattern": f"^{ID.pattern}$"}


def schema() -> dict[str, Any]:
    """The whole file as one schema without references outside itself."""
    sound, _ = families()
    tables: dict[str, Any] = {name: _object(model) for name, model in SINGLE.items()}
    tables["include"] = {"type": "array", "items": {"type": "string"}, "description": "files and globs"}
    tables["hours"] = {"type": "object", "additionalProperties": _hours()}
    tables["mapping"] = {"type": "object", "additionalProperties": {"type": "object"}}
    tables["link"] = _keyed([_with(KEYED["link"], "over", *one) for one in LINK_OPTIONS.items()])
    tables["counter"] = _keyed([_member(family, CounterTable) for family in sound])
    tables["till"] = _keyed([_member(family, KEYED["till"]) for family in sound])
    tables["zone"] = _keyed([_object(KEYED["zone"])])
    upstreams = [(name, load_upstream(name).options) for name in sorted(DRIVERS)]
    tables["upstream"] = _keyed([_with(KEYED["upstream"], "driver", *one) for one in upstreams])
    return {
        "$schema": DIALECT,
        "title": "counter-gateway configuration",
        "type": "object",
        "additionalProperties": False,
        "required": ["site"],
        "properties": tables,
    }


def _hours() -> dict[str, Any]:
    """One table of opening hours; weekdays, holidays and dates have their times in one form."""
    span = {"type": "string", "pattern": "^(closed|[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9])$"}
    times = {"anyOf": [span, {"type": "array", "items": span, "minItems": 1}]}
    named = {"type": "object", "additionalProperties": times}
    holidays = {
        "type": "object",
        "properties": {
            "country": {"type": "string", "pattern": "^[A-Z]{2}$", "description": "ISO 3166, e.g. NO"},
            "subdiv": {"type": "string", "description": "part of the country"},
            "open": {**times, "description": "on public holidays; default: closed"},
            "names": {**named, "description": "on single holidays, by their names"},
            "eves": {**named, "description": "on the day before single holidays"},
        },
        "required": ["country"],
        "additionalProperties": False,
    }
    day = "(mon|tue|wed|thu|fri|sat|sun)"
    return {
        "type": "object",
        "properties": {"holidays": holidays, "dates": named},
        "patternProperties": {f"^{day}(-{day})?$": times},
        "additionalProperties": False,
    }


def _object(model: type[BaseModel]) -> dict[str, Any]:
    return _inlined(model.model_json_schema(by_alias=True))


def _keyed(kinds: list[dict[str, Any]]) -> dict[str, Any]:
    one = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {"type": "object", "propertyNames": IDS, "additionalProperties": one}


def _with(table: type[Table], word: str, name: str, options: type[BaseModel]) -> dict[str, Any]:
    """The table with `word` fixed to this name and the options that go with it."""
    found = _object(table)
    found["properties"][word] = {"const": name, "description": table.model_fields[word].description}
    found["properties"]["options"] = _object(options)
    return found


def _member(family: Family, core: type[Table]) -> dict[str, Any]:
    """Core keys, the driver's and, where several lines are possible, each line's."""
    found, line = _object(core), _object(family.line_options)
    own = _object(family.options)
    found["properties"] = {**line["properties"], **own["properties"], **found["properties"]}
    found["properties"]["driver"] = {"const": family.name, "description": family.summary}
    found["required"] = [*found.get("required", []), *own.get("required", [])]
    if "lines" in found["properties"]:
        line["properties"] = {**_object(LineKeys)["properties"], **line["properties"]}
        found["properties"]["lines"] = {"type": "object", "propertyNames": IDS, "additionalProperties": line}
    return found


def _inlined(found: dict[str, Any]) -> dict[str, Any]:
    """References resolved in place: the parts of many models go into one document."""
    defined = found.pop("$defs", {})

    def inline(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                name = str(value["$ref"]).rpartition("/")[2]
                rest = {key: inline(one) for key, one in value.items() if key != "$ref"}
                return {**inline(defined[name]), **rest}
            return {key: inline(one) for key, one in value.items()}
        return [inline(one) for one in value] if isinstance(value, list) else value

    resolved: dict[str, Any] = inline(found)
    return resolved
