"""Arrays as programs store them, made into the arrays that models use: parametrized weights, other names, MATLAB cells.

Weights that PyTorch keeps in parts (weight and spectral normalization, orthogonal matrices, pruning masks) are put together as it does. A reader
that passes over them reads another network, so each is folded, or refused by name. A module says of itself which formula it uses; a state dict
does not, and the parts decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.io.arrays import FileArrays


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
    arrays = _put_together(file, arrays, notes)
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


# Weights that are kept in parts.

_MODERN = re.compile(r"(?:(.*)\.)?parametrizations\.([^.]+)\.(.+)")

_REMEDY = (
    "Give `load` the module itself, load(model), or remove the parametrization in PyTorch, "
    "torch.nn.utils.parametrize.remove_parametrizations(module, {!r}), and save the state dict again."
)

Description = Mapping[str, Any]


def _put_together(file: FileArrays, arrays: dict[str, Array], notes: list[str]) -> dict[str, Array]:
    """The arrays with every weight that is stored in parts in the place of its parts; what was done goes to the notes.

    Raises:
        ModelFileError: a parametrization whose formula the file does not say.
    """
    found: dict[str, dict[str, str]] = {}
    for name in arrays:
        match = _MODERN.fullmatch(name)
        if match is not None:
            found.setdefault(".".join(filter(None, (match[1], match[2]))), {})[match[3]] = name
    for name in arrays:
        base, _, part = name.rpartition("_")
        if part in ("g", "v", "orig", "u", "mask") and _is_weight(base) and base not in arrays:
            found.setdefault(base, {})[part] = name
    for base, names in found.items():
        module, _, weight = base.rpartition(".")
        said = _said(file, f"{module}.parametrizations.{weight}".lstrip("."))
        value, words = _together({part: arrays[name] for part, name in names.items()}, said)
        if value is None and not any("parametrizations" in name for name in names.values()):
            continue
        if value is None or base in arrays:
            raise ModelFileError(
                f"{file.path}: `{base}` is parametrized ({', '.join(f'`{x}`' for x in names.values())}) by a formula that the file does not "
                f"say. {_REMEDY.format(weight)}"
            )
        arrays = _put(arrays, base, value, set(names.values()))
        notes.append(f"`{base}` is put together from its {words}.")
    return arrays


def _is_weight(name: str) -> bool:
    return any(word in name.rpartition(".")[2] for word in ("weight", "bias"))


def _said(file: FileArrays, module: str) -> list[Description]:
    """What the parametrizations of one weight say of themselves, in their order; none for a state dict."""
    count = sum(1 for name in file.modules if re.fullmatch(re.escape(module) + r"\.\d+", name))
    return [file.modules.get(f"{module}.{k}", {}) for k in range(count)]


def _put(arrays: dict[str, Array], name: str, value: Array, parts: set[str]) -> dict[str, Array]:
    """The value in the place of the first of its parts, since the order of modules tells a readout from an encoder."""
    result: dict[str, Array] = {}
    for key, array in arrays.items():
        if key in parts:
            result.setdefault(name, value)
        else:
            result[key] = array
    return result


def _together(parts: Mapping[str, Array], said: list[Description]) -> tuple[Array | None, str]:
    """The weight of its parts, and what they are; None for parts that are not understood."""
    names = set(parts)
    own: Description = said[0] if len(said) == 1 else {}
    kind = str(own.get("class", "")).rpartition(".")[2]
    if len(said) > 1 or (kind and kind not in ("_WeightNorm", "_SpectralNorm", "_Orthogonal")):
        return None, ""
    parts = {part: np.asarray(x, dtype=np.float64) for part, x in parts.items()}
    for g, v in (("original0", "original1"), ("g", "v")):
        if names == {g, v} and _is_norm(parts[g], parts[v]):
            return _normalized(parts[g], parts[v]), "weight normalization"
    for W, u, v in (("original", "0._u", "0._v"), ("orig", "u", "v")):
        if names == {W, u, v}:
            return _by_spectrum(parts[W], parts[u], parts[v], own.get("dim", 0)), "spectral normalization"
    if names == {"original"} and kind == "_SpectralNorm" and parts["original"].ndim == 1:
        return parts["original"] / max(
            np.linalg.norm(parts["original"]), own.get("eps", 1e-12)
        ), "spectral normalization"
    is_orthogonal = names == {"original", "0.base"} or (names == {"original"} and kind == "_Orthogonal")
    if is_orthogonal and parts["original"].ndim == 2:
        return _orthogonal(parts["original"], parts.get("0.base"), own.get("orthogonal_map"))
    if names == {"orig", "mask"} and parts["orig"].shape == parts["mask"].shape:
        return parts["orig"] * parts["mask"], "pruning mask"
    return None, ""


# Weight normalization.


def _is_norm(g: Array, v: Array) -> bool:
    """Lengths along some axes of v: g has v's shape with these axes 1, or is one number."""
    return g.size == 1 or (g.ndim == v.ndim and all(a in (1, b) for a, b in zip(g.shape, v.shape, strict=True)))


def _normalized(g: Array, v: Array) -> Array:
    """g v / |v|, the length over the axes in which g is 1, or over the whole of v."""
    axes = tuple(k for k in range(v.ndim) if g.size == 1 or g.shape[k] == 1)
    return g * v / np.sqrt((v**2).sum(axis=axes, keepdims=True))


# Spectral normalization.


def _by_spectrum(W: Array, u: Array, v: Array, dim: int) -> Array | None:
    """W / sigma, sigma = u . M v with M the weight as a matrix whose rows run along `dim` (0 but for transposed convolutions):
    what PyTorch uses in evaluation, where it takes no further step of the power method."""
    M = np.moveaxis(W, dim, 0).reshape(W.shape[dim], -1) if W.ndim > 1 else W
    if M.shape == (v.size, u.size) != (u.size, v.size):
        M = M.T
    if M.shape != (u.size, v.size):
        return None
    sigma = float(u.reshape(-1) @ M @ v.reshape(-1))
    return W / sigma if sigma else None


# Orthogonal matrices.


def _orthogonal(X: Array, base: Array | None, said: Any) -> tuple[Array | None, str]:
    """base Q(X), where Q maps the lower triangle of X (transposed, where it is wide) to a matrix with orthogonal columns.

    "matrix_exp": exp(A), and "cayley": (1 - A/2)^-1 (1 + A/2), of A = L - L^T, where L is tril(X), filled up with zeros to a square
    matrix; "householder": the product of the reflections whose vectors are the columns of X below the diagonal, each column times
    the sign on the diagonal. Source: the documentation of torch.nn.utils.parametrizations.orthogonal.
    """
    words = "orthogonal parametrization"
    name = said or ("matrix_exp" if X.shape[0] == X.shape[1] else "householder")  # PyTorch's default
    if said is None:
        words += f" (a state dict does not name its map: PyTorch's default, {name}; for another give `load` the module itself, load(model))"
    tall = X.T if X.shape[0] < X.shape[1] else X
    Q = _MAPS[name](tall) if name in _MAPS else None
    if Q is None or (base is not None and base.shape[-1:] != Q.shape[:1]):
        return None, ""
    Q = Q if base is None else base @ Q
    return Q.T if tall is not X else Q, words


def _skew(X: Array) -> Array:
    square = np.zeros((len(X), len(X)))
    square[:, : X.shape[1]] = np.tril(X)
    return square - square.T


def _by_exponential(X: Array) -> Array:
    from scipy.linalg import expm

    return expm(_skew(X))[:, : X.shape[1]]


def _by_cayley(X: Array) -> Array:
    A, identity = _skew(X), np.eye(len(X))
    return np.linalg.solve(identity - A / 2, identity + A / 2)[:, : X.shape[1]]


def _by_reflections(X: Array) -> Array:
    Q = np.eye(*X.shape)
    for k in reversed(range(X.shape[1])):
        v = np.tril(X, -1)[:, k] + np.eye(len(X))[k]
        Q -= np.outer(v, v @ Q) * (2 / (v @ v))
    return Q * np.trunc(np.diag(X))


_MAPS = {"matrix_exp": _by_exponential, "cayley": _by_cayley, "householder": _by_reflections}
