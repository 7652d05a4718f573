"""What is kept of a run: first and last always, evenly spaced in between, never more than the budget."""

import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padis_gui.viewmodels.pictures.frames import CurvePoint, History, IteratePictures

SIDE = 16
FRAME_BYTES = SIDE * SIDE * 4


def frame(step, total=100):
    return IteratePictures(
        step=step, total=total, sigma=1 / step, estimate=np.full((SIDE, SIDE), step, np.float32)
    )


def point(step):
    return CurvePoint(step=step, sigma=1 / step, residual=0.1, psnr=20.0 + step, seconds=0.01)


def filled(count, frames_that_fit):
    history = History(frames_that_fit * FRAME_BYTES)
    for step in range(1, count + 1):
        history.append(frame(step), point(step), count)
    return history


@given(count=st.integers(1, 400), fitting=st.integers(2, 40))
def test_first_and_last_stay_spacing_is_even_and_the_budget_holds(count, fitting):
    history = filled(count, fitting)
    steps = history.steps
    assert (steps[0], steps[-1]) == (1, count)
    assert history.nbytes == len(steps) * FRAME_BYTES <= fitting * FRAME_BYTES
    gaps = np.diff(steps)
    assert len(set(gaps[:-1])) <= 1  # the last frame alone may come early
    if len(gaps) > 1:
        assert gaps[-1] <= gaps[0]
    assert len(steps) >= min(count, fitting // 2)  # half of what fits is always kept
    assert len(history.points) == count


@given(count=st.integers(1, 200), fitting=st.integers(2, 30), wanted=st.integers(-5, 250))
def test_the_nearest_kept_frame_is_found(count, fitting, wanted):
    history = filled(count, fitting)
    found = history.frame_at(wanted)
    assert abs(found.step - wanted) == min(abs(step - wanted) for step in history.steps)
    assert found.estimate[0, 0] == found.step


def test_points_are_found_by_their_step():
    history = filled(30, 4)
    assert history.point_at(17).psnr == 37.0
    assert history.point_at(31) is None
    assert history.point_at(0) is None


def test_an_empty_history_has_nothing():
    history = History()
    assert (history.steps, history.points, history.last, history.frame_at(3)) == ((), (), None, None)
    assert history.total == 0


def test_points_come_without_frames_where_nothing_is_shown():
    history = History()
    history.append(None, point(1), 10)
    assert history.last is None
    assert history.points[0].step == 1
    assert history.total == 10


def test_halving_ends_with_nothing_and_appending_goes_on():
    history = filled(16, 100)
    sizes = [history.nbytes]
    while history.nbytes:
        history.halve()
        sizes.append(history.nbytes)
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= 7
    assert len(history.points) == 16
    history.append(frame(17), point(17))
    assert history.steps == (17,)


def test_it_is_read_while_it_is_written():
    history, failures = History(20 * FRAME_BYTES), []

    def write():
        for step in range(1, 3000):
            history.append(frame(step), point(step), 3000)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        found = history.frame_at(1500)
        if found is not None and not np.all(found.estimate == found.step):
            failures.append(found.step)
    writer.join()
    assert not failures
    assert history.last.step == 2999


def test_a_frame_without_truth_gets_its_difference_from_one_of_its_size():
    kept = frame(3)
    truth = np.ones((SIDE, SIDE), np.float32)
    np.testing.assert_array_equal(kept.against(truth).difference, np.full((SIDE, SIDE), 2.0))
    assert kept.against(np.ones((4, 4), np.float32)) is kept
    assert kept.against(None) is kept


@pytest.mark.parametrize("seconds", [0.0, 0.25])
def test_a_step_takes_its_milliseconds(seconds):
    assert math.isclose(
        CurvePoint(step=1, sigma=1, residual=1, psnr=1, seconds=seconds).milliseconds, 1000 * seconds
    )
