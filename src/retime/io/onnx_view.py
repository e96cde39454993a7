"""An ONNX graph as a reader needs it: who makes what, which tensors are constant, and what the axes of the others mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.io.arrays import FREE_BYTES, FileArrays, OnnxGraph, OnnxNode

RECURRENT = ("RNN", "GRU", "LSTM")
SELECTING = ("Slice", "Gather")
_MOVING = ("Cast", "Dropout", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze", *SELECTING)

SUPPORTED = (
    "supported are RNN, GRU and LSTM nodes in one line (each reads the one before), linear layers before and between them, and linear "
    "layers with at most one function after them"
)


class GraphView:
    """Who makes what, and every constant; those that an export left unfolded (slices, transposes, joins) are made here."""

    def __init__(self, file: FileArrays, graph: OnnxGraph) -> None:
        self.file, self.graph = file, graph
        self.maker = {name: node for node in graph.nodes for name in node.outputs if name}
        self.constants: dict[str, Array] = dict(file.arrays)
        self.shapes = graph.shapes
        free = 4 * max(FREE_BYTES, sum(x.nbytes for x in file.arrays.values()))
        for node in graph.nodes:
            value = self._folded(node)
            if value is not None:
                free -= value.nbytes
                if free < 0:
                    raise self.refuse(node, "makes constants far larger than the file")
                self.constants[node.outputs[0]] = value

    def refuse(self, node: OnnxNode, why: str) -> ModelFileError:
        """The error for one node."""
        return ModelFileError(f"{self.file.path}: node {node.name!r} ({node.op}) {why}; {SUPPORTED}.")

    def constant(self, node: OnnxNode, k: int) -> Array | None:
        """Input k as a constant; None where it is absent.

        Raises:
            ModelFileError: it is computed from data.
        """
        name = node.inputs[k] if k < len(node.inputs) else ""
        if name and name not in self.constants:
            raise self.refuse(node, f"reads {name!r}, which must be a constant and is computed")
        return self.constants[name] if name else None

    def units(self, node: OnnxNode) -> int:
        """H, the columns of the recurrent weights of a recurrent node."""
        R = self.constant(node, 2)
        if R is None or R.ndim != 3:
            found = "none" if R is None else f"shape {R.shape}"
            raise self.refuse(node, f"needs weights R of shape (1, gates x units, units); it has {found}")
        return R.shape[2]

    def origin(self, name: str) -> str:
        """The tensor that another one is made from through first inputs, as far as it goes."""
        for _ in self.graph.nodes:
            node = self.maker.get(name)
            data = [] if node is None else [x for x in node.inputs if x and x not in self.constants]
            if not data:
                break
            name = data[0]
        return name

    def axes(self, node: OnnxNode) -> tuple[int, ...] | None:
        """The axes of a Squeeze or Unsqueeze: an attribute, since version 13 an input."""
        value = node.attributes.get("axes")
        value = self.constant(node, 1) if value is None else value
        return None if value is None else tuple(int(x) for x in np.atleast_1d(value))

    def _folded(self, node: OnnxNode) -> Array | None:
        fold = _FOLDS.get(node.op)
        named = [x for x in node.inputs if x]
        if fold is None or not named or not all(x in self.constants for x in named):
            return None
        try:
            return np.ascontiguousarray(fold(self, node, [self.constants[x] for x in named]))
        except (ValueError, IndexError, TypeError, OverflowError) as error:
            raise self.refuse(node, f"does not fit its constants ({error})") from error


def _slice(view: GraphView, node: OnnxNode, x: list[Array]) -> Array:
    """data, starts, ends, axes, steps; before version 10 all but data are attributes."""
    keys = ("starts", "ends", "axes", "steps")
    given = [
        np.atleast_1d(v) for v in (x[1:] if len(x) > 1 else [node.attributes[k] for k in keys if k in node.attributes])
    ]
    starts, ends, axes, steps = [*given, *[None] * (4 - len(given))]
    index = [slice(None)] * x[0].ndim
    for k, axis in enumerate(range(len(starts)) if axes is None else axes):
        index[axis] = slice(int(starts[k]), int(ends[k]), 1 if steps is None else int(steps[k]))
    return x[0][tuple(index)]


_FOLDS: Mapping[str, Callable[[GraphView, OnnxNode, list[Array]], Array]] = {
    "Identity": lambda view, node, x: x[0],
    "Cast": lambda view, node, x: x[0],
    "Transpose": lambda view, node, x: x[0].transpose(node.attributes.get("perm")),
    "Squeeze": lambda view, node, x: x[0].squeeze(view.axes(node)),
    "Unsqueeze": lambda view, node, x: np.expand_dims(x[0], view.axes(node) or ()),
    "Reshape": lambda view, node, x: x[0].reshape([x[0].shape[k] if d == 0 else int(d) for k, d in enumerate(x[1])]),
    "Concat": lambda view, node, x: np.concatenate(x, node.attributes.get("axis", 0)),
    "Slice": _slice,
}


# What the axes of a tensor mean.


_MAX_MOVES = 100  # in a row; an export makes a handful, and a hostile file would make following them quadratic

_FLOATS = (1, 10, 11, 16)  # ONNX's numbers of float32, float16, float64 and bfloat16


def trace(view: GraphView, name: str) -> tuple[OnnxNode | None, int, list[OnnxNode]]:
    """Who makes a tensor, as which of its outputs, and the axis operations after it, first one first; None: nobody.

    Raises:
        ModelFileError: on the way numbers are rounded to another type, or the axes are moved without end.
    """
    moves: list[OnnxNode] = []
    node = view.maker.get(name)
    while node is not None and node.op in _MOVING:
        if node.op == "Cast" and node.attributes.get("to") not in _FLOATS:
            raise view.refuse(node, "turns the numbers into another type than floats, which rounds them")
        if len(moves) == _MAX_MOVES:
            raise view.refuse(node, f"is one of more than {_MAX_MOVES} operations in a row that only move axes")
        moves.append(node)
        name = node.inputs[0]
        node = view.maker.get(name)
    return node, 0 if node is None else node.outputs.index(name), moves[::-1]


def output_axes(node: OnnxNode, output: int) -> tuple[str, ...]:
    """What the axes of a recurrent node's outputs mean: Y, Y_h, Y_c."""
    if node.attributes.get("layout"):
        return ("batch", "time", "direction", "unit") if output == 0 else ("batch", "direction", "unit")
    return ("time", "direction", "batch", "unit") if output == 0 else ("direction", "batch", "unit")


def moved_axes(view: GraphView, axes: tuple[str, ...], moves: Sequence[OnnxNode], units: int) -> tuple[str, ...]:
    """What the axes mean after operations that move, drop, add or select them; `units` is the length of the axis "unit".

    Raises:
        ModelFileError: one of them mixes, drops or reorders units, or turns time around.
    """
    for node in moves:
        try:
            is_reshape = node.op == "Reshape"
            axes = _moved_reshape(view, node, axes, units) if is_reshape else _MOVES[node.op](view, node, axes)
        except (IndexError, ValueError, TypeError) as error:
            raise view.refuse(node, f"does not fit a tensor with the axes {', '.join(axes)}") from error
    return axes


def _moved_transpose(view: GraphView, node: OnnxNode, axes: tuple[str, ...]) -> tuple[str, ...]:
    order = node.attributes.get("perm") or range(len(axes))[::-1]
    return tuple(axes[k] for k in order)


def _moved_squeeze(view: GraphView, node: OnnxNode, axes: tuple[str, ...]) -> tuple[str, ...]:
    dropped = view.axes(node)
    gone = [k for k, x in enumerate(axes) if x in ("direction", "one")] if dropped is None else dropped
    names = [axes[k] for k in gone]
    if "unit" in names or "time" in names:
        raise view.refuse(node, f"drops the axis of {'units' if 'unit' in names else 'time'}")
    kept = set(range(len(axes))) - {k % len(axes) for k in gone}
    return tuple(axes[k] for k in sorted(kept))


def _moved_unsqueeze(view: GraphView, node: OnnxNode, axes: tuple[str, ...]) -> tuple[str, ...]:
    new = view.axes(node) or ()
    places = {k % (len(axes) + len(new)) for k in new}
    rest = iter(axes)
    return tuple("one" if k in places else next(rest) for k in range(len(axes) + len(new)))


def _moved_reshape(view: GraphView, node: OnnxNode, axes: tuple[str, ...], units: int) -> tuple[str, ...]:
    """Dropping axes of length 1, joining all but the units, or parting these again; any other reshape could mix units, samples
    and steps."""
    if axes == ("row", "unit") and _last_size(view, node) == units:
        return ("time", "time", "unit")  # samples and steps, in whichever order they were joined
    core = tuple(x for x in axes if x not in _SINGLE)
    target = _target(view, node, axes)
    there = view.shapes.get(node.inputs[0], ())
    sizes = [n for n, x in zip(there, axes, strict=True) if x not in _SINGLE] if len(there) == len(axes) else []
    same = (*(sizes or [None] * len(core)), None)
    keeps = [
        _keeps(d, axes[k : k + 1], core[k : k + 1], size) for k, (d, size) in enumerate(zip(target, same, strict=False))
    ]
    if (
        core[-1:] == ("unit",)
        and len(target) == len(core)
        and _is_unit(target[-1], axes[len(target) - 1], units)
        and all(keeps[:-1])
    ):
        return core
    if core[-1:] == ("unit",) and len(target) == 2 and target[0] == -1 and _is_unit(target[-1], axes[1], units):
        return ("row", "unit")
    raise view.refuse(node, f"reshapes axes ({', '.join(axes)}) to {target}, which may mix units, samples and steps")


_SINGLE = ("direction", "one")  # axes of length 1


def _is_unit(target: Any, there: str, units: int) -> bool:
    return target in (("unit",), -1, units) or (target == 0 and there == "unit")


def _target(view: GraphView, node: OnnxNode, axes: tuple[str, ...]) -> list[Any]:
    """The sizes that a reshape asks for: whole numbers, or the axes of its own data whose lengths are multiplied."""
    shape = view.constants.get(node.inputs[1])
    if shape is not None:
        return [int(x) for x in shape.reshape(-1)]
    found = _lengths(view, node.inputs[1], node.inputs[0], axes, _MAX_MOVES)
    if found is None:
        raise view.refuse(node, f"reads {node.inputs[1]!r}, which must be a constant and is computed")
    return found


def _lengths(view: GraphView, name: str, data: str, axes: tuple[str, ...], depth: int) -> list[Any] | None:
    """The entries of a tensor of lengths, computed from the shape of `data`; None where they are computed from anything else."""
    constant, node = view.constants.get(name), view.maker.get(name)
    if constant is not None:
        return [int(x) for x in constant.reshape(-1)]
    if node is None or depth == 0:
        return None
    if node.op == "Shape":
        start, end = node.attributes.get("start", 0), node.attributes.get("end", len(axes))
        return [_joined(x) for x in axes[start:end]] if node.inputs[0] == data else None
    parts = [_lengths(view, x, data, axes, depth - 1) for x in node.inputs]
    if any(x is None for x in parts):
        return None
    known = [x for x in parts if x is not None]
    match node.op:
        case "Concat":
            return [x for part in known for x in part]
        case "Mul" if len(known[0]) == len(known[1]) == 1:
            return [_joined(*known[0], *known[1])]
        case "Slice" if len(known) == 3:
            return known[0][known[1][0] : known[2][0]]
        case "Gather":
            return [known[0][k] for k in known[1]]
        case "Cast" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze":
            return known[0]
    return None


def _joined(*parts: Any) -> Any:
    """The product of lengths; axes of length 1 do not count."""
    names = [x for part in parts for x in (part if isinstance(part, tuple) else (part,)) if x not in (*_SINGLE, 1)]
    return names[0] if len(names) == 1 and isinstance(names[0], int) else tuple(names)


def _last_size(view: GraphView, node: OnnxNode) -> int | None:
    """The last size in a reshape to three axes, also where the others are computed; None where it is not known."""
    shape, maker = view.constants.get(node.inputs[1]), view.maker.get(node.inputs[1])
    if shape is not None:
        return int(shape[-1]) if shape.shape == (3,) else None
    parts = [view.constants.get(x) for x in maker.inputs] if maker is not None and maker.op == "Concat" else []
    return int(parts[-1].reshape(-1)[-1]) if len(parts) == 3 and parts[-1] is not None else None


def _keeps(target: Any, there: tuple[str, ...], wanted: tuple[str, ...], size: Any) -> bool:
    """Whether a length in a reshape keeps an axis: 0 copies the one at its place, -1 is what remains, 1 a single sample; or it is the
    length of the axis by its name, or by the `size` that the file states."""
    is_named = target == wanted or (isinstance(target, int) and target == size)
    return is_named or target == -1 or (target == 0 and there == wanted) or (target == 1 and wanted == ("batch",))


def _moved_selection(view: GraphView, node: OnnxNode, axes: tuple[str, ...]) -> tuple[str, ...]:
    """One step or some: harmless after the last layer, as long as units stay whole and time runs forward."""
    if node.op == "Gather":
        axis, index = node.attributes.get("axis", 0), view.constant(node, 1)
        chosen, drops = [axis], index is not None and index.ndim == 0
        is_turned = index is not None and index.size > 1 and bool(np.any(np.diff(index.reshape(-1)) <= 0))
        turned = [is_turned]
    else:
        given = node.attributes.get("axes") or view.constant(node, 3)
        chosen = list(range(len(axes))) if given is None else [int(x) for x in np.atleast_1d(given)]
        steps = view.constant(node, 4)
        turned = [False] * len(chosen) if steps is None else [int(x) < 0 for x in np.atleast_1d(steps)]
        drops = False
    if any(x and axes[k] in ("time", "row") for k, x in zip(chosen, turned, strict=True)):
        raise view.refuse(node, "reorders the steps in time")
    if any(axes[k] == "unit" for k in chosen):
        raise view.refuse(node, "reads some of the units only")
    return tuple(x for k, x in enumerate(axes) if not (drops and k == chosen[0] % len(axes)))


_MOVES: Mapping[str, Callable[[GraphView, OnnxNode, tuple[str, ...]], tuple[str, ...]]] = {
    "Identity": lambda view, node, axes: axes,
    "Cast": lambda view, node, axes: axes,
    "Dropout": lambda view, node, axes: axes,
    "Transpose": _moved_transpose,
    "Squeeze": _moved_squeeze,
    "Unsqueeze": _moved_unsqueeze,
    "Slice": _moved_selection,
    "Gather": _moved_selection,
}
