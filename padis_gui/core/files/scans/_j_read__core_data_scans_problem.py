"""A scan's geometry as the settings of its physics, and its filtered back projection with them."""

from typing import Any

import torch

from padis_gui.core.files.scans._j_scan__core_data_scans_scan import Values
from padis_gui.core.physics._j_geometry__core_physics_geometry import Beam, Geometry
from padis_gui.core.physics._j_scanner__core_operators_scanner import settings_of
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.settings._j_declarations__core_settings import make
from padis_gui.core.settings.errors import InputError, SettingError

PHYSICS: dict[Beam, str] = {"parallel": "ct-parallel", "fan": "ct-fan"}


def back_projected(values: Values, geometry: Geometry, pixel: float, size: int, name: str) -> Values:
    """Filtered back projection of line integrals (views, bins) -> (1, size, size), pixels ``pixel`` wide.

    Raises :class:`InputError` where the geometry, which is that of the file ``name``, cannot be.
    """
    record = find_physics(PHYSICS[geometry.beam])
    problem: dict[str, Any] = settings_of(geometry, pixel)
    try:
        operator = record.make((1, size, size), make(record.settings_type, problem), torch.device("cpu"))
    except SettingError as error:
        reason = str(error).partition(";")[0]
        raise InputError(
            f"A geometry that can be reconstructed was wanted, but with that of {name} it is not so: {reason}; correct "
            "the geometry, and mind its units."
        ) from None
    found: Values = operator.pinv(torch.from_numpy(values[None])).numpy()
    return found
