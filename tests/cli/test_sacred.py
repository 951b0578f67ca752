"""No file that a command reads is changed, by whatever name."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ONE_PASS, Outcome, disc
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harmonize.cli.app import main
from harmonize.settings.load import load
from harmonize.studio import server

READ = {
    "run": ["painting.png", "cutout.png", "mask.png", "mine.json"],
    "record": ["painting.png", "cutout.png", "a.json"],
    "batch": ["painting.png", "cutout.png", "mine.json", "jobs.json"],
    "cutout": ["cutout.png", "mask.png", "rough.png"],
    "studio": ["painting.png", "cutout.png"],
    "report": ["a.json", "a.png", "b.json", "b.png", "painting.png", "cutout.png"],
    "compare": ["a.json", "a.png", "b.json", "b.png"],
    "frames": ["frames/frame-0001.png", "frames/frame-0002.png"],
}
NAMES: list[Callable[[str], str]] = [
    lambda name: name,
    lambda name: f"./frames/../{name}",
    lambda name: f"HERE/{name}",  # its absolute path
    lambda name: f"link-{name.replace('/', '-')}",
    lambda name: f"hard-{name.replace('/', '-')}",
    lambda name: f"itself/{name}",
    lambda name: os.path.splitext(name)[0] + ".png",  # its record or page is the input
    lambda name: f"fresh-{os.path.basename(name)}",
]


@contextmanager
def workplace(runs: Path) -> Iterator[None]:
    """The current folder, with inputs of every kind and links to each."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(runs, folder, dirs_exist_ok=True)
        os.chdir(folder)
        try:
            Image.fromarray(disc(40, 32)).save("mask.png")
            Image.fromarray(disc(40, 32)).save("rough.png")
            for record in ("a.json", "b.json"):  # its inputs lie beside it
                tree = json.loads(Path(record).read_text())
                for entry in tree["inputs"].values():
                    entry["path"] = os.path.join(folder, os.path.basename(entry["path"]))
                Path(record).write_text(json.dumps(tree))
            quick = load("preview", [*ONE_PASS, "size=64"]).model_dump(mode="json")
            Path("mine.json").write_text(json.dumps({"extends": None, **quick}))
            job = {"style": "painting.png", "patch": "cutout.png", "at": "20,30"}
            Path("jobs.json").write_text(json.dumps({"jobs": [{**job, "config": "mine.json"}]}))
            os.mkdir("frames")
            for number in (1, 2):
                shutil.copy("painting.png", f"frames/frame-000{number}.png")
            os.symlink(".", "itself")
            for name in {name for names in READ.values() for name in names}:
                flat = name.replace("/", "-")
                os.symlink(name, f"link-{flat}")
                os.link(name, f"hard-{flat}")
            yield
        finally:
            os.chdir(before)


@st.composite
def commands(draw: st.DrawFn) -> tuple[str, list[str]]:
    """What kind of command, and its words; outputs are drawn among inputs."""
    kind = draw(st.sampled_from(list(READ)))

    def name() -> str:
        return draw(st.sampled_from(NAMES))(draw(st.sampled_from(READ[kind])))

    def some(*flags: str) -> list[str]:
        chosen = draw(st.lists(st.sampled_from(flags), unique=True))
        return [word for flag in chosen for word in (flag, name())]

    overwrite = draw(st.sampled_from([[], ["--overwrite"], ["--overwrite"]]))
    more = [f"--set={setting}" for setting in (*ONE_PASS, "size=64")]
    if kind == "run":
        words = ["run", "painting.png", "cutout.png", "--mask=mask.png", "--at=20,30"]
        words += ["--config=mine.json", "--output", name(), *overwrite]
        words += some("--sheet", "--checkpoint", "--frames")
        words += draw(st.sampled_from([[], ["--resume"], ["--report"], ["--save-every=1"]]))
    elif kind == "record":
        words = ["run", "--record", "a.json", *more, *overwrite, *some("--output", "--sheet")]
    elif kind == "batch":
        words = ["batch", "jobs.json", *some("--log-json", "--output-dir")]
        words += draw(st.sampled_from([[], ["--restart"], ["--report"]]))
        words += draw(st.sampled_from([[], ["--output-dir=."]]))
    elif kind == "cutout":
        words = ["cutout", "cutout.png", "--mask=mask.png", "--rough=rough.png", *overwrite]
        words += [*draw(st.sampled_from([[], ["--crop"], ["--invert-mask"]]))]
        words += some("--output", "--preview")
    elif kind == "studio":
        words = ["studio", *draw(st.permutations([name(), "cutout.png"])), "--no-browser"]
        words += draw(st.sampled_from([[], ["--max-pixels=1M"], ["--max-pixels=8"]]))
    elif kind == "report":
        words = ["report", "a.json", "b.json", *some("--output"), *overwrite]
    elif kind == "compare":
        words = ["compare", "a.json", "b.json", *some("--output"), *overwrite]
    else:
        words = ["frames", "frames", name(), *overwrite]
    return kind, words


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    serve = server.serve

    def briefly(
        *args: Any, on_ready: Callable[[str, Callable[[], None]], None], **more: Any
    ) -> None:
        def ready(address: str, end: Callable[[], None]) -> None:
            on_ready(address, end)
            end()

        serve(*args, on_ready=ready, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "serve", briefly)
        yield


@settings(max_examples=40)
@given(commands())
def test_no_input_is_ever_changed(runs: Path, drawn: tuple[str, list[str]]) -> None:
    kind, words = drawn
    with workplace(runs):
        before = {name: Path(name).read_bytes() for name in READ[kind]}
        with pytest.raises(SystemExit):
            main([word.replace("HERE", os.getcwd()) for word in words])
        for name, data in before.items():
            assert Path(name).read_bytes() == data, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run painting.png cutout.png --config mine.json --output mine.png", "the settings"),
        ("run painting.png cutout.png --output a.png --checkpoint hard-cutout.png", "the element"),
        ("run --record a.json --output itself/a.png", "is the record"),
        ("run painting.png cutout.png --weights w.bin --checkpoint w.bin", "the weights"),
        ("run painting.png cutout.png --frames frames --style frames/frame-0002.png", "painting"),
        ("cutout cutout.png --mask mask.png --output itself/mask.png", "is the mask"),
        ("cutout cutout.png --rough rough.png --preview hard-rough.png", "is the rough mask"),
        ("cutout cutout.png --output link-cutout.png", "is the photo"),
        ("report a.json b.json --output link-b.json", "is a record"),
        ("report a.json b.json --output hard-painting.png", "is an input"),
        ("compare a.json b.json --output itself/b.png", "a picture"),
        ("compare a.json b.json --output link-painting.png", "an input"),
        ("run --record a.json --output c.png --sheet itself/a.png", "the record's picture"),
        ("run --record a.json --box 5,5,9,9 --output x.png --sheet x-cutout.png", "of --sheet too"),
        ("batch jobs.json --output-dir new --log-json new/painting-cutout.json", "they need two"),
        ("batch jobs.json --output-dir new --log-json w.bin", "is there and no log"),
        ("batch jobs.json --log-json -", "go to standard output"),
        ("cutout cutout.png --mask mask.png --preview -", "go to standard output"),
        ("report a.json --output -", "go to standard output"),
        ("frames frames link-frames-frame-0002.png", "is a frame"),
    ],
)
def test_what_is_refused_says_which_input_it_is(
    command: Callable[..., Outcome], runs: Path, words: str, said: str
) -> None:
    with workplace(runs):
        Path("w.bin").write_text("weights")
        more = [] if words.startswith(("frames", "batch")) else ["--overwrite"]
        refused = command(*words.split(), *more)
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err
        assert Path("w.bin").read_text() == "weights"


CUT = "run painting.png cutout.png --mask mask.png --mask-value 255 --at 5,5"


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("run painting.png cutout.png --output o.png", "o.json"),
        ("run painting.png cutout.png --output o.png --report", "o.html"),
        ("run painting.png cutout.png --output o.png --checkpoint notes.txt", "notes.txt"),
        ("run painting.png cutout.png --output o.png --frames shots", "shots/frame-0007.png"),
        (f"{CUT} --output o.png", "o-cutout.png"),
        (f"{CUT} --output o.png --resume", "o-cutout.png"),
        ("report a.json --output thesis.html", "thesis.html"),
        ("batch jobs.json --output-dir new --dry-run", "new/painting-cutout.json"),
        ("batch jobs.json --output-dir new --report", "new/report.html"),
        ("batch jobs.json --output-dir new --log-json notes.txt", "notes.txt"),
        ("batch cut.json --output-dir new", "new/painting-cutout-cutout.png"),
    ],
)
def test_what_is_not_ours_is_not_replaced(
    command: Callable[..., Outcome], runs: Path, words: str, file: str
) -> None:
    with workplace(runs):
        job = {"style": "painting.png", "patch": "cutout.png", "config": "mine.json"}
        cut = {**job, "mask": "mask.png", "mask_value": 255, "at": "5,5"}
        Path("cut.json").write_text(json.dumps([cut]))
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text("precious")
        before = sorted(Path().rglob("*"))
        overwrite = [] if words.startswith("batch") or "--resume" in words else ["--overwrite"]
        refused = command(*words.split(), *overwrite)
        assert refused.code in (1, 2)
        said = "exists; use --overwrite" if "--resume" in words else "is there and no "
        assert f"{file}: {said}" in refused.err + refused.out
        assert Path(file).read_text() == "precious"
        assert set(Path().rglob("*")) <= {*before, Path("new/.harmonize")}


def test_what_is_ours_is_replaced(command: Callable[..., Outcome], runs: Path) -> None:
    quick = ("--config=mine.json", "--output=o.png")
    with workplace(runs):
        whole = Image.open("mask.png")
        whole.paste(0, (0, 0, 20, 32))
        whole.save("half.png")
        cuts = []
        for mask in ("mask.png", "half.png"):
            words = ["--report", "--frames=shots", "--checkpoint=c", "--overwrite"]
            done = command(*CUT.replace("mask.png", mask).split(), *quick, *words)
            assert done.code == 0, done.err
            cuts.append(Path("o-cutout.png").read_bytes())
        assert cuts[0] != cuts[1]
