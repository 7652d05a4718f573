"""OME-Zarr: what comes back is what was written, and what a stranger may put into a folder does no harm."""

import contextlib
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs
import numpy as np
import pytest
import zarr

from padis_gui.core.files.formats.folder import data_sha256, images_in
from padis_gui.core.files.formats.ome_zarr import folder_of
from padis_gui.core.files.formats.open import list_datasets, open_pages, recognise
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.runs.inputs import files_of
from padis_gui.core.settings.errors import InputError, PadisError
from padis_gui.core.training.sources import find_sources
from tests.zarr_files import change_json, chunks_of, multiscales, write_ome_zarr

STACK = np.random.default_rng(3).integers(0, 4000, (2, 3, 5, 40, 48)).astype(np.uint16)
NAMES = ("DAPI", "GFP", "RFP")
SAYS = {"multiscales": multiscales(), "omero": {"channels": [{"label": name} for name in NAMES]}}

# how others store the same numbers: version, options of zarr's writer
STORED: dict[str, tuple[int, dict[str, Any]]] = {
    "0.4, one file a chunk": (2, {}), "0.4, folders": (2, {"chunk_key_encoding": {"name": "v2", "separator": "/"}}),
    "0.4, columns first": (2, {"order": "F"}), "0.4, not packed": (2, {"compressors": None}),
    "0.5": (3, {}), "0.5, not packed": (3, {"compressors": None}), "0.5, shards": (3, {"shards": (1, 1, 4, 32, 32)}),
    "0.5, a page in a shard": (3, {"shards": (1, 1, 1, 48, 48)}),
    "0.5, slices in a chunk": (3, {"chunks": (1, 1, 5, 13, 48)}),
}  # fmt: skip
_PACKED: dict[str, Any] = {
    "blosc": numcodecs.Blosc(cname="lz4", shuffle=2), "zlib": numcodecs.Zlib(), "gzip": numcodecs.GZip(),
    "lz4": numcodecs.LZ4(), "bz2": numcodecs.BZ2(), "lzma": numcodecs.LZMA(format=1), "zstd": numcodecs.Zstd(),
}  # fmt: skip


@pytest.mark.parametrize("how", STORED)
def test_pages_are_the_slices_of_one_time_after_the_other(tmp_path: Path, how: str) -> None:
    version, options = STORED[how]
    path = write_ome_zarr(tmp_path / "a.ome.zarr", STACK, version, says=SAYS, **options)
    for dataset, channel, level in (("", 0, 0), ("0/1", 1, 0), ("0/GFP", 1, 0), ("0/RFP/1", 2, 1)):
        with open_pages(path, dataset) as pages:
            assert pages.count == 10
            assert pages.is_volume
            for page in (0, 7, 9):
                found = pages.read(page)
                expected = STACK[page // 5, channel, page % 5, :: 2**level, :: 2**level]
                np.testing.assert_array_equal(found.pixels[0], expected)
                assert found.stored == np.uint16
                assert found.spacing == pytest.approx((0.0005 * 2**level, 0.00025 * 2**level))
                assert found.slice_spacing == pytest.approx(0.002)
            part = pages.read(3, (slice(2, 9), slice(11, 20))).pixels[0]
            np.testing.assert_array_equal(part, pages.read(3).pixels[0][2:9, 11:20])
    image = read_image(path, 4)
    assert (image.name, image.pages) == ("a.ome.zarr", 10)
    assert any("3 channels (DAPI, GFP, RFP)" in note for note in image.notes)


@pytest.mark.parametrize("packer", _PACKED)
def test_packers(tmp_path: Path, packer: str) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", STACK, says=SAYS, compressors=_PACKED[packer])
    assert json.loads((path / "0/.zarray").read_text())["compressor"]["id"] == packer
    np.testing.assert_array_equal(read_image(path, 6).pixels[0], STACK[1, 0, 1])


@pytest.mark.parametrize("kind", ["u1", "<i2", ">u2", "<f4", ">f8", "<f2", "|b1", "<i8"])
def test_numbers_of_every_type(tmp_path: Path, kind: str) -> None:
    stack = (STACK % 100 > 50 if kind == "|b1" else STACK % 100).astype(kind)
    for version in (2, 3):
        path = write_ome_zarr(tmp_path / f"{version}.zarr", stack, version)
        np.testing.assert_array_equal(read_image(path).pixels[0], stack[0, 0, 0].astype(np.float32))


def test_the_list_is_of_images_channels_and_levels(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", STACK, says=SAYS)
    found = list_datasets(path)
    assert [one.name for one in found] == [
        f"0/{channel}/{level}" for channel in range(3) for level in range(2)
    ]
    assert [one.shape for one in found[:2]] == [(10, 40, 48), (10, 20, 24)]
    assert found[2].description == "GFP"
    for one in found:
        with open_pages(path, one.name) as pages:
            assert pages.count == one.count
            assert pages.read(0).pixels.shape[1:] == one.shape[1:]


_UNITS = {"millimeter": 1.0, "micrometer": 1e-3, "nanometer": 1e-6, "angstrom": 1e-7, "meter": 1e3}


@pytest.mark.parametrize("unit", [*_UNITS, None, "parsec"])
def test_units_of_length(tmp_path: Path, unit: str | None) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", STACK, says={"multiscales": multiscales(unit=unit)})
    image = read_image(path)
    if unit in _UNITS:
        assert image.spacing == pytest.approx((0.5 * _UNITS[unit], 0.25 * _UNITS[unit]))
    else:
        assert image.spacing is None
        assert any("pixel size is not known" in note for note in image.notes)


@pytest.mark.parametrize("names", ["yx", "zyx", "cyx", "tyx", "czyx"])
def test_axes_are_those_of_the_metadata(tmp_path: Path, names: str) -> None:
    stack = STACK[tuple(slice(None) if n in names else 0 for n in "tczyx")]
    scale = tuple(float(n + 1) for n in range(len(names)))
    path = write_ome_zarr(tmp_path / "a.zarr", stack, says={"multiscales": multiscales(names, scale=scale)})
    with open_pages(path) as pages:
        assert pages.count == {"yx": 1, "zyx": 5, "cyx": 1, "tyx": 2, "czyx": 5}[names]
        assert pages.is_volume == ("z" in names)
        first = stack[(0,) * (len(names) - 2)]
        np.testing.assert_array_equal(pages.read(0).pixels[0], first)


def test_a_scale_over_all_levels_and_axes_of_earlier_versions(tmp_path: Path) -> None:
    said = multiscales()
    said[0]["coordinateTransformations"] = [{"type": "scale", "scale": [1, 1, 1, 3, 3]}]
    path = write_ome_zarr(tmp_path / "a.zarr", STACK, says={"multiscales": said})
    assert read_image(path).spacing == pytest.approx((0.0015, 0.00075))
    for axes in (list("tczyx"), None):  # 0.3, 0.1
        del said[0]["axes"]
        said[0] |= {} if axes is None else {"axes": axes}
        path = write_ome_zarr(tmp_path / "b.zarr", STACK, says={"multiscales": said})
        assert read_image(path, 9).pages == 10
        said[0].setdefault("axes", None)


def test_several_images_in_the_layout_of_bioformats2raw_and_in_a_well(tmp_path: Path) -> None:
    for name, says in (
        ("raw", {"bioformats2raw.layout": 3}), ("well", {"well": {"images": [{"path": "0"}, {"path": "1"}]}}),
    ):  # fmt: skip
        root = tmp_path / f"{name}.zarr"
        zarr.open_group(root, mode="w", zarr_format=2, attributes=says)
        for n in range(2):
            write_ome_zarr(root / str(n), STACK + n)
        assert len(list_datasets(root)) == 12
        np.testing.assert_array_equal(
            read_image(root, 0, ReadingSettings(dataset="1")).pixels[0], STACK[0, 0, 0] + 1
        )
        assert any("2 images" in note for note in read_image(root).notes)


def test_an_array_alone_is_an_array(tmp_path: Path) -> None:
    for version in (2, 3):
        path = tmp_path / f"{version}.zarr"
        array = zarr.open_array(
            path, mode="w", shape=(4, 20, 30), dtype="f4", chunks=(2, 20, 30), zarr_format=version
        )
        array[...] = STACK[0, 0, :4, :20, :30]
        with open_pages(path) as pages:
            assert pages.count == 4
            np.testing.assert_array_equal(pages.read(3).pixels[0], STACK[0, 0, 3, :20, :30])


def test_the_folder_is_one_image_everywhere(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "all" / "a.zarr", STACK, 3)
    (tmp_path / "all" / "b.txt").write_text("no image")
    assert recognise(path).kind == "folder of OME-Zarr"
    assert folder_of(path / "zarr.json") == path
    assert folder_of(path) == path
    assert files_of(path) == [path]
    with pytest.raises(InputError, match="folder without any"):
        images_in(tmp_path / "all")  # its chunks are no images
    sources, skipped = find_sources([tmp_path / "all"], "")
    assert [(one.name, one.count, skipped) for one in sources] == [("a.zarr", 10, [])]
    before = data_sha256(path)
    chunk = chunks_of(path)[0]
    chunk.write_bytes(chunk.read_bytes() + b"0")
    assert data_sha256(path) != before


def test_chunks_that_are_not_there_are_said(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", STACK)
    assert not [note for note in read_image(path).notes if "chunks" in note]
    (path / "0" / "0.0.0.0.0").unlink()
    image = read_image(path)
    assert (image.pixels[0, :16, :16] == 0).all()
    assert any(note.startswith("1 of the chunks of a.zarr page 0 ") for note in image.notes)


# -- what a stranger may put there ------------------------------------------------------------------------


def _metadata(root: Path, level: str = "0") -> Path:
    return root / level / ".zarray"


def _link_out(root: Path) -> None:
    chunk = chunks_of(root / "0")[0]
    chunk.unlink()
    chunk.symlink_to("/etc/hostname")


def _metadata_out(root: Path) -> None:
    shutil.move(_metadata(root), root.parent / "elsewhere.json")
    _metadata(root).symlink_to(root.parent / "elsewhere.json")


def _path(where: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        said = multiscales()
        said[0]["datasets"][0]["path"] = where
        change_json(root / ".zattrs", multiscales=said)

    return change


def _array(**changed: Any) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        change_json(_metadata(root), **changed)

    return change


def _image(**changed: Any) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        said = multiscales()
        said[0] |= changed
        change_json(root / ".zattrs", multiscales=said)

    return change


def _pipe(root: Path) -> None:
    chunk = chunks_of(root / "0")[0]
    chunk.unlink()
    os.mkfifo(chunk)


def _chunk(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def changed(root: Path) -> None:
        for chunk in chunks_of(root / "0"):
            chunk.write_bytes(change(chunk.read_bytes()))

    return changed


def _plate(root: Path) -> None:
    change_json(root / ".zattrs", multiscales=0, plate={"wells": [{"path": "A/1"}]})


def _deep(root: Path) -> None:
    (root / ".zattrs").write_text('{"multiscales":' * 100_000)


def _long(root: Path) -> None:
    (root / ".zattrs").write_text('{"multiscales": [' + "0, " * 2**23 + "0]}")


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a chunk that is a link out of the folder": (_link_out, "leads out of it"),
    "metadata that are a link out of the folder": (_metadata_out, "leads out of it"),
    "an image above the folder": (_path("../../a"), "leads out of it"),
    "an image anywhere": (_path("/etc"), "leads out of it"),
    "an image that is not there": (_path("7"), "has none at 7"),
    "a chunk that is a pipe": (_pipe, "no ordinary file"),
    "objects that are run when they are read": (_array(filters=[{"id": "pickle"}]), r"filters \(pickle\)"),
    "objects for numbers": (_array(dtype="|O"), "numbers of the type"),
    "records": (_array(dtype=[["a", "<u2"]]), "numbers of the type"),
    "a codec of its own": (_array(compressor={"id": "json2"}), "the codec json2"),
    "no chunk at all": (_array(chunks=[0, 0, 0, 0, 0]), "a chunk of whole numbers"),
    "chunks of 200 GB": (_array(chunks=[1, 1, 1, 500_000, 200_000]), "Chunks of at most 256 MiB"),
    "a page in too many chunks": (
        _array(shape=[2, 3, 5, 8000, 8000], chunks=[1, 1, 1, 8, 8]), "lies in 1000000 of"
    ),
    "a page in too large chunks": (
        _array(shape=[2, 3, 999, 8000, 8000], chunks=[1, 1, 512, 256, 256]), "in all and 256 MiB"
    ),
    "more pages than there are": (_array(shape=[2**40, 3, 5, 40, 48]), "claims"),
    "a shape of other axes": (_array(shape=[40, 48], chunks=[16, 16]), "5 axes, and its numbers 2"),
    "sides below nothing": (_array(shape=[2, 3, 5, -40, 48]), "a shape of whole numbers"),
    "sides that are no numbers": (_array(shape=[2, 3, 5, "40", 48]), "a shape of whole numbers"),
    "no pixels": (_array(shape=[2, 3, 5, 0, 0]), "16 to 8192 pixels"),
    "too many pixels": (_array(shape=[2, 3, 5, 9000, 9000]), "such as 0/0/1"),
    "another separator": (_array(dimension_separator="/../"), "separator"),
    "chunks cut short": (_chunk(lambda data: data[: len(data) // 2]), "damaged"),
    "chunks of something else": (_chunk(lambda _: b"text" * 100), "damaged"),
    "chunks of nothing": (_chunk(lambda _: b""), "damaged"),
    "chunks of more than they may have": (_chunk(lambda data: data + bytes(2**20)), "more bytes than"),
    "axes that end in channels": (_image(axes=[{"name": n, "type": "channel"} for n in "abcde"]), "not of space"),
    "no axes": (_image(axes=[]), "not of space"),
    "no levels": (_image(datasets=[]), "no datasets"),
    "no image": (lambda root: (root / ".zattrs").unlink(), "group of Zarr without"),
    "a plate": (_plate, "plate of 1"),
    "metadata without end": (_deep, "nested too deeply|damaged"),
    "metadata without measure": (_long, "more than 16 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_what_does_harm_is_refused_in_one_sentence(tmp_path: Path, what: str) -> None:
    change, said = HOSTILE[what]
    root = write_ome_zarr(tmp_path / "a.zarr", STACK)
    change(root)
    with pytest.raises(PadisError, match=said) as caught:
        read_image(root)
    assert "\n" not in str(caught.value)


V3: dict[str, tuple[dict[str, Any], str]] = {
    "a pickle": ({"codecs": [{"name": "numcodecs.pickle"}]}, "the codec pickle"),
    "transformers": ({"storage_transformers": [{"name": "any"}]}, "storage transformers"),
    "chunks of many sizes": ({"chunk_grid": {"name": "rectangular"}}, "the chunk grid rectangular"),
    "texts": ({"data_type": "string"}, "numbers of the type string"),
    "a type with parts": ({"data_type": {"name": "struct"}}, "numbers of the type"),
    "no codecs": ({"codecs": []}, "a list of codecs"),
    "only a packer": ({"codecs": [{"name": "zstd"}]}, "the codec zstd"),
    "axes that are not there": (
        {"codecs": [{"name": "transpose", "configuration": {"order": [9, 8]}}, "bytes"]}, "an order of axes"
    ),
    "shards in shards": (
        {"codecs": [{"name": "sharding_indexed", "configuration": {
            "chunk_shape": [1, 1, 1, 16, 16], "index_codecs": ["bytes"],
            "codecs": [{"name": "sharding_indexed", "configuration": {}}]}}]}, "the codec sharding_indexed"
    ),
    "a million chunks in a shard": (
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1, 1, 4096, 4096]}},
         "codecs": [{"name": "sharding_indexed", "configuration": {
             "chunk_shape": [1, 1, 1, 1, 1], "index_codecs": ["bytes"], "codecs": ["bytes"]}}]}, "not too many"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", V3)
def test_version_3_too(tmp_path: Path, what: str) -> None:
    changed, said = V3[what]
    root = write_ome_zarr(tmp_path / "a.zarr", STACK, 3)
    change_json(root / "0" / "zarr.json", **changed)
    with pytest.raises(PadisError, match=said):
        read_image(root)


@pytest.mark.parametrize("packer", _PACKED)
def test_a_bomb_takes_no_more_memory_than_its_chunk(tmp_path: Path, packer: str) -> None:
    """A few kilobytes that would become 128 MiB."""
    compressor = _PACKED[packer]
    root = write_ome_zarr(tmp_path / "a.zarr", STACK, compressors=compressor)
    read_image(root)  # loads what readers load
    bomb = bytes(compressor.encode(np.zeros(2**27, np.uint8)))
    for chunk in chunks_of(root / "0"):
        chunk.write_bytes(bomb[: 2**16] if packer in ("lz4", "blosc") else bomb)
    tracemalloc.start()
    with contextlib.suppress(InputError):
        read_image(root)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25  # the metadata have room for 2**24


@pytest.mark.parametrize("entry", [(2**63, 10), (0, 2**62), (2**64 - 2, 7), (5, 2**40)])
def test_an_index_that_lies_is_refused(tmp_path: Path, entry: tuple[int, int]) -> None:
    root = write_ome_zarr(tmp_path / "a.zarr", STACK, 3, shards=(1, 1, 4, 32, 32))
    for shard in chunks_of(root / "0"):
        data = bytearray(shard.read_bytes())
        index = np.frombuffer(data[-16 * 16 - 4 : -4], "<u8").copy()
        index[0::2], index[1::2] = entry
        data[-16 * 16 - 4 : -4] = index.tobytes()
        data[-4:] = np.uint32(google_crc32c.value(index.tobytes())).tobytes()
        shard.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_image(root)


@pytest.mark.parametrize("dataset", ["1", "0/3", "0/CFP", "0/0/2", "0/0/0/0", "-1", "0/" + "9" * 40])
def test_what_is_not_there_is_said(tmp_path: Path, dataset: str) -> None:
    root = write_ome_zarr(tmp_path / "a.zarr", STACK, says=SAYS)
    with pytest.raises(InputError, match="data set"):
        read_image(root, 0, ReadingSettings(dataset=dataset))
