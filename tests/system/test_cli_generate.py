"""`padis-gui generate`: labelled samples, each repeated by its own seed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from padis_gui.cli.main import main
from padis_gui.core.exports.about import read_recipe
from padis_gui.core.files.read import read_image


@pytest.fixture
def arguments(prior_path: Path, tmp_path: Path) -> list[str]:
    return ["generate", "--prior", str(prior_path), "--device", "cpu", "--precision", "float32",
            "--out", str(tmp_path / "out.tif"), "--steps", "3"]  # fmt: skip


def test_samples_have_the_training_size_and_their_seeds_as_labels(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--count", "3", "--seed", "7"]) == 0
    samples = tifffile.imread(tmp_path / "out.tif")
    assert (samples.shape, samples.dtype) == ((3, 64, 64), np.float32)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.imagej_metadata["Labels"] == ["seed 7", "seed 8", "seed 9"]
    recipe, metrics = read_recipe(tmp_path / "out.tif")
    assert (recipe.data, recipe.physics, recipe.seed, metrics) == (None, "nothing", 7, {})
    assert recipe.problem == {"rows": None, "columns": None}
    assert "3 of 3 samples of 64 x 64" in capsys.readouterr().out
    # a label's seed makes that page by itself
    assert main([*arguments, "--seed", "8"]) == 0
    assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), samples[1])
    assert not np.array_equal(samples[0], samples[1])


@pytest.mark.parametrize("solver", ["diffpir", "dds", "langevin", "predictor-corrector"])
def test_any_size_and_solver(arguments: list[str], tmp_path: Path, solver: str) -> None:
    sized = [*arguments, "--rows", "40", "--columns", "72", "--solver", solver, "--tiling", "random"]
    assert main(sized) == 0
    assert read_image(tmp_path / "out.tif").shape == (40, 72)
    recipe, _ = read_recipe(tmp_path / "out.tif")
    assert (recipe.solver, recipe.tiling.strategy, recipe.seed < 10**9) == (solver, "random", True)


def test_what_is_finished_is_kept_when_a_later_sample_is_interrupted(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from padis_gui.core.runs import engine

    real, started = engine.solve, []

    def impatient(*given: object) -> object:
        started.append(given)
        if len(started) == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(engine, "solve", impatient)
    assert main([*arguments, "--count", "5", "--seed", "1"]) == 130
    assert tifffile.imread(tmp_path / "out.tif").shape == (2, 64, 64)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["--count", "0"], "count must be 1 to"), (["--count", "x"], "--count"), (["--rows", "3"], "16 to 2048"),
        (["--seed", str(2**32 - 1), "--count", "2"], "seed"), (["--solver", "magic"], "one of fast"),
        (["--tiling", "spiral"], "spiral"), (["--patch", "40"], "trained on"), (["--out", "o.png"], ".tif"),
        (["--set", "zeta"], "NAME=VALUE"), (["--prior", "none.safetensors"], "does not exist"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(
    arguments: list[str], changes: list[str], said: str, refusal: Callable[[list[str]], str]
) -> None:
    assert said in refusal([*arguments, *changes])


def test_reconstruct_sends_generation_here(
    phantom_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.tif")
    assert main(["reconstruct", str(phantom_path), "--preset", "generate", "--out", out]) == 2
    assert "use padis-gui generate" in capsys.readouterr().err
