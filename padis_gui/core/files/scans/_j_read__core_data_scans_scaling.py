"""Which attenuation the prior is to see as 0 and 1, proposed from a coarse reconstruction of the whole scan."""

import numpy as np

from padis_gui.core.files.scans._j_read__core_data_scans_problem import back_projected
from padis_gui.core.files.scans._j_read__core_data_scans_views import binned, spread_evenly
from padis_gui.core.files.scans._j_scan__core_data_scans_scan import Values
from padis_gui.core.physics._j_geometry__core_physics_geometry import Geometry

_SIZE, _BINS, _VIEWS = 128, 192, 360
_DENSEST = 0.999
_HEADROOM = 1.1
_METAL = 4.0
_NEGATIVE = 0.5


def propose_scaling(name: str, values: Values, geometry: Geometry, pixel: float) -> tuple[float, float]:
    """Attenuations of black and white for an image whose pixels are ``pixel`` wide, in 1/mm, or without lengths 1/px.

    Of the FBP of all views on 128 x 128 pixels, which averages noise away, within the field of view:

    - White is the 99.9th percentile and a tenth more, but at most 4 times the typical material: that is the
      attenuation which as much of the object's whole attenuation lies below as above. Bone beside soft tissue lies
      inside; a few pixels of metal do not press everything else into the dark.
    - Black is 0, no attenuation; where 2 % of the pixels lie more than half of the typical material below it, the
      2nd percentile.

    It depends on the whole scan, and so not on how many views are taken. Rounded to two digits.
    """
    by = max(1, values.shape[1] // _BINS)
    some = spread_evenly(geometry.angles, min(_VIEWS, len(values)), geometry.beam)
    wide = 2 * geometry.seen_by_any_view / _SIZE
    coarse = binned(name, values[some], by)
    found = back_projected(coarse, geometry.of_views(some).binned(by), wide, _SIZE, name)
    picture = found[0].astype(np.float64)
    if geometry.unit != "mm":
        picture *= pixel / wide
    axis = np.arange(_SIZE) - (_SIZE - 1) / 2
    inside = np.sort(picture[np.hypot(*np.meshgrid(axis, axis)) <= 0.97 * _SIZE / 2])
    positive = inside[inside > 0]
    if not len(positive):
        return 0.0, 1.0
    mass = np.cumsum(positive)
    typical = float(positive[np.searchsorted(mass, mass[-1] / 2)])
    white = min(_HEADROOM * float(np.quantile(inside, _DENSEST)), _METAL * typical)
    lowest = float(np.quantile(inside, 0.02))
    black = lowest if lowest < -_NEGATIVE * typical else 0.0
    return _rounded(black), _rounded(white) or typical


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")
