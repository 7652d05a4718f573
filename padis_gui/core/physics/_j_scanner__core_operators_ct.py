"""Parallel-beam CT. The kernel is ASTRA's "linear": the line integral by linear interpolation between pixels."""

import math
from functools import cached_property
from typing import ClassVar

from torch import Tensor

from padis_gui.core.physics._j_geometry__core_physics_geometry import Beam
from padis_gui.core.physics._j_projector__core_operators_fbp import view_weights
from padis_gui.core.physics._j_scanner__core_operators_scanner import Scanner, ScannerSettings


class ParallelBeamSettings(ScannerSettings):
    """The geometry of a parallel-beam scan; angles in [0, π) by default, as in [P]."""

    beam: ClassVar[Beam] = "parallel"


class ParallelBeamCT(Scanner):
    """Line integrals along parallel rays, (C, rows, columns) -> (C, views, bins)."""

    @cached_property
    def _view_weights(self) -> Tensor:
        return view_weights(self.angles, math.pi)[:, None]

    def _seen(self, across: Tensor, along: Tensor) -> tuple[Tensor, Tensor | float]:
        return across, 1.0
