"""A volume in the window's view model: what can be started, the process, its progress, and how it ends."""

import math
from pathlib import Path

import numpy as np
import pytest

from padis_gui.core.exports.about import read_export
from padis_gui.core.settings.errors import InputError
from padis_gui.core.volumes.parts import Parts
from padis_gui.viewmodels.session.planner import Planner
from padis_gui.viewmodels.state.process import ProcessState, command_line
from padis_gui.viewmodels.volumes.volumes import VolumeProgress, Volumes, prepare
from tests.qt import open_both, until
from tests.volumes import write_stack


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return write_stack(tmp_path / "stack.tif", 4)


@pytest.fixture
def volumes(session, drive, stack: Path, prior_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Four slices and the tiny prior are open; two steps of a solver."""
    monkeypatch.setattr("padis_gui.viewmodels.state.process.command_line", with_one_thread)

    async def go():
        made = Volumes(session, Planner(session))
        await open_both(session, stack, prior_path)
        for name, value in (("views", 12), ("bins", 48)):
            session.method.set_problem(name, value)
        session.method.set_solver("dds")
        for name, value in (("steps", 2), ("cg_steps", 2)):
            session.method.set_solver_setting(name, value)
        session.method.set_seed(4)
        return made

    made = drive(go())
    yield made
    drive(made.close())
    assert not made.process.active


def with_one_thread(*words: str) -> list[str]:
    """The machine may be busy: one thread does not wait for another."""
    return command_line(*words, "--threads", "1")


def slow(session) -> None:
    session.method.set_solver_setting("steps", 200)


def test_a_volume_from_start_to_result(volumes, session, drive, tmp_path: Path) -> None:
    async def go():
        volumes.set_out(tmp_path / "volume")
        volumes.set("z_smoothing", 0.5)
        volumes.start()
        assert volumes.active
        await until(lambda: volumes.state is ProcessState.DONE)
        await until(lambda: volumes.picture is not None)
        assert await volumes.open_result()
        opened.append((session.data.image.pages, session.data.image.name))
        session.method.set_seed(None)
        assert await session.restore(volumes.result)
        assert "a volume of 4 slices" in session.said[-1][1]

    opened = []
    drive(go())
    assert opened == [(4, "volume.tif")]
    assert (session.data.image.name, session.method.seed) == ("stack.tif", 4)
    assert volumes.out == volumes.result == tmp_path / "volume.tif"
    progress = volumes.progress
    assert (progress.done, progress.total, sorted(progress.psnr)) == (8, 8, [0, 1, 2, 3])
    assert progress.mean_psnr == pytest.approx(np.mean(list(progress.psnr.values())))
    assert volumes.picture.shape == (32, 32)
    recipe = read_export(volumes.result).recipe
    assert (recipe.seed, recipe.solver, recipe.problem["views"]) == (4, "dds", 12)
    assert not [said for said in session.said if said[0] == "error"]


def test_stop_keeps_slices_which_start_goes_on_with_and_mixes_with_no_others(
    volumes, session, drive, tmp_path: Path
) -> None:
    async def go():
        slow(session)
        volumes.set_out(tmp_path / "v.tif")
        volumes.start()
        await until(lambda: volumes.progress.done >= 1)
        volumes.stop()
        await until(lambda: not volumes.active)
        assert volumes.state is ProcessState.STOPPED
        kept = len(list((tmp_path / "v.tif.parts").glob("slice-*")))
        assert 1 <= kept < 4
        session.method.set_solver_setting("steps", 2)
        volumes.start()
        await until(lambda: not volumes.active)
        assert "begin anew" in session.said[-1][1]
        slow(session)
        volumes.start()
        await until(lambda: volumes.progress.total and volumes.progress.kept == kept)
        await until(lambda: volumes.state is ProcessState.DONE)

    drive(go())
    assert volumes.progress.done == 4


def test_begin_anew_throws_away_what_is_there(volumes, session, drive, tmp_path: Path) -> None:
    out = tmp_path / "v.tif"
    first = prepare(session.opened(), session.method.now, volumes.settings, out, 1, restart=False)
    Parts(first.folder).path(0).write_bytes(b"a slice")
    with pytest.raises(InputError, match="the seed"):
        prepare(session.opened(), session.method.now, volumes.settings, out, 2, restart=False)
    assert (
        prepare(
            session.opened(), session.method.now, volumes.settings, out, None, restart=False
        ).template.seed
        == 1
    )
    assert Parts(first.folder).path(0).exists()
    assert (
        prepare(session.opened(), session.method.now, volumes.settings, out, 2, restart=True).template.seed
        == 2
    )
    assert not Parts(first.folder).path(0).exists()


def test_a_volume_is_never_written_over_what_it_is_made_of(volumes, session) -> None:
    for path in (session.data.path, session.prior.path):
        before = path.read_bytes()
        with pytest.raises(InputError, match="is the input"):
            prepare(session.opened(), session.method.now, volumes.settings, path, 1, restart=True)
        assert path.read_bytes() == before
        assert not path.with_name(path.name + ".parts").exists()


def test_pause_holds_and_goes_on(volumes, session, drive, tmp_path: Path) -> None:
    async def go():
        slow(session)
        volumes.set_out(tmp_path / "v.tif")
        volumes.start()
        await until(lambda: volumes.state is ProcessState.RUNNING)
        volumes.pause()
        await until(lambda: volumes.state is ProcessState.PAUSED)
        assert math.isnan(volumes.progress.seconds_left)
        volumes.go_on()
        await until(lambda: volumes.state is ProcessState.RUNNING)

    drive(go())


def test_what_is_in_the_way_is_said(session, drive, stack: Path, prior_path: Path) -> None:
    async def go():
        volumes = Volumes(session, Planner(session))
        assert "Open a file" in volumes.obstacle()
        assert await session.data.open(stack)
        assert "prior" in volumes.obstacle()
        assert await session.prior.open(prior_path)
        assert volumes.obstacle() == ""
        volumes.start()  # nowhere to go
        assert session.said[-1][0] == "warning"
        before = volumes.settings
        for name, value in (("pages", "9"), ("pages", "x"), ("z_smoothing", -1)):
            volumes.set(name, value)
            assert session.said[-1][0] == "error"
            assert volumes.settings == before
        volumes.set_workers("many")
        assert volumes.workers == "1"
        volumes.set("pages", "1-2")
        assert volumes.count == 2
        session.method.set_physics("nothing")
        assert "no slices" in volumes.obstacle()
        volumes.set_out(stack)
        session.method.set_physics("ct-parallel")
        volumes.start()
        await until(lambda: not volumes.active)
        assert "choose another name" in session.said[-1][1]

    drive(go())


def test_a_process_that_cannot_start_or_speaks_nonsense_is_said(
    session, drive, stack: Path, prior_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import sys

    async def go():
        for command, said in (
            (["/nowhere/at/all"], "could not be started"),
            (
                [sys.executable, "-c", "print('{\"event\": \"slice\"}'); print('x'); raise SystemExit(3)"],
                "ended unexpectedly",
            ),
        ):
            monkeypatch.setattr(
                "padis_gui.viewmodels.state.process.command_line", lambda *_, command=command: command
            )
            volumes = Volumes(session, Planner(session))
            if session.data.image is None:
                await open_both(session, stack, prior_path)
            volumes.set_out(tmp_path / "v.tif")
            volumes.start()
            await until(lambda: not volumes.active)  # noqa: B023
            assert said in session.said[-1][1]
            assert volumes.state is ProcessState.FAILED
            await volumes.close()

    drive(go())


def test_time_left_counts_the_slices_made_here() -> None:
    progress = VolumeProgress()
    progress.take({"event": "volume", "pages": [0, 1, 2], "total": 6, "done": 1})
    slice_ = {
        "event": "slice",
        "page": 0,
        "smooth": False,
        "done": 1,
        "total": 6,
        "metrics": {},
        "kept": True,
    }
    progress.take(slice_)
    assert math.isnan(progress.seconds_left)
    progress._since -= 10
    progress.take(slice_ | {"page": 1, "done": 2, "kept": False})
    assert progress.seconds_left == pytest.approx(
        10, rel=0.01
    )  # one more like it; smoothing takes next to nothing
