"""Steps of smooth flows: no slivers before the end, and an end at poles."""

import jax
import jax.numpy as jnp
import numpy as np

import retime as rt
from retime.core.equation import double_precision
from retime.simulation.steps import step_control


def test_first_step_that_ends_just_before_the_end_is_taken_to_it():
    import diffrax

    with double_precision():
        control = step_control(1e-9, jnp.array(5.0), jnp.array(5.5))
        term = diffrax.ODETerm(lambda t, y, _: -y)
        end, _ = control.init(
            term, jnp.array(5.0), jnp.array(5.5), jnp.ones(1), jnp.array(0.5 - 1e-15), None, term.vf, 8.0
        )
        assert float(end) >= 5.5
        solve = jax.jit(
            lambda first: diffrax.diffeqsolve(
                term, diffrax.Bosh3(), 5.0, 5.5, first, jnp.ones(1), stepsize_controller=control, throw=False
            )
        )
        solution = solve(0.5 - 1e-15)
        assert solution.result == diffrax.RESULTS.successful
        assert abs(float(solution.ys[-1, 0]) - np.exp(-0.5)) <= 1e-7


def test_pole_that_is_hardly_later_than_the_start_is_a_divergence():
    """dz/dt = z^2 from 6e10 at t = 1: steps of a few units in the last place of t are refused, and a tenth less is the same step."""
    path = rt.simulate(rt.VectorField(lambda z: z * z, 1), [5.91766665e10], times=[1.0, 1.125])
    assert path.status == "diverged"
    assert abs(path.status_time - 1.0) <= 1e-9
