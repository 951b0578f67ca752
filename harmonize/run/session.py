"""The Python API."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from harmonize.errors import ConfigError, InputError, StopRun
from harmonize.images.image import StoredImage
from harmonize.images.read import Picture
from harmonize.run import finish, memory_limit
from harmonize.run.checkpoint import Checkpoint, Saved
from harmonize.run.prepare import Plan, load_network, make_plan
from harmonize.run.result import Result
from harmonize.scene.placement import Placement
from harmonize.scene.scene import load_scene
from harmonize.settings.load import Settings, settle
from harmonize.settings.messages import nearest_word
from harmonize.settings.yaml_reader import show
from harmonize.synthesis.image_ops.crops import Painted
from harmonize.synthesis.network import device as devices
from harmonize.synthesis.network.cache import Cache
from harmonize.synthesis.optimization.minimize import Step
from harmonize.synthesis.painter import Painter, SavePoint

KEPT_TENSORS = 1 << 30  # bytes of networks and paintings that a session keeps, at most


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        stage: `palette`, `underpainting`, a pass's name, or `finish`.
        step: of `total` in this stage; 0 when `finish` begins.
        losses: name → weighted loss.
        done: steps in the whole run, also before it was resumed.
    """

    stage: str
    step: int
    total: int
    losses: Mapping[str, float] = field(default_factory=dict)
    done: int = 0
    _picture: Callable[[], StoredImage | None] = field(
        default=lambda: None, repr=False, compare=False
    )

    def preview(self) -> Image.Image | None:
        """Return the picture so far in 8-bit sRGB, if any; only within `on_progress`."""
        picture = self._picture()
        return None if picture is None else picture.shown

    def picture(self) -> StoredImage | None:
        return self._picture()

    def __reduce__(self) -> tuple[Any, ...]:
        return Progress, (self.stage, self.step, self.total, dict(self.losses), self.done)


OnProgress = Callable[[Progress], None]
GivenSettings = str | os.PathLike[str] | Mapping[str, Any] | Settings | None
GivenPlacement = Placement | Mapping[str, Any] | None


class Session:
    """Settings, network and paintings that runs and threads share."""

    def __init__(
        self,
        settings: GivenSettings = None,
        *,
        strength: float | str | None = None,
        keep: float | None = None,
        keep_color: float | None = None,
        size: int | str | None = None,
        seed: int | None = None,
        device: str | None = None,
        cache: int = KEPT_TENSORS,
    ) -> None:
        """Settle the settings; keywords win over `settings`.

        Args:
            settings: a preset's name, a path, a mapping as in a file, or `Settings`.
            strength: 1 to 10, `weak`, `medium`, `strong` or `auto`.
            keep: how much drawing to keep; 1 is the preset's.
            keep_color: 0 to 1.
            size: the painting's long side at work in pixels, or `native`.
            seed: another number, other strokes.
            device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
            cache: bytes to keep between pictures.

        Raises ConfigError.
        """
        common = {"strength": strength, "keep": keep, "keep_color": keep_color, "size": size}
        chosen = None if device is None else str(device)
        self.settings = settle(settings, {**common, "seed": seed, "device": chosen})
        if not isinstance(cache, int) or cache < 0:
            raise ConfigError(f"cache: expected bytes, from 0 up; got {show(cache)}")
        self._memory = Cache(cache)

    def using(self, settings: GivenSettings = None, **common: Any) -> Session:
        """Return a session with other settings that shares the rest."""
        other = Session(settings, **_known(common))
        other._memory = self._memory
        return other

    def plan(
        self,
        painting: Picture,
        element: Picture,
        mask: Picture | None = None,
        placement: GivenPlacement = None,
        *,
        loose_mask: Picture | None = None,
        max_memory: int | str | None = None,
        held: int | None = None,
    ) -> Plan:
        """Read and check everything before painting.

        Pictures are paths, bytes, binary files, PIL images, or arrays [H, W] or [H, W, C] of bool,
        uint8, uint16, or floats from 0 to 1.

        Args:
            mask: white where the element is, of its size; None: its alpha.
            loose_mask: white where the result may differ from the painting.
            max_memory: bytes that the process may hold, or text such as `2GB`.
            held: bytes it is taken to hold besides pictures; None: what it holds.

        Raises InputError, DeviceError, WeightsError or MemoryLimitError.
        """
        limit = memory_limit.parse(max_memory)
        place = devices.resolve_device(self.settings.device)
        where = _given_placement(placement)
        for role, picture in (("painting", painting), ("element", element)):
            if picture is None:
                raise InputError(f"{role}: expected a picture, got None")
        with devices.own_state(), memory_limit.refused():
            scene = load_scene(
                painting,
                element,
                mask,
                loose_mask=loose_mask,
                placement=where,
                loose_sigma=self.settings.loose_sigma,
            )
            network = load_network(self.settings, place, self._memory)
            return make_plan(scene, where, self.settings, network, limit, held=held)

    def run(
        self,
        plan: Plan,
        *,
        on_progress: OnProgress | None = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        absolute_paths: bool = False,
    ) -> Result:
        """Paint what was planned, as often as you like.

        Args:
            on_progress: called at every step; a `StopRun` raised in it keeps the picture so far.
            checkpoint: file that the run saves itself to, and goes on from; the caller removes it.
            absolute_paths: in the record, in place of `~`.

        Raises InputError (another run's checkpoint), OutputError, MemoryLimitError or NumbersError.
        """
        if not isinstance(plan, Plan):
            raise InputError(f"plan: expected what Session.plan returns; got {show(plan)}")
        _check_callback(on_progress)
        if isinstance(checkpoint, (str, os.PathLike)):
            checkpoint = Checkpoint(Path(checkpoint))
        elif not isinstance(checkpoint, Checkpoint | None):
            raise InputError(f"checkpoint: expected a path; got {show(checkpoint)}")
        with devices.own_state(), memory_limit.refused(plan.need):
            return _Run(plan, self._memory, on_progress, checkpoint).result(absolute_paths)


class _Run:
    def __init__(
        self,
        plan: Plan,
        memory: Cache,
        on_progress: OnProgress | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        settled = checkpoint.settings(plan.asked, plan.max_memory) if checkpoint else None
        if settled is not None and settled != plan.settings:
            plan = make_plan(
                plan.scene, plan.placement, plan.asked, plan.network, plan.max_memory, settled
            )
        self.plan, self.memory = plan, memory
        self.on_progress, self.checkpoint = on_progress, checkpoint
        self.began = time.perf_counter()
        self.belongs = {"inputs": plan.scene.hashes, **plan.made_with}
        place = plan.network.vgg.device
        saved = checkpoint.load(self.belongs, place) if checkpoint else None
        self.start = saved.point if saved else None
        self.done, self.earlier = (saved.told, saved.seconds) if saved else (0, 0.0)

    def result(self, absolute_paths: bool) -> Result:
        plan, memory = self.plan, self.memory
        part = (plan.canvas.corner, plan.canvas.shape)
        key = (plan.network.key, plan.scene.hashes["painting"], part, plan.settings.tile)
        painter = Painter(
            plan.resolved,
            plan.network.vgg,
            # Within a limit no painting is kept: what came before makes no picture smaller.
            recall=lambda what, make: (
                make() if plan.max_memory else memory.recall((*key, what), make)
            ),
            on_step=self._step if self.on_progress or self.checkpoint else None,
            on_safe=self._save,
        )
        painted, logs, interrupted = painter.paint(plan.canvas, plan.view, self.start)
        with suppress(StopRun):  # nothing is gained by stopping here
            self._tell(Step("finish", 0, 1, {}), lambda: painted)
        picture = finish.finished(painted, plan)
        how = {
            "passes": [asdict(log) for log in logs],
            "seconds": self._seconds(),
            "resumed": self.start is not None,
            "interrupted": interrupted,
        }
        return Result(picture, finish.record_of(plan, how, absolute_paths), plan.scene)

    def _seconds(self) -> float:
        return self.earlier + time.perf_counter() - self.began

    def _step(self, step: Step, so_far: Callable[[], Painted]) -> None:
        self.done += 1
        self._tell(step, so_far)

    def _tell(self, step: Step, so_far: Callable[[], Painted]) -> None:
        if self.on_progress is not None:

            def picture() -> StoredImage | None:
                return finish.so_far(so_far(), self.plan)

            self.on_progress(
                Progress(step.pass_name, step.index, step.total, step.terms, self.done, picture)
            )

    def _save(self, point: Callable[[], SavePoint]) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(self.belongs, lambda: Saved(point(), self.done, self._seconds()))


def harmonize(
    painting: Picture,
    element: Picture,
    mask: Picture | None = None,
    *,
    placement: GivenPlacement = None,
    settings: GivenSettings = None,
    on_progress: OnProgress | None = None,
    loose_mask: Picture | None = None,
    max_memory: int | str | None = None,
    **common: Any,
) -> Result:
    """Paste `element` into `painting` so that it looks painted there.

    See `Session`, `Session.plan` and `Session.run`.
    """
    _check_callback(on_progress)
    session = Session(settings, **{"cache": 0, **_known(common)})
    plan = session.plan(
        painting, element, mask, placement, loose_mask=loose_mask, max_memory=max_memory
    )
    return session.run(plan, on_progress=on_progress)


def _check_callback(on_progress: OnProgress | None) -> None:
    if on_progress is not None and not callable(on_progress):
        raise InputError(f"on_progress: expected a function; got {show(on_progress)}")


def _given_placement(given: GivenPlacement) -> Placement:
    if isinstance(given, Placement):
        return given
    if given is None or isinstance(given, Mapping):
        return Placement.parse(given or {})
    raise InputError(
        "placement: expected a Placement, or a mapping such as {'at': (120, 40)}; got "
        + show(given)
    )


def _known(common: dict[str, Any]) -> dict[str, Any]:
    names = list(inspect.signature(Session).parameters)[1:]
    for name in common:
        if name in Placement.__dataclass_fields__:
            raise ConfigError(f"{name}: is a part of placement; give placement={{'{name}': …}}")
        if name not in names:
            raise ConfigError(f"{name}: unknown keyword{nearest_word(name, names)}")
    return common
