"""Linear networks as graphs of NIR, which simulators and chips for spiking networks read."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.circuits.form import form_of
from retime.core.arguments import system
from retime.core.errors import CertificateError, MissingDependencyError
from retime.core.system import System
from retime.core.time import Discrete


def to_nir(model: System) -> Any:
    """A linear flow dz/dt = A z + E s + b as a graph of NIR, the neuromorphic intermediate representation; `nir.write(path, graph)` writes it.

    The states are one node: leaky integrators LI (tau dv/dt = v_leak - v + r I) where every diagonal entry of A is negative, else
    integrators I (dv/dt = r I). Currents come from the inputs (Linear, E) and from the states themselves (the rest of A); a linear readout is
    an Affine before the output. A model without inputs gets one of weight 0, since a graph begins with an input.

    Args:
        model: a LinearSystem in continuous time, or another network without a nonlinearity, such as a RateRNN with activation "linear".

    Returns:
        `nir.NIRGraph`, times in units of model time.

    Raises:
        CertificateError: a nonlinearity (NIR 1 has neither tanh nor ReLU), or a map. MissingDependencyError: nir is not installed.

    Source: pedersen2024.
    """
    form = form_of(system("to_nir", model))
    if form.num_functions:
        raise CertificateError(
            f"{type(model).__name__} has units with {form.activation}; NIR has neither tanh, ReLU nor another such function, only linear "
            "and spiking nodes. `to_circuit` carries this network; `linearize` makes a linear one of it."
        )
    if isinstance(form.time, Discrete):
        raise CertificateError(
            f"{type(model).__name__} is a map; nodes of NIR flow. Take `to_continuous(model).model`."
        )
    try:
        import nir
    except ImportError:
        raise MissingDependencyError("to_nir needs nir: pip install nir") from None
    n, leak = form.num_states, -np.diagonal(form.A)
    E = form.C1 if form.num_inputs else np.zeros((n, 1))
    if (leak > 0).all():
        states = nir.LI(tau=1.0 / leak, r=1.0 / leak, v_leak=form.h1 / leak)
        own = nir.Linear(weight=form.A + np.diag(leak))
    else:
        states, own = nir.I(r=np.ones(n)), nir.Affine(weight=form.A, bias=form.h1)
    nodes = {
        "input": nir.Input(np.array([E.shape[1]])),
        "drive": nir.Linear(weight=E),
        "states": states,
        "recurrent": own,
    }
    edges = [("input", "drive"), ("drive", "states"), ("states", "recurrent"), ("recurrent", "states")]
    size, last = n, "states"
    if form.readout is not None and form.readout.is_linear:
        nodes["readout"] = nir.Affine(weight=form.readout.B, bias=form.readout.b)
        edges.append(("states", "readout"))
        size, last = len(form.readout.b), "readout"
    nodes["output"] = nir.Output(np.array([size]))
    return nir.NIRGraph(nodes=nodes, edges=[*edges, (last, "output")])
