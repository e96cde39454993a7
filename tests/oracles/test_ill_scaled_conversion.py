"""Logarithms of maps whose states or inputs are measured in very different units, and of nearly defective ones."""

import math
import warnings

import mpmath
import numpy as np
import pytest
from scipy.linalg import block_diag, expm

import retime as rt
from references import clock_step, exact_step_error
from retime.convert.exact import ExactStep
from retime.core.canonical import AffineRegions
from retime.core.exponential import linear_step


def jordan(x, size):
    return x * np.eye(size) + np.diag(np.ones(size - 1), 1)


def turn(r, angle):
    return r * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def region_of(M, c=None, E=None, dt=1.0, throw=False):
    M = np.array(M, dtype=float)
    n = len(M)
    system = rt.LinearSystem(
        M, np.zeros(n) if c is None else c, np.zeros((n, 0)) if E is None else E, time=rt.Discrete(dt)
    )
    return rt.PiecewiseAffineFlow(system, rt.MatrixLog(), throw=throw).region(np.zeros(0, bool))


def rotated(M, rng, condition=1.0):
    n = len(M)
    P, Q = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    if condition == 1.0:
        return P @ M @ P.T
    S = P @ np.diag(condition ** rng.uniform(-0.5, 0.5, n)) @ Q
    return S @ M @ np.linalg.inv(S)


REST = block_diag(turn(0.6, 0.5), [[0.8]])
SPECTRA = {
    "positive": (block_diag(jordan(0.5, 3), REST), "principal", 0),
    "eigenvalue one": (block_diag(jordan(1.0, 3), REST), "principal", 0),
    "one negative": (block_diag([[-0.5]], REST), "raised", 1),
    "negative block": (block_diag(jordan(-0.5, 2), REST), "raised", 2),
    "negative pair": (block_diag(-0.5 * np.eye(2), REST), "real", 0),
    "zero": (block_diag(np.zeros((2, 2)), REST), "regularized", 0),
    "nilpotent": (block_diag(jordan(0.0, 2), REST), "time_varying", 0),
}


# --- the map, whatever its offset and inputs -------------------------------------------------------------------------

NEARLY_DEFECTIVE = np.array([[0.5, 1, 0], [0, 0.5 + 1e-9, 0], [0, 0, 0.7]])


def test_large_input_leaves_the_logarithm_as_it_is():
    E = np.array([[0.0], [0.0], [1e8]])
    alone, driven = region_of(NEARLY_DEFECTIVE), region_of(NEARLY_DEFECTIVE, E=E)
    np.testing.assert_array_equal(driven.W, alone.W)
    assert exact_step_error(driven, NEARLY_DEFECTIVE, np.zeros(3)) <= 1e-15  # rounding of M, not of E
    got, _ = clock_step(driven, np.zeros(3), np.ones(1))
    np.testing.assert_allclose(got, E[:, 0], rtol=0, atol=1e-15 * 1e8)


@pytest.mark.parametrize("size", [1e-8, 1e5, 1e10])
@pytest.mark.parametrize("name", SPECTRA)
def test_status_and_generator_do_not_depend_on_the_size_of_offset_and_input(name, size, rng):
    M = rotated(SPECTRA[name][0], rng)
    c, E = rng.normal(size=len(M)), rng.normal(size=(len(M), 2))
    small, large = region_of(M, c, E), region_of(M, size * c, size * E)
    alone = region_of(M, 0 * c, 0 * E)
    assert (large.status, large.auxiliary) == (small.status, small.auxiliary) == (alone.status, alone.auxiliary)
    np.testing.assert_array_equal(large.W, alone.W)
    assert small.status == SPECTRA[name][1]


def test_residual_of_one_input_is_not_hidden_by_another(rng):
    """With its own column wrong by 1e-6 an input counts as wrong, although another one is 1e12 times as large."""
    from retime.convert.generator import residuals

    L, H = np.log(0.5) * np.eye(2), np.eye(2)
    step = expm(np.block([[L, H], [np.zeros((2, 4))]]))
    F = step[:2, 2:] * [1e12, 1.0]
    H = H * [1e12, 1.0 + 1e-6]
    found = residuals(L[None], H[None], step[None, :2, :2], F[None], step[None, :2, :2], np.ones((1, 2)))
    assert found.map[0] <= 1e-15
    assert 0.9e-6 <= found.inputs[0] <= 1.1e-6


# --- negative blocks -------------------------------------------------------------------------------------------------


def test_companion_matrix_of_a_sixfold_negative_root_is_raised_by_six():
    coefficients = [math.comb(6, k) for k in range(6)]
    M = np.vstack([np.hstack([np.zeros((5, 1)), np.eye(5)]), -np.array([coefficients], dtype=float)])
    region = region_of(M, c=np.ones(6))
    assert (region.status, region.auxiliary) == ("raised", 6)
    assert exact_step_error(region, M, np.ones(6)) <= 1e-13


@pytest.mark.parametrize("size", [5, 6, 7, 8])
def test_long_negative_block_in_a_rotated_basis_is_raised_and_holds(size, rng):
    M = rotated(jordan(-0.5, size), rng)
    region = region_of(M, c=np.ones(size), throw=True)
    assert (region.status, region.auxiliary) == ("raised", size)
    assert exact_step_error(region, M, np.ones(size)) <= 1e-12


def test_two_equal_negative_blocks_have_a_real_generator():
    M = [[3, 2, 0, 3], [-5, -4, 0, -3], [13, 5, -2, 8], [-5, -2, 0, -5]]  # two blocks of size two at -2
    region = region_of(M)
    assert (region.status, region.auxiliary) == ("real", 0)
    assert exact_step_error(region, np.array(M, float), np.zeros(4)) <= 1e-13


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_rotated_pair_of_negative_blocks_has_a_real_generator(size, rng):
    M = rotated(block_diag(jordan(-0.5, size), jordan(-0.5, size), REST), rng)
    region = region_of(M)
    # rounding may make a plane that turns by nearly pi of a pair of single eigenvalues: `principal` then
    assert region.status == "real" or (size == 1 and region.status == "principal")
    assert region.auxiliary == 0
    assert exact_step_error(region, M, np.zeros(len(M))) <= 1e-12


def test_unreachable_logarithms_are_refused_with_a_certificate_not_with_a_linear_algebra_error():
    M = np.array([[1e200, 1.0], [0.0, 2.0]])
    with pytest.raises(rt.CertificateError, match="no logarithm that double precision can compute"):
        region_of(M, throw=True)
    assert region_of(M).status == "time_varying"


# --- units of the states ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1.0, 1e4, 1e8, 1e12, 1e-12])
@pytest.mark.parametrize("length", [2, 3, 4])
def test_chain_of_integrators_has_its_nilpotent_generator(length, rate):
    N = rate * np.diag(np.ones(length - 1), 1)
    M = sum(np.linalg.matrix_power(N, k) / math.factorial(k) for k in range(length))
    region = region_of(M, throw=True)
    assert region.status == "principal"
    assert region.is_unique or rate < 1
    want = rate ** np.maximum(
        np.subtract.outer(np.arange(length), np.arange(length)) * -1.0, 0
    )  # the size of entry (i, j)
    assert (np.abs(region.W - N) <= 4e-16 * length * want).all()


@pytest.mark.parametrize("name", SPECTRA)
def test_generator_scales_along_with_the_states(name, rng):
    M = rotated(SPECTRA[name][0], rng)
    c = rng.normal(size=len(M))
    plain = region_of(M, c)
    D = 10.0 ** rng.uniform(-8, 8, len(M))
    scaled = region_of(D[:, None] * M / D, D * c)
    assert (scaled.status, scaled.auxiliary) == (plain.status, plain.auxiliary) == SPECTRA[name][1:]
    if plain.ramp is None:
        n = len(M)
        back = scaled.W[:n, :n] / D[:, None] * D
        allowed = 1e-13 * max(plain.condition, 1.0) * np.linalg.norm(plain.W[:n, :n])  # rounding of D M / D in M
        if plain.status != "real":  # planes of a pair are not determined
            assert np.abs(back - plain.W[:n, :n]).max() <= min(allowed, 1e-9)
        z = rng.normal(size=n)
        step = scaled.transition @ np.concatenate([[1.0], D * z])
        np.testing.assert_allclose(step / D, M @ z + c, rtol=0, atol=1e-12)  # in the units of M: of order 1


def test_weak_one_sided_coupling_keeps_its_digits():
    np.testing.assert_allclose(region_of([[1, 1e-20], [0, 1]]).W, [[0, 1e-20], [0, 0]], rtol=0, atol=1e-35)
    W = region_of([[0.5, 1e-18], [0, 0.25]]).W
    assert abs(W[0, 1] / (1e-18 * np.log(2) / 0.25) - 1) <= 1e-14


def test_decoupled_states_of_very_different_gain_are_not_taken_for_singular():
    region = region_of(np.diag([1e8, 1e-8]))
    assert region.status == "principal"
    np.testing.assert_allclose(np.diag(region.W), np.log([1e8, 1e-8]), rtol=1e-15, atol=0)


def test_structural_zeros_of_a_map_are_zeros_of_its_generator(rng):
    M = np.tril(rng.uniform(0.2, 1, (5, 5)))
    M[3:, :3] = 0
    W = region_of(M, c=np.array([0, 0, 0, 0, 1.0])).W
    assert (W[np.triu_indices(5, 1)] == 0).all()
    assert (W[3:, :3] == 0).all()
    assert (W[np.tril_indices(3)] != 0).all()


def test_step_of_a_badly_scaled_flow_is_right_in_every_unit(rng):
    A, h = rng.normal(size=(5, 5)), rng.normal(size=(5, 2))
    D = 2.0 ** rng.integers(-25, 25, 5)
    with mpmath.workdps(40):
        X = mpmath.zeros(7)
        X[:5, :5], X[:5, 5:] = mpmath.matrix(A.tolist()), mpmath.matrix(h.tolist())
        want = np.array(mpmath.expm(X, method="taylor").tolist(), dtype=float)[:5]
    E, inputs = linear_step(D[:, None] * A / D, D[:, None] * h * [1.0, 1e10])
    np.testing.assert_allclose(E / D[:, None] * D, want[:, :5], rtol=0, atol=1e-14 * np.abs(want).max())
    np.testing.assert_allclose(inputs / D[:, None] / [1.0, 1e10], want[:, 5:], rtol=0, atol=1e-14 * np.abs(want).max())


# --- how well it is known --------------------------------------------------------------------------------------------


def test_exact_step_agrees_with_60_digits_for_a_matrix_far_from_normal(rng):
    L = np.triu(rng.normal(size=(5, 5)) * 10.0 ** rng.integers(0, 5, (5, 5)), 1) + np.diag(rng.normal(size=5))
    F = rng.normal(size=(5, 1))
    with mpmath.workdps(60):
        X = mpmath.zeros(6)
        X[:5, :5], X[:5, 5] = mpmath.matrix(L.tolist()), mpmath.matrix(F.tolist())
        E = mpmath.expm(X, method="taylor")
        rounded = np.array(E.tolist(), dtype=float)[:5]
        error = np.array([[float(E[i, j] - mpmath.mpf(rounded[i, j])) for j in range(6)] for i in range(5)])
    step = ExactStep.of(L)
    np.testing.assert_allclose(step.error_of_map(rounded[:, :5]), error[:, :5], rtol=1e-12, atol=1e-30)
    np.testing.assert_allclose(step.error_of_inputs(F, rounded[:, 5:]), error[:, 5:], rtol=1e-12, atol=1e-30)


@pytest.mark.parametrize("name", ["positive", "eigenvalue one", "negative block"])
def test_reported_residual_is_the_error_of_the_step_in_50_digits(name, rng):
    """Double precision measures the step of these far-from-normal generators up to 1,000 times as wrong as it is."""
    M = rotated(SPECTRA[name][0], rng, 1e4)
    region = region_of(M)
    true = exact_step_error(region, M, np.zeros(len(M)))
    assert true <= 1e-10
    assert region.residual <= max(20 * true, 1e-12)
    assert true <= max(2 * region.residual, 1e-12)
    assert region.reproduces
    assert region.limit >= 1e-12


def test_limit_grows_with_the_condition_of_the_step_only_where_it_must(rng):
    plain = region_of(np.diag([0.5, 0.25]))
    assert plain.limit == 1e-12
    steep = [region_of(rotated(SPECTRA["positive"][0], rng, 1e5)) for _ in range(8)]
    beyond = [r for r in steep if r.residual > 1e-12]
    assert beyond
    assert all(r.residual <= r.limit <= 1e-8 for r in beyond)


def test_map_that_no_double_precision_flow_reaches_is_refused_or_told(rng):
    Q = turn(1.0, 0.7)
    M = Q @ np.array([[1.0, 1e8], [0.0, 1.0]]) @ Q.T  # its rounding errors are larger than its eigenvalues
    system = rt.LinearSystem(M, np.zeros(2), np.zeros((2, 0)))
    with pytest.raises(rt.CertificateError, match=r"one step of the flow that was found .* away from it") as caught:
        rt.to_continuous(system)
    assert not caught.value.certificate.holds
    certificate = rt.to_continuous(system, throw=False).certificate
    assert not certificate.holds
    failed = [c for c in certificate.conditions if c.required and not c.holds]
    assert [c.name for c in failed] == ["sampling the flow gives the system back"]
    assert failed[0].margin < 0


@pytest.mark.parametrize(
    ("M", "decided"),
    [
        (np.diag([0.5, 0.25]), True),
        (np.diag([-0.5, 0.25]), True),
        (np.diag([-0.5, -0.25]), True),
        (jordan(0.5, 2), True),
        (-np.eye(2), False),  # within rounding: unpaired, or turning by less than pi
        (jordan(-0.5, 2), False),
    ],
)
def test_certificate_says_where_rounding_decides_the_status(M, decided):
    certificate = rt.to_continuous(rt.LinearSystem(M, np.zeros(2), np.zeros((2, 0)))).certificate
    condition = next(c for c in certificate.conditions if c.name == "the order is decided beyond rounding")
    assert condition.holds == decided
    assert condition.margin == (0.0 if decided else -1.0)
    assert not condition.required
    assert certificate.holds


# --- uniqueness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "unique"),
    [
        ([(0.5, k)], True)
        for k in range(2, 9)
    ]
    + [
        ([(0.5, 3), (0.8, 1)], True),
        ([(0.5, 3), (0.5, 1)], True),
        ([(0.5, 2), (1.0, 2)], True),
        ([(0.5, 2), (0.5, 2)], False),
        ([(0.5, 3), (0.5, 3)], False),
        ([(0.5, 2), (0.5, 1), (0.5, 1)], False),
    ],
)  # fmt: skip
def test_uniqueness_follows_the_blocks_in_any_basis(blocks, unique, rng):
    M = block_diag(*[jordan(x, k) for x, k in blocks])
    D = 10.0 ** rng.uniform(-6, 6, len(M))
    for X in (M, rotated(M, rng), rotated(M, rng, 100.0), D[:, None] * rotated(M, rng) / D):
        assert region_of(X).is_unique == unique


def test_matrix_with_one_block_in_integers_is_unique():
    assert region_of([[1.5, 1], [-1, -0.5]]).is_unique


@pytest.mark.parametrize("angle", [1e-6, 1e-3, 1.0])
def test_any_turn_is_not_unique(angle, rng):
    assert not region_of(rotated(turn(0.9, angle), rng, 10.0)).is_unique


# --- quiet -----------------------------------------------------------------------------------------------------------


def test_conversion_in_threads_changes_no_warning_filters_and_warns_of_nothing(rng):
    """More regions than one thread takes, many of them for the careful route, which silences SciPy."""
    M = np.array([rotated(jordan(-0.5, 2), rng) if k % 8 == 0 else np.diag(rng.uniform(0.1, 1, 2)) for k in range(300)])
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inside = list(warnings.filters)
        regions = rt.MatrixLog().regions(AffineRegions(M, np.zeros((300, 2)), np.zeros((300, 2, 0))), 1.0)
        assert list(warnings.filters) == inside
    assert caught == []
    assert list(warnings.filters) == before
    assert sum(r.status == "raised" for r in regions) == 38


@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_extreme_maps_are_converted_or_refused_without_a_warning(scale):
    for M in (scale * np.array([[1.0, 0.5], [0.0, 1.0]]), scale * turn(1.0, 1.0), np.diag([scale, 1.0])):
        region = region_of(M)
        assert region.condition >= 0
        assert region.is_unique in (True, False)
        assert np.isfinite(region.W).all()


def test_limit_of_an_ill_conditioned_region_is_eight_times_what_rounding_does_to_its_step():
    """Random errors of 2^-53 of the norms, by central differences of SciPy's exponential. The limit is computed where a step is off by
    more than 1e-12, as one of five such regions is, which ones depending on how the processor rounds."""
    rng = np.random.default_rng(20200713)
    for _ in range(100):
        S = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2)]
        S = S[0] @ np.diag([1, 1e3**0.5, 1e3]) @ S[1]
        region = region_of(S @ np.diag([0.9, 0.5, 0.1]) @ np.linalg.inv(S), c=[1.0, 2.0, 3.0])
        if region.residual > 1e-12:
            break
    assert 1e-12 < region.residual <= region.limit
    X, errors = np.zeros((4, 4)), []
    X[:3, :3], X[:3, 3] = region.W, region.h
    for _ in range(200):
        E = np.vstack([rng.normal(size=(3, 4)), np.zeros(4)])
        E *= np.append(
            np.full(3, np.linalg.norm(X[:, :3]) / np.linalg.norm(E[:, :3])),
            np.linalg.norm(X[:, 3]) / np.linalg.norm(E[:, 3]),
        )
        change = (expm(X + 1e-7 * E) - expm(X - 1e-7 * E)) / 2e-7 * 2.0**-53
        errors.append(max(np.linalg.norm(change[:, k]) / np.linalg.norm(expm(X)[:3, k]) for k in (slice(3), 3)))
    assert 8 * np.mean(errors) / 2 <= region.limit <= 8 * np.max(errors) * 2
