"""Hopfield's form: an RC node per unit, an amplifier with both polarities, a resistor per synapse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.circuits.assembly import Assembly, told
from retime.circuits.form import NetworkForm
from retime.circuits.topologies.units import add_functions, add_inputs, add_readout, common_gain, names
from retime.core.arrays import Array


@dataclass(frozen=True)
class Conductance:
    """C_i du_i/dt = sum_j T_ij V_j - u_i / R_i + I_i, with 1/R_i = 1/rho_i + sum_j |T_ij|.

    Valid when the leak rho_i is positive: tau_i sum_j |w_ij| < 1. Source: hopfield1984.
    """

    name: ClassVar[str] = "conductance"
    is_sampled: ClassVar[bool] = False

    def build(self, to: Assembly, level: Any, form: NetworkForm) -> None:
        """Write the circuit of a form that `margins` found realizable."""
        states, inputs = names("x", form.num_states), add_inputs(to, form)
        C, seconds = to.scale.capacitance_farad, to.scale.seconds
        to.note(f"amplifiers y = {form.activation}(...), with both polarities where a synapse needs them")
        functions = add_functions(to, level, form, states, inputs)
        leaks = margins(form) / seconds * C
        for i, x in enumerate(states):
            synapses = to.terms([(form.W1[i], functions)])
            rest = [*to.terms([(form.C1[i], inputs)]), *to.constant(form.h1[i])]
            to.note(told(f"unit {i + 1}: dx{i + 1}/dt", [to.leak(-form.A[i, i], x), *synapses, *rest]))
            node = level.isolated(to, x)
            to.add("C", x, (node, "0"), C)
            to.add("R", x, (node, "0"), 1.0 / float(leaks[i]))
            for t in synapses:
                source = t.node if t.weight > 0 else level.inverted(to, t.node)
                to.add("R", f"{x}_{t.node}", (source, node), seconds / (C * abs(t.weight)))
            for t in rest:
                to.add("G", f"{x}_{t.node}", ("0", node, t.node, "0"), C * t.weight / seconds)
        add_readout(to, level, form, states)


def margins(form: NetworkForm) -> Array:
    """1/tau_i - sum_j |w_ij| of each unit `(n,)`, 1 / model time; > 0 where the leak of Hopfield's form is a resistor."""
    return -np.diagonal(form.A) - np.abs(form.W1).sum(axis=1)


def fits(form: NetworkForm) -> bool:
    """Whether a form has the shape of Hopfield's: leaky units whose functions read the states."""
    A = form.A
    return bool(common_gain(form)) and bool((np.diagonal(A) < 0).all()) and bool((np.diag(np.diagonal(A)) == A).all())
