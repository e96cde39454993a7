"""How an orbit passes the boundaries of its regions."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.simulation import saltation


def turns(
    form: Any, at: Array, unit: Array, begins: dict[float, int], ends: set[float], jumps: set[float], slider: int
) -> tuple[list[tuple[float, tuple[int, int, int, int, int]]], int]:
    """What happens at each instant at which units switch or sliding begins or ends: (time, code); and the unit that slides then.

    Units that switch at one instant with parallel boundaries are one switch; others follow one another. What shares the boundary along
    which the orbit slides goes with it. Units across whose boundary the map does not change make no switch.
    """
    instants = sorted({*map(float, at), *begins, *ends})
    found, k, idle = [], 0, form.idle[0]
    for t in instants:
        group, index = [], []
        while k < len(at) and at[k] == t:
            if not idle[unit[k]]:
                group.append(int(unit[k]))
                index.append(k + 1)
            k += 1
        if not group and t not in begins and t not in ends:
            continue
        was, slider = slider, begins.get(t, -1 if t in ends else slider)
        others = [i for i in group if was < 0 or not _parallel(form.W2[[i, was]])]
        normals = [slider] if slider >= 0 and slider != was else others[:1]
        separate = slider < 0 and was < 0 and len(group) > 1 and not _parallel(form.W2[group])
        if t in jumps:
            normals, separate = [], False
        if separate:
            last = [j + 1 == len(group) or not _parallel(form.W2[group[j : j + 2]]) for j in range(len(group))]
            found += [(t, (saltation.SWITCH, index[j], 0, -1, group[j])) for j in np.flatnonzero(last).tolist()]
        else:
            found.append((t, (saltation.SWITCH, k, 0, slider, normals[0] if normals else -1)))
    return found, slider


def _parallel(rows: Array) -> bool:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return bool((np.abs(np.abs(unit @ unit[0]) - 1) < 1e-12).all())
