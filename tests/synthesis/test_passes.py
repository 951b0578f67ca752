from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.errors import ConfigError
from harmonize.settings import load as config
from harmonize.settings.goals import HistogramGoal, ResolvedPass
from harmonize.settings.resolve import resolve_settings
from harmonize.synthesis import passes
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching.layer_matches import Match, Site, gather, match_layers, sites
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network.vgg19 import STRIDE, VGG19, carry_mask
from harmonize.synthesis.optimization import objective
from harmonize.synthesis.optimization.histogram import rank_table, remap
from harmonize.synthesis.optimization.losses import gram, masked_mse
from harmonize.synthesis.optimization.objective import PassObjective
from harmonize.synthesis.passes import build_objective, taps_of

SHAPE = (32, 48)

# Every term, at shallow taps: quick. What the presets choose does not matter here.
TERMS = """
      content: {weight: 0.5, taps: [relu2_1], target: composite}
      style: {weight: 1.0, taps: [relu1_1, relu2_1]}
      histogram: {weight: 5.0, taps: [relu1_1, relu2_1], bins: 256}
      tv: {weight: 1.0}
"""
FIELDS = {
    "coarse": "{kind: nearest, taps: [relu1_1, relu2_1], guide_luma: 0.0, guide_chroma: 0.0}",
    "refine": "{kind: coherent, taps: [relu2_1], guide_luma: 8.0, guide_chroma: 16.0}",
}
YAML = "passes:\n" + "".join(
    f"  {name}:\n    balance: loss\n    refresh: 1\n    field: {field}\n    terms:{TERMS}"
    for name, field in FIELDS.items()
)
ON = {"content", "style", "histogram", "tv"}
by_pass = pytest.mark.parametrize("name", FIELDS)


def picture(seed: int, h: int = SHAPE[0], w: int = SHAPE[1]) -> Tensor:
    """Return soft blots with some grain."""
    generator = torch.Generator().manual_seed(seed)
    blots = F.interpolate(torch.rand(1, 3, 6, 8, generator=generator), (h, w), mode="bilinear")[0]
    return 0.1 + 0.7 * blots + 0.1 * torch.rand(3, h, w, generator=generator)


def box() -> Tensor:
    mask = torch.zeros(SHAPE)
    mask[10:22, 14:34] = 1
    mask[9, 14:34] = 0.5
    return mask


def settings(
    name: str = "refine", *overrides: str, level: float = 5.0, keep: float = 1.0
) -> ResolvedPass:
    tree = config.loads(YAML).model_dump(mode="json")
    # Half way, where passes from the composite and from the underpainting are both there.
    asked = [f"keep={keep}", "underpainting.lead=0.5"]
    found = config.restore_settings(
        tree, [*asked, *(f"passes.{name}.{text}" for text in overrides)]
    )
    passes = resolve_settings(found, level).passes
    return next(item for item in passes if item.name == name)


def study(network: VGG19, image: Tensor, taps: Sequence[str]) -> PaintingFeatures:
    study = PaintingFeatures(Raster.of(image), network, 1024)
    return replace(study, seen=study.look(taps))


def assemble(
    network: VGG19,
    chosen: ResolvedPass,
    *,
    painting: Tensor | None = None,
    start: Tensor | None = None,
    mask: Tensor | None = None,
) -> PassObjective:
    painting = picture(0) if painting is None else painting
    mask = box() if mask is None else mask
    composite = torch.lerp(painting, picture(1), mask) if start is None else start
    studied = study(network, painting, taps_of(chosen))
    matched, masked = passes.match_pass(
        chosen, network, image=composite, painting=studied, frame=painting, mask=mask
    )
    return build_objective(
        chosen,
        masked,
        matched=matched,
        kept=composite,
        painting=studied.painting,
        frame=painting,
        mask=mask,
        smoothness=2.0,
    )


def values(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in terms.items()}


# --- the objective of a pass ----------------------------------------------------------------------


@by_pass
def test_every_term_that_is_on_is_there(network: VGG19, name: str) -> None:
    found = assemble(network, settings(name))(picture(2))
    assert set(found) == ON
    assert all(value.ndim == 0 and 1e-4 < value < 1e4 for value in found.values())


@pytest.mark.parametrize("off", sorted(ON))
def test_a_term_that_is_off_or_weighs_nothing_is_not(network: VGG19, off: str) -> None:
    without = assemble(network, settings("coarse", f"terms.{off}=null"))(picture(2))
    assert set(without) == ON - {off}
    weightless = assemble(network, settings("coarse", f"terms.{off}.weight=0"))(picture(2))
    assert values(weightless) == pytest.approx(values(without))


@pytest.mark.parametrize("term", sorted(ON))
def test_a_terms_weight_multiplies_it(network: VGG19, term: str) -> None:
    one, three = (
        values(assemble(network, settings("coarse", f"terms.{term}.weight={weight}"))(picture(2)))
        for weight in ("1.0", "{1: 0.0, 5: 3.0}")
    )
    assert three.pop(term) == pytest.approx(3 * one.pop(term))
    assert three == pytest.approx(one)


def test_keep_multiplies_the_content_and_divides_the_paint(network: VGG19) -> None:
    one = values(assemble(network, settings("coarse"))(picture(2)))
    four = values(assemble(network, settings("coarse", keep=4.0))(picture(2)))
    assert four["content"] == pytest.approx(4 * one["content"])
    for name in {"style", "histogram"} & set(one):
        assert four[name] == pytest.approx(one[name] / 4)
    assert set(one) - {"content"}


@pytest.mark.parametrize("balance", ["loss", "gradient"])
@by_pass
def test_the_image_outside_the_mask_does_not_count(network: VGG19, name: str, balance: str) -> None:
    mask = box()
    chosen = settings(name, f"balance={balance}")
    image = picture(2)
    other = torch.where(mask > 0, image, picture(3))
    same = [assemble(network, chosen)(x) for x in (image, other)]
    assert values(same[0]) == values(same[1])
    leaf = image.clone().requires_grad_()
    torch.stack(list(assemble(network, chosen)(leaf).values())).sum().backward()
    assert (leaf.grad[:, mask == 0] == 0).all()
    assert (leaf.grad[:, mask == 1] != 0).float().mean() > 0.99


def test_the_painting_shows_where_the_mask_is_zero(network: VGG19) -> None:
    chosen = settings("coarse")
    found = values(assemble(network, chosen)(picture(2)))
    made = assemble(network, chosen)
    shown = torch.lerp(picture(0), picture(2), box())
    where, features = sites(box(), taps_of(chosen)), network(shown[None], taps_of(chosen))
    expected = dict.fromkeys(found, 0.0)
    for term in made.terms:
        seen = shown if term.tap is None else gather(features[term.tap], where[term.tap])
        expected[term.name] += term.weight * float(term.loss(seen))
    assert found == pytest.approx(expected, rel=1e-4)


def test_content_is_zero_at_its_target(network: VGG19) -> None:
    painting, mask = picture(0), box()
    # Not the soft edge's own start: there the painting shows through.
    start = torch.where(mask == 1, picture(1), painting)
    made = assemble(network, settings("coarse"), start=start)
    assert float(made(start)["content"]) < 1e-8
    assert float(made(picture(2))["content"]) > 1e-2


@by_pass
def test_a_painting_pasted_on_itself_is_at_rest(network: VGG19, name: str) -> None:
    painting = picture(0)
    made = assemble(
        network,
        settings(name, "terms.histogram.bins=65536"),
        start=painting,
        mask=torch.ones(SHAPE),
    )
    found, elsewhere = values(made(painting)), values(made(picture(2)))
    for term in ("content", "style", "histogram"):
        assert found[term] < 1e-6 < 1e-2 < elsewhere[term], term


def test_a_step_down_the_gradient_lowers_the_sum(network: VGG19) -> None:
    made = assemble(network, settings("refine", "refresh=100"))
    image = picture(1).requires_grad_()
    before = torch.stack(list(made(image).values())).sum()
    (gradient,) = torch.autograd.grad(before, image)
    lower = made((image - 0.05 * gradient / gradient.norm()).detach())
    assert sum(values(lower).values()) < float(before.detach())


def test_unit_gradients_have_the_weights_norms() -> None:
    mask, frame = torch.ones(SHAPE), picture(0)
    image = picture(1).requires_grad_()
    for weight in (0.1, 7.0):
        term = objective.variation_term(weight, Raster.of(frame), mask)
        made = PassObjective(None, [term], frame, mask, unit_gradients=True)  # type: ignore[arg-type]
        (found,) = torch.autograd.grad(made(image)["tv"], image)
        assert float(found.norm()) == pytest.approx(weight, rel=1e-5)


def test_taps_are_those_in_use_shallow_first() -> None:
    chosen = settings(
        "coarse",
        "field.taps=[relu5_1]",
        "terms.content=null",
        "terms.style.taps=[relu3_1, relu1_1]",
        "terms.histogram.taps=[relu3_1, relu2_2]",
    )
    assert taps_of(chosen) == ("relu1_1", "relu2_2", "relu3_1", "relu5_1")


# --- one term at a time ---------------------------------------------------------------------------


def small(scale: float = 1.0, n: int = 20) -> tuple[Match, Tensor]:
    """Return a match with repeats to made-up activations, and these."""
    generator = torch.Generator().manual_seed(0)
    features = scale * torch.rand(6, 5, 7, generator=generator, dtype=torch.float64)
    mask = 0.25 + 0.75 * torch.rand(n, generator=generator, dtype=torch.float64)
    field = torch.randint(35 // 3, (n,), generator=generator)
    places, uses = torch.unique(field, return_inverse=True)
    tap, flat = "relu1_1", features.flatten(1)
    site = Site(torch.arange(n), mask, (4, 5))
    image, seen = torch.rand(3, 4, 5), {tap: features}
    match = Match(image, seen, {tap: site}, {tap: field}, {tap: flat[:, places]}, {tap: uses})
    return match, flat


def histogram() -> HistogramGoal:
    goal = settings("coarse", "terms.histogram.taps=[relu1_1]").goals.histogram
    assert goal is not None
    return goal


def outputs(seed: int, n: int = 20) -> Tensor:
    return torch.rand(6, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("refresh", [1, 3])
def test_the_remapped_activations_are_renewed_every_so_many_calls(refresh: int) -> None:
    matched, flat = small()
    chosen = histogram()
    (term,) = objective.histogram_terms(chosen, 1.0, matched, refresh)
    reference = flat[:, matched.fields["relu1_1"].unique()]
    table = rank_table(reference, 20)
    power = reference.square().mean()
    for call in range(7):
        x, last_renewed = outputs(call), outputs(call - call % refresh)
        mask = matched.where["relu1_1"].mask
        expected = masked_mse(x, remap(last_renewed, table), mask) / power
        torch.testing.assert_close(term.loss(x), expected)


def test_dedupe_counts_each_place_once() -> None:
    matched, flat = small()
    field, mask = matched.fields["relu1_1"], matched.where["relu1_1"].mask
    x = outputs(1)
    found = {}
    for dedupe in (False, True):
        (term,) = objective.style_terms(["relu1_1"], 1.0, matched, dedupe)
        found[dedupe] = float(term.loss(x))
    assert len(field.unique()) < len(field)
    once = flat[:, field.unique()]
    targets = {True: once @ once.T / once.shape[1], False: gram(flat[:, field], mask)}
    for dedupe, target in targets.items():
        expected = (gram(x, mask) - target).square().mean() / target.square().mean()
        assert found[dedupe] == pytest.approx(float(expected))
    assert found[True] != pytest.approx(found[False])


@pytest.mark.parametrize("kind", ["content", "style", "histogram"])
def test_a_terms_value_does_not_depend_on_the_networks_scale(kind: str) -> None:
    def value(scale: float) -> float:
        matched, flat = small(scale)
        if kind == "content":
            made = objective.content_terms(
                ["relu1_1"], 1.0, {"relu1_1": flat[:, :20]}, matched.where
            )
        elif kind == "style":
            made = objective.style_terms(["relu1_1"], 1.0, matched, True)
        else:
            chosen = histogram()
            made = objective.histogram_terms(chosen, 1.0, matched, 1)
        return float(made[0].loss(scale * outputs(1)))

    assert value(37.0) == pytest.approx(value(1.0), rel=1e-6)
    assert value(1.0) > 0


def test_variation_is_relative_to_the_paintings() -> None:
    image = picture(4)
    term = objective.variation_term(2.0, Raster.of(image), torch.ones(SHAPE))
    assert float(term.loss(image)) == pytest.approx(1.0)
    assert float(term.loss(0.5 * image)) == pytest.approx(0.25)


# --- where, and from where ------------------------------------------------------------------------


def test_sites_are_the_masked_cells_of_each_grid() -> None:
    taps = ("relu1_1", "relu3_1", "relu4_1")
    carried = carry_mask(box(), taps)
    for tap, site in sites(box(), taps).items():
        whole = torch.zeros(carried[tap].numel())
        whole[site.positions] = site.mask
        assert torch.equal(whole.view(carried[tap].shape), carried[tap])
        assert (site.mask > 0).all()
        assert tuple(site.shape) == tuple(side // STRIDE[tap] for side in SHAPE)


def test_gather_picks_the_sites_positions() -> None:
    features = torch.rand(7, 4, 5)
    site = Site(torch.tensor([19, 0, 7]), torch.ones(3), (4, 5))
    assert torch.equal(gather(features, site), features.flatten(1)[:, [19, 0, 7]])


@by_pass
def test_the_painting_is_matched_to_itself(network: VGG19, name: str) -> None:
    chosen = settings(name)
    painting = study(network, picture(0), taps_of(chosen))
    where = sites(box(), taps_of(chosen))
    fields = match_layers(
        chosen.matching,
        picture(0),
        painting.seen,
        painting,
        where,
        taps_of(chosen),
    ).fields
    assert set(fields) == set(taps_of(chosen))
    for tap, field in fields.items():
        assert torch.equal(field, where[tap].positions), tap


def test_a_coherent_field_is_one_field_on_all_grids(network: VGG19) -> None:
    chosen = settings("refine", "field.kind=coherent", "field.taps=[relu4_1]")
    taps = ("relu1_1", "relu3_1", "relu4_1")
    painting = study(network, picture(0, 48, 64), taps)
    image = picture(1)
    where = sites(box(), taps)
    fields = match_layers(
        chosen.matching, image, study(network, image, taps).seen, painting, where, taps
    ).fields
    width, wide = SHAPE[1], 64
    coarse = dict(zip(where["relu4_1"].positions.tolist(), fields["relu4_1"].tolist(), strict=True))
    checked = 0
    for q, there in zip(
        where["relu1_1"].positions.tolist(), fields["relu1_1"].tolist(), strict=True
    ):
        y, x = divmod(q, width)
        parent = coarse.get(y // 8 * (width // 8) + x // 8)
        if parent is None:
            continue
        big_y, big_x = divmod(parent, wide // 8)
        assert divmod(there, wide) == (8 * big_y + y % 8, 8 * big_x + x % 8)
        checked += 1
    assert checked > 200


@pytest.mark.parametrize("tap", ["relu4_2", "relu3_2", "relu1_2"])
def test_a_tap_without_a_field_borrows_one_of_a_grid_as_fine_or_coarser(
    network: VGG19, tap: str
) -> None:
    chosen = settings("refine", "field.taps=[relu4_1]")
    taps = (tap, "relu4_1")
    painting = study(network, picture(0), taps)
    where = sites(box(), taps)
    matched = match_layers(chosen.matching, picture(0), painting.seen, painting, where, taps)
    fields = matched.fields
    assert torch.equal(fields[tap], where[tap].positions)


def test_a_field_finer_than_the_taps_that_need_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="relu4_1"):
        settings("refine", "field.taps=[relu3_1]", "terms.style.taps=[relu4_1]")
