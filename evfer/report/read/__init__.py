"""Rows into settings and comparisons, with their statistics."""

from __future__ import annotations

__all__: list[str] = []
