"""Tasks for recurrent networks: inputs, targets, and where the targets count.

Every batch is made when it is asked for, from its seed alone, so that a run that goes on after an interruption sees the batches that it
would have seen. Any object with `batch(num, seed)` and the sizes `num_inputs` and `num_outputs` is a task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from retime.core.arrays import Array
from retime.core.result import Result


class Batch(NamedTuple):
    """Trials: inputs `(b, T, m)`, targets `(b, T, p)`, mask `(b, T)` of weights, 0 where the target does not count."""

    inputs: Array
    targets: Array
    mask: Array


class Task(Protocol):
    """What `train` needs of a task."""

    num_inputs: int
    num_outputs: int

    def batch(self, num: int, seed: Any) -> Batch:
        """`num` trials, the same for the same seed."""
        ...


@dataclass(frozen=True, repr=False)
class BuiltInTask(Result, ABC):
    """What the tasks here share: checked numbers, a repr, a picture of some trials."""

    _plot: ClassVar[str] = "task"
    _least: ClassVar[dict[str, float]] = {}  # field: its smallest value; whole numbers where it is an int

    def __post_init__(self) -> None:
        for name, least in self._least.items():
            value, is_whole = getattr(self, name), isinstance(least, int)
            right = isinstance(value, (int, np.integer) if is_whole else (int, float, np.integer, np.floating))
            if isinstance(value, bool) or not right or not least <= value < np.inf:
                kind = "a whole number" if is_whole else "a finite number"
                raise ValueError(f"`{name}` is {value!r}; it must be {kind} >= {least}.")

    @property
    @abstractmethod
    def num_inputs(self) -> int:
        """m."""

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """p."""

    def batch(self, num: int, seed: Any) -> Batch:
        """`num` trials, the same for the same seed (a whole number, or a sequence of them)."""
        return self._trials(int(num), np.random.default_rng(seed))

    @abstractmethod
    def _trials(self, num: int, rng: np.random.Generator) -> Batch:
        """The trials."""

    def _title(self) -> str:
        return ", ".join(f"{k}={v!r}" for k, v in self._data().items())


@dataclass(frozen=True, repr=False)
class FlipFlop(BuiltInTask):
    """n independent memories of one bit: each output holds the sign of the last pulse of its input.

    Pulses come at random times (gaps between them are uniform in `gap`), last `pulse` steps and are +1, -1 or 0 with equal chance; one of
    0 changes nothing. The target changes `delay` steps after the end of a pulse; from its beginning until then it does not count. Before the
    first of +1 or -1 there is nothing to remember: the target is 0 and does not count either. Noise is added to the inputs.

    Args:
        num_bits: memories, inputs and outputs.
        steps: of a trial; of 1 ms each in the literature.
        pulse: steps of a pulse. delay: steps from the end of a pulse to the new target.
        gap: fewest and most steps from the end of one pulse to the beginning of the next of the same input.
        noise: standard deviation of the noise of the inputs.

    Source: sussillo2013, jarne2020.
    """

    num_bits: int = 3
    steps: int = 340
    pulse: int = 20
    delay: int = 20
    gap: tuple[int, int] = (20, 100)
    noise: float = 0.1

    _least: ClassVar[dict[str, float]] = {"num_bits": 1, "steps": 2, "pulse": 1, "delay": 0, "noise": 0.0}

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.gap
        if not 0 <= low <= high:
            raise ValueError(
                f"`gap` is {self.gap}; it must be (fewest, most) steps between pulses, 0 <= fewest <= most."
            )

    @property
    def num_inputs(self) -> int:
        """m, one input per bit."""
        return self.num_bits

    @property
    def num_outputs(self) -> int:
        """p, one output per bit."""
        return self.num_bits

    def _trials(self, num: int, rng: np.random.Generator) -> Batch:
        T, lines = self.steps, num * self.num_bits
        most = T // (self.pulse + self.gap[0]) + 2
        gaps = rng.integers(self.gap[0], self.gap[1] + 1, size=(lines, most))
        starts = gaps.cumsum(axis=1) + self.pulse * np.arange(most) - rng.integers(0, self.gap[0] + 1, size=(lines, 1))
        values = rng.integers(-1, 2, size=(lines, most)).astype(np.float64)
        inputs, targets, counts = np.zeros((lines, T)), np.zeros((lines, T)), np.ones((lines, T))
        for k in range(most):  # later pulses overwrite what earlier ones hold
            since = np.arange(T) - starts[:, k, None]
            pulse = (since >= 0) & (since < self.pulse)
            inputs = np.where(pulse, values[:, k, None], inputs)
            held = (since >= self.pulse + self.delay) & (values[:, k, None] != 0)
            targets = np.where(held, values[:, k, None], targets)
            counts[(since >= 0) & (since < self.pulse + self.delay) & (values[:, k, None] != 0)] = 0.0
        counts[targets == 0] = 0.0
        shape = (num, self.num_bits, T)
        noisy = inputs + self.noise * rng.standard_normal(inputs.shape)
        by_time = [x.reshape(shape).transpose(0, 2, 1) for x in (noisy, targets, counts)]
        return Batch(by_time[0], by_time[1], by_time[2])


def _timed(num: int, T: int, onset: Array, length: int) -> Array:
    """Whether a pulse that begins at `onset` `(b,)` is on, `(b, T)`."""
    since = np.arange(T) - onset[:, None]
    return (since >= 0) & (since < length)


GATES = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


@dataclass(frozen=True, repr=False)
class PulseLogic(BuiltInTask):
    """A logical gate of two pulses: from the end of both on, the output is the gate's value of which of them came.

    In each trial each of two inputs has a pulse of height 1 with chance 1/2, at the same random time. The target is 0 until `delay` steps
    after its end, then 1 where the gate says so.

    Args:
        gate: "and", "or" or "xor".
        steps: of a trial. pulse: steps of a pulse. delay: steps from its end to the answer, which do not count. noise: of the inputs.

    Source: jarne2019.
    """

    gate: str = "xor"
    steps: int = 200
    pulse: int = 20
    delay: int = 20
    noise: float = 0.1

    num_inputs: ClassVar[int] = 2  # type: ignore[reportIncompatibleMethodOverride]
    num_outputs: ClassVar[int] = 1  # type: ignore[reportIncompatibleMethodOverride]
    _least: ClassVar[dict[str, float]] = {"steps": 2, "pulse": 1, "delay": 0, "noise": 0.0}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gate not in GATES:
            raise ValueError(f"`gate` is {self.gate!r}; it must be one of {', '.join(GATES)}.")
        if self.steps < self.pulse + self.delay + 2:
            raise ValueError(f"`steps` is {self.steps}; pulse and delay alone take {self.pulse + self.delay}.")

    def _trials(self, num: int, rng: np.random.Generator) -> Batch:
        T, length = self.steps, self.pulse
        came = rng.integers(0, 2, size=(num, 2)).astype(bool)
        onset = rng.integers(0, max((T - length - self.delay) // 2, 1), size=num)
        inputs = (_timed(num, T, onset, length)[:, :, None] & came[:, None, :]).astype(np.float64)
        after = np.arange(T) - onset[:, None] >= length + self.delay
        targets = (after & GATES[self.gate](came[:, 0], came[:, 1])[:, None]).astype(np.float64)
        mask = 1.0 - _timed(num, T, onset, length + self.delay)
        return Batch(inputs + self.noise * rng.standard_normal(inputs.shape), targets[:, :, None], mask)


@dataclass(frozen=True, repr=False)
class TimedPulse(BuiltInTask):
    """An answer after an interval: a pulse of the input, and `interval` steps later a pulse of the output.

    Args:
        interval: steps from the end of the input's pulse to the beginning of the output's.
        steps: of a trial. pulse: steps of the input's pulse. answer: steps of the output's. noise: of the input.

    Source: jarne2019.
    """

    interval: int = 50
    steps: int = 200
    pulse: int = 20
    answer: int = 20
    noise: float = 0.1

    num_inputs: ClassVar[int] = 1  # type: ignore[reportIncompatibleMethodOverride]
    num_outputs: ClassVar[int] = 1  # type: ignore[reportIncompatibleMethodOverride]
    _least: ClassVar[dict[str, float]] = {"interval": 0, "steps": 2, "pulse": 1, "answer": 1, "noise": 0.0}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps <= self.pulse + self.interval + self.answer:
            needed = self.pulse + self.interval + self.answer
            raise ValueError(f"`steps` is {self.steps}; pulse, interval and answer take {needed}, so it must be more.")

    def _trials(self, num: int, rng: np.random.Generator) -> Batch:
        T, wait = self.steps, self.pulse + self.interval
        onset = rng.integers(0, T - wait - self.answer + 1, size=num)
        inputs = _timed(num, T, onset, self.pulse)[:, :, None].astype(np.float64)
        targets = _timed(num, T, onset + wait, self.answer)[:, :, None].astype(np.float64)
        return Batch(inputs + self.noise * rng.standard_normal(inputs.shape), targets, np.ones((num, T)))


@dataclass(frozen=True, repr=False)
class AddingProblem(BuiltInTask):
    """The sum of two marked numbers: the first input is uniform in [0, 1], the second marks one step of each half with 1.

    The target is the sum of the numbers at the marks, after the last step. Always answering 1 has mean squared error 1/6.

    Args:
        steps: of a trial.

    Source: hochreiter1997.
    """

    steps: int = 100

    num_inputs: ClassVar[int] = 2  # type: ignore[reportIncompatibleMethodOverride]
    num_outputs: ClassVar[int] = 1  # type: ignore[reportIncompatibleMethodOverride]
    _least: ClassVar[dict[str, float]] = {"steps": 2}

    def _trials(self, num: int, rng: np.random.Generator) -> Batch:
        T, half, trials = self.steps, self.steps // 2, np.arange(num)
        numbers, marks = rng.uniform(size=(num, T)), np.zeros((num, T))
        for low, high in ((0, half), (half, T)):
            marks[trials, rng.integers(low, high, size=num)] = 1.0
        mask = np.zeros((num, T))
        mask[:, -1] = 1.0
        targets = np.broadcast_to((numbers * marks).sum(axis=1)[:, None, None], (num, T, 1)).copy()
        return Batch(np.stack([numbers, marks], axis=2), targets, mask)


@dataclass(frozen=True, repr=False)
class CopyMemory(BuiltInTask):
    """Symbols to be repeated after a pause: `length` symbols are shown, `pause` steps later a mark asks for them in order.

    Inputs and targets are one-hot: `num_symbols` symbols, and as last input the mark. Before the mark the target is 0. Without memory the best
    answer has mean squared error `(1 - 1/num_symbols) / num_symbols` in the steps that ask.

    Args:
        length: symbols to remember. pause: steps between the last symbol and the mark. num_symbols: how many kinds there are.

    Source: hochreiter1997, arjovsky2016.
    """

    length: int = 10
    pause: int = 50
    num_symbols: int = 8

    _least: ClassVar[dict[str, float]] = {"length": 1, "pause": 0, "num_symbols": 2}

    @property
    def num_inputs(self) -> int:
        """m, one per symbol and the mark."""
        return self.num_symbols + 1

    @property
    def num_outputs(self) -> int:
        """p, one per symbol."""
        return self.num_symbols

    def _trials(self, num: int, rng: np.random.Generator) -> Batch:
        L, T = self.length, 2 * self.length + self.pause
        shown = np.eye(self.num_symbols)[rng.integers(0, self.num_symbols, size=(num, L))]
        inputs, targets = np.zeros((num, T, self.num_inputs)), np.zeros((num, T, self.num_symbols))
        inputs[:, :L, :-1], targets[:, -L:], inputs[:, -L:, -1] = shown, shown, 1.0
        return Batch(inputs, targets, np.ones((num, T)))


@dataclass(frozen=True, repr=False)
class Digits(BuiltInTask):
    """Handwritten digits read pixel by pixel, or row by row: 1,797 images of 8 x 8 (scikit-learn's), the last fifth kept apart for testing.

    The target is one-hot over the ten digits and counts after the last pixel.

    Args:
        rows: whether a step shows a row of 8 pixels (8 steps) instead of one pixel (64 steps).
        test: draw from the images kept apart.

    Raises:
        MissingDependencyError: scikit-learn is not installed.

    Source: alpaydin1998.
    """

    rows: bool = False
    test: bool = False

    num_outputs: ClassVar[int] = 10  # type: ignore[reportIncompatibleMethodOverride]

    @property
    def num_inputs(self) -> int:
        """m, pixels per step."""
        return 8 if self.rows else 1

    def _trials(self, num: int, rng: np.random.Generator) -> Batch:
        images, labels = _digits()
        first = len(labels) * 4 // 5
        chosen = rng.integers(first, len(labels), size=num) if self.test else rng.integers(0, first, size=num)
        inputs = images[chosen].reshape(num, -1, self.num_inputs) / 16.0
        T = inputs.shape[1]
        mask = np.zeros((num, T))
        mask[:, -1] = 1.0
        return Batch(inputs, np.repeat(np.eye(10)[labels[chosen]][:, None], T, axis=1), mask)


def _digits() -> tuple[Array, Array]:
    from retime.core.errors import MissingDependencyError

    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise MissingDependencyError("scikit-learn is not installed: pip install 'retime[digits]'") from error
    images, labels = load_digits(return_X_y=True)
    return np.asarray(images, dtype=np.float64), np.asarray(labels)
