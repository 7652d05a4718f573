"""Adapting a prior to a measurement: what it may use, what it leaves alone, what it brings."""

import math
from collections.abc import Generator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from padis_gui.core.images.metrics import psnr
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.physics.problem import Problem, simulate
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.prior.factors import Factors
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TilingSettings, tiling_for
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.solvers.adaptation import (
    AdaptationSettings,
    AdaptationStep,
    Adapted,
    Thinned,
    adapt,
    used_entries,
)
from padis_gui.core.solvers.iterate import drain
from padis_gui.core.solvers.registry import find_solver
from tests import toy_training
from tests.tiny import phantom, tiny_conventions, tiny_network

CPU = torch.device("cpu")
FEW = AdaptationSettings(steps=4, round_steps=2, learning_rate=1e-2)


def tiny_prior(precision: str = "float32", **more: int) -> PatchPrior:
    network = tiny_network().requires_grad_(False).eval().to(memory_format=torch.channels_last)
    return PatchPrior(network, tiny_conventions(), 1, 4, CPU, precision, **more)  # type: ignore[arg-type]


def problem(image: Tensor, physics: str = "ct-parallel", **settings: object) -> Problem:
    record = find_physics(physics)
    chosen = make(record.settings_type, settings or {"views": 8})
    operator = record.make((1, *image.shape), chosen, CPU, None)
    return simulate(operator, image[None], chosen, torch.Generator().manual_seed(0))


def rng(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def finish(steps: Generator[AdaptationStep, None, Adapted]) -> tuple[list[AdaptationStep], Adapted]:
    found = []
    while True:
        try:
            found.append(next(steps))
        except StopIteration as end:
            return found, end.value


def denoised(prior: PatchPrior, sigma: float = 0.3) -> Tensor:
    tiling = tiling_for(TilingSettings(strategy="random"), (64, 64), prior, [sigma, 0.0])
    x = torch.rand(1, 64, 64, generator=rng(1))
    return prior.denoise(x, sigma, tiling.draw(rng(2), sigma), rng(4))


def shaken(factors: Factors) -> None:
    with torch.no_grad():
        for parameter in factors:
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng(9)))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_factors_begin_as_the_prior_itself_and_merge_to_the_last_bit(precision: str) -> None:
    prior = tiny_prior(precision)
    factors = Factors(prior, 2, rng())
    with torch.no_grad():
        before = denoised(prior)
        assert torch.equal(denoised(factors.prior), before)
        assert torch.equal(denoised(factors.merged()), before)
        shaken(factors)
        assert not torch.equal(denoised(factors.prior), before)
        assert torch.equal(denoised(factors.merged()), denoised(factors.prior))
        assert torch.equal(denoised(prior), before)


def test_only_factors_learn_and_they_are_few() -> None:
    factors = Factors(tiny_prior(), 2, rng())
    learning = {id(p) for p in factors.prior.network.parameters() if p.requires_grad}
    assert learning == {id(p) for p in factors}
    assert sum(p.numel() for p in factors) < 0.2 * sum(p.numel() for p in tiny_network().parameters())


def test_a_network_without_convolutions_is_refused() -> None:
    with pytest.raises(SettingError, match="convolutions"):
        Factors(replace(tiny_prior(), network=torch.nn.Linear(1, 1)), 2, rng())


def test_the_gradient_is_the_same_in_any_patch_batch() -> None:
    found = []
    for batch in (1, 64):
        factors = Factors(tiny_prior(patch_batch=batch), 2, rng())
        shaken(factors)
        denoised(factors.prior).square().sum().backward()
        found.append([p.grad for p in factors])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_whole_views_are_kept_aside_and_single_entries_of_pictures() -> None:
    scan = problem(phantom(64)).operator
    used = used_entries(scan, 0.25, rng())
    views = used.sum(dim=(0, 2)) / used[:, 0].numel()
    assert sorted(views.tolist()) == [0, 0, 1, 1, 1, 1, 1, 1]
    picture = problem(phantom(64), "denoising", noise=0.1).operator
    assert used_entries(picture, 0.25, rng()).sum() == 0.75 * 64**2
    assert torch.equal(used_entries(scan, 0.25, rng()), used)
    assert not torch.equal(used_entries(scan, 0.25, rng(4)), used)


def test_a_single_view_cannot_be_kept_aside() -> None:
    with pytest.raises(SettingError, match="part can be kept aside"):
        used_entries(problem(phantom(64), views=1).operator, 0.25, rng())


def test_a_thinned_operator_keeps_its_adjoint() -> None:
    whole = problem(phantom(64)).operator
    thin = Thinned(whole, used_entries(whole, 0.25, rng()))
    x, y = (
        torch.rand(thin.image_shape, generator=rng(1)),
        torch.rand(thin.measurement_shape, generator=rng(2)),
    )
    assert float((thin(x) * y).sum()) == pytest.approx(float((x * thin.T(y)).sum()), rel=1e-4)


@pytest.mark.parametrize("physics", ["ct-parallel", "denoising"])
def test_what_is_kept_aside_changes_no_step(physics: str) -> None:
    settings = {"ct-parallel": {"views": 8}, "denoising": {"noise": 0.1}}[physics]
    given = problem(phantom(64), physics, **settings)
    steps = adapt(given, tiny_prior(), FEW, rng())
    used = _used(given.operator)
    spoiled = replace(given, measurement=torch.where(used > 0, given.measurement, given.measurement + 7))
    others = adapt(spoiled, tiny_prior(), FEW, rng())
    for _ in range(3):  # the first round; which factors are kept may then differ
        one, other = next(steps), next(others)
        assert torch.equal(one.estimate, other.estimate)
        assert one.training == other.training
        assert one.fit == other.fit or math.isnan(one.fit)
        assert one.aside != other.aside


def _used(operator: LinearOperator) -> Tensor:
    """The entries that an adaptation with the generator of :func:`rng` uses."""
    from padis_gui.core.settings.declarations import branch

    return used_entries(operator, FEW.share_aside, branch(rng()))


def test_the_same_seed_gives_the_same_bits_and_the_prior_stays_as_it_is() -> None:
    prior, given = tiny_prior(), problem(phantom(64))
    before = [p.clone() for p in prior.network.parameters()]
    (first, one), (second, other) = (finish(adapt(given, prior, FEW, rng())) for _ in range(2))
    assert [step.fit for step in first if step.fit == step.fit] == [s.fit for s in second if s.fit == s.fit]
    assert (one.best, one.curve) == (other.best, other.curve)
    states = one.prior.network.state_dict(), other.prior.network.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert all(torch.equal(a, b) for a, b in zip(before, prior.network.parameters(), strict=True))
    assert not any(p.requires_grad for p in one.prior.network.parameters())


def test_steps_say_where_the_adaptation_stands_and_the_best_round_is_kept() -> None:
    steps, adapted = finish(adapt(problem(phantom(64)), tiny_prior(), FEW, rng()))
    rounds = [step for step in steps if math.isnan(step.fit)]
    assert [(s.step, s.training, s.aside) for s in rounds] == list(adapted.curve)
    assert adapted.best == min(adapted.curve, key=lambda each: each[2])[0]
    assert steps[1].in_words.startswith("adapting 1 of 4, rays kept aside ")
    assert [step.step for step in steps] == sorted(step.step for step in steps)


@pytest.mark.parametrize("changes", [{"lowest_level": 0.5, "highest_level": 0.4}, {"rank": 0}])
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(SettingError):
        next(adapt(problem(phantom(64)), tiny_prior(), make(AdaptationSettings, dict(changes)), rng()))


# -- what it brings: a prior that has learnt three sizes of one phantom ---------------------------------------


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> PatchPrior:
    folder = tmp_path_factory.mktemp("learnt")
    for _ in toy_training.start(folder, toy_training.settings(steps=40, checkpoint_every=40, warmup=10)):
        pass
    return load_prior(folder / "prior.safetensors", CPU, "float32")


def other_image() -> Tensor:
    """Bright bars over nearly all of the picture: nothing like the phantom, which is dark at its edges."""
    image = torch.zeros(32, 32)
    image[3:29, 4:28] = 0.9
    image[8:24:5, 6:26] = 0.1
    image[5:27, 14:17] = 0.5
    return image


def gains(prior: PatchPrior, image: Tensor, **settings: float) -> tuple[float, Adapted]:
    """By how many dB *Fast* is better with the adapted prior than with the one that came."""
    given, solver = problem(image, views=12), find_solver("fast")
    chosen = make(AdaptationSettings, {"learning_rate": 1e-2, "steps": 60, "share_aside": 0.1} | settings)
    _, adapted = finish(adapt(given, prior, chosen, rng()))
    found = []
    for used in (prior, adapted.prior):
        options = solver.settings_type()
        tiling = tiling_for(TilingSettings(), (32, 32), used, solver.levels(options).tolist())
        estimate = drain(solver.iterates(given, used, tiling, options, rng(7))).estimate
        assert given.truth is not None
        found.append(psnr(estimate, given.truth))
    return found[1] - found[0], adapted


@pytest.mark.parametrize("brightness", [0.6, 0.7, 0.8, 0.9, 1.0])
def test_it_costs_little_on_what_the_prior_knows(learnt: PatchPrior, brightness: float) -> None:
    """With steps as long as they are by default. Ten times as long ones cost up to 0.3 dB here: the rays kept aside then
    take for better what is not."""
    usual = AdaptationSettings().learning_rate
    gain, _ = gains(learnt, brightness * phantom(32), learning_rate=usual)
    assert gain > -0.1


def test_it_improves_what_the_prior_does_not_know(learnt: PatchPrior) -> None:
    gain, adapted = gains(learnt, other_image())
    assert adapted.best > 0
    assert gain > 0.1
