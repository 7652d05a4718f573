"""A logarithmic axis has labels that can be told apart, however little or much it spans; pages are whole numbers."""

import itertools
import math

import pytest

from padis_gui.gui.kit.plot_view import DecadeAxis, WholeAxis


@pytest.mark.parametrize("size", [88, 300])
@pytest.mark.parametrize(
    ("low", "high"),
    [(1e-12, 1), (1e-4, 6e-3), (0.92, 0.98), (1.05, 1.9), (2.1, 4.4), (1e-5, 1.3e-5), (0.9, 11)],
)
def test_there_are_labels_that_differ_and_do_not_overlap(styled, low, high, size):
    axis = DecadeAxis("left")
    [(_, ticks)] = axis.logTickValues(math.log10(low), math.log10(high), size, [])
    assert 2 <= len(ticks) <= 13
    assert all(low * 0.999 <= 10**tick <= high * 1.001 for tick in ticks)
    texts = axis.logTickStrings(ticks, 1.0, 1.0)
    assert len(set(texts)) == len(texts)
    gaps = [b - a for a, b in itertools.pairwise(ticks)]
    assert min(gaps) / math.log10(high / low) * size >= 10 or len(ticks) > 6  # decades of a long range


def test_small_numbers_are_powers_of_ten(styled):
    assert DecadeAxis("left").logTickStrings([-12, math.log10(5e-5), -3, 0, 2], 1.0, 1.0) == [
        "10⁻¹²", "5·10⁻⁵", "0.001", "1", "100",
    ]  # fmt: skip


@pytest.mark.parametrize("last", [1, 3, 12, 700, 40_000])
def test_steps_and_pages_are_whole_numbers(styled, last):
    spacings = [spacing for spacing, _ in WholeAxis("bottom", whole=True).tickSpacing(0, last, 300)]
    assert spacings
    assert all(spacing >= 1 and spacing == int(spacing) for spacing in spacings)
