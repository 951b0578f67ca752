"""Settings as YAML, and the JSON Schema of their files, for editors."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from harmonize.settings.load import Settings, build, by_name, layers_of, presets
from harmonize.settings.messages import last_word
from harmonize.settings.yaml_reader import FLOAT, Keys, Layer, Tree, read_layer


def dump(config: Settings) -> str:
    """Return YAML that `loads` reads back."""
    tree = {"extends": None, **config.model_dump()}
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))


def annotated(name_or_path: str | Path = "default", overrides: Sequence[str] = ()) -> str:
    """Return settings as YAML, each with its source."""
    layers = layers_of(name_or_path, overrides)
    text = dump(build(layers))
    written = read_layer(text, "dump")
    lines = text.split("\n")
    for path in _leaves(written.tree):
        index = written.lines[path] - 1
        lines[index] = f"{lines[index]:<46}  # {_origin(layers, path)}"
    return "\n".join(lines)


class _Dumper(yaml.SafeDumper):
    def represent_list(self, data: Any) -> yaml.SequenceNode:
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)

    def represent_dict(self, data: Any) -> yaml.MappingNode:
        return self.represent_mapping("tag:yaml.org,2002:map", data, flow_style=not by_name(data))

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(tuple, _Dumper.represent_list)
_Dumper.add_representer(dict, _Dumper.represent_dict)
_Dumper.add_representer(str, _Dumper.represent_str)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, None)


def _leaves(tree: Tree, path: Keys = ()) -> Iterator[Keys]:
    for key, value in tree.items():
        here = (*path, key)
        if by_name(value):
            yield from _leaves(value, here)
        elif here != ("extends",):
            yield here


def _origin(layers: Sequence[Layer], path: Keys) -> str:
    layer = layers[last_word(layers, path)]
    if not layer.says(path):
        return "left out"
    line = layer.line(path)
    return f"{layer.source}, line {line}" if line else layer.source


def file_schema() -> dict[str, Any]:
    """Return the schema; no key is required."""
    schema = _of_files(Settings.model_json_schema())
    passes = schema["properties"]["passes"]
    named = {
        name: {"anyOf": [one, {"type": "null"}]}
        for name, one in passes["patternProperties"].items()
    }
    schema["properties"] = {
        "extends": {
            "description": "The preset that the file changes; null: none, the file is complete.",
            "enum": [*presets(), None],
            "default": "default",
        },
        **schema["properties"],
        "passes": {
            "description": passes["description"],
            "type": "object",
            "patternProperties": named,
            "additionalProperties": False,
        },
    }
    # The draft that editors know best.
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _of_files(node: Any) -> Any:
    if isinstance(node, list):
        return [_of_files(item) for item in node]
    if not isinstance(node, dict):
        return node
    rest = {k: _of_files(v) for k, v in node.items() if k not in ("required", "title", "default")}
    if len(rest.get("allOf", ())) == 1:  # older releases of pydantic say the same in more words
        rest |= rest.pop("allOf")[0]
    if "const" in rest:
        rest.pop("enum", None)
    words = rest.pop("expected", None)
    if "description" in rest:
        told = " ".join(rest["description"].split())
        rest["description"] = f"{told} Expected: {words}." if words else told
    return rest
