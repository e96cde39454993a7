"""Damaged, truncated and hostile weights files, made from good ones; and a run over them that counts what goes wrong.

`python tests/fuzzing.py FIRST STOP FOLDER` loads the files number FIRST to STOP - 1 and prints one JSON object. File k is the same in every
run. A crash of the process is seen by whoever started it.
"""

from __future__ import annotations

import gzip
import io
import json
import pickletools
import struct
import sys
import traceback
import tracemalloc
import warnings
import zipfile
import zlib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).parent / "fixtures"
SEED = 20261126
SECRET = 1234.5678
SLACK = 2**23
"""Bytes that decoding may take beside the arrays: text, JSON, the decoders themselves."""

HAS_ONNX = find_spec("onnx") is not None
HUGE = (2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 2**40, 2**24, 0, 1)


def fixture(name: str) -> bytes:
    path = FIXTURES / name
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


PLRNN = {
    "A": np.full(3, 0.5),
    "W": np.eye(3)[::-1] / 3,
    "h": np.ones(3),
    "C": np.ones((3, 1)),
    "B": np.ones((1, 3)),
    "z0": np.ones((2, 3)),
}
GATED = {"rnn.weight_ih_l0": np.ones((9, 2)), "rnn.weight_hh_l0": np.ones((9, 3)), "rnn.bias_ih_l0": np.ones(9), "rnn.bias_hh_l0": np.ones(9),
         "fc.weight": np.ones((1, 3)), "fc.bias": np.ones(1)}  # fmt: skip


def plrnn_npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **PLRNN, note="text")
    return stream.getvalue()


def plrnn_mat() -> bytes:
    import scipy.io

    stream = io.BytesIO()
    cell = np.empty((1, 2), dtype=object)
    cell[0] = [np.ones(3), np.ones((3, 1))]
    scipy.io.savemat(stream, {"net": PLRNN, "mu0": cell, "name": "x"}, do_compression=True)
    return stream.getvalue()


def plrnn_hdf5(is_matlab: bool) -> bytes:
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512) as file:
        for name, array in PLRNN.items():
            file[name] = array.T
            if is_matlab:
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
    head = b"MATLAB 7.3 MAT-file" if is_matlab else b"HDF5-based Julia Data Format"
    return head.ljust(512, b"\0") + stream.getvalue()[512:]


def gated_legacy() -> bytes:
    """The same as PyTorch before 1.6 writes it: pickles in a row, then the storages."""
    program, members = gated_pickle(legacy=True)
    keys = b"\x80\x02](" + b"".join(text(name.rpartition("/")[2]) for name in members) + b"e."
    facts = b"\x80\x02}" + text("little_endian") + b"\x88s."
    tail = b"".join(struct.pack("<q", len(data) // 4) + data for data in members.values())
    return b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"\x80\x02M\xe9\x03." + facts + program + keys + tail


def gated_pt() -> bytes:
    """A checkpoint of a GRU: the state dict, an epoch, and a device."""
    program, members = gated_pickle()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("net/data.pkl", program)
        for name, data in members.items():
            archive.writestr(f"net/{name}", data)
    return stream.getvalue()


def gated_pickle(legacy=False) -> tuple[bytes, dict[str, bytes]]:
    """Its pickle, and its storages."""
    program, members = b"\x80\x02}" + text("model") + b"}(", {}
    for key, (name, array) in enumerate(GATED.items()):
        members[f"data/{key}"] = array.astype("<f4").tobytes()
        sizes = [array.shape, tuple(s // 4 for s in array.astype("f4").strides)]
        shape, strides = (b"(" + b"".join(b"J" + struct.pack("<i", k) for k in x) + b"t" for x in sizes)
        place = (
            b"("
            + text("storage")
            + b"ctorch\nFloatStorage\n"
            + text(str(key))
            + text("cpu")
            + b"J"
            + struct.pack("<i", array.size)
            + (b"NtQ" if legacy else b"tQ")
        )
        program += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + place + b"K\0" + shape + strides + b"\x89}tR"
    program += b"us" + text("epoch") + b"K\x03s" + text("device") + b"ctorch\ndevice\n" + text("cpu") + b"\x85Rs."
    return program, members


def gated_safetensors() -> bytes:
    header, body = {}, b""
    for name, array in GATED.items():
        data = array.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    encoded = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    return struct.pack("<Q", len(encoded)) + encoded + body


def native_npz() -> bytes:
    import tempfile

    import retime as rt

    with tempfile.TemporaryDirectory() as folder:
        inner = rt.PLRNN(np.full(3, 0.5), np.eye(3) / 3, np.ones(3))
        layers = (
            rt.TanhRNN(np.eye(2), np.ones((2, 1)), np.zeros(2)),
            rt.GRU(np.ones((6, 2)), np.ones((6, 2)), np.zeros(6), np.zeros(6)),
        )
        for model in (
            rt.StackedRNN(layers),
            rt.to_discrete(rt.to_continuous(inner).model, 0.5, method=rt.ZeroOrderHold()).model,
        ):
            yield rt.save(model, Path(folder) / "m.npz").read_bytes()


def seeds() -> dict[str, list[bytes]]:
    """Good files by suffix; those of one kind in one list."""
    found = {
        ".mat": [fixture("toy_v5.mat"), plrnn_mat()], ".v73.mat": [fixture("toy_v73.mat.gz"), plrnn_hdf5(True)],
        ".pt": [fixture("toy.pt.gz"), fixture("toy_protocol4.pt.gz"), fixture("whole_module.pt.gz"), gated_pt(), gated_pt()],
        ".legacy.pt": [fixture("legacy.pt"), gated_legacy()],
        ".safetensors": [fixture("toy.safetensors"), gated_safetensors(), gated_safetensors()],
        ".npz": [fixture("toy.npz"), plrnn_npz()], ".native.npz": list(native_npz()),
        ".h5": [fixture("sequential.h5.gz"), fixture("functional.h5.gz")],
        ".keras": [fixture("sequential.keras.gz"), fixture("functional.keras.gz")],
        ".jld2": [fixture("toy.jld2.gz"), plrnn_hdf5(False)],
    }  # fmt: skip
    return found | ({".onnx": [fixture("toy.onnx")]} if HAS_ONNX else {})


# Damage to bytes.


def flipped(data, rng):
    out = bytearray(data)
    for _ in range(rng.integers(1, 9) if data else 0):
        out[rng.integers(len(out))] = rng.choice([0, 255, int(rng.integers(256))])
    return bytes(out)


def truncated(data, rng):
    return data if len(data) < 2 else data[: rng.integers(1, len(data))]


def spliced(data, rng):
    """A section moved, doubled or left out."""
    a, b, c = sorted(rng.integers(0, len(data) + 1, 3))
    return [data[:a] + data[b:c] + data[a:b] + data[c:], data[:b] + data[a:b] + data[b:], data[:a] + data[b:]][
        rng.integers(3)
    ]


MARKS = (b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR", b"FRHP", b"FHDB", b"BTHD", b"BTLF", b"OCHK", b"\x89HDF", b"PK\x03\x04", b"PK\x01\x02",
         b"PK\x05\x06", b"NUMPY", b"MATLAB")  # fmt: skip


def with_huge_numbers(data, rng):
    """Sizes and offsets behind the marks of structures, or anywhere, that are absurd."""
    out = bytearray(data or b"\0")
    places = [i for mark in MARKS for i in _places(data, mark)] or [0]
    for _ in range(rng.integers(1, 4)):
        start = (
            int(rng.choice(places)) + int(rng.integers(0, 64)) if rng.random() < 0.7 else int(rng.integers(len(out)))
        )
        width = int(rng.choice([2, 4, 8]))
        value = HUGE[rng.integers(len(HUGE))] % 2 ** (8 * width)
        out[start : start + width] = value.to_bytes(width, "little")
    return bytes(out[: len(data)])


def _places(data, mark, most=200):
    found, start = [], data.find(mark)
    while start >= 0 and len(found) < most:
        found.append(start)
        start = data.find(mark, start + 1)
    return found


GENERIC = (flipped, truncated, spliced, with_huge_numbers)


# Zip archives: the members are changed and the checksums are right.


def rewritten(data, change):
    """The archive with change(name, bytes) -> [(name, bytes), ...] for each member."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # members of one name
        for name in old.namelist():
            for pair in change(name, old.read(name)):
                new.writestr(*pair)
    return stream.getvalue()


def members_damaged(data, rng):
    def change(name, content):
        if rng.random() < 0.3 and content:
            content = GENERIC[rng.integers(4)](content, rng)
        kind = rng.random()
        return (
            []
            if kind < 0.05
            else [(name, content)] * 2
            if kind < 0.1
            else [(name[::-1] if kind < 0.13 else name, content)]
        )

    return rewritten(data, change)


HEADERS = ("'shape': (1000000000000, 1000000000)", "'shape': (-1, 3)", "'shape': (3, -3)", "'shape': 'x'", "'shape': (2**62,)",
           "'shape': ()", "'shape': (0, 4611686018427387904)", "'shape': (1e3,)", "'shape': " + "(" * 90 + ")" * 90,
           "'shape': (True,)", "'shape': " + "-" * 3000 + "1")  # fmt: skip
DTYPES = (
    "|O",
    "V8",
    "<f16",
    "<c16",
    "<M8[ns]",
    "<U100000000",
    "|S0",
    "<U0",
    "V0",
    "x",
    "<f8, (1000000,1000000)f8",
    ">i3",
    "|b1",
    "<u8",
)


def npy_hostile(data, rng):
    """One array's header says something else."""
    target = int(rng.integers(3))

    def change(name, content):
        nonlocal target
        target -= 1
        if not name.endswith(".npy") or target != -1:
            return [(name, content)]
        shape, dtype = HEADERS[rng.integers(len(HEADERS))], DTYPES[rng.integers(len(DTYPES))]
        shape = shape if rng.random() < 0.6 else "'shape': (3,)"
        header = (
            f"{{'descr': '{dtype if rng.random() < 0.6 else '<f8'}', 'fortran_order': False, {shape}, }}\n".encode()
        )
        body = b"\0" * 24 if rng.random() < 0.7 else hostile_pickle(rng)
        return [(name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body)]

    return rewritten(data, change)


def npz_bomb(data, rng):
    """Zeros that take a thousandth of their size: as an array of the network, or beside it."""
    zeros = np.zeros(int(rng.integers(1, 5)) * 2**20, np.float64)
    stream = io.BytesIO()
    np.save(stream, zeros)
    add = [("extra.npy", stream.getvalue())]

    def change(name, content):
        nonlocal add
        first, add = add, []
        return [(name, content), *first]

    return rewritten(data, change)


def sizes_lie(data, rng):
    """The sizes in the directory of the archive."""
    out = bytearray(data)
    for place in _places(data, b"PK\x01\x02"):
        if rng.random() < 0.5:
            field = int(rng.choice([20, 24, 42]))
            out[place + field : place + field + 4] = int(rng.choice([0, 1, 2**24, 2**31, 2**32 - 1])).to_bytes(
                4, "little"
            )
    return bytes(out)


# Pickles.


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


PAYLOADS = (
    b"cposix\nsystem\n" + text("mkdir {}") + b"\x85R", b"cbuiltins\nexec\n" + text("import os; os.mkdir('{}')") + b"\x85R",
    b"(S'mkdir {}'\niposix\nsystem\n", b"cos\nmkdir\n" + text("{}") + b"\x85R", b"ctorch\nload\n" + text("{}") + b"\x85R",
    b"cnumpy\nfromfile\n" + text("{}") + b"\x85R", b"cnumpy.testing\nrundocs\n" + text("{}") + b"\x85R", b"cargparse\nNamespace\n)\x81}b",
    b"ccollections\nOrderedDict\n)R}b", b"ctorch\ndevice\n" + text("cpu") + b"\x85R", b"cpathlib\nPosixPath\n" + text("/") + b"\x85R",
    b"c_codecs\nencode\n" + text("x") + b"\x85R", b"]\x94h\x00a", b"}\x94" + text("a") + b"h\x00s", b"(((((((((lllllllll", b"\x82\x01",
    b"(t" * 3000, b"]" * 3000, b"K\x01\x85" * 2000, b"cfunctools\npartial\ncos\nmkdir\n" + text("{}") + b"\x86R)R", b"\x8e" + b"\xff" * 8,
    b"B\xff\xff\xff\x7f", b"X\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f", b"cbuiltins\ngetattr\n(ctorch\ndevice\n" + text("__class__") + b"tR",
)  # fmt: skip


def hostile_pickle(rng, sentinel="EXECUTED"):
    payload = PAYLOADS[rng.integers(len(PAYLOADS))].replace(b"{}", sentinel.encode())
    return b"\x80\x02}" + text("x") + payload + b"s."


def pickle_hostile(data, rng):
    """Instructions put into the pickle of a checkpoint."""

    def change(name, content):
        return [(name, pickle_changed(content, rng) if name.endswith("data.pkl") else content)]

    return rewritten(data, change)


def pickle_changed(content, rng):
    """Another pickle, or instructions put into this one."""
    if rng.random() < 0.3:
        return hostile_pickle(rng)
    try:
        places = [place for _, _, place in pickletools.genops(content)]
    except ValueError:
        places = [2]
    place = int(rng.choice(places))
    payload = PAYLOADS[rng.integers(len(PAYLOADS))].replace(b"{}", b"EXECUTED")
    extra = payload + (b"" if rng.random() < 0.5 else b"0")
    return content[:place] + extra + content[place:]


def legacy_hostile(data, rng):
    """One of the pickles in a row is another, or the whole is one pickle."""
    starts, stream = [0], io.BytesIO(data)
    for _ in range(5):
        for _ in pickletools.genops(stream):
            pass
        starts.append(stream.tell())
    k = int(rng.integers(2, 5))
    head, body, tail = data[: starts[k]], data[starts[k] : starts[k + 1]], data[starts[k + 1] :]
    changed = pickle_changed(body, rng)
    return changed if rng.random() < 0.2 else head + changed + tail


# JSON: headers and configurations.

VALUES = (None, -1, 0, 2**63, 1e308, float("nan"), "", "x", [], {}, [[]], {"a": {}}, True, "os.system", ["x", 0, 0, {}], {"config": None},
          [1e9, 1e9], "F128", "../secret")  # fmt: skip


def json_damaged(value, rng):
    """One place of a JSON value is something else, a copy of another place, or nested deep."""
    value = json.loads(json.dumps(value))
    places: list = []

    def walk(node):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            places.append((node, key))
            walk(child)

    walk(value)
    room = 900  # levels that the encoder can still write
    for _ in range(rng.integers(1, 4)):
        node, key = places[rng.integers(len(places))]
        kind = rng.random()
        if kind < 0.6:
            node[key] = VALUES[rng.integers(len(VALUES))]
        elif kind < 0.8:
            other, place = places[rng.integers(len(places))]
            node[key] = (
                json.loads(json.dumps(other[place]))
                if key in (node if isinstance(node, dict) else range(len(node)))
                else 0
            )
        elif kind < 0.9 and isinstance(node, dict):
            node.pop(key, None)
        else:
            depth = min(int(rng.choice([3, 60, 900])), room)
            room -= depth
            for _ in range(depth):
                node[key] = {"config": node[key], "class_name": "Sequential"} if rng.random() < 0.5 else [node[key]]
    return value


def keras_config(data, rng):
    return rewritten(
        data, lambda n, c: [(n, json.dumps(json_damaged(json.loads(c), rng)).encode() if n == "config.json" else c)]
    )


def native_header(data, rng):
    def change(name, content):
        if name != "retime.npy":
            return [(name, content)]
        header = json.loads(str(np.load(io.BytesIO(content))))
        stream = io.BytesIO()
        np.save(stream, np.array(json.dumps(json_damaged(header, rng))))
        return [(name, stream.getvalue())]

    return rewritten(data, change)


def safetensors_header(data, rng):
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    header = json_damaged(header, rng)
    if rng.random() < 0.2:
        header = {
            f"{k}": {"dtype": "F32", "shape": [len(body) // 4], "data_offsets": [0, len(body)]} for k in range(500)
        }
    encoded = json.dumps(header).encode() if rng.random() < 0.9 else b'{"a":' * 5000
    return struct.pack("<Q", len(encoded)) + encoded + body


# MATLAB v5.


def element(kind, body):
    return struct.pack("<II", kind, len(body)) + body + b"\0" * (-len(body) % 8)


def matrix(kind, shape, name, parts, flags=0):
    head = element(6, struct.pack("<II", kind | flags << 8, 0)) + element(5, np.array(shape, "<i4").tobytes())
    return element(14, head + element(1, name) + parts)


def mat_hostile(data, rng):
    """A variable beside good ones, or in place of them."""
    number = element(9, np.ones(4).tobytes())
    deep = matrix(6, (2, 2), b"x", number)
    for _ in range(int(rng.choice([2, 40, 1500]))):
        deep = matrix(1, (1, 1), b"c", deep)
    cases = (
        matrix(6, (2**31 - 1, 2**31 - 1), b"x", number), matrix(6, (-2, -2), b"x", number), matrix(1, (10**6, 10**3), b"c", deep),
        deep, matrix(5, (1, 1), b"s", element(5, struct.pack("<i", -1)) + element(1, b"a\0b\0")), matrix(17, (1, 1), b"o", number),
        matrix(2, (1, 1), b"s", element(5, struct.pack("<i", 0)) + element(1, b"ab")), matrix(4, (1, 4), b"t", element(16, b"\xff" * 4)),
        matrix(5, (5, 1), b"x", number), matrix(6, (2, 2), b"x", number, flags=8), matrix(6, (2, 2), b"x", element(99, b"\0" * 32)),
        element(15, zlib.compress(element(14, b"\0" * 2**22))),
        element(15, zlib.compress(matrix(6, (2**19, 1), b"x", element(9, b"\0" * 2**22)))),
        element(15, b"x\x9c" + b"\xff" * 30), element(14, b""), matrix(6, (2, 2), b"h", number),
    )  # fmt: skip
    case = cases[rng.integers(len(cases))]
    return data[:128] + (case + data[128:] if rng.random() < 0.7 else case)


# HDF5.


def h5_hostile(data, rng, folder):
    """Links to itself and to other files, datasets kept elsewhere, absurd shapes, unusual types."""
    import h5py

    path = folder / "work.h5"
    path.write_bytes(data)
    with h5py.File(path, "r+") as file:
        groups = [file, *(file[k] for k in file if isinstance(file[k], h5py.Group))]
        group = groups[rng.integers(len(groups))]
        for _ in range(rng.integers(1, 4)):
            name = ("x", "W", "z0", "var", "vars")[rng.integers(5)] + str(rng.integers(3))
            if name not in group:
                h5_extra(h5py, group, name, int(rng.integers(14)), folder)
    return path.read_bytes()


def h5_extra(h5py, group, name, kind, folder):
    secret = str(folder / "secret.h5")
    match kind:
        case 0:
            group[name] = group
        case 1:
            group[name] = h5py.SoftLink("/" + name)
        case 2:
            group[name] = h5py.ExternalLink(secret, "/x")
        case 3:
            group.create_dataset(name, (4,), "f8", external=[(str(folder / "secret.bin"), 0, 32)])
        case 4:
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource(secret, "x", (4,))
            group.create_virtual_dataset(name, layout)
        case 5:
            group.create_dataset(name, (2**40,), "f8", chunks=(2**10,))
        case 6:
            group.create_dataset(name, (2**20, 2**20), "f8")
        case 7:
            group.create_dataset(name, (3,), h5py.vlen_dtype(np.float64))
        case 8:
            group.create_dataset(name, (2,), h5py.regionref_dtype)
        case 9:
            data = group.create_dataset(name, (2, 1), h5py.ref_dtype)
            data[:] = data.ref
            data.attrs["MATLAB_class"] = np.bytes_("cell")
        case 10:
            inner = group
            for _ in range(300):
                inner = inner.require_group("g")
        case 11:
            group[name] = h5py.Empty("f8")
        case 12:
            group.create_dataset(name, data=np.zeros(2**19), chunks=(2**16,), compression="gzip").attrs[
                "MATLAB_class"
            ] = np.bytes_("double")
        case _:
            group.create_dataset(name, data=np.ones(3) * 1j)


# ONNX.


def onnx_hostile(data, rng):
    import onnx

    model = onnx.ModelProto.FromString(data)
    graph = model.graph
    tensors, nodes = list(graph.initializer), list(graph.node)
    tensor, node = tensors[rng.integers(len(tensors))], nodes[rng.integers(len(nodes))]
    match int(rng.integers(8)):
        case 0:
            tensor.data_location = 1
            tensor.external_data.add(key="location", value="../secret.bin")
        case 1:
            tensor.dims[:] = [int(rng.choice([2**40, -1, 0, 2**62]))] * 2
        case 2:
            tensor.data_type = int(rng.integers(0, 30))
        case 3:
            node.input[:] = [*node.output[:1], *node.input[1:]]
        case 4:
            tensor.ClearField("raw_data")
            tensor.float_data.extend([0.5] * int(rng.integers(0, 10**5)))
        case 5:
            node.op_type = ("Loop", "If", "Reshape", "Transpose", "Concat", "Gather")[rng.integers(6)]
        case 6:
            node.attribute.add(name="perm", type=7).ints.extend([2**40, -7])
        case _:
            graph.node.extend([node] * 50)
    return model.SerializeToString()


SPECIAL = {
    ".mat": (mat_hostile,), ".pt": (members_damaged, pickle_hostile, pickle_hostile, sizes_lie), ".safetensors": (safetensors_header,),
    ".legacy.pt": (legacy_hostile,),
    ".npz": (members_damaged, npy_hostile, npz_bomb, sizes_lie), ".native.npz": (members_damaged, native_header, native_header),
    ".keras": (members_damaged, keras_config, keras_config, sizes_lie), ".onnx": (onnx_hostile,),
}  # fmt: skip
HDF5 = (".v73.mat", ".h5", ".jld2")


def hostile(number: int, good: dict[str, list[bytes]], folder: Path) -> tuple[str, bytes]:
    """Name and content of file `number`."""
    rng = np.random.default_rng([SEED, number])
    suffix = list(good)[number % len(good)]
    data = good[suffix][rng.integers(len(good[suffix]))]
    if rng.random() < 0.75 and (suffix in SPECIAL or suffix in HDF5):
        ways = SPECIAL.get(suffix, ())
        data = ways[rng.integers(len(ways))](data, rng) if ways else h5_hostile(data, rng, folder)
        if rng.random() < 0.9 and data:
            return f"f{suffix}", data
    return f"f{suffix}", GENERIC[rng.integers(4)](data or b"\0", rng)


# The run.


def run(numbers, folder: Path) -> dict:
    """Load the files and count: read, refused, anything else with its traceback, memory, secrets, code."""
    import h5py

    import retime as rt
    from retime.io import initial_states_of, read_arrays

    folder.mkdir(exist_ok=True)
    with h5py.File(folder / "secret.h5", "w") as file:
        file["x"] = np.full(4, SECRET)
    (folder / "secret.bin").write_bytes(np.full(4, SECRET).tobytes())
    good = seeds()
    found: dict = {"counts": Counter(), "wrong": [], "large": [], "secrets": [], "worst": 0.0}
    for number in numbers:
        name, data = hostile(number, good, folder)
        path = folder / name
        path.write_bytes(data)
        file = _measure(read_arrays, path, len(data), number, found)
        found["counts"][_loaded(rt, path, file, initial_states_of, number, found)] += 1
    found["executed"] = (folder / "EXECUTED").exists() or Path("EXECUTED").exists()
    return found


def _loaded(rt, path, file, initial_states_of, number, found):
    try:
        model = rt.load(path)
        initial_states_of(file, model.num_states)
    except rt.ModelFileError as error:
        return "refused" if str(path) in str(error) else "refused without its name"
    except Exception:
        found["wrong"].append((number, traceback.format_exc()[-1500:]))
        return "error"
    return "read"


def _measure(read_arrays, path, size, number, found):
    tracemalloc.start()
    try:
        file = read_arrays(path)
    except Exception:  # counted by `_loaded`
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    arrays = [*file.arrays.values(), *(x for parts in file.cells.values() for x in parts)]
    held = sum(x.nbytes for x in arrays)
    found["worst"] = max(found["worst"], (peak - SLACK) / max(held, size))
    if peak > 2 * max(held, size) + SLACK:
        found["large"].append((number, peak, held, size))
    if any(x.dtype.kind == "f" and (x == SECRET).any() for x in arrays):
        found["secrets"].append(number)
    return file


if __name__ == "__main__":
    import logging
    import resource

    logging.getLogger("retime").setLevel(logging.CRITICAL)
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (2**33, resource.RLIM_INFINITY))
    result = run(range(int(sys.argv[1]), int(sys.argv[2])), Path(sys.argv[3]))
    json.dump({**result, "counts": dict(result["counts"])}, sys.stdout)
