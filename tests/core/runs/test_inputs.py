"""The files of a run, all of which are kept: data, what says how they were measured, prior, and what is shipped."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from padis_gui.core.runs.inputs import check_run_outputs, files_of
from padis_gui.core.runs.presets import DEFAULT_PRIOR, resource
from padis_gui.core.settings.errors import InputError
from tests.scanner_files import write_nikon


def refused(path: Path, output: Path) -> bool:
    try:
        check_run_outputs([path], [output])
    except InputError as error:
        return "input" in str(error)
    return False


def write_scan(folder: Path) -> Path:
    """Counts with a geometry, a flat and a dark field beside them."""
    scan = folder / "scan.tif"
    for name in ("scan", "flat", "dark"):
        tifffile.imwrite(folder / f"{name}.tif", np.ones((4, 16), np.float32))
    stated = {
        "format": "padis-gui scan geometry", "version": 1, "beam": "parallel", "arc": 180.0,
        "kind": "transmission counts", "flat": "flat.tif", "dark": "dark.tif",
    }  # fmt: skip
    (folder / "scan.json").write_text(json.dumps(stated))
    return scan


def test_a_scan_has_its_geometry_and_its_fields(tmp_path: Path) -> None:
    scan = write_scan(tmp_path)
    assert {path.name for path in files_of(scan)} == {"scan.tif", "scan.json", "flat.tif", "dark.tif"}
    for name in ("scan.json", "flat.tif", "dark.tif"):
        assert refused(scan, tmp_path / name)
    (tmp_path / "report.json").write_text("{}")
    assert not refused(scan, tmp_path / "report.json")


def test_a_geometry_that_is_damaged_is_kept_too(tmp_path: Path) -> None:
    scan = write_scan(tmp_path)
    own = tmp_path / "scan.tif.geometry.json"
    own.write_text("{")
    assert refused(scan, own)


def test_a_folder_has_its_images_and_not_what_else_lies_there(tmp_path: Path) -> None:
    for n in (1, 2, 3):
        tifffile.imwrite(tmp_path / f"slice{n}.tif", np.zeros((16, 16), np.float32))
    (tmp_path / "report.json").write_text("{}")
    assert refused(tmp_path, tmp_path / "slice2.tif")
    assert not refused(tmp_path, tmp_path / "report.json")
    assert not refused(tmp_path, tmp_path / "new.tif")


@pytest.mark.parametrize("head", ["scan.hdr", "scan.log", "scan.xtekct"])
def test_where_a_text_names_other_files_all_around_are_kept(tmp_path: Path, head: str) -> None:
    (tmp_path / head).write_text("views are in scan0001.tif and the next")
    for name in ("scan0001.tif", "scan.img"):
        (tmp_path / name).write_bytes(b"")
    assert refused(tmp_path / head, tmp_path / "scan0001.tif")
    assert refused(tmp_path / head, tmp_path / "scan.img")
    assert refused(tmp_path / "scan.img", tmp_path / head)


def test_what_comes_with_the_program_is_never_written_over(tmp_path: Path) -> None:
    assert refused(tmp_path / "missing.tif", resource(DEFAULT_PRIOR))


def test_inputs_that_are_not_there_are_no_concern_of_this(tmp_path: Path) -> None:
    check_run_outputs(
        [tmp_path / "missing.tif", None, tmp_path / ("long" * 100)], [tmp_path / "out.tif", None]
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text")
def test_names_that_no_recipe_can_hold_are_refused_and_others_beside_them_are_not(tmp_path: Path) -> None:
    bad = tmp_path / os.fsdecode(b"n\xff.tif")
    with pytest.raises(InputError, match=r"n\\udcff\.tif is none; rename"):
        check_run_outputs([bad], [])
    tifffile.imwrite(bad, np.zeros((16, 16), np.float32))
    check_run_outputs([tmp_path], [tmp_path / "out.tif"])  # the folder is what the recipe names
    os.link(bad, tmp_path / "same.tif")
    assert refused(tmp_path, tmp_path / "same.tif")


def test_projections_in_a_folder_of_their_own_are_kept(tmp_path: Path) -> None:
    views = np.full((2, 16, 16), 100, np.uint16)
    (tmp_path / "raw").mkdir()
    scan = write_nikon(tmp_path / "raw", views, InputFolderName="raw").rename(tmp_path / "scan.xtekct")
    tifffile.imwrite(tmp_path / "other.tif", views)
    assert refused(scan, tmp_path / "raw" / "scan_0002.tif")
    assert not refused(scan, tmp_path / "raw" / "scan_0003.tif")


def test_a_geometry_of_another_program_is_kept(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 16), np.float32))
    (tmp_path / "a.json").write_text(json.dumps({"DSD": 2, "DSO": 1, "dDetector": 1, "angles": [0, 1]}))
    assert refused(tmp_path / "a.tif", tmp_path / "a.json")
