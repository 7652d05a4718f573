"""Views that are doubled, dropped or wrong are said, and merged where that is asked for; flats with a speck are mended."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from padis_gui.core.files.read import read_image
from padis_gui.core.files.scans.scan import line_integrals, noticed
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.settings.errors import InputError
from tests.scan_files import counts_of, fan, parallel, write_exchange, write_nxtomo

VIEWS = 90
TRUTH = parallel(VIEWS)
NOISE = 0.001 * TRUTH.sinogram.max() * np.random.default_rng(5).standard_normal(TRUTH.sinogram.shape)
VALUES = (TRUTH.sinogram + NOISE).astype(np.float32)
Scan = tuple[np.ndarray, np.ndarray]


def _doubled_frames(*views: int) -> Scan:
    values = VALUES.copy()
    values[list(views)] = values[[view - 1 for view in views]]
    return values, TRUTH.angles


def _doubled_angles(*views: int) -> Scan:
    angles = TRUTH.angles.copy()
    angles[list(views)] = angles[[view - 1 for view in views]]
    return VALUES, angles


def _left_out(*views: int) -> Scan:
    return np.delete(VALUES, views, 0), np.delete(TRUTH.angles, views)


def _dropped(*views: int) -> Scan:
    return np.delete(VALUES, views, 0), TRUTH.angles[: VIEWS - len(views)]


def _wrong(view: int, by: int) -> Scan:
    values = VALUES.copy()
    values[view] = VALUES[by]
    return values, TRUTH.angles


SEEN: dict[str, tuple[Scan, str]] = {
    "one frame twice": (_doubled_frames(30), r"1 of 90 views \(31\) has the very frame before"),
    "frames twice": (_doubled_frames(30, 45, 60), r"3 of 90 views \(31, 46, 61\) have the very frame"),
    "an angle twice": (_doubled_angles(30), r"1 of 90 views \(31\) has the angle of another"),
    "angles twice": (_doubled_angles(10, 50), r"2 of 90 views \(11, 51\) have the angle"),
    "every angle twice": (
        (np.repeat(VALUES, 2, 0) * (1 + 1e-3 * np.arange(180)[:, None]), np.repeat(TRUTH.angles, 2)), "90 of 180 views"
    ),
    "an angle missing": (_left_out(40), "leave out 1 of their even steps of 2°, first after 78°"),
    "angles missing": (_left_out(40, 41, 60), "leave out 3 of their even steps"),
    "a frame dropped, angles even": (_dropped(30), "After view 30, .* further than its angles say"),
    "frames dropped, angles even": (_dropped(50, 51, 52), "After view 50, .* further than its angles say"),
    "a frame of another angle": (_wrong(30, 60), r"unlike both neighbours \(31\)"),
    "another frame of another angle": (_wrong(46, 5), r"unlike both neighbours \(47\)"),
}  # fmt: skip


@pytest.mark.parametrize("what", SEEN)
def test_what_is_wrong_with_views_is_said(what: str) -> None:
    (values, angles), said = SEEN[what]
    notes = noticed(values.astype(np.float32), angles)
    assert any(re.search(said, note) for note in notes), notes


@pytest.mark.parametrize("noise", [0.0, 0.002, 0.02])
@pytest.mark.parametrize(
    "make", [lambda: parallel(20), lambda: parallel(180), lambda: parallel(200, 360.0), lambda: fan(90)]
)
def test_nothing_is_said_of_a_good_scan(make: Callable, noise: float) -> None:
    truth = make()
    added = noise * truth.sinogram.max() * np.random.default_rng(1).standard_normal(truth.sinogram.shape)
    assert noticed((truth.sinogram + added).astype(np.float32), truth.angles) == ()
    order = np.random.default_rng(2).permutation(len(truth.angles))  # as some scanners take them
    assert noticed((truth.sinogram + added).astype(np.float32)[order], truth.angles[order]) == ()


@pytest.mark.parametrize("values", [np.ones((40, 32), np.float32), np.zeros((40, 32), np.float32)])
def test_nothing_is_said_of_an_object_that_is_alike_all_round(values: np.ndarray) -> None:
    assert noticed(values, np.arange(40.0) * 4) == ()


MERGED = {"doubled_views": "merge", "image_size": 64}


def test_doubled_frames_are_left_out_on_request(tmp_path: Path) -> None:
    """As if they had never been taken."""
    counts = counts_of(TRUTH) + np.random.default_rng(3).normal(0, 5, (VIEWS, 1, 96)).astype(np.float32)
    again = counts.copy()
    again[[30, 61]] = counts[[29, 60]]
    one = {"data_white": np.full((4, 1, 96), 20_000.0), "data_dark": np.full((3, 1, 96), 100.0)}
    path = write_exchange(tmp_path / "a.h5", TRUTH, 1, data=again, **one)
    kept, merged = (read_image(path, 0, ReadingSettings(**s)) for s in ({"image_size": 64}, MERGED))
    assert kept.measured is not None
    assert merged.measured is not None
    assert kept.measured.values.shape == (1, VIEWS, 96)
    assert any("the very frame before" in note for note in kept.measured.notes)
    assert merged.measured.values.shape == (1, VIEWS - 2, 96)
    assert any("2 views that repeat" in note for note in merged.measured.notes)
    without = write_exchange(
        tmp_path / "b.h5",
        TRUTH,
        1,
        data=np.delete(counts, [30, 61], 0),
        theta=np.delete(TRUTH.angles, [30, 61]),
        **one,
    )
    expected = read_image(without, 0, ReadingSettings(image_size=64))
    np.testing.assert_array_equal(merged.pixels, expected.pixels)


def test_doubled_angles_become_their_mean_on_request(tmp_path: Path) -> None:
    """Counts, before the logarithm, which takes the mean of what the detector saw."""
    counts = counts_of(TRUTH, rows=3)
    noise = np.random.default_rng(4).normal(0, 50, counts.shape).astype(np.float32)
    both = np.stack([counts + noise, counts - noise], axis=1).reshape(2 * VIEWS, 3, 96)
    path = write_exchange(tmp_path / "a.h5", TRUTH, data=both, theta=np.repeat(TRUTH.angles, 2))
    clean = read_image(write_exchange(tmp_path / "b.h5", TRUTH), 1, ReadingSettings(image_size=64))
    found = read_image(path, 1, ReadingSettings(**MERGED))
    np.testing.assert_allclose(found.pixels, clean.pixels, atol=1e-6)
    assert found.pages == 3


@pytest.mark.parametrize(
    ("angles", "said"), [(31, "frames were dropped"), (29, "frames were doubled, or are no views")]
)
def test_as_many_angles_as_frames_are_wanted(tmp_path: Path, angles: int, said: str) -> None:
    truth = parallel(30)
    for path in (
        write_exchange(tmp_path / "a.h5", truth, theta=np.arange(float(angles))),
        write_nxtomo(tmp_path / "a.nxs", truth, **{"sample/rotation_angle": np.arange(float(angles + 6))}),
    ):
        with pytest.raises(InputError, match=said):
            read_image(path)


COUNTS = counts_of(TRUTH)[:, 0]
FLATS = 20_000 + np.random.default_rng(6).normal(0, 60, (6, 96))


def _blob(flats: np.ndarray) -> None:
    flats[2, 40:47] *= 0.5


def _zinger(flats: np.ndarray) -> None:
    flats[4, 17] = 65_535


def _two(flats: np.ndarray) -> None:
    flats[0, 5:8] = 0
    flats[5, 90:] *= 0.7


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(_blob, "1 of 6 .* 7 bins"), (_zinger, "1 of 6 .* 1 bins"), (_two, "2 of 6 .* 9 bins")],
)
def test_what_lies_on_some_flats_is_left_out_there(spoil: Callable, said: str) -> None:
    good = line_integrals("a", COUNTS, FLATS, 100.0)
    assert not [note for note in good.notes if "flat" in note]
    spoilt = FLATS.copy()
    spoil(spoilt)
    found = line_integrals("a", COUNTS, spoilt, 100.0)
    (note,) = [note for note in found.notes if "flat" in note]
    assert re.search(said, note), note
    assert np.abs(found.values - good.values).max() < 0.005  # unmended 0.09 and more


def test_a_speck_on_half_of_the_flats_is_no_outlier() -> None:
    flats = FLATS.copy()
    flats[:3, 40:44] *= 0.5
    assert not [note for note in line_integrals("a", COUNTS, flats, 100.0).notes if "flat" in note]


@pytest.mark.parametrize(
    "spoil", [lambda d: d.__setitem__((1, slice(30, 34)), 900.0), lambda d: d.__setitem__((0, 60), 4000.0)]
)
def test_darks_too(spoil: Callable) -> None:
    darks = np.full((5, 96), 100.0)
    good = line_integrals("a", COUNTS, FLATS, darks)
    spoil(darks)
    found = line_integrals("a", COUNTS, FLATS, darks)
    assert any("1 of 5 dark fields is far" in note for note in found.notes)
    np.testing.assert_allclose(found.values, good.values, atol=1e-6)
