"""Pictures of circuits show the circuit's numbers."""

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

import retime as rt


@pytest.fixture
def circuit():
    yield rt.to_circuit(rt.PLRNN([0.5, 0.4], [[0.0, -1.0], [0.9, 0.0]], [0.5, -0.2], time=rt.Discrete(0.1)))
    plt.close("all")


def test_a_circuit_is_drawn_as_lines_over_the_dots_of_its_model(circuit):
    ax = circuit.plot(z0=[0.3, 0.1], times=0.1 * np.arange(11))
    lines = ax.get_lines()
    assert len(lines) == 4
    want = rt.simulate(circuit.original, [0.3, 0.1], steps=10).states
    np.testing.assert_allclose(lines[0].get_ydata(), want[:, 0], atol=1e-6)
    np.testing.assert_array_equal(lines[1].get_ydata(), want[:, 0])


def test_samples_are_drawn_with_their_median_and_band_and_failures_in_another_color(circuit):
    found = circuit.monte_carlo(9, tolerance=0.05, z0=[0.3, 0.1], check=lambda z: z[-1, 0] > 0.3)
    ax = found.plot(unit=0)
    median = next(line for line in ax.get_lines() if line.get_label() == "median")
    np.testing.assert_array_equal(median.get_ydata(), np.median(found.states[:, :, 0], axis=1))
    assert len(ax.get_lines()) == 9 + len(set(found.survived.tolist())) + 1
    with pytest.raises(ValueError, match="`unit` is 2; it must be from 0 to 1"):
        found.plot(unit=2)
