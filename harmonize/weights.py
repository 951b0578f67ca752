"""VGG19 weights as values: bundled, from torchvision's cache, or from a file.

Every set comes out the same way: float32 tensors under torchvision's names, `features.0.weight` to
`features.28.bias` (conv1_1 to conv5_1), for RGB input in [0, 1] normalized with torchvision's
ImageNet mean and standard deviation.
"""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from harmonize.errors import WeightsError
from harmonize.features import LAYOUT

State = dict[str, torch.Tensor]

BUNDLED = Path(__file__).parent / "data" / "vgg19-oxford-conv5_1-8bit.safetensors"
BUNDLED_SHA256 = "e46738d948de4b02abf46503074a36b0d65abffdf207d8b6696e1ab9fe94bbc7"

NAMES = {
    "oxford": "bundled; CC BY 4.0, Visual Geometry Group, University of Oxford",
    "torchvision": "VGG19_Weights.IMAGENET1K_V1, kept in torchvision's own cache; BSD-3-Clause",
}


@dataclass(frozen=True)
class WeightSet:
    """One set of VGG19 weights.

    Attributes:
        name: `oxford`, `torchvision`, or the path it was read from.
        sha256: of the file that the tensors were read from, in hexadecimal.
        license: of the weights, in words.
        state: torchvision's names → float32 tensors on the CPU.
    """

    name: str
    sha256: str
    license: str
    state: State


def load(name_or_path: str) -> WeightSet:
    """Return the set called `oxford` or `torchvision`, or the one in a file.

    A file is a `.safetensors` (plain tensors, or the bundled file's index and codebook) or a
    `.pth` in torchvision's layout, read with `weights_only`. Tensors beyond conv5_1 are ignored.

    Raises:
        WeightsError: no such file or set, a damaged file, a missing tensor, a wrong shape, or
            torchvision's weights neither cached nor to be downloaded.
    """
    if name_or_path == "oxford":
        return _load_bundled()
    if name_or_path == "torchvision":
        return _load_torchvision()
    return _load_file(Path(name_or_path))


def download(progress: bool = False) -> Path:
    """Fetch torchvision's weights into its cache unless they are there; return the file.

    Raises:
        WeightsError: they cannot be fetched, or the cached file is damaged.
    """
    from torchvision.models import VGG19_Weights

    path = cached_torchvision()
    try:
        VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=progress, check_hash=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        if path.exists():
            raise WeightsError(f"{path}: damaged; delete it and download again") from error
        raise WeightsError(
            "weights torchvision: not in the cache and cannot be downloaded (offline?); use "
            f"--weights oxford, or put {path.name} in {path.parent}"
        ) from error
    return path


def cached_torchvision() -> Path:
    """Return where torchvision keeps its VGG19 weights, whether they are there or not."""
    from torchvision.models import VGG19_Weights

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return folder / str(VGG19_Weights.IMAGENET1K_V1.url).rsplit("/", 1)[-1]


def _load_bundled() -> WeightSet:
    data = _read(BUNDLED)
    digest = hashlib.sha256(data).hexdigest()
    if digest != BUNDLED_SHA256:
        raise WeightsError(
            f"{BUNDLED}: damaged (its SHA-256 is {digest}); install the package again"
        )
    state = _checked(_parse_safetensors(data, BUNDLED), BUNDLED)
    return WeightSet("oxford", digest, NAMES["oxford"], state)


def _load_torchvision() -> WeightSet:
    path = download()
    digest = hashlib.sha256(_read(path)).hexdigest()
    if not digest.startswith(path.stem.rsplit("-", 1)[-1]):
        raise WeightsError(f"{path}: damaged; delete it and download again")
    return WeightSet("torchvision", digest, NAMES["torchvision"], _checked(_parse_pth(path), path))


def _load_file(path: Path) -> WeightSet:
    data = _read(path)
    if path.suffix == ".safetensors":
        tensors = _parse_safetensors(data, path)
    elif path.suffix in (".pth", ".pt"):
        tensors = _parse_pth(path)
    else:
        raise WeightsError(
            f"weights {path}: expected oxford, torchvision, or a .safetensors or .pth"
        )
    digest = hashlib.sha256(data).hexdigest()
    return WeightSet(str(path), digest, "not known", _checked(tensors, path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise WeightsError(
            f"weights {path}: {reason}; expected oxford, torchvision, or a file"
        ) from error


def _parse_safetensors(data: bytes, path: Path) -> State:
    try:
        tensors = load_safetensors(data)
    except SafetensorError as error:
        raise WeightsError(f"weights {path}: not a readable .safetensors file") from error
    for key in [key for key in tensors if key.endswith(".index")]:
        stem = key.removesuffix(".index")
        index, codebook = tensors.pop(key), tensors.pop(f"{stem}.codebook", torch.empty(0))
        if index.numel() and int(index.max()) >= codebook.numel():
            raise WeightsError(f"weights {path}: {stem}.codebook has too few values")
        tensors[stem] = codebook[index.long()]
    return tensors


def _parse_pth(path: Path) -> State:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsError(f"weights {path}: not a file of plain PyTorch tensors") from error
    if not isinstance(tensors, dict):
        raise WeightsError(f"weights {path}: expected a dictionary of tensors")
    return tensors


def _checked(tensors: State, path: Path) -> State:
    state = {}
    for layer in LAYOUT:
        kernel = (layer.channels_out, layer.channels_in, 3, 3)
        for kind, shape in (("weight", kernel), ("bias", kernel[:1])):
            key = f"{layer.name}.{kind}"
            state[key] = _checked_tensor(tensors.get(key), key, shape, path)
    return state


def _checked_tensor(tensor: object, key: str, shape: tuple[int, ...], path: Path) -> torch.Tensor:
    if not isinstance(tensor, torch.Tensor):
        raise WeightsError(
            f"weights {path}: no tensor {key}; this is not torchvision's VGG19 layout"
        )
    if tuple(tensor.shape) != shape:
        raise WeightsError(
            f"weights {path}: {key} has shape {tuple(tensor.shape)}, expected {shape} as in VGG19"
        )
    tensor = tensor.float()
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"weights {path}: {key} holds values that are not finite")
    return tensor
