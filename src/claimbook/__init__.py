"""The record: claims, figures and pages of an executable book. Knows no physics."""

from .ledger import Ledger

__all__ = ["Ledger"]
