"""Charts as SVG text: a value with its interval, and curves with bands. Pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

ROW_WIDTH, ROW_HEIGHT = 320, 22
CURVE_WIDTH, CURVE_HEIGHT = 420, 220
MARGIN = 8
LEFT_MARGIN, BOTTOM_MARGIN = 52, 26
NUM_TICKS = 4


@dataclass(frozen=True)
class Point:
    """A value with its 95 % interval; the interval may be unknown."""

    value: float
    low: float | None = None
    high: float | None = None
    x: float = 0.0
    """Position on a curve."""

    @property
    def bounds(self) -> tuple[float, ...]:
        """All numbers of the point."""
        return tuple(number for number in (self.value, self.low, self.high) if number is not None)


@dataclass(frozen=True)
class Scale:
    """Linear map from numbers to pixels."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, numbers: Sequence[float], start: float, end: float) -> Scale:
        """Return a scale that holds all numbers."""
        low, high = min(numbers), max(numbers)
        pad = 0.05 * (high - low) or abs(low) or 1.0
        return cls(low - pad, high + pad, start, end)

    def __call__(self, number: float) -> float:
        """Return the pixel of a number."""
        return round(self.start + (number - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def interval_chart(point: Point, scale: Scale, label: str, marks: Sequence[tuple[str, float]] = ()) -> str:
    """Draw a value, its interval, and marks such as floor and ceiling, on the scale of its metric."""
    middle = ROW_HEIGHT / 2
    shapes = [
        f'<line class="{escape(name)}" x1="{scale(at)}" y1="2" x2="{scale(at)}" y2="{ROW_HEIGHT - 2}">'
        f"<title>{escape(name)} {number(at)}</title></line>"
        for name, at in marks
    ]
    if point.low is not None and point.high is not None:
        shapes.append(
            f'<line class="interval" x1="{scale(point.low)}" y1="{middle}" x2="{scale(point.high)}" y2="{middle}"/>'
        )
    shapes.append(f'<circle cx="{scale(point.value)}" cy="{middle}" r="4"/>')
    return _svg(ROW_WIDTH, ROW_HEIGHT, label, shapes)


def curve_chart(curves: Sequence[tuple[str, Sequence[Point]]], label: str) -> str:
    """Draw curves by name; each point has its interval as a bar."""
    points = [point for _, curve in curves for point in curve]
    across = Scale.over([point.x for point in points], LEFT_MARGIN, CURVE_WIDTH - MARGIN)
    up = Scale.over([n for point in points for n in point.bounds], CURVE_HEIGHT - BOTTOM_MARGIN, MARGIN)
    shapes = [*_axes(across, up, sorted({point.x for point in points}))]
    for index, (name, curve) in enumerate(curves):
        path = " ".join(f"{across(point.x)},{up(point.value)}" for point in curve)
        bars = (
            f'<line x1="{across(p.x)}" y1="{up(p.low)}" x2="{across(p.x)}" y2="{up(p.high)}"/>'
            for p in curve
            if p.low is not None and p.high is not None
        )
        dots = (f'<circle cx="{across(p.x)}" cy="{up(p.value)}" r="3"/>' for p in curve)
        title = f"<title>{escape(name)}</title>"
        shapes.append(f'<g class="curve c{index % 6}">{title}<polyline points="{path}"/>{"".join((*bars, *dots))}</g>')
    return _svg(CURVE_WIDTH, CURVE_HEIGHT, label, shapes)


def number(value: float | None) -> str:
    """Format a number with three or four significant digits; a dash if there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _axes(across: Scale, up: Scale, xs: Sequence[float]) -> list[str]:
    shapes = []
    for step in range(NUM_TICKS + 1):
        value = up.low + step / NUM_TICKS * (up.high - up.low)
        shapes.append(f'<line class="grid" x1="{LEFT_MARGIN}" y1="{up(value)}" x2="{CURVE_WIDTH}" y2="{up(value)}"/>')
        shapes.append(f'<text x="{LEFT_MARGIN - 6}" y="{up(value) + 4}" text-anchor="end">{number(value)}</text>')
    for x in xs[:: max(1, len(xs) // 6)]:
        shapes.append(f'<text x="{across(x)}" y="{CURVE_HEIGHT - 6}" text-anchor="middle">{x:g}</text>')
    return shapes


def _svg(width: int, height: int, label: str, shapes: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(label, quote=True)}">{"".join(shapes)}</svg>'
    )
