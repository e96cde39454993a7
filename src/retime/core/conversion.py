"""What a conversion returns: the new model and what may be said about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from retime.core.certificate import Certificate
from retime.core.result import Result


@dataclass(frozen=True, eq=False, repr=False)
class Conversion(Result):
    """A converted model with its certificate.

    Attributes:
        model: the system in the new time base.
        certify: a certificate, or a function that makes it from what has been measured up to now (regions are
            converted on demand, so the certificate grows with the regions that were visited).
    """

    model: Any
    certify: Certificate | Callable[[], Certificate] = field(repr=False)

    @property
    def certificate(self) -> Certificate:
        """The claim, its scope and the conditions with their measured margins."""
        return self.certify if isinstance(self.certify, Certificate) else self.certify()

    def _data(self) -> dict[str, Any]:
        return {"model": repr(self.model), "certificate": self.certificate}

    def _title(self) -> str:
        return repr(self.model)

    def _repr_html_(self) -> str:
        return self.certificate._repr_html_()


class ConversionMethod(ABC):
    """A method of `to_continuous` that converts by itself, wherever it lives: `FlowFit`, or one of yours."""

    @abstractmethod
    def convert(self, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
        """The conversion of a map; the arguments are those of `to_continuous`."""
