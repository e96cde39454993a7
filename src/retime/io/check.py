"""A loaded model against outputs that are known: whether it is the network, and if not, which reading of the same arrays is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.core.system import System
from retime.core.time import Continuous
from retime.io.objects import as_numbers
from retime.io.recurrent import num_outputs, reorder_gates

Reading = tuple[str, Callable[[], System]]
"""Another model of the same arrays: the words for `load`, and what makes it."""

TOLERANCE = 1e-4
"""Largest difference that counts as agreement, relative to the largest output: float32 and some hundred steps."""


@dataclass(frozen=True, eq=False)
class Check:
    """Inputs `(T, ..., m)` (None: none) and what the network gave for them, `(T, ..., p)`, or `(..., p)` after the last step.

    Attributes:
        inputs: time first. outputs: as said. is_last: only those after the last step. starts: `(k, n)` of the file, k = 0 for none.
    """

    inputs: Array | None
    outputs: Array
    is_last: bool
    starts: Array

    def error(self, model: System) -> float:
        """The largest difference from what the model gives (its readout, the outputs of its last layer, or its state), in the
        units of the outputs; infinite where none of these has as many numbers."""
        return min((self._error(model, z0) for z0 in self._starts(model)), default=np.inf)

    @property
    def scale(self) -> float:
        """The largest output."""
        return float(np.max(np.abs(self.outputs), initial=0.0))

    def _starts(self, model: System) -> list[Array]:
        zeros = np.zeros(model.num_states)
        return [zeros, self.starts[0]] if self.starts.shape[1:] == zeros.shape and len(self.starts) else [zeros]

    def _error(self, model: System, z0: Array) -> float:
        if self.inputs is not None and self.inputs.shape[-1] != model.num_inputs:
            return np.inf
        steps = len(self.outputs) if self.inputs is None else len(self.inputs)
        z = np.broadcast_to(z0, (*self.outputs.shape[0 if self.is_last else 1 : -1], model.num_states))
        states = []
        with np.errstate(all="ignore"):
            for k in range(steps):
                z = model.step(z, None if self.inputs is None else self.inputs[k])
                states.append(z)
            given = states[-1:] if self.is_last else states
            wanted = self.outputs[None] if self.is_last else self.outputs
            found = [np.max(np.abs(x - wanted), initial=0.0) for x in _views(model, np.array(given), wanted.shape[-1])]
        return min((float(x) for x in found if np.isfinite(x)), default=np.inf)


def _views(model: System, states: Array, width: int) -> Iterator[Array]:
    """What of the model could be meant, with as many numbers as were given."""
    last = getattr(model, "layers", (model,))[-1]
    first, H = model.num_states - last.num_states, num_outputs(last)
    for x in (model.outputs(states), states[..., first : first + H], states):
        if x is not None and x.shape[-1] == width:
            yield x


def check_of(given: Any, model: System, starts: Array, known: str = "") -> list[Check]:
    """The user's `check` in each order of axes that it may have: the batch before the time, or after it.

    `known` is what was said in reading, for the message about other inputs than the model has.

    Raises:
        TypeError: not a pair. ValueError: shapes that go with no model, entries that are not finite, or a model in continuous time.
    """
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise TypeError("`check` must be a pair (inputs, outputs): what the network was given and what it gave.")
    if isinstance(model.time, Continuous):
        raise ValueError(
            f"`check` runs a map; a {type(model).__name__} is in continuous time. Discretize it and compare with `simulate`."
        )
    inputs = None if given[0] is None else as_numbers("check[0]", given[0])
    outputs = as_numbers("check[1]", given[1])
    for k, x in enumerate((inputs, outputs)):
        if x is not None and not np.all(np.isfinite(x)):
            raise ValueError(
                f"`check[{k}]` has entries that are nan or infinite; give finite inputs and the finite outputs for them."
            )
    if inputs is not None and inputs.ndim == 1:
        inputs = inputs[:, None]
        outputs = outputs[:, None] if outputs.ndim == 1 and len(outputs) == len(inputs) else outputs
    m = 0 if inputs is None else inputs.shape[-1]
    if inputs is not None and (m != model.num_inputs or inputs.ndim > 3):
        raise ValueError(
            f"`check` has inputs of shape {inputs.shape}; they must be (steps, {model.num_inputs}) or (batch, steps, {model.num_inputs})."
            f"{known and ' '}{known}"
        )
    found = list(_orders(inputs, outputs, starts))
    if not found:
        shape = "none" if inputs is None else inputs.shape
        raise ValueError(
            f"`check` has inputs of shape {shape} and outputs of shape {outputs.shape}; outputs must be (steps, p), (batch, steps, p), or "
            "without the axis of steps for those after the last one."
        )
    return found


def _orders(inputs: Array | None, outputs: Array, starts: Array) -> Iterator[Check]:
    if inputs is None:
        if outputs.ndim == 2:
            yield Check(None, outputs, False, starts)
        return
    if inputs.ndim == 2:
        if outputs.shape[:-1] in (inputs.shape[:-1], ()) and outputs.ndim:
            yield Check(inputs, outputs, outputs.ndim == 1, starts)
        return
    turned = np.swapaxes(inputs, 0, 1)
    for time_first, is_batch_first in ((turned, True), (inputs, False)):
        if outputs.shape[:-1] == inputs.shape[:-1]:
            yield Check(time_first, np.swapaxes(outputs, 0, 1) if is_batch_first else outputs, False, starts)
        elif outputs.ndim == 2 and len(outputs) == time_first.shape[1]:
            yield Check(time_first, outputs, True, starts)


def agrees(
    checks: Sequence[Check],
    model: System,
    name: str,
    others: Sequence[Reading],
    known: str = "",
) -> tuple[str, bool]:
    """A note on the agreement, and whether every other reading of the arrays that was tried is excluded by it.

    Args:
        checks: of `check_of`.
        model: as loaded. name: of the file.
        others: other readings, each with the words for `load`.
        known: what was said in reading, for the message.

    Raises:
        ModelFileError: the outputs differ; the message has the error, and what else fits.
    """
    scale, limit = checks[0].scale, TOLERANCE * checks[0].scale + 1e-12
    error, best = min(((c.error(model), k) for k, c in enumerate(checks)), key=lambda x: x[0])
    if error <= limit:
        return _agreement(checks[best], others, error, limit)
    tried = [*others, *_variants(model), *_variants_of(others)]
    found = [x for check in checks for x in _fitting(check, tried, limit)]
    if not np.isfinite(error):
        p = checks[0].outputs.shape[-1]
        what = f"has no outputs of {p} numbers, or diverges" if not found else "does not give these outputs"
    else:
        what = f"gives others: the largest difference is {error:.2g}, where the outputs are up to {scale:.2g}"
    fits = (
        "What agrees: " + "; ".join(f"{words} (to {e:.1e})" for words, e in found)
        if found
        else f"None of {len(tried)} other readings agrees ({'; '.join(words for words, _ in tried[:4])}{'; ...' if len(tried) > 4 else ''}); "
        "check that the outputs begin at the zero state, in evaluation, and that no other layer stands between"
    )
    said = f" {known}" if known and not found else ""
    raise ModelFileError(
        f"{name}: read as {model.family}, which is not the network of `check`: it {what}. {fits}.{said}"
    )


def _agreement(check: Check, others: Sequence[Reading], error: float, limit: float) -> tuple[str, bool]:
    found = _fitting(check, others, limit)
    note = f"It gives the outputs of `check` to {error:.1e} (outputs up to {check.scale:.2g})."
    if found:
        note += f" So does {' and '.join(words for words, _ in found)}: the check does not tell them apart; take larger inputs."
    return note, not found


def _fitting(check: Check, others: Sequence[Reading], limit: float) -> list[tuple[str, float]]:
    """Those of the readings that agree, with their errors."""
    found = []
    for words, make in others:
        try:
            error = check.error(make())
        except (ModelFileError, ValueError, TypeError):
            continue
        if error <= limit:
            found.append((words, error))
    return found


# Other readings of the same arrays.

_ACTIVATIONS = ("tanh", "relu", "logistic", "softplus", "linear")


def other_readings(model: Any) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Families and options by which the arrays of a model could be read too: (words, family, options), None for the user's own."""
    family, n = model.family, model.num_states
    kinds = {layer.family for layer in getattr(model, "layers", (model,))}
    found: list[tuple[str, str, dict[str, Any] | None]] = []
    if kinds <= {"tanh_rnn", "relu_rnn"}:
        found += [(f'family="{name}"', name, None) for name in ("tanh_rnn", "relu_rnn") if name not in kinds]
        found += [_leaky(1.0, name, "rate") for name in _ACTIVATIONS[2:]]
    if family == "leaky_rnn" and np.ndim(model.alpha) == 0 and isinstance(model.activation, str):
        forms = [(name, form) for name in _ACTIVATIONS for form in ("rate", "current")]
        found += [_leaky(float(model.alpha), *x) for x in forms if x != (model.activation, model.form)]
    if family in ("plrnn", "alrnn"):
        found += [(f"num_relu={k}", "alrnn", {"num_relu": k}) for k in range(min(n, 64))]
        found += [('family="plrnn"', "plrnn", {}), ('family="dendritic_plrnn"', "dendritic_plrnn", {})]
    if family == "shallow_plrnn":
        found.append(("clipped=True", "shallow_plrnn", {"clipped": True}))
    return found


def _leaky(alpha: float, activation: str, form: str) -> tuple[str, str, dict[str, Any]]:
    options = {"alpha": alpha, "activation": activation, "form": form}
    words = ", ".join(f"{key}={value!r}" for key, value in options.items())
    return f'family="leaky_rnn", {words}', "leaky_rnn", options


_GATE_ORDERS = {
    "gru": ((1, 0, 2), "the gates stacked u, r, n"),
    "lstm": ((0, 1, 3, 2), "the gates stacked i, f, o, g"),
}


def _variants(model: Any) -> list[Reading]:
    """The model with weights transposed, gates in another order, or another place of the reset gate."""
    found: list[Reading] = []
    for name in ("W_rec", "W_in", "W", "A"):
        array = getattr(model, name, None)
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] == 0 or len(array) % array.shape[1]:
            continue
        if not np.array_equal(_transposed(array), array):
            found.append((f"`{name}` transposed", lambda n=name, x=array: replace(model, **{n: _transposed(x)})))
    if model.family == "gru":
        found.append(
            (f"reset_after={not model.reset_after}", lambda: replace(model, reset_after=not model.reset_after))
        )
    if model.family in _GATE_ORDERS:
        order, words = _GATE_ORDERS[model.family]
        new = {k: reorder_gates(getattr(model, k), order) for k in ("W_rec", "W_in", "b_rec", "b_in")}
        found.append((words, lambda: replace(model, **new)))
    return found


def _variants_of(others: Sequence[Reading]) -> list[Reading]:
    """The same of other readings; those that cannot be made have none."""
    found = []
    for words, make in others:
        with suppress(ModelFileError, ValueError, TypeError):
            found += [(f"{words} with {change}", other) for change, other in _variants(make())]
    return found


def _transposed(array: Array) -> Array:
    """Each block of a matrix of stacked square blocks transposed."""
    n = array.shape[1]
    return np.concatenate([block.T for block in np.split(array, len(array) // n)])
