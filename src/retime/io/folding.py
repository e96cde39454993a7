"""Arrays as programs store them, made into the arrays that models use: parametrized weights, other names, MATLAB cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.io.arrays import FileArrays
from retime.io.parametrizations import put_together

__all__ = ["folded"]


def folded(file: FileArrays) -> tuple[FileArrays, list[str]]:
    """The file with its arrays put together and renamed, and what was done, in words.

    Raises:
        ModelFileError: a parametrization whose formula the file does not say.
    """
    if file.layers or file.graph is not None:
        return file, []
    notes: list[str] = []
    arrays = _dotted(dict(file.arrays))
    if not arrays:
        arrays = _cells(file.cells, notes)
    arrays = put_together(file, arrays, notes)
    arrays = _diagonal_inside(file, _exponentiated(_renamed(arrays, notes), notes), notes)
    return replace(file, arrays=arrays), notes


def _dotted(arrays: dict[str, Array]) -> dict[str, Array]:
    """`rnn/weight` as `rnn.weight`, where the names stay different."""
    dotted = {name.strip("/").replace("/", "."): array for name, array in arrays.items()}
    return dotted if len(dotted) == len(arrays) else arrays


def _cells(cells: Mapping[str, tuple[Array, ...]], notes: list[str]) -> dict[str, Array]:
    """One cell {A, W, h}: told by the shapes and by A being diagonal and W having none."""
    found = [(name, parts) for name, parts in cells.items() if len(parts) == 3 and _are_plrnn(*parts)]
    if len(found) != 1:
        return {}
    name, (A, W, h) = found[0]
    notes.append(f"The cell `{name}` is read as {{A, W, h}}, by its order and shapes.")
    return {"A": A, "W": W, "h": h}


def _are_plrnn(A: Array, W: Array, h: Array) -> bool:
    n = h.size
    if n < 2 or W.shape != (n, n) or A.shape not in ((n, n), (n, 1), (1, n)) or max(h.shape) != n:
        return False
    return A.shape != (n, n) or bool(np.all(A[~np.eye(n, dtype=bool)] == 0) and np.all(np.diag(W) == 0))


# Other names.

_LINEAR = {
    "h2h.weight": "W_rec", "h2h.bias": "b_rec", "input2h.weight": "W_in", "input2h.bias": "b_in",
}  # fmt: skip


def _renamed(arrays: dict[str, Array], notes: list[str]) -> dict[str, Array]:
    """The linear layers of a continuous-time RNN under the plain names, where both are there."""
    if any(all(x.split(".")[-2:] != [layer, "weight"] for x in arrays) for layer in ("h2h", "input2h")):
        return arrays
    result: dict[str, Array] = {}
    for name, array in arrays.items():
        end = next((x for x in _LINEAR if name == x or name.endswith(f".{x}")), None)
        new = name if end is None else name.removesuffix(end) + _LINEAR[end]
        result[name if new in arrays else new] = array
    if result.keys() != arrays.keys():
        notes.append("`h2h` and `input2h` are the recurrent and the input weights.")
    return result


_LOGARITHMS = ("log_A", "logA", "A_log", "ln_A", "lnA")


def _exponentiated(arrays: dict[str, Array], notes: list[str]) -> dict[str, Array]:
    """A diagonal that is stored as its logarithm, so that it stays positive in training, as A."""
    result: dict[str, Array] = {}
    for name, array in arrays.items():
        prefix, dot, leaf = name.rpartition(".")
        new = f"{prefix}{dot}A"
        if leaf in _LOGARITHMS and new not in arrays and array.size == max(array.shape, default=0):
            result[new] = np.exp(np.asarray(array, dtype=np.float64)).reshape(-1)
            notes.append(f"`{name}` is the logarithm of the diagonal A.")
        else:
            result[name] = array
    return result


def _diagonal_inside(file: FileArrays, arrays: dict[str, Array], notes: list[str]) -> dict[str, Array]:
    """`AW` = diag(A) + W as A and W, the diagonal counted once."""
    for name in [x for x in arrays if x.rpartition(".")[2] == "AW" and arrays[x].ndim == 2]:
        AW, prefix = arrays[name], name.removesuffix("AW")
        if AW.shape[0] != AW.shape[1] or f"{prefix}W" in arrays:
            continue
        others = [arrays[f"{prefix}{x}"] for x in ("A", "a_diag", "AD") if f"{prefix}{x}" in arrays]
        own = np.diag(AW)
        given = next(iter(others), None)
        given = given if given is None or given.shape != AW.shape else np.diag(given)
        if (
            given is not None
            and own.any()
            and not (given.size == own.size and np.allclose(given.reshape(-1), own, rtol=1e-6))
        ):
            raise ModelFileError(
                f"{file.path}: `{name}` has a diagonal, and another one is stored as `{prefix}A`: the file does not say which the network "
                "uses, or whether it adds them. Save A and W under these names, W without a diagonal."
            )
        parts = {f"{prefix}W": AW - np.diag(own)} | ({} if given is not None else {f"{prefix}A": own.copy()})
        arrays = {k: v for k, v in arrays.items() if k != name} | parts
        notes.append(f"`{name}` holds A on its diagonal and W beside it.")
    return arrays
