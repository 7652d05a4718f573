"""What a pane can show: one record a source, where it comes from, and how its numbers are to be read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum


class Scale(Enum):
    """What the numbers of a source mean, which settles its levels and its colours."""

    IMAGE = "image"  # the image's own intensities
    SIGNED = "difference"  # differences of images: about 0
    MEASURED = "measurement"  # the measurement's own numbers
    MISFIT = "misfit"  # differences of measurements: about 0
    MAGNITUDE = "magnitude"  # from 0 upwards; every such source has levels of its own

    @property
    def signed(self) -> bool:
        """Whether levels lie symmetrically about 0."""
        return self in (Scale.SIGNED, Scale.MISFIT)


class Origin(Enum):
    """The headings under which sources are listed."""

    DATA = "Data"
    RUN = "This run"
    CORONAL = "Coronal plane"
    SAGITTAL = "Sagittal plane"
    LABORATORY = "Laboratory"
    RUNS = "Other runs"


class Lattice(Enum):
    """What a pixel of a source is. Panes on one lattice, and of one size, share view and cursor.

    Of a volume the axial plane has the image's own pixels; the others have their own.
    """

    IMAGE = "image"
    MEASUREMENT = "measurement"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaneSource:
    """One thing to look at. ``short`` is its name where room is scarce; ``tiled`` ones show the tiling's overlay,
    ``counted`` ones are numbers without a unit. ``share`` is for differences that are small as a rule: the share of
    the images' levels that they are shown with.

    Pixels are (rows, columns) or (rows, columns, 3), float32.
    """

    key: str
    label: str
    short: str
    origin: Origin
    scale: Scale
    lattice: Lattice = Lattice.IMAGE
    tiled: bool = False
    counted: bool = False
    share: float = 0.0
    help: str = ""

    @property
    def levels_group(self) -> str:
        """Sources of one group are shown with the same levels and colours."""
        small = f" {self.share:g}" if self.share else ""
        return self.key if self.scale is Scale.MAGNITUDE else self.scale.value + small


BUILT_IN: tuple[PaneSource, ...] = (
    PaneSource(
        key="truth", label="Truth", short="Truth", origin=Origin.DATA, scale=Scale.IMAGE,
        help="The image that was opened, from which the measurement is simulated",
    ),
    PaneSource(
        key="baseline", label="FBP", short="FBP", origin=Origin.DATA, scale=Scale.IMAGE,
        help="What is known without a prior: the physics' own quick picture",
    ),
    PaneSource(
        key="measurement", label="Measurement y", short="y", origin=Origin.DATA, scale=Scale.MEASURED,
        lattice=Lattice.MEASUREMENT, help="What was measured, y = A x + noise",
    ),
    PaneSource(
        key="estimate", label="Estimate x̂₀", short="x̂₀", origin=Origin.RUN, scale=Scale.IMAGE, tiled=True,
        help="The image that the solver would return if it stopped here",
    ),
    PaneSource(
        key="state", label="Iterate x_t", short="x_t", origin=Origin.RUN, scale=Scale.IMAGE, tiled=True,
        help="The solver's noisy state at this step",
    ),
    PaneSource(
        key="denoised", label="Denoised D(x_t)", short="D(x_t)", origin=Origin.RUN, scale=Scale.IMAGE, tiled=True,
        help="What the prior makes of the state, before the data have their say",
    ),
    PaneSource(
        key="difference", label="Difference x̂₀ − truth", short="x̂₀ − truth", origin=Origin.RUN, scale=Scale.SIGNED,
        help="The estimate's error; red is too bright, blue too dark",
    ),
    PaneSource(
        key="deviation", label="Deviation of samples", short="s", origin=Origin.RUN, scale=Scale.MAGNITUDE,
        help="Standard deviation of each pixel over the samples, where the method draws several",
    ),
    PaneSource(
        key="measured", label="Measured estimate A x̂₀", short="A x̂₀", origin=Origin.RUN, scale=Scale.MEASURED,
        lattice=Lattice.MEASUREMENT, help="What would have been measured if the estimate were the truth",
    ),
    PaneSource(
        key="misfit", label="Data residual A x̂₀ − y", short="A x̂₀ − y", origin=Origin.RUN, scale=Scale.MISFIT,
        lattice=Lattice.MEASUREMENT, help="Where the estimate disagrees with the measurement",
    ),
)  # fmt: skip


class SourceList:
    """The sources there are now, by key and in the order of their headings."""

    def __init__(self) -> None:
        self._sources = {source.key: source for source in BUILT_IN}

    def __iter__(self) -> Iterator[PaneSource]:
        for origin in Origin:
            yield from (source for source in self._sources.values() if source.origin is origin)

    def __contains__(self, key: object) -> bool:
        return key in self._sources

    def __getitem__(self, key: str) -> PaneSource:
        return self._sources[key]

    def add(self, source: PaneSource) -> None:
        """Add a source, or replace the one with its key."""
        self._sources[source.key] = source

    def remove(self, key: str) -> None:
        """Take a source away; the built-in ones stay."""
        if not any(source.key == key for source in BUILT_IN):
            self._sources.pop(key, None)

    def rename(self, key: str, label: str) -> None:
        """Call a source otherwise."""
        self.add(replace(self[key], label=label, short=label))

    def adapt(self, measurement: str, baseline: str, *, pictorial: bool, on_image: bool) -> None:
        """Name what a physics measures and its baseline.

        ``pictorial`` measurements have the image's own intensities, and ``on_image`` ones its pixels too.
        """
        self.rename("baseline", baseline)
        for plane in (Lattice.CORONAL.value, Lattice.SAGITTAL.value):
            if (key := f"baseline.{plane}") in self:
                self.rename(key, f"{baseline}, {plane}")
        lattice = Lattice.IMAGE if on_image else Lattice.MEASUREMENT
        scales = (Scale.IMAGE, Scale.SIGNED) if pictorial else (Scale.MEASURED, Scale.MISFIT)
        for key, scale in (("measurement", scales[0]), ("measured", scales[0]), ("misfit", scales[1])):
            self.add(replace(self[key], scale=scale, lattice=lattice))
        self.add(replace(self["measurement"], label=f"{measurement} y", short=measurement))
