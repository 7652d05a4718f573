"""What is taken of a picture: laws of crop, binning, resampling and replaced pixels, and of a scan's field of view."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import padis_gui as pg
from padis_gui.core.files.arrays import image_of_array, scan_of_array
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.images.size import covered, region_in_file, replaced, resampled, size_in_words, smaller
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, SettingError
from tests.scan_files import parallel, write_exchange

RNG = np.random.default_rng(0)
PITCH = 0.25


def written(
    folder: Path, rows: int = 96, columns: int = 130, *, pitch: float | None = PITCH
) -> tuple[Path, Any]:
    """A picture of floats with a pixel size, or without one."""
    values = RNG.uniform(100, 900, (rows, columns)).astype(np.float32)
    more: dict[str, Any] = (
        {}
        if pitch is None
        else {"imagej": True, "resolution": (1 / pitch, 1 / pitch), "metadata": {"unit": "mm"}}
    )
    tifffile.imwrite(folder / "a.tif", values, **more)
    return folder / "a.tif", values


def read(path: Path, **reading: Any) -> Image:
    return read_image(path, 0, make(ReadingSettings, reading))


def scan(values: Any, angles: Any, **reading: Any) -> Image:
    return scan_of_array(values, make(ReadingSettings, reading), {"angles": angles})


def test_a_crop_takes_the_pixels_as_they_are_and_keeps_their_size_and_scaling(tmp_path: Path) -> None:
    path, values = written(tmp_path)
    whole, part = read(path), read(path, crop=(10, 20, 64, 32))
    assert np.array_equal(part.pixels[0], values[20:52, 10:74])
    assert part.spacing == whole.spacing == (PITCH, PITCH)
    assert part.window == whole.window  # a region means the same to the prior as the whole
    assert (part.stored_shape, covered(part)) == ((96, 130), (10, 20, 64, 32))


def test_binning_keeps_the_mean_and_the_extent(tmp_path: Path) -> None:
    path, values = written(tmp_path)
    for by in (1, 2):
        image = read(path, pixel_binning=by)
        assert image.shape == (96 // by, 130 // by)
        assert image.pixels.mean() == pytest.approx(values.mean(), rel=1e-5)
        assert image.spacing is not None
        extent = [side * pitch for side, pitch in zip(image.shape, image.spacing, strict=True)]
        assert extent == pytest.approx([96 * PITCH, 130 * PITCH])
    rest = read(path, pixel_binning=4)  # 130 is no multiple: one column is left out at each end
    assert rest.pixels[0] == pytest.approx(values[:, 1:-1].reshape(24, 4, 32, 4).mean(axis=(1, 3)), rel=1e-5)
    assert covered(rest) == (1, 0, 128, 96)


@settings(deadline=None, max_examples=30)
@given(st.integers(16, 70), st.integers(16, 70), st.integers(16, 70), st.integers(16, 70))
def test_resampling_keeps_mean_and_range(rows: int, columns: int, to_rows: int, to_columns: int) -> None:
    values = RNG.random((2, rows, columns), dtype=np.float32)
    found = resampled(values, (to_rows, to_columns))
    assert found.shape == (2, to_rows, to_columns)
    assert values.min() - 1e-6 <= found.min() <= found.max() <= values.max() + 1e-6
    if to_rows <= rows and to_columns <= columns:
        assert found.mean() == pytest.approx(values.mean(), abs=1e-5)
    assert np.allclose(resampled(np.full_like(values, 3), (to_rows, to_columns)), 3)


def test_the_order_is_crop_then_binning_then_resampling(tmp_path: Path) -> None:
    path, values = written(tmp_path)
    image = read(path, crop=(10, 20, 60, 64), pixel_binning=2, longest_side=24)
    by_hand = resampled(values[20:84, 10:70].reshape(1, 32, 2, 30, 2).mean(axis=(2, 4)), (24, 22))
    assert np.allclose(image.pixels, by_hand)
    assert image.spacing == pytest.approx((64 * PITCH / 24, 60 * PITCH / 22))
    assert size_in_words(image) == "cropped to 60 × 64 at 10, 20 of 130 × 96, reduced to 22 × 24 px"


@pytest.mark.parametrize(
    "reading", [{}, {"crop": (7, 5, 100, 80)}, {"crop": (7, 5, 101, 83), "pixel_binning": 2}]
)
def test_a_crop_of_a_crop_is_one_crop(tmp_path: Path, reading: dict[str, Any]) -> None:
    path, _ = written(tmp_path)
    outer = read(path, **reading)
    left, top, width, height = 4, 3, 24, 20
    inner = read(path, **reading | {"crop": region_in_file(outer, (left, top, width, height))})
    assert np.array_equal(inner.pixels, outer.pixels[:, top : top + height, left : left + width])


def test_a_stated_pixel_size_is_that_of_the_files_pixels(tmp_path: Path) -> None:
    path, _ = written(tmp_path, pitch=None)
    assert read(path).spacing is None  # none is made up
    assert read(path, pixel_binning=2).spacing is None
    assert read(path, pixel_pitch=0.5).spacing == (0.5, 0.5)
    assert read(path, pixel_pitch=0.5, pixel_binning=2).spacing == (1.0, 1.0)
    path, _ = written(tmp_path)
    assert read(path, pixel_pitch=0.5).spacing == (0.5, 0.5)


def test_the_size_is_said_width_first(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    assert size_in_words(read(path)) == "full resolution 130 × 96 px"
    assert size_in_words(read(path, pixel_binning=2)) == "reduced to 65 × 48 px from 130 × 96"
    assert size_in_words(read(path, longest_side=260)) == "enlarged to 260 × 192 px from 130 × 96"
    assert size_in_words(read(path, crop=(3, 4, 40, 20))) == "cropped to 40 × 20 px at 3, 4 of 130 × 96"


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        ({"crop": (100, 0, 31, 20)}, "reaches to column 131"),
        ({"crop": (0, 0, 15, 20)}, "leave 15 × 20 of a.tif"),
        ({"pixel_binning": 8}, "leave 16 × 12 of a.tif"),
        ({"crop": (1, 2, 3)}, "Crop must be left, top, width and height"),
        ({"crop": (-1, 2, 30, 30)}, "Crop must be left, top, width and height"),
    ],
)
def test_what_cannot_be_taken_is_said(tmp_path: Path, reading: dict[str, Any], said: str) -> None:
    path, _ = written(tmp_path)
    with pytest.raises(SettingError, match=said):
        read(path, **reading)


def test_pixels_that_are_no_numbers_are_refused_or_replaced_and_counted(tmp_path: Path) -> None:
    values = np.add.outer(np.arange(40.0), np.arange(50.0)).astype(np.float32)
    broken = values.copy()
    broken[10, 10], broken[20, 30], broken[:, :8] = np.nan, np.inf, -np.inf
    tifffile.imwrite(tmp_path / "a.tif", broken)
    with pytest.raises(InputError, match="322 NaN or infinite") as refused:
        read(tmp_path / "a.tif")
    assert refused.value.remedy == "replace"
    image = read(tmp_path / "a.tif", not_finite="replace")
    assert np.isfinite(image.pixels).all()
    known = np.isfinite(broken)
    assert np.array_equal(image.pixels[0][known], broken[known])  # what is known stays
    assert image.pixels[0, 10, 10] == values[10, 10]  # the median of a slope is its middle
    assert image.pixels[0, 20, 30] == values[20, 30]
    assert image.window == (values[:, 8:].min(), values.max())
    assert any("322 numbers that were NaN or infinite" in note for note in image.notes)
    whole = pg.open(broken, not_finite="replace")
    assert np.array_equal(whole.image.pixels, image.pixels)


def test_many_pixels_are_not_replaced_beside_each_other() -> None:
    pixels = np.zeros((1, 4096, 4097), np.float32)
    assert replaced("a", pixels) == (pixels, ())
    pixels[0, 5, 5] = np.nan
    with pytest.raises(InputError, match="at most 16777216 pixels"):
        replaced("a", pixels)


def test_nothing_to_replace_says_nothing_and_nothing_to_replace_by_is_refused() -> None:
    values = RNG.random((3, 20, 20), dtype=np.float32)
    assert replaced("a", values) == (values, ())
    values[1] = np.nan
    with pytest.raises(InputError, match="none"):
        replaced("a", values)


def test_readings_of_a_scan_that_are_no_numbers_are_replaced_too(tmp_path: Path) -> None:
    truth = parallel()
    values, angles = truth.sinogram.copy(), truth.angles
    values[3, 20] = np.nan
    with pytest.raises(InputError, match="1 that are NaN"):
        scan(values, angles)
    found = scan(values, angles, not_finite="replace")
    assert found.measured is not None
    assert np.isfinite(found.measured.values).all()
    assert any("1 number that was NaN" in note for note in found.measured.notes)


def test_a_scans_field_of_view_and_pixel_size(tmp_path: Path) -> None:
    path = write_exchange(tmp_path / "scan.h5", parallel())
    whole = read(path)
    assert whole.spacing is not None
    side = whole.shape[1] * whole.spacing[1]
    half = read(path, field_of_view=side / 2)
    assert half.shape == whole.shape
    assert half.spacing == pytest.approx([pitch / 2 for pitch in whole.spacing])
    assert half.measured is not None
    assert any("artifacts at the border" in note for note in half.measured.notes)
    coarse = read(path, pixel_pitch=2 * whole.spacing[0])
    assert coarse.shape == (128, 128)
    assert coarse.measured is not None
    assert not any("artifacts" in note for note in coarse.measured.notes)
    assert read(path, **smaller(whole, 2)).spacing == pytest.approx(coarse.spacing)
    with pytest.raises(SettingError, match="agree"):
        read(path, field_of_view=side, pixel_pitch=whole.spacing[0], image_size=64)
    with pytest.raises(SettingError, match="field of view, or the binning"):
        read(path, crop=(0, 0, 32, 32))


def test_the_pixel_size_of_a_scan_without_lengths_gives_it_lengths() -> None:
    truth = parallel()
    blind = scan(truth.sinogram, truth.angles)
    assert (blind.unit, blind.spacing) == ("1/px", None)
    told = scan(truth.sinogram, truth.angles, pixel_pitch=0.5)
    assert (told.unit, told.spacing, told.shape) == ("1/mm", (0.5, 0.5), blind.shape)
    assert np.allclose(told.pixels * 0.5, blind.pixels, rtol=1e-3, atol=1e-5)
    with pytest.raises(SettingError, match="states no lengths"):
        scan(truth.sinogram, truth.angles, field_of_view=20)


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e-12, 1e-4, 1.0, 1e6, 1e14])
@pytest.mark.parametrize("offset", [-1.0, 0.0, 0.5])
def test_an_image_of_any_range_has_its_greys(tmp_path: Path, scale: float, offset: float) -> None:
    """No black image, no infinite pixel: what is read spans the window, and comes back from it as it was."""
    rows, columns = np.mgrid[-1:1:40j, -1:1:32j]
    pixels = ((np.exp(-3 * (rows**2 + columns**2)) + offset) * scale).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for image in (read_image(tmp_path / "a.tif"), image_of_array(pixels, ReadingSettings())):
            x = image.to_unit()
            back = image.from_unit(x)
            assert np.isfinite(back).all()
            if scale > 1e-33:
                assert float(x.max() - x.min()) > 0.5
                assert np.abs(back - pixels).max() <= 1e-5 * scale


@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1e-60), (0.0, 1e-320), (1.0, 1e-12), (-1e6, 1e-4)])
def test_what_differs_in_double_precision_alone_is_not_black_without_a_word(
    tmp_path: Path, offset: float, scale: float
) -> None:
    np.save(tmp_path / "a.npy", offset + scale * np.random.default_rng(0).random((20, 30)))
    [note] = read_image(tmp_path / "a.npy").notes
    assert "differ by less than float32 can hold" in note
    np.save(tmp_path / "a.npy", np.full((20, 30), offset))
    assert read_image(tmp_path / "a.npy").notes == ()


@pytest.mark.parametrize(
    "scaling", [(1e300, 1e301), (-1.7e308, 1.7e308), (0.0, 1e-320), (0.5, 0.5 + 1e-12), (1.0, 0.0)]
)
def test_a_scaling_that_single_precision_cannot_have_is_refused(
    tmp_path: Path, scaling: tuple[float, float]
) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((20, 30)))
    with pytest.raises(SettingError):
        read_image(
            tmp_path / "a.npy", 0, make(ReadingSettings, {"scale_low": scaling[0], "scale_high": scaling[1]})
        )


@pytest.mark.parametrize("value", [0.0, 1e-38, 1e-5, 0.5, 1.0, -7.0, 1e9, 1e15, -1e15])
def test_an_image_of_one_value_has_a_window_with_an_extent(tmp_path: Path, value: float) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((20, 30), value, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image(tmp_path / "a.tif")
        assert image.window[0] < image.window[1]
        assert np.isfinite(image.to_unit().numpy()).all()


@pytest.mark.parametrize("largest", [1e16, 1e30, 3.4e38])
@pytest.mark.parametrize("sign", [1, -1])
def test_values_that_single_precision_cannot_square_and_sum_are_a_sentence(
    tmp_path: Path, largest: float, sign: int
) -> None:
    pixels = np.zeros((20, 30), np.float32)
    pixels[3, 4] = sign * largest
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    for read in (lambda: read_image(tmp_path / "a.tif"), lambda: image_of_array(pixels, ReadingSettings())):
        with pytest.raises(InputError, match="power of ten"):
            read()
