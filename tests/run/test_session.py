"""The library as its callers use it."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PASSES, TWO_PASSES, put_pictures, shallow
from PIL import Image

import harmonize as library
from harmonize import (
    ConfigError,
    HarmonizeError,
    InputError,
    OutputError,
    Placement,
    Plan,
    Progress,
    Result,
    Session,
    StopRun,
    harmonize,
)
from harmonize.run import prepare
from harmonize.settings.load import load
from harmonize.synthesis import painter
from harmonize.synthesis.network.vgg19 import VGG19

STEPS = [setting for name in PASSES for setting in (f"passes.{name}.steps=2", *shallow(name))]
FEW = load("default", [*TWO_PASSES, *STEPS, "size=64"])
AT = {"at": (20, 20)}

Told = list[tuple[Progress, "Image.Image | None"]]


@pytest.fixture(scope="session")
def kept() -> Session:
    return Session(FEW)


@pytest.fixture(scope="session")
def plain(kept: Session, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("plain")
    put_pictures(folder)
    plan = kept.plan(folder / "painting.png", folder / "cutout.png", placement=AT)
    return kept.run(plan).image.tobytes()


@pytest.fixture(scope="session")
def told(kept: Session, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What a run tells of itself, with previews."""
    folder = tmp_path_factory.mktemp("told")
    put_pictures(folder)
    plan = kept.plan(folder / "painting.png", folder / "cutout.png", placement=AT)
    seen: Told = []
    kept.run(plan, on_progress=lambda progress: seen.append((progress, progress.preview())))
    return seen


@pytest.fixture
def plan(files: Path, kept: Session) -> Plan:
    return kept.plan("painting.png", "cutout.png", placement=AT)


# --- plan and progress ----------------------------------------------------------------------------


def test_a_plan_says_what_the_run_takes_and_shows_the_pasted_picture(plan: Plan) -> None:
    assert plan.size == 64
    assert plan.steps == [(name, 2) for name in PASSES]
    assert plan.need > 0
    assert 1 <= plan.level <= 10
    assert ["too few to stay recognizable" in note for note in plan.warnings] == [True]
    assert plan.settings == FEW
    painting = np.asarray(Image.open("painting.png"))
    changed = (np.asarray(plan.composite) != painting).any(-1)
    assert (changed == (plan.scene.composite != painting).any(-1)).all()
    assert changed.any()


def test_a_plan_can_be_run_again(plan: Plan, kept: Session, plain: bytes) -> None:
    assert [kept.run(plan).image.tobytes() for _ in range(2)] == [plain] * 2


def test_progress_names_stages_and_counts_steps(told: Told) -> None:
    seen = [one for one, _ in told]
    steps = [(one.stage, one.step, one.total) for one in seen if one.stage in PASSES]
    assert steps == [(name, step, 2) for name in PASSES for step in (1, 2)]
    assert [one.done for one in seen] == [*range(1, len(seen)), len(seen) - 1]
    assert (seen[-1].stage, seen[-1].step, seen[-1].total) == ("finish", 0, 1)
    assert all(one.losses for one in seen if one.stage in PASSES)


def test_a_preview_is_the_painting_with_something_new_in_it(plan: Plan, told: Told) -> None:
    painting = np.asarray(plan.scene.painting)
    for _, preview in told:
        assert preview is not None
        assert (preview.mode, preview.size) == ("RGB", (96, 80))
        changed = (np.asarray(preview) != painting).any(-1)
        assert changed.any()
        assert not changed[plan.canvas.loose == 0].any()


def test_progress_travels_to_another_process(told: Told) -> None:
    for one, _ in told:
        there = pickle.loads(pickle.dumps(one))
        assert there == one
        assert there.preview() is None


def test_stop_keeps_the_picture_so_far(plan: Plan, kept: Session) -> None:
    for stage, steps in (("palette", 0), ("underpainting", 0), ("coarse", 1)):

        def stop(progress: Progress, stage: str = stage) -> None:
            if progress.stage == stage:
                raise StopRun

        result = kept.run(plan, on_progress=stop)
        assert result.record["interrupted"] is True
        assert sum(log["steps"] for log in result.record["passes"]) == steps
        assert result.image.size == (96, 80)
        assert (np.asarray(result.image) != plan.scene.painting).any()


def test_of_a_large_picture_a_small_palette_map_comes_first(
    plan: Plan, kept: Session, plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painter, "LARGE", 63)
    seen: Told = []
    result = kept.run(plan, on_progress=lambda one: seen.append((one, one.preview())))
    assert result.image.tobytes() == plain
    maps = [(one, shown) for one, shown in seen if one.stage == "palette"]
    assert [(one.step, one.total, one.done) for one, _ in maps] == [(1, 2, 1), (2, 2, 2)]
    (_, early), (_, exact) = maps
    assert early is not None and exact is not None and early != exact
    apart, changed = (
        np.abs(np.asarray(early, float) - np.asarray(other)).mean()
        for other in (exact, plan.composite)
    )
    assert apart < changed

    def stop(_: Progress) -> None:
        raise StopRun

    stopped = kept.run(plan, on_progress=stop)
    assert stopped.record["interrupted"] is True and stopped.record["passes"] == []
    assert (np.asarray(stopped.image) != plan.scene.painting).any()


def test_what_a_callback_raises_comes_out(plan: Plan, kept: Session) -> None:
    def fail(_: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kept.run(plan, on_progress=fail)


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "common"),
    [
        ("preview", {}),
        (Path("mine.yaml"), {}),
        ("mine.yaml", {}),
        ({"extends": "preview"}, {}),
        (load("preview"), {}),
        (load("preview", ["strength=7"]), {"strength": load("preview").strength}),
    ],
)
def test_settings_come_in_any_form(files: Path, given: Any, common: dict[str, Any]) -> None:
    Path("mine.yaml").write_text("extends: preview\n")
    assert Session(given, **common).settings == load("preview")


def test_a_complete_mapping_means_itself() -> None:
    one = load("default", ["passes.strokes=null", "underpainting=null"])
    whole = one.model_dump(mode="json")
    assert Session(whole).settings == one
    assert Session(json.loads(json.dumps(whole)), seed=3).settings.seed == 3
    former = {name: {**part, "plateau": 0} for name, part in whole["passes"].items()}
    assert Session({**whole, "passes": former}).settings == one
    part = {**whole, "passes": {"refine": {"steps": 3}}}  # not complete: on top of the preset
    assert set(Session(part).settings.passes) == set(load().passes)


def test_keywords_have_the_last_word(files: Path) -> None:
    settings = Session(
        {"strength": 2, "keep": 5.0},
        strength=np.int64(7),
        keep=np.float32(2),
        keep_color=0.5,
        size="native",
        seed=np.uint8(3),
        device=torch.device("cpu"),  # type: ignore[arg-type]
    ).settings
    said = "strength", "keep", "keep_color", "size", "seed", "device"
    assert [getattr(settings, key) for key in said] == [7, 2.0, 0.5, "native", 3, "cpu"]


def test_a_session_with_other_settings_shares_what_is_kept(kept: Session) -> None:
    other = kept.using("preview", strength=3)
    assert (other.settings.strength, kept.settings) == (3, FEW)
    assert other._memory is kept._memory


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"settings": "prevew"}, "prevew: No such file"),
        ({"settings": 3}, "settings: expected the name of a preset, a path, a mapping or Settings"),
        ({"settings": {"siez": 3}}, "settings: siez: unknown key; did you mean size?"),
        ({"settings": {"extends": "prevew"}}, "did you mean preview?"),
        ({"strength": 11}, "strength: expected"),
        ({"strength": "loud"}, "strength: expected"),
        ({"size": 3}, "size: expected a whole number of pixels from 32"),
        ({"keep": float("nan")}, "keep: expected"),
        ({"seed": -1}, "seed: expected"),
        ({"seed": object()}, "seed: expected"),
        ({"device": "gpu"}, "device 'gpu': expected auto"),
        ({"stength": 3}, "stength: unknown keyword; did you mean strength?"),
        ({"at": (1, 2)}, "at: is a part of placement; give placement={'at': …}"),
        ({"max_memory": "much"}, "`max_memory=much`: expected"),
        ({"max_memory": True}, "`max_memory=True`: expected"),
        ({"max_memory": 1000}, "`max_memory=1kB` is too little"),
        ({"placement": {"at": (200, 20)}}, "lies outside"),
        ({"placement": {"att": (1, 2)}}, "att"),
        ({"placement": 3}, "placement: expected"),
        ({"on_progress": 3}, "on_progress: expected a function; got 3"),
        ({"cache": "all"}, "cache: expected bytes"),
        ({"painting": "nowhere.png"}, "painting nowhere.png: No such file"),
        ({"element": "painting.png"}, "no mask and nothing transparent"),
        ({"mask": 3}, "mask: expected"),
        ({"painting": None}, "painting: expected"),
    ],
)
def test_a_wrong_call_is_an_error_in_the_callers_words(
    files: Path, asked: dict[str, Any], said: str
) -> None:
    given = {"painting": "painting.png", "element": "cutout.png", "placement": AT, **asked}
    with pytest.raises(HarmonizeError) as refused:
        harmonize(**given)
    assert said in str(refused.value)
    assert "--" not in str(refused.value)


def test_what_is_no_plan_no_checkpoint_and_no_name(plan: Plan, kept: Session) -> None:
    with pytest.raises(InputError, match="plan: expected what Session.plan returns; got 'x'"):
        kept.run("x")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="checkpoint: expected a path; got 3"):
        kept.run(plan, checkpoint=3)  # type: ignore[arg-type]
    result = Result(plan.scene.original, {}, plan.scene)
    with pytest.raises(OutputError, match="path: expected a file's name; got 3"):
        result.save(3)  # type: ignore[arg-type]


def test_every_error_is_exported() -> None:
    def kinds(kind: type[HarmonizeError]) -> set[str]:
        return {kind.__name__}.union(*map(kinds, kind.__subclasses__()))

    assert kinds(HarmonizeError) <= set(library.__all__)


def test_settings_are_checked_before_pictures(files: Path) -> None:
    with pytest.raises(ConfigError):
        harmonize("nowhere.png", "cutout.png", size=3)
    with pytest.raises(InputError, match="nowhere"):
        harmonize("nowhere.png", "cutout.png", size=96)


# --- results --------------------------------------------------------------------------------------


def test_numpy_in_and_out(files: Path, kept: Session, plain: bytes) -> None:
    painting, cutout = (np.asarray(Image.open(f"{name}.png")) for name in ("painting", "cutout"))
    place = Placement(at=(np.int64(20), np.float64(20)), scale=np.float32(1), rotate=np.int8(0))
    again = kept.run(kept.plan(painting, cutout, placement=place))
    assert again.array.dtype == np.uint8
    assert again.array.tobytes() == plain
    again.save("out.png")
    record = json.loads(Path("out.json").read_text())
    assert record["placement"]["at"] == [20, 20]
    assert record["inputs"]["painting"]["path"] is None


# --- the caller's torch ---------------------------------------------------------------------------


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every session builds a network of its own."""
    monkeypatch.setattr(prepare, "VGG19", VGG19)


def in_default_dtype(run: Callable[[], Any]) -> Any:
    torch.set_default_dtype(torch.float64)
    try:
        return run(), torch.get_default_dtype()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "state",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        lambda: torch.device("meta"),
    ],
    ids=["no_grad", "inference_mode", "autocast", "device"],
)
def test_the_callers_state_does_no_harm(
    files: Path, fresh: None, state: Callable[[], Any], plain: bytes
) -> None:
    session = Session(FEW)
    with state():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        inside = session.run(session.plan("painting.png", "cutout.png", placement=AT))
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
    after = session.run(session.plan("painting.png", "cutout.png", placement=AT))
    assert inside.image.tobytes() == after.image.tobytes() == plain


def test_another_default_type_does_no_harm_and_stays(
    files: Path, fresh: None, plain: bytes
) -> None:
    session = Session(FEW)

    def run() -> Any:
        return session.run(session.plan("painting.png", "cutout.png", placement=AT))

    inside, kind = in_default_dtype(run)
    assert kind == torch.float64
    assert inside.image.tobytes() == plain


def test_a_thread_that_ends_leaves_the_type_to_the_others() -> None:
    from harmonize.synthesis.network.device import own_state

    entered, leave, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        with own_state():
            entered.set()
            leave.wait()
            seen.append(torch.get_default_dtype())

    def run() -> None:
        thread = threading.Thread(target=other)
        with own_state():
            thread.start()
            entered.wait()
        assert torch.get_default_dtype() == torch.float32  # the other still computes
        leave.set()
        thread.join()

    _, kind = in_default_dtype(run)
    assert (seen, kind) == ([torch.float32], torch.float64)


def test_the_callers_random_numbers_stay(plan: Plan, kept: Session) -> None:
    torch.manual_seed(17)
    np.random.seed(17)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    kept.run(plan)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]


def test_threads_may_share_a_session(files: Path, fresh: None, kept: Session, plain: bytes) -> None:
    names = ["painting.png", "patch.png"]
    other = kept.run(kept.plan("patch.png", "cutout.png", placement=AT))
    alone = [plain, other.image.tobytes()]
    both = Session(FEW)
    shared: dict[str, bytes] = {}

    def work(name: str) -> None:
        plan = both.plan(name, "cutout.png", placement=AT)
        shared[name] = both.run(plan).image.tobytes()

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [shared[name] for name in names] == alone
