"""The session: choices are checked and kept, files are opened whole or not at all, runs are described."""

import itertools
import os
import sys
import threading
import time
from functools import partial

import h5py
import numpy as np
import pytest
import torch

from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.presets import PRESETS, find_preset
from padis_gui.core.settings.errors import Interrupted
from padis_gui.core.settings.watch import asked_between_operations
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.viewmodels.runs.run import Progress
from tests.qt import ended, open_both, until
from tests.scan_files import fan, parallel, write_exchange, write_htc


def test_every_preset_can_be_applied_and_runs_its_own_solver(session):
    for preset in PRESETS:
        session.method.apply_preset(preset.name)
        assert session.method.physics == preset.physics
        assert session.method.problem.model_dump() == session.method.problem.model_dump() | preset.problem
        assert session.method.solver == preset.solver
    assert session.said == []


def test_what_is_opened_between_the_operations_of_a_run_is_opened_also_where_that_is_cancelled(
    session, drive, prior_path
):
    """No operation of torch that reads the prior asks whether the run may go on: the prior would be called damaged."""
    stopped = threading.Event()

    def raise_if_stopped():
        if stopped.is_set():
            raise Interrupted

    def a_run():
        with asked_between_operations(raise_if_stopped, torch.device("cpu")):
            while not session.compute_requests.waiting:
                torch.zeros(1).add_(1)
            stopped.set()
            session.compute_requests.do_waiting(lambda: None)
            with pytest.raises(Interrupted):
                torch.zeros(1).add_(1)

    async def go():
        session.submit(a_run)
        return await session.prior.open(prior_path)

    assert drive(go())
    assert session.prior.path == prior_path
    assert session.said == []


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere threads have no priority that anyone may lower"
)
def test_threads_behind_the_window_give_way_to_it(session):
    urgency = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found = {}
    for name, submit in (
        ("compute", session.submit),
        ("io", session.submit_io),
        ("planes", session.submit_planes),
    ):
        work = partial(lambda name: found.update({name: os.getpriority(os.PRIO_PROCESS, 0)}), name)
        submit(work).result(60)
    assert set(found) == {"compute", "io", "planes"}
    assert all(other > urgency for other in found.values()) or urgency == 19


def test_settings_of_a_solver_come_back_with_it(session):
    session.method.set_solver("dds")
    session.method.set_solver_setting("eta", 0.5)
    for solver in SOLVERS:
        session.method.set_solver(solver.name)
    session.method.set_solver("dds")
    assert session.method.settings.eta == 0.5


def test_settings_that_nobody_changed_are_those_of_the_preset_nearest_to_the_problem(
    session, drive, tmp_path
):
    """Steps fit for 20 exact views are no good for 8 of them, for a limited angle, a blurred photograph or a real scan."""
    method = session.method

    def tuned(preset=None):
        return {
            solver.name: solver.settings_type()
            if preset is None
            else find_preset(preset).solver_settings(solver.name)
            for solver in SOLVERS
        }

    method.apply_preset("ct-20")
    assert method.solvers == tuned("ct-20")
    for views, arc, nearest in (
        (19, 180, "ct-8"), (3, 180, "ct-8"), (20, 180, "ct-20"), (59, 360, "ct-20"), (60, 180, "ct-60"),
        (60, 120, "ct-limited"), (90, 179, "ct-limited"), (20, 90, "ct-limited"), (60, 180, "ct-60"),
    ):  # fmt: skip
        method.set_problem("views", views)
        method.set_problem("arc", arc)
        assert method.solvers == tuned(nearest), (views, arc)
    assert {level for level, _, _ in session.said} == {"info"}
    assert "CT, limited angle" in " ".join(text for _, text, _ in session.said)
    method.set_problem("noise", 0.01)  # as well measured as it was
    assert method.solvers == tuned("ct-60")
    method.apply_preset("ct-8")
    method.set_solver_setting("steps", 33)  # by hand
    by_hand = {"fast": method.settings}
    method.set_problem("views", 60)
    assert method.solvers == tuned("ct-60") | by_hand
    method.set_physics("deblur")
    assert method.solvers == tuned("deblur") | by_hand
    for name in PRESETS.names:
        method.apply_preset(name)
        assert method.solvers == tuned(name), name
    method.apply_preset("ct-20")
    for write, scan, measured, nearest in (
        (write_htc, "fan.mat", fan(), "ct-fan"),  # what holds on scans as well
        (write_exchange, "parallel.h5", parallel(views=12), None),
    ):
        assert drive(session.data.open(write(tmp_path / scan, measured)))
        assert method.solvers == tuned(nearest)
        method.set_problem("noise", 0.02)
        assert method.solvers == tuned(nearest)
    method.set_solver_setting("zeta", PRESETS[0].settings["zeta"])  # by hand, though a preset has it too
    by_hand = {"fast": method.settings}
    assert drive(session.data.set_reading({"take_views": 6}))
    assert method.solvers == tuned() | by_hand


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.method.set_problem("views", -3), "Views must be"),
        (lambda s: s.method.set_problem("noise", float("nan")), "Noise must be"),
        (lambda s: s.method.set_solver_setting("steps", 0), "Steps must be"),
        (lambda s: s.method.set_solver_setting("colour", 1), "not a setting"),
        (lambda s: s.method.set_solver("newton"), "must be one of"),
        (lambda s: s.method.set_seed(-1), "seed must be"),
        (lambda s: s.method.apply_preset("ct-1000"), "must be one of"),
    ],
)
def test_a_bad_choice_is_refused_in_words_and_changes_nothing(session, change, words):
    method = session.method
    before = method.problem, method.now, method.seed
    change(session)
    assert (method.problem, method.now, method.seed) == before
    assert [level for level, _, _ in session.said] == ["error"]
    assert words in session.said[0][1]


def test_running_without_data_says_what_is_missing(session):
    session.start()
    assert not session.run.active
    assert "prior is wanted" in session.said[0][1]


def test_exporting_without_a_result_says_so(session, drive, tmp_path):
    assert drive(session.export(tmp_path / "nothing.tif")) is False
    assert not (tmp_path / "nothing.tif").exists()
    assert "no result" in session.said[0][1]


def test_export_to_a_missing_folder_keeps_the_result(session, drive, phantom_path, prior_path, tmp_path):
    async def go():
        await open_both(session, phantom_path, prior_path)
        session.method.set_solver_setting("steps", 2)
        session.start()
        await until(lambda: session.shown.result is not None)
        assert await session.export(tmp_path / "missing" / "x.tif") is False

    drive(go())
    assert session.shown.result is not None
    assert "in a folder that does not exist" in session.said[-1][1]


def test_everything_for_the_next_run_is_opened_beside_a_paused_one_which_goes_on_with_its_own(
    session, drive, phantom_path, prior_path, tmp_path
):
    other = tmp_path / "other.npy"
    np.save(other, np.linspace(0, 1, 48 * 48, dtype=np.float32).reshape(48, 48))

    async def go():
        await open_both(session, phantom_path, prior_path)
        prior = session.prior.loaded
        session.method.set_solver_setting("steps", 3)
        session.start(paused=True)
        await until(lambda: session.run.snapshot().step == 1)
        assert session.steers_solver
        assert session.steers_tiling
        assert await session.prior.open(prior_path)
        assert session.prior.loaded is not prior
        assert not session.steers_solver
        assert not session.steers_tiling
        assert await session.data.open(other)
        assert session.running.opened.prior is prior
        session.run.resume()
        await ended(session)

    drive(go())
    assert session.running is None
    assert [r.recipe.data.file for r in session.runs.records] == [str(phantom_path)]


def test_a_slow_step_says_how_far_it_is_and_the_time_left_goes_on_within_it(session):
    from padis_gui.core.runs.control import Control
    from padis_gui.viewmodels.pictures.frames import CurvePoint

    run = session.run
    run._active, run._control = True, Control()
    run._control._enter(RunState.RUNNING)
    left = []
    for step, seconds in enumerate((1.5, 4.0, 4.0), start=1):
        run._control.passed()
        run.history.append(
            None, CurvePoint(step=step, sigma=1.0, residual=0.1, psnr=20.0, seconds=seconds), 10
        )
    for _ in range(5):
        run._control.count(4)
        assert run.snapshot().within == run._control.within_step
        left.append(run.snapshot().eta)
    assert left == pytest.approx([28, 27, 26, 25, 24])
    run.history.append(None, CurvePoint(step=4, sigma=1.0, residual=0.1, psnr=20.0, seconds=4.0), 10)
    run._control.passed()
    assert run.snapshot().eta == pytest.approx(24)
    for point in range(40):  # quick ones need none
        run.history.append(
            None, CurvePoint(step=5 + point, sigma=1.0, residual=0.1, psnr=20.0, seconds=0.1), 10
        )
    assert run.snapshot().within is None
    run._active = False


def test_noise_changes_the_measurement_with_the_seed(session, drive, phantom_path, prior_path):
    sinograms = []

    async def go():
        await open_both(session, phantom_path, prior_path)
        session.method.set_problem("noise", 0.05)
        session.method.set_solver_setting("steps", 1)
        for seed in (1, 1, 2):
            session.method.set_seed(seed)
            session.start()
            await ended(session)
            sinograms.append(session.preparation.pictures.measurement)

    drive(go())
    assert (sinograms[0] == sinograms[1]).all()
    assert (sinograms[0] != sinograms[2]).any()


def test_the_clock_leaves_out_the_first_step_and_needs_two_more(session):
    from padis_gui.viewmodels.pictures.frames import CurvePoint

    run = session.run
    run._state = RunState.RUNNING
    for step, seconds in enumerate((9.0, 1.0, 3.0), start=1):
        snapshot: Progress = run.snapshot()
        assert snapshot.eta is None
        run.history.append(
            None, CurvePoint(step=step, sigma=1.0, residual=0.1, psnr=20.0, seconds=seconds), 10
        )
    assert run.snapshot().seconds_per_step == pytest.approx(2.0)
    assert run.snapshot().eta == pytest.approx(2.0 * 7)
    run._state = RunState.IDLE


def test_a_page_of_a_volume_is_opened_like_a_picture(session, drive, tmp_path):
    volume = np.random.default_rng(0).random((5, 40, 48)).astype(np.float32)
    with h5py.File(tmp_path / "volume.h5", "w") as file:
        file["entry/images"] = volume
    assert drive(session.data.open(tmp_path / "volume.h5", 1))
    assert (session.data.image.pages, session.data.image.page) == (5, 1)
    assert drive(session.data.open_page(4))
    assert np.array_equal(session.data.image.pixels[0], volume[4])
    assert not drive(session.data.open_page(5))
    assert "pages 0 to 4" in session.said[-1][1]
    assert np.array_equal(session.data.image.pixels[0], volume[4])


def test_what_is_open_stays_when_another_file_is_broken(session, drive, phantom_path, tmp_path):
    assert drive(session.data.open(phantom_path))
    before = session.data.image, session.data.path
    (tmp_path / "cut.tif").write_bytes(phantom_path.read_bytes()[:100])
    (tmp_path / "words.dcm").write_text("words")
    (tmp_path / "empty").mkdir()
    (tmp_path / "round").symlink_to(tmp_path / "round")
    for name in ("cut.tif", "words.dcm", "empty", "round", "none.png", "x" * 300):
        assert not drive(session.data.open(tmp_path / name))
        level, message, _ = session.said[-1]
        assert level == "error"
        assert message.endswith(".")
        assert "\n" not in message
        assert (session.data.image, session.data.path) == before


def test_a_costly_measure_is_left_out_for_four_steps_at_most():
    from padis_gui.viewmodels.pictures.frames import _Sparing

    sparing, called = _Sparing(), []

    def costly():
        called.append(len(steps))
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return 1.0

    steps = []
    for _ in range(21):
        steps.append(sparing(0.001, costly, always=False))
    assert called[0] == 0
    assert all(2 <= b - a <= 5 for a, b in itertools.pairwise(called[1:]))
    assert len(called) >= 5
