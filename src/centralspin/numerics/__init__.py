"""Stepping in time, stationary solves, null spaces.

Nothing here knows what a matrix describes.
"""
