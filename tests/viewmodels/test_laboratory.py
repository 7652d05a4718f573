"""The boundary laboratory's states: what is overlaid, mapped, measured, inspected and compared, and in which thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from padis_gui.core.images.metrics import radial_spectrum
from padis_gui.core.prior.checkpoint import PriorRecord, save_prior
from padis_gui.core.prior.network import PatchUNet
from padis_gui.core.prior.seams import as_called, seam_coverage, seam_map
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.engine import solve
from padis_gui.core.runs.pair import WHAT_IFS
from padis_gui.core.settings.errors import Interrupted, SettingError
from padis_gui.viewmodels.laboratory.ab import ABRun
from padis_gui.viewmodels.laboratory.export import export
from padis_gui.viewmodels.laboratory.inspector import Inspector
from padis_gui.viewmodels.laboratory.laboratory import Laboratory
from padis_gui.viewmodels.laboratory.seam_maps import COVERAGE, DISAGREEMENT, MAPS, SEAMS
from padis_gui.viewmodels.state.background import Failure, Requests
from tests.qt import LONG, compared, delivered, open_both, ran, settled, until
from tests.tiny import TINY_NETWORK, tiny_record
from tests.waiting import TIMEOUT


@pytest.fixture
def ready(session, drive, phantom_path, prior_path):
    """A session with the phantom and the tiny prior, a short diffusion and small random tiles."""
    drive(open_both(session, phantom_path, prior_path))
    session.method.set_solver("diffpir")
    session.method.set_solver_setting("steps", 6)
    session.method.set_solver_setting("cg_steps", 3)
    session.method.set_tiling("strategy", "random")
    session.method.set_tiling("patch", 16)
    session.method.set_seed(3)
    return session


async def paused_at(session, step):
    def snapshot():
        return session.run.snapshot()

    session.start(paused=True)
    for number in range(1, step + 1):
        await until(lambda number=number: snapshot().step == number)
        await until(lambda: snapshot().state is RunState.PAUSED)
        if number < step:
            session.run.step()


# -- requests ---------------------------------------------------------------------------------------------


def test_the_latest_request_of_a_kind_wins_and_faults_come_back_as_words(drive, caplog):
    pool, release, done = ThreadPoolExecutor(1), threading.Event(), []

    def fail(_check):
        raise SettingError("A was wanted, but B came; use A.")

    def crash(_check):
        raise ZeroDivisionError("oh")

    async def go():
        requests = Requests(pool)
        requests.ask("slow", lambda _check: release.wait(TIMEOUT), done.append)
        await until(lambda: not requests.waiting)
        for i in range(20):
            requests.ask("drag", lambda _check, i=i: i, done.append)
        requests.ask("bad", fail, done.append)
        requests.ask("worse", crash, done.append)
        requests.ask("gone", lambda _check: "gone", done.append)
        requests.forget("gone")
        release.set()
        await until(lambda: len(done) == 4)
        assert done[:2] == [True, 19]
        assert done[2] == Failure("A was wanted, but B came; use A.")
        assert "ZeroDivisionError" in done[3].sentence
        assert "Traceback" in done[3].details
        requests.stop()
        requests.ask("late", lambda _check: 1, done.append)
        pool.submit(int).result()  # the only thread has nothing left to do
        await settled()
        assert len(done) == 4
        requests.deleteLater()

    drive(go())
    pool.shutdown()
    assert "A request failed" in caplog.text


def test_stopping_interrupts_the_errand_in_hand(drive):
    pool, begun, interrupted = ThreadPoolExecutor(1), threading.Event(), threading.Event()

    def long(check):
        begun.set()
        try:
            while True:
                check()
        except Interrupted:
            interrupted.set()
            raise

    async def go():
        requests = Requests(pool)
        requests.ask("long", long, lambda _: pytest.fail("nothing was to come of it"))
        await until(begun.is_set)
        requests.stop()
        await until(interrupted.is_set)
        pool.submit(int).result()
        await settled()
        requests.deleteLater()

    drive(go())
    pool.shutdown()


# -- overlay and maps -------------------------------------------------------------------------------------


def test_trails_and_heat_follow_the_shown_step(ready, drive):
    async def go():
        lab = Laboratory(ready)
        await ran(ready)
        lab.set_overlay("trails", 3)
        lab.set_overlay("heat", True)
        tilings = [point.partition for point in ready.shown.history.points]
        assert len({p.offset for p in tilings}) > 2
        for step in (6, 2, 4):
            ready.shown.go_to(step)
            await until(lambda step=step: lab.coverage is not None and lab.coverage.upto == step)
            overlay = lab.overlay(ready.shown.frame())
            assert overlay.partition == tilings[step - 1]
            assert list(overlay.trail) == tilings[max(0, step - 4) : step - 1]
            expected = seam_coverage(tilings[:step]).numpy()
            np.testing.assert_array_equal(lab.coverage.count, expected)
            assert lab.coverage.steps == step
            np.testing.assert_allclose(overlay.heat, expected / expected.max(), rtol=1e-6)
        lab.set_overlay("heat", False)
        assert lab.overlay(ready.shown.frame()).heat is None
        assert lab.overlay(None) is None

    drive(go())


def test_maps_are_made_in_the_io_thread_of_the_shown_frame_and_only_when_wanted(ready, drive, monkeypatch):
    from padis_gui.viewmodels.laboratory import seam_maps

    threads = set()
    true_map = seam_maps.seam_map
    monkeypatch.setattr(
        seam_maps, "seam_map", lambda *a: threads.add(threading.current_thread().name) or true_map(*a)
    )

    async def go():
        lab = Laboratory(ready)
        await ran(ready)
        await delivered(ready)
        assert not lab.maps
        assert not threads
        lab.want(MAPS)
        await until(lambda: SEAMS in lab.maps)
        ready.shown.go_to(3)
        frame = ready.shown.frame()
        expected = seam_map(torch.from_numpy(frame.estimate[None]), frame.partition).numpy()
        await until(lambda: np.array_equal(lab.maps[SEAMS], expected))
        assert lab.maps[COVERAGE].max() >= 1
        assert DISAGREEMENT not in lab.maps
        ready.start()
        assert not lab.maps  # what belongs to another run goes at once
        await until(lambda: not ready.run.active)

    drive(go())
    assert all(name.startswith("io") for name in threads)


def test_the_spectrum_is_that_of_the_shown_steps_error(ready, drive):
    async def go():
        lab = Laboratory(ready)
        lab.watch(True)
        await ran(ready)
        ready.shown.go_to(2)
        await until(lambda: lab.spectrum is not None)
        prepared, frame = ready.screen.prepared, ready.screen.frame()
        low, high = prepared.image.window
        error = (frame.estimate[None] - prepared.image.from_unit(prepared.problem.truth)) / (high - low)
        np.testing.assert_allclose(lab.spectrum.power, radial_spectrum(error).power, rtol=1e-4)
        ready.shown.go_to(3)
        assert lab.spectrum is None  # until it is made anew
        await until(lambda: lab.spectrum is not None)

    drive(go())


def test_points_have_seam_ratios_of_estimate_and_denoised(ready, drive):
    drive(ran(ready))
    points = ready.shown.history.points
    assert all(np.isfinite([p.seam_ratio, p.seam_denoised]).all() for p in (points[0], points[-1]))
    assert all(np.isnan(p.disagreement) for p in points)


# -- disagreement -----------------------------------------------------------------------------------------


def test_disagreement_is_measured_every_n_steps_between_iterates_in_the_compute_thread(ready, drive):
    names = set()
    ready.prior.loaded.network.register_forward_hook(lambda *_: names.add(threading.current_thread().name))

    async def go():
        lab = Laboratory(ready)
        lab.measure_every(3)
        assert lab.every == 3
        await ran(ready)
        points = ready.shown.history.points
        assert [p.step for p in points if np.isfinite(p.disagreement)] == [3, 6]
        assert lab.disagreement.step == 6
        assert lab.disagreement.rms == points[-1].disagreement > 0
        assert lab.disagreement.pixels.shape == (64, 64)
        ready.shown.go_to(4)
        assert lab.disagreement is None
        with_measure = ready.shown.result.pixels
        lab.measure_every(0)
        await ran(ready)
        np.testing.assert_array_equal(with_measure, ready.shown.result.pixels)  # the run does not notice

    drive(go())
    assert all(name.startswith("compute") for name in names)


@pytest.mark.parametrize("where", ["paused", "at rest", "in the history"])
def test_disagreement_on_request_comes_while_paused_and_along_the_history(ready, drive, where):
    async def go():
        lab = Laboratory(ready)
        if where == "paused":
            await paused_at(ready, 3)
        else:
            await ran(ready)
        if where == "in the history":
            ready.shown.go_to(3)
        assert lab.measurable
        step = ready.shown.frame().step
        assert lab.disagreement is None
        lab.measure()
        assert lab.measuring
        await until(lambda: not lab.measuring)
        assert lab.disagreement.step == step
        assert lab.disagreement.rms > 0
        assert lab.maps[DISAGREEMENT] is lab.disagreement.pixels
        assert {p.step for p in lab.points if np.isfinite(p.disagreement)} == {step}
        if where == "paused":
            assert ready.run.snapshot().state is RunState.PAUSED
            ready.run.resume()
            await until(lambda: ready.shown.result is not None)

    drive(go())


def test_cancelling_during_a_measurement_ends_both(ready, drive):
    async def go():
        lab = Laboratory(ready)
        await paused_at(ready, 2)
        lab.measure()
        ready.run.cancel()
        await until(lambda: not ready.run.active)
        await until(lambda: not lab.measuring)
        assert ready.run.snapshot().state is RunState.CANCELLED

    drive(go())


def test_without_a_denoiser_call_there_is_nothing_to_measure(ready, drive):
    async def go():
        lab = Laboratory(ready)
        lab.measure()
        assert "no denoiser call" in ready.said[-1][1]
        ready.method.set_solver("tv")
        ready.method.set_solver_setting("steps", 2)
        await ran(ready)
        assert not lab.measurable
        assert lab.overlay(ready.shown.frame()) is None
        lab.want(MAPS)
        await delivered(ready)
        assert not lab.maps

    drive(go())


# -- the tile inspector -----------------------------------------------------------------------------------


def test_d_is_the_tile_of_the_shown_denoised_image(ready, drive):
    async def go():
        inspector = Inspector(ready)
        await ran(ready)
        inspector.watch(True)
        frame = ready.shown.frame()
        for row, column in ((30, 33), (5, 60)):
            assert inspector.pick(row, column)
            box = inspector.home
            assert frame.partition.tile_at(row, column)[0] == inspector.tile
            await until(lambda box=box: inspector.result is not None and inspector.result.tile.box == box)
            found, (top, left) = inspector.result, frame.partition.pad
            rows, columns = (
                slice(max(0, first - pad), min(64, first - pad + 16))
                for first, pad in ((box.row, top), (box.column, left))
            )
            inside = (
                slice(rows.start + top - box.row, rows.stop + top - box.row),
                slice(columns.start + left - box.column, columns.stop + left - box.column),
            )
            np.testing.assert_allclose(
                found.pictures["denoised"][inside], frame.denoised[rows, columns], atol=0.05
            )  # of 2000 HU
            assert found.step == frame.step
            assert found.tile.sigma == frame.call.sigma
        assert not inspector.pick(-1, 3)
        assert not inspector.pick(3, 64)

    drive(go())


def test_a_grey_run_is_inspected_under_a_prior_of_three_channels(ready, drive, tmp_path):
    network = TINY_NETWORK.model_copy(update={"image_channels": 3})
    record = tiny_record().model_copy(update={"name": "coloured", "network": network})
    save_prior(tmp_path / "coloured.safetensors", record, PatchUNet(network).state_dict(), half=False)

    async def go():
        inspector = Inspector(ready)
        await ran(ready)
        inspector.watch(True)
        inspector.set_input("estimate")
        await until(lambda: inspector.result is not None)
        await ready.prior.open(tmp_path / "coloured.safetensors")
        for given in ("estimate", "truth"):
            inspector.set_input(given)
            await until(
                lambda given=given: (
                    inspector.used_input == given
                    and inspector.result is not None
                    and len(inspector.result.tile.noisy) == 3
                )
            )
            inspector.result = None
        assert "step" not in inspector.inputs  # which would be the call of another network
        assert not [
            said for said in ready.said if said[2]
        ]  # the prior doesn't fit, which is said; nothing failed

    drive(go())


@pytest.mark.parametrize("chosen", ["step", "estimate", "truth"])
def test_tiles_that_the_open_prior_cannot_take_are_said_and_not_computed(ready, drive, tmp_path, chosen):
    odd = tiny_record().conventions.model_copy(update={"patch_sizes": (32, 20)})
    deeper = TINY_NETWORK.model_copy(update={"multipliers": (1.0, 1.0, 1.0)})
    for name, network, conventions in (
        ("odd", TINY_NETWORK, odd),
        ("deeper", deeper, tiny_record().conventions),
    ):
        record = PriorRecord(name=name, network=network, conventions=conventions)
        save_prior(tmp_path / f"{name}.safetensors", record, PatchUNet(network).state_dict(), half=False)

    async def go():
        inspector = Inspector(ready)
        await ready.prior.open(tmp_path / "odd.safetensors")
        ready.method.set_tiling("patch", 20)
        await ran(ready)
        assert ready.shown.frame().partition.patch == 20
        inspector.watch(True)
        inspector.set_input(chosen)
        await until(lambda: inspector.result is not None)
        assert inspector.unfit == ""
        await ready.prior.open(tmp_path / "deeper.safetensors")
        inspector.set_input(chosen)
        await delivered(ready)
        assert inspector.result is None
        assert "20 px" in inspector.unfit
        assert "multiples of 8 px" in inspector.unfit
        assert not [said for said in ready.said if said[2]]

    drive(go())


def test_shifting_by_hand_compares_with_home_and_stays_inside(ready, drive):
    async def go():
        inspector = Inspector(ready)
        await ran(ready)
        inspector.watch(True)
        inspector.choose(4)
        await until(lambda: inspector.result is not None)
        assert not inspector.result.pictures["moved"].any()
        inspector.move(2, -3)
        assert inspector.shift == (2, -3)
        await until(lambda: inspector.result.tile.box == inspector.box)
        moved = inspector.result.pictures["moved"]
        assert np.isnan(moved).sum() == 16 * 16 - 14 * 13
        assert inspector.result.moved_rms > 0
        padded, pad = ready.shown.frame().partition.padded_shape, ready.shown.frame().partition.pad
        inspector.place(1000, -1000)
        assert (inspector.box.row, inspector.box.column) == (padded[0] - 16, 0)
        inspector.place(5, 7)
        assert (inspector.box.row - pad[0], inspector.box.column - pad[1]) == (5, 7)
        inspector.put_back()
        assert inspector.box == inspector.home
        inspector.choose(10_000)
        assert inspector.tile == len(ready.shown.frame().partition.boxes) - 1

    drive(go())


def test_other_levels_and_inputs(ready, drive):
    async def go():
        inspector = Inspector(ready)
        inspector.watch(True)
        assert inspector.inputs == ("truth",)  # before any run
        await until(lambda: inspector.result is not None)
        inspector.set_sigma(0.02)
        await until(lambda: inspector.result.tile.sigma == 0.02)
        clean = inspector.result.pictures["noisy"]
        inspector.set_sigma(0.04)
        await until(lambda: inspector.result.tile.sigma == 0.04)
        spread = inspector.result.pictures["noisy"] - clean
        assert spread.std() == pytest.approx(2000 * 0.02, rel=0.2)  # the same noise, twice as much
        await ran(ready)
        assert inspector.inputs == ("step", "estimate", "truth")
        inspector.set_sigma(None)
        call = ready.shown.frame().call
        await until(lambda: inspector.result.step == 6 and inspector.result.tile.sigma == call.sigma)
        assert torch.equal(inspector.result.tile.noisy, inspector.home.of(as_called(call)))
        inspector.set_sigma(1.0)
        await until(lambda: inspector.result.tile.sigma == 1.0)
        assert torch.equal(inspector.result.tile.noisy, inspector.home.of(as_called(call)))  # told otherwise
        inspector.set_input("estimate")
        await until(lambda: not torch.equal(inspector.result.tile.noisy, inspector.home.of(as_called(call))))

    drive(go())


def test_dragging_asks_for_many_and_computes_few_and_only_when_watched(ready, drive):
    calls = []
    ready.prior.loaded.network.register_forward_hook(lambda *_: calls.append(threading.current_thread().name))

    async def go():
        inspector = Inspector(ready)
        await ran(ready)
        calls.clear()
        inspector.move(1, 1)
        await delivered(ready)
        assert not calls
        inspector.watch(True)
        for _ in range(60):
            inspector.move(0, 1)
        await until(lambda: inspector.result is not None and inspector.result.tile.box == inspector.box)
        assert 1 <= len(calls) < 30

    drive(go())
    assert all(name.startswith("compute") for name in calls)


def test_inspecting_in_a_running_and_a_paused_solver(ready, drive):
    async def go():
        inspector = Inspector(ready)
        inspector.watch(True)
        ready.method.set_solver_setting("steps", LONG)
        ready.start()
        await until(lambda: inspector.result is not None and inspector.result.step)
        ready.run.pause()
        await until(lambda: ready.run.snapshot().state is RunState.PAUSED)
        await settled()
        inspector.choose(5)
        inspector.move(3, 3)
        await until(lambda: inspector.result.tile.box == inspector.box)
        assert ready.run.snapshot().state is RunState.PAUSED
        ready.run.cancel()
        await until(lambda: not ready.run.active)

    drive(go())


# -- A/B --------------------------------------------------------------------------------------------------


def test_a_fault_beside_the_present_settings_from_the_same_noise(ready, drive):
    async def go():
        ab = ABRun(ready)
        ab.what_if("fixed")
        assert ready.occupied_by
        await compared(ab)
        return ab

    ab = drive(go())
    assert ab.state is RunState.DONE
    assert not ready.occupied_by
    first = [history.frame_at(1) for history in ab.histories]
    a, b = (frame.call.x.numpy() for frame in first)
    np.testing.assert_array_equal(a, b)
    assert first[0].partition != first[1].partition
    results = ab.results
    assert [r.recipe.tiling.strategy for r in results] == ["random", "fixed"]
    assert all(r.recipe.paired and r.recipe.seed == 3 for r in results)
    np.testing.assert_allclose(ab.difference(), (results[1].pixels - results[0].pixels)[0], rtol=1e-5)
    assert ab.difference_rms() > 0
    for result in results:
        *_, last = solve(result.recipe, ab.prepared.problem, ready.prior.loaded)
        np.testing.assert_array_equal(result.image.from_unit(last.estimate), result.pixels)


@pytest.mark.parametrize("fault", [w.name for w in WHAT_IFS])
def test_every_fault_runs_and_is_described(ready, drive, fault):
    async def go():
        ab = ABRun(ready)
        ready.method.set_solver_setting("steps", 2)
        ab.what_if(fault)
        await compared(ab)
        return ab

    ab = drive(go())
    a, b = ab.sides()
    assert ab.describe(a) != ab.describe(b)
    assert all(result is not None for result in ab.results)
    assert [r.recipe.prior.positions for r in ab.results] == [True, fault != "no-positions"]


def test_two_methods_of_different_length_go_together(ready, drive):
    async def go():
        ab = ABRun(ready)
        ab.choose("strategy", None)
        ab.choose("patch", 32)
        ab.choose("solver", "least-squares")
        ab.start()
        await compared(ab)
        return ab

    ab = drive(go())
    totals = [history.total for history in ab.histories]
    assert totals[0] != totals[1]
    assert ab.results[1].recipe.solver == "least-squares"
    ab.go_to(0.5)
    steps = [ab.frame(side).step for side in (0, 1)]
    assert [s / t for s, t in zip(steps, totals, strict=True)] == pytest.approx([0.5, 0.5], abs=0.2)


def test_step_pause_finish_and_cancel(ready, drive):
    async def go():
        ab = ABRun(ready)
        ready.method.set_solver_setting("steps", LONG)
        ab.step()
        await until(lambda: ab.state is RunState.PAUSED)
        for expected in (1, 2, 3):
            await until(lambda: ab.state is RunState.PAUSED)
            assert [ab.frame(side).step for side in (0, 1)] == [expected, expected]
            ab.step()
            await until(lambda expected=expected: ab.frame(1).step == expected + 1)
        ab.finish()
        await compared(ab)
        assert ab.state is RunState.FINISHED
        assert [r.recipe.stop_after for r in ab.results] == [4, 4]
        ab.start()
        await until(lambda: ab.frame(1) is not None)
        ab.cancel()
        await compared(ab)
        assert ab.state is RunState.CANCELLED
        assert ab.results == (None, None)
        assert not ab.keepable
        ready.method.set_solver_setting("steps", 2)
        await ran(ready)
        assert ready.shown.result is not None

    drive(go())


def test_what_cannot_be_compared_is_refused_in_words(ready, drive):
    async def go():
        ab = ABRun(ready)
        ab.choose("strategy", "random")
        first, second = ab.sides()
        assert first == second
        ab.start()
        assert "are the same" in ready.said[-1][1]
        ab.choose("strategy", "fixed")
        first, second = ab.sides()
        assert first != second
        ready.method.set_solver_setting("steps", LONG)
        ready.start()
        ab.start()
        assert "A run is under way" in ready.said[-1][1]
        ready.run.cancel()
        await until(lambda: not ready.run.active)
        ab.start()
        ready.start()  # goes to the queue, and comes after the comparison
        assert [item.state.ended for item in ready.queue.waiting] == [False]
        assert not ready.run.active
        ready.runner.cancel_waiting()
        ab.cancel()
        await compared(ab)

    drive(go())


def test_both_results_become_runs_once(ready, drive):
    async def go():
        ab = ABRun(ready)
        ready.method.set_solver_setting("steps", 2)
        ab.what_if("no-padding")
        await compared(ab)
        before = len(ready.runs.records)
        ab.keep()
        ab.keep()
        assert [r.name[-8:] for r in ready.runs.records[before:]] == ["A of A/B", "B of A/B"]
        assert not ab.keepable
        assert ready.runs.records[-1].recipe == ab.results[1].recipe

    drive(go())


def test_one_side_that_diverges_is_named_and_keeps_its_last_good_iterate(ready, drive, monkeypatch):
    from padis_gui.core.runs import engine
    from padis_gui.core.settings.errors import DivergenceError

    true_solve = engine.solve

    def diverging(recipe, *rest):
        for iterate in true_solve(recipe, *rest):
            if recipe.tiling.strategy == "fixed" and iterate.step == 3:
                raise DivergenceError("The solver diverged at step 3; lower the step size.")
            yield iterate

    monkeypatch.setattr(engine, "solve", diverging)

    async def go():
        ab = ABRun(ready)
        ab.what_if("fixed")
        await compared(ab)
        return ab

    ab = drive(go())
    assert "B: The solver diverged" in ready.said[-1][1]
    assert [r.recipe.stop_after for r in ab.results] == [None, 2]


def test_closing_the_session_ends_a_comparison(ready, drive):
    async def go():
        ab = ABRun(ready)
        ready.method.set_solver_setting("steps", LONG)
        ab.what_if("fixed")
        await until(lambda: ab.frame(0) is not None)

    drive(go())  # the fixture closes it and looks for threads


def test_seam_maps_of_both_sides(ready, drive):
    async def go():
        ab = ABRun(ready)
        ready.method.set_solver_setting("steps", 2)
        ab.what_if("fixed")
        await compared(ab)
        ab.picture(0, "seams")
        await until(lambda: ab.picture(1, "seams") is not None)
        frame = ab.frame(1)
        expected = seam_map(torch.from_numpy(frame.estimate[None]), frame.partition).numpy()
        np.testing.assert_array_equal(ab.picture(1, "seams"), expected)
        assert ab.picture(0, "estimate") is ab.frame(0).estimate

    drive(go())


# -- other problems ---------------------------------------------------------------------------------------


def test_without_truth_and_measurement_everything_still_works(ready, drive):
    async def go():
        inspector, lab, ab = Inspector(ready), Laboratory(ready), ABRun(ready)
        inspector.watch(True)
        lab.want(MAPS)
        ready.method.apply_preset("generate")
        ready.method.set_solver_setting("steps", 2)
        await until(lambda: ready.preparation.prepared)
        assert ready.preparation.prepared.method.physics == "nothing"
        assert inspector.inputs == ()
        assert inspector.result is None or inspector.used_input is None
        await ran(ready)
        await until(lambda: inspector.result is not None and inspector.result.step == 2)
        assert inspector.inputs == ("step", "estimate")
        await until(lambda: lab.values().get("seam_ratio"))
        assert lab.spectrum is None
        ab.what_if("no-positions")
        await compared(ab)
        assert all(r is not None and "psnr" not in r.metrics for r in ab.results)
        assert np.isnan(ab.point(0).psnr)
        assert ab.difference_rms() > 0

    drive(go())


def test_colours_are_looked_at_and_exported_channel_by_channel(ready, drive, tmp_path):
    path = tmp_path / "colours.png"
    rows, columns = np.mgrid[0:64, 0:64] * 4
    picture = np.stack([rows, columns, 255 - rows], axis=2).astype(np.uint8)
    Image.fromarray(picture).save(path)

    async def go():
        inspector, lab, ab = Inspector(ready), Laboratory(ready), ABRun(ready)
        assert await ready.data.open(path)
        ready.method.set_physics("denoising")
        preparation = ready.preparation
        await until(lambda: preparation.pictures)
        assert preparation.pictures.truth.ndim == 3
        lab.want(MAPS)
        inspector.watch(True)
        await ran(ready)
        await until(lambda: SEAMS in lab.maps and inspector.result is not None and inspector.result.step)
        assert lab.maps[SEAMS].shape == (64, 64)
        assert inspector.result.pictures["denoised"].shape == (16, 16, 3)
        assert inspector.result.pictures["across"].shape == (16, 16)
        ready.method.set_solver_setting("steps", 2)
        ab.what_if("fixed")
        await compared(ab)
        for name, pages, shape in (
            ("tile", inspector.pages(), (9, 3, 16, 16)), ("maps", lab.pages(), None), ("ab", ab.pages(), (3, 3, 64, 64)),
        ):  # fmt: skip
            file = tmp_path / f"{name}.tif"
            export(ready, file, pages)
            await until(file.exists)
            written = tifffile.imread(file)
            assert written.dtype == np.float32
            assert shape is None or written.shape == shape
        before = ready.data.path.read_bytes()
        export(ready, ready.data.path, ab.pages())
        await until(lambda: any("is the input" in sentence for _, sentence, _ in ready.said))
        assert ready.data.path.read_bytes() == before

    drive(go())
