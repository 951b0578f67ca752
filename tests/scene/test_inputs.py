from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import disc, strokes
from PIL import Image, ImageCms

from harmonize.errors import InputError
from harmonize.scene.placement import Placement
from harmonize.scene.scene import Scene, load_scene

PAINTING, PATCH, MASK = strokes(96, 80), strokes(96, 80, seed=1), disc(96, 80)
CUTOUT = np.dstack([strokes(40, 32, seed=2), disc(40, 32)])


def whole(**place: Any) -> Placement:
    """A placement that counts the transparent margin."""
    return Placement(box="whole", **place)


def message(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_scene(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def swapped_profile() -> bytes:
    """A profile that swaps red and green."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


# --- aligned patches ------------------------------------------------------------------------------


def test_an_aligned_patch_shows_inside_its_mask_only() -> None:
    scene = load_scene(PAINTING, PATCH, MASK)
    inside = MASK > 0
    assert (scene.composite[inside] == PATCH[inside]).all()
    assert (scene.composite[~inside] == PAINTING[~inside]).all()
    assert (scene.painting == PAINTING).all()
    assert (scene.tight == MASK).all()
    assert scene.tight.dtype == np.uint8
    assert (scene.loose[inside] == 255).all()
    assert 0 < (scene.loose == 0).sum() < scene.loose.size


def test_paths_images_and_arrays_are_the_same_scene(files: Path) -> None:
    names = ("painting.png", "patch.png", "mask.png")
    by_path = load_scene(*names)
    by_image = load_scene(*(Image.open(name) for name in names))
    by_array = load_scene(*(np.asarray(Image.open(name)) for name in names))
    by_float = load_scene(*(np.asarray(Image.open(name)) / 255 for name in names))
    for scene in (by_image, by_array, by_float):
        assert (scene.composite == by_path.composite).all()
        assert (scene.tight == by_path.tight).all()


def test_files_are_known_by_path_and_hash(files: Path) -> None:
    scene = load_scene("painting.png", Path("patch.png"), "mask.png")
    assert scene.hashes == {
        role: hashlib.sha256((files / f"{name}.png").read_bytes()).hexdigest()
        for role, name in (("painting", "painting"), ("element", "patch"), ("mask", "mask"))
    }
    assert scene.paths["element"] == os.path.abspath("patch.png")
    assert load_scene(PAINTING, PATCH, MASK).paths["element"] is None
    assert load_scene(PAINTING, PATCH, MASK).hashes["mask"] != scene.hashes["mask"]


def test_compression_noise_in_a_mask_goes_and_a_soft_edge_stays() -> None:
    noisy = np.where(MASK > 0, 225, 30).astype(np.uint8)
    noisy[0, 0] = 128
    scene = load_scene(PAINTING, PATCH, noisy)
    noisy[0, 0] = 0
    assert set(np.unique(scene.tight[noisy == 30])) == {0}
    assert set(np.unique(scene.tight[noisy == 225])) == {255}
    assert 126 <= scene.tight[0, 0] <= 130


def test_a_soft_mask_stays_soft_and_a_jpegs_noise_goes() -> None:
    ramp = np.linspace(0, 255, 96).round().astype(np.uint8)[None].repeat(80, 0)
    tight = load_scene(PAINTING, PATCH, ramp).tight[0].astype(int)
    assert set(tight[ramp[0] <= 32]) == {0}
    assert set(tight[ramp[0] >= 223]) == {255}
    between = (ramp[0] > 32) & (ramp[0] < 223)
    assert np.abs(tight[between] - (ramp[0][between] - 32.0) * 255 / 191).max() <= 0.5
    data = io.BytesIO()
    Image.fromarray(MASK).save(data, "JPEG", quality=60)
    lossy = load_scene(PAINTING, PATCH, Image.open(data)).tight
    far = np.ones_like(MASK, bool)  # from the edge
    for axis in (0, 1):
        for shift in (-8, 8):
            far &= np.roll(MASK, shift, axis) == MASK
    assert (lossy[far] == MASK[far]).all()


def test_a_faint_mask_counts_and_an_inverted_one_is_told() -> None:
    faint = load_scene(PAINTING, PATCH, MASK // 4)
    assert 0 < faint.tight.max() < 64
    assert faint.warnings == ()
    (said,) = load_scene(PAINTING, PATCH, 255 - MASK).warnings
    assert said.startswith("mask: white at the border and black in the middle")
    most = np.full_like(MASK, 255)
    most[:4] = 0
    assert load_scene(PAINTING, PATCH, most).warnings == ()


def test_the_depths_of_patch_and_mask_may_be_others() -> None:
    expected = load_scene(PAINTING, PATCH, MASK)
    patch, mask = PATCH.astype(np.uint16) * 257, MASK.astype(np.uint16) * 257
    for scene in (
        load_scene(PAINTING, patch, MASK),
        load_scene(PAINTING, PATCH, mask),
        load_scene(PAINTING, np.dstack([patch, mask])),
        load_scene(PAINTING, Image.fromarray(PATCH), Image.fromarray(mask)),
    ):
        assert (scene.composite == expected.composite).all()
        assert (scene.tight == expected.tight).all()


def test_only_what_shows_of_a_large_patch_is_resized() -> None:
    full = load_scene(
        np.zeros((400, 400, 3), np.uint8), CUTOUT, placement=whole(at=(0, 0), width=380)
    )
    part = load_scene(
        np.zeros((80, 100, 3), np.uint8), CUTOUT, placement=whole(at=(-60, -50), width=380)
    )
    assert np.abs(full.tight[50:130, 60:160].astype(int) - part.tight).max() <= 1
    shown = full.composite[50:130, 60:160].astype(int)
    assert np.abs(shown - part.composite).max() <= 1


def test_alpha_stands_for_the_mask_and_a_given_one_wins() -> None:
    rgba = np.dstack([PATCH, MASK])
    assert (load_scene(PAINTING, rgba).tight == MASK).all()
    soft = np.where(MASK > 0, 128, 0).astype(np.uint8)
    same = load_scene(PAINTING, np.dstack([PATCH, soft]), soft)
    assert (same.tight == load_scene(PAINTING, PATCH, soft).tight).all()  # not multiplied
    left = np.where(np.arange(96) < 48, 255, 0).astype(np.uint8)[None].repeat(80, 0)
    both = load_scene(PAINTING, rgba, left)
    assert (both.tight == left).all()
    assert any("hidden there" in note for note in both.warnings)


def test_the_loose_mask_is_never_smaller_than_the_tight_one() -> None:
    loose = np.zeros_like(MASK)
    loose[:40] = 255
    scene = load_scene(PAINTING, PATCH, MASK, loose_mask=loose)
    assert (scene.loose == np.maximum(loose, MASK)).all()
    faint = load_scene(PAINTING, PATCH, MASK // 4, loose_mask=loose)
    assert (faint.loose == scene.loose).all()  # else nothing of the element might change


# --- placed patches -------------------------------------------------------------------------------


def box(scene: Scene) -> tuple[int, int, int, int]:
    found = Image.fromarray((scene.tight > 127).astype(np.uint8)).getbbox()
    assert found is not None
    return found


def test_a_placed_patch_lies_where_it_was_asked_for() -> None:
    scene = load_scene(PAINTING, CUTOUT, placement=whole(at=(10, 20)))
    cut = np.s_[20:52, 10:50]
    assert (scene.tight[cut] == CUTOUT[..., 3]).all()
    assert (scene.tight > 0).sum() == (CUTOUT[..., 3] > 0).sum()
    inside = CUTOUT[..., 3] > 0
    assert (scene.composite[cut][inside] == CUTOUT[inside][:, :3]).all()


def test_width_and_scale_say_the_same() -> None:
    by_width = load_scene(PAINTING, CUTOUT, placement=whole(at=(10, 20), width=60))
    by_scale = load_scene(PAINTING, CUTOUT, placement=whole(at=(10, 20), scale=1.5))
    assert (by_width.composite == by_scale.composite).all()
    left, top, right, bottom = box(by_width)
    assert abs((right - left) / (bottom - top) - 40 / 32) < 0.1
    assert ((by_width.tight > 0) & (by_width.tight < 255)).any()


def test_what_is_hidden_under_alpha_does_not_bleed_into_a_resized_patch() -> None:
    cutout = CUTOUT.copy()
    cutout[cutout[..., 3] == 0] = (255, 0, 255, 0)
    cutout[cutout[..., 3] > 0, :3] = 100
    gray = np.full_like(PAINTING, 100)
    scene = load_scene(gray, cutout, placement=whole(at=(5, 5), width=77))
    assert np.abs(scene.composite.astype(int) - 100).max() <= 1


def test_a_patch_may_hang_over_the_edge() -> None:
    full = load_scene(PAINTING, CUTOUT, placement=whole(at=(10, 20))).tight
    cut = load_scene(PAINTING, CUTOUT, placement=whole(at=(-15, 70))).tight
    assert (cut[70:, :25] == full[20:30, 25:50]).all()
    assert cut.sum() == cut[70:, :25].sum() > 0


def test_a_loose_mask_is_placed_with_its_patch_or_is_the_paintings() -> None:
    loose = np.full((32, 40), 255, np.uint8)
    placed = load_scene(PAINTING, CUTOUT, loose_mask=loose, placement=whole(at=(10, 20))).loose
    assert placed.sum() == placed[20:52, 10:50].sum() == 32 * 40 * 255
    full = load_scene(PAINTING, CUTOUT, loose_mask=MASK, placement=whole(at=(10, 20))).loose
    assert (full >= MASK).all()


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        ({"at": (96, 0)}, "lies outside the painting of 96 x 80; check `at`"),
        ({"at": (0, -32)}, "lies outside the painting"),
        ({"at": (-34, -27)}, "what its mask shows lies outside the painting"),
        ({"at": (0, 0), "width": 100_000}, "check `width`, `height` and `scale`"),
    ],
)
def test_a_placement_that_cannot_be(placement: dict[str, Any], said: str) -> None:
    assert said in message(PAINTING, CUTOUT, placement=whole(**placement))


# --- what the files hold --------------------------------------------------------------------------


def test_exif_rotation_is_applied(files: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned = Image.fromarray(np.rot90(PAINTING))
    path = save(turned, files / "turned.png", exif=exif)
    assert (load_scene(path, PATCH, MASK).painting == PAINTING).all()


def test_a_gray_painting_stays_gray() -> None:
    scene = load_scene(PAINTING[..., 0], PATCH, MASK)
    assert scene.original.mode == "L"
    assert (scene.painting == PAINTING[..., :1]).all()


def test_sixteen_bits_stay(files: Path) -> None:
    deep = PAINTING.astype(np.uint16) * 257 + 3
    path = save(Image.fromarray(deep[..., 0]), files / "deep.png")
    scene = load_scene(path, PATCH, MASK)
    assert scene.original.mode == "L"
    assert (scene.original.pixels == deep[..., 0]).all()
    array = load_scene(deep, PATCH, MASK)
    for found, expected in ((scene, deep[..., :1]), (array, deep)):
        assert found.painting.dtype == found.composite.dtype == np.uint16
        assert (found.painting == expected).all()
        assert (found.composite[MASK > 0] == PATCH[MASK > 0].astype(int) * 257).all()


def test_a_palette_comes_out_as_its_colors(files: Path) -> None:
    indexed = Image.fromarray(PAINTING).quantize(16)
    path = save(indexed, files / "painting.gif")
    scene = load_scene(path, PATCH, MASK)
    assert (scene.painting == np.asarray(indexed.convert("RGB"))).all()
    assert (scene.original.mode, scene.original.format) == ("RGB", "GIF")


def test_cmyk_without_a_profile_is_ink_on_paper(files: Path) -> None:
    path = save(Image.new("CMYK", (96, 80), (0, 255, 255, 0)), files / "red.tif")
    scene = load_scene(path, PATCH, MASK)
    assert (scene.painting == (255, 0, 0)).all()
    assert (scene.original.mode, scene.original.icc) == ("CMYK", None)
    assert (scene.original.pixels == (0, 255, 255, 0)).all()


def test_bilevel_and_transparent_masks() -> None:
    one_bit = Image.fromarray(MASK).convert("1")
    assert (load_scene(PAINTING, PATCH, one_bit).tight == MASK).all()
    assert (load_scene(PAINTING, PATCH, MASK > 0).tight == MASK).all()
    on_alpha = Image.fromarray(np.dstack([np.full_like(PATCH, 255), MASK]))
    assert (load_scene(PAINTING, PATCH, on_alpha).tight == MASK).all()


def test_a_transparent_painting_keeps_its_alpha_and_shows_the_element() -> None:
    alpha = np.zeros((80, 96), np.uint8)
    alpha[:10] = 200
    scene = load_scene(np.dstack([PAINTING, alpha]), PATCH, MASK)
    assert scene.original.alpha is not None
    assert (scene.original.alpha[MASK == 0] == alpha[MASK == 0]).all()
    assert (scene.original.alpha[MASK > 0] == 255).all()


def test_colors_hidden_in_a_painting_do_not_show_at_a_soft_edge() -> None:
    soft = np.where(MASK > 0, 128, 0).astype(np.uint8)
    half = np.where(np.arange(96) < 48, 255, 0).astype(np.uint8)[None].repeat(80, 0)
    light = np.full_like(PATCH, 230)
    seen = []
    for hidden in (0, 255):
        painting = np.where(half[..., None] > 0, PAINTING, np.uint8(hidden))
        seen.append(load_scene(np.dstack([painting, half]), light, soft).composite)
    inside = soft > 0
    assert (seen[0][inside] == seen[1][inside]).all()
    assert (seen[0][inside & (half == 0)] == 230).all()


def test_the_painting_keeps_its_values_and_profile_and_is_worked_on_in_srgb(files: Path) -> None:
    profile = swapped_profile()
    path = save(Image.fromarray(PAINTING), files / "swapped.png", icc_profile=profile)
    scene = load_scene(path, PATCH, MASK)
    assert scene.original.icc == profile
    assert (scene.original.pixels == PAINTING).all()
    off = scene.painting.astype(int) - PAINTING[..., [1, 0, 2]]
    assert np.abs(off).max() <= 2
    assert (scene.composite[MASK > 0] == PATCH[MASK > 0]).all()
    same = save(Image.fromarray(PAINTING), files / "same.png", icc_profile=profile)
    assert (load_scene(path, same, MASK).composite == scene.painting).all()


def test_a_broken_profile_is_as_none(files: Path) -> None:
    path = save(Image.fromarray(PATCH), files / "odd.png", icc_profile=b"not a profile")
    scene = load_scene(PAINTING, path, MASK)
    assert (scene.composite == load_scene(PAINTING, PATCH, MASK).composite).all()


def test_resolution_is_taken_over(files: Path) -> None:
    path = save(Image.fromarray(PAINTING), files / "dpi.jpg", dpi=(300, 300))
    assert load_scene(path, PATCH, MASK).original.dpi == (300.0, 300.0)
    assert load_scene(PAINTING, PATCH, MASK).original.dpi is None


# --- what is refused ------------------------------------------------------------------------------


def test_missing_wrong_and_truncated_files(files: Path) -> None:
    assert "painting nowhere.png: No such file" in message("nowhere.png", PATCH, MASK)
    assert f"element {files}: Is a directory" in message("painting.png", files, MASK)
    (files / "text.png").write_text("not a picture")
    assert "text.png: not an image" in message("text.png", PATCH, MASK)
    (files / "empty.png").write_bytes(b"")
    assert "empty.png: is empty" in message(PAINTING, "empty.png", MASK)
    for name, kind in (("cut.png", "PNG"), ("cut.jpg", "JPEG"), ("cut.tif", "TIFF")):
        data = io.BytesIO()
        Image.fromarray(PAINTING).save(data, kind)
        (files / name).write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
        assert f"{name}: " in message(name, PATCH, MASK)


def test_a_mask_of_another_size() -> None:
    said = message(PAINTING, PATCH, MASK[:, :90])
    assert (
        said == "mask: 90 x 80 pixels, but the element has 96 x 80; give the mask the element's "
        "size or shape"
    )
    assert "expected the element's size" in message(PAINTING, PATCH, MASK, loose_mask=MASK[:7])


def test_a_mask_without_anything_or_without_an_outside() -> None:
    assert "the mask is empty; make it white on the element" in message(PAINTING, PATCH, MASK * 0)
    assert "the mask is empty" in message(PAINTING, PATCH, MASK // 7)
    full = np.full_like(MASK, 255)
    assert "white over the whole painting" in message(PAINTING, PATCH, full)
    big = np.dstack([strokes(200, 200), np.full((200, 200), 255, np.uint8)])
    big[0, 0, 3] = 0
    assert "white over the whole painting" in message(PAINTING, big, placement=whole(at=(-5, -5)))


def test_no_mask_and_nothing_transparent() -> None:
    assert "give `mask`" in message(PAINTING, PATCH)
    assert "give `mask`" in message(PAINTING, np.dstack([PATCH, np.full_like(MASK, 255)]))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (PAINTING.astype(np.float32), "values outside [0, 1]"),
        (np.full((80, 96), np.nan), "values outside [0, 1]"),
        (PAINTING.astype(np.int64), "array of int64"),
        (np.zeros((80, 96, 5), np.uint8), "array of shape (80, 96, 5)"),
        (np.zeros((0, 96), np.uint8), "array of shape (0, 96)"),
        (np.zeros(96, np.uint8), "array of shape (96,)"),
        (17, "expected a path, bytes, a binary file, a PIL image or an array"),
    ],
)
def test_an_array_that_is_no_picture(array: Any, said: str) -> None:
    assert said in message(array, PATCH, MASK)
