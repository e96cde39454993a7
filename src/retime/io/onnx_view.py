"""An ONNX graph as a reader needs it: who makes what, which tensors are constant, and what the axes of the others mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.io.arrays import FREE_BYTES, FileArrays, OnnxGraph, OnnxNode

SELECTING = ("Slice", "Gather")
_MOVING = ("Cast", "Dropout", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze", *SELECTING)

SUPPORTED = (
    "supported are RNN, GRU and LSTM nodes in one line (each reads the one before), followed by at most one linear layer "
    "(Gemm, or MatMul with Add)"
)


class GraphView:
    """Who makes what, and every constant; those that an export left unfolded (slices, transposes, joins) are made here."""

    def __init__(self, file: FileArrays, graph: OnnxGraph) -> None:
        self.file, self.graph = file, graph
        self.maker = {name: node for node in graph.nodes for name in node.outputs if name}
        self.constants: dict[str, Array] = dict(file.arrays)
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


def _unsqueeze(view: GraphView, node: OnnxNode, x: list[Array]) -> Array:
    return np.expand_dims(x[0], view.axes(node) or ())


def _reshape(view: GraphView, node: OnnxNode, x: list[Array]) -> Array:
    return x[0].reshape([x[0].shape[k] if d == 0 else int(d) for k, d in enumerate(x[1])])


_FOLDS: Mapping[str, Callable[[GraphView, OnnxNode, list[Array]], Array]] = {
    "Identity": lambda view, node, x: x[0],
    "Cast": lambda view, node, x: x[0],
    "Transpose": lambda view, node, x: x[0].transpose(node.attributes.get("perm")),
    "Squeeze": lambda view, node, x: x[0].squeeze(view.axes(node)),
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Concat": lambda view, node, x: np.concatenate(x, node.attributes.get("axis", 0)),
    "Slice": _slice,
}


# What the axes of a tensor mean.


def trace(view: GraphView, name: str) -> tuple[OnnxNode | None, int, list[OnnxNode]]:
    """Who makes a tensor, as which of its outputs, and the axis operations after it, first one first; None: nobody."""
    moves: list[OnnxNode] = []
    node = view.maker.get(name)
    while node is not None and node.op in _MOVING and len(moves) <= len(view.graph.nodes):
        moves.insert(0, node)
        name = node.inputs[0]
        node = view.maker.get(name)
    return node, 0 if node is None else node.outputs.index(name), moves


def output_axes(node: OnnxNode, output: int) -> tuple[str, ...]:
    """What the axes of a recurrent node's outputs mean: Y, Y_h, Y_c."""
    if node.attributes.get("layout"):
        return ("batch", "time", "direction", "unit") if output == 0 else ("batch", "direction", "unit")
    return ("time", "direction", "batch", "unit") if output == 0 else ("direction", "batch", "unit")


def moved_axes(view: GraphView, axes: tuple[str, ...], moves: Sequence[OnnxNode]) -> tuple[str, ...]:
    """What the axes mean after operations that move, drop, add or select them."""
    for node in moves:
        try:
            axes = _MOVES[node.op](view, node, axes)
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


def _moved_reshape(view: GraphView, node: OnnxNode, axes: tuple[str, ...]) -> tuple[str, ...]:
    """Dropping axes of length 1, or joining all but the units; any other reshape could mix units, samples and steps."""
    target = [] if (shape := view.constant(node, 1)) is None else [int(x) for x in shape]
    core = tuple(x for x in axes if x not in ("direction", "one"))
    keeps = [_keeps(d, axes[k : k + 1], core[k : k + 1]) for k, d in enumerate(target[:-1])]
    is_last_unit = core[-1:] == ("unit",) and len(target) > 0 and (target[-1] != 0 or axes[len(target) - 1] == "unit")
    if is_last_unit and len(target) == len(core) and all(keeps):
        return core
    if is_last_unit and len(target) == 2 and target[0] == -1:
        return ("row", "unit")
    raise view.refuse(node, f"reshapes axes ({', '.join(axes)}) to {target}, which may mix units, samples and steps")


def _keeps(target: int, there: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether a length in a reshape keeps an axis: 0 copies the one at its place, -1 is what remains, 1 a single sample."""
    return target == -1 or (target == 0 and there == wanted) or (target == 1 and wanted == ("batch",))


def _moved_selection(view: GraphView, node: OnnxNode, axes: tuple[str, ...]) -> tuple[str, ...]:
    """One step or some: harmless after the last layer, as long as units stay whole."""
    if node.op == "Gather":
        axis, index = node.attributes.get("axis", 0), view.constant(node, 1)
        chosen, drops = [axis], index is not None and index.ndim == 0
    else:
        given = node.attributes.get("axes") or view.constant(node, 3)
        chosen = list(range(len(axes))) if given is None else [int(x) for x in np.atleast_1d(given)]
        drops = False
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
    "Reshape": _moved_reshape,
    "Slice": _moved_selection,
    "Gather": _moved_selection,
}
