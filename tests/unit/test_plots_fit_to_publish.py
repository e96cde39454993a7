"""What makes a figure fit to publish: nothing collides, legends lie off the data, axes say what they show."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

import retime as rt
from retime import analysis
from retime.analysis.branches.result import Branch, Event, Scan
from retime.core.status import SearchStatus
from retime.plots.coordinates import components, in_view

COLUMN = (3.35, 2.7)  # inches: 8.5 cm, a column of a paper
NOTEBOOK = (6.4, 4.8)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def bistable():
    """Stable at (2, -2) and (-2, 2), a saddle at (2, 2) / 3; outputs z1 + z2 and z1 - z2 + 1."""
    return rt.PLRNN([0.5, 0.5], [[0.0, -1.0], [-1.0, 0.0]], [1.0, 1.0], readout=([[1.0, 1.0], [1.0, -1.0]], [0.0, 1.0]))


@pytest.fixture(scope="module")
def many():
    """Five units without a readout that decay at different rates, and an orbit."""
    model = rt.PLRNN([0.9, 0.5, 0.3, 0.2, 0.1], np.zeros((5, 5)), np.arange(5.0))
    return model, rt.simulate(model, 10.0 * np.arange(5.0), steps=60)


def axes_of(size, solid=False):
    return plt.figure(figsize=size, layout="constrained").add_subplot(projection="3d" if solid else None)


def boxes(ax):
    """Bounding boxes of all texts that are seen, by text, after the layout."""
    ax.figure.canvas.draw()
    axes = [ax.xaxis, ax.yaxis, *([ax.zaxis] if ax.name == "3d" else [])]
    labels = [axis.label for axis in axes if axis.get_visible()]
    for axis in axes:
        low, high = sorted(axis.get_view_interval())
        ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
        labels += [text for at, text in ticks if low <= at <= high and axis.get_visible()]
    legend = ax.get_legend().get_texts() if ax.get_legend() else []
    texts = [t for t in [*labels, *ax.texts, *legend, ax.title] if t.get_text() and t.get_visible()]
    return [(t.get_text(), t.get_window_extent()) for t in texts]


def collisions(ax):
    found = boxes(ax)
    return [(a, b) for i, (a, p) in enumerate(found) for b, q in found[:i] if p.padded(-1.0).overlaps(q.padded(-1.0))]


@pytest.mark.parametrize("size", [COLUMN, NOTEBOOK], ids=["column", "notebook"])
def test_no_text_collides_in_space(size):
    model = rt.PLRNN([0.5] * 3, np.zeros((3, 3)), [1.0, -2.0, 3.0], readout=np.eye(3))
    path = rt.simulate(model, [10.0, -20.0, 30.0], steps=30)
    ax = rt.find_fixed_points(model).plot(trajectory=path, ax=axes_of(size, solid=True))
    assert [ax.get_xlabel(), ax.get_zlabel()] == ["output $x_{1}$", "output $x_{3}$"]
    assert collisions(ax) == []


@pytest.mark.parametrize("size", [COLUMN, NOTEBOOK], ids=["column", "notebook"])
def test_legends_lie_off_the_data_and_nothing_collides(size, bistable):
    found = rt.find_fixed_points(bistable)
    path = rt.simulate(bistable, [1.0, 1.1], steps=20)
    for draw in (
        lambda ax: found.plot(trajectory=path, ax=ax),
        lambda ax: path.plot(ax=ax),
        lambda ax: rt.plots.spectrum(found, ax=ax),
    ):
        ax = draw(axes_of(size))
        assert collisions(ax) == []
        legend = ax.get_legend().get_window_extent()
        assert not legend.overlaps(ax.get_window_extent())
        assert (legend.x0, legend.y0) >= (0, 0)
        assert legend.x1 <= ax.figure.bbox.x1
    assert (legend.y1 < ax.get_window_extent().y0) == (size == COLUMN)


def test_a_graph_of_regions_has_no_colliding_text_in_a_column():
    patterns = np.random.default_rng(0).normal(size=(400, 4))
    model = rt.PLRNN(np.zeros(4), np.zeros((4, 4)), np.zeros(4))
    path = replace(rt.simulate(model, np.zeros(4), steps=399), patterns=patterns > 0)
    ax = rt.visited_regions(path).plot(ax=axes_of(COLUMN))
    assert len(ax.texts) == 12
    assert collisions(ax) == []


def test_drawing_needs_no_model(bistable):
    found = rt.find_fixed_points(bistable)
    assert found.plot(outputs=True).get_xlabel() == "output $x_{1}$"
    assert len(found.plot(eigenvectors=True).get_lines()) == len(found.plot().get_lines()) + 2
    regions = rt.enumerate_regions(bistable, (-3.0, 3.0)).plot()
    assert len(regions.patches) == 4
    assert {t.get_text() for t in regions.texts} == {"00", "01", "10", "11"}


def test_points_have_the_numbers_of_the_other_panels(bistable):
    found = rt.find_fixed_points(bistable)
    ax = found.plot(units=(0, 1))
    written = {t.get_text(): t.xy for t in ax.texts}
    assert {int(k): tuple(v) for k, v in written.items()} == {k: tuple(z) for k, z in enumerate(found.points)}
    legend = [t.get_text() for t in rt.plots.spectrum(found).get_legend().get_texts()]
    assert legend == [f"{k}: {kind}" for k, kind in enumerate(found.kinds)]


def test_many_states_without_a_readout_are_drawn_in_principal_components(many):
    model, path = many
    z = path.states - path.states.mean(axis=0)
    share = np.linalg.svd(z, compute_uv=False) ** 2
    share /= share.sum()
    ax = rt.plots.state_space(path)
    assert ax.get_xlabel() == f"PC 1 ({100 * share[0]:.0f} % of variance)"
    assert share[2] < 0.01  # so two components are enough
    assert ax.name != "3d"
    x = np.column_stack(ax.get_lines()[0].get_data())
    assert np.allclose(x.var(axis=0) / z.var(axis=0).sum(), share[:2], atol=1e-12)
    point = rt.find_fixed_points(model).plot(trajectory=path).get_lines()[-1]
    assert np.allclose(np.ravel(point.get_data()), (2.0 * 0 + x[-1]), atol=0.1)  # the orbit comes to rest there
    assert components(np.ones((4, 5)), 2) is None
    assert rt.plots.state_space(path, units=(0, 4)).get_ylabel() == "state $z_{5}$"


def test_a_plane_of_many_states_is_named(many):
    model, path = many
    flow = rt.to_continuous(model).model
    ax = rt.plots.phase_plane(flow, trajectory=path, grid=5)
    assert ax.get_title() == "slice through the orbit's mean"
    assert "of variance" in ax.get_ylabel()
    four = rt.enumerate_regions(rt.PLRNN([0.5] * 4, np.eye(4), np.zeros(4)), (-1.0, 3.0)).plot()
    assert four.get_title() == "slice at $z_{3}$ = 1, $z_{4}$ = 1"


def test_a_list_of_cycles_draws_its_cycles():
    tent = rt.PLRNN([1.9], [[-3.8]], [1.0])
    cycles = rt.find_cycles(tent, 3)
    ax = cycles.plot()
    drawn = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert len(drawn) == len(cycles)
    two = next(c for c in cycles if c.period == 2)
    assert any(np.array_equal(line.get_xdata(), two.points[:, 0]) for line in drawn)
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["fixed point, unstable", "period 2, unstable", "period 3, unstable"]
    assert "3 more, not drawn" in [t.get_text() for t in cycles.plot(most=len(cycles) - 3).get_legend().get_texts()]


def test_branches_that_leave_do_not_stretch_the_axis():
    values = np.linspace(0.0, 1.0, 21)
    bits = np.zeros((21, 1, 0), dtype=bool)
    stays = Branch(
        1, values, np.linspace(0.0, 2.0, 21)[:, None, None], np.full((21, 1), 0.5 + 0j), np.ones(21, dtype=bool), bits
    )
    leaves = Branch(
        1, values, np.geomspace(1.0, 1e8, 21)[:, None, None], np.full((21, 1), 2.0 + 0j), np.zeros(21, dtype=bool), bits
    )
    far = Event("degenerate", False, 0.8, 0.0, np.array([[1e8]]), None, None, (1,), 1, "")
    ax = Scan(values, (stays, leaves), (far,), "h", np.ones(21, dtype=bool), None, SearchStatus.COMPLETE, "").plot()
    low, high = ax.get_ylim()
    assert low <= 0.0 < 2.0 <= high < 6.0
    assert [0.8, 0.8] in [list(line.get_xdata()) for line in ax.get_lines() if line.get_linestyle() == ":"]


def test_an_overview_has_no_empty_panel_and_fills_its_rows(bistable):
    found = analysis.analyze(bistable, [1.0, 1.1], steps=200, max_period=1, time_limit=20)
    axes = replace(found, regions=None).plot()
    assert all(ax.get_lines() or ax.patches or ax.collections for ax in axes)
    figure = axes[0].figure
    figure.savefig("/dev/null", format="png")
    assert len(axes) == 4
    rows = {}
    for ax in axes:
        rows.setdefault(round(ax.get_subplotspec().get_position(figure).y0, 3), []).append(
            ax.get_subplotspec().get_position(figure)
        )
    assert all(max(p.x1 for p in row) == pytest.approx(0.9) for row in rows.values())  # matplotlib's right margin


def test_an_orbit_that_diverges_is_drawn_until_it_leaves():
    grows = rt.simulate(rt.LinearSystem([[3.0]], [0.0], np.zeros((1, 0))), [1.0], steps=2000)
    assert grows.status == "diverged"
    assert np.nanmax(grows.states) > 1e100
    ax = grows.plot()
    assert 1e1 < ax.get_ylim()[1] < 1e3
    assert ax.get_title().endswith("then it diverges")


def test_an_orbit_that_diverges_late_keeps_all_that_came_before():
    escapes = rt.PLRNN([0.5], [[2.5]], [-3.0], C=[[1.0]])  # 3 z - 3 for z > 0, which leaves beyond 1.5; rests at -6
    inputs = np.zeros((500, 1))
    inputs[50] = 20.0
    path = rt.simulate(escapes, [0.5], steps=500, inputs=inputs)
    shown = in_view(path)
    assert path.status == "diverged"
    assert 50 <= len(shown.times) - 1 <= 52
    assert np.abs(shown.states).max() <= 10.0 * np.abs(path.states[:51]).max()
    steady = rt.simulate(escapes, [0.5], steps=10)
    assert in_view(steady) is steady
