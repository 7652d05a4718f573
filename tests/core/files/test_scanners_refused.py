"""Scanners' files that cannot be used: one sentence, in bounded time and memory, and nothing outside their folder."""

import os
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
import tifffile

from padis_gui.core.files.formats.open import list_datasets, open_pages
from padis_gui.core.files.read import read_image
from padis_gui.core.files.scans.imported import import_geometry
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.settings.errors import InputError, PadisError
from tests.core.files.fuzzing import damaged
from tests.fuzzing import check_sentence
from tests.ole_file import write_ole
from tests.scanner_files import (
    BINS,
    ROWS,
    cil_fields,
    cil_text,
    floats,
    frames,
    line_integrals,
    nikon_way,
    plain_way,
    tigre_fields,
    whole,
    write_json,
    write_nikon,
    write_phoenix,
    write_skyscan,
    write_tigre_matlab,
    write_zeiss,
    zeiss_streams,
)

VIEWS = 24
STACK = frames(line_integrals(nikon_way(views=VIEWS)))


def refused(path: Path) -> str:
    """The sentence, which comes within a second or so and without much memory."""
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(PadisError) as caught:
            read_image(path, 0, ReadingSettings(image_size=32))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    check_sentence(str(caught.value))
    assert peak < 100 * 2**20
    assert time.monotonic() - began < 10
    return str(caught.value)


NAMES = [
    "../scan", "/etc/passwd", "C:\\scans\\a", "..\\..\\secret", "\\\\server\\share\\a", "a/../../b", "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["Name", "InputFolderName"])
def test_nikon_names_lead_nowhere_else(tmp_path: Path, key: str, name: str) -> None:
    said = refused(write_nikon(tmp_path, STACK, **{key: name}).rename(tmp_path / "b.xtekct"))
    assert "within its own folder" in said
    assert key in said


@pytest.mark.parametrize("name", [*NAMES, "sub/scan"])
def test_skyscan_names_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    path = write_skyscan(tmp_path, STACK)
    path.write_text(path.read_text().replace("Filename Prefix=bone_", f"Filename Prefix={name}"))
    assert "within its own folder" in refused(path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Projections": 10**9}, "whole number from 1 to 100000"),
        ({"Projections": 0}, "whole number from 1"),
        ({"Projections": "1e400"}, "finite number below"),
        ({"Projections": 99_999}, "99999 projections were wanted, but beside scan.xtekct there are 24"),
        ({"Projections": 25}, "scan_0025.tif is missing"),
        ({"DetectorPixelsX": 10**9}, "whole number from 1 to 65536"),
        ({"DetectorPixelsX": BINS + 1}, f"{ROWS} x {BINS + 1} were wanted"),
        ({"DetectorPixelSizeX": 0}, "DetectorPixelSizeX above 0"),
        ({"SrcToObject": -5}, "SrcToObject above 0"),
        ({"SrcToObject": 400}, "detector behind the axis"),
        ({"SrcToDetector": "nan"}, "finite number below"),
        ({"WhiteLevel": 0}, "WhiteLevel above 0"),
        ({"AngularStep": 1e9}, "angles"),
        ({"AngularStep": "one\x1b[31m"}, "finite number below"),
        ({"ObjectOffsetX": 1e6}, "near the detector's"),
        ({"Units": "parsec"}, "Units = parsec"),
        ({"InputFolderName": "not there"}, "cannot be read"),
    ],
)
def test_nikon_values(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    assert said in refused(write_nikon(tmp_path, STACK, **changed))


@pytest.mark.parametrize(
    "key", ["SrcToObject", "SrcToDetector", "DetectorPixelSizeX", "WhiteLevel", "AngularStep", "Projections"]
)
def test_nikon_without_a_value(tmp_path: Path, key: str) -> None:
    assert key in refused(write_nikon(tmp_path, STACK, leave_out=(key,)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Number Of Files": 10**9}, "whole number from 1"),
        ({"Number Of Files": 25}, "bone_0024.tif is missing"),
        ({"Object to Source (mm)": 0}, "Object to Source (mm) above 0"),
        ({"Camera to Source (mm)": 50}, "detector behind the axis"),
        ({"Image Pixel Size (um)": -1}, "above 0"),
        ({"Optical Axis (line)": 4000}, "optical axis on the detector's lines 0 to 3"),
        ({"Scanning Trajectory": "SPIRAL"}, "scan on a circle"),
        ({"Rotation Direction": "sideways"}, "CC or CW"),
        ({"Number Of Horizontal Offset Positions": 2}, "one place"),
        ({"Image Format": "BMP"}, "Projections in TIFF"),
        ({"Reference Intensity": 0}, "Reference Intensity above 0"),
        ({"Rotation Step (deg)": "1e300"}, "finite number below"),
    ],
)  # fmt: skip
def test_skyscan_values(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    assert said in refused(write_skyscan(tmp_path, STACK, **changed))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"CT_RotationSector": 180.0}, "full turn"),
        ({"CT_NumberImages": 10**9}, "whole number"),
        ({"Trajectory_Active": 1}, "[Trajectory] Active"),
        ({"SectorScan_Active": 1}, "[SectorScan] Active"),
        ({"VSensor_NumTiles": 2}, "[VSensor] NumTiles"),
        ({"Geometry_FOD": 0}, "FOD above 0"),
        ({"Image_FreeRay": -3}, "FreeRay above 0"),
    ],
)
def test_phoenix_values(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    assert said in refused(write_phoenix(tmp_path, frames(line_integrals(plain_way(views=VIEWS))), **changed))


def test_phoenix_whose_turn_does_not_show(tmp_path: Path) -> None:
    """A disc in the middle looks the same either way."""
    middle = frames(line_integrals(plain_way(views=VIEWS), discs=((0.0, 0.0, 9.0, 0.02),)))
    assert "which way the sample turned" in refused(write_phoenix(tmp_path, middle))


def test_projections_that_are_missing_damaged_or_of_another_size(tmp_path: Path) -> None:
    path = write_nikon(tmp_path, STACK)
    frame = tmp_path / "scan_0007.tif"
    tifffile.imwrite(frame, STACK[0, :, :-1])
    assert "scan_0007.tif is of another than scan_0001.tif" in refused(path)
    frame.write_bytes(b"II*\0" + b"\xff" * 40)
    assert "scan" in refused(path)
    frame.unlink()
    assert "scan_0007.tif is missing" in refused(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_a_pipe_among_the_projections_is_not_waited_for(tmp_path: Path) -> None:
    path = write_nikon(tmp_path, STACK)
    (tmp_path / "scan_0007.tif").unlink()
    os.mkfifo(tmp_path / "scan_0007.tif")
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(refused(path)), daemon=True)
    reader.start()
    reader.join(20)
    assert found, "a pipe was waited for"
    assert "scan_0007.tif is missing" in found[0]


@pytest.mark.parametrize("suffix", [".xtekct", ".log", ".pca"])
@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"no section\n",
        b"[System]\n",
        b"[a]\n" + b"k=v\n" * 1000,
        bytes(1000),
        b"\xff\xfe[\0",
        b"[" * 100_000,
        b"=\n=\n",
    ],
)
def test_texts_that_are_no_scanners(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    refused(path)
    assert list_datasets(path) == ()


@pytest.mark.parametrize("suffix", [".xtekct", ".log", ".pca"])
def test_a_large_text_is_not_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with path.open("wb") as file:
        file.write(b"[XTekCT]\n")
        file.truncate(2**33)
    assert "at most 4 MiB" in refused(path)


# -- Zeiss ------------------------------------------------------------------------------------------------

SCAN = frames(line_integrals(plain_way(views=VIEWS, turn=-1.0)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"NoOfImages": whole(2**32 - 1), "ImagesTaken": None}, "too small for them"),
        ({"NoOfImages": whole(0)}, "too small for them"),
        ({"NoOfImages": None}, "ImageInfo was wanted"),
        ({"NoOfImages": b"\1"}, "ImageInfo was wanted"),
        ({"ImageWidth": whole(2**31)}, "pixels a side"),
        ({"ImageWidth": whole(8192), "ImageHeight": whole(8192)}, "too small for them"),
        ({"ImageWidth": whole(BINS + 1)}, "reference of 4 x 129"),
        ({"DataType": whole(7)}, "has the type 7"),
        ({"PixelSize": floats(-1.0)}, "pixel size above 0"),
        ({"PixelSize": floats(np.nan)}, "pixel size above 0"),
        ({"StoRADistance": None}, "lacks ImageInfo/StoRADistance"),
        ({"StoRADistance": floats(0.0)}, "above 0"),
        ({"DtoRADistance": floats(np.inf)}, "above 0"),
        ({"Angles": floats(*[np.nan] * VIEWS)}, "angles"),
        ({"Angles": floats(*range(VIEWS - 1), 1e30)}, "angles"),
        ({"Image": None}, "reference image was wanted"),
        ({"Image": bytes(ROWS * BINS * 4 - 4)}, "reference of 4 x 128"),
        ({"Image": bytes(ROWS * BINS * 4)}, "brighter than the dark"),
        ({"XShifts": floats(*[1e9] * VIEWS)}, "X-Shifts within"),
        ({"YShifts": floats(*[np.nan] * VIEWS)}, "Y-Shifts within"),
    ],
)
def test_zeiss_values(tmp_path: Path, changed: dict[str, bytes | None], said: str) -> None:
    assert said in refused(write_zeiss(tmp_path / "a.txrm", SCAN, **changed))


def test_zeiss_images_that_are_missing_or_short(tmp_path: Path) -> None:
    streams = zeiss_streams(SCAN)
    del streams["ImageData1/Image5"]
    assert "ImageData1/Image5" in refused(write_ole(tmp_path / "a.txrm", streams))
    streams["ImageData1/Image5"] = b"short"
    assert "ImageData1/Image5" in refused(write_ole(tmp_path / "b.txrm", streams))


def test_other_ole_files_are_named_as_such(tmp_path: Path) -> None:
    path = write_ole(tmp_path / "letter.doc", {"WordDocument": bytes(5000), "1Table": b"x"})
    assert "another OLE file" in refused(path)


def test_sectors_in_a_circle_end(tmp_path: Path) -> None:
    """The chain of a stream's sectors leads back to its first one: what is read is as long as was asked for."""
    path = write_zeiss(tmp_path / "a.txrm", np.zeros((2, 64, 64), np.uint16), Image=None)
    content = bytearray(path.read_bytes())
    table = np.frombuffer(bytes(content[-512:]), "<u4").copy()
    table[: len(table) // 4] = 0
    content[-512:] = table.tobytes()
    path.write_bytes(content)
    with pytest.raises(PadisError) as caught:
        read_image(path)
    check_sentence(str(caught.value))


# -- geometries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "a" * 80 + " " * 3_000_000, "Aa: [\n" * 200_000, "a=[1\n" * 200_000, "angles = [" + "1, " * 500_000,
        "Aa" + " " * 1_000_000 + "Bb\n", "[" * 3_000_000, '{"DSD": 1, "DSO": ' + "[" * 100_000,
    ],
)  # fmt: skip
def test_texts_that_would_take_long(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        import_geometry(tmp_path / "a.txt")
    check_sentence(str(caught.value))
    assert time.monotonic() - began < 10


ABSURD = (
    None, True, -1, 0, 1, 2**70, 1e308, 5e-324, -0.0, "", "1", "nan", [], [[]], {}, [1, [2]], [0.0] * 3, [[1.0, 2.0]] * 5,
    ["a"], [None], {"a": 1}, "bottom-right",
)  # fmt: skip


@pytest.mark.parametrize("make", [tigre_fields, cil_fields])
def test_geometries_with_absurd_values_are_geometries_or_one_sentence(
    tmp_path: Path, make: Callable[..., dict[str, object]]
) -> None:
    """One to three fields are something else; a geometry that comes out makes one for the operators."""
    sound = make(views=8)
    used = 0
    for number in range(1500):
        random = Random(number)
        fields = dict(sound)
        for key in random.choices(list(fields), k=random.choice((1, 1, 2, 3))):
            fields[key] = random.choice(ABSURD)
        path = write_json(tmp_path / "a.json", fields)
        used += sound_or_said(path)
    assert 100 < used < 1400


@pytest.mark.parametrize("kind", ["tigre", "cil", "mat"])
def test_damaged_geometries_are_geometries_or_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a.mat" if kind == "mat" else "a.txt")
    if kind == "tigre":
        path.write_text("\n".join(f"geo.{key} = {value}" for key, value in tigre_fields(views=8).items()))
    elif kind == "cil":
        path.write_text(cil_text(cil_fields(views=8)))
    else:
        write_tigre_matlab(path, views=8)
    sound = path.read_bytes()
    used = 0
    for number in range(1500):
        path.write_bytes(damaged(sound, Random(number)) or b"x")
        used += sound_or_said(path)
    assert 100 < used < 1490


def sound_or_said(path: Path) -> bool:
    """Whether a geometry came out, whose numbers are finite; else what was said was one sentence."""
    try:
        stated = import_geometry(path)
    except PadisError as error:
        check_sentence(str(error))
        return False
    geometry = stated.geometry(8, 64)
    numbers = [
        geometry.bin_width,
        geometry.start,
        geometry.detector_distance,
        geometry.centre or 0.0,
        *geometry.angles,
    ]
    assert np.isfinite(numbers).all()
    return True


def test_a_deep_structure_beside_readings_is_one_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((32, 32), np.float32))
    (tmp_path / "a.json").write_text('{"DSD": ' + "[" * 200_000, encoding="utf-8")
    assert "a.json" in refused(tmp_path / "a.npy")
    with open_pages(tmp_path / "a.npy") as pages:
        assert pages.count == 1
