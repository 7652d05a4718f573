"""Reading images: exact values in the file's own unit, and one sentence for everything else."""

import datetime
import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from padis_gui.core.files.formats.open import count_pages, list_datasets, open_pages
from padis_gui.core.files.formats.pages import LARGEST
from padis_gui.core.files.formats.recognise import recognise_file
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import HU_WINDOW, Image
from padis_gui.core.settings.errors import InputError

RNG = np.random.default_rng(0)


def picture(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    image = Pillow.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


def tiff(path: Path, array: np.ndarray, **options) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def refused(path: Path, page: int = 0) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path, page)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name[:50] in message or str(path) in message
    assert message.endswith(".")
    return message


def test_a_file_is_recognised_once_whatever_is_done_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(
        "padis_gui.core.files.formats.open.recognise_file",
        lambda path: (looked.append(path), recognise_file(path))[1],
    )
    array = np.zeros((2, 20, 31), np.float32)
    misnamed = npy(tmp_path / "b.npy", array).rename(tmp_path / "b.png")
    for path in (tiff(tmp_path / "a.tif", array), misnamed):
        for use in (read_image, count_pages, list_datasets, lambda one: open_pages(one).close()):
            looked.clear()
            use(path)
            assert looked == [path]


# -- values -----------------------------------------------------------------------------------------------


def test_png_8_bit(tmp_path: Path) -> None:
    array = RNG.integers(0, 256, (20, 31), dtype=np.uint8)
    image = read_image(picture(tmp_path / "a.png", array))
    assert image.pixels.dtype == np.float32
    assert np.array_equal(image.pixels, array[None].astype(np.float32))
    assert (image.window, image.unit, image.shape, image.channels) == ((0.0, 255.0), "", (20, 31), 1)


def test_png_16_bit(tmp_path: Path) -> None:
    array = RNG.integers(0, 65536, (20, 31), dtype=np.uint16)
    image = read_image(picture(tmp_path / "a.png", array))
    assert np.array_equal(image.pixels, array[None].astype(np.float32))
    assert image.window == (0.0, 65535.0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_png_colour(tmp_path: Path, mode: str) -> None:
    array = RNG.integers(0, 256, (20, 31, len(mode)), dtype=np.uint8)
    image = read_image(picture(tmp_path / "a.png", array))
    assert np.array_equal(image.pixels, np.moveaxis(array[..., :3], 2, 0).astype(np.float32))
    assert image.channels == 3
    grey = image.with_channels(1)
    expected = array[..., :3] @ np.array([0.2125, 0.7154, 0.0721])
    assert grey.pixels[0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_png_colour_of_16_bits(tmp_path: Path, channels: int) -> None:
    """Pillow would leave the lower 8 away."""
    array = RNG.integers(0, 65536, (20, 31, channels), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    image = read_image(tmp_path / "a.png")
    expected = array[..., :1] if channels == 2 else array[..., :3]
    assert np.array_equal(image.pixels, np.moveaxis(expected, 2, 0).astype(np.float32))
    assert image.window == (0.0, 65535.0)


@pytest.mark.parametrize(("bits", "lossless"), [(12, False), (12, True), (16, True)])
def test_jpeg_of_more_than_8_bits(tmp_path: Path, bits: int, lossless: bool) -> None:
    array = np.tile(np.linspace(0, 2**bits - 1, 40).astype(np.uint16), (30, 1))
    data = imagecodecs.jpeg_encode(
        array, bitspersample=bits, lossless=lossless, level=None if lossless else 99
    )
    (tmp_path / "a.jpg").write_bytes(data)
    image = read_image(tmp_path / "a.jpg")
    assert np.abs(image.pixels[0] - array).mean() < (0.1 if lossless else 30)
    assert image.window == (0.0, 2.0**bits - 1)
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    refused(tmp_path / "a.jpg")


def test_png_palette_and_bitmap(tmp_path: Path) -> None:
    array = RNG.integers(0, 2, (20, 31), dtype=np.uint8) * 255
    palette = read_image(picture(tmp_path / "p.png", array, "P"))
    assert np.array_equal(palette.pixels[0], array)
    bitmap = read_image(picture(tmp_path / "b.png", array, "1"))
    assert np.array_equal(bitmap.to_unit()[0].numpy(), array / 255)


def test_jpeg(tmp_path: Path) -> None:
    array = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (30, 1))
    picture(tmp_path / "a.jpg", array)
    assert np.abs(read_image(tmp_path / "a.jpg").pixels[0] - array).mean() < 3


def test_tiff_int16_hounsfield_pages(tmp_path: Path) -> None:
    array = RNG.integers(-1024, 3000, (3, 20, 31), dtype=np.int16)
    path = tiff(tmp_path / "a.tif", array, photometric="minisblack")
    assert count_pages(path) == 3
    for page in range(3):
        image = read_image(path, page)
        assert np.array_equal(image.pixels[0], array[page].astype(np.float32))
        assert (image.unit, image.window, image.page, image.pages) == ("HU", HU_WINDOW, page, 3)


def test_tiff_imagej_stack(tmp_path: Path) -> None:
    array = RNG.standard_normal((4, 20, 31)).astype(np.float32)
    path = tiff(tmp_path / "a.tif", array, imagej=True)
    assert count_pages(path) == 4
    assert np.array_equal(read_image(path, 2).pixels[0], array[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.int32])
def test_tiff_types(tmp_path: Path, dtype: type) -> None:
    array = (RNG.random((20, 31)) * 100).astype(dtype)
    image = read_image(tiff(tmp_path / "a.tif", array))
    assert np.array_equal(image.pixels[0], array.astype(np.float32))


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd"])
def test_tiff_compressed(tmp_path: Path, compression: str) -> None:
    array = RNG.integers(-1000, 1000, (20, 31), dtype=np.int16)
    image = read_image(tiff(tmp_path / "a.tif", array, compression=compression))
    assert np.array_equal(image.pixels[0], array)


@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_tiff_colour(tmp_path: Path, layout: str) -> None:
    array = RNG.integers(0, 256, (20, 31, 3), dtype=np.uint8)
    stored = array if layout == "contig" else np.moveaxis(array, 2, 0)
    path = tiff(tmp_path / "a.tif", np.ascontiguousarray(stored), photometric="rgb", planarconfig=layout)
    assert np.array_equal(read_image(path).pixels, np.moveaxis(array, 2, 0).astype(np.float32))


def test_tiff_spacing(tmp_path: Path) -> None:
    array = np.zeros((20, 31), np.float32)
    path = tiff(
        tmp_path / "a.tif", array, imagej=True, resolution=(1 / 0.5, 1 / 0.25), metadata={"unit": "mm"}
    )
    assert read_image(path).spacing == pytest.approx((0.25, 0.5))
    assert read_image(tiff(tmp_path / "b.tif", array)).spacing is None


def test_npy_stack_and_colour(tmp_path: Path) -> None:
    array = RNG.standard_normal((5, 20, 31))
    path = npy(tmp_path / "a.npy", array)
    assert count_pages(path) == 5
    assert np.array_equal(read_image(path, 4).pixels[0], array[4].astype(np.float32))
    colour = RNG.random((20, 31, 3))
    assert np.array_equal(
        read_image(npy(tmp_path / "c.npy", colour)).pixels, np.moveaxis(colour, 2, 0).astype(np.float32)
    )
    fortran = np.asfortranarray(array[0])
    assert np.array_equal(read_image(npy(tmp_path / "f.npy", fortran)).pixels[0], fortran.astype(np.float32))


def test_photographs_stand_upright(tmp_path: Path) -> None:
    array = RNG.integers(0, 256, (20, 31), dtype=np.uint8)
    exif = Pillow.Exif()
    exif[0x0112] = 6  # held on its side
    Pillow.fromarray(array).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png").pixels[0], np.rot90(array, -1).astype(np.float32))


def test_kind_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    array = RNG.integers(0, 256, (20, 31), dtype=np.uint8)
    picture(tmp_path / "a.png", array)
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels[0], array)


def dicom(
    path: Path,
    stored: np.ndarray,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    modality: str = "CT",
    stack: np.ndarray | None = None,
    stated: tuple[int, int] | None = None,
    **tags,
) -> Path:
    """A minimal CT slice written by pydicom; ``stack`` for several frames, ``stated`` for false sides."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.Rows, data.Columns = modality, *(stated or stored.shape)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.RescaleSlope, data.RescaleIntercept = str(slope), str(intercept)
    data.ContentDate = datetime.date(2020, 1, 1)
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = (stored if stack is None else stack).tobytes()
    assert pydicom is not None
    data.save_as(path, enforce_file_format=True)
    return path


def test_dicom_hounsfield_units(tmp_path: Path) -> None:
    stored = RNG.integers(0, 4096, (20, 31), dtype=np.uint16)
    image = read_image(dicom(tmp_path / "a.dcm", stored, intercept=-1024, PixelSpacing=["0.7", "0.8"]))
    assert np.array_equal(image.pixels[0], stored.astype(np.float32) - 1024)
    assert (image.unit, image.window, image.spacing) == ("HU", HU_WINDOW, (0.7, 0.8))
    half = read_image(dicom(tmp_path / "b.dcm", stored, slope=0.5, intercept=-1000))
    assert np.array_equal(half.pixels[0], stored * np.float32(0.5) - 1000)
    assert half.spacing is None


@pytest.mark.parametrize("spacing", [["0", "0"], ["-1", "1"], "0.7"])
def test_dicom_spacing_that_cannot_be(tmp_path: Path, spacing: object) -> None:
    stored = np.zeros((20, 31), np.int16)
    assert read_image(dicom(tmp_path / "a.dcm", stored, PixelSpacing=spacing)).spacing is None


def test_real_dicom_series(shared: Path) -> None:
    import pydicom

    files = sorted((shared / "data" / "dicom").glob("*.dcm"))
    for path in files[:3]:
        image, data = read_image(path), pydicom.dcmread(path)
        expected = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
        assert np.array_equal(image.pixels[0], expected.astype(np.float32))
        assert image.unit == "HU"
        assert image.shape == (512, 512)
        assert image.spacing == pytest.approx(tuple(float(v) for v in data.PixelSpacing))
        assert image.pixels.min() < -900  # air
    assert files


def test_real_hounsfield_stack(shared: Path) -> None:
    path = shared / "data" / "ct_val_256.tif"
    assert count_pages(path) == 22
    image = read_image(path, 21)
    assert np.array_equal(image.pixels[0], tifffile.imread(path, key=21).astype(np.float32))
    assert (image.shape, image.unit) == ((256, 256), "HU")
    assert "0 to 21" in refused(path, 22)


# -- the window -------------------------------------------------------------------------------------------


def test_to_unit_and_back() -> None:
    pixels = np.linspace(-1000, 1000, 400, dtype=np.float32).reshape(1, 20, 20)
    image = Image(pixels=pixels, window=(-1000.0, 1000.0), unit="HU")
    unit = image.to_unit()
    assert (float(unit.min()), float(unit.max())) == (0.0, 1.0)
    assert image.from_unit(unit) == pytest.approx(pixels, abs=1e-3)
    assert float(image.with_window((0.0, 1000.0)).to_unit().min()) == 0.0  # clipped
    beyond = image.from_unit(unit * 3 - 1)
    assert beyond.min() == pytest.approx(-3000)  # not clipped
    assert beyond.max() == pytest.approx(3000)


def test_channels_that_cannot_be_made() -> None:
    grey = Image(pixels=np.zeros((1, 20, 20), np.float32), name="grey.png")
    with pytest.raises(InputError, match=r"3 channels was wanted, but grey\.png has 1"):
        grey.with_channels(3)


def test_constant_images_have_a_window(tmp_path: Path) -> None:
    image = read_image(npy(tmp_path / "c.npy", np.full((20, 20), 7.5)))
    assert image.window[0] < image.window[1]
    assert bool(np.isfinite(image.to_unit().numpy()).all())


# -- files that are none ----------------------------------------------------------------------------------


def test_missing_folder_empty(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.png")
    assert "is a folder" in refused(tmp_path)
    for name in ("a.png", "a.tif", "a.npy", "a.dcm"):
        (tmp_path / name).write_bytes(b"")
        assert "is empty" in refused(tmp_path / name)
    with pytest.raises(InputError, match="too long"):
        read_image(tmp_path / ("long" * 200))
    with pytest.raises(InputError, match="does not exist"):
        count_pages(tmp_path / "none.tif")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.dcm", "a.jpg", "a.bmp", "a"])
def test_text_under_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("These are words, no pixels.\n" * 20)
    refused(tmp_path / name)


@pytest.mark.parametrize("kind", ["png", "tif", "dcm", "npy", "jpg"])
def test_truncated_files(tmp_path: Path, kind: str) -> None:
    array = RNG.integers(0, 256, (64, 64), dtype=np.uint8)
    path = tmp_path / f"a.{kind}"
    match kind:
        case "tif":
            tiff(path, array)
        case "npy":
            npy(path, array)
        case "dcm":
            dicom(path, array.astype(np.int16))
        case _:
            picture(path, array)
    whole = path.read_bytes()
    for share in (0.02, 0.1, 0.3, 0.6):
        path.write_bytes(whole[: max(5, int(share * len(whole)))])
        if kind == "jpg" and share > 0.5:
            continue
        refused(path)
        assert count_pages(path) >= 1


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    """Seeded damage to small files: an image or an InputError, nothing else."""
    array = RNG.integers(0, 256, (24, 24), dtype=np.uint8)
    samples = [
        picture(tmp_path / "a.png", array), tiff(tmp_path / "a.tif", array), npy(tmp_path / "a.npy", array),
        dicom(tmp_path / "a.dcm", array.astype(np.int16)), tiff(tmp_path / "z.tif", array, compression="zlib"),
    ]  # fmt: skip
    rng, messages = np.random.default_rng(1), []
    for path in samples:
        whole = path.read_bytes()
        for _ in range(40):
            data = bytearray(whole)
            for _ in range(int(rng.integers(1, 6))):
                data[int(rng.integers(min(len(data), 700)))] = int(rng.integers(256))
            path.write_bytes(data)
            try:
                count_pages(path)
                assert np.isfinite(read_image(path).pixels).all()
            except InputError as error:
                messages.append(str(error))
    assert len(messages) > 20
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["tif", "npy"])
def test_pixels_that_are_not_finite(tmp_path: Path, value: float, kind: str) -> None:
    array = np.zeros((20, 20), np.float32)
    array[3, 4] = array[5, 6] = value
    path = tmp_path / f"a.{kind}"
    tiff(path, array) if kind == "tif" else npy(path, array)
    assert "2 NaN or infinite" in refused(path)


def test_numbers_too_big_for_float32(tmp_path: Path) -> None:
    assert "infinite" in refused(npy(tmp_path / "a.npy", np.full((20, 20), 1e300)))


@pytest.mark.parametrize(
    "shape", [(), (64,), (2, 5, 64, 64), (0, 64), (64, 0), (15, 64), (64, 15), (LARGEST + 1, 16)]
)
def test_shapes_that_are_no_image(tmp_path: Path, shape: tuple[int, ...]) -> None:
    refused(npy(tmp_path / "a.npy", np.zeros(shape, np.uint8)))


@pytest.mark.parametrize("shape", [(8, 8), (LARGEST + 1, 16)])
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_too_small_and_too_large(tmp_path: Path, shape: tuple[int, int], kind: str) -> None:
    path, array = tmp_path / f"a.{kind}", np.zeros(shape, np.uint8)
    picture(path, array) if kind == "png" else tiff(path, array)
    assert str(shape[0]) in refused(path)


def test_a_huge_png_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A header that promises 60000 x 60000 pixels costs nothing."""
    buffer = io.BytesIO()
    Pillow.fromarray(np.zeros((16, 16), np.uint8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = struct.pack(">II", 60000, 60000)
    import zlib

    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "bomb.png").write_bytes(data)
    refused(tmp_path / "bomb.png")


def test_kinds_of_numbers(tmp_path: Path) -> None:
    assert "complex" in refused(npy(tmp_path / "c.npy", np.zeros((20, 20), complex)))
    assert "real numbers" in refused(npy(tmp_path / "s.npy", np.full((20, 20), "text")))
    np.save(tmp_path / "o.npy", np.array([[{}] * 20] * 20, dtype=object), allow_pickle=True)
    refused(tmp_path / "o.npy")


def test_pickled_arrays_are_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return exec, ("raise SystemExit('the pickle was run')",)

    np.save(tmp_path / "bomb.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    refused(tmp_path / "bomb.npy")


@pytest.mark.parametrize("page", [-1, 3, 10**9])
def test_pages_out_of_range(tmp_path: Path, page: int) -> None:
    array = np.zeros((3, 20, 31), np.uint8)
    for path in (tiff(tmp_path / "a.tif", array, photometric="minisblack"), npy(tmp_path / "a.npy", array)):
        assert "pages 0 to 2" in refused(path, page)
    refused(picture(tmp_path / "a.png", array[0]), page)


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = picture(tmp_path / "a.png", np.zeros((20, 20), np.uint8))

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    assert "Permission denied" in refused(path)
