"""The search over a solver's settings: what it asks for, that it goes on to the same numbers, and what it is worth."""

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from padis_gui.cli.main import main
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.runs.presets import find_preset
from padis_gui.core.settings.errors import InputError, Interrupted, SettingError
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.core.studies import tune as tuning_module
from padis_gui.core.studies.request import images_in
from padis_gui.core.studies.tune import Span, Trial, Tuned, Tuning, searched, split, tune, usual_spans
from tests.waiting import interrupted_at

pytest.importorskip("optuna")


@pytest.fixture
def tuning(tmp_path: Path, prior_path: Path) -> Tuning:
    pages = np.random.default_rng(0).integers(-1000, 1000, (4, 32, 40), dtype=np.int16)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    images, held_out = split(images_in((tmp_path / "stack.tif",)), 0.5)
    preset = find_preset("ct-8")
    spans, choices = searched(
        {"sigma_max": "0.1..3", "cg-steps": "1..4", "schedule": "karras,geometric"},
        "dds",
        preset.solver_settings("dds"),
    )
    return Tuning(
        images=images, held_out=held_out, preset=preset, solver="dds", prior=prior_path, spans=spans, choices=choices,
        trials=8,
    )  # fmt: skip


def run(tuning: Tuning, record: Path | None, check=lambda: None) -> list[Trial | Tuned]:
    return list(
        tune(tuning, lambda path: load_prior(path, torch.device("cpu"), "float32"), record, check=check)
    )


def seen(found: list[Trial | Tuned]) -> list[tuple]:
    return [
        (t.number, tuple(t.changes.items()), t.psnr, t.images, t.given_up)
        for t in found
        if isinstance(t, Trial)
    ]


def test_it_begins_with_what_is_there_finds_no_worse_and_goes_on_to_the_same_numbers(
    tuning, tmp_path: Path
) -> None:
    record = tmp_path / "trials.jsonl"
    with pytest.raises(Interrupted):
        run(tuning, record, interrupted_at(100))
    before = record.read_bytes()
    assert before
    found = run(tuning, record)
    assert record.read_bytes().startswith(before)
    known = record.read_bytes()
    *trials, tuned = found
    assert [trial.number for trial in trials] == list(range(8))
    assert trials[0].changes == {}
    whole = [t.psnr for t in trials if t.images == 2 and not t.error]
    assert tuned.gain(held_out=False) == pytest.approx(max(whole) - trials[0].psnr) or not tuned.changes
    assert max(whole) >= trials[0].psnr
    for trial in trials[1:]:
        assert 0.1 <= trial.changes["sigma_max"] <= 3
        assert trial.changes["cg_steps"] in (1, 2, 3, 4)
        assert trial.changes["schedule"] in ("karras", "geometric")
    assert {row.group.varied[0][1] for row in tuned.tuned_on} <= {"before", "found"}
    assert tuned.held_out[0].count == 2
    assert seen(run(tuning, record)) == seen(found)  # all is known
    assert record.read_bytes() == known
    assert seen(run(tuning, None)) == seen(found)  # and made anew it is the same
    held = {str(page) for _, page in tuning.held_out}
    assert held == {"2", "3"}


@pytest.mark.parametrize("solver", SOLVERS.names)
def test_of_every_solver_something_is_known_to_search_or_it_says_so(solver, tuning) -> None:
    before = tuning.preset.solver_settings(solver)
    spans = usual_spans(before)
    for name, span in spans.items():
        assert span.low <= getattr(before, name) <= span.high
    if not spans:
        with pytest.raises(SettingError, match="name some"):
            Tuning(images=tuning.images, held_out=(), preset=tuning.preset, solver=solver, prior=tuning.prior)
    else:
        Tuning(
            images=tuning.images,
            held_out=(),
            preset=tuning.preset,
            solver=solver,
            prior=tuning.prior,
            spans=spans,
        )


@pytest.mark.parametrize(("name", "text"), [
    ("nothing", "1..2"), ("sigma_max", "2..1"), ("sigma_max", "1..1"), ("sigma_max", "a..b"), ("sigma_max", "nan..1"),
    ("sigma_max", "1..inf"), ("schedule", "1..2"), ("schedule", "karras"), ("schedule", ""), ("schedule", "karras,x"),
    ("sigma_max", ".."), ("__class__", "1..2"), ("steps", "1..1e400"),
])  # fmt: skip
def test_ranges_that_a_setting_cannot_have_are_refused_in_one_sentence(name: str, text: str, tuning) -> None:
    with pytest.raises(SettingError) as refused:
        searched({name: text}, "dds", tuning.before)
    assert "\n" not in str(refused.value)


def test_an_end_beyond_the_bounds_is_refused_before_anything_is_computed(tuning) -> None:
    for spans in ({"steps": Span(0, 5)}, {"sigma_max": Span(-1, 2)}):
        with pytest.raises(SettingError):
            Tuning(
                images=tuning.images,
                held_out=(),
                preset=tuning.preset,
                solver="dds",
                prior=tuning.prior,
                spans=spans,
            )


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("share", [0, 0.1, 1 / 3, 0.5, 0.99])
def test_images_are_parted_and_one_at_least_is_tuned_on(count: int, share: float) -> None:
    images = tuple((Path("x"), page) for page in range(count))
    tuned_on, held_out = split(images, share)
    assert tuned_on + held_out == images
    assert tuned_on
    assert abs(len(held_out) - share * count) < 1 or len(tuned_on) == 1


@pytest.mark.parametrize("share", [-0.1, 1, math.nan, math.inf])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(SettingError):
        split(((Path("x"), 0),), share)


def test_without_a_trial_that_succeeds_it_says_why(tuning, monkeypatch) -> None:
    class Failing(tuning_module.PointRunner):
        def required(self, point):
            return tuning_module.GridResult(point=point, metrics={}, error="no")

    monkeypatch.setattr(tuning_module, "PointRunner", Failing)
    with pytest.raises(InputError, match="because: no"):
        run(tuning, None)


def test_what_was_found_is_a_preset_of_the_users_own(tuning, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("padis_gui.core.runs.presets.user_files", lambda: tmp_path / "home")
    stack = str(tuning.images[0][0])
    asked = ["tune", stack, "--preset", "ct-8", "--solver", "dds", "--prior", str(tuning.prior), "--device", "cpu",
             "--precision", "float32", "--trials", "3", "--search", "sigma_max=0.1..3", "--out", str(tmp_path / "t.jsonl"),
             "--save-preset"]  # fmt: skip
    assert main([*asked, "Not A Name"]) == 2
    assert not (tmp_path / "t.jsonl").exists()
    assert main([*asked, "mine"]) == 0
    said = capsys.readouterr().out
    assert "held out" in said
    preset = find_preset("mine")
    assert preset.solver == "dds"
    assert preset.physics == "ct-parallel"
    assert preset.problem_settings() == find_preset("ct-8").problem_settings()
    run_it = ["reconstruct", stack, "--preset", "mine", "--prior", str(tuning.prior), "--device", "cpu", "--out",
              str(tmp_path / "r.tif"), "--set", "steps=1"]  # fmt: skip
    assert main(run_it) == 0
