"""Settings' problems in words."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from harmonize.settings.schema import Section
from harmonize.settings.yaml_reader import Keys, Layer, Tree, dotted, show

MOST_NAMES = 100  # that a word is compared with; a file may invent any number of them


def describe(layers: Sequence[Layer]) -> list[str]:
    """Return the problems like `mine.yaml: line 3: size: expected …`."""
    return [
        _said(layer.source, *problem)
        for layer in layers
        for problem in sorted(layer.problems, key=lambda problem: problem[1])
    ]


def blamed(
    layers: Sequence[Layer], tree: Tree, error: ValidationError, model: type[Section]
) -> list[Layer]:
    """Return the layers, each with its own errors of `tree`."""
    found = list(layers)
    for path, problem in _explained(error, tree, model):
        index = last_word(layers, path)
        found[index] = found[index].with_problem(path, problem)
    return found


def last_word(layers: Sequence[Layer], path: Keys) -> int:
    """Return the last layer that sets `path` or above."""
    for depth in range(len(path), 0, -1):
        for index in reversed(range(len(layers))):
            if layers[index].says(path[:depth]):
                return index
    return len(layers) - 1


def nearest_word(word: object, valid: Iterable[object]) -> str:
    """Hint at the nearest valid word, or all."""
    names = list(map(str, valid))
    return _close(word, names) or f"; valid: {', '.join(names)}"


def _close(word: object, names: Sequence[str]) -> str:
    if len(names) > MOST_NAMES:
        return ""
    found = difflib.get_close_matches(str(word), names, n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def _said(source: str, path: Keys, line: int, problem: str) -> str:
    place = [source]
    if line:
        place.append(f"line {line}")
    if path and source.removeprefix("--").replace("-", "_") != dotted(path):
        place.append(dotted(path))
    return ": ".join([*place, problem])


def _explained(
    error: ValidationError, tree: Tree, model: type[Section]
) -> Iterable[tuple[Keys, str]]:
    missing: dict[Keys, list[str]] = {}
    for item in error.errors():
        path = tuple(part for part in item["loc"] if part != "[key]")
        if item["type"] == "missing":
            missing.setdefault(path[:-1], []).append(str(path[-1]))
        else:
            yield path, _explain(item, path, model)
    for path, names in missing.items():
        near = ""
        if path[:-1] == ("passes",):  # perhaps a pass's name is misspelled
            near = _close(path[-1], [str(name) for name in tree["passes"] if name != path[-1]])
        yield path, f"missing {', '.join(names)}{near}"


def _explain(item: Mapping[str, Any], path: Keys, model: type[Section]) -> str:
    if item["type"] == "extra_forbidden":
        valid = _fields(path[:-1], model)
        return f"unknown key{nearest_word(path[-1], valid if path[:-1] else [*valid, 'extends'])}"
    if item["type"] == "too_short":
        return "expected at least one pass; got none"
    expected = item["msg"] if item["type"] == "expected" else "settings like `key: value`"
    return f"expected {expected}; got {show(item['input'])}"


def _fields(path: Keys, model: type[Section]) -> list[str]:
    here = model
    for depth, key in enumerate(path):
        if (depth, path[0]) != (1, "passes"):  # there the key is a pass's name
            here = _model_in(here.model_fields[str(key)].annotation) or here
    return list(here.model_fields)


def _model_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_model_in, reversed(get_args(annotation)))), None)
