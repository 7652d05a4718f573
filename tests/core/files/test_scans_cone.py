"""Cone-beam scans as volumes: from every layout that has one, everything is where it was, and runs repeat."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from padis_gui.core.files.read import read_cone_volume, read_image
from padis_gui.core.files.scans.geometry_file import FORMAT, ScanGeometry, as_json, examples
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.physics.cone import ConeBeamSettings
from padis_gui.core.physics.problem import scan_settings
from padis_gui.core.settings.errors import InputError, PadisError
from tests.core.physics.test_cone import Ellipsoid, integrals
from tests.scan_files import fan
from tests.scanner_files import write_nikon, write_skyscan

SOURCE, BEHIND, PIXEL, BINS, ROWS, VIEWS = 100.0, 150.0, 0.5, 96, 56, 90  # mm; as in the laboratory files
WHITE = 50_000.0
# in mm: three balls, of which no turned or mirrored ones lie so
BALLS: list[Ellipsoid] = [
    ((5.0, 2.0, 1.5), (1.5, 1.5, 1.5), 0.04),
    ((-1.0, 6.0, -2.5), (1.2, 1.2, 1.2), 0.06),
    ((-3.0, -4.0, 0.5), (1.4, 1.4, 1.4), 0.05),
]
STATED: dict[str, Any] = {
    "format": FORMAT, "beam": "cone", "axes": "views, rows, bins", "arc": 360, "bin_width": PIXEL,
    "source_distance": SOURCE, "detector_distance": BEHIND,
}  # fmt: skip


def projections(**options: Any) -> np.ndarray:
    """Line integrals (rows, views, bins), lengths in mm."""
    of = ConeBeamSettings(**{
        "views": VIEWS, "bins": BINS, "bin_width": PIXEL, "detector_rows": ROWS, "row_height": PIXEL, "pixel_size": 1.0,
        "lengths": "mm", "source_distance": SOURCE, "detector_distance": BEHIND,
    } | options)  # fmt: skip
    return integrals(of, BALLS).numpy().astype(np.float32)


def counts(found: np.ndarray) -> np.ndarray:
    """(views, rows, bins) as a detector counts them."""
    return (WHITE * np.exp(-found.transpose(1, 0, 2))).round().astype(np.uint16)


def stated(path: Path, geometry: dict[str, Any], values: np.ndarray) -> Path:
    np.save(path, values)
    path.with_suffix(".json").write_text(json.dumps(geometry), encoding="utf-8")
    return path


def read(path: Path, **reading: Any) -> Image:
    return read_cone_volume(path, ReadingSettings(**{"image_size": 72} | reading))


def check_balls(image: Image) -> None:
    """Each where it was, to a quarter of a voxel, as dense as it was."""
    assert (image.unit, image.is_volume, image.is_scan) == ("1/mm", True, True)
    assert image.spacing is not None
    pixel = image.spacing[1]
    assert image.slice_spacing == pytest.approx(pixel)
    z, y, x = np.meshgrid(*((np.arange(n) - (n - 1) / 2) * pixel for n in image.pixels.shape), indexing="ij")
    y, z = -y, -z
    for middle, (radius, _, _), attenuation in BALLS:
        away = np.sqrt((x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (z - middle[2]) ** 2)
        weights = np.where(away < 1.7 * radius, image.pixels - 0.2 * attenuation, 0).clip(0)
        seen = [float((weights * at).sum() / weights.sum()) for at in (x, y, z)]
        assert np.abs(np.subtract(seen, middle)).max() < 0.25 * pixel
        assert image.pixels[away < 0.5 * radius].mean() == pytest.approx(attenuation, rel=0.08)


def test_a_stack_with_its_geometry_is_a_volume(tmp_path: Path) -> None:
    """All rows are one measurement, whose geometry is that of the file; the image alone is the central slice."""
    values = projections()
    image = read(stated(tmp_path / "scan.npy", STATED, values.transpose(1, 0, 2)))
    check_balls(image)
    measured = image.measured
    assert measured is not None
    assert measured.physics == "ct-cone"
    assert np.array_equal(measured.values, values)
    settings = scan_settings(measured)
    assert isinstance(settings, ConeBeamSettings)
    assert settings.geometry(image.pixels.shape).rows == ROWS
    assert (settings.voxel_height, settings.lengths) == (image.slice_spacing, "mm")
    one = read_image(tmp_path / "scan.npy", 0, ReadingSettings(image_size=72))
    assert one.measured is not None
    assert (one.measured.physics, one.pages) == ("ct-fan", 1)
    assert any("ct-cone" in note for note in one.measured.notes)


OTHERWISE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "rows first": ({}, {"axes": "rows, views, bins"}),
    "cm": ({}, {"length_unit": "cm", "bin_width": PIXEL / 10, "source_distance": 10.0, "detector_distance": 15.0}),
    "row height": ({"row_height": 0.6}, {"row_height": 0.6}),
    "centre column": ({"centre": 4.5}, {"centre_column": (BINS - 1) / 2 + 4.5}),
    "centre row": ({"centre_row": -5.0}, {"centre_row": (ROWS - 1) / 2 - 5}),
    "tilt": ({"detector_tilt": 4.0}, {"tilt": 4.0}),
    "axis offset": ({"axis_offset": 1.5}, {"axis_offset": 1.5}),
    "clockwise": ({"turn": "clockwise", "start": 25.0}, {"turn": "clockwise", "start": 25.0}),
    "short scan": ({"arc": 230.0}, {"arc": 230.0}),
}  # fmt: skip


@pytest.mark.parametrize(("way", "says"), OTHERWISE.values(), ids=OTHERWISE.keys())
def test_what_the_geometry_says_is_followed(
    tmp_path: Path, way: dict[str, Any], says: dict[str, Any]
) -> None:
    values = projections(**way)
    if "axes" not in says:
        values = values.transpose(1, 0, 2)
    check_balls(
        read(stated(tmp_path / "scan.npy", STATED | {"centre_column": (BINS - 1) / 2} | says, values))
    )


def test_bins_from_right_to_left(tmp_path: Path) -> None:
    values = projections(centre=3.0).transpose(1, 0, 2)[..., ::-1]
    says = STATED | {"bin_order": "right to left", "centre_column": (BINS - 1) / 2 - 3.0}
    check_balls(read(stated(tmp_path / "scan.npy", says, np.ascontiguousarray(values))))


def test_binning_and_fewer_views(tmp_path: Path) -> None:
    path = stated(
        tmp_path / "scan.npy", STATED | {"centre_row": 29.5}, projections(centre_row=2.0).transpose(1, 0, 2)
    )
    image = read(path, binning=2, take_views=45)
    check_balls(image)
    assert image.measured is not None
    assert image.measured.values.shape == (ROWS // 2, 45, BINS // 2)


def test_nikon(tmp_path: Path) -> None:
    """Bins from right to left, the first row above, half a turn on; rows of another height than the bins are wide."""
    found = projections(start=-180.0, row_height=0.4)[..., ::-1]
    image = read(write_nikon(tmp_path, counts(found), DetectorPixelSizeY=0.4, ObjectOffsetX=1e-9))
    check_balls(image)


def test_skyscan(tmp_path: Path) -> None:
    """The optical axis counts its lines from below."""
    found = projections(start=180.0, turn="clockwise", centre_row=3.0)[..., ::-1]
    line = ROWS - 1 - ((ROWS - 1) / 2 + 3.0)
    check_balls(read(write_skyscan(tmp_path, counts(found), **{"Optical Axis (line)": line})))


def test_a_run_on_a_scan_repeats(
    tmp_path: Path, prior_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from padis_gui.cli.main import main

    path = stated(tmp_path / "scan.npy", STATED, projections().transpose(1, 0, 2))
    out = tmp_path / "out.tif"
    wanted = ["volume", str(path), "--physics", "ct-cone", "--image-size", "32", "--take-views", "12", "--prior",
              str(prior_path), "--device", "cpu", "--solver", "sirt", "--set", "steps=3", "--threads", "1"]  # fmt: skip
    assert main([*wanted, "--out", str(out)]) == 0
    slices = len(tifffile.imread(out))
    assert slices > 10
    assert f"{slices} slices in one run, residual" in capsys.readouterr().out
    assert main(["repeat", str(out), "--out", str(tmp_path / "again.tif")]) == 0
    assert "bit for bit" in capsys.readouterr().out
    assert main([*wanted, "--pages", "0-3", "--out", str(tmp_path / "some.tif")]) == 2
    assert "All slices of a cone-beam scan were wanted" in capsys.readouterr().err


def test_the_example_is_a_geometry() -> None:
    again = ScanGeometry.model_validate_json(as_json(examples()["cone"]))
    assert (again.beam, again.centre_row) == ("cone", 255.5)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no distances": ({k: v for k, v in STATED.items() if k != "source_distance"}, "a cone beam wants source_distance"),
    "of a fan": (STATED | {"beam": "fan", "tilt": 3.0}, "are those of a cone beam"),
    "a tilt": (STATED | {"tilt": 80.0}, "tilt is 80"),
    "an offset": (STATED | {"axis_offset": 300.0}, "axis_offset below the source_distance"),
    "a row off": (STATED | {"centre_row": 99.0}, "has it at row 99"),
    "a beam off": (STATED | {"row_height": 1e-9}, "mind its units"),
}  # fmt: skip


@pytest.mark.parametrize(("geometry", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_geometry_that_cannot_be_is_refused_in_one_sentence(
    tmp_path: Path, geometry: dict[str, Any], said: str
) -> None:
    path = stated(tmp_path / "scan.npy", geometry, np.ones((20, 16, 32), np.float32))
    with pytest.raises(PadisError, match=said):
        read(path)


def test_other_scans_and_images_are_no_volumes(tmp_path: Path) -> None:
    one = {k: v for k, v in STATED.items() if k != "axes"} | {"beam": "fan"}
    path = stated(tmp_path / "fan.npy", one, fan().sinogram)
    with pytest.raises(InputError, match="is of another beam or has one row"):
        read(path)
    np.save(tmp_path / "image.npy", np.zeros((32, 32), np.float32))
    with pytest.raises(InputError, match="holds images; give its geometry in a JSON file"):
        read(tmp_path / "image.npy")


def test_what_does_not_fit_into_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stated(tmp_path / "scan.npy", STATED, projections().transpose(1, 0, 2))
    monkeypatch.setattr("padis_gui.core.files.scans.read.free_memory_mb", lambda _device: 4.0)
    with pytest.raises(InputError, match="half of the free memory"):
        read(path)
