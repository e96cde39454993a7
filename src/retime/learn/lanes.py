"""Sixteen numbers at a time, as the processor's vector instructions have them: a value for the code of a @kernel.

A loop over sixteen neighbors first asks whether the arrays overlap, which takes longer than the work; here it is known that they do not.
Arrays are C-contiguous with sixteen columns; a row is counted over all axes before the last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import models, register_model

LANES = 16
LINE = 64  # bytes of a line of the cache
intrinsic: Any = numba_intrinsic  # what it makes is called without its first argument, the typing context


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that begin where a line of the cache does: sixteen numbers across two lines take twice as long."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    return room[first : first + size].view(dtype).reshape(shape)


class Lanes(types.Type):
    """Numba's type of sixteen numbers."""

    def __init__(self, number: Any) -> None:
        self.number = number
        super().__init__(f"lanes({number})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.number).get_value_type(), LANES))


def _spread(builder: Any, value: Any) -> Any:
    """A number as sixteen equal ones."""
    vector, index = ir.VectorType(value.type, LANES), ir.IntType(32)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(index, 0))
    same = ir.Constant(ir.VectorType(index, LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), same)


def _row(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    """Where a row begins."""
    data = context.make_array(kind)(context, builder, array).data
    vector = ir.VectorType(context.get_value_type(kind.dtype), LANES)
    at = builder.gep(data, [builder.mul(row, ir.Constant(row.type, LANES))])
    return builder.bitcast(at, vector.as_pointer())


@intrinsic
def load(typing: Any, array: Any, row: Any) -> Any:
    """A row."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        return builder.load(_row(context, builder, kind, *args), align=kind.dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, row: Any, value: Any) -> Any:
    """Write a row."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        builder.store(args[2], _row(context, builder, kind, *args[:2]), align=kind.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def spread(typing: Any, value: Any) -> Any:
    """Sixteen times the same number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _spread(builder, args[0])

    return Lanes(value)(value), generate


def _of_equal_lanes(work: Callable[..., Any]) -> Callable[..., Any]:
    """Types and code of a function of lanes that gives lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return work(builder, *args)

    return generate


@intrinsic
def add(typing: Any, a: Any, b: Any) -> Any:
    """a + b."""
    return a(a, b), _of_equal_lanes(lambda builder, a, b: builder.fadd(a, b))


@intrinsic
def subtract(typing: Any, a: Any, b: Any) -> Any:
    """a - b."""
    return a(a, b), _of_equal_lanes(lambda builder, a, b: builder.fsub(a, b))


@intrinsic
def multiply(typing: Any, a: Any, b: Any) -> Any:
    """a b."""
    return a(a, b), _of_equal_lanes(lambda builder, a, b: builder.fmul(a, b))


@intrinsic
def divide(typing: Any, a: Any, b: Any) -> Any:
    """a / b."""
    return a(a, b), _of_equal_lanes(lambda builder, a, b: builder.fdiv(a, b))


@intrinsic
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, in one instruction where the processor has it."""
    fused = ["contract"]
    return a(a, b, c), _of_equal_lanes(lambda l, a, b, c: l.fadd(l.fmul(a, b, flags=fused), c, flags=fused))


@intrinsic
def absolute(typing: Any, a: Any) -> Any:
    """|a|."""

    def work(builder: Any, a: Any) -> Any:
        bits = 32 if a.type.element == ir.FloatType() else 64
        whole = ir.VectorType(ir.IntType(bits), LANES)
        rest = ir.Constant(whole, [2 ** (bits - 1) - 1] * LANES)
        return builder.bitcast(builder.and_(builder.bitcast(a, whole), rest), a.type)

    return a(a), _of_equal_lanes(work)


@intrinsic
def any_positive(typing: Any, a: Any) -> Any:
    """Whether one of them is > 0 or no number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero, bits = ir.Constant(args[0].type, [0.0] * LANES), ir.IntType(LANES)
        found = builder.bitcast(builder.fcmp_unordered(">", args[0], zero), bits)
        return builder.icmp_unsigned("!=", found, ir.Constant(bits, 0))

    return types.boolean(a), generate


@intrinsic
def where_positive(typing: Any, y: Any, a: Any, b: Any) -> Any:
    """a where y > 0, else b."""

    def work(builder: Any, y: Any, a: Any, b: Any) -> Any:
        zero = ir.Constant(y.type, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">", y, zero), a, b)

    return a(y, a, b), _of_equal_lanes(work)
