"""Weights that public programs of LRU and minGRU save, by `family=` and `names=`."""

import numpy as np
import pytest

import retime as rt


def test_parameters_of_lru_are_its_recurrence(rng, tmp_path):
    own = {k: rng.normal(size=3) for k in ("nu_log", "theta_log", "gamma_log")}
    own |= {k: rng.normal(size=(3, 2)) for k in ("B_re", "B_im")} | {
        k: rng.normal(size=(2, 3)) for k in ("C_re", "C_im")
    }
    np.savez(tmp_path / "lru.npz", D=np.ones(2), **own)
    model = rt.load(tmp_path / "lru.npz", family="diagonal_linear")
    w = np.exp(-np.exp(own["nu_log"]) + 1j * np.exp(own["theta_log"]))
    x, z = np.zeros(3, dtype=complex), np.zeros(6)
    for s in rng.normal(size=(5, 2)):
        x = w * x + np.exp(own["gamma_log"]) * ((own["B_re"] + 1j * own["B_im"]) @ s)
        z = model.step(z, s)
    np.testing.assert_allclose(z[:3] + 1j * z[3:], x, rtol=0, atol=1e-13)
    np.testing.assert_allclose(model.outputs(z), ((own["C_re"] + 1j * own["C_im"]) @ x).real, rtol=0, atol=1e-12)


def test_two_linear_layers_are_a_min_gru(rng, tmp_path):
    torch = pytest.importorskip("torch")
    gate, hidden = torch.nn.Linear(2, 4).double(), torch.nn.Linear(2, 4).double()
    torch.save(
        {f"{k}.{n}": v for k, m in (("linear_z", gate), ("linear_h", hidden)) for n, v in m.state_dict().items()},
        tmp_path / "m.pt",
    )
    names = {"W_gate": "linear_z.weight", "b_gate": "linear_z.bias", "W_in": "linear_h.weight", "b": "linear_h.bias"}
    model = rt.load(tmp_path / "m.pt", family="min_gru", names=names)
    z, s = torch.randn(4, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    with torch.no_grad():
        u = torch.sigmoid(gate(s))
        want = (1 - u) * z + u * hidden(s)
    np.testing.assert_allclose(model.step(z.numpy(), s.numpy()), want.numpy(), rtol=0, atol=1e-14)


def test_what_a_file_of_a_cell_lacks_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", nu_log=np.ones(3))
    with pytest.raises(rt.ModelFileError, match="needs `eigenvalues` and `B`"):
        rt.load(tmp_path / "x.npz", family="diagonal_linear")
    with pytest.raises(rt.ModelFileError, match="`W_gate`"):
        rt.load(tmp_path / "x.npz", family="min_gru")
