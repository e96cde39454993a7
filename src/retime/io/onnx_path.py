"""What stands between recurrent nodes of an ONNX graph: operations that move axes, affine layers, and a function of the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from retime.core.arrays import Array
from retime.io.arrays import OnnxNode
from retime.io.onnx_view import RECURRENT, SELECTING, GraphView, moved_axes, output_axes, trace
from retime.io.recurrent import Affine

_ELEMENTWISE = ("Add", "Sub", "Mul", "Div")
_FUNCTIONS = {
    "Exp": "exp", "Relu": "relu", "Sigmoid": "logistic", "Softmax": "softmax", "Softplus": "softplus", "Tanh": "tanh",
}  # fmt: skip
_LAYERS = ("Gemm", "MatMul", *_ELEMENTWISE, *_FUNCTIONS)
_MAX_LAYERS = 100  # in a row; a network has a few


@dataclass(eq=False)
class Path:
    """The way from a recurrent node, or from an input of the graph, up to a tensor.

    Attributes:
        source: the node; None for an input of the graph. output: which of its outputs.
        moves: what moves its axes before the first layer.
        axes: what the axes of the tensor mean; `size` is the length of the axis "unit".
        layers: the affine layers on the way, lowest first. activation: the function after them.
        unread: layers after that function, lowest first; what the tensor means is then not known.
        nodes: all of these.
    """

    source: OnnxNode | None
    output: int
    moves: Sequence[OnnxNode]
    axes: tuple[str, ...] = ()
    size: int = 0
    layers: list[Affine] = field(default_factory=list)
    activation: str = "linear"
    unread: list[OnnxNode] = field(default_factory=list)
    nodes: list[OnnxNode] = field(default_factory=list)

    @property
    def selects(self) -> bool:
        """Whether a part of the sequence is read before the first layer."""
        return any(x.op in SELECTING for x in self.moves)


def path_to(view: GraphView, name: str, units: int | None = None) -> Path:
    """The way up to a tensor.

    Args:
        view: the graph. name: the tensor's.
        units: the length of the last axis of what the way starts from; None asks the recurrent node.

    Raises:
        ModelFileError: a layer on the way is neither affine nor a known function, or the axes are mixed.
    """
    above: list[tuple[OnnxNode, list[OnnxNode]]] = []
    source, output, moves = trace(view, name)
    while source is not None and source.op in _LAYERS and len(source.outputs) == 1:
        if len(above) == _MAX_LAYERS:
            raise view.refuse(source, f"is one of more than {_MAX_LAYERS} layers in a row without a recurrent one")
        above.append((source, moves))
        source, output, moves = trace(view, _data(view, source))
    found = Path(source, output, moves, nodes=[x for x, _ in above[::-1]])
    if not above:
        return found
    if source is not None and source.op not in RECURRENT:
        raise view.refuse(
            above[-1][0], f"reads {source.name!r} ({source.op}), where the outputs of a recurrent node are expected"
        )
    if source is None:
        rank = len(view.shapes.get(view.origin(name), ())) or 3
        found.axes, found.size = ("time", "batch", "unit")[-rank:] if rank != 2 else ("time", "unit"), units or 0
    else:
        found.axes, found.size = () if output == 2 else output_axes(source, output), view.units(source)
    found.axes = moved_axes(view, found.axes, moves, found.size)
    for node, moves_after in above[::-1]:
        _pass(view, found, node)
        if not found.unread:
            found.axes = moved_axes(view, found.axes, moves_after, found.size)
    return found


def _data(view: GraphView, node: OnnxNode) -> str:
    """The one input of a layer that is no constant."""
    names = [x for x in node.inputs if x and x not in view.constants]
    if len(names) != 1:
        raise view.refuse(node, "makes an output and is not a linear layer; it joins several tensors")
    return names[0]


def _pass(view: GraphView, path: Path, node: OnnxNode) -> None:
    """The path with one more layer."""
    if path.unread or path.activation != "linear":
        path.unread.append(node)
        return
    if path.axes[-1:] != ("unit",):
        source = "the inputs" if path.source is None else f"the outputs of {path.source.name!r}"
        raise view.refuse(node, f"does not read {source} with the units last")
    if node.op in _FUNCTIONS:
        if node.op == "Softmax" and node.attributes.get("axis") not in (-1, len(path.axes) - 1):
            raise view.refuse(node, "is a Softmax over another axis than the outputs")
        path.activation = _FUNCTIONS[node.op]
        return
    if node.op in ("Gemm", "MatMul"):
        layer = _gemm(view, path, node) if node.op == "Gemm" else _matmul(view, node)
        if path.size and layer.W.shape[1] != path.size:
            raise view.refuse(node, f"reads {layer.W.shape[1]} numbers where {path.size} are given")
    else:
        layer = _elementwise(view, path, node)
    path.layers.append(layer)
    path.size = len(layer.c)


def _gemm(view: GraphView, path: Path, node: OnnxNode) -> Affine:
    """alpha x W + beta c."""
    W, c, attributes = view.constant(node, 1), view.constant(node, 2), node.attributes
    if W is None or W.ndim != 2 or attributes.get("transA"):
        raise view.refuse(node, "is not a linear layer of its first input with constant weights")
    W = attributes.get("alpha", 1.0) * (W if attributes.get("transB") else W.T)
    return Affine.dense(W, None if c is None else attributes.get("beta", 1.0) * _line(view, path, node, c, len(W)))


def _matmul(view: GraphView, node: OnnxNode) -> Affine:
    """x W."""
    W = view.constants.get(node.inputs[1])
    if W is None or W.ndim != 2:
        raise view.refuse(node, "is not a linear layer of its first input with constant weights")
    return Affine.dense(W.T)


def _elementwise(view: GraphView, path: Path, node: OnnxNode) -> Affine:
    """x + c, x - c, x c, x / c, and the same the other way round where that is affine."""
    is_first = node.inputs[0] not in view.constants
    c = view.constants[node.inputs[1 if is_first else 0]]
    if node.op == "Div" and not (is_first and c.all()):
        raise view.refuse(node, "divides a constant by the data, or by zero, which is not linear")
    size = path.size or c.size
    c = _line(view, path, node, c, size)
    match node.op:
        case "Add":
            return Affine.scaled(1.0, c, size)
        case "Sub":
            return Affine.scaled(*((1.0, -c) if is_first else (-1.0, c)), size)
        case "Mul":
            return Affine.scaled(c, 0.0, size)
    return Affine.scaled(1.0 / c, 0.0, size)


def _line(view: GraphView, path: Path, node: OnnxNode, c: Array, size: int) -> Array:
    """A constant as one number per unit."""
    if c.ndim > len(path.axes) or c.size not in (1, size) or any(k != 1 for k in c.shape[:-1]):
        raise view.refuse(node, f"adds a bias of shape {c.shape}; it must be ({size},), the same at every step")
    return np.broadcast_to(c.reshape(-1), (size,))
