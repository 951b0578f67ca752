"""Each test is a part of what a user can get wrong."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ONE_PASS
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.case import Absent, Content, Data, Folder, Link, Locked, played
from fuzz.pictures import COLORS, SHAPES, SIZES, SUFFIXES, Drawn, drawings
from fuzz.runs import QUICK, Run, ran
from fuzz.texts import GARBAGE, files
from harmonize.settings import load as config
from harmonize.synthesis.network import weights

# Fewer cases than other tests have: each is a whole run of the command.
cases = settings(max_examples=settings.default.max_examples * 2 // 5)

# Where what is painted does not matter.
ONE = tuple(f"--set={setting}" for setting in (*ONE_PASS, "size=32"))
PAINTING = Drawn((48, 40))
CUTOUT = Drawn((24, 20), seed=3, mode="RGBA", alpha="disc")
MASK = Drawn((24, 20), look="disc", mode="L")
PLACES = {"p.png": PAINTING, "c.png": CUTOUT, "m.png": MASK}
ASIDE = ("--style=p.png", "--patch=c.png", "--at=12,10")


@pytest.fixture(scope="module", autouse=True)
def one_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        read = weights.load_weights
        bundled = functools.cache(lambda: read("oxford"))
        patch.setattr(
            weights, "load_weights", lambda name: bundled() if name == "oxford" else read(name)
        )
        yield


def some(strategy: st.SearchStrategy[Any], often: int = 1) -> st.SearchStrategy[Any]:
    """None or, `often` times as often, one of these."""
    return st.one_of(st.none(), *[strategy] * often)


# --- pictures, masks, placements ------------------------------------------------------------------


@st.composite
def pictures(draw: st.DrawFn) -> Run:
    """Pictures of any format and mode; patch and masks fit, mostly."""
    painting = draw(drawings())
    cut_out = draw(st.booleans())
    size = draw(SIZES) if cut_out else painting.shown
    patch = draw(drawings(size=st.just(size), alpha=some(st.sampled_from(SHAPES), 2)))
    given = {"p": painting, "c": patch}
    same = st.just(size) | st.just(patch.shown) | SIZES
    for name in ("m", "l"):
        if draw(st.booleans()):
            given[name] = draw(drawings(size=same, look=st.sampled_from(SHAPES + COLORS)))
    suffix = some(st.sampled_from(SUFFIXES))
    names = {key: key + (draw(suffix) or drawn.suffix) for key, drawn in given.items()}
    corner = st.tuples(st.integers(-20, painting.shown[0]), st.integers(-20, painting.shown[1]))
    return Run(
        painting=names["p"],
        patch=names["c"],
        mask=names.get("m"),
        loose_mask=names.get("l"),
        at="{},{}".format(*draw(corner)) if cut_out else None,
        output="out" + draw(st.sampled_from(SUFFIXES)),
        files={names[key]: drawn for key, drawn in given.items()},
    )


@cases
@given(pictures())
def test_pictures(run: Run) -> None:
    with ran(run):
        pass


@st.composite
def placements(draw: st.DrawFn) -> Run:
    side = st.integers(8, 64)
    shape = st.sampled_from(SHAPES)
    sound = st.just(())
    painting = draw(drawings(size=st.tuples(side, side), damage=sound, mode=st.just("RGB")))
    patch = draw(drawings(size=st.tuples(side, side) | st.just(painting.shown), damage=sound))
    given = {"p.png": painting, "c.png": patch}
    for name in ("m.png", "l.png"):
        if draw(st.booleans()):
            size = st.just(patch.shown) | st.just(painting.shown)
            given[name] = draw(drawings(size=size, look=shape, damage=sound))
    number = st.integers(-30, 60) | st.sampled_from([-(10**9), 10**9, 10**30, 2**31, -(2**63)])
    at = st.tuples(number, number).map("{0[0]},{0[1]}".format) | GARBAGE
    length = st.integers(-5, 200).map(str) | GARBAGE
    factor = st.floats(0.01, 9).map(str) | st.floats(width=64).map(str) | GARBAGE
    return Run(
        painting="p.png",
        patch="c.png",
        mask="m.png" if "m.png" in given else None,
        loose_mask="l.png" if "l.png" in given else None,
        at=draw(some(at, 4)),
        width=draw(some(length)),
        scale=draw(some(factor)),
        files=given,
    )


@cases
@given(placements())
def test_masks_and_placements(run: Run) -> None:
    with ran(run):
        pass


# --- names and places -----------------------------------------------------------------------------

NAMES = (
    "a b", "a\nb", "😀", "\udcff\udcfe", "-x", "--overwrite", "x" * 180, "[a]", "{painting}",
    "a.b.c", "~", "%s", "<script>", "'\"", "\x1b[31m", "ünï", " ", "...", "a\\b", "*", "$HOME", 
    "\u2028",
)  # fmt: skip
HARD = (
    "missing/out.png", "out.png/x.png", "p.png", "c.png", "out.json", "folder", "folder/", "", ".",
    "/", "..", "/proc/out.png", "/dev/null", "/dev/null/x.png", "x" * 300 + ".png", "out",
    "out.txt", "x" * 245 + ".png", "out.png.json", "OUT.PNG", "loop.png", "dangling.png",
    "toward.png", "out.jpg", "old.png", "old.json", ".png", "./out.png",
    "folder/../out.png", "\udcff.png", "frame-0001.png",
    "folder/frame-0001.png",
)  # fmt: skip
LINKS = {
    "loop.png": Link("loop.png"),
    "dangling.png": Link("nowhere.png"),
    "toward.png": Link("p.png"),
    "folder": Folder(),
    "old.png": Data(b"an old picture"),
    "old.json": Data(b"{}"),
}


def contents(sound: Content) -> st.SearchStrategy[Content]:
    """The content, mostly; else no file."""
    others = [
        Absent(),
        Folder(),
        Link("nowhere"),
        Link("loop.png"),
        Link("toward.png"),
        Locked(sound),
    ]
    return st.one_of(*[st.just(sound)] * 6, st.sampled_from(others))


@st.composite
def places(draw: st.DrawFn) -> Run:
    """Good pictures under odd names, results to odd places."""
    stems = draw(
        st.lists(st.sampled_from(NAMES) | st.just("p"), min_size=3, max_size=3, unique=True)
    )
    sound = dict(zip([f"{stem}.png" for stem in stems], PLACES.values(), strict=True))
    given = {name: draw(contents(content)) for name, content in sound.items()}
    result = st.sampled_from(HARD) | st.sampled_from(NAMES).map("{}.png".format)
    output = st.just("out.png") | result
    flags = st.lists(st.sampled_from(["--overwrite", "--report", "--save-every=1"]), unique=True)
    painting, patch, mask = given
    return Run(
        painting=painting,
        patch=patch,
        mask=draw(some(st.just(mask))),
        at="12,10",
        output=draw(some(output, 3)),
        sheet=draw(some(result)),
        frames=draw(
            some(
                st.sampled_from(
                    ["frames", "folder", "folder/a/b", "p.png", "", "\udcff", "loop.png"]
                )
                | result
            )
        ),
        options=tuple(draw(flags)),
        files=given,
        more={name: content for name, content in LINKS.items() if name not in given},
    )


@cases
@given(places())
def test_names_and_places(run: Run) -> None:
    with ran(run):
        pass


# --- settings -------------------------------------------------------------------------------------

FULL = json.loads(json.dumps(config.Settings.preset().model_dump(mode="json")))
FILES = (
    {"extends": "preview", "strength": "medium", "passes": {"refine": {"steps": 30}}},
    {"extends": None, **FULL},
    {"keep": 2, "passes": {"coarse": {"terms": {"tv": None, "style": {"weight": {1: 2, 5: 3}}}}}},
)
KEYS = st.sampled_from(
    ["size", "passes.refine.steps", "passes.coarse.terms.tv", "finish.vote", "finish.detail.amount",
     "passes", "x", "", ".", "a..b", "passes.refine.field.taps", "extends", "passes.refine"]
)  # fmt: skip
VALUES = (
    st.sampled_from(["1", "null", "{}", "[1]", "{1: 2, 5: .nan}", "[relu4_1]", "1e400"]) | GARBAGE
)
SETTINGS = st.one_of(*map(files, FILES))
SINGLE = st.tuples(KEYS, VALUES).map("=".join) | GARBAGE


@cases
@given(SETTINGS, st.lists(SINGLE, max_size=2), st.sampled_from(["check", "show"]))
def test_settings(file: Data, single: list[str], deed: str) -> None:
    more = [f"--set={text}" for text in single] if deed == "show" else ["default", "missing\n.yaml"]
    with played({"a\n.yaml": file}, ["config", deed, "a\n.yaml", *more]) as outcome:
        if deed == "show" and outcome.code == 0:
            config.loads(outcome.out)


NUMBERS = st.sampled_from(
    [
        0,
        1,
        2,
        3,
        5,
        7,
        64,
        1e-30,
        1e-9,
        0.3,
        0.999,
        1,
        10,
        1e4,
        1e30,
        1e300,
        -1,
        2**31,
        2**63,
        10**30,
    ]
)


def dotted(tree: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict) and not all(name[0].isdigit() for name in value):
            yield from dotted(value, f"{above}{key}.")
        else:
            yield above + key


NUMERIC = st.tuples(st.sampled_from(list(dotted(FULL))), NUMBERS).map("{0[0]}={0[1]}".format)
OPTIONS = st.one_of(
    st.tuples(
        st.sampled_from(["--size", "--strength", "--keep", "--seed", "--device", "--weights"]),
        GARBAGE
        | st.sampled_from(["cuda:9", "mps", "w.pth", "w.safetensors", "torchvision.pth", "p.png"]),
    ).map("=".join),
    NUMERIC.map("--set={}".format),
    NUMERIC.map("--set={}".format),
    SINGLE.map("--set={}".format),
    st.sampled_from(["--config=a.yaml", "--config=a.yaml", "--config=folder", "--config=loop.png"]),
)


@cases
@given(st.lists(OPTIONS, max_size=3), SETTINGS, st.binary(max_size=200))
def test_settings_of_runs(options: list[str], file: Data, weights_file: bytes) -> None:
    given = {**PLACES, **LINKS, "a.yaml": file}
    given |= {"w.pth": Data(weights_file), "w.safetensors": Data(weights_file)}
    run = Run("p.png", "c.png", PLACES, at="12,10", options=tuple(options), more=given)
    with ran(run):
        pass


# --- many pictures --------------------------------------------------------------------------------

JOBS = {
    "defaults": {"style": "p.png", "config": "preview", "set": ["size=32"]},
    "jobs": [
        {"patch": "c.png", "at": "12,10", "width": 20, "settings": {"strength": [1, 5]}},
        {"patch": "c*.png", "mask": "m.png", "at": [1, 2], "scale": 0.5, "keep": 2,
         "output": "sub/{painting}-{patch}-{index}"},
    ],
}  # fmt: skip
FLAGS = st.lists(
    st.sampled_from(
        ["--restart", "--fail-fast", "--report", "--log-json=log", "--log-json=folder",
         "--log-json=", "--workers=0", "--set=x", "--config=missing", "--output-dir=out",
         "--output-dir=p.png", "--output-dir=loop.png", "--output-dir=folder", "--output-dir=a/b",
         "--output-dir=\udcff", "--output-dir="]
    ),
    max_size=2, unique=True,
)  # fmt: skip
MOSTLY_DRY = st.sampled_from([("--dry-run",)] * 4 + [()])


def batched(given: dict[str, Content], words: list[str]) -> None:
    with played(given, words) as outcome:
        if "--dry-run" in words:
            assert not outcome.new
        assert not outcome.changed
        for path in outcome.new:
            assert path == "log" or path.split("/")[0] not in given or path.startswith("folder/")


@cases
@given(files(JOBS), FLAGS, MOSTLY_DRY)
def test_lists(file: Data, flags: list[str], dry: tuple[str, ...]) -> None:
    given = {**PLACES, **LINKS, "jobs.yaml": file}
    batched(given, ["batch", "jobs.yaml", *flags, *dry, *ONE])


@st.composite
def folders(draw: st.DrawFn) -> dict[str, Content]:
    stem = st.sampled_from(["x.", "y.", "", "sub/x.", "a\nb.", "\udcff.", "..", "sub/😀."])
    role = st.sampled_from(["painting", "patch", "mask", "loose", "other", "Patch"])
    suffix = st.sampled_from([".png", ".png", ".jpg", ".json", ".txt", ""])
    names = st.tuples(stem, role, suffix).map("".join).map("in/{}".format)
    found: dict[str, Content] = {}
    for name in draw(st.lists(names, max_size=5, unique=True)):
        alpha = "disc" if "patch" in name else None
        sound = Drawn((48, 40), mode="RGBA" if alpha else "RGB", alpha=alpha)
        found[name] = draw(contents(sound) | drawings())
    return found


@cases
@given(folders(), FLAGS, MOSTLY_DRY)
def test_folders(found: dict[str, Content], flags: list[str], dry: tuple[str, ...]) -> None:
    given = {**PLACES, **LINKS, "in/empty.txt": Data(b""), **found}
    batched(given, ["batch", "in", *flags, *dry, *ONE])


# --- records and pictures of earlier runs ---------------------------------------------------------


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run's inputs, picture and record."""
    folder = tmp_path_factory.mktemp("earlier")
    with played(PLACES, ["run", *ASIDE, "--mask=m.png", "--output=out.png", *QUICK]) as outcome:
        assert outcome.code == 0
        shutil.copytree(".", folder, dirs_exist_ok=True)
        tree = json.loads(Path("out.json").read_bytes())
        for entry in tree["inputs"].values():
            entry["path"] = str(folder / Path(entry["path"]).name)
        (folder / "out.json").write_text(json.dumps(tree))
    return folder


@cases
@given(st.data())
def test_records(earlier: Path, data: st.DataObject) -> None:
    tree = json.loads((earlier / "out.json").read_bytes())
    flags = data.draw(
        st.lists(st.sampled_from(["--overwrite", "--patch=c.png", "--report"]), unique=True)
    )
    output = data.draw(some(st.sampled_from(["--output=again.png", "--output=out.png"]), 2))
    given = {**PLACES, **LINKS, "out.json": data.draw(files(tree, flow=True))}
    words = ["run", "--record", "out.json", *flags, *([output] if output else []), *ONE]
    with played(given, words) as outcome:
        assert outcome.code != 1
        assert not outcome.changed & set(PLACES)


@cases
@given(st.data())
def test_comparisons(earlier: Path, data: st.DataObject) -> None:
    tree = json.loads((earlier / "out.json").read_bytes())
    given: dict[str, Content] = {**LINKS, "out.png": Data((earlier / "out.png").read_bytes())}
    given |= {name: data.draw(files(tree, flow=True)) for name in ("a.json", "b.json")}
    if data.draw(st.integers(0, 3)) == 0:
        given["out.png"] = data.draw(contents(Drawn()) | drawings())
    output = data.draw(some(st.sampled_from(HARD)))
    words = ["compare", "a.json", "b.json", *(["--output", output] if output is not None else [])]
    with played(given, words) as outcome:
        assert outcome.code != 1
        assert not outcome.changed


@st.composite
def animations(draw: st.DrawFn) -> tuple[dict[str, Content], list[str]]:
    name = st.integers(0, 12).map("steps/frame-{:04}.png".format) | st.sampled_from(
        ["steps/frame-1.png", "steps/frame-01.png", "steps/frame-x.png", "steps/frame-\u0663.png",
         "steps/frame-" + "9" * 100 + ".png"]
    )  # fmt: skip
    names = draw(st.lists(name, max_size=3, unique=True))
    found = {each: draw(contents(Drawn()) | drawings()) for each in names}
    target = st.sampled_from(["a.gif", "a.webp", "a.GIF"]) | st.sampled_from(HARD)
    numbers = {
        "--fps": st.sampled_from(["1", "50", "0.1"]),
        "--width": st.sampled_from(["1", "99", "100000", "9" * 30]),
    }
    words = [
        "frames",
        draw(st.sampled_from(["steps"] * 5 + ["p.png", "loop.png", "", "missing"])),
        draw(target),
    ]
    for flag, sound in numbers.items():
        value = draw(some(sound | GARBAGE))
        words += [f"{flag}={value}"] if value is not None else []
    return {**LINKS, "steps/x.txt": Data(b""), **found}, [
        *words,
        *draw(st.sampled_from([[], ["--overwrite"]])),
    ]


@cases
@given(animations())
def test_animations(case: tuple[dict[str, Content], list[str]]) -> None:
    given, words = case
    with played(given, words) as outcome:
        assert outcome.code != 1
        assert len(outcome.new | outcome.changed) <= 1


WORDS = st.sampled_from(
    ["run", "batch", "config", "weights", "frames", "compare", "show", "list", "check", "--style",
     "--at", "--help", "--version", "-x", "--", "jobs.yaml", "p.png", "--fps=nan", "--workers=x"]
) | GARBAGE  # fmt: skip


@cases
@given(st.lists(WORDS, max_size=4))
def test_words(words: list[str]) -> None:
    if "download" not in words:
        with played({**PLACES, **LINKS}, words) as outcome:
            assert outcome.code != 1
