"""Read YAML with the line of every key and problem.

As in YAML 1.2, `1e-3` is a number, `no` a string, `010` ten.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

LONGEST_TEXT = 50_000  # characters of a text
LONGEST_LIST = 1_000_000  # of a list of jobs
DEEPEST = 40  # mappings and lists within one another
MOST_VALUES = 250_000  # of a text, with what its aliases stand for

Tree = dict[Any, Any]
Keys = tuple[Any, ...]  # keys, from the outermost one
Problem = tuple[Keys, int, str]  # where, on which line (0: of no text), what is wrong


@dataclass(frozen=True)
class Layer:
    """What one `source` (`mine.yaml`, `--size`) says."""

    source: str
    tree: Tree
    lines: Mapping[Keys, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def says(self, path: Keys) -> bool:
        tree: Any = self.tree
        for key in path:
            if not isinstance(tree, dict) or key not in tree:
                return False
            tree = tree[key]
        return True

    def line(self, path: Keys) -> int:
        """Return the line of `path` or the nearest key above, or 0."""
        above = (self.lines.get(path[:depth]) for depth in range(len(path), 0, -1))
        return next(filter(None, above), 0)

    def with_problem(self, path: Keys, problem: str) -> "Layer":
        return replace(self, problems=(*self.problems, (path, self.line(path), problem)))


def read_layer(text: str, source: str, longest: int = LONGEST_TEXT) -> Layer:
    """Read YAML, problems included."""
    reader = _Reader(longest)
    tree = reader.read(text)
    if tree is None or tree is _UNREAD:
        tree = {}
    layer = Layer(source, tree, reader.lines, tuple(reader.problems))
    if isinstance(tree, dict):
        return layer
    wrong = f"expected settings like `size: 700`; got {show(tree)}"
    return replace(layer, tree={}, problems=(((), 1, wrong),))


def read_value(text: str, longest: int = LONGEST_TEXT) -> tuple[Any, tuple[Problem, ...]]:
    """Read any YAML; return value and problems."""
    reader = _Reader(longest)
    value = reader.read(text)
    return (None if value is _UNREAD else value), tuple(reader.problems)


def read_setting(key: str, text: str, source: str) -> Layer:
    """Read one setting."""
    reader = _Reader()
    value = reader.read(text)
    if reader.problems:
        wrong = f"{show(text)}: the value is not YAML ({reader.problems[0][2]}); put it in quotes"
        return Layer(source, {}).with_problem((key,), wrong)
    for part in reversed(key.split(".")):
        value = {part: value}
    return Layer(source, value)


def dotted(path: Keys) -> str:
    """Join keys as `--set` has them."""
    return ".".join(_brief(printable(part)) for part in path)


def printable(name: object) -> str:
    """Return a name on one line."""
    return str(name) if str(name).isprintable() else show(str(name))


def check_depth(tree: object, left: int = DEEPEST) -> None:
    """Raise a ValueError beyond `left` levels."""
    if not left:
        raise ValueError("too deep")
    if isinstance(tree, (dict, list)):
        for item in tree.values() if isinstance(tree, dict) else tree:
            check_depth(item, left - 1)


def show(value: object) -> str:
    """Return a value on one line, shortened."""
    return _brief(repr(value))


def _brief(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


# What PyYAML says → what it means.
PLAINLY = {
    r"found character '\t' that cannot start": "begins with a tab; use spaces",
    "cannot start any token": "YAML takes this character for its own; put the value in quotes",
    "mapping values are not allowed": "a colon too many; put a value that has one in quotes",
    "expected <block end>": "is not in line with what is above it; move it",
    "expected ',' or": "a bracket or brace is not closed; add it",
    "escape": "a backslash in double quotes; use single quotes, or / in names of files",
    "expected '<document start>'": "does not go on with what is above it; expected YAML",
    "found another document": "a second document begins (---); leave one",
}

_UNREAD = object()  # in place of a value that could not be read


class _Reader:
    def __init__(self, longest: int = LONGEST_TEXT) -> None:
        self.longest = longest
        self.lines: dict[Keys, int] = {}
        self.problems: list[Problem] = []
        self.left = MOST_VALUES

    def read(self, text: str) -> Any:
        if len(text) > self.longest:
            return self._note((), 1, f"more than {self.longest:,} characters; expected settings")
        try:
            node = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = " ".join((error.problem or "not YAML").split())
            plain = next((text for start, text in PLAINLY.items() if start in problem), problem)
            return self._note((), mark.line + 1 if mark else 1, plain)
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            return self._note(
                (), line, f"the character {error.character:#x} is not for YAML; remove it"
            )
        try:
            return None if node is None else self._value(node, ())
        except _TooMuch as error:
            self.problems.clear()
            return self._note((), *error.args)

    def _value(self, node: yaml.Node, path: Keys) -> Any:
        self._count(node, len(path))
        if isinstance(node, yaml.MappingNode) and node.tag == _Loader.DEFAULT_MAPPING_TAG:
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _Loader.DEFAULT_SEQUENCE_TAG:
            items = [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
            return _UNREAD if _UNREAD in items else items
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            try:
                return _SCALARS[node.tag](node.value)
            except (ValueError, KeyError):
                return self._note(
                    path, _line_of(node), f"{show(node.value)} cannot be read; put it in quotes"
                )
        return self._note(
            path,
            _line_of(node),
            f"the tag {_brief(printable(node.tag))} is not for settings; leave it out",
        )

    def _mapping(self, node: yaml.MappingNode, path: Keys) -> Tree:
        tree: Tree = {}
        for key_node, value_node, merged in self._pairs(node, path):
            key, line = self._value(key_node, path), _line_of(key_node)
            if not isinstance(key, (str, int, float)):
                self._note(path, line, f"{show(key)} cannot be a key; give a word")
                continue
            here = (*path, key)
            if here in self.lines and merged:
                continue
            if here in self.lines:
                first = self.lines[here]
                self._note(
                    path, line, f"key {show(key)} is repeated (first on line {first}); leave one"
                )
            self.lines.setdefault(here, line)
            value = self._value(value_node, here)
            if value is not _UNREAD:
                tree[key] = value
        return tree

    def _pairs(
        self, node: yaml.MappingNode, path: Keys, depth: int = 0
    ) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        merges: list[yaml.Node] = []
        for key_node, value_node in node.value:
            self._count(key_node, depth)
            if isinstance(key_node, yaml.ScalarNode) and _is_merge(key_node):
                several = isinstance(value_node, yaml.SequenceNode)
                merges += value_node.value if several else [value_node]
            else:
                yield key_node, value_node, depth > 0
        for other in merges:
            if isinstance(other, yaml.MappingNode):
                yield from self._pairs(other, path, depth + 1)
            else:
                self._note(
                    path, _line_of(other), "expected an alias of a mapping, as in `<<: *base`"
                )

    def _count(self, node: yaml.Node, depth: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise _TooMuch(
                _line_of(node), f"aliases for more than {MOST_VALUES:,} values; use fewer"
            )
        if depth > DEEPEST:
            raise _TooMuch(_line_of(node), f"aliases for more than {DEEPEST} levels; use fewer")

    def _note(self, path: Keys, line: int, problem: str) -> object:
        self.problems.append((path, line, problem))
        return _UNREAD


class _TooMuch(Exception):  # noqa: N818 - becomes a problem
    """Takes the line, and what is too much."""


def _is_merge(key: yaml.ScalarNode) -> bool:
    return key.value == "<<" and key.style is None


def _line_of(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            whole = self.anchors.get(event.anchor)
            if isinstance(whole, yaml.CollectionNode) and whole.end_mark is None:
                raise _refused(f"the alias {event.anchor} stands within itself", event)
        else:
            self.anchors.pop(event.anchor, None)
        if self.depth >= DEEPEST:
            raise _refused(f"more than {DEEPEST} levels", event)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _refused(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _yaml_number(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.inf$|\.nan$")

_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: {"true": True, "false": False}[text.lower()],
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": _yaml_number,
    "tag:yaml.org,2002:str": str,
}
for _kind, _form in (
    ("null", re.compile(r"(~|null|Null|NULL|)$")),
    ("bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$")),
    ("int", re.compile(r"[-+]?[0-9]+$")),
    ("float", FLOAT),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _form, None)
