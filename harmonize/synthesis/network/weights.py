"""VGG19 weights: bundled, torchvision's, or a file's, never run and limited in size."""

import hashlib
import io
import os
import stat
import warnings
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from harmonize.errors import WeightsError
from harmonize.synthesis.network.vgg19 import LAYOUT

# Bytes of a file, and of what it unpacks to; all of VGG19 in float32 has 0.54 GiB.
LARGEST_WEIGHTS = 2 << 30

# Name → shape of every tensor that a set has.
SHAPES: dict[str, tuple[int, ...]] = {
    f"{layer.name}.{kind}": (layer.channels_out, *rest)
    for layer in LAYOUT
    for kind, rest in (("weight", (layer.channels_in, 3, 3)), ("bias", ()))
}

Tensors = dict[str, torch.Tensor]

BUNDLED = Path(__file__).parent / "data" / "vgg19-oxford-conv5_1-8bit.safetensors"
BUNDLED_SHA256 = "e46738d948de4b02abf46503074a36b0d65abffdf207d8b6696e1ab9fe94bbc7"

NAMES = {
    "oxford": "bundled; CC BY 4.0, Visual Geometry Group, University of Oxford",
    "torchvision": "VGG19_Weights.IMAGENET1K_V1, kept in torchvision's own cache; BSD-3-Clause",
}


@dataclass(frozen=True)
class WeightSet:
    """Weights on the CPU, and their file's hash."""

    name: str
    sha256: str
    state: Tensors


def load_weights(name_or_path: str) -> WeightSet:
    """Return the set called `oxford` or `torchvision`, or a file's.

    WeightsError: unknown, damaged, incomplete, too large or unreachable.
    """
    if name_or_path == "oxford":
        return _load_bundled()
    if name_or_path == "torchvision":
        return _load_torchvision()
    return _load_file(Path(os.path.expanduser(name_or_path)))


def download(progress: bool = False) -> Path:
    """Return torchvision's file, fetched unless cached.

    WeightsError: unreachable or damaged.
    """
    path = cached_torchvision()
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(_url(), str(path), _hash_prefix(path), progress)
    except (OSError, RuntimeError, HTTPException) as error:
        raise WeightsError(
            "weights torchvision: not in the cache and cannot be downloaded (offline?); use "
            f"`weights=oxford`, or put {path.name} in {path.parent}"
        ) from error
    return path


def cached_torchvision() -> Path:
    """Return torchvision's file's path."""
    return Path(torch.hub.get_dir()) / "checkpoints" / _url().rsplit("/", 1)[-1]


def _url() -> str:
    from torchvision.models import VGG19_Weights

    return str(VGG19_Weights.IMAGENET1K_V1.url)


def _hash_prefix(path: Path) -> str:
    return path.stem.rsplit("-", 1)[-1]


def _load_bundled() -> WeightSet:
    data = _read_bytes(BUNDLED)
    digest = hashlib.sha256(data).hexdigest()
    if digest != BUNDLED_SHA256:
        raise WeightsError(
            f"{BUNDLED}: damaged (its SHA-256 is {digest}); install the package again"
        )
    state = _checked(_parse_safetensors(data, BUNDLED), BUNDLED)
    return WeightSet("oxford", digest, state)


def _load_torchvision() -> WeightSet:
    path = download()
    data = _read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(_hash_prefix(path)):
        raise WeightsError(f"{path}: damaged; delete it and download again")
    state = _checked(_parse_pth(data, path), path)
    return WeightSet("torchvision", digest, state)


def _load_file(path: Path) -> WeightSet:
    data = _read_bytes(path)
    parse = PARSERS.get(path.suffix)
    if parse is None:
        raise WeightsError(
            f"weights {path}: expected oxford, torchvision, or a .safetensors or .pth"
        )
    digest = hashlib.sha256(data).hexdigest()
    return WeightSet(str(path), digest, _checked(parse(data, path), path))


def _read_bytes(path: Path) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe or a device might never end
            raise WeightsError(f"weights {path}: not a file; give a .safetensors or a .pth")
        if found.st_size > LARGEST_WEIGHTS:
            raise _too_large(path)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be read"
        raise WeightsError(
            f"weights {path}: {reason}; expected oxford, torchvision, or a file"
        ) from error


def _too_large(path: Path) -> WeightsError:
    return WeightsError(
        f"weights {path}: more than {LARGEST_WEIGHTS >> 30} GiB; expected VGG19 of 0.54"
    )


def _parse_safetensors(data: bytes, path: Path) -> Tensors:
    try:
        tensors = load_safetensors(data)
    except (SafetensorError, KeyError) as error:  # KeyError: of a kind of number it does not know
        raise WeightsError(
            f"weights {path}: not a readable .safetensors file; export it again"
        ) from error
    for key in SHAPES:
        index = tensors.pop(f"{key}.index", None)
        if index is not None:
            codebook = tensors.pop(f"{key}.codebook", torch.empty(0))
            tensors[key] = _looked_up(index, codebook, key, path)
    return tensors


def _looked_up(index: torch.Tensor, codebook: torch.Tensor, key: str, path: Path) -> torch.Tensor:
    if index.dtype != torch.uint8 or codebook.dim() != 1:
        raise WeightsError(
            f"weights {path}: {key}: expected an index of bytes into a list of values"
        )
    if index.numel() and int(index.max()) >= codebook.numel():
        raise WeightsError(f"weights {path}: {key}.codebook has too few values; export it again")
    _check_shape(index, key, path)
    return codebook[index.long()]


def _parse_pth(data: bytes, path: Path) -> Tensors:
    try:
        unpacked = _unpacked_bytes(data)
        if unpacked <= LARGEST_WEIGHTS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a file that is refused anyway
                tensors = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file makes the reader stumble in every way there is
        raise WeightsError(
            f"weights {path}: not a file of plain PyTorch tensors; save it as one"
        ) from error
    if unpacked > LARGEST_WEIGHTS:
        raise _too_large(path)
    if not isinstance(tensors, dict):
        raise WeightsError(f"weights {path}: expected a dictionary of tensors")
    return tensors


def _unpacked_bytes(data: bytes) -> int:
    if not data.startswith(b"PK"):
        return len(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return sum(item.file_size for item in archive.infolist())


PARSERS = {".safetensors": _parse_safetensors, ".pth": _parse_pth, ".pt": _parse_pth}


def _checked(tensors: Tensors, path: Path) -> Tensors:
    return {key: _checked_tensor(tensors.get(key), key, path) for key in SHAPES}


def _checked_tensor(tensor: object, key: str, path: Path) -> torch.Tensor:
    if not isinstance(tensor, torch.Tensor):
        raise WeightsError(f"weights {path}: no tensor {key}; expected torchvision's VGG19 layout")
    _check_shape(tensor, key, path)
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not (plain and tensor.is_floating_point()):
        raise WeightsError(
            f"weights {path}: {key} is not made of plain floating-point numbers; export it again"
        )
    tensor = tensor.detach().float()
    if not torch.isfinite(tensor).all():
        raise WeightsError(
            f"weights {path}: {key} holds values that are not finite; export it again"
        )
    return tensor


def _check_shape(tensor: torch.Tensor, key: str, path: Path) -> None:
    if tuple(tensor.shape) != SHAPES[key]:
        raise WeightsError(
            f"weights {path}: {key} has shape {tuple(tensor.shape)}, expected {SHAPES[key]} as in "
            "VGG19"
        )
