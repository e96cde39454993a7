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

    The current I_i is a controlled source's at the ideal level; of parts it flows through resistors from the inputs and the reference, which
    load the node as synapses do. Valid when the leak rho_i is positive: tau_i sum_j |w_ij| < 1, the sum over inputs and offset too where they
    are resistors. Source: hopfield1984.
    """

    name: ClassVar[str] = "conductance"
    is_sampled: ClassVar[bool] = False

    def build(self, to: Assembly, level: Any, form: NetworkForm) -> None:
        """Write the circuit of a form that `margins` found realizable."""
        states, inputs = names("x", form.num_states), add_inputs(to, form)
        C, seconds = to.scale.capacitance_farad, to.scale.seconds
        to.note(f"amplifiers y = {form.activation}(...), with both polarities where a synapse needs them")
        functions = add_functions(to, level, form, states, inputs)
        leaks = margins(form, level.is_rounded) / seconds * C
        for i, x in enumerate(states):
            synapses = to.terms([(form.W1[i], functions)])
            rest = [*to.terms([(form.C1[i], inputs)]), *to.constant(form.h1[i])]
            to.note(told(f"unit {i + 1}: dx{i + 1}/dt", [to.leak(-form.A[i, i], x), *synapses, *rest]))
            node = level.isolated(to, x)
            to.add("C", x, (node, "0"), C)
            level.resistor(to, x, (node, "0"), 1.0 / float(leaks[i]), f"the leak of {x}")
            for t in [*synapses, *rest] if level.is_rounded else synapses:
                source = t.node if t.weight > 0 else level.inverted(to, t.node)
                ohm = seconds / (C * abs(t.weight))
                level.resistor(to, f"{x}_{t.node}", (source, node), ohm, f"the resistor from {t.node} to {x}")
            for t in () if level.is_rounded else rest:
                to.add("G", f"{x}_{t.node}", ("0", node, t.node, "0"), C * t.weight / seconds)
        add_readout(to, level, form, states)


def margins(form: NetworkForm, by_resistors: bool = False) -> Array:
    """1/tau_i - sum_j |w_ij| of each unit `(n,)`, 1 / model time; > 0 where the leak of Hopfield's form is a resistor.

    `by_resistors`: whether inputs and offsets flow through resistors, which count as weights then.
    """
    own = -np.diagonal(form.A) - np.abs(form.W1).sum(axis=1)
    return own - np.abs(form.C1).sum(axis=1) - np.abs(form.h1) if by_resistors else own


def fits(form: NetworkForm) -> bool:
    """Whether a form has the shape of Hopfield's: leaky units whose functions read the states."""
    A = form.A
    return bool(common_gain(form)) and bool((np.diagonal(A) < 0).all()) and bool((np.diag(np.diagonal(A)) == A).all())
