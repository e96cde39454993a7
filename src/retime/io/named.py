"""Named arrays of a file under the names that models use, and what is said about the choice of a family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.io.arrays import FileArrays

ALIASES: Mapping[str, tuple[str, ...]] = {
    "A": ("A", "a_diag", "AD"),
    "W": ("W", "W0", "AW"),
    "h": ("h", "h0", "bias_h"),
    "C": ("C", "input_weights"),
    "W1": ("W1", "W_1", "W₁"),
    "W2": ("W2", "W_2", "W₂"),
    "h1": ("h1", "h_1", "h₁"),
    "h2": ("h2", "h_2", "h₂"),
    "slopes": ("slopes", "alphas", "alpha"),
    "thresholds": ("thresholds", "H"),
    "W_rec": ("W_rec", "weight_hh_l0", "weight_hh"),
    "W_in": ("W_in", "weight_ih_l0", "weight_ih"),
    "b_rec": ("b_rec", "bias_hh_l0", "bias_hh"),
    "b_in": ("b_in", "bias_ih_l0", "bias_ih"),
    "b": ("b",),
    "E": ("E",),
    "B": ("B", "readout_B"),
    "readout_b": ("readout_b",),
    "dt": ("dt", "delta_t", "Δt"),
}
"""Names under which published files store a parameter; a prefix that ends with "." is ignored (`model.A` is `A`)."""

INITIAL_STATES = ("z0", "mu0", "x0", "initial_states")


@dataclass(frozen=True)
class Recognition:
    """Why a file was read as it was.

    Attributes:
        family: the family's name for `family=`.
        reason: the arrays that decided.
        others: other families the same arrays would fit, with what they need; empty when there are none.
        notes: what else the reader should know.
    """

    family: str
    reason: str
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def sentence(self, name: str) -> str:
        """One line for a person."""
        text = f"{name}: read as {self.family} ({self.reason})."
        if self.others:
            text += f" The same arrays also fit {' and '.join(self.others)}."
        return " ".join([text, *self.notes])


class Named:
    """Arrays under canonical names, and which file names were used."""

    def __init__(self, file: FileArrays) -> None:
        self.file = file
        self.used: dict[str, str] = {}
        self.short = {key.rsplit(".", 1)[-1]: value for key, value in file.arrays.items()}
        self.arrays: dict[str, Array] = {}
        for name, aliases in ALIASES.items():
            key = next((a for a in aliases if a in self.short), None)
            if key is not None:
                self.arrays[name], self.used[name] = self.short[key], key

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def get(self, name: str) -> Array | None:
        """The array of a canonical name, None where the file has none."""
        return self.arrays.get(name)

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


def size(array: Array) -> str:
    """The shape as text: 3x2, 3, scalar."""
    return "x".join(map(str, array.shape)) or "scalar"


def held(file: FileArrays) -> str:
    """What a file holds, for messages."""
    if not file.arrays:
        return "no arrays"
    shown = [f"`{name}` {size(array)}" for name, array in list(file.arrays.items())[:12]]
    return ", ".join(shown) + (", ..." if len(file.arrays) > 12 else "")


def own_readout(found: Named) -> tuple[Array, Array | None] | None:
    """`B` and `readout_b`, as retime writes them."""
    return (found["B"], found.get("readout_b")) if "B" in found else None
