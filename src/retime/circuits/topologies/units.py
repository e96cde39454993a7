"""What all topologies share: names of nodes, the nonlinearities with their arguments, inputs and readouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retime.circuits.assembly import Assembly, Term, told
from retime.circuits.elements import Source
from retime.circuits.form import NetworkForm
from retime.core.arrays import Array


def names(letter: str, count: int) -> list[str]:
    """letter1, letter2, ..."""
    return [f"{letter}{k + 1}" for k in range(count)]


def common_gain(form: NetworkForm) -> float:
    """The gain g with W2 = g I and no offsets, as networks whose functions read states have; 0 for none."""
    q, n = form.W2.shape
    if q != n or form.h2.any() or form.C2.any() or not n:
        return 0.0
    gain = float(form.W2[0, 0])
    return gain if gain > 0 and (gain * np.eye(n) == form.W2).all() else 0.0


def add_inputs(to: Assembly, form: NetworkForm) -> list[str]:
    """The input sources; the nodes of the inputs."""
    nodes = names("s", form.num_inputs)
    if nodes:
        to.note("inputs")
    for k, node in enumerate(nodes):
        to.add("V", f"in{k + 1}", (node, "0"), Source())
    return nodes


def add_functions(
    to: Assembly, level: Any, form: NetworkForm, states: Sequence[str], inputs: Sequence[str]
) -> list[str]:
    """y_k = f(a_k) with a_k = W2 x + C2 s + h2, by summing amplifiers where a_k is no state; the nodes of the y_k."""
    gain, read = common_gain(form), selected(form)
    found = []
    for k in range(form.num_functions):
        if gain or read[k] >= 0:
            argument = states[k if gain else read[k]]
        else:
            terms = [*to.terms([(form.W2[k], states), (form.C2[k], inputs)]), *to.constant(form.h2[k])]
            to.note(told(f"a{k + 1}", terms))
            argument = level.sum(to, f"a{k + 1}", terms)
        found.append(level.function(to, form.activation, gain or 1.0, str(k + 1), argument))
    return found


def selected(form: NetworkForm) -> Array:
    """The state that each function reads where it reads one alone and as it is, else -1."""
    W2 = form.W2
    alone = ((W2 != 0).sum(axis=1) == 1) & ((W2 == 1.0).sum(axis=1) == 1) & (form.h2 == 0) & ~form.C2.any(axis=1)
    return np.where(alone, np.argmax(W2 == 1.0, axis=1) if W2.shape[1] else -1, -1)


def drive(to: Assembly, form: NetworkForm, i: int, functions: Sequence[str], inputs: Sequence[str]) -> list[Term]:
    """W1 f + C1 s + h1 of unit i."""
    return [*to.terms([(form.W1[i], functions), (form.C1[i], inputs)]), *to.constant(form.h1[i])]


def add_readout(to: Assembly, level: Any, form: NetworkForm, states: Sequence[str]) -> None:
    """x = B z + b by summing amplifiers, of a linear readout."""
    if form.readout is None or not form.readout.is_linear:
        return
    to.note("readout")
    for k, (row, offset) in enumerate(zip(form.readout.B, form.readout.b, strict=True)):
        level.output(to, f"o{k + 1}", [*to.terms([(row, states)]), *to.constant(offset)])
