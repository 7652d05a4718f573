"""DICOM: one file with its frames, in the modality's own unit."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.dicom_pixels import (
    begins_with_elements,
    has_pixels,
    opened,
    read_elements,
    read_stored,
)
from padis_gui.core.files.formats.format import Format
from padis_gui.core.files.formats.large import LARGE, ROWS, check_memory
from padis_gui.core.files.formats.pages import (
    Page,
    Pages,
    Part,
    check_sides,
    display_name,
    in_one_sentence,
    is_wide,
    page_of,
    shown,
)
from padis_gui.core.images.image import HU_WINDOW
from padis_gui.core.settings.errors import InputError

# what tells which files belong together, in which order, and how far apart their slices lie
_TAGS = (
    "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "ImageType", "NumberOfFrames", "Rows", "Columns", "Modality",
    "SeriesDescription", "SeriesNumber", "ImagePositionPatient", "ImageOrientationPatient", "InstanceNumber",
    "TemporalPositionIdentifier", "AcquisitionNumber", "SpacingBetweenSlices", "SliceThickness",
    "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence",
)  # fmt: skip
_MODALITIES = {
    "MR": "magnetic resonance", "PT": "PET", "NM": "nuclear medicine", "US": "ultrasound", "CR": "radiography",
    "DX": "radiography", "MG": "mammography", "XA": "angiography", "RF": "fluoroscopy", "RTDOSE": "a dose",
    "RTIMAGE": "a portal image", "SEG": "a segmentation", "OT": "something else",
}  # fmt: skip
_UNITS = {"BQML": "Bq/ml", "GML": "g/ml", "CNTS": "counts", "CPS": "counts/s", "CM2ML": "cm²/ml", "PCNT": "%"}
_BRIGHT = 99.9  # percentile of MR that becomes white: its brightest vessels would leave the rest dark


def open_dicom(path: Path, dataset: str) -> Pages:
    """The frames of one file, from the lowest slice to the highest; ``dataset`` says nothing here."""
    header, frames = read_header(path)
    order, spacing = order_frames(header, frames)
    return DicomPages(
        path, [(path, n) for n in order], str(header.get("PatientID", "")), slice_spacing=spacing
    )


def read_header(path: Path) -> tuple[Any, int]:
    """What a file says of its series and slices, and how many frames it has.

    Raises :class:`InputError` where it has no pixels of its own or cannot have so many frames.
    """
    with opened(path) as file:
        header = read_elements(file, list(_TAGS))
        if "Rows" not in header or not has_pixels(file):
            raise InputError(
                f"A DICOM image was wanted, but {display_name(path)} holds no pixels; open an image slice."
            )
        frames = int(header.get("NumberOfFrames") or 1)
        if not 1 <= frames <= file.seek(0, io.SEEK_END):  # every frame takes a byte at least
            raise InputError(
                f"DICOM frames were wanted, but {display_name(path)} claims {frames}; get a fresh copy."
            )
    return header, frames


def order_frames(header: Any, frames: int) -> tuple[list[int], float | None]:
    """The frames of a file from the lowest to the highest where it places each, and their distance in mm."""
    heights = []
    if frames > 1 and "PerFrameFunctionalGroupsSequence" in header:
        orientation = _functional_group(header, 0, "PlaneOrientationSequence")
        for n in range(frames):
            position = _functional_group(header, n, "PlanePositionSequence")
            height = None if position is None else height_of(position, orientation)
            if height is None:
                break
            heights.append(round(height, 3))
    if frames > 1 and len(set(heights)) == frames:
        return [int(n) for n in np.argsort(heights)], float(np.median(np.diff(np.sort(heights))))
    measures = _functional_group(header, 0, "PixelMeasuresSequence")
    spacings = (stated_spacing(source) for source in (measures, header) if source)
    return list(range(frames)), next(filter(None, spacings), None)


def stated_spacing(header: Any) -> float | None:
    """The distance of slices in mm as a header states it; None where it does not."""
    stated = (number_of(header.get(tag)) for tag in ("SpacingBetweenSlices", "SliceThickness"))
    return next((mm for mm in stated if mm > 0), None)


def height_of(header: Any, reference: Any) -> float | None:
    """Position along the normal of the reference's plane, in mm; None where the headers do not say."""
    try:
        row, column = np.array(reference.ImageOrientationPatient, dtype=float).reshape(2, 3)
        height = float(np.dot(np.cross(row, column), np.array(header.ImagePositionPatient, dtype=float)))
    except (AttributeError, TypeError, ValueError):
        return None
    return height if math.isfinite(height) else None


def number_of(value: Any) -> float:
    """A number in a header; 0 where it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


class DicomPages(Pages):
    """Frames of DICOM files as pages, in the modality's unit.

    ``slice_spacing`` is their distance in mm, ``notes`` are sentences on the series for every page.
    """

    is_volume = True

    def __init__(
        self,
        path: Path,
        frames: Sequence[tuple[Path, int]],
        subject: str,
        *,
        slice_spacing: float | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(path, DICOM.kind)
        self.count, self.subject, self._frames = len(frames), subject, frames
        self._one_a_file = self.count > 1 and len({file for file, _ in frames}) == self.count
        self._slice_spacing, self._notes = slice_spacing, notes
        self._header: tuple[Path, Any] | None = None

    def page_name(self, page: int) -> str:
        return display_name(self._frames[page][0]) if self._one_a_file else super().page_name(page)

    def _read(self, page: int, part: Part) -> Page:
        path, frame = self._frames[page]
        name = display_name(path)
        with in_one_sentence(name, DICOM.kind):
            header = self._header_of(path)
            check_sides(name, (int(header.Rows), int(header.Columns)))
            _check_colours(header, name)
            values, notes = read_stored(path, frame, header)
            unit, window = "", None
            if values.ndim != 3:
                turned = _upright(values[:1], header, frame)[1]
                if 8 * values.size <= LARGE or is_wide(values.dtype):
                    values = _in_unit(_upright(values, header, frame)[0], header, frame)
                else:  # in double precision, some rows at a time
                    found = np.empty(values.shape, np.float32)
                    for first in range(0, len(values), ROWS):
                        some = _upright(values[first : first + ROWS], header, frame)[0]
                        found[first : first + ROWS] = _in_unit(some, header, frame)
                    values = found
                unit, window, said = _meaning(values, header, frame)
                notes += turned + said
            return page_of(
                values, name, part=part, unit=unit, window=window, spacing=_pixel_spacing(header, frame),
                slice_spacing=self._slice_spacing, notes=notes + self._notes,
            )  # fmt: skip

    def _header_of(self, path: Path) -> Any:
        """Kept for the next frame: an enhanced file says much of each."""
        if self._header is None or self._header[0] != path:
            with opened(path) as file:
                self._header = path, read_elements(file)
        return self._header[1]


def _check_colours(header: Any, name: str) -> None:
    """Raise :class:`InputError` where unpacking the colours of a frame would take too much memory."""
    kind, samples = str(header.get("PhotometricInterpretation", "")), int(header.get("SamplesPerPixel") or 1)
    deep = 2 if int(header.get("BitsAllocated") or 8) > 8 or kind == "PALETTE COLOR" else 1
    if samples > 1 or kind == "PALETTE COLOR":
        pixels = int(header.Rows) * int(header.Columns)
        check_memory(name, pixels * (30 if kind.startswith("YBR") else 12 + 3 * deep))


def _unit_of(header: Any, frame: int) -> str:
    """The unit that the modality's rescale leads to; "" for numbers without one."""
    modality, rescale = str(header.get("Modality", "") or ""), _rescale(header, frame)
    kind = shown(str(rescale.get("RescaleType", "") or "")[:20])
    if modality == "PT":
        return _UNITS.get(str(header.get("Units", "")), "")
    if modality == "MR":
        return ""
    if modality != "CT":
        return "" if kind in ("US", "HU") else kind
    if kind not in ("", "HU", "US"):
        return kind
    return "HU" if "RescaleSlope" in rescale or "ModalityLUTSequence" in header else ""


def _rescale(header: Any, frame: int) -> Any:
    group = _functional_group(header, frame, "PixelValueTransformationSequence")
    return header if group is None else group


def _meaning(
    values: NDArray[Any], header: Any, frame: int
) -> tuple[str, tuple[float, float] | None, tuple[str, ...]]:
    """Unit, window and what the user should know, by the modality."""
    modality = shown(str(header.get("Modality", "") or "")[:20])
    unit = _unit_of(header, frame)
    if modality == "CT":
        if unit == "HU":
            return unit, HU_WINDOW, ()
        if unit:
            return unit, None, (f"This CT is in {unit}, not in HU.",)
        return "", None, ("This CT does not say how to rescale to HU; its stored numbers are taken.",)
    called = (
        f"{modality} ({_MODALITIES[modality]})"
        if modality in _MODALITIES
        else modality or "of no stated modality"
    )
    start = f"This image is {called}, not CT"
    if modality == "PT":
        top = float(values.max())
        white = top if top > 0 else 1.0
        return (
            unit,
            (0.0, white),
            (f"{start}: it is in {unit or 'no stated unit'}, and white is its maximum.",),
        )
    if modality == "MR":
        low, high = min(0.0, float(values.min())), float(np.percentile(values, _BRIGHT))
        high = high if high > low else low + 1
        return (
            "",
            (low, high),
            (f"{start}: its numbers have no unit, black is {low:.4g} and white {high:.4g}.",),
        )
    return unit, None, (f"{start}: its numbers are taken as they are.",)


def _upright(values: NDArray[Any], header: Any, frame: int) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Stored numbers whose highest is white, with a sentence where they are left as they are.

    MONOCHROME1 says how to show numbers, after the modality's rescale (PS3.3 C.7.6.3.1.2): those without a unit are
    turned round within their bits, those with one mean what they say.
    """
    if header.get("PhotometricInterpretation", "") != "MONOCHROME1":
        return values, ()
    unit = _unit_of(header, frame)
    if unit:
        return values, (
            f"This image is to be shown with white as low; its numbers in {unit} are as they are.",
        )
    if values.dtype.kind == "f":
        return -values, ()
    bits = int(header.BitsStored)
    mirror = -1 if values.dtype.kind == "i" else (1 << bits) - 1
    return np.asarray(mirror - values.astype(np.int64)), ()


def _in_unit(values: NDArray[Any], header: Any, frame: int) -> NDArray[Any]:
    """Stored numbers rescaled to the modality's unit, such as HU."""
    from pydicom.pixels.processing import apply_rescale

    return np.asarray(apply_rescale(values, _rescale(header, frame)))


def _pixel_spacing(header: Any, frame: int) -> tuple[float, float] | None:
    """Pixel pitch (rows, columns) in mm, where the file states one that can be."""
    group = _functional_group(header, frame, "PixelMeasuresSequence")
    try:
        rows, columns = (float(pitch) for pitch in (header if group is None else group).PixelSpacing)
    except (AttributeError, TypeError, ValueError):
        return None
    return (rows, columns) if 0 < rows < math.inf and 0 < columns < math.inf else None


def _functional_group(header: Any, frame: int, name: str) -> Any | None:
    """What an enhanced multi-frame file says of one frame, or of all."""
    for sequence, item in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        groups = header.get(sequence) or ()
        if item < len(groups) and groups[item].get(name):
            return groups[item][name].value[0]
    return None


DICOM = Format(
    kind="DICOM file",
    names=("DICOM",),
    suffixes=(".dcm", ".ima"),
    signatures=((128, b"DICM"),),
    is_begun_by=begins_with_elements,  # some lack the preamble
    before_others=True,  # the preamble may be the header of another format (PS3.10 7.1)
    by_name=True,
    open_pages=open_dicom,
)
