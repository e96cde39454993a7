"""Plots of analyses show the numbers of the result, and tell stable from unstable."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import Circle, FancyArrowPatch, Polygon

import retime as rt
from retime import analysis
from retime.analysis.branches.grid import StabilityMap, stability_map
from retime.analysis.branches.scanning import scan
from retime.analysis.cycles.result import Cycle, Cycles
from retime.analysis.exponents.result import History, LyapunovSpectrum
from retime.core.result import Result
from retime.core.status import SearchStatus, TrajectoryStatus

OPEN = to_rgba("white")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def bistable():
    """z1' = z1 / 2 - relu(z2) + 1 and the same for z2: stable at (2, -2) and (-2, 2), a saddle at (2, 2) / 3."""
    return rt.PLRNN([0.5, 0.5], [[0.0, -1.0], [-1.0, 0.0]], [1.0, 1.0], readout=([[1.0, 1.0], [1.0, -1.0]], [0.0, 1.0]))


def line(ax, label):
    return next(x for x in ax.get_lines() if x.get_label() == label)


def xy(x):
    return np.column_stack(x.get_data())


def legend(ax):
    return [t.get_text() for t in ax.get_legend().get_texts()]


def a_cycle(points, multipliers, stable, period=None, **more):
    z = np.asarray(points, dtype=float)
    k = len(z) if period is None else period
    bits = np.zeros((len(z), 0), dtype=bool)
    return Cycle(k, z, np.asarray(multipliers, dtype=complex), stable, bits, 0.0, False, float(k), **more)


def some_cycles(*cycles):
    return Cycles(tuple(cycles), 0, (), SearchStatus.HEURISTIC, "none at all", 1, 1)


def a_spectrum(exponents, errors, **more):
    x = np.asarray(exponents, dtype=float)
    history = History(np.array([1.0, 2.0]), np.stack([x + 0.5, x]))
    given = {"kaplan_yorke": 2.06, "kaplan_yorke_is_bound": False, "history": history} | more
    return LyapunovSpectrum(x, np.asarray(errors, dtype=float), given["kaplan_yorke"], given["kaplan_yorke_is_bound"], None, given["history"],
                            TrajectoryStatus.COMPLETED, "", 2.0, 0.0, np.zeros(len(x)))  # fmt: skip


# --- what holds for all


def test_every_result_that_names_a_plot_has_it():
    named = {c.__name__: c._plot for c in Result.__subclasses__() if c._plot}
    assert len(named) >= 8
    assert {name: plot for name, plot in named.items() if plot not in rt.plots.__all__} == {}


def test_names_of_plots_are_sorted():
    assert list(rt.plots.__all__) == sorted(rt.plots.__all__)


def test_drawing_changes_no_style_and_uses_the_axes_that_is_given(bistable):
    before = dict(mpl.rcParams)
    found = rt.find_fixed_points(bistable)
    ax, opened = plt.subplots()[1], plt.get_fignums()
    assert found.plot(ax=ax) is ax
    assert rt.plots.spectrum(found, ax=ax) is ax
    assert rt.enumerate_regions(bistable, (-3.0, 3.0)).plot(ax=ax, model=bistable) is ax
    assert plt.get_fignums() == opened
    assert dict(mpl.rcParams) == before


# --- fixed points


def test_stable_points_are_filled_and_unstable_ones_open_where_they_are(bistable):
    ax = rt.find_fixed_points(bistable).plot(units=(0, 1))
    nodes, saddle = line(ax, "stable node"), line(ax, "saddle")
    assert np.allclose(sorted(map(tuple, xy(nodes))), [(-2, 2), (2, -2)], atol=1e-12)  # rounding of a 2 x 2 solve
    assert np.allclose(xy(saddle), [[2 / 3, 2 / 3]], atol=1e-12)
    assert nodes.get_markerfacecolor() == nodes.get_color()
    assert to_rgba(saddle.get_markerfacecolor()) == OPEN
    assert nodes.get_marker() != saddle.get_marker()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("state $z_{1}$", "state $z_{2}$")


def test_fixed_points_are_drawn_in_the_outputs(bistable):
    for options in ({}, {"outputs": True}):
        ax = rt.find_fixed_points(bistable).plot(**options)
        assert np.allclose(xy(line(ax, "saddle")), [[4 / 3, 1.0]], atol=1e-12)
        assert ax.get_xlabel() == "output $x_{1}$"


def test_one_state_is_drawn_on_a_line_and_three_in_space():
    one = rt.find_fixed_points(rt.PLRNN([0.5], [[0.0]], [1.0])).plot()
    assert np.allclose(xy(line(one, "stable node")), [[2.0, 0.0]], atol=1e-12)
    assert not one.yaxis.get_visible()
    four = rt.find_fixed_points(rt.PLRNN([0.5] * 4, np.zeros((4, 4)), [1.0, 2.0, 3.0, 4.0]))
    solid = four.plot()
    assert solid.name == "3d"
    assert np.allclose(np.ravel(line(solid, "stable node").get_data_3d()), [2, 4, 6], atol=1e-12)
    assert np.allclose(xy(line(four.plot(units=(3, 1)), "stable node")), [[8, 4]], atol=1e-12)


def test_a_flat_axes_takes_the_first_two_of_four_states():
    ax = plt.subplots()[1]
    rt.find_fixed_points(rt.PLRNN([0.5] * 4, np.zeros((4, 4)), [1.0, 2.0, 3.0, 4.0])).plot(ax=ax)
    assert np.allclose(xy(line(ax, "stable node")), [[2, 4]], atol=1e-12)


def test_points_on_a_boundary_are_ringed():
    ax = rt.find_fixed_points(rt.PLRNN([0.5], [[0.2]], [0.0])).plot()
    ring, point = line(ax, "on a boundary"), line(ax, "stable node")
    assert np.allclose(xy(ring), xy(point), atol=0)
    assert ring.get_markersize() > point.get_markersize()
    assert ring.get_markerfacecolor() == "none"


def test_a_point_that_is_unstable_across_its_boundary_is_open():
    found = rt.find_fixed_points(rt.PLRNN([0.5], [[0.2]], [0.0]))
    drawn = line(replace(found, stable=np.array([False])).plot(), "stable node, on its side only")
    assert to_rgba(drawn.get_markerfacecolor()) == OPEN


def test_a_continuum_ends_where_its_region_ends():
    model = rt.PLRNN([1.0], [[-0.5]], [0.0])  # z' = z for z <= 0, z / 2 beyond: every z <= 0 rests
    found = rt.find_fixed_points(model)
    assert len(found.continua) == 1
    known = line(found.plot(), "continuum").get_xdata()
    assert np.max(known) == pytest.approx(0.0, abs=1e-12)
    assert np.min(known) < -1.0
    unknown = line(replace(found, searched=None).plot(), "continuum (direction)").get_xdata()
    assert np.ptp(unknown) < 0.2


def test_a_unit_that_does_nothing_does_not_end_a_continuum():
    model = rt.PLRNN([1.0, 0.5], np.zeros((2, 2)), [0.0, 1.0])
    drawn = xy(line(rt.find_fixed_points(model).plot(model=model), "continuum"))
    assert drawn[:, 0].min() < 0 < drawn[:, 0].max()
    assert np.allclose(drawn[:, 1], 2.0, atol=1e-12)


def test_a_plane_of_fixed_points_is_a_patch_per_region():
    W = np.array([[0.0, 0, 0], [0, 0, 0], [0.1, 0.2, 0]])
    model = rt.PLRNN([1.0, 1.0, 0.5], W, [0.0, 0.0, 1.0])
    found = rt.find_fixed_points(model)
    ax = found.plot(model=model, units=(0, 1))
    patches = [p for p in ax.patches if isinstance(p, Polygon)]
    assert len(patches) == len(found.continua) == 4
    for patch, part in zip(patches, found.continua, strict=True):
        signs = np.where(part.pattern[:2], 1.0, -1.0)
        assert (patch.get_xy() * signs >= -1e-9).all()  # rounding of a clipped corner
    assert len(found.plot(model=model).collections) == 4  # the same in space


def test_slow_points_are_gray_and_the_trajectory_lies_underneath(bistable):
    path = rt.simulate(bistable, [1.0, 1.1], steps=20)
    found = replace(rt.find_fixed_points(bistable), slow_points=np.array([[0.1, 0.2]]), speeds=np.array([1e-3]))
    ax = found.plot(trajectory=path, outputs=False)
    assert np.array_equal(xy(line(ax, "slow point")), [[0.1, 0.2]])
    assert line(ax, "slow point").get_color() == "0.5"
    orbit = min(ax.get_lines(), key=lambda x: x.get_zorder())
    assert np.array_equal(xy(orbit), path.states)


def test_eigenvectors_at_a_saddle_are_dashed_where_they_grow(bistable):
    before = rt.find_fixed_points(bistable).plot(outputs=False)
    ax = rt.find_fixed_points(bistable).plot(outputs=False, eigenvectors=True)
    extra = [x for x in ax.get_lines() if len(x.get_xdata()) == 2 and x.get_marker() == "None"]
    assert len(ax.get_lines()) == len(before.get_lines()) + 2
    slopes = {x.get_linestyle(): float(np.divide(*np.diff(xy(x), axis=0)[0][::-1])) for x in extra}
    assert slopes == pytest.approx({"--": -1.0, "-": 1.0}, abs=1e-9)  # multipliers 1.5 along (1, -1), -0.5 along (1, 1)


def test_what_cannot_be_drawn_of_fixed_points_is_refused(bistable):
    found = rt.find_fixed_points(bistable)
    with pytest.raises(ValueError, match="indices run from 0 to 1"):
        found.plot(units=(0, 2))
    with pytest.raises(ValueError, match="`units` has 4 entries; one, two or three"):
        found.plot(units=(0, 1, 0, 1))
    with pytest.raises(ValueError, match="`ax` is flat"):
        found.plot(units=(0, 1, 0), ax=plt.subplots()[1])
    with pytest.raises(ValueError, match="pass it as `model=`"):
        replace(found, searched=None).plot(eigenvectors=True)
    with pytest.raises(ValueError, match="no readout"):
        rt.find_fixed_points(rt.PLRNN([0.5], [[0.0]], [1.0])).plot(outputs=True)
    with pytest.raises(ValueError, match="does not hold its system; pass it as `model=`"):
        replace(found, searched=None).plot(outputs=True)
    with pytest.raises(ValueError, match="There is no fixed point to draw"):
        rt.find_fixed_points(rt.PLRNN([1.0], [[0.0]], [1.0])).plot()


# --- the complex plane


def test_spectrum_shows_the_eigenvalues_and_the_unit_circle(bistable):
    found = rt.find_fixed_points(bistable)
    ax = rt.plots.spectrum(found)
    drawn = [x for x in ax.get_lines() if x.get_marker() == "o"]
    assert len(drawn) == 3
    for x, w, stable in zip(drawn, found.eigenvalues, found.stable, strict=True):
        assert np.array_equal(xy(x), np.column_stack([w.real, w.imag]))
        assert (x.get_markerfacecolor() == "none") != stable
    assert [p.get_radius() for p in ax.patches if isinstance(p, Circle)] == [1.0]
    assert legend(ax)[0].startswith("0: ")


def test_spectrum_of_a_flow_has_the_imaginary_axis():
    network, _ = rt.zoo.systems.chua_network()
    ax = rt.plots.spectrum(rt.find_fixed_points(network))
    assert not ax.patches
    assert [0.0, 0.0] in [list(x.get_xdata()) for x in ax.get_lines()]
    assert "(1/time)" in ax.get_xlabel()


def test_no_fixed_point_has_no_spectrum():
    with pytest.raises(ValueError, match="no fixed point, so there are no eigenvalues"):
        rt.plots.spectrum(rt.find_fixed_points(rt.PLRNN([1.0], [[0.0]], [1.0])))


def test_multipliers_have_a_color_per_period_and_are_filled_where_stable():
    cycles = some_cycles(
        a_cycle([[0, 0], [1, 1]], [0.5, -0.2], True),
        a_cycle([[2, 0], [1, 3]], [1.5, 0.1], False),
        a_cycle([[5, 0], [1, 5], [3, 3]], [0.3 + 0.4j, 0.3 - 0.4j], True),
    )
    ax = rt.plots.multipliers(cycles)
    a, b, c = [x for x in ax.get_lines() if x.get_marker() == "o" and len(x.get_xdata())]
    assert np.array_equal(xy(c), [[0.3, 0.4], [0.3, -0.4]])
    assert a.get_color() == b.get_color() != c.get_color()
    assert (a.get_markerfacecolor(), b.get_markerfacecolor()) == (a.get_color(), "none")
    assert legend(ax) == ["period 2 (2 cycles)", "period 3", "stable", "unstable"]
    assert [p.get_radius() for p in ax.patches] == [1.0]


def test_huge_multipliers_are_drawn_on_a_logarithmic_radius():
    ax = rt.plots.multipliers(some_cycles(a_cycle([[0, 0, 0]], [1e4j, -1.0, 0.0], False)))
    z = xy(next(x for x in ax.get_lines() if x.get_marker() == "o"))
    unit = next(p.get_radius() for p in ax.patches if p.get_linewidth() == 0.8)
    assert np.allclose(z, [[0.0, unit + 4.0], [-unit, 0.0], [0.0, 0.0]], atol=1e-12)
    flat = rt.plots.multipliers(some_cycles(a_cycle([[0.0]], [1e4], False)), logarithmic=False)
    assert flat.get_lines()[0].get_xdata()[0] == 1e4


def test_many_periods_take_a_colormap_and_a_short_legend():
    ax = rt.plots.multipliers(some_cycles(*(a_cycle(np.eye(k), np.full(k, 1 / k), True) for k in range(1, 16))))
    drawn = [x for x in ax.get_lines() if x.get_marker() == "o" and len(x.get_xdata())]
    assert len({to_rgba(x.get_color()) for x in drawn}) == 15
    assert "... 3 more periods" in legend(ax)


def test_no_cycle_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="no cycle to draw \\(none at all\\)"):
        some_cycles().plot()


def test_a_cycle_is_a_closed_line_through_its_points_in_order(data):
    d = np.load(data / "shallow_plrnn_cycles.npz")
    found = rt.find_cycles(rt.ShallowPLRNN(*(d[k] for k in ("A", "W1", "W2", "h1", "h2"))), 4)
    four = next(c for c in found if c.period == 4)
    ax = four.plot()
    joined, dots = ax.get_lines()
    assert np.array_equal(xy(joined), np.concatenate([four.points, four.points[:1]]))
    assert np.array_equal(xy(dots), four.points)
    assert joined.get_linestyle() == "--"
    assert to_rgba(dots.get_markerfacecolor()) == OPEN
    assert legend(ax) == ["period 4, unstable"]


def test_stable_cycles_are_solid_and_each_has_its_color():
    ax = plt.subplots()[1]
    for x in (0.0, 5.0):
        a_cycle([[x, 0], [x, 1]], [0.5, 0.1], True).plot(ax=ax)
    first, dots, second, _ = ax.get_lines()
    assert first.get_linestyle() == "-"
    assert first.get_color() == dots.get_color() == dots.get_markerfacecolor() != second.get_color()


def test_a_cycle_of_one_state_is_drawn_against_the_next():
    ax = a_cycle([[1.0], [3.0], [2.0]], [0.5], True).plot()
    assert np.array_equal(xy(ax.get_lines()[1]), [[1, 3], [3, 2], [2, 1]])
    assert ax.get_ylabel() == "next state $z_{1}$"


def test_a_limit_cycle_is_followed_for_one_period():
    center = rt.ContinuousPLRNN(
        [[0.0, -1.0], [1.0, 0.0]], np.zeros((2, 2)), np.zeros(2), readout=[[2.0, 0.0], [0.0, 2.0]]
    )
    circle = a_cycle([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0], True, period=2 * np.pi)
    z = xy(circle.plot(model=center, outputs=False).get_lines()[0])
    t = np.linspace(0, 2 * np.pi, len(z))
    assert np.allclose(z, np.column_stack([np.cos(t), np.sin(t)]), atol=1e-10)  # of the flow's steps
    assert np.allclose(xy(circle.plot(model=center, outputs=True).get_lines()[0]), 2 * z, atol=1e-12)
    assert len(circle.plot().get_lines()[0].get_xdata()) == 3  # without the model: straight lines


def test_outputs_of_a_cycle_need_the_model():
    with pytest.raises(ValueError, match="pass the system that was searched as `model=`"):
        a_cycle([[1.0], [2.0]], [0.5], True).plot(outputs=True)


# --- exponents


def test_exponents_have_error_bars_and_a_color_for_zero():
    ax = a_spectrum([0.9, 0.001, -14.5], [0.01, 0.001, 0.02]).plot()
    drawn = {c.get_label(): c for c in ax.containers}
    assert list(drawn) == ["positive", "zero within 3 standard errors", "negative"]
    for label, k, x, e in (("positive", 1, 0.9, 0.01), ("zero within 3 standard errors", 2, 0.001, 0.001)):
        points, _, (bars,) = drawn[label].lines
        assert np.array_equal(xy(points), [[k, x]])
        assert np.allclose(bars.get_segments()[0][:, 1], [x - e, x + e], atol=1e-15)
    assert ax.get_legend().get_title().get_text() == "$D_{KY} = 2.06$"
    assert any(list(x.get_ydata()) == [0.0, 0.0] for x in ax.get_lines())


def test_the_history_is_beside_the_exponents_in_the_same_colors():
    result = a_spectrum([0.9, -14.5], [0.01, 0.02])
    ax = result.plot(history=True)
    (inset,) = ax.child_axes
    for k, x in enumerate(inset.get_lines()[:2]):
        assert np.array_equal(xy(x), np.column_stack([result.history.times, result.history.exponents[:, k]]))
    assert inset.get_lines()[0].get_color() == ax.containers[0].lines[0].get_color()
    ax.figure.canvas.draw()
    assert inset.get_tightbbox().x0 > ax.get_window_extent().x1
    assert inset.get_tightbbox().y1 < ax.get_legend().get_window_extent().y0
    assert not result.plot().child_axes


def test_minus_infinity_is_an_arrow_and_an_unknown_error_has_no_bar():
    ax = a_spectrum([0.5, -np.inf], [np.inf, 0.0], kaplan_yorke_is_bound=True).plot()
    assert list(line(ax, r"$-\infty$").get_xdata()) == [2]
    points, _, (bars,) = ax.containers[0].lines
    assert ax.containers[0].get_label() == "positive"
    assert list(points.get_xdata()) == [1]
    assert np.ptp(bars.get_segments()[0][:, 1]) == 0.0
    assert "geq" in ax.get_legend().get_title().get_text()


def test_exponents_that_were_not_measured_are_refused():
    empty = History(np.zeros(0), np.zeros((0, 1)))
    with pytest.raises(ValueError, match="No exponent was measured"):
        a_spectrum([np.nan], [np.nan]).plot()
    with pytest.raises(ValueError, match="no history"):
        a_spectrum([-1.0], [0.0], history=empty).plot(history=True)


# --- regions


@pytest.fixture
def visits():
    entry = rt.zoo.entry("vanderpol")
    return rt.visited_regions(rt.simulate(entry.model, entry.z0, steps=600))


def test_transition_graph_has_an_arrow_per_change_and_areas_by_time(visits):
    ax = visits.plot(num_regions=5)
    shown = np.argsort(-visits.fractions, kind="stable")[:5]
    jumps = visits.jumps.toarray()
    P = (jumps / np.maximum(jumps.sum(axis=1, keepdims=True), 1))[np.ix_(shown, shown)]
    arrows = [p for p in ax.patches if isinstance(p, FancyArrowPatch)]
    assert len(arrows) == np.count_nonzero(P)
    widths = sorted(a.get_linewidth() for a in arrows)
    assert np.allclose(widths, np.sort(0.3 + 3.0 * P[P > 0]), atol=1e-12)
    (nodes,) = ax.collections
    assert len(nodes.get_offsets()) == 5
    fractions = np.sort(visits.fractions[shown])
    assert np.allclose(np.sort(nodes.get_sizes()) - 25.0, 1600 * fractions / fractions[-1], atol=1e-9)
    assert ax.get_title().startswith(f"5 of {len(visits)} regions, {100 * fractions.sum():.3g} %")


def test_transition_graph_names_regions_by_bits_or_by_index(visits):
    bits = "".join("01"[int(b)] for b in visits.patterns[0])
    assert len(bits) == 12
    assert bits in [t.get_text().splitlines()[0] for t in visits.plot(num_regions=3).texts]
    wide = replace(visits, patterns=np.repeat(visits.patterns, 2, axis=1)[:, :13])
    assert {t.get_text().splitlines()[0] for t in wide.plot(num_regions=3).texts} == {"#0", "#1", "#2"}


def test_one_region_is_a_graph_of_one_node(bistable):
    ax = rt.visited_regions(rt.simulate(bistable, [2.0, -2.0], steps=5)).plot()
    assert not ax.patches
    assert ax.texts[0].get_text() == "10\n100 %"


def test_number_of_regions_must_be_positive(visits):
    with pytest.raises(ValueError, match="`num_regions` is 0"):
        visits.plot(num_regions=0)


def area(patch):
    x, y = patch.get_xy()[:-1].T
    return 0.5 * abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def test_region_polygons_fill_the_box_and_hold_their_points(data):
    d = np.load(data / "shallow_plrnn_cycles.npz")
    model = rt.ShallowPLRNN(*(d[k] for k in ("A", "W1", "W2", "h1", "h2")))
    regions = rt.enumerate_regions(model, (-40.0, 45.0))
    ax = regions.plot(model=model)
    assert len(ax.patches) == len(regions)
    assert sum(map(area, ax.patches)) == pytest.approx(85.0**2, abs=1e-6)  # rounding of 56 clipped polygons
    for patch, z, bits in zip(ax.patches, regions.points, regions.patterns, strict=True):
        assert patch.get_path().contains_point(z)
        middle = patch.get_xy()[:-1].mean(axis=0)  # a convex polygon holds the mean of its corners
        assert np.array_equal(model.pattern(middle), bits)


def test_regions_carry_their_bits_where_there_is_room(bistable):
    ax = rt.enumerate_regions(bistable, (-3.0, 3.0)).plot(model=bistable)
    assert {t.get_text(): tuple(np.sign(t.get_position())) for t in ax.texts} == {
        "00": (-1, -1), "01": (-1, 1), "10": (1, -1), "11": (1, 1)
    }  # fmt: skip


def test_without_the_model_regions_are_their_largest_circles(bistable):
    regions = rt.enumerate_regions(bistable, (-3.0, 3.0))
    circles = replace(regions, searched=None).plot().patches
    assert np.array_equal([c.center for c in circles], regions.points)
    assert np.array_equal([c.get_radius() for c in circles], regions.radii)


def test_regions_of_one_state_are_intervals():
    regions = rt.enumerate_regions(rt.DendriticPLRNN([0.5], [[1.0]], [0.0], [1.0, 1.0], [[-1.0], [2.0]]), (-3.0, 3.0))
    spans = sorted((p.get_x(), p.get_x() + p.get_width()) for p in regions.plot().patches)
    assert np.allclose(spans, [(-3, -1), (-1, 2), (2, 3)], atol=1e-12)


def test_a_plane_through_three_states_shows_the_regions_it_meets():
    model = rt.PLRNN([0.5] * 3, np.eye(3), np.zeros(3))
    regions = rt.enumerate_regions(model, (-1.0, 1.0))
    ax = regions.plot(model=model, units=(0, 2), at=[0.0, 0.5, 0.0])
    assert len(regions) == 8
    assert {p.get_gid() for p in ax.patches} == {"010", "011", "110", "111"}
    assert all(area(p) == pytest.approx(1.0, abs=1e-12) for p in ax.patches)
    with pytest.raises(ValueError, match="3 states; pass `model=`"):
        replace(regions, searched=None).plot()
    with pytest.raises(ValueError, match="pass the model that was given"):
        regions.plot(model=rt.PLRNN([0.5] * 2, np.eye(2), np.zeros(2)))


# --- basins


def test_basins_show_the_image_and_give_the_fractions(bistable):
    result = rt.analysis.find_basins(bistable, (-3.0, 3.0), num=200, slice=(0, 1), resolution=20, steps=200)
    ax = result.plot()
    (image,) = ax.images
    assert np.array_equal(image.get_array(), result.image)
    assert list(image.get_extent()) == [-3, 3, -3, 3]
    a = result.attractors[0]
    assert legend(ax)[0] == f"fixed point: {a.fraction:.3f} $\\pm$ {a.standard_error:.3f}"
    marked = sorted(tuple(np.round(xy(x)[0], 9)) for x in ax.get_lines())
    assert marked == [(-2, 2), (2, -2)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("state $z_{1}$", "state $z_{2}$")
    with pytest.raises(ValueError, match="leave out `units`"):
        result.plot(units=(0, 1))


def test_basins_without_a_slice_show_the_starts(bistable):
    result = rt.analysis.find_basins(bistable, (-3.0, 3.0), num=200, steps=200)
    ax = result.plot(units=(1, 0))
    groups = ax.get_lines()
    assert sum(len(x.get_xdata()) for x in groups) == 200
    assert np.array_equal(xy(groups[0]), result.starts[result.labels == 0][:, [1, 0]])
    assert len({x.get_color() for x in groups}) == len(groups)
    with pytest.raises(ValueError, match="drawn in 2 coordinates"):
        result.plot(units=(0,))


def test_a_fraction_of_one_is_given_with_its_interval():
    result = rt.analysis.find_basins(rt.PLRNN([0.5], [[0.0]], [1.0]), (-3.0, 3.0), num=50, steps=100)
    ax = result.plot()
    assert legend(ax) == [f"fixed point: 1 (95 %: above {result.attractors[0].interval[0]:.3g})"]
    assert not ax.yaxis.get_visible()


# --- parameters


def test_a_bifurcation_diagram_changes_its_style_at_the_event():
    model = rt.PLRNN(
        [0.4], [[-2.2]], [0.1]
    )  # for h > 0 the point h / 2.8 has the multiplier -1.8 and a 2-cycle is born
    result = scan(model, "h[0]", np.linspace(-0.5, 0.5, 10), max_period=2, attractor=5)
    ax = result.plot()
    curves = [x for x in ax.get_lines() if x.get_marker() == "None" and len(x.get_xdata())]
    points = [x for x in curves if x.get_color() == "C0"]
    solid, dashed = (next(x for x in points if x.get_linestyle() == style) for style in ("-", "--"))
    assert (solid.get_xdata()[-1], dashed.get_xdata()[0]) == pytest.approx((0.0, 0.0), abs=1e-9)  # error of the event
    assert np.allclose(dashed.get_ydata(), dashed.get_xdata() / 2.8, atol=1e-9)
    assert {x.get_color() for x in curves} == {"C0", "C1"}
    assert {"fixed point", "period 2", "stable", "unstable", "border flip", "attractor"} == set(legend(ax))
    assert ax.get_xlabel() == "h[0]"


def test_events_and_the_attractor_are_drawn_where_they_are(bistable):
    result = scan(bistable, "h[0]", np.linspace(-1.0, 3.0, 9), attractor=4)
    ax = result.plot(unit=1)
    (kind,) = {e.kind for e in result.events}
    marker = line(ax, f"{kind} ({len(result.events)})").get_marker()
    drawn = [tuple(xy(x)[0]) for x in ax.get_lines() if x.get_marker() == marker and len(x.get_xdata())]
    assert drawn == [(e.value, np.atleast_2d(e.point)[0, 1]) for e in result.events]
    dots = ax.get_lines()[0]
    assert np.array_equal(xy(dots), np.column_stack([np.repeat(result.values, 4), result.attractor[..., 1].ravel()]))
    with pytest.raises(ValueError, match="indices run from 0 to 1"):
        result.plot(unit=2)


def test_a_stability_map_has_a_color_per_period_that_occurs():
    model = rt.PLRNN(
        [0.4], [[-2.2]], [0.1]
    )  # h < 0: a point; h > 0: multiplier 0.4 - |W| with a 2-cycle, or none below -1
    result = stability_map(
        model, ("h[0]", "W[0, 0]"), (np.linspace(-0.9, 0.9, 4), np.array([-4.0, -2.2, -0.5])), steps=100, z0=[0.2]
    )
    ax = result.plot()
    (image,) = ax.collections
    bar = ax.figure.axes[-1]
    names = [t.get_text() for t in bar.get_yticklabels()]
    shown = np.array(names)[np.asarray(image.get_array(), dtype=int).reshape(3, 4)]
    words = {0: "aperiodic\nor longer", -1: "diverged", -2: "not\ncomputed"}
    assert np.array_equal(shown, [[words.get(int(k), str(k)) for k in row] for row in result.period.T])
    assert len(names) == len(set(names)) > 1
    corners = np.asarray(image.get_coordinates())
    assert np.allclose(
        corners[0, :, 0], [-1.2, -0.6, 0.0, 0.6, 1.2], atol=1e-12
    )  # half way between -0.9, -0.3, 0.3, 0.9
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("h[0]", "W[0, 0]")
    stable = result.plot(quantity="num_stable").collections[0]
    assert np.asarray(stable.get_array()).size == 12
    with pytest.raises(ValueError, match="`quantity` is 'chaos'; it must be one of period"):
        result.plot(quantity="chaos")


def test_places_that_were_not_computed_are_white_and_a_missing_proof_is_said():
    numbers = np.array([[1, -1], [2, 1]])
    result = StabilityMap((np.array([0.0, 1.0]), np.array([0.0, 1.0])), ("a", "b"), numbers, numbers, numbers == 3, np.array([[4, 0], [-1, -2]]),
                          16, SearchStatus.TIME_LIMIT, "")  # fmt: skip
    ax = result.plot()
    assert [t.get_text() for t in ax.figure.axes[-1].get_yticklabels()] == [
        "4",
        "aperiodic\nor longer",
        "diverged",
        "not\ncomputed",
    ]
    assert to_rgba(ax.collections[0].cmap(3)) == OPEN
    counts = result.plot(quantity="num_points").figure.axes[-1]
    assert [t.get_text() for t in counts.get_yticklabels()] == ["1", "2", "not\ncomputed"]
    assert counts.get_ylabel() == "fixed points found"


# --- everything


def test_an_analysis_is_drawn_in_one_figure(bistable):
    found = analysis.analyze(bistable, [1.0, 1.1], steps=200, max_period=2, basins=20, time_limit=20)
    axes = found.plot()
    assert len({ax.figure for ax in axes}) == 1
    assert len(axes) == 6
    assert axes[0].figure.get_suptitle().lower() == found.behavior
    assert len(found.plot(units=(0,), figure=plt.figure())) == 6
