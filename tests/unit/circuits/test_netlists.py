"""Netlists: what is read, what is refused with its line, and that what is written is read back."""

import numpy as np
import pytest

import retime as rt
from retime.circuits.dialects import written
from retime.circuits.expressions import parse_expression
from retime.circuits.nodal import solve_circuit
from retime.circuits.reader import read_netlist

RC = "* t\nV1 a 0 DC 2\nR1 a b 1k\nC1 b 0 1u\n.end\n"


def test_an_rc_circuit_is_a_linear_system_with_its_time_constant():
    model = rt.read_circuit(RC)
    np.testing.assert_allclose(model.A, [[-1e3]], rtol=1e-14)
    np.testing.assert_allclose(model.b, [2e3], rtol=1e-14)


def test_two_coupled_capacitors_obey_kirchhoffs_laws_worked_out_by_hand():
    text = (
        "* t\nR1 a 0 2k\nR2 a b 4k\nC1 a 0 1u\nC2 b 0 3u\nG1 0 a b 0 1m\nI1 0 b DC 6u\nE1 c 0 a 0 5\nR3 c b 10k\n.end\n"
    )
    model = rt.read_circuit(text)
    A = [
        [-(1 / 2e3 + 1 / 4e3) / 1e-6, (1 / 4e3 + 1e-3) / 1e-6],
        [(1 / 4e3 + 5 / 1e4) / 3e-6, -(1 / 4e3 + 1 / 1e4) / 3e-6],
    ]
    np.testing.assert_allclose(model.A, A, rtol=1e-12)
    np.testing.assert_allclose(model.b, [0.0, 2.0], rtol=1e-12)


def test_an_integrator_drawn_around_an_op_amp_is_read_with_its_input_and_readout():
    text = (
        "* drawn by hand\n.subckt opamp_ideal p n out\nE1 out 0 p n 1e6\n.ends\nVin1 s 0 DC 0\nR1 s n 10k\nR2 x n 50k\nC1 x n 10n\n"
        "X1 0 n x opamp_ideal\nE2 o1 0 x 0 -2\n.end\n"
    )
    model = rt.read_circuit(text)
    assert isinstance(model, rt.LinearSystem)
    np.testing.assert_allclose([model.A[0, 0], model.E[0, 0], model.readout.B[0, 0]], [-2e3, -1e4, -2.0], rtol=1e-12)


def test_a_drawn_circuit_of_another_nonlinearity_is_still_a_model():
    model = rt.read_circuit("* t\nB1 f 0 V=atan(V(a))*V(a)\nR1 f a 1k\nC1 a 0 1u\nR2 a 0 1k\n.end\n")
    z = np.array([0.7])
    np.testing.assert_allclose(model.field(z), (np.arctan(z) * z - 2 * z) * 1e3, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "value"),
    [("2*V(a)^2-1", 7.0), ("-2^2", -4.0), ("max(V(a),3)/V(b,a)", -3.0), ("exp(log(V(a)))", 2.0), ("2**-1", 0.5), ("uramp(V(b))+u(V(a))", 2.0)],
)  # fmt: skip
def test_expressions_mean_what_spice_means(text, value):
    tree = parse_expression(text)
    law = solve_circuit(read_netlist(f"* t\nV1 a 0 2\nV2 b 0 1\nB1 c 0 V={text}\nR1 c d 1\nC1 d 0 1\n.end\n"))
    assert str(parse_expression(str(tree))) == str(tree)
    shape = rt.circuits.CircuitNetwork(law)
    np.testing.assert_allclose(shape.field(np.zeros(1)), [value], rtol=1e-12)


@pytest.mark.parametrize(
    ("lines", "number", "what"),
    [
        (".control\nshell touch hacked\n.endc", 3, "no directive"),
        (".include /etc/passwd", 3, "no directive"),
        (".lib x", 3, "no directive"),
        ("X1 a b nothing", 3, "does not hold"),
        ("R1 a 0 (1", 3, "no number|not expected"),
        ("R1 a 0 -1", 3, "must be positive"),
        ("R1 a 0 1k tc1=1", 3, "within"),
        ("R1 a 0 tc1=1m", 3, "needs 2"),
        ("R1 a 0 nan", 3, "no finite number|no number"),
        ("R1 a 0 {x}", 3, "was not given"),
        ("C1 a 0 1", 3, "is there twice"),
        ("M1 a b c d nmos", 3, "no element"),
        ("B1 a 0 V=system(1)", 3, "no function"),
        ("B1 a 0 V=" + "(" * 60 + "1" + ")" * 60, 3, "nested"),
        ("B1 a 0 V=V(a) ? 1 : 2", 3, "no part"),
        ("R1 a;b 0 1", 3, "needs 2|no name"),
        (".subckt s a\nX1 a s\n.ends\nX2 a s", 4, "holds itself"),
        (".subckt s a\nR1 a 0 1", 3, "has no .ends"),
        ("V1 a 0 PULSE(0 1 0 0 0 1", 3, "not closed"),
        (".end\nR1 a 0 1", 4, "follows .end"),
        ("+ 1", 3, "no name|not expected|continuation|no number"),
        (".options shell=1", 3, "is not among"),
        ("C2 b 0 1", 3, ""),
        ("G1 b 0 a 0 1", 3, "nothing leads"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_an_error_with_its_line(lines, number, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = f"* t\nC1 a 0 1n\n{lines}\n"
    if what == "":
        assert rt.read_circuit(text).num_states == 2
        return
    with pytest.raises(rt.ModelFileError, match=rf"line (?:{number}|{number - 1}): .*(?:{what})"):
        rt.read_circuit(text)
    assert not list(tmp_path.iterdir())


def test_diodes_are_written_in_verilog_a_at_the_temperature_of_the_netlist():
    text = "* t\n.param temperature=85\n.model d1 d(is=2e-9 n=1.5)\nV1 a 0 1\nD1 a b d1\nC1 b 0 1u\n.end\n"
    line = next(x for x in written(read_netlist(text), "verilog-a").splitlines() if "// d1" in x)
    thermal = float(line.split("V(a, b) / ")[1].split(")")[0])
    assert thermal == pytest.approx(1.5 * 1.380649e-23 * (85 + 273.15) / 1.602176634e-19, rel=1e-9)
    leakage = float(line.split("<+ ")[1].split(" *")[0])
    assert leakage / 2e-9 == pytest.approx(
        np.exp(1.11 / thermal * (358.15 / 300.15 - 1)) * (358.15 / 300.15) ** (3 / 1.5), rel=1e-6
    )


def test_points_of_a_source_are_straight_lines_in_verilog_a():
    points = [(0.0, 0.0), (1e-3, 2.0), (2e-3, 2.0), (3e-3, -1.0)]
    text = "* t\nV1 a 0 PWL(" + " ".join(f"{t} {v}" for t, v in points) + ")\nR1 a b 1k\nC1 b 0 1u\n.end\n"
    line = next(x for x in written(read_netlist(text), "verilog-a").splitlines() if "// v1" in x)
    law = line.split("<+")[1].split(";")[0].replace("$abstime", "t")
    for t in (-1e-3, 0.0, 5e-4, 1.5e-3, 2.5e-3, 2.9e-3, 4e-3):
        assert eval(law, {"t": t, "min": min, "max": max}) == pytest.approx(
            np.interp(t, *zip(*points, strict=True)), abs=1e-12
        )


def test_a_first_line_that_spice_would_ignore_is_refused():
    with pytest.raises(rt.ModelFileError, match=r"line 1: .* is its title"):
        rt.read_circuit("R1 a 0 1k\nC1 a 0 1n\n")


def test_loops_of_sources_and_a_missing_file_are_named():
    with pytest.raises(rt.ModelFileError, match="no unique solution"):
        rt.read_circuit("* t\nV1 a 0 1\nC1 a 0 1n\n")
    with pytest.raises(rt.ModelFileError, match=r"no\.cir"):
        rt.read_circuit("no.cir")


def test_names_and_newlines_of_titles_stay_in_comments():
    text = written(read_netlist(RC.replace("* t", "* é\r.control")), "ngspice")
    assert text.splitlines()[0].startswith("*")
    assert text.isascii()
    assert not any(line.startswith(".control") for line in text.splitlines())


def test_a_large_netlist_is_read_back_bit_for_bit(rng):
    n = 60
    circuit = rt.to_circuit(rt.RateRNN(rng.normal(size=(n, n)) / 8, np.zeros((n, 0)), rng.normal(size=n), tau=0.01))
    back = read_netlist(circuit.netlist())
    assert [e[:4] for e in back.elements] == [e[:4] for e in circuit.elements.elements]


@pytest.mark.parametrize("dialect", ["verilog-a", "kicad"])
def test_other_dialects_hold_every_element_once(dialect):
    circuit = rt.to_circuit(
        rt.RateRNN([[0.5, -1.0], [1.0, 0.2]], [[1.0], [0.0]], [0.1, 0.0], tau=0.01), level="transistor", series=None
    )
    text = circuit.netlist(dialect)
    assert text.count("(") == text.count(")")
    for e in circuit.elements.elements:
        if e.kind in "RC":
            assert repr(e.value) in text or e.name[1:] in text
    with pytest.raises(ValueError, match="`dialect` is 'pspice'"):
        circuit.netlist("pspice")
