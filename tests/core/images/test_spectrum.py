"""The radially averaged power spectrum: its scale, its frequencies, and that nothing of the power is lost."""

import numpy as np
import pytest

from padis_gui.core.images.metrics import radial_spectrum


def test_white_noise_is_level_at_its_variance() -> None:
    noise = 0.3 * np.random.default_rng(0).standard_normal((2, 200, 150)).astype(np.float32)
    found = radial_spectrum(noise, rings=20)
    np.testing.assert_allclose(found.power, 0.09, rtol=0.2)
    assert float(found.power.mean()) == pytest.approx(0.09, rel=0.03)


@pytest.mark.parametrize(("rows", "columns"), [(8, 0), (0, 20), (24, 32)])
def test_a_wave_is_in_the_ring_of_its_frequency(rows: int, columns: int) -> None:
    """And nowhere else: rows and columns are periods over 128 pixels."""
    y, x = np.mgrid[:128, :128] / 128
    wave = np.cos(2 * np.pi * (rows * y + columns * x))[None].astype(np.float32)
    found = radial_spectrum(wave)
    peak = found.frequency[np.argmax(found.power)]
    assert abs(peak - np.hypot(rows, columns) / 128) <= 0.5 / 48 / 2 + 1e-9
    assert np.sort(found.power)[-2] < 1e-6 * found.power.max()


def test_the_mean_is_not_in_it() -> None:
    assert radial_spectrum(np.full((1, 40, 40), 5.0, dtype=np.float32)).power.max() < 1e-12


def test_an_image_of_few_pixels_has_rings_only_where_it_has_frequencies() -> None:
    found = radial_spectrum(np.random.default_rng(0).random((1, 6, 6)).astype(np.float32))
    assert 0 < len(found.frequency) < 10
    assert np.isfinite(found.power).all()
    assert np.all(np.diff(found.frequency) > 0)
