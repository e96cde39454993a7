"""The proven search of fixed points against brute force: floating point over all patterns, and exact rational arithmetic."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import retime as rt
from families import CASES, make
from references import all_patterns
from retime.analysis.view import affine_view

# --- brute force in floating point -------------------------------------------------------------------------------------


def brute_force(form, is_map, s):
    """Every fixed point of a form whose regions are all regular `(k, n)`: one linear system per pattern."""
    n, q = form.num_states, form.num_units
    h1, h2 = form.h1 + form.C1 @ s, form.h2 + form.C2 @ s
    D = all_patterns(q).reshape(-1, q).astype(float)
    L = (np.eye(n) if is_map else np.zeros((n, n))) - form.A
    M = L - (form.W1 * D[:, None, :]) @ form.W2
    z = np.linalg.solve(M, ((D * h2) @ form.W1.T + h1)[..., None])[..., 0]
    a = z @ form.W2.T + h2
    return z[((a > 0) == (D > 0)).all(axis=1)]


def in_order(points):
    return points[np.lexsort(np.round(points, 6).T[::-1])] if points.size else points


def gained(rng, kind, gain, n):
    """A random network of `kind` whose slopes have the spectral size `gain`."""
    A, h, C = rng.uniform(-0.9, 0.9, n), rng.normal(size=n), rng.normal(size=(n, 1))
    W = gain * rng.normal(size=(n, n)) / np.sqrt(n)
    if kind == "plrnn":
        return rt.PLRNN(A, W, h, C)
    if kind == "continuous":
        return rt.ContinuousPLRNN(A - 1.0, W, h, C)
    if kind == "almost_linear":
        return rt.AlmostLinearRNN(A, W, h, C, num_relu=n // 2 + 1)
    if kind == "relu":
        return rt.ReluRNN(W, C, h)
    q = {"wide": min(12, n + 3), "narrow": n - 2, "general": n}[kind]
    W1, W2, h2 = gain * rng.normal(size=(n, q)) / np.sqrt(n), rng.normal(size=(q, n)) / np.sqrt(n), rng.normal(size=q)
    if kind == "general":
        return rt.PiecewiseAffineRNN(W / 2, W1, W2, h, h2, C, rng.normal(size=(q, 1)))
    return rt.ShallowPLRNN(A, W1, W2, h, h2, C)


@pytest.mark.parametrize("kind", ["plrnn", "continuous", "almost_linear", "relu", "wide", "narrow", "general"])
def test_points_of_random_networks_are_those_of_all_patterns(rng, kind):
    number = 0
    for k in range(20):
        n = 4 + k % 9 if kind in ("plrnn", "relu", "general", "continuous") else 4 + k % 6
        model = gained(rng, kind, [0.3, 1.0, 1.7, 3.0][k % 4], n)
        s = rng.normal(size=1) if k % 2 else np.zeros(1)
        view = affine_view(model)
        want = in_order(brute_force(view.form, view.is_map, s))
        found = rt.find_fixed_points(model, inputs=s)
        assert found.complete
        assert not found.continua
        assert in_order(found.points).shape == want.shape
        np.testing.assert_allclose(in_order(found.points), want, atol=1e-8 * (1 + np.abs(want).max(initial=0)), rtol=0)
        number += len(want)
    assert number > 10


@pytest.mark.parametrize(
    ("name", "base"), [c for c in CASES if c not in (("relu", "flow"), ("linear", "map"), ("linear", "flow"))]
)
def test_points_of_every_family_are_those_of_all_patterns(rng, name, base):
    for k in range(4):
        model, _ = make(name, rng, base=base)
        s = rng.normal(size=2) if k % 2 else np.zeros(2)
        view = affine_view(model)
        want = in_order(brute_force(view.form, view.is_map, s))
        found = rt.find_fixed_points(model, inputs=s)
        assert found.complete
        assert in_order(found.points).shape == want.shape
        np.testing.assert_allclose(in_order(found.points), want, atol=1e-9 * (1 + np.abs(want).max(initial=0)), rtol=0)


def test_a_network_of_a_product_of_points_loses_none(rng):
    """Decoupled pairs of bistable units: 3^6 fixed points, known one by one."""
    n = 6
    model = rt.ShallowPLRNN(
        np.zeros(n), np.hstack([3 * np.eye(n), -3 * np.eye(n)]), np.vstack([np.eye(n), np.eye(n)]), -np.ones(n),
        np.repeat([0.5, -0.5], n),
    )  # fmt: skip
    # z' = -1 + 3 (relu(z + 1/2) - relu(z - 1/2)): -1, -1/4, 2
    found = rt.find_fixed_points(model)
    want = np.array(list(product([-1.0, -0.25, 2.0], repeat=n)))
    assert found.complete
    assert len(found) == len(want)
    np.testing.assert_allclose(in_order(found.points), in_order(want), atol=1e-9)
    assert int(found.stable.sum()) == 2**n


# --- exact arithmetic --------------------------------------------------------------------------------------------------


def rational(X):
    return [[Fraction(float(x)) for x in row] for row in np.atleast_2d(X)]


def dot(a, b):
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def solutions(rows):
    """All x of [M | c] as (one, basis of the directions), or None: Gauss-Jordan in fractions."""
    rows, n, pivots = [list(r) for r in rows], len(rows[0]) - 1, []
    for column in range(n):
        r = len(pivots)
        k = next((i for i in range(r, len(rows)) if rows[i][column] != 0), None)
        if k is None:
            continue
        rows[r], rows[k] = rows[k], rows[r]
        rows[r] = [x / rows[r][column] for x in rows[r]]
        for i in range(len(rows)):
            if i != r and rows[i][column] != 0:
                rows[i] = [x - rows[i][column] * y for x, y in zip(rows[i], rows[r], strict=True)]
        pivots.append(column)
    if any(r[-1] != 0 for r in rows[len(pivots) :]):
        return None
    one, basis = [Fraction(0)] * n, []
    for r, column in zip(rows, pivots, strict=False):
        one[column] = r[-1]
    for free in sorted(set(range(n)) - set(pivots)):
        v = [Fraction(int(j == free)) for j in range(n)]
        for r, column in zip(rows, pivots, strict=False):
            v[column] = -r[free]
        basis.append(v)
    return one, basis


def is_feasible(constraints):
    """Whether some x has G x + g >= 0 (> 0 where strict) for all (G, g, strict): Fourier-Motzkin elimination."""
    rows = set(constraints)
    for j in range(len(constraints[0][0]) if constraints else 0):
        up, down = [r for r in rows if r[0][j] > 0], [r for r in rows if r[0][j] < 0]
        rows = {r for r in rows if r[0][j] == 0}
        for (P, p, s), (N, m, t) in product(up, down):
            a, b = 1 / P[j], -1 / N[j]
            rows.add((tuple(a * x + b * y for x, y in zip(P, N, strict=True)), a * p + b * m, s or t))
    return all(g > 0 if strict else g >= 0 for _, g, strict in rows)


class Piece:
    """The fixed points in one closed region: z + V x cut by its half-spaces, of dimension `dim`; `tight`: boundaries that hold all of it."""

    def __init__(self, parts, is_map, units, bits):
        A, W1, W2, h1, h2 = parts
        n, on = len(A), [u for u, b in zip(units, bits, strict=True) if b]
        self.bits, self.units, self.dim, self.tight = bits, units, -1, []
        self.rows = [
            [int(i == j and is_map) - A[i][j] - sum(W1[i][u] * W2[u][j] for u in on) for j in range(n)]
            + [h1[i] + sum(W1[i][u] * h2[u] for u in on)]
            for i in range(n)
        ]
        self.sides = [
            ([(1 if b else -1) * x for x in W2[u]], (1 if b else -1) * h2[u]) for u, b in zip(units, bits, strict=True)
        ]
        found = solutions(self.rows)
        if found is not None:
            self._cut(*found)

    def _cut(self, z, V):
        C = [(tuple(dot(G, v) for v in V), dot(G, z) + g, False) for G, g in self.sides]
        if not is_feasible(C):
            return
        tight = [i for i in range(len(C)) if not is_feasible([*C[:i], (*C[i][:2], True), *C[i + 1 :]])]
        x, inner = solutions([[*C[i][0], -C[i][1]] for i in tight]) if tight else ([Fraction(0)] * len(V), V)
        self.dim, self.tight = len(inner), [self.units[i] for i in tight]
        self.z = tuple(a + sum(x[k] * V[k][i] for k in range(len(V))) for i, a in enumerate(z))

    def holds(self, z):
        return all(dot(r[:-1], z) == r[-1] for r in self.rows) and all(dot(G, z) + g >= 0 for G, g in self.sides)


def exact_fixed_points(model):
    """({isolated point: whether on a boundary}, pieces of dimension 1 and more), in fractions."""
    view = affine_view(model)
    units = np.flatnonzero(np.abs(view.form.W1).max(axis=0, initial=0)).tolist()
    form = view.form
    parts = rational(form.A), rational(form.W1), rational(form.W2), rational(form.h1)[0], rational(form.h2)[0]
    pieces = [Piece(parts, view.is_map, units, bits) for bits in product([0, 1], repeat=len(units))]
    wide = [p for p in pieces if p.dim > 0]
    single = {p.z: bool(p.tight) for p in pieces if p.dim == 0 and not any(c.holds(p.z) for c in wide)}
    return single, wide


def integer_network(seed):
    """A network of 2 to 5 units with integers in -2..2, of five families; many are degenerate."""
    rng = np.random.default_rng(seed)
    n, kind, q = int(rng.integers(2, 6)), seed % 5, int(rng.integers(1, 6))

    def draw(*shape):
        return rng.integers(-2, 3, shape).astype(float)

    if kind == 0:
        return rt.PLRNN(draw(n), draw(n, n), draw(n))
    if kind == 1:
        return rt.ReluRNN(draw(n, n), np.zeros((n, 1)), draw(n))
    if kind == 2:
        return rt.ContinuousPLRNN(draw(n), draw(n, n), draw(n))
    if kind == 3:
        return rt.ShallowPLRNN(draw(n), draw(n, q), draw(q, n), draw(n), draw(q))
    return rt.PiecewiseAffineRNN(draw(n, n), draw(n, q), draw(q, n), draw(n), draw(q))


@pytest.fixture(scope="module", params=[120, pytest.param(300, marks=pytest.mark.slow)])
def integer_networks(request):
    """(seed, what was found, exact isolated points, exact pieces of dimension >= 1) of many networks."""
    rows = []
    for seed in range(request.param):
        model = integer_network(seed)
        rows.append((seed, rt.find_fixed_points(model), *exact_fixed_points(model)))
    return rows


def is_listed(found, single):
    """Whether the isolated points are the exact ones, each once."""
    want = np.array([[float(x) for x in z] for z in single]).reshape(-1, found.points.shape[1])
    if len(found) != len(want):
        return False
    if not len(want):
        return True
    away = np.abs(found.points[:, None] - want[None]).max(axis=2)
    return bool(max(away.min(axis=0).max(), away.min(axis=1).max()) < 1e-9 * (1 + np.abs(want).max()))


def test_integer_networks_include_all_kinds_of_degeneracy(integer_networks):
    count = len(integer_networks)
    assert sum(len(single) > 1 for *_, single, _ in integer_networks) > count / 10
    assert sum(any(single.values()) for *_, single, _ in integer_networks) > count / 30
    assert sum(bool(wide) for *_, wide in integer_networks) > count / 15
    assert sum(any(p.tight for p in wide) for *_, wide in integer_networks) > count / 100


def test_integer_networks_without_continua_have_exactly_the_exact_points(integer_networks):
    cases = [(seed, found, single) for seed, found, single, wide in integer_networks if not wide]
    wrong = [
        seed for seed, found, single in cases if found.complete and (found.continua or not is_listed(found, single))
    ]
    assert len(cases) > 2 / 3 * len(integer_networks)
    assert not wrong


def test_integer_networks_say_which_points_lie_on_a_boundary(integer_networks):
    wrong = []
    for seed, found, single, _ in integer_networks:
        if len(single) and is_listed(found, single):
            for z, on_boundary in single.items():
                k = int(np.argmin(np.abs(found.points - np.array([float(x) for x in z])).max(axis=1)))
                wrong += [seed] if bool(found.on_boundary[k]) != on_boundary else []
    assert not wrong


def test_integer_networks_lose_no_continuum_inside_a_region(integer_networks):
    wrong = []
    for seed, found, _, wide in integer_networks:
        want = {(p.bits, p.dim) for p in wide if not p.tight}
        units = wide[0].units if wide else []
        have = {(tuple(c.pattern[units].astype(int).tolist()), c.directions.shape[1]) for c in found.continua}
        wrong += [seed] if found.complete and not want <= have else []
    assert not wrong


def test_integer_networks_do_not_pass_a_continuum_off_as_isolated_points(integer_networks):
    cases = [row for row in integer_networks if row[3]]
    wrong = [
        seed for seed, found, single, _ in cases if found.complete and not (found.continua and is_listed(found, single))
    ]
    assert cases
    assert not wrong


def test_every_integer_search_is_complete(integer_networks):
    assert all(found.complete for _, found, *_ in integer_networks)


# Networks that were got wrong, as small as they could be found.


def test_two_rays_of_a_two_unit_network_are_found():
    """{z1 <= 0, z2 = 1} and {z1 >= 0, z2 = z1 + 1}: rounding dust in the first dictionary must not exclude them."""
    model = rt.PLRNN([1.0, -2.0], [[-2.0, 2.0], [1.0, 2.0]], [-2.0, 1.0])
    for z in ([-3.0, 1.0], [2.0, 3.0]):
        np.testing.assert_array_equal(model.apply(np.array(z)), z)
    found = rt.find_fixed_points(model)
    assert not found.complete or {tuple(c.pattern.tolist()) for c in found.continua} == {(False, True), (True, True)}


def test_a_ray_that_begins_in_a_corner_is_found():
    model = rt.ReluRNN([[1.0, -1.0], [-1.0, -2.0]], np.zeros((2, 1)), [0.0, 2.0])
    np.testing.assert_array_equal(model.apply(np.array([7.0, 0.0])), [7.0, 0.0])
    found = rt.find_fixed_points(model)
    assert not found.complete or any(c.pattern.tolist() == [True, False] for c in found.continua)


def test_a_point_beside_a_boundary_preactivation_of_exactly_zero_is_found():
    """(0, 0, 1/2, 0, 0) has a preactivation that is exactly zero; it was excluded with the proof called complete."""
    W = [[2, 0, -2, 2, 2], [1, 0, -2, 0, -2], [0, -2, 1, -1, 1], [-2, 2, 2, -1, 2], [2, -1, 0, -1, -1]]
    model = rt.ReluRNN(np.array(W, dtype=float), np.zeros((5, 1)), [-1.0, 1.0, 0.0, -1.0, -1.0])
    single, _ = exact_fixed_points(model)
    assert len(single) == 4
    found = rt.find_fixed_points(model)
    assert not found.complete or is_listed(found, single)


def test_fractions_of_arbitrary_doubles_agree_too():
    """No integers: random doubles are exact fractions as well."""
    rng, number = np.random.default_rng(3), 0
    for _ in range(40):
        n = int(rng.integers(2, 4))
        model = rt.PLRNN(rng.uniform(-1, 1, n), 2 * rng.normal(size=(n, n)), rng.normal(size=n))
        single, wide = exact_fixed_points(model)
        found = rt.find_fixed_points(model)
        assert found.complete
        assert not wide
        assert is_listed(found, single)
        number += len(single)
    assert number > 20


@pytest.mark.parametrize("offset", [1e4, 1e8, 1e12])
def test_huge_offsets_that_cancel_lose_no_point(offset):
    """Points near 1 whose equation subtracts numbers of size `offset`; exact answers from the same doubles."""
    rng = np.random.default_rng(11)
    for _ in range(30):
        W1, W2 = rng.normal(size=(2, 3)), np.vstack([rng.normal(size=(1, 2)), rng.integers(-1, 2, (2, 2))])
        h2 = np.array([offset, rng.normal(), rng.normal()])
        model = rt.ShallowPLRNN([0.3, -0.4], W1, W2, rng.normal(size=2) - W1[:, 0] * offset, h2)
        single, wide = exact_fixed_points(model)
        found = rt.find_fixed_points(model)
        want = np.array([[float(x) for x in z] for z in single]).reshape(-1, 2)
        assert not wide
        assert not found.complete or len(found) == len(want)
        for z in want:  # the doubles W1 h2 carry an error of eps * offset, amplified by the region's condition
            assert (
                not found.complete
                or np.abs(found.points - z).max(axis=1).min() < 1e-13 * offset * (1 + np.abs(z).max()) * 10
            )


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e6, 1e12])
def test_units_of_very_different_scale_lose_no_point(size):
    """One unit reads the state in other units of measurement: W2 row and offset times `size`, W1 column divided by it."""
    rng = np.random.default_rng(5)
    for _ in range(30):
        A, W, h = rng.uniform(-0.9, 0.9, 3), 1.7 * rng.normal(size=(3, 3)), rng.normal(size=3)
        scale = np.array([size, 1.0, 1.0])
        model = rt.ShallowPLRNN(A, W / scale, np.eye(3) * scale[:, None], h, np.zeros(3))
        single, _ = exact_fixed_points(model)
        found = rt.find_fixed_points(model)
        assert not found.complete or is_listed(found, single)


@pytest.mark.parametrize("size", [1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9])
def test_states_of_very_different_scale_lose_no_point(size):
    """One state in other units of measurement: z_0 -> size z_0 throughout."""
    rng = np.random.default_rng(6)
    for _ in range(30):
        A, W, h = rng.uniform(-0.9, 0.9, 3), 1.7 * rng.normal(size=(3, 3)), rng.normal(size=3)
        T = np.array([size, 1.0, 1.0])
        model = rt.PLRNN(A, W * T[:, None] / T, h * T)
        single, _ = exact_fixed_points(model)
        found = rt.find_fixed_points(model)
        want = np.array([[float(x) for x in z] for z in single]).reshape(-1, 3)
        if found.complete:
            assert len(found) == len(want)
            for z in want:
                assert (np.abs(found.points - z) / (T * (1 + np.abs(z / T).max()))).max(axis=1).min() < 1e-9


@pytest.mark.parametrize("decades", [1, 3, 6])
def test_units_of_measurement_that_are_powers_of_two_change_nothing(decades):
    """States and units of integer networks rescaled by powers of two, which is exact, degeneracies included."""
    wrong, top = [], round(decades * np.log2(10))
    for seed in range(150):
        rng = np.random.default_rng([seed, 9])
        model = integer_network(seed)
        view = affine_view(model)
        f = view.form
        T, U = (2.0 ** rng.integers(-top, top + 1, k) for k in (f.num_states, f.num_units))
        other = rt.PiecewiseAffineRNN(
            f.A * T[:, None] / T, f.W1 * T[:, None] / U, f.W2 * U[:, None] / T, f.h1 * T, f.h2 * U, time=model.time
        )  # fmt: skip
        one, two = rt.find_fixed_points(model), rt.find_fixed_points(other)
        if not (one.complete and two.complete):
            continue
        same = len(one) == len(two) and len(one.continua) == len(two.continua)
        if same and len(one):
            away = np.abs(one.points[:, None] - (two.points / T)[None]).max(axis=2)
            same = max(away.min(axis=0).max(), away.min(axis=1).max()) < 1e-8 * (1 + np.abs(one.points).max())
        wrong += [] if same else [seed]
    assert not wrong
