"""The six expressions, without the weight of what draws them."""

from __future__ import annotations

__all__ = ["EMOTIONS"]

EMOTIONS = ("happy", "fear", "surprise", "anger", "disgust", "sadness")
"""The labels in the published order; their codes are 1 to 6."""
