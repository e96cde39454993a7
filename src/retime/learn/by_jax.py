"""Any family that has a step for JAX: the gradient by automatic differentiation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retime.learn.dynamics import Dynamics
from retime.learn.families import Parameters
from retime.learn.windows import Windows


@dataclass(frozen=True)
class Compiled(Dynamics):
    """Shallow and dendritic PLRNN, GRU, and every family with a linear observation x = B z + b."""

    def gradient(self, p: Parameters, windows: Windows) -> tuple[float, Parameters]:
        """Compiled once for each shape."""
        w = windows
        loss, found = self._gradient(p, w.forced, w.wanted, w.strength, w.weight, w.inputs)
        return float(loss), {k: np.asarray(v) for k, v in found.items()}

    @cached_property
    def _gradient(self) -> Any:
        import jax
        import jax.numpy as jnp

        n, N, step, is_linear = self.net.num_states, self.net.p, self.net.step, self.setting.observation == "linear"

        def loss(p: Parameters, forced: Any, x: Any, strength: Any, weight: Any, inputs: Any) -> Any:
            B, b = (
                (p["observed_B"], p["observed_b"])
                if is_linear
                else (jnp.eye(N, n, dtype=x.dtype), jnp.zeros(N, x.dtype))
            )
            back = jnp.linalg.pinv(B) if is_linear else B.T

            def go(z: Any, at: Any) -> Any:
                given, f, s, wanted, w = at
                z = step(p, z + (f * (given - b - z @ B.T)) @ back.T, s)
                return z, (w * (z @ B.T + b - wanted) ** 2).sum()

            first = forced[:, 0].T
            z0 = jnp.pad(first @ p["lift"].T, ((0, 0), (n - p["lift"].shape[0], 0)))
            z0 = z0 + (first - b - z0 @ B.T) @ back.T
            rows = [a.transpose(1, 2, 0) for a in (forced, strength, inputs, x, weight)]
            return jax.lax.scan(go, z0, (*(r[:-1] for r in rows[:3]), *(r[1:] for r in rows[3:])))[1].sum()

        return jax.jit(jax.value_and_grad(loss))
