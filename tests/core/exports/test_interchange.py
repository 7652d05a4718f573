"""OME-Zarr and Data Exchange give back what was written: to this program, and to the libraries that others read with."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from padis_gui.core.exports.about import About, read_export, read_pages
from padis_gui.core.exports.content import MeasuredScan, RunContent
from padis_gui.core.exports.exchange import write_exchange
from padis_gui.core.exports.registry import ExportSettings, write_export
from padis_gui.core.exports.zarr_folder import export_ome_zarr
from padis_gui.core.files.formats.open import count_pages
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import remove_leftovers
from tests.core.exports.test_medical import run_of, values
from tests.core.exports.test_write import recipe

_FORM = ExportSettings()


# -- OME-Zarr ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slices", [1, 4])
def test_ome_zarr_has_every_bit_spacing_unit_window_and_recipe(tmp_path: Path, slices: int) -> None:
    path, pixels = tmp_path / "a.ome.zarr", values(slices)
    run = run_of(pixels, volume=slices > 1)
    about = About.of(run.result, "a")
    export_ome_zarr(replace(run, about=about), path, _FORM)
    assert count_pages(path) == slices
    for page in range(slices):
        found = read_image(path, page)
        assert np.array_equal(found.pixels[0].view(np.uint32), pixels[page].view(np.uint32))
        assert found.spacing == pytest.approx((0.7, 0.8))
        assert (found.unit, found.window) == ("HU", (-1000.0, 1000.0))
        assert found.slice_spacing == (pytest.approx(2.5) if slices > 1 else None)
    export = read_export(path)
    assert (export.recipe, export.file) == (recipe(), path)
    assert np.array_equal(np.concatenate(read_pages(export)[0]), pixels)


def test_ome_zarr_is_what_its_specification_says(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.ome.zarr", np.random.default_rng(1).random((3, 300, 514)).astype(np.float32)
    export_ome_zarr(run_of(pixels, volume=True), path, _FORM)
    group = zarr.open_group(path, mode="r")
    (scales,) = group.attrs["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in scales["axes"]} == {"millimeter"}
    arrays = [group[one["path"]] for one in scales["datasets"]]
    assert [array.shape for array in arrays] == [(3, 300, 514), (3, 150, 257), (3, 75, 128)]
    for coarse, fine, said, before in zip(
        arrays[1:], arrays, scales["datasets"][1:], scales["datasets"], strict=False
    ):
        rows, columns = coarse.shape[1:]
        means = (
            fine[:, : 2 * rows, : 2 * columns]
            .reshape(3, rows, 2, columns, 2)
            .mean(axis=(2, 4), dtype=np.float64)
        )
        assert np.allclose(coarse[:], means, rtol=1e-6)
        scale, place = (one[one["type"]] for one in said["coordinateTransformations"])
        finer, where = (one[one["type"]] for one in before["coordinateTransformations"])
        assert scale == [finer[0], finer[1] * 2, finer[2] * 2]
        # the middle of the first pixel is the middle of the four that it was made of
        assert place == pytest.approx([0, where[1] + finer[1] / 2, where[2] + finer[2] / 2])


def test_colours_are_channels_and_an_image_without_pitch_has_none(tmp_path: Path) -> None:
    pixels = values(3)
    export_ome_zarr(run_of(pixels, unit="", spacing=None), tmp_path / "c.ome.zarr", _FORM)
    for channel in range(3):
        found = read_image(tmp_path / "c.ome.zarr", 0, ReadingSettings(dataset=f"0/{channel}"))
        assert np.array_equal(found.pixels[0], pixels[channel])
        assert found.spacing is None


def test_a_folder_that_holds_something_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.zarr"
    path.mkdir()
    (path / "mine").write_text("x")
    with pytest.raises(InputError, match=r"is a folder|there already"):
        write_export(run_of(values(1)), path, ExportSettings(what="ome-zarr"))
    assert [file.name for file in path.iterdir()] == ["mine"]
    with pytest.raises(InputError):
        export_ome_zarr(run_of(values(1)), path, _FORM)
    assert [file.name for file in tmp_path.rglob("*")] == ["a.ome.zarr", "mine"]


def test_what_a_killed_writer_left_is_removed_with_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".a.ome.zarr.0123abcd"
    left.mkdir()
    (left / ".zgroup").write_text("{}")
    remove_leftovers(tmp_path / "a.ome.zarr")
    assert not list(tmp_path.iterdir())


# -- Data Exchange ----------------------------------------------------------------------------------------

GEOMETRIES = {
    "parallel in mm": Geometry(
        beam="parallel", angles=np.arange(40) * 4.5, bins=64, bin_width=0.7, centre=1.25, unit="mm"
    ),
    "parallel without lengths": Geometry(
        beam="parallel", angles=np.arange(40) * 4.5, arc=180.0, bins=64, centre=0.0, unit="bins"
    ),
    "turned the other way": Geometry(
        beam="parallel", angles=np.sort(np.random.default_rng(2).random(40)) * 170, turn="clockwise", start=30.0, bins=64,
        bin_width=0.5, centre=-2.0, unit="mm",
    ),
    "fan": Geometry(
        beam="fan", angles=np.arange(40) * 9.0, bins=64, bin_width=1.5, centre=0.5, source_distance=400.0,
        detector_distance=300.0, unit="mm",
    ),
    "fan without lengths": Geometry(
        beam="fan", angles=np.arange(40) * 9.0, bins=64, centre=0.0, source_distance=250.0, detector_distance=120.0,
        unit="bins",
    ),
}  # fmt: skip


def line_integrals(rows: int, geometry: Geometry) -> np.ndarray:
    """With air beside the object, whose noise a reader of counts would take for a drift, and with some below 0."""
    found = np.random.default_rng(3).normal(0, 0.02, (rows, geometry.views, geometry.bins)).astype(np.float32)
    found[:, :, 12:-12] += 5 * np.hanning(geometry.bins - 24).astype(np.float32)
    return found


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("rows", [1, 3])
def test_a_scan_is_read_back_to_the_same_measurement_and_geometry(
    tmp_path: Path, name: str, rows: int
) -> None:
    geometry = GEOMETRIES[name]
    path, scan = tmp_path / "scan.h5", MeasuredScan(values=line_integrals(rows, geometry), geometry=geometry)
    write_exchange(path, scan, recipe())
    for row in range(rows):
        image = read_image(path, row)
        measured = image.measured
        assert measured is not None
        assert image.pages == rows
        assert np.array_equal(measured.values[0].view(np.uint32), scan.values[row].view(np.uint32))
        settings = make(find_physics(measured.physics).settings_type, dict(measured.problem))
        again = settings.geometry(image.shape)
        assert again.beam == geometry.beam
        assert np.allclose(again.radians, geometry.radians, rtol=0, atol=1e-12)
        assert (again.bins, again.centre) == (geometry.bins, pytest.approx(geometry.centre, abs=1e-9))
        # lengths in pixels: of a known size, or in the proportion that they had
        unit = settings.pixel_size if geometry.unit == "mm" else geometry.bin_width / again.bin_width
        for one in ("bin_width", "source_distance", "detector_distance"):
            assert unit * getattr(again, one) == pytest.approx(getattr(geometry, one), rel=1e-12), one


def test_other_programs_take_it_for_counts(tmp_path: Path) -> None:
    """Normalised by flat and dark, the negative logarithm is the line integral; theta goes counter-clockwise."""
    geometry = GEOMETRIES["turned the other way"]
    scan = MeasuredScan(values=line_integrals(2, geometry), geometry=geometry)
    write_exchange(tmp_path / "scan.h5", scan, recipe())
    with h5py.File(tmp_path / "scan.h5") as file:
        exchange = file["exchange"]
        flat, dark = exchange["data_white"][0], exchange["data_dark"][0]
        values = -np.log((exchange["data"][:] - dark) / (flat - dark))
        assert np.allclose(values.transpose(1, 0, 2), scan.values, atol=1e-6)
        assert np.allclose(exchange["theta"][:], 30 - geometry.angles)
        assert Recipe.model_validate(json.loads(file["process/padis_gui/recipe"][()])) == recipe()


def test_a_geometry_that_was_changed_badly_is_a_sentence(tmp_path: Path) -> None:
    geometry = GEOMETRIES["fan"]
    write_exchange(
        tmp_path / "scan.h5", MeasuredScan(values=line_integrals(1, geometry), geometry=geometry), recipe()
    )
    with h5py.File(tmp_path / "scan.h5", "r+") as file:
        text = file["process/padis_gui/geometry"][()].replace(b'"fan"', b'"cone"')
        del file["process/padis_gui/geometry"]
        file["process/padis_gui/geometry"] = np.bytes_(text)
    with pytest.raises(InputError, match="export the scan again"):
        read_image(tmp_path / "scan.h5")


def test_a_cone_beam_is_no_scan_of_slices(tmp_path: Path) -> None:
    geometry = replace(GEOMETRIES["fan"], beam="cone")
    scan = MeasuredScan(values=line_integrals(2, geometry), geometry=geometry)
    with pytest.raises(InputError, match="measured together"):
        write_exchange(tmp_path / "scan.h5", scan, recipe())
    assert not (tmp_path / "scan.h5").exists()


def test_a_run_without_a_scan_says_so(tmp_path: Path) -> None:
    run: RunContent = run_of(values(1))
    with pytest.raises(InputError, match="sinogram of a scan"):
        write_export(run, tmp_path / "a.h5", ExportSettings(what="data-exchange"))
