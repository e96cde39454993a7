"""Weights in the layouts of programs that train rate networks: what they mean is known, but for the leak, which files of weights do not hold.

Low rank and full rank (Mastrogiuseppe and Ostojic 2018; Dubreuil et al. 2022), continuous-time RNN modules with the layers `input2h` and
`h2h` (neurogym's and others' tutorials), PsychRNN (Ehrlich et al. 2021), and MATLAB's J.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.core.low_rank import LowRank
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import TimeBase
from retime.io.modules import notes_on_functions
from retime.io.named import Named, Recognition, size
from retime.models import FAMILIES

LEAKY = ("leaky_rnn", "rate_rnn")


@dataclass(frozen=True, eq=False)
class Published:
    """The weights of a leaky network, and the conventions of the program that wrote them.

    Attributes:
        what: the program's arrays, for messages. leak: where its leak is found.
        weights: `W_rec`, `W_in`, `b` of the constructor.
        form, activation: the program's; the user's options come first.
        B, b: the readout, of the rates f(z - threshold) where the state is a current; None for none.
        start: an initial state `(n,)`; None for none.
        stored: the leak `alpha` and the time constant `tau`, where the file or the module has them.
        is_map: the program runs a map, so that a time constant alone does not say its step.
        notes: what else the reader should know.
    """

    what: str
    leak: str
    weights: Mapping[str, Any]
    form: str
    activation: str
    B: Array | None = None
    b: Array | None = None
    threshold: Array | None = None
    start: Array | None = None
    stored: Mapping[str, Any] = field(default_factory=dict)
    is_map: bool = False
    notes: tuple[str, ...] = ()

    def family(self, path: Any, options: Mapping[str, Any]) -> str:
        """The family that the leak belongs to.

        Raises:
            ModelFileError: neither the file nor the options have a leak.
        """
        if "alpha" in options or ("alpha" in self.stored and "tau" not in options):
            return "leaky_rnn"
        if "tau" in options or ("tau" in self.stored and not self.is_map):
            return "rate_rnn"
        raise ModelFileError(self._without_leak(path, "the leak"))

    def _without_leak(self, path: Any, wanted: str) -> str:
        held = " and ".join(f"{k} = {v:.6g}" for k, v in self.stored.items() if np.ndim(v) == 0)
        return (
            f"{path} {self.what}, as leaky networks do, and does not hold {wanted} ({held and f'it holds {held}; '}{self.leak}). Pass it: "
            f'family="leaky_rnn", alpha=dt/tau for the map (z\' = (1 - alpha) z + ...), or family="rate_rnn", tau=... for the differential '
            f"equation; with activation= where it is not {self.activation}, which the file does not say either."
        )

    def model(self, path: Any, family: str, time: TimeBase, options: Mapping[str, Any]) -> tuple[System, Recognition]:
        """The network. options: the family's own; alpha or tau among them, unless the file has it.

        Raises:
            ModelFileError: neither has it.
        """
        name = {"leaky_rnn": "alpha", "rate_rnn": "tau"}[family]
        given = {k: v for k, v in self.stored.items() if k == name} | dict(options)
        if name not in given:
            raise ModelFileError(self._without_leak(path, f"`{name}`"))
        given = {"activation": self.activation, "form": self.form} | given
        notes = [*self._note_on_leak(name, given[name]), *self.notes]
        if "activation" not in options:
            notes.insert(
                0,
                f"The file does not name its nonlinearity: {self.activation} is its program's default; known outputs decide, "
                "check=(inputs, outputs).",
            )
        readout, doubt = self._readout(given)
        cls: Any = FAMILIES[family]
        model = cls(**self.weights, **given, readout=readout, time=time)
        return model, Recognition(family, self.what.removeprefix("holds "), (), (*notes, *doubt))

    def _note_on_leak(self, name: str, given: Any) -> list[str]:
        """That the file's leak is used, or that another one was given."""
        own = self.stored.get(name)
        if own is None or np.ndim(own) or np.ndim(given):
            return []
        is_own = float(own) == float(given)
        return [f"`{name}` is {own:.6g}." if is_own else f"`{name}` is {given:.6g} as given; the file has {own:.6g}."]

    def _readout(self, given: Mapping[str, Any]) -> tuple[Readout | None, tuple[str, ...]]:
        if self.B is None:
            return None, ()
        f = given["activation"]
        if given["form"] == "rate":
            return Readout(self.B, self.b), ()
        if not isinstance(f, str):
            return None, ("No readout: it reads the rates f(z), and f is a function without a name.",)
        return Readout(self.B, self.b, rate=f, threshold=self.threshold), ()


def published(found: Named) -> Published | None:
    """The layout of a known program; None where the arrays are not in one.

    Raises:
        ModelFileError: they are, and do not fit together.
    """
    for signature, read in _PROGRAMS:
        if signature(found):
            return read(found)
    return None


def _has(*names: str) -> Any:
    return lambda found: all(found.holds(x) for x in names)


# Low and full rank.


def _low_rank(found: Named) -> Published:
    """h' = h + alpha (-h + m n^T f(h + b) / N + (si wi)^T s), x = wo^T f(h) so / N. With z = h + b it is the form "current"."""
    m, n = (_matrix(found, x) for x in ("m", "n"))
    if m.shape != n.shape:
        raise ModelFileError(f"{found.file.path}: `m` is {size(m)} and `n` {size(n)}; both must be units x rank.")
    N = len(m)
    return _trained_by_rank(found, LowRank(m / N, n), N, 1.0 / N, "low rank")


def _full_rank(found: Named) -> Published:
    """h' = h + alpha (-h + wrec f(h + b) + (si wi)^T s), x = wo^T f(h) so."""
    W = _matrix(found, "wrec")
    return _trained_by_rank(found, W, len(W), 1.0, "full rank")


def _trained_by_rank(found: Named, W_rec: Any, N: int, scale: float, rank: str) -> Published:
    wi, wo = _matrix(found, "wi"), _matrix(found, "wo")
    if wi.shape[1] != N or len(wo) != N:
        raise ModelFileError(
            f"{found.file.path}: `wi` is {size(wi)} and `wo` {size(wo)}; they must be inputs x {N} and {N} x outputs."
        )
    b = _vector(found, "b", N, 0.0)
    si, so = _vector(found, "si", len(wi), 1.0), _vector(found, "so", wo.shape[1], 1.0)
    start = _vector(found, "h0", N, 0.0) + b
    names = "`m`, `n`, `wi`, `wo`" if rank == "low rank" else "`wi`, `wrec`, `wo`"
    notes = ("Outputs read the rates f(h) without `b`; the state is h + b.",) if b.any() else ()
    notes += ("`m n^T` and the outputs are divided by the number of units.",) if rank == "low rank" else ()
    return Published(
        f"holds {names} of a network of {rank}",
        "0.2 by its program's default",
        {"W_rec": W_rec, "W_in": (si[:, None] * wi).T, "b": b},
        "current",
        "tanh",
        scale * (wo * so).T,
        None,
        b if b.any() else None,
        start if found.holds("h0") else None,
        stored=_stored(found),
        is_map=True,
        notes=notes,
    )


# Layers of a continuous-time RNN module.


def _continuous_time_rnn(found: Named) -> Published:
    """h' = (1 - alpha) h + alpha f(W_in s + b_in + W_rec h + b_rec), x = fc(h)."""
    W, W_in = found["W_rec"], found["W_in"]
    n = len(W)
    b = sum((np.reshape(found[x], -1) for x in ("b_rec", "b_in") if x in found), np.zeros(n))
    B, c, notes = _outer_linear(found, n)
    start = next((x for x in ("initial_hidden", "h0") if found.holds(x)), None)
    notes += tuple(notes_on_functions(found.file))
    return Published(
        "has the layers `h2h` and `input2h`",
        "alpha = dt / tau of the module, with tau = 100 in the tutorials, or 1 where it was made without dt",
        {"W_rec": W, "W_in": W_in, "b": b},
        "rate",
        "relu",
        B,
        c,
        None,
        None if start is None else _vector(found, start, n, 0.0),
        stored=_stored(found),
        is_map=True,
        notes=notes,
    )


def _outer_linear(found: Named, n: int) -> tuple[Array | None, Array | None, tuple[str, ...]]:
    """The linear layer on the units: the outermost of those that have n columns."""
    own = {found.used["W_rec"], found.used["W_in"]}
    linear = [x for x, a in found.file.arrays.items() if x.endswith("weight") and a.ndim == 2 and x not in own]
    fitting = sorted((x for x in linear if found.file.arrays[x].shape[1] == n), key=lambda x: x.count("."))
    narrow = [x for x in linear if found.file.arrays[x].shape[1] < n and "fc" in x]
    if not fitting and narrow:
        raise ModelFileError(
            f"{found.file.path}: `{narrow[0]}` {size(found.file.arrays[narrow[0]])} reads some of the {n} units only, as in networks of "
            "excitatory and inhibitory units, whose recurrent weights are |W| with signs that the file does not hold. Save the effective "
            "weights as W_rec, W_in, b with numpy.savez."
        )
    if not fitting:
        return None, None, ()
    name, bias = fitting[0], fitting[0].removesuffix("weight") + "bias"
    found.read.update(x for x in (name, bias) if x in found.file.arrays)
    return found.file.arrays[name], found.file.arrays.get(bias), (f"`{name}` is the readout.",)


# PsychRNN.


def _psychrnn(found: Named) -> Published:
    """z' = (1 - alpha) z + alpha (W_rec f(z) + W_in s + b_rec), x = W_out f(z) + b_out, with the effective weights.

    These are W c, c the connectivity, and with Dale's law |W c| D, D the signs; files of current versions hold them already, which
    the formulas leave as they are.
    """
    dale = found.field("dale_ratio")
    has_dale = dale is not None and bool(np.any(dale)) and found.holds("Dale_rec")
    arrays, changed = {}, []
    for name, mask, signs in (
        ("W_rec", "rec_connectivity", "Dale_rec"),
        ("W_in", "input_connectivity", None),
        ("B", "output_connectivity", "Dale_out"),
    ):
        if name not in found:
            continue
        stored = W = np.asarray(found[name], dtype=np.float64)
        W = W if (c := found.field(mask)) is None or c.shape != W.shape else W * c
        D = None if signs is None else found.field(signs)
        if has_dale:
            W = np.abs(W) if D is None or D.shape[0] != W.shape[1] else np.abs(W) @ D
        changed += [found.used[name]] if not np.array_equal(W, stored) else []
        arrays[name] = W
    n = len(arrays["W_rec"])
    start = found.field("init_state")
    note = f"{', '.join(f'`{x}`' for x in changed)}: the effective weights, after the connectivity and Dale's law."
    return Published(
        "holds the arrays of PsychRNN",
        "alpha = dt / tau of its parameters",
        {"W_rec": arrays["W_rec"], "W_in": arrays.get("W_in"), "b": _vector(found, "b_rec", n, 0.0)},
        "current",
        "relu",
        arrays.get("B"),
        found.get("readout_b"),
        start=None if start is None or start.size != n else np.asarray(start, dtype=float).reshape(-1),
        stored=_stored(found),
        notes=(note,) if changed else (),
    )


# MATLAB.


def _rate_network(found: Named) -> Published:
    """tau dx/dt = -x + J f(x) + W_in s + b, outputs of the rates f(x)."""
    J = _matrix(found, "J")
    n = len(J)
    B = _oriented(found, ("wo", "w_out", "W_out", "wOut", "Wout"), n, 1)
    W_in = _oriented(found, ("wi", "w_in", "W_in", "wIn", "Win"), n, 0)
    notes = ("`g` is not applied: J is taken as it is stored.",) if found.field("g") is not None else ()
    return Published(
        "holds the recurrent weights `J` of a rate network",
        "tau",
        {"W_rec": J, "W_in": W_in, "b": _vector(found, "b", n, 0.0)},
        "current",
        "tanh",
        B,
        stored=_stored(found),
        notes=notes,
    )


def _oriented(found: Named, names: tuple[str, ...], n: int, axis: int) -> Array | None:
    """A matrix whose axis `axis` has one entry per unit; MATLAB's vectors lie either way."""
    name = next((x for x in names if found.holds(x)), None)
    if name is None:
        return None
    array = np.atleast_2d(np.asarray(found.field(name), dtype=float))
    fits = [x for x in (array, array.T) if x.shape[axis] == n]
    if not fits:
        raise ModelFileError(f"{found.file.path}: `{name}` is {size(array)}; one of its axes must be the {n} units.")
    return fits[0]


def _stored(found: Named) -> dict[str, Any]:
    """A leak or time constant in the file itself."""
    return {x: np.squeeze(a) for x in ("alpha", "tau") if (a := found.field(x)) is not None and a.size}


def _matrix(found: Named, name: str) -> Array:
    array = np.asarray(found.field(name), dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    is_square = array.ndim == 2 and (name not in ("J", "wrec") or array.shape[0] == array.shape[1])
    if not is_square or not array.size:
        wanted = "square, units x units" if name in ("J", "wrec") else "a matrix"
        raise ModelFileError(f"{found.file.path}: `{name}` is {size(array)}; it must be {wanted}.")
    return array


def _vector(found: Named, name: str, length: int, default: float) -> Array:
    array = found.field(name)
    if array is None:
        return np.full(length, default)
    if array.size != length:
        raise ModelFileError(f"{found.file.path}: `{name}` is {size(array)}; it must hold {length} numbers.")
    return np.asarray(array, dtype=np.float64).reshape(-1)


def _is_psychrnn(found: Named) -> bool:
    marks = ("Dale_rec", "rec_connectivity", "dale_ratio")
    return "W_rec" in found and "W_in" in found and any(found.holds(x) for x in marks)


def _is_continuous_time_rnn(found: Named) -> bool:
    return found.has_leak and "W_rec" in found and "W_in" in found and len(set(found.peek("W_rec").shape)) == 1


_PROGRAMS = (
    (_has("m", "n", "wi", "wo"), _low_rank),
    (_has("wi", "wrec", "wo"), _full_rank),
    (_is_continuous_time_rnn, _continuous_time_rnn),
    (_is_psychrnn, _psychrnn),
    (_has("J"), _rate_network),
)
