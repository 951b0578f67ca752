"""A scene on the easel: what is worked on, as settings ask for it; the picture put back in it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from harmonize.errors import NumbersError
from harmonize.images.image import StoredImage
from harmonize.scene.mask import Mask
from harmonize.scene.scene import Scene
from harmonize.settings.load import LEVELS, Settings
from harmonize.synthesis import postprocess, style_level
from harmonize.synthesis.image_ops import filters, windows
from harmonize.synthesis.image_ops.crops import Canvas, Painted, View, scaled
from harmonize.synthesis.image_ops.tiled_image import Raster

# Sizes in the settings are in pixels of a painting this long; at other sizes they scale.
NOMINAL = 700


def canvas_of(scene: Scene, config: Settings, place: torch.device | str = "cpu") -> Canvas:
    """The scene's painting and composite, and its loose mask, for work on the device `place`."""
    place = torch.device(place)
    painting, composite = Raster(scene.painting, place), Raster(scene.composite, place)
    return Canvas(painting, composite, scene.loose)


def working_view(canvas: Canvas, config: Settings) -> View:
    """The canvas at the working size, and the window around the loose mask."""
    return canvas.view(working_shape(canvas.shape, config), config.margin)


def working_shape(shape: tuple[int, int], config: Settings) -> tuple[int, int]:
    """Height and width at work of a painting of `shape`."""
    if config.size == "native":
        return scaled(shape, 1.0)
    return scaled(shape, min(1.0, config.size / max(shape)))


def level_of(painting: Raster, config: Settings) -> tuple[float, bool]:
    """The style level, 1 to 10, and whether it is estimated from the `painting` at work."""
    if config.strength == "auto":
        seen = scaled(painting.shape, min(1.0, NOMINAL / max(painting.shape)))
        return style_level.estimate(painting.resized(seen)).level, True
    if isinstance(config.strength, str):
        return LEVELS[config.strength], False
    return float(config.strength), False


def finished(
    painted: Painted, view: View, canvas: Canvas, scene: Scene, config: Settings
) -> StoredImage:
    """The picture with its finish, at the painting's own size, as stored.

    Raises:
        NumbersError: it holds values that are not finite.
    """
    image = painted.seen(view)
    _check_finite(image)
    steps = config.finish
    if steps.chroma:
        chroma = steps.chroma
        image = postprocess.clean_chroma(
            image, view.composite, radius=chroma.radius, eps=chroma.eps
        )
    if steps.vote:
        image = postprocess.patch_vote(image, view.painting, view.loose, size=steps.vote.size)
    detail = steps.detail.amount if steps.detail else 0.0
    return _pasted(image, view, canvas, scene, config, detail=detail)


def so_far(
    painted: Painted, view: View, canvas: Canvas, scene: Scene, config: Settings
) -> StoredImage | None:
    """The picture so far, without the finish; None if it is no picture: not finite."""
    image = painted.seen(view)
    if not _finite(image):
        return None
    return _pasted(image, view, canvas, scene, config, detail=0.0)


def _pasted(
    image: Tensor, view: View, canvas: Canvas, scene: Scene, config: Settings, *, detail: float
) -> StoredImage:
    """What changed of `image` in the painting at its own size, with its `detail` there."""
    window = canvas.box.grown(config.margin).aligned(windows.ALIGN, canvas.shape)
    if view.shape == canvas.shape:
        part = image  # the window is the view's
    else:
        size = config.finish.detail.size if config.finish.detail else 3
        part = postprocess.enlarge(image, view, canvas.painting, window, amount=detail, size=size)
    # No hue beyond the painting's: an engraving stays without color.
    part = filters.limit_chroma(part, filters.chroma_span(view.painting.sample()))
    _check_finite(part)
    sigma = config.finish.paste_sigma * max(canvas.shape) / NOMINAL
    loose, tight = (_unit(window.crop_pixels(mask)) for mask in (canvas.loose, scene.tight))
    share = windows.paste_mask(tight, loose, sigma)
    return scene.original.pasted(
        part.clamp(0, 1).permute(1, 2, 0).cpu().numpy(),
        share.numpy(),
        (loose > 0).numpy(),
        top=window.top,
        left=window.left,
    )


def _unit(mask: Mask) -> Tensor:
    return torch.from_numpy(mask.astype(np.float32)) / 255


def _finite(picture: Tensor) -> bool:
    return bool(picture.isfinite().all())


def _check_finite(picture: Tensor) -> None:
    if not _finite(picture):
        raise NumbersError(
            "the result is no picture: it holds values that are not finite; try "
            "--set precision=float32, or a lower rate in the passes"
        )
