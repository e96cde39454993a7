"""A step size control that does not leave slivers before the times at which the input's formula changes."""

from __future__ import annotations

from typing import Any

import diffrax
import jax.numpy as jnp

SLIVER = 0.1  # of a step: a rest this short before a jump is taken along


class ReachingController(diffrax.PIDController):
    """`diffrax.PIDController` whose step ends at a jump of the input when it would end just before.

    A step that is cut at a jump leaves nothing behind, but one that ends by chance some 1e-15 before it leaves a step of that size, from
    which the next is proposed: below `dtmin`, and the solver would give up. Steps become up to a tenth longer than proposed; their error is
    checked as ever.

    Attributes:
        jumps: `(k,)`, times, increasing; time runs forward.
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
        """The next step, stretched to a jump that is near its end."""
        keep, start, end, made_jump, state, result = super().adapt_step_size(*args, **options)
        return keep, start, self._reaching(start, end), made_jump, state, result

    def _reaching(self, start: Any, end: Any) -> Any:
        k = jnp.searchsorted(self.jumps, end)
        jump = self.jumps[jnp.minimum(k, len(self.jumps) - 1)]
        reach = end + SLIVER * (end - start)  # beyond the jump: what lies beyond is cut
        return jnp.where((jump >= end) & (jump < reach), reach, end)
