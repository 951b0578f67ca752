"""Messages name the API's words in the library, flags in the command."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

import harmonize
from harmonize import errors
from harmonize.cli.app import app
from harmonize.cli.options import in_flags, in_keys

PACKAGE = Path(harmonize.__file__).parent
ERRORS = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
# What else makes messages: of files that are not read, of jobs, of settings; warnings in lists.
SPEAKING = {*ERRORS, "Unreadable", "Refused", "with_problem", "append"}

# The library's names that are no parameter of it, but options of the command alone.
ONLY_FLAGS = {"--engine", "--address", "--num-cpus", "--num-gpus", "--transfer", "--max-pixels"}


def texts(node: ast.AST) -> Iterator[str]:
    """The texts in an expression, with {} for what is filled in."""
    for child in ast.walk(node):
        if isinstance(child, ast.JoinedStr):
            parts = (
                part.value if isinstance(part, ast.Constant) else "{}" for part in child.values
            )
            yield "".join(map(str, parts))
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value


def messages(library: bool) -> list[tuple[str, str]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith("cli/") == library:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        raised = (
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in SPEAKING
        )
        found += [
            (f"{name}:{node.lineno}", text)
            for node in raised
            for text in texts(node)
            if " " in text.strip()
        ]
    return found


@cache
def flags() -> set[str]:
    commands = [get_command(app)]
    known = set()
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        known |= {flag for param in command.params for flag in param.opts}
    return known


def test_messages_are_found_wherever_they_are_made() -> None:
    said = "\n".join(f"{where} {text}" for where, text in messages(library=True))
    for folder in ("images/", "scene/", "run/", "settings/", "batch/", "synthesis/", "studio/"):
        assert f"\n{folder}" in f"\n{said}"
    for text in ("is read here", "has no painting", "no such pass", "is left out"):
        assert text in said


@pytest.mark.parametrize(("where", "text"), messages(library=True))
def test_the_library_speaks_of_its_own_names(where: str, text: str) -> None:
    own = set(re.findall(r"--[a-z][\w-]*", text)) - ONLY_FLAGS
    assert not own, f"{where}: {text!r}: write `name`, which the command turns into a flag"


@pytest.mark.parametrize(("where", "text"), [*messages(library=True), *messages(library=False)])
def test_the_command_speaks_of_flags_that_it_has(where: str, text: str) -> None:
    named = set(re.findall(r"--[a-z][\w-]*", in_flags(text)))
    assert named <= flags(), f"{where}: {text!r} names {named - flags()}"


def test_names_become_flags() -> None:
    said = "`at`: lies outside; see `keep_color`, `size=400`, `overwrite=True` or `painting`"
    told = "--at: lies outside; see --keep-color, --size 400, --overwrite or --style"
    assert in_flags(said) == told
    assert in_flags("run `pip install 'x[y]'`, {`name`}") == "run `pip install 'x[y]'`, {--name}"
    assert (
        in_keys("`element`: gone; see `size=400`, `width`")
        == "`patch`: gone; see `size: 400`, `width`"
    )
    assert in_keys("`max_memory=1GB` is too little") == "--max-memory 1GB is too little"
