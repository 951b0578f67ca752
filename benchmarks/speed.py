"""The default preset against the paper's schedule: same case and objective."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks import report
from benchmarks.cases import LONG, Case, Options, canvas, find_cases, sample
from benchmarks.quality import network
from benchmarks.report import Row
from harmonize import Settings, StopRun, harmonize
from harmonize.run.prepare import working_view
from harmonize.settings.resolve import resolve_settings
from harmonize.synthesis import passes
from harmonize.synthesis.image_ops.crops import Canvas, Painted, View, scaled
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network.vgg19 import VGG19
from harmonize.synthesis.optimization import losses
from harmonize.synthesis.optimization.objective import PassObjective

REDUCED = 256  # long side at which the paper's schedule is run
TIMED = 4  # its steps a pass at full size, of which the first is not counted
GROWTH = 1.05  # the paper's pictures are looked at whenever this many times more steps are done

# The paper's refine objective in loss balance, every term over its target's own mean square.
COMMON = {"content": 1.0, "style": 5.0, "histogram": 5.0, "tv": 0.01}
NOTE = f"""Objective: the paper's refine terms (content from the composite, Gram at four taps,
histogram at two, total variation) in loss balance with the weights {COMMON}, on the loose mask at
the reduced size; targets matched from the composite, once, for both. Each picture is judged at
the size of the objective, however small the pass that made it. Seconds count from the call of the
library; what judging the pictures takes is left out. The paper's run ends when it reaches the
default's final value; its pictures are looked at whenever {GROWTH - 1:.0%} more steps are done,
the default's at every step. At full size the paper's {TIMED} steps a pass are timed; its whole
time is what precedes the steps plus seconds a step times the preset's steps: extrapolated, not
run."""

EVALUATE = PassObjective.__call__  # the judge's own, which no watch sees


@dataclass
class Watch:
    """Sees every picture of a run; its clock stops while it judges."""

    config: Settings
    full: Canvas
    judge: Callable[[Tensor], float] | None
    growth: float = 1.0
    target: float = -1.0
    curve: list[tuple[float, int, float]] = field(default_factory=list)
    steps: list[tuple[str, float]] = field(default_factory=list)
    began: float = 0.0
    _away: float = 0.0
    _passes: list[PassObjective] = field(default_factory=list)
    _calls: int = 0
    _due: float = 1.0

    @cached_property
    def view(self) -> View:
        return working_view(self.full, self.config)

    def seconds(self) -> float:
        return time.perf_counter() - self.began - self._away

    def run(self, case: Case) -> float:
        def seen(objective: PassObjective, image: Tensor) -> dict[str, Tensor]:
            self._see(objective, image.detach())
            return EVALUATE(objective, image)

        self.began = time.perf_counter()
        with patch.object(PassObjective, "__call__", seen):
            harmonize(**case.inputs, settings=self.config, on_progress=self._step)
        return self.seconds()

    def reached(self, value: float) -> tuple[float, int] | None:
        found = ((at, done) for at, done, now in self.curve if now <= value)
        return next(found, None)

    def per_step(self) -> dict[str, float]:
        gaps: dict[str, list[float]] = {}
        for (name, begin), (same, end) in zip(self.steps, self.steps[1:], strict=False):
            if name == same:
                gaps.setdefault(name, []).append(end - begin)
        return {name: float(torch.tensor(times).median()) for name, times in gaps.items()}

    def _step(self, step: Any) -> None:
        self.steps.append((step.stage, self.seconds()))
        if self.curve and self.curve[-1][2] <= self.target:
            raise StopRun

    def _see(self, objective: PassObjective, image: Tensor) -> None:
        at, entered = self.seconds(), time.perf_counter()
        if not any(objective is one for one in self._passes):
            self._passes.append(objective)
        self._calls += 1
        if self.judge is not None and self._calls >= self._due:
            self._due = max(self._calls + 1, self._calls * self.growth)
            with torch.no_grad():
                value = self.judge(self._picture(objective, image))
            self.curve.append((at, self._calls - 1, value))
        self._away += time.perf_counter() - entered

    def _picture(self, objective: PassObjective, image: Tensor) -> Tensor:
        settings = list(self.config.passes.values())[len(self._passes) - 1]
        margin = None if self.config.region == "canvas" else self.config.margin
        here = self.full.view(scaled(self.view.shape, settings.scale), margin)
        shown = torch.lerp(objective.frame, image.clamp(0, 1), objective.mask)
        return Painted(here, shown).seen(self.view)


def common_objective(view: View, vgg: VGG19) -> Callable[[Tensor], float]:
    weights = [f"passes.refine.terms.{name}.weight={value}" for name, value in COMMON.items()]
    config = Options(None, Path(), None).config("paper", "passes.refine.balance=loss", *weights)
    settings = next(item for item in resolve_settings(config, 5.0).passes if item.name == "refine")
    smoothness = losses.total_variation_weight(float(losses.noise(view.painting.bands())))
    with torch.no_grad():
        matched, masked = passes.match_pass(
            settings,
            vgg,
            image=view.composite,
            painting=PaintingFeatures(view.painting, vgg, config.tile),
            frame=view.frame,
            mask=view.loose,
        )
        objective = passes.build_objective(
            settings,
            masked,
            matched=matched,
            kept=view.composite,
            painting=view.painting,
            frame=view.frame,
            mask=view.loose,
            smoothness=smoothness,
        )
    return lambda picture: float(sum(map(float, EVALUATE(objective, picture).values())))


def race(case: Case, options: Options) -> tuple[list[Row], list[Row], dict[str, Any]]:
    """Return times, crossings and curves at the reduced size."""
    configs = {name: options.config(name, size=REDUCED) for name in ("default", "paper")}
    full = canvas(case, configs["default"])
    seen = working_view(full, configs["default"])
    judge = common_objective(seen, network())
    ours = Watch(configs["default"], full, judge)
    whole = {"default": ours.run(case)}
    target = ours.curve[-1][2]
    print(f"  default: {whole['default']:.1f} s to {target:.4f}", flush=True)
    paper = Watch(configs["paper"], full, judge, GROWTH, target)
    whole["paper"] = paper.run(case)
    print(f"  paper: {whole['paper']:.1f} s to {paper.curve[-1][2]:.4f}", flush=True)
    watches = {"default": ours, "paper": paper}
    times = [_times(name, watch, whole[name]) for name, watch in watches.items()]
    start = judge(seen.composite)
    crossings = [
        _crossing(share, start + share * (target - start), ours, paper)
        for share in (0.5, 0.8, 0.9, 1.0)
    ]
    return times, crossings, {name: watch.curve for name, watch in watches.items()}


def _times(name: str, watch: Watch, whole: float) -> Row:
    per = {f"{key} s/step": value for key, value in watch.per_step().items()}
    return {
        "preset": name,
        "precision": report.machine(watch.config)["precision"],
        "steps done": len(watch.steps),
        "s in all": whole,
        **per,
        "final": watch.curve[-1][2],
        "lowest": min(value for _, _, value in watch.curve),
    }


def _crossing(share: float, value: float, ours: Watch, paper: Watch) -> Row:
    row: Row = {"of the way": f"{share:.0%}", "objective": value}
    found = {"default": ours.reached(value), "paper": paper.reached(value)}
    for name, at in found.items():
        row |= {f"{name} s": at[0] if at else None, f"{name} steps": at[1] if at else None}
    if found["default"] and found["paper"]:
        row["paper over default"] = found["paper"][0] / found["default"][0]
    elif found["default"]:
        row["paper over default"] = f"> {paper.steps[-1][1] / found['default'][0]:.3g}"
    return row


def full_size(case: Case, options: Options) -> Row:
    """Run the default whole; extrapolate the paper's schedule from a few steps."""
    config = options.config("default", size=LONG)
    full = canvas(case, config)
    ours = Watch(config, full, None).run(case)
    paper = options.config("paper", size=LONG)
    planned = {name: float(settings.steps) for name, settings in paper.passes.items()}  # type: ignore[arg-type]
    short = options.config("paper", *(f"passes.{n}.steps={TIMED}" for n in planned), size=LONG)
    watch = Watch(short, full, None)
    whole = watch.run(case)
    per = watch.per_step()
    before = whole - sum(TIMED * value for value in per.values())
    total = before + sum(per[name] * steps for name, steps in planned.items())
    return {
        "size": config.size,
        "default s": ours,
        **{f"paper {name} s/step": value for name, value in per.items()},
        "paper before its steps s": before,
        "paper steps": round(sum(planned.values())),
        "paper s (extrapolated)": total,
        "paper over default": total / ours,
    }


def run(options: Options) -> bool:
    case = find_cases(options.cases)[0] if options.cases else sample("duck")
    times, crossings, curves = race(case, options)
    big = full_size(case, Options(options.cases, options.out, None, options.overrides))
    tables = {
        f"Case {case.name}, {options.size or REDUCED} px": times,
        "Same value of the same objective, from the composite's to the default's final": crossings,
        f"Whole command at {big['size']} px": [big],
    }
    report.publish(options.out, "speed", options.config(), tables, NOTE, curves=curves)
    return True
