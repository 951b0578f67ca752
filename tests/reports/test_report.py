"""The report's page as text."""

from __future__ import annotations

import base64
import html
import html.parser
import io
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ONE_PASS, Outcome, strokes
from PIL import Image

from harmonize.errors import OutputError
from harmonize.reports import page as report
from harmonize.reports.chart import chart
from harmonize.reports.page import Entry, write_report
from harmonize.reports.pictures import close_look
from harmonize.scene.placement import Placement
from harmonize.scene.scene import load_scene
from harmonize.settings.load import Settings

Command = Callable[..., Outcome]

EVIL = "<script>alert('a')</script>"


class Page(html.parser.HTMLParser):
    """Tags with their attributes, words, and the store of pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.text = path.read_text(encoding="utf-8")
        self._raw = False
        self.feed(self.text)
        found = re.search(r'id="store">(.*?)</script>', self.text, re.DOTALL)
        assert found
        self.store: dict[str, str] = json.loads(found[1])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.words += " ".join(data.split()) + " "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def picture(self, alt: str) -> np.ndarray:
        (key,) = {a["data-picture"] for a in self.all("img") if (a["alt"] or "").startswith(alt)}
        data = self.store[str(key)].removeprefix("data:image/webp;base64,")
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            return np.asarray(image.convert("RGB")).astype(int)


@pytest.fixture
def folder(runs: Path, tmp_path: Path) -> Path:
    """A copy of the runs whose records name the copy's inputs."""
    copy = tmp_path / "copy"
    shutil.copytree(runs, copy)
    for path in copy.glob("*.json"):
        path.write_text(path.read_text().replace(str(runs), str(copy)))
    return copy


def page_of(folder: Path, *entries: Entry) -> Page:
    write_report(folder / "page.html", entries or [entry(folder)], overwrite=True)
    return Page(folder / "page.html")


def entry(folder: Path, name: str = "a") -> Entry:
    return Entry(f"{name}.png", "done", folder / f"{name}.json", None)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_page_shows_every_picture_of_the_run(folder: Path) -> None:
    page = page_of(folder)
    place = Placement(at=(20, 30))
    scene = load_scene(folder / "painting.png", folder / "cutout.png", placement=place)
    tight = scene.tight[..., None].repeat(3, -1)
    shown = {
        "Result: a.png": pixels(folder / "a.png"),
        "Composite: ": scene.composite,
        "Painting of": scene.painting,
        "Mask of": tight,
    }
    for alt, expected in shown.items():
        assert np.abs(page.picture(alt) - expected).mean() < 8, alt
    loose = page.picture("Loose mask of")[..., 0] > 127
    assert loose[scene.tight > 127].all()
    assert (scene.tight > 127).sum() < loose.sum() < loose.size / 2


def test_the_page_tells_what_the_record_says(folder: Path) -> None:
    page = page_of(folder, entry(folder, "b"))
    record = json.loads((folder / "b.json").read_text())
    assert "style level 10.0" in page.words
    assert f"{record['seconds']:.1f} s" in page.words
    assert "keep 1.0 2.0" in page.words
    assert "passes.refine.steps" in page.words
    for item in record["passes"]:
        for term in item["losses"][0]:
            assert f"{term} {item['losses'][0][term]:.3g} → {item['losses'][-1][term]:.3g}" in (
                page.words
            )
    terms = sum(len(item["losses"][0]) for item in record["passes"])
    drawn = [a for a in page.all("polyline") if " " in str(a["points"]) and a["points"][0] != "1"]
    assert len(drawn) == terms
    assert "<footer>harmonize" in page.text


def test_the_slider_begins_at_the_element(folder: Path) -> None:
    (slider,) = [a for a in page_of(folder).all("input") if a["type"] == "range"]
    assert slider["value"] == str(round(100 * (20 + 12) / 96))  # placed at 20, 24 wide


def test_settings_that_are_no_longer_known_cost_the_loose_mask_only(folder: Path) -> None:
    tree = json.loads((folder / "a.json").read_text())
    tree["config"] |= {"old": 1}
    (folder / "a.json").write_text(json.dumps(tree))
    page = page_of(folder)
    assert "The loose mask cannot be shown." in page.words
    assert "old — 1" in page.words
    assert page.picture("Mask of").any()


def test_settings_as_the_default_has_them_are_not_called_different(folder: Path) -> None:
    path = folder / "a.json"
    tree = json.loads(path.read_text())
    tree["config"] = json.loads(Settings.preset().model_dump_json())
    path.write_text(json.dumps(tree))
    assert "All as in the preset default" in page_of(folder).words


def test_the_page_needs_nothing_from_outside(folder: Path) -> None:
    page = page_of(folder, entry(folder), entry(folder, "b"))
    for tag in ("script", "img", "iframe", "source"):
        assert all("src" not in attributes for attributes in page.all(tag))
    assert [a["href"] for a in page.all("link")] == ["data:,"]
    assert all(uri.startswith("data:image/") for uri in page.store.values())
    assert "http" not in page.text.replace("http-equiv", "")
    policy = next(a for a in page.all("meta") if a.get("http-equiv"))["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_every_picture_has_words_and_every_control_a_name(folder: Path) -> None:
    page = page_of(folder, entry(folder), entry(folder, "b"))
    assert page.all("img")
    assert all(attributes["alt"] for attributes in page.all("img"))
    ranges = [a for a in page.all("input") if a["type"] == "range"]
    assert len(ranges) == 2
    assert all(attributes["aria-label"] for attributes in ranges)


def test_pictures_that_runs_share_are_in_the_page_once(folder: Path) -> None:
    page = page_of(folder, entry(folder), entry(folder, "b"))
    # Painting, composite, mask and loose mask of both; each result, and each in the gallery, where
    # so small a picture is the same.
    assert len(page.store) == 4 + 2
    assert len(page.all("img")) == 2 * (4 + 2 + 1)


def test_the_gallery_knows_what_to_sort_and_filter_by(folder: Path) -> None:
    failed = Entry("c", "failed", None, "patch c.png: No such file")
    page = page_of(folder, entry(folder), entry(folder, "b"), failed)
    cards = [a for a in page.all("li") if "data-status" in a]
    assert [card["data-name"] for card in cards] == ["a.png", "b.png", "c"]
    assert [card["data-status"] for card in cards] == ["done", "done", "failed"]
    assert [card["data-strength"] for card in cards] == ["2.0", "10.0", ""]
    assert float(cards[0]["data-seconds"] or 0) > 0
    assert page.words.count("patch c.png: No such file") == 2
    assert "2 done, 1 failed" in page.words


def test_names_and_words_from_outside_are_only_text(folder: Path) -> None:
    name = f"{EVIL}.png".replace("/", "_")
    for old in ("a.png", "painting.png"):
        shutil.move(folder / old, folder / f"{old}{name}")
    tree = json.loads((folder / "a.json").read_text())
    tree |= {"device": EVIL, "output": f"a.png{name}"}
    tree["inputs"]["painting"]["path"] = str(folder / f"painting.png{name}")
    tree["config"][EVIL] = EVIL
    tree["passes"][0]["name"] = EVIL
    tree["passes"][0]["losses"][0][EVIL] = 1.0
    (folder / "a.json").write_text(json.dumps(tree))
    alone = page_of(folder, Entry(f'"{EVIL}', f'"{EVIL}', folder / "a.json", EVIL))
    crowd = [Entry(f'"{EVIL}', f'"{EVIL}', record, EVIL) for record in (folder / "a.json", None)]
    for page in (alone, page_of(folder, *crowd)):
        assert len(page.all("script")) == 2
        assert EVIL in page.words
        assert not {key for _, attributes in page.tags for key in attributes if "alert" in key}
        (link, *_) = [
            a["href"] for a in page.all("a") if not str(a.get("href", "#")).startswith("#")
        ]
        assert link is not None
        assert "<" not in link


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda folder: (folder / "cutout.png").unlink(), "cutout.png: No such file"),
        (
            lambda folder: Image.fromarray(strokes(40, 32)).save(folder / "cutout.png"),
            "cutout.png has changed since",
        ),
        (lambda folder: (folder / "a.png").unlink(), "a.png: No such file"),
        (lambda folder: (folder / "a.png").write_text("no picture"), "not an image"),
        (lambda folder: (folder / "a.json").unlink(), "a.json: No such file"),
        (lambda folder: (folder / "a.json").write_text("[]"), "not a run record"),
        (
            lambda folder: (folder / "a.json").write_text(
                '{"config": {}, "inputs": {}, "placement": {}}'
            ),
            "not a whole run record",
        ),
        (
            lambda folder: (folder / "a.json").write_text(
                re.sub(r'("seconds": )[\d.]+', rf"\g<1>{10**400}", (folder / "a.json").read_text())
            ),
            "not a whole run record",
        ),
    ],
)
def test_what_is_gone_or_changed_is_said_on_the_page(
    folder: Path, break_it: Callable[[Path], object], said: str
) -> None:
    break_it(folder)
    page = page_of(folder, entry(folder), entry(folder, "b"))
    assert said in page.words
    assert page.picture("Result: b.png").shape == (80, 96, 3)


def test_an_interrupted_run_is_called_so(folder: Path) -> None:
    tree = json.loads((folder / "a.json").read_text())
    (folder / "a.json").write_text(json.dumps({**tree, "interrupted": True}))
    assert "Interrupted: the picture so far;" in page_of(folder).words


def test_large_pictures_are_made_smaller_and_many_smaller_still(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "LONGEST_PICTURE", 48)
    monkeypatch.setattr(report, "SMALLEST_PICTURE", 16)
    monkeypatch.setattr(report, "MANY", 1)
    assert page_of(folder).picture("Painting of").shape == (40, 48, 3)
    four = [entry(folder)] * 4
    assert page_of(folder, *four).picture("Painting of").shape[1] == 24
    assert page_of(folder, *four * 9).picture("Painting of").shape[1] == 16


def test_no_page_is_replaced_unless_asked_for(folder: Path) -> None:
    (folder / "page.html").write_text("precious")
    with pytest.raises(OutputError, match="exists; use `overwrite`"):
        write_report(folder / "page.html", [entry(folder)])
    assert (folder / "page.html").read_text() == "precious"


def test_a_page_without_pictures(tmp_path: Path) -> None:
    write_report(tmp_path / "page.html", [])
    assert "0 pictures" in Page(tmp_path / "page.html").words


def test_a_run_writes_its_page_beside_the_picture(command: Command, files: Path) -> None:
    steps = [f"--set=passes.{name}.steps=1" for name in Settings.preset().passes]
    pictures = "run --style painting.png --patch cutout.png --at 20,30 --output new.png --report"
    (files / "new.html").write_text("precious")
    refused = command(*pictures.split(), *steps)
    assert refused.code == 2
    assert "new.html: exists" in refused.err
    assert not (files / "new.png").exists()
    (files / "new.html").write_text("<footer>harmonize 0.1")
    assert command(*pictures.split(), *steps, "--overwrite").code == 0
    page = Page(files / "new.html")
    assert np.abs(page.picture("Result: new.png") - pixels(files / "new.png")).mean() < 8


# --- curves ---------------------------------------------------------------------------------------


def points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def test_a_curve_is_as_high_as_its_values_and_as_wide_as_the_chart() -> None:
    drawn = chart([{"up": 0.1, "down": 10.0}, {"up": 1.0, "down": 1.0}, {"up": 10, "down": 0.1}])
    up, down = (points(curve.points) for curve in drawn.curves)
    assert [x for x, _ in up] == [drawn.left, (drawn.left + drawn.right) / 2, drawn.right]
    assert [y for _, y in up] == [y for _, y in down[::-1]]
    assert up[0][1] - up[1][1] == pytest.approx(up[1][1] - up[2][1], abs=0.2)  # decades are equal
    assert up[0][1] == pytest.approx(drawn.bottom, abs=0.1)
    assert [label for _, label in drawn.ticks] == ["0.1", "1", "10"]
    assert [(curve.first, curve.last) for curve in drawn.curves] == [(0.1, 10), (10.0, 0.1)]


def test_odd_losses_stay_within_the_chart() -> None:
    nan, inf = float("nan"), float("inf")
    reports = [{"a": 1e-12, "b": 5.0}, {"a": 0.0, "b": nan, "c": inf}, {"a": 3.0, "b": -1.0}]
    for losses in (reports, reports[:1], [{"a": 0.0}], [{"a": 1.0}], [{}], []):
        drawn = chart(losses)
        assert len(drawn.ticks) <= 6
        for curve in drawn.curves:
            for x, y in points(curve.points):
                assert drawn.left <= x <= drawn.right
                assert 0 < y <= drawn.bottom


def hostile(files: Path, name: str) -> list[str]:
    """Inputs whose names are markup."""
    for old in ("painting.png", "cutout.png"):
        shutil.move(files / old, files / f"{name}-{old}")
    return [f"--set={setting}" for setting in (*ONE_PASS, "size=64")]


NAME = "<script>alert(1)<_script>\"'&amp;<img src=x onerror=alert(2)>"


def check_harmless(page: Page) -> None:
    assert NAME in page.words
    assert len(page.all("script")) == 2
    assert all(attributes.get("src") is None for attributes in page.all("img"))
    assert not {key for _, attributes in page.tags for key in attributes if key.startswith("on")}


def test_a_runs_page_is_harmless_whatever_its_files_are_called(
    command: Command, files: Path
) -> None:
    steps = hostile(files, NAME)
    pictures = (f"--style={NAME}-painting.png", f"--patch={NAME}-cutout.png", "--at=20,30")
    done = command("run", *pictures, f"--output={NAME}.png", "--report", *steps)
    assert done.code == 0
    check_harmless(Page(files / f"{NAME}.html"))


def test_a_batchs_page_is_harmless_whatever_its_files_and_errors_say(
    command: Command, files: Path
) -> None:
    steps = hostile(files, NAME)
    for weights in (NAME, "oxford"):
        job = {"style": f"{NAME}-painting.png", "patch": f"{NAME}-cutout.png", "at": "20,30"}
        named = {**job, "output": f"{weights}{NAME}", "settings": {"weights": weights}}
        Path("jobs.yaml").write_text(yaml.safe_dump({"jobs": [named, {**job, "output": "b"}]}))
        done = command("batch", "jobs.yaml", "--report", "--output-dir=out", *steps)
        assert done.code == (1 if weights == NAME else 0)
        page = Page(files / "out" / "report.html")
        check_harmless(page)
        assert f"weights {NAME}" in page.words or weights == "oxford"
        assert [a for a in page.all("li") if NAME in str(a.get("data-name"))]


def test_the_gallery_shows_the_element_close(folder: Path) -> None:
    page = page_of(folder, entry(folder, "a"), entry(folder, "b"))
    scene = load_scene(
        folder / "painting.png", folder / "cutout.png", placement=Placement.parse({"at": [20, 30]})
    )
    left, top, right, bottom = close_look(scene.tight)
    rows, columns = np.nonzero(scene.tight)
    assert left <= columns.min() and columns.max() < right
    assert top <= rows.min() and rows.max() < bottom
    for name in "ab":
        shown = page.picture(f"Result of {name}.png")
        whole = pixels(folder / f"{name}.png")[top:bottom, left:right]
        assert shown.shape == whole.shape
        assert abs(shown - whole).mean() < 12  # WebP with loss


@pytest.mark.parametrize("size", [(1000, 800), (60, 40), (300, 2000)])
@pytest.mark.parametrize("at", [(0.0, 0.0), (0.5, 0.5), (0.97, 0.9)])
def test_a_close_look_holds_the_element_and_stays_inside(
    size: tuple[int, int], at: tuple[float, float]
) -> None:
    tight = np.zeros(size[::-1], np.uint8)
    x, y = (min(int(share * side), side - 3) for share, side in zip(at, size, strict=True))
    tight[y : y + 3, x : x + 30] = 255
    left, top, right, bottom = close_look(tight)
    assert 0 <= left <= x and min(x + 30, size[0]) <= right <= size[0]
    assert 0 <= top <= y and y + 3 <= bottom <= size[1]
    assert (right - left) * (bottom - top) <= max(96 * 96 * 1.7, 66 * 66 * 1.7)


def test_the_command_makes_the_picture_again(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(folder)
    found = re.search(r">(harmonize run --record .*?)</code>", page.text)
    assert found
    monkeypatch.chdir(folder)
    words = shlex.split(html.unescape(found[1]))
    assert command(*words[1:]).code == 0
    assert Path("a-again.png").read_bytes() == Path("a.png").read_bytes()


def test_settings_come_before_curves(folder: Path) -> None:
    words = page_of(folder).words
    assert words.index("Settings") < words.index("Losses") < words.index("Time")
