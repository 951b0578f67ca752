from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harmonize.settings.load import Settings

ROOT = Path(__file__).parents[2]


def test_the_page_of_settings_is_current() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "settings_page.py", "--check"])
    assert done.returncode == 0, "run `python scripts/settings_page.py`"


def test_every_setting_is_on_the_page_with_its_meaning() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    tree = Settings.preset().model_dump()
    settings = list(tree) + list(next(iter(tree["passes"].values())))
    for name in settings:
        lines = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert lines and all(len(line.split("|")[3].split()) > 2 for line in lines), name
