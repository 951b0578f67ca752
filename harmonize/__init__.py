"""Paste an element into a painting so that it looks painted there."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harmonize.errors import (
        ClusterError,
        ConfigError,
        DeviceError,
        HarmonizeError,
        InputError,
        JobsError,
        MemoryLimitError,
        NumbersError,
        OutputError,
        StopRun,
        WeightsError,
    )
    from harmonize.run.checkpoint import Checkpoint
    from harmonize.run.prepare import Plan
    from harmonize.run.result import Result
    from harmonize.run.session import Progress, Session, harmonize
    from harmonize.scene.placement import Placement
    from harmonize.scene.scene import Scene
    from harmonize.settings.load import Settings

__version__ = "0.2.0"

__all__ = [
    "Checkpoint",
    "ClusterError",
    "ConfigError",
    "DeviceError",
    "HarmonizeError",
    "InputError",
    "JobsError",
    "MemoryLimitError",
    "NumbersError",
    "OutputError",
    "Placement",
    "Plan",
    "Progress",
    "Result",
    "Scene",
    "Session",
    "Settings",
    "StopRun",
    "WeightsError",
    "__version__",
    "harmonize",
]

_HOMES = {
    "Checkpoint": "run.checkpoint",
    "Placement": "scene.placement",
    "Plan": "run.prepare",
    "Progress": "run.session",
    "Result": "run.result",
    "Scene": "scene.scene",
    "Session": "run.session",
    "Settings": "settings.load",
    "harmonize": "run.session",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
