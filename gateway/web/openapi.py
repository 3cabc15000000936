"""OpenAPI 3.1 of the local HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway import __version__
from gateway.model import SIZES_S

_PROBLEM = {
    "description": "problem details",
    "content": {"application/problem+json": {"schema": {"type": "object"}}},
}
_TIME = {"type": "string", "description": "RFC 3339, or Unix seconds"}
_TYPED = {"type": "string", "description": "RFC 3339; without an offset the site's"}
_PATHS = {
    "/": ("the live page", "text/html"),
    "/metrics": ("Prometheus exposition", "text/plain"),
    "/healthz": ("200 while the process answers", "text/plain"),
    "/readyz": ("200 when buffer and HTTP are open and every link was started", "text/plain"),
    "/api/v1/live": ("one snapshot of everything", "application/json"),
    "/api/v1/events": ("server-sent events: live, aggregate", "text/event-stream"),
    "/api/v1/zones": ("zones with today's figures and opening hours", "application/json"),
    "/api/v1/counters": ("counters and tills with their state", "application/json"),
    "/api/v1/links": ("links with their telegrams by result", "application/json"),
    "/api/v1/upstreams": ("receivers with what is pending", "application/json"),
    "/api/v1/alarms": ("what looks wrong with counters now, or in a span of time", "application/json"),
    "/api/v1/audit": ("the books", "application/json"),
    "/api/v1/aggregates": ("closed windows of one zone", "application/json"),
    "/api/v1/taps": ("the bag rate of a zone's survey", "application/json"),
    "/api/v1/tallies": ("a line's tallies beside what its counter counted", "application/json"),
    "/api/v1/campaigns": ("campaigns that were entered", "application/json"),
    "/api/v1/corrections": ("corrections that were entered, undone ones too", "application/json"),
    "/api/v1/acceptances": ("calibrations that were accepted from tallies", "application/json"),
    "/api/v1/campaigns/{id}": ("whether a campaign shows", "application/json"),
    "/api/v1/growth": ("like-for-like growth of a zone's doors", "application/json"),
    "/api/v1/days": ("business days of one zone, added up, with what is missing", "application/json"),
    "/api/openapi.json": ("this document", "application/json"),
}
_ID = {
    "type": "string",
    "maxLength": 64,
    "description": "made by the client: the same again is the same entry",
}
_COUNT = {"type": "integer", "minimum": 0}
_NAMES = {"type": "array", "items": {"type": "string"}}
_SPAN = {"from": _TYPED, "to": _TYPED}
# path → (what is entered, its keys, those that must be there)
_ENTERED: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "/api/v1/taps": (
        "one person seen leaving",
        {"zone": {"type": "string"}, "bag": {"type": "boolean"}, "at": _TYPED},
        ("zone", "bag"),
    ),
    "/api/v1/tallies": (
        "persons counted by hand at a line",
        {"line": {"type": "string"}, **_SPAN, "ins": _COUNT, "outs": _COUNT, "passes": _COUNT},
        ("line", "from", "to"),
    ),
    "/api/v1/corrections": (
        "what really crossed a line, in place of what was counted",
        {
            "line": {"type": "string"},
            **_SPAN,
            "ins": _COUNT,
            "outs": _COUNT,
            "passes": _COUNT,
            "reason": {"type": "string", "minLength": 1},
        },
        ("line", "from", "to", "reason"),
    ),
    "/api/v1/acceptances": (
        "that what a line's tallies say shall hold, as a calibration",
        {"line": {"type": "string"}, "side": {"enum": ["in", "out", "passes"]}, "from": _TYPED},
        ("line", "side"),
    ),
    "/api/v1/campaigns": (
        "what was done in some zones and why",
        {
            **_SPAN,
            "zones": _NAMES,
            "controls": _NAMES,
            "measure": {"enum": ["visitors", "sales", "conversion"]},
            "purpose": {"type": "string"},
            "goal": {"type": "number"},
        },
        ("from", "to", "zones"),
    ),
}
_ASKED = {
    "/api/v1/taps": ("zone",),
    "/api/v1/tallies": ("line",),
    "/api/v1/campaigns/{id}": ("id",),
    "/api/v1/growth": ("zone", "from", "to"),
}
_QUERY = (
    ("zone", True, {"type": "string"}),
    ("from", False, _TIME),
    ("to", False, _TIME),
    ("size_s", False, {"type": "integer", "enum": list(SIZES_S)}),
    ("as_of", False, _TIME),
)
_DATE = {"type": "string", "format": "date", "description": "a business day of the site"}
_DAYS_QUERY = (
    ("zone", True, {"type": "string"}),
    ("from", False, _DATE),
    ("to", False, {**_DATE, "description": "the business day after the last"}),
    ("by", False, {"enum": ["day", "week", "month", "period"], "default": "day"}),
    ("doors", False, {"enum": ["0", "1"], "description": "1: each line, too, with when it was not watched"}),
)


def document() -> dict[str, Any]:
    """OpenAPI 3, as plain data."""
    paths = {path: {"get": _operation(text, media)} for path, (text, media) in _PATHS.items()}
    for path, query in (("/api/v1/aggregates", _QUERY), ("/api/v1/days", _DAYS_QUERY)):
        history = paths[path]["get"]
        history["parameters"] = [
            {"name": name, "in": "query", "required": required, "schema": schema}
            for name, required, schema in query
        ]
        history["responses"]["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}
    for path, entered in _ENTERED.items():
        paths[path]["post"] = _entering(*entered)
    for path, names in _ASKED.items():
        where = "path" if "{" in path else "query"
        paths[path]["get"]["parameters"] = [
            {"name": name, "in": where, "required": True, "schema": {"type": "string"}} for name in names
        ]
    paths["/api/v1/alarms"]["get"]["parameters"] = _parameters(("from", "to"))
    return {
        "openapi": "3.1.0",
        "info": {"title": "counter-gateway", "version": __version__},
        "paths": paths,
    }


def _parameters(names: Iterable[str]) -> list[dict[str, Any]]:
    wanted = set(names)
    return [
        {"name": name, "in": "query", "required": required, "schema": schema}
        for name, required, schema in _QUERY
        if name in wanted
    ]


def _operation(text: str, media: str) -> dict[str, Any]:
    schema = {"type": "object"} if media == "application/json" else {"type": "string"}
    ok = {"description": text, "content": {media: {"schema": schema}}}
    return {"summary": text, "responses": {"200": ok, "default": _PROBLEM}}


def _entering(text: str, keys: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    """One entry or a list of them; answered as kept."""
    properties = {"id": _ID, "by": {"type": "string", "maxLength": 64}, **keys}
    one = {"type": "object", "additionalProperties": False, "properties": properties}
    one["required"] = ["id", *required]
    schema = {"oneOf": [one, {"type": "array", "items": one}]}
    kept = {"content": {"application/json": {"schema": {"type": ["object", "array"]}}}}
    return {
        "summary": f"enter {text}",
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "201": {"description": "kept", **kept},
            "200": {"description": "known already", **kept},
            "409": {"description": "the id was used for something else", "content": _PROBLEM["content"]},
            "default": _PROBLEM,
        },
    }
