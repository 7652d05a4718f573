"""DICOM: one file with its frames, and series of files in the order of the slices."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.data.image import HU_WINDOW
from padis_gui.core.data.pages import Page, Pages, check_sides, in_one_sentence, page_of
from padis_gui.core.errors import InputError, PadisError

KIND = "DICOM file"
_OF_A_SERIES = [
    "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "ImageType", "NumberOfFrames", "Rows", "SeriesDescription",
    "ImagePositionPatient", "ImageOrientationPatient", "InstanceNumber",
]  # fmt: skip


def open_dicom(path: Path, dataset: str) -> Pages:
    """The frames of one file, in their order."""
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True, specific_tags=[*_OF_A_SERIES, "TransferSyntaxUID"])
    if "Rows" not in header:
        raise _no_pixels(path)
    return DicomPages(
        path, [(path, n) for n in range(_frames(header, path))], str(header.get("PatientID", ""))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Files that belong together, from the lowest slice to the highest.

    ``frames`` are (file, frame) pairs, ``subject`` is the patient's ID, or the study's where there is none.
    """

    folder: Path
    description: str
    subject: str
    frames: tuple[tuple[Path, int], ...]

    def open(self) -> Pages:
        """Its slices as pages."""
        return DicomPages(self.folder, self.frames, self.subject)


def find_series(files: Iterable[Path]) -> tuple[list[Series], list[tuple[Path, str]]]:
    """The series that DICOM files belong to, and what is left out with the reason.

    Slices are ordered along the normal of their planes, else by their instance number. Localizers (scouts)
    and files without pixels are left out.
    """
    from pydicom import dcmread

    headers: dict[str, list[tuple[Path, Any]]] = {}
    left_out: list[tuple[Path, str]] = []
    for path in files:
        try:
            with in_one_sentence(path.name, KIND):
                header = dcmread(path, stop_before_pixels=True, specific_tags=list(_OF_A_SERIES))
                if "Rows" not in header:
                    raise _no_pixels(path)
                if "LOCALIZER" in (header.get("ImageType") or ()):
                    raise InputError(
                        f"A slice was wanted, but {path.name} is a localizer; it is of no use here."
                    )
                series = str(header.get("SeriesInstanceUID", "")) or str(path)
                headers.setdefault(series, []).append((path, header))
        except PadisError as error:
            left_out.append((path, str(error)))
    found = []
    for members in headers.values():
        first = members[0][1]
        frames: list[tuple[Path, int]] = []
        for path, header in _ordered(members):
            try:
                frames += [(path, n) for n in range(_frames(header, path))]
            except PadisError as error:
                left_out.append((path, str(error)))
        if frames:
            subject = str(first.get("PatientID", "") or first.get("StudyInstanceUID", ""))
            description = str(first.get("SeriesDescription", ""))
            folder = members[0][0].parent
            found.append(
                Series(folder=folder, description=description, subject=subject, frames=tuple(frames))
            )
    return found, left_out


def _ordered(members: list[tuple[Path, Any]]) -> list[tuple[Path, Any]]:
    heights = [_height(header, members[0][1]) for _, header in members]
    placed = all(height is not None for height in heights)
    keyed = []
    for height, (path, header) in zip(heights, members, strict=True):
        number = _number(header.get("InstanceNumber"))
        keyed.append(
            ((round(height, 3) if placed and height is not None else 0.0, number, path.name), (path, header))
        )
    return [member for _, member in sorted(keyed, key=lambda pair: pair[0])]


def _height(header: Any, reference: Any) -> float | None:
    """Position along the normal of the first slice's plane, in mm."""
    try:
        row, column = np.array(reference.ImageOrientationPatient, dtype=float).reshape(2, 3)
        height = float(np.dot(np.cross(row, column), np.array(header.ImagePositionPatient, dtype=float)))
    except (AttributeError, TypeError, ValueError):
        return None
    return height if math.isfinite(height) else None


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _frames(header: Any, path: Path) -> int:
    frames = int(header.get("NumberOfFrames") or 1)
    if not 1 <= frames <= path.stat().st_size:  # every frame takes a byte at least
        raise InputError(f"DICOM frames were wanted, but {path.name} claims {frames}; get a fresh copy.")
    return frames


def _no_pixels(path: Path) -> InputError:
    return InputError(f"A DICOM image was wanted, but {path.name} holds no pixels; open an image slice.")


class DicomPages(Pages):
    """Frames of DICOM files as pages, in the modality's unit."""

    is_volume = True

    def __init__(self, path: Path, frames: Sequence[tuple[Path, int]], subject: str) -> None:
        super().__init__(path, KIND)
        self.count, self.subject, self._frames = len(frames), subject, frames
        self._one_a_file = self.count > 1 and len({file for file, _ in frames}) == self.count

    def page_name(self, page: int) -> str:
        """The file of a slice, or the frame of a file."""
        return self._frames[page][0].name if self._one_a_file else super().page_name(page)

    def _read(self, page: int) -> Page:
        from pydicom import dcmread

        path, frame = self._frames[page]
        with in_one_sentence(path.name, KIND):
            header = dcmread(path, stop_before_pixels=True)
            check_sides(path.name, (int(header.Rows), int(header.Columns)))
            stored = _stored(path, frame, header)
            values = stored if stored.ndim == 3 else _in_unit(stored, header, frame)
            is_ct = header.get("Modality", "") == "CT" and values.ndim == 2
            return page_of(
                values,
                path.name,
                unit="HU" if is_ct else "",
                window=HU_WINDOW if is_ct else None,
                spacing=_spacing(header, frame),
            )


def _stored(path: Path, frame: int, header: Any) -> NDArray[Any]:
    """The stored numbers of a frame: (rows, columns), or (rows, columns, 3) of colours."""
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    many = int(header.get("NumberOfFrames") or 1) > 1
    if header.file_meta.TransferSyntaxUID.is_deflated:  # a frame of these cannot be reached alone
        values = dcmread(path).pixel_array
        values = values[frame] if many else values
    else:
        values = pixel_array(path, index=frame)
    kind = header.get("PhotometricInterpretation", "")
    if kind == "PALETTE COLOR":
        return np.asarray(apply_color_lut(values, header))
    if (
        kind == "MONOCHROME1" and values.ndim == 2
    ):  # the highest number is black: turned round within its bits
        bits = int(header.BitsStored)
        mirror = -1 if int(header.get("PixelRepresentation", 0)) else (1 << bits) - 1
        return np.asarray(mirror - values.astype(np.int64))
    return np.asarray(values)


def _in_unit(values: NDArray[Any], header: Any, frame: int) -> NDArray[Any]:
    """Stored numbers rescaled to the modality's unit, such as HU."""
    from pydicom.pixels.processing import apply_rescale

    group = _functional_group(header, frame, "PixelValueTransformationSequence")
    return np.asarray(apply_rescale(values, header if group is None else group))


def _spacing(header: Any, frame: int) -> tuple[float, float] | None:
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
