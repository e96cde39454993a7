"""A fair study of cells: equal numbers of parameters and of updates, several seeds, on the adding problem, copy memory and sequential digits.

    python benchmarks/cell_study.py FOLDER [--tasks adding100 ...] [--cells GRU ...] [--seeds 0 1 2] [--updates 1000] [--parameters 1000]
                                    [--workers 2 | --scheduler tcp://host:8786] [--plot study.png] [--curves curves.png]

Each training is a case of a sweep, whose results are in FOLDER: the same command goes on where it was ended, on as many workers as there are.
Printed at the end: a table by task and cell, medians over the seeds. Gradients are the largest and the smallest singular value of the product of
Jacobians over 100 steps of a trial, of the trained network.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import retime as rt
from retime.learn.cell_families import origin
from retime.learn.families import Start
from retime.learn.networks import network
from retime.sweep import grid

TASKS = {
    "adding100": lambda: rt.learn.AddingProblem(steps=100),
    "adding200": lambda: rt.learn.AddingProblem(steps=200),
    "copy": lambda: rt.learn.CopyMemory(),
    "digits": lambda: rt.learn.Digits(),
}
CELLS = {
    "Elman": ("tanh_rnn", {}),
    "GRU": ("gru", {}),
    "LSTM": ("lstm", {}),
    "antisymmetric": ("antisymmetric_rnn", {}),
    "coRNN": ("cornn", {}),
    **{f"ODERNN n = {n}, t = {t}": ("odernn", {"stages": n, "order": t}) for n in (1, 2, 4) for t in (1, 2)},
    "minGRU": ("min_gru", {}),
    "LRU": ("diagonal_linear", {}),
    "QUNN": ("qunn", {"memory": 2}),
}
GATED, OTHER = 3e-3, 1e-2
RATES = {"Elman": 1e-3, "GRU": GATED, "LSTM": GATED, "minGRU": GATED, "LRU": GATED}  # of Adam, one choice for all tasks


def sized(family: str, options: dict[str, Any], task: Any, parameters: int) -> tuple[int, int]:
    """States whose network has the number of parameters that is nearest to the one wanted and at most a tenth above it, and that number."""
    best = (10**9, 0, 0)
    for n in (*range(4, 64, 2), *range(64, 256, 8), *range(256, 1025, 32)):
        net = network(family, n, task.num_inputs, task.num_outputs, options)
        count = sum(np.size(v) for v in net.initial(np.random.default_rng(0), Start("normal")).values())
        if count > 1.1 * parameters:
            break
        best = min(best, (abs(count - parameters), n, count))
    return best[1], best[2]


def train(task: str, cell: str, seed: int, updates: int, parameters: int) -> dict[str, Any]:
    """Train and judge one network."""
    work, (family, options) = TASKS[task](), CELLS[cell]
    n, count = sized(family, options, work, parameters)
    begun = time.process_time()
    fit = rt.train(
        work, family=family, num_states=n, updates=updates, batch_size=32, seed=seed, held_out=256, every=max(updates // 10, 1),
        learning_rate=RATES.get(cell, OTHER), initial="orthogonal" if cell == "Elman" else "normal", **options,
    )  # fmt: skip
    spent = time.process_time() - begun
    high, low = gradients(fit.model, task)[-1]
    return {
        "states": fit.model.num_states, "count": count, **judged(fit.model, task, origin(fit.model)), "loss": fit.metrics["loss"],
        "ms": 1e3 * spent / updates, "high": high, "low": low, "training": str(fit.status), "model": fit.model, "history": list(fit.history),
    }  # fmt: skip


def gradients(model: Any, task: str) -> Any:
    """Largest and smallest singular value of the product of Jacobians over the first 1 to 100 steps of a trial: `(T, 2)`."""
    s, z = np.asarray(TASKS[task]().batch(1, 0)[0])[0][:100], [origin(model)]
    for row in s[:-1]:
        z.append(model.step(z[-1], row))
    return rt.cell_stability(model, states=np.array(z), inputs=s).gradient


def judged(model: Any, task: str, start: np.ndarray, trials: int = 512) -> dict[str, float | None]:
    """Mean squared error of fresh trials where they ask, and, of copy memory and (unseen) digits, the share of right answers."""
    work = rt.learn.Digits(test=True) if task == "digits" else TASKS[task]()
    inputs, targets, mask = (np.asarray(x) for x in work.batch(trials, 10**6))
    asked = inputs[:, :, -1] > 0 if task == "copy" else mask > 0
    z, wrong, right = np.broadcast_to(start, (trials, len(start))), [], []
    for k in range(inputs.shape[1]):
        z = model.step(z, inputs[:, k])
        if asked[:, k].any():
            x, y = model.outputs(z)[asked[:, k]], targets[asked[:, k], k]
            wrong.append(((x - y) ** 2).ravel())
            right.append(x.argmax(axis=1) == y.argmax(axis=1))
    error = float(np.concatenate(wrong).mean())
    return {
        "square_error": error,
        "accuracy": None if task.startswith("adding") else float(np.concatenate(right).mean()),
    }


def main() -> None:
    """Do what the folder does not hold yet, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=[*TASKS])
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=[*CELLS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--parameters", type=int, default=1000)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--scheduler")
    parser.add_argument("--again", action="store_true", help="keep what completed even if this file has changed since")
    parser.add_argument("--plot")
    parser.add_argument("--curves")
    given = parser.parse_args()
    cases = grid(
        seed=given.seeds, task=given.tasks, cell=given.cells, updates=given.updates, parameters=given.parameters
    )
    found = rt.sweep(train, cases, folder=given.folder, client=given.scheduler or given.workers, again=given.again)
    print(found)
    rows = found.summary("task", "cell")
    for task in given.tasks:
        show(task, [row for row in rows if row["task"] == task and row["completed"]])
    if given.plot:
        ax = found.plot(x="cell", y="square_error", by="task")
        ax.set_yscale("log")
        ax.set_ylabel("mean squared error")
        ax.figure.savefig(given.plot, dpi=120)
    if given.curves:
        draw_curves(found, given.tasks, given.curves)


def draw_curves(found: Any, tasks: list[str], file: str) -> None:
    """Loss on held-out trials against updates, medians over the seeds, and largest singular value of the first seed against steps, by task."""
    import matplotlib.pyplot as plt

    done = [(row, x) for row, x in zip(found.table, found.results, strict=True) if row["status"] == "completed"]
    cells = list(dict.fromkeys(row["cell"] for row, _ in done))
    figure, axes = plt.subplots(len(tasks), 2, figsize=(10, 2.6 * len(tasks)), squeeze=False, layout="constrained")
    for task, (left, right) in zip(tasks, axes, strict=True):
        for k, cell in enumerate(cells):
            of = [x for row, x in done if (row["task"], row["cell"]) == (task, cell)]
            if not of:
                continue
            style = {"color": plt.get_cmap("tab20")(k), "label": cell, "linewidth": 1.2}
            steps = [entry["step"] for entry in of[0]["history"]]
            left.plot(steps, np.median([[entry["loss"] for entry in x["history"]] for x in of], axis=0), **style)
            if cell == "QUNN":  # its Jacobians take minutes
                continue
            high = gradients(of[0]["model"], task)[:, 0]
            right.plot(np.arange(1, len(high) + 1), np.maximum(high, 1e-16), **style)
        left.set(yscale="log", ylabel=f"{task}: loss", xlabel="updates")
        right.set(yscale="log", ylabel="largest singular value", xlabel="steps", ylim=(1e-16, None))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    figure.savefig(file, dpi=120)


def show(task: str, rows: list[dict[str, Any]]) -> None:
    """The table of one task."""
    header = (
        task,
        "states",
        "parameters",
        "error",
        "right answers",
        "ms per update",
        "gradients over 100 steps",
        "seeds",
    )
    print(f"\n| {' | '.join(header)} |\n|{'---|' * len(header)}")

    def number(row: dict[str, Any], name: str, form: str) -> str:
        return "" if row.get(name) is None else format(row[name], form)

    for row in sorted(rows, key=lambda row: (row.get("square_error") is None, row.get("square_error"))):
        size = f"{row['states']:.0f} | {row['count']:.0f}"
        reached = (
            f"{number(row, 'square_error', '.4g')} | {number(row, 'accuracy', '.3f')} | {number(row, 'ms', '.1f')}"
        )
        gradients = f"{number(row, 'low', '.1e')} to {number(row, 'high', '.1e')}"
        print(f"| {row['cell']} | {size} | {reached} | {gradients} | {row['completed']} |")


if __name__ == "__main__":
    main()
