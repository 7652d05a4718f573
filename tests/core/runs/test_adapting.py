"""Runs that adapt their prior first: repeated, steered, kept as a prior; and runs that don't, which are what they were."""

import hashlib
import json
import math
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from padis_gui.core.files.read import read_image
from padis_gui.core.physics.scanner import ParallelBeamSettings
from padis_gui.core.prior.checkpoint import load_prior, read_record
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.adapted import keep_prior
from padis_gui.core.runs.control import Control, RunState
from padis_gui.core.runs.differences import differences
from padis_gui.core.runs.engine import Result, Run, finish
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, adapting_stream, streams
from padis_gui.core.runs.recipe import Recipe, draft_recipe
from padis_gui.core.runs.repeat import Repeater
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import CheckpointError, InputError
from padis_gui.core.solvers.adaptation import AdaptationSettings, AdaptationStep
from padis_gui.core.solvers.registry import find_solver
from padis_gui.core.volumes.request import fingerprint
from tests.waiting import wait_for

FEW = AdaptationSettings(steps=2, round_steps=2, learning_rate=1e-3)
CPU = torch.device("cpu")


@pytest.fixture
def opened(phantom_path: Path, prior: PatchPrior, prior_path: Path) -> Opened:
    return Opened(image=read_image(phantom_path), data_path=phantom_path, prior=prior, prior_path=prior_path)


def method(adaptation: AdaptationSettings | None = FEW) -> Method:
    return Method(
        physics="ct-parallel", problem=ParallelBeamSettings(views=12, bins=96), tiling=TilingSettings(),
        solver="fast", settings=make(find_solver("fast").settings_type, {"steps": 3}),
        adaptation=adaptation,
    )  # fmt: skip


def run_of(
    opened: Opened, chosen: Method | None = None, control: Control | None = None, **more: object
) -> Run:
    recipe = draft_recipe(opened, chosen or method(), 5, threads=1)
    return Run(recipe, opened, control, **more)  # type: ignore[arg-type]


@pytest.fixture
def adapted(opened: Opened) -> Result:
    return finish(run_of(opened))


def same(one: Result, other: Result) -> bool:
    return bool((one.pixels == other.pixels).all())


def test_an_adapted_run_is_repeated_bit_for_bit_from_its_recipe(adapted: Result) -> None:
    recipe = Recipe.model_validate_json(adapted.recipe.model_dump_json())
    assert recipe.adaptation == FEW
    assert recipe == adapted.recipe
    assert same(Repeater(CPU).run(recipe), adapted)


def test_the_solver_meets_the_same_noise_with_and_without() -> None:
    adapting_stream(5)
    solving = streams(5)[1]
    assert torch.rand(3, generator=adapting_stream(5)).tolist() != torch.rand(3, generator=solving).tolist()


def test_the_open_prior_stays_as_it_is_and_adapting_changes_the_run(opened: Opened) -> None:
    before = {name: t.clone() for name, t in opened.prior.network.state_dict().items()}
    plain = finish(run_of(opened, method(adaptation=None)))
    wild = AdaptationSettings(steps=2, round_steps=2, learning_rate=1e-3, share_aside=0.1)
    result = finish(run_of(opened, method(adaptation=wild)))
    after = opened.prior.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert plain.adapted is None
    assert result.adapted is not None
    assert same(plain, result) == (result.adapted.best == 0)
    assert same(finish(run_of(opened, method(adaptation=None))), plain)


@pytest.mark.parametrize("solver", ["tv", "baseline"])
def test_without_a_prior_nothing_is_adapted(opened: Opened, solver: str) -> None:
    settings = find_solver(solver).settings_type()
    recipe = draft_recipe(opened, replace(method(), solver=solver, settings=settings), 5)
    assert recipe.adaptation is None


def test_a_recipe_from_before_adapts_nothing(adapted: Result) -> None:
    values = adapted.recipe.model_dump(mode="json")
    del values["adaptation"]
    old = Recipe.model_validate(values)
    assert old.method.adaptation is None
    assert "the adaptation of the prior (was off, is on)" in differences(old, adapted.recipe)


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("how", [Control.cancel, Control.finish])
def test_ended_while_it_adapts_a_run_leaves_nothing_behind(opened: Opened, at: int, how: object) -> None:
    control, seen = Control(), list[AdaptationStep]()

    def on_adapting(step: AdaptationStep) -> None:
        seen.append(step)
        if step.step == at:
            how(control)  # type: ignore[operator]

    before = {name: t.clone() for name, t in opened.prior.network.state_dict().items()}
    run = run_of(opened, control=control, on_adapting=on_adapting)
    assert list(run.steps()) == []
    outcome = run.take()
    assert outcome is not None
    assert (outcome.state, outcome.result) == (RunState.CANCELLED, None)
    assert seen[-1].step == at
    after = opened.prior.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_adaptation_pauses_after_each_step_and_goes_on_to_the_same_bits(
    opened: Opened, adapted: Result
) -> None:
    told: list[AdaptationStep] = []
    found: list[Result] = []
    control = Control(paused=True, steps=1)
    run = run_of(opened, control=control, on_adapting=told.append)
    worker = threading.Thread(target=lambda: found.append(finish(run)))
    worker.start()
    wait_for(lambda: control.state is RunState.PAUSED)
    assert [step.step for step in told] == [0]
    control.step()
    wait_for(lambda: len(told) == 2 and control.state is RunState.PAUSED)
    control.resume()
    worker.join()
    assert same(found[0], adapted)


def test_progress_says_where_it_stands(opened: Opened) -> None:
    stages = []
    finish(run_of(opened, on_progress=lambda done, stage: stages.append(stage)))
    assert any(stage.startswith("adapting 1 of 2, rays kept aside ") for stage in stages)


def test_a_kept_prior_is_the_adapted_one_to_the_last_bit_and_has_a_record(
    adapted: Result, opened: Opened, tmp_path: Path
) -> None:
    assert adapted.adapted is not None
    path = tmp_path / "mine.safetensors"
    record = keep_prior(path, adapted)
    assert read_record(path) == record
    assert record.name == "mine"
    assert record.conventions == opened.prior.conventions
    said = record.training["adapted"]
    assert said["from"]["sha256"] == adapted.recipe.prior.sha256
    assert said["data"]["sha256"] == adapted.recipe.data.sha256  # type: ignore[union-attr]
    assert said["settings"] == FEW.model_dump(mode="json")
    kept = load_prior(path, CPU, "float32")
    states = kept.network.state_dict(), adapted.adapted.prior.network.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
    again = finish(run_of(replace(opened, prior=kept, prior_path=path), method(adaptation=None)))
    assert same(again, adapted)


def test_what_was_not_adapted_is_not_kept(opened: Opened, adapted: Result, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="rename it"):
        keep_prior(tmp_path / "mine.tif", adapted)
    with pytest.raises(InputError, match="none at hand"):
        keep_prior(tmp_path / "mine.safetensors", replace(adapted, adapted=None))
    assert list(tmp_path.iterdir()) == []


def test_curves_are_finite(adapted: Result) -> None:
    assert adapted.adapted is not None
    assert all(math.isfinite(used) and math.isfinite(aside) for _, used, aside in adapted.adapted.curve)


def test_what_was_left_of_a_volume_of_before_is_known_still(adapted: Result) -> None:
    """Its fingerprint was made of a recipe that said nothing of adapting."""
    plain = adapted.recipe.model_copy(update={"adaptation": None})
    before = plain.model_dump(mode="json", exclude={"adaptation", "device", "threads", "versions"})
    assert fingerprint(plain) == hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()
    assert fingerprint(plain) != fingerprint(adapted.recipe)
