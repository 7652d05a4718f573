"""Fan-beam CT with a flat detector. The kernel is ASTRA's "line_fanflat": the length of a ray inside each pixel."""

import math
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from padis_gui.core.physics._j_geometry__core_physics_geometry import Beam, Shape
from padis_gui.core.physics._j_projector__core_operators_fbp import redundancy_weights, view_weights
from padis_gui.core.physics._j_scanner__core_operators_scanner import Scanner, ScannerSettings
from padis_gui.core.settings._j_declarations__core_settings import NOT_GIVEN, setting


class FanBeamSettings(ScannerSettings):
    """The geometry of a fan-beam scan. [C] has 40 and 40 for an image 40 wide, and an arc of 180 degrees."""

    beam: ClassVar[Beam] = "fan"

    arc: float = setting(
        360.0, gt=0, le=360, label="Arc", symbol="Θ", unit="°", advanced=True,
        help="Range of angles: 360 is a complete scan, 180 and the fan's opening a short scan, less is a "
        "limited-angle scan",
        when={"angles": NOT_GIVEN},
    )  # fmt: skip
    source_distance: float | None = setting(
        None, ge=1e-6, le=1e9, label="Source distance", advanced=True,
        help="From the source to the axis of rotation; automatic is the image's longer side",
    )  # fmt: skip
    detector_distance: float | None = setting(
        None, ge=0, le=1e9, label="Detector distance", advanced=True,
        help="From the axis of rotation to the detector; automatic is the image's longer side",
    )  # fmt: skip

    def _distances(self, shape: Shape) -> tuple[float, float]:
        longer = float(max(shape))
        source, behind = (self._in_pixels(d) for d in (self.source_distance, self.detector_distance))
        return longer if source is None else source, longer if behind is None else behind


class FanBeamCT(Scanner):
    """Line integrals along rays from a point to a flat detector, (C, rows, columns) -> (C, views, bins)."""

    @cached_property
    def _view_weights(self) -> Tensor:
        """Cosine of the fan angle, the view's share of the turn, and the rays' redundancy."""
        geometry = self.geometry
        fan_angles = torch.atan(geometry.positions() / geometry.to_detector)
        turn = view_weights(self.angles, 2 * math.pi)[:, None]
        return turn * torch.cos(fan_angles) * redundancy_weights(self.angles, fan_angles)

    def _seen(self, across: Tensor, along: Tensor) -> tuple[Tensor, Tensor | float]:
        """By a ray from the source; weighted as in Kak and Slaney, chapter 3, equation 101."""
        source = self.geometry.source_distance
        nearer = source / (source + along)
        return across * nearer * self.geometry.magnification, nearer.square()
