"""Slow points far from everything else are counted in the legend instead of drawn."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

import retime as rt


@pytest.fixture
def bistable():
    found = rt.find_fixed_points(rt.PLRNN([0.5, 0.4], [[0.0, 2.0], [2.0, 0.0]], [-0.5, -0.5]))
    assert len(found) > 1
    return found


def drawn(found, **options):
    """Legend texts, and the coordinates of the gray dots `(k, 2)`."""
    ax = found.plot(**options)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    dots = [np.column_stack(line.get_data()) for line in ax.get_lines() if line.get_label() == "slow point"]
    plt.close(ax.figure)
    return texts, np.concatenate(dots) if dots else np.zeros((0, 2))


def test_far_slow_points_are_not_drawn_but_counted(bistable):
    size = 1.0 + np.abs(bistable.points).max()
    slow = np.array([[0.1, 0.2], [95.0 * size, 0.0], [0.0, -40.0 * size]])
    texts, dots = drawn(replace(bistable, slow_points=slow, speeds=np.full(3, 1e-3)))
    np.testing.assert_array_equal(dots, slow[:1])
    assert "2 slow points far outside, not drawn" in texts


def test_the_picture_is_no_wider_for_them(bistable):
    ax = bistable.plot()
    far = replace(bistable, slow_points=np.array([[1e3, 1e3]]), speeds=np.ones(1)).plot()
    assert far.get_xlim() == ax.get_xlim()
    assert far.get_ylim() == ax.get_ylim()
    plt.close("all")


def test_points_that_the_search_left_out_are_counted_too(bistable):
    texts, dots = drawn(replace(bistable, outside=1))
    assert len(dots) == 0
    assert "1 slow point far outside, not drawn" in texts


def test_slow_points_alone_are_all_drawn(bistable):
    none = replace(
        bistable, points=np.zeros((0, 2)), eigenvalues=np.zeros((0, 2), dtype=complex), stable=np.zeros(0, dtype=bool),
        patterns=np.zeros((0, 2), dtype=bool), on_boundary=np.zeros(0, dtype=bool), residuals=np.zeros(0),
        slow_points=np.array([[0.0, 1.0], [50.0, 2.0]]), speeds=np.ones(2),
    )  # fmt: skip
    assert len(drawn(none)[1]) == 2
