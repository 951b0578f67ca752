"""Texts in YAML and JSON with something wrong in them."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import yaml
from hypothesis import strategies as st

from fuzz.case import Data
from fuzz.pictures import damaged, damages

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 0.5, -0.0, 1e308, 1e-320, float("inf"), float("nan"), 2**31,
    2**63, 10**30, 10**400, "", "x", "a b", "\0", "a\nb", "😀", "\ud800", "auto", "native",
    "strong", "default", "../x", "/etc/passwd", "/dev/null", "{strength}", "{x}", "*", "**",
    "[", "a.png", "<script>", "\x1b[31m", "x" * 300, "1,1", "nan", "1e999", [], {}, [1, 2], [[]],
    ["a", 1], [1, 5], {"a": 1}, {"": {}}, {"1": 2}, {"5": -1}, [None], ["a=b"], ["size=32"],
)  # fmt: skip
SNIPPETS = (
    "&a [*a]", "*a", "!!python/object/apply:os.system ['true']", "\t", "{" * 50, "[" * 3000, "? ",
    "- ", ": ", "%YAML 9\n---\n", "---\n---\n", "<<: {a: 1}\n", "\0", "\x85", "\ufeff", "|\n  x",
    "0x1f", "1_000", "2024-01-01", "1:30", ".inf", "!!binary x", "# x", "'", '"', "{a: 1, a: 2}",
    "&b {c: *b}", "~: ~\n", "9" * 5000, "\ud83d", "1e400", "[&a x, *a, *a]", "? [a]\n: b\n",
)  # fmt: skip


@st.composite
def _paths(draw: st.DrawFn, tree: Any) -> tuple[Any, ...]:
    """A way into the tree, ending at any depth alike."""
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = draw(st.sampled_from(keys))
    within = tree[key]
    if isinstance(within, (dict, list)) and within and draw(st.integers(0, 3)):
        return (key, *draw(_paths(within)))
    return (key,)


@st.composite
def trees(draw: st.DrawFn, tree: Any, most: int = 3) -> Any:
    """The tree with parts replaced, renamed, left out or doubled."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(0, most))):
        if not tree:
            break
        *above, key = draw(_paths(tree))
        place = tree
        for step in above:
            place = place[step]
        deed = draw(st.sampled_from(["value", "value", "value", "drop", "rename", "wrap", "add"]))
        if deed == "value":
            place[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif deed == "drop":
            del place[key]
        elif deed == "wrap":
            place[key] = [place[key]]
        elif isinstance(place, dict):
            name = draw(
                st.sampled_from(["x", "steps", "size", "style", "", "1", "a\nb", "\0", "😀"])
            )
            place[name] = copy.deepcopy(place[key])
            if deed == "rename" and name != key:
                del place[key]
    return tree


def _written(tree: Any, flow: bool) -> bytes:
    if flow:
        return json.dumps(tree).encode()
    return yaml.safe_dump(tree, allow_unicode=False).encode("utf-8", "surrogatepass")


@st.composite
def files(draw: st.DrawFn, tree: Any, *, flow: bool | None = None) -> Data:
    """The tree as JSON (`flow`) or block YAML, with damages."""
    wrong = draw(trees(tree))
    data = _written(wrong, draw(st.booleans()) if flow is None else flow)
    if draw(st.integers(0, 3)) == 0:
        snippet = draw(st.sampled_from(SNIPPETS)).encode("utf-8", "surrogatepass")
        at = int(draw(st.floats(0, 1)) * len(data))
        data = data[:at] + snippet + data[at:]
    for kind, where, number in draw(damages()):
        data = damaged(data, kind, where, number)
    return Data(data)


def noise(seed: int) -> str:
    source = random.Random(seed)
    return "".join(
        source.choice("abz019 .,:;-_=+{}[]()'\"\\/#&*!|>%@`~\n\té😀\udcff")
        for _ in range(source.randrange(12))
    )


GARBAGE = st.integers(0, 10_000).map(noise) | st.sampled_from(
    ["", " ", "nan", "inf", "-inf", "1e999", "-1", "0", "9" * 30, "9" * 500, "1e308", "0x10", "1_0",
     "١", "1,2,3", "null", "true", "\n", "[]", "{}", "--overwrite"]
)  # fmt: skip
