"""A corpus of files that are no image: one clear sentence each, and never a crash, a hang or a wrong picture."""

import io
import os
import signal
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import imagecodecs
import nibabel
import numpy as np
import pydicom
import pytest
import scipy.io
import tifffile
from PIL import Image as Pillow
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from padis_gui.core.files.formats.folder import data_sha256, folder_of_series
from padis_gui.core.files.formats.open import count_pages, list_datasets, open_pages, recognise
from padis_gui.core.files.read import image_of_row, open_scan, read_and_keep, read_image
from padis_gui.core.files.scans.read import read_row
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.settings.errors import InputError
from tests.core.files.fuzzing import ENDINGS, FORMATS
from tests.core.files.test_formats import PAGES, mat73, nifti, npz, series_of
from tests.core.files.test_read import dicom
from tests.fuzzing import check_sentence, read_in_bounds
from tests.waiting import TIMEOUT, run_afresh

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes, links and names are others there")
PATIENCE = int(TIMEOUT)  # seconds
SMALL = ReadingSettings(image_size=16)


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """What waits for a pipe, or goes round in a circle, fails instead."""

    def late(*_: object) -> None:
        raise TimeoutError("a file is still not refused")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def sentence_of(path: Path) -> str:
    """The one sentence with which a file is refused, by all that open one alike."""
    with pytest.raises(InputError) as caught:
        read_image(path)
    message = str(caught.value)
    check_sentence(message)
    for look in (list_datasets, count_pages, folder_of_series, lambda one: open_pages(one).close()):
        try:
            look(path)
        except InputError as error:
            check_sentence(str(error))
    return message


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def saved(path: Path, array: np.ndarray, **options: object) -> Path:
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".png":
        Pillow.fromarray(array).save(path)
    else:
        tifffile.imwrite(path, array, **options)
    return path


# -- cut short, and something else than they say ----------------------------------------------------------


# a folder has no end that could be cut off: the fuzzer damages what is in it
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "OME-Zarr"])
def test_cut_anywhere(tmp_path: Path, kind: str) -> None:
    """What is left of a file gives the pixels that the whole one gives, or a sentence: none are made up."""
    for number, whole in enumerate(FORMATS[kind](tmp_path)):
        path = tmp_path / f"{number}{ENDINGS.get(kind, '')}"
        path.write_bytes(whole)
        expected, refusals = read_image(path, 0, SMALL).pixels, 0
        for length in (1, 2, 4, 8, 16, 100, *(n * len(whole) // 8 for n in range(1, 8))):
            path.write_bytes(whole[:length])
            try:
                found = read_image(path, 0, SMALL).pixels
            except InputError as error:
                check_sentence(str(error))
                refusals += 1
            else:
                np.testing.assert_array_equal(found, expected)
        assert refusals > 6


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "OME-Zarr"])
def test_what_was_read_no_longer_lies_in_its_file(tmp_path: Path, kind: str) -> None:
    """Another program may write over a file in its place, or cut it: what is open stays as it was read."""
    for number, whole in enumerate(FORMATS[kind](tmp_path)):
        path = written(tmp_path / f"{number}{ENDINGS.get(kind, '')}", whole)
        image, scan = read_and_keep(path, 0, SMALL)
        before = image.pixels.copy()
        with path.open("r+b") as file:
            file.write(bytes(len(whole)))
        np.testing.assert_array_equal(image.pixels, before)
        if scan is not None:
            again = image_of_row(scan, 0, SMALL)
            np.testing.assert_array_equal(again.pixels, before)
            assert (again.window, again.measured.notes) == (image.window, image.measured.notes)


SIGNATURES = [
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"\x93NUMPY\x01\0", b"PK\x03\x04",
    b"PK\x05\x06", b"MATLAB 5.0", b"MATLAB 7.3", b"\x89HDF\r\n\x1a\n", b"\x1f\x8b\x08", bytes(128) + b"DICM",
    bytes(344) + b"n+1\0", b"\0\0\x02\x1cn+2\0", b"%PDF-1.7", b"\x7fELF", b"GIF89a", b"<?xml version='1.0'?>",
]  # fmt: skip


@pytest.mark.parametrize(
    "rest", [b"", bytes(600), b"\xff" * 600, b"words " * 100], ids=["cut", "0", "255", "words"]
)
@pytest.mark.parametrize("start", SIGNATURES, ids=lambda start: start.strip(b"\0")[:6].hex())
def test_signatures_of_nothing(tmp_path: Path, start: bytes, rest: bytes) -> None:
    assert "file" in sentence_of(written(tmp_path / "file", start + rest))


@pytest.mark.parametrize(
    "ending", ["png", "tif", "npy", "npz", "mat", "h5", "nii", "nii.gz", "dcm", "jpg", ""]
)
@pytest.mark.parametrize(
    "content", [b"", b"x", b"words, not pixels\n" * 50, bytes(4096)], ids=["0", "1", "words", "zeros"]
)
def test_other_content_under_any_ending(tmp_path: Path, ending: str, content: bytes) -> None:
    assert f"file.{ending}" in sentence_of(written(tmp_path / f"file.{ending}", content))


# -- absurd sizes, missing parts, other shapes, numbers that are none -------------------------------------


def png_of(width: int, height: int, bits: int = 8, colour: int = 0) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def without(path: Path, *tags: str) -> Path:
    """A DICOM file less some of its elements."""
    import pydicom

    data = pydicom.dcmread(path)
    for tag in tags:
        delattr(data, tag)
    data.save_as(path)
    return path


def tiff_with(path: Path, tag: str, value: int, kind: str = "<I") -> Path:
    """A sound TIFF but for one tag."""
    tifffile.imwrite(path, np.zeros((64, 64), np.uint16), metadata=None)
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags[tag].valueoffset
    data = bytearray(path.read_bytes())
    data[at : at + struct.calcsize(kind)] = struct.pack(kind, value)
    return written(path, bytes(data))


def tiff_without(path: Path, code: int) -> Path:
    """A sound TIFF with one tag under another code."""
    tifffile.imwrite(path, np.zeros((64, 64), np.uint16), metadata=None)
    data = path.read_bytes()
    assert data.count(struct.pack("<HH", code, 3)) or data.count(struct.pack("<HH", code, 4))
    for kind in (3, 4):
        data = data.replace(struct.pack("<HH", code, kind), struct.pack("<HH", 60000 + code, kind))
    return written(path, data)


def circle(path: Path) -> Path:
    """A TIFF whose directories follow one another for ever."""
    tifffile.imwrite(path, PAGES[0], metadata=None)
    with tifffile.TiffFile(path) as file:
        at, count = file.pages[0].offset, len(file.pages[0].tags)
    data = bytearray(path.read_bytes())
    data[at + 2 + 12 * count : at + 6 + 12 * count] = struct.pack("<I", at)
    return written(path, bytes(data))


def strip_bomb(path: Path) -> Path:
    """A TIFF of 64 x 64 px whose strip holds 256 MB; what unpacks it must not go beyond what the picture needs."""
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="zlib", metadata=None)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()
    at = path.stat().st_size
    written(path, path.read_bytes() + data)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["StripOffsets"].overwrite([at])
        file.pages[0].tags["StripByteCounts"].overwrite([len(data)])
    return path


def chunk_bomb(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("images", (10**9, 10**6, 10**6), np.float64, chunks=(1, 8, 8))
    return path


def groups_without_end(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["a"] = h5py.SoftLink("/a")
        file["b/again"] = file["/"]
    return path


SPECIAL: dict[str, tuple[Callable[[Path], Path], str]] = {
    "PNG of 60000 px": (lambda f: written(f / "a.png", png_of(60000, 60000)), ""),
    "PNG of 16 bits and 60000 px": (lambda f: written(f / "a.png", png_of(60000, 60000, 16, 2)), "60000 x 60000"),
    "PNG without width": (lambda f: written(f / "a.png", png_of(0, 64)), ""),
    "JPEG of 65535 px": (
        lambda f: written(f / "a.jpg", b"\xff\xd8\xff\xc1\0\x0b\x0c" + b"\xff" * 4 + b"\1\1\x11\0"), "65535 x 65535"
    ),
    "TIFF of 2 billion px": (lambda f: tiff_with(f / "a.tif", "ImageWidth", 2**31, "<I"), ""),
    "TIFF without width": (lambda f: tiff_without(f / "a.tif", 256), ""),
    "TIFF without strips": (lambda f: tiff_without(f / "a.tif", 273), ""),
    "TIFF of unknown compression": (lambda f: tiff_with(f / "a.tif", "Compression", 4711, "<H"), ""),
    "TIFF of 4711 bits": (lambda f: tiff_with(f / "a.tif", "BitsPerSample", 4711, "<H"), ""),
    "TIFF of complex numbers": (lambda f: saved(f / "a.tif", np.zeros((20, 20), np.complex64)), "real numbers"),
    "TIFF of a strip of 256 MB": (lambda f: strip_bomb(f / "a.tif"), "INSUFFICIENT_SPACE"),
    "TIFF of NaN": (lambda f: saved(f / "a.tif", np.full((20, 20), np.nan, np.float32)), "400 NaN"),
    "TIFF of one row": (lambda f: saved(f / "a.tif", np.zeros((1, 64), np.uint8)), "1 x 64"),
    "NPY of infinity": (lambda f: saved(f / "a.npy", np.full((20, 20), np.inf)), "400 NaN or infinite"),
    "NPY of nothing": (lambda f: saved(f / "a.npy", np.zeros((0, 64))), "0 x 64"),
    "NPY of no pages": (lambda f: saved(f / "a.npy", np.zeros((0, 64, 64))), "claims 0"),
    "NPY of a number": (lambda f: saved(f / "a.npy", np.array(3.0)), "single number"),
    "NPY of five axes": (lambda f: saved(f / "a.npy", np.zeros((2, 2, 2, 20, 20))), "2 x 2 x 2 x 20 x 20"),
    "NPY of text": (lambda f: saved(f / "a.npy", np.full((20, 20), "text")), "real numbers"),
    "NPZ of nothing": (lambda f: npz(f / "a.npz"), "no array"),
    "NPZ of a pickle": (lambda f: npz(f / "a.npz", a=np.array([[None] * 20] * 20)), "no array of real numbers"),
    "MATLAB of text": (lambda f: (scipy.io.savemat(f / "a.mat", {"a": "text"}), f / "a.mat")[1], "no array"),
    "MATLAB v7.3 of nothing": (lambda f: mat73(f / "a.mat"), "no array"),
    "HDF5 of absurd size": (lambda f: chunk_bomb(f / "a.h5"), "1000000 x 1000000"),
    "HDF5 in a circle": (lambda f: groups_without_end(f / "a.h5"), "no array"),
    "NIfTI of NaN": (lambda f: nifti(f / "a.nii", np.full((20, 20, 2), np.nan, np.float32)), "400 NaN"),
    "NIfTI of a line": (lambda f: nifti(f / "a.nii", np.zeros((64,), np.float32)), ""),
    "DICOM without pixels": (lambda f: without(dicom(f / "a.dcm", np.zeros((20, 20), np.int16)), "PixelData"), ""),
    "DICOM without rows": (lambda f: without(dicom(f / "a.dcm", np.zeros((20, 20), np.int16)), "Rows"), "no pixels"),
    "DICOM without columns": (lambda f: without(dicom(f / "a.dcm", np.zeros((20, 20), np.int16)), "Columns"), ""),
    "DICOM without bits": (lambda f: without(dicom(f / "a.dcm", np.zeros((20, 20), np.int16)), "BitsAllocated"), ""),
    "DICOM of absurd size": (lambda f: dicom(f / "a.dcm", np.zeros((20, 20), np.int16), stated=(65535, 65535)), "65535"),
    "DICOM cut": (lambda f: dicom(f / "a.dcm", np.zeros((20, 20), np.int16), stated=(64, 64)), ""),
    "DICOM of infinite slope": (lambda f: dicom(f / "a.dcm", np.ones((20, 20), np.int16), slope=1e300), "infinite"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPECIAL)
def test_special_files(tmp_path: Path, kind: str) -> None:
    make, words = SPECIAL[kind]
    path = make(tmp_path)
    message = sentence_of(path)
    assert path.name in message
    assert words in message


def test_directories_in_a_circle_end(tmp_path: Path) -> None:
    path = circle(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(path).pixels[0], PAGES[0])
    assert count_pages(path) == 1


def test_a_series_of_mixed_sizes(tmp_path: Path) -> None:
    series_of(tmp_path, 3)
    dicom(tmp_path / "wide.dcm", np.zeros((20, 40), np.int16), SeriesInstanceUID="1.2.3")
    assert "wide.dcm has 20 x 40 pixels" in sentence_of(tmp_path)


# -- names and what stands behind them --------------------------------------------------------------------


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "round.tif").symlink_to(tmp_path / "again.tif")
    (tmp_path / "again.tif").symlink_to(tmp_path / "round.tif")
    (tmp_path / "dangling.tif").symlink_to(tmp_path / "gone.tif")
    assert "pipe.tif is a device or pipe" in sentence_of(tmp_path / "pipe.tif")
    assert "device" in sentence_of(Path("/dev/zero"))
    assert "round.tif is a link that leads nowhere or in a circle" in sentence_of(tmp_path / "round.tif")
    assert "dangling.tif is a link" in sentence_of(tmp_path / "dangling.tif")
    assert "does not exist" in sentence_of(tmp_path / "none.tif")
    assert "does not exist" in sentence_of(tmp_path / "zero\0byte.tif")
    assert "without any" in sentence_of(tmp_path)  # neither pipes nor links that lead nowhere are images
    saved(tmp_path / "a.tif", PAGES[0])
    assert "does not exist" in sentence_of(tmp_path / "a.tif" / "b.tif")


def test_without_permission(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", PAGES[0])
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("who runs this may read everything")
    assert "Permission denied" in sentence_of(path)
    with pytest.raises(OSError, match="denied"):
        data_sha256(path)


NAMES = [
    "übergroß σ.tif",
    "断層.tif",
    "a b'c\"d;$(e).tif",
    "😀.tif",
    "-rf.tif",
    "%s%d.tif",
    "x" * 251 + ".tif",
    "a\nb\tc.tif",
]


@pytest.mark.parametrize("name", NAMES)
def test_names(tmp_path: Path, name: str) -> None:
    """Whatever a file is called, it is read, and named in one line where it cannot be."""
    image = read_image(saved(tmp_path / name, PAGES[0]))
    np.testing.assert_array_equal(image.pixels[0], PAGES[0])
    assert image.name.isprintable()
    folder = read_image(tmp_path)
    np.testing.assert_array_equal(folder.pixels, image.pixels)
    assert len(data_sha256(tmp_path)) == 64
    (tmp_path / name).write_bytes(b"II*\0words")
    assert name[:5].split("\n")[0] in sentence_of(tmp_path / name)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.tif"))
    image = read_image(saved(path, PAGES[0]))
    image.name.encode()  # can be printed
    assert len(data_sha256(tmp_path)) == 64
    path.write_bytes(b"II*\0words")
    sentence_of(path).encode()


def test_names_longer_than_can_be(tmp_path: Path) -> None:
    assert "too long" in sentence_of(tmp_path / ("x" * 300 + ".tif"))
    assert "too long" in sentence_of(tmp_path / Path(*["deep" * 20] * 80) / "a.tif")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(
    "stored", ["whole", "strips", "tiles", "deflate", "big-endian", "four samples", "PNG"]
)
@pytest.mark.parametrize("dtype", ["u2", "f4", "f8"])
def test_pictures_that_are_read_in_parts_are_those_that_are_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, planar: str, dtype: str
) -> None:
    rng, samples = np.random.default_rng(0), 4 if stored == "four samples" else 3
    values = (rng.random((150, 90, samples)) * 60_000).astype(dtype)
    if stored == "PNG":
        path = tmp_path / "a.png"
        path.write_bytes(imagecodecs.png_encode(values.astype("u2")))
    else:
        path = tmp_path / "a.tif"
        kinds = {
            "strips": {"rowsperstrip": 7}, "tiles": {"tile": (16, 32)},
            "deflate": {"compression": "deflate", "rowsperstrip": 11},
            "big-endian": {"byteorder": ">"}, "four samples": {"extrasamples": ["unassalpha"]},
        }  # fmt: skip
        pixels = values if planar == "contig" else np.moveaxis(values, 2, 0)
        tifffile.imwrite(path, pixels, photometric="rgb", planarconfig=planar, **kinds.get(stored, {}))
    check_parts(path, monkeypatch)


def check_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page is the same, whatever counts as large; so is a region of it."""
    count = count_pages(path)
    whole = [read_image(path, page) for page in range(count)]
    for module in ("large", "picture", "arrays", "numpy_file", "tiff"):
        monkeypatch.setattr(f"padis_gui.core.files.formats.{module}.LARGE", 0)
    for page, one in enumerate(whole):
        parts = read_image(path, page)
        np.testing.assert_array_equal(parts.pixels, one.pixels)
        assert (parts.window, parts.unit, parts.notes) == (one.window, one.unit, one.notes)
        cut = ReadingSettings(crop=(3, 5, 40, 31))
        np.testing.assert_array_equal(read_image(path, page, cut).pixels, one.pixels[:, 5:36, 3:43])


_MAP = np.repeat(np.arange(256, dtype=np.uint16)[::-1][None] * 257, 3, axis=0)
_STACK = {"imagej": True, "metadata": {"axes": "ZYX", "cf": 0, "c0": 3.0, "c1": 0.5, "unit": "mm"}}
TIFF_KINDS: dict[str, tuple[str, int, dict]] = {  # type, samples beside each other, options
    "palette": ("u1", 0, {"photometric": "palette", "colormap": _MAP}),
    "inks": ("u1", 4, {"photometric": "separated"}),
    "deep inks with opacity": ("u2", 5, {"photometric": "separated", "extrasamples": ["unassalpha"]}),
    "grey with opacity": ("u2", 2, {"photometric": "minisblack", "extrasamples": ["unassalpha"]}),
    "six pictures in one": ("f8", 6, {"photometric": "minisblack"}),
    "white is low": ("u2", 0, {"photometric": "miniswhite"}),
    "long integers": ("i8", 0, {"photometric": "minisblack"}),
    "long colours": ("u4", 3, {"photometric": "rgb"}),
    "JPEG": ("u1", 3, {"photometric": "ycbcr", "compression": "jpeg"}),
    "calibrated": ("u2", 0, _STACK),
    "calibrated colours": ("u1", 3, {"imagej": True, "metadata": {"axes": "YXS", "cf": 0, "c0": 3.0, "c1": 0.5}}),
}  # fmt: skip


@pytest.mark.parametrize("kind", TIFF_KINDS)
@pytest.mark.parametrize(
    "layout", [{}, {"rowsperstrip": 7}, {"tile": (16, 32)}, {"planarconfig": "separate"}]
)
@pytest.mark.parametrize("turned", [1, 2, 3, 6, 8])
def test_tiffs_of_any_kind_that_are_read_in_parts_are_those_that_are_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, layout: dict, turned: int
) -> None:
    type_, samples, options = TIFF_KINDS[kind]
    if options.get("imagej") and layout:
        pytest.skip("ImageJ's files lie as they are")
    if "planarconfig" in layout and (not samples or kind == "JPEG"):
        pytest.skip("there is nothing to lie apart")
    values = np.random.default_rng(0).random((150, 90, samples) if samples else (2, 150, 90)) * 250
    planes = np.moveaxis(values, 2, 0) if "planarconfig" in layout else values
    packed = {} if options.get("imagej") else {"metadata": None, "compression": "deflate"}
    if samples and "imagej" not in options:
        layout = {"planarconfig": "contig"} | layout
    tag = [(274, 3, 1, turned, True)]
    tifffile.imwrite(tmp_path / "a.tif", planes.astype(type_), extratags=tag, **packed | layout | options)
    check_parts(tmp_path / "a.tif", monkeypatch)


@pytest.mark.parametrize("shape", [(150, 90), (150, 90, 3), (4, 150, 90), (4, 150, 90, 4), (4, 3, 150, 90)])
@pytest.mark.parametrize("stored", ["npy", "npz", "h5", "chunks", "mat", "packed mat", "mat 7.3"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f8"])
def test_arrays_that_are_read_in_parts_are_those_that_are_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, shape: tuple[int, ...], dtype: str
) -> None:
    values = (np.random.default_rng(0).random(shape) * 250).astype(dtype)
    if "mat" in stored and shape[0] == 4:
        values = np.moveaxis(values, 0, -1)  # MATLAB's pages come last
    path = tmp_path / f"a.{'mat' if 'mat' in stored else stored}"
    match stored:
        case "npy":
            np.save(path, values)
        case "npz":
            np.savez_compressed(path, a=values)
        case "h5" | "chunks":
            path = tmp_path / "a.h5"
            with h5py.File(path, "w") as file:
                file.create_dataset(
                    "a",
                    data=values,
                    chunks=tuple(max(1, n // 2) for n in shape) if stored == "chunks" else None,
                )
        case "mat 7.3":
            path = mat73(path, a=values)
        case _:
            scipy.io.savemat(path, {"a": values}, do_compression=stored == "packed mat")
    check_parts(path, monkeypatch)


def test_small_files_of_the_largest_pictures_take_no_more_than_a_gigabyte_besides(tmp_path: Path) -> None:
    """As float32 alone a colour picture of 8192 x 8192 is 768 MiB: next to nothing may be there twice."""
    side, colormap = 8192, np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0)
    grey = np.zeros((side, side), np.uint8)
    grey[::7] = 200
    colours = np.broadcast_to(grey[..., None], (side, side, 4))
    packed = {"compression": "deflate", "metadata": None}
    tifffile.imwrite(tmp_path / "palette.tif", grey, photometric="palette", colormap=colormap, **packed)
    tifffile.imwrite(tmp_path / "inks.tif", colours, photometric="separated", **packed)
    tifffile.imwrite(tmp_path / "doubles.tif", grey.astype(np.float64), photometric="minisblack", **packed)
    Pillow.fromarray(np.ascontiguousarray(colours[..., :3])).save(tmp_path / "colours.png")
    deep = np.broadcast_to(grey[..., None].astype(np.uint16) * 257, (side, side, 3))
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(deep), level=6))
    coloured, shape = packed | {"photometric": "rgb"}, (side, side, 3)
    tifffile.imwrite(tmp_path / "deep.tif", deep, rowsperstrip=64, **coloured)
    tiles = (np.full((256, 256, 3), n / 7) for n in range((side // 256) ** 2))
    tifffile.imwrite(
        tmp_path / "double-colours.tif",
        tiles,
        shape=(side, side, 3),
        dtype=np.float64,
        tile=(256, 256),
        **coloured,
    )
    with h5py.File(tmp_path / "double-colours.h5", "w") as file:
        file.create_dataset("a", shape, "f8", chunks=(64, side, 3), compression="gzip")
    np.savez_compressed(tmp_path / "doubles.npz", a=grey.astype(np.float64))
    tifffile.imwrite(tmp_path / "one-strip.tif", deep, rowsperstrip=side, **coloured)
    tifffile.imwrite(tmp_path / "turned.tif", colours[..., :3], extratags=[(274, 3, 1, 6, True)], **coloured)
    inks = np.broadcast_to(deep[..., :1], (side, side, 4))
    tifffile.imwrite(tmp_path / "deep-inks.tif", inks, photometric="separated", **packed)
    long = grey.astype(np.int64)
    tifffile.imwrite(tmp_path / "refused.tif", long, rowsperstrip=side, photometric="minisblack", **packed)
    scaled = nibabel.Nifti1Image(grey.astype(np.int16)[..., None], np.eye(4))
    scaled.header.set_slope_inter(0.5, 3)
    nibabel.save(scaled, tmp_path / "scaled.nii.gz")
    scipy.io.savemat(tmp_path / "long.mat", {"a": long}, do_compression=True)
    paths = sorted(tmp_path.glob("*.*"))
    assert all(path.stat().st_size < 4 * 2**20 for path in paths)
    read = """
from padis_gui.core.files.read import read_image
from padis_gui.core.settings.errors import InputError
try:
    assert read_image(path).shape == (8192, 8192)
    assert path.stem != "refused"
except InputError as error:
    assert path.stem == "refused" and "at most 960 MiB" in str(error), (path, error)"""
    lazy = (
        "padis_gui.core.files.read",
        "tifffile",
        "imagecodecs",
        "PIL.ImageOps",
        "PIL.PngImagePlugin",
        "nibabel",
    )
    found = read_in_bounds(tmp_path, paths, read, *lazy)
    assert found["MB"] < 1024, found


def test_the_largest_pictures_of_other_formats_take_no_more_than_a_gigabyte_besides(tmp_path: Path) -> None:
    """By parts where the decoder allows; else they are refused before anything is unpacked."""
    side = 8192
    grey = np.zeros((side, side), np.uint8)
    grey[::7] = 200
    palette, colours = Pillow.fromarray(grey).convert("P"), Pillow.fromarray(grey).convert("RGB")
    turned = Pillow.Exif()
    turned[274] = 6
    colours.save(tmp_path / "colours.jpg", exif=turned)
    colours.convert("CMYK").save(tmp_path / "inks.jpg")
    palette.save(tmp_path / "palette.gif")
    palette.save(tmp_path / "palette.png")
    colours.convert("RGBA").save(tmp_path / "clear.png", compress_level=1, exif=turned)
    colours.save(tmp_path / "colours.tga", compression="tga_rle")
    deep = np.broadcast_to(grey[..., None].astype(np.uint16) * 16, (side, side, 3))
    (tmp_path / "deep.jpg").write_bytes(
        imagecodecs.jpeg8_encode(np.ascontiguousarray(deep), bitspersample=12)
    )
    Pillow.fromarray(grey).save(tmp_path / "grey.jp2")
    colours.save(tmp_path / "colours.bmp")
    colours.save(tmp_path / "refused-1.webp", lossless=True, method=0)
    colours.save(tmp_path / "refused-2.jp2")
    head = b"%d %d 255\n" % (side, side)
    (tmp_path / "refused-3.pgm").write_bytes(b"P2 " + head + b"1 " * 2**21)
    (tmp_path / "refused-4.ppm").write_bytes(b"P6 " + head.replace(b"255", b"65535") + bytes(2**21))
    del grey, deep, palette, colours
    read = """
from padis_gui.core.files.read import read_image
from padis_gui.core.settings.errors import InputError
refused = path.stem.startswith("refused")
try:
    assert read_image(path).shape == (8192, 8192)
    assert not refused, path
except InputError as error:
    assert refused and str(error).endswith("."), (path, error)"""
    lazy = ("padis_gui.core.files.read", "imagecodecs", "PIL.ImageOps", "PIL.PngImagePlugin")
    found = read_in_bounds(tmp_path, sorted(tmp_path.glob("*.*")), read, *lazy)
    assert found["MB"] < 960, found


def test_the_largest_scan_takes_no_more_than_a_gigabyte_besides(tmp_path: Path) -> None:
    """2^25 readings, of many views or of wide ones, over a full turn and over half of one."""
    for name, views, bins, turn in (
        ("a", 100_000, 335, 360),
        ("b", 2048, 16_384, 360),
        ("c", 8192, 4096, 180),
    ):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            data = file.create_dataset(
                "exchange/data", (views, 1, bins), "u2", chunks=(1024, 1, bins), compression="gzip"
            )
            where = np.linspace(-1, 1, bins)
            for first in range(0, views, 1024):
                angles = np.arange(first, min(first + 1024, views)) / views * np.deg2rad(turn)
                bead = np.abs(where - 0.4 * np.cos(angles)[:, None]) < 0.1
                data[first : first + 1024, 0] = 40_000 * np.exp(-2.0 * (np.abs(where) < 0.7) - 0.5 * bead)
            file["exchange/data_white"] = np.full((2, 1, bins), 40_000, np.uint16)
            file["exchange/data_dark"] = np.full((2, 1, bins), 5, np.uint16)
            file["exchange/theta"] = np.arange(views) / views * turn
    read = """
from padis_gui.core.files.read import read_image
assert read_image(path).is_scan"""
    lazy = ("padis_gui.core.files.read", "h5py", "scipy.ndimage", "scipy.optimize", "torch")
    found = read_in_bounds(tmp_path, sorted(tmp_path.glob("*.h5")), read, *lazy)
    assert found["MB"] < 960, found


@pytest.mark.parametrize("stored", ["npy", "fortran.npy", "tif", "mat", "h5", "nii"])
def test_a_file_that_another_program_cuts_is_a_sentence(tmp_path: Path, stored: str) -> None:
    """Also between two pages of one that is open: touching a memory map of it would end the process (SIGBUS)."""
    values = np.random.default_rng(0).random((40, 128, 128)).astype(np.float32)
    path = tmp_path / f"a.{stored}"
    match path.suffix:
        case ".npy":
            np.save(path, np.asfortranarray(values) if "fortran" in stored else values)
        case ".tif":
            tifffile.imwrite(path, values, metadata=None, rowsperstrip=8)
        case ".mat":
            scipy.io.savemat(path, {"images": np.moveaxis(values, 0, -1)})
        case ".h5":
            with h5py.File(path, "w") as file:
                file["images"] = values
        case _:
            nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), path)
    code = f"""
import os
from padis_gui.core.files.formats.open import open_pages
from padis_gui.core.settings.errors import PadisError
part = slice(8, 24), slice(16, 32)
with open_pages({str(path)!r}) as pages:
    first = pages.read(0)
    assert (pages.read(0, part).pixels == first.pixels[:, *part]).all()
    os.truncate({str(path)!r}, {path.stat().st_size // 8})
    assert first.pixels.sum() > 0  # it does not rest on the file
    for wanted in (part, (slice(None), slice(None))):
        try:
            pages.read(39, wanted)
        except PadisError as error:
            print(error)
"""
    done = run_afresh(code)
    assert len(done.splitlines()) == 2, done
    for line in done.splitlines():
        check_sentence(line)
        assert path.name in line


@pytest.mark.parametrize("linked", [False, True])
def test_a_scan_that_another_program_cuts_is_refused(tmp_path: Path, linked: bool) -> None:
    """HDF5 itself reads 0 for what is gone, also in the other files of a scan."""
    counts = np.full((400, 8, 64), 400, np.uint16)
    scan, frames = tmp_path / "scan.h5", tmp_path / ("frames.h5" if linked else "scan.h5")
    with h5py.File(scan, "w") as file:
        if linked:
            file["exchange/data"] = h5py.ExternalLink("frames.h5", "data")
            with h5py.File(frames, "w") as other:
                other["data"] = counts
        else:
            file["exchange/data"] = counts
        file["exchange/data_white"] = np.full((1, 8, 64), 900, np.uint16)
        file["exchange/data_dark"] = np.full((1, 8, 64), 5, np.uint16)
        file["exchange/theta"] = np.arange(400) * 0.45
    opened = open_scan(recognise(scan, ReadingSettings(linked_files="own-folder" if linked else "refuse")))
    assert opened is not None
    with opened:
        whole = opened.read(0).values
        os.truncate(frames, frames.stat().st_size // 2)
        with pytest.raises(InputError, match="another program has cut it"):
            read_row(opened, 0, SMALL)
    assert np.ptp(whole) == 0


def test_pictures_for_which_another_program_would_be_started_are_none(tmp_path: Path) -> None:
    """Pillow hands EPS to Ghostscript, which runs what is in it."""
    for kind in ("eps", "pdf"):
        Pillow.new("L", (32, 32), 7).save(tmp_path / f"a.{kind}")
        assert "none that can be read" in sentence_of(tmp_path / f"a.{kind}")


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        Pillow.new("L", (32, 32), number).save(tmp_path / f"{number}.png")
    assert count_pages(tmp_path) == 12
    monkeypatch.setattr("padis_gui.core.files.formats.folder._MOST_FILES", 11)
    assert "at most 11 files" in sentence_of(tmp_path)


@pytest.mark.parametrize("kind", ["jpg", "12 bits", "dcm"])
def test_a_jpeg_that_goes_over_its_pixels_a_thousand_times_is_refused(tmp_path: Path, kind: str) -> None:
    """Each time takes a hundred bytes of the file and a tenth of a second."""
    side = 2048
    buffer = io.BytesIO()
    Pillow.new("L", (side, side), 100).save(buffer, "jpeg", progressive=True)
    whole = buffer.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    if kind == "12 bits":  # nothing is unpacked before it is counted
        whole = imagecodecs.jpeg8_encode(np.full((side, side), 900, np.uint16), bitspersample=12)
    bomb = whole[:-2] + 1100 * last + whole[-2:]
    if kind == "dcm":
        path = dicom(tmp_path / "a.dcm", np.zeros((side, side), np.uint8))
        dataset = pydicom.dcmread(path)
        dataset.PixelData = encapsulate([bomb])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.save_as(path)
    else:
        path = tmp_path / "a.jpg"
        path.write_bytes(bomb)
    assert "scans was wanted" in sentence_of(path)
    if kind == "jpg":
        path.write_bytes(whole)
        assert read_image(path).shape == (side, side)
