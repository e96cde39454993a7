"""retime's own files: every family and every nesting comes back bit for bit; functions and unknown methods are refused."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

import retime as rt
from retime.convert import RK4, AdamsBashforth, Euler, ExponentialEuler, FormalLog, RungeKutta, Tableau, Tustin
from retime.io.native import methods
from retime.models import (
    FAMILIES,
    GRU,
    LSTM,
    DerivedSystem,
    HopfieldNetwork,
    LeakyRNN,
    LinearSystem,
    Map,
    PiecewiseAffineFlow,
    PiecewiseAffineRNN,
    RateRNN,
    RegionwiseMap,
    StackedRNN,
    TanhRNN,
    VectorField,
)
from retime.models.regionwise import OwnRegions

n, m = 3, 2
STEP = rt.Discrete(0.1 + 0.2)


def elman(rng):
    return rng.normal(size=(n, n)), rng.normal(size=(n, m)), rng.normal(size=n)


def gates(rng, g, inputs=m):
    return rng.normal(size=(g * n, n)), rng.normal(size=(g * n, inputs)), *rng.normal(size=(2, g * n))


def rate(rng, **options):
    return RateRNN(*elman(rng), **({"tau": rng.uniform(1, 2, n)} | options))


def plrnn(rng):
    return rt.PLRNN(rng.uniform(0.2, 0.7, n), rng.normal(size=(n, n)) / 10, rng.normal(size=n), time=STEP)


def derived(rng, method, base=None, time=STEP):
    return DerivedSystem(rate(rng) if base is None else base, method, 0.1 + 0.2, time=time)


def flow(rng):
    return PiecewiseAffineFlow(plrnn(rng), rt.MatrixLog(tolerance=1e-9), throw=False)


MODELS = {
    "tanh": lambda r: TanhRNN(*elman(r), time=STEP, readout=(r.normal(size=(2, n)), r.normal(size=2))),
    "leaky": lambda r: LeakyRNN(*elman(r), alpha=r.uniform(0.1, 1, n), activation="softplus", form="current", time=STEP),
    "leaky, one alpha": lambda r: LeakyRNN(*elman(r), alpha=0.1 + 0.2),
    "rate": rate,
    "rate, other form": lambda r: rate(r, tau=1.5, activation="relu", form="rate", readout=r.normal(size=(1, n))),
    "antisymmetric": lambda r: rt.AntisymmetricRNN(*elman(r), gamma=0.1, time=STEP),
    "cornn": lambda r: rt.CoupledOscillatoryRNN(r.normal(size=(n, n)), *elman(r), gamma=r.uniform(1, 2, n), time=STEP),
    "unitary": lambda r: rt.UnitaryRNN(*elman(r), time=STEP),
    "diagonal": lambda r: rt.DiagonalLinearRNN(r.normal(size=3) + 1j, r.normal(size=(3, 2)), time=STEP, readout=r.normal(size=(1, 6))),
    "min gru": lambda r: rt.MinGRU(r.normal(size=(n, 2)), r.normal(size=n), r.normal(size=(n, 2)), r.normal(size=n), tau=0.3, time=STEP),
    "delta rule": lambda r: rt.DeltaRule(*r.normal(size=(2, n, 2)), method="exact", normalize=True, time=STEP),
    "qunn": lambda r: rt.QUNN(2, 2, 1, gain=0.2, seed=3),
    "layered field": lambda r: rt.LayeredField(r.normal(size=(2, n, n)), r.normal(size=(2, n)), r.normal(size=(n, 2)), leak=0.5),
    "gru": lambda r: GRU(*gates(r, 3), reset_after=False, time=STEP),
    "lstm": lambda r: LSTM(*gates(r, 4), readout=r.normal(size=(2, 2 * n))),
    "hopfield": lambda r: HopfieldNetwork(
        *elman(r)[::2], elman(r)[1], resistance=r.uniform(1, 2, n), gain=1.4, activation="logistic"
    ),
    "piecewise": lambda r: PiecewiseAffineRNN(np.eye(n), np.ones((n, 4)), np.ones((4, n)), np.ones(n), np.ones(4)),
    "linear": lambda r: LinearSystem(np.eye(n), np.ones(n), np.ones((n, m)), auxiliary=1, time=rt.Continuous()),
    "stack": lambda r: StackedRNN(
        [GRU(*gates(r, 3), time=STEP), LSTM(*gates(r, 4, n), time=STEP), TanhRNN(*elman(r)[:1], np.ones((n, n)), np.ones(n))],
        time=STEP,
        readout=r.normal(size=(1, 4 * n)),
    ),
    "stack of stacks": lambda r: StackedRNN([StackedRNN([GRU(*gates(r, 3))]), GRU(*gates(r, 3, n))]),
    "euler": lambda r: derived(r, Euler()),
    "runge-kutta": lambda r: derived(r, RungeKutta(RK4)),
    "own tableau": lambda r: derived(r, RungeKutta(Tableau("mine", ((0.0, 0.0), (1 / 3, 0.0)), (-0.5, 1.5), 2))),
    "multistep": lambda r: derived(r, AdamsBashforth(3), rate(r, readout=r.normal(size=(1, n)))),
    "formal log of a gru": lambda r: derived(r, FormalLog(3), GRU(*gates(r, 3), time=STEP), rt.Continuous()),
    "derived twice": lambda r: derived(r, FormalLog(2), derived(r, RungeKutta(RK4)), rt.Continuous()),
    "derived stack": lambda r: derived(r, FormalLog(2), StackedRNN([GRU(*gates(r, 3))] * 1), rt.Continuous()),
    "flow": flow,
    "held flow": lambda r: RegionwiseMap(flow(r)),
    "held network": lambda r: RegionwiseMap(PiecewiseAffineFlow(plrnn(r), OwnRegions())),
}  # fmt: skip


def assert_same_bits(a, b):
    """Equal, with arrays equal in every bit, all the way down."""
    assert a == b
    if isinstance(a, tuple):
        for x, y in zip(a, b, strict=True):
            assert_same_bits(x, y)
    elif isinstance(a, np.ndarray):
        assert a.tobytes() == b.tobytes()
    else:
        for name in getattr(a, "__dataclass_fields__", {}):
            x, y = getattr(a, name), getattr(b, name)
            if isinstance(x, np.ndarray):
                assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("name", MODELS)
def test_model_comes_back_bit_for_bit(name, rng, tmp_path):
    model = MODELS[name](rng)
    again = rt.load(rt.save(model, tmp_path / "m.npz"))
    assert type(again) is type(model)
    assert again.time == model.time
    assert_same_bits(again, model)


def test_every_family_and_every_model_of_models_is_among_them(rng):
    families = {make(rng).family for make in MODELS.values()}
    older = {
        "plrnn",
        "shallow_plrnn",
        "alrnn",
        "dendritic_plrnn",
        "relu_rnn",
        "continuous_plrnn",
    }  # in laws/test_files.py
    assert families | older == {*FAMILIES, "derived", "flow", "regionwise"}


@pytest.mark.parametrize("name", ["runge-kutta", "multistep", "formal log of a gru", "held flow", "stack"])
def test_loaded_model_moves_alike(name, rng, tmp_path):
    model = MODELS[name](rng)
    again = rt.load(rt.save(model, tmp_path / "m.npz"))
    z, s = rng.normal(size=model.num_states), rng.normal(size=model.num_inputs)
    np.testing.assert_array_equal(again.apply(z, s), model.apply(z, s))


def test_array_in_a_method_comes_back(rng, tmp_path):
    L = -np.eye(n) + rng.normal(size=(n, n)) / 10
    model = derived(rng, ExponentialEuler(L))
    again = rt.load(rt.save(model, tmp_path / "m.npz"))
    assert again.method.linear.tobytes() == np.asarray(L).tobytes()
    z = rng.normal(size=n)
    np.testing.assert_array_equal(again.step(z), model.step(z))


def test_what_a_verb_made_is_saved(rng, tmp_path):
    for method in (Euler(), RungeKutta(RK4), AdamsBashforth(2)):
        model = rt.to_discrete(rate(rng, activation="softplus"), 0.1, method=method).model
        assert rt.load(rt.save(model, tmp_path / "m.npz")) == model
    linear = rt.to_discrete(
        LinearSystem(-np.eye(n), np.ones(n), np.ones((n, m)), time=rt.Continuous()), 0.1, method=Tustin()
    )
    assert rt.load(rt.save(linear.model, tmp_path / "m.npz")) == linear.model


def test_arrays_of_inner_models_carry_their_place(rng, tmp_path):
    with np.load(rt.save(MODELS["stack"](rng), tmp_path / "m.npz")) as file:
        assert {"layers.0.W_rec", "layers.1.b_in", "layers.2.b", "readout_B"} <= set(file.files)
    held = RegionwiseMap(flow(rng))
    held.flow.region([True] * n)
    with np.load(rt.save(held, tmp_path / "m.npz")) as file:
        assert {"flow.map.A", "flow.regions.W"} <= set(file.files)
        assert "readout_B" not in file.files


# Files of version 1.


def version_1(folder, arrays, **header):
    path = folder / "old.npz"
    text = json.dumps({"version": 1, "family": "plrnn", "time": {"dt": 0.1}, "options": {}} | header)
    np.savez(path, retime=np.array(text), **arrays)
    return path


def test_model_of_version_1_is_loaded(rng, tmp_path):
    model = plrnn(rng)
    arrays = {"A": model.A, "W": model.W, "h": model.h, "C": model.C}
    assert rt.load(version_1(tmp_path, arrays, time={"dt": model.dt})) == model
    options = {"family": "alrnn", "options": {"num_relu": 2}}
    assert rt.load(version_1(tmp_path, arrays, **options)).num_relu == 2


def test_flow_of_version_1_is_loaded(rng, tmp_path):
    model = flow(rng)
    arrays = {"A": model.map.A, "W": model.map.W, "h": model.map.h, "C": model.map.C}
    header = {"time": {"dt": model.dt}, "flow": "MatrixLog", "method": {"tolerance": 1e-9}, "throw": False}
    assert rt.load(version_1(tmp_path, arrays, **header)) == model


# The step.


def test_step_of_a_stack_is_that_of_its_layers(rng, tmp_path):
    model = rt.load(rt.save(MODELS["stack"](rng), tmp_path / "m.npz"), dt=0.25)
    assert {x.time for x in (model, *model.layers)} == {rt.Discrete(0.25)}


def test_step_of_a_flow_is_that_of_its_map(rng, tmp_path):
    assert rt.load(rt.save(flow(rng), tmp_path / "m.npz"), dt=0.25).dt == 0.25


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("rate", "the model is in continuous time; drop `dt`"),
        ("runge-kutta", r"a DerivedSystem of step 0\.3, which is part of how it was made; drop `dt`"),
        ("held flow", r"a RegionwiseMap of step 0\.3"),
    ],
)
def test_step_that_cannot_be_changed_is_refused(name, match, rng, tmp_path):
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(rt.save(MODELS[name](rng), tmp_path / "m.npz"), dt=0.25)


# What is refused.


@dataclass(frozen=True)
class Mine(Euler):
    """A method that retime does not know."""


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda r: Map(np.sin, 1), "`Map.f` is a Python function, which a file cannot store.*build the model again"),
        (lambda r: VectorField(lambda z: -z, 2), "`VectorField.f` is a Python function"),
        (lambda r: rate(r, activation=np.sin), "`RateRNN.activation` is a Python function"),
        (lambda r: StackedRNN([Map(lambda z: -z, 2)]), "`Map.f` is a Python function"),
        (lambda r: derived(r, Euler(), VectorField(lambda z: -z, 2)), "`VectorField.f` is a Python function"),
        (
            lambda r: derived(r, Mine()),
            r"`DerivedSystem.method` is Mine.*, an object that a file has no name for.*native.methods",
        ),
    ],
)
def test_function_or_unknown_object_is_refused(make, match, rng, tmp_path):
    with pytest.raises(TypeError, match=match):
        rt.save(make(rng), tmp_path / "m.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_method_of_ones_own_is_saved_once_it_is_entered(rng, tmp_path, monkeypatch):
    monkeypatch.setitem(methods(), "Mine", Mine)
    model = derived(rng, Mine())
    path = rt.save(model, tmp_path / "m.npz")
    assert rt.load(path) == model
    monkeypatch.undo()
    with pytest.raises(
        rt.ModelFileError, match=r"made by the method 'Mine', which this version does not have.*native\.methods"
    ):
        rt.load(path)


def test_every_method_that_files_of_the_first_version_name_is_still_known():
    first = "AdamsBashforth Euler EulerField ExponentialEuler FirstOrderHold FormalLog GeneralizedBilinear ImpulseInvariant "
    second = "MatchedPoles MatrixLog OwnRegions Resampled RungeKutta Stretch Tustin ZeroOrderHold"
    assert {*(first + second).split(), "PartitionedEuler"} == methods().keys()
    assert all(cls.__name__ == name for name, cls in methods().items())


def test_other_class_inside_is_named(rng, tmp_path):
    class Other(TanhRNN):
        family = "other"

    with pytest.raises(TypeError, match=r"`layers\.0` is Other; save writes retime models.*numpy\.savez"):
        rt.save(StackedRNN([Other(*elman(rng))]), tmp_path / "m.npz")


def rewritten(model, folder, change):
    """The file of a model with its header changed."""
    path = rt.save(model, folder / "m.npz")
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays["retime"]))
    change(header)
    np.savez(path, **arrays | {"retime": np.array(json.dumps(header))})
    return path


def nested(header, depth):
    inner = header["models"]
    for _ in range(depth):
        inner["base"] = {"family": "derived", "time": {"dt": 1}, "options": {}, "models": {}}
        inner = inner["base"]["models"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda h: h["options"]["method"].update(type="Secret"),
            r"m\.npz: the model was made by the method 'Secret', which this version does not have. Upgrade retime",
        ),
        (
            lambda h: h["options"]["method"].update(options={"q": 1}),
            r"m\.npz: the method 'RungeKutta' in the header has options that it does not take, {'q': 1}.*Save the model again",
        ),
        (lambda h: h.update(time={"dt": 10**400}), r"m\.npz: the retime header and the arrays do not describe a model"),
        (lambda h: h["options"].update(method="rm"), "do not describe a model"),
        (lambda h: h["models"].clear(), "do not describe a model"),
        (lambda h: h.update(models=[1]), "do not describe a model"),
        (lambda h: h["models"]["base"].update(family="map"), "do not describe a model .'map'"),
        (lambda h: nested(h, 200), "do not describe a model .more than 50 models inside each other"),
    ],
)
def test_damaged_header_is_refused(change, match, rng, tmp_path):
    path = rewritten(MODELS["runge-kutta"](rng), tmp_path, change)
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(path)
