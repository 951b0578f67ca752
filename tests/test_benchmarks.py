"""The benchmarks' metrics on tiny pictures whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks import histogram, judge, measure, report, scaling, strokes
from benchmarks.cases import PAIRS, SAMPLES, find_cases, to_image, to_tensor
from benchmarks.sweep import KNOBS, directions
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.optimization.histogram import channel_histogram


def painting(h: int = 96, w: int = 112, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    lines = torch.sin((x + y) / 3 + torch.sin(y / 11)) * (0.6 + 0.4 * torch.cos(x / 17))
    shades = filters.gaussian(torch.rand(3, h, w, generator=generator), 2.0)
    return (0.5 + 0.25 * lines + (shades - 0.5)).clamp(0, 1)


def disc(h: int = 96, w: int = 112) -> Tensor:
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return (((y - h / 2) ** 2 + (x - w / 2) ** 2) < (h / 4) ** 2).float()


# --- content, speckle, seam -----------------------------------------------------------------------


def test_the_composite_keeps_all_its_content() -> None:
    image = painting()
    assert measure.content_kept(image, image, disc()) == pytest.approx(1)


def test_content_ignores_lightness_and_sees_inversion() -> None:
    image = painting() * 0.8
    assert measure.content_kept(image + 0.1, image, disc()) == pytest.approx(1, abs=1e-4)
    assert measure.content_kept(1 - image, image, disc()) == pytest.approx(-1, abs=1e-4)


def test_content_falls_as_noise_rises_and_only_inside_counts() -> None:
    image, mask = painting(), disc()
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    kept = [measure.content_kept(image + amount * noise, image, mask) for amount in (0, 0.1, 0.4)]
    assert kept[0] > kept[1] > kept[2]
    outside = image + 0.4 * noise * (1 - measure.ring(mask, -50, 12))
    assert measure.content_kept(outside, image, mask) == pytest.approx(1, abs=1e-3)


def test_speckle_is_one_for_the_painting_and_zero_for_gray() -> None:
    image = painting()
    assert measure.speckle(image, image, torch.ones_like(image[0])) == pytest.approx(1)
    assert measure.speckle(image.mean(0).expand_as(image), image, disc()) == pytest.approx(
        0, abs=1e-5
    )


def test_speckle_grows_with_colored_noise_not_with_gray() -> None:
    image, generator = painting(), torch.Generator().manual_seed(2)
    noise = torch.randn(image.shape, generator=generator) * 0.1
    plain = measure.speckle(image, image, disc())
    assert measure.speckle(image + noise, image, disc()) > 2 * plain
    assert measure.speckle(image + noise[:1], image, disc()) == pytest.approx(plain, rel=1e-3)


def test_color_peak() -> None:
    image = torch.full((3, 8, 8), 0.5)
    image[0, 4, 4] = 0.8
    mask = torch.zeros(8, 8)
    mask[:4] = 1
    assert measure.chroma_peak(image, mask) == 0
    assert measure.chroma_peak(image, 1 - mask) == pytest.approx(0.3)


def test_rings_count_pixels_from_the_contour() -> None:
    mask = torch.zeros(21, 21)
    mask[8:13, 8:13] = 1
    assert measure.ring(mask, 0, 1).sum() == 7**2 - 5**2
    assert measure.ring(mask, -1, 0).sum() == 5**2 - 3**2
    assert (measure.ring(mask, -2, 2) * measure.ring(mask, 2, 4)).sum() == 0


def test_a_cut_edge_is_a_seam_and_a_bright_rim_a_halo() -> None:
    image, mask = painting(), disc()
    bright = torch.where(mask > 0, image * 0.4 + 0.6, image * 0.4)
    assert measure.seam(bright, mask) > 1.5 * measure.seam(image, mask)
    rim = image + 0.5 * measure.ring(mask, -2, 2)
    assert measure.halo(rim, image, mask) > 2 * measure.halo(image, image, mask)
    flat = torch.full_like(image, 0.5)
    assert measure.halo(flat, image, mask) == pytest.approx(0, abs=1e-4)


# --- style ----------------------------------------------------------------------------------------


def test_moments_are_those_of_the_masked_values() -> None:
    features = torch.rand(4, 6, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(6, 5)
    mask[:3] = 1
    mean, deviation = measure.moments_of(features, mask)
    torch.testing.assert_close(mean, features[:, :3].mean((1, 2)))
    torch.testing.assert_close(deviation, features[:, :3].std((1, 2), correction=0))


def test_moment_distance_is_relative() -> None:
    wanted = (torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0]))
    assert measure.moment_distance(wanted, wanted) == 0
    twice = (2 * wanted[0], 2 * wanted[1])
    assert measure.moment_distance(twice, wanted) == pytest.approx(1)


def test_nearest_columns_by_cosine() -> None:
    reference = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    assert measure.nearest(3 * reference[:, order], reference, block=7).equal(order)


# --- strokes --------------------------------------------------------------------------------------


def test_the_paintings_own_places_are_at_one() -> None:
    image, mask = painting(), disc()
    assert strokes.stroke_scale(image, mask).typical(image, mask) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["blurred", "noise", "no strokes", "pale"])
def test_what_is_less_like_the_painting_scores_higher(kind: str) -> None:
    image, mask = painting(), disc()
    scale = strokes.stroke_scale(image, mask)
    found = [scale.typical(other, mask) for _, other in strokes.known_differences(image)[kind]]
    assert measure.rises(found)
    assert found[-1] > 1.5


def test_stripes_run_one_way_and_noise_none() -> None:
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    stripes = torch.sin((x + 2 * y) / 4)[None]
    noise = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    runs = [strokes.coherence(measure.gradient(plane, 1.0), 6.0) for plane in (stripes, noise)]
    assert runs[0].median() > 0.95
    assert runs[1].median() < 0.4


def test_windows_cover_the_picture_and_lose_nothing() -> None:
    mask = disc()
    moved = strokes.windows(mask, 3)
    assert len(moved) == 9
    assert {float(place.sum()) for place in moved} == {float(mask.sum())}
    assert moved[0][:2].any() and moved[-1][:, -2:].any()


def test_a_mask_with_no_room_is_shrunk_to_be_moved() -> None:
    mask = torch.ones(40, 60)
    mask[:, :2] = 0
    small = strokes.movable(mask)
    ys, xs = torch.nonzero(small > 0.5, as_tuple=True)
    assert ys.max() - ys.min() < 0.6 * 40 and xs.max() - xs.min() < 0.6 * 60
    assert small.sum() > 0.3 * mask.sum()
    assert strokes.movable(disc()).equal(disc())


def test_random_phases_keep_the_spectrum() -> None:
    image = painting()
    other = strokes.random_phases(image, torch.Generator().manual_seed(0))
    before, after = (torch.fft.rfft2(x)[:, 1:40, 1:40].abs() for x in (image, other))
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-2)


# --- order, inputs, tables ------------------------------------------------------------------------


def test_rising_and_falling() -> None:
    assert measure.rises([1, 1, 2]) and not measure.rises([1, 0.9, 2])
    assert measure.rises([1, 0.9, 2], slack=0.1 + 1e-9)
    assert measure.falls([2, 1, 1]) and not measure.falls([1, 2])


def test_in_how_many_cases_a_number_goes_one_way() -> None:
    def rows(case: str, *values: float) -> list[dict[str, Any]]:
        falling = dict(zip(KNOBS, (values, values[::-1]), strict=True))
        return [
            {"case": case, "over": knob, "content": value, "stroke": value}
            for knob, given in falling.items()
            for value in given
        ]

    right = [row for number in range(7) for row in rows(str(number), 3.0, 2.0, 2.004, 1.0)]
    all_but_one = directions([*right, *rows("odd", 3.0, 1.0, 2.0)])
    assert {row["does in"] for row in all_but_one} == {"7 of 8"}
    assert all(row["enough"] and row["not in"] == "odd" for row in all_but_one)
    assert not any(row["enough"] for row in directions(rows("odd", 3.0, 1.0, 2.0)))


def test_the_articles_formula_is_ours() -> None:
    assert histogram.difference(channels=3, n=200, bins=16) < 1e-6
    x, reference = histogram.tensors(2, 50)
    span = reference.aminmax(dim=1, keepdim=True)
    remapped = histogram.article(x, channel_histogram(reference, 8), span)
    assert remapped.shape == x.shape


def test_mirrored_copies_and_shares() -> None:
    image = to_image(painting(20, 30))
    grown = scaling.mirrored(image, 2, 1)
    assert grown.size == (60, 20)
    assert np.array_equal(np.asarray(grown)[:, 30:], np.asarray(image)[:, ::-1])
    cutout = Image.new("RGBA", (10, 10), (9, 9, 9, 255))
    padded, loose = scaling.element(cutout, 10)
    assert scaling.share(padded, image) == pytest.approx(100 / 600)
    assert np.asarray(loose).sum() > np.asarray(padded.getchannel("A")).sum()


def test_pictures_survive_the_way_to_tensors_and_back() -> None:
    image = to_image(painting())
    assert np.array_equal(np.asarray(to_image(to_tensor(image))), np.asarray(image))


def test_cases_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("10_painting.jpg", "10_composite.jpg", "10_mask.jpg", "10_published.png"):
        (tmp_path / name).touch()
    for name in ("9_painting.jpg", "9_composite.jpg", "9_mask.jpg"):
        (tmp_path / name).touch()
    first, second = find_cases(tmp_path)
    assert (first.name, second.name) == ("9", "10")
    assert first.published is None and second.published == tmp_path / "10_published.png"
    (tmp_path / "9_mask.jpg").unlink()
    with pytest.raises(SystemExit, match="case 9 has no mask"):
        find_cases(tmp_path)


def test_the_samples_are_there() -> None:
    for painting_file, cutout, _, _ in PAIRS.values():
        assert (SAMPLES / "paintings" / painting_file).exists()
        assert (SAMPLES / "cutouts" / cutout).exists()


def test_tables_medians_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from harmonize import Settings

    rows = [{"a": 1.0, "b": "x"}, {"a": 3.0, "c": True}, {"a": 2.0}]
    assert report.median(rows) == {"a": 2.0}
    assert report.table(rows).splitlines()[2:] == ["| 1 | x |  |", "| 3 |  | yes |", "| 2 |  |  |"]
    report.publish(tmp_path, "name", Settings.preset(), {"Title": rows}, "note")
    data = json.loads((tmp_path / "name.json").read_text())
    assert data["tables"]["Title"] == rows
    assert {"cpu", "cores", "threads", "torch", "precision"} <= set(data["machine"])
    assert "**Title**" in capsys.readouterr().out
    report.sheet(tmp_path / "sheet.png", [[("one", to_image(painting()))] * 2])
    with Image.open(tmp_path / "sheet.png") as board:
        assert board.width > 2 * 112


# --- judging --------------------------------------------------------------------------------------


def test_a_tally_counts_places_wins_and_rejections() -> None:
    key = {"1": {"A": "ours", "B": "theirs"}, "2": {"A": "theirs", "B": "ours"}}
    rankings = [
        {"1": {"order": "AB"}, "2": {"order": "BA", "unacceptable": "A"}},
        {"1": {"order": "BA"}, "2": {"order": "BA"}},
    ]
    found = judge.tally(key, rankings)
    assert found["ours"]["place"] == pytest.approx(1.25)
    assert found["ours"]["over"] == {"theirs": 0.75}
    assert found["theirs"]["unacceptable"] == 1
    with pytest.raises(ValueError, match="no order of AB"):
        judge.tally(key, [{"1": {"order": "A"}}])


def test_sheets_hide_who_is_who_and_the_key_tells(tmp_path: Path) -> None:
    for name, color in (("one", "red"), ("two", "blue")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (1103, 874), color).save(tmp_path / name / "duck.png")
    folders = {name: tmp_path / name for name in ("one", "two")}
    judge.sheets(tmp_path / "out", None, 3, folders)
    key = json.loads((tmp_path / "out" / "key.json").read_text())["cases"]
    assert sorted(key) == ["duck"]
    assert sorted(key["duck"].values()) == ["one", "two"]
    board = np.asarray(Image.open(tmp_path / "out" / "duck.png"))
    reds = np.flatnonzero((board == (255, 0, 0)).all(2).any(0))
    blues = np.flatnonzero((board == (0, 0, 255)).all(2).any(0))
    red_first = reds.min() < blues.min()
    assert (key["duck"]["A"] == "one") == red_first
