"""Devices, number types, PyTorch's state."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from harmonize.errors import DeviceError


def resolve_device(name: str) -> torch.device:
    """Return the device called `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    DeviceError: it is not here.
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
    """Return the convolutions' type; `auto`: bfloat16 where faster."""
    if name == "auto":
        name = "bfloat16" if _fast_bfloat16(device) else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def use_threads(count: int) -> None:
    """Compute with `count` threads."""
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
        raise DeviceError(
            f"device {name!r}: PyTorch finds {count} CUDA device(s); use a number from 0 up"
        )


# --- the caller's state ---------------------------------------------------------------------------


@contextmanager
def own_state() -> Iterator[None]:
    """Compute with gradients, float32, the CPU, repeatably; restore the caller's state."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device() != torch.device("cpu"):
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_shared)
        yield


class _Shared:
    # What all threads share of PyTorch's state: as runs need it while any of them computes.

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._restore = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._restore.enter_context(_float32())
                if torch.cuda.is_available():
                    self._restore.enter_context(_same_bytes())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._restore.close()


@contextmanager
def _float32() -> Iterator[None]:
    before = torch.get_default_dtype()
    if before != torch.float32:
        torch.set_default_dtype(torch.float32)
    yield
    if before != torch.float32:
        torch.set_default_dtype(before)


@contextmanager
def _same_bytes() -> Iterator[None]:
    # By themselves GPUs add in another order every time.
    before = torch.are_deterministic_algorithms_enabled()
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    # Asked for by PyTorch before it takes a matrix product for repeatable.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(before, warn_only=lenient)


_shared = _Shared()
