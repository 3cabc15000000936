"""The nouns of what people say afterwards: corrections of counts.

An amendment never rewrites what was counted: it is kept beside it, says who, when and why, and can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person says crossed a line in `[start, end)`; a side that is None stays as it was counted.

    `id` is made by the client: the same again is the same correction. `line` is written as zones write it.
    The store fills in `made_ms` and, once it is undone, the rest.
    """

    id: str
    line: str
    start_ms: int
    end_ms: int
    ins: int | None = None
    outs: int | None = None
    passes: int | None = None
    reason: str = ""
    by: str = ""
    made_ms: int = 0
    undone_ms: int | None = None
    undone_by: str = ""
    undone_reason: str = ""

    @property
    def content(self) -> tuple[object, ...]:
        """What makes it the same correction when its id comes again."""
        span = (self.line, self.start_ms, self.end_ms)
        return (*span, self.ins, self.outs, self.passes, self.reason)


@dataclass(frozen=True, slots=True)
class LineFactor:
    """Persons for each one counted on a side of a line, from an instant on; what is counted stays as it is.

    `error`: relative standard error of the factor. `from_ms` None: from the next window on. The store gives
    the `version`; `to_ms` is where it was ended, and one that ended where it began never held.
    """

    line: str
    side: str  # in, out, passes
    factor: float
    error: float
    from_ms: int | None = None
    source: str = ""
    by: str = ""
    version: int = 0
    made_ms: int = 0
    to_ms: int | None = None
    ended_ms: int | None = None
    ended_by: str = ""
