"""QUNN: norms, reversal, Jacobians, parameters, and the algebra of its gates."""

from functools import reduce

import numpy as np
import pytest

import retime as rt
from retime.models.qunn import neighbors

X, Y, Z, ONE = (
    np.array(m, dtype=complex) for m in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]], [[1, 0], [0, 1]])
)


def on(Q, **gates):
    return reduce(np.kron, [gates.get(f"q{k}", ONE) for k in range(Q)])


def exponential(H, angle):
    from scipy.linalg import expm

    return expm(-0.5j * angle * H)


def test_a_step_is_the_product_of_its_gates(rng):
    """Two qubits, memory 2, with dense matrices of all amplitudes."""
    cell = rt.QUNN(2, 2, 1, gain=0.3, seed=4)
    z, x = rng.normal(size=cell.num_states), rng.normal(size=1)
    new, old = z[:4] + 1j * z[4:8], z[8:12] + 1j * z[12:]
    chances = lambda psi: np.array([abs(psi[2]) ** 2 + abs(psi[3]) ** 2, abs(psi[1]) ** 2 + abs(psi[3]) ** 2])  # noqa: E731
    psi = old
    for q in range(2):
        psi = exponential(on(2, **{f"q{q}": Z}), cell.gain * cell.own[q] * chances(old)[q]) @ psi
    for layer in range(2):
        a = cell.bias[layer] + cell.W_in[layer] @ x
        if layer:
            a = a + cell.gain * cell.feedback[0] * chances(new)[[0, 1, 0, 1, 0, 1, 0]]
        gates = [on(2, q0=Z), on(2, q1=Z), on(2, q0=Y), on(2, q1=Y), on(2, q0=Z), on(2, q1=Z), on(2, q0=Z, q1=Z)]
        for H, angle in zip(gates, a, strict=True):
            psi = exponential(H, angle) @ psi
    np.testing.assert_allclose(cell.amplitudes(cell.step(z, x)), psi, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("Q", "t"), [(1, 1), pytest.param(3, 3, marks=pytest.mark.slow)])
def test_norms_are_kept_and_steps_are_undone(Q, t, rng):
    cell = rt.QUNN(Q, t, 1)
    s, path = rng.normal(size=(60, 1)), [cell.initial_state()]
    for row in s:
        path.append(cell.step(path[-1], row))
    assert np.abs(np.linalg.norm(cell.amplitudes(np.array(path)), axis=1) - 1).max() < 1e-12
    back = path[-1]
    for row in s[::-1]:
        back = cell.inverse_step(back, row)
    np.testing.assert_allclose(back, path[0], rtol=0, atol=1e-12)
    J = cell.jacobian(np.array(path[:-1]), s)
    assert np.linalg.norm(J, 2, axis=(1, 2)).max() <= cell.growth_bound


def test_without_feedback_the_jacobian_is_orthogonal(rng):
    cell = rt.QUNN(3, 2, 1, gain=0.0)
    J = cell.jacobian(cell.initial_state(), rng.normal(size=1))
    np.testing.assert_allclose(J.T @ J, np.eye(len(J)), rtol=0, atol=1e-13)
    assert cell.growth_bound == pytest.approx(1.0)


def test_parameters_grow_linearly():
    sizes = [rt.QUNN(3, t, 2).num_parameters for t in (1, 2, 3, 4)]
    assert len(set(np.diff(sizes))) == 1
    assert len({rt.QUNN(Q + 1, 2, 2).num_parameters - rt.QUNN(Q, 2, 2).num_parameters for Q in (3, 4, 5)}) == 1


@pytest.mark.parametrize(("Q", "dimension"), [(1, 3), (2, 15), (3, 63)])
def test_its_gates_generate_all_of_su(Q, dimension):
    """Commutators of Y_q, Z_q and Z_q Z_{q+1} span 4^Q - 1 dimensions."""
    basis, queue = np.zeros((0, 4**Q)), []
    generators = [on(Q, **{f"q{q}": P}) for q in range(Q) for P in (Y, Z)]
    generators += [on(Q, **{f"q{a}": Z, f"q{b}": Z}) for a, b in neighbors(Q)]
    paulis = [reduce(np.kron, [(ONE, X, Y, Z)[(k >> 2 * q) & 3] for q in range(Q)]) for k in range(4**Q)]

    def add(H):
        nonlocal basis
        v = np.array([np.trace(P @ H).real for P in paulis]) / 2**Q
        v = v - basis.T @ (basis @ v)
        v = v - basis.T @ (basis @ v)
        if np.linalg.norm(v) > 1e-8:
            basis = np.vstack([basis, v / np.linalg.norm(v)])
            queue.append(H / np.linalg.norm(H))

    for H in generators:
        add(H)
    while queue:
        H = queue.pop()
        for other in generators:
            add(1j * (H @ other - other @ H))
    assert len(basis) == dimension


def test_a_qunn_is_saved_and_loaded(tmp_path):
    cell = rt.QUNN(2, 3, 2, seed=1, readout=np.ones((1, 24)))
    again = rt.load(rt.save(cell, tmp_path / "q.npz"))
    assert again == cell


def test_its_certificate_says_what_is_kept():
    certificate = rt.QUNN(2, 2, 1).certificate
    assert certificate.holds
    assert "parameters" in certificate.claim


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"num_qubits": 0}, ValueError, "`num_qubits`"),
        ({"num_qubits": 40}, ValueError, "too long"),
        ({"memory": 0}, ValueError, "`memory`"),
        ({"gain": -1.0}, ValueError, "`gain`"),
        ({"bias": np.zeros((1, 3))}, rt.ShapeError, "`bias`"),
    ],
)
def test_bad_sizes_are_named(arguments, error, match):
    with pytest.raises(error, match=match):
        rt.QUNN(**({"num_qubits": 2, "memory": 2, "num_inputs": 1} | arguments))
