"""Exponents of the maps and flows of Sprott's tables and of dysts against plain loops from other starts, and honest errors."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import retime as rt
from retime.analysis.exponents.lyapunov import lyapunov_spectrum
from strange_attractors import FLOWS, MAPS, flow_exponents, map_exponents

SAMPLE = ["tinkerbell", "delayed logistic"]


def sampled(names, some):
    return [pytest.param(name, marks=[] if name in some else [pytest.mark.slow]) for name in names]


def model_of(kind, name, table):
    equation, start, length = table[name]
    return kind(lambda z: jnp.stack(equation(jnp, *z)), len(start)), start, length


def check(got, orbits):
    """Within four standard errors, ours and those of the loop's mean over orbits together."""
    mean, error = orbits.mean(axis=0), orbits.std(axis=0, ddof=1) / np.sqrt(len(orbits))
    order = np.argsort(-mean)
    tolerance = 4 * np.hypot(error[order], got.standard_errors) + 1e-12  # rounding of the loop
    assert got.status == "completed"
    assert np.isfinite(got.exponents).all()
    assert (np.abs(got.exponents - mean[order]) <= tolerance).all(), (got, mean[order], error[order])
    assert got.sum_error <= 1e-6


@pytest.mark.parametrize("name", sampled(MAPS, SAMPLE))
def test_map_agrees_with_a_plain_loop_from_other_starts(name):
    model, start, steps = model_of(rt.Map, name, MAPS)
    check(lyapunov_spectrum(model, start, steps=steps), map_exponents(MAPS[name][0], start, steps // 10, 16))


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_flow_agrees_with_a_plain_loop_from_other_starts(name):
    model, start, length = model_of(rt.VectorField, name, FLOWS)
    got = lyapunov_spectrum(model, start, times=[0, length])
    longest = 0.25 if name == "hyperchaotic roessler" else 1.0  # it contracts by exp(-100 t) for a while
    check(got, flow_exponents(FLOWS[name][0], start, length / 6, 12, length / 10, min(longest, length / 200)))


def test_ikeda_map_has_no_singular_step_and_no_exponent_of_minus_infinity():
    """det J = 0.81 at every point."""
    model, start, _ = model_of(rt.Map, "ikeda", MAPS)
    got = lyapunov_spectrum(model, start, steps=100_000)
    assert abs(got.exponents.sum() - 2 * np.log(0.9)) <= 1e-9
    assert (np.abs(got.exponents - [0.5076, -0.7183]) <= 4 * got.standard_errors).all()
    assert abs(got.kaplan_yorke - 1.706) <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", ["delayed logistic", "tinkerbell", "chirikov", "dissipative standard", "henon"])
def test_no_start_has_an_exponent_of_minus_infinity(name):
    """Lengths that cancel to exactly 0 between two orthonormalizations are no singular steps."""
    equation, start, _ = MAPS[name]
    for k in range(8):
        model = rt.Map(lambda z: jnp.stack(equation(jnp, *z)), 2)
        got = lyapunov_spectrum(model, np.array(start) * (1 - 1e-3 * k), steps=30_000)
        assert np.isfinite(got.exponents).all()
        assert got.sum_error <= 1e-9


@pytest.mark.slow
def test_pasemanns_two_neurons_have_no_exponent_of_minus_infinity():
    def neurons(z):
        a, b = 1 / (1 + jnp.exp(-z))
        return jnp.stack([-2.0 - 20.0 * a + 6.0 * b, 3.0 - 6.0 * a])

    got = lyapunov_spectrum(rt.Map(neurons, 2), [0.1, 0.2], steps=100_000)
    assert np.isfinite(got.exponents).all()
    assert got.sum_error <= 1e-9


# --- honest errors: of 100 orbits from other starts, how many contain the truth within two standard errors


def check_honest(model, starts, truth, **horizon):
    """Of 100 starts 88 to 99 contain the truth `(n,)` of the first exponent; of all, at least 88, with errors of the right size."""
    runs = [lyapunov_spectrum(model, z, **horizon) for z in starts]
    ratio = np.array([(r.exponents - truth) / r.standard_errors for r in runs])
    counts = (np.abs(ratio) <= 2).sum(axis=0)
    assert 88 <= counts[0] <= 99, counts
    assert (counts >= 88).all(), counts
    size = np.sqrt((ratio**2).mean(axis=0))
    assert ((size > 0.65) & (size < 1.35)).all(), size


@pytest.mark.slow
def test_errors_of_a_chaotic_map_are_honest(rng):
    check_honest(rt.zoo.load("henon"), rng.uniform(-0.1, 0.1, (100, 2)), [0.419217, -1.623190], steps=4000)


@pytest.mark.slow
def test_errors_of_a_quasiperiodic_map_are_honest(rng):
    """The exponent of an invertible circle map without a cycle is 0, and its error falls as 1 / T.

    After 3,777 steps orbits are about half a turn from where they began, so that errors are as large as they get.
    """
    circle = rt.Map(lambda z: z + 0.606661 - 0.9 / (2 * np.pi) * jnp.sin(2 * np.pi * z), 1)
    check_honest(circle, rng.uniform(0, 1, (100, 1)), [0.0], steps=3777)
    short, long = (lyapunov_spectrum(circle, [0.1], steps=k).standard_errors[0] for k in (3777, 37_770))
    assert 5 < short / long < 20


@pytest.mark.slow
def test_errors_of_a_chaotic_flow_are_honest(rng):
    starts = [0, 0, 25] + rng.normal(size=(100, 3)) * 5
    check_honest(rt.zoo.load("lorenz63"), starts, [0.90566, 0.0, -14.57233], times=[0, 110.0])


@pytest.mark.slow
def test_errors_of_a_limit_cycle_are_honest(rng):
    """van der Pol's oscillator, mu = 5: exponents 0 and the mean divergence over a period."""
    oscillator = rt.VectorField(lambda z: jnp.stack([z[1], 5 * (1 - z[0] ** 2) * z[1] - z[0]]), 2)
    check_honest(oscillator, rng.uniform(-2, 2, (100, 2)), [0.0, mean_divergence(5.0)], times=[0, 100.0])


def mean_divergence(mu):
    """Of van der Pol's oscillator over one period, by DOP853 with events."""

    def rates(_, z):
        return [z[1], mu * (1 - z[0] ** 2) * z[1] - z[0], mu * (1 - z[0] ** 2)]

    def upward(_, z):
        return z[0]

    upward.direction = 1.0
    path = solve_ivp(rates, (0, 80), [2.0, 0.0, 0.0], method="DOP853", rtol=1e-11, atol=1e-12, events=upward)
    (t0, t1), (y0, y1) = path.t_events[0][-2:], path.y_events[0][-2:]
    return (y1[2] - y0[2]) / (t1 - t0)
