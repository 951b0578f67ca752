"""Lists of jobs: JOBS.yaml and folders, read and checked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import ONE_PASS, Outcome, disc, strokes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from harmonize.batch.jobs import Checked, Draft, Job, check_jobs, in_order, lines
from harmonize.batch.lists.job_list import read_list
from harmonize.batch.log import EventLog
from harmonize.batch.pace import Pace
from harmonize.errors import JobsError
from harmonize.images.read import Source, open_picture
from harmonize.scene.placement import Placement
from harmonize.settings.load import load

Command = Callable[..., Outcome]

ALIGNED = {"style": "painting.png", "patch": "patch.png", "mask": "mask.png"}
PLACED = {"style": "painting.png", "patch": "cutout.png", "at": "5,5"}


def jobs(tree: object, folder: str = "out", **more: object) -> list[Job]:
    Path("jobs.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    found = looked_at("jobs.yaml", folder, **more)
    if found.refused:
        raise JobsError(*lines(found.refused))
    return found.jobs


def looked_at(path: str, folder: str = "out", **more: object) -> Checked:
    items = read_list(Path(path), lambda file: False)
    return check_jobs(items, Path(folder), listed=Path(path), **more)  # type: ignore[arg-type]


def problems(tree: object) -> list[str]:
    with pytest.raises(JobsError) as caught:
        jobs(tree)
    assert all("\n" not in problem for problem in caught.value.lines)
    return list(caught.value.lines)


def names(found: list[Job]) -> list[str]:
    return [job.name for job in found]


# --- JOBS.yaml ------------------------------------------------------------------------------------


def test_a_job_has_the_commands_options(files: Path) -> None:
    [job] = jobs(
        {
            "jobs": [
                {
                    **PLACED,
                    "at": [3, -4],
                    "width": 40,
                    "loose_mask": "mask.png",
                    "config": "preview",
                    "set": ["keep=2", "size=64"],
                    "size": 48,
                    "seed": 7,
                    "settings": {"keep": 3, "passes": {"refine": {"steps": 4}}},
                    "output": "here/it is",
                }
            ]
        }
    )
    assert job.name == "here/it is.png"
    assert job.output == Path("out/here/it is.png")
    assert job.placement == Placement(at=(3, -4), width=40)
    assert set(job.hashes) == set(job.inputs) == {"painting", "element", "loose_mask"}
    wanted = load("preview", ["passes.refine.steps=4", "keep=2", "size=48", "seed=7"])
    assert job.config == wanted  # settings, then set, then the options


def test_defaults_are_under_every_job(files: Path) -> None:
    one, other = jobs(
        {
            "defaults": {**PLACED, "scale": 1.5, "settings": {"keep": 2, "strength": "weak"}},
            "jobs": [{"output": "a"}, {"width": 30, "settings": {"strength": 7}, "output": "b"}],
        }
    )
    assert (one.config.keep, one.config.strength) == (2, "weak")
    assert (other.config.keep, other.config.strength) == (2, 7)
    assert one.placement == Placement(at=(5, 5), scale=1.5)
    assert other.placement == Placement(at=(5, 5), width=30)


def test_paths_are_relative_to_the_file(files: Path) -> None:
    (files / "deep").mkdir()
    for name in ("painting.png", "cutout.png"):
        shutil.move(name, f"deep/{name}")
    (files / "deep" / "mine.yaml").write_text("keep: 5\n")
    (files / "deep" / "jobs.yaml").write_text(
        yaml.safe_dump({"jobs": [{**PLACED, "config": "mine.yaml"}]})
    )
    [job] = looked_at("deep/jobs.yaml").jobs
    assert job.inputs["painting"] == Path("deep/painting.png")
    assert job.config.keep == 5


def test_a_matrix_gives_the_product(files: Path) -> None:
    found = jobs(
        {
            "jobs": [
                {
                    **PLACED,
                    "settings": {
                        "strength": [1, 5, "strong"],
                        "passes": {"refine": {"steps": [2, 3]}},
                    },
                }
            ]
        }
    )
    assert [(job.config.strength, job.config.passes["refine"].steps) for job in found] == [
        (strength, steps) for strength in (1, 5, "strong") for steps in (2, 3)
    ]
    assert names(found)[:2] == ["painting-cutout-1-2.png", "painting-cutout-1-3.png"]
    assert len(set(names(found))) == 6


def test_a_setting_that_is_a_list_by_nature_is_no_matrix(files: Path) -> None:
    taps = ["relu1_1", "relu2_1"]
    terms = {"passes": {"coarse": {"terms": {"style": {"taps": taps}}}}}
    [job] = jobs({"jobs": [{**PLACED, "settings": terms}]})
    assert job.config.passes["coarse"].terms.style.taps == tuple(taps)


def test_a_glob_gives_a_job_for_each_file(files: Path) -> None:
    for name in ("b", "a", "c"):
        shutil.copy("cutout.png", f"{name}.cut.png")
    shutil.copy("mask.png", "a.cut.mask.png")
    found = jobs({"jobs": [{**PLACED, "patch": "[abc].cut.png"}]})
    assert names(found) == [f"painting-{name}.cut.png" for name in "abc"]
    skipping = read_list(Path("jobs.yaml"), lambda path: path.name == "b.cut.png")
    left = [item.inputs["element"].name for item in skipping if isinstance(item, Draft)]
    assert left == ["a.cut.png", "c.cut.png"]


def test_a_name_that_looks_like_a_glob_is_a_name(files: Path) -> None:
    shutil.copy("cutout.png", "a[1].png")
    [job] = jobs({"jobs": [{**PLACED, "patch": "a[1].png"}]})
    assert job.inputs["element"].name == "a[1].png"


def test_masks_follow_a_globs_names(files: Path) -> None:
    for name in ("one", "two"):
        shutil.copy("patch.png", f"{name}.patch.png")
        shutil.copy("mask.png", f"{name}.patch-mask.png")
    found = jobs({"jobs": [{**ALIGNED, "patch": "*.patch.png", "mask": "{patch}-mask.png"}]})
    assert [job.inputs["mask"].name for job in found] == [
        "one.patch-mask.png",
        "two.patch-mask.png",
    ]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{painting}-{patch}-{strength}", "painting-cutout-7.5.png"),
        ("{index}/{refine.x}", None),
        ("{index}", "1.png"),
        ("{passes.refine.steps}", "9.png"),
        ("{passes}", None),
        ("{nothing}", None),
        ("{strength}.TIF", "7.5.TIF"),
        ("a.gif", None),
        ("../a", None),
        ("/tmp/a", None),
        ("sub/../../a", None),
    ],
)
def test_names_from_a_template(files: Path, template: str, name: str | None) -> None:
    settings = {"strength": 7.5, "passes": {"refine": {"steps": 9}}}
    tree = {"jobs": [{**PLACED, "settings": settings, "output": template}]}
    if name is None:
        [problem] = problems(tree)
        assert problem.startswith("jobs.yaml: job 1: output ")
    else:
        assert names(jobs(tree)) == [name]


def test_the_paintings_format_is_kept(files: Path) -> None:
    Image.open("painting.png").save("one.JPG")
    Image.open("painting.png").save("two.gif")
    found = jobs({"jobs": [{**PLACED, "style": style} for style in ("one.JPG", "two.gif")]})
    assert names(found) == ["one-cutout.JPG", "two-cutout.png"]


def test_a_link_does_not_lead_out_of_the_output_folder(files: Path) -> None:
    (files / "out").mkdir()
    (files / "out" / "away").symlink_to(files)
    [problem] = problems({"jobs": [{**PLACED, "output": "away/a"}]})
    assert "outside the output folder" in problem


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("{weights}/../../a", "outside the output folder"),
        ("link", "outside the output folder"),
        ("record", "outside the output folder"),
        ("loop", "Too many levels"),
        ("a\0b", "not a name that a file can have"),
        ("\ud800", "not a name that a file can have"),
        ("x" * 300, "name too long"),
        ("x" * 251, "name too long"),  # of its record
        ("deep", "is a folder"),
    ],
)
def test_no_name_leads_out_of_the_output_folder(files: Path, output: str, said: str) -> None:
    (files / "out" / "deep.png").mkdir(parents=True)
    (files / "out" / "link.png").symlink_to(files / "elsewhere.png")
    (files / "out" / "record.json").symlink_to(files / "elsewhere.json")
    (files / "out" / "loop.png").symlink_to("loop.png")
    [problem] = problems({"jobs": [{**PLACED, "weights": "..", "output": output}]})
    assert said in problem
    assert problem.isprintable()


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"patch": 7}, 'patch: expected a name; got 7; put it in quotes: "7"'),
        ({"style": ["painting.png", "patch.png"]}, "give a pattern such as *.png, or a job for"),
        ({"style": "*.{png,jpg}"}, "braces mean nothing in a pattern, give a job for each"),
        ({"style": "https://example.org/a.png"}, "an address is no file: download it"),
        ({"patch": "file:///tmp/a.png"}, "an address is no file: download it"),
    ],
)
def test_what_is_meant_otherwise_is_told(files: Path, job: dict[str, object], said: str) -> None:
    [problem] = problems({"jobs": [{**PLACED, **job}]})
    assert said in problem


def test_globs_with_backslashes(files: Path) -> None:
    put("in/a.png")
    put("in/b.png")
    found = jobs({"jobs": [{**PLACED, "style": "in\\*.png"}]})
    assert names(found) == ["a-cutout.png", "b-cutout.png"]


def test_a_home_is_no_more_than_a_name(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(files))
    [job] = jobs({"jobs": [{**PLACED, "output": "~/a"}]})
    assert job.output == Path("out/~/a.png")


@pytest.mark.parametrize("key", ["style", "patch", "mask", "config", "output"])
@pytest.mark.parametrize("name", ["a\0b", "\ud800", 3, [], {"a": 1}, ""])
def test_what_is_no_name_is_one_line(files: Path, key: str, name: object) -> None:
    [problem] = problems({"jobs": [{**PLACED, key: name}]})
    assert problem.startswith(f"jobs.yaml: job 1: {key}")
    assert problem.isprintable()


def test_a_few_words_cannot_ask_for_any_number_of_jobs(files: Path) -> None:
    many = {"seed": list(range(3000)), "size": list(range(100, 3000))}
    [problem] = problems({"jobs": [{**PLACED, "settings": many}]})
    assert "job 1: makes more than 10,000 jobs" in problem


def test_repeated_stars_find_a_file_once(files: Path) -> None:
    for folder in ("in/a/b/c", "in/d/e/f"):
        (files / folder).mkdir(parents=True)
        shutil.copy("cutout.png", f"{folder}/{folder[-1]}.png")
    found = jobs({"jobs": [{**PLACED, "patch": "in/**/**/**/*.png"}]})
    assert names(found) == ["painting-c.png", "painting-f.png"]


def test_clashes_are_found(files: Path) -> None:
    [same] = problems({"jobs": [PLACED, PLACED]})
    assert "is the file of job 1 (painting-cutout.png) too" in same
    [record] = problems({"jobs": [{**PLACED, "output": name} for name in ("a.png", "A.jpg")]})
    assert "is the file of job 1 (a.png) too" in record


def test_an_input_is_never_an_output(files: Path) -> None:
    Path("jobs.yaml").write_text(
        yaml.safe_dump({"jobs": [{**PLACED, "output": "cutout"}]}, sort_keys=False)
    )
    [refused] = looked_at("jobs.yaml", str(files)).refused
    assert "is the element (cutout.png), which is never replaced" in refused.reason


def test_all_problems_are_said_at_once(files: Path) -> None:
    Path("broken.png").write_text("no picture")
    found = problems(
        {
            "jobs": [
                {**PLACED, "style": "nowhere.png", "settings": {"strenght": 5}},
                {**PLACED, "patch": "broken.png"},
                {**PLACED, "at": [500, 5]},
                {**PLACED, "patch": "nothing-*.png"},
                {**PLACED, "settings": {"keep": [1, -1]}},
                {"patch": "cutout.png"},
                {**PLACED, "widht": 3},
                {**PLACED, "at": "here"},
                {**PLACED, "width": "wide"},
                {**PLACED, "settings": {"keep": []}},
                PLACED,
                "painting.png",
            ]
        }
    )
    for number, words in [
        (1, "painting nowhere.png: No such file"),
        (1, "strength"),
        (2, "element broken.png: not an image"),
        (3, "lies outside the painting"),
        (4, "no file matches nothing-*.png"),
        (5, "keep: expected"),
        (6, "no style given"),
        (7, "widht: unknown option"),
        (8, "`at=here`: expected x,y"),
        (9, "`width=wide`: expected"),
        (10, "keep: expected a value"),
        (12, "expected options"),
    ]:
        assert any(f"job {number}: " in line and words in line for line in found), (number, found)
    assert len(found) == 11  # all that is wrong with one job stands on one line


def test_a_problem_that_many_jobs_share_is_said_once(files: Path) -> None:
    [problem] = problems({"jobs": [{**PLACED, "style": "no.png", "strength": [1, 2, 3]}]})
    assert problem.startswith("jobs.yaml: job 1 (and 2 more): painting no.png")


@pytest.mark.parametrize("tree", [{}, {"jobs": []}, {"jobs": {"a": 1}}, {"job": []}, {"jobs": 3}])
def test_what_is_no_list_of_jobs(files: Path, tree: object) -> None:
    assert len(problems(tree)) == 1


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
@pytest.mark.parametrize("key", ["style", "patch", "mask", "output", "config"])
def test_what_no_file_can_be_called(files: Path, key: str, name: str) -> None:
    with pytest.raises(JobsError) as caught:
        jobs({"jobs": [{**PLACED, key: name}]})
    assert len(caught.value.lines) == 1


def test_what_is_wrong_with_the_defaults_is_said_once(files: Path) -> None:
    assert len(problems({"defaults": {"stlye": "a"}, "jobs": [PLACED, PLACED]})) == 1
    assert len(problems({"defaults": [1], "jobs": [PLACED]})) == 1


def test_the_command_lines_settings_have_the_last_word(files: Path) -> None:
    [job] = jobs(
        {"jobs": [{**PLACED, "config": "paper", "strength": 3, "settings": {"keep": 2}}]},
        config="preview",
        overrides=["strength=9"],
    )
    assert job.config == load("preview", ["keep=2", "strength=9"])


def test_jobs_on_one_painting_are_brought_together(files: Path) -> None:
    styles = ["painting.png", "patch.png", "painting.png", "mask.png", "patch.png"]
    tree = {"jobs": [{**PLACED, "style": s, "output": "{index}"} for s in styles]}
    assert names(in_order(jobs(tree))) == ["1.png", "3.png", "2.png", "5.png", "4.png"]


def put(path: str, seed: int | None = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = disc(96, 80) if seed is None else strokes(96, 80, seed)
    Image.fromarray(pixels).save(path)


STYLES = ("painting.png", "other.png")

# --- one wrong job stops no other -----------------------------------------------------------------

WRONG = [
    {"style": "no.png"},
    {"patch": "no-*.png"},
    {"patch": "pipe.png"},
    {"patch": "broken.png"},
    {"keep": -1},
    {"widht": 3},
    {"at": "here"},
    {"at": "9999,0"},
    {"output": "{nothing}"},
    {"output": "../x"},
    {"set": [3]},
    "painting.png",
]


@given(st.lists(st.sampled_from([None, *WRONG]), min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_the_right_ones_among_wrong_ones_are_what_they_are_alone(
    files: Path, asked: list[object]
) -> None:
    if not Path("pipe.png").exists():
        os.mkfifo("pipe.png")
        Path("broken.png").write_text("no picture")
    small = {**PLACED, "output": "{index}"}
    entries = [
        small if wrong is None else wrong if isinstance(wrong, str) else {**small, **wrong}
        for wrong in asked
    ]
    Path("jobs.yaml").write_text(yaml.safe_dump({"jobs": entries}, sort_keys=False))
    found = looked_at("jobs.yaml")
    right = [index for index, wrong in enumerate(asked, 1) if wrong is None]
    assert names(found.jobs) == [f"{index}.png" for index in right]
    whole = jobs({"jobs": [small] * len(asked)})
    assert found.jobs == [job for job in whole if job.name in names(found.jobs)]
    assert [item.where for item in found.refused] == [
        f"jobs.yaml: job {index}" for index, wrong in enumerate(asked, 1) if wrong is not None
    ]
    assert all(item.reason.isprintable() for item in found.refused)


def test_a_resume_with_a_missing_input_does_the_others(files: Path, command: Command) -> None:
    tiny = ["size=64", *ONE_PASS]
    shutil.copy("cutout.png", "other.png")
    tree = {
        "defaults": {**PLACED, "set": tiny},
        "jobs": [{"output": "a"}, {"patch": "other.png", "output": "b"}, {"output": "c"}],
    }
    Path("jobs.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    assert command("batch", "jobs.yaml").code == 0
    Path("other.png").unlink()
    Path("jobs-harmonized/c.png").unlink()
    again = command("batch", "jobs.yaml")
    assert again.code == 1
    assert again.out.splitlines()[-1].endswith(": 1 done, 1 skipped, 1 failed")
    assert "other.png" in again.out
    assert Path("jobs-harmonized/b.png").exists()


@pytest.mark.parametrize("kept", [1 << 29, 30_000])  # all of them, or one painting and a cut-out
def test_each_picture_is_looked_at_once(
    files: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr("harmonize.batch.jobs.KEPT_PICTURES", kept)
    opened: list[str] = []

    def counting(role: str, path: Path) -> Source:
        opened.append(path.name)
        return open_picture(role, path)

    monkeypatch.setattr("harmonize.batch.jobs.open_picture", counting)
    monkeypatch.setattr("harmonize.scene.scene.open_picture", counting)
    shutil.copy("painting.png", "other.png")
    patches = [{**PLACED, "style": style, "at": [x, 5]} for x in (1, 2) for style in STYLES]
    jobs({"defaults": {"output": "{index}"}, "jobs": patches})
    assert sorted(opened) == ["cutout.png", "other.png", "painting.png"]


def test_what_a_wrong_job_names_is_not_written_either(files: Path, command: Command) -> None:
    before = Path("patch.png").read_bytes()
    tree = {"jobs": [PLACED, {**PLACED, "patch": "p*ch.png", "widht": 3}]}
    Path("jobs.yaml").write_text(yaml.safe_dump(tree))
    refused = command("batch", "jobs.yaml", "--log-json", "patch.png")
    assert refused.code == 2
    assert "patch.png is a file of the list" in refused.err
    assert Path("patch.png").read_bytes() == before


def test_a_home_is_found_in_lists(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(files))
    Path("mine.yaml").write_text("keep: 5\n")
    (files / "deep").mkdir()
    tree = {
        "jobs": [
            {
                "style": "~/painting.png",
                "patch": "~/[p]atch.png",
                "mask": "~/mask.png",
                "config": "~/mine.yaml",
            }
        ]
    }
    Path("deep/jobs.yaml").write_text(yaml.safe_dump(tree))
    [job] = looked_at("deep/jobs.yaml").jobs
    assert job.config.keep == 5
    assert job.inputs["mask"] == files / "mask.png"


def test_unquoted_braces_that_yaml_takes_for_a_mapping_are_explained(files: Path) -> None:
    job = "{style: painting.png, patch: cutout.png, output: {patch}}"
    Path("jobs.yaml").write_text(f"jobs:\n  - {job}\n")
    [refused] = looked_at("jobs.yaml").refused
    assert 'put it in quotes: "{patch}"' in refused.reason


# --- the command ----------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_done(files: Path, command: Command) -> None:
    Path("jobs.yaml").write_text(
        yaml.safe_dump({"jobs": [{**PLACED, "strength": [1, 5]}]}, sort_keys=False)
    )
    done = command("batch", "jobs.yaml", "--dry-run")
    assert done.code == 0
    assert done.out.splitlines() == [
        "run  painting-cutout-1.png",
        "run  painting-cutout-5.png",
        "2 jobs: 2 to do, 0 done already",
    ]
    assert not Path("jobs-harmonized").exists()


def test_strict_makes_nothing_if_anything_is_wrong(files: Path, command: Command) -> None:
    tree = {"jobs": [{**PLACED, "style": "no.png"}, {**PLACED, "keep": -1}, PLACED]}
    Path("jobs.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    for flag in ("--strict", "--fail-fast"):
        done = command("batch", "jobs.yaml", flag)
        assert done.code == 2
        lines = done.err.splitlines()
        assert len(lines) == 2
        assert all(line.startswith("harmonize: error: jobs.yaml: job ") for line in lines)
        assert not Path("jobs-harmonized").exists()


def test_what_is_wrong_is_listed_and_counted(files: Path, command: Command) -> None:
    tree = {"jobs": [{**PLACED, "style": "no.png"}, PLACED, {**PLACED, "keep": -1}]}
    Path("jobs.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    done = command("batch", "jobs.yaml", "--dry-run")
    assert done.code == 1
    assert [line.split(maxsplit=1)[0] for line in done.out.splitlines()[:-1]] == [
        "failed",
        "failed",
        "run",
    ]
    assert done.out.splitlines()[-1] == "3 jobs: 1 to do, 0 done already, 2 failed"
    assert [line.startswith("harmonize: not done: ") for line in done.err.splitlines()] == [
        True
    ] * 2


def test_weights_that_are_not_there_are_found_before_the_start(
    files: Path, command: Command
) -> None:
    tree = {"jobs": [PLACED, {**PLACED, "weights": "no.pth", "output": "b"}]}
    Path("jobs.yaml").write_text(yaml.safe_dump(tree))
    done = command("batch", "jobs.yaml", "--dry-run")
    assert done.code == 1
    assert "failed  b.png" in done.out
    assert "weights no.pth: No such file or directory" in done.err
    assert done.out.splitlines()[-1] == "2 jobs: 1 to do, 0 done already, 1 failed"


def test_a_dry_run_finds_a_folder_that_cannot_be(files: Path, command: Command) -> None:
    Path("jobs.yaml").write_text(yaml.safe_dump({"jobs": [PLACED]}))
    done = command("batch", "jobs.yaml", "--dry-run", "--output-dir", "painting.png/out")
    assert done.code == 2
    assert "--output-dir painting.png/out: cannot write there (Not a directory);" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.yaml"], "nowhere.yaml: no such file or folder"),
        ([".", "--output-dir", "."], ".: lies where results go; give another --output-dir"),
        (["painting.png"], "painting.png: "),
        (["jobs.yaml", "--transfer"], "use them with --engine ray"),
        (["jobs.yaml", "--output-dir", "painting.png"], "painting.png: "),
        (["jobs.yaml", "--device", "x"], "there is no option --device"),
        (["jobs.yaml", "--set", "device=xyz"], "device"),
        (["jobs.yaml", "--log-json", "patch.png/a.log"], "--log-json patch.png/a.log"),
        (["jobs.yaml", "--workers", "0"], "--workers"),
    ],
)
def test_what_the_command_is_asked_wrongly(
    files: Path, command: Command, words: list[str], said: str
) -> None:
    Path("jobs.yaml").write_text(yaml.safe_dump({"jobs": [PLACED]}, sort_keys=False))
    done = command("batch", *words)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not Path("jobs-harmonized").exists()


def test_a_log_takes_names_that_are_no_text(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log", Pace(0)) as log:
        log.write("batch started", folder="\udcff")
    assert json.loads((tmp_path / "log").read_bytes())["folder"] == "\udcff"


@pytest.mark.parametrize("line", ['{"time": 1, "level": "info"}', '{"time": 1, "event": "x"}', "x"])
def test_another_programs_log_is_not_added_to(files: Path, command: Command, line: str) -> None:
    Path("jobs.yaml").write_text(yaml.safe_dump({"jobs": [PLACED]}))
    Path("log").write_text(f"{line}\n")
    done = command("batch", "jobs.yaml", "--log-json", "log")
    assert done.code == 2
    assert "log: is there and no log of a batch" in done.err
    assert Path("log").read_text() == f"{line}\n"


def test_what_a_run_wrote_is_no_input(files: Path, command: Command) -> None:
    for stem in ("a", "b"):
        put(f"in/{stem}.painting.png")
        put(f"in/{stem}.patch.png", 1)
        put(f"in/{stem}.mask.png", None)
    record = {"output": "b.patch.png", "inputs": {}}
    Path("in/b.patch.json").write_text(json.dumps(record))
    done = command("batch", "in", "--dry-run", "--output-dir", "in/results")
    assert "b.painting.png: a painting without a patch" in done.err
    put("in/results/c.patch.png")
    Path("in/b.patch.json").unlink()
    done = command("batch", "in", "--dry-run", "--output-dir", "in/results")
    assert done.out.splitlines()[-1] == "2 jobs: 2 to do, 0 done already"
