"""Scans of laboratory scanners: discs come back where they were, as large and as dense, and not as their mirror image.

The discs are simulated in the scanners' own words (tests/scanner_files.py), not by this program's operators.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from padis_gui.core.files.formats.folder import data_sha256
from padis_gui.core.files.formats.open import open_pages, recognise
from padis_gui.core.files.read import open_scan, read_image
from padis_gui.core.files.scans.geometry_file import FORMAT
from padis_gui.core.images.image import Image, Measured, ReadingSettings
from tests.ole_file import write_ole
from tests.scanner_files import (
    BINS,
    DETECTOR,
    DISCS,
    PIXEL,
    ROWS,
    SOURCE,
    VIEWS,
    WHITE,
    Way,
    floats,
    frames,
    line_integrals,
    nikon_way,
    plain_way,
    skyscan_way,
    turned,
    whole,
    write_json,
    write_nikon,
    write_phoenix,
    write_skyscan,
    write_zeiss,
    zeiss_streams,
)

SIDE, WIDTH = 128, 24.0  # of the image, in pixels and mm
ON_DETECTOR = PIXEL * SOURCE / DETECTOR


def read(path: Path, page: int = 0, **reading: object) -> Image:
    return read_image(path, page, ReadingSettings(**{"image_size": SIDE, "field_of_view": WIDTH} | reading))


def measured(image: Image) -> Measured:
    assert image.measured is not None
    assert image.measured.physics
    return image.measured


def discs_on(side: int = SIDE, width: float = WIDTH) -> NDArray[np.float32]:
    """The discs as an image with y upwards, the mean of 3 x 3 points a pixel."""
    at = ((np.arange(3 * side) + 0.5) / (3 * side) - 0.5) * width
    x, y = np.meshgrid(at, -at)
    fine = np.zeros((3 * side, 3 * side))
    for x0, y0, radius, attenuation in DISCS:
        fine[np.hypot(x - x0, y - y0) <= radius] += attenuation
    return fine.reshape(side, 3, side, 3).mean(axis=(1, 3)).astype(np.float32)


def check_discs(image: Image, least: float = 0.97) -> None:
    """Place, size, density and side: the picture is more like the discs than any turned or mirrored one."""
    assert image.unit == "1/mm"
    assert image.shape == (SIDE, SIDE)
    picture, truth = image.pixels[0], discs_on()

    def alike(other: NDArray[np.float32]) -> float:
        return float(np.corrcoef(picture.ravel(), other.ravel())[0, 1])

    assert alike(truth) > least
    others = [np.rot90(each, n) for each in (truth, truth[:, ::-1]) for n in range(4)][1:]
    assert max(map(alike, others)) < alike(truth) - 0.03
    at = (np.arange(SIDE) - (SIDE - 1) / 2) * WIDTH / SIDE
    x, y = np.meshgrid(at, -at)
    for x0, y0, radius, _ in DISCS[1:]:
        inside = np.hypot(x - x0, y - y0) < 0.7 * radius
        assert float(picture[inside].mean()) == pytest.approx(float(truth[inside].mean()), rel=0.05)
        near = np.hypot(x - x0, y - y0) < 1.8 * radius
        weights = np.where(near, picture - 0.02, 0).clip(0)
        assert float((weights * x).sum() / weights.sum()) == pytest.approx(x0, abs=0.06)
        assert float((weights * y).sum() / weights.sum()) == pytest.approx(y0, abs=0.06)


# -- Nikon ------------------------------------------------------------------------------------------------


def nikon(folder: Path, way: Way | None = None, **changed: object) -> Path:
    return write_nikon(folder, frames(line_integrals(nikon_way() if way is None else way)), **changed)


@pytest.mark.parametrize("initial", [0.0, 132.0])
def test_nikon(tmp_path: Path, initial: float) -> None:
    image = read(nikon(tmp_path, nikon_way(initial=initial), InitialAngle=initial))
    check_discs(image)
    said = measured(image)
    assert said.physics == "ct-fan"
    assert (said.problem["source_distance"], said.problem["detector_distance"]) == (SOURCE, DETECTOR - SOURCE)
    assert said.problem["bin_width"] == PIXEL
    assert image.pages == 1
    assert any("cone" in note and "rows 2 and 3 of 4" in note and "fan beam" in note for note in said.notes)


@pytest.mark.parametrize(
    "stated", [{"ObjectOffsetX": 0.8}, {"CentreOfRotationTop": 1.5, "CentreOfRotationBottom": 2.5}, {}]
)
def test_nikon_with_its_axis_aside(tmp_path: Path, stated: dict[str, float]) -> None:
    """At the axis 0.8 mm are 2 mm on the detector, 4 bins; what is not stated is found."""
    image = read(nikon(tmp_path, nikon_way(offset=0.8), **stated))
    check_discs(image, least=0.96)
    said = measured(image)
    assert said.problem["centre"] == pytest.approx(-4.0, abs=0.1)
    assert any("The file states the axis" in note for note in said.notes) == bool(stated)


def test_nikon_in_other_units_and_folders(tmp_path: Path) -> None:
    integrals = line_integrals(nikon_way())
    (tmp_path / "Raw data").mkdir()
    path = write_nikon(
        tmp_path / "Raw data", frames(integrals), Units="um", DetectorPixelSizeX=PIXEL * 1000, SrcToObject=SOURCE * 1000,
        SrcToDetector=DETECTOR * 1000, InputFolderName="Raw data\\",
    )  # fmt: skip
    check_discs(read(path.rename(tmp_path / "scan.xtekct")))


def test_projections_of_another_name_are_found_where_they_are_the_only_ones(tmp_path: Path) -> None:
    path = nikon(tmp_path, Name="renamed")
    check_discs(read(path))


@pytest.mark.parametrize("table", ["_ctdata.txt", ".ang"])
def test_nikon_whose_angles_are_not_even(tmp_path: Path, table: str) -> None:
    """A scan that was interrupted, and went on at another place."""
    angles = np.arange(VIEWS) * 360 / VIEWS + np.where(np.arange(VIEWS) < 100, 0.0, 5.0)
    back = -(180.0 - angles)
    way = Way(
        turned((0.0, -SOURCE), back), turned((0.0, DETECTOR - SOURCE), back), turned((-PIXEL, 0.0), back)
    )
    path = nikon(tmp_path, way)
    sign = 1 if table == "_ctdata.txt" else -1
    lines = [
        f"{n + 1}{chr(9) if sign > 0 else ': '}{sign * (angle - 30):.4f}\t{n * 0.5:.2f}"
        for n, angle in enumerate(angles)
    ]
    header = ["Number of projections\tkV", f"{VIEWS}\t110", "Projection\tAngle(deg)\tTime(s)"]
    Path(f"{path.with_suffix('')}{table}").write_text("\n".join([*header, *lines]), encoding="utf-8")
    image = read(path)
    check_discs(image, least=0.95)
    assert any(table in note and "even steps" in note for note in measured(image).notes)


def test_a_table_of_even_angles_changes_nothing(tmp_path: Path) -> None:
    path = nikon(tmp_path)
    alone = read(path)
    jitter = np.random.default_rng(1).uniform(-0.3, 0.3, VIEWS)
    lines = [f"{n + 1}\t{n * 360 / VIEWS + jitter[n]:.4f}" for n in range(VIEWS)]
    Path(f"{path.with_suffix('')}_ctdata.txt").write_text("\n".join(lines), encoding="utf-8")
    np.testing.assert_array_equal(read(path).pixels, alone.pixels)


# -- SkyScan ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["CC", "CW", ""])
def test_skyscan(tmp_path: Path, direction: str) -> None:
    way = skyscan_way(clockwise=direction != "CW")
    leave_out = () if direction else ("Rotation Direction",)
    path = write_skyscan(
        tmp_path, frames(line_integrals(way)), leave_out=leave_out, **{"Rotation Direction": direction}
    )
    image = read(path)
    check_discs(image)
    said = measured(image)
    assert (said.problem["source_distance"], said.problem["bin_width"]) == (SOURCE, pytest.approx(PIXEL))
    assert any("cone" in note for note in said.notes)


def test_skyscan_takes_the_row_of_the_optical_axis_from_the_bottom(tmp_path: Path) -> None:
    stack = frames(line_integrals(skyscan_way()), rows=6)
    stack = np.roll(stack, -2, axis=1)  # what was central is now in the first and second row
    image = read(write_skyscan(tmp_path, stack, **{"Optical Axis (line)": 5}))
    check_discs(image)
    assert any("row 1 of 6" in note for note in measured(image).notes)


def test_skyscan_without_a_pixel_size_has_the_cameras(tmp_path: Path) -> None:
    left_out = ("Image Pixel Size (um)", "Reference Intensity")
    stack = frames(line_integrals(skyscan_way()), white=65_535)
    image = read(write_skyscan(tmp_path, stack, leave_out=left_out))
    check_discs(image)
    notes = measured(image).notes
    assert any("camera" in note for note in notes)
    assert any("Reference Intensity" in note for note in notes)


@pytest.mark.parametrize(("factor", "said"), [(1.08, True), (4.0, False)])
def test_skyscan_says_where_its_pixels_disagree_and_a_binned_camera_does_not(
    tmp_path: Path, factor: float, said: bool
) -> None:
    pixel = ON_DETECTOR * 1000 * factor
    image = read(
        write_skyscan(tmp_path, frames(line_integrals(skyscan_way())), **{"Image Pixel Size (um)": pixel})
    )
    assert measured(image).problem["bin_width"] == pytest.approx(PIXEL * factor)
    assert any("camera's pixel" in note for note in measured(image).notes) == said


def test_skyscan_far_from_its_source_is_parallel_and_every_row_a_slice(tmp_path: Path) -> None:
    """Optical tomographs write 1000 m; a bin is as wide as the image's pixel."""
    at = 180.0 - np.arange(VIEWS) * 360.0 / VIEWS
    way = Way(turned((0.0, -1e7), at), turned((0.0, 100.0), at), turned((-0.2, 0.0), at))
    path = write_skyscan(
        tmp_path,
        frames(line_integrals(way), rows=2),
        **{"Object to Source (mm)": 1e6, "Image Pixel Size (um)": 200.0},
    )
    image = read(path, 1)
    check_discs(image)
    assert measured(image).physics == "ct-parallel"
    assert image.pages == 2
    assert not any("cone" in note for note in measured(image).notes)


# -- Phoenix ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [1.0, -1.0])
@pytest.mark.parametrize("aside", [0.0, 1.5])
def test_phoenix_shows_by_itself_which_way_it_turned(tmp_path: Path, turn: float, aside: float) -> None:
    """The detector, or the axis, may stand some bins aside."""
    path = write_phoenix(tmp_path, frames(line_integrals(plain_way(turn=turn, aside=aside))))
    image = read(path)
    check_discs(image)
    said = measured(image)
    assert said.problem["bin_width"] == pytest.approx(PIXEL)
    assert any("from above or from below" in note for note in said.notes)


def test_phoenix_without_a_voxel_size_has_the_detectors_pixel(tmp_path: Path) -> None:
    path = write_phoenix(tmp_path, frames(line_integrals(plain_way())), Geometry_VoxelSizeX="")
    check_discs(read(path))


def test_a_geometry_beside_goes_before_what_the_scanner_says(tmp_path: Path) -> None:
    """As for half a turn, of which a .pca says too little."""
    path = write_phoenix(tmp_path, frames(line_integrals(plain_way(turn=-1.0))), CT_RotationSector=180.0)
    stated = {
        "format": FORMAT, "beam": "fan", "kind": "transmission counts", "flat": WHITE, "axes": "views, rows, bins",
        "slices": "central row", "arc": 360.0, "turn": "clockwise", "bin_width": PIXEL, "source_distance": SOURCE,
        "detector_distance": DETECTOR - SOURCE,
    }  # fmt: skip
    write_json(tmp_path / "part.json", stated)
    image = read(path)
    check_discs(image)
    assert any("cone" in note for note in measured(image).notes)


# -- Zeiss ------------------------------------------------------------------------------------------------


def zeiss_way() -> Way:
    """As CIL reads it: the sample turns counter-clockwise, bins from left to right."""
    return plain_way(turn=-1.0)


def test_zeiss(tmp_path: Path) -> None:
    image = read(write_zeiss(tmp_path / "a.txrm", frames(line_integrals(zeiss_way()))))
    check_discs(image)
    said = measured(image)
    assert said.problem["bin_width"] == pytest.approx(PIXEL)
    assert (said.problem["source_distance"], said.problem["detector_distance"]) == (SOURCE, DETECTOR - SOURCE)
    assert any("cone" in note and "rows 2 and 3 of 4" in note for note in said.notes)


def test_zeiss_moves_its_views_by_the_alignment(tmp_path: Path) -> None:
    """What was shifted to the left and up is moved to the right and down; the reference stays where the detector is."""
    stack = frames(line_integrals(zeiss_way()), rows=12)
    x = np.random.default_rng(1).integers(-3, 4, VIEWS)
    y = np.random.default_rng(2).integers(-2, 3, VIEWS)
    pattern = 0.5 + 0.5 * np.random.default_rng(3).random((12, BINS))
    moved = np.stack([np.roll(frame, (-b, -a), axis=(0, 1)) for frame, a, b in zip(stack, x, y, strict=True)])
    path = write_zeiss(
        tmp_path / "a.txrm", (moved * pattern).round().astype(np.uint16), XShifts=floats(*x), YShifts=floats(*y),
        Image=floats(*(50_000.0 * pattern).ravel()),
    )  # fmt: skip
    image = read(path)
    check_discs(image)
    assert any("alignment" in note for note in measured(image).notes)


def test_zeiss_references_of_16_bits_and_several(tmp_path: Path) -> None:
    stack = frames(line_integrals(zeiss_way()))
    streams = zeiss_streams(stack, Image=None)
    streams |= {
        f"MultiReferenceData/Image{n}": np.full((ROWS, BINS), level, "<u2").tobytes()
        for n, level in ((1, 49_000), (2, 51_000))
    }
    check_discs(read(write_ole(tmp_path / "a.txrm", streams)))


@pytest.mark.parametrize(("rows", "sector"), [(4, 4096), (200, 512)])
def test_zeiss_files_with_larger_sectors_and_with_a_long_table(
    tmp_path: Path, rows: int, sector: int
) -> None:
    """More than 7 MB want more places than the header has."""
    streams = zeiss_streams(frames(line_integrals(zeiss_way()), rows=rows))
    path = write_ole(tmp_path / "a.txrm", streams, sector)
    assert (path.stat().st_size > 7e6) == (rows == 200)
    check_discs(read(path))


def test_zeiss_ultra_is_parallel(tmp_path: Path) -> None:
    at = -np.arange(VIEWS) * 360.0 / VIEWS
    way = Way(turned((0.0, -1e7), at), turned((0.0, 100.0), at), turned((0.2, 0.0), at))
    path = write_zeiss(
        tmp_path / "a.txrm",
        frames(line_integrals(way), rows=2),
        XrayGeometry=whole(0),
        PixelSize=floats(200.0),
    )
    image = read(path, 1)
    check_discs(image)
    assert (measured(image).physics, image.pages) == ("ct-parallel", 2)


def test_an_interrupted_zeiss_scan_has_the_views_that_were_taken(tmp_path: Path) -> None:
    path = write_zeiss(tmp_path / "a.txrm", frames(line_integrals(zeiss_way())), ImagesTaken=whole(200))
    assert measured(read(path)).values.shape[1:] == (200, BINS)


def test_zeiss_images_and_slices_are_images(tmp_path: Path) -> None:
    pictures = np.random.default_rng(1).integers(0, 60_000, (3, 20, 31)).astype(np.uint16)
    path = write_zeiss(tmp_path / "a.txm", pictures, Angles=None, PixelSize=floats(7.0))
    with open_pages(path) as pages:
        assert pages.count == 3
        assert pages.is_volume
        part = pages.read(1, (slice(4, 9), slice(2, 30)))
    np.testing.assert_array_equal(part.pixels[0], pictures[1, 4:9, 2:30])
    assert part.spacing == pytest.approx((0.007, 0.007))
    one = write_zeiss(tmp_path / "b.xrm", pictures[:1], Angles=floats(12.0))
    np.testing.assert_array_equal(read_image(one).pixels[0], pictures[0])


# -- all of them ------------------------------------------------------------------------------------------

WRITERS: list[Callable[[Path], Path]] = [
    nikon,
    lambda folder: write_skyscan(folder, frames(line_integrals(skyscan_way()))),
    lambda folder: write_phoenix(folder, frames(line_integrals(plain_way()))),
    lambda folder: write_zeiss(folder / "a.txrm", frames(line_integrals(zeiss_way()))),
]


@pytest.mark.parametrize("write", WRITERS, ids=["Nikon", "SkyScan", "Phoenix", "Zeiss"])
def test_its_projections_are_images_too(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path)
    with open_pages(path) as pages:
        assert pages.count == VIEWS
        assert pages.read(0).pixels.shape == (1, ROWS, BINS)
    scan = open_scan(recognise(path))
    assert scan is not None
    with scan:
        assert scan.read(0).values.shape == (VIEWS, BINS)


@pytest.mark.parametrize("write", WRITERS[:3], ids=["Nikon", "SkyScan", "Phoenix"])
def test_the_hash_of_a_scan_is_of_its_projections_too(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path)
    before = data_sha256(path)
    frame = sorted(tmp_path.glob("*.tif"))[7]
    content = bytearray(frame.read_bytes())
    content[-1] ^= 1
    frame.write_bytes(content)
    assert data_sha256(path) != before
    frame.unlink()
    with pytest.raises(OSError, match="is missing"):
        data_sha256(path)


@pytest.mark.parametrize("write", WRITERS[:3], ids=["Nikon", "SkyScan", "Phoenix"])
def test_a_folder_of_projections_does_not_count_the_text(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    write(tmp_path)
    with open_pages(tmp_path) as pages:
        assert pages.count == VIEWS
