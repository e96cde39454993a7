"""Keras files, written by Keras 3 (fixtures), Keras 2.3 (published) and, by hand, laid out as Keras 1 did."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from retime.core.errors import ModelFileError
from retime.io.formats import read_arrays

FIXTURES = Path(__file__).parents[2] / "fixtures"


def content(name: str) -> bytes:
    return gzip.decompress((FIXTURES / f"{name}.gz").read_bytes())


def read(name: str, folder: Path):
    (folder / name).write_bytes(content(name))
    return read_arrays(folder / name)


BOTH = pytest.mark.parametrize("suffix", ["h5", "keras"])


@BOTH
def test_layers_come_in_network_order(suffix, tmp_path):
    layers = read(f"sequential.{suffix}", tmp_path).layers
    assert [(layer.class_name, layer.name) for layer in layers if layer.weights] == [
        ("SimpleRNN", "first"),
        ("SimpleRNN", "second"),
        ("Dense", "readout"),
    ]


@BOTH
def test_functional_layers_come_in_network_order(suffix, tmp_path):
    layers = read(f"functional.{suffix}", tmp_path).layers
    names = ["InputLayer", "Bidirectional", "Lambda", "TimeDistributed", "Sequential", "Dense"]
    assert [layer.class_name for layer in layers] == names


@BOTH
def test_weights_have_short_names(suffix, tmp_path):
    layers = {layer.name: layer for layer in read(f"sequential.{suffix}", tmp_path).layers}
    assert {name: set(layers[name].weights) for name in ("first", "second", "readout")} == {
        "first": {"kernel", "recurrent_kernel", "bias"},
        "second": {"kernel", "recurrent_kernel"},
        "readout": {"kernel", "bias"},
    }


@BOTH
def test_weights_inside_wrappers_and_nested_models_are_told_apart(suffix, tmp_path):
    layers = {layer.name: set(layer.weights) for layer in read(f"functional.{suffix}", tmp_path).layers}
    parts = ("kernel", "recurrent_kernel", "bias")
    assert layers["both"] == {f"{way}.{part}" for way in ("forward", "backward") for part in parts}
    assert layers["each"] == {"kernel", "bias"}
    assert layers["nested"] == {"inner.kernel", "inner.bias"}


@BOTH
def test_configuration_is_kept(suffix, tmp_path):
    layers = {layer.name: layer for layer in read(f"sequential.{suffix}", tmp_path).layers}
    assert (layers["first"].config["activation"], layers["second"].config["use_bias"]) == ("relu", False)


@BOTH
def test_lambda_is_named_and_not_evaluated(suffix, tmp_path):
    layer = next(layer for layer in read(f"functional.{suffix}", tmp_path).layers if layer.name == "double")
    assert (layer.class_name, dict(layer.weights)) == ("Lambda", {})


@BOTH
def test_bfloat16_weights_become_float32(suffix, tmp_path):
    assert read(f"functional.{suffix}", tmp_path).arrays["narrow.kernel"].dtype == np.float32


def test_version_goes_to_the_metadata(tmp_path):
    assert read("sequential.keras", tmp_path).metadata["keras_version"].startswith("3.")


def test_weights_without_architecture_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"found weights only: .*model\.save\('model\.keras'\)"):
        read("sequential.weights.h5", tmp_path)


def test_keras_2_model_from_a_publication_is_read(data):
    path = data / "flipflop_simplernn_n400.hdf5"
    recurrent, readout = read_arrays(path).layers
    assert (recurrent.class_name, readout.class_name) == ("SimpleRNN", "Dense")
    assert {name: value.shape for name, value in recurrent.weights.items()} == {
        "kernel": (3, 400),
        "recurrent_kernel": (400, 400),
    }
    with h5py.File(path) as file:
        stored = file["model_weights/simple_rnn_10/simple_rnn_10/recurrent_kernel:0"][()]
    np.testing.assert_array_equal(recurrent.weights["recurrent_kernel"], stored, strict=True)


def write_keras_1(path: Path, names: list[str]) -> None:
    config = {"class_name": "Sequential", "config": [{"class_name": "SimpleRNN", "config": {"name": "rnn_1"}}]}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights/rnn_1")
        group.attrs["weight_names"] = [name.encode() for name in names]
        for i, name in enumerate(names):
            group[name] = np.full((2, 2), float(i))


def test_keras_1_names_are_translated(tmp_path):
    """Keras 1 lists a Sequential model's layers directly and calls the weights W, U and b."""
    write_keras_1(tmp_path / "m.h5", ["rnn_1_W", "rnn_1_U", "rnn_1_b"])
    weights = read_arrays(tmp_path / "m.h5").layers[0].weights
    assert {name: value[0, 0] for name, value in weights.items()} == {"kernel": 0, "recurrent_kernel": 1, "bias": 2}


def repack(folder: Path, changes: dict[str, bytes | None]) -> Path:
    path = folder / "changed.keras"
    with zipfile.ZipFile(io.BytesIO(content("sequential.keras"))) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = changes.get(name, source.read(name))
            if data is not None:
                target.writestr(name, data)
    return path


def test_archive_without_weights_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"found no `model\.weights\.h5`"):
        read_arrays(repack(tmp_path, {"model.weights.h5": None}))


def test_subclassed_model_is_refused(tmp_path):
    config = json.dumps({"class_name": "MyNetwork", "config": {}}).encode()
    with pytest.raises(ModelFileError, match="the class MyNetwork, whose layers only its Python code knows"):
        read_arrays(repack(tmp_path, {"config.json": config}))


def test_configuration_nested_too_deep_is_an_error(tmp_path):
    with pytest.raises(ModelFileError, match="RecursionError"):
        read_arrays(repack(tmp_path, {"config.json": b'{"config":' * 100_000}))


def test_layer_of_an_unknown_class_keeps_its_weights(tmp_path):
    with zipfile.ZipFile(io.BytesIO(content("sequential.keras"))) as archive:
        config = archive.read("config.json").replace(b'"class_name": "Dense"', b'"class_name": "MyDense"')
    layer = read_arrays(repack(tmp_path, {"config.json": config})).layers[-1]
    assert (layer.class_name, set(layer.weights)) == ("MyDense", {"0", "1"})
