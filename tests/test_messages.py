"""What is said to the user: in names of the API by the library, in flags by the command."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from typer.main import get_command

import harmonize
from harmonize import errors
from harmonize.cli.app import app
from harmonize.cli.options import in_flags, in_keys

PACKAGE = Path(harmonize.__file__).parent
ERRORS = {name for name, _ in inspect.getmembers(errors, inspect.isclass)} | {"Unreadable"}
# What refuses: errors, jobs that are left out, problems of settings and of their text.
REFUSING = {*ERRORS, "HTTPException", "Refused", "with_problem", "_note", "_TooMuch"}
SPEAKING = {*REFUSING, "append"}  # and warnings, in lists
HOLE, REFUSAL = "{}", "{…}"  # what is filled in, and another refusal's words

# A refusal says what to do: a clause begins with one of these verbs, or it says what was expected,
# or which word is nearest.
VERBS = """
    add ask brush check choose compare cut delete develop draw export give install leave
    load make move name open put raise remove rename run save say scale see set start stop
    try update use wait write
"""
WHAT_TO_DO = re.compile(
    rf"(^|[;:,.(] |\b(or|and) )({'|'.join(VERBS.split())})\b|\bexpected\b|; did you mean|; valid: ",
    re.IGNORECASE,
)
# `harmonize doctor` says what to do beside these.
WITHOUT = {"the result differs from the painting outside the mask"} | {
    "the result does not differ from the painting inside the mask"
}


@cache
def trees() -> dict[str, ast.Module]:
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def functions() -> dict[str, list[ast.FunctionDef]]:
    found: dict[str, list[ast.FunctionDef]] = {}
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append(node)
    return found


@cache
def constants() -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for tree in trees().values():
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found.setdefault(node.targets[0].id, []).append(node.value)
    return found


def made(call: ast.Call) -> str:
    return ast.unparse(call.func).split(".")[-1]


# All texts that an expression in a function may be, as far as the code tells.
def texts(node: ast.AST | None, scope: ast.AST, deep: int = 0) -> set[str]:
    found: set[str] = set()
    if deep > 12:
        return {HOLE}

    def of(inner: ast.AST | None, scope: ast.AST = scope) -> set[str]:
        return texts(inner, scope, deep + 1)

    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.JoinedStr):
        return {"".join(parts) for parts in product(*map(of, node.values))}
    if isinstance(node, ast.BinOp):
        return {"".join(parts) for parts in product(of(node.left), of(node.right))}
    if isinstance(node, ast.FormattedValue):
        return of(node.value)
    if isinstance(node, ast.IfExp):
        return of(node.body) | of(node.orelse)
    if isinstance(node, ast.BoolOp):
        return set().union(*(of(value) - {""} for value in node.values[:-1]), of(node.values[-1]))
    if isinstance(node, ast.Attribute):
        found = set().union(*map(of, constants().get(node.attr, ())))
        return {"no such file"} if node.attr == "strerror" else found or {HOLE}
    if isinstance(node, ast.Call):
        for function in functions().get(made(node), ()):
            for inner in ast.walk(function):
                found |= of(inner.value, function) if isinstance(inner, ast.Return) else set()
    if isinstance(node, ast.Name):
        found = set().union(*map(of, constants().get(node.id, ())))
        for inner in ast.walk(scope):
            if isinstance(inner, ast.ExceptHandler) and inner.name == node.id:
                found |= {REFUSAL} if ast.unparse(inner.type or inner) in ERRORS else set()
            value = assigned(inner, node.id)
            if value and node.id not in {getattr(part, "id", "") for part in ast.walk(value)}:
                found |= of(value)
    return found or {HOLE}


def assigned(node: ast.AST, name: str) -> ast.expr | None:
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.NamedExpr) else targets
    return node.value if any(getattr(one, "id", "") == name for one in targets) else None


@cache
def messages(kinds: frozenset[str]) -> list[tuple[str, str]]:
    found = set()
    for name, tree in trees().items():
        scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and made(node) in kinds:
                around = [one for one in scopes if one.lineno <= node.lineno <= one.end_lineno]
                scope = max(around, key=lambda one: one.lineno, default=tree)
                said = set().union(*(texts(part, scope) for part in node.args))
                found |= {(f"{name}:{node.lineno}", text) for text in said}
    worded = re.compile(r"[a-z]{3}.* |^[A-Z].* ")
    return sorted(pair for pair in found if worded.search(pair[1].replace(HOLE, "")))


ALL, REFUSALS = (messages(frozenset(kinds)) for kinds in (SPEAKING, REFUSING))


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
    said = "\n".join(f"{where} {text}" for where, text in REFUSALS)
    folders = "images scene run settings batch synthesis studio cli"
    for folder in folders.split():
        assert f"\n{folder}/" in f"\n{said}"
    for text in (
        "a TIFF of {} bits a channel is not read here; save it with 16",  # in another's words
        "is there and no {}; give another name",
        "unknown keyword; did you mean {}?",  # from a function
        "no such pass; valid: {}",
        "not a run record (not JSON); give the .json",  # from a constant
        "cannot write there (no such file); choose another place",  # the system's
        "key {} is repeated (first on line {})",
    ):
        assert text in said
    assert any("is left out" in text for _, text in ALL)


@pytest.mark.parametrize(("where", "text"), REFUSALS)
def test_every_refusal_says_what_to_do(where: str, text: str) -> None:
    assert WHAT_TO_DO.search(text) or text.endswith(REFUSAL) or text in WITHOUT, f"{where}: {text}"


@pytest.mark.parametrize("text", ["painting a.png: is empty", "the mask is empty; white marks it"])
def test_what_is_only_said_is_no_advice(text: str) -> None:
    assert not WHAT_TO_DO.search(text)


@pytest.mark.parametrize(("where", "text"), ALL)
def test_the_library_speaks_of_its_own_names(where: str, text: str) -> None:
    if not where.startswith(("cli/", "studio/")):  # a page is a command's
        flags = re.findall(r"--[a-z][\w-]*", text.replace("ray start --head", ""))
        assert not flags, f"{where}: {text!r}: write `name`, which the command turns into a flag"


@pytest.mark.parametrize(("where", "text"), ALL)
def test_the_command_speaks_of_flags_that_it_has(where: str, text: str) -> None:
    named = set(re.findall(r"--[a-z][\w-]*", in_flags(text.replace("ray start --head", ""))))
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
