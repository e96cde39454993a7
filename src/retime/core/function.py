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

STEP = 1e-3  # of the five-point difference: error about 1e-12 of the function's scale


@dataclass(frozen=True)
class UserFunction:
    """A user's function of one or more vectors with a result of known shape.

    A function written with jax.numpy is traced: compiled, with exact derivatives. One that JAX cannot trace (NumPy, SciPy,
    branches on values) is called back in Python; its derivatives are five-point differences along the direction.

    Args:
        f: the function.
        sizes: lengths of its arguments.
        result: shape of its result.
        name: how messages call it.
    """

    f: Callable[..., Any]
    sizes: tuple[int, ...]
    result: tuple[int, ...]
    name: str = "f"
    is_traceable: bool = field(default=True, init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_traceable", self._trace())

    def __call__(self, *arguments: Any) -> Any:
        """The value; arguments and result are JAX arrays."""
        if self.is_traceable:
            import jax.numpy as jnp

            return jnp.asarray(self.f(*arguments), dtype=float).reshape(self.result)
        return _called_back(self)(*arguments)

    def _trace(self) -> bool:
        """Whether JAX can trace f; its result is checked either way."""
        import jax

        with double_precision():
            structs = [jax.ShapeDtypeStruct((k,), np.float64) for k in self.sizes]
            try:
                shape = jax.eval_shape(lambda *a: jax.numpy.asarray(self.f(*a)), *structs)
            except (TypeError, ValueError, jax.errors.JAXTypeError):
                self._check(np.shape(self.in_python(*[np.ones(k) for k in self.sizes])))
                return False
        self._check(shape.shape)
        return True

    def _check(self, shape: tuple[int, ...]) -> None:
        if shape != self.result:
            arguments = ", ".join(f"({k},)" for k in self.sizes)
            raise ShapeError(
                f"`{self.name}` of arguments of shape {arguments} has shape {shape}; it must be {self.result}."
            )

    def in_python(self, *arguments: Any) -> Array:
        """The value as NumPy float64."""
        with double_precision():  # the function may use jax.numpy all the same
            return np.asarray(self.f(*[np.array(a) for a in arguments]), dtype=np.float64)

    def in_words(self, *arguments: Any) -> Array:
        """The value for arguments `(k, 2)` that are the 32-bit words of float64 numbers, as such words.

        JAX calls back from threads of its own, where the 64-bit setting of ours does not hold and numbers would be rounded to
        32 bits; words pass unchanged.
        """
        numbers = [np.ascontiguousarray(a).view(np.float64)[..., 0] for a in arguments]
        return np.ascontiguousarray(self.in_python(*numbers))[..., None].view(np.uint32)


def _called_back(function: UserFunction) -> Any:
    """The function as a JAX callback with a derivative rule."""
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def call(*arguments: Any) -> Any:
        words = [jax.lax.bitcast_convert_type(jnp.asarray(x, jnp.float64), jnp.uint32) for x in arguments]
        result = jax.ShapeDtypeStruct((*function.result, 2), jnp.uint32)
        found = jax.pure_callback(function.in_words, result, *words, vmap_method="sequential")
        return jax.lax.bitcast_convert_type(found, jnp.float64)

    @call.defjvp
    def derivative(primals: Any, tangents: Any) -> Any:
        size = sum(jnp.sum(t * t) for t in tangents)
        length = jnp.sqrt(jnp.where(size > 0, size, 1.0))
        h = STEP * (1.0 + jnp.sqrt(sum(jnp.sum(x * x) for x in primals))) / length

        def at(k: float) -> Any:
            return call(*[x + k * h * t for x, t in zip(primals, tangents, strict=True)])

        return call(*primals), (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h)

    return call


def takes(f: Any, name: str) -> int:
    """How many positional arguments a function takes (1 or 2 where it can be told, else 2).

    Raises:
        TypeError: not a function.
    """
    if not callable(f):
        raise TypeError(f"`{name}` is {type(f).__name__}; it must be a function of the state, or of state and input.")
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return 2
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return 2
    return min(max(len(required), 1), 2)
