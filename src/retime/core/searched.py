"""The system that a result is about, kept so that the result can say and draw more than its numbers."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.system import System


@dataclass(frozen=True, eq=False, repr=False)
class Searched:
    """A system under a constant input.

    Results keep one as `searched`; it is not part of their data (`to_dict`). A copy or pickle of a result goes without it when the
    system cannot be pickled (a `Map` of a lambda).

    Attributes:
        model: the system. inputs: `(m,)`.
    """

    model: System
    inputs: Array = field(default_factory=lambda: np.zeros(0))

    @property
    def num_outputs(self) -> int:
        """p of the readout, 0 without one."""
        return self.model.num_outputs

    def outputs(self, states: Array) -> Array | None:
        """Outputs `(..., p)` at states `(..., n)` under the input; None without a readout."""
        z, s = np.asarray(states), self.inputs
        return self.model.outputs(z, np.broadcast_to(s, (*z.shape[:-1], len(s))) if len(s) else None)

    def __reduce__(self) -> Any:
        try:
            pickle.dumps(self.model)
        except (pickle.PicklingError, AttributeError, TypeError):
            return _nothing, ()
        return Searched, (self.model, self.inputs)


def _nothing() -> None:
    """What is left of a system that cannot be pickled."""
