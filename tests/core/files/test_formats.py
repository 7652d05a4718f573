"""Every format gives the pages that were written, one at a time; what is none is refused in one sentence."""

import contextlib
import gzip
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import tifffile

from padis_gui.core.files.formats.dicom_series import find_series
from padis_gui.core.files.formats.open import count_pages, open_pages
from padis_gui.core.files.formats.pages import LARGEST
from padis_gui.core.files.formats.recognise import (
    FORMATS,
    SUFFIXES,
    may_be_an_image,
    readable,
    recognise_file,
)
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import HU_WINDOW, ReadingSettings
from padis_gui.core.settings.errors import InputError
from tests.core.files.test_read import dicom

RNG = np.random.default_rng(0)
PAGES = RNG.standard_normal((5, 20, 31)).astype(np.float32)


def refused(path: Path, page: int = 0, dataset: str = "") -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(InputError) as caught:
        read_image(path, page, ReadingSettings(dataset=dataset))
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert message.endswith(".")
    return message


def hdf5(path: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return path


def mat5(path: Path, **arrays: object) -> Path:
    scipy.io.savemat(path, arrays, do_compression=True)
    return path


def element(kind: int, data: bytes, order: str) -> bytes:
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)


def matlab5(
    path: Path,
    shape: tuple[int, ...],
    stored: np.dtype,
    data: bytes | None,
    class_: int = 6,
    tag: int | None = None,
) -> Path:
    """A level 5 file with the variable `images`, as MATLAB itself stores it; without ``data`` a hole of that size.

    ``tag`` is what the file says of the type of its numbers, where that is another.
    """
    order = ">" if stored.byteorder == ">" else "<"
    kind = {"u1": 2, "i2": 3, "f8": 9}[stored.str[1:]]
    size = stored.itemsize * int(np.prod(shape))
    inside = element(6, struct.pack(order + "II", class_, 0), order)
    inside += element(5, struct.pack(f"{order}{len(shape)}i", *shape), order) + element(1, b"images", order)
    inside += struct.pack(order + "II", kind if tag is None else tag, size)
    mark = b"IM" if order == "<" else b"MI"
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(order + "H", 0x100) + mark
    with path.open("wb") as file:
        file.write(header + struct.pack(order + "II", 14, len(inside) + size) + inside)
        file.write(data or b"")
        file.truncate(len(header) + 8 + len(inside) + size)
    return path


def mat73(path: Path, **arrays: np.ndarray) -> Path:
    """As MATLAB writes v7.3: a header in the first 512 bytes, then HDF5 with every array's axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = np.ascontiguousarray(array.T)
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
        file["#refs#/a"] = np.zeros((40, 40))
    with path.open("r+b") as raw:
        raw.write(
            b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1".ljust(124) + b"\x00\x02IM"
        )
    return path


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None, unit: str = "mm") -> Path:
    image = nibabel.Nifti1Image(array, np.diag([-1.0, -1.0, 1.0, 1.0]) if affine is None else affine)
    image.header.set_xyzt_units(unit)
    image.to_filename(path)
    return path


def last(pages: np.ndarray) -> np.ndarray:
    return np.moveaxis(pages, 0, 2)


STACKS: dict[str, Callable[[Path], Path]] = {
    "npy": lambda folder: (np.save(folder / "a.npy", PAGES), folder / "a.npy")[1],
    "npz": lambda folder: npz(folder / "a.npz", images=PAGES),
    "npz, pages last": lambda folder: npz(folder / "a.npz", images=last(PAGES.transpose(0, 2, 1)[:, :20, :20])),
    "npz, Fortran": lambda folder: npz(folder / "a.npz", images=np.asfortranarray(PAGES)),
    "mat v5": lambda folder: mat5(folder / "a.mat", images=last(PAGES)),
    "mat v7.3": lambda folder: mat73(folder / "a.mat", images=last(PAGES)),
    "hdf5": lambda folder: hdf5(folder / "a.h5", entry__images=PAGES),
    "hdf5, one colour": lambda folder: hdf5(folder / "a.h5", images=PAGES[:, None]),
    "tiff": lambda folder: (tifffile.imwrite(folder / "a.tif", PAGES, photometric="minisblack"), folder / "a.tif")[1],
    "tiff of ImageJ": lambda folder: (tifffile.imwrite(folder / "a.tif", PAGES, imagej=True), folder / "a.tif")[1],
    "nifti": lambda folder: nifti(folder / "a.nii", PAGES.transpose(2, 1, 0)),
    "nifti.gz": lambda folder: nifti(folder / "a.nii.gz", PAGES.transpose(2, 1, 0)),
}  # fmt: skip


@pytest.mark.parametrize("kind", STACKS)
def test_the_pages_of_a_stack_are_those_written(tmp_path: Path, kind: str) -> None:
    path = STACKS[kind](tmp_path)
    expected = PAGES.transpose(0, 2, 1)[:, :20, :20] if kind == "npz, pages last" else PAGES
    assert count_pages(path) == 5
    with open_pages(path) as pages:
        for page in (3, 0, 4, 4, 1, 2):  # in any order
            np.testing.assert_array_equal(pages.read(page).pixels[0], expected[page])
    image = read_image(path, 4)
    np.testing.assert_array_equal(image.pixels[0], expected[4])
    assert (image.page, image.pages, image.name) == (4, 5, path.name)
    assert "pages 0 to 4" in refused(path, 5)
    assert "pages 0 to 4" in refused(path, -1)


COLOURS = RNG.integers(0, 256, (2, 20, 31, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: npz(folder / "a.npz", images=COLOURS),
        lambda folder: hdf5(folder / "a.h5", images=COLOURS),
        lambda folder: hdf5(folder / "a.h5", images=np.moveaxis(COLOURS, 3, 1)),
        lambda folder: mat5(folder / "a.mat", images=np.moveaxis(COLOURS, 0, 3)),
        lambda folder: mat73(folder / "a.mat", images=np.moveaxis(COLOURS, 0, 3)),
    ],
    ids=["npz", "hdf5", "hdf5, colours first", "mat v5", "mat v7.3"],
)
def test_stacks_in_colour(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path)
    assert count_pages(path) == 2
    image = read_image(path, 1)
    np.testing.assert_array_equal(image.pixels, np.moveaxis(COLOURS[1], 2, 0).astype(np.float32))
    assert image.window == (0.0, 255.0)


def test_endings_and_signatures() -> None:
    assert set(SUFFIXES) == {suffix for format_ in FORMATS for suffix in format_.suffixes}
    assert {".tif", ".npz", ".mat", ".h5", ".nii", ".nii.gz", ".dcm", ".png"} <= set(SUFFIXES)


def test_every_format_is_named_wherever_formats_are() -> None:
    """In messages, tooltips and help by one list; in the handbook's table a row each."""
    assert readable() == (
        "PNG, JPEG, BMP, TIFF, NPY, NPZ, MATLAB, HDF5, NIfTI, Analyze, OME-Zarr, DICOM, Zeiss TXRM, Nikon XTEKCT, "
        "SkyScan LOG or Phoenix PCA"
    )
    handbook = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    table = handbook.partition("## Images\n")[2].partition("\n\nOf any format")[0]
    for format_ in FORMATS:
        assert format_.names
        assert all(name in table for name in format_.names)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    mat73(tmp_path / "a.mat", images=last(PAGES)).rename(tmp_path / "a.png")
    hdf5(tmp_path / "b.h5", images=PAGES).rename(tmp_path / "b")
    for name in ("a.png", "b"):
        np.testing.assert_array_equal(read_image(tmp_path / name, 2).pixels[0], PAGES[2])
    slice_ = dicom(tmp_path / "c.dcm", np.zeros((20, 31), np.int16)).rename(tmp_path / "IM00017")
    assert recognise_file(slice_).kind == "DICOM file"
    assert may_be_an_image(slice_)
    assert not may_be_an_image(tmp_path / "b")  # only DICOM goes without an ending in folders


# -- which array ------------------------------------------------------------------------------------------


def several(kind: str, folder: Path) -> Path:
    arrays = {"one": PAGES, "two": PAGES * 2, "angles": np.arange(7.0)}
    if kind == "npz":
        return npz(folder / "a.npz", **arrays)
    if kind == "hdf5":
        return hdf5(folder / "a.h5", entry__one=PAGES, entry__two=PAGES * 2, angles=np.arange(7.0))
    matlab = {"one": last(PAGES), "two": last(PAGES) * 2, "angles": np.arange(7.0)[None]}
    return (mat5 if kind == "mat5" else mat73)(folder / "a.mat", **matlab)


@pytest.mark.parametrize("kind", ["npz", "hdf5", "mat5", "mat73"])
def test_the_array_is_named_where_none_is_obvious(tmp_path: Path, kind: str) -> None:
    path = several(kind, tmp_path)
    message = refused(path)
    assert "one" in message
    assert "two" in message
    np.testing.assert_array_equal(read_image(path, 3, ReadingSettings(dataset="two")).pixels[0], 2 * PAGES[3])
    assert "three" in refused(path, dataset="three")
    assert ("1 x 7" if kind.startswith("mat") else "the shape 7") in refused(path, dataset="angles")


@pytest.mark.parametrize("kind", ["npz", "hdf5", "mat5", "mat73"])
def test_images_beside_other_arrays_are_obvious(tmp_path: Path, kind: str) -> None:
    arrays = {"images": PAGES, "masks": PAGES > 0, "sigma": np.array([[0.1]])}
    match kind:
        case "npz":
            path = npz(tmp_path / "a.npz", **arrays)
        case "hdf5":
            path = hdf5(tmp_path / "a.h5", **arrays)
        case _:
            write = mat5 if kind == "mat5" else mat73
            path = write(
                tmp_path / "a.mat", images=last(PAGES), masks=last(PAGES > 0), sigma=np.array([[0.1]])
            )
    np.testing.assert_array_equal(read_image(path, 3).pixels[0], PAGES[3])


@pytest.mark.parametrize("stored", ["<u1", "<i2", ">i2", ">f8", "<f8"])
def test_matlab_stores_its_numbers_as_small_as_they_are(tmp_path: Path, stored: str) -> None:
    """Doubles that happen to be small whole numbers lie there as bytes; they are doubles still, in either byte order."""
    values = RNG.integers(0, 200, (20, 31, 5)).astype(stored)
    path = matlab5(tmp_path / "a.mat", values.shape, np.dtype(stored), values.tobytes(order="F"))
    with open_pages(path) as pages:
        page = pages.read(2)
    np.testing.assert_array_equal(page.pixels[0], values[:, :, 2])
    assert page.stored == np.float64
    bytes_ = matlab5(tmp_path / "b.mat", values.shape, np.dtype(stored), values.tobytes(order="F"), class_=9)
    assert read_image(bytes_).window == (0.0, 255.0)


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_matlab_files_end_nothing_but_themselves(tmp_path: Path, compressed: bool) -> None:
    """SciPy's own reader crashes on some of these: an unknown tag suffices."""
    content = {"scan": {"picture": PAGES[0], "geometry": {"x": np.arange(5.0), "name": "fan"}}, "s": "text"}
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, content, do_compression=compressed)
    whole, rng, read = path.read_bytes(), np.random.default_rng(3), 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(128, min(len(data), 700)))] = int(
                rng.choice([0, 255, 1, 127, rng.integers(256)])
            )
        path.write_bytes(data)
        with contextlib.suppress(InputError), open_pages(path, "scan.picture") as pages:
            pages.read(0)
            read += 1
    assert read < 300


@pytest.mark.parametrize("tag", [0, 8, 10, 11, 14, 16, 19, 20, 25, 200, 65535, 2**31 - 1, 2**32 - 2**16])
def test_a_damaged_tag_is_a_sentence(tmp_path: Path, tag: int) -> None:
    """SciPy 1.17's reader ends in a segmentation fault at most of these, and the program with it."""
    data = np.arange(1600.0).reshape(40, 40)
    path = matlab5(tmp_path / "a.mat", data.shape, data.dtype, data.tobytes(), tag=tag)
    assert "a.mat" in refused(path)


def test_what_is_not_of_real_numbers_in_matlab_files(tmp_path: Path) -> None:
    others = {
        "z": PAGES[0] * 1j, "words": "text", "sparse": scipy.sparse.eye(40), "cells": np.array([[1, "a"]], dtype=object),
        "empty": {}, "list": np.array([({"a": 1},), ({"a": 2},)], dtype=object), "images": last(PAGES) > 0,
    }  # fmt: skip
    np.testing.assert_array_equal(read_image(mat5(tmp_path / "a.mat", **others), 3).pixels[0], PAGES[3] > 0)
    del others["images"]
    assert "no array of real numbers" in refused(mat5(tmp_path / "b.mat", **others))


def test_the_oldest_matlab_files(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"picture": PAGES[0].astype(float)}, format="4")
    np.testing.assert_array_equal(read_image(tmp_path / "a.mat").pixels[0], PAGES[0])


def test_fields_of_a_structure(tmp_path: Path) -> None:
    path = mat5(
        tmp_path / "a.mat", scan={"picture": PAGES[0], "geometry": {"angles": np.arange(5.0), "name": "fan"}}
    )
    np.testing.assert_array_equal(read_image(path).pixels[0], PAGES[0])
    np.testing.assert_array_equal(
        read_image(path, 0, ReadingSettings(dataset="scan.picture")).pixels[0], PAGES[0]
    )
    assert "1 x 5" in refused(path, dataset="scan.geometry.angles")


def test_the_published_layout(tmp_path: Path) -> None:
    """`images`, H x W x n, in either version of the format, square images as the published ones."""
    square = RNG.random((9, 32, 32))
    for path in (
        mat5(tmp_path / "5.mat", images=last(square)),
        mat73(tmp_path / "73.mat", images=last(square)),
    ):
        assert count_pages(path) == 9
        image = read_image(path, 8)
        np.testing.assert_array_equal(image.pixels[0], square[8].astype(np.float32))
        assert image.window == (0.0, 1.0)


# -- a page does not load the stack -----------------------------------------------------------------------


def huge(kind: str, folder: Path) -> tuple[Path, int]:
    """A file of gigabytes that takes no room on the disk, and how many pages of 256 x 256 it has."""
    count, page = 20_000, 256 * 256 * 4
    if kind == "npy":
        path = folder / "a.npy"
        with path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (count, 256, 256)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + count * page)
        return path, count
    if kind == "tiff":  # ImageJ's: one page, and the stack behind it
        path, count = folder / "a.tif", 8000
        tifffile.imwrite(path, shape=(count, 256, 256), dtype=np.float32, imagej=True)
        return path, count
    if kind == "tiff of pages":
        path, count = folder / "a.tif", 200
        tifffile.imwrite(
            path, shape=(count, 256, 256), dtype=np.float32, photometric="minisblack", metadata=None
        )
        return path, count
    if kind == "mat5":
        return matlab5(folder / "a.mat", (256, 256, 8000), np.dtype("u1"), None), 8000
    path = folder / ("a.mat" if kind == "mat73" else "a.h5")
    with h5py.File(path, "w", userblock_size=512 if kind == "mat73" else 0) as file:
        file.create_dataset("images", (count, 256, 256), np.float32, chunks=(1, 256, 256))
    if kind == "mat73":
        with path.open("r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file")
    return path, count


@pytest.mark.skipif(os.name == "nt", reason="files with holes are of another kind there")
@pytest.mark.parametrize("kind", ["npy", "tiff", "tiff of pages", "hdf5", "mat5", "mat73"])
def test_a_page_of_a_large_stack_loads_only_itself(tmp_path: Path, kind: str) -> None:
    path, count = huge(kind, tmp_path)
    read_image(path, 1)  # what is imported is not counted
    tracemalloc.start()
    try:
        image = read_image(path, count - 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert image.pages == count
    assert peak < 12 * 256 * 256 * 4


# -- NIfTI ------------------------------------------------------------------------------------------------


def test_volumes_lie_as_in_dicom_whatever_their_orientation(tmp_path: Path) -> None:
    """One body, stored along every order and direction of axes: the same axial pages each time."""
    body = RNG.standard_normal((20, 24, 28)).astype(
        np.float32
    )  # right to left, front to back, up: DICOM's own
    lps = np.diag([-0.5, -0.6, 0.7, 1.0])
    reference = nifti(tmp_path / "r.nii", body, lps)
    image = read_image(reference, 5)
    np.testing.assert_array_equal(image.pixels[0], body[:, :, 5].T)
    assert image.spacing == pytest.approx((0.6, 0.5))
    volume = nibabel.Nifti1Image(body, lps)
    for codes in ("RAS", "LPS", "PIR", "SAL", "ILA", "ASR"):
        turn = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(lps), nibabel.orientations.axcodes2ornt(codes)
        )
        path = tmp_path / f"{codes}.nii"
        volume.as_reoriented(turn).to_filename(path)
        assert count_pages(path) == 28
        for page in (0, 5, 27):
            found = read_image(path, page)
            np.testing.assert_array_equal(found.pixels[0], body[:, :, page].T)


def test_scaled_integers_units_and_time(tmp_path: Path) -> None:
    series = RNG.integers(-1000, 1000, (20, 24, 3, 2)).astype(np.int16)
    image = nibabel.Nifti1Image(series, np.diag([-1.0, -1.0, 1.0, 1.0]))
    image.header.set_slope_inter(2.0, -10.0)
    image.header.set_xyzt_units("unknown")
    # what is stored stays: nibabel would scale it back otherwise
    image.header.set_data_dtype(np.int16)
    image.to_filename(tmp_path / "a.nii")
    expected = nibabel.load(tmp_path / "a.nii").get_fdata()
    assert count_pages(tmp_path / "a.nii") == 6
    found = read_image(tmp_path / "a.nii", 4)  # the second time, its second slice
    np.testing.assert_allclose(found.pixels[0], expected[:, :, 1, 1].T)
    assert found.spacing == (1.0, 1.0)
    hu = nifti(tmp_path / "hu.nii.gz", np.full((20, 20, 3), -1000, np.int16))
    assert (read_image(hu, 2).unit, read_image(hu, 2).window) == ("HU", HU_WINDOW)
    flat = nifti(tmp_path / "flat.nii", PAGES[0].T)
    np.testing.assert_array_equal(read_image(flat).pixels[0], PAGES[0][::-1, ::-1])


def test_nibabel_two(tmp_path: Path) -> None:
    nibabel.Nifti2Image(PAGES.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0])).to_filename(
        tmp_path / "a.nii"
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii", 3).pixels[0], PAGES[3])


# -- DICOM ------------------------------------------------------------------------------------------------


def series_of(
    folder: Path, count: int = 6, *, uid: str = "1.2.3", turned: bool = False, **tags: object
) -> np.ndarray:
    """A series whose file names and instance numbers say nothing of the order of its slices."""
    folder.mkdir(exist_ok=True)
    slices = RNG.integers(0, 2000, (count, 20, 31), dtype=np.int16)
    orientation = [0, 1, 0, 0, 0, -1] if turned else [1, 0, 0, 0, 1, 0]
    normal = np.cross(orientation[:3], orientation[3:])
    for place, name in enumerate(RNG.permutation(count)):
        position = (normal * (2.5 * place - 7) + [3, 4, 5] * (1 - np.abs(normal))).tolist()
        dicom(
            folder / f"{uid}-{name:03d}.dcm", slices[place], intercept=-1024,
            SeriesInstanceUID=uid, ImageOrientationPatient=orientation, ImagePositionPatient=position,
            **{"PatientID": "P1", "InstanceNumber": str(int(name)), **tags},
        )  # fmt: skip
    return slices


@pytest.mark.parametrize("turned", [False, True])
def test_a_series_is_ordered_by_position(tmp_path: Path, turned: bool) -> None:
    slices = series_of(tmp_path, turned=turned)
    (series,), left_out = find_series(sorted(tmp_path.iterdir()))
    assert not left_out
    with series.open() as pages:
        assert (pages.count, pages.subject) == (6, "P1")
        for n in range(6):
            page = pages.read(n)
            np.testing.assert_array_equal(page.pixels[0], slices[n] - 1024.0)
            assert (page.unit, page.window) == ("HU", HU_WINDOW)
            assert pages.page_name(n).startswith("1.2.3-")


def test_series_are_told_apart_and_localizers_left_out(tmp_path: Path) -> None:
    a, b = series_of(tmp_path, 4, uid="1.2.3"), series_of(tmp_path, 3, uid="1.2.4", PatientID="")
    series_of(tmp_path, 1, uid="1.2.5", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (tmp_path / "cut.dcm").write_bytes((tmp_path / "1.2.3-000.dcm").read_bytes()[:200])
    found, left_out = find_series(sorted(tmp_path.iterdir()))
    assert sorted(len(series.frames) for series in found) == [3, 4]
    assert sorted(path.name for path, _ in left_out) == ["1.2.5-000.dcm", "cut.dcm"]
    assert any("localizer" in reason for _, reason in left_out)
    for series, slices in zip(found, (a, b), strict=True):
        with series.open() as pages:
            np.testing.assert_array_equal(pages.read(0).pixels[0], slices[0] - 1024.0)


def test_a_series_without_positions_goes_by_its_numbers(tmp_path: Path) -> None:
    for number, name in ((10, "a"), (9, "b"), (100, "c")):
        dicom(
            tmp_path / name,
            np.full((20, 31), number, np.int16),
            SeriesInstanceUID="1.2",
            InstanceNumber=str(number),
        )
    (series,), _ = find_series(sorted(tmp_path.iterdir()))
    with series.open() as pages:
        assert [float(pages.read(n).pixels[0, 0, 0]) for n in range(3)] == [9, 10, 100]


def enhanced(path: Path, stored: np.ndarray) -> Path:
    """Many frames in one file, each with a rescale of its own, as enhanced CT has it."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    groups = []
    for n in range(len(stored)):
        value, group = Dataset(), Dataset()
        value.RescaleSlope, value.RescaleIntercept = str(n + 1), "-1000"
        group.PixelValueTransformationSequence = Sequence([value])
        groups.append(group)
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = ["0.4", "0.6"]
    shared.PixelMeasuresSequence = Sequence([measures])
    return dicom(
        path, stored[0], stack=stored, NumberOfFrames=str(len(stored)),
        PerFrameFunctionalGroupsSequence=Sequence(groups), SharedFunctionalGroupsSequence=Sequence([shared]),
    )  # fmt: skip


def test_frames_of_an_enhanced_file(tmp_path: Path) -> None:
    stored = RNG.integers(0, 1000, (4, 20, 31), dtype=np.uint16)
    path = enhanced(tmp_path / "a.dcm", stored)
    assert count_pages(path) == 4
    for n in range(4):
        image = read_image(path, n)
        np.testing.assert_array_equal(image.pixels[0], stored[n] * np.float32(n + 1) - 1000)
        assert image.spacing == (0.4, 0.6)


def test_white_is_low(tmp_path: Path) -> None:
    stored = RNG.integers(0, 4096, (20, 31), dtype=np.uint16)
    path = dicom(
        tmp_path / "a.dcm",
        stored,
        modality="DX",
        BitsStored=12,
        HighBit=11,
        PhotometricInterpretation="MONOCHROME1",
    )
    np.testing.assert_array_equal(read_image(path).pixels[0], 4095.0 - stored)
    dark = (RNG.random((20, 31)) * 200).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", dark, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels[0], 255.0 - dark)


def test_palettes_are_looked_up(tmp_path: Path) -> None:
    palette = RNG.integers(0, 2**16, (3, 256), dtype=np.uint16)
    index = RNG.integers(0, 256, (20, 31), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", index, photometric="palette", colormap=palette)
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.tif").pixels, (palette >> 8)[:, index].astype(np.float32)
    )


# -- hostile files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["npz", "mat v5", "mat v7.3", "hdf5", "nifti", "nifti.gz"])
def test_cut_files(tmp_path: Path, kind: str) -> None:
    path = STACKS[kind](tmp_path)
    whole = path.read_bytes()
    for share in (0.01, 0.1, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: max(5, int(share * len(whole)))])
        refused(path, 4)
        assert count_pages(path) >= 1


@pytest.mark.parametrize("kind", ["npz", "mat v5", "mat v7.3", "hdf5", "nifti", "nifti.gz"])
def test_damaged_files_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    path = STACKS[kind](tmp_path)
    whole = path.read_bytes()
    rng = np.random.default_rng(2)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 6))):
            data[int(rng.integers(min(len(data), 1500)))] = int(rng.integers(256))
        path.write_bytes(data)
        with contextlib.suppress(InputError), open_pages(path) as pages:
            for page in range(min(pages.count, 5)):
                assert np.isfinite(pages.read(page).pixels).all()


@pytest.mark.parametrize("name", ["a.npz", "a.mat", "a.h5", "a.hdf5", "a.nii", "a.nii.gz", "a.ima"])
def test_words_under_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("These are words, no pixels.\n" * 40)
    refused(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    assert "is empty" in refused(tmp_path / name)


@pytest.mark.parametrize(
    "start",
    [b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x1f\x8b"],
)
def test_a_signature_and_nothing_behind_it(tmp_path: Path, start: bytes) -> None:
    for rest in (b"", b"\0" * 1000, b"\xff" * 1000):
        (tmp_path / "a").write_bytes(start + rest)
        refused(tmp_path / "a")


def test_objects_are_never_made(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return exec, ("raise SystemExit('the pickle was run')",)

    np.savez(tmp_path / "a.npz", images=np.array([[Bomb()] * 20] * 20, dtype=object), allow_pickle=True)
    assert "no array of real numbers" in refused(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", images=np.zeros((20, 20), complex), words=np.full((20, 20), "a"))
    assert "no array of real numbers" in refused(tmp_path / "b.npz")
    cells = np.empty((20, 20), dtype=object)
    cells[:] = "text"
    assert "no array of real numbers" in refused(mat5(tmp_path / "a.mat", images=cells))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", (20, 20), h5py.string_dtype())
        file["complex"] = np.zeros((20, 20), complex)
    assert "no array of real numbers" in refused(tmp_path / "a.h5")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["npz", "mat5", "mat73", "hdf5", "nifti"])
def test_numbers_that_are_not_finite(tmp_path: Path, kind: str, value: float) -> None:
    pages = PAGES.copy()
    pages[1, 2, 3] = pages[1, 3, 3] = value
    path = {
        "npz": lambda: npz(tmp_path / "a.npz", a=pages),
        "mat5": lambda: mat5(tmp_path / "a.mat", a=last(pages)),
        "mat73": lambda: mat73(tmp_path / "a.mat", a=last(pages)),
        "hdf5": lambda: hdf5(tmp_path / "a.h5", a=pages),
        "nifti": lambda: nifti(tmp_path / "a.nii", pages.transpose(2, 1, 0)),
    }[kind]()
    assert "2 NaN or infinite" in refused(path, 1)
    np.testing.assert_array_equal(read_image(path, 0).pixels[0], pages[0])


def array_header(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "shape",
    [
        (10**9, 10**9),
        (10**12, 64, 64),
        (100, 64, 64),
        (LARGEST + 1, 20),
        (0, 20, 20),
        (20, 0),
        (2, 2, 2, 2, 2),
        (),
    ],
)
def test_absurd_sizes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Headers that promise what is not there are refused at once, without asking for the memory."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", array_header(shape) + b"\0" * 100)
    refused(tmp_path / "a.npz")
    if shape == (100, 64, 64):
        return
    with h5py.File(tmp_path / "a.h5", "w") as file:
        size = {"chunks": tuple(max(1, min(8, n)) for n in shape)} if shape else {}
        if 0 not in shape:
            file.create_dataset("images", shape, np.float64, **size)
        else:
            file.create_dataset("images", shape, np.float64)
    refused(tmp_path / "a.h5")


def test_an_hdf5_chunk_larger_than_memory(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(
            "images", (1, 64, 64), np.uint8, chunks=(1000, 1700, 1900), maxshape=(None, None, None)
        )
    assert "512 MiB" in refused(tmp_path / "a.h5")


def test_hdf5_reads_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\x07" * 4096)
    hdf5(tmp_path / "other.h5", images=PAGES)
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file.create_dataset("images", (64, 64), np.uint8, external=[(str(tmp_path / "secret"), 0, 4096)])
    assert "other files" in refused(tmp_path / "outside.h5")
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout(PAGES.shape, PAGES.dtype)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "images", PAGES.shape)
        file.create_virtual_dataset("images", layout)
    assert "another file" in refused(tmp_path / "virtual.h5")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["images"] = h5py.ExternalLink("other.h5", "/images")
        file["loop"] = h5py.SoftLink("/loop")
    assert "a link into another file" in refused(tmp_path / "link.h5")
    assert "a link into another file" in refused(tmp_path / "link.h5", dataset="images")


def test_hdf5_keeps_unit_and_spacing(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5", images=PAGES)
    with h5py.File(path, "a") as file:
        file["images"].attrs["element_size_um"] = [2000.0, 300.0, 400.0]
        file["images"].attrs["units"] = "1/mm"
    image = read_image(path, 1)
    assert (image.unit, image.slice_spacing) == ("1/mm", 2.0)
    assert image.spacing == pytest.approx((0.3, 0.4))
    with h5py.File(path, "a") as file:
        file["images"].attrs["element_size_um"] = "words"
        file["images"].attrs["units"] = 7
    assert (read_image(path).unit, read_image(path).spacing) == ("", None)


def test_nifti_keeps_the_distance_of_its_slices(tmp_path: Path) -> None:
    image = read_image(nifti(tmp_path / "a.nii", PAGES.transpose(2, 1, 0), np.diag([-0.5, -0.7, 3.0, 1.0])))
    assert image.spacing == pytest.approx((0.7, 0.5))
    assert image.slice_spacing == pytest.approx(3.0)


def test_groups_inside_one_another(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/b/c/images"] = PAGES
        file["a/b/c/up"] = file["a"]  # a hard link back: the groups have no end
    np.testing.assert_array_equal(read_image(tmp_path / "a.h5", 2).pixels[0], PAGES[2])
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.h5", 2, ReadingSettings(dataset="a.b.c.images")).pixels[0], PAGES[2]
    )


def test_nifti_that_is_none(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", PAGES.transpose(2, 1, 0))
    whole = path.read_bytes()
    path.write_bytes(whole[:344] + b"ni1\0" + whole[348:])
    assert "in one file, or in .hdr and .img" in refused(path)
    for dimensions in ((3, -5, 20, 5), (3, 30000, 30000, 1), (1, 20, 1, 1), (0, 0, 0, 0)):
        path.write_bytes(whole[:40] + struct.pack("<4h", *dimensions) + whole[48:])
        refused(path)
    path.write_bytes(whole[:40] + struct.pack("<4h", 3, 31, 20, 30000) + whole[48:])
    refused(path, 29000)  # the file has ended by then
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(b"These are words. " * 100))
    assert "NIfTI" in refused(tmp_path / "b.nii.gz")


def test_dicom_that_claims_too_much(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", np.zeros((20, 31), np.int16), NumberOfFrames=str(10**9))
    assert "1000000000" in refused(path)
    path = dicom(tmp_path / "b.dcm", np.zeros((20, 31), np.int16), stated=(60000, 60000))
    assert "60000" in refused(path)


# -- real files -------------------------------------------------------------------------------------------


def test_the_real_series(shared: Path) -> None:
    (series,), left_out = find_series(sorted((shared / "data" / "dicom").glob("*.dcm")))
    assert not left_out
    with series.open() as pages:
        heights = []
        for n in range(pages.count):
            import pydicom

            header = pydicom.dcmread(series.frames[n][0], stop_before_pixels=True)
            heights.append(float(header.ImagePositionPatient[2]))
        assert pages.count == 10
        assert np.diff(heights) == pytest.approx(np.full(9, 5.0))
        page = pages.read(0)
        assert (page.unit, page.window) == ("HU", HU_WINDOW)
        assert page.spacing == pytest.approx((0.797, 0.797), abs=1e-3)
        assert page.pixels.min() < -900


def test_real_measurements_open_or_are_refused(shared: Path) -> None:
    data = shared / "data"
    picture = read_image(data / "htc2022" / "htc2022_ta_full_recon_fbp.mat")
    assert picture.shape == (512, 512)
    as_image = ReadingSettings(role="image")
    sinogram = read_image(data / "htc2022" / "htc2022_ta_full.mat", 0, as_image)
    assert sinogram.shape == (721, 560)
    with pytest.raises(InputError, match="2 x 640"):  # projections of two rows, no image
        read_image(data / "tooth" / "tooth.h5", 0, as_image)
    assert count_pages(data / "tooth" / "tooth.h5") == 181
