import pytest
import torch

from harmonize.errors import DeviceError
from harmonize.synthesis.network.device import precision, resolve_device


def test_cpu_is_always_there() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("cuda", "mps", "best"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "cpu"), (False, False, "cpu")],
)
def test_auto_takes_the_best(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, best: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert resolve_device("auto").type == best


def test_a_device_asked_for_is_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(DeviceError, match="use `device=auto` or cpu"):
            resolve_device(name)


def test_only_the_gpus_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="finds 2 CUDA"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta", "cpu cpu"])
def test_what_is_no_device(name: str) -> None:
    with pytest.raises(DeviceError, match="expected auto, cpu, cuda, cuda:N or mps"):
        resolve_device(name)


def test_precision_asked_for_is_given() -> None:
    cpu = torch.device("cpu")
    assert precision("float32", cpu) == torch.float32
    assert precision("bfloat16", cpu) == torch.bfloat16


@pytest.mark.parametrize("fast", [True, False])
def test_auto_takes_bfloat16_only_where_it_is_fast(
    monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    expected = torch.bfloat16 if fast else torch.float32
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: fast, raising=False)
    assert precision("auto", torch.device("cpu")) == expected
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: fast)
    assert precision("auto", torch.device("cuda")) == expected
    assert precision("auto", torch.device("mps")) == torch.float32
