"""Functions that users write, with jax.numpy or NumPy, made into what JAX can call and differentiate."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.equation import double_precision
from retime.core.errors import ShapeError

LEVELS = 16  # halvings of the step in a difference that is extrapolated
LARGEST = 0.05  # first step, relative to 1 + |arguments|


@dataclass(frozen=True, eq=False)
class UserFunction:
    """A user's function of one or more vectors with a result of known shape.

    A function written with jax.numpy is traced: compiled, with exact derivatives. One that JAX cannot trace (NumPy, SciPy,
    branches on values) is called back in Python; its derivatives are extrapolated differences along the direction (Ridders).
    What the function reads besides its arguments is taken as it is when it is traced, once per object.

    Args:
        f: the function.
        sizes: lengths of its arguments.
        result: shape of its result.
        name: how messages call it.

    Raises:
        ShapeError: the result has another shape. ValueError: it is complex, or the function fails on ones.
    """

    f: Callable[..., Any]
    sizes: tuple[int, ...]
    result: tuple[int, ...]
    name: str = "f"
    is_traceable: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_traceable", self._trace())

    def __call__(self, *arguments: Any) -> Any:
        """The value; arguments and result are JAX arrays."""
        if self.is_traceable:
            import jax.numpy as jnp

            return jnp.asarray(self.f(*arguments)).astype(float).reshape(self.result)
        return _called_back(self)(*arguments)

    def _trace(self) -> bool:
        """Whether JAX can trace f; its result is checked either way."""
        import jax

        with double_precision():
            structs = [jax.ShapeDtypeStruct((k,), np.float64) for k in self.sizes]
            try:
                found = jax.eval_shape(lambda *a: jax.numpy.asarray(self.f(*a)), *structs)
            except (
                Exception
            ):  # whatever stops JAX: the function is then called with NumPy arrays, and fails there or not
                self._check(np.shape(self._tried()), np.dtype(float))
                return False
        self._check(found.shape, found.dtype)
        return True

    def _tried(self) -> Array:
        try:
            return self.in_python(*[np.ones(k) for k in self.sizes])
        except Exception as error:
            shapes = ", ".join(f"({k},)" for k in self.sizes)
            raise ValueError(
                f"`{self.name}` fails on ones of shape {shapes}: {type(error).__name__}: {error}. It must take arrays and return one."
            ) from error

    def _check(self, shape: tuple[int, ...], dtype: Any) -> None:
        if shape != self.result:
            arguments = ", ".join(f"({k},)" for k in self.sizes)
            raise ShapeError(
                f"`{self.name}` of arguments of shape {arguments} has shape {shape}; it must be {self.result}."
            )
        if np.issubdtype(dtype, np.complexfloating):
            raise ValueError(f"`{self.name}` returns complex numbers; it must return real ones.")

    def in_python(self, *arguments: Any) -> Array:
        """The value as NumPy float64."""
        with double_precision():  # the function may use jax.numpy all the same
            value = np.asarray(self.f(*[np.array(a) for a in arguments]))
        if np.iscomplexobj(value):
            raise ValueError(f"`{self.name}` returns complex numbers; it must return real ones.")
        return value.astype(np.float64)

    def derivative_in_python(self, *arguments: Any) -> Array:
        """The derivative at the first half of the arguments along the second half, by extrapolated central differences.

        Of the differences with steps h, h/2, h/4, ... and their extrapolations each entry takes the one with the smallest
        estimated error. Source: ridders1982.
        """
        half = len(arguments) // 2
        points, directions = arguments[:half], arguments[half:]
        length = np.sqrt(sum(float(t @ t) for t in directions))
        if length == 0:
            return np.zeros(self.result)
        h = LARGEST * (1.0 + np.sqrt(sum(float(x @ x) for x in points))) / length

        def difference(h: float) -> Array:
            up, down = (self.in_python(*[x + k * t for x, t in zip(points, directions, strict=True)]) for k in (h, -h))
            return (up - down) / (2 * h)

        with np.errstate(all="ignore"):
            return _extrapolated([difference(h / 2**k) for k in range(LEVELS)])

    def in_words(self, *arguments: Any) -> Array:
        """The value for arguments `(k, 2)` that are the 32-bit words of float64 numbers, as such words.

        JAX calls back from threads of its own, where the 64-bit setting of ours does not hold and numbers would be rounded to
        32 bits; words pass unchanged.
        """
        return _words(self.in_python(*_numbers(arguments)))

    def derivative_in_words(self, *arguments: Any) -> Array:
        """The same for the derivative."""
        return _words(self.derivative_in_python(*_numbers(arguments)))


def _numbers(words: Any) -> list[Array]:
    return [np.ascontiguousarray(a).view(np.float64)[..., 0] for a in words]


def _words(numbers: Array) -> Array:
    return np.ascontiguousarray(numbers)[..., None].view(np.uint32)


def _extrapolated(differences: list[Array]) -> Array:
    """The entrywise best of a Richardson table whose first column is central differences with halved steps."""
    best, error = differences[-1], np.full(np.shape(differences[0]), np.inf)
    row = [differences[0]]
    for value in differences[1:]:
        new = [value]
        for j, before in enumerate(row[:4]):
            new.append(new[j] + (new[j] - before) / (4 ** (j + 1) - 1))
            change = np.maximum(np.abs(new[j + 1] - new[j]), np.abs(new[j + 1] - before))
            better = change < error
            best, error = np.where(better, new[j + 1], best), np.where(better, change, error)
        row = new
    return best


def _called_back(function: UserFunction) -> Any:
    """The function as a JAX callback with a derivative rule."""
    import jax
    import jax.numpy as jnp

    def back(f: Any, *arguments: Any) -> Any:
        words = [jax.lax.bitcast_convert_type(jnp.asarray(x, jnp.float64), jnp.uint32) for x in arguments]
        result = jax.ShapeDtypeStruct((*function.result, 2), jnp.uint32)
        found = jax.pure_callback(f, result, *words, vmap_method="sequential")
        return jax.lax.bitcast_convert_type(found, jnp.float64)

    @jax.custom_jvp
    def call(*arguments: Any) -> Any:
        return back(function.in_words, *arguments)

    @call.defjvp
    def derivative(primals: Any, tangents: Any) -> Any:
        return call(*primals), back(function.derivative_in_words, *primals, *tangents)

    return call


def takes(f: Any, name: str, promised: int) -> int:
    """How many of (state, input) a function is called with: what it requires, and of what it does not, what was promised.

    A function that takes any number (`*args`, a wrapper), or that cannot be asked, is given `promised`.

    Args:
        f: the function. name: how messages call it.
        promised: 2 for a system with inputs, else 1.

    Raises:
        TypeError: not a function.
    """
    if not callable(f):
        raise TypeError(f"`{name}` is {type(f).__name__}; it must be a function of the state, or of state and input.")
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return promised
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return promised
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [p for p in parameters if p.kind in kinds]
    required = sum(p.default is inspect.Parameter.empty for p in positional)
    return min(max(required, min(promised, len(positional)), 1), 2)
