"""cell_stability, contractivity radii, logarithmic norms."""

import numpy as np
import pytest

import retime as rt
from retime.cells import contractivity_radius, forms, log_norm
from retime.cells.contractivity import NORMS, norm_bound, slopes

ORDERS = {"1": 1, "2": 2, "inf": np.inf}


@pytest.mark.parametrize("norm", NORMS)
def test_log_norm_is_the_derivative_of_the_norm_of_the_flow(norm, rng):
    J, h = rng.normal(size=(4, 4)), 1e-7
    slope = (np.linalg.norm(np.eye(4) + h * J, ORDERS[norm]) - 1) / h
    assert log_norm(J, norm) == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize(
    ("method", "radii"),
    [  # Dahlquist & Jeltsch 1979, Kraaijevanger 1991
        (rt.Euler(), (1, 1)),
        (rt.Heun(), (1, 1)),
        (rt.RungeKutta(rt.MIDPOINT), (0, 0)),
        (rt.RungeKutta(rt.RK4), (1, 0)),
        (rt.RungeKutta(rt.IMPLICIT_EULER), (np.inf, np.inf)),
        (rt.RungeKutta(rt.IMPLICIT_MIDPOINT), (np.inf, 2)),
    ],
    ids=repr,
)
def test_contractivity_radii_are_the_published_ones(method, radii):
    assert [contractivity_radius(method, k) for k in ("2", "inf")] == pytest.approx(radii)


def test_in_its_disc_a_method_contracts_and_just_outside_it_does_not(rng):
    """RK4 on dz/dt = J z with |r + dt J| = r in the 2-norm."""
    largest = 0.0
    for _ in range(200):
        Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        for scale in (1.0, 1.6):
            J = scale * Q - np.eye(3)
            R = np.eye(3) + J @ (np.eye(3) + J / 2 @ (np.eye(3) + J / 3 @ (np.eye(3) + J / 4)))
            if scale == 1.0:
                assert np.linalg.norm(R, 2) <= 1 + 1e-12
            largest = max(largest, np.linalg.norm(R, 2))
    assert largest > 1.0


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("form", ["rate", "current"])
def test_bounds_hold_for_every_slope(norm, form, rng):
    model = rt.LeakyRNN(rng.normal(size=(4, 4)), None, np.zeros(4), alpha=0.4, form=form)
    known = slopes(model)
    bound = norm_bound(known, norm)
    found = [
        np.linalg.norm(known.L + known.P @ np.diag(d) @ known.Q, ORDERS[norm])
        for d in (np.array(np.meshgrid(*[[0.0, 1.0]] * 4)).reshape(4, -1).T)
    ]
    assert max(found) <= bound + 1e-12
    tight = norm == "inf" if form == "rate" else norm == "1"
    assert not tight or max(found) == pytest.approx(bound)
    J = model.jacobian(rng.normal(size=(50, 4)))
    assert np.linalg.norm(J, ORDERS[norm], axis=(1, 2)).max() <= bound


def test_gradients_are_singular_values_of_the_product(rng):
    model = rt.TanhRNN(0.9 * rng.normal(size=(4, 4)), rng.normal(size=(4, 1)), np.zeros(4))
    s, z = rng.normal(size=(12, 1)), [rng.normal(size=4)]
    for row in s[:-1]:
        z.append(model.step(z[-1], row))
    found = rt.cell_stability(model, states=np.array(z), inputs=s)
    product = np.eye(4)
    for M in model.jacobian(np.array(z), s):
        product = M @ product
    values = np.linalg.svd(product, compute_uv=False)
    np.testing.assert_allclose(found.gradient[-1], values[[0, -1]], rtol=1e-6)
    assert found.local.shape == (12,)


@pytest.mark.slow
def test_what_theory_keeps_is_kept_over_500_steps(rng):
    s = rng.normal(size=(500, 2))
    kept = {
        "unitary, moduli unchanged": rt.UnitaryRNN(rng.normal(size=(6, 6)), rng.normal(size=(6, 2)), np.zeros(6)),
        "QUNN without feedback": rt.QUNN(2, 2, 2, gain=0.0),
    }
    for name, model in kept.items():
        z = model.initial_state() if isinstance(model, rt.QUNN) else rng.normal(size=6)
        path = [z]
        for row in s[:-1]:
            path.append(model.step(path[-1], row))
        high, low = rt.cell_stability(model, states=np.array(path), inputs=s).gradient[-1]
        assert 0.9 <= low <= high <= 1.1, name
    elman = rt.TanhRNN(rng.normal(size=(6, 6)), rng.normal(size=(6, 2)), np.zeros(6))
    high, low = rt.cell_stability(elman, inputs=s).gradient[-1]
    assert low < 1e-6


def test_a_contracting_cell_says_so_everywhere(rng):
    W = rng.normal(size=(5, 5))
    calm = rt.TanhRNN(0.5 * W / np.linalg.norm(W, 2), None, np.zeros(5))
    found = rt.cell_stability(calm)
    assert found.is_global
    assert found.bound <= 1.0
    held = {c.name: c.holds for c in found.certificate.conditions}
    assert held["two orbits under the same inputs do not part"]
    assert held["the method contracts because the field does (2-norm)"]
    assert not held["gradients neither explode nor vanish (within ten times)"]


@pytest.mark.parametrize(
    ("arguments", "match"), [({"states": np.zeros((3, 4))}, "`states`"), ({"inputs": np.zeros((3, 4))}, "`inputs`")]
)
def test_shapes_are_named(arguments, match):
    with pytest.raises(rt.ShapeError, match=match):
        rt.cell_stability(rt.TanhRNN(np.eye(2), np.zeros((2, 1)), np.zeros(2)), **arguments)


@pytest.mark.parametrize(("above", "holds"), [(5e-10, True), (5e-9, False)])
def test_a_mode_grows_from_1e_9_above_1_on(above, holds):
    found = rt.cell_stability(rt.LinearSystem([1 + above], [0.0], np.zeros((1, 0)))).certificate.conditions
    assert [c.holds for c in found if c.name == "no mode of the linearization grows"] == [holds]


@pytest.mark.parametrize(("off", "holds"), [(5e-13, True), (5e-12, False)])
def test_two_forms_are_one_step_to_1e_12(off, holds):
    """Euler's step of dz/dt = -z over dt = 1 is 0; the cell's is off by at most `off`."""
    decay = rt.LinearSystem([-1.0], [0.0], np.zeros((1, 0)), time=rt.Continuous())
    largest = np.abs(np.random.default_rng(0).normal(size=(forms.STATES, 1))).max()
    cell = rt.LinearSystem([off / largest], [0.0], np.zeros((1, 0)))
    found = forms._measured(cell, forms.Form(decay, rt.Euler(), 1, forms.BY_DEFINITION))
    assert found.residual == pytest.approx(off, rel=1e-6, abs=0)
    assert found.certificate.conditions[0].holds == holds
