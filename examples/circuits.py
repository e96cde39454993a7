"""A trained memory as a circuit: parts, volts, tolerances.

python examples/circuits.py
"""

import numpy as np

import retime as rt


def main() -> None:
    """Build the flip-flop of the zoo in transistors, write a bit, let its components deviate."""
    net = rt.zoo.load("flip_flop_rate")
    found = rt.find_fixed_points(net, complete=False)
    memories = found.points[found.stable]
    circuit = rt.to_circuit(net, level="transistor", states=memories)
    print(circuit.certificate)
    print(circuit.bill_of_materials())

    start = memories[0]
    bits = np.sign(net.outputs(start))
    pulse = rt.Inputs([0.0, 20.0, 50.0], [[0, 0, 0], [0, -bits[1], 0], [0, 0, 0]])
    path = circuit.simulate(start, np.linspace(0, 200, 41), inputs=pulse, backend="kirchhoff")
    print("a pulse on the second input:", bits, "->", np.sign(path.outputs[-1]))

    print(
        circuit.monte_carlo(50, tolerance=0.01, offset=3e-3, z0=start, times=np.linspace(0, 200, 21), points=memories)
    )


if __name__ == "__main__":
    main()
