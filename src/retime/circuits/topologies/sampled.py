"""Sample-and-hold stages: a map as a circuit with two clock phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from retime.circuits.assembly import Assembly, told
from retime.circuits.elements import Model, Pulse, Source
from retime.circuits.form import NetworkForm
from retime.circuits.topologies.units import add_functions, add_inputs, add_readout, drive, names

ON_FIRST, ON_SECOND, WIDTH, EDGE = 0.05, 0.55, 0.4, 0.001
"""When the phases begin, how long they last and how long an edge takes, in periods: they never overlap."""


@dataclass(frozen=True)
class Sampled:
    """Two hold capacitors and two switches per unit: phase 1 samples F(z_k) from the second ones, phase 2 hands it to them.

    Settling exp(-T_on / (R_on C)), droop T / (R_off C), both in the certificate.
    """

    name: ClassVar[str] = "sampled"
    is_sampled: ClassVar[bool] = True

    on_ohm: float = 100.0
    off_ohm: float = 1e12

    def build(self, to: Assembly, level: Any, form: NetworkForm) -> None:
        """Write the circuit of a map's form."""
        states, inputs = names("x", form.num_states), add_inputs(to, form)
        period, C = form.time.step * to.scale.seconds, to.scale.capacitance_farad  # type: ignore[operator]
        to.models["clocked"] = Model("sw", {"vt": 0.5, "vh": 0.2, "ron": self.on_ohm, "roff": self.off_ohm})
        to.note("clock: phase 1 samples the next state, phase 2 hands it on")
        for k, begin in enumerate((ON_FIRST, ON_SECOND)):
            edge = EDGE * period
            pulse = Pulse(0.0, 1.0, begin * period, edge, edge, WIDTH * period, period)
            to.add("V", f"clock{k + 1}", (f"p{k + 1}", "0"), Source(0.0, pulse))
        to.note(f"nonlinearities y = {form.activation}(...)")
        functions = add_functions(to, level, form, states, inputs)
        for i, x in enumerate(states):
            terms = [*to.terms([(form.A[i], states)]), *drive(to, form, i, functions, inputs)]
            to.note(told(f"unit {i + 1}: next x{i + 1}", terms))
            node = str(i + 1)
            level.sum(to, f"n{node}", terms)
            level.buffered(to, f"n{node}", f"d{node}")
            to.add("S", f"a{node}", (f"d{node}", f"h{node}", "p1", "0"), "clocked")
            to.add("C", f"h{node}", (f"h{node}", "0"), C)
            level.buffered(to, f"h{node}", f"e{node}")
            hold = level.isolated(to, x)
            to.add("S", f"b{node}", (f"e{node}", hold, "p2", "0"), "clocked")
            to.add("C", x, (hold, "0"), C)
        add_readout(to, level, form, states)
