"""XML bodies as values that paths can walk: an element is its text, and knows what stands in it.

Namespaces are left out: one device writes the same names in three of them. A document type is refused, so
there are no entities but the five of XML itself, and nothing outside the body is ever read.
"""

from __future__ import annotations

from typing import Any, Self
from xml.parsers import expat

from drivers.bodies import Noise
from gateway.model import DamageReason

MAX_DEPTH = 64  # elements inside each other
MAX_NODES = 250_000  # elements and attributes of one body
_NOTHING: dict[str, Any] = {}


class Element(str):
    """The text of an element; `get` gives its attribute `@name` or its child, or the list of several.

    `tag` is set for the outermost element only, which also answers to its own name.
    """

    inner: dict[str, Any]
    tag: str

    def __new__(cls, text: str, inner: dict[str, Any], tag: str = "") -> Self:
        element = super().__new__(cls, text)
        element.inner, element.tag = inner, tag
        return element

    def get(self, name: str) -> Any:
        found = self.inner.get(name)
        return self if found is None and name == self.tag and name else found

    def __getitem__(self, name: Any) -> Any:
        return self.get(name) if isinstance(name, str) else super().__getitem__(name)


class _Builder:
    """What expat says, as elements. `open` holds (name, texts, inner) of the elements that are not closed."""

    def __init__(self) -> None:
        self.open: list[tuple[str, list[str], dict[str, Any]]] = []
        self.root: Element | None = None
        self._nodes = 0

    def start(self, name: str, attributes: list[str]) -> None:
        self._nodes += 1 + len(attributes) // 2
        if len(self.open) >= MAX_DEPTH or self._nodes > MAX_NODES:
            raise Noise(DamageReason.LENGTH)
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        inner = {f"@{_local(key)}": value for key, value in pairs if not key.startswith("xmlns")}
        self.open.append((_local(name), [], inner))

    def text(self, text: str) -> None:
        self.open[-1][1].append(text)

    def end(self, _name: str) -> None:
        name, texts, inner = self.open.pop()
        text = "".join(texts).strip()
        if not self.open:
            self.root = Element(text, inner, name)
            return
        siblings, element = self.open[-1][2], Element(text, inner or _NOTHING)
        before = siblings.get(name)
        if before is None:
            siblings[name] = element
        elif isinstance(before, list):
            before.append(element)
        else:
            siblings[name] = [before, element]


def inner(element: Element, name: str) -> list[Element]:
    """The elements of one name that stand in this one: none, one or several."""
    found = element.get(name)
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, Element)]


def parse_xml(payload: bytes) -> Element:
    """The outermost element. Raises Noise: syntax (also for any document type), length."""
    parser, builder = expat.ParserCreate(), _Builder()
    parser.ordered_attributes = parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(payload.lstrip(), True)
    except (expat.ExpatError, LookupError, ValueError):
        raise Noise(DamageReason.SYNTAX) from None
    if builder.root is None:
        raise Noise(DamageReason.SYNTAX)
    return builder.root


def _refuse(*_told: object) -> None:
    raise Noise(DamageReason.SYNTAX)


def _local(name: str) -> str:
    return name.rpartition(":")[2]
