"""In which form a run is written: the settings, and whole numbers in the place of float32 where they are asked for.

The mapping to whole numbers is linear and stated, and what it clipped is counted.
"""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from padis_gui.core.settings.declarations import Settings, setting
from padis_gui.core.settings.errors import InputError, SettingError

Values = Literal["float32", "int16", "uint16", "uint8"]
_SCALED = {"values": ("uint16", "uint8")}


class FileSettings(Settings):
    """In which form something of a run is written; which of them count is said by what is written, see
    :class:`~padis_gui.core.exports.registry.ExportKind`."""

    picture: Literal["estimate", "denoised", "state"] = setting(
        "estimate", label="Picture",
        help="estimate: what the run would give at that step; denoised: what the prior made of the noisy image; state: "
        "the noisy image itself",
    )  # fmt: skip
    tiff: Literal["ImageJ", "OME"] = setting(
        "ImageJ", label="TIFF",
        help="ImageJ: spacing, unit, labels and calibration as ImageJ and Fiji read them; OME: OME-XML for Bio-Formats, "
        "QuPath, napari and OMERO, also above 4 GB. Both carry the recipe",
    )  # fmt: skip
    values: Values = setting(
        "float32", label="Values",
        help="float32: exactly the result; int16: whole numbers in the image's unit, made for HU; uint16, uint8: a "
        "linear mapping that the file states, in the recipe and as ImageJ's calibration",
    )  # fmt: skip
    map_low: float | None = setting(
        None, label="Becomes 0",
        help="The value that 0 stands for; automatic is the lowest one, so that nothing is clipped", when=_SCALED,
    )  # fmt: skip
    map_high: float | None = setting(
        None, label="Becomes the largest",
        help="The value that 255 or 65535 stands for; automatic is the highest one, so that nothing is clipped",
        when=_SCALED,
    )  # fmt: skip
    animation: Literal["GIF", "MP4"] = setting(
        "GIF", label="Animation",
        help="GIF is always there; MP4 is smaller and smoother, and needs the program ffmpeg on this machine",
    )  # fmt: skip
    frame_ms: int = setting(
        80, ge=20, le=5000, label="Each iterate", unit="ms", help="How long each iterate is seen",
    )  # fmt: skip
    sidecar: bool = setting(
        False, label="JSON beside it",
        help="Also write the recipe, the metrics and the hash of the result as a JSON file of the same name; it repeats "
        "the run as well as the TIFF does",
    )  # fmt: skip


_UNSIGNED = {"uint8": 255, "uint16": 65535}
_INT16 = 32767
_LEAST_SPAN = 100.0  # of values in another unit than HU, below which whole numbers would keep little of them


class IntegerMapping(BaseModel):
    """value = low + stored x step; of int16 stored and value are the same. ``clipped`` values lay
    outside by more than the rounding."""

    model_config = ConfigDict(frozen=True, defer_build=True)

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
    pages: Iterable[NDArray[np.float32]], settings: FileSettings, unit: str
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
