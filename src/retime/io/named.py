"""Named arrays of a file under the names that models use, and what is said about the choice of a family."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.io.arrays import NOT_MADE, NOT_READ, FileArrays

ALIASES: Mapping[str, tuple[str, ...]] = {
    "A": ("A", "a_diag", "AD"),
    "W": ("W", "W0"),
    "h": ("h", "h0", "bias_h"),
    "C": ("C", "input_weights"),
    "W1": ("W1", "W_1", "W₁"),
    "W2": ("W2", "W_2", "W₂"),
    "h1": ("h1", "h_1", "h₁"),
    "h2": ("h2", "h_2", "h₂"),
    "slopes": ("slopes", "alphas", "alpha"),
    "thresholds": ("thresholds", "H"),
    "thetas": ("thetas", "theta"),
    "W_rec": ("W_rec", "weight_hh_l0", "weight_hh"),
    "W_in": ("W_in", "weight_ih_l0", "weight_ih"),
    "b_rec": ("b_rec", "bias_hh_l0", "bias_hh"),
    "b_in": ("b_in", "bias_ih_l0", "bias_ih"),
    "b": ("b",),
    "E": ("E",),
    "B": ("B", "readout_B", "W_out"),
    "readout_b": ("readout_b", "b_out"),
    "dt": ("dt", "delta_t", "Δt"),
}
"""Names under which published files store a parameter; a prefix that ends with "." is ignored (`model.A` is `A`)."""

INITIAL_STATES = ("z0", "mu0", "x0", "initial_states", "init_state", "initial_state", "initial_hidden")


def is_parameter(name: str) -> bool:
    """Whether models look for a parameter, a step or an initial state under this name."""
    return name in _PARAMETERS or re.fullmatch(r"(weight|bias)_(ih|hh)(_l\d+)?", name) is not None


_PARAMETERS = {
    *INITIAL_STATES,
    *(alias for aliases in ALIASES.values() for alias in aliases),
    "tau",
    "leak",
    "leak_rate",
    "taus",
}


@dataclass(frozen=True)
class Recognition:
    """Why a file was read as it was.

    Attributes:
        family: the family's name for `family=`.
        reason: the arrays that decided.
        others: other families the same arrays would fit, with what they need; empty when there are none.
        notes: what else the reader should know.
        unread: what is not part of the model: arrays with their shapes, other entries with the reason; empty when there is nothing.
        doubt: arrays that are not part of the model as read but could be part of the network, and what that means; empty for none.
    """

    family: str
    reason: str
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unread: str = ""
    doubt: str = ""

    def sentence(self, name: str) -> str:
        """One line for a person."""
        text = f"{name}: read as {self.family} ({self.reason})."
        if self.others:
            text += f" The same arrays also fit {' and '.join(self.others)}."
        return " ".join([text, *self.notes, *([f"Not read: {self.unread}."] if self.unread else [])])


class Named:
    """Arrays under canonical names, and which of the file's were used.

    An array that is asked for must come from one place: where two prefixes provide different ones (`net.A`, `ema.A`), asking
    is a `ModelFileError`.
    """

    def __init__(self, file: FileArrays, *, has_leak: bool = False) -> None:
        self.file, self.has_leak = file, has_leak  # has_leak: by the names of its layers
        self.used: dict[str, str] = {}
        self.read: set[str] = set()
        self._places: dict[str, dict[str, str]] = {}
        for name in file.arrays:
            prefix, _, short = name.rpartition(".")
            self._places.setdefault(short, {})[prefix] = name
        for name, aliases in ALIASES.items():
            key = next(iter(self._candidates(aliases).values()), None)
            if key is not None:
                self.used[name] = key

    def __contains__(self, name: str) -> bool:
        return name in self.used

    def __getitem__(self, name: str) -> Array:
        return self._take(name, ALIASES[name])

    def get(self, name: str) -> Array | None:
        """The array of a canonical name, None where the file has none."""
        return self._take(name, ALIASES[name]) if name in self.used else None

    def peek(self, name: str) -> Array:
        """The array of a canonical name, to look at its shape: it does not count as read."""
        return self.file.arrays[self.used[name]]

    def holds(self, name: str) -> bool:
        """Whether the file has an array of exactly this name, under any prefix."""
        return name in self._places

    def field(self, name: str) -> Array | None:
        """The array of exactly this name, under any prefix; None where the file has none."""
        return self._take(name, (name,)) if name in self._places else None

    def _candidates(self, aliases: tuple[str, ...]) -> dict[str, str]:
        """Prefix -> full name of the first alias that each prefix has."""
        found: dict[str, str] = {}
        for alias in aliases:
            for prefix, name in self._places.get(alias, {}).items():
                found.setdefault(prefix, name)
        return found

    def _take(self, name: str, aliases: tuple[str, ...]) -> Array:
        found = self._candidates(aliases)
        first, *rest = (self.file.arrays[x] for x in found.values())
        if not all(np.array_equal(first, other) for other in rest):
            shown = ", ".join(f"`{x}`" for x in found.values())
            prefixes = ", ".join(repr(x) for x in found)
            raise ModelFileError(
                f"{self.file.path}: {len(found)} different arrays for `{name}` ({shown}), of several networks or copies of one "
                f"(prefixes {prefixes}). Choose one of them by `prefix=`, or save it alone."
            )
        self.read.update(found.values())
        return first

    def unread(self) -> str:
        """What was not asked for, with shapes or reasons; not initial states, the step, and what training left. Empty for nothing."""
        arrays = [f"`{x}` {size(self.file.arrays[x])}" for x in self._left() if not is_training(x)]
        notes = {x: text.strip("()") for x, text in self.file.metadata.items() if not is_training(x)}
        entries = {x: text.removeprefix(NOT_READ) for x, text in notes.items() if text.startswith(NOT_READ)}
        objects = [x for x, found in entries.items() if found.endswith(NOT_MADE)]
        shown = [*arrays, *(f"`{x}` ({found})" for x, found in entries.items() if x not in objects or len(objects) < 4)]
        text = ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")
        some = f"{len(objects)} objects that are no arrays ({', '.join(f'`{x}`' for x in objects[:3])}, ...)"
        return ", ".join(filter(None, (text, some if len(objects) > 3 else "")))

    def _left(self) -> list[str]:
        known = {*INITIAL_STATES, *ALIASES["dt"]}
        return [x for x in self.file.arrays if x not in self.read and x.rpartition(".")[2] not in known]

    def doubt(self, sizes: set[int], notes: Sequence[str]) -> str:
        """Arrays that were not asked for although they are as long as the state, or have the name of a rate; empty for none."""
        left = [x for x in self._left() if not is_training(x) and not any(f"`{x}`" in note for note in notes)]
        found = [x for x in left if _RATE.fullmatch(x.rpartition(".")[2]) or sizes & set(self.file.arrays[x].shape)]
        if not found:
            return ""
        shown = ", ".join(f"`{x}` {size(self.file.arrays[x])}" for x in found[:6])
        more = f" and {len(found) - 6} more" if len(found) > 6 else ""
        return (
            f"Warning: {shown}{more} may belong to the dynamics and are not part of this model. If the network uses them, this is another "
            "network: pass the family that has them with `family=` and its options."
        )

    def names(self, *names: str) -> str:
        """Those of the canonical names that are present, as the file calls them, with their shapes."""
        return ", ".join(f"`{self.used[n]}` {size(self[n])}" for n in names if n in self)

    def require(self, family: str, *names: str) -> None:
        """Check that arrays are present.

        Raises:
            ModelFileError: some are missing; the message says under which names they are looked for.
        """
        missing = [n for n in names if n not in self]
        if missing:
            wanted = ", ".join(
                f"`{n}` (also accepted: {', '.join(ALIASES[n][1:]) or 'no other name'})" for n in missing
            )
            raise ModelFileError(f"{self.file.path}: family {family} needs {wanted}; the file holds {held(self.file)}.")


_RATE = re.compile(
    r"alphas?|taus?|leak\w*|decay\w*|gamma|time_constants?|slopes|thresholds?|thetas?|dale\w*", re.IGNORECASE
)


def is_rate(name: str) -> bool:
    """Whether a network has a leak, a time constant, a threshold or the like under this name."""
    return _RATE.fullmatch(name) is not None


def is_training(name: str) -> bool:
    """Whether an entry belongs to training and not to the network: the optimizer's state, random states, counters, records."""
    return _TRAINING.search(name) is not None


_TRAINING = re.compile(
    r"(^|[._/])(optim\w*|exp_avg\w*|momentum_buffer|grads?|\w*loss(es)?|epochs?|history|\w*sched\w*|(grad_)?scaler|metrics?|callbacks?"
    r"|iterations?|\w*rng\w*|random_state|seeds?|lr|acc(uracy)?|(global_)?steps?|loops|param_groups|logs?"
    r"|batch_(idx|size)|num_batches_tracked|train(ing)?_\w+|val(id)?_\w+|best_(loss|acc|score|epoch|val)\w*)([._/]|$)",
    re.IGNORECASE,
)


def dotted(name: str) -> str:
    """The name with dots between its parts, whatever the format has there."""
    return name.replace("/", ".")


def leaf(name: str) -> str:
    """The last part of a name."""
    return dotted(name).rpartition(".")[2]


def size(array: Array) -> str:
    """The shape as text: 3x2, 3, scalar."""
    return "x".join(map(str, array.shape)) or "scalar"


def held(file: FileArrays) -> str:
    """What a file holds, for messages."""
    shown = [f"`{name}` {size(array)}" for name, array in list(file.arrays.items())[:12]]
    shown += [f"the cell `{name}` of {len(parts)}" for name, parts in list(file.cells.items())[:4]]
    return ", ".join(shown or ["no arrays"]) + (", ..." if len(file.arrays) > 12 else "")


def own_readout(found: Named) -> tuple[Array, Array | None] | None:
    """`B` and `readout_b`, as retime writes them."""
    return (found["B"], found.get("readout_b")) if "B" in found else None
