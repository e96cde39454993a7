"""From named arrays to a model: which family fits, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from functools import partial
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import Continuous, Discrete, TimeBase
from retime.io.arrays import FileArrays
from retime.io.folding import folded
from retime.io.keras_layers import read_layers
from retime.io.named import ALIASES, Named, Recognition, held, leaf, own_readout, size
from retime.io.onnx_graph import read_graph
from retime.io.published import LEAKY, published
from retime.io.recurrent import num_outputs
from retime.io.state_dict import (
    RECURRENT_FAMILIES,
    is_recurrent_name,
    learned_start,
    read_state_dict,
)
from retime.models import FAMILIES

_CONTINUOUS = ("continuous_plrnn", "rate_rnn", "hopfield")


def recognize(
    file: FileArrays, family: str | None, dt: float | None, options: dict[str, Any]
) -> tuple[System, Recognition]:
    """Build the model that the arrays describe.

    Raises:
        ModelFileError: no family fits, the given one lacks arrays, or the shapes disagree; the message says which.
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(f"`family` is {family!r}; it must be one of {', '.join(sorted(FAMILIES))}.")
    _check_needed(file)
    file, folds = folded(file)
    found = _named(file, folds)
    program = None if file.layers or file.graph is not None or family not in (None, *LEAKY) else published(found)
    chosen = program.family(file.path, options) if program is not None and family is None else family
    time = _time(found, chosen, dt)
    try:
        if program is not None and chosen is not None:
            model, recognition = _with_rest(found, *program.model(file.path, chosen, time, options))
        else:
            model, recognition = _read(found, family, time, options)
        return model, replace(recognition, notes=(*folds, *recognition.notes))
    except ValueError as error:
        raise ModelFileError(f"{file.path}: {error}") from error
    except (AttributeError, LookupError, OverflowError, TypeError) as error:
        if isinstance(error, TypeError) and (options or not (file.layers or file.graph)):
            chosen = "the family found" if family is None else f"family {family!r}"
            raise TypeError(f"{file.path}: {chosen} with options {options}: {error}") from error
        raise ModelFileError(
            f"{file.path}: the file does not describe a network ({type(error).__name__}: {error}). Save it again."
        ) from error


def start_of(file: FileArrays) -> Array | None:
    """The initial state `(n,)` in the layout of a program that writes rate networks, or learned beside one PyTorch layer; None for none."""
    if file.layers or file.graph is not None:
        return None
    file, folds = folded(file)
    program = published(_named(file, folds))
    if program is not None:
        return program.start
    name = learned_start(file)
    return None if name is None else np.asarray(file.arrays[name], dtype=np.float64).reshape(-1)


def _named(file: FileArrays, folds: Sequence[str]) -> Named:
    return Named(file, has_leak=any("`h2h`" in note for note in folds))


def _read(found: Named, family: str | None, time: TimeBase, options: dict[str, Any]) -> tuple[System, Recognition]:
    if found.file.graph is not None:
        return read_graph(found.file, found.file.graph, family, time, options)
    if found.file.layers:
        return read_layers(found.file, family, time, options)
    name = family or _fitting(found)
    if name in RECURRENT_FAMILIES:
        model, recognition = read_state_dict(found, family, time, options)
    else:
        parameters, recognition = _BUILDERS[name](found, family is not None)
        model = FAMILIES[name](**parameters, time=time, **options)
    return _with_rest(found, model, recognition)


def _with_rest(found: Named, model: System, recognition: Recognition) -> tuple[System, Recognition]:
    """The recognition with what was not asked for."""
    doubt = found.doubt(_lengths(model), recognition.notes)
    return model, replace(recognition, unread=found.unread(), doubt=doubt)


def _lengths(model: System) -> set[int]:
    """Lengths that an array of the dynamics could have: states, hidden units, outputs of a layer and its gates; not 1."""
    found: set[int] = set()
    layers: Any = getattr(model, "layers", (model,))
    for layer in layers:
        found |= {layer.num_states, getattr(layer, "num_units", 0)}
        if layer.family in ("gru", "lstm"):
            found |= {num_outputs(layer), len(layer.W_rec)}
    return found - {0, 1}


def _check_needed(file: FileArrays) -> None:
    """An entry that could not be read, under a name that models use, is not left out: the rest would be another network."""
    known = {alias for name, aliases in ALIASES.items() if name != "dt" for alias in aliases}
    for name, message in file.refused.items():
        if leaf(name) in known or is_recurrent_name(leaf(name)):
            raise ModelFileError(message)


def _time(found: Named, family: str | None, dt: float | None) -> TimeBase:
    if family in _CONTINUOUS:
        if dt is not None:
            raise ValueError(f"`dt` was given, but a {family} is in continuous time; drop `dt`.")
        return Continuous()
    if dt is None and "dt" in found and found["dt"].size:
        dt = _stored_step(found)
    return Discrete(1.0 if dt is None else dt)


def _stored_step(found: Named) -> float:
    array, name = found["dt"], found.used["dt"]
    step = float(array.reshape(-1)[0])
    if array.size > 1 or not 0.0 < step < np.inf:
        what = f"has shape {array.shape}" if array.size > 1 else f"is {step:g}"
        raise ModelFileError(
            f"{found.file.path}: `{name}` {what}; the step must be one finite number > 0. Pass the right one as dt=."
        )
    return step


def _fitting(found: Named) -> str:
    """The family whose parameters the file holds; "stacked_rnn" stands for recurrent weights, whose shapes decide later."""
    for name, parameters in _SIGNATURES:
        if all(p in found for p in parameters):
            return name
    if "W_rec" in found and "W_in" in found:
        return "stacked_rnn"
    raise ModelFileError(
        f"{found.file.path}: no family fits. Known are A, W, h (plrnn); A, W1, W2, h1, h2 (shallow_plrnn); A, W, h, slopes, "
        f"thresholds (dendritic_plrnn); weight_hh_l0, weight_ih_l0 (tanh_rnn, gru, lstm) or W_rec, W_in (relu_rnn). The file holds "
        f"{held(found.file)}. If they are one of these under other names, say which is which: family=..., "
        'names={"W_rec": "...", "W_in": "...", "b": "..."}; a network of another form needs its own class, or `rt.Map`.'
    )


_SIGNATURES = (
    ("shallow_plrnn", ("A", "W1", "W2", "h1", "h2")),
    ("dendritic_plrnn", ("A", "W", "h", "slopes", "thresholds")),
    ("dendritic_plrnn", ("A", "W", "h", "slopes", "thetas")),
    ("plrnn", ("A", "W", "h")),
)


def _shared(found: Named) -> tuple[dict[str, Any], list[str]]:
    """Inputs and readout, which all PLRNN forms share."""
    notes: list[str] = []
    parameters: dict[str, Any] = {}
    if "C" in found and np.any(found["C"]):
        parameters["C"] = found["C"]
    elif "C" in found:
        notes.append("`C` is all zero: read as no inputs.")
    linear = _linear_readout(found)
    if linear is not None:
        parameters["readout"], name = linear
        notes.append(f"`{name}` is the readout.")
    elif "B" in found and found.peek("B").ndim == 2 and found.peek("B").shape[1] == _num_states(found):
        b = found["readout_b"] if "readout_b" in found else _bias(found, len(found["B"]))
        parameters["readout"] = (found["B"], b)
        notes.append(f"`{found.used['B']}` is the readout.")
    return parameters, notes


def _linear_readout(found: Named) -> tuple[tuple[Array, Array | None], str] | None:
    """The layer `output_layer` (p, n) and its bias, and its name; None where there is none, or a `B`."""
    name = next((x for x in found.file.arrays if x == _OUTPUT or x.endswith(f".{_OUTPUT}")), None)
    if name is None or "B" in found or found.file.arrays[name].shape[1:] != (_num_states(found),):
        return None
    bias = name.removesuffix("weight") + "bias"
    found.read.update(x for x in (name, bias) if x in found.file.arrays)
    return (found.file.arrays[name], found.file.arrays.get(bias)), name


_OUTPUT = "output_layer.weight"


def _num_states(found: Named) -> int:
    """n by the offsets, since a diagonal A may lie in a row or in a column."""
    return found.peek("h" if "h" in found else "h1").size


def _bias(found: Named, outputs: int) -> Array | None:
    return found["b"] if "b" in found and found.peek("b").size == outputs else None


def _plrnn(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("plrnn", "A", "W", "h")
    shared, notes = _shared(found)
    others = ('family="alrnn" (needs num_relu=...)', 'family="continuous_plrnn"')
    reason = found.names("A", "W", "h")
    if not given and found.file.format.startswith("mat"):
        others = (*others, _THRESHOLD_FORM)
        markers = [x for x in _COVARIANCES if x in found.file.arrays]
        if len(markers) > 1:
            notes.append(
                f"The file cannot tell whether `h` is added or is a threshold; with {' and '.join(f'`{x}`' for x in markers)} beside it, as "
                "covariances of the noise, the older form is likely."
            )
    return _parameters(found) | shared, Recognition("plrnn", reason, () if given else others, tuple(notes))


_THRESHOLD_FORM = 'family="dendritic_plrnn" (`h` a threshold, the form of 2017: z\' = A z + W max(z - h, 0))'

_COVARIANCES = ("S", "G", "Sigma", "Gamma", "Q")


def _parameters(found: Named) -> dict[str, Any]:
    """A, W and h; a column or a row for A is its diagonal."""
    A = found["A"]
    is_line = A.ndim == 2 and min(A.shape) == 1 < max(A.shape)
    return {"A": A.reshape(-1) if is_line else A, "W": found["W"], "h": found["h"]}


def _alrnn(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("alrnn", "A", "W", "h")
    shared, notes = _shared(found)
    if "readout" in shared:
        p, n = found["B"].shape
        shared["readout"] = (np.eye(p, n), np.zeros(p))
        notes[-1] = f"Outputs are the first {p} states; `B` only sets initial states in such files (z_1 = x_1 B)."
    reason = found.names("A", "W", "h")
    return _parameters(found) | shared, Recognition("alrnn", reason, (), tuple(notes))


def _continuous(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    parameters, recognition = _plrnn(found, True)
    return parameters, Recognition("continuous_plrnn", recognition.reason, (), recognition.notes)


def _shallow(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    names = ("A", "W1", "W2", "h1", "h2")
    found.require("shallow_plrnn", *names)
    shared, notes = _shared(found)
    others = () if given else ("its clipped form (clipped=True)",)
    return {k: found[k] for k in names} | shared, Recognition(
        "shallow_plrnn", found.names(*names), others, tuple(notes)
    )


def _dendritic(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("dendritic_plrnn", "A", "W", "h")
    parameters = _parameters(found)
    n = np.size(parameters["h"])
    if "slopes" not in found and "thresholds" not in found and "thetas" not in found:
        return _threshold_form(found, parameters, n)
    shared, notes = _shared(found)
    names = ("A", "W", "h", "slopes", "thetas" if "thetas" in found and "thresholds" not in found else "thresholds")
    found.require("dendritic_plrnn", *names)
    if names[-1] == "thetas":
        notes.append("The bases are max(z + theta, 0), one column of `thetas` each: the thresholds are -theta.")
        thresholds = _columns(found, n)
    else:
        thresholds = found["thresholds"]
    parameters |= {"slopes": found["slopes"], "thresholds": thresholds}
    return parameters | shared, Recognition("dendritic_plrnn", found.names(*names), (), tuple(notes))


def _columns(found: Named, n: int) -> Array:
    """-thetas `(B, n)` from `(n, B)`, as the programs that write them store it."""
    thetas = found["thetas"]
    if thetas.ndim != 2 or len(thetas) != n:
        raise ModelFileError(
            f"{found.file.path}: `{found.used['thetas']}` is {size(thetas)}; it must be {n} x bases, one column per basis."
        )
    return -thetas.T


def _threshold_form(found: Named, parameters: dict[str, Any], n: int) -> tuple[dict[str, Any], Recognition]:
    """z' = A z + W max(z - h, 0) + C s, x = B max(z - h, 0): one basis with slope 1 and the thresholds h. Source: durstewitz2017."""
    shared, notes = _shared(found)
    h = np.asarray(parameters["h"], dtype=float).reshape(1, -1)
    if "readout" in shared:
        shared["readout"] = Readout(*shared["readout"], rate="relu", threshold=h[0])
    parameters |= {"h": np.zeros(n), "slopes": [1.0], "thresholds": h}
    markers = [f"`{x}`" for x in _COVARIANCES if x in found.file.arrays]
    if len(markers) > 1:
        notes.append(f"{' and '.join(markers)} are taken for covariances of the noise.")
    notes.insert(0, "`h` is read as the thresholds (the form of 2017): z' = A z + W max(z - h, 0).")
    return parameters | shared, Recognition("dendritic_plrnn", found.names("A", "W", "h"), (), tuple(notes))


def _linear(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("linear", "A", "b", "E")
    parameters: dict[str, Any] = {k: found[k] for k in ("A", "b", "E")}
    readout = own_readout(found)
    if readout is not None:
        parameters["readout"] = readout
    return parameters, Recognition("linear", found.names("A", "b", "E"), (), ())


_BY_FIELD_NAMES = ("piecewise_affine", "hopfield", "antisymmetric_rnn", "cornn", "unitary_rnn", "min_gru", "delta_rule")


def _by_field_names(family: str, found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    """Parameters under the names of the constructor."""
    own = [f for f in fields(FAMILIES[family]) if f.name not in ("time", "readout")]
    parameters = {f.name: array for f in own if (array := found.field(f.name)) is not None}
    missing = [f.name for f in own if f.default is MISSING and f.name not in parameters]
    if missing:
        wanted = ", ".join(f"`{name}`" for name in missing)
        raise ModelFileError(f"{found.file.path}: family {family} needs {wanted}; the file holds {held(found.file)}.")
    reason = ", ".join(f"`{name}` {size(array)}" for name, array in parameters.items())
    return parameters | {"readout": own_readout(found)}, Recognition(family, reason, (), ())


def _diagonal(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    """Multipliers and input weights, or the parameters of LRU, which are read in 64 bits.

    lambda = exp(-exp(nu_log) + i exp(theta_log)),   B = exp(gamma_log) (B_re + i B_im),   outputs Re((C_re + i C_im) x)
    """
    own = ("nu_log", "theta_log", "B_re", "B_im", "gamma_log", "C_re", "C_im")
    nu, theta, B_re, B_im, gamma, C_re, C_im = (
        None if (x := found.field(k)) is None else x.astype(np.float64) for k in own
    )
    if nu is None or theta is None or B_re is None or B_im is None:
        w, B = found.field("eigenvalues"), found.field("B")
        if w is None or B is None:
            wanted = "`eigenvalues` and `B`, or `nu_log`, `theta_log`, `B_re` and `B_im` (LRU)"
            raise ModelFileError(
                f"{found.file.path}: family diagonal_linear needs {wanted}; the file holds {held(found.file)}."
            )
        return {"eigenvalues": w, "B": B}, Recognition(
            "diagonal_linear", f"`eigenvalues` {size(w)}, `B` {size(B)}", (), ()
        )
    w, B = np.exp(-np.exp(nu) + 1j * np.exp(theta)), B_re + 1j * B_im
    B = B if gamma is None else np.exp(gamma)[:, None] * B
    readout = None if C_re is None or C_im is None else C_re + 1j * C_im
    notes = ("The outputs are Re(C x); the skip connection `D` is not part of the model.",) if found.holds("D") else ()
    return {"eigenvalues": w, "B": B, "readout": readout}, Recognition(
        "diagonal_linear", "the parameters of LRU", (), notes
    )


_BUILDERS: Mapping[str, Callable[[Named, bool], tuple[dict[str, Any], Recognition]]] = {
    "plrnn": _plrnn,
    "alrnn": _alrnn,
    "continuous_plrnn": _continuous,
    "shallow_plrnn": _shallow,
    "dendritic_plrnn": _dendritic,
    "linear": _linear,
    "diagonal_linear": _diagonal,
    **{name: partial(_by_field_names, name) for name in _BY_FIELD_NAMES},
}
