"""DICOM as scanners and archives have it: every way to pack pixels, headers that are missing or not its own."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from padis_gui.core.files.formats import dicom_pixels
from padis_gui.core.files.formats.open import count_pages, open_pages
from padis_gui.core.files.formats.recognise import recognise_file
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import HU_WINDOW, ReadingSettings
from padis_gui.core.settings.errors import InputError
from tests.core.files.test_folder import png
from tests.core.files.test_formats import enhanced, series_of
from tests.core.files.test_read import dicom
from tests.fuzzing import check_sentence

HU = np.add.outer(np.arange(40) * 10 - 1000, np.arange(48) * 15).astype(np.int16)  # -1000 to 95
STORED = (HU + 1024).astype(np.uint16)
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def packed(path: Path, syntax: str, frames: list[bytes], stored: np.ndarray = STORED, **tags: Any) -> Path:
    """A CT slice of packed frames; a note of ``tags`` goes into its header."""
    dicom(path, stored, **({"intercept": -1024} | tags))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate(frames)
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path)
    check_sentence(str(caught.value))
    return str(caught.value)


# -- packed pixels ----------------------------------------------------------------------------------------


def jpeg_of(bits: int, *, lossless: bool) -> Callable[[np.ndarray], bytes]:
    level = None if lossless else 98
    return lambda a: bytes(imagecodecs.jpeg_encode(a, bitspersample=bits, lossless=lossless, level=level))


PACKINGS: dict[str, tuple[str, Callable[[np.ndarray], Any], int]] = {
    "JPEG of 12 bits": ("1.2.840.10008.1.2.4.51", jpeg_of(12, lossless=False), 4),
    "JPEG lossless": ("1.2.840.10008.1.2.4.57", imagecodecs.ljpeg_encode, 0),
    "JPEG lossless, first order": ("1.2.840.10008.1.2.4.70", jpeg_of(16, lossless=True), 0),
    "JPEG lossless of 12 bits": ("1.2.840.10008.1.2.4.70", jpeg_of(12, lossless=True), 0),
    "JPEG-LS": ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode, 0),
    "JPEG-LS, nearly lossless": ("1.2.840.10008.1.2.4.81", lambda a: imagecodecs.jpegls_encode(a, level=2), 2),
    "JPEG 2000": (JPEG_2000, lambda a: imagecodecs.jpeg2k_encode(a, reversible=True, level=0), 0),
    "JPEG 2000, code stream alone": (
        JPEG_2000, lambda a: imagecodecs.jpeg2k_encode(a, reversible=True, level=0, codecformat="j2k"), 0
    ),
    "HTJ2K": ("1.2.840.10008.1.2.4.201", imagecodecs.htj2k_encode, 0),
    "HTJ2K by resolution": ("1.2.840.10008.1.2.4.202", imagecodecs.htj2k_encode, 0),
    "HTJ2K, lossy": ("1.2.840.10008.1.2.4.203", imagecodecs.htj2k_encode, 0),
}  # fmt: skip


@pytest.mark.parametrize("kind", PACKINGS)
def test_packed_pixels(tmp_path: Path, kind: str) -> None:
    syntax, encode, error = PACKINGS[kind]
    path = packed(tmp_path / "a.dcm", syntax, [bytes(encode(STORED))], BitsStored=12, HighBit=11)
    image = read_image(path)
    assert np.abs(image.pixels[0] - HU).max() <= error
    assert (image.unit, image.window, image.notes) == ("HU", HU_WINDOW, ())


@pytest.mark.parametrize("kind", PACKINGS)
def test_packed_frames_are_read_one_at_a_time(tmp_path: Path, kind: str) -> None:
    syntax, encode, error = PACKINGS[kind]
    frames = [bytes(encode(STORED + n)) for n in range(4)]
    path = packed(tmp_path / "a.dcm", syntax, frames, NumberOfFrames="4")
    assert count_pages(path) == 4
    for number in (3, 0, 2):
        assert np.abs(read_image(path, number).pixels[0] - HU - number).max() <= error


@pytest.mark.parametrize("kind", PACKINGS)
def test_packed_pixels_that_end_early_are_not_made_up(tmp_path: Path, kind: str) -> None:
    syntax, encode, _ = PACKINGS[kind]
    whole = bytes(encode(STORED))
    for share in (0.2, 0.5, 0.9, 0.99):
        refused(packed(tmp_path / "a.dcm", syntax, [whole[: int(share * len(whole))]]))


def test_run_lengths(tmp_path: Path) -> None:
    data = pydicom.dcmread(dicom(tmp_path / "a.dcm", STORED, intercept=-1024))
    data.compress(pydicom.uid.RLELossless)
    data.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").pixels[0], HU)


@pytest.mark.parametrize("kind", ["JPEG lossless", "JPEG-LS", "JPEG 2000", "HTJ2K"])
def test_signed_numbers_packed_without_their_sign(tmp_path: Path, kind: str) -> None:
    """What packs has no sign, or was not told of it: the header knows, at the bits that were packed."""
    syntax, encode, _ = PACKINGS[kind]
    path = packed(
        tmp_path / "a.dcm",
        syntax,
        [bytes(encode(HU.view(np.uint16)))],
        HU,
        intercept=0,
        PixelRepresentation=1,
    )
    np.testing.assert_array_equal(read_image(path).pixels[0], HU)
    twelve = (HU & 0x0FFF).astype(np.uint16)
    packed(
        path,
        syntax,
        [bytes(encode(twelve))],
        HU,
        intercept=0,
        PixelRepresentation=1,
        BitsStored=12,
        HighBit=11,
    )
    np.testing.assert_array_equal(read_image(path).pixels[0], HU)


@pytest.mark.parametrize("stated", [0, 1])
@pytest.mark.parametrize("encode", ["jpeg2k", "htj2k", "by its bytes"])
def test_signed_numbers_packed_with_their_sign(tmp_path: Path, encode: str, stated: int) -> None:
    if encode == "by its bytes":  # as some scanners wrote it: the SIZ marker alone says so
        code = bytearray(
            imagecodecs.jpeg2k_encode(
                HU.view(np.uint16) ^ 0x8000, reversible=True, level=0, codecformat="j2k"
            )
        )
        at = code.index(b"\xff\x51") + 40
        assert code[at] == 15
        code[at] |= 0x80
    elif encode == "jpeg2k":
        code = bytearray(imagecodecs.jpeg2k_encode(HU, reversible=True, level=0))
    else:
        code = bytearray(imagecodecs.htj2k_encode(HU))
    path = packed(tmp_path / "a.dcm", JPEG_2000, [bytes(code)], HU, intercept=0, PixelRepresentation=stated)
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels[0], HU)
    assert len(image.notes) == 1 - stated
    assert stated or "sign" in image.notes[0]


COLOURS = np.random.default_rng(1).integers(0, 256, (40, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["JPEG lossless, first order", "JPEG-LS", "JPEG 2000", "HTJ2K"])
def test_packed_colours(tmp_path: Path, kind: str) -> None:
    syntax, encode, _ = PACKINGS[kind]
    encode = jpeg_of(8, lossless=True) if kind.startswith("JPEG lossless") else encode
    path = packed(
        tmp_path / "a.dcm", syntax, [bytes(encode(COLOURS))], modality="US", SamplesPerPixel=3, BitsAllocated=8,
        BitsStored=8, HighBit=7, PlanarConfiguration=0, PhotometricInterpretation="RGB",
    )  # fmt: skip
    np.testing.assert_array_equal(read_image(path).pixels, np.moveaxis(COLOURS, 2, 0))


def test_an_overlay_above_the_highest_bit_is_no_number(tmp_path: Path) -> None:
    marked = STORED.copy()
    marked[::3] |= 0x8000
    for code in (imagecodecs.jpegls_encode, jpeg_of(16, lossless=True)):
        path = packed(tmp_path / "a.dcm", "1.2.840.10008.1.2.4.80", [bytes(code(marked))], BitsStored=12)
        np.testing.assert_array_equal(read_image(path).pixels[0], HU)
    plain = dicom(tmp_path / "b.dcm", marked, intercept=-1024, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_image(plain).pixels[0], HU)


def test_what_is_packed_must_have_the_size_that_is_stated(tmp_path: Path) -> None:
    """A frame of many pixels in a file that claims few would take the memory of the many."""
    large = bytes(imagecodecs.jpegls_encode(np.zeros((4000, 4000), np.uint16)))
    assert "4000 x 4000" in refused(packed(tmp_path / "a.dcm", "1.2.840.10008.1.2.4.80", [large]))
    wide = bytes(imagecodecs.jpeg2k_encode(np.zeros((40, 5000), np.uint16)))
    assert "40 x 5000" in refused(packed(tmp_path / "b.dcm", JPEG_2000, [wide]))
    small = bytes(imagecodecs.jpeg_encode(np.zeros((40, 49), np.uint8)))
    assert "40 x 49" in refused(packed(tmp_path / "c.dcm", "1.2.840.10008.1.2.4.50", [small]))


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.94"]
)
def test_what_is_packed_otherwise_is_named(tmp_path: Path, syntax: str) -> None:
    message = refused(packed(tmp_path / "a.dcm", syntax, [b"\0\0\1\xb3" + bytes(400)]))
    assert syntax in message
    assert "Explicit VR Little Endian" in message
    assert "damaged" not in message


def test_a_deflated_data_set_is_inflated_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dicom(tmp_path / "a.dcm", STORED, intercept=-1024)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data.save_as(path)
    np.testing.assert_array_equal(read_image(path).pixels[0], HU)
    np.testing.assert_array_equal(read_image(tmp_path).pixels[0], HU)
    monkeypatch.setattr(dicom_pixels, "_MOST_INFLATED", 2000)
    assert "unpacks to more" in refused(path)


# -- how it is told ---------------------------------------------------------------------------------------

PREAMBLES = [
    b"II*\0\x08\0\0\0",
    b"MM\0*",
    b"\x89PNG\r\n\x1a\n",
    b"PK\x03\x04",
    b"\x93NUMPY",
    b"\x1f\x8b",
    b"MATLAB 5.0",
]


@pytest.mark.parametrize("preamble", PREAMBLES, ids=lambda b: b[:5].hex())
def test_the_preamble_may_be_of_another_format(tmp_path: Path, preamble: bytes) -> None:
    """PS3.10 7.1: such a file is DICOM, and may be the other as well."""
    path = dicom(tmp_path / "a.tif", STORED, intercept=-1024)
    path.write_bytes(preamble.ljust(128, b"\0") + path.read_bytes()[128:])
    image = read_image(path)
    assert image.unit == "HU"
    np.testing.assert_array_equal(image.pixels[0], HU)
    assert read_image(tmp_path).unit == "HU"


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("what", ["preamble", "preamble and meta"])
@pytest.mark.parametrize("name", ["a", "a.dcm", "a.tif", "0001"])
def test_without_preamble(tmp_path: Path, what: str, implicit: bool, name: str) -> None:
    path = dicom(tmp_path / name, STORED, intercept=-1024, SpecificCharacterSet="ISO_IR 100")
    data = pydicom.dcmread(path)
    if implicit:
        data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        data.save_as(path)
    whole = path.read_bytes()
    meta = 132 + 12 + struct.unpack_from("<I", whole, 140)[0]
    path.write_bytes(whole[132 if what == "preamble" else meta :])
    assert recognise_file(path).kind == "DICOM file"
    np.testing.assert_array_equal(read_image(path).pixels[0], HU)
    assert read_image(tmp_path).unit == "HU"


def test_packed_without_meta(tmp_path: Path) -> None:
    """The way its pixels are packed is told by themselves."""
    grey = (STORED >> 3).astype(np.uint8)
    for syntax, code in (
        ("70", jpeg_of(8, lossless=True)(grey)),
        ("50", imagecodecs.jpeg_encode(grey, level=99)),
    ):
        path = packed(
            tmp_path / "a", f"1.2.840.10008.1.2.4.{syntax}", [bytes(code)], intercept=0, BitsAllocated=8, BitsStored=8,
            HighBit=7, SpecificCharacterSet="ISO_IR 100", modality="DX",
        )  # fmt: skip
        whole = path.read_bytes()
        path.write_bytes(whole[132 + 12 + struct.unpack_from("<I", whole, 140)[0] :])
        assert np.abs(read_image(path).pixels[0] - grey).max() <= (0 if syntax == "70" else 4)


@pytest.mark.parametrize(
    "start",
    [b"\x08\0\x05\0CS", b"\x08\0" * 300, b"\x02\0\0\0UL" + b"\xff" * 600, bytes(600), b"words " * 100],
)
def test_what_only_begins_like_dicom_is_none(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "a").write_bytes(start)
    assert recognise_file(tmp_path / "a").kind == "picture"
    refused(tmp_path / "a")


# -- what the numbers mean --------------------------------------------------------------------------------


def test_numbers_with_a_unit_are_never_turned_round(tmp_path: Path) -> None:
    """MONOCHROME1 says how to show them (PS3.3 C.7.6.3.1.2); the rescale comes before."""
    white = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    image = read_image(dicom(tmp_path / "ct.dcm", STORED, intercept=-1024, **white))
    np.testing.assert_array_equal(image.pixels[0], HU)
    assert image.unit == "HU"
    assert "white as low" in image.notes[0]
    dose = read_image(dicom(tmp_path / "pt.dcm", STORED, modality="PT", Units="BQML", slope=2.0, **white))
    np.testing.assert_array_equal(dose.pixels[0], 2.0 * STORED)
    optical = read_image(dicom(tmp_path / "dx.dcm", STORED, modality="DX", RescaleType="OD", **white))
    np.testing.assert_array_equal(optical.pixels[0], STORED)
    assert optical.unit == "OD"
    shown_only = read_image(dicom(tmp_path / "cr.dcm", STORED, modality="CR", **white))
    np.testing.assert_array_equal(shown_only.pixels[0], 4095.0 - STORED)


def test_frames_of_an_enhanced_file_keep_their_unit(tmp_path: Path) -> None:
    stored = np.stack([STORED, STORED + 1])
    path = enhanced(tmp_path / "a.dcm", stored)
    data = pydicom.dcmread(path)
    data.PhotometricInterpretation = "MONOCHROME1"
    data.save_as(path)
    np.testing.assert_array_equal(read_image(path, 1).pixels[0], stored[1] * 2.0 - 1000)


def test_numbers_of_floats(tmp_path: Path) -> None:
    """A parametric map: Float Pixel Data in the place of Pixel Data."""
    path = dicom(tmp_path / "a.dcm", STORED, modality="MR")
    data = pydicom.dcmread(path)
    values = np.random.default_rng(2).standard_normal(STORED.shape).astype(np.float32)
    del data.PixelData, data.BitsStored, data.HighBit, data.PixelRepresentation
    data.BitsAllocated, data.FloatPixelData = 32, values.tobytes()
    data.save_as(path)
    np.testing.assert_array_equal(read_image(path).pixels[0], values)


# -- what is no slice -------------------------------------------------------------------------------------


def with_icon(path: Path) -> Path:
    """An object that shows nothing but a small picture of another, with an overlay on it."""
    data = pydicom.dcmread(dicom(path, STORED))
    icon = Dataset()
    icon.Rows, icon.Columns, icon.SamplesPerPixel, icon.PhotometricInterpretation = 64, 64, 1, "MONOCHROME2"
    icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 8, 8, 7, 0
    icon.PixelData = bytes(64 * 64)
    data.IconImageSequence = Sequence([icon])
    data.add_new(0x60003000, "OW", bytes(240))
    data.add_new(0x60000010, "US", 40)
    del data.PixelData
    data.save_as(path)
    return path


def test_icons_and_overlays_are_no_images(tmp_path: Path) -> None:
    assert "holds no pixels" in refused(with_icon(tmp_path / "a.dcm"))


def test_objects_without_images_are_passed_over_and_said(tmp_path: Path) -> None:
    slices = series_of(tmp_path, 3)
    with_icon(tmp_path / "presentation.dcm")
    series_of(tmp_path, 1, uid="1.2.5", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    report = pydicom.dcmread(dicom(tmp_path / "report", STORED))
    del report.Rows, report.Columns, report.PixelData
    report.save_as(tmp_path / "report")
    image = read_image(tmp_path, 1)
    np.testing.assert_array_equal(image.pixels[0], slices[1] - 1024.0)
    (note,) = image.notes
    assert all(name in note for name in ("presentation.dcm", "report", "1.2.5-000.dcm"))
    check_sentence(note)


def test_objects_without_images_beside_pictures_are_passed_over(tmp_path: Path) -> None:
    png(tmp_path / "1.png", np.zeros((20, 31), np.uint8))
    with_icon(tmp_path / "DICOMDIR")
    image = read_image(tmp_path)
    assert image.pages == 1
    assert "DICOMDIR" in image.notes[0]
    (tmp_path / "1.png").unlink()
    assert "holds no pixels" in refused(tmp_path)


def test_a_file_that_ends_before_its_pixels(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", STORED)
    path.write_bytes(path.read_bytes()[: -STORED.nbytes // 2])
    assert "a.dcm" in refused(path)
    with open_pages(path) as pages:
        assert pages.count == 1
    assert read_image(dicom(path, STORED), 0, ReadingSettings()).unit == "HU"
