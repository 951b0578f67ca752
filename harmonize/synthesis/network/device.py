"""Names of devices → devices that are really there."""

import torch

from harmonize.errors import DeviceError


def resolve(name: str) -> torch.device:
    """Return the device called `name`: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    `auto` takes CUDA where it is there, else the CPU. A device asked for by name is
    never replaced by another.

    Raises:
        DeviceError: the name is not a device's, or this machine does not have it.
    """
    if name == "auto":
        return torch.device(_best())
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"device {name!r}: expected auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda":
        _require_cuda(name, device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(f"device {name!r}: this machine has no MPS; use `device=auto` or cpu")
    return device


def precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type of the network's convolutions: `float32`, `bfloat16`, or `auto`.

    `auto` takes bfloat16 only where the hardware multiplies it faster: CPUs with AMX, CUDA GPUs
    that support it. Losses are float32 whatever this is.
    """
    if name == "auto":
        name = "bfloat16" if _fast_bfloat16(device) else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def use_threads(count: int) -> None:
    """Let this process compute with `count` threads, at least 1."""
    torch.set_num_threads(count)


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and _has_amx()


def _has_amx() -> bool:
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(probe and probe())


def _best() -> str:
    # MPS has not been tried: it is used only when asked for by name.
    return "cuda" if torch.cuda.is_available() else "cpu"


def _require_cuda(name: str, index: int) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise DeviceError(f"device {name!r}: PyTorch finds no CUDA here; use `device=auto` or cpu")
    if index >= count:
        raise DeviceError(f"device {name!r}: PyTorch finds {count} CUDA device(s), numbered from 0")
