"""One style for all figures. Draws results; computes nothing. Needs matplotlib."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.figure import Figure

from . import figure_data

#: Colour-blind-safe colours of Okabe and Ito, ordered so that neighbours also differ in lightness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
#: Line styles that tell curves apart in greyscale.
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
#: Width of a figure in inches, chosen so that text is as large as the page's.
WIDTH = 8.0


def use_style() -> None:
    """Set matplotlib's defaults: vector output, readable sizes, the palette above with line styles.

    In a notebook every figure then carries the numbers it shows beside its picture, see `figure_data`.
    """
    mpl.rcParams.update(
        {
            "figure.dpi": 110,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "font.size": 11,
            "axes.titlesize": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=STYLES),
            "lines.linewidth": 1.8,
            "legend.frameon": False,
            "legend.fontsize": 9.5,
            "svg.fonttype": "path",
            "svg.hashsalt": "claimbook",
        }
    )
    try:
        from IPython.core.getipython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    set_matplotlib_formats("svg")  # type: ignore[no-untyped-call]
    shell: Any = get_ipython()
    if shell is not None:  # in a notebook
        shell.display_formatter.mimebundle_formatter.for_type(Figure, figure_data.bundle)


def panels(rows: int, columns: int, height: float = 2.9, **options: Any) -> tuple[Any, Any]:
    """Return a figure of page width and its axes, each labelled (a), (b), … at the top left."""
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows), squeeze=False, **options)
    if axes.size > 1:
        for letter, axis in zip(string.ascii_lowercase, axes.flat, strict=False):
            axis.set_title(f"({letter})", loc="left", fontweight="bold")
    return figure, axes[0, 0] if axes.size == 1 else axes


def slope_guide(axis: Any, x: Iterable[float], y: float, slope: float, label: str) -> None:
    """Draw a thin power law of the given slope through (x[0], y) and name it at its end."""
    x = list(x)
    end = y * (x[-1] / x[0]) ** slope
    axis.plot([x[0], x[-1]], [y, end], color="0.45", linewidth=1, linestyle="-")
    axis.annotate(label, (x[-1], end), color="0.35", fontsize=9, ha="left", va="center")
