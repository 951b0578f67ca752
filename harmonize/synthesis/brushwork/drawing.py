"""What is drawn: detail that stands out from the brushwork."""

from __future__ import annotations

import torch
from torch import Tensor

from harmonize.synthesis.image_ops import filters

DETAIL = 2.0  # sigma in pixels: what is finer is drawing or brushwork
OUTLINE = 4.0  # sigma in pixels: as wide as eyes and numerals are
DENSE = 12.0  # sigma in pixels
STRONG = 1.8  # times the painting's own fine contrast: half of what is drawn as strongly stays


def outlines(luma: Tensor, painting: Tensor, texture: float = 1.0) -> Tensor:
    """Return how far luma [1, H, W] is an outline: 0 to 1.

    A share `texture` of dense detail is texture, not outline.
    """
    share = standing_out(luma, painting, OUTLINE)
    dense = (2 * filters.gaussian(share, DENSE) - 1).clamp(0, 1)
    return share * (1 - texture * dense)


def standing_out(luma: Tensor, painting: Tensor, sigma: float) -> Tensor:
    """Return how far detail of `luma` finer than `sigma` pixels is drawing: 0 to 1.

    s² / (s² + (`STRONG` · b)²): s is its strength, b the painting's median, in L [1, H, W].
    """
    brushwork = filters.gaussian(finer(painting, sigma).square(), 3.0).sqrt().median()
    strength = filters.gaussian(finer(luma, sigma).square(), 1.5)
    return strength / (strength + (STRONG * brushwork).square() + 1e-6)


def outlined(
    image: Tensor, mapped: Tensor, painting: Tensor, amount: Tensor, texture: float = 1.0
) -> Tensor:
    """Give `image` a share `amount` of the outlines of `mapped`."""
    share = outlines(mapped[:1], painting[:1], texture) * amount
    lost = finer(mapped[:1], OUTLINE) - finer(image[:1], OUTLINE)
    return torch.cat((image[:1] + share * lost, image[1:]))


def without_texture(mapped: Tensor, painting: Tensor, mask: Tensor) -> Tensor:
    """Return `mapped` without detail weaker than brushwork."""
    weak = (1 - standing_out(mapped[:1], painting[:1], DETAIL)) * mask * finer(mapped[:1], DETAIL)
    return torch.cat((mapped[:1] - weak, mapped[1:]))


def finer(luma: Tensor, sigma: float) -> Tensor:
    """Return detail finer than `sigma` pixels."""
    return luma - filters.gaussian(luma, sigma)


def fine_share(painting: Tensor) -> float:
    """Return the share of the variance of Lab colors that is finer than 2 pixels.

    `painting` should be about 700 pixels long.
    """
    lab = filters.to_lab(painting)
    soft, whole = (image.flatten(1).var(1).sum() for image in (filters.gaussian(lab, DETAIL), lab))
    return float((1 - soft / whole.clamp_min(1e-6)).clamp(0, 1))
