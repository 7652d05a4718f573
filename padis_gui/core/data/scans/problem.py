"""A scan's geometry as the settings of its physics, on an image that holds the field of view."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from padis_gui.core.data.scans.scan import Geometry, Values
from padis_gui.core.errors import InputError, SettingError
from padis_gui.core.operators import find_physics
from padis_gui.core.settings import make

PHYSICS = {"parallel": "ct-parallel", "fan": "ct-fan"}
# the image's corners stay so far inside the source's orbit
_INSIDE_THE_ORBIT = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a scan is reconstructed on, and from which part of it: ``angles`` (views,) in degrees, the file's own."""

    geometry: Geometry
    angles: NDArray[np.float64]
    bins: int
    binning: int
    centre: float
    pixel: float
    size: int

    @property
    def has_lengths(self) -> bool:
        """Whether lengths are in mm."""
        return self.geometry.bin_width is not None

    @property
    def unit(self) -> str:
        """Of the reconstructed attenuation."""
        return "1/mm" if self.has_lengths else "1/px"

    @property
    def spacing(self) -> tuple[float, float] | None:
        """The pixels' pitch in mm."""
        return (self.pixel, self.pixel) if self.has_lengths else None

    @property
    def physics(self) -> str:
        """The name of the physics."""
        return PHYSICS[self.geometry.beam]

    @property
    def problem(self) -> dict[str, Any]:
        """Plain values of the physics' settings. Without lengths in mm they are in pixels, as then is the unit."""
        g = self.geometry
        scale = 1.0 if self.has_lengths else 1 / self.pixel
        found: dict[str, Any] = {
            "angles": tuple(float(a) for a in self.angles),
            "views": len(self.angles),
            "start": math.fmod(g.start, 360.0),
            "turn": g.turn,
            "bins": self.bins,
            "bin_width": g.width * self.binning * scale,
            "centre": self.centre,
            "pixel_size": self.pixel if self.has_lengths else 1.0,
            "lengths": "mm" if self.has_lengths else "pixels",
        }
        if g.beam == "fan" and g.source_distance is not None and g.detector_distance is not None:
            found |= {
                "source_distance": g.source_distance * scale,
                "detector_distance": g.detector_distance * scale,
            }
        return found

    def fbp(self, values: Values, name: str) -> Values:
        """Filtered back projection of line integrals (views, bins) -> (1, size, size).

        Raises :class:`InputError` where the geometry, which is that of the file ``name``, cannot be.
        """
        record = find_physics(self.physics)
        try:
            settings = make(record.settings_type, self.problem)
            operator = record.make((1, self.size, self.size), settings, torch.device("cpu"))
        except SettingError as error:
            reason = str(error).partition(";")[0]
            raise InputError(
                f"A geometry that can be reconstructed was wanted, but with that of {name} it is not so: {reason}; correct "
                "the geometry, and mind its units."
            ) from None
        found: Values = operator.pinv(torch.from_numpy(values[None])).numpy()
        return found


def field_of_view(geometry: Geometry, bins: int, centre: float) -> float:
    """The radius, in the geometry's lengths, of the circle that holds whatever any view sees.

    ``bins`` and ``centre`` are those of the whole detector, not of a binned one.
    """
    half = (bins / 2 + abs(centre)) * geometry.width
    if geometry.beam == "parallel" or geometry.source_distance is None or geometry.detector_distance is None:
        return half
    source = geometry.source_distance
    seen = source * math.sin(math.atan(half / (source + geometry.detector_distance)))
    return min(seen, source * _INSIDE_THE_ORBIT / math.sqrt(2))
