"""Every registered solver: reproducible, honest about its iterates, steerable, and it ends when it diverges."""

import math
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate, islice
from typing import Any

import pytest
import torch
from torch import Tensor

from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import make_tiling
from padis_gui.core.settings.declarations import Settings, specs, with_live
from padis_gui.core.settings.errors import DivergenceError, Interrupted, SettingError
from padis_gui.core.solvers.iterate import (
    ClassicalSetup,
    Iterate,
    Iterates,
    Setup,
    Step,
    Steps,
    drain,
    unit_norm,
)
from padis_gui.core.solvers.registry import SOLVERS, Solver, find_solver
from tests.tiny import tiny_network

# The smallest run of each solver; a new solver joins by one line.
TINY: dict[str, dict[str, Any]] = {
    "fast": {"steps": 4, "cg_steps": 3},
    "diffpir": {"steps": 4, "cg_steps": 3},
    "langevin-cg": {"steps": 2, "inner": 2, "cg_steps": 3, "sigma_max": 1.0},
    "dds": {"steps": 4, "cg_steps": 3},
    "quality": {"steps": 5, "cg_steps": 3},
    "langevin": {"steps": 2, "inner": 2},
    "predictor-corrector": {"steps": 4, "cg_steps": 3, "sigma_max": 1.0},
    "ve-ddnm": {"steps": 4, "cg_steps": 3},
    "padis-dps": {"steps": 3, "inner": 2, "sigma_max": 1.0, "zeta": 0.5},
    # an untrained network makes nothing of a jump from 0.5 to 0.01
    "padis-dps-preconditioned": {"steps": 3, "inner": 2, "cg_steps": 3, "sigma_min": 0.1},
    "langevin-proximal": {"steps": 3, "inner": 2, "cg_steps": 3, "sigma_min": 0.1},
    "pigdm": {"steps": 4, "cg_steps": 3},
    "red-diff": {"steps": 4},
    "resample": {"steps": 4, "every": 2, "cg_steps": 3},
    "daps": {"steps": 3, "samples": 2, "cg_steps": 3, "sigma_max": 1.0},
    "baseline": {},
    "least-squares": {"steps": 4},
    "sirt": {"steps": 4},
    "tv": {"steps": 4},
    "pnp-admm": {"steps": 4, "cg_steps": 3},
    "red": {"steps": 4, "cg_steps": 3},
}
# Baselines that draw nothing and call no denoiser.
CLASSICAL = {"baseline", "least-squares", "sirt", "tv"}

every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.name)
every_denoising_solver = pytest.mark.parametrize(
    "solver", [s for s in SOLVERS if s.name not in CLASSICAL], ids=lambda s: s.name
)


def settings_of(solver: Solver, **changes: Any) -> Settings:
    return solver.settings_type(**{**TINY[solver.name], **changes})


def run(solver: Solver, problem: Problem, prior: PatchPrior, seed: int = 0, **changes: Any) -> Iterates[Any]:
    settings = settings_of(solver, **changes)
    shape = problem.operator.image_shape
    tiling = make_tiling("random", (shape[1], shape[2]), 32, prior.conventions.frame)
    return solver.iterates(problem, prior, tiling, settings, torch.Generator().manual_seed(seed))


def tensors(iterate: Iterate) -> tuple[Tensor, Tensor, Tensor]:
    return iterate.x, iterate.denoised, iterate.estimate


def same(a: list[Iterate], b: list[Iterate]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(s, t)
        for i, j in zip(a, b, strict=True)
        for s, t in zip(tensors(i), tensors(j), strict=True)
    )


def test_every_solver_has_a_tiny_run() -> None:
    assert {s.name for s in SOLVERS} == set(TINY)


@every_solver
def test_same_seed_same_bits(solver: Solver, ct_problem: Problem, prior: PatchPrior) -> None:
    first = list(run(solver, ct_problem, prior, seed=3))
    torch.manual_seed(99)  # the global generator has no say
    assert same(first, list(run(solver, ct_problem, prior, seed=3)))
    assert same(first, list(run(solver, ct_problem, prior, seed=4))) is (solver.name in CLASSICAL)


@every_solver
def test_global_generator_is_not_touched(solver: Solver, ct_problem: Problem, prior: PatchPrior) -> None:
    before = torch.get_rng_state()
    drain(run(solver, ct_problem, prior))
    assert torch.equal(torch.get_rng_state(), before)


@every_solver
def test_iterates_say_where_they_are(solver: Solver, ct_problem: Problem, prior: PatchPrior) -> None:
    found = list(run(solver, ct_problem, prior))
    total = found[0].total
    assert [i.step for i in found] == list(range(1, total + 1))
    A, y = ct_problem.operator, ct_problem.measurement
    for iterate in found:
        for tensor in tensors(iterate):
            assert tuple(tensor.shape) == A.image_shape
            assert not tensor.requires_grad
        expected = float((A(iterate.estimate) - y).norm() / y.norm())
        assert iterate.residual == pytest.approx(expected, rel=1e-3)
        assert iterate.measured is not None
        torch.testing.assert_close(iterate.measured, A(iterate.estimate), rtol=1e-4, atol=1e-3)
        assert iterate.seconds > 0


@every_denoising_solver
def test_iterates_say_how_they_denoised(solver: Solver, ct_problem: Problem, prior: PatchPrior) -> None:
    found = list(run(solver, ct_problem, prior))
    if solver.name == "predictor-corrector":
        calls = [2] * (len(found) - 1) + [1]  # no corrector at noise level 0
    elif solver.name == "daps":
        calls = [2, 2, 2, 1, 1, 1]  # the first sample probes the prior
        assert all(i.sigma == j.sigma for i, j in zip(found[:3], found[3:], strict=True))
    else:
        calls = [1] * len(found)
    assert [i.evaluations for i in found] == list(accumulate(calls))
    sigmas = [i.sigma for i in found[-3:] if solver.name == "daps"] or [i.sigma for i in found]
    settings: Any = settings_of(solver)
    assert sigmas == sorted(sigmas, reverse=True)
    assert sigmas[0] == pytest.approx(settings.sigma_max)
    assert sigmas[-1] == pytest.approx(settings.sigma_min)
    assert all(i.partition is not None and i.partition.patch == 32 for i in found)


@pytest.mark.parametrize("name", sorted(CLASSICAL))
def test_classical_iterates_have_no_noise_level(name: str, ct_problem: Problem, prior: PatchPrior) -> None:
    for iterate in run(find_solver(name), ct_problem, prior):
        assert (iterate.sigma, iterate.partition, iterate.evaluations) == (0.0, None, 0)
        assert torch.equal(iterate.x, iterate.estimate)
        assert torch.equal(iterate.denoised, iterate.estimate)


@pytest.mark.parametrize("name", sorted(CLASSICAL))
def test_classical_methods_ask_for_nothing_but_the_measurement(
    name: str, ct_problem: Problem, prior: PatchPrior
) -> None:
    """No prior, tiling, noise levels or generator; and the operator's own picture does not even take its norm."""
    solver: Any = find_solver(name)
    settings = settings_of(solver)
    A, y, noise = (
        unit_norm(ct_problem) if settings.unit_norm else (ct_problem.operator, ct_problem.measurement, 0.0)
    )
    steps = solver.solve(ClassicalSetup(A=A, y=y, noise=noise), settings)
    found = [next(steps).x]
    with suppress(StopIteration):
        while True:
            found.append(steps.send(settings).x)
    driven = [i.x for i in run(solver, ct_problem, prior)]
    assert all(torch.equal(x, other) for x, other in zip(found, driven, strict=True))
    assert settings.unit_norm is (name != "baseline")


@every_solver
def test_yielded_tensors_never_change_later(solver: Solver, ct_problem: Problem, prior: PatchPrior) -> None:
    kept = [(i, [t.clone() for t in tensors(i)]) for i in run(solver, ct_problem, prior)]
    for iterate, copies in kept:
        assert all(torch.equal(t, c) for t, c in zip(tensors(iterate), copies, strict=True))


@every_solver
def test_writing_on_a_yielded_estimate_is_the_only_way_to_change_it(
    solver: Solver, ct_problem: Problem, prior: PatchPrior
) -> None:
    """A consumer that spoils an iterate's denoised picture or estimate does not steer the run."""
    clean = list(run(solver, ct_problem, prior))
    final = None
    for final in run(solver, ct_problem, prior):
        states = final.x.clone()
        final.denoised.fill_(7.0)
        assert torch.equal(final.x, states)
    assert final is not None
    assert torch.equal(final.x, clean[-1].x)


@every_solver
def test_measurement_and_truth_are_not_written(
    solver: Solver, ct_problem: Problem, prior: PatchPrior
) -> None:
    assert ct_problem.truth is not None
    y, truth = ct_problem.measurement.clone(), ct_problem.truth.clone()
    drain(run(solver, ct_problem, prior))
    assert torch.equal(ct_problem.measurement, y)
    assert torch.equal(ct_problem.truth, truth)


@every_solver
@pytest.mark.parametrize("mode", [True, False])
def test_grad_mode_is_not_leaked(solver: Solver, ct_problem: Problem, prior: PatchPrior, mode: bool) -> None:
    with torch.set_grad_enabled(mode):
        for _ in run(solver, ct_problem, prior):
            assert torch.is_grad_enabled() is mode
            assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled() is mode


@every_solver
def test_solver_ignores_the_callers_grad_mode(solver: Solver, ct_problem: Problem, prior: PatchPrior) -> None:
    with torch.no_grad():
        without = list(run(solver, ct_problem, prior))
    assert same(without, list(run(solver, ct_problem, prior)))


# -- steering ---------------------------------------------------------------------------------------------


def steered(
    solver: Solver, problem: Problem, prior: PatchPrior, after: int, settings: Settings, **changes: Any
) -> list[Iterate]:
    """A run to which new settings are sent once ``after`` iterates have come."""
    iterates, found = run(solver, problem, prior, **changes), []
    sent = None
    try:
        while True:
            found.append(iterates.send(sent))
            sent = settings if len(found) == after else None
    except StopIteration:
        return found


LIVE = {
    "langevin-cg": [("epsilon", 0.3), ("prior_weight", 50.0), ("temperature", 0.1)],
    "langevin": [("epsilon", 0.3), ("zeta", 0.1)],
    "predictor-corrector": [("snr", 0.01), ("prior_weight", 50.0), ("zeta", 0.1)],
    "ve-ddnm": [("eta", 0.1), ("epsilon", 0.3)],
    "fast": [("zeta", 0.2), ("prior_weight", 50.0)],
    "quality": [("zeta", 0.2), ("prior_weight", 50.0)],
    "diffpir": [("zeta", 0.2), ("prior_weight", 50.0), ("temperature", 0.1)],
    "dds": [("eta", 0.1)],
    "padis-dps": [("zeta", 0.1), ("physical_zeta", 0.01), ("epsilon", 0.3)],
    "padis-dps-preconditioned": [
        ("zeta", 0.1),
        ("epsilon", 0.3),
        ("prior_weight", 50.0),
        ("temperature", 0.1),
    ],
    "langevin-proximal": [("epsilon", 0.3), ("prior_weight", 50.0), ("temperature", 0.1)],
    "pigdm": [("eta", 0.1), ("prior_weight", 50.0), ("temperature", 0.1)],
    "red-diff": [("rate", 1e-3), ("prior_weight", 50.0)],
    "resample": [("gamma", 0.1), ("eta", 0.5), ("prior_weight", 50.0)],
    "daps": [("spread", 0.1)],
    "baseline": [],
    "least-squares": [],
    "sirt": [("relaxation", 0.3)],
    "tv": [("weight", 1e-3), ("discrepancy", 0.01)],
    "pnp-admm": [("prior_weight", 50.0)],
    "red": [("prior_weight", 50.0)],
}


# What a live setting needs beside it, where it means nothing with the defaults.
LIVE_WITH: dict[tuple[str, str], dict[str, Any]] = {
    ("padis-dps", "physical_zeta"): {"scale": "physical"},
    ("predictor-corrector", "zeta"): {"data_step": "gradient"},
    ("resample", "gamma"): {"every": 1},
    ("resample", "prior_weight"): {"every": 1},
    ("ve-ddnm", "epsilon"): {
        "sampler": "langevin",
        "steps": 2,
        "inner": 2,
        "sigma_max": 1.0,
        "sigma_min": 0.5,
    },
}


@every_solver
def test_the_table_of_live_settings_is_complete(solver: Solver) -> None:
    assert {name for name, _ in LIVE[solver.name]} == {s.name for s in specs(solver.settings_type) if s.live}


@pytest.mark.parametrize(
    ("name", "field", "value"), [(n, f, v) for n, fields in LIVE.items() for f, v in fields]
)
def test_live_settings_take_effect_from_the_next_step(
    name: str, field: str, value: float, ct_problem: Problem, prior: PatchPrior
) -> None:
    noisy = replace(ct_problem, noise=2.0)  # without noise the prior's weight would not be seen
    solver, beside = find_solver(name), LIVE_WITH.get((name, field), {})
    plain = list(run(solver, noisy, prior, **beside))
    changed = steered(solver, noisy, prior, 2, settings_of(solver, **beside, **{field: value}), **beside)
    assert same(plain[:2], changed[:2])
    assert not torch.equal(plain[2].x, changed[2].x)
    assert len(plain) == len(changed)


@every_solver
def test_other_settings_stay_as_the_run_began(solver: Solver, ct_problem: Problem, prior: PatchPrior) -> None:
    known = solver.settings_type.model_fields
    others = {"steps": 7, "sigma_max": 3.0, "inner": 5, "cg_steps": 1, "samples": 3, "non_negative": True}
    frozen = {name: value for name, value in others.items() if name in known}
    plain = list(run(solver, ct_problem, prior))
    assert same(plain, steered(solver, ct_problem, prior, 1, settings_of(solver, **frozen)))


def test_with_live_keeps_the_rest() -> None:
    solver = find_solver("diffpir")
    before = settings_of(solver, cg_steps=3, zeta=1.0)
    after = with_live(before, settings_of(solver, cg_steps=9, zeta=0.5))
    assert (after.cg_steps, after.zeta) == (3, 0.5)
    assert with_live(before, None) is before


@every_solver
def test_closing_early_is_quiet(solver: Solver, ct_problem: Problem, prior: PatchPrior) -> None:
    iterates = run(solver, ct_problem, prior)
    wanted = 1 if solver.name == "baseline" else 2
    assert len(list(islice(iterates, wanted))) == wanted
    iterates.close()
    with pytest.raises(StopIteration):
        next(iterates)


@every_denoising_solver
def test_interrupt_passes_through(solver: Solver, ct_problem: Problem, prior: PatchPrior) -> None:
    calls, allowed = 0, list(run(solver, ct_problem, prior))[1].evaluations

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > allowed:
            raise Interrupted

    iterates = run(solver, ct_problem, prior.interrupted_by(check))
    assert len(list(islice(iterates, 2))) == 2
    with pytest.raises(Interrupted):
        next(iterates)


# -- what comes out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fast", "diffpir", "dds"])
def test_data_steps_explain_the_measurement(name: str, ct_problem: Problem, prior: PatchPrior) -> None:
    """With clean data and enough CG, the estimate projects to the measurement whatever the prior says."""
    last = drain(run(find_solver(name), ct_problem, prior, cg_steps=60))
    assert last.residual < 0.02


def test_fast_jumps_from_the_data(ct_problem: Problem, prior: PatchPrior) -> None:
    """At a tiny noise level the start is the least-squares picture, not noise."""
    last = drain(run(find_solver("fast"), ct_problem, prior, steps=1, sigma_max=0.011, sigma_min=0.01))
    assert ct_problem.truth is not None
    error = float((last.estimate - ct_problem.truth).norm() / ct_problem.truth.norm())
    assert error < 0.5


def test_last_step_adds_no_noise(ct_problem: Problem, prior: PatchPrior) -> None:
    for name in ("fast", "diffpir", "dds"):
        last = drain(run(find_solver(name), ct_problem, prior))
        torch.testing.assert_close(last.x, last.estimate)


def test_dps_gradient_is_that_of_the_distance(ct_problem: Problem, prior: PatchPrior) -> None:
    """zeta moves x along -grad ||y - A D(x)||: the difference of two runs is that gradient."""
    solver = find_solver("padis-dps")
    one = {"steps": 1, "inner": 1, "sigma_max": 0.5, "sigma_min": 0.4}
    still, moved = (next(run(solver, ct_problem, prior, zeta=z, **one)) for z in (0.0, 1.0))
    gradient = still.x - moved.x
    A = ct_problem.operator
    scale = 1 / A.norm
    rng = torch.Generator().manual_seed(0)
    x = 0.5 * torch.randn(A.image_shape, generator=rng)
    tiling = make_tiling("random", (64, 64), 32, prior.conventions.frame)
    part, state = tiling.draw(rng), None
    state = rng.get_state()

    def distance(v: Tensor) -> Tensor:
        rng.set_state(state)
        return (scale * (ct_problem.measurement - A(prior.denoise(v, 0.5, part, rng)))).norm()

    direction = gradient / gradient.norm()
    step = 0.05
    with torch.no_grad():
        numeric = float(distance(x + step * direction) - distance(x - step * direction)) / (2 * step)
    assert float(gradient.norm()) == pytest.approx(numeric, rel=0.05)


@pytest.mark.parametrize("name", ["padis-dps", "langevin", "ve-ddnm"])
def test_exact_noise_is_scaled_so_that_the_level_stays(
    name: str, ct_problem: Problem, prior: PatchPrior
) -> None:
    """The same draw, times sqrt(1 - epsilon/4): what it leaves in the state has the variance sigma^2 again."""
    solver = find_solver(name)
    one = {"steps": 2, "inner": 1, "sigma_max": 0.5, "sigma_min": 0.4, "epsilon": 0.8}
    one |= {"ve-ddnm": {"sampler": "langevin"}}.get(name, {"zeta": 0.0})
    exact, usual = (next(run(solver, ct_problem, prior, exact_noise=on, **one)) for on in (True, False))
    moved = exact.x - usual.x
    wanted = (math.sqrt(0.8 - 0.8**2 / 4) - math.sqrt(0.8)) * 0.5
    assert float(moved.std()) == pytest.approx(-wanted, rel=0.05)
    kept, fresh = 1 - 0.8 / 2, math.sqrt(0.8 - 0.8**2 / 4)
    assert kept**2 + fresh**2 == pytest.approx(1)


def test_a_zeta_that_is_given_on_the_physical_scale_is_that_of_the_physical_scale() -> None:
    """Recipes and commands of before, which knew one zeta for both, mean what they meant."""
    settings: Any = find_solver("padis-dps").settings_type
    assert settings(scale="physical", zeta=0.5).zeta_at(1.0) == 0.5
    assert settings(scale="physical", zeta=0.5, physical_zeta=0.7).zeta_at(1.0) == 0.7
    assert settings(scale="physical").zeta_at(1.0) == settings().physical_zeta
    assert settings(zeta=0.5).zeta_at(1.0) == 0.5


def test_the_physical_scale_gives_the_same_run_with_its_own_zeta(
    ct_problem: Problem, prior: PatchPrior
) -> None:
    """||A|| times as small for a normalised step, ||A||^2 times for a plain one."""
    solver, norm = find_solver("padis-dps"), ct_problem.operator.norm
    for step, power in (("normalised", 1), ("plain", 2)):
        unit = drain(run(solver, ct_problem, prior, step=step, zeta=0.5))
        own = drain(
            run(solver, ct_problem, prior, step=step, scale="physical", physical_zeta=0.5 / norm**power)
        )
        torch.testing.assert_close(own.x, unit.x, rtol=1e-3, atol=1e-3)


def test_a_fading_step_is_whole_above_its_level_and_shrinks_with_the_noise_below() -> None:
    settings: Any = find_solver("padis-dps").settings_type(zeta=8.0, fade=0.2)
    assert [settings.zeta_at(sigma) for sigma in (1.0, 0.2, 0.1, 0.01)] == pytest.approx([8, 8, 4, 0.4])
    never: Any = find_solver("padis-dps").settings_type(zeta=8.0, fade=0.0)
    assert never.zeta_at(1e-3) == 8.0


# -- divergence -------------------------------------------------------------------------------------------


def test_a_huge_step_is_noticed_and_the_last_iterate_is_good(ct_problem: Problem, prior: PatchPrior) -> None:
    solver, found = find_solver("padis-dps"), []
    huge = {"steps": 40, "inner": 3, "zeta": 100.0, "scale": "physical"}
    with pytest.raises(DivergenceError, match=r"step \d+ of \d+.*lower the step size ζ"):
        found.extend(_collected(run(solver, ct_problem, prior, **huge), found))
    assert found
    assert all(bool(torch.isfinite(i.estimate).all()) for i in found)


def _collected(iterates: Iterates[Any], into: list[Iterate]) -> list[Iterate]:
    """Drain into a list that outlives an error."""
    for iterate in iterates:
        into.append(iterate)
    return []


@pytest.mark.parametrize("bad", ["nan picture", "infinite picture", "nan residual", "explosion"])
def test_the_driver_stops_before_a_bad_iterate(bad: str, ct_problem: Problem, prior: PatchPrior) -> None:
    closed = []

    def solve(setup: Setup, settings: Settings) -> Steps[Any]:
        x = ct_problem.truth
        assert x is not None
        measured, spoiled = setup.A(x), x.clone()
        try:
            yield Step(x, measured=measured)
            if bad.endswith("picture"):
                spoiled[0, 0, 0] = float("nan" if bad.startswith("nan") else "inf")
            yield Step(
                x, x, spoiled, measured=measured * {"nan residual": torch.nan, "explosion": 1e6}.get(bad, 1.0)
            )
            pytest.fail("the solver was asked for more")
        finally:
            closed.append(True)

    iterates = run(replace(find_solver("dds"), solve=solve), ct_problem, prior)
    assert next(iterates).step == 1
    with pytest.raises(DivergenceError, match="lower the number of CG steps"):
        next(iterates)
    assert closed == [True]


@every_solver
def test_seconds_are_those_of_the_solver_not_of_whoever_asks_it(
    solver: Solver, ct_problem: Problem, prior: PatchPrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("padis_gui.core.solvers.driver.perf_counter", lambda: now)

    def call() -> None:
        nonlocal now
        now += 1.0

    calls = 0
    for iterate in run(solver, ct_problem, prior.interrupted_by(call)):
        assert iterate.seconds == iterate.evaluations - calls  # a patch batch each
        calls = iterate.evaluations
        now += 1000.0


def test_drain_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        drain(iter(()))


def test_unknown_solver_names_the_known_ones() -> None:
    with pytest.raises(SettingError, match=r"fast, quality, .*, but 'magic'"):
        find_solver("magic")


def test_registry_defaults_are_valid_and_documented() -> None:
    for solver in SOLVERS:
        levels = solver.levels(solver.settings_type())
        assert len(levels) == 0 if solver.name in CLASSICAL else len(levels) > 1
        assert solver.source
        assert solver.lower
        assert "arXiv" in solver.source or not solver.diffusion, solver.name
    assert len({s.name for s in SOLVERS}) == len(SOLVERS)


def test_works_on_images_of_another_shape(prior: PatchPrior) -> None:
    from padis_gui.core.physics.problem import simulate
    from padis_gui.core.physics.scanner import ParallelBeamCT, ParallelBeamSettings

    operator = ParallelBeamCT.of((1, 40, 72), ParallelBeamSettings(views=6, bins=96), torch.device("cpu"))
    problem = simulate(
        operator, torch.rand(1, 40, 72), ParallelBeamSettings(noise=0.01), torch.Generator().manual_seed(0)
    )
    for solver in SOLVERS:
        assert drain(run(solver, problem, prior)).estimate.shape == (1, 40, 72)


def test_network_of_the_fixture_is_frozen(prior: PatchPrior) -> None:
    """Solvers must not collect gradients in the weights."""
    assert not any(p.requires_grad for p in prior.network.parameters())
    assert sum(p.numel() for p in prior.network.parameters()) == sum(
        p.numel() for p in tiny_network().parameters()
    )
