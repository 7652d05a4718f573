"""A geometry in JSON beside readings: what it says is what is reconstructed, and nonsense is one sentence."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from padis_gui.core.files.formats.open import recognise
from padis_gui.core.files.read import find_geometry, open_scan, read_image
from padis_gui.core.files.scans.geometry_file import (
    FORMAT,
    ScanGeometry,
    as_json,
    examples,
    read_geometry,
    schema,
)
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.physics.problem import scan_settings
from padis_gui.core.settings.errors import InputError, PadisError
from tests.scan_files import DETECTOR, SIZE, SOURCE, WIDTH, counts_of, fan, parallel, write_htc

FAN = {
    "format": FORMAT, "beam": "fan", "arc": 360, "bin_width": WIDTH, "source_distance": SOURCE,
    "detector_distance": DETECTOR,
}  # fmt: skip
PARALLEL = {"format": FORMAT, "beam": "parallel", "arc": 180, "bin_width": 1.0}


def read(path: Path, page: int = 0, **reading: object) -> Image:
    return read_image(path, page, ReadingSettings(**{"image_size": SIZE} | reading))


def beside(path: Path, geometry: dict[str, object]) -> Path:
    path.with_suffix(".json").write_text(json.dumps(geometry), encoding="utf-8")
    return path


def test_a_geometry_beside_says_what_the_laboratory_file_says(tmp_path: Path) -> None:
    truth = fan(centre=1.5)
    stated = read(write_htc(tmp_path / "a.mat", truth))
    np.save(tmp_path / "b.npy", truth.sinogram)
    image = read(beside(tmp_path / "b.npy", FAN))
    assert image.measured is not None
    assert stated.measured is not None
    one, other = scan_settings(image.measured), scan_settings(stated.measured)
    assert one.model_copy(update={"angles": ()}) == other.model_copy(update={"angles": ()})
    np.testing.assert_allclose(one.angles, other.angles)
    np.testing.assert_allclose(image.pixels, stated.pixels, atol=1e-6)
    # in radians, centimetres and a list, with the axis stated
    other = FAN | {
        "angles": np.deg2rad(truth.angles).tolist(), "angle_unit": "radians", "length_unit": "cm", "bin_width": WIDTH / 10,
        "source_distance": SOURCE / 10, "detector_distance": DETECTOR / 10, "centre_column": 63.5 + 1.5,
    }  # fmt: skip
    del other["arc"]
    image = read(beside(tmp_path / "b.npy", other))
    assert image.measured is not None
    assert image.measured.problem["centre"] == 1.5
    assert any("file states the axis" in note for note in image.measured.notes)
    assert image.measured.problem["source_distance"] == pytest.approx(SOURCE)
    np.testing.assert_allclose(image.measured.problem["angles"], truth.angles, atol=1e-9)


@pytest.mark.parametrize(
    "axes", ["rows, views, bins", "rows, bins, views", "views, rows, bins", "views, bins, rows"]
)
def test_any_order_of_axes(tmp_path: Path, axes: str) -> None:
    truth = parallel(views=70, bins=96)
    stack = np.stack(
        [truth.sinogram, truth.sinogram / 2, truth.sinogram / 4, truth.sinogram / 8, truth.sinogram / 16]
    )
    order = [("rows", "views", "bins").index(axis) for axis in axes.split(", ")]
    tifffile.imwrite(
        tmp_path / "a.tif", np.ascontiguousarray(stack.transpose(order)), photometric="minisblack"
    )
    image = read(beside(tmp_path / "a.tif", PARALLEL | {"axes": axes}), 1)
    assert image.pages == 5
    assert image.measured is not None
    np.testing.assert_array_equal(image.measured.values[0], truth.sinogram / 2)


def test_counts_with_flats_and_darks_as_numbers_or_files(tmp_path: Path) -> None:
    truth = parallel()
    counts = counts_of(truth, 1, 20_000.0, 100.0)[:, 0]
    tifffile.imwrite(tmp_path / "a.tif", counts)
    numbers = PARALLEL | {"kind": "transmission counts", "flat": 20_000, "dark": 100}
    found = read(beside(tmp_path / "a.tif", numbers)).measured
    assert found is not None
    np.testing.assert_allclose(found.values[0], truth.sinogram, atol=1e-5)
    profile = np.linspace(0.8, 1.2, counts.shape[1], dtype=np.float32)
    tifffile.imwrite(tmp_path / "a.tif", 100 + (counts - 100) * profile)
    tifffile.imwrite(tmp_path / "flat.tif", np.tile(100 + 19_900 * profile, (20, 1)))
    found = read(beside(tmp_path / "a.tif", numbers | {"flat": "flat.tif"})).measured
    assert found is not None
    np.testing.assert_allclose(found.values[0], truth.sinogram, atol=1e-5)


def test_a_folder_of_views_with_flats_beside_it(tmp_path: Path) -> None:
    truth = parallel(views=40)
    counts = counts_of(truth, 3, 20_000.0, 100.0)
    profile = 1 + 0.2 * np.random.default_rng(0).random(counts.shape[1:], dtype=np.float32)
    for name in ("scan", "flats"):
        (tmp_path / name).mkdir()
    for n, view in enumerate(counts):
        tifffile.imwrite(tmp_path / "scan" / f"view{n:03d}.tif", 100 + (view - 100) * profile)
    for n in range(4):
        tifffile.imwrite(tmp_path / "flats" / f"flat{n}.tif", 100 + 19_900 * profile * (0.97 + 0.02 * n))
    geometry = PARALLEL | {
        "kind": "transmission counts",
        "flat": "flats",
        "dark": 100,
        "axes": "views, rows, bins",
    }
    (tmp_path / "scan" / "geometry.json").write_text(json.dumps(geometry))
    image = read(tmp_path / "scan", 1)
    assert image.measured is not None
    assert image.pages == 3
    np.testing.assert_allclose(image.measured.values[0], truth.sinogram / 2, atol=1e-4)
    tifffile.imwrite(tmp_path / "flats" / "flat0.tif", np.ones((5, 7), np.float32))
    with pytest.raises(InputError, match="flat0"):
        read(tmp_path / "scan", 1)


@pytest.mark.parametrize("axes", ["views, rows, bins", "views, bins, rows"])
@pytest.mark.parametrize("ending", [".npy", ".tif", ".pages.tif", ".deflated.tif", ".big-endian.tif"])
def test_of_each_view_only_the_row_is_read_where_the_file_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axes: str, ending: str
) -> None:
    """A row lies scattered over the views: with a stack of many GB the rest of it stays on the disk."""
    stack = np.random.default_rng(0).random((5, 40, 96), dtype=np.float32)  # (rows, views, bins)
    order = [("rows", "views", "bins").index(axis) for axis in axes.split(", ")]
    stored = np.ascontiguousarray(stack.transpose(order))
    path = tmp_path / f"a{ending}"
    if ending == ".npy":
        np.save(path, stored)
    elif ending == ".big-endian.tif":
        tifffile.imwrite(path, stored, photometric="minisblack", byteorder=">")
    else:
        tifffile.imwrite(
            path, stored, photometric="minisblack", rowsperstrip=2,
            metadata=None if ending == ".pages.tif" else {},
            compression="deflate" if ending == ".deflated.tif" else None,
        )  # fmt: skip
    opened = open_scan(recognise(beside(path, PARALLEL | {"axes": axes})))
    assert opened is not None
    with opened as scan:
        if ending != ".deflated.tif":
            for whole in (tifffile.TiffPage, tifffile.TiffFrame, tifffile.TiffPageSeries):
                monkeypatch.delattr(whole, "asarray")
        for row in range(scan.rows):
            np.testing.assert_array_equal(scan.read(row).values, stack[row])


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_row_needs_the_memory_of_a_view_not_of_the_stack(tmp_path: Path, compression: str | None) -> None:
    views = np.zeros((150, 200, 200), np.float32)  # 24 MB
    tifffile.imwrite(tmp_path / "a.tif", views, photometric="minisblack", compression=compression)
    opened = open_scan(recognise(beside(tmp_path / "a.tif", PARALLEL | {"axes": "views, rows, bins"})))
    assert opened is not None
    with opened as scan:
        tracemalloc.start()
        scan.read(100)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4e6


def test_a_view_of_another_size_is_said(tmp_path: Path) -> None:
    truth = parallel(views=40)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for n, view in enumerate(truth.sinogram):
            file.write(np.tile(view, (3 if n != 30 else 1, 1)), metadata=None)
    with pytest.raises(InputError, match="page 30 has 1 x "):
        read(beside(tmp_path / "a.tif", PARALLEL | {"axes": "views, rows, bins"}), 1)


def test_without_lengths_the_unit_is_the_pixel(tmp_path: Path) -> None:
    """The same scan, in bins: its image is that in mm times the pixel's size."""
    truth = fan()
    np.save(tmp_path / "mm.npy", truth.sinogram)
    np.save(tmp_path / "bins.npy", truth.sinogram)
    known = read(beside(tmp_path / "mm.npy", FAN))
    in_bins = FAN | {
        "length_unit": "bins",
        "source_distance": SOURCE / WIDTH,
        "detector_distance": DETECTOR / WIDTH,
    }
    del in_bins["bin_width"]
    unknown = read(beside(tmp_path / "bins.npy", in_bins))
    assert (unknown.unit, unknown.spacing) == ("1/px", None)
    assert known.spacing is not None
    np.testing.assert_allclose(unknown.pixels, known.pixels * known.spacing[0], atol=2e-5)
    assert unknown.window[1] == pytest.approx(known.window[1] * known.spacing[0], rel=0.06)


def test_a_turn_and_a_start_turn_the_picture(tmp_path: Path) -> None:
    truth = parallel(90)
    np.save(tmp_path / "a.npy", truth.sinogram)
    plain = read(beside(tmp_path / "a.npy", PARALLEL)).pixels[0]
    turned = read(beside(tmp_path / "a.npy", PARALLEL | {"start": 90})).pixels[0]
    np.testing.assert_allclose(turned, np.rot90(plain), atol=1e-5)
    mirrored = read(beside(tmp_path / "a.npy", PARALLEL | {"turn": "clockwise"})).pixels[0]
    np.testing.assert_allclose(mirrored, plain[::-1], atol=2e-3)


def test_only_a_geometry_beside_makes_a_scan(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", parallel().sinogram)
    path = beside(tmp_path / "a.npy", {"recipe": {}, "format": "something else"})
    assert find_geometry(path) is None
    assert read(path).measured is None
    (tmp_path / "a.json").write_text("{")
    assert read(path).measured is None
    beside(path, PARALLEL)
    assert read(path, role="image").measured is None
    scan = read(path).measured
    assert scan is not None
    assert scan.physics == "ct-parallel"
    (tmp_path / "a.npy.geometry.json").write_text(json.dumps(PARALLEL | {"turn": "clockwise"}))
    scan = read(path).measured
    assert scan is not None
    assert scan.problem["turn"] == "clockwise"


def test_names_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".", "/", "a\0b", "x" * 5000, "none.npy"):
        with pytest.raises(PadisError):
            read(Path(name))


NONSENSE = {
    "not JSON": ("{" + FORMAT, "JSON"),
    "nested without end": ("[" * 100_000 + FORMAT, "JSON"),
    "a list": ([FORMAT], "cannot be used"),
    "no beam": ({"format": FORMAT, "arc": 180}, "beam is missing"),
    "a helix": (PARALLEL | {"beam": "helix"}, "beam is 'helix'"),
    "a word": (PARALLEL | {"arc": "wide"}, "arc is 'wide'"),
    "negative": (PARALLEL | {"bin_width": -1}, "bin_width is -1"),
    "unknown": (PARALLEL | {"binwidth": 1}, "no field binwidth"),
    "arc and angles": (PARALLEL | {"angles": [1, 2]}, "either angles or an arc"),
    "no angles": ({"format": FORMAT, "beam": "parallel", "angles": []}, "at least one angle"),
    "neither": ({"format": FORMAT, "beam": "parallel"}, "either angles or an arc"),
    "too few angles": ({"format": FORMAT, "beam": "parallel", "angles": [1, 2]}, "angle for each of the 90 views .* has 2"),
    "another count": (PARALLEL | {"count": 91}, "angle for each of the 90 views .* has 91"),
    "more views than can be": (PARALLEL | {"count": 2**32}, "count is 4294967296"),
    "endless": ('{"format": "' + FORMAT + '", "beam": "parallel", "angles": [NaN]}', "NaN is no number"),
    "no source": ({k: v for k, v in FAN.items() if k != "source_distance"}, "source_distance"),
    "no width": ({k: v for k, v in FAN.items() if k != "bin_width"}, "bin_width"),
    "counts without flat": (PARALLEL | {"kind": "transmission counts"}, "want a flat"),
    "dark flat": (PARALLEL | {"kind": "transmission counts", "flat": 0}, "brighter than the dark"),
    "a flat elsewhere": (PARALLEL | {"kind": "transmission counts", "flat": "../flat.tif"}, "same folder"),
    "no such flat": (PARALLEL | {"kind": "transmission counts", "flat": "flat.tif"}, "does not exist"),
    "axes": (PARALLEL | {"axes": "rows, bins, views", "count": 90}, "angle for each of the 96 views"),
    "axis beside": (PARALLEL | {"centre_column": 5000}, "centre_column"),
    "tiny": (PARALLEL | {"bin_width": 1e-300}, "mind its units"),
    "huge": (PARALLEL | {"bin_width": 1e300}, "mind its units"),
    "a source inside": (FAN | {"source_distance": 1e-7}, "mind its units"),
}  # fmt: skip


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_one_sentence(tmp_path: Path, what: str) -> None:
    given, expected = NONSENSE[what]
    np.save(tmp_path / "a.npy", parallel().sinogram)
    text = given if isinstance(given, str) else json.dumps(given)
    if what == "another count":
        assert "count" in text
    (tmp_path / "a.npy.geometry.json").write_text(text, encoding="utf-8")
    with pytest.raises(PadisError, match=expected) as caught:
        read(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_readings_that_are_none(tmp_path: Path) -> None:
    path = beside(tmp_path / "a.npy", PARALLEL)
    np.save(path, np.full((90, 96), np.nan, np.float32))
    with pytest.raises(InputError, match="NaN"):
        read(path)
    np.save(path, np.zeros((90, 96), np.float32))
    image = read(path)  # nothing in the beam: an empty picture, without a warning
    assert not image.pixels.any()
    assert image.window == (0, 1)
    np.save(path, np.zeros((90, 8), np.float32))
    with pytest.raises(InputError, match="90 views of 8 bins"):
        read(path)
    np.save(path, np.zeros((90, 96, 3), np.float32))
    with pytest.raises(InputError, match="grey"):
        read(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="damaged"):
        read(path)


def test_examples_and_schema_agree(tmp_path: Path) -> None:
    fields = schema()["properties"]
    assert set(fields) == set(ScanGeometry.model_fields)
    assert all("description" in field or name == "version" for name, field in fields.items())
    for example in examples().values():
        path = tmp_path / "a.json"
        path.write_text(as_json(example), encoding="utf-8")
        assert read_geometry(path) == example
        assert set(json.loads(as_json(example))) <= set(fields)
