"""Make the studio's pictures in docs/images; needs Chromium."""

from __future__ import annotations

import io
import os
import shutil
import threading
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from harmonize.studio.server import serve

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"
TARGET = ROOT / "docs" / "images"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


def main() -> None:
    """Go the way of the duck; keep two pictures."""
    ready, found = threading.Event(), list[Any]()

    def on_ready(address: str, end: Any) -> None:
        found.extend((address, end))
        ready.set()

    pictures = SAMPLES / "paintings/the-garden-at-bougival-1884.jpg", SAMPLES / "cutouts/duck.png"
    thread = threading.Thread(target=serve, args=pictures, kwargs={"on_ready": on_ready})
    thread.start()
    ready.wait()
    try:
        _look(*found)
    finally:
        found[1]()
        thread.join()


def _look(address: str, _: Any) -> None:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.wait_for_selector("#place:visible")
        for name, value in (("x", "690"), ("y", "480"), ("w", "330")):
            page.fill(f"#place-{name}", value)
            page.keyboard.press("Enter")
        page.wait_for_timeout(1500)
        page.wait_for_selector("#badge", state="hidden", timeout=120_000)  # the palette map
        page.wait_for_timeout(500)
        _keep(page, "studio-place.jpg")
        page.click("#tab-paint")
        page.click("#do-paint")
        page.wait_for_selector("#strip li.done", timeout=600_000)
        page.locator("#compare input").fill("77")
        page.locator(".sheets").evaluate("sheet => sheet.scrollTo(0, 0)")  # no paths in a picture
        page.wait_for_timeout(500)
        _keep(page, "studio-painted.jpg")
        chromium.close()


def _keep(page: Any, name: str) -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").save(TARGET / name, quality=80, optimize=True)


if __name__ == "__main__":
    main()
