"""All networks of a folder, analyzed: one row of a table each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".mat", ".pt", ".pth", ".safetensors", ".npz", ".h5", ".hdf5", ".keras", ".jld2", ".onnx")


@dataclass(frozen=True, repr=False)
class WeightsFile:
    """A file, known by its name and its content: where one changes, it is another case.

    Args:
        path: of the file. digest: of what it holds.
    """

    path: str
    digest: str

    def __repr__(self) -> str:
        return self.path


def weights_in(folder: str | Path) -> list[dict[str, Any]]:
    """The weights files of a folder and of those inside it, sorted, as cases of `analyze_file`.

    Raises:
        ValueError: no such folder, or no weights file in it.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ValueError(f"`folder` is {str(folder)!r}; it must be a folder of weights files.")
    found = sorted(x for x in place.rglob("*") if x.suffix in SUFFIXES and x.is_file())
    if not found:
        raise ValueError(
            f"`folder` is {str(folder)!r}, which holds no weights file; it must hold some ({' '.join(SUFFIXES)})."
        )
    return [{"file": WeightsFile(str(x), hashlib.sha256(x.read_bytes()).hexdigest()[:12])} for x in found]


def analyze_file(file: Any, *, steps: int = 10_000, time_limit: float | None = 60.0, **options: Any) -> dict[str, Any]:
    """What `analyze` finds of the network in a file, as numbers for a table.

    Args:
        file: path of the weights file, or a `WeightsFile`. steps: of the orbit. time_limit: of `analyze`, seconds of work.
        options: how the file is read: those of `retime.load`.

    Returns:
        family, states, inputs; fixed_points and stable_points, and whether it is proven that these are all; cycles longer than one step and
        stable_cycles; largest_exponent with standard_error, kaplan_yorke; regions that the orbit visits; behavior in words; search, the
        status of `analyze`.
    """
    from retime.analysis import analyze  # the processes of other sweeps need not load them
    from retime.io import load_recognized

    model, _ = load_recognized(file.path if isinstance(file, WeightsFile) else file, **options)
    found = analyze(model, steps=steps, time_limit=time_limit)
    cycles = [c for c in found.cycles or () if len(c.points) > 1]
    exponents = found.exponents
    return {
        "family": model.family,
        "states": model.num_states,
        "inputs": model.num_inputs,
        "fixed_points": len(found.fixed_points.points),
        "stable_points": int(found.fixed_points.stable.sum()),
        "proven": bool(found.fixed_points.complete),
        "cycles": len(cycles),
        "stable_cycles": sum(bool(c.stable) for c in cycles),
        "largest_exponent": float(exponents.exponents[0]),
        "standard_error": float(exponents.standard_errors[0]),
        "kaplan_yorke": float(exponents.kaplan_yorke),
        "regions": None if found.regions is None else len(found.regions.patterns),
        "behavior": found.behavior,
        "search": str(found.status),
    }
