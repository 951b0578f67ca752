"""`harmonize`: a painting, an element and a mask in, the picture and its record out."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from harmonize import __version__
from harmonize.images.image import StoredImage
from harmonize.images.read import Picture
from harmonize.run import memory_limit
from harmonize.run import prepare as easel
from harmonize.run.checkpoint import Checkpoint, Saved
from harmonize.run.record import hide
from harmonize.run.result import write_result
from harmonize.scene.placement import Placement
from harmonize.scene.scene import Scene, load_scene
from harmonize.settings.load import Settings
from harmonize.settings.resolve import resolve
from harmonize.synthesis.image_ops.crops import Canvas, Painted, View
from harmonize.synthesis.network import device, weights
from harmonize.synthesis.network.cache import Memory
from harmonize.synthesis.network.vgg19 import VGG19
from harmonize.synthesis.network.weights import WeightSet
from harmonize.synthesis.optimization.minimize import Step
from harmonize.synthesis.painter import Painter, Progress


@dataclass(frozen=True)
class Result:
    """A finished run: the picture, how it was made, what it was made from.

    `picture` has the painting's size, depth, mode, color profile and alpha; outside the loose mask
    its pixels are the painting's. `record` can be written as JSON.
    """

    picture: StoredImage
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


@dataclass(frozen=True)
class Prepared:
    """A run before its first step: all that it computes with, and `need`, bytes at its peak.

    `config` has the working size and tiles that fit the memory, `fitted` what was asked for instead
    and the limit, or None if it is as asked. `warnings` say what the user should know of inputs and
    memory.
    """

    scene: Scene
    placement: Placement
    config: Settings
    canvas: Canvas
    view: View
    network: VGG19
    network_key: tuple[Any, ...]
    weights: WeightSet
    level: float
    estimated: bool
    need: int
    fitted: dict[str, Any] | None
    warnings: tuple[str, ...]

    @property
    def steps(self) -> list[tuple[str, int]]:
        """The passes in their order, and how many steps each has at most."""
        return resolve(self.config, self.level).steps

    @property
    def facts(self) -> dict[str, Any]:
        """What the run computes with, in words and numbers."""
        return {
            "device": str(self.network.device),
            "precision": str(self.network.precision).removeprefix("torch."),
            "weights": self.weights.name,
            "strength": self.level,
            "estimated": self.estimated,
            "size": max(self.view.shape),
            "tile": self.config.tile,
            "memory": self.need,
            "warnings": list(self.warnings),
            "original": self.scene.original,
        }


def prepare(
    painting: Picture,
    element: Picture,
    mask: Picture | None = None,
    *,
    loose_mask: Picture | None = None,
    placement: Placement | None = None,
    config: Settings | None = None,
    memory: Memory | None = None,
    max_memory: int | None = None,
    checkpoint: Checkpoint | None = None,
) -> Prepared:
    """Read everything, settle the settings and tell what memory it will take; see `harmonize`."""
    config = config or Settings.preset()
    place = device.resolve(config.device)
    placement = placement or Placement()
    scene = load_scene(
        painting,
        element,
        mask,
        loose_mask=loose_mask,
        placement=placement,
        loose_sigma=config.loose_sigma,
    )
    memory = memory or Memory(0)
    weight_set = memory.recall(config.weights, partial(weights.load, config.weights))
    precision = device.precision(config.precision, place)
    padding = "replicate" if config.region == "patch" else "zeros"
    network_key = (weight_set.sha256, place, precision, padding)
    network = memory.recall(
        network_key,
        lambda: VGG19(weight_set.state, device=place, precision=precision, padding=padding),
    )
    canvas = easel.canvas_of(scene, config, place)
    view = easel.working_view(canvas, config)
    level, estimated = easel.level_of(view.painting, config)
    settled = checkpoint.config(config, max_memory) if checkpoint else None
    # What a run was fitted to stays, even if this process holds more by now, or less.
    plan = memory_limit.plan(canvas, settled or config, level, None if settled else max_memory)
    warnings = list(scene.warnings)
    fitted = None
    if plan.config != config:
        fitted = {"max_memory": max_memory, "size": config.size, "tile": config.tile}
        view = easel.working_view(canvas, plan.config)
        if max(view.shape) != max(easel.working_shape(canvas.shape, config)):
            warnings.append(
                f"the working size is {max(view.shape)} pixels, to keep within "
                f"{memory_limit.show(max_memory or 0)} of memory"
            )
    short = memory_limit.check(plan.need) if place.type == "cpu" else None
    return Prepared(
        scene,
        placement,
        plan.config,
        canvas,
        view,
        network,
        network_key,
        weight_set,
        level,
        estimated,
        plan.need,
        fitted,
        (*warnings, *([short] if short else [])),
    )


def harmonize(
    painting: Picture,
    element: Picture,
    mask: Picture | None = None,
    *,
    loose_mask: Picture | None = None,
    placement: Placement | None = None,
    config: Settings | None = None,
    on_step: Callable[[Step], None] | None = None,
    on_start: Callable[[dict[str, Any]], None] | None = None,
    on_picture: Callable[[Step, StoredImage], None] | None = None,
    picture_every: int = 1,
    memory: Memory | None = None,
    max_memory: int | None = None,
    checkpoint: Checkpoint | None = None,
    absolute_paths: bool = False,
) -> Result:
    """Paste `element` into `painting` so that it looks painted there.

    Pictures are paths, PIL images, or arrays [H, W, C] (uint8, or float from 0 to 1); `mask` is
    white where the element is, of its size, and may be left out when the element has an alpha
    channel. `on_start` receives what the run
    computes with, `warnings` and the `original` painting, before the first step; `on_step` every
    step, and may raise `StopRun` to keep the picture so far; `on_picture` every `picture_every`-th
    step of the run and the picture so far, at the painting's size but without the finish. With a
    `memory`, what this run has in common with the next, network and painting, is kept there. With
    `max_memory`, in bytes, tiles or the working size get smaller until the run fits. With a
    `checkpoint` the run saves itself there, and goes on from it where that is asked for; the file
    is the caller's to remove. The record names files in the user's home as `~/…`, unless
    `absolute_paths` are asked for. Neither prints nor exits.

    Raises:
        InputError: a picture, mask or placement cannot be used.
        WeightsError: the network's weights cannot be loaded.
        DeviceError: the device asked for is not on this machine.
        MemoryLimitError: the run does not fit into memory, or was refused some on the way.
        NumbersError: the picture came out with values that are not finite.
    """
    began = time.perf_counter()
    memory = memory or Memory(0)
    with memory_limit.refused():
        run = prepare(
            painting,
            element,
            mask,
            loose_mask=loose_mask,
            placement=placement,
            config=config,
            memory=memory,
            max_memory=max_memory,
            checkpoint=checkpoint,
        )
    with memory_limit.refused(run.need):
        result = _paint(
            run, began, on_step, on_start, on_picture, picture_every, memory, checkpoint
        )
    return result if absolute_paths else replace(result, record=hide(result.record))


def _paint(
    run: Prepared,
    began: float,
    on_step: Callable[[Step], None] | None,
    on_start: Callable[[dict[str, Any]], None] | None,
    on_picture: Callable[[Step, StoredImage], None] | None,
    picture_every: int,
    memory: Memory,
    checkpoint: Checkpoint | None,
) -> Result:
    scene, config = run.scene, run.config
    torch.manual_seed(config.seed)
    made_with = _made_with(run)
    belongs = {"inputs": scene.hashes, **made_with}
    saved = checkpoint.load(belongs, run.network.device) if checkpoint else None
    earlier, told = (saved.seconds, saved.told) if saved else (0.0, 0)
    if on_start is not None:
        on_start({**run.facts, "resumed": told})

    def seconds() -> float:
        return earlier + time.perf_counter() - began

    def watch(step: Step, so_far: Callable[[], Painted]) -> None:
        nonlocal told
        told += 1
        if on_picture is not None and told % picture_every == 0:
            picture = easel.so_far(so_far(), run.view, run.canvas, scene, config)
            if picture is not None:  # else the pass is about to notice
                on_picture(step, picture)
        if on_step is not None:
            on_step(step)

    def keep(progress: Callable[[], Progress]) -> None:
        if checkpoint is not None:
            checkpoint.save(belongs, lambda: Saved(progress(), told, seconds()))

    key = (run.network_key, scene.hashes["painting"], config.tile)
    painter = Painter(config, run.network, run.level, memory, key, watch, keep)
    painted, logs, interrupted = painter.paint(
        run.canvas, run.view, saved.progress if saved else None
    )
    picture = easel.finished(painted, run.view, run.canvas, scene, config)
    trouble = [f"pass {log.name}: {text}" for log in logs for text in log.trouble]
    record = {
        **made_with,
        "seed": config.seed,
        "inputs": {
            role: {"path": scene.paths[role], "sha256": digest}
            for role, digest in scene.hashes.items()
        },
        "size": max(run.view.shape),
        "memory": run.need,
        "passes": [asdict(log) for log in logs],
        "seconds": seconds(),
        "resumed": saved is not None,
        "interrupted": interrupted,
        "warnings": [*run.warnings, *trouble],
    }
    return Result(picture, record, scene)


def _made_with(run: Prepared) -> dict[str, Any]:
    """What the picture's bytes depend on, besides the inputs."""
    return {
        "version": __version__,
        "versions": {
            "harmonize": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "config": run.config.model_dump(mode="json"),
        "fitted": run.fitted,
        "device": run.facts["device"],
        "precision": run.facts["precision"],
        "threads": torch.get_num_threads(),
        "weights": {"name": run.weights.name, "sha256": run.weights.sha256},
        "placement": run.placement.to_json(),
        "strength": {"level": run.level, "estimated": run.estimated},
    }
