"""Statistics of samples: what ideal samples do, they say; what overconfident ones do, they show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from padis_gui.core.images.metrics import calibrate, summarise
from padis_gui.core.settings.errors import SettingError

SHAPE = (1, 96, 96)


def draws(rng, count, spread):
    """The truth and samples from one posterior, whose spread differs from pixel to pixel."""
    centre = rng.normal(size=SHAPE)
    samples = centre + spread * rng.normal(size=(count, *SHAPE))
    truth = centre + spread * rng.normal(size=SHAPE)
    return truth.astype(np.float32), samples.astype(np.float32)


@pytest.mark.parametrize("count", [2, 4, 8, 24, 40])
def test_ideal_samples_cover_what_they_promise_and_foretell_their_error(count):
    rng = np.random.default_rng(count)
    spread = np.exp(rng.normal(size=SHAPE))
    truth, samples = draws(rng, count, spread)
    found = calibrate(summarise(samples), truth)
    assert found.expected_coverage == pytest.approx(min(0.9, (count - 1) / (count + 1)))
    assert found.coverage == pytest.approx(found.expected_coverage, abs=0.02)
    if count >= 24:  # with few samples the deviation itself is uncertain, and so is its order
        np.testing.assert_allclose(found.observed[2:-1], found.predicted[2:-1], rtol=0.2)
        assert found.correlation > 0.35
    assert list(found.predicted) == sorted(found.predicted)


def test_overconfident_samples_are_seen_to_be():
    rng = np.random.default_rng(0)
    spread = np.exp(rng.normal(size=SHAPE))
    truth, samples = draws(rng, 16, spread)
    shrunk = samples.mean(axis=0) + 0.3 * (samples - samples.mean(axis=0))
    found = calibrate(summarise(shrunk), truth)
    assert found.coverage < 0.5 * found.expected_coverage
    assert all(seen > 2 * said for said, seen in zip(found.predicted, found.observed, strict=True))


def test_a_deviation_that_knows_nothing_has_no_correlation():
    rng = np.random.default_rng(1)
    truth, samples = draws(rng, 8, 1.0)
    assert abs(calibrate(summarise(samples), truth).correlation) < 0.05


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 30), seed=st.integers(0, 2**31))
def test_mean_and_interval_are_ordered_and_do_not_depend_on_the_order_of_samples(count, seed):
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=(count, 2, 3, 4)).astype(np.float32)
    found, shuffled = summarise(samples), summarise(rng.permutation(samples))
    assert np.all(found.low <= found.high)
    assert np.all((samples.min(axis=0) <= found.low) & (found.high <= samples.max(axis=0)))
    for name in ("mean", "deviation", "low", "high"):
        np.testing.assert_allclose(getattr(found, name), getattr(shuffled, name), atol=1e-6)
    np.testing.assert_allclose(found.deviation, samples.std(axis=0, ddof=1), rtol=1e-4, atol=1e-6)


def test_equal_samples_have_no_deviation_to_be_judged():
    same = np.ones((4, *SHAPE), np.float32)
    found = summarise(same)
    assert not found.deviation.any()
    assert calibrate(found, same[0]) is None


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_are_refused(count):
    with pytest.raises(SettingError, match="At least two samples"):
        summarise(np.ones((count, *SHAPE), np.float32))


def test_what_is_not_finite_is_left_out():
    rng = np.random.default_rng(2)
    truth, samples = draws(rng, 8, 1.0)
    samples[:, 0, 0, 0] = np.nan
    truth[0, 1, 1] = np.inf
    found = calibrate(summarise(samples), truth)
    assert np.isfinite(found.correlation)
    assert np.isfinite(found.observed).all()
