"""Summing integrators: one per unit, always realizable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.circuits.assembly import Assembly, told
from retime.circuits.form import NetworkForm
from retime.circuits.topologies.units import add_functions, add_inputs, add_readout, drive, names


@dataclass(frozen=True)
class Integrator:
    """C dV_i/dt = sum of currents, one per weight; any flow whose nonlinearity has a circuit."""

    name: ClassVar[str] = "integrator"
    is_sampled: ClassVar[bool] = False

    def build(self, to: Assembly, level: Any, form: NetworkForm) -> None:
        """Write the circuit of a form."""
        states = names("x", form.num_states)
        inputs = add_inputs(to, form)
        to.note(f"nonlinearities y = {form.activation}(...)")
        functions = add_functions(to, level, form, states, inputs)
        for i, x in enumerate(states):
            leak = max(0.0, -float(form.A[i, i]))
            own = np.where(np.arange(len(states)) == i, form.A[i] + leak, form.A[i])
            terms = [*to.terms([(own, states)]), *drive(to, form, i, functions, inputs)]
            to.note(told(f"unit {i + 1}: dx{i + 1}/dt", ([to.leak(leak, x)] if leak else []) + terms))
            level.integrator(to, x, terms, leak)
        add_readout(to, level, form, states)
