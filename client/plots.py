"""Plots as geometry: what templates draw as SVG. Pure; all lengths are units of the picture's own box.

No library draws them: two kinds of plot are a page of arithmetic, and what is drawn here needs neither scripts nor
styles in the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720.0, 240.0
LEFT, BOTTOM, TOP, RIGHT = 48.0, 28.0, 12.0, 4.0
GAP = 0.2  # of a bar's place
STEPS = (1, 2, 5)
LINES = 4
CELL = 10.0
SHADES = 10


@dataclass(frozen=True)
class Bar:
    """One part of one column; `series` is which of the rows of numbers it shows."""

    x: float
    y: float
    width: float
    height: float
    series: int
    column: int


@dataclass(frozen=True)
class Line:
    """A line of the scale at a value."""

    y: float
    value: int


@dataclass(frozen=True)
class Columns:
    """Stacked columns over time."""

    width: float
    height: float
    bars: list[Bar]
    lines: list[Line]
    labels: list[tuple[float, int]]  # x and column of those that are named below
    floor: float
    left: float


def columns(rows: Sequence[Sequence[int]], named: int = 6) -> Columns:
    """Columns of the given rows stacked on each other; `rows` are equally long and not negative.

    At most `named` columns get a name below.
    """
    count = max((len(row) for row in rows), default=0)
    totals = [sum(row[column] for row in rows) for column in range(count)]
    top = scale(max(totals, default=0))
    floor, place = HEIGHT - BOTTOM, (WIDTH - LEFT - RIGHT) / max(count, 1)
    bars = []
    for column in range(count):
        base = floor
        for series, row in enumerate(rows):
            height = (floor - TOP) * row[column] / top[-1]
            base -= height
            if row[column]:
                x = LEFT + place * (column + GAP / 2)
                bars.append(
                    Bar(round(x, 2), round(base, 2), round(place * (1 - GAP), 2), round(height, 2), series, column)
                )
    lines = [Line(round(floor - (floor - TOP) * value / top[-1], 2), value) for value in top]
    every = max(1, -(-count // named))
    labels = [(round(LEFT + place * (column + 0.5), 2), column) for column in range(0, count, every)]
    return Columns(WIDTH, HEIGHT, bars, lines, labels, floor, LEFT)


def scale(highest: int) -> list[int]:
    """Round numbers from 0 to `highest` or just above, a few of them."""
    step, power = 1, 1
    while step * LINES < highest:
        step = next((each * power for each in STEPS if each * power * LINES >= highest), 0)
        power *= 10
        step = step or power
    return [step * number for number in range(LINES + 1)]


@dataclass(frozen=True)
class Cell:
    """One field of a heat map; `shade` from 0 (nothing) to `SHADES` (all)."""

    x: float
    y: float
    shade: int
    row: int
    column: int


@dataclass(frozen=True)
class HeatMap:
    """Fields in rows and columns."""

    width: float
    height: float
    cells: list[Cell]


def heat_map(rows: Sequence[Sequence[float]]) -> HeatMap:
    """A field for each share between 0 and 1."""
    cells = [
        Cell(column * CELL, row * CELL, shade(share), row, column)
        for row, shares in enumerate(rows)
        for column, share in enumerate(shares)
    ]
    return HeatMap(max((len(row) for row in rows), default=0) * CELL, len(rows) * CELL, cells)


def shade(share: float) -> int:
    """The shade of a share; a little is more than nothing, and almost all is not all."""
    if share <= 0:
        return 0
    return SHADES if share >= 1 else max(1, min(SHADES - 1, round(share * SHADES)))
