"""`Arclength`: how branches of smooth systems are followed."""

from __future__ import annotations

from dataclasses import dataclass

from retime.core.method import Method


@dataclass(frozen=True, repr=False)
class Arclength(Method):
    """Pseudo-arclength continuation: its thresholds. Lengths are relative to the largest distance of neighboring values, angles in radians.

    G(z, x) = 0 is followed along its tangent, x the parameter in units of the states; what each guard is for: docs/theory/continuation.md.

    Args:
        steps: along one branch, at most.
        shortest: length below which a step is not halved any more: the branch is left there, which an event says.
        straight: cosine of the angle by which a branch may turn in one step, at least.
        turned: angle of the tangents that a step may have in any case; a larger one must agree with the curvature before.
        bent: times the curvature of the step before, up to which a larger angle is a bend; beyond it is a jump to a branch that crosses.
        checked: angle from which on the direction half way is looked at too, not only the place.
        aligned: angle of two tangents at one point up to which both are of one branch; more: two branches cross there.
        grown: times its first size, from which on a point leaves for infinity when its parameter converges.
        window: length in which an event is interpolated, far enough from equations that are singular.
        nearer: share of the smallest singular value before a step, below which its end is beside a crossing.
        beside: smallest singular value of dG/dz, relative to (dG/dz, dG/dx), from which on a branch is begun.
        on_value: length within which a turning point is listed at the value itself.
        regular: |psi dG/dx|, psi the left null vector, above which a turning point is a saddle-node and not a crossing.
        starts: of Newton's method at every value but the first; eight times as many at the last one.
        believed: times the size of the points at the first value, up to which points of such starts are followed.

    Raises:
        ValueError: a threshold that is not positive, or a count that is not whole.

    Source: keller1977, govaerts2000; docs/theory/continuation.md, docs/theory/tolerances.md.
    """

    steps: int = 20_000
    shortest: float = 1e-9
    straight: float = 0.95
    turned: float = 0.08
    bent: float = 3.0
    checked: float = 0.025
    aligned: float = 0.01
    grown: float = 1e4
    window: float = 1e-3
    nearer: float = 0.02
    beside: float = 1e-4
    on_value: float = 1e-9
    regular: float = 1e-5
    starts: int = 8
    believed: float = 1e4
