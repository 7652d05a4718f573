"""`padis-gui queue`: the queue of the window without the window."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from padis_gui.cli.main import main
from padis_gui.core.exports.about import read_result
from padis_gui.core.files.read import read_image
from padis_gui.core.physics.scanner import ParallelBeamSettings
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.queue import QueuedRun, file_names, queue_as_json, read_queue
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.solvers.diffusion.dds import DDSSettings
from tests.recipes import make_recipe


@pytest.fixture
def recipe(phantom_path: Path, prior_path: Path) -> Recipe:
    return make_recipe(
        image=read_image(phantom_path), data_path=phantom_path,
        prior=load_prior(prior_path, torch.device("cpu"), "float32"), prior_path=prior_path, physics="ct-parallel",
        problem=ParallelBeamSettings(views=12, bins=96, noise=0.01), tiling=TilingSettings(strategy="random"),
        solver="dds", settings=DDSSettings(steps=2, cg_steps=2), seed=4,
    )  # fmt: skip


@pytest.fixture
def queue(recipe: Recipe, tmp_path: Path) -> Path:
    gone = recipe.model_copy(update={"data": recipe.data.model_copy(update={"file": "/gone/away.png"})})
    other = recipe.model_copy(update={"seed": 5, "measurement_seed": 4})
    runs = [("first", recipe), ("lost/one", gone), ("first", other)]
    path = tmp_path / "queue.json"
    path.write_bytes(queue_as_json(QueuedRun(name=name, recipe=each) for name, each in runs))
    return path


def test_a_failure_does_not_stop_the_rest(queue: Path, recipe: Recipe, tmp_path: Path, capsys) -> None:
    out = tmp_path / "results"
    assert main(["queue", str(queue), "--out", str(out), "--device", "cpu"]) == 1
    assert sorted(p.name for p in out.iterdir()) == ["first 2.tif", "first.tif", "summary.json"]
    first, second = (read_result(out / f"{name}.tif") for name in ("first", "first 2"))
    assert first.estimate.dtype == np.float32
    assert (first.recipe.seed, second.recipe.seed, second.recipe.measurement_seed) == (4, 5, 4)
    assert first.metrics["psnr"] > 0
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))["runs"]
    assert [line["name"] for line in summary] == ["first", "lost/one", "first"]
    assert [bool(line["error"]) for line in summary] == [False, True, False]
    said = capsys.readouterr().out.splitlines()
    assert "/gone/away.png" in said[1]
    assert "PSNR" in said[2]


def test_the_same_command_goes_on_and_leaves_other_results_alone(
    queue: Path, recipe: Recipe, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "results"
    command = ["queue", str(queue), "--out", str(out), "--device", "cpu"]
    assert main(command) == 1
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.tif")}
    assert main(command) == 1
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.tif")} == before
    assert "there already" in capsys.readouterr().out
    changed = QueuedRun(name="first", recipe=recipe.model_copy(update={"seed": 6}))
    queue.write_bytes(queue_as_json([changed]))
    assert main(command) == 1
    assert "holds the result of another" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.tif")} == before


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1, 2]", b"\xff\xfe", b'{"format": "padis-gui queue", "version": 1, "runs": []}'],
)
def test_a_file_that_is_no_queue_is_one_sentence(content: bytes, tmp_path: Path, capsys) -> None:
    path = tmp_path / "q.json"
    path.write_bytes(content)
    assert main(["queue", str(path), "--out", str(tmp_path / "r")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "queue" in said[0]
    assert not (tmp_path / "r").exists()
    assert main(["queue", str(tmp_path / "none.json"), "--out", str(tmp_path / "r")]) == 2


def test_names_of_files_are_different_and_harmless() -> None:
    assert file_names(["Run 1", "run 1", "../../etc", "", "a:b"]) == [
        "Run 1.tif", "run 1 2.tif", "_.._etc.tif", "run.tif", "a_b.tif",
    ]  # fmt: skip


def test_a_queue_comes_back_as_it_was(queue: Path, recipe: Recipe) -> None:
    assert read_queue(queue)[0] == QueuedRun(name="first", recipe=recipe)
