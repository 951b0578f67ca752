"""The report in headless Chromium: `make browser`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harmonize.reports.page import Entry, write_report

pytestmark = pytest.mark.browser

WIDTHS = [400, 1200]
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pages(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of one run, and one of a batch with a failure."""
    folder = tmp_path_factory.mktemp("pages")
    a, b = (runs / f"{name}.json" for name in "ab")
    name = "a_name_that_is_long_and_has_nowhere_to_break_" * 4
    write_report(folder / "one.html", [Entry(f"{EVIL}{name}", "done", a, None)])
    entries = [
        Entry("m10", "done", a, None),
        Entry(f"m9{name}", "skipped", b, None),
        Entry("k", "failed", None, "patch nowhere.png: No such file" * 5),
    ]
    write_report(folder / "many.html", entries)
    return folder


class Tab:
    """A page opened from disk, and all that went wrong in it or out of it."""

    def __init__(self, browser: Any, path: Path, width: int) -> None:
        self.wrong: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 800})
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", self._request)
        self.page.goto(path.as_uri())

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.wrong.append(request.url)

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    def names(self) -> list[str]:
        return [
            text[:3].strip()
            for text in self.page.locator(".cards li:visible strong").all_inner_texts()
        ]


@pytest.fixture
def tab(browser: Any, pages: Path, request: pytest.FixtureRequest) -> Iterator[Tab]:
    name, width = request.param
    tab = Tab(browser, pages / name, width)
    yield tab
    assert not tab.wrong
    tab.page.close()


def at(name: str, *widths: int) -> pytest.MarkDecorator:
    cases = [(name, width) for width in widths or WIDTHS]
    return pytest.mark.parametrize("tab", cases, indirect=True, ids=map(str, cases))


# What lies under a point of the slider: the composite, or the result below it.
UNDER = """() => {
  const top = document.querySelector(".slider .top"), box = top.getBoundingClientRect();
  const inset = getComputedStyle(top).clipPath.match(/inset\\(0px (.*?) 0px 0px\\)/)[1];
  const line = document.querySelector(".slider .line").getBoundingClientRect();
  return {clip: inset, line: (line.left + line.width / 2 - box.left) / box.width};
}"""


@at("one.html")
def test_the_slider_moves_by_mouse_and_by_keyboard(tab: Tab) -> None:
    slider = tab.page.locator(".slider input")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    seen = []
    for share in (0.25, 0.75):
        tab.page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        assert float(slider.input_value()) == pytest.approx(100 * share, abs=8)
        assert tab.run(UNDER)["line"] == pytest.approx(float(slider.input_value()) / 100, abs=0.02)
        seen.append((tab.run(UNDER)["clip"], tab.page.locator(".slider").screenshot()))
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]
    slider.focus()
    before = float(slider.input_value())
    for key, value in (("ArrowRight", before + 1), ("Home", 0), ("End", 100)):
        tab.page.keyboard.press(key)
        assert float(slider.input_value()) == value
        assert slider.get_attribute("aria-valuetext") == f"{value:.0f} % composite"


@at("one.html", 1200)
def test_the_slider_covers_the_result_by_the_composite(tab: Tab) -> None:
    slider = tab.page.locator(".slider input")
    tab.run("document.querySelectorAll('.line, .tag').forEach((item) => item.remove())")
    shots = {}
    for value in ("0", "100"):
        slider.fill(value)
        shots[value] = tab.page.locator(".slider").screenshot()
    tab.run("document.querySelector('.slider .top').remove()")
    alone = tab.page.locator(".slider").screenshot()
    assert shots["0"] == alone
    assert shots["100"] != alone


@at("one.html", 1200)
def test_a_name_is_only_text(tab: Tab) -> None:
    assert tab.page.locator("h2").inner_text().startswith(EVIL)
    assert tab.page.title().startswith(EVIL)


@at("one.html")
def test_pictures_are_there_and_have_words(tab: Tab) -> None:
    pictures = tab.run("[...document.images].map((i) => [i.complete && i.naturalWidth, i.alt])")
    assert len(pictures) == 6
    assert all(width == 96 and alt for width, alt in pictures)


@at("one.html")
def test_curves_are_drawn_within_the_chart(tab: Tab, runs: Path) -> None:
    curves = tab.run("""[...document.querySelectorAll('.chart > svg')].map((chart) => {
      const frame = chart.getBoundingClientRect();
      return [...chart.querySelectorAll('polyline')].map((curve) => {
        const box = curve.getBoundingClientRect(), style = getComputedStyle(curve);
        return [curve.getTotalLength(), style.stroke + style.strokeDasharray,
          box.left >= frame.left && box.right <= frame.right && box.bottom <= frame.bottom];
      });
    })""")
    assert len(curves) == len(json.loads((runs / "a.json").read_text())["passes"])
    for chart in curves:
        assert len(chart) == 4
        assert all(length > 200 and inside for length, _, inside in chart)
        assert len({look for _, look, _ in chart}) == 4
    labels = tab.run("[...document.querySelectorAll('.chart > svg')].map((c) => c.ariaLabel)")
    assert all("content from" in label for label in labels)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@at("one.html")
def test_words_can_be_read_in_light_and_dark(tab: Tab, scheme: str) -> None:
    tab.page.emulate_media(color_scheme=scheme)
    ratios = tab.run("""() => {
      const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
      const light = (color) => {
        canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        const part = (v) => (v /= 255) <= .04 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
        const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
        return .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
      };
      const ground = light(getComputedStyle(document.body).backgroundColor);
      return ['h2', '.quiet', '.badge', 'th', 'td', 'summary', 'footer'].map((name) => {
        const ink = light(getComputedStyle(document.querySelector(name)).color);
        return (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05);
      });
    }""")
    assert min(ratios) >= 4.5


@at("one.html")
def test_actual_size_scrolls_in_its_own_frame(tab: Tab) -> None:
    tab.page.locator(".size").check()
    assert tab.run("document.querySelector('.slider').getBoundingClientRect().width") == 96
    assert no_scroll(tab)


def no_scroll(tab: Tab) -> bool:
    return bool(tab.run("document.documentElement.scrollWidth <= innerWidth"))


@at("one.html", 320, 400, 1200)
def test_one_picture_fits_the_width(tab: Tab) -> None:
    for details in tab.page.locator("summary").all():
        details.click()
    assert no_scroll(tab)


@at("many.html", 320, 400, 1200)
def test_a_gallery_fits_the_width(tab: Tab) -> None:
    assert no_scroll(tab)
    for link in tab.page.locator(".cards a").all():
        link.click()
        assert no_scroll(tab)
        tab.page.locator(".entry:visible .back").click()


@at("many.html")
def test_sorting(tab: Tab) -> None:
    assert tab.names() == ["m10", "m9a", "k"]
    orders = {
        "name": ["k", "m9a", "m10"],  # numbers in names count as numbers
        "status": ["m10", "k", "m9a"],
        "strength": ["m10", "m9a", "k"],  # what has none comes last, whichever way
    }
    for key, expected in orders.items():
        tab.page.select_option("#sort", key)
        assert tab.names() == expected
    tab.page.get_by_role("button", name="Reverse").click()
    assert tab.names() == ["m9a", "m10", "k"]
    tab.page.select_option("#sort", "seconds")
    seconds = tab.run(
        "[...document.querySelectorAll('.cards li')].slice(0, 2).map((c) => +c.dataset.seconds)"
    )
    assert seconds == sorted(seconds, reverse=True)


@at("many.html")
def test_filtering_by_status(tab: Tab) -> None:
    assert tab.page.get_by_role("status").inner_text() == "3 of 3 shown"
    tab.page.get_by_role("checkbox", name="done").uncheck()
    assert tab.names() == ["m9a", "k"]
    tab.page.get_by_role("checkbox", name="failed").uncheck()
    assert tab.names() == ["m9a"]
    assert tab.page.get_by_role("status").inner_text() == "1 of 3 shown"
    tab.page.get_by_role("checkbox", name="done").check()
    assert tab.names() == ["m10", "m9a"]


@at("many.html")
def test_the_keyboard_alone_reaches_everything(tab: Tab) -> None:
    focused = "document.activeElement.id || document.activeElement.tagName"
    tab.page.keyboard.press("Tab")
    assert tab.run(focused) == "sort"
    tab.page.keyboard.press("Tab")
    assert tab.run(focused) == "reverse"
    tab.page.keyboard.press("Space")
    assert tab.page.locator("#reverse").get_attribute("aria-pressed") == "true"
    tab.page.keyboard.press("Space")
    for _ in range(3):
        tab.page.keyboard.press("Tab")
        assert tab.run(focused) == "INPUT"
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    assert tab.page.locator(".gallery:visible").count() == 0
    assert tab.page.locator(".entry:visible").get_attribute("id") == "picture-1"
    assert tab.run("[...document.querySelectorAll('#picture-1 img')].every((i) => i.src)")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    assert tab.names() == ["m10", "m9a", "k"]
    assert tab.run("document.activeElement.getAttribute('href')") == "#picture-1"


@at("many.html")
def test_from_picture_to_picture_in_the_order_shown(tab: Tab) -> None:
    tab.page.select_option("#sort", "name")
    tab.page.get_by_role("checkbox", name="skipped").uncheck()
    assert tab.names() == ["k", "m10"]
    tab.page.locator(".cards a:visible").first.click()
    title = tab.page.locator(".entry:visible h2")
    assert title.inner_text() == "k"
    assert tab.page.locator(".entry:visible .previous").get_attribute("href") is None
    tab.page.locator(".entry:visible .next").click()
    assert title.inner_text() == "m10"
    assert tab.page.locator(".entry:visible .next").get_attribute("href") is None
    tab.page.locator(".entry:visible .previous").click()
    assert title.inner_text() == "k"


@at("many.html", 1200)
def test_a_link_to_one_picture_opens_it_at_once(tab: Tab) -> None:
    tab.page.goto(tab.page.url + "#picture-2")
    tab.page.reload()
    assert tab.page.locator(".entry:visible").get_attribute("id") == "picture-2"
    assert tab.run("document.querySelector('#picture-2 .slider img').naturalWidth") == 96
    tab.page.go_back()
    assert tab.page.locator(".entry:visible").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@at("many.html")
def test_no_rule_of_accessibility_is_broken(
    tab: Tab, violations: Callable[[Any], list[str]], scheme: str
) -> None:
    tab.page.emulate_media(color_scheme=scheme)
    assert violations(tab.page) == []
    tab.page.locator(".cards a").first.click()
    for details in tab.page.locator("summary:visible").all():
        details.click()
    assert violations(tab.page) == []


@at("one.html", 1200)
def test_the_command_can_be_copied(tab: Tab) -> None:
    tab.page.get_by_role("button", name="Copy").click()
    tab.page.get_by_role("button", name="Copied").or_(
        tab.page.get_by_role("button", name="Selected")
    ).wait_for()
