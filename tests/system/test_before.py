"""What earlier versions wrote, in tests/before: it still opens, and a recipe still gives what it gave then."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from padis_gui.cli.main import main
from padis_gui.core.exports.about import read_export, read_pages
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.presets import find_preset
from padis_gui.core.runs.queue import read_queue
from padis_gui.core.solvers.registry import find_solver
from padis_gui.core.studies.experiment import run_grid
from padis_gui.core.studies.grid import Grid
from padis_gui.core.volumes.parts import Parts
from tests.before.machine import machine
from tests.qt import until
from tests.tiny import PHANTOM_SIZE, phantom, tiny_record, tiny_state

BEFORE = Path(__file__).parents[1] / "before"
MADE = json.loads((BEFORE / "made.json").read_text(encoding="utf-8"))
# The libraries choose their kernels by the processor, and each sums in an order of its own: float32 roundings, carried
# through a few steps. Measured with torch, oneDNN and MKL held to SSE against AVX-512: up to 1.5e-5 of the range from
# black to white, of estimates as far as 35 of it (PaDIS-DPS after three steps).
OTHER_PROCESSOR = 1e-4


# What the preset said of Fast when the experiment was made
FAST_8_THEN = {"sigma_max": 2.0, "sigma_min": 0.03, "zeta": 1.1, "relaxation": 1.0}


def exports(kind: str) -> list[str]:
    return sorted(path.stem for path in BEFORE.glob(f"{kind}-*.tif"))


def copied(source: Path, target: Path) -> Path:
    """A file or folder elsewhere, whose JSON names the files beside this test's as those that it was made of."""
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    here = json.dumps(BEFORE.as_posix())[1:-1]
    for path in target.rglob("*.json") if target.is_dir() else [target]:
        text = path.read_text(encoding="utf-8").replace(MADE["folder"], here)
        path.write_text(text, encoding="utf-8")
    return target


def assert_the_same(made: Path, before: Path) -> None:
    """The same bits on the same machine, the same picture on every other."""
    export = read_export(before)
    one, other = (np.stack(read_pages(e)[0]) for e in (export, read_export(made)))
    assert one.shape == other.shape
    if machine() == MADE["machine"] and export.about.integer is None:
        assert one.tobytes() == other.tobytes()
    low, high = export.about.window or export.recipe.data.window
    step = 0.0 if export.about.integer is None else export.about.integer.step
    assert np.abs(one - other).max() <= OTHER_PROCESSOR * (high - low) + step


@pytest.mark.parametrize("name", [*exports("solver"), *exports("problem"), *exports("run"), "volume"])
def test_a_recipe_gives_what_it_gave(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = tmp_path / "again.tif"
    code = main(["repeat", str(BEFORE / f"{name}.tif"), "--out", str(again)])
    if machine() == MADE["machine"]:
        assert "bit for bit" in capsys.readouterr().out
        assert code == 0
    assert_the_same(again, BEFORE / f"{name}.tif")


def test_every_solver_and_way_to_run_is_there() -> None:
    """All that the program had: none is lost by renaming a file."""
    assert len(exports("solver")) == 16
    assert len(exports("problem")) == 6
    for name in exports("solver"):
        export = read_export(BEFORE / f"{name}.tif")
        assert f"solver-{find_solver(export.recipe.solver).name}" == name
        assert export.recipe.threads == 1
        assert math.isfinite(export.metrics["psnr"])
    changed, paired, samples, integers = (
        read_export(BEFORE / f"run-{name}.tif") for name in ("changed", "paired", "samples", "integers")
    )
    assert ([c.step for c in changed.recipe.changes], changed.recipe.stop_after) == ([1, 2], 4)
    assert paired.recipe.paired
    assert samples.recipe.sample_seeds == (11, 12, 13)
    assert integers.about.integer is not None
    assert read_export(BEFORE / "run-integers.json").recipe == integers.recipe
    assert read_export(BEFORE / "run-generated.tif").about.seeds == (7, 8)


def test_a_checkpoint_opens() -> None:
    prior = load_prior(BEFORE / "tiny.safetensors", torch.device("cpu"), "float32")
    assert prior.conventions == tiny_record().conventions
    wanted = {key: value.half().float() for key, value in tiny_state().items()}
    assert all(torch.equal(value, wanted[key]) for key, value in prior.network.state_dict().items())


def test_a_queue_runs(tmp_path: Path) -> None:
    queue = copied(BEFORE / "queue.json", tmp_path / "queue.json")
    assert [run.name for run in read_queue(queue)] == ["first", "second"]
    assert main(["queue", str(queue), "--out", str(tmp_path / "results"), "--device", "cpu"]) == 0
    assert_the_same(tmp_path / "results" / "first.tif", BEFORE / "run-integers.tif")
    assert_the_same(tmp_path / "results" / "second.tif", BEFORE / "run-samples.tif")


def test_a_volume_that_was_stopped_goes_on(tmp_path: Path) -> None:
    parts = copied(BEFORE / "unfinished.tif.parts", tmp_path / "unfinished.tif.parts")
    assert [Parts(parts).record(page) is not None for page in range(3)] == [True, True, False]
    command = [
        sys.executable,
        "-m",
        "padis_gui",
        "volume",
        "--resume",
        str(parts),
        "--threads",
        "1",
        "--events",
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    began = json.loads(done.stdout.splitlines()[0])
    assert (began["event"], began["done"]) == ("volume", 2)
    assert_the_same(tmp_path / "unfinished.tif", BEFORE / "volume.tif")


def test_an_experiment_goes_on_where_it_was(tmp_path: Path) -> None:
    """A case is known by what its files hold and by every setting, also where settings were declared since: with what
    was done then, none is run again."""
    record = copied(BEFORE / "experiment.jsonl", tmp_path / "experiment.jsonl")
    before = record.read_text(encoding="utf-8")
    preset = find_preset("ct-8")
    grid = Grid(
        images=((BEFORE / "phantom.tif", 0),), priors=(BEFORE / "tiny.safetensors",), solvers=("fast", "tv"),
        problems=(replace(preset, name="ct-8 bins=96", problem=preset.problem | {"bins": 96}, settings=FAST_8_THEN),),
        overrides={"fast": {"steps": 2}, "tv": {"steps": 2}}, tilings=(TilingSettings(window_below=0.03),), seeds=(1,),
    )  # fmt: skip
    results = list(run_grid(grid.points(), lambda path: pytest.fail("no prior is opened"), record))
    assert [round(result.metrics["psnr"], 2) for result in results] == [22.02, 23.12]
    assert record.read_text(encoding="utf-8") == before


def test_an_experiment_whose_defaults_have_changed_runs_only_what_they_change(tmp_path: Path) -> None:
    record = copied(BEFORE / "experiment.jsonl", tmp_path / "experiment.jsonl")
    before = record.read_text(encoding="utf-8")
    command = ["experiment", str(BEFORE / "phantom.tif"), "--prior", str(BEFORE / "tiny.safetensors"), "--device", "cpu",
               "--precision", "float32", "--preset", "ct-8", "--bins", "96", "--solver", "fast", "tv",
               "--set", "steps=2", "--out", str(record)]  # fmt: skip
    assert main(command) == 0
    assert record.read_text(encoding="utf-8").startswith(before)
    (added,) = record.read_text(encoding="utf-8")[len(before) :].splitlines()
    assert json.loads(added)["recipe"]["solver"] == "fast"


def test_a_training_is_listed_with_its_log_and_looks(capsys: pytest.CaptureFixture[str]) -> None:
    from padis_gui.core.training.history import read_history
    from padis_gui.core.training.looks import load_look
    from padis_gui.core.training.plan import load_request

    folder = BEFORE / "training"
    request = load_request(folder)
    assert (request.training.steps, request.network.width, request.sight.look_every) == (3, 32, 3)
    assert read_history(folder).step == 3
    assert load_look(folder / "looks" / "000003.npz").problem
    assert main(["runs", str(folder)]) == 0
    assert "3/3" in capsys.readouterr().out


def test_a_session_comes_back_with_its_runs(drive: Callable, tmp_path: Path) -> None:
    from padis_gui.viewmodels.session.session import Session
    from padis_gui.viewmodels.session.store import Store

    sessions = copied(BEFORE / "sessions", tmp_path / "sessions")

    async def go() -> None:
        session = Session("cpu", store=Store(sessions))
        said = []
        session.message.connect(lambda *message: said.append(message))
        assert session.saver.was_clean
        assert await session.saver.restore()
        assert said == []
        assert session.data.image.name == "phantom.tif"
        assert session.prior.loaded is not None
        assert (session.method.seed, session.method.solver, session.method.problem.views, session.method.tiling.patch) == (
            6, "diffpir", 13, 16,
        )  # fmt: skip
        first, second = session.runs.records
        assert (first.name, first.pinned, second.name, second.note) == ("kept", True, "Run 2", "a note")
        assert [len(record.history.points) for record in (first, second)] == [2, 3]
        for record in (first, second):
            assert record.result.pixels.shape == (1, PHANTOM_SIZE, PHANTOM_SIZE)
            assert record.result.image.unit == "HU"
            assert record.metrics["psnr"] > 0
        await session.close()
        session.deleteLater()

    drive(go())


def test_an_export_brings_its_run_back_into_the_window(drive: Callable) -> None:
    from padis_gui.viewmodels.session.session import Session

    async def go() -> None:
        session = Session("cpu")
        assert await session.restore(BEFORE / "run-changed.tif")
        await until(lambda: session.preparation.prepared is not None)
        assert (session.method.solver, session.method.settings.steps, session.method.seed) == ("dds", 6, 7)
        (record,) = session.runs.records
        assert len(record.recipe.changes) == 2
        assert record.recipe.stop_after == 4
        await session.close()
        session.deleteLater()

    drive(go())


def test_preferences_are_kept(qapp: object, tmp_path: Path) -> None:
    from padis_gui.viewmodels.state.preferences import Preferences

    copied(BEFORE / "preferences.json", tmp_path / "preferences.json")
    preferences = Preferences(tmp_path)
    assert not preferences.trouble
    assert preferences.options.cadence == "steps"
    assert preferences.recent("image") == (BEFORE / "phantom.tif",)


def test_an_image_a_mask_and_a_geometry_open() -> None:
    from padis_gui.core.files.read import read_image

    image = read_image(BEFORE / "phantom.tif")
    assert image.unit == "HU"
    np.testing.assert_allclose(image.pixels[0], phantom(PHANTOM_SIZE) * 2000 - 1000, atol=0.51)
    assert read_image(BEFORE / "mask.png").pixels.max() == 255
    scan = read_image(BEFORE / "scan.tif").measured
    assert (scan.physics, len(scan.problem["angles"])) == ("ct-parallel", 12)
