"""One tree of errors: each says what came, what is wanted and what to do."""

from __future__ import annotations

from typing import Any


class RetimeError(Exception):
    """Root of every error that retime raises on purpose."""


class ModelFileError(RetimeError):
    """A weights file is absent, truncated, of an unsupported kind, or does not hold what its family needs."""


class ShapeError(RetimeError, ValueError):
    """An array argument has the wrong shape."""


class CertificateError(RetimeError):
    """A hypothesis of the requested conversion fails; `certificate` says which one and by how much."""

    def __init__(self, message: str, certificate: Any = None) -> None:
        super().__init__(message)
        self.certificate = certificate


class ConvergenceError(RetimeError):
    """An iteration ended without reaching its tolerance."""


class MissingDependencyError(RetimeError, ImportError):
    """An optional library is needed; the message holds the install command."""


class SimulatorError(RetimeError):
    """A circuit simulator is missing, crashed, hung, did not converge, or answered something else than it was asked.

    `netlist` is what it was given, `log` its last lines.
    """

    def __init__(self, message: str, netlist: str = "", log: str = "") -> None:
        super().__init__(f"{message}\n{log}" if log else message)
        self.netlist, self.log = netlist, log
