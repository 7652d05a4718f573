"""A problem: an operator, what it measured, how noisy that is, and the truth where it is known."""

from dataclasses import dataclass

import torch
from torch import Tensor

from padis_gui.core.images.image import Image, Measured
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.watch import SILENT, Watch

_DECIDED_BY_READING = ("angles", "views", "bins", "bin_width", "pixel_size", "lengths")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """``measurement`` = operator(truth) + noise; ``noise`` is its standard deviation in the measurement's unit."""

    operator: LinearOperator
    measurement: Tensor
    noise: float = 0.0
    truth: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where the problem lives."""
        return self.measurement.device


def simulate(
    operator: LinearOperator,
    truth: Tensor,
    settings: PhysicsSettings,
    rng: torch.Generator,
    watch: Watch = SILENT,
) -> Problem:
    """Measure a known image (C, rows, columns) scaled to [0, 1], with the noise that ``settings`` describe.

    ``rng`` is a CPU generator, so every device sees the same noise.
    """
    truth = truth.to(operator.device, operator.dtype)
    clean = operator.measured(truth, watch)
    watch.check()
    measurement, noise = settings.noisy(clean, rng, watch)
    return Problem(operator=operator, measurement=operator.observed(measurement), noise=noise, truth=truth)


def as_measured(
    operator: LinearOperator, image: Image, settings: PhysicsSettings, watch: Watch = SILENT
) -> Problem:
    """The problem of what was really measured, scaled to images in [0, 1]; the truth is not known.

    With y = A u, and u = low + (high - low) x by the image's window, (y - low A 1) / (high - low) = A x.
    Raises :class:`InputError` where the operator measures another shape.
    """
    if image.measured is None:
        raise InputError(f"A measurement was wanted, but {image.name} is an image; open it as a measurement.")
    values = torch.tensor(image.measured.values).to(operator.device, operator.dtype)  # files may be read-only
    if tuple(values.shape) != operator.measurement_shape:
        wanted, came = (" x ".join(map(str, s)) for s in (operator.measurement_shape, values.shape))
        raise InputError(
            f"A measurement of {wanted} was wanted for these settings, but {image.name} holds {came}; choose the "
            "physics, angles and bins that it was measured with."
        )
    low, high = image.window
    if low:
        ones = torch.ones(operator.image_shape, device=values.device, dtype=values.dtype)
        values = values - low * operator.measured(ones, watch)
    values = values / (high - low)
    return Problem(operator=operator, measurement=values, noise=settings.noise_in(values))


def scan_settings(
    measured: Measured, edited: tuple[Measured, PhysicsSettings] | None = None
) -> PhysicsSettings:
    """The settings of a scan's physics with the geometry that its file states.

    ``edited`` is an earlier reading of the same scan, and its settings as they have become since: what was set by
    hand is kept, but for what the reading decides. The centre of rotation is in bins and follows their width.
    """
    settings_type = find_physics(measured.physics).settings_type
    stated = make(settings_type, dict(measured.problem))
    if edited is None or edited[0].physics != measured.physics or not isinstance(edited[1], settings_type):
        return stated
    before, now = make(settings_type, dict(edited[0].problem)).model_dump(), edited[1].model_dump()
    kept = {n: v for n, v in now.items() if v != before[n] and n not in _DECIDED_BY_READING}
    values = stated.model_dump()
    if "centre" in kept and values["bin_width"] and before["bin_width"]:
        kept["centre"] *= before["bin_width"] / values["bin_width"]
    return make(settings_type, values | kept)
