"""Soft edges of cut-outs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonize.scene.mask import Mask

Photo = NDArray[np.uint8]
Planes = NDArray[np.float32]
Spans = tuple[slice, slice]  # rows and columns

FLAT = 1e-4  # variance of colors, 0 to 1 squared, below which a neighborhood counts as flat
SMOOTH = 1e-5  # weight that keeps neighbors alike where alpha is the same …
STEEP = 1.0  # … and more of it per step of alpha
SMALL_LEVEL = 32  # pixels: up to this side a level of the pyramid gets FEW more rounds
ROUNDS, FEW = 2, 10
LARGEST_COPY = 2_000_000  # pixels: of a larger picture, slopes and colors come from a smaller copy
ALONG = 256  # pixels: side of the tiles that are worked on along the contour
ONE = np.float32(255)


def with_alpha(photo: Photo, alpha: Mask) -> NDArray[np.uint8]:
    """Return RGBA with the element's own colors; 0 where `alpha` is 0."""
    found = np.zeros((*alpha.shape, 4), np.uint8)
    shown = bounds(alpha, 4)
    if shown is not None:
        found[(*shown, slice(0, 3))] = element_colors(photo[shown], alpha[shown])
        found[..., 3] = alpha
        found.view(np.uint32)[..., 0] *= alpha > 0  # four bytes at once
    return found


def bounds(alpha: Mask, margin: int = 0) -> tuple[slice, slice] | None:
    """Return rows and columns, `margin` wider, of what is not 0, if any."""
    rows, columns = (np.flatnonzero(alpha.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + 1 + margin),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + 1 + margin),
    )


def soft_alpha(photo: NDArray[np.uint8], inside: Mask, radius: int) -> Mask:
    """Return alpha [H, W] of a hard mask, soft within `radius` pixels of its contour.

    Guided filter (He, Sun and Tang 2010): alpha is a · color + b, with a and b averaged over
    windows.
    """
    height, width = inside.shape
    hard = np.where(inside > 127, np.uint8(255), np.uint8(0))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    size = _within(width, height)
    small = max(1, round(radius * size[0] / width))
    *slopes, offset = _linear(_sized(photo, size), _sized(hard, size), small)
    alpha: Mask = hard.copy()
    for tile in _tiles_with_contour(hard, radius):
        around, inner = _grown(tile, radius)
        part = hard[around]
        near = (cv2.dilate(part, kernel) != cv2.erode(part, kernel))[inner]
        guided = _tile_of(offset, tile, (width, height))
        for channel, slope in enumerate(slopes):
            guided += _tile_of(slope, tile, (width, height)) * (photo[tile][..., channel] / ONE)
        # Stretched, as the average of windows takes a little of the contrast away.
        guided = np.clip((guided - 0.5) * 1.25 + 0.5, 0, 1)
        alpha[tile][near] = np.rint(guided[near] * 255)
    return alpha


def _tiles_with_contour(alpha: Mask, margin: int) -> Iterator[Spans]:
    height, width = alpha.shape
    for top in range(0, height, ALONG):
        for left in range(0, width, ALONG):
            tile = np.s_[top : min(top + ALONG, height), left : min(left + ALONG, width)]
            part = alpha[_grown(tile, margin)[0]]
            low, high = part.min(), part.max()
            if low < high or 0 < low < 255:
                yield tile


def _grown(tile: Spans, margin: int) -> tuple[Spans, Spans]:
    before = [min(margin, span.start) for span in tile]
    larger = [slice(s.start - b, s.stop + margin) for s, b in zip(tile, before, strict=True)]
    inner = [slice(b, b + s.stop - s.start) for s, b in zip(tile, before, strict=True)]
    return (larger[0], larger[1]), (inner[0], inner[1])


def _within(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, (LARGEST_COPY / (height * width)) ** 0.5)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _tile_of(plane: NDArray[Any], tile: Spans, size: tuple[int, int]) -> NDArray[Any]:
    rows, columns = tile
    if plane.shape[1::-1] == size:
        return plane[tile].copy()
    high, wide = plane.shape[:2]
    x, y = wide / size[0], high / size[1]
    box = columns.start * x, rows.start * y, min(columns.stop * x, wide), min(rows.stop * y, high)
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    return np.array(Image.fromarray(plane).resize(shape, Image.Resampling.BILINEAR, box=box))


def _linear(image: Planes, target: Planes, radius: int) -> list[Planes]:
    def mean(plane: Planes) -> Planes:
        side = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.boxFilter(plane, cv2.CV_32F, side), np.float32)

    average, goal = mean(image), mean(target)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    rr, rg, rb, gg, gb, bb = (
        mean(image[..., i] * image[..., j]) - average[..., i] * average[..., j] for i, j in pairs
    )
    rr, gg, bb = rr + FLAT, gg + FLAT, bb + FLAT
    r, g, b = (mean(image[..., i] * target) - average[..., i] * goal for i in range(3))
    # The inverse of the symmetric 3 x 3 matrix, by its cofactors.
    c00, c01, c02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    determinant = rr * c00 + rg * c01 + rb * c02
    slopes = [
        (c00 * r + c01 * g + c02 * b) / determinant,
        (c01 * r + c11 * g + c12 * b) / determinant,
        (c02 * r + c12 * g + c22 * b) / determinant,
    ]
    offset = goal - sum(slope * average[..., i] for i, slope in enumerate(slopes))
    return [mean(plane) for plane in (*slopes, offset)]


def element_colors(photo: NDArray[np.uint8], alpha: Mask) -> NDArray[np.uint8]:
    """Return the photo [H, W, 3] with the element's colors F where the background shines through.

    F and background B minimize (alpha F + (1 - alpha) B - I)² and the squared differences of
    neighbors, weighed by 1e-5 + that of their alphas, from coarse to fine (Germer and others 2020).
    """
    height, width = alpha.shape
    size = _within(width, height)
    colors = np.rint(_estimated(_sized(photo, size), _sized(alpha, size)) * 255).astype(np.uint8)
    found = photo.copy()
    for tile in _tiles_with_contour(alpha, 0):
        mixed = (0 < alpha[tile]) & (alpha[tile] < 255)
        found[tile][mixed] = _tile_of(colors, tile, (width, height))[mixed]
    return found


def _sized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Planes:
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / ONE


def _estimated(image: Planes, alpha: Planes) -> Planes:
    height, width = alpha.shape
    levels = max(1, int(np.ceil(np.log2(max(height, width)))))
    front = back = np.asarray(image.mean((0, 1), keepdims=True), np.float32)
    for level in range(levels + 1):
        share = level / levels
        size = (max(1, round(width**share)), max(1, round(height**share)))
        at_level = _resized(image, size, cv2.INTER_AREA)
        shares = _resized(alpha, size, cv2.INTER_AREA)[..., None]
        front, back = (_resized(plane, size, cv2.INTER_NEAREST) for plane in (front, back))
        weights = _weights(shares)
        for _ in range(FEW if max(size) <= SMALL_LEVEL else ROUNDS):
            front, back = _round(at_level, shares, front, back, weights)
    return front


def _resized(plane: Planes, size: tuple[int, int], how: int) -> Planes:
    found = np.asarray(cv2.resize(plane, size, interpolation=how), np.float32)
    return found.reshape(size[1], size[0], *plane.shape[2:])


SIDES = ((0, 1), (0, -1), (1, 1), (1, -1))  # axis and step to the four neighbors


def _weights(alpha: Planes) -> list[Planes]:
    return [SMOOTH + STEEP * np.abs(alpha - _neighbor(alpha, *side)) for side in SIDES]


def _neighbor(plane: Planes, axis: int, step: int) -> Planes:
    moved: Planes = np.roll(plane, step, axis)
    edge = [slice(None)] * plane.ndim
    edge[axis] = slice(0, 1) if step == 1 else slice(-1, None)
    moved[tuple(edge)] = plane[tuple(edge)]
    return moved


def _round(
    image: Planes, alpha: Planes, front: Planes, back: Planes, weights: list[Planes]
) -> tuple[Planes, Planes]:
    total = np.sum(weights, 0)
    rest = 1 - alpha
    ahead = alpha * image
    behind = rest * image
    for side, weight in zip(SIDES, weights, strict=True):
        ahead = ahead + weight * _neighbor(front, *side)
        behind = behind + weight * _neighbor(back, *side)
    a, b, c = alpha**2 + total, alpha * rest, rest**2 + total
    determinant = a * c - b * b
    return (
        np.clip((c * ahead - b * behind) / determinant, 0, 1),
        np.clip((a * behind - b * ahead) / determinant, 0, 1),
    )
