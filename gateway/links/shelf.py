"""The files of a watched folder: which there are, what is in them, where they go. Blocking: for a thread."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from stat import S_ISREG

ARCHIVE, REFUSED = "archive", "refused"
WHY = ".why"  # beside a refused file: the reason in words
REMEMBERED = 64  # files put away last: a sender that had only paused may go on writing
UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", WHY)


@dataclass(frozen=True, slots=True)
class Sight:
    """A file as one look saw it: equal sights, equal content."""

    name: str
    size: int
    mtime_ns: int
    inode: int

    @property
    def order(self) -> tuple[int, str]:
        """A later file of the same interval replaces: oldest first."""
        return self.mtime_ns, self.name


class Shelf:
    """One folder. Everything here raises OSError as it comes."""

    def __init__(self, path: str, pattern: str, *, delete: bool) -> None:
        self.path, self._pattern, self._delete = Path(path), pattern.lower(), delete
        self._moved: deque[tuple[Path, Sight]] = deque(maxlen=REMEMBERED)

    def look(self) -> list[Sight]:
        """The plain files that are meant, oldest first, without those whose name says: unfinished."""
        for moved in [moved for moved in self._moved if _grew(*moved)]:
            self._moved.remove(moved)
            self._bring_back(*moved)
        with os.scandir(self.path) as entries:
            return sorted(self._sights(entries), key=lambda sight: sight.order)

    def _sights(self, entries: Iterator[os.DirEntry[str]]) -> Iterator[Sight]:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name.lower().endswith(UNFINISHED):
                continue
            if fnmatchcase(name.lower(), self._pattern) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    yield _sight(name, entry.stat(follow_symlinks=False))

    def read(self, sight: Sight) -> bytes | None:
        """The content, or None for a file that is not, or no longer, what was seen."""
        file = os.open(self.path / sight.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as content:
            data = content.read(sight.size + 1)
            told = os.fstat(file)
        whole = S_ISREG(told.st_mode) and len(data) == sight.size
        return data if whole and _sight(sight.name, told) == sight else None

    def put_away(self, sight: Sight, refusal: str) -> bool:
        """Archive or delete it; with a reason, set it aside. False: somebody went on writing, or took it."""
        path = self.path / sight.name
        try:
            if _sight(sight.name, path.lstat()) != sight:
                return False
        except FileNotFoundError:
            return False
        if refusal:
            target = self._move(path, sight, REFUSED)
            target.with_name(target.name + WHY).write_text(refusal + "\n", encoding="utf-8")
        elif self._delete:
            path.unlink()
        else:
            self._move(path, sight, ARCHIVE)
        return True

    def _move(self, path: Path, sight: Sight, where: str) -> Path:
        """Into a folder of this one, under its own name or that with a number: nothing is overwritten."""
        folder = self.path / where
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():  # whoever brings files does not choose where we write
            raise NotADirectoryError(errno.ENOTDIR, f"{where} is a link")
        target = _free(folder, path)
        path.rename(target)
        self._moved.append((target, sight))
        return target

    def _bring_back(self, moved: Path, sight: Sight) -> None:
        """It is read again, whole."""
        path = self.path / sight.name
        if not os.path.lexists(path):
            moved.rename(path)
            moved.with_name(moved.name + WHY).unlink(missing_ok=True)


def _free(folder: Path, path: Path) -> Path:
    """A name that is not taken, found in few looks also among a hundred thousand of one name."""

    def named(number: int) -> Path:
        return folder / (f"{path.stem}.{number}{path.suffix}" if number else path.name)

    taken, free = -1, 0
    while os.path.lexists(named(free)):
        taken, free = free, 2 * free + 1
    while free - taken > 1:
        middle = (taken + free) // 2
        taken, free = (middle, free) if os.path.lexists(named(middle)) else (taken, middle)
    return named(free)


def _grew(moved: Path, sight: Sight) -> bool:
    with suppress(FileNotFoundError):
        return _sight(sight.name, moved.lstat()) != sight
    return False


def _sight(name: str, told: os.stat_result) -> Sight:
    return Sight(name, told.st_size, told.st_mtime_ns, told.st_ino)
