"""A fair study of cells: equal numbers of parameters and of updates, several seeds, on the adding problem, copy memory and sequential digits.

    python benchmarks/cell_study.py TABLE [TASK,...] [CELL,...] [SEED,...] [UPDATES]

Each row of TABLE (.csv) is one training: what is there already is not done again, so that it goes on where it was ended. Printed at the
end: a table by task and cell, medians over the seeds. Gradients are the largest and the smallest singular value of the product of Jacobians
over 100 steps of a trial, of the trained network.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

import retime as rt
from retime.learn.families import Start
from retime.learn.networks import network

PARAMETERS = 5_000  # of each network, readout included
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
    "LRU": ("diagonal_linear", {}),
    "minGRU": ("min_gru", {}),
    **{f"ODERNN n = {n}, t = {t}": ("odernn", {"stages": n, "order": t}) for n in (1, 2, 4) for t in (1, 2)},
    "QUNN": ("qunn", {"memory": 2}),
}
RATES = {
    "Elman": 1e-3,
    "GRU": 3e-3,
    "LSTM": 3e-3,
    "minGRU": 3e-3,
    "LRU": 3e-3,
}  # of Adam; 1e-2 of the others, one choice for all tasks
COLUMNS = ("task", "cell", "seed", "updates", "states", "parameters", "loss", "accuracy", "ms", "high", "low", "status")


def sized(family: str, options: dict, task: object) -> tuple[int, int]:
    """States whose network has the number of parameters that is nearest to PARAMETERS, and that number."""
    best = (10**9, 0, 0)
    for n in (*range(8, 64, 2), *range(64, 256, 8), *range(256, 1025, 32)):
        net = network(family, n, task.num_inputs, task.num_outputs, options)
        count = sum(np.size(v) for v in net.initial(np.random.default_rng(0), Start("normal")).values())
        best = min(best, (abs(count - PARAMETERS), n, count))
        if count > 2 * PARAMETERS:
            break
    return best[1], best[2]


def one(task_name: str, cell: str, seed: int, updates: int) -> dict:
    """Train and judge one network."""
    task, (family, options) = TASKS[task_name](), CELLS[cell]
    n, count = sized(family, options, task)
    begun = time.process_time()
    fit = rt.train(
        task, family=family, num_states=n, updates=updates, batch_size=32, seed=seed, held_out=256, every=max(updates // 10, 1),
        learning_rate=RATES.get(cell, 1e-2), initial="orthogonal" if cell == "Elman" else "normal", **options,
    )  # fmt: skip
    spent = time.process_time() - begun
    s = np.asarray(task.batch(1, 0)[0])[0][:100]
    z = [fit.model.initial_state() if family == "qunn" else np.zeros(fit.model.num_states)]
    for row in s[:-1]:
        z.append(fit.model.step(z[-1], row))
    gradient = rt.cell_stability(fit.model, states=np.array(z), inputs=s).gradient[-1]
    return dict(zip(COLUMNS, (
        task_name, cell, seed, updates, fit.model.num_states, count, fit.metrics["loss"], fit.metrics.get("sign_accuracy", np.nan),
        1e3 * spent / updates, gradient[0], gradient[1], str(fit.status),
    ), strict=True))  # fmt: skip


def main(table: Path, tasks: list[str], cells: list[str], seeds: list[int], updates: int) -> None:
    """Do what the table does not hold yet, and print it."""
    rows = list(csv.DictReader(table.open())) if table.exists() else []
    done = {(r["task"], r["cell"], int(r["seed"]), int(r["updates"])) for r in rows}
    for seed in seeds:
        for task in tasks:
            for cell in cells:
                if (task, cell, seed, updates) in done:
                    continue
                row, fresh = one(task, cell, seed, updates), not table.exists()
                with table.open("a", newline="") as file:
                    writer = csv.DictWriter(file, COLUMNS)
                    if fresh:
                        writer.writeheader()
                    writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
                print(row, flush=True)
    rows = [r for r in csv.DictReader(table.open()) if int(r["updates"]) == updates]
    for task in tasks:
        header = (
            task,
            "states",
            "parameters",
            "loss",
            "accuracy",
            "ms per update",
            "gradients over 100 steps",
            "seeds",
        )
        print(f"\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
        for cell in cells:
            own = [r for r in rows if (r["task"], r["cell"]) == (task, cell)]
            if own:
                names = ("loss", "accuracy", "ms", "high", "low")
                loss, accuracy, ms, high, low = (median(float(r[k]) for r in own) for k in names)
                size, shown = f"{own[0]['states']} | {own[0]['parameters']}", f"{loss:.4g} | {accuracy:.3f} | {ms:.1f}"
                print(f"| {cell} | {size} | {shown} | {low:.1e} to {high:.1e} | {len(own)} |")


if __name__ == "__main__":
    given = [*sys.argv[1:], *[""] * 5]
    main(
        Path(given[0]),
        given[1].split(",") if given[1] else list(TASKS),
        given[2].split(",") if given[2] else list(CELLS),
        [int(s) for s in (given[3] or "0,1,2").split(",")],
        int(given[4] or 1000),
    )
