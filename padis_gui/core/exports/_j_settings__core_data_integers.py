"""Whole numbers in the place of float32: a linear mapping that is stated, and what it clipped counted."""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from padis_gui.core.exports._j_settings__core_data_export_settings import ExportSettings
from padis_gui.core.settings.errors import InputError, SettingError

_UNSIGNED = {"uint8": 255, "uint16": 65535}
_INT16 = 32767
_LEAST_SPAN = 100.0  # of values in another unit than HU, below which whole numbers would keep little of them


class IntegerMapping(BaseModel):
    """value = low + stored x step; of int16 stored and value are the same. ``clipped`` values lay
    outside by more than the rounding."""

    model_config = ConfigDict(frozen=True)

    type: Literal["int16", "uint16", "uint8"]
    low: float
    step: float
    clipped: int = 0

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest number that is stored."""
        return (-_INT16 - 1, _INT16) if self.type == "int16" else (0, _UNSIGNED[self.type])

    def stored(self, values: NDArray[np.floating[Any]]) -> tuple[NDArray[Any], int]:
        """The numbers to store, of the same shape, rounded and clipped; and how many were clipped."""
        low, high = self.limits
        scaled = np.rint((values.astype(np.float64) - self.low) / self.step)
        clipped = int(np.count_nonzero((scaled < low) | (scaled > high)))
        return np.clip(scaled, low, high).astype(self.type), clipped

    def values(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """The values that stored numbers stand for, float32 of the same shape."""
        return (self.low + self.step * stored.astype(np.float64)).astype(np.float32)

    @property
    def words(self) -> str:
        """The mapping as it can stand in a sentence."""
        if self.type == "int16":
            return "int16, rounded to whole numbers"
        top = _UNSIGNED[self.type]
        return f"{self.type}, 0 stands for {self.low:.6g} and {top} for {self.low + self.step * top:.6g}"


def integer_mapping(
    pages: Iterable[NDArray[np.float32]], settings: ExportSettings, unit: str
) -> IntegerMapping | None:
    """The mapping of all pages of a file, None for float32.

    Raises :class:`InputError` for numbers that are not finite, :class:`SettingError` for a mapping without extent and
    for whole numbers that would keep nothing of the values.
    """
    if settings.values == "float32":
        return None
    lowest, highest = np.inf, -np.inf
    for page in pages:
        if not np.isfinite(page).all():
            raise InputError(
                "Finite values were wanted for whole numbers, but some are infinite or no numbers; export as float32."
            )
        lowest, highest = min(lowest, float(page.min())), max(highest, float(page.max()))
    if settings.values == "int16":
        if unit != "HU" and highest - lowest < _LEAST_SPAN:
            raise SettingError(
                f"Values that whole numbers can keep were wanted, but these lie between {lowest:.4g} and {highest:.4g}; "
                "choose uint16, which maps them, or float32."
            )
        return IntegerMapping(type="int16", low=0.0, step=1.0)
    low = lowest if settings.map_low is None else settings.map_low
    high = highest if settings.map_high is None else settings.map_high
    if low == high and settings.map_low is None and settings.map_high is None:
        high = low + 1.0  # an image of one value
    if not low < high:
        raise SettingError(
            f"A mapping from a lower to a higher value was wanted, but 0 would be {low:.6g} and the largest number "
            f"{high:.6g}; change one of them."
        )
    return IntegerMapping(type=settings.values, low=low, step=(high - low) / _UNSIGNED[settings.values])
