"""Circuits of every topology and level: the equations of the netlist, the same orbit in volts, and the network read back."""

import re
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import retime as rt
from retime.circuits import certify
from retime.circuits.backends import neospice, ngspice
from retime.circuits.dc import pair_of, transfer
from retime.circuits.scaling import combined, largest_rounding, preferred

SPICE = [
    pytest.param(
        "ngspice",
        marks=pytest.mark.skipif(not shutil.which("ngspice"), reason="needs ngspice (apt-get install ngspice)"),
    ),
    pytest.param(
        "neospice", marks=pytest.mark.skipif(not find_spec("neospice"), reason="needs neospice (pip install neospice)")
    ),
]
TAU = 0.01


def network(rng, n=3, **options):
    W = rng.normal(size=(n, n)) / np.sqrt(n)
    return rt.RateRNN(W, rng.normal(size=(n, 1)), rng.normal(size=n) * 0.5, **({"tau": TAU} | options))


def models(rng):
    n = 3
    W, U, b = rng.normal(size=(n, n)), rng.normal(size=(n, 1)), rng.normal(size=n)
    yield "conductance", rt.RateRNN(0.2 * W, U, b, tau=[0.01, 0.02, 0.03])
    yield "conductance", rt.HopfieldNetwork(0.05 * (W + W.T), b, U, gain=2.0, capacitance=0.1)
    for f in ("tanh", "logistic", "softplus"):
        yield "integrator", rt.RateRNN(W, U, b, tau=0.02, activation=f, readout=([[1.0, 2.0, 3.0]], [0.5]))
    yield "integrator", rt.RateRNN(W, U, b, tau=0.02, form="rate")
    yield "integrator", rt.RateRNN(W, U, b, tau=0.02, activation="relu")
    yield "integrator", rt.ContinuousPLRNN(-np.ones(n), W, b, U)
    yield "integrator", rt.ShallowPLRNN(-np.ones(n), W[:, :2], W[:2], b, b[:2], U, time=rt.Continuous())
    yield "integrator", rt.LinearSystem(W, b, U, time=rt.Continuous())
    yield "sampled", rt.PLRNN(0.5 * np.ones(n), W, b, U, time=rt.Discrete(0.1))
    yield "sampled", rt.ReluRNN(W, U, b)
    yield "sampled", rt.TanhRNN(W, U, b)
    yield "sampled", rt.LeakyRNN(W, U, b, alpha=0.3)
    yield "sampled", rt.LinearSystem(0.3 * W, b, U, time=rt.Discrete(0.5))


def test_every_topology_is_read_back_as_the_network_it_was_built_from(rng):
    for topology, model in models(rng):
        circuit = rt.to_circuit(model)
        assert circuit.topology == topology
        assert circuit.certificate.holds
        back = rt.read_circuit(circuit.netlist())
        z, s = rng.normal(size=(5, 3)), rng.normal(size=(5, 1))
        want = model.apply(z, s)
        assert np.abs(back.apply(z, s) - want).max() <= 1e-12 * np.abs(want).max()
        assert back.time == model.time or back.dt == pytest.approx(model.dt, rel=1e-12)
        if model.readout is not None:
            np.testing.assert_allclose(back.outputs(z), model.outputs(z), rtol=1e-12)


@pytest.mark.parametrize("backend", SPICE)
def test_spice_follows_the_network_under_inputs(backend, rng):
    model = network(rng)
    times = np.linspace(0, 5 * TAU, 41)
    drive = rt.Inputs([0.0, 1.3 * TAU, 3.1 * TAU], [[1.0], [-2.0], [0.5]], hold="zero")
    circuit, z0 = rt.to_circuit(model), rng.normal(size=3)
    want = solve_ivp(
        lambda t, x: model.field(x, drive(t)), (0, times[-1]), z0, t_eval=times, rtol=1e-9, atol=1e-11, max_step=TAU / 50
    ).y.T  # fmt: skip
    got = circuit.simulate(z0, times, inputs=drive, backend=backend)
    assert np.abs(got.states - want).max() <= 1e-3 * np.ptp(want)  # read between points by straight lines
    ours = circuit.simulate(z0, times, inputs=drive, backend="kirchhoff")
    assert np.abs(ours.states - want).max() <= 1e-6 * np.ptp(want)


@pytest.mark.parametrize("backend", ["kirchhoff", *SPICE])
def test_an_oscillator_keeps_its_phase(backend):
    f, W = np.tanh, np.array([[2.0, -2.0], [2.0, 2.0]])
    model = rt.RateRNN(W, np.zeros((2, 0)), np.zeros(2), tau=TAU)
    times, z0 = np.linspace(0, 16 * TAU, 161), np.array([0.5, 0.1])
    want = solve_ivp(
        lambda t, x: (-x + W @ f(x)) / TAU, (0, times[-1]), z0, "DOP853", times, rtol=1e-11, atol=1e-13
    ).y.T
    got = rt.to_circuit(model).simulate(z0, times, backend=backend).states
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("backend", ["kirchhoff", *SPICE])
def test_a_sampled_circuit_takes_the_steps_of_its_map_under_inputs(backend, rng):
    model = rt.PLRNN([0.5, 0.4], [[0.0, -1.0], [0.9, 0.0]], [0.5, -0.2], [[1.0], [0.5]], time=rt.Discrete(0.1))
    s = rng.normal(size=(12, 1))
    want = rt.simulate(model, [0.3, 0.1], steps=12, inputs=s).states
    for level, tolerance in (("ideal", 1e-5), ("opamp", 1e-3)):
        circuit = rt.to_circuit(model, level=level, series=None)
        got = circuit.simulate([0.3, 0.1], 0.1 * np.arange(13), inputs=s, backend=backend).states
        assert np.abs(got - want).max() <= tolerance * np.ptp(want)


def test_op_amps_carry_every_topology(rng):
    for topology, model in models(rng):
        if topology == "conductance":
            with pytest.raises(rt.CertificateError, match="inputs and offsets count too"):
                rt.to_circuit(model, topology=topology, level="opamp")
            topology = "integrator"
        circuit = rt.to_circuit(model, topology=topology, level="opamp", series=None)
        assert {e.kind for e in circuit.elements.elements} <= set("RCSVX")
        leakage = (
            1e-4 / circuit.volts_per_unit if circuit.form.activation == "relu" and circuit.form.num_functions else 0.0
        )  # of diodes
        assert circuit.form.difference(circuit.derived.form) <= 1e-12 + leakage


def test_hopfields_form_of_parts_takes_its_currents_through_resistors(rng):
    W, U = rng.normal(size=(3, 3)), rng.normal(size=(3, 1))
    circuit = rt.to_circuit(rt.RateRNN(0.2 * W, 0.05 * U, [0.02, -0.03, 0.0], tau=[0.01, 0.02, 0.03]), level="opamp")
    assert circuit.topology == "conductance"
    assert {e.kind for e in circuit.elements.elements} == set("RCVX")
    assert circuit.form.difference(circuit.derived.form) <= 5e-4


@pytest.mark.parametrize("backend", SPICE)
def test_a_hopfield_network_converges_to_its_patterns_and_its_energy_falls(backend, rng):
    H = np.array([[1.0, 1.0], [1.0, -1.0]])
    patterns = np.kron(np.kron(H, H), H)[[3, 5]]  # orthogonal, 8 units
    T = patterns.T @ patterns / 8
    np.fill_diagonal(T, 0.0)
    model = rt.HopfieldNetwork(T, np.zeros(8), gain=8.0, capacitance=TAU)
    starts = np.where(np.arange(8) == 2, -0.3, 0.3) * patterns  # one unit of each is wrong
    for level in ("ideal", "opamp") if backend == "ngspice" else ("ideal",):
        circuit = rt.to_circuit(model, level=level)
        assert circuit.topology == "conductance"
        path = circuit.simulate(starts, np.linspace(0, 30 * TAU, 61), backend=backend).states
        np.testing.assert_array_equal(np.sign(path[-1]), patterns)
        energy = np.array([model.energy(z) for z in path])
        assert (np.diff(energy, axis=0).max(axis=0) <= 1e-12 * (energy[0] - energy[-1])).all()


def test_op_amps_follow_the_network_and_differ_where_they_are_slow(rng):
    model, times = network(rng, 2), np.linspace(0, 5 * TAU, 51)
    z0 = rng.normal(size=2)
    want = rt.to_circuit(model).simulate(z0, times, backend="kirchhoff").states
    error = {}
    for bandwidth in (3e6, 2e3):
        level = rt.circuits.OpAmp(bandwidth=bandwidth, series=None)
        circuit = rt.to_circuit(model, level=level, throw=False)
        assert circuit.certificate.holds == (bandwidth == 3e6)
        error[bandwidth] = np.abs(circuit.simulate(z0, times, backend="kirchhoff").states - want).max() / np.ptp(want)
    assert error[3e6] <= 1e-3 < 5e-3 < error[2e3]


@pytest.mark.parametrize("backend", SPICE)
def test_the_stage_of_transistors_is_the_tanh_that_spice_simulates_warm_and_cold(backend, rng):
    model, times = network(rng, 1), np.linspace(0, 5 * TAU, 21)
    circuit = rt.to_circuit(model, level="transistor")
    want = rt.to_circuit(model).simulate([3.0], times, backend="kirchhoff").states
    for celsius in (-40.0, 85.0):
        heated = circuit.at_temperature(celsius)
        got = heated.simulate([3.0], times, backend=backend).states
        assert np.abs(got - want).max() <= 1e-2 * np.ptp(want)
        own = heated.simulate([3.0], times, backend="kirchhoff").states
        assert np.abs(got - own).max() <= 1e-3 * np.ptp(want)


def test_the_slope_of_a_pair_falls_as_one_over_the_temperature_unless_its_divider_makes_up_for_it():
    model = rt.RateRNN([[0.5]], [[0.0]], [0.0], tau=TAU)
    circuit = rt.to_circuit(model, level=rt.circuits.Transistor(series=None, tempco=0.0))
    cold, warm = (pair_of(circuit.elements, "tanh_pair", c) for c in (-40.0, 85.0))
    assert cold.slope / warm.slope == pytest.approx((85 + 273.15) / (-40 + 273.15), rel=0.01)
    assert pair_of(circuit.elements, "tanh_pair", 27.0).misfit <= 2e-3
    curve = transfer(circuit.elements, "tanh_pair", np.array([-1.0, 1.0]) * circuit.volts_per_unit, 27.0)
    np.testing.assert_allclose(curve / circuit.volts_per_unit, np.tanh([-1.0, 1.0]), atol=5e-3)
    assert not circuit.at_temperature(85.0).certificate.holds
    mended = rt.to_circuit(model, level="transistor")
    cold, warm = (pair_of(mended.elements, "tanh_pair", c) for c in (-40.0, 85.0))
    assert cold.slope / warm.slope == pytest.approx(1.0, abs=0.02)
    assert mended.at_temperature(85.0).certificate.holds
    assert " tc1=0.0033\n" in mended.netlist()
    assert "100 ohm, +3300 ppm/K" in {p.value for p in mended.bill_of_materials()}
    back = rt.read_circuit(mended.at_temperature(85.0).netlist())
    np.testing.assert_allclose(
        back.apply([0.3], [0.0]), mended.at_temperature(85.0).model.apply([0.3], [0.0]), rtol=1e-12
    )


def test_resistors_are_sums_of_two_preferred_values(rng):
    values = 10 ** rng.uniform(3, 7, size=200)
    assert max(abs(sum(combined(x, "E96")) / x - 1) for x in values) <= largest_rounding("E96", 2) < 4e-4
    assert all(preferred(x, "E24") == x for value in values for x in combined(value, "E24"))
    assert combined(47e3, "E24") == (47e3,)
    model = network(rng)
    errors = {}
    for level in (rt.circuits.OpAmp(), rt.circuits.OpAmp(in_series=1)):
        circuit = rt.to_circuit(model, level=level)
        errors[level.in_series] = circuit.form.difference(circuit.derived.form)
        back = rt.read_circuit(circuit.netlist())
        z, s = rng.normal(size=(5, 3)), rng.normal(size=(5, 1))
        np.testing.assert_allclose(back.apply(z, s), circuit.model.apply(z, s), rtol=1e-11)
        assert "E96" in str(circuit.certificate)
    assert errors[2] <= 4e-4 < 2e-3 < errors[1]
    with pytest.raises(ValueError, match="`in_series` of an op-amp is 3"):
        rt.circuits.OpAmp(in_series=3)


@pytest.mark.parametrize("backend", SPICE)
def test_a_relu_of_op_amps_is_a_rectifier_of_diodes(backend, rng):
    model, times, z0 = network(rng, 2, activation="relu"), np.linspace(0, 5 * TAU, 21), rng.normal(size=2)
    want = solve_ivp(lambda t, x: model.field(x, [0.0]), (0, times[-1]), z0, t_eval=times, rtol=1e-9, atol=1e-11).y.T
    circuit = rt.to_circuit(model, level="opamp")
    kinds = {
        kind: sum(p.count for p in circuit.bill_of_materials() if p.kind == kind)
        for kind in ("diode", "voltage source")
    }
    assert kinds == {"diode": 4, "voltage source": 3}  # the input, the reference and its negative
    assert "(net" in circuit.netlist("kicad")
    assert "V_v3" not in circuit.netlist("kicad")
    assert " b1 y1" not in circuit.netlist()
    volts = np.array([-3.0, -1e-2, 1e-2, 3.0])
    np.testing.assert_allclose(
        transfer(circuit.elements, "relu_rectifier", volts, 27.0), np.maximum(volts, 0), atol=1e-4
    )
    got = circuit.simulate(z0, times, backend=backend).states
    assert np.abs(got - want).max() <= 1e-3 * np.ptp(want)
    assert np.abs(circuit.simulate(z0, times, backend="kirchhoff").states - got).max() <= 1e-3 * np.ptp(want)
    assert isinstance(rt.read_circuit(circuit.netlist()), rt.PLRNN)


def test_preferred_values_are_those_of_iec_60063():
    assert [preferred(x, "E12") for x in (1050.0, 4.6e3, 9.5e5)] == [1000.0, 4700.0, 1e6]
    assert [preferred(x, "E24") for x in (5.0, 7.4e3)] == [5.1, 7500.0]
    assert [preferred(x, "E96") for x in (1.01, 49.5e3)] == [1.02, 49.9e3]


def test_verbs_take_a_circuit_for_the_network_that_it_is(rng):
    model = rt.PLRNN([0.5, 0.4], [[0.0, -1.0], [0.9, 0.0]], [0.5, -0.2])
    circuit = rt.to_circuit(model)
    np.testing.assert_allclose(rt.find_fixed_points(circuit).points, rt.find_fixed_points(model).points, rtol=1e-12)
    assert rt.compare(model, circuit, [0.1, 0.2], steps=20).orbit_error.max() <= 1e-12
    z0, times = [0.3, 0.1], np.linspace(0, 20, 51)
    flow = rt.RateRNN([[0.5, -1.0], [1.0, 0.2]], np.zeros((2, 0)), [0.1, 0.0], tau=1.0)
    assert rt.compare(flow, rt.to_circuit(flow, level="opamp"), z0, times=times).orbit_error.max() <= 1e-3
    one, other = (rt.lyapunov_spectrum(m, z0, times=times).exponents for m in (flow, rt.to_circuit(flow)))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_what_has_no_circuit_says_what_to_take_instead(rng):
    flow = rt.to_continuous(rt.PLRNN([0.5], [[-1.0]], [0.5], time=rt.Discrete(0.1))).model
    with pytest.raises(rt.CertificateError, match=r'to_circuit\(the map, topology="sampled"\)'):
        rt.to_circuit(flow)
    with pytest.raises(rt.CertificateError, match="circuits are built for tanh"):
        rt.to_circuit(rt.RateRNN([[0.5]], [[0.0]], [0.0], tau=1.0, activation=lambda x: x**3))
    with pytest.raises(rt.CertificateError, match=r"unit 1 .*3"):
        rt.to_circuit(rt.RateRNN([[3.0]], [[0.0]], [0.0], tau=1.0), topology="conductance")
    with pytest.raises(rt.CertificateError, match=r"from y2 to x1 would be .* above the limit of 1e\+09"):
        rt.to_circuit(
            rt.RateRNN([[1.0, 1e-9], [1.0, 1.0]], np.zeros((2, 0)), [0.0, 0.0], tau=TAU), level="opamp", capacitor=1e-8
        )
    with pytest.raises(rt.CertificateError, match=r"stages for tanh .* and relu"):
        rt.to_circuit(network(rng, activation="softplus"), level="transistor")
    with pytest.raises(ValueError, match="a map needs"):
        rt.to_circuit(rt.TanhRNN([[0.5]], [[0.0]], [0.0]), topology="integrator")


def test_simulators_that_are_missing_hang_or_are_asked_too_much_say_so(rng, monkeypatch):
    circuit, times = rt.to_circuit(network(rng)), np.linspace(0, TAU, 5)
    monkeypatch.setattr(ngspice, "PROGRAM", "ngspice-that-is-not-there")
    with pytest.raises(rt.SimulatorError, match="apt-get install ngspice") as caught:
        circuit.simulate(np.zeros(3), times, backend="ngspice")
    assert ".end" in caught.value.netlist
    with pytest.raises(rt.SimulatorError, match=r'backend="kirchhoff"'):
        circuit.simulate(np.zeros(3), np.linspace(0, 1e6 * TAU, 5), backend="ngspice")
    with pytest.raises(ValueError, match="`timeout` is 0"):
        circuit.simulate(np.zeros(3), times, timeout=0)
    with pytest.raises(ValueError, match="`backend` is 'pspice'"):
        circuit.simulate(np.zeros(3), times, backend="pspice")


def test_neospice_tries_coarser_tolerances_for_diodes_only_where_it_does_not_converge(rng, monkeypatch):
    tried = []

    def refuse(deck, timeout, options):
        tried.append(options["reltol"])
        raise rt.SimulatorError("no answer", log=neospice.NOT_CONVERGED)

    monkeypatch.setattr(neospice, "run_once", refuse)
    for level, activation, wanted in (("ideal", "relu", [1e-6]), ("opamp", "relu", [1e-6, 1e-5, 1e-4])):
        circuit = rt.to_circuit(network(rng, activation=activation), level=level)
        with pytest.raises(rt.SimulatorError, match="no answer"):
            circuit.simulate(np.zeros(3), [0.0, TAU], backend="neospice")
        assert tried == wanted
        tried.clear()


@pytest.mark.skipif(not shutil.which("sleep"), reason="needs sleep")
def test_a_simulator_that_hangs_is_stopped_and_one_that_answers_nothing_is_not_believed(rng, monkeypatch, tmp_path):
    circuit, times = rt.to_circuit(network(rng)), np.linspace(0, TAU, 5)
    for script, message in (
        ("exec sleep 60", "had not ended after 0.2 s"),
        ("echo crashed; exit 3", "code 3(?s:.*)crashed"),
    ):
        program = tmp_path / "ngspice"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(ngspice, "PROGRAM", str(program))
        with pytest.raises(rt.SimulatorError, match=message):
            circuit.simulate(np.zeros(3), times, backend="ngspice", timeout=0.2 if "sleep" in script else 20)


@pytest.mark.skipif(not shutil.which("ngspice"), reason="needs ngspice (apt-get install ngspice)")
def test_an_answer_of_another_circuit_is_refused(rng, monkeypatch):
    circuit, times = rt.to_circuit(network(rng)), np.linspace(0, TAU, 5)
    whole = ngspice.ask
    monkeypatch.setattr(ngspice, "_devices", lambda path: frozenset({"vref"}))
    with pytest.raises(rt.SimulatorError, match="left out"):
        circuit.simulate(np.zeros(3), times, backend="ngspice")
    monkeypatch.undo()

    def bent(deck, timeout):
        answer = whole(deck, timeout)
        return answer._replace(voltages=answer.voltages * np.linspace(1.0, 2.0, len(answer.times))[:, None])

    monkeypatch.setattr(ngspice, "ask", bent)
    with pytest.raises(rt.SimulatorError, match=r"breaks Kirchhoff's laws.*charge at the node x"):
        circuit.simulate(np.ones(3), times, backend="ngspice")
    parts = rt.to_circuit(network(rng, 1), level="opamp")
    with pytest.raises(rt.SimulatorError, match="charge at the node v_x1"):
        parts.simulate(np.ones(1), times, backend="ngspice")

    def stretched(deck, timeout):
        answer = whole(deck, timeout)
        return answer._replace(voltages=answer.voltages * np.where([n == "y1" for n in deck.nodes], 1.1, 1.0))

    monkeypatch.setattr(ngspice, "ask", stretched)
    pair = rt.to_circuit(rt.RateRNN([[1e-3]], np.zeros((1, 0)), [0.5], tau=TAU), level="transistor")
    with pytest.raises(rt.SimulatorError, match=r"the stage xf1 is .* off its own curve"):
        pair.simulate(np.ones(1), times, backend="ngspice")


def test_parts_are_counted_and_drawn(rng, tmp_path):
    pytest.importorskip("schemdraw")
    circuit = rt.to_circuit(network(rng), level="opamp")
    parts = circuit.bill_of_materials()
    assert parts.num_components == sum(1 for _ in circuit.elements.flattened({"opamp"}))
    assert parts.to_csv(tmp_path / "parts.csv").read_text().startswith("count,kind,value,names")
    assert circuit.schematic(1, tmp_path / "neuron.svg").lstrip().startswith("<")
    assert re.search(r">[\d.]+ [kM]ohm \+ [\d.]+ k?ohm<", circuit.schematic(1))  # two in series, as one
    assert "</svg>" in (tmp_path / "neuron.svg").read_text()
    assert "x3" in circuit.schematic()
    with pytest.raises(ValueError, match="units 1 to 3"):
        circuit.schematic(4)


@pytest.mark.parametrize(("difference", "holds"), [(5e-13, True), (5e-12, False)])
def test_coefficients_of_parts_that_are_not_rounded_are_the_models_to_1e_12(difference, holds):
    circuit = rt.to_circuit(rt.ContinuousPLRNN([-1.0], [[0.5]], [0.1]), level="ideal")
    assert certify._equations(difference, circuit).holds == holds
