"""Arrays as programs store them, made into the arrays that models use: parametrized weights, other names, MATLAB cells.

PyTorch keeps a parametrized weight as its parts, and the network uses what they are put together to. A reader that passes over the
parts reads another network, so each is folded, or refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.io.arrays import FileArrays

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
    arrays = _parametrized(file, arrays, notes)
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


# Parametrized weights.

_MODERN = re.compile(r"(?:(.*)\.)?parametrizations\.([^.]+)\.(.+)")

_REMEDY = (
    "Remove the parametrization in PyTorch, torch.nn.utils.parametrize.remove_parametrizations(module, {!r}), and save the state dict "
    "again."
)


def _parametrized(file: FileArrays, arrays: dict[str, Array], notes: list[str]) -> dict[str, Array]:
    """Weight normalization, spectral normalization and pruning masks, put together."""
    found: dict[str, dict[str, str]] = {}
    for name in arrays:
        match = _MODERN.fullmatch(name)
        if match is not None:
            found.setdefault(f"{match[1]}.{match[2]}".lstrip(".") if match[1] else match[2], {})[match[3]] = name
    for name in arrays:
        base, _, part = name.rpartition("_")
        if part in ("g", "v", "orig", "u", "mask") and "weight" in base.rpartition(".")[2] and base not in arrays:
            found.setdefault(base, {})[part] = name
    for base, names in found.items():
        parts = {part: arrays[name] for part, name in names.items()}
        value, kind = _together(parts)
        if value is None and not any("parametrizations" in name for name in names.values()):
            continue
        if value is None or base in arrays:
            raise ModelFileError(
                f"{file.path}: `{base}` is parametrized ({', '.join(f'`{x}`' for x in names.values())}) by a formula that the file does not "
                f"say. {_REMEDY.format(base.rpartition('.')[2])}"
            )
        arrays = _put(arrays, base, value, set(names.values()))
        notes.append(f"`{base}` is put together from its {kind}.")
    return arrays


def _put(arrays: dict[str, Array], name: str, value: Array, parts: set[str]) -> dict[str, Array]:
    """The value in the place of the first of its parts, since the order of modules tells a readout from an encoder."""
    result: dict[str, Array] = {}
    for key, array in arrays.items():
        if key in parts:
            result.setdefault(name, value)
        else:
            result[key] = array
    return result


def _together(parts: Mapping[str, Array]) -> tuple[Array | None, str]:
    """The weight of its parts, and what they are; None for parts that are not understood."""
    names = set(parts)
    for g, v in (("original0", "original1"), ("g", "v")):
        if names == {g, v} and _is_norm(parts[g], parts[v]):
            return _normalized(parts[g], parts[v]), "weight normalization"
    for W, u, v in (("original", "0._u", "0._v"), ("orig", "u", "v")):
        if names == {W, u, v} and parts[W].ndim == 2 and (parts[u].size, parts[v].size) == parts[W].shape:
            sigma = float(
                parts[u].astype(float).reshape(-1) @ parts[W].astype(float) @ parts[v].astype(float).reshape(-1)
            )
            return (parts[W].astype(float) / sigma, "spectral normalization") if sigma else (None, "")
    if names == {"orig", "mask"} and parts["orig"].shape == parts["mask"].shape:
        return parts["orig"].astype(float) * parts["mask"], "pruning mask"
    return None, ""


def _is_norm(g: Array, v: Array) -> bool:
    """Lengths along some axes of v: g has v's shape with these axes 1, or is one number."""
    fits = g.ndim == v.ndim and all(a in (1, b) for a, b in zip(g.shape, v.shape, strict=True))
    return v.ndim >= 2 and (g.size == 1 or (fits and g.size < v.size))


def _normalized(g: Array, v: Array) -> Array:
    """g v / |v|, the length over the axes in which g is 1."""
    v = np.asarray(v, dtype=float)
    axes = tuple(k for k in range(v.ndim) if g.size == 1 or g.shape[k] == 1)
    return np.asarray(g, dtype=float) * v / np.sqrt((v**2).sum(axis=axes, keepdims=True))


# Other names.

_LINEAR = {
    "h2h.weight": "W_rec", "h2h.bias": "b_rec", "input2h.weight": "W_in", "input2h.bias": "b_in",
}  # fmt: skip


def _renamed(arrays: dict[str, Array], notes: list[str]) -> dict[str, Array]:
    """The linear layers of a continuous-time RNN under the plain names."""
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
