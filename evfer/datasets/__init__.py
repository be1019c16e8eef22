"""Data sets: from a source on disk (or a renderer) to clips with frames and labels."""
