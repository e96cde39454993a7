"""ONNX files: weights in every encoding, recurrent nodes in one line, and what is refused. The graphs are made here."""

import sys
from pathlib import Path

import numpy as np
import pytest

import retime as rt
from retime.io import load_recognized, read_arrays
from retime.models import GRU, LSTM, LeakyRNN, StackedRNN, TanhRNN

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FIXTURES = Path(__file__).parents[2] / "fixtures"
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
n, m, p = 3, 2, 2


def weights(kind="GRU", k=0, inputs=m, seed=0):
    rng, rows = np.random.default_rng(seed + k), GATES[kind] * n
    shapes = {f"W{k}": (1, rows, inputs), f"R{k}": (1, rows, n), f"B{k}": (1, 2 * rows)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def cell(kind="GRU", k=0, source="x", more=(), **attributes):
    return node(kind, [source, f"W{k}", f"R{k}", f"B{k}", *more], [f"y{k}", f"h{k}"], hidden_size=n, **attributes)


def model_of(nodes, stored, outputs=("y",), inputs=("x",)):
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.DOUBLE, None)  # noqa: E731
    tensors = [
        x if isinstance(x, TensorProto) else numpy_helper.from_array(np.asarray(x), k) for k, x in stored.items()
    ]
    graph = helper.make_graph(nodes, "g", [value(x) for x in inputs], [value(x) for x in outputs], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


@pytest.fixture
def written(tmp_path):
    def write(nodes, stored, outputs=("y",), inputs=("x",)):
        onnx.save(model_of(nodes, stored, outputs, inputs), tmp_path / "net.onnx")
        return tmp_path / "net.onnx"

    return write


AXES = {"axes": np.array([1]), "V": np.full((n, p), 0.5), "c": np.array([1.0, 2.0])}
READOUT = [node("MatMul", ["s", "V"], ["v"]), node("Add", ["c", "v"], ["y"])]


def chain(kind="GRU", between=None, **attributes):
    """Cell, what lies between, linear layer; and the arrays."""
    between = [node("Squeeze", ["y0", "axes"], ["s"])] if between is None else between
    return [cell(kind, **attributes), *between, *READOUT], weights(kind) | AXES


# What is read.


def test_kept_file_is_two_layers_and_a_readout():
    model, recognition = load_recognized(FIXTURES / "toy.onnx", dt=0.5)
    assert isinstance(model, StackedRNN)
    assert [type(x) for x in model.layers] == [GRU, GRU]
    assert (model.num_inputs, model.num_outputs, model.dt) == (2, 2, 0.5)
    assert recognition.reason == "ONNX GRU + GRU + a readout"


def test_arrays_and_operations_are_kept_as_they_are():
    file = read_arrays(FIXTURES / "toy.onnx")
    assert file.format == "onnx"
    assert file.arrays["W0"].dtype == np.float32
    assert file.arrays["axes"].tolist() == [1]
    assert [x.op for x in file.graph.nodes][:3] == ["Constant", "GRU", "Squeeze"]
    assert (file.graph.inputs, file.graph.outputs) == (("x",), ("y",))
    assert file.metadata["producer"] == "retime tests"


@pytest.mark.parametrize(
    ("kind", "attributes", "cls"),
    [
        ("RNN", {}, TanhRNN),
        ("RNN", {"activations": ["Relu"]}, rt.ReluRNN),
        ("RNN", {"activations": ["Softplus"]}, LeakyRNN),
        ("GRU", {"linear_before_reset": 1}, GRU),
        ("LSTM", {"activations": ["Sigmoid", "Tanh", "Tanh"]}, LSTM),
    ],
)
def test_node_decides_the_family(kind, attributes, cls, written):
    assert type(rt.load(written(*chain(kind, **attributes)))) is cls


def test_gates_are_put_in_our_order(written):
    nodes, stored = chain("LSTM")
    model = rt.load(written(nodes, stored))
    into, out, forget, new = np.split(stored["R0"][0], 4)
    np.testing.assert_array_equal(model.W_rec, np.concatenate([into, forget, new, out]))
    gru = rt.load(written(*chain("GRU")))
    update, reset, new = np.split(weights()["B0"][0, : 3 * n], 3)
    np.testing.assert_array_equal(gru.b_in, np.concatenate([reset, update, new]))
    assert gru.reset_after is False


def test_missing_bias_is_zero(written):
    nodes, stored = chain()
    nodes[0] = node("GRU", ["x", "W0", "R0"], ["y0"], hidden_size=n)
    assert not rt.load(written(nodes, stored)).b_in.any()


def test_network_without_a_readout_is_read(written):
    assert rt.load(written([cell()], weights(), ("y0", "h0"))).readout is None


@pytest.mark.parametrize(
    "between",
    [
        [node("Squeeze", ["y0"], ["s"])],
        [node("Transpose", ["y0"], ["t"], perm=[0, 2, 1, 3]), node("Reshape", ["t", "shape"], ["s"])],
        [node("Squeeze", ["y0", "axes"], ["t"]), node("Reshape", ["t", "rows"], ["s"])],
        [node("Squeeze", ["y0", "axes"], ["t"]), node("Gather", ["t", "last"], ["s"], axis=0)],
        [node("Squeeze", ["y0", "axes"], ["t"]), node("Slice", ["t", "last1", "end", "zero"], ["s"])],
        [node("Gather", ["y0", "first"], ["t"], axis=1), node("Identity", ["t"], ["s"])],
        [node("Squeeze", ["h0", "zero"], ["s"])],
        [
            node("Squeeze", ["y0", "axes"], ["t"]),
            node("Unsqueeze", ["t", "zero"], ["u"]),
            node("Dropout", ["u"], ["s"]),
        ],
    ],
    ids=["no axes", "reshape", "rows", "last step", "slice", "direction", "last state", "unsqueeze"],
)
def test_readout_is_found_behind_what_moves_axes(between, written):
    nodes, stored = chain(between=between)
    stored |= {"shape": np.array([0, 0, -1]), "rows": np.array([-1, n]), "last": np.array(-1), "first": np.array(0)}
    stored |= {"last1": np.array([-1]), "end": np.array([2**31]), "zero": np.array([0])}
    model = rt.load(written(nodes, stored))
    np.testing.assert_array_equal(model.readout.B, AXES["V"].T)
    np.testing.assert_array_equal(model.readout.b, AXES["c"])


def test_scaled_gemm_is_a_readout(written):
    nodes = [cell(), node("Squeeze", ["h0"], ["s"]), node("Gemm", ["s", "V", "c"], ["y"], alpha=2.0, beta=3.0)]
    model = rt.load(written(nodes, weights() | AXES))
    np.testing.assert_array_equal(model.readout.B, 2.0 * AXES["V"].T)
    np.testing.assert_array_equal(model.readout.b, 3.0 * AXES["c"])


def test_unfolded_weights_are_put_together(written):
    """As PyTorch writes them without constant folding: transposes, slices and concatenations of its own arrays."""
    stored = weights() | AXES
    W, R = stored.pop("W0"), stored.pop("R0")
    stored |= {"w": W[0].T, "r": np.concatenate([R[0], np.zeros((4, n))]), "lo": np.array([0]), "hi": np.array([3 * n])}
    stored |= {"b1": stored["B0"][0, : 3 * n], "b2": stored["B0"][0, 3 * n :], "zero": np.array([0])}
    stored |= {"one_row": np.array([1, -1])}
    del stored["B0"]
    nodes, _ = chain()
    made = [
        node("Transpose", ["w"], ["wt"]),
        node("Unsqueeze", ["wt", "zero"], ["W0"]),
        node("Slice", ["r", "lo", "hi", "lo"], ["rs"]),
        node("Unsqueeze", ["rs", "zero"], ["R0"]),
        node("Concat", ["b1", "b2"], ["b"], axis=0),
        node("Reshape", ["b", "one_row"], ["B0"]),
    ]
    assert rt.load(written([*made, *nodes], stored)) == rt.load(written(*chain()))


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (TensorProto.FLOAT, "float_data"),
        (TensorProto.DOUBLE, "double_data"),
        (TensorProto.FLOAT16, "int32_data"),
        (TensorProto.BFLOAT16, "int32_data"),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_weights_are_read_in_every_encoding(kind, field, raw, written):
    exact = np.round(weights()["R0"] * 4) / 4  # few bits, so that every type holds them
    bits = exact.astype(np.float32).view(np.uint32) >> 16
    encoded = {
        TensorProto.FLOAT: exact.astype(np.float32),
        TensorProto.DOUBLE: exact,
        TensorProto.FLOAT16: exact.astype(np.float16).view(np.uint16),
        TensorProto.BFLOAT16: bits.astype(np.uint16),
    }[kind]
    tensor = TensorProto(name="R0", data_type=kind, dims=exact.shape)
    if raw:
        tensor.raw_data = encoded.tobytes()
    else:
        getattr(tensor, field).extend(encoded.ravel().tolist())
    nodes, stored = chain()
    np.testing.assert_array_equal(read_arrays(written(nodes, stored | {"R0": tensor})).arrays["R0"], exact)


def test_initial_states_in_the_graph_are_noted(written):
    nodes, stored = chain(more=("", "start"))
    recognition = load_recognized(written(nodes, stored | {"start": np.ones((1, 1, n))}))[1]
    assert "initial states that the graph stores or is given are not part of the model" in recognition.notes[0]
    assert load_recognized(written(nodes, stored | {"start": np.zeros((1, 1, n))}))[1].notes == ()


def test_initial_states_that_are_computed_are_noted_unless_zero(written):
    spread = [node("Shape", ["x"], ["size"]), node("Expand", ["one", "size"], ["start"])]
    nodes, stored = chain(more=("", "start"))
    noted = load_recognized(written([*spread, *nodes], stored | {"one": np.ones((1, 1, n))}))[1]
    assert "not part of the model; pass them as z0" in noted.notes[0]
    assert load_recognized(written([*spread, *nodes], stored | {"one": np.zeros((1, 1, n))}))[1].notes == ()
    zeros = [node("Shape", ["x"], ["size"]), node("ConstantOfShape", ["size"], ["start"])]
    assert load_recognized(written([*zeros, *nodes], stored))[1].notes == ()
    assert load_recognized(written(nodes, stored, inputs=("x", "start")))[1].notes == noted.notes


def test_lengths_of_sequences_are_refused_unless_they_are_all_of_them(written):
    nodes, stored = chain(more=("lens",))
    match = r"node 'y0' \(GRU\) has the lengths of its sequences in 'lens' \(sequence_lens\)"
    for more, inputs in (({"lens": np.array([2], "i4")}, ("x",)), ({}, ("x", "lens"))):
        with pytest.raises(rt.ModelFileError, match=match):
            rt.load(written(nodes, stored | more, inputs=inputs))
    whole = [node("Shape", ["x"], ["size"]), node("Gather", ["size", "axes"], ["lens"])]
    assert rt.load(written([*whole, *nodes], stored)).num_states == n


@pytest.mark.parametrize(
    "after",
    [
        [node("Transpose", ["z"], ["y"], perm=[1, 0, 2])],
        [node("Gather", ["z", "last"], ["y"], axis=0)],
        [node("Slice", ["z", "last1", "end", "zero"], ["y"])],
        [node("Cast", ["z"], ["y"], to=TensorProto.FLOAT)],
        [node("Reshape", ["z", "rows"], ["r"]), node("Reshape", ["r", "whole"], ["y"])],
    ],
    ids=["transpose", "last step", "slice", "cast", "rows"],
)
def test_axes_of_time_and_batch_may_be_moved_after_the_readout(after, written):
    nodes, stored = chain()
    stored |= {"last": np.array(-1), "last1": np.array([-1]), "end": np.array([2**31]), "zero": np.array([0])}
    stored |= {"rows": np.array([-1, p]), "whole": np.array([5, -1, p])}
    model = rt.load(written([*nodes[:-1], node("Add", ["c", "v"], ["z"]), *after], stored))
    np.testing.assert_array_equal(model.readout.B, AXES["V"].T)


@pytest.mark.parametrize(
    ("after", "match"),
    [
        ([node("Gather", ["z", "order"], ["y"], axis=2)], r"node 'y' \(Gather\) reads some of the units only"),
        ([node("Slice", ["z", "end", "start", "two", "back"], ["y"])], r"node 'y' \(Slice\) reads some of the units only"),
        ([node("Slice", ["z", "end", "start", "zero", "back"], ["y"])], r"node 'y' \(Slice\) reorders the steps in time"),
        ([node("Gather", ["z", "order"], ["y"], axis=0)], r"node 'y' \(Gather\) reorders the steps in time"),
        ([node("Cast", ["z"], ["i"], to=TensorProto.INT32), node("Cast", ["i"], ["y"], to=11)], "another type than floats"),
        ([node("Reshape", ["z", "mixed"], ["y"])], r"to \[-1, 1, 1\], which may mix units, samples and steps"),
        ([node("Squeeze", ["z", "two"], ["y"])], "drops the axis of units"),
        ([node("Identity", ["z" if k == 0 else f"i{k}"], [f"i{k + 1}"]) for k in range(101)] + [node("Identity", ["i101"], ["y"])],
         "more than 100 operations in a row that only move axes"),
    ],
)  # fmt: skip
def test_what_changes_the_readout_after_it_is_refused(after, match, written):
    nodes, stored = chain()
    stored |= {"order": np.array([1, 0]), "two": np.array([2]), "zero": np.array([0]), "back": np.array([-1])}
    stored |= {"start": np.array([-(2**31)]), "end": np.array([2**31]), "mixed": np.array([-1, 1, 1])}
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(written([*nodes[:-1], node("Add", ["c", "v"], ["z"]), *after], stored))


def test_states_given_as_outputs_must_be_whole_and_in_order(written):
    nodes = [cell(), node("Gather", ["y0", "order"], ["y"], axis=3)]
    with pytest.raises(rt.ModelFileError, match="reads some of the units only"):
        rt.load(written(nodes, weights() | {"order": np.array([2, 1, 0])}))


@pytest.mark.parametrize("shape", [(2, 1), (2, p), (1, 1, 1, p), (5, 1, 1)])
def test_bias_that_is_not_one_for_each_output_is_refused(shape, written):
    nodes, stored = chain()
    with pytest.raises(
        rt.ModelFileError, match=r"node 'y' \(Add\) adds a bias of shape .*; it must be \(2,\), the same at"
    ):
        rt.load(written(nodes, stored | {"c": np.ones(shape)}))
    gemm = [cell(), node("Squeeze", ["h0"], ["s"]), node("Gemm", ["s", "V", "c"], ["y"])]
    with pytest.raises(rt.ModelFileError, match=r"node 'y' \(Gemm\) adds a bias"):
        rt.load(written(gemm, stored | {"c": np.ones(shape)}))


# What is refused.


def two(source, extra=(), more=()):
    nodes = [cell("GRU"), *extra, cell("GRU", 1, source, more), node("Squeeze", ["y1", "axes"], ["s"]), *READOUT]
    arrays = weights() | weights(k=1, inputs=n) | AXES
    return nodes, arrays | {
        "zero": np.array([0]),
        "shape": np.array([-1, 1, n]),
        "turned": np.array([1, -1, n]),
        "back": np.array([-1]),
    }


SQUEEZE = node("Squeeze", ["y0", "axes"], ["s0"])


@pytest.mark.parametrize(
    ("graph", "match"),
    [
        (chain(direction="reverse"), r"node 'y0' \(GRU\) has direction 'reverse', which reads the future"),
        (chain(direction="bidirectional"), "has direction 'bidirectional'"),
        (chain(clip=1.0), "has clip=1, which no family of retime has"),
        (chain(activations=["HardSigmoid", "Tanh"]), "has the activations hardsigmoid, tanh; retime's GRU has sigmoid, tanh"),
        (chain("RNN", activations=["Elu"]), "has the activation elu; known are tanh, relu"),
        (chain("RNN", activations=["Tanh"], activation_alpha=[2.0]), "scales its activations"),
        (chain("LSTM", input_forget=1), "couples its input and forget gates"),
        (chain(between=[node("Softmax", ["y0"], ["s"], axis=0)]), r"node 's' \(Softmax\) is a Softmax over another axis"),
        (chain(between=[node("LpNormalization", ["y0"], ["s"])]), r"node 'v' \(MatMul\) reads 's' \(LpN.*where the outputs of a recurrent node"),
        (chain(between=[node("Identity", ["x"], ["s"])]), r"node 'v' \(MatMul\) reads an input of the graph"),
        (chain(between=[node("Transpose", ["y0"], ["s"])]), "does not read the outputs of 'y0' with the units last"),
        (chain(between=[node("Reshape", ["y0", "axes"], ["s"])]), r"reshapes axes \(time, direction, batch, unit\) to \[1\]"),
        (chain(between=[node("Squeeze", ["y0", "V"], ["s"])]), "does not fit a tensor with the axes"),
        (two("s0", [SQUEEZE, node("Mul", ["s0", "s0"], ["s1"])]), None),
        (two("s1", [SQUEEZE, node("Mul", ["s0", "s0"], ["s1"])]), r"node 's1' \(Mul\) .* joins several tensors"),
        (two("s1", [SQUEEZE, node("Relu", ["s0"], ["s1"])]), "node 'y1' .GRU. reads the function 'relu' of a layer without memory"),
        (two("x"), r"node 'y1' \(GRU\) reads an input of the graph, where 'y0' \(GRU\) is expected"),
        (two("y0"), "does not read the outputs of 'y0' step by step"),
        (two("h0"), "does not read the outputs of 'y0' step by step"),
        (two("t", [SQUEEZE, node("Transpose", ["s0"], ["t"], perm=[1, 0, 2])]), "does not read the outputs of 'y0' step"),
        (two("t", [SQUEEZE, node("Slice", ["s0", "back", "back", "zero", "back"], ["t"])]), "that is reordered"),
        (two("t", [SQUEEZE, node("Reshape", ["s0", "shape"], ["t"])]), None),
        (two("t", [SQUEEZE, node("Reshape", ["s0", "turned"], ["t"])]), r"to \[1, -1, 3\], which may mix units, samples and"),
        (two("s0", [SQUEEZE], ("", "h0")), "starts from the state of another layer"),
        (([node("Relu", ["x"], ["y"])], AXES), r"has no recurrent node \(its operations: Relu\)"),
    ],
)  # fmt: skip
def test_graph_that_is_not_read_is_named(graph, match, written):
    if match is None:
        assert rt.load(written(*graph)).num_states == 2 * n
        return
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(written(*graph))


@pytest.mark.parametrize(
    ("last", "match"),
    [
        (
            [node("LpNormalization", ["z"], ["y"])],
            r"node 'y' \(LpNormalization\) makes an output and is not a linear layer; a readout must be",
        ),
        ([node("Div", ["V", "z"], ["y"])], "divides a constant by the data"),
        ([node("Add", ["z", "z"], ["y"])], r"node 'y' \(Add\) makes an output and is not a linear layer"),
        ([node("MatMul", ["z", "z"], ["y"])], "it joins several tensors"),
        ([node("MatMul", ["z", "c"], ["y"])], "not a linear layer of its first input with constant weights"),
        ([node("Gemm", ["z", "V"], ["y"], transA=1)], "not a linear layer of its first input with constant weights"),
        ([node("Concat", ["z", "x"], ["y"], axis=0)], "is neither a state nor a linear layer"),
        ([node("MatMul", ["z", "V"], ["y"]), node("MatMul", ["z", "V"], ["y2"])], "is a second readout"),
        (
            [node("Gather", ["z", "axes"], ["t"], axis=2), node("MatMul", ["t", "V"], ["y"])],
            "reads some of the units only",
        ),
        ([node("Squeeze", ["z", "two"], ["t"]), node("MatMul", ["t", "V"], ["y"])], "drops the axis of units"),
    ],
)
def test_output_that_is_no_linear_readout_is_named(last, match, written):
    nodes = [cell(), node("Squeeze", ["y0", "axes"], ["z"]), *last]
    outputs = [x for x in ("y", "y2") if any(x in k.output for k in last)]
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(written(nodes, weights() | AXES | {"two": np.array([2])}, outputs))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"W0": np.ones((1, 8, m))}, r"W of shape \(8, 2\) and R of shape \(9, 3\); both need 3 x units rows"),
        (
            {"R0": np.ones((2, 9, n))},
            r"needs weights R of shape \(1, gates x units, columns\); it has shape \(2, 9, 3\)",
        ),
        ({"B0": np.ones((1, 9))}, r"a bias B of shape \(1, 9\); it must be \(1, 18\)"),
        ({"W0": None}, "reads 'W0', which must be a constant and is computed"),
        ({"V": np.ones((4, p))}, r"node 'v' \(MatMul\) reads 4 numbers where 3 are given"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, match, written):
    nodes, stored = chain()
    kept = {k: v for k, v in (stored | change).items() if v is not None}
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(written(nodes, kept, inputs=["x", *(k for k, v in change.items() if v is None)]))


def test_peepholes_are_refused_unless_zero(written):
    nodes, stored = chain("LSTM", more=("", "", "", "P"))
    assert isinstance(rt.load(written(nodes, stored | {"P": np.zeros((1, 3 * n))})), LSTM)
    with pytest.raises(rt.ModelFileError, match=r"has peepholes \(P\)"):
        rt.load(written(nodes, stored | {"P": np.ones((1, 3 * n))}))


def test_given_family_must_be_that_of_the_nodes(written):
    with pytest.raises(rt.ModelFileError, match="the file says itself that it is gru, not 'plrnn'"):
        rt.load(written(*chain()), family="plrnn")


def test_constants_that_do_not_fit_are_refused(written):
    nodes, stored = chain()
    nodes.insert(0, node("Reshape", ["V", "axes"], ["unused"]))
    with pytest.raises(rt.ModelFileError, match="does not fit its constants"):
        rt.load(written(nodes, stored))


def test_constants_that_multiply_are_stopped(written):
    nodes, stored = chain()
    stored["a0"] = np.ones(2**20)
    nodes = [*(node("Concat", [f"a{k}", f"a{k}"], [f"a{k + 1}"], axis=0) for k in range(60)), *nodes]
    with pytest.raises(rt.ModelFileError, match="makes constants far larger than the file"):
        rt.load(written(nodes, stored))


def stored_elsewhere(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            stored_elsewhere,
            r"found the file 'weights.bin', which is not there\. Copy the file with the weights beside it",
        ),
        (lambda x: x.dims.__setitem__(1, 10), "declared, 27 elements present"),
        (lambda x: x.dims.__setitem__(1, -1), r"a tensor of shape \(1, -1, 3\)"),
        (lambda x: x.dims.__setitem__(1, 2**40), "arrays far larger than the file"),
        (lambda x: setattr(x, "raw_data", x.raw_data[:-3]), "truncated or damaged one"),
        (lambda x: setattr(x, "data_type", TensorProto.COMPLEX64), "elements of ONNX type 14"),
    ],
)
def test_damaged_or_foreign_weights_are_refused(change, match, tmp_path):
    model = model_of(*chain())
    change(next(x for x in model.graph.initializer if x.name == "R0"))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(tmp_path / "net.onnx")


def test_layers_around_recurrent_nodes_are_folded(written):
    below = [node("MatMul", ["x", "P"], ["a"]), node("Add", ["q", "a"], ["b"]), node("Div", ["b", "d"], ["s"])]
    above = [node("Squeeze", ["y0", "axes"], ["z"]), node("MatMul", ["z", "V"], ["v"]), node("Sub", ["c", "v"], ["u"])]
    above += [node("Mul", ["u", "d"], ["t"]), node("Softmax", ["t"], ["w"]), node("MatMul", ["w", "V2"], ["y"])]
    rng = np.random.default_rng(1)
    stored = {"P": rng.normal(size=(4, m)), "q": rng.normal(size=m), "d": np.array([2.0, -0.5]), "V2": np.ones((p, 3))}
    path = written([*below, cell(source="s"), *above], weights() | AXES | stored)
    model, recognition = load_recognized(path)
    alone = rt.load(written([cell()], weights(), ("y0",)))
    z, s = rng.normal(size=n), rng.normal(size=4)
    new = alone.step(z, (s @ stored["P"] + stored["q"]) / stored["d"])
    np.testing.assert_allclose(model.step(z, s), new, rtol=0, atol=1e-14)
    x = np.exp((AXES["c"] - z @ AXES["V"]) * stored["d"])
    np.testing.assert_allclose(model.outputs(z), x / x.sum(), rtol=0, atol=1e-14)
    assert "Not read: 'y' (MatMul)" in recognition.sentence("")


def test_softmax_of_old_versions_is_over_its_own_axis(written):
    nodes, stored = chain()
    path = written([*nodes, node("Softmax", ["y"], ["w"])], stored, ("w",))
    assert rt.load(path).readout.activation == "softmax"
    old = onnx.load(path)
    old.opset_import[0].version = 11
    path.write_bytes(old.SerializeToString())
    with pytest.raises(rt.ModelFileError, match="is a Softmax over another axis than the outputs"):
        rt.load(path)


# Weights in a file beside the graph.


def saved_apart(tmp_path, location="weights.bin", **entries):
    """The model of `chain`, with R0 elsewhere, and R0."""
    model = model_of(*chain())
    tensor = next(x for x in model.graph.initializer if x.name == "R0")
    data, offset = tensor.raw_data, 16
    (tmp_path / "sub").mkdir(exist_ok=True)
    (tmp_path / "sub" / "net.onnx").parent.joinpath("weights.bin").write_bytes(b"\0" * offset + data)
    (tmp_path / "weights.bin").write_bytes(b"\0" * offset + data)
    stored_elsewhere(tensor)
    del tensor.external_data[:]
    for key, value in ({"location": location, "offset": offset, "length": len(data)} | entries).items():
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    (tmp_path / "sub" / "net.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "sub" / "net.onnx"


@pytest.mark.parametrize("entries", [{}, {"length": None}])
def test_weights_beside_the_graph_are_read(entries, tmp_path, written):
    assert rt.load(saved_apart(tmp_path, **entries)) == rt.load(written(*chain()))


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({"location": "../weights.bin"}, "which is outside its folder"),
        ({"location": "/etc/hostname"}, "which is outside its folder"),
        ({"location": ""}, "which is outside its folder"),
        ({"location": "other.bin"}, "found the file 'other.bin', which is not there"),
        ({"offset": 24}, "from 24 in 'weights.bin' of 232, where 216 are needed"),
        ({"offset": -8}, "where 216 are needed"),
        ({"length": 8}, "found 8 bytes from 16 in"),
        ({"length": "much"}, "truncated or damaged"),
    ],
)
def test_weights_that_are_not_beside_the_graph_are_refused(entries, match, tmp_path):
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(saved_apart(tmp_path, **entries))


def test_a_link_that_leaves_the_folder_is_refused(tmp_path):
    path = saved_apart(tmp_path)
    path.with_name("weights.bin").unlink()
    path.with_name("weights.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(rt.ModelFileError, match="which is outside its folder"):
        rt.load(path)


# What today's exporter of PyTorch writes: one axis of length 1 is joined to the units, with sizes given or computed.


def dynamo(target, shape=None):
    """x (batch, time, unit) -> GRU -> (time, batch, 1, unit) -> the three axes of `target` -> (batch, time, unit) -> outputs."""
    nodes = [node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]), cell(source="xt", linear_before_reset=1)]
    nodes += [node("Transpose", ["y0"], ["yt"], perm=[0, 2, 1, 3]), *target, node("Reshape", ["yt", "shape"], ["r"])]
    nodes += [node("Transpose", ["r"], ["s"], perm=[1, 0, 2]), *READOUT]
    model = model_of(
        nodes,
        weights() | AXES | {"k": np.array([1]), "l": np.array([0]), "two": np.array([2]), "minus": np.array([-1])},
    )
    if shape is not None:
        model.graph.value_info.append(helper.make_tensor_value_info("yt", TensorProto.DOUBLE, shape))
    return model


def computed(last="product"):
    parts = {"t": ("l", "k"), "b": ("k", "two"), "d": ("two", "three"), "u": ("three", "four")}
    nodes = [node("Constant", [], ["three"], value_ints=[3]), node("Constant", [], ["four"], value_ints=[4])]
    nodes += [node("Shape", ["yt"], ["all"], start=0)]
    nodes += [node("Slice", ["all", *ends], [name]) for name, ends in parts.items()]
    nodes += [node("Mul", ["d", "u"], ["du"]), node("Reshape", ["du", "minus"], ["product"])]
    return [*nodes, node("Concat", ["t", "b", last], ["shape"], axis=0)]


FIXED = [node("Constant", [], ["shape"], value_ints=[6, 4, n])]


@pytest.mark.parametrize(
    ("target", "shape"), [(FIXED, [6, 4, 1, n]), (FIXED, [6, 4, "d", n]), (computed(), None), (computed("u"), None)]
)
def test_a_reshape_that_drops_an_axis_of_one_mixes_nothing(target, shape, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(dynamo(target, shape).SerializeToString())
    model = rt.load(path)
    assert (type(model), model.num_outputs) == (GRU, p)


@pytest.mark.parametrize(
    ("target", "shape"),
    [(FIXED, None), (FIXED, [4, 6, 1, n]), (FIXED, ["t", "b", 1, n]), (computed("t"), None), (computed("b"), None)],
)
def test_a_reshape_that_may_mix_steps_and_samples_is_refused(target, shape, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(dynamo(target, shape).SerializeToString())
    with pytest.raises(rt.ModelFileError, match="which may mix units, samples and steps"):
        rt.load(path)


def test_sparse_weights_are_refused(tmp_path):
    model = model_of(*chain())
    model.graph.sparse_initializer.add()
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(rt.ModelFileError, match="sparse weights"):
        rt.load(tmp_path / "net.onnx")


def test_missing_package_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(rt.MissingDependencyError, match=r"pip install 'retime\[onnx\]'"):
        rt.load(FIXTURES / "toy.onnx")
