"""Skattedosan: commands of the till and answers of the unit as sales."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.bodies import Noise
from drivers.journal import UnitTap
from drivers.skattedosan import codec
from drivers.skattedosan.codec import Words
from gateway.driver import Family, Kind, LineOptions, Match, Options, Side
from gateway.model import Basis, Damaged, Ignored, Item, Resets

OTHER = Ignored("no receipt")


class SkattedosanOptions(Options):
    """Nothing to choose: the lines say everything."""


class Skattedosan(UnitTap):
    """Lines, told apart by their first word."""

    def _hear(self, line: bytes | Damaged, side: Side) -> Iterator[Item]:
        for words in (line,) if isinstance(line, Damaged) else codec.read_line(line):
            if isinstance(words, Damaged):
                yield self._lose(words, side)
            elif (code := codec.return_code(words)) is not None:
                yield from self._journal.answer(codec.refusal(code))
            else:
                yield from self._asked(words, side)

    def _asked(self, words: Words, side: Side) -> Iterator[Item]:
        if words[0].lower() != codec.RECEIPT:
            self._journal.ask_else()
            yield OTHER
            return
        try:
            receipt = codec.receipt(words)
        except Noise as noise:
            yield self._lose(Damaged(noise.reason, len(" ".join(words))), side)
        else:
            yield from self._journal.ask(receipt, apart=side is Side.HOST)


FAMILY = Family(
    name="skattedosan",
    summary="Skattedosan and PosPlus control units, Sweden: a tap on till and unit counts signed receipts",
    kind=Kind.STREAM,
    over=frozenset({"serial", "tcp"}),
    options=SkattedosanOptions,
    line_options=LineOptions,
    open=Skattedosan,
    match=lambda _device: Match(),
    basis=Basis.EVENT,
    resets=Resets.NEVER,
)
