"""The JSON Schema of settings, for editors."""

from typing import Any

from harmonize.settings.load import Settings, presets


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
