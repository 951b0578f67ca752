"""A scene and settings → a plan."""

from __future__ import annotations

import math
import platform
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from harmonize import __version__
from harmonize.images.image import StoredImage
from harmonize.run import memory_limit
from harmonize.run.memory_limit import at_work, working_shape
from harmonize.scene.loose import NOMINAL
from harmonize.scene.mask import Mask
from harmonize.scene.placement import Placement
from harmonize.scene.scene import Scene
from harmonize.settings.goals import Resolved
from harmonize.settings.load import LEVELS, Settings
from harmonize.settings.resolve import resolve_settings
from harmonize.synthesis import style_level
from harmonize.synthesis.brushwork.drawing import fine_share
from harmonize.synthesis.image_ops import windows
from harmonize.synthesis.image_ops.crops import Canvas, View, scaled
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.network import device, weights
from harmonize.synthesis.network.cache import Cache
from harmonize.synthesis.network.vgg19 import VGG19
from harmonize.synthesis.network.weights import WeightSet

# Pixels at work that an element covers: of fewer, strokes leave a blot. Found by eye,
# on the samples at widths of 20 to 60 pixels.
RECOGNIZABLE = 1000


@dataclass(frozen=True, eq=False)
class Network:
    """A network, its weights loaded."""

    vgg: VGG19
    weights: WeightSet
    key: Hashable  # stands for weights, device and precision


@dataclass(frozen=True, eq=False)
class Plan:
    """A run before its first step."""

    scene: Scene
    placement: Placement
    asked: Settings
    settings: Settings  # those asked for, fitted into max_memory
    max_memory: int | None  # bytes
    level: float  # style level, 1 to 10
    own_level: float  # the painting's estimated style level
    estimated: bool
    fine: float  # share of light, dark and hue finer than 2 pixels
    need: int  # bytes at the peak; on a GPU, of the tensors there
    warnings: tuple[str, ...]
    canvas: Canvas
    view: View  # the canvas at the working size
    network: Network

    @property
    def size(self) -> int:
        """The painting's long side at work, in pixels."""
        return max(self.view.shape)

    @property
    def region(self) -> tuple[int, int]:
        """Width and height at work, in pixels."""
        high, wide = self.view.window.shape
        return wide, high

    @property
    def resolved(self) -> Resolved:
        return resolve_settings(self.settings, self.level, self.fine, self.own_level)

    @property
    def steps(self) -> list[tuple[str, int]]:
        """The passes in order, with their most steps."""
        return self.resolved.steps

    @property
    def composite(self) -> Image.Image:
        """What is pasted, unpainted: 8-bit sRGB, of the painting's size."""
        return StoredImage(self.scene.composite).shown

    @property
    def device(self) -> str:
        return str(self.network.vgg.device)

    @property
    def weights(self) -> str:
        return self.network.weights.name

    @property
    def precision(self) -> str:
        return str(self.network.vgg.precision).removeprefix("torch.")

    @property
    def fitted(self) -> dict[str, Any] | None:
        if self.settings == self.asked:
            return None
        asked = self.asked
        return {"max_memory": self.max_memory, "size": asked.size, "tile": asked.tile}

    @property
    def made_with(self) -> dict[str, Any]:
        weights = self.network.weights
        return {
            "version": __version__,
            "versions": {
                "harmonize": __version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            "config": self.settings.model_dump(mode="json"),
            "fitted": self.fitted,
            "device": self.device,
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "weights": {"name": weights.name, "sha256": weights.sha256},
            "placement": self.placement.to_json(),
            "strength": {"level": self.level, "estimated": self.estimated},
        }


@dataclass(frozen=True, eq=False)
class Extent:
    """What tells the memory of runs on a scene, without its pixels."""

    canvas: Canvas  # of the scene's size, its pixels all the same
    level: float  # the painting's estimated style level
    held: int  # bytes of the scene's pictures

    @classmethod
    def of(cls, scene: Scene) -> Extent:
        pixels = np.broadcast_to(np.zeros(1, scene.painting.dtype), scene.painting.shape)
        loose = np.zeros(scene.loose.shape, np.uint8)  # read only: it takes no memory
        box = windows.box(scene.loose)
        loose[box.top, box.left] = loose[box.bottom - 1, box.right - 1] = 1
        canvas = Canvas(Raster(pixels), Raster(pixels), loose, Raster(pixels[..., :1]))
        level = style_level.estimate_level(_at_nominal_size(Raster(scene.painting))).level
        return cls(canvas, level, _held_by(scene))

    def check_memory(self, asked: Settings, limit: int, held: int | None) -> None:
        """Raise MemoryLimitError if no size keeps to `limit` bytes in a process that holds `held`.

        None: on a GPU, or it may be on one.
        """
        told = _told_level(asked)
        level = self.level if told is None else told
        there = 0 if held is None else held + self.held
        memory_limit.fit(self.canvas, asked, level, limit, there)


def _held_by(scene: Scene) -> int:
    parts = (scene.painting, scene.composite, scene.tight, scene.loose, scene.original.pixels)
    return sum({id(part): part.nbytes for part in parts}.values())


def load_network(settings: Settings, place: torch.device, memory: Cache) -> Network:
    """Load the network, or recall it."""
    found = memory.recall(settings.weights, partial(weights.load_weights, settings.weights))
    precision = device.precision(settings.precision, place)
    padding = "replicate" if settings.region == "patch" else "zeros"
    key = (found.sha256, place, precision, padding)
    vgg = memory.recall(
        key, lambda: VGG19(found.state, device=place, precision=precision, padding=padding)
    )
    return Network(vgg, found, key)


def make_plan(
    scene: Scene,
    placement: Placement,
    asked: Settings,
    network: Network,
    max_memory: int | None = None,
    settled: Settings | None = None,
    held: int | None = None,
) -> Plan:
    """Make the plan, or keep to `settled` settings; `held` as `Session.plan`."""
    place = network.vgg.device
    whole = canvas_of(scene, place)
    told = _told_level(asked)
    seen = _at_nominal_size(whole.painting)
    own_level = style_level.estimate_level(seen).level
    level = own_level if told is None else told
    # What a run was fitted to stays, even if this process holds more by now, or less.
    limit = None if settled else max_memory
    there = None if held is None else held + _held_by(scene)
    settings, need = memory_limit.fit(whole, settled or asked, level, limit, there)
    canvas = at_work(whole, settings)
    view = working_view(canvas, settings)
    notes = [*scene.warnings]
    if settings.size != asked.size:
        kept = memory_limit.show_memory(max_memory or 0)
        notes.append(f"the working size is {max(view.shape)} pixels, to keep within {kept}")
    notes += _too_small(view, canvas)
    short = memory_limit.memory_warning(need) if place.type == "cpu" else None
    return Plan(
        scene=scene,
        placement=placement,
        asked=asked,
        settings=settings,
        max_memory=max_memory,
        level=level,
        own_level=own_level,
        estimated=told is None,
        fine=fine_share(seen),
        need=need,
        warnings=(*notes, *([short] if short else [])),
        canvas=canvas,
        view=view,
        network=network,
    )


def _too_small(view: View, canvas: Canvas) -> list[str]:
    covered = int((view.tight > 0.5).sum())
    if covered >= RECOGNIZABLE:
        return []
    times = math.sqrt(RECOGNIZABLE / max(covered, 1))
    cure = f"place it about {times:.1f} times as large, with `width`"
    if view.shape != canvas.shape:
        cure += ", or work on more of the painting's pixels, with `size`"
    return [f"element: it covers only {covered} pixels, too few to stay recognizable; {cure}"]


def canvas_of(scene: Scene, place: torch.device | str = "cpu") -> Canvas:
    """Return pictures and masks on a device."""
    place = torch.device(place)
    painting, composite = Raster(scene.painting, place), Raster(scene.composite, place)
    return Canvas(painting, composite, scene.loose, Raster(scene.tight[..., None], place))


def working_view(canvas: Canvas, settings: Settings) -> View:
    """Return the canvas at the working size."""
    return canvas.view(working_shape(canvas.shape, settings), settings.margin)


def _told_level(settings: Settings) -> float | None:
    if settings.strength == "auto":
        return None
    if isinstance(settings.strength, str):
        return LEVELS[settings.strength]
    return float(settings.strength)


def _at_nominal_size(painting: Raster) -> torch.Tensor:
    return painting.resized(scaled(painting.shape, min(1.0, NOMINAL / max(painting.shape))))


def unit(mask: Mask) -> torch.Tensor:
    """Return a mask of 0 to 255 as 0 to 1."""
    return torch.from_numpy(mask.astype(np.float32)) / 255
