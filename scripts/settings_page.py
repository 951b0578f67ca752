"""Write the reference in docs/settings.md from the settings' own descriptions.

python scripts/settings_page.py            # write it
python scripts/settings_page.py --check    # exit code 1 if it is not current
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harmonize.settings.dump import dump, file_schema
from harmonize.settings.load import Settings
from harmonize.settings.yaml_reader import read_layer

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
MARK = "<!-- From here on: python scripts/settings_page.py -->\n"

Node = dict[str, Any]


def reference() -> str:
    """Return a Markdown table for each section."""
    schema = file_schema()
    tree = read_layer(dump(Settings.preset()), "default").tree
    blocks = []
    for path, node, here in sections(schema, schema, tree):
        title = f"`{path}`" if path else "All settings"
        lines = [f"### {title}", ""]
        if path and "description" in node:
            lines += [node["description"], ""]
        lines += ["| setting | default | meaning |", "| --- | --- | --- |"]
        lines += [row(name, schema, part, here) for name, part in node["properties"].items()]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def sections(
    schema: Node, node: Node, tree: Any, path: str = ""
) -> Iterator[tuple[str, Node, Any]]:
    """Yield each section's path, schema and default values, outermost first."""
    yield path, node, tree
    for name, part in node["properties"].items():
        inner, here = resolved(schema, part), f"{path}.{name}".lstrip(".")
        if "patternProperties" in inner:
            (named,) = inner["patternProperties"].values()
            each = {key: value for key, value in tree[name].items() if value is not None}
            yield from sections(schema, resolved(schema, named), Each(each), f"{here}.NAME")
        elif "properties" in inner:
            yield from sections(schema, inner, below(tree, name), here)


class Each(dict[str, Any]):
    """Values of several passes, by the pass's name."""


def below(tree: Any, name: str) -> Any:
    """Return the value of a key, or of each pass."""
    if isinstance(tree, Each):
        return Each({key: (value or {}).get(name) for key, value in tree.items()})
    return (tree or {}).get(name)


def resolved(schema: Node, node: Node) -> Node:
    """Return a node with its reference followed."""
    for choice in (node, *node.get("anyOf", ())):
        if "$ref" in choice:
            return dict(schema["$defs"][choice["$ref"].rsplit("/", 1)[-1]])
    return node


def row(name: str, schema: Node, part: Node, tree: Any) -> str:
    """Return one setting's line."""
    inner = resolved(schema, part)
    meaning, _, expected = part.get("description", inner.get("description", "")).partition(
        " Expected: "
    )
    # The page says once what a table is.
    expected = expected.replace("a table of style level (1 to 10): number", "a table")
    told = " ".join(filter(None, (meaning, expected and f"*Expected: {expected}*")))
    is_section = "properties" in inner or "patternProperties" in inner
    value = "a section" if is_section else default(below(tree, name))
    return f"| `{name}` | {value} | {told} |".replace("  ", " ")


def default(value: Any) -> str:
    """Return a value, or each pass's where they differ."""
    if not isinstance(value, Each):
        return f"`{shown(value)}`"
    found = {name: shown(part) for name, part in value.items() if part is not None}
    if len(set(found.values())) <= 1 and len(found) == len(value):
        return f"`{next(iter(found.values()))}`"
    return ", ".join(f"{name} `{text}`" for name, text in found.items())


def shown(value: Any) -> str:
    """Return a value as a file of settings has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key:g}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def main() -> int:
    """Write the page, or check it."""
    text = PAGE.read_text(encoding="utf-8")
    head = text[: text.index(MARK) + len(MARK)]
    page = f"{head}\n{reference()}"
    if "--check" in sys.argv[1:]:
        return int(page != text)
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
