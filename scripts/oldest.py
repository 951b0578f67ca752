"""Print the oldest versions that pyproject.toml allows, extras included: constraints for pip.

    python scripts/oldest.py [PYPROJECT.toml]

Exits 1 at a dependency without both bounds.
"""

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
BOUNDED = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?>=(?P<oldest>[\w.]+),<[\w.]+")


def main() -> None:
    """Print a line for each dependency."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PYPROJECT
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for dependency in (*project["dependencies"], *(item for extra in extras for item in extra)):
        bounds = BOUNDED.fullmatch(dependency)
        if bounds is None:
            sys.exit(f"{path}: {dependency}: expected a lower and an upper bound, as in a>=1,<2")
        print(f"{bounds['name']}=={bounds['oldest']}")


if __name__ == "__main__":
    main()
