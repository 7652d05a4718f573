"""NIfTI and DICOM give back what was written, to this program and to the libraries of the field."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from padis_gui.core.exports.about import About
from padis_gui.core.exports.content import RunContent
from padis_gui.core.exports.medical import export_dicom, export_nifti
from padis_gui.core.exports.registry import ExportSettings, write_export
from padis_gui.core.files.formats.open import count_pages
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import InputError
from tests.core.exports.test_write import recipe

_FORM = ExportSettings()


def run_of(pixels: np.ndarray, *, unit: str = "HU", volume: bool = False, spacing=(0.7, 0.8)) -> RunContent:
    """A run that came to these pixels (C, rows, columns)."""
    image = Image(
        pixels=pixels, unit=unit, window=(-1000.0, 1000.0), spacing=spacing, name="slice",
        slices=tuple(range(len(pixels))) if volume else (), slice_spacing=2.5 if volume else None,
    )  # fmt: skip
    return RunContent(
        name="r", title="r", result=Result(recipe=recipe(), image=image), about=About(unit=unit)
    )


def values(slices: int, high: float = 1500.0) -> np.ndarray:
    """No two alike, so that no axis can be taken for another."""
    return (np.random.default_rng(slices).random((slices, 21, 34)) * (high + 1000) - 1000).astype(np.float32)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("slices", [1, 5])
def test_nifti_has_every_bit_the_spacing_and_the_recipe(tmp_path: Path, slices: int, ending: str) -> None:
    path, pixels = tmp_path / f"a{ending}", values(slices)
    export_nifti(run_of(pixels, volume=slices > 1), path, _FORM)
    assert count_pages(path) == slices
    for page in range(slices):
        found = read_image(path, page)
        assert np.array_equal(found.pixels[0].view(np.uint32), pixels[page].view(np.uint32))
        assert found.spacing == pytest.approx((0.7, 0.8))
    theirs = nibabel.load(path)
    assert nibabel.aff2axcodes(theirs.affine) == ("L", "P", "S")
    if slices > 1:
        assert theirs.header.get_zooms() == pytest.approx((0.8, 0.7, 2.5))
        assert read_image(path).slice_spacing == pytest.approx(2.5)
    (extension,) = theirs.header.extensions
    assert Recipe.model_validate(json.loads(extension.text.rstrip("\0"))) == recipe()


def test_nifti_is_the_same_file_each_time(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        export_nifti(run_of(values(1)), tmp_path / name, _FORM)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@given(
    unit=st.sampled_from(["HU", "1/mm", "", "relative"]),
    low=st.floats(-40_000, 40_000, width=32), extent=st.floats(0, 80_000, width=32),
)  # fmt: skip
@settings(max_examples=40)
def test_dicom_gives_back_the_original_intensities(
    tmp_path_factory, unit: str, low: float, extent: float
) -> None:
    path = tmp_path_factory.mktemp("dicom") / "a.dcm"
    pixels = np.linspace(low, low + extent, 21 * 34, dtype=np.float32).reshape(1, 21, 34)
    said = export_dicom(run_of(pixels, unit=unit), path, _FORM)
    found = read_image(path)
    whole = unit == "HU" and low >= -32768 and float(pixels.max()) <= 32767
    step = 1.0 if whole else max(float(np.ptp(pixels)) / 65535, 1e-9)
    assert np.abs(found.pixels.astype(np.float64) - pixels).max() <= 0.51 * step + 2e-6 * np.abs(pixels).max()
    assert ("whole HU" in said) == whole
    tifffile.imwrite(path.with_suffix(".tif"), found.pixels[0])
    assert found.unit == (unit or read_image(path.with_suffix(".tif")).unit)  # without one, as of any file
    assert found.spacing == pytest.approx((0.7, 0.8))


def test_a_slice_is_valid_dicom_with_the_recipe_and_without_a_patient(tmp_path: Path) -> None:
    export_dicom(run_of(values(1)), tmp_path / "a.dcm", _FORM)
    found = pydicom.dcmread(tmp_path / "a.dcm")
    assert found.SOPClassUID.name == "CT Image Storage"
    assert found.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert str(found.PatientName) == ""
    assert Recipe.model_validate(json.loads(found.private_block(0x0099, "padis-gui")[1].value)) == recipe()
    other = run_of(values(2)[1:])
    export_dicom(other, tmp_path / "b.dcm", _FORM)
    assert pydicom.dcmread(tmp_path / "b.dcm").SOPInstanceUID != found.SOPInstanceUID


def test_a_volume_is_a_series_in_its_order(tmp_path: Path) -> None:
    pixels = values(5)
    said = write_export(run_of(pixels, volume=True), tmp_path / "body.dcm", ExportSettings(what="dicom"))
    assert "5 DICOM files in the folder body" in said
    assert count_pages(tmp_path / "body") == 5
    for page in range(5):
        found = read_image(tmp_path / "body", page)
        assert np.abs(found.pixels[0] - pixels[page]).max() <= 0.5
        assert found.slice_spacing == pytest.approx(2.5)
    files = [pydicom.dcmread(path) for path in (tmp_path / "body").iterdir()]
    assert len({f.SOPInstanceUID for f in files}) == 5
    assert len({(f.SeriesInstanceUID, f.StudyInstanceUID, f.FrameOfReferenceUID) for f in files}) == 1
    with pytest.raises(InputError, match="empty folder"):
        export_dicom(run_of(pixels, volume=True), tmp_path / "body.dcm", _FORM)


@pytest.mark.parametrize("export", [export_nifti, export_dicom])
def test_colours_and_places_that_cannot_be_written_are_a_sentence(tmp_path: Path, export) -> None:
    with pytest.raises(InputError, match="grey image"):
        export(run_of(values(3), unit=""), tmp_path / "a", _FORM)
    with pytest.raises(InputError):
        export(run_of(values(1)), tmp_path / "none" / "a", _FORM)
    with pytest.raises(InputError):
        export(run_of(values(2), volume=True), tmp_path / "none" / "a", _FORM)


@pytest.mark.parametrize("export", [export_nifti, export_dicom])
def test_an_image_without_pitch_has_none_afterwards(tmp_path: Path, export) -> None:
    path = tmp_path / ("a.nii" if export is export_nifti else "a.dcm")
    run = run_of(values(1), spacing=None)
    export(replace(run, about=About(unit="HU")), path, _FORM)
    found = read_image(path)
    if export is export_dicom:
        assert found.spacing is None
    else:  # NIfTI has no voxel without a size: the unit is unknown, which is said
        assert any("unit of length" in note for note in found.notes)
