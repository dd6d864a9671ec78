"""Plots: what is drawn is what was counted, within the picture, on a scale of round numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import plots

ROWS = st.integers(0, 60).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 10**9), min_size=n, max_size=n), min_size=1, max_size=3)
)


@given(ROWS)
def test_columns_stand_on_each_other_within_the_picture_and_as_high_as_their_numbers(rows: list[list[int]]) -> None:
    plot = plots.columns(rows)
    top = plot.lines[-1].value
    for bar in plot.bars:
        assert plot.left <= bar.x
        assert bar.x + bar.width <= plot.width + 0.1
        assert bar.y >= plots.TOP - 0.1
        assert bar.y + bar.height <= plot.floor + 0.1
        number = rows[bar.series][bar.column]
        assert bar.height == pytest.approx((plot.floor - plots.TOP) * number / top, abs=0.01)
        below = sum(row[bar.column] for row in rows[: bar.series])
        assert bar.y + bar.height == pytest.approx(plot.floor - (plot.floor - plots.TOP) * below / top, abs=0.02)
    assert len(plot.bars) == sum(number > 0 for row in rows for number in row)


@given(st.integers(0, 10**12))
def test_a_scale_begins_at_zero_and_ends_not_far_above_the_highest(highest: int) -> None:
    marks = plots.scale(highest)
    assert marks[0] == 0
    assert marks == sorted(set(marks))
    assert highest <= marks[-1] <= max(4, highest * 5 / 2)
    step = marks[1]
    assert str(step).rstrip("0") in ("1", "2", "5")


@pytest.mark.parametrize(("share", "shade"), [(-1, 0), (0, 0), (0.001, 1), (0.5, 5), (0.999, 9), (1, 10), (1.2, 10)])
def test_a_shade_tells_nothing_from_a_little_and_all_from_almost_all(share: float, shade: int) -> None:
    assert plots.shade(share) == shade


def test_a_heat_map_has_a_field_for_each_share() -> None:
    drawn = plots.heat_map([[0, 0.5], [1, 0]])
    assert (drawn.width, drawn.height) == (20, 20)
    assert [(cell.x, cell.y, cell.shade) for cell in drawn.cells] == [(0, 0, 0), (10, 0, 5), (0, 10, 10), (10, 10, 0)]
