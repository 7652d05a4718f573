"""`padis-gui reconstruct`: what it writes, and that a seed fixes every pixel."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
import torch

from padis_gui.cli import outputs as exports
from padis_gui.cli.main import main
from padis_gui.core.exports import animation
from padis_gui.core.exports.about import read_export, read_pages, read_recipe
from padis_gui.core.files.read import read_image
from padis_gui.core.runs.repeat import sample_seeds
from padis_gui.core.settings import machine
from tests.waiting import run_afresh

TINY = ["--views", "10", "--solver", "dds", "--steps", "3", "--set", "cg-steps=3", "--precision", "float32"]


@pytest.fixture
def arguments(phantom_path: Path, prior_path: Path, tmp_path: Path) -> list[str]:
    out, report = str(tmp_path / "out.tif"), str(tmp_path / "report.json")
    return ["reconstruct", str(phantom_path), "--prior", str(prior_path), "--device", "cpu",
            "--out", out, "--report", report, *TINY]  # fmt: skip


def test_writes_the_image_and_the_report(
    arguments: list[str], tmp_path: Path, phantom_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--seed", "7"]) == 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    wanted = {
        "psnr", "ssim", "psnr_baseline", "ssim_baseline", "seconds", "evaluations", "seed", "solver", "device",
        "peak_memory_mb", "recipe",
    }  # fmt: skip
    assert wanted <= set(report)
    assert (report["seed"], report["solver"], report["evaluations"]) == (7, "dds", 3)
    assert report["seconds"] > 0
    assert report["peak_memory_mb"] > 1
    assert "CPU" in report["device"]
    recipe, metrics = read_recipe(tmp_path / "out.tif")
    assert recipe.model_dump(mode="json") == report["recipe"]
    assert recipe.settings["cg_steps"] == 3
    assert (recipe.problem["views"], recipe.seed, recipe.tiling.patch) == (10, 7, 32)
    assert metrics["psnr"] == report["psnr"]
    # the metrics are those of the pixels that were written
    truth, found = read_image(phantom_path).pixels, tifffile.imread(tmp_path / "out.tif")
    assert found.dtype == np.float32
    unit = np.clip((found + 1000) / 2000, 0, 1)
    error = np.mean((unit - np.clip((truth[0] + 1000) / 2000, 0, 1)) ** 2)
    assert report["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-2)
    told = capsys.readouterr()
    assert "PSNR" in told.out
    assert "seed 7" in told.out


def test_the_report_has_every_metric_and_the_sentence_says_them(
    arguments: list[str], tmp_path: Path, phantom_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--seed", "7"]) == 0
    found, said = json.loads((tmp_path / "report.json").read_text(encoding="utf-8")), capsys.readouterr().out
    for name in ("psnr", "ssim", "nrmse", "residual", "seam_ratio"):
        assert math.isfinite(found[name]), name
    for words in ("PSNR", "SSIM", "NRMSE", "residual", "seam ratio"):
        assert words in said
    truth, made = read_image(phantom_path).pixels[0], tifffile.imread(tmp_path / "out.tif")
    truth = np.clip((truth + 1000) / 2000, 0, 1)
    expected = np.linalg.norm((made + 1000) / 2000 - truth) / np.linalg.norm(truth)
    assert found["nrmse"] == pytest.approx(float(expected), rel=1e-3)


def test_samples_are_those_of_the_window_and_their_calibration_is_said(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Mean, deviation and interval of runs whose seeds the window draws of the same seed; they repeat, too."""
    out = tmp_path / "out.tif"
    assert main([*arguments, "--seed", "7", "--samples", "3", "--noise", "0.01"]) == 0
    found, said = json.loads((tmp_path / "report.json").read_text(encoding="utf-8")), capsys.readouterr().out
    recipe = found["recipe"]
    assert recipe["sample_seeds"] == sample_seeds(7, 3)
    assert recipe["measurement_seed"] == 7
    assert found["samples"] == 3
    calibration = found["calibration"]
    assert calibration["expected_coverage"] == pytest.approx(
        0.5
    )  # (N - 1) / (N + 1), as the interval is all of three
    assert 0 <= calibration["coverage"] <= 1
    assert len(calibration["predicted"]) == len(calibration["observed"])
    assert "3 samples: rank correlation of deviation and error" in said
    mean, deviation, low, high = read_pages(read_export(out))[0]
    assert np.all(low <= mean)
    assert np.all(mean <= high)
    assert deviation.max() > 0
    assert main(["repeat", str(out)]) == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--samples", "1"], "2 to 200 samples were wanted, but 1 came"),
        (["--samples", "3", "--solver", "pnp-admm"], "pnp-admm gives the same image each time"),
        (["--samples", "3", "--curves", "CURVES"], "--curves is of one run"),
    ],
)
def test_samples_that_cannot_be_are_refused_before_the_run(
    more: list[str], words: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [str(tmp_path / "curves.csv") if each == "CURVES" else each for each in more]
    assert main([*arguments, *more]) == 2
    assert words in capsys.readouterr().err


def test_a_result_as_a_folder_of_ome_zarr_repeats_and_its_scan_is_read_again(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, scan = tmp_path / "out.ome.zarr", tmp_path / "scan.h5"
    arguments[arguments.index("--out") + 1] = str(out)
    assert (
        main([*arguments, "--seed", "7", "--noise", "0.01", "--sidecar", "--data-exchange", str(scan)]) == 0
    )
    assert read_export(out).recipe == read_export(tmp_path / "out.ome.json").recipe
    assert main(["repeat", str(out)]) == 0
    assert "bit for bit" in capsys.readouterr().out
    measured = read_image(scan).measured
    assert measured is not None
    assert measured.values.shape == (1, 10, 512)
    assert main([*arguments, "--seed", "7"]) == 2  # what is there stays
    assert "is a folder" in capsys.readouterr().err


def test_a_run_has_the_threads_that_it_is_told(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(machine, "usable_cores", lambda: 3)
    for asked, had in (("2", 2), ("1", 1), ("64", 3)):
        monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what is said now counts more
        try:
            assert main([*arguments, "--seed", "7", "--threads", asked]) == 0
        finally:
            torch.set_num_threads(before)
        assert read_recipe(tmp_path / "out.tif")[0].threads == had


@pytest.mark.parametrize("verb", ["reconstruct", "generate", "train", "experiment"])
@pytest.mark.parametrize("asked", ["0", "-1", "1025", "1e3", "many", "9" * 5000, "0" * 8 + "11111"])
def test_absurd_numbers_of_threads_are_refused(
    verb: str, asked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--threads", asked])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "1 to 1024 threads were wanted" in said
    assert len(said) < 400


def test_a_part_of_the_picture_its_size_and_its_pixels_size_reach_the_file_and_come_back(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reading = ["--crop", "8,0,48,64", "--pixel-binning", "2", "--pixel-pitch", "0.5"]
    assert main([*arguments, *reading, "--seed", "7"]) == 0
    assert "cropped to 48 × 64 at 8, 0 of 64 × 64, reduced to 24 × 32 px" in capsys.readouterr().out
    recipe, _ = read_recipe(tmp_path / "out.tif")
    assert recipe.data is not None
    kept = recipe.data.reading
    assert (kept.crop, kept.pixel_binning, kept.pixel_pitch) == ((8, 0, 48, 64), 2, 0.5)
    image = read_image(tmp_path / "out.tif")
    assert (image.shape, image.spacing) == ((32, 24), (1.0, 1.0))  # mm, as ImageJ reads it
    assert main(["repeat", str(tmp_path / "out.tif")]) == 0
    assert "identical" in capsys.readouterr().out


def test_same_seed_same_pixels(arguments: list[str], tmp_path: Path) -> None:
    pixels = []
    for seed in ("5", "5", "6"):
        assert main([*arguments, "--seed", seed]) == 0
        pixels.append(tifffile.imread(tmp_path / "out.tif"))
    assert np.array_equal(pixels[0], pixels[1])
    assert not np.array_equal(pixels[0], pixels[2])


def test_a_drawn_seed_is_written_down_and_repeats_the_run(arguments: list[str], tmp_path: Path) -> None:
    assert main(arguments) == 0
    first = tifffile.imread(tmp_path / "out.tif")
    seed = read_recipe(tmp_path / "out.tif")[0].seed
    assert main([*arguments, "--seed", str(seed)]) == 0
    assert np.array_equal(first, tifffile.imread(tmp_path / "out.tif"))


def test_spacing_and_page_reach_the_result(prior_path: Path, tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(-1000, 1000, (3, 32, 48), dtype=np.int16)
    source = tmp_path / "stack.tif"
    tifffile.imwrite(
        source, pages, imagej=True, resolution=(1 / 0.5, 1 / 0.25), metadata={"unit": "mm", "axes": "ZYX"}
    )
    options = [
        "--prior",
        str(prior_path),
        "--out",
        str(tmp_path / "o.tif"),
        "--page",
        "2",
        "--patch",
        "16",
        *TINY,
    ]
    assert main(["reconstruct", str(source), *options, "--tiling", "fixed", "--noise", "0.01"]) == 0
    recipe, _ = read_recipe(tmp_path / "o.tif")
    assert (recipe.data.page, recipe.tiling.strategy, recipe.tiling.patch) == (2, "fixed", 16)
    assert recipe.problem["noise"] == 0.01
    image = read_image(tmp_path / "o.tif")
    assert image.shape == (32, 48)
    assert image.spacing == pytest.approx((0.25, 0.5), rel=1e-5)


def test_a_solver_that_diverges_ends_with_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge = ["--solver", "padis-dps", "--set", "zeta=100", "--set", "scale=physical", "--set", "inner=3"]
    swapped = [a for a in arguments if a != "cg-steps=3"]
    swapped.remove("--set")
    assert main([*swapped, *huge, "--steps", "40", "--seed", "0"]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "padis-gui:" in line]
    assert len(lines) == 1
    assert "lower the step size" in lines[0]
    assert not (tmp_path / "out.tif").exists()


def test_an_all_black_image_is_no_fault(prior_path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "black.npy", np.zeros((32, 32), np.uint8))
    out = ["--out", str(tmp_path / "o.tif"), "--report", str(tmp_path / "r.json")]
    assert main(["reconstruct", str(tmp_path / "black.npy"), "--prior", str(prior_path), *out, *TINY]) == 0
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text  # neither is JSON


def test_the_command_line_imports_no_qt(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from padis_gui.cli.main import main\n"
        f"code = main({arguments!r})\n"
        "qt = [m for m in sys.modules if m.split('.')[0] in ('PySide6', 'shiboken6', 'pyqtgraph', 'qasync')]\n"
        "sys.exit(f'imported {qt}' if qt else code)\n"
    )
    run_afresh(code)


def test_version() -> None:
    from padis_gui import __version__

    done = subprocess.run(
        [sys.executable, "-m", "padis_gui", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"padis-gui {__version__}")


def test_ome_whole_numbers_sidecar_page_and_curves(arguments: list[str], tmp_path: Path) -> None:
    html, curves = tmp_path / "r.html", tmp_path / "c.csv"
    more = ["--ome", "--values", "uint16", "--sidecar", "--html", str(html), "--curves", str(curves)]
    assert main([*arguments, "--seed", "7", *more]) == 0
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_ome
        assert file.asarray().dtype == np.uint16
    export = read_export(tmp_path / "out.tif")
    assert export.about.integer.clipped == 0
    assert read_export(tmp_path / "out.json").about == export.about
    rows = list(csv.DictReader(curves.read_text(encoding="utf-8").splitlines()))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["psnr [dB]"]) == pytest.approx(export.metrics["psnr"], rel=1e-6)
    page = html.read_text(encoding="utf-8")
    assert page.count("<img") == 4
    assert "<script" not in page
    assert export.about.sha256 in page


def test_iterates_and_animation(arguments: list[str], tmp_path: Path) -> None:
    iterates, movie = tmp_path / "i.tif", tmp_path / "i.gif"
    more = ["--iterates", str(iterates), "--animation", str(movie), "--picture", "denoised", "--sidecar"]
    assert main([*arguments, "--seed", "7", *more]) == 0
    export, result = read_export(iterates), read_export(tmp_path / "out.tif")
    assert tifffile.imread(iterates).shape == (3, 64, 64)
    assert (export.about.kind, export.about.picture, export.about.steps) == (
        "iterates",
        "denoised",
        (1, 2, 3),
    )
    assert export.about.labels[0].startswith("step 1 of 3, σ ")
    assert export.recipe == result.recipe
    assert not iterates.with_suffix(".json").exists()  # the result has the sidecar
    with PIL.Image.open(movie) as picture:
        assert picture.n_frames == 3
    again = tmp_path / "again.tif"
    assert main(["repeat", str(iterates), "--out", str(again)]) == 0
    np.testing.assert_array_equal(tifffile.imread(again), tifffile.imread(tmp_path / "out.tif"))


def test_many_iterates_are_thinned_evenly(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_MOST_PICTURES", 4)
    path = tmp_path / "i.tif"
    assert main([*arguments, "--steps", "10", "--iterates", str(path)]) == 0
    assert read_export(path).about.steps == (3, 6, 9, 10)


@pytest.mark.parametrize(
    "more", [["--animation", "a.avi"], ["--animation", "a.mp4"], ["--iterates", "a.png"]]
)
def test_what_could_not_be_written_is_said_before_the_run(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more,
) -> None:
    monkeypatch.setattr(animation, "encoder", lambda: None)
    assert main([*arguments, *more]) == 2
    said = capsys.readouterr().err
    assert "rename it" in said or "ffmpeg is not installed" in said
    assert not (tmp_path / "out.tif").exists()


def test_a_sidecar_is_checked_before_the_run(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.json").mkdir()
    assert main([*arguments, "--sidecar"]) == 2
    assert "out.json is a folder" in capsys.readouterr().err


ADAPTING = ["--adapt-set", "steps=2", "--adapt-set", "round_steps=2", "--seed", "3"]


def test_an_adapted_run_says_what_came_of_it_keeps_the_prior_and_repeats(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "mine.safetensors"
    assert main([*arguments, *ADAPTING, "--keep-prior", str(kept)]) == 0
    assert "The prior was" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["recipe"]["adaptation"]["steps"] == 2
    assert [at for at, _, _ in report["adaptation"]["curve"]] == [0, 2]
    assert main(["inspect", str(kept)]) == 0
    assert "mine" in capsys.readouterr().out
    assert main(["repeat", str(tmp_path / "out.tif")]) == 0
    assert "bit for bit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--keep-prior", "mine.safetensors"], "adapts none"),
        (
            ["--adapt", "--solver", "tv", "--set", "clip=no", "--keep-prior", "mine.safetensors"],
            "adapts none",
        ),
        (["--adapt", "--keep-prior", "mine.tif"], "rename it"),
        (["--adapt-set", "rank"], "NAME=VALUE"),
        (["--adapt-set", "colour=1"], "colour"),
    ],
)
def test_what_cannot_be_adapted_is_refused_before_the_run(
    phantom_path: Path, prior_path: Path, tmp_path: Path, options: list[str], said: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    common = [
        "reconstruct",
        str(phantom_path),
        "--prior",
        str(prior_path),
        "--device",
        "cpu",
        "--out",
        "out.tif",
    ]
    assert main([*common, *options]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_inspect_says_what_made_a_result_and_that_a_newer_version_did(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("padis_gui.core.runs.recipe.__version__", "99.2")
    assert main([*arguments, "--seed", "7"]) == 0
    monkeypatch.undo()
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "out.tif")]) == 0
    said = capsys.readouterr().out
    assert "result of phantom" in said
    assert "dds, seed 7" in said
    assert "padis_gui 99.2, which is newer than this one" in said
    assert main(["repeat", str(tmp_path / "out.tif")]) == 0
    assert "padis_gui 99.2, which is newer than this one" in capsys.readouterr().out
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((20, 20), np.float32))
    assert main(["inspect", str(tmp_path / "other.tif")]) == 2
