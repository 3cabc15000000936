"""OpenAPI 3.1 of the local HTTP."""

from __future__ import annotations

from typing import Any

from gateway import __version__

_PROBLEM = {
    "description": "problem details",
    "content": {"application/problem+json": {"schema": {"type": "object"}}},
}
_TIME = {"type": "string", "description": "RFC 3339, or Unix seconds"}
_PATHS = {
    "/": ("the live page", "text/html"),
    "/metrics": ("Prometheus exposition", "text/plain"),
    "/healthz": ("200 while the process answers", "text/plain"),
    "/readyz": ("200 when buffer and HTTP are open and every link was started", "text/plain"),
    "/api/v1/live": ("one snapshot of everything", "application/json"),
    "/api/v1/zones": ("zones with today's figures and opening hours", "application/json"),
    "/api/v1/counters": ("counters and tills with their state", "application/json"),
    "/api/v1/links": ("links with their telegrams by result", "application/json"),
    "/api/v1/upstreams": ("receivers with what is pending", "application/json"),
    "/api/v1/audit": ("the books", "application/json"),
    "/api/v1/aggregates": ("closed windows of one zone", "application/json"),
    "/api/openapi.json": ("this document", "application/json"),
}
_QUERY = (
    ("zone", True, {"type": "string"}),
    ("from", False, _TIME),
    ("to", False, _TIME),
    ("size_s", False, {"type": "integer", "minimum": 1, "maximum": 86_400}),
    ("as_of", False, _TIME),
)


def document() -> dict[str, Any]:
    paths = {path: {"get": _operation(text, media)} for path, (text, media) in _PATHS.items()}
    history = paths["/api/v1/aggregates"]["get"]
    history["parameters"] = [
        {"name": name, "in": "query", "required": required, "schema": schema}
        for name, required, schema in _QUERY
    ]
    history["responses"]["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "counter-gateway", "version": __version__},
        "paths": paths,
    }


def _operation(text: str, media: str) -> dict[str, Any]:
    schema = {"type": "object"} if media == "application/json" else {"type": "string"}
    ok = {"description": text, "content": {media: {"schema": schema}}}
    return {"summary": text, "responses": {"200": ok, "default": _PROBLEM}}
