"""Lay a photograph in by planes and strokes."""

from __future__ import annotations

import torch
from torch import Tensor

from harmonize.settings.goals import BrushGoal
from harmonize.synthesis.brushwork.directions import form_directions
from harmonize.synthesis.brushwork.drawing import outlines
from harmonize.synthesis.brushwork.planes import planes
from harmonize.synthesis.brushwork.strokes import missing_dots, missing_strokes
from harmonize.synthesis.image_ops import filters

LATTICE = 0.9  # of dense detail that planes replace
ROOM = 4.0  # L: strokes need some below white and above black


def brushed(
    pasted: Tensor, frame: Tensor, painting: Tensor, mask: Tensor, goal: BrushGoal
) -> Tensor:
    """Return `pasted` with the element laid in by planes and strokes (not in the paper).

    `frame` is the painting there, `painting` all of it; `mask` [1, h, w] is the element.
    """
    lab, known = filters.to_lab(pasted), filters.to_lab(painting)[:1]
    angles = form_directions(lab[:1], filters.to_lab(frame)[:1], mask)
    if goal.planes:
        flat = goal.planes * mask * (1 - outlines(lab[:1], known, LATTICE))
        lab = torch.lerp(lab, planes(lab, angles, goal.radius, mask), flat)
    if goal.strokes:
        luma = torch.lerp(lab[:1], lab[:1].clamp(ROOM, 100 - ROOM), mask)
        strokes = missing_strokes(luma, known, angles, mask, goal.seed)
        lab = torch.cat((luma + goal.strokes * mask * strokes, lab[1:]))
    return filters.from_lab(lab)


def dotted_again(image: Tensor, painting: Tensor, mask: Tensor, goal: BrushGoal) -> Tensor:
    """Lay the dots again that a pass at a smaller scale took away."""
    lab, known = filters.to_lab(image), filters.to_lab(painting)[:1]
    dots = missing_dots(lab[:1], known, mask, goal.seed + 1)
    if not bool(dots.any()):
        return image
    return filters.from_lab(torch.cat((lab[:1] + goal.strokes * mask * dots, lab[1:])))
