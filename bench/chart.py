"""Pictures as SVG that can be read on a light page and on a dark one, without a library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH, HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 46, 52
_COLORS: Final = ("#2f81f7", "#8b949e", "#d29922", "#e5534b", "#a371f7", "#3fb950", "#db61a2", "#76e3ea", "#bf8700")
_STYLE: Final = """<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-size: 15px; font-weight: 600 }
.grid { stroke: #8b949e; stroke-opacity: .35 } .whisker { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .whisker { stroke: #e6edf3 } }
</style>"""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """From values to a place on the picture."""

    least: float
    most: float
    is_log: bool
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value is drawn."""
        low, high, here = (self._scaled(v) for v in (self.least, self.most, value))
        return self.start + (here - low) / ((high - low) or 1) * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-9)) if self.is_log else value

    def ticks(self) -> list[float]:
        """Round values to write at the axis."""
        if self.is_log:
            exponents = range(math.floor(math.log10(self.least)), math.ceil(math.log10(self.most)) + 1)
            found = [10.0**e for e in exponents if self.least <= 10.0**e <= self.most]
            return found if len(found) > 1 else [self.least, self.most]
        step = _round_step((self.most - self.least) / 5)
        count = int((self.most - self.least) / step + 1e-9)
        return [self.least + step * i for i in range(count + 1)]


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw or 1))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def lines(
    title: str, x_label: str, y_label: str, series: Mapping[str, Points], *, log_x: bool = True, log_y: bool = False
) -> str:
    """Draw one line for each series; the y axis begins at 0 unless it is logarithmic."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_axis = Axis(min(xs), max(xs), log_x, _LEFT, WIDTH - _RIGHT)
    y_axis = Axis(10 ** math.floor(math.log10(min(ys))) if log_y else 0, max(ys) * 1.08, log_y, HEIGHT - _BOTTOM, _TOP)
    parts = _frame(title, x_label, y_label, x_axis, y_axis)
    last_y = []
    for (name, points), color in zip(series.items(), _COLORS, strict=False):
        path = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        parts += [
            f'<circle cx="{x_axis.at(x):.1f}" cy="{y_axis.at(y):.1f}" r="3.5" fill="{color}"/>' for x, y in points
        ]
        last_y.append((y_axis.at(points[-1][1]), name, color))
    parts += _names(last_y)
    return _svg(parts, HEIGHT)


def _names(places: Sequence[tuple[float, str, str]]) -> list[str]:
    """Write each line's name at its end, one below the other where they would overlap."""
    parts, free = [], float(_TOP)
    for y, name, color in sorted(places):
        free = max(free, y)
        x = WIDTH - _RIGHT + 14
        parts.append(f'<circle cx="{x}" cy="{free - 1:.1f}" r="5" fill="{color}"/>')
        parts.append(f'<text x="{x + 11}" y="{free + 4:.1f}">{escape(name)}</text>')
        free += 18
    return parts


def _frame(title: str, x_label: str, y_label: str, x_axis: Axis, y_axis: Axis) -> list[str]:
    parts = [f'<text class="title" x="{_LEFT}" y="20">{escape(title)}</text>']
    parts.append(f'<text x="{_LEFT - 60}" y="38">{escape(y_label)}</text>')
    for tick in y_axis.ticks():
        y = y_axis.at(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    for tick in x_axis.ticks():
        x = x_axis.at(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - _BOTTOM + 19}" text-anchor="middle">{_number(tick)}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_label)}</text>')
    return parts


@dataclass(frozen=True)
class Bar:
    """One bar: a median with the least and the greatest of the rounds."""

    name: str
    value: float
    least: float
    most: float


def bars(title: str, unit: str, values: Sequence[Bar]) -> str:
    """Draw horizontal bars, the first in the colour of apex-rtm."""
    row, left = 34, 200
    height = _TOP + row * len(values) + 16
    axis = Axis(0, max(bar.most for bar in values) * 1.05, False, left, WIDTH - 90)
    parts = [f'<text class="title" x="16" y="24">{escape(title)}</text>']
    for place, bar in enumerate(values):
        y = _TOP + row * place
        color = _COLORS[0] if bar.name == "apex-rtm" else _COLORS[1]
        middle = y + 11
        parts += [
            f'<text x="{left - 10}" y="{y + 16}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect x="{left}" y="{y}" width="{axis.at(bar.value) - left:.1f}" height="22" rx="3" fill="{color}"/>',
            f'<line class="whisker" x1="{axis.at(bar.least):.1f}" x2="{axis.at(bar.most):.1f}" '
            f'y1="{middle}" y2="{middle}"/>',
            f'<text x="{axis.at(bar.most) + 8:.1f}" y="{y + 16}">{bar.value:.2f} {escape(unit)}</text>',
        ]
    return _svg(parts, height)


def _svg(parts: Sequence[str], height: int) -> str:
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">', _STYLE, *parts, "</svg>", ""])
