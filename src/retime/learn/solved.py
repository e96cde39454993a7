"""Rate networks, solved by Diffrax from sample to sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array, positive
from retime.core.equation import double_precision
from retime.core.system import System
from retime.learn.dynamics import Dynamics
from retime.learn.families import Parameters, Start
from retime.learn.networks import Network, network
from retime.learn.windows import Windows
from retime.models import RateRNN

BEGIN = 5.0  # time constants at the start, in median times between samples
TOLERANCE = {"float32": 1e-5, "float64": 1e-8}  # error per step, absolute and relative
MOST_STEPS = 512  # of the solver from one sample to the next


@dataclass(frozen=True)
class SolvedFlow(Dynamics):
    """RateRNN at any sample times, with learned time constants; Tsitouras' method of order 5 with adaptive steps.

    The gradient is that of the numerical solution (checkpointed reverse mode, `diffrax.RecursiveCheckpointAdjoint`), so it differs from
    that of the flow by the tolerance. Trained in units of the median time between samples.
    """

    needs_equal_times: ClassVar[bool] = False
    runs_long: ClassVar[bool] = False

    @classmethod
    def network(cls, family: str, n: int, m: int, N: int, options: Mapping[str, Any]) -> Network:
        """`tau`, in model time, is where the time constants start; None: five samples."""
        net, tau = network(family, n, m, N, options), options.get("tau")
        return replace(net, options={**net.options, "tau": None if tau is None else positive("tau", tau, "model time")})

    def parameters(self, rng: np.random.Generator) -> Parameters:
        """Logarithms of the time constants, and what the family has."""
        own, tau = self.net.initial(rng, Start("memory")), self.net.options["tau"]
        kept = {k: v for k, v in own.items() if not k.startswith("readout")}
        n, N = self.net.n, self.net.p
        begin = BEGIN if tau is None else tau / self.setting.dt
        return {**kept, "log_tau": np.full(n, np.log(begin)), "lift": 0.1 * rng.normal(size=(n - N, N))}

    def weights_of(self, model: Any) -> Parameters:
        """With the logarithms of the time constants, in samples."""
        tau = np.broadcast_to(np.asarray(model.tau, dtype=np.float64), model.num_states)
        return {**super().weights_of(model), "log_tau": np.log(tau / self.setting.dt)}

    def gradient(self, p: Parameters, windows: Windows) -> tuple[float, Parameters]:
        """Compiled once for each shape."""
        w, kind = windows, np.dtype(self.setting.dtype)
        spans = (np.diff(w.times, axis=0) / self.setting.dt).astype(kind)
        loss, found = self._gradient(p, w.forced, w.wanted, w.strength, w.weight, w.inputs, spans)
        return float(loss), {k: np.asarray(v) for k, v in found.items()}

    @cached_property
    def _gradient(self) -> Any:
        import jax
        import jax.numpy as jnp

        N, solve = self.net.p, self._solve

        def loss(p: Parameters, forced: Any, x: Any, strength: Any, weight: Any, inputs: Any, spans: Any) -> Any:
            q = {k: p[k] for k in ("W_rec", "W_in", "b")} | {"tau": jnp.exp(p["log_tau"])}

            def go(z: Any, at: Any) -> Any:
                given, f, s, span, wanted, w = at
                z = solve(q, z.at[:, :N].add(f * (given - z[:, :N])), s, span)
                return z, (w * (z[:, :N] - wanted) ** 2).sum()

            first = forced[:, 0].T
            z0 = jnp.concatenate([first, first @ p["lift"].T], axis=1)
            rows = [a.transpose(1, 2, 0) for a in (forced, strength, inputs, x, weight)]
            return jax.lax.scan(go, z0, (*(r[:-1] for r in rows[:3]), spans, *(r[1:] for r in rows[3:])))[1].sum()

        return jax.jit(jax.value_and_grad(loss))

    @cached_property
    def _solve(self) -> Any:
        """(parameters, z `(b, n)`, s `(b, m)`, times `(b,)`) -> states after these times with the inputs held; NaN where that failed."""
        import diffrax
        import jax
        import jax.numpy as jnp

        n, m, options = self.net.n, self.net.m, self.net.options
        blank = RateRNN(
            np.zeros((n, n)), np.zeros((n, m)), np.zeros(n), tau=1.0, **{k: options[k] for k in ("activation", "form")}
        )
        function = blank.equation.function

        def one(q: Parameters, z: Any, s: Any, time: Any) -> Any:
            term = diffrax.ODETerm(lambda t, z, q: time * function(jnp, q, z, s))
            tolerance = TOLERANCE[str(z.dtype)]
            control = diffrax.PIDController(rtol=tolerance, atol=tolerance)
            found = diffrax.diffeqsolve(
                term, diffrax.Tsit5(), jnp.zeros((), z.dtype), jnp.ones((), z.dtype), None, z, q, stepsize_controller=control,
                max_steps=MOST_STEPS, throw=False, adjoint=diffrax.RecursiveCheckpointAdjoint(),
            )  # fmt: skip
            end: Any = found.ys
            return jnp.where(found.result == diffrax.RESULTS.successful, end[-1], jnp.nan)

        return jax.vmap(one, in_axes=(None, 0, 0, 0))

    def model(self, p: Parameters, mean: Array, std: Array) -> System:
        """In model time, with a readout in the units of the data."""
        own = {k: np.asarray(p[k], dtype=np.float64) for k in ("W_rec", "W_in", "b")}
        tau = np.exp(np.asarray(p["log_tau"], dtype=np.float64)) * self.setting.dt
        B = np.hstack([np.diag(std), np.zeros((len(mean), self.net.n - len(mean)))])
        names = {k: self.net.options[k] for k in ("activation", "form")}
        return RateRNN(**own, tau=tau, **names, readout=(B, mean))

    def advance(self, model: System, z: Array, s: Array, elapsed: Array) -> Array:
        """By the same solver in double precision."""
        net: Any = model
        q = {"W_rec": net.W_rec, "W_in": net.W_in, "b": net.b, "tau": np.array(net.tau)}
        with double_precision():
            return np.asarray(self._advanced(q, z, s, elapsed))

    @cached_property
    def _advanced(self) -> Any:
        import jax

        return jax.jit(self._solve)
