"""Geometries of TIGRE and CIL: in JSON beside readings, imported on the command line, and CIL's own files as scans."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from padis_gui.cli.main import main
from padis_gui.core.files.read import read_image
from padis_gui.core.files.scans.geometry_file import ScanGeometry
from padis_gui.core.files.scans.imported import import_geometry
from padis_gui.core.settings.errors import InputError
from tests.core.files.test_scanners import check_discs, measured, read
from tests.scanner_files import (
    BINS,
    DETECTOR,
    PIXEL,
    ROWS,
    SOURCE,
    VIEWS,
    Way,
    cil_fields,
    cil_text,
    cil_way,
    line_integrals,
    tigre_fields,
    tigre_way,
    turned,
    write_cil_nexus,
    write_json,
    write_tigre_matlab,
)


def write_stack(path: Path, way: Way, rows: int = ROWS) -> Path:
    """Line integrals (views, rows, bins), of which the central rows are the discs'."""
    integrals = line_integrals(way)
    stack = np.zeros((len(integrals), rows, BINS), np.float32)
    stack[:, (rows - 1) // 2 : rows // 2 + 1] = integrals[:, None]
    tifffile.imwrite(path, stack, photometric="minisblack", metadata=None)
    return path


# -- TIGRE ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aside", [0.0, 2.0])
def test_tigre_beside_the_readings(tmp_path: Path, aside: float) -> None:
    path = write_stack(tmp_path / "a.tif", tigre_way(aside=aside))
    write_json(tmp_path / "a.json", tigre_fields(aside=aside))
    image = read(path)
    check_discs(image)
    said = measured(image)
    assert said.problem["centre"] == pytest.approx(-aside / PIXEL)
    assert any("cone" in note and "rows 2 and 3 of 4" in note for note in said.notes)


def test_tigre_moved_by_its_centre_of_rotation(tmp_path: Path) -> None:
    """COR moves source and detector along the columns."""
    at = np.arange(VIEWS) * 360.0 / VIEWS
    way = Way(turned((SOURCE, 0.8), at), turned((SOURCE - DETECTOR, 0.8), at), turned((0.0, PIXEL), at))
    path = write_stack(tmp_path / "a.tif", way)
    write_json(tmp_path / "a.json", tigre_fields() | {"COR": 0.8})
    image = read(path)
    check_discs(image, least=0.96)
    assert measured(image).problem["centre"] == pytest.approx(-0.8 * DETECTOR / SOURCE / PIXEL)


def tigre_text(fields: dict[str, object]) -> str:
    """What TIGRE prints of a geometry, with the angles below."""
    return "\n".join([
        "TIGRE parameters", "-----", "Geometry parameters", f"Distance from source to detector (DSD) = {DETECTOR} mm",
        f"Distance from source to origin (DSO)= {SOURCE} mm", "-----", "Detector parameters",
        f"Number of pixels (nDetector) = {np.array(fields['nDetector'])}",
        f"Size of each pixel (dDetector) = {np.array(fields['dDetector'])} mm", "-----",
        "Offset of image from origin (offOrigin) = [0 0 0] mm",
        f"Offset of detector (offDetector) = {np.array(fields['offDetector'])} mm",
        "Rotation of the Detector (rotDetector) = [0 0 0] rad",
        f"angles = {np.array2string(np.array(fields['angles']), threshold=10**6)}",
    ])  # fmt: skip


def script(fields: dict[str, object]) -> str:
    """Assignments as in a Python program; nothing of it is carried out."""
    lines = [f"geo.{key} = np.array({value})" for key, value in fields.items() if isinstance(value, list)]
    return "\n".join(
        ["import tigre", *lines, f"geo.DSD = {DETECTOR}  # mm", f"geo.DSO={SOURCE}", "raise SystemExit"]
    )


@pytest.mark.parametrize("form", ["json", "per view", "printed", "script", "mat"])
def test_tigre_in_every_form(tmp_path: Path, form: str) -> None:
    fields = tigre_fields(aside=2.0)
    if form == "json":
        found = import_geometry(write_json(tmp_path / "a.json", fields))
    elif form == "per view":  # as TIGRE makes them when it checks a geometry
        angles = np.array(fields["angles"])
        checked = {
            "DSD": [DETECTOR] * VIEWS, "DSO": [SOURCE] * VIEWS, "offDetector": [[0.0, 2.0]] * VIEWS,
            "rotDetector": [[0.0] * 3] * VIEWS, "angles": np.stack([angles, 0 * angles, 0 * angles], axis=1).tolist(),
        }  # fmt: skip
        found = import_geometry(write_json(tmp_path / "a.json", fields | checked))
    elif form == "mat":
        found = import_geometry(write_tigre_matlab(tmp_path / "a.mat", aside=2.0))
    else:
        (tmp_path / "a.txt").write_text(
            (tigre_text if form == "printed" else script)(fields), encoding="utf-8"
        )
        found = import_geometry(tmp_path / "a.txt")
    assert (found.beam, found.axes, found.slices) == ("fan", "views, rows, bins", "central row")
    assert (found.source_distance, found.detector_distance, found.bin_width) == (
        SOURCE,
        DETECTOR - SOURCE,
        PIXEL,
    )
    assert (found.start, found.turn, found.bin_order) == (90.0, "counter-clockwise", "left to right")
    assert found.centre_column == pytest.approx((BINS - 1) / 2 - 4)
    np.testing.assert_allclose(found.angles, np.arange(VIEWS) * 360 / VIEWS, atol=1e-4)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"angles": None}, "the angles of the views"),
        ({"angles": [[0.0, 0.1, 0.0], [1.0, 0.1, 0.0]]}, "angles about one axis"),
        ({"angles": [0.0, "nan"]}, "finite numbers in angles"),
        ({"angles": {"a": 1}}, "numbers in angles"),
        ({"DSD": 10.0}, "0 < DSO <= DSD"),
        ({"DSO": [100.0, 101.0]}, "one DSO for all views"),
        ({"DSO": -1.0}, "0 < DSO <= DSD"),
        ({"dDetector": [0.0, 0.0]}, "pixels wider than 0"),
        ({"dDetector": []}, "finite numbers in dDetector"),
        ({"offDetector": [[0.0, 1.0], [0.0, 2.0]]}, "one offDetector for all views"),
        ({"rotDetector": [0.0, 0.0, 0.2]}, "stands upright"),
        ({"nDetector": [0, 0], "offDetector": [0.0, 1.0]}, "nDetector"),
    ],
)
def test_what_tigre_has_and_this_program_has_not(
    tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        import_geometry(write_json(tmp_path / "a.json", tigre_fields() | changed))


# -- CIL --------------------------------------------------------------------------------------------------

CIL = [
    {},
    {"initial": 30.0},
    {"axis": (0.8, 0.0)},
    {"right": True, "axis": (0.8, 0.0)},
    {"right": True, "initial": -50.0},
]


@pytest.mark.parametrize("options", CIL)
@pytest.mark.parametrize("form", ["beside", "nexus"])
def test_cil(tmp_path: Path, options: dict, form: str) -> None:
    way, fields = cil_way(**options), cil_fields(**options)
    if form == "beside":
        path = write_stack(tmp_path / "a.tif", way)
        write_json(tmp_path / "a.json", fields)
    else:
        path = write_cil_nexus(tmp_path / "a.nxs", line_integrals(way), fields)
    image = read(path)
    check_discs(image, least=0.96)
    aside = options.get("axis", (0.0, 0.0))[0] * DETECTOR / SOURCE / PIXEL
    assert measured(image).problem["centre"] == pytest.approx(aside, abs=0.01)
    assert any("cone" in note for note in measured(image).notes)


@pytest.mark.parametrize("views", [24, VIEWS])
def test_what_cil_prints(tmp_path: Path, views: int) -> None:
    fields = cil_fields(views=views, axis=(0.8, 0.0))
    (tmp_path / "a.txt").write_text(cil_text(fields), encoding="utf-8")
    printed, stated = (
        import_geometry(tmp_path / "a.txt"),
        import_geometry(write_json(tmp_path / "a.json", fields)),
    )
    np.testing.assert_allclose(printed.angles, stated.angles, atol=1e-6)
    assert printed.model_copy(update={"angles": None}) == stated.model_copy(update={"angles": None})


def test_cil_prints_too_few_of_angles_that_are_not_even(tmp_path: Path) -> None:
    fields = cil_fields()
    fields["angles"] = (np.arange(VIEWS) ** 1.1).tolist()
    (tmp_path / "a.txt").write_text(cil_text(fields), encoding="utf-8")
    with pytest.raises(InputError, match="angles of all 240 views"):
        import_geometry(tmp_path / "a.txt")


def test_cils_file_is_imported_too_and_its_scale_is_undone(tmp_path: Path) -> None:
    fields, integrals = cil_fields(), line_integrals(cil_way())
    plain = write_cil_nexus(tmp_path / "a.nxs", integrals, fields)
    assert import_geometry(plain) == import_geometry(write_json(tmp_path / "a.json", fields))
    scaled = write_cil_nexus(tmp_path / "b.nxs", integrals, fields, scale=1000.0, offset=3.0)
    np.testing.assert_allclose(read(scaled).pixels, read(plain).pixels, atol=1e-5)


def test_a_parallel_beam_of_cil_has_every_row(tmp_path: Path) -> None:
    back = -np.arange(VIEWS) * 360.0 / VIEWS
    way = Way(turned((0.0, -1e7), back), turned((0.0, 100.0), back), turned((0.2, 0.0), back))
    fields = cil_fields() | {"ray_direction": [0, 1, 0], "source_position": None, "pixel_size": [0.2, 0.2]}
    fields["angles"], fields["angle_unit"] = np.deg2rad(fields["angles"]).tolist(), "radian"
    path = write_stack(tmp_path / "a.tif", way)
    write_json(tmp_path / "a.json", fields)
    image = read(path, 2)
    check_discs(image)
    assert (measured(image).physics, image.pages) == ("ct-parallel", ROWS)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rotation_axis_direction": [0.0, 0.3, 1.0]}, "upright axis"),
        ({"detector_direction_x": [1.0, 0.2, 0.0]}, "upright to the rays"),
        ({"detector_direction_x": [0.0, 0.0, 0.0]}, "a direction"),
        ({"detector_position": [0.0, -50.0, 0.0]}, "behind the axis"),
        ({"source_position": [0.0, 0.0, 0.0]}, "away from the axis"),
        ({"source_position": ["x", 0.0]}, "numbers in source_position"),
        ({"angles": []}, "numbers in angles"),
        ({"angles": [float("inf")]}, "Infinity is no number"),
        ({"pixel_size": 0.0}, "size above 0"),
        ({"num_pixels": [1e12, 1]}, "size above 0"),
    ],
)
def test_what_cil_has_and_this_program_has_not(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        import_geometry(write_json(tmp_path / "a.json", cil_fields() | changed))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file["entry1/tomo_entry"].pop("config"), "since version 20"),
        (lambda file: file["entry1/tomo_entry/data/data"].attrs.update(dim1="channel"), "one channel"),
        (lambda file: file["entry1/tomo_entry/data/data"].attrs.update(dim1="angle"), "one channel"),
        (lambda file: file["entry1/tomo_entry/data/data"].attrs.update(scale=0.0), "scale other than 0"),
        (lambda file: file["entry1/tomo_entry/config"].pop("detector"), "detector_position"),
        (lambda file: file["entry1/tomo_entry/data/data"].attrs.update(pixel_size_h=np.nan), "pixel_size"),
    ],
)
def test_files_of_cil_that_cannot_be_used(
    tmp_path: Path, spoil: Callable[[h5py.File], object], said: str
) -> None:
    path = write_cil_nexus(tmp_path / "a.nxs", line_integrals(cil_way()), cil_fields())
    with h5py.File(path, "a") as file:
        spoil(file)
    with pytest.raises(InputError, match=said):
        read_image(path)


# -- on the command line ----------------------------------------------------------------------------------


def test_an_imported_geometry_is_read_as_the_original(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = cil_fields(right=True, axis=(0.8, 0.0))
    path = write_stack(tmp_path / "a.tif", cil_way(right=True, axis=(0.8, 0.0)))
    assert main(["geometry", "--import", str(write_json(tmp_path / "cil.json", fields))]) == 0
    done = capsys.readouterr()
    assert "fan beam" in done.err
    assert ScanGeometry.model_validate(json.loads(done.out)).bin_order == "right to left"
    (tmp_path / "a.json").write_text(done.out, encoding="utf-8")
    check_discs(read(path), least=0.96)


@pytest.mark.parametrize(
    "content", ["{}", "[1, 2]", "some text\nof a letter", '{"DSD": 1}', "{" * 100_000, '{"DSD']
)
def test_what_is_no_geometry_is_one_sentence(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    assert main(["geometry", "--import", str(tmp_path / "a.json")]) == 2
    said = capsys.readouterr().err
    assert "geometry" in said.lower()
    assert "Traceback" not in said
    assert main(["geometry", "--import", str(tmp_path / "a.json"), "--schema"]) == 2
