"""What of a run there is to be written: its result, pictures of its iterates, its curves, what it is compared with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from padis_gui.core.exports.about import About
from padis_gui.core.images.image import Pixels
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.prior.partition import Partition
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.opened import Prepared
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import planes_sha256

Curves = Mapping[str, Sequence[float]]  # a column each, as the report's COLUMNS has them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IteratePicture:
    """A picture (C, rows, columns) of an iterate, in the image's unit; ``psnr`` is NaN where no truth is known, and
    ``partition`` that of its last denoiser call, where there was one of an image."""

    step: int
    total: int
    sigma: float
    psnr: float = math.nan
    pixels: Pixels
    partition: Partition | None = None

    def label(self, symbol: str = "σ") -> str:
        """What is written on the picture; a PSNR that is not known is left out."""
        quality = "" if math.isnan(self.psnr) else f", {self.psnr:.2f} dB"
        return f"step {self.step} of {self.total}, {symbol} {self.sigma:.4g}{quality}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """The slices of a volume or the channels of an image, (rows, columns) float32 each, with what their numbers mean.

    ``planes`` may be read one by one as they are asked for, so that a volume need not be in memory. Spacings are in mm.
    """

    planes: Sequence[Pixels]
    is_volume: bool
    unit: str
    window: tuple[float, float]
    spacing: tuple[float, float] | None
    slice_spacing: float | None
    name: str
    recipe: Recipe
    metrics: Mapping[str, float | None]
    about: About

    @classmethod
    def of(cls, run: "RunContent") -> Self:
        """Those of a run's result."""
        result = run.result
        return cls(
            planes=list(result.pixels), is_volume=result.image.is_volume, unit=result.unit, window=result.window,
            spacing=result.spacing, slice_spacing=result.image.slice_spacing, name=result.image.name, recipe=result.recipe,
            metrics=result.metrics, about=run.about,
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices or channels, rows, columns)."""
        rows, columns = self.planes[0].shape
        return len(self.planes), rows, columns

    @property
    def sha256(self) -> str:
        """As :func:`~padis_gui.core.settings.files.pixels_sha256` of all of them, read one by one."""
        return planes_sha256(self.shape, self.planes)

    def grey(self, kind: str) -> Sequence[Pixels]:
        """Its slices, or the one of a grey image; raises :class:`InputError` for colours, which ``kind`` cannot hold."""
        if self.is_volume or len(self.planes) == 1:
            return self.planes
        raise InputError(
            f"A grey image or a volume was wanted for {kind}, but this result has {len(self.planes)} channels; export it "
            "as TIFF."
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredScan:
    """Line integrals (rows of the detector, views, bins), float32, and how they were taken.

    ``geometry`` has lengths in mm where they are known, else in bins. Of a simulation the line integrals are those of the
    image on [0, 1].
    """

    values: Pixels
    geometry: Geometry

    @classmethod
    def of(cls, prepared: Prepared, simulated: Pixels | None = None) -> "MeasuredScan | None":
        """What was measured of what is prepared: as it came from the scan, else as simulated; None of no scan.

        ``simulated`` is a copy of what was simulated, (C, views, bins), for whoever is not to use the prior's device.
        """
        operator, image = prepared.problem.operator, prepared.opened.image
        geometry = getattr(operator, "geometry", None)
        if not isinstance(geometry, Geometry):
            return None
        pixel: float = operator.pixel_size  # type: ignore[attr-defined]
        in_mm = image is not None and (
            image.unit == "1/mm" if image.is_scan else getattr(prepared.method.problem, "lengths", "") == "mm"
        )
        width = 1.0 if in_mm else geometry.bin_width
        scaled = geometry.with_lengths(
            "mm" if in_mm else "bins", lambda length: length * pixel if in_mm else length / width
        )
        measured = None if image is None else image.measured
        if measured is not None:
            return cls(values=measured.values, geometry=scaled)
        values = prepared.problem.measurement.detach().cpu().numpy() if simulated is None else simulated
        return cls(values=values, geometry=scaled)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunContent:
    """A run that is to be written.

    ``name`` is what sentences call it, ``title`` the head of a page. ``pictures`` are of those iterates that are kept,
    each what the settings ask for. ``truth`` and ``baseline`` are (C, rows, columns) in the image's unit, None where
    they are not known; ``measured`` is what a scan has, None where it is not known or is no scan; ``device`` is a text.
    """

    name: str
    title: str
    result: Result
    about: About
    pictures: Sequence[IteratePicture] = ()
    curves: Curves = field(default_factory=dict)
    truth: Pixels | None = None
    baseline: Pixels | None = None
    measured: MeasuredScan | None = None
    device: str = ""

    @property
    def iterates(self) -> Sequence[IteratePicture]:
        """The pictures of its iterates; raises :class:`InputError` where there are none."""
        if not self.pictures:
            raise InputError(
                f"Iterates were wanted, but none of {self.name} are kept any more; repeat the run, or give the history "
                "more memory in the preferences."
            )
        return self.pictures
