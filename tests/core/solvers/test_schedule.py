"""Noise levels decrease, hit both ends, and end in zero."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from padis_gui.core.settings.errors import SettingError
from padis_gui.core.solvers.iterate import geometric, karras, noise_levels

NAMES = ["geometric", "karras"]


@settings(deadline=None)
@given(
    name=st.sampled_from(NAMES),
    steps=st.integers(2, 400),
    low=st.floats(1e-4, 0.5),
    ratio=st.floats(1.5, 1e4),
)
def test_laws_of_a_schedule(name, steps: int, low: float, ratio: float) -> None:
    levels = noise_levels(name, steps, low * ratio, low)
    assert levels.shape == (steps + 1,)
    assert levels.dtype == torch.float64
    assert bool((levels.diff() < 0).all())
    assert float(levels[0]) == pytest.approx(low * ratio, rel=1e-9)
    assert float(levels[-2]) == pytest.approx(low, rel=1e-9)
    assert float(levels[-1]) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_one_step_starts_at_the_top(name) -> None:
    assert noise_levels(name, 1, 10.0, 0.01).tolist() == pytest.approx([10.0, 0.0])


def test_geometric_has_a_constant_ratio() -> None:
    levels = geometric(30, 10, 0.002)[:-1]
    ratios = levels[1:] / levels[:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand(29))


def test_karras_is_linear_in_its_root() -> None:
    """sigma^(1/rho) falls by equal amounts (EDM, equation 5)."""
    roots = karras(18, 80, 0.002, rho=7)[:-1] ** (1 / 7)
    torch.testing.assert_close(roots.diff(), roots.diff()[:1].expand(17))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("steps", "high", "low"), [(0, 1, 0.1), (-1, 1, 0.1), (5, 0.1, 0.1), (5, 0.1, 1), (5, 1, 0)]
)
def test_contradictions_are_setting_errors(name, steps: int, high: float, low: float) -> None:
    with pytest.raises(SettingError, match=r"was given|were given"):
        noise_levels(name, steps, high, low)
