"""TIFF of every common kind: the numbers, colours, order, spacing and unit that were written come back."""

import json
import logging
import os
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from padis_gui.core.exports.about import About
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.exports.tiff import write_tiff
from padis_gui.core.files.formats.open import count_pages, list_datasets, open_pages
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import HU_WINDOW, ReadingSettings
from padis_gui.core.settings.errors import InputError
from tests.core.exports.test_write import recipe

RNG = np.random.default_rng(0)
PAGES = RNG.standard_normal((5, 20, 31)).astype(np.float32)
COLOURS = RNG.integers(0, 256, (4, 20, 31, 3), dtype=np.uint8)


def tiff(path: Path, array: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


def refused(path: Path, page: int = 0, dataset: str = "") -> str:
    with pytest.raises(InputError) as caught:
        read_image(path, page, ReadingSettings(dataset=dataset))
    message = str(caught.value)
    assert path.name in message
    assert message.endswith(".")
    return message


def page(path: Path, number: int = 0, dataset: str = "") -> np.ndarray:
    return read_image(path, number, ReadingSettings(dataset=dataset)).pixels


# -- numbers ----------------------------------------------------------------------------------------------

TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_in_either_byte_order(tmp_path: Path, kind: str, order: str, big: bool) -> None:
    stack = (RNG.random((3, 20, 31)) * 100).astype(kind)
    path = tiff(tmp_path / "a.tif", stack, photometric="minisblack", byteorder=order, bigtiff=big)
    assert count_pages(path) == 3
    np.testing.assert_array_equal(page(path, 2)[0], stack[2].astype(np.float32))


COMPRESSIONS = ["zlib", "lzw", "zstd", "packbits", "lzma", "png", "webp", "jpegxl", "jpeg2000", "lerc"]


@pytest.mark.parametrize("layout", [{"rowsperstrip": 7}, {"tile": (16, 16)}], ids=["strips", "tiles"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_lossless_compressions(tmp_path: Path, compression: str, layout: dict) -> None:
    stack = RNG.integers(0, 256, (2, 20, 31), dtype=np.uint8)
    options: dict[str, Any] = {}
    if compression == "webp":
        stack = np.repeat(stack[..., None], 3, axis=-1)
        options = {"photometric": "rgb", "compressionargs": {"lossless": True}}
    elif compression == "jpeg2000":
        options = {"compressionargs": {"reversible": True}}
    elif compression == "jpegxl":
        options = {"compressionargs": {"lossless": True}}
    options.setdefault("photometric", "minisblack")
    path = tiff(tmp_path / "a.tif", stack, compression=compression, metadata=None, **options, **layout)
    expected = stack[1] if stack.ndim == 3 else stack[1, ..., 0]
    np.testing.assert_array_equal(page(path, 1)[0], expected)


@pytest.mark.parametrize("compression", ["jpeg", "jpegxr"])
def test_lossy_compressions(tmp_path: Path, compression: str) -> None:
    smooth = np.tile(np.linspace(0, 255, 48).astype(np.uint8), (32, 1))
    path = tiff(tmp_path / "a.tif", smooth, compression=compression)
    assert np.abs(page(path)[0] - smooth).mean() < 3
    colours = np.stack([smooth, smooth.copy(), np.full_like(smooth, 128)], axis=-1)
    path = tiff(tmp_path / "b.tif", colours, compression=compression, photometric="rgb")
    assert np.abs(page(path) - np.moveaxis(colours, 2, 0)).mean() < 3


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "f4"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_predictors(tmp_path: Path, kind: str, tile: tuple[int, int] | None) -> None:
    array = (RNG.random((20, 31)) * 100).astype(kind)
    path = tiff(tmp_path / "a.tif", array, compression="zlib", predictor=True, tile=tile)
    np.testing.assert_array_equal(page(path)[0], array.astype(np.float32))


def test_bits(tmp_path: Path) -> None:
    bits = RNG.random((20, 31)) > 0.5
    image = read_image(tiff(tmp_path / "a.tif", bits, photometric="minisblack"))
    np.testing.assert_array_equal(image.pixels[0], bits)
    assert image.window == (0.0, 1.0)
    white_is_zero = tiff(tmp_path / "b.tif", bits, photometric="miniswhite")
    np.testing.assert_array_equal(page(white_is_zero)[0], ~bits)
    few = RNG.integers(0, 16, (20, 32), dtype=np.uint8)
    packed = (
        read_image(tiff(tmp_path / "c.tif", few, bitspersample=4, compression="packints")) if False else None
    )
    assert packed is None


def test_twelve_bits_are_white_at_their_end(tmp_path: Path) -> None:
    stored = RNG.integers(0, 4096, (20, 32), dtype=np.uint16)
    data = imagecodecs.packints_encode(stored, 12)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            iter([data]), shape=(20, 32), dtype=np.uint16, bitspersample=12, rowsperstrip=20, metadata=None,
            photometric="minisblack",
        )  # fmt: skip
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels[0], stored)
    assert image.window == (0.0, 4095.0)


@pytest.mark.parametrize("layout", [{"rowsperstrip": 8}, {"rowsperstrip": 64}, {"tile": (16, 16)}])
@pytest.mark.parametrize("compression", ["none", "jpeg", *COMPRESSIONS])
def test_cut_pages_are_not_made_up(tmp_path: Path, compression: str, layout: dict) -> None:
    array = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tiff(
        tmp_path / "a.tif", array, compression=compression, photometric="rgb", metadata=None, **layout
    )
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.9, 0.98):
        path.write_bytes(whole[: int(share * len(whole))])
        refused(path)


def with_tag(path: Path, name: str, *values: int) -> Path:
    """The same file with other numbers of 16 bits in a tag of as many."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags[name].valueoffset
    data[at : at + 2 * len(values)] = np.array(values, "<u2").tobytes()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("Compression", 32809, "THUNDERSCAN"),  # which nothing unpacks
        ("Compression", 4711, "4711"),
        ("Predictor", 7, "7"),
        ("BitsPerSample", 37, "37 bits"),
        ("PhotometricInterpretation", 8, "CIE L*a*b*"),
        ("PhotometricInterpretation", 32803, "colour filter"),
        ("PhotometricInterpretation", 4711, "4711"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, tag: str, value: int, said: str) -> None:
    """It is not damaged: another program reads it."""
    whole = RNG.integers(0, 9, (20, 31)).astype(np.uint16)
    path = tiff(tmp_path / "a.tif", whole, compression="zlib", predictor=True, metadata=None)
    message = refused(with_tag(path, tag, value))
    assert said in message
    assert "damaged" not in message
    assert "; save it" in message


# -- colours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_colours(tmp_path: Path, kind: type, layout: str, alpha: bool, tile: tuple[int, int] | None) -> None:
    array = RNG.integers(0, 256, (2, 20, 31, 4 if alpha else 3)).astype(kind)
    stored = array if layout == "contig" else np.ascontiguousarray(np.moveaxis(array, 3, 1))
    extra = {"extrasamples": ["unassalpha"]} if alpha else {}
    path = tiff(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=layout, tile=tile, **extra)
    assert count_pages(path) == 2
    np.testing.assert_array_equal(page(path, 1), np.moveaxis(array[1, ..., :3], 2, 0))


def test_inks(tmp_path: Path) -> None:
    inks = np.zeros((20, 31, 4), np.uint8)
    inks[:10, :, 0] = 255  # cyan takes the red
    inks[:, 16:, 3] = 255  # black takes all
    rgb = page(tiff(tmp_path / "a.tif", inks, photometric="separated"))
    assert rgb[:, 0, 0].tolist() == [0, 255, 255]
    assert rgb[:, 15, 0].tolist() == [255, 255, 255]
    assert rgb[:, 0, 20].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "full"), [("u1", 255), ("u2", 65535), ("u4", 2**32 - 1), ("f4", 1), ("f8", 1)]
)
@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_inks_of_any_type(tmp_path: Path, kind: str, full: int, opacity: bool, layout: str) -> None:
    inks = RNG.integers(0, 256, (20, 31, 4))
    light = (1 - inks[..., :3] / 255) * (1 - inks[..., 3:] / 255)
    stored = np.concatenate([inks, np.full((20, 31, 1), 255)], axis=2) if opacity else inks
    stored = (stored / 255 * full).astype(kind)
    stored = stored if layout == "contig" else np.ascontiguousarray(np.moveaxis(stored, 2, 0))
    extra = {"extrasamples": ["unassalpha"]} if opacity else {}
    path = tiff(tmp_path / "a.tif", stored, photometric="separated", planarconfig=layout, **extra)
    image = read_image(path)
    assert image.channels == 3
    np.testing.assert_allclose(
        image.pixels / full, np.moveaxis(light, 2, 0), atol=1.5 / min(full, 255) if full > 1 else 1e-6
    )


def test_other_inks_are_refused(tmp_path: Path) -> None:
    inks = RNG.integers(0, 100, (20, 31, 5), dtype=np.uint8)
    options: dict[str, Any] = {"photometric": "separated", "metadata": None, "planarconfig": "contig"}
    other = tiff(tmp_path / "a.tif", inks, extratags=[(332, 3, 1, 2, True)], **options)
    assert "5 inks" in refused(other)
    three = tiff(tmp_path / "b.tif", inks[..., :3], photometric="rgb", metadata=None)
    assert "3 inks" in refused(with_tag(three, "PhotometricInterpretation", 5))
    for number, kind in enumerate((np.int16, np.float32)):  # floats up to 255
        assert "save it as RGB" in refused(
            tiff(tmp_path / f"{number}.tif", inks[..., :4].astype(kind), **options)
        )


def test_colour_spaces_that_are_not_read_are_said(tmp_path: Path) -> None:
    for kind, called in (
        ("cielab", "CIE L*a*b*"),
        ("icclab", "ICC L*a*b*"),
        ("ycbcr", "YCbCr"),
        ("logluv", "LogLuv"),
    ):
        for layout in ("contig", "separate"):
            stored = COLOURS[0] if layout == "contig" else np.ascontiguousarray(np.moveaxis(COLOURS[0], 2, 0))
            path = tiff(tmp_path / f"{kind}.tif", stored, photometric=kind, planarconfig=layout)
            message = refused(path)
            assert "save it as grey or RGB" in message
            assert called in message


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 7, 8, 12, 16])
@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("deep", [False, True], ids=["palette of 8 bits", "palette of 16 bits"])
def test_palettes(tmp_path: Path, bits: int, opacity: bool, deep: bool) -> None:
    """Of as many colours as the bits count; some programs fill them in from 0 to 255."""
    palette = RNG.integers(0, 2**16 if deep else 256, (3, 2**bits), dtype=np.uint16)
    palette[0, 0] = 65535 if deep else 255
    index = RNG.integers(0, 2**bits, (20, 32)).astype(np.uint8 if bits <= 8 else np.uint16)
    stored = np.stack([index, np.full_like(index, 2**bits - 1)], axis=-1) if opacity else index
    data = stored.tobytes() if bits in (8, 16) else imagecodecs.packints_encode(stored.reshape(20, -1), bits)
    tags = [(320, 3, palette.size, palette.ravel().tolist(), True)]
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            iter([data]), shape=stored.shape, dtype=stored.dtype, bitspersample=bits, rowsperstrip=20, metadata=None,
            photometric="minisblack", extratags=tags, planarconfig="contig",
            extrasamples=["unassalpha"] if opacity else None,
        )  # fmt: skip
    with_tag(path, "PhotometricInterpretation", 3)
    expected = (palette >> 8 if deep else palette)[:, index]
    np.testing.assert_array_equal(page(path), expected.astype(np.float32))


def test_palettes_that_cannot_be(tmp_path: Path) -> None:
    index = np.full((20, 32), 200, np.uint8)
    small = [(320, 3, 3 * 16, [65535] * 48, True)]
    path = tiff(tmp_path / "a.tif", index, extratags=small, metadata=None, photometric="minisblack")
    assert "number 200 of a palette of 16" in refused(with_tag(path, "PhotometricInterpretation", 3))
    path = tiff(tmp_path / "b.tif", index, metadata=None, photometric="minisblack")
    assert "missing" in refused(with_tag(path, "PhotometricInterpretation", 3))


# -- how it stands ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["grey", "colours", "planar", "packed", "ImageJ", "stack"])
def test_every_orientation_is_obeyed(tmp_path: Path, orientation: int, kind: str) -> None:
    """As Pillow stands the same picture upright when it is a PNG."""
    grey = RNG.integers(0, 256, (20, 31), dtype=np.uint8)
    stored = {
        "colours": COLOURS[0], "planar": np.ascontiguousarray(np.moveaxis(COLOURS[0], 2, 0)),
        "ImageJ": np.stack([grey, 255 - grey]), "stack": np.stack([grey, 255 - grey]),
    }.get(kind, grey)  # fmt: skip
    options: dict[str, Any] = {
        "colours": {"photometric": "rgb"}, "planar": {"photometric": "rgb", "planarconfig": "separate"},
        "packed": {"compression": "zlib", "tile": (16, 16)}, "ImageJ": {"imagej": True, "metadata": {"unit": "cm"}},
        "stack": {"photometric": "minisblack", "metadata": None},
    }.get(kind, {})  # fmt: skip
    path = tiff(
        tmp_path / "a.tif", stored, resolution=(20.0, 40.0), resolutionunit="centimeter",
        extratags=[(274, 3, 1, orientation, False)], **options,
    )  # fmt: skip
    picture = Pillow.fromarray(COLOURS[0] if kind in ("colours", "planar") else grey)
    exif = Pillow.Exif()
    exif[274] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    expected = read_image(tmp_path / "a.png").pixels
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.spacing == pytest.approx((0.5, 0.25) if orientation >= 5 else (0.25, 0.5))
    with open_pages(path) as pages:
        assert pages.sides(0) == image.shape
        part = (slice(3, 9), slice(5, 16))
        np.testing.assert_array_equal(pages.read(0, part).pixels, expected[:, 3:9, 5:16])
        if pages.count > 1:
            np.testing.assert_array_equal(pages.read(1).pixels, 255 - expected)


@pytest.mark.parametrize("orientation", [0, 9, 4711])
def test_an_orientation_that_is_none(tmp_path: Path, orientation: int) -> None:
    path = tiff(tmp_path / "a.tif", PAGES[0], extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_array_equal(page(path)[0], PAGES[0])


def test_grey_with_opacity_and_samples_that_are_no_colours(tmp_path: Path) -> None:
    array = RNG.integers(0, 256, (20, 31, 2), dtype=np.uint8)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    path = tiff(tmp_path / "a.tif", array, extrasamples=["unassalpha"], **options)
    np.testing.assert_array_equal(page(path), array[None, ..., 0])
    assert not read_image(path).notes
    assert not list_datasets(path)
    bands = RNG.integers(0, 256, (20, 31, 7), dtype=np.uint8)
    path = tiff(tmp_path / "b.tif", bands, **options)
    np.testing.assert_array_equal(page(path, dataset="0/5"), bands[None, ..., 5])
    assert "0 to 6" in refused(path, dataset="0/7")
    assert "7 channels" in read_image(path).notes[0]
    assert [(d.name, d.count) for d in list_datasets(path)] == [(f"0/{n}", 1) for n in range(7)]


def test_thumbnails_are_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(PAGES[0], metadata=None)
        writer.write(PAGES[0, ::2, ::2], subfiletype=1, metadata=None)
        writer.write(PAGES[1], metadata=None)
    assert count_pages(path) == 2
    np.testing.assert_array_equal(page(path, 1)[0], PAGES[1])


# -- series -----------------------------------------------------------------------------------------------

STACK = RNG.standard_normal((2, 3, 4, 20, 31)).astype(np.float32)  # times, channels, slices


@pytest.mark.parametrize("axes", ["TCZYX", "TZCYX", "CTZYX", "ZTCYX"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_an_ome_series_goes_through_its_slices_first(
    tmp_path: Path, axes: str, compression: str | None
) -> None:
    order = ["TCZYX".index(axis) for axis in axes]
    names = {"Channel": {"Name": ["bone", "iodine", "water"]}}
    path = tiff(
        tmp_path / "a.ome.tif", np.ascontiguousarray(STACK.transpose(order)), metadata={"axes": axes} | names,
        photometric="minisblack", compression=compression,
    )  # fmt: skip
    assert count_pages(path) == 8
    with open_pages(path) as pages:
        for number in (7, 0, 3, 4):
            np.testing.assert_array_equal(pages.read(number).pixels[0], STACK[number // 4, 0, number % 4])
    np.testing.assert_array_equal(page(path, 5, "0/2")[0], STACK[1, 2, 1])
    np.testing.assert_array_equal(page(path, 5, "0/iodine")[0], STACK[1, 1, 1])
    assert "iodine" in read_image(path).notes[0]
    assert not read_image(path, 0, ReadingSettings(dataset="0/0")).notes
    assert "0 to 2" in refused(path, dataset="0/3")
    assert "0 to 0" in refused(path, dataset="1")
    listed = list_datasets(path)
    assert [(d.name, d.count, d.usable, d.description) for d in listed] == [
        ("0/0", 8, True, "bone"), ("0/1", 8, True, "iodine"), ("0/2", 8, True, "water"),
    ]  # fmt: skip


def test_several_ome_images(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(PAGES, metadata={"axes": "ZYX", "PhysicalSizeX": 2.0, "PhysicalSizeY": 3.0})
        writer.write(PAGES[:2] * 2, metadata={"axes": "ZYX", "PhysicalSizeX": 5.0, "PhysicalSizeY": 7.0})
    assert (count_pages(path), count_pages(path, "1")) == (5, 2)
    second = read_image(path, 1, ReadingSettings(dataset="1"))
    np.testing.assert_array_equal(second.pixels[0], 2 * PAGES[1])
    assert second.spacing == pytest.approx((7e-3, 5e-3))
    assert "2 images" in read_image(path).notes[0]
    assert [d.name for d in list_datasets(path)] == ["0/0", "1/0"]


def test_ome_in_colour(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.ome.tif", COLOURS, metadata={"axes": "ZYXS"}, photometric="rgb")
    assert count_pages(path) == 4
    np.testing.assert_array_equal(page(path, 3), np.moveaxis(COLOURS[3], 2, 0))
    assert not list_datasets(path)


def test_a_file_of_a_set_that_is_not_there(tmp_path: Path) -> None:
    """Microscopes write a series into several files, each of which knows of the others."""
    path = tiff(tmp_path / "a.ome.tif", PAGES, metadata={"axes": "ZYX"}, photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        text = file.ome_metadata
    first = '<TiffData IFD="0" PlaneCount="5"/>'
    assert first in text
    other = (
        '<TiffData IFD="0" FirstZ="5" PlaneCount="2"><UUID FileName="b.ome.tif">urn:uuid:1</UUID></TiffData>'
    )
    set_ = text.replace(first, first + other).replace('SizeZ="5"', 'SizeZ="7"')
    tiff(path, PAGES, description=set_, metadata=None, photometric="minisblack")
    assert count_pages(path) == 7
    np.testing.assert_array_equal(page(path, 4)[0], PAGES[4])
    assert "another file" in refused(path, 6)


def test_imagej_hyperstacks(tmp_path: Path) -> None:
    stack = np.ascontiguousarray(STACK.transpose(0, 2, 1, 3, 4))
    path = tiff(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TZCYX"})
    assert count_pages(path) == 8
    np.testing.assert_array_equal(page(path, 6, "0/1")[0], STACK[1, 1, 2])
    assert "3 channels" in read_image(path).notes[0]
    rgb = tiff(tmp_path / "b.tif", COLOURS, imagej=True)
    assert count_pages(rgb) == 4
    np.testing.assert_array_equal(page(rgb, 3), np.moveaxis(COLOURS[3], 2, 0))


@pytest.mark.parametrize("options", [{}, {"imagej": True}], ids=["tifffile", "ImageJ"])
def test_one_directory_for_a_whole_stack(tmp_path: Path, options: dict) -> None:
    path = tiff(tmp_path / "a.tif", PAGES, photometric="minisblack", truncate=not options, **options)
    if options:  # as ImageJ writes what is larger than 4 GB: the other directories are left out
        with tifffile.TiffFile(path) as file:
            at, width = file.pages[0].offset, file.tiff.tagsize
            count = len(file.pages[0].tags)
        data = bytearray(path.read_bytes())
        data[at + 2 + count * width : at + 6 + count * width] = bytes(4)
        path.write_bytes(data)
    assert count_pages(path) == 5
    for number in range(5):
        np.testing.assert_array_equal(page(path, number)[0], PAGES[number])


def test_a_block_of_slices(tmp_path: Path) -> None:
    volume = RNG.random((8, 32, 48)).astype(np.float32)
    path = tiff(tmp_path / "a.tif", volume, photometric="minisblack", volumetric=True, tile=(16, 16, 16))
    assert count_pages(path) == 8
    np.testing.assert_array_equal(page(path, 5)[0], volume[5])


# -- large files ------------------------------------------------------------------------------------------

LARGE = (300, 2048, 2048)  # float32: 5 GB, which take no room on the disk


@pytest.mark.skipif(os.name == "nt", reason="files with holes are of another kind there")
@pytest.mark.parametrize("kind", ["ImageJ", "BigTIFF", "OME", "shaped"])
def test_a_page_of_gigabytes_loads_only_itself(tmp_path: Path, kind: str) -> None:
    options: dict[str, Any] = {
        "ImageJ": {"imagej": True}, "BigTIFF": {"bigtiff": True, "metadata": None, "photometric": "minisblack"},
        "OME": {"bigtiff": True, "ome": True, "metadata": {"axes": "ZYX"}, "photometric": "minisblack"},
        "shaped": {"bigtiff": True, "truncate": True, "photometric": "minisblack"},
    }[kind]  # fmt: skip
    path = tmp_path / "a.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile says that it leaves directories out for ImageJ
        tifffile.imwrite(path, shape=LARGE, dtype=np.float32, **options)
    assert path.stat().st_size > 5e9
    page_size = LARGE[1] * LARGE[2] * 4
    with path.open("r+b") as file:  # the last page is not empty
        file.seek(
            path.stat().st_size - 4 if kind in ("ImageJ", "shaped") else _last_page(path) + page_size - 4
        )
        file.write(np.float32(7).tobytes())
    read_image(tiff(tmp_path / "small.tif", PAGES))  # what is imported is not counted
    tracemalloc.start()
    try:
        with open_pages(path) as pages:
            opening = tracemalloc.get_traced_memory()[1]
            assert pages.count == LARGE[0]
            last = pages.read(LARGE[0] - 1).pixels
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert last[0, -1, -1] == 7
    assert opening < 2**21
    assert peak < 4 * page_size


def _last_page(path: Path) -> int:
    with tifffile.TiffFile(path) as file:
        return int(file.pages[-1].dataoffsets[0])


# -- spacing and units ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "millimetres"),
    [
        ("mm", 1),
        ("cm", 10),
        ("um", 1e-3),
        ("\\u00B5m", 1e-3),
        ("micron", 1e-3),
        ("inch", 25.4),
        ("nm", 1e-6),
    ],
)
def test_spacing_of_imagej(tmp_path: Path, unit: str, millimetres: float) -> None:
    path = tiff(
        tmp_path / "a.tif", PAGES, imagej=True, resolution=(1 / 0.5, 1 / 0.25),
        metadata={"unit": unit, "spacing": 2.5, "axes": "ZYX"},
    )  # fmt: skip
    image = read_image(path, 3)
    assert image.spacing == pytest.approx((0.25 * millimetres, 0.5 * millimetres))
    assert image.slice_spacing == pytest.approx(2.5 * millimetres)
    with open_pages(path) as pages:
        assert pages.is_volume
    other = tiff(tmp_path / "b.tif", PAGES, imagej=True, resolution=(2, 2), metadata={"unit": "pixel"})
    assert (read_image(other).spacing, read_image(other).slice_spacing) == (None, None)


@pytest.mark.parametrize(
    ("unit", "millimetres"), [(None, 1e-3), ("µm", 1e-3), ("mm", 1), ("nm", 1e-6), ("pixel", None)]
)
def test_spacing_of_ome(tmp_path: Path, unit: str | None, millimetres: float | None) -> None:
    sizes: dict[str, Any] = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 3.0}
    if unit is not None:
        sizes |= {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    path = tiff(tmp_path / "a.ome.tif", PAGES, metadata={"axes": "ZYX"} | sizes, photometric="minisblack")
    image = read_image(path, 1)
    if millimetres is None:
        assert (image.spacing, image.slice_spacing) == (None, None)
    else:
        assert image.spacing == pytest.approx((0.25 * millimetres, 0.5 * millimetres))
        assert image.slice_spacing == pytest.approx(3 * millimetres)


@pytest.mark.parametrize(
    ("resolution", "unit", "spacing"),
    [
        ((31.75, 31.75), "inch", (0.8, 0.8)),
        ((20.0, 40.0), "centimeter", (0.25, 0.5)),
        ((1e4, 1e4), "centimeter", (1e-3, 1e-3)),
        ((72, 72), "inch", None),  # a screen's
        ((300, 300), "inch", None),  # a printer's
        ((28.346, 28.346), "centimeter", None),  # 72 dpi in other words
        ((1, 1), "inch", None),
        ((2.0, 2.0), "none", None),
    ],
)
def test_resolutions_are_spacings_where_they_can_be(
    tmp_path: Path, resolution: tuple[float, float], unit: str, spacing: tuple[float, float] | None
) -> None:
    path = tiff(tmp_path / "a.tif", PAGES[0], resolution=resolution, resolutionunit=unit)
    found = read_image(path).spacing
    assert found == (None if spacing is None else pytest.approx(spacing))


@pytest.mark.parametrize(
    ("kind", "offset", "slope"),
    [("u2", -1024.0, 1.0), ("i2", -32768.0, 1.0), ("i2", -32768.0 - 1000, 1.0), ("u1", 5, 0.5)],
)
def test_calibration_of_imagej(tmp_path: Path, kind: str, offset: float, slope: float) -> None:
    """ImageJ counts signed numbers from -32768, so that its line through them begins there."""
    stored = RNG.integers(0, 200, (20, 31)).astype(kind)
    path = tiff(
        tmp_path / "a.tif",
        stored,
        imagej=True,
        metadata={"cf": 0, "c0": offset, "c1": slope, "vunit": "Hounsfield Unit"},
    )
    image = read_image(path)
    start = 32768 if kind == "i2" else 0
    np.testing.assert_allclose(image.pixels[0], offset + slope * (stored.astype(float) + start))
    assert image.unit == "HU"
    nothing = tiff(
        tmp_path / "b.tif", stored, imagej=True, metadata={"cf": 0, "c0": 3, "c1": 0, "vunit": "Gray Value"}
    )
    np.testing.assert_array_equal(page(nothing)[0], stored)
    assert read_image(nothing).unit == ""


def test_what_was_exported_comes_back_with_its_unit(tmp_path: Path) -> None:
    info = {"recipe": {"data": {"unit": "HU", "window": [-1000.0, 1000.0]}}, "metrics": {}}
    soft = np.linspace(0, 80, 20 * 31, dtype=np.float32).reshape(20, 31)  # nothing here looks like air
    path = tiff(tmp_path / "a.tif", soft, imagej=True, metadata={"Info": json.dumps(info), "axes": "YX"})
    image = read_image(path)
    assert (image.unit, image.window) == ("HU", HU_WINDOW)
    colours = RNG.random((3, 20, 31)).astype(np.float32)
    path = tiff(tmp_path / "c.tif", colours, imagej=True, metadata={"Info": json.dumps(info), "axes": "CYX"})
    assert count_pages(path) == 1
    np.testing.assert_array_equal(page(path), colours)
    for broken in (
        "{",
        "[1]",
        '{"recipe": 3}',
        '{"recipe": {"data": {"window": "x", "unit": 7}}}',
        "{" * 5000,
    ):
        path = tiff(tmp_path / "b.tif", soft, imagej=True, metadata={"Info": broken, "axes": "YX"})
        np.testing.assert_array_equal(page(path)[0], soft)


@pytest.mark.parametrize("kind", ["ImageJ", "OME"])
@pytest.mark.parametrize("values", ["float32", "int16", "uint16"])
def test_exports_are_opened_as_they_were(tmp_path: Path, kind: str, values: str) -> None:
    pixels = np.linspace(-30, 180, 20 * 31).reshape(1, 20, 31).round().astype(np.float32)
    about = About(unit="HU", window=(-1000.0, 1000.0))
    write_tiff(
        tmp_path / "a.tif", pixels, recipe(), {}, spacing=(0.7, 0.8), about=about,
        settings=ExportSettings(tiff=kind, values=values),
    )  # fmt: skip
    image = read_image(tmp_path / "a.tif")
    assert np.abs(image.pixels - pixels).max() <= (0.01 if values == "uint16" else 0)
    assert (image.unit, image.window) == ("HU", HU_WINDOW)
    assert image.spacing == pytest.approx((0.7, 0.8))
    colours = RNG.random((3, 20, 31)).astype(np.float32)
    write_tiff(tmp_path / "c.tif", colours, recipe(), {}, settings=ExportSettings(tiff=kind))
    assert count_pages(tmp_path / "c.tif") == 1
    np.testing.assert_array_equal(page(tmp_path / "c.tif"), colours)


def test_oddities_are_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tiff(tmp_path / "a.ome.tif", PAGES, metadata={"axes": "ZYX"}, photometric="minisblack")
    path.write_bytes(path.read_bytes().replace(b"<Pixels", b"<Pixxls"))
    with caplog.at_level(logging.DEBUG):
        np.testing.assert_array_equal(page(path, 4)[0], PAGES[4])
    assert not [record for record in caplog.records if record.name.startswith("tifffile")]
