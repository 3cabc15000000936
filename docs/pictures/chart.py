"""A line chart as SVG, small enough to read: no library is needed to draw five pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 44, 40
INK, FAINT, GRID = "#1f2933", "#52606d", "#d9e2ec"
COLOURS = (
    "#0b69a3",
    "#c65d07",
    "#2d7d46",
    "#7b3f98",
)  # told apart also by those who do not see colours alike
Point = tuple[float, float]


@dataclass(slots=True)
class Chart:
    """`x_marks` and `y_marks`: (value, text). Figures outside the axes are cut off by the frame."""

    title: str
    x_axis: tuple[float, float]
    y_axis: tuple[float, float]
    x_marks: Sequence[tuple[float, str]]
    y_marks: Sequence[tuple[float, str]]
    y_name: str = ""
    shapes: list[str] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)

    def x(self, value: float) -> float:
        low, high = self.x_axis
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_axis
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def line(self, points: Sequence[Point], name: str, colour: int, *, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        self.shapes.append(
            f'<polyline fill="none" stroke="{COLOURS[colour]}" stroke-width="2"{dash} points="{path}"/>'
        )
        if name:
            self.legend.append((COLOURS[colour], name))

    def band(self, points: Sequence[tuple[float, float, float]], name: str, colour: int) -> None:
        """(x, low, high)."""
        there = [f"{self.x(x):.1f},{self.y(high):.1f}" for x, _low, high in points]
        back = [f"{self.x(x):.1f},{self.y(low):.1f}" for x, low, _high in reversed(points)]
        self.shapes.append(
            f'<polygon fill="{COLOURS[colour]}" fill-opacity="0.18" points="{" ".join(there + back)}"/>'
        )
        if name:
            self.legend.append((COLOURS[colour], name))

    def bars(self, points: Sequence[Point], name: str, colour: int, width: float) -> None:
        for x, y in points:
            top = self.y(y)
            left, right = self.x(x - width / 2), self.x(x + width / 2)
            self.shapes.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}"'
                f' height="{self.y(self.y_axis[0]) - top:.1f}" fill="{COLOURS[colour]}" fill-opacity="0.7"/>'
            )
        if name:
            self.legend.append((COLOURS[colour], name))

    def upright(self, x: float, words: str) -> None:
        at = self.x(x)
        self.shapes.append(
            f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{INK}" stroke-dasharray="2 3"/>'
        )
        self.shapes.append(text(at + 4, TOP + 12, words, INK))

    def svg(self) -> str:
        size = f'width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'
        drawn = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {drawn} font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            text(LEFT, 18, self.title, INK, ' font-size="14" font-weight="bold"'),
            f'<clipPath id="frame"><rect x="{LEFT}" y="{TOP}" {size}/></clipPath>',
            *self._axes(),
            '<g clip-path="url(#frame)">',
            *self.shapes,
            "</g>",
            *self._names(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _axes(self) -> list[str]:
        lines = []
        for value, mark in self.y_marks:
            at = self.y(value)
            lines.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
            lines.append(text(LEFT - 6, at + 4, mark, FAINT, ' text-anchor="end"'))
        for value, mark in self.x_marks:
            lines.append(text(self.x(value), HEIGHT - BOTTOM + 18, mark, FAINT, ' text-anchor="middle"'))
        lines.append(text(LEFT, HEIGHT - 4, self.y_name, FAINT))
        return lines

    def _names(self) -> list[str]:
        lines, at = [], LEFT
        for colour, name in self.legend:
            lines.append(f'<rect x="{at}" y="27" width="12" height="4" fill="{colour}"/>')
            lines.append(text(at + 16, 34, name, INK))
            at += 32 + round(6.4 * len(name))
        return lines


def text(x: float, y: float, words: str, colour: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{more}>{escape(words)}</text>'
