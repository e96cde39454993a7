"""Train the flip-flop of the zoo: 12 rate units with three memories of one bit, small enough to build in transistors.

python scripts/train_flip_flop.py --seed 0 --output flip_flop_rate.npz
"""

import argparse

import numpy as np

import retime as rt


def main() -> None:
    """Train, test all eight memories, write weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--units", type=int, default=12)
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--output", default="flip_flop_rate.npz")
    given = parser.parse_args()
    task = rt.learn.FlipFlop(num_bits=3, steps=300, pulse=20, delay=20, gap=(20, 80), noise=0.05)
    fit = rt.train(
        task, family="rate_rnn", num_states=given.units, tau=10.0, updates=given.updates, batch_size=32, seed=given.seed,
        learning_rate=1e-2, state_noise=0.05, weight_decay=1e-4, held_out=64, every=100, dtype="float64",
    )  # fmt: skip
    print(fit, fit.metrics)
    m = fit.model
    points = rt.find_fixed_points(m, time_limit=20)
    print(points)
    np.savez(given.output, W_rec=m.W_rec, W_in=m.W_in, b=m.b, tau=m.tau, B=m.readout.B, b_out=m.readout.b)


if __name__ == "__main__":
    main()
