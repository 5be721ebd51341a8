"""Stepping in time and stationary solves; nothing here knows physics."""
