"""Arrays in memory as images and scans: what :func:`padis_gui.open` and :func:`padis_gui.scan` make of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core import torch
from padis_gui.core.files.formats.pages import SMALLEST, check_finite, check_sides, page_of, shown
from padis_gui.core.files.scans.read import read_row
from padis_gui.core.files.scans.scan import Readings, ScanFile, check_sizes, checked_angles, positive
from padis_gui.core.images.image import HU_WINDOW, Image, Measured, ReadingSettings, propose_window
from padis_gui.core.images.size import check_range, replaced, taken
from padis_gui.core.physics.geometry import Geometry, Unit
from padis_gui.core.settings.errors import InputError, PadisError, SettingError

_NAME = "the array"
_COLOURS = (1, 3, 4)
_GEOMETRY = (
    "angles", "beam", "turn", "start", "bin_width", "source_distance", "detector_distance", "centre",
)  # fmt: skip


def array_of(source: Any, wanted: str) -> NDArray[Any]:
    """A copy of whatever makes an array of itself; raises :class:`InputError`, which says what was ``wanted``."""
    with _in_one_sentence(wanted):
        if isinstance(source, torch.Tensor):
            source = source.detach().cpu()
            source = (source.float() if source.dtype == torch.bfloat16 else source).numpy()
        if np.ma.is_masked(source):
            raise InputError(f"{wanted} was wanted, but some of its values are masked; fill them first.")
        found = np.array(source)
        if found.dtype.kind not in "biuf":
            came = f"{type(source).__name__} ({found.dtype})"
            raise InputError(f"{wanted} was wanted, but {came} came; give an array of real numbers.")
        return found


@contextmanager
def _in_one_sentence(wanted: str) -> Iterator[None]:
    try:
        with np.errstate(all="ignore"):
            yield
    except PadisError:
        raise
    except Exception as error:  # objects of others become arrays, or fail to, in their own ways
        reason = shown(str(error).partition("\n")[0]) or type(error).__name__
        raise InputError(
            f"{wanted} was wanted, but what came cannot be used ({reason}); give an array."
        ) from None


def image_of_array(
    source: Any,
    reading: ReadingSettings,
    *,
    unit: str | None = None,
    window: tuple[float, float] | None = None,
    spacing: tuple[float, float] | None = None,
) -> Image:
    """An array (rows, columns), (C, rows, columns) or (rows, columns, C) as an image, copied.

    Unit and window are proposed as for a file that does not say them; ``window`` (low, high) and ``spacing``
    (rows, columns) in mm. Raises :class:`InputError` for what is no finite image of 16 to 8192 pixels a side, and
    :class:`SettingError` for a window or a spacing that cannot be.
    """
    values = array_of(source, "An image (rows, columns) or (C, rows, columns)")
    if values.ndim == 3 and values.shape[0] in _COLOURS:
        values = np.moveaxis(values, 0, 2)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in _COLOURS):
        shape = " x ".join(map(str, values.shape)) or "a single number"
        raise InputError(
            f"An image (rows, columns) or (C, rows, columns) was wanted, but {shape} came; take one image of it."
        )
    if window is not None:  # said, and not proposed: a prior's own window does not replace it
        low, high = _pair("window", window)
        reading = reading.model_copy(update={"scale_low": low, "scale_high": high})
    if spacing is not None:
        spacing = _pair("spacing", spacing)
        spacing = positive(_NAME, "A spacing", spacing[0]), positive(_NAME, "A spacing", spacing[1])
    if unit is not None and not isinstance(unit, str):
        raise SettingError(f"A unit such as 'HU' was wanted, but {shown(repr(unit))} was given; give a text.")
    with _in_one_sentence("An image"):
        whole = page_of(values, _NAME).pixels
        check_sides(_NAME, whole.shape[1:], SMALLEST)
        if reading.not_finite == "refuse":
            check_finite(_NAME, whole, values.dtype)
        whole, mended = replaced(_NAME, whole)
        check_range(_NAME, whole)
        proposed, likely = propose_window(whole, values.dtype)
        pixels, spacing = taken(_NAME, whole, spacing, reading)
    return Image(
        pixels=pixels, unit=likely if unit is None else unit,
        window=reading.scaling(HU_WINDOW if unit == "HU" else proposed), spacing=spacing, name="array",
        measured=Measured(values=pixels) if reading.role == "measurement" else None, reading=reading, notes=mended,
        stored_shape=(whole.shape[1], whole.shape[2]),
    )  # fmt: skip


def _pair(what: str, given: Any) -> tuple[float, float]:
    try:
        first, second = (float(value) for value in given)
    except (TypeError, ValueError, OverflowError):
        first = second = np.nan
    if not (np.isfinite(first) and np.isfinite(second)):
        raise SettingError(
            f"A {what} of two numbers was wanted, but {shown(repr(given))} was given; give a pair."
        )
    return first, second


def scan_of_array(source: Any, reading: ReadingSettings, geometry: dict[str, Any]) -> Image:
    """Line integrals (views, bins) as the image of a scan, with their FBP as pixels.

    The fields of a :class:`Geometry` are taken out of ``geometry``, what else is in it stays there. Raises
    :class:`~padis_gui.core.settings.errors.PadisError` where they cannot be those of a scan.
    """
    values = array_of(source, "Line integrals (views, bins)")
    said = {name: geometry.pop(name) for name in _GEOMETRY if name in geometry}
    if values.ndim != 2 or "angles" not in said:
        shape = " x ".join(map(str, values.shape)) or "a single number"
        raise InputError(
            f"Line integrals (views, bins) with their angles in degrees were wanted, but {shape} came "
            f"{'with' if 'angles' in said else 'without'} angles; give both, such as angles=np.arange(0, 180, 3)."
        )
    check_sizes(_NAME, *values.shape)
    angles = checked_angles(_NAME, array_of(said.pop("angles"), "Angles in degrees"), len(values))
    far = ("source_distance", "detector_distance")
    beam = said.setdefault("beam", "fan" if any(said.get(name) is not None for name in far) else "parallel")
    if beam not in ("parallel", "fan") or (beam == "fan") != all(said.get(name) is not None for name in far):
        raise SettingError(
            f"A beam 'parallel', or 'fan' with source_distance and detector_distance, was wanted, but {shown(repr(beam))} "
            "with others came; give those of the scan."
        )
    if said.get("turn", "clockwise") not in ("clockwise", "counter-clockwise"):
        raise SettingError(
            f"The turn must be clockwise or counter-clockwise, but {shown(repr(said['turn']))} was given; pick one."
        )
    for name in ("start", "bin_width", "centre", *far):
        if said.get(name) is not None:
            said[name] = _pair(name, (said[name], 0))[0]
            if name not in ("start", "centre"):
                positive(_NAME, f"A {name}", said[name])
    known = {name: value for name, value in said.items() if value is not None}
    unit: Unit = "mm" if "bin_width" in known else "bins"
    stated = Geometry(angles=angles, bins=values.shape[1], unit=unit, **known)
    scan = ScanFile(_NAME, "sinogram", stated, lambda _row: Readings(values))
    # a measurement, whoever reads it again: a file of it would else be taken for an image
    image = read_row(scan, 0, reading.model_copy(update={"role": "measurement"}))
    return image.with_window(reading.scaling(image.window))
