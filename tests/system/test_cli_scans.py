"""`padis-gui reconstruct` and `padis-gui geometry` on real measurements: no truth, the file's own geometry."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

import padis_gui as pg
from padis_gui.cli.main import main
from padis_gui.core.exports.about import read_recipe
from padis_gui.core.files.read import read_image
from padis_gui.core.files.scans.geometry_file import ScanGeometry
from padis_gui.core.images.corrections import CorrectionSettings
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.runs.recipe import DataReference
from padis_gui.core.solvers.diffusion.admm import FastSettings
from tests.scan_files import counts_of, fan, parallel, write_exchange, write_htc

SOLVER = [
    "--solver",
    "dds",
    "--steps",
    "3",
    "--set",
    "cg-steps=3",
    "--precision",
    "float32",
    "--device",
    "cpu",
    "--seed",
    "1",
]


def reconstruct(path: Path, prior: Path, *options: str, out: str = "out.tif") -> tuple[int, Path]:
    result = path.parent / out
    report = str(result.with_suffix(".json"))
    given = ["--prior", str(prior), "--out", str(result), "--report", report, *SOLVER, *options]
    return main(["reconstruct", str(path), *given]), result


def test_a_fan_beam_scan(tmp_path: Path, prior_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_htc(tmp_path / "scan.mat", fan())
    code, out = reconstruct(path, prior_path, "--image-size", "64", "--take-views", "30", "--centre", "0.25")
    assert code == 0
    said = capsys.readouterr().out
    assert "residual" in said
    assert "PSNR" not in said
    assert "30 of 120 views are taken." in said
    recipe, metrics = read_recipe(out)
    assert (recipe.physics, recipe.problem["centre"], recipe.problem["source_distance"]) == (
        "ct-fan",
        0.25,
        120.0,
    )
    assert recipe.data is not None
    assert (recipe.data.reading.take_views, recipe.data.reading.image_size, recipe.data.unit) == (
        30,
        64,
        "1/mm",
    )
    assert set(metrics) == {"residual", "residual_baseline"}
    assert metrics["residual"] < metrics["residual_baseline"]
    report = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert report["residual"] == metrics["residual"]
    assert tifffile.imread(out).shape == (64, 64)
    assert 0.005 < float(tifffile.imread(out).max()) < 0.05  # in 1/mm


def test_of_what_presets_set_a_scan_has_what_holds_on_scans(tmp_path: Path, prior_path: Path) -> None:
    """Simulated data are exact, and bear other steps than measured ones: those of a fan beam were measured to hold."""
    smaller = ("--solver", "fast", "--image-size", "48", "--take-views", "30")
    plain = FastSettings(steps=3, cg_steps=3)
    for path, preset, wanted in (
        (
            write_htc(tmp_path / "scan.mat", fan()),
            "ct-20",
            plain.model_copy(update={"sigma_max": 2.0, "zeta": 1.15}),
        ),
        (write_exchange(tmp_path / "scan.h5", parallel()), "ct-8", plain),
    ):
        code, out = reconstruct(path, prior_path, "--preset", preset, *smaller, out=f"{preset}.tif")
        assert code == 0
        assert read_recipe(out)[0].settings == wanted.model_dump(mode="json")


def test_a_detector_row_of_a_stack(tmp_path: Path, prior_path: Path) -> None:
    path = write_exchange(tmp_path / "scan.h5", parallel())
    whole, thin = (
        tifffile.imread(
            reconstruct(path, prior_path, "--image-size", "48", "--page", page, out=f"{page}.tif")[1]
        )
        for page in "02"
    )
    assert thin.mean() == pytest.approx(whole.mean() / 3, rel=0.1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--views", "10"], "--take-views"),
        (["--arc", "90"], "--angle-to"),
        (["--bins", "64"], "--binning"),
        (["--physics", "deblur"], "physics of scans"),
        (["--kernel", "motion"], "--kernel"),
        (["--take-views", "1000"], "1000 views"),
        (["--image-size", "4"], "16 to 8192"),
        (["--role", "truth"], "automatic"),
        (["--page", "1"], "rows 0 to 0"),
    ],
)
def test_what_does_not_fit_a_scan(
    tmp_path: Path, prior_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], reason: str
) -> None:
    code, out = reconstruct(write_htc(tmp_path / "scan.mat", fan()), prior_path, *options)
    errors = capsys.readouterr().err.strip().splitlines()
    assert (code, len(errors)) == (2, 1)
    assert reason in errors[0]
    assert not out.exists()


@pytest.mark.parametrize(
    ("preset", "sides"), [("sr2", (48, 64)), ("deblur", (24, 32)), ("inpaint", (24, 32))]
)
def test_a_degraded_picture(
    tmp_path: Path, prior_path: Path, capsys: pytest.CaptureFixture[str], preset: str, sides: tuple[int, int]
) -> None:
    path = tmp_path / "small.png"
    Picture.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32), dtype=np.uint8)).save(path)
    if preset == "inpaint":
        Picture.fromarray(np.eye(24, 32, dtype=np.uint8) * 255).save(tmp_path / "mask.png")
    mask = ["--mask", "file", "--mask-file", str(tmp_path / "mask.png")] if preset == "inpaint" else []
    code, out = reconstruct(path, prior_path, "--role", "measurement", "--preset", preset, *mask)
    assert code == 0
    assert tifffile.imread(out).shape == sides
    said = capsys.readouterr().out
    assert "no truth" in said
    assert "PSNR" not in said


def test_geometry_says_what_a_scan_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["geometry", str(write_htc(tmp_path / "scan.mat", fan())), "--binning", "2"]) == 0
    said = capsys.readouterr().out
    for expected in (
        "fan beam",
        "Source distance: 120 mm",
        "Bin width: 2.4 mm",
        "Angles: 120",
        "1/mm",
        "axis of rotation",
    ):
        assert expected in said


def test_geometry_prints_what_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["geometry", "--schema"]) == 0
    assert set(json.loads(capsys.readouterr().out)["properties"]) == set(ScanGeometry.model_fields)
    for beam in ("parallel", "fan"):
        assert main(["geometry", "--example", beam]) == 0
        assert ScanGeometry.model_validate_json(capsys.readouterr().out).beam == beam
    np.save(tmp_path / "a.npy", np.zeros((32, 32), np.float32))
    for wrong in (
        [],
        ["--schema", "--example", "fan"],
        [str(tmp_path / "a.npy")],
        [str(tmp_path / "none.h5")],
    ):
        assert main(["geometry", *wrong]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_an_experiment_wants_truths(
    tmp_path: Path, prior_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_htc(tmp_path / "scan.mat", fan())
    given = ["--prior", str(prior_path), "--preset", "ct-20", "--out", str(tmp_path / "results.jsonl")]
    assert main(["experiment", str(path), *given]) == 2
    assert "truth" in capsys.readouterr().err


def test_corrections_are_proposed_given_and_repeated(
    tmp_path: Path, prior_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Command line, recipe and Python read the same sinogram; what is proposed is an option as it is typed."""
    truth = parallel(views=60)
    counts = counts_of(truth)
    counts[5:50:9, 0, 10:90:8] *= 1.5
    path = write_exchange(tmp_path / "scan.h5", truth, rows=1, data=counts)
    assert main(["geometry", str(path)]) == 0
    proposed = [line.split() for line in capsys.readouterr().out.splitlines() if "Proposed:" in line]
    assert [line[1:3] for line in proposed] == [["--zingers", "True"]]
    given = [
        "--image-size",
        "32",
        *proposed[0][1:3],
        "--rings",
        "profile",
        "--ring-width",
        "2",
        "--crop-bins",
        "2,3",
    ]
    code, out = reconstruct(path, prior_path, *given)
    said = capsys.readouterr().out
    assert code == 0
    assert "replaced by the median around" in said
    assert "Proposed" not in said
    recipe, _ = read_recipe(out)
    assert recipe.data is not None
    reading = recipe.data.reading
    assert (reading.zingers, reading.rings, reading.ring_width, reading.crop_bins) == (
        True,
        "profile",
        2,
        (2, 3),
    )
    assert reading.bad_bins is False
    in_python = pg.scan(path, image_size=32, zingers=True, rings="profile", ring_width=2, crop_bins=(2, 3))
    opened = read_image(path, 0, reading)
    assert opened.measured is not None
    assert opened.measured.values.shape[-1] == truth.sinogram.shape[1] - 5
    assert in_python is not None
    assert main(["repeat", str(out), "--out", str(tmp_path / "again.tif")]) == 0
    assert "bit for bit" in capsys.readouterr().out
    report = json.loads(out.with_suffix(".json").read_text())
    old = report["recipe"]["data"]["reading"]
    for name in CorrectionSettings.model_fields:
        del old[name]  # as an earlier version wrote it
    assert DataReference.model_validate(report["recipe"]["data"]).reading == ReadingSettings(image_size=32)
