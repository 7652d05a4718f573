"""What of a run there is to be written: its result, pictures of its iterates, its curves, what it is compared with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from padis_gui.core.exports.about import About
from padis_gui.core.images.image import Pixels
from padis_gui.core.runs.engine import Result
from padis_gui.core.settings.errors import InputError

Curves = Mapping[str, Sequence[float]]  # a column each, as the report's COLUMNS has them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IteratePicture:
    """A picture (C, rows, columns) of an iterate, in the image's unit; ``psnr`` is NaN where no truth is known."""

    step: int
    total: int
    sigma: float
    psnr: float = math.nan
    pixels: Pixels

    def label(self, symbol: str = "σ") -> str:
        """What is written on the picture; a PSNR that is not known is left out."""
        quality = "" if math.isnan(self.psnr) else f", {self.psnr:.2f} dB"
        return f"step {self.step} of {self.total}, {symbol} {self.sigma:.4g}{quality}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunContent:
    """A run that is to be written.

    ``name`` is what sentences call it, ``title`` the head of a page. ``pictures`` are of those iterates that are kept,
    each what the settings ask for. ``truth`` and ``baseline`` are (C, rows, columns) in the image's unit, None where
    they are not known; ``device`` is a text.
    """

    name: str
    title: str
    result: Result
    about: About
    pictures: Sequence[IteratePicture] = ()
    curves: Curves = field(default_factory=dict)
    truth: Pixels | None = None
    baseline: Pixels | None = None
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
