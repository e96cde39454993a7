"""Parts of results draw themselves: what is drawn is what they hold."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

import retime as rt


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(ax):
    """Points of all lines, those of the axes' own marks apart."""
    return [np.column_stack(line.get_data()) for line in ax.get_lines() if len(line.get_xdata()) and line.get_zorder()]


def test_a_branch_is_its_points_over_the_parameter():
    skew = rt.PLRNN([0.5], [[-1.5]], [0.0])
    (branch,) = rt.scan(skew, "h[0]", np.linspace(-1, 1, 5)).branches
    ax = branch.plot()
    assert ax.get_xlabel() == "h[0]"
    z = np.concatenate(drawn(ax))
    assert np.allclose(z[:, 1], np.where(z[:, 0] < 0, z[:, 0] / 0.5, z[:, 0] / 2.0))  # z = a z + h on both sides


def test_an_attractor_is_its_points_and_a_cycle_is_closed():
    flip = rt.PLRNN([0.5], [[-2.0]], [1.0])  # 2-cycle
    found = rt.find_basins(flip, (-2.0, 2.0), num=8).attractors[0]
    z = drawn(found.plot())
    assert found.kind == "cycle"
    assert np.allclose(np.sort(z[0][:, 0]), np.sort(found.points[[0, 1, 0], 0]))
    away = rt.find_basins(rt.PLRNN([2.0], [[0.0]], [1.0]), (1.0, 2.0), num=4).attractors[0]
    with pytest.raises(ValueError, match="'diverged' has no points"):
        away.plot()


def test_a_fixed_point_is_its_eigenvalues():
    turn = rt.LinearSystem([[0.0, -0.5], [0.5, 0.0]], [0.1, 0.0], np.zeros((2, 0)), time=rt.Discrete(1.0))
    (point,) = rt.find_fixed_points(turn)
    z = max(drawn(point.plot()), key=lambda z: (np.abs(z) == 0.5).sum())
    assert np.allclose(z[np.argsort(z[:, 1])], [[0.0, -0.5], [0.0, 0.5]])


def test_a_line_of_fixed_points_is_drawn_along_its_direction():
    line = rt.find_fixed_points(rt.PLRNN([1.0, 0.5], np.zeros((2, 2)), [0.0, 1.0])).continua[0]
    piece = max(drawn(line.plot()), key=lambda z: np.ptp(z, axis=0).sum())
    assert np.ptp(piece[:, 0]) > 1
    assert np.allclose(piece[:, 1], 2.0)


def test_spectra_and_distances_are_those_of_the_result():
    t = np.arange(400)
    found = rt.spectral_distance(np.sin(0.3 * t), np.sin(0.5 * t), smoothing=2)
    first, second = drawn(found.plot())
    assert np.array_equal(first, np.column_stack([found.frequencies, found.reference_spectrum[:, 0]]))
    assert np.array_equal(second, np.column_stack([found.frequencies, found.generated_spectrum[:, 0]]))
    model = rt.PLRNN([0.5], [[-2.0]], [1.0])
    away = rt.boundary_distance(model, rt.simulate(model, [0.3], steps=9))
    line, least = drawn(away.plot())
    assert np.array_equal(line, np.column_stack([away.times, away.distances]))
    assert least[0, 1] == away.distances.min()
