"""Telling how far a long computation is, and stopping it when its time is up."""

from __future__ import annotations

import importlib.util
import math
import multiprocessing
import sys
import time
import warnings
from typing import Any

from .errors import BudgetError

#: Nothing is shown of what takes less than this, in seconds.
QUIET = 2.0


class Progress:
    """Shows a bar where a terminal or notebook can show one, and enforces a time budget.

    Parameters
    ----------
    time_budget : float
        Seconds after which the computation stops with a `BudgetError`.
    show : bool, optional
        Whether a bar may be shown; by default where standard error is a terminal or in a notebook.
    """

    def __init__(self, time_budget: float = math.inf, show: bool | None = None) -> None:
        self._started = time.monotonic()
        self._budget = time_budget
        self._show = show
        self._bar: Any = None

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def __call__(self, fraction: float, what: str) -> None:
        """Report that a fraction of `what` is done."""
        if self.seconds > self._budget:
            self.close()
            raise BudgetError(
                f"The time budget of {self._budget:g} s is used up: {what} is {100 * fraction:.0f} % done."
            )
        if self._show is False or self.seconds < QUIET:
            return
        if self._show is None:
            self._show = interactive()
            return self(fraction, what)
        if self._bar is None:
            with warnings.catch_warnings():  # a notebook without widgets gets a bar of characters
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm
            self._bar = tqdm(
                total=1.0, leave=False, bar_format="{desc}: {percentage:3.0f} %|{bar}| {elapsed}"
            )
        self._bar.set_description_str(what, refresh=False)
        self._bar.n = fraction
        self._bar.refresh()

    def expect(self, seconds: float, more: float, what: str) -> None:
        """Refuse at once what cannot be done in time: a first part took `seconds`, `more` such parts are to come."""
        if self.seconds + seconds * more > self._budget:
            raise BudgetError(
                f"The time budget of {self._budget:g} s is too short: {what} would take about "
                f"{seconds * more:.3g} s more."
            )

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def interactive() -> bool:
    """Whether somebody looks on, at this process's own terminal or at a notebook, and tqdm is there to draw on it."""
    if multiprocessing.parent_process() is not None or importlib.util.find_spec("tqdm") is None:
        return False
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def in_notebook() -> bool:
    """Whether a page that could answer a question has sent the cell that runs.

    What executes notebooks without a reader, such as papermill, says that it cannot: its outputs stay without a bar.
    """
    ipython = sys.modules.get("IPython")
    kernel = getattr(ipython.get_ipython(), "kernel", None) if ipython else None
    get_parent: Any = getattr(kernel, "get_parent", dict)
    return bool((get_parent() or {}).get("content", {}).get("allow_stdin", False))
