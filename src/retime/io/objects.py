"""Live objects as the arrays of a file: PyTorch modules, Keras models and layers, dictionaries of arrays or tensors.

Nothing is imported to read them: each object is asked by its own methods (`state_dict`, `named_modules`, `get_config`, `to_json`), and none
is changed. The arrays are copies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.io.arrays import NO_FILE, ArrayCollector, FileArrays, reading, refusal
from retime.io.keras import keras_arrays
from retime.io.pickle_machine import Opaque, Unread
from retime.io.tree import collect, describe


def arrays_of(value: Any) -> FileArrays:
    """The named arrays of a live object.

    Args:
        value: a PyTorch module or state dict, a Keras model or layer, a mapping of names to arrays, tensors, numbers or further
            mappings.

    Returns:
        A `FileArrays` of format "object" (for Keras "keras-object"), its `path` the class of the object; the arrays are copies.

    Raises:
        TypeError: an object of another kind. ModelFileError: one without weights.
    """
    path = Path(type(value).__name__)
    if isinstance(value, Mapping):
        collector = ArrayCollector(path, "object", NO_FILE)
        collect(collector, _tree(value, set()))
    elif hasattr(value, "get_config") and hasattr(value, "weights"):  # with PyTorch below Keras these are modules too
        return _of_keras(path, value)
    elif callable(getattr(value, "state_dict", None)) and callable(getattr(value, "named_modules", None)):
        collector = _of_module(path, value)
    else:
        raise TypeError(
            f"`path` is a {type(value).__module__}.{type(value).__qualname__}; load takes the path of a weights file, a PyTorch module or "
            "state dict, a Keras model or layer, or a dictionary of named arrays such as {'W_rec': ..., 'W_in': ...}."
        )
    return collector.finish()


def as_numbers(name: str, value: Any) -> Array:
    """Numbers, an array or a tensor of any library as float64.

    Raises:
        TypeError: it is none.
    """
    array = _array(value)
    array = np.asarray(value) if array is None and isinstance(value, (list, tuple)) else array
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise TypeError(f"`{name}` is a {type(value).__name__}; it must be an array or a tensor of real numbers.")
    return array.astype(np.float64)


# Dictionaries.


def _tree(value: Any, inside: set[int]) -> Any:
    """The value with its arrays as NumPy arrays and what is neither as an `Opaque`."""
    if isinstance(value, np.generic):
        return value.item() if value.dtype.kind in "biufSU" else np.asarray(value)
    if value is None or isinstance(value, (str, int, float, bytes)):
        return value
    if id(value) in inside:
        return Unread("a reference in a circle")
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        inside.add(id(value))
        if isinstance(value, Mapping):
            tree: Any = {
                key if isinstance(key, (str, int, tuple)) else str(key): _tree(x, inside) for key, x in value.items()
            }
        else:
            tree = [_tree(x, inside) for x in value]
        inside.discard(id(value))
        return tree
    array = _array(value)
    return Opaque(f"{type(value).__module__}.{type(value).__qualname__}") if array is None else array


def _array(value: Any) -> np.ndarray | Unread | None:
    """A copy of an array or tensor of any library; None for anything else."""
    if hasattr(value, "detach") and hasattr(value, "layout"):
        value = _of_tensor(value)
    if isinstance(value, Unread):
        return value
    value = value.toarray() if hasattr(value, "toarray") else value  # of SciPy's sparse matrices
    if not (isinstance(value, np.ndarray) or hasattr(value, "__array__")):
        return None
    array = np.array(value)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _of_tensor(value: Any) -> np.ndarray | Unread:
    """A PyTorch tensor of any layout, type and device, as NumPy shows it."""
    if getattr(value, "is_quantized", False):
        return Unread("a quantized tensor, whose values are codes; give its .dequantize()")
    if getattr(value, "is_meta", False):
        return Unread("a tensor on the device meta, without values")
    value = value.detach().cpu()
    if str(value.layout) != "torch.strided":
        value = value.to_dense()
    if str(value.dtype) == "torch.bfloat16":
        value = value.float()  # exact: its bits with zeros behind them
    if hasattr(value, "resolve_conj"):
        value = value.resolve_conj().resolve_neg()
    return value.numpy()


# PyTorch modules.

_SCRIPTED = ("mode", "nonlinearity")


def _of_module(path: Path, module: Any) -> ArrayCollector:
    collector = ArrayCollector(path, "object", NO_FILE)
    collect(collector, _tree(module.state_dict(), set()))
    for name, part in module.named_modules():
        kind = type(part)
        scripted = {
            key: getattr(part, key) for key in _SCRIPTED if hasattr(part, key)
        }  # TorchScript keeps them elsewhere
        describe(collector, name, f"{kind.__module__}.{kind.__qualname__}", vars(part) | scripted)
    return collector


# Keras models and layers.


def _of_keras(path: Path, value: Any) -> FileArrays:
    with reading(path, "Keras model or layer with its weights"):
        layers = list(value.layers) if hasattr(value, "layers") else [value]
        entries, outputs, remarks = _model_entries(value) if hasattr(value, "layers") else ([_entry(value)], None, ())
        weights = {
            layer.name: [(str(getattr(w, "path", w.name)), _values(w)) for w in layer.weights] for layer in layers
        }
        if not any(weights.values()):
            remedy = "Call it on inputs once, then load it."
            raise refusal(path, expected="a built Keras model or layer", found="no weights yet", remedy=remedy)
        return replace(keras_arrays(path, entries, weights, outputs), remarks=remarks)


def _values(variable: Any) -> Any:
    value = variable.value
    return _array(variable.numpy() if callable(value) else value)  # Keras 2: value() is a tensor


def _model_entries(model: Any) -> tuple[list[Mapping[str, Any]], Any, tuple[str, ...]]:
    """The layers' entries as the model's configuration has them, its outputs, and remarks."""
    config: Any = None
    with suppress(NotImplementedError, TypeError, ValueError, KeyError):  # what a class of one's own may answer
        config = json.loads(model.to_json())["config"]
    if isinstance(config, dict) and isinstance(config.get("layers"), list):
        return config["layers"], config.get("output_layers"), ()
    remark = (
        "Only the code of the class says how its layers are connected: they are taken one after the other, as it holds them; known "
        "outputs decide, check=(inputs, outputs)."
    )
    return [_entry(layer) for layer in model.layers], None, (remark,)


def _entry(layer: Any) -> Mapping[str, Any]:
    """A layer's entry; a cell counts as the layer of its kind."""
    kind = type(layer)
    config = json.loads(json.dumps(layer.get_config(), default=str))
    name = (
        kind.__name__.removesuffix("Cell")
        if kind.__name__ in ("SimpleRNNCell", "GRUCell", "LSTMCell")
        else kind.__name__
    )
    return {"class_name": name, "module": kind.__module__, "config": config, "name": layer.name}
