from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harmonize.synthesis.network import weights
from harmonize.synthesis.network.vgg19 import LAYOUT, STRIDE, VGG19, carry_mask

TAPS = tuple(STRIDE)
# ImageNet's colors, as torchvision publishes them with its weights.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return dict(weights.load_weights("oxford").state)


def picture(h: int, w: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(seed))


def torchvisions(state: dict[str, Tensor]) -> nn.Sequential:
    """Return torchvision's layers up to conv5_1 and its ReLU."""
    layers: list[nn.Module] = []
    before = 3
    for channels in [64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512]:
        if channels == 0:
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
        before = channels
    network = nn.Sequential(*layers)
    network.load_state_dict({k.removeprefix("features."): v for k, v in state.items()})
    return network


def test_taps_are_named_in_torchvisions_order() -> None:
    assert TAPS == (
        "relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu3_4",
        "relu4_1", "relu4_2", "relu4_3", "relu4_4", "relu5_1",
    )  # fmt: skip
    places = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28]
    assert [layer.name for layer in LAYOUT] == [f"features.{i}" for i in places]


@pytest.mark.parametrize("shape", [(32, 48), (33, 47), (16, 16)])
def test_shapes_and_strides(state: dict[str, Tensor], shape: tuple[int, int]) -> None:
    found = VGG19(state)(picture(*shape), TAPS)
    masks = carry_mask(torch.ones(shape), TAPS)
    channels = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
    strides = {"1": 1, "2": 2, "3": 4, "4": 8, "5": 16}
    assert list(found) == list(TAPS)
    for tap, values in found.items():
        stride = strides[tap[4]]
        assert STRIDE[tap] == stride
        assert values.shape == (channels[tap[4]], shape[0] // stride, shape[1] // stride)
        assert masks[tap].shape == values.shape[1:]
        assert values.dtype == torch.float32
        assert (values >= 0).all()
        assert (values > 0).any()


@pytest.mark.parametrize("shape", [(32, 48), (37, 35)])
def test_with_zeros_it_is_the_plain_network(
    state: dict[str, Tensor], shape: tuple[int, int]
) -> None:
    image = picture(*shape)
    x = (image - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    x = x.double()
    found = VGG19(state, padding="zeros", precision=torch.float64)(image, TAPS)
    taps = iter(TAPS)
    with torch.no_grad():
        for layer in torchvisions(state).double():
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                tap = next(taps)
                torch.testing.assert_close(found[tap], x[0].float(), rtol=1e-5, atol=1e-4)
    assert next(taps, None) is None


def test_a_tap_alone_is_the_same(state: dict[str, Tensor]) -> None:
    network, image = VGG19(state), picture(32, 32)
    every = network(image, TAPS)
    for tap in ("relu1_1", "relu3_3", "relu4_1"):
        assert torch.equal(network(image, [tap])[tap], every[tap])


def test_padding_matters_at_the_border_only(state: dict[str, Tensor]) -> None:
    image = picture(48, 48)
    taps = ("relu1_1", "relu2_2", "relu3_1")
    replicate, zeros = (
        VGG19(state, padding=padding, precision=torch.float64)(image, taps)
        for padding in ("replicate", "zeros")
    )
    for tap, border in zip(taps, (1, 3, 4), strict=True):  # cells that see beyond the picture
        a, b = replicate[tap], zeros[tap]
        inside = slice(border, -border)
        torch.testing.assert_close(a[:, inside, inside], b[:, inside, inside])
        assert not torch.allclose(a[:, 0], b[:, 0])


def test_a_constant_picture_has_no_border_when_replicated(state: dict[str, Tensor]) -> None:
    image = torch.tensor([0.8, 0.4, 0.3]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    for tap, values in VGG19(state)(image, TAPS).items():
        corner = values[:, :1, :1].expand_as(values)
        torch.testing.assert_close(values, corner, rtol=1e-4, atol=1e-2, msg=tap)
    zeros = VGG19(state, padding="zeros")(image, ["relu1_1"])["relu1_1"]
    assert not torch.allclose(zeros[:, 0, 0], zeros[:, 16, 16])


def test_a_window_on_the_grid_has_the_wholes_activations(state: dict[str, Tensor]) -> None:
    wide = picture(64, 96)
    network = VGG19(state, precision=torch.float64)
    whole = network(wide, ["relu3_1"])["relu3_1"]
    window = network(wide[..., 16:80], ["relu3_1"])["relu3_1"]
    torch.testing.assert_close(window[:, 4:-4, 4:-4], whole[:, 4:-4, 8:-8])


def test_bfloat16_is_close(state: dict[str, Tensor]) -> None:
    image = picture(32, 32)
    full = VGG19(state)(image, TAPS)
    half = VGG19(state, precision=torch.bfloat16)(image, TAPS)
    for tap in TAPS:
        assert half[tap].dtype == torch.float32
        error = (half[tap] - full[tap]).norm() / full[tap].norm()
        assert 0 < error < 0.03, tap


def test_gradients_reach_the_picture_and_not_the_weights(state: dict[str, Tensor]) -> None:
    image = picture(32, 32).requires_grad_()
    found = VGG19(state)(image, ["relu1_1", "relu5_1"])
    for tap in found:
        (gradient,) = torch.autograd.grad(found[tap].sum(), image, retain_graph=True)
        assert torch.isfinite(gradient).all()
        assert (gradient != 0).float().mean() > 0.9
    assert not any(tensor.requires_grad for tensor in state.values())


def test_the_gradient_is_the_slope(state: dict[str, Tensor]) -> None:
    network, image = VGG19(state), picture(32, 32).requires_grad_()
    value = network(image, ["relu2_1"])["relu2_1"].square().mean()
    (gradient,) = torch.autograd.grad(value, image)
    with torch.no_grad():
        ahead, behind = (
            network(image + step * gradient / gradient.norm(), ["relu2_1"])["relu2_1"]
            for step in (1e-2, -1e-2)
        )
    slope = float(ahead.square().mean() - behind.square().mean()) / 2e-2
    assert slope == pytest.approx(float(gradient.norm()), rel=0.01)


# --- masks ----------------------------------------------------------------------------------------


def naive_mean(mask: Tensor) -> Tensor:
    h, w = mask.shape
    result = torch.zeros_like(mask)
    for y in range(h):
        for x in range(w):
            around = [
                float(mask[a, b])
                for a in (y - 1, y, y + 1)
                for b in (x - 1, x, x + 1)
                if 0 <= a < h and 0 <= b < w
            ]
            result[y, x] = sum(around) / len(around)
    return result


def naive_half(mask: Tensor) -> Tensor:
    h, w = mask.shape[0] // 2, mask.shape[1] // 2
    return torch.stack([torch.stack([mask[2*y:2*y+2, 2*x:2*x+2].mean() for x in range(w)])
                        for y in range(h)])  # fmt: skip


def test_masks_travel_as_activations_do() -> None:
    mask = (picture(21, 18)[0, 0] > 0.7).double()
    found = carry_mask(mask, TAPS)
    expected = mask
    for block, count in enumerate((2, 2, 4, 4, 1), start=1):
        if block > 1:
            expected = naive_half(expected)
        for number in range(1, count + 1):
            expected = naive_mean(expected)
            torch.testing.assert_close(found[f"relu{block}_{number}"], expected)


def test_a_mask_by_hand() -> None:
    mask = torch.zeros(4, 4)
    mask[0, 0] = 1
    found = carry_mask(mask, ["relu1_1", "relu2_1"])
    ninths = torch.tensor([1 / 4, 1 / 6, 1 / 6, 1 / 9])
    assert torch.allclose(found["relu1_1"][:2, :2].flatten(), ninths)
    assert found["relu1_1"].sum() == pytest.approx(float(ninths.sum()))
    assert found["relu2_1"].shape == (2, 2)


def test_all_ones_stay_ones_and_all_zeros_zeros() -> None:
    for tap, values in carry_mask(torch.ones(35, 50), TAPS).items():
        assert torch.allclose(values, torch.ones_like(values)), tap
    assert all((values == 0).all() for values in carry_mask(torch.zeros(35, 50), TAPS).values())


def test_masks_stay_between_zero_and_one_and_in_reach() -> None:
    mask = torch.zeros(128, 128)
    mask[60:68, 60:68] = 1
    first, last = 60, 68
    found = carry_mask(mask, TAPS)
    for layer in LAYOUT:
        if layer.pool_before:
            first, last = first // 2, -(-last // 2)
        first, last = first - 1, last + 1
        values = found[layer.tap]
        assert 0 <= values.min() <= values.max() <= 1 + 1e-6
        inside = torch.zeros_like(values, dtype=torch.bool)
        inside[max(first, 0) : last, max(first, 0) : last] = True
        assert torch.equal(values > 0, inside), layer.tap
