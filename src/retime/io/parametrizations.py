"""Weights that PyTorch keeps in parts, put together as it does: weight and spectral normalization, orthogonal matrices, pruning masks.

The network uses what the parts are put together to. A reader that passes over them reads another network, so each is folded, or refused
by name. A module says of itself which formula it uses; a state dict does not, and the parts decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.io.arrays import FileArrays

__all__ = ["put_together"]

_MODERN = re.compile(r"(?:(.*)\.)?parametrizations\.([^.]+)\.(.+)")

_REMEDY = (
    "Give `load` the module itself, load(model), or remove the parametrization in PyTorch, "
    "torch.nn.utils.parametrize.remove_parametrizations(module, {!r}), and save the state dict again."
)

Description = Mapping[str, Any]


def put_together(file: FileArrays, arrays: dict[str, Array], notes: list[str]) -> dict[str, Array]:
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
