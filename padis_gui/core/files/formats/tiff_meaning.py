"""What a TIFF says of its numbers: pixel pitch, unit and calibration, in the dialects of ImageJ, OME and plain TIFF."""

import math
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.pages import MILLIMETRES
from padis_gui.core.settings.untrusted import parse_json

# resolutions that programs write for screens and printers, in pixels per inch: they say nothing of the object
_PRINTED = (
    72, 75, 90, 96, 100, 120, 144, 150, 180, 192, 200, 220, 240, 250, 300, 350, 360, 400, 500, 600, 720, 1000, 1200,
    1440, 2400, 2880, 4800,
)  # fmt: skip
_INCH, _CENTIMETRE = 2, 3
_STRAIGHT_LINE = 0
_MOST_XML = 2**27
NAMESPACE = "padis-gui/export"  # of the annotation that this program's exports carry
_HOUNSFIELD = ("hu", "hounsfield", "hounsfield unit", "hounsfield units")
_NO_UNITS = ("", "gray value", "grey value", "pixel", "pixels", "none", "a.u.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """Pitch (rows, columns) and distance of slices in mm; unit, window; value = offset + slope · stored.

    ``channels`` are the channels' names where the file gives them, ``is_ours`` whether this program wrote it.
    """

    spacing: tuple[float, float] | None = None
    slice_spacing: float | None = None
    unit: str = ""
    window: tuple[float, float] | None = None
    line: tuple[float, float] | None = None
    channels: tuple[str, ...] = ()
    is_ours: bool = False

    def calibrated(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Values from stored integers as float32, by the file's calibration; other numbers as they are."""
        if self.line in (None, (0.0, 1.0)) or stored.dtype.kind not in "iu":
            return stored
        offset, slope = self.line
        found = np.empty(stored.shape, np.float32)
        for values, row in zip(found, stored, strict=True):  # in double precision, a row at a time
            values[...] = offset + slope * row.astype(np.float64)
        return found


def meaning_of(file: Any, series: int = 0) -> Meaning:
    """What an open TIFF says of one of its series; series are counted from 0."""
    if file.is_ome:
        return _ome(file.ome_metadata or "", series)
    if file.is_imagej:
        return _imagej(file)
    if file.is_lsm:
        return _lsm(file.lsm_metadata or {})
    return Meaning(spacing=_plain(file.pages[0]))


def own_text(file: Any) -> str:
    """The JSON that this program puts into its exports, of an open TIFF; other text or none of other files."""
    if file.is_ome:
        return _own_annotation(_xml(file.ome_metadata or ""))
    return str((file.imagej_metadata or {}).get("Info", ""))


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None


def _pair(rows: float | None, columns: float | None) -> tuple[float, float] | None:
    return None if rows is None or columns is None else (rows, columns)


def _pitches(page: Any, length: float) -> tuple[float, float] | None:
    """Rows and columns from the resolution tags, in pixels per ``length`` mm."""
    pitches = []
    for tag in ("YResolution", "XResolution"):
        found = page.tags.get(tag)
        try:
            pixels, lengths = found.value
            pitches.append(_positive(length * lengths / pixels))
        except (AttributeError, TypeError, ValueError, ZeroDivisionError):
            return None
    return _pair(*pitches)


def _plain(page: Any) -> tuple[float, float] | None:
    """A pitch in inches or centimetres, unless it is one that programs write without knowing any."""
    tag = page.tags.get("ResolutionUnit")
    length = {_INCH: 25.4, _CENTIMETRE: 10.0}.get(int(tag.value) if tag is not None and tag.count == 1 else 0)
    pitch = None if length is None else _pitches(page, length)
    if pitch is None or length is None:
        return None
    for side in pitch:
        per_inch = 25.4 / side
        if abs(side - length) < 1e-9 * length or any(abs(per_inch / n - 1) < 2e-3 for n in _PRINTED):
            return None
    return pitch


def _imagej(file: Any) -> Meaning:
    said = file.imagej_metadata or {}
    length = MILLIMETRES.get(_plain_text(said.get("unit", "")))
    per_slice = _positive(said.get("spacing"))
    unit = _plain_text(said.get("vunit", ""))
    ours = _json(own_text(file))
    about, stated = _about(ours), ours.get("about")
    # volumes with a slice spacing alone said mm in earlier versions, and ImageJ's pitch is then 1
    unknown = isinstance(stated, dict) and stated.get("spacing", 1) is None
    return Meaning(
        spacing=None if length is None or unknown else _pitches(file.pages[0], length),
        slice_spacing=about.slice_spacing if length is None or per_slice is None else length * per_slice,
        unit=about.unit
        or ("HU" if unit.lower() in _HOUNSFIELD else "" if unit.lower() in _NO_UNITS else unit),
        window=about.window,
        line=_line(said, file.pages[0].dtype),
        is_ours=bool(ours),
    )


def _line(said: dict[str, Any], stored: Any) -> tuple[float, float] | None:
    """ImageJ's calibration where it is a straight line; it counts signed numbers of 16 bits from -32768."""
    if said.get("cf") != _STRAIGHT_LINE:
        return None
    line = _finite(said.get("c0"), said.get("c1"))
    return (line[0] + 32768.0 * line[1], line[1]) if line is not None and stored == np.int16 else line


def _plain_text(value: Any) -> str:
    """ImageJ writes what is not ASCII as Java does: \\u00B5m."""
    return str(value).replace("\\u00B5", "µ").replace("\\u00b5", "µ").strip()


def _json(info: str) -> dict[str, Any]:
    """The JSON that this program puts into its TIFFs; empty for the free text of others."""
    if not info.lstrip().startswith("{"):
        return {}
    try:
        found = parse_json(info)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _about(ours: dict[str, Any]) -> Meaning:
    """Unit, window and whole numbers by what this program says of its exports, also in its first versions."""
    recipe = ours.get("recipe")
    for said in (ours.get("about"), recipe.get("data") if isinstance(recipe, dict) else None):
        if not isinstance(said, dict) or not (said.get("unit") or said.get("window")):
            continue
        whole, line = said.get("integer"), None
        if isinstance(whole, dict):
            line = _finite(whole.get("low"), whole.get("step"))
        unit = said.get("unit")
        return Meaning(
            unit=unit[:20] if isinstance(unit, str) else "", window=_window(said.get("window")), line=line,
            slice_spacing=_positive(said.get("slice_spacing")),
        )  # fmt: skip
    return Meaning()


def _finite(offset: Any, slope: Any) -> tuple[float, float] | None:
    try:
        offset, slope = float(offset), float(slope)
    except (TypeError, ValueError):
        return None
    return (offset, slope) if math.isfinite(offset) and math.isfinite(slope) and slope else None


def _window(value: Any) -> tuple[float, float] | None:
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        return None
    return (low, high) if -math.inf < low < high < math.inf else None


def _xml(text: str) -> ElementTree.Element:
    """OME's XML; an empty element for what is none, or of a size or with declarations that OME has no use for."""
    if len(text) > _MOST_XML or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return ElementTree.Element("")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return ElementTree.Element("")


def _own_annotation(root: ElementTree.Element) -> str:
    for element in root.iter():
        if _tag(element) == "CommentAnnotation" and element.get("Namespace") == NAMESPACE:
            return "".join(element.itertext())
    return ""


def _ome(text: str, series: int) -> Meaning:
    root = _xml(text)
    images = [e for e in root.iter() if _tag(e) == "Image"]
    pixels = next((e for e in images[series] if _tag(e) == "Pixels"), None) if series < len(images) else None
    if pixels is None:
        return Meaning()

    def length(axis: str) -> float | None:
        size = _positive(pixels.get(f"PhysicalSize{axis}"))
        scale = MILLIMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        return None if size is None or scale is None else size * scale

    channels = [e for e in pixels if _tag(e) == "Channel"]
    ours = _json(_own_annotation(root))
    about = _about(ours)
    return Meaning(
        unit=about.unit,
        window=about.window,
        line=about.line,
        is_ours=bool(ours),
        spacing=_pair(length("Y"), length("X")),
        slice_spacing=length("Z"),
        channels=tuple(e.get("Name", "") for e in channels),
    )


def _tag(element: Any) -> str:
    return str(element.tag).rsplit("}", 1)[-1]


def _lsm(said: dict[str, Any]) -> Meaning:
    """Zeiss states metres."""

    def length(axis: str) -> float | None:
        size = _positive(said.get(f"VoxelSize{axis}"))
        return None if size is None else size * 1000

    return Meaning(spacing=_pair(length("Y"), length("X")), slice_spacing=length("Z"))
