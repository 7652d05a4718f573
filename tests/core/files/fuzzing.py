"""Damages small files of every format and reads them: run as a module with FORMAT FIRST COUNT FOLDER."""

import gzip
import io
import json
import re
import shutil
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import numpy as np

from padis_gui.core.files.formats.open import list_datasets
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.settings.errors import PadisError
from tests import fuzzing
from tests.fuzzing import check_sentence
from tests.ole_file import ole_bytes, streams_of

MEMORY = 3 * 2**28  # bytes beyond what the program has after its first images
_LAZY = ("scipy.optimize", "scipy.ndimage", "scipy.fft", "scipy.interpolate", "scipy.signal", "PIL.ExifTags")
_ABSURD = (
    0,
    1,
    2,
    3,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
_LONG = (*_ABSURD, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_DIGITS = (b"0", b"-1", b"1", b"2147483648", b"99999999999999999999", b"1e308", b"nan", b"65535")
SIDE = 16
_READING = ReadingSettings(image_size=SIDE)  # of scans: a larger FBP would take longer than the reading


def _array(*lead: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 200, (*lead, SIDE, SIDE)).astype(np.uint8)


# -- the sound files --------------------------------------------------------------------------------------


def _pictures(folder: Path) -> list[bytes]:
    from PIL import Image as Pillow

    found = []
    for kind in ("png", "jpeg", "bmp"):
        for mode in ("L", "RGB"):
            buffer = io.BytesIO()
            Pillow.fromarray(_array()).convert(mode).save(buffer, kind)
            found.append(buffer.getvalue())
    for mode, array in (("I;16", _array().astype(np.uint16) * 200), ("1", _array() > 100)):
        buffer = io.BytesIO()
        Pillow.fromarray(array).save(buffer, "png")
        found.append(buffer.getvalue())
        assert mode
    return [*found, _png_of_16_bits()]


def _png_of_16_bits() -> bytes:
    import imagecodecs

    return bytes(imagecodecs.png_encode(np.stack([_array().astype(np.uint16) * 200] * 3, axis=-1)))


def _tiffs(folder: Path) -> list[bytes]:
    import tifffile

    rgb, stack, floats = np.stack([_array()] * 3, axis=-1), _array(3), _array(2).astype(np.float32)
    ome = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    ours = {
        "Info": json.dumps({"about": {"unit": "HU", "window": [-1, 1]}}),
        "unit": "mm",
        "cf": 0,
        "c0": 1,
        "c1": 2,
    }
    kinds: list[tuple[np.ndarray, dict]] = [
        (_array(), {"metadata": None}), (stack, {"metadata": None, "photometric": "minisblack"}),
        (rgb, {"photometric": "rgb", "compression": "lzw", "predictor": True}),
        (rgb, {"photometric": "rgb", "compression": "jpeg", "metadata": None}),
        (_array(), {"tile": (16, 16), "compression": "zlib", "metadata": None}),
        (floats, {"bigtiff": True, "compression": "zstd", "photometric": "minisblack"}),
        (floats, {"imagej": True, "metadata": {"axes": "ZYX", **ours}, "resolution": (2, 2)}),
        (stack.astype(np.int16), {"byteorder": ">", "photometric": "minisblack", "truncate": True}),
        (stack, {"ome": True, "metadata": ome, "photometric": "minisblack"}),
        (_array(), {"compression": "packbits"}), (_array() > 99, {"photometric": "miniswhite"}),
        (_array(), {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16), "metadata": None}),
    ]  # fmt: skip
    found = []
    for array, options in kinds:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **options)
        found.append(buffer.getvalue())
    return found


def _dicoms(folder: Path) -> list[bytes]:
    from tests.core.files.test_formats import enhanced
    from tests.core.files.test_read import dicom

    small = _array().astype(np.int16)
    tags = {"PixelSpacing": ["0.5", "0.5"], "SeriesInstanceUID": "1.2", "ImagePositionPatient": [0, 0, 1]}
    files = [
        dicom(folder / "a", small, intercept=-1000, **tags), dicom(folder / "b", small, modality="MR"),
        dicom(folder / "c", small, modality="PT", Units="BQML"), enhanced(folder / "d", _array(2).astype(np.uint16)),
        dicom(folder / "e", small.astype(np.uint16), PhotometricInterpretation="MONOCHROME1", modality="CR"),
    ]  # fmt: skip
    return [file.read_bytes() for file in files]


def _npys(folder: Path) -> list[bytes]:
    found = []
    for array in (_array(), _array(3).astype(np.float32), np.asfortranarray(_array(2).astype(">f8"))):
        buffer = io.BytesIO()
        np.save(buffer, array)
        found.append(buffer.getvalue())
    return found


def _npzs(folder: Path) -> list[bytes]:
    found = []
    for save in (np.savez, np.savez_compressed):
        for arrays in (
            {"images": _array(2)},
            {"a": _array(), "b": np.arange(3)},
            {"f": np.asfortranarray(_array(2))},
        ):
            buffer = io.BytesIO()
            save(buffer, **arrays)
            found.append(buffer.getvalue())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", _npys(folder)[0])
    return [*found, buffer.getvalue()]


def _matlabs(folder: Path) -> list[bytes]:
    import scipy.io

    contents = [
        ({"images": _array(2).T}, {}), ({"images": _array().astype(float)}, {"do_compression": True}),
        ({"s": {"p": _array(), "n": "text"}, "t": "text"}, {}), ({"x": _array().astype(float)}, {"format": "4"}),
        (_challenge(), {}), (_challenge(), {"do_compression": True}),
    ]  # fmt: skip
    found = []
    for content, options in contents:
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, content, **options)
        found.append(buffer.getvalue())
    return found


def _challenge() -> dict:
    """A scan as the Helsinki challenge stores it."""
    parameters = {
        "distanceSourceDetector": 553.74, "distanceSourceOrigin": 410.66, "geometricMagnification": 1.3484,
        "pixelSize": 0.2, "effectivePixelSize": 0.1483, "numDetectors": 20, "numberImages": 8,
        "angles": np.arange(8.0) * 45, "projectionRows": 1, "projectionColumns": 20, "binningFactor": 4,
    }  # fmt: skip
    return {"CtDataFull": {"type": "2D", "sinogram": np.ones((8, 20)), "parameters": parameters}}


def _hdf5s(folder: Path) -> list[bytes]:
    import h5py

    from tests.scanner_files import cil_fields, write_cil_nexus

    def made(fill: Callable[[h5py.File], None], **options: object) -> bytes:
        path = folder / "made.h5"
        with h5py.File(path, "w", **options) as file:
            fill(file)
        return path.read_bytes()

    def plain(file: h5py.File) -> None:
        file["images"] = _array(2)

    def chunked(file: h5py.File) -> None:
        file.create_dataset(
            "entry/images", data=_array(2), chunks=(1, 16, 16), compression="gzip", shuffle=True
        )

    def exchange(file: h5py.File) -> None:
        for name, counts in (("data", [400] * 4), ("data_white", [900]), ("data_dark", [5])):
            file[f"exchange/{name}"] = np.full((len(counts), 2, 16), counts[0], np.uint16)
        file["exchange/theta"] = np.arange(4.0) * 45

    def nexus(file: h5py.File) -> None:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["definition"] = "NXtomo"
        counts = np.array([900, 5, 400, 400, 400, 400], np.uint16)
        entry["instrument/detector/data"] = counts[:, None, None] * np.ones((6, 2, 16), np.uint16)
        entry["instrument/detector/image_key"] = np.array([1, 2, 0, 0, 0, 0])
        entry["sample/rotation_angle"] = np.arange(6.0) * 30

    cil = write_cil_nexus(folder / "cil.nxs", np.ones((4, 16)), cil_fields(views=4), rows=2).read_bytes()
    found = [made(plain), made(plain, libver="latest"), made(chunked), made(exchange), made(nexus), cil]
    seven = made(plain, userblock_size=512)
    return [*found, b"MATLAB 7.3 MAT-file".ljust(512, b"\0") + seven[512:]]


def _niftis(folder: Path) -> list[bytes]:
    import nibabel

    found = []
    for image in (
        nibabel.Nifti1Image(_array(2).T, np.diag([-2.0, -2, 3, 1])),
        nibabel.Nifti1Image(_array(2, 2).T.astype(np.float32), np.eye(4)),
        nibabel.Nifti2Image(_array(2).T.astype(np.int16), np.eye(4)),
    ):
        image.header.set_xyzt_units("mm")
        found.append(image.to_bytes())
    return [*found, gzip.compress(found[0], 1), gzip.compress(found[0], 0)]


def _zeiss(folder: Path) -> list[bytes]:
    from tests.scanner_files import floats, whole, zeiss_streams

    views = _array(4).astype(np.uint16) * 100 + 1000
    moved = zeiss_streams(views, 30_000, XShifts=floats(1, -2, 0, 3), YShifts=floats(0, 1, -1, 2))
    streams = [
        zeiss_streams(views, 30_000),
        moved,
        zeiss_streams(views, XrayGeometry=whole(0)),
        zeiss_streams(views[:1]),
    ]
    return [ole_bytes(each) for each in streams]


def _listing(write: Callable[..., Path], **changed: object) -> Callable[[Path], list[bytes]]:
    """A scanner's text; its projections stay in the folder."""

    def made(folder: Path) -> list[bytes]:
        views = _array(6).astype(np.uint16) * 100 + 1000
        return [write(folder, views, **changed).read_bytes()]

    return made


def _nikon(folder: Path) -> list[bytes]:
    from tests.scanner_files import write_nikon

    return _listing(write_nikon)(folder) + _listing(write_nikon, ObjectOffsetX=0.3, InitialAngle=20)(folder)


def _skyscan(folder: Path) -> list[bytes]:
    from tests.scanner_files import write_skyscan

    far = {"Object to Source (mm)": 1e6}
    return _listing(write_skyscan)(folder) + _listing(write_skyscan, **far)(folder)


def _phoenix(folder: Path) -> list[bytes]:
    from tests.scanner_files import frames, line_integrals, plain_way, write_phoenix

    views = frames(line_integrals(plain_way(views=12), bins=48), rows=2)
    return [write_phoenix(folder, views).read_bytes()]


def _zarrs(folder: Path) -> list[bytes]:
    """Folders, each as a ZIP of its files."""
    from tests.zarr_files import multiscales, write_ome_zarr

    stack = np.stack([_array(3), _array(3)]).astype(np.uint16)
    says = {
        "multiscales": multiscales("czyx", scale=(1, 2, 0.5, 0.5)),
        "omero": {"channels": [{"label": "a"}]},
    }
    ways: list[tuple[int, dict]] = [
        (2, {}), (2, {"order": "F", "compressors": None}), (3, {}), (3, {"chunks": (1, 1, 8, 8), "shards": (1, 2, 16, 16)}),
    ]  # fmt: skip
    found = []
    for version, options in ways:
        made = write_ome_zarr(folder / "made.zarr", stack, version, says=says, **options)
        found.append(
            _zipped({str(f.relative_to(made)): f.read_bytes() for f in made.rglob("*") if f.is_file()})
        )
    return found


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            archive.writestr(name, files[name])
    return buffer.getvalue()


def _unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def put(kind: str, path: Path, content: bytes) -> None:
    """Write a file, or a folder in the place of the one that was there."""
    if kind != "OME-Zarr":
        path.write_bytes(content)
        return
    shutil.rmtree(path, ignore_errors=True)
    for name, data in _unzipped(content).items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


FORMATS: dict[str, Callable[[Path], list[bytes]]] = {
    "picture": _pictures, "TIFF": _tiffs, "DICOM": _dicoms, "NPY": _npys, "NPZ": _npzs, "MATLAB": _matlabs,
    "HDF5": _hdf5s, "NIfTI": _niftis, "Zeiss": _zeiss, "Nikon": _nikon, "SkyScan": _skyscan, "Phoenix": _phoenix,
    "OME-Zarr": _zarrs,
}  # fmt: skip
ENDINGS = {"MATLAB": ".mat", "HDF5": ".h5", "NIfTI": ".nii", "DICOM": ".dcm", "Zeiss": ".txrm"} | {
    "OME-Zarr": ".ome.zarr", "Nikon": ".xtekct", "SkyScan": ".log", "Phoenix": ".pca",
}  # fmt: skip


# -- the damage -------------------------------------------------------------------------------------------


def damaged(whole: bytes, random: Random) -> bytes:
    """One to four kinds of damage, most of them near the beginning, where the headers are."""
    data = bytearray(whole)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        if not data:
            break
        random.choice(_DAMAGES)(data, random)
    return bytes(data)


def repacked(kind: str, content: bytes, random: Random) -> bytes:
    """Damage inside a wrapping that is sound: checksums of ZIP, GZIP and PNG, tables of OLE would hide the rest from it."""
    buffer = io.BytesIO()
    if kind == "NPZ":
        with (
            zipfile.ZipFile(io.BytesIO(content)) as sound,
            zipfile.ZipFile(buffer, "w", random.choice((0, 8))) as made,
        ):
            for name in sound.namelist():
                made.writestr(name, damaged(sound.read(name), random))
        return buffer.getvalue()
    if kind == "OME-Zarr":
        return _zipped(_damaged_folder(_unzipped(content), random))
    if kind == "Zeiss":
        streams = dict(streams_of(content))
        for path in random.choices(list(streams), k=random.choice((1, 1, 2, 3))):
            streams[path] = damaged(streams[path], random)
        return ole_bytes(streams)
    if content[:2] == b"\x1f\x8b":
        return gzip.compress(damaged(gzip.decompress(content), random), 1)
    found = damaged(content, random)
    if content[:4] != b"\x89PNG":
        return found
    data, at = bytearray(found), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(data)


_WORDS = (
    None, True, 0, -1, 1, 3, 2**31, 2**63, 10**30, 0.5, 1e308, "", "..", "/etc", "0", "zstd", "pickle", "a" * 300, [], {},
)  # fmt: skip


def _damaged_folder(files: dict[str, bytes], random: Random) -> dict[str, bytes]:
    """Other values in the metadata, most of the time; chunks damaged, exchanged or gone."""
    for name in random.choices(sorted(files), k=random.choice((1, 1, 2, 4))):
        if name[-1:].isdigit() or random.random() < 0.2:
            files[name] = random.choice((damaged(files[name], random), random.choice(list(files.values()))))
        else:
            try:
                found = json.loads(files[name])
            except ValueError:  # a chunk has taken its place
                continue
            for _ in range(random.choice((1, 1, 2, 3))):
                _change_json(found, random)
            files[name] = json.dumps(found).encode()
    if random.random() < 0.1:
        del files[random.choice(sorted(files))]
    return files


def _change_json(found: object, random: Random) -> None:
    """Another value somewhere: absurd, or one from elsewhere in it; or one fewer, or one more."""
    places: list[tuple] = []
    left: list = [found]
    while left:
        above = left.pop()
        inside = above.items() if isinstance(above, dict) else enumerate(above)
        for key, value in list(inside):
            places.append((above, key, value))
            if isinstance(value, dict | list):
                left.append(value)
    if not places:
        return
    above, key, value = random.choice(places)
    way = random.random()
    if way < 0.5:
        above[key] = random.choice(_WORDS)
    elif way < 0.75:
        above[key] = json.loads(json.dumps(random.choice(places)[2]))
    elif way < 0.9:
        del above[key]
    elif isinstance(above, list):
        above.extend([value] * random.choice((1, 3, 50)))


def _place(data: bytearray, random: Random) -> int:
    """Half of them within the first 256 bytes, a tenth within the last ones."""
    among = random.random()
    if among < 0.5:
        return random.randrange(min(len(data), 256))
    return (
        random.randrange(max(0, len(data) - 128), len(data)) if among < 0.6 else random.randrange(len(data))
    )


def _flip(data: bytearray, random: Random) -> None:
    data[_place(data, random)] ^= 1 << random.randrange(8)


def _byte(data: bytearray, random: Random) -> None:
    data[_place(data, random)] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))


def _absurd(data: bytearray, random: Random) -> None:
    kind = random.choice(["<H", ">H", "<I", ">I", "<I", ">I", "<Q", ">Q", "<d"])
    size = struct.calcsize(kind)
    at = _place(data, random) // 2 * 2
    if kind[1] == "d":
        value: float = random.choice((float("nan"), float("inf"), -1.0, 1e300, 0.0))
    else:
        value = random.choice(_LONG) % 2 ** (8 * size)
    data[at : at + size] = struct.pack(kind, value)


def _cut(data: bytearray, random: Random) -> None:
    del data[_place(data, random) :]


def _double(data: bytearray, random: Random) -> None:
    at, size = _place(data, random), random.choice((1, 4, 16, 64, 256))
    data[at:at] = data[at : at + size]


def _remove(data: bytearray, random: Random) -> None:
    at = _place(data, random)
    del data[at : at + random.choice((1, 2, 4, 16, 64))]


def _overwrite(data: bytearray, random: Random) -> None:
    at, from_, size = _place(data, random), _place(data, random), random.choice((2, 4, 8, 32))
    data[at : at + size] = data[from_ : from_ + size]


def _blank(data: bytearray, random: Random) -> None:
    at, size = _place(data, random), random.choice((4, 16, 64))
    data[at : at + size] = random.choice((b"\0", b"\xff", b" ")) * size


def _number(data: bytearray, random: Random) -> None:
    """Another number in a text: NPY's header, XML, JSON, DICOM's strings."""
    found = list(re.finditer(rb"\d+", data))
    if found:
        match = random.choice(found)
        data[match.start() : match.end()] = random.choice(_DIGITS)


_VALUES = (
    *_DIGITS,
    b"",
    b"../a",
    b"/etc/passwd",
    b"C:\\a",
    b"\0",
    b"YES",
    b"-0.0",
    b"0.0001",
    b"1e-300",
    b"6",
    b"\xff\xfe",
)


def _value(data: bytearray, random: Random) -> None:
    """Another value of a key in a text of lines key=value."""
    found = list(re.finditer(rb"=([^\r\n=]{0,60})[\r\n]", data))
    if found:
        match = random.choice(found)
        data[match.start(1) : match.end(1)] = random.choice(_VALUES)


_DAMAGES = (
    _flip,
    _flip,
    _byte,
    _byte,
    _absurd,
    _absurd,
    _absurd,
    _cut,
    _double,
    _remove,
    _overwrite,
    _blank,
    _number,
    _value,
)


# -- reading it -------------------------------------------------------------------------------------------


def attempt(path: Path, page: int, listed: bool = True) -> bool:
    """Whether a file could be read; anything else than an image or a sentence is raised."""
    try:
        if listed:
            list_datasets(path)
    except PadisError as error:
        check_sentence(str(error))
    try:
        image = read_image(path, page, _READING)
    except PadisError as error:
        check_sentence(str(error))
        return False
    assert image.pixels.dtype == np.float32
    assert np.isfinite(image.pixels).all()
    assert np.isfinite(image.window).all()
    assert image.window[0] < image.window[1]
    return True


def main(kind: str, first: int, count: int, folder: Path) -> None:
    """Read ``count`` damaged files and write how many of them were images."""
    whole = FORMATS[kind](folder)
    path = folder / f"file{ENDINGS.get(kind, '')}"
    for content in whole:
        put(kind, path, content)
        if not attempt(path, 0):
            raise SystemExit(f"a sound {kind} file is not read")

    def once(random: Random) -> bool:
        makes = (partial(repacked, kind), damaged if kind != "OME-Zarr" else partial(repacked, kind))
        put(kind, path, random.choice(makes)(random.choice(whole), random))
        return attempt(path, random.choice((0, 0, 0, 1)), random.random() < 0.25)

    fuzzing.go(kind, first, count, folder, once, memory=MEMORY, lazy=_LAZY)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
