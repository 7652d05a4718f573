"""How a file is read, where it leaves a choice: settings of their own, which a recipe keeps."""

from typing import Literal

from padis_gui.core.settings._j_declarations__core_settings import Settings, setting
from padis_gui.core.settings.errors import SettingError

Role = Literal["automatic", "image", "measurement"]
_SCAN = {"role": ("automatic", "measurement")}


class ReadingSettings(Settings):
    """What to take of a file, and what it is.

    A measurement is used as it is and has no truth; of an image a measurement is simulated. The scaling says which
    intensities of the file (of a scan: of its reconstruction) the prior sees as 0 and 1; it is linear, and undone in
    the result.
    """

    role: Role = setting(
        "automatic", label="Use as",
        help="image: a truth, of which a measurement is simulated; measurement: a degraded picture or a scan as it is, "
        "without a truth; automatic takes scans for measurements and everything else for images",
    )  # fmt: skip
    dataset: str = setting(
        "", label="Data set", advanced=True,
        help="The array to read of a file that holds several (HDF5, NPZ, MATLAB); empty takes the obvious one",
    )  # fmt: skip
    take_views: int | None = setting(
        None, ge=1, le=100_000, label="Take views", symbol="n",
        help="So many of a scan's views, evenly spread over its angles; automatic takes all",
        when=_SCAN,
    )  # fmt: skip
    angle_from: float | None = setting(
        None, ge=-3600, le=3600, label="From angle", unit="°", advanced=True,
        help="Views of a scan before this angle are left out", when=_SCAN,
    )  # fmt: skip
    angle_to: float | None = setting(
        None, ge=-3600, le=3600, label="To angle", unit="°", advanced=True,
        help="Views of a scan from this angle on are left out", when=_SCAN,
    )  # fmt: skip
    binning: int = setting(
        1, ge=1, le=64, label="Binning", unit="bins", advanced=True,
        help="So many neighbouring detector bins become one: their mean", when=_SCAN,
    )  # fmt: skip
    image_size: int | None = setting(
        None, ge=16, le=8192, label="Image size", unit="px", advanced=True,
        help="Side of the image reconstructed from a scan; automatic is 256 px, which the bundled priors know best. The "
        "pixels get the size with which the image holds the field of view",
        when=_SCAN,
    )  # fmt: skip
    scale_low: float | None = setting(
        None, label="Black", advanced=True,
        help="The intensity that the prior sees as 0, in the file's own unit; automatic is what the file's kind says, "
        "and for a scan what is proposed from its FBP",
    )  # fmt: skip
    scale_high: float | None = setting(
        None, label="White", advanced=True,
        help="The intensity that the prior sees as 1, in the file's own unit; automatic as for black",
    )  # fmt: skip

    def scaling(self, proposed: tuple[float, float]) -> tuple[float, float]:
        """The intensities of black and white: the proposed ones where the settings leave them open.

        Raises :class:`SettingError` where white is not above black.
        """
        low = proposed[0] if self.scale_low is None else self.scale_low
        high = proposed[1] if self.scale_high is None else self.scale_high
        if not low < high:
            raise SettingError(
                f"White above black was wanted, but black is {low:g} and white {high:g}; raise white or lower black."
            )
        return low, high
