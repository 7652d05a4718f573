"""TIGRE's geometry as a scan's: a structure of MATLAB, a dump of the Python object in JSON, or what it prints.

TIGRE (Biguri et al., Biomed. Phys. Eng. Express 2 (2016) 055010; `geometry.py`, demo 1): `DSD` and `DSO` are the
distances of the source from detector and axis in mm, `dDetector` a pixel's size, `offDetector` where the detector's
middle lies. A pair is (rows, columns) in Python and (columns, rows) in MATLAB. Angles are in radians: the source is
at (DSO cos a, DSO sin a), and the columns count along (-sin a, cos a), so that the scanner goes round
counter-clockwise from 90° in this program's convention. `COR` moves source and detector along the columns, which the
axis is seen to move back by COR DSD / DSO. `offOrigin` moves the image only, which here has its middle on the axis.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.scans.geometry_file import FORMAT, ScanGeometry
from padis_gui.core.settings.errors import InputError

KEYS = ("DSD", "DSO")
_MOST = 3_000_000  # numbers in a field


def is_tigre(values: Mapping[str, Any]) -> bool:
    """Whether the fields are those of a TIGRE geometry."""
    return all(key in values for key in KEYS)


def tigre_geometry(
    values: Mapping[str, Any], name: str, pairs: Literal["rows, columns", "columns, rows"] = "rows, columns"
) -> ScanGeometry:
    """The geometry of the fields ``values``, for projections (views, rows, bins) of line integrals.

    Raises :class:`InputError` for what this program's geometry has no place for: a tilted detector, an axis that
    moves, angles that are not about one axis.
    """
    column = 1 if pairs == "rows, columns" else 0

    def wrong(what: str, came: str) -> InputError:
        return InputError(
            f"A TIGRE geometry with {what} was wanted, but that of {name} {came}; correct it, or write the geometry "
            "by hand (padis-gui geometry --example)."
        )

    def numbers(key: str) -> NDArray[np.float64]:
        try:
            found = np.asarray(values[key], dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise wrong(f"numbers in {key}", "has others") from None
        if not 0 < found.size <= _MOST or not np.isfinite(found).all():
            raise wrong(f"finite numbers in {key}", "has others, or none")
        return found

    def one(key: str, or_else: float | None = None) -> float:
        if key not in values or values[key] is None:
            if or_else is None:
                raise wrong(key, "has none")
            return or_else
        found = numbers(key).ravel()
        if np.ptp(found) > 1e-9 * max(1.0, float(np.abs(found).max())):
            raise wrong(f"one {key} for all views", "has several")
        return float(found[0])

    def of_columns(key: str, or_else: float | None = None) -> float:
        """That of a pair which is of the columns; TIGRE itself makes one of each view."""
        if key not in values or values[key] is None:
            return one(key, or_else)
        found = numbers(key)
        if found.size == 1:
            return float(found.ravel()[0])
        each = found.reshape(-1, 2) if found.size % 2 == 0 else found.reshape(1, -1)[:, :2]
        return one_of(key, each[:, column])

    def one_of(key: str, found: NDArray[np.float64]) -> float:
        if np.ptp(found) > 1e-9 * max(1.0, float(np.abs(found).max())):
            raise wrong(f"one {key} for all views", "has several")
        return float(found[0])

    if values.get("rotDetector") is not None and np.abs(numbers("rotDetector")).max() > 1e-3:
        raise wrong("a detector that stands upright", "has a rotDetector")
    if values.get("angles") is None:
        raise wrong("the angles of the views", "has none")
    angles = numbers("angles")
    if angles.ndim == 2 and angles.shape[1] == 3 and angles.shape[0] > 1:
        if np.abs(angles[:, 1:]).max() > 1e-6:
            raise wrong("angles about one axis", "has Euler angles about several")
        angles = angles[:, 0]
    is_parallel = str(values.get("mode") or "cone").lower() == "parallel"
    far, near = one("DSD"), one("DSO")
    width = of_columns("dDetector")
    bins = int(of_columns("nDetector", 0.0))
    if not (0 < near <= far < 1e9 and 0 < width < 1e9):
        raise wrong(
            "0 < DSO <= DSD and pixels wider than 0", f"has DSO {near:g}, DSD {far:g} and pixels of {width:g}"
        )
    magnification = 1.0 if is_parallel else far / near
    aside = of_columns("offDetector", 0.0) + one("COR", 0.0) * magnification * (0.0 if is_parallel else 1.0)
    if bins < 1 and aside:
        raise wrong("nDetector, as its detector stands aside,", "has none")
    return ScanGeometry(
        format=FORMAT,
        beam="parallel" if is_parallel else "fan",
        axes="views, rows, bins",
        slices="every row" if is_parallel else "central row",
        angles=tuple(np.rad2deg(angles.ravel()).tolist()),
        start=90.0,
        bin_width=width,
        source_distance=None if is_parallel else near,
        detector_distance=None if is_parallel else far - near,
        centre_column=round((bins - 1) / 2 - aside / width, 6) if bins >= 1 else None,
    )
