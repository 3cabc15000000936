"""Files and their includes become one tree; each key remembers the file it came from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Tree: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, ...]
GLOB_SIGNS = frozenset("*?[")


@dataclass(slots=True)
class Merged:
    """The merged tree. `origins` knows every table and every value, by its keys from the root."""

    main: Path
    tree: Tree = field(default_factory=dict)
    origins: dict[Key, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def origin(self, key: Key) -> Path:
        """The file of a key, or of the nearest table above it."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.origins:
                return self.origins[key[:length]]
        return self.main

    def note(self, key: Key, sentence: str) -> None:
        """One problem, said once."""
        problem = f"{self.origin(key)}: {dotted(key)}: {sentence}"
        if problem not in self.problems:
            self.problems.append(problem)


def dotted(key: Key) -> str:
    """`counter.door-n.address`; list positions read `lines[0]`."""
    text = ""
    for part in key:
        if part.startswith("["):
            text += part
        else:
            text += f".{part}" if text else part
    return text


def read(path: Path) -> Merged:
    """Includes first, then the file itself; the later word wins, key by key."""
    merged = Merged(path)
    _read_into(merged, path, ())
    return merged


def _read_into(merged: Merged, path: Path, above: tuple[Path, ...]) -> None:
    if path.resolve() in above:
        merged.problems.append(f"{above[-1]}: include: {path} includes itself")
        return
    tree = _parse(merged, path)
    if tree is None:
        return
    includes = tree.pop("include", [])
    if not isinstance(includes, list) or not all(isinstance(one, str) for one in includes):
        merged.problems.append(f"{path}: include: must be a list of files")
        includes = []
    for one in includes:
        for found in _included(merged, path, one):
            _read_into(merged, found, (*above, path.resolve()))
    _merge(merged, merged.tree, tree, (), path)


def _parse(merged: Merged, path: Path) -> Tree | None:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        quote = "; is a quote missing there?" if "Illegal character '\\n'" in str(error) else ""
        merged.problems.append(f"{path}: {error}{quote}")
    except UnicodeDecodeError as error:
        merged.problems.append(f"{path}: not UTF-8 (byte {error.start})")
    except OSError as error:
        merged.problems.append(f"{path}: cannot be read: {error.strerror}")
    return None


def _included(merged: Merged, path: Path, pattern: str) -> list[Path]:
    wanted = path.parent / pattern
    if not GLOB_SIGNS & set(pattern):
        if wanted.is_file():
            return [wanted]
        merged.problems.append(f"{path}: include: there is no file {wanted}")
        return []
    base = Path(wanted.anchor) if Path(pattern).is_absolute() else path.parent
    found = base.glob(str(wanted.relative_to(base)))
    return sorted(one for one in found if one.resolve() != path.resolve())


def _merge(merged: Merged, into: Tree, new: Tree, above: Key, path: Path) -> None:
    for name, value in new.items():
        key = (*above, name)
        if isinstance(value, dict):
            if not isinstance(into.get(name), dict):
                into[name] = {}
                merged.origins[key] = path
            _merge(merged, into[name], value, key, path)
        else:
            if isinstance(into.get(name), dict):
                _forget(merged, key)
            into[name] = value
            merged.origins[key] = path


def _forget(merged: Merged, above: Key) -> None:
    for key in [one for one in merged.origins if one[: len(above)] == above]:
        del merged.origins[key]
