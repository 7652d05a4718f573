"""Adapting the prior from the window: the toggle beside Run, both curves, what is kept, and what a session remembers."""

import torch

from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.viewmodels.session.saved import choices_from, usable
from tests.gui.test_run_list import runs
from tests.gui.user import click
from tests.qt import delivered, open_both, settled, until


def test_a_run_adapts_shows_both_curves_and_its_prior_is_kept(
    window, drive, phantom_path, prior_path, tmp_path
):
    session, choice = window.session, window.reconstruct.adapt
    stages, path = [], tmp_path / "mine.safetensors"

    def look() -> None:
        if (preparing := session.run.snapshot().preparing) is not None:
            stages.append(preparing[1])

    async def go() -> None:
        await open_both(session, phantom_path, prior_path)
        session.method.set_solver("fast")
        session.method.set_solver_setting("steps", 3)
        assert session.method.now.adaptation is None
        assert not choice.form.isVisible()
        click(choice.toggle)
        assert choice.form.isVisible()
        for name in ("steps", "round_steps"):
            choice.form.edited.emit(name, 2)
        assert session.method.now.adaptation == AdaptationSettings(steps=2, round_steps=2)
        session.run.dirty.connect(look)
        await runs(window, 7)
        await delivered(window)
        assert any(stage.startswith("adapting ") for stage in stages)
        points = session.shown.history.adaptation
        assert [point.step for point in points] == [0, 1, 2, 2]
        await until(lambda: window.curves.adaptation.isVisible())
        assert choice.keep.isVisible()
        choice.write(session.shown.result, path)
        await until(path.exists)
        await settled()

    drive(go())
    kept = load_prior(path, torch.device("cpu"), "float32")
    assert kept.conventions == session.prior.loaded.conventions


def test_without_a_measurement_or_a_prior_in_it_the_toggle_says_why(window, drive, phantom_path, prior_path):
    session, choice = window.session, window.reconstruct.adapt

    async def go() -> None:
        await open_both(session, phantom_path, prior_path)
        session.method.set_solver("tv")
        assert not choice.toggle.isEnabled()
        assert "asks the prior" in choice.toggle.toolTip()
        session.method.set_solver("fast")
        assert choice.toggle.isEnabled()

    drive(go())


def test_a_session_and_a_recipe_bring_the_adaptation_back(window, drive, phantom_path, prior_path):
    session = window.session

    async def go() -> None:
        await open_both(session, phantom_path, prior_path)
        session.method.set_adapting(True)
        session.method.set_adaptation("rank", 2)
        saved = type(session.choices()).model_validate_json(session.choices().model_dump_json())
        session.method.set_adapting(False)
        session.method.set_adaptation("rank", 3)
        await session.use(saved)
        assert session.method.now.adaptation == AdaptationSettings(rank=2)

    drive(go())


def test_choices_of_a_recipe_say_whether_it_adapted(window, drive, phantom_path, prior_path):
    from padis_gui.core.runs.recipe import draft_recipe

    session = window.session

    async def go() -> None:
        await open_both(session, phantom_path, prior_path)
        session.method.set_solver("fast")
        session.method.set_adapting(True)
        session.method.set_adaptation("steps", 5)
        recipe = draft_recipe(session.opened(), session.method.now, 3)
        choices = choices_from(recipe, "run", None)
        assert choices.adapts
        assert usable(choices).adaptation.steps == 5
        session.method.set_adapting(False)
        assert not choices_from(draft_recipe(session.opened(), session.method.now, 3), "run", None).adapts

    drive(go())


def test_the_prior_is_checked_and_the_answer_goes_with_what_it_is_about(
    window, drive, phantom_path, prior_path
):
    session, choice = window.session, window.reconstruct.adapt

    async def go() -> None:
        await open_both(session, phantom_path, prior_path)
        await until(lambda: choice.check.isEnabled())
        assert not choice.answer.isVisible()
        click(choice.check)
        assert choice.check.text().startswith("Stop (")
        await until(lambda: choice.answer.isVisible())
        found = choice.question.answer
        assert choice.answer.text() == found.in_words
        assert choice.check.text() == "Check the prior"
        # of another problem nothing is known
        session.method.set_problem("views", 9)
        await until(lambda: not choice.answer.isVisible())
        await until(lambda: choice.check.isEnabled())
        click(choice.check)
        click(choice.check)
        assert choice.question.progress is None
        session.method.set_physics("nothing")
        await until(lambda: not choice.check.isEnabled())
        assert "Nothing is measured" in choice.check.toolTip()
        await settled()
        assert choice.question.answer is None

    drive(go())


def test_a_run_ends_the_question(window, drive, phantom_path, prior_path):
    session, choice = window.session, window.reconstruct.adapt

    async def go() -> None:
        await open_both(session, phantom_path, prior_path)
        session.method.set_solver("fast")
        session.method.set_solver_setting("steps", 3)
        await until(lambda: choice.check.isEnabled())
        click(choice.check)
        await runs(window, 7)
        await delivered(window)
        assert choice.question.progress is None
        assert choice.question.answer is None
        await until(lambda: choice.check.isEnabled())

    drive(go())
