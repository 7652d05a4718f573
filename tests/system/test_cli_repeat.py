"""`padis-gui repeat`: an exported file brings its run back, bit for bit, and says what stands in the way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from padis_gui.cli.main import main
from padis_gui.core.exports.about import About, read_recipe, read_result
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.exports.tiff import write_result
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.recipe import Change, Recipe
from padis_gui.core.runs.repeat import Repeater
from tests.volumes import write_stack

TINY = ["--views", "10", "--precision", "float32", "--seed", "7"]


@pytest.fixture
def made(phantom_path: Path, prior_path: Path, tmp_path: Path):
    """Reconstruct the phantom by a solver; the image and the prior are copies in folders of their own."""

    def reconstruct(*options: str, steps: int = 3) -> Path:
        for folder, source in (("data", phantom_path), ("priors", prior_path)):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(source, tmp_path / folder / source.name)
        out = tmp_path / "out" / "first.tif"
        out.parent.mkdir(exist_ok=True)
        image, prior = tmp_path / "data" / phantom_path.name, tmp_path / "priors" / prior_path.name
        if "baseline" not in options:
            options = (*options, "--steps", str(steps))
        code = main(["reconstruct", str(image), "--prior", str(prior), "--out", str(out), "--device", "cpu",
                     *TINY, *options])  # fmt: skip
        assert code == 0
        return out

    return reconstruct


def repeated(recipe: Recipe, path: Path, **settings: object) -> None:
    """Run a recipe as the window would, and export the result."""
    import torch

    done = Repeater(torch.device("cpu")).run(recipe)
    about = About(unit=done.image.unit, window=done.image.window)
    write_result(
        path, done.pixels, done.deviation, done.recipe, done.metrics, done.spacing, done.interval, about=about,
        settings=ExportSettings(**settings),
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        ("--solver", "dds"), ("--solver", "fast", "--noise", "0.02"), ("--solver", "diffpir", "--tiling", "fixed"),
        ("--solver", "padis-dps", "--set", "inner=2"), ("--solver", "tv"), ("--solver", "baseline"),
    ],
    ids=lambda options: options[1],
)  # fmt: skip
def test_every_solver_gives_the_same_bits(made, options, tmp_path, capsys) -> None:
    out = made(*options)
    capsys.readouterr()
    again = tmp_path / "again.tif"
    assert main(["repeat", str(out), "--out", str(again)]) == 0
    assert "identical to first.tif, bit for bit" in capsys.readouterr().out
    assert np.array_equal(tifffile.imread(out), tifffile.imread(again))
    first, second = read_result(out), read_result(again)
    assert first.recipe == second.recipe
    assert first.metrics == second.metrics


def test_live_changes_and_an_early_end_are_replayed(made, tmp_path, capsys) -> None:
    recipe = read_recipe(made("--solver", "dds", steps=6))[0]
    changed = recipe.settings | {"eta": 0.1}
    steered = recipe.model_copy(
        update={
            "changes": (
                Change(step=1, settings=changed), Change(step=2, tiling=TilingSettings(strategy="fixed", patch=16)),
            ),
            "stop_after": 4,
        }
    )  # fmt: skip
    path = tmp_path / "steered.tif"
    repeated(steered, path)
    assert not np.array_equal(tifffile.imread(path), tifffile.imread(tmp_path / "out" / "first.tif"))
    capsys.readouterr()
    assert main(["repeat", str(path)]) == 0
    said = capsys.readouterr().out
    assert "bit for bit" in said
    assert "2 live changes, finished at step 4" in said


@pytest.mark.parametrize("settings", [{}, {"tiff": "OME"}, {"values": "uint16"}, {"sidecar": True}])
def test_samples_are_drawn_again_whatever_was_written(made, tmp_path, capsys, settings) -> None:
    recipe = read_recipe(made("--solver", "diffpir", "--noise", "0.05"))[0]
    samples = recipe.model_copy(update={"measurement_seed": 3, "sample_seeds": (11, 12, 13)})
    path = tmp_path / "samples.tif"
    repeated(samples, path, **settings)
    assert read_result(path).interval is not None
    capsys.readouterr()
    assert main(["repeat", str(path), "--out", str(tmp_path / "again.tif")]) == 0
    said = capsys.readouterr().out
    assert "bit for bit" in said
    assert "3 samples" in said
    if settings.get("sidecar"):
        assert main(["repeat", str(tmp_path / "samples.json")]) == 0
        path.unlink()
        assert main(["repeat", str(tmp_path / "samples.json")]) == 0
        assert "identical to samples.json" in capsys.readouterr().out


def test_a_measurement_is_used_again(prior_path, tmp_path, capsys) -> None:
    import torch

    from padis_gui.core.files.read import read_image
    from padis_gui.core.images.image import ReadingSettings
    from padis_gui.core.physics.registry import find_physics
    from padis_gui.core.prior.checkpoint import load_prior
    from padis_gui.core.solvers.registry import find_solver
    from tests.recipes import make_recipe

    blurred = tmp_path / "blurred.npy"
    np.save(blurred, np.random.default_rng(0).random((64, 64), dtype=np.float32))
    image = read_image(blurred, 0, ReadingSettings(role="measurement", scale_low=-1.0, scale_high=2.0))
    solver = find_solver("dds")
    recipe = make_recipe(
        image=image, data_path=blurred, prior=load_prior(prior_path, torch.device("cpu"), "float32"),
        prior_path=prior_path, physics="deblur", problem=find_physics("deblur").settings_type(noise=0.01),
        tiling=TilingSettings(), solver="dds", settings=solver.settings_type(steps=3), seed=5,
    )  # fmt: skip
    repeated(recipe, tmp_path / "out.tif", tiff="OME")
    assert main(["repeat", str(tmp_path / "out.tif"), "--out", str(tmp_path / "again.tif")]) == 0
    assert "bit for bit" in capsys.readouterr().out
    assert read_result(tmp_path / "again.tif").recipe.data.reading.role == "measurement"


def test_draws_of_the_prior_are_repeated(prior_path, tmp_path, capsys) -> None:
    out = tmp_path / "draws.tif"
    options = [
        "--count",
        "2",
        "--rows",
        "32",
        "--columns",
        "32",
        "--steps",
        "3",
        "--seed",
        "5",
        "--device",
        "cpu",
    ]
    assert main(["generate", "--prior", str(prior_path), "--out", str(out), *options]) == 0
    capsys.readouterr()
    assert main(["repeat", str(out), "--out", str(tmp_path / "again.tif")]) == 0
    assert "bit for bit" in capsys.readouterr().out
    assert np.array_equal(tifffile.imread(out), tifffile.imread(tmp_path / "again.tif"))


def test_files_that_moved_are_found_by_what_they_hold(made, tmp_path, capsys) -> None:
    out = made("--solver", "dds")
    (tmp_path / "data" / "phantom.tif").rename(out.parent / "another name.tif")
    (tmp_path / "priors" / "tiny.safetensors").rename(out.parent / "renamed.safetensors")
    capsys.readouterr()
    assert main(["repeat", str(out)]) == 0
    said = capsys.readouterr().out
    assert "was found as" in said
    assert "bit for bit" in said
    assert "different are" not in said


def test_what_is_missing_is_named_with_its_place_and_its_hash(made, tmp_path, capsys) -> None:
    out = made("--solver", "dds")
    data, prior = tmp_path / "data" / "phantom.tif", tmp_path / "priors" / "tiny.safetensors"
    data.unlink()
    prior.rename(tmp_path / "elsewhere.safetensors")
    assert main(["repeat", str(out)]) == 2
    said = capsys.readouterr().err
    for words in (str(data), str(prior), "--data", "--prior", str(out.parent), "SHA-256"):
        assert words in said
    assert main(["repeat", str(out), "--prior", str(tmp_path / "elsewhere.safetensors")]) == 2
    said = capsys.readouterr().err
    assert str(data) in said
    assert "The prior" not in said


def test_changed_data_are_refused_or_used_with_a_word(made, tmp_path, capsys) -> None:
    out = made("--solver", "dds")
    data = tmp_path / "data" / "phantom.tif"
    tifffile.imwrite(data, tifffile.imread(data) + np.int16(5))
    assert main(["repeat", str(out)]) == 2
    assert "has changed since the run" in capsys.readouterr().err
    assert main(["repeat", str(out), "--data", str(data)]) == 1
    said = capsys.readouterr().out
    assert "is not the one of the run" in said
    assert "differs from first.tif by at most" in said
    assert "different are the image" in said


def test_other_versions_and_edited_pixels_are_told(made, tmp_path, capsys) -> None:
    out = made("--solver", "dds")
    found = read_result(out)
    other = found.recipe.model_copy(
        update={"versions": found.recipe.versions | {"torch": "1.0"}, "device": "cuda:7"}
    )
    older = tmp_path / "older.tif"
    write_result(older, found.estimate + np.float32(2), None, other, {}, None, about=found.about)
    assert main(["repeat", str(older), "--check"]) == 0
    said = capsys.readouterr().out
    assert "torch (was 1.0, is " in said
    assert "the device (was cuda:7, is c" in said
    assert main(["repeat", str(older)]) == 1
    said = capsys.readouterr().out
    assert "differs from older.tif (which was changed after its export) by at most 2 HU" in said
    assert "torch (was 1.0" in said


def test_check_runs_nothing(made, capsys, monkeypatch) -> None:
    out = made("--solver", "dds")
    monkeypatch.setattr(Repeater, "run", None)
    capsys.readouterr()
    assert main(["repeat", str(out), "--check"]) == 0
    assert "Nothing is different here." in capsys.readouterr().out


def test_other_files_are_refused_in_a_sentence(phantom_path, tmp_path, capsys) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"recipe": {"file": "x"}}), encoding="utf-8")
    for file in (phantom_path, tmp_path / "a.json", tmp_path / "none.tif", tmp_path):
        assert main(["repeat", str(file)]) == 2
        assert "carries no recipe" in capsys.readouterr().err


def test_the_file_is_never_overwritten(made, capsys) -> None:
    out = made("--solver", "dds")
    assert main(["repeat", str(out), "--out", str(out)]) == 2
    assert "is the input" in capsys.readouterr().err


@pytest.mark.parametrize("smoothing", ["0", "1"])
def test_a_volume_is_repeated_slice_by_slice(prior_path, tmp_path, capsys, smoothing) -> None:
    stack, out = write_stack(tmp_path / "stack.tif", 3), tmp_path / "volume.tif"
    options = ["--prior", str(prior_path), "--device", "cpu", "--precision", "float32", "--bins", "48", "--noise", "0.02",
               "--solver", "dds", "--steps", "2", "--seed", "5", "--threads", "1"]  # fmt: skip
    assert main(["volume", str(stack), "--out", str(out), "--z-smoothing", smoothing, *options]) == 0
    capsys.readouterr()
    assert main(["repeat", str(out)]) == 0
    said = capsys.readouterr().out
    assert "identical to volume.tif, bit for bit (3 slices" in said
    pixels = tifffile.memmap(out)
    pixels[1, 3, 3] += 4
    pixels.flush()
    del pixels
    assert main(["repeat", str(out), "--out", str(tmp_path / "again.tif")]) == 1
    assert "differs from volume.tif by at most 4" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.tif", "stack.tif", "volume.tif"]
