"""Which differential equation does a cell step? A trained GRU, an LRU at another sample rate, a cell of one's own, and their gradients.

    python examples/cells.py [PICTURE]

Writes how gradients grow along 100 steps of four cells to PICTURE, cells.png by default. Takes about a minute.
"""

import sys

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import retime as rt

rng = np.random.default_rng(0)
task = rt.learn.AddingProblem(steps=30)

# a GRU, trained for a moment, and what it steps
gru = rt.train(task, family="gru", num_states=16, updates=40, batch_size=32, held_out=64).model
form = rt.ode_form(gru)
print(form)
print("its field at a state:", form.field.field(np.zeros(16), np.array([0.5, 1.0])).round(3)[:4])

# a cell whose gates do not read the state has another sample rate without training
unit = rt.train(task, family="min_gru", num_states=16, updates=40, batch_size=32, held_out=64).model
half = rt.retime_to(unit, 0.5).model
z, s = rng.normal(size=16), rng.normal(size=2)
print("two half steps are one step to", np.abs(half.step(half.step(z, s), s) - unit.step(z, s)).max())

# a cell of one's own: a damped pendulum per unit, driven by the input, in Heun's method; in jax.numpy, so that derivatives are exact
W, U = rng.normal(size=(8, 8)) / 8, rng.normal(size=(8, 2))
pendulums = rt.ODERNN(
    lambda h, v, s: -jnp.sin(h) - 0.1 * v + W @ jnp.tanh(h) + U @ s, "heun", dt=0.2, order=2, num_states=8, num_inputs=2
)
print(pendulums)

# how gradients grow: the same inputs for all
inputs = np.asarray(task.batch(1, 0)[0])[0]
inputs = np.tile(inputs, (4, 1))[:100]
cells = {"GRU": gru, "minGRU": unit, "pendulums": pendulums, "QUNN": rt.QUNN(3, 1, 2, gain=0.05)}
figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
for (name, cell), ax in zip(cells.items(), axes.flat, strict=True):
    found = rt.cell_stability(cell, inputs=inputs)
    print(f"{name}: {found}")
    found.plot(ax=ax)
    ax.set_title(name)
path = sys.argv[1] if len(sys.argv) > 1 else "cells.png"
figure.savefig(path, dpi=150)
print("Written:", path)
