"""The step size control of every smooth flow: no slivers before the end and before times at which the input's formula changes."""

from __future__ import annotations

from typing import Any

import diffrax
import jax.numpy as jnp

SLIVER = 0.1  # of a step: a rest this short before a jump is taken along
SMALLEST = 2e-15  # step, relative to the largest time: nine units in the last place, of which a tenth less is not the same again
ROUNDING = 3e-14  # a rest before the end, relative to it, that Diffrax does not divide (100 units in the last place)


def step_control(tolerance: Any, start: Any, stop: Any, jumps: Any = None) -> Any:
    """Steps from `start` to `stop` whose error stays below tolerance (1 + |y|), and that end at each of the times `jumps`."""
    limits: Any = {"rtol": tolerance, "atol": tolerance, "force_dtmin": False}
    limits["dtmin"] = SMALLEST * jnp.maximum(jnp.abs(start), jnp.abs(stop))
    end = jnp.reshape(stop, 1)
    if jumps is None:
        return ReachingController(**limits, jumps=end)
    ends = jnp.sort(jnp.concatenate([jnp.asarray(jumps), end]))
    return diffrax.ClipStepSizeController(ReachingController(**limits, jumps=ends), jump_ts=jumps)


class ReachingController(diffrax.PIDController):
    """`diffrax.PIDController` whose step ends at a jump of the input, or at the end of the run, when it would end just before.

    A step that is cut there leaves nothing behind, but one that ends by chance some 1e-15 before leaves a step of that size, from which the
    next is proposed: below `dtmin`, and the solver would give up. Steps become up to a tenth longer than proposed; their error is checked
    as ever.

    Attributes:
        jumps: `(k,)`, times, increasing, the end of the run among them; time runs forward.
    """

    jumps: Any = None

    def wrap(self, direction: Any) -> Any:
        """Itself."""
        return self

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, dt0: Any, args: Any, func: Any, error_order: Any) -> Any:
        """The end of the first step, stretched to a jump that is near it."""
        end, state = super().init(terms, t0, t1, y0, dt0, args, func, error_order)
        return self._reaching(t0, end), state

    def adapt_step_size(self, *args: Any, **options: Any) -> Any:
        """The next step, stretched to a jump that is near its end.

        Diffrax tries half of a rest that is as short as rounding whatever is proposed: where that is refused, no step would ever do.
        """
        keep, start, end, made_jump, state, result = super().adapt_step_size(*args, **options)
        is_stuck = ~keep & (self.jumps[-1] - start <= ROUNDING * jnp.abs(self.jumps[-1]))
        result = diffrax.RESULTS.where(is_stuck, diffrax.RESULTS.dt_min_reached, result)
        return keep, start, self._reaching(start, end), made_jump, state, result

    def _reaching(self, start: Any, end: Any) -> Any:
        k = jnp.searchsorted(self.jumps, end)
        jump = self.jumps[jnp.minimum(k, len(self.jumps) - 1)]
        reach = end + SLIVER * (end - start)  # beyond the jump: what lies beyond is cut
        return jnp.where((jump >= end) & (jump < reach), reach, end)
