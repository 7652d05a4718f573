"""NIfTI (.nii, .nii.gz): a volume in pages as axial slices, laid out as DICOM lays them out."""

import gzip
from io import IOBase
from pathlib import Path
from typing import Any

import numpy as np

from padis_gui.core.files.formats.format import Format
from padis_gui.core.files.formats.pages import (
    MILLIMETRES,
    Page,
    Pages,
    Part,
    check_sides,
    display_name,
    page_of,
    quietly,
    wrong_shape,
)
from padis_gui.core.settings.errors import InputError

_GZIP = b"\x1f\x8b"


def open_nifti(path: Path, dataset: str) -> Pages:
    """A volume, or several one after the other, its pages axial slices; each is read when it is asked for.

    Raises :class:`InputError` for a pair of files (.hdr and .img).
    """
    with path.open("rb") as start:
        packed = start.read(2) == _GZIP
    file: IOBase = gzip.open(path, "rb") if packed else path.open("rb")  # noqa: SIM115 - the pages close it
    try:
        return _Nifti(path, file)
    except BaseException:
        file.close()
        raise


class _Nifti(Pages):
    is_volume = True

    def __init__(self, path: Path, file: Any) -> None:
        import nibabel

        super().__init__(path, NIFTI.kind, file.close)
        header = file.read(352)
        file.seek(0)
        if header[344:348] == b"n+1\0":
            image_type: Any = nibabel.Nifti1Image
        elif header[4:8] == b"n+2\0":
            image_type = nibabel.Nifti2Image
        else:
            raise InputError(
                f"A NIfTI volume in one file was wanted, but {display_name(path)} is none; save it as .nii or .nii.gz."
            )
        holder = nibabel.FileHolder(fileobj=file)
        quietly("nibabel.global")  # it prints what it mends in a header
        image = image_type.from_file_map({"header": holder, "image": holder}, mmap=False)
        self._array, self._shape = image.dataobj, tuple(int(n) for n in image.shape)
        if len(self._shape) < 2 or min(self._shape) < 1:
            raise wrong_shape(display_name(path), self._shape)
        self._axes, self._ascending = _orientation(image.affine, flat=len(self._shape) == 2)
        rows, columns, depth = self._axes
        check_sides(display_name(path), (self._shape[rows], self._shape[columns]))
        self._depth = self._shape[depth] if depth < len(self._shape) else 1
        self.count = self._depth * int(np.prod(self._shape[3:], dtype=object))
        self._spacing = _spacing(image.header, rows, columns)
        self._slice_spacing = _pitch(image.header, depth)

    def sides(self, page: int) -> tuple[int, int] | None:
        rows, columns, _ = self._axes
        return self._shape[rows], self._shape[columns]

    def _read(self, page: int, part: Part) -> Page:
        rows, columns, depth = self._axes
        volume, slice_ = divmod(page, self._depth)
        index: list[Any] = [slice(None)] * len(self._shape)
        if depth < len(self._shape):
            index[depth] = slice_ if self._ascending[2] else self._depth - 1 - slice_
        later = np.unravel_index(volume, self._shape[3:], order="F") if self._shape[3:] else ()
        index[3:] = [int(n) for n in later]
        values = np.asarray(self._array[tuple(index)])
        if values.ndim != 2:  # colours, which NIfTI keeps as records
            raise wrong_shape(self.name, self._shape)
        if rows > columns:
            values = values.T
        # rows go from front to back, columns from the patient's right to the left
        values = values[:: -1 if self._ascending[0] else 1, :: -1 if self._ascending[1] else 1]
        return page_of(values[part], self.name, spacing=self._spacing, slice_spacing=self._slice_spacing)


def _orientation(affine: Any, *, flat: bool) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """The file's axes of (rows, columns, slices), and whether they run to the front, the right and the top."""
    from nibabel.orientations import io_orientation

    try:
        found = io_orientation(affine)  # type: ignore[no-untyped-call]
    except (ValueError, np.linalg.LinAlgError):
        found = np.full((3, 2), np.nan)
    if flat or not np.isfinite(found).all():  # an affine that maps to a plane or nowhere: as the file has it
        return (1, 0, 2), (True, True, True)
    axes = {int(direction): axis for axis, direction in enumerate(found[:, 0])}
    order = axes[1], axes[0], axes[2]
    return order, (bool(found[order[0], 1] > 0), bool(found[order[1], 1] > 0), bool(found[order[2], 1] > 0))


def _spacing(header: Any, rows: int, columns: int) -> tuple[float, float] | None:
    pitch = _pitch(header, rows), _pitch(header, columns)
    return None if pitch[0] is None or pitch[1] is None else (pitch[0], pitch[1])


def _pitch(header: Any, axis: int) -> float | None:
    """Distance along one of the file's axes in mm, where its unit is one of length."""
    scale, zooms = MILLIMETRES.get(header.get_xyzt_units()[0]), header.get_zooms()
    if scale is None or axis >= len(zooms):
        return None
    pitch = float(zooms[axis]) * scale
    return pitch if 0 < pitch < float("inf") else None


NIFTI = Format(
    kind="NIfTI file",
    names=("NIfTI",),
    suffixes=(".nii", ".nii.gz"),
    signatures=((344, b"n+1\0"), (344, b"ni1\0"), (4, b"n+2\0"), (0, _GZIP)),
    open_pages=open_nifti,
)
