"""Line profiles, seams along a line, and statistics of regions: against what is known beforehand."""

import csv
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from padis_gui.core.images.metrics import psnr
from padis_gui.core.prior.partition import Frame, Partition, tiles_and_pad
from padis_gui.viewmodels.pictures.levels import (
    BINS,
    Levels,
    automatic,
    full_range,
    histogram,
    percentiles,
    usable,
)
from padis_gui.viewmodels.pictures.profiles import (
    STATISTICS_HEAD,
    Line,
    Region,
    dragged,
    grab,
    handles,
    profile,
    profiles_as_csv,
    seam_positions,
    statistics,
    statistics_as_csv,
    statistics_row,
)
from padis_gui.viewmodels.pictures.sources import BUILT_IN, Scale, SourceList

ROWS, COLUMNS = 30, 50
inside_x = st.floats(1, COLUMNS - 1)
inside_y = st.floats(1, ROWS - 1)


def plane(a, b, c):
    """a x + b y + c at the centres of the pixels."""
    x, y = np.arange(COLUMNS) + 0.5, np.arange(ROWS) + 0.5
    return (a * x[None] + b * y[:, None] + c).astype(np.float32)


def partition(size=64, patch=32, offset=(10, 20)):
    pad = tiles_and_pad(size, patch)[1]
    return Partition((size, size), patch, (pad, pad), offset, Frame(size, pad))


# -- profiles -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(inside_x, inside_y, inside_x, inside_y, st.integers(1, 1))
def test_a_plane_is_sampled_exactly(x0, y0, x1, y1, width):
    found = profile(plane(2, -3, 5), Line((x0, y0), (x1, y1), width))
    np.testing.assert_allclose(found.values, 2 * found.x - 3 * found.y + 5, atol=1e-3)


@settings(deadline=None, max_examples=40)
@given(inside_x, inside_y, inside_x, inside_y)
def test_a_profile_has_a_sample_a_pixel_from_end_to_end(x0, y0, x1, y1):
    line = Line((x0, y0), (x1, y1))
    found = profile(plane(1, 1, 0), line)
    assert len(found.values) == math.ceil(line.length) + 1
    assert found.distance[0] == 0
    assert found.distance[-1] == pytest.approx(line.length)
    assert (found.x[0], found.y[0]) == pytest.approx((x0, y0))
    assert (found.x[-1], found.y[-1]) == pytest.approx((x1, y1))


@settings(deadline=None, max_examples=30)
@given(inside_x, inside_y, inside_x, inside_y)
def test_a_profile_read_backwards_is_the_profile_reversed(x0, y0, x1, y1):
    picture = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    there = profile(picture, Line((x0, y0), (x1, y1)))
    back = profile(picture, Line((x1, y1), (x0, y0)))
    np.testing.assert_allclose(there.values, back.values[::-1], atol=1e-6)


def test_a_row_is_the_row():
    picture = np.random.default_rng(1).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    found = profile(picture, Line((0.5, 7.5), (COLUMNS - 0.5, 7.5)))
    np.testing.assert_allclose(found.values, picture[7], atol=1e-6)


def test_a_wide_line_is_the_mean_across():
    picture = np.random.default_rng(2).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    found = profile(picture, Line((0.5, 10.5), (COLUMNS - 0.5, 10.5), width=5))
    np.testing.assert_allclose(found.values, picture[8:13].mean(axis=0), atol=1e-6)


def test_outside_there_is_nothing():
    found = profile(plane(0, 0, 4), Line((-10, 5), (10, 5)))
    np.testing.assert_array_equal(np.isnan(found.values), found.x < 0)


def test_a_pixel_that_is_no_number_is_a_gap():
    picture = plane(0, 0, 4)
    picture[7, 20] = np.nan
    found = profile(picture, Line((0.5, 7.5), (COLUMNS - 0.5, 7.5)))
    assert np.isnan(found.values[20])
    assert np.isfinite(found.values[:19]).all()


def test_a_colour_picture_is_sampled_in_grey():
    colour = np.stack([plane(1, 0, 0), plane(0, 1, 0), plane(0, 0, 3)], axis=2)
    found = profile(colour, Line((5, 5), (20, 12)))
    np.testing.assert_allclose(found.values, (found.x + found.y + 3) / 3, atol=1e-4)


def test_length_in_millimetres_knows_both_spacings():
    assert Line((0, 0), (3, 4)).length == 5
    assert Line((0, 0), (3, 4)).length_mm((2.0, 1.0)) == pytest.approx(math.hypot(3, 8))


# -- seams --------------------------------------------------------------------------------------------------


def borders(found, axis):
    """Columns (axis 1) or rows (axis 0) of the image on which a tile begins or ends, inside it."""
    firsts = {(box.column, box.row)[1 - axis] - found.pad[axis] for box in found.boxes}
    edges = firsts | {first + found.patch for first in firsts}
    return sorted(e for e in edges if 0 < e < found.image_shape[axis])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 32), st.integers(0, 32), st.floats(0.6, 63.4))
def test_a_row_crosses_every_column_of_seams(a, b, y):
    found = partition(offset=(a, b))
    if any(abs(y - edge) < 1e-3 for edge in borders(found, 0)):
        return
    line = Line((0, y), (64, y))
    assert seam_positions(line, found) == pytest.approx(borders(found, 1))


def test_a_diagonal_crosses_the_seams_of_both_axes():
    found = partition(offset=(10, 20))
    expected = sorted(math.sqrt(2) * e for e in {*borders(found, 0), *borders(found, 1)})
    assert seam_positions(Line((0, 0), (64, 64)), found) == pytest.approx(expected, abs=1e-5)


def test_seams_are_counted_from_the_start_of_the_line():
    found = partition(offset=(10, 20))
    there = seam_positions(Line((3, 9), (60, 30)), found)
    back = seam_positions(Line((60, 30), (3, 9)), found)
    length = Line((3, 9), (60, 30)).length
    assert there == pytest.approx(sorted(length - s for s in back), abs=1e-5)


def test_a_line_inside_a_tile_crosses_no_seam():
    found = partition(offset=(0, 0))
    edge = borders(found, 1)
    assert seam_positions(Line((edge[0] + 1, 5), (edge[0] + 3, 6)), found) == []


# -- shapes by hand -----------------------------------------------------------------------------------------


def test_ends_of_a_line_are_dragged_and_its_middle_drags_all():
    line = Line((10, 10), (30, 10), width=3)
    assert grab(line, (11, 11), 3) == 0
    assert grab(line, (29, 9), 3) == 1
    assert grab(line, (20, 11), 3) == "whole"
    assert grab(line, (20, 20), 3) is None
    assert dragged(line, 1, (30, 10), (35, 12)) == Line((10, 10), (35, 12), 3)
    assert dragged(line, "whole", (20, 10), (21, 12)) == Line((11, 12), (31, 12), 3)


@pytest.mark.parametrize("corner", range(4))
def test_a_corner_is_dragged_and_the_opposite_one_stays(corner):
    region = Region(shape="ellipse", left=10, top=20, width=30, height=40)
    start = handles(region)[corner]
    assert grab(region, start, 2) == corner
    moved = dragged(region, corner, start, (start[0] + 3, start[1] - 4))
    assert handles(region)[(corner + 2) % 4] in handles(moved)
    assert (start[0] + 3, start[1] - 4) in handles(moved)
    assert moved.shape == "ellipse"


def test_a_corner_dragged_past_the_opposite_one_is_still_a_region():
    region = Region(shape="rectangle", left=10, top=10, width=5, height=5)
    moved = dragged(region, 0, (10, 10), (40, 40))
    assert (moved.left, moved.top, moved.width, moved.height) == (15, 15, 25, 25)


# -- regions ------------------------------------------------------------------------------------------------


def test_statistics_of_a_rectangle():
    picture = np.random.default_rng(3).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    region = Region(shape="rectangle", left=4, top=6, width=10, height=8)
    part = picture[6:14, 4:14]
    found = statistics(picture, region)
    assert found.pixels == 80
    for value, expected in (
        (found.mean, part.mean()), (found.std, part.std()), (found.minimum, part.min()),
        (found.maximum, part.max()), (found.median, np.median(part)),
    ):  # fmt: skip
        assert value == pytest.approx(float(expected), abs=1e-6)
    assert math.isnan(found.psnr)


def test_an_ellipse_fills_pi_quarters_of_its_rectangle():
    region = Region(shape="ellipse", left=10, top=10, width=200, height=100)
    assert region.mask(200, 300).sum() / (200 * 100) == pytest.approx(math.pi / 4, rel=1e-2)


def test_psnr_within_a_region_is_that_of_the_metrics():
    rng = np.random.default_rng(4)
    truth = rng.uniform(-1000, 1000, (ROWS, COLUMNS)).astype(np.float32)
    picture = truth + rng.normal(0, 60, truth.shape).astype(np.float32)
    everything = Region(shape="rectangle", left=0, top=0, width=COLUMNS, height=ROWS)
    unit = [torch.from_numpy((p + 1000) / 2000).double() for p in (picture, truth)]
    found = statistics(picture, everything, truth, (-1000.0, 1000.0))
    assert found.psnr == pytest.approx(psnr(*unit), abs=1e-3)
    part = Region(shape="rectangle", left=2, top=3, width=9, height=7)
    expected = psnr(*(u[3:10, 2:11] for u in unit))
    assert statistics(picture, part, truth, (-1000.0, 1000.0)).psnr == pytest.approx(expected, abs=1e-3)


def test_what_is_not_a_number_is_left_out_and_counted():
    picture = plane(0, 0, 2)
    picture[0, :5] = np.nan
    everything = Region(shape="rectangle", left=0, top=0, width=COLUMNS, height=ROWS)
    found = statistics(picture, everything, plane(0, 0, 2))
    assert (found.mean, found.non_finite) == (2, 5)
    assert math.isnan(found.psnr)


@pytest.mark.parametrize(("left", "width"), [(500, 10), (-50, 20), (3.6, 0.2)])
def test_a_region_without_a_pixel_has_no_statistics(left, width):
    region = Region(shape="rectangle", left=left, top=2, width=width, height=5)
    assert statistics(plane(1, 1, 1), region) is None


# -- CSV ----------------------------------------------------------------------------------------------------


def test_profiles_as_csv_can_be_read_again():
    line = Line((0.5, 3.5), (40.5, 3.5))
    found = {"Truth": profile(plane(1, 0, 0), line), 'A "name", with commas': profile(plane(0, 1, 0), line)}
    rows = list(csv.reader(io.StringIO(profiles_as_csv(found, [10.0], (2.0, 0.5), line))))
    assert rows[0] == ["distance [px]", "distance [mm]", "x [px]", "y [px]", "seam", *found]
    table = np.array(rows[1:], dtype=float)
    assert len(table) == 41
    np.testing.assert_allclose(table[:, 0] * 0.5, table[:, 1])
    np.testing.assert_allclose(table[:, 5], found["Truth"].values, rtol=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(table[:, 4]), [10])


def test_statistics_as_csv_can_be_read_again():
    region = Region(shape="rectangle", left=0, top=0, width=4, height=4)
    row = statistics_row("Truth", statistics(plane(1, 2, 3), region))
    rows = list(csv.reader(io.StringIO(statistics_as_csv([row]))))
    assert tuple(rows[0]) == STATISTICS_HEAD
    assert float(rows[1][2]) == pytest.approx(plane(1, 2, 3)[:4, :4].mean(), rel=1e-5)
    assert rows[1][-1] == ""


# -- levels -------------------------------------------------------------------------------------------------


def test_one_infinite_pixel_does_not_spoil_levels_or_histogram():
    picture = plane(1, 0, 0)
    picture[0, 0], picture[0, 1] = np.inf, np.nan
    low, high = full_range(picture, Scale.IMAGE)
    assert (low, high) == (0.5, 49.5)
    found = histogram(picture)
    assert found.counts.sum() == picture.size - 2
    assert len(found.edges) == BINS + 1


def test_levels_of_differences_are_symmetric():
    picture = plane(1, 0, -10)
    for low, high in (
        full_range(picture, Scale.SIGNED), percentiles(picture, 1, Scale.MISFIT), automatic(picture, Scale.SIGNED),
    ):  # fmt: skip
        assert low == -high < 0


@pytest.mark.parametrize("picture", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.full((4, 4), 7.0)])
@pytest.mark.parametrize("scale", list(Scale))
def test_levels_of_flat_pictures_can_be_used(picture, scale):
    for low, high in (
        full_range(picture.astype(np.float32), scale), automatic(picture.astype(np.float32), scale)
    ):  # fmt: skip
        assert math.isfinite(low)
        assert low < high


@pytest.mark.parametrize("levels", [(1.0, 1.0), (5.0, 2.0), (math.nan, 1.0), (0.0, math.inf), (1e30, 1e30)])
def test_levels_that_cannot_be_used_are_mended(levels):
    low, high = usable(levels)
    assert math.isfinite(low)
    assert low < high


def test_differences_follow_the_levels_of_the_pictures_until_somebody_sets_them():
    sources, levels = SourceList(), Levels()
    levels.propose("image", (0.0, 50.0))
    assert levels.of(sources["difference"]) == (-5, 5)
    levels.set(sources["truth"], (0.0, 200.0))
    assert levels.of(sources["difference"]) == (-20, 20)
    levels.set(sources["difference"], (-1.0, 1.0))
    levels.set(sources["truth"], (0.0, 500.0))
    assert levels.of(sources["difference"]) == (-1, 1)


def test_a_data_residual_keeps_the_levels_of_its_first_picture():
    sources, levels = SourceList(), Levels()
    misfit = sources["misfit"]
    levels.meet(misfit, plane(1, 0, 0))
    first = levels.of(misfit)
    assert first == automatic(plane(1, 0, 0), Scale.MISFIT)
    levels.meet(misfit, plane(100, 0, 0))
    assert levels.of(misfit) == first
    levels.lose(misfit)
    levels.meet(misfit, plane(100, 0, 0))
    assert levels.of(misfit)[1] > 50 * first[1]


# -- sources ------------------------------------------------------------------------------------------------


def test_keys_are_unique_and_built_in_sources_stay():
    sources = SourceList()
    assert len({source.key for source in BUILT_IN}) == len(BUILT_IN)
    for source in BUILT_IN:
        sources.remove(source.key)
    assert len(list(sources)) == len(BUILT_IN)


def test_a_blurred_picture_is_shown_like_an_image_and_a_sinogram_is_not():
    sources = SourceList()
    sources.adapt("Blurred", "Wiener", pictorial=True, on_image=True)
    assert sources["measurement"].levels_group == sources["truth"].levels_group
    assert sources["misfit"].levels_group == sources["difference"].levels_group
    assert (sources["baseline"].label, sources["measurement"].label) == ("Wiener", "Blurred y")
    sources.adapt("Sinogram", "FBP", pictorial=False, on_image=False)
    assert sources["measurement"].levels_group == sources["measured"].levels_group == "measurement"
    assert sources["misfit"].scale is Scale.MISFIT
