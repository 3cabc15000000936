"""Patterns that cannot take for ever: a subset of regular expressions whose work is known beforehand.

Python's matcher tries every way to share a line out between repetitions. So only single characters and
classes may be repeated, and repetitions that may end in many places are few. A repetition is settled when
what follows it begins with none of its characters (`\\d+,`), or when it gives nothing back (`\\d++`): it ends
in one place and costs nothing extra.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import comb

LONGEST = 128  # characters that a pattern looks at
MOST_STEPS = 450_000  # of the matcher for one line, all patterns of a device together: 0.15 µs each at most
ENDLESS = LONGEST
FEW = 16  # a repetition of at most so many is counted exactly
ALPHABET = [chr(code) for code in range(0x250)]
CLASS_LETTERS = "dDsSwWt"

QUANTIFIER = r"(?P<quantifier>(?:[*+?]|\{(?:\d+(?:,\d*)?|,\d+)\})[?+]?)?"
TOKEN = re.compile(
    r"(?P<open>\((?:\?:|\?P<\w+>)?)|(?P<bar>\|)|(?P<edge>[\^$])"
    r"|(?:(?P<close>\))|(?P<single>\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[(]))" + QUANTIFIER,
    re.DOTALL,
)


@dataclass(slots=True)
class _Part:
    """One element of a pattern. `plain`: a group that is there once, without alternatives."""

    kind: str  # open, close, bar, edge, single
    depth: int = 0
    characters: frozenset[str] = frozenset()
    least: int = 1
    most: int = 1
    keeps: bool = False  # a repetition that gives nothing back
    plain: bool = True
    branches: int = 1


def compile_pattern(text: str) -> re.Pattern[str]:
    """Raises ValueError in words for what is no pattern or could take too long."""
    try:
        compiled = re.compile(text, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a pattern: {error}") from None
    if steps(text) > MOST_STEPS:
        raise ValueError(
            "could take too long: too many repetitions that may end anywhere: "
            "say where they end ([^,]* for .*) or that they give nothing back (\\d++)"
        )
    return compiled


def steps(text: str) -> int:
    """The most that the matcher can have to try on one line. Raises ValueError in words."""
    parts = _parts(text)
    open_ends, ways = 0, 1
    for at, part in enumerate(parts):
        if part.kind == "open":
            ways *= part.branches + (part.least == 0)
        elif part.kind == "single" and part.least < part.most and not _settled(parts, at):
            spread = part.most - part.least + 1
            open_ends, ways = (open_ends, ways * spread) if spread <= FEW else (open_ends + 1, ways)
    ways *= 1 + sum(part.kind == "bar" and part.depth == 0 for part in parts)
    return comb(LONGEST + open_ends + 1, open_ends + 1) * ways


def _settled(parts: list[_Part], at: int) -> bool:
    """Does what follows begin with other characters than are repeated?"""
    if parts[at].keeps:
        return True
    follow: set[str] = set()
    for part in parts[at + 1 :]:
        if part.kind == "bar" and part.depth == 0:
            break
        if part.kind == "bar" or not part.plain:
            return False
        if part.kind in ("single", "edge"):
            follow |= part.characters
            if part.least > 0:
                break
    return not follow & parts[at].characters


def _parts(text: str) -> list[_Part]:
    parts: list[_Part] = []
    groups: list[_Part] = []
    position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        if found is None:
            raise ValueError(f"not allowed in a pattern here: {text[position:][:20]!r}")
        position = found.end()
        part = _Part(str(found.lastgroup if found.lastgroup != "quantifier" else _kind(found)), len(groups))
        parts.append(part)
        if part.kind == "open":
            _no_more_than_a_group(text, position)
            groups.append(part)
        elif part.kind == "bar" and groups:
            groups[-1].branches += 1
            groups[-1].plain = False
        elif part.kind == "close" and groups:
            _close(part, groups.pop(), found["quantifier"])
        elif part.kind == "single":
            part.characters = _characters(found["single"])
            part.least, part.most = _times(found["quantifier"])
            part.keeps = (found["quantifier"] or "")[1:].endswith("+")
    return parts


def _kind(found: re.Match[str]) -> str:
    return "close" if found["close"] else "single"


def _no_more_than_a_group(text: str, position: int) -> None:
    if text[position : position + 1] == "?":
        raise ValueError(f"not allowed in a pattern here: {text[position - 1 :][:20]!r}")


def _close(close: _Part, group: _Part, quantifier: str | None) -> None:
    if quantifier is not None:
        if quantifier[0] != "?":
            raise ValueError("a repeated group could take too long: repeat single characters or [classes]")
        group.least, group.plain = 0, False
    close.plain = group.plain


def _times(quantifier: str | None) -> tuple[int, int]:
    if quantifier is None:
        return 1, 1
    if quantifier[0] in "*+?":
        return (1 if quantifier[0] == "+" else 0), (1 if quantifier[0] == "?" else ENDLESS)
    low, comma, high = quantifier[1 : quantifier.index("}")].partition(",")
    least = min(int(low or 0), ENDLESS)
    return least, (least if not comma else min(int(high), ENDLESS) if high else ENDLESS)


def _characters(single: str) -> frozenset[str]:
    """Which characters it stands for, by asking the matcher itself."""
    letter = single[1:2]
    if single[0] == "\\" and letter.isalnum() and letter not in CLASS_LETTERS:
        raise ValueError(f"not allowed in a pattern: {single}")
    one = re.compile(single, re.ASCII)
    return frozenset(character for character in ALPHABET if one.fullmatch(character))
