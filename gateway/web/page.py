"""The live page: one HTML, one script, one style sheet, words in four languages. No CDN, no build step."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from pathlib import Path
from string import Template

from gateway.health import Health
from gateway.web.alarm_words import ALARM_WORDS
from gateway.web.words import WORDS

STATIC = Path(__file__).parent / "static"
FILES = {"page.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"}
NORWEGIAN = {"no": "nb", "nn": "nb"}
DEFAULT = "en"


@cache
def asset(name: str) -> bytes:
    return (STATIC / name).read_bytes()


def language(accept: str) -> str:
    """The best of nb, sv, fi, en for an Accept-Language header."""
    wanted: list[tuple[float, int, str]] = []
    for order, part in enumerate(accept.split(",")[:20]):
        tag, _, rest = part.strip().partition(";")
        primary = tag.strip().split("-")[0].lower()
        wanted.append((-_quality(rest), order, NORWEGIAN.get(primary, primary)))
    return next((tag for quality, _, tag in sorted(wanted) if quality < 0 and tag in WORDS), DEFAULT)


def _quality(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def render(health: Health, tag: str) -> str:
    """The page in one language; names from the configuration are escaped."""
    words = WORDS[tag]
    filled = {name: escape(text) for name, text in words.items()}
    return Template(asset("page.html").decode()).substitute(
        filled,
        lang=tag,
        site=escape(health.site.name or health.site.site),
        words=escape(json.dumps(words | ALARM_WORDS.get(tag, {}), ensure_ascii=False)),
    )
