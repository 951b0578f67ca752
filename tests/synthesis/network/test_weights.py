from __future__ import annotations

import hashlib
import os
import pickle
import tarfile
import urllib.error
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from harmonize.errors import WeightsError
from harmonize.synthesis.network import weights


@pytest.fixture(scope="module")
def oxford() -> weights.WeightSet:
    return weights.load_weights("oxford")


def message(name: object) -> str:
    with pytest.raises(WeightsError) as caught:
        weights.load_weights(str(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_bundled_file_is_the_one_that_its_hash_names(oxford: weights.WeightSet) -> None:
    assert hashlib.sha256(weights.BUNDLED.read_bytes()).hexdigest() == weights.BUNDLED_SHA256
    assert oxford.sha256 == weights.BUNDLED_SHA256
    assert "CC BY 4.0" in weights.NAMES["oxford"]
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
        read = weights.load_weights(str(path))
        assert read.name == str(path)
        assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert read.state.keys() == oxford.state.keys()
        assert all(torch.equal(read.state[name], oxford.state[name]) for name in oxford.state)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features.5.bias": None}, "no tensor features.5.bias; expected torchvision's VGG19"),
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


def trap(place: Path) -> dict[str, Any]:
    """Weights that create the file `place` in whoever unpickles them."""

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (place,))

    return {"features.0.weight": Trap()}


def test_a_file_that_would_run_code_is_refused(files: Path, command: Callable[..., Any]) -> None:
    ran = files / "ran"
    torch.save(trap(ran), "zip.pth")
    torch.save(trap(ran), "pickles.pth", _use_new_zipfile_serialization=False)
    Path("pickle.pth").write_bytes(pickle.dumps(trap(ran)))
    with tarfile.open("tar.pth", "w") as archive:  # PyTorch's oldest format, a tar of pickles
        for name in ("storages", "tensors", "pickle"):
            archive.add("pickle.pth", name)
    for path in sorted(files.glob("*.pth")):
        assert "not a file of plain PyTorch tensors" in message(path)
        pictures = ("--style", "painting.png", "--patch", "cutout.png", "--at=5,5")
        done = command("run", *pictures, "--output=out.png", "--weights", path.name)
        assert (done.code, len(done.err.splitlines())) == (2, 1)
        assert done.err.startswith(f"harmonize: error: weights {path.name}: not a file of plain")
        assert not ran.exists()
        assert not Path("out.png").exists()
    torch.load("zip.pth", weights_only=False)
    assert ran.exists(), "the trap is none"


def test_archives_that_are_no_weights_are_one_line(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "script.pth").write_bytes(whole)
    with zipfile.ZipFile(tmp_path / "script.pth", "a") as archive:  # TorchScript has constants
        archive.writestr("whole/constants.pkl", b"\x80\x02).")
    for length in range(0, len(whole), 311):
        (tmp_path / f"cut{length}.pth").write_bytes(whole[:length])
    (tmp_path / "whole.pth").unlink()
    for path in sorted(tmp_path.glob("*.pth")):
        assert (
            message(path) == f"weights {path}: not a file of plain PyTorch tensors; save it as one"
        )


def test_a_file_that_unpacks_to_far_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("read all the same")

    monkeypatch.setattr(torch, "load", never)
    monkeypatch.setattr(weights, "LARGEST_WEIGHTS", 10_000)
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(20_000))
    assert (tmp_path / "bomb.pth").stat().st_size < 1000
    (tmp_path / "sparse.pth").touch()
    os.truncate(tmp_path / "sparse.pth", 1 << 40)
    for name in ("bomb.pth", "sparse.pth"):
        assert "more than" in message(tmp_path / name)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "folder.pth").mkdir()
    for name in ("pipe.pth", "folder.pth"):
        assert "not a file" in message(tmp_path / name)
    assert "cannot be read" in message("a\0b.pth")


HEADER = '{"features.0.bias":{"dtype":"%s","shape":%s,"data_offsets":[0,%d]}}'


@pytest.mark.parametrize(
    "header",
    [
        "[" * 100_000,
        "{}" + " " * 100,
        HEADER % ("F32", "[64]", 1 << 62),
        HEADER % ("F32", "[4611686018427387904, 8]", 256),
        HEADER % ("F32", "[-64]", 256),
        HEADER % ("F99", "[64]", 256),
        HEADER % ("F32", "[64]", 256) * 2,
    ],
)
def test_odd_headers_of_safetensors_are_one_line(tmp_path: Path, header: str) -> None:
    path = tmp_path / "odd.safetensors"
    text = header.encode()
    for length in (len(text), 1 << 63, 1 << 40, 0):
        path.write_bytes(length.to_bytes(8, "little") + text + bytes(256))
        said = message(path)
        assert "not a readable .safetensors" in said or "no tensor features.0.weight" in said


@pytest.mark.parametrize(
    "bias",
    [
        torch.zeros(64).to_sparse(),
        torch.zeros(64, device="meta"),
        torch.zeros(64, dtype=torch.complex64),
        torch.zeros(64, dtype=torch.int32),
    ],
)
def test_tensors_of_other_kinds_are_refused(
    tmp_path: Path, oxford: weights.WeightSet, bias: torch.Tensor
) -> None:
    torch.save({**oxford.state, "features.0.bias": bias}, tmp_path / "a.pth")
    assert "features.0.bias is not made of plain floating-point" in message(tmp_path / "a.pth")


def test_an_index_takes_no_more_than_the_networks_room(tmp_path: Path) -> None:
    index, codebook = torch.zeros(64, dtype=torch.uint8), torch.zeros(1)
    for name, tensors, said in [
        ("deep", {"index": index, "codebook": torch.zeros(1, 1000)}, "expected an index of bytes"),
        (
            "signed",
            {"index": index.to(torch.int8) - 1, "codebook": codebook},
            "expected an index of bytes",
        ),
        ("long", {"index": index.repeat(1000), "codebook": codebook}, "has shape (64000,)"),
    ]:
        named = {f"features.0.bias.{key}": tensor for key, tensor in tensors.items()}
        save_file(
            {**named, "features.0.weight": torch.zeros(64, 3, 3, 3)},
            tmp_path / f"{name}.safetensors",
        )
        assert said in message(tmp_path / f"{name}.safetensors")


# --- torchvision's --------------------------------------------------------------------------------


DOWNLOAD = torch.hub.download_url_to_file


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return weights.cached_torchvision()


def test_offline_without_a_cache_is_one_clear_line(cache: Path) -> None:
    said = message("torchvision")
    assert "offline" in said
    assert "`weights=oxford`" in said
    assert str(cache.parent) in said


def test_what_is_downloaded_has_its_name_only_with_the_right_hash(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = cache.parent / "source" / cache.name
    source.parent.mkdir()
    source.write_bytes(b"something else")
    monkeypatch.setattr(torch.hub, "download_url_to_file", DOWNLOAD)
    monkeypatch.setattr(weights, "_url", source.as_uri)
    assert "cannot be downloaded" in message("torchvision")
    assert list(cache.parent.iterdir()) == [source.parent]
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    source = source.rename(source.with_name(f"vgg19-{digest[:8]}.pth"))
    monkeypatch.setattr(weights, "_url", source.as_uri)
    assert weights.download() == cache.with_name(source.name)
    assert weights.download().read_bytes() == b"something else"


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
    read = weights.load_weights("torchvision")
    assert (read.name, read.sha256) == ("torchvision", digest)
    assert torch.equal(read.state["features.28.bias"], oxford.state["features.28.bias"])


def test_a_planted_file_in_the_cache_runs_no_code(
    cache: Path, files: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = files / "ran"
    torch.save(trap(ran), cache)
    digest = hashlib.sha256(cache.read_bytes()).hexdigest()
    pictures = ("--style", "painting.png", "--patch", "cutout.png", "--at=5,5")
    for said in ("damaged; delete it and download again", "not a file of plain PyTorch tensors"):
        done = command("run", *pictures, "--output=out.png", "--weights=torchvision")
        assert (done.code, len(done.err.splitlines())) == (2, 1)
        assert said in done.err
        assert not ran.exists()
        monkeypatch.setattr(weights, "_hash_prefix", lambda _: digest[:8])  # 8 digits can be forged
    assert command("weights", "download").code == 0
    assert command("weights", "list").code == 0
    assert not ran.exists()
