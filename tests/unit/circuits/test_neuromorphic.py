"""Linear networks as graphs of NIR: the equations of its nodes, summed over its edges, are the network's."""

import numpy as np
import pytest

import retime as rt
from retime.circuits import to_nir


def followed(graph, v, s):
    """dv/dt and the output by the equations of NIR's documentation, currents summed over edges."""

    def value(name):
        node = graph.nodes[name]
        if name == "states":
            return v
        if name == "input":
            return s
        got = sum(value(a) for a, b in graph.edges if b == name)
        return got if name == "output" else node.weight @ got + getattr(node, "bias", 0.0)

    node, current = graph.nodes["states"], sum(value(a) for a, b in graph.edges if b == "states")
    rate = (node.v_leak - v + node.r * current) / node.tau if hasattr(node, "tau") else node.r * current
    return rate, value("output")


@pytest.mark.parametrize("leaky", [True, False])
def test_a_linear_network_is_the_graph_that_its_file_holds(leaky, rng, tmp_path):
    nir = pytest.importorskip("nir")
    n, m = 3, 2
    A = rng.normal(size=(n, n)) - (5.0 * np.eye(n) if leaky else 0.0)
    A[0, 0] = -1.0 if leaky else 0.5
    readout = (rng.normal(size=(2, n)), rng.normal(size=2))
    model = rt.LinearSystem(A, rng.normal(size=n), rng.normal(size=(n, m)), time=rt.Continuous(), readout=readout)
    nir.write(str(tmp_path / "net.nir"), to_nir(model))
    graph = nir.read(str(tmp_path / "net.nir"))
    assert type(graph.nodes["states"]).__name__ == ("LI" if leaky else "I")
    v, s = rng.normal(size=n), rng.normal(size=m)
    rate, output = followed(graph, v, s)
    np.testing.assert_allclose(rate, model.field(v, s), atol=1e-12)
    np.testing.assert_allclose(output, model.outputs(v), atol=1e-12)
    alone = to_nir(rt.RateRNN(A, None, np.zeros(n), tau=0.1, activation="linear"))
    np.testing.assert_allclose(followed(alone, v, np.zeros(1))[0], (A @ v - v) / 0.1, atol=1e-12)


def test_what_nir_does_not_have_is_refused_with_a_way_out(rng):
    W = rng.normal(size=(2, 2))
    with pytest.raises(rt.CertificateError, match="units with tanh; NIR has neither tanh, ReLU"):
        to_nir(rt.RateRNN(W, None, np.zeros(2), tau=1.0))
    with pytest.raises(rt.CertificateError, match="units with relu"):
        to_nir(rt.ContinuousPLRNN(-np.ones(2), W, np.zeros(2)))
    with pytest.raises(rt.CertificateError, match="is a map; nodes of NIR flow"):
        to_nir(rt.LinearSystem(W, np.zeros(2), np.zeros((2, 0)), time=rt.Discrete(0.1)))
