"""The studio in headless Chromium, as a person goes it: `make browser`."""

from __future__ import annotations

import json
import shlex
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Outcome, disc, strokes, wait_for
from PIL import Image
from studio_client import Client

from harmonize.errors import InputError
from harmonize.scene.layout import lay_out
from harmonize.scene.placement import Placement
from harmonize.studio.painting import Studio

pytestmark = pytest.mark.browser

Serve = Callable[..., Client]
Command = Callable[..., Outcome]
TABS = ("load", "cut", "place", "paint")
READY = "html[data-ready]"
PAINTING = (160, 120)


class Window:
    """A studio in a browser, and all that went wrong in it or out of it."""

    def __init__(self, browser: Any, studio: Client, width: int, **more: Any) -> None:
        self.studio, self.wrong = studio, []  # type: ignore[var-annotated]
        touch = width < 800
        size = {"width": width, "height": 800}
        self.context = browser.new_context(
            viewport=size, has_touch=touch, reduced_motion="reduce", accept_downloads=True, **more
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._console)
        self.page.on("request", self._request)
        self.page.goto(studio.address)
        self.page.wait_for_selector(READY, state="attached")

    def _console(self, message: Any) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            self.wrong.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((f"http://{self.studio.host}/", "blob:", "data:")):
            self.wrong.append(request.url)

    def load(self, painting: Path, element: Path) -> None:
        for role, path in (("painting", painting), ("element", element)):
            self.page.click("#tab-load")
            self.page.set_input_files(f"input[data-role={role}]", path)
            self.page.wait_for_selector(f".picture[data-role={role}] .chosen", state="attached")
            self.until(f"document.querySelector('[data-role={role}] strong').textContent !== ''")

    def until(self, true: str, seconds: float = 20) -> None:
        """Wait for an expression; Playwright's own waiting breaks the page's rules."""
        wait_for(lambda: bool(self.page.evaluate(true)), seconds)

    def doc(self) -> dict[str, Any]:
        """What the page keeps for a reload."""
        kept = self.page.evaluate("Object.values(localStorage)[0]")
        tree = json.loads(kept)
        return dict(json.loads(tree["history"][tree["index"]]))

    def screen(self, point: tuple[float, float], size: tuple[int, int]) -> tuple[float, float]:
        box = self.page.locator("#stage").bounding_box()
        margin = min(28, box["width"] / 24)
        wide, high = box["width"] - 2 * margin, box["height"] - 2 * margin
        scale = min(wide / size[0], high / size[1])
        return (
            box["x"] + (box["width"] - size[0] * scale) / 2 + point[0] * scale,
            box["y"] + (box["height"] - size[1] * scale) / 2 + point[1] * scale,
        )

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
        mouse.move(*end, steps=3)
        mouse.up()

    def touch(self, *paths: list[tuple[float, float]]) -> None:
        session = self.context.new_cdp_session(self.page)

        def send(kind: str, step: int | None) -> None:
            points = [
                {"x": path[step][0], "y": path[step][1], "id": number}
                for number, path in enumerate(paths)
                if step is not None
            ]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        send("touchStart", 0)
        for step in range(1, len(paths[0])):
            send("touchMove", step)
        send("touchEnd", None)

    def pixel(self, point: tuple[float, float]) -> np.ndarray:
        shot = self.page.screenshot(
            clip={"x": point[0] - 1, "y": point[1] - 1, "width": 3, "height": 3}
        )
        (self.folder / "pixel.png").write_bytes(shot)
        with Image.open(self.folder / "pixel.png") as image:
            return np.asarray(image.convert("RGB")).astype(int).mean((0, 1))

    folder: Path

    def painted(self, count: int) -> None:
        self.until(f"document.querySelectorAll('#strip li.done').length >= {count}", 900)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def fits(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.fixture
def pictures(files: Path) -> Path:
    Image.fromarray(strokes(*PAINTING)).save("painting.png")
    photo = np.full((150, 200, 3), (60, 120, 70), np.uint8)
    inside = disc(200, 150) > 0
    photo[inside] = strokes(200, 150, seed=2)[inside] // 2 + (110, 20, 20)
    Image.fromarray(photo).save("photo.png")
    return files


@pytest.fixture
def window(browser: Any, serve: Serve, pictures: Path) -> Iterator[Callable[..., Window]]:
    opened: list[Window] = []

    def start(width: int = 1280, *named: Path, **more: Any) -> Window:
        opened.append(Window(browser, serve(*named, enter=False), width, **more))
        opened[-1].folder = pictures
        return opened[-1]

    yield start
    for one in opened:
        assert not one.wrong
        one.context.close()


@pytest.mark.parametrize("width", [1280, 400])
def test_the_whole_way(
    window: Callable[..., Window],
    pictures: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:
    view = window(width)
    page = view.page
    view.load(pictures / "painting.png", pictures / "photo.png")

    assert view.text("#go-hint") == "Now cut the thing out."

    # Cut out: a box, then a stroke.
    assert page.get_attribute("#tab-cut", "aria-selected") == "true"
    photo = (200, 150)
    view.drag(view.screen((25, 20), photo), view.screen((175, 130), photo))
    page.wait_for_selector("#cut-use:enabled")
    assert view.doc()["cut"]["box"] == pytest.approx([25, 20, 150, 110], abs=2)
    page.locator("input[name=tool][value=remove]").check()
    view.drag(view.screen((30, 25), photo), view.screen((30, 120), photo))
    page.wait_for_selector("#cut-use:enabled")
    assert "%" in view.text("#cut-note")
    page.click("#cut-use")
    page.wait_for_selector("#place:visible")

    # Place: by the hand, by keys, by numbers.
    size = PAINTING
    before = view.doc()["placement"]
    middle = (before["at"][0] + before["width"] / 2, before["at"][1] + before["width"] / 3)
    view.drag(view.screen(middle, size), view.screen((middle[0] + 15, middle[1] - 8), size))
    moved = view.doc()["placement"]
    assert moved["at"] == pytest.approx([before["at"][0] + 15, before["at"][1] - 8], abs=1)
    page.focus("#stage")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    page.wait_for_timeout(600)
    page.keyboard.press("f")
    now = view.doc()["placement"]
    assert now["at"] == [moved["at"][0] - 1, moved["at"][1] + 10] and now["flip"] == "horizontal"
    page.fill("#place-w", "60")
    page.keyboard.press("Enter")
    page.fill("#place-r", "20")
    page.keyboard.press("Enter")
    assert view.doc()["placement"]["width"] == 60 and view.doc()["placement"]["rotate"] == 20
    page.click("#undo")
    assert view.doc()["placement"]["rotate"] == 0
    page.click("#redo")
    assert view.doc()["placement"]["rotate"] == 20

    # See: preview, compare.
    page.click("#preview")
    view.painted(1)
    assert page.locator("#compare").is_visible()
    at = view.screen((80, 60), size)
    painted = view.pixel(at)
    page.locator("#compare input").fill("100")
    pasted = view.pixel(at)
    assert abs(painted - pasted).max() > 3
    page.locator("#compare input").fill("0")
    assert abs(view.pixel(at) - painted).max() < 3
    page.get_by_role("button", name="Back to placing").click()
    assert page.locator("#compare").is_hidden() and page.locator("#place").is_visible()

    # Paint, stop, go back to the first.
    page.click("#tab-paint")
    page.select_option("#preset", "paper")
    page.click("#do-paint")
    page.wait_for_selector("#strip li.running img[src]", timeout=600_000)
    page.click("#stop")
    view.painted(2)
    page.get_by_role("heading", name="Painted so far").wait_for()
    page.locator("#strip li button").first.click()
    page.get_by_role("heading", name="Painted", exact=True).wait_for()

    # Keep: the picture, all of it, and the command that makes it again.
    with page.expect_download() as download:
        page.get_by_role("link", name="PNG", exact=True).click()
    picture = Path(download.value.path()).read_bytes()
    with page.expect_download() as download:
        page.get_by_role("link", name="Everything (ZIP)").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(pictures / "unpacked")
    monkeypatch.chdir(pictures / "unpacked")
    words = shlex.split(view.text("#command"))
    name = words[words.index("--output") + 1]
    assert Path(name).read_bytes() == picture
    assert command(*words[1:], "--overwrite").code == 0
    assert Path(name).read_bytes() == picture
    record = Path(name).with_suffix(".json")
    assert command("run", "--record", record, "--output", "again.png").code == 0
    assert Path("again.png").read_bytes() == picture
    assert view.fits()


def test_a_reload_loses_nothing(window: Callable[..., Window], pictures: Path) -> None:
    view = window()
    page = view.page
    view.load(pictures / "painting.png", pictures / "cutout.png")
    page.wait_for_selector("#place:visible")
    page.fill("#place-x", "11")
    page.keyboard.press("Enter")
    page.click("#tab-paint")
    page.click("#preview")
    page.reload()
    page.wait_for_selector(READY, state="attached")
    assert page.locator("#paint").is_visible()
    assert view.doc()["placement"]["at"][0] == 11
    view.painted(1)  # it went on meanwhile
    assert page.locator("#undo").is_enabled()
    page.click("#undo")
    assert view.doc()["placement"]["at"][0] != 11


def test_the_keyboard_alone_goes_the_whole_way(window: Callable[..., Window]) -> None:
    view = window()
    page = view.page

    def tab_to(selector: str) -> None:
        for _ in range(60):
            if page.evaluate(f"document.activeElement.matches({selector!r})"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(selector)

    tab_to("[aria-label='Sample paintings'] button")
    page.keyboard.press("Enter")
    view.until("document.querySelector('.picture strong').textContent !== ''")
    tab_to("[aria-label='Sample cut-outs'] button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#place:visible")
    tab_to("#stage")
    before = view.doc()["placement"]["at"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+Shift+z")
    page.wait_for_timeout(500)
    assert view.doc()["placement"]["at"] == [before[0] + 1, before[1]]
    tab_to("#tab-place")  # Tab leaves the picture
    page.keyboard.press("ArrowRight")
    assert page.locator("#paint").is_visible()
    tab_to("#strength")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    assert "strength" in view.doc()["options"]
    tab_to("#preview")
    assert page.evaluate("document.activeElement.id") == "preview"


def test_fingers_move_and_zoom(window: Callable[..., Window], pictures: Path) -> None:
    view = window(400)
    view.load(pictures / "painting.png", pictures / "cutout.png")
    view.page.wait_for_selector("#place:visible")
    view.page.wait_for_timeout(300)
    size = PAINTING
    x, y = view.screen((80, 60), size)
    before = view.doc()["placement"]["at"]
    view.touch([(x, y), (x + 15, y + 5), (x + 30, y + 10)])
    view.page.wait_for_timeout(100)
    moved = view.doc()["placement"]["at"]
    assert moved[0] > before[0] and moved[1] > before[1]
    view.touch([(x - 30, y), (x - 50, y), (x - 80, y)], [(x + 30, y), (x + 50, y), (x + 80, y)])
    assert view.text("#zoom").endswith("%")
    assert view.doc()["placement"]["at"] == moved
    view.page.click("#zoom")
    assert view.text("#zoom") == "Fit"


def test_the_painting_alone_while_a_key_is_held(
    window: Callable[..., Window], pictures: Path
) -> None:
    view = window()
    with view.page.expect_response(lambda response: "/api/palette" in response.url):
        view.load(pictures / "painting.png", pictures / "cutout.png")
    at = view.screen((80, 60), PAINTING)
    view.page.mouse.click(*view.screen((5, 5), PAINTING))
    view.page.wait_for_timeout(800)
    pasted = view.pixel(at)
    for key in ("p", "Tab"):
        view.page.keyboard.down(key)
        view.page.wait_for_timeout(150)
        alone = view.pixel(at)
        assert view.page.locator("#badge").is_visible()
        view.page.keyboard.up(key)
        view.page.wait_for_timeout(150)
        assert abs(alone - pasted).max() > 3
        assert abs(view.pixel(at) - pasted).max() < 3


def test_errors_are_a_line_where_they_belong(window: Callable[..., Window], pictures: Path) -> None:
    view = window()
    (pictures / "text.png").write_text("no picture")
    view.page.set_input_files("input[data-role=painting]", pictures / "text.png")
    error = view.page.locator(".picture[data-role=painting] .error")
    error.get_by_text("not an image").wait_for()
    assert view.text(".picture[data-role=element] .error") == ""
    view.page.set_input_files("input[data-role=painting]", pictures / "painting.png")
    view.until("document.querySelector('.picture strong').textContent !== ''")
    assert error.inner_text() == ""


def test_what_lies_outside_is_not_painted(window: Callable[..., Window], pictures: Path) -> None:
    view = window()
    view.load(pictures / "painting.png", pictures / "cutout.png")
    view.page.wait_for_selector("#place:visible")
    view.page.fill("#place-x", "-5000")
    view.page.keyboard.press("Tab")
    view.page.get_by_text("It lies outside the painting").wait_for()
    assert view.page.locator("#preview").is_disabled()
    view.page.locator("#badge").wait_for(state="hidden")
    view.page.click("#center")
    view.until("!document.querySelector('#preview').disabled")
    assert view.text("#go-hint") == ""


def test_a_number_that_is_none_is_said_until_one_is_given(
    window: Callable[..., Window], pictures: Path
) -> None:
    view = window()
    view.load(pictures / "painting.png", pictures / "cutout.png")
    view.page.wait_for_selector("#place:visible")
    view.page.fill("#place-w", "")
    view.page.keyboard.press("Tab")
    error = view.page.locator("#place .error")
    error.get_by_text("The width is a number").wait_for()
    view.page.evaluate("new Promise((done) => setTimeout(done, 50))")  # the key's own comes first
    assert "The width is a number" in error.inner_text()
    view.page.fill("#place-w", "40")
    view.page.keyboard.press("Tab")
    view.until("document.querySelector('#place .error').textContent === ''")


def test_a_picture_is_pasted_from_the_clipboard(
    window: Callable[..., Window], pictures: Path
) -> None:
    view = window()
    data = list((pictures / "painting.png").read_bytes())
    view.page.evaluate(
        """(data) => {
          const given = new DataTransfer();
          given.items.add(new File([new Uint8Array(data)], "clip.png", { type: "image/png" }));
          dispatchEvent(new ClipboardEvent("paste", { clipboardData: given }));
        }""",
        data,
    )
    view.page.get_by_text("clip.png", exact=True).wait_for()


def test_the_pages_geometry_is_the_librarys(window: Callable[..., Window]) -> None:
    alpha = np.zeros((60, 90), np.uint8)
    alpha[10:50, 20:80][disc(60, 40) > 0] = 255
    alpha[12, 70:79] = 255
    Image.fromarray(np.dstack([strokes(90, 60), alpha])).save("turned.png")
    view = window(1280, Path("painting.png"), Path("turned.png"))
    for rotate in (0, 30, -75, 90, 180):
        for flip in (None, "horizontal", "vertical"):
            tree = {"at": [31, 47], "width": 70, "rotate": rotate, "flip": flip}
            layout = lay_out(alpha, PAINTING, Placement.parse(tree))
            corner = view.page.evaluate(
                """async (placement) => {
                  const geometry = await import("/assets/geometry.js");
                  const state = await import("/assets/state.js");
                  const file = state.element(), [left, top] = file.box;
                  const scale = placement.width / (file.box[2] - left);
                  const [w, h] = [file.width * scale, file.height * scale];
                  // Of the whole picture's four corners, mirrored and turned: the upright box.
                  const [ox, oy] = geometry.origin(file, placement);
                  const over = placement.flip === "horizontal" ? file.width - file.box[2] : left;
                  const down = placement.flip === "vertical" ? file.height - file.box[3] : top;
                  const x0 = -over * scale, y0 = -down * scale;
                  const all = [[x0, y0], [x0 + w, y0], [x0, y0 + h], [x0 + w, y0 + h]]
                    .map((point) => geometry.turn(point, placement.rotate));
                  const least = (axis) => Math.min(...all.map((point) => point[axis]));
                  return [ox + least(0), oy + least(1)];
                }""",
                tree,
            )
            reach = 3 if layout.angle else 1
            assert layout.columns.start == pytest.approx(max(corner[0], 0), abs=reach)
            assert layout.rows.start == pytest.approx(max(corner[1], 0), abs=reach)


@pytest.mark.parametrize("width", [320, 400, 768, 1280])
def test_nothing_hangs_over_the_edge(
    window: Callable[..., Window], pictures: Path, width: int
) -> None:
    view = window(width)
    assert view.fits()
    view.load(pictures / "painting.png", pictures / "photo.png")
    for tab in TABS:
        view.page.click(f"#tab-{tab}")
        assert view.fits()


@pytest.mark.parametrize("width", [1280, 400])
def test_no_rule_of_accessibility_is_broken(
    window: Callable[..., Window],
    pictures: Path,
    violations: Callable[[Any], list[str]],
    width: int,
) -> None:
    view = window(width)
    page = view.page

    def look(what: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (what, scheme)

    look("empty")
    view.load(pictures / "painting.png", pictures / "cutout.png")
    page.wait_for_selector("#place:visible")
    page.click("#preview")
    view.painted(1)
    for tab in TABS:
        page.click(f"#tab-{tab}")
        if tab == "paint":
            page.locator("#strip li button").first.click()
            page.wait_for_selector("#result:visible")
        look(tab)


def test_undo_opens_the_step_that_it_changes(window: Callable[..., Window], pictures: Path) -> None:
    view = window()
    page = view.page
    view.load(pictures / "painting.png", pictures / "photo.png")
    photo = (200, 150)
    view.drag(view.screen((25, 20), photo), view.screen((175, 130), photo))
    page.wait_for_selector("#cut-use:enabled")
    page.click("#cut-use")
    page.wait_for_selector("#place:visible")
    page.click("#undo")
    page.wait_for_selector("#cut:visible")
    assert view.doc()["element"] is None and view.doc()["cut"]["box"]
    page.click("#redo")
    page.wait_for_selector("#place:visible")
    assert view.doc()["element"]


def test_two_windows_show_the_same_pictures(window: Callable[..., Window], pictures: Path) -> None:
    view = window()
    other = view.context.new_page()
    other.on("pageerror", lambda error: view.wrong.append(str(error)))
    other.goto(f"http://{view.studio.host}/")
    other.wait_for_selector(READY, state="attached")
    view.load(pictures / "painting.png", pictures / "cutout.png")  # the other knows nothing of it
    view.page.wait_for_selector("#place:visible")
    view.page.click("#preview")
    view.painted(1)
    other.locator("#strip li.done button").first.click()
    other.wait_for_selector("#result:visible")


def test_a_run_that_fails_is_a_line_and_placing_goes_on(
    window: Callable[..., Window], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise InputError("no luck today")

    monkeypatch.setattr(Studio, "paint", fail)
    view = window()
    view.load(pictures / "painting.png", pictures / "cutout.png")
    view.page.wait_for_selector("#place:visible")
    view.page.click("#preview")
    view.page.get_by_text("no luck today").wait_for()
    assert view.page.locator("#strip").is_hidden() and "Painting" not in view.text("#badge")
    before = view.doc()["placement"]["at"]
    view.drag(view.screen((80, 60), PAINTING), view.screen((100, 60), PAINTING))
    assert view.doc()["placement"]["at"] != before


def test_where_the_browser_keeps_little_the_last_steps_stay(
    window: Callable[..., Window], pictures: Path
) -> None:
    view = window()
    view.load(pictures / "painting.png", pictures / "cutout.png")
    view.page.wait_for_selector("#place:visible")
    view.page.evaluate(
        """() => {
          const keep = Storage.prototype.setItem;
          Storage.prototype.setItem = function (name, text) {
            if (text.length > 4000) throw new DOMException("full", "QuotaExceededError");
            keep.call(this, name, text);
          };
        }"""
    )
    for value in range(30):
        view.page.fill("#place-x", str(value))
        view.page.keyboard.press("Enter")
    view.page.reload()
    view.page.wait_for_selector(READY, state="attached")
    assert view.doc()["placement"]["at"][0] == 29
    assert view.page.locator("#undo").is_enabled()
