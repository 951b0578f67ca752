"""Whatever picture comes: formats, modes, orientation, damage, names."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import pyvips
from conftest import ONE_PASS, Outcome, disc, strokes
from PIL import Image, ImageCms
from profiles import ADOBE, ADOBE_ICC, P3, P3_ICC, converted, gray_profile

from harmonize import harmonize
from harmonize.cli.options import in_flags
from harmonize.errors import ConfigError, InputError
from harmonize.images.decoding.decode import parse_pixels, pixel_limit
from harmonize.images.image import StoredImage
from harmonize.images.read import open_picture, read_bytes
from harmonize.images.write import losses, write_picture
from harmonize.settings.load import Settings, load

W, H = 48, 40
RGB, ALPHA, MASK = strokes(W, H), disc(W, H), disc(W, H)
DEEP = np.random.default_rng(0).integers(0, 65536, (H, W, 4)).astype(np.uint16)
# Two steps: one of Adam alone is a leap, and may end worse than it began.
STEPS = [f"passes.{name}.steps=2" for name in Settings.preset("preview").passes]
FEW = load("preview", [*STEPS, "underpainting.steps=[1, 1]"])
ONE = load("preview", [*ONE_PASS, "passes.refine.steps=2"])


class Case(NamedTuple):
    """How to write a painting, and the mode and channels it is to have."""

    name: str
    image: Any
    options: dict[str, Any]
    mode: str
    alpha: bool
    bits: int = 8
    back: str | None = None  # extension of the result, if its own is not written here


def of_mode(mode: str) -> Image.Image:
    rgb = Image.fromarray(RGB)
    if mode in ("LA", "RGBA"):
        image = rgb.convert(mode[:-1])
        image.putalpha(Image.fromarray(ALPHA))
        return image
    return rgb.convert(mode)


def lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(of_mode("RGB"), *profiles, outputMode="LAB")
    assert image is not None
    del image.info["icc_profile"]
    return image


def deep(channels: int, space: str) -> pyvips.Image:
    pixels = np.ascontiguousarray(DEEP[..., :channels])
    image = pyvips.Image.new_from_memory(pixels, W, H, channels, "ushort")
    return image.copy(interpretation=space)


def plain(extension: str, *modes: str, back: str | None = None, **options: Any) -> list[Case]:
    """Cases of modes that stay what they are."""
    stay = {"1": "L", "P": "RGB", "LA": "L", "RGBA": "RGB"}
    return [
        Case(f"{mode}.{extension}", of_mode(mode), options, stay.get(mode, mode), "A" in mode,
             back=back)
        for mode in modes
    ]  # fmt: skip


def more(options: dict[str, Any]) -> dict[str, Any]:
    return {"save_all": True, "append_images": [of_mode("RGB").rotate(90)], **options}


CASES = [
    *plain("png", "1", "L", "LA", "P", "RGB", "RGBA"),
    *plain("tif", "1", "L", "LA", "P", "RGB", "RGBA", "CMYK"),
    *plain("webp", "RGB", "RGBA", lossless=True, exact=True),
    *plain("bmp", "1", "L", "P", "RGB"),
    *plain("tga", "L", "RGB", "RGBA", back="png"),
    *plain("ppm", "1", "L", "RGB", back="png"),
    *plain("jpg", "L", "RGB", "CMYK", back="tif"),  # JPEG is lossy: as it was read, to a TIFF
    *plain("jp2", "L", "RGB", "RGBA", back="png"),
    Case("P.gif", of_mode("P"), {}, "RGB", False, back="png"),
    Case("clear.gif", of_mode("RGB").quantize(16), {"transparency": 3}, "RGB", True, back="png"),
    Case("clear-P.png", of_mode("RGB").quantize(16), {"transparency": 3}, "RGB", True),
    Case("clear-L.png", of_mode("L"), {"transparency": 90}, "L", True),
    Case("clear-1.png", of_mode("1"), {"transparency": 0}, "L", True),
    Case("clear-RGB.png", of_mode("RGB"), {"transparency": tuple(RGB[0, 0].tolist())}, "RGB", True),
    Case("lzw.tif", of_mode("RGB"), {"compression": "tiff_lzw"}, "RGB", False),
    Case("jpeg.tif", of_mode("RGB"), {"compression": "jpeg"}, "RGB", False),
    Case("lab.tif", lab(), {}, "RGB", False),
    Case("16-L.png", deep(1, "grey16"), {}, "L", False, 16),
    Case("16-LA.png", deep(2, "grey16"), {}, "L", True, 16),
    Case("16-RGB.png", deep(3, "rgb16"), {}, "RGB", False, 16),
    Case("16-RGBA.png", deep(4, "rgb16"), {}, "RGB", True, 16),
    Case("16-L.tif", deep(1, "grey16"), {}, "L", False, 16),
    Case("16-LA.tif", deep(2, "grey16"), {}, "L", True, 16),
    Case("16-RGB.tif", deep(3, "rgb16"), {}, "RGB", False, 16),
    Case("16-RGBA.tif", deep(4, "rgb16"), {}, "RGB", True, 16),
    Case("16-CMYK.tif", deep(4, "cmyk"), {}, "CMYK", False, 16),
    Case("16-tiles.tif", deep(3, "rgb16"), {"tile": True, "bigtiff": True}, "RGB", False, 16),
    *(
        Case(f"{name}.tif", of_mode(mode), {"icc_profile": icc}, mode, False)
        for name, mode, icc in (
            ("p3", "RGB", P3_ICC), ("adobe", "RGB", ADOBE_ICC), ("gamma", "L", gray_profile(1.8))
        )
    ),
]  # fmt: skip


def save(case: Case, folder: Path) -> Path:
    path = folder / case.name
    if isinstance(case.image, pyvips.Image):
        case.image.write_to_file(str(path), **case.options)
    else:
        case.image.save(path, **case.options)
    return path


def values(path: Path) -> np.ndarray:
    """All channels of a file, by another reader than wrote it where possible."""
    if path.suffix == ".bmp":  # libvips reads none
        with Image.open(path) as image:
            return np.atleast_3d(np.asarray(image))
    image = pyvips.Image.new_from_file(str(path))
    return np.ndarray(
        (image.height, image.width, image.bands),
        {"uchar": np.uint8, "ushort": np.uint16}[image.format],
        image.write_to_memory(),
    )


# --- formats and modes ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_picture_is_read_and_written_as_it_is(case: Case, tmp_path: Path) -> None:
    source = save(case, tmp_path)
    stored = open_picture("painting", source).stored
    assert (stored.mode, stored.bits, stored.alpha is not None) == (
        case.mode, case.bits, case.alpha,
    )  # fmt: skip
    assert stored.size == (W, H)
    if case.bits == 16:
        found = DEEP[..., : {"L": 1, "RGB": 3, "CMYK": 4}[case.mode]]
        assert (stored.pixels.reshape(found.shape) == found).all()
    elif case.name not in ("lab.tif",):
        with Image.open(source) as image:
            expected = image.convert(case.mode + "A" * case.alpha)
        assert np.abs(np.asarray(stored.image).astype(int) - np.asarray(expected)).max() <= (
            3 if case.name == "jpeg.tif" else 0  # decoders differ
        )

    target = tmp_path / f"out.{case.back or case.name.rsplit('.')[-1]}"
    changed = MASK > 0
    part = np.full((H, W, 3), 0.3, np.float32)
    write_picture(target, stored.pasted(part, changed.astype(np.float32), changed))
    again = values(target)
    pixels = again[
        ..., : 1 if stored.mode == "L" and again.shape[2] < 3 else -1 if case.alpha else None
    ]
    assert pixels.dtype == stored.pixels.dtype
    assert (pixels[~changed] == stored.pixels.reshape(H, W, -1)[~changed]).all()
    assert (pixels[changed] != stored.pixels.reshape(H, W, -1)[changed]).any()
    if stored.alpha is not None:
        assert (again[..., -1] == stored.alpha).all()
    assert open_picture("painting", target).stored.icc == stored.icc


def test_lab_looks_as_it_is(tmp_path: Path) -> None:
    lab().save(tmp_path / "lab.tif")
    found = open_picture("painting", tmp_path / "lab.tif").stored
    off = np.abs(found.pixels.astype(int) - RGB)
    assert off.max() <= 10  # Lab of 8 bits is coarse
    assert off.mean() < 1


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name in (
        "RGB.png", "LA.png", "P.png", "1.tif", "CMYK.tif", "16-RGB.png", "16-LA.tif", "p3.tif",
        "gamma.tif", "RGB.bmp", "RGBA.webp",
    )],
    ids=lambda case: case.name,
)  # fmt: skip
def test_a_run_leaves_everything_outside_the_mask(case: Case, tmp_path: Path) -> None:
    source = save(case, tmp_path)
    loose = np.zeros((H, W), np.uint8)
    loose[4:-4, 4:-4] = 255
    result = harmonize(source, strokes(W, H, seed=1), MASK, loose_mask=loose, settings=ONE)
    target = tmp_path / f"out{source.suffix}"
    result.save(target)
    before, after = values(source), values(target)
    if before.shape == after.shape:  # not so for palettes
        same = (before == after).all(-1)
        assert same[loose == 0].all()
        assert not same[MASK > 0].all()
    [small] = result.record["warnings"]  # of the element alone, none of what was read
    assert small.startswith("element: it covers only")
    assert json.loads((tmp_path / "out.json").read_text())["warnings"] == [small]
    stored = open_picture("painting", source).stored
    assert (result.picture.pixels[loose == 0] == stored.pixels[loose == 0]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "deep.png", "deep.tif"])
def test_pictures_stand_upright(tmp_path: Path, name: str, orientation: int) -> None:
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a),
    }
    if name.startswith("deep"):
        lying, expected = deep(3, "rgb16"), turns[orientation](DEEP[..., :3])
        lying.set_type(pyvips.GValue.gint_type, "orientation", orientation)
        lying.write_to_file(str(tmp_path / name))
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"quality": 100, "subsampling": 0} if name == "a.jpg" else {}
        if name == "a.webp":
            options = {"lossless": True}
        Image.fromarray(RGB).save(tmp_path / name, exif=exif, **options)
        expected = turns[orientation](RGB)
    found = open_picture("painting", tmp_path / name).stored.pixels
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (5 if name == "a.jpg" else 0)


@pytest.mark.parametrize(("icc", "columns", "gamma"), [(P3_ICC, P3, 0), (ADOBE_ICC, ADOBE, 2.2)])
def test_one_picture_in_two_profiles_comes_out_looking_the_same(
    icc: bytes, columns: Any, gamma: float, tmp_path: Path
) -> None:
    there = np.rint(converted(RGB / 255, columns, gamma) * 255).astype(np.uint8)
    Image.fromarray(there).save(tmp_path / "there.png", icc_profile=icc)
    patch = strokes(W, H, seed=1)
    result = harmonize(tmp_path / "there.png", patch, MASK, settings=FEW)
    plainly = harmonize(RGB, patch, MASK, settings=FEW)
    assert result.picture.icc == icc
    off = np.abs(np.asarray(result.picture.shown).astype(int) - np.asarray(plainly.image))
    assert np.median(off) <= 1
    assert off.mean() < 4


@pytest.mark.parametrize(("width", "height"), [(2, 1), (2, 3), (5, 4), (31, 33), (300, 2)])
def test_tiny_and_thin_paintings(width: int, height: int) -> None:
    painting = strokes(width, height)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 :, width // 3 : 2 * width // 3 + 1] = 255
    mask[0, 0] = 0
    result = harmonize(painting, 255 - painting, mask, loose_mask=mask, settings=FEW)
    assert (result.picture.pixels[mask == 0] == painting[mask == 0]).all()
    assert result.picture.pixels.shape == painting.shape


def masks() -> dict[str, np.ndarray]:
    black = np.zeros((H, W), np.uint8)
    found = {name: black.copy() for name in ("line", "dots", "corner", "islands", "most", "soft")}
    found["line"][20, 5:40] = 255
    found["dots"][20, 20:23] = 255
    found["corner"][:20, :20] = 255
    found["islands"][5:12, 5:12] = found["islands"][25:35, 30:44] = 255
    found["most"][2:] = 255
    found["soft"][:] = np.clip(4 * disc(W, H).cumsum(1) // 255, 0, 255) * (disc(W, H) > 0)
    return found


@pytest.mark.parametrize("name", masks())
def test_masks_of_all_kinds(name: str) -> None:
    mask = masks()[name]
    result = harmonize(RGB, strokes(W, H, seed=1), mask, loose_mask=mask, settings=FEW)
    assert (result.picture.pixels[mask < 20] == RGB[mask < 20]).all()
    assert (result.picture.pixels != RGB).any()
    assert result.scene.warnings == ()


def test_sixteen_bits_are_worked_on_and_come_out(tmp_path: Path) -> None:
    fine = (RGB.astype(np.uint16) * 257) // 16
    result = harmonize(fine, strokes(W, H, seed=1).astype(np.uint16) * 16, MASK, settings=FEW)
    assert result.picture.bits == 16
    changed = (result.picture.pixels != fine).any(-1)
    assert (result.picture.pixels[changed] % 257 != 0).mean() > 0.9
    assert result.image.mode == "RGB"


def test_what_a_format_cannot_hold_is_said_and_converted(tmp_path: Path) -> None:
    gray = StoredImage(DEEP[..., 0], "L", alpha=DEEP[..., 1])
    ink = StoredImage(np.asarray(of_mode("CMYK")), "CMYK")
    p3 = StoredImage(RGB, icc=P3_ICC)
    assert losses(tmp_path / "a.png", gray) == losses(tmp_path / "a.tif", ink) == ()
    assert [" ".join(note.split()[1:5]) for note in losses(tmp_path / "a.jpg", gray)] == [
        "JPEG holds 8 of",
        "JPEG holds no transparency,",
    ]
    assert "holds no CMYK" in losses(tmp_path / "a.png", ink)[0]
    for name, picture in (("a.jpg", gray), ("a.webp", gray), ("b.png", ink), ("c.bmp", p3)):
        write_picture(tmp_path / name, picture)
        found = open_picture("painting", tmp_path / name).stored
        assert found.bits == 8
        seen = np.asarray(found.shown).astype(int)
        tolerance = 1 if name != "a.jpg" else 30  # noise, in JPEG
        assert np.abs(seen - np.asarray(picture.shown)).mean() <= tolerance
    wide = StoredImage(np.zeros((1, 20_000, 3), np.uint8))
    with pytest.raises(Exception, match="WEBP holds pictures of up to 16383 pixels"):
        losses(tmp_path / "a.webp", wide)


def test_only_the_first_of_many_is_used_and_that_is_said(tmp_path: Path) -> None:
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        options = {"lossless": True} if name == "a.webp" else {}
        of_mode("RGB").quantize(8).convert("RGB").save(tmp_path / name, **more(options))
        source = open_picture("painting", tmp_path / name)
        assert source.warnings == (
            "painting: holds 2 pictures; only the first is used; save another one by itself",
        )
        assert (source.stored.pixels == np.asarray(of_mode("RGB").quantize(8).convert("RGB"))).all()
    of_mode("RGB").save(tmp_path / "phone.jpg", "MPO", **more({}))
    assert open_picture("painting", tmp_path / "phone.jpg").warnings == ()


def test_a_profile_that_cannot_be_used_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    bad = [b"no profile", P3_ICC[:300], gray_profile(2.2), P3_ICC[:200] + bytes(len(P3_ICC) - 200)]
    for icc in bad:
        Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=icc)
        source = open_picture("painting", tmp_path / "a.png")
        assert "its color profile cannot be used and is left out" in source.warnings[0]
        assert source.stored.icc is None
        assert (source.stored.pixels == RGB).all()


def test_deep_grays_of_all_kinds(tmp_path: Path) -> None:
    gray = np.asarray(of_mode("L"))
    kinds = {
        "small integers": (Image.fromarray(gray.astype(np.int32)), gray),
        "integers": (Image.fromarray(gray.astype(np.int32) * 257), gray.astype(int) * 257),
        "floats": (Image.fromarray(gray.astype(np.float32) / 255), gray.astype(int) * 257),
        "large floats": (Image.fromarray(gray.astype(np.float32)), gray.astype(int) * 257),
        "16 bits": (Image.fromarray(gray.astype(np.uint16) * 257), gray.astype(int) * 257),
    }
    for name, (image, expected) in kinds.items():
        assert np.abs(open_picture("mask", image).stored.pixels.astype(int) - expected).max() <= 1
        image.save(tmp_path / f"{name}.tif")
        found = open_picture("mask", tmp_path / f"{name}.tif")
        assert np.abs(found.stored.pixels.astype(int) - expected).max() <= 1
        assert bool(found.warnings) == ("floats" in name)


# --- damage ---------------------------------------------------------------------------------------


def encoded(kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(RGB).save(data, kind, **options)
    return data.getvalue()


def seeds() -> dict[str, bytes]:
    kinds = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "TGA", "ICO", "JPEG2000")
    found = {kind: encoded(kind) for kind in kinds}
    found["profile"] = encoded("PNG", icc_profile=P3_ICC)
    found["lzw"] = encoded("TIFF", compression="tiff_lzw")
    found["deep"] = deep(3, "rgb16").write_to_buffer(".png")
    found["deep TIFF"] = deep(3, "rgb16").write_to_buffer(".tif")
    return found


def test_damaged_files_are_errors_or_pictures_and_never_talk(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "a"
    for data in seeds().values():
        for case in range(12):
            broken = bytearray(data)
            if case < 3:
                del broken[random.integers(len(data)) :]
            else:
                reach = 300 if case % 2 else len(data)
                for place in random.integers(0, min(reach, len(data)), 4):
                    broken[place] = random.integers(256)
            path.write_bytes(broken)
            try:
                open_picture("painting", path)
            except InputError as error:
                assert "\n" not in str(error)
                assert str(error).startswith(f"painting {path}: ")
    assert capfd.readouterr() == ("", "")


def test_a_layout_that_pillow_does_not_know_is_read_with_its_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = deep(3, "rgb16").copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", P3_ICC)
    image.tiffsave(str(tmp_path / "a.tif"))
    monkeypatch.setitem(Image.OPEN, "TIFF", Image.OPEN["GIF"])
    stored = open_picture("painting", tmp_path / "a.tif").stored
    assert (stored.pixels == DEEP[..., :3]).all()
    assert stored.icc == P3_ICC


def test_values_that_are_not_read_are_named(tmp_path: Path) -> None:
    deep(3, "rgb16").cast("float").copy(interpretation="scrgb").tiffsave(str(tmp_path / "a.tif"))
    with pytest.raises(InputError, match="a TIFF of float values; save it with 8 or 16 bits"):
        open_picture("painting", tmp_path / "a.tif")


def test_an_extension_says_nothing_of_the_contents(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded("PNG"))
    assert (open_picture("painting", tmp_path / "a.jpg").stored.pixels == RGB).all()


def test_formats_that_run_programs_or_hold_no_pixels_are_not_opened(tmp_path: Path) -> None:
    for name, said in (
        ("a.eps", r"PostScript \(EPS\): export it as"),
        ("a.pdf", "a PDF: export its page as"),
        ("a.pcx", "PCX: export it as PNG"),
    ):
        Image.fromarray(RGB).save(tmp_path / name)
        with pytest.raises(InputError, match=said):
            open_picture("painting", tmp_path / name)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_more_pixels_than_the_limit_are_not_opened(
    kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encoded(kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", W * H // 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_picture("painting", data)
    assert Image.MAX_IMAGE_PIXELS == W * H // 3
    monkeypatch.setenv("HARMONIZE_MAX_PIXELS", f"{W * H}")
    open_picture("painting", data)
    monkeypatch.setenv("HARMONIZE_MAX_PIXELS", f"{W * H - 1}")
    with pytest.raises(InputError, match=r"48 x 40 pixels, more than the limit of 1,919; make it"):
        open_picture("painting", data)
    assert capfd.readouterr() == ("", "")


def test_the_limit_of_pixels_may_be_told_in_millions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pixel_limit() == 178_956_970
    for text, count in (("250M", 250_000_000), (" 1.5G ", 1_500_000_000), ("12345", 12345)):
        monkeypatch.setenv("HARMONIZE_MAX_PIXELS", text)
        assert pixel_limit() == count
    for text in ("0", "many", "-5", "1e400", "9" * 400):
        with pytest.raises(ConfigError, match="a number: .*expected a number such as 250000000"):
            parse_pixels(text, "a number")


def test_no_memory_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("harmonize.images.decoding.decode.from_image", full)
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    with pytest.raises(InputError, match="too large for this machine's memory"):
        open_picture("painting", tmp_path / "a.png")


# --- names and kinds of files ---------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="its files are others")
def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "hanging").symlink_to("nowhere")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    for name, said in (
        ("loop", "Too many levels"),
        ("hanging", "No such file"),
        ("", "Is a directory"),
        ("empty", "is empty"),
        ("/dev/zero", "neither a file nor a pipe"),
        ("a.png/b", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("a\0b", "null"),
    ):
        with pytest.raises(InputError, match=said):
            open_picture("painting", tmp_path / name)
    monkeypatch.setattr("harmonize.images.read.LARGEST_FILE", 10)
    with pytest.raises(InputError, match="more than 2 GiB"):
        read_bytes("painting", tmp_path / "a.png")


@pytest.mark.skipif(sys.platform == "win32", reason="its names are others")
@pytest.mark.parametrize(
    "stem", [b"a b", b"a\nb", "🦆 Ж".encode(), b"\xff\xfe", b"<b>&\"'", b"x" * 246]
)
def test_names_of_all_kinds_from_end_to_end(
    files: Path, command: Callable[..., Outcome], stem: bytes
) -> None:
    name = os.fsdecode(stem)
    Path("painting.png").rename(f"{name}.png")
    Path("cutout.png").rename(f"c{name}.png")
    (files / "link.png").symlink_to(f"{name}.png")
    quick = [f"--set={setting}" for setting in (*ONE_PASS, "size=64")]
    done = command(
        "run", "--style=link.png", f"--patch=c{name}.png", "--at=20,20", *quick,
        f"--output=o{name}.png", "--report",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.startswith("o")
    assert Path(f"o{name}.png").exists()
    record = json.loads(Path(f"o{name}.json").read_bytes())
    assert record["output"] == f"o{name}.png"
    assert Path(record["inputs"]["element"]["path"]).name == f"c{name}.png"
    page = Path(f"o{name}.html").read_text(encoding="utf-8")
    assert "<b>" not in page.split("</style>")[-1]
    assert command("run", f"--record=o{name}.json", "--output=again.png").code == 0
    assert Path("again.png").read_bytes() == Path(f"o{name}.png").read_bytes()


def test_warnings_are_lines_and_stay_in_the_record(
    command: Callable[..., Outcome], files: Path
) -> None:
    Image.fromarray(255 - disc(96, 80)).save("mask.png")
    done = command(
        "run", "--style=painting.png", "--patch=patch.png", "--mask=mask.png",
        *(f"--set={setting}" for setting in ONE_PASS), "--output=a.png",
    )  # fmt: skip
    assert done.code == 0
    (line,) = [line for line in done.err.splitlines() if line.startswith("harmonize: warning: ")]
    assert "mask: white at the border and black in the middle" in line
    (kept,) = json.loads(Path("a.json").read_text())["warnings"]
    assert in_flags(kept) == line.removeprefix("harmonize: warning: ")


# --- bytes, file objects, arrays, pipes -----------------------------------------------------------


def test_one_picture_however_it_comes(tmp_path: Path) -> None:
    data = encoded("PNG")
    (tmp_path / "a.png").write_bytes(data)
    named = open_picture("painting", tmp_path / "a.png")
    with open(tmp_path / "a.png", "rb") as file:
        sources = [
            open_picture("painting", given)
            for given in (data, bytearray(data), memoryview(data), io.BytesIO(data), file)
        ]
        assert not file.closed
    for source in sources:
        assert (source.stored.pixels == RGB).all()
        assert (source.sha256, source.path) == (named.sha256, None)


def test_file_objects_that_are_none(tmp_path: Path) -> None:
    closed = io.BytesIO(b"")
    closed.close()
    for given, said in (
        (io.StringIO("words"), r"a text file; open it in binary mode \('rb'\)"),
        (closed, "cannot be read .*closed file"),
        (io.BytesIO(b""), "is empty"),
        (object(), "expected a path, bytes, a binary file, a PIL image or an array, got <object"),
    ):
        with pytest.raises(InputError, match=said):
            open_picture("painting", given)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u2", "f4", "f8", "u1"])
def test_arrays_of_any_byte_order(kind: str, order: str) -> None:
    whole = {"u2": RGB.astype(np.uint16) * 257, "u1": RGB}.get(kind, RGB / 255)
    array = whole.astype(order + kind)
    source = open_picture("painting", array)
    native = open_picture("painting", array.astype(array.dtype.newbyteorder("=")))
    assert source.stored.pixels.dtype.isnative
    assert (source.stored.pixels == native.stored.pixels).all()
    assert source.sha256 == native.sha256


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes there")
def test_named_pipes_are_read_or_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    data = encoded("PNG", icc_profile=bytes(P3_ICC))

    def write() -> None:
        with open(pipe, "wb") as file:
            file.write(data[:100])
            file.flush()
            file.write(data[100:])

    writer = threading.Thread(target=write)
    writer.start()
    assert (open_picture("painting", pipe).stored.pixels == RGB).all()
    writer.join()
    monkeypatch.setattr("harmonize.images.read.PIPE_WAIT", 0.05)
    with pytest.raises(InputError, match="a pipe through which nothing came for .*; write into it"):
        open_picture("painting", pipe)
