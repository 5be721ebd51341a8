"""What the package raises; every message is one sentence."""

from __future__ import annotations

from typing import Any


class ArgumentError(ValueError):
    """An argument is outside its domain; the message names it, what it must be, and what it is."""

    def __init__(self, name: str, must: str, value: Any) -> None:
        super().__init__(f"Argument `{name}` must {must}, but is {value}.")
        self.parts = (name, must, value)

    def __reduce__(self) -> Any:  # so that it survives the way back from another process
        return type(self), self.parts


class MissingPackageError(ImportError):
    """A package is needed that the library itself does without; the message says how to install it."""


class TruncationError(RuntimeError):
    """A truncated computation cannot reach the requested tolerance within its budget."""


class ConvergenceError(RuntimeError):
    """A solver did not find what it was asked for; the message says what was tried."""


class BudgetError(RuntimeError):
    """A computation would take, or has taken, more time than it was given."""
