"""Losses → curves of an SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 260
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 34
DECADES = 4  # shown below the largest value: a first step of almost 0 would flatten the rest


@dataclass(frozen=True)
class TermCurve:
    """One term."""

    name: str
    first: float
    last: float
    points: str  # x,y x,y …


@dataclass(frozen=True)
class Chart:
    """Terms over a pass's steps, by powers of ten."""

    curves: list[TermCurve]
    ticks: list[tuple[float, str]]  # height, label
    steps: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def chart(losses: Sequence[Mapping[str, float]]) -> Chart:
    """Return a pass's chart."""
    names = list(dict.fromkeys(name for report in losses for name in report))
    values = {name: [_finite(report.get(name)) for report in losses] for name in names}
    shown = [value for row in values.values() for value in row if value is not None]
    low, high = _decades(shown)
    curves = [
        TermCurve(name, row[0] or 0.0, row[-1] or 0.0, _points(row, low, high))
        for name, row in values.items()
    ]
    ticks = [(_y(power, low, high), f"{10.0**power:g}") for power in range(low, high + 1)]
    return Chart(curves, ticks, len(losses))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _decades(values: Sequence[float]) -> tuple[int, int]:
    above = [value for value in values if value > 0]
    if not above:
        return 0, 1
    low, high = math.floor(math.log10(min(above))), math.ceil(math.log10(max(above)))
    high = max(high, low + 1)
    return max(low, high - DECADES), high


def _points(row: Sequence[float | None], low: int, high: int) -> str:
    across = (WIDTH - RIGHT - LEFT) / max(1, len(row) - 1)
    return " ".join(
        f"{LEFT + index * across:.1f},{_y(_logarithm(value, low), low, high):.1f}"
        for index, value in enumerate(row)
        if value is not None
    )


def _y(power: float, low: int, high: int) -> float:
    return TOP + (high - power) / (high - low) * (HEIGHT - BOTTOM - TOP)


def _logarithm(value: float, low: int) -> float:
    return max(low, math.log10(value)) if value > 0 else low
