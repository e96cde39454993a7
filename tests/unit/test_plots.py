"""Plots draw what they are given and change nothing global."""

from __future__ import annotations

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

import retime as rt


@pytest.fixture
def vanderpol():
    entry = rt.zoo.entry("vanderpol")
    flow = rt.to_continuous(entry.model).model
    line = rt.simulate(flow, entry.z0, times=np.arange(0, 5, 0.02))
    dots = rt.simulate(entry.model, entry.z0, steps=49)
    yield flow, line, dots
    plt.close("all")


def test_time_series_draws_the_flow_as_line_and_the_map_as_dots(vanderpol):
    _, line, dots = vanderpol
    ax = line.plot(samples=dots, units=(0, 3))
    drawn = ax.get_lines()
    assert len(drawn) == 4
    assert np.array_equal(drawn[0].get_ydata(), line.states[:, 0])
    assert np.array_equal(drawn[3].get_ydata(), dots.states[:, 3])
    assert drawn[3].get_marker() == "o"


def test_phase_plane_draws_field_boundaries_and_orbit(vanderpol):
    flow, line, dots = vanderpol
    ax = rt.plots.phase_plane(flow, trajectory=line, samples=dots, units=(6, 11), grid=9)
    quiver = next(c for c in ax.collections if hasattr(c, "U"))
    states = np.broadcast_to(np.nanmean(line.states, axis=0), (9, 9, 12)).copy()
    states[..., 6], states[..., 11] = quiver.X.reshape(9, 9), quiver.Y.reshape(9, 9)
    field = flow.field(states)
    length = np.hypot(field[..., 6], field[..., 11])
    assert np.allclose(np.asarray(quiver.U).reshape(9, 9), field[..., 6] / length, atol=1e-12)
    assert len(ax.collections) > 1  # boundaries


def test_map_has_no_field_to_draw():
    with pytest.raises(TypeError, match="to_continuous"):
        rt.plots.phase_plane(rt.zoo.load("vanderpol"))


def test_state_space_draws_outputs_in_three_dimensions():
    entry = rt.zoo.entry("lorenz")
    path = rt.simulate(entry.model, entry.z0, steps=50)
    ax = rt.plots.state_space(path, outputs=True)
    assert ax.name == "3d"
    plt.close("all")


def test_unit_that_does_not_exist_is_refused(vanderpol):
    with pytest.raises(ValueError, match="indices run from 0 to 11"):
        rt.plots.time_series(vanderpol[1], units=(12,))


def test_errors_are_drawn_for_both_rules():
    entry = rt.zoo.entry("vanderpol")
    flow = rt.to_continuous(entry.model).model
    both = [rt.compare(entry.model, flow, entry.z0, steps=40, switching=rule) for rule in ("clock", "state")]
    ax = rt.plots.errors(*both)
    assert len(ax.get_lines()) == 4
    assert ax.get_yscale() == "log"
    plt.close("all")


def test_importing_plots_changes_no_style():
    before = dict(mpl.rcParams)
    assert rt.plots.__all__
    assert dict(mpl.rcParams) == before


def test_a_conversion_is_drawn_as_its_flow():
    conversion = rt.to_continuous(rt.PLRNN([0.5, 0.4], [[0.0, -1.0], [0.9, 0.0]], [0.5, -0.25]))
    found = [rt.plots.phase_plane(model, grid=3).collections[0] for model in (conversion, conversion.model)]
    assert np.array_equal(found[0].U, found[1].U)
    points = rt.find_fixed_points(conversion)
    assert rt.plots.fixed_points(points, model=conversion, eigenvectors=True).lines
