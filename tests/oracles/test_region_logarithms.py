"""Region generators against 50-digit arithmetic and against the maps they must reach."""

import mpmath
import numpy as np
import pytest

import retime as rt
from references import all_patterns, clock_step, exact_step_error


def region_of(M, c, dt=1.0, E=None):
    system = rt.PLRNN(M, np.zeros_like(M), c, E, time=rt.Discrete(dt))
    return rt.to_continuous(system, throw=False).model.region(np.zeros(len(M), bool))


def with_spectrum(blocks, rng):
    """A real matrix with the given diagonal blocks in a random, well-conditioned basis."""
    n = sum(len(b) for b in blocks)
    D, at = np.zeros((n, n)), 0
    for b in blocks:
        D[at : at + len(b), at : at + len(b)] = b
        at += len(b)
    S = (
        np.linalg.qr(rng.normal(size=(n, n)))[0]
        @ np.diag(rng.uniform(0.5, 2, n))
        @ np.linalg.qr(rng.normal(size=(n, n)))[0]
    )
    return S @ D @ np.linalg.inv(S)


def rotation(angle, size=1.0):
    return size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


SPECTRA = {
    "positive": [[[0.9]], [[0.3]], [[1.7]]],
    "eigenvalue one": [[[1.0]], [[0.4]], [[0.8]]],
    "complex": [rotation(0.7, 0.9), [[0.5]]],
    "almost half a turn": [rotation(3.1, 0.9), [[0.5]]],
    "one negative": [[[-0.6]], [[0.5]], rotation(0.3)],
    "two different negative": [[[-0.6]], [[-0.2]], [[0.5]]],
    "seven orders of magnitude": [[[1e-7]], [[1.0]], [[0.1]]],
}


@pytest.mark.parametrize("name", SPECTRA)
def test_generator_reaches_the_map_in_50_digits(name, rng):
    M = with_spectrum([np.array(b) for b in SPECTRA[name]], rng)
    c = rng.normal(size=len(M))
    # the generator has double entries: rounding of n log-sized entries, amplified by exp, stays below 1e-13 of ||G||
    assert exact_step_error(region_of(M, c, dt=0.25), M, c) <= 1e-13


@pytest.mark.parametrize("M", [-np.eye(2), np.diag([-0.5, -0.5, 0.3]), np.diag([0.0, 0.5]), np.zeros((2, 2))])
def test_real_and_regularized_generators_reach_the_map_in_50_digits(M, rng):
    c = rng.normal(size=len(M))
    region = region_of(M, c)
    assert region.status in ("real", "regularized")
    assert exact_step_error(region, M, c) <= 1e-13  # 2^-53 from the regularization, the rest rounding


@pytest.mark.parametrize("name", ["positive", "eigenvalue one", "complex", "seven orders of magnitude"])
def test_principal_generator_equals_the_logarithm_in_50_digits(name, rng):
    M = with_spectrum([np.array(b) for b in SPECTRA[name]], rng)
    n, c = len(M), rng.normal(size=len(M))
    G = np.eye(n + 1)
    G[:n, :n], G[:n, n] = M, c
    with mpmath.workdps(50):
        want = np.array(mpmath.logm(mpmath.matrix(G.tolist())).apply(mpmath.re).tolist(), dtype=float)
    region = region_of(M, c, dt=0.1)
    got = 0.1 * np.column_stack([region.W, region.h])
    # an error of one rounding in M moves the logarithm by condition * 2^-53 * ||log||; ten roundings are allowed
    allowed = 10 * 2.0**-53 * max(region.condition, 1.0) * np.linalg.norm(want) * n
    assert region.status == "principal"
    assert np.abs(got - want[:n]).max() <= allowed


def test_offset_and_inputs_are_converted_by_the_same_operator(rng):
    M, c, E = (
        with_spectrum([np.array([[1.0]]), rotation(0.5), np.array([[-0.4]])], rng),
        rng.normal(size=4),
        rng.normal(size=(4, 3)),
    )
    region, s, z = region_of(M, c, 0.5, E), rng.normal(size=3), rng.normal(size=4)
    got, auxiliary = clock_step(region, z, s)
    np.testing.assert_allclose(got, M @ z + c + E @ s, rtol=0, atol=1e-13)  # numbers of order 1, rounding
    np.testing.assert_allclose(auxiliary, 0, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["vanderpol_plrnn.mat", "lorenz_plrnn.mat"])
def test_all_1024_regions_of_a_published_network_step_as_the_map(data, rng, name):
    model = rt.load(data / name, dt=0.1, family="plrnn")
    patterns = all_patterns(10)
    flows = rt.to_continuous(model).model.convert(patterns)
    assert len(flows) == 1024
    assert max(r.residual for r in flows) <= 1e-12  # the figure
    for d, region in list(zip(patterns, flows, strict=True))[::4]:  # every residual above, every fourth step here
        z = np.where(d, 1.0, -1.0) * rng.uniform(0, 3, 10)
        got, auxiliary = clock_step(region, z)
        want = model.step(z)
        assert np.abs(got - want).max() <= 1e-12 * (1 + np.abs(want).max()) * max(1.0, np.abs(0.1 * region.W).max())
        assert np.abs(auxiliary).max(initial=0) <= 1e-12 * (1 + np.abs(want).max()) * max(
            1.0, np.abs(0.1 * region.W).max()
        )


def test_lorenz_network_has_172_regions_without_a_real_ode_of_its_dimension(data):
    flows = rt.to_continuous(rt.load(data / "lorenz_plrnn.mat", dt=0.1, family="plrnn")).model.convert(all_patterns(10))
    assert sum(r.status != "principal" for r in flows) == 172
    assert all((r.auxiliary > 0) == (r.margin < 0) for r in flows)


@pytest.mark.parametrize("name", ["lorenz", "vanderpol", "vanderpol_alrnn"])
def test_visited_regions_of_a_shipped_network_step_as_the_map(name):
    shipped = rt.zoo.entry(name)
    model, z0 = shipped.model, shipped.z0
    orbit = rt.simulate(model, z0, steps=2000)
    flow = rt.to_continuous(model).model
    visited, first = np.unique(orbit.patterns[:-1], axis=0, return_index=True)
    assert len(visited) > 3
    for d, k, region in zip(visited, first, flow.convert(visited), strict=True):
        assert region.residual <= 1e-12, d
        got, _ = clock_step(region, orbit.states[k])
        assert np.abs(got - orbit.states[k + 1]).max() <= 1e-12 * (1 + np.abs(orbit.states[k + 1]).max())
