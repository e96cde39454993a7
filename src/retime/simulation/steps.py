"""How Diffrax steps smooth flows: no slivers before the end and before times at which the input's formula changes, and stages written out."""

from __future__ import annotations

from typing import Any

import diffrax
import jax
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


class UnrolledDopri8(diffrax.Dopri8):
    """The method, tableau and interpolation of `diffrax.Dopri8`, for explicit ODEs whose state is one array.

    Diffrax runs the 14 stages in a compiled loop; each turn of it costs more than the field of a small network. Written out, the
    sums of a stage become one kernel. Results agree with `diffrax.Dopri8()` to rounding.
    """

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        """The field at the start, which every step hands on to the next."""
        return terms.vf(t0, y0, args)

    def step(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any) -> Any:
        """One step: state, error estimate, what interpolation needs, the field at the end, success."""
        control, dt, tableau = terms.contr(t0, t1), t1 - t0, self.tableau
        f = jax.lax.cond(made_jump, lambda: terms.vf(t0, y0, args), lambda: solver_state)
        k, y = [terms.prod(f, control)], y0
        for row, c in zip(tableau.a_lower, tableau.c, strict=True):
            y = y0 + sum(float(a) * x for a, x in zip(row, k, strict=True) if a != 0)
            f = terms.vf(t0 + float(c) * dt, y, args)
            k.append(terms.prod(f, control))
        error = sum(float(b) * x for b, x in zip(tableau.b_error, k, strict=True) if b != 0)
        # the last stage is the new state, and its field the first of the next step
        return y, error, {"y0": y0, "y1": y, "k": jnp.stack(k)}, f, diffrax.RESULTS.successful
