"""From an ONNX graph to a network: recurrent nodes in one line, and what only moves axes between them.

Nothing of the graph is run. Operations that move or drop axes are followed by the names of the axes (`onnx_view`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import TimeBase
from retime.io.arrays import FileArrays, OnnxGraph, OnnxNode
from retime.io.keras_layers import check_family
from retime.io.named import Recognition
from retime.io.onnx_view import SELECTING, SUPPORTED, GraphView, moved_axes, output_axes, trace
from retime.io.recurrent import Layer, elman, gated, network, reorder_gates

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_ACTIVATIONS = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}


def read_graph(
    file: FileArrays, graph: OnnxGraph, family: str | None, time: TimeBase, options: Mapping[str, Any]
) -> tuple[System, Recognition]:
    """The model of an ONNX file's graph.

    Args:
        file: its arrays. graph: its operations.
        family: the user's choice; it must agree with the nodes.
        time: the time base. options: the family's own.

    Raises:
        ModelFileError: another operation, option or connection than those that retime reads; the message names it.
    """
    view = GraphView(file, graph)
    nodes = [x for x in graph.nodes if x.op in _GATES]
    if not nodes:
        kinds = ", ".join(sorted({x.op for x in graph.nodes})[:8])
        raise ModelFileError(
            f"{file.path}: the ONNX graph has no recurrent node (its operations: {kinds}); {SUPPORTED}."
        )
    _check_line(view, nodes)
    layers = [_layer(view, x) for x in nodes]
    check_family(file, family, layers)
    readout = _readout(view, nodes)
    model = network(layers, readout, time, options, stacked=family == "stacked_rnn")
    kinds = " + ".join([*(x.op for x in nodes), *(["a linear layer"] if readout else [])])
    return model, Recognition(model.family, f"ONNX {kinds}", (), _notes(view, nodes))


# Connections.


def _check_line(view: GraphView, nodes: Sequence[OnnxNode]) -> None:
    """Each recurrent node reads all outputs of the one before, over the same time; the first reads a graph input."""
    for below, node in zip([None, *nodes], nodes, strict=False):
        source, output, moves = trace(view, node.inputs[0])
        if source is not below:
            found = "an input of the graph" if source is None else f"{source.name!r} ({source.op})"
            wanted = "an input of the graph" if below is None else f"{below.name!r} ({below.op})"
            raise view.refuse(node, f"reads {found}, where {wanted} is expected")
        if any(move.op in SELECTING for move in moves):
            raise view.refuse(node, "reads a part of a sequence, or one that is reordered (Slice, Gather)")
        units = 0 if below is None else _units(view, below)
        wanted_axes = ("batch", "time", "unit") if node.attributes.get("layout") else ("time", "batch", "unit")
        if below is not None and (
            output != 0 or moved_axes(view, output_axes(below, output), moves, units) != wanted_axes
        ):
            raise view.refuse(node, f"does not read the outputs of {below.name!r} step by step")


# The readout: every output of the graph is a state of the line, or the one linear layer after it.


def _readout(view: GraphView, nodes: Sequence[OnnxNode]) -> Readout | None:
    found: dict[str, tuple[OnnxNode, list[list[OnnxNode]]]] = {}
    for name in dict.fromkeys(view.graph.outputs):
        source, output, moves = trace(view, name)
        if source is None:
            continue
        if source.op in _GATES:
            moved_axes(view, output_axes(source, output), moves, _units(view, source))
        elif source.op == "Concat":
            _check_states(view, source)
        else:
            found.setdefault(source.name, (source, []))[1].append(moves)
    if not found:
        return None
    (node, uses), *others = found.values()
    if others:
        raise view.refuse(others[0][0], "is a second readout")
    B, b, axes = _linear_layer(view, node, nodes[-1])
    for moves in uses:
        moved_axes(view, axes, moves, len(B))
    return Readout(B, b)


def _check_states(view: GraphView, node: OnnxNode) -> None:
    """Exports join the last states of all layers to one output."""
    for name in dict.fromkeys(node.inputs):
        source, output, moves = trace(view, name)
        if source is None or source.op not in _GATES:
            raise view.refuse(node, "is neither a state nor a linear layer")
        moved_axes(view, output_axes(source, output), moves, _units(view, source))


def _units(view: GraphView, node: OnnxNode) -> int:
    """H, the columns of the recurrent weights."""
    return _weights(view, node, 2, "R").shape[1]


def _linear_layer(view: GraphView, node: OnnxNode, last: OnnxNode) -> tuple[Array, Array | None, tuple[str, ...]]:
    """B, b and what the axes of the layer's output mean."""
    data, B, b = _gemm(view, node) if node.op == "Gemm" else _matmul(view, node)
    source, output, moves = trace(view, data)
    if source is not last:
        found = "an input of the graph" if source is None else f"{source.name!r} ({source.op})"
        raise view.refuse(node, f"reads {found}, where the outputs of {last.name!r} ({last.op}) are expected")
    axes = () if output == 2 else moved_axes(view, output_axes(last, output), moves, _units(view, last))
    if axes[-1:] != ("unit",):
        raise view.refuse(node, f"does not read the outputs of {last.name!r} with the units last")
    if b is None:
        return B, None, axes
    if b.ndim > len(axes) or b.size not in (1, len(B)) or any(size != 1 for size in b.shape[:-1]):
        raise view.refuse(node, f"adds a bias of shape {b.shape}; it must be ({len(B)},), the same at every step")
    return B, np.broadcast_to(b.reshape(-1), (len(B),)), axes


def _gemm(view: GraphView, node: OnnxNode) -> tuple[str, Array, Array | None]:
    """alpha x W + beta c, with B `(outputs, units)` and b."""
    W, c, attributes = view.constant(node, 1), view.constant(node, 2), node.attributes
    if W is None or W.ndim != 2 or attributes.get("transA"):
        raise view.refuse(node, "is not a linear layer of its first input with constant weights")
    B = attributes.get("alpha", 1.0) * (W if attributes.get("transB") else W.T)
    return node.inputs[0], B, None if c is None else attributes.get("beta", 1.0) * c


def _matmul(view: GraphView, node: OnnxNode) -> tuple[str, Array, Array | None]:
    """x W, or x W + b."""
    b = None
    if node.op == "Add":
        data = [x for x in node.inputs if x not in view.constants]
        constants = [view.constants[x] for x in node.inputs if x in view.constants]
        product = view.maker.get(data[0]) if len(data) == 1 else None
        if product is None or product.op != "MatMul":
            raise view.refuse(node, "makes an output and is not a linear layer")
        b, node = constants[0], product
    if node.op != "MatMul":
        raise view.refuse(node, "makes an output and is not a linear layer; a readout must be linear")
    W = view.constant(node, 1)
    if W is None or W.ndim != 2:
        raise view.refuse(node, "is not a linear layer of its first input with constant weights")
    return node.inputs[0], W.T, b


# One recurrent node.


def _layer(view: GraphView, node: OnnxNode) -> Layer:
    _check_options(view, node)
    W, R = (_weights(view, node, k, name) for k, name in ((1, "W"), (2, "R")))
    rows = _GATES[node.op] * R.shape[1]
    if len(R) != rows or len(W) != rows:
        raise view.refuse(
            node, f"has W of shape {W.shape} and R of shape {R.shape}; both need {_GATES[node.op]} x units rows"
        )
    B = view.constant(node, 3)
    if B is not None and B.size != 2 * rows:
        raise view.refuse(node, f"has a bias B of shape {B.shape}; it must be (1, {2 * rows})")
    b_in, b_rec = np.zeros((2, rows)) if B is None else np.asarray(B, dtype=np.float64).reshape(2, rows)
    if node.op == "RNN":
        return _elman(view, node, R, W, b_in + b_rec)
    order = (1, 0, 2) if node.op == "GRU" else (0, 2, 3, 1)  # z, r, h -> r, u, n;  i, o, f, c -> i, f, g, o
    options = {"reset_after": bool(node.attributes.get("linear_before_reset", 0))} if node.op == "GRU" else {}
    R, W, b_rec, b_in = (reorder_gates(x, order) for x in (R, W, b_rec, b_in))
    return gated(node.op.lower(), R, W, b_rec, b_in, **options)


def _weights(view: GraphView, node: OnnxNode, k: int, name: str) -> Array:
    array = view.constant(node, k)
    if array is None or array.ndim != 3 or len(array) != 1:
        found = "none" if array is None else f"shape {array.shape}"
        raise view.refuse(node, f"needs weights {name} of shape (1, gates x units, columns); it has {found}")
    return array[0]


def _check_options(view: GraphView, node: OnnxNode) -> None:
    attributes = node.attributes
    direction = attributes.get("direction", "forward")
    if direction != "forward":
        raise view.refuse(
            node, f"has direction {direction!r}, which reads the future; only forward runs forward in time"
        )
    if attributes.get("clip") is not None:
        raise view.refuse(node, f"has clip={attributes['clip']:g}, which no family of retime has")
    if attributes.get("input_forget"):
        raise view.refuse(
            node, "couples its input and forget gates (input_forget=1), which the LSTM of retime does not"
        )
    peepholes = view.constant(node, 7) if node.op == "LSTM" else None
    if peepholes is not None and np.any(peepholes):
        raise view.refuse(node, "has peepholes (P), which the LSTM of retime has not")
    if attributes.get("activation_alpha") or attributes.get("activation_beta"):
        raise view.refuse(node, "scales its activations (activation_alpha, activation_beta)")
    wanted = _ACTIVATIONS[node.op]
    if node.op != "RNN" and _activations(node) != wanted:
        raise view.refuse(
            node, f"has the activations {', '.join(_activations(node))}; retime's {node.op} has {', '.join(wanted)}"
        )


def _activations(node: OnnxNode) -> tuple[str, ...]:
    return tuple(x.lower() for x in node.attributes.get("activations") or _ACTIVATIONS[node.op])


def _elman(view: GraphView, node: OnnxNode, R: Array, W: Array, b: Array) -> Layer:
    activations = _activations(node)
    layer = elman(activations[0], R, W, b) if len(activations) == 1 and activations != ("linear",) else None
    if layer is None:
        raise view.refuse(
            node, f"has the activation {', '.join(activations)}; known are tanh, relu, sigmoid and softplus"
        )
    return layer


def _notes(view: GraphView, nodes: Sequence[OnnxNode]) -> tuple[str, ...]:
    """What initial states the graph sets; from another layer they would be part of the dynamics."""
    carrying: set[str] = {name for node in nodes for name in node.outputs}
    for node in view.graph.nodes:
        if node.op != "Shape" and not carrying.isdisjoint(node.inputs):
            carrying.update(node.outputs)
    notes: tuple[str, ...] = ()
    for node in nodes:
        _check_lengths(view, node)
        for name in filter(None, node.inputs[5:7]):
            if name in carrying:
                raise view.refuse(node, "starts from the state of another layer")
            if not _is_zero(view, name):
                notes = (
                    "The initial states that the graph stores or is given are not part of the model; pass them as z0.",
                )
    return notes


def _check_lengths(view: GraphView, node: OnnxNode) -> None:
    """`sequence_lens` stops a sequence early, unless it is computed from the shape of the data: then it is all of it."""
    name = node.inputs[4] if len(node.inputs) > 4 else ""
    if name and not all(maker is not None and maker.op == "Shape" for maker in _origins(view, name)):
        raise view.refuse(
            node, f"has the lengths of its sequences in {name!r} (sequence_lens), after which it would stop"
        )


def _origins(view: GraphView, name: str) -> list[OnnxNode | None]:
    """What a tensor is computed from: nodes that read shapes, and None for an input of the graph or nothing but constants."""
    found: list[OnnxNode | None] = []
    waiting, seen = [name], {name}
    while waiting:
        x = waiting.pop()
        node = view.maker.get(x)
        if x in view.constants:
            continue
        if node is None or node.op == "Shape":
            found.append(node)
            continue
        new = {y for y in node.inputs if y} - seen
        seen |= new
        waiting.extend(new)
    return found or [None]


_SPREADING = (
    "Cast",
    "Concat",
    "Expand",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
)


def _is_zero(view: GraphView, name: str) -> bool:
    """Whether a tensor is zero whatever the data: a constant, or zeros spread to the size of the batch."""
    waiting, seen = [name], {name}
    while waiting:
        x = waiting.pop()
        node = view.maker.get(x)
        if x in view.constants:
            if np.any(view.constants[x]):
                return False
        elif node is not None and node.op == "ConstantOfShape":
            if np.any(node.attributes.get("value", 0)):
                return False
        elif node is not None and node.op in _SPREADING:
            new = set(node.inputs if node.op == "Concat" else node.inputs[:1]) - seen
            seen |= new
            waiting.extend(new)
        else:
            return False
    return True
