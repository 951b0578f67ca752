"""Paste on transparent paintings (Porter and Duff 1984).

An element of opacity a over a painting of opacity p gives opacity a + p (1 - a); its share of
the color is a / (a + p (1 - a)).
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonize.images.image import StoredImage
from harmonize.images.pixels import Pixels, eight_bits, largest_value, strips
from harmonize.scene.mask import Mask


def fill_transparent(colors: Pixels, opacity: Mask | None) -> Pixels:
    """Give wholly transparent pixels the nearest visible color."""
    if opacity is None or opacity.min() > 0:
        return colors
    hidden = opacity == 0
    _, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros(int(labels.max()) + 1, np.int64)
    places[labels[~hidden]] = np.flatnonzero(~hidden)
    found = colors.copy()
    found[hidden] = colors.reshape(-1, 3)[places[labels[hidden]]]
    return found


def share_over(element: Mask, painting: Mask | None) -> NDArray[np.float32]:
    """Return the element's share of the color, 0 to 1."""
    above = element.astype(np.float32) / np.float32(255)
    if painting is None:
        return above
    whole = above + (1 - above) * (painting / np.float32(255))
    found: NDArray[np.float32] = np.zeros_like(above)
    np.divide(above, whole, out=found, where=whole > 0)
    return found


def with_element(
    original: StoredImage, colors: Pixels, element: Mask, area: tuple[slice, slice]
) -> StoredImage:
    """Add sRGB `colors` [h, w, 3] to a transparent painting."""
    if original.alpha is None:
        return original
    height, width = element.shape
    below = eight_bits(original.alpha[area])
    wide: NDArray[np.uint16] = colors.astype(np.uint16)
    if colors.dtype == np.uint8:
        wide *= np.uint16(257)
    shown = original.pasted(
        wide,
        share_over(element, below),
        (element > 0) & (below < 255),
        top=area[0].start,
        left=area[1].start,
    )
    alpha = original.alpha.copy()
    full = largest_value(alpha)
    for rows in strips(height, width):
        above = element[rows] / np.float32(255)
        under = alpha[area][rows]
        alpha[area][rows] = np.rint(under + above * (full - under.astype(np.float32)))
    return replace(shown, alpha=alpha)
