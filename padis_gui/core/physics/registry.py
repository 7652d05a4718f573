"""The registry of physics: one record a kind of measurement, one file each."""

from __future__ import annotations

from dataclasses import dataclass

from padis_gui.core import torch
from padis_gui.core.images.image import Image
from padis_gui.core.physics.blur import Blur, BlurSettings
from padis_gui.core.physics.cone import ConeBeamCT, ConeBeamSettings
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.physics.pixelwise import (
    Denoising,
    DenoisingSettings,
    Inpainting,
    InpaintingSettings,
    Nothing,
    NothingSettings,
)
from padis_gui.core.physics.scanner import FanBeamCT, FanBeamSettings, ParallelBeamCT, ParallelBeamSettings
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.physics.superresolution import SuperResolution, SuperResolutionSettings
from padis_gui.core.settings.declarations import Registry
from padis_gui.core.settings.watch import SILENT, Watch


@dataclass(frozen=True, slots=True)
class Physics:
    """``operator`` computes it; ``measurement`` and ``baseline`` name what the viewers show. ``pictorial``
    measurements have the image's own intensities; ``imageless`` ones need no image. Of a volume, those ``of_volumes``
    measure all slices at once; others measure one after the other."""

    name: str
    label: str
    settings_type: type[PhysicsSettings]
    operator: type[LinearOperator]
    measurement: str
    baseline: str
    source: str
    summary: str
    pictorial: bool = False
    imageless: bool = False
    of_volumes: bool = False

    def make(
        self,
        image_shape: tuple[int, int, int],
        settings: PhysicsSettings,
        device: torch.device,
        picture: Image | None = None,
        watch: Watch = SILENT,
    ) -> LinearOperator:
        """The operator for images (C, rows, columns); ``picture`` is what is in the settings' ``picture_file``.

        Raises :class:`~padis_gui.core.settings.errors.PadisError` for settings that do not fit the image.
        """
        return self.operator.of(image_shape, settings, device, picture, watch)


PHYSICS = Registry("physics", (
    Physics(
        "ct-parallel", "CT, parallel beam", ParallelBeamSettings, ParallelBeamCT, "Sinogram", "FBP",
        "arXiv 2406.02462, section 4", "Line integrals along parallel rays.",
    ),
    Physics(
        "ct-fan", "CT, fan beam", FanBeamSettings, FanBeamCT, "Sinogram", "FBP",
        "arXiv 2406.02462, section 4", "Line integrals along rays from a point to a flat detector.",
    ),
    Physics(
        "ct-cone", "CT, cone beam", ConeBeamSettings, ConeBeamCT, "Sinogram", "FDK",
        "Feldkamp et al. 1984, doi 10.1364/JOSAA.1.000612",
        "Line integrals of a volume along rays from a point to a flat detector.", of_volumes=True,
    ),
    Physics(
        "deblur", "Deblurring", BlurSettings, Blur, "Blurred", "Wiener",
        "arXiv 2406.02462, section 4", "The image convolved with a known kernel.", pictorial=True,
    ),
    Physics(
        "super-resolution", "Super-resolution", SuperResolutionSettings, SuperResolution, "Small picture",
        "Bicubic", "arXiv 2406.02462, section 4", "The image reduced by an integer factor.", pictorial=True,
    ),
    Physics(
        "inpainting", "Inpainting", InpaintingSettings, Inpainting, "Masked", "Harmonic fill",
        "arXiv 2212.00490, section 4", "The image with missing pixels.", pictorial=True,
    ),
    Physics(
        "denoising", "Denoising", DenoisingSettings, Denoising, "Noisy", "Noisy picture",
        "arXiv 2212.00490, section 4", "The image with Gaussian noise.", pictorial=True,
    ),
    Physics(
        "nothing", "Generate", NothingSettings, Nothing, "Nothing", "Blank",
        "arXiv 2011.13456", "No data: an unconditional sample of the prior.", imageless=True,
    ),
))  # fmt: skip
find_physics = PHYSICS.find
