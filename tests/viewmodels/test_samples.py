"""Samples of the posterior: one measurement, different draws, one entry in the list."""

import dataclasses

import numpy as np
import pytest

from padis_gui.core.runs.repeat import sample_seeds
from padis_gui.viewmodels.runs.queue import ItemState
from padis_gui.viewmodels.runs.samples import gather
from tests.qt import idle, open_both, until


@pytest.fixture
def ready(session, drive, phantom_path, prior_path):
    async def go():
        await open_both(session, phantom_path, prior_path)
        session.method.set_solver("diffpir")
        session.method.set_solver_setting("steps", 2)
        session.method.set_problem("noise", 0.05)
        await until(lambda: session.preparation.prepared)

    drive(go())
    return session


def test_samples_share_the_measurement_and_differ_in_the_draw(ready, drive):
    async def go():
        before = ready.preparation.pictures.measurement
        assert ready.runner.draw_samples(4)
        await idle(ready)
        np.testing.assert_array_equal(
            ready.preparation.pictures.measurement, before
        )  # what was seen is what was sampled

    drive(go())
    *members, group = ready.runs.records
    assert len(members) == 4
    assert {m.group for m in members} == {group.id}
    assert len({m.recipe.measurement_seed for m in members}) == 1
    assert len({m.recipe.seed for m in members}) == 4
    stack = np.stack([m.result.pixels for m in members])
    assert np.ptp(stack, axis=0).max() > 0
    result = group.result
    np.testing.assert_allclose(result.pixels, stack.mean(axis=0), rtol=1e-5, atol=1e-2)
    np.testing.assert_allclose(result.deviation, stack.std(axis=0, ddof=1), rtol=1e-3, atol=1e-2)
    low, high = result.interval
    assert np.all(low <= high)
    assert result.recipe.sample_seeds == tuple(m.recipe.seed for m in members)
    assert group.metrics["samples"] == 4
    assert {"psnr", "ssim", "residual", "psnr_baseline"} <= set(group.metrics)
    assert 0 <= group.calibration.coverage <= 1
    assert group.calibration.expected_coverage == pytest.approx(0.6)
    assert ready.shown.record is group  # the mean and the deviation are what was asked for
    frame = ready.screen.frame()
    np.testing.assert_array_equal(frame.estimate, result.pixels[0])
    np.testing.assert_array_equal(frame.deviation, result.deviation[0])
    np.testing.assert_allclose(frame.difference, frame.estimate - ready.preparation.pictures.truth)


def test_a_sample_is_repeated_bit_for_bit_with_its_measurement(ready, drive):
    async def go():
        ready.runner.draw_samples(2)
        await idle(ready)
        await ready.runner.repeat(ready.runs.records[1])
        await idle(ready)
        assert ready.runs.records[-1].note == "identical to Sample 2 of 2, bit for bit"
        await ready.runner.repeat(ready.runs.records[2])
        await idle(ready)

    drive(go())
    assert ready.runs.records[-1].note == "identical to 2 samples, bit for bit"


def test_a_set_says_when_its_samples_were_steered(ready, drive):
    async def go():
        ready.runner.draw_samples(2)
        await idle(ready)

    drive(go())
    first, second, group = ready.runs.records
    assert "steered" not in group.note
    steered = second.recipe.model_copy(update={"stop_after": 2})
    second._result = dataclasses.replace(second.result, recipe=steered)
    assert "steered" in gather(group.id, (first, second), None).note


def test_a_cancelled_rest_leaves_the_set_of_what_there_is(ready, drive):
    async def go():
        ready.queue.hold(True)
        ready.runner.draw_samples(6)
        ready.queue.hold(False)
        await until(lambda: len(ready.runs.records) >= 3)
        ready.run.pause()
        ready.runner.cancel_waiting()
        ready.run.cancel()
        await idle(ready)

    drive(go())
    *members, group = ready.runs.records
    assert group.metrics["samples"] == len(members) < 6
    assert ItemState.CANCELLED in {item.state for item in ready.queue.items}


def test_a_method_without_draws_is_refused_in_words(ready):
    ready.method.set_solver("tv")
    assert not ready.runner.draw_samples(4)
    assert "diffusion solver" in ready.said[-1][1]
    assert ready.queue.items == ()


def test_deleting_a_set_deletes_its_samples(ready, drive):
    async def go():
        ready.runner.draw_samples(2)
        await idle(ready)

    drive(go())
    assert ready.runs.delete([ready.runs.records[-1].id]) == 3
    assert ready.runs.records == ()
    assert ready.runs.undo_delete() == 3


@pytest.mark.parametrize("base", [0, 7, 2**32 - 1])
def test_seeds_of_samples_differ_and_come_from_their_base_alone(base):
    seeds = sample_seeds(base, 50)
    assert len({*seeds, base}) == 51
    assert seeds == sample_seeds(base, 50)
    assert seeds[:10] == sample_seeds(base, 10)
