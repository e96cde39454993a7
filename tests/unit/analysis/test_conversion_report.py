"""A conversion measured along one orbit."""

import numpy as np
import pytest

import retime as rt


def test_steps_without_an_ode_are_those_whose_matrix_has_a_lone_negative_eigenvalue():
    entry = rt.zoo.entry("vanderpol")
    model = entry.model
    report = rt.conversion_report(rt.to_continuous(model), entry.z0, steps=100)
    z, raised = entry.z0, 0
    for _ in range(100):
        on = (z > 0).astype(float)  # the units of a PLRNN read one state each
        w = np.linalg.eigvals(np.diag(np.diag(model.canonical.A)) + model.W * on)
        raised += int(np.sum((np.abs(w.imag) < 1e-12) & (w.real < 0)) > 0)
        z = model.step(z)
    assert report.steps_raised == raised > 0
    assert report.holds
    assert report.state.summary()["max_one_step_error"] > report.clock.summary()["max_one_step_error"]
    assert "Claim it per step, not for whole orbits" in " ".join(report.words.split())
    assert report.to_dict()["certificate"]["holds"]


def test_what_has_no_regions_is_refused_with_its_name():
    linear = rt.LinearSystem(0.5 * np.eye(1), [0.0], np.zeros((1, 0)), time=rt.Discrete(1.0))
    with pytest.raises(
        TypeError, match=r"`model` is LinearSystem; conversion_report takes a map .* its `\.certificate`"
    ):
        rt.conversion_report(linear, [1.0], steps=3)
    with pytest.raises(ValueError, match="first step; start elsewhere"):
        rt.conversion_report(rt.PLRNN([1e200], [[0.0]], [0.0]), [1e200], steps=3)
