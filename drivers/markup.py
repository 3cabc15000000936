"""XML bodies as values that paths can walk: an element is its text, and knows what stands in it.

Namespaces are left out: one device writes the same names in three of them. A document type is refused, so
there are no entities but the five of XML itself, and nothing outside the body is ever read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Self
from xml.parsers import expat

from drivers.bodies import Noise
from drivers.objects import BLANK, LONGEST
from gateway.model import Damaged, DamageReason

MAX_DEPTH = 64  # elements inside each other
MAX_NODES = 250_000  # elements and attributes of one body
MAX_INSIDE = 20_000  # of one element of a body that is read in passing
MAX_TEXT = 1 << 20  # characters of one such element
MAX_NAMES = 1000  # different ones there, of tags and attributes; the parser remembers each
MAX_TOKEN_BYTES = 1 << 20  # of a tag or a comment there
CHUNK_BYTES = 1 << 16
STEP_BYTES = 4096  # that the parser gets of a stream at a time: what is no XML costs no more
MAX_ROOT = 128  # bytes of an outermost element's name
BEGINNING = re.compile(rb"<[?!:A-Z_a-z\x80-\xff]")
TAG = re.compile(rb"""<(?:[^"'>]|"[^"]*"|'[^']*')*>""")
_NOTHING: dict[str, Any] = {}


class Element(str):
    """The text of an element; `get` gives its attribute `@name` or its child, or the list of several.

    `tag` is set for the outermost element only, which also answers to its own name.
    """

    __slots__ = ("inner", "tag")
    inner: dict[str, Any]
    tag: str

    def __new__(cls, text: str, inner: dict[str, Any], tag: str = "") -> Self:
        element = super().__new__(cls, text)
        element.inner, element.tag = inner, tag
        return element

    def get(self, name: str) -> Any:
        found = self.inner.get(name)
        if found is None and ":" in name:
            return self.get(unprefixed(name))
        return self if found is None and name == self.tag and name else found

    def __getitem__(self, name: Any) -> Any:
        return self.get(name) if isinstance(name, str) else super().__getitem__(name)


class _Builder:
    """What expat says, as elements. `open` holds (name, texts, inner) of the elements that are not closed."""

    def __init__(self, most: int = MAX_NODES) -> None:
        self.open: list[tuple[str, list[str], dict[str, Any]]] = []
        self.root: Element | None = None
        self._most = most

    def start(self, name: str, attributes: list[str]) -> None:
        self._most -= 1 + len(attributes) // 2
        if len(self.open) >= MAX_DEPTH or self._most < 0:
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


class _Passing:
    """What expat says of a long body: the elements at the wanted paths are built, and found once whole."""

    def __init__(self, wanted: Collection[str], without: Collection[str]) -> None:
        self._wanted, self._without = frozenset(wanted), frozenset(without)
        self._paths = [""]
        self._names: set[str] = set()
        self._builder: _Builder | None = None
        self._text = self._passed_over = 0
        self.found: list[tuple[str, Element]] = []

    def start(self, name: str, attributes: list[str]) -> None:
        self._names.add(name)
        self._names.update(attributes[::2])
        if len(self._names) > MAX_NAMES:
            raise Noise(DamageReason.LENGTH)
        if self._builder is None:
            self._enter(_local(name))
        if self._passed_over or (self._builder and self._builder.open and _local(name) in self._without):
            self._passed_over += 1
        elif self._builder:
            self._builder.start(name, attributes)

    def _enter(self, name: str) -> None:
        if len(self._paths) > MAX_DEPTH:
            raise Noise(DamageReason.LENGTH)
        self._paths.append(f"{self._paths[-1]}/{name}")
        if self._paths[-1] in self._wanted:
            self._builder, self._text = _Builder(MAX_INSIDE), 0

    def text(self, text: str) -> None:
        if self._builder and not self._passed_over:
            self._text += len(text)
            if self._text > MAX_TEXT:
                raise Noise(DamageReason.LENGTH)
            self._builder.text(text)

    def end(self, name: str) -> None:
        if self._passed_over:
            self._passed_over -= 1
            return
        if self._builder is not None:
            self._builder.end(name)
            if self._builder.root is None:
                return
            self.found.append((self._paths[-1], self._builder.root))
            self._builder = None
        self._paths.pop()


def elements(
    payload: bytes, wanted: Collection[str], without: Collection[str] = ()
) -> Iterator[tuple[str, Element]]:
    """The elements at these paths (`/a/b`), each when it is whole, without those of these names in them.

    Nothing else of the body is kept, however long it is. Raises Noise as `parse_xml` does, behind what was
    whole before the damage.
    """
    passing = _Passing(wanted, without)
    parser, body = _parser(passing), memoryview(payload.lstrip())
    for start in range(0, len(body) or 1, CHUNK_BYTES):
        told = start + CHUNK_BYTES
        try:
            parser.Parse(body[start:told], told >= len(body))
        except (expat.ExpatError, LookupError, ValueError):
            yield from passing.found
            raise Noise(DamageReason.SYNTAX) from None
        yield from passing.found
        passing.found.clear()
        if told - parser.CurrentByteIndex > CHUNK_BYTES + MAX_TOKEN_BYTES:
            raise Noise(DamageReason.LENGTH)


def _parser(listener: _Builder | _Passing) -> expat.XMLParserType:
    """Raises Noise out of its `Parse` for any document type."""
    parser = expat.ParserCreate()
    parser.ordered_attributes = parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = listener.start, listener.end
    parser.CharacterDataHandler = listener.text
    parser.StartDoctypeDeclHandler = _refuse
    return parser


def parse_xml(payload: bytes) -> Element:
    """The outermost element. Raises Noise: syntax (also for any document type), length."""
    builder = _Builder()
    parser = _parser(builder)
    try:
        parser.Parse(payload.lstrip(), True)
    except (expat.ExpatError, LookupError, ValueError):
        raise Noise(DamageReason.SYNTAX) from None
    if builder.root is None:
        raise Noise(DamageReason.SYNTAX)
    return builder.root


def _refuse(*_told: object) -> None:
    raise Noise(DamageReason.SYNTAX)


def unprefixed(name: str) -> str:
    """`ns:name` as `name`, `@ns:name` as `@name`: as it was written in the body."""
    return ("@" if name.startswith("@") else "") + _local(name).removeprefix("@")


def _local(name: str) -> str:
    return name.rpartition(":")[2]


class Documents:
    """Cuts a stream: documents end with their outermost element; behind damage others begin like them."""

    def __init__(self) -> None:
        self._held = b""
        self._from = 0
        self._noise = 0  # bytes outside documents that are not told yet
        self._lost = False
        self._root = b""  # the outermost element's name, and that of the last whole document
        self._known: re.Pattern[bytes] | None = None
        self._begin()

    def _begin(self) -> None:
        self._depth, self._end = 0, -1
        self._empty = 0  # where an outermost element without content ends
        self._told = 0  # bytes of the open document that the parser has
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._started
        self._parser.EndElementHandler = self._ended
        self._parser.DefaultHandler = _unread  # and with one no entity is put in

    @property
    def pending(self) -> int:
        return len(self._held)

    def reopened(self) -> None:
        self._held, self._noise, self._lost = b"", 0, False
        self._begin()

    def feed(self, data: bytes) -> list[bytes | Damaged]:
        self._held += data
        found: list[bytes | Damaged] = []
        while self._told or self._skip(found):
            spoilt = self._parse()
            if self._end >= 0:
                found.append(self._held[self._from : self._from + self._end])
                self._known = re.compile(rb"<\?xml|<" + re.escape(self._root) + rb"[\s/>]")
                self._lost = False
                self._pass_over(self._end)
            elif spoilt:
                self._noise += spoilt
                self._lost = True
                self._pass_over(spoilt)
            else:
                break
        self._held, self._from = self._held[self._from :], 0
        return found

    def _pass_over(self, size: int) -> None:
        self._from += size
        self._begin()

    def _skip(self, found: list[bytes | Damaged]) -> bool:
        """To where a document begins; false where none does. Noise is told in one piece."""
        wanted = self._known if self._lost and self._known else BEGINNING
        start = wanted.search(self._held, self._from)
        half = self._held.rfind(b"<", max(self._from, len(self._held) - MAX_ROOT))
        end = start.start() if start else len(self._held) if half < 0 else half
        self._noise += len(self._held[self._from : end].translate(None, BLANK))
        self._from = end
        if self._noise and (start or self._noise > LONGEST):
            found.append(Damaged(DamageReason.SYNTAX, self._noise))
            self._noise = 0
        return start is not None

    def _parse(self) -> int:
        """How much cannot be a document's beginning; 0 where it may, or is whole."""
        while piece := self._held[self._from + self._told : self._from + self._told + STEP_BYTES]:
            self._told += len(piece)
            try:
                self._parser.Parse(piece, False)
            except expat.ExpatError:
                return max(1, self._parser.ErrorByteIndex)
            except (ValueError, LookupError):  # of an encoding that nobody knows
                return max(1, self._parser.CurrentByteIndex)
            if self._end >= 0:
                return 0
        return self._told if self._told > LONGEST else 0

    def _started(self, name: str, _attributes: object) -> None:
        if not self._depth:
            self._root = name.encode()[:MAX_ROOT]
            begun = self._tag()
            self._empty = begun.end() - self._from if begun and begun[0].endswith(b"/>") else 0
        self._depth += 1

    def _ended(self, _name: str) -> None:
        self._depth -= 1
        if not self._depth:
            tag = self._tag()
            self._end = self._empty or (tag.end() - self._from if tag else -1)

    def _tag(self) -> re.Match[bytes] | None:
        return TAG.match(self._held, self._from + self._parser.CurrentByteIndex)


def _unread(_text: str) -> None:
    """What is between the elements is the document's reader's."""
