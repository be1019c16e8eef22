"""Frames and their times, from a folder of pictures or a video file."""

from __future__ import annotations

from evfer.video.reader import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    FrameSource,
    digest,
    digest_pictures,
    image_files,
    is_clip,
    natural_key,
    open_frames,
    open_pictures,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "FrameSource",
    "digest",
    "digest_pictures",
    "image_files",
    "is_clip",
    "natural_key",
    "open_frames",
    "open_pictures",
]
