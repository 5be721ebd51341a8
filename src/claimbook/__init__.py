"""The record: claims, figures and pages of an executable book. Knows no physics, and no particular document.

What differs from book to book stands under `[tool.claimbook]` in its `pyproject.toml`, see `settings`. Notebooks
import `Ledger`, `glue`, `style` and `fits`; `python -m claimbook` executes, renders, prints and serves the book;
`sphinx/` holds what it adds to the pages.
"""

from .ledger import Ledger, carry, glue

__all__ = ["Ledger", "carry", "glue"]
