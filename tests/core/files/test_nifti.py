"""NIfTI and Analyze in the plane that they were acquired in, in mm, and in colour; integers that float32 does not hold."""

import gzip
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import tifffile

from padis_gui.core.files.formats.open import count_pages, list_datasets, open_pages
from padis_gui.core.files.formats.recognise import recognise_file
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.settings.errors import InputError
from tests.fuzzing import check_sentence

RNG = np.random.default_rng(0)
PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}  # the anatomical axis that its pages lie along
PITCH = (0.8, 0.9, 1.1)


def body(length: int = 20) -> np.ndarray:
    """A volume along right, front and top (RAS), of sides near ``length``, every voxel of another value."""
    return (
        RNG.permutation(length * (length + 4) * (length + 8))
        .reshape(length, length + 4, length + 8)
        .astype(np.int32)
    )


def stored(
    path: Path, ras: np.ndarray, order: tuple[int, int, int], flips: tuple[bool, bool, bool], pitch=PITCH
) -> Path:
    """The same volume with its axes in another order, some of them the other way round, and the affine that says so."""
    array, affine = ras, np.diag([*pitch, 1.0])
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, axis)
            affine[axis, axis], affine[axis, 3] = -pitch[axis], pitch[axis] * (ras.shape[axis] - 1)
    affine = affine[:, [*order, 3]]
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(order)), affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path


def opened(path: Path, page: int = 0, plane: str = "") -> Image:
    return read_image(path, page, ReadingSettings(dataset=plane))


def refused(path: Path, plane: str = "") -> str:
    with pytest.raises(InputError) as caught:
        opened(path, 0, plane)
    check_sentence(str(caught.value))
    return str(caught.value)


def expected(ras: np.ndarray, plane: str, page: int) -> np.ndarray:
    """As DICOM lays it out: rows to the back or down, columns to the left or the back, pages along their cross product."""
    left, front, top = (slice(None, None, -1),) * 3
    if plane == "axial":
        return ras[left, front, page].T
    if plane == "coronal":
        return ras[left, ras.shape[1] - 1 - page, top].T
    return ras[page, front, top].T


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0), (0, 2, 1)])
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, False), (False, True, True)])
def test_any_plane_of_any_storage(
    tmp_path: Path, plane: str, order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    ras = body()
    path = stored(tmp_path / "a.nii", ras, order, flips)
    axis = PLANES[plane]
    assert count_pages(path, plane) == ras.shape[axis]
    rows, columns = {"axial": (1, 0), "coronal": (2, 0), "sagittal": (2, 1)}[plane]
    for page in (0, 5, ras.shape[axis] - 1):
        image = opened(path, page, plane)
        np.testing.assert_array_equal(image.pixels[0], expected(ras, plane, page))
        assert image.spacing == pytest.approx((PITCH[rows], PITCH[columns]))
        assert image.slice_spacing == pytest.approx(PITCH[axis])
        assert image.notes == ()
    np.testing.assert_array_equal(opened(path, 3).pixels[0], expected(ras, "axial", 3))  # alike all ways


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("few", [True, False], ids=["few slices", "many slices"])
def test_the_plane_of_acquisition(tmp_path: Path, plane: str, few: bool) -> None:
    """Slices are far apart, or too few to be a side of a picture."""
    axis = PLANES[plane]
    pitch = [0.7, 0.7, 0.7]
    pitch[axis] = 0.7 if few else 4.0
    ras = np.take(body(24), range(8 if few else 20), axis)
    path = stored(tmp_path / "a.nii", ras, (0, 1, 2), (False,) * 3, tuple(pitch))
    assert count_pages(path) == ras.shape[axis]
    image = opened(path, 2)
    np.testing.assert_array_equal(image.pixels[0], expected(ras, plane, 2))
    assert image.slice_spacing == pytest.approx(pitch[axis])
    assert image.spacing == pytest.approx((0.7, 0.7))
    assert [plane in note for note in image.notes] == ([] if plane == "axial" else [True])
    with open_pages(path) as pages:
        assert pages.sides(0) == image.shape
        part = pages.read(2, (slice(2, 9), slice(3, 11)))
    np.testing.assert_array_equal(part.pixels[0], expected(ras, plane, 2)[2:9, 3:11])


def test_the_header_tells_slices_where_lengths_do_not(tmp_path: Path) -> None:
    ras = body(24)[:, :8, :12]  # no plane of it is 16 wide and high
    path = stored(tmp_path / "a.nii", ras, (0, 1, 2), (False,) * 3, (1.0, 1.0, 1.0))
    refused(path)
    thin = body(24)[:10]
    path = stored(tmp_path / "b.nii", thin, (0, 1, 2), (False,) * 3, (1.0, 1.0, 1.0))
    image = nibabel.load(path)
    image.header.set_dim_info(slice=0)
    nibabel.Nifti1Image(thin, image.affine, image.header).to_filename(path)
    np.testing.assert_array_equal(opened(path, 4).pixels[0], expected(thin, "sagittal", 4))


def test_the_planes_are_listed_and_others_refused(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nii", body(), (2, 0, 1), (True, False, True))
    listed = [(found.name, found.count, found.shape[1:]) for found in list_datasets(path)]
    assert listed == [("axial", 28, (24, 20)), ("coronal", 24, (28, 20)), ("sagittal", 20, (28, 24))]
    assert "axial, coronal and sagittal" in refused(path, "oblique")
    flat = tmp_path / "flat.nii"
    nibabel.Nifti1Image(body()[:, :, 0], np.eye(4)).to_filename(flat)
    assert list_datasets(flat) == ()


def test_several_volumes_in_a_plane(tmp_path: Path) -> None:
    ras = np.stack([body(), body()], axis=-1)
    image = nibabel.Nifti1Image(ras, np.eye(4))
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "a.nii")
    assert count_pages(tmp_path / "a.nii", "coronal") == 48
    np.testing.assert_array_equal(
        opened(tmp_path / "a.nii", 24 + 7, "coronal").pixels[0], expected(ras[..., 1], "coronal", 7)
    )


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_unit_that_is_not_stated_is_mm_and_said(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    nibabel.save(nibabel.Nifti1Image(np.zeros((40, 32, 4), np.int16), np.diag([0.8, 0.9, 2.5, 1])), path)
    image = read_image(path)
    assert image.spacing == pytest.approx((0.9, 0.8))
    assert image.slice_spacing == pytest.approx(2.5)
    assert "does not state its unit of length" in image.notes[0]
    for unit, millimetres in (("mm", 1.0), ("micron", 1e-3), ("meter", 1e3)):
        stated = nibabel.Nifti1Image(np.zeros((40, 32, 4), np.int16), np.diag([0.8, 0.9, 2.5, 1]))
        stated.header.set_xyzt_units(unit)
        nibabel.save(stated, path)
        image = read_image(path)
        assert image.spacing == pytest.approx((0.9 * millimetres, 0.8 * millimetres))
        assert image.notes == ()


@pytest.mark.parametrize("names", ["RGB", "RGBA"])
def test_colours(tmp_path: Path, names: str) -> None:
    colours = RNG.integers(0, 256, (20, 24, 3, len(names)), dtype=np.uint8)
    records = colours.view([(name, "u1") for name in names])[..., 0]
    image = nibabel.Nifti1Image(records, np.diag([-1.0, -1.0, 1.0, 1.0]))
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii", 2)
    np.testing.assert_array_equal(image.pixels, np.moveaxis(colours[:, :, 2, :3].swapaxes(0, 1), 2, 0))
    assert image.window == (0.0, 255.0)


@pytest.mark.parametrize(
    "kind", ["Nifti1Pair", "Nifti2Pair", "AnalyzeImage", "Spm99AnalyzeImage", "Spm2AnalyzeImage"]
)
@pytest.mark.parametrize("upper", [False, True])
def test_a_header_beside_its_image(tmp_path: Path, kind: str, upper: bool) -> None:
    volume = RNG.integers(0, 3000, (20, 24, 5)).astype(np.int16)
    getattr(nibabel, kind)(volume, np.diag([-0.8, 0.9, 2.5, 1])).to_filename(tmp_path / "a.img")
    (tmp_path / "a.mat").unlink(missing_ok=True)  # SPM's affine, which is not read
    if upper:
        for ending in ("hdr", "img"):
            (tmp_path / f"a.{ending}").rename(tmp_path / f"A.{ending.upper()}")
    paths = [tmp_path / ("A.HDR" if upper else "a.hdr"), tmp_path / ("A.IMG" if upper else "a.img")]
    wanted = nibabel.as_closest_canonical(nibabel.load(paths[1])).get_fdata()
    for path in paths:
        assert recognise_file(path).kind == "NIfTI file"
        image = read_image(path, 3)
        np.testing.assert_array_equal(image.pixels[0], wanted[::-1, ::-1, 3].T)
        assert image.pages == 5
        assert image.spacing == pytest.approx((0.9, 0.8))
        assert len(image.notes) == ("Nifti" in kind)  # Analyze has no other unit than mm
    assert count_pages(tmp_path) == 5  # the header is no image of its own
    paths[0].unlink()
    assert paths[0].name in refused(paths[1])
    paths[1].write_bytes(b"words " * 100)
    refused(paths[1])


def test_numbers_of_a_kind_that_is_not_read_are_named(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nii", body(), (0, 1, 2), (False,) * 3)
    data = bytearray(path.read_bytes())
    for code in (1, 4711):  # single bits, and nothing
        data[70:72] = code.to_bytes(2, "little")
        path.write_bytes(data)
        message = refused(path)
        assert str(code) in message
        assert "damaged" not in message
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(data)))
    assert "4711" in refused(tmp_path / "b.nii.gz")


# -- integers beyond float32 ------------------------------------------------------------------------------

BEYOND = 2**24


def written(path: Path, values: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, images=values)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["images"] = values
    elif path.suffix == ".tif":
        tifffile.imwrite(path, values, photometric="minisblack")
    else:
        image = nibabel.Nifti1Image(values.T, np.diag([-1.0, -1, 1, 1]), dtype=values.dtype)
        image.header.set_xyzt_units("mm")
        image.to_filename(path)
    return path


KINDS = ["npy", "npz", "h5", "tif", "nii"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("type_", "lowest"), [("i4", -(2**31)), ("u4", 2**31), ("i8", 2**40), ("u8", 2**63)])
def test_an_offset_keeps_integers_exact(tmp_path: Path, kind: str, type_: str, lowest: int) -> None:
    steps = RNG.integers(0, BEYOND, (20, 31))
    steps[0, 0] = 0
    path = written(tmp_path / f"a.{kind}", (np.array(lowest, type_) + steps.astype(type_)))
    image = read_image(path)
    found = image.pixels[0][::-1, ::-1] if kind == "nii" else image.pixels[0]
    np.testing.assert_array_equal(found, steps)
    (note,) = image.notes
    assert f"; {lowest} is taken off" in note
    with open_pages(path) as pages:
        part = pages.read(0, (slice(4, 9), slice(2, 8)))
    np.testing.assert_array_equal(part.pixels[0], image.pixels[0, 4:9, 2:8])


@pytest.mark.parametrize("kind", KINDS)
def test_integers_that_are_rounded_are_said(tmp_path: Path, kind: str) -> None:
    """In a stack every page would have another offset."""
    values = (BEYOND + RNG.integers(0, 2000, (3, 20, 31))).astype(np.int32)
    values[:, 0, 0] = BEYOND + 7001
    image = read_image(written(tmp_path / f"a.{kind}", values), 1)
    assert "multiples of 2." in image.notes[0]
    wide = np.array([[0, 2**30 + 1] * 16] * 20, np.int32)
    assert "multiples of 128." in read_image(written(tmp_path / f"b.{kind}", wide)).notes[0]
    held = np.array([[-BEYOND, BEYOND] * 16] * 20, np.int32)
    assert read_image(written(tmp_path / f"c.{kind}", held)).notes == ()
