"""Checks of an installation."""

import math
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import psutil
import torch

from harmonize import __version__
from harmonize.errors import HarmonizeError
from harmonize.run import memory_limit
from harmonize.run.session import harmonize
from harmonize.settings.load import Settings, load
from harmonize.synthesis.network import device, weights

PACKAGES = ("torch", "torchvision", "kornia", "numpy", "pillow", "pyvips", "pydantic")
ENOUGH = 1 << 30  # bytes of memory: what `--config preview` takes


@dataclass(frozen=True)
class Check:
    """What was found, and what to do."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def examine() -> Iterator[Check]:
    """Make the checks."""
    yield Check("harmonize", True, f"{__version__}, Python {platform.python_version()}")
    for name in PACKAGES:
        yield _package(name)
    yield _device()
    yield _threads()
    yield _memory()
    yield _try("weights oxford", "install the package again", _oxford)
    yield _torchvision()
    advice = "install the package again; if that does not help, please report it"
    yield _try("self-test", advice, _self_test)


def _try(name: str, advice: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except HarmonizeError as error:
        return Check(name, False, str(error), advice)
    except Exception as error:  # what else is broken is what we are here to find out
        return Check(name, False, f"{type(error).__name__}: {error}", advice)


def _package(name: str) -> Check:
    try:
        return Check(name, True, version(name))
    except PackageNotFoundError:
        return Check(name, False, "not installed", "install the package again")


def _device() -> Check:
    best = device.resolve_device("auto")
    kind = device.precision("auto", best)
    there = ["cpu"]
    there += [
        f"cuda:{index} ({torch.cuda.get_device_name(index)})"
        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    there += ["mps (not tested)"] if torch.backends.mps.is_available() else []
    said = str(kind).removeprefix("torch.")
    return Check("devices", True, f"{', '.join(there)}; auto takes {best} with {said}")


def _threads() -> Check:
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    advice = "" if threads <= cores else f"set OMP_NUM_THREADS to {cores} or less"
    return Check("threads", threads <= cores, f"{threads} of {cores} cores", advice)


def _memory() -> Check:
    free = min(psutil.virtual_memory().available, memory_limit.ceiling() or math.inf)
    advice = "" if free >= ENOUGH else "close other programs, or use a smaller `size`"
    return Check("memory", free >= ENOUGH, f"{free / 2**30:.1f} GiB free", advice)


def _oxford() -> str:
    return f"ready, SHA-256 as it should be ({weights.load_weights('oxford').sha256[:12]}…)"


def _torchvision() -> Check:
    path = weights.cached_torchvision()
    if not path.exists():
        note = "not here; `harmonize weights download` fetches them, if you want them"
        return Check("weights torchvision", True, note)
    advice = f"delete {path} and run `harmonize weights download`"
    look = partial(weights.load_weights, "torchvision")
    return _try("weights torchvision", advice, lambda: f"ready ({look().sha256[:12]}…)")


def _self_test() -> str:
    rows, columns = np.mgrid[:64, :64]
    painting = np.stack([rows * 4, columns * 4, (rows + columns) * 2], -1).astype(np.uint8)
    element = np.ascontiguousarray(painting[::-1, ::-1])
    mask = np.zeros((64, 64), np.uint8)
    mask[24:40, 24:40] = 255
    loose = np.zeros((64, 64), np.uint8)
    loose[16:48, 16:48] = 255
    steps = [f"passes.{name}.steps=1" for name in Settings.preset().passes]
    result = harmonize(painting, element, mask, loose_mask=loose, settings=load("default", steps))
    changed = (np.asarray(result.image) != painting).any(-1)
    if changed[loose == 0].any():
        raise HarmonizeError("the result differs from the painting outside the mask")
    if not changed[mask > 0].any():
        raise HarmonizeError("the result does not differ from the painting inside the mask")
    return f"a tiny run is right ({result.record['seconds']:.1f} s)"
