"""Every row of the spectrum table: status, auxiliary states, margin, uniqueness, condition."""

import numpy as np
import pytest
from scipy.linalg import block_diag

import retime as rt
from references import clock_step
from retime.convert.eigen_log import logs_by_eigenvectors


def jordan(x, size):
    return x * np.eye(size) + np.diag(np.ones(size - 1), 1)


def integer_basis(rng, n):
    """An integer matrix of determinant 1: similarity with it is exact in floating point."""
    lower, upper = (
        np.tril(rng.integers(-1, 2, (n, n)), -1) + np.eye(n),
        np.triu(rng.integers(-1, 2, (n, n)), 1) + np.eye(n),
    )
    return lower @ upper, np.round(np.linalg.inv(lower @ upper))


def region_of(M, *, dt=1.0, c=None):
    n = len(M)
    model = rt.PLRNN(M, np.zeros((n, n)), np.ones(n) if c is None else c, time=rt.Discrete(dt))
    return rt.to_continuous(model, throw=False).model.region(np.zeros(n, bool))


ROTATION = np.array([[0.0, -1.0], [1.0, 0.0]])
TABLE = {
    "positive": (np.diag([0.5, 0.25]), "principal", 0),
    "defective one": (jordan(1.0, 3), "principal", 0),
    "quarter turn": (ROTATION, "principal", 0),
    "defective quarter turns": (np.block([[ROTATION, np.eye(2)], [np.zeros((2, 2)), ROTATION]]), "principal", 0),
    "half turn": (-np.eye(2), "real", 0),
    "two pairs": (block_diag(-np.eye(2), -0.5 * np.eye(2)), "real", 0),
    "pair of blocks of size two": (block_diag(jordan(-0.5, 2), jordan(-0.5, 2)), "real", 0),
    "one negative": (np.array([[-0.5]]), "raised", 1),
    "two different negative": (np.diag([-0.5, -0.25]), "raised", 2),
    "three equal negative": (-0.5 * np.eye(3), "raised", 1),
    "one block of size two": (jordan(-1.0, 2), "raised", 2),
    "one block of size three": (jordan(-0.5, 3), "raised", 3),
    "blocks of sizes two and one": (block_diag(jordan(-0.5, 2), [[-0.5]]), "raised", 3),
    "semisimple zero": (np.diag([0.0, 0.5]), "regularized", 0),
    "all zero": (np.zeros((2, 2)), "regularized", 0),
    "zero and a pair": (block_diag([[0.0]], -np.eye(2)), "regularized", 0),
    "zero and one negative": (np.diag([0.0, 0.0, -0.5]), "regularized", 1),
    "nilpotent": (jordan(0.0, 2), "time_varying", 0),
    "nilpotent of index three and a rotation": (block_diag(jordan(0.0, 3), ROTATION), "time_varying", 0),
    "nilpotent and one negative": (block_diag(jordan(0.0, 2), [[-0.5]]), "time_varying", 1),
}


@pytest.mark.parametrize("basis", ["own", "orthogonal", "integer"])
@pytest.mark.parametrize("name", TABLE)
def test_row_is_named_and_its_flow_reaches_the_map(name, basis, rng):
    M, status, auxiliary = TABLE[name]
    if basis == "orthogonal":
        Q = np.linalg.qr(rng.normal(size=M.shape))[0]
        M = Q @ M @ Q.T
    elif basis == "integer":
        S, inverse = integer_basis(rng, len(M))
        M = S @ M @ inverse
    region = region_of(M, dt=0.5)
    assert region.residual <= 1e-12  # the figure for every region
    assert (region.status, region.auxiliary) == (status, auxiliary)
    if region.ramp is None:
        z = rng.normal(size=len(M))
        got, hidden = clock_step(region, z)
        np.testing.assert_allclose(got, M @ z + 1, rtol=0, atol=1e-11)  # residual 1e-12 of entries up to about 10
        np.testing.assert_allclose(hidden, 0, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", TABLE)
def test_transition_reported_by_a_region_is_its_map(name, rng):
    M, _, _ = TABLE[name]
    z, region = rng.normal(size=len(M)), region_of(M, dt=0.5)
    np.testing.assert_allclose(region.transition @ np.concatenate([[1], z]), M @ z + 1, rtol=0, atol=1e-13 * 10)


def test_half_turn_has_the_real_logarithm_of_the_table():
    W = region_of(-np.eye(2), c=np.zeros(2)).W
    np.testing.assert_allclose(W @ W, -(np.pi**2) * np.eye(2), rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.diag(W), 0, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("offset", "want"), [(0.0, 0.0), (0.7, 1.4)])
def test_eigenvalue_one_drifts_with_its_offset(offset, want):
    region = region_of(np.array([[1.0]]), dt=0.5, c=[offset])
    np.testing.assert_allclose([region.W[0, 0], region.h[0]], [0, want], rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("M", "margin"),
    [
        (np.diag([0.5, 0.25]), 0.25),  # distance to the end of the ray
        (0.5 * ROTATION - 0.5 * np.eye(2), 0.5),  # -0.5 +- 0.5i: distance to the ray
        (np.diag([0.5, -0.25]), -0.25),  # on the ray: minus the modulus
        (np.diag([-0.75, -0.25]), -0.75),
        (-np.eye(2), -1.0),
        (np.diag([0.0, 0.5]), 0.0),
    ],
)
def test_margin_is_the_signed_distance_to_the_negative_axis(M, margin):
    assert abs(region_of(M).margin - margin) <= 1e-14


@pytest.mark.parametrize(
    ("M", "unique"),
    [
        (np.diag([0.5, 0.25]), True),
        (jordan(0.5, 2), True),
        (np.diag([0.5, 0.5]), False),  # plus 2 pi J in the plane
        (block_diag(jordan(0.5, 2), [[0.5]]), True),  # Culver: no block appears twice
        (block_diag(jordan(0.5, 2), jordan(0.5, 2)), False),
        (ROTATION, False),
        (-np.eye(2), False),
    ],
)
def test_other_branches_exist_as_culver_says(M, unique):
    assert region_of(M).is_unique == unique


@pytest.mark.parametrize(
    "M", [np.diag([0.9, 0.1]), jordan(0.5, 3), 0.3 * ROTATION + 0.2 * np.eye(2), np.diag([-0.5, 0.5])]
)
def test_condition_is_that_of_finite_differences(M, rng):
    from scipy.linalg import logm

    worst, step = 0.0, 1e-6
    for _ in range(300):
        E = rng.normal(size=M.shape)
        E *= step / np.linalg.norm(E)
        above = M.astype(complex) * np.exp(-1e-9j)
        worst = max(worst, np.linalg.norm(logm(above + E) - logm(above - E)) / (2 * step))
    want = worst * np.linalg.norm(M) / np.linalg.norm(logm(M.astype(complex)))
    assert (
        0.97 * want <= region_of(M).condition <= 1.5 * want
    )  # random directions come close to the worst in 4 to 9 dimensions


def test_bound_holds_for_the_regularized_step_in_extended_precision():
    region = region_of(np.diag([0.0, 0.5]))
    assert 0 < region.bound <= 2.0**-52
    left = np.exp(np.longdouble(region.dt) * np.longdouble(region.W[0, 0]))
    assert left <= region.bound * 1.0001 + 2.0**-60


def test_nearly_singular_and_singular_regions_are_told_apart():
    assert region_of(np.diag([1e-12, 0.5])).status == "principal"
    assert region_of(np.diag([0.0, 0.5])).status == "regularized"


def test_region_of_the_wrong_width_is_refused():
    flow = rt.to_continuous(rt.PLRNN(np.ones(3) * 0.5, np.zeros((3, 3)), np.zeros(3))).model
    with pytest.raises(rt.ShapeError, match=r"`patterns` has shape \(1, 2\); it must be \(r, 3\)"):
        flow.region([True, False])


def test_regions_are_converted_once():
    flow = rt.to_continuous(rt.PLRNN([0.5, 0.6], 0.1 * np.eye(2), np.zeros(2))).model
    first = flow.convert([[True, False], [True, False], [False, False]])
    assert first[0] is first[1]
    assert flow.region([True, False]) is first[0]
    assert len(flow.converted) == 2


def test_region_arrays_are_read_only():
    region = region_of(np.diag([0.5, 0.25]))
    for array in (region.W, region.h, region.E):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(("gap", "unique"), [(1e-15, False), (8e-12, False), (1e-9, True)])
def test_eigenvalues_that_rounding_may_have_parted_are_not_called_different(gap, unique):
    """300 times a singular value of 64 n 1e-15 |M| is 2e-11."""
    assert region_of(np.diag([0.5, 0.5 + gap])).is_unique == unique


def test_the_fast_route_serves_matrices_with_simple_eigenvalues(rng):
    """Without the careful one, which would hide its errors."""
    M = rng.normal(size=(40, 5, 5)) / np.sqrt(5)
    count = (np.linalg.eigvals(M).real * (np.linalg.eigvals(M).imag == 0) < 0).sum(axis=1)
    assert {*range(4)} <= {*count.tolist()}
    found = logs_by_eigenvectors(M, rng.normal(size=(40, 5, 3)), np.ones((40, 5)), None)
    assert max(max(x.of_map, x.of_inputs) for x in found) <= 1e-11  # rounding, times the condition of the eigenvectors
    assert [len(x.generator.L) - 5 for x in found] == count.tolist()


@pytest.mark.parametrize(("n", "limit"), [(4, 1e-12), (16, 1e-12), (32, 2e-12)])
def test_the_limit_of_the_residual_grows_with_the_number_of_states_from_sixteen_on(n, limit):
    assert region_of(np.diag(np.linspace(0.2, 0.9, n))).limit == pytest.approx(limit, rel=1e-12)
