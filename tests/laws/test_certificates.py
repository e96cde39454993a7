"""Certificates: every condition and margin recomputed by other means, and each condition made to fail by a model built for it.

The other means: the family's own equation in NumPy, SciPy's logarithms, exponentials and integrator, 50-digit arithmetic.
"""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.linalg import block_diag, eigvals, expm, logm, null_space

import retime as rt
from families import MAP_NAMES, make, make_smooth, stable
from references import all_patterns, exact_step_error

SPIN = np.array([[0.0, -1.0], [1.0, 0.0]])
NO_INPUTS = np.zeros((2, 0))


def turn(size, angle):
    return size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def check(certificate, **margins):
    """Every condition, by its first word or words, against (holds, margin, how near); none may be missing, none left over."""
    want = {name.replace("_", " "): value for name, value in margins.items()}
    found = {next(k for k in want if c.name.startswith(k)): c for c in certificate.conditions}
    assert len(found) == len(certificate.conditions) == len(want)
    for name, (holds, margin, near) in want.items():
        assert found[name].holds == holds, name
        assert_allclose(found[name].margin, margin, rtol=0, atol=near, err_msg=name)
    assert certificate.holds == all(want[k][0] for k, c in found.items() if c.required)


# --- regions of piecewise-affine maps ------------------------------------------------------------------------------------


def distance_to_ray(w):
    """Of a spectrum to (-inf, 0]; minus the largest modulus of what lies on it."""
    w = np.where(np.abs(w) < 1e-9, 0, w)
    on_ray = (np.imag(w) == 0) & (np.real(w) <= 0)
    return -np.abs(w[on_ray]).max() if on_ray.any() else np.where(np.real(w) > 0, np.abs(w), np.abs(np.imag(w))).min()


def visited(model, steps=1000):
    """{pattern: (M, c)} on the orbit from zeros without input, by the canonical form in NumPy."""
    f, z, found = model.canonical, np.zeros(model.num_states), {}
    for _ in range(steps):
        d = f.W2 @ z + f.h2 > 0
        M, c = found.setdefault(tuple(d), (f.A + f.W1 * d @ f.W2, f.W1 * d @ f.h2 + f.h1))
        z = M @ z + c
    return found


def jump(one, other, w, offset, dt):
    """Largest relative difference of two fields on the boundary w z + offset = 0, by SciPy's logarithm of [[M, c], [0, 1]]."""
    f, g = (np.real(logm(np.block([[M, c[:, None]], [np.zeros(len(c)), 1]])))[:-1] / dt for M, c in (one, other))
    return np.linalg.norm((f - g) @ null_space(np.append(w, offset)[None])) / np.linalg.norm(f)


@pytest.mark.parametrize("name", sorted({*MAP_NAMES} - {"linear", "relu"}))
def test_margins_of_converted_regions_are_those_of_their_spectra_and_fields(name, rng):
    model, _ = make(name, rng)
    conversion = rt.to_continuous(model)
    regions, form = visited(model), model.canonical
    conversion.certificate  # converts the orbit's regions  # noqa: B018
    flow = conversion.model
    assert len(flow.converted) == len(regions)
    spectra = [eigvals(M) for M, _ in regions.values()]
    margin, turned = min(map(distance_to_ray, spectra)), max(np.abs(np.angle(w)).max() for w in spectra)
    worst = max(exact_step_error(flow.region(d), M, c) for d, (M, c) in regions.items())
    jumps = [
        jump(regions[a], regions[b], form.W2[i], form.h2[i], model.dt)
        for a, b in product(regions, regions)
        for i in np.flatnonzero(np.array(a) != np.array(b))
        if sum(x != y for x, y in zip(a, b, strict=True)) == 1 and b[i]
    ]
    check(
        conversion.certificate,
        **{"each region's flow": (True, 1e-12 - worst, 1e-13)},
        each_region_has=(True, len(regions), 0),
        a_real_ODE=(margin > 0, margin, 1e-9),
        all_frequencies=(margin > 0, np.pi - turned, 1e-9),
        each_status=(True, 0, 0),
        state=(False, -max(jumps) if jumps else np.nan, 1e-9),
    )


def converted(A, w=0.0, c=None, patterns=None):
    """A PLRNN z' = A z + w relu(z) + c, its certificate after the regions of `patterns` (all of them by default)."""
    n = len(A)
    conversion = rt.to_continuous(rt.PLRNN(A, w * np.eye(n), np.ones(n) if c is None else c), throw=False)
    conversion.model.convert(all_patterns(n) if patterns is None else patterns)
    return conversion


def test_every_condition_on_regions_counts_those_that_fail():
    """diag(-0.5, -0.5), diag(0.5, -0.5), ...: a pair (which rounding decides), two unpaired negative ones, none."""
    conversion = converted(-0.5 * np.eye(2), 1.0)
    certificate = conversion.certificate
    assert [c.margin for c in certificate.conditions[1:5]] == [4, -0.5, 0, -1]
    assert [c.holds for c in certificate.conditions] == [True, True, False, False, False, False]
    assert "2 of 4 regions are raised" in certificate.conditions[2].detail
    assert certificate.holds
    late = converted(np.diag([0.0, 0.5]) + np.diag([1.0], 1), 0.0, patterns=[[0, 0]]).certificate  # semisimple zero
    assert [(c.holds, c.margin) for c in late.conditions[1:3]] == [(True, 1), (False, 0)]
    none = converted(np.diag([1.0], 1), 0.0, patterns=[[0, 0]]).certificate  # nilpotent
    assert [(c.holds, c.margin) for c in none.conditions[1:3]] == [(False, -1), (False, 0)]
    assert not none.holds


def test_a_region_beyond_double_precision_fails_by_its_residual():
    """Rounding errors of this matrix are larger than its eigenvalues."""
    M = turn(1.0, 0.7) @ np.array([[1.0, 1e8], [0.0, 1.0]]) @ turn(1.0, -0.7)
    conversion = converted(M, patterns=[[0, 0]], c=np.zeros(2))
    residual = exact_step_error(conversion.model.region([0, 0]), M, np.zeros(2))
    condition = conversion.certificate.conditions[0]
    assert not condition.holds
    assert residual > 1e-8
    assert -residual <= condition.margin <= 1e-8 - residual


@pytest.mark.parametrize("angle", [0.1, 1.6, 3.0, -3.0])
def test_the_nyquist_margin_is_what_is_left_of_half_a_turn(angle):
    condition = converted(turn(0.9, angle), patterns=[[0, 0]]).certificate.conditions[3]
    assert condition.holds
    assert_allclose(condition.margin, np.pi - abs(angle), rtol=0, atol=1e-14)


def test_fields_that_meet_on_their_boundary_have_no_jump():
    """log(0.5) z and log(0.8) z meet at z = 0; moved from the fixed point, they do not: log(0.5) (z - 2 c), log(0.8) (z - 5 c)."""
    assert converted([[0.5]], 0.3, c=np.zeros(1)).certificate.conditions[5].holds
    condition, c = converted([[0.5]], 0.3, c=[0.1]).certificate.conditions[5], 0.1
    off, on = np.log(0.5) * np.array([1, -2 * c]), np.log(0.8) * np.array([1, -5 * c])
    assert not condition.holds
    assert_allclose(condition.margin, -abs((on - off)[1]) / np.linalg.norm(off), rtol=0, atol=1e-14)


# --- linear systems ------------------------------------------------------------------------------------------------------

GENERATORS = {  # M: flow of finite order, margin of the order, of a pole at zero, of the frequencies, of rounding
    "positive": (np.diag([0.5, 0.25]), 1, 0.25, 1, np.pi, 0),
    "turning": (turn(0.5, 2.0), 1, 0.5 * np.sin(2.0), 1, np.pi - 2, 0),
    "one negative": (np.diag([-0.5, 0.25]), 1, -0.5, 1, 0, 0),
    "a pair": (-0.5 * np.eye(2), 1, 0.5, 1, 0, -1),
    "zero": (np.diag([0.0, 0.25]), 1, 0, -1, np.pi, 0),
    "delay": (np.diag([1.0], 1), -1, 0, -1, np.pi, 0),
    "delay and negative": (block_diag(np.diag([1.0], 1), [[-0.5]]), -1, -0.5, -1, 0, 0),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_margins_of_a_generator_are_those_of_its_poles(name):
    M, finite, order, zero, below, decided = GENERATORS[name]
    model = rt.LinearSystem(M, np.ones(len(M)), np.zeros((len(M), 0)), time=rt.Discrete(0.5))
    check(
        rt.to_continuous(model, throw=False).certificate,
        sampling=(True, 1e-12, 1e-13),
        a_flow_of=(finite > 0, finite, 0),
        a_real_flow=(order > 0, order, 1e-15),
        no_pole=(zero > 0, zero, 0),
        all_frequencies=(below > 0, below, 1e-14),
        the_order=(decided == 0, decided, 0),
    )


DT = 0.2
A, E, C = np.array([[-1.0, 2.0], [-3.0, -0.5]]), np.array([[1.0], [0.5]]), np.array([[1.0, -0.3]])
FLOW = rt.LinearSystem(A, np.zeros(2), E, time=rt.Continuous(), readout=(C, np.zeros(1)))
FREQUENCY = np.abs(np.imag(eigvals(A))).max()


def relative(got, wanted):
    return np.abs(np.array(got) - wanted).max() / np.abs(wanted).max()


def outputs_of(step, s):
    """Outputs of a linear map from rest."""
    z, D, found = np.zeros(step.num_states), 0 if step.D is None else step.D, []
    for x in s:
        found.append(step.readout.B @ z + D @ x if step.D is not None else step.readout.B @ z)
        z = step.A @ z + step.E @ x
    return np.array(found)


def transfer(system, points):
    """C (x - A)^-1 E + D of a system with one input and one output."""
    D = 0 if system.D is None else system.D
    inner = [np.linalg.inv(x * np.eye(len(system.A)) - system.A) for x in points]
    return np.array([(system.readout.B @ X @ system.E + D)[0, 0] for X in inner])


def driven(step, is_line):
    """Largest error of the outputs under the certificate's random input, against SciPy's `lsim` on a fine grid."""
    from scipy.signal import lsim

    count = min(step.num_states + 4, 20)
    s = np.vstack([np.zeros((1, 1)), np.random.default_rng(0).normal(size=(count, 1))])
    times = DT * np.arange(count)
    _, wanted, _ = lsim((A, E, C, [[0.0]]), s[:count], times, interp=is_line)
    return relative(outputs_of(step, s[:count]), wanted[:, None])


def impulses(step):
    k = np.arange(min(step.num_states + 4, 20) + 1)
    got = [step.D] + [step.readout.B @ np.linalg.matrix_power(step.A, i - 1) @ step.E for i in k[1:]]
    return relative(got, np.array([DT * C @ expm(DT * i * A) @ E for i in k]))


def slow(step):
    w = 2 * np.pi / DT * np.linspace(0.005, 0.1, 20)
    return relative(transfer(step, np.exp(1j * DT * w)), transfer(FLOW, 1j * w))


def warped(step, h, alpha=0.5):
    z = np.exp(1j * np.pi * (np.arange(16) + 0.5) / 16)
    return relative(transfer(step, z), transfer(FLOW, (z - 1) / (h * (alpha * z + 1 - alpha))))


SAMPLED = {  # what the first condition says, and its margin for any map
    "zoh": ("outputs", lambda step: 1e-11 - driven(step, False)),
    "foh": ("outputs", lambda step: 1e-11 - driven(step, True)),
    "impulse": ("impulse", lambda step: 1e-11 - impulses(step)),
    "matched": ("every pole", lambda step: 1e-11 - relative(step.A, expm(DT * A))),
    "rk4": ("the frequency", lambda step: 1 - slow(step)),
    "gbt:0.75": ("the response", lambda step: 1e-11 - warped(step, DT, 0.75)),
    "tustin": ("the response", lambda step: 1e-11 - warped(step, DT)),
    "prewarped": ("the response", lambda step: 1e-11 - warped(step, 2 * np.tan(1.5 * DT / 2) / 1.5)),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_margins_of_a_sampled_system_are_those_of_its_responses(name):
    from retime.convert.certify_linear import certify_sampled
    from retime.convert.methods import integrator

    (words, margin), method = SAMPLED[name], rt.Tustin(1.5) if name == "prewarped" else integrator(name)
    step = rt.to_discrete(FLOW, DT, method=method).model
    spread = np.abs(eigvals(step.A)).max()
    for size in (0, 1e-3, 3.0):  # the map, one that is nearly it, one that is not
        wrong = rt.LinearSystem(step.A + size * SPIN, step.b, step.E, time=step.time, readout=step.readout, D=step.D)
        want = margin(wrong)
        assert (want >= 0) == (size == 0 or (name == "rk4" and size == 1e-3))
        check(
            certify_sampled(FLOW, wrong, method),
            **{words: (want >= 0, want, 1e-12 + 1e-9 * abs(want))},
            what_decays=(spread <= 1, 1 + 1e-12 - spread, 1e-12),
            all_frequencies=(True, np.pi / DT - FREQUENCY, 1e-12),
            the_order=(True, 0, 0),
        )


def test_conditions_on_sampling_fail_for_fast_poles_and_delays():
    """dt lambda = -3 by Euler's method: a factor of -2; a turn of 4 per step; two steps of delay: two more states."""
    fast = rt.LinearSystem([[-15.0]], [0.0], [[1.0]], time=rt.Continuous())
    decays = rt.to_discrete(fast, DT, method="euler").certificate.conditions[1]
    assert not decays.holds
    assert_allclose(decays.margin, -1, rtol=0, atol=1e-11)
    turning = rt.LinearSystem(20 * SPIN, np.zeros(2), np.zeros((2, 1)), time=rt.Continuous())
    folded = rt.to_discrete(turning, DT, method="zoh").certificate.conditions[2]
    assert not folded.holds
    assert_allclose(folded.margin, np.pi / DT - 20, rtol=0, atol=1e-12)
    for delay, states in ((2 * DT, 2), (1.3 * DT, 2), (0.3 * DT, 1)):
        late = rt.to_discrete(FLOW, DT, method=rt.ZeroOrderHold(delay=delay)).certificate
        assert [(c.holds, c.margin) for c in late.conditions[3:]] == [(False, -states)]
        assert late.conditions[0].holds


@pytest.mark.parametrize("name", ["tustin", "backward-diff", "matched", "foh", "impulse"])
def test_margins_of_an_undone_method_are_those_of_its_response(name):
    from retime.convert.certify_linear import certify_undone
    from retime.convert.methods import integrator

    method = integrator(name)
    map_ = rt.to_discrete(FLOW, DT, method=method).model
    flow = rt.to_continuous(map_, method=method).model
    for size in (0, 1e-3):
        wrong = rt.LinearSystem(flow.A + size * SPIN, flow.b, flow.E, time=flow.time, readout=flow.readout, D=flow.D)
        again = rt.to_discrete(wrong, DT, method=method).model
        radius = 1.5 * max(1, np.abs(eigvals(map_.A)).max(), np.abs(eigvals(again.A)).max())
        points = radius * np.exp(2j * np.pi * (np.arange(32) + 0.5) / 32)
        error = relative(transfer(again, points), transfer(map_, points))
        check(
            certify_undone(map_, wrong, method),
            **{f"{method!r} gives": (size == 0, 1e-11 - error, 1e-12 + 1e-9 * error)},
            the_order=(True, 0, 0),
            all_frequencies=(True, np.pi / DT - np.abs(np.imag(eigvals(wrong.A))).max(), 1e-12),
        )


def test_conditions_on_an_undone_method_fail_where_the_order_is_raised():
    """A first-order hold with a pole at -0.5: one more state, which turns by half a turn per step."""
    map_ = rt.LinearSystem([[-0.5]], [0.0], [[1.0]], time=rt.Discrete(DT), readout=([[1.0]], [0.0]))
    back, order, below = rt.to_continuous(map_, method="foh").certificate.conditions
    assert back.holds
    assert (order.holds, order.margin) == (False, -1)
    assert below.holds == (below.margin > 0)
    assert_allclose(below.margin, 0, rtol=0, atol=1e-12)


# --- embeddings, approximations, other steps ------------------------------------------------------------------------------


def per_state(got, wanted):
    """Largest difference over units and states, per 1 + largest entry of the state."""
    return (np.abs(np.array(got) - wanted).max(axis=1) / (1 + np.abs(wanted).max(axis=1))).max()


def solved(field, z, dt):
    """Solutions of dz/dt = field(z) over dt."""
    ends = [solve_ivp(lambda _, x: field(x), (0, dt), x, method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1] for x in z]
    return np.array(ends)


def formal_log(equation, dt, order):
    """The field of `FormalLog`, and its terms, from forward differences of the orbit."""

    def terms(z):
        orbit = [z]
        for _ in range(order):
            orbit.append(equation(orbit[-1]))
        return [(-1) ** (j + 1) / j * np.diff(orbit, n=j, axis=0)[0] / dt for j in range(1, order + 1)]

    return lambda z: sum(terms(z)), terms


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", ["near the identity", "far from it"])
def test_margins_of_a_formal_logarithm_are_those_of_its_terms_and_its_flow(name, order, rng):
    from retime.convert.embeddings import certify_embedding
    from retime.convert.measure import probe

    M, c = ({"near the identity": turn(0.9, 0.4), "far from it": turn(5.0, 0.1)})[name], np.array([0.3, -0.1])
    model, z = rt.LinearSystem(M, c, NO_INPUTS, time=rt.Discrete(DT)), rng.normal(size=(5, 2))
    field, terms = formal_log(lambda x: M @ x + c, DT, order)
    L = np.array([field(e) - field(np.zeros(2)) for e in np.eye(2)]).T
    made = rt.LinearSystem(L, field(np.zeros(2)), NO_INPUTS, time=rt.Continuous())
    wanted = z @ M.T + c
    error, idle = per_state(solved(field, z, DT), wanted), per_state(z, wanted)
    euler = per_state(solved(formal_log(lambda x: M @ x + c, DT, 1)[0], z, DT), wanted)
    sizes = DT * np.abs([terms(x) for x in z]).max(axis=(0, 2))
    found = certify_embedding(model, made, rt.FormalLog(order), probe(model, z))
    near = 1e-10 * (1 + error)
    check(
        found,
        the_series=(order == 1 or sizes[-1] < sizes[0], sizes[0] - sizes[-1], near),
        nearer=(error < idle, idle - error, near),
        not_farther=(order == 1 or error <= euler, euler - error, near),
        **{"the field's": (False, 1e-9 - error, near)},
    )
    if name == "near the identity":
        assert found.holds
    elif order == 3:
        assert not any(c.holds for c in found.conditions)
    exact = rt.LinearSystem(
        logm(M) / DT, logm(M) @ np.linalg.solve(M - np.eye(2), c) / DT, NO_INPUTS, time=rt.Continuous()
    )
    assert certify_embedding(model, exact, rt.FormalLog(order), probe(model, z)).conditions[-1].holds


def test_a_formal_logarithm_of_a_network_is_the_series_of_its_own_orbits(rng):
    model, equation = make_smooth("leaky_rate", rng)
    s, z = rng.normal(size=2), rng.normal(size=(3, 4))
    made, (field, _) = (
        rt.to_continuous(model, method=rt.FormalLog(3)).model,
        formal_log(lambda x: equation(x, s), model.dt, 3),
    )
    assert_allclose(made.field(z, s), [field(x) for x in z], rtol=0, atol=1e-13)


def test_margins_of_an_euler_field_are_those_of_its_step_and_its_flow(rng):
    from retime.convert.embeddings import certify_embedding
    from retime.convert.measure import probe

    M, z = turn(0.9, 0.4), rng.normal(size=(5, 2))
    model = rt.LinearSystem(M, np.zeros(2), NO_INPUTS, time=rt.Discrete(DT))
    for size in (0, 1e-3):
        made = rt.LinearSystem((M - np.eye(2) + size * SPIN) / DT, np.zeros(2), NO_INPUTS, time=rt.Continuous())
        step, flow = per_state(z + DT * z @ made.A.T, z @ M.T), per_state(z @ expm(DT * made.A).T, z @ M.T)
        check(
            certify_embedding(model, made, rt.EulerField(), probe(model, z)),
            **{
                "Euler's": (size == 0, 1e-12 - step, 1e-14),
                "the field's": (False, 1e-9 - flow, 1e-14),
            },
        )


def test_one_state_decides_nothing():
    model = rt.LinearSystem(turn(0.9, 0.4), np.zeros(2), NO_INPUTS)
    for states in ([[1.0, 2.0]], [[1.0, 2.0]] * 3, [[1.0, 2.0], [1.0, 2.000001]]):
        certificate = rt.to_continuous(model, method=rt.EulerField(), states=states).certificate
        assert not any(c.holds for c in certificate.conditions)
        assert np.isnan([c.margin for c in certificate.conditions]).all()
    two = rt.to_continuous(
        model, method=rt.EulerField(), states=[[1.0, 2.0], [1.0, 2.00001]]
    )  # 1e-6 of 1 + |z| is 3e-6
    assert two.certificate.conditions[0].holds


@pytest.mark.parametrize("dt", [0.1, 2.5, 40.0])
def test_margins_of_an_approximate_step_are_those_of_its_error_and_its_modes(dt):
    """tau z' = -z + tanh(w z + b), tau = 1: Euler's factor of the mode at z is 1 + dt (w (1 - tanh^2) - 1)."""
    W, b, z = np.array([[0.5]]), np.array([0.3]), np.array([[-1.0], [0.2], [2.0]])
    model = rt.RateRNN(W, None, b, tau=1.0, form="rate")
    field = lambda x: -x + np.tanh(W @ x + b)  # noqa: E731
    error = per_state(z + dt * np.array([field(x) for x in z]), solved(field, z, dt))
    factor = np.abs(1 + dt * (0.5 * (1 - np.tanh(0.5 * z + 0.3) ** 2) - 1)).max()
    check(
        rt.to_discrete(model, dt, method="euler", states=z).certificate,
        **{"the one-step error": (error < 1, 1 - error, 1e-9 * (1 + error))},
        what_decays=(factor <= 1, 1 + 1e-12 - factor, 1e-11),
    )
    assert (error < 1) == (dt < 40)
    assert (factor < 1) == (dt < 1)


@pytest.mark.parametrize("name", sorted({*MAP_NAMES} - {"linear"}))
def test_the_margin_of_a_held_region_is_the_fraction_of_steps_that_leave_theirs(name, rng):
    model, dt = stable(name, rng), 0.4
    f = model.canonical
    draws = np.vstack(
        [np.zeros(6), np.random.default_rng(0).normal(size=(16, 6))]
    )  # what is measured on where nobody says
    given = np.vstack([draws, rng.normal(size=(40, 6))])
    bits = lambda z, s: z @ f.W2.T + s @ f.C2.T + f.h2 > 0  # noqa: E731
    for where, options in ((draws, {}), (given, {"states": given[:, :4], "inputs": given[:, 4:]})):
        z, s, ends = where[:, :4], where[:, 4:], []
        for x, u, d in zip(z, s, bits(z, s), strict=True):
            c = f.W1 @ (d * (f.C2 @ u + f.h2)) + f.C1 @ u + f.h1
            step = expm(dt * np.block([[f.A + f.W1 * d @ f.W2, c[:, None]], [np.zeros((1, 5))]]))
            ends.append(step[:4] @ np.append(x, 1))
        left = (bits(z, s) != bits(np.array(ends), s)).any(axis=1).mean()
        check(
            rt.to_discrete(model, dt, method="zoh", **options).certificate,
            the_region=(left == 0, -left, 1e-15),
            **{"each region's": (True, 1e-12, 0)},
        )


def test_raised_regions_are_counted_where_their_clock_changes(rng):
    """z' = diag(0.5 or -0.5) z + c: the regions 01, 10 and 00 have negative eigenvalues, 00 an equal pair of them."""
    model = rt.PLRNN(-0.5 * np.eye(2), np.eye(2), np.array([0.1, 0.2]), time=rt.Discrete(DT))
    flow, z = rt.to_continuous(model).model, np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    faster = rt.to_discrete(flow, DT / 2, method="zoh", states=z).certificate
    assert "no region was raised" in [c.name for c in faster.conditions]
    raised = faster.conditions[-1]
    assert (raised.required, raised.holds, raised.margin) == (True, False, -2)
    same = rt.to_discrete(flow, DT, method="zoh", states=z).certificate
    assert "no region was raised" not in [c.name for c in same.conditions]
    above = rt.to_discrete(flow, DT / 2, method="zoh", states=z[:1] * [[1.0], [1.1]]).certificate.conditions[-1]
    assert (above.holds, above.margin) == (True, 0)
    retimed = rt.retime_to(model, DT / 2, states=z).certificate.conditions[-1]
    assert retimed.name == "no region met was raised"
    assert (retimed.required, retimed.holds, retimed.margin) == (False, False, -2)
    retimed = rt.retime_to(model, DT / 2, states=z[:1] * [[1.0], [1.1]]).certificate.conditions[-1]
    assert (retimed.holds, retimed.margin) == (True, 0)


@pytest.mark.parametrize("factor", [0.5, 1.5, 3.0])
def test_margins_of_another_step_are_those_of_the_common_time(factor):
    """Euler's step of factor dt for z' = M z: I + factor (M - I), against M after the least common time."""
    M, z = np.array([[0.8, 0.5], [-0.4, -0.2]]), np.array([[1.0, 0.0], [3.0, 2.0]])
    model = rt.LinearSystem(M, np.zeros(2), NO_INPUTS, time=rt.Discrete(DT))
    new, old = {0.5: (2, 1), 1.5: (2, 3), 3.0: (1, 3)}[factor]
    got = z @ np.linalg.matrix_power(np.eye(2) + factor * (M - np.eye(2)), new).T
    error = per_state(got, z @ np.linalg.matrix_power(M, old).T)
    check(
        rt.retime_to(model, factor * DT, method="euler-field", states=z).certificate,
        the_difference=(error < 1, 1 - error, 1e-13),
        both_maps=(False, 1e-9 - error, 1e-13),
    )
    assert (error < 1) == (factor < 3)
    assert rt.retime_to(model, DT, method="euler-field", states=z).certificate.conditions[1].holds


# --- orders of procedures, lists of fixed points --------------------------------------------------------------------------


def test_margins_of_interchanged_procedures_are_those_of_the_base_point():
    """Heun's method evaluates the field at z and at z + dt F(z): an equilibrium, or all in one region."""
    smooth = rt.RateRNN([[0.5]], None, [0.3], tau=1.0, form="rate")
    for z in (0.4, 2.0):
        condition = rt.interchange(
            smooth, "linearize", "discretize", at=[z], dt=DT, method=rt.RungeKutta(rt.HEUN)
        ).condition
        assert not condition.holds
        speed = DT * abs(-z + np.tanh(0.5 * z + 0.3))
        assert_allclose(condition.margin, 1e-9 * (1 + z) - speed, rtol=0, atol=1e-15)
    kinked = rt.ContinuousPLRNN([-1.0], [[0.5]], [-4.0])  # F(0.4) = -4.2: the second evaluation is at -0.44
    for z, outside in ((0.4, 1), (2.0, 0), (-1.0, 0)):
        condition = rt.interchange(
            kinked, "linearize", "discretize", at=[z], dt=DT, method=rt.RungeKutta(rt.HEUN)
        ).condition
        assert (condition.holds, condition.margin) == (not outside, -outside)


@pytest.mark.parametrize("name", sorted({*MAP_NAMES} - {"linear", "clipped", "dendritic"}))
def test_a_complete_list_of_fixed_points_is_that_of_all_patterns(name, rng):
    model, _ = make(name, rng, n=3)
    f, found = model.canonical, rt.find_fixed_points(model)
    points = []
    for d in all_patterns(model.num_units):
        z = np.linalg.solve(np.eye(3) - f.A - f.W1 * d @ f.W2, f.W1 * d @ f.h2 + f.h1)
        points += [z] * np.array_equal(f.W2 @ z + f.h2 > 0, d)
    assert len(found) == len(points)
    for z in points:
        assert np.abs(found.points - z).max(axis=1).min() <= 1e-9
    after = np.array([f.A @ z + f.W1 @ np.maximum(f.W2 @ z + f.h2, 0) + f.h1 for z in found.points]).reshape(-1, 3)
    worst = per_state(after, found.points) if len(points) else 0.0
    check(
        found.certificate,
        every_other=(True, 1, 0),
        every_point=(True, 1e-8 - worst, 1e-14),
        no_point=(True, 0, 0),
        every_fixed=(True, 0, 0),
    )


def test_conditions_on_fixed_points_count_boundaries_and_continua():
    """z' = 0.5 z + relu(z): z = 0 is on its boundary; z' = relu(z): every z > 0 is fixed."""
    on_boundary = rt.find_fixed_points(rt.PLRNN([0.5], [[1.0]], [0.0])).certificate.conditions
    assert [(c.holds, c.margin) for c in on_boundary[2:]] == [(False, -1), (True, 0)]
    continuum = rt.find_fixed_points(rt.PLRNN([0.0], [[1.0]], [0.0])).certificate.conditions
    assert (continuum[3].holds, continuum[3].margin) == (False, -1)


def test_a_list_that_is_not_complete_does_not_claim_to_be(rng):
    found = rt.find_fixed_points(rt.TanhRNN(1.5 * np.eye(2), NO_INPUTS, np.zeros(2)))
    assert not found.complete
    certificate = found.certificate
    assert certificate.claim == "These are fixed points; there may be others."
    assert "every other pattern is excluded" not in [c.name for c in certificate.conditions]
