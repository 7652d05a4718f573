"""A problem: an operator, what it measured, how noisy that is, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from padis_gui.core import Tensor, torch
from padis_gui.core.images.image import Image, Measured
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.scanner import ScannerSettings
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.watch import SILENT, Watch

# What a scan's file and its reading decide, whatever was set for an earlier reading
_DECIDED_BY_READING = ("angles", "views", "bins", "bin_width", "pixel_size", "lengths")
# What nobody may give for a scan, and the settings of reading that choose a part of it instead
_CHOSEN_BY = {"views": "--take-views or --angle-from", "arc": "--angle-to", "bins": "--binning"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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
    measured: Measured,
    edited: tuple[Measured, PhysicsSettings] | None = None,
    *,
    physics: str | None = None,
    given: Mapping[str, Any] | None = None,
) -> PhysicsSettings:
    """The settings of a scan's physics with the geometry that its file states.

    ``edited`` is an earlier reading of the same scan, and its settings as they have become since: what was set by
    hand is kept, but for what the reading decides. The centre of rotation is in bins and follows their width.
    ``given`` is what is to be other than the file says, ``physics`` the name of another physics of scans. Raises
    :class:`SettingError` for one that is none, and for what the reading decides.
    """
    settings_type = find_physics(physics or measured.physics).settings_type
    if not issubclass(settings_type, ScannerSettings):
        raise SettingError(
            f"A physics of scans was wanted for this measurement, but {physics} was given; leave --physics out, or "
            "read the file with --role image."
        )
    given = given or {}
    for name, instead in _CHOSEN_BY.items():
        if name in given:
            raise SettingError(
                f"A measured scan has its own {name}, but another one was given; choose a part of it by {instead}, or "
                "the setting of that name."
            )
    known = {name: value for name, value in measured.problem.items() if name in settings_type.model_fields}
    stated: PhysicsSettings = make(settings_type, known | dict(given))
    if edited is None or edited[0].physics != measured.physics or not isinstance(edited[1], settings_type):
        return stated
    before, now = make(settings_type, dict(edited[0].problem)).model_dump(), edited[1].model_dump()
    kept = {n: v for n, v in now.items() if v != before[n] and n not in _DECIDED_BY_READING}
    values = stated.model_dump()
    if "centre" in kept and values["bin_width"] and before["bin_width"]:
        kept["centre"] *= before["bin_width"] / values["bin_width"]
    return make(settings_type, values | kept)
