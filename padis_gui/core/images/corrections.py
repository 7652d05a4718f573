"""Corrections of a measured scan before it is reconstructed: what may be asked for, and what the data ask for.

The order is fixed: log floor, crop, bad bins, zingers, beam drift, rings, tilt, binning. What belongs to single elements
of the detector comes before what mixes them, and each before what it would deceive: a bin that flickers is full of
zingers, and a zinger at the border is no drift.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from padis_gui.core.settings.declarations import WANTED, Settings, setting

Rings = Literal["off", "profile", "algotom"]

OF_SCANS = {"role": ("automatic", "measurement")}
_MOST_BINS = 65_536
_ORDER = "Order: log floor, crop, bad bins, zingers, beam drift, rings, tilt, binning"


class CorrectionSettings(Settings):
    """What is mended in a scan's line integrals (views, bins) before anything else is done with them; all off by default.

    In the order in which they are declared here; the binning that follows is one of the reading.
    """

    log_floor: float | None = setting(
        None, ge=1e-9, le=0.9, label="Log floor", advanced=True,
        help="The least part of the beam that counts before the logarithm is taken: what is darker is raised to it. "
        f"Automatic is half a count, and nothing for files of line integrals. {_ORDER}",
        when=OF_SCANS,
    )  # fmt: skip
    crop_bins: tuple[int, ...] = setting(
        (), label="Crop of bins", unit="bins", advanced=True,
        help="So many bins are left out at the beginning and at the end of the detector, such as 8, 0, and count "
        f"for nothing that follows. {_ORDER}",
        when=OF_SCANS,
    )  # fmt: skip
    bad_bins: bool = setting(
        False, label="Bad bins",
        help="Detector bins that stand still while their neighbours change (dead, or stuck), or that fluctuate far more, "
        f"are filled from the good bins on both sides. {_ORDER}",
        when=OF_SCANS,
    )  # fmt: skip
    zingers: bool = setting(
        False, label="Zingers",
        help="Single readings far from all that is around them, as stray X-rays in the camera leave them, become the "
        f"median of their 3 × 3 neighbourhood. {_ORDER}",
        when=OF_SCANS,
    )  # fmt: skip
    zinger_threshold: float = setting(
        8.0, ge=3, le=100, label="Zinger threshold", unit="σ", advanced=True,
        help="A zinger is so many standard deviations off, of the noise in the whole scan and around it",
        when=OF_SCANS | {"zingers": True},
    )  # fmt: skip
    beam_drift: bool = setting(
        False, label="Beam drift",
        help="The air at the detector's borders becomes 0 in every view, linearly between both; where a border sees no "
        "air, nothing is changed, and that is said. Counts with flats have it already where the air tells it. "
        f"{_ORDER}",
        when=OF_SCANS,
    )  # fmt: skip
    rings: Rings = setting(
        "off", label="Rings",
        help="Stripes of the sinogram, which become rings. profile: what a bin has beyond the bins around it, in the "
        "median of all views, is taken off; algotom: stripes of all kinds, by the package of that name (pip install "
        f"'padis-gui[rings]'), which changes more of the object too. {_ORDER}",
        when=OF_SCANS,
    )  # fmt: skip
    ring_width: int = setting(
        4, ge=1, le=100, label="Ring width", unit="bins", advanced=True,
        help="The widest stripe that is taken out; structures of the object that stand still and are as narrow suffer too",
        when=OF_SCANS | {"rings": ("profile", "algotom")},
    )  # fmt: skip
    tilt: float = setting(
        0.0, ge=-5, le=5, label="Tilt", unit="°", advanced=True,
        help="By so much the axis of rotation leans over the detector, to higher columns in higher rows; every view is "
        "turned back about the detector's middle. It takes several detector rows of square pixels, and reads the rows "
        f"beside. {_ORDER}",
        when=OF_SCANS,
    )  # fmt: skip

    @field_validator("crop_bins")
    @classmethod
    def _are_both_ends(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if given and (len(given) != 2 or min(given) < 0 or max(given) > _MOST_BINS):
            raise PydanticCustomError(
                WANTED, "how many bins to leave out at the beginning and at the end, 0 or more, in"
            )
        return given if any(given) else ()

    @property
    def uncorrected(self) -> dict[str, Any]:
        """The changes with which nothing is mended; the crop, which says what there is, stays."""
        off = CorrectionSettings()
        return {name: getattr(off, name) for name in CorrectionSettings.model_fields if name != "crop_bins"}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A correction that the data ask for: the setting's name, the value it should have, and what was found, in words."""

    name: str
    value: Any
    found: str
