from __future__ import annotations

import hashlib
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from harmonize import weights
from harmonize.errors import WeightsError


@pytest.fixture(scope="module")
def oxford() -> weights.WeightSet:
    return weights.load("oxford")


def message(name: object) -> str:
    with pytest.raises(WeightsError) as caught:
        weights.load(str(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_bundled_file_is_the_one_that_its_hash_names(oxford: weights.WeightSet) -> None:
    assert hashlib.sha256(weights.BUNDLED.read_bytes()).hexdigest() == weights.BUNDLED_SHA256
    assert oxford.sha256 == weights.BUNDLED_SHA256
    assert "CC BY 4.0" in oxford.license
    assert "CC BY 4.0" in (weights.BUNDLED.parent / "NOTICE.md").read_text(encoding="utf-8")


def test_it_fits_torchvisions_network(oxford: weights.WeightSet) -> None:
    from torchvision.models import vgg19

    with torch.device("meta"):
        expected = vgg19().features[:29].state_dict(prefix="features.")
    assert {name: tensor.shape for name, tensor in oxford.state.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }
    assert {tensor.dtype for tensor in oxford.state.values()} == {torch.float32}


def test_the_first_kernel_is_caffes_folded_to_normalized_rgb(oxford: weights.WeightSet) -> None:
    caffe_blue = [
        [0.3406, 0.3406, -0.0457],
        [0.2321, 0.0894, -0.3033],
        [-0.0732, -0.2450, -0.3372],
    ]
    blue = oxford.state["features.0.weight"][0, 2] / 255 / 0.225
    assert torch.allclose(blue, torch.tensor(caffe_blue), atol=1e-4)


def test_other_kernels_are_their_codebooks_values(oxford: weights.WeightSet) -> None:
    stored = load_file(weights.BUNDLED)
    for name in ("features.2.weight", "features.28.weight"):
        index, codebook = stored[f"{name}.index"], stored[f"{name}.codebook"]
        position = (3, 5, 1, 2)
        assert oxford.state[name][position] == codebook[int(index[position])]
        assert oxford.state[name].unique().numel() <= 256


def test_a_damaged_bundled_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(weights.BUNDLED.read_bytes())
    data[-1] ^= 1
    copy = tmp_path / "weights.safetensors"
    copy.write_bytes(data)
    monkeypatch.setattr(weights, "BUNDLED", copy)
    assert "damaged" in message("oxford")


def test_a_file_gives_the_same_tensors(tmp_path: Path, oxford: weights.WeightSet) -> None:
    state = {**oxford.state, "classifier.0.bias": torch.zeros(3)}
    torch.save(state, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    for path in (tmp_path / "a.pth", tmp_path / "a.safetensors", weights.BUNDLED):
        read = weights.load(str(path))
        assert read.name == str(path)
        assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert read.state.keys() == oxford.state.keys()
        assert all(torch.equal(read.state[name], oxford.state[name]) for name in oxford.state)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features.5.bias": None}, "no tensor features.5.bias; this is not torchvision's VGG19"),
        ({"features.5.bias": torch.zeros(64)}, "has shape (64,), expected (128,) as in VGG19"),
        ({"features.0.bias": torch.full((64,), torch.nan)}, "values that are not finite"),
    ],
)
def test_a_wrong_file_is_refused(
    tmp_path: Path, oxford: weights.WeightSet, change: dict[str, Any], said: str
) -> None:
    state = {**oxford.state, **change}
    save_file({k: v for k, v in state.items() if v is not None}, tmp_path / "a.safetensors")
    assert said in message(tmp_path / "a.safetensors")


def test_what_is_no_weights_file(tmp_path: Path) -> None:
    for name in ("a.safetensors", "a.pth"):
        (tmp_path / name).write_text("no weights")
        assert name in message(tmp_path / name)
    (tmp_path / "a.txt").write_text("no weights")
    assert "expected oxford, torchvision, or a .safetensors or .pth" in message(tmp_path / "a.txt")
    assert "No such file" in message(tmp_path / "nowhere.pth")
    assert "expected oxford, torchvision, or a file" in message("oxfrod")
    torch.save([1, 2], tmp_path / "list.pth")
    assert "expected a dictionary" in message(tmp_path / "list.pth")
    index = {"features.0.weight.index": torch.tensor([0, 9], dtype=torch.uint8)}
    save_file(index, tmp_path / "short.safetensors")
    assert "codebook has too few values" in message(tmp_path / "short.safetensors")


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"features.0.weight": Trap()}, tmp_path / "a.pth")
    assert "not a file of plain PyTorch tensors" in message(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


# --- torchvision's --------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return weights.cached_torchvision()


def test_offline_without_a_cache_is_one_clear_line(cache: Path) -> None:
    said = message("torchvision")
    assert "offline" in said
    assert "--weights oxford" in said
    assert str(cache.parent) in said


def test_a_half_downloaded_file_is_noticed(cache: Path) -> None:
    cache.write_bytes(b"PK half a file")
    assert "delete it and download again" in message("torchvision")


def test_another_file_under_the_right_name_is_noticed(
    cache: Path, oxford: weights.WeightSet
) -> None:
    torch.save(oxford.state, cache)
    assert "delete it and download again" in message("torchvision")


def test_the_cached_file_is_used(
    cache: Path, oxford: weights.WeightSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(oxford.state, cache)
    digest = hashlib.sha256(cache.read_bytes()).hexdigest()
    renamed = cache.with_name(f"vgg19-{digest[:8]}.pth")
    cache.rename(renamed)
    monkeypatch.setattr(weights, "download", lambda: renamed)
    read = weights.load("torchvision")
    assert (read.name, read.sha256) == ("torchvision", digest)
    assert torch.equal(read.state["features.28.bias"], oxford.state["features.28.bias"])
