"""`harmonize`: a painting, a patch and a mask in, the picture and its record out."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from harmonize import __version__, device, filters, finish, region, strength, weights
from harmonize.canvas import Canvas, Painted, View, scaled
from harmonize.config import LEVELS, Config
from harmonize.features import VGG19
from harmonize.home import hide
from harmonize.inputs import Scene, load_scene
from harmonize.masks import Mask
from harmonize.memory import Memory
from harmonize.optimize import Step
from harmonize.outputs import write_result
from harmonize.painter import Painter
from harmonize.pictures import Picture
from harmonize.raster import Raster
from harmonize.stored import Stored

# Sizes in the settings are in pixels of a painting this long; at other sizes they scale.
NOMINAL = 700


@dataclass(frozen=True)
class Result:
    """A finished run: the picture, how it was made, what it was made from.

    `picture` has the painting's size, depth, mode, color profile and alpha; outside the loose mask
    its pixels are the painting's. `record` can be written as JSON.
    """

    picture: Stored
    record: dict[str, Any]
    scene: Scene

    @property
    def image(self) -> Image.Image:
        """The picture for Pillow, with 8 bits a channel."""
        return self.picture.image

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the picture, and its record beside it.

        Raises:
            OutputError: a file exists, or cannot be written.
        """
        write_result(Path(path), self.picture, self.record, overwrite)


def harmonize(
    painting: Picture,
    patch: Picture,
    mask: Picture | None = None,
    *,
    loose_mask: Picture | None = None,
    at: tuple[int, int] | None = None,
    width: int | None = None,
    scale: float | None = None,
    config: Config | None = None,
    on_step: Callable[[Step], None] | None = None,
    on_start: Callable[[dict[str, Any]], None] | None = None,
    on_picture: Callable[[Step, Stored], None] | None = None,
    picture_every: int = 1,
    memory: Memory | None = None,
    absolute_paths: bool = False,
) -> Result:
    """Paste `patch` into `painting` so that it looks painted there.

    Pictures are paths, PIL images, or arrays [H, W, C] (uint8, or float from 0 to 1); `mask` is
    white where the element is, of the patch's size, and may be left out when the patch has an
    alpha channel. Placement is as in `inputs.load_scene`. `on_start` receives what the run
    computes with, `warnings` and the `original` painting, before the first step; `on_step` every
    step, and may raise `StopRun` to keep the picture so far; `on_picture` every `picture_every`-th
    step of the run and the picture so far, at the painting's size but without the finish. With a
    `memory`, what this run has in common with the next, network and painting, is kept there.
    The record names files in the user's home as `~/…`, unless `absolute_paths` are asked for.
    Neither prints nor exits.

    Raises:
        InputError: a picture, mask or placement cannot be used.
        WeightsError: the network's weights cannot be loaded.
        DeviceError: the device asked for is not on this machine.
    """
    began = time.perf_counter()
    config = config or Config.preset()
    place = device.resolve(config.device)
    scene = load_scene(
        painting, patch, mask, loose_mask=loose_mask, at=at, width=width, scale=scale
    )
    memory = memory or Memory(0)
    weight_set = memory.recall(config.weights, partial(weights.load, config.weights))
    torch.manual_seed(config.seed)
    canvas = canvas_of(scene, config, place)
    view = working_view(canvas, config)
    level, estimated = _style_level(view.painting, config)
    precision = device.precision(config.precision, place)
    padding = "replicate" if config.region == "patch" else "zeros"
    network_key = (weight_set.sha256, place, precision, padding)
    network = memory.recall(
        network_key,
        lambda: VGG19(weight_set.state, device=place, precision=precision, padding=padding),
    )
    facts = {
        "device": str(place),
        "precision": str(precision).removeprefix("torch."),
        "weights": weight_set.name,
        "strength": level,
        "estimated": estimated,
        "size": max(view.shape),
        "warnings": list(scene.warnings),
        "original": scene.original,
    }
    if on_start is not None:
        on_start(facts)
    steps = count(1)

    def watch(step: Step, so_far: Callable[[], Painted]) -> None:
        if on_picture is not None and next(steps) % picture_every == 0:
            seen = so_far().seen(view)
            on_picture(step, _paste(seen, view, canvas, scene, config, detail=0.0))
        if on_step is not None:
            on_step(step)

    key = (network_key, scene.hashes["painting"], config.tile)
    painter = Painter(config, network, level, memory, key, watch)
    picture, logs, interrupted = painter.paint(canvas, view)
    finished = _finish(picture.seen(view), view, canvas, scene, config)
    record = {
        **_versions(),
        "config": config.model_dump(mode="json"),
        "device": facts["device"],
        "precision": facts["precision"],
        "threads": torch.get_num_threads(),
        "weights": {"name": weight_set.name, "sha256": weight_set.sha256},
        "seed": config.seed,
        "inputs": {
            role: {"path": scene.paths[role], "sha256": digest}
            for role, digest in scene.hashes.items()
        },
        "placement": {"at": at, "width": width, "scale": scale},
        "strength": {"level": level, "estimated": estimated},
        "size": facts["size"],
        "passes": [asdict(log) for log in logs],
        "seconds": time.perf_counter() - began,
        "interrupted": interrupted,
        "warnings": list(scene.warnings),
    }
    record = record if absolute_paths else hide(record)
    return Result(finished, record, scene)


def canvas_of(scene: Scene, config: Config, place: torch.device | str = "cpu") -> Canvas:
    """The scene's painting and composite, and its loose mask, for work on the device `place`."""
    place = torch.device(place)
    painting, composite = Raster(scene.painting, place), Raster(scene.composite, place)
    return Canvas(painting, composite, loose_mask(scene, config.loose_sigma))


def loose_mask(scene: Scene, sigma: float) -> NDArray[np.uint8]:
    """The loose mask [H, W] of 0 and 1: the scene's own, or derived with the setting `sigma`."""
    if scene.loose is not None:
        return (scene.loose > 127).astype(np.uint8)
    sigma *= max(scene.tight.shape) / NOMINAL
    window = region.around(scene.tight, math.ceil(2 * sigma))  # the blur reaches 1.5 times as far
    mask = np.zeros(scene.tight.shape, np.uint8)
    window.crop_pixels(mask)[:] = region.loose(
        _unit(window.crop_pixels(scene.tight)), sigma
    ).numpy()
    return mask


def _unit(mask: Mask) -> Tensor:
    return torch.from_numpy(mask.astype(np.float32)) / 255


def working_view(canvas: Canvas, config: Config) -> View:
    """The canvas at the working size, and the window around the loose mask."""
    return canvas.view(working_shape(canvas.shape, config), config.margin)


def working_shape(shape: tuple[int, int], config: Config) -> tuple[int, int]:
    """Height and width at work of a painting of `shape`."""
    if config.size == "native":
        return scaled(shape, 1.0)
    return scaled(shape, min(1.0, config.size / max(shape)))


def _style_level(painting: Raster, config: Config) -> tuple[float, bool]:
    if config.strength == "auto":
        seen = scaled(painting.shape, min(1.0, NOMINAL / max(painting.shape)))
        return strength.estimate(painting.resized(seen)).level, True
    if isinstance(config.strength, str):
        return LEVELS[config.strength], False
    return float(config.strength), False


def _finish(image: Tensor, view: View, canvas: Canvas, scene: Scene, config: Config) -> Stored:
    """The picture at the painting's own size, as stored.

    `image` [3, h, w] is what the view's window shows of it.
    """
    steps = config.finish
    if steps.chroma:
        chroma = steps.chroma
        image = finish.clean_chroma(image, view.composite, radius=chroma.radius, eps=chroma.eps)
    if steps.vote:
        image = finish.patch_vote(image, view.painting, view.loose, size=steps.vote.size)
    detail = steps.detail.amount if steps.detail else 0.0
    return _paste(image, view, canvas, scene, config, detail=detail)


def _paste(
    image: Tensor, view: View, canvas: Canvas, scene: Scene, config: Config, *, detail: float
) -> Stored:
    """What changed of `image` in the painting at its own size, with its `detail` there."""
    window = region.around(canvas.loose, config.margin)
    if view.shape == canvas.shape:
        part = image  # the window is the view's
    else:
        size = config.finish.detail.size if config.finish.detail else 3
        part = finish.enlarge(image, view, canvas.painting, window, amount=detail, size=size)
    # No hue beyond the painting's: an engraving stays without color.
    part = filters.limit_chroma(part, filters.chroma_span(view.painting.sample()))
    sigma = config.finish.paste_sigma * max(canvas.shape) / NOMINAL
    loose, tight = window.crop_pixels(canvas.loose), _unit(window.crop_pixels(scene.tight))
    share = region.paste_mask(tight, torch.from_numpy(loose.astype(np.float32)), sigma)
    return scene.original.pasted(
        part.clamp(0, 1).permute(1, 2, 0).cpu().numpy(),
        share.numpy(),
        loose > 0,
        top=window.top,
        left=window.left,
    )


def _versions() -> dict[str, Any]:
    return {
        "version": __version__,
        "versions": {
            "harmonize": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
