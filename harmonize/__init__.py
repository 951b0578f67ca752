"""Paste an element into a painting so that it looks painted there.

from harmonize import Config, harmonize
result = harmonize("painting.jpg", "cutout.png", at=(690, 480), width=330)
result.save("result.png")

Names are imported when first used, so that `import harmonize` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harmonize.config import Config
    from harmonize.errors import (
        ConfigError,
        DeviceError,
        HarmonizeError,
        InputError,
        OutputError,
        StopRun,
        WeightsError,
    )
    from harmonize.inputs import Scene
    from harmonize.memory import Memory
    from harmonize.optimize import Step
    from harmonize.pipeline import Result, harmonize

__version__ = "0.1.0"

__all__ = [
    "Config",
    "ConfigError",
    "DeviceError",
    "HarmonizeError",
    "InputError",
    "Memory",
    "OutputError",
    "Result",
    "Scene",
    "Step",
    "StopRun",
    "WeightsError",
    "__version__",
    "harmonize",
]

_HOMES = {
    "Config": "config",
    "Memory": "memory",
    "Result": "pipeline",
    "Scene": "inputs",
    "Step": "optimize",
    "harmonize": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
