"""The finished picture and its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harmonize.errors import NumbersError
from harmonize.images.image import StoredImage
from harmonize.run.prepare import Plan
from harmonize.run.record import hide
from harmonize.scene.loose import NOMINAL
from harmonize.synthesis import postprocess
from harmonize.synthesis.brushwork.broken_color import broken_color
from harmonize.synthesis.image_ops import filters, windows
from harmonize.synthesis.image_ops.crops import Painted, StrokePlaces
from harmonize.synthesis.image_ops.windows import Window
from harmonize.synthesis.start import soft_mask


def finished(painted: Painted, plan: Plan) -> StoredImage:
    """Return the finished picture; NumbersError: not finite."""
    view, steps = plan.view, plan.settings.finish
    image = painted.seen(view)
    _check_finite(image)
    if steps.chroma:
        chroma = steps.chroma
        image = postprocess.clean_chroma(
            image, view.composite, radius=chroma.radius, eps=chroma.eps
        )
    if steps.vote:
        voted = postprocess.patch_vote(image, view.painting, view.loose, size=steps.vote.size)
        image = postprocess.keep_hue(voted, image, sigma=steps.vote.hue)
    palette = plan.settings.palette  # without it there are no strokes
    if steps.broken_color and palette and painted.strokes is not None:
        known = view.painting.crop(Window(0, 0, *view.shape))
        mask = soft_mask(view.tight, palette.soften) * view.loose
        image = broken_color(image, known, mask, painted.strokes, steps.broken_color)
    detail = steps.detail.amount if steps.detail else 0.0
    return _painted_in(image, plan, detail=detail, strokes=painted.strokes)


def so_far(painted: Painted, plan: Plan) -> StoredImage | None:
    """Return the picture unfinished, if finite."""
    image = painted.seen(plan.view)
    return _painted_in(image, plan, detail=0.0) if bool(image.isfinite().all()) else None


def record_of(plan: Plan, how: Mapping[str, Any], absolute_paths: bool = False) -> dict[str, Any]:
    """Return a run's record."""
    scene = plan.scene
    trouble = [f"pass {log['name']}: {text}" for log in how["passes"] for text in log["trouble"]]
    record = {
        **plan.made_with,
        "seed": plan.settings.seed,
        "inputs": {
            role: {"path": scene.paths[role], "sha256": digest}
            for role, digest in scene.hashes.items()
        },
        "size": plan.size,
        "memory": plan.need,
        **how,
        "warnings": [*plan.warnings, *trouble],
    }
    return record if absolute_paths else hide(record)


def _painted_in(
    image: Tensor, plan: Plan, *, detail: float, strokes: StrokePlaces | None = None
) -> StoredImage:
    view, canvas, finish = plan.view, plan.canvas, plan.settings.finish
    window = canvas.box.grown(plan.settings.margin).aligned(windows.ALIGN, canvas.shape)
    if view.shape == canvas.shape:
        part = image  # the window is the view's
    else:
        size = finish.detail.size if finish.detail else 3
        part = postprocess.enlarge(
            image, view, canvas.painting, window, amount=detail, size=size, strokes=strokes
        )
    # No hue beyond the painting's: an engraving stays without color.
    part = filters.limit_chroma(part, filters.opponent_span(view.painting.sample()))
    _check_finite(part)
    sigma = finish.paste_sigma * max(canvas.shape) / NOMINAL
    loose, tight = window.crop_pixels(canvas.loose) > 0, canvas.tight.crop(window)[0].cpu()
    share = windows.paste_mask(tight, torch.from_numpy(loose.astype(np.float32)), sigma)
    return plan.scene.original.pasted(
        part.clamp(0, 1).permute(1, 2, 0).cpu().numpy(),
        share.numpy(),
        loose,
        top=canvas.corner[0] + window.top,
        left=canvas.corner[1] + window.left,
    )


def _check_finite(picture: Tensor) -> None:
    if not bool(picture.isfinite().all()):
        raise NumbersError(
            "the result is no picture: it holds values that are not finite; try the setting "
            "precision=float32, or a lower rate in the passes"
        )
