"""Images, measurements and priors: from files, folders, arrays and by name."""

import os
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.api.notebook import as_html
from padis_gui.core.files.arrays import image_of_array
from padis_gui.core.files.formats.pages import display_name, in_one_sentence, shown
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image, OfImage, Pixels, ReadingSettings
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.presets import DEMO_IMAGE, DEMO_PHOTO, bundled_priors, own_priors, resource
from padis_gui.core.runs.recipe import check_seed
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import CheckpointError, InputError, SettingError
from padis_gui.core.settings.machine import pick_device, precision_on

if TYPE_CHECKING:
    from padis_gui.api.deepinv import PatchDenoiser

AnyPath = str | os.PathLike[str]

_DEMOS = {"ct": DEMO_IMAGE, "photo": DEMO_PHOTO}
# settings of reading that mean something without a file
_OF_ARRAYS = (
    "role", "scale_low", "scale_high", "crop", "pixel_binning", "longest_side", "pixel_pitch", "not_finite",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class OpenedImage(OfImage):
    """An image or a measurement in memory. ``path`` is its file or folder, None for an array."""

    image: Image
    path: Path | None

    @property
    def pages(self) -> int:
        """How many images the file holds."""
        return self.image.pages

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was done in reading, and what the numbers are."""
        return self.image.notes + (() if self.image.measured is None else self.image.measured.notes)

    @property
    def measurement(self) -> Pixels | None:
        """What was really measured: line integrals (C, views, bins) or a degraded picture; None of a truth."""
        return None if self.image.measured is None else self.image.measured.values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.pixels, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.pixels.shape))
        unit = f" {self.unit}" if self.unit else ""
        what = "image" if self.image.measured is None else "measurement"
        return f"<{what} {self.image.name}: {size}, {self.window[0]:g} to {self.window[1]:g}{unit}>"

    def _repr_html_(self) -> str:
        return as_html(self.pixels, self.image, repr(self).strip("<>"))


def open(
    source: Any,
    *,
    page: int = 0,
    unit: str | None = None,
    window: tuple[float, float] | None = None,
    spacing: tuple[float, float] | None = None,
    **reading: Any,
) -> OpenedImage:
    """An image from a file, a folder or an array.

    ``page`` is that of a file of several, from 0, or the detector row of a scan. ``reading`` are the fields of
    :class:`~padis_gui.core.images.image.ReadingSettings`, such as ``dataset``, ``role``, ``scale_low``, ``take_views``.
    An array is (rows, columns), (C, rows, columns) or (rows, columns, C), of numpy, torch or anything that makes one of
    itself; its ``unit`` is HU where its values look like it, ``window`` (low, high) are the values that the prior sees as
    0 and 1, ``spacing`` is (rows, columns) in mm.

    Raises :class:`~padis_gui.core.settings.errors.PadisError` for whatever cannot be used.
    """
    if isinstance(source, str | os.PathLike):
        if (unit, window, spacing) != (None, None, None):
            raise SettingError(
                "unit, window and spacing are said of arrays, but a file was given, which has its own; leave them out, or "
                "use scale_low and scale_high."
            )
        path = checked_path(source, "An image")
        settings = make(ReadingSettings, reading)
        with in_one_sentence(display_name(path), "file"):
            return OpenedImage(read_image(path, _page(page), settings), path)
    if isinstance(source, bytes | bytearray | memoryview):
        raise InputError(
            "The path of an image or an array was wanted, but bytes were given; write them to a file first."
        )
    unknown = [name for name in reading if name in ReadingSettings.model_fields and name not in _OF_ARRAYS]
    if unknown or page != 0:
        raise SettingError(
            f"'{(unknown or ['page'])[0]}' is said of files, but an array was given; take what you want of the array."
        )
    settings = make(ReadingSettings, reading)
    return OpenedImage(image_of_array(source, settings, unit=unit, window=window, spacing=spacing), None)


def demo(name: str = "ct", page: int = 0) -> OpenedImage:
    """A bundled image: "ct" (slices in HU, of which ``page`` is one) or "photo"."""
    if name not in _DEMOS:
        raise SettingError(
            f"The demo must be one of {', '.join(_DEMOS)}, but {name!r} was given; pick one of them."
        )
    return open(resource(_DEMOS[name]), page=page)


def checked_path(source: Any, wanted: str) -> Path:
    """The path, if it can be one; raises :class:`InputError`."""
    try:
        text = os.fspath(source)
    except Exception:  # an object of somebody else's class
        text = b""
    if not isinstance(text, str) or not text or "\0" in text:
        came = shown(repr(text)) if isinstance(text, str) else f"a {type(source).__name__}"
        raise InputError(f"{wanted} was wanted, but {came} is no path; give the name of a file.")
    return Path(text)


def _page(page: Any) -> int:
    try:
        return index(page)
    except TypeError:
        raise SettingError(
            f"A page is a whole number from 0, but {shown(repr(page))} was given; use one."
        ) from None


@dataclass(frozen=True, eq=False, repr=False)
class OpenedPrior:
    """A trained prior on its device, and the file that it came from."""

    prior: PatchPrior
    path: Path

    @property
    def unit(self) -> str:
        """The unit of the images that it was trained on."""
        return self.prior.conventions.unit

    @property
    def window(self) -> tuple[float, float]:
        """(low, high) in that unit, which were 0 and 1 in training."""
        return self.prior.conventions.window

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """Sides of the patches that it was trained on, in px."""
        return self.prior.conventions.patch_sizes

    def as_deepinv(
        self, *, tiling: str | TilingSettings = "random", patch: int | None = None, seed: int = 0
    ) -> "PatchDenoiser":
        """The prior as a denoiser of deepinv: a module with ``forward(x, sigma)``, x (batch, C, rows, columns) on [0, 1].

        Each call draws a partition by the ``tiling``, from the ``seed`` on; "window" has no seams, at up to four times the
        cost, and "fixed" is the same map at every call.
        """
        from padis_gui.api.deepinv import PatchDenoiser

        chosen = tiling if isinstance(tiling, TilingSettings) else make(TilingSettings, {"strategy": tiling})
        if patch is not None:
            chosen = make(TilingSettings, chosen.model_dump() | {"patch": patch})
        return PatchDenoiser(self.prior, chosen, check_seed(seed))

    def __repr__(self) -> str:
        return f"<prior {self.path.stem} on {self.prior.device}, {self.prior.precision}>"


def prior(
    name: AnyPath, *, device: str = "auto", precision: str = "auto", training_image_size: int | None = None
) -> OpenedPrior:
    """A prior by its bundled name ("ct-small", "ct-medium", "photos-small", "photos-colour"), by the name of one of the
    user's own (in the folder ``padis_gui/priors`` of their home), or by its file.

    ``device`` is "auto", "cpu", "cuda" or "cuda:N", ``precision`` "auto", "float32" or "bfloat16";
    ``training_image_size`` in px is for published snapshots that do not say it. Raises
    :class:`~padis_gui.core.settings.errors.PadisError` for what is no prior.
    """
    path = checked_path(name, "A prior")
    known = {file.stem: file for file in (*own_priors(), *bundled_priors())}
    if not path.suffix and not path.exists():
        if str(name) not in known:
            raise CheckpointError(
                f"A prior was wanted, one of {shown(', '.join(known))} or a file, but {shown(str(name))} is neither; check "
                "the name."
            )
        path = known[str(name)]
    if precision not in ("auto", "float32", "bfloat16"):
        raise SettingError(
            f"The precision must be one of auto, float32, bfloat16, but {precision!r} was given; pick one of them."
        )
    place = pick_device(device)
    chosen = precision_on(place, precision)  # type: ignore[arg-type]
    try:
        return OpenedPrior(load_prior(path, place, chosen, training_image_size), path)
    except (OSError, ValueError) as error:  # such as a name that is too long
        raise CheckpointError(
            f"A prior was wanted, but {display_name(path)} cannot be opened ({error}); check the name."
        ) from None
