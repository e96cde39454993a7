"""What holds for the fixed points of every piecewise-affine family: their own equation, spectra, conversions, stability."""

import numpy as np
import pytest

import retime as rt
from families import CASES, MAP_NAMES, make

NAMES = [name for name in MAP_NAMES if name != "linear"]


def bistable(seed=0, dt=0.1):
    """A network of three units with several fixed points, of all kinds of stability, and negative eigenvalues."""
    rng = np.random.default_rng(seed)
    return rt.PLRNN(rng.uniform(-0.9, 0.9, 3), rng.normal(size=(3, 3)) * 1.2, rng.normal(size=3), time=rt.Discrete(dt))


def sorted_spectra(w):
    return np.sort_complex(np.round(np.asarray(w, dtype=complex), 9))


@pytest.mark.parametrize(("name", "base"), CASES)
def test_fixed_points_solve_the_family_equation(rng, name, base):
    number = 0
    for k in range(5):
        model, equation = make(name, rng, base=base)
        s = rng.normal(size=2) if k else np.zeros(2)
        found = rt.find_fixed_points(model, inputs=s)
        assert found.complete
        for z in found.points:
            want = z if base == "map" else np.zeros_like(z)
            np.testing.assert_allclose(equation(z, s), want, rtol=0, atol=1e-10 * (1 + np.abs(z).max()))
        assert found.residuals.max(initial=0.0) < 1e-10
        inside = ~found.on_boundary
        read = model.pattern(found.points, np.tile(s, (len(found), 1)))
        np.testing.assert_array_equal(found.patterns[inside], read[inside])
        number += len(found) + len(found.continua)
    assert number


@pytest.mark.parametrize(("name", "base"), CASES)
def test_eigenvalues_are_those_of_the_jacobian(rng, name, base):
    for _ in range(3):
        model, _ = make(name, rng, base=base)
        found = rt.find_fixed_points(model)
        for z, w in zip(found.points, found.eigenvalues, strict=True):
            J = model.jacobian(z, np.zeros(2))
            np.testing.assert_allclose(sorted_spectra(w), sorted_spectra(np.linalg.eigvals(J)), atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_converted_flows_rest_where_their_map_does(rng, name):
    for _ in range(3):
        model, _ = make(name, rng, n=3)
        flow = rt.to_continuous(model, throw=False).model
        of_map, of_flow = rt.find_fixed_points(model), rt.find_fixed_points(flow)
        np.testing.assert_allclose(of_map.points, of_flow.points, atol=1e-10)
        np.testing.assert_array_equal(of_map.stable, of_flow.stable)
        assert of_flow.dt is None
        assert of_map.complete
        assert of_flow.complete
        large = np.abs(of_map.eigenvalues) > 1e-12
        np.testing.assert_allclose(np.exp(of_flow.eigenvalues * model.dt)[large], of_map.eigenvalues[large], atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dt", [0.1, 0.05, 0.2, 0.3])
def test_a_resampled_map_has_the_same_points_with_the_spectrum_of_its_jacobian(seed, dt):
    model = bistable(seed)
    resampled = rt.retime_to(model, dt).model
    found, before = rt.find_fixed_points(resampled), rt.find_fixed_points(model)
    np.testing.assert_allclose(found.points, before.points, atol=1e-10)
    for z, w, stable in zip(found.points, found.eigenvalues, found.stable, strict=True):
        np.testing.assert_allclose(resampled.apply(z), z, atol=1e-9 * (1 + np.abs(z).max()))
        v = np.linalg.eigvals(resampled.jacobian(z))
        np.testing.assert_allclose(sorted_spectra(w), sorted_spectra(v), atol=1e-8)
        assert stable == bool((np.abs(v) < 1).all())


@pytest.mark.parametrize("dt", [0.05, 0.5])
def test_a_discretized_flow_rests_where_its_own_step_does(dt):
    """dz/dt = 1 - z + relu(z) / 2 rests at 2, and so does its zero-order hold; z = F(z) of the field would be 2/3."""
    held = rt.to_discrete(rt.ContinuousPLRNN([-1.0], [[0.5]], [1.0]), dt, method=rt.ZeroOrderHold()).model
    np.testing.assert_allclose(held.apply(np.array([2.0])), [2.0], atol=1e-12)
    found = rt.find_fixed_points(held)
    np.testing.assert_allclose(found.points, [[2.0]], atol=1e-12)
    np.testing.assert_allclose(found.eigenvalues, [[np.exp(-0.5 * dt)]], atol=1e-12)


@pytest.mark.parametrize("dt", [0.05, 0.5])
def test_a_discretized_flow_has_the_equilibria_with_exponential_multipliers(rng, dt):
    for _ in range(4):
        n = 3
        flow = rt.ContinuousPLRNN(-rng.uniform(0.5, 1.5, n), rng.normal(size=(n, n)), rng.normal(size=n))
        held = rt.to_discrete(flow, dt, method=rt.ZeroOrderHold()).model
        rest, fixed = rt.find_fixed_points(flow), rt.find_fixed_points(held)
        np.testing.assert_allclose(rest.points, fixed.points, atol=1e-10)
        np.testing.assert_array_equal(rest.stable, fixed.stable)
        for z, r, w in zip(fixed.points, rest.eigenvalues, fixed.eigenvalues, strict=True):
            np.testing.assert_allclose(sorted_spectra(np.exp(r * dt)), sorted_spectra(w), atol=1e-8)
            np.testing.assert_allclose(
                sorted_spectra(np.linalg.eigvals(held.jacobian(z))), sorted_spectra(w), atol=1e-8
            )


@pytest.mark.parametrize("seed", range(12))
def test_perturbed_orbits_return_to_stable_points_and_leave_unstable_ones(seed):
    model = bistable(seed)
    found = rt.find_fixed_points(model)
    rng = np.random.default_rng(seed)
    for z, w, stable in zip(found.points, found.eigenvalues, found.stable, strict=True):
        if np.abs(np.abs(w[0]) - 1) < 0.02:
            continue
        x = z + 1e-7 * rng.normal(size=3)
        away = []
        for _ in range(600):
            x = model.apply(x)
            away.append(np.abs(x - z).max())
            if away[-1] > 1e-3:
                break
        assert (away[-1] < 1e-10) == stable
        assert (max(away) > 1e-3) == (not stable)


@pytest.mark.parametrize("seed", range(3))
def test_fixed_points_do_not_depend_on_the_order_of_the_units(seed):
    rng = np.random.default_rng(seed)
    n, q = 4, 7
    A, W1, W2 = rng.uniform(-0.9, 0.9, n), rng.normal(size=(n, q)), rng.normal(size=(q, n))
    h1, h2 = rng.normal(size=n), rng.normal(size=q)
    one = rt.find_fixed_points(rt.ShallowPLRNN(A, W1, W2, h1, h2))
    p = rng.permutation(q)
    two = rt.find_fixed_points(rt.ShallowPLRNN(A, W1[:, p], W2[p], h1, h2[p]))
    np.testing.assert_allclose(one.points, two.points, atol=1e-10 * (1 + np.abs(one.points).max(initial=0)))
    np.testing.assert_array_equal(one.patterns[:, p], two.patterns)


def test_there_are_points_of_every_stability_among_the_test_networks():
    found = [rt.find_fixed_points(bistable(seed)) for seed in range(12)]
    assert sum(f.stable.sum() for f in found) > 2
    assert sum((~f.stable).sum() for f in found) > 2
    assert any(f.num_unstable.max(initial=0) == 1 for f in found)


@pytest.mark.parametrize("name", NAMES)
def test_slower_networks_rest_at_the_same_points_with_longer_time_constants(rng, name):
    model, _ = make(name, rng, n=3)
    slower = rt.rescale_time(model, 2.0)
    slower = getattr(slower, "model", slower)
    a, b = rt.find_fixed_points(model), rt.find_fixed_points(slower)
    np.testing.assert_allclose(a.points, b.points, atol=1e-12)
    np.testing.assert_allclose(b.time_constants, 2 * a.time_constants, rtol=1e-9, atol=1e-12)
