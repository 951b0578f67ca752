"""Rows of a picture, a strip at a time, so that no float array is as large as a picture."""

from collections.abc import Iterator

PIXELS = 1 << 20  # in a strip


def strips(height: int, width: int) -> Iterator[slice]:
    """Yield the rows of `height` x `width` pixels from the top down, a slice for each strip."""
    rows = max(1, PIXELS // max(1, width))
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))
