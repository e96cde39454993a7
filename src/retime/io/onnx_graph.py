"""From an ONNX graph to a network: recurrent nodes in one line, and what only moves axes between them.

Nothing of the graph is run. Operations that move or drop axes are followed by the names of the axes (`onnx_view`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from retime.io.onnx_path import Path, path_to
from retime.io.onnx_view import SUPPORTED, GraphView, moved_axes, output_axes, trace
from retime.io.recurrent import Layer, elman, fed_through, gated, network, read_through, reorder_gates

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
            f"{file.path}: the ONNX graph has no recurrent node (its operations: {kinds}); {SUPPORTED}. {_UNROLLED}"
        )
    layers = [_fed(view, below, node) for below, node in zip([None, *nodes], nodes, strict=False)]
    check_family(file, family, layers)
    readout, unread = _readout(view, nodes)
    model = network(layers, readout, time, options, stacked=family == "stacked_rnn")
    kinds = " + ".join([*(x.op for x in nodes), *(["a readout"] if readout else [])])
    return model, Recognition(model.family, f"ONNX {kinds}", (), (*unread, *_notes(view, nodes)))


_UNROLLED = (
    "An export of PyTorch may have written its steps one by one, as it does for nn.RNN: export with torch.onnx.export(..., dynamo=False), or "
    "save the weights with torch.save(model.state_dict(), path)."
)


# Connections.


def _fed(view: GraphView, below: OnnxNode | None, node: OnnxNode) -> Layer:
    """A recurrent node as a layer. It reads all outputs of the one before, over the same time, and the first a graph input; affine
    layers on the way are part of its input weights."""
    layer = _layer(view, node)
    path = path_to(view, node.inputs[0], None if below is not None else 0)
    if path.source is not below:
        found = "an input of the graph" if path.source is None else f"{path.source.name!r} ({path.source.op})"
        wanted = "an input of the graph" if below is None else f"{below.name!r} ({below.op})"
        raise view.refuse(node, f"reads {found}, where {wanted} is expected")
    if path.selects:
        raise view.refuse(node, "reads a part of a sequence, or one that is reordered (Slice, Gather)")
    if path.activation != "linear":
        raise view.refuse(
            node, f"reads the function {path.activation!r} of a layer without memory, which is not affine"
        )
    if not path.layers and below is not None:
        path.axes = moved_axes(view, output_axes(below, path.output), path.moves, view.units(below))
    order = ("batch", "time", "unit") if node.attributes.get("layout") else ("time", "batch", "unit")
    if below is not None and (path.output != 0 or path.axes != order):
        raise view.refuse(node, f"does not read the outputs of {below.name!r} step by step")
    if path.layers and path.axes[-1:] != ("unit",):
        raise view.refuse(node, "does not read the units of the linear layer before it")
    for affine in reversed(path.layers):
        layer = fed_through(layer, affine)
    return layer


# The readout: every output of the graph is a state of the line, or what the layers after it make of the last outputs.


def _readout(view: GraphView, nodes: Sequence[OnnxNode]) -> tuple[Readout | None, tuple[str, ...]]:
    """The readout, and a note on what is not read."""
    found: dict[str, Path] = {}
    for name in dict.fromkeys(view.graph.outputs):
        path = path_to(view, name)
        source = path.source
        if source is None and not path.nodes:
            continue
        if source is not None and source.op == "Concat" and not path.nodes:
            _check_states(view, source)
        elif source is not None and source.op in _GATES and not path.nodes:
            moved_axes(view, output_axes(source, path.output), path.moves, view.units(source))
        elif source is not nodes[-1]:
            shown = "an input of the graph" if source is None else f"{source.name!r} ({source.op})"
            if not path.nodes and source is not None:
                raise view.refuse(source, "makes an output and is not a linear layer; a readout must be linear")
            raise view.refuse(
                path.nodes[0], f"reads {shown}, where the outputs of {nodes[-1].name!r} ({nodes[-1].op}) are expected"
            )
        else:
            found.setdefault(path.nodes[-1].name, path)
    if not found:
        return None, ()
    path, *others = found.values()
    if others:
        raise view.refuse(others[0].nodes[-1], "is a second readout")
    readout = read_through(Readout(np.eye(view.units(nodes[-1]))), path.layers)
    return replace(readout, activation=path.activation), _unread(path)


def _unread(path: Path) -> tuple[str, ...]:
    if not path.unread:
        return ()
    shown = ", ".join(f"{x.name!r} ({x.op})" for x in path.unread)
    return (f"Not read: {shown}; the outputs are what is before.",)


def _check_states(view: GraphView, node: OnnxNode) -> None:
    """Exports join the last states of all layers to one output."""
    for name in dict.fromkeys(node.inputs):
        source, output, moves = trace(view, name)
        if source is None or source.op not in _GATES:
            raise view.refuse(node, "is neither a state nor a linear layer")
        moved_axes(view, output_axes(source, output), moves, view.units(source))


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
    "Cast", "Concat", "Expand", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze",
)  # fmt: skip


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
