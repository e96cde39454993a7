"""Keras models: whole-model HDF5 (Keras 1, 2, 3) and the `.keras` archive (Keras 3), read without Keras.

The configuration is read as JSON and nothing of it is evaluated: a Lambda layer comes back as its class name.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retime.io.archive import read_member
from retime.io.arrays import (
    FREE_BYTES,
    NO_FILE,
    ArrayCollector,
    FileArrays,
    KerasLayer,
    reading,
    refusal,
    widen_bfloat16,
)
from retime.io.hdf5 import attribute, children, open_hdf5, read_dataset

_SAVE = "Save the whole model with model.save('model.keras')."


def read_keras_h5(path: Path) -> FileArrays:
    """Read a whole-model HDF5 file, written by `model.save` of Keras 1, 2 or 3.

    Raises:
        ModelFileError: damaged, or with weights only (the layers' classes and activations are not in such a file).
    """
    collector = ArrayCollector(path, "keras-h5")
    with reading(path, "Keras HDF5 file"), open_hdf5(path) as file:
        if "model_config" not in file.attrs or "model_weights" not in file:
            found = "weights only: the layers' classes are missing"
            raise refusal(path, expected="a whole Keras model (configuration and weights)", found=found, remedy=_SAVE)
        for key in ("keras_version", "backend"):
            if key in file.attrs:
                collector.add_text(key, attribute(file, key))
        config = json.loads(attribute(file, "model_config"))
        layers = [_layer_h5(collector, file["model_weights"], entry) for entry in _layer_configs(path, config)]
        return _finish(collector, layers, config)


def keras_arrays(
    path: Path,
    entries: list[Mapping[str, Any]],
    weights: Mapping[str, list[tuple[str, np.ndarray]]],
    outputs: Any = None,
) -> FileArrays:
    """A live model or layer as a file of it would be read.

    Args:
        path: its class.
        entries: the configuration of each layer. weights: by layer, the path and the value of each.
        outputs: the configuration of a functional model's outputs; None for any other.
    """
    collector = ArrayCollector(path, "keras-object", NO_FILE)
    layers = []
    for entry in entries:
        name = _layer_name(entry)
        paths = [place for place, _ in weights.get(name, ())]
        short = _short_names(paths, name, "layers" in entry["config"])
        values = (collector.real(f"{name}.{key}", x) for key, (_, x) in zip(short, weights.get(name, ()), strict=True))
        layers.append(_described(entry, name, dict(zip(short, values, strict=True))))
    return _finish(collector, layers, {"config": {"output_layers": outputs}})


def _finish(collector: ArrayCollector, layers: list[KerasLayer], config: Mapping[str, Any]) -> FileArrays:
    for layer in layers:
        for name, value in layer.weights.items():
            collector.add_array(f"{layer.name}.{name}", value)
    inner = config["config"]
    outputs = inner.get("output_layers") if isinstance(inner, dict) else None
    return collector.finish(tuple(layers), outputs=tuple(_sources(outputs)))


def _layer_configs(path: Path, config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The layers' entries; Keras before 2.2.3 lists those of a Sequential model directly."""
    inner = config["config"]
    entries = inner if isinstance(inner, list) else inner.get("layers")
    if entries is None:
        found = f"the class {config.get('class_name')}, whose layers only its Python code knows"
        raise refusal(
            path,
            expected="a Sequential or functional Keras model",
            found=found,
            remedy="Rebuild it as a Sequential or functional model with the same layers and save that.",
        )
    return entries


def _layer_name(entry: Mapping[str, Any]) -> str:
    return str(entry["config"].get("name") or entry.get("name") or entry["class_name"].lower())


def _layer_h5(collector: ArrayCollector, weights: Any, entry: Mapping[str, Any]) -> KerasLayer:
    name = _layer_name(entry)
    collector.visit(name)
    arrays: dict[str, np.ndarray] = {}
    if name in weights:
        group = weights[name]
        paths = _name_list(group, "weight_names")
        is_model = "layers" in entry["config"]
        for path, short in zip(paths, _short_names(paths, name, is_model), strict=True):
            arrays[short] = _weight(collector, f"{name}.{short}", group[path])
    return _described(entry, name, arrays)


def _described(entry: Mapping[str, Any], name: str, weights: Mapping[str, np.ndarray]) -> KerasLayer:
    uses = [list(_sources(node)) for node in entry.get("inbound_nodes") or ()]
    calls = tuple(tuple(name for name, _ in use) for use in uses)
    reads = tuple(tuple(k for _, k in use) for use in uses)
    return KerasLayer(class_of(entry), name, entry["config"], weights, calls, reads)


def class_of(entry: Mapping[str, Any]) -> str:
    """The class of a layer's entry; one that is not Keras' own has its package in front, as Keras writes it in HDF5."""
    name, registered = str(entry.get("class_name", "")), str(entry.get("registered_name") or "")
    module = str(entry.get("module", "keras"))
    if module.split(".")[0] in ("keras", "tf_keras", "tensorflow") and ">" not in registered:
        return name
    return registered if ">" in registered else f"custom>{name}"


def _sources(node: Any) -> Iterator[tuple[str, int]]:
    """The layers named in one use, and which of their outputs: ["name", 0, 0, {...}] in Keras 2, tensors with a
    `keras_history` in Keras 3; not the mask."""
    if isinstance(node, dict) and node.get("class_name") == "__keras_tensor__":
        name, _, output = node["config"]["keras_history"]
        yield str(name), int(output)
    elif isinstance(node, dict):
        yield from (source for key, value in node.items() if key != "mask" for source in _sources(value))
    elif isinstance(node, list):
        is_tensor = len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int)
        if is_tensor:
            yield node[0], int(node[2])
        yield from (source for value in (node[3:] if is_tensor else node) for source in _sources(value))


def _name_list(group: Any, key: str) -> list[str]:
    """An attribute with a list of names, which Keras splits (key0, key1, ...) where it is longer than 64 kB."""
    parts = [attribute(group, key)] if key in group.attrs else []
    while f"{key}{len(parts)}" in group.attrs:
        parts.append(attribute(group, f"{key}{len(parts)}"))
    names = [name for part in parts for name in np.asarray(part).tolist()]
    return [name.decode() if isinstance(name, bytes) else name for name in names]


_KERAS_1_NAMES = {"W": "kernel", "U": "recurrent_kernel", "b": "bias"}


def _short_names(paths: list[str], layer: str, is_model: bool) -> list[str]:
    """The last part of each path; where that is ambiguous, or in a nested model, also the layers inside, not cells."""
    split = [path.removesuffix(":0").split("/") for path in paths]
    leaves = [_KERAS_1_NAMES.get(parts[-1].removeprefix(f"{layer}_"), parts[-1]) for parts in split]
    if len(set(leaves)) == len(leaves) and not is_model:
        return leaves
    inside = [parts[parts.index(layer) + 1 : -1] if layer in parts else parts[:-1] for parts in split]
    for is_dropped in (lambda part: part.endswith("_cell"), lambda part: False):
        owners = [[_direction(part) for part in parts if not is_dropped(part)] for parts in inside]
        names = [".".join([*owner, leaf]) for owner, leaf in zip(owners, leaves, strict=True)]
        if len(set(names)) == len(names):
            break
    return names


def _direction(part: str) -> str:
    """Bidirectional's two copies are forward and backward in every version."""
    return next((word for word in ("forward", "backward") if part.startswith(f"{word}_")), part)


def _weight(collector: ArrayCollector, name: str, dataset: Any) -> np.ndarray:
    value = np.asarray(read_dataset(dataset, name, collector))
    is_bfloat16 = value.dtype.kind == "V" and value.dtype.itemsize == 2 and not value.dtype.names
    return collector.real(name, widen_bfloat16(value.view("<u2")) if is_bfloat16 else value)


def read_keras_v3(path: Path) -> FileArrays:
    """Read a `.keras` archive: the configuration as JSON, the weights as HDF5.

    Raises:
        ModelFileError: damaged, without weights, or of a model that is neither Sequential nor functional.
    """
    collector = ArrayCollector(path, "keras-v3")
    with reading(path, "Keras .keras archive"):
        config, data = _members_v3(collector)
        entries = _layer_configs(path, config)
        with open_hdf5(data) as file:
            groups = _layer_groups(file, entries)
            layers = [_layer_v3(collector, groups[_layer_name(entry)], entry) for entry in entries]
        return _finish(collector, layers, config)


def _members_v3(collector: ArrayCollector) -> tuple[Mapping[str, Any], bytearray]:
    path = collector.path
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "model.weights.h5" not in names:
            found = f"no `model.weights.h5` among {names[:5]}"
            raise refusal(path, expected="a whole Keras model", found=found, remedy=_SAVE)
        if "metadata.json" in names:
            metadata = json.loads(read_member(archive, "metadata.json", path, FREE_BYTES // 4))
            collector.add_text("keras_version", metadata.get("keras_version", ""))
        config = json.loads(read_member(archive, "config.json", path, FREE_BYTES // 4))
        return config, read_member(archive, "model.weights.h5", path)


def _layer_groups(group: Any, entries: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The group of each layer, by the name that it carries or by its place among those of its class."""
    folder = next((group[key] for key in ("layers", "_layer_checkpoint_dependencies") if key in group), {})
    parts = [child for _, child in children(folder)] if folder else []
    named = {attribute(x["vars"], "name"): x for x in parts if "vars" in x}
    seen: Counter[str] = Counter()
    groups = {}
    for entry in entries:
        key = _snake_case(entry["class_name"])
        numbered = f"{key}_{seen[key]}" if seen[key] else key
        seen[key] += 1
        name = _layer_name(entry)
        groups[name] = named.get(name) or folder.get(numbered)
    return groups


def _snake_case(name: str) -> str:
    """SimpleRNN -> simple_rnn, as Keras names a layer's group."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])", "_", name).lower()


def _layer_v3(collector: ArrayCollector, group: Any, entry: Mapping[str, Any]) -> KerasLayer:
    name = _layer_name(entry)
    weights = {} if group is None else _weights_v3(collector, name, group, entry)
    return _described(entry, name, weights)


def _weights_v3(collector: ArrayCollector, owner: str, group: Any, entry: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A layer's weights by short name, those of the layers inside it with their names in front."""
    collector.visit(owner)
    weights: dict[str, np.ndarray] = {}
    with collector.inside(owner, group):
        for key, child in children(group):
            if key == "vars":
                weights |= _variables(collector, owner, child, entry)
                continue
            for prefix, part, inner in _parts(key, child, entry):
                found = _weights_v3(collector, f"{owner}.{key}", part, inner)
                weights |= {f"{prefix}{name}": value for name, value in found.items()}
    return weights


def _parts(key: str, child: Any, entry: Mapping[str, Any]) -> list[tuple[str, Any, Mapping[str, Any]]]:
    """(prefix, group, configuration) of what lies inside a layer's group under one key."""
    config = entry["config"]
    if key in ("layers", "_layer_checkpoint_dependencies") and isinstance(config.get("layers"), list):
        return _nested_layers(child, config["layers"])
    if key == "cell":  # a recurrent layer keeps its weights in its cell
        return [("", child, config.get("cell", entry))]
    if key == "layer":  # TimeDistributed
        return [("", child, config["layer"])]
    if key in ("forward_layer", "backward_layer"):
        return [(f"{_direction(key)}.", child, config["layer"])]
    if key == "cells":
        return [(f"{name}.", part, {"class_name": "", "config": {}}) for name, part in children(child)]
    return [(f"{key}.", child, {"class_name": "", "config": {}})]


def _nested_layers(folder: Any, entries: list[Mapping[str, Any]]) -> list[tuple[str, Any, Mapping[str, Any]]]:
    groups = _layer_groups({"layers": folder}, entries)
    named = [(_layer_name(entry), entry) for entry in entries]
    return [(f"{name}.", groups[name], entry) for name, entry in named if groups[name] is not None]


_RECURRENT = ("kernel", "recurrent_kernel", "bias")

_VARIABLES = {
    "SimpleRNN": _RECURRENT, "GRU": _RECURRENT, "LSTM": _RECURRENT, "Dense": ("kernel", "bias"),
    "Embedding": ("embeddings",), "Normalization": ("mean", "variance", "count"),
}  # fmt: skip
"""The order in which a layer makes its variables; the archive stores them under 0, 1, 2. A bias may be missing."""


def _variable_names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    name, config = str(entry["class_name"]), entry["config"]
    if name == "BatchNormalization":
        own = tuple(x for x, key in (("gamma", "scale"), ("beta", "center")) if config.get(key, True))
        return (*own, "moving_mean", "moving_variance")
    return _VARIABLES.get(name.removesuffix("Cell"), ())


def _variables(collector: ArrayCollector, owner: str, group: Any, entry: Mapping[str, Any]) -> dict[str, np.ndarray]:
    datasets = sorted(children(group), key=lambda item: int(item[0]))
    names = _variable_names(entry)
    is_without_bias = names[-1:] == ("bias",) and len(datasets) == len(names) - 1
    if len(datasets) != len(names) and not is_without_bias:
        names = tuple(key for key, _ in datasets)
    return {name: _weight(collector, f"{owner}.{name}", data) for name, (_, data) in zip(names, datasets, strict=False)}
