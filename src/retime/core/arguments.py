"""Arguments that many verbs take, each with one meaning, one check and one sentence: what came, what is wanted.

`real_array` and its kin (`core.arrays`) check what is an array of numbers; here are the arguments that mean the same in every verb.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.arrays import Array, real_array
from retime.core.conversion import Conversion
from retime.core.errors import ShapeError
from retime.core.states import box_around, many_states
from retime.core.system import System, initial_states


def system(
    verb: str,
    value: Any,
    name: str = "model",
    wanted: str = "a retime model or a converted flow",
    time: type = object,
    instead: str = "",
) -> Any:
    """The model that an argument is, or that a `Conversion` holds.

    Args:
        verb: which asks, for the message. value: what came. name: of the argument. wanted: what the verb takes, in words. time: its time
            base. instead: what to do with a model of another time base.

    Raises:
        TypeError: no model, or one of another time base.
    """
    model = value.model if isinstance(value, Conversion) else value
    if not isinstance(model, System):
        raise TypeError(f"`{name}` is {type(model).__name__}; {verb} takes {wanted}.")
    if not isinstance(model.time, time):
        raise TypeError(f"`{name}` is {model!r}; {verb} takes {wanted}.{instead and ' ' + instead}")
    return model


def whole(name: str, value: Any, least: int) -> int:
    """A whole number >= least.

    Raises:
        ValueError: anything else; True and False are no numbers.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"`{name}` is {value!r}; it must be a whole number >= {least}.")
    return int(value)


def is_number(value: Any) -> bool:
    """Whether it is a real number: no text, and neither True nor False."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def amount(name: str, value: Any) -> float:
    """A number >= 0, infinity included.

    Raises:
        ValueError: anything else.
    """
    if not is_number(value) or not value >= 0:
        raise ValueError(f"`{name}` is {value!r}; it must be a number >= 0.")
    return float(value)


def seconds(value: Any) -> float:
    """The `time_limit` of a search in seconds of work: infinity for None, which is no limit.

    Raises:
        ValueError: not a number > 0.
    """
    if value is None:
        return float("inf")
    if not is_number(value) or not value > 0:
        raise ValueError(f"`time_limit` is {value!r}; it must be a number of seconds > 0, or None for no limit.")
    return float(value)


def seed_of(value: Any) -> int:
    """The `seed` of random numbers; for None one that is drawn, another in every call.

    Raises:
        ValueError: not a whole number >= 0.
    """
    if value is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(
            f"`seed` is {value!r}; it must be a whole number >= 0, or None for random numbers that differ from call to call."
        )
    return int(value)


def switching_of(model: System, value: Any) -> Any:
    """The `switching` rule as it came, None where the default is meant.

    Raises:
        ValueError: an unknown rule, or a system that has no choice.
    """
    if value is None:
        return None
    if not isinstance(value, str) or value not in ("clock", "state"):
        raise ValueError(
            f'`switching` is {value!r}; it must be "clock" (region held for one step) or "state" (read from the state), or None.'
        )
    if not model.takes_switching:
        raise ValueError(
            f'`switching` is {value!r}; converted flows take "clock" or "state", and only converted flows have a choice: '
            f"{type(model).__name__} has none. Leave it out."
        )
    return value


def one_start(verb: str, value: Any, num_states: int) -> Array:
    """The one initial state `(n,)` of a verb that follows one orbit; of a Trajectory its last, of a point of a result the point.

    Raises:
        ShapeError: another shape. ValueError: an entry is not finite.
    """
    z = initial_states(value, num_states)
    if z.ndim != 1:
        raise ShapeError(
            f"`z0` has shape {z.shape}; {verb} follows one orbit: give one initial state ({num_states},), of a batch one by one."
        )
    return z


def box_of(value: Any, n: int, *, name: str = "box", may_be_flat: bool = False) -> Array:
    """The box `(n, 2)`, lower and upper end of each of n states, that an argument stands for.

    Args:
        value: `(n, 2)`; two numbers (low, high) for all states; a tuple of two vectors (low, high), each `(n,)` or one number; a
            Trajectory, or points of results: the box around their states, twice as wide as they spread.
        n: number of states. name: of the argument.
        may_be_flat: whether a state may be held, its lower end at its upper end.

    Raises:
        ShapeError: another shape. ValueError: a lower end that is not below its upper end, entries that are not finite, or, in two
        dimensions, a tuple of two vectors that is a box both by rows and by columns.
    """
    given = many_states(value)
    if given is not value:
        return box_around(real_array(name, given))
    if isinstance(value, tuple) and {isinstance(x, (list, tuple, np.ndarray)) for x in value} == {False, True}:
        value = np.column_stack(np.broadcast_arrays(*(real_array(name, x) for x in value)))
    ends = real_array(name, value)
    if ends.shape == (2,):
        ends = np.tile(ends, (n, 1))
    elif ends.shape == (2, n) and n != 2:
        ends = ends.T
    if ends.shape != (n, 2):
        raise ShapeError(
            f"`{name}` has shape {np.shape(ends)}; it must be ({n}, 2), lower and upper end of each state, or (low, high)."
        )
    if (
        n == 2
        and isinstance(value, tuple)
        and _is_box(ends, False)
        and _is_box(ends.T, False)
        and (ends != ends.T).any()
    ):
        raise ValueError(
            f"`{name}` is a tuple of two vectors, which may be the ends of each state or (low, high) of both: write {ends.tolist()} for the "
            f"first, {ends.T.tolist()} for the second (a list or an array holds one state per row)."
        )
    if not _is_box(ends, may_be_flat):
        k = int(np.argmax(~_is_below(ends, may_be_flat)))
        raise ValueError(
            f"`{name}` is empty: state {k} goes from {ends[k, 0]} to {ends[k, 1]}; every lower end must be below its upper end."
        )
    return np.ascontiguousarray(ends)


def _is_below(ends: Array, may_be_flat: bool) -> Array:
    return ends[:, 0] <= ends[:, 1] if may_be_flat else ends[:, 0] < ends[:, 1]


def _is_box(ends: Array, may_be_flat: bool) -> bool:
    return bool(_is_below(ends, may_be_flat).all())
