"""ONNX files, through the `onnx` package: the graph as data. No operation of it is run.

Weights that an export keeps in a file beside the graph are read from it; a path that leaves the folder is refused.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.errors import MissingDependencyError
from retime.io.arrays import ArrayCollector, FileArrays, OnnxGraph, OnnxNode, reading, refusal, widen_bfloat16

_TYPES = {
    1: ("<f4", "float_data"), 2: ("u1", "int32_data"), 3: ("i1", "int32_data"), 4: ("<u2", "int32_data"),
    5: ("<i2", "int32_data"), 6: ("<i4", "int32_data"), 7: ("<i8", "int64_data"), 9: ("?", "int32_data"),
    10: ("<f2", "int32_data"), 11: ("<f8", "double_data"), 12: ("<u4", "uint64_data"), 13: ("<u8", "uint64_data"),
    16: ("<u2", "int32_data"),
}  # fmt: skip
"""NumPy's code of each element type, and the field that holds the elements where they are not raw bytes."""

_BITS = (10, 16)  # float16 and bfloat16 are stored as their bits in `int32_data`

_EXTERNAL = (
    "Copy the file with the weights beside it, or save it with the weights inside: onnx.save(onnx.load(path), path, "
    "save_as_external_data=False)."
)


def read_onnx(path: Path) -> FileArrays:
    """Read the weights (initializers and constants) and the graph of an ONNX file.

    Raises:
        ModelFileError: damaged, or its weights are sparse, or in a file that is missing, too short, or not in the same folder.
        MissingDependencyError: the `onnx` package is not installed.
    """
    onnx = _onnx()
    collector = ArrayCollector(path, "onnx")
    with reading(path, "ONNX file"):
        model = onnx.ModelProto.FromString(path.read_bytes())
        graph = model.graph
        if graph.sparse_initializer:
            raise collector.refuse("sparse_initializer", "sparse weights", "Save them as dense tensors.")
        for tensor in graph.initializer:
            name = _text(tensor.name)
            collector.visit(name)
            collector.add_array(name, _array(collector, name, tensor))
        version = max((int(x.version) for x in model.opset_import if _text(x.domain) in ("", "ai.onnx")), default=1)
        nodes = tuple(_node(collector, node, version) for node in graph.node)
        _add_constants(collector, nodes)
        collector.add_text("producer", f"{_text(model.producer_name)} {_text(model.producer_version)}".strip())
        inputs = tuple(name for x in graph.input if (name := _text(x.name)) not in collector.arrays)
        outputs = tuple(_text(x.name) for x in graph.output)
        shapes = {_text(x.name): _shape(x) for x in (*graph.input, *graph.output, *graph.value_info)}
    return collector.finish(graph=OnnxGraph(nodes, inputs, outputs, shapes))


def _shape(value: Any) -> tuple[int | str | None, ...]:
    """The shape that a graph states for a tensor: lengths, their names, None where it is silent."""
    return tuple(int(d.dim_value) or _text(d.dim_param) or None for d in value.type.tensor_type.shape.dim)


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError("onnx is not installed: pip install 'retime[onnx]'") from error
    return onnx


def _text(value: str | bytes) -> str:
    """A string; in a damaged file it may come as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _node(collector: ArrayCollector, node: Any, version: int) -> OnnxNode:
    inputs, outputs = (tuple(_text(x) for x in names) for names in (node.input, node.output))
    op, domain = _text(node.op_type), _text(node.domain)
    name = _text(node.name) or next(iter(outputs), "") or op
    collector.visit(name)
    attributes = {_text(x.name): _attribute(collector, f"{name}.{_text(x.name)}", x) for x in node.attribute}
    if op == "Softmax":
        attributes.setdefault("axis", -1 if version >= 13 else 1)
    return OnnxNode(op if domain in ("", "ai.onnx") else f"{domain}.{op}", name, inputs, outputs, attributes)


def _attribute(collector: ArrayCollector, name: str, attribute: Any) -> Any:
    collector.visit(name)
    match attribute.type:
        case 1:
            return float(attribute.f)
        case 2:
            return int(attribute.i)
        case 3:
            return _text(attribute.s)
        case 4 if attribute.t.data_type in _TYPES:
            return _array(collector, name, attribute.t)
        case 6 | 7:
            return tuple(attribute.floats or attribute.ints)
        case 8:
            return tuple(_text(x) for x in attribute.strings)
    return None


def _add_constants(collector: ArrayCollector, nodes: tuple[OnnxNode, ...]) -> None:
    for node in nodes:
        value = next((v for k, v in node.attributes.items() if k.startswith("value") and v is not None), None)
        if node.op == "Constant" and node.outputs and isinstance(value, (np.ndarray, int, float, tuple)):
            collector.add_array(node.outputs[0], value)


def _array(collector: ArrayCollector, name: str, tensor: Any) -> np.ndarray:
    """A tensor's elements, after a check that as many are present as its shape says."""
    if tensor.data_type not in _TYPES:
        raise collector.refuse(name, f"elements of ONNX type {tensor.data_type}", "Convert them to float32.")
    shape, (code, typed) = tuple(tensor.dims), _TYPES[tensor.data_type]
    count = math.prod(shape)
    if count < 0 or any(size < 0 for size in shape):
        raise collector.refuse(name, f"a tensor of shape {shape}", "Save it again.")
    if not _is_apart(tensor):
        collector.reserve(name, count * np.dtype(code).itemsize)
    values = _read_apart(collector, name, tensor, code, count) if _is_apart(tensor) else _elements(tensor, code, typed)
    if values.size != count:
        found = f"shape {shape} declared, {values.size} elements present"
        raise collector.refuse(name, found, "Save it again.")
    values = values.reshape(shape)
    return widen_bfloat16(values) if tensor.data_type == 16 else values


def _elements(tensor: Any, code: str, typed: str) -> np.ndarray:
    if tensor.raw_data:
        return np.frombuffer(tensor.raw_data, code)
    values = getattr(tensor, typed)
    if tensor.data_type in _BITS:
        return np.fromiter(values, "<u2", len(values)).view(code)
    return np.fromiter(values, code, len(values))


def _is_apart(tensor: Any) -> bool:
    return tensor.data_location == 1 or bool(tensor.external_data)


def _read_apart(collector: ArrayCollector, name: str, tensor: Any, code: str, count: int) -> np.ndarray:
    """The elements of a tensor whose bytes are in another file, in the folder of the graph or below it."""
    entries = {_text(x.key): _text(x.value) for x in tensor.external_data}
    location = Path(entries.get("location", ""))
    folder = collector.path.parent
    path = folder / location
    is_inside = location.name and not location.is_absolute() and path.resolve().is_relative_to(folder.resolve())
    if not is_inside or not path.is_file():
        found = f"the file {str(location)!r}, which {'is not there' if is_inside else 'is outside its folder'}"
        raise refusal(collector.path, expected=f"`{name}` in this file or beside it", found=found, remedy=_EXTERNAL)
    offset, size = int(entries.get("offset") or 0), count * np.dtype(code).itemsize
    if offset < 0 or int(entries.get("length") or size) != size or offset + size > path.stat().st_size:
        found = f"{entries.get('length', 'no')} bytes from {offset} in {str(location)!r} of {path.stat().st_size}, where {size} are needed"
        raise refusal(collector.path, expected=f"all of `{name}`", found=found, remedy=_EXTERNAL)
    collector.take_from(path, name, size)
    return np.fromfile(path, code, count, offset=offset)
