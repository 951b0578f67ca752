from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.errors import StopRun
from harmonize.settings.goals import Method
from harmonize.synthesis.image_ops.filters import to_opponent
from harmonize.synthesis.optimization.minimize import Descent, Minimizer, Shelter, State, Step
from harmonize.synthesis.optimization.objective import unit_gradient
from harmonize.synthesis.optimization.pyramid import PixelVariables, Pyramid

Terms = dict[str, Tensor]


def minimize(image: Tensor, objective: Any, **options: Any) -> Any:
    found = descend(image, objective, **options)
    return found.image, found.history


def descend(image: Tensor, objective: Any, **options: Any) -> Descent:
    if not hasattr(objective, "restart"):
        objective = Plain(objective)
    usual: dict[str, Any] = {"levels": 5, "frozen": 2, **options}
    names = {each.name for each in fields(Method)}
    method = Method(**{name: value for name, value in usual.items() if name in names})
    others = {name: value for name, value in usual.items() if name not in names}
    return Minimizer(image, objective, method, **others).run()


class Plain:
    """An objective that holds nothing, and counts restarts."""

    def __init__(self, terms: Callable[[Tensor], Terms]) -> None:
        self.terms, self.restarts = terms, 0

    def __call__(self, image: Tensor) -> Terms:
        return self.terms(image)

    def restart(self) -> None:
        self.restarts += 1


def picture(h: int = 16, w: int = 16, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, h, w, generator=generator, dtype=torch.float64)


class Bowl:
    """The squared distance from a target, in two halves."""

    def __init__(self, target: Tensor) -> None:
        self.target = target
        self.seen: list[Tensor] = []

    def __call__(self, image: Tensor) -> Terms:
        self.seen.append(image.detach().clone())
        apart = (image - self.target).square()
        half = image.shape[2] // 2
        return {"left": apart[..., :half].mean(), "right": 3 * apart[..., half:].mean()}


def total(terms: Terms | dict[str, float]) -> float:
    return sum(float(value) for value in terms.values())


# --- variables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(16, 16), (33, 47), (5, 64), (1, 1), (3, 9)])
@pytest.mark.parametrize("levels", [1, 2, 5])
def test_a_pyramid_is_its_image(shape: tuple[int, int], levels: int) -> None:
    image = picture(*shape)
    torch.testing.assert_close(Pyramid(image, levels=levels, frozen=0).image().detach(), image)
    assert torch.equal(PixelVariables(image).image().detach(), image)


@pytest.mark.parametrize("kind", ["pixels", "pyramid"])
def test_variables_leave_the_given_image_alone(kind: str) -> None:
    image = picture()
    before = image.clone()
    variables = PixelVariables(image) if kind == "pixels" else Pyramid(image, levels=5, frozen=2)
    with torch.no_grad():
        for parameter in variables.parameters:
            parameter += 1
    assert torch.equal(image, before)
    assert not torch.allclose(variables.image(), image)


def coarse_space(side: int, steps: int) -> Tensor:
    """Return all images that a `steps` times halved one enlarges to."""
    coarse = side >> steps
    basis = torch.eye(coarse * coarse, dtype=torch.float64).view(-1, 1, coarse, coarse)
    for step in reversed(range(steps)):
        basis = F.interpolate(basis, size=(side >> step,) * 2, mode="bilinear")
    return basis.flatten(1).T


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_levels_of_chroma_do_not_move(frozen: int) -> None:
    start, target = picture(), picture(seed=1)
    state = Pyramid(start, levels=5, frozen=frozen)
    optimizer = torch.optim.SGD(state.parameters, lr=5.0)
    for _ in range(10):
        optimizer.zero_grad()
        (state.image() - target).square().mean().backward()
        optimizer.step()
    change = (to_opponent(state.image().detach()) - to_opponent(start)).flatten(1)

    def rest(channel: int, steps: int) -> float:
        """Return how much of a channel's change no coarser image makes."""
        space = coarse_space(16, steps)
        best = torch.linalg.lstsq(space, change[channel][:, None]).solution
        return float((space @ best - change[channel][:, None]).norm() / change[channel].norm())

    for channel in (1, 2):
        assert rest(channel, frozen) < 1e-9
        assert rest(channel, frozen + 1) > 1e-3
    assert rest(0, 1) > 1e-3  # luma is free at every level


def test_at_least_one_level_of_chroma_is_free() -> None:
    start = picture()
    result, _ = minimize(start, Bowl(1 - start), steps=3)
    assert len(Pyramid(start, levels=2, frozen=9).parameters) == 3
    assert to_opponent(result - start)[1:].abs().max() > 1e-3


# --- the loop -------------------------------------------------------------------------------------


@pytest.mark.parametrize("variables", ["pixels", "pyramid"])
@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 0.05), ("lbfgs", 1.0)])
def test_a_quadratic_is_minimized(variables: str, optimizer: str, rate: float) -> None:
    start = picture()
    # A change in reach of both: coarse enough for the pyramid's chroma, which is frozen finer.
    bowl = Bowl(start + F.interpolate(picture(2, 2, seed=1)[None], 16, mode="bilinear")[0])
    result, history = minimize(
        start, bowl, steps=60, variables=variables, optimizer=optimizer, rate=rate
    )
    assert len(history) == len(bowl.seen[:-1]) == 60  # the last: how it ended
    assert set(history[0]) == {"left", "right"}
    assert total(bowl(result)) < 0.01 * total(history[0])
    assert result.shape == start.shape
    assert not result.requires_grad


def test_lbfgs_solves_a_quadratic_that_adam_is_far_from() -> None:
    found = {}
    for optimizer in ("adam", "lbfgs"):
        bowl = Bowl(picture(seed=1))
        result, _ = minimize(
            picture(), bowl, steps=25, variables="pixels", optimizer=optimizer,
            rate=1.0 if optimizer == "lbfgs" else 0.02,
        )  # fmt: skip
        found[optimizer] = total(bowl(result))
    assert found["lbfgs"] < 1e-6 < found["adam"]


def test_history_is_the_terms_of_the_image_before_each_step() -> None:
    bowl = Bowl(picture(seed=1))
    calls: list[tuple[int, dict[str, float]]] = []
    _, history = minimize(picture(), bowl, steps=5, on_step=lambda *call: calls.append(call[:2]))
    seen = bowl.seen[:-1]  # without the end's
    for index, image in enumerate(seen):
        terms = {name: float(value) for name, value in bowl(image).items()}
        assert history[index] == pytest.approx(terms)
    torch.testing.assert_close(seen[0], picture())
    assert calls == [(index + 1, terms) for index, terms in enumerate(history)]


def test_reports_come_every_so_many_steps_and_at_the_end() -> None:
    calls: list[int] = []
    _, history = minimize(
        picture(),
        Bowl(picture(seed=1)),
        steps=10,
        report_every=4,
        on_step=lambda index, *_: calls.append(index),
    )
    assert calls == [4, 8, 10]
    assert len(history) == 3


def test_each_step_can_ask_for_the_image_so_far() -> None:
    bowl = Bowl(picture(seed=1))
    images: list[Tensor] = []
    result, _ = minimize(
        picture(), bowl, steps=3, on_step=lambda _, __, image: images.append(image().detach())
    )
    assert torch.equal(images[0], bowl.seen[1])
    assert torch.equal(images[2], result)


def test_no_steps_give_the_image_back() -> None:
    result, history = minimize(picture(), Bowl(picture(seed=1)), steps=0)
    torch.testing.assert_close(result, picture())
    assert history == []


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_stop_run_gives_the_image_so_far(optimizer: str) -> None:
    def stop(index: int, *_: object) -> None:
        if index == 4:
            raise StopRun

    # Every step of a shorter schedule is not a prefix of a longer one: compare with what was seen.
    bowl = Bowl(picture(seed=1))
    result, history = minimize(picture(), bowl, steps=50, optimizer=optimizer, on_step=stop)
    assert len(history) == len(bowl.seen[:-1]) == 4
    longer = Bowl(picture(seed=1))
    minimize(picture(), longer, steps=50, optimizer=optimizer)
    assert torch.equal(result, longer.seen[4])


def test_other_errors_of_the_caller_pass() -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimize(picture(), Bowl(picture(seed=1)), steps=3, on_step=fail)


@pytest.mark.parametrize("variables", ["pixels", "pyramid"])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_same_start_gives_the_same_bytes(variables: str, optimizer: str) -> None:
    first, second = (
        minimize(
            picture(24, 20).float(),
            Bowl(picture(24, 20, seed=1).float()),
            steps=8,
            variables=variables,
            optimizer=optimizer,
        )
        for _ in range(2)
    )
    assert torch.equal(first[0], second[0])
    assert first[1] == second[1]


def test_the_rate_falls_to_a_tenth() -> None:
    # Adam on a constant slope moves by the rate: the steps' lengths are the schedule.
    images: list[Tensor] = []

    def slope(image: Tensor) -> Terms:
        images.append(image.detach().clone())
        return {"term": image.sum()}

    minimize(picture(), slope, steps=40, variables="pixels", rate=0.02)
    moves = [float((a - b).max()) for a, b in zip(images[:-1], images[1:], strict=True)]
    assert moves[0] == pytest.approx(0.02, rel=1e-3)
    assert moves[-1] == pytest.approx(0.002, rel=0.1)
    assert all(a >= b - 1e-12 for a, b in zip(moves, moves[1:], strict=False))


@pytest.mark.parametrize(
    ("rates", "shares"),
    [((1.0,), [1, 1, 1]), ((0.25, 0.5, 1.0), [0.25, 0.5, 1]), ((0.5,), [0.5, 0.5, 0.5])],
)
def test_luma_goes_by_a_rate_for_each_level(rates: tuple[float, ...], shares: list[float]) -> None:
    # Adam moves each coefficient by its rate in the first step, whatever the gradient.
    start = picture()
    before = Pyramid(start, levels=3, frozen=1)
    seen: list[Tensor] = []

    def slope(image: Tensor) -> Terms:
        seen.append(image.detach().clone())
        return {"term": image.square().sum()}

    descend(start, slope, steps=2, levels=3, frozen=1, rates=rates, rate=0.01)
    moved = Pyramid(start, levels=3, frozen=1, rates=rates)
    with torch.no_grad():
        value = slope(moved.image())["term"]
    assert float(value) == pytest.approx(float(start.square().sum()))
    gradients = torch.autograd.grad(moved.image().square().sum(), moved.parameters)
    with torch.no_grad():
        for parameter, gradient, share in zip(
            moved.parameters, gradients, [*shares, 1, 1], strict=True
        ):
            parameter -= 0.01 * share * gradient.sign()
    torch.testing.assert_close(seen[1], moved.image().detach(), atol=1e-6, rtol=0)
    assert len(before.parameters) == len(moved.shares) == 5


@pytest.mark.parametrize("rates", [(0.25,), (0.25, 0.5, 1.0)])
def test_every_levels_rate_falls_to_a_tenth(rates: tuple[float, ...]) -> None:
    images: list[Tensor] = []

    def slope(image: Tensor) -> Terms:
        images.append(image.detach().clone())
        return {"term": to_opponent(image)[0].sum()}

    descend(picture(), slope, steps=40, levels=1, frozen=0, rates=rates, rate=0.02)
    luma = [to_opponent(image)[0].mean() for image in images]
    moves = [float(a - b) for a, b in zip(luma[:-1], luma[1:], strict=True)]
    assert moves[0] == pytest.approx(0.25 * 0.02, rel=1e-3)
    assert moves[-1] == pytest.approx(0.025 * 0.02, rel=0.1)


def test_a_step_is_a_value() -> None:
    assert Step("refine", 1, 30, {"style": 1.0}) == Step("refine", 1, 30, {"style": 1.0})


# --- what goes wrong ------------------------------------------------------------------------------


class Spoiled(Bowl):
    """A bowl whose left term is `value` at some calls."""

    def __init__(self, target: Tensor, value: float, *calls: int) -> None:
        super().__init__(target)
        self.value, self.calls = value, calls

    def __call__(self, image: Tensor) -> Terms:
        terms = super().__call__(image)
        spoiled = terms["left"] * 0 + self.value if len(self.seen) in self.calls else terms["left"]
        return {**terms, "left": spoiled}


def nearest(bowl: Bowl, spoiled: tuple[int, ...] = ()) -> Tensor:
    """The image with the lowest sum that a bowl has seen."""
    seen = [image for call, image in enumerate(bowl.seen, 1) if call not in spoiled]
    return min(seen, key=lambda image: total(Bowl(bowl.target)(image)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e12])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("call", [2, 5, 9])
def test_a_bad_number_is_rolled_back_and_tried_again(
    optimizer: str, value: float, call: int
) -> None:
    bowl = Spoiled(picture(seed=1), value, call)
    objective = Plain(bowl)
    found = descend(picture(), objective, steps=8, optimizer=optimizer)
    assert objective.restarts == 1
    assert len(found.trouble) == 1
    assert f" {call - 1} steps" in found.trouble[0]
    assert "again from the best image so far, adam at 0.00" in found.trouble[0]
    assert (found.steps, len(found.history)) == (8, 8)
    assert all(math.isfinite(total(terms)) for terms in found.history)
    # The second attempt begins at the best of the first, and goes down from there.
    begins = total(found.history[0])
    assert begins == min(total(Bowl(bowl.target)(image)) for image in bowl.seen[: call - 1])
    assert total(Bowl(bowl.target)(found.image)) < begins
    assert torch.equal(found.image, bowl.seen[-1])


@pytest.mark.parametrize("calls", [(1, 2), (3, 5), (9, 18), (1, 10)])
def test_what_goes_wrong_twice_is_the_best_image_of_all(calls: tuple[int, int]) -> None:
    bowl = Spoiled(picture(seed=1), math.nan, *calls)
    found = descend(picture(), bowl, steps=8)
    assert len(found.trouble) == 2
    assert found.trouble[1].endswith("; the best image so far is kept")
    best = nearest(bowl, calls) if len(bowl.seen) > 2 else picture()
    torch.testing.assert_close(found.image, best)


def test_an_exploding_descent_is_taken_up_again() -> None:
    bowl = Bowl(picture(seed=1))
    found = descend(picture(), bowl, steps=20, variables="pixels", optimizer="lbfgs", rate=1e3)
    assert len(found.trouble) == 1
    assert total(bowl(found.image)) < total(bowl(picture()))


@pytest.mark.parametrize("report_every", [1, 4, 10])
def test_a_descent_that_climbs_is_noticed_at_its_end(report_every: int) -> None:
    class Hill(Bowl):
        """Its gradient points the wrong way."""

        def __call__(self, image: Tensor) -> Terms:
            return {
                name: 2 * value.detach() - value for name, value in super().__call__(image).items()
            }

    hill = Hill(picture(seed=1))
    found = descend(picture(), hill, steps=40, rate=0.2, report_every=report_every, worse=1.1)
    assert len(found.trouble) == 2
    assert total(Bowl(hill.target)(found.image)) <= total(Bowl(hill.target)(picture()))
    assert torch.allclose(found.image, picture())


def test_one_step_too_long_is_noticed() -> None:
    found = descend(picture(), Bowl(picture(seed=1)), steps=1, rate=1e6)
    assert len(found.trouble) == 1
    torch.testing.assert_close(found.image, picture(), atol=0.05, rtol=0)


def test_a_bad_number_after_ctrl_c_is_not_tried_again() -> None:
    def stop(index: int, *_: object) -> None:
        if index == 3:
            raise StopRun

    bowl = Spoiled(picture(seed=1), math.nan, 4)
    found = descend(picture(), bowl, steps=8, on_step=stop)
    assert [text.partition("; ")[2] for text in found.trouble] == ["the best image so far is kept"]
    assert torch.equal(found.image, nearest(bowl, (4,)))
    assert found.steps == 3


def test_a_good_descent_has_no_trouble() -> None:
    assert descend(picture(), Bowl(picture(seed=1)), steps=8).trouble == []
    # From a perfect fit every step leads away; that is no alarm.
    assert descend(picture(), Bowl(picture()), steps=8).trouble == []


# --- left and taken up again ----------------------------------------------------------------------


@pytest.mark.parametrize("variables", ["pixels", "pyramid"])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("spoiled", [(), (5,), (5, 14)])
def test_taken_up_at_any_step_it_ends_the_same(
    variables: str, optimizer: str, spoiled: tuple[int, ...]
) -> None:
    start, target = picture(12, 10).float(), picture(12, 10, seed=1).float()
    given: dict[str, Any] = {"variables": variables, "optimizer": optimizer, "steps": 13}
    given["rates"] = (0.3, 0.7)
    states: list[tuple[int, State]] = []
    bowl = Spoiled(target, math.nan, *spoiled)
    shelter = Shelter(1, lambda state: states.append((len(bowl.seen), copy.deepcopy(state()))))
    whole = descend(start, bowl, shelter=shelter, **given)
    assert len(states) >= 12
    for calls, state in states:
        again = descend(
            start,
            Spoiled(target, math.nan, *(call - calls for call in spoiled)),
            resume=state,
            **given,
        )
        assert torch.equal(again.image, whole.image)
        assert (again.history, again.trouble) == (whole.history, whole.trouble)


def test_there_is_shelter_every_so_many_steps() -> None:
    steps: list[int] = []
    shelter = Shelter(3, lambda state: steps.append(state().steps))
    descend(picture(), Bowl(picture(seed=1)), steps=10, report_every=4, shelter=shelter)
    assert steps == [3, 6, 9]


# --- unit gradients -------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.25, 1.0, 30.0])
@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_a_unit_gradients_norm_is_the_weight(weight: float, scale: float) -> None:
    x = picture().requires_grad_()
    value = scale * (unit_gradient(x, weight) - 0.3).square().sum()
    assert value == scale * (x - 0.3).square().sum()
    (found,) = torch.autograd.grad(value, x)
    (plain,) = torch.autograd.grad((x - 0.3).square().sum(), x)
    assert float(found.norm()) == pytest.approx(weight, rel=1e-12)
    torch.testing.assert_close(found / weight, plain / plain.norm())


def test_a_unit_gradient_of_nothing_is_zero() -> None:
    x = picture().requires_grad_()
    (found,) = torch.autograd.grad((0 * unit_gradient(x, 3.0)).sum(), x)
    assert (found == 0).all()


def test_unit_gradients_add_up() -> None:
    x = picture().requires_grad_()
    value = 1e6 * unit_gradient(x, 2.0)[0].sum() + 1e-6 * unit_gradient(x, 1.0)[1].sum()
    (found,) = torch.autograd.grad(value, x)
    norms = [float(channel.norm()) for channel in found]
    assert norms == pytest.approx([2.0, 1.0, 0.0])
