"""Small pictures in notebooks."""

import re

import numpy as np

import retime as rt
from retime.core.sketch import plane_sketch, series_sketch


def test_series_lie_inside_and_keep_their_highest_value():
    t = np.linspace(0.0, 1.0, 101)
    svg = series_sketch(t, np.column_stack([t, np.sin(9 * t)]), ["a", "<b>"])
    assert "&lt;b&gt;" in svg
    lines = re.findall(r'points="([^"]+)"', svg)
    assert len(lines) == 2
    for k, line in enumerate(lines):
        xy = np.array([p.split(",") for p in line.split()], dtype=float)
        assert ((xy >= [46, 44 * k]) & (xy <= [420, 44 * (k + 1)])).all()
    assert lines[0].split()[-1] == "416.0,4.0"  # the largest value of the first series, at the top right


def test_eigenvalues_outside_the_circle_have_the_other_colour():
    svg = plane_sketch([0.5, 2.0, 0.1 + 1j, np.nan], is_circle=True)
    assert svg.count("#d2552d") == 2
    assert svg.count("#3b82c4") == 1
    assert plane_sketch([-0.5, 2.0], is_circle=False).count("#d2552d") == 1


def test_what_cannot_be_drawn_is_left_out():
    assert series_sketch([0.0, 1.0], [[np.nan], [1.0]], ["a"]) == ""
    assert plane_sketch([], is_circle=True) == ""


def test_notebooks_show_orbits_and_fixed_points_with_their_tables():
    model = rt.PLRNN([0.5], [[0.0]], [0.5])
    path = rt.simulate(model, [0.3], steps=9)
    assert "<polyline" in path._repr_html_()
    assert "<polyline" not in rt.simulate(model, [[0.3], [0.1]], steps=9)._repr_html_()
    shown = rt.find_fixed_points(model)._repr_html_()
    assert shown.startswith("<table>")
    assert "<circle" in shown
